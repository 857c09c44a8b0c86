//! A hub, a hospital and clinics: studies found across the region and fetched from who holds them,
//! over real links, through broken lines, and by nobody who may not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};
use xiangyi::config::{Config, MemberSection, NodeRole};
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::node::v1 as nd;
use xiangyi::rpc::proto::xiangyi::recognition::v1 as rg;

use crate::harness::{TestNode, bad_fields, hex};
use crate::images::{Slice, retrieve, small, store_slices};

/// A node restarts, a line breaks and is dialled again: all within this.
const PATIENCE: Duration = Duration::from_mins(1);
const MEMBERS: [(&str, &str); 4] = [
    ("county", "360981"),
    ("city", "360902"),
    ("village", "360981102201"),
    ("township", "360981102"),
];

pub(crate) fn token(node: &str) -> String {
    format!("link-token-of-{node}")
}

pub(crate) fn member(name: &str, area: &str) -> MemberSection {
    MemberSection {
        name: name.to_owned(),
        area: area.to_owned(),
        certificate_sha256: None,
        token_sha256: Some(hex(&Sha256::digest(token(name).as_bytes()))),
    }
}

async fn hub_at(listen: &str, data: TempDir) -> TestNode {
    hub_with(listen, data, |_| ()).await
}

async fn hub_with(listen: &str, data: TempDir, more: impl FnOnce(&mut Config)) -> TestNode {
    let setup = small().with(|c| {
        "hub".clone_into(&mut c.node.name);
        c.node.role = NodeRole::Hub;
        c.link.listen = Some(listen.parse().unwrap());
        c.link.nodes = MEMBERS.map(|(name, area)| member(name, area)).to_vec();
        more(c);
    });
    setup.start_in(data).await
}

pub(crate) async fn hub() -> TestNode {
    hub_at("127.0.0.1:0", tempfile::tempdir().unwrap()).await
}

/// A node that dials the hub at `address`.
pub(crate) async fn node_in(name: &str, address: SocketAddr, data: TempDir) -> TestNode {
    node_with(name, address, data, |_| ()).await
}

/// The same, with more in its configuration.
pub(crate) async fn node_with(
    name: &str,
    address: SocketAddr,
    data: TempDir,
    more: impl FnOnce(&mut Config),
) -> TestNode {
    let file = data.path().join("link-token");
    std::fs::write(&file, format!("{}\n", token(name))).unwrap();
    let setup = small().with(|c: &mut Config| {
        name.clone_into(&mut c.node.name);
        c.link.hub = Some(format!("http://{address}"));
        c.link.token_file = Some(file);
        more(c);
    });
    setup.start_in(data).await
}

pub(crate) async fn node(name: &str, hub: &TestNode) -> TestNode {
    node_in(name, hub.node.link_address().unwrap(), tempfile::tempdir().unwrap()).await
}

/// Tries until `done` gives something.
pub(crate) async fn until<T>(what: &str, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn nodes_of(
    node: &TestNode,
) -> nd::node_service_client::NodeServiceClient<tonic::transport::Channel> {
    nd::node_service_client::NodeServiceClient::new(node.channel.clone())
}

/// Waits until the hub has `count` studies of a node whose index is current.
pub(crate) async fn published(hub: &TestNode, node: &str, count: u64) {
    until(&format!("{node} publishes {count}"), async || {
        let listed = nodes_of(hub).list_nodes(nd::ListNodesRequest {}).await.unwrap().into_inner();
        let line = listed.nodes.into_iter().find(|n| n.name == node)?;
        (line.online && line.study_count == count && line.indexed_at.is_some()).then_some(())
    })
    .await;
}

/// Waits until a node reaches its hub.
pub(crate) async fn reaches(node: &TestNode) {
    until("the hub is reached", async || {
        nodes_of(node).list_nodes(nd::ListNodesRequest {}).await.ok().map(|_| ())
    })
    .await;
}

pub(crate) fn wang() -> im::SearchStudiesRequest {
    im::SearchStudiesRequest {
        patient_name: "王小东".to_owned(),
        birth_date: "1960-01-31".to_owned(),
        scope: im::SearchScope::Region.into(),
        ..Default::default()
    }
}

pub(crate) async fn ask(
    node: &TestNode,
    request: im::SearchStudiesRequest,
) -> im::SearchStudiesResponse {
    node.imaging().search_studies(request).await.unwrap().into_inner()
}

pub(crate) fn fetch_of(study: &str) -> im::FetchStudyRequest {
    im::FetchStudyRequest {
        study_uid: study.to_owned(),
        node: String::new(),
        purpose: im::PurposeOfUse::Treatment.into(),
    }
}

pub(crate) async fn fetch(
    node: &TestNode,
    request: im::FetchStudyRequest,
) -> Result<im::FetchStudyResponse, Status> {
    let mut steps = node.imaging().fetch_study(request).await?.into_inner();
    let mut last = None;
    while let Some(step) = steps.message().await? {
        assert!(last.as_ref().is_none_or(|l: &im::FetchStudyResponse| !l.done), "done comes last");
        last = Some(step);
    }
    let last = last.expect("a step");
    assert!(last.done, "{last:?}");
    Ok(last)
}

/// Every slice is at `node` as it was written.
pub(crate) async fn holds(node: &TestNode, slices: &[Slice]) {
    for slice in slices {
        let request =
            im::RetrieveObjectRequest { sop_instance_uid: slice.uid(), ..Default::default() };
        let object = retrieve(node, request).await.unwrap();
        assert!(object.data == slice.bytes(), "{}", slice.uid());
    }
}

fn places(study: &im::StudySummary) -> Vec<(String, im::Availability)> {
    study.places.iter().map(|p| (p.node.clone(), p.availability())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_village_finds_the_countys_ct_knows_whether_it_counts_and_fetches_it() {
    use im::Availability::{Offline, Online};
    let hub = hub().await;
    let (county, village) = tokio::join!(node("county", &hub), node("village", &hub));
    // Of today: a result that is too old is not recognised, whatever else is known.
    let date = jiff::Timestamp::now().strftime("%Y%m%d").to_string();
    let slices = (1..=24).map(|n| Slice { date: date.clone(), ..Slice::head("1.2.1", n) });
    let slices: Vec<Slice> = slices.collect();
    store_slices(&county, &slices).await;
    published(&hub, "county", 1).await;
    reaches(&village).await;

    let answer = ask(&village, wang()).await;
    let region = answer.region.expect("what the region said");
    assert!(region.reachable);
    assert_eq!(region.node_count, 5);
    let offline: Vec<_> = region.offline.iter().map(|o| o.node.as_str()).collect();
    assert_eq!(offline, ["city", "township"]);
    let [study] = answer.studies.as_slice() else { panic!("{:?}", answer.studies) };
    assert_eq!(places(study), [("county".to_owned(), Online)]);
    assert_eq!(study.found_by(), im::FoundBy::Name);
    assert_eq!(study.instance_count, 24);
    let types = &study.examination.as_ref().unwrap().types;
    assert_eq!(types[0].examination_id, "ct.brain.plain");
    // The report is not known, so it cannot be said; and the reasons say so in words.
    let outlook = study.recognition.as_ref().expect("an outlook");
    assert_eq!(outlook.outlook(), im::RecognitionOutlook::CannotSay, "{outlook:?}");
    assert!(!outlook.reasons.is_empty() && outlook.reasons.iter().all(|r| !r.is_empty()));
    // By its sound, by another patient, and by a wildcard.
    let by = |name: &str| im::SearchStudiesRequest { patient_name: name.to_owned(), ..wang() };
    assert_eq!(ask(&village, by("wang xiao dong")).await.studies.len(), 1);
    assert!(ask(&village, by("王小西")).await.studies.is_empty());
    let status = village.imaging().search_studies(by("王*")).await.unwrap_err();
    assert_eq!((status.code(), bad_fields(&status)), (Code::InvalidArgument, vec!["scope".into()]));

    // The index holds no image: the village has nothing yet.
    let request =
        im::RetrieveObjectRequest { sop_instance_uid: slices[0].uid(), ..Default::default() };
    assert_eq!(retrieve(&village, request).await.unwrap_err().code(), Code::NotFound);
    let fetched = fetch(&village, fetch_of("1.2.1")).await.unwrap();
    let objects = (fetched.object_count, fetched.kept_count, fetched.here_count);
    assert_eq!((fetched.node.as_str(), objects), ("county", (24, 24, 0)));
    assert_eq!(fetched.received_bytes, fetched.size_bytes);
    holds(&village, &slices).await;
    // What is here is not asked for again.
    let again = fetch(&village, fetch_of("1.2.1")).await.unwrap();
    assert_eq!((again.here_count, again.received_bytes), (24, 0));

    // The doctor who plans the same examination is told of it.
    let planned = rg::PlannedExamination {
        patient_id: "P1".to_owned(),
        text: "颅脑CT平扫".to_owned(),
        scope: im::SearchScope::Region.into(),
        ..Default::default()
    };
    let request = rg::AssessRecognitionRequest { planned: Some(planned) };
    let assessed = village.recognition().assess_recognition(request).await.unwrap().into_inner();
    assert!(assessed.region.expect("what the region said").reachable);
    assert_eq!(assessed.assessments[0].studies[0].study_uid, "1.2.1");

    // The county goes; what the village fetched is still told, and where the rest is.
    assert!(county.node.stop().await);
    let gone = until("the county is told to be offline", async || {
        let answer = ask(&village, wang()).await;
        let offline = answer.region?.offline.into_iter().find(|o| o.node == "county")?;
        offline.indexed_at.map(|at| (at, answer.studies))
    })
    .await;
    let (indexed_at, studies) = gone;
    assert!(indexed_at.seconds > 0);
    assert_eq!(places(&studies[0])[0], ("village".to_owned(), Online));
    assert!(places(&studies[0]).contains(&("county".to_owned(), Offline)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_an_offline_node_holds_is_told_and_not_promised() {
    let hub = hub().await;
    let (county, village) = tokio::join!(node("county", &hub), node("village", &hub));
    store_slices(&county, &[Slice::head("1.2.1", 1)]).await;
    published(&hub, "county", 1).await;
    reaches(&village).await;
    assert!(county.node.stop().await);
    let study = until("the study is offline", async || {
        let study = ask(&village, wang()).await.studies.into_iter().next()?;
        (places(&study)[0].1 == im::Availability::Offline).then_some(study)
    })
    .await;
    assert!(study.places[0].indexed_at.is_some(), "when it was last known");
    let from_county = im::FetchStudyRequest { node: "county".to_owned(), ..fetch_of("1.2.1") };
    let status = tokio::time::timeout(Duration::from_secs(2), fetch(&village, from_county)).await;
    // It is tried for a while, and a caller who leaves ends that.
    assert!(status.is_err() || status.unwrap().unwrap_err().code() == Code::Unavailable);
    let unknown = fetch(&village, fetch_of("9.9.9")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    for (request, field) in [
        (im::FetchStudyRequest { purpose: 0, ..fetch_of("1.2.1") }, "purpose"),
        (im::FetchStudyRequest { purpose: 99, ..fetch_of("1.2.1") }, "purpose"),
        (fetch_of("../etc"), "study_uid"),
    ] {
        let status = fetch(&village, request).await.unwrap_err();
        let code = (status.code(), bad_fields(&status));
        assert_eq!(code, (Code::InvalidArgument, vec![field.to_owned()]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_asked_for_too_many_persons_is_told_when_to_ask_again() {
    let data = tempfile::tempdir().unwrap();
    let hub = hub_with("127.0.0.1:0", data, |c| c.exchange.look_up_persons_per_hour_max = 2).await;
    let village = node("village", &hub).await;
    store_slices(&village, &[Slice::head("1.2.1", 1)]).await;
    published(&hub, "village", 1).await;
    let nobody = |number: &str| im::SearchStudiesRequest {
        patient_id: number.to_owned(),
        scope: im::SearchScope::Region.into(),
        ..Default::default()
    };
    for request in [wang(), nobody("P-2")] {
        let region = ask(&village, request).await.region.unwrap();
        assert_eq!((region.reachable, region.retry_after), (true, None));
    }
    let region = ask(&village, nobody("P-3")).await.region.unwrap();
    let after = region.retry_after.expect("it is not out of reach").seconds;
    assert!(!region.reachable && (3_000..=3_600).contains(&after), "{after}");
    // Who was asked for already still is.
    let again = ask(&village, wang()).await;
    assert!(again.region.unwrap().reachable);
    assert_eq!(again.studies.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_when_the_region_is_out_of_reach_and_finds_back_when_the_hub_returns() {
    let hub = hub().await;
    let address = hub.node.link_address().unwrap();
    let village = node("village", &hub).await;
    store_slices(&village, &[Slice::head("1.2.1", 1)]).await;
    published(&hub, "village", 1).await;
    let TestNode { node: running, data, .. } = hub;
    assert!(running.stop().await);
    let answer = until("the region is out of reach", async || {
        let answer = ask(&village, wang()).await;
        (!answer.region.as_ref()?.reachable).then_some(answer)
    })
    .await;
    assert_eq!(answer.studies.len(), 1, "what is here is told all the same");
    let status = nodes_of(&village).list_nodes(nd::ListNodesRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);

    let hub = hub_at(&address.to_string(), data).await;
    // Something new while it was away.
    store_slices(&village, &[Slice::head("1.2.2", 1)]).await;
    published(&hub, "village", 2).await;
    let found = ask(&hub, wang()).await;
    assert_eq!(found.studies.len(), 2);
    assert!(found.studies.iter().all(|s| s.places[0].node == "village"));
    // The hub fetches as well.
    let fetched = fetch(&hub, fetch_of("1.2.2")).await.unwrap();
    assert_eq!((fetched.node.as_str(), fetched.kept_count), ("village", 1), "{fetched:?}");
    // And gives out what it holds, when the village has lost it: here to the township.
    assert!(village.node.stop().await);
    let township = node("township", &hub).await;
    published(&hub, "hub", 1).await;
    reaches(&township).await;
    let fetched = fetch(&township, fetch_of("1.2.2")).await.unwrap();
    assert_eq!((fetched.node.as_str(), fetched.kept_count), ("hub", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_comes_from_the_nearest_node_that_has_all_of_it() {
    let hub = hub().await;
    let (city, village) = tokio::join!(node("city", &hub), node("village", &hub));
    let slices: Vec<Slice> = (1..=3).map(|n| Slice::head("1.2.1", n)).collect();
    store_slices(&city, &slices).await;
    published(&hub, "city", 1).await;
    reaches(&village).await;
    assert_eq!(fetch(&village, fetch_of("1.2.1")).await.unwrap().node, "city");
    published(&hub, "village", 1).await;
    let study = ask(&hub, wang()).await.studies.remove(0);
    // Which of the two answers quicker is chance here.
    let copies: BTreeMap<_, _> = study.places.iter().map(|p| (p.node.as_str(), p.copy)).collect();
    assert_eq!(copies, BTreeMap::from([("city", false), ("village", true)]));
    // The village lies in the township; the city does not.
    let township = node("township", &hub).await;
    reaches(&township).await;
    let fetched = fetch(&township, fetch_of("1.2.1")).await.unwrap();
    assert_eq!((fetched.node.as_str(), fetched.kept_count), ("village", 3));
    holds(&township, &slices).await;
    // Whoever has less of it comes later, however near.
    let county = node("county", &hub).await;
    let more: Vec<Slice> = (4..=5).map(|n| Slice::head("1.2.1", n)).collect();
    store_slices(&city, &more).await;
    reaches(&county).await;
    until("the city's new slices are known", async || {
        let study = ask(&county, wang()).await.studies.into_iter().next()?;
        (study.instance_count == 5).then_some(())
    })
    .await;
    let fetched = fetch(&county, fetch_of("1.2.1")).await.unwrap();
    assert_eq!((fetched.node.as_str(), fetched.kept_count), ("city", 5));
}

/// Passes bytes on to the hub and breaks every line after so many bytes from it; a negative number
/// breaks none.
pub(crate) async fn brittle(hub: SocketAddr) -> (SocketAddr, Arc<AtomicI64>, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (limit, broken) = (Arc::new(AtomicI64::new(-1)), Arc::new(AtomicU64::new(0)));
    let shared = (Arc::clone(&limit), Arc::clone(&broken));
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (limit, broken) = (Arc::clone(&limit), Arc::clone(&broken));
            tokio::spawn(async move {
                let Ok(to) = TcpStream::connect(hub).await else { return };
                let ((mut from_node, mut to_node), (mut from_hub, mut to_hub)) =
                    (stream.into_split(), to.into_split());
                let up = async {
                    let _ = tokio::io::copy(&mut from_node, &mut to_hub).await;
                };
                let down = async {
                    let mut bytes = vec![0; 16 * 1024];
                    while let Ok(count @ 1..) = from_hub.read(&mut bytes).await {
                        let count_i = i64::try_from(count).unwrap();
                        let before = limit.fetch_sub(count_i, Ordering::SeqCst);
                        if (0..count_i).contains(&before) {
                            broken.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                        if to_node.write_all(&bytes[..count]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! { () = up => {} () = down => {} }
            });
        }
    });
    (address, shared.0, shared.1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_goes_on_from_the_byte_at_which_the_line_broke() {
    let hub = hub().await;
    let (line, limit, broken) = brittle(hub.node.link_address().unwrap()).await;
    let county = node("county", &hub).await;
    let village = node_in("village", line, tempfile::tempdir().unwrap()).await;
    // One object of three megabytes and a few small ones.
    let mut slices: Vec<Slice> = (1..=6).map(|n| Slice::head("1.2.1", n)).collect();
    let long = "长".repeat(1_000_000);
    slices[2].more.push((dicom_dictionary_std::tags::TEXT_VALUE, dicom_core::VR::UT, long));
    store_slices(&county, &slices).await;
    published(&hub, "county", 1).await;
    reaches(&village).await;
    // The line breaks in the middle of the long one.
    limit.store(1_500_000, Ordering::SeqCst);
    let fetched = fetch(&village, fetch_of("1.2.1")).await.unwrap();
    assert_eq!(broken.load(Ordering::SeqCst), 1, "the line broke");
    assert_eq!((fetched.kept_count, fetched.object_count), (6, 6));
    assert!(fetched.broken_count >= 1);
    // Not a byte more than there is, but for what was under way when the line broke.
    assert_eq!(fetched.received_bytes, fetched.size_bytes);
    holds(&village, &slices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_given_up_keeps_what_came_and_the_next_one_goes_on() {
    let hub = hub().await;
    let (county, village) = tokio::join!(node("county", &hub), node("village", &hub));
    let mut slices: Vec<Slice> = (1..=40).map(|n| Slice::head("1.2.1", n)).collect();
    for slice in &mut slices {
        let long = "长".repeat(200_000);
        slice.more.push((dicom_dictionary_std::tags::TEXT_VALUE, dicom_core::VR::UT, long));
    }
    store_slices(&county, &slices).await;
    published(&hub, "county", 1).await;
    reaches(&village).await;
    let mut steps = village.imaging().fetch_study(fetch_of("1.2.1")).await.unwrap().into_inner();
    while let Some(step) = steps.message().await.unwrap() {
        if step.kept_count > 0 {
            break;
        }
    }
    drop(steps);
    let rest = fetch(&village, fetch_of("1.2.1")).await.unwrap();
    assert!(rest.here_count > 0, "{rest:?}");
    assert_eq!(rest.here_count + rest.kept_count, 40);
    holds(&village, &slices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_made_anew_is_told_anew_and_nothing_stays_that_is_gone() {
    let hub = hub().await;
    let address = hub.node.link_address().unwrap();
    let county = node("county", &hub).await;
    store_slices(&county, &[Slice::head("1.2.1", 1), Slice::head("1.2.2", 1)]).await;
    published(&hub, "county", 2).await;
    // Another box takes its place, with the same name and other images.
    assert!(county.node.stop().await);
    let county = node_in("county", address, tempfile::tempdir().unwrap()).await;
    store_slices(&county, &[Slice::head("1.2.3", 1)]).await;
    published(&hub, "county", 1).await;
    let found = ask(&hub, wang()).await.studies;
    let uids: Vec<_> = found.iter().map(|s| s.study_uid.as_str()).collect();
    assert_eq!(uids, ["1.2.3"]);
}
