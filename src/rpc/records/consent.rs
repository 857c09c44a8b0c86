//! `ConsentService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::pb;
use crate::app::App;
use crate::app::records::ports::{AccessReview, ConsentChange};
use crate::app::request::PageRequest;
use crate::rpc::common::caller;

/// The service.
#[derive(Debug)]
pub(in crate::rpc) struct ConsentDoor(pub(in crate::rpc) Arc<App>);

#[tonic::async_trait]
impl pb::consent_service_server::ConsentService for ConsentDoor {
    async fn withdraw_consent(
        &self,
        request: Request<pb::WithdrawConsentRequest>,
    ) -> Result<Response<pb::WithdrawConsentResponse>, Status> {
        let caller = caller(&request)?;
        let pb::WithdrawConsentRequest { record, all } = request.into_inner();
        let change = ConsentChange { record, all, given: false, at_ms: 0 };
        self.0.change_consent(&caller, change).await?;
        Ok(Response::new(pb::WithdrawConsentResponse {}))
    }

    async fn restore_consent(
        &self,
        request: Request<pb::RestoreConsentRequest>,
    ) -> Result<Response<pb::RestoreConsentResponse>, Status> {
        let caller = caller(&request)?;
        let pb::RestoreConsentRequest { record, all } = request.into_inner();
        let change = ConsentChange { record, all, given: true, at_ms: 0 };
        self.0.change_consent(&caller, change).await?;
        Ok(Response::new(pb::RestoreConsentResponse {}))
    }

    async fn list_access_reviews(
        &self,
        request: Request<pb::ListAccessReviewsRequest>,
    ) -> Result<Response<pb::ListAccessReviewsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest { page_size: request.page_size, ..PageRequest::default() };
        let reviews = self.0.access_reviews(&caller, !request.include_closed, &page).await?;
        let reviews = reviews.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListAccessReviewsResponse { reviews }))
    }

    async fn close_access_review(
        &self,
        request: Request<pb::CloseAccessReviewRequest>,
    ) -> Result<Response<pb::CloseAccessReviewResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        self.0.close_access_review(&caller, &request.review_id, &request.finding).await?;
        Ok(Response::new(pb::CloseAccessReviewResponse {}))
    }
}

impl From<AccessReview> for pb::AccessReview {
    fn from(review: AccessReview) -> Self {
        Self {
            review_id: review.id,
            at_ms: review.at_ms,
            until_ms: review.until_ms,
            caller: review.caller,
            role: review.role,
            record: review.record,
            reason: review.reason,
            rule: review.rule,
            closed_ms: review.closed_ms,
            closed_by: review.closed_by,
            finding: review.finding,
        }
    }
}
