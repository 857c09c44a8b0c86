//! The modality worklist (PS3.4, annex K): what is planned, how a modality asks for it, and how it
//! is answered.

mod fields;
mod question;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::moment;

pub use self::question::Question;

/// How a planned step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// It is planned.
    Scheduled,
    /// A modality has begun it.
    InProgress,
    /// It was done.
    Completed,
    /// It was begun and given up.
    Discontinued,
    /// It was cancelled before it began.
    Cancelled,
}

/// One scheduled procedure step with its request, its patient and its visit. What is not known is
/// the empty string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Item {
    /// Scheduled procedure step ID (0040,0009), unique in the node: an item with the same one
    /// replaces it.
    pub step_id: String,
    /// Patient's name (0010,0010), component groups separated by `=`.
    pub patient_name: String,
    /// Patient ID (0010,0020).
    pub patient_id: String,
    /// Issuer of patient ID (0010,0021).
    pub issuer_of_patient_id: String,
    /// Birth date (0010,0030), `YYYYMMDD`.
    pub patient_birth_date: String,
    /// Sex (0010,0040): `M`, `F`, `O`.
    pub patient_sex: String,
    /// Weight (0010,1030), kilograms.
    pub patient_weight: String,
    /// Medical alerts (0010,2000).
    pub medical_alerts: String,
    /// Allergies (0010,2110).
    pub allergies: String,
    /// Admission ID (0038,0010).
    pub admission_id: String,
    /// Where the patient is (0038,0300).
    pub current_patient_location: String,
    /// Accession number (0008,0050).
    pub accession_number: String,
    /// Referring physician (0008,0090).
    pub referring_physician: String,
    /// Requesting physician (0032,1032).
    pub requesting_physician: String,
    /// Study instance UID (0020,000D); the node makes one if there is none.
    pub study_instance_uid: String,
    /// Requested procedure ID (0040,1001).
    pub requested_procedure_id: String,
    /// Requested procedure description (0032,1060).
    pub requested_procedure_description: String,
    /// Requested procedure priority (0040,1003): `STAT`, `HIGH`, `ROUTINE`, `MEDIUM`, `LOW`.
    pub requested_procedure_priority: String,
    /// Requested procedure code (0032,1064): value.
    pub procedure_code_value: String,
    /// Its coding scheme.
    pub procedure_code_scheme: String,
    /// Its meaning.
    pub procedure_code_meaning: String,
    /// Modality (0008,0060).
    pub modality: String,
    /// AE title of the modality that is to do it (0040,0001); several separated by `\`.
    pub station_ae_title: String,
    /// Its station name (0040,0010).
    pub station_name: String,
    /// Where it is to be done (0040,0011).
    pub step_location: String,
    /// When it is to begin: date (0040,0002), `YYYYMMDD`.
    pub start_date: String,
    /// When it is to begin: time (0040,0003), `HHMMSS`.
    pub start_time: String,
    /// Who is to do it (0040,0006).
    pub performing_physician: String,
    /// Scheduled procedure step description (0040,0007).
    pub step_description: String,
    /// Scheduled protocol code (0040,0008): value.
    pub protocol_code_value: String,
    /// Its coding scheme.
    pub protocol_code_scheme: String,
    /// Its meaning.
    pub protocol_code_meaning: String,
    /// Pre-medication (0040,0012).
    pub pre_medication: String,
    /// Requested contrast agent (0032,1070).
    pub requested_contrast_agent: String,
    /// Comments on the scheduled procedure step (0040,0400).
    pub comments: String,
}

/// A field of an item that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Its name.
    pub field: &'static str,
    /// What it must be.
    pub must_be: &'static str,
}

impl State {
    /// Whether modalities are still told of it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Scheduled | Self::InProgress)
    }

    /// Scheduled procedure step status (0040,0020), a term of PS3.3, C.4.10; empty once it is no
    /// longer in the worklist.
    fn term(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::InProgress => "STARTED",
            Self::Completed | Self::Discontinued | Self::Cancelled => "",
        }
    }
}

impl Item {
    /// Brings dates, times and case into one form, and tells what cannot be.
    pub fn settle(&mut self) -> Vec<Unfit> {
        let mut unfit = Vec::new();
        let mut needs = |field, fits: bool, must_be| {
            if !fits {
                unfit.push(Unfit { field, must_be });
            }
        };
        let short = |text: &str, chars: usize| {
            text.chars().nth(chars).is_none() && !text.contains('\\') && clean(text)
        };
        for text in [&mut self.modality, &mut self.patient_sex] {
            *text = text.trim().to_ascii_uppercase();
        }
        needs(
            "step_id",
            !self.step_id.is_empty() && short(&self.step_id, 16),
            "1 to 16 characters",
        );
        needs("modality", is_code(&self.modality), "a modality like CT");
        match moment::date(&self.start_date) {
            Some(date) => self.start_date = date,
            None => needs("start_date", false, "a date YYYYMMDD"),
        }
        match moment::time(&self.start_time) {
            Some(time) => moment::without_zero_fraction(&time).clone_into(&mut self.start_time),
            None => needs("start_time", false, "a time HHMMSS"),
        }
        if !self.patient_birth_date.is_empty() {
            match moment::date(&self.patient_birth_date) {
                Some(date) => self.patient_birth_date = date,
                None => needs("patient_birth_date", false, "a date YYYYMMDD, or empty"),
            }
        }
        let known = !self.patient_name.is_empty() || !self.patient_id.is_empty();
        needs(
            "patient_id",
            known && short(&self.patient_id, 64),
            "at most 64 characters, and there \
               if patient_name is not",
        );
        let sex = ["", "M", "F", "O"].contains(&self.patient_sex.as_str());
        needs("patient_sex", sex, "M, F, O or empty");
        let weight = self.patient_weight.is_empty()
            || self.patient_weight.len() <= 16
                && self.patient_weight.parse::<f64>().is_ok_and(f64::is_finite);
        needs("patient_weight", weight, "kilograms, or empty");
        let uid = self.study_instance_uid.len() <= 64
            && self.study_instance_uid.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        needs("study_instance_uid", uid, "a UID, or empty");
        let titles = self.station_ae_title.split('\\').all(|t| t.len() <= 16 && t.is_ascii());
        needs("station_ae_title", titles && clean(&self.station_ae_title), "AE titles");
        for (field, text) in [
            ("patient_name", &self.patient_name),
            ("referring_physician", &self.referring_physician),
            ("requesting_physician", &self.requesting_physician),
            ("performing_physician", &self.performing_physician),
        ] {
            let fits =
                text.split('=').count() <= 3 && text.split('=').all(|group| short(group, 64));
            needs(field, fits, "a name: three groups of 64 characters at most");
        }
        for (field, text) in [
            ("accession_number", &self.accession_number),
            ("requested_procedure_id", &self.requested_procedure_id),
            ("requested_procedure_priority", &self.requested_procedure_priority),
            ("procedure_code_value", &self.procedure_code_value),
            ("procedure_code_scheme", &self.procedure_code_scheme),
            ("protocol_code_value", &self.protocol_code_value),
            ("protocol_code_scheme", &self.protocol_code_scheme),
            ("station_name", &self.station_name),
            ("step_location", &self.step_location),
        ] {
            needs(field, short(text, 16), "at most 16 characters");
        }
        for (field, text) in [
            ("issuer_of_patient_id", &self.issuer_of_patient_id),
            ("medical_alerts", &self.medical_alerts),
            ("allergies", &self.allergies),
            ("admission_id", &self.admission_id),
            ("current_patient_location", &self.current_patient_location),
            ("requested_procedure_description", &self.requested_procedure_description),
            ("procedure_code_meaning", &self.procedure_code_meaning),
            ("step_description", &self.step_description),
            ("protocol_code_meaning", &self.protocol_code_meaning),
            ("pre_medication", &self.pre_medication),
            ("requested_contrast_agent", &self.requested_contrast_agent),
        ] {
            needs(field, short(text, 64), "at most 64 characters");
        }
        needs("comments", self.comments.len() <= 10_240, "at most 10240 bytes");
        unfit
    }
}

fn clean(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn is_code(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
