//! Whether the wall clock was changed while something was measured. Durations come from the clock that
//! only goes forward, so no figure is wrong for it; what the node writes has the wall clock's time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::ports::Clock;

/// What the two clocks may differ by before it is said; an ordinary adjustment stays below.
const ALLOWED_MS: i64 = 1_000;

/// Compares the wall clock with the one that only goes forward.
#[derive(Debug)]
pub struct Clocks {
    wall: Arc<dyn Clock>,
    began: Instant,
    began_ms: i64,
    /// What the wall clock was ahead when it was looked at last.
    ahead_ms: i64,
}

impl Clocks {
    /// Begins now.
    pub fn begin(wall: Arc<dyn Clock>) -> Self {
        let (began, began_ms) = (Instant::now(), wall.now_ms());
        Self { wall, began, began_ms, ahead_ms: 0 }
    }

    /// When it began by the wall clock, in milliseconds since 1970.
    pub fn began_ms(&self) -> i64 {
        self.began_ms
    }

    /// How long ago that is.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Looks at both; a sentence where the wall clock was moved since the last look.
    pub fn look(&mut self) -> Option<String> {
        let passed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        let ahead = self.wall.now_ms().saturating_sub(self.began_ms).saturating_sub(passed);
        let moved = ahead.saturating_sub(self.ahead_ms);
        if moved.saturating_abs() < ALLOWED_MS {
            return None;
        }
        self.ahead_ms = ahead;
        let (way, by) = if moved < 0 { ("back", moved.saturating_neg()) } else { ("ahead", moved) };
        let (whole, rest) = (by / 1_000, by % 1_000 / 100);
        Some(format!(
            "the wall clock was set {way} by {whole}.{rest} s during the run; durations are of the \
             monotonic clock and hold"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Wall(AtomicI64);

    impl Clock for Wall {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_is_told_once_for_each_time() {
        let wall = Arc::new(Wall(AtomicI64::new(1_000_000)));
        let shown: Arc<dyn Clock> = wall.clone();
        let mut clocks = Clocks::begin(shown);
        let pass = |ms: i64| wall.0.fetch_add(ms, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(10)).await;
        pass(10_400);
        assert_eq!(clocks.look(), None, "an adjustment");
        pass(-3_600_000);
        let told = clocks.look().unwrap();
        assert!(told.contains("set back by 3599.6 s"), "{told}");
        assert_eq!(clocks.look(), None);
        pass(7_200_000);
        assert!(clocks.look().unwrap().contains("set ahead by 7200.0 s"));
        assert_eq!(clocks.began_ms(), 1_000_000);
    }
}
