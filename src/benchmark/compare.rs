//! Two reports side by side: for each figure that both have the ratio of the second to the first, what it
//! lies between with 95 %, and whether that is better.
//!
//! Of figures with five blocks or more on both sides the ratio is that of the blocks' means, and the
//! interval is a bootstrap over blocks. Of a knee it is made of the bounds: the last rate that was kept up
//! and the first that was not. Other figures have a ratio and no interval, and nothing is said of them.

use std::fmt::Write as _;

use serde::Serialize;

use super::metrics::{Better, title};
use super::report::{Metric, Report};
use super::statistics::{BLOCKS_MIN, Interval, mean, ratio_interval};
use super::text;

/// What two reports say of each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first machine.
    pub a: String,
    /// The second machine.
    pub b: String,
    /// Figures that both have.
    pub rows: Vec<Row>,
    /// Names of figures that only the first has.
    pub only_a: Vec<String>,
    /// Names of figures that only the second has.
    pub only_b: Vec<String>,
    /// What makes the two less comparable.
    pub warnings: Vec<String>,
}

/// A figure of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// Of the first.
    pub a: f64,
    /// Of the second.
    pub b: f64,
    /// Second over first; none where the first is 0.
    pub ratio: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Where the interval comes from: `blocks`, `bounds`, or `none`.
    pub interval_of: &'static str,
    /// What that means.
    pub verdict: Verdict,
}

/// Whether the second is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The second is better, beyond the interval.
    Better,
    /// The second is worse, beyond the interval.
    Worse,
    /// The interval holds 1.
    Same,
    /// There is no interval.
    Unknown,
}

/// Compares `b` with `a`.
pub fn compare(a: &Report, b: &Report) -> Comparison {
    let both = a.metrics.iter().filter_map(|one| Some(row(one, b.metric(&one.name)?)));
    let only = |one: &Report, other: &Report| {
        let names = one.metrics.iter().map(|metric| metric.name.clone());
        names.filter(|name| other.metric(name).is_none()).collect()
    };
    Comparison {
        a: text::machine_line(a),
        b: text::machine_line(b),
        rows: both.collect(),
        only_a: only(a, b),
        only_b: only(b, a),
        warnings: warnings(a, b),
    }
}

fn warnings(a: &Report, b: &Report) -> Vec<String> {
    let mut all = Vec::new();
    for (name, report) in [("A", a), ("B", b)] {
        if !report.whole {
            all.push(format!("{name} is not whole: something that was asked for is missing"));
        }
        if report.program.build != "release" {
            all.push(format!("{name} was measured with a {} build", report.program.build));
        }
    }
    for (what, of_a, of_b) in [
        ("plan", &a.plan, &b.plan),
        ("version of xiangyi", &a.program.version, &b.program.version),
        ("kind of node", &a.node.kind, &b.node.kind),
        ("engine of the node", &a.node.engine, &b.node.engine),
    ] {
        if of_a != of_b {
            all.push(format!("the {what} differs: `{of_a}` and `{of_b}`"));
        }
    }
    all
}

fn row(a: &Metric, b: &Metric) -> Row {
    let over = |a: f64, b: f64| (a > 0.0).then(|| b / a);
    let of_blocks = ratio_interval(&a.blocks, &b.blocks);
    let has_blocks = a.blocks.len() >= BLOCKS_MIN && b.blocks.len() >= BLOCKS_MIN;
    let bounds = || {
        let (a_low, a_high, b_low, b_high) = (a.low?, a.high?, b.low?, b.high?);
        Some(Interval { low: over(a_high, b_low)?, high: over(a_low, b_high)? })
    };
    let (ratio, found, interval_of) = match of_blocks {
        Some(found) => {
            let means = mean(&a.blocks).zip(mean(&b.blocks));
            (means.and_then(|(a, b)| over(a, b)), Some(found), "blocks")
        }
        None if has_blocks || !a.blocks.is_empty() || !b.blocks.is_empty() => {
            (over(a.value, b.value), None, "none")
        }
        None => match bounds() {
            Some(found) => (over(a.value, b.value), Some(found), "bounds"),
            None => (over(a.value, b.value), None, "none"),
        },
    };
    let verdict = match found {
        None => Verdict::Unknown,
        Some(found) if found.low <= 1.0 && 1.0 <= found.high => Verdict::Same,
        Some(found) if (found.low > 1.0) == (a.better == Better::Higher) => Verdict::Better,
        Some(_) => Verdict::Worse,
    };
    Row {
        name: a.name.clone(),
        unit: a.unit.clone(),
        better: a.better,
        a: a.value,
        b: b.value,
        ratio,
        low: found.map(|found| found.low),
        high: found.map(|found| found.high),
        interval_of,
        verdict,
    }
}

impl Comparison {
    /// As a table for a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "A  {}\nB  {}", self.a, self.b);
        for warning in &self.warnings {
            let _ = writeln!(out, "注意 note: {warning}");
        }
        out.push('\n');
        let mut lines =
            vec![["指标 figure", "A", "B", "", "B/A", "95 %", ""].map(str::to_owned).to_vec()];
        for row in &self.rows {
            let between = match (row.low, row.high) {
                (Some(low), Some(high)) => format!("{low:.2}–{high:.2}"),
                (None, _) | (_, None) => "—".to_owned(),
            };
            let verdict = match row.verdict {
                Verdict::Better => "更好 better",
                Verdict::Worse => "更差 worse",
                Verdict::Same => "相当 same",
                Verdict::Unknown => "",
            };
            let (zh, en) = title(&row.name);
            let named = if zh == en { zh } else { format!("{zh} {en}") };
            lines.push(vec![
                named,
                text::figure(row.a),
                text::figure(row.b),
                row.unit.clone(),
                row.ratio.map_or_else(|| "—".to_owned(), |ratio| format!("{ratio:.2}")),
                between,
                verdict.to_owned(),
            ]);
        }
        out.push_str(&text::table(&lines, &[0, 3, 6]));
        for (name, only) in [("A", &self.only_a), ("B", &self.only_b)] {
            if !only.is_empty() {
                let _ = writeln!(out, "只有 {name} 有 only in {name}: {}", only.join(", "));
            }
        }
        out.push_str(
            "95 %：同一次运行内各时段的自助法区间（拐点为相邻两档），不含两次运行之间的差别。\n\
             Intervals: a bootstrap over blocks of a run (of a knee the rates around it); what \
             differs from run to run is not in them.\n",
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    fn with(name: &str, value: f64, blocks: Vec<f64>) -> Report {
        let mut report = report();
        report.metrics.retain(|metric| metric.name != name);
        report.add(name, value, blocks);
        report
    }

    fn verdict(name: &str, a: &[f64], b: &[f64]) -> Verdict {
        let first = with(name, a[0], a.to_vec());
        let second = with(name, b[0], b.to_vec());
        let found = compare(&first, &second);
        found.rows.iter().find(|row| row.name == name).unwrap().verdict
    }

    #[test]
    fn a_report_is_the_same_as_itself() {
        let found = compare(&report(), &report());
        assert_eq!(found.rows.len(), 4);
        assert!(found.only_a.is_empty() && found.only_b.is_empty());
        for row in &found.rows {
            assert_eq!(row.ratio, Some(1.0), "{row:?}");
            assert!(matches!(row.verdict, Verdict::Same | Verdict::Unknown), "{row:?}");
        }
        let few = found.rows.iter().find(|row| row.name == "start.ready_ms").unwrap();
        assert_eq!((few.verdict, few.interval_of), (Verdict::Unknown, "none"), "three blocks");
    }

    #[test]
    fn the_sign_follows_which_way_is_better() {
        let (low, high) = ([10.0, 11.0, 10.5, 9.5, 10.0], [20.0, 21.0, 19.5, 20.5, 20.0]);
        assert_eq!(verdict("diagnose.half_knee_p50_ms", &low, &high), Verdict::Worse);
        assert_eq!(verdict("diagnose.half_knee_p50_ms", &high, &low), Verdict::Better);
        assert_eq!(verdict("diagnose.saturated_per_second", &low, &high), Verdict::Better);
        assert_eq!(verdict("diagnose.saturated_per_second", &high, &low), Verdict::Worse);
        let spread = [5.0, 15.0, 10.0, 12.0, 8.0];
        assert_eq!(verdict("diagnose.half_knee_p50_ms", &low, &spread), Verdict::Same);
        assert_eq!(verdict("diagnose.half_knee_p50_ms", &low, &[99.0]), Verdict::Unknown);
    }

    #[test]
    fn of_knees_the_bounds_count() {
        let knee = |value: f64, high: f64| {
            let mut report = report();
            let metric = report.metrics.first_mut().unwrap();
            (metric.value, metric.low, metric.high) = (value, Some(value), Some(high));
            report
        };
        let found = compare(&knee(100.0, 110.0), &knee(150.0, 165.0));
        let row = found.rows.first().unwrap();
        assert_eq!((row.verdict, row.interval_of), (Verdict::Better, "bounds"));
        assert!((row.low.unwrap() - 150.0 / 110.0).abs() < 1e-9);
        assert!((row.high.unwrap() - 1.65).abs() < 1e-9);
        let found = compare(&knee(100.0, 110.0), &knee(105.0, 115.0));
        assert_eq!(found.rows.first().unwrap().verdict, Verdict::Same);
    }

    #[test]
    fn what_makes_reports_less_comparable_is_said() {
        let mut other = report();
        other.whole = false;
        other.plan = "quick".to_owned();
        other.metrics.truncate(2);
        let found = compare(&report(), &other);
        let warnings = found.warnings.join("\n");
        assert!(warnings.contains("B is not whole") && warnings.contains("`usual` and `quick`"));
        assert_eq!(found.only_a.len(), 2);
        let shown = found.to_text();
        assert!(shown.contains("only in A: start.ready_ms"), "{shown}");
        assert!(shown.contains("鉴别诊断 拐点吞吐 Diagnose: knee"), "{shown}");
    }
}
