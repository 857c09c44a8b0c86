//! ONNX Runtime through `ort`, its library loaded at run time.
//!
//! One library and one environment serve the whole process and are never unloaded. Telemetry is
//! off by the environment that `main` gives the program, before the library is loaded; the switch here comes
//! after its first words. Deliberately absent: execution providers other than the CPU, and any download.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array2, ArrayView2, ArrayView4, Ix2};
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::any::{AnyEngine, Numbers, Tensor};
use super::engine::{Engine, EngineSource, F32, ImageEngine, Port, one_row};
use super::error::InferenceError;
use super::library::{LibrarySearch, version_in};

/// The engine's name in configuration and reports.
pub const NAME: &str = "onnxruntime";

/// The session option that says where weights outside the model file are looked for.
const EXTERNAL_FOLDER: &str = "session.model_external_initializers_file_folder_path";
const NO_FOLDER: &str = "/dev/null";

/// ONNX Runtime, loaded and ready to read models.
#[derive(Debug, Clone)]
pub struct OnnxRuntime {
    runtime: Runtime,
    threads: usize,
}

/// The library of this process. `ort` keeps the first one for good and allows one environment.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

#[derive(Debug, Clone)]
struct Runtime {
    environment: Environment,
    path: PathBuf,
    version: String,
}

struct OrtEngine {
    session: Session,
    version: String,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl OnnxRuntime {
    /// Loads the first library of `search` that serves. `threads` is the number of threads one
    /// run may use; with 1 a run stays on the calling thread.
    ///
    /// # Errors
    ///
    /// [`InferenceError::NotAvailable`] with every place looked at and why it did not serve.
    pub fn load(search: &LibrarySearch, threads: usize) -> Result<Self, InferenceError> {
        if cfg!(target_feature = "crt-static") {
            let looked = "this program is linked statically and loads no libraries".to_owned();
            return Err(InferenceError::NotAvailable { engine: NAME, looked });
        }
        // A panic under this lock leaves `None` or a complete runtime behind.
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked = Vec::new();
        for mut place in search.places() {
            if place.problem.is_none() {
                match load(&place.path, &mut loaded) {
                    Ok(runtime) => return Ok(Self { runtime, threads }),
                    Err(problem) => place.problem = Some(problem),
                }
            }
            looked.push(place.to_string());
        }
        let looked = if looked.is_empty() {
            "no place to look for its library was given".to_owned()
        } else {
            format!("looked at {}", looked.join(", "))
        };
        Err(InferenceError::NotAvailable { engine: NAME, looked })
    }

    /// The library in use.
    pub fn path(&self) -> &Path {
        &self.runtime.path
    }
}

impl EngineSource for OnnxRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        self.runtime.version.clone()
    }

    fn open(&self, model: &[u8]) -> Result<Box<dyn Engine>, InferenceError> {
        Ok(Box::new(self.engine(model)?))
    }

    fn open_image(&self, model: &[u8]) -> Result<Box<dyn ImageEngine>, InferenceError> {
        Ok(Box::new(self.engine(model)?))
    }

    fn open_any(&self, model: &[u8]) -> Result<Box<dyn AnyEngine>, InferenceError> {
        Ok(Box::new(self.engine(model)?))
    }
}

impl OnnxRuntime {
    fn engine(&self, model: &[u8]) -> Result<OrtEngine, InferenceError> {
        let session = self
            .session(model)
            .map_err(|error| InferenceError::engine(NAME, "read the model", error))?;
        let ports = |outlets: &[Outlet]| outlets.iter().map(port).collect();
        let (inputs, outputs) = (ports(session.inputs()), ports(session.outputs()));
        Ok(OrtEngine { session, version: self.version(), inputs, outputs })
    }

    fn session(&self, model: &[u8]) -> ort::Result<Session> {
        Session::builder(&self.runtime.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(self.threads)?
            // Waiting threads that spin would take the box's few cores from everything else.
            .with_intra_op_spinning(false)?
            .with_log_level(LogLevel::Warning)?
            // Weights that a model says lie in another file would be read from the working
            // directory, and no digest covers them. Here there is never a file.
            .with_config_entry(EXTERNAL_FOLDER, NO_FOLDER)?
            .commit_from_memory(model)
    }
}

impl Engine for OrtEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        self.version.clone()
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
        output: &str,
    ) -> Result<Array2<f32>, InferenceError> {
        let failed = |error: ort::Error| InferenceError::engine(NAME, "run the model", error);
        let mut values = Vec::with_capacity(inputs.len());
        for (name, rows) in inputs {
            // `ort` would reach into the session's name table with an unknown name.
            if !self.inputs.iter().any(|port| port.name == *name) {
                return Err(InferenceError::input(name, "the graph has no such input"));
            }
            values.push((*name, TensorRef::from_array_view(*rows).map_err(failed)?));
        }
        let outputs = self.session.run(values).map_err(failed)?;
        let value = outputs.get(output).ok_or_else(|| InferenceError::Output {
            message: format!("no output named `{output}`"),
        })?;
        let array = value.try_extract_array::<f32>().map_err(failed)?;
        array.into_dimensionality::<Ix2>().map(|rows| rows.to_owned()).map_err(|_| {
            InferenceError::Output { message: format!("`{output}` that is not a table of rows") }
        })
    }
}

impl ImageEngine for OrtEngine {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run_image(
        &mut self,
        (name, shape, numbers): (&str, [usize; 4], &[f32]),
        outputs: &[&str],
    ) -> Result<Vec<Vec<f32>>, InferenceError> {
        let failed = |error: ort::Error| InferenceError::engine(NAME, "run the model", error);
        // `ort` would reach into the session's name table with an unknown name.
        if !self.inputs.iter().any(|port| port.name == name) {
            return Err(InferenceError::input(name, "the graph has no such input"));
        }
        let view = ArrayView4::from_shape(shape, numbers)
            .map_err(|_| InferenceError::input(name, "the numbers do not fill the shape"))?;
        let value = TensorRef::from_array_view(view).map_err(failed)?;
        let answers = self.session.run(vec![(name, value)]).map_err(failed)?;
        let row = |output: &&str| {
            let value = answers.get(*output).ok_or_else(|| InferenceError::Output {
                message: format!("no output named `{output}`"),
            })?;
            let array = value.try_extract_array::<f32>().map_err(failed)?;
            one_row(output, array.shape())?;
            Ok(array.iter().copied().collect())
        };
        outputs.iter().map(row).collect()
    }
}

impl AnyEngine for OrtEngine {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn run_any(&mut self, inputs: &[Tensor]) -> Result<(), InferenceError> {
        let failed = |error: ort::Error| InferenceError::engine(NAME, "run the model", error);
        let mut values = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            // `ort` would reach into the session's name table with an unknown name.
            if !self.inputs.iter().any(|port| port.name == tensor.name) {
                return Err(InferenceError::input(&tensor.name, "the graph has no such input"));
            }
            values.push((tensor.name.as_str(), value(tensor).map_err(failed)?));
        }
        self.session.run(values).map_err(failed)?;
        Ok(())
    }
}

fn value(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape.as_slice();
    Ok(match &tensor.numbers {
        Numbers::F32(all) => TensorRef::from_array_view((shape, all.as_slice()))?.into(),
        Numbers::I64(all) => TensorRef::from_array_view((shape, all.as_slice()))?.into(),
        Numbers::I32(all) => TensorRef::from_array_view((shape, all.as_slice()))?.into(),
        Numbers::U8(all) => TensorRef::from_array_view((shape, all.as_slice()))?.into(),
        Numbers::I8(all) => TensorRef::from_array_view((shape, all.as_slice()))?.into(),
        Numbers::Bool(all) => TensorRef::from_array_view((shape, all.as_slice()))?.into(),
    })
}

/// Loads the library at `path`, or says why it does not serve.
fn load(path: &Path, loaded: &mut Option<Runtime>) -> Result<Runtime, String> {
    if let Some(runtime) = loaded {
        return if same_file(&runtime.path, path) {
            Ok(runtime.clone())
        } else {
            Err(format!("{} is already loaded", runtime.path.display()))
        };
    }
    // `ort` panics when a library passes for ONNX Runtime but has no usable API.
    let environment = catch_unwind(AssertUnwindSafe(|| {
        ort::init_from(path)
            .map_err(|error| error.to_string())?
            .with_name("xiangyi")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|error| error.to_string())
    }))
    .map_err(|_| "the library has no usable ONNX Runtime interface".to_owned())??;
    environment.set_log_level(LogLevel::Warning);
    let runtime = Runtime { environment, path: path.to_owned(), version: version(path) };
    Ok(loaded.insert(runtime).clone())
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        (Err(_), _) | (_, Err(_)) => a == b,
    }
}

/// The library's version: from its build information (`git-branch=rel-1.2.3`), else its file name, else
/// the commit that it was built from.
fn version(path: &Path) -> String {
    let info = ort::info();
    let branch = info.split_once("git-branch=").map_or("", |(_, rest)| rest);
    let branch = branch.split([',', ' ']).next().unwrap_or("");
    if let Some(release) = branch.strip_prefix("rel-") {
        return release.to_owned();
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match real.file_name().and_then(|n| n.to_str()).and_then(version_in) {
        Some(numbers) if !numbers.is_empty() => {
            numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
        }
        Some(_) | None => {
            let commit = info.split_once("git-commit-id=").map_or("", |(_, rest)| rest);
            match commit.split([',', ' ']).next() {
                Some(id) if !id.is_empty() => format!("of commit {id}"),
                Some(_) | None => "of no known version".to_owned(),
            }
        }
    }
}

fn log(level: LogLevel, category: &str, id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => {
            tracing::error!(target: "onnxruntime", category, id, location, "{message}");
        }
        LogLevel::Warning => {
            tracing::warn!(target: "onnxruntime", category, id, location, "{message}");
        }
        LogLevel::Info | LogLevel::Verbose => {
            tracing::debug!(target: "onnxruntime", category, id, location, "{message}");
        }
    }
}

fn port(outlet: &Outlet) -> Port {
    let (dtype, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let is_f32 = *ty == TensorElementType::Float32;
            let dtype = if is_f32 { F32.to_owned() } else { ty.to_string() };
            (dtype, shape.iter().map(|&size| usize::try_from(size).ok()).collect())
        }
        other @ (ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_)) => {
            (other.to_string(), Vec::new())
        }
    };
    Port { name: outlet.name().to_owned(), dtype, shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(search: &LibrarySearch) -> String {
        match OnnxRuntime::load(search, 1) {
            Err(InferenceError::NotAvailable { engine, looked }) => {
                assert_eq!(engine, NAME);
                looked
            }
            other => panic!("expected `NotAvailable`, got {other:?}"),
        }
    }

    #[test]
    fn a_missing_library_is_reported_with_every_place_looked_at() {
        let empty = tempfile::tempdir().unwrap();
        let looked = refusal(&LibrarySearch {
            configured: Some("/nowhere/libonnxruntime.so".into()),
            environment: Some("/nowhere/else".into()),
            beside: Some(empty.path().into()),
        });
        assert!(looked.contains("/nowhere/libonnxruntime.so ("), "{looked}");
        assert!(looked.contains("/nowhere/else ("), "{looked}");
        assert!(looked.contains(&empty.path().display().to_string()), "{looked}");
    }

    #[test]
    fn a_file_that_is_no_library_is_refused_without_a_panic() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("libonnxruntime.so");
        std::fs::write(&path, b"not a shared object").unwrap();
        let looked =
            refusal(&LibrarySearch { configured: Some(path.clone()), ..Default::default() });
        assert!(looked.contains(&path.display().to_string()), "{looked}");
    }

    #[test]
    fn no_place_to_look_is_said_so() {
        let looked = refusal(&LibrarySearch::default());
        assert!(looked.contains("no place"), "{looked}");
    }
}
