//! `xiangyi.people.v1`: people at the hub.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::common::caller;
use super::proto::xiangyi::people::v1 as pb;
use crate::app::App;
use crate::app::error::Error;
use crate::app::exchange::facts::RegisteredPerson;
use crate::app::people::cases::ReviewVerdict;
use crate::app::people::decide::{
    Decided, MatchOutcome, ShownCandidate, ShownParticulars, ShownPerson, ShownReview,
};
use crate::app::people::ports::{PersonDocument, PersonEvent};
use crate::app::request::PageRequest;
use crate::sharing::patient::{Explanation, Problem};

/// The service.
#[derive(Debug)]
pub(super) struct PersonDoor(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::person_service_server::PersonService for PersonDoor {
    async fn match_person(
        &self,
        request: Request<pb::MatchPersonRequest>,
    ) -> Result<Response<pb::MatchPersonResponse>, Status> {
        let caller = caller(&request)?;
        let person = request.into_inner().person.unwrap_or_default();
        let found = self.0.match_person(&caller, person.into()).await?;
        let outcome = match found.outcome {
            MatchOutcome::Linked => pb::MatchOutcome::Linked,
            MatchOutcome::Review => pb::MatchOutcome::Review,
            MatchOutcome::New => pb::MatchOutcome::New,
        };
        Ok(Response::new(pb::MatchPersonResponse {
            outcome: outcome.into(),
            candidates: found.candidates.into_iter().map(Into::into).collect(),
            problems: found.problems.iter().map(Problem::zh).collect(),
        }))
    }

    async fn get_person(
        &self,
        request: Request<pb::GetPersonRequest>,
    ) -> Result<Response<pb::GetPersonResponse>, Status> {
        let caller = caller(&request)?;
        let number = number("person", request.into_inner().person)?;
        Ok(Response::new(self.0.get_person(&caller, number).await?.into()))
    }

    async fn list_person_reviews(
        &self,
        request: Request<pb::ListPersonReviewsRequest>,
    ) -> Result<Response<pb::ListPersonReviewsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: String::new(),
        };
        let (reviews, next_page_token) =
            self.0.person_reviews(&caller, request.include_closed, &page).await?;
        let reviews = reviews.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListPersonReviewsResponse { reviews, next_page_token }))
    }

    async fn decide_person_review(
        &self,
        request: Request<pb::DecidePersonReviewRequest>,
    ) -> Result<Response<pb::DecidePersonReviewResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let review = number("review", request.review)?;
        let verdict = match (request.same_person, request.different) {
            (0, true) => ReviewVerdict::Different,
            (person, false) if person != 0 => ReviewVerdict::Same(person),
            _ => {
                let allowed = "must name a candidate, or be 0 where different is set";
                return Err(Error::field("same_person", allowed).into());
            }
        };
        let decided = self.0.decide_person_review(&caller, review, verdict, &request.note).await?;
        let decision = Some(decided.into());
        Ok(Response::new(pb::DecidePersonReviewResponse { decision }))
    }

    async fn join_persons(
        &self,
        request: Request<pb::JoinPersonsRequest>,
    ) -> Result<Response<pb::JoinPersonsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let persons =
            (number("person", request.person)?, number("other_person", request.other_person)?);
        let decided = self.0.join_persons(&caller, persons, &request.note).await?;
        Ok(Response::new(pb::JoinPersonsResponse { decision: Some(decided.into()) }))
    }

    async fn part_person(
        &self,
        request: Request<pb::PartPersonRequest>,
    ) -> Result<Response<pb::PartPersonResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let particulars = number("particulars", request.particulars)?;
        let decided = self.0.part_person(&caller, particulars, &request.note).await?;
        Ok(Response::new(pb::PartPersonResponse { decision: Some(decided.into()) }))
    }

    async fn undo_person_decision(
        &self,
        request: Request<pb::UndoPersonDecisionRequest>,
    ) -> Result<Response<pb::UndoPersonDecisionResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let decision = number("decision", request.decision)?;
        let decided = self.0.undo_person_decision(&caller, decision, &request.note).await?;
        Ok(Response::new(pb::UndoPersonDecisionResponse { decision: Some(decided.into()) }))
    }

    async fn get_people_report(
        &self,
        request: Request<pb::GetPeopleReportRequest>,
    ) -> Result<Response<pb::GetPeopleReportResponse>, Status> {
        let caller = caller(&request)?;
        let counts = self.0.people_counts(&caller).await?;
        Ok(Response::new(pb::GetPeopleReportResponse {
            persons: counts.persons,
            particulars: counts.particulars,
            unsettled: counts.unsettled,
            unidentified: counts.unidentified,
            reviews: counts.reviews,
        }))
    }
}

/// A number that was given: from 1, and as large as a store keeps.
fn number(field: &str, number: u64) -> Result<u64, Error> {
    if number == 0 || i64::try_from(number).is_err() {
        return Err(Error::field(field, "must be a number of 1 or higher"));
    }
    Ok(number)
}

impl From<pb::StatedPerson> for RegisteredPerson {
    fn from(person: pb::StatedPerson) -> Self {
        Self {
            name: person.name,
            resident_id: person.resident_id,
            health_card: person.health_card,
            birth_date: person.birth_date,
            sex: person.sex,
            phone: person.phone,
            division: person.division,
        }
    }
}

impl From<RegisteredPerson> for pb::StatedPerson {
    fn from(person: RegisteredPerson) -> Self {
        Self {
            name: person.name,
            resident_id: person.resident_id,
            health_card: person.health_card,
            birth_date: person.birth_date,
            sex: person.sex,
            phone: person.phone,
            division: person.division,
        }
    }
}

impl From<ShownParticulars> for pb::Particulars {
    fn from(shown: ShownParticulars) -> Self {
        let ShownParticulars { number, person, address, at_ms } = shown;
        Self { number, stated: Some(person.into()), address, at_ms }
    }
}

impl From<ShownCandidate> for pb::Candidate {
    fn from(shown: ShownCandidate) -> Self {
        let ShownCandidate { person, particulars, explanation } = shown;
        let fields = explanation.fields.into_iter().map(|field| pb::FieldEvidence {
            field: field.field_zh,
            level: field.level_zh,
            bits: field.bits,
        });
        Self {
            person,
            particulars: particulars.into_iter().map(Into::into).collect(),
            reason: explanation.reason.zh().to_owned(),
            bits: explanation.bits,
            fields: fields.collect(),
        }
    }
}

impl From<ShownPerson> for pb::GetPersonResponse {
    fn from(shown: ShownPerson) -> Self {
        Self {
            person: shown.number,
            particulars: shown.particulars.into_iter().map(Into::into).collect(),
            documents: shown.documents.into_iter().map(Into::into).collect(),
            events: shown.events.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<PersonDocument> for pb::PersonDocument {
    fn from(document: PersonDocument) -> Self {
        Self {
            particulars: document.particulars,
            kind: document.kind,
            name: document.name,
            version: document.version,
            sender: document.sender,
            nodes: document.nodes,
        }
    }
}

impl From<PersonEvent> for pb::PersonEvent {
    fn from(event: PersonEvent) -> Self {
        // The matcher's reasons are kept whole; whoever decided wrote words.
        let explanation: Option<Explanation> = serde_json::from_str(&event.reason).ok();
        Self {
            at_ms: event.at_ms,
            action: event.action,
            particulars: event.particulars,
            from_person: event.from,
            to_person: event.to,
            decision: event.decision,
            by: event.by,
            reason: explanation.map_or(event.reason, |explanation| explanation.zh()),
        }
    }
}

impl From<ShownReview> for pb::PersonReview {
    fn from(shown: ShownReview) -> Self {
        Self {
            review: shown.review.number,
            particulars: Some(shown.particulars.into()),
            person: shown.person,
            candidates: shown.candidates.into_iter().map(Into::into).collect(),
            at_ms: shown.review.at_ms,
            closed_ms: shown.review.closed_ms,
            outcome: shown.review.outcome,
        }
    }
}

impl From<Decided> for pb::Decision {
    fn from(decided: Decided) -> Self {
        Self { decision: decided.decision, persons: decided.persons, nodes: decided.nodes }
    }
}
