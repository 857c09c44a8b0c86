//! Antibiotics: grades by level of the institution, combinations, and skin tests.

use super::case::{Case, Draft, Item, Outcome, Place};
use super::{COMBINED, RESTRICTED, SKIN_TESTED};
use crate::medicine::prescription::order::{Level, SkinTestResult};
use crate::medicine::prescription::report::{Action, Kind, Severity};
use crate::medicine::prescription::route::Route;
use crate::medicine::prescription::rules::{AntibioticGrade, Need};

/// Systemic antibiotics on one prescription from which on a reason is asked for.
const MANY: usize = 3;

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    grades(case, out);
    combination(case, out);
    skin_tests(case, out);
}

fn grades(case: &Case<'_>, out: &mut Outcome) {
    for (at, item) in case.known_lines() {
        let rows = case.known.lists.antibiotics.of(item.medicine, item.ingredients);
        let mut rows: Vec<_> = rows.filter(|row| row.routes.may_hold(item.route)).collect();
        // The name of the product decides before those of its parts.
        rows.truncate(1);
        let Some(row) = rows.first() else { continue };
        let (action, why) = match (row.grade, case.order.level) {
            (AntibioticGrade::Nonrestricted, _) => continue,
            (AntibioticGrade::Restricted, Level::Hospital) => {
                (Action::OnRequest, "限制使用级，须中级以上职称开具")
            }
            (AntibioticGrade::Restricted, Level::Township) => {
                (Action::Notice, "限制使用级，须中级以上职称开具")
            }
            (AntibioticGrade::Restricted, Level::NotSaid) => {
                (Action::Notice, "限制使用级，村卫生室不用，乡镇卫生院须中级以上职称开具")
            }
            (AntibioticGrade::Restricted, Level::Village) => {
                (Action::NeedsReason, "限制使用级，村卫生室只用非限制使用级")
            }
            (AntibioticGrade::Special, Level::Hospital) => {
                (Action::NeedsReason, "特殊使用级，门诊不用，须会诊后由高级职称开具")
            }
            (AntibioticGrade::Special, Level::Township | Level::Village | Level::NotSaid) => {
                (Action::Stop, "特殊使用级，门诊和基层不用")
            }
        };
        let severity = match action {
            Action::Stop => Severity::Serious,
            Action::NeedsReason => Severity::Moderate,
            Action::Notice | Action::OnRequest => Severity::Minor,
        };
        out.findings.push(case.finding(Draft {
            kind: Kind::Antibiotic,
            action,
            severity,
            items: &[at],
            subjects: vec![case.subject_name(item)],
            origin: &row.origin,
            reason_zh: format!("{}是{why}。", case.labels(&[at], None)),
            instead_zh: "改用非限制使用级抗菌药；病情需要的，转上级医院。".to_owned(),
            review_code: Some(RESTRICTED),
        }));
    }
}

/// Two of one group are a matter of `duplicate_classes.csv`; three of any are asked about here.
fn combination(case: &Case<'_>, out: &mut Outcome) {
    let items: Vec<usize> = case
        .known_lines()
        .filter(|(_, item)| !item.acts_apart() && case.is_antibiotic(item))
        .map(|(at, _)| at)
        .collect();
    let exempt = case.coded(case.known.lists.state("several_antibiotics")).is_some();
    if items.len() < MANY || exempt {
        return;
    }
    out.findings.push(case.finding(Draft {
        kind: Kind::Antibiotic,
        action: Action::NeedsReason,
        severity: Severity::Moderate,
        items: &items,
        subjects:
            items.iter().filter_map(|at| case.item(*at)).map(|i| case.subject_name(i)).collect(),
        origin: case.known.items.origin(COMBINED),
        reason_zh: format!(
            "{}：{}种抗菌药同用，指征不明。",
            case.labels(&items, None),
            items.len()
        ),
        instead_zh: "能用一种就不用两种；确需联合的，写明理由。".to_owned(),
        review_code: Some(COMBINED),
    }));
}

fn skin_tests(case: &Case<'_>, out: &mut Outcome) {
    for (at, item) in case.known_lines() {
        let Place::Line(line) = item.place else { continue };
        let result = case.order.lines.get(line).map(|line| line.skin_test).unwrap_or_default();
        if item.is_local() {
            continue;
        }
        let mut rows = case.known.lists.skin.of(item.medicine, item.ingredients);
        let row = rows.next();
        let Some(row) = row else { continue };
        // By the label swallowed penicillins too; what only the injection needs is not asked of a
        // tablet.
        let injected = item.route.is_some_and(Route::is_injected)
            || item.route.is_none()
                && item.medicine.is_none_or(|m| m.routes.iter().all(|r| r.is_injected()));
        if row.need == Need::AsLabelled && !injected {
            continue;
        }
        let (action, severity, reason) = match (result, row.need) {
            (SkinTestResult::Negative, _) => continue,
            (SkinTestResult::Positive, _) => {
                (Action::Stop, Severity::Contraindicated, "皮试阳性，不能用")
            }
            (SkinTestResult::NotRecorded | SkinTestResult::NotSaid, Need::Required)
                if !injected =>
            {
                (Action::Notice, Severity::Moderate, "用前须做皮试，处方没有注明皮试结果")
            }
            (SkinTestResult::NotRecorded | SkinTestResult::NotSaid, Need::Required) => {
                // A course that goes on was tested when it began.
                (Action::NeedsReason, Severity::Serious, "须做皮试，处方没有注明皮试结果")
            }
            (SkinTestResult::NotRecorded, Need::AsLabelled) => {
                (Action::Notice, Severity::Moderate, "有的说明书要求皮试，处方没有注明结果")
            }
            (SkinTestResult::NotSaid, Need::AsLabelled) => {
                (Action::OnRequest, Severity::Minor, "有的说明书要求皮试，处方没有注明")
            }
        };
        let continued = case.items.iter().any(|other| {
            !other.is_line()
                && !other.ingredients.is_empty()
                && other.ingredients == item.ingredients
        });
        let action =
            if continued && result != SkinTestResult::Positive { Action::Notice } else { action };
        let note = row.note_zh.trim_end_matches('。');
        let note = if note.is_empty() { String::new() } else { format!("（{note}）") };
        out.findings.push(case.finding(Draft {
            kind: Kind::SkinTest,
            action,
            severity,
            items: &[at],
            subjects: vec![case.subject_name(item)],
            origin: &row.origin,
            reason_zh: format!("{}{reason}{note}。", case.labels(&[at], None)),
            instead_zh: if result == SkinTestResult::Positive {
                "换用不交叉过敏的药，并记入过敏史。".to_owned()
            } else {
                "先问过敏史、做皮试，阴性后注明结果再用。".to_owned()
            },
            review_code: Some(SKIN_TESTED),
        }));
    }
}

impl Case<'_> {
    /// Whether an item is an antibiotic of the graded list.
    pub(super) fn is_antibiotic(&self, item: &Item<'_>) -> bool {
        self.known.lists.antibiotics.of(item.medicine, item.ingredients).next().is_some()
    }
}
