//! The medicines a village may meet: what each contains and which classes its ingredients are in.
//!
//! Loading is in [`super::loading`], finding a medicine by a written name in [`super::resolve`].

use std::collections::HashMap;

use super::bits::Bits;
use super::resolve::Names;
use super::route::Route;
use crate::tables::table::{Sources, Status};

/// Declares a dense id: a place in one of the formulary's lists.
macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(super) u16);

        impl $name {
            /// The place in the list.
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }
    };
}

dense_id! {
    /// An ingredient of one [`Formulary`].
    IngredientId
}
dense_id! {
    /// A medicine of one [`Formulary`].
    MedicineId
}
dense_id! {
    /// A class of ingredients of one [`Formulary`].
    ClassId
}

/// What an ingredient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IngredientKind {
    /// 化学药
    Chemical,
    /// 生物制品
    Biological,
    /// 中药材
    Herb,
    /// Anything else.
    Other,
}

/// An active substance; salts and esters of one moiety share one ingredient.
#[derive(Debug, Clone)]
pub struct Ingredient {
    /// Place in the formulary.
    pub id: IngredientId,
    /// Stable English slug.
    pub slug: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Other Chinese names.
    pub aliases: Vec<String>,
    /// What it is.
    pub kind: IngredientKind,
    /// Citation.
    pub source: String,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
}

impl Ingredient {
    /// Whether it stands for a whole group (避孕药, 结核病用药) and names no substance. A check
    /// against it is worth nothing.
    pub fn is_placeholder(&self) -> bool {
        self.slug.ends_with("_unspecified")
    }
}

/// 西药 or 中成药.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MedicineKind {
    /// 西药
    Western,
    /// 中成药
    Patent,
}

/// A medicine of the essential medicines list, or a product found in homes beside it.
#[derive(Debug, Clone)]
pub struct Medicine {
    /// Place in the formulary.
    pub id: MedicineId,
    /// Code: `W001` western, `T001` 中成药, `X001` beside the list.
    pub code: String,
    /// Chinese name as the list has it.
    pub name_zh: String,
    /// English name, may be empty.
    pub name_en: String,
    /// 西药 or 中成药.
    pub kind: MedicineKind,
    /// Category of the list.
    pub category: String,
    /// Subcategory of the list.
    pub subcategory: String,
    /// Compiled ingredients, ascending, each once.
    pub ingredients: Vec<IngredientId>,
    /// Whether it holds herbs that were not compiled.
    pub herbs_unlisted: bool,
    /// Other names in use.
    pub aliases: Vec<String>,
    /// Forms and strengths as the list has them.
    pub forms_strengths: String,
    /// Routes that follow from the listed forms. Forms beside the list exist.
    pub routes: Vec<Route>,
    /// The list's mark △: to be used under a specialist's guidance; empty where not marked.
    pub specialist: String,
    /// Citation.
    pub source: String,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
}

/// A class of ingredients: pharmacological, for interactions or for allergies.
#[derive(Debug, Clone)]
pub struct Class {
    /// Place in the formulary.
    pub id: ClassId,
    /// Stable English slug.
    pub slug: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Citation.
    pub source: String,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
    /// Its ingredients and those of the classes inside it.
    pub(super) members: Bits,
    /// The classes it lies in, and itself.
    pub(super) within: Bits,
}

/// What a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// One ingredient.
    Ingredient(IngredientId),
    /// All ingredients of a class.
    Class(ClassId),
    /// One medicine, by its code.
    Medicine(MedicineId),
}

/// All medicines, ingredients and classes, checked and expanded.
#[derive(Debug)]
pub struct Formulary {
    pub(super) ingredients: Vec<Ingredient>,
    pub(super) medicines: Vec<Medicine>,
    pub(super) classes: Vec<Class>,
    pub(super) by_slug: HashMap<String, Subject>,
    pub(super) names: Names,
    pub(super) sources: Sources,
}

impl Formulary {
    /// All ingredients, in the order of their ids.
    pub fn ingredients(&self) -> &[Ingredient] {
        &self.ingredients
    }

    /// All medicines, in the order of their ids.
    pub fn medicines(&self) -> &[Medicine] {
        &self.medicines
    }

    /// All classes, in the order of their ids.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// One ingredient; `None` only for an id of another formulary.
    pub fn ingredient(&self, id: IngredientId) -> Option<&Ingredient> {
        self.ingredients.get(id.index())
    }

    /// One medicine; `None` only for an id of another formulary.
    pub fn medicine(&self, id: MedicineId) -> Option<&Medicine> {
        self.medicines.get(id.index())
    }

    /// One class; `None` only for an id of another formulary.
    pub fn class(&self, id: ClassId) -> Option<&Class> {
        self.classes.get(id.index())
    }

    /// What a table cell names: an ingredient's slug, `class:<slug>` or a medicine's code.
    pub fn subject(&self, cell: &str) -> Option<Subject> {
        self.by_slug.get(cell).copied()
    }

    /// Whether an ingredient is in a class or in one inside it.
    pub fn is_member(&self, ingredient: IngredientId, class: ClassId) -> bool {
        self.class(class).is_some_and(|c| c.members.contains(ingredient.index()))
    }

    /// Whether a class is another one or lies inside it.
    pub fn is_within(&self, class: ClassId, outer: ClassId) -> bool {
        self.class(class).is_some_and(|c| c.within.contains(outer.index()))
    }

    /// The ingredients a subject covers.
    pub fn members(&self, subject: Subject) -> Vec<IngredientId> {
        match subject {
            Subject::Ingredient(id) => vec![id],
            Subject::Class(id) => self.class(id).map_or_else(Vec::new, |class| {
                let places = class.members.iter();
                places.filter_map(|at| self.ingredients.get(at).map(|i| i.id)).collect()
            }),
            Subject::Medicine(id) => {
                self.medicine(id).map_or_else(Vec::new, |m| m.ingredients.clone())
            }
        }
    }

    /// The Chinese name of a subject.
    pub fn name_zh(&self, subject: Subject) -> &str {
        match subject {
            Subject::Ingredient(id) => self.ingredient(id).map(|i| i.name_zh.as_str()),
            Subject::Class(id) => self.class(id).map(|c| c.name_zh.as_str()),
            Subject::Medicine(id) => self.medicine(id).map(|m| m.name_zh.as_str()),
        }
        .unwrap_or_default()
    }

    /// The documents the rows cite.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }
}
