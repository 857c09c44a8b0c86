//! A site's minimum: a TOML file that names figures with what they must reach.
//!
//! ```toml
//! ["diagnose.knee_per_second"]
//! min = 50
//! ["disk.fsync_p99_ms"]
//! max = 20
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::metrics::{known, names, title};
use super::report::Report;
use super::text;

/// Names that are offered in the place of an unknown one.
const OFFERED: usize = 3;

/// What a site asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirements(BTreeMap<String, Bounds>);

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    min: Option<f64>,
    max: Option<f64>,
}

/// A requirement that was held to a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// Name of the figure.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// What was measured; none where nothing was.
    pub value: Option<f64>,
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
    /// Whether it was reached.
    pub met: bool,
}

impl Requirements {
    /// Reads a file's text. The error names the figure or key that is wrong, and what is allowed.
    pub fn read(text: &str) -> Result<Self, String> {
        let table: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        let mut all = BTreeMap::new();
        for (name, value) in table {
            if known(&name).is_none() {
                return Err(unknown(&name));
            }
            let bounds: Bounds = value.try_into().map_err(|e: toml::de::Error| {
                format!("{name}: {}; `min` and `max` are allowed, both numbers", e.message())
            })?;
            match (bounds.min, bounds.max) {
                (None, None) => return Err(format!("{name}: `min` or `max` is needed")),
                (Some(min), Some(max)) if min > max => {
                    return Err(format!("{name}: `min` is above `max`"));
                }
                (Some(_), _) | (_, Some(_)) => {}
            }
            all.insert(name, bounds);
        }
        if all.is_empty() {
            return Err(format!("requires nothing; figures are: {}", names().join(", ")));
        }
        Ok(Self(all))
    }

    /// Holds a report to all of it.
    pub fn hold(&self, report: &Report) -> Vec<Held> {
        let held = self.0.iter().map(|(name, bounds)| {
            let value = report.metric(name).map(|metric| metric.value);
            let met = value.is_some_and(|value| {
                bounds.min.is_none_or(|min| value >= min)
                    && bounds.max.is_none_or(|max| value <= max)
            });
            Held {
                name: name.clone(),
                unit: known(name).map(|known| known.unit.to_owned()).unwrap_or_default(),
                value,
                min: bounds.min,
                max: bounds.max,
                met,
            }
        });
        held.collect()
    }
}

/// An unknown name, with those that look alike, else all.
fn unknown(name: &str) -> String {
    let all = names();
    let mut near: Vec<(usize, &String)> =
        all.iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).collect();
    near.sort();
    let limit = name.chars().count() / 2;
    let near: Vec<&str> = near
        .into_iter()
        .take(OFFERED)
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, known)| known.as_str())
        .collect();
    if near.is_empty() {
        return format!("`{name}` is no figure; figures are: {}", all.join(", "));
    }
    format!("`{name}` is no figure; did you mean `{}`?", near.join("`, `"))
}

/// What was held, as lines for a terminal.
pub fn to_text(held: &[Held]) -> String {
    let mut out = String::new();
    for one in held {
        let bound = match (one.min, one.max) {
            (Some(min), Some(max)) => format!("{min}–{max}"),
            (Some(min), None) => format!("≥ {min}"),
            (None, Some(max)) => format!("≤ {max}"),
            (None, None) => String::new(),
        };
        let value = match one.value {
            Some(value) => text::figure(value),
            None => "未测 not measured".to_owned(),
        };
        let mark = if one.met { "达标 met   " } else { "未达 MISSED" };
        let (zh, en) = title(&one.name);
        let _ = writeln!(out, "{mark}  {} {bound} {}: {value}  ({zh}, {en})", one.name, one.unit);
    }
    let missed = held.iter().filter(|one| !one.met).count();
    let _ = writeln!(out, "要求 {} 项，未达 {missed} 项 ({missed} missed)", held.len());
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::*;

    fn hold(text: &str) -> Vec<Held> {
        Requirements::read(text).unwrap().hold(&report())
    }

    #[test]
    fn what_is_reached_and_what_misses_is_told() {
        let held = hold(
            "[\"diagnose.knee_per_second\"]\nmin = 400\n[\"start.ready_ms\"]\nmax = 449.9\n\
             [\"check.knee_per_second\"]\nmin = 1\n",
        );
        let met: Vec<(&str, bool)> = held.iter().map(|h| (h.name.as_str(), h.met)).collect();
        assert_eq!(
            met,
            [
                ("check.knee_per_second", false),
                ("diagnose.knee_per_second", true),
                ("start.ready_ms", false)
            ]
        );
        let shown = to_text(&held);
        assert!(shown.contains("MISSED  start.ready_ms ≤ 449.9 ms: 450"), "{shown}");
        assert!(shown.contains("未测 not measured") && shown.contains("2 missed"), "{shown}");
    }

    #[test]
    fn both_bounds_count() {
        let met = |text: &str| hold(text)[0].met;
        assert!(met("\"start.ready_ms\" = { min = 450, max = 450 }"));
        assert!(!met("\"start.ready_ms\" = { min = 450.1 }"));
        assert!(!met("\"start.ready_ms\" = { min = 1, max = 449 }"));
    }

    #[test]
    fn a_wrong_file_is_explained() {
        let error = |text: &str| Requirements::read(text).unwrap_err();
        let found = error("[\"diagnose.knee_per_secnd\"]\nmin = 1\n");
        assert!(found.contains("did you mean `diagnose.knee_per_second`"), "{found}");
        let found = error("[speed]\nmin = 1\n");
        assert!(found.contains("`speed` is no figure") && found.contains("start.ready_ms"));
        let found = error("[\"start.ready_ms\"]\nmost = 1\n");
        assert!(found.contains("start.ready_ms") && found.contains("most"), "{found}");
        let found = error("[\"start.ready_ms\"]\nmax = \"fast\"\n");
        assert!(found.contains("start.ready_ms") && found.contains("both numbers"), "{found}");
        assert!(error("[\"start.ready_ms\"]\n").contains("`min` or `max` is needed"));
        let found = error("\"start.ready_ms\" = { min = 2, max = 1 }");
        assert!(found.contains("above"), "{found}");
        assert!(error("").contains("requires nothing"));
        assert!(error("= 1").contains("line 1"));
    }
}
