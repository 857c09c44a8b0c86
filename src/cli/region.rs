//! `xiangyi region`: the nodes of the region that a node belongs to.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, readable};
use super::imaging::moment;
use super::serve::answer;
use super::{Failure, Target};
use crate::rpc::proto::xiangyi::node::v1 as pb;
use crate::rpc::proto::xiangyi::node::v1::node_service_client::NodeServiceClient;

#[derive(Debug, Args)]
pub(super) struct RegionArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the nodes of the region: who is connected, and how current their index is
    Nodes(NodesArgs),
}

#[derive(Debug, Args)]
struct NodesArgs {
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: RegionArgs) -> Result<ExitCode, Failure> {
    let Command::Nodes(args) = args.command;
    if args.target.server.is_none() {
        return Err("a region is known by a node: name it with --server, for example --server \
                    http://127.0.0.1:50051"
            .into());
    }
    let client = Client::open(&args.target).await?;
    let mut service = NodeServiceClient::new(client.node()?);
    let listed = service.list_nodes(client.dressed(pb::ListNodesRequest {})).await;
    let listed = listed.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.node.v1.ListNodesResponse", &listed, || shown(&listed))?;
    Ok(ExitCode::SUCCESS)
}

fn shown(listed: &pb::ListNodesResponse) -> String {
    let mut out = String::new();
    for node in &listed.nodes {
        let online = if node.online { "在线" } else { "离线" };
        let _ = write!(out, "{}  {online}  检查 {} 份", node.name, node.study_count);
        let _ = match &node.indexed_at {
            Some(at) => write!(out, "  目录截至 {}", moment(at)),
            None => write!(out, "  尚无目录"),
        };
        if let (false, Some(at)) = (node.online, &node.seen_at) {
            let _ = write!(out, "  最后在线 {}", moment(at));
        }
        if !node.area.is_empty() {
            let _ = write!(out, "  区划 {}", node.area);
        }
        out.push('\n');
    }
    out
}
