//! `xiangyi exchange quarantine`: what a hub has put aside.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ANSWER_BYTES_MAX, Common, open, shown};
use crate::cli::Failure;
use crate::cli::client::{Client, readable};
use crate::cli::serve::answer;
use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::rpc::proto::xiangyi::records::v1::exchange_service_client::ExchangeServiceClient;

#[derive(Debug, Args)]
pub(super) struct QuarantineArgs {
    #[command(subcommand)]
    command: QuarantineCommand,
}

#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// List documents that were put aside, newest first
    List(ListArgs),
    /// Write a document's bytes as they came; for administrators, audited
    Get(GetArgs),
    /// Say what came of a document; it stays there
    Settle(SettleArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only of this node
    #[arg(long, default_value = "")]
    node: String,
    /// Those that were dealt with, too
    #[arg(long)]
    all: bool,
    /// Documents at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on after the page before
    #[arg(long, default_value = "", value_name = "TOKEN")]
    page: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct GetArgs {
    /// Id of the document, as `list` shows it
    id: u64,
    /// Write here instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct SettleArgs {
    /// Id of the document, as `list` shows it
    id: u64,
    /// What came of it
    #[arg(long)]
    finding: String,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: QuarantineArgs) -> Result<(), Failure> {
    match args.command {
        QuarantineCommand::List(args) => list(args).await,
        QuarantineCommand::Get(args) => get(args).await,
        QuarantineCommand::Settle(args) => settle(args).await,
    }
}

fn exchange(client: &Client) -> Result<ExchangeServiceClient<tonic::transport::Channel>, Failure> {
    let service = ExchangeServiceClient::new(client.node()?);
    Ok(service.max_decoding_message_size(ANSWER_BYTES_MAX))
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let client = open(&args.common.target).await?;
    let request = pb::ListQuarantinedRequest {
        node: args.node,
        page_size: args.limit,
        page_token: args.page,
        include_settled: args.all,
    };
    let found = exchange(&client)?.list_quarantined(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.ListQuarantinedResponse", &found, || {
        let mut out = String::new();
        found.documents.iter().for_each(|document| line(&mut out, document));
        if !found.next_page_token.is_empty() {
            let _ = writeln!(out, "还有更多：--page {}", found.next_page_token);
        }
        out
    })
}

async fn get(args: GetArgs) -> Result<(), Failure> {
    let client = open(&args.common.target).await?;
    let request = pb::GetQuarantinedRequest { id: args.id };
    let found = exchange(&client)?.get_quarantined(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    if let Some(path) = args.out {
        std::fs::write(&path, &found.content)?;
        let mut out = String::new();
        found.document.iter().for_each(|document| line(&mut out, document));
        return answer(
            args.common.json,
            "xiangyi.records.v1.GetQuarantinedResponse",
            &found,
            || out,
        );
    }
    answer(args.common.json, "xiangyi.records.v1.GetQuarantinedResponse", &found, || {
        String::from_utf8_lossy(&found.content).into_owned()
    })
}

async fn settle(args: SettleArgs) -> Result<(), Failure> {
    let client = open(&args.common.target).await?;
    let request = pb::SettleQuarantinedRequest { id: args.id, finding: args.finding };
    let found = exchange(&client)?.settle_quarantined(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.SettleQuarantinedResponse", &found, || {
        let mut out = String::new();
        found.document.iter().for_each(|document| line(&mut out, document));
        out
    })
}

fn line(out: &mut String, document: &pb::QuarantinedDocument) {
    let _ = writeln!(
        out,
        "{}  {} 第 {} 件 {} {} 第 {} 版（{} 字节）：{}（{}），{} 起共 {} 次，最后 {}",
        document.id,
        document.node,
        document.number,
        document.kind,
        document.name,
        document.version,
        document.bytes,
        document.reason,
        document.code,
        shown::at(document.first_ms),
        document.times,
        shown::at(document.last_ms)
    );
    if document.settled_ms > 0 {
        let _ = writeln!(
            out,
            "    已处理（{}，{}）：{}",
            document.settled_by,
            shown::at(document.settled_ms),
            document.finding
        );
    }
}
