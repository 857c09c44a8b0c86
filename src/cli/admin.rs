//! `xiangyi admin`: what whoever runs a node does at it.

mod account;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Look after the accounts that people sign in with
    Account(account::AccountArgs),
}

pub(super) async fn run(args: AdminArgs) -> Result<ExitCode, Failure> {
    match args.command {
        AdminCommand::Account(args) => account::run(args).await,
    }
}
