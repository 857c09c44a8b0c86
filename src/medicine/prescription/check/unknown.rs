//! Names that stand for no medicine, for several, for a group, or for herbs nobody compiled: what could not
//! be checked and must not be taken as safe.

use super::case::{Case, Item, Outcome};
use crate::medicine::prescription::formulary::Ingredient;
use crate::medicine::prescription::report::{Kind, Unchecked};
use crate::medicine::prescription::resolve::Named;

/// Unknown names in one order that are given suggestions; looking for them takes longest.
const SUGGESTED_MAX: usize = 10;

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    let mut suggested = 0;
    for (at, item) in case.items.iter().enumerate() {
        match item.named.as_slice() {
            [_] if is_group(case, item) => {
                let reason =
                    format!("“{}”是一类药的统称，没有做任何核对，请写明品种。", shown(item));
                out.unchecked.push(entry(case, at, Vec::new(), reason));
            }
            [_] => {}
            [] => {
                suggested += 1;
                out.unchecked.push(unknown(case, at, item, suggested <= SUGGESTED_MAX));
            }
            several => out.unchecked.push(ambiguous(case, at, item, several)),
        }
    }
    let uncompiled: Vec<usize> = (0..case.items.len())
        .filter(|at| case.item(*at).and_then(|i| i.medicine).is_some_and(|m| m.herbs_unlisted))
        .collect();
    if !uncompiled.is_empty() {
        out.unchecked.push(Unchecked {
            lines: case.line_ids(&uncompiled),
            names: case.names(&uncompiled),
            what: vec![Kind::Allergy, Kind::Interaction, Kind::Duplicate],
            reason_zh: format!(
                "{}的药材没有逐味编录，药材之间没有核对。",
                case.labels(&uncompiled, None)
            ),
            suggestions: Vec::new(),
            on_request: true,
        });
    }
}

fn is_group(case: &Case<'_>, item: &Item<'_>) -> bool {
    let ingredients = item.ingredients.iter().filter_map(|id| case.formulary().ingredient(*id));
    ingredients.into_iter().any(Ingredient::is_placeholder)
}

fn unknown(case: &Case<'_>, at: usize, item: &Item<'_>, suggest: bool) -> Unchecked {
    let suggestions = if suggest { case.formulary().suggest(item.written) } else { Vec::new() };
    let near = if suggestions.is_empty() {
        String::new()
    } else {
        format!("是不是{}？", suggestions.join("、"))
    };
    entry(case, at, suggestions, format!("认不出“{}”，没有做任何核对。{near}", shown(item)))
}

fn ambiguous(case: &Case<'_>, at: usize, item: &Item<'_>, several: &[Named]) -> Unchecked {
    let names: Vec<String> = several
        .iter()
        .filter_map(|named| match named {
            Named::Medicine(id) => case.formulary().medicine(*id).map(|m| m.name_zh.clone()),
            Named::Ingredient(id) => case.formulary().ingredient(*id).map(|i| i.name_zh.clone()),
        })
        .collect();
    let reason = format!("“{}”可能是{}，没有做任何核对，请写全名。", shown(item), names.join("或"));
    entry(case, at, names, reason)
}

fn entry(case: &Case<'_>, at: usize, suggestions: Vec<String>, reason_zh: String) -> Unchecked {
    Unchecked {
        lines: case.line_ids(&[at]),
        names: case.names(&[at]),
        what: Kind::ALL.to_vec(),
        reason_zh,
        suggestions,
        on_request: false,
    }
}

fn shown<'i>(item: &Item<'i>) -> &'i str {
    item.written.trim()
}
