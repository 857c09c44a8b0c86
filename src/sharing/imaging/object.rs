//! How one stored object is named and where it came from.

use std::fmt;

/// SHA-256 of a data set's bytes as received, without the file meta group: the object's address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// The UIDs that place an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceUids {
    /// Study instance UID (0020,000D).
    pub study: String,
    /// Series instance UID (0020,000E).
    pub series: String,
    /// SOP instance UID (0008,0018).
    pub instance: String,
}

/// What is kept beside an object's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Where it stands.
    pub uids: InstanceUids,
    /// SOP class UID (0008,0016).
    pub sop_class: String,
    /// Transfer syntax UID of the bytes.
    pub transfer_syntax: String,
    /// Who sent it: `dicom:` and an AE title, the name of a caller, or `node:` and the name of the
    /// node that it was fetched from.
    pub source: String,
    /// When it was received, in milliseconds since 1970-01-01T00:00:00Z.
    pub received_ms: i64,
    /// Preamble and file meta group as received with a file; empty for an object that came over
    /// DIMSE.
    pub meta: Vec<u8>,
}

/// Where an object's bytes lie in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Number of the segment.
    pub segment: u64,
    /// Byte at which the record begins in the segment.
    pub offset: u64,
    /// Byte at which the data set begins in the segment.
    pub body: u64,
    /// Bytes of the data set.
    pub length: u64,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Digest {
    /// From 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn a_digest_reads_back_what_it_prints() {
        let digest = Digest([0xAB; 32]);
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("ab"), None);
        assert_eq!(Digest::parse(&"é".repeat(32)), None);
        assert_eq!(Digest::parse(&"+1".repeat(32)), None);
    }
}
