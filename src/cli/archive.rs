//! `xiangyi archive`: look after the archive of images of a node that does not run.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::Instant;

use super::{Failure, say};
use crate::archive::local::ScrubProgress;
use crate::config::{Config, client_variable};
use crate::node;

/// How often progress is told on a terminal, and elsewhere.
const PROGRESS_EVERY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

#[derive(Debug, Args)]
pub(super) struct ArchiveArgs {
    /// Configuration file of the node; without it `XIANGYI_CONFIG`, and without that the defaults
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say how much the archive and its index hold
    Info,
    /// Read every object again and compare it with its digest; exits with 1 if one is damaged
    Scrub,
    /// Make the index of studies anew from the archive
    Reindex,
}

pub(super) async fn run(args: ArchiveArgs) -> Result<ExitCode, Failure> {
    let path = args.config.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
    let config = Config::load(path.as_deref())?;
    match args.command {
        Command::Info => info(&config, args.json).await,
        Command::Scrub => scrub(config, args.json).await,
        Command::Reindex => reindex(&config, args.json).await,
    }
}

async fn info(config: &Config, as_json: bool) -> Result<ExitCode, Failure> {
    let held = node::imaging::held(config).await?;
    let node::imaging::Held { usage, counts, copies, recovery } = held;
    let held_copies = copies.totals;
    if as_json {
        let line = serde_json::json!({
            "segments": usage.segments, "bytes": usage.bytes, "bytes_free": usage.bytes_free,
            "patients": counts.patients, "studies": counts.studies, "series": counts.series,
            "instances": counts.instances, "kept_apart": counts.apart,
            "copies": {
                "studies": held_copies.studies, "objects": held_copies.objects,
                "bytes": held_copies.bytes, "bytes_max": copies.bytes_max,
                "evicted_studies": copies.evictions.studies,
                "evicted_objects": copies.evictions.objects,
                "evicted_bytes": copies.evictions.bytes,
            },
            "remote": usage.remote.map(|remote| serde_json::json!({
                "segments": remote.segments, "bytes": remote.bytes,
                "away_bytes": remote.away_bytes, "waiting_bytes": remote.waiting_bytes,
                "tainted_segments": remote.tainted_segments,
            })),
            "bytes_cut": recovery.bytes_cut, "gaps": recovery.gaps, "missing": recovery.missing,
        });
        say(&format!("{line}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "{} patients, {} studies, {} series, {} instances; {} kept apart\n{} in {} segments",
        counts.patients,
        counts.studies,
        counts.series,
        counts.instances,
        counts.apart,
        size(usage.bytes),
        usage.segments
    );
    if let Some(free) = usage.bytes_free {
        let _ = write!(text, ", {} free", size(free));
    }
    text.push('\n');
    if let Some(remote) = usage.remote {
        let _ = writeln!(
            text,
            "remote store: {} in {} segments, {} of them there only; {} wait, {} segments must be \
             put anew",
            size(remote.bytes),
            remote.segments,
            size(remote.away_bytes),
            size(remote.waiting_bytes),
            remote.tainted_segments
        );
    }
    if held_copies.objects > 0 || copies.evictions.studies > 0 {
        let _ = writeln!(
            text,
            "copies of other nodes: {} of {} at most, {} objects of {} studies; evicted so far: {} \
             of {} studies",
            size(held_copies.bytes),
            size(copies.bytes_max),
            held_copies.objects,
            held_copies.studies,
            size(copies.evictions.bytes),
            copies.evictions.studies
        );
    }
    for (count, what) in [
        (recovery.bytes_cut, "bytes of a torn end were cut off (never acknowledged)"),
        (recovery.gaps, "damaged stretches between records: run `xiangyi archive scrub`"),
        (recovery.missing, "segments are missing"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{count} {what}");
        }
    }
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn scrub(config: Config, as_json: bool) -> Result<ExitCode, Failure> {
    let mut told = Told::new();
    let scrubbed = tokio::task::spawn_blocking(move || {
        node::imaging::scrub(&config, &mut |progress: &ScrubProgress| {
            told.tell(|| {
                format!(
                    "segment {} of {}, {} records, {}",
                    progress.segments + 1,
                    progress.segments_all,
                    progress.records,
                    size(progress.bytes)
                )
            });
        })
    });
    let report = scrubbed.await??;
    let damaged: Vec<_> = report
        .damaged
        .iter()
        .map(|d| serde_json::json!({ "segment": d.segment, "offset": d.offset, "flaw": d.flaw.to_string() }))
        .collect();
    if as_json {
        let line = serde_json::json!({
            "segments": report.done.segments, "records": report.done.records,
            "bytes": report.done.bytes, "erased": report.erased, "flaws": report.flaws,
            "damaged": damaged,
        });
        say(&format!("{line}\n"))?;
    } else {
        let mut text = format!(
            "{} records in {} segments read, {}; {} erased, {} damaged\n",
            report.done.records,
            report.done.segments,
            size(report.done.bytes),
            report.erased,
            report.flaws
        );
        for damage in &report.damaged {
            let _ = writeln!(
                text,
                "segment {}, byte {}: {}",
                damage.segment, damage.offset, damage.flaw
            );
        }
        say(&text)?;
    }
    Ok(if report.flaws == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn reindex(config: &Config, as_json: bool) -> Result<ExitCode, Failure> {
    let mut told = Told::new();
    let caught = node::imaging::reindex(config, &mut |caught| {
        told.tell(|| format!("{} objects", caught.added));
    })
    .await?;
    if as_json {
        let line = serde_json::json!({ "added": caught.added, "unreadable": caught.unreadable });
        say(&format!("{line}\n"))?;
    } else {
        say(&format!("{} objects in the index, {} unreadable\n", caught.added, caught.unreadable))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Progress on standard error.
pub(super) struct Told {
    last: Option<Instant>,
    terminal: bool,
}

impl Told {
    pub(super) fn new() -> Self {
        Self { last: None, terminal: std::io::stderr().is_terminal() }
    }

    pub(super) fn tell(&mut self, text: impl FnOnce() -> String) {
        let [often, seldom] = PROGRESS_EVERY;
        let now = Instant::now();
        let pause = if self.terminal { often } else { seldom };
        if self.last.is_some_and(|last| now.duration_since(last) < pause) {
            return;
        }
        self.last = Some(now);
        // Progress is a courtesy.
        let _ = writeln!(std::io::stderr().lock(), "{}", text());
    }
}

/// Bytes as people say them.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "bytes";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    if unit == "bytes" {
        format!("{bytes} bytes")
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(256 << 20), "256.0 MiB");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
    }
}
