//! What a real hub and a real node expose is what the dashboard shows.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use xiangyi::app::imaging::peers::Service;
use xiangyi::config::{ForwardingRule, PeerSection};
use xiangyi::sharing::imaging::charset::Encoding;

use crate::enrolment;
use crate::harness::complaint;
use crate::images::small;

/// What is exposed only after something has happened that no test should have to make.
const AFTERWARDS: [&str; 4] = [
    "xiangyi_audit_alarms",
    "xiangyi_audit_alarms_open",
    "xiangyi_audit_anchors_unfit",
    "xiangyi_model_dropped_total",
];

/// How often it is looked, twice a second.
const LOOKS_MAX: u32 = 120;

/// Metrics that the dashboard names, as they are exposed.
fn shown() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/grafana/xiangyi.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut all = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap();
            let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            all.extend(words.filter(|word| word.starts_with("xiangyi_")).map(str::to_owned));
        }
    }
    assert!(all.len() > 40, "{all:?}");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_shows_what_a_hub_and_a_node_expose() {
    let setup = enrolment::setup().metrics();
    let mut config = setup.config.clone();
    let hub = setup.start().await;
    hub.data.path().clone_into(&mut config.store.dir);
    let region = enrolment::Region { hub, config };
    let (_, config, data) = region.enrolled("a").await;
    let setup = small().metrics().with(|c| {
        c.node.name.clone_from(&config.node.name);
        c.link.hub.clone_from(&config.link.hub);
        c.dicom.peers = vec![PeerSection {
            ae_title: "CITY".to_owned(),
            address: Some("127.0.0.1:9".to_owned()),
            hosts: Vec::new(),
            tls: false,
            certificates: Vec::new(),
            services: [Service::Store].into(),
            character_set: Encoding::Utf8,
        }];
        let rule = "name = \"night\"\nto = [\"CITY\"]\n";
        c.forwarding.rules = vec![toml::from_str::<ForwardingRule>(rule).unwrap()];
    });
    let node = setup.start_in(data).await;
    node.diagnose(complaint("发热3天，咳嗽")).await.unwrap();
    let left = async || {
        let text = format!("{}{}", node.metrics().await, region.hub.metrics().await);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let exposed: BTreeSet<_> = lines.filter_map(|line| line.split(['{', ' ']).next()).collect();
        let is_missing = |name: &&String| {
            !exposed.contains(name.as_str()) && !AFTERWARDS.contains(&name.as_str())
        };
        shown().iter().filter(is_missing).cloned().collect::<BTreeSet<_>>()
    };
    let mut missing = left().await;
    // Some are measured every ten seconds.
    for _ in 0..LOOKS_MAX {
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        missing = left().await;
    }
    assert!(missing.is_empty(), "the dashboard shows what nothing exposes: {missing:?}");
    let text = node.metrics().await;
    assert!(text.contains("xiangyi_link_connected{to=\"hub\"}"), "{text}");
    assert!(text.contains("xiangyi_disk_free_bytes{folder=\"store\"}"), "{text}");
    let text = region.hub.metrics().await;
    assert!(text.contains("xiangyi_link_connected{to=\"nodes\"}"), "{text}");
}
