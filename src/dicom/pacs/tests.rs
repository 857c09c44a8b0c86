//! What is proposed, asked and read, without a socket.

use std::collections::BTreeSet;

use bytes::Bytes;
use dicom_core::VR;
use dicom_dictionary_std::{tags, uids as standard};
use proptest::prelude::*;

use super::bring::{Moved, Moves, proposals};
use super::{Question, identifier, read};
use crate::dicom::dial::CONTEXTS_MAX;
use crate::dicom::uids;
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::writing::write;

fn series_of(study: &str) -> Question {
    Question::Series { study: study.to_owned() }
}

fn studies() -> Question {
    Question::Studies { day: "20261129".to_owned() }
}

fn answer(set: &ElementSet) -> Bytes {
    Bytes::from(write(set, true))
}

#[test]
fn each_class_is_proposed_with_as_many_contexts_as_there_is_room_for() {
    let one = vec![standard::CT_IMAGE_STORAGE.to_owned()];
    let alone = proposals(&one);
    // C-GET itself, and every syntax in its own context.
    assert_eq!(alone.first().unwrap().abstract_syntax, uids::STUDY_GET);
    assert!(!alone.first().unwrap().as_provider);
    assert!(alone.iter().skip(1).all(|p| p.as_provider && p.transfer_syntaxes.len() == 1));
    for count in [1, 7, 8, 26, 63, 64, 200] {
        let classes: Vec<String> = (0..count).map(|n| format!("1.2.3.{n}")).collect();
        let proposed = proposals(&classes);
        assert!(proposed.len() <= CONTEXTS_MAX, "{count}: {}", proposed.len());
        let syntaxes = |class: &String| {
            let of = proposed.iter().filter(|p| p.abstract_syntax == *class);
            of.flat_map(|p| p.transfer_syntaxes.clone()).collect::<BTreeSet<_>>()
        };
        let all = syntaxes(&classes[0]);
        assert!(all.contains(uids::EXPLICIT_LE) && all.len() > 10, "{all:?}");
        let given = classes.iter().take(63);
        assert!(given.into_iter().all(|class| syntaxes(class) == all), "{count}");
    }
    assert_eq!(proposals(&[]).len(), 1);
}

#[test]
fn a_question_names_its_level_and_asks_for_every_key_empty() {
    let set = identifier(&studies());
    assert_eq!(set.bytes(tags::QUERY_RETRIEVE_LEVEL), Some(&b"STUDY"[..]));
    assert_eq!(set.bytes(tags::STUDY_DATE), Some(&b"20261129"[..]));
    assert_eq!(set.bytes(tags::PATIENT_NAME), Some(&b""[..]));
    let series = "1.2.3.4".to_owned();
    let set = identifier(&Question::Instances { study: "1.2.3".to_owned(), series });
    assert_eq!(set.bytes(tags::QUERY_RETRIEVE_LEVEL), Some(&b"IMAGE"[..]));
    assert_eq!(set.bytes(tags::SERIES_INSTANCE_UID), Some(&b"1.2.3.4"[..]));
    assert!(set.items(tags::CONCEPT_NAME_CODE_SEQUENCE).is_empty());
}

#[test]
fn an_answer_is_read_with_its_counts_in_its_character_set() {
    let name = encoding_rs::GB18030.encode("王^小东").0.into_owned();
    let mut set = ElementSet::default()
        .with_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "GB18030")
        .with_text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3")
        .with_text(tags::STUDY_DATE, VR::DA, "20261129")
        .with_text(tags::MODALITIES_IN_STUDY, VR::CS, "SR\\CT\\CT")
        .with_text(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, VR::IS, "301 ");
    let value = crate::sharing::imaging::element::Value::Bytes(name);
    set.insert(crate::sharing::imaging::element::Element {
        tag: tags::PATIENT_NAME,
        vr: VR::PN,
        value,
    });
    let found = read(uids::EXPLICIT_LE, &answer(&set), &studies()).unwrap();
    assert_eq!(found.header.patient.name, "王^小东");
    assert_eq!((found.instances, found.modalities), (301, vec!["CT".to_owned(), "SR".to_owned()]));
    // Below, the PACS need not repeat what was asked.
    let set = ElementSet::default().with_text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.4");
    let found = read(uids::EXPLICIT_LE, &answer(&set), &series_of("1.2.3")).unwrap();
    assert_eq!(found.header.study.uid, "1.2.3");
    assert_eq!((found.header.series.uid.as_str(), found.instances), ("1.2.3.4", 0));
}

#[test]
fn an_answer_that_names_nothing_or_is_no_data_set_is_none() {
    let with = |uid: &str| ElementSet::default().with_text(tags::STUDY_INSTANCE_UID, VR::UI, uid);
    let long = "1".repeat(65);
    for uid in ["", "../../etc", "1.2*", "1.2 x", &long] {
        assert_eq!(read(uids::EXPLICIT_LE, &answer(&with(uid)), &studies()), None, "{uid}");
    }
    let whole = answer(&with("1.2.3"));
    assert!(read(uids::EXPLICIT_LE, &whole, &studies()).is_some());
    assert_eq!(read(uids::EXPLICIT_LE, &whole.slice(..9), &studies()), None);
    assert_eq!(read("1.2.840.10008.1.1", &whole, &studies()), None);
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_of_a_move_that_was_given_up_is_known_for_a_while() {
    let moves = Moves::default();
    let subject = |study: &str| Moved { from: "dicom:A".to_owned(), study: study.to_owned() };
    let first = moves.begin(subject("1.1")).unwrap();
    let second = moves.begin(subject("1.2")).unwrap();
    assert_eq!((first.id, second.id), (1, 2));
    assert_eq!(moves.of(1), Some(subject("1.1")));
    assert_eq!(moves.of(9), None);
    drop(first);
    assert_eq!(moves.of(1), Some(subject("1.1")), "the PACS may send on");
    tokio::time::advance(std::time::Duration::from_hours(1)).await;
    let third = moves.begin(subject("1.3")).unwrap();
    assert_eq!(third.id, 3);
    assert_eq!(moves.of(1), None);
    assert_eq!(moves.of(2), Some(subject("1.2")), "it still runs");
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for syntax in [uids::EXPLICIT_LE, uids::IMPLICIT_LE] {
            let _ = read(syntax, &Bytes::from(bytes.clone()), &studies());
            let _ = read(syntax, &Bytes::from(bytes.clone()), &series_of("1.2"));
        }
    }
}
