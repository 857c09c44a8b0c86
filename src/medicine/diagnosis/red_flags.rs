//! Red flags: combinations of findings that must not wait, whatever a model says.
//!
//! A flag's `when` is a conjunction (`;`) of disjunctions (`|`) of atoms: a finding that is
//! present, `!finding` (not known to be present), a comparison of a measured value or of
//! `age_years`, `sex=male`, `sex=female`, or `pregnant`. What is not known makes an atom false,
//! except `!finding`; flags that hinge on nothing but an unknown value are told by
//! [`RedFlags::undecided`], so that somebody can go and measure it.

use serde::Deserialize;

use super::evidence::Evidence;
use crate::medicine::patient::{AGE_YEARS_MAX, Measure, Patient, Pregnancy, Sex, Vitals};
use crate::medicine::vocabulary::{Comparison, FindingId, Vocabulary};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

/// The table of red flags.
pub const RED_FLAGS: &str = "diagnosis/red_flags.csv";

/// Ages in years at which a pregnancy that nobody mentioned is worth asking for.
const PREGNANCY_AGE_MIN: f32 = 10.0;
const PREGNANCY_AGE_MAX: f32 = 60.0;

/// Where a patient with a red flag must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferTo {
    /// 乡镇卫生院
    Township,
    /// 县级医院
    County,
    /// 120
    Ambulance,
}

/// How long it may take. The more urgent one sorts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Minutes.
    Emergency,
    /// Today.
    Urgent,
}

/// One thing that is so or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Atom {
    /// The finding is present.
    Present(FindingId),
    /// The finding is not known to be present.
    NotPresent(FindingId),
    /// A measured value.
    Measured {
        /// What is measured.
        measure: Measure,
        /// How it is compared.
        comparison: Comparison,
        /// The limit, in the unit of `measure`.
        limit: f32,
    },
    /// The patient's age.
    Age {
        /// How it is compared.
        comparison: Comparison,
        /// The limit in years.
        limit: f32,
    },
    /// The patient's sex.
    Sex(Sex),
    /// The patient is said to be pregnant.
    Pregnant,
}

/// One red flag (one row of `red_flags.csv`).
#[derive(Debug, Clone, PartialEq)]
pub struct RedFlag {
    /// Slug.
    pub id: String,
    /// Chinese name.
    pub name_zh: String,
    /// The conjunction of disjunctions; every clause has at least one atom.
    pub when: Vec<Vec<Atom>>,
    /// What it may be, in Chinese.
    pub meaning_zh: String,
    /// What to do in the next ten minutes, in Chinese.
    pub act_now_zh: String,
    /// Where the patient must go.
    pub refer_to: ReferTo,
    /// How long it may take.
    pub urgency: Urgency,
    /// `<source id>` or `<source id>#<locator>`.
    pub source: String,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
}

/// A red flag that fires.
#[derive(Debug, Clone, PartialEq)]
pub struct RedFlagHit<'a> {
    /// The flag; it carries the source.
    pub flag: &'a RedFlag,
    /// Every atom that is so, in the order of `when`.
    pub atoms: Vec<Atom>,
}

/// A red flag that would fire if unknown values turned out so.
#[derive(Debug, Clone, PartialEq)]
pub struct UndecidedFlag<'a> {
    /// The flag.
    pub flag: &'a RedFlag,
    /// What is unknown: only comparisons, sex and pregnancy.
    pub unknown: Vec<Atom>,
}

/// All red flags, the most urgent first.
#[derive(Debug, Clone)]
pub struct RedFlags {
    flags: Vec<RedFlag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    name_zh: String,
    when: String,
    meaning_zh: String,
    act_now_zh: String,
    refer_to: ReferTo,
    urgency: Urgency,
    source: String,
    status: Status,
}

impl RedFlags {
    /// Loads [`RED_FLAGS`]. Refuses an uncited row, an id that stands twice, a `when` that does
    /// not parse or names an unknown finding, and one that a patient without any finding meets.
    pub fn load(files: &Files, vocabulary: &Vocabulary) -> Result<Self, LoadError> {
        let mut flags: Vec<RedFlag> = Vec::new();
        for (line, row) in rows::<Row>(files, RED_FLAGS)? {
            let refuse = |message: String| LoadError::line(RED_FLAGS, line, message);
            vocabulary.sources().check(RED_FLAGS, line, &row.source)?;
            if row.id.is_empty() || row.act_now_zh.is_empty() {
                return Err(refuse("a red flag needs an id and something to do".to_owned()));
            }
            if flags.iter().any(|flag| flag.id == row.id) {
                return Err(refuse(format!("`{}` stands twice", row.id)));
            }
            let when = parse(&row.when, vocabulary).map_err(refuse)?;
            flags.push(RedFlag {
                id: row.id,
                name_zh: row.name_zh,
                when,
                meaning_zh: row.meaning_zh,
                act_now_zh: row.act_now_zh,
                refer_to: row.refer_to,
                urgency: row.urgency,
                source: row.source,
                status: row.status,
            });
        }
        flags.sort_by_key(|flag| flag.urgency);
        Ok(Self { flags })
    }

    /// All flags, the most urgent first, then in the order of the table.
    pub fn flags(&self) -> &[RedFlag] {
        &self.flags
    }

    /// The flags that fire, the most urgent first.
    pub fn evaluate(
        &self,
        evidence: &Evidence,
        vitals: &Vitals,
        patient: &Patient,
    ) -> Vec<RedFlagHit<'_>> {
        let so = |atom: &Atom| atom.holds(evidence, vitals, patient) == Some(true);
        let fires = |flag: &&RedFlag| flag.when.iter().all(|clause| clause.iter().any(so));
        self.flags
            .iter()
            .filter(fires)
            .map(|flag| RedFlagHit {
                flag,
                atoms: flag.when.iter().flatten().filter(|atom| so(atom)).copied().collect(),
            })
            .collect()
    }

    /// The flags that do not fire only because a value, the age, the sex or a pregnancy is
    /// unknown, while a finding they name is present; the most urgent first.
    pub fn undecided(
        &self,
        evidence: &Evidence,
        vitals: &Vitals,
        patient: &Patient,
    ) -> Vec<UndecidedFlag<'_>> {
        let mut out = Vec::new();
        for flag in &self.flags {
            let mut named = false;
            let mut unknown = Vec::new();
            let possible = flag.when.iter().all(|clause| {
                let mut open = Vec::new();
                for atom in clause {
                    match atom.holds(evidence, vitals, patient) {
                        Some(true) => {
                            named |= matches!(atom, Atom::Present(_));
                            return true;
                        }
                        Some(false) => {}
                        None => open.push(*atom),
                    }
                }
                let found = !open.is_empty();
                unknown.append(&mut open);
                found
            });
            if possible && named && !unknown.is_empty() {
                out.push(UndecidedFlag { flag, unknown });
            }
        }
        out
    }
}

impl Atom {
    /// Whether it is so; `None` where the value it asks for is unknown. A finding that nobody
    /// mentioned is not present.
    pub fn holds(self, evidence: &Evidence, vitals: &Vitals, patient: &Patient) -> Option<bool> {
        match self {
            Self::Present(finding) => Some(evidence.state(finding) == Some(true)),
            Self::NotPresent(finding) => Some(evidence.state(finding) != Some(true)),
            Self::Measured { measure, comparison, limit } => {
                vitals.get(measure).map(|value| comparison.holds(value, limit))
            }
            Self::Age { comparison, limit } => {
                patient.age_years.map(|age| comparison.holds(age, limit))
            }
            Self::Sex(wanted) => patient.sex.map(|sex| sex == wanted),
            Self::Pregnant => match (patient.pregnancy, patient.sex) {
                (Pregnancy::Yes { .. }, _) => Some(true),
                (Pregnancy::No, _) | (Pregnancy::Unknown, Some(Sex::Male)) => Some(false),
                (Pregnancy::Unknown, Some(Sex::Female) | None) => {
                    let asked = |age| (PREGNANCY_AGE_MIN..=PREGNANCY_AGE_MAX).contains(&age);
                    if patient.age_years.is_none_or(asked) { None } else { Some(false) }
                }
            },
        }
    }

    /// Whether it takes something about the illness, not only about the person, to be so.
    fn is_about_illness(self) -> bool {
        match self {
            Self::Present(_) | Self::Measured { .. } => true,
            Self::NotPresent(_) | Self::Age { .. } | Self::Sex(_) | Self::Pregnant => false,
        }
    }
}

fn parse(when: &str, vocabulary: &Vocabulary) -> Result<Vec<Vec<Atom>>, String> {
    let clauses: Vec<Vec<Atom>> = when
        .split(';')
        .map(|clause| clause.split('|').map(|atom| self::atom(atom.trim(), vocabulary)).collect())
        .collect::<Result<_, String>>()?;
    if !clauses.iter().any(|clause| clause.iter().all(|atom| atom.is_about_illness())) {
        return Err(format!("`{when}` would fire without any finding"));
    }
    Ok(clauses)
}

fn atom(text: &str, vocabulary: &Vocabulary) -> Result<Atom, String> {
    let finding = |slug: &str| {
        vocabulary.finding(slug).ok_or_else(|| format!("unknown finding `{slug}` in `when`"))
    };
    if text.is_empty() {
        return Err("empty part in `when`".to_owned());
    }
    if let Some(slug) = text.strip_prefix('!') {
        return finding(slug.trim()).map(Atom::NotPresent);
    }
    if let Some((name, comparison, number)) = Comparison::split(text) {
        return compared(name, comparison, number);
    }
    match text {
        "pregnant" => Ok(Atom::Pregnant),
        "sex=male" => Ok(Atom::Sex(Sex::Male)),
        "sex=female" => Ok(Atom::Sex(Sex::Female)),
        slug => finding(slug).map(Atom::Present),
    }
}

fn compared(name: &str, comparison: Comparison, number: &str) -> Result<Atom, String> {
    let limit: f32 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    let (min, max, atom) = if name == "age_years" {
        (0.0, AGE_YEARS_MAX, Atom::Age { comparison, limit })
    } else {
        let measure = Measure::ALL
            .into_iter()
            .find(|measure| measure.name() == name)
            .ok_or_else(|| format!("unknown measure `{name}` in `when`"))?;
        let (min, max) = measure.range();
        (min, max, Atom::Measured { measure, comparison, limit })
    };
    if !(min..=max).contains(&limit) {
        return Err(format!("{name} {number} lies outside {min} to {max}"));
    }
    Ok(atom)
}

#[cfg(test)]
#[path = "red_flags_tests.rs"]
mod tests;
