//! A new master key, and the end of the old one. Each is one change of one small file: whatever cuts it
//! short, the ring is as before or as it should be, and the same command can be given again.

use std::path::PathBuf;

use super::{ARCHIVE, KeysError, faulty, locked, place, random, sealed, source, write};
use crate::app::ports::Clock as _;
use crate::config::{Config, EncryptionSection};
use crate::node::SystemClock;
use crate::sharing::sealing::keyring::{Keyring, Master};
use crate::sharing::sealing::{KeyId, Secret};

/// Where the new master key is.
#[derive(Debug, Clone)]
pub enum To {
    /// A file that only its owner can read.
    File(PathBuf),
    /// As section `encryption` of the configuration that is to be names it.
    Section(Box<EncryptionSection>),
}

/// How a keyring stands after a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// How often it was written.
    pub generation: u64,
    /// The master keys that open it.
    pub masters: Vec<KeyId>,
    /// Keys that were wrapped again.
    pub keys: usize,
    /// Whether something was changed.
    pub changed: bool,
}

/// Lets the master key that `to` names open the keyring beside the one that the configuration
/// names, in a new ring with every key wrapped again; what the archive is given from the next start on
/// is sealed with a new key. Does nothing where it was done.
pub fn rotate(config: &Config, to: &To) -> Result<Rotated, KeysError> {
    let old = source::master(&config.encryption)?;
    let new = match to {
        To::File(path) => source::file(path, &config.encryption)?,
        To::Section(section) => source::master(section)?,
    };
    change(config, &[old.as_ref(), new.as_ref()], true)
}

/// Shuts out every master key but the one that the configuration names, in a new ring with every key
/// wrapped again. Does nothing where no other opens it.
pub fn retire(config: &Config) -> Result<Rotated, KeysError> {
    let master = source::master(&config.encryption)?;
    change(config, &[master.as_ref()], false)
}

fn change(config: &Config, masters: &[&dyn Master], new_keys: bool) -> Result<Rotated, KeysError> {
    let path = place(config);
    let lock = locked(&config.store.dir)?;
    let Some(sealed) = sealed(config)? else {
        return Err(KeysError::None { dir: config.store.dir.clone() });
    };
    let faulty = faulty(&path);
    let ring = sealed.open(masters).map_err(&faulty)?;
    let mut wanted: Vec<KeyId> = masters.iter().map(|master| master.id()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut there: Vec<KeyId> = ring.masters().collect();
    there.sort_unstable();
    if wanted == there {
        return Ok(stands(&ring, false));
    }
    let mut unique: Vec<&dyn Master> = Vec::new();
    for master in masters {
        if unique.iter().all(|known| known.id() != master.id()) {
            unique.push(*master);
        }
    }
    let mut ring = ring.rotated(&unique, &random).map_err(&faulty)?;
    if new_keys && ring.newest(ARCHIVE).is_some() {
        let secret = Secret::random(&random).map_err(&faulty)?;
        ring.add(ARCHIVE, secret, SystemClock.now_ms()).map_err(&faulty)?;
    }
    let text = ring.seal(&random).and_then(|sealed| sealed.text()).map_err(&faulty)?;
    write(&config.store.dir, &path, &text)?;
    drop(lock);
    ring.generation = ring.generation.saturating_add(1);
    Ok(stands(&ring, true))
}

fn stands(ring: &Keyring, changed: bool) -> Rotated {
    Rotated {
        generation: ring.generation,
        masters: ring.masters().collect(),
        keys: ring.keys().len(),
        changed,
    }
}
