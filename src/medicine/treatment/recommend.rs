//! From diagnoses and a patient to a plan: the rows that hold, medicines that pass the
//! prescription check, and what else would have to be known.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Advice, Disagreement, Other, Planned, Recommendation, Rejected, WantedInput};
use super::loading::{Conflict, Dose, Plan, Rule, Section, TreatmentKnowledge};
use super::when::{Known, Number, Wanted};
use crate::medicine::patient::{Pregnancy, Sex};
use crate::medicine::prescription::{
    Action, Finding, Kind, Level, Line, Order, PrescriptionKnowledge, Profile, Route,
    SkinTestResult, Subject,
};

/// Most diagnoses a plan is asked for.
pub const DIAGNOSES_MAX: usize = 10;
/// Most flags, present and absent together.
pub const FLAGS_MAX: usize = 200;
/// Most plans of one answer.
pub const PLANS_MAX: usize = 5;

/// Months of a year.
const MONTHS: f64 = 12.0;

/// A patient to plan for.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct PlanQuery {
    /// The patient, diagnoses, history, current medicines and allergies. Lines do not count.
    pub order: Order,
    /// Only these plans, by id; empty: those of the diagnoses.
    pub plans: Vec<String>,
    /// Numbers by name ([`Number::name`]).
    pub numbers: BTreeMap<String, f64>,
    /// Signs and answers that are there.
    pub present: BTreeSet<String>,
    /// Signs and answers that are not.
    pub absent: BTreeSet<String>,
}

/// The patient as conditions ask.
struct Situation<'a> {
    query: &'a PlanQuery,
    rx: &'a PrescriptionKnowledge,
    profile: &'a Profile,
}

impl Known for Situation<'_> {
    fn number(&self, number: Number) -> Option<f64> {
        let given = self.query.numbers.get(number.name()).copied();
        let patient = &self.query.order.patient;
        let chart = &self.query.order.chart;
        given.or_else(|| match number {
            Number::AgeYears => patient.age_years.map(f64::from),
            Number::AgeMonths => patient.age_years.map(|years| f64::from(years) * MONTHS),
            Number::Weight => patient.weight_kg.map(f64::from),
            Number::Egfr => self.profile.egfr(),
            Number::Creatinine => chart.creatinine_umol_l.map(f64::from),
            Number::Alt => chart.alt_times_uln.map(f64::from),
            Number::Weeks => match patient.pregnancy {
                Pregnancy::Yes { weeks } => weeks.map(f64::from),
                Pregnancy::Unknown | Pregnancy::No => None,
            },
            Number::Systolic
            | Number::Diastolic
            | Number::HeartRate
            | Number::RespiratoryRate
            | Number::Temperature
            | Number::Saturation
            | Number::Glucose
            | Number::Potassium
            | Number::Hba1c
            | Number::UricAcid
            | Number::Ldl
            | Number::Haemoglobin
            | Number::Days => None,
        })
    }

    fn sex(&self) -> Option<Sex> {
        self.query.order.patient.sex
    }

    fn pregnant(&self) -> Option<bool> {
        const FERTILE_YEARS: (f32, f32) = (10.0, 56.0);
        let patient = &self.query.order.patient;
        match patient.pregnancy {
            Pregnancy::Yes { .. } => Some(true),
            Pregnancy::No => Some(false),
            Pregnancy::Unknown => {
                let (from, to) = FERTILE_YEARS;
                let cannot = patient.sex == Some(Sex::Male)
                    || patient.age_years.is_some_and(|age| age < from || age >= to);
                cannot.then_some(false)
            }
        }
    }

    fn lactating(&self) -> Option<bool> {
        let male = self.query.order.patient.sex == Some(Sex::Male);
        // Nobody breastfeeds unless somebody says so: the check itself does not assume it either.
        Some(!male && self.query.order.chart.lactating == Some(true))
    }

    fn has_disease(&self, prefix: &str) -> bool {
        self.profile.has_disease(prefix)
    }

    fn takes(&self, subject: Subject) -> bool {
        self.rx.takes(self.profile, subject)
    }

    fn allergic_to(&self, subject: Subject) -> bool {
        self.rx.allergic_to(self.profile, subject)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        if self.query.present.contains(name) {
            Some(true)
        } else if self.query.absent.contains(name) {
            Some(false)
        } else {
            None
        }
    }

    fn is_village(&self) -> Option<bool> {
        match self.query.order.level {
            Level::NotSaid => None,
            Level::Village => Some(true),
            Level::Township | Level::Hospital => Some(false),
        }
    }
}

/// A row whose medicine can be given.
struct Candidate<'a> {
    rule: &'a Rule,
    dose: &'a Dose,
    amount: f64,
    line: Line,
}

impl TreatmentKnowledge {
    /// Names in the query that no table knows: plans, numbers and flags.
    pub fn unknown_names(&self, query: &PlanQuery) -> Vec<(&'static str, String)> {
        let plans = query.plans.iter().filter(|id| !self.plans.iter().any(|p| p.id == **id));
        let numbers = query.numbers.keys().filter(|name| Number::named(name).is_none());
        let unknown = |name: &&String| !self.inputs.contains_key(*name);
        plans
            .map(|id| ("plan_ids", id.clone()))
            .chain(numbers.map(|name| ("numbers", name.clone())))
            .chain(query.present.iter().filter(unknown).map(|name| ("present", name.clone())))
            .chain(query.absent.iter().filter(unknown).map(|name| ("absent", name.clone())))
            .collect()
    }

    /// What the rows of a plan, by its place, may ask for.
    pub fn inputs_of(&self, plan: usize) -> Vec<WantedInput> {
        let mut wanted: BTreeMap<Wanted, bool> = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.plans.contains(&plan)) {
            let danger =
                matches!(rule.section, Section::Refer | Section::FirstAid | Section::Warning);
            for want in rule.when.all_wanted() {
                *wanted.entry(want).or_default() |= danger;
            }
            if rule.dose.as_ref().is_some_and(|dose| dose.per_kg) {
                wanted.entry(Wanted::Number(Number::Weight)).or_default();
            }
        }
        wanted.into_iter().map(|(want, danger)| self.ask(want, danger)).collect()
    }

    /// Plans of the diagnoses for this patient, in the order of the diagnoses, and the profile
    /// they were made from. The query has no [`Self::unknown_names`] and its order no problems
    /// but that it has no lines.
    pub fn recommend(&self, rx: &PrescriptionKnowledge, query: &PlanQuery) -> Vec<Recommendation> {
        let profile = rx.profile(&query.order);
        let situation = Situation { query, rx, profile: &profile };
        let plans = self.choose(&situation);
        plans.into_iter().map(|at| self.plan_for(at, &situation)).collect()
    }

    /// Diagnoses for which none of the plans made is meant; none when plans were asked for by id.
    pub fn without_plan(
        &self,
        rx: &PrescriptionKnowledge,
        query: &PlanQuery,
        made: &[Recommendation],
    ) -> Vec<String> {
        if !query.plans.is_empty() {
            return Vec::new();
        }
        let chosen = || self.plans().iter().filter(|p| made.iter().any(|m| m.plan == p.id));
        let planned = |diagnosis: &String| {
            let alone = Order { diagnoses: vec![diagnosis.clone()], ..Order::default() };
            let own = rx.profile(&alone);
            chosen().any(|plan| plan.icd.iter().any(|icd| own.is_diagnosed(icd)))
        };
        query.order.diagnoses.iter().filter(|d| !planned(d)).cloned().collect()
    }

    /// Places of the plans to make: those asked for, else those whose codes, ages and sex fit.
    fn choose(&self, situation: &Situation<'_>) -> Vec<usize> {
        let query = situation.query;
        let age = situation.number(Number::AgeMonths);
        let places = self.plans.iter().enumerate();
        let fitting = places.filter(|(_, plan)| {
            if !query.plans.is_empty() {
                return query.plans.contains(&plan.id);
            }
            let (from, to) = plan.age_m;
            // An unknown age fits adults only.
            let of_age = match age {
                Some(age) => from.is_none_or(|from| age >= from) && to.is_none_or(|to| age < to),
                None => to.is_none(),
            };
            let of_sex =
                plan.sex.is_none() || situation.sex().is_none() || plan.sex == situation.sex();
            of_age && of_sex && plan.icd.iter().any(|icd| situation.profile.is_diagnosed(icd))
        });
        fitting.map(|(at, _)| at).take(PLANS_MAX).collect()
    }

    fn plan_for(&self, at: usize, situation: &Situation<'_>) -> Recommendation {
        let plan = self.plans.get(at);
        let mut advice = Vec::new();
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        let mut rejected = Vec::new();
        let mut wanted: BTreeMap<Wanted, bool> = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.plans.contains(&at)) {
            let holds = rule.when.holds(situation);
            match holds {
                Some(true) => {}
                Some(false) => continue,
                // What to watch for is told before anybody knows whether it is there.
                None if is_criterion(rule) => {
                    for want in rule.when.wanted(situation) {
                        *wanted.entry(want).or_default() |= rule.section == Section::Refer;
                    }
                    advice.push(self.advice(rule, false));
                    continue;
                }
                None => {
                    let danger = matches!(
                        rule.section,
                        Section::Refer | Section::FirstAid | Section::Warning
                    );
                    for want in rule.when.wanted(situation) {
                        *wanted.entry(want).or_default() |= danger;
                    }
                    continue;
                }
            }
            match &rule.dose {
                None => advice.push(self.advice(rule, true)),
                Some(dose) => match Self::candidate(rule, dose, situation) {
                    Ok(candidate) => candidates.push(candidate),
                    Err(reason) => {
                        wanted.insert(Wanted::Number(Number::Weight), true);
                        rejected.push(named(situation.rx, rule, dose, vec![reason]));
                    }
                },
            }
        }
        let medicines = self.medicines(situation, candidates, &mut rejected);
        advice.sort_by_key(|a: &Advice| (a.section, !a.applies_now));
        Recommendation {
            plan: plan.map(|p| p.id.clone()).unwrap_or_default(),
            name_zh: plan.map(|p| p.name_zh.clone()).unwrap_or_default(),
            scope_zh: plan.map(|p| p.scope_zh.clone()).unwrap_or_default(),
            citation: plan.map(|p| self.sources.cite(&p.source)).unwrap_or_default(),
            advice,
            medicines,
            rejected,
            wanted: wanted.into_iter().map(|(want, danger)| self.ask(want, danger)).collect(),
            conflicts: plan.map(|p| self.conflicts_of(p)).unwrap_or_default(),
        }
    }

    fn advice(&self, rule: &Rule, applies_now: bool) -> Advice {
        Advice {
            rule: rule.id.clone(),
            section: rule.section,
            applies_now,
            text_zh: rule.text_zh.clone(),
            urgency: rule.urgency,
            days: rule.days,
            annotation_zh: rule.annotation_zh.clone(),
            citation: self.sources.cite(&rule.source),
            status: rule.status,
        }
    }

    /// The line of a row for this patient, or why its dose cannot be worked out.
    fn candidate<'a>(
        rule: &'a Rule,
        dose: &'a Dose,
        situation: &Situation<'_>,
    ) -> Result<Candidate<'a>, String> {
        let amount = if dose.per_kg {
            let kg = situation.number(Number::Weight);
            let kg = kg.ok_or_else(|| "按体重给药，先称体重。".to_owned())?;
            let by_weight = dose.amount * kg;
            significant(dose.amount_max.map_or(by_weight, |max| by_weight.min(max)))
        } else {
            dose.amount
        };
        let name = situation.rx.formulary().medicine(dose.medicine).map(|m| m.name_zh.clone());
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "a dose has few digits"
        )]
        let narrow = |value: f64| value as f32;
        let line = Line {
            id: rule.id.clone(),
            name: name.unwrap_or_default(),
            dose: Some(narrow(amount)),
            dose_unit: dose.unit.clone(),
            route: route_zh(&dose.route),
            frequency: dose.frequency.clone(),
            days: rule.days.map(narrow),
            skin_test: SkinTestResult::NotSaid,
            ..Line::default()
        };
        Ok(Candidate { rule, dose, amount, line })
    }

    /// Of each group the first that passes; all others that hold. What does not pass is told with
    /// the reasons.
    fn medicines(
        &self,
        situation: &Situation<'_>,
        candidates: Vec<Candidate<'_>>,
        rejected: &mut Vec<Rejected>,
    ) -> Vec<Planned> {
        let mut chosen: Vec<(Candidate<'_>, Vec<Other>)> = Vec::new();
        for candidate in candidates {
            let lines: Vec<Line> = chosen.iter().map(|(c, _)| c.line.clone()).collect();
            let taken = !candidate.dose.choice.is_empty()
                && chosen.iter().any(|(c, _)| c.dose.choice == candidate.dose.choice);
            // An alternative is checked in the place of the one that was chosen.
            let beside: Vec<Line> = chosen
                .iter()
                .filter(|(c, _)| !taken || c.dose.choice != candidate.dose.choice)
                .map(|(c, _)| c.line.clone())
                .collect();
            let reasons =
                objections(situation, if taken { &beside } else { &lines }, &candidate.line);
            if !reasons.is_empty() {
                rejected.push(named(situation.rx, candidate.rule, candidate.dose, reasons));
            } else if taken {
                let group = chosen.iter_mut().find(|(c, _)| c.dose.choice == candidate.dose.choice);
                if let Some((_, others)) = group {
                    let code = code(situation.rx, candidate.dose);
                    let dose = format!("{}{}", show(candidate.amount), candidate.dose.unit);
                    others.push(Other {
                        rule: candidate.rule.id.clone(),
                        code,
                        name_zh: candidate.line.name.clone(),
                        dose,
                    });
                }
            } else {
                chosen.push((candidate, Vec::new()));
            }
        }
        let lines: Vec<Line> = chosen.iter().map(|(c, _)| c.line.clone()).collect();
        let findings = findings(situation, lines);
        let mut planned: Vec<Planned> = chosen
            .into_iter()
            .map(|(c, alternatives)| {
                let own = |f: &&Finding| {
                    f.lines.contains(&c.rule.id) && f.action <= Action::Notice && matters(f.kind)
                };
                let kg = situation.number(Number::Weight).filter(|_| c.dose.per_kg);
                Planned {
                    rule: c.rule.id.clone(),
                    section: c.rule.section,
                    code: code(situation.rx, c.dose),
                    name_zh: c.line.name.clone(),
                    dose: c.amount,
                    unit: c.dose.unit.clone(),
                    dose_basis: kg.map(|kg| basis(c.dose, kg)).unwrap_or_default(),
                    route_zh: c.line.route.clone(),
                    frequency: c.dose.frequency.clone(),
                    days: c.rule.days,
                    text_zh: c.rule.text_zh.clone(),
                    annotation_zh: c.rule.annotation_zh.clone(),
                    choice: c.dose.choice.clone(),
                    findings: findings.iter().filter(own).cloned().collect(),
                    alternatives,
                    citation: self.sources.cite(&c.rule.source),
                    status: c.rule.status,
                }
            })
            .collect();
        planned.sort_by_key(|p| p.section);
        planned
    }

    fn ask(&self, want: Wanted, about_danger: bool) -> WantedInput {
        let (name, question) = match want {
            Wanted::Number(number) => (number.name().to_owned(), number.question_zh().to_owned()),
            Wanted::Flag(name) => {
                let question = self.inputs.get(&name).cloned().unwrap_or_default();
                (name, question)
            }
            Wanted::Sex => ("sex".to_owned(), "性别".to_owned()),
            Wanted::Pregnancy => ("pregnancy".to_owned(), "是否怀孕".to_owned()),
            Wanted::Lactation => ("lactating".to_owned(), "是否在哺乳".to_owned()),
            Wanted::Level => ("level".to_owned(), "是村卫生室还是乡镇卫生院".to_owned()),
        };
        WantedInput { name, question_zh: question, about_danger }
    }

    fn conflicts_of(&self, plan: &Plan) -> Vec<Disagreement> {
        let own = self.conflicts.iter().filter(|c| c.plan == plan.id);
        own.map(|c: &Conflict| {
            let side =
                |(text, source): &(String, String)| (text.clone(), self.sources.cite(source));
            Disagreement {
                topic_zh: c.topic_zh.clone(),
                a: side(&c.a),
                b: side(&c.b),
                follows_a: c.follows_a,
                why_zh: c.why_zh.clone(),
            }
        })
        .collect()
    }
}

/// Whether a row is a criterion to stop, step up or refer: its text says when.
fn is_criterion(rule: &Rule) -> bool {
    rule.dose.is_none()
        && matches!(rule.section, Section::Stop | Section::Escalate | Section::Refer)
}

/// Kinds that speak of the choice and dose of a medicine; the form of a prescription that nobody
/// has written yet does not count, and a skin test comes before the first dose.
fn matters(kind: Kind) -> bool {
    !matches!(kind, Kind::LegalForm | Kind::Duration | Kind::Indication)
}

/// Why a line must not be proposed beside others; empty when it passes.
fn objections(situation: &Situation<'_>, others: &[Line], line: &Line) -> Vec<String> {
    let mut lines = others.to_vec();
    lines.push(line.clone());
    let found = findings(situation, lines);
    let against = found.iter().filter(|f| {
        f.lines.contains(&line.id)
            && f.action <= Action::NeedsReason
            && matters(f.kind)
            && f.kind != Kind::SkinTest
    });
    against.map(|f| f.reason_zh.clone()).collect()
}

fn findings(situation: &Situation<'_>, lines: Vec<Line>) -> Vec<Finding> {
    if lines.is_empty() {
        return Vec::new();
    }
    let order = Order { lines, ..situation.query.order.clone() };
    situation.rx.check_without_alternatives(&order)
}

fn named(
    rx: &PrescriptionKnowledge,
    rule: &Rule,
    dose: &Dose,
    reasons_zh: Vec<String>,
) -> Rejected {
    let medicine = rx.formulary().medicine(dose.medicine);
    Rejected {
        rule: rule.id.clone(),
        code: medicine.map(|m| m.code.clone()).unwrap_or_default(),
        name_zh: medicine.map(|m| m.name_zh.clone()).unwrap_or_default(),
        reasons_zh,
    }
}

fn code(rx: &PrescriptionKnowledge, dose: &Dose) -> String {
    rx.formulary().medicine(dose.medicine).map(|m| m.code.clone()).unwrap_or_default()
}

/// `10mg/kg×16kg`, with the ceiling where it counted.
fn basis(dose: &Dose, kg: f64) -> String {
    let capped = dose.amount_max.is_some_and(|max| dose.amount * kg > max);
    let cap = if capped { "，取上限" } else { "" };
    format!("{}{}/kg×{}kg{cap}", show(dose.amount), dose.unit, show(kg))
}

/// Three significant digits: what can be measured out.
fn significant(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 2.0 - value.log10().floor();
    let scale = 10_f64.powf(digits);
    (value * scale).round() / scale
}

/// A number without trailing zeros.
fn show(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A table's route as prescriptions write it.
fn route_zh(route: &str) -> String {
    let read: Result<Route, _> = serde::Deserialize::deserialize(
        serde::de::value::StrDeserializer::<serde::de::value::Error>::new(route),
    );
    match read {
        Ok(Route::Iv) => "静脉滴注".to_owned(),
        Ok(route) => route.name_zh().to_owned(),
        Err(_) => route.to_owned(),
    }
}
