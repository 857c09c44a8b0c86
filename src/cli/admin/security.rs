//! `xiangyi admin security-report`: how well a node is protected.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::{Failure, say};
use crate::config::{Config, client_variable};
use crate::node::security::{Finding, Standing, report};

#[derive(Debug, Args)]
pub(super) struct SecurityArgs {
    /// Configuration of the node
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print as JSON, one line each
    #[arg(long)]
    json: bool,
    /// End with an error where anything is bad
    #[arg(long)]
    require: bool,
}

pub(super) async fn run(args: SecurityArgs) -> Result<ExitCode, Failure> {
    let path = args.config.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
    let config = Config::load(path.as_deref())?;
    let findings = Box::pin(report(&config, path.as_deref())).await;
    if args.json {
        for finding in &findings {
            say(&format!("{}\n", serde_json::to_string(finding)?))?;
        }
    } else {
        say(&written(&findings))?;
    }
    let is_bad = findings.iter().any(|finding| finding.standing == Standing::Bad);
    Ok(if args.require && is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is to be mended first, and counts at the end.
fn written(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut counts = [0_usize; 3];
    let order = [(Standing::Bad, "BAD "), (Standing::Weak, "weak"), (Standing::Ok, "ok  ")];
    for ((standing, word), count) in order.into_iter().zip(&mut counts) {
        for finding in findings.iter().filter(|finding| finding.standing == standing) {
            *count += 1;
            // Nothing fails that writes into a text.
            let _ =
                writeln!(text, "{word} {}: {}: {}", finding.area, finding.subject, finding.means);
            if !finding.remedy.is_empty() {
                let _ = writeln!(text, "       {}", finding.remedy);
            }
        }
    }
    let [bad, weak, ok] = counts;
    let _ = writeln!(text, "{bad} bad, {weak} weak, {ok} ok");
    text
}
