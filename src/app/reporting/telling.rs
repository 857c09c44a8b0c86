//! At a node: telling the hub the counts of a month, and again when late work has changed them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ports::{Heard, Listener, NodeCounts, Spoken, Telling};
use crate::app::error::Error;
use crate::app::ports::Clock;
use crate::sharing::reporting::Month;
use crate::sharing::reporting::month::{DAY_MS, HOUR_MS};

/// Months before this one that are looked at for late work.
pub const LATE_MONTHS: usize = 12;
/// The month that runs is told once in so long, and longer past ones are looked at as often: what a
/// report of the last month wants, the hub has within an hour.
const SELDOM_MS: i64 = DAY_MS;
/// The last month is looked at so often.
const OFTEN_MS: i64 = HOUR_MS;
/// Tries under a higher number, where the hub has a newer revision.
const TRIES: u32 = 3;

/// Tells the counts of one node.
#[derive(Debug)]
pub struct Teller {
    counts: Arc<dyn NodeCounts>,
    hub: Arc<dyn Listener>,
    clock: Arc<dyn Clock>,
    area: String,
    /// When each month was looked at last, since the node started.
    looked: BTreeMap<Month, i64>,
}

impl Teller {
    /// Of a node that stands in a place with this division code.
    pub fn new(
        counts: Arc<dyn NodeCounts>,
        hub: Arc<dyn Listener>,
        clock: Arc<dyn Clock>,
        area: &str,
    ) -> Self {
        Self { counts, hub, clock, area: area.to_owned(), looked: BTreeMap::new() }
    }

    /// Tells what has changed; how many months were told.
    pub async fn tell(&mut self) -> Result<usize, Error> {
        let now_ms = self.clock.now_ms();
        let Some(running) = Month::of_ms(now_ms) else { return Ok(0) };
        let Some(first) = self.counts.first().await? else { return Ok(0) };
        let mut told = 0;
        for month in running.back(LATE_MONTHS + 1).into_iter().filter(|month| *month >= first) {
            let every_ms = if month.next() == Some(running) { OFTEN_MS } else { SELDOM_MS };
            if self.looked.get(&month).is_some_and(|at_ms| now_ms - at_ms < every_ms) {
                continue;
            }
            let known = self.counts.spoken(month).await?.map(|spoken| spoken.telling);
            let numbers = self.counts.count(month).await?;
            if known.as_ref().is_some_and(|k| k.numbers == numbers && k.place == self.area) {
                self.looked.insert(month, now_ms);
                continue;
            }
            let revision = known.map_or(0, |known| known.revision).saturating_add(1);
            self.tell_one(Telling { place: self.area.clone(), month, revision, numbers }).await?;
            self.looked.insert(month, now_ms);
            told += 1;
        }
        Ok(told)
    }

    async fn tell_one(&self, mut telling: Telling) -> Result<(), Error> {
        for _ in 0..TRIES {
            match self.hub.tell(telling.clone()).await? {
                Heard::Kept | Heard::Known => {
                    let taken_ms = self.clock.now_ms();
                    return self.counts.note(Spoken { telling, taken_ms }).await;
                }
                // The box was replaced, or an old copy was put back.
                Heard::Behind { newest } => telling.revision = newest.saturating_add(1),
            }
        }
        Err(Error::Unavailable { what: "hub", cause: Some("revisions overtake each other".into()) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::app::ports::BoxFuture;

    #[derive(Debug, Default)]
    struct Kept {
        counts: BTreeMap<Month, u64>,
        spoken: BTreeMap<Month, Spoken>,
    }

    #[derive(Debug, Default)]
    struct Node(Mutex<Kept>);

    #[derive(Debug, Default)]
    struct Hub(Mutex<Vec<Telling>>);

    #[derive(Debug)]
    struct Now(Mutex<i64>);

    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Clock for Now {
        fn now_ms(&self) -> i64 {
            *lock(&self.0)
        }
    }

    impl NodeCounts for Node {
        fn count(&self, month: Month) -> BoxFuture<'_, Result<Vec<(String, u64)>, Error>> {
            let count = lock(&self.0).counts.get(&month).copied().unwrap_or(0);
            Box::pin(async move { Ok(vec![("checks".to_owned(), count)]) })
        }

        fn first(&self) -> BoxFuture<'_, Result<Option<Month>, Error>> {
            let first = lock(&self.0).counts.keys().next().copied();
            Box::pin(async move { Ok(first) })
        }

        fn spoken(&self, month: Month) -> BoxFuture<'_, Result<Option<Spoken>, Error>> {
            let spoken = lock(&self.0).spoken.get(&month).cloned();
            Box::pin(async move { Ok(spoken) })
        }

        fn note(&self, spoken: Spoken) -> BoxFuture<'_, Result<(), Error>> {
            lock(&self.0).spoken.insert(spoken.telling.month, spoken);
            Box::pin(async { Ok(()) })
        }
    }

    impl Listener for Hub {
        fn tell(&self, telling: Telling) -> BoxFuture<'_, Result<Heard, Error>> {
            let mut told = lock(&self.0);
            let of_month = told.iter().filter(|one| one.month == telling.month);
            let newest = of_month.map(|one| one.revision).max().unwrap_or(0);
            let heard = if telling.revision > newest {
                told.push(telling);
                Heard::Kept
            } else {
                Heard::Behind { newest }
            };
            Box::pin(async move { Ok(heard) })
        }
    }

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    fn teller(node: &Arc<Node>, hub: &Arc<Hub>, now: &Arc<Now>) -> Teller {
        let counts: Arc<dyn NodeCounts> = Arc::<Node>::clone(node);
        let hub: Arc<dyn Listener> = Arc::<Hub>::clone(hub);
        let clock: Arc<dyn Clock> = Arc::<Now>::clone(now);
        Teller::new(counts, hub, clock, "361102001001")
    }

    fn said(hub: &Hub) -> Vec<(String, u32, u64)> {
        let told = lock(&hub.0);
        let line = |one: &Telling| (one.month.to_string(), one.revision, one.numbers[0].1);
        told.iter().map(line).collect()
    }

    #[tokio::test]
    async fn late_work_is_told_again_and_nothing_else() {
        let (node, hub) = (Arc::new(Node::default()), Arc::new(Hub::default()));
        let now = Arc::new(Now(Mutex::new(month("2026-11").start_ms() + 3 * DAY_MS)));
        let mut teller = teller(&node, &hub, &now);
        assert_eq!(teller.tell().await.unwrap(), 0);
        lock(&node.0).counts.insert(month("2026-10"), 7);
        assert_eq!(teller.tell().await.unwrap(), 2);
        let first = [("2026-10".to_owned(), 1, 7), ("2026-11".to_owned(), 1, 0)];
        assert_eq!(said(&hub), first);
        // Within the hour nobody looks; then nothing has changed.
        lock(&node.0).counts.insert(month("2026-11"), 5);
        assert_eq!(teller.tell().await.unwrap(), 0);
        *lock(&now.0) += HOUR_MS;
        assert_eq!(teller.tell().await.unwrap(), 0);
        lock(&node.0).counts.insert(month("2026-10"), 9);
        *lock(&now.0) += HOUR_MS;
        assert_eq!(teller.tell().await.unwrap(), 1);
        assert_eq!(said(&hub)[2], ("2026-10".to_owned(), 2, 9));
        *lock(&now.0) += DAY_MS;
        assert_eq!(teller.tell().await.unwrap(), 1);
        assert_eq!(said(&hub)[3], ("2026-11".to_owned(), 2, 5));
    }

    #[tokio::test]
    async fn a_box_that_was_replaced_goes_on_after_what_the_hub_has() {
        let (node, hub) = (Arc::new(Node::default()), Arc::new(Hub::default()));
        let now = Arc::new(Now(Mutex::new(month("2026-11").start_ms() - DAY_MS)));
        lock(&node.0).counts.insert(month("2026-10"), 7);
        let old = Telling {
            place: "361102001001".to_owned(),
            month: month("2026-10"),
            revision: 41,
            numbers: vec![("checks".to_owned(), 3)],
        };
        lock(&hub.0).push(old);
        assert_eq!(teller(&node, &hub, &now).tell().await.unwrap(), 1);
        assert_eq!(said(&hub)[1], ("2026-10".to_owned(), 42, 7));
        assert_eq!(lock(&node.0).spoken[&month("2026-10")].telling.revision, 42);
        // After the next start it is known that all of it was told.
        assert_eq!(teller(&node, &hub, &now).tell().await.unwrap(), 0);
    }
}
