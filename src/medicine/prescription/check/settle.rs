//! One cause, one finding: where two checks saw the same thing, the one that says more stays.

use crate::medicine::prescription::report::{Finding, Kind};

/// Kinds that see the same cause when they speak of the same lines: the first is kept where both
/// ask for the same.
const SAME_CAUSE: &[(Kind, Kind)] = &[
    (Kind::Duplicate, Kind::Interaction),
    (Kind::Interaction, Kind::Infusion),
    (Kind::Interaction, Kind::Tcm),
    (Kind::Age, Kind::SingleDose),
    (Kind::Renal, Kind::DailyDose),
    (Kind::Renal, Kind::SingleDose),
    (Kind::Antibiotic, Kind::Indication),
    (Kind::Age, Kind::Elderly),
    (Kind::Disease, Kind::Renal),
    (Kind::Disease, Kind::Hepatic),
];

/// Whether both name the same, in whichever order: that of the lines must not decide what is said.
fn alike(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|name| b.contains(name))
}

/// Removes what another finding already says.
pub(super) fn settle(findings: &mut Vec<Finding>) {
    let mut drop = vec![false; findings.len()];
    for (i, a) in findings.iter().enumerate() {
        for (j, b) in findings.iter().enumerate() {
            if i == j || !alike(&a.lines, &b.lines) {
                continue;
            }
            let same_kind = a.kind == b.kind && a.kind == Kind::Duration;
            let pair =
                SAME_CAUSE.contains(&(a.kind, b.kind)) || SAME_CAUSE.contains(&(b.kind, a.kind));
            let seen = drop.get(i) == Some(&true) || drop.get(j) == Some(&true);
            if seen || !(pair || same_kind && i < j) || !alike(&a.medicines, &b.medicines) {
                continue;
            }
            let first = same_kind || SAME_CAUSE.contains(&(a.kind, b.kind));
            // The stronger stays; where both ask for the same, the first of the pair.
            let a_stays = a.action < b.action || (a.action == b.action && first);
            if let Some(place) = drop.get_mut(if a_stays { j } else { i }) {
                *place = true;
            }
        }
    }
    let mut at = 0;
    findings.retain(|_| {
        at += 1;
        drop.get(at - 1) != Some(&true)
    });
}
