//! Reports that are there already: compared, shown again, held to a site's minimum.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::output::{self, Output};
use super::run::read_requirements;
use super::{EXIT_MISSED, Failure};
use crate::benchmark::compare;
use crate::benchmark::report::{BYTES_MAX, JSON_SCHEMA, Report};
use crate::benchmark::require;
use crate::cli::say;

/// Shown under `--help`.
const COMPARED: &str = "Ratios are B over A. Of figures with five blocks or more on both sides the interval \
is a bootstrap over blocks of each run; of a knee it is made of the rates around it; others have none. What \
differs from run to run (heat, neighbours, other programs) is not in an interval: measure twice, and compare \
a box with itself first.
Exit code: 0 compared, 3 B misses a requirement (--require), 1 a report cannot be read.";

#[derive(Debug, Args)]
#[command(after_help = COMPARED)]
pub(super) struct CompareArgs {
    /// The report that is compared with
    #[arg(value_name = "A.json")]
    a: PathBuf,
    /// The report that is compared
    #[arg(value_name = "B.json")]
    b: PathBuf,
    /// A site's minimum, TOML, that B is held to
    #[arg(long, value_name = "FILE")]
    require: Option<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// A report
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    /// A site's minimum, TOML; exit code 3 where it is missed
    #[arg(long, value_name = "FILE")]
    require: Option<PathBuf>,
    /// Write the report and its page, as `xiangyi bench --out`
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// The schema is JSON either way
    #[arg(long)]
    json: bool,
}

/// Reads a report, or says which file and field is wrong.
fn read(path: &Path) -> Result<Report, Failure> {
    let named = |error: String| format!("{}: {error}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| named(e.to_string()))?;
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|e| named(e.to_string()))?;
    if u64::try_from(text.len())? > BYTES_MAX {
        return Err(named(format!("more than the {BYTES_MAX} bytes that a report may have")).into());
    }
    Ok(Report::read(&text).map_err(named)?)
}

pub(super) fn compare(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let required = args.require.as_deref().map(read_requirements).transpose()?;
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let compared = compare::compare(&a, &b);
    let held = required.map(|required| required.hold(&b)).unwrap_or_default();
    if args.json {
        let mut value = serde_json::to_value(&compared)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("required".to_owned(), serde_json::to_value(&held)?);
        }
        say(&format!("{}\n", serde_json::to_string_pretty(&value)?))?;
    } else {
        say(&compared.to_text())?;
        if !held.is_empty() {
            say(&require::to_text(&held))?;
        }
    }
    let missed = held.iter().any(|one| !one.met);
    Ok(if missed { ExitCode::from(EXIT_MISSED) } else { ExitCode::SUCCESS })
}

pub(super) fn show(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let required = args.require.as_deref().map(read_requirements).transpose()?;
    let report = read(&args.report)?;
    let output = args.out.as_deref().map(Output::new).transpose()?;
    let held = required.map(|required| required.hold(&report)).unwrap_or_default();
    let files = output.map(|output| output.write(&report, &held)).transpose()?;
    output::show(&report, &held, args.json, files.as_deref().unwrap_or_default())?;
    let missed = held.iter().any(|one| !one.met);
    Ok(if missed { ExitCode::from(EXIT_MISSED) } else { ExitCode::SUCCESS })
}

pub(super) fn schema(_: &SchemaArgs) -> Result<ExitCode, Failure> {
    say(JSON_SCHEMA)?;
    Ok(ExitCode::SUCCESS)
}
