//! Whose the number of a discharge record is, and who hears when a record is corrected.

use tonic::Code;
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;

use crate::harness::{TestNode, bad_fields};
use crate::records::{
    PATIENT, exchange, handed_over, has, hub, listed, node, node_in, records, register, status,
    stroke, submit, tasks, wire,
};
use crate::region::until;

/// Another patient, made up: name, resident ID, birth date as CDA has it.
const OTHER: (&str, &str, &str) = ("李红梅", "361121198106020023", "19810602");
/// The division of 湖村村, and a village elsewhere.
const VILLAGE: &str = "湖村村";
const ELSEWHERE: &str = "石峡村";

/// A record of a number; version 0: it says none. Of the patient of the fixture or of [`OTHER`].
fn record(number: &str, version: u32, is_other: bool, village: &str) -> Vec<u8> {
    let mut text = String::from_utf8(stroke(number)).unwrap().replace(VILLAGE, village);
    let mut put = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    };
    if version > 0 {
        let own = format!("<setId root=\"2.16.156.10011.1.1\" extension=\"{number}\"/>");
        put("<setId/>", &own);
        put("<versionNumber/>", &format!("<versionNumber value=\"{version}\"/>"));
        // Each version has an id of its own.
        put(&format!("\"{number}\"/>\n  <code"), &format!("\"{number}-{version}\"/>\n  <code"));
    }
    if is_other {
        let (name, resident_id, born) = OTHER;
        put(PATIENT.1, resident_id);
        put(PATIENT.0, name);
        put("19570317", born);
        put("36110000000571", "36110000000999");
    }
    text.into_bytes()
}

async fn refused(node: &TestNode, content: Vec<u8>) -> String {
    let request = pb::SubmitRecordRequest { content, ..Default::default() };
    let refused = records(node).submit_record(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert_eq!(bad_fields(&refused), ["content"]);
    refused.message().to_owned()
}

async fn received(node: &TestNode, count: u64) {
    let is_there = async || (status(node).await.received >= count).then_some(());
    until(&format!("{count} documents came"), is_there).await;
}

/// Names, versions and patients that a node lists.
async fn lines(node: &TestNode) -> Vec<(String, u32, String)> {
    let listed = listed(node).await.into_iter();
    listed.map(|line| (line.name, line.version, line.patient_name)).collect()
}

/// Patients of what a node lists.
async fn patients(node: &TestNode) -> Vec<String> {
    lines(node).await.into_iter().map(|(.., patient)| patient).collect()
}

/// Waits until a node lists one record, of this patient.
async fn named(node: &TestNode, patient: &str) {
    let is_there = async || (patients(node).await == [patient]).then_some(());
    until(&format!("{patient} is there"), is_there).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_makes_a_version_of_another_hospitals_record() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let second = node("elsewhere", &hub).await;
    let first = submit(&county, record("OWN", 1, false, VILLAGE)).await;
    has(&village, &first.name, 1).await;
    // Another hospital numbers alike, with a higher version and with the same one.
    for version in [2, 1] {
        let kept = submit(&second, record("OWN", version, true, VILLAGE)).await;
        assert_eq!((kept.name.as_str(), kept.version), (&*first.name, version));
    }
    let stuck = until("the hub has refused both", async || {
        let stuck = status(&second).await.stuck;
        (stuck.len() == 2).then_some(stuck)
    })
    .await;
    for stuck in stuck {
        assert_eq!(stuck.code, "name_taken");
        assert!(stuck.reason.contains("标识根") && !stuck.reason.contains(OTHER.0), "{stuck:?}");
    }
    let request = pb::ListQuarantinedRequest::default();
    let aside = exchange(&hub).list_quarantined(request).await.unwrap().into_inner().documents;
    let codes: Vec<_> = aside.iter().map(|put| (put.node.as_str(), put.code.as_str())).collect();
    assert_eq!(codes, [("elsewhere", "name_taken"); 2]);
    // What is there is as it was, and the first hospital's correction comes.
    let line = (first.name.clone(), 1, PATIENT.0.to_owned());
    assert_eq!(lines(&village).await, std::slice::from_ref(&line));
    assert!(!tasks(&village, &first.name).await.is_empty());
    submit(&county, record("OWN", 2, false, VILLAGE)).await;
    has(&village, &first.name, 2).await;
    // Where the record is, another's document of the number is refused at once.
    let told = refused(&village, record("OWN", 3, true, VILLAGE)).await;
    assert!(told.contains("another institution"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_under_a_number_of_this_node_is_kept_beside_it() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let (near, joined) = wire(hub.node.link_address().unwrap()).await;
    let village = node_in("village", &near.to_string(), tempfile::tempdir().unwrap()).await;
    // Of an earlier stay, so that its tasks are others.
    let first = String::from_utf8(record("FIRST", 1, false, VILLAGE)).unwrap();
    assert!(first.contains("20261106103000") && first.contains("20261118150000"));
    let first = first.replace("20261106103000", "20261001103000");
    submit(&county, first.replace("20261118150000", "20261012150000").into_bytes()).await;
    received(&village, 1).await;
    // While its line is cut the village uses a number that the county uses, too.
    joined.send_replace(false);
    let mine = submit(&village, record("SAME", 1, true, ELSEWHERE)).await;
    let theirs = submit(&county, record("SAME", 1, false, VILLAGE)).await;
    assert_eq!(theirs.name, mine.name);
    handed_over(&county).await;
    joined.send_replace(true);
    let beside = format!("{}@county", mine.name);
    has(&village, &beside, 1).await;
    until("the village is told", async || {
        let stuck = status(&village).await.stuck;
        stuck.first().map(|stuck| assert_eq!(stuck.code, "name_taken"))
    })
    .await;
    // Both are there, the county's with its tasks, and its corrections.
    let kept = lines(&village).await;
    assert!(kept.contains(&(mine.name.clone(), 1, OTHER.0.to_owned())), "{kept:?}");
    assert!(!tasks(&village, &beside).await.is_empty());
    submit(&county, record("SAME", 2, false, VILLAGE)).await;
    has(&village, &beside, 2).await;
    assert!(status(&village).await.events.iter().any(|event| event.kind == "name_taken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_without_a_version_stays_the_same_patients() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let first = submit(&county, record("CONF", 0, false, VILLAGE)).await;
    has(&village, &first.name, 1).await;
    let told = refused(&county, record("CONF", 0, true, VILLAGE)).await;
    assert!(told.contains("another patient") && told.contains("RPLC"), "{told}");
    assert_eq!(patients(&county).await, [PATIENT.0]);
    assert_eq!(patients(&village).await, [PATIENT.0]);
    // A correction of the same patient is the next version by itself, also of a mistyped name.
    let text = String::from_utf8(record("CONF", 0, false, VILLAGE)).unwrap();
    let second = submit(&county, text.replace(PATIENT.0, "饶建园").into_bytes()).await;
    assert_eq!((second.name.as_str(), second.version), (&*first.name, 2));
    named(&village, "饶建园").await;
    // Who says that it replaces the record means it.
    let text = String::from_utf8(record("CONF", 0, true, VILLAGE)).unwrap();
    let parent = "<parentDocument><id root=\"2.16.156.10011.1.1\" extension=\"CONF\"/>";
    let third = submit(&county, text.replace("<parentDocument><id/>", parent).into_bytes()).await;
    assert_eq!((third.name.as_str(), third.version), (&*first.name, 3));
    named(&village, OTHER.0).await;
}

async fn is_closed(node: &TestNode, name: &str) {
    assert_eq!(lines(node).await, []);
    assert!(tasks(node, name).await.is_empty());
    let request = pb::GetRecordRequest {
        name: name.to_owned(),
        purpose: pb::Purpose::Treatment.into(),
        ..pb::GetRecordRequest::default()
    };
    let denied = records(node).get_record(request).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied, "{denied}");
    let events = status(node).await.events;
    let told = events.iter().find(|event| event.kind == "corrected_elsewhere").unwrap();
    assert!(told.advice.contains("look up the patient"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correction_reaches_who_has_the_wrong_version_and_opens_nothing_there() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let elsewhere = node("elsewhere", &hub).await;
    // One has the patient by contract, one by the address.
    register(&elsewhere, false).await;
    handed_over(&elsewhere).await;
    let first = submit(&county, record("WRONG", 1, false, VILLAGE)).await;
    for node in [&village, &elsewhere] {
        has(node, &first.name, 1).await;
        assert!(!tasks(node, &first.name).await.is_empty());
    }
    // It was another patient's, who lives in the same village.
    submit(&county, record("WRONG", 2, true, VILLAGE)).await;
    has(&village, &first.name, 2).await;
    assert_eq!(lines(&village).await, [(first.name.clone(), 2, OTHER.0.to_owned())]);
    received(&elsewhere, 2).await;
    is_closed(&elsewhere, &first.name).await;
    // And lives elsewhere.
    submit(&county, record("WRONG", 3, true, ELSEWHERE)).await;
    received(&village, 3).await;
    is_closed(&village, &first.name).await;
    received(&elsewhere, 3).await;
    // The right patient's address was right after all: the village has its tasks again.
    submit(&county, record("WRONG", 4, true, VILLAGE)).await;
    has(&village, &first.name, 4).await;
    assert!(!tasks(&village, &first.name).await.is_empty());
    received(&elsewhere, 4).await;
    is_closed(&elsewhere, &first.name).await;
}
