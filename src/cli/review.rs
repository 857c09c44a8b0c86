//! `xiangyi review`: prescriptions in retrospect (处方点评), with the statistics inspectors ask for.

use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::client::Client;
use super::{Failure, Target, json, print, say};
use crate::rpc::proto::xiangyi::prescription::v1 as pb;
use crate::rpc::proto::xiangyi::prescription::v1::review_prescriptions_response::Result as Reply;

/// Shown under `--help`.
const EXAMPLE: &str = r#"One prescription a line, JSON (xiangyi.prescription.v1.ReviewPrescriptionsRequest):
  {"prescription_id": "2026-1", "prescription": {"diagnoses": ["上呼吸道感染"], "lines": [{"name": "阿莫西林胶囊"}]}}"#;
/// How often progress is told.
const PROGRESS_EVERY: usize = 5_000;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ReviewArgs {
    /// Prescriptions, JSON Lines, UTF-8
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Write one line of JSON per prescription
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the statistics as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: ReviewArgs) -> Result<ExitCode, Failure> {
    let file =
        std::fs::File::open(&args.file).map_err(|e| format!("{}: {e}", args.file.display()))?;
    let mut requests = Vec::new();
    for (line, number) in std::io::BufReader::new(file).lines().zip(1_usize..) {
        let line = line.map_err(|e| format!("{}: {e}", args.file.display()))?;
        let text = line.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            let request: pb::ReviewPrescriptionsRequest =
                json::parse("xiangyi.prescription.v1.ReviewPrescriptionsRequest", text)
                    .map_err(|e| format!("{}: line {number}: {e}", args.file.display()))?;
            requests.push(request);
        }
    }
    let mut out = match &args.out {
        Some(path) => {
            let file =
                std::fs::File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
            Some(std::io::BufWriter::new(file))
        }
        None => None,
    };
    let client = Client::open(&args.target).await?;
    let total = requests.len();
    let mut done = 0;
    let mut statistics = None;
    let mut replies = client.review(requests).await?;
    while let Some(reply) = replies.next().await? {
        match reply {
            Reply::Reviewed(reviewed) => {
                done += 1;
                if done % PROGRESS_EVERY == 0 {
                    // Nothing is left to do when standard error is closed.
                    let _ = writeln!(std::io::stderr().lock(), "{done} of {total} prescriptions");
                }
                if let Some(out) = &mut out {
                    let text =
                        json::print("xiangyi.prescription.v1.ReviewedPrescription", &reviewed)?;
                    let value: serde_json::Value = serde_json::from_str(&text)?;
                    writeln!(out, "{value}")?;
                }
            }
            Reply::Statistics(found) => statistics = Some(found),
        }
    }
    if let Some(out) = &mut out {
        out.flush()?;
    }
    let statistics = statistics.ok_or("the node ended the review without statistics")?;
    if args.json {
        say(&json::print("xiangyi.prescription.v1.ReviewStatistics", &statistics)?)?;
    } else {
        say(&text(&statistics))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(s: &pb::ReviewStatistics) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "处方 {} 张，读不了 {} 张，平均 {:.2} 种药",
        s.prescription_count, s.rejected_count, s.mean_medicines
    );
    for (name, share) in [
        ("合理率", s.rational_share),
        ("含 STOP", s.stop_share),
        ("含 NEEDS_REASON", s.needs_reason_share),
        ("有未能核对", s.unchecked_share),
        ("抗菌药物使用率", s.antibiotic_share),
        ("联用两种以上抗菌药", s.antibiotic_combination_share),
        ("注射剂使用率", s.injection_share),
        ("静脉输液率", s.infusion_share),
        ("全身激素使用率", s.glucocorticoid_share),
        ("基本药物占药品种数", s.essential_medicine_share),
    ] {
        let _ = writeln!(out, "  {name}：{}", print::percent(share));
    }
    for code in &s.review_codes {
        let _ = writeln!(
            out,
            "  {:<5} {:>6} 张  {}",
            code.review_code, code.prescription_count, code.name
        );
    }
    out
}
