//! `xiangyi admin`: what whoever runs a node does at it.

mod account;
mod keeping;
mod nodes;
mod security;

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
    /// At the hub: its own authority, which gives nodes their certificates
    Ca(nodes::CaArgs),
    /// At the hub: make a one-time code that a node enrols with
    EnrolCode(nodes::InviteArgs),
    /// At a node: get a certificate from the hub for a one-time code
    Enrol(nodes::EnrolArgs),
    /// At the hub: list who has which certificate, until when, and when it was seen
    Nodes(nodes::NodesArgs),
    /// At the hub: take a node's certificates back, at every hub and for lines that are open
    Revoke(nodes::RevokeArgs),
    /// Say how well a node is protected: doors, credentials, certificates, files, and what to do
    SecurityReport(security::SecurityArgs),
    /// Look after the keys that what lies on the disk is encrypted with
    Keys(keeping::KeysArgs),
    /// Encrypt what a node that does not run has kept in the clear
    Encrypt(keeping::EncryptArgs),
    /// Write an encrypted backup of a node, which may be running, and read it back
    Backup(keeping::BackupArgs),
    /// Read all of a backup and say what is wrong with it
    Verify(keeping::VerifyArgs),
    /// Put a backup into an empty folder
    Restore(keeping::RestoreArgs),
}

pub(super) async fn run(args: AdminArgs) -> Result<ExitCode, Failure> {
    match args.command {
        AdminCommand::Account(args) => account::run(args).await,
        AdminCommand::Ca(args) => nodes::ca(args),
        AdminCommand::EnrolCode(args) => nodes::invite(args).await,
        AdminCommand::Enrol(args) => nodes::enrol(args).await,
        AdminCommand::Nodes(args) => nodes::list(args).await,
        AdminCommand::Revoke(args) => nodes::revoke(args).await,
        AdminCommand::SecurityReport(args) => security::run(args).await,
        AdminCommand::Keys(args) => keeping::keys(args).await,
        AdminCommand::Encrypt(args) => keeping::encrypt(args).await,
        AdminCommand::Backup(args) => keeping::backup(args).await,
        AdminCommand::Verify(args) => keeping::verify(&args),
        AdminCommand::Restore(args) => keeping::restore(&args),
    }
}
