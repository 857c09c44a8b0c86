//! What PACS behind the node have.

use super::open;
use crate::app::regional::behind::{BehindStore as _, Mark};
use crate::sharing::imaging::header::Study;
use crate::sharing::imaging::published::{Held, PublishedStudy};

fn study(uid: &str, instances: u64) -> PublishedStudy {
    PublishedStudy {
        study: Study { uid: uid.to_owned(), ..Study::default() },
        instances,
        held: Held::Behind,
        ..PublishedStudy::default()
    }
}

fn uids(studies: &[PublishedStudy]) -> Vec<&str> {
    studies.iter().map(|study| study.study.uid.as_str()).collect()
}

#[tokio::test]
async fn what_a_pacs_has_is_kept_by_day_and_each_change_is_told_once_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let begun = store.mark().await.unwrap();
    assert_eq!((begun.number, begun.epoch.is_empty()), (0, false));
    let day = "20261129";
    store.keep("A", day, vec![study("1.1", 1), study("1.2", 2)]).await.unwrap();
    store.keep("A", "20261128", vec![study("1.3", 3)]).await.unwrap();
    store.keep("B", day, vec![study("1.2", 5)]).await.unwrap();
    assert_eq!(uids(&store.dated("A", day, day).await.unwrap()), ["1.1", "1.2"]);
    assert_eq!(uids(&store.dated("A", "", "20261128").await.unwrap()), ["1.3"]);
    let told = |changes: Vec<(u64, String)>| {
        changes.into_iter().map(|(number, uid)| format!("{number} {uid}")).collect::<Vec<_>>()
    };
    let all = ["1 1.1", "2 1.2", "3 1.3", "4 1.2"];
    assert_eq!(told(store.changed(0, 10).await.unwrap()), all);
    assert_eq!(told(store.changed(1, 2).await.unwrap()), all[1..3]);
    // One that changes moves to the end, and so does one that goes.
    store.keep("A", "20261127", vec![study("1.1", 7)]).await.unwrap();
    store.gone("A", vec!["1.3".to_owned(), "9.9".to_owned()]).await.unwrap();
    let changed = store.changed(4, 10).await.unwrap();
    assert_eq!(told(changed), ["5 1.1", "6 1.3"]);
    assert!(store.dated("A", day, day).await.unwrap().iter().all(|s| s.study.uid != "1.1"));
    let found = store.of(vec!["1.1".into(), "1.2".into(), "1.3".into()]).await.unwrap();
    let found: Vec<_> =
        found.iter().map(|f| (f.pacs.as_str(), &*f.study.study.uid, f.study.instances)).collect();
    assert_eq!(found, [("A", "1.1", 7), ("A", "1.2", 2), ("B", "1.2", 5)]);
    assert_eq!(store.list("", 10).await.unwrap(), ["1.1", "1.2"]);
    assert_eq!(store.list("1.1", 10).await.unwrap(), ["1.2"]);
    // What comes back is there again.
    store.keep("A", day, vec![study("1.3", 4)]).await.unwrap();
    assert_eq!(store.list("1.2", 10).await.unwrap(), ["1.3"]);
}

#[tokio::test]
async fn a_pacs_that_is_behind_no_more_takes_its_studies_along_and_a_feed_is_known_by_its_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.keep("A", "20261129", vec![study("1.1", 1)]).await.unwrap();
    store.keep("B", "20261129", vec![study("1.1", 2), study("1.2", 1)]).await.unwrap();
    store.retain(vec!["A".to_owned()]).await.unwrap();
    assert_eq!(store.list("", 10).await.unwrap(), ["1.1"]);
    assert_eq!(store.changed(3, 10).await.unwrap().len(), 2);
    let Mark { epoch, number } = store.mark().await.unwrap();
    drop(store);
    let again = open(folder.path()).await;
    assert_eq!(again.mark().await.unwrap(), Mark { epoch: epoch.clone(), number });
    let other = tempfile::tempdir().unwrap();
    assert_ne!(open(other.path()).await.mark().await.unwrap().epoch, epoch);
}
