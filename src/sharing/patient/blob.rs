//! A prepared person in some hundred bytes, for a database row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::address::AddressSketch;
use super::name::Name;
use super::person::{BirthDate, Digest, Prepared, Sex};

/// First byte of every blob of this form.
const VERSION: u8 = 1;

/// Which parts follow, and what else is said in one bit.
mod flag {
    pub(super) const BIRTH: u16 = 1;
    pub(super) const MALE: u16 = 1 << 1;
    pub(super) const FEMALE: u16 = 1 << 2;
    pub(super) const RESIDENT: u16 = 1 << 3;
    pub(super) const CARD: u16 = 1 << 4;
    pub(super) const PHONE: u16 = 1 << 5;
    pub(super) const VILLAGE: u16 = 1 << 6;
    pub(super) const ADDRESS: u16 = 1 << 7;
    pub(super) const UPGRADED: u16 = 1 << 8;
    pub(super) const DISAGREES: u16 = 1 << 9;
    pub(super) const ALL: u16 = (1 << 10) - 1;
}

/// The bytes are no prepared person of a form that this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a prepared person")]
pub struct NotPrepared;

impl Prepared {
    /// The blob.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.flags().to_le_bytes());
        let (text, folded, readings) = self.name.parts();
        put_text(&mut bytes, text);
        put_text(&mut bytes, if folded == text { "" } else { folded });
        bytes.push(u8::try_from(readings.len()).unwrap_or(u8::MAX));
        for reading in readings.iter().take(usize::from(u8::MAX)) {
            bytes.extend(reading.to_le_bytes());
        }
        if let Some(date) = self.birth_date {
            bytes.extend(date.packed().to_le_bytes());
        }
        for digest in [self.resident_id, self.health_card, self.phone].into_iter().flatten() {
            bytes.extend(digest);
        }
        for number in [self.village, self.address.map(AddressSketch::bits)].into_iter().flatten() {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    fn flags(&self) -> u16 {
        let sex = match self.sex {
            Some(Sex::Male) => flag::MALE,
            Some(Sex::Female) => flag::FEMALE,
            None => 0,
        };
        [
            (self.birth_date.is_some(), flag::BIRTH),
            (self.resident_id.is_some(), flag::RESIDENT),
            (self.health_card.is_some(), flag::CARD),
            (self.phone.is_some(), flag::PHONE),
            (self.village.is_some(), flag::VILLAGE),
            (self.address.is_some(), flag::ADDRESS),
            (self.upgraded, flag::UPGRADED),
            (self.disagrees, flag::DISAGREES),
        ]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .fold(sex, |flags, (_, flag)| flags | flag)
    }

    /// Reads a blob.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotPrepared> {
        let mut rest = Rest(bytes);
        let prepared = read(&mut rest).filter(|_| rest.0.is_empty()).ok_or(NotPrepared)?;
        Ok(prepared)
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    // A name has 64 characters at most, of four bytes at most.
    bytes.extend(u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
    if u16::try_from(text.len()).is_ok() {
        bytes.extend(text.as_bytes());
    }
}

/// Bytes that are still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = u16::from_le_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }
}

fn read(rest: &mut Rest<'_>) -> Option<Prepared> {
    let [version] = rest.array()?;
    let flags = u16::from_le_bytes(rest.array()?);
    let has = |flag: u16| flags & flag != 0;
    if version != VERSION || flags & !flag::ALL != 0 || has(flag::MALE) && has(flag::FEMALE) {
        return None;
    }
    let (text, folded) = (rest.text()?, rest.text()?);
    let [count] = rest.array()?;
    let readings: Option<Vec<u32>> =
        (0..count).map(|_| rest.array().map(u32::from_le_bytes)).collect();
    let folded = if folded.is_empty() { text } else { folded };
    let name = Name::of_parts(text, folded, readings?)?;
    let birth_date = if has(flag::BIRTH) {
        Some(BirthDate::from_packed(u32::from_le_bytes(rest.array()?))?)
    } else {
        None
    };
    let mut digest = |flag: u16| -> Option<Option<Digest>> {
        if has(flag) { rest.array().map(Some) } else { Some(None) }
    };
    let (resident_id, health_card, phone) =
        (digest(flag::RESIDENT)?, digest(flag::CARD)?, digest(flag::PHONE)?);
    let mut number = |flag: u16| -> Option<Option<u64>> {
        if has(flag) {
            rest.array().map(|bytes| Some(u64::from_le_bytes(bytes)))
        } else {
            Some(None)
        }
    };
    let (village, address) = (number(flag::VILLAGE)?, number(flag::ADDRESS)?);
    let address = match address {
        Some(bits) => Some(AddressSketch::from_bits(bits)?),
        None => None,
    };
    let sex =
        if has(flag::MALE) { Some(Sex::Male) } else { has(flag::FEMALE).then_some(Sex::Female) };
    Some(Prepared {
        name,
        birth_date,
        sex,
        resident_id,
        health_card,
        phone,
        village,
        address,
        upgraded: has(flag::UPGRADED),
        disagrees: has(flag::DISAGREES),
    })
}

impl Serialize for Prepared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for Prepared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(|_| D::Error::custom(NotPrepared))?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}
