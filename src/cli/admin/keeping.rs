//! `xiangyi admin keys | encrypt | backup | verify | restore`: what lies on the disk, and copies of it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::cli::archive::{Told, size};
use crate::cli::{Failure, say};
use crate::config::{Config, client_variable};
use crate::node::backup::{Manifest, reading, taking};
use crate::node::keys::rotation::{self, Rotated, To};
use crate::node::keys::{self, KeysError, checking, encrypting};
use crate::sharing::sealing::KeyId;

/// The node, and how to answer.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Configuration file of the node; without it `XIANGYI_CONFIG`, and without that the defaults
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List the keys of the node, without the master key
    List,
    /// Open the keyring, every database, and look at every segment; exits with 1 if one does not open
    Check,
    /// Let a new master key open the keyring beside the one that is configured
    Rotate {
        /// The new master key, a file of 32 bytes or more that only its owner can read
        #[arg(
            long,
            value_name = "FILE",
            required_unless_present = "to_config",
            conflicts_with = "to_config"
        )]
        to: Option<PathBuf>,
        /// The configuration as it is to be, whose section encryption names the new master key (a
        /// credential, or a key in a token)
        #[arg(long, value_name = "FILE")]
        to_config: Option<PathBuf>,
    },
    /// Shut out every master key but the one that is configured
    Retire,
    /// Make the master key that section encryption.token names, in the token (AES-256, never leaves it)
    MakeTokenKey,
}

#[derive(Debug, Args)]
pub(super) struct EncryptArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    place: Place,
    /// File to write, where nothing may be
    #[arg(value_name = "TO")]
    to: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// The backup
    #[arg(value_name = "FROM")]
    from: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    place: Place,
    /// The backup
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// Folder to put it into, where nothing may be: the `store.dir` of the node to be
    #[arg(value_name = "INTO")]
    into: PathBuf,
}

impl Place {
    fn config(&self) -> Result<Config, Failure> {
        let named = self.config.clone();
        let path = named.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
        Ok(Config::load(path.as_deref())?)
    }
}

pub(super) async fn keys(args: KeysArgs) -> Result<ExitCode, Failure> {
    let config = args.place.config()?;
    match args.command {
        KeysCommand::List => list(&config, args.place.json),
        KeysCommand::Check => check(&config, args.place.json).await,
        KeysCommand::Rotate { to, to_config } => {
            let done = rotation::rotate(&config, &new_master(to, to_config)?)?;
            let next = "Name the new master key in the configuration, restart the node, and shut the old \
                        one out with `xiangyi admin keys retire`. Backups that are kept still need the old \
                        one.";
            rotated(&done, args.place.json, next)
        }
        KeysCommand::Retire => {
            let done = rotation::retire(&config)?;
            rotated(&done, args.place.json, "")
        }
        KeysCommand::MakeTokenKey => {
            let Some(section) = &config.encryption.token else {
                return Err(KeysError::NoToken.into());
            };
            let made = keys::make_token_key(section)?;
            if args.place.json {
                let line = json!({ "master_key": made.id.to_string(), "token": made.token });
                say(&format!("{line}\n"))?;
            } else {
                say(&format!(
                    "master key {} made in the token {:?}. It cannot be copied out: have the token's maker \
                     copy it to a second one before what it seals is worth keeping.\n",
                    made.id, made.token
                ))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn new_master(to: Option<PathBuf>, to_config: Option<PathBuf>) -> Result<To, Failure> {
    Ok(match (to, to_config) {
        (Some(path), _) => To::File(path),
        (None, path) => To::Section(Box::new(Config::load(path.as_deref())?.encryption)),
    })
}

fn list(config: &Config, as_json: bool) -> Result<ExitCode, Failure> {
    let Some(ring) = keys::sealed(config)? else {
        say(if as_json { "null\n" } else { "There is no keyring: nothing is encrypted.\n" })?;
        return Ok(ExitCode::SUCCESS);
    };
    let masters = ids(&ring.master_ids()?);
    let made =
        |ms| Timestamp::from_millisecond(ms).map_or_else(|_| "?".to_owned(), |t| t.to_string());
    if as_json {
        let keys: Vec<_> = ring
            .listed()
            .map(|(id, purpose, cipher, made_ms)| {
                json!({ "id": id, "purpose": purpose, "cipher": cipher.name(), "made": made(made_ms) })
            })
            .collect();
        let line = json!({ "generation": ring.generation(), "master_keys": masters, "keys": keys });
        say(&format!("{line}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "generation {}, opened by master key {}\n",
        ring.generation(),
        masters.join(" or ")
    );
    for (id, purpose, cipher, made_ms) in ring.listed() {
        let _ = writeln!(text, "{id}  {:<12} {}  {purpose}", cipher.name(), made(made_ms));
    }
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn ids(ids: &[KeyId]) -> Vec<String> {
    ids.iter().map(KeyId::to_string).collect()
}

async fn check(config: &Config, as_json: bool) -> Result<ExitCode, Failure> {
    let checked = checking::check(config).await?;
    if as_json {
        let line = json!({
            "encrypted": checked.keys.is_some(), "keys": checked.keys,
            "databases": checked.databases, "segments": checked.segments, "faults": checked.faults,
        });
        say(&format!("{line}\n"))?;
    } else {
        let mut text = match checked.keys {
            Some(keys) => format!(
                "{keys} keys; {} databases and {} segments open\n",
                checked.databases, checked.segments
            ),
            None => format!("nothing is encrypted; {} databases open\n", checked.databases),
        };
        for fault in &checked.faults {
            let _ = writeln!(text, "{fault}");
        }
        say(&text)?;
    }
    Ok(if checked.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rotated(done: &Rotated, as_json: bool, next: &str) -> Result<ExitCode, Failure> {
    let masters = ids(&done.masters);
    if as_json {
        let line = json!({
            "changed": done.changed, "generation": done.generation, "master_keys": masters,
            "keys": done.keys,
        });
        say(&format!("{line}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let masters = masters.join(" or ");
    let mut text = if done.changed {
        format!("{} keys wrapped again; the keyring is opened by master key {masters}\n", done.keys)
    } else {
        format!("nothing to do; the keyring is opened by master key {masters}\n")
    };
    if !next.is_empty() {
        let _ = writeln!(text, "{next}");
    }
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn encrypt(args: EncryptArgs) -> Result<ExitCode, Failure> {
    let config = args.place.config()?;
    let mut told = Told::new();
    let mut progress = |done: &encrypting::Encrypted| {
        told.tell(|| {
            format!("{} objects, {}; {} databases", done.objects, size(done.bytes), done.databases)
        });
    };
    let done = Box::pin(encrypting::encrypt(&config, &mut progress)).await?;
    if args.place.json {
        let line = json!({
            "databases": done.databases, "secrets": done.secrets, "objects": done.objects,
            "bytes": done.bytes,
        });
        say(&format!("{line}\n"))?;
    } else {
        say(&format!(
            "{} databases, {} secrets and {} objects ({}) are encrypted now. What lay there in the clear may \
             still be found in unused blocks of the disk.\n",
            done.databases,
            done.secrets,
            done.objects,
            size(done.bytes)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn backup(args: BackupArgs) -> Result<ExitCode, Failure> {
    let config = args.place.config()?;
    let mut told = Told::new();
    let mut progress = |name: &str, bytes: u64| {
        told.tell(|| format!("{name}, {} so far", size(bytes)));
    };
    Box::pin(taking::take(&config, &args.to, &mut progress)).await?;
    // A backup that was never read is a hope.
    let manifest = reading::verify(&config.encryption, &args.to, &mut |name, bytes| {
        told.tell(|| format!("reading back {name}, {} so far", size(bytes)));
    })?;
    let lead =
        format!("Backup of {} written to {} and read back", manifest.node, args.to.display());
    tell(&manifest, args.place.json, &lead)
}

pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let config = args.place.config()?;
    let mut told = Told::new();
    let manifest = reading::verify(&config.encryption, &args.from, &mut |name, bytes| {
        told.tell(|| format!("{name}, {} so far", size(bytes)));
    })?;
    tell(&manifest, args.place.json, &format!("Backup of {} is whole", manifest.node))
}

/// What a backup cannot know.
const AFTER_RESTORE: &str = "What was taken back after the backup was begun is not. Look through accounts that were \
    disabled and passwords that were changed since (`xiangyi admin account list`), withdrawals of consent, and \
    at a hub certificates and codes of nodes (`xiangyi admin nodes`). All sessions end when the node starts.\n";

pub(super) fn restore(args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let config = args.place.config()?;
    let mut told = Told::new();
    let progress = &mut |name: &str, bytes: u64| {
        told.tell(|| format!("{name}, {} so far", size(bytes)));
    };
    let manifest = reading::restore(&config.encryption, &args.from, &args.into, progress)?;
    let lead = format!("Backup of {} put into {}", manifest.node, args.into.display());
    let told = tell(&manifest, args.place.json, &lead)?;
    if !args.place.json {
        say(AFTER_RESTORE)?;
    }
    Ok(told)
}

fn tell(manifest: &Manifest, as_json: bool, lead: &str) -> Result<ExitCode, Failure> {
    let bytes = manifest.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
    let begun = Timestamp::from_millisecond(manifest.begun_ms)?;
    if as_json {
        let line = json!({
            "node": manifest.node, "program": manifest.program, "begun": begun.to_string(),
            "files": manifest.files.len(), "bytes": bytes,
        });
        say(&format!("{line}\n"))?;
    } else {
        let files = manifest.files.len();
        say(&format!("{lead}: {files} files, {}, begun {begun}\n", size(bytes)))?;
    }
    Ok(ExitCode::SUCCESS)
}
