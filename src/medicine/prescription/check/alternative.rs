//! What could be given instead: medicines of the essential list for the same diagnosis that pass
//! the same checks with this patient and the rest of the prescription.

use std::collections::BTreeMap;

use super::PrescriptionKnowledge;
use super::case::{Case, Item, Place};
use super::indication::indicated;
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::formulary::{Formulary, MedicineId, Subject};
use crate::medicine::prescription::order::{Line, Order};
use crate::medicine::prescription::report::{Action, Alternative, Finding, Kind, alternatives_zh};
use crate::medicine::prescription::rules::Indications;

/// Most alternatives of one finding.
const SHOWN: usize = 2;
/// Most candidates that are checked with the whole prescription for one finding.
const TRIED: usize = 4;
/// Most candidates that are checked alone for one finding, which costs little: with a penicillin
/// allergy the first eight for tonsillitis may all be penicillins.
const LOOKED_AT: usize = 24;

/// Medicines of the list by what they are for.
#[derive(Debug)]
pub(super) struct Alternatives {
    /// Prefix, then rank and medicine, best first.
    by_icd: BTreeMap<Icd, Vec<(u8, MedicineId)>>,
}

impl Alternatives {
    pub(super) fn new(formulary: &Formulary, indications: &Indications) -> Self {
        let mut by_icd: BTreeMap<Icd, Vec<(u8, MedicineId)>> = BTreeMap::new();
        for rule in indications.all() {
            let listed = formulary.medicines().iter().filter(|m| !m.code.starts_with('X'));
            let members = formulary.members(rule.subject);
            for medicine in listed.filter(|m| m.specialist.is_empty()) {
                let fits = match rule.subject {
                    Subject::Medicine(id) => id == medicine.id,
                    Subject::Ingredient(_) | Subject::Class(_) => {
                        matches!(medicine.ingredients.as_slice(), [one] if members.contains(one))
                    }
                };
                for icd in rule.icd.iter().filter(|icd| fits && **icd != Icd::ANY) {
                    by_icd.entry(*icd).or_default().push((rule.rank, medicine.id));
                }
            }
        }
        for list in by_icd.values_mut() {
            list.sort_unstable();
            list.dedup();
        }
        Self { by_icd }
    }

    /// Medicines for a code, with their rank.
    fn of(&self, icd: Icd) -> impl Iterator<Item = (u8, MedicineId)> {
        let lists = icd.prefixes().filter_map(|prefix| self.by_icd.get(&prefix));
        lists.flat_map(|list| list.iter().copied())
    }
}

/// Adds alternatives to the findings that interrupt and are about the choice of a medicine.
pub(super) fn offer(case: &Case<'_>, findings: &mut [Finding]) {
    let mut done: Vec<(String, Vec<Alternative>)> = Vec::new();
    for finding in findings.iter_mut().filter(|f| f.action <= Action::NeedsReason) {
        let about_choice = match finding.kind {
            Kind::Allergy
            | Kind::Interaction
            | Kind::Pregnancy
            | Kind::Age
            | Kind::Sex
            | Kind::Lactation
            | Kind::Disease
            | Kind::Renal
            | Kind::Hepatic
            | Kind::Antibiotic
            | Kind::SkinTest
            | Kind::Elderly => true,
            Kind::Duplicate
            | Kind::SingleDose
            | Kind::DailyDose
            | Kind::Route
            | Kind::Frequency
            | Kind::Duration
            | Kind::Indication
            | Kind::Infusion
            | Kind::Tcm
            | Kind::LegalForm
            | Kind::Monitoring
            | Kind::FoodAlcohol => false,
        };
        let Some(line) = finding.lines.first().filter(|_| about_choice) else { continue };
        if finding.kind == Kind::Antibiotic
            && finding.review_code.as_deref() != Some(super::RESTRICTED)
        {
            continue;
        }
        let known = done.iter().find(|(id, _)| id == line).map(|(_, found)| found.clone());
        let found = known.unwrap_or_else(|| alternatives(case, line));
        if !found.is_empty() {
            let instead = finding.instead_zh.trim_end_matches('。');
            let join = if instead.is_empty() { "" } else { "。" };
            finding.instead_zh = format!("{instead}{join}{}", alternatives_zh(&found));
        }
        done.push((line.clone(), found.clone()));
        finding.alternatives = found;
    }
}

fn alternatives(case: &Case<'_>, line_id: &str) -> Vec<Alternative> {
    let line = case.items.iter().find(|item| case.line(item).is_some_and(|l| l.id == line_id));
    let Some((item, line)) = line.and_then(|item| Some((item, case.line(item)?))) else {
        return Vec::new();
    };
    let fits = indicated(case, item) == Some(true);
    let mut candidates: Vec<(u8, MedicineId)> = Vec::new();
    for icd in case.diagnosed() {
        if fits && !treats(case, item, icd) {
            continue;
        }
        candidates.extend(case.known.alternatives.of(icd));
    }
    candidates.sort_unstable();
    let mut found = Vec::new();
    let mut seen: Vec<MedicineId> = Vec::new();
    let antibiotics = &case.known.lists.antibiotics;
    let mut tried = 0;
    // The way it is given may stand in the name alone (阿莫西林胶囊).
    let line = &Line {
        id: line.id.clone(),
        route: item.route.map_or_else(|| line.route.clone(), |r| r.name_zh().to_owned()),
        ..Line::default()
    };
    let mut whole = case.order.clone();
    for other in whole.lines.iter_mut().filter(|other| other.id == line.id) {
        other.clone_from(line);
    }
    let mut by_itself =
        Order { lines: vec![line.clone()], current: Vec::new(), ..case.order.clone() };
    let others = case.items.len() > 1;
    for (rank, id) in candidates {
        let Some(medicine) = case.formulary().medicine(id) else { continue };
        // A painkiller is no alternative to an antibiotic though both are for tonsillitis.
        let same_kind = item
            .medicine
            .is_none_or(|m| m.kind == medicine.kind && m.category == medicine.category)
            && case.is_antibiotic(item)
                == antibiotics.of(Some(medicine), &medicine.ingredients).next().is_some();
        let prescribed = case.items.iter().any(|other| {
            other.medicine.is_some_and(|m| m.id == id)
                || other.ingredients.iter().any(|i| medicine.ingredients.contains(i))
        });
        let route = item.route.is_none_or(|route| medicine.routes.contains(&route));
        if seen.contains(&id) || !same_kind || prescribed || !route {
            continue;
        }
        seen.push(id);
        let alone = passes(case.known, &mut by_itself, &line.id, &medicine.name_zh);
        tried += usize::from(alone);
        if alone && (!others || passes(case.known, &mut whole, &line.id, &medicine.name_zh)) {
            found.push(Alternative {
                code: medicine.code.clone(),
                name_zh: medicine.name_zh.clone(),
                rank,
            });
        }
        if found.len() == SHOWN || tried == TRIED || seen.len() == LOOKED_AT {
            break;
        }
    }
    found
}

/// Whether the item's indications hold a code.
fn treats(case: &Case<'_>, item: &Item<'_>, icd: Icd) -> bool {
    let mut rules = case.indications(item);
    rules.any(|rule| rule.icd.iter().any(|prefix| *prefix != Icd::ANY && icd.touches(*prefix)))
}

/// Whether a medicine in place of a line raises nothing that a doctor would have to answer.
fn passes(known: &PrescriptionKnowledge, order: &mut Order, line: &str, name: &str) -> bool {
    for changed in order.lines.iter_mut().filter(|other| other.id == line) {
        name.clone_into(&mut changed.name);
    }
    let order = &*order;
    let changed = Case::new(known, order);
    let at = changed.items.iter().position(|item| match item.place {
        Place::Line(at) => order.lines.get(at).is_some_and(|l| l.id == line),
        Place::Current(_) => false,
    });
    let resolved = at.and_then(|at| changed.item(at)).is_some_and(|item| item.named.len() == 1);
    let outcome = PrescriptionKnowledge::run(&changed);
    let spoken = outcome.findings.iter().any(|f| {
        let matters = match f.kind {
            Kind::SkinTest | Kind::Monitoring | Kind::Duration => false,
            Kind::LegalForm => f.lines.len() == 1,
            Kind::Allergy
            | Kind::Interaction
            | Kind::Pregnancy
            | Kind::Duplicate
            | Kind::SingleDose
            | Kind::DailyDose
            | Kind::Age
            | Kind::Sex
            | Kind::Lactation
            | Kind::Disease
            | Kind::Renal
            | Kind::Hepatic
            | Kind::Route
            | Kind::Frequency
            | Kind::Indication
            | Kind::Antibiotic
            | Kind::Infusion
            | Kind::Tcm
            | Kind::Elderly
            | Kind::FoodAlcohol => true,
        };
        matters && f.action <= Action::Notice && f.lines.iter().any(|l| l == line)
    });
    // What could not be judged for this patient is not offered.
    let unknown = outcome.unchecked.iter().any(|u| {
        u.lines.iter().any(|l| l == line)
            && u.what.iter().any(|k| matches!(k, Kind::Pregnancy | Kind::Lactation))
    });
    resolved && !spoken && !unknown
}
