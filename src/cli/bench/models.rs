//! Models by engine, threads and rows: the shipped ones, and any that are given.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Failure;
use super::run::Bench;
use crate::benchmark::latency::Latencies;
use crate::benchmark::machine::EngineThere;
use crate::benchmark::onnx;
use crate::benchmark::report::ModelRun;
use crate::benchmark::statistics::number;
use crate::config::ModelsSection;
use crate::inference::any::{made_up, takes};
use crate::inference::registry::MANIFEST;
use crate::inference::{EngineChoice, EngineSource, InferenceError, LibrarySearch, manifest};
use crate::node::folder;

/// Engines, as they are named.
const ENGINES: [(EngineChoice, &str); 2] =
    [(EngineChoice::OnnxRuntime, "onnxruntime"), (EngineChoice::Rten, "rten")];
/// Runs before those that are timed.
const WARM_UP: usize = 3;
/// Bytes of a given file at most.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// A model to be measured.
#[derive(Debug, Clone)]
struct Model {
    id: String,
    precision: &'static str,
    bytes: Arc<[u8]>,
}

/// A way to run a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) threads: u32,
    pub(super) batch: u32,
}

/// What was seen of a model in one way.
struct Timed {
    blocks: Vec<Latencies>,
    all: Latencies,
    seconds: f64,
}

/// The engines of this machine, and why one is not there.
pub(super) fn engines(section: &ModelsSection) -> Vec<EngineThere> {
    let there = ENGINES.map(|(choice, name)| match source(choice, section, 1) {
        Ok(source) => {
            EngineThere { name: name.to_owned(), version: source.version(), ..Default::default() }
        }
        Err(error) => {
            EngineThere { name: name.to_owned(), missing: error.chain(), ..Default::default() }
        }
    });
    there.to_vec()
}

fn source(
    choice: EngineChoice,
    section: &ModelsSection,
    threads: usize,
) -> Result<Arc<dyn EngineSource>, InferenceError> {
    let search = LibrarySearch::new(section.onnxruntime_library.clone(), None);
    Ok(choice.decide(&search, threads)?.source)
}

/// Measures all of them.
pub(super) async fn measure(bench: &mut Bench, section: &ModelsSection) -> Result<(), Failure> {
    let mut models = shipped(section)?;
    for path in bench.given.clone() {
        match given(&path, &models) {
            Ok(model) => models.push(model),
            Err(error) => bench.note(format!("{}: {error}", path.display())),
        }
    }
    for (choice, engine) in ENGINES {
        for model in &models {
            for (at, way) in bench.ways.clone().into_iter().enumerate() {
                let threads = usize::try_from(way.threads)?;
                let source = match source(choice, section, threads) {
                    Ok(source) => source,
                    Err(error) => {
                        bench.note(format!("{engine}: {}", error.chain()));
                        break;
                    }
                };
                bench.step(
                    &format!(
                        "{engine} {} {} t{} b{}",
                        model.id, model.precision, way.threads, way.batch
                    ),
                    bench.budget.model,
                );
                if let Some(error) = one(bench, model, (engine, source), way).await? {
                    // It is said once for each model and engine.
                    if at == 0 {
                        bench.note(format!("{} on {engine}: {error}", model.id));
                        bench.report.models.push(ModelRun { error, ..blank(model, engine, way) });
                    }
                    break;
                }
            }
        }
    }
    Ok(())
}

fn blank(model: &Model, engine: &str, way: Way) -> ModelRun {
    ModelRun {
        id: model.id.clone(),
        engine: engine.to_owned(),
        precision: model.precision.to_owned(),
        threads: way.threads,
        batch: way.batch,
        ..ModelRun::default()
    }
}

/// Measures one way; what the engine objects to. A number of rows that the model does not take is passed
/// over.
async fn one(
    bench: &mut Bench,
    model: &Model,
    (engine, source): (&str, Arc<dyn EngineSource>),
    way: Way,
) -> Result<Option<String>, Failure> {
    let (budget, bytes) = (bench.budget, Arc::clone(&model.bytes));
    let joules = bench.joules();
    let timing = tokio::task::spawn_blocking(move || {
        timed(source.as_ref(), &bytes, way, budget.model, budget.blocks)
    });
    let timed = match timing.await {
        Ok(Ok(Some(timed))) => timed,
        Ok(Ok(None)) => return Ok(None),
        Ok(Err(error)) => return Ok(Some(error.to_string())),
        Err(_) => return Ok(Some("the engine broke off while it ran the model".to_owned())),
    };
    let rows = number(timed.all.len()) * f64::from(way.batch);
    let each = |joules: f64| joules * 1_000.0 / rows.max(1.0);
    let energy = joules.zip(bench.joules()).map(|(before, after)| each(after - before));
    let per_second = rows / timed.seconds.max(1e-9);
    let rate = |block: &Latencies| f64::from(way.batch) * 1_000.0 / block.mean_ms().max(1e-9);
    let rates: Vec<f64> = timed.blocks.iter().filter(|b| !b.is_empty()).map(rate).collect();
    let run = ModelRun {
        runs: timed.all.len(),
        p50_ms: timed.all.ms(0.5),
        p95_ms: timed.all.ms(0.95),
        p99_ms: timed.all.ms(0.99),
        rows_per_second: per_second,
        energy_mj_per_row: energy,
        ..blank(model, engine, way)
    };
    let prefix =
        format!("model.{}.{engine}.{}.t{}.b{}", run.id, run.precision, run.threads, run.batch);
    let figures = [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)];
    let figures = figures.map(|(name, share)| (format!("{prefix}.{name}"), share));
    let blocks: Vec<&Latencies> = timed.blocks.iter().collect();
    bench.report.add_quantiles_of((&timed.all, blocks.as_slice()), &figures)?;
    bench.report.add(&format!("{prefix}.rows_per_second"), per_second, rates);
    if let Some(energy) = energy {
        bench.report.add(&format!("{prefix}.energy_mj_per_row"), energy, Vec::new());
    }
    bench.report.models.push(run);
    Ok(None)
}

/// Runs a model for a while; none where it does not take so many rows. Blocks.
fn timed(
    source: &dyn EngineSource,
    bytes: &[u8],
    way: Way,
    time: Duration,
    blocks: usize,
) -> Result<Option<Timed>, Failure> {
    let told = |error: InferenceError| error.chain();
    let mut engine = source.open_any(bytes).map_err(told)?;
    let batch = usize::try_from(way.batch)?;
    if !takes(engine.inputs(), batch) {
        return Ok(None);
    }
    let inputs = made_up(engine.inputs(), batch).map_err(told)?;
    for _ in 0..WARM_UP {
        engine.run_any(&inputs).map_err(told)?;
    }
    let slice = time / u32::try_from(blocks.max(1))?;
    let mut timed =
        Timed { blocks: Vec::with_capacity(blocks), all: Latencies::new()?, seconds: 0.0 };
    for _ in 0..blocks.max(1) {
        let mut block = Latencies::new()?;
        let begun = Instant::now();
        // One run at least, also of a model that takes longer than its part of the time.
        while block.is_empty() || begun.elapsed() < slice {
            let from = Instant::now();
            engine.run_any(&inputs).map_err(told)?;
            let took = from.elapsed();
            block.record(took);
            timed.all.record(took);
        }
        timed.seconds += begun.elapsed().as_secs_f64();
        timed.blocks.push(block);
    }
    Ok(Some(timed))
}

fn shipped(section: &ModelsSection) -> Result<Vec<Model>, Failure> {
    let files = folder::tables(section)?;
    let mut models = Vec::new();
    for spec in manifest::read(&files, MANIFEST)? {
        let others = spec.variants.iter().map(|variant| &variant.file);
        for file in std::iter::once(&spec.file).chain(others) {
            let bytes = files.bytes(file)?;
            let precision = onnx::precision(bytes);
            models.push(Model { id: spec.id.clone(), precision, bytes: bytes.into() });
        }
    }
    Ok(models)
}

/// A file, under a name that stands in names of figures and is not taken.
fn given(path: &Path, others: &[Model]) -> Result<Model, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("{size} bytes are more than a model may have here"));
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let mut id: String = stem.chars().map(plain).collect();
    while id.is_empty() || others.iter().any(|other| other.id == id) {
        id.push_str("-2");
    }
    Ok(Model { id, precision: onnx::precision(&bytes), bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_file_gets_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my model.v2.onnx");
        std::fs::write(&path, b"x").unwrap();
        let first = given(&path, &[]).unwrap();
        assert_eq!((first.id.as_str(), first.precision), ("my_model_v2", "unknown"));
        assert_eq!(given(&path, &[first]).unwrap().id, "my_model_v2-2");
        assert!(given(&folder.path().join("none.onnx"), &[]).is_err());
    }

    #[test]
    fn what_an_engine_cannot_read_is_an_error_that_says_so() {
        let rten = source(EngineChoice::Rten, &ModelsSection::default(), 1).unwrap();
        let way = Way { threads: 1, batch: 1 };
        let found = timed(rten.as_ref(), b"no model", way, Duration::from_millis(1), 1);
        let error = found.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("rten failed to read the model"), "{error}");
    }

    #[test]
    fn a_shipped_model_is_timed_in_blocks() {
        let section = ModelsSection::default();
        let rten = source(EngineChoice::Rten, &section, 1).unwrap();
        let models = shipped(&section).unwrap();
        assert!(models.iter().any(|model| model.id == "gp-differential"));
        let way = Way { threads: 1, batch: 2 };
        let time = Duration::from_millis(20);
        let seen = timed(rten.as_ref(), &models[0].bytes, way, time, 4).unwrap().unwrap();
        assert_eq!(seen.blocks.len(), 4);
        assert_eq!(seen.all.len(), seen.blocks.iter().map(Latencies::len).sum::<u64>());
        assert!(seen.blocks.iter().all(|block| !block.is_empty()) && seen.seconds > 0.0);
    }
}
