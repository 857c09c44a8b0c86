//! The `xiangyi` program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xiangyi::cli::{Cli, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The model and the store have threads of their own; on two cores a second worker costs more
    // in wake-ups than it brings (ARCHITECTURE.md, "Speed").
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = cores.saturating_sub(1).max(1);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return xiangyi::cli::fail(&error),
    };
    runtime.block_on(run(cli))
}
