//! How UIDs, digests and numbers lie in a database: UIDs packed, digests cut in two.

use crate::sharing::imaging::object::Digest;

/// Begins a UID that is kept as it came, because it has other characters than digits and dots.
const PLAIN: u8 = 0xFF;

/// Two characters a byte: digits as they are, a dot as 10, nothing as 15. UIDs that cannot be
/// written so are kept as they came, after a byte that no packed one begins with.
pub(in crate::store) fn pack_uid(uid: &str) -> Vec<u8> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'.' => Some(10),
        _ => None,
    };
    let packed: Option<Vec<u8>> = uid
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let high = nibble(pair.first().copied()?)?;
            let low = pair.get(1).map_or(Some(15), |&byte| nibble(byte))?;
            Some(high << 4 | low)
        })
        .collect();
    packed.unwrap_or_else(|| {
        let mut plain = Vec::with_capacity(uid.len() + 1);
        plain.push(PLAIN);
        plain.extend_from_slice(uid.as_bytes());
        plain
    })
}

/// What [`pack_uid`] packed.
pub(in crate::store) fn unpack_uid(packed: &[u8]) -> String {
    if let Some((&PLAIN, plain)) = packed.split_first() {
        return String::from_utf8_lossy(plain).into_owned();
    }
    let mut uid = String::with_capacity(packed.len() * 2);
    for nibble in packed.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        match nibble {
            0..=9 => uid.push(char::from(b'0' + nibble)),
            10 => uid.push('.'),
            _ => {}
        }
    }
    uid
}

/// The first 8 bytes of a digest, by which it is found, and the others.
pub(in crate::store) fn cut_digest(digest: &Digest) -> (i64, &[u8]) {
    let (head, rest) = digest.0.split_at(8);
    (head.iter().fold(0_i64, |number, &byte| number << 8 | i64::from(byte)), rest)
}

/// What [`cut_digest`] cut; none if `rest` is not 24 bytes.
pub(in crate::store) fn join_digest(head: i64, rest: &[u8]) -> Option<Digest> {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend_from_slice(&head.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes.try_into().ok().map(Digest)
}

/// A number for the database, which knows no larger one.
pub(in crate::store) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from the database; what cannot be is 0.
pub(in crate::store) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{cut_digest, join_digest, pack_uid, unpack_uid};
    use crate::sharing::imaging::object::Digest;

    #[test]
    fn every_uid_comes_back_and_no_two_are_alike() {
        let uids = [
            "",
            "1",
            "1.2",
            "1.2.840.10008.1.2",
            "0",
            "00",
            ".",
            "1.2a",
            "x",
            "\u{FF}",
            "1F",
            "1?",
        ];
        for uid in uids {
            assert_eq!(unpack_uid(&pack_uid(uid)), uid);
        }
        let packed: std::collections::HashSet<_> = uids.iter().map(|uid| pack_uid(uid)).collect();
        assert_eq!(packed.len(), uids.len());
        assert_eq!(pack_uid(&"1.".repeat(32)).len(), 32);
    }

    #[test]
    fn a_digest_is_joined_as_it_was_cut() {
        for byte in [0, 0x7F, 0x80, 0xFF] {
            let digest = Digest([byte; 32]);
            let (head, rest) = cut_digest(&digest);
            assert_eq!(join_digest(head, rest), Some(digest));
        }
        assert_eq!(join_digest(0, &[0; 23]), None);
    }
}
