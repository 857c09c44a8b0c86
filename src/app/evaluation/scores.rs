//! Sums over cases: hits, calibration, percentiles.

use serde_json::{Value, json};

/// Bins of the expected calibration error.
const BINS: usize = 10;

/// Hits among ranked lists.
#[derive(Debug, Clone, Default)]
pub(super) struct Hits {
    n: usize,
    top1: usize,
    top3: usize,
    top5: usize,
}

impl Hits {
    /// `rank` from 1; none where the right answer is not in the list.
    pub(super) fn add(&mut self, rank: Option<usize>) {
        let within = |limit: usize| usize::from(rank.is_some_and(|r| r <= limit));
        self.n += 1;
        self.top1 += within(1);
        self.top3 += within(3);
        self.top5 += within(5);
    }

    pub(super) fn value(&self) -> Value {
        json!({
            "n": self.n,
            "top1": share(self.top1, self.n),
            "top3": share(self.top3, self.n),
            "top5": share(self.top5, self.n),
        })
    }
}

/// Calibration of the first answer, and the distance of the whole answer from the truth.
#[derive(Debug, Clone)]
pub(super) struct Calibration {
    n: f64,
    bins: [(f64, f64, f64); BINS],
    brier: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { n: 0.0, bins: [(0.0, 0.0, 0.0); BINS], brier: 0.0 }
    }
}

impl Calibration {
    /// `first`: probability of the first answer and whether it is right; `brier`: the sum over all
    /// answers of (probability - truth)².
    pub(super) fn add(&mut self, (confidence, right): (f64, bool), brier: f64) {
        self.n += 1.0;
        self.brier += brier;
        let wanted = BINS.saturating_sub(1);
        let bin = (0..wanted).find(|i| confidence < tenth(i + 1)).unwrap_or(wanted);
        if let Some((count, sum, hits)) = self.bins.get_mut(bin) {
            *count += 1.0;
            *sum += confidence;
            *hits += f64::from(u8::from(right));
        }
    }

    /// Expected calibration error over ten equal bins, 0 to 1.
    pub(super) fn ece(&self) -> Value {
        let gap: f64 = self.bins.iter().map(|(_, sum, hits)| (sum - hits).abs()).sum();
        rounded(gap / self.n)
    }

    pub(super) fn brier(&self) -> Value {
        rounded(self.brier / self.n)
    }
}

fn tenth(i: usize) -> f64 {
    f64::from(u32::try_from(i).unwrap_or(0)) / 10.0
}

/// `part` of `whole`, four digits; null for nothing of nothing.
pub(super) fn share(part: usize, whole: usize) -> Value {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    rounded(number(part) / number(whole))
}

pub(super) fn rounded(value: f64) -> Value {
    if value.is_finite() { json!((value * 10_000.0).round() / 10_000.0) } else { Value::Null }
}

/// Milliseconds at the median and the 99th percentile.
pub(super) fn percentiles(mut millis: Vec<f64>) -> Value {
    millis.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let last = millis.len().saturating_sub(1);
        millis.get(last * percent / 100).copied().map_or(Value::Null, rounded)
    };
    json!({"p50": at(50), "p99": at(99)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_and_calibration_are_what_one_computes_by_hand() {
        let mut hits = Hits::default();
        for rank in [Some(1), Some(3), Some(6), None] {
            hits.add(rank);
        }
        assert_eq!(hits.value(), json!({"n": 4, "top1": 0.25, "top3": 0.5, "top5": 0.5}));
        let mut calibration = Calibration::default();
        calibration.add((0.95, true), 0.0025);
        calibration.add((0.95, false), 1.9025);
        calibration.add((0.25, false), 0.5);
        // Bins: |0.95 + 0.95 - 1| = 0.9 and |0.25 - 0| = 0.25, over three cases.
        assert_eq!(calibration.ece(), json!(0.3833));
        assert_eq!(calibration.brier(), json!(0.8017));
        assert_eq!(Calibration::default().ece(), Value::Null);
        assert_eq!(percentiles(vec![3.0, 1.0, 2.0]), json!({"p50": 2.0, "p99": 2.0}));
    }
}
