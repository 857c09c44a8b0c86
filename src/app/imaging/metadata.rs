//! A study with its series and a page of its instances.

use std::collections::HashMap;

use dicom_dictionary_std::tags;

use super::Requester;
use super::peers::Service;
use super::ports::Selection;
use super::search::validate_uid;
use super::study::{Described, Examined, StudyFacts, any_of};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::request::{PageRequest, Problems};
use crate::sharing::imaging::header::Series;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::query::{Level, Match, Query};

/// Pages of instances are told apart from other lists by this.
const SEAL: &str = "instances";
/// Instances of a page at most.
const PAGE_MAX: u32 = 1_000;
/// Instances of a page when the caller does not say.
const PAGE_DEFAULT: u32 = 500;

/// Asks for a study.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataRequest {
    /// Study instance UID.
    pub study: String,
    /// Only this series; empty for all.
    pub series: String,
    /// Instances of a page; 0 for 500.
    pub page_size: u32,
    /// From the page before.
    pub page_token: String,
}

/// A series with instances of one page.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPage {
    /// What the index says.
    pub series: Series,
    /// What was examined.
    pub examined: Examined,
    /// Its instances, and the digest of each where the caller may retrieve.
    pub instances: Vec<(Match, Option<Digest>)>,
}

/// A study and a page of its instances.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyPage {
    /// The study.
    pub study: StudyFacts,
    /// Series.
    pub series: Vec<SeriesPage>,
    /// Token of the next page; empty at the end.
    pub next_page_token: String,
}

impl App {
    /// A study and a page of its instances.
    pub async fn study_metadata(
        &self,
        caller: &Caller,
        request: &MetadataRequest,
    ) -> Result<StudyPage, Error> {
        let permit = authorise(caller, Action::FindImages)?;
        let images = self.images()?;
        let (size, skip) = request.open()?;
        let requester = Requester::of(caller.clone());
        let found = images.study(&requester, &request.study).await?;
        images.imaging.must_be_near(&requester, &request.study, Action::FindImages).await?;
        let patient = found.header.patient.id.clone();
        self.journal.audit(&permit, self.entry(&request.study, &patient)).await?;
        let knowledge = self.knowledge.load_full();
        let described = self.describe(&requester, &knowledge, vec![found]).await?;
        let Some(Described { facts, series: derived }) = described.into_iter().next() else {
            return Err(Error::NotFound { kind: "study" });
        };
        let derived: HashMap<String, _> = derived.into_iter().collect();

        let mut conditions = vec![any_of(tags::STUDY_INSTANCE_UID, vec![request.study.clone()])];
        if !request.series.is_empty() {
            let series = vec![request.series.clone()];
            conditions.push(any_of(tags::SERIES_INSTANCE_UID, series));
        }
        let query = Query {
            level: Level::Image,
            conditions,
            combined_date_time: false,
            offset: skip,
            limit: size + 1,
        };
        let mut instances = images.imaging.find(&requester, query).await?;
        let more = u64::try_from(instances.len()).unwrap_or(0) > size;
        instances.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let mut digests: HashMap<String, Digest> = HashMap::new();
        if requester.services.has(Service::Retrieve) && !instances.is_empty() {
            let uids = instances.iter().map(|m| m.header.instance.uid.clone()).collect();
            let selection = Selection { instances: uids, ..Selection::default() };
            for known in images.imaging.instances(&requester, selection, 0, size).await? {
                digests.insert(known.uids.instance, known.digest);
            }
        }
        let mut series: Vec<SeriesPage> = Vec::new();
        for instance in instances {
            let digest = digests.get(&instance.header.instance.uid).copied();
            let uid = &instance.header.series.uid;
            if let Some(there) = series.last_mut().filter(|s| s.series.uid == *uid) {
                there.instances.push((instance, digest));
            } else {
                // Of a study of thousands of series not all are looked at.
                let unknown = || knowledge.examinations.derive(&[]).study;
                let derived = derived.get(uid).cloned().unwrap_or_else(unknown);
                series.push(SeriesPage {
                    series: instance.header.series.clone(),
                    examined: knowledge.named(derived),
                    instances: vec![(instance, digest)],
                });
            }
        }
        let next = if more { format!("{SEAL}-{}", skip + size) } else { String::new() };
        Ok(StudyPage { study: facts, series, next_page_token: next })
    }
}

impl MetadataRequest {
    /// Checks every field; the size of the page and the instances to skip.
    fn open(&self) -> Result<(u64, u64), Error> {
        let mut problems = Problems::default();
        validate_uid(&mut problems, "study_uid", &self.study);
        if !self.series.is_empty() {
            validate_uid(&mut problems, "series_uid", &self.series);
        }
        problems.unless(self.page_size <= PAGE_MAX, "page_size", "must be from 0 to 1000");
        problems.finish()?;
        let page = PageRequest { page_token: self.page_token.clone(), ..PageRequest::default() };
        let (_, skip) = page.open(SEAL)?;
        let size = if self.page_size == 0 { PAGE_DEFAULT } else { self.page_size };
        Ok((u64::from(size), skip.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)))
    }
}
