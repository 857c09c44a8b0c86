//! How values travel: many rows as one array a column, so that one statement takes a whole batch in
//! one trip to the server; and what text must be to lie there.

use std::borrow::Cow;

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;

use crate::app::imaging::ports::IndexEntry;
use crate::sharing::imaging::object::Digest;
use crate::store::studies::merge::{patient_fields, series_fields, study_fields};
use crate::store::studies::packed::pack_uid;

/// Bytes of a text at most. An index takes 2,700 of a row; no attribute that is kept may be half as
/// long by the standard.
const TEXT_BYTES_MAX: usize = 1024;
/// Bytes of a longer text that are kept before its digest.
const TEXT_BYTES_KEPT: usize = 900;

/// `text` as it is kept: without NUL, which PostgreSQL has not, and shortened to its beginning and a
/// digest if it is longer than any such value may be. Two texts that differ stay different.
pub(super) fn kept(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    if text.contains('\0') {
        text = Cow::Owned(text.replace('\0', ""));
    }
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let cut = text.floor_char_boundary(TEXT_BYTES_KEPT);
    let digest = Digest(sha256(&[&text]));
    Cow::Owned(format!("{}~{digest}", text.get(..cut).unwrap_or_default()))
}

/// SHA-256 of texts, each with its length before it.
pub(super) fn sha256(texts: &[&str]) -> [u8; 32] {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    for text in texts {
        hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().into()
}

/// A UID as it lies in its column.
pub(super) fn uid(uid: &str) -> Vec<u8> {
    pack_uid(&kept(uid))
}

/// UIDs as they lie in their columns.
pub(super) fn uids<T: AsRef<str>>(uids: impl IntoIterator<Item = T>) -> Vec<Vec<u8>> {
    uids.into_iter().map(|one| uid(one.as_ref())).collect()
}

/// Makes every text of an entry one that can be kept.
pub(super) fn keep(entry: &mut IndexEntry) {
    let IndexEntry { head, header, .. } = entry;
    let uids = &mut head.uids;
    let instance = &mut header.instance;
    let of_instance = [
        &mut instance.number,
        &mut instance.content_date,
        &mut instance.content_time,
        &mut instance.image_type,
        &mut instance.slice_thickness,
        &mut instance.image_position,
        &mut instance.burned_in_annotation,
        &mut instance.report_state,
        &mut instance.report_title,
    ];
    let of_head = [
        &mut uids.study,
        &mut uids.series,
        &mut uids.instance,
        &mut head.sop_class,
        &mut head.transfer_syntax,
    ];
    let texts = of_head
        .into_iter()
        .chain(of_instance)
        .chain(patient_fields(&mut header.patient))
        .chain(study_fields(&mut header.study))
        .chain(series_fields(&mut header.series));
    for text in texts {
        if let Cow::Owned(changed) = kept(text) {
            *text = changed;
        }
    }
}

/// Rows of a table, a vector a column: numbers, then bytes, then texts.
#[derive(Debug)]
pub(super) struct Rows<const I: usize, const B: usize, const T: usize> {
    ints: [Vec<Option<i64>>; I],
    bytes: [Vec<Vec<u8>>; B],
    texts: [Vec<String>; T],
}

impl<const I: usize, const B: usize, const T: usize> Rows<I, B, T> {
    pub(super) fn new() -> Self {
        Self {
            ints: std::array::from_fn(|_| Vec::new()),
            bytes: std::array::from_fn(|_| Vec::new()),
            texts: std::array::from_fn(|_| Vec::new()),
        }
    }

    pub(super) fn push(&mut self, ints: [Option<i64>; I], bytes: [Vec<u8>; B], texts: [String; T]) {
        for (column, value) in self.ints.iter_mut().zip(ints) {
            column.push(value);
        }
        for (column, value) in self.bytes.iter_mut().zip(bytes) {
            column.push(value);
        }
        for (column, value) in self.texts.iter_mut().zip(texts) {
            column.push(value);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ints.first().is_none_or(Vec::is_empty)
    }

    /// Binds all columns, in order.
    pub(super) fn bind(
        self,
        mut query: Query<'static, Postgres, PgArguments>,
    ) -> Query<'static, Postgres, PgArguments> {
        for column in self.ints {
            query = query.bind(column);
        }
        for column in self.bytes {
            query = query.bind(column);
        }
        for column in self.texts {
            query = query.bind(column);
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::{TEXT_BYTES_MAX, kept, uid};
    use crate::store::studies::packed::unpack_uid;

    #[test]
    fn long_texts_are_shortened_once_and_stay_different() {
        let (one, other) = ("病".repeat(1000), format!("{}x", "病".repeat(999)));
        let short = kept(&one).into_owned();
        assert!(short.len() <= TEXT_BYTES_MAX && short.starts_with('病'));
        assert_eq!(kept(&short), short);
        assert_ne!(kept(&other), short);
        assert_eq!(kept("a\0b"), "ab");
        let whole = "1.".repeat(512);
        assert_eq!(kept(&whole), whole);
        assert_eq!(unpack_uid(&uid(&"1.".repeat(600))), kept(&"1.".repeat(600)));
    }
}
