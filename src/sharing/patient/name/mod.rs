//! Names of people: brought to one form, spelled out, and compared.
//!
//! Names are compared as they are written on forms in the villages: traditional and variant
//! characters, padding, titles, the dots of Uyghur and Tibetan names in all their codes, characters
//! that older systems kept in the private use area, homophones from typing pinyin.

mod agree;
mod normal;
mod sound;
mod tables;

pub use agree::{Agreement, NameView, agreement};
pub use normal::{DOT, LOST, Name, is_invisible};
pub use sound::{SYLLABLES_MAX, Syllable};
pub use tables::NameTables;

#[cfg(test)]
mod tests;
