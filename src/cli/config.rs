//! `xiangyi config`: what is in force, defaults included, passwords hidden.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Failure, say};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Configuration file; without it the defaults and the environment
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print as JSON instead of TOML
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    let config = Config::load(args.config.as_deref())?;
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&config.redacted())?))?;
    } else {
        say(&config.to_toml())?;
    }
    Ok(ExitCode::SUCCESS)
}
