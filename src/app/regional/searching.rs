//! A patient's studies in the whole region, told like those of this node, with where they lie and
//! whether they would be recognised.

use std::collections::HashMap;
use std::sync::Arc;

use dicom_dictionary_std::tags;

use super::ports::Region;
use super::{Holding, NodeLine, RegionalAnswer, RegionalStudy};
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::search::{RegionState, StudyPage, StudySearch, token};
use crate::app::imaging::study::{Availability, Place, StudyFacts, StudyReport};
use crate::app::knowledge::Knowledge;
use crate::app::{App, chain};
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::matching::{attribute, matches};
use crate::sharing::imaging::published::{FoundBy, Held, PatientQuestion, PublishedStudy};
use crate::sharing::imaging::query::{Match, Matching};
use crate::sharing::recognition::{Planned, SeriesFacts, Situation, StudyAssessment, assess};

/// Studies of this node that are told of one patient at most.
const LOCAL_MAX: u64 = 500;

/// A study of the region, with what recognition asks of its series.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) struct Told {
    pub(in crate::app) facts: StudyFacts,
    pub(in crate::app) series: Vec<SeriesFacts>,
}

impl App {
    /// The region, or [`crate::app::error::Error::Refused`] where the node belongs to none.
    pub(in crate::app) fn region(&self) -> Result<&Arc<dyn Region>, Error> {
        self.region.as_ref().ok_or_else(|| Error::Refused {
            reason: "this node belongs to no region: set link.hub, or node.role = \"hub\""
                .to_owned(),
        })
    }

    /// The nodes of the region, by name.
    pub async fn regional_nodes(&self, caller: &Caller) -> Result<Vec<NodeLine>, Error> {
        authorise(caller, Action::ReadNodeInfo)?;
        self.region()?.nodes().await
    }

    /// One page of a search through the region. What this node holds is told even where the region
    /// cannot be reached.
    pub(in crate::app) async fn search_region(
        &self,
        requester: &Requester,
        knowledge: &Knowledge,
        search: &StudySearch,
        (at, size): (u64, usize),
    ) -> Result<StudyPage, Error> {
        let images = self.images()?;
        let found = images.imaging().find(requester, search.query(0, LOCAL_MAX)).await?;
        let local = self.describe(requester, knowledge, found).await?;
        let mut studies: Vec<Told> = Vec::with_capacity(local.len());
        for described in local {
            let uid = &described.facts.found.header.study.uid;
            let series = images.quality(requester, uid).await?;
            let series = series.into_iter().map(|(_, quality)| quality).collect();
            studies.push(Told { facts: described.facts, series });
        }
        let (answer, region) = self.ask_region(search.patient()).await?;
        self.merge(knowledge, &search.patient(), answer, &mut studies);
        let imaging = images.imaging();
        let mut studies =
            imaging.only_near(requester, studies, |told| &told.facts.found.header.patient).await?;
        studies.retain(|told| {
            search.fits(knowledge, &told.facts.examined.derived) && search.admits(&told.facts)
        });
        let moment = |told: &Told| {
            let study = &told.facts.found.header.study;
            (study.date.clone(), study.time.clone(), study.uid.clone())
        };
        studies.sort_by_key(|told| std::cmp::Reverse(moment(told)));
        let skip = usize::try_from(at).unwrap_or(usize::MAX);
        let more = studies.len() > skip.saturating_add(size);
        let page = studies.into_iter().skip(skip).take(size);
        let studies = page
            .map(|told| {
                let outlook = self.outlook(knowledge, &told);
                StudyFacts { outlook, ..told.facts }
            })
            .collect();
        let next = if more {
            token(at.saturating_add(u64::try_from(size).unwrap_or(u64::MAX)))
        } else {
            String::new()
        };
        Ok(StudyPage { studies, next, region: Some(region) })
    }

    /// What the region says, and how much of it could be asked.
    pub(in crate::app) async fn ask_region(
        &self,
        question: PatientQuestion,
    ) -> Result<(RegionalAnswer, RegionState), Error> {
        match self.region()?.find(question).await {
            Ok(answer) => {
                let (nodes, offline) = (answer.nodes, answer.offline.clone());
                Ok((answer, RegionState { reachable: true, nodes, offline, retry_after: None }))
            }
            Err(Error::Overloaded { what, retry_after }) => {
                tracing::info!(what, "region does not answer now");
                let state =
                    RegionState { retry_after: Some(retry_after), ..RegionState::default() };
                Ok((RegionalAnswer::default(), state))
            }
            Err(error) if error.retryable() => {
                tracing::info!(error = chain(&error), "region cannot be asked");
                Ok((RegionalAnswer::default(), RegionState::default()))
            }
            Err(error) => Err(error),
        }
    }

    /// Adds what the region knows to what is known here.
    pub(in crate::app) fn merge(
        &self,
        knowledge: &Knowledge,
        question: &PatientQuestion,
        answer: RegionalAnswer,
        studies: &mut Vec<Told>,
    ) {
        let here: HashMap<String, usize> = studies
            .iter()
            .enumerate()
            .map(|(place, told)| (told.facts.found.header.study.uid.clone(), place))
            .collect();
        for study in answer.studies {
            let RegionalStudy { found_by, holdings } = study;
            let is_here = |uid: &String| here.get(uid).copied();
            // What lies in the PACS behind this node is not in its archive.
            let elsewhere = |holding: &&Holding| {
                let behind = holding.study.held == Held::Behind;
                holding.node != self.name || (behind && is_here(&holding.study.study.uid).is_none())
            };
            let places = holdings.iter().filter(elsewhere).map(place).collect();
            let Some(best) = holdings.into_iter().next() else { continue };
            if let Some(told) = is_here(&best.study.study.uid).and_then(|at| studies.get_mut(at)) {
                told.facts.places.extend::<Vec<Place>>(places);
            } else if question.fits(&best.study, found_by) && !places.is_empty() {
                let mut told = Self::told_of(knowledge, best.study);
                told.facts.places = places;
                told.facts.found_by = Some(found_by);
                studies.push(told);
            }
        }
    }

    /// A published study as it is told.
    fn told_of(knowledge: &Knowledge, study: PublishedStudy) -> Told {
        let headers = study.headers();
        let derived = knowledge.examinations.derive(&headers);
        let found = Match {
            modalities: study.modalities,
            series: u64::try_from(study.series.len()).unwrap_or(u64::MAX),
            instances: study.instances,
            bytes: study.bytes,
            header: Header {
                patient: study.patient,
                study: study.study,
                character_set_guessed: study.character_set_guessed,
                ..Header::default()
            },
            ..Match::default()
        };
        let mut facts = Self::told(knowledge, found, &headers, derived).facts;
        facts.kept_apart = study.kept_apart;
        facts.report = StudyReport {
            state: study.report.state,
            title: study.report.title,
            instance: study.report.instance,
        };
        Told { facts, series: study.series.into_iter().map(|series| series.quality).collect() }
    }

    /// Whether a study would be recognised here were the same examination planned today; none where
    /// what was examined is not known.
    fn outlook(&self, knowledge: &Knowledge, told: &Told) -> Option<StudyAssessment> {
        let derived = &told.facts.examined.derived;
        let examination = derived.examinations.first()?.clone();
        let policy = knowledge.recognition.on(self.today());
        let asking = knowledge.recognition.institution_named(&self.institution);
        let planned = Planned {
            examination: Some(examination),
            asking: asking.unwrap_or_default(),
            situation: Situation::Any,
            laterality: derived.laterality,
            grounds: Vec::new(),
        };
        let existing = crate::app::recognition::existing_study(
            knowledge,
            &told.facts,
            told.series.clone(),
            None,
        );
        assess(&policy, &planned, &[existing]).studies.into_iter().next()
    }
}

/// Where a study lies.
fn place(holding: &Holding) -> Place {
    let availability = match (holding.online, holding.study.held) {
        (false, _) => Availability::Offline,
        (true, Held::Behind) => Availability::Nearline,
        (true, Held::Own | Held::Copy) => Availability::Online,
    };
    Place {
        node: holding.node.clone(),
        availability,
        copy: holding.study.held == Held::Copy,
        instances: holding.study.instances,
        indexed_ms: Some(holding.indexed_ms),
    }
}

impl PatientQuestion {
    /// Whether a study that was found by one part of the question does not contradict another: a
    /// patient ID alone may be another person's.
    fn fits(&self, study: &PublishedStudy, found_by: FoundBy) -> bool {
        if found_by != FoundBy::PatientId {
            return true;
        }
        let birth = &study.patient.birth_date;
        if !self.birth_date.is_empty() && !birth.is_empty() && self.birth_date != *birth {
            return false;
        }
        if self.name.is_empty() || study.patient.name.is_empty() {
            return true;
        }
        // The birth date was looked at; the names are compared under the same one.
        let birth_date = "-".to_owned();
        let mut held = study.clone();
        held.patient.birth_date.clone_from(&birth_date);
        let keys = held.keys();
        let question = Self { name: self.name.clone(), birth_date, ..Self::default() };
        question.keys().iter().any(|(_, key)| keys.contains(key))
    }
}

impl StudySearch {
    /// Whether a study of the region has what is asked for beside the patient.
    fn admits(&self, facts: &StudyFacts) -> bool {
        let Header { patient, study, .. } = &facts.found.header;
        let text = |tag, asked: &String, value: &str| {
            let matching = || {
                if asked.contains(['*', '?']) {
                    Matching::Wildcard(asked.clone())
                } else {
                    Matching::Single(asked.clone())
                }
            };
            let kind = || attribute(tag).map(|attribute| attribute.kind);
            asked.is_empty() || kind().is_some_and(|kind| matches(&matching(), kind, value))
        };
        let date = study.date.as_str();
        let from =
            self.date_from.is_empty() || (!date.is_empty() && date >= self.date_from.as_str());
        let to = self.date_to.is_empty() || (!date.is_empty() && date <= self.date_to.as_str());
        let modality = self.modalities.is_empty()
            || self.modalities.iter().any(|m| facts.found.modalities.contains(m));
        let one = self.studies.is_empty() || self.studies.contains(&study.uid);
        from && to
            && modality
            && one
            && text(tags::PATIENT_SEX, &self.sex, &patient.sex)
            && text(tags::ACCESSION_NUMBER, &self.accession_number, &study.accession_number)
            && text(tags::INSTITUTION_NAME, &self.institution, &facts.institution)
    }
}
