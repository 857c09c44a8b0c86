//! Where a node no longer keeps up. Rates rise from a tenth of what clients that wait got, each rate for
//! a while, until a node misses twice what is asked; then the rates between are halved.
//!
//! The knee is the highest rate at which all of this held: answers came at 95 % of the rate at which
//! calls were due, the 99th percentile stayed within the bound, and at most one call in a thousand failed
//! or could not be sent. A rate that misses is tried once more, because one pause of a disk is no limit.

/// Parts of the first guess that are tried, in order.
const RAMP: [f64; 7] = [0.1, 0.25, 0.45, 0.65, 0.8, 0.9, 1.0];
/// By how much a rate rises beyond the guess.
const BEYOND: f64 = 1.25;
/// Rates beyond the guess at most.
const BEYOND_MAX: usize = 10;
/// Halvings of the first rate at most, when already that was too much.
const DOWN_MAX: usize = 6;
/// The share of calls due that must have been answered by the end.
pub const KEPT_SHARE: f64 = 0.95;
/// The share of calls that may fail.
pub const FAILED_SHARE: f64 = 0.001;

/// What a node must hold.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// 99th percentile at most, in milliseconds.
    pub p99_ms: f64,
}

/// What was seen at a rate.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    /// The rate asked for.
    pub per_second: f64,
    /// Calls that were due a second.
    pub due_per_second: f64,
    /// Good answers a second.
    pub done_per_second: f64,
    /// 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// Share of calls that failed or were not sent.
    pub failed_share: f64,
}

/// A search for the knee.
#[derive(Debug, Clone)]
pub struct Search {
    bounds: Bounds,
    guess: f64,
    halvings: usize,
    /// Rates that were kept up, and the lowest that was not.
    good: Vec<f64>,
    bad: Option<f64>,
    /// Missed once.
    doubt: Option<f64>,
    tried: usize,
    halved: usize,
}

impl Bounds {
    /// Why this was too much; none where it was not.
    pub fn missed(&self, seen: &Try) -> Option<&'static str> {
        if seen.failed_share > FAILED_SHARE {
            return Some("calls failed");
        }
        if seen.done_per_second < seen.due_per_second * KEPT_SHARE {
            return Some("answers fell behind");
        }
        (seen.p99_ms > self.p99_ms).then_some("answers were late")
    }
}

impl Search {
    /// From what clients that wait got a second; the rates around the knee are halved so many times.
    pub fn new(guess: f64, bounds: Bounds, halvings: usize) -> Self {
        let guess = if guess.is_finite() { guess.max(1.0) } else { 1.0 };
        Self {
            bounds,
            guess,
            halvings,
            good: Vec::new(),
            bad: None,
            doubt: None,
            tried: 0,
            halved: 0,
        }
    }

    /// The rate to try next; none when the search has ended.
    pub fn next(&self) -> Option<f64> {
        if let Some(again) = self.doubt {
            return Some(again);
        }
        match (self.knee(), self.bad) {
            (Some(good), Some(bad)) => (self.halved < self.halvings).then(|| (good * bad).sqrt()),
            (None, Some(bad)) => (self.tried <= DOWN_MAX).then_some(bad / 2.0),
            (_, None) => self.ramp(),
        }
    }

    /// The next rate while none was too much.
    fn ramp(&self) -> Option<f64> {
        if let Some(part) = RAMP.get(self.tried) {
            return Some(self.guess * part);
        }
        let last = self.knee().unwrap_or(self.guess);
        (self.tried < RAMP.len() + BEYOND_MAX).then_some(last * BEYOND)
    }

    /// Tells what was seen at the rate of [`Search::next`]; why it was too much, if it was.
    pub fn tell(&mut self, seen: &Try) -> Option<&'static str> {
        let missed = self.bounds.missed(seen);
        let between = self.bad.is_some() && !self.good.is_empty();
        if missed.is_some() && self.doubt.is_none() {
            self.doubt = Some(seen.per_second);
            return missed;
        }
        self.doubt = None;
        self.tried += 1;
        if between {
            self.halved += 1;
        }
        match missed {
            None => self.good.push(seen.per_second),
            Some(_) => {
                self.bad = Some(self.bad.map_or(seen.per_second, |b| b.min(seen.per_second)));
            }
        }
        missed
    }

    /// The highest rate that was kept up.
    pub fn knee(&self) -> Option<f64> {
        self.good.iter().copied().reduce(f64::max)
    }

    /// The lowest rate that was not; none where the search ended before it found one.
    pub fn missed_at(&self) -> Option<f64> {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { p99_ms: 250.0 };

    /// A node that serves so many calls a second and lets others wait.
    fn node(limit: f64, rate: f64) -> Try {
        Try {
            per_second: rate,
            due_per_second: rate,
            done_per_second: rate.min(limit),
            p99_ms: if rate > limit { 2_000.0 } else { 10.0 },
            failed_share: 0.0,
        }
    }

    fn search(guess: f64, mut node: impl FnMut(f64) -> Try) -> (Search, usize) {
        let (mut search, mut steps) = (Search::new(guess, BOUNDS, 3), 0);
        while let Some(rate) = search.next() {
            steps += 1;
            assert!(steps < 60, "the search does not end");
            search.tell(&node(rate));
        }
        (search, steps)
    }

    #[test]
    fn the_knee_is_found_within_a_few_percent_wherever_the_guess_lies() {
        for limit in [3.0, 40.0, 940.0, 1_100.0, 5_000.0] {
            let (found, steps) = search(1_000.0, |rate| node(limit, rate));
            let knee = found.knee().unwrap();
            assert!(knee <= limit && knee > limit * 0.5, "{limit}: {knee} after {steps}");
            assert!(found.missed_at().unwrap() > limit);
            assert!(steps <= 24, "{limit}: {steps} steps");
        }
        let (found, _) = search(1_000.0, |rate| node(950.0, rate));
        assert!(found.knee().unwrap() > 930.0, "{:?}", found.knee());
    }

    #[test]
    fn one_pause_is_no_knee() {
        let mut paused = false;
        let (found, _) = search(1_000.0, |rate| {
            let first = !std::mem::replace(&mut paused, true);
            Try { p99_ms: if first { 900.0 } else { 5.0 }, ..node(900.0, rate) }
        });
        assert!(found.knee().unwrap() > 800.0, "{:?}", found.knee());
    }

    #[test]
    fn each_bound_counts_by_itself() {
        let good = node(100.0, 50.0);
        assert_eq!(BOUNDS.missed(&good), None);
        assert_eq!(BOUNDS.missed(&Try { p99_ms: 250.1, ..good }), Some("answers were late"));
        let behind = Try { done_per_second: 47.0, ..good };
        assert_eq!(BOUNDS.missed(&behind), Some("answers fell behind"));
        assert_eq!(BOUNDS.missed(&Try { failed_share: 0.002, ..good }), Some("calls failed"));
    }

    #[test]
    fn a_node_that_never_keeps_up_has_no_knee_and_one_that_always_does_ends_too() {
        let (found, steps) = search(1_000.0, |rate| node(0.0, rate));
        assert_eq!(found.knee(), None);
        assert!(steps <= 16, "{steps}");
        let (found, _) = search(1_000.0, |rate| node(1e12, rate));
        assert!(found.knee().unwrap() > 5_000.0 && found.missed_at().is_none());
        assert!(Search::new(f64::NAN, BOUNDS, 3).next().unwrap() > 0.0);
    }
}
