//! A kind of calls: one client, clients that saturate the node, rates that rise until the knee, and half of
//! it.

use std::pin::Pin;
use std::sync::Arc;

use super::Failure;
use super::driven::{Clients, Driven};
use super::interviews::Pool;
use super::plan::Kind;
use super::requests;
use super::run::Bench;
use crate::benchmark::knee::{Bounds, Search, Try};
use crate::benchmark::load::{ClosedLoad, OpenLoad, Seen, closed_loop, open_loop};
use crate::benchmark::report::{Curve, Metric, Step};
use crate::benchmark::statistics::number;
use crate::cli::client::readable;
use crate::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;
use crate::rpc::proto::xiangyi::prescription::v1::prescription_service_client::PrescriptionServiceClient;
use crate::rpc::proto::xiangyi::treatment::v1::treatment_service_client::TreatmentServiceClient;

/// Clients that saturate a node.
const CLIENTS: usize = 32;
/// Calls on their way at most.
pub(super) const IN_FLIGHT_MAX: usize = 2_048;
/// Interviews under way, over all connections: fewer than the streams of one.
const INTERVIEWS: u32 = 64;

/// A call by its number.
pub(super) type Call = Arc<dyn Fn(u64) -> Answer + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What a kind of calls does.
pub(super) async fn call(clients: &Clients, kind: Kind) -> Result<Call, Failure> {
    let clients = clients.clone();
    Ok(match kind {
        Kind::Diagnose => Arc::new(move |n| Box::pin(diagnose(clients.clone(), n))),
        Kind::Check => Arc::new(move |n| Box::pin(check(clients.clone(), n))),
        Kind::Plan => Arc::new(move |n| Box::pin(plan(clients.clone(), n))),
        Kind::Interview => {
            let pool = Pool::open(&clients, INTERVIEWS).await?;
            Arc::new(move |n| Box::pin(pool.clone().step(n)))
        }
    })
}

async fn diagnose(clients: Clients, number: u64) -> Result<(), String> {
    let client = clients.of(number)?;
    let mut service = DiagnosisServiceClient::new(client.node().map_err(|e| e.to_string())?);
    let answer = service.diagnose(client.dressed(requests::complaint(number))).await;
    let answer = answer.map_err(|status| readable(&status))?.into_inner();
    let has_some = answer.consultation.is_some_and(|kept| !kept.conditions.is_empty());
    has_some.then_some(()).ok_or_else(|| "an answer without conditions".to_owned())
}

async fn check(clients: Clients, number: u64) -> Result<(), String> {
    let client = clients.of(number)?;
    let mut service = PrescriptionServiceClient::new(client.node().map_err(|e| e.to_string())?);
    let answer = service.check_prescription(client.dressed(requests::order(number))).await;
    let answer = answer.map_err(|status| readable(&status))?.into_inner();
    answer.check.map(drop).ok_or_else(|| "an answer without a check".to_owned())
}

async fn plan(clients: Clients, number: u64) -> Result<(), String> {
    let client = clients.of(number)?;
    let mut service = TreatmentServiceClient::new(client.node().map_err(|e| e.to_string())?);
    let answer = service.recommend_plan(client.dressed(requests::plan(number))).await;
    let answer = answer.map_err(|status| readable(&status))?.into_inner();
    let has_some = answer.recommendation.is_some_and(|kept| !kept.plans.is_empty());
    has_some.then_some(()).ok_or_else(|| "an answer without a plan".to_owned())
}

/// Measures one kind of calls.
pub(super) async fn measure(
    bench: &mut Bench,
    driven: &mut Driven,
    kind: Kind,
) -> Result<(), Failure> {
    let (name, budget) = (kind.name(), bench.budget);
    let call = call(&driven.clients, kind).await?;
    bench.step(&format!("{name}: warm-up"), budget.warm_up);
    let warm = ClosedLoad { clients: CLIENTS, time: budget.warm_up, blocks: 1 };
    works(&closed_loop(warm, by(&call)).await?)?;

    bench.step(&format!("{name}: 1"), budget.alone);
    let alone = ClosedLoad { clients: 1, time: budget.alone, blocks: budget.blocks };
    let alone = closed_loop(alone, by(&call)).await?;
    works(&alone)?;
    bench.quantiles(name, &alone, &[("alone_p50_ms", 0.5), ("alone_p99_ms", 0.99)])?;

    bench.step(&format!("{name}: {CLIENTS}"), budget.saturated);
    let full = ClosedLoad { clients: CLIENTS, time: budget.saturated, blocks: budget.blocks };
    let full = closed_loop(full, by(&call)).await?;
    driven.is_there()?;
    works(&full)?;
    bench.report.add(&format!("{name}.saturated_per_second"), full.per_second(), full.rates());

    let mut curve = rising(bench, driven, (&call, name), full.per_second()).await?;
    if let Some(knee) = curve.knee_per_second {
        half(bench, driven, (&call, name), &mut curve, knee / 2.0).await?;
    } else {
        bench.note(format!("{name}: no rate was kept up, so there is neither knee nor half load"));
    }
    bench.report.curves.push(curve);
    Ok(())
}

/// What the load runs: the call, boxed already.
pub(super) fn by(call: &Call) -> impl Fn(u64) -> Answer + Send + Sync + 'static {
    let call = Arc::clone(call);
    move |number| call(number)
}

/// An error where hardly any call was answered: then there is nothing to measure.
fn works(seen: &Seen) -> Result<(), Failure> {
    if seen.done > 0 && seen.failed <= seen.done {
        return Ok(());
    }
    let why = seen.error.clone().unwrap_or_else(|| "no answer came in time".to_owned());
    Err(format!("{} of {} calls failed: {why}", seen.failed, seen.due).into())
}

/// Rates that rise until the node misses one twice.
async fn rising(
    bench: &mut Bench,
    driven: &mut Driven,
    (call, name): (&Call, &str),
    guess: f64,
) -> Result<Curve, Failure> {
    let (budget, bounds) = (bench.budget, Bounds { p99_ms: bench.p99_bound_ms });
    let mut search = Search::new(guess, bounds, budget.halvings);
    let mut curve =
        Curve { name: name.to_owned(), p99_bound_ms: bounds.p99_ms, ..Curve::default() };
    while let Some(per_second) = search.next() {
        bench.step(&format!("{name}: {per_second:.0}/s"), budget.step);
        let load = OpenLoad {
            per_second,
            time: budget.step,
            seed: bench.next_seed(),
            in_flight_max: IN_FLIGHT_MAX,
            blocks: 1,
        };
        let seen = open_loop(&load, by(call)).await?;
        driven.is_there()?;
        let tried = Try {
            per_second,
            due_per_second: seen.due_per_second(),
            done_per_second: seen.answered_per_second(),
            p99_ms: seen.latency.ms(0.99),
            failed_share: seen.failed_share(),
        };
        let missed = search.tell(&tried);
        curve.steps.push(step(per_second, &seen, missed));
    }
    curve.knee_per_second = search.knee();
    if let Some(knee) = search.knee() {
        let metric = Metric::new(&format!("{name}.knee_per_second"), knee, Vec::new());
        bench.report.metrics.extend(metric.map(|metric| Metric {
            low: search.missed_at().map(|_| knee),
            high: search.missed_at(),
            ..metric
        }));
        if search.missed_at().is_none() {
            bench.remark(format!("{name}: the last rate that was tried was still kept up"));
        }
    }
    Ok(curve)
}

fn step(asked: f64, seen: &Seen, missed: Option<&str>) -> Step {
    let mut missed = missed.unwrap_or_default().to_owned();
    if let Some(error) = seen.error.as_ref().filter(|_| !missed.is_empty()) {
        missed = format!("{missed} ({})", error.lines().next().unwrap_or_default());
    }
    Step {
        asked_per_second: asked,
        done_per_second: seen.answered_per_second(),
        in_flight: seen.in_flight,
        p50_ms: seen.latency.ms(0.5),
        p95_ms: seen.latency.ms(0.95),
        p99_ms: seen.latency.ms(0.99),
        max_ms: seen.latency.max_ms(),
        due: seen.due,
        failed: seen.failed,
        unsent: seen.unsent,
        generator_late_p99_ms: seen.late.ms(0.99),
        missed,
    }
}

/// Latency, processor and energy at half of the knee.
async fn half(
    bench: &mut Bench,
    driven: &mut Driven,
    (call, name): (&Call, &str),
    curve: &mut Curve,
    per_second: f64,
) -> Result<(), Failure> {
    let budget = bench.budget;
    bench.step(&format!("{name}: {per_second:.0}/s"), budget.half);
    let load = OpenLoad {
        per_second,
        time: budget.half,
        seed: bench.next_seed(),
        in_flight_max: IN_FLIGHT_MAX,
        blocks: budget.blocks,
    };
    let (cpu, joules) = (driven.used(&bench.host), bench.joules());
    let seen = open_loop(&load, by(call)).await?;
    driven.is_there()?;
    works(&seen)?;
    let figures = [
        ("half_knee_p50_ms", 0.5),
        ("half_knee_p95_ms", 0.95),
        ("half_knee_p99_ms", 0.99),
        ("half_knee_p999_ms", 0.999),
    ];
    bench.quantiles(name, &seen, &figures)?;
    curve.spectrum = seen.latency.spectrum();
    let each = |whole: f64| whole * 1_000.0 / number(seen.done.max(1));
    if let (Some(before), Some(after)) = (cpu, driven.used(&bench.host)) {
        let name = format!("{name}.cpu_ms");
        bench.report.add(&name, each(after.cpu_s - before.cpu_s), Vec::new());
    }
    if let (Some(before), Some(after)) = (joules, bench.joules()) {
        let name = format!("{name}.energy_mj");
        bench.report.add(&name, each(after - before), Vec::new());
    }
    if seen.late.ms(0.99) > 5.0 {
        bench.remark(format!(
            "{name}: the generator itself was late by {:.1} ms (p99): the machine is busy with more \
             than the node",
            seen.late.ms(0.99)
        ));
    }
    Ok(())
}
