//! Entries of the audit trail for what is found, listed and stored, written before it is told.
//!
//! Peers and parts of the node do not have their rights from a role: the table of application entities,
//! or the order that they carry out, was asked before ([`Requester::permit`]).

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;

use super::{Imaging, Requester};
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, Clock, Journal};

/// Entries of one batch that are written at once.
const AT_ONCE: usize = 32;
/// How often entries are tried that the journal has no room for.
const TRIES_MAX: u32 = 20;
/// Studies that an intake remembers; beyond, they are entered again.
const REMEMBERED_MAX: usize = 10_000;
/// Studies of which it is asked whether they are of one patient.
const COMPARED_MAX: usize = 20;

/// Objects that come in over one association, request or stream: who sends them, and of which studies
/// that is in the trail. One entry stands for all objects of a study.
#[derive(Debug)]
pub struct Intake {
    requester: Requester,
    entered: Mutex<HashSet<About>>,
}

/// Whose study.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct About {
    pub(super) study: String,
    pub(super) patient: String,
}

/// Where entries go, and whose time they have.
#[derive(Debug, Clone)]
pub(super) struct Trail {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Intake {
    /// Nothing has come yet.
    pub fn of(requester: Requester) -> Arc<Self> {
        Arc::new(Self { requester, entered: Mutex::default() })
    }

    /// Who sends.
    pub(super) fn requester(&self) -> &Requester {
        &self.requester
    }

    /// Whether it is in the trail that this sender stores of this study.
    pub(super) fn has(&self, about: &About) -> bool {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner).contains(about)
    }

    fn remember(&self, about: About) {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner).insert(about);
    }

    fn make_room(&self) {
        let mut entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        if entered.len() >= REMEMBERED_MAX {
            entered.clear();
        }
    }
}

impl Trail {
    /// Writes an entry about `requester`, who was permitted `action`.
    pub(super) async fn enter(
        &self,
        requester: &Requester,
        action: Action,
        (record, patient): (&str, &str),
        (outcome, detail): (&'static str, String),
    ) -> Result<(), Error> {
        let Caller { name, role, .. } = &requester.caller;
        let caller = Caller::resumed(name.clone(), *role, action);
        let permit = authorise(&caller, action)?;
        let entry = AuditEntry {
            at_ms: self.clock.now_ms(),
            record_id: record.to_owned(),
            patient_reference: patient.to_owned(),
            outcome,
            detail,
        };
        self.journal.audit(&permit, entry).await
    }

    /// Writes down who stores of which studies, where it is not written down yet. What of it could be
    /// written, each intake knows.
    pub(super) async fn store(
        &self,
        coming: impl Iterator<Item = (&Arc<Intake>, &About)>,
    ) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let new: Vec<(&Arc<Intake>, &About)> = coming
            .filter(|(intake, about)| {
                !intake.has(about) && seen.insert((Arc::as_ptr(intake).addr(), *about))
            })
            .collect();
        let mut outcome = Ok(());
        for (intake, _) in &new {
            intake.make_room();
        }
        for some in new.chunks(AT_ONCE) {
            let entries = some.iter().map(|(intake, about)| async {
                let entered = self.store_of(intake, about).await;
                entered.map(|()| intake.remember((*about).clone()))
            });
            for entered in join_all(entries).await {
                outcome = outcome.and(entered);
            }
        }
        outcome
    }

    async fn store_of(&self, intake: &Intake, about: &About) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            let of = (about.study.as_str(), about.patient.as_str());
            let said = ("ok", String::new());
            let entered = self.enter(&intake.requester, Action::StoreImages, of, said).await;
            match entered {
                Err(Error::Overloaded { retry_after, .. }) if tries < TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(retry_after).await;
                }
                entered => return entered,
            }
        }
    }
}

impl Imaging {
    pub(super) fn trail(&self) -> Trail {
        Trail { journal: Arc::clone(&self.journal), clock: Arc::clone(&self.clock) }
    }

    /// Writes into the trail that `requester` is told of these studies: which one and of whom, where
    /// they are one or of one patient.
    pub(in crate::app) async fn enter_told(
        &self,
        requester: &Requester,
        studies: &BTreeSet<&str>,
        detail: String,
    ) -> Result<(), Error> {
        let study = only(studies.iter().copied()).unwrap_or_default();
        let mut patients = BTreeSet::new();
        if studies.len() <= COMPARED_MAX {
            for study in studies {
                patients.insert(self.patient_of(study).await?);
            }
        }
        let patient = only(patients.iter().map(String::as_str)).unwrap_or_default();
        let said = ("ok", detail);
        self.trail().enter(requester, Action::FindImages, (study, patient), said).await
    }
}

/// What all are, where they are one.
pub(in crate::app) fn only<'a>(mut all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// `answers: 3`.
pub(in crate::app) fn counted(count: usize, what: &str) -> String {
    format!("{what}: {count}")
}
