//! Pseudonyms of one secret: keyed digests (HMAC-SHA-256, RFC 2104) that cannot be computed or
//! tried out without it.
//!
//! Pseudonyms and UIDs carry a mark that only the secret makes, so that what is a pseudonym already
//! is known and left as it is.

use std::fmt;

use ring::hmac;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// What pseudonyms of people, documents and places begin with.
const PREFIX: &str = "XY-";
/// Digits of [`base32`]: no letter that is taken for a number.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Bytes of a pseudonym that come of what it stands for.
const BODY_BYTES: usize = 7;
/// Bytes of the mark.
const MARK_BYTES: usize = 3;
/// Root of UIDs made of UUIDs (PS3.5, B.2).
const UUID_ROOT: &str = "2.25.";
/// Bits of a UUID that say what kind it is: version 8, variant of RFC 9562.
const UUID_KIND: u128 = 0x8000_8000_0000_0000_0000;
/// Where those bits are.
const UUID_KIND_MASK: u128 = 0xF000_C000_0000_0000_0000;
/// The lowest bits, which are the mark of a UID.
const UID_MARK: u128 = 0xFFFF_FFFF;

/// A secret. Without it nothing that was replaced can be linked to what it was.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Text that is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is {} hexadecimal digits", SECRET_BYTES * 2)]
pub struct NoKey;

impl Key {
    /// From 32 random bytes.
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// From 64 hexadecimal digits; white space around them is dropped.
    ///
    /// # Errors
    /// [`NoKey`] for anything else.
    pub fn parse(text: &str) -> Result<Self, NoKey> {
        let text = text.trim();
        if text.len() != SECRET_BYTES * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NoKey);
        }
        let mut secret = [0; SECRET_BYTES];
        for (byte, at) in secret.iter_mut().zip((0..text.len()).step_by(2)) {
            let digits = text.get(at..at + 2).ok_or(NoKey)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NoKey)?;
        }
        Ok(Self::new(&secret))
    }

    /// What tells two keys apart and gives nothing away: eight hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        crate::tables::text::hex(self.digest("fingerprint", &[]).get(..4).unwrap_or_default())
    }

    fn digest(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(label.as_bytes());
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        digest
    }

    /// The pseudonym of `value`, 19 characters of `A-Z0-9-`; one that is a pseudonym of this key
    /// already stays. `kind` keeps apart what is equal by chance (a patient's number and a
    /// document's).
    pub fn pseudonym(&self, kind: &str, value: &str) -> String {
        if self.is_pseudonym(value) {
            return value.to_owned();
        }
        let digest = self.digest(kind, &[value.as_bytes()]);
        let body = digest.get(..BODY_BYTES).unwrap_or_default();
        let mut bytes = body.to_vec();
        bytes.extend_from_slice(&self.mark(body));
        format!("{PREFIX}{}", base32(&bytes))
    }

    /// Whether `text` is a pseudonym that this key made.
    pub fn is_pseudonym(&self, text: &str) -> bool {
        let Some(bytes) = text.strip_prefix(PREFIX).and_then(unbase32) else { return false };
        let (body, mark) = bytes.split_at(BODY_BYTES.min(bytes.len()));
        bytes.len() == BODY_BYTES + MARK_BYTES && mark == self.mark(body)
    }

    fn mark(&self, body: &[u8]) -> [u8; MARK_BYTES] {
        let [a, b, c, ..] = self.digest("mark", &[body]);
        [a, b, c]
    }

    /// The UID that stands for `uid`, under 2.25 (PS3.5, B.2); one that this key made stays.
    pub fn uid(&self, uid: &str) -> String {
        if self.is_uid(uid) {
            return uid.to_owned();
        }
        let digest = self.digest("uid", &[uid.as_bytes()]);
        let number = digest.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        let body = (number & !UUID_KIND_MASK & !UID_MARK) | UUID_KIND;
        format!("{UUID_ROOT}{}", body | self.uid_mark(body))
    }

    /// Whether this key made `uid`.
    pub fn is_uid(&self, uid: &str) -> bool {
        let Some(number) = uid.strip_prefix(UUID_ROOT) else { return false };
        let Ok(number) = number.parse::<u128>() else { return false };
        let body = number & !UID_MARK;
        body & UUID_KIND_MASK == UUID_KIND && number & UID_MARK == self.uid_mark(body)
    }

    fn uid_mark(&self, body: u128) -> u128 {
        let [a, b, c, d, ..] = self.digest("uid mark", &[&body.to_be_bytes()]);
        u128::from(u32::from_be_bytes([a, b, c, d]))
    }

    /// Days that the dates of a patient go back: between `min` and `max`, the same for the same
    /// patient.
    pub fn shift_days(&self, patient: &str, min: u32, max: u32) -> u32 {
        let [a, b, c, d, ..] = self.digest("shift", &[patient.as_bytes()]);
        let span = max.saturating_sub(min).saturating_add(1).max(1);
        min.saturating_add(u32::from_be_bytes([a, b, c, d]) % span)
    }
}

/// Ten bytes in sixteen characters.
fn base32(bytes: &[u8]) -> String {
    let (mut bits, mut held, mut text) = (0_u32, 0_u32, String::new());
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let at = usize::try_from((held >> bits) & 31).unwrap_or(0);
            text.push(char::from(DIGITS.get(at).copied().unwrap_or(b'0')));
        }
        held &= 0xFF;
    }
    text
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0_u32, Vec::new());
    for letter in text.bytes() {
        let at = DIGITS.iter().position(|digit| *digit == letter)?;
        held = (held << 5) | u32::try_from(at).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xFF).ok()?);
        }
        held &= 0xFF;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::new(&[byte; SECRET_BYTES])
    }

    proptest! {
        #[test]
        fn a_pseudonym_is_known_again_by_its_key_alone(value in ".*", byte in any::<u8>()) {
            let pseudonym = key(byte).pseudonym("patient", &value);
            prop_assert_eq!(pseudonym.len(), 19);
            prop_assert_eq!(key(byte).pseudonym("patient", &pseudonym), pseudonym.clone());
            let other = key(byte.wrapping_add(1));
            prop_assert!(!other.is_pseudonym(&pseudonym));
            prop_assert_ne!(other.pseudonym("patient", &value), pseudonym);
        }

        #[test]
        fn a_uid_is_valid_and_known_again(uid in "[0-9.]{1,64}", byte in any::<u8>()) {
            let new = key(byte).uid(&uid);
            prop_assert!(new.len() <= 64 && new.starts_with("2.25."));
            prop_assert_eq!(key(byte).uid(&new), new.clone());
            prop_assert!(!key(byte.wrapping_add(1)).is_uid(&new));
            let uuid = uuid::Uuid::from_u128(new["2.25.".len()..].parse().unwrap());
            prop_assert_eq!(uuid.get_version_num(), 8);
            prop_assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        }

        #[test]
        fn a_shift_is_within_its_bounds(patient in ".*", byte in any::<u8>()) {
            let days = key(byte).shift_days(&patient, 30, 3650);
            prop_assert!((30..=3650).contains(&days));
            prop_assert_eq!(key(byte).shift_days(&patient, 30, 3650), days);
        }
    }

    #[test]
    fn kinds_and_keys_are_kept_apart_and_text_that_is_no_key_is_refused() {
        assert_ne!(key(1).pseudonym("patient", "1"), key(1).pseudonym("document", "1"));
        assert_ne!(key(1).fingerprint(), key(2).fingerprint());
        assert_eq!(
            Key::parse(&format!("{}\n", "01".repeat(32))).unwrap().fingerprint(),
            key(1).fingerprint()
        );
        for text in ["", "01", &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(Key::parse(text).unwrap_err(), NoKey);
        }
        assert_eq!(format!("{:?}", key(1)), "Key(..)");
    }
}
