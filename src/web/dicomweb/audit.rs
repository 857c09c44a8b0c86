//! Writing down who is given whose images, before they are.
//!
//! A viewer asks for every frame by itself. Whoever looks through a study is written down when they
//! begin and every [`AGAIN`] after; whole objects are written down each time they are given.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::problem::Problem;
use crate::app::imaging::Requester;
use crate::app::imaging::peers::Service;
use crate::app::imaging::ports::IndexedInstance;

/// How long looking on is not written down again.
const AGAIN: Duration = Duration::from_mins(1);
/// Callers with studies that are remembered at most.
const REMEMBERED_MAX: usize = 4_096;

/// Who has been written down lately, by name and study.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashMap<(String, String), Instant>>);

impl Seen {
    fn is_fresh(&self, key: &(String, String)) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(key).is_some_and(|at| at.elapsed() < AGAIN)
    }

    fn remember(&self, key: (String, String)) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED_MAX {
            seen.retain(|_, at| at.elapsed() < AGAIN);
        }
        if seen.len() < REMEMBERED_MAX {
            seen.insert(key, Instant::now());
        }
    }
}

impl Shared {
    /// Whole objects are about to be given.
    pub(super) async fn audit(
        &self,
        requester: &Requester,
        instances: &[IndexedInstance],
    ) -> Result<(), Problem> {
        let mut studies: Vec<&str> = instances.iter().map(|i| i.uids.study.as_str()).collect();
        studies.sort_unstable();
        studies.dedup();
        for study in studies {
            let patient = self.patient(requester, study).await?;
            self.imaging.audit_retrieval(requester, study, &patient).await?;
            self.seen.remember((requester.caller.name.clone(), study.to_owned()));
        }
        Ok(())
    }

    /// Parts of an object, or what it says, are about to be shown.
    pub(super) async fn audit_view(
        &self,
        requester: &Requester,
        instances: &[IndexedInstance],
    ) -> Result<(), Problem> {
        requester.permit(Service::Retrieve)?;
        let fresh = instances.iter().all(|instance| {
            self.seen.is_fresh(&(requester.caller.name.clone(), instance.uids.study.clone()))
        });
        if fresh { Ok(()) } else { self.audit(requester, instances).await }
    }

    /// The patient ID of a study; empty if the caller may not search.
    async fn patient(&self, requester: &Requester, study: &str) -> Result<String, Problem> {
        if !requester.services.has(Service::Find) {
            return Ok(String::new());
        }
        Ok(self.imaging.patient_of(study).await?)
    }
}
