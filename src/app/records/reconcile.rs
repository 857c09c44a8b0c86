//! Medication reconciliation: a discharge record's medicines beside what the clinic prescribes.
//!
//! The prescription check does the judging: the clinic's lines are checked with the medicines that the
//! hospital lets go on as current ones, so that duplicates and interactions come out with their rule and
//! source. A line with an ingredient that the hospital has stopped is told by itself. What is not
//! recognised is said, never passed as fine.

use std::collections::BTreeSet;

use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::knowledge::Knowledge;
use crate::app::prescription_check::{NotChecked, Problem};
use crate::app::records::Purpose;
use crate::app::records::reading::Reading;
use crate::app::request::Problems;
use crate::medicine::prescription::{
    AllergyEntry, Formulary, Kind as CheckKind, Line, Order, Resolution, read_orders,
};
use crate::sharing::discharge::DischargeRecord;
use crate::sharing::discharge::model::{Medicine, MedicineChange, Sex};

/// Medicines of a clinic compared at most.
const LINES_MAX: usize = 60;
/// Characters of one at most.
const LINE_CHARS_MAX: usize = 500;

/// How a medicine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MedicineStanding {
    /// The hospital stopped it, and the clinic gives it.
    StoppedStillGiven,
    /// The hospital gives it, and the clinic does too.
    Both,
    /// The hospital gives it, the clinic does not.
    HospitalOnly,
    /// The clinic gives it, the record does not name it.
    ClinicOnly,
    /// It was not recognised, so it was not compared.
    NotRecognised,
}

/// A medicine, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconciledMedicine {
    /// As written by the clinic, or by the hospital where the clinic does not give it.
    pub written: String,
    /// How it stands.
    pub standing: MedicineStanding,
    /// As written by the hospital, where it is about two.
    pub hospital: String,
    /// What became of it in hospital.
    pub change: Option<MedicineChange>,
    /// In Chinese, for the doctor.
    pub advice: String,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciliation {
    /// Every medicine of both sides.
    pub medicines: Vec<ReconciledMedicine>,
    /// Duplicates, interactions and allergies between both sides.
    pub problems: Vec<Problem>,
    /// What could not be checked.
    pub not_checked: Vec<NotChecked>,
    /// Version of the prescription tables.
    pub rule_version: String,
}

impl App {
    /// Compares a kept record's medicines with what the clinic gives now, one line each, as written.
    pub async fn reconcile(
        &self,
        caller: &Caller,
        name: (&str, u32),
        clinic: &[String],
        purpose: Purpose,
    ) -> Result<Reconciliation, Error> {
        authorise(caller, Action::CheckPrescription)?;
        let mut problems = Problems::default();
        problems.unless(clinic.len() <= LINES_MAX, "medicines", "must be at most 60");
        for (at, line) in clinic.iter().enumerate() {
            problems.unless(
                !line.trim().is_empty(),
                &format!("medicines[{at}]"),
                "must not be empty",
            );
            problems.chars(&format!("medicines[{at}]"), line, LINE_CHARS_MAX);
        }
        problems.finish()?;
        let found = self.get_record(caller, name, Reading::for_purpose(purpose)).await?;
        let Some(reading) = found.reading else {
            let reason = "this node could not read the record: look at the original".to_owned();
            return Err(Error::Refused { reason });
        };
        let today = self.clock.now_ms();
        Ok(reconcile(&self.knowledge.load(), &reading.record, clinic, today))
    }
}

/// See the module.
pub fn reconcile(
    knowledge: &Knowledge,
    record: &DischargeRecord,
    clinic: &[String],
    now_ms: i64,
) -> Reconciliation {
    let formulary = knowledge.prescription.formulary();
    let mut lines: Vec<Line> = Vec::new();
    for (at, text) in clinic.iter().enumerate() {
        lines.extend(read_orders(text, &format!("C{}-", at + 1)));
    }
    let (stopped, going): (Vec<&Medicine>, Vec<&Medicine>) =
        record.medicines.iter().partition(|m| m.change == Some(MedicineChange::Stopped));
    let order = order(record, lines.clone(), &going, now_ms);
    let report = knowledge.prescription.check(&order);
    let ids: BTreeSet<&str> = lines.iter().map(|line| line.id.as_str()).collect();
    let about = |kind: CheckKind| {
        matches!(kind, CheckKind::Duplicate | CheckKind::Interaction | CheckKind::Allergy)
    };
    let problems = report
        .findings
        .into_iter()
        .filter(|f| about(f.kind) && f.lines.iter().any(|line| ids.contains(line.as_str())))
        .map(Into::into)
        .collect();
    Reconciliation {
        medicines: compared(formulary, &lines, &stopped, &going),
        problems,
        not_checked: report.unchecked.into_iter().map(Into::into).collect(),
        rule_version: report.rule_version,
    }
}

fn order(record: &DischargeRecord, lines: Vec<Line>, going: &[&Medicine], now_ms: i64) -> Order {
    let mut order = Order { lines, ..Order::default() };
    order.patient.sex = match record.patient.sex {
        Sex::Male => Some(crate::medicine::patient::Sex::Male),
        Sex::Female => Some(crate::medicine::patient::Sex::Female),
        Sex::Unknown | Sex::Unstated => None,
    };
    order.patient.age_years = age_years(record, now_ms);
    order.diagnoses = record.diagnoses.iter().map(|d| d.coded.text.clone()).collect();
    order.current = going.iter().map(|medicine| medicine.coded.text.clone()).collect();
    let allergies = record.allergies.iter().filter(|allergy| !allergy.absent);
    order.allergies = allergies
        .map(|allergy| AllergyEntry { name: allergy.coded.text.clone(), ..AllergyEntry::default() })
        .collect();
    order
}

fn age_years(record: &DischargeRecord, now_ms: i64) -> Option<f32> {
    let born = record.patient.birth_date.as_ref()?.first_day()?;
    let now = jiff::Timestamp::from_millisecond(now_ms).ok()?;
    let today = jiff::tz::Offset::UTC.to_datetime(now).date();
    let days = born.until(today).ok()?.get_days();
    // A day more or less does not matter to any rule.
    u16::try_from(days / 365).ok().map(f32::from)
}

/// Ingredients of a name, and its folded text; none where it is not recognised.
fn ingredients(formulary: &Formulary, name: &str) -> Option<BTreeSet<usize>> {
    match formulary.resolve(name) {
        Resolution::Medicine(id) => {
            let medicine = formulary.medicine(id)?;
            Some(medicine.ingredients.iter().map(|i| i.index()).collect())
        }
        Resolution::Ingredient(id) => Some(BTreeSet::from([id.index()])),
        Resolution::Ambiguous(_) | Resolution::Unknown(_) => None,
    }
}

fn compared(
    formulary: &Formulary,
    lines: &[Line],
    stopped: &[&Medicine],
    going: &[&Medicine],
) -> Vec<ReconciledMedicine> {
    let known = |list: &[&Medicine]| -> Vec<Option<BTreeSet<usize>>> {
        list.iter().map(|medicine| ingredients(formulary, &medicine.coded.text)).collect()
    };
    let (stopped_known, going_known) = (known(stopped), known(going));
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for line in lines {
        let own = ingredients(formulary, &line.name);
        let shares = |known: &[Option<BTreeSet<usize>>]| {
            let own = own.as_ref()?;
            known.iter().position(|other| other.as_ref().is_some_and(|o| !o.is_disjoint(own)))
        };
        let mut entry = ReconciledMedicine {
            written: line.name.clone(),
            standing: MedicineStanding::ClinicOnly,
            hospital: String::new(),
            change: None,
            advice: "出院记录中没有此药：请核对是否继续使用".to_owned(),
        };
        if own.is_none() {
            entry.standing = MedicineStanding::NotRecognised;
            "未能识别此药名，未作比对：请人工核对".clone_into(&mut entry.advice);
        } else if let Some(medicine) = shares(&stopped_known).and_then(|at| stopped.get(at)) {
            entry.standing = MedicineStanding::StoppedStillGiven;
            entry.hospital.clone_from(&medicine.coded.text);
            entry.change = medicine.change;
            "医院已停用此药，目前仍在开具：请停用或与医院核实".clone_into(&mut entry.advice);
        } else if let Some(at) = shares(&going_known) {
            seen.insert(at);
            if let Some(medicine) = going.get(at) {
                entry.standing = MedicineStanding::Both;
                entry.hospital.clone_from(&medicine.coded.text);
                entry.change = medicine.change;
                match medicine.change {
                    Some(MedicineChange::Altered) => {
                        "医院已调整此药的用法用量：请按出院记录调整，避免重复给药"
                    }
                    Some(
                        MedicineChange::New | MedicineChange::Continued | MedicineChange::Stopped,
                    )
                    | None => "双方均有此药：请核对剂量，避免重复给药",
                }
                .clone_into(&mut entry.advice);
            }
        }
        out.push(entry);
    }
    for (at, medicine) in going.iter().enumerate() {
        if seen.contains(&at) {
            continue;
        }
        let recognised = going_known.get(at).is_some_and(Option::is_some);
        out.push(ReconciledMedicine {
            written: medicine.coded.text.clone(),
            standing: if recognised {
                MedicineStanding::HospitalOnly
            } else {
                MedicineStanding::NotRecognised
            },
            hospital: medicine.coded.text.clone(),
            change: medicine.change,
            advice: if recognised {
                "出院带药，诊所尚未开具：请确认患者是否有药并按时服用".to_owned()
            } else {
                "未能识别此出院带药的药名，未作比对：请人工核对".to_owned()
            },
        });
    }
    out
}
