//! Every metric is in the table of OPERATIONS.md with its kind and labels, and the table has no other.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::app::exchange::look_up::LookUpCounts;
use crate::app::imaging::custody::Evictions;
use crate::app::imaging::forwarding::{Counts, DestinationStatus};
use crate::app::imaging::holdings::CopyTotals;
use crate::app::nodes::NodeCounts;

const OPERATIONS: &str = include_str!("../../OPERATIONS.md");

/// Kind and labels.
type About = (String, BTreeSet<String>);

/// Metrics of a node and a hub of which everything has happened once: a family is shown only then.
fn touched() -> Metrics {
    let metrics = Metrics::new();
    metrics.called("/x/Y", 0, Duration::from_millis(3));
    metrics.model_ran("m", 1, Duration::from_micros(50));
    metrics.model_queue("m", 0);
    metrics.model_dropped("m", "cancelled");
    metrics.forwarding(&DestinationStatus {
        ae_title: "CITY".to_owned(),
        counts: Counts::default(),
        oldest_ms: None,
        bytes_per_second: 0,
        next_try_ms: None,
        reason: String::new(),
    });
    metrics.copies(&CopyInfo {
        totals: CopyTotals::default(),
        bytes_max: 0,
        evictions: Evictions::default(),
    });
    metrics.look_ups(LookUpCounts::default());
    metrics.audit_alarms("many_patients", 1, 1);
    metrics.audit_anchors("replaced", 1);
    metrics.link_certificate(30);
    metrics.node_certificates(NodeCounts::default());
    metrics.disk_free("store", 1);
    metrics.hub_connected(true);
    metrics
}

/// What is exposed, by the name that a query has.
fn exposed(text: &str) -> BTreeMap<String, About> {
    let mut kinds = BTreeMap::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
        else {
            continue;
        };
        let end = if kind == "counter" { "_total" } else { "" };
        kinds.insert(format!("{name}{end}"), (kind.to_owned(), BTreeSet::new()));
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end).filter(|base| kinds.contains_key(*base)))
            .unwrap_or(name);
        let Some((_, labels)) = kinds.get_mut(base) else { panic!("{name} has no type") };
        if !line.contains('{') {
            continue;
        }
        let inner = rest.split_once('}').unwrap().0;
        let names = inner.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        labels.extend(names.filter(|name| name != "le"));
    }
    kinds
}

/// The table: name, kind, labels.
fn documented() -> BTreeMap<String, About> {
    let mut rows = BTreeMap::new();
    for line in OPERATIONS.lines().filter(|line| line.starts_with("| `xiangyi_")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else { panic!("{line}") };
        assert!(!meaning.is_empty(), "{line}");
        let labels = labels.split([',', ' ']).map(|label| label.trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        let old = rows.insert(name.trim_matches('`').to_owned(), (kind.to_owned(), labels));
        assert!(old.is_none(), "{name} is there twice");
    }
    rows
}

#[test]
fn every_metric_is_in_the_table_with_its_kind_and_labels_and_no_other_is() {
    let (exposed, documented) = (exposed(&touched().render()), documented());
    assert!(exposed.len() > 40, "{exposed:?}");
    for (name, about) in &exposed {
        assert_eq!(documented.get(name), Some(about), "OPERATIONS.md, metrics: {name}");
    }
    for name in documented.keys() {
        assert!(exposed.contains_key(name), "OPERATIONS.md has {name}, which nothing exposes");
    }
}
