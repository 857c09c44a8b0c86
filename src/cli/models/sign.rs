//! `xiangyi models keygen`, `sign` and `verify`: folders of tables and models that a node takes only
//! as they were signed.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::app::ports::Clock as _;
use crate::cli::deidentify::files::{create_private, read_private};
use crate::cli::{Failure, say};
use crate::config::{Config, client_variable};
use crate::node::SystemClock;
use crate::node::folder::Folder;
use crate::tables::files::Files;
use crate::tables::signed::{self, About, KEY_BYTES, MANIFEST, PublicKey, SigningKey};
use crate::tables::text::hex;

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// Write the private key here, for its owner alone; the file must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The folder: one like `models/`, or with imaging models
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// File with the private key, which nobody else may read
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Who signs, as operators are to read it
    #[arg(long, value_name = "NAME", default_value = "unnamed")]
    by: String,
    /// What this state of the folder is called; without it the digest of its content
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A public key whose signature counts, 64 hexadecimal digits; may be given again. Without it those
    /// of the configuration count (`models.trusted_keys`)
    #[arg(long, value_name = "PUBKEY", value_parser = public_key)]
    trust: Vec<PublicKey>,
    /// Configuration file; without it `XIANGYI_CONFIG`, and without that the defaults
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    config: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::parse(text).ok_or_else(|| "must be 64 hexadecimal digits".to_owned())
}

pub(super) fn keygen(args: &KeygenArgs) -> Result<ExitCode, Failure> {
    let mut seed = [0; KEY_BYTES];
    getrandom::fill(&mut seed)?;
    let key = SigningKey::new(&seed).ok_or("no key can be made")?.public();
    create_private(&args.out, format!("{}\n", hex(&seed)).as_bytes())?;
    if args.json {
        let object = serde_json::json!({ "public_key": key.to_string(), "file": args.out });
        say(&format!("{object}\n"))?;
    } else {
        say(&format!(
            "{} holds the private key. Whoever has it can sign for you: keep it away from the \
             nodes.\n\nAdd this to the configuration of nodes that are to trust it:\n\n\
             [models]\ntrusted_keys = [\"{key}\"]\n",
            args.out.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn sign(args: &SignArgs) -> Result<ExitCode, Failure> {
    let key = SigningKey::parse(&read_private(&args.key)?)
        .ok_or("--key: is no key of `xiangyi models keygen`")?;
    let folder = Folder::read(&args.dir)?;
    let mut files = Files::new();
    // The manifest that may lie there is not part of what is signed, nor of its digest.
    let plain = folder.plain()?;
    for path in plain.paths().filter(|path| *path != MANIFEST) {
        files.insert(path, plain.bytes(path)?.to_vec());
    }
    if files.paths().next().is_none() {
        return Err(format!("{} holds no file to sign", args.dir.display()).into());
    }
    let about = About {
        release: args.release.clone().unwrap_or_else(|| files.digest("", "")),
        by: args.by.clone(),
        at_s: SystemClock.now_ms().div_euclid(1000),
    };
    let manifest = signed::sign(&files, about.clone(), &key)?;
    put(&args.dir, &manifest)?;
    let (count, by, public) = (files.paths().count(), &about.by, key.public());
    if args.json {
        let object = serde_json::json!({
            "files": count, "release": about.release, "by": by, "at": about.at(),
            "public_key": public.to_string(), "manifest": args.dir.join(MANIFEST),
        });
        say(&format!("{object}\n"))?;
    } else {
        say(&format!(
            "{count} files of {} are signed as {} by {by}, key {public}\n",
            args.dir.display(),
            about.release
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the manifest into the folder, whole or not at all.
fn put(dir: &Path, manifest: &[u8]) -> Result<(), Failure> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(manifest)?;
    let readable = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    file.as_file().set_permissions(readable)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(MANIFEST))?;
    Ok(())
}

pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut trust = signed::Trust { keys: args.trust.clone(), required: true };
    if trust.keys.is_empty() {
        let path =
            args.config.clone().or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
        trust.keys = Config::load(path.as_deref())?.models.trust().keys;
    }
    let admitted = Folder::read(&args.dir)?.admit(&trust);
    let signed = match admitted {
        Ok(Some(signed)) => signed,
        // A manifest was asked for, so nothing gets here without one.
        Ok(None) => return Err(format!("{MANIFEST}: file is missing").into()),
        Err(why) if args.json => {
            let object = serde_json::json!({
                "fits": false, "trusted": false, "file": why.file, "line": why.line,
                "message": why.message,
            });
            say(&format!("{object}\n"))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(why) => return Err(why.into()),
    };
    let about = &signed.about;
    if args.json {
        let object = serde_json::json!({
            "fits": true, "trusted": signed.trusted, "files": signed.files,
            "release": about.release, "by": about.by, "at": about.at(),
            "public_key": signed.key.to_string(),
        });
        say(&format!("{object}\n"))?;
    } else {
        say(&format!(
            "{} files are as they were signed: release {}, by {}, at {}, key {}\n",
            signed.files,
            about.release,
            about.by,
            about.at(),
            signed.key
        ))?;
    }
    if signed.trusted {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.json {
        say(
            "whose key that is cannot be said: give it with --trust, or in models.trusted_keys, if \
             you know it from elsewhere\n",
        )?;
    }
    Ok(ExitCode::FAILURE)
}
