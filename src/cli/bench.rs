//! `xiangyi bench`: measures this box and a node on it, for people who choose or qualify edge boxes; and
//! compares reports.

mod calls;
mod child;
mod driven;
mod imaging;
mod interviews;
mod models;
mod output;
mod plan;
mod progress;
mod reports;
mod requests;
mod run;
mod soak;
mod start;
mod store;
mod sync;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::plan::Part;
use super::{Failure, Target};

/// Exit code when a requirement is missed, or was not measured.
const EXIT_MISSED: u8 = 3;
/// Exit code when something that was asked for was not measured.
const EXIT_NOT_WHOLE: u8 = 4;

/// Shown under `--help`.
const MORE: &str = r#"Load: calls are due at times drawn before (Poisson arrivals, open loop) and go out whatever became of
the calls before them; latency counts from when a call was due, so a pause of the node is in the figures of
all calls that were due meanwhile. The rate rises until the node misses it twice. The knee is the highest
rate at which answers came at 95 % of what was due, p99 stayed within --p99-bound, and at most one call in a
thousand failed or could not be sent. "Half load" is half of that. "Saturated" and "alone" are closed loops
of 32 clients and of one.
Limits: generator and node share the machine and its cores; requests are a fixed handful, sent in turn; the
network and the pace of people are not in it. With --server the machine that is described is this one, calls
are kept in that node as any others, and parts that need a node of their own are left out.

A site's minimum (--require) is TOML that names figures with `min` and `max`:
  ["diagnose.knee_per_second"]
  min = 50
  ["disk.fsync_p99_ms"]
  max = 20

Ctrl-C ends the run: what was measured so far is told, and marked as not whole.
Exit code: 0 measured; 1 nothing measured, or a wrong argument or file; 3 a requirement is missed or was not
measured; 4 something that was asked for was not measured.

Examples:
  xiangyi bench --out report/ --require site.toml
  xiangyi bench --quick --only models --model other.onnx
  xiangyi bench compare box-a.json box-b.json"#;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = MORE)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the ratios of two reports with 95 % intervals
    Compare(reports::CompareArgs),
    /// Show a report again, hold it to a site's minimum, or make its page anew
    Show(reports::ShowArgs),
    /// Print the JSON Schema of reports
    Schema(reports::SchemaArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// About a minute instead of five to ten; the figures are rough
    #[arg(long)]
    quick: bool,
    /// Only these parts; may be given several times, or with commas
    #[arg(long, value_enum, value_delimiter = ',', num_args = 1.., value_name = "PART")]
    only: Vec<Part>,
    /// Then let half of the knee of Diagnose run for so many minutes, 10 unless said
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "10",
        value_parser = clap::value_parser!(u64).range(1..=240))]
    soak: Option<u64>,
    /// An ONNX file to measure beside the shipped models; may be given several times
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Threads of a model's run; without it one, and as many as there are cores
    #[arg(long, value_delimiter = ',', value_name = "COUNT",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Vec<u16>,
    /// Rows of a model's run; without it 1, 8 and 32
    #[arg(long, value_delimiter = ',', value_name = "ROWS",
        value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch: Vec<u16>,
    /// 99th percentile up to which a rate counts as kept up, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 250,
        value_parser = clap::value_parser!(u32).range(1..=60_000))]
    p99_bound: u32,
    /// Folder on the disk that is to be measured; what is written there is removed again. Without it the
    /// folder for temporary files
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data_dir: Option<PathBuf>,
    /// Write the report: a folder for bench.json and bench.html, or a file that ends in .json or .html,
    /// beside which the other is written
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// A site's minimum, TOML
    #[arg(long, value_name = "FILE")]
    require: Option<PathBuf>,
    /// Print the report as JSON, and no progress
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: BenchArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Some(Command::Compare(args)) => reports::compare(&args),
        Some(Command::Show(args)) => reports::show(&args),
        Some(Command::Schema(args)) => reports::schema(&args),
        None => Box::pin(run::run(args.run)).await,
    }
}
