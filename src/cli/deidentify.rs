//! `xiangyi deidentify`: images, records and tables of counts for research and teaching.

pub(super) mod files;
mod shown;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use tokio::sync::mpsc;

use self::files::{FolderSink, collect, read_bounded};
use super::{Failure, say};
use crate::app::deidentify::{self, Purpose, Run, Terms};
use crate::app::ports::Clock as _;
use crate::config::{Config, client_variable};
use crate::node::{self, SystemClock};
use crate::sharing::deidentify::counts::Shape;
use crate::sharing::deidentify::images::FILE_BYTES_MAX;
use crate::sharing::deidentify::key::SECRET_BYTES;
use crate::sharing::deidentify::records::FreeText;
use crate::sharing::deidentify::{Key, Rules};
use crate::tables::text::hex;

/// Bytes of a record or table at most: 16 MiB.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
/// Objects of the archive that are read ahead.
const AHEAD: usize = 2;

#[derive(Debug, Args)]
pub(super) struct DeidentifyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a secret for pseudonyms, so that several runs give the same ones; keep it like the data
    Key(KeyArgs),
    /// DICOM files by the Basic Application Level Confidentiality Profile (PS3.15, annex E)
    Images(ImagesArgs),
    /// Discharge records: the node's own JSON, FHIR bundles or CDA documents
    Records(RecordsArgs),
    /// A CSV table of counts, without small cells
    Table(TableArgs),
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// File to write, which must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What data are given out for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum For {
    Research,
    Teaching,
}

#[derive(Debug, Args)]
struct Common {
    /// What the data are given out for; stands in the report
    #[arg(long, value_enum)]
    purpose: For,
    /// File with the secret of the pseudonyms (`xiangyi deidentify key`), readable by its owner
    /// alone; without it one is made for this run and forgotten, and no later run gives the same
    /// pseudonyms
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Directory like `models/` with the rules; without it what is embedded
    #[arg(long, value_name = "DIR")]
    models_dir: Option<PathBuf>,
    /// Write which input has which number to this file, for you alone: names of files may name
    /// patients
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ImagesArgs {
    /// DICOM files, or folders with such
    #[arg(value_name = "PATH", required_unless_present = "archive")]
    paths: Vec<PathBuf>,
    /// Take the objects of the archive of a node that does not run
    #[arg(long, conflicts_with = "paths")]
    archive: bool,
    /// Configuration file of that node
    #[arg(long, value_name = "FILE", requires = "archive")]
    config: Option<PathBuf>,
    /// Of the archive only this study; may be given several times
    #[arg(long = "study", value_name = "UID", requires = "archive")]
    studies: Vec<String>,
    /// Folder for what is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Options of the profile: clean-graphics, clean-structured, clean-descriptors, full-dates,
    /// modified-dates, patient, device, uids, safe-private, institution
    #[arg(long, value_name = "OPTION", value_delimiter = ',')]
    profile: Vec<String>,
    /// Give out images that may have text in their pixels too: somebody must look at each
    #[arg(long)]
    include_burned_in: bool,
    #[command(flatten)]
    common: Common,
}

/// What becomes of free text.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Text {
    /// It is left out
    Withheld,
    /// Names and numbers that the record knows are taken out: weaker, other people may still be
    /// named
    Scrubbed,
}

#[derive(Debug, Args)]
struct RecordsArgs {
    /// Records, or folders with such
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Folder for what is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Free text
    #[arg(long, value_enum, default_value_t = Text::Withheld)]
    text: Text,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct TableArgs {
    /// CSV with a header; counts stand in the columns at the right, totals in a last row or column
    /// called total, 合计, 总计 or 小计
    file: PathBuf,
    /// File for the table
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Columns at the left that are labels; without it those that hold anything but counts
    #[arg(long, value_name = "COLUMNS")]
    labels: Option<usize>,
    /// Counts below this, from 1, are small; without it that of the policy
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(2..))]
    threshold: Option<u64>,
    #[command(flatten)]
    common: Common,
}

impl From<For> for Purpose {
    fn from(purpose: For) -> Self {
        match purpose {
            For::Research => Self::Research,
            For::Teaching => Self::Teaching,
        }
    }
}

pub(super) async fn run(args: DeidentifyArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Key(args) => make_key(&args),
        Command::Images(args) => images(args).await,
        Command::Records(args) => records(&args),
        Command::Table(args) => table(&args),
    }
}

fn secret() -> Result<[u8; SECRET_BYTES], Failure> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

fn make_key(args: &KeyArgs) -> Result<ExitCode, Failure> {
    let secret = secret()?;
    files::create_private(&args.out, format!("{}\n", hex(&secret)).as_bytes())?;
    let fingerprint = Key::new(&secret).fingerprint();
    say(&format!(
        "已生成化名密钥（指纹 {fingerprint}）。谁有它，谁就能核对化名：请与原始数据同样保管。\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A run by the arguments that all kinds have.
fn begin(
    common: &Common,
    profile: &[String],
    burned_in: bool,
    text: FreeText,
) -> Result<Run, Failure> {
    let mut section = Config::load(None)?.models;
    section.dir.clone_from(&common.models_dir);
    let files = node::folder::tables(&section)?;
    let key = match &common.key {
        Some(path) => Key::parse(&files::read_private(path)?).map_err(|e| format!("--key: {e}"))?,
        None => Key::new(&secret()?),
    };
    let names = profile.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let terms = Terms {
        rules: Rules::load(&files)?,
        choices: deidentify::choices(names)?,
        key,
        key_kept: common.key.is_some(),
        purpose: common.purpose.into(),
        include_burned_in: burned_in,
        text,
    };
    let today = jiff::Timestamp::from_millisecond(SystemClock.now_ms())?;
    Ok(Run::new(terms, jiff::tz::offset(8).to_datetime(today).date()))
}

/// Tells what was done.
fn end(run: Run, common: &Common) -> Result<ExitCode, Failure> {
    let told = run.told();
    let json = serde_json::to_string_pretty(&told)?;
    if let Some(path) = &common.report {
        std::fs::write(path, &json).map_err(|e| format!("cannot write the report: {e}"))?;
    }
    if common.json {
        say(&format!("{json}\n"))?;
    } else {
        say(&shown::told(&told))?;
    }
    Ok(if told.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn note_inputs(common: &Common, paths: &[PathBuf]) -> Result<(), Failure> {
    let Some(to) = &common.inputs else { return Ok(()) };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["input", "path"])?;
    for (at, path) in paths.iter().enumerate() {
        writer.write_record([(at + 1).to_string(), path.to_string_lossy().into_owned()])?;
    }
    files::create_private(to, &writer.into_inner().map_err(|e| e.to_string())?)
}

async fn images(args: ImagesArgs) -> Result<ExitCode, Failure> {
    let mut run = begin(&args.common, &args.profile, args.include_burned_in, FreeText::Withheld)?;
    let mut sink = FolderSink::new(&args.out)?;
    if args.archive {
        let path = args.config.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
        let config = Config::load(path.as_deref())?;
        let wanted = node::deidentify::Wanted {
            studies: args.studies.into_iter().collect(),
            bytes_max: FILE_BYTES_MAX,
            purpose: args.common.purpose.into(),
        };
        let (to, mut from) = mpsc::channel(AHEAD);
        let read = node::deidentify::objects(&config, &wanted, to);
        let take = async {
            while let Some(file) = from.recv().await {
                match file {
                    Ok(bytes) => run.image(&bytes, &mut sink)?,
                    Err(why) => run.unreadable(why),
                }
            }
            Ok::<_, Failure>(())
        };
        let (read, taken) = tokio::join!(Box::pin(read), take);
        taken?;
        read?;
        return end(run, &args.common);
    }
    let paths = inputs(&args.paths, &args.out)?;
    note_inputs(&args.common, &paths)?;
    for path in &paths {
        match read_bounded(path, FILE_BYTES_MAX) {
            Ok(bytes) => run.image(&bytes, &mut sink)?,
            Err(why) => run.unreadable(&why),
        }
    }
    end(run, &args.common)
}

/// The files under `paths`, in order, without what lies in the folder for what is made.
fn inputs(paths: &[PathBuf], out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        collect(path, 0, &mut found)?;
    }
    let out = std::fs::canonicalize(out)?;
    let outside = |path: &PathBuf| std::fs::canonicalize(path).is_ok_and(|p| !p.starts_with(&out));
    found.retain(outside);
    if found.is_empty() {
        return Err("there is no file to de-identify".into());
    }
    Ok(found)
}

fn records(args: &RecordsArgs) -> Result<ExitCode, Failure> {
    let text = match args.text {
        Text::Withheld => FreeText::Withheld,
        Text::Scrubbed => FreeText::Scrubbed,
    };
    let mut run = begin(&args.common, &[], false, text)?;
    let mut sink = FolderSink::new(&args.out)?;
    let paths = inputs(&args.paths, &args.out)?;
    note_inputs(&args.common, &paths)?;
    for path in &paths {
        match read_bounded(path, DOCUMENT_BYTES_MAX) {
            Ok(bytes) => run.record(&bytes, &mut sink)?,
            Err(why) => run.unreadable(&why),
        }
    }
    end(run, &args.common)
}

fn table(args: &TableArgs) -> Result<ExitCode, Failure> {
    let mut run = begin(&args.common, &[], false, FreeText::Withheld)?;
    let bytes = read_bounded(&args.file, DOCUMENT_BYTES_MAX)?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes));
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|_| format!("row {}: no CSV in UTF-8", rows.len() + 1))?;
        rows.push(row.iter().map(str::to_owned).collect::<Vec<_>>());
    }
    let shape = Shape { label_columns: args.labels };
    if let Some(made) = run.table(&rows, shape, args.threshold) {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        for row in &made.rows {
            writer.write_record(row)?;
        }
        let written = writer.into_inner().map_err(|e| e.to_string())?;
        std::fs::write(&args.out, written).map_err(|e| format!("cannot write the table: {e}"))?;
        if !args.common.json {
            say(&shown::table(&made))?;
        }
    }
    end(run, &args.common)
}
