//! Requests, and what every one of them is checked against before anything is decided.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::consultation::State;
use super::error::{Error, FieldProblem};
use crate::medicine::patient::{AGE_YEARS_MAX, Patient, Pregnancy, Sex, Vitals};
use crate::medicine::prescription::{self, Line, Order, read_orders};
use crate::tables::text;

/// Characters of a complaint at most.
pub const TEXT_CHARS_MAX: usize = 4_000;
/// Coded findings at most.
pub const FINDINGS_MAX: usize = 200;
/// Characters of a name at most.
pub const NAME_CHARS_MAX: usize = 100;
/// Conditions that can be asked for at most.
pub const CONDITIONS_MAX: u32 = 50;
/// Conditions given when the caller does not say.
pub const CONDITIONS_DEFAULT: u32 = 8;
/// Characters of a request id, patient reference or record id at most.
pub const ID_CHARS_MAX: usize = 64;
/// Lines of a page at most.
pub const PAGE_MAX: u32 = 200;
/// Lines of a page when the caller does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Hits of a search at most.
pub const HITS_MAX: u32 = 100;
/// Hits of a search when the caller does not say.
pub const HITS_DEFAULT: u32 = 20;

/// What text of one line may not have.
const PRINTABLE: &str =
    "must not have control characters, breaks of lines or marks that turn the direction of writing";

/// What text of several lines may not have.
const WRITTEN: &str = "must not have control characters other than breaks of lines, or marks that turn the direction of writing";

/// A consultation to diagnose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiagnoseRequest {
    /// Empty: the node makes one.
    #[serde(skip)]
    pub request_id: String,
    /// The clinic's reference of the patient; may be empty.
    pub patient_reference: String,
    /// The patient.
    pub patient: Patient,
    /// Complaint and history.
    pub text: String,
    /// Coded findings: id, name or synonym, and state.
    pub findings: Vec<(String, State)>,
    /// Measured signs.
    pub vitals: Vitals,
    /// 0: [`CONDITIONS_DEFAULT`].
    pub condition_count_max: u32,
    /// Month of the visit, 1 to 12; 0: the season does not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub month: u32,
}

/// What was not said is not part of the content, so that a request kept before the field was
/// known is still the same.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A prescription to check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckRequest {
    /// Empty: the node makes one.
    #[serde(skip)]
    pub request_id: String,
    /// The clinic's reference of the patient; may be empty.
    pub patient_reference: String,
    /// The prescription and what is known of the patient.
    pub order: Order,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// 0: [`PAGE_DEFAULT`].
    pub page_size: u32,
    /// From the page before; empty for the first.
    pub page_token: String,
    /// Only this patient; empty for all.
    pub patient_reference: String,
}

/// A name of ours that a caller got wrong, as an error may repeat it: one that could be in a table is;
/// anything else may be a patient's words, and is only described.
pub(super) fn repeated(name: &str) -> String {
    if is_table_name(name) {
        return format!("`{name}`");
    }
    "a name that is not of lower-case letters, digits, `_` and `.`".to_owned()
}

/// Whether a name is written as ids in tables are.
pub(super) fn is_table_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b);
    !name.is_empty() && name.len() <= ID_CHARS_MAX && name.bytes().all(fits)
}

/// Collects problems, so that a caller reads all of them at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<FieldProblem>);

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, field: impl Into<String>, allowed: impl Into<String>) {
        self.0.push(FieldProblem::new(field, allowed));
    }

    /// Notes a problem unless `fine`.
    pub fn unless(&mut self, fine: bool, field: &str, allowed: &str) {
        if !fine {
            self.add(field, allowed);
        }
    }

    /// An id: letters, digits, `.`, `_`, `:`, `-`, at most [`ID_CHARS_MAX`]; may be empty.
    pub fn id(&mut self, field: &str, value: &str) {
        let fine = value.len() <= ID_CHARS_MAX
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b));
        self.unless(
            fine,
            field,
            "must have at most 64 characters of letters, digits, `.`, `_`, `:` and `-`",
        );
    }

    /// At most `max` characters.
    pub fn chars(&mut self, field: &str, value: &str, max: usize) {
        if value.len() > max && value.chars().count() > max {
            self.add(field, format!("must have at most {max} characters"));
        }
    }

    /// Text of one line that shows as it is written, as names in the audit trail must.
    pub fn printable(&mut self, field: &str, value: &str) {
        self.unless(text::is_printable(value), field, PRINTABLE);
    }

    /// What somebody writes in a box of several lines, as a reason: breaks of lines are fine, and spelled
    /// out where the trail is shown.
    pub fn written(&mut self, field: &str, value: &str) {
        let fine = value.split(['\n', '\r', '\t']).all(text::is_printable);
        self.unless(fine, field, WRITTEN);
    }

    /// The patient's own fields.
    pub fn patient(&mut self, patient: &Patient) {
        if let Some(age) = patient.age_years {
            self.unless(
                (0.0..=AGE_YEARS_MAX).contains(&age),
                "patient.age_years",
                "must be from 0 to 130",
            );
        }
        if let Some(weight) = patient.weight_kg {
            self.unless(
                (0.3..=400.0).contains(&weight),
                "patient.weight_kg",
                "must be from 0.3 to 400",
            );
        }
        if let Pregnancy::Yes { weeks } = patient.pregnancy {
            self.unless(
                weeks.is_none_or(|w| w <= 45),
                "patient.pregnancy_weeks",
                "must be from 0 to 45",
            );
            self.unless(
                patient.sex != Some(Sex::Male),
                "patient.pregnancy",
                "must not be PREGNANT for a male patient",
            );
        }
    }

    /// Measured signs.
    pub fn vitals(&mut self, vitals: &Vitals) {
        for problem in vitals.problems() {
            self.add(
                format!("vitals.{}", problem.field),
                format!("must be from {} to {}", problem.min, problem.max),
            );
        }
    }

    /// `Ok` when there is none.
    pub fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

impl DiagnoseRequest {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        problems.id("request_id", &self.request_id);
        problems.id("patient.reference", &self.patient_reference);
        problems.patient(&self.patient);
        problems.chars("text", &self.text, TEXT_CHARS_MAX);
        problems.vitals(&self.vitals);
        problems.unless(
            self.findings.len() <= FINDINGS_MAX,
            "findings",
            "must have at most 200 entries",
        );
        for (i, (name, _)) in self.findings.iter().enumerate().take(FINDINGS_MAX) {
            let field = format!("findings[{i}].finding");
            problems.unless(!name.trim().is_empty(), &field, "must not be empty");
            problems.chars(&field, name, NAME_CHARS_MAX);
        }
        problems.unless(
            self.condition_count_max <= CONDITIONS_MAX,
            "condition_count_max",
            "must be from 0 to 50",
        );
        problems.unless(self.month <= 12, "month", "must be from 1 to 12, or 0 for none");
        let said = !self.text.trim().is_empty()
            || !self.findings.is_empty()
            || self.vitals != Vitals::default();
        problems.unless(said, "text", "must not be empty when there are no findings and no vitals");
        problems.finish()
    }
}

impl CheckRequest {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        problems.id("request_id", &self.request_id);
        problems.id("patient.reference", &self.patient_reference);
        for problem in self.order.problems() {
            problems.add(problem.field, format!("must be {}", problem.allowed));
        }
        problems.finish()
    }
}

impl PageRequest {
    /// The page size and the position to go on from. `seal` tells lists apart, so that a token of
    /// one list is refused by another.
    pub fn open(&self, seal: &str) -> Result<(u32, Option<i64>), Error> {
        let mut problems = Problems::default();
        problems.unless(self.page_size <= PAGE_MAX, "page_size", "must be from 0 to 200");
        problems.id("patient_reference", &self.patient_reference);
        let mut before = None;
        if !self.page_token.is_empty() {
            before = self
                .page_token
                .strip_prefix(seal)
                .and_then(|rest| rest.strip_prefix('-'))
                .and_then(|rest| rest.parse::<i64>().ok())
                .filter(|seq| *seq > 0);
            problems.unless(
                before.is_some(),
                "page_token",
                "must be the next_page_token of this list",
            );
        }
        problems.finish()?;
        Ok((if self.page_size == 0 { PAGE_DEFAULT } else { self.page_size }, before))
    }
}

/// Most free-text orders of one prescription.
pub const ORDER_TEXTS_MAX: usize = 50;

/// Lines of free-text orders, with ids `t1`, `t2` …
pub fn read_texts(problems: &mut Problems, texts: &[String]) -> Vec<Line> {
    problems.unless(texts.len() <= ORDER_TEXTS_MAX, "order_texts", "must have at most 50 entries");
    let mut lines: Vec<Line> = Vec::new();
    for (at, text) in texts.iter().enumerate().take(ORDER_TEXTS_MAX) {
        let field = format!("order_texts[{at}]");
        problems.chars(&field, text, prescription::TEXT_CHARS_MAX);
        let read = read_orders(text, "t");
        problems.unless(!read.is_empty(), &field, "must name a medicine");
        // Orders of different texts are not one bag.
        let group =
            |group: String| if group.is_empty() { group } else { format!("{}.{group}", at + 1) };
        lines
            .extend(read.into_iter().map(|line| Line { group: group(line.group.clone()), ..line }));
    }
    for (line, number) in lines.iter_mut().zip(1_usize..) {
        line.id = format!("t{number}");
    }
    lines
}

/// A search: 1 to 100 characters, at most 100 hits.
pub fn validate_search(query: &str, count_max: u32) -> Result<u32, Error> {
    let mut problems = Problems::default();
    problems.unless(!query.trim().is_empty(), "query", "must not be empty");
    problems.chars("query", query, NAME_CHARS_MAX);
    problems.unless(count_max <= HITS_MAX, "count_max", "must be from 0 to 100");
    problems.finish()?;
    Ok(if count_max == 0 { HITS_DEFAULT } else { count_max })
}

/// SHA-256 over the content of a request, its id left out.
pub fn content_sha256(request_json: &str) -> [u8; 32] {
    Sha256::digest(request_json.as_bytes()).into()
}
