//! What a discharge record says, whatever it was written in.
//!
//! The elements are those of WS 445.15-2014 / WS/T 500.53-2016 出院小结 (the element's number stands
//! behind `DE`), and beside them what the patient's village needs and the standard leaves to free
//! text: what changed of the medicines, measurements, references to images, and what is to be followed
//! up when. An empty text or list means that the document says nothing; nothing is ever filled in.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// A discharge record. Its own JSON is how it is kept.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DischargeRecord {
    /// Which document it is.
    pub document: Document,
    /// Whose it is.
    pub patient: Patient,
    /// The stay.
    pub stay: Stay,
    /// All diagnoses, in the document's order.
    pub diagnoses: Vec<Diagnosis>,
    /// Operations and other procedures.
    pub procedures: Vec<Procedure>,
    /// What is told in words.
    pub narrative: Narrative,
    /// Sections that the model has no element for, as they are titled.
    pub sections: Vec<Section>,
    /// Medicines at discharge, those that were stopped included.
    pub medicines: Vec<Medicine>,
    /// Measured and counted things.
    pub measurements: Vec<Measurement>,
    /// Allergies and intolerances.
    pub allergies: Vec<Allergy>,
    /// Studies of images.
    pub imaging: Vec<ImagingReference>,
    /// What is to be done after discharge.
    pub follow_ups: Vec<FollowUp>,
    /// Who signed.
    pub signatures: Vec<Signature>,
}

/// Which document it is. Its identity is (name, version): see [`Document::name`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Document {
    /// What all versions share: CDA `setId` (`id` where there is none) as `root^extension`, FHIR
    /// `Bundle.identifier` or `Composition.identifier` as `system|value`.
    pub name: String,
    /// The version that the sender states, from 1: CDA `versionNumber`, FHIR `meta.versionId` if a number.
    pub version: Option<u32>,
    /// Name of the document that this one replaces, if the sender says so.
    pub replaces: String,
    /// The sender takes it back: FHIR `entered-in-error`, or CDA's own ways.
    pub entered_in_error: bool,
    /// Title.
    pub title: String,
    /// When it was written.
    pub written: Option<Moment>,
    /// Language, BCP 47.
    pub language: String,
}

/// A code of a code system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Code {
    /// The system: a URI, or an OID as `urn:oid:…`.
    pub system: String,
    /// The code.
    pub code: String,
    /// What the system calls it.
    pub display: String,
}

/// Something coded. The sender's own text is always kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Coded {
    /// The sender's own words; where there are none, the display of the first code.
    pub text: String,
    /// Its codes, the sender's preferred one first.
    pub codes: Vec<Code>,
}

/// A number and its unit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quantity {
    /// The number.
    pub value: f64,
    /// The unit as written, UCUM where the sender has it.
    pub unit: String,
}

/// What a number identifies a patient by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// 居民身份证号 (GB 11643).
    ResidentId,
    /// 健康卡号 (WS 537).
    HealthCard,
    /// 住院号 of the institution.
    InpatientNumber,
    /// Another one; its system says which.
    #[default]
    Other,
}

/// A number of the patient.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Identifier {
    /// What it is.
    pub kind: IdentifierKind,
    /// Who gave it: a URI, or an OID as `urn:oid:…`.
    pub system: String,
    /// The number as sent.
    pub value: String,
}

/// Administrative sex (GB/T 2261.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// 0 未知的性别, or not said.
    #[default]
    Unknown,
    /// 1 男性.
    Male,
    /// 2 女性.
    Female,
    /// 9 未说明的性别.
    Unstated,
}

/// Where somebody lives (DE02.01.009.01 to .06).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// 省.
    pub province: String,
    /// 市.
    pub city: String,
    /// 县.
    pub county: String,
    /// 乡, 镇, 街道.
    pub township: String,
    /// 村, 路, 弄.
    pub village: String,
    /// 门牌号.
    pub house: String,
    /// The whole as one text, if it was sent as one.
    pub text: String,
    /// Administrative division code, 6, 9 or 12 digits, if it was sent.
    pub division: String,
}

/// Somebody to call.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// Name.
    pub name: String,
    /// Telephone.
    pub phone: String,
    /// Relation to the patient.
    pub relation: String,
}

/// Whose record it is.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Patient {
    /// Numbers.
    pub identifiers: Vec<Identifier>,
    /// Name (DE02.01.039.00).
    pub name: String,
    /// Sex.
    pub sex: Sex,
    /// Birth date.
    pub birth_date: Option<Moment>,
    /// Age, in years or months (DE02.01.026.00, DE02.01.032.00).
    pub age: Option<Quantity>,
    /// Marital status (GB/T 2261.2).
    pub marital_status: Option<Coded>,
    /// Occupation (DE02.01.052.00).
    pub occupation: Option<Coded>,
    /// Telephones.
    pub phones: Vec<String>,
    /// Where the patient lives.
    pub address: Address,
    /// Contacts.
    pub contacts: Vec<Contact>,
}

/// The stay.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stay {
    /// Institution's name.
    pub institution: String,
    /// 医疗机构组织机构代码 (DE08.10.052.00).
    pub institution_code: String,
    /// Department.
    pub department: String,
    /// Ward.
    pub ward: String,
    /// Room.
    pub room: String,
    /// Bed.
    pub bed: String,
    /// Admission (DE06.00.092.00).
    pub admitted: Option<Moment>,
    /// Discharge (DE06.00.017.00).
    pub discharged: Option<Moment>,
    /// Days in hospital (DE06.00.310.00).
    pub days: Option<f64>,
    /// Result of treatment (DE05.10.113.00).
    pub outcome: Option<Coded>,
}

/// When a diagnosis was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosisRole {
    /// 入院诊断.
    Admission,
    /// 出院诊断, the main one.
    DischargeMain,
    /// 出院诊断, another one.
    #[default]
    Discharge,
    /// A problem that was there before, and is not a diagnosis of this stay.
    History,
}

/// What kind of medicine names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosisKind {
    /// 西医诊断 (ICD-10).
    #[default]
    Western,
    /// 中医病名 (GB/T 15657).
    TcmDisease,
    /// 中医证候 (GB/T 15657).
    TcmSyndrome,
}

/// A diagnosis.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Diagnosis {
    /// When.
    pub role: DiagnosisRole,
    /// What kind.
    pub kind: DiagnosisKind,
    /// What.
    pub coded: Coded,
    /// Since when.
    pub onset: Option<Moment>,
    /// Whether it is over.
    pub resolved: bool,
    /// It is suspected, and not confirmed (FHIR `unconfirmed`, `provisional`).
    pub unconfirmed: bool,
}

/// An operation or another procedure.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Procedure {
    /// What (DE06.00.093.00; ICD-9-CM-3).
    pub coded: Coded,
    /// When it began (DE06.00.221.00).
    pub started: Option<Moment>,
    /// How it went (DE05.10.063.00).
    pub course: String,
    /// Anaesthesia (DE06.00.073.00).
    pub anaesthesia: Option<Coded>,
    /// 切口类别 (DE06.00.257.00).
    pub incision: Option<Coded>,
    /// 切口愈合等级 (DE05.10.147.00).
    pub healing: Option<Coded>,
}

/// What is told in words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Narrative {
    /// 入院情况 (DE05.10.148.00).
    pub admission: String,
    /// 诊疗过程描述 (DE06.00.296.00).
    pub course: String,
    /// 阳性辅助检查结果 (DE04.50.128.00).
    pub positive_results: String,
    /// 出院情况 (DE06.00.193.00).
    pub discharge: String,
    /// 出院时症状与体征 (DE04.01.117.00).
    pub symptoms_and_signs: String,
    /// 中医“四诊”观察结果 (DE02.10.028.00).
    pub tcm_observation: String,
    /// 治则治法 (DE06.00.300.00).
    pub tcm_principle: String,
    /// 中药煎煮方法 (DE08.50.047.00).
    pub tcm_decoction: String,
    /// 中药用药方法 (DE06.00.136.00).
    pub tcm_usage: String,
    /// 出院医嘱 (DE06.00.287.00).
    pub orders: String,
}

/// A section that the model has no element for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Section {
    /// What it is.
    pub coded: Coded,
    /// Its text, without markup.
    pub text: String,
}

/// What became of a medicine during the stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MedicineChange {
    /// Begun.
    New,
    /// As before.
    Continued,
    /// Goes on with another dose, form or time.
    Altered,
    /// Stopped: not to be taken any more.
    Stopped,
}

/// A medicine at discharge.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Medicine {
    /// What; its text is the name as written, strength included.
    pub coded: Coded,
    /// What became of it; none if the document does not say.
    pub change: Option<MedicineChange>,
    /// The sender's words about the change, what it was before included.
    pub change_text: String,
    /// One dose.
    pub dose: Option<Quantity>,
    /// Route.
    pub route: Option<Coded>,
    /// Times a day, if regular.
    pub times_per_day: Option<f64>,
    /// How often, as written.
    pub frequency: String,
    /// Only when needed.
    pub as_needed: bool,
    /// Days to go on, if limited.
    pub days: Option<f64>,
    /// From.
    pub start: Option<Moment>,
    /// Until.
    pub end: Option<Moment>,
    /// The whole instruction, as written.
    pub instruction: String,
    /// What for.
    pub reason: String,
    /// Amount given along.
    pub supplied: Option<Quantity>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurement {
    /// What (LOINC where the sender has it).
    pub coded: Coded,
    /// A number.
    pub value: Option<Quantity>,
    /// Or words, or a coded result.
    pub text: String,
    /// When.
    pub taken: Option<Moment>,
    /// High, low, abnormal, as written.
    pub interpretation: String,
    /// Reference range as written.
    pub reference_range: String,
}

/// An allergy or intolerance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Allergy {
    /// To what.
    pub coded: Coded,
    /// What happened.
    pub reaction: String,
    /// Known not to be so: refuted, or "no known allergies".
    pub absent: bool,
}

/// A study of images that belongs to the stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagingReference {
    /// Study instance UID; empty if only words were sent.
    pub study_uid: String,
    /// Accession number.
    pub accession_number: String,
    /// DICOM modality.
    pub modality: String,
    /// What was examined.
    pub description: String,
    /// When.
    pub date: Option<Moment>,
    /// What the report says.
    pub report: String,
}

/// A value to be reached or kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Of what.
    pub coded: Coded,
    /// Not below.
    pub low: Option<Quantity>,
    /// Not above.
    pub high: Option<Quantity>,
    /// As written.
    pub text: String,
}

/// What is to be done after discharge.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FollowUp {
    /// What.
    pub coded: Coded,
    /// Not before.
    pub from: Option<Moment>,
    /// Not after.
    pub due: Option<Moment>,
    /// Who is to do it, as written.
    pub by: String,
    /// Targets.
    pub targets: Vec<Target>,
    /// As written.
    pub text: String,
}

/// What somebody signed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureRole {
    /// 住院医师.
    Resident,
    /// 上级医师.
    Senior,
    /// Who wrote it.
    #[default]
    Author,
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Signature {
    /// As what.
    pub role: SignatureRole,
    /// Name.
    pub name: String,
    /// Number of the person at the institution.
    pub number: String,
    /// When (DE09.00.053.00).
    pub signed: Option<Moment>,
}

impl Coded {
    /// Words without a code.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), codes: Vec::new() }
    }

    /// The first code of `system`.
    pub fn code(&self, system: &str) -> Option<&str> {
        self.codes.iter().find(|code| code.system == system).map(|code| code.code.as_str())
    }

    /// Whether it says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.codes.is_empty()
    }
}

impl Patient {
    /// The first number of this kind.
    pub fn identifier(&self, kind: IdentifierKind) -> Option<&str> {
        self.identifiers.iter().find(|id| id.kind == kind).map(|id| id.value.as_str())
    }
}

/// Whose it is stays out of logs.
macro_rules! hidden {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
hidden!(DischargeRecord, Patient, Identifier, Address, Contact);
