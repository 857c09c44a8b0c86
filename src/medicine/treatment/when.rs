//! The condition of a row: conjuncts joined with `&`, each alternatives joined with `|`, as the
//! decision tables of WHO's digital adaptation kits have one cell for each input.
//!
//! What is not known is neither true nor false: a row holds only when its condition is certainly
//! true, and what would decide it can be asked for.

use std::collections::BTreeSet;

use crate::medicine::patient::Sex;
use crate::medicine::prescription::{Formulary, Subject};

/// Numbers a condition may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Number {
    /// Age, years.
    AgeYears,
    /// Age, completed months.
    AgeMonths,
    /// Weight, kg.
    Weight,
    /// Systolic pressure, mmHg.
    Systolic,
    /// Diastolic pressure, mmHg.
    Diastolic,
    /// Heart rate, beats per minute.
    HeartRate,
    /// Respiratory rate, breaths per minute.
    RespiratoryRate,
    /// Temperature, °C.
    Temperature,
    /// Oxygen saturation, percent.
    Saturation,
    /// Blood glucose, mmol/L.
    Glucose,
    /// Glomerular filtration, mL/min/1.73 m².
    Egfr,
    /// Serum creatinine, µmol/L.
    Creatinine,
    /// Serum potassium, mmol/L.
    Potassium,
    /// Glycated haemoglobin, percent.
    Hba1c,
    /// ALT, multiples of the upper limit.
    Alt,
    /// Uric acid, µmol/L.
    UricAcid,
    /// LDL cholesterol, mmol/L.
    Ldl,
    /// Haemoglobin, g/L.
    Haemoglobin,
    /// Completed weeks of pregnancy.
    Weeks,
    /// Days of illness.
    Days,
}

/// What is known of a patient, as conditions ask for it.
pub(super) trait Known {
    fn number(&self, number: Number) -> Option<f64>;
    fn sex(&self) -> Option<Sex>;
    fn pregnant(&self) -> Option<bool>;
    fn lactating(&self) -> Option<bool>;
    /// Whether a diagnosis or disease lies under a prefix.
    fn has_disease(&self, prefix: &str) -> bool;
    fn takes(&self, subject: Subject) -> bool;
    fn allergic_to(&self, subject: Subject) -> bool;
    /// `None`: nobody said.
    fn flag(&self, name: &str) -> Option<bool>;
    fn is_village(&self) -> Option<bool>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Compare(Number, Comparison, f64),
    Sex(Sex),
    Pregnant,
    Lactating,
    Disease(String),
    Current(Subject),
    Allergy(Subject),
    Flag(String),
    Village,
    Township,
    Unknown(Number),
}

/// A parsed condition.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct When(Vec<Vec<(bool, Term)>>);

/// Something that would decide a condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    Number(Number),
    Flag(String),
    Sex,
    Pregnancy,
    Lactation,
    Level,
}

impl Number {
    /// Every number, with its name in the tables and the contract.
    pub const ALL: [(Self, &'static str); 20] = [
        (Self::AgeYears, "age_y"),
        (Self::AgeMonths, "age_m"),
        (Self::Weight, "weight"),
        (Self::Systolic, "sbp"),
        (Self::Diastolic, "dbp"),
        (Self::HeartRate, "hr"),
        (Self::RespiratoryRate, "rr"),
        (Self::Temperature, "temp"),
        (Self::Saturation, "spo2"),
        (Self::Glucose, "glucose"),
        (Self::Egfr, "egfr"),
        (Self::Creatinine, "creatinine"),
        (Self::Potassium, "potassium"),
        (Self::Hba1c, "hba1c"),
        (Self::Alt, "alt_times_uln"),
        (Self::UricAcid, "uric_acid"),
        (Self::Ldl, "ldl"),
        (Self::Haemoglobin, "hb"),
        (Self::Weeks, "weeks"),
        (Self::Days, "days"),
    ];

    /// The number of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(number, _)| *number)
    }

    /// Its name in the tables and the contract.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(number, _)| *number == self).map_or("", |(_, name)| name)
    }

    /// What to ask for, with the unit.
    pub fn question_zh(self) -> &'static str {
        match self {
            Self::AgeYears | Self::AgeMonths => "年龄（幼儿写月龄）",
            Self::Weight => "体重（kg）",
            Self::Systolic => "收缩压（mmHg）",
            Self::Diastolic => "舒张压（mmHg）",
            Self::HeartRate => "心率（次/分）",
            Self::RespiratoryRate => "呼吸（次/分，数满一分钟）",
            Self::Temperature => "体温（℃）",
            Self::Saturation => "血氧饱和度（%）",
            Self::Glucose => "血糖（mmol/L）",
            Self::Egfr => "估算肾小球滤过率（mL/min/1.73m²）或血肌酐",
            Self::Creatinine => "血肌酐（μmol/L）",
            Self::Potassium => "血钾（mmol/L）",
            Self::Hba1c => "糖化血红蛋白（%）",
            Self::Alt => "谷丙转氨酶（为上限的几倍）",
            Self::UricAcid => "血尿酸（μmol/L）",
            Self::Ldl => "低密度脂蛋白胆固醇（mmol/L）",
            Self::Haemoglobin => "血红蛋白（g/L）",
            Self::Weeks => "孕周",
            Self::Days => "病程（天）",
        }
    }

    /// What a living patient can have; the ends count.
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::AgeYears => (0.0, 130.0),
            Self::AgeMonths => (0.0, 1560.0),
            Self::Weight => (0.3, 500.0),
            Self::Systolic => (30.0, 320.0),
            Self::Diastolic => (10.0, 220.0),
            Self::HeartRate => (10.0, 350.0),
            Self::RespiratoryRate => (2.0, 150.0),
            Self::Temperature => (25.0, 45.0),
            Self::Saturation => (20.0, 100.0),
            Self::Glucose => (0.3, 100.0),
            Self::Egfr => (0.0, 250.0),
            Self::Creatinine => (5.0, 4000.0),
            Self::Potassium => (1.0, 12.0),
            Self::Hba1c => (2.0, 25.0),
            Self::Alt => (0.0, 1000.0),
            Self::UricAcid => (10.0, 3000.0),
            Self::Ldl => (0.1, 30.0),
            Self::Haemoglobin => (10.0, 260.0),
            Self::Weeks => (0.0, 45.0),
            Self::Days => (0.0, 36_500.0),
        }
    }
}

impl When {
    /// Reads a cell; `flags` are the names `inputs.csv` knows. The error says which term is wrong.
    pub(super) fn read(
        cell: &str,
        formulary: &Formulary,
        flags: &BTreeSet<String>,
    ) -> Result<Self, String> {
        let mut conjuncts = Vec::new();
        for conjunct in cell.split('&').map(str::trim).filter(|c| !c.is_empty()) {
            let mut alternatives = Vec::new();
            for term in conjunct.split('|').map(str::trim) {
                let (negated, bare) =
                    term.strip_prefix('!').map_or((false, term), |t| (true, t.trim()));
                let read = read_term(bare, formulary, flags)
                    .ok_or_else(|| format!("`{term}` is no condition"))?;
                alternatives.push((negated, read));
            }
            conjuncts.push(alternatives);
        }
        Ok(Self(conjuncts))
    }

    /// Whether it holds; `None` where what is known does not decide.
    pub(super) fn holds(&self, known: &impl Known) -> Option<bool> {
        let mut all = Some(true);
        for conjunct in &self.0 {
            let mut any = Some(false);
            for (negated, term) in conjunct {
                let value = term.value(known).map(|value| value != *negated);
                any = match (any, value) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (None, _) | (_, None) => None,
                    (Some(false), Some(false)) => Some(false),
                };
            }
            all = match (all, any) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (None, _) | (_, None) => None,
                (Some(true), Some(true)) => Some(true),
            };
        }
        all
    }

    /// What is not known of a condition that is undecided.
    pub(super) fn wanted(&self, known: &impl Known) -> Vec<Wanted> {
        let terms = self.0.iter().flatten().filter(|(_, term)| term.value(known).is_none());
        terms.filter_map(|(_, term)| term.wanted()).collect()
    }

    /// Everything it may ask for.
    pub(super) fn all_wanted(&self) -> impl Iterator<Item = Wanted> {
        self.0.iter().flatten().filter_map(|(_, term)| term.wanted())
    }
}

impl Term {
    /// What would decide it.
    fn wanted(&self) -> Option<Wanted> {
        match self {
            Self::Compare(number, _, _) => Some(Wanted::Number(*number)),
            Self::Flag(name) => Some(Wanted::Flag(name.clone())),
            Self::Sex(_) => Some(Wanted::Sex),
            Self::Pregnant => Some(Wanted::Pregnancy),
            Self::Lactating => Some(Wanted::Lactation),
            Self::Village | Self::Township => Some(Wanted::Level),
            Self::Disease(_) | Self::Current(_) | Self::Allergy(_) | Self::Unknown(_) => None,
        }
    }
}

impl Term {
    fn value(&self, known: &impl Known) -> Option<bool> {
        match self {
            Self::Compare(number, comparison, limit) => {
                let value = known.number(*number)?;
                Some(match comparison {
                    Comparison::AtLeast => value >= *limit,
                    Comparison::AtMost => value <= *limit,
                    Comparison::Above => value > *limit,
                    Comparison::Below => value < *limit,
                    Comparison::Equal => (value - limit).abs() < 1e-9,
                })
            }
            Self::Sex(sex) => known.sex().map(|s| s == *sex),
            Self::Pregnant => known.pregnant(),
            Self::Lactating => known.lactating(),
            Self::Disease(prefix) => Some(known.has_disease(prefix)),
            Self::Current(subject) => Some(known.takes(*subject)),
            Self::Allergy(subject) => Some(known.allergic_to(*subject)),
            Self::Flag(name) => known.flag(name),
            Self::Village => known.is_village(),
            Self::Township => known.is_village().map(|village| !village),
            Self::Unknown(number) => Some(known.number(*number).is_none()),
        }
    }
}

fn read_term(term: &str, formulary: &Formulary, flags: &BTreeSet<String>) -> Option<Term> {
    match term {
        "pregnant" => return Some(Term::Pregnant),
        "lactating" => return Some(Term::Lactating),
        "sex=m" => return Some(Term::Sex(Sex::Male)),
        "sex=f" => return Some(Term::Sex(Sex::Female)),
        "level:village" => return Some(Term::Village),
        "level:township" => return Some(Term::Township),
        _ => {}
    }
    if let Some((kind, rest)) = term.split_once(':') {
        return match kind {
            "icd" => (rest.len() >= 3).then(|| Term::Disease(rest.to_owned())),
            "current" => formulary.subject(rest).map(Term::Current),
            "allergy" => formulary.subject(rest).map(Term::Allergy),
            "flag" => flags.contains(rest).then(|| Term::Flag(rest.to_owned())),
            "unknown" => Number::named(rest).map(Term::Unknown),
            _ => None,
        };
    }
    let at = term.find(['<', '>', '='])?;
    let (name, rest) = term.split_at_checked(at)?;
    let (comparison, value) = [
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        (">", Comparison::Above),
        ("<", Comparison::Below),
        ("=", Comparison::Equal),
    ]
    .iter()
    .find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?)))?;
    let value: f64 = value.trim().parse().ok()?;
    Some(Term::Compare(Number::named(name.trim())?, comparison, value))
}
