//! Reading the formulary's tables. A row that cites nothing, names something unknown or takes a
//! name that another medicine has is refused with its file and line.

use std::collections::HashMap;

use serde::Deserialize;

use super::bits::Bits;
use super::formulary::{
    Class, ClassId, Formulary, Ingredient, IngredientId, IngredientKind, Medicine, MedicineId,
    MedicineKind, Subject,
};
use super::resolve::Names;
use super::route::Route;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};

const SOURCES: &str = "prescription/sources.csv";
const INGREDIENTS: &str = "prescription/ingredients.csv";
const CLASSES: &str = "prescription/classes.csv";
const MEMBERS: &str = "prescription/class_members.csv";
const MEDICINES: [&str; 2] = ["prescription/medicines.csv", "prescription/extra_products.csv"];

/// The placeholder for herbs of a 中成药 that were not compiled.
const HERBS_UNLISTED: &str = "herbs_unlisted";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IngredientRow {
    id: String,
    name_zh: String,
    name_en: String,
    /// Other Chinese names; only 饮片 have them (黑顺片 is 附子).
    #[serde(default)]
    aliases: String,
    kind: IngredientKind,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MedicineRow {
    code: String,
    name_zh: String,
    name_en: String,
    kind: MedicineKind,
    category: String,
    subcategory: String,
    ingredients: String,
    aliases: String,
    forms_strengths: String,
    routes: String,
    specialist: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassRow {
    id: String,
    name_zh: String,
    name_en: String,
    parent: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberRow {
    class: String,
    ingredient: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

impl Formulary {
    /// Reads and checks `ingredients.csv`, `classes.csv`, `class_members.csv`, `medicines.csv`,
    /// `extra_products.csv` and `sources.csv` under `prescription/`.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let mut formulary = Self {
            ingredients: Vec::new(),
            medicines: Vec::new(),
            classes: Vec::new(),
            by_slug: HashMap::new(),
            names: Names::default(),
            sources: Sources::load(files, SOURCES)?,
        };
        formulary.load_ingredients(files)?;
        formulary.load_classes(files)?;
        let mut lines = Vec::new();
        for path in MEDICINES {
            formulary.load_medicines(files, path, &mut lines)?;
        }
        formulary.names = Names::build(&formulary, &lines)?;
        Ok(formulary)
    }

    fn load_ingredients(&mut self, files: &Files) -> Result<(), LoadError> {
        let path = INGREDIENTS;
        for (line, row) in rows::<IngredientRow>(files, path)? {
            self.sources.check(path, line, &row.source)?;
            if row.id.is_empty() || row.name_zh.is_empty() {
                return Err(LoadError::line(path, line, "an ingredient needs an id and a name"));
            }
            if row.id == HERBS_UNLISTED {
                continue;
            }
            let id = IngredientId(dense(self.ingredients.len(), path, line)?);
            self.claim(&row.id, Subject::Ingredient(id), path, line)?;
            self.ingredients.push(Ingredient {
                id,
                slug: row.id,
                name_zh: row.name_zh,
                name_en: row.name_en,
                aliases: list(&row.aliases).map(str::to_owned).collect(),
                kind: row.kind,
                source: row.source,
                status: row.status,
            });
        }
        Ok(())
    }

    fn load_medicines(
        &mut self,
        files: &Files,
        path: &'static str,
        lines: &mut Vec<(&'static str, u64)>,
    ) -> Result<(), LoadError> {
        for (line, row) in rows::<MedicineRow>(files, path)? {
            self.sources.check(path, line, &row.source)?;
            if row.code.is_empty() || row.name_zh.is_empty() {
                return Err(LoadError::line(path, line, "a medicine needs a code and a name"));
            }
            let id = MedicineId(dense(self.medicines.len(), path, line)?);
            self.claim(&row.code, Subject::Medicine(id), path, line)?;
            let mut ingredients = Vec::new();
            let mut herbs_unlisted = false;
            for slug in list(&row.ingredients) {
                match self.by_slug.get(slug) {
                    _ if slug == HERBS_UNLISTED => herbs_unlisted = true,
                    Some(Subject::Ingredient(id)) => ingredients.push(*id),
                    Some(Subject::Class(_) | Subject::Medicine(_)) | None => {
                        let message = format!("unknown ingredient `{slug}`");
                        return Err(LoadError::line(path, line, message));
                    }
                }
            }
            ingredients.sort_unstable();
            ingredients.dedup();
            if ingredients.is_empty() && !herbs_unlisted {
                return Err(LoadError::line(path, line, "a medicine needs an ingredient"));
            }
            if row.kind == MedicineKind::Western && herbs_unlisted {
                let message = format!("a western medicine cannot hold `{HERBS_UNLISTED}`");
                return Err(LoadError::line(path, line, message));
            }
            lines.push((path, line));
            self.medicines.push(Medicine {
                id,
                code: row.code,
                name_zh: row.name_zh,
                name_en: row.name_en,
                kind: row.kind,
                category: row.category,
                subcategory: row.subcategory,
                ingredients,
                herbs_unlisted,
                aliases: list(&row.aliases).map(str::to_owned).collect(),
                forms_strengths: row.forms_strengths,
                routes: routes(&row.routes, path, line)?,
                specialist: row.specialist,
                source: row.source,
                status: row.status,
            });
        }
        Ok(())
    }

    fn load_classes(&mut self, files: &Files) -> Result<(), LoadError> {
        let table = rows::<ClassRow>(files, CLASSES)?;
        for (line, row) in &table {
            self.sources.check(CLASSES, *line, &row.source)?;
            if row.id.is_empty() || row.name_zh.is_empty() {
                return Err(LoadError::line(CLASSES, *line, "a class needs an id and a name"));
            }
            let id = ClassId(dense(self.classes.len(), CLASSES, *line)?);
            self.claim(&format!("class:{}", row.id), Subject::Class(id), CLASSES, *line)?;
            let mut within = Bits::new(table.len());
            within.insert(id.index());
            self.classes.push(Class {
                id,
                slug: row.id.clone(),
                name_zh: row.name_zh.clone(),
                name_en: row.name_en.clone(),
                source: row.source.clone(),
                status: row.status,
                members: Bits::new(self.ingredients.len()),
                within,
            });
        }
        // (inner, outer): the inner class lies in the outer one.
        let mut nesting: Vec<(ClassId, ClassId)> = Vec::new();
        for ((line, row), inner) in table.iter().zip(self.classes.iter().map(|c| c.id)) {
            if !row.parent.is_empty() {
                nesting.push((inner, self.known_class(&row.parent, CLASSES, *line)?));
            }
        }
        for (line, row) in rows::<MemberRow>(files, MEMBERS)? {
            self.sources.check(MEMBERS, line, &row.source)?;
            let class = self.known_class(&row.class, MEMBERS, line)?;
            match self.by_slug.get(&row.ingredient) {
                Some(Subject::Ingredient(member)) => {
                    if let Some(class) = self.classes.get_mut(class.index()) {
                        class.members.insert(member.index());
                    }
                }
                Some(Subject::Class(inner)) => nesting.push((*inner, class)),
                Some(Subject::Medicine(_)) | None => {
                    let message = format!("unknown ingredient `{}`", row.ingredient);
                    return Err(LoadError::line(MEMBERS, line, message));
                }
            }
        }
        self.nest(&nesting, &table)
    }

    /// Hands members outwards and enclosing classes inwards, and refuses circles and classes
    /// that would silently cover nothing.
    fn nest(
        &mut self,
        nesting: &[(ClassId, ClassId)],
        table: &[(u64, ClassRow)],
    ) -> Result<(), LoadError> {
        let line = |id: ClassId| table.get(id.index()).map_or(0, |(line, _)| *line);
        // Each round peels off the classes all of whose inner classes are done.
        let mut open: Vec<ClassId> = self.classes.iter().map(|c| c.id).collect();
        let mut order = Vec::new();
        while !open.is_empty() {
            let (ready, waiting): (Vec<_>, Vec<_>) = open.iter().copied().partition(|id| {
                !nesting.iter().any(|(inner, outer)| outer == id && open.contains(inner))
            });
            if ready.is_empty() {
                let first = open.first().copied().unwrap_or(ClassId(0));
                return Err(LoadError::line(CLASSES, line(first), "class lies inside itself"));
            }
            order.extend(ready);
            open = waiting;
        }
        for id in &order {
            for (inner, outer) in nesting.iter().filter(|(inner, _)| inner == id) {
                let members = self.class(*inner).map(|c| c.members.clone());
                if let (Some(more), Some(class)) = (members, self.classes.get_mut(outer.index())) {
                    class.members.union(&more);
                }
            }
        }
        for id in order.iter().rev() {
            for (inner, outer) in nesting.iter().filter(|(_, outer)| outer == id) {
                let within = self.class(*outer).map(|c| c.within.clone());
                if let (Some(more), Some(class)) = (within, self.classes.get_mut(inner.index())) {
                    class.within.union(&more);
                }
            }
        }
        match self.classes.iter().find(|class| class.members.is_empty()) {
            Some(empty) => {
                let message = format!("class `{}` has no member", empty.slug);
                Err(LoadError::line(CLASSES, line(empty.id), message))
            }
            None => Ok(()),
        }
    }

    fn known_class(&self, cell: &str, path: &str, line: u64) -> Result<ClassId, LoadError> {
        let slug = cell.strip_prefix("class:").unwrap_or(cell);
        match self.by_slug.get(&format!("class:{slug}")) {
            Some(Subject::Class(id)) => Ok(*id),
            Some(Subject::Ingredient(_) | Subject::Medicine(_)) | None => {
                Err(LoadError::line(path, line, format!("unknown class `{slug}`")))
            }
        }
    }

    /// Takes a slug or code for a subject, once.
    fn claim(
        &mut self,
        slug: &str,
        subject: Subject,
        path: &str,
        line: u64,
    ) -> Result<(), LoadError> {
        match self.by_slug.insert(slug.to_owned(), subject) {
            Some(_) => Err(LoadError::line(path, line, format!("id `{slug}` stands twice"))),
            None => Ok(()),
        }
    }
}

fn dense(length: usize, path: &str, line: u64) -> Result<u16, LoadError> {
    u16::try_from(length).map_err(|_| LoadError::line(path, line, "table is too long"))
}

fn routes(cell: &str, path: &str, line: u64) -> Result<Vec<Route>, LoadError> {
    let mut out = Vec::new();
    for name in list(cell) {
        let route = Route::named(name)
            .ok_or_else(|| LoadError::line(path, line, format!("unknown route `{name}`")))?;
        out.push(route);
    }
    if out.is_empty() {
        return Err(LoadError::line(path, line, "a medicine needs a route"));
    }
    Ok(out)
}
