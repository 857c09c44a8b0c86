//! `xiangyi worklist`: what modalities are to do, from the database on the disk, beside a running
//! node or without one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::forwarding::Place;
use super::{Failure, say};
use crate::app::access::Caller;
use crate::app::imaging::Requester;
use crate::app::imaging::worklist::{Filter, Planned, Worklist};
use crate::node::open_worklist;
use crate::sharing::imaging::worklist::Item;

/// Bytes of a file of items at most.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct WorklistArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plan examinations from files; those with the same step id are replaced
    Add(AddArgs),
    /// List what is planned and what became of it
    List(ListArgs),
    /// Cancel planned examinations
    Cancel(CancelArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    #[command(flatten)]
    place: Place,
    /// JSON (an object or an array of them) or CSV with a header line, UTF-8; all of a file is
    /// taken or nothing of it
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    place: Place,
    /// First day, `YYYYMMDD`
    #[arg(long, default_value = "")]
    from: String,
    /// Last day, `YYYYMMDD`
    #[arg(long, default_value = "")]
    to: String,
    /// Only what is still to be done
    #[arg(long)]
    open: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CancelArgs {
    #[command(flatten)]
    place: Place,
    /// Scheduled procedure step IDs
    #[arg(required = true, value_name = "STEP_ID")]
    step_ids: Vec<String>,
}

pub(super) async fn run(args: WorklistArgs) -> Result<ExitCode, Failure> {
    let place = match &args.command {
        Command::Add(AddArgs { place, .. })
        | Command::List(ListArgs { place, .. })
        | Command::Cancel(CancelArgs { place, .. }) => place,
    };
    let (worklist, tasks) = open_worklist(&place.config()?).await?;
    let done = carry_out(&worklist, args.command).await;
    drop(worklist);
    tasks.close();
    tasks.wait().await;
    done
}

async fn carry_out(worklist: &Worklist, command: Command) -> Result<ExitCode, Failure> {
    let requester = Requester::of(Caller::local("command line"));
    match command {
        Command::Add(args) => {
            let mut count = 0;
            for file in &args.files {
                let items = read(file)?;
                let planned = worklist.plan(&requester, items).await;
                // What is wrong and where; the values themselves are not printed.
                count +=
                    planned.map_err(|error| format!("{}: {}", file.display(), error.public()))?;
            }
            say(&format!("{count} examinations are planned\n"))?;
        }
        Command::Cancel(args) => {
            let count = worklist.cancel(&requester, args.step_ids).await?;
            say(&format!("{count} examinations are cancelled\n"))?;
        }
        Command::List(args) => {
            let filter = Filter { from: args.from, to: args.to, open: args.open };
            let planned = worklist.list(&requester, filter).await?;
            say(&if args.json { as_json(&planned)? } else { as_text(&planned) })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<Vec<Item>, Failure> {
    let failed = |error: Failure| -> Failure { format!("{}: {error}", path.display()).into() };
    let bytes = std::fs::metadata(path).map_err(|e| failed(e.into()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(failed(format!("longer than {FILE_BYTES_MAX} bytes").into()));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.into()))?;
    let text = text.trim_start_matches('\u{FEFF}');
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        let items: Result<Vec<Item>, csv::Error> = rows.deserialize().collect();
        return items.map_err(|e| failed(e.into()));
    }
    let one_or_many = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::from_str(text).map(|one| vec![one])
    };
    one_or_many.map_err(|e| failed(e.into()))
}

fn as_json(planned: &[Planned]) -> Result<String, Failure> {
    let mut list = Vec::with_capacity(planned.len());
    for one in planned {
        let mut object = serde_json::to_value(&one.item)?;
        if let Some(fields) = object.as_object_mut() {
            fields.insert("state".to_owned(), serde_json::to_value(one.state)?);
            fields.insert("performed_step".to_owned(), one.performed.clone().into());
            fields.insert("changed_ms".to_owned(), one.changed_ms.into());
        }
        list.push(object);
    }
    Ok(format!("{}\n", serde_json::to_string_pretty(&list)?))
}

fn as_text(planned: &[Planned]) -> String {
    let mut text = String::new();
    for Planned { item, state, .. } in planned {
        let state = serde_json::to_value(state).ok();
        let _ = writeln!(
            text,
            "{} {} {} {} {} {} {} {} {}",
            item.start_date,
            item.start_time,
            state.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default(),
            item.step_id,
            item.modality,
            item.station_ae_title,
            item.patient_id,
            item.patient_name,
            item.step_description,
        );
    }
    text
}
