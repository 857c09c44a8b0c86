//! A long run at half of the knee of Diagnose: whether answers become slower, memory grows, or the box
//! becomes too hot.

use std::time::Duration;

use super::Failure;
use super::calls::{self, IN_FLIGHT_MAX, by};
use super::driven::Driven;
use super::plan::Kind;
use super::run::Bench;
use crate::benchmark::load::{ClosedLoad, OpenLoad, closed_loop, open_loop};
use crate::benchmark::report::SoakPart;
use crate::benchmark::sensors::Watch;
use crate::benchmark::statistics::{count, mean};

/// Parts in time at most, and how long one is at least.
const PARTS_MAX: u32 = 120;
const PART_MIN: Duration = Duration::from_secs(5);
/// Where the knee is not known, half of what clients that wait get.
const GUESS: ClosedLoad = ClosedLoad { clients: 16, time: Duration::from_secs(2), blocks: 1 };

/// Lets it run for `time`.
pub(super) async fn measure(
    bench: &mut Bench,
    driven: &mut Driven,
    time: Duration,
) -> Result<(), Failure> {
    let call = calls::call(&driven.clients, Kind::Diagnose).await?;
    let known = bench.report.metric("diagnose.knee_per_second").map(|metric| metric.value);
    let knee = match known {
        Some(knee) => knee,
        None => closed_loop(GUESS, by(&call)).await?.per_second(),
    };
    if knee <= 0.0 {
        return Err("no call was answered".into());
    }
    let part = (time / PARTS_MAX).max(PART_MIN).min(time);
    let parts = usize::try_from(time.as_millis() / part.as_millis().max(1))?.max(1);
    bench.step(&format!("soak: {:.0}/s", knee / 2.0), Duration::ZERO);
    let load = OpenLoad {
        per_second: knee / 2.0,
        time,
        seed: bench.next_seed(),
        in_flight_max: IN_FLIGHT_MAX,
        blocks: parts,
    };
    let mut looks = Vec::new();
    let seen = {
        let watched = async {
            loop {
                tokio::time::sleep(part).await;
                let heat = Watch::begin(&bench.host).weather().temperature_max_c;
                looks.push((driven.used(&bench.host).map(|used| used.resident_mib), heat));
                bench.step("soak", part);
            }
        };
        tokio::select! {
            seen = open_loop(&load, by(&call)) => seen?,
            () = watched => return Ok(()),
        }
    };
    driven.is_there()?;
    let rates = seen.rates();
    bench.report.soak = seen
        .blocks
        .iter()
        .zip(&rates)
        .enumerate()
        .map(|(at, (block, rate))| {
            let (resident_mib, temperature_c) = looks.get(at).copied().unwrap_or_default();
            SoakPart {
                until_s: count(at + 1) * part.as_secs_f64(),
                done_per_second: *rate,
                p50_ms: block.latency.ms(0.5),
                p99_ms: block.latency.ms(0.99),
                resident_mib,
                temperature_c,
            }
        })
        .collect();
    bench.report.add("soak.per_second", seen.per_second(), rates);
    bench.quantiles("soak", &seen, &[("p99_ms", 0.99)])?;
    bench.report.add("soak.failed_percent", seen.failed_share() * 100.0, Vec::new());
    let medians = seen.quantiles(0.5);
    if let Some(drift) = drift(&medians) {
        bench.report.add("soak.p50_drift_percent", drift.max(0.0), Vec::new());
    }
    let resident: Vec<f64> = looks.iter().filter_map(|look| look.0).collect();
    if let (Some(first), Some(last)) = (resident.first(), resident.last()) {
        bench.report.add("soak.growth_mib", (last - first).max(0.0), Vec::new());
    }
    Ok(())
}

/// By how many percent the last fifth is above the first.
fn drift(medians: &[f64]) -> Option<f64> {
    let part = (medians.len() / 5).max(1);
    let first = mean(medians.get(..part)?)?;
    let last = mean(medians.get(medians.len().checked_sub(part)?..)?)?;
    (first > 0.0).then(|| (last / first - 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_that_of_the_last_fifth_against_the_first() {
        let rising: Vec<f64> = (0..10).map(|n| 10.0 + f64::from(n)).collect();
        // 18.5 after 10.5.
        assert!((drift(&rising).unwrap() - 76.19).abs() < 0.01);
        assert_eq!(drift(&[5.0]), Some(0.0));
        assert_eq!(drift(&[]), None);
        assert!(drift(&[2.0, 1.0]).unwrap() < 0.0);
    }
}
