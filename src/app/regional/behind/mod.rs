//! Studies in a PACS behind this node.
//!
//! The PACS is asked what it has ([`following`]), and the region is told of it like of what the node
//! holds itself, as nearline. When somebody with a reason asks for such a study it is brought into
//! the archive, as copies that give room again, and delivered from there ([`Behind::bring`]): the
//! PACS need know nothing of the region.

pub mod following;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dicom_dictionary_std::tags;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture as Future, Shared, WeakShared};
use tokio::sync::Semaphore;

use crate::app::chain;
use crate::app::error::Error;
use crate::app::imaging::Imaging;
use crate::app::imaging::Requester;
use crate::app::imaging::study::any_of;
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::published::PublishedStudy;
use crate::sharing::imaging::query::{Level, Match, Query};

/// Studies brought from one PACS at the same time: archives allow few associations.
const AT_ONCE: usize = 2;
/// Studies of which it is remembered how much of them came.
const REMEMBERED_MAX: usize = 4_096;
/// What is not there when the PACS does not answer.
const PACS: &str = "PACS behind the node";

/// What a PACS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Studies of one day, `YYYYMMDD`.
    Studies {
        /// Study date.
        day: String,
    },
    /// The series of a study.
    Series {
        /// Study instance UID.
        study: String,
    },
    /// The instances of a series, with what reports say of their state.
    Instances {
        /// Study instance UID.
        study: String,
        /// Series instance UID.
        series: String,
    },
}

/// What came of bringing a study.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brought {
    /// Objects that the PACS says it gave.
    pub completed: u64,
    /// Objects that it says it could not give, and those that were refused here.
    pub failed: u64,
}

/// A PACS as the node asks it.
pub trait Pacs: Debug + Send + Sync {
    /// Its name: the AE title.
    fn name(&self) -> &str;

    /// Answers to questions, in their order. A count that the PACS does not tell is 0.
    fn ask(&self, questions: Vec<Question>) -> BoxFuture<'_, Result<Vec<Vec<Match>>, Error>>;

    /// Brings a study into the node's archive, as copies. What was said to be brought is on the disk
    /// and can be found when this returns.
    fn bring<'a>(&'a self, study: &'a str) -> BoxFuture<'a, Result<Brought, Error>>;
}

/// A place in the feed of what changed behind the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// Tells one feed from another.
    pub epoch: String,
    /// The last change that is in it.
    pub number: u64,
}

/// A study behind the node.
#[derive(Debug, Clone, PartialEq)]
pub struct BehindStudy {
    /// Name of the PACS.
    pub pacs: String,
    /// The study as it is published.
    pub study: PublishedStudy,
}

/// Keeps what PACS behind the node have.
pub trait BehindStore: Debug + Send + Sync {
    /// The end of the feed.
    fn mark(&self) -> BoxFuture<'_, Result<Mark, Error>>;

    /// Keeps what `pacs` has of `day`; one that is kept already is replaced. Each is a change.
    fn keep<'a>(
        &'a self,
        pacs: &'a str,
        day: &'a str,
        studies: Vec<PublishedStudy>,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// `pacs` does not have these any more. Each is a change.
    fn gone<'a>(&'a self, pacs: &'a str, studies: Vec<String>) -> BoxFuture<'a, Result<(), Error>>;

    /// Everything of a PACS that is not among `names` is gone.
    fn retain(&self, names: Vec<String>) -> BoxFuture<'_, Result<(), Error>>;

    /// What `pacs` has of the days from `from` to `to`, both included.
    fn dated<'a>(
        &'a self,
        pacs: &'a str,
        from: &'a str,
        to: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PublishedStudy>, Error>>;

    /// Changes after `number`, oldest first: their numbers and study instance UIDs.
    fn changed(&self, number: u64, limit: u64) -> BoxFuture<'_, Result<Vec<(u64, String)>, Error>>;

    /// What is kept of these studies; one that two PACS have, twice.
    fn of(&self, studies: Vec<String>) -> BoxFuture<'_, Result<Vec<BehindStudy>, Error>>;

    /// Study instance UIDs after `after`, in their order.
    fn list<'a>(&'a self, after: &'a str, limit: u64) -> BoxFuture<'a, Result<Vec<String>, Error>>;
}

/// What brings a study from a PACS.
type Errand = Future<'static, Result<Brought, Arc<Error>>>;
/// The same, awaited by everybody who wants that study.
type Bringing = Shared<Errand>;

/// What is behind the node, and the way to it.
#[derive(Debug)]
pub struct Behind {
    imaging: Arc<Imaging>,
    store: Arc<dyn BehindStore>,
    pacs: BTreeMap<String, (Arc<dyn Pacs>, Arc<Semaphore>)>,
    /// Studies that are being brought. Nothing is brought that nobody waits for.
    bringing: Mutex<HashMap<String, WeakShared<Errand>>>,
    /// How much of a study the PACS had and was here when the last of it had been brought: it may
    /// have objects that it does not give or that are not kept here.
    settled: Mutex<HashMap<String, (u64, u64)>>,
}

impl Behind {
    /// The studies of `pacs`, as `store` keeps them; they are brought into `imaging`.
    pub fn new(
        imaging: Arc<Imaging>,
        store: Arc<dyn BehindStore>,
        pacs: Vec<Arc<dyn Pacs>>,
    ) -> Self {
        let entry = |pacs: Arc<dyn Pacs>| {
            (pacs.name().to_owned(), (pacs, Arc::new(Semaphore::new(AT_ONCE))))
        };
        let pacs = pacs.into_iter().map(entry).collect();
        Self { imaging, store, pacs, bringing: Mutex::default(), settled: Mutex::default() }
    }

    /// What is kept of it.
    pub fn store(&self) -> &dyn BehindStore {
        &*self.store
    }

    /// Of these studies those that are behind the node, from the PACS that has most of each.
    pub async fn among(&self, studies: Vec<String>) -> Result<HashMap<String, BehindStudy>, Error> {
        let mut best: HashMap<String, BehindStudy> = HashMap::new();
        for found in self.store.of(studies).await? {
            let uid = found.study.study.uid.clone();
            let there = best.get(&uid).map(|b| b.study.instances);
            if there.is_none_or(|instances| instances < found.study.instances) {
                best.insert(uid, found);
            }
        }
        Ok(best)
    }

    /// A study of which a PACS has more than is here; none if there is no more to bring.
    pub async fn lacking(
        &self,
        requester: &Requester,
        study: &str,
    ) -> Result<Option<BehindStudy>, Error> {
        let Some(behind) = self.among(vec![study.to_owned()]).await?.remove(study) else {
            return Ok(None);
        };
        let here = self.here(requester, study).await?;
        let settled = lock(&self.settled).get(study) == Some(&(behind.study.instances, here));
        let enough = here > 0 && (here >= behind.study.instances || settled);
        Ok((!enough).then_some(behind))
    }

    /// Brings a study that [`Behind::lacking`] found. Several who wait wait for the same; when all
    /// of them have gone it is given up.
    pub async fn bring(
        self: &Arc<Self>,
        requester: &Requester,
        lacking: &BehindStudy,
    ) -> Result<Brought, Error> {
        let uid = &lacking.study.study.uid;
        let bringing = self.begin(lacking)?;
        let brought = bringing.await.map_err(|error| Error::Unavailable {
            what: PACS,
            cause: Some(chain(&*error).into()),
        })?;
        let here = self.here(requester, uid).await?;
        let mut settled = lock(&self.settled);
        if settled.len() >= REMEMBERED_MAX {
            settled.clear();
        }
        settled.insert(uid.clone(), (lacking.study.instances, here));
        Ok(brought)
    }

    fn begin(&self, lacking: &BehindStudy) -> Result<Bringing, Error> {
        let uid = &lacking.study.study.uid;
        let mut running = lock(&self.bringing);
        running.retain(|_, weak| weak.upgrade().is_some());
        if let Some(shared) = running.get(uid).and_then(WeakShared::upgrade) {
            return Ok(shared);
        }
        let gone = || Error::Unavailable { what: PACS, cause: None };
        let (pacs, places) = self.pacs.get(&lacking.pacs).cloned().ok_or_else(gone)?;
        let study = uid.clone();
        let shared: Bringing = async move {
            let _place = places.acquire_owned().await.map_err(|_| Arc::new(gone()))?;
            tracing::info!(pacs = pacs.name(), study, "a study is brought");
            let brought = pacs.bring(&study).await;
            match &brought {
                Ok(Brought { completed, failed: 0 }) => {
                    tracing::info!(pacs = pacs.name(), study, completed, "a study was brought");
                }
                Ok(Brought { completed, failed }) => tracing::warn!(
                    pacs = pacs.name(),
                    study,
                    completed,
                    failed,
                    "a study was brought in part"
                ),
                Err(error) => tracing::warn!(
                    pacs = pacs.name(),
                    study,
                    error = chain(error),
                    "a study could not be brought"
                ),
            }
            brought.map_err(Arc::new)
        }
        .boxed()
        .shared();
        if let Some(weak) = shared.downgrade() {
            running.insert(uid.clone(), weak);
        }
        Ok(shared)
    }

    /// Instances of a study that the node holds.
    pub(super) async fn here(&self, requester: &Requester, study: &str) -> Result<u64, Error> {
        let query = Query {
            level: Level::Study,
            conditions: vec![any_of(tags::STUDY_INSTANCE_UID, vec![study.to_owned()])],
            combined_date_time: false,
            offset: 0,
            limit: 1,
        };
        let found = self.imaging.find(requester, query).await?;
        Ok(found.first().map_or(0, |study| study.instances))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
