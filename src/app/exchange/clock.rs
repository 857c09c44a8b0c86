//! Whether a node's clock and its hub's agree. The hub says its time with its welcome and with every beat;
//! the node works out by how much its own is ahead, and neither clock is ever changed by that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::app::ports::Clock;

/// By how much the clocks may differ, in milliseconds: more than two minutes is not the line's delay, and
/// less does no harm to what is counted in days.
pub const AHEAD_MAX_MS: i64 = 120_000;
/// At most this much it is right again, so that a clock near the limit is not told of with every beat.
const RIGHT_AT_MS: i64 = 60_000;

/// How a node's clock stood to its hub's when it was last compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// By how much it was ahead, in milliseconds; less than 0: behind.
    pub ahead_ms: i64,
    /// How far off that may be, in milliseconds: half the round trip.
    pub tolerance_ms: i64,
    /// When, in milliseconds since 1970 by the node's clock.
    pub at_ms: i64,
    /// It is surely more than [`AHEAD_MAX_MS`], or was and is not yet right again.
    pub is_off: bool,
}

/// What a node knows of its hub's time.
#[derive(Debug)]
pub struct HubTime {
    clock: Arc<dyn Clock>,
    last: Mutex<Option<Compared>>,
}

impl HubTime {
    /// By the node's own clock; nothing was compared yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, last: Mutex::default() })
    }

    /// The last comparison; none before the first, and of hubs of before.
    pub fn compared(&self) -> Option<Compared> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub has said its time, in milliseconds since 1970, in an answer that took `trip` from when it
    /// was asked for. 0: a hub of before says none.
    pub fn heard(&self, hub_ms: i64, trip: Duration) {
        if hub_ms <= 0 {
            return;
        }
        let now = self.clock.now_ms();
        let half = i64::try_from(trip.as_millis() / 2).unwrap_or(i64::MAX);
        let ahead_ms = now.saturating_sub(half).saturating_sub(hub_ms);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let was_off = last.is_some_and(|last| last.is_off);
        let compared = compare(was_off, (ahead_ms, half), now);
        *last = Some(compared);
        drop(last);
        match (was_off, compared.is_off) {
            (false, true) => tracing::warn!(
                ahead_s = ahead_ms / 1_000,
                "this node's clock and the hub's differ by more than two minutes: set the one that is \
                 wrong (chrony: `chronyc tracking`, then `chronyc makestep`; 请对时). Until then days on \
                 which tasks are due, the time at which consent was said, ends of contracts and the \
                 validity of certificates are judged by a wrong clock"
            ),
            (true, false) => {
                tracing::warn!(
                    ahead_s = ahead_ms / 1_000,
                    "this node's clock and the hub's agree again"
                );
            }
            (false, false) | (true, true) => {}
        }
    }
}

fn compare(was_off: bool, (ahead_ms, tolerance_ms): (i64, i64), at_ms: i64) -> Compared {
    let apart = ahead_ms.saturating_abs();
    let surely = apart.saturating_sub(tolerance_ms);
    let is_off = surely > AHEAD_MAX_MS || (was_off && apart > RIGHT_AT_MS);
    Compared { ahead_ms, tolerance_ms, at_ms, is_off }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct At(AtomicI64);

    impl Clock for At {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_clock_that_is_off_is_noticed_and_so_is_that_it_is_right_again() {
        let clock = Arc::new(At::default());
        let time = HubTime::new(Arc::<At>::clone(&clock));
        assert_eq!(time.compared(), None);
        let hub = 1_795_910_400_000;
        let heard = |ahead: i64, trip| {
            clock.0.store(hub + ahead, Ordering::Relaxed);
            time.heard(hub, Duration::from_millis(trip));
            let last = time.compared().unwrap();
            (last.ahead_ms, last.tolerance_ms, last.is_off)
        };
        // Half the way is the line's; what the line may have caused is no skew.
        assert_eq!(heard(40, 80), (0, 40, false));
        assert_eq!(heard(120_000, 0), (120_000, 0, false));
        assert_eq!(heard(130_000, 20_000), (120_000, 10_000, false));
        assert_eq!(heard(150_000, 20_000), (140_000, 10_000, true));
        // Not told of again before it is right, and then it is.
        assert_eq!(heard(100_000, 0), (100_000, 0, true));
        assert_eq!(heard(60_000, 0), (60_000, 0, false));
        assert_eq!(heard(-100_000, 0), (-100_000, 0, false));
        assert_eq!(heard(-120_001, 0), (-120_001, 0, true));
        assert_eq!(heard(-3_600_000, 0), (-3_600_000, 0, true));
        assert_eq!(heard(0, 0), (0, 0, false));
        // A hub of before says nothing, and a broken one nonsense.
        time.heard(0, Duration::ZERO);
        assert_eq!(time.compared().unwrap().ahead_ms, 0);
        time.heard(i64::MAX, Duration::MAX);
        assert!(time.compared().is_some());
    }
}
