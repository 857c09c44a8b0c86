//! Modality performed procedure steps (PS3.4, F.7): what a modality says it does, from the beginning
//! to the end, after which nothing changes any more.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::charset::{Encoding, Kind};
use super::element::{Element, ElementSet, Value};
use super::value::{Values, is_text, kind};

/// Levels of sequences that are kept.
const DEPTH_MAX: usize = 16;
/// Steps of the worklist that one performed step refers to at most.
const REFERENCES_MAX: usize = 256;

/// How a performed step stands (0040,0252).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// `IN PROGRESS`.
    InProgress,
    /// `COMPLETED`.
    Completed,
    /// `DISCONTINUED`.
    Discontinued,
}

/// A performed procedure step.
#[derive(Debug, Clone, PartialEq)]
pub struct Performed {
    /// SOP instance UID.
    pub instance: String,
    /// How it stands.
    pub progress: Progress,
    /// All its attributes, text in UTF-8.
    pub elements: ElementSet,
}

/// A planned step that a performed one carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Scheduled procedure step ID; may be empty.
    pub step_id: String,
    /// Study instance UID.
    pub study: String,
}

/// Why a performed step cannot be made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is one with that SOP instance UID.
    #[error("a performed step with this UID exists")]
    Duplicate,
    /// There is none.
    #[error("no performed step has this UID")]
    Unknown,
    /// It was completed or discontinued, and may not be changed.
    #[error("performed step may no longer be updated")]
    Final,
    /// An attribute must be there.
    #[error("attribute {0} is missing")]
    Missing(Tag),
    /// An attribute must have a value.
    #[error("attribute {0} has no value")]
    NoValue(Tag),
    /// An attribute has a value that cannot be here.
    #[error("attribute {tag} must be {must_be}")]
    Value {
        /// Which.
        tag: Tag,
        /// What it can be.
        must_be: &'static str,
    },
    /// The SOP instance UID is none.
    #[error("SOP instance UID is not one")]
    InstanceUid,
}

/// Must have a value when a step begins (type 1 of PS3.4, table F.7.2-1, N-CREATE).
const AT_FIRST: [Tag; 6] = [
    tags::PERFORMED_PROCEDURE_STEP_ID,
    tags::PERFORMED_STATION_AE_TITLE,
    tags::PERFORMED_PROCEDURE_STEP_START_DATE,
    tags::PERFORMED_PROCEDURE_STEP_START_TIME,
    tags::PERFORMED_PROCEDURE_STEP_STATUS,
    tags::MODALITY,
];

/// Must have a value when a step has ended (the same table, final state).
const AT_LAST: [Tag; 2] =
    [tags::PERFORMED_PROCEDURE_STEP_END_DATE, tags::PERFORMED_PROCEDURE_STEP_END_TIME];

/// Are said when a step begins, and stay (the same table, N-SET not allowed).
const FIXED: [Tag; 14] = [
    tags::MODALITY,
    tags::REFERENCED_PATIENT_SEQUENCE,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_ID,
    tags::PERFORMED_STATION_AE_TITLE,
    tags::PERFORMED_PROCEDURE_STEP_START_DATE,
    tags::PERFORMED_PROCEDURE_STEP_START_TIME,
    tags::PERFORMED_PROCEDURE_STEP_ID,
    tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE,
    tags::SOP_INSTANCE_UID,
];

impl Progress {
    /// The value of (0040,0252).
    pub fn term(self) -> &'static str {
        match self {
            Self::InProgress => "IN PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Discontinued => "DISCONTINUED",
        }
    }

    /// From that value.
    pub fn read(term: &str) -> Option<Self> {
        [Self::InProgress, Self::Completed, Self::Discontinued]
            .into_iter()
            .find(|p| p.term() == term)
    }
}

impl Performed {
    /// A step that begins, from the data set of an N-CREATE.
    pub fn begin(instance: &str, set: &ElementSet) -> Result<Self, Fault> {
        let uid = !instance.is_empty()
            && instance.len() <= 64
            && instance.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !uid {
            return Err(Fault::InstanceUid);
        }
        let elements = in_utf8(&Values::of(set), DEPTH_MAX);
        let values = Values::of(&elements);
        for tag in AT_FIRST {
            need(&values, tag)?;
        }
        let steps = tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE;
        if elements.get(steps).is_none() {
            return Err(Fault::Missing(steps));
        }
        if elements.items(steps).is_empty() {
            return Err(Fault::NoValue(steps));
        }
        if elements.items(steps).len() > REFERENCES_MAX {
            return Err(Fault::Value { tag: steps, must_be: "256 items at most" });
        }
        for step in values.items(steps) {
            need(&step, tags::STUDY_INSTANCE_UID)?;
        }
        let tag = tags::PERFORMED_PROCEDURE_STEP_STATUS;
        if values.text(tag) != Progress::InProgress.term() {
            return Err(Fault::Value { tag, must_be: "IN PROGRESS" });
        }
        Ok(Self { instance: instance.to_owned(), progress: Progress::InProgress, elements })
    }

    /// The step after the data set of an N-SET, and the attributes in it that cannot be changed and
    /// were not.
    pub fn updated(&self, set: &ElementSet) -> Result<(Self, Vec<Tag>), Fault> {
        if self.progress != Progress::InProgress {
            return Err(Fault::Final);
        }
        let change = in_utf8(&Values::of(set), DEPTH_MAX);
        let mut passed_over = Vec::new();
        // As `change` is, so that what is said again is seen to be the same: without padding.
        let mut elements = in_utf8(&Values::of(&self.elements), DEPTH_MAX);
        for element in change.iter() {
            if element.tag == tags::SPECIFIC_CHARACTER_SET {
                continue;
            }
            if FIXED.contains(&element.tag) {
                if elements.get(element.tag) != Some(element) {
                    passed_over.push(element.tag);
                }
                continue;
            }
            elements.insert(element.clone());
        }
        let values = Values::of(&elements);
        let tag = tags::PERFORMED_PROCEDURE_STEP_STATUS;
        let progress = Progress::read(&values.text(tag))
            .ok_or(Fault::Value { tag, must_be: "IN PROGRESS, COMPLETED or DISCONTINUED" })?;
        if progress != Progress::InProgress {
            for tag in AT_LAST {
                need(&values, tag)?;
            }
        }
        let series = tags::PERFORMED_SERIES_SEQUENCE;
        if progress == Progress::Completed {
            if elements.get(series).is_none() {
                return Err(Fault::Missing(series));
            }
            if elements.items(series).is_empty() {
                return Err(Fault::NoValue(series));
            }
        }
        Ok((Self { instance: self.instance.clone(), progress, elements }, passed_over))
    }

    /// Patient ID, or empty.
    pub fn patient_id(&self) -> String {
        Values::of(&self.elements).first(tags::PATIENT_ID)
    }

    /// The planned steps that it carries out.
    pub fn references(&self) -> Vec<Reference> {
        Values::of(&self.elements)
            .items(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE)
            .map(|step| Reference {
                step_id: step.first(tags::SCHEDULED_PROCEDURE_STEP_ID),
                study: step.first(tags::STUDY_INSTANCE_UID),
            })
            .collect()
    }
}

fn need(values: &Values<'_>, tag: Tag) -> Result<(), Fault> {
    if values.elements().get(tag).is_none() {
        return Err(Fault::Missing(tag));
    }
    if values.text(tag).is_empty() { Err(Fault::NoValue(tag)) } else { Ok(()) }
}

/// The same data set with its text in UTF-8, so that what comes later in another character set can
/// be put beside it.
fn in_utf8(values: &Values<'_>, depth: usize) -> ElementSet {
    let mut set = ElementSet::default();
    for element in values.elements().iter() {
        let value = match &element.value {
            Value::Items(_) if depth == 0 => continue,
            Value::Items(_) => Value::Items(
                values.items(element.tag).map(|item| in_utf8(&item, depth - 1)).collect(),
            ),
            Value::Bytes(bytes) if is_text(element.vr) => {
                let text = match kind(element.vr) {
                    Kind::Block => values.text(element.tag),
                    Kind::Values | Kind::Names => values.texts(element.tag).join("\\"),
                };
                // UTF-8 has every character.
                let kind = kind(element.vr);
                Value::Bytes(Encoding::Utf8.encode(&text, kind).unwrap_or_else(|_| bytes.clone()))
            }
            Value::Bytes(bytes) => Value::Bytes(bytes.clone()),
        };
        set.insert(Element { tag: element.tag, vr: element.vr, value });
    }
    // An item that does not say what it is written in is written in what the data set is.
    let tag = tags::SPECIFIC_CHARACTER_SET;
    if depth == DEPTH_MAX || set.get(tag).is_some() {
        let value = Value::Bytes(Encoding::Utf8.term().as_bytes().to_vec());
        set.insert(Element { tag, vr: VR::CS, value });
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> ElementSet {
        let step = ElementSet::default()
            .with_text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3")
            .with_text(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, "S1");
        ElementSet::default()
            .with_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "GB18030")
            .with_text(tags::MODALITY, VR::CS, "CT")
            .with_text(tags::PERFORMED_PROCEDURE_STEP_ID, VR::SH, "P1")
            .with_text(tags::PERFORMED_STATION_AE_TITLE, VR::AE, "CT01")
            .with_text(tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA, "20260101")
            .with_text(tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM, "101500")
            .with_text(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, "IN PROGRESS")
            .with_items(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, vec![step])
    }

    fn without(set: &ElementSet, tag: Tag) -> ElementSet {
        let mut less = ElementSet::default();
        for element in set.iter().filter(|e| e.tag != tag) {
            less.insert(element.clone());
        }
        less
    }

    fn end(status: &str) -> ElementSet {
        ElementSet::default()
            .with_text(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, status)
            .with_text(tags::PERFORMED_PROCEDURE_STEP_END_DATE, VR::DA, "20260101")
            .with_text(tags::PERFORMED_PROCEDURE_STEP_END_TIME, VR::TM, "103000")
            .with_items(
                tags::PERFORMED_SERIES_SEQUENCE,
                vec![ElementSet::default().with_text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.4")],
            )
    }

    #[test]
    fn a_step_begins_and_ends_and_then_stays() {
        let mut set = begun();
        let value = Value::Bytes(vec![0xD5, 0xC5, 0xC8, 0xFD]);
        set.insert(Element { tag: tags::PATIENT_NAME, vr: VR::PN, value });
        let step = Performed::begin("1.2.9", &set).unwrap();
        assert_eq!(step.elements.bytes(tags::PATIENT_NAME), Some("张三".as_bytes()));
        let reference = Reference { step_id: "S1".to_owned(), study: "1.2.3".to_owned() };
        assert_eq!(step.references(), [reference]);
        let (done, passed_over) = step.updated(&end("COMPLETED")).unwrap();
        assert_eq!((done.progress, passed_over.len()), (Progress::Completed, 0));
        assert_eq!(done.updated(&end("COMPLETED")), Err(Fault::Final));
        let (stopped, _) = step.updated(&end("DISCONTINUED")).unwrap();
        assert_eq!(stopped.updated(&end("IN PROGRESS")), Err(Fault::Final));
    }

    #[test]
    fn a_step_without_what_it_must_have_is_refused_with_the_attribute() {
        for tag in AT_FIRST.into_iter().chain([tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE]) {
            let set = without(&begun(), tag);
            assert_eq!(Performed::begin("1.2.9", &set), Err(Fault::Missing(tag)));
        }
        let tag = tags::PERFORMED_PROCEDURE_STEP_ID;
        let empty = begun().with_text(tag, VR::SH, "");
        assert_eq!(Performed::begin("1.2.9", &empty), Err(Fault::NoValue(tag)));
        let study = tags::STUDY_INSTANCE_UID;
        let steps = vec![ElementSet::default()];
        let empty = begun().with_items(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, steps);
        assert_eq!(Performed::begin("1.2.9", &empty), Err(Fault::Missing(study)));
        for uid in ["", "../x", "1.2.a"] {
            assert_eq!(Performed::begin(uid, &begun()), Err(Fault::InstanceUid));
        }
        let tag = tags::PERFORMED_PROCEDURE_STEP_STATUS;
        let done = begun().with_text(tag, VR::CS, "COMPLETED");
        let must_be = "IN PROGRESS";
        assert_eq!(Performed::begin("1.2.9", &done), Err(Fault::Value { tag, must_be }));
    }

    #[test]
    fn a_step_cannot_be_completed_without_its_end_and_its_series() {
        let step = Performed::begin("1.2.9", &begun()).unwrap();
        for tag in AT_LAST.into_iter().chain([tags::PERFORMED_SERIES_SEQUENCE]) {
            let fault = step.updated(&without(&end("COMPLETED"), tag)).unwrap_err();
            assert_eq!(fault, Fault::Missing(tag));
        }
        let status = tags::PERFORMED_PROCEDURE_STEP_STATUS;
        let fault = step.updated(&end("DONE")).unwrap_err();
        assert!(matches!(fault, Fault::Value { tag, .. } if tag == status));
    }

    #[test]
    fn who_the_patient_is_cannot_be_changed_afterwards() {
        let step =
            Performed::begin("1.2.9", &begun().with_text(tags::PATIENT_ID, VR::LO, "P1")).unwrap();
        let change = end("COMPLETED").with_text(tags::PATIENT_ID, VR::LO, "P2");
        let (done, passed_over) = step.updated(&change).unwrap();
        assert_eq!(passed_over, [tags::PATIENT_ID]);
        assert_eq!(done.elements.bytes(tags::PATIENT_ID), Some(b"P1".as_slice()));
        let same = end("COMPLETED").with_text(tags::PATIENT_ID, VR::LO, "P1");
        assert!(step.updated(&same).unwrap().1.is_empty(), "saying it again is no change");
        let mut kept = step;
        kept.elements = kept.elements.with_text(tags::PATIENT_ID, VR::LO, "P12 ");
        let same = end("COMPLETED").with_text(tags::PATIENT_ID, VR::LO, "P12");
        assert!(kept.updated(&same).unwrap().1.is_empty(), "nor is padding");
    }
}
