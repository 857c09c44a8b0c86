//! How a patient stands to institutions: grants, and what the patient took back.

use serde::{Deserialize, Serialize};

use super::terms::Relation;

/// A presence counts no longer than this after it was confirmed, whatever its end, in milliseconds.
pub const PRESENCE_MS_MAX: i64 = 24 * 3_600_000;

/// What a grant rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// The patient is registered with the institution. May be open-ended.
    Registration,
    /// The patient is there and has confirmed it. Needs an end.
    Presence,
    /// A signed family-doctor contract. Needs an end.
    Contract,
    /// A referral to the institution. Needs an end.
    Referral,
}

impl GrantKind {
    /// The relation that it makes.
    pub fn relation(self) -> Relation {
        match self {
            Self::Registration => Relation::Registered,
            Self::Presence => Relation::Present,
            Self::Contract => Relation::Contract,
            Self::Referral => Relation::Referral,
        }
    }
}

/// A grant to an institution. Times are milliseconds since 1970 UTC; the end is not included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What it rests on.
    pub kind: GrantKind,
    /// To which institution; for a referral the one to which the patient is sent.
    pub institution: String,
    /// From when.
    pub from_ms: i64,
    /// Until when; none is open-ended, which only a registration may be.
    pub until_ms: Option<i64>,
}

/// When a grant ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is no valid grant: its kind needs an end, or it ends before it begins.
    Invalid,
    /// Never.
    Open,
    /// At this time.
    At(i64),
}

impl Grant {
    /// When it ends.
    pub(super) fn end(&self) -> End {
        match (self.kind, self.until_ms) {
            (_, Some(until)) if until <= self.from_ms => End::Invalid,
            (GrantKind::Presence, Some(until)) => {
                End::At(until.min(self.from_ms.saturating_add(PRESENCE_MS_MAX)))
            }
            (GrantKind::Registration | GrantKind::Contract | GrantKind::Referral, Some(until)) => {
                End::At(until)
            }
            (GrantKind::Registration, None) => End::Open,
            (GrantKind::Presence | GrantKind::Contract | GrantKind::Referral, None) => End::Invalid,
        }
    }

    /// Whether it holds at `at_ms`.
    pub fn holds(&self, at_ms: i64) -> bool {
        self.from_ms <= at_ms
            && match self.end() {
                End::Invalid => false,
                End::Open => true,
                End::At(until) => at_ms < until,
            }
    }
}

/// What a withdrawal takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Everything.
    All,
    /// Everything for one institution.
    Institution(String),
    /// One record, by its document's name, for everybody.
    Record(String),
}

/// The patient took consent back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// What.
    pub reach: Reach,
    /// From when, in milliseconds since 1970 UTC.
    pub from_ms: i64,
    /// Until the patient gave it again; none if not.
    pub until_ms: Option<i64>,
}

impl Withdrawal {
    pub(super) fn meets(&self, institution: &str, record: &str, at_ms: i64) -> bool {
        let reached = match &self.reach {
            Reach::All => true,
            Reach::Institution(other) => other == institution,
            Reach::Record(other) => other == record,
        };
        reached && self.from_ms <= at_ms && self.until_ms.is_none_or(|until| at_ms < until)
    }
}

/// How one patient stands to all institutions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Grants, those that have ended included.
    pub grants: Vec<Grant>,
    /// Withdrawals, those that have ended included.
    pub withdrawals: Vec<Withdrawal>,
}
