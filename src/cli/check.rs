//! `xiangyi check`: a prescription against the rules.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::client::Client;
use super::serve::answer;
use super::{Failure, Target, json, print};
use crate::rpc::proto::xiangyi::prescription::v1 as pb;

/// Bytes of an order file at most.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Shown under `--help`.
const EXAMPLE: &str = r#"Example (xiangyi.prescription.v1.CheckPrescriptionRequest):
  {"patient": {"age_years": 56, "sex": "SEX_FEMALE"},
   "current_medicines": ["氨氯地平片"], "allergies": [{"name": "青霉素"}],
   "lines": [{"name": "维C银翘片", "days": 3}, {"name": "对乙酰氨基酚片"}]}
Exit code: 0 answered, 3 answered and at least one finding says STOP, 1 not answered."#;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct CheckArgs {
    /// The prescription as JSON, in the form of the contract; - for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "order")]
    file: Option<PathBuf>,
    /// An order as free text, for example `阿莫西林胶囊 0.5g tid po ×7天`; may be given several times,
    /// with or without --file
    #[arg(long, value_name = "TEXT")]
    order: Vec<String>,
    /// A diagnosis as written; may be given several times
    #[arg(long, value_name = "NAME")]
    diagnosis: Vec<String>,
    /// Show what is listed on request too
    #[arg(long)]
    all: bool,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Exit code when a finding says STOP.
const EXIT_STOP: u8 = 3;

pub(super) async fn run(args: CheckArgs) -> Result<ExitCode, Failure> {
    let mut request = match &args.file {
        Some(path) => json::parse::<pb::CheckPrescriptionRequest>(
            "xiangyi.prescription.v1.CheckPrescriptionRequest",
            &read(path)?,
        )
        .map_err(|e| format!("{}: {e}", path.display()))?,
        None => pb::CheckPrescriptionRequest::default(),
    };
    request.order_texts.extend(args.order.iter().cloned());
    request.diagnoses.extend(args.diagnosis.iter().cloned());
    let client = Client::open(&args.target).await?;
    let response = client.check(request).await?;
    answer(args.json, "xiangyi.prescription.v1.CheckPrescriptionResponse", &response, || {
        let mut text = String::new();
        if let Some(check) = &response.check {
            text.push_str(&print::check(check, args.all));
            text.push_str(&check.disclaimer);
            text.push('\n');
        }
        text
    })?;
    let findings = response.check.iter().flat_map(|c| &c.findings);
    let stop = findings.into_iter().any(|f| f.action() == pb::Action::Stop);
    Ok(if stop { ExitCode::from(EXIT_STOP) } else { ExitCode::SUCCESS })
}

pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}
