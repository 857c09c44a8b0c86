//! Copies and what they come to, over a real file.

use super::*;
use crate::app::imaging::holdings::{CopyTotals, HeldCopy, Holdings as _};

fn copy(number: u8, study: &str, node: &str) -> HeldCopy {
    HeldCopy {
        digest: Digest([number; 32]),
        study: study.to_owned(),
        instance: format!("{study}.{number}"),
        node: node.to_owned(),
        bytes: 100,
        apart: number == 3,
        kept_ms: i64::from(number),
    }
}

#[tokio::test]
async fn copies_are_counted_by_study_and_in_all_and_stay_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.totals().await.unwrap(), CopyTotals::default());
    let noted = vec![copy(1, "1.2", "hospital"), copy(2, "1.2", "hub"), copy(3, "1.2", "hub")];
    store.note(noted.clone()).await.unwrap();
    store.note(noted).await.unwrap();
    store.note(vec![copy(4, "1.3", "hub")]).await.unwrap();
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!(store.totals().await.unwrap(), CopyTotals { studies: 2, objects: 4, bytes: 400 });
    let asked = ["1.2", "1.3", "1.4"].map(str::to_owned).to_vec();
    let mut of = store.copies_of(asked.clone()).await.unwrap();
    of.sort_by(|a, b| a.study.cmp(&b.study));
    assert_eq!(of.len(), 2);
    assert_eq!((of[0].objects, of[0].apart, of[0].bytes, of[0].used_ms), (3, 1, 300, 3));
    assert_eq!(of[0].nodes.iter().collect::<Vec<_>>(), ["hospital", "hub"]);
    let uses = vec![("1.3".to_owned(), 9), ("1.2".to_owned(), 1), ("1.4".to_owned(), 9)];
    store.used(uses).await.unwrap();
    let of = store.copies_of(asked).await.unwrap();
    let last = |study: &str| of.iter().find(|c| c.study == study).unwrap().used_ms;
    assert_eq!((last("1.2"), last("1.3")), (3, 9), "time goes one way");
}

#[tokio::test]
async fn what_became_own_is_no_copy_and_is_not_noted_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.note(vec![copy(1, "1.2", "hub"), copy(2, "1.2", "hub")]).await.unwrap();
    assert_eq!(store.own(vec![Digest([1; 32]), Digest([9; 32])]).await.unwrap(), 1);
    assert_eq!(store.own(vec![Digest([1; 32])]).await.unwrap(), 0);
    store.note(vec![copy(1, "1.2", "hub")]).await.unwrap();
    assert_eq!(store.totals().await.unwrap(), CopyTotals { studies: 1, objects: 1, bytes: 100 });
    store.own(vec![Digest([2; 32])]).await.unwrap();
    assert_eq!(store.totals().await.unwrap(), CopyTotals::default());
    assert!(store.copies_of(vec!["1.2".to_owned()]).await.unwrap().is_empty());
}
