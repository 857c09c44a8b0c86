//! Tables and models: as they were signed, loaded by the engine that the node would take, and giving the
//! answers that they are to give.

use std::sync::Arc;

use super::seen::Seen;
use super::{Notes, apart};
use crate::app::chain;
use crate::app::imaging::models::ImagingModels as _;
use crate::config::{Config, EngineName};
use crate::inference::{ImageModels, LibrarySearch};
use crate::node::{ModelFiles, engine_choice, folder};
use crate::telemetry::Metrics;

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    let config = seen.config.clone();
    let to = notes.clone();
    if apart(move || look(&config, &to)).await.is_err() {
        notes.fail("models", ("loading broke off", "report what stands on standard error"));
    }
}

fn look(config: &Config, notes: &Notes) {
    let section = &config.models;
    let search = LibrarySearch::new(section.onnxruntime_library.clone(), None);
    let advice = "`scripts/onnxruntime` fetches the library; name it in models.onnxruntime_library, or \
                  put it beside the program";
    let chosen = match engine_choice(section.engine).decide(&search, section.threads) {
        Ok(chosen) => chosen,
        Err(error) => {
            notes.fail("engine", (chain(&error), advice));
            return;
        }
    };
    let engine = format!("{} {}", chosen.source.name(), chosen.source.version());
    // A static program has no other.
    let is_second = section.engine == EngineName::Auto
        && chosen.source.name() == "rten"
        && !cfg!(target_feature = "crt-static");
    if is_second {
        let found = format!("{engine} serves; ONNX Runtime is not found: {}", chosen.reason);
        notes.warn("engine", (found, format!("{advice}; or set models.engine = \"rten\"")));
    } else {
        notes.ok("engine", format!("{engine}, {}", chosen.reason));
    }
    let subject = section.dir.as_ref().map_or_else(
        || "tables and models in the program".to_owned(),
        |dir| format!("models.dir {}", dir.display()),
    );
    match ModelFiles::build(section, Arc::new(Metrics::new())) {
        Ok(knowledge) => {
            let count = knowledge.models.len();
            notes.ok(subject, format!("load, and {count} models pass their self-test"));
        }
        Err(error) => {
            let advice = "put the release back as it was signed (`xiangyi models verify DIR` names every \
                          file); a running node goes on with what it has";
            notes.fail(subject, (chain(error.as_ref()), advice));
        }
    }
    let Some(dir) = &config.imaging.models.dir else { return };
    let subject = format!("imaging.models.dir {}", dir.display());
    let (files, refused) = match folder::models(dir, &section.trust()) {
        Ok(read) => read,
        Err(error) => {
            let advice = "mend the path, or put the folder back as it was signed";
            return notes.fail(subject, (chain(&error), advice));
        }
    };
    let models = ImageModels::load((&files, refused), &chosen.source, section.queue_max);
    for model in models.refused() {
        let found = format!("is left out: {}", model.reason);
        let advice = "mend its model.toml, or have its maker send it again; the other models serve";
        notes.fail(format!("imaging model {}", model.folder), (found, advice));
    }
    notes.ok(subject, format!("{} models load", models.cards().len()));
}
