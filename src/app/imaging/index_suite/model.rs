//! What an index must answer, worked out from the entries one by one with the pure matching.

use std::collections::BTreeSet;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::app::imaging::ports::IndexEntry;
use crate::sharing::imaging::query::{Condition, Level, Matching, Query};
use crate::sharing::imaging::{matching, name};

/// What an answer is recognised by: the UID, or who the patient is.
pub(super) fn key(level: Level, entry: &IndexEntry) -> String {
    let patient = &entry.header.patient;
    let uids = &entry.head.uids;
    match level {
        Level::Patient => {
            format!("{}|{}|{}", patient.id, name::look(&patient.name), patient.birth_date)
        }
        Level::Study => uids.study.clone(),
        Level::Series => uids.series.clone(),
        Level::Image => uids.instance.clone(),
    }
}

/// The keys of the answers of `query`, and the newest moment of a study that fits it.
pub(super) fn answers(entries: &[IndexEntry], query: &Query) -> BTreeSet<String> {
    entries
        .iter()
        .filter(|entry| query.conditions.iter().all(|c| holds(entries, entry, c, query)))
        .map(|entry| key(query.level, entry))
        .collect()
}

fn holds(entries: &[IndexEntry], entry: &IndexEntry, condition: &Condition, query: &Query) -> bool {
    let tag = condition.tag;
    if query.combined_date_time
        && let Some(moment) = moment(entry, tag, query)
    {
        return moment;
    }
    let kind = matching::attribute(tag).unwrap().kind;
    let of_study = |value: fn(&IndexEntry) -> &str| {
        let values: BTreeSet<_> = entries
            .iter()
            .filter(|other| other.head.uids.study == entry.head.uids.study)
            .map(value)
            .filter(|value| !value.is_empty())
            .collect();
        values.into_iter().collect::<Vec<_>>().join("\\")
    };
    let value = match tag {
        tags::MODALITIES_IN_STUDY => of_study(|other| &other.header.series.modality),
        tags::SOP_CLASSES_IN_STUDY => of_study(|other| &other.head.sop_class),
        tag => matching::value(&entry.header, tag).into_owned(),
    };
    matching::matches(&condition.matching, kind, &value)
}

/// Whether the moment that a date and its time make holds; none if they make none.
fn moment(entry: &IndexEntry, tag: Tag, query: &Query) -> Option<bool> {
    let range = |wanted: Tag| {
        query.conditions.iter().find(|c| c.tag == wanted).and_then(|c| match &c.matching {
            Matching::Range { from, to } => Some((from.as_str(), to.as_str())),
            Matching::Single(_)
            | Matching::AnyOf(_)
            | Matching::Wildcard(_)
            | Matching::Fuzzy(_) => None,
        })
    };
    let pairs = [tags::STUDY_DATE, tags::SERIES_DATE, tags::CONTENT_DATE];
    let date =
        pairs.into_iter().find(|&date| date == tag || matching::time_of(date) == Some(tag))?;
    let time = matching::time_of(date)?;
    let (dates, times) = (range(date)?, range(time)?);
    Some(matching::moment_matches(
        (dates.0, times.0),
        (dates.1, times.1),
        &matching::value(&entry.header, date),
        &matching::value(&entry.header, time),
    ))
}
