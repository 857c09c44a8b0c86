//! Imaging models: which are installed, what they say of images, and how that is kept.
//!
//! A model says what it sees on one image as a structured report of its own kind
//! (`sharing::imaging::suggestion`), stored the way every object is stored. It is a suggestion of
//! software: `study` never takes it for a report. The same model in the same version says one thing
//! of one image; what is there already is not made again.
//!
//! Models run when they are asked ([`AnalysisRequest`]), and by themselves on what is newly stored
//! where their manifest says so (`following`). Deliberately absent: any model, and images of
//! several frames.

mod analysing;
mod asking;
mod card;
mod following;
mod ports;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};

pub use self::analysing::{Analysed, Outcome};
pub use self::asking::{Analysis, AnalysisRequest, AnalysisSummary, InstalledModels};
pub use self::card::{
    Certificate, Code, GreyRange, LabelCard, ModelCard, OutputCard, Purpose, RESEARCH_ONLY,
    RefusedModel, TensorSpec,
};
use self::following::Follower;
pub use self::ports::{AnalysisStore, ImagingModels, Tensors};
use super::Imaging;
use crate::app::error::Error;
use crate::app::ports::{BoxFuture, Clock};
use crate::sharing::imaging::examination::Examinations;

/// Bytes of one object at most that is given to a model.
const OBJECT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of all objects that are in memory at the same time for models, in pieces.
const OBJECTS_UNITS: usize = 512;
/// Bytes of such a piece.
const OBJECT_UNIT_BYTES: u64 = 1024 * 1024;

/// What analysing works with.
#[derive(Debug)]
pub struct AnalysesParts {
    /// Where images are found and suggestions kept.
    pub imaging: Arc<Imaging>,
    /// What examinations are.
    pub examinations: Arc<Examinations>,
    /// The models.
    pub models: Arc<dyn ImagingModels>,
    /// Makes their input.
    pub tensors: Arc<dyn Tensors>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The installed models at work.
#[derive(Debug)]
pub struct Analyses {
    imaging: Arc<Imaging>,
    examinations: Arc<Examinations>,
    models: Arc<dyn ImagingModels>,
    tensors: Arc<dyn Tensors>,
    clock: Arc<dyn Clock>,
    /// Those whose regions and examinations the tables know, each with a lock: of one model one
    /// image at a time, so that nothing is said twice.
    serving: BTreeMap<String, (Arc<ModelCard>, Mutex<()>)>,
    refused: Vec<RefusedModel>,
    memory: Semaphore,
}

/// A task that runs until its node stops.
pub type Work = BoxFuture<'static, ()>;

impl Analyses {
    /// Holds what models are for against the tables. One that names what they do not know is
    /// refused.
    pub fn new(parts: AnalysesParts) -> Self {
        let AnalysesParts { imaging, examinations, models, tensors, clock } = parts;
        let mut refused = models.refused().to_vec();
        let mut serving = BTreeMap::new();
        for card in models.cards() {
            match unknown(&card.purpose, &examinations) {
                None => {
                    serving.insert(card.id.clone(), (Arc::clone(card), Mutex::new(())));
                }
                Some(reason) => refused.push(RefusedModel { folder: card.id.clone(), reason }),
            }
        }
        let memory = Semaphore::new(OBJECTS_UNITS);
        Self { imaging, examinations, models, tensors, clock, serving, refused, memory }
    }

    /// The task that runs models by themselves on what is newly stored; none if no model wants
    /// that. Finds its place in the change feed: must have returned before the doors open, so that
    /// the place is before whatever comes in. Dropping the task stops it; nothing is lost by that.
    pub async fn follow(
        self: &Arc<Self>,
        store: Arc<dyn AnalysisStore>,
    ) -> Result<Option<Work>, Error> {
        if !self.cards().any(|card| card.automatic) {
            return Ok(None);
        }
        let follower = Follower::start(Arc::clone(self), store).await?;
        Ok(Some(Box::pin(follower.run())))
    }

    /// Models that serve, by id.
    pub fn cards(&self) -> impl Iterator<Item = &Arc<ModelCard>> {
        self.serving.values().map(|(card, _)| card)
    }

    /// Models that do not, and why.
    pub fn refused(&self) -> &[RefusedModel] {
        &self.refused
    }
}

/// What of a model's purpose the tables do not know.
fn unknown(purpose: &Purpose, examinations: &Examinations) -> Option<String> {
    if let Some(id) = purpose.regions.iter().find(|id| examinations.region(id).is_none()) {
        return Some(format!("for.regions: {id:?} is no region of imaging/regions.csv"));
    }
    let known = |id: &&String| examinations.examination(id).is_none();
    let id = purpose.examinations.iter().find(known)?;
    Some(format!("for.examinations: {id:?} is no examination of imaging/examinations.csv"))
}
