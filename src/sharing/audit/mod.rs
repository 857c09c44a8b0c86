//! The audit trail as a chain: how an entry is written as bytes, and the digests that hold one entry to
//! the one before it. Where entries are kept, who may read them and who signs heads is told elsewhere.
//!
//! `digest(n) = H(digest(n-1) ‖ encoding(n))`, once with SHA-256 and once with SM3 (GB/T 32905), each over
//! its own digest before. The first one stands on the digest of [`Origin`], so that the chain of one
//! database does not fit another. A chain alone proves nothing against somebody who works it all out
//! anew; the heads that are signed and kept elsewhere do ([`anchor`]).

pub mod alarms;
pub mod anchor;
pub mod export;
mod verify;

#[cfg(test)]
mod tests;

use sha2::{Digest as _, Sha256};
use sm3::Sm3;

pub use self::anchor::{Anchor, Mark};
pub use self::verify::{Broken, Fault, Intact, Verifier};

/// Version of the encoding; the first byte of every entry.
const ENCODING: u8 = 1;
/// What the encoding of an origin begins with.
const DOMAIN: &str = "xiangyi audit chain";
/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 32;

/// What a chain begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Id of the chain, made at random with it.
    pub chain: String,
    /// When it began, in milliseconds since 1970.
    pub begun_ms: i64,
    /// Entries up to this number were there before the trail was chained; they were chained then, and
    /// say nothing of the time before. 0: none.
    pub chained_later: u64,
}

/// What an entry says, without its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who: name of the credential or node.
    pub caller: &'a str,
    /// As what.
    pub role: &'a str,
    /// What was done.
    pub action: &'a str,
    /// To which record; may be empty.
    pub record_id: &'a str,
    /// Whose; may be empty.
    pub patient_reference: &'a str,
    /// What came of it.
    pub outcome: &'a str,
    /// Why; may be empty.
    pub detail: &'a str,
}

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the chain, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who: name of the credential or node.
    pub caller: String,
    /// As what.
    pub role: String,
    /// What was done.
    pub action: String,
    /// To which record; may be empty.
    pub record_id: String,
    /// Whose; may be empty.
    pub patient_reference: String,
    /// What came of it.
    pub outcome: String,
    /// Why; may be empty.
    pub detail: String,
    /// SHA-256 of the chain up to here; empty if there is none.
    pub sha256: Vec<u8>,
    /// SM3 of the chain up to here; empty if there is none.
    pub sm3: Vec<u8>,
}

/// Where a chain has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the last entry; 0: none.
    pub number: u64,
    /// SHA-256 of the chain up to it.
    pub sha256: [u8; DIGEST_BYTES],
    /// SM3 of the chain up to it.
    pub sm3: [u8; DIGEST_BYTES],
}

impl Origin {
    /// The head of the chain that has no entry yet.
    pub fn head(&self) -> Head {
        let mut bytes = Vec::with_capacity(96);
        bytes.push(ENCODING);
        for part in [DOMAIN, &self.chain] {
            text(&mut bytes, part);
        }
        bytes.extend_from_slice(&self.begun_ms.to_be_bytes());
        bytes.extend_from_slice(&self.chained_later.to_be_bytes());
        Head { number: 0, sha256: Sha256::digest(&bytes).into(), sm3: Sm3::digest(&bytes).into() }
    }
}

impl Said<'_> {
    /// The entry at place `number` as bytes: version (1 byte), number and time (8 bytes each, big-endian),
    /// and each text with its length in front (8 bytes), in the order of the fields.
    fn encode(&self, number: u64) -> Vec<u8> {
        let texts = [
            self.caller,
            self.role,
            self.action,
            self.record_id,
            self.patient_reference,
            self.outcome,
            self.detail,
        ];
        let length: usize = texts.iter().map(|text| text.len() + 8).sum();
        let mut bytes = Vec::with_capacity(17 + length);
        bytes.push(ENCODING);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&self.at_ms.to_be_bytes());
        for part in texts {
            text(&mut bytes, part);
        }
        bytes
    }
}

impl Entry {
    /// What it says.
    pub fn said(&self) -> Said<'_> {
        Said {
            at_ms: self.at_ms,
            caller: &self.caller,
            role: &self.role,
            action: &self.action,
            record_id: &self.record_id,
            patient_reference: &self.patient_reference,
            outcome: &self.outcome,
            detail: &self.detail,
        }
    }
}

impl Head {
    /// The head with this entry after it.
    #[must_use]
    pub fn after(&self, said: &Said<'_>) -> Self {
        self.at(self.number + 1, said)
    }

    /// The head with this entry after it, at a place of its own: entries that were there before the chain
    /// keep their numbers.
    #[must_use]
    pub fn at(&self, number: u64, said: &Said<'_>) -> Self {
        let bytes = said.encode(number);
        let sha256 = Sha256::new().chain_update(self.sha256).chain_update(&bytes).finalize();
        let sm3 = Sm3::new().chain_update(self.sm3).chain_update(&bytes).finalize();
        Self { number, sha256: sha256.into(), sm3: sm3.into() }
    }

    /// Whether an entry says that the chain up to it has these digests.
    fn is_kept_by(&self, entry: &Entry) -> bool {
        entry.sha256 == self.sha256 && entry.sm3 == self.sm3
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    // A length never exceeds 64 bits.
    bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
