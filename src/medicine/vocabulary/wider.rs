//! Names that are wider than one condition: 脑卒中 is a haemorrhage, an infarction or an attack.
//!
//! They are for understanding what somebody else calls a case; the node never answers with one.

use std::collections::HashMap;

use serde::Deserialize;

use super::{ConditionId, Vocabulary, english};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, list, rows};
use crate::tables::text::fold;

/// The table of wider names.
pub const WIDER: &str = "diagnosis/wider.csv";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    conditions: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

/// Folded wider names with their conditions; a set of tables without [`WIDER`] knows none. Refuses
/// an uncited row, an unknown condition, a name that another row has, and the name of a condition
/// that is not among them.
pub(super) fn wider(
    files: &Files,
    vocabulary: &Vocabulary,
) -> Result<HashMap<String, Vec<ConditionId>>, LoadError> {
    let mut out = HashMap::new();
    if !files.paths().any(|path| path == WIDER) {
        return Ok(out);
    }
    for (line, row) in rows::<Row>(files, WIDER)? {
        let refuse = |message: String| LoadError::line(WIDER, line, message);
        vocabulary.sources.check(WIDER, line, &row.source)?;
        let conditions = list(&row.conditions)
            .map(|slug| vocabulary.require_condition(WIDER, line, slug))
            .collect::<Result<Vec<_>, _>>()?;
        let name = fold(row.name.trim());
        if name.is_empty() || conditions.is_empty() {
            return Err(refuse("needs a name and conditions".to_owned()));
        }
        // A loose name may be a condition's own as well; then that one is among them.
        let owner = vocabulary.condition_names.get(&name);
        if owner.is_some_and(|owner| !conditions.contains(owner)) {
            return Err(refuse(format!("`{name}` is the name of another condition")));
        }
        if let Some(key) = english::key(&name).filter(|key| *key != name) {
            out.entry(key).or_insert_with(|| conditions.clone());
        }
        if out.insert(name.clone(), conditions).is_some() && english::key(&name).is_none() {
            return Err(refuse(format!("`{name}` stands twice")));
        }
    }
    Ok(out)
}
