//! Every name once, with how many bear it.

use super::super::hash::hash;
use super::super::name::{Name, NameView};
use super::postings::Postings;

/// Names in memory, one after the other. What nobody bears any more stays until the index is made
/// anew; it is little.
#[derive(Default)]
pub(super) struct NamePool {
    text: String,
    readings: Vec<u32>,
    names: Vec<Kept>,
    /// Names by the hash of their form.
    numbers: Postings,
}

/// Where a name lies, and how many bear it. A form and its folded form follow each other; where they
/// are the same the second is empty.
#[derive(Clone, Copy)]
struct Kept {
    at: u32,
    readings_at: u32,
    people: u32,
    text: u16,
    folded: u16,
    readings: u8,
}

impl NamePool {
    /// The number of a name, one more bearing it. None when the pool is full (4 GiB of names).
    pub(super) fn add(&mut self, name: &Name) -> Option<u32> {
        let (text, folded, readings) = name.parts();
        if let Some(number) = self.find(text) {
            if let Some(kept) = self.kept_mut(number) {
                kept.people = kept.people.saturating_add(1);
            }
            return Some(number);
        }
        let number = u32::try_from(self.names.len()).ok()?;
        let folded = if folded == text { "" } else { folded };
        let kept = Kept {
            at: u32::try_from(self.text.len()).ok()?,
            readings_at: u32::try_from(self.readings.len()).ok()?,
            people: 1,
            text: u16::try_from(text.len()).ok()?,
            folded: u16::try_from(folded.len()).ok()?,
            readings: u8::try_from(readings.len()).ok()?,
        };
        self.text.push_str(text);
        self.text.push_str(folded);
        self.readings.extend(readings);
        self.numbers.insert(key(text), number);
        self.names.push(kept);
        Some(number)
    }

    /// One less bears a name.
    pub(super) fn release(&mut self, number: u32) {
        if let Some(kept) = self.kept_mut(number) {
            kept.people = kept.people.saturating_sub(1);
        }
    }

    /// How many bear a name.
    pub(super) fn people(&self, text: &str) -> u32 {
        self.find(text).and_then(|number| self.kept(number)).map_or(0, |kept| kept.people)
    }

    /// What is compared of a name.
    pub(super) fn view(&self, number: u32) -> Option<NameView<'_>> {
        let kept = self.kept(number)?;
        let text = self.slice(kept.at, kept.text)?;
        let folded_at = kept.at.checked_add(u32::from(kept.text))?;
        let folded = if kept.folded == 0 { text } else { self.slice(folded_at, kept.folded)? };
        let from = usize::try_from(kept.readings_at).ok()?;
        let readings = self.readings.get(from..from + usize::from(kept.readings))?;
        Some(NameView { text, folded, readings })
    }

    /// Names that somebody bears or bore.
    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.text.capacity()
            + self.readings.capacity() * size_of::<u32>()
            + self.names.capacity() * size_of::<Kept>()
            + self.numbers.bytes()
    }

    fn find(&self, text: &str) -> Option<u32> {
        self.numbers.rows(key(text)).find(|number| {
            self.kept(*number).is_some_and(|kept| self.slice(kept.at, kept.text) == Some(text))
        })
    }

    fn slice(&self, at: u32, length: u16) -> Option<&str> {
        let from = usize::try_from(at).ok()?;
        self.text.get(from..from + usize::from(length))
    }

    fn kept(&self, number: u32) -> Option<&Kept> {
        self.names.get(usize::try_from(number).ok()?)
    }

    fn kept_mut(&mut self, number: u32) -> Option<&mut Kept> {
        self.names.get_mut(usize::try_from(number).ok()?)
    }
}

fn key(text: &str) -> u32 {
    u32::try_from(hash(&[text.as_bytes()]) >> 32).unwrap_or(0)
}
