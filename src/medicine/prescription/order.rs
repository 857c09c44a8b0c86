//! What is to be checked: the lines of a prescription, the patient, and what is known of both.

use std::collections::HashSet;

use crate::medicine::patient::{AGE_YEARS_MAX, Patient, Pregnancy, Sex};

/// Most lines of one order.
pub const LINES_MAX: usize = 100;
/// Most current medicines, allergies and diagnoses, each.
pub const LIST_MAX: usize = 100;
/// Longest name of a medicine, allergy or diagnosis, in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// Longest free text (reasons, reactions), in characters.
pub const TEXT_CHARS_MAX: usize = 2000;
/// Longest supply a line may ask for, in days.
pub const DAYS_MAX: f32 = 365.0;
/// Longest pregnancy, in completed weeks.
pub const PREGNANCY_WEEKS_MAX: u8 = 45;
/// Weight a patient can have, in kilograms.
pub const WEIGHT_KG: (f32, f32) = (0.3, 500.0);
/// Longest infusion, in minutes.
const INFUSION_MINUTES_MAX: f32 = 2880.0;
/// Glomerular filtration a patient can have, mL/min/1.73 m².
const EGFR: (f32, f32) = (0.0, 250.0);
/// Serum creatinine a patient can have, µmol/L.
const CREATININE_UMOL_L: (f32, f32) = (5.0, 4000.0);
/// ALT a patient can have, in multiples of the upper limit.
const ALT_TIMES_ULN: (f32, f32) = (0.0, 1000.0);

/// Where the prescription is written; the legal length of a supply depends on it.
#[derive(serde::Serialize, Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Setting {
    /// 门诊
    #[default]
    Outpatient,
    /// 急诊
    Emergency,
}

/// What is on record of a skin test for a line.
#[derive(serde::Serialize, Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SkinTestResult {
    /// Nothing said.
    #[default]
    NotSaid,
    /// 阴性
    Negative,
    /// 阳性
    Positive,
    /// Said not to be on record.
    NotRecorded,
}

/// What the institution may do.
#[derive(serde::Serialize, Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Level {
    /// Nobody said: checked as for primary care.
    #[default]
    NotSaid,
    /// 村卫生室
    Village,
    /// 乡镇卫生院、社区卫生服务中心
    Township,
    /// 县级及以上医院
    Hospital,
}

/// One line of the prescription.
#[derive(serde::Serialize, Debug, Clone, PartialEq, Default)]
pub struct Line {
    /// The caller's own id, unique in the order; findings refer to it.
    pub id: String,
    /// The medicine as written: name, alias, code or English name, with or without form,
    /// strength and salt.
    pub name: String,
    /// Strength as written, may be empty.
    pub strength: String,
    /// Amount of one dose, in `dose_unit`.
    pub dose: Option<f32>,
    /// Unit of `dose`, as written.
    pub dose_unit: String,
    /// Route as written, may be empty.
    pub route: String,
    /// Frequency as written, may be empty.
    pub frequency: String,
    /// Days the supply lasts.
    pub days: Option<f32>,
    /// What it is dissolved in, as written (`0.9%氯化钠注射液 100ml`); may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diluent: String,
    /// Lines with the same group run in one bag or line; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Skin test.
    #[serde(skip_serializing_if = "is_default")]
    pub skin_test: SkinTestResult,
    /// Minutes an infusion runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infusion_minutes: Option<f32>,
}

/// What is known of the patient beside age, sex, weight and pregnancy.
#[derive(serde::Serialize, Debug, Clone, PartialEq, Default)]
pub struct Chart {
    /// Diseases and states as written: 慢性肾脏病, 青光眼, 饮酒.
    pub conditions: Vec<String>,
    /// Whether she is breastfeeding.
    pub lactating: Option<bool>,
    /// Estimated glomerular filtration rate or creatinine clearance, mL/min/1.73 m².
    pub egfr: Option<f32>,
    /// Serum creatinine, µmol/L.
    pub creatinine_umol_l: Option<f32>,
    /// ALT in multiples of the upper limit of normal.
    pub alt_times_uln: Option<f32>,
    /// Tests whose recent result is known, as written: INR, 血钾, 血常规.
    pub known_tests: Vec<String>,
}

/// What a field does not say need not be kept: a request made before the field was known stays
/// the same request.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One entry of the allergy list.
#[derive(serde::Serialize, Debug, Clone, PartialEq, Eq, Default)]
pub struct AllergyEntry {
    /// What the patient is allergic to, as the chart has it (青霉素, 磺胺过敏, 海鲜).
    pub name: String,
    /// What happened.
    pub reaction: Option<String>,
    /// Whether a medicine related to it has been taken since without harm. Silences warnings of
    /// the cross-class tier for this entry, never those for the allergen itself or its class.
    pub tolerated_since: bool,
}

/// A prescription to check, with what is known of the patient.
#[derive(serde::Serialize, Debug, Clone, PartialEq, Default)]
pub struct Order {
    /// The lines, in the order written.
    pub lines: Vec<Line>,
    /// Age, sex, pregnancy.
    pub patient: Patient,
    /// 门诊 or 急诊.
    pub setting: Setting,
    /// Diagnoses as written.
    pub diagnoses: Vec<String>,
    /// Medicines the patient takes already, as free names with or without dose.
    pub current: Vec<String>,
    /// Allergies.
    pub allergies: Vec<AllergyEntry>,
    /// Why the supply is longer than the rule, where it is.
    pub long_supply_reason: Option<String>,
    /// Why there are more medicines than the rule, where there are.
    pub more_than_five_reason: Option<String>,
    /// What else is known of the patient.
    #[serde(skip_serializing_if = "is_default")]
    pub chart: Chart,
    /// What the institution may do.
    #[serde(skip_serializing_if = "is_default")]
    pub level: Level,
}

/// Something in an order that no real order has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {allowed}")]
pub struct Problem {
    /// Path of the field as in the contract, such as `lines[2].days`.
    pub field: String,
    /// What is allowed there, as a lowercase fragment.
    pub allowed: String,
}

impl Order {
    /// All that is impossible or over the limits, in the order of the fields. An order with
    /// problems must not be checked: an answer to it would look like an assurance.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        if self.lines.is_empty() || self.lines.len() > LINES_MAX {
            problems.add("lines", format!("from 1 to {LINES_MAX} lines"));
        }
        let mut ids = HashSet::new();
        for (at, line) in self.lines.iter().enumerate().take(LINES_MAX) {
            problems.line(at, line);
            if !ids.insert(line.id.as_str()) {
                problems.add(format!("lines[{at}].line_id"), "unique in the order");
            }
        }
        problems.patient(&self.patient);
        if self.chart.lactating == Some(true) && self.patient.sex == Some(Sex::Male) {
            problems.add("lactating", "no or unknown in a male patient");
        }
        problems.names("diagnoses", self.diagnoses.iter());
        problems.chart(&self.chart);
        problems.names("current_medicines", self.current.iter());
        problems.names("allergies", self.allergies.iter().map(|a| &a.name));
        for (at, allergy) in self.allergies.iter().enumerate().take(LIST_MAX) {
            problems.text(format!("allergies[{at}].reaction"), allergy.reaction.as_deref());
        }
        problems.text("long_supply_reason", self.long_supply_reason.as_deref());
        problems.text("many_medicines_reason", self.more_than_five_reason.as_deref());
        problems.0
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, allowed: impl Into<String>) {
        self.0.push(Problem { field: field.into(), allowed: allowed.into() });
    }

    fn line(&mut self, at: usize, line: &Line) {
        if line.id.is_empty() || is_longer(&line.id, NAME_CHARS_MAX) {
            self.add(format!("lines[{at}].line_id"), format!("1 to {NAME_CHARS_MAX} characters"));
        }
        self.name(format!("lines[{at}].name"), &line.name);
        for (field, text) in [
            ("strength", &line.strength),
            ("dose_unit", &line.dose_unit),
            ("route", &line.route),
            ("frequency", &line.frequency),
            ("diluent", &line.diluent),
            ("group", &line.group),
        ] {
            if is_longer(text, NAME_CHARS_MAX) {
                self.add(
                    format!("lines[{at}].{field}"),
                    format!("at most {NAME_CHARS_MAX} characters"),
                );
            }
        }
        if line.dose.is_some_and(|dose| !(dose.is_finite() && dose > 0.0)) {
            self.add(format!("lines[{at}].dose"), "above 0");
        }
        if line.days.is_some_and(|days| !(days > 0.0 && days <= DAYS_MAX)) {
            self.add(format!("lines[{at}].days"), format!("above 0 and at most {DAYS_MAX}"));
        }
        if line.infusion_minutes.is_some_and(|m| !(m > 0.0 && m <= INFUSION_MINUTES_MAX)) {
            let allowed = format!("above 0 and at most {INFUSION_MINUTES_MAX}");
            self.add(format!("lines[{at}].infusion_minutes"), allowed);
        }
    }

    fn patient(&mut self, patient: &Patient) {
        if patient.age_years.is_some_and(|age| !(0.0..=AGE_YEARS_MAX).contains(&age)) {
            self.add("patient.age_years", format!("from 0 to {AGE_YEARS_MAX}"));
        }
        let (min, max) = WEIGHT_KG;
        if patient.weight_kg.is_some_and(|weight| !(min..=max).contains(&weight)) {
            self.add("patient.weight_kg", format!("from {min} to {max}"));
        }
        let Pregnancy::Yes { weeks } = patient.pregnancy else { return };
        if patient.sex == Some(Sex::Male) {
            self.add("patient.pregnancy", "no or unknown in a male patient");
        }
        if weeks.is_some_and(|weeks| weeks > PREGNANCY_WEEKS_MAX) {
            self.add("patient.pregnancy_weeks", format!("from 0 to {PREGNANCY_WEEKS_MAX}"));
        }
    }

    fn chart(&mut self, chart: &Chart) {
        self.names("conditions", chart.conditions.iter());
        self.names("known_tests", chart.known_tests.iter());
        for (field, value, (min, max)) in [
            ("egfr", chart.egfr, EGFR),
            ("creatinine_umol_l", chart.creatinine_umol_l, CREATININE_UMOL_L),
            ("alt_times_uln", chart.alt_times_uln, ALT_TIMES_ULN),
        ] {
            if value.is_some_and(|value| !(min..=max).contains(&value)) {
                self.add(field, format!("from {min} to {max}"));
            }
        }
    }

    fn names<'a>(&mut self, field: &str, names: impl ExactSizeIterator<Item = &'a String>) {
        if names.len() > LIST_MAX {
            self.add(field, format!("at most {LIST_MAX} entries"));
        }
        for (at, name) in names.enumerate().take(LIST_MAX) {
            self.name(format!("{field}[{at}]"), name);
        }
    }

    fn name(&mut self, field: String, name: &str) {
        if name.trim().is_empty() || is_longer(name, NAME_CHARS_MAX) {
            self.add(field, format!("a name of 1 to {NAME_CHARS_MAX} characters"));
        }
    }

    fn text(&mut self, field: impl Into<String>, text: Option<&str>) {
        if text.is_some_and(|text| is_longer(text, TEXT_CHARS_MAX)) {
            self.add(field, format!("at most {TEXT_CHARS_MAX} characters"));
        }
    }
}

fn is_longer(text: &str, chars_max: usize) -> bool {
    text.chars().nth(chars_max).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(order: &Order) -> Vec<String> {
        order.problems().into_iter().map(|p| p.field).collect()
    }

    fn order(names: &[&str]) -> Order {
        let lines = names.iter().enumerate().map(|(at, name)| Line {
            id: at.to_string(),
            name: (*name).to_owned(),
            ..Line::default()
        });
        Order { lines: lines.collect(), ..Order::default() }
    }

    #[test]
    fn an_ordinary_order_has_no_problem() {
        let mut order = order(&["阿莫西林", "布洛芬"]);
        order.lines[0].days = Some(7.0);
        order.lines[0].dose = Some(0.5);
        order.patient = Patient {
            age_years: Some(30.0),
            sex: Some(Sex::Female),
            weight_kg: Some(55.0),
            pregnancy: Pregnancy::Yes { weeks: Some(20) },
        };
        order.current = vec!["氨氯地平 5mg 口服 qd".to_owned()];
        assert_eq!(order.problems(), vec![]);
    }

    #[test]
    fn every_impossible_field_is_named_with_what_is_allowed() {
        assert_eq!(fields(&order(&[])), ["lines"]);
        assert_eq!(fields(&order(&["药"; 101])), ["lines"]);
        let mut bad = order(&["阿莫西林", " ", "布洛芬"]);
        bad.lines[2].id = "0".to_owned();
        bad.lines[2].days = Some(0.0);
        bad.lines[0].days = Some(366.0);
        bad.lines[0].dose = Some(-1.0);
        bad.lines[1].days = Some(f32::NAN);
        bad.lines[1].route = "口".repeat(201);
        bad.current = vec!["长".repeat(201)];
        bad.allergies = vec![AllergyEntry::default()];
        bad.patient.age_years = Some(-1.0);
        bad.patient.weight_kg = Some(f32::INFINITY);
        assert_eq!(
            fields(&bad),
            [
                "lines[0].dose",
                "lines[0].days",
                "lines[1].name",
                "lines[1].route",
                "lines[1].days",
                "lines[2].days",
                "lines[2].line_id",
                "patient.age_years",
                "patient.weight_kg",
                "current_medicines[0]",
                "allergies[0]"
            ]
        );
        let shown = bad.problems()[1].to_string();
        assert_eq!(shown, "lines[0].days must be above 0 and at most 365");
    }

    #[test]
    fn a_pregnant_man_and_a_pregnancy_of_a_year_are_impossible() {
        let mut order = order(&["阿莫西林"]);
        order.patient.sex = Some(Sex::Male);
        order.patient.pregnancy = Pregnancy::Yes { weeks: Some(52) };
        assert_eq!(fields(&order), ["patient.pregnancy", "patient.pregnancy_weeks"]);
        order.patient.sex = Some(Sex::Female);
        order.patient.pregnancy = Pregnancy::Yes { weeks: None };
        assert_eq!(order.problems(), vec![]);
    }
}
