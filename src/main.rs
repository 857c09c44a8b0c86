//! The `xiangyi` program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xiangyi::cli::{Cli, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return xiangyi::cli::fail(&error),
    };
    runtime.block_on(run(cli))
}
