//! Whose images somebody may see who works for a part of the node alone: of patients who live there, or
//! are here in person. Who works for the whole node is not asked, and peers and other nodes are not: the table of
//! application entities and the region's orders say what is theirs.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use dicom_dictionary_std::tags;

use super::study::any_of;
use super::{Imaging, Requester};
use crate::app::access::{Action, Caller};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::header::Patient;
use crate::sharing::imaging::query::{Level, Match, Query};

/// What somebody is told who may not see a patient's images.
const OUT_OF_PLACE: &str = "患者不在您负责的区划内：请先登记患者或确认患者就诊，再查看其影像";

/// Who lives where, and who is here.
pub trait Neighbours: Debug + Send + Sync {
    /// Whether a patient lives where `caller` works, or is here in person: present, or referred.
    fn is_near<'a>(
        &'a self,
        caller: &'a Caller,
        patient: &'a Patient,
    ) -> BoxFuture<'a, Result<bool, Error>>;
}

impl Imaging {
    /// From now on it is known who lives where. Before, who works for a part of the node sees nothing.
    pub(in crate::app) fn know(&self, neighbours: Arc<dyn Neighbours>) {
        // Set once: whoever comes later is of the same node.
        drop(self.neighbours.set(neighbours));
    }

    /// Of each of these patients, whether `requester` may see something.
    pub(in crate::app) async fn near(
        &self,
        requester: &Requester,
        patients: Vec<&Patient>,
    ) -> Result<Vec<bool>, Error> {
        let caller = &requester.caller;
        if caller.has_the_whole_node() {
            return Ok(vec![true; patients.len()]);
        }
        let Some(neighbours) = self.neighbours.get() else {
            return Ok(vec![false; patients.len()]);
        };
        let mut known: HashMap<[&str; 3], bool> = HashMap::new();
        let mut near = Vec::with_capacity(patients.len());
        for patient in patients {
            let who = [patient.id.as_str(), patient.name.as_str(), patient.birth_date.as_str()];
            let is_near = match known.get(&who) {
                Some(is_near) => *is_near,
                None => neighbours.is_near(caller, patient).await?,
            };
            known.insert(who, is_near);
            near.push(is_near);
        }
        Ok(near)
    }

    /// Those of `all` that `requester` may see.
    pub(in crate::app) async fn only_near<T>(
        &self,
        requester: &Requester,
        all: Vec<T>,
        patient: fn(&T) -> &Patient,
    ) -> Result<Vec<T>, Error> {
        let near = self.near(requester, all.iter().map(patient).collect()).await?;
        Ok(all.into_iter().zip(near).filter_map(|(one, is_near)| is_near.then_some(one)).collect())
    }

    /// Those of these studies that `requester` may see. One that is not there any more is of nobody, and seen
    /// by who works for the whole node alone.
    pub(in crate::app) async fn near_studies(
        &self,
        requester: &Requester,
        studies: HashSet<String>,
    ) -> Result<HashSet<String>, Error> {
        if requester.caller.has_the_whole_node() {
            return Ok(studies);
        }
        let found = self.matches_of(studies.into_iter().collect()).await?;
        let near = self.only_near(requester, found, |found| &found.header.patient).await?;
        Ok(near.into_iter().map(|found| found.header.study.uid).collect())
    }

    /// Refuses images of a patient who is not near, and says so in the trail.
    pub(in crate::app) async fn must_be_near(
        &self,
        requester: &Requester,
        study: &str,
        action: Action,
    ) -> Result<(), Error> {
        let studies = HashSet::from([study.to_owned()]);
        if self.near_studies(requester, studies).await?.contains(study) {
            return Ok(());
        }
        let patient = self.patient_of(study).await?;
        self.out_of_place(requester, (study, &patient), action).await
    }

    /// Says so in the trail, and then to `requester`.
    pub(in crate::app) async fn out_of_place(
        &self,
        requester: &Requester,
        of: (&str, &str),
        action: Action,
    ) -> Result<(), Error> {
        self.trail().enter(requester, action, of, ("out_of_place", String::new())).await?;
        Err(Error::Withheld { reason: OUT_OF_PLACE.to_owned() })
    }

    async fn matches_of(&self, studies: Vec<String>) -> Result<Vec<Match>, Error> {
        let limit = u64::try_from(studies.len()).unwrap_or(u64::MAX);
        let conditions = vec![any_of(tags::STUDY_INSTANCE_UID, studies)];
        let level = Level::Study;
        self.index
            .find(Query { level, conditions, combined_date_time: false, offset: 0, limit })
            .await
    }
}
