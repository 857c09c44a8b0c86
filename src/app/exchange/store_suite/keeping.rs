//! What is kept, known, refused and put aside, and how it is read.

use super::{VILLAGE, all, document, inbox, is_known, kept, line, of, person, place, record};
use crate::app::error::Code;
use crate::app::exchange::ports::{
    Facts, HubDocuments, PutAside, QuarantineQuery, Quarantined, Settled, Submission,
};
use crate::sharing::exchange::{Kind, Outcome};

pub(super) async fn known(store: &dyn HubDocuments) {
    let first = record("hospital", 1, "r1", place(VILLAGE));
    let number = kept(store, first.clone()).await;
    assert!(number > 0);
    assert_eq!(is_known(store, first.clone()).await, number);
    // Under another number, from another database and from another node it is the same document.
    assert_eq!(is_known(store, Submission { number: 2, ..first.clone() }).await, number);
    let other_store = Submission { store: "hospital-b".to_owned(), ..first.clone() };
    assert_eq!(is_known(store, other_store).await, number);
    assert_eq!(is_known(store, record("county", 9, "r1", place(VILLAGE))).await, number);
    // Each of these numbers is written down.
    assert_eq!(is_known(store, Submission { number: 2, ..first.clone() }).await, number);
    let another = document(Kind::Record, "r2", 1, "r2");
    for (node, of_store, number) in
        [("hospital", "hospital-a", 2), ("hospital", "hospital-b", 1), ("county", "county-a", 9)]
    {
        let again = Submission {
            node: node.to_owned(),
            store: of_store.to_owned(),
            number,
            document: another.clone(),
            ..first.clone()
        };
        assert_eq!(store.keep(again).await.unwrap(), Outcome::Forked, "{node} {of_store}");
    }
    assert_eq!(inbox(store, "village-1").await, ["r1/1"]);
    let later = kept(store, record("hospital", 3, "r3", Facts::default())).await;
    assert!(later > number);
}

pub(super) async fn forked(store: &dyn HubDocuments) {
    kept(store, record("hospital", 1, "r1", place(VILLAGE))).await;
    let other = record("hospital", 1, "r2", place(VILLAGE));
    assert_eq!(store.keep(other.clone()).await.unwrap(), Outcome::Forked);
    // Nothing of it was kept, and under a number of its own it is new.
    assert_eq!(inbox(store, "village-1").await, ["r1/1"]);
    kept(store, Submission { number: 2, ..other }).await;
    assert_eq!(inbox(store, "village-1").await, ["r1/1", "r2/1"]);
}

pub(super) async fn conflict(store: &dyn HubDocuments) {
    kept(store, record("hospital", 1, "r", place(VILLAGE))).await;
    for (kind, name) in [(Kind::Record, "r"), (Kind::Registration, "g")] {
        let (one, two) = (document(kind, name, 1, "one"), document(kind, name, 1, "two"));
        let _ = store.keep(of("hospital", 2, one, Facts::default())).await.unwrap();
        for _ in 0..2 {
            let refused = store.keep(of("hospital", 3, two.clone(), place(VILLAGE))).await.unwrap();
            let Outcome::Refused { code, reason } = refused else { panic!("{refused:?}") };
            assert_eq!(code, "version_conflict");
            assert!(!reason.is_empty());
        }
    }
    // Its number is free, and so are the next version and another kind of the same name.
    kept(store, of("hospital", 3, document(Kind::Record, "r", 2, "two"), place(VILLAGE))).await;
    kept(store, of("county", 4, document(Kind::Registration, "r", 1, "x"), place(VILLAGE))).await;
    assert_eq!(inbox(store, "village-1").await, ["r/1", "r/2", "r/1"]);
}

pub(super) async fn tasks(store: &dyn HubDocuments) {
    kept(store, record("hospital", 1, "r", place(VILLAGE))).await;
    let task = |text| document(Kind::Task, "r#1", 2, text);
    let one = kept(store, of("village-1", 1, task("done"), Facts::default())).await;
    let two = kept(store, of("township", 1, task("lost"), Facts::default())).await;
    assert_ne!(one, two);
    assert_eq!(is_known(store, of("township", 2, task("done"), Facts::default())).await, one);
    assert_eq!(is_known(store, of("village-1", 2, task("lost"), Facts::default())).await, two);
    assert_eq!(inbox(store, "hospital").await, ["r#1/2", "r#1/2"]);
}

pub(super) async fn names(store: &dyn HubDocuments) {
    for name in ["", "a\0b", "a\nb", &"长".repeat(700)] {
        let refused = store.keep(record("hospital", 1, name, place(VILLAGE))).await.unwrap();
        assert!(matches!(&refused, Outcome::Refused { code, .. } if code == "bad_name"), "{name}");
    }
    for bad in ["", "a\0b", &"x".repeat(300)] {
        let node = Submission { node: bad.to_owned(), ..record("h", 1, "r", Facts::default()) };
        assert_eq!(store.keep(node).await.unwrap_err().code(), Code::InvalidArgument);
        let of = Submission { store: bad.to_owned(), ..record("h", 1, "r", Facts::default()) };
        assert_eq!(store.keep(of).await.unwrap_err().code(), Code::InvalidArgument);
    }
    // The longest that may be; it disturbs nobody.
    let long: String = (0..512).map(|at| char::from_u32(0x20000 + at * 7).unwrap()).collect();
    kept(store, record("hospital", 7, &long, Facts::default())).await;
    kept(store, record("hospital", 1, "r", place(VILLAGE))).await;
    assert_eq!(inbox(store, "village-1").await, ["r/1"]);
}

pub(super) async fn whole(store: &dyn HubDocuments) {
    let mut sent = Vec::new();
    for (number, kind) in (1..).zip([Kind::Record, Kind::Registration]) {
        let mut one = document(kind, "张三/出院小结", u32::MAX, "体温 36.5℃\0\u{feff}");
        one.media_type = "text/xml; charset=gb18030".to_owned();
        one.body = vec![0, 0xff, 0x80, b'\n'].into();
        kept(store, of("hospital", number, one.clone(), place(VILLAGE))).await;
        sent.push(one);
    }
    let empty = document(Kind::Record, "empty", 1, "");
    kept(store, of("hospital", 3, empty.clone(), place(VILLAGE))).await;
    sent.push(empty);
    assert_eq!(all(store, "village-1").await, sent);
}

pub(super) async fn parts(store: &dyn HubDocuments) {
    assert_eq!(store.inbox("village-1", 0, 10).await.unwrap(), (Vec::new(), true));
    let large = "x".repeat(1_500_000);
    for number in 1..=5 {
        let document = document(Kind::Record, &format!("r{number}"), 1, &large);
        kept(store, of("hospital", number, document, place(VILLAGE))).await;
    }
    let numbers = async |after, limit| {
        let (read, whole) = store.inbox("village-1", after, limit).await.unwrap();
        (read.into_iter().map(|(number, _)| number).collect::<Vec<_>>(), whole)
    };
    assert_eq!(numbers(0, 2).await, (vec![1, 2], false));
    // Stops after about 4 MiB.
    assert_eq!(numbers(0, 10).await, (vec![1, 2, 3], false));
    assert_eq!(numbers(3, 10).await, (vec![4, 5], true));
    assert_eq!(numbers(3, 2).await, (vec![4, 5], true));
    assert_eq!(numbers(5, 2).await, (Vec::new(), true));
    assert_eq!(numbers(99, 2).await, (Vec::new(), true));
    // One that is larger than that by itself is read all the same.
    let huge = document(Kind::Record, "r6", 1, &"y".repeat(5 * 1024 * 1024));
    kept(store, of("hospital", 6, huge, place(VILLAGE))).await;
    assert_eq!(numbers(5, 10).await, (vec![6], true));
    assert_eq!(numbers(4, 10).await, (vec![5, 6], true));
}

pub(super) async fn quarantine(store: &dyn HubDocuments) {
    let put = |number, text: &str| Quarantined {
        node: "hospital".to_owned(),
        store: "hospital-a".to_owned(),
        number,
        document: document(Kind::Record, "bad\0name", 1, text),
        code: "not_xml".to_owned(),
        reason: "第 1 行不是 XML".to_owned(),
        at_ms: 5,
    };
    for _ in 0..3 {
        store.quarantine(put(1, "<")).await.unwrap();
    }
    assert_eq!(line(store, "hospital").await.quarantined, 1);
    store.quarantine(put(2, "<")).await.unwrap();
    store.quarantine(put(1, ">")).await.unwrap();
    let hospital = line(store, "hospital").await;
    assert_eq!((hospital.quarantined, hospital.handed_over), (3, 0));
    // Those behind it and the number itself are free.
    kept(store, record("hospital", 1, "r", place(VILLAGE))).await;
    assert_eq!(inbox(store, "village-1").await, ["r/1"]);
}

pub(super) async fn put_aside(store: &dyn HubDocuments) {
    let put = |node: &str, number, text: &str, at_ms| Quarantined {
        node: node.to_owned(),
        store: format!("{node}-a"),
        number,
        document: document(Kind::Record, "张三\0", 3, text),
        code: "not_xml".to_owned(),
        reason: "第 1 行不是 XML".to_owned(),
        at_ms,
    };
    let list = async |node: &str, settled, before, limit| {
        let query = QuarantineQuery { node: node.to_owned(), settled, before, limit };
        store.quarantined(query).await.unwrap()
    };
    assert_eq!(list("", true, None, 9).await, []);
    for (node, number, text, at_ms) in
        [("hospital", 1, "<", 5), ("county", 1, "<<", 6), ("hospital", 2, "<<<", 7)]
    {
        store.quarantine(put(node, number, text, at_ms)).await.unwrap();
    }
    store.quarantine(put("hospital", 1, "<", 9)).await.unwrap();
    let all = list("", false, None, 9).await;
    let of: Vec<_> = all.iter().map(|l| (l.node.as_str(), l.number, l.bytes, l.times)).collect();
    // Newest first, by when each came first.
    assert_eq!(of, [("hospital", 2, 3, 1), ("county", 1, 2, 1), ("hospital", 1, 1, 2)]);
    let first = all[2].clone();
    let expected = PutAside {
        id: first.id,
        node: "hospital".to_owned(),
        store: "hospital-a".to_owned(),
        number: 1,
        kind: Kind::Record,
        name: "张三\u{fffd}".to_owned(),
        version: 3,
        media_type: "application/fhir+json".to_owned(),
        bytes: 1,
        code: "not_xml".to_owned(),
        reason: "第 1 行不是 XML".to_owned(),
        first_ms: 5,
        last_ms: 9,
        times: 2,
        settled_ms: 0,
        settled_by: String::new(),
        finding: String::new(),
    };
    assert_eq!(first, expected);
    // In pages, and of one node.
    assert_eq!(list("", false, None, 2).await, all[..2]);
    let before = i64::try_from(all[1].id).unwrap();
    assert_eq!(list("", false, Some(before), 2).await, all[2..]);
    assert_eq!(list("county", false, None, 9).await, all[1..2]);
    assert_eq!(list("nobody", true, None, 9).await, []);
    // With its bytes.
    let (line, document) = store.read_quarantined(first.id).await.unwrap().unwrap();
    assert_eq!((line, &document.body[..]), (first.clone(), &b"<"[..]));
    assert_eq!(document.sha256, put("hospital", 1, "<", 5).document.sha256);
    assert!(store.read_quarantined(first.id + 99).await.unwrap().is_none());
    // It was dealt with, stays, and is only shown to who asks for it.
    let settled = Settled { by: "admin".to_owned(), finding: "已补发".to_owned(), at_ms: 11 };
    let line = store.settle_quarantined(first.id, settled.clone()).await.unwrap().unwrap();
    let done = PutAside {
        settled_ms: 11,
        settled_by: "admin".to_owned(),
        finding: "已补发".to_owned(),
        ..first.clone()
    };
    assert_eq!(line, done);
    assert_eq!(list("hospital", false, None, 9).await, all[..1]);
    assert_eq!(list("hospital", true, None, 9).await[1], done);
    assert_eq!(line_of(store).await, (1, 1));
    assert_eq!(store.quarantined_count().await.unwrap(), 2);
    assert!(store.settle_quarantined(first.id + 99, settled).await.unwrap().is_none());
    // When it comes again, that is seen.
    store.quarantine(put("hospital", 1, "<", 20)).await.unwrap();
    let (line, _) = store.read_quarantined(first.id).await.unwrap().unwrap();
    assert_eq!((line.times, line.last_ms, line.settled_ms), (3, 20, 11));
}

/// What the report counts of the hospital and the county.
async fn line_of(store: &dyn HubDocuments) -> (u64, u64) {
    (line(store, "hospital").await.quarantined, line(store, "county").await.quarantined)
}

pub(super) async fn grown(store: &dyn HubDocuments) {
    let mut grown = store.grown();
    kept(store, record("hospital", 1, "r", place(VILLAGE))).await;
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let name = grown.recv().await.unwrap();
        // Somebody else, or everybody: a hint may say too much.
        if ["village-1", "township"].contains(&&*name) && !heard.contains(&name.to_string()) {
            heard.push(name.to_string());
        }
    }
    kept(store, record("hospital", 2, "r2", person(1))).await;
    assert_eq!(inbox(store, "village-1").await, ["r/1"]);
}
