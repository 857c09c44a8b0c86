//! Finding studies and giving objects back.

use std::ops::Range;

use bytes::Bytes;
use dicom_dictionary_std::tags;

use super::peers::Service;
use super::ports::{
    ArchivedObject, Change, IndexCounts, IndexedInstance, KnownObject, Selection, Usage,
};
use super::{Imaging, Requester, counted, only};
use crate::app::access::{Action, authorise};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::sharing::imaging::object::Location;
use crate::sharing::imaging::query::{Match, Matching, Query};

/// Answers to one question at most.
pub const ANSWERS_MAX: u64 = 10_000;
/// Instances named at once at most.
pub const INSTANCES_PAGE_MAX: u64 = 10_000;

/// Answers to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// As many as were asked for, at most [`ANSWERS_MAX`].
    pub answers: Vec<Match>,
    /// Whether there are more.
    pub more: bool,
}

impl Imaging {
    /// Answers a question, with at most [`ANSWERS_MAX`] answers, which are in the audit trail before
    /// they are told: how many, and of whom, where that is one. Who works for a part of the node is told of
    /// its patients alone; offsets count the others too.
    pub async fn answer(&self, requester: &Requester, mut query: Query) -> Result<Found, Error> {
        let limit = query.limit.min(ANSWERS_MAX);
        query.limit = limit.saturating_add(1);
        let (offset, asked) = (query.offset, Asked::of(&query));
        let mut answers = self.find(requester, query).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = answers.len() > limit;
        answers.truncate(limit);
        let answers = self.only_near(requester, answers, |found| &found.header.patient).await?;
        self.enter_answers(requester, &asked, (&answers, offset)).await?;
        Ok(Found { answers, more })
    }

    /// What a question finds, for the use cases; one more than a door may ask for.
    pub(in crate::app) async fn find(
        &self,
        requester: &Requester,
        mut query: Query,
    ) -> Result<Vec<Match>, Error> {
        requester.permit(Service::Find)?;
        query.limit = query.limit.min(ANSWERS_MAX + 1);
        self.index.find(query).await
    }

    /// Writes into the audit trail what `requester` is told: answers after the first `offset`.
    pub(in crate::app) async fn enter_answers(
        &self,
        requester: &Requester,
        asked: &Asked,
        (answers, offset): (&[Match], u64),
    ) -> Result<(), Error> {
        let one = |get: fn(&Match) -> &str, asked: Option<&String>| {
            let all = only(answers.iter().map(get)).unwrap_or_default();
            asked.cloned().unwrap_or_else(|| all.to_owned())
        };
        let study = one(|found| &found.header.study.uid, asked.study.as_ref());
        let patient = one(|found| &found.header.patient.id, asked.patient.as_ref());
        let after = if offset > 0 { format!(" after {offset}") } else { String::new() };
        let said = ("ok", counted(answers.len(), "answers") + &after);
        self.trail().enter(requester, Action::FindImages, (&study, &patient), said).await
    }

    /// The instances that `selection` names, a page of at most [`INSTANCES_PAGE_MAX`].
    pub async fn instances(
        &self,
        requester: &Requester,
        selection: Selection,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<IndexedInstance>, Error> {
        requester.permit(Service::Retrieve)?;
        self.index.instances(selection, offset, limit.min(INSTANCES_PAGE_MAX)).await
    }

    /// Bytes `range` of the data set at `location`.
    pub async fn bytes(
        &self,
        requester: &Requester,
        location: Location,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        requester.permit(Service::Retrieve)?;
        self.room.reading.object(location, self.clock.now_ms());
        self.archive.read(location, range).await
    }

    /// What is kept beside the data set at `location`.
    pub async fn object(
        &self,
        requester: &Requester,
        location: Location,
    ) -> Result<Option<ArchivedObject>, Error> {
        requester.permit(Service::Retrieve)?;
        self.archive.object(location).await
    }

    /// What is kept under each of these SOP instance UIDs.
    pub async fn known(
        &self,
        requester: &Requester,
        instances: Vec<String>,
    ) -> Result<Vec<Vec<KnownObject>>, Error> {
        requester.permit(Service::Store)?;
        self.index.known(instances).await
    }

    /// Objects that are kept apart because another came first under their SOP instance UID.
    pub(super) async fn apart(
        &self,
        requester: &Requester,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<KnownObject>, Error> {
        requester.permit(Service::Find)?;
        self.index.apart(offset, limit.min(ANSWERS_MAX)).await
    }

    /// What happened after change `number`.
    pub(in crate::app) async fn changes(
        &self,
        requester: &Requester,
        number: u64,
        limit: u64,
    ) -> Result<Vec<Change>, Error> {
        requester.permit(Service::Find)?;
        self.index.changes(number, limit.min(ANSWERS_MAX)).await
    }

    /// How much is kept.
    pub async fn counts(&self) -> Result<IndexCounts, Error> {
        self.index.counts().await
    }

    /// How much room it takes.
    pub async fn usage(&self) -> Result<Usage, Error> {
        self.archive.usage().await
    }

    /// Writes into the audit trail that `requester` was given a patient's images, before they are.
    pub async fn audit_retrieval(
        &self,
        requester: &Requester,
        study: &str,
        patient_id: &str,
    ) -> Result<(), Error> {
        self.audit_images(requester, (study, patient_id), String::new()).await
    }

    /// Likewise, of a study of which the patient is looked up.
    pub async fn audit_study(&self, requester: &Requester, study: &str) -> Result<(), Error> {
        let patient = self.patient_of(study).await?;
        self.audit_retrieval(requester, study, &patient).await
    }

    /// Likewise, and why: `purpose treatment`.
    pub(in crate::app) async fn audit_images(
        &self,
        requester: &Requester,
        (study, patient_id): (&str, &str),
        detail: String,
    ) -> Result<(), Error> {
        let permit = authorise(&requester.caller, Action::RetrieveImages)?;
        self.must_be_near(requester, study, Action::RetrieveImages).await?;
        let entry = AuditEntry {
            at_ms: self.clock.now_ms(),
            record_id: study.to_owned(),
            patient_reference: patient_id.to_owned(),
            outcome: "ok",
            detail,
        };
        self.remember_use(study);
        self.journal.audit(&permit, entry).await
    }
}

/// Whom and which study a question names, where that is exactly one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::app) struct Asked {
    study: Option<String>,
    patient: Option<String>,
}

impl Asked {
    pub(in crate::app) fn of(query: &Query) -> Self {
        let one = |tag| {
            let mut values =
                query.conditions.iter().filter_map(|condition| match &condition.matching {
                    _ if condition.tag != tag => None,
                    Matching::Single(value) => Some(value.as_str()),
                    Matching::AnyOf(values) => only(values.iter().map(String::as_str)),
                    Matching::Wildcard(_) | Matching::Range { .. } | Matching::Fuzzy(_) => None,
                });
            values.next().map(|value| value.trim().to_owned())
        };
        Self { study: one(tags::STUDY_INSTANCE_UID), patient: one(tags::PATIENT_ID) }
    }
}
