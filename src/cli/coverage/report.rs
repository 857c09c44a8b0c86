//! `xiangyi coverage report` and `indicators`: what a hub says, in the format that is wanted.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::super::client::{client_of_node, readable};
use super::super::serve::answer;
use super::super::{Failure, Target, json, say};
use super::shown::{
    cell, corrections, formula, is_corrected, late, legend, made, suppression, title, whole,
};
use super::{Level, csv, page, write, xlsx};
use crate::app::ports::Clock as _;
use crate::node::SystemClock;
use crate::rpc::proto::xiangyi::reporting::v1 as pb;
use crate::rpc::proto::xiangyi::reporting::v1::reporting_service_client::ReportingServiceClient;
use crate::sharing::reporting::Month;
use crate::sharing::reporting::month::{DAY_MS, day_of_ms, midnight_ms};

/// Largest answer taken: all villages of a month.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Name of a report in the contract.
const REPORT: &str = "xiangyi.reporting.v1.CoverageReport";
/// Indicators that the table on the screen has for each place.
const SHORT: [&str; 6] =
    ["village_coverage", "reporting", "diagnoses", "flag_rate", "read_rate", "follow_up"];

/// How a report is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text to read here
    Table,
    /// A line for each month, place and indicator
    Csv,
    /// A workbook
    Xlsx,
    /// A page to print
    Html,
    /// The message of the contract
    Json,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The month, or the last one
    #[arg(long, value_name = "YYYY-MM")]
    month: Month,
    /// So many months, up to the one named
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=24))]
    months: u8,
    /// How fine
    #[arg(long, value_enum, default_value_t = Level::County)]
    level: Level,
    /// Division code that the report is of; without it all that you may see
    #[arg(long, default_value = "", value_name = "CODE")]
    region: String,
    /// What was known at the end of that day; without it what is known now
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<Date>,
    /// How it is given
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write here instead of standard output; a workbook needs it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// As --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct IndicatorsArgs {
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn report(args: ReportArgs) -> Result<(), Failure> {
    let format = if args.json { Format::Json } else { args.format };
    if format == Format::Xlsx && args.out.is_none() {
        return Err("a workbook is not for the screen: name a file with --out".into());
    }
    let report = fetch(&args).await?;
    let bytes = match format {
        Format::Table => table(&report).into_bytes(),
        Format::Csv => csv::bytes(&report)?,
        Format::Xlsx => xlsx::bytes(&report)?,
        Format::Html => page(&report),
        Format::Json => json::print(REPORT, &report)?.into_bytes(),
    };
    match &args.out {
        Some(path) => write(path, &bytes),
        None => say(&String::from_utf8_lossy(&bytes)),
    }
}

/// Month by month, so that no answer is too large; all of one moment.
async fn fetch(args: &ReportArgs) -> Result<pb::CoverageReport, Failure> {
    let client = client_of_node(&args.target, "a report comes from the hub").await?;
    let service = ReportingServiceClient::new(client.node()?);
    let mut service = service.max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut as_of_ms = args.as_of.map_or(0, end_of);
    let mut whole: Option<pb::CoverageReport> = None;
    for month in args.month.back(args.months.into()) {
        let request = client.dressed(pb::GetCoverageReportRequest {
            months: vec![month.to_string()],
            level: level(args.level).into(),
            region: args.region.clone(),
            as_of_ms,
        });
        let answered = service.get_coverage_report(request).await.map_err(|s| readable(&s))?;
        let one = answered.into_inner().report.ok_or("the hub gave no report")?;
        as_of_ms = one.as_of_ms;
        match &mut whole {
            None => whole = Some(one),
            Some(whole) => {
                whole.months.extend(one.months);
                whole.rows.extend(one.rows);
                whole.indicators = one.indicators;
                whole.made_ms = one.made_ms;
            }
        }
    }
    Ok(whole.ok_or("there is no such month")?)
}

/// The end of a day; of today the moment of asking, which the hub knows better.
fn end_of(day: Date) -> i64 {
    if day_of_ms(SystemClock.now_ms()) == Some(day) {
        return 0;
    }
    midnight_ms(day) + DAY_MS - 1
}

fn level(level: Level) -> pb::Level {
    crate::sharing::reporting::Level::from(level).into()
}

/// The whole by month, and each place of the last month in a few figures.
fn table(report: &pb::CoverageReport) -> String {
    let mut out = format!("{}\n{}\n\n", title(report), made(report));
    let rows = whole(report);
    let _ = writeln!(out, "指标\t单位\t{}", report.months.join("\t"));
    for (line, indicator) in report.indicators.iter().enumerate() {
        let figures = rows.iter().filter_map(|row| row.figures.get(line));
        let cells: Vec<String> = figures.map(|stated| marked(stated, indicator)).collect();
        let _ = writeln!(out, "{}\t{}\t{}", indicator.name, indicator.unit, cells.join("\t"));
    }
    let last = report.months.last().map_or("", String::as_str);
    let places: Vec<&pb::CoverageRow> =
        report.rows.iter().filter(|row| row.month == last && row.code != report.region).collect();
    if !places.is_empty() {
        let short: Vec<(usize, &pb::Indicator)> = report
            .indicators
            .iter()
            .enumerate()
            .filter(|(_, indicator)| SHORT.contains(&indicator.id.as_str()))
            .collect();
        let names: Vec<&str> = short.iter().map(|(_, one)| one.name.as_str()).collect();
        let _ = writeln!(out, "\n{last}\t{}\t迟报", names.join("\t"));
        for row in places {
            let of = |(line, indicator): &(usize, &pb::Indicator)| {
                row.figures.get(*line).map(|stated| marked(stated, indicator)).unwrap_or_default()
            };
            let cells: Vec<String> = short.iter().map(of).collect();
            let _ = writeln!(out, "{} {}\t{}\t{}", row.code, row.name, cells.join("\t"), late(row));
        }
    }
    let corrected = corrections(report).len();
    let _ = writeln!(out, "\n{}\n截止后的更正：{corrected} 处", legend());
    out
}

fn marked(stated: &pb::Stated, indicator: &pb::Indicator) -> String {
    let text = cell(&stated.now.unwrap_or_default(), indicator);
    if is_corrected(stated) { format!("{text}{}", super::shown::CORRECTED) } else { text }
}

pub(super) async fn indicators(args: IndicatorsArgs) -> Result<(), Failure> {
    let client = client_of_node(&args.target, "the indicators come from a node").await?;
    let mut service = ReportingServiceClient::new(client.node()?);
    let request = client.dressed(pb::ListIndicatorsRequest {});
    let found = service.list_indicators(request).await.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.reporting.v1.ListIndicatorsResponse", &found, || {
        let mut out = String::new();
        for one in &found.indicators {
            let state = if one.reviewed { "已审核" } else { "草案" };
            let _ = writeln!(
                out,
                "{} {}（{}）：{}；第{}版，{}起；{}；{state}，{}",
                one.id,
                one.name,
                one.unit,
                formula(one),
                one.version,
                one.from_day,
                suppression(one),
                one.source
            );
        }
        out
    })
}
