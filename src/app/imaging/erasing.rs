//! Erasing a study or an instance for good, with a reason.

use tokio::sync::oneshot;

use super::Imaging;
use super::custody::{Begun, ErasedBy, ErasedObject, NewErasure};
use super::eraser::Errand;
use super::ports::{KnownObject, Selection};
use super::search::validate_uid;
use crate::app::App;
use crate::app::access::{Action, Caller, Permit, authorise};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::app::request::Problems;
use crate::sharing::imaging::object::Digest;

/// Characters of a reason at most.
pub const REASON_CHARS_MAX: usize = 300;
/// Objects named by the index at once.
const PAGE: u64 = 5_000;
/// Objects of one erasure at most.
const OBJECTS_MAX: usize = 200_000;

/// Asks for a study to be erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StudyErasure {
    /// Study instance UID.
    pub study: String,
    /// Why.
    pub reason: String,
    /// Whether objects of it that are kept apart go with it.
    pub apart_too: bool,
}

/// Asks for an instance to be erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceErasure {
    /// SOP instance UID.
    pub instance: String,
    /// SHA-256 in hex, to choose among several objects; empty for the first that came.
    pub digest: String,
    /// Why.
    pub reason: String,
}

/// What was erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Number of the erasure.
    pub number: i64,
    /// Objects.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
    /// Objects among them that were kept apart.
    pub apart: u64,
    /// Objects of the study that stay, because they are kept apart.
    pub apart_left: u64,
}

/// Notes what is wrong with the reason of something that cannot be undone.
pub(super) fn validate_reason(problems: &mut Problems, reason: &str) {
    let count = reason.chars().count();
    let fine = !reason.trim().is_empty()
        && count <= REASON_CHARS_MAX
        && !reason.chars().any(char::is_control);
    problems.unless(fine, "reason", "must have 1 to 300 characters, none of them a control");
}

impl App {
    /// Erases a study for good. Written down before anything goes, in the audit trail before this
    /// returns. [`Error::Refused`] while a hold stands on it.
    pub async fn erase_study(
        &self,
        caller: &Caller,
        request: &StudyErasure,
    ) -> Result<Erased, Error> {
        let permit = authorise(caller, Action::EraseImages)?;
        let imaging = self.images()?.imaging();
        let mut problems = Problems::default();
        validate_uid(&mut problems, "study_uid", &request.study);
        validate_reason(&mut problems, &request.reason);
        problems.finish()?;
        let mut objects = imaging.objects_of(&request.study).await?;
        let apart = imaging.apart_of(&request.study).await?;
        let (gone, left) = if request.apart_too { (apart.len(), 0) } else { (0, apart.len()) };
        if request.apart_too {
            objects.extend(apart);
        }
        let what = What { study: &request.study, kind: "study", reason: &request.reason };
        let erased = imaging.erase(&permit, what, objects).await?;
        Ok(Erased { apart: count(gone), apart_left: count(left), ..erased })
    }

    /// Erases one object of an instance for good, like [`App::erase_study`].
    pub async fn erase_instance(
        &self,
        caller: &Caller,
        request: &InstanceErasure,
    ) -> Result<Erased, Error> {
        let permit = authorise(caller, Action::EraseImages)?;
        let imaging = self.images()?.imaging();
        let mut problems = Problems::default();
        validate_uid(&mut problems, "sop_instance_uid", &request.instance);
        let digest = Digest::parse(&request.digest);
        let fine = request.digest.is_empty() || digest.is_some();
        problems.unless(fine, "sha256", "must be 64 hex digits or empty");
        validate_reason(&mut problems, &request.reason);
        problems.finish()?;
        let known = imaging.index.known(vec![request.instance.clone()]).await?;
        let known: Vec<KnownObject> = known.into_iter().flatten().collect();
        let chosen = |k: &&KnownObject| digest.map_or(!k.apart, |digest| k.digest == digest);
        let found = known.iter().find(chosen);
        let study = found.map(|k| k.uids.study.clone()).unwrap_or_default();
        let apart = known.iter().filter(|k| k.apart && found.is_none_or(|f| f.digest != k.digest));
        let left = count(apart.count());
        let objects: Vec<ErasedObject> = found.into_iter().map(object).collect();
        let what = What { study: &study, kind: "instance", reason: &request.reason };
        let erased = imaging.erase(&permit, what, objects).await?;
        let gone = u64::from(found.is_some_and(|k| k.apart));
        Ok(Erased { apart: gone, apart_left: left, ..erased })
    }
}

/// What is erased, and why.
#[derive(Debug, Clone, Copy)]
struct What<'a> {
    study: &'a str,
    kind: &'static str,
    reason: &'a str,
}

impl Imaging {
    async fn erase(
        &self,
        permit: &Permit<'_>,
        what: What<'_>,
        objects: Vec<ErasedObject>,
    ) -> Result<Erased, Error> {
        let patient_id = self.patient_of(what.study).await?;
        let entry = |outcome: &'static str| AuditEntry {
            at_ms: self.clock.now_ms(),
            record_id: what.study.to_owned(),
            patient_reference: patient_id.clone(),
            outcome,
            detail: what.reason.to_owned(),
        };
        if objects.is_empty() {
            self.journal.audit(permit, entry("not_found")).await?;
            return Err(Error::NotFound { kind: what.kind });
        }
        let lengths = objects.iter().filter_map(|o| o.location).map(|l| l.length);
        let bytes = lengths.fold(0, u64::saturating_add);
        let objects_count = count(objects.len());
        let caller = permit.caller();
        let by = ErasedBy::Caller {
            name: caller.name.clone(),
            role: caller.role.name().to_owned(),
            reason: what.reason.to_owned(),
        };
        let new = NewErasure {
            study: what.study.to_owned(),
            patient_id: patient_id.clone(),
            by,
            at_ms: self.clock.now_ms(),
            objects,
        };
        let erasure = match self.custody.begin(new).await? {
            Begun::Open(erasure) => erasure,
            Begun::Held(id) => {
                self.journal.audit(permit, entry("held")).await?;
                let reason = format!("legal hold {id} stands on the study: lift it first");
                return Err(Error::Refused { reason });
            }
        };
        let number = erasure.number;
        let gone = || Error::Unavailable { what: "imaging", cause: None };
        let (done, told) = oneshot::channel();
        self.errands.send(Errand::Erase { erasure, done }).await.map_err(|_| gone())?;
        match told.await.map_err(|_| gone())? {
            Ok(()) => Ok(Erased { number, objects: objects_count, bytes, ..Erased::default() }),
            Err(error) => {
                // It is tried again until it is done, and then written down once more.
                self.journal.audit(permit, entry("unfinished")).await?;
                Err(error)
            }
        }
    }

    /// Every object of a study that answers questions.
    async fn objects_of(&self, study: &str) -> Result<Vec<ErasedObject>, Error> {
        let mut objects: Vec<ErasedObject> = Vec::new();
        loop {
            let selection = Selection { studies: vec![study.to_owned()], ..Selection::default() };
            let page = self.index.instances(selection, count(objects.len()), PAGE).await?;
            let last = count(page.len()) < PAGE;
            objects.extend(page.into_iter().map(|instance| ErasedObject {
                digest: instance.digest,
                instance: instance.uids.instance,
                location: Some(instance.location),
            }));
            if objects.len() > OBJECTS_MAX {
                let reason = format!("the study has more than {OBJECTS_MAX} objects");
                return Err(Error::Refused { reason });
            }
            if last {
                return Ok(objects);
            }
        }
    }

    /// Every object of a study that is kept apart.
    async fn apart_of(&self, study: &str) -> Result<Vec<ErasedObject>, Error> {
        let (mut objects, mut offset) = (Vec::new(), 0);
        if self.index.counts().await?.apart == 0 {
            return Ok(objects);
        }
        loop {
            let page = self.index.apart(offset, PAGE).await?;
            offset += count(page.len());
            let last = count(page.len()) < PAGE;
            objects.extend(page.iter().filter(|k| k.uids.study == study).map(object));
            if last {
                return Ok(objects);
            }
        }
    }

    /// Patient ID of a study; empty if there is none.
    pub async fn patient_of(&self, study: &str) -> Result<String, Error> {
        Ok(self.index.patient_of(study).await?.unwrap_or_default())
    }

    /// Whether anything of a study answers questions.
    pub(super) async fn has_study(&self, study: &str) -> Result<bool, Error> {
        Ok(self.index.patient_of(study).await?.is_some())
    }
}

fn object(known: &KnownObject) -> ErasedObject {
    ErasedObject {
        digest: known.digest,
        instance: known.uids.instance.clone(),
        location: Some(known.location),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
