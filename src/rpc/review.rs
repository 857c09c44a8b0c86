//! `ReviewPrescriptions`: as fast as the caller sends, one answer for each prescription, and the
//! statistics at the end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, try_unfold};
use tonic::{Response, Status, Streaming};

use super::proto::xiangyi::prescription::v1 as pb;
use super::proto::xiangyi::prescription::v1::review_prescriptions_response::Result as Reply;
use crate::app::App;
use crate::app::access::Caller;
use crate::app::error::Error;
use crate::app::request::{CheckRequest, ID_CHARS_MAX};
use crate::app::review::{Review, Reviewed, Statistics};

/// How long a caller may wait between two prescriptions.
const SILENCE_MAX: Duration = Duration::from_mins(10);

/// The node's side of a review.
pub(super) type Answers =
    Pin<Box<dyn Stream<Item = Result<pb::ReviewPrescriptionsResponse, Status>> + Send>>;

struct Talk {
    app: Arc<App>,
    caller: Caller,
    review: Review,
    prescriptions: Streaming<pb::ReviewPrescriptionsRequest>,
    over: bool,
}

/// Denied before anything is read.
pub(super) fn open(
    app: Arc<App>,
    caller: Caller,
    prescriptions: Streaming<pb::ReviewPrescriptionsRequest>,
) -> Result<Response<Answers>, Status> {
    let review = app.begin_review(&caller)?;
    let talk = Talk { app, caller, review, prescriptions, over: false };
    let answers = try_unfold(talk, |mut talk| async move {
        let reply = talk.reply().await?;
        Ok(reply.map(|reply| (pb::ReviewPrescriptionsResponse { result: Some(reply) }, talk)))
    });
    Ok(Response::new(Box::pin(answers)))
}

impl Talk {
    async fn reply(&mut self) -> Result<Option<Reply>, Status> {
        if self.over {
            return Ok(None);
        }
        let message = tokio::time::timeout(SILENCE_MAX, self.prescriptions.message()).await;
        let Some(message) = message.map_err(|_| Error::DeadlineExceeded)?? else {
            self.over = true;
            let statistics = self.app.end_review(&self.caller, &self.review).await?;
            return Ok(Some(Reply::Statistics(statistics.into())));
        };
        let id: String = message.prescription_id.chars().take(ID_CHARS_MAX).collect();
        let request = CheckRequest::try_from(message.prescription.unwrap_or_default());
        let reviewed = self.review.add(request);
        let reviewed = pb::ReviewedPrescription { prescription_id: id, ..reviewed.into() };
        Ok(Some(Reply::Reviewed(reviewed)))
    }
}

impl From<Reviewed> for pb::ReviewedPrescription {
    fn from(reviewed: Reviewed) -> Self {
        Self {
            prescription_id: String::new(),
            findings: reviewed.problems.into_iter().map(Into::into).collect(),
            review_codes: reviewed.review_codes,
            unchecked_count: reviewed.unchecked_count,
            problems: reviewed.rejected,
        }
    }
}

impl From<Statistics> for pb::ReviewStatistics {
    fn from(s: Statistics) -> Self {
        Self {
            prescription_count: s.prescription_count,
            rejected_count: s.rejected_count,
            mean_medicines: s.mean_medicines,
            antibiotic_share: s.antibiotic_share,
            antibiotic_combination_share: s.antibiotic_combination_share,
            injection_share: s.injection_share,
            infusion_share: s.infusion_share,
            glucocorticoid_share: s.glucocorticoid_share,
            essential_medicine_share: s.essential_medicine_share,
            rational_share: s.rational_share,
            stop_share: s.stop_share,
            needs_reason_share: s.needs_reason_share,
            unchecked_share: s.unchecked_share,
            review_codes: s
                .codes
                .into_iter()
                .map(|(review_code, name, prescription_count)| pb::ReviewCodeCount {
                    review_code,
                    name,
                    prescription_count,
                })
                .collect(),
            rule_version: s.rule_version,
        }
    }
}
