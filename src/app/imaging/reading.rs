//! Finding studies and giving objects back.

use std::ops::Range;

use bytes::Bytes;

use super::peers::Service;
use super::ports::{
    ArchivedObject, Change, IndexCounts, IndexedInstance, KnownObject, Selection, Usage,
};
use super::{Imaging, Requester};
use crate::app::access::{Action, authorise};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::sharing::imaging::object::Location;
use crate::sharing::imaging::query::{Match, Query};

/// Answers to one question at most.
pub const ANSWERS_MAX: u64 = 10_000;
/// Instances named at once at most.
pub const INSTANCES_PAGE_MAX: u64 = 10_000;

impl Imaging {
    /// Answers a question, with at most [`ANSWERS_MAX`] answers.
    pub async fn find(&self, requester: &Requester, mut query: Query) -> Result<Vec<Match>, Error> {
        requester.permit(Service::Find)?;
        query.limit = query.limit.min(ANSWERS_MAX);
        self.index.find(query).await
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
    pub async fn apart(
        &self,
        requester: &Requester,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<KnownObject>, Error> {
        requester.permit(Service::Find)?;
        self.index.apart(offset, limit.min(ANSWERS_MAX)).await
    }

    /// What happened after change `number`.
    pub async fn changes(
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

    /// Likewise, and why: `purpose treatment`.
    pub(in crate::app) async fn audit_images(
        &self,
        requester: &Requester,
        (study, patient_id): (&str, &str),
        detail: String,
    ) -> Result<(), Error> {
        let permit = authorise(&requester.caller, Action::RetrieveImages)?;
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
