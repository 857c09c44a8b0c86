//! `ListImagingModels` and `AnalyseStudy`.

use std::pin::Pin;

use futures_util::stream::{Stream, try_unfold};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::app::error::Error;
use crate::app::imaging::models::{
    Analysed, Analysis, AnalysisRequest, AnalysisSummary, Certificate, InstalledModels, LabelCard,
    ModelCard, Outcome, RefusedModel,
};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::analyse_study_response as answer;
use crate::sharing::imaging::suggestion::{Finding, MARK};

/// The answers.
pub(super) type Answers =
    Pin<Box<dyn Stream<Item = Result<pb::AnalyseStudyResponse, Status>> + Send>>;

/// One message for each model and image, then the summary.
pub(super) fn answers(analysis: Analysis, stop: CancellationToken) -> Answers {
    Box::pin(try_unfold(Some((analysis, stop)), |state| async move {
        let Some((mut analysis, stop)) = state else { return Ok(None) };
        let next = tokio::select! {
            next = analysis.next() => next?,
            () = stop.cancelled() => {
                return Err(Error::Unavailable { what: "node", cause: None }.into());
            }
        };
        let said = |part| pb::AnalyseStudyResponse { part: Some(part) };
        Ok(Some(match next {
            Some(one) => (said(answer::Part::Analysis(one.into())), Some((analysis, stop))),
            None => (said(answer::Part::Summary(analysis.summary().into())), None),
        }))
    }))
}

impl From<pb::AnalyseStudyRequest> for AnalysisRequest {
    fn from(r: pb::AnalyseStudyRequest) -> Self {
        Self {
            study: r.study_uid,
            series: r.series_uid,
            instance: r.sop_instance_uid,
            models: r.model_ids,
        }
    }
}

impl From<InstalledModels> for pb::ListImagingModelsResponse {
    fn from(installed: InstalledModels) -> Self {
        let refused = installed.refused.into_iter();
        Self {
            models: installed.serving.iter().map(|card| card.as_ref().into()).collect(),
            refused: refused
                .map(|RefusedModel { folder, reason }| pb::RefusedImagingModel { folder, reason })
                .collect(),
        }
    }
}

impl From<&ModelCard> for pb::ImagingModel {
    fn from(card: &ModelCard) -> Self {
        let labels = card.outputs.iter().flat_map(|output| &output.labels);
        Self {
            model_id: card.id.clone(),
            version: card.version.clone(),
            title: card.title.clone(),
            manufacturer: card.manufacturer.clone(),
            sha256: card.sha256.clone(),
            engine: card.engine.clone(),
            certificate: match &card.certificate {
                Certificate::ResearchOnly => String::new(),
                Certificate::Number(number) => number.clone(),
            },
            automatic: card.automatic,
            modalities: card.purpose.modalities.clone(),
            regions: card.purpose.regions.clone(),
            examinations: card.purpose.examinations.clone(),
            view_positions: card.purpose.view_positions.clone(),
            labels: labels.map(Into::into).collect(),
            known_answer_count: u32::try_from(card.known_answers).unwrap_or(u32::MAX),
        }
    }
}

impl From<&LabelCard> for pb::ImagingLabel {
    fn from(label: &LabelCard) -> Self {
        let code = label.code.as_ref();
        Self {
            label_id: label.id.clone(),
            name: label.name.clone(),
            code: code.map(|code| format!("{}:{}", code.scheme, code.value)).unwrap_or_default(),
            threshold: label.threshold.into(),
        }
    }
}

impl From<Finding> for pb::ImagingSuggestion {
    fn from(finding: Finding) -> Self {
        Self {
            passes: finding.passes(),
            label_id: finding.id,
            name: finding.name,
            probability: finding.probability.into(),
            threshold: finding.threshold.into(),
        }
    }
}

impl From<Analysed> for pb::ImageAnalysis {
    fn from(one: Analysed) -> Self {
        let (outcome, report, findings, reason) = match one.outcome {
            Outcome::Said { report, findings } => {
                (pb::AnalysisOutcome::Said, report, findings, String::new())
            }
            Outcome::SaidBefore { report } => {
                (pb::AnalysisOutcome::SaidBefore, report, Vec::new(), String::new())
            }
            Outcome::NotTaken { reason } => {
                (pb::AnalysisOutcome::NotTaken, String::new(), Vec::new(), reason)
            }
        };
        Self {
            model_id: one.model,
            model_version: one.version,
            sop_instance_uid: one.instance,
            outcome: outcome.into(),
            report_sop_instance_uid: report,
            suggestions: findings.into_iter().map(Into::into).collect(),
            reason,
        }
    }
}

impl From<AnalysisSummary> for pb::AnalysisSummary {
    fn from(summary: AnalysisSummary) -> Self {
        Self {
            said_count: summary.said,
            said_before_count: summary.said_before,
            not_taken_count: summary.not_taken,
            not_matching_count: summary.not_matching,
            disclaimer: format!("{MARK}。须由医师阅片判断。"),
        }
    }
}
