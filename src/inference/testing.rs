//! What the tests of this layer share: the fixture, the engines at hand, and scripted engines.

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Once};
use std::task::Poll;
use std::time::Duration;

use ndarray::{Array2, ArrayView2};

use super::check::hex;
use super::engine::{Engine, EngineSource, F32, Port};
use super::error::InferenceError;
use super::library::LibrarySearch;
use super::observer::{Dropped, Observer, RunReport};
use super::onnxruntime::OnnxRuntime;
use super::rten_engine::Rten;
use crate::tables::files::Files;

macro_rules! model {
    ($path:literal) => {
        include_bytes!(concat!("../../tests/fixtures/models/", $path))
    };
}

pub(super) const MANIFEST_PATH: &str = super::registry::MANIFEST;
pub(super) const MANIFEST: &str = include_str!("../../tests/fixtures/models/manifest.toml");
pub(super) const MODEL: &[u8] = model!("fixture.onnx");
pub(super) const FIVE_FINDINGS: &[u8] = model!("bad/five-findings.onnx");
pub(super) const FOUR_LABELS: &[u8] = model!("bad/four-labels.onnx");
pub(super) const OTHER_NAMES: &[u8] = model!("bad/other-names.onnx");
pub(super) const FIXED_BATCH: &[u8] = model!("bad/fixed-batch.onnx");
pub(super) const WHOLE_NUMBERS: &[u8] = model!("bad/whole-numbers.onnx");
pub(super) const NOT_A_NUMBER: &[u8] = model!("bad/not-a-number.onnx");
pub(super) const UNNORMALISED: &[u8] = model!("bad/unnormalised.onnx");
pub(super) const WEIGHTS_ELSEWHERE: &[u8] = model!("bad/weights-elsewhere.onnx");
pub(super) const MIXED_ROWS: &[u8] = model!("bad/mixed-rows.onnx");

/// How long a test waits for a thread before it fails instead of hanging.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The fixture's files.
pub(super) fn fixture() -> Files {
    let mut files = Files::new();
    files.insert(MANIFEST_PATH, MANIFEST.as_bytes());
    files.insert("fixture.onnx", MODEL);
    files.insert("CARD.md", b"card".as_slice());
    files
}

/// The fixture with another model, whose size and digest the manifest gives correctly.
pub(super) fn with_model(bytes: &[u8]) -> Files {
    use sha2::{Digest as _, Sha256};
    let digest = |bytes: &[u8]| format!("sha256 = \"{}\"", hex(&Sha256::digest(bytes)));
    let size = |bytes: &[u8]| format!("bytes = {}\n", bytes.len());
    assert!(MANIFEST.contains(&digest(MODEL)) && MANIFEST.contains(&size(MODEL)));
    let manifest =
        MANIFEST.replace(&digest(MODEL), &digest(bytes)).replace(&size(MODEL), &size(bytes));
    let mut files = fixture();
    files.insert(MANIFEST_PATH, manifest.into_bytes());
    files.insert("fixture.onnx", bytes.to_vec());
    files
}

/// The fixture in another version, otherwise the same.
pub(super) fn fixture_version(version: &str) -> Files {
    let mut files = fixture();
    files.insert(MANIFEST_PATH, MANIFEST.replace("2026.11.1", version).into_bytes());
    files
}

/// Every file under `models/` of this repository.
pub(super) fn shipped() -> Files {
    fn read(root: &Path, directory: &Path, files: &mut Files) {
        for entry in std::fs::read_dir(directory).expect("models/ can be read") {
            let path = entry.expect("models/ can be read").path();
            if path.is_dir() {
                read(root, &path, files);
            } else {
                let name = path.strip_prefix(root).expect("is below the root").to_str();
                files.insert(name.expect("is UTF-8"), std::fs::read(&path).expect("can be read"));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let mut files = Files::new();
    read(&root, &root, &mut files);
    files
}

/// ONNX Runtime's library from `ORT_DYLIB_PATH`. Without one the test says on the terminal that it
/// runs on `rten` only; with `XIANGYI_REQUIRE_ORT=1` it fails.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration that could tell them")]
pub(super) fn ort_library() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    if let Some(path) = std::env::var("ORT_DYLIB_PATH").ok().filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let required = std::env::var("XIANGYI_REQUIRE_ORT").is_ok_and(|value| value == "1");
    assert!(!required, "XIANGYI_REQUIRE_ORT=1, but ORT_DYLIB_PATH names no ONNX Runtime library");
    // Straight to the terminal: the test harness hides what a passing test prints.
    SAID.call_once(|| {
        let note = "NOTE: inference tests ran on rten only; ONNX Runtime was NOT tested \
                    (set ORT_DYLIB_PATH to its library)";
        let _ = writeln!(std::io::stderr(), "{note}");
    });
    None
}

/// Every engine at hand; each test of the suite runs on all of them.
pub(super) fn engines() -> Vec<Arc<dyn EngineSource>> {
    let mut engines: Vec<Arc<dyn EngineSource>> = vec![Arc::new(Rten { threads: 1 })];
    if let Some(library) = ort_library() {
        let search = LibrarySearch { environment: Some(library), ..Default::default() };
        engines.push(Arc::new(OnnxRuntime::load(&search, 1).expect("ONNX Runtime loads")));
    }
    engines
}

/// Rows for the fixture's inputs; the scripted engines answer `[first, 1 - first, 0]`.
pub(super) fn rows(first: f32) -> Vec<(&'static str, Vec<f32>)> {
    vec![("findings", vec![first, 0.0, 0.0, 0.0]), ("patient", vec![30.0, 0.0])]
}

/// What [`echo`] answers to [`rows`].
pub(super) fn echoed(first: f32) -> Vec<f32> {
    vec![first, 1.0 - first, 0.0]
}

/// Answers each row with what [`echoed`] says.
pub(super) fn echo(findings: &ArrayView2<'_, f32>) -> Array2<f32> {
    Array2::from_shape_fn((findings.nrows(), 3), |(row, label)| echoed(findings[[row, 0]])[label])
}

/// Polls a future once, so that its request is queued, and leaves it pending.
pub(super) async fn start<F: Future>(future: &mut Pin<&mut F>) {
    std::future::poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending(), "answered at once");
        Poll::Ready(())
    })
    .await;
}

type Run = Box<dyn FnMut(&ArrayView2<'_, f32>) -> Result<Array2<f32>, InferenceError> + Send>;

/// An engine that does what its script says with the findings.
pub(super) struct FakeEngine {
    run: Run,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl FakeEngine {
    pub(super) fn scripted(
        run: impl FnMut(&ArrayView2<'_, f32>) -> Result<Array2<f32>, InferenceError> + Send + 'static,
    ) -> Box<dyn Engine> {
        let port = |name: &str, width| Port {
            name: name.to_owned(),
            dtype: F32.to_owned(),
            shape: vec![None, Some(width)],
        };
        Box::new(Self {
            run: Box::new(run),
            inputs: vec![port("findings", 4), port("patient", 2)],
            outputs: vec![port("probabilities", 3)],
        })
    }
}

impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(
        &mut self,
        inputs: &[(&str, ArrayView2<'_, f32>)],
        _output: &str,
    ) -> Result<Array2<f32>, InferenceError> {
        (self.run)(&inputs[0].1)
    }
}

/// The test's side of a gate that stops an engine at the start of every run.
pub(super) struct Gate {
    entered: Receiver<usize>,
    open: Sender<()>,
}

/// The engine's side.
pub(super) struct Barrier {
    entered: Sender<usize>,
    open: Mutex<Receiver<()>>,
}

pub(super) fn gate() -> (Gate, Barrier) {
    let (entered, entered_rx) = channel();
    let (open, open_rx) = channel();
    (Gate { entered: entered_rx, open }, Barrier { entered, open: Mutex::new(open_rx) })
}

impl Gate {
    /// Waits until a run has begun; the size of its batch.
    pub(super) fn entered(&self) -> usize {
        self.entered.recv_timeout(PATIENCE).expect("a run begins")
    }

    /// Lets one run go on.
    pub(super) fn open(&self) {
        let _ = self.open.send(());
    }
}

impl Barrier {
    /// Stops until the gate is opened, or is gone.
    pub(super) fn pass(&self, rows: usize) {
        let _ = self.entered.send(rows);
        let _ = self.open.lock().expect("one engine per barrier").recv_timeout(PATIENCE);
    }
}

/// Remembers everything it is told.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub runs: Mutex<Vec<RunReport>>,
    pub dropped: Mutex<Vec<Dropped>>,
    pub depths: Mutex<Vec<usize>>,
}

impl Observer for Log {
    fn queue_depth(&self, _model: &str, waiting: usize) {
        self.depths.lock().unwrap().push(waiting);
    }

    fn ran(&self, _model: &str, report: &RunReport) {
        self.runs.lock().unwrap().push(*report);
    }

    fn dropped(&self, _model: &str, why: Dropped) {
        self.dropped.lock().unwrap().push(why);
    }
}

impl Log {
    /// Batch sizes in order.
    pub(super) fn batches(&self) -> Vec<usize> {
        self.runs.lock().unwrap().iter().map(|run| run.rows).collect()
    }

    pub(super) fn drops(&self) -> Vec<Dropped> {
        self.dropped.lock().unwrap().clone()
    }
}
