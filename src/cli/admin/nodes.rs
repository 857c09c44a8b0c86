//! `xiangyi admin ca`, `enrol-code`, `enrol`, `nodes` and `revoke`: the hub's own authority, and the
//! certificates of nodes.
//!
//! At the hub these work on its database, whether it runs or not, and on any hub of several on one
//! database. What they do stands in the hub's audit trail.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::access::Caller;
use crate::app::error::Error;
use crate::app::nodes::code::Code;
use crate::app::nodes::ports::{Invitation, NodeCertificate, Which};
use crate::app::nodes::{ENDING_MS, days};
use crate::app::ports::Clock as _;
use crate::cli::{Failure, say};
use crate::config::{CaSection, Config, client_variable};
use crate::node::{self, SystemClock};
use crate::tables::text::hex;

/// Hex digits of a serial number, and how it begins.
const SERIAL_DIGITS: usize = 34;
const SERIAL_PREFIX: &str = "01";
/// Bytes of a file with a code at most.
const CODE_BYTES_MAX: u64 = 1024;
const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Args)]
pub(super) struct CaArgs {
    #[command(flatten)]
    of: Of,
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Make the file with the authority's certificate and key, unless it is there
    Init,
    /// Show the authority: its certificate and what it is known by
    Show,
}

/// Whose configuration.
#[derive(Debug, Args)]
struct Of {
    /// Configuration of the node
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    #[command(flatten)]
    of: Of,
    /// Name of the node, as in link.nodes
    node: String,
    /// How long the code is good, for example 30m, 24h or 7d
    #[arg(long, default_value = "24h", value_parser = life)]
    valid: Duration,
}

#[derive(Debug, Args)]
pub(super) struct EnrolArgs {
    #[command(flatten)]
    of: Of,
    /// The hub, for example `https://hub.example:50061`; without it link.hub of the configuration
    #[arg(long, value_name = "URL")]
    hub: Option<String>,
    /// The code that the hub showed; without it it is asked for
    #[arg(long, value_name = "CODE", conflicts_with = "code_file")]
    code: Option<String>,
    /// File with the code, `-` for standard input
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct NodesArgs {
    #[command(flatten)]
    of: Of,
    /// Print as JSON, one line each
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    of: Of,
    /// Name of a node, for all its certificates and codes; or a serial number as `admin nodes` shows it
    #[arg(value_name = "NAME|SERIAL")]
    which: String,
    /// Why, for the audit trail
    #[arg(long)]
    reason: String,
}

impl Of {
    fn load(self) -> Result<Config, Failure> {
        let path = self.config.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
        Ok(Config::load(path.as_deref())?)
    }
}

fn section(config: &Config) -> Result<&CaSection, Failure> {
    let ca = config.link.ca.as_ref();
    Ok(ca.ok_or(
        "this configuration is not of a hub that gives certificates: it has no section [link.ca]",
    )?)
}

fn caller() -> Caller {
    Caller::local("command line")
}

pub(super) fn ca(args: CaArgs) -> Result<ExitCode, Failure> {
    let config = args.of.load()?;
    let section = section(&config)?;
    let path = node::nodes::authority_path(&config, section);
    if matches!(args.command, CaCommand::Init) {
        let made = node::nodes::make_authority(&config, section)?;
        let done = if made { "was made" } else { "is there already; nothing was changed" };
        say(&format!("The authority {done}: {}\n", path.display()))?;
        if made {
            say(
                "Keep a copy of the file where only you can read it: without it every node must enrol \
                 anew. Whoever has it can make certificates that look like the hub's.\n",
            )?;
        }
    }
    let authority = node::nodes::authority(&config, section)?;
    let left = days(authority.until_ms() - SystemClock.now_ms());
    say(&format!("SHA-256 {}\nEnds in {left} days.\n", hex(&authority.sha256())))?;
    if matches!(args.command, CaCommand::Show) {
        say(authority.pem())?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn invite(args: InviteArgs) -> Result<ExitCode, Failure> {
    let config = args.of.load()?;
    let nodes = Box::pin(node::nodes::beside(&config)).await?;
    let (code, until_ms) = nodes.invite(&caller(), &args.node, args.valid).await.map_err(told)?;
    let minutes = ((until_ms - SystemClock.now_ms()).max(0) + MINUTE_MS - 1) / MINUTE_MS;
    say(&format!(
        "{}\n\nThe code is for `{}`, once, within {minutes} minutes, and is not shown again. There, run\n  \
         xiangyi admin enrol --hub https://HUB:PORT\nand type it in.\n",
        code.written(),
        args.node
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn enrol(args: EnrolArgs) -> Result<ExitCode, Failure> {
    let config = args.of.load()?;
    let url = args.hub.or_else(|| config.link.hub.clone());
    let url =
        url.ok_or("name the hub: --hub https://HUB:PORT, or link.hub in the configuration")?;
    if !url.starts_with("https://") {
        return Err("nodes enrol over TLS only: the hub's URL must begin with https://".into());
    }
    let text = match (args.code, args.code_file) {
        (Some(code), _) => code,
        (None, Some(path)) => from_file(&path)?,
        (None, None) => ask()?,
    };
    let code = Code::parse(&text)?;
    let (node, signed) = Box::pin(node::enrolment::enrol(&config, &url, &code)).await?;
    let left = days(signed.until_ms - SystemClock.now_ms());
    let path = node::enrolment::Files::of(&config).identity();
    say(&format!(
        "The node `{node}` has a certificate for {left} days: {}\nSerial {}\nIt is renewed by the running \
         node. The key has not left this machine.\n",
        path.display(),
        signed.serial
    ))?;
    if config.link.hub.is_none() {
        say(&format!("Set link.hub = \"{url}\" in the configuration and start the node again.\n"))?;
    } else if !config.link.is_enrolled() {
        say(
            "The configuration names link.tls_cert or link.token_file, which are shown instead: take \
             them out and start the node again.\n",
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn list(args: NodesArgs) -> Result<ExitCode, Failure> {
    let config = args.of.load()?;
    let nodes = Box::pin(node::nodes::beside(&config)).await?;
    let (certificates, invitations) = nodes.list(&caller()).await.map_err(told)?;
    let now_ms = SystemClock.now_ms();
    if args.json {
        for one in &certificates {
            say(&format!("{}\n", line(one, now_ms)))?;
        }
        for one in invitations.iter().filter(|one| one.key.is_none()) {
            let object = json!({ "node": one.node, "state": "invited", "until_ms": one.until_ms });
            say(&format!("{object}\n"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for member in &config.link.nodes {
        let own: Vec<_> = certificates.iter().filter(|c| c.node == member.name).collect();
        let codes = invitations.iter().filter(|i| i.node == member.name);
        say(&shown((&member.name, other_ways(member)), &own, codes, now_ms))?;
    }
    let names: Vec<_> = config.link.nodes.iter().map(|member| member.name.as_str()).collect();
    for one in certificates.iter().filter(|c| !names.contains(&c.node.as_str())) {
        say(&format!("{}\tnot among link.nodes\n", one.node))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn revoke(args: RevokeArgs) -> Result<ExitCode, Failure> {
    let config = args.of.load()?;
    let nodes = Box::pin(node::nodes::beside(&config)).await?;
    let serial = args.which.to_ascii_lowercase();
    let is_serial = serial.len() == SERIAL_DIGITS
        && serial.starts_with(SERIAL_PREFIX)
        && serial.bytes().all(|b| b.is_ascii_hexdigit());
    let which = if is_serial { Which::Serial(serial) } else { Which::Node(args.which.clone()) };
    let revoked = nodes.revoke(&caller(), which, &args.reason).await.map_err(told)?;
    if revoked.is_empty() {
        say("There was no certificate to revoke; codes that were not used are good no more.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    for serial in &revoked {
        say(&format!("revoked\t{serial}\n"))?;
    }
    say("Lines that are open end within half a minute, at every hub on this database.\n")?;
    let member = config.link.nodes.iter().find(|member| member.name == args.which);
    if let Some(other) = member.and_then(other_ways) {
        say(&format!("The node may still come in by {other} of link.nodes.\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Other ways by which a node is known.
fn other_ways(member: &crate::config::MemberSection) -> Option<&'static str> {
    match (&member.certificate_sha256, &member.token_sha256) {
        (Some(_), Some(_)) => Some("certificate_sha256 and token_sha256"),
        (Some(_), None) => Some("certificate_sha256"),
        (None, Some(_)) => Some("token_sha256"),
        (None, None) => None,
    }
}

fn state(one: &NodeCertificate, now_ms: i64) -> &'static str {
    if one.revoked.is_some() {
        "revoked"
    } else if one.until_ms <= now_ms {
        "ended"
    } else if one.until_ms - now_ms < ENDING_MS {
        "ending"
    } else {
        "good"
    }
}

fn line(one: &NodeCertificate, now_ms: i64) -> serde_json::Value {
    let (revoked_ms, reason) = one.revoked.clone().unzip();
    json!({
        "node": one.node, "serial": one.serial, "sha256": hex(&one.sha256),
        "state": state(one, now_ms), "issued_ms": one.issued_ms, "until_ms": one.until_ms,
        "seen_ms": (one.seen_ms > 0).then_some(one.seen_ms),
        "revoked_ms": revoked_ms, "revoked_reason": reason,
    })
}

/// A node for a person.
fn shown<'a>(
    (name, other): (&str, Option<&str>),
    own: &[&NodeCertificate],
    codes: impl Iterator<Item = &'a Invitation>,
    now_ms: i64,
) -> String {
    let mut text = String::new();
    for one in own {
        let left = days(one.until_ms - now_ms);
        let seen = match one.seen_ms {
            0 => "never seen".to_owned(),
            seen_ms => format!("seen {} minutes ago", (now_ms - seen_ms).max(0) / MINUTE_MS),
        };
        let more = match &one.revoked {
            Some((at_ms, reason)) => {
                format!("revoked {} days ago: {reason}", days((now_ms - at_ms).max(0)))
            }
            None => format!("{left} days left"),
        };
        let _ = writeln!(text, "{name}\t{}\t{}\t{more}\t{seen}", state(one, now_ms), one.serial);
    }
    for code in codes.filter(|code| code.key.is_none()) {
        let minutes = (code.until_ms - now_ms).max(0) / MINUTE_MS;
        let _ = writeln!(text, "{name}\tinvited\t\ta code is good for {minutes} minutes\t");
    }
    if let Some(other) = other {
        let _ = writeln!(text, "{name}\tconfigured\t\tby {other}, without end\t");
    }
    if text.is_empty() {
        text = format!("{name}\tnot enrolled\t\t\t\n");
    }
    text
}

fn ask() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        say("Code: ")?;
    }
    let mut text = String::new();
    std::io::stdin().lock().take(CODE_BYTES_MAX).read_line(&mut text)?;
    Ok(text)
}

fn from_file(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        return ask();
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    file.take(CODE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// A time such as 30m, 24h or 7d.
fn life(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a number with m, h or d, for example 24h".to_owned();
    let number = text.get(..text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let minutes = match text.chars().last() {
        Some('m') => 1,
        Some('h') => 60,
        Some('d') => 24 * 60,
        Some(_) | None => return Err(wrong()),
    };
    let minutes = number.checked_mul(minutes).filter(|minutes| *minutes <= 366 * 24 * 60);
    Ok(Duration::from_mins(minutes.ok_or_else(wrong)?))
}

/// An error as a person reads it.
fn told(error: Error) -> Failure {
    if matches!(error, Error::Unavailable { .. } | Error::Internal { .. }) {
        error.into()
    } else {
        error.public().into()
    }
}
