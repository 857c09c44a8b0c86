//! So many bytes in a second: a token bucket that all associations with a destination share.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use super::ports::Pace;

/// How much may go at once after a pause.
const BURST: Duration = Duration::from_secs(1);
/// A wait is never longer, whatever the rate.
const DELAY_MAX: Duration = Duration::from_mins(10);

/// Lets bytes go at a rate. Each waits for those before it, so that the bucket may be in debt but
/// never forgets one.
#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: u64,
    /// When all bytes so far have gone at the rate.
    paid: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid: Mutex::new(None) }
    }

    fn worth(&self, bytes: u64) -> Duration {
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_per_second);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).min(DELAY_MAX)
    }
}

impl Pace for Throttle {
    fn delay(&self, bytes: u64) -> Duration {
        let now = Instant::now();
        let mut paid = lock(&self.paid);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = paid.map_or(earliest, |paid| paid.max(earliest));
        let until = from + self.worth(bytes);
        *paid = Some(until);
        // What fits into the burst goes at once.
        until.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_go_at_the_rate_after_a_burst_of_one_second() {
        let throttle = Throttle::new(1000);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(throttle.delay(1000), Duration::ZERO);
        assert_eq!(throttle.delay(500), Duration::from_millis(500));
        assert_eq!(throttle.delay(500), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(throttle.delay(1500), Duration::from_millis(500), "a pause saves one second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tiny_rate_and_a_huge_object_do_not_overflow() {
        let throttle = Throttle::new(0);
        assert!(throttle.delay(u64::MAX) <= DELAY_MAX);
        assert!(throttle.delay(u64::MAX) <= DELAY_MAX * 2);
    }
}
