//! Where a delivery stands, as text that the caller keeps.

use sha2::{Digest as _, Sha256};

use super::DeliveryRequest;
use crate::app::error::Error;
use crate::app::imaging::ports::IndexedInstance;
use crate::sharing::imaging::object::Location;

/// What a token begins with: its layout.
const LAYOUT: &str = "d1";

/// A place in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the item that comes next.
    pub(super) item: usize,
    /// Byte of an object that comes next.
    pub(super) offset: u64,
    /// The last object in the archive that is part of it.
    pub(super) last: Location,
    /// Print of what is delivered.
    pub(super) print: u64,
}

impl Place {
    /// The beginning of a delivery of these.
    pub(super) fn beginning(instances: &[IndexedInstance]) -> Self {
        let none = Location { segment: 0, offset: 0, body: 0, length: 0 };
        let last = instances.iter().map(|i| i.location).max().unwrap_or(none);
        Self { item: 0, offset: 0, last: ordered(last.segment, last.offset), print: 0 }
    }

    /// Goes on to the next item.
    pub(super) fn pass(&mut self) {
        self.item += 1;
        self.offset = 0;
    }

    pub(super) fn token(&self) -> String {
        let Self { item, offset, last, print } = self;
        format!("{LAYOUT}-{item}-{offset}-{}-{}-{print:x}", last.segment, last.offset)
    }

    /// Reads a token; none if it is empty.
    pub(super) fn read(token: &str) -> Result<Option<Self>, Error> {
        if token.is_empty() {
            return Ok(None);
        }
        let place = Self::parse(token);
        let bad = || Error::field("resume_token", "must be as it was given, or empty");
        place.map(Some).ok_or_else(bad)
    }
}

impl Place {
    fn parse(token: &str) -> Option<Self> {
        let parts: Vec<&str> = token.split('-').collect();
        let [LAYOUT, item, offset, segment, at, print] = parts.as_slice() else { return None };
        let number = |text: &str| text.parse::<u64>().ok();
        Some(Self {
            item: item.parse().ok()?,
            offset: number(offset)?,
            last: ordered(number(segment)?, number(at)?),
            print: u64::from_str_radix(print, 16).ok()?,
        })
    }
}

/// A location after all that begin at the same byte and before those that begin later.
fn ordered(segment: u64, offset: u64) -> Location {
    Location { segment, offset, body: u64::MAX, length: u64::MAX }
}

/// A print of what is asked for and of the objects that it is made of.
pub(super) fn print(request: &DeliveryRequest, instances: &[IndexedInstance]) -> u64 {
    let mut hash = Sha256::new();
    for text in [&request.study, &request.series].into_iter().chain(&request.keys) {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.update([u8::from(request.objects)]);
    for instance in instances {
        hash.update(instance.digest.0);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let place =
            Place { item: 3, offset: 1_000, last: ordered(2, 77), print: 0xABCD_EF01_2345_6789 };
        assert_eq!(Place::read(&place.token()).unwrap(), Some(place));
        assert_eq!(Place::read("").unwrap(), None);
        for bad in
            ["x", "d2-0-0-0-0-0", "d1-0-0-0-0", "d1--1-0-0-0-0", "d1-0-0-0-0-xyz", "d1-a-0-0-0-0"]
        {
            assert!(Place::read(bad).is_err(), "{bad}");
        }
    }
}
