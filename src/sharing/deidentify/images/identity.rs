//! Whose a data set is, and what in it names somebody.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::dummy;
use super::tree::{self, Held, Set};
use crate::sharing::deidentify::rules::Choice;
use crate::sharing::deidentify::scrub::Known;
use crate::sharing::deidentify::{Choices, Key};
use crate::sharing::imaging::charset::{CharacterSets, Kind};
use crate::sharing::patient::identifier::ResidentId;

/// Attributes whose whole value identifies somebody or some place.
const NUMBERS: [Tag; 19] = [
    tags::ACCESSION_NUMBER,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    Tag(0x0010, 0x1000),
    tags::PATIENT_ADDRESS,
    tags::PATIENT_TELEPHONE_NUMBERS,
    Tag(0x0010, 0x1090),
    tags::ADMISSION_ID,
    tags::SERVICE_EPISODE_ID,
    tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST,
    tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST,
    tags::REFERRING_PHYSICIAN_TELEPHONE_NUMBERS,
    tags::REFERRING_PHYSICIAN_ADDRESS,
    tags::PERSON_ADDRESS,
    tags::PERSON_TELEPHONE_NUMBERS,
    tags::CLINICAL_TRIAL_SUBJECT_ID,
    tags::CLINICAL_TRIAL_SUBJECT_READING_ID,
    tags::REQUESTED_PROCEDURE_ID,
    tags::SCHEDULED_PROCEDURE_STEP_ID,
];
/// The same, unless the institution may be known.
const INSTITUTION: [Tag; 3] =
    [tags::INSTITUTION_NAME, tags::INSTITUTION_ADDRESS, tags::INSTITUTIONAL_DEPARTMENT_NAME];
/// The same, unless the device may be known.
const DEVICE: [Tag; 2] = [tags::STATION_NAME, tags::DEVICE_SERIAL_NUMBER];
/// Characters of an institution's or device's name at least that are looked for.
const WHOLE_CHARS_MIN: usize = 5;

/// Text of a data set, by its character set.
pub(super) fn sets(set: &Set<'_>) -> CharacterSets {
    let mut texts: Vec<&[u8]> = Vec::new();
    collect(set, &mut texts);
    let declared = tree::value(set, tags::SPECIFIC_CHARACTER_SET);
    CharacterSets::of_text(declared, texts.into_iter())
}

/// Whether values of `vr` are text in the character set of the data set (PS3.5, 6.1.2.2).
pub(super) fn is_text(vr: VR) -> bool {
    matches!(vr, VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT)
}

pub(super) fn kind(vr: VR) -> Kind {
    if vr == VR::PN {
        Kind::Names
    } else if matches!(vr, VR::LT | VR::ST | VR::UT) {
        Kind::Block
    } else {
        Kind::Values
    }
}

fn collect<'s>(set: &'s Set<'_>, texts: &mut Vec<&'s [u8]>) {
    for node in set {
        match &node.value {
            Held::Bytes(_, bytes) if is_text(node.vr) => texts.push(bytes),
            Held::Items(items) => {
                for item in items {
                    collect(item, texts);
                }
            }
            Held::Bytes(..) | Held::Fragments(_) => {}
        }
    }
}

/// A value as text without padding.
pub(super) fn text(sets: &CharacterSets, vr: VR, bytes: &[u8]) -> String {
    sets.decode(bytes, kind(vr)).trim_matches(['\0', ' ']).to_owned()
}

/// Names and numbers anywhere in a data set that is declared to hold them.
pub(super) fn known(set: &Set<'_>, sets: &CharacterSets, choices: &Choices, key: &Key) -> Known {
    let mut known = Known::default();
    gather(set, sets, choices, &mut known);
    known.forget(|text| key.is_pseudonym(text) || text.eq_ignore_ascii_case(dummy::TEXT));
    known
}

fn gather(set: &Set<'_>, outer: &CharacterSets, choices: &Choices, known: &mut Known) {
    let own = tree::value(set, tags::SPECIFIC_CHARACTER_SET).map(|_| sets(set));
    let sets = own.as_ref().unwrap_or(outer);
    for node in set {
        match &node.value {
            Held::Items(items) => {
                for item in items {
                    gather(item, sets, choices, known);
                }
            }
            Held::Bytes(_, bytes) => {
                let vr = tree::known(node.tag).map_or(node.vr, |(_, vr)| vr);
                if vr == VR::PN || node.vr == VR::PN {
                    known.name(&text(sets, VR::PN, bytes));
                } else if NUMBERS.contains(&node.tag) {
                    text(sets, vr, bytes).split('\\').for_each(|value| known.number(value));
                } else if INSTITUTION.contains(&node.tag) && !choices.has(Choice::Institution)
                    || DEVICE.contains(&node.tag) && !choices.has(Choice::Device)
                {
                    let value = text(sets, vr, bytes);
                    if value.len() >= WHOLE_CHARS_MIN {
                        known.number(&value);
                    }
                }
            }
            Held::Fragments(_) => {}
        }
    }
}

/// The pseudonym of who has this number.
pub(in super::super) fn pseudonym(key: &Key, number: &str) -> String {
    // A resident ID is the same person wherever it stands, however it is written.
    match ResidentId::parse(number) {
        Ok(id) => key.pseudonym("resident", id.number()),
        Err(_) => key.pseudonym("patient", number),
    }
}

/// The pseudonym of the patient of a data set: of the patient's number, else of name and birth
/// date, else of the study.
pub(super) fn patient(set: &Set<'_>, sets: &CharacterSets, key: &Key) -> String {
    let of = |tag, vr| text(sets, vr, tree::value(set, tag).unwrap_or_default());
    let id = of(tags::PATIENT_ID, VR::LO);
    if !id.is_empty() {
        return pseudonym(key, &id);
    }
    let name = of(tags::PATIENT_NAME, VR::PN);
    if !name.is_empty() {
        let birth = of(tags::PATIENT_BIRTH_DATE, VR::DA);
        return key.pseudonym("name", &format!("{name}\u{1F}{birth}"));
    }
    key.pseudonym("study", &tree::ascii(set, tags::STUDY_INSTANCE_UID))
}
