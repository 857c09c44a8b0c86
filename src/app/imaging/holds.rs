//! Legal holds: a study that is held is neither erased nor evicted until every hold is lifted.

use super::custody::{Hold, HoldQuery, Lifted, NewHold, Placed};
use super::erasing::validate_reason;
use super::search::validate_uid;
use super::{counted, only};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::app::request::{PageRequest, Problems};

/// Lists of holds are told apart from others by this.
const SEAL: &str = "holds";
/// Outcome of an entry that is written before what it is about is done.
const MEANT: &str = "asked";

impl App {
    /// Places a hold on a study that is kept here.
    pub async fn place_hold(
        &self,
        caller: &Caller,
        study: &str,
        reason: &str,
    ) -> Result<Hold, Error> {
        let permit = authorise(caller, Action::HoldImages)?;
        let imaging = self.images()?.imaging();
        let mut problems = Problems::default();
        validate_uid(&mut problems, "study_uid", study);
        validate_reason(&mut problems, reason);
        problems.finish()?;
        if !imaging.has_study(study).await? {
            return Err(Error::NotFound { kind: "study" });
        }
        let new = NewHold {
            id: self.ids.new_id(),
            study: study.to_owned(),
            reason: reason.to_owned(),
            by: caller.name.clone(),
            at_ms: self.clock.now_ms(),
        };
        let patient = imaging.patient_of(study).await?;
        // The hold is not in the trail's database: what is meant is written down before, what came of
        // it after. Which hold it is, is known then: another may stand already.
        let about = |outcome, hold: &str| AuditEntry {
            outcome,
            ..self.explained(study, &patient, format!("{hold}: {reason}"))
        };
        self.journal.audit(&permit, about(MEANT, "hold")).await?;
        let placed = imaging.custody.place(new).await?;
        let Placed::Stands(hold) = placed else {
            self.journal.audit(&permit, about("refused", "hold")).await?;
            let reason = "objects of the study are being erased".to_owned();
            return Err(Error::Refused { reason });
        };
        self.journal.audit(&permit, about("ok", &format!("hold {}", hold.id))).await?;
        Ok(hold)
    }

    /// Lifts a hold. One that was lifted before stays as it is.
    pub async fn lift_hold(&self, caller: &Caller, id: &str, reason: &str) -> Result<Hold, Error> {
        let permit = authorise(caller, Action::HoldImages)?;
        let imaging = self.images()?.imaging();
        let mut problems = Problems::default();
        problems.unless(!id.is_empty(), "hold_id", "must not be empty");
        problems.id("hold_id", id);
        validate_reason(&mut problems, reason);
        problems.finish()?;
        let lifted = Lifted {
            by: caller.name.clone(),
            at_ms: self.clock.now_ms(),
            reason: reason.to_owned(),
        };
        let query = HoldQuery { id: Some(id.to_owned()), limit: 1, ..HoldQuery::default() };
        let standing = imaging.custody.holds(query).await?.pop();
        let study = standing.map(|hold| hold.study).unwrap_or_default();
        let patient = imaging.patient_of(&study).await?;
        let about = |outcome| AuditEntry {
            outcome,
            ..self.explained(&study, &patient, format!("hold {id} lifted: {reason}"))
        };
        self.journal.audit(&permit, about(MEANT)).await?;
        let Some(hold) = imaging.custody.lift(id, lifted).await? else {
            self.journal.audit(&permit, about("not_found")).await?;
            return Err(Error::NotFound { kind: "hold" });
        };
        self.journal.audit(&permit, about("ok")).await?;
        Ok(hold)
    }

    /// Holds, newest first, and the token of the next page; of one study or of all (empty), those
    /// that stand or the lifted ones too.
    pub async fn list_holds(
        &self,
        caller: &Caller,
        (study, standing): (&str, bool),
        page: &PageRequest,
    ) -> Result<(Vec<Hold>, String), Error> {
        let permit = authorise(caller, Action::ReadHolds)?;
        let imaging = self.images()?.imaging();
        if !study.is_empty() {
            let mut problems = Problems::default();
            validate_uid(&mut problems, "study_uid", study);
            problems.finish()?;
        }
        let (size, before_seq) = page.open(SEAL)?;
        let query = HoldQuery {
            study: (!study.is_empty()).then(|| study.to_owned()),
            standing,
            before_seq,
            id: None,
            limit: size.saturating_add(1),
        };
        let mut holds = imaging.custody.holds(query).await?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = holds.len() > size;
        holds.truncate(size);
        let of = only(holds.iter().map(|hold| hold.study.as_str())).unwrap_or(study);
        let patient = if of.is_empty() { String::new() } else { imaging.patient_of(of).await? };
        let entry = self.explained(of, &patient, counted(holds.len(), "holds"));
        self.journal.audit(&permit, entry).await?;
        let next = holds.last().filter(|_| more).map(|last| format!("{SEAL}-{}", last.seq));
        Ok((holds, next.unwrap_or_default()))
    }

    fn explained(&self, study: &str, patient: &str, detail: String) -> AuditEntry {
        AuditEntry { detail, ..self.entry(study, patient) }
    }
}
