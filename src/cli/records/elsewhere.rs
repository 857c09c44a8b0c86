//! `xiangyi record look-up` and `fetch`: records at the hub.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Reading, open, records, shown};
use crate::cli::Failure;
use crate::cli::client::readable;
use crate::cli::serve::answer;
use crate::rpc::proto::xiangyi::records::v1 as pb;

/// Whose records.
#[derive(Debug, Args)]
struct PersonArgs {
    /// Name of the patient
    #[arg(long, value_name = "NAME")]
    patient: String,
    /// Resident ID; this or --health-card is needed
    #[arg(long, default_value = "", value_name = "NUMBER")]
    resident_id: String,
    /// Health card number
    #[arg(long, default_value = "", value_name = "NUMBER")]
    health_card: String,
    /// Break the glass: why, in your words. It is reviewed afterwards
    #[arg(long, default_value = "", value_name = "REASON")]
    break_glass: String,
}

#[derive(Debug, Args)]
pub(super) struct LookUpArgs {
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// Name of the record, as `look-up` shows it
    name: String,
    /// Version; without it the current one
    #[arg(long, default_value_t = 0)]
    version: u32,
    /// Write the document as it came here too
    #[arg(long, value_name = "FILE")]
    original: Option<PathBuf>,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    reading: Reading,
}

impl PersonArgs {
    fn stated(self) -> Result<(pb::LookedUpPerson, String), Failure> {
        let Self { patient, resident_id, health_card, break_glass } = self;
        if resident_id.is_empty() && health_card.is_empty() {
            return Err(
                "a name alone identifies nobody: give --resident-id or --health-card".into()
            );
        }
        Ok((pb::LookedUpPerson { name: patient, resident_id, health_card }, break_glass))
    }
}

pub(super) async fn look_up(args: LookUpArgs) -> Result<ExitCode, Failure> {
    let common = args.reading.common;
    let (person, break_glass_reason) = args.person.stated()?;
    let client = open(&common.target).await?;
    let request = pb::LookUpRecordsRequest {
        person: Some(person),
        purpose: pb::Purpose::from(args.reading.purpose).into(),
        break_glass_reason,
    };
    let found = records(&client)?.look_up_records(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(common.json, "xiangyi.records.v1.LookUpRecordsResponse", &found, || {
        shown::looked_up(&found)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn fetch(args: FetchArgs) -> Result<ExitCode, Failure> {
    let common = args.reading.common;
    let (person, break_glass_reason) = args.person.stated()?;
    let client = open(&common.target).await?;
    let request = pb::FetchRecordRequest {
        name: args.name,
        version: args.version,
        person: Some(person),
        purpose: pb::Purpose::from(args.reading.purpose).into(),
        break_glass_reason,
        include_original: args.original.is_some(),
    };
    let found = records(&client)?.fetch_record(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    if let Some(path) = &args.original {
        std::fs::write(path, &found.original)
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    answer(common.json, "xiangyi.records.v1.FetchRecordResponse", &found, || {
        shown::fetched(&found)
    })?;
    Ok(ExitCode::SUCCESS)
}
