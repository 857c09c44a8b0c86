//! `xiangyi record`, `xiangyi task` and `xiangyi exchange`: discharge records of a running node.

mod clinical;
mod consent;
mod elsewhere;
mod quarantine;
mod shown;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

pub(super) use self::shown::{at, reconciled, tasks};
use super::client::{Client, readable};
use super::serve::answer;
use super::{Failure, Target, say};
use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::rpc::proto::xiangyi::records::v1::exchange_service_client::ExchangeServiceClient;
use crate::rpc::proto::xiangyi::records::v1::follow_up_service_client::FollowUpServiceClient;
use crate::rpc::proto::xiangyi::records::v1::record_service_client::RecordServiceClient;

/// Bytes of a document at most.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of an answer at most: a record with its original.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    #[command(subcommand)]
    command: RecordCommand,
}

#[derive(Debug, Subcommand)]
enum RecordCommand {
    /// Say everything that is wrong with documents; nothing is kept
    Validate(FilesArgs),
    /// Hand documents in: FHIR R4 bundles as JSON, or CDA as XML
    Submit(FilesArgs),
    /// List records, the newest version of each
    List(ListArgs),
    /// Show a record
    #[command(disable_version_flag = true)]
    Show(ShowArgs),
    /// Write a record as it came, or in another format
    #[command(disable_version_flag = true)]
    Export(ExportArgs),
    /// Compare a record's medicines with what the clinic gives
    #[command(disable_version_flag = true)]
    Reconcile(ReconcileArgs),
    /// Look a person's records up at the hub, where the patient lives elsewhere
    LookUp(elsewhere::LookUpArgs),
    /// Show a record of the hub; it is not kept on the node
    #[command(disable_version_flag = true)]
    Fetch(elsewhere::FetchArgs),
    #[command(flatten)]
    Consent(consent::Command),
}

/// Why a record is read.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Why {
    /// Treatment
    Treatment,
    /// Emergency treatment
    Emergency,
    /// Quality assurance
    Quality,
    /// Public health
    PublicHealth,
    /// The patient asked for it
    PatientRequest,
}

#[derive(Debug, Args)]
struct Common {
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct Reading {
    /// Why it is read; goes into the audit trail
    #[arg(long, value_enum, default_value_t = Why::Treatment)]
    purpose: Why,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct FilesArgs {
    /// Files; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only of this programme: hypertension, diabetes2, copd, stroke or chd
    #[arg(long, default_value = "")]
    programme: String,
    /// Only of the patient with this name
    #[arg(long, default_value = "")]
    patient: String,
    /// Records at most, 1 to 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on after the page before
    #[arg(long, default_value = "", value_name = "TOKEN")]
    page: String,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Args)]
struct NameArgs {
    /// Name of the record, as `list` shows it
    name: String,
    /// Version; without it the newest
    #[arg(long, default_value_t = 0)]
    version: u32,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Break the glass, with --purpose emergency: why, in your words. The patient is told of it, and it is
    /// reviewed afterwards
    #[arg(long, default_value = "", value_name = "REASON")]
    break_glass: String,
    #[command(flatten)]
    record: NameArgs,
}

/// How a record is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum As {
    /// As it came
    Original,
    /// FHIR R4 document
    Fhir,
    /// CDA after WS/T 500.53
    Cda,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Format
    #[arg(long = "as", value_enum, default_value_t = As::Original)]
    format: As,
    /// Write here instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    record: NameArgs,
}

#[derive(Debug, Args)]
struct ReconcileArgs {
    /// A medicine that the clinic gives, as written; may be repeated
    #[arg(long = "medicine", value_name = "TEXT")]
    medicines: Vec<String>,
    #[command(flatten)]
    record: NameArgs,
}

#[derive(Debug, Args)]
pub(super) struct TaskArgs {
    #[command(subcommand)]
    command: TaskCommand,
}

#[derive(Debug, Subcommand)]
enum TaskCommand {
    /// List tasks that are open: those for at once first, then by last day
    List(TasksArgs),
    /// A task is done
    Done(ChangeArgs),
    /// A task is not to be done; --note says why
    Cancel(ChangeArgs),
    /// A task is open again
    Reopen(ChangeArgs),
}

#[derive(Debug, Args)]
struct TasksArgs {
    /// Only those due on this day or before (2026-11-29), or at once
    #[arg(long, default_value = "")]
    due_by: String,
    /// Only of this record
    #[arg(long, default_value = "")]
    record: String,
    /// Tasks at most, 1 to 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Go on after the page before
    #[arg(long, default_value = "", value_name = "TOKEN")]
    page: String,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// Id of the task, as `list` shows it
    id: String,
    /// What was found, or why not
    #[arg(long, default_value = "")]
    note: String,
    /// Revision that was seen
    #[arg(long, default_value_t = 0)]
    revision: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct ExchangeArgs {
    #[command(subcommand)]
    command: ExchangeCommand,
}

#[derive(Debug, Subcommand)]
enum ExchangeCommand {
    /// What waits for the hub, what is stuck and why
    Status(Common),
    /// At the hub: how each node stands
    Nodes(Common),
    /// At the hub: documents that were put aside, their bytes, and what came of them
    Quarantine(quarantine::QuarantineArgs),
    /// Register a patient with this clinic, or end it; the hub then sends the patient's records
    Register(RegisterArgs),
}

/// Why a clinic gets a person's records.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Relation {
    /// Registered with the clinic
    Registered,
    /// Family-doctor contract
    Contract,
    /// Referred here
    Referral,
    /// Another reason, which --reason states
    Subscription,
}

#[derive(Debug, Args)]
struct RegisterArgs {
    /// Name
    #[arg(long)]
    name: String,
    /// Resident ID
    #[arg(long, default_value = "")]
    resident_id: String,
    /// Health card number
    #[arg(long, default_value = "")]
    health_card: String,
    /// Birth date, 1958-03-21
    #[arg(long, default_value = "")]
    birth_date: String,
    /// Division code of the village
    #[arg(long, default_value = "")]
    division: String,
    /// Why
    #[arg(long, value_enum, default_value_t = Relation::Registered)]
    relation: Relation,
    /// Last day of a contract or referral, which need one: 2027-11-29
    #[arg(long, value_name = "DAY")]
    until: Option<jiff::civil::Date>,
    /// Why a subscription follows the patient; no patient data
    #[arg(long, default_value = "")]
    reason: String,
    /// It ends
    #[arg(long)]
    end: bool,
    #[command(flatten)]
    common: Common,
}

impl From<Why> for pb::Purpose {
    fn from(why: Why) -> Self {
        match why {
            Why::Treatment => Self::Treatment,
            Why::Emergency => Self::Emergency,
            Why::Quality => Self::Quality,
            Why::PublicHealth => Self::PublicHealth,
            Why::PatientRequest => Self::PatientRequest,
        }
    }
}

async fn open(target: &Target) -> Result<Client, Failure> {
    if target.server.is_none() {
        return Err("records are on a node: name it with --server, for example --server \
                    http://127.0.0.1:50051"
            .into());
    }
    Client::open(target).await
}

pub(super) async fn record(args: RecordArgs) -> Result<ExitCode, Failure> {
    match args.command {
        RecordCommand::Validate(args) => validate(args).await,
        RecordCommand::Submit(args) => submit(args).await,
        RecordCommand::List(args) => list(args).await,
        RecordCommand::Show(args) => show(args).await,
        RecordCommand::Export(args) => export(args).await,
        RecordCommand::Reconcile(args) => reconcile(args).await,
        RecordCommand::LookUp(args) => elsewhere::look_up(args).await,
        RecordCommand::Fetch(args) => elsewhere::fetch(args).await,
        RecordCommand::Consent(command) => consent::run(command).await,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let mut content = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    } else {
        let file = std::fs::File::open(path);
        let file = file.map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let taken = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content);
        taken.map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    }
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(format!("{} is larger than 16 MiB", path.display()).into());
    }
    Ok(content)
}

fn records(client: &Client) -> Result<RecordServiceClient<tonic::transport::Channel>, Failure> {
    let service = RecordServiceClient::new(client.node()?);
    Ok(service.max_decoding_message_size(ANSWER_BYTES_MAX))
}

async fn validate(args: FilesArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.common.target).await?;
    let mut service = records(&client)?;
    let mut fine = true;
    for path in &args.files {
        let content = read(path)?;
        let request = pb::ValidateRecordRequest { content, media_type: String::new() };
        let found = service.validate_record(client.dressed(request)).await;
        let found = found.map_err(|s| readable(&s))?.into_inner();
        fine &= found.acceptable;
        answer(args.common.json, "xiangyi.records.v1.ValidateRecordResponse", &found, || {
            shown::validated(path, &found)
        })?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn submit(args: FilesArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.common.target).await?;
    let mut service = records(&client)?;
    let mut fine = true;
    for path in &args.files {
        let content = match read(path) {
            Ok(content) => content,
            Err(error) => {
                // One that cannot be read does not stop the others.
                fine = false;
                let _ = writeln!(std::io::stderr(), "{error}");
                continue;
            }
        };
        let request = pb::SubmitRecordRequest { content, ..pb::SubmitRecordRequest::default() };
        match service.submit_record(client.dressed(request)).await {
            Ok(found) => {
                let found = found.into_inner();
                answer(
                    args.common.json,
                    "xiangyi.records.v1.SubmitRecordResponse",
                    &found,
                    || shown::submitted(path, &found),
                )?;
            }
            Err(status) if status.code() == tonic::Code::InvalidArgument => {
                // One that cannot be taken does not stop the others.
                fine = false;
                let _ = writeln!(std::io::stderr(), "{}: {}", path.display(), readable(&status));
            }
            Err(status) => return Err(format!("{}: {}", path.display(), readable(&status)).into()),
        }
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn list(args: ListArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.reading.common.target).await?;
    let request = pb::ListRecordsRequest {
        page_size: args.limit,
        page_token: args.page,
        programme: args.programme,
        patient_name: args.patient,
        purpose: pb::Purpose::from(args.reading.purpose).into(),
    };
    let found = records(&client)?.list_records(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.reading.common.json, "xiangyi.records.v1.ListRecordsResponse", &found, || {
        shown::listed(&found)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(args: ShowArgs) -> Result<ExitCode, Failure> {
    let ShowArgs { break_glass, record: args } = args;
    let client = open(&args.reading.common.target).await?;
    let request = pb::GetRecordRequest {
        name: args.name,
        version: args.version,
        purpose: pb::Purpose::from(args.reading.purpose).into(),
        break_glass_reason: break_glass,
    };
    let found = records(&client)?.get_record(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.reading.common.json, "xiangyi.records.v1.GetRecordResponse", &found, || {
        shown::record(&found)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn export(args: ExportArgs) -> Result<ExitCode, Failure> {
    let reading = args.record.reading;
    let client = open(&reading.common.target).await?;
    let format = match args.format {
        As::Original => pb::ExportFormat::Unspecified,
        As::Fhir => pb::ExportFormat::Fhir,
        As::Cda => pb::ExportFormat::Cda,
    };
    let request = pb::ExportRecordRequest {
        name: args.record.name,
        version: args.record.version,
        format: format.into(),
        purpose: pb::Purpose::from(reading.purpose).into(),
    };
    let found = records(&client)?.export_record(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    match args.out {
        Some(path) => std::fs::write(&path, &found.content)?,
        None => say(&String::from_utf8_lossy(&found.content))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn reconcile(args: ReconcileArgs) -> Result<ExitCode, Failure> {
    let reading = args.record.reading;
    let client = open(&reading.common.target).await?;
    let request = pb::ReconcileMedicinesRequest {
        name: args.record.name,
        version: args.record.version,
        medicines: args.medicines,
        purpose: pb::Purpose::from(reading.purpose).into(),
    };
    let found = records(&client)?.reconcile_medicines(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    let name = "xiangyi.records.v1.ReconcileMedicinesResponse";
    answer(reading.common.json, name, &found, || reconciled(&found))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn task(args: TaskArgs) -> Result<ExitCode, Failure> {
    let (change, state) = match args.command {
        TaskCommand::List(args) => return list_tasks(args).await,
        TaskCommand::Done(args) => (args, pb::TaskState::Done),
        TaskCommand::Cancel(args) => (args, pb::TaskState::Cancelled),
        TaskCommand::Reopen(args) => (args, pb::TaskState::Open),
    };
    let client = open(&change.common.target).await?;
    let mut service = FollowUpServiceClient::new(client.node()?);
    let request = pb::UpdateTaskRequest {
        task_id: change.id,
        state: state.into(),
        note: change.note,
        seen_revision: change.revision,
    };
    let found = service.update_task(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(change.common.json, "xiangyi.records.v1.UpdateTaskResponse", &found, || {
        tasks(found.task.as_slice())
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list_tasks(args: TasksArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.reading.common.target).await?;
    let mut service = FollowUpServiceClient::new(client.node()?);
    let request = pb::ListTasksRequest {
        page_size: args.limit,
        page_token: args.page,
        due_by: args.due_by,
        record: args.record,
        purpose: pb::Purpose::from(args.reading.purpose).into(),
        ..pb::ListTasksRequest::default()
    };
    let found = service.list_tasks(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.reading.common.json, "xiangyi.records.v1.ListTasksResponse", &found, || {
        tasks(&found.tasks) + &shown::more(&found.next_page_token)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn exchange(args: ExchangeArgs) -> Result<ExitCode, Failure> {
    match args.command {
        ExchangeCommand::Status(common) => {
            let client = open(&common.target).await?;
            let mut service = ExchangeServiceClient::new(client.node()?);
            let request = client.dressed(pb::GetExchangeStatusRequest {});
            let found = service.get_exchange_status(request).await;
            let found = found.map_err(|s| readable(&s))?.into_inner();
            answer(common.json, "xiangyi.records.v1.GetExchangeStatusResponse", &found, || {
                shown::status(&found)
            })?;
        }
        ExchangeCommand::Nodes(common) => {
            let client = open(&common.target).await?;
            let mut service = ExchangeServiceClient::new(client.node()?);
            let request = client.dressed(pb::ListExchangeNodesRequest {});
            let found = service.list_exchange_nodes(request).await;
            let found = found.map_err(|s| readable(&s))?.into_inner();
            answer(common.json, "xiangyi.records.v1.ListExchangeNodesResponse", &found, || {
                shown::nodes(&found)
            })?;
        }
        ExchangeCommand::Register(args) => register(args).await?,
        ExchangeCommand::Quarantine(args) => quarantine::run(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The last millisecond of a day in China.
fn end_of(day: jiff::civil::Date) -> Result<i64, Failure> {
    let next = day.tomorrow()?.at(0, 0, 0, 0);
    Ok(jiff::tz::offset(8).to_timestamp(next)?.as_millisecond() - 1)
}

async fn register(args: RegisterArgs) -> Result<(), Failure> {
    let needs_end = matches!(args.relation, Relation::Contract | Relation::Referral);
    if needs_end && args.until.is_none() && !args.end {
        return Err("a contract or a referral ends some day: give its last day with --until, for \
                    example --until 2027-11-29"
            .into());
    }
    let client = open(&args.common.target).await?;
    let mut service = ExchangeServiceClient::new(client.node()?);
    let relation = match args.relation {
        Relation::Registered => pb::Relation::Registered,
        Relation::Contract => pb::Relation::Contract,
        Relation::Referral => pb::Relation::Referral,
        Relation::Subscription => pb::Relation::Subscription,
    };
    let person = pb::RegisteredPerson {
        name: args.name,
        resident_id: args.resident_id,
        health_card: args.health_card,
        birth_date: args.birth_date,
        division: args.division,
        ..pb::RegisteredPerson::default()
    };
    let request = pb::RegisterPatientRequest {
        person: Some(person),
        relation: relation.into(),
        ends: args.end,
        until_ms: args.until.map(end_of).transpose()?.unwrap_or(0),
        reason: args.reason,
    };
    let found = service.register_patient(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.RegisterPatientResponse", &found, || {
        format!("已登记，待发往中心：{} 第 {} 版\n", found.name, found.version)
    })
}
