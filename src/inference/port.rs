//! The application's predictor port over a loaded model.

use std::sync::Arc;
use std::time::Duration;

use super::error::InferenceError;
use super::manifest::Column;
use super::registry::{Model, Models};
use crate::app::error::Error;
use crate::app::ports::{BoxFuture, ModelDescription, Predictor};

/// Id of the general-practice differential in the manifest.
pub const DIFFERENTIAL: &str = "gp-differential";
/// Its input of findings: +1 present, -1 absent, 0 not asked.
const FINDINGS_INPUT: &str = "findings";
/// Its input of age and sex.
const PATIENT_INPUT: &str = "patient";

/// The general-practice differential.
#[derive(Debug)]
pub struct Differential {
    // Keeps the model's thread alive for as long as somebody holds this set.
    _models: Arc<Models>,
    model: Arc<Model>,
    description: ModelDescription,
}

impl Differential {
    /// The differential of `models`; an error when the manifest has none.
    pub fn new(models: Arc<Models>) -> Result<Self, InferenceError> {
        let model = models.get(DIFFERENTIAL).ok_or_else(|| InferenceError::Manifest {
            file: "manifest.toml".to_owned(),
            message: format!("has no model `{DIFFERENTIAL}`"),
            source: None,
        })?;
        let description = describe(&model);
        Ok(Self { _models: models, model, description })
    }
}

impl Predictor for Differential {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn predict(
        &self,
        findings: Vec<f32>,
        patient: [f32; 2],
    ) -> BoxFuture<'_, Result<Vec<f32>, Error>> {
        Box::pin(async move {
            let rows = vec![(FINDINGS_INPUT, findings), (PATIENT_INPUT, patient.to_vec())];
            self.model.predict(rows, None).await.map_err(translate)
        })
    }

    fn healthy(&self) -> bool {
        self.model.is_healthy()
    }
}

/// Everything there is to know about `model`.
pub fn describe(model: &Model) -> ModelDescription {
    let info = model.info();
    let spec = model.spec();
    let tensor = |name: &str, width: usize| {
        (name.to_owned(), "f32".to_owned(), vec!["batch".to_owned(), width.to_string()])
    };
    let load = Duration::try_from_secs_f64(info.load_ms / 1000.0).unwrap_or_default();
    ModelDescription {
        id: info.id,
        version: info.version,
        sha256: info.sha256,
        size_bytes: spec.bytes,
        engine: format!("{} {}", info.engine, info.engine_version),
        inputs: spec.inputs.iter().map(|Column { name, width }| tensor(name, *width)).collect(),
        outputs: vec![tensor(&spec.output.name, spec.output.width)],
        features: spec.features.clone(),
        labels: spec.labels.clone(),
        load_us: u64::try_from(load.as_micros()).unwrap_or(u64::MAX),
        self_test_count: info.self_tests_passed,
    }
}

fn translate(error: InferenceError) -> Error {
    match error {
        InferenceError::Overloaded { .. } => {
            Error::Overloaded { what: "model queue", retry_after: Duration::from_millis(100) }
        }
        InferenceError::Expired { .. } => Error::DeadlineExceeded,
        InferenceError::Stopped { .. } => {
            Error::Unavailable { what: "model", cause: Some(Box::new(error)) }
        }
        InferenceError::Manifest { .. }
        | InferenceError::NotAvailable { .. }
        | InferenceError::Refused { .. }
        | InferenceError::Engine { .. }
        | InferenceError::Input { .. }
        | InferenceError::Output { .. } => Error::internal("model", error),
    }
}
