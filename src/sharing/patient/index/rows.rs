//! One row a person: everything but the name in 64 bytes, which is what a processor reads at once.
//!
//! Columns of their own would make every comparison wait for memory eight times.

use super::super::address::AddressSketch;
use super::super::compare::Side;
use super::super::person::{BirthDate, Sex};

/// Rows in one piece of memory: a full piece is never moved.
const PIECE_ROWS: usize = 4_096;

/// A person in the index. Zero is none.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row {
    pub(super) id: u64,
    resident_id: u64,
    health_card: u64,
    phone: u64,
    village: u64,
    address: u64,
    birth_date: u32,
    pub(super) name: u32,
    sex: u8,
    /// Whether somebody is here.
    pub(super) taken: bool,
}

impl Row {
    pub(super) fn new(id: u64, name: u32, side: &Side<'_>) -> Self {
        Self {
            id,
            resident_id: side.resident_id.unwrap_or(0),
            health_card: side.health_card.unwrap_or(0),
            phone: side.phone.unwrap_or(0),
            village: side.village.unwrap_or(0),
            address: side.address.map_or(0, AddressSketch::bits),
            birth_date: side.birth_date.map_or(0, BirthDate::packed),
            name,
            sex: match side.sex {
                Some(Sex::Male) => 1,
                Some(Sex::Female) => 2,
                None => 0,
            },
            taken: true,
        }
    }

    /// What is compared, with the name from where names are.
    pub(super) fn side<'n>(&self, name: super::super::name::NameView<'n>) -> Side<'n> {
        let known = |number: u64| (number != 0).then_some(number);
        Side {
            name,
            birth_date: BirthDate::from_packed(self.birth_date),
            sex: match self.sex {
                1 => Some(Sex::Male),
                2 => Some(Sex::Female),
                _ => None,
            },
            resident_id: known(self.resident_id),
            health_card: known(self.health_card),
            phone: known(self.phone),
            village: known(self.village),
            address: AddressSketch::from_bits(self.address),
        }
    }

    /// The hash of the telephone number.
    pub(super) fn has_phone(&self, phone: u64) -> bool {
        self.phone == phone
    }
}

/// Rows, in pieces.
#[derive(Default)]
pub(super) struct Rows {
    pieces: Vec<Vec<Row>>,
    free: Vec<u32>,
    count: usize,
}

impl Rows {
    /// Puts a row somewhere. None when there are 2^32 rows.
    pub(super) fn add(&mut self, row: Row) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            *self.get_mut(number)? = row;
            self.count += 1;
            return Some(number);
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE_ROWS) {
            self.pieces.push(Vec::with_capacity(PIECE_ROWS));
        }
        let before = (self.pieces.len() - 1) * PIECE_ROWS;
        let piece = self.pieces.last_mut()?;
        let number = u32::try_from(before + piece.len()).ok()?;
        piece.push(row);
        self.count += 1;
        Some(number)
    }

    /// Frees a row.
    pub(super) fn release(&mut self, number: u32) {
        if let Some(row) = self.get_mut(number).filter(|row| row.taken) {
            row.taken = false;
            self.free.push(number);
            self.count -= 1;
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Row> {
        let number = usize::try_from(number).ok()?;
        let row = self.pieces.get(number / PIECE_ROWS)?.get(number % PIECE_ROWS)?;
        row.taken.then_some(row)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Row> {
        let number = usize::try_from(number).ok()?;
        self.pieces.get_mut(number / PIECE_ROWS)?.get_mut(number % PIECE_ROWS)
    }

    /// Past the last row that was ever taken.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.pieces.iter().map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// People.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.pieces.len() * PIECE_ROWS * size_of::<Row>()
            + self.pieces.capacity() * size_of::<Vec<Row>>()
            + self.free.capacity() * size_of::<u32>()
    }
}
