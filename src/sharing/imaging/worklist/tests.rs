//! What a modality asks and is answered.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::{Item, Question, State};
use crate::sharing::imaging::charset::Encoding;
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::structure::{Guard, Limits, Syntax, Wanted};
use crate::sharing::imaging::value::Values;
use crate::sharing::imaging::writing::write;

fn item() -> Item {
    let mut item = Item {
        step_id: "S1".to_owned(),
        patient_name: "Zhang^San=张^三".to_owned(),
        patient_id: "P1".to_owned(),
        patient_birth_date: "1970-02-03".to_owned(),
        patient_sex: "m".to_owned(),
        accession_number: "A1".to_owned(),
        study_instance_uid: "1.2.3".to_owned(),
        requested_procedure_id: "R1".to_owned(),
        requested_procedure_description: "头颅平扫".to_owned(),
        procedure_code_value: "CT001".to_owned(),
        procedure_code_scheme: "99LOCAL".to_owned(),
        procedure_code_meaning: "头颅平扫".to_owned(),
        modality: "ct".to_owned(),
        station_ae_title: "CT01\\CT02".to_owned(),
        start_date: "20260105".to_owned(),
        start_time: "10:30".to_owned(),
        performing_physician: "李^四".to_owned(),
        step_description: "头颅".to_owned(),
        ..Item::default()
    };
    assert_eq!(item.settle(), []);
    item
}

fn text(tag: dicom_core::Tag, vr: VR, value: &str) -> Element {
    Element { tag, vr, value: Value::Bytes(value.as_bytes().to_vec()) }
}

fn asks(top: &[Element], step: &[Element]) -> Question {
    let mut set =
        ElementSet::default().with_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    for element in top {
        set.insert(element.clone());
    }
    let mut inside = ElementSet::default();
    for element in step {
        inside.insert(element.clone());
    }
    Question::read(&set.with_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![inside])).unwrap()
}

fn found(top: &[Element], step: &[Element]) -> bool {
    asks(top, step).matches(&item(), State::Scheduled)
}

#[test]
fn an_item_comes_into_one_form_and_what_cannot_be_is_named() {
    let good = item();
    assert_eq!((&*good.modality, &*good.patient_sex), ("CT", "M"));
    assert_eq!((&*good.start_time, &*good.patient_birth_date), ("103000", "19700203"));
    let mut bad = Item {
        patient_sex: "男".to_owned(),
        accession_number: "x".repeat(17),
        study_instance_uid: "1.2.a".to_owned(),
        patient_name: "a=b=c=d".to_owned(),
        station_name: "a\nb".to_owned(),
        ..Item::default()
    };
    let fields: Vec<&str> = bad.settle().into_iter().map(|u| u.field).collect();
    for field in [
        "step_id",
        "modality",
        "start_date",
        "start_time",
        "patient_sex",
        "accession_number",
        "study_instance_uid",
        "patient_name",
        "station_name",
    ] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
}

#[test]
fn each_key_selects() {
    let name = |v: &str| text(tags::PATIENT_NAME, VR::PN, v);
    for value in ["Zhang^San", "zhang^san", "张三", "*三*", "张*", ""] {
        assert!(found(&[name(value)], &[]), "{value}");
    }
    assert!(!found(&[name("王五")], &[]));
    for (tag, vr, yes, no) in [
        (tags::PATIENT_ID, VR::LO, "P1", "P2"),
        (tags::ACCESSION_NUMBER, VR::SH, "A1", "A2"),
        (tags::REQUESTED_PROCEDURE_ID, VR::SH, "R1", "R2"),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3", "1.2.4"),
    ] {
        assert!(found(&[text(tag, vr, yes)], &[]) && !found(&[text(tag, vr, no)], &[]), "{tag}");
    }
    for (tag, vr, yes, no) in [
        (tags::MODALITY, VR::CS, "CT", "MR"),
        (tags::SCHEDULED_STATION_AE_TITLE, VR::AE, "CT02", "CT0"),
        (tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME, VR::PN, "李四", "王五"),
        (tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, "20260105", "20260106"),
        (tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, "20260101-20260105", "20260106-"),
        (tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, "1030", "1031"),
        (tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, "10-11", "1031-12"),
        (tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS, "SCHEDULED", "STARTED"),
    ] {
        assert!(
            found(&[], &[text(tag, vr, yes)]) && !found(&[], &[text(tag, vr, no)]),
            "{tag} {yes}"
        );
    }
}

#[test]
fn ranges_of_date_and_time_are_one_range_of_moments() {
    let of = |date: &str, time: &str| {
        found(
            &[],
            &[
                text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, date),
                text(tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, time),
            ],
        )
    };
    // The planned moment is 5 January, 10:30.
    assert!(of("20260104-20260106", "1800-0600"), "from the 4th, 18:00, to the 6th, 06:00");
    assert!(!of("20260105-20260106", "1100-0600"));
    assert!(of("20260105-20260105", "1000-1100"));
    assert!(!of("20260105", "1100-1200"), "one day and a range of times");
    let question =
        asks(&[], &[text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, "20260104-20260106")]);
    assert_eq!(question.days(), ("20260104".to_owned(), "20260106".to_owned()));
}

#[test]
fn what_cannot_be_a_key_is_refused_and_what_is_not_matched_is_said() {
    let set = ElementSet::default().with_items(
        tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE,
        vec![ElementSet::default().with_text(
            tags::SCHEDULED_PROCEDURE_STEP_START_DATE,
            VR::DA,
            "today",
        )],
    );
    let problem = Question::read(&set).unwrap_err();
    assert_eq!(problem.tag(), tags::SCHEDULED_PROCEDURE_STEP_START_DATE);
    let question = asks(&[text(tags::PATIENT_COMMENTS, VR::LT, "x")], &[]);
    assert_eq!(question.ignored, [tags::PATIENT_COMMENTS]);
}

#[test]
fn an_answer_has_what_was_asked_for_in_the_character_set_of_the_peer() {
    let empty = |tag, vr| text(tag, vr, "");
    let step = [
        empty(tags::MODALITY, VR::CS),
        empty(tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME, VR::PN),
        empty(tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS),
    ];
    let mut top = vec![
        empty(tags::PATIENT_NAME, VR::PN),
        empty(tags::PATIENT_COMMENTS, VR::LT),
        empty(tags::PATIENT_BIRTH_DATE, VR::DA),
    ];
    for tag in [tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, tags::REFERENCED_STUDY_SEQUENCE] {
        top.push(Element { tag, vr: VR::SQ, value: Value::Items(vec![ElementSet::default()]) });
    }
    let question = asks(&top, &step);
    for encoding in [Encoding::Gb18030, Encoding::Utf8, Encoding::Gbk, Encoding::Iso2022Gb2312] {
        let answer = question.answer(&item(), State::InProgress, encoding);
        for explicit in [true, false] {
            let bytes = write(&answer, explicit);
            let uid = if explicit { "1.2.840.10008.1.2.1" } else { "1.2.840.10008.1.2" };
            let mut guard = Guard::new(Syntax::of(uid).unwrap(), Wanted::All, Limits::default());
            guard.push(&bytes).unwrap();
            let read = guard.finish().unwrap().captured;
            let values = Values::of(&read);
            assert_eq!(values.text(tags::SPECIFIC_CHARACTER_SET), encoding.term());
            assert_eq!(values.text(tags::PATIENT_NAME), "Zhang^San=张^三");
            assert_eq!(values.text(tags::PATIENT_BIRTH_DATE), "19700203");
            assert!(read.get(tags::PATIENT_COMMENTS).is_some());
            assert!(read.get(tags::PATIENT_ID).is_none(), "was not asked for");
            let step = values.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).next().unwrap();
            assert_eq!(step.text(tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME), "李^四");
            assert_eq!(step.text(tags::SCHEDULED_PROCEDURE_STEP_STATUS), "STARTED");
            let code = values.items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE).next().unwrap();
            assert_eq!(code.text(tags::CODE_MEANING), "头颅平扫");
            assert!(read.items(tags::REFERENCED_STUDY_SEQUENCE).is_empty());
        }
    }
    let latin = question.answer(&item(), State::Scheduled, Encoding::Latin1);
    assert_eq!(Values::of(&latin).text(tags::SPECIFIC_CHARACTER_SET), "ISO_IR 192");
}

#[test]
fn an_empty_sequence_asks_for_the_whole_step() {
    let set = ElementSet::default().with_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, Vec::new());
    let question = Question::read(&set).unwrap();
    assert!(question.matches(&item(), State::Scheduled));
    let answer = question.answer(&item(), State::Scheduled, Encoding::Utf8);
    let values = Values::of(&answer);
    let step = values.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).next().unwrap();
    assert_eq!(step.text(tags::SCHEDULED_PROCEDURE_STEP_ID), "S1");
    assert_eq!(step.text(tags::SCHEDULED_PROCEDURE_STEP_START_TIME), "103000");
}
