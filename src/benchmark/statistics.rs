//! Means, medians and how sure they are: intervals by the bootstrap over blocks of a measurement.
//!
//! A block is a part of a measurement in time, or one of several repetitions. Blocks that follow each
//! other are not independent, and two runs differ by more than their blocks do (heat, neighbours): an
//! interval says what the spread within the runs alone makes likely.

/// Times that a bootstrap draws.
const DRAWS: usize = 2_000;
/// Blocks below which there is no interval.
pub const BLOCKS_MIN: usize = 5;
/// What lies outside of a 95 % interval, on each side.
const TAIL: f64 = 0.025;

/// Numbers by chance: `SplitMix64` (Steele, Lea and Flood 2014), so that a seed gives the same load and
/// the same intervals on every machine.
#[derive(Debug, Clone)]
pub struct Chance(u64);

/// A ratio and the interval around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Chance {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        number(self.next() >> 11) / 9_007_199_254_740_992.0
    }

    /// A whole number below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        if limit == 0 { 0 } else { usize::try_from(self.next() % limit).unwrap_or(0) }
    }

    /// A time between two arrivals that do not know of each other, in units of their mean.
    pub fn gap(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }
}

/// A count as a number; exact below 2^53.
pub fn number(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & 0xFFFF_FFFF).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// A count of things as a number.
pub fn count(things: usize) -> f64 {
    number(u64::try_from(things).unwrap_or(u64::MAX))
}

/// The whole part of a number; 0 of what is negative or none.
pub fn whole(value: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(value).map_or(0, |time| time.as_secs())
}

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values.len()))
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(half.checked_sub(1)?)?, upper))
}

/// What the mean of `values` lies between with 95 %; none of fewer than [`BLOCKS_MIN`].
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    if values.len() < BLOCKS_MIN {
        return None;
    }
    let mut chance = Chance::new(1);
    between((0..DRAWS).filter_map(|_| drawn(values, &mut chance)).collect())
}

/// What the mean of `b` over that of `a` lies between with 95 %; none of fewer than [`BLOCKS_MIN`]
/// values on either side, or where `a` is nothing.
pub fn ratio_interval(a: &[f64], b: &[f64]) -> Option<Interval> {
    if a.len() < BLOCKS_MIN || b.len() < BLOCKS_MIN {
        return None;
    }
    let mut chance = Chance::new(2);
    let ratios = (0..DRAWS).filter_map(|_| {
        let (a, b) = (drawn(a, &mut chance)?, drawn(b, &mut chance)?);
        (a > 0.0).then(|| b / a)
    });
    between(ratios.collect())
}

/// The mean of as many values as there are, each drawn from all.
fn drawn(values: &[f64], chance: &mut Chance) -> Option<f64> {
    let sum: Option<f64> =
        (0..values.len()).map(|_| values.get(chance.below(values.len())).copied()).sum();
    sum.map(|sum| sum / count(values.len()))
}

/// What 95 % of what was drawn lie between.
pub(super) fn between(mut drawn: Vec<f64>) -> Option<Interval> {
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = whole(count(drawn.len().saturating_sub(1)) * share + 0.5);
        drawn.get(usize::try_from(place).ok()?).copied()
    };
    Some(Interval { low: at(TAIL)?, high: at(1.0 - TAIL)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_numbers_and_numbers_counts() {
        assert!((number(9_007_199_254_740_991) - 9_007_199_254_740_991.0).abs() < 0.5);
        assert_eq!(whole(12.9), 12);
        assert_eq!([whole(-1.0), whole(f64::NAN), whole(f64::INFINITY)], [0, 0, 0]);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn gaps_have_the_mean_of_one_and_the_spread_of_chance_arrivals() {
        let mut chance = Chance::new(7);
        let gaps: Vec<f64> = (0..50_000).map(|_| chance.gap()).collect();
        let mean = mean(&gaps).unwrap();
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 50_000.0;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    /// Of many pairs of samples whose true ratio is known about 95 of 100 intervals hold it.
    #[test]
    fn an_interval_holds_the_true_ratio_about_as_often_as_it_says() {
        let mut chance = Chance::new(3);
        let mut sample = |mean: f64| -> Vec<f64> {
            // Sums of twelve even numbers are close to normal, with a variance of one.
            (0..20).map(|_| mean + (0..12).map(|_| chance.unit()).sum::<f64>() - 6.0).collect()
        };
        let held = (0..200)
            .filter(|_| {
                let (a, b) = (sample(20.0), sample(30.0));
                let found = ratio_interval(&a, &b).unwrap();
                found.low <= 1.5 && 1.5 <= found.high
            })
            .count();
        assert!((176..=199).contains(&held), "{held} of 200");
    }

    #[test]
    fn few_blocks_have_no_interval() {
        assert_eq!(mean_interval(&[1.0, 2.0, 3.0, 4.0]), None);
        assert_eq!(ratio_interval(&[1.0; 5], &[1.0; 4]), None);
        assert_eq!(ratio_interval(&[0.0; 5], &[1.0; 5]), None);
        let found = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!(found.low < 3.0 && 3.0 < found.high && found.low >= 1.0 && found.high <= 5.0);
    }
}
