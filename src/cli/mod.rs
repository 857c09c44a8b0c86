//! The command line: one file per subcommand. Answers go to standard output, logs to standard
//! error.

mod admin;
mod archive;
mod audit;
mod bench;
mod calculate;
mod check;
mod client;
mod config;
mod coverage;
mod deidentify;
mod demo;
mod diagnose;
mod doctor;
mod eval;
mod forwarding;
mod imaging;
mod interview;
mod json;
mod made_up;
mod models;
mod people;
mod plan;
mod print;
mod records;
mod region;
mod review;
mod serve;
mod token;
mod wire;
mod worklist;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::chain;

/// Xiangyi (乡医, "village doctor"): diagnosis, prescription checks and sharing for village and
/// township clinics, over gRPC, on a small and often offline box.
///
/// Answers come from rules and models that no clinician has reviewed yet. They inform a doctor's
/// judgement and never replace it.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a node with embedded defaults, act as a clinic's client, and show what it answers
    Demo(demo::DemoArgs),
    /// Run a node
    Serve(serve::ServeArgs),
    /// Rank conditions for a complaint
    Diagnose(Box<diagnose::DiagnoseArgs>),
    /// Be asked, question by question, until the order of the conditions is settled
    Interview(Box<interview::InterviewArgs>),
    /// Check a prescription
    Check(check::CheckArgs),
    /// Review many prescriptions in retrospect, with statistics
    Review(review::ReviewArgs),
    /// Recommend treatment plans for a patient
    Plan(Box<plan::PlanArgs>),
    /// Compute a score or estimate
    Calculate(calculate::CalculateArgs),
    /// Store, find, fetch, draw and assess images of a running node
    Imaging(Box<imaging::ImagingArgs>),
    /// Measure decisions on files of cases
    Eval(eval::EvalArgs),
    /// Measure this box and a node on it, or a node elsewhere; compare reports
    Bench(Box<bench::BenchArgs>),
    /// Look after a node: accounts, keys, encryption, backups, certificates
    Admin(admin::AdminArgs),
    /// Look after the archive of images of a node that does not run
    Archive(archive::ArchiveArgs),
    /// Verify, export and read the audit trail of a node
    Audit(audit::AuditArgs),
    /// Report how far the programme has come: counties, townships and villages by month
    Coverage(coverage::CoverageArgs),
    /// Give images, records and tables out for research and teaching, de-identified
    Deidentify(deidentify::DeidentifyArgs),
    /// Say what is wrong with a node and what to do about it, whether it runs or not
    ///
    /// Looks from beside at configuration, doors, keys, clock, disk, models, databases, PostgreSQL, hub, DICOM
    /// peers and limits. Nothing of the node's is changed, and none of it is made. Run it as the user of the
    /// node, with the environment that the node has.
    ///
    /// Ends with 0 when nothing failed, with 1 when something did, and with 3 when --strict is given, nothing
    /// failed, and there are warnings.
    Doctor(doctor::DoctorArgs),
    /// List the models being served
    Models(models::ModelsArgs),
    /// Look at the region that a node belongs to
    Region(region::RegionArgs),
    /// Hand in, read, compare and export discharge records
    Record(records::RecordArgs),
    /// Look at follow-up tasks, and say how they stand
    Task(records::TaskArgs),
    /// Look at the exchange with the hub, and register patients
    Exchange(records::ExchangeArgs),
    /// At the hub: who the documents are about, and decide about it
    People(people::PeopleArgs),
    /// Look after what goes on to other archives
    Forwarding(forwarding::ForwardingArgs),
    /// Look after what modalities are to do
    Worklist(worklist::WorklistArgs),
    /// Make a bearer token and the configuration that admits it
    Token(token::TokenArgs),
    /// Print the configuration in force, defaults included
    Config(config::ConfigArgs),
}

/// Which node to ask.
#[derive(Debug, Clone, Default, Args)]
struct Target {
    /// A running node, for example `http://127.0.0.1:50051`. Without it what needs no node's data is
    /// worked out in this process, and nothing is kept
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with the bearer token; without it the variable `XIANGYI_TOKEN` is used
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
    /// PEM certificate of the authority that signed the node's certificate
    #[arg(long, value_name = "FILE", requires = "server")]
    ca: Option<PathBuf>,
    /// Longest to wait for an answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// Model directory for answers worked out in this process; without it what is embedded
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    models_dir: Option<PathBuf>,
}

/// What went wrong, as a person reads it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a parsed command line.
pub async fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Diagnose(args) => diagnose::run(*args).await,
        Command::Interview(args) => interview::run(*args).await,
        Command::Check(args) => check::run(args).await,
        Command::Review(args) => review::run(args).await,
        Command::Plan(args) => plan::run(*args).await,
        Command::Calculate(args) => calculate::run(args).await,
        Command::Imaging(args) => imaging::run(*args).await,
        Command::Eval(args) => eval::run(args).await,
        Command::Bench(args) => Box::pin(bench::run(*args)).await,
        Command::Admin(args) => Box::pin(admin::run(args)).await,
        Command::Archive(args) => archive::run(args).await,
        Command::Audit(args) => Box::pin(audit::run(args)).await,
        Command::Coverage(args) => Box::pin(coverage::run(args)).await,
        Command::Deidentify(args) => Box::pin(deidentify::run(args)).await,
        Command::Doctor(args) => Box::pin(doctor::run(args)).await,
        Command::Models(args) => models::run(args).await,
        Command::Region(args) => region::run(args).await,
        Command::Record(args) => records::record(args).await,
        Command::Task(args) => records::task(args).await,
        Command::Exchange(args) => records::exchange(args).await,
        Command::People(args) => people::run(args).await,
        Command::Forwarding(args) => forwarding::run(args).await,
        Command::Worklist(args) => worklist::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::Config(args) => config::run(&args),
    };
    match done {
        Ok(code) => code,
        Err(error) => fail(error.as_ref()),
    }
}

/// Prints an error with its causes and gives the exit code for it.
pub fn fail(error: &dyn std::error::Error) -> ExitCode {
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "xiangyi: {}", chain(error));
    ExitCode::FAILURE
}

/// Writes to standard output. A reader that has gone (`| head`) is no error.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
