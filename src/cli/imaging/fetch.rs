//! `xiangyi imaging fetch`: has the node fetch a study from another node of the region.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::super::client::readable;
use super::super::serve::answer;
use super::super::{Failure, Target};
use super::{open, service, show};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;

/// Between two lines of progress.
const TOLD_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// Study instance UID
    study: String,
    /// Why: `treatment`, `emergency` or `quality`; kept in the audit trails of all nodes that take
    /// part
    #[arg(long, value_name = "PURPOSE", value_parser = purpose)]
    purpose: pb::PurposeOfUse,
    /// Node to fetch from; without it the nearest that has all of it
    #[arg(long, value_name = "NAME", default_value = "")]
    node: String,
    /// Print how it ended as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: FetchArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let request = pb::FetchStudyRequest {
        study_uid: args.study,
        node: args.node,
        purpose: args.purpose.into(),
    };
    // A study takes as long as it takes; the node gives up when nothing comes.
    let steps = service.fetch_study(client.signed(request)).await;
    let mut steps = steps.map_err(|s| readable(&s))?.into_inner();
    let mut last = pb::FetchStudyResponse::default();
    let mut told = Instant::now();
    while let Some(step) = steps.message().await.map_err(|s| readable(&s))? {
        if !step.done && told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            // Nothing is left to do when standard error is closed.
            let _ = write!(std::io::stderr().lock(), "{}", show::fetching(&step));
        }
        last = step;
    }
    if !last.done {
        return Err("the node ended the fetch before it was done".into());
    }
    answer(args.json, "xiangyi.imaging.v1.FetchStudyResponse", &last, || show::fetched(&last))?;
    let whole = last.missing_count == 0 && last.refusals.is_empty();
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn purpose(text: &str) -> Result<pb::PurposeOfUse, String> {
    match text {
        "treatment" => Ok(pb::PurposeOfUse::Treatment),
        "emergency" => Ok(pb::PurposeOfUse::Emergency),
        "quality" => Ok(pb::PurposeOfUse::Quality),
        _ => Err("must be treatment, emergency or quality".to_owned()),
    }
}
