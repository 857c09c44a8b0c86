//! The models of this node: loaded together, listed, replaced together.
//!
//! A new set is built and checked completely before it takes over; requests in flight finish on
//! the old one. Loading blocks: call it from a thread that may block. Deliberately absent: partial
//! success. One bad model refuses the whole set, so that a node never serves half a release.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::check;
use super::choice::EngineChoice;
use super::engine::EngineSource;
use super::error::InferenceError;
use super::library::LibrarySearch;
use super::manifest::{self, ModelKind, ModelSpec};
use super::observer::{Observer, Unobserved};
use super::precision::{CpuFeature, Precision, PrecisionChoice};
use super::worker::{Clock, Worker, WorkerOptions, WorkerThread};
use crate::tables::files::Files;

/// Where the manifest stands among the knowledge files.
pub const MANIFEST: &str = "manifest.toml";

/// How models are run.
#[derive(Clone)]
pub struct Options {
    /// Which engine.
    pub engine: EngineChoice,
    /// Kinds of models to load; those of other kinds are read in the manifest and left alone.
    pub kinds: &'static [ModelKind],
    /// Which of a model's files.
    pub precision: PrecisionChoice,
    /// Where ONNX Runtime's library is looked for.
    pub library: LibrarySearch,
    /// Threads one run may use.
    pub threads: usize,
    /// Requests that may wait per model.
    pub queue_max: usize,
    /// Requests that run together at most.
    pub batch_max: usize,
    /// Watches the model threads.
    pub observer: Arc<dyn Observer>,
    /// Tells the time.
    pub clock: Clock,
}

/// All models of this node.
#[derive(Debug)]
pub struct Models {
    set: ArcSwap<Set>,
    source: Arc<dyn EngineSource>,
    reason: String,
    wanted: Wanted,
    options: WorkerOptions,
    /// Threads that may still run, those of replaced sets included. Locked during a reload, so
    /// that two do not overlap.
    threads: Mutex<Vec<WorkerThread>>,
}

/// Which models, and which files of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) kinds: &'static [ModelKind],
    pub(super) precision: PrecisionChoice,
}

/// A model that serves.
#[derive(Debug)]
pub struct Model {
    spec: ModelSpec,
    engine: &'static str,
    engine_version: String,
    load_ms: f64,
    worker: Worker,
}

/// What there is to know about a model that serves.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Stable id.
    pub id: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the model file, lower-case hex; checked at load.
    pub sha256: String,
    /// What most of its weights are.
    pub precision: Precision,
    /// Engine name.
    pub engine: &'static str,
    /// Engine version.
    pub engine_version: String,
    /// Inputs as name and numbers per row.
    pub inputs: Vec<(String, usize)>,
    /// Output as name and numbers per row.
    pub output: (String, usize),
    /// Number of labels.
    pub labels: usize,
    /// Milliseconds from bytes to a model that passed its checks.
    pub load_ms: f64,
    /// Self-tests that passed at load; a model that fails one is never listed.
    pub self_tests_passed: usize,
    /// Whether it takes requests now.
    pub healthy: bool,
    /// Requests waiting now.
    pub waiting: usize,
}

/// The engine all models of this node run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `onnxruntime` or `rten`.
    pub name: &'static str,
    /// Version.
    pub version: String,
    /// Why this one.
    pub reason: String,
}

type Set = BTreeMap<String, Arc<Model>>;

impl Options {
    /// Defaults for a small box: all kinds, the files that the manifest names for the engine and the
    /// processor, one thread per run, batches of 32, 256 waiting, not observed.
    pub fn new(engine: EngineChoice, library: LibrarySearch) -> Self {
        Self {
            engine,
            kinds: ModelKind::ALL,
            precision: PrecisionChoice::Auto,
            library,
            threads: 1,
            queue_max: 256,
            batch_max: 32,
            observer: Arc::new(Unobserved),
            clock: Arc::new(Instant::now),
        }
    }
}

impl Models {
    /// Chooses the engine and loads every model of the manifest. Blocks.
    ///
    /// # Errors
    ///
    /// [`InferenceError::NotAvailable`], [`InferenceError::Manifest`] or
    /// [`InferenceError::Refused`]; then no model is loaded.
    pub fn load(files: &Files, options: Options) -> Result<Self, InferenceError> {
        let chosen = options.engine.decide(&options.library, options.threads.max(1))?;
        let worker = WorkerOptions {
            queue_max: options.queue_max,
            batch_max: options.batch_max,
            observer: options.observer,
            clock: options.clock,
        };
        let wanted = Wanted { kinds: options.kinds, precision: options.precision };
        Self::load_with(files, (chosen.source, chosen.reason), wanted, worker)
    }

    /// Replaces all models by those of `files`, or keeps the old ones and says why. Requests in
    /// flight finish on the model they were sent to. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Models::load`]; the old models go on serving.
    pub fn reload(&self, files: &Files) -> Result<(), InferenceError> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, started) = build(files, &self.source, self.wanted, &self.options)?;
        let old = self.set.swap(Arc::new(set));
        threads.retain(|thread| !thread.is_finished());
        threads.extend(started);
        drop(threads);
        for (id, model) in self.set.load().iter() {
            let before = old.get(id).map(|old| old.spec.version.as_str());
            tracing::info!(model = id, version = model.spec.version, before, "model loaded");
        }
        Ok(())
    }

    /// The model `id`. Hold it for one request only: a held model outlives a reload.
    pub fn get(&self, id: &str) -> Option<Arc<Model>> {
        self.set.load().get(id).map(Arc::clone)
    }

    /// All models, ordered by id.
    pub fn list(&self) -> Vec<ModelInfo> {
        self.set.load().values().map(|model| model.info()).collect()
    }

    /// Whether every model takes requests.
    pub fn is_healthy(&self) -> bool {
        self.set.load().values().all(|model| model.is_healthy())
    }

    /// The engine in use and why.
    pub fn engine(&self) -> EngineInfo {
        EngineInfo {
            name: self.source.name(),
            version: self.source.version(),
            reason: self.reason.clone(),
        }
    }

    /// Takes no more requests, answers those queued and waits for all model threads. Blocks.
    pub fn shutdown(&self) {
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            thread.stop();
        }
    }

    /// Loads with a given engine.
    pub(super) fn load_with(
        files: &Files,
        (source, reason): (Arc<dyn EngineSource>, String),
        wanted: Wanted,
        options: WorkerOptions,
    ) -> Result<Self, InferenceError> {
        tracing::info!(engine = source.name(), version = source.version(), reason, "engine chosen");
        let (set, threads) = build(files, &source, wanted, &options)?;
        let set = ArcSwap::from_pointee(set);
        Ok(Self { set, source, reason, wanted, options, threads: Mutex::new(threads) })
    }
}

impl Model {
    /// What the manifest says: features and labels in their order, and more.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The probabilities of the labels for one row; see [`Worker::predict`].
    pub async fn predict(
        &self,
        rows: Vec<(&str, Vec<f32>)>,
        deadline: Option<Instant>,
    ) -> Result<Vec<f32>, InferenceError> {
        self.worker.predict(rows, deadline).await
    }

    /// Runs the self-tests again, through the queue like any request: what a health check asks.
    ///
    /// # Errors
    ///
    /// [`InferenceError::Refused`] if an answer has changed, or what [`Worker::predict`] answers.
    pub async fn self_test(&self) -> Result<(), InferenceError> {
        for (number, test) in self.spec.self_tests.iter().enumerate() {
            let names = self.spec.inputs.iter().map(|input| input.name.as_str());
            let rows = names.zip(check::inputs_of(&self.spec, test)).collect();
            let answer = self.worker.predict(rows, None).await?;
            check::judge(&self.spec, test, &answer).map_err(|message| {
                self.spec.refused(format!("self-test {}: {message}", number + 1))
            })?;
        }
        Ok(())
    }

    /// Whether the model takes requests.
    pub fn is_healthy(&self) -> bool {
        self.worker.is_healthy()
    }

    /// What there is to know about the model.
    pub fn info(&self) -> ModelInfo {
        let spec = &self.spec;
        ModelInfo {
            id: spec.id.clone(),
            version: spec.version.clone(),
            sha256: spec.sha256.clone(),
            precision: spec.precision,
            engine: self.engine,
            engine_version: self.engine_version.clone(),
            inputs: spec.inputs.iter().map(|input| (input.name.clone(), input.width)).collect(),
            output: (spec.output.name.clone(), spec.output.width),
            labels: spec.labels.len(),
            load_ms: self.load_ms,
            self_tests_passed: spec.self_tests.len(),
            healthy: self.is_healthy(),
            waiting: self.worker.waiting(),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("engine", &self.engine)
            .field("kinds", &self.kinds)
            .field("precision", &self.precision)
            .field("library", &self.library)
            .field("threads", &self.threads)
            .field("queue_max", &self.queue_max)
            .field("batch_max", &self.batch_max)
            .finish_non_exhaustive()
    }
}

/// Opens and checks every model, then starts their threads.
fn build(
    files: &Files,
    source: &Arc<dyn EngineSource>,
    wanted: Wanted,
    options: &WorkerOptions,
) -> Result<(Set, Vec<WorkerThread>), InferenceError> {
    let mut opened = Vec::new();
    for spec in manifest::read(files, MANIFEST)? {
        if !wanted.kinds.contains(&spec.kind) {
            continue;
        }
        check::whole(files, &spec)?;
        let spec = spec.fitting(wanted.precision, source.name(), CpuFeature::is_here);
        let started = (options.clock)();
        let engine = check::open(files, &spec, source.as_ref())?;
        let took = (options.clock)().saturating_duration_since(started);
        opened.push((spec, engine, took.as_secs_f64() * 1e3));
    }
    let (mut set, mut threads) = (Set::new(), Vec::new());
    for (spec, engine, load_ms) in opened {
        let (name, engine_version) = (engine.name(), engine.version());
        let (worker, thread) =
            Worker::start(&spec.id, &spec.inputs, &spec.output, engine, options.clone())?;
        threads.push(thread);
        let id = spec.id.clone();
        set.insert(id, Arc::new(Model { spec, engine: name, engine_version, load_ms, worker }));
    }
    Ok((set, threads))
}

#[cfg(test)]
mod tests;
