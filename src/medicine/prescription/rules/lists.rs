//! The shorter tables: skin tests, grades of antibiotics, controlled medicines, classes of which
//! one is enough, treatments that a diagnosis alone does not justify, diseases that mean a state, weights
//! of children, and what was judged to need no adjustment.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{BySubject, Origin, Rows, TableAction, TableSeverity, place};
use crate::medicine::patient::Sex;
use crate::medicine::prescription::bits::Bits;
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::formulary::{
    ClassId, Formulary, IngredientId, Medicine, MedicineId, Subject,
};
use crate::medicine::prescription::quantity::{Quantity, Unit};
use crate::medicine::prescription::report::{Action, Severity};
use crate::medicine::prescription::route::Routes;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};
use crate::tables::text::fold;

const SKIN: &str = "prescription/skin_test.csv";
const ANTIBIOTICS: &str = "prescription/antibiotics.csv";
const CONTROLLED: &str = "prescription/controlled.csv";
const DUPLICATES: &str = "prescription/duplicate_classes.csv";
const UNJUSTIFIED: &str = "prescription/unjustified.csv";
const STATES: &str = "prescription/states.csv";
const TEST_NAMES: &str = "prescription/test_names.csv";
const CONTENTS: &str = "prescription/contents.csv";
const WEIGHTS: &str = "prescription/weight_for_age.csv";
const LACTATION_OK: &str = "prescription/lactation_ok.csv";
const RENAL_OK: &str = "prescription/renal_ok.csv";
const HEPATIC_OK: &str = "prescription/hepatic_ok.csv";

/// Whether a skin test must be on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::medicine::prescription) enum Need {
    /// By rule.
    Required,
    /// Where the label of the product asks for it.
    AsLabelled,
}

/// One row of `skin_test.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct SkinTest {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) need: Need,
    pub(in crate::medicine::prescription) note_zh: String,
}

/// 抗菌药物分级.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::medicine::prescription) enum Grade {
    /// 非限制使用级
    Nonrestricted,
    /// 限制使用级
    Restricted,
    /// 特殊使用级
    Special,
}

/// One row of `antibiotics.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct AntibioticGrade {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) routes: Routes,
    pub(in crate::medicine::prescription) grade: Grade,
}

/// What a controlled medicine is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::medicine::prescription) enum Category {
    /// 麻醉药品
    Narcotic,
    /// 第一类精神药品
    Psych1,
    /// 第二类精神药品
    Psych2,
    /// 医疗用毒性药品
    Toxic,
    /// 放射性药品
    Radioactive,
    /// 易制毒、含特殊药品复方制剂
    Precursor,
}

/// One row of `controlled.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Control {
    pub(in crate::medicine::prescription) routes: Routes,
    pub(in crate::medicine::prescription) category: Category,
    pub(in crate::medicine::prescription) note_zh: String,
}

/// One row of `duplicate_classes.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct DuplicateClass {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) class: ClassId,
    /// How many different members are accepted together.
    pub(in crate::medicine::prescription) allowed: usize,
    /// Diagnoses under which more are accepted.
    pub(in crate::medicine::prescription) except: Vec<Icd>,
    pub(in crate::medicine::prescription) action: Action,
    pub(in crate::medicine::prescription) severity: Severity,
    pub(in crate::medicine::prescription) reason_zh: String,
    pub(in crate::medicine::prescription) instead_zh: String,
}

/// What is found when nothing but these diagnoses stands on the prescription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::medicine::prescription) enum Unfit {
    /// An antibiotic without a bacterial infection.
    Antibiotic,
    /// A medicine without its indication.
    Indication,
    /// An infusion where swallowing would do.
    Infusion,
}

/// One row of `unjustified.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Unjustified {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) unfit: Unfit,
    pub(in crate::medicine::prescription) routes: Routes,
    pub(in crate::medicine::prescription) icd_only: Vec<Icd>,
    pub(in crate::medicine::prescription) action: Action,
    pub(in crate::medicine::prescription) severity: Severity,
    pub(in crate::medicine::prescription) reason_zh: String,
    pub(in crate::medicine::prescription) instead_zh: String,
}

/// One row of `weight_for_age.csv`: what a child of an age can weigh.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct WeightForAge {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) age_m: f64,
    pub(in crate::medicine::prescription) sex: Option<Sex>,
    pub(in crate::medicine::prescription) kg: (f64, f64),
    pub(in crate::medicine::prescription) median_kg: f64,
}

/// Subjects of which something was judged: all that are not are unknown.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Judged {
    ingredients: Bits,
    medicines: Bits,
}

/// A list of rows by what they speak of.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Listed<T> {
    rows: Vec<T>,
    by_subject: BySubject,
}

/// All of them.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Lists {
    pub(in crate::medicine::prescription) skin: Listed<SkinTest>,
    pub(in crate::medicine::prescription) antibiotics: Listed<AntibioticGrade>,
    pub(in crate::medicine::prescription) controlled: Listed<Control>,
    pub(in crate::medicine::prescription) unjustified: Listed<Unjustified>,
    pub(in crate::medicine::prescription) duplicates: Vec<DuplicateClass>,
    /// Places of the rows whose class holds an ingredient.
    duplicates_of: Vec<Vec<u16>>,
    /// Diseases by the state they mean for the checks.
    states: HashMap<String, Vec<Icd>>,
    tests: Vec<(String, String)>,
    contents: HashMap<(MedicineId, IngredientId), Quantity>,
    pub(in crate::medicine::prescription) weights: Vec<WeightForAge>,
    pub(in crate::medicine::prescription) lactation_ok: Judged,
    pub(in crate::medicine::prescription) renal_ok: Judged,
    pub(in crate::medicine::prescription) hepatic_ok: Judged,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkinRow {
    id: String,
    subject: String,
    need: Need,
    note_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GradeRow {
    id: String,
    subject: String,
    route: String,
    grade: Grade,
    #[expect(dead_code, reason = "for the reader of the table")]
    group: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlRow {
    id: String,
    subject: String,
    route: String,
    category: Category,
    note_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DuplicateRow {
    id: String,
    class: String,
    allowed: usize,
    icd_except: String,
    action: TableAction,
    severity: TableSeverity,
    reason_zh: String,
    instead_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnjustifiedRow {
    id: String,
    kind: Unfit,
    subject: String,
    route: String,
    icd_only: String,
    action: TableAction,
    severity: TableSeverity,
    reason_zh: String,
    instead_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateRow {
    state: String,
    icd: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    name_zh: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestRow {
    test: String,
    name: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentRow {
    medicine: String,
    ingredient: String,
    amount: f64,
    unit: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    per: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightRow {
    age_m: f64,
    sex: String,
    low_kg: f64,
    median_kg: f64,
    high_kg: f64,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JudgedRow {
    subject: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    note_zh: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

impl Lists {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let skin = Listed::load(files, formulary, SKIN, |checks, line, row: SkinRow| {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            let subjects = checks.subjects(line, &row.subject)?;
            Ok((subjects, SkinTest { origin, need: row.need, note_zh: row.note_zh }))
        })?;
        let antibiotics =
            Listed::load(files, formulary, ANTIBIOTICS, |checks, line, row: GradeRow| {
                let origin = checks.origin(line, &row.id, &row.source, row.status)?;
                let subjects = checks.subjects(line, &row.subject)?;
                let routes = checks.routes(line, &row.route)?;
                Ok((subjects, AntibioticGrade { origin, routes, grade: row.grade }))
            })?;
        let controlled =
            Listed::load(files, formulary, CONTROLLED, |checks, line, row: ControlRow| {
                checks.origin(line, &row.id, &row.source, row.status)?;
                let subjects = checks.subjects(line, &row.subject)?;
                let routes = if row.route.is_empty() { "any" } else { &row.route };
                let routes = checks.routes(line, routes)?;
                let control = Control { routes, category: row.category, note_zh: row.note_zh };
                Ok((subjects, control))
            })?;
        let unjustified =
            Listed::load(files, formulary, UNJUSTIFIED, |checks, line, row: UnjustifiedRow| {
                let origin = checks.origin(line, &row.id, &row.source, row.status)?;
                checks.filled(line, "icd_only", &row.icd_only)?;
                let subjects = checks.subjects(line, &row.subject)?;
                let rule = Unjustified {
                    origin,
                    unfit: row.kind,
                    routes: checks.routes(line, &row.route)?,
                    icd_only: checks.prefixes(line, &row.icd_only)?,
                    action: row.action.into(),
                    severity: row.severity.into(),
                    reason_zh: row.reason_zh,
                    instead_zh: row.instead_zh,
                };
                Ok((subjects, rule))
            })?;
        let mut states: HashMap<String, Vec<Icd>> = HashMap::new();
        let mut checks = Rows::new(formulary, STATES);
        for (line, row) in rows::<StateRow>(files, STATES)? {
            formulary.sources().check(STATES, line, &row.source)?;
            states.entry(row.state).or_default().extend(checks.prefixes(line, &row.icd)?);
        }
        let mut tests = Vec::new();
        for (line, row) in rows::<TestRow>(files, TEST_NAMES)? {
            formulary.sources().check(TEST_NAMES, line, &row.source)?;
            tests.push((row.test, fold(&row.name)));
        }
        checks = Rows::new(formulary, WEIGHTS);
        let mut weights = Vec::new();
        for (line, row) in rows::<WeightRow>(files, WEIGHTS)? {
            let id = format!("WFA-{}{}", row.age_m, row.sex);
            let origin = checks.origin(line, &id, &row.source, row.status)?;
            checks.rising(line, "low_kg and median_kg", Some(row.low_kg), Some(row.median_kg))?;
            checks.rising(line, "median_kg and high_kg", Some(row.median_kg), Some(row.high_kg))?;
            let sex = match row.sex.as_str() {
                "m" => Some(Sex::Male),
                "f" => Some(Sex::Female),
                "" => None,
                other => {
                    let message = format!("`{other}` must be m, f or empty");
                    return Err(LoadError::line(WEIGHTS, line, message));
                }
            };
            weights.push(WeightForAge {
                origin,
                age_m: row.age_m,
                sex,
                kg: (row.low_kg, row.high_kg),
                median_kg: row.median_kg,
            });
        }
        let duplicates = duplicates(files, formulary)?;
        Ok(Self {
            skin,
            antibiotics,
            controlled,
            unjustified,
            duplicates_of: {
                let within = |id| {
                    let rows = duplicates.iter().zip(0_u16..);
                    let holds = rows.filter(|(row, _)| formulary.is_member(id, row.class));
                    holds.map(|(_, at)| at).collect()
                };
                formulary.ingredients().iter().map(|i| within(i.id)).collect()
            },
            duplicates,
            states,
            tests,
            contents: contents(files, formulary)?,
            weights,
            lactation_ok: Judged::load(files, formulary, LACTATION_OK)?,
            renal_ok: Judged::load(files, formulary, RENAL_OK)?,
            hepatic_ok: Judged::load(files, formulary, HEPATIC_OK)?,
        })
    }
}

/// What one piece or millilitre of a combination holds of an ingredient.
fn contents(
    files: &Files,
    formulary: &Formulary,
) -> Result<HashMap<(MedicineId, IngredientId), Quantity>, LoadError> {
    let checks = Rows::new(formulary, CONTENTS);
    let mut all = HashMap::new();
    for (line, row) in rows::<ContentRow>(files, CONTENTS)? {
        formulary.sources().check(CONTENTS, line, &row.source)?;
        let bad = |message: String| LoadError::line(CONTENTS, line, message);
        let Subject::Medicine(medicine) = checks.subject(line, &row.medicine)? else {
            return Err(bad(format!("`{}` is no medicine", row.medicine)));
        };
        let Subject::Ingredient(ingredient) = checks.ingredients(line, &row.ingredient)? else {
            return Err(bad(format!("`{}` is no ingredient", row.ingredient)));
        };
        let (unit, factor) =
            Unit::read(&row.unit).ok_or_else(|| bad(format!("`{}` is no unit", row.unit)))?;
        let value = row.amount * factor;
        if !(value.is_finite() && value > 0.0) {
            return Err(bad("amount must be above 0".to_owned()));
        }
        all.insert((medicine, ingredient), Quantity { value, unit });
    }
    Ok(all)
}

fn duplicates(files: &Files, formulary: &Formulary) -> Result<Vec<DuplicateClass>, LoadError> {
    let mut checks = Rows::new(formulary, DUPLICATES);
    let mut all = Vec::new();
    for (line, row) in rows::<DuplicateRow>(files, DUPLICATES)? {
        let origin = checks.origin(line, &row.id, &row.source, row.status)?;
        let Subject::Class(class) = checks.subject(line, &format!("class:{}", row.class))? else {
            return Err(LoadError::line(
                DUPLICATES,
                line,
                format!("unknown class `{}`", row.class),
            ));
        };
        all.push(DuplicateClass {
            origin,
            class,
            allowed: row.allowed,
            except: checks.prefixes(line, &row.icd_except)?,
            action: row.action.into(),
            severity: row.severity.into(),
            reason_zh: row.reason_zh,
            instead_zh: row.instead_zh,
        });
    }
    Ok(all)
}

impl Lists {
    /// Diseases that mean a state, such as `long_term` or `kidney_disease`; none for an unknown
    /// one.
    pub(in crate::medicine::prescription) fn state(&self, name: &str) -> &[Icd] {
        self.states.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether one of the written names is a name of a test.
    pub(in crate::medicine::prescription) fn knows_test(
        &self,
        test: &str,
        written: &[String],
    ) -> bool {
        written.iter().any(|text| {
            let said = fold(text);
            said == test
                || self.tests.iter().any(|(t, name)| t == test && said.contains(name.as_str()))
        })
    }

    /// Places in [`Lists::duplicates`] of the classes that hold an ingredient.
    pub(in crate::medicine::prescription) fn duplicates_of(&self, id: IngredientId) -> &[u16] {
        self.duplicates_of.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// What one piece of a combination holds of an ingredient.
    pub(in crate::medicine::prescription) fn content(
        &self,
        medicine: MedicineId,
        ingredient: IngredientId,
    ) -> Option<Quantity> {
        self.contents.get(&(medicine, ingredient)).copied()
    }
}

impl<T> Listed<T> {
    pub(super) fn load<R: DeserializeOwned>(
        files: &Files,
        formulary: &Formulary,
        path: &'static str,
        mut read: impl FnMut(&mut Rows<'_>, u64, R) -> Result<(Vec<Subject>, T), LoadError>,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, path);
        let mut all = Self { rows: Vec::new(), by_subject: BySubject::new(formulary) };
        for (line, row) in rows::<R>(files, path)? {
            let (subjects, row) = read(&mut checks, line, row)?;
            let at = place(all.rows.len(), path, line)?;
            for subject in subjects {
                all.by_subject.add(formulary, subject, at);
            }
            all.rows.push(row);
        }
        Ok(all)
    }

    /// Whether a row speaks of a subject, or of one that lies in it.
    pub(in crate::medicine::prescription) fn names(&self, subject: Subject) -> bool {
        match subject {
            Subject::Ingredient(id) => !self.by_subject.of_ingredient(id).is_empty(),
            Subject::Medicine(id) => self.by_subject.has_medicine(id),
            Subject::Class(_) => false,
        }
    }

    /// Rows of a medicine itself, then those of its ingredients; a row that names both comes once
    /// for each.
    pub(in crate::medicine::prescription) fn of<'a>(
        &'a self,
        medicine: Option<&Medicine>,
        ingredients: &'a [IngredientId],
    ) -> impl Iterator<Item = &'a T> {
        let own = self.by_subject.of_medicine(medicine).iter();
        let inside = ingredients.iter().flat_map(|id| self.by_subject.of_ingredient(*id));
        own.chain(inside).filter_map(|at| self.rows.get(usize::from(*at)))
    }
}

impl Judged {
    fn load(files: &Files, formulary: &Formulary, path: &'static str) -> Result<Self, LoadError> {
        let mut all = Self {
            ingredients: Bits::new(formulary.ingredients().len()),
            medicines: Bits::new(formulary.medicines().len()),
        };
        let checks = Rows::new(formulary, path);
        for (line, row) in rows::<JudgedRow>(files, path)? {
            formulary.sources().check(path, line, &row.source)?;
            for subject in checks.subjects(line, &row.subject)? {
                if let Subject::Medicine(id) = subject {
                    all.medicines.insert(id.index());
                } else {
                    for id in formulary.members(subject) {
                        all.ingredients.insert(id.index());
                    }
                }
            }
        }
        Ok(all)
    }

    /// Whether a medicine is judged as a whole.
    pub(in crate::medicine::prescription) fn medicine(&self, medicine: Option<&Medicine>) -> bool {
        medicine.is_some_and(|m| self.medicines.contains(m.id.index()))
    }

    /// Whether an ingredient is judged.
    pub(in crate::medicine::prescription) fn ingredient(&self, id: IngredientId) -> bool {
        self.ingredients.contains(id.index())
    }
}
