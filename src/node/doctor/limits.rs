//! What the system lets a process of this user have: open files, and memory.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::seen::Seen;
use super::{Notes, apart};
use crate::config::{Config, NodeRole};

/// Files that a node has open besides its connections: databases, segments, models, logs.
const FILES_OWN: u64 = 512;
/// Lines of one node at a hub, and the one that is about to break.
const LINES_OF_NODE: u64 = 2;
/// Memory that a node wants when it starts.
const MEMORY_BYTES: u64 = 256 << 20;

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    files(&seen.config, notes);
    let table = apart(|| fs::read_to_string("/proc/meminfo").unwrap_or_default()).await;
    match table.ok().as_deref().and_then(available) {
        None => notes.skip("memory", "the system does not say how much is free"),
        Some(bytes) if bytes < MEMORY_BYTES => {
            let found =
                format!("{} MiB are free; a node wants {}", bytes >> 20, MEMORY_BYTES >> 20);
            let advice = "`ps aux --sort=-rss | head` says who has it; `journalctl -k | grep -i oom` \
                          whether the system has ended somebody for it";
            notes.warn("memory", (found, advice));
        }
        Some(bytes) => notes.ok("memory", format!("{} MiB are free", bytes >> 20)),
    }
}

fn files(config: &Config, notes: &Notes) {
    let most = getrlimit(Resource::Nofile).maximum;
    let wanted = wanted(config);
    let said = most.map_or_else(|| "no limit".to_owned(), |most| format!("{most} at most"));
    if most.is_some_and(|most| most < wanted) {
        let found = format!("{said}; as configured the node may want {wanted}");
        let advice = format!(
            "LimitNOFILE={wanted} in the unit, or `ulimit -Hn`; beyond the limit connections wait"
        );
        notes.warn("open files", (found, advice));
    } else {
        notes.ok("open files", said);
    }
}

/// Files and connections that the configuration allows the doors together.
fn wanted(config: &Config) -> u64 {
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let mut all = FILES_OWN.saturating_add(wide(config.server.connections_max));
    if config.web.listen.is_some() {
        all = all.saturating_add(wide(config.web.connections_max));
    }
    if config.fhir.listen.is_some() {
        all = all.saturating_add(wide(config.fhir.connections_max));
    }
    if config.dicom.listen.is_some() {
        all = all.saturating_add(wide(config.dicom.associations_max));
    }
    if config.node.role == NodeRole::Hub {
        all = all.saturating_add(wide(config.link.nodes.len()).saturating_mul(LINES_OF_NODE));
    }
    all
}

/// Bytes that the kernel could give, by the text of `/proc/meminfo`.
fn available(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_wants_files_for_every_node() {
        let mut config = Config::default();
        let clinic = wanted(&config);
        assert_eq!(clinic, 512 + 4096);
        config.node.role = NodeRole::Hub;
        let member = crate::config::MemberSection {
            name: "a".to_owned(),
            area: String::new(),
            certificate_sha256: None,
            token_sha256: None,
        };
        config.link.nodes = vec![member; 2883];
        assert_eq!(wanted(&config), clinic + 5766);
    }

    #[test]
    fn free_memory_is_read() {
        let table = "MemTotal:       24684092 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available(table), Some(20_480_000_000));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
