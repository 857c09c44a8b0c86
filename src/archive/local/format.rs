//! The bytes on the disk, precise enough to write a reader from.
//!
//! All numbers are little-endian. A checksum is the first 16 bytes of a SHA-256. `key` is 16 random
//! bytes, drawn once for the archive: without it nobody can send an object in which something looks
//! like a record, and a record that came to lie in another place than it was written to is found.
//!
//! # A segment
//!
//! `segments/NNNNNNNNNNNNNNNN.seg`, its number in 16 decimal digits. It begins with a label of 64
//! bytes; records follow from byte 64, each at a multiple of 8. After the last record of a segment
//! that is still written to there are zeros; a sealed one ends with its last record.
//!
//! | at | bytes | label |
//! | --- | --- | --- |
//! | 0 | 8 | `XiangyiS` (in the list of sealed segments `XiangyiL`) |
//! | 8 | 2 | format version: 1, or 2 where records are sealed |
//! | 10 | 6 | zeros |
//! | 16 | 8 | number of the segment (0 in the list) |
//! | 24 | 16 | key |
//! | 40 | 8 | zeros; in version 2 the name of the key that seals what follows |
//! | 48 | 16 | checksum of bytes 0 to 48 |
//!
//! # A record
//!
//! | at | bytes | header |
//! | --- | --- | --- |
//! | 0 | 8 | `XiangyiR` |
//! | 8 | 2 | format version: 1, or 2 where it is sealed |
//! | 10 | 2 | kind: 1 object, 2 erasure |
//! | 12 | 4 | bytes of the head, which follows the header |
//! | 16 | 4 | where the body begins, counted from the beginning of the record; a multiple of 8 |
//! | 20 | 4 | zeros |
//! | 24 | 8 | bytes of the body, before it was sealed |
//! | 32 | 8 | number of the batch: records of one batch became durable together |
//! | 40 | 32 | SHA-256 of the body; in an erasure, of the body that was erased. In version 2 the name of the key (8 bytes) and a salt (24) |
//! | 72 | 16 | checksum of the head |
//! | 88 | 16 | checksum of key, number of the segment (8 bytes), place of the record in the segment (8 bytes), bytes 0 to 88 |
//! | 104 | 8 | mark: zeros, or all ones once the body was erased; no checksum covers it, more than half of its bits decide |
//!
//! The head of an object is six texts (study, series and instance UID, SOP class, transfer syntax,
//! source), each its length in 2 bytes and then UTF-8; 8 bytes time of receipt (signed,
//! milliseconds since 1970); 4 bytes length of the file meta group, and that. The head of an
//! erasure is the segment, record, body and length of what was erased, 8 bytes each, and the reason,
//! a text. The body of an erasure is empty. The next record begins after the body, at the next
//! multiple of 8. Where no valid record begins, the next one is the next multiple of 8 at which a
//! header with a right checksum stands.
//!
//! # A sealed record
//!
//! In version 2 head and body are sealed (`sharing/sealing`) under a key of its own, made of the key
//! that the header names, the salt, and the label `xiangyi archive 2`. The head has the SHA-256 of the
//! body in front of it and its tag behind; what it is sealed with are the archive's key, the number of
//! the segment, the place of the record (8 bytes each) and bytes 0 to 72 of the header, so that it opens
//! nowhere else. The body is in chunks of 65,536 bytes, each with its tag of 16 behind it. That a
//! segment is closed is also called sealed here; the two have nothing to do with each other.
//!
//! # The list of sealed segments
//!
//! `sealed`: a label, then entries of 64 bytes; of several with one number the last counts. It is
//! derived from the segments and may be deleted while nobody has the archive open.
//!
//! | at | bytes | entry |
//! | --- | --- | --- |
//! | 0 | 8 | `XiangyiE` |
//! | 8 | 8 | number of the segment |
//! | 16 | 8 | its length |
//! | 24 | 8 | records |
//! | 32 | 8 | bytes kept: its length without the bodies that were erased |
//! | 40 | 8 | number of the last batch |
//! | 48 | 16 | checksum of key and bytes 0 to 48 |

mod heads;

use std::fmt;

use sha2::{Digest as _, Sha256};

pub use self::heads::{Erasure, decode_erasure, decode_object, encode_erasure, encode_object};
use crate::sharing::imaging::object::{Digest, Location};
use crate::sharing::sealing::{KEY_ID_BYTES, KeyId, chunks};

/// Bytes of a record's header.
pub const HEADER_BYTES: usize = 112;
/// Bytes of a label, and of an entry in the list of sealed segments.
pub const LABEL_BYTES: usize = 64;
/// Bytes of a head at most.
pub const HEAD_BYTES_MAX: usize = 1 << 20;
/// Bytes of a reason at most.
pub const REASON_BYTES_MAX: usize = 4096;
/// Records and bodies begin at multiples of this many bytes.
pub const ALIGNMENT_BYTES: u64 = 8;
/// What a record begins with.
pub const RECORD_MAGIC: [u8; 8] = *b"XiangyiR";
/// Where the first record of a segment begins.
pub const FIRST_RECORD_AT: u64 = 64;
/// Where the body begins in a segment that was a spool file: behind the longest possible head.
pub const SPOOL_BODY_AT: u64 = (1 << 20) + 4096;
/// Where the mark stands in a header.
pub const MARK_AT: u64 = 104;
/// The mark of an erased record.
pub const MARK_ERASED: [u8; 8] = [0xFF; 8];

/// Bytes of a header that a sealed head is bound to.
pub const BOUND_BYTES: usize = 72;
/// Bytes that sealing adds to a head: the digest of the body, and the tag.
pub const HEAD_SEAL_BYTES: usize = 48;

const VERSION: u16 = 1;
const VERSION_SEALED: u16 = 2;
/// Bytes of a salt.
const SALT_BYTES: usize = 24;
const SEGMENT_MAGIC: [u8; 8] = *b"XiangyiS";
const LIST_MAGIC: [u8; 8] = *b"XiangyiL";
const ENTRY_MAGIC: [u8; 8] = *b"XiangyiE";
/// Most bytes from the beginning of a record to its body.
const BODY_AT_MAX: u32 = (1 << 20) + 8192;

type Checksum = [u8; 16];

/// Sixteen random bytes that go into the checksums of an archive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Key of the archive.
    pub key: Key,
    /// Number of the segment.
    pub segment: u64,
    /// Byte at which the record begins in it.
    pub offset: u64,
}

/// What is wrong with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Nothing begins here.
    #[error("no record begins here")]
    NoRecord,
    /// The checksum of the header is wrong.
    #[error("header does not fit its checksum")]
    Header,
    /// A later version wrote it.
    #[error("format version {0} is not known")]
    Version(u16),
    /// Kind or lengths make no sense.
    #[error("header makes no sense")]
    Nonsense,
    /// The head does not fit its checksum, or cannot be read.
    #[error("head does not fit its checksum")]
    Head,
    /// The segment ends before the record.
    #[error("record is longer than its segment")]
    Short,
    /// The body is not what was received.
    #[error("body does not fit its digest")]
    Body,
    /// What is sealed does not open.
    #[error("was altered, cut or put elsewhere: the seal does not fit")]
    Seal,
    /// The key is not in the keyring.
    #[error("is sealed with key {0}, which is not at hand")]
    NoKey(KeyId),
    /// Some bits of the mark are wrong.
    #[error("mark is damaged")]
    Mark,
    /// The disk does not give the bytes.
    #[error("cannot be read from the disk")]
    Unreadable,
    /// The copy of the segment is not as it was put.
    #[error("copy in the remote store is missing, cannot be read, or is not what was put there")]
    Remote,
    /// The label of the segment is wrong.
    #[error("label of the segment does not fit its checksum")]
    Label,
}

/// A segment's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Number of the segment; 0 in the list of sealed segments.
    pub number: u64,
    /// Key of the archive.
    pub key: Key,
    /// Name of the key that seals what follows; none where nothing is sealed.
    pub seal: Option<KeyId>,
}

/// What a record is sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Name of the key.
    pub key: KeyId,
    /// What makes a key of its own for the record.
    pub salt: [u8; SALT_BYTES],
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object.
    Object,
    /// An object was erased.
    Erasure,
}

/// The header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Bytes of the head.
    pub head_bytes: u32,
    /// Where the body begins, counted from the beginning of the record.
    pub body_at: u32,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Number of the batch.
    pub batch: u64,
    /// SHA-256 of the body; zeros while a sealed head is not opened.
    pub digest: Digest,
    /// What head and body are sealed with; none if they are not.
    pub seal: Option<Seal>,
    /// Checksum of the head.
    pub head_checksum: Checksum,
    /// The mark as it stands.
    pub mark: u64,
}

/// An entry in the list of sealed segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Number of the segment.
    pub number: u64,
    /// Its length.
    pub end: u64,
    /// Records in it.
    pub records: u64,
    /// Its length without erased bodies.
    pub bytes_kept: u64,
    /// Number of its last batch.
    pub batch: u64,
}

/// The next multiple of [`ALIGNMENT_BYTES`].
pub fn aligned(at: u64) -> Option<u64> {
    at.checked_next_multiple_of(ALIGNMENT_BYTES)
}

/// The checksum of these parts, one after the other.
pub fn checksum(parts: &[&[u8]]) -> Checksum {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let full: [u8; 32] = hash.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(full.split_at(16).0);
    short
}

/// Bytes that a body takes on the disk.
pub fn stored_bytes(kind: Kind, body_bytes: u64, sealed: bool) -> u64 {
    match (kind, sealed) {
        // Longer than anything, which fits nowhere.
        (Kind::Object, true) => chunks::sealed_bytes(body_bytes).unwrap_or(u64::MAX),
        (Kind::Object, false) | (Kind::Erasure, _) => body_bytes,
    }
}

/// Whether what is of this version is sealed; an error without a flaw is a version that is cut off.
fn sealed_version(bytes: &mut &[u8]) -> Result<bool, Option<Flaw>> {
    match take(bytes).map(u16::from_le_bytes).ok_or(None)? {
        VERSION => Ok(false),
        VERSION_SEALED => Ok(true),
        other => Err(Some(Flaw::Version(other))),
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

impl Label {
    /// As bytes of a segment.
    pub fn encode(&self) -> [u8; LABEL_BYTES] {
        self.encode_as(SEGMENT_MAGIC)
    }

    /// As bytes of the list of sealed segments.
    pub fn encode_list(key: Key, seal: Option<KeyId>) -> [u8; LABEL_BYTES] {
        Self { number: 0, key, seal }.encode_as(LIST_MAGIC)
    }

    fn encode_as(&self, magic: [u8; 8]) -> [u8; LABEL_BYTES] {
        let mut out = Vec::with_capacity(LABEL_BYTES);
        let version = if self.seal.is_some() { VERSION_SEALED } else { VERSION };
        out.extend_from_slice(&magic);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&self.seal.map_or([0; KEY_ID_BYTES], |id| id.0));
        let sum = checksum(&[&out]);
        out.extend_from_slice(&sum);
        fixed(&out)
    }

    /// The label of a segment.
    pub fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        Self::decode_as(SEGMENT_MAGIC, bytes)
    }

    /// The label of the list of sealed segments.
    pub fn decode_list(bytes: &[u8]) -> Result<Self, Flaw> {
        Self::decode_as(LIST_MAGIC, bytes)
    }

    fn decode_as(magic: [u8; 8], bytes: &[u8]) -> Result<Self, Flaw> {
        let (covered, mut sum) = bytes.split_at_checked(48).ok_or(Flaw::Label)?;
        if take(&mut sum) != Some(checksum(&[covered])) {
            return Err(Flaw::Label);
        }
        let mut rest = covered;
        if take(&mut rest) != Some(magic) {
            return Err(Flaw::Label);
        }
        let sealed = sealed_version(&mut rest).map_err(|f| f.unwrap_or(Flaw::Label))?;
        take::<6>(&mut rest).ok_or(Flaw::Label)?;
        let number = take_u64(&mut rest).ok_or(Flaw::Label)?;
        let key = take(&mut rest).map(Key).ok_or(Flaw::Label)?;
        let seal = take(&mut rest).map(KeyId).ok_or(Flaw::Label)?;
        Ok(Self { number, key, seal: sealed.then_some(seal) })
    }
}

impl Header {
    /// The header as bytes of a record at `place`.
    pub fn encode(&self, place: &Place) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        let kind: u16 = match self.kind {
            Kind::Object => 1,
            Kind::Erasure => 2,
        };
        let version = if self.seal.is_some() { VERSION_SEALED } else { VERSION };
        out.extend_from_slice(&RECORD_MAGIC);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&self.head_bytes.to_le_bytes());
        out.extend_from_slice(&self.body_at.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.body_bytes.to_le_bytes());
        out.extend_from_slice(&self.batch.to_le_bytes());
        match &self.seal {
            Some(Seal { key, salt }) => {
                out.extend_from_slice(&key.0);
                out.extend_from_slice(salt);
            }
            None => out.extend_from_slice(&self.digest.0),
        }
        out.extend_from_slice(&self.head_checksum);
        let sum = place.checksum(&out);
        out.extend_from_slice(&sum);
        out.extend_from_slice(&self.mark.to_le_bytes());
        fixed(&out)
    }

    /// The header of the record that begins with `bytes`, if it was written to `place`.
    pub fn read(bytes: &[u8], place: &Place) -> Result<Self, Flaw> {
        if !bytes.starts_with(&RECORD_MAGIC) {
            return Err(Flaw::NoRecord);
        }
        let (covered, mut sum) = bytes.split_at_checked(88).ok_or(Flaw::Short)?;
        if take(&mut sum) != Some(place.checksum(covered)) {
            return Err(Flaw::Header);
        }
        Self::decode(bytes)
    }

    /// The header without a look at its checksum.
    pub fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        let rest = &mut bytes.strip_prefix(&RECORD_MAGIC).ok_or(Flaw::NoRecord)?;
        let sealed = sealed_version(rest).map_err(|f| f.unwrap_or(Flaw::Short))?;
        let header = Self::fields(rest, sealed)?;
        let seal_bytes = if sealed { HEAD_SEAL_BYTES } else { 0 };
        let head_end = usize::try_from(header.head_bytes)
            .ok()
            .filter(|bytes| *bytes >= seal_bytes && *bytes <= HEAD_BYTES_MAX + seal_bytes)
            .and_then(|bytes| u32::try_from(HEADER_BYTES + bytes).ok())
            .ok_or(Flaw::Nonsense)?;
        let sensible = header.body_at >= head_end
            && header.body_at <= BODY_AT_MAX
            && u64::from(header.body_at).is_multiple_of(ALIGNMENT_BYTES)
            && (header.kind == Kind::Object || header.body_bytes == 0);
        if sensible { Ok(header) } else { Err(Flaw::Nonsense) }
    }

    fn fields(rest: &mut &[u8], sealed: bool) -> Result<Self, Flaw> {
        let kind = match take(rest).map(u16::from_le_bytes).ok_or(Flaw::Short)? {
            1 => Kind::Object,
            2 => Kind::Erasure,
            _ => return Err(Flaw::Nonsense),
        };
        let after_kind = |rest: &mut &[u8]| {
            let head_bytes = take(rest).map(u32::from_le_bytes)?;
            let body_at = take(rest).map(u32::from_le_bytes)?;
            take::<4>(rest)?;
            let (body_bytes, batch) = (take_u64(rest)?, take_u64(rest)?);
            let (digest, seal) = if sealed {
                let (key, salt) = (KeyId(take(rest)?), take(rest)?);
                (Digest([0; 32]), Some(Seal { key, salt }))
            } else {
                (Digest(take(rest)?), None)
            };
            let head_checksum = take(rest)?;
            take::<16>(rest)?;
            let mark = take_u64(rest)?;
            let lengths = (head_bytes, body_at, body_bytes);
            Some(Self::of(kind, lengths, batch, (digest, seal), (head_checksum, mark)))
        };
        after_kind(rest).ok_or(Flaw::Short)
    }

    fn of(
        kind: Kind,
        (head_bytes, body_at, body_bytes): (u32, u32, u64),
        batch: u64,
        (digest, seal): (Digest, Option<Seal>),
        (head_checksum, mark): (Checksum, u64),
    ) -> Self {
        Self { kind, head_bytes, body_at, body_bytes, batch, digest, seal, head_checksum, mark }
    }

    /// Bytes that the body takes.
    pub fn stored_bytes(&self) -> u64 {
        stored_bytes(self.kind, self.body_bytes, self.seal.is_some())
    }

    /// Whether the body was erased.
    pub fn erased(&self) -> bool {
        self.mark.count_ones() > u64::BITS / 2
    }

    /// Whether the mark is neither of its two values.
    pub fn mark_damaged(&self) -> bool {
        self.mark != 0 && self.mark != u64::MAX
    }

    /// Where the body and the whole record end, in a segment in which the record is at `offset`.
    pub fn ends(&self, offset: u64) -> Option<(u64, u64)> {
        let body_at = offset.checked_add(u64::from(self.body_at))?;
        let body_end = body_at.checked_add(self.stored_bytes())?;
        Some((body_end, aligned(body_end)?))
    }

    /// The place of the record as others name it.
    pub fn location(&self, place: &Place) -> Location {
        Location {
            segment: place.segment,
            offset: place.offset,
            body: place.offset.saturating_add(u64::from(self.body_at)),
            length: self.body_bytes,
        }
    }
}

impl Place {
    /// What a sealed head is bound to, beside its header.
    pub fn bound(&self, header: &[u8]) -> Vec<u8> {
        let (segment, offset) = (self.segment.to_le_bytes(), self.offset.to_le_bytes());
        [&self.key.0, segment.as_slice(), &offset, header.get(..BOUND_BYTES).unwrap_or_default()]
            .concat()
    }

    fn checksum(&self, covered: &[u8]) -> Checksum {
        checksum(&[&self.key.0, &self.segment.to_le_bytes(), &self.offset.to_le_bytes(), covered])
    }
}

impl Entry {
    /// As bytes.
    pub fn encode(&self, key: Key) -> [u8; LABEL_BYTES] {
        let mut out = Vec::with_capacity(LABEL_BYTES);
        out.extend_from_slice(&ENTRY_MAGIC);
        for number in [self.number, self.end, self.records, self.bytes_kept, self.batch] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&[&key.0, &out]);
        out.extend_from_slice(&sum);
        fixed(&out)
    }

    /// From bytes; none if they are no entry.
    pub fn decode(bytes: &[u8], key: Key) -> Option<Self> {
        let (covered, mut sum) = bytes.split_at_checked(48)?;
        if take(&mut sum)? != checksum(&[&key.0, covered]) {
            return None;
        }
        let rest = &mut covered.strip_prefix(&ENTRY_MAGIC)?;
        Some(Self {
            number: take_u64(rest)?,
            end: take_u64(rest)?,
            records: take_u64(rest)?,
            bytes_kept: take_u64(rest)?,
            batch: take_u64(rest)?,
        })
    }
}

/// Bytes whose number is known, in an array; what is missing is zeros.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests;
