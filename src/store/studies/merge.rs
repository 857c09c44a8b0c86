//! What later instances of a study or series may add to it.
//!
//! The rule: what is empty is filled by the first instance that says it; what is there stays. An
//! instance that says otherwise keeps its own words in the archive and changes nothing here, so
//! that an answer does not depend on which instance came last.

use std::collections::BTreeSet;

use crate::sharing::imaging::header::{Patient, Series, Study};
use crate::sharing::imaging::name;

/// A study as the writer knows it.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct StudyState {
    pub(in crate::store) id: i64,
    pub(in crate::store) patient_id: i64,
    pub(in crate::store) patient: Patient,
    pub(in crate::store) study: Study,
    pub(in crate::store) guessed: bool,
    pub(in crate::store) modalities: BTreeSet<String>,
    pub(in crate::store) sop_classes: BTreeSet<String>,
    pub(in crate::store) series: u64,
    pub(in crate::store) instances: u64,
    pub(in crate::store) bytes: u64,
}

/// A series as the writer knows it.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct SeriesState {
    pub(in crate::store) id: i64,
    pub(in crate::store) study: i64,
    pub(in crate::store) series: Series,
    pub(in crate::store) sop_classes: BTreeSet<String>,
    pub(in crate::store) instances: u64,
    pub(in crate::store) bytes: u64,
}

/// What tells one patient from another. Two hospitals give the same ID to two people, and nobody
/// sends the issuer: a patient's name and birth date belong to it, or one would answer with the
/// name of the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) struct Identity {
    pub(in crate::store) id: String,
    pub(in crate::store) issuer: String,
    pub(in crate::store) look: String,
    pub(in crate::store) birth_date: String,
}

impl Identity {
    pub(in crate::store) fn of(patient: &Patient) -> Self {
        Self {
            id: patient.id.clone(),
            issuer: patient.issuer.clone(),
            look: name::look(&patient.name),
            birth_date: patient.birth_date.clone(),
        }
    }
}

/// Columns of a patient: their names in order, and the fields that stand in them.
pub(in crate::store) fn patient_fields(patient: &mut Patient) -> [&mut String; 5] {
    let Patient { id, issuer, name, birth_date, sex } = patient;
    [id, issuer, name, birth_date, sex]
}

/// Columns of a study after its UID.
pub(in crate::store) fn study_fields(study: &mut Study) -> [&mut String; 8] {
    let Study {
        uid: _,
        date,
        time,
        accession_number,
        id,
        description,
        referring_physician,
        patient_age,
        procedure,
    } = study;
    [date, time, accession_number, id, description, referring_physician, patient_age, procedure]
}

/// Columns of a series after its UID.
pub(in crate::store) fn series_fields(series: &mut Series) -> [&mut String; 21] {
    let Series {
        uid: _,
        modality,
        number,
        description,
        date,
        time,
        body_part,
        laterality,
        view_position,
        protocol,
        contrast_agent,
        anatomic_region,
        anatomic_region_code,
        institution,
        department,
        station,
        manufacturer,
        model,
        performed_date,
        performed_time,
        requested_procedure_id,
        scheduled_step_id,
    } = series;
    [
        modality,
        number,
        description,
        date,
        time,
        body_part,
        laterality,
        view_position,
        protocol,
        contrast_agent,
        anatomic_region,
        anatomic_region_code,
        institution,
        department,
        station,
        manufacturer,
        model,
        performed_date,
        performed_time,
        requested_procedure_id,
        scheduled_step_id,
    ]
}

/// Fills what is empty in `mine`; whether there was anything to fill.
pub(in crate::store) fn fill<const N: usize>(
    mine: [&mut String; N],
    theirs: [&mut String; N],
) -> bool {
    let mut filled = false;
    for (mine, theirs) in mine.into_iter().zip(theirs) {
        if mine.is_empty() && !theirs.is_empty() {
            *mine = std::mem::take(theirs);
            filled = true;
        }
    }
    filled
}

/// Several values as they are kept: sorted, parted by `\`.
pub(in crate::store) fn joined(values: &BTreeSet<String>) -> String {
    values.iter().map(String::as_str).collect::<Vec<_>>().join("\\")
}

/// What [`joined`] joined.
pub(in crate::store) fn parted(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('\\').filter(|part| !part.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Identity, fill, patient_fields};
    use crate::sharing::imaging::header::Patient;

    #[test]
    fn what_is_there_stays_and_what_is_empty_is_filled_once() {
        let mut mine = Patient { id: "1".to_owned(), ..Patient::default() };
        let theirs = Patient { id: "2".to_owned(), sex: "F".to_owned(), ..Patient::default() };
        assert!(fill(patient_fields(&mut mine), patient_fields(&mut theirs.clone())));
        assert!(!fill(patient_fields(&mut mine), patient_fields(&mut theirs.clone())));
        assert_eq!((mine.id.as_str(), mine.sex.as_str()), ("1", "F"));
    }

    #[test]
    fn one_name_in_two_writings_is_one_patient_and_two_names_under_one_id_are_two() {
        let named = |name: &str| {
            Identity::of(&Patient {
                id: "1".to_owned(),
                name: name.to_owned(),
                ..Patient::default()
            })
        };
        assert_eq!(named("Zhang^San"), named("ＺＨＡＮＧ SAN"));
        assert_ne!(named("Zhang^San"), named("Li^Si"));
    }
}
