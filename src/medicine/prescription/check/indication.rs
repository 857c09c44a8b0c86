//! Whether the diagnoses call for the medicines: no diagnosis at all, a medicine that none of
//! them asks for, an antibiotic for a virus, an infusion where swallowing would do.

use super::case::{Case, Draft, Item, Outcome};
use super::{NO_INDICATION, UNFIT, UNSUITABLE};
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::report::{Action, Kind, Severity, Unchecked};
use crate::medicine::prescription::rules::{Indication, Indications, Unfit};

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    if case.order.diagnoses.is_empty() {
        return;
    }
    let mut spoken = unjustified(case, out);
    spoken.extend(patterns(case, out));
    let mut none: Vec<usize> = Vec::new();
    let mut antibiotics: Vec<usize> = Vec::new();
    let mut unsure: Vec<usize> = Vec::new();
    let unread: Vec<usize> =
        case.not_understood.iter().copied().filter(|at| *at < case.diagnosis_count).collect();
    for (at, item) in case.known_lines() {
        if spoken.contains(&at) || item.ingredients.is_empty() && item.medicine.is_none() {
            continue;
        }
        match indicated(case, item) {
            None | Some(true) => {}
            // A diagnosis that was not understood may be the one.
            Some(false) if !unread.is_empty() => unsure.push(at),
            Some(false) if protects(case, at) => {}
            Some(false) if case.is_antibiotic(item) => antibiotics.push(at),
            Some(false) => none.push(at),
        }
    }
    for at in none {
        mismatch(case, out, at, Kind::Indication);
    }
    for at in antibiotics {
        mismatch(case, out, at, Kind::Antibiotic);
    }
    if !unsure.is_empty() {
        let texts: Vec<&str> = unread.iter().map(|at| case.disease_text(*at)).collect();
        out.unchecked.push(Unchecked {
            lines: case.line_ids(&unsure),
            names: case.names(&unsure),
            what: vec![Kind::Indication],
            reason_zh: format!(
                "认不出诊断“{}”，{}是否对症没有核对。",
                texts.join("”“"),
                case.labels(&unsure, None)
            ),
            suggestions: Vec::new(),
            on_request: true,
        });
    }
}

/// Whether a medicine is the protection that another one asks for: folic acid beside methotrexate,
/// a laxative beside an opioid.
fn protects(case: &Case<'_>, at: usize) -> bool {
    let Some(item) = case.item(at) else { return false };
    let rules = &case.known.cautions;
    case.items.iter().enumerate().filter(|(other, _)| *other != at).any(|(_, other)| {
        let own = rules.by_subject().of_medicine(other.medicine).iter();
        let inside = other.ingredients.iter().flat_map(|id| rules.by_subject().of_ingredient(*id));
        let mut rules = own.chain(inside).filter_map(|place| rules.get(*place));
        rules.any(|rule| rule.without.iter().any(|subject| item.is(case.formulary(), *subject)))
    })
}

/// Whether a diagnosis or disease of the patient is among the indications; `None` where the
/// tables know no indication for this route.
pub(super) fn indicated(case: &Case<'_>, item: &Item<'_>) -> Option<bool> {
    let mut any = false;
    for rule in case.indications(item) {
        if !rule.routes.may_hold(item.route) {
            continue;
        }
        any = true;
        let meets = |icd: Icd| rule.icd.iter().any(|prefix| icd.touches(*prefix));
        if rule.icd.contains(&Icd::ANY) || case.codes.iter().any(|coded| meets(coded.icd)) {
            return Some(true);
        }
    }
    any.then_some(false)
}

fn mismatch(case: &Case<'_>, out: &mut Outcome, at: usize, kind: Kind) {
    let Some(item) = case.item(at) else { return };
    let names = indications_zh(case, item);
    let diagnoses: Vec<&str> = case.order.diagnoses.iter().map(|d| d.trim()).collect();
    let antibiotic = kind == Kind::Antibiotic;
    // An infection that other antibiotics are for: the choice is in doubt, not the need.
    let infection = antibiotic
        && case.codes.iter().any(|coded| case.known.infections.iter().any(|p| coded.icd.is_in(*p)));
    let (action, severity, code) = if infection {
        (Action::Notice, Severity::Minor, UNSUITABLE)
    } else if antibiotic {
        (Action::NeedsReason, Severity::Moderate, NO_INDICATION)
    } else {
        (Action::Notice, Severity::Minor, UNFIT)
    };
    let origin = case.known.items.origin(code);
    out.findings.push(case.finding(Draft {
        kind,
        action,
        severity,
        items: &[at],
        subjects: vec![case.subject_name(item)],
        origin,
        reason_zh: format!(
            "诊断“{}”中没有{}的适应证（{names}）。",
            diagnoses.join("、"),
            case.labels(&[at], None)
        ),
        instead_zh: if infection {
            "改用该感染的首选药；确有药敏或过敏等理由的，写明。".to_owned()
        } else if antibiotic {
            "没有细菌感染依据就不用抗菌药；有的，补写诊断。".to_owned()
        } else {
            "确需用的，补写相应诊断；否则去掉。".to_owned()
        },
        review_code: Some(code),
    }));
}

/// A few of the medicine's indications.
fn indications_zh(case: &Case<'_>, item: &Item<'_>) -> String {
    const SHOWN: usize = 4;
    let mut names: Vec<&str> = Vec::new();
    for rule in case.indications(item) {
        if !names.contains(&rule.name_zh.as_str()) && rule.routes.may_hold(item.route) {
            names.push(&rule.name_zh);
        }
    }
    let more = if names.len() > SHOWN { "等" } else { "" };
    names.truncate(SHOWN);
    format!("用于{}{more}", names.join("、"))
}

/// A 中成药 against the pattern (证) of the diagnosis. Returns the lines spoken of.
fn patterns(case: &Case<'_>, out: &mut Outcome) -> Vec<usize> {
    let mut spoken = Vec::new();
    let diagnoses = case.texts.get(..case.diagnosis_count).unwrap_or_default();
    for (at, item) in case.known_lines() {
        let mut rows = case.known.herbs.patterns(item.medicine).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let named = |words: &[String]| {
            diagnoses.iter().position(|d| words.iter().any(|w| d.contains(w.as_str())))
        };
        let hits = rows.filter_map(|row| named(&row.words).map(|place| (row, place)));
        let Some((row, place)) = hits.min_by_key(|(row, _)| row.action) else { continue };
        spoken.push(at);
        out.findings.push(case.finding(Draft {
            kind: Kind::Indication,
            action: row.action,
            severity: row.severity,
            items: &[at],
            subjects: vec![case.subject_name(item)],
            origin: &row.origin,
            reason_zh: format!(
                "诊断“{}”，{}：{}。",
                case.disease_text(place),
                case.labels(&[at], None),
                row.reason_zh.trim_end_matches('。')
            ),
            instead_zh: if row.instead_zh.is_empty() {
                "按证型换药。".to_owned()
            } else {
                row.instead_zh.clone()
            },
            review_code: Some(UNFIT),
        }));
    }
    spoken
}

/// Rows of `unjustified.csv`: they hold where all diagnoses lie under them. Returns the lines
/// that were spoken of as having no indication.
fn unjustified(case: &Case<'_>, out: &mut Outcome) -> Vec<usize> {
    let diagnosed: Vec<Icd> = case.diagnosed().collect();
    let understood = case.not_understood.iter().all(|at| *at >= case.diagnosis_count);
    let mut spoken = Vec::new();
    if diagnosed.is_empty() || !understood {
        return spoken;
    }
    let mut causes: Vec<(&str, Vec<usize>)> = Vec::new();
    for (at, item) in case.known_lines() {
        for rule in case.known.lists.unjustified.of(item.medicine, item.ingredients) {
            let only = diagnosed.iter().all(|icd| rule.icd_only.iter().any(|p| icd.is_in(*p)));
            // An infusion is one only where it is said to be.
            let infused = rule.unfit != Unfit::Infusion || item.route.is_some();
            if !only || !infused || !rule.routes.may_hold(item.route) {
                continue;
            }
            if rule.unfit != Unfit::Infusion {
                spoken.push(at);
            }
            match causes.iter_mut().find(|(id, _)| **id == *rule.origin.id) {
                Some((_, items)) if items.contains(&at) => {}
                Some((_, items)) => items.push(at),
                None => causes.push((&rule.origin.id, vec![at])),
            }
            break;
        }
    }
    for (id, items) in causes {
        let first = items.first().and_then(|at| case.item(*at));
        let Some(item) = first else { continue };
        let mut rules = case.known.lists.unjustified.of(item.medicine, item.ingredients);
        let Some(rule) = rules.find(|rule| *rule.origin.id == *id) else { continue };
        let kind = match rule.unfit {
            Unfit::Antibiotic => Kind::Antibiotic,
            Unfit::Indication => Kind::Indication,
            Unfit::Infusion => Kind::Infusion,
        };
        let subjects =
            items.iter().filter_map(|at| case.item(*at)).map(|i| case.subject_name(i)).collect();
        out.findings.push(case.finding(Draft {
            kind,
            action: rule.action,
            severity: rule.severity,
            items: &items,
            subjects,
            origin: &rule.origin,
            reason_zh: format!(
                "诊断只有“{}”，{}：{}。",
                case.order.diagnoses.join("、"),
                case.labels(&items, None),
                rule.reason_zh.trim_end_matches('。')
            ),
            instead_zh: rule.instead_zh.clone(),
            review_code: Some(NO_INDICATION),
        }));
    }
    spoken
}

impl<'a> Case<'a> {
    /// What a medicine is for: its own rows where it has any (a cold tablet is not for all that
    /// each of its parts is for), else those of its ingredients.
    pub(super) fn indications<'i>(
        &self,
        item: &'i Item<'a>,
    ) -> impl Iterator<Item = &'a Indication> + use<'i, 'a> {
        let known: &'a Indications = &self.known.indications;
        let own = known.by_subject().of_medicine(item.medicine);
        let parts = if own.is_empty() { item.ingredients } else { &[] };
        let inside = parts.iter().flat_map(|id| known.by_subject().of_ingredient(*id));
        own.iter().chain(inside).filter_map(|at| known.get(*at))
    }

    /// Whether a medicine, other than an antibiotic, treats a long-term disease of the patient.
    pub(super) fn treats_long_term(&self, item: &Item<'_>) -> bool {
        let state = self.known.lists.state("long_term");
        let mut rules = self.indications(item);
        !self.is_antibiotic(item)
            && rules.any(|rule| {
                let chronic = |icd: Icd| state.iter().any(|prefix| icd.is_in(*prefix));
                let treats = |icd: Icd| {
                    rule.icd.iter().any(|prefix| *prefix != Icd::ANY && icd.touches(*prefix))
                };
                self.codes.iter().any(|coded| chronic(coded.icd) && treats(coded.icd))
            })
    }
}
