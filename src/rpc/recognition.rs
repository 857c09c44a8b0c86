//! `xiangyi.recognition.v1.RecognitionService`.

mod decode;
mod encode;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::common::caller;
use super::proto::xiangyi::recognition::v1 as pb;
use crate::app::App;
use crate::app::recognition::summary::SummaryRequest;
use crate::app::recognition::{DecisionRequest, PlannedRequest};
use crate::app::request::PageRequest;

/// The service.
#[derive(Debug)]
pub(super) struct RecognitionDoor(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::recognition_service_server::RecognitionService for RecognitionDoor {
    async fn list_recognition_items(
        &self,
        request: Request<pb::ListRecognitionItemsRequest>,
    ) -> Result<Response<pb::ListRecognitionItemsResponse>, Status> {
        let caller = caller(&request)?;
        let pb::ListRecognitionItemsRequest { page_size, page_token, date } = request.into_inner();
        let page = PageRequest { page_size, page_token, ..PageRequest::default() };
        let items = self.0.recognition_items(&caller, &page, &date)?;
        Ok(Response::new(items.into()))
    }

    async fn assess_recognition(
        &self,
        request: Request<pb::AssessRecognitionRequest>,
    ) -> Result<Response<pb::AssessRecognitionResponse>, Status> {
        let caller = caller(&request)?;
        let request = PlannedRequest::try_from(request.into_inner())?;
        let answer = self.0.assess_recognition(&caller, &request).await?;
        Ok(Response::new(answer.into()))
    }

    async fn record_recognition(
        &self,
        request: Request<pb::RecordRecognitionRequest>,
    ) -> Result<Response<pb::RecordRecognitionResponse>, Status> {
        let caller = caller(&request)?;
        let request = DecisionRequest::try_from(request.into_inner())?;
        let (kept, replayed) = self.0.record_recognition(&caller, request).await?;
        let decision = Some(encode::decision(&kept));
        Ok(Response::new(pb::RecordRecognitionResponse { decision, replayed }))
    }

    async fn list_recognition_decisions(
        &self,
        request: Request<pb::ListRecognitionDecisionsRequest>,
    ) -> Result<Response<pb::ListRecognitionDecisionsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: request.patient_id,
        };
        let (decisions, next_page_token) = self.0.list_recognition(&caller, &page).await?;
        let decisions = decisions.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListRecognitionDecisionsResponse { decisions, next_page_token }))
    }

    async fn explain_decision(
        &self,
        request: Request<pb::ExplainDecisionRequest>,
    ) -> Result<Response<pb::ExplainDecisionResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().decision_id;
        let explained = self.0.explain_recognition(&caller, &id).await?;
        Ok(Response::new(explained.into()))
    }

    async fn summarise_recognition(
        &self,
        request: Request<pb::SummariseRecognitionRequest>,
    ) -> Result<Response<pb::SummariseRecognitionResponse>, Status> {
        let caller = caller(&request)?;
        let request = SummaryRequest::from(request.into_inner());
        let summary = self.0.summarise_recognition(&caller, &request).await?;
        Ok(Response::new(summary.into()))
    }
}
