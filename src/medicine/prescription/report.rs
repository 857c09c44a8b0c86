//! What a check answers.

use crate::medicine::table::Status;

/// What a finding is about. Names as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 过敏
    Allergy,
    /// 相互作用
    Interaction,
    /// 妊娠
    Pregnancy,
    /// 重复给药
    Duplicate,
    /// 用药天数
    Duration,
    /// 处方书写 and legal form.
    LegalForm,
}

/// How bad it can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// 禁忌
    Contraindicated,
    /// 严重
    Serious,
    /// 中等
    Moderate,
    /// 轻微
    Minor,
}

/// What the doctor's desk does with it, most forceful first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The line must not go out as written.
    Stop,
    /// It may go out with a written reason.
    NeedsReason,
    /// It is shown and does not interrupt.
    Notice,
    /// It is listed when asked for.
    OnRequest,
}

/// One cause of concern, with everything a doctor needs to act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable: rule and sorted subjects, independent of the order of lines.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// How bad it can become.
    pub severity: Severity,
    /// What to do with it.
    pub action: Action,
    /// Ids of the lines concerned, in the order of the prescription.
    pub lines: Vec<String>,
    /// The medicines concerned as written, lines first, then current medicines.
    pub medicines: Vec<String>,
    /// One plain sentence: what is wrong, naming the medicines.
    pub reason_zh: String,
    /// What to do instead.
    pub instead_zh: String,
    /// Item of the prescription review (处方点评), where one fits.
    pub review_code: Option<String>,
    /// Id of the row in the rule tables.
    pub rule: String,
    /// Citation of that row, `<source>#<locator>`.
    pub source: String,
    /// The citation in words.
    pub citation: String,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
}

/// Something that could not be checked. Never to be shown as safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchecked {
    /// Ids of the lines concerned, in the order of the prescription.
    pub lines: Vec<String>,
    /// Names as written: lines, current medicines or allergies.
    pub names: Vec<String>,
    /// The checks that could not be done.
    pub what: Vec<Kind>,
    /// One plain sentence saying why, and what would help.
    pub reason_zh: String,
    /// Known names that look alike.
    pub suggestions: Vec<String>,
    /// Whether it is listed only when asked for.
    pub on_request: bool,
}

/// What a written name was taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Line id; `None` for a current medicine.
    pub line: Option<String>,
    /// Name as written.
    pub written: String,
    /// Code of the medicine; `None` where only an ingredient was recognised, or nothing.
    pub code: Option<String>,
    /// Name in the formulary; `None` where nothing was recognised.
    pub name_zh: Option<String>,
}

/// Counts of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Findings with [`Action::Stop`].
    pub stop: usize,
    /// Findings with [`Action::NeedsReason`].
    pub needs_reason: usize,
    /// Findings with [`Action::Notice`].
    pub notice: usize,
    /// Findings with [`Action::OnRequest`].
    pub on_request: usize,
    /// Entries of `unchecked` that are shown without being asked for.
    pub unchecked: usize,
}

/// The answer to one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Findings by action, then severity, then line.
    pub findings: Vec<Finding>,
    /// What could not be checked.
    pub unchecked: Vec<Unchecked>,
    /// What each line and each current medicine was taken for.
    pub taken: Vec<Taken>,
    /// Counts.
    pub summary: Summary,
    /// Version of the rule tables.
    pub rule_version: String,
}

impl Kind {
    /// Every kind checked so far, in the order of the contract.
    pub const ALL: [Self; 6] = [
        Self::Allergy,
        Self::Interaction,
        Self::Pregnancy,
        Self::Duplicate,
        Self::Duration,
        Self::LegalForm,
    ];

    /// The name used in case files and the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allergy => "allergy",
            Self::Interaction => "interaction",
            Self::Pregnancy => "pregnancy",
            Self::Duplicate => "duplicate",
            Self::Duration => "duration",
            Self::LegalForm => "legal_form",
        }
    }
}

impl Action {
    /// The name used in tables, case files and the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::NeedsReason => "NEEDS_REASON",
            Self::Notice => "NOTICE",
            Self::OnRequest => "ON_REQUEST",
        }
    }
}

impl Summary {
    /// Counts findings and what is left unchecked.
    pub(super) fn of(findings: &[Finding], unchecked: &[Unchecked]) -> Self {
        let count = |action| findings.iter().filter(|f| f.action == action).count();
        Self {
            stop: count(Action::Stop),
            needs_reason: count(Action::NeedsReason),
            notice: count(Action::Notice),
            on_request: count(Action::OnRequest),
            unchecked: unchecked.iter().filter(|u| !u.on_request).count(),
        }
    }
}
