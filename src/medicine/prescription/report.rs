//! What a check answers.

use std::sync::Arc;

use crate::tables::table::Status;

/// What a finding is about. Names as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 过敏
    Allergy,
    /// 相互作用
    Interaction,
    /// 妊娠
    Pregnancy,
    /// 重复给药, the same ingredient or more of a class than is good
    Duplicate,
    /// 一次剂量
    SingleDose,
    /// 一日剂量 and cumulative dose
    DailyDose,
    /// 年龄
    Age,
    /// 性别
    Sex,
    /// 哺乳
    Lactation,
    /// 疾病禁忌
    Disease,
    /// 肾功能
    Renal,
    /// 肝功能
    Hepatic,
    /// 给药途径 and dosage form
    Route,
    /// 给药频次
    Frequency,
    /// 用药天数
    Duration,
    /// 适应证
    Indication,
    /// 抗菌药物: indication, grade, combination
    Antibiotic,
    /// 皮试
    SkinTest,
    /// 输液: diluent, concentration, mixing
    Infusion,
    /// 中药: 十八反, 十九畏, 饮片 dose
    Tcm,
    /// 处方书写 and legal form
    LegalForm,
    /// 监测 or protecting medicine that is missing
    Monitoring,
    /// 老年人
    Elderly,
    /// 饮食与酒
    FoodAlcohol,
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
    /// Medicines of the essential list that could be given instead, best rank first. Each has
    /// passed the same checks with this patient and the rest of the prescription.
    pub alternatives: Vec<Alternative>,
    /// Item of the prescription review (处方点评), where one fits.
    pub review_code: Option<String>,
    /// Id of the row in the rule tables.
    pub rule: Arc<str>,
    /// Citation of that row, `<source>#<locator>`.
    pub source: Arc<str>,
    /// The citation in words.
    pub citation: Arc<str>,
    /// Place of the first line or current medicine it is about.
    pub(super) place: usize,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
}

/// A medicine that could be given instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Code on the list.
    pub code: String,
    /// Name on the list.
    pub name_zh: String,
    /// Rank of its indication: 1 is a first choice.
    pub rank: u8,
}

impl Finding {
    /// Orders alternatives of equal rank by `score`, the highest first and those without one last,
    /// and says them in that order. Nothing else changes.
    pub fn prefer(&mut self, score: impl Fn(&Alternative) -> Option<f32>) {
        let before = alternatives_zh(&self.alternatives);
        self.alternatives.sort_by(|a, b| {
            let of = |one: &Alternative| score(one).unwrap_or(f32::NEG_INFINITY);
            a.rank.cmp(&b.rank).then(of(b).total_cmp(&of(a)))
        });
        let after = alternatives_zh(&self.alternatives);
        if before != after {
            self.instead_zh = self.instead_zh.replace(&before, &after);
        }
    }
}

/// How alternatives are said; empty where there are none.
pub(super) fn alternatives_zh(found: &[Alternative]) -> String {
    let names: Vec<&str> = found.iter().map(|one| one.name_zh.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("可考虑{}（已按本病人和本方核对）。", names.join("或"))
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
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Line id; `None` for a current medicine.
    pub line: Option<String>,
    /// Name as written.
    pub written: String,
    /// Code of the medicine; `None` where only an ingredient was recognised, or nothing.
    pub code: Option<String>,
    /// Name in the formulary; `None` where nothing was recognised.
    pub name_zh: Option<String>,
    /// Route it counts as.
    pub route: Option<super::route::Route>,
    /// One dose as understood, such as `0.5g`; empty where it is not.
    pub dose: String,
    /// Doses a day, where they are said.
    pub per_day: Option<f64>,
    /// Days of supply.
    pub days: Option<f64>,
    /// What it is dissolved in, as understood.
    pub diluent: String,
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
#[derive(Debug, Clone, PartialEq)]
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
    /// Every kind, in the order of the contract.
    pub const ALL: [Self; 24] = [
        Self::Allergy,
        Self::Interaction,
        Self::Pregnancy,
        Self::Duplicate,
        Self::SingleDose,
        Self::DailyDose,
        Self::Age,
        Self::Sex,
        Self::Lactation,
        Self::Disease,
        Self::Renal,
        Self::Hepatic,
        Self::Route,
        Self::Frequency,
        Self::Duration,
        Self::Indication,
        Self::Antibiotic,
        Self::SkinTest,
        Self::Infusion,
        Self::Tcm,
        Self::LegalForm,
        Self::Monitoring,
        Self::Elderly,
        Self::FoodAlcohol,
    ];

    /// The name used in case files and the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allergy => "allergy",
            Self::Interaction => "interaction",
            Self::Pregnancy => "pregnancy",
            Self::Duplicate => "duplicate",
            Self::SingleDose => "single_dose",
            Self::DailyDose => "daily_dose",
            Self::Age => "age",
            Self::Sex => "sex",
            Self::Lactation => "lactation",
            Self::Disease => "disease",
            Self::Renal => "renal",
            Self::Hepatic => "hepatic",
            Self::Route => "route",
            Self::Frequency => "frequency",
            Self::Duration => "duration",
            Self::Indication => "indication",
            Self::Antibiotic => "antibiotic",
            Self::SkinTest => "skin_test",
            Self::Infusion => "infusion",
            Self::Tcm => "tcm",
            Self::LegalForm => "legal_form",
            Self::Monitoring => "monitoring",
            Self::Elderly => "elderly",
            Self::FoodAlcohol => "food_alcohol",
        }
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
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
