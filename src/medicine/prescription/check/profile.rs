//! What an order says of the patient, looked up once, for those who plan a treatment.

use super::PrescriptionKnowledge;
use super::allergy;
use super::case::Case;
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::formulary::{IngredientId, MedicineId, Subject};
use crate::medicine::prescription::order::Order;

/// Diseases, current medicines and allergies of a patient.
#[derive(Debug, Clone)]
pub struct Profile {
    codes: Vec<(Icd, bool)>,
    ingredients: Vec<IngredientId>,
    medicines: Vec<MedicineId>,
    allergens: Vec<Subject>,
    egfr: Option<f64>,
    /// Diagnoses and diseases that were not understood.
    not_understood: Vec<String>,
}

impl PrescriptionKnowledge {
    /// Looks up what an order says of the patient. Its lines do not count.
    pub fn profile(&self, order: &Order) -> Profile {
        let case = Case::new(self, order);
        let current = || case.items.iter().filter(|item| !item.is_line());
        Profile {
            codes: case.codes.iter().map(|c| (c.icd, c.text < case.diagnosis_count)).collect(),
            ingredients: current().flat_map(|item| item.ingredients.iter().copied()).collect(),
            medicines: current().filter_map(|item| item.medicine.map(|m| m.id)).collect(),
            allergens: allergy::allergens(&case),
            egfr: case.egfr,
            not_understood: case
                .not_understood
                .iter()
                .map(|at| case.disease_text(*at).to_owned())
                .collect(),
        }
    }

    /// Whether an ingredient or medicine is a subject or among its members.
    fn is_one_of(
        &self,
        subject: Subject,
        ingredients: &[IngredientId],
        medicines: &[MedicineId],
    ) -> bool {
        match subject {
            Subject::Medicine(id) => medicines.contains(&id),
            Subject::Ingredient(id) => ingredients.contains(&id),
            Subject::Class(class) => {
                ingredients.iter().any(|id| self.formulary.is_member(*id, class))
            }
        }
    }

    /// Whether the patient of a profile takes a subject.
    pub fn takes(&self, profile: &Profile, subject: Subject) -> bool {
        self.is_one_of(subject, &profile.ingredients, &profile.medicines)
    }

    /// Whether the patient of a profile is recorded as allergic to a subject, to its class, or to
    /// one of its members.
    pub fn allergic_to(&self, profile: &Profile, subject: Subject) -> bool {
        let members = self.formulary.members(subject);
        profile.allergens.iter().any(|allergen| {
            *allergen == subject
                || self.formulary.members(*allergen).iter().any(|id| members.contains(id))
        })
    }
}

impl Profile {
    /// Whether a diagnosis or disease lies under an ICD-10 prefix.
    pub fn has_disease(&self, prefix: &str) -> bool {
        Icd::read(prefix).is_some_and(|prefix| self.codes.iter().any(|(icd, _)| icd.is_in(prefix)))
    }

    /// Whether a diagnosis, not the history, touches an ICD-10 prefix: lies under it or is the
    /// category it lies in.
    pub fn is_diagnosed(&self, prefix: &str) -> bool {
        let touches = |icd: Icd, prefix: Icd| icd.touches(prefix);
        Icd::read(prefix)
            .is_some_and(|prefix| self.codes.iter().any(|(icd, now)| *now && touches(*icd, prefix)))
    }

    /// Glomerular filtration, said or estimated.
    pub fn egfr(&self) -> Option<f64> {
        self.egfr
    }

    /// Diagnoses and diseases that were not understood.
    pub fn not_understood(&self) -> &[String] {
        &self.not_understood
    }
}
