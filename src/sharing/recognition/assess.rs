//! The rules applied: one planned examination, the studies that the patient has.

use jiff::civil::Date;

use super::checks::requirements;
use super::policy::{Extent, Ground, Level, Mark, Policy};
use super::reasons::{Outcome, Reason, ReasonCode, fill};
use super::study::{
    Assessment, Conclusion, Existing, GroundReason, Planned, Report, StudyAssessment, Verdict,
};

/// Studies of one patient that are looked at; the newest count.
pub(super) const STUDIES_MAX: usize = 2000;

/// Which of `existing` stand in the place of `planned`, by the rules of `policy`'s day. The order
/// of the studies does not matter.
pub fn assess(policy: &Policy, planned: &Planned, existing: &[Existing]) -> Assessment {
    let mut newest: Vec<&Existing> = existing.iter().collect();
    newest.sort_by(|a, b| b.date.cmp(&a.date).then_with(|| a.study.cmp(&b.study)));
    newest.truncate(STUDIES_MAX);
    let mut studies: Vec<StudyAssessment> =
        newest.into_iter().map(|study| judge(policy, planned, study)).collect();
    // Stable: the newest first among equals.
    studies.sort_by_key(|s| s.verdict);
    let grounds: Vec<GroundReason> = planned
        .grounds
        .iter()
        .map(|claim| {
            // The last of the six is none without a word about what it is.
            let said = claim.ground != Ground::Other || !claim.explanation.trim().is_empty();
            let text = policy.ground(claim.ground);
            GroundReason {
                ground: claim.ground,
                accepted: said && text.is_some(),
                clause: text.as_ref().map(|t| t.clause.clone()).unwrap_or_default(),
                doctor_zh: text.as_ref().map(|t| t.doctor_zh.clone()).unwrap_or_default(),
                patient_zh: text.map(|t| t.patient_zh).unwrap_or_default(),
            }
        })
        .collect();
    let best = studies.first().map(|s| s.verdict);
    let conclusion = match best {
        Some(Verdict::Recognised | Verdict::RecognisedWithRemark) => {
            if grounds.iter().any(|g| g.accepted) {
                Conclusion::RepeatAllowed
            } else {
                Conclusion::NotNeeded
            }
        }
        Some(Verdict::CannotSay) => Conclusion::Unclear,
        Some(Verdict::NotRecognised) | None => Conclusion::Needed,
    };
    Assessment {
        policy_version: policy.version().to_owned(),
        date: policy.date(),
        conclusion,
        studies,
        grounds,
    }
}

/// Collects reasons with their words.
pub(super) struct Findings<'p> {
    policy: &'p Policy,
    pub(super) reasons: Vec<Reason>,
}

impl<'p> Findings<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Self { policy, reasons: Vec::new() }
    }

    pub(super) fn add(&mut self, code: ReasonCode, values: &[(&'static str, String)]) {
        self.add_as(code, code.outcome(), values, None);
    }

    /// `source` is that of the row that was applied, if there is one.
    pub(super) fn add_as(
        &mut self,
        code: ReasonCode,
        outcome: Outcome,
        values: &[(&'static str, String)],
        source: Option<&str>,
    ) {
        let words = self.policy.words(code);
        let clause = match (words.map(|w| w.clause.as_str()), source) {
            (Some(clause), Some(source)) if !clause.is_empty() => {
                format!("{clause}；{}", self.policy.cite(source))
            }
            (_, Some(source)) => self.policy.cite(source),
            (clause, None) => clause.unwrap_or_default().to_owned(),
        };
        self.reasons.push(Reason {
            code,
            outcome,
            values: values.to_vec(),
            clause,
            doctor_zh: words.map(|w| fill(&w.doctor_zh, values)).unwrap_or_default(),
            patient_zh: words.map(|w| fill(&w.patient_zh, values)).unwrap_or_default(),
        });
    }
}

fn judge(policy: &Policy, planned: &Planned, study: &Existing) -> StudyAssessment {
    let mut findings = Findings::new(policy);
    match planned.examination.as_deref() {
        None => findings.add(ReasonCode::PlannedUnknown, &[]),
        Some(wanted) => {
            let held = examination(&mut findings, policy, wanted, study);
            window(&mut findings, policy, planned, wanted, study);
            if let Some(held) = held {
                level(&mut findings, policy, planned, held, study);
                findings.reasons.extend(requirements(policy, held, study));
            }
            report(&mut findings, policy, held.unwrap_or(wanted), study);
            side(&mut findings, planned, study);
        }
    }
    let mut reasons = findings.reasons;
    reasons.sort_by_key(|r| (r.outcome, r.code));
    let verdict = match reasons.first().map(|r| r.outcome) {
        Some(Outcome::Failed) => Verdict::NotRecognised,
        Some(Outcome::Unknown) | None => Verdict::CannotSay,
        Some(Outcome::Remark) => Verdict::RecognisedWithRemark,
        Some(Outcome::Met) => Verdict::Recognised,
    };
    StudyAssessment { study: study.study.clone(), verdict, reasons }
}

/// Whether one of the study's examinations is, or covers, the planned one; and which does best.
fn examination<'s>(
    findings: &mut Findings<'_>,
    policy: &Policy,
    wanted: &str,
    study: &'s Existing,
) -> Option<&'s str> {
    let Some(held) = study.examinations.as_ref().filter(|all| !all.is_empty()) else {
        findings.add(ReasonCode::ExaminationUnknown, &[]);
        return None;
    };
    let mut all: Vec<&str> = held.iter().map(String::as_str).collect();
    all.sort_unstable();
    let planned = ("planned", policy.name(wanted).to_owned());
    if let Some(same) = all.iter().find(|id| **id == wanted) {
        findings.add(ReasonCode::ExaminationSame, &[planned]);
        return Some(same);
    }
    let covers = all.iter().filter_map(|id| policy.cover(id, wanted).map(|row| (*id, row)));
    let Some((id, row)) = covers.min_by_key(|(id, row)| (row.extent, *id)) else {
        let names: Vec<&str> = all.iter().map(|id| policy.name(id)).collect();
        findings.add(ReasonCode::ExaminationOther, &[planned, ("existing", names.join("、"))]);
        return None;
    };
    let code = match row.extent {
        Extent::Full => ReasonCode::ExaminationCovers,
        Extent::Partly => ReasonCode::ExaminationCoversPartly,
        Extent::Unclear => ReasonCode::ExaminationUnclear,
    };
    let existing = ("existing", policy.name(id).to_owned());
    let note = ("note", row.note_zh.clone());
    findings.add_as(code, code.outcome(), &[planned, existing, note], Some(&row.source));
    Some(id)
}

/// The day of expiry is the last on which it counts.
fn window(
    findings: &mut Findings<'_>,
    policy: &Policy,
    planned: &Planned,
    wanted: &str,
    study: &Existing,
) {
    let Some(made) = study.date else {
        findings.add(ReasonCode::DateUnknown, &[]);
        return;
    };
    let Some(age) = days_between(made, policy.date()) else {
        findings.add(ReasonCode::DateInFuture, &[]);
        return;
    };
    let Some(row) = policy.window(wanted, planned.situation) else {
        findings.add(ReasonCode::WindowUnknown, &[("planned", policy.name(wanted).to_owned())]);
        return;
    };
    let values = [("age_days", age.to_string()), ("limit_days", row.days.to_string())];
    let code = if age <= i64::from(row.days) {
        ReasonCode::WindowWithin
    } else {
        ReasonCode::WindowExpired
    };
    findings.add_as(code, code.outcome(), &values, Some(&row.source));
}

/// Days from `made` to `day`; `None` if `made` is later.
fn days_between(made: Date, day: Date) -> Option<i64> {
    let days = day.duration_since(made).as_hours() / 24;
    (days >= 0).then_some(days)
}

fn level(
    findings: &mut Findings<'_>,
    policy: &Policy,
    planned: &Planned,
    held: &str,
    study: &Existing,
) {
    let holder = &study.institution;
    if !holder.id.is_empty() && holder.id == planned.asking.id {
        findings.add(ReasonCode::LevelOwn, &[]);
        return;
    }
    let marks = study.marks.clone().or_else(|| policy.marks(&holder.id, held));
    let Some(marks) = marks else {
        findings.add(ReasonCode::LevelUnknown, &[]);
        return;
    };
    let region = |own: &str, id: &str| -> String {
        if own.is_empty() {
            policy.region(id).unwrap_or_default().to_owned()
        } else {
            own.to_owned()
        }
    };
    let places =
        [region(&holder.region, &holder.id), region(&planned.asking.region, &planned.asking.id)];
    // Each mark is judged; the best outcome counts, the widest mark first among equals.
    let judged = marks.iter().map(|mark| (of_mark(policy, mark, &places, held, study.date), mark));
    let best = judged.min_by_key(|(code, mark)| {
        let outcome = match code.outcome() {
            Outcome::Met => 0,
            Outcome::Remark => 1,
            Outcome::Unknown => 2,
            Outcome::Failed => 3,
        };
        (outcome, std::cmp::Reverse(mark.level), mark.scope.as_str())
    });
    match best {
        Some((code, mark)) => findings.add(code, &[("scope", mark.scope.clone())]),
        None => findings.add(ReasonCode::LevelNone, &[]),
    }
}

fn of_mark(
    policy: &Policy,
    mark: &Mark,
    places: &[String; 2],
    held: &str,
    made: Option<Date>,
) -> ReasonCode {
    if !mark.level.fits(&mark.scope) {
        return ReasonCode::LevelUnknown;
    }
    let Some(made) = made else { return ReasonCode::LevelUnknown };
    if made < mark.valid_from || mark.valid_to.is_some_and(|to| to < made) {
        return ReasonCode::LevelNotInForce;
    }
    if places.iter().any(|place| !place.is_empty() && !place.starts_with(&mark.scope)) {
        return ReasonCode::LevelElsewhere;
    }
    // A place that is known less closely than the mark reaches may lie outside it.
    if mark.level != Level::National && places.iter().any(|p| p.len() < mark.scope.len()) {
        return ReasonCode::RegionUnknown;
    }
    if !policy.lists(held, mark.level, &mark.scope) {
        return ReasonCode::LevelNotListed;
    }
    match mark.level {
        Level::County => ReasonCode::LevelCounty,
        Level::City => ReasonCode::LevelCity,
        Level::Province => ReasonCode::LevelProvince,
        Level::National => ReasonCode::LevelNational,
    }
}

fn report(findings: &mut Findings<'_>, policy: &Policy, held: &str, study: &Existing) {
    let Some(row) = super::checks::signed_report(policy, held) else { return };
    let code = match study.report {
        Some(Report::Signed) => ReasonCode::ReportSigned,
        Some(Report::Unsigned) => ReasonCode::ReportUnsigned,
        Some(Report::Absent) => ReasonCode::ReportAbsent,
        None => ReasonCode::ReportUnknown,
    };
    findings.add_as(code, super::checks::weighed(code, row.weight), &[], Some(&row.source));
}

fn side(findings: &mut Findings<'_>, planned: &Planned, study: &Existing) {
    use crate::sharing::imaging::examination::Laterality;
    let Some(wanted) = planned.laterality else { return };
    let code = match study.laterality {
        Some(side) if side == wanted || side == Laterality::Both => ReasonCode::SideSame,
        Some(_) => ReasonCode::SideOther,
        None => ReasonCode::SideUnknown,
    };
    findings.add(code, &[]);
}
