//! Looking findings, conditions and medicines up.

use super::App;
use super::access::{Action, Caller, authorise};
use super::consultation::ConditionFacts;
use super::error::Error;
use super::knowledge::facts;
use super::request::{NAME_CHARS_MAX, Problems, validate_search};
use crate::medicine::prescription::{Formulary, Medicine, PrescriptionKnowledge, Subject};

/// A finding of the vocabulary.
#[derive(Debug, Clone)]
pub struct FindingFacts {
    /// Id.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Kind.
    pub kind: String,
    /// Other wordings.
    pub synonyms: Vec<String>,
    /// Citation.
    pub source: String,
}

/// A condition the node knows.
#[derive(Debug, Clone)]
pub struct FoundCondition {
    /// Id.
    pub id: String,
    /// What the tables say.
    pub about: ConditionFacts,
    /// Other names.
    pub synonyms: Vec<String>,
    /// Citation.
    pub source: String,
}

/// A medicine.
#[derive(Debug, Clone)]
pub struct MedicineFacts {
    /// Code.
    pub code: String,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// On the 2026 national list.
    pub on_essential_list: bool,
    /// Category and subcategory.
    pub category: String,
    /// Ingredients: id, Chinese name, English name.
    pub ingredients: Vec<(String, String, String)>,
    /// Classes of its ingredients, Chinese names.
    pub classes: Vec<String>,
    /// Other names.
    pub aliases: Vec<String>,
    /// Forms and strengths.
    pub forms_strengths: String,
    /// Needs a specialist's guidance.
    pub specialist: bool,
    /// Advice that goes with it, whoever takes it.
    pub advice: Vec<String>,
    /// Citation.
    pub source: String,
}

/// A medicine that matches a search.
#[derive(Debug, Clone)]
pub struct FoundMedicine {
    /// The medicine.
    pub medicine: MedicineFacts,
    /// The name that matched.
    pub matched_name: String,
    /// Only near.
    pub fuzzy: bool,
}

impl App {
    /// Findings by Chinese, pinyin, initials, English or id, best first.
    pub fn search_findings(
        &self,
        caller: &Caller,
        query: &str,
        count_max: u32,
    ) -> Result<Vec<FindingFacts>, Error> {
        authorise(caller, Action::SearchKnowledge)?;
        let limit = validate_search(query, count_max)?;
        let knowledge = self.knowledge.load();
        let vocabulary = &knowledge.diagnosis.vocabulary;
        let hits = knowledge.finding_names.search(query, usize::try_from(limit).unwrap_or(1));
        Ok(hits
            .iter()
            .filter_map(|hit| vocabulary.findings().nth(usize::try_from(hit.id).ok()?))
            .map(|(_, finding)| FindingFacts {
                id: finding.slug.clone(),
                name: finding.name_zh.clone(),
                name_en: finding.name_en.clone(),
                kind: finding.kind.name().to_owned(),
                synonyms: finding.synonyms.clone(),
                source: vocabulary.sources().cite(&finding.source),
            })
            .collect())
    }

    /// Conditions by Chinese, pinyin, initials, English, id or ICD-10 code, best first.
    pub fn search_conditions(
        &self,
        caller: &Caller,
        query: &str,
        count_max: u32,
    ) -> Result<Vec<FoundCondition>, Error> {
        authorise(caller, Action::SearchKnowledge)?;
        let limit = validate_search(query, count_max)?;
        let knowledge = self.knowledge.load();
        let vocabulary = &knowledge.diagnosis.vocabulary;
        let hits = knowledge.condition_names.search(query, usize::try_from(limit).unwrap_or(1));
        Ok(hits
            .iter()
            .filter_map(|hit| vocabulary.conditions().nth(usize::try_from(hit.id).ok()?))
            .map(|(_, condition)| FoundCondition {
                id: condition.slug.clone(),
                about: facts(condition),
                synonyms: condition.synonyms.clone(),
                source: vocabulary.sources().cite(&condition.source),
            })
            .collect())
    }

    /// Medicines by Chinese, pinyin, initials, English, alias or code, best first.
    pub fn search_medicines(
        &self,
        caller: &Caller,
        query: &str,
        count_max: u32,
    ) -> Result<Vec<FoundMedicine>, Error> {
        authorise(caller, Action::SearchKnowledge)?;
        let limit = validate_search(query, count_max)?;
        let knowledge = self.knowledge.load();
        let formulary = knowledge.prescription.formulary();
        let hits = knowledge.medicine_names.search(query, usize::try_from(limit).unwrap_or(1));
        Ok(hits
            .into_iter()
            .filter_map(|hit| {
                let medicine = formulary.medicines().get(usize::try_from(hit.id).ok()?)?;
                Some(FoundMedicine {
                    medicine: medicine_facts(&knowledge.prescription, medicine),
                    fuzzy: hit.is_fuzzy(),
                    matched_name: hit.matched_name,
                })
            })
            .collect())
    }

    /// One medicine by code.
    pub fn get_medicine(&self, caller: &Caller, code: &str) -> Result<MedicineFacts, Error> {
        authorise(caller, Action::SearchKnowledge)?;
        let mut problems = Problems::default();
        problems.unless(!code.trim().is_empty(), "code", "must not be empty");
        problems.chars("code", code, NAME_CHARS_MAX);
        problems.finish()?;
        let knowledge = self.knowledge.load();
        let formulary = knowledge.prescription.formulary();
        by_code(formulary, code.trim())
            .map(|m| medicine_facts(&knowledge.prescription, m))
            .ok_or(Error::NotFound { kind: "medicine" })
    }
}

/// The medicine with this code.
pub(super) fn by_code<'a>(formulary: &'a Formulary, code: &str) -> Option<&'a Medicine> {
    match formulary.subject(code)? {
        Subject::Medicine(id) => formulary.medicine(id),
        Subject::Ingredient(_) | Subject::Class(_) => None,
    }
}

fn medicine_facts(known: &PrescriptionKnowledge, medicine: &Medicine) -> MedicineFacts {
    let formulary = known.formulary();
    let ingredients: Vec<_> =
        medicine.ingredients.iter().filter_map(|id| formulary.ingredient(*id)).collect();
    let classes = formulary
        .classes()
        .iter()
        .filter(|c| medicine.ingredients.iter().any(|i| formulary.is_member(*i, c.id)))
        .map(|c| c.name_zh.clone())
        .collect();
    let mut category = medicine.category.clone();
    if !medicine.subcategory.is_empty() {
        category = format!("{category}／{}", medicine.subcategory);
    }
    MedicineFacts {
        code: medicine.code.clone(),
        name: medicine.name_zh.clone(),
        name_en: medicine.name_en.clone(),
        on_essential_list: !medicine.code.starts_with('X'),
        category,
        ingredients: ingredients
            .into_iter()
            .map(|i| (i.slug.clone(), i.name_zh.clone(), i.name_en.clone()))
            .collect(),
        classes,
        aliases: medicine.aliases.clone(),
        forms_strengths: medicine.forms_strengths.clone(),
        specialist: !medicine.specialist.is_empty(),
        advice: known.advice(medicine),
        source: formulary.sources().cite(&medicine.source),
    }
}
