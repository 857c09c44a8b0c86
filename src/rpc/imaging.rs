//! `xiangyi.imaging.v1.ImagingService`.

mod analysing;
pub(super) mod custody;
mod decode;
mod delivering;
pub(super) mod encode;
mod fetching;
mod retrieving;
mod storing;
mod watching;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

pub(super) use self::decode::{Spelt, day, laterality, whole_region};
use super::common::caller;
use super::proto::xiangyi::imaging::v1 as pb;
use crate::app::App;
use crate::app::credentials::Authenticator;
use crate::app::imaging::delivery::DeliveryRequest;
use crate::app::imaging::metadata::MetadataRequest;
use crate::app::imaging::models::AnalysisRequest;
use crate::app::imaging::objects::ObjectRequest;
use crate::app::imaging::search::StudySearch;
use crate::app::regional::fetching::StudyFetch;
use crate::app::request::PageRequest;

/// The service.
#[derive(Debug)]
pub(super) struct ImagingDoor {
    app: Arc<App>,
    auth: Authenticator,
    stop: CancellationToken,
    watchers: watching::Watchers,
}

impl ImagingDoor {
    /// Streams that would never end do so at `stop`, and when `auth` no longer knows the caller.
    pub(super) fn new(app: Arc<App>, auth: Authenticator, stop: CancellationToken) -> Self {
        Self { app, auth, stop, watchers: watching::Watchers::default() }
    }
}

#[tonic::async_trait]
impl pb::imaging_service_server::ImagingService for ImagingDoor {
    type RetrieveObjectStream = retrieving::Parts;
    type StoreObjectsStream = storing::Answers;
    type WatchChangesStream = watching::Changes;
    type FetchStudyStream = fetching::Steps;
    type DeliverStudyStream = delivering::Parts;
    type AnalyseStudyStream = analysing::Answers;

    async fn search_studies(
        &self,
        request: Request<pb::SearchStudiesRequest>,
    ) -> Result<Response<pb::SearchStudiesResponse>, Status> {
        let caller = caller(&request)?;
        let search = StudySearch::try_from(request.into_inner())?;
        let page = self.app.search_studies(&caller, &search).await?;
        Ok(Response::new(page.into()))
    }

    async fn get_study_metadata(
        &self,
        request: Request<pb::GetStudyMetadataRequest>,
    ) -> Result<Response<pb::GetStudyMetadataResponse>, Status> {
        let caller = caller(&request)?;
        let request = MetadataRequest::from(request.into_inner());
        let page = self.app.study_metadata(&caller, &request).await?;
        Ok(Response::new(page.into()))
    }

    async fn retrieve_object(
        &self,
        request: Request<pb::RetrieveObjectRequest>,
    ) -> Result<Response<retrieving::Parts>, Status> {
        let caller = caller(&request)?;
        let request = ObjectRequest::from(request.into_inner());
        let reader = self.app.retrieve_object(&caller, &request).await?;
        Ok(Response::new(retrieving::parts(reader)))
    }

    async fn store_objects(
        &self,
        request: Request<Streaming<pb::StoreObjectsRequest>>,
    ) -> Result<Response<storing::Answers>, Status> {
        let caller = caller(&request)?;
        let storing = self.app.store_objects(&caller)?;
        Ok(Response::new(storing::answers(storing, request.into_inner())))
    }

    async fn render_frame(
        &self,
        request: Request<pb::RenderFrameRequest>,
    ) -> Result<Response<pb::RenderFrameResponse>, Status> {
        let caller = caller(&request)?;
        let (instance, request) = decode::frame(request.into_inner())?;
        let image = self.app.render_frame(&caller, &instance, request).await?;
        Ok(Response::new(image.into()))
    }

    async fn render_contact_sheet(
        &self,
        request: Request<pb::RenderContactSheetRequest>,
    ) -> Result<Response<pb::RenderContactSheetResponse>, Status> {
        let caller = caller(&request)?;
        let (study, series, request) = decode::sheet(request.into_inner())?;
        let sheet = self.app.render_contact_sheet(&caller, (&study, &series), request).await?;
        Ok(Response::new(sheet.into()))
    }

    async fn list_changes(
        &self,
        request: Request<pb::ListChangesRequest>,
    ) -> Result<Response<pb::ListChangesResponse>, Status> {
        let caller = caller(&request)?;
        let pb::ListChangesRequest { after_number, page_size } = request.into_inner();
        let page = self.app.imaging_changes(&caller, after_number, page_size).await?;
        Ok(Response::new(page.into()))
    }

    async fn watch_changes(
        &self,
        request: Request<pb::WatchChangesRequest>,
    ) -> Result<Response<watching::Changes>, Status> {
        let caller = caller(&request)?;
        let said = request.metadata().get(http::header::AUTHORIZATION.as_str());
        let authorization = said.map(|value| value.as_bytes().to_vec());
        let credentials = watching::Credentials { auth: self.auth.clone(), authorization };
        let parts = (Arc::clone(&self.app), self.stop.clone());
        let by = (caller, credentials);
        Ok(Response::new(self.watchers.watch(parts, by, request.into_inner()).await?))
    }

    async fn list_kept_apart(
        &self,
        request: Request<pb::ListKeptApartRequest>,
    ) -> Result<Response<pb::ListKeptApartResponse>, Status> {
        let caller = caller(&request)?;
        let pb::ListKeptApartRequest { page_size, page_token } = request.into_inner();
        let page = PageRequest { page_size, page_token, ..PageRequest::default() };
        let (objects, next_page_token) = self.app.kept_apart(&caller, &page).await?;
        let objects = objects.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListKeptApartResponse { objects, next_page_token }))
    }

    async fn fetch_study(
        &self,
        request: Request<pb::FetchStudyRequest>,
    ) -> Result<Response<fetching::Steps>, Status> {
        let caller = caller(&request)?;
        let request = StudyFetch::try_from(request.into_inner())?;
        let parts = (Arc::clone(&self.app), self.stop.clone());
        Ok(Response::new(fetching::steps(parts, caller, request)?))
    }

    async fn get_archive_info(
        &self,
        request: Request<pb::GetArchiveInfoRequest>,
    ) -> Result<Response<pb::GetArchiveInfoResponse>, Status> {
        let caller = caller(&request)?;
        let info = self.app.archive_info(&caller).await?;
        Ok(Response::new(info.into()))
    }

    async fn deliver_study(
        &self,
        request: Request<pb::DeliverStudyRequest>,
    ) -> Result<Response<delivering::Parts>, Status> {
        let caller = caller(&request)?;
        let request = DeliveryRequest::from(request.into_inner());
        let delivery = self.app.deliver_study(&caller, request).await?;
        Ok(Response::new(delivering::parts(delivery, self.stop.clone())))
    }

    async fn list_imaging_models(
        &self,
        request: Request<pb::ListImagingModelsRequest>,
    ) -> Result<Response<pb::ListImagingModelsResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.app.imaging_models(&caller)?.into()))
    }

    async fn analyse_study(
        &self,
        request: Request<pb::AnalyseStudyRequest>,
    ) -> Result<Response<analysing::Answers>, Status> {
        let caller = caller(&request)?;
        let request = AnalysisRequest::from(request.into_inner());
        let analysis = self.app.analyse_study(&caller, &request).await?;
        Ok(Response::new(analysing::answers(analysis, self.stop.clone())))
    }
}
