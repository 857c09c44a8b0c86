//! A node of this program in a process of its own, with a folder that goes with it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use super::Failure;
use crate::benchmark::machine::Host;
use crate::config::{Config, NodeRole};

/// How long a node may take to start.
const START_MAX: Duration = Duration::from_mins(2);
/// Ticks of `/proc/<pid>/stat` in a second, on every architecture that there are builds for.
const TICKS: f64 = 100.0;
/// Characters of a log that are told.
const LOG_CHARS: usize = 400;

/// A node that ends with this value.
#[derive(Debug)]
pub(super) struct Node {
    child: Child,
    said: Value,
    ready: Duration,
    folder: TempDir,
}

/// What a node's process used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    /// Resident memory, MiB.
    pub(super) resident_mib: f64,
    /// The most of it so far.
    pub(super) peak_mib: f64,
    /// Seconds of the processor, of all threads.
    pub(super) cpu_s: f64,
}

impl Node {
    /// Starts a node with the configuration of this process, changed, and its data in `data`.
    pub(super) async fn start(
        data: &Path,
        change: impl FnOnce(&mut Config, &Path),
    ) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("xiangyi-bench-").tempdir_in(data)?;
        let mut config = base()?;
        config.store.dir = folder.path().join("data");
        change(&mut config, folder.path());
        let file = folder.path().join("node.toml");
        tokio::fs::write(&file, config.to_toml()).await?;
        let log = folder.path().join("log");
        let begun = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--json", "--config"])
            .arg(&file)
            // All that matters stands in the file.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let out = child.stdout.take();
        let mut node = Self { child, said: Value::Null, ready: Duration::ZERO, folder };
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            if let Some(out) = out {
                BufReader::new(out).read_line(&mut line)?;
            }
            Ok::<_, std::io::Error>(line)
        });
        let line = tokio::time::timeout(START_MAX, line).await;
        node.ready = begun.elapsed();
        let line = line.map_err(|_| "the node did not start within two minutes")???;
        node.said = serde_json::from_str(&line)
            .map_err(|_| format!("the node did not start: {}", last_line(&log)))?;
        Ok(node)
    }

    /// From the start of the process to the moment it said that it serves.
    pub(super) fn ready(&self) -> Duration {
        self.ready
    }

    /// An address that it told: `grpc`, `link` …
    pub(super) fn address(&self, door: &str) -> Result<String, Failure> {
        let address = self.said.get(door).and_then(Value::as_str);
        Ok(address
            .ok_or_else(|| format!("the node told no address of its {door} door"))?
            .to_owned())
    }

    /// Where its gRPC door is.
    pub(super) fn url(&self) -> Result<String, Failure> {
        Ok(format!("http://{}", self.address("grpc")?))
    }

    /// What its process used so far.
    pub(super) fn used(&self, host: &Host) -> Used {
        let status = host.text(&format!("proc/{}/status", self.child.id())).unwrap_or_default();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or(0.0) / 1024.0
        };
        let stat = host.text(&format!("proc/{}/stat", self.child.id())).unwrap_or_default();
        // The name in brackets may have spaces; user and system time are the 14th and 15th field.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: f64 = rest.split_whitespace().skip(11).take(2).flat_map(str::parse::<f64>).sum();
        Used { resident_mib: mib("VmRSS:"), peak_mib: mib("VmHWM:"), cpu_s: ticks / TICKS }
    }

    /// Whether its process is still there.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The last line of its log.
    pub(super) fn last_words(&self) -> String {
        last_line(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration of this process for a node on loopback that keeps to itself.
fn base() -> Result<Config, Failure> {
    let mut config = Config::load(None)?;
    let engine = config.models;
    config = Config::default();
    config.models = engine;
    config.node.role = NodeRole::Clinic;
    config.server.listen.set_port(0);
    "warn".clone_into(&mut config.log.level);
    config.imaging.free_bytes_min = 0;
    Ok(config)
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    line.chars().take(LOG_CHARS).collect()
}
