//! Medication reconciliation: a discharge record's medicines beside what the clinic prescribes.
//!
//! Each line of the clinic is held against all medicines of the record at once, those that go on and
//! those that were stopped, and the one that fits best counts ([`matching`]): who was changed from
//! 硝苯地平片 to 硝苯地平控释片 must not be told to stop the second. The prescription check does the rest of
//! the judging: the clinic's lines are checked with the medicines that only the hospital gives as current
//! ones, so that duplicates and interactions come out with their rule and source. Medicines that stand in
//! the words of the orders alone are read from there ([`orders`]) and shown with their sentence. What is
//! not recognised or not read is said, never passed as fine.

mod matching;
mod orders;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::prescription_check::{NotChecked, Problem, ProblemKind};
use crate::app::records::Purpose;
use crate::app::records::reading::Reading;
use crate::app::request::Problems;
use crate::medicine::prescription::{
    AllergyEntry, Formulary, Kind as CheckKind, LIST_MAX, Line, NAME_CHARS_MAX, Order,
    PrescriptionKnowledge, read_orders,
};
use crate::sharing::discharge::DischargeRecord;
use crate::sharing::discharge::model::{Medicine, MedicineChange, Sex};
use matching::{Fit, Known, best};

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
        Ok(reconcile(&self.knowledge.load().prescription, &reading.record, clinic, today))
    }
}

/// A medicine of the record, from its list or from the words of its orders.
#[derive(Debug)]
struct Ours {
    /// As written.
    name: String,
    known: Known,
    change: Option<MedicineChange>,
    /// Where it stands, if it was read from words.
    sentence: Option<String>,
}

impl Ours {
    fn is_stopped(&self) -> bool {
        self.change == Some(MedicineChange::Stopped)
    }

    /// How it is named to the doctor, with where it was read.
    fn said(&self) -> String {
        match &self.sentence {
            Some(sentence) => {
                format!("{}（从医嘱文字读出，请核对原文：“{sentence}”）", self.name)
            }
            None => self.name.clone(),
        }
    }
}

/// What a record says of medicines.
struct Hospital<'a> {
    record: &'a DischargeRecord,
    medicines: Vec<Ours>,
    /// Sentences about medicines that were not read.
    unread: Vec<String>,
}

/// See the module. `now_ms` is for the patient's age.
pub fn reconcile(
    knowledge: &PrescriptionKnowledge,
    record: &DischargeRecord,
    clinic: &[String],
    now_ms: i64,
) -> Reconciliation {
    let formulary = knowledge.formulary();
    let mut lines: Vec<Line> = Vec::new();
    for (at, text) in clinic.iter().enumerate() {
        lines.extend(read_orders(text, &format!("C{}-", at + 1)));
    }
    let known: Vec<Known> = lines.iter().map(|line| Known::of(formulary, &line.name)).collect();
    let mut not_checked = Vec::new();
    let hospital = Hospital::of(formulary, record, &mut not_checked);
    let (medicines, seen) = hospital.compared(&lines, &known);
    // What both give is in the clinic's lines already: against itself it is no duplicate.
    let going = hospital.medicines.iter().enumerate();
    let going = going.filter(|(at, medicine)| !medicine.is_stopped() && !seen.contains(at));
    let mut current: Vec<String> = going.map(|(_, medicine)| medicine.name.clone()).collect();
    current.retain(|name| !name.trim().is_empty() && name.chars().nth(NAME_CHARS_MAX).is_none());
    if current.len() > LIST_MAX {
        let message = format!("出院用药超过{LIST_MAX}种，其余未查重复和相互作用");
        not_checked.push(unchecked(current.split_off(LIST_MAX), message));
    }
    let ids: BTreeSet<String> = lines.iter().map(|line| line.id.clone()).collect();
    let order = order(record, lines, current, now_ms);
    let report = knowledge.check(&order);
    let about = |kind: CheckKind| {
        matches!(kind, CheckKind::Duplicate | CheckKind::Interaction | CheckKind::Allergy)
    };
    let problems = report
        .findings
        .into_iter()
        .filter(|f| about(f.kind) && f.lines.iter().any(|line| ids.contains(line)))
        .map(Into::into)
        .collect();
    not_checked.extend(report.unchecked.into_iter().map(Into::into));
    Reconciliation { medicines, problems, not_checked, rule_version: report.rule_version }
}

fn unchecked(subjects: Vec<String>, reason: String) -> NotChecked {
    NotChecked {
        lines: Vec::new(),
        subjects,
        checks: vec![ProblemKind::Duplicate, ProblemKind::Interaction],
        reason,
        suggestions: Vec::new(),
        on_request: false,
    }
}

fn order(record: &DischargeRecord, lines: Vec<Line>, current: Vec<String>, now_ms: i64) -> Order {
    let mut order = Order { lines, current, ..Order::default() };
    order.patient.sex = match record.patient.sex {
        Sex::Male => Some(crate::medicine::patient::Sex::Male),
        Sex::Female => Some(crate::medicine::patient::Sex::Female),
        Sex::Unknown | Sex::Unstated => None,
    };
    order.patient.age_years = age_years(record, now_ms);
    order.diagnoses = record.diagnoses.iter().map(|d| d.coded.text.clone()).collect();
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

/// What a listed medicine is called: its name, what its code is called, or what its instruction names
/// where that is all there is.
fn names_of(medicine: &Medicine) -> Vec<String> {
    let shown = medicine.coded.codes.iter().map(|code| &code.display);
    let mut named = std::iter::once(&medicine.coded.text).chain(shown);
    if let Some(name) = named.find(|name| !name.trim().is_empty()) {
        return vec![name.clone()];
    }
    let lines = read_orders(&medicine.instruction, "");
    lines.into_iter().map(|line| line.name).filter(|name| !name.is_empty()).collect()
}

impl<'a> Hospital<'a> {
    fn of(
        formulary: &Formulary,
        record: &'a DischargeRecord,
        not_checked: &mut Vec<NotChecked>,
    ) -> Self {
        let mut medicines: Vec<Ours> = Vec::new();
        for medicine in &record.medicines {
            medicines.extend(names_of(medicine).into_iter().map(|name| Ours {
                known: Known::of(formulary, &name),
                name,
                change: medicine.change,
                sentence: None,
            }));
        }
        let listed = medicines.len();
        let words = orders::read(formulary, record);
        for told in words.medicines {
            let same = best(&told.known, medicines.iter().take(listed).map(|m| &m.known));
            if let Some((fit, at)) = same
                && fit.is_same()
            {
                // The list counts; that the words say otherwise is told.
                let stopped = told.change == Some(MedicineChange::Stopped);
                if medicines.get(at).is_some_and(|m| m.is_stopped() != stopped)
                    && told.change.is_some()
                {
                    let reason = format!(
                        "医嘱文字与用药条目对{}的说法不一致，按条目比对，请看原文：“{}”",
                        told.name, told.sentence
                    );
                    not_checked.push(unchecked(vec![told.name], reason));
                }
                continue;
            }
            medicines.push(Ours {
                name: told.name,
                known: told.known,
                change: told.change,
                sentence: Some(told.sentence),
            });
        }
        for sentence in &words.unread {
            let reason = format!("医嘱文字中另有用药，未能逐项读出，请看原文：“{sentence}”");
            not_checked.push(unchecked(Vec::new(), reason));
        }
        Self { record, medicines, unread: words.unread }
    }

    /// Every medicine of both sides, and which of the hospital's the clinic gives too.
    fn compared(
        &self,
        lines: &[Line],
        known: &[Known],
    ) -> (Vec<ReconciledMedicine>, BTreeSet<usize>) {
        let mut seen = BTreeSet::new();
        let mut out: Vec<ReconciledMedicine> = Vec::new();
        for (line, own) in lines.iter().zip(known) {
            out.push(self.stands(line, own, &mut seen));
        }
        let left = self.medicines.iter().enumerate().filter(|(at, _)| !seen.contains(at));
        for (_, medicine) in left {
            let (standing, advice) = match (medicine.is_stopped(), medicine.known.is_recognised()) {
                // Stopped, and the clinic does not give it: as it should be.
                (true, true) => continue,
                (true, false) => (
                    MedicineStanding::NotRecognised,
                    "医院停用的这个药名未能识别，未作比对：请人工核对诊所是否还在开",
                ),
                (false, true) => (
                    MedicineStanding::HospitalOnly,
                    "出院带药，诊所尚未开具：请确认患者是否有药并按时服用",
                ),
                (false, false) => (
                    MedicineStanding::NotRecognised,
                    "未能识别此出院带药的药名，未作比对：请人工核对",
                ),
            };
            let mut advice = advice.to_owned();
            if let Some(sentence) = &medicine.sentence {
                advice = format!("{advice}（从医嘱文字读出，请核对原文：“{sentence}”）");
            }
            out.push(ReconciledMedicine {
                written: medicine.name.clone(),
                standing,
                hospital: medicine.name.clone(),
                change: medicine.change,
                advice,
            });
        }
        (out, seen)
    }

    /// How a line of the clinic stands.
    fn stands(&self, line: &Line, own: &Known, seen: &mut BTreeSet<usize>) -> ReconciledMedicine {
        let of = |stopped: bool| {
            let each = self.medicines.iter().enumerate();
            let each: Vec<_> = each.filter(|(_, m)| m.is_stopped() == stopped).collect();
            let (fit, at) = best(own, each.iter().map(|(_, m)| &m.known))?;
            each.get(at).map(|(at, medicine)| (fit, *at, *medicine))
        };
        let entry = |standing, medicine: Option<&Ours>, advice: String| ReconciledMedicine {
            written: line.name.clone(),
            standing,
            hospital: medicine.map(|m| m.name.clone()).unwrap_or_default(),
            change: medicine.and_then(|m| m.change),
            advice,
        };
        let (stopped, going) = (of(true), of(false));
        let fit = |found: &Option<(Fit, usize, &Ours)>| found.as_ref().map(|(fit, ..)| *fit);
        let same = |found: &Option<(Fit, usize, &Ours)>| fit(found).is_some_and(Fit::is_same);
        match (&stopped, &going) {
            (_, Some((_, at, medicine))) if same(&going) && fit(&going) >= fit(&stopped) => {
                seen.insert(*at);
                let other = stopped.as_ref().filter(|_| same(&stopped)).map(|(.., m)| *m);
                entry(MedicineStanding::Both, Some(medicine), both(medicine, other))
            }
            (Some((_, at, medicine)), _) if same(&stopped) => {
                seen.insert(*at);
                let instead = going.as_ref().filter(|_| same(&going)).map(|(.., m)| *m);
                let advice = match instead {
                    Some(instead) => format!(
                        "医院已停用{}，改用{}：请停用或与医院核实，不要两种同服",
                        medicine.said(),
                        instead.said()
                    ),
                    None if medicine.sentence.is_some() => {
                        format!("医院已停用{}，目前仍在开具：请停用或与医院核实", medicine.said())
                    }
                    None => "医院已停用此药，目前仍在开具：请停用或与医院核实".to_owned(),
                };
                entry(MedicineStanding::StoppedStillGiven, Some(medicine), advice)
            }
            (Some((_, _, medicine)), _) if self.holds_stopped(own, &medicine.known) => {
                let advice =
                    format!("含有医院已停用的{}的成分：请与医院核实后再用", medicine.said());
                entry(MedicineStanding::StoppedStillGiven, Some(medicine), advice)
            }
            (_, Some((_, _, medicine))) => {
                let advice = format!(
                    "与出院带药{}有相同成分：请勿重复用药，核对以哪一种为准",
                    medicine.said()
                );
                entry(MedicineStanding::Both, Some(medicine), advice)
            }
            (_, None) => {
                let (standing, advice) = self.clinic_only(line, own);
                entry(standing, None, advice)
            }
        }
    }

    /// Whether a medicine holds an ingredient of a stopped one that no medicine goes on with.
    fn holds_stopped(&self, own: &Known, stopped: &Known) -> bool {
        let mut shared = own.shared(stopped);
        for medicine in self.medicines.iter().filter(|medicine| !medicine.is_stopped()) {
            shared.retain(|id| !medicine.known.ingredients.contains(id));
        }
        !shared.is_empty()
    }

    /// What is said of a line that no medicine of the record fits.
    fn clinic_only(&self, line: &Line, own: &Known) -> (MedicineStanding, String) {
        if !own.is_recognised() {
            let advice = "未能识别此药名，未作比对：请人工核对".to_owned();
            return (MedicineStanding::NotRecognised, advice);
        }
        let advice = if let Some(sentence) = orders::mentioned(self.record, &line.name) {
            format!("出院记录的文字提到此药，未能读出如何处理，请看原文：“{sentence}”")
        } else if !self.unread.is_empty() {
            "读出的用药中没有此药，但医嘱文字中另有用药未能逐项读出：请看原文再定".to_owned()
        } else if self.medicines.is_empty() {
            "出院记录没有列出用药，无从比对：请向患者或医院问清".to_owned()
        } else if self.medicines.iter().any(|medicine| !medicine.known.is_recognised()) {
            "识别出的出院用药中没有此药，但有药名未能识别：请核对是否继续使用".to_owned()
        } else {
            "出院记录中没有此药：请核对是否继续使用".to_owned()
        };
        (MedicineStanding::ClinicOnly, advice)
    }
}

/// What is said of a medicine that both give. `stopped` is the same one in the list of what was stopped.
fn both(medicine: &Ours, stopped: Option<&Ours>) -> String {
    let advice = match medicine.change {
        Some(MedicineChange::Altered) => "医院已调整此药的用法用量：请按出院记录调整，避免重复给药",
        Some(MedicineChange::New) => "医院新开了此药，诊所也在开：请核对剂量，避免重复给药",
        Some(MedicineChange::Continued | MedicineChange::Stopped) | None => {
            "双方均有此药：请核对剂量，避免重复给药"
        }
    };
    let of_stopped = stopped.map(|stopped| {
        format!("；医院停用了同一成分的{}，核对患者家里剩的是哪一种", stopped.said())
    });
    let read_from = medicine
        .sentence
        .as_ref()
        .map(|sentence| format!("（从医嘱文字读出，请核对原文：“{sentence}”）"));
    [Some(advice.to_owned()), of_stopped, read_from].into_iter().flatten().collect()
}
