//! `ConsentService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{pb, purpose};
use crate::app::App;
use crate::app::error::Error;
use crate::app::records::grants::{PresenceCheck, Whose};
use crate::app::records::notices::{NoticeState, PatientNotice, Telling};
use crate::app::records::ports::{AccessReview, ConsentChange, KeptGrant};
use crate::app::request::PageRequest;
use crate::rpc::common::caller;
use crate::sharing::consent::GrantKind;
use crate::sharing::exchange::SentFor;

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

    async fn confirm_presence(
        &self,
        request: Request<pb::ConfirmPresenceRequest>,
    ) -> Result<Response<pb::ConfirmPresenceResponse>, Status> {
        let caller = caller(&request)?;
        let pb::ConfirmPresenceRequest { record, person, check, until_ms } = request.into_inner();
        let whose = whose(record, person)?;
        let check = presence_check(check)?;
        let until_ms = (until_ms != 0).then_some(until_ms);
        let grant = self.0.confirm_presence(&caller, &whose, (check, until_ms)).await?;
        Ok(Response::new(pb::ConfirmPresenceResponse { grant: Some(grant.into()) }))
    }

    async fn end_presence(
        &self,
        request: Request<pb::EndPresenceRequest>,
    ) -> Result<Response<pb::EndPresenceResponse>, Status> {
        let caller = caller(&request)?;
        let pb::EndPresenceRequest { record, person } = request.into_inner();
        self.0.end_presence(&caller, &whose(record, person)?).await?;
        Ok(Response::new(pb::EndPresenceResponse {}))
    }

    async fn list_grants(
        &self,
        request: Request<pb::ListGrantsRequest>,
    ) -> Result<Response<pb::ListGrantsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let why = purpose(request.purpose)?;
        let whose = whose(request.record, request.person)?;
        let grants = self.0.list_grants(&caller, &whose, why).await?;
        let grants = grants.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListGrantsResponse { grants }))
    }

    async fn list_access_reviews(
        &self,
        request: Request<pb::ListAccessReviewsRequest>,
    ) -> Result<Response<pb::ListAccessReviewsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest { page_size: request.page_size, ..PageRequest::default() };
        let (reviews, notices_open) =
            self.0.access_reviews(&caller, !request.include_closed, &page).await?;
        let reviews = reviews.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListAccessReviewsResponse { reviews, notices_open }))
    }

    async fn list_patient_notices(
        &self,
        request: Request<pb::ListPatientNoticesRequest>,
    ) -> Result<Response<pb::ListPatientNoticesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest { page_size: request.page_size, ..PageRequest::default() };
        let notices = self.0.patient_notices(&caller, !request.include_told, &page).await?;
        let notices = notices.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListPatientNoticesResponse { notices }))
    }

    async fn record_patient_notice(
        &self,
        request: Request<pb::RecordPatientNoticeRequest>,
    ) -> Result<Response<pb::RecordPatientNoticeResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let telling = Telling {
            id: request.notice_id,
            state: told(request.told)?,
            told_ms: (request.told_ms != 0).then_some(request.told_ms),
            told_by: request.told_by,
            note: request.note,
        };
        self.0.record_patient_notice(&caller, telling).await?;
        Ok(Response::new(pb::RecordPatientNoticeResponse {}))
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

/// A record or a person.
fn whose(record: String, person: Option<pb::RegisteredPerson>) -> Result<Whose, Error> {
    match (record.is_empty(), person) {
        (false, None) => Ok(Whose::Record(record)),
        (true, Some(person)) => Ok(Whose::Person(person.into())),
        (true, None) | (false, Some(_)) => {
            Err(Error::field("record", "or person must be given, and not both"))
        }
    }
}

fn presence_check(number: i32) -> Result<PresenceCheck, Error> {
    match pb::PresenceCheck::try_from(number) {
        Ok(pb::PresenceCheck::IdentityCard) => Ok(PresenceCheck::IdentityCard),
        Ok(pb::PresenceCheck::HealthCode) => Ok(PresenceCheck::HealthCode),
        Ok(pb::PresenceCheck::KnownPersonally) => Ok(PresenceCheck::KnownPersonally),
        Ok(pb::PresenceCheck::Unspecified) | Err(_) => Err(Error::field(
            "check",
            "must be one of PRESENCE_CHECK_IDENTITY_CARD, PRESENCE_CHECK_HEALTH_CODE, \
             PRESENCE_CHECK_KNOWN_PERSONALLY",
        )),
    }
}

impl From<KeptGrant> for pb::Grant {
    fn from(grant: KeptGrant) -> Self {
        let kind = match grant.kind {
            GrantKind::Registration => pb::GrantKind::Registration,
            GrantKind::Presence => pb::GrantKind::Presence,
            GrantKind::Contract => pb::GrantKind::Contract,
            GrantKind::Referral => pb::GrantKind::Referral,
        };
        let check = match PresenceCheck::named(&grant.how) {
            Some(PresenceCheck::IdentityCard) => pb::PresenceCheck::IdentityCard,
            Some(PresenceCheck::HealthCode) => pb::PresenceCheck::HealthCode,
            Some(PresenceCheck::KnownPersonally) => pb::PresenceCheck::KnownPersonally,
            None => pb::PresenceCheck::Unspecified,
        };
        Self {
            grant_id: grant.id,
            kind: kind.into(),
            from_ms: grant.from_ms,
            until_ms: grant.until_ms.unwrap_or(0),
            given_by: grant.by,
            check: check.into(),
            sent_for: grant.sent_for.map(SentFor::name).unwrap_or_default().to_owned(),
        }
    }
}

fn told(number: i32) -> Result<NoticeState, Error> {
    match pb::NoticeState::try_from(number) {
        Ok(pb::NoticeState::InPerson) => Ok(NoticeState::InPerson),
        Ok(pb::NoticeState::Phone) => Ok(NoticeState::Phone),
        Ok(pb::NoticeState::Letter) => Ok(NoticeState::Letter),
        Ok(pb::NoticeState::NotTold) => Ok(NoticeState::NotTold),
        Ok(pb::NoticeState::Unspecified | pb::NoticeState::Open) | Err(_) => Err(Error::field(
            "told",
            "must be one of NOTICE_STATE_IN_PERSON, NOTICE_STATE_PHONE, NOTICE_STATE_LETTER, \
             NOTICE_STATE_NOT_TOLD",
        )),
    }
}

impl From<PatientNotice> for pb::PatientNotice {
    fn from(notice: PatientNotice) -> Self {
        let state = match notice.state {
            NoticeState::Open => pb::NoticeState::Open,
            NoticeState::InPerson => pb::NoticeState::InPerson,
            NoticeState::Phone => pb::NoticeState::Phone,
            NoticeState::Letter => pb::NoticeState::Letter,
            NoticeState::NotTold => pb::NoticeState::NotTold,
        };
        Self {
            notice_id: notice.id,
            record: notice.record,
            patient_name: notice.patient,
            review_id: notice.review,
            at_ms: notice.at_ms,
            until_ms: notice.until_ms,
            caller: notice.reader,
            role: notice.role,
            purpose: notice.purpose,
            words: notice.words,
            state: state.into(),
            told_ms: notice.told_ms,
            told_by: notice.told_by,
            note: notice.note,
            noted_by: notice.noted_by,
            noted_ms: notice.noted_ms,
        }
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
