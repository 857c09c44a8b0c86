//! The modality worklist and the steps that modalities report as performed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::entering::Trail;
use super::peers::Service;
use super::{Requester, counted, only};
use crate::app::access::{Action, authorise};
use crate::app::error::{Error, FieldProblem};
use crate::app::ports::{BoxFuture, Clock, IdSource, Journal};
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
    trail: Trail,
    ids: Arc<dyn IdSource>,
    /// Reports of performed steps are dealt with one after the other.
    reports: Mutex<()>,
}

/// What came of a report: outer errors are ours, inner ones the modality's.
pub type Reported<T> = Result<Result<T, Fault>, Error>;

impl Worklist {
    /// Over `store`; `journal` has the audit trail.
    pub fn new(
        store: Arc<dyn WorklistStore>,
        (journal, clock): (Arc<dyn Journal>, Arc<dyn Clock>),
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self { store, trail: Trail { journal, clock }, ids, reports: Mutex::new(()) }
    }

    fn now_ms(&self) -> i64 {
        self.trail.clock.now_ms()
    }

    /// Writes into the audit trail, for each patient, how many steps of theirs are planned or cancelled.
    /// Not in the database of the worklist: what is meant is written before it is done.
    async fn enter_each<'a>(
        &self,
        requester: &Requester,
        items: impl Iterator<Item = &'a Item>,
        (outcome, what): (&'static str, &str),
    ) -> Result<(), Error> {
        let mut patients: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for item in items {
            patients.entry(&item.patient_id).or_default().push(&item.step_id);
        }
        for (patient, steps) in patients {
            let step = only(steps.iter().copied()).unwrap_or_default();
            let said = (outcome, counted(steps.len(), what));
            self.trail.enter(requester, Action::PlanExaminations, (step, patient), said).await?;
        }
        Ok(())
    }

    /// Writes into the audit trail what of the worklist is told.
    async fn enter_told(&self, requester: &Requester, told: &[Planned]) -> Result<(), Error> {
        let step = only(told.iter().map(|one| one.item.step_id.as_str())).unwrap_or_default();
        let patient = only(told.iter().map(|one| one.item.patient_id.as_str()));
        let of = (step, patient.unwrap_or_default());
        let said = ("ok", counted(told.len(), "steps"));
        self.trail.enter(requester, Action::ReadWorklist, of, said).await
    }

    /// Writes into the audit trail that a modality reports of a step, before it is kept.
    async fn enter_report(
        &self,
        requester: &Requester,
        performed: &Performed,
    ) -> Result<(), Error> {
        let references = performed.references();
        let study = only(references.iter().map(|of| of.study.as_str())).unwrap_or_default();
        let said = ("ok", performed.progress.term().to_ascii_lowercase());
        let patient = performed.patient_id();
        self.trail.enter(requester, Action::ReportSteps, (study, &patient), said).await
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
        let items = settled.iter().map(|(item, _)| item);
        self.enter_each(requester, items, ("asked", "steps to plan")).await?;
        self.store.put(settled.clone(), self.now_ms()).await?;
        let items = settled.iter().map(|(item, _)| item);
        self.enter_each(requester, items, ("ok", "steps planned")).await?;
        Ok(count)
    }

    /// Cancels planned steps. How many were still planned.
    pub async fn cancel(&self, requester: &Requester, step_ids: Vec<String>) -> Result<u64, Error> {
        may_plan(requester)?;
        let all = self.store.planned(Filter::default(), LOOKED_AT_MAX).await?;
        let named = |one: &&Planned| step_ids.contains(&one.item.step_id);
        let items: Vec<Item> = all.iter().filter(named).map(|one| one.item.clone()).collect();
        self.enter_each(requester, items.iter(), ("asked", "steps to cancel")).await?;
        let count = self.store.cancel(step_ids, self.now_ms()).await?;
        self.enter_each(requester, items.iter(), ("ok", "steps cancelled or done before")).await?;
        Ok(count)
    }

    /// What is planned, and what became of it.
    pub async fn list(&self, requester: &Requester, filter: Filter) -> Result<Vec<Planned>, Error> {
        requester.permit(Service::Worklist)?;
        let planned = self.store.planned(filter, LOOKED_AT_MAX).await?;
        self.enter_told(requester, &planned).await?;
        Ok(planned)
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
        self.enter_told(requester, &found).await?;
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
        self.enter_report(requester, &performed).await?;
        self.store.put_performed(performed, self.now_ms()).await?;
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
        self.enter_report(requester, &performed).await?;
        self.store.put_performed(performed, self.now_ms()).await?;
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
    use dicom_core::VR;
    use dicom_dictionary_std::tags;

    use super::*;
    use crate::app::access::{Caller, Role};
    use crate::app::imaging::peers::Services;
    use crate::app::imaging::tests::Entries;
    use crate::sharing::imaging::element::{Element, Value};

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
            let items = self.0.lock().unwrap().clone();
            let planned = items.into_iter().map(|(item, _)| Planned {
                item,
                state: State::Scheduled,
                performed: String::new(),
                changed_ms: 0,
            });
            now(Ok(planned.collect()))
        }
        fn performed<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Performed>, Error>> {
            now(Ok(None))
        }
        fn put_performed(&self, _: Performed, _: i64) -> BoxFuture<'_, Result<(), Error>> {
            now(Ok(()))
        }
    }

    fn over(kept: Arc<Kept>, entries: &Arc<Entries>) -> Worklist {
        let journal: Arc<dyn Journal> = Arc::<Entries>::clone(entries);
        Worklist::new(kept, (journal, Arc::new(Noon)), Arc::new(SameId))
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
        let worklist = over(Arc::<Kept>::clone(&kept), &Arc::default());
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
        let entries = Arc::<Entries>::default();
        let worklist = over(Arc::default(), &entries);
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
        assert!(entries.taken().is_empty(), "nothing was told or done");
    }

    #[tokio::test]
    async fn what_is_planned_told_and_reported_is_in_the_trail_with_its_patient() {
        let (kept, entries) = (Arc::<Kept>::default(), Arc::<Entries>::default());
        let worklist = over(Arc::clone(&kept), &entries);
        let local = of(Role::Local, Services::all());
        let of_another = Item { patient_id: "P2".to_owned(), ..item("S2") };
        worklist.plan(&local, vec![item("S1"), of_another, item("S3")]).await.unwrap();
        let said = |action: &str, outcome: &str, of: (&str, &str)| {
            let (record, patient) = of;
            [action, outcome, record, patient].map(str::to_owned)
        };
        let plan = "plan_examinations";
        assert_eq!(
            entries.taken(),
            [
                said(plan, "asked", ("", "P1")),
                said(plan, "asked", ("S2", "P2")),
                said(plan, "ok", ("", "P1")),
                said(plan, "ok", ("S2", "P2")),
            ]
        );
        let modality = of(Role::DicomPeer, Services::all());
        let question = Question::read(&ElementSet::default()).unwrap();
        assert_eq!(worklist.find(&modality, &question).await.unwrap().len(), 3);
        worklist.list(&local, Filter::default()).await.unwrap();
        assert_eq!(
            entries.taken(),
            [said("read_worklist", "ok", ("", "")), said("read_worklist", "ok", ("", ""))]
        );
        let of_one = ElementSet::default().with_text(tags::PATIENT_ID, VR::LO, "P2");
        let question = Question::read(&of_one).unwrap();
        assert_eq!(worklist.find(&modality, &question).await.unwrap().len(), 1);
        assert_eq!(entries.taken(), [said("read_worklist", "ok", ("S2", "P2"))]);
        worklist.cancel(&local, vec!["S2".to_owned()]).await.unwrap();
        assert_eq!(
            entries.taken(),
            [said(plan, "asked", ("S2", "P2")), said(plan, "ok", ("S2", "P2"))]
        );
        let step = ElementSet::default().with_text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3");
        let mut begun = ElementSet::default()
            .with_text(tags::PERFORMED_PROCEDURE_STEP_ID, VR::SH, "1")
            .with_text(tags::PERFORMED_STATION_AE_TITLE, VR::AE, "CT")
            .with_text(tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA, "20260105")
            .with_text(tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM, "1030")
            .with_text(tags::PERFORMED_PROCEDURE_STEP_STATUS, VR::CS, "IN PROGRESS")
            .with_text(tags::MODALITY, VR::CS, "CT")
            .with_text(tags::PATIENT_ID, VR::LO, "P1");
        begun.insert(Element {
            tag: tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE,
            vr: VR::SQ,
            value: Value::Items(vec![step]),
        });
        worklist.begin(&modality, "1.2.9", &begun).await.unwrap().unwrap();
        assert_eq!(entries.taken(), [said("report_performed_steps", "ok", ("1.2.3", "P1"))]);
        entries.fail();
        assert!(worklist.find(&modality, &question).await.is_err(), "told without an entry");
    }
}
