//! A planned examination as it is asked about, checked and understood.

use jiff::civil::Date;
use serde::Serialize;

use super::WORDS_CHARS_MAX;
use crate::app::App;
use crate::app::error::Error;
use crate::app::imaging::search::{STUDIES_MAX, validate_uid};
use crate::app::knowledge::Knowledge;
use crate::app::request::{ID_CHARS_MAX, Problems};
use crate::sharing::imaging::examination::Laterality;
use crate::sharing::recognition::{GroundClaim, Institution, Mark, Planned, Report, Situation};

/// Characters of a planned examination as it is written.
const TEXT_CHARS_MAX: usize = 200;
/// Grounds of one request.
const GROUNDS_MAX: usize = 6;
/// Studies of which more is stated than their objects say.
const STATED_MAX: usize = 50;
/// Marks on one study.
const MARKS_MAX: usize = 10;
/// Digits of the code of a county (GB/T 2260).
const REGION_DIGITS: usize = 6;

/// A planned examination of a patient.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedRequest {
    /// Patient ID as in the images.
    pub patient_id: String,
    /// Patient's name; may be empty.
    pub patient_name: String,
    /// Birth date, `YYYYMMDD`; may be empty.
    pub birth_date: String,
    /// Only these studies; empty for all.
    pub studies: Vec<String>,
    /// Examination by id; may be empty.
    pub examination: String,
    /// Modality; may be empty.
    pub modality: String,
    /// As it is written; may be empty.
    pub text: String,
    /// Day, `2026-11-28`; empty for today.
    pub date: String,
    /// Who asks.
    pub asking: Institution,
    /// How the patient is.
    pub situation: Situation,
    /// Side.
    pub laterality: Option<Laterality>,
    /// Grounds for examining again.
    pub grounds: Vec<GroundClaim>,
    /// What is known beyond the objects.
    pub stated: Vec<StatedFacts>,
    /// Whether the patient's studies are looked for in the whole region. What was not said is not
    /// part of the content, so that a request kept before the field was known is still the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub whole_region: bool,
}

/// What the doctor knows of a study beyond its objects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatedFacts {
    /// Study instance UID.
    pub study: String,
    /// Institution that made it; an empty one is looked up.
    pub institution: Institution,
    /// State of its report; none: as the objects say.
    pub report: Option<Report>,
    /// Marks on it; none: those the table gives the institution.
    pub marks: Option<Vec<Mark>>,
    /// Side.
    pub laterality: Option<Laterality>,
}

/// A request that was checked and understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Day whose rules count.
    pub date: Date,
    /// Examinations that it names; empty if what was written could not be told.
    pub examinations: Vec<String>,
    /// What is stated.
    pub stated: Vec<StatedFacts>,
    asking: Institution,
    situation: Situation,
    laterality: Option<Laterality>,
    grounds: Vec<GroundClaim>,
}

impl Asked {
    /// The request for one examination.
    pub(super) fn planned(&self, examination: Option<String>) -> Planned {
        Planned {
            examination,
            asking: self.asking.clone(),
            situation: self.situation,
            laterality: self.laterality,
            grounds: self.grounds.clone(),
        }
    }
}

impl App {
    /// Checks every field and understands what is planned.
    pub(super) fn asked(
        &self,
        knowledge: &Knowledge,
        request: &PlannedRequest,
    ) -> Result<Asked, Error> {
        let mut problems = Problems::default();
        let date = self.day(&mut problems, "planned.date", &request.date);
        request.check(&mut problems);
        let mut examinations = Vec::new();
        if request.examination.is_empty() {
            let said = !request.text.trim().is_empty();
            let allowed = "must not be empty without examination_id";
            problems.unless(said, "planned.text", allowed);
            let tables = &knowledge.examinations;
            let modality = tables.modality_named(&request.modality);
            examinations = tables.derive_request(modality, &request.text).examinations;
        } else {
            let known = knowledge.examinations.examination(&request.examination).is_some();
            let allowed = "must be an id that ListRecognitionItems or SearchStudies names";
            problems.unless(known, "planned.examination_id", allowed);
            examinations.push(request.examination.clone());
        }
        problems.finish()?;
        Ok(Asked {
            date,
            examinations,
            stated: request.stated.clone(),
            asking: request.asking.clone(),
            situation: request.situation,
            laterality: request.laterality,
            grounds: request.grounds.clone(),
        })
    }
}

impl PlannedRequest {
    fn check(&self, problems: &mut Problems) {
        let said = !self.patient_id.trim().is_empty();
        problems.unless(said, "planned.patient_id", "must not be empty");
        for (field, text) in [
            ("planned.patient_id", &self.patient_id),
            ("planned.patient_name", &self.patient_name),
            ("planned.modality", &self.modality),
        ] {
            problems.chars(field, text, ID_CHARS_MAX);
        }
        let whole = |text: &String| !text.contains(['*', '?']);
        let fine = !self.whole_region || (whole(&self.patient_id) && whole(&self.patient_name));
        let allowed = "of the region needs patient_id and patient_name without wildcards";
        problems.unless(fine, "planned.scope", allowed);
        problems.chars("planned.text", &self.text, TEXT_CHARS_MAX);
        let few = self.studies.len() <= STUDIES_MAX;
        problems.unless(few, "planned.study_uids", "must have at most 200 entries");
        for uid in self.studies.iter().take(STUDIES_MAX) {
            validate_uid(problems, "planned.study_uids", uid);
        }
        check_institution(problems, "planned.asking", &self.asking);
        let few = self.grounds.len() <= GROUNDS_MAX;
        problems.unless(few, "planned.grounds", "must have at most 6 entries");
        for (at, claim) in self.grounds.iter().enumerate().take(GROUNDS_MAX) {
            let field = format!("planned.grounds[{at}].explanation");
            problems.chars(&field, &claim.explanation, WORDS_CHARS_MAX);
        }
        let few = self.stated.len() <= STATED_MAX;
        problems.unless(few, "planned.stated", "must have at most 50 entries");
        for (at, stated) in self.stated.iter().enumerate().take(STATED_MAX) {
            validate_uid(problems, &format!("planned.stated[{at}].study_uid"), &stated.study);
            let field = format!("planned.stated[{at}].institution");
            check_institution(problems, &field, &stated.institution);
            let marks = stated.marks.as_ref().map_or(0, Vec::len);
            let field = format!("planned.stated[{at}].marks");
            problems.unless(marks <= MARKS_MAX, &field, "must have at most 10 entries");
        }
    }
}

fn check_institution(problems: &mut Problems, field: &str, institution: &Institution) {
    problems.chars(&format!("{field}.institution_id"), &institution.id, ID_CHARS_MAX);
    let region = &institution.region;
    let fine = region.is_empty()
        || region.len() == REGION_DIGITS && region.bytes().all(|b| b.is_ascii_digit());
    problems.unless(fine, &format!("{field}.region"), "must have six digits or be empty");
}
