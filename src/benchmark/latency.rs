//! Latencies in a histogram of three significant digits (HDR), so that the longest ones count as
//! exactly as the usual ones.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::Failure;
use super::statistics::{BLOCKS_MIN, Chance, Interval, between, number};

/// Longest latency that is told apart; what is longer counts as this: an hour.
const NANOS_MAX: u64 = 3_600_000_000_000;
/// Nanoseconds of a millisecond.
const MS: f64 = 1_000_000.0;
/// Times that a bootstrap draws.
const DRAWS: usize = 200;
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

/// What the quantiles of all blocks together lie between with 95 %, in milliseconds: blocks are drawn as
/// often as there are blocks and put together. None of fewer than [`BLOCKS_MIN`].
pub fn intervals(blocks: &[&Latencies], shares: &[f64]) -> Result<Vec<Interval>, Failure> {
    if blocks.len() < BLOCKS_MIN {
        return Ok(Vec::new());
    }
    let (mut chance, mut drawn) = (Chance::new(3), vec![Vec::with_capacity(DRAWS); shares.len()]);
    for _ in 0..DRAWS {
        let mut together = Latencies::new()?;
        for _ in 0..blocks.len() {
            if let Some(block) = blocks.get(chance.below(blocks.len())) {
                together.add(block)?;
            }
        }
        for (found, share) in drawn.iter_mut().zip(shares) {
            found.push(together.ms(*share));
        }
    }
    Ok(drawn.into_iter().filter_map(between).collect())
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

    /// A pause in one of ten blocks: the 99th percentile of all may be with it or without it.
    #[test]
    fn an_interval_of_a_quantile_holds_the_quantile() {
        let mut blocks = vec![Latencies::new().unwrap(); 10];
        for (at, block) in blocks.iter_mut().enumerate() {
            for call in 0..100 {
                let ms = if at == 3 && call < 30 { 500 } else { 10 + call % 7 };
                block.record(Duration::from_millis(ms));
            }
        }
        let all: Vec<&Latencies> = blocks.iter().collect();
        let found = intervals(&all, &[0.5, 0.99]).unwrap();
        assert!(found[0].low >= 12.0 && found[0].high <= 14.1, "{found:?}");
        assert!(found[1].low < 17.0 && found[1].high > 490.0, "{found:?}");
        assert!(intervals(&all[..4], &[0.5]).unwrap().is_empty());
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
