//! What is fetched from other nodes is noted as a copy, and never what is the node's own.

use super::*;
use crate::app::imaging::holdings::{HeldCopy, Holdings as _};

async fn fetch(imaging: &Imaging, bytes: &[u8], node: &str) -> Result<Kept, Refused> {
    let incoming = imaging.receive(&Intake::of(local()), EXPLICIT, None, Vec::new())?;
    let mut incoming = incoming.copy_of(node);
    incoming.push(Bytes::copy_from_slice(bytes)).await?;
    incoming.finish().await.map(|stored| stored.kept)
}

fn noted(rig: &Rig) -> Vec<(String, String, bool)> {
    let copies = rig.holdings.copies.lock().unwrap();
    copies.iter().map(|(c, own)| (c.instance.clone(), c.node.clone(), *own)).collect()
}

fn row(instance: &str, node: &str, own: bool) -> (String, String, bool) {
    (instance.to_owned(), node.to_owned(), own)
}

#[tokio::test]
async fn what_is_fetched_is_noted_and_what_was_there_before_is_not() {
    let rig = rig().await;
    let (own, copy) = (object("1.1", "own", 10), object("1.2", "copy", 10));
    assert_eq!(store(&rig.imaging, &own, None).await.unwrap(), Kept::New);
    assert_eq!(fetch(&rig.imaging, &own, "hospital").await.unwrap(), Kept::Known);
    assert_eq!(noted(&rig), []);
    assert_eq!(fetch(&rig.imaging, &copy, "hospital").await.unwrap(), Kept::New);
    assert_eq!(fetch(&rig.imaging, &copy, "hub").await.unwrap(), Kept::Known);
    assert_eq!(noted(&rig), [row("1.2", "hospital", false)]);
    let archived = rig.archive.objects.lock().unwrap()[2].0.clone();
    assert_eq!(archived.head.source, "node:hospital");
    let totals = rig.imaging.copy_info().await.unwrap().totals;
    assert_eq!((totals.studies, totals.objects), (1, 1));
    assert_eq!(totals.bytes, u64::try_from(copy.len()).unwrap());
}

#[tokio::test]
async fn a_copy_that_an_own_sender_sends_becomes_the_nodes_own() {
    let rig = rig().await;
    let copy = object("1.2", "copy", 10);
    fetch(&rig.imaging, &copy, "hospital").await.unwrap();
    rig.holdings.broken.store(true, Ordering::Relaxed);
    let refused = store(&rig.imaging, &copy, None).await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Unavailable { .. })), "{refused:?}");
    rig.holdings.broken.store(false, Ordering::Relaxed);
    assert_eq!(store(&rig.imaging, &copy, None).await.unwrap(), Kept::Known);
    assert_eq!(noted(&rig), [row("1.2", "hospital", true)]);
    assert_eq!(rig.imaging.copy_info().await.unwrap().totals.objects, 0);
    // The same when both come at the same moment, whichever is first.
    let twin = object("1.3", "twin", 10);
    let fetched = fetch(&rig.imaging, &twin, "hub");
    let (fetched, sent) = tokio::join!(fetched, store(&rig.imaging, &twin, None));
    assert_eq!((fetched.unwrap(), sent.unwrap()), (Kept::New, Kept::Known));
    assert_eq!(noted(&rig)[1], row("1.3", "hub", true));
    let twin = object("1.4", "twin", 10);
    let sent = store(&rig.imaging, &twin, None);
    let (sent, fetched) = tokio::join!(sent, fetch(&rig.imaging, &twin, "hub"));
    assert_eq!((sent.unwrap(), fetched.unwrap()), (Kept::New, Kept::Known));
    assert_eq!(noted(&rig).len(), 2);
}

#[tokio::test]
async fn no_copy_is_acknowledged_before_it_is_noted_and_it_is_when_the_index_catches_up() {
    let rig = rig().await;
    let copy = object("1.2", "copy", 10);
    rig.holdings.broken.store(true, Ordering::Relaxed);
    let refused = fetch(&rig.imaging, &copy, "hospital").await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Unavailable { .. })), "{refused:?}");
    assert!(rig.index.entries.lock().unwrap().is_empty(), "nobody finds it yet");
    rig.holdings.broken.store(false, Ordering::Relaxed);
    // As after a crash between archive and note.
    let archive = Arc::clone(&rig.archive);
    let rig = rig_over(archive, Arc::default()).await;
    assert_eq!(rig.caught.added, 1);
    assert_eq!(noted(&rig), [row("1.2", "hospital", false)]);
    assert_eq!(fetch(&rig.imaging, &copy, "hospital").await.unwrap(), Kept::Known);
}

#[tokio::test]
async fn a_caller_whose_name_looks_like_a_node_makes_no_copies_and_a_node_needs_a_name() {
    let rig = rig().await;
    let caller = Caller::local("node:evil");
    let requester = Requester::of(caller);
    let mut incoming =
        rig.imaging.receive(&Intake::of(requester), EXPLICIT, None, Vec::new()).unwrap();
    incoming.push(Bytes::from(object("1.2", "own", 10))).await.unwrap();
    assert_eq!(incoming.finish().await.unwrap().kept, Kept::New);
    assert_eq!(noted(&rig), []);
    for name in ["", &"n".repeat(257)] {
        let refused = fetch(&rig.imaging, &object("1.3", "x", 1), name).await.unwrap_err();
        let Refused::Node(Error::Invalid(problems)) = refused else { panic!("{refused:?}") };
        assert_eq!(problems[0].field, "node");
    }
}

#[tokio::test]
async fn retrievals_are_remembered_as_uses_and_written_at_the_end() {
    let rig = rig().await;
    rig.imaging.audit_retrieval(&local(), "1.2.3", "P1").await.unwrap();
    let Rig { imaging, keeper, holdings, .. } = rig;
    assert!(holdings.uses.lock().unwrap().is_empty());
    drop(imaging);
    keeper.await.unwrap();
    assert_eq!(holdings.uses.lock().unwrap().get("1.2.3"), Some(&1_700_000_000_000));
}

#[tokio::test]
async fn more_studies_than_may_be_asked_for_are_refused() {
    let rig = rig().await;
    let studies = vec!["1.2".to_owned(); holdings::STUDIES_MAX + 1];
    let refused = rig.imaging.copied(&studies).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    let copy = HeldCopy {
        digest: crate::sharing::imaging::object::Digest([1; 32]),
        study: "1.2".to_owned(),
        instance: "1.2.1".to_owned(),
        node: "hub".to_owned(),
        bytes: 1,
        apart: false,
        kept_ms: 1,
    };
    rig.holdings.note(vec![copy]).await.unwrap();
    let copied = rig.imaging.copied(&studies[..2]).await.unwrap();
    assert!(copied.iter().all(|study| study.wholly && study.copies.nodes.contains("hub")));
}
