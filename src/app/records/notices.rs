//! Patients are told of reads that the policy tells of, a broken glass first of all: what is to be said,
//! and whether it was.

use serde::{Deserialize, Serialize};

use super::place::{About, Near};
use super::reading::Reading;
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::app::request::{NAME_CHARS_MAX, PageRequest, Problems};
use crate::sharing::consent::{Access, NoticeKind, Told, Verdict};

/// Characters of a note at most.
const NOTE_CHARS_MAX: usize = 500;

/// Whether a patient was told, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// Not yet.
    Open,
    /// In person.
    InPerson,
    /// By telephone.
    Phone,
    /// By letter.
    Letter,
    /// It was not possible; the note says why.
    NotTold,
}

impl NoticeState {
    const ALL: [Self; 5] = [Self::Open, Self::InPerson, Self::Phone, Self::Letter, Self::NotTold];

    /// The name in the store and in the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InPerson => "in_person",
            Self::Phone => "phone",
            Self::Letter => "letter",
            Self::NotTold => "not_told",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What a patient is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// Id.
    pub id: String,
    /// Name of the record that was read.
    pub record: String,
    /// Id of the review; empty where there is none.
    pub review: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Until when the read is open, likewise.
    pub until_ms: i64,
    /// Who read.
    pub reader: String,
    /// As what.
    pub role: String,
    /// Code of the purpose that was stated.
    pub purpose: &'static str,
    /// What is to be said, in Chinese.
    pub words: String,
}

/// A notice as kept. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientNotice {
    /// Id.
    pub id: String,
    /// Name of the record that was read.
    pub record: String,
    /// Whom it is about, by name; empty where this node cannot read the record.
    pub patient: String,
    /// Id of the review; empty where there is none.
    pub review: String,
    /// When.
    pub at_ms: i64,
    /// Until when the read is open.
    pub until_ms: i64,
    /// Who read.
    pub reader: String,
    /// As what.
    pub role: String,
    /// Code of the purpose that was stated.
    pub purpose: String,
    /// What is to be said, in Chinese.
    pub words: String,
    /// Whether it was.
    pub state: NoticeState,
    /// When; 0 if not yet.
    pub told_ms: i64,
    /// By whom.
    pub told_by: String,
    /// What is noted of it, or why it was not possible.
    pub note: String,
    /// Who wrote that down.
    pub noted_by: String,
    /// When; 0 if not yet.
    pub noted_ms: i64,
}

/// Says that a patient was told, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Id of the notice.
    pub id: String,
    /// How.
    pub state: NoticeState,
    /// When, in milliseconds since 1970; none: now.
    pub told_ms: Option<i64>,
    /// By whom; empty: by the caller.
    pub told_by: String,
    /// In words; needed where it was not possible.
    pub note: String,
}

impl App {
    /// What the patient is to be told of a read, if anything.
    pub(super) fn notice_of(
        &self,
        caller: &Caller,
        (record, review): (&str, &str),
        (reading, access): (Reading<'_>, &Access),
    ) -> Option<NewNotice> {
        if !access.notify {
            return None;
        }
        let at_ms = self.clock.now_ms();
        let knowledge = self.knowledge.load();
        let kind = match access.verdict {
            Verdict::GlassBroken => NoticeKind::GlassBroken,
            Verdict::Allowed | Verdict::Denied => NoticeKind::Read,
        };
        let told = Told {
            at_ms,
            institution: &self.name,
            role_zh: self.policy_role(caller.role).map_or("工作人员", |role| role.name_zh()),
            reader: &caller.name,
            purpose_zh: knowledge.policy.purpose_zh(reading.purpose),
        };
        Some(NewNotice {
            id: self.ids.new_id(),
            record: record.to_owned(),
            review: review.to_owned(),
            at_ms,
            until_ms: access.until_ms.unwrap_or(at_ms),
            reader: caller.name.clone(),
            role: caller.role.name().to_owned(),
            purpose: reading.purpose.id(),
            words: knowledge.policy.notice(self.policy_region(), kind, &told),
        })
    }

    /// What patients are to be told, open notices first, newest first: those alone, or all.
    pub async fn patient_notices(
        &self,
        caller: &Caller,
        open: bool,
        page: &PageRequest,
    ) -> Result<Vec<PatientNotice>, Error> {
        let permit = authorise(caller, Action::TellPatients)?;
        let (size, _) = page.open("notices")?;
        let mut found = self.desk()?.store.notices(&permit, open, size, self.entry("", "")).await?;
        if !caller.has_the_whole_node() {
            let mut near = Vec::with_capacity(found.len());
            for notice in found {
                if self.is_near_to(caller, (&notice.record, &notice.reader)).await? {
                    near.push(notice);
                }
            }
            found = near;
        }
        Ok(found)
    }

    /// Whether somebody has to do with a notice: it is about a patient who is near, or a read of one's own.
    async fn is_near_to(
        &self,
        caller: &Caller,
        (record, reader): (&str, &str),
    ) -> Result<bool, Error> {
        if reader == caller.name {
            return Ok(true);
        }
        let Some(has) = self.desk()?.store.standing(record).await? else { return Ok(false) };
        self.is_near(caller, (About::Record(&has), Near::InPerson)).await
    }

    /// A patient was told, or could not be.
    pub async fn record_patient_notice(
        &self,
        caller: &Caller,
        telling: Telling,
    ) -> Result<(), Error> {
        let permit = authorise(caller, Action::TellPatients)?;
        let now = self.clock.now_ms();
        let mut problems = Problems::default();
        problems.unless(!telling.id.is_empty(), "notice_id", "must not be empty");
        problems.id("notice_id", &telling.id);
        problems.unless(
            telling.state != NoticeState::Open,
            "told",
            "must say in person, by phone, by letter, or that it was not possible",
        );
        problems.unless(
            telling.told_ms.is_none_or(|told_ms| (1..=now).contains(&told_ms)),
            "told_ms",
            "must not lie in the future",
        );
        problems.unless(
            telling.state != NoticeState::NotTold || !telling.note.trim().is_empty(),
            "note",
            "must say why the patient could not be told",
        );
        problems.chars("note", &telling.note, NOTE_CHARS_MAX);
        problems.chars("told_by", &telling.told_by, NAME_CHARS_MAX);
        problems.printable("told_by", &telling.told_by);
        problems.finish()?;
        let by = telling.told_by.trim();
        let telling = Telling {
            told_ms: Some(telling.told_ms.unwrap_or(now)),
            told_by: if by.is_empty() { caller.name.clone() } else { by.to_owned() },
            note: telling.note.trim().to_owned(),
            ..telling
        };
        let detail = telling.state.name().to_owned();
        let entry = AuditEntry { detail, ..self.entry(&telling.id, "") };
        if !caller.has_the_whole_node()
            && let Some((record, reader)) = self.desk()?.store.noticed(&telling.id).await?
            && !self.is_near_to(caller, (&record, &reader)).await?
        {
            self.journal.audit(&permit, AuditEntry { outcome: "out_of_place", ..entry }).await?;
            return Err(Error::NotFound { kind: "open notice" });
        }
        if self.desk()?.store.record_notice(&permit, telling, entry).await? {
            Ok(())
        } else {
            Err(Error::NotFound { kind: "open notice" })
        }
    }
}
