//! Opening the imaging models that are installed, and starting those that run by themselves.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::examinations;
use super::imaging::Opened;
use super::{NodeError, engine_choice, folder};
use crate::app::imaging::models::{Analyses, AnalysesParts, AnalysisStore};
use crate::app::ports::Clock;
use crate::config::Config;
use crate::inference::{ImageModels, InferenceError, LibrarySearch};
use crate::render::Workers;

/// Loads the models of `imaging.models.dir`; none if it names no folder. A model that breaks its
/// promise is left out and the reason logged. Must have returned before the doors open.
pub(super) async fn start(
    config: &Config,
    opened: &Opened,
    (store, clock): (Arc<dyn AnalysisStore>, Arc<dyn Clock>),
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Option<Arc<Analyses>>, NodeError> {
    let Some(dir) = config.imaging.models.dir.clone() else { return Ok(None) };
    let section = config.models.clone();
    let load = move || {
        let (files, refused) = folder::models(&dir, &section.trust())?;
        let library = LibrarySearch::new(section.onnxruntime_library.clone(), None);
        let chosen = engine_choice(section.engine).decide(&library, section.threads);
        let chosen = chosen.map_err(|error: InferenceError| NodeError::Knowledge(error.into()))?;
        Ok::<_, NodeError>(ImageModels::load((&files, refused), &chosen.source, section.queue_max))
    };
    let models = tokio::task::spawn_blocking(load).await;
    let models = models.map_err(|error| NodeError::Imaging(error.into()))??;
    let analyses = Arc::new(Analyses::new(AnalysesParts {
        imaging: Arc::clone(&opened.imaging),
        examinations: Arc::new(examinations(config)?),
        models: Arc::new(models),
        tensors: Arc::<Workers>::clone(&opened.workers),
        clock,
    }));
    for model in analyses.cards() {
        let (id, version) = (&model.id, &model.version);
        tracing::info!(model = id, version, automatic = model.automatic, "imaging model serves");
    }
    for model in analyses.refused() {
        tracing::error!(folder = model.folder, reason = model.reason, "imaging model is refused");
    }
    let failed = |error: crate::app::error::Error| NodeError::Imaging(error.into());
    if let Some(work) = analyses.follow(store).await.map_err(failed)? {
        let stop = stop.clone();
        // What is cut off here is looked at again after the next start.
        tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }
    Ok(Some(analyses))
}
