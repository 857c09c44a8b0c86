//! What every [`NodeStore`] must do; each back-end runs it. Handles are of one database.

use std::sync::Arc;

use futures_util::future::join_all;

use super::ports::{Enrolment, Invitation, NodeCertificate, NodeEntry, NodeStore, Sha, Which};
use crate::app::ports::BoxFuture;

/// Hubs on one store.
pub(crate) type Hubs = Vec<Arc<dyn NodeStore>>;
type Test = fn(Hubs) -> BoxFuture<'static, ()>;

/// Name and body of each test; each gets two handles or more of an empty store.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("the_first_authority_counts", |s| Box::pin(authority(s))),
    ("a_code_is_used_once_and_the_same_key_gets_the_same", |s| Box::pin(once(s))),
    ("a_code_that_is_past_or_another_nodes_gives_nothing", |s| Box::pin(gone(s))),
    ("codes_that_were_not_used_are_ended_together", |s| Box::pin(retracted(s))),
    ("another_key_uses_a_code_up", |s| Box::pin(used_up(s))),
    ("of_all_who_race_for_a_code_one_gets_it", |s| Box::pin(raced(s))),
    ("what_is_revoked_is_revoked_at_every_hub", |s| Box::pin(revoked(s))),
    ("what_was_renewed_from_a_revoked_one_is_revoked", |s| Box::pin(line(s))),
    ("nobody_renews_past_a_revocation", |s| Box::pin(no_escape(s))),
    ("who_was_seen_is_written_down", |s| Box::pin(seen(s))),
];

/// What a certificate is good for in these tests.
const LIFE: i64 = 1_000;
const FAILURES_MAX: u32 = 3;

fn sha(of: u8) -> Sha {
    [of; 32]
}

fn invitation(code: u8, node: &str) -> Invitation {
    Invitation {
        code: sha(code),
        node: node.to_owned(),
        made_ms: 10,
        until_ms: 100,
        key: None,
        failures: 0,
    }
}

fn certificate(number: u8, node: &str, key: u8, issued_ms: i64) -> NodeCertificate {
    NodeCertificate {
        sha256: sha(number),
        serial: format!("01{number:02x}"),
        node: node.to_owned(),
        key: sha(key),
        der: vec![number; 5],
        issued_ms,
        until_ms: issued_ms + LIFE,
        seen_ms: 0,
        revoked: None,
    }
}

fn entry(at_ms: i64) -> NodeEntry {
    NodeEntry {
        at_ms,
        node: "a".to_owned(),
        action: "test",
        outcome: "ok".to_owned(),
        detail: "by a test".to_owned(),
    }
}

fn two(hubs: &Hubs) -> (&dyn NodeStore, &dyn NodeStore) {
    (&*hubs[0], &*hubs[1])
}

async fn enrol(store: &dyn NodeStore, code: u8, certificate: NodeCertificate) -> Enrolment {
    let entry = entry(certificate.issued_ms);
    store.enrol(sha(code), certificate, FAILURES_MAX, entry).await.unwrap()
}

async fn authority(hubs: Hubs) {
    let (one, other) = two(&hubs);
    assert_eq!(one.adopt(&sha(1), 5).await.unwrap(), sha(1));
    assert_eq!(one.adopt(&sha(1), 6).await.unwrap(), sha(1));
    assert_eq!(other.adopt(&sha(2), 7).await.unwrap(), sha(1));
}

async fn once(hubs: Hubs) {
    let (one, other) = two(&hubs);
    one.invite(invitation(1, "a"), entry(10)).await.unwrap();
    let first = certificate(1, "a", 7, 20);
    assert_eq!(enrol(one, 1, first.clone()).await, Enrolment::Issued);
    // The answer was lost; another hub is asked.
    let Enrolment::Again(again) = enrol(other, 1, certificate(2, "a", 7, 30)).await else {
        panic!("not the same again")
    };
    assert_eq!(*again, first);
    assert_eq!(enrol(other, 1, certificate(3, "a", 8, 30)).await, Enrolment::Used);
    let kept = other.certificates(0).await.unwrap();
    assert_eq!(kept, [NodeCertificate { der: Vec::new(), ..first }]);
    let known = one.invitations(0).await.unwrap();
    assert_eq!((known[0].key, known[0].failures), (Some(sha(7)), 1));
    assert!(one.invitations(100).await.unwrap().is_empty());
    assert!(one.certificates(20 + LIFE).await.unwrap().is_empty());
}

async fn gone(hubs: Hubs) {
    let (one, _) = two(&hubs);
    one.invite(invitation(1, "a"), entry(10)).await.unwrap();
    for (code, certificate) in [
        (2, certificate(1, "a", 7, 20)),
        (1, certificate(1, "a", 7, 100)),
        (1, certificate(1, "b", 7, 20)),
    ] {
        assert_eq!(enrol(one, code, certificate).await, Enrolment::Gone);
    }
    assert!(one.certificates(0).await.unwrap().is_empty());
    assert_eq!(one.invitations(0).await.unwrap()[0].key, None);
}

async fn retracted(hubs: Hubs) {
    let (one, other) = two(&hubs);
    for (code, node) in [(1, "a"), (2, "b"), (3, "c")] {
        one.invite(invitation(code, node), entry(10)).await.unwrap();
    }
    assert_eq!(enrol(one, 1, certificate(1, "a", 7, 20)).await, Enrolment::Issued);
    assert_eq!(other.retract(entry(30)).await.unwrap(), 2);
    assert_eq!(one.retract(entry(40)).await.unwrap(), 0);
    assert_eq!(enrol(one, 2, certificate(2, "b", 8, 40)).await, Enrolment::Gone);
    // Who had used one may ask again for what it got.
    assert!(matches!(enrol(one, 1, certificate(9, "a", 7, 40)).await, Enrolment::Again(_)));
    one.invite(Invitation { made_ms: 50, ..invitation(4, "b") }, entry(50)).await.unwrap();
    assert_eq!(enrol(one, 4, certificate(3, "b", 8, 60)).await, Enrolment::Issued);
}

async fn used_up(hubs: Hubs) {
    let (one, other) = two(&hubs);
    one.invite(invitation(1, "a"), entry(10)).await.unwrap();
    assert_eq!(enrol(one, 1, certificate(1, "a", 7, 20)).await, Enrolment::Issued);
    for number in 2..2 + u8::try_from(FAILURES_MAX).unwrap() {
        assert!(matches!(enrol(one, 1, certificate(9, "a", 7, 20)).await, Enrolment::Again(_)));
        assert_eq!(enrol(other, 1, certificate(number, "a", number, 20)).await, Enrolment::Used);
    }
    // Somebody has it who should not: it is good for nobody any more.
    assert_eq!(enrol(one, 1, certificate(9, "a", 7, 20)).await, Enrolment::Used);
}

async fn raced(hubs: Hubs) {
    hubs[0].invite(invitation(1, "a"), entry(10)).await.unwrap();
    let tries = (1..=8).map(|number| {
        let hub = &hubs[usize::from(number) % hubs.len()];
        enrol(&**hub, 1, certificate(number, "a", number, 20))
    });
    let outcomes = join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|o| **o == Enrolment::Issued).count(), 1, "{outcomes:?}");
    assert_eq!(hubs[0].certificates(0).await.unwrap().len(), 1);
}

async fn revoked(hubs: Hubs) {
    let (one, other) = two(&hubs);
    for (code, node) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
        one.invite(invitation(code, node), entry(10)).await.unwrap();
    }
    for (code, node) in [(1, "a"), (2, "a"), (3, "b")] {
        assert_eq!(enrol(one, code, certificate(code, node, code, 20)).await, Enrolment::Issued);
    }
    let revoke = async |which: Which, at_ms| {
        let mut serials = one.revoke(which, "lost".to_owned(), entry(at_ms)).await.unwrap();
        serials.sort();
        serials
    };
    assert_eq!(revoke(Which::Serial("0101".to_owned()), 30).await, ["0101"]);
    assert_eq!(revoke(Which::Serial("0101".to_owned()), 31).await, [""; 0]);
    assert_eq!(revoke(Which::Node("a".to_owned()), 40).await, ["0102"]);
    let all = other.certificates(0).await.unwrap();
    let said: Vec<_> = all.iter().map(|c| (c.serial.as_str(), c.revoked.clone())).collect();
    let lost = |at_ms| Some((at_ms, "lost".to_owned()));
    assert_eq!(said, [("0101", lost(30)), ("0102", lost(40)), ("0103", None)]);
    // Codes of the node are gone, too, and those of others are not.
    assert_eq!(enrol(other, 4, certificate(4, "a", 4, 41)).await, Enrolment::Gone);
    assert!(matches!(enrol(other, 3, certificate(9, "b", 3, 41)).await, Enrolment::Again(_)));
}

async fn line(hubs: Hubs) {
    let (one, other) = two(&hubs);
    for code in [1, 2] {
        one.invite(invitation(code, "a"), entry(10)).await.unwrap();
        enrol(one, code, certificate(code, "a", code, 20)).await;
    }
    // Whoever stole the second certificate of the first line has renewed it; the box with the other line
    // has renewed its own.
    for (shown, number) in [(1, 11), (11, 12), (12, 13), (2, 21)] {
        let renewed = certificate(number, "a", number, 30);
        assert!(other.renew(sha(shown), renewed, entry(30)).await.unwrap());
    }
    let which = Which::Serial("010c".to_owned());
    let mut serials = one.revoke(which, "stolen".to_owned(), entry(40)).await.unwrap();
    serials.sort();
    assert_eq!(serials, ["0101", "010b", "010c", "010d"]);
    let late = certificate(14, "a", 14, 41);
    assert!(!other.renew(sha(13), late, entry(41)).await.unwrap());
    let all = other.certificates(0).await.unwrap();
    let good: Vec<_> = all.iter().filter(|c| c.revoked.is_none()).map(|c| &*c.serial).collect();
    assert_eq!(good, ["0102", "0115"]);
}

async fn no_escape(hubs: Hubs) {
    let (one, other) = two(&hubs);
    one.invite(invitation(1, "a"), entry(10)).await.unwrap();
    enrol(one, 1, certificate(1, "a", 1, 20)).await;
    let renew = async |hub: &dyn NodeStore, shown, number, node: &str, at_ms| {
        hub.renew(sha(shown), certificate(number, node, number, at_ms), entry(at_ms)).await.unwrap()
    };
    assert!(renew(other, 1, 2, "a", 30).await);
    assert!(!renew(other, 1, 9, "b", 30).await, "another node's");
    assert!(!renew(other, 8, 9, "a", 30).await, "not known");
    assert!(!renew(other, 1, 9, "a", 20 + LIFE).await, "past");
    // Renewals and a revocation at the same moment: whatever comes first, nothing good is left.
    let renewals = (10..30_u8).map(|number| {
        let hub = &hubs[usize::from(number) % hubs.len()];
        renew(&**hub, 2, number, "a", 40)
    });
    let revoking = one.revoke(Which::Node("a".to_owned()), "lost".to_owned(), entry(40));
    let (_, serials) = futures_util::future::join(join_all(renewals), revoking).await;
    assert!(serials.unwrap().len() >= 2);
    let all = one.certificates(0).await.unwrap();
    assert!(all.iter().all(|c| c.revoked.is_some()), "{all:?}");
    assert!(!renew(one, 2, 40, "a", 41).await);
}

async fn seen(hubs: Hubs) {
    let (one, other) = two(&hubs);
    one.invite(invitation(1, "a"), entry(10)).await.unwrap();
    enrol(one, 1, certificate(1, "a", 1, 20)).await;
    one.seen(&[(sha(1), 50), (sha(9), 50)]).await.unwrap();
    // What comes late does not set it back.
    other.seen(&[(sha(1), 45)]).await.unwrap();
    assert_eq!(other.certificates(0).await.unwrap()[0].seen_ms, 50);
}
