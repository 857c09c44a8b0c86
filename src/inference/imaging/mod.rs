//! Imaging models: each in a folder of its own with a `model.toml`, held to it when it is loaded,
//! and run on a thread of its own behind a bounded queue.
//!
//! One model that breaks its promise is left out and told of; the others serve. Deliberately
//! absent: any model (none is shipped), batches (an image fills an engine), and how an image
//! becomes a tensor (that is `render`).

mod check;
mod manifest;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::manifest::Manifest;
use self::worker::Worker;
use super::engine::EngineSource;
use super::port::translate;
use crate::app::error::Error;
use crate::app::imaging::models::{ImagingModels, ModelCard, RefusedModel};
use crate::app::ports::BoxFuture;
use crate::tables::files::Files;

/// Name of the manifest in a model's folder.
const MANIFEST: &str = "model.toml";
/// Models at most.
const MODELS_MAX: usize = 64;

/// The imaging models of a node. Their threads end when this is dropped.
#[derive(Debug)]
pub struct ImageModels {
    cards: Vec<Arc<ModelCard>>,
    refused: Vec<RefusedModel>,
    workers: BTreeMap<String, Worker>,
}

impl ImageModels {
    /// Loads the model of every folder of `files` that has a manifest; `refused` were refused
    /// before. Blocks.
    pub fn load(
        (files, refused): (&Files, Vec<RefusedModel>),
        source: &Arc<dyn EngineSource>,
        queue_max: usize,
    ) -> Self {
        let mut models = Self { cards: Vec::new(), refused, workers: BTreeMap::new() };
        let suffix = format!("/{MANIFEST}");
        let folders: BTreeSet<String> = files
            .paths()
            .filter_map(|path| path.strip_suffix(&suffix))
            .map(str::to_owned)
            .collect();
        for folder in folders {
            match models.open(files, &folder, source, queue_max) {
                Ok((card, worker)) => {
                    models.workers.insert(card.id.clone(), worker);
                    models.cards.push(Arc::new(card));
                }
                Err(reason) => models.refused.push(RefusedModel { folder, reason }),
            }
        }
        models
    }

    fn open(
        &self,
        files: &Files,
        folder: &str,
        source: &Arc<dyn EngineSource>,
        queue_max: usize,
    ) -> Result<(ModelCard, Worker), String> {
        if self.cards.len() >= MODELS_MAX {
            return Err(format!("at most {MODELS_MAX} models are loaded"));
        }
        let text = files.text(&format!("{folder}/{MANIFEST}")).map_err(|e| e.message)?;
        let manifest = manifest::read(text)?;
        if self.workers.contains_key(&manifest.id) {
            return Err("id is that of another model".to_owned());
        }
        let engine = check::open(files, folder, &manifest, source.as_ref())?;
        let card = card(&manifest, source.as_ref());
        let worker = Worker::start(manifest, engine, queue_max)
            .map_err(|error| format!("a thread cannot be had: {error}"))?;
        Ok((card, worker))
    }
}

fn card(manifest: &Manifest, source: &dyn EngineSource) -> ModelCard {
    ModelCard {
        id: manifest.id.clone(),
        version: manifest.version.clone(),
        title: manifest.title.clone(),
        manufacturer: manifest.manufacturer.clone(),
        sha256: manifest.sha256.clone(),
        engine: format!("{} {}", source.name(), source.version()),
        certificate: manifest.certificate.clone(),
        automatic: manifest.automatic,
        purpose: manifest.purpose.clone(),
        input: manifest.tensor.clone(),
        outputs: manifest.outputs.iter().map(|(_, output)| output.clone()).collect(),
        known_answers: manifest.known_answers.len(),
    }
}

impl ImagingModels for ImageModels {
    fn cards(&self) -> &[Arc<ModelCard>] {
        &self.cards
    }

    fn refused(&self) -> &[RefusedModel] {
        &self.refused
    }

    fn run<'a>(
        &'a self,
        model: &'a str,
        tensor: Vec<f32>,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, Error>> {
        Box::pin(async move {
            let worker = self.workers.get(model).ok_or(Error::NotFound { kind: "model" })?;
            worker.run(tensor).await.map_err(translate)
        })
    }
}
