//! What both stores do alike with entries of look-ups.

use super::failed;
use crate::app::error::Error;
use crate::app::exchange::ports::{Allowance, LookUpEntry, Spent, TOO_MANY};

/// The entry as it is written, and what the node has used where that is too much. `spent` is none
/// where the entry does not count.
pub(in crate::store) fn over(
    entry: LookUpEntry,
    spent: Option<Spent>,
    allowance: Allowance,
) -> (LookUpEntry, Option<Spent>) {
    match spent {
        Some(spent) if !spent.allows(allowance) => {
            let entry =
                LookUpEntry { documents: Vec::new(), outcome: TOO_MANY, counted: false, ..entry };
            (entry, Some(spent))
        }
        Some(_) | None => (entry, None),
    }
}

/// Numbers as the trail has them.
pub(in crate::store) fn numbers(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(" ")
}

/// A column that is not what was written there is damage, not a store that does not answer.
pub(in crate::store) fn failed_reading(error: sqlx::Error) -> Error {
    if matches!(error, sqlx::Error::ColumnDecode { .. }) {
        return Error::internal("store of documents", error);
    }
    failed(error)
}
