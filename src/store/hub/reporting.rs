//! What both stores of a hub make of what nodes told, without SQL.

use super::{damaged, version};
use crate::app::reporting::ports::{Heard, KeptTelling, Present, Telling};

/// A row of what was told: node, place, month, revision, time and numbers.
pub(in crate::store) type ToldRow = (String, String, String, i64, i64, String);
/// A row of presence: node, place, day and hours.
pub(in crate::store) type PresentRow = (String, String, i64, i64);

/// Numbers as they are kept.
pub(in crate::store) fn numbers(telling: &Telling) -> Result<String, serde_json::Error> {
    serde_json::to_string(&telling.numbers)
}

/// A telling from its row.
pub(in crate::store) fn telling(row: ToldRow) -> Result<KeptTelling, sqlx::Error> {
    let (node, place, month, revision, at_ms, numbers) = row;
    let month = month.parse().map_err(|_| damaged("month"))?;
    let numbers = serde_json::from_str(&numbers).map_err(|_| damaged("numbers"))?;
    let telling = Telling { place, month, revision: version(revision), numbers };
    Ok(KeptTelling { node, telling, at_ms })
}

/// Presence from its row.
pub(in crate::store) fn present((node, place, day_ms, hours): PresentRow) -> Present {
    Present { node, place, day_ms, hours: version(hours) }
}

/// What became of a telling: whether it was inserted, and else the newest revision with its numbers.
pub(in crate::store) fn heard(
    inserted: bool,
    newest: Option<(i64, String)>,
    (revision, numbers): (u32, &str),
) -> Heard {
    match newest {
        _ if inserted => Heard::Kept,
        Some((newest, kept)) if version(newest) == revision && kept == numbers => Heard::Known,
        Some((newest, _)) => Heard::Behind { newest: version(newest) },
        // Nothing is there and nothing was inserted: somebody who raced has not committed yet.
        None => Heard::Behind { newest: revision },
    }
}
