//! Body region and examination type of a study, derived from tags, codes and free text.
//!
//! What a hospital wrote (`颅脑CT平扫`, `LU NAO CT`, `Head^CTA_HeadNeck`) is matched, longest term
//! first, against `models/imaging/terms.csv`; what is found is looked up in `examinations.csv`.
//! Text beats the body part examined (0018,0015), which many devices fill with a default. What
//! cannot be told is left out and said so; nothing is guessed. No text of the object is carried
//! into the answer, only terms of the table.

mod answer;
mod features;
mod lexicon;
mod tables;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod measure_tests;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use corpus_tests::header as read_for_tests;

pub use tables::{Examination, Examinations, Region};

/// Group of modalities that one examination can be made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modality {
    /// Computed tomography.
    Ct,
    /// Magnetic resonance.
    Mr,
    /// Radiography: DX, CR.
    Xr,
    /// Fluoroscopy.
    Rf,
    /// Ultrasound.
    Us,
    /// Intravascular imaging: ultrasound, optical coherence.
    Ivus,
    /// X-ray angiography.
    Xa,
    /// Nuclear medicine.
    Nm,
    /// Positron emission tomography.
    Pt,
    /// Mammography.
    Mg,
    /// Electrocardiography.
    Ecg,
    /// Structured report.
    Sr,
    /// Anything else, and not said.
    Other,
}

/// The programme that an examination belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Programme {
    /// Brain.
    Brain,
    /// Chest.
    Chest,
    /// Heart and vessels.
    Cardiovascular,
    /// Recognised as none of these.
    Other,
    /// Not to be told.
    Unknown,
}

/// What the body region rests on. `models/imaging/confidence.csv` gives each a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Text and tag agree.
    TextAndTag,
    /// Study description or procedure.
    Text,
    /// Series description or protocol only.
    SeriesText,
    /// Anatomic region sequence (0008,2218) only.
    Code,
    /// Body part examined (0018,0015) only.
    BodyPart,
    /// Text, and a tag that names another region.
    TextAgainstTag,
    /// The texts of study and series name different regions.
    TextsDisagree,
    /// The modality leaves no choice (an electrocardiogram).
    Modality,
    /// Nothing says it.
    Unknown,
}

/// The attribute that a term was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Meaning of the procedure code (0008,1032).
    Procedure,
    /// Study description (0008,1030).
    StudyDescription,
    /// Series description (0008,103E).
    SeriesDescription,
    /// Protocol name (0018,1030).
    Protocol,
    /// Anatomic region sequence (0008,2218).
    AnatomicRegion,
    /// Body part examined (0018,0015).
    BodyPart,
    /// View position (0018,5101).
    ViewPosition,
    /// Contrast or bolus agent (0018,0010).
    ContrastAgent,
}

/// Which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Laterality {
    /// Left.
    Left,
    /// Right.
    Right,
    /// Both.
    Both,
}

/// One thing that the answer rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// Where it was found.
    pub field: Field,
    /// The term or code of the table that was found; `agent` for any contrast agent, `no agent`
    /// where the attribute says that there was none.
    pub term: String,
}

/// What was derived for a series or a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// Modality group; of a study, that of its first examination.
    pub modality: Modality,
    /// Ids of `regions.csv`, sorted; empty if unknown.
    pub regions: Vec<String>,
    /// Ids of `examinations.csv`, sorted; empty if unknown.
    pub examinations: Vec<String>,
    /// Programmes of the examinations, sorted; `Unknown` alone if there is none.
    pub programmes: Vec<Programme>,
    /// Side, where the series says it.
    pub laterality: Option<Laterality>,
    /// What the regions rest on.
    pub basis: Basis,
    /// 0 to 1, from `confidence.csv` by `basis`: how sure the project is of answers on such a
    /// basis, to order and to filter by; it is no calibrated probability.
    pub confidence: f64,
    /// Terms that it rests on, sorted.
    pub reasons: Vec<Reason>,
}

/// What was derived for a study.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedStudy {
    /// The whole study.
    pub study: Derived,
    /// Its series, by series instance UID, in the order of the headers.
    pub series: Vec<(String, Derived)>,
}
