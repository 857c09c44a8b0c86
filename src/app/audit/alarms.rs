//! Closing alarms. Who closed which, and with what finding, is an entry of the trail and stands nowhere
//! else, so that it cannot be changed unseen.

use super::ports::{AlarmQuery, KeptAlarm};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::app::request::Problems;

/// Characters of a note at most.
const NOTE_CHARS_MAX: usize = 200;

/// What looking into an alarm came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The reading was part of the caller's work.
    Justified,
    /// It was not.
    Misuse,
    /// It can no longer be said.
    Undecided,
}

/// An alarm to close.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Its number.
    pub number: u64,
    /// What looking into it came to; none where nothing that is known was said.
    pub finding: Option<Finding>,
    /// Why, in words.
    pub note: String,
}

impl Finding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Justified, Self::Misuse, Self::Undecided];

    /// The name in the trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::Misuse => "misuse",
            Self::Undecided => "undecided",
        }
    }

    /// Finding and note from the detail of the entry that closed an alarm.
    pub fn read(detail: &str) -> Option<(Self, &str)> {
        let (name, note) = detail.split_once(": ")?;
        Self::ALL.into_iter().find(|finding| finding.name() == name).map(|found| (found, note))
    }
}

/// What the trail calls an alarm as the record of an entry.
pub fn alarm_record(number: u64) -> String {
    format!("alarm-{number}")
}

impl App {
    /// Closes an alarm.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the note, [`Error::NotFound`], and [`Error::Refused`] where it is closed
    /// already or about the caller.
    pub async fn close_alarm(&self, caller: &Caller, closing: Closing) -> Result<KeptAlarm, Error> {
        let permit = authorise(caller, Action::CloseAlarms)?;
        let mut problems = Problems::default();
        let note = closing.note.trim();
        let what = "must be JUSTIFIED, MISUSE or UNDECIDED";
        problems.unless(closing.finding.is_some(), "finding", what);
        problems.unless(!note.is_empty(), "note", "must not be empty");
        problems.chars("note", note, NOTE_CHARS_MAX);
        problems.unless(!note.contains(char::is_control), "note", "must be one line of text");
        problems.finish()?;
        let trail = &self.audit_desk()?.trail;
        let query = AlarmQuery { number: Some(closing.number), limit: 1, ..AlarmQuery::default() };
        let found = || async { Ok::<_, Error>(trail.alarms(query).await?.pop()) };
        let record = alarm_record(closing.number);
        let entry = self.entry(&record, "");
        let Some(alarm) = found().await? else {
            self.journal.audit(&permit, AuditEntry { outcome: "not_found", ..entry }).await?;
            return Err(Error::NotFound { kind: "alarm" });
        };
        let refused = if alarm.alarm.caller == caller.name {
            Some("nobody closes an alarm about themselves".to_owned())
        } else {
            alarm.closed.map(|by| format!("it is closed already, by entry {}", by.number))
        };
        if let Some(reason) = refused {
            self.journal.audit(&permit, AuditEntry { outcome: "refused", ..entry }).await?;
            return Err(Error::Refused { reason });
        }
        let detail = format!("{}: {note}", closing.finding.map_or("", Finding::name));
        self.journal.audit(&permit, AuditEntry { detail, ..entry }).await?;
        // Of two at the same moment the first counts, which both are told.
        found().await?.ok_or(Error::NotFound { kind: "alarm" })
    }
}
