//! The `xiangyi` program: parse, run, exit code.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use clap::Parser as _;
use xiangyi::cli::{Cli, run};

/// What ONNX Runtime looks for before it does anything.
const SILENCE: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Begins again, as the same process, with what keeps ONNX Runtime silent in the environment. As its makers build
/// it, the library leaves an identifier of the machine in the user's home and looks up a server of theirs to
/// send counts to as soon as it is loaded (seen with 1.32.0); the call that turns that off comes too late,
/// and a program cannot set its own environment safely.
fn keep_silent() {
    // A static program loads no library.
    if cfg!(target_feature = "crt-static") {
        return;
    }
    let (name, value) = SILENCE;
    let mut arguments = std::env::args_os();
    let Some(program) = arguments.next() else { return };
    if std::env::var_os(name).is_some_and(|set| set == value) {
        return;
    }
    // It comes back only where it failed: without /proc the library's own switch has to do.
    let _failed =
        Command::new("/proc/self/exe").arg0(program).args(arguments).env(name, value).exec();
}

fn main() -> ExitCode {
    keep_silent();
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
