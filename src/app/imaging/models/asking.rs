//! Models that are asked to look at a study.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::analysing::{Analysed, Outcome, Subject};
use super::{Analyses, ModelCard, RefusedModel};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::imaging::images::Images;
use crate::app::imaging::ports::Selection;
use crate::app::imaging::search::validate_uid;
use crate::app::imaging::{INSTANCES_PAGE_MAX, Requester};
use crate::app::request::Problems;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::query::Level;

/// Models named at most.
const MODELS_MAX: usize = 16;
/// Images of one call at most.
const IMAGES_MAX: usize = 2_000;

/// Asks models to look at a study.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnalysisRequest {
    /// Study instance UID.
    pub study: String,
    /// Only this series; empty for all.
    pub series: String,
    /// Only this instance; empty for all.
    pub instance: String,
    /// Models by id; none for all that are for an image.
    pub models: Vec<String>,
}

/// An analysis under way: one model on one image after the other, as they are asked for.
#[derive(Debug)]
pub struct Analysis {
    analyses: Arc<Analyses>,
    requester: Requester,
    todo: VecDeque<(Arc<ModelCard>, Arc<Subject>)>,
    summary: AnalysisSummary,
}

/// How an analysis came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnalysisSummary {
    /// Said and kept.
    pub said: u64,
    /// Said before.
    pub said_before: u64,
    /// Images that a model did not take.
    pub not_taken: u64,
    /// Images of the study that no model is for.
    pub not_matching: u64,
}

/// The imaging models of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstalledModels {
    /// Those that serve.
    pub serving: Vec<Arc<ModelCard>>,
    /// Those that do not.
    pub refused: Vec<RefusedModel>,
}

impl App {
    /// The imaging models that are installed, whether they serve or not.
    pub fn imaging_models(&self, caller: &Caller) -> Result<InstalledModels, Error> {
        authorise(caller, Action::ListModels)?;
        let images = self.images()?;
        let Some(analyses) = &images.analyses else { return Ok(InstalledModels::default()) };
        Ok(InstalledModels {
            serving: analyses.cards().cloned().collect(),
            refused: analyses.refused().to_vec(),
        })
    }

    /// Asks models to look at a study.
    pub async fn analyse_study(
        &self,
        caller: &Caller,
        request: &AnalysisRequest,
    ) -> Result<Analysis, Error> {
        authorise(caller, Action::AnalyseImages)?;
        let images = self.images()?;
        request.validate()?;
        let none = || Error::Refused {
            reason: "no imaging model is installed: imaging.models.dir names none".to_owned(),
        };
        let requester = Requester::of(caller.clone());
        images.imaging.must_be_near(&requester, &request.study, Action::AnalyseImages).await?;
        let subjects = images.subjects(&requester, request).await?;
        let analyses = Arc::clone(images.analyses.as_ref().ok_or_else(none)?);
        for model in &request.models {
            if !analyses.serving.contains_key(model) {
                return Err(Error::field("model_ids", "must be ids of imaging models that serve"));
            }
        }
        let mut summary = AnalysisSummary::default();
        let mut todo = VecDeque::new();
        for subject in subjects {
            let subject = Arc::new(subject);
            let asked = |card: &&Arc<ModelCard>| {
                request.models.is_empty() || request.models.contains(&card.id)
            };
            let before = todo.len();
            for card in analyses.for_image(&subject.header).filter(asked) {
                todo.push_back((Arc::clone(card), Arc::clone(&subject)));
            }
            if todo.len() == before {
                summary.not_matching += 1;
            }
        }
        Ok(Analysis { analyses, requester, todo, summary })
    }
}

impl Analysis {
    /// What the next model says of the next image; none at the end.
    pub async fn next(&mut self) -> Result<Option<Analysed>, Error> {
        let Some((card, subject)) = self.todo.pop_front() else { return Ok(None) };
        let analysed = self.analyses.analyse(&card.id, &subject, Some(&self.requester)).await?;
        let count = match &analysed.outcome {
            Outcome::Said { .. } => &mut self.summary.said,
            Outcome::SaidBefore { .. } => &mut self.summary.said_before,
            Outcome::NotTaken { .. } => &mut self.summary.not_taken,
        };
        *count += 1;
        Ok(Some(analysed))
    }

    /// How it came out so far.
    pub fn summary(&self) -> AnalysisSummary {
        self.summary
    }
}

impl Outcome {
    /// For logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Said { .. } => "said",
            Self::SaidBefore { .. } => "said before",
            Self::NotTaken { .. } => "not taken",
        }
    }
}

impl AnalysisRequest {
    fn validate(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        validate_uid(&mut problems, "study_uid", &self.study);
        for (field, uid) in [("series_uid", &self.series), ("sop_instance_uid", &self.instance)] {
            if !uid.is_empty() {
                validate_uid(&mut problems, field, uid);
            }
        }
        let few = self.models.len() <= MODELS_MAX;
        problems.unless(few, "model_ids", "must have at most 16 entries");
        problems.finish()
    }
}

impl Images {
    /// The images that a request names, with their headers.
    async fn subjects(
        &self,
        requester: &Requester,
        request: &AnalysisRequest,
    ) -> Result<Vec<Subject>, Error> {
        let one = |uid: &String| if uid.is_empty() { Vec::new() } else { vec![uid.clone()] };
        let selection = Selection {
            patient_id: None,
            studies: vec![request.study.clone()],
            series: one(&request.series),
            instances: one(&request.instance),
        };
        let images = self.imaging.instances(requester, selection, 0, INSTANCES_PAGE_MAX).await?;
        if images.is_empty() {
            return Err(Error::NotFound { kind: "study" });
        }
        let images: Vec<_> = images.into_iter().filter(|image| image.frames > 0).collect();
        if images.len() > IMAGES_MAX {
            let reason = format!(
                "the study has more than {IMAGES_MAX} images: name a series or an instance"
            );
            return Err(Error::Refused { reason });
        }
        let studies = [request.study.clone()];
        let found = self.below(requester, Level::Image, &studies, Vec::new()).await?;
        let mut headers: HashMap<String, Header> =
            found.into_iter().map(|one| (one.header.instance.uid.clone(), one.header)).collect();
        let with_header = images.into_iter().filter_map(|image| {
            let header = headers.remove(&image.uids.instance)?;
            Some(Subject { image, header })
        });
        Ok(with_header.collect())
    }
}
