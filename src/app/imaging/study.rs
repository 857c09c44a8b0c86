//! A study as people are told of it: what the index says, what was examined, its report, where it
//! lies.

use std::collections::HashMap;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use super::Requester;
use super::images::Images;
use crate::app::App;
use crate::app::error::Error;
use crate::app::knowledge::Knowledge;
use crate::sharing::imaging::examination::{Derived, DerivedStudy};
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::published::FoundBy;
use crate::sharing::imaging::query::{Condition, Level, Match, Matching, Query};
use crate::sharing::imaging::suggestion::is_suggestion;
use crate::sharing::recognition::{Report, StudyAssessment};

/// Answers asked of the index at once.
const PAGE: u64 = 5_000;
/// Series or instances looked at for one group of studies.
pub(in crate::app) const BELOW_MAX: usize = 200_000;
/// Studies whose series are asked for together.
pub(super) const GROUP: usize = 50;
/// Objects kept apart that are counted.
const APART_MAX: u64 = 10_000;

/// Modalities of objects that can be a report.
pub(in crate::app) const REPORT_MODALITIES: [&str; 2] = ["SR", "DOC"];
/// Classes of objects that are a report: text reports and encapsulated documents (PS3.4, B.5).
/// Dose reports, computer-aided detection, key images and what imaging models say are none.
const REPORT_CLASSES: [&str; 7] = [
    uids::BASIC_TEXT_SR_STORAGE,
    uids::ENHANCED_SR_STORAGE,
    uids::COMPREHENSIVE_SR_STORAGE,
    uids::COMPREHENSIVE3_DSR_STORAGE,
    uids::EXTENSIBLE_SR_STORAGE,
    uids::ENCAPSULATED_PDF_STORAGE,
    uids::ENCAPSULATED_CDA_STORAGE,
];

/// The report of a study, as far as it is among the objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StudyReport {
    /// State; none if it is not known.
    pub state: Option<Report>,
    /// Title.
    pub title: String,
    /// SOP instance UID; empty without a report object.
    pub instance: String,
}

/// What was examined, with the names that the tables give.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// What was derived.
    pub derived: Derived,
    /// Chinese names of its examinations, in their order.
    pub names: Vec<String>,
    /// Programmes of its examinations, in their order.
    pub programmes: Vec<crate::sharing::imaging::examination::Programme>,
    /// Chinese names of its regions, in their order.
    pub region_names: Vec<String>,
}

/// A study.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyFacts {
    /// What the index says.
    pub found: Match,
    /// Name of the institution that made it.
    pub institution: String,
    /// Its id in the table of institutions; empty if it is not there.
    pub institution_id: String,
    /// What was examined.
    pub examined: Examined,
    /// Report.
    pub report: StudyReport,
    /// Objects kept apart.
    pub kept_apart: u64,
    /// Who holds it, the one it is best had from first; never empty.
    pub places: Vec<Place>,
    /// How it was found in the region; none for what this node holds itself.
    pub found_by: Option<FoundBy>,
    /// Whether it would be recognised were the same examination planned today; none if that was not
    /// asked.
    pub outlook: Option<StudyAssessment>,
}

/// Where a study lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the node.
    pub node: String,
    /// Whether it can be had.
    pub availability: Availability,
    /// Whether it was fetched there from another node.
    pub copy: bool,
    /// Instances there.
    pub instances: u64,
    /// When the node's index was last known to be current, in milliseconds since
    /// 1970-01-01T00:00:00Z; none of this node's own.
    pub indexed_ms: Option<i64>,
}

/// Whether a study can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// At once.
    Online,
    /// From the archive behind the node, which takes longer.
    Nearline,
    /// Not now: the node is not connected.
    Offline,
}

/// A study with what was derived for its series.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) struct Described {
    pub(in crate::app) facts: StudyFacts,
    pub(in crate::app) series: Vec<(String, Derived)>,
}

impl App {
    /// Everything that is told of studies, in their order.
    pub(in crate::app) async fn describe(
        &self,
        requester: &Requester,
        knowledge: &Knowledge,
        found: Vec<Match>,
    ) -> Result<Vec<Described>, Error> {
        let images = self.images()?;
        let mut described = Vec::with_capacity(found.len());
        for group in found.chunks(GROUP) {
            let uids: Vec<String> = group.iter().map(|m| m.header.study.uid.clone()).collect();
            let headers = images.series_headers(requester, &uids).await?;
            let with_reports: Vec<String> = group
                .iter()
                .filter(|m| m.modalities.iter().any(|m| REPORT_MODALITIES.contains(&m.as_str())))
                .map(|m| m.header.study.uid.clone())
                .collect();
            let reports = images.reports(requester, &with_reports).await?;
            let apart = images.apart_by_study(requester).await?;
            for study in group {
                let uid = study.header.study.uid.as_str();
                let headers = headers.get(uid).map(Vec::as_slice).unwrap_or_default();
                let derived = knowledge.examinations.derive(headers);
                let mut one = Self::told(knowledge, study.clone(), headers, derived);
                one.facts.places = vec![Place {
                    node: self.name.clone(),
                    availability: Availability::Online,
                    copy: false,
                    instances: one.facts.found.instances,
                    indexed_ms: None,
                }];
                one.facts.report = reports.get(uid).cloned().unwrap_or_default();
                one.facts.kept_apart = apart.get(uid).copied().unwrap_or(0);
                described.push(one);
            }
        }
        Ok(described)
    }

    /// What the index and the tables say of a study; where it lies is not said.
    pub(in crate::app) fn told(
        knowledge: &Knowledge,
        found: Match,
        headers: &[Header],
        derived: DerivedStudy,
    ) -> Described {
        let mut institutions = headers.iter().map(|h| h.series.institution.trim());
        let institution = institutions.find(|name| !name.is_empty()).unwrap_or_default();
        let known = knowledge.recognition.institution_named(institution);
        let facts = StudyFacts {
            found,
            institution: institution.to_owned(),
            institution_id: known.map(|i| i.id).unwrap_or_default(),
            examined: knowledge.named(derived.study),
            report: StudyReport::default(),
            kept_apart: 0,
            places: Vec::new(),
            found_by: None,
            outlook: None,
        };
        Described { facts, series: derived.series }
    }
}

impl Knowledge {
    /// Puts the names that the tables give to what was derived.
    pub(in crate::app) fn named(&self, derived: Derived) -> Examined {
        let types = derived.examinations.iter().filter_map(|id| self.examinations.examination(id));
        let (names, programmes) = types.map(|e| (e.zh.clone(), e.programme)).unzip();
        let regions = derived.regions.iter();
        let region_names = regions
            .map(|id| self.examinations.region(id).map_or_else(|| id.clone(), |r| r.zh.clone()))
            .collect();
        Examined { derived, names, programmes, region_names }
    }
}

impl Images {
    /// One header of each series of these studies, by study.
    pub(in crate::app) async fn series_headers(
        &self,
        requester: &Requester,
        studies: &[String],
    ) -> Result<HashMap<String, Vec<Header>>, Error> {
        let mut by_study: HashMap<String, Vec<Header>> = HashMap::new();
        for found in self.below(requester, Level::Series, studies, Vec::new()).await? {
            let uid = found.header.study.uid.clone();
            by_study.entry(uid).or_default().push(found.header);
        }
        Ok(by_study)
    }

    /// The reports of these studies that are among their objects; of several, one that is signed.
    pub(in crate::app) async fn reports(
        &self,
        requester: &Requester,
        studies: &[String],
    ) -> Result<HashMap<String, StudyReport>, Error> {
        let mut by_study: HashMap<String, StudyReport> = HashMap::new();
        if studies.is_empty() {
            return Ok(by_study);
        }
        let modalities = REPORT_MODALITIES.map(str::to_owned).to_vec();
        let only = vec![any_of(tags::MODALITY, modalities)];
        for found in self.below(requester, Level::Image, studies, only).await? {
            let there = by_study.entry(found.header.study.uid.clone()).or_default();
            better_report(there, found.header);
        }
        Ok(by_study)
    }

    /// How many objects of each study are kept apart.
    pub(in crate::app) async fn apart_by_study(
        &self,
        requester: &Requester,
    ) -> Result<HashMap<String, u64>, Error> {
        let mut by_study = HashMap::new();
        if self.imaging.counts().await?.apart > 0 {
            for object in self.imaging.apart(requester, 0, APART_MAX).await? {
                *by_study.entry(object.uids.study).or_insert(0) += 1;
            }
        }
        Ok(by_study)
    }

    /// Everything at `level` below these studies, at most [`BELOW_MAX`].
    pub(in crate::app) async fn below(
        &self,
        requester: &Requester,
        level: Level,
        studies: &[String],
        more: Vec<Condition>,
    ) -> Result<Vec<Match>, Error> {
        let mut conditions = vec![any_of(tags::STUDY_INSTANCE_UID, studies.to_vec())];
        conditions.extend(more);
        let mut all = Vec::new();
        loop {
            let offset = u64::try_from(all.len()).unwrap_or(u64::MAX);
            let conditions = conditions.clone();
            let query = Query { level, conditions, combined_date_time: false, offset, limit: PAGE };
            let page = self.imaging.find(requester, query).await?;
            let last = u64::try_from(page.len()).unwrap_or(0) < PAGE;
            all.extend(page);
            if last || all.len() >= BELOW_MAX {
                return Ok(all);
            }
        }
    }

    /// One study by its UID.
    pub(super) async fn study(&self, requester: &Requester, uid: &str) -> Result<Match, Error> {
        let found = self.studies(requester, vec![uid.to_owned()]).await?;
        found.into_iter().next().ok_or(Error::NotFound { kind: "study" })
    }

    /// Studies by their UIDs.
    pub(in crate::app) async fn studies(
        &self,
        requester: &Requester,
        uids: Vec<String>,
    ) -> Result<Vec<Match>, Error> {
        let limit = u64::try_from(uids.len()).unwrap_or(u64::MAX);
        let conditions = vec![any_of(tags::STUDY_INSTANCE_UID, uids)];
        let level = Level::Study;
        let query = Query { level, conditions, combined_date_time: false, offset: 0, limit };
        self.imaging.find(requester, query).await
    }
}

/// A condition that asks for one of several values.
pub(in crate::app) fn any_of(tag: Tag, values: Vec<String>) -> Condition {
    Condition { tag, matching: Matching::AnyOf(values) }
}

/// The state of a report by its flags (0040,A491 and 0040,A493); none where they are not there.
pub fn report_state(flags: &str) -> Option<Report> {
    let mut flags = flags.split('\\').map(str::trim);
    let (completion, verification) =
        (flags.next().unwrap_or_default(), flags.next().unwrap_or_default());
    match (completion, verification) {
        ("COMPLETE" | "", "VERIFIED") => Some(Report::Signed),
        ("", "") => None,
        (_, _) => Some(Report::Unsigned),
    }
}

/// Takes the report that an object is in place of `report`, if it is one and says more.
pub(in crate::app) fn better_report(report: &mut StudyReport, object: Header) {
    if is_suggestion(&object) || !REPORT_CLASSES.contains(&object.instance.sop_class.as_str()) {
        return;
    }
    let another = StudyReport {
        state: report_state(&object.instance.report_state),
        title: object.instance.report_title,
        instance: object.instance.uid,
    };
    if rank(&another) > rank(report) {
        *report = another;
    }
}

fn rank(report: &StudyReport) -> u8 {
    match report.state {
        _ if report.instance.is_empty() => 0,
        None => 1,
        Some(Report::Absent | Report::Unsigned) => 2,
        Some(Report::Signed) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verified_report_is_signed_and_silence_is_not_known() {
        assert_eq!(report_state("COMPLETE\\VERIFIED"), Some(Report::Signed));
        assert_eq!(report_state("\\VERIFIED"), Some(Report::Signed));
        assert_eq!(report_state("PARTIAL\\VERIFIED"), Some(Report::Unsigned));
        assert_eq!(report_state("COMPLETE\\UNVERIFIED"), Some(Report::Unsigned));
        assert_eq!(report_state("COMPLETE"), Some(Report::Unsigned));
        assert_eq!(report_state(""), None);
        assert_eq!(report_state("\\"), None);
    }
}
