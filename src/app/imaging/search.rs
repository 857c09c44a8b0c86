//! Searching studies by what they are and by what was examined.
//!
//! The index answers what stands in headers. What was examined is derived, so a question for it
//! looks through the candidates, a bounded number a call, and the token says how far it has come.

use std::time::Duration;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::Requester;
use super::reading::Asked;
use super::study::StudyFacts;
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::knowledge::Knowledge;
use crate::app::regional::OfflineNode;
use crate::app::request::{ID_CHARS_MAX, PageRequest, Problems};
use crate::sharing::imaging::examination::{Derived, Programme};
use crate::sharing::imaging::identity::is_uid;
use crate::sharing::imaging::published::PatientQuestion;
use crate::sharing::imaging::query::{Condition, Level, Match, Matching, Query};

/// Searches are told apart from other lists by this.
const SEAL: &str = "studies";
/// Candidates looked through in one call that asks for what was examined.
const CANDIDATES_MAX: u64 = 2_000;
/// Candidates asked of the index at once.
const CANDIDATES_PAGE: u64 = 200;
/// Modalities, regions or examinations of one question.
const CHOICES_MAX: usize = 20;
/// Study instance UIDs of one question.
pub const STUDIES_MAX: usize = 200;

/// A question for studies. What is empty is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StudySearch {
    /// Page.
    pub page: PageRequest,
    /// Patient ID, with wildcards.
    pub patient_id: String,
    /// Patient's name, with wildcards.
    pub patient_name: String,
    /// Whether the name may be pinyin, initials or beginnings.
    pub fuzzy_name: bool,
    /// Birth date, `YYYYMMDD`.
    pub birth_date: String,
    /// Sex.
    pub sex: String,
    /// Accession number, with wildcards.
    pub accession_number: String,
    /// First day, `YYYYMMDD`.
    pub date_from: String,
    /// Last day, `YYYYMMDD`.
    pub date_to: String,
    /// Modalities of which the study has one.
    pub modalities: Vec<String>,
    /// Programmes.
    pub programmes: Vec<Programme>,
    /// Body regions, parts included.
    pub regions: Vec<String>,
    /// Examination types, or their beginning and `*`.
    pub examinations: Vec<String>,
    /// Institution's name, with wildcards.
    pub institution: String,
    /// Study instance UIDs.
    pub studies: Vec<String>,
    /// Whether the whole region is asked.
    pub whole_region: bool,
}

/// A page of studies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StudyPage {
    /// Newest first.
    pub studies: Vec<StudyFacts>,
    /// Token of the next page; empty at the end.
    pub next: String,
    /// What the region said; none where it was not asked.
    pub region: Option<RegionState>,
}

/// How much of the region an answer speaks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionState {
    /// Whether the region could be asked; if not, the answer speaks for this node alone.
    pub reachable: bool,
    /// Nodes of the region.
    pub nodes: u64,
    /// Those that are not connected: what was made there since is not known.
    pub offline: Vec<OfflineNode>,
    /// Where the region was reached and does not answer now, when to ask again: this node has asked for as
    /// many persons as it may within an hour, or the hub is busy.
    pub retry_after: Option<Duration>,
}

impl App {
    /// Studies, newest first, and the token of the next page.
    pub async fn search_studies(
        &self,
        caller: &Caller,
        search: &StudySearch,
    ) -> Result<StudyPage, Error> {
        authorise(caller, Action::FindImages)?;
        let images = self.images()?;
        let knowledge = self.knowledge.load_full();
        search.validate(&knowledge)?;
        let (size, skip) = search.page.open(SEAL)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let requester = Requester::of(caller.clone());
        let at = skip.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let page = if search.whole_region {
            self.search_region(&requester, &knowledge, search, (at, size)).await?
        } else {
            self.search_here(&requester, &knowledge, search, (at, size)).await?
        };
        let answers: Vec<Match> = page.studies.iter().map(|study| study.found.clone()).collect();
        let asked = Asked::of(&search.query(at, 0));
        images.imaging.enter_answers(&requester, &asked, (&answers, at)).await?;
        Ok(page)
    }

    /// One page of a search of this node.
    async fn search_here(
        &self,
        requester: &Requester,
        knowledge: &Knowledge,
        search: &StudySearch,
        (mut at, size): (u64, usize),
    ) -> Result<StudyPage, Error> {
        let images = self.images()?;
        let page = |studies, next| StudyPage { studies, next, region: None };
        let derived = search.asks_what_was_examined();
        // One more than asked for tells whether there is a next page.
        let mut limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
        if derived {
            limit = CANDIDATES_PAGE;
        }
        let (mut studies, mut looked_through) = (Vec::new(), 0);
        loop {
            let query = search.query(at, limit);
            let mut found = images.imaging.find(requester, query).await?;
            let got = u64::try_from(found.len()).unwrap_or(0);
            if !derived {
                found.truncate(size);
            }
            let patients = found.iter().map(|found| &found.header.patient).collect();
            let near = images.imaging.near(requester, patients).await?;
            for (one, is_near) in
                self.describe(requester, knowledge, found).await?.into_iter().zip(near)
            {
                if studies.len() == size {
                    return Ok(page(studies, token(at)));
                }
                at += 1;
                if is_near && search.fits(knowledge, &one.facts.examined.derived) {
                    studies.push(one.facts);
                }
            }
            looked_through += got;
            if got < limit {
                return Ok(page(studies, String::new()));
            }
            if !derived || looked_through >= CANDIDATES_MAX {
                return Ok(page(studies, token(at)));
            }
        }
    }
}

pub(in crate::app) fn token(at: u64) -> String {
    format!("{SEAL}-{at}")
}

impl StudySearch {
    fn validate(&self, knowledge: &Knowledge) -> Result<(), Error> {
        let mut problems = Problems::default();
        for (field, text) in [
            ("patient_id", &self.patient_id),
            ("patient_name", &self.patient_name),
            ("accession_number", &self.accession_number),
            ("institution", &self.institution),
        ] {
            problems.chars(field, text, ID_CHARS_MAX);
        }
        let sex = ["", "M", "F", "O"].contains(&self.sex.as_str());
        problems.unless(sex, "sex", "must be `M`, `F`, `O` or empty");
        let ordered = self.date_to.is_empty() || self.date_from <= self.date_to;
        problems.unless(ordered, "date_to", "must not lie before date_from");
        for (field, list) in [
            ("modalities", &self.modalities),
            ("regions", &self.regions),
            ("examinations", &self.examinations),
        ] {
            problems.unless(list.len() <= CHOICES_MAX, field, "must have at most 20 entries");
        }
        for text in &self.modalities {
            problems.unless(!text.is_empty(), "modalities", "must have no empty entry");
            problems.chars("modalities", text, 16);
        }
        let known = |id: &String| knowledge.examinations.region(id).is_some();
        problems.unless(self.regions.iter().all(known), "regions", "must be known region ids");
        let known = |id: &String| match id.strip_suffix('*') {
            Some(start) => knowledge.examinations.all().any(|e| e.id.starts_with(start)),
            None => knowledge.examinations.examination(id).is_some(),
        };
        let fine = self.examinations.iter().all(known);
        problems.unless(fine, "examinations", "must be known examination ids, or begin some");
        let few = self.studies.len() <= STUDIES_MAX;
        problems.unless(few, "study_uids", "must have at most 200 entries");
        for uid in &self.studies {
            validate_uid(&mut problems, "study_uids", uid);
        }
        if self.whole_region {
            let whole = |text: &String| !text.contains(['*', '?']);
            let named = self.patient().is_complete();
            let fine = named && whole(&self.patient_id) && whole(&self.patient_name);
            let allowed = "of the region needs patient_id, or patient_name and birth_date, or \
                           study_uids, each whole and without wildcards";
            problems.unless(fine, "scope", allowed);
        }
        problems.finish()
    }

    /// Whom it asks for.
    pub(in crate::app) fn patient(&self) -> PatientQuestion {
        PatientQuestion {
            patient_id: self.patient_id.clone(),
            name: self.patient_name.clone(),
            birth_date: self.birth_date.clone(),
            studies: self.studies.clone(),
        }
    }

    fn asks_what_was_examined(&self) -> bool {
        !(self.programmes.is_empty() && self.regions.is_empty() && self.examinations.is_empty())
    }

    pub(in crate::app) fn query(&self, offset: u64, limit: u64) -> Query {
        let mut conditions = Vec::new();
        let mut text = |tag: Tag, value: &str| {
            if !value.is_empty() {
                conditions.push(Condition { tag, matching: pattern(value) });
            }
        };
        text(tags::PATIENT_ID, &self.patient_id);
        text(tags::PATIENT_BIRTH_DATE, &self.birth_date);
        text(tags::PATIENT_SEX, &self.sex);
        text(tags::ACCESSION_NUMBER, &self.accession_number);
        text(tags::INSTITUTION_NAME, &self.institution);
        if self.fuzzy_name && !self.patient_name.is_empty() {
            let matching = Matching::Fuzzy(self.patient_name.clone());
            conditions.push(Condition { tag: tags::PATIENT_NAME, matching });
        } else if !self.patient_name.is_empty() {
            let matching = pattern(&self.patient_name);
            conditions.push(Condition { tag: tags::PATIENT_NAME, matching });
        }
        if !(self.date_from.is_empty() && self.date_to.is_empty()) {
            let (from, to) = (self.date_from.clone(), self.date_to.clone());
            let matching = Matching::Range { from, to };
            conditions.push(Condition { tag: tags::STUDY_DATE, matching });
        }
        for (tag, values) in [
            (tags::MODALITIES_IN_STUDY, &self.modalities),
            (tags::STUDY_INSTANCE_UID, &self.studies),
        ] {
            if !values.is_empty() {
                let matching = Matching::AnyOf(values.clone());
                conditions.push(Condition { tag, matching });
            }
        }
        Query { level: Level::Study, conditions, combined_date_time: false, offset, limit }
    }

    /// Whether what was examined is what is asked for.
    pub(in crate::app) fn fits(&self, knowledge: &Knowledge, derived: &Derived) -> bool {
        let any = |wanted: usize, fits: bool| wanted == 0 || fits;
        any(self.programmes.len(), self.programmes.iter().any(|p| derived.programmes.contains(p)))
            && any(
                self.regions.len(),
                self.regions.iter().any(|outer| {
                    let mut held = derived.regions.iter();
                    held.any(|inner| knowledge.examinations.is_within(inner, outer))
                }),
            )
            && any(
                self.examinations.len(),
                self.examinations.iter().any(|wanted| {
                    derived.examinations.iter().any(|id| match wanted.strip_suffix('*') {
                        Some(start) => id.starts_with(start),
                        None => id == wanted,
                    })
                }),
            )
    }
}

/// A value, or a pattern where it has wildcards.
fn pattern(value: &str) -> Matching {
    if value.contains(['*', '?']) {
        Matching::Wildcard(value.to_owned())
    } else {
        Matching::Single(value.to_owned())
    }
}

/// A UID: digits and dots, at most 64 characters (PS3.5, 9.1).
pub(in crate::app) fn validate_uid(problems: &mut Problems, field: &str, uid: &str) {
    problems.unless(is_uid(uid), field, "must be a UID of 1 to 64 digits and dots");
}
