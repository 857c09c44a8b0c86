//! What every index of studies must do, whatever it is built on: one list of tests that runs
//! against [`StudyIndex`], each on an empty index.

mod basics;
mod model;
mod questions;
mod random;

use crate::app::imaging::ports::{IndexEntry, StudyIndex};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::header::{Header, Instance, Patient, Series, Study};
use crate::sharing::imaging::object::{Digest, InstanceUids, Location, ObjectHead};
use crate::sharing::imaging::query::{Condition, Level, Match, Matching, Query};
use dicom_core::Tag;

/// One test.
pub(crate) type Test = for<'a> fn(&'a dyn StudyIndex) -> BoxFuture<'a, ()>;

/// Makes the list of tests.
macro_rules! tests {
    ($($module:ident :: $test:ident),* $(,)?) => {
        &[$((stringify!($test), |index| Box::pin($module::$test(index)))),*]
    };
}

/// All tests, by name.
pub(crate) const TESTS: &[(&str, Test)] = tests![
    basics::an_empty_index_answers_everything_with_nothing,
    basics::what_was_added_is_known_found_and_counted,
    basics::adding_again_changes_nothing,
    basics::reached_is_the_last_location_even_of_what_was_there,
    basics::empty_attributes_are_filled_and_others_stay,
    basics::a_name_that_comes_late_gives_the_study_its_patient,
    basics::one_patient_id_with_two_names_is_two_patients,
    basics::an_object_kept_apart_answers_no_question,
    basics::a_second_object_is_kept_apart_even_if_nobody_said_so,
    basics::removing_the_last_instance_removes_all_above_it,
    basics::removing_one_of_several_leaves_true_counts,
    basics::what_was_removed_can_come_again,
    basics::changes_are_numbered_and_stay_after_removal,
    basics::clearing_forgets_everything_but_the_numbers,
    basics::instances_come_in_the_order_of_series_and_instance_numbers,
    basics::nothing_asked_for_selects_nothing,
    basics::one_instance_uid_in_two_additions_of_one_batch_is_kept_apart,
    basics::odd_uids_and_texts_come_back_as_they_were,
    questions::chinese_names_are_found_by_every_part,
    questions::a_fuzzy_question_finds_pinyin_and_initials,
    questions::studies_come_newest_first_and_in_pages,
    questions::modalities_and_sop_classes_of_a_study_are_conditions,
    questions::one_series_must_fit_all_conditions_on_series,
    questions::patients_come_once_with_counts_of_all_their_studies,
    questions::a_range_over_midnight_is_one_moment_when_combined,
    questions::what_is_not_kept_or_too_much_is_refused,
    questions::hostile_questions_find_nothing_and_break_nothing,
    random::answers_are_those_of_the_model,
    random::counts_survive_random_removals,
];

/// An entry to begin with: `study`, `series` and `instance` are numbers that make the UIDs.
pub(crate) fn entry(study: u32, series: u32, instance: u32) -> IndexEntry {
    let uids = InstanceUids {
        study: format!("1.2.{study}"),
        series: format!("1.2.{study}.{series}"),
        instance: format!("1.2.{study}.{series}.{instance}"),
    };
    let number = u64::from(study) * 1_000_000 + u64::from(series) * 1000 + u64::from(instance);
    let header = Header {
        patient: Patient {
            id: format!("P{study}"),
            name: "Zhang^San=张^三".to_owned(),
            birth_date: "19600101".to_owned(),
            sex: "M".to_owned(),
            ..Patient::default()
        },
        study: Study {
            uid: uids.study.clone(),
            date: "20240131".to_owned(),
            time: "103000".to_owned(),
            accession_number: format!("A{study}"),
            ..Study::default()
        },
        series: Series {
            uid: uids.series.clone(),
            modality: "CT".to_owned(),
            number: series.to_string(),
            ..Series::default()
        },
        instance: Instance {
            uid: uids.instance.clone(),
            sop_class: "1.2.840.10008.5.1.4.1.1.2".to_owned(),
            number: instance.to_string(),
            rows: 512,
            columns: 512,
            frames: 1,
            bits_allocated: 16,
            ..Instance::default()
        },
        character_set_guessed: false,
    };
    IndexEntry {
        digest: digest(number),
        head: ObjectHead {
            sop_class: header.instance.sop_class.clone(),
            uids,
            transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
            source: "MODALITY".to_owned(),
            received_ms: 1_700_000_000_000 + i64::from(instance),
            meta: Vec::new(),
        },
        location: Location {
            segment: u64::from(study),
            offset: number * 1000,
            body: number * 1000 + 300,
            length: 500,
        },
        header,
        apart: false,
    }
}

/// A digest that no other number has.
pub(crate) fn digest(number: u64) -> Digest {
    let mut bytes = [0xA5; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    Digest(bytes)
}

fn condition(tag: Tag, matching: Matching) -> Condition {
    Condition { tag, matching }
}

fn single(tag: Tag, value: &str) -> Condition {
    condition(tag, Matching::Single(value.to_owned()))
}

fn query(level: Level, conditions: Vec<Condition>) -> Query {
    Query { level, conditions, combined_date_time: false, offset: 0, limit: 1000 }
}

async fn find(index: &dyn StudyIndex, level: Level, conditions: Vec<Condition>) -> Vec<Match> {
    index.find(query(level, conditions)).await.unwrap()
}

fn study_uids(answers: &[Match]) -> Vec<&str> {
    answers.iter().map(|answer| answer.header.study.uid.as_str()).collect()
}
