//! Learning m and u from pairs of which nobody said whether they belong together, by
//! expectation-maximisation (Winkler 1988; the fields are taken as independent within the pairs of
//! one person and within those of two).

use super::model::{Model, Pattern};

/// When to stop and what to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitOptions {
    /// Rounds at most.
    pub rounds_max: u32,
    /// Stops when no probability changes by more than this.
    pub tolerance: f64,
    /// Pairs that each level is given on top, so that none becomes impossible.
    pub smoothing: f64,
    /// Leaves u as it is in the model that is started from (taken from pairs drawn by chance).
    pub hold_u: bool,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { rounds_max: 500, tolerance: 1e-6, smoothing: 0.5, hold_u: false }
    }
}

/// A model that was learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The model.
    pub model: Model,
    /// Share of the pairs that belong together.
    pub share: f64,
    /// Rounds it took.
    pub rounds: u32,
    /// Whether the tolerance was reached.
    pub settled: bool,
}

/// Sums for one field: of each level, over pairs that belong together and over the others.
#[derive(Debug, Clone)]
struct Sums {
    m: Vec<f64>,
    u: Vec<f64>,
}

/// Learns from `counts`, how often each pattern occurs among the pairs, beginning with `start` and
/// with `share` of the pairs belonging together (over 0, under 1).
///
/// A field that a record lacks says nothing, and is left out of the sums of its field.
pub fn fit(start: &Model, share: f64, counts: &[(Pattern, u64)], options: &FitOptions) -> Fitted {
    let mut fitted =
        Fitted { model: start.clone(), share: held(share), rounds: 0, settled: counts.is_empty() };
    while !fitted.settled && fitted.rounds < options.rounds_max {
        let (sums, together, all) = expect(&fitted, counts);
        let (model, change) = maximise(&fitted.model, &sums, options);
        let share = held(together / all.max(1.0));
        let moved = change.max((share - fitted.share).abs());
        fitted.model = model;
        fitted.share = share;
        fitted.rounds += 1;
        fitted.settled = moved <= options.tolerance;
    }
    fitted
}

/// Within what can be divided by.
fn held(share: f64) -> f64 {
    if share.is_nan() { 0.5 } else { share.clamp(1e-12, 1.0 - 1e-12) }
}

fn expect(fitted: &Fitted, counts: &[(Pattern, u64)]) -> (Vec<Sums>, f64, f64) {
    let fields = fitted.model.fields();
    let mut sums: Vec<Sums> = fields
        .iter()
        .map(|field| {
            let none = vec![0.0; field.levels.len()];
            Sums { m: none.clone(), u: none }
        })
        .collect();
    let prior = (fitted.share / (1.0 - fitted.share)).log2();
    let (mut together, mut all) = (0.0, 0.0);
    for (pattern, count) in counts {
        let count = counted(*count);
        let bits = prior + fitted.model.weigh(pattern, |_, _| 0.0).bits;
        let posterior = 1.0 / (1.0 + (-bits).exp2());
        together += count * posterior;
        all += count;
        for (number, field) in sums.iter_mut().enumerate() {
            let Some(level) = pattern.level(number) else { continue };
            if let (Some(m), Some(u)) = (field.m.get_mut(level), field.u.get_mut(level)) {
                *m += count * posterior;
                *u += count * (1.0 - posterior);
            }
        }
    }
    (sums, together, all)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "counts of pairs are far below 2^52, and a sum of probabilities needs no more"
)]
fn counted(count: u64) -> f64 {
    count as f64
}

/// The model that makes the sums likeliest, and by how much its probabilities differ.
fn maximise(model: &Model, sums: &[Sums], options: &FitOptions) -> (Model, f64) {
    let mut fields = model.fields().to_vec();
    let mut change: f64 = 0.0;
    for (field, sums) in fields.iter_mut().zip(sums) {
        let total = |of: &[f64]| of.iter().map(|n| n + options.smoothing).sum::<f64>();
        let (all_m, all_u) = (total(&sums.m), total(&sums.u));
        for (level, (m, u)) in field.levels.iter_mut().zip(sums.m.iter().zip(&sums.u)) {
            let share = |n: f64, all: f64| ((n + options.smoothing) / all).clamp(1e-12, 1.0);
            let new_m = if all_m > 0.0 { share(*m, all_m) } else { level.m };
            let new_u = if options.hold_u || all_u <= 0.0 { level.u } else { share(*u, all_u) };
            change = change.max((new_m - level.m).abs()).max((new_u - level.u).abs());
            level.m = new_m;
            level.u = new_u;
        }
    }
    match Model::new(fields) {
        Ok(model) => (model, change),
        // Sums that are no numbers; the model stays as it was.
        Err(_) => (model.clone(), 0.0),
    }
}
