//! `xiangyi models`: what is being served.

mod sign;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::Client;
use super::serve::answer;
use super::{Failure, Target, print};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key that folders of tables and models are signed with
    Keygen(sign::KeygenArgs),
    /// Sign a folder of tables and models
    Sign(sign::SignArgs),
    /// Hold a folder to what was signed; exits with 1 if it is not that
    Verify(sign::VerifyArgs),
}

pub(super) async fn run(args: ModelsArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Some(Command::Keygen(args)) => return sign::keygen(&args),
        Some(Command::Sign(args)) => return sign::sign(&args),
        Some(Command::Verify(args)) => return sign::verify(&args),
        None => {}
    }
    let response = Client::open(&args.target).await?.models().await?;
    answer(args.json, "xiangyi.model.v1.ListModelsResponse", &response, || {
        print::models(&response)
    })?;
    Ok(ExitCode::SUCCESS)
}
