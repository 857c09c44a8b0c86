//! `xiangyi forwarding`: what waits to go on to other archives, from the queue on the disk, beside a
//! running node or without one.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Failure, say};
use crate::app::imaging::forwarding::{Counts, EntryState, ForwardingStore as _, ListedEntry};
use crate::app::ports::Clock as _;
use crate::config::{Config, client_variable};
use crate::node::{SystemClock, open_exchange};

/// Parked objects that are listed at most.
const PARKED_MAX: u32 = 1000;

#[derive(Debug, Args)]
pub(super) struct ForwardingArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what waits, what was sent, and what was given up, by destination
    Status(StatusArgs),
    /// Have what was given up, or waits for a later try, tried now
    Retry(RetryArgs),
    /// Forget what was given up
    Drop(DropArgs),
}

/// Where the node's configuration is.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The node's configuration file; without it `XIANGYI_CONFIG`, and without that the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    place: Place,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RetryArgs {
    #[command(flatten)]
    place: Place,
    /// Only for this destination
    #[arg(long, value_name = "AE")]
    to: Option<String>,
}

#[derive(Debug, Args)]
struct DropArgs {
    #[command(flatten)]
    place: Place,
    /// The destination
    #[arg(long, value_name = "AE")]
    to: String,
    /// Forget what waits as well
    #[arg(long)]
    waiting_too: bool,
}

impl Place {
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let path =
            self.config.clone().or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
        Ok(Config::load(path.as_deref())?)
    }
}

pub(super) async fn run(args: ForwardingArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Status(args) => status(args).await?,
        Command::Retry(args) => {
            let store = open_exchange(&args.place.config()?).await?;
            let count = store.retry(args.to.as_deref(), SystemClock.now_ms()).await?;
            say(&format!("{count} objects are tried again\n"))?;
        }
        Command::Drop(args) => {
            let store = open_exchange(&args.place.config()?).await?;
            let count = store.forget(&args.to, args.waiting_too).await?;
            say(&format!("{count} objects are no longer forwarded to {}\n", args.to))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(args: StatusArgs) -> Result<(), Failure> {
    let store = open_exchange(&args.place.config()?).await?;
    let now = SystemClock.now_ms();
    let counts = store.counts().await?;
    let parked = store.list(None, EntryState::Parked, PARKED_MAX).await?;
    if args.json {
        let destinations: Vec<_> =
            counts.iter().map(|(title, counts)| destination(title, counts, now)).collect();
        let parked: Vec<_> = parked.iter().map(entry).collect();
        let object = serde_json::json!({ "destinations": destinations, "parked": parked });
        return say(&format!("{object}\n"));
    }
    let mut text = String::new();
    if counts.is_empty() {
        text.push_str("nothing was forwarded yet\n");
    }
    for (title, c) in &counts {
        let _ = write!(
            text,
            "{title}: {} wait ({} bytes), {} being sent, {} sent, {} refusals, {} given up",
            c.waiting, c.waiting_bytes, c.sending, c.sent, c.failed, c.parked
        );
        if let Some(oldest) = c.oldest_queued_ms {
            let _ = write!(text, ", oldest {} s", now.saturating_sub(oldest).max(0) / 1000);
        }
        text.push('\n');
    }
    for e in &parked {
        let _ = writeln!(text, "  given up: {} to {}: {}", e.instance, e.destination, e.reason);
    }
    say(&text)
}

fn destination(title: &str, counts: &Counts, now_ms: i64) -> serde_json::Value {
    serde_json::json!({
        "ae_title": title,
        "waiting": counts.waiting,
        "waiting_bytes": counts.waiting_bytes,
        "sending": counts.sending,
        "parked": counts.parked,
        "oldest_ms": counts.oldest_queued_ms.map(|at| now_ms.saturating_sub(at).max(0)),
        "sent": counts.sent,
        "sent_bytes": counts.sent_bytes,
        "warned": counts.warned,
        "failed": counts.failed,
        "reason": counts.reason,
    })
}

fn entry(entry: &ListedEntry) -> serde_json::Value {
    serde_json::json!({
        "destination": entry.destination,
        "rule": entry.rule,
        "instance": entry.instance,
        "study": entry.study,
        "tries": entry.tries,
        "reason": entry.reason,
    })
}
