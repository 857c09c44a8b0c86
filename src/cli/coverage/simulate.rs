//! `xiangyi coverage simulate`: a year that never was, through the same adding up and the same report.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use tokio::time::Instant;

use super::super::{Failure, say};
use super::{Level, csv, page, write, xlsx};
use crate::app::ports::Clock as _;
use crate::embedded;
use crate::node::SystemClock;
use crate::rpc::reporting::{Made, message};
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::reporting::simulation::{Year, year};
use crate::sharing::reporting::{CUT_OFF_DAY, Month, Question, ReportingTables};

/// Who made a simulated report.
const MADE_BY: &str = "simulation";

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// The year
    #[arg(long, default_value_t = 2026)]
    year: i16,
    /// The same seed gives the same year
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for what is made: raw.csv with everything that was told, sites.csv, and with --report
    /// report.csv, report.xlsx and report.html
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Report the year too
    #[arg(long)]
    report: bool,
    /// How fine the report is
    #[arg(long, value_enum, default_value_t = Level::Township)]
    level: Level,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: SimulateArgs) -> Result<(), Failure> {
    let begun = Instant::now();
    let made = tokio::task::spawn_blocking(move || make(&args)).await??;
    let seconds = begun.elapsed().as_secs_f64();
    let Written { told, sites, files, json } = made;
    if json {
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let said = serde_json::json!({
            "simulated": true, "told": told, "sites": sites, "seconds": seconds, "files": names,
        });
        return say(&format!("{said}\n"));
    }
    let mut text =
        format!("模拟数据：{sites} 个站点，{told} 次报数，用时 {seconds:.1} 秒（含报告）\n");
    for path in &files {
        let _ = writeln!(text, "{}", path.display());
    }
    say(&text)
}

/// What was made.
struct Written {
    told: usize,
    sites: usize,
    files: Vec<PathBuf>,
    json: bool,
}

fn make(args: &SimulateArgs) -> Result<Written, Failure> {
    let months = Month::of_year(args.year).map_err(|_| "--year must be from 2020 to 2199")?;
    let files = embedded::files();
    let tables = ReportingTables::load(&files, &Divisions::load(&files)?)?;
    let simulated = year(&tables, &months, args.seed);
    std::fs::create_dir_all(&args.out)
        .map_err(|error| format!("cannot make {}: {error}", args.out.display()))?;
    let at = |name: &str| args.out.join(name);
    let mut written = vec![at("raw.csv"), at("sites.csv")];
    write(&at("raw.csv"), &raw(&tables, &simulated)?)?;
    write(&at("sites.csv"), &sites(&simulated)?)?;
    if args.report {
        let question = Question {
            months,
            level: args.level.into(),
            region: 0,
            as_of_ms: simulated.as_of_ms,
            cut_off_day: CUT_OFF_DAY,
        };
        let report = tables.report(question, &simulated.told, &simulated.sites);
        let made = Made { by: MADE_BY.to_owned(), at_ms: SystemClock.now_ms(), simulated: true };
        let report = message(&tables, &report, made);
        let formats =
            [("report.csv", csv::bytes(&report)?), ("report.xlsx", xlsx::bytes(&report)?)];
        for (name, bytes) in formats.into_iter().chain([("report.html", page(&report))]) {
            write(&at(name), &bytes)?;
            written.push(at(name));
        }
    }
    let (told, sites) = (simulated.told.len(), simulated.sites.len());
    Ok(Written { told, sites, files: written, json: args.json })
}

/// Everything that was told, a line for each revision; what is not known is empty.
fn raw(tables: &ReportingTables, year: &Year) -> Result<Vec<u8>, Failure> {
    let counters = &tables.counters;
    let mut every = crate::sharing::reporting::Values::default();
    (0..counters.slots()).for_each(|slot| every.add(slot, 0));
    let names: Vec<String> = counters.named(&every).into_iter().map(|(name, _)| name).collect();
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let fixed = ["teller", "place", "month", "revision", "at_ms", "site"].map(str::to_owned);
    writer.write_record(fixed.iter().chain(&names))?;
    for one in &year.told {
        let fixed = [
            one.teller.clone(),
            one.place.clone(),
            one.month.to_string(),
            one.revision.to_string(),
            one.at_ms.to_string(),
            u8::from(one.is_site).to_string(),
        ];
        let values = (0..counters.slots()).map(|slot| one.values.at(slot));
        let values = values.map(|value| value.map(|n| n.to_string()).unwrap_or_default());
        writer.write_record(fixed.into_iter().chain(values))?;
    }
    Ok(writer.into_inner().map_err(::csv::IntoInnerError::into_error)?)
}

fn sites(year: &Year) -> Result<Vec<u8>, Failure> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["node", "place", "since_ms"])?;
    for site in &year.sites {
        writer.write_record([&site.node, &site.place, &site.since_ms.to_string()])?;
    }
    Ok(writer.into_inner().map_err(::csv::IntoInnerError::into_error)?)
}
