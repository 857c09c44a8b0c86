//! What is known of a patient's studies: from the index, and from what the doctor states. What
//! neither says stays unknown.

use std::collections::BTreeSet;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use jiff::civil::Date;

use super::planned::{PlannedRequest, StatedFacts};
use crate::app::App;
use crate::app::access::Action;
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::images::Images;
use crate::app::imaging::search::RegionState;
use crate::app::imaging::study::{StudyFacts, any_of};
use crate::app::knowledge::Knowledge;
use crate::app::regional::searching::Told;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::published::PatientQuestion;
use crate::sharing::imaging::query::{Condition, Level, Match, Matching, Query};
use crate::sharing::recognition::{Existing, Institution, SeriesFacts, series_quality};

/// Studies of a patient that are looked at; the newest.
const STUDIES_MAX: usize = 200;
/// Studies of a patient that are counted.
const COUNTED_MAX: u64 = 5_000;
/// Instances whose headers are read for one assessment. Of studies beyond, the newest first,
/// nothing is known of the series.
const INSTANCES_MAX: u64 = 20_000;

/// What is known.
pub(super) struct Looked {
    pub(super) existing: Vec<Existing>,
    pub(super) studies: Vec<StudyFacts>,
    pub(super) left_out: u64,
    /// What the region said; none where it was not asked.
    pub(super) region: Option<RegionState>,
}

impl App {
    /// What is known of the patient's studies.
    pub(super) async fn existing(
        &self,
        requester: &Requester,
        knowledge: &Knowledge,
        request: &PlannedRequest,
        stated: &[StatedFacts],
    ) -> Result<Looked, Error> {
        let images = self.images()?;
        let found = images.studies_of(requester, request).await?;
        one_person(request, found.iter())?;
        let mut told = Vec::with_capacity(found.len());
        let mut instances_left = INSTANCES_MAX;
        let beyond = found.len().saturating_sub(STUDIES_MAX);
        for described in self.describe(requester, knowledge, first(found)).await? {
            let facts = described.facts;
            let instances = facts.found.instances;
            let mut series = Vec::new();
            if instances <= instances_left {
                instances_left -= instances;
                let uid = &facts.found.header.study.uid;
                let quality = images.quality(requester, uid).await?;
                series = quality.into_iter().map(|(_, quality)| quality).collect();
            }
            told.push(Told { facts, series });
        }
        let mut region = None;
        if request.whole_region {
            let question = request.patient();
            let (answer, state) = self.ask_region(question.clone()).await?;
            self.merge(knowledge, &question, answer, &mut told);
            if !request.studies.is_empty() {
                told.retain(|t| request.studies.contains(&t.facts.found.header.study.uid));
            }
            let date = |told: &Told| told.facts.found.header.study.date.clone();
            told.sort_by_key(|told| std::cmp::Reverse(date(told)));
            region = Some(state);
        }
        one_person(request, told.iter().map(|t| &t.facts.found))?;
        let of = told.iter().map(|t| &t.facts.found.header.patient).collect();
        if images.imaging().near(requester, of).await?.contains(&false) {
            // To leave some out would be to say that the patient has none.
            let of = ("", request.patient_id.as_str());
            images.imaging().out_of_place(requester, of, Action::FindImages).await?;
        }
        let beyond = beyond + told.len().saturating_sub(STUDIES_MAX);
        let left_out = u64::try_from(beyond).unwrap_or(u64::MAX);
        let (mut existing, mut studies) = (Vec::new(), Vec::new());
        for Told { facts, series } in first(told) {
            let stated = stated.iter().find(|s| s.study == facts.found.header.study.uid);
            existing.push(existing_study(knowledge, &facts, series, stated));
            studies.push(facts);
        }
        Ok(Looked { existing, studies, left_out, region })
    }
}

impl Images {
    /// The patient's studies, newest first.
    async fn studies_of(
        &self,
        requester: &Requester,
        request: &PlannedRequest,
    ) -> Result<Vec<Match>, Error> {
        let mut conditions = Vec::new();
        let mut is = |tag: Tag, value: &str| {
            if !value.is_empty() {
                let matching = Matching::Single(value.to_owned());
                conditions.push(Condition { tag, matching });
            }
        };
        is(tags::PATIENT_ID, &request.patient_id);
        is(tags::PATIENT_NAME, &request.patient_name);
        is(tags::PATIENT_BIRTH_DATE, &request.birth_date);
        if !request.studies.is_empty() {
            conditions.push(any_of(tags::STUDY_INSTANCE_UID, request.studies.clone()));
        }
        let query = Query {
            level: Level::Study,
            conditions,
            combined_date_time: false,
            offset: 0,
            limit: COUNTED_MAX,
        };
        self.imaging().find(requester, query).await
    }

    /// What the headers of a study say of its series, by their UID.
    pub(in crate::app) async fn quality(
        &self,
        requester: &Requester,
        study: &str,
    ) -> Result<Vec<(String, SeriesFacts)>, Error> {
        let found = self.below(requester, Level::Image, &[study.to_owned()], Vec::new()).await?;
        let headers: Vec<Header> = found.into_iter().map(|m| m.header).collect();
        let series = headers.chunk_by(|a, b| a.series.uid == b.series.uid);
        let uid = |of: &[Header]| of.first().map(|h| h.series.uid.clone()).unwrap_or_default();
        Ok(series.map(|of| (uid(of), series_quality(of))).collect())
    }
}

/// The newest, as many as are looked at.
fn first<T>(mut all: Vec<T>) -> Vec<T> {
    all.truncate(STUDIES_MAX);
    all
}

impl PlannedRequest {
    /// Whom it is about. Studies that are named are taken from the patient's.
    fn patient(&self) -> PatientQuestion {
        PatientQuestion {
            patient_id: self.patient_id.clone(),
            name: self.patient_name.clone(),
            birth_date: self.birth_date.clone(),
            studies: Vec::new(),
        }
    }
}

/// Refuses to mix persons to whom one patient ID was given.
fn one_person<'a>(
    request: &PlannedRequest,
    found: impl Iterator<Item = &'a Match> + Clone,
) -> Result<(), Error> {
    if !request.studies.is_empty() {
        return Ok(());
    }
    let births: BTreeSet<&str> = found
        .clone()
        .map(|m| m.header.patient.birth_date.as_str())
        .filter(|b| !b.is_empty())
        .collect();
    let names: BTreeSet<&str> = found.map(|m| m.header.patient.name.as_str()).collect();
    if births.len() <= 1 && (names.len() <= 1 || !request.patient_name.is_empty()) {
        return Ok(());
    }
    let allowed = "was given to several persons, or one person is written in several ways: give \
                   patient_name and birth_date, or study_uids";
    Err(Error::field("planned.patient_id", allowed))
}

pub(in crate::app) fn existing_study(
    knowledge: &Knowledge,
    facts: &StudyFacts,
    series: Vec<SeriesFacts>,
    stated: Option<&StatedFacts>,
) -> Existing {
    let derived = &facts.examined.derived;
    let said = stated.map(|s| s.institution.clone()).filter(|i| *i != Institution::default());
    let known = || knowledge.recognition.institution_named(&facts.institution);
    let examinations = derived.examinations.clone();
    Existing {
        study: facts.found.header.study.uid.clone(),
        confidence: (!examinations.is_empty()).then_some(derived.confidence),
        examinations: (!examinations.is_empty()).then_some(examinations),
        date: civil(&facts.found.header.study.date),
        institution: said.or_else(known).unwrap_or_default(),
        marks: stated.and_then(|s| s.marks.clone()),
        report: stated.and_then(|s| s.report).or(facts.report.state),
        laterality: stated.and_then(|s| s.laterality).or(derived.laterality),
        series,
    }
}

/// `20261128` as a day.
fn civil(plain: &str) -> Option<Date> {
    let part = |range: std::ops::Range<usize>| plain.get(range);
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_objects_are_read_and_what_is_none_is_unknown() {
        assert_eq!(civil("20261128").map(|d| d.to_string()).as_deref(), Some("2026-11-28"));
        for text in ["", "2026", "20261340", "二〇二六一一二八"] {
            assert_eq!(civil(text), None, "{text}");
        }
    }
}
