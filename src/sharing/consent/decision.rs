//! Whether a read is allowed, and why.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::policy::{Cell, Decision, Opens, PolicyTables, Withdrawn, day};
use super::standing::{End, Standing};
use super::terms::{Purpose, Relation, Role, Scope};

const HOUR_MS: i64 = 3_600_000;
/// A reason of fewer different characters is none (啊啊啊啊啊啊啊啊啊啊).
const REASON_DIFFERENT_MIN: usize = 4;

/// The record that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordRef {
    /// Name of the document.
    pub name: String,
    /// The institution that wrote it.
    pub author_institution: String,
}

/// A read that is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// What for; none if it was not stated or is unknown.
    pub purpose: Option<Purpose>,
    /// As what; none if it is unknown.
    pub role: Option<Role>,
    /// The reader's institution; empty for a patient.
    pub institution: String,
    /// Division code of the reader's place, from a county (6 digits) on; whose policy counts.
    pub region: String,
    /// Which record.
    pub record: RecordRef,
    /// How much of it.
    pub scope: Scope,
    /// The reader has been authenticated as this very patient.
    pub is_the_patient: bool,
    /// The reason for which the glass is to be broken.
    pub break_glass: Option<String>,
}

/// Reasons name patients; they stay out of logs.
impl std::fmt::Debug for AccessRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessRequest")
            .field("purpose", &self.purpose)
            .field("role", &self.role)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No.
    Denied,
    /// Yes, because the glass was broken.
    GlassBroken,
    /// Yes.
    Allowed,
}

/// Why, as a stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// No purpose was stated, or an unknown one.
    PurposeUnknown,
    /// The role is unknown.
    RoleUnknown,
    /// The reader's institution is not said.
    InstitutionUnknown,
    /// The reader's region is no division code.
    RegionUnknown,
    /// The time cannot be.
    TimeUnknown,
    /// No row of the policy speaks about it.
    NoRow,
    /// What the row says.
    Policy,
    /// The patient withdrew.
    Withdrawn,
    /// A grant that would have counted has ended.
    GrantEnded,
    /// A grant that would have counted has not begun.
    GrantNotBegun,
    /// A grant without the end that its kind needs, or that ends before it begins.
    GrantInvalid,
    /// It is possible by breaking the glass, with a reason.
    GlassPossible,
    /// The reason for breaking the glass is too short or says nothing.
    GlassReasonMissing,
    /// Less than was asked for.
    ScopeNarrowed,
    /// The glass was broken: the patient is told, and the case is reviewed.
    GlassBroken,
    /// The reader's role may not do this for the purpose, whatever the relation.
    PurposeNotOfRole,
    /// The patient is not of the reader's village, township or county, so the institution's registration or
    /// contract does not count for the reader.
    OutOfPlace,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessReason {
    /// As a stable name.
    pub code: ReasonCode,
    /// In Chinese.
    pub text_zh: String,
}

/// The answer, with everything that follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// In one word.
    pub verdict: Verdict,
    /// How much may be read; none if denied.
    pub scope: Option<Scope>,
    /// Until when, in milliseconds since 1970 UTC, not included; none if denied.
    pub until_ms: Option<i64>,
    /// Whether the patient is to be told.
    pub notify: bool,
    /// Whether a review case is to be opened.
    pub review: bool,
    /// The relation that decided.
    pub relation: Option<Relation>,
    /// The row that decided, as `file:line`; empty if none did.
    pub row: String,
    /// The row's source, as a person reads it.
    pub source: String,
    /// Why; never empty.
    pub reasons: Vec<AccessReason>,
}

impl Access {
    /// Denied for a reason that no row gives.
    pub fn denied(code: ReasonCode, text_zh: &str) -> Self {
        denied(vec![reason(code, text_zh)])
    }
}

/// Decides a read at `at_ms` (milliseconds since 1970 UTC). Of several relations the one that
/// gives most counts; what is not known or not spoken of is denied, and said.
pub fn decide(
    request: &AccessRequest,
    standing: &Standing,
    policy: &PolicyTables,
    at_ms: i64,
) -> Access {
    let asked = match Asked::new(request, at_ms) {
        Ok(asked) => asked,
        Err(reasons) => return denied(reasons),
    };
    let (relations, mut remarks) = relations(request, standing, asked.role, at_ms);
    let withdrawn = request.role != Some(Role::Patient) || !request.is_the_patient;
    let withdrawn = withdrawn
        && standing
            .withdrawals
            .iter()
            .any(|w| w.meets(&request.institution, &request.record.name, at_ms));
    let mut best: Option<Access> = None;
    for (relation, until_ms) in relations {
        let key = (asked.purpose, asked.role, relation);
        let access = match policy.cell(&request.region, key, asked.day) {
            Some(cell) => {
                let case = Case { request, relation, until_ms, withdrawn, at_ms };
                case.by(cell, policy.purpose_zh(asked.purpose))
            }
            None => denied(vec![reason(ReasonCode::NoRow, "政策表没有规定这种情形，一律不开放")]),
        };
        // The first of equals counts: relations come in order of closeness.
        if best.as_ref().is_none_or(|best| rank(&access) > rank(best)) {
            best = Some(access);
        }
    }
    let mut access = best.unwrap_or_else(|| {
        denied(vec![reason(ReasonCode::NoRow, "政策表没有规定这种情形，一律不开放")])
    });
    if access.verdict == Verdict::Denied {
        access.reasons.append(&mut remarks);
    }
    access
}

/// What must be known.
struct Asked {
    purpose: Purpose,
    role: Role,
    day: Date,
}

impl Asked {
    fn new(request: &AccessRequest, at_ms: i64) -> Result<Self, Vec<AccessReason>> {
        let mut missing = Vec::new();
        let mut say = |code, text: &str| missing.push(reason(code, text));
        if request.purpose.is_none() {
            say(ReasonCode::PurposeUnknown, "没有写明调阅目的，或目的代码不认识：一律不开放");
        }
        if request.role.is_none() {
            say(ReasonCode::RoleUnknown, "调阅人的角色不认识：一律不开放");
        }
        if request.institution.trim().is_empty() && request.role != Some(Role::Patient) {
            say(ReasonCode::InstitutionUnknown, "不知道调阅人所在的机构：一律不开放");
        }
        let region = &request.region;
        if !(6..=12).contains(&region.len()) || !region.bytes().all(|b| b.is_ascii_digit()) {
            say(ReasonCode::RegionUnknown, "调阅人所在地区的区划代码不对，不知道用哪里的政策");
        }
        let day = day(at_ms);
        if day.is_none() {
            say(ReasonCode::TimeUnknown, "时间不可能：请检查时钟");
        }
        match (request.purpose, request.role, day) {
            (Some(purpose), Some(role), Some(day)) if missing.is_empty() => {
                Ok(Self { purpose, role, day })
            }
            _ => Err(missing),
        }
    }
}

/// Relations that hold, with their ends, and remarks on grants that do not.
type Held = (Vec<(Relation, Option<i64>)>, Vec<AccessReason>);

fn relations(request: &AccessRequest, standing: &Standing, role: Role, at_ms: i64) -> Held {
    let mut held: Vec<(Relation, Option<i64>)> = Vec::new();
    let mut remarks = Vec::new();
    if role == Role::Patient && request.is_the_patient {
        held.push((Relation::Own, None));
    }
    let here = |institution: &str| !institution.is_empty() && institution == request.institution;
    if here(&request.record.author_institution) {
        held.push((Relation::Author, None));
    }
    for grant in standing.grants.iter().filter(|grant| here(&grant.institution)) {
        let relation = grant.kind.relation();
        let name = relation.name_zh();
        let end = grant.end();
        if grant.holds(at_ms) {
            let until_ms = match end {
                End::At(until) => Some(until),
                End::Open | End::Invalid => None,
            };
            held.push((relation, until_ms));
            continue;
        }
        let (code, text) = if end == End::Invalid {
            (ReasonCode::GrantInvalid, format!("“{name}”没有有效的起止时间，不作数"))
        } else if at_ms < grant.from_ms {
            (ReasonCode::GrantNotBegun, format!("“{name}”还没有开始"))
        } else {
            (ReasonCode::GrantEnded, format!("“{name}”已经到期"))
        };
        remarks.push(reason(code, &text));
    }
    held.push((Relation::None, None));
    (held, remarks)
}

/// One relation under one row.
struct Case<'a> {
    request: &'a AccessRequest,
    relation: Relation,
    /// End of the relation.
    until_ms: Option<i64>,
    withdrawn: bool,
    at_ms: i64,
}

impl Case<'_> {
    fn by(&self, cell: &Cell, purpose_zh: &str) -> Access {
        let why = format!("{purpose_zh}，{}：{}", self.relation.name_zh(), cell.note_zh);
        let mut access = denied(vec![reason(ReasonCode::Policy, &why)]);
        access.relation = Some(self.relation);
        access.row.clone_from(&cell.row);
        access.source.clone_from(&cell.source);
        let Some(opens) = cell.opens else { return access };
        let decision = match (self.withdrawn, opens.withdrawn, cell.decision) {
            (true, Withdrawn::Stops, _) => Decision::Deny,
            (true, Withdrawn::BreaksGlass, _) => Decision::BreakGlass,
            (true, Withdrawn::Stands, decision) | (false, _, decision) => decision,
        };
        if self.withdrawn && decision != cell.decision {
            access.reasons.push(reason(ReasonCode::Withdrawn, "患者已撤回同意"));
        }
        match decision {
            Decision::Deny => access,
            Decision::Allow => self.open(access, &opens, Verdict::Allowed),
            Decision::BreakGlass => self.glass(access, &opens),
        }
    }

    fn glass(&self, mut access: Access, opens: &Opens) -> Access {
        let min = opens.reason_chars_min;
        let Some(words) = &self.request.break_glass else {
            access.reasons.push(reason(
                ReasonCode::GlassPossible,
                &format!("可以紧急调阅：写明至少{min}个字的理由，将通知患者并事后审查"),
            ));
            return access;
        };
        let said: Vec<char> = words.chars().filter(|c| c.is_alphanumeric()).collect();
        let different: BTreeSet<char> = said.iter().copied().collect();
        if said.len() < min || different.len() < REASON_DIFFERENT_MIN.min(min) {
            access.reasons.push(reason(
                ReasonCode::GlassReasonMissing,
                &format!("紧急调阅的理由不足{min}个字，或没有内容"),
            ));
            return access;
        }
        access.reasons.push(reason(
            ReasonCode::GlassBroken,
            "紧急调阅：已记入审计，将通知患者，并由审查人员事后审查",
        ));
        let mut access = self.open(access, opens, Verdict::GlassBroken);
        access.notify = true;
        access.review = true;
        access
    }

    fn open(&self, mut access: Access, opens: &Opens, verdict: Verdict) -> Access {
        let permit = self.at_ms.saturating_add(opens.hours.saturating_mul(HOUR_MS));
        access.verdict = verdict;
        access.until_ms = Some(self.until_ms.map_or(permit, |until| until.min(permit)));
        access.scope = Some(opens.scope.min(self.request.scope));
        access.notify = opens.notify;
        if opens.scope < self.request.scope {
            access.reasons.push(reason(ReasonCode::ScopeNarrowed, "只能看摘要，不能看全文"));
        }
        access
    }
}

/// What gives more: the verdict, how much, how long; among those denied the one that can be
/// opened by breaking the glass.
fn rank(access: &Access) -> (Verdict, Option<Scope>, Option<i64>, bool) {
    let glass = access.reasons.iter().any(|reason| {
        matches!(reason.code, ReasonCode::GlassPossible | ReasonCode::GlassReasonMissing)
    });
    (access.verdict, access.scope, access.until_ms, glass)
}

fn reason(code: ReasonCode, text_zh: &str) -> AccessReason {
    AccessReason { code, text_zh: text_zh.to_owned() }
}

fn denied(reasons: Vec<AccessReason>) -> Access {
    Access {
        verdict: Verdict::Denied,
        scope: None,
        until_ms: None,
        notify: false,
        review: false,
        relation: None,
        row: String::new(),
        source: String::new(),
        reasons,
    }
}
