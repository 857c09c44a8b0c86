//! `xiangyi eval`: measures the node's decisions on files of cases.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use tokio::time::Instant;

use super::client::Client;
use super::{Failure, Target, say};
use crate::app::App;
use crate::app::evaluation::{
    self, DiagnosisCase, DiagnosisOptions, Evaluation, Input, PrescriptionCase, ReadingCase, Watch,
};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Ranking, red flags, triage and interviews
    Diagnosis(DiagnosisArgs),
    /// The complaint reader
    Reading(Files),
    /// The prescription check: what it catches, and what it says of clean prescriptions
    Prescription(PrescriptionArgs),
}

#[derive(Debug, Args)]
struct Files {
    /// Case file, JSON Lines, UTF-8, one case a line
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Write one line of JSON per case
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Model directory; without it what is embedded
    #[arg(long, value_name = "DIR")]
    models_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct DiagnosisArgs {
    #[command(flatten)]
    files: Files,
    /// What the node is given of each case
    #[arg(long, value_enum, default_value_t = InputName::Both)]
    input: InputName,
    /// Start from the chief complaint and ask at most so many questions, answered from the case
    #[arg(long, value_name = "COUNT")]
    interview: Option<u32>,
}

#[derive(Debug, Args)]
struct PrescriptionArgs {
    #[command(flatten)]
    files: Files,
    /// Check all cases so many times more and tell the time of those; without it, of the first
    /// time, which finds nothing in the processor's caches
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    repeat: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum InputName {
    /// Only the text
    Text,
    /// Only the present and absent terms
    Terms,
    /// Both
    Both,
}

pub(super) async fn run(args: EvalArgs) -> Result<ExitCode, Failure> {
    let (files, evaluation, unknown) = match args.what {
        What::Diagnosis(args) => {
            let (cases, unknown) = load::<DiagnosisCase>(&args.files.cases)?;
            let options = DiagnosisOptions {
                input: match args.input {
                    InputName::Text => Input::Text,
                    InputName::Terms => Input::Terms,
                    InputName::Both => Input::Both,
                },
                interview: args.interview,
            };
            let app = app(&args.files).await?;
            let begun = Instant::now();
            let mut progress = Progress { begun, told: begun, total: cases.len() };
            let done = app.evaluate_diagnosis(&cases, options, &mut progress).await;
            (args.files, done.map_err(|e| e.public())?, unknown)
        }
        What::Reading(files) => {
            let (cases, unknown) = load::<ReadingCase>(&files.cases)?;
            let app = app(&files).await?;
            let evaluation = app.evaluate_reading(&cases);
            (files, evaluation, unknown)
        }
        What::Prescription(PrescriptionArgs { files, repeat }) => {
            let (cases, unknown) = load::<PrescriptionCase>(&files.cases)?;
            let app = app(&files).await?;
            let begun = Instant::now();
            let mut progress = Progress { begun, told: begun, total: cases.len() };
            let evaluation = app.evaluate_prescription(&cases, repeat, &mut progress);
            (files, evaluation, unknown)
        }
    };
    report(&files, evaluation, unknown)
}

/// Tells on standard error how far a long run is.
struct Progress {
    begun: Instant,
    told: Instant,
    total: usize,
}

impl Watch for Progress {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn done(&mut self, cases: usize) {
        if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{cases} of {} cases", self.total);
        }
    }
}

fn load<T: serde::de::DeserializeOwned + evaluation::HasExtra>(
    path: &Path,
) -> Result<(Vec<T>, usize), Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(evaluation::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?)
}

async fn app(files: &Files) -> Result<Arc<App>, Failure> {
    let target = Target { models_dir: files.models_dir.clone(), ..Target::default() };
    match Client::open(&target).await? {
        Client::Here { app, .. } => Ok(app),
        Client::Remote { .. } => Err("cases are evaluated in this process".into()),
    }
}

fn report(files: &Files, evaluation: Evaluation, unknown: usize) -> Result<ExitCode, Failure> {
    let Evaluation { mut report, cases } = evaluation;
    if let Some(report) = report.as_object_mut() {
        report.insert("unknown_fields".to_owned(), unknown.into());
    }
    if let Some(path) = &files.out {
        let mut text = String::new();
        for case in &cases {
            let _ = writeln!(text, "{case}");
        }
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if files.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        let mut text = String::new();
        table(&mut text, "", &report);
        say(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Nested numbers as lines of `name value`; lists are only counted.
fn table(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                table(text, &name, value);
            }
        }
        Value::Null | Value::Array(_) => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = writeln!(text, "{name:<32} {value}");
        }
    }
}
