//! A PACS behind a hospital's node: its studies are found in the region, come when they are asked
//! for, and nothing is promised that it does not give. The PACS here is a second node, asked over
//! real associations; Orthanc, DCMTK and pynetdicom are in tests/python.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tonic::Code;
use xiangyi::app::imaging::holdings::Holdings as _;
use xiangyi::app::imaging::peers::Service;
use xiangyi::config::{Config, PacsSection, PeerSection, RetrieveName};
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::imaging::v1::custody_service_client::CustodyServiceClient;
use xiangyi::sharing::imaging::charset::Encoding;
use xiangyi::store::sqlite::exchange::ExchangeStore;

use crate::harness::TestNode;
use crate::images::{Slice, retrieve, small, store_slices};
use crate::region::{
    ask, brittle, fetch, fetch_of, holds, hub, node, node_with, published, reaches, until, wang,
};

const PACS: &str = "PACS1";
const COUNTY: &str = "COUNTY";

/// An address of this test alone: each must know the other's before either is started, and a port of
/// 127.0.0.1 that was free is soon another test's.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = NEXT.fetch_add(1, Ordering::SeqCst);
    SocketAddr::from(([127, high.clamp(1, 254), low, host], 11112))
}

fn peer(ae_title: &str, address: SocketAddr) -> PeerSection {
    PeerSection {
        ae_title: ae_title.to_owned(),
        address: Some(address.to_string()),
        hosts: Vec::new(),
        certificates: Vec::new(),
        tls: false,
        services: [Service::Echo, Service::Store, Service::Find, Service::Retrieve].into(),
        // As many PACS in use here do.
        character_set: Encoding::Gb18030,
    }
}

/// An archive that knows the county's AE title at `county`.
async fn pacs_at(listen: SocketAddr, county: SocketAddr, data: TempDir) -> TestNode {
    let setup = small().with(|c| {
        c.dicom.listen = Some(listen);
        PACS.clone_into(&mut c.dicom.ae_title);
        c.dicom.peers = vec![peer(COUNTY, county)];
    });
    setup.start_in(data).await
}

/// A hospital's node with the archive at `pacs` behind it.
fn behind(
    pacs: SocketAddr,
    listen: SocketAddr,
    retrieve: RetrieveName,
) -> impl FnOnce(&mut Config) {
    move |c| {
        COUNTY.clone_into(&mut c.dicom.ae_title);
        c.dicom.listen = Some(listen);
        c.dicom.peers = vec![peer(PACS, pacs)];
        c.imaging.pacs = vec![PacsSection {
            ae_title: PACS.to_owned(),
            retrieve,
            days: 30,
            every_s: 1,
            whole_every_s: 1,
        }];
    }
}

/// Of today: what is older than the window is not told.
fn slices(study: &str, count: u32) -> Vec<Slice> {
    let date = jiff::Timestamp::now().strftime("%Y%m%d").to_string();
    (1..=count).map(|n| Slice { date: date.clone(), ..Slice::head(study, n) }).collect()
}

fn data() -> TempDir {
    tempfile::tempdir().unwrap()
}

struct Region {
    hub: TestNode,
    pacs: TestNode,
    county: TestNode,
    village: TestNode,
}

async fn region(retrieve: RetrieveName) -> Region {
    let (at, listen) = (own_address(), own_address());
    let hub = hub().await;
    let address = hub.node.link_address().unwrap();
    let pacs = pacs_at(at, listen, data()).await;
    let county = node_with("county", address, data(), behind(at, listen, retrieve)).await;
    let village = node("village", &hub).await;
    reaches(&village).await;
    Region { hub, pacs, county, village }
}

fn custody(node: &TestNode) -> CustodyServiceClient<tonic::transport::Channel> {
    CustodyServiceClient::new(node.channel.clone())
}

async fn erase(node: &TestNode, study: &str) {
    let request = im::EraseStudyRequest {
        study_uid: study.to_owned(),
        reason: "the test asked".to_owned(),
        include_kept_apart: true,
    };
    custody(node).erase_study(request).await.unwrap();
}

/// Of whom the node has copies of a study, and how many.
async fn copies(node: &TestNode, study: &str) -> Vec<String> {
    let store = ExchangeStore::open(&node.data.path().join("exchange.db")).await.unwrap();
    let copies = store.copies_of(vec![study.to_owned()]).await.unwrap();
    let told = copies.iter().map(|c| {
        let nodes: Vec<_> = c.nodes.iter().map(String::as_str).collect();
        format!("{} {}", nodes.join(","), c.objects)
    });
    told.collect()
}

/// Waits until a question at `node` is answered with one study, so many instances of it at `holder`.
async fn lies(node: &TestNode, holder: &str, how: im::Availability, instances: u64) {
    until(&format!("{holder} {how:?} {instances}"), async || {
        let answer = ask(node, wang()).await;
        let [study] = answer.studies.as_slice() else { return None };
        let place = study.places.iter().find(|place| place.node == holder)?;
        let there = (place.availability(), place.instance_count) == (how, instances);
        (there && study.instance_count == instances).then_some(())
    })
    .await;
}

async fn found_and_brought(retrieve: RetrieveName) {
    use im::Availability::{Nearline, Online};
    let Region { hub, pacs, county, village } = region(retrieve).await;
    let slices = slices("1.2.1", 12);
    store_slices(&pacs, &slices).await;
    published(&hub, "county", 1).await;
    lies(&village, "county", Nearline, 12).await;
    let study = ask(&village, wang()).await.studies.remove(0);
    assert_eq!(study.examination.as_ref().unwrap().types[0].examination_id, "ct.brain.plain");
    assert_eq!(study.institution, slices[0].institution);
    // The county's own question says so too; the image is not in its archive.
    lies(&county, "county", Nearline, 12).await;
    let one = im::RetrieveObjectRequest { sop_instance_uid: slices[0].uid(), ..Default::default() };
    assert_eq!(retrieve_code(&county, one).await, Code::NotFound);

    let fetched = fetch(&village, fetch_of("1.2.1")).await.unwrap();
    let objects = (fetched.node.as_str(), fetched.kept_count, fetched.object_count);
    assert_eq!(objects, ("county", 12, 12));
    holds(&village, &slices).await;
    holds(&county, &slices).await;
    // What was brought is a copy, and online for the region.
    assert_eq!(copies(&county, "1.2.1").await, ["dicom:PACS1 12"]);
    lies(&hub, "county", Online, 12).await;
    // The PACS grows: there is more to bring.
    let more: Vec<Slice> = (13..=15).map(|n| Slice { number: n, ..slices[0].clone() }).collect();
    store_slices(&pacs, &more).await;
    lies(&hub, "county", Nearline, 15).await;
    let fetched = fetch(&village, fetch_of("1.2.1")).await.unwrap();
    assert_eq!((fetched.kept_count, fetched.here_count), (3, 12));
    holds(&village, &more).await;
    // What gives room in the county's archive is nearline again.
    lies(&hub, "county", Online, 15).await;
    erase(&county, "1.2.1").await;
    lies(&hub, "county", Nearline, 15).await;
    // And what the PACS has no more is not told.
    erase(&pacs, "1.2.1").await;
    published(&hub, "county", 0).await;
}

async fn retrieve_code(node: &TestNode, request: im::RetrieveObjectRequest) -> Code {
    retrieve(node, request).await.unwrap_err().code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_in_the_pacs_is_found_in_the_region_and_comes_by_c_get() {
    Box::pin(found_and_brought(RetrieveName::Get)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_in_the_pacs_is_found_in_the_region_and_comes_by_c_move() {
    Box::pin(found_and_brought(RetrieveName::Move)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hospital_fetches_from_its_own_pacs_and_what_it_holds_itself_stays_its_own() {
    let Region { hub, pacs, county, .. } = region(RetrieveName::Get).await;
    let both = slices("1.2.1", 3);
    store_slices(&pacs, &both).await;
    // One of them was sent to the node by its own modality.
    store_slices(&county, &both[..1]).await;
    lies(&county, "county", im::Availability::Online, 1).await;
    published(&hub, "county", 1).await;
    let fetched = fetch(&county, fetch_of("1.2.1")).await.unwrap();
    assert_eq!((fetched.node.as_str(), fetched.kept_count), ("county", 3));
    holds(&county, &both).await;
    assert_eq!(copies(&county, "1.2.1").await, ["dicom:PACS1 2"], "the first is no copy");
    // Asked again, it is here; what nobody has is not.
    let again = fetch(&county, fetch_of("1.2.1")).await.unwrap();
    assert_eq!((again.node.as_str(), again.here_count, again.kept_count), ("county", 3, 0));
    assert_eq!(fetch(&county, fetch_of("9.9.9")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pacs_that_goes_takes_its_studies_along_only_when_it_says_so() {
    let Region { hub, pacs, county, village } = region(RetrieveName::Get).await;
    let slices = slices("1.2.1", 2);
    store_slices(&pacs, &slices).await;
    published(&hub, "county", 1).await;
    let address = pacs.node.dicom_address().unwrap();
    let TestNode { node: running, data: kept, .. } = pacs;
    assert!(running.stop().await);
    let from_county = im::FetchStudyRequest { node: "county".to_owned(), ..fetch_of("1.2.1") };
    let status = fetch(&county, from_county).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("PACS"), "{}", status.message());
    // A silent PACS is no empty one.
    tokio::time::sleep(Duration::from_secs(3)).await;
    lies(&village, "county", im::Availability::Nearline, 2).await;
    let county_dicom = county.node.dicom_address().unwrap();
    let _pacs = pacs_at(address, county_dicom, kept).await;
    let fetched = fetch(&village, fetch_of("1.2.1")).await.unwrap();
    assert_eq!(fetched.kept_count, 2);
    holds(&village, &slices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_association_that_breaks_while_a_study_comes_is_tried_again() {
    let (at, listen) = (own_address(), own_address());
    let hub = hub().await;
    let pacs = pacs_at(at, listen, data()).await;
    let mut slices = slices("1.2.1", 10);
    for slice in &mut slices {
        let long = "长".repeat(100_000);
        slice.more.push((dicom_dictionary_std::tags::TEXT_VALUE, dicom_core::VR::UT, long));
    }
    store_slices(&pacs, &slices).await;
    let (line, limit, broken) = brittle(at).await;
    let address = hub.node.link_address().unwrap();
    let config = behind(line, listen, RetrieveName::Get);
    let county = node_with("county", address, data(), config).await;
    let village = node("village", &hub).await;
    reaches(&village).await;
    published(&hub, "county", 1).await;
    limit.store(1_000_000, Ordering::SeqCst);
    let fetched = fetch(&village, fetch_of("1.2.1")).await.unwrap();
    assert!(broken.load(Ordering::SeqCst) > 0, "the line broke");
    assert_eq!((fetched.kept_count, fetched.object_count), (10, 10));
    holds(&village, &slices).await;
    holds(&county, &slices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_before_a_restart_is_known_after_it_without_the_pacs() {
    let Region { hub, pacs, county, village } = region(RetrieveName::Get).await;
    store_slices(&pacs, &slices("1.2.1", 2)).await;
    published(&hub, "county", 1).await;
    let (at, listen) = (pacs.node.dicom_address().unwrap(), county.node.dicom_address().unwrap());
    assert!(pacs.node.stop().await);
    let TestNode { node: running, data: kept, .. } = county;
    assert!(running.stop().await);
    let address = hub.node.link_address().unwrap();
    let config = behind(at, listen, RetrieveName::Get);
    let county = node_with("county", address, kept, config).await;
    published(&hub, "county", 1).await;
    lies(&village, "county", im::Availability::Nearline, 2).await;
    // Without a PACS in its configuration nothing of one is told.
    let TestNode { node: running, data: kept, .. } = county;
    assert!(running.stop().await);
    let _county = node_with("county", address, kept, |_| ()).await;
    published(&hub, "county", 0).await;
}
