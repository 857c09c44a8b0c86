//! `xiangyi doctor`: what is wrong with a node, and what to do.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, builder::TypedValueParser as _};
use serde_json::json;

use super::{Failure, say};
use crate::config::{Config, client_variable};
use crate::node::doctor::{Check, Line, Patient, Standing, examine};

/// Form of `--json`; a field may be added without another number.
const FORM: u32 = 1;
/// With `--strict`: nothing failed, and there are warnings.
const WARNED: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Configuration of the node; without it `XIANGYI_CONFIG`, and without that the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Look at these only; several with commas, or given again
    #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = names())]
    only: Vec<Check>,
    /// Longest that each check may take, in seconds; without it 10 to 600, as each needs
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,
    /// Leave out what is as it should be
    #[arg(long)]
    quiet: bool,
    /// Let warnings count in the exit code
    #[arg(long)]
    strict: bool,
    /// Print one JSON object when all is done
    #[arg(long)]
    json: bool,
}

fn names() -> impl clap::builder::TypedValueParser<Value = Check> {
    let find = |name: String| Check::ALL.into_iter().find(|check| check.name() == name);
    PossibleValuesParser::new(Check::ALL.map(Check::name))
        .try_map(move |name| find(name).ok_or("is no check"))
}

pub(super) async fn run(args: DoctorArgs) -> Result<ExitCode, Failure> {
    let file = args.config.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
    let config = Config::load(file.as_deref());
    let name = config.as_ref().map(|config| config.node.name.clone()).ok();
    let patient =
        Patient { file: file.clone(), config, within: args.timeout.map(Duration::from_secs) };
    let checks: Vec<Check> = if args.only.is_empty() { Check::ALL.to_vec() } else { args.only };
    let mut written = Ok(());
    // What took long is waited for: the lines of the others are there to be read.
    let all = Box::pin(examine(patient, &checks, |lines| {
        let shown = lines.iter().filter(|line| !args.quiet || line.standing != Standing::Ok);
        let text: String = shown.map(text).collect();
        if !args.json && written.is_ok() {
            written = say(&text);
        }
    }))
    .await;
    written?;
    let counts = Counts::of(&all);
    if args.json {
        let lines: Vec<&Line> =
            all.iter().filter(|line| !args.quiet || line.standing != Standing::Ok).collect();
        let object = json!({
            "form": FORM,
            "program": env!("CARGO_PKG_VERSION"),
            "config": file,
            "node": name,
            "counts": {
                "ok": counts.ok, "warning": counts.warning, "failed": counts.failed,
                "not_checked": counts.not_checked,
            },
            "lines": lines,
        });
        say(&format!("{object}\n"))?;
    } else {
        let Counts { ok, warning, failed, not_checked } = counts;
        say(&format!("{failed} failed, {warning} warnings, {not_checked} not checked, {ok} ok\n"))?;
    }
    Ok(if counts.failed > 0 {
        ExitCode::FAILURE
    } else if args.strict && counts.warning > 0 {
        ExitCode::from(WARNED)
    } else {
        ExitCode::SUCCESS
    })
}

/// How many lines there are of each standing.
#[derive(Debug, Default)]
struct Counts {
    ok: usize,
    warning: usize,
    failed: usize,
    not_checked: usize,
}

impl Counts {
    fn of(lines: &[Line]) -> Self {
        let mut counts = Self::default();
        for line in lines {
            *match line.standing {
                Standing::Ok => &mut counts.ok,
                Standing::Warning => &mut counts.warning,
                Standing::Failed => &mut counts.failed,
                Standing::NotChecked => &mut counts.not_checked,
            } += 1;
        }
        counts
    }
}

fn text(line: &Line) -> String {
    let word = match line.standing {
        Standing::Ok => "ok         ",
        Standing::Warning => "warning    ",
        Standing::Failed => "FAILED     ",
        Standing::NotChecked => "not checked",
    };
    let mut text = format!("{word} {}: {}: {}\n", line.check.name(), line.subject, line.found);
    if !line.advice.is_empty() {
        // Nothing fails that writes into a text.
        let _ = writeln!(text, "            -> {}", line.advice);
    }
    text
}
