//! Latencies in a histogram of three significant digits (HDR), so that the longest ones count as
//! exactly as the usual ones.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::Failure;
use super::statistics::number;

/// Longest latency that is told apart; what is longer counts as this: an hour.
const NANOS_MAX: u64 = 3_600_000_000_000;
/// Nanoseconds of a millisecond.
const MS: f64 = 1_000_000.0;
/// Quantiles of a spectrum, as one over what lies above: 2 is the median, 100 the 99th percentile.
const ABOVE: [f64; 13] =
    [1.0, 1.11, 1.33, 2.0, 4.0, 10.0, 20.0, 50.0, 100.0, 200.0, 1_000.0, 10_000.0, 100_000.0];

/// Latencies of many calls.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self(Histogram::new_with_bounds(1, NANOS_MAX, 3)?))
    }

    /// One more.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(NANOS_MAX));
    }

    /// Those of another as well.
    pub fn add(&mut self, other: &Self) -> Result<(), Failure> {
        Ok(self.0.add(&other.0)?)
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latency that `share` of all do not exceed, in milliseconds; 0 where there is none.
    pub fn ms(&self, share: f64) -> f64 {
        number(self.0.value_at_quantile(share)) / MS
    }

    /// The longest, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        number(self.0.max()) / MS
    }

    /// The mean, in milliseconds.
    pub fn mean_ms(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.mean() / MS }
    }

    /// One over the share above, and the latency there in milliseconds, as far as there are calls that
    /// tell it.
    pub fn spectrum(&self) -> Vec<(f64, f64)> {
        let most = number(self.len());
        let told = ABOVE.iter().filter(|above| **above <= most);
        told.map(|above| (*above, self.ms(1.0 - 1.0 / above))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let mut all = Latencies::new().unwrap();
        (1..=1_000).for_each(|ms| all.record(Duration::from_millis(ms)));
        for (share, expected) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let found = all.ms(share);
            assert!((found / expected - 1.0).abs() < 0.002, "{share}: {found}");
        }
        assert!((all.mean_ms() - 500.5).abs() < 1.0 && (all.max_ms() - 1_000.0).abs() < 1.0);
        let spectrum = all.spectrum();
        assert_eq!(spectrum.last().unwrap().0.to_string(), "1000", "no call tells the 99.99th");
    }

    #[test]
    fn what_is_longer_than_an_hour_is_kept_as_an_hour() {
        let mut all = Latencies::new().unwrap();
        all.record(Duration::from_hours(5));
        assert!((all.max_ms() / 3_600_000.0 - 1.0).abs() < 0.002);
    }

    #[test]
    fn of_nothing_all_is_nothing() {
        let none = Latencies::new().unwrap();
        assert!(none.is_empty() && none.spectrum().is_empty());
        assert_eq!(
            (none.ms(0.99).to_string(), none.mean_ms().to_string()),
            ("0".into(), "0".into())
        );
    }
}
