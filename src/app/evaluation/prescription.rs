//! `xiangyi eval prescription`: the prescription check against cases with what must be found, and
//! clean ones on which it must keep silent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Evaluation;
use super::cases::{CaseAction, CaseSetting, CaseSkinTest, Expectation, PrescriptionCase};
use super::diagnosis::Watch;
use super::scores::share;
use crate::app::App;
use crate::medicine::patient::{Patient, Pregnancy};
use crate::medicine::prescription::{
    Action, AllergyEntry, Chart, Finding, Kind, Line, Order, Report, Setting, SkinTestResult,
};
use crate::tables::text::fold;

/// Kinds that name the same hazard: a finding of one counts for an expectation of another.
const SAME_HAZARD: &[&[Kind]] = &[
    &[Kind::SingleDose, Kind::DailyDose, Kind::Frequency],
    &[Kind::Duplicate, Kind::DailyDose],
    &[Kind::Indication, Kind::Antibiotic],
    &[Kind::Age, Kind::Elderly],
    &[Kind::Age, Kind::Sex],
    &[Kind::LegalForm, Kind::Duration],
    &[Kind::Renal, Kind::Disease],
    &[Kind::Hepatic, Kind::Disease],
];
/// Words of an allergy entry that say it was tolerated afterwards.
const TOLERATED: &[&str] = &["耐受", "无反应", "未再", "可用", "无不适"];
/// Kinds that are about two medicines.
const OF_TWO: &[Kind] = &[Kind::Duplicate, Kind::Interaction, Kind::Tcm, Kind::Infusion];

#[derive(Default)]
struct Counts {
    expected: usize,
    caught: usize,
    at_strength: usize,
}

impl Counts {
    fn add(&mut self, caught: bool, strong: bool) {
        self.expected += 1;
        self.caught += usize::from(caught);
        self.at_strength += usize::from(strong);
    }

    fn value(&self) -> Value {
        json!({
            "expected": self.expected,
            "recall": share(self.caught, self.expected),
            "at_expected_strength": share(self.at_strength, self.expected),
        })
    }
}

#[derive(Default)]
struct Clean {
    n: usize,
    stop: usize,
    needs_reason: usize,
    interruptive: usize,
    notice: usize,
}

impl App {
    /// Checks every prescription and compares with what must be found. Nothing is kept. With
    /// `repeat` all are checked so many times more, and the times told are of those.
    pub fn evaluate_prescription(
        &self,
        cases: &[PrescriptionCase],
        repeat: u32,
        watch: &mut impl Watch,
    ) -> Evaluation {
        let knowledge = self.knowledge.load_full();
        let (mut all, mut basic, mut advanced) =
            (Counts::default(), Counts::default(), Counts::default());
        let mut by_kind: BTreeMap<String, Counts> = BTreeMap::new();
        let mut clean = Clean::default();
        let (mut lines, mut unresolved) = (Vec::new(), Vec::new());
        let mut refused: Vec<Value> = Vec::new();
        let mut unchecked = 0;
        let mut times: Vec<Duration> = Vec::new();
        for (done, case) in cases.iter().enumerate() {
            watch.done(done);
            let order = order(case);
            let problems = order.problems();
            if !problems.is_empty() {
                let fields: Vec<String> = problems.iter().map(ToString::to_string).collect();
                refused.push(json!({"id": case.id, "problems": fields}));
            }
            let begun = watch.now();
            let report = knowledge.prescription.check(&order);
            let took = watch.now().saturating_sub(begun);
            times.push(took);
            unchecked += report.summary.unchecked;
            let names = knowledge.prescription.not_understood(&order, &report);
            unresolved.extend(names.iter().map(|name| json!({"id": case.id, "name": name})));
            let mut told = Vec::new();
            for expectation in &case.expect {
                let (caught, strong) = judge(expectation, &report);
                all.add(caught, strong);
                if expectation.basic { &mut basic } else { &mut advanced }.add(caught, strong);
                by_kind.entry(expectation.kind.clone()).or_default().add(caught, strong);
                told.push(json!({
                    "kind": expectation.kind, "about": expectation.about,
                    "caught": caught, "at_expected_strength": strong,
                }));
            }
            if case.clean {
                clean.add(&report);
            }
            lines.push(json!({
                "id": case.id,
                "clean": case.clean,
                "expect": told,
                "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
                "unchecked": report.unchecked.iter().filter(|u| !u.on_request)
                    .map(|u| u.reason_zh.clone()).collect::<Vec<_>>(),
                "unresolved": names,
                "us": took.as_secs_f64() * 1e6,
            }));
        }
        if repeat > 0 {
            times.clear();
            let orders: Vec<Order> = cases.iter().map(order).collect();
            for order in (0..repeat).flat_map(|_| &orders) {
                let begun = watch.now();
                let report = knowledge.prescription.check(order);
                times.push(watch.now().saturating_sub(begun));
                drop(report);
            }
        }
        times.sort_unstable();
        let by_kind: BTreeMap<String, Value> =
            by_kind.into_iter().map(|(kind, counts)| (kind, counts.value())).collect();
        let report = json!({
            "n": cases.len(),
            "recall": {"all": all.value(), "basic": basic.value(), "advanced": advanced.value()},
            "by_kind": by_kind,
            "clean": {
                "n": clean.n,
                "stop": share(clean.stop, clean.n),
                "needs_reason": share(clean.needs_reason, clean.n),
                "interruptive": share(clean.interruptive, clean.n),
                "notice": share(clean.notice, clean.n),
            },
            "unchecked": unchecked,
            "unresolved": {"count": unresolved.len(), "list": unresolved},
            "refused": {"count": refused.len(), "list": refused},
            "us": {"p50": quantile(&times, 50), "p99": quantile(&times, 99)},
        });
        Evaluation { report, cases: lines }
    }
}

impl Clean {
    fn add(&mut self, report: &Report) {
        let summary = report.summary;
        self.n += 1;
        self.stop += usize::from(summary.stop > 0);
        self.needs_reason += usize::from(summary.needs_reason > 0);
        self.interruptive += usize::from(summary.stop + summary.needs_reason > 0);
        self.notice += usize::from(summary.notice > 0);
    }
}

/// Microseconds that so many of a hundred stay below.
fn quantile(sorted: &[Duration], percent: usize) -> Value {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).map_or(Value::Null, |d| json!(d.as_secs_f64() * 1e6))
}

/// Whether an expectation was met, and with the strength it asks for.
fn judge(expectation: &Expectation, report: &Report) -> (bool, bool) {
    let matching = report.findings.iter().filter(|found| {
        found.action <= Action::Notice
            && names_hazard(found.kind, expectation)
            && is_about(found, expectation)
    });
    let mut caught = false;
    let mut strong = false;
    for found in matching {
        caught = true;
        strong |= found.action <= action(expectation.action)
            || expectation.ok_actions.iter().any(|other| action(*other) == found.action);
    }
    (caught, strong)
}

fn names_hazard(kind: Kind, expectation: &Expectation) -> bool {
    let named = std::iter::once(&expectation.kind).chain(&expectation.alt_kinds);
    named.filter_map(|name| Kind::named(name)).any(|wanted| {
        wanted == kind
            || SAME_HAZARD.iter().any(|group| group.contains(&wanted) && group.contains(&kind))
    })
}

/// Whether a finding is about the medicines that were named: both of two where it is about two.
fn is_about(found: &Finding, expectation: &Expectation) -> bool {
    let medicines: Vec<String> = found.medicines.iter().map(|name| fold(name)).collect();
    let named = expectation.about.iter().filter(|about| {
        let about = fold(about);
        medicines.iter().any(|name| name.contains(about.as_str()) || about.contains(name.as_str()))
    });
    let two = OF_TWO.contains(&found.kind) && found.medicines.len() > 1;
    let needed = if two { expectation.about.len().min(2) } else { expectation.about.len().min(1) };
    named.count() >= needed
}

fn action(action: CaseAction) -> Action {
    match action {
        CaseAction::Stop => Action::Stop,
        CaseAction::NeedsReason => Action::NeedsReason,
        CaseAction::Notice => Action::Notice,
        CaseAction::OnRequest => Action::OnRequest,
    }
}

fn finding(found: &Finding) -> Value {
    json!({
        "kind": found.kind.name(),
        "action": found.action.name(),
        "medicines": found.medicines,
        "review_code": found.review_code,
        "rule": &*found.rule,
        "source": &*found.source,
        "reason": found.reason_zh,
        "instead": found.instead_zh,
    })
}

fn order(case: &PrescriptionCase) -> Order {
    let patient = &case.patient;
    let lines = case.prescription.iter().zip(1_usize..).map(|(line, number)| Line {
        id: match &line.line {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => number.to_string(),
        },
        name: line.name.clone(),
        strength: line.strength.clone(),
        dose: line.dose,
        dose_unit: line.dose_unit.clone(),
        route: line.route.clone(),
        frequency: line.frequency.clone(),
        days: line.days,
        diluent: line.diluent.clone(),
        group: line.group.clone(),
        skin_test: match line.skin_test {
            None => SkinTestResult::NotSaid,
            Some(CaseSkinTest::Negative) => SkinTestResult::Negative,
            Some(CaseSkinTest::Positive) => SkinTestResult::Positive,
            Some(CaseSkinTest::NotRecorded) => SkinTestResult::NotRecorded,
        },
        infusion_minutes: None,
    });
    let allergies = patient.allergies.iter().map(|name| AllergyEntry {
        name: name.clone(),
        reaction: None,
        tolerated_since: TOLERATED.iter().any(|word| name.contains(word)),
    });
    let weeks = patient.pregnancy_weeks.map(|weeks| {
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; too many weeks are then refused"
        )]
        let weeks = weeks as u8;
        weeks
    });
    Order {
        lines: lines.collect(),
        patient: Patient {
            age_years: patient.age_years,
            sex: patient.sex,
            weight_kg: patient.weight_kg,
            pregnancy: weeks
                .map_or(Pregnancy::Unknown, |weeks| Pregnancy::Yes { weeks: Some(weeks) }),
        },
        setting: match case.setting {
            Some(CaseSetting::Emergency) => Setting::Emergency,
            Some(CaseSetting::Outpatient) | None => Setting::Outpatient,
        },
        diagnoses: case.diagnoses.clone(),
        current: case.current.clone(),
        allergies: allergies.collect(),
        chart: Chart {
            conditions: patient.conditions.clone(),
            lactating: patient.lactating,
            egfr: patient.egfr,
            creatinine_umol_l: patient.creatinine_umol_l,
            alt_times_uln: patient.alt_times_uln,
            known_tests: Vec::new(),
        },
        ..Order::default()
    }
}
