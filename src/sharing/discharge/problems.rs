//! What is wrong with a document, and what of it has no place in the model.

use serde::{Deserialize, Serialize};

use super::model::DischargeRecord;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// FHIR R4, a `Bundle` of type `document`.
    FhirDocument,
    /// FHIR R4, a `Bundle` of type `collection`, `transaction` or `batch`, composed by its inpatient
    /// encounter.
    FhirBundle,
    /// CDA after WS/T 500.53 出院小结.
    CdaDischargeSummary,
    /// CDA after WS/T 500.49 出院记录.
    CdaWst500_49,
    /// CDA after WS/T 500.25 出院评估与指导.
    CdaWst500_25,
    /// CDA after WS/T 500.32 住院病案首页.
    CdaWst500_32,
    /// HL7 C-CDA discharge summary or continuity of care document.
    Ccda,
    /// Made here, from the model.
    Native,
}

impl Format {
    /// The name in JSON, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::FhirDocument => "fhir_document",
            Self::FhirBundle => "fhir_bundle",
            Self::CdaDischargeSummary => "cda_discharge_summary",
            Self::CdaWst500_49 => "cda_wst500_49",
            Self::CdaWst500_25 => "cda_wst500_25",
            Self::CdaWst500_32 => "cda_wst500_32",
            Self::Ccda => "ccda",
            Self::Native => "native",
        }
    }

    /// Whether it is written as JSON.
    pub fn is_json(self) -> bool {
        match self {
            Self::FhirDocument | Self::FhirBundle | Self::Native => true,
            Self::CdaDischargeSummary
            | Self::CdaWst500_49
            | Self::CdaWst500_25
            | Self::CdaWst500_32
            | Self::Ccda => false,
        }
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Information,
    /// Read, but not as the standard wants it.
    Warning,
    /// The document cannot be taken.
    Fatal,
}

/// One problem, where it is and what is allowed there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: a `FHIRPath` (`Bundle.entry[3].resource.birthDate`) or an `XPath`
    /// (`/ClinicalDocument/recordTarget`); `/` for the whole.
    pub path: String,
    /// How bad.
    pub severity: Severity,
    /// A stable name in snake case, for example `date_impossible`.
    pub code: String,
    /// What is wrong and what is allowed, in Chinese, without repeating what the document says.
    pub message: String,
}

impl Problem {
    /// A problem that refuses the document.
    pub fn fatal(path: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, path, code, message)
    }

    /// A problem that does not.
    pub fn warning(path: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, path, code, message)
    }

    /// Any problem.
    pub fn new(
        severity: Severity,
        path: impl Into<String>,
        code: &str,
        message: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), severity, code: code.to_owned(), message: message.into() }
    }
}

/// A part of the document that the model has no place for. It stays in the original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unplaced {
    /// Where, as in [`Problem::path`].
    pub path: String,
    /// What kind of thing it is, for example `Immunization` or an element's name; never its content.
    pub what: String,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// How it was written.
    pub format: Format,
    /// What it says.
    pub record: DischargeRecord,
    /// Everything wrong with it; none of it fatal.
    pub problems: Vec<Problem>,
    /// Everything of it that is in the original alone.
    pub unplaced: Vec<Unplaced>,
}
