//! `xiangyi imaging hold`, `release`, `holds` and `erase`: what must be kept, and what must go.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use tonic::transport::Channel;

use super::super::client::{Client, readable};
use super::super::serve::answer;
use super::super::{Failure, Target};
use super::open;
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::custody_service_client::CustodyServiceClient;

#[derive(Debug, Args)]
pub(super) struct HoldArgs {
    /// Study instance UID
    #[arg(long, value_name = "UID")]
    study: String,
    /// Why, 1 to 300 characters; no patient's name
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// Id of the hold
    #[arg(long, value_name = "ID")]
    hold: String,
    /// Why, 1 to 300 characters
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct HoldsArgs {
    /// Only those of this study
    #[arg(long, value_name = "UID", default_value = "")]
    study: String,
    /// Those that were lifted too
    #[arg(long)]
    all: bool,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// Study instance UID
    #[arg(
        long,
        value_name = "UID",
        required_unless_present = "instance",
        conflicts_with = "instance"
    )]
    study: Option<String>,
    /// SOP instance UID of one object
    #[arg(long, value_name = "UID")]
    instance: Option<String>,
    /// SHA-256 of the object, where several are kept under its UID
    #[arg(long, value_name = "HEX", default_value = "", requires = "instance")]
    sha256: String,
    /// Why, 1 to 300 characters; no patient's name
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Objects of the study that are kept apart go too
    #[arg(long, requires = "study")]
    kept_apart_too: bool,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

fn service(client: &Client) -> Result<CustodyServiceClient<Channel>, Failure> {
    Ok(CustodyServiceClient::new(client.node()?))
}

pub(super) async fn hold(args: HoldArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let request = pb::PlaceHoldRequest { study_uid: args.study, reason: args.reason };
    let placed = service(&client)?.place_hold(client.dressed(request)).await;
    let placed = placed.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.imaging.v1.PlaceHoldResponse", &placed, || {
        let hold = placed.hold.as_ref();
        format!("已保全，编号 {}\n", hold.map(|h| h.hold_id.as_str()).unwrap_or_default())
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn release(args: ReleaseArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let request = pb::LiftHoldRequest { hold_id: args.hold, reason: args.reason };
    let lifted = service(&client)?.lift_hold(client.dressed(request)).await;
    let lifted = lifted.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.imaging.v1.LiftHoldResponse", &lifted, || {
        let hold = lifted.hold.as_ref();
        format!("已解除保全 {}\n", hold.map(|h| h.hold_id.as_str()).unwrap_or_default())
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn holds(args: HoldsArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let mut request = pb::ListHoldsRequest {
        study_uid: args.study,
        standing_only: !args.all,
        ..pb::ListHoldsRequest::default()
    };
    let mut found = pb::ListHoldsResponse::default();
    loop {
        let page = service.list_holds(client.dressed(request.clone())).await;
        let page = page.map_err(|s| readable(&s))?.into_inner();
        found.holds.extend(page.holds);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    answer(args.json, "xiangyi.imaging.v1.ListHoldsResponse", &found, || listed(&found))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn erase(args: EraseArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let (reason, as_json) = (args.reason, args.json);
    if let Some(sop_instance_uid) = args.instance {
        let request = pb::EraseInstanceRequest { sop_instance_uid, sha256: args.sha256, reason };
        let erased = service.erase_instance(client.dressed(request)).await;
        let erased = erased.map_err(|s| readable(&s))?.into_inner();
        answer(as_json, "xiangyi.imaging.v1.EraseInstanceResponse", &erased, || {
            told(erased.erasure.as_ref())
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = pb::EraseStudyRequest {
        study_uid: args.study.unwrap_or_default(),
        reason,
        include_kept_apart: args.kept_apart_too,
    };
    let erased = service.erase_study(client.dressed(request)).await;
    let erased = erased.map_err(|s| readable(&s))?.into_inner();
    answer(as_json, "xiangyi.imaging.v1.EraseStudyResponse", &erased, || {
        told(erased.erasure.as_ref())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn listed(found: &pb::ListHoldsResponse) -> String {
    if found.holds.is_empty() {
        return "没有保全\n".to_owned();
    }
    let mut out = String::new();
    for hold in &found.holds {
        let state = if hold.lift_time.is_some() { "已解除" } else { "保全中" };
        let _ = writeln!(out, "{}  {state}  {}", hold.hold_id, hold.study_uid);
        let _ = writeln!(out, "    {}：{}", hold.placed_by, hold.reason);
        if hold.lift_time.is_some() {
            let _ = writeln!(out, "    {}：{}", hold.lifted_by, hold.lift_reason);
        }
    }
    out
}

fn told(erasure: Option<&pb::Erasure>) -> String {
    let erased = erasure.copied().unwrap_or_default();
    let mut out = format!("已销毁 {} 个对象，{} 字节", erased.object_count, erased.size_bytes);
    if erased.kept_apart_left_count > 0 {
        let _ = write!(out, "；另有 {} 个同号不同内容未销毁", erased.kept_apart_left_count);
    }
    out.push('\n');
    out
}
