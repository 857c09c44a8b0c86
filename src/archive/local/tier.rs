//! Which segments have a copy in a remote store, and which have their bodies only there.
//!
//! `remote`, beside the list of sealed segments: its label, then entries of 128 bytes; of several with
//! one number the last counts. Unlike that list it cannot be derived from the segments. Heads, and
//! with them everything that opening, listing and erasing need, stay on the disk always: where the
//! bodies went, holes are left in the segment. An entry says that bodies are gone before the first
//! hole is made.
//!
//! | at | bytes | entry |
//! | --- | --- | --- |
//! | 0 | 8 | `XiangyiU` |
//! | 8 | 8 | number of the segment |
//! | 16 | 8 | flags: 1 bodies may be gone from the disk, 2 the copy has bodies that were erased since, 4 the holes are made |
//! | 24 | 8 | generation of the copy, part of its name |
//! | 32 | 8 | generation that is still to be deleted; 0 for none |
//! | 40 | 8 | length of the copy |
//! | 48 | 32 | SHA-256 of the copy |
//! | 80 | 8 | batch: erasures of it and later ones are not in the copy |
//! | 88 | 24 | zeros |
//! | 112 | 16 | checksum of key and bytes 0 to 112 |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use super::disk::{self, Disk, sync_dir};
use super::error::{ArchiveError, Tried as _};
use super::format::{self, Key, LABEL_BYTES, Label};

/// Bytes of an entry.
const ENTRY_BYTES: usize = 128;
const MAGIC: [u8; 8] = *b"XiangyiU";
const AWAY: u64 = 1;
const TAINTED: u64 = 2;
const PUNCHED: u64 = 4;
/// Bytes of a list that are read at most.
const LIST_BYTES_MAX: u64 = 256 << 20;

/// What is known of the copy of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tier {
    pub(super) number: u64,
    /// Whether bodies may be gone from the disk.
    pub(super) away: bool,
    /// Whether the copy has bodies that were erased since.
    pub(super) tainted: bool,
    /// Whether the holes are made.
    pub(super) punched: bool,
    pub(super) generation: u64,
    /// Generation that is still to be deleted; 0 for none.
    pub(super) stale: u64,
    pub(super) length: u64,
    pub(super) sha256: [u8; 32],
    /// Erasures of this batch and later ones are not in the copy.
    pub(super) as_of_batch: u64,
}

/// The list, and what it says.
#[derive(Debug)]
pub(super) struct Tiers {
    path: PathBuf,
    root: PathBuf,
    key: Key,
    known: RwLock<BTreeMap<u64, Tier>>,
    /// Its file and length, once there is one. Held while an entry is decided and written.
    file: Mutex<Option<(File, u64)>>,
    /// The segment of which the writer erases something now; 0 for none.
    erasing: AtomicU64,
    /// Whether the remote store failed when it was last used.
    pub(super) failing: AtomicBool,
}

impl Tier {
    fn encode(&self, key: Key) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENTRY_BYTES);
        out.extend_from_slice(&MAGIC);
        let flag = |on: bool, flag| if on { flag } else { 0 };
        let flags =
            flag(self.away, AWAY) | flag(self.tainted, TAINTED) | flag(self.punched, PUNCHED);
        for number in [self.number, flags, self.generation, self.stale, self.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.sha256);
        out.extend_from_slice(&self.as_of_batch.to_le_bytes());
        out.extend_from_slice(&[0; 24]);
        let sum = format::checksum(&[&key.0, &out]);
        out.extend_from_slice(&sum);
        out
    }

    fn decode(bytes: &[u8], key: Key) -> Option<Self> {
        let (covered, sum) = bytes.split_at_checked(112)?;
        if sum != format::checksum(&[&key.0, covered]) {
            return None;
        }
        let rest = covered.strip_prefix(&MAGIC)?;
        let word = |at: usize| {
            let bytes = rest.get(at..at.checked_add(8)?)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let flags = word(8)?;
        Some(Self {
            number: word(0)?,
            away: flags & AWAY != 0,
            tainted: flags & TAINTED != 0,
            punched: flags & PUNCHED != 0,
            generation: word(16)?,
            stale: word(24)?,
            length: word(32)?,
            sha256: rest.get(40..72)?.try_into().ok()?,
            as_of_batch: word(72)?,
        })
    }
}

impl Tiers {
    /// Reads the list, and writes it anew if something in it was said again or cannot be read. None
    /// is made before there is something to say.
    pub(super) fn open(path: PathBuf, root: &Path, key: Key) -> Result<Self, ArchiveError> {
        let bytes = match fs::metadata(&path) {
            Ok(found) if found.len() > LIST_BYTES_MAX => {
                let error = io::Error::from(io::ErrorKind::FileTooLarge);
                return Err(error).tried("read", &path);
            }
            Ok(_) => Some(fs::read(&path).tried("read", &path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).tried("read", &path),
        };
        let mut known = BTreeMap::new();
        let mut untidy = false;
        for entry in
            bytes.iter().flat_map(|b| b.get(LABEL_BYTES..).unwrap_or_default().chunks(ENTRY_BYTES))
        {
            match Tier::decode(entry, key) {
                Some(tier) => untidy |= known.insert(tier.number, tier).is_some(),
                None => untidy = true,
            }
        }
        let tiers = Self {
            root: root.to_owned(),
            key,
            known: RwLock::new(known),
            file: Mutex::new(None),
            erasing: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            path,
        };
        if untidy {
            let made = tiers.write_anew().tried("write", &tiers.path)?;
            *tiers.file() = Some(made);
        } else if let Some(bytes) = bytes {
            let file = File::options().write(true).open(&tiers.path).tried("open", &tiers.path)?;
            *tiers.file() = Some((file, disk::bytes(bytes.len())));
        }
        Ok(tiers)
    }

    fn file(&self) -> std::sync::MutexGuard<'_, Option<(File, u64)>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_anew(&self) -> io::Result<(File, u64)> {
        let mut bytes = Label::encode_list(self.key, None).to_vec();
        for tier in self.all() {
            bytes.extend_from_slice(&tier.encode(self.key));
        }
        let new = self.path.with_extension("new");
        fs::write(&new, &bytes)?;
        File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_dir(&self.root)?;
        let file = File::options().write(true).open(&self.path)?;
        Ok((file, disk::bytes(bytes.len())))
    }

    /// The copy of a segment.
    pub(super) fn get(&self, number: u64) -> Option<Tier> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }

    /// Every copy, in the order of the segments.
    pub(super) fn all(&self) -> Vec<Tier> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().copied().collect()
    }

    /// Whether the bodies of a segment may be gone from the disk.
    pub(super) fn away(&self, number: u64) -> bool {
        self.get(number).is_some_and(|tier| tier.away)
    }

    /// The writer erases something in a segment, or (0) in none.
    pub(super) fn erasing(&self, number: u64) {
        self.erasing.store(number, Ordering::SeqCst);
    }

    /// Says something of a copy; on the disk when this returns. `decide` is called while nobody else
    /// says anything, and told whether something in the segment is being erased.
    pub(super) fn say(
        &self,
        disk: &dyn Disk,
        number: u64,
        decide: impl FnOnce(Option<Tier>, bool) -> Option<Tier>,
    ) -> io::Result<()> {
        let mut file = self.file();
        if file.is_none() {
            *file = Some(self.write_anew()?);
        }
        let erasing = self.erasing.load(Ordering::SeqCst) == number;
        let Some(tier) = decide(self.get(number), erasing) else { return Ok(()) };
        let Some((file, length)) = file.as_mut() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        disk.write(file, *length, &[&tier.encode(self.key)])?;
        disk.sync(file)?;
        *length = length.saturating_add(disk::bytes(ENTRY_BYTES));
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(number, tier);
        Ok(())
    }

    /// Something in a segment is erased: its copy, if it has one, must be made anew.
    pub(super) fn taint(&self, disk: &dyn Disk, number: u64) -> io::Result<()> {
        if self.get(number).is_none_or(|tier| tier.tainted) {
            return Ok(());
        }
        self.say(disk, number, |tier, _| tier.map(|tier| Tier { tainted: true, ..tier }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::LocalDisk;
    use super::*;

    #[test]
    fn what_was_said_last_is_read_back_and_what_is_damaged_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("remote"), Key([7; 16]));
        let open = |key| Tiers::open(path.clone(), dir.path(), key).unwrap();
        let tiers = open(key);
        assert!(!path.try_exists().unwrap() && tiers.all().is_empty());
        let tier = |number, generation| Tier {
            number,
            away: number == 2,
            tainted: false,
            punched: generation == 2,
            generation,
            stale: 9,
            length: 100,
            sha256: [3; 32],
            as_of_batch: 5,
        };
        for said in [tier(1, 1), tier(2, 1), tier(1, 2)] {
            tiers.say(&LocalDisk, said.number, |_, _| Some(said)).unwrap();
        }
        tiers.taint(&LocalDisk, 2).unwrap();
        tiers.taint(&LocalDisk, 3).unwrap();
        let all = [tier(1, 2), Tier { tainted: true, ..tier(2, 1) }];
        assert_eq!(open(key).all(), all);
        assert_eq!(fs::metadata(&path).unwrap().len(), 64 + 2 * 128, "written anew");
        assert!(open(key).away(2) && !open(key).away(1));
        assert!(Tier::decode(&tier(1, 1).encode(key), Key([8; 16])).is_none());
        let mut bytes = fs::read(&path).unwrap();
        bytes[64 + 20] ^= 1;
        bytes.truncate(64 + 200);
        fs::write(&path, bytes).unwrap();
        assert!(open(key).all().is_empty());
    }

    #[test]
    fn who_decides_is_told_what_is_being_erased() {
        let dir = tempfile::tempdir().unwrap();
        let tiers = Tiers::open(dir.path().join("remote"), dir.path(), Key([7; 16])).unwrap();
        let mut told = Vec::new();
        for number in [0, 4] {
            tiers.erasing(number);
            let mut ask = |_, erasing| {
                told.push(erasing);
                None
            };
            tiers.say(&LocalDisk, 4, &mut ask).unwrap();
        }
        assert_eq!(told, [false, true]);
    }
}
