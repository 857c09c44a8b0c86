//! Nodes that come: with the same database, with an old copy of it, with a new box.

use super::{
    VILLAGE, all, cursor, hello, inbox, kept, line, person, place, record, registration, says,
};
use crate::app::exchange::ports::{Facts, HubDocuments, Relation, Submission};
use crate::sharing::exchange::{Cursor, Position, Standing};

fn none() -> Position {
    Position::default()
}

fn start() -> Cursor {
    Cursor::default()
}

fn at(number: u64, submission: &Submission) -> Position {
    Position { number, sha256: submission.document.sha256 }
}

pub(super) async fn greeted(store: &dyn HubDocuments) {
    for _ in 0..2 {
        let first = hello("hospital-a", 0, none(), start());
        let welcome = store.attend("hospital", &first, 5).await.unwrap();
        assert_eq!((welcome.store.as_str(), welcome.standing), ("hospital-a", Standing::Current));
        assert!(welcome.remembers);
        assert_eq!(welcome.inbox, start());
    }
    let (one, others) = (
        record("hospital", 1, "r1", Facts::default()),
        record("county", 1, "r2", Facts::default()),
    );
    let number = kept(store, one.clone()).await;
    let foreign = kept(store, others.clone()).await;
    let remembers = async |position| {
        let hello = hello("hospital-a", 1, position, start());
        let welcome = store.attend("hospital", &hello, 6).await.unwrap();
        assert_eq!(welcome.standing, Standing::Current);
        welcome.remembers
    };
    assert!(remembers(at(number, &one)).await);
    assert!(remembers(none()).await);
    // Another digest, another node's document, and a number that the hub has not given yet.
    assert!(!remembers(at(number, &others)).await);
    assert!(!remembers(at(foreign, &others)).await);
    assert!(!remembers(at(number + 1_000, &one)).await);
    // Who hands it over too, has sent it as well.
    super::is_known(store, record("hospital", 2, "r2", Facts::default())).await;
    let both = hello("hospital-a", 2, at(foreign, &others), start());
    assert!(store.attend("hospital", &both, 7).await.unwrap().remembers);
    assert_eq!(line(store, "hospital").await.seen_ms, 7);
}

pub(super) async fn chain(store: &dyn HubDocuments) {
    for number in 1..=3 {
        kept(store, record("hospital", number, &format!("r{number}"), place(VILLAGE))).await;
    }
    let mut here = start();
    let mut cursors = vec![here];
    for document in all(store, "village-1").await {
        here = here.after(&document.sha256);
        cursors.push(here);
    }
    let begins = async |inbox| {
        let hello = hello("village-1-a", 0, none(), inbox);
        store.attend("village-1", &hello, 1).await.unwrap().inbox
    };
    for cursor in &cursors {
        assert_eq!(begins(*cursor).await, *cursor);
    }
    // Further than it is, with another chain, and with a chain of another number.
    assert_eq!(begins(here.after(&[1; 32])).await, start());
    assert_eq!(begins(Cursor { number: 2, ..here }).await, start());
    assert_eq!(begins(Cursor { number: 3, chain: [0; 32] }).await, start());
}

pub(super) async fn restored(store: &dyn HubDocuments) {
    let first = hello("hospital-a", 0, none(), start());
    store.attend("hospital", &first, 1).await.unwrap();
    let one = record("hospital", 1, "r1", person(1));
    let number = kept(store, one.clone()).await;
    for n in 2..=3 {
        kept(store, record("hospital", n, &format!("r{n}"), person(1))).await;
    }
    // The copy knows of two documents and heard of one.
    let copy = hello("hospital-a", 2, at(number, &one), start());
    let welcome = store.attend("hospital", &copy, 2).await.unwrap();
    assert_eq!(welcome.standing, Standing::Forked);
    assert_eq!(inbox(store, "hospital").await.len(), 0);
    assert_eq!(line(store, "hospital").await.retired_stores, 0);
    // Under another name it is the node's, and gets what it may lack.
    let renewed = hello("hospital-b", 2, at(number, &one), start());
    for _ in 0..2 {
        let welcome = store.attend("hospital", &renewed, 3).await.unwrap();
        assert_eq!((welcome.standing, welcome.remembers), (Standing::Current, true));
        assert_eq!(inbox(store, "hospital").await, ["r2/1", "r3/1"]);
    }
    assert_eq!(line(store, "hospital").await.retired_stores, 1);
    // What comes under a number of the new name is known.
    let again =
        Submission { store: "hospital-b".to_owned(), ..record("hospital", 2, "r2", person(1)) };
    super::is_known(store, again).await;
    // The box that has the old name is not the node's any more.
    let old = hello("hospital-a", 3, none(), start());
    let welcome = store.attend("hospital", &old, 4).await.unwrap();
    assert_eq!(welcome.standing, Standing::Replaced);
    let welcome = store.attend("hospital", &renewed, 5).await.unwrap();
    assert_eq!(welcome.standing, Standing::Current);
}

pub(super) async fn replaced(store: &dyn HubDocuments) {
    let first = hello("village-1-a", 0, none(), start());
    store.attend("village-1", &first, 1).await.unwrap();
    kept(store, record("hospital", 1, "from-hospital", place(VILLAGE))).await;
    kept(store, record("village-1", 1, "own-1", place(VILLAGE))).await;
    kept(store, registration("village-1", 1, says(1, Relation::Registered, true, None))).await;
    let before = inbox(store, "village-1").await;
    assert_eq!(before, ["from-hospital/1"]);
    let end = cursor(store, "village-1").await;
    store.advance("village-1", end.number, 2).await.unwrap();
    assert_eq!(line(store, "village-1").await.kept, 1);
    let mut grown = store.grown();
    let new = hello("village-1-b", 0, none(), start());
    let welcome = store.attend("village-1", &new, 3).await.unwrap();
    assert_eq!((welcome.standing, welcome.inbox), (Standing::Current, start()));
    let after = inbox(store, "village-1").await;
    assert_eq!(after[..2], ["from-hospital/1", "own-1/1"]);
    assert!(after.len() == 3 && after[2].starts_with("registration"), "{after:?}");
    while !["village-1", "*"].contains(&&*grown.recv().await.unwrap()) {}
    let village = line(store, "village-1").await;
    assert_eq!((village.kept, village.inbox, village.retired_stores), (0, 3, 1));
    // The old box may hand over what it still has, once.
    let old = hello("village-1-a", 1_002, none(), end);
    let welcome = store.attend("village-1", &old, 4).await.unwrap();
    assert_eq!(welcome.standing, Standing::Replaced);
    kept(store, record("village-1", 2, "own-2", place(VILLAGE))).await;
    assert_eq!(inbox(store, "township").await, ["from-hospital/1", "own-1/1", "own-2/1"]);
    // A third box: what is in the inbox already is not put there again.
    let third = hello("village-1-c", 0, none(), start());
    store.attend("village-1", &third, 5).await.unwrap();
    let now = inbox(store, "village-1").await;
    assert_eq!(now[..3], after[..]);
    assert_eq!(now[3..], ["own-2/1"]);
}

pub(super) async fn report(store: &dyn HubDocuments) {
    let names = async || {
        let lines = store.nodes().await.unwrap();
        lines.into_iter().map(|line| line.node).collect::<Vec<_>>()
    };
    let configured = ["county", "hospital", "township", "village-1", "village-2"];
    assert_eq!(names().await, configured);
    assert_eq!(line(store, "county").await.seen_ms, 0);
    let first = hello("a", 0, none(), start());
    store.attend("another", &first, 50).await.unwrap();
    assert_eq!(names().await[0], "another");
    for number in 1..=3 {
        kept(store, record("hospital", number, &format!("r{number}"), place(VILLAGE))).await;
    }
    super::is_known(store, record("hospital", 4, "r3", place(VILLAGE))).await;
    let hospital = line(store, "hospital").await;
    assert_eq!((hospital.handed_over, hospital.inbox), (4, 0));
    let of_village = async || {
        let line = line(store, "village-1").await;
        (line.inbox, line.kept, line.seen_ms)
    };
    assert_eq!(of_village().await, (3, 0, 0));
    store.advance("village-1", 2, 70).await.unwrap();
    assert_eq!(of_village().await, (3, 2, 70));
    // What is said again, and late, takes nothing back.
    store.advance("village-1", 1, 60).await.unwrap();
    assert_eq!(of_village().await, (3, 2, 70));
    store.advance("village-1", 3, 80).await.unwrap();
    assert_eq!(of_village().await, (3, 3, 80));
    // What nodes say of their clocks stands there until they say something else.
    assert_eq!(line(store, "village-1").await.clock_ahead_ms, None);
    for (node, ahead_ms) in [("village-1", -300_000), ("village-1", 7), ("new", 400_000)] {
        store.note_clock(node, ahead_ms).await.unwrap();
        assert_eq!(line(store, node).await.clock_ahead_ms, Some(ahead_ms));
    }
    assert_eq!(of_village().await, (3, 3, 80));
}
