//! `xiangyi models`: what is being served.

use std::process::ExitCode;

use clap::Args;

use super::client::Client;
use super::serve::answer;
use super::{Failure, Target, print};

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: ModelsArgs) -> Result<ExitCode, Failure> {
    let response = Client::open(&args.target).await?.models().await?;
    answer(args.json, "xiangyi.model.v1.ListModelsResponse", &response, || {
        print::models(&response)
    })?;
    Ok(ExitCode::SUCCESS)
}
