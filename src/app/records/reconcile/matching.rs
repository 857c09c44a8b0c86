//! Whether two written medicines are the same one: the better they fit, the higher the [`Fit`].

use std::collections::BTreeSet;

use crate::medicine::prescription::{Formulary, IngredientKind, MedicineId, Resolution};
use crate::tables::text::fold;

/// How well two medicines fit, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// One of several ingredients is in both.
    SharedIngredient,
    /// The same ingredients, in another form or in a form that one side does not say.
    SameIngredients,
    /// The same ingredients in the same form.
    SameForm,
    /// Written the same way but for strength, brackets and white space.
    SameName,
}

impl Fit {
    /// Whether it is the same medicine, in whatever form.
    pub(super) fn is_same(self) -> bool {
        self >= Self::SameIngredients
    }
}

/// Forms that a patient must not confuse, and the plain ones; the first that a name holds counts, so
/// longer ones stand first.
const FORMS: &[&str] = &[
    "缓释",
    "控释",
    "肠溶",
    "分散",
    "泡腾",
    "咀嚼",
    "口崩",
    "口腔崩解",
    "舌下",
    "气雾",
    "粉雾",
    "吸入",
    "雾化",
    "喷雾",
    "注射",
    "粉针",
    "滴眼",
    "眼膏",
    "眼用",
    "滴鼻",
    "滴耳",
    "软膏",
    "乳膏",
    "凝胶",
    "贴",
    "栓",
    "颗粒",
    "口服液",
    "口服溶液",
    "混悬",
    "糖浆",
    "滴丸",
    "丸",
    "胶囊",
    "片",
];

/// A written medicine, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Without strength, brackets and white space.
    name: String,
    form: Option<&'static str>,
    /// The product, where the name is one product's.
    product: Option<MedicineId>,
    /// Ingredients; empty where it was not recognised, and of products whose herbs are not listed.
    pub(super) ingredients: BTreeSet<usize>,
    /// Those of them that are substances and no herbs: herbs are in many products.
    substances: BTreeSet<usize>,
}

impl Known {
    /// Looks a name up.
    pub(super) fn of(formulary: &Formulary, written: &str) -> Self {
        let folded = fold(written);
        let mut product = None;
        let ids = match formulary.resolve(written) {
            Resolution::Medicine(id) => {
                product = Some(id);
                formulary.medicine(id).map(|m| m.ingredients.clone())
            }
            Resolution::Ingredient(id) => Some(vec![id]),
            // Several products of the same ingredients are one medicine here.
            Resolution::Ambiguous(ids) => {
                let mut each =
                    ids.iter().filter_map(|id| formulary.medicine(*id)).map(|m| &m.ingredients);
                let first = each.next();
                first.filter(|first| each.all(|other| other == *first)).cloned()
            }
            Resolution::Unknown(_) => None,
        };
        let ids = ids.unwrap_or_default();
        let mut ids: Vec<_> = ids.into_iter().filter_map(|id| formulary.ingredient(id)).collect();
        // 避孕药 names no medicine; a product whose herbs are not listed is one all the same.
        let listed = ids.len();
        ids.retain(|ingredient| !ingredient.is_placeholder());
        let stands_for_a_group = ids.len() < listed;
        let form = FORMS.iter().copied().find(|form| folded.contains(form));
        Self {
            name: bare(&folded),
            form,
            product: product.filter(|_| !stands_for_a_group),
            substances: ids
                .iter()
                .filter(|i| i.kind != IngredientKind::Herb)
                .map(|i| i.id.index())
                .collect(),
            ingredients: ids.iter().map(|i| i.id.index()).collect(),
        }
    }

    /// Whether the formulary has it.
    pub(super) fn is_recognised(&self) -> bool {
        self.product.is_some() || !self.ingredients.is_empty()
    }

    /// How well two fit, if they have anything in common.
    pub(super) fn fit(&self, other: &Self) -> Option<Fit> {
        if !self.name.is_empty() && self.name == other.name {
            return Some(Fit::SameName);
        }
        let same_product = self.product.is_some() && self.product == other.product;
        let same_ingredients =
            !self.ingredients.is_empty() && self.ingredients == other.ingredients;
        if same_product || same_ingredients {
            let same = self.form.is_some() && self.form == other.form;
            return Some(if same { Fit::SameForm } else { Fit::SameIngredients });
        }
        (!self.substances.is_disjoint(&other.substances)).then_some(Fit::SharedIngredient)
    }

    /// Substances that this one has in common with another.
    pub(super) fn shared(&self, other: &Self) -> BTreeSet<usize> {
        self.substances.intersection(&other.substances).copied().collect()
    }
}

/// The best of several, and where it stands; of equal ones the first.
pub(super) fn best<'k>(of: &Known, among: impl Iterator<Item = &'k Known>) -> Option<(Fit, usize)> {
    let mut found: Option<(Fit, usize)> = None;
    for (at, other) in among.enumerate() {
        if let Some(fit) = of.fit(other)
            && found.is_none_or(|(before, _)| fit > before)
        {
            found = Some((fit, at));
        }
    }
    found
}

/// A folded name up to its strength, without brackets and white space.
fn bare(folded: &str) -> String {
    let mut depth = 0_u32;
    let mut out = String::with_capacity(folded.len());
    for c in folded.chars() {
        match c {
            '(' | '[' | '【' => depth += 1,
            ')' | ']' | '】' => depth = depth.saturating_sub(1),
            // A number behind words is the strength.
            '0'..='9' if depth == 0 && out.chars().any(char::is_alphabetic) => break,
            _ if depth == 0 && !c.is_whitespace() => out.push(c),
            _ => {}
        }
    }
    out
}
