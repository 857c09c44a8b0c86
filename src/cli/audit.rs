//! `xiangyi audit`: whether the audit trail is whole, who did what, who saw a patient's data, and what
//! somebody should look at.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::client::{Client, client_of_node, readable};
use super::serve::answer;
use super::{Failure, Target, say};
use crate::app::audit::ports::{AuditTrail, Chained as _};
use crate::app::audit::sealing::name_of;
use crate::app::audit::{sign, verify};
use crate::config::{Config, client_variable};
use crate::node;
use crate::rpc::proto::xiangyi::audit::v1 as pb;
use crate::rpc::proto::xiangyi::audit::v1::audit_service_client::AuditServiceClient;
use crate::sharing::audit::anchor::{bytes, digest, hex};
use crate::sharing::audit::export::{COLUMNS, cells, fhir};
use crate::sharing::audit::{Anchor, Entry, Head, Mark};
use crate::tables::text::printable;

/// Entries that are read at once.
const PAGE: u32 = 1_000;
/// Entries of a page of a node.
const NODE_PAGE: u32 = 200;
/// Largest answer taken from a node: a page of entries, or 10,000 signed heads.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Go along the trail and name the first bad entry; exits with 1 if there is one
    Verify(VerifyArgs),
    /// Write the trail as CSV, or as FHIR R4 `AuditEvent`, one resource a line
    Export(ExportArgs),
    /// List who saw or changed a patient's data on a running node
    Who(WhoArgs),
    /// Print signed heads of the trail, to be kept elsewhere; at the hub, those of a node
    Anchors(AnchorsArgs),
    /// List alarms: broken glasses, mass reading, reading neighbours
    Alarms(AlarmsArgs),
    /// Close an alarm: say what looking into it came to
    CloseAlarm(CloseArgs),
}

/// The node's own database, or a running node.
#[derive(Debug, Args)]
struct Source {
    /// Configuration file of the node on this box, whose database is read; without it
    /// `XIANGYI_CONFIG`, and without that the defaults
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    config: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Signed heads that were kept elsewhere, one JSON object a line, as `audit anchors` prints them
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// At the hub: the trail of the exchange instead of the hub's own
    #[arg(long)]
    exchange: bool,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Fhir,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// How
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Write here instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print what was written as JSON; needs --out
    #[arg(long, requires = "out")]
    json: bool,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
struct WhoArgs {
    /// As the clinic refers to the patient, or the patient ID of images
    #[arg(long, default_value = "")]
    patient: String,
    /// Name of a discharge record
    #[arg(long, default_value = "")]
    record: String,
    /// File with the patient's name and numbers, JSON: `name`, `resident_id`, `health_card`,
    /// `birth_date`.
    /// Numbers on the command line would be seen by everybody on the box
    #[arg(long, value_name = "FILE")]
    person: Option<PathBuf>,
    /// Entries at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on after the page before
    #[arg(long, default_value = "", value_name = "TOKEN")]
    page: String,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
struct AnchorsArgs {
    /// At the hub: of this node
    #[arg(long, default_value = "", requires = "server")]
    node: String,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
struct CloseArgs {
    /// Number of the alarm, as `alarms` lists it
    number: u64,
    /// What looking into it came to
    #[arg(long)]
    finding: FindingName,
    /// Why, up to 200 characters. Nothing of a patient: it stays in the trail
    #[arg(long)]
    note: String,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FindingName {
    /// The reading was part of the caller's work
    Justified,
    /// It was not
    Misuse,
    /// It can no longer be said
    Undecided,
}

#[derive(Debug, Args)]
struct AlarmsArgs {
    /// Only those that are not closed
    #[arg(long)]
    open: bool,
    /// Alarms at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on after the page before
    #[arg(long, default_value = "", value_name = "TOKEN")]
    page: String,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: AuditArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Verify(args) => return verify_trail(args).await,
        Command::Export(args) => export(args).await?,
        Command::Who(args) => who(args).await?,
        Command::Anchors(args) => anchors(args).await?,
        Command::Alarms(args) => alarms(args).await?,
        Command::CloseAlarm(args) => close_alarm(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn service(client: &Client) -> Result<AuditServiceClient<tonic::transport::Channel>, Failure> {
    let service = AuditServiceClient::new(client.node()?);
    let service = service.max_decoding_message_size(ANSWER_BYTES_MAX);
    Ok(service.max_encoding_message_size(ANSWER_BYTES_MAX))
}

fn config(given: Option<PathBuf>) -> Result<Config, Failure> {
    let path = given.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
    Ok(Config::load(path.as_deref())?)
}

async fn verify_trail(args: VerifyArgs) -> Result<ExitCode, Failure> {
    let brought = match &args.anchors {
        Some(path) => read_anchors(path)?,
        None => Vec::new(),
    };
    let found: pb::VerifyTrailResponse = if args.source.target.server.is_some() {
        let client = Client::open(&args.source.target).await?;
        let anchors = brought.into_iter().map(Into::into).collect();
        let request = client.dressed(pb::VerifyTrailRequest { anchors, exchange: args.exchange });
        service(&client)?.verify_trail(request).await.map_err(|s| readable(&s))?.into_inner()
    } else {
        let config = config(args.source.config)?;
        let own = config.node.name.clone();
        let name = if args.exchange { name_of(&own) } else { own };
        if let Some(other) = brought.iter().find(|anchor| anchor.mark.node != name) {
            let node = &other.mark.node;
            return Err(format!("an anchor is of the node {node:?}, not of this one").into());
        }
        if let Some(bad) = brought.iter().find(|anchor| !sign::is_signed(anchor)) {
            let number = bad.mark.head.number;
            return Err(format!("the signature of the anchor of entry {number} is wrong").into());
        }
        if args.exchange {
            let marks: Vec<Mark> = brought.into_iter().map(|anchor| anchor.mark).collect();
            let found = verify(node::audit::exchange(&config)?.as_ref(), &marks).await?.into();
            return told(args.json, &found);
        }
        let trail = node::audit::look(&config).await?;
        let key = node::audit::public_key(&config).await;
        let own = trail.anchors(&config.node.name).await?.into_iter().filter(|anchor| {
            sign::is_signed(anchor) && key.as_ref().is_none_or(|key| *key == anchor.key)
        });
        let marks: Vec<Mark> = own.chain(brought).map(|anchor| anchor.mark).collect();
        verify(&trail, &marks).await?.into()
    };
    told(args.json, &found)
}

fn told(json: bool, found: &pb::VerifyTrailResponse) -> Result<ExitCode, Failure> {
    answer(json, "xiangyi.audit.v1.VerifyTrailResponse", found, || verdict(found))?;
    Ok(if found.intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verdict(found: &pb::VerifyTrailResponse) -> String {
    let mut out = String::new();
    if found.intact {
        let _ = writeln!(
            out,
            "审计链 {} 完整：{} 条，末条为第 {} 条\nSHA-256 {}\nSM3     {}",
            found.chain,
            found.entry_count,
            found.last_number,
            hex(&found.sha256),
            hex(&found.sm3)
        );
        let _ = match found.anchored_up_to {
            0 => writeln!(out, "没有锚定：若末尾被截去，或全链被重写，无从发现"),
            upto => writeln!(out, "与 {} 处签名的链头相符，锚定至第 {upto} 条", found.anchor_count),
        };
        for other in &found.other_chains {
            let _ = writeln!(
                out,
                "注意：本节点名下另有锚定过的链 {}（至第 {} 条）。若节点未曾重新安装，审计链已被调换",
                other.chain, other.anchored_up_to
            );
        }
    } else {
        let (first, last) = (found.bad_number, found.bad_up_to);
        let span = if first == last {
            format!("第 {first} 条")
        } else {
            format!("第 {first} 至 {last} 条")
        };
        let what = match found.fault() {
            pb::Fault::Missing => "缺失",
            pb::Fault::Inserted => "是后来插入的",
            pb::Fault::Reordered => "与下一条被调换",
            pb::Fault::Altered => "内容被改动",
            pb::Fault::Replaced => "及其后各条不属于此链：被替换或移动",
            pb::Fault::NotChained => "没有摘要",
            pb::Fault::Rewritten => "之间起被重写：链自身相符，但与锚定的链头不同",
            pb::Fault::CutOff => "被截去",
            pb::Fault::OtherChain => "不是此节点锚定的链：数据库被调换",
            pb::Fault::Unspecified => "有问题",
        };
        let _ = writeln!(out, "审计链 {} 不完整：{span}{what}", found.chain);
    }
    if found.chained_later > 0 {
        let _ = writeln!(out, "第 {} 条及以前在启用审计链时补入", found.chained_later);
    }
    out
}

/// Signed heads from a file, one JSON object a line.
fn read_anchors(path: &Path) -> Result<Vec<Anchor>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| {
            let refused = |why: &str| format!("{}: line {number}: {why}", path.display());
            let value: serde_json::Value =
                serde_json::from_str(line).map_err(|error| refused(&error.to_string()))?;
            let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
            let anchor = (|| {
                let head = Head {
                    number: value.get("number")?.as_u64()?,
                    sha256: digest(text("sha256")?)?,
                    sm3: digest(text("sm3")?)?,
                };
                let mark = Mark {
                    node: text("node")?.to_owned(),
                    chain: text("chain")?.to_owned(),
                    head,
                    at_ms: value.get("at_ms")?.as_i64()?,
                };
                let (key, signature) = (bytes(text("key")?)?, bytes(text("signature")?)?);
                Some(Anchor { mark, key, signature })
            })();
            anchor.ok_or_else(|| {
                refused("needs node, chain, number, sha256, sm3, at_ms, key and signature").into()
            })
        })
        .collect()
}

async fn anchors(args: AnchorsArgs) -> Result<(), Failure> {
    let found = if args.source.target.server.is_some() {
        let client = Client::open(&args.source.target).await?;
        let request = client.dressed(pb::ListAnchorsRequest { node: args.node });
        service(&client)?.list_anchors(request).await.map_err(|s| readable(&s))?.into_inner()
    } else {
        let config = config(args.source.config)?;
        let kept = node::audit::look(&config).await?.anchors(&config.node.name).await?;
        pb::ListAnchorsResponse { anchors: kept.into_iter().map(Into::into).collect() }
    };
    answer(args.json, "xiangyi.audit.v1.ListAnchorsResponse", &found, || {
        found.anchors.iter().fold(String::new(), |mut out, anchor| {
            let line = serde_json::json!({
                "node": anchor.node, "chain": anchor.chain, "number": anchor.number,
                "sha256": hex(&anchor.sha256), "sm3": hex(&anchor.sm3), "at_ms": anchor.at_ms,
                "key": hex(&anchor.key), "signature": hex(&anchor.signature),
            });
            let _ = writeln!(out, "{line}");
            out
        })
    })
}

async fn export(args: ExportArgs) -> Result<(), Failure> {
    let mut pages = Pages::open(args.source).await?;
    let mut count = 0_u64;
    let mut file = match &args.out {
        Some(path) => Some(std::io::BufWriter::new(std::fs::File::create(path)?)),
        None => None,
    };
    let mut put = |text: &str| -> Result<(), Failure> {
        match &mut file {
            Some(file) => Ok(std::io::Write::write_all(file, text.as_bytes())?),
            None => say(text),
        }
    };
    if matches!(args.format, Format::Csv) {
        put(&csv_lines(std::iter::once(COLUMNS.map(str::to_owned)))?)?;
    }
    while let Some(page) = pages.next().await? {
        count += u64::try_from(page.len()).unwrap_or(u64::MAX);
        let text = match args.format {
            Format::Csv => csv_lines(page.iter().map(cells))?,
            Format::Fhir => page.iter().fold(String::new(), |mut out, entry| {
                let _ = writeln!(out, "{}", fhir(entry, &pages.node, &pages.chain));
                out
            }),
        };
        put(&text)?;
    }
    if let Some(mut file) = file {
        std::io::Write::flush(&mut file)?;
        let line = serde_json::json!({ "entries": count });
        return say(&if args.json { format!("{line}\n") } else { format!("{count} 条\n") });
    }
    Ok(())
}

fn csv_lines(rows: impl Iterator<Item = [String; 12]>) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// The entries of a trail, page by page: of a database from the first to the last, of a running node from
/// the last to the first.
struct Pages {
    node: String,
    chain: String,
    from: Way,
}

enum Way {
    Database { trail: Box<dyn AuditTrail>, last: u64 },
    Node { client: Box<Client>, token: Option<String> },
}

impl Pages {
    async fn open(source: Source) -> Result<Self, Failure> {
        if source.target.server.is_some() {
            let client = Box::new(Client::open(&source.target).await?);
            let from = Way::Node { client, token: Some(String::new()) };
            return Ok(Self { node: String::new(), chain: String::new(), from });
        }
        let config = config(source.config)?;
        let trail = node::audit::look(&config).await?;
        let (origin, _) = trail.origin().await?;
        let from = Way::Database { trail: Box::new(trail), last: 0 };
        Ok(Self { node: config.node.name, chain: origin.chain, from })
    }

    async fn next(&mut self) -> Result<Option<Vec<Entry>>, Failure> {
        match &mut self.from {
            Way::Database { trail, last } => {
                let page = trail.after(*last, PAGE).await?;
                *last = page.last().map_or(*last, |entry| entry.number);
                Ok((!page.is_empty()).then_some(page))
            }
            Way::Node { client, token } => {
                let Some(page_token) = token.take() else { return Ok(None) };
                let request = pb::ListAuditEntriesRequest {
                    page_size: NODE_PAGE,
                    page_token,
                    ..Default::default()
                };
                let found = service(client)?.list_audit_entries(client.dressed(request)).await;
                let found = found.map_err(|s| readable(&s))?.into_inner();
                (self.node, self.chain) = (found.node, found.chain);
                *token = Some(found.next_page_token).filter(|token| !token.is_empty());
                Ok(Some(found.entries.into_iter().map(Into::into).collect()))
            }
        }
    }
}

async fn who(args: WhoArgs) -> Result<(), Failure> {
    let client = client_of_node(&args.target, "who saw what is known by a node").await?;
    let person = match &args.person {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            Some(super::json::parse("xiangyi.audit.v1.AccessedPerson", &text)?)
        }
        None => None,
    };
    let request = pb::ListPatientAccessesRequest {
        patient_reference: args.patient,
        record: args.record,
        person,
        page_size: args.limit,
        page_token: args.page,
    };
    let found = service(&client)?.list_patient_accesses(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.audit.v1.ListPatientAccessesResponse", &found, || {
        let mut out = String::new();
        for entry in &found.entries {
            let _ = write!(
                out,
                "{}  {}（{}）{} {}",
                moment(entry.at_ms),
                printable(&entry.caller),
                entry.role,
                entry.action,
                entry.outcome
            );
            for (name, text) in [("记录", &entry.record_id), ("理由", &entry.detail)] {
                if !text.is_empty() {
                    let _ = write!(out, "  {name} {}", printable(text));
                }
            }
            let _ = writeln!(out, "  第 {} 条", entry.number);
        }
        more(&mut out, &found.next_page_token);
        out
    })
}

async fn alarms(args: AlarmsArgs) -> Result<(), Failure> {
    let client = client_of_node(&args.target, "alarms are kept by a node").await?;
    let request = pb::ListAlarmsRequest {
        page_size: args.limit,
        page_token: args.page,
        open_only: args.open,
    };
    let found = service(&client)?.list_alarms(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.audit.v1.ListAlarmsResponse", &found, || {
        let mut out = String::new();
        for alarm in &found.alarms {
            shown_alarm(&mut out, alarm);
        }
        more(&mut out, &found.next_page_token);
        out
    })
}

fn shown_alarm(out: &mut String, alarm: &pb::Alarm) {
    let what = match alarm.kind() {
        pb::AlarmKind::BreakGlass => "破窗阅读",
        pb::AlarmKind::MassReading => "大量阅读",
        pb::AlarmKind::Neighbours => "大量阅读同村",
        pb::AlarmKind::SameName => "阅读同村同姓",
        pb::AlarmKind::Unspecified => "未知",
    };
    let _ = write!(
        out,
        "{}  {}  {what}：{}（{}）{} 小时内 {} 人  第 {} 条  ",
        alarm.number,
        moment(alarm.at_ms),
        printable(&alarm.caller),
        alarm.role,
        alarm.hours,
        alarm.person_count,
        alarm.entry_number
    );
    let Some(closure) = &alarm.closure else {
        let _ = writeln!(out, "未了结");
        return;
    };
    let finding = match closure.finding() {
        pb::AlarmFinding::Justified => "正当",
        pb::AlarmFinding::Misuse => "滥用",
        pb::AlarmFinding::Undecided => "无法判断",
        pb::AlarmFinding::Unspecified => "未知",
    };
    let _ = writeln!(
        out,
        "{finding}：{}（{} 于 {}，第 {} 条）",
        closure.note,
        closure.closed_by,
        moment(closure.at_ms),
        closure.entry_number
    );
}

async fn close_alarm(args: CloseArgs) -> Result<(), Failure> {
    let client = client_of_node(&args.target, "alarms are kept by a node").await?;
    let finding = match args.finding {
        FindingName::Justified => pb::AlarmFinding::Justified,
        FindingName::Misuse => pb::AlarmFinding::Misuse,
        FindingName::Undecided => pb::AlarmFinding::Undecided,
    };
    let request =
        pb::CloseAlarmRequest { number: args.number, finding: finding.into(), note: args.note };
    let closed = service(&client)?.close_alarm(client.dressed(request)).await;
    let closed = closed.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.audit.v1.CloseAlarmResponse", &closed, || {
        let mut out = String::new();
        if let Some(alarm) = &closed.alarm {
            shown_alarm(&mut out, alarm);
        }
        out
    })
}

fn more(out: &mut String, token: &str) {
    if !token.is_empty() {
        let _ = writeln!(out, "还有更多：--page {token}");
    }
}

/// Beijing time.
fn moment(ms: i64) -> String {
    super::imaging::moment(&prost_types::Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or(0),
    })
}
