//! A fetch from a region that errs in every way, and the hub's bookkeeping.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::fetching::{Fetch, Progress, StudyFetch};
use super::hub::{Hub, HubParts, Member, ToNode};
use super::ports::{AskedImages, KeptNode, KeptStudy, Ledger, Pieces, Region, RegionalStore};
use super::store_suite::{study, told};
use super::*;
use crate::app::error::Error;
use crate::app::imaging::tests::{Entries, Noon, imaging_in_memory};
use crate::app::ports::{BoxFuture, IdSource};
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::published::{Held, Key, PatientQuestion};
use crate::sharing::imaging::writing::write;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// What one question for objects is answered with.
type Script = Box<dyn Fn(&FetchRequest) -> Vec<Result<Piece, Error>> + Send>;

/// A region that answers as it is told, one script a question.
struct Told {
    scripts: Mutex<VecDeque<Script>>,
    asked: Mutex<Vec<FetchRequest>>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

fn never<T>() -> Result<T, Error> {
    Err(Error::Unavailable { what: "test", cause: None })
}

impl Region for Told {
    fn attended(&self) -> BoxFuture<'_, Result<IndexState, Error>> {
        Box::pin(async { never() })
    }
    fn publish(&self, _: Publication) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { never() })
    }
    fn current(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { never() })
    }
    fn find(&self, _: PatientQuestion) -> BoxFuture<'_, Result<RegionalAnswer, Error>> {
        Box::pin(async { never() })
    }
    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<Pieces, Error>> {
        let script = self.scripts.lock().unwrap().pop_front();
        let pieces = script.expect("a script for each question")(&request);
        self.asked.lock().unwrap().push(request);
        Box::pin(async {
            let pieces: Pieces = Box::pin(stream::iter(pieces));
            Ok(pieces)
        })
    }
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLine>, Error>> {
        Box::pin(async { never() })
    }
}

fn object(number: u32) -> (ListedObject, Bytes) {
    let uid = format!("1.2.1.1.{number}");
    let set = [
        (tags::SOP_CLASS_UID, CT),
        (tags::SOP_INSTANCE_UID, &uid),
        (tags::STUDY_INSTANCE_UID, "1.2.1"),
        (tags::SERIES_INSTANCE_UID, "1.2.1.1"),
    ];
    let set = set.into_iter().fold(ElementSet::default(), |s, (t, v)| s.with_text(t, VR::UI, v));
    let bytes = Bytes::from(write(&set, true));
    let uids =
        InstanceUids { study: "1.2.1".to_owned(), series: "1.2.1.1".to_owned(), instance: uid };
    let digest = Digest(Sha256::digest(&bytes).into());
    (ListedObject { uids, digest, bytes: u64::try_from(bytes.len()).unwrap() }, bytes)
}

/// As it stands in a script.
type Scripted = Result<Piece, Error>;

#[expect(clippy::unnecessary_wraps, reason = "a script is of results")]
fn from(node: &str) -> Scripted {
    Ok(Piece::From { node: node.to_owned() })
}

#[expect(clippy::unnecessary_wraps, reason = "a script is of results")]
fn begin(of: &ListedObject, offset: u64) -> Scripted {
    Ok(Piece::Object {
        instance: of.uids.instance.clone(),
        digest: of.digest,
        transfer_syntax: EXPLICIT.to_owned(),
        meta: Bytes::new(),
        offset,
        length: of.bytes,
    })
}

fn broken() -> Scripted {
    never()
}

fn listing(node: &'static str, of: &[(ListedObject, Bytes)]) -> Script {
    let listed: Vec<ListedObject> = of.iter().map(|(listed, _)| listed.clone()).collect();
    Box::new(move |request| {
        assert_eq!(request.wanted, Wanted::Listing);
        vec![from(node), Ok(Piece::Listed(listed.clone()))]
    })
}

/// Everything that is asked for, as it is asked for.
fn all(node: &'static str, of: &[(ListedObject, Bytes)]) -> Script {
    let of = of.to_vec();
    Box::new(move |request| {
        let Wanted::Objects(wanted) = &request.wanted else { panic!("{request:?}") };
        let mut pieces = vec![from(node)];
        for object in wanted {
            let (listed, bytes) =
                of.iter().find(|(l, _)| l.uids.instance == object.instance).expect("it");
            let at = usize::try_from(object.offset).unwrap();
            pieces.extend([begin(listed, object.offset), Ok(Piece::Bytes(bytes.slice(at..)))]);
        }
        pieces
    })
}

fn says(pieces: impl Fn() -> Vec<Result<Piece, Error>> + Send + 'static) -> Script {
    Box::new(move |_| pieces())
}

/// Fetches by these scripts; what was asked, and how it ended.
async fn run(scripts: Vec<Script>) -> (Vec<FetchRequest>, Result<Progress, Error>) {
    let (imaging, _keeper) = imaging_in_memory().await;
    let region = Arc::new(Told { scripts: Mutex::new(scripts.into()), asked: Mutex::default() });
    let request =
        StudyFetch { study: "1.2.1".to_owned(), node: String::new(), purpose: Purpose::Treatment };
    let (told, _progress) = mpsc::channel(100);
    let reached: Arc<dyn Region> = Arc::<Told>::clone(&region);
    let fetched = Fetch::new(reached, &imaging, &request, "doctor".to_owned(), told).run().await;
    let left = region.scripts.lock().unwrap().len();
    assert_eq!(left, 0, "every script is used");
    let asked = std::mem::take(&mut *region.asked.lock().unwrap());
    (asked, fetched)
}

fn offsets(request: &FetchRequest) -> Vec<(String, u64)> {
    let Wanted::Objects(wanted) = &request.wanted else { return Vec::new() };
    wanted.iter().map(|w| (w.instance.clone(), w.offset)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_line_that_breaks_inside_an_object_is_gone_on_from_there() {
    let of = [object(1), object(2)];
    let (first, bytes) = of[0].clone();
    let half = bytes.slice(..40);
    let breaks =
        says(move || vec![from("a"), begin(&first, 0), Ok(Piece::Bytes(half.clone())), broken()]);
    let (asked, fetched) = run(vec![listing("a", &of), breaks, all("a", &of)]).await;
    let progress = fetched.unwrap();
    assert_eq!((progress.kept, progress.broken), (2, 1));
    assert_eq!(progress.came, of.iter().map(|(l, _)| l.bytes).sum::<u64>(), "no byte twice");
    assert_eq!(offsets(&asked[2])[0], (of[0].0.uids.instance.clone(), 40));
    assert_eq!(asked[2].node, "a", "one that answered is asked again");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_fails_again_and_again_is_left_for_another() {
    let of = [object(1)];
    let fails = || says(|| vec![broken()]);
    let scripts = vec![listing("a", &of), fails(), fails(), fails(), all("b", &of)];
    let (asked, fetched) = run(scripts).await;
    let progress = fetched.unwrap();
    assert_eq!((progress.kept, progress.node.as_str()), (1, "b"));
    let last = asked.last().unwrap();
    assert_eq!((last.node.as_str(), last.avoid.as_slice()), ("", ["a".to_owned()].as_slice()));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_damaged_on_the_way_is_fetched_anew_and_never_kept() {
    let of = [object(1)];
    let (first, bytes) = of[0].clone();
    let damaged = says(move || {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        vec![from("a"), begin(&first, 0), Ok(Piece::Bytes(bytes.into()))]
    });
    let (asked, fetched) = run(vec![listing("a", &of), damaged, all("a", &of)]).await;
    let progress = fetched.unwrap();
    assert_eq!((progress.kept, progress.broken, progress.came), (1, 1, of[0].0.bytes));
    assert_eq!(offsets(&asked[2])[0].1, 0, "from the beginning");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_asked_for_is_not_taken() {
    let of = [object(1), object(2)];
    let (first, bytes) = of[0].clone();
    let (second, _) = of[1].clone();
    let one = (first.clone(), bytes.clone());
    let wrong: Vec<Script> = vec![
        // Another object, one from another byte, more bytes than there are, bytes of nothing, and
        // a listing where objects belong.
        says(move || vec![from("a"), begin(&second, 0)]),
        says(move || vec![from("a"), begin(&first, 7)]),
        says(move || {
            vec![begin(&one.0, 0), Ok(Piece::Bytes(one.1.clone())), Ok(Piece::Bytes(one.1.clone()))]
        }),
        says(move || vec![from("a"), Ok(Piece::Bytes(bytes.clone()))]),
        says(|| vec![from("a"), Ok(Piece::Listed(Vec::new()))]),
    ];
    for script in wrong {
        let rest = all("a", &of);
        let (_, fetched) = run(vec![listing("a", &of), script, rest]).await;
        let progress = fetched.unwrap();
        assert_eq!((progress.kept, progress.broken), (2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_its_holder_lost_is_counted_and_the_rest_comes() {
    let of = [object(1), object(2)];
    let (second, bytes) = of[1].clone();
    let lost = of[0].0.uids.instance.clone();
    let script = says(move || {
        let missing = Ok(Piece::Missing { instance: lost.clone() });
        vec![from("a"), missing, begin(&second, 0), Ok(Piece::Bytes(bytes.clone()))]
    });
    let (_, fetched) = run(vec![listing("a", &of), script]).await;
    let progress = fetched.unwrap();
    assert_eq!((progress.kept, progress.missing, progress.broken), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_dicom_is_refused_and_does_not_keep_the_rest_from_coming() {
    let bad = Bytes::from_static(b"this is no data set at all, not even a little");
    let mut of = [object(1), object(2)];
    of[0].0.digest = Digest(Sha256::digest(&bad).into());
    of[0].0.bytes = u64::try_from(bad.len()).unwrap();
    of[0].1 = bad;
    let rest = all("a", &of);
    let (_, fetched) = run(vec![listing("a", &of), all("a", &of), rest]).await;
    let progress = fetched.unwrap();
    assert_eq!(progress.kept, 1);
    assert_eq!(progress.refused.values().sum::<u64>(), 1, "{:?}", progress.refused);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_gone_is_given_up_in_the_end_and_one_that_says_no_at_once() {
    let fails = || says(|| vec![broken()]);
    let (_, fetched) = run((0..8).map(|_| fails()).collect()).await;
    assert!(matches!(fetched, Err(Error::Unavailable { .. })));
    let no = says(|| vec![Err(Error::NotFound { kind: "study" })]);
    let (_, fetched) = run(vec![no]).await;
    assert!(matches!(fetched, Err(Error::NotFound { .. })));
    let (_, fetched) = run(vec![listing("a", &[])]).await;
    assert!(matches!(fetched, Err(Error::NotFound { .. })), "a study without objects is none");
}

/// What was published, in memory.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<(String, PublishedStudy)>>);

impl RegionalStore for Kept {
    fn publish<'a>(&'a self, node: &'a str, p: Publication) -> BoxFuture<'a, Result<(), Error>> {
        let studies = p.studies.into_iter().map(|s| (node.to_owned(), s));
        self.0.lock().unwrap().extend(studies);
        Box::pin(async { Ok(()) })
    }
    fn seen<'a>(&'a self, _: &'a str, _: i64, _: Option<i64>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
    fn node<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<KeptNode, Error>> {
        Box::pin(async { Ok(KeptNode::default()) })
    }
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<KeptNode>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn find(&self, keys: Vec<Key>, _: u64) -> BoxFuture<'_, Result<Vec<KeptStudy>, Error>> {
        let kept = self.0.lock().unwrap();
        let found = kept.iter().filter_map(|(node, study)| {
            let has = study.keys();
            let key = keys.iter().position(|key| has.contains(key))?;
            Some(KeptStudy { node: node.clone(), study: study.clone(), key })
        });
        let found = found.collect();
        Box::pin(async { Ok(found) })
    }
    fn studied<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[derive(Debug)]
struct Counting(std::sync::atomic::AtomicU64);

impl IdSource for Counting {
    fn new_id(&self) -> String {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string()
    }
}

/// Counts persons, and refuses more than so many.
#[derive(Debug)]
struct Counted {
    asked: Mutex<Vec<AskedImages>>,
    persons_max: usize,
}

impl Ledger for Counted {
    fn note<'a>(&'a self, asked: &'a AskedImages) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut all = self.asked.lock().unwrap();
            all.push(asked.clone());
            let persons: std::collections::HashSet<&String> =
                all.iter().flat_map(|asked| &asked.persons).collect();
            let (what, retry_after) = ("test", Duration::from_secs(1));
            if persons.len() > self.persons_max {
                return Err(Error::Overloaded { what, retry_after });
            }
            Ok(())
        })
    }
}

fn hub() -> Arc<Hub> {
    hub_with(usize::MAX).0
}

fn hub_with(persons_max: usize) -> (Arc<Hub>, Arc<Counted>, Arc<Entries>) {
    let ledger = Arc::new(Counted { asked: Mutex::default(), persons_max });
    let entries = Arc::<Entries>::default();
    let member = |name: &str, area: &str| Member { name: name.to_owned(), area: area.to_owned() };
    let hub = Hub::new(HubParts {
        name: "hub".to_owned(),
        members: vec![member("a", "3609"), member("b", "3601"), member("c", "360981")],
        store: Arc::new(Kept::default()),
        ledger: Arc::<Counted>::clone(&ledger),
        own: None,
        journal: Arc::<Entries>::clone(&entries),
        clock: Arc::new(Noon),
        ids: Arc::new(Counting(1.into())),
    });
    (hub, ledger, entries)
}

fn wanted(study: &str, node: &str) -> FetchRequest {
    FetchRequest {
        study: study.to_owned(),
        node: node.to_owned(),
        avoid: Vec::new(),
        wanted: Wanted::Listing,
        purpose: Purpose::Treatment,
        requested_by: "doctor".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn holders_come_in_the_order_in_which_a_study_is_best_had() {
    let hub = hub();
    let held = |held, instances| PublishedStudy { instances, held, ..study("1", "A", "", "", "") };
    for (node, study) in [("a", held(Held::Own, 5)), ("b", held(Held::Own, 5))] {
        hub.publish(node, told("g", vec![study])).await.unwrap();
    }
    let question = PatientQuestion { patient_id: "A".to_owned(), ..PatientQuestion::default() };
    let order = async |asker: &str| {
        let answer = hub.find(asker, &question).await.unwrap();
        let holdings = answer.studies[0].holdings.iter();
        holdings.map(|h| (h.node.clone(), h.online)).collect::<Vec<_>>()
    };
    assert_eq!(order("c").await, [("a".to_owned(), false), ("b".to_owned(), false)]);
    // Who is there comes before who is near.
    let b = hub.attend("b").await.unwrap();
    assert_eq!(order("c").await[0], ("b".to_owned(), true));
    let _a = hub.attend("a").await.unwrap();
    assert_eq!(order("c").await[0].0, "a");
    assert_eq!(order("b").await[0].0, "b", "what is here comes first");
    // An archive behind a node comes last of those who have as much; whoever has more comes first.
    hub.publish("c", told("g", vec![held(Held::Behind, 5)])).await.unwrap();
    let _c = hub.attend("c").await.unwrap();
    assert_eq!(order("c").await.last().unwrap().0, "c");
    hub.publish("c", told("g", vec![held(Held::Behind, 9)])).await.unwrap();
    assert_eq!(order("a").await[0].0, "c");
    hub.publish("c", told("g", vec![held(Held::Behind, 4)])).await.unwrap();
    assert_eq!(order("c").await.last().unwrap().0, "c");
    drop(b);
    assert_eq!(order("c").await.last().unwrap(), &("b".to_owned(), false));
}

#[tokio::test(start_paused = true)]
async fn only_members_attend_publish_and_deliver_and_a_ticket_holds_once() {
    let hub = hub();
    assert!(matches!(hub.attend("stranger").await, Err(Error::Denied { .. })));
    let refused = hub.publish("stranger", told("g", Vec::new())).await;
    assert!(matches!(refused, Err(Error::Denied { .. })));
    let refused = hub.publish("a", told("", Vec::new())).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
    hub.publish("a", told("g", vec![study("1", "A", "", "", "")])).await.unwrap();
    let mut a = hub.attend("a").await.unwrap();
    let asking = async {
        let pieces = hub.fetch("c", wanted("1", "")).await.unwrap();
        stream::StreamExt::collect::<Vec<_>>(pieces).await
    };
    let delivering = async {
        let Some(ToNode::Order(order)) = a.orders.recv().await else { panic!("an order") };
        assert_eq!((order.study.as_str(), order.asked_by.as_str()), ("1", "c"));
        assert!(hub.deliver("b", &order.ticket).is_err(), "another node's ticket");
        let pieces = hub.deliver("a", &order.ticket).unwrap();
        assert!(hub.deliver("a", &order.ticket).is_err(), "a second time");
        pieces.send(from("another's name")).await.unwrap();
    };
    let (pieces, ()) = tokio::join!(asking, delivering);
    assert!(matches!(pieces.as_slice(), [Ok(Piece::From { node })] if node == "a"));
    // Another box takes the name: the older one is told, and hears nothing more.
    let again = hub.attend("a").await.unwrap();
    assert_eq!(a.orders.recv().await, Some(ToNode::Replaced));
    drop(a);
    let nodes = hub.nodes().await.unwrap();
    assert!(nodes.iter().find(|n| n.node == "a").unwrap().online, "the newer one is still there");
    drop(again);
    assert!(!hub.nodes().await.unwrap().iter().find(|n| n.node == "a").unwrap().online);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_does_not_begin_is_passed_over_and_who_waits_in_vain_is_told() {
    let hub = hub();
    for node in ["a", "b"] {
        hub.publish(node, told("g", vec![study("1", "A", "", "", "")])).await.unwrap();
    }
    let (mut a, mut b) = (hub.attend("a").await.unwrap(), hub.attend("b").await.unwrap());
    let delivering = async {
        // The nearer one takes the order and says nothing; its ticket is void then.
        let Some(ToNode::Order(first)) = a.orders.recv().await else { panic!("an order") };
        let Some(ToNode::Order(second)) = b.orders.recv().await else { panic!("an order") };
        assert!(hub.deliver("a", &first.ticket).is_err());
        hub.deliver("b", &second.ticket).unwrap().send(from("b")).await.unwrap();
    };
    let (pieces, ()) = tokio::join!(hub.fetch("c", wanted("1", "")), delivering);
    assert!(pieces.is_ok());
    for (request, code) in [
        (wanted("1", "c"), "nobody there has it"),
        (wanted("9", ""), "no such study"),
        (FetchRequest { avoid: vec!["a".into(), "b".into()], ..wanted("1", "") }, "all avoided"),
    ] {
        let refused = tokio::time::timeout(Duration::from_secs(1), hub.fetch("c", request)).await;
        assert!(refused.unwrap().is_err(), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn whose_images_are_asked_for_is_entered_and_counted_before_anything_is_told() {
    let (hub, ledger, entries) = hub_with(2);
    let studies = vec![study("1", "A", "", "", ""), study("2", "B", "", "", "")];
    hub.publish("a", told("g", studies)).await.unwrap();
    let _a = hub.attend("a").await.unwrap();
    let of = |id: &str| PatientQuestion { patient_id: id.into(), ..PatientQuestion::default() };
    let entry = |action: &str, study: &str, patient: &str| {
        [action, "ok", study, patient].map(str::to_owned)
    };
    assert_eq!(hub.find("c", &of("A")).await.unwrap().studies.len(), 1);
    assert_eq!(entries.taken(), [entry("find_images", "1", "A")]);
    assert!(hub.find("c", &of("Z")).await.unwrap().studies.is_empty());
    assert_eq!(entries.taken(), [entry("find_images", "", "Z")], "nobody is one of them, too");
    let asked = ledger.asked.lock().unwrap().clone();
    assert_eq!(asked[0].persons, ["id A"]);
    assert_eq!(
        (asked[0].node.as_str(), asked[0].action, asked[0].found),
        ("c", "find_images", true)
    );
    assert_eq!((asked[1].persons.as_slice(), asked[1].found), (&["id Z".to_owned()][..], false));
    // A third: by whatever it is asked for, nothing is told and nothing passed.
    let by_uid = PatientQuestion { studies: vec!["2".into()], ..PatientQuestion::default() };
    for question in [of("B"), by_uid] {
        let refused = hub.find("c", &question).await.unwrap_err();
        assert!(matches!(refused, Error::Overloaded { .. }), "{refused:?}");
    }
    let refused = hub.fetch("c", wanted("2", "")).await.err().unwrap();
    assert!(matches!(refused, Error::Overloaded { .. }), "{refused:?}");
    let asked = ledger.asked.lock().unwrap().pop().unwrap();
    assert_eq!((asked.action, asked.purpose), ("fetch_images", "treatment"));
    assert_eq!((asked.asked_by.as_str(), asked.study.as_str()), ("doctor", "2"));
    // Whether there is such a study is told to nobody, either.
    let refused = hub.fetch("c", wanted("9", "")).await.err().unwrap();
    assert!(matches!(refused, Error::Overloaded { .. }), "{refused:?}");
    let asked = ledger.asked.lock().unwrap().pop().unwrap();
    assert_eq!((asked.persons.as_slice(), asked.found), (&["study 9".to_owned()][..], false));
    assert!(entries.taken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_passes_the_hub_is_entered_with_its_patient() {
    let (hub, _, entries) = hub_with(1);
    hub.publish("a", told("g", vec![study("1", "A", "", "", "")])).await.unwrap();
    let mut a = hub.attend("a").await.unwrap();
    let delivering = async {
        let Some(ToNode::Order(order)) = a.orders.recv().await else { panic!("an order") };
        hub.deliver("a", &order.ticket).unwrap().send(from("a")).await.unwrap();
    };
    let (pieces, ()) = tokio::join!(hub.fetch("c", wanted("1", "")), delivering);
    assert!(pieces.is_ok());
    assert_eq!(entries.taken(), [["retrieve_images", "ok", "1", "A"].map(str::to_owned)]);
}
