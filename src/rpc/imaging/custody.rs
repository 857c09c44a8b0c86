//! `xiangyi.imaging.v1.CustodyService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::app::imaging::custody::Hold;
use crate::app::imaging::erasing::{Erased, InstanceErasure, StudyErasure};
use crate::app::request::PageRequest;
use crate::rpc::common::{caller, timestamp};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;

/// The service.
#[derive(Debug)]
pub(in crate::rpc) struct CustodyDoor(pub(in crate::rpc) Arc<App>);

#[tonic::async_trait]
impl pb::custody_service_server::CustodyService for CustodyDoor {
    async fn place_hold(
        &self,
        request: Request<pb::PlaceHoldRequest>,
    ) -> Result<Response<pb::PlaceHoldResponse>, Status> {
        let caller = caller(&request)?;
        let pb::PlaceHoldRequest { study_uid, reason } = request.into_inner();
        let hold = self.0.place_hold(&caller, &study_uid, &reason).await?;
        Ok(Response::new(pb::PlaceHoldResponse { hold: Some(hold.into()) }))
    }

    async fn lift_hold(
        &self,
        request: Request<pb::LiftHoldRequest>,
    ) -> Result<Response<pb::LiftHoldResponse>, Status> {
        let caller = caller(&request)?;
        let pb::LiftHoldRequest { hold_id, reason } = request.into_inner();
        let hold = self.0.lift_hold(&caller, &hold_id, &reason).await?;
        Ok(Response::new(pb::LiftHoldResponse { hold: Some(hold.into()) }))
    }

    async fn list_holds(
        &self,
        request: Request<pb::ListHoldsRequest>,
    ) -> Result<Response<pb::ListHoldsResponse>, Status> {
        let caller = caller(&request)?;
        let pb::ListHoldsRequest { study_uid, standing_only, page_size, page_token } =
            request.into_inner();
        let page = PageRequest { page_size, page_token, ..PageRequest::default() };
        let which = (study_uid.as_str(), standing_only);
        let (holds, next_page_token) = self.0.list_holds(&caller, which, &page).await?;
        let holds = holds.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListHoldsResponse { holds, next_page_token }))
    }

    async fn erase_study(
        &self,
        request: Request<pb::EraseStudyRequest>,
    ) -> Result<Response<pb::EraseStudyResponse>, Status> {
        let caller = caller(&request)?;
        let pb::EraseStudyRequest { study_uid, reason, include_kept_apart } = request.into_inner();
        let erasure = StudyErasure { study: study_uid, reason, apart_too: include_kept_apart };
        let erased = self.0.erase_study(&caller, &erasure).await?;
        Ok(Response::new(pb::EraseStudyResponse { erasure: Some(erased.into()) }))
    }

    async fn erase_instance(
        &self,
        request: Request<pb::EraseInstanceRequest>,
    ) -> Result<Response<pb::EraseInstanceResponse>, Status> {
        let caller = caller(&request)?;
        let pb::EraseInstanceRequest { sop_instance_uid, sha256, reason } = request.into_inner();
        let erasure = InstanceErasure { instance: sop_instance_uid, digest: sha256, reason };
        let erased = self.0.erase_instance(&caller, &erasure).await?;
        Ok(Response::new(pb::EraseInstanceResponse { erasure: Some(erased.into()) }))
    }
}

impl From<Hold> for pb::Hold {
    fn from(hold: Hold) -> Self {
        let lift_time = hold.lifted.as_ref().map(|lifted| timestamp(lifted.at_ms));
        let (lifted_by, lift_reason) =
            hold.lifted.map(|lifted| (lifted.by, lifted.reason)).unwrap_or_default();
        Self {
            hold_id: hold.id,
            study_uid: hold.study,
            reason: hold.reason,
            placed_by: hold.placed_by,
            place_time: Some(timestamp(hold.placed_ms)),
            lifted_by,
            lift_time,
            lift_reason,
        }
    }
}

impl From<Erased> for pb::Erasure {
    fn from(erased: Erased) -> Self {
        Self {
            number: erased.number,
            object_count: erased.objects,
            size_bytes: erased.bytes,
            kept_apart_count: erased.apart,
            kept_apart_left_count: erased.apart_left,
        }
    }
}
