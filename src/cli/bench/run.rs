//! A run: its parts one after the other. What goes wrong in one is told with it, and the others go on; an
//! interruption ends the run, and what was measured so far is told.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::driven::{CONNECTIONS, Driven};
use super::models::Way;
use super::output::{self, Output};
use super::plan::{Budget, Part};
use super::progress::Progress;
use super::{
    EXIT_MISSED, EXIT_NOT_WHOLE, Failure, RunArgs, calls, imaging, models, soak, start, store, sync,
};
use crate::benchmark::clocks::Clocks;
use crate::benchmark::disk;
use crate::benchmark::energy::Energy;
use crate::benchmark::latency::Latencies;
use crate::benchmark::load::Seen;
use crate::benchmark::machine::Host;
use crate::benchmark::report::{Report, Section, SectionState};
use crate::benchmark::require::Requirements;
use crate::benchmark::sensors::Watch;
use crate::benchmark::statistics::{count, number};
use crate::config::{Config, LogFormat, ModelsSection};
use crate::node::SystemClock;
use crate::{lifecycle, telemetry};

/// How often sensors are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Files of shipped models: two models, and one of them again with 8-bit weights.
const SHIPPED: usize = 3;
/// Threads and rows unless asked for.
const BATCHES: [u32; 3] = [1, 8, 32];

/// What the parts of a run share.
pub(super) struct Bench {
    pub(super) budget: Budget,
    pub(super) report: Report,
    pub(super) host: Host,
    /// Folder of the run, on the disk that is measured; it goes with the run.
    pub(super) data: PathBuf,
    pub(super) models_dir: Option<PathBuf>,
    pub(super) given: Vec<PathBuf>,
    pub(super) ways: Vec<Way>,
    pub(super) p99_bound_ms: f64,
    energy: Option<Energy>,
    progress: Progress,
    /// What the part under way could not do.
    notes: Vec<String>,
    seed: u64,
}

/// What is asked for.
struct Asked {
    parts: Vec<Part>,
    soak: Option<Duration>,
    section: ModelsSection,
}

impl Bench {
    /// Tells what is done now.
    pub(super) fn step(&self, message: &str, takes: Duration) {
        self.progress.step(message.to_owned(), takes);
    }

    /// Something that could not be done in the part under way.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// A seed of its own for each load, the same in each run.
    pub(super) fn next_seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed
    }

    /// Joules used so far, where the machine tells.
    pub(super) fn joules(&self) -> Option<f64> {
        self.energy.as_ref().map(Energy::joules)
    }

    /// What a reader must know of the figures, where nothing is missing.
    pub(super) fn remark(&mut self, remark: String) {
        self.report.notes.push(remark);
    }

    /// Quantiles of a load as figures.
    pub(super) fn quantiles(
        &mut self,
        prefix: &str,
        seen: &Seen,
        figures: &[(&str, f64)],
    ) -> Result<(), Failure> {
        let named = figures.iter().map(|(name, share)| (format!("{prefix}.{name}"), *share));
        self.report.add_quantiles(seen, &named.collect::<Vec<_>>())
    }
}

pub(super) async fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    // What is wrong with the arguments is said before anything is measured.
    let required = args.require.as_deref().map(read_requirements).transpose()?;
    let output = args.out.as_deref().map(Output::new).transpose()?;
    let mut config = Config::load(None)?;
    config.log.format = LogFormat::Text;
    "error".clone_into(&mut config.log.level);
    telemetry::start_logging(&config.log);
    lifecycle::raise_files_max();
    let folder = folder(args.data_dir.as_deref())?;
    let (mut bench, asked) = prepare(&args, &folder, config.models)?;
    let mut termination = lifecycle::Termination::listen()?;
    let mut clocks = Clocks::begin(Arc::new(SystemClock));
    bench.report.began = when(clocks.began_ms());
    bench.report.plan = plan_name(&args).to_owned();
    describe(&mut bench, &asked, &folder).await?;

    let mut watch = Watch::begin(&bench.host);
    let mut driven = None;
    let mut interrupted = false;
    for part in asked.parts.clone() {
        if interrupted {
            bench.report.sections.push(Section {
                name: part.name().to_owned(),
                state: SectionState::Interrupted,
                ..Section::default()
            });
            continue;
        }
        if args.target.server.is_some() && !part.is_of_any_node() {
            bench.report.sections.push(Section {
                name: part.name().to_owned(),
                state: SectionState::Skipped,
                seconds: 0.0,
                notes: vec!["wants a node of its own, not one that --server names".to_owned()],
            });
            continue;
        }
        let began = Instant::now();
        let planned = planned(part, &bench, &asked);
        bench.progress.begin(part.title(), planned);
        let done = {
            let work = Box::pin(measure(&mut bench, part, &asked, &args, &mut driven));
            tokio::select! {
                done = work => Some(done),
                () = termination.received() => None,
                () = looking(&mut watch) => None,
            }
        };
        interrupted = done.is_none();
        close(&mut bench, part, done, began.elapsed());
        if let Some(moved) = clocks.look() {
            bench.report.notes.push(moved);
        }
    }
    bench.progress.end();
    drop(driven);
    bench.report.weather = watch.weather();
    let warnings = bench.report.weather.warnings();
    bench.report.notes.extend(warnings);
    bench.report.seconds = clocks.elapsed().as_secs_f64();
    let measured = |section: &Section| section.state == SectionState::Measured;
    bench.report.whole = bench.report.sections.iter().all(measured);
    finish(&bench.report, required.as_ref(), output.as_ref(), args.json)
}

/// Prints and writes the report; the exit code says whether all was measured, and reached.
fn finish(
    report: &Report,
    required: Option<&Requirements>,
    output: Option<&Output>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let held = required.map(|required| required.hold(report)).unwrap_or_default();
    let files = output.map(|output| output.write(report, &held)).transpose()?;
    output::show(report, &held, as_json, files.as_deref().unwrap_or_default())?;
    let nothing = report.metrics.is_empty() && report.models.is_empty();
    if nothing {
        return Err("nothing was measured".into());
    }
    if held.iter().any(|one| !one.met) {
        return Ok(ExitCode::from(EXIT_MISSED));
    }
    Ok(if report.whole { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_WHOLE) })
}

pub(super) fn read_requirements(path: &Path) -> Result<Requirements, Failure> {
    let named = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| named(e.to_string()))?;
    Ok(Requirements::read(&text).map_err(named)?)
}

fn folder(data_dir: Option<&Path>) -> Result<TempDir, Failure> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("xiangyi-bench-");
    match data_dir {
        Some(dir) => builder
            .tempdir_in(dir)
            .map_err(|error| format!("--data-dir {}: {error}", dir.display()).into()),
        None => Ok(builder.tempdir()?),
    }
}

fn plan_name(args: &RunArgs) -> &'static str {
    match (args.quick, args.only.is_empty()) {
        (true, _) => "quick",
        (false, true) => "usual",
        (false, false) => "chosen",
    }
}

fn prepare(
    args: &RunArgs,
    folder: &TempDir,
    mut section: ModelsSection,
) -> Result<(Bench, Asked), Failure> {
    let budget = if args.quick { Budget::QUICK } else { Budget::USUAL };
    if args.target.models_dir.is_some() {
        section.dir.clone_from(&args.target.models_dir);
    }
    let soak = args.soak.map(|minutes| Duration::from_secs(minutes * 60));
    let mut parts: Vec<Part> = Part::ALL.to_vec();
    let asked = |part: &Part| {
        if *part == Part::Soak {
            return args.soak.is_some() || args.only.contains(part);
        }
        if !args.only.is_empty() {
            return args.only.contains(part);
        }
        // A node elsewhere keeps what is brought: images only where they are asked for.
        args.target.server.is_none() || (part.is_of_any_node() && *part != Part::Imaging)
    };
    parts.retain(asked);
    if parts.is_empty() {
        return Err("--only: nothing is left to be measured".into());
    }
    let host = Host::default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let ways = ways(args, u32::try_from(cores)?);
    let energy = Energy::open(&host);
    let soak_time = soak.or(parts.contains(&Part::Soak).then_some(Duration::from_mins(10)));
    let runs = ways.len() * (SHIPPED + args.model.len()) * 2;
    let of_part = |part: &Part| part.planned(&budget, runs, soak_time.unwrap_or_default());
    let all: Duration = parts.iter().map(of_part).sum();
    let mut report = Report::new(String::new());
    report.machine.energy = match &energy {
        Ok(energy) => energy.named(),
        Err(why) => why.clone(),
    };
    let bench = Bench {
        budget,
        report,
        host,
        data: folder.path().to_owned(),
        models_dir: section.dir.clone(),
        given: args.model.clone(),
        ways,
        p99_bound_ms: f64::from(args.p99_bound),
        energy: energy.ok(),
        progress: Progress::new(all, args.json),
        notes: Vec::new(),
        seed: 0,
    };
    Ok((bench, Asked { parts, soak: soak_time, section }))
}

fn ways(args: &RunArgs, cores: u32) -> Vec<Way> {
    let mut threads: Vec<u32> = args.threads.iter().map(|threads| u32::from(*threads)).collect();
    if threads.is_empty() {
        threads = vec![1, cores];
    }
    let mut batches: Vec<u32> = args.batch.iter().map(|rows| u32::from(*rows)).collect();
    if batches.is_empty() {
        batches = BATCHES.to_vec();
    }
    for list in [&mut threads, &mut batches] {
        list.sort_unstable();
        list.dedup();
    }
    let pairs = threads
        .iter()
        .flat_map(|threads| batches.iter().map(|batch| Way { threads: *threads, batch: *batch }));
    pairs.collect()
}

/// The machine, whatever was asked for; a report without it says nothing.
async fn describe(bench: &mut Bench, asked: &Asked, folder: &TempDir) -> Result<(), Failure> {
    let energy = std::mem::take(&mut bench.report.machine.energy);
    let (host, path) = (bench.host.clone(), folder.path().to_owned());
    let section = asked.section.clone();
    let found = tokio::task::spawn_blocking(move || {
        let mut machine = host.machine(&path);
        machine.engines = models::engines(&section);
        machine
    });
    bench.report.machine = found.await?;
    // The last minute's, before anything of ours.
    let load = bench.host.text("proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().and_then(|load| load.parse::<f64>().ok());
    if let Some(load) = load.filter(|load| *load > f64::from(bench.report.machine.cpu.usable) / 2.0)
    {
        bench.remark(format!("other programs were busy before the run began (load {load})"));
    }
    bench.report.machine.energy = energy;
    "none".clone_into(&mut bench.report.node.kind);
    Ok(())
}

fn planned(part: Part, bench: &Bench, asked: &Asked) -> Duration {
    let runs = bench.ways.len() * (SHIPPED + bench.given.len()) * 2;
    part.planned(&bench.budget, runs, asked.soak.unwrap_or_default())
}

/// Looks at the sensors, for ever.
async fn looking(watch: &mut Watch) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        watch.look();
    }
}

/// Measures a part.
async fn measure(
    bench: &mut Bench,
    part: Part,
    asked: &Asked,
    args: &RunArgs,
    driven: &mut Option<Driven>,
) -> Result<(), Failure> {
    match part {
        Part::Machine => machine(bench).await,
        Part::Start => Box::pin(start::measure(bench)).await,
        Part::Models => models::measure(bench, &asked.section).await,
        Part::Store => Box::pin(store::measure(bench)).await,
        Part::Sync => {
            // The nodes of the region have the box to themselves.
            *driven = None;
            Box::pin(sync::measure(bench)).await
        }
        Part::Diagnose
        | Part::Interview
        | Part::Check
        | Part::Plan
        | Part::Imaging
        | Part::Soak => {
            let done = of_node(bench, part, asked, args, driven).await;
            if done.is_err() {
                // What comes after begins with a node of its own.
                *driven = None;
            }
            done
        }
    }
}

/// A part that drives a node, which is started with the first of them.
async fn of_node(
    bench: &mut Bench,
    part: Part,
    asked: &Asked,
    args: &RunArgs,
    driven: &mut Option<Driven>,
) -> Result<(), Failure> {
    if driven.is_none() {
        let started = match &args.target.server {
            Some(_) => Box::pin(Driven::elsewhere(&args.target)).await?,
            None => Box::pin(Driven::start(&bench.data, bench.models_dir.as_deref())).await?,
        };
        let kind = if started.node.is_some() { "child" } else { "remote" };
        kind.clone_into(&mut bench.report.node.kind);
        bench.report.node.engine.clone_from(&started.engine);
        bench.report.node.connections = u32::try_from(CONNECTIONS)?;
        *driven = Some(started);
    }
    let Some(driven) = driven.as_mut() else { return Ok(()) };
    match (part.kind(), part) {
        (Some(kind), _) => Box::pin(calls::measure(bench, driven, kind)).await?,
        (None, Part::Imaging) => Box::pin(imaging::measure(bench, driven)).await?,
        (None, _) => {
            let time = asked.soak.unwrap_or_default();
            Box::pin(soak::measure(bench, driven, time)).await?;
        }
    }
    // Of several parts the last look counts: after most load.
    if let Some(used) = driven.used(&bench.host) {
        let old = |name: &str| name == "start.loaded_mib" || name == "start.peak_mib";
        bench.report.metrics.retain(|metric| !old(&metric.name));
        bench.report.add("start.loaded_mib", used.resident_mib, Vec::new());
        bench.report.add("start.peak_mib", used.peak_mib, Vec::new());
    }
    Ok(())
}

/// Cores, memory, and how long the disk takes.
async fn machine(bench: &mut Bench) -> Result<(), Failure> {
    let (folder, budget) = (bench.data.clone(), bench.budget);
    let syncs =
        tokio::task::spawn_blocking(move || disk::syncs(&folder, budget.fsync, budget.blocks));
    let blocks = syncs.await??;
    let machine = bench.report.machine.clone();
    bench.report.add("machine.cores", f64::from(machine.cpu.usable), Vec::new());
    bench.report.add("machine.memory_mib", machine.memory_mib, Vec::new());
    if let Some(disk) = &machine.disk {
        bench.report.add("machine.disk_free_gib", disk.free_gib, Vec::new());
    }
    let mut all = Latencies::new()?;
    blocks.iter().try_for_each(|block| all.add(block))?;
    let figures =
        [("disk.fsync_p50_ms", 0.5), ("disk.fsync_p99_ms", 0.99)].map(|(n, s)| (n.to_owned(), s));
    let parts: Vec<&Latencies> = blocks.iter().collect();
    bench.report.add_quantiles_of((&all, parts.as_slice()), &figures)?;
    let part = budget.fsync.as_secs_f64() / count(blocks.len().max(1));
    let rates = blocks.iter().map(|block| number(block.len()) / part).collect();
    let rate = number(all.len()) / budget.fsync.as_secs_f64();
    bench.report.add("disk.fsyncs_per_second", rate, rates);
    Ok(())
}

/// Tells what became of a part; none where the run was interrupted.
fn close(bench: &mut Bench, part: Part, done: Option<Result<(), Failure>>, took: Duration) {
    let mut notes = std::mem::take(&mut bench.notes);
    let state = match done {
        None => SectionState::Interrupted,
        Some(Ok(())) if notes.is_empty() => SectionState::Measured,
        Some(Ok(())) => SectionState::Partly,
        Some(Err(error)) => {
            let text = crate::app::chain(error.as_ref());
            notes.insert(0, text);
            SectionState::Failed
        }
    };
    bench.report.sections.push(Section {
        name: part.name().to_owned(),
        state,
        seconds: took.as_secs_f64(),
        notes,
    });
}

/// A time as it stands in a report, to the second.
fn when(ms: i64) -> String {
    let at = jiff::Timestamp::from_second(ms.div_euclid(1_000));
    at.map_or_else(|_| String::new(), |at| at.to_string())
}
