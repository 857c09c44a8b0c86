//! The one-time code that a node enrols with: a secret, and by what the node knows the hub.
//!
//! 128 random bits, the first 128 bits of the SHA-256 of the certificate that vouches for the hub, and
//! 16 bits that tell a typing error; in base 32 without the letters I, L, O and U, in groups of five. So
//! whoever types it in needs nothing else to be sure of the hub, and an error is told before anything is
//! sent.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Letters and digits, by their value (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Bytes of either half.
const HALF: usize = 16;
/// Bytes of the whole.
const BYTES: usize = 2 * HALF + 2;
/// Letters and digits of it.
const SYMBOLS: usize = (BYTES * 8).div_ceil(5);
/// Letters and digits of a group.
const GROUP: usize = 5;

/// See the module. Nothing but [`Code::written`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    secret: [u8; HALF],
    pin: [u8; HALF],
}

/// What is wrong with a text that is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCode {
    /// Too many or too few.
    #[error("a code has 11 groups of 5 letters and digits")]
    Length,
    /// A character that no code has.
    #[error("a code has only digits and letters, and no letter U")]
    Symbol,
    /// A typing error.
    #[error("the code has a typing error: compare it with what the hub showed")]
    Mistyped,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").finish_non_exhaustive()
    }
}

impl Code {
    /// From a secret and the certificate (DER) that vouches for the hub.
    pub fn new(secret: [u8; HALF], vouching: &[u8]) -> Self {
        Self { secret, pin: pin(vouching) }
    }

    /// From what somebody typed: small letters, spaces, and O or I for 0 or 1 do no harm.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, NoCode> {
        let mut values = Vec::with_capacity(SYMBOLS);
        for symbol in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            values.push(value(symbol).ok_or(NoCode::Symbol)?);
        }
        if values.len() != SYMBOLS {
            return Err(NoCode::Length);
        }
        let mut bytes = Vec::with_capacity(BYTES);
        let (mut held, mut bits) = (0_u32, 0_u32);
        for value in values {
            held = (held << 5) | u32::from(value);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes.push(u8::try_from((held >> bits) & 0xff).unwrap_or(0));
                held &= (1 << bits) - 1;
            }
        }
        let taken = |from: usize| bytes.get(from..from + HALF).and_then(|b| b.try_into().ok());
        let (Some(secret), Some(pin)) = (taken(0), taken(HALF)) else {
            return Err(NoCode::Length);
        };
        let code = Self { secret, pin };
        if held == 0 && bytes.get(2 * HALF..) == Some(code.check().as_slice()) {
            Ok(code)
        } else {
            Err(NoCode::Mistyped)
        }
    }

    /// As it is shown, once.
    pub fn written(&self) -> String {
        let bytes = [&self.secret[..], &self.pin[..], &self.check()[..]].concat();
        let mut text = String::new();
        let (mut held, mut bits, mut count) = (0_u32, 0_u32, 0);
        let mut put = |value: u32| {
            if count > 0 && count % GROUP == 0 {
                text.push('-');
            }
            count += 1;
            let at = usize::try_from(value & 31).unwrap_or(0);
            text.push(ALPHABET.get(at).copied().map_or('0', char::from));
        };
        for byte in bytes {
            held = (held << 8) | u32::from(byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                put(held >> bits);
                held &= (1 << bits) - 1;
            }
        }
        if bits > 0 {
            put(held << (5 - bits));
        }
        text
    }

    /// What goes to the hub.
    pub fn secret(&self) -> [u8; HALF] {
        self.secret
    }

    /// Whether this certificate (DER) is the one that vouches for the hub.
    pub fn pins(&self, certificate: &[u8]) -> bool {
        pin(certificate) == self.pin
    }

    fn check(&self) -> [u8; 2] {
        let digest = Sha256::new_with_prefix(self.secret).chain_update(self.pin).finalize();
        [digest.first().copied().unwrap_or(0), digest.get(1).copied().unwrap_or(0)]
    }
}

/// What the hub keeps of a secret.
pub fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(b"xiangyi enrolment code\0").chain_update(secret).finalize().into()
}

fn pin(certificate: &[u8]) -> [u8; HALF] {
    let digest: [u8; 32] = Sha256::digest(certificate).into();
    let mut pin = [0; HALF];
    pin.copy_from_slice(&digest[..HALF]);
    pin
}

fn value(symbol: char) -> Option<u8> {
    let symbol = match symbol.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let at = ALPHABET.iter().position(|known| char::from(*known) == symbol)?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_code_is_read_as_it_was_written(secret: [u8; 16], vouching: Vec<u8>) {
            let code = Code::new(secret, &vouching);
            let written = code.written();
            prop_assert_eq!(written.len(), 65);
            prop_assert_eq!(Code::parse(&written).unwrap(), code.clone());
            let careless = written.to_lowercase().replace('-', " ").replace('0', "o");
            let careless = careless.replace('1', "l");
            prop_assert_eq!(Code::parse(&careless).unwrap(), code.clone());
            prop_assert!(code.pins(&vouching));
            prop_assert!(!code.pins(&[&vouching[..], b"x"].concat()));
        }

        #[test]
        fn one_wrong_letter_is_a_typing_error(secret: [u8; 16], at in 0_usize..55, to in 0_usize..32) {
            let written = Code::new(secret, b"hub").written();
            let mut letters: Vec<char> = written.chars().filter(|c| *c != '-').collect();
            let wrong = char::from(ALPHABET[to]);
            prop_assume!(letters[at] != wrong);
            letters[at] = wrong;
            let read = Code::parse(&letters.into_iter().collect::<String>());
            prop_assert!(read != Ok(Code::new(secret, b"hub")));
        }
    }

    #[test]
    fn what_is_no_code_is_told_apart() {
        let written = Code::new([7; 16], b"hub").written();
        assert_eq!(Code::parse(&written[1..]), Err(NoCode::Length));
        assert_eq!(Code::parse(""), Err(NoCode::Length));
        assert_eq!(Code::parse(&written.replacen('-', "U", 1)), Err(NoCode::Symbol));
        let (first, rest) = written.split_at(1);
        let other = if first == "2" { "3" } else { "2" };
        assert_eq!(Code::parse(&format!("{other}{rest}")), Err(NoCode::Mistyped));
        assert!(!format!("{:?}", Code::new([7; 16], b"hub")).contains('7'));
    }
}
