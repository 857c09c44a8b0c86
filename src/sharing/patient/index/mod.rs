//! Millions of people in memory, and the question who of them somebody is.
//!
//! A person is one row of 64 bytes, a name that others may share, and some eight to ten keys of eight
//! bytes. A question looks its keys up, compares whom they lead to, and weighs. Numbers are there as
//! keyed hashes only; names, birth dates, sexes and villages are in clear, in memory.
//!
//! Nothing here locks or waits: callers keep the index behind a lock of their own. Rows and keys are
//! added in place, without copying what is there; only the names, the smaller part, lie in lists that
//! are copied when they are full, which happens twenty times on the way to millions.

mod find;
mod keys;
mod names;
mod postings;
mod rows;

use std::fmt;

use super::compare::Side;
use super::found::{Candidate, Decisions, Found};
use super::person::Prepared;
use super::tables::PeopleTables;
use keys::KeyKind;
use names::NamePool;
use postings::Postings;
use rows::{Row, Rows};

/// People whom a question is compared with at most.
const CANDIDATES_MAX: usize = 5_000;

/// People in memory. `Debug` prints nobody.
#[derive(Default)]
pub struct PeopleIndex {
    rows: Rows,
    names: NamePool,
    keys: Postings,
}

impl fmt::Debug for PeopleIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeopleIndex").field("people", &self.len()).finish_non_exhaustive()
    }
}

/// The index is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index of people is full")]
pub struct IndexFull;

/// Fills an index with many people at once, as at the start, several times faster than
/// [`PeopleIndex::insert`]. Nobody can be asked for before [`PeopleLoader::finish`].
#[derive(Debug, Default)]
pub struct PeopleLoader {
    index: PeopleIndex,
}

impl PeopleLoader {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a person. Of several with one id the last stays.
    pub fn add(&mut self, id: u64, person: &Prepared) -> Result<(), IndexFull> {
        self.index.add(id, person, Postings::push)
    }

    /// The index.
    pub fn finish(self) -> PeopleIndex {
        let mut index = self.index;
        index.keys.settle();
        let replaced: Vec<u32> = (0..index.rows.end())
            .filter(|number| {
                let Some(row) = index.rows.get(*number) else { return false };
                let later = |other: u32| {
                    other > *number && index.rows.get(other).is_some_and(|o| o.id == row.id)
                };
                index.keys.rows(of_id(row.id)).any(later)
            })
            .collect();
        for number in replaced {
            index.remove_row(number);
        }
        index
    }
}

impl PeopleIndex {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a person, in the place of whoever had this id.
    pub fn insert(&mut self, id: u64, person: &Prepared) -> Result<(), IndexFull> {
        self.remove(id);
        self.add(id, person, Postings::insert)
    }

    /// Takes a person out. Nothing happens if there is none of this id.
    pub fn remove(&mut self, id: u64) {
        if let Some(number) = self.row_of(id) {
            self.remove_row(number);
        }
    }

    fn add(
        &mut self,
        id: u64,
        person: &Prepared,
        put: impl Fn(&mut Postings, u32, u32),
    ) -> Result<(), IndexFull> {
        let side = person.side();
        let name = self.names.add(&person.name).ok_or(IndexFull)?;
        let Some(number) = self.rows.add(Row::new(id, name, &side)) else {
            self.names.release(name);
            return Err(IndexFull);
        };
        put(&mut self.keys, of_id(id), number);
        for key in keys::keys(&side) {
            put(&mut self.keys, key, number);
        }
        Ok(())
    }

    fn remove_row(&mut self, number: u32) {
        let Some(row) = self.rows.get(number).copied() else { return };
        let gone = self.side(&row).map(|side| keys::keys(&side)).unwrap_or_default();
        for key in gone {
            self.keys.remove(key, number);
        }
        self.keys.remove(of_id(row.id), number);
        self.names.release(row.name);
        self.rows.release(number);
    }

    /// Whether there is a person of this id.
    pub fn contains(&self, id: u64) -> bool {
        self.row_of(id).is_some()
    }

    /// People.
    pub fn len(&self) -> usize {
        self.rows.count()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names that differ in form.
    pub fn names(&self) -> usize {
        self.names.count()
    }

    /// Keys that lead to people.
    pub fn keys(&self) -> usize {
        self.keys.count()
    }

    /// Bytes of memory, of what is filled and what is reserved.
    pub fn memory_bytes(&self) -> usize {
        self.rows.bytes() + self.names.bytes() + self.keys.bytes()
    }

    /// Ids of the people who share a key with `person`, in no order of likelihood.
    pub fn candidates(&self, person: &Prepared) -> Vec<u64> {
        let rows = self.candidate_rows(&person.side());
        rows.into_iter().filter_map(|row| self.rows.get(row)).map(|row| row.id).collect()
    }

    /// Who of the index `person` is, by the tables and by what was decided before.
    pub fn find(
        &self,
        tables: &PeopleTables,
        person: &Prepared,
        decisions: &dyn Decisions,
    ) -> Found {
        find::find(self, tables, person, decisions)
    }

    /// What speaks for and against `person` being the person of this id; none if there is none. For
    /// showing a pair that somebody asks about.
    pub fn explain(&self, tables: &PeopleTables, person: &Prepared, id: u64) -> Option<Candidate> {
        find::explain(self, tables, person, id)
    }

    fn candidate_rows(&self, side: &Side<'_>) -> Vec<u32> {
        let mut rows = Vec::new();
        for key in keys::asked(side) {
            let room = CANDIDATES_MAX.saturating_sub(rows.len());
            rows.extend(self.keys.rows(key).take(room));
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn row_of(&self, id: u64) -> Option<u32> {
        let has = |row: &u32| self.rows.get(*row).is_some_and(|row| row.id == id);
        self.keys.rows(of_id(id)).find(has)
    }

    fn side(&self, row: &Row) -> Option<Side<'_>> {
        self.names.view(row.name).map(|name| row.side(name))
    }

    /// How many have this telephone number.
    fn people_with_phone(&self, phone: u64) -> usize {
        let has = |row: &u32| self.rows.get(*row).is_some_and(|row| row.has_phone(phone));
        self.keys.rows(keys::of_number(KeyKind::Phone, phone)).filter(has).count()
    }
}

fn of_id(id: u64) -> u32 {
    keys::of_number(KeyKind::Id, id)
}

#[cfg(test)]
mod tests;
