//! `xiangyi coverage`: how far the programme has come, as departments want it reported.

mod csv;
mod html;
mod report;
mod shown;
mod simulate;
mod xlsx;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::Failure;
use crate::rpc::proto::xiangyi::reporting::v1 as pb;
use crate::sharing::reporting;

#[derive(Debug, Args)]
pub(super) struct CoverageArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask a hub for a report, as text, CSV, a workbook, a page to print or JSON
    Report(Box<report::ReportArgs>),
    /// List what a report shows: numerator, denominator, version, what is hidden
    Indicators(report::IndicatorsArgs),
    /// Make up a year of the whole prefecture and report it, marked as simulated everywhere
    Simulate(simulate::SimulateArgs),
}

/// How fine a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// The region alone
    Region,
    /// 县（市、区）
    County,
    /// 乡镇（街道）, and their counties
    Township,
    /// 村（社区）, and all above
    Village,
}

impl From<Level> for reporting::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Region => Self::Region,
            Level::County => Self::County,
            Level::Township => Self::Township,
            Level::Village => Self::Village,
        }
    }
}

pub(super) async fn run(args: CoverageArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Report(args) => report::report(*args).await?,
        Command::Indicators(args) => report::indicators(args).await?,
        Command::Simulate(args) => simulate::run(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file, or says which it was that could not be written.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes)
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// A report as a page.
fn page(report: &pb::CoverageReport) -> Vec<u8> {
    html::page(report).into_bytes()
}
