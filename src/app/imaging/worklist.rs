//! The modality worklist and the steps that modalities report as performed.

use std::fmt::Debug;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::Requester;
use super::peers::Service;
use crate::app::access::{Action, authorise};
use crate::app::error::{Error, FieldProblem};
use crate::app::ports::{BoxFuture, Clock, IdSource};
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::performed::{Fault, Performed};
use crate::sharing::imaging::worklist::{Item, Question, State};

/// Items taken at once.
pub const ITEMS_MAX: usize = 10_000;
/// Answers to one question at most.
pub const ANSWERS_MAX: usize = 10_000;
/// Items of the worklist that are looked at for one question.
const LOOKED_AT_MAX: u32 = 100_000;

/// An item that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What is planned.
    pub item: Item,
    /// How it stands.
    pub state: State,
    /// SOP instance UID of the performed step that carries it out, or did; empty: none.
    pub performed: String,
    /// When it last changed, in milliseconds since 1970-01-01T00:00:00Z.
    pub changed_ms: i64,
}

/// Which items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// First day, `YYYYMMDD`; empty is open.
    pub from: String,
    /// Last day; empty is open.
    pub to: String,
    /// Only those that modalities are told of.
    pub open: bool,
}

/// Where worklist and performed steps are kept. What a call has returned from survives a loss of
/// power.
pub trait WorklistStore: Debug + Send + Sync {
    /// Keeps `items`, each with a study instance UID that it gets if it has none; those with a step
    /// id that is there are replaced. How they stand stays, except that a cancelled one is planned
    /// again; so does a study instance UID, where the new item has none.
    fn put(&self, items: Vec<(Item, String)>, now_ms: i64) -> BoxFuture<'_, Result<(), Error>>;

    /// Cancels planned items by step id. How many were still planned.
    fn cancel(&self, step_ids: Vec<String>, now_ms: i64) -> BoxFuture<'_, Result<u64, Error>>;

    /// Items in the order of their date and time, at most `limit`.
    fn planned(&self, filter: Filter, limit: u32) -> BoxFuture<'_, Result<Vec<Planned>, Error>>;

    /// The performed step with this SOP instance UID.
    fn performed<'a>(
        &'a self,
        instance: &'a str,
    ) -> BoxFuture<'a, Result<Option<Performed>, Error>>;

    /// Keeps a performed step, and how the items that it carries out stand because of it.
    fn put_performed(&self, performed: Performed, now_ms: i64) -> BoxFuture<'_, Result<(), Error>>;
}

/// The use cases.
#[derive(Debug)]
pub struct Worklist {
    store: Arc<dyn WorklistStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    /// Reports of performed steps are dealt with one after the other.
    reports: Mutex<()>,
}

/// What came of a report: outer errors are ours, inner ones the modality's.
pub type Reported<T> = Result<Result<T, Fault>, Error>;

impl Worklist {
    /// Over `store`.
    pub fn new(
        store: Arc<dyn WorklistStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self { store, clock, ids, reports: Mutex::new(()) }
    }

    /// Plans `items`, or replaces those with the same step id. All or none.
    pub async fn plan(&self, requester: &Requester, items: Vec<Item>) -> Result<usize, Error> {
        may_plan(requester)?;
        if items.len() > ITEMS_MAX {
            return Err(Error::field("items", format!("at most {ITEMS_MAX}")));
        }
        let mut problems = Vec::new();
        let mut settled = Vec::with_capacity(items.len());
        for (at, mut item) in items.into_iter().enumerate() {
            problems.extend(item.settle().into_iter().map(|unfit| {
                FieldProblem::new(
                    format!("items[{at}].{}", unfit.field),
                    format!("must be {}", unfit.must_be),
                )
            }));
            let uid = self.new_uid();
            settled.push((item, uid));
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        let count = settled.len();
        self.store.put(settled, self.clock.now_ms()).await?;
        Ok(count)
    }

    /// Cancels planned steps. How many were still planned.
    pub async fn cancel(&self, requester: &Requester, step_ids: Vec<String>) -> Result<u64, Error> {
        may_plan(requester)?;
        self.store.cancel(step_ids, self.clock.now_ms()).await
    }

    /// What is planned, and what became of it.
    pub async fn list(&self, requester: &Requester, filter: Filter) -> Result<Vec<Planned>, Error> {
        requester.permit(Service::Worklist)?;
        self.store.planned(filter, LOOKED_AT_MAX).await
    }

    /// Answers a modality, with at most [`ANSWERS_MAX`] items that are still to be done.
    pub async fn find(
        &self,
        requester: &Requester,
        question: &Question,
    ) -> Result<Vec<Planned>, Error> {
        requester.permit(Service::Worklist)?;
        let (from, to) = question.days();
        let mut found = self.store.planned(Filter { from, to, open: true }, LOOKED_AT_MAX).await?;
        found.retain(|planned| question.matches(&planned.item, planned.state));
        found.truncate(ANSWERS_MAX);
        Ok(found)
    }

    /// A modality begins a step. Without a SOP instance UID the node makes one, which is returned.
    pub async fn begin(
        &self,
        requester: &Requester,
        instance: &str,
        set: &ElementSet,
    ) -> Reported<String> {
        requester.permit(Service::Mpps)?;
        let _one = self.reports.lock().await;
        let instance = if instance.is_empty() { self.new_uid() } else { instance.to_owned() };
        if self.store.performed(&instance).await?.is_some() {
            return Ok(Err(Fault::Duplicate));
        }
        let performed = match Performed::begin(&instance, set) {
            Ok(performed) => performed,
            Err(fault) => return Ok(Err(fault)),
        };
        self.store.put_performed(performed, self.clock.now_ms()).await?;
        Ok(Ok(instance))
    }

    /// A modality goes on with a step or ends it. Tells whether all that was said could be changed.
    pub async fn update(
        &self,
        requester: &Requester,
        instance: &str,
        set: &ElementSet,
    ) -> Reported<bool> {
        requester.permit(Service::Mpps)?;
        let _one = self.reports.lock().await;
        let Some(performed) = self.store.performed(instance).await? else {
            return Ok(Err(Fault::Unknown));
        };
        let (performed, passed_over) = match performed.updated(set) {
            Ok(updated) => updated,
            Err(fault) => return Ok(Err(fault)),
        };
        self.store.put_performed(performed, self.clock.now_ms()).await?;
        Ok(Ok(passed_over.is_empty()))
    }

    /// A UID below 2.25 (PS3.5, B.2), which takes 128 bits from a digest of an id of ours.
    fn new_uid(&self) -> String {
        let digest = Sha256::digest(self.ids.new_id().as_bytes());
        let bits = digest.iter().take(16).fold(0_u128, |n, byte| n << 8 | u128::from(*byte));
        format!("2.25.{bits}")
    }
}

/// Modalities read the worklist; they do not write it.
fn may_plan(requester: &Requester) -> Result<(), Error> {
    authorise(&requester.caller, Action::PlanExaminations).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::access::{Caller, Role};
    use crate::app::imaging::peers::Services;

    #[derive(Debug, Default)]
    struct Kept(std::sync::Mutex<Vec<(Item, String)>>);

    #[derive(Debug)]
    struct Noon;

    #[derive(Debug)]
    struct SameId;

    impl Clock for Noon {
        fn now_ms(&self) -> i64 {
            1_700_000_000_000
        }
    }

    impl IdSource for SameId {
        fn new_id(&self) -> String {
            "id".to_owned()
        }
    }

    fn now<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
        Box::pin(std::future::ready(value))
    }

    impl WorklistStore for Kept {
        fn put(&self, items: Vec<(Item, String)>, _: i64) -> BoxFuture<'_, Result<(), Error>> {
            self.0.lock().unwrap().extend(items);
            now(Ok(()))
        }
        fn cancel(&self, step_ids: Vec<String>, _: i64) -> BoxFuture<'_, Result<u64, Error>> {
            now(Ok(u64::try_from(step_ids.len()).unwrap()))
        }
        fn planned(&self, _: Filter, _: u32) -> BoxFuture<'_, Result<Vec<Planned>, Error>> {
            now(Ok(Vec::new()))
        }
        fn performed<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Performed>, Error>> {
            now(Ok(None))
        }
        fn put_performed(&self, _: Performed, _: i64) -> BoxFuture<'_, Result<(), Error>> {
            now(Ok(()))
        }
    }

    fn of(role: Role, services: Services) -> Requester {
        Requester { caller: Caller::system("test", role), services }
    }

    fn item(step_id: &str) -> Item {
        Item {
            step_id: step_id.to_owned(),
            patient_id: "P1".to_owned(),
            modality: "CT".to_owned(),
            start_date: "20260105".to_owned(),
            start_time: "1030".to_owned(),
            ..Item::default()
        }
    }

    #[tokio::test]
    async fn all_items_of_a_call_are_planned_or_none() {
        let kept = Arc::new(Kept::default());
        let worklist = Worklist::new(Arc::<Kept>::clone(&kept), Arc::new(Noon), Arc::new(SameId));
        let local = of(Role::Local, Services::all());
        let bad = Item { start_date: "tomorrow".to_owned(), ..item("S2") };
        let error = worklist.plan(&local, vec![item("S1"), bad]).await.unwrap_err();
        let Error::Invalid(problems) = error else { panic!("{error:?}") };
        assert_eq!(problems, [FieldProblem::new("items[1].start_date", "must be a date YYYYMMDD")]);
        assert!(kept.0.lock().unwrap().is_empty());
        assert_eq!(worklist.plan(&local, vec![item("S1"), item("S2")]).await.unwrap(), 2);
        let uids: Vec<String> = kept.0.lock().unwrap().iter().map(|(_, uid)| uid.clone()).collect();
        assert!(uids.iter().all(|uid| uid.starts_with("2.25.") && uid.len() <= 64));
        let too_many = vec![Item::default(); ITEMS_MAX + 1];
        assert!(matches!(worklist.plan(&local, too_many).await, Err(Error::Invalid(_))));
    }

    #[tokio::test]
    async fn modalities_do_not_plan_and_peers_without_the_service_do_nothing() {
        let worklist = Worklist::new(Arc::new(Kept::default()), Arc::new(Noon), Arc::new(SameId));
        let modality = of(Role::DicomPeer, Services::all());
        let denied = |error: Error| matches!(error, Error::Denied { .. });
        assert!(denied(worklist.plan(&modality, vec![item("S1")]).await.unwrap_err()));
        assert!(denied(worklist.cancel(&modality, vec!["S1".to_owned()]).await.unwrap_err()));
        let nobody = of(Role::DicomPeer, Services::NONE);
        let question = Question::read(&ElementSet::default()).unwrap();
        assert!(denied(worklist.find(&nobody, &question).await.unwrap_err()));
        assert!(denied(worklist.list(&nobody, Filter::default()).await.unwrap_err()));
        let set = ElementSet::default();
        assert!(denied(worklist.begin(&nobody, "1.2", &set).await.unwrap_err()));
        assert!(denied(worklist.update(&nobody, "1.2", &set).await.unwrap_err()));
        let unknown = worklist.update(&modality, "1.2", &set).await.unwrap();
        assert_eq!(unknown, Err(Fault::Unknown));
        let empty = worklist.begin(&modality, "", &set).await.unwrap();
        assert!(matches!(empty, Err(Fault::Missing(_))));
    }
}
