//! An order with its names looked up, and what the checks share in speaking about it.

use std::cell::OnceCell;
use std::sync::Arc;

use super::PrescriptionKnowledge;
use crate::medicine::calculators::ckd_epi_2021;
use crate::medicine::prescription::diseases::{Coded, Icd};
use crate::medicine::prescription::formulary::{Formulary, IngredientId, Medicine, Subject};
use crate::medicine::prescription::frequency::TimesOfDay;
use crate::medicine::prescription::order::{Line, Order};
use crate::medicine::prescription::quantity::Quantity;
use crate::medicine::prescription::report::{Action, Finding, Kind, Severity, Taken, Unchecked};
use crate::medicine::prescription::resolve::Named;
use crate::medicine::prescription::route::Route;
use crate::medicine::prescription::rules::Origin;
use crate::medicine::prescription::usage::{Usage, exact};
use crate::tables::text::fold;

/// An order prepared for checking.
pub(super) struct Case<'a> {
    pub(super) known: &'a PrescriptionKnowledge,
    pub(super) order: &'a Order,
    /// Lines first, then current medicines, each in the order given.
    pub(super) items: Vec<Item<'a>>,
    /// Each ingredient with the places of the items that hold it, ascending.
    pub(super) uses: Vec<(IngredientId, Vec<usize>)>,
    /// Age in months.
    pub(super) age_m: Option<f64>,
    pub(super) weight_kg: Option<f64>,
    /// Said, or estimated from creatinine in an adult.
    pub(super) egfr: Option<f64>,
    /// Codes of the diagnoses, then of the history.
    pub(super) codes: Vec<Coded>,
    /// Diagnoses, then history, folded.
    pub(super) texts: Vec<String>,
    /// Places of diagnoses and history texts that were not understood.
    pub(super) not_understood: Vec<usize>,
    /// Codes of what alone stands as diagnosis.
    pub(super) diagnosis_count: usize,
}

/// One line or one current medicine.
pub(super) struct Item<'a> {
    pub(super) place: Place,
    /// The name as written.
    pub(super) written: &'a str,
    /// What it was taken for; empty for an unknown name, several for an ambiguous one.
    pub(super) named: Vec<Named>,
    pub(super) medicine: Option<&'a Medicine>,
    pub(super) ingredients: &'a [IngredientId],
    /// As stated, else as the words of the name have it.
    pub(super) route: Option<Route>,
    /// As the route column has it.
    pub(super) stated: Option<Route>,
    /// As the words of the name have it.
    pub(super) form: Option<Route>,
    usage: OnceCell<Box<Usage>>,
}

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Line(usize),
    Current(usize),
}

/// What the checks have found so far.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) findings: Vec<Finding>,
    pub(super) unchecked: Vec<Unchecked>,
}

/// A finding before its items are turned into lines and names.
pub(super) struct Draft<'a> {
    pub(super) kind: Kind,
    pub(super) action: Action,
    pub(super) severity: Severity,
    /// Places in [`Case::items`], ascending.
    pub(super) items: &'a [usize],
    /// Slugs and codes the finding is about.
    pub(super) subjects: Vec<&'a str>,
    pub(super) origin: &'a Origin,
    pub(super) reason_zh: String,
    pub(super) instead_zh: String,
    pub(super) review_code: Option<&'a str>,
}

impl Item<'_> {
    pub(super) fn is_line(&self) -> bool {
        matches!(self.place, Place::Line(_))
    }

    pub(super) fn has(&self, ingredient: IngredientId) -> bool {
        self.ingredients.contains(&ingredient)
    }

    /// Whether the item is a subject or holds one of its ingredients.
    pub(super) fn is(&self, formulary: &Formulary, subject: Subject) -> bool {
        match subject {
            Subject::Ingredient(id) => self.has(id),
            Subject::Class(class) => {
                self.ingredients.iter().any(|id| formulary.is_member(*id, class))
            }
            Subject::Medicine(id) => self.medicine.is_some_and(|m| m.id == id),
        }
    }

    /// Whether it is known to act only where it is put. A route nobody stated counts as one into
    /// the body, except for a 中成药 that exists in local forms alone.
    pub(super) fn is_local(&self) -> bool {
        match (self.route, self.medicine) {
            (Some(route), _) => route.is_local(),
            (None, Some(medicine)) => {
                medicine.herbs_unlisted && medicine.routes.iter().all(|r| r.is_local())
            }
            (None, None) => false,
        }
    }

    /// Whether it acts elsewhere than a dose by mouth or needle: locally, in the nose or lung.
    pub(super) fn acts_apart(&self) -> bool {
        self.is_local() || matches!(self.route, Some(Route::Inhaled | Route::Nasal))
    }

    /// Whether it goes, or may go, into a vein.
    pub(super) fn may_be_iv(&self) -> bool {
        match (self.route, self.medicine) {
            (Some(route), _) => route == Route::Iv,
            (None, Some(medicine)) => medicine.routes.contains(&Route::Iv),
            (None, None) => true,
        }
    }
}

impl<'a> Case<'a> {
    pub(super) fn new(known: &'a PrescriptionKnowledge, order: &'a Order) -> Self {
        let lines = order.lines.iter().enumerate();
        let current = order.current.iter().enumerate();
        let items: Vec<Item<'a>> = lines
            .map(|(at, line)| item(&known.formulary, Place::Line(at), &line.name, &line.route))
            .chain(current.map(|(at, name)| item(&known.formulary, Place::Current(at), name, "")))
            .collect();
        let uses = uses(&items);
        let texts: Vec<String> =
            order.diagnoses.iter().chain(&order.chart.conditions).map(|t| fold(t)).collect();
        let (codes, not_understood) = codes(known, &texts);
        Self {
            known,
            order,
            items,
            uses,
            age_m: order.patient.age_years.map(|years| exact(years) * 12.0),
            weight_kg: order.patient.weight_kg.map(exact),
            egfr: egfr(order),
            codes,
            texts,
            not_understood,
            diagnosis_count: order.diagnoses.len(),
        }
    }

    /// The line an item is.
    pub(super) fn line(&self, item: &Item<'_>) -> Option<&'a Line> {
        match item.place {
            Place::Line(at) => self.order.lines.get(at),
            Place::Current(_) => None,
        }
    }

    /// How an item is used, as far as it is written.
    pub(super) fn usage<'i>(&self, item: &'i Item<'a>) -> &'i Usage {
        item.usage.get_or_init(|| match item.place {
            Place::Line(at) => {
                Box::new(self.order.lines.get(at).map(Usage::of_line).unwrap_or_default())
            }
            Place::Current(_) => Box::new(Usage::of_text(item.written)),
        })
    }

    /// Whether a diagnosis or the history says one of these words.
    pub(super) fn says(&self, words: &[&str]) -> bool {
        self.texts.iter().any(|text| words.iter().any(|word| text.contains(word)))
    }

    /// The parts of the day at which an item is said to be given.
    pub(super) fn times_of_day(&self, item: &Item<'a>) -> TimesOfDay {
        match self.line(item) {
            Some(line) => TimesOfDay::read(&line.route).and(TimesOfDay::read(&line.frequency)),
            None => TimesOfDay::read(item.written),
        }
    }

    /// Lines whose medicine is known, with their places.
    pub(super) fn known_lines(&self) -> impl Iterator<Item = (usize, &Item<'a>)> {
        let items = self.items.iter().enumerate();
        items.filter(|(_, item)| item.is_line() && item.named.len() == 1)
    }

    /// The first code of the patient that lies under one of these prefixes.
    pub(super) fn coded(&self, prefixes: &[Icd]) -> Option<Coded> {
        self.codes.iter().find(|coded| prefixes.iter().any(|p| coded.icd.is_in(*p))).copied()
    }

    /// Codes of the diagnoses alone, without the history.
    pub(super) fn diagnosed(&self) -> impl Iterator<Item = Icd> {
        let count = self.diagnosis_count;
        self.codes.iter().filter(move |coded| coded.text < count).map(|coded| coded.icd)
    }

    /// The diagnosis or history text at a place.
    pub(super) fn disease_text(&self, at: usize) -> &'a str {
        let history = &self.order.chart.conditions;
        let text = self.order.diagnoses.get(at);
        let text = text.or_else(|| history.get(at.checked_sub(self.diagnosis_count)?));
        text.map_or("", |text| text.trim())
    }

    /// The items that are or hold a subject.
    pub(super) fn holders(&self, subject: Subject) -> impl Iterator<Item = usize> {
        let formulary = self.formulary();
        self.items
            .iter()
            .enumerate()
            .filter(move |(_, item)| item.is(formulary, subject))
            .map(|(at, _)| at)
    }

    /// Whether a test's result is known: said to be, or among the numbers of the request.
    pub(super) fn knows_test(&self, test: &str) -> bool {
        let chart = &self.order.chart;
        let number = match test {
            "egfr" => self.egfr.is_some() || chart.creatinine_umol_l.is_some(),
            "alt" => chart.alt_times_uln.is_some(),
            _ => false,
        };
        let lists = &self.known.lists;
        // Results also stand among the history: `血钾4.2`, `INR 2.3`.
        number
            || lists.knows_test(test, &chart.known_tests)
            || lists.knows_test(test, &chart.conditions)
    }

    pub(super) fn formulary(&self) -> &'a Formulary {
        &self.known.formulary
    }

    pub(super) fn item(&self, at: usize) -> Option<&Item<'a>> {
        self.items.get(at)
    }

    /// How to call an item where one ingredient matters: `维C银翘片（含对乙酰氨基酚）`.
    pub(super) fn label(&self, item: &Item<'_>, ingredient: Option<IngredientId>) -> String {
        let mut label = String::with_capacity(LABEL_BYTES);
        match (item.place, item.medicine) {
            (Place::Current(_), Some(medicine)) => label.push_str(&medicine.name_zh),
            (Place::Line(_), _) | (Place::Current(_), None) => label.push_str(item.written.trim()),
        }
        let ingredient = ingredient.and_then(|id| self.formulary().ingredient(id));
        if let Some(ingredient) = ingredient.filter(|i| !label.contains(&i.name_zh)) {
            let mixed = item.medicine.is_some_and(|m| m.herbs_unlisted || m.ingredients.len() > 1);
            if mixed {
                label.push_str("（含");
                label.push_str(&ingredient.name_zh);
                label.push('）');
            }
        }
        if !item.is_line() {
            label.push_str("（在用）");
        }
        label
    }

    /// The labels of several items, each once, joined.
    pub(super) fn labels(&self, items: &[usize], ingredient: Option<IngredientId>) -> String {
        if let [at] = items {
            return self.item(*at).map(|item| self.label(item, ingredient)).unwrap_or_default();
        }
        let mut labels: Vec<String> = Vec::with_capacity(items.len());
        for item in items.iter().filter_map(|at| self.item(*at)) {
            let label = self.label(item, ingredient);
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels.join("、")
    }

    /// Ids of the lines among some items.
    pub(super) fn line_ids(&self, items: &[usize]) -> Vec<String> {
        items
            .iter()
            .filter_map(|at| match self.item(*at)?.place {
                Place::Line(line) => self.order.lines.get(line).map(|l| l.id.clone()),
                Place::Current(_) => None,
            })
            .collect()
    }

    /// The code or slug by which a finding names an item.
    pub(super) fn subject_name(&self, item: &Item<'_>) -> &'a str {
        let known = item.medicine.map(|m| m.id).and_then(|id| self.formulary().medicine(id));
        match (known, item.ingredients) {
            (Some(medicine), _) => &medicine.code,
            (None, [id, ..]) => self.slug(*id),
            (None, []) => "",
        }
    }

    /// Names of some items as written, each once.
    pub(super) fn names(&self, items: &[usize]) -> Vec<String> {
        let mut names: Vec<String> = Vec::with_capacity(items.len());
        for item in items.iter().filter_map(|at| self.item(*at)) {
            if !names.iter().any(|name| name == item.written) {
                names.push(item.written.to_owned());
            }
        }
        names
    }

    /// Completes a finding.
    pub(super) fn finding(&self, draft: Draft<'_>) -> Finding {
        let mut subjects = draft.subjects;
        subjects.sort_unstable();
        subjects.dedup();
        Finding {
            id: format!("{}:{}:{}", draft.kind.name(), draft.origin.id, subjects.join("+")),
            kind: draft.kind,
            severity: draft.severity,
            action: draft.action,
            lines: self.line_ids(draft.items),
            medicines: self.names(draft.items),
            reason_zh: draft.reason_zh,
            instead_zh: draft.instead_zh,
            alternatives: Vec::new(),
            review_code: draft.review_code.map(str::to_owned),
            rule: Arc::clone(&draft.origin.id),
            source: Arc::clone(&draft.origin.source),
            citation: Arc::clone(&draft.origin.citation),
            place: draft.items.first().copied().unwrap_or(usize::MAX),
            status: draft.origin.status,
        }
    }

    /// The slug of an ingredient.
    pub(super) fn slug(&self, id: IngredientId) -> &'a str {
        self.formulary().ingredient(id).map_or("", |i| i.slug.as_str())
    }

    /// The Chinese name of an ingredient.
    pub(super) fn name(&self, id: IngredientId) -> &'a str {
        self.formulary().ingredient(id).map_or("", |i| i.name_zh.as_str())
    }

    /// What each item was taken for.
    pub(super) fn taken(&self) -> Vec<Taken> {
        let taken = |item: &Item<'a>| {
            // Only the lines are shown back.
            let usage = item.is_line().then(|| self.usage(item));
            let name_zh = match item.named.as_slice() {
                [Named::Medicine(id)] => self.formulary().medicine(*id).map(|m| &m.name_zh),
                [Named::Ingredient(id)] => self.formulary().ingredient(*id).map(|i| &i.name_zh),
                _ => None,
            };
            Taken {
                line: match item.place {
                    Place::Line(at) => self.order.lines.get(at).map(|line| line.id.clone()),
                    Place::Current(_) => None,
                },
                written: item.written.to_owned(),
                code: item.medicine.map(|m| m.code.clone()),
                name_zh: name_zh.cloned(),
                route: item.route,
                dose: usage.and_then(|u| u.dose).map(Quantity::show).unwrap_or_default(),
                per_day: usage.and_then(Usage::per_day),
                days: usage.and_then(|u| u.days),
                diluent: self.line(item).map(|line| line.diluent.clone()).unwrap_or_default(),
            }
        };
        self.items.iter().map(taken).collect()
    }
}

fn uses(items: &[Item<'_>]) -> Vec<(IngredientId, Vec<usize>)> {
    let mut flat: Vec<(IngredientId, usize)> = Vec::with_capacity(items.len() * 2);
    for (at, item) in items.iter().enumerate() {
        flat.extend(item.ingredients.iter().map(|id| (*id, at)));
    }
    flat.sort_unstable();
    let groups = flat.chunk_by(|a, b| a.0 == b.0);
    groups
        .filter_map(|g| g.first().map(|(id, _)| (*id, g.iter().map(|(_, at)| *at).collect())))
        .collect()
}

/// Looks an item up. A patch acts on the whole body whatever the route column says, and what is to
/// be decocted is the herb, not the product of its name.
fn item<'a>(formulary: &'a Formulary, place: Place, written: &'a str, route: &str) -> Item<'a> {
    let mut found = formulary.identify(written);
    if route.contains(DECOCTED)
        && let Some(herb) = formulary.herb_named(written)
    {
        found.named = vec![Named::Ingredient(herb)];
    }
    let stated = if route.is_empty() { None } else { Route::read(&fold(route)) };
    let route = match (found.route, stated) {
        (Some(Route::Other), _) => Some(Route::Other),
        (hint, stated) => stated.or(hint),
    };
    let (medicine, ingredients) = match found.named.as_slice() {
        [Named::Medicine(id)] => {
            let medicine = formulary.medicine(*id);
            (medicine, medicine.map_or(&[][..], |m| m.ingredients.as_slice()))
        }
        [Named::Ingredient(id)] => {
            let id = formulary.ingredient(*id).map(|i| std::slice::from_ref(&i.id));
            (None, id.unwrap_or_default())
        }
        _ => (None, &[][..]),
    };
    Item {
        place,
        written,
        named: found.named,
        medicine,
        ingredients,
        route,
        stated,
        form: found.route,
        usage: OnceCell::new(),
    }
}

/// In a route: taken as a decoction (煎服, 水煎).
const DECOCTED: char = '煎';
/// Bytes that most labels fit into.
const LABEL_BYTES: usize = 64;
/// Youngest age at which glomerular filtration is estimated from creatinine, in years.
const EGFR_AGE_YEARS: f64 = 18.0;

fn egfr(order: &Order) -> Option<f64> {
    let said = order.chart.egfr.map(exact);
    said.or_else(|| {
        let creatinine = exact(order.chart.creatinine_umol_l?);
        let age = exact(order.patient.age_years?);
        (age >= EGFR_AGE_YEARS).then_some(ckd_epi_2021(creatinine, age, order.patient.sex?))
    })
}

/// Codes of all folded diagnosis and history texts, and the places of those not understood.
fn codes(known: &PrescriptionKnowledge, texts: &[String]) -> (Vec<Coded>, Vec<usize>) {
    let mut codes = Vec::new();
    let mut not_understood = Vec::new();
    for (text, folded) in texts.iter().enumerate() {
        let found = known.diseases.codes_of_folded(folded);
        if found.is_empty() {
            not_understood.push(text);
        }
        codes.extend(found.into_iter().map(|icd| Coded { icd, text }));
    }
    (codes, not_understood)
}
