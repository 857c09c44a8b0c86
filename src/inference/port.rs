//! The application's model ports over loaded models.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::InferenceError;
use super::manifest::{Column, DIAGNOSIS, MEDICINE};
use super::registry::{Model, Models};
use crate::app::error::Error;
use crate::app::ports::{self, BoxFuture, ModelDescription, Predictor};

/// Id of the general-practice differential in the manifest.
pub const DIFFERENTIAL: &str = "gp-differential";
/// Id of the indication-fit model in the manifest.
pub const INDICATION_FIT: &str = "indication-fit";
/// The differential's input of findings: +1 present, -1 absent, 0 not asked.
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

/// The indication-fit model.
#[derive(Debug)]
pub struct IndicationFit {
    // Keeps the model's thread alive for as long as somebody holds this set.
    _models: Arc<Models>,
    model: Arc<Model>,
    description: ModelDescription,
    /// ICD-10 category to its place in the input of diagnoses.
    diagnoses: HashMap<String, usize>,
    /// Medicine to its place in the input of medicines; none that must not be asked about.
    medicines: HashMap<String, usize>,
    hint_below: f32,
}

/// The model `id`; an error when the manifest has none.
fn named(models: &Models, id: &str) -> Result<Arc<Model>, InferenceError> {
    models.get(id).ok_or_else(|| InferenceError::Manifest {
        file: "manifest.toml".to_owned(),
        message: format!("has no model `{id}`"),
        source: None,
    })
}

impl Differential {
    /// The differential of `models`; an error when the manifest has none.
    pub fn new(models: Arc<Models>) -> Result<Self, InferenceError> {
        let model = named(&models, DIFFERENTIAL)?;
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

impl IndicationFit {
    /// The indication-fit model of `models`; an error when the manifest has none.
    pub fn new(models: Arc<Models>) -> Result<Self, InferenceError> {
        let model = named(&models, INDICATION_FIT)?;
        let spec = model.spec();
        let places = |ids: &[String]| -> HashMap<String, usize> {
            ids.iter().cloned().enumerate().map(|(at, id)| (id, at)).collect()
        };
        let diagnoses = places(&spec.features);
        let mut medicines = places(&spec.labels);
        medicines.retain(|medicine, _| !spec.not_asked.contains(medicine));
        let hint_below = spec.hint_below.unwrap_or_default();
        let description = describe(&model);
        Ok(Self { _models: models, model, description, diagnoses, medicines, hint_below })
    }

    async fn score(&self, diagnoses: Vec<f32>, medicine: usize) -> Result<Option<f32>, Error> {
        let mut one = vec![0.0; self.model.spec().labels.len()];
        if let Some(place) = one.get_mut(medicine) {
            *place = 1.0;
        }
        let rows = vec![(DIAGNOSIS, diagnoses), (MEDICINE, one)];
        let answer = self.model.predict(rows, None).await.map_err(translate)?;
        Ok(answer.first().copied())
    }
}

impl ports::IndicationFit for IndicationFit {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn hint_below(&self) -> f32 {
        self.hint_below
    }

    fn fit<'a>(
        &'a self,
        categories: &'a [String],
        medicines: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<f32>>, Error>> {
        Box::pin(async move {
            let mut given = vec![0.0; self.model.spec().features.len()];
            let mut known = false;
            for at in categories.iter().filter_map(|category| self.diagnoses.get(category)) {
                if let Some(place) = given.get_mut(*at) {
                    (*place, known) = (1.0, true);
                }
            }
            if !known {
                return Ok(vec![None; medicines.len()]);
            }
            // Queued together, so that they run as one batch.
            let asked = medicines.iter().map(|medicine| {
                let place = self.medicines.get(medicine).copied();
                let given = given.clone();
                async move {
                    match place {
                        Some(place) => self.score(given, place).await,
                        None => Ok(None),
                    }
                }
            });
            futures_util::future::try_join_all(asked).await
        })
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
        precision: info.precision.name(),
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

pub(super) fn translate(error: InferenceError) -> Error {
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
