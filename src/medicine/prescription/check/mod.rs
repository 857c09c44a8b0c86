//! The checks, one file each, over one prepared [`Case`].

mod allergy;
mod alternative;
mod antibiotic;
mod case;
mod caution;
mod dose;
mod duplicate;
mod indication;
mod infusion;
mod interaction;
mod legal;
mod pregnancy;
mod profile;
mod route;
mod settle;
mod tcm;
mod unknown;

use case::{Case, Outcome};

use super::diseases::{Diseases, Icd};
use super::formulary::{Formulary, IngredientId, Medicine};
use super::order::Order;
use super::report::{Finding, Report, Summary};
use super::route::Route;
use super::rules::{
    Allergies, Cautions, Courses, Dosings, Herbs, Indications, Infusions, Interactions, Limits,
    Lists, PregnancyRules, ReviewItems,
};
use crate::tables::files::{Files, LoadError};
use alternative::Alternatives;
pub use profile::Profile;

/// Review item: newborns and infants without day or month of age.
const INFANT_AGE: &str = "1-4";
/// Review item: no diagnosis.
const NO_DIAGNOSIS: &str = "1-10";
/// Review item: antibiotics against the rules of their grades.
const RESTRICTED: &str = "1-14";
/// Review item: the indication does not fit.
const UNFIT: &str = "2-1";
/// Review item: the medicine chosen does not suit the patient.
const UNSUITABLE: &str = "2-2";
/// Review item: the form or route does not fit.
const ROUTED: &str = "2-3";
/// Review item: not on the essential list.
const NOT_ESSENTIAL: &str = "2-4";
/// Review item: dose and use.
const DOSED: &str = "2-5";
/// Review item: the combination does not fit.
const COMBINED: &str = "2-6";
/// Review item: the same medicine given twice.
const REPEATED: &str = "2-7";
/// Review item: incompatible or interacting medicines.
const INTERACTING: &str = "2-8";
/// Review item: other unsuitable use.
const MONITORED: &str = "2-9";
/// Review item of a skin test that is not on record. The steps of the review name it (A01), the
/// codes have only "other unsuitable use" for it.
const SKIN_TESTED: &str = MONITORED;
/// Review item: no indication at all.
const NO_INDICATION: &str = "3-1";

/// Findings there is room for at first.
const FINDINGS_USUAL: usize = 24;

/// Everything the checks know. Load once, share, ask often.
#[derive(Debug)]
pub struct PrescriptionKnowledge {
    formulary: Formulary,
    diseases: Diseases,
    interactions: Interactions,
    allergies: Allergies,
    pregnancy: PregnancyRules,
    cautions: Cautions,
    dosings: Dosings,
    indications: Indications,
    infusions: Infusions,
    herbs: Herbs,
    lists: Lists,
    limits: Limits,
    courses: Courses,
    items: ReviewItems,
    alternatives: Alternatives,
    /// Codes that any antibiotic is for.
    infections: Vec<Icd>,
    /// Vitamins and minerals, of which a double dose does little harm.
    light: Vec<IngredientId>,
    version: String,
}

/// What the statistics of a review count in one prescription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// Medicines; vehicles of infusions are none.
    pub medicines: u64,
    /// Of them on the national essential list.
    pub essential: u64,
    /// Systemic antibiotics.
    pub antibiotics: u64,
    /// Whether anything is injected.
    pub injection: bool,
    /// Whether anything goes into a vein.
    pub infusion: bool,
    /// Whether a glucocorticoid acts on the whole body.
    pub glucocorticoid: bool,
}

impl Facts {
    fn of(case: &Case<'_>) -> Self {
        let glucocorticoids = case.formulary().subject("class:glucocorticoids");
        let mut facts = Self::default();
        for item in case.items.iter().filter(|item| item.is_line()) {
            if case.is_vehicle(item) {
                continue;
            }
            facts.medicines += 1;
            let listed = item.medicine.is_some_and(|m| !m.code.starts_with('X'));
            facts.essential += u64::from(listed);
            facts.antibiotics += u64::from(!item.acts_apart() && case.is_antibiotic(item));
            facts.injection |= item.route.is_some_and(Route::is_injected);
            facts.infusion |= item.route == Some(Route::Iv);
            let steroid = glucocorticoids.is_some_and(|class| item.is(case.formulary(), class));
            facts.glucocorticoid |= steroid && !item.acts_apart();
        }
        facts
    }
}

impl PrescriptionKnowledge {
    /// Reads all tables under `prescription/`, and `diagnosis/conditions.csv` for the names of
    /// diseases. The first row that is uncited, dangling or malformed is an error with its file
    /// and line.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let formulary = Formulary::load(files)?;
        let items = ReviewItems::load(files, &formulary)?;
        for code in [
            INFANT_AGE,
            NO_DIAGNOSIS,
            RESTRICTED,
            UNFIT,
            UNSUITABLE,
            ROUTED,
            NOT_ESSENTIAL,
            DOSED,
            COMBINED,
            REPEATED,
            INTERACTING,
            MONITORED,
            NO_INDICATION,
        ] {
            items.require(code)?;
        }
        let indications = Indications::load(files, &formulary)?;
        let lists = Lists::load(files, &formulary)?;
        let mut infections: Vec<Icd> = indications
            .all()
            .iter()
            .filter(|rule| lists.antibiotics.names(rule.subject))
            .flat_map(|rule| rule.icd.iter().copied())
            .filter(|icd| *icd != Icd::ANY)
            .collect();
        infections.sort_unstable();
        infections.dedup();
        Ok(Self {
            diseases: Diseases::load(files, &formulary)?,
            interactions: Interactions::load(files, &formulary)?,
            allergies: Allergies::load(files, &formulary)?,
            pregnancy: PregnancyRules::load(files, &formulary)?,
            cautions: Cautions::load(files, &formulary)?,
            dosings: Dosings::load(files, &formulary)?,
            alternatives: Alternatives::new(&formulary, &indications),
            indications,
            infusions: Infusions::load(files, &formulary)?,
            herbs: Herbs::load(files, &formulary)?,
            lists,
            infections,
            limits: Limits::load(files, &formulary, &items)?,
            courses: Courses::read(files, &formulary)?,
            items,
            light: duplicate::light(&formulary),
            version: files.digest("prescription/", ".csv"),
            formulary,
        })
    }

    /// The medicines, for search and display.
    pub fn formulary(&self) -> &Formulary {
        &self.formulary
    }

    /// Advice that goes with a medicine, whoever takes it: sentences, each once.
    pub fn advice(&self, medicine: &Medicine) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for row in self.cautions.advice(medicine) {
            let (reason, instead) = (row.reason_zh.trim_end_matches('。'), row.instead_zh.trim());
            let join = if instead.is_empty() { "" } else { "：" };
            let sentence = format!("{reason}{join}{instead}");
            if !all.contains(&sentence) {
                all.push(sentence);
            }
        }
        all
    }

    /// Version of the tables: twelve hex digits.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Checks an order that has no [`Order::problems`]. Deterministic; the set of finding ids
    /// does not depend on the order of the lines.
    pub fn check(&self, order: &Order) -> Report {
        let case = Case::new(self, order);
        let Outcome { mut findings, unchecked } = Self::run(&case);
        alternative::offer(&case, &mut findings);
        findings.sort_by(|a, b| {
            (a.action, a.severity, a.place, a.kind, &a.id)
                .cmp(&(b.action, b.severity, b.place, b.kind, &b.id))
        });
        Report {
            summary: Summary::of(&findings, &unchecked),
            taken: case.taken(),
            findings,
            unchecked,
            rule_version: self.version.clone(),
        }
    }

    /// The findings of [`PrescriptionKnowledge::check`] without alternatives, for those who choose
    /// medicines themselves.
    pub fn check_without_alternatives(&self, order: &Order) -> Vec<Finding> {
        Self::run(&Case::new(self, order)).findings
    }

    /// ICD-10 categories (three characters) of the diagnoses and diseases of an order, each once.
    pub fn categories(&self, order: &Order) -> Vec<String> {
        let texts = order.diagnoses.iter().chain(&order.chart.conditions);
        let codes = texts.flat_map(|text| self.diseases.codes(text));
        let mut all: Vec<String> = codes.filter_map(Icd::category).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Names of an order that nothing was recognised in: medicines, diagnoses, diseases.
    pub fn not_understood(&self, order: &Order, report: &Report) -> Vec<String> {
        let medicines = report.taken.iter().filter(|taken| taken.name_zh.is_none());
        let medicines = medicines.map(|taken| taken.written.clone());
        let diseases = order.diagnoses.iter().chain(&order.chart.conditions);
        let diseases = diseases.filter(|text| self.diseases.codes(text).is_empty());
        medicines.chain(diseases.cloned()).collect()
    }

    /// As [`PrescriptionKnowledge::check`] for a review in retrospect: without alternatives, which
    /// come too late, and with what the statistics count.
    pub fn review(&self, order: &Order) -> (Report, Facts) {
        let case = Case::new(self, order);
        let Outcome { mut findings, unchecked } = Self::run(&case);
        findings.sort_by(|a, b| (a.action, a.severity, &a.id).cmp(&(b.action, b.severity, &b.id)));
        let report = Report {
            summary: Summary::of(&findings, &unchecked),
            taken: Vec::new(),
            findings,
            unchecked,
            rule_version: self.version.clone(),
        };
        (report, Facts::of(&case))
    }

    /// All checks, without alternatives.
    fn run(case: &Case<'_>) -> Outcome {
        let mut out =
            Outcome { findings: Vec::with_capacity(FINDINGS_USUAL), ..Outcome::default() };
        allergy::check(case, &mut out);
        interaction::check(case, &mut out);
        pregnancy::check(case, &mut out);
        caution::check(case, &mut out);
        duplicate::check(case, &mut out);
        dose::check(case, &mut out);
        route::check(case, &mut out);
        indication::check(case, &mut out);
        antibiotic::check(case, &mut out);
        infusion::check(case, &mut out);
        tcm::check(case, &mut out);
        legal::check(case, &mut out);
        unknown::check(case, &mut out);
        settle::settle(&mut out.findings);
        out
    }
}
