//! From a written name to a medicine.
//!
//! Exact names come first; only where none fits are forms, strengths and salts taken away, and
//! then what is left must again be an exact name. A near miss is offered as a suggestion and is
//! never taken for the medicine: 尼莫地平 and 尼群地平 are one character apart.

use std::collections::HashMap;

use super::formulary::{
    Formulary, IngredientId, IngredientKind, Medicine, MedicineId, MedicineKind,
};
use super::route::Route;

use super::words::{NAME_CHARS_MAX, Words, Written, key, salt_free};
use crate::medicine::names::{NameIndex, NameIndexBuilder, NameKind};
use crate::tables::files::LoadError;
use crate::tables::text::fold;

/// Most names suggested for an unknown one.
pub const SUGGESTIONS_MAX: usize = 3;
/// Ids above this in the search index are ingredients.
const INGREDIENTS_FROM: u32 = 1 << 16;

/// How herbs are made ready, before their names.
const PREPARED: &[&str] =
    &["麸炒", "炒", "炙", "蜜", "制", "煅", "酒", "醋", "盐", "焦", "净", "煨", "鲜"];

/// What a written name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// One medicine.
    Medicine(MedicineId),
    /// No medicine of the formulary, but one of its ingredients.
    Ingredient(IngredientId),
    /// Several medicines with equal right to the name.
    Ambiguous(Vec<MedicineId>),
    /// Nothing known; names that look alike, best first.
    Unknown(Vec<String>),
}

/// One medicine or ingredient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Named {
    Medicine(MedicineId),
    Ingredient(IngredientId),
}

/// What a text named, and the route its words speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) named: Vec<Named>,
    pub(super) route: Option<Route>,
}

/// The names of a formulary.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names and codes, with the route that the name itself tells (红霉素眼膏).
    exact: HashMap<String, Found>,
    /// Names without form or salt, where that is not itself a name.
    base: HashMap<String, Vec<MedicineId>>,
    /// Herbs, also those whose name a product has taken (益母草).
    herbs: HashMap<String, IngredientId>,
    index: NameIndex,
    words: Words,
}

impl Names {
    /// Builds the tables. A name or alias that two medicines claim is refused at the line of the
    /// later one; an English name may belong to several.
    pub(super) fn build(
        formulary: &Formulary,
        lines: &[(&'static str, u64)],
    ) -> Result<Self, LoadError> {
        let mut names = Self::default();
        let mut index = NameIndex::builder();
        for (medicine, (path, line)) in formulary.medicines.iter().zip(lines) {
            let own = [&medicine.code, &medicine.name_zh];
            for name in own.into_iter().chain(&medicine.aliases) {
                if let Some(owner) = names.claim(name, medicine.id) {
                    let owner = formulary.medicine(owner).map_or("?", |m| m.code.as_str());
                    let message = format!("name `{name}` already belongs to {owner}");
                    return Err(LoadError::line(path, *line, message));
                }
            }
            add_to(&mut index, medicine);
        }
        names.share(formulary, &mut index);
        for medicine in &formulary.medicines {
            names.add_bases(medicine);
        }
        names.index = index.build();
        Ok(names)
    }

    /// Enters a name for one medicine alone; returns who has it already.
    fn claim(&mut self, name: &str, medicine: MedicineId) -> Option<MedicineId> {
        let folded = fold(name);
        let found = Found { named: vec![Named::Medicine(medicine)], route: Route::read(&folded) };
        let place = self.exact.entry(key(&folded)).or_insert(found);
        place.named.iter().find_map(|named| match named {
            Named::Medicine(owner) => (*owner != medicine).then_some(*owner),
            Named::Ingredient(_) => None,
        })
    }

    /// Enters English names, which several medicines may have, and the names of ingredients that
    /// are no medicine's. Claimed names stay as they are.
    fn share(&mut self, formulary: &Formulary, index: &mut NameIndexBuilder) {
        let mut shared: HashMap<String, Vec<Named>> = HashMap::new();
        for medicine in &formulary.medicines {
            let english = key(&fold(&medicine.name_en));
            if !english.is_empty() {
                shared.entry(english).or_default().push(Named::Medicine(medicine.id));
            }
        }
        for ingredient in &formulary.ingredients {
            let id = u32::from(ingredient.id.0) + INGREDIENTS_FROM;
            index.push(id, &ingredient.name_zh, NameKind::Primary);
            let own = [&ingredient.name_zh, &ingredient.name_en, &ingredient.slug];
            for name in own.into_iter().chain(&ingredient.aliases) {
                if ingredient.kind == IngredientKind::Herb {
                    self.herbs.entry(key(&fold(name))).or_insert(ingredient.id);
                }
                let named = vec![Named::Ingredient(ingredient.id)];
                shared.entry(key(&fold(name))).or_insert(named);
            }
        }
        for (key, named) in shared {
            self.exact.entry(key).or_insert(Found { named, route: None });
        }
    }

    fn add_bases(&mut self, medicine: &Medicine) {
        for name in std::iter::once(&medicine.name_zh).chain(&medicine.aliases) {
            let folded = fold(name);
            let mut bases = vec![Written::new(&self.words, &folded).core().to_owned()];
            if medicine.kind == MedicineKind::Western {
                // An acid without its metal may be another product: 复方乳酸乳膏, 复方乳酸钠.
                bases.extend(salt_free(&key(&folded)).into_iter().filter(|b| !b.ends_with('酸')));
            }
            for base in bases {
                if base.chars().nth(2).is_some() && !self.exact.contains_key(&base) {
                    let ids = self.base.entry(base).or_default();
                    if !ids.contains(&medicine.id) {
                        ids.push(medicine.id);
                    }
                }
            }
        }
    }
}

impl Formulary {
    /// The medicine a written name stands for: name, alias, code or English name, with or
    /// without dosage form, strength, usage and salt.
    pub fn resolve(&self, name: &str) -> Resolution {
        let found = self.identify(name);
        match found.named.as_slice() {
            [] => Resolution::Unknown(self.suggest(name)),
            [Named::Medicine(id)] => Resolution::Medicine(*id),
            [Named::Ingredient(id)] => Resolution::Ingredient(*id),
            several => Resolution::Ambiguous(
                several
                    .iter()
                    .filter_map(|named| match named {
                        Named::Medicine(id) => Some(*id),
                        Named::Ingredient(_) => None,
                    })
                    .collect(),
            ),
        }
    }

    /// As [`Formulary::resolve`], without suggestions.
    pub(super) fn identify(&self, name: &str) -> Found {
        let folded = fold(name);
        if let Some(found) = self.names.exact.get(&key(&folded)) {
            return found.clone();
        }
        if folded.chars().nth(NAME_CHARS_MAX).is_some() {
            return Found { named: Vec::new(), route: None };
        }
        let written = Written::new(&self.names.words, &folded);
        let fits = |named: &Named| self.fits(*named, &folded);
        let readings = || written.readings().filter(|reading| !reading.is_empty());
        let mut exact = readings()
            .filter_map(|reading| self.names.exact.get(reading))
            .map(|found| found.named.iter().copied().filter(fits).collect());
        let some = |named: &Vec<Named>| !named.is_empty();
        let named = exact.find(some).or_else(|| {
            let bases = readings().filter_map(|reading| self.names.base.get(reading));
            let mut bases =
                bases.map(|ids| ids.iter().map(|id| Named::Medicine(*id)).filter(fits).collect());
            bases.find(some)
        });
        let named = named.or_else(|| {
            let bare = readings().flat_map(salt_free);
            bare.filter_map(|key| self.names.exact.get(&key))
                .map(|found| found.named.iter().copied().filter(|n| !self.is_patent(*n)).collect())
                .find(some)
        });
        let named = named.or_else(|| self.before_remarks(&folded)).unwrap_or_default();
        Found { named, route: Route::read(&folded) }
    }

    /// The herb a written name stands for, also where a product goes by the same name.
    pub(super) fn herb_named(&self, name: &str) -> Option<IngredientId> {
        self.names.herbs.get(&key(&fold(name))).copied()
    }

    /// What stands before a remark nobody can foresee: `西地那非片 50mg 必要时(每周约2次)`. Only where
    /// nothing behind it is a name, so that a second medicine is not lost.
    fn before_remarks(&self, folded: &str) -> Option<Vec<Named>> {
        let bare = without_brackets(folded);
        let mut words = bare.split_whitespace();
        let head = words.next()?;
        let herb = |named: &Named| match named {
            Named::Ingredient(id) => {
                self.ingredient(*id).is_some_and(|i| i.kind == IngredientKind::Herb)
            }
            Named::Medicine(_) => false,
        };
        // 炒蒲黄, 制香附: a herb made ready is the herb, unless it has a name of its own.
        let raw = PREPARED.iter().find_map(|word| head.strip_prefix(word));
        if let Some(named) = raw.and_then(|raw| self.names.exact.get(&key(raw)))
            && named.named.iter().all(herb)
        {
            return Some(named.named.clone());
        }
        if head.len() == folded.len() {
            return None;
        }
        let found = self.identify(head).named;
        let known = |word: &str| {
            let long_enough = word.chars().nth(1).is_some() && !word.is_ascii();
            long_enough && !self.identify(word).named.is_empty()
        };
        (!found.is_empty() && !words.any(known)).then_some(found)
    }

    /// Names that look like an unknown one, or that stand inside it. Never the answer itself.
    pub fn suggest(&self, name: &str) -> Vec<String> {
        let folded = fold(name);
        let core = Written::new(&self.names.words, &folded).core().to_owned();
        // An ingredient has the name of its medicine; hence look for more than are shown.
        let mut hits = self.names.index.search(&core, SUGGESTIONS_MAX * 2);
        if hits.is_empty() {
            hits = self.names.index.within(&folded, SUGGESTIONS_MAX * 2);
        }
        let mut names: Vec<String> = Vec::new();
        for hit in hits {
            if names.len() < SUGGESTIONS_MAX && !names.contains(&hit.matched_name) {
                names.push(hit.matched_name);
            }
        }
        names
    }

    /// Whether the rest of a written name can belong to a medicine. A western substance keeps its
    /// identity in every form. A 中成药 does not: 柴胡注射液 is not a form of 柴胡颗粒.
    fn fits(&self, named: Named, written: &str) -> bool {
        let Named::Medicine(id) = named else { return true };
        let Some(medicine) = self.medicine(id) else { return false };
        if medicine.kind == MedicineKind::Western {
            return true;
        }
        if written.contains("注射") || written.contains("粉针") {
            return medicine.routes.iter().any(|r| r.is_injected());
        }
        if medicine.routes.iter().all(|r| r.is_injected()) {
            return Route::read(written).is_none_or(Route::is_injected);
        }
        Route::of_form(written).is_none_or(|route| medicine.routes.contains(&route))
    }

    fn is_patent(&self, named: Named) -> bool {
        match named {
            Named::Medicine(id) => self.medicine(id).is_none_or(|m| m.kind == MedicineKind::Patent),
            Named::Ingredient(_) => false,
        }
    }
}

/// A text without what stands in brackets.
fn without_brackets(folded: &str) -> String {
    let mut depth = 0_u32;
    let mut bare = String::with_capacity(folded.len());
    for c in folded.chars() {
        match c {
            '(' | '[' | '【' | '{' => depth += 1,
            ')' | ']' | '】' | '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    bare
}

fn add_to(index: &mut NameIndexBuilder, medicine: &Medicine) {
    let id = u32::from(medicine.id.0);
    index.push(id, &medicine.name_zh, NameKind::Primary);
    index.push(id, &medicine.code, NameKind::Code);
    index.push(id, &medicine.name_en, NameKind::English);
    for alias in &medicine.aliases {
        index.push(id, alias, NameKind::Alias);
    }
}
