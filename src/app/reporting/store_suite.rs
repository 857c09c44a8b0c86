//! What every [`ReportingStore`] must do; each back-end runs it. Handles are of one database.

use std::sync::Arc;

use futures_util::future::join_all;

use super::ports::{Heard, KeptTelling, Present, ReportingStore, Telling};
use crate::app::ports::BoxFuture;
use crate::sharing::reporting::Month;
use crate::sharing::reporting::month::DAY_MS;

/// Hubs on one store.
pub(crate) type Hubs = Vec<Arc<dyn ReportingStore>>;
type Test = fn(Hubs) -> BoxFuture<'static, ()>;

/// Name and body of each test; each gets two handles or more of an empty store.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("every_revision_is_kept_with_the_time_it_came", |s| Box::pin(revisions(s))),
    ("the_same_twice_changes_nothing", |s| Box::pin(twice(s))),
    ("an_older_or_another_one_is_told_what_is_newest", |s| Box::pin(behind(s))),
    ("of_all_who_race_with_one_number_one_is_kept", |s| Box::pin(raced(s))),
    ("hours_add_up_and_a_site_begins_once", |s| Box::pin(presence(s))),
];

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn telling(node: &str, revision: u32, checks: u64, at_ms: i64) -> KeptTelling {
    let numbers = vec![("checks".to_owned(), checks), ("read_hours/24".to_owned(), 0)];
    let place = "361102001001".to_owned();
    let telling = Telling { place, month: month("2026-10"), revision, numbers };
    KeptTelling { node: node.to_owned(), telling, at_ms }
}

async fn known(store: &dyn ReportingStore, at_ms: i64) -> Vec<KeptTelling> {
    store.known(month("2026-10"), at_ms).await.unwrap()
}

async fn revisions(hubs: Hubs) {
    let (one, other) = (&*hubs[0], &*hubs[1]);
    let all = [telling("a", 1, 5, 100), telling("a", 2, 7, 300), telling("b", 4, 1, 200)];
    for telling in all.clone() {
        assert_eq!(one.keep(telling).await.unwrap(), Heard::Kept);
    }
    let elsewhere = KeptTelling {
        telling: Telling { month: month("2026-09"), ..all[0].telling.clone() },
        ..all[0].clone()
    };
    assert_eq!(one.keep(elsewhere).await.unwrap(), Heard::Kept);
    let [first, second, b] = all;
    assert_eq!(known(other, 99).await, []);
    assert_eq!(known(other, 100).await, std::slice::from_ref(&first));
    assert_eq!(known(other, 299).await, [first, b.clone()]);
    assert_eq!(known(other, 300).await, [second, b]);
}

async fn twice(hubs: Hubs) {
    let (one, other) = (&*hubs[0], &*hubs[1]);
    let first = telling("a", 1, 5, 100);
    assert_eq!(one.keep(first.clone()).await.unwrap(), Heard::Kept);
    let again = KeptTelling { at_ms: 900, ..first.clone() };
    assert_eq!(other.keep(again).await.unwrap(), Heard::Known);
    assert_eq!(known(one, 1_000).await, [first]);
}

async fn behind(hubs: Hubs) {
    let (one, other) = (&*hubs[0], &*hubs[1]);
    let newest = telling("a", 3, 9, 100);
    assert_eq!(one.keep(newest.clone()).await.unwrap(), Heard::Kept);
    let behind = Heard::Behind { newest: 3 };
    assert_eq!(other.keep(telling("a", 2, 5, 200)).await.unwrap(), behind);
    assert_eq!(other.keep(telling("a", 3, 5, 200)).await.unwrap(), behind);
    // Of another node that says nothing.
    assert_eq!(other.keep(telling("b", 1, 5, 50)).await.unwrap(), Heard::Kept);
    assert_eq!(known(one, 1_000).await, [newest, telling("b", 1, 5, 50)]);
}

async fn raced(hubs: Hubs) {
    let tries = (0..8_u32).map(|number| {
        let hub = &hubs[usize::try_from(number).unwrap() % hubs.len()];
        hub.keep(telling("a", 1, number.into(), 100))
    });
    let heard: Vec<Heard> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(heard.iter().filter(|heard| **heard == Heard::Kept).count(), 1, "{heard:?}");
    let others = heard.iter().filter(|heard| **heard == Heard::Behind { newest: 1 });
    assert_eq!(others.count(), 7, "{heard:?}");
    assert_eq!(known(&*hubs[0], 100).await.len(), 1);
}

async fn presence(hubs: Hubs) {
    let (one, other) = (&*hubs[0], &*hubs[1]);
    let present = |node: &str, day_ms, hours| Present {
        node: node.to_owned(),
        place: "361102001".to_owned(),
        day_ms,
        hours,
    };
    one.present(vec![(present("a", 0, 0b1), 5), (present("b", DAY_MS, 0b100), DAY_MS)])
        .await
        .unwrap();
    other
        .present(vec![(present("a", 0, 0b1010), 9), (present("a", DAY_MS, 0b1), 9)])
        .await
        .unwrap();
    let moved = Present { place: "361102002".to_owned(), ..present("b", DAY_MS, 0b100) };
    other.present(vec![(moved, 3)]).await.unwrap();
    let sites = one.sites().await.unwrap();
    let shown: Vec<_> =
        sites.iter().map(|s| (s.node.as_str(), s.place.as_str(), s.since_ms)).collect();
    assert_eq!(shown, [("a", "361102001", 5), ("b", "361102002", 3)]);
    let days = |from, to| async move {
        let days = one.presence(from, to).await.unwrap();
        days.into_iter().map(|day| (day.node, day.day_ms, day.hours)).collect::<Vec<_>>()
    };
    assert_eq!(days(0, DAY_MS).await, [("a".to_owned(), 0, 0b1011)]);
    let all = [("a".to_owned(), DAY_MS, 0b1), ("b".to_owned(), DAY_MS, 0b100)];
    assert_eq!(days(DAY_MS, 2 * DAY_MS).await, all);
}
