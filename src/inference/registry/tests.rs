//! Tests of the module above: real threads, fake and real engines.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::any::AnyEngine;
use super::super::engine::{Engine, ImageEngine, Port};
use super::super::rten_engine::Rten;
use super::super::testing::{
    self, Barrier, Log, MODEL, NOT_A_NUMBER, engines, fixture, fixture_version, gate, rows, start,
    with_model,
};
use super::*;

fn options() -> WorkerOptions {
    WorkerOptions {
        queue_max: 64,
        batch_max: 8,
        observer: Arc::new(Unobserved),
        clock: Arc::new(Instant::now),
    }
}

fn load(source: &Arc<dyn EngineSource>, files: &Files) -> Result<Models, InferenceError> {
    let chosen = (Arc::clone(source), "test".to_owned());
    Models::load_with(files, chosen, wanted(ModelKind::ALL), options())
}

fn wanted(kinds: &'static [ModelKind]) -> Wanted {
    Wanted { kinds, precision: PrecisionChoice::F32 }
}

fn version(models: &Models) -> String {
    models.get("fixture").unwrap().spec().version.clone()
}

/// The fixture's first self-test: fever and cough, no diarrhoea, a boy of four.
fn common_cold() -> Vec<(&'static str, Vec<f32>)> {
    vec![("findings", vec![1.0, 1.0, -1.0, 0.0]), ("patient", vec![4.0, 1.0])]
}

/// `rten`, but every run after `armed` is set first asks `before`.
struct Hooked {
    inner: Rten,
    armed: Arc<AtomicBool>,
    before: Arc<dyn Fn(usize) + Send + Sync>,
}

struct HookedEngine {
    inner: Box<dyn Engine>,
    armed: Arc<AtomicBool>,
    before: Arc<dyn Fn(usize) + Send + Sync>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

impl EngineSource for Hooked {
    fn name(&self) -> &'static str {
        "hooked"
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn open(&self, model: &[u8]) -> Result<Box<dyn Engine>, InferenceError> {
        let (armed, before) = (Arc::clone(&self.armed), Arc::clone(&self.before));
        Ok(Box::new(HookedEngine { inner: self.inner.open(model)?, armed, before }))
    }

    fn open_image(&self, model: &[u8]) -> Result<Box<dyn ImageEngine>, InferenceError> {
        self.inner.open_image(model)
    }

    fn open_any(&self, model: &[u8]) -> Result<Box<dyn AnyEngine>, InferenceError> {
        self.inner.open_any(model)
    }
}

impl Engine for HookedEngine {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn version(&self) -> String {
        self.inner.version()
    }

    fn inputs(&self) -> &[Port] {
        self.inner.inputs()
    }

    fn outputs(&self) -> &[Port] {
        self.inner.outputs()
    }

    fn run(
        &mut self,
        inputs: &[(&str, ndarray::ArrayView2<'_, f32>)],
        output: &str,
    ) -> Result<ndarray::Array2<f32>, InferenceError> {
        if self.armed.load(Ordering::SeqCst) {
            (self.before)(inputs[0].1.nrows());
        }
        self.inner.run(inputs, output)
    }
}

/// A source whose engines call `before` once the returned switch is set.
fn hooked(
    before: impl Fn(usize) + Send + Sync + 'static,
) -> (Arc<AtomicBool>, Arc<dyn EngineSource>) {
    let armed = Arc::new(AtomicBool::new(false));
    let source =
        Hooked { inner: Rten { threads: 1 }, armed: Arc::clone(&armed), before: Arc::new(before) };
    (armed, Arc::new(source))
}

fn stopping_at(barrier: Barrier) -> (Arc<AtomicBool>, Arc<dyn EngineSource>) {
    hooked(move |rows| barrier.pass(rows))
}

#[tokio::test]
async fn a_loaded_model_serves_and_is_listed() {
    for source in engines() {
        let models = load(&source, &fixture()).unwrap();
        let model = models.get("fixture").unwrap();
        let answer = model.predict(common_cold(), None).await.unwrap();
        assert!((answer[0] - 0.947_661).abs() < 1e-5, "{answer:?}");
        model.self_test().await.unwrap();
        let [info] = <[ModelInfo; 1]>::try_from(models.list()).unwrap();
        assert_eq!((info.id.as_str(), info.version.as_str()), ("fixture", "2026.11.1"));
        assert_eq!(info.engine, source.name());
        assert_eq!(info.engine_version, source.version());
        assert_eq!(info.inputs, [("findings".to_owned(), 4), ("patient".to_owned(), 2)]);
        assert_eq!(info.output, ("probabilities".to_owned(), 3));
        assert_eq!((info.labels, info.self_tests_passed, info.waiting), (3, 3, 0));
        assert!(info.healthy && info.load_ms > 0.0);
        assert_eq!(info.sha256.len(), 64);
        assert!(models.get("gp-differential").is_none());
    }
}

#[tokio::test]
async fn options_choose_the_engine_and_say_why() {
    let models =
        Models::load(&fixture(), Options::new(EngineChoice::Rten, LibrarySearch::default()));
    let engine = models.unwrap().engine();
    assert_eq!((engine.name, engine.reason.as_str()), ("rten", "configured"));
    let Some(library) = testing::ort_library() else { return };
    let search = LibrarySearch { environment: Some(library.clone()), ..Default::default() };
    let models = Models::load(&fixture(), Options::new(EngineChoice::Auto, search)).unwrap();
    assert_eq!(models.engine().name, "onnxruntime");
    assert!(models.engine().reason.contains(&library.display().to_string()));
    models.get("fixture").unwrap().self_test().await.unwrap();
}

#[tokio::test]
async fn a_failing_reload_keeps_the_old_model_serving_and_says_why() {
    for source in engines() {
        let models = load(&source, &fixture_version("2026.11.1")).unwrap();
        let mut damaged = fixture_version("2026.12.1");
        damaged.insert("fixture.onnx", MODEL[..100].to_vec());
        for (files, why) in [
            (damaged, "model `fixture` (fixture.onnx) is refused: expected 490 bytes, found 100"),
            (with_model(NOT_A_NUMBER), "model `fixture` (fixture.onnx) is refused: self-test: "),
            (Files::new(), "manifest.toml: file is missing"),
        ] {
            let error = models.reload(&files).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
            assert_eq!(version(&models), "2026.11.1");
            models.get("fixture").unwrap().self_test().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_request_in_flight_finishes_on_the_model_it_was_sent_to() {
    let (gate, barrier) = gate();
    let (armed, source) = stopping_at(barrier);
    let models = load(&source, &fixture_version("2026.11.1")).unwrap();
    armed.store(true, Ordering::SeqCst);
    let old = models.get("fixture").unwrap();
    let mut in_flight = pin!(old.predict(common_cold(), None));
    start(&mut in_flight).await;
    gate.entered();
    let mut queued = pin!(old.predict(rows(0.0), None));
    start(&mut queued).await;
    armed.store(false, Ordering::SeqCst);
    models.reload(&fixture_version("2026.12.1")).unwrap();
    let new = models.get("fixture").unwrap();
    assert_eq!(new.spec().version, "2026.12.1");
    new.predict(common_cold(), None).await.unwrap();
    gate.open();
    let answer = in_flight.await.unwrap();
    assert!((answer[0] - 0.947_661).abs() < 1e-5, "{answer:?}");
    queued.await.unwrap();
}

#[tokio::test]
async fn the_old_model_is_freed_when_its_last_request_is_done() {
    let (armed, source) = hooked(|_| ());
    let models = load(&source, &fixture_version("2026.11.1")).unwrap();
    let held = models.get("fixture").unwrap();
    // Switch, source and the engine of the old model.
    assert_eq!(Arc::strong_count(&armed), 3);
    models.reload(&fixture_version("2026.12.1")).unwrap();
    assert_eq!(Arc::strong_count(&armed), 4, "the held model is still there");
    held.predict(rows(0.0), None).await.unwrap();
    drop(held);
    let old = models.threads.lock().unwrap().remove(0);
    old.stop();
    assert_eq!(Arc::strong_count(&armed), 3, "the old engine is freed");
    models.get("fixture").unwrap().self_test().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_models_are_replaced_under_load() {
    const CALLERS: usize = 4;
    const REQUESTS: usize = 250;
    for source in engines() {
        let models = Arc::new(load(&source, &fixture_version("2026.11.0")).unwrap());
        let done = Arc::new(AtomicBool::new(false));
        let reloader = {
            let (models, done) = (Arc::clone(&models), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut reloads = 0;
                while reloads < 3 || !done.load(Ordering::SeqCst) {
                    reloads += 1;
                    models.reload(&fixture_version(&format!("2026.11.{reloads}"))).unwrap();
                }
                reloads
            })
        };
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            let models = Arc::clone(&models);
            callers.spawn(async move {
                for _ in 0..REQUESTS {
                    let model = models.get("fixture").unwrap();
                    let answer = model.predict(common_cold(), None).await.unwrap();
                    assert!((answer[0] - 0.947_661).abs() < 1e-5, "{answer:?}");
                }
            });
        }
        while let Some(caller) = callers.join_next().await {
            caller.unwrap();
        }
        done.store(true, Ordering::SeqCst);
        let reloads = reloader.join().unwrap();
        assert_eq!(version(&models), format!("2026.11.{reloads}"));
        models.shutdown();
    }
}

#[tokio::test]
async fn a_panicked_model_is_unhealthy_until_it_is_loaded_again() {
    let (armed, source) = hooked(|_| panic!("torn"));
    let models = load(&source, &fixture()).unwrap();
    assert!(models.is_healthy());
    armed.store(true, Ordering::SeqCst);
    let model = models.get("fixture").unwrap();
    let error = model.self_test().await.unwrap_err().to_string();
    assert_eq!(error, "model `fixture` is not serving: its engine panicked: torn");
    assert!(!models.is_healthy() && !models.list()[0].healthy);
    armed.store(false, Ordering::SeqCst);
    models.reload(&fixture()).unwrap();
    assert!(models.is_healthy());
    models.get("fixture").unwrap().self_test().await.unwrap();
}

#[tokio::test]
async fn shutting_down_answers_what_is_queued_and_ends_every_thread() {
    let (gate, barrier) = gate();
    let (armed, source) = stopping_at(barrier);
    let models = load(&source, &fixture()).unwrap();
    let model = models.get("fixture").unwrap();
    armed.store(true, Ordering::SeqCst);
    let mut running = pin!(model.predict(common_cold(), None));
    start(&mut running).await;
    gate.entered();
    let mut queued = pin!(model.predict(common_cold(), None));
    start(&mut queued).await;
    gate.open();
    gate.open();
    models.shutdown();
    assert_eq!(Arc::strong_count(&armed), 2, "the engine is freed");
    assert!(running.await.is_ok() && queued.await.is_ok());
    let error = model.predict(common_cold(), None).await.unwrap_err().to_string();
    assert_eq!(error, "model `fixture` is not serving: it is shutting down");
    assert!(!models.is_healthy());
}

#[tokio::test]
async fn the_observer_hears_of_every_run() {
    let log = Arc::new(Log::default());
    let options = WorkerOptions { observer: log.clone(), ..options() };
    let source: Arc<dyn EngineSource> = Arc::new(Rten { threads: 1 });
    let models =
        Models::load_with(&fixture(), (source, "test".to_owned()), wanted(ModelKind::ALL), options)
            .unwrap();
    models.get("fixture").unwrap().self_test().await.unwrap();
    models.shutdown();
    assert_eq!(log.batches(), [1, 1, 1]);
}

#[test]
fn only_the_kinds_asked_for_are_loaded() {
    for source in engines() {
        let load = |kinds| {
            let chosen = (Arc::clone(&source), "test".to_owned());
            let files = testing::shipped();
            let models = Models::load_with(&files, chosen, wanted(kinds), options()).unwrap();
            let ids = models.list().into_iter().map(|info| info.id).collect::<Vec<_>>();
            models.shutdown();
            ids
        };
        assert_eq!(load(&[ModelKind::Differential]), ["gp-differential"]);
        assert_eq!(load(ModelKind::ALL), ["gp-differential", "indication-fit"]);
    }
}

#[tokio::test]
async fn a_file_with_8_bit_weights_serves_where_it_is_wanted_and_answers_nearly_the_same() {
    let files = testing::shipped();
    for source in engines() {
        let load = |precision| {
            let chosen = (Arc::clone(&source), "test".to_owned());
            let wanted = Wanted { kinds: &[ModelKind::Differential], precision };
            Models::load_with(&files, chosen, wanted, options()).unwrap()
        };
        let (own, other) = (load(PrecisionChoice::F32), load(PrecisionChoice::Int8));
        let [one, two] = [&own, &other].map(|models| models.list().remove(0));
        assert_eq!((one.precision, two.precision), (Precision::F32, Precision::Int8));
        assert_eq!(two.version, format!("{}+int8", one.version));
        assert_ne!(one.sha256, two.sha256);
        let (one, two) = (own.get(&one.id).unwrap(), other.get(&two.id).unwrap());
        assert!(two.spec().bytes * 2 < one.spec().bytes);
        let mut apart = 0.0_f32;
        for test in &one.spec().self_tests {
            let answer = async |model: &Model| {
                let names = model.spec().inputs.iter().map(|input| input.name.as_str());
                let rows = names.zip(check::inputs_of(model.spec(), test)).collect();
                model.predict(rows, None).await.unwrap()
            };
            let (a, b) = (answer(&one).await, answer(&two).await);
            apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(apart, f32::max);
        }
        assert!(apart > 0.0 && apart < 0.02, "{}: {apart} apart", source.name());
        own.shutdown();
        other.shutdown();
    }
}

#[test]
fn an_altered_file_with_8_bit_weights_is_refused_also_where_it_would_not_be_taken() {
    let mut files = testing::shipped();
    let mut bytes = files.bytes("diagnosis/gp-differential.int8.onnx").unwrap().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    files.insert("diagnosis/gp-differential.int8.onnx", bytes);
    let source: Arc<dyn EngineSource> = Arc::new(Rten { threads: 1 });
    let load = |precision| {
        let chosen = (Arc::clone(&source), "test".to_owned());
        Models::load_with(&files, chosen, Wanted { kinds: ModelKind::ALL, precision }, options())
    };
    for precision in [PrecisionChoice::Int8, PrecisionChoice::F32, PrecisionChoice::Auto] {
        let error = load(precision).unwrap_err().to_string();
        assert!(error.contains("gp-differential.int8.onnx") && error.contains("sha256"), "{error}");
    }
}
