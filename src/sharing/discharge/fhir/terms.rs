//! The code systems, sections and extensions that reader and writer share.
//!
//! OIDs of identifiers and code systems are those that WS/T 500 uses; section codes are LOINC's, as
//! WS/T 500.53 uses them where it does. What R4 has no element for stands in extensions of our own
//! under [`BASE`], which is nobody's host (RFC 2606) and serves as a name only.

use crate::sharing::discharge::model::{IdentifierKind, Narrative};

/// What our own URLs begin with.
pub(super) const BASE: &str = "https://xiangyi.invalid/fhir";

/// A discharge summary.
pub(super) const DISCHARGE_SUMMARY: &str = "18842-5";
/// What else senders call one: LOINC hospital, physician, and setting-neutral ones.
pub(super) const DISCHARGE_SUMMARIES: &[&str] =
    &[DISCHARGE_SUMMARY, "34105-7", "11490-0", "28655-9", "34106-5", "29761-4"];

pub(super) const LOINC: &str = "http://loinc.org";
pub(super) const UCUM: &str = "http://unitsofmeasure.org";
pub(super) const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
pub(super) const CONDITION_CLINICAL: &str =
    "http://terminology.hl7.org/CodeSystem/condition-clinical";
pub(super) const CONDITION_VERIFICATION: &str =
    "http://terminology.hl7.org/CodeSystem/condition-ver-status";
pub(super) const CONDITION_CATEGORY: &str =
    "http://terminology.hl7.org/CodeSystem/condition-category";
pub(super) const DIAGNOSIS_ROLE: &str = "http://terminology.hl7.org/CodeSystem/diagnosis-role";
pub(super) const ALLERGY_CLINICAL: &str =
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
pub(super) const ALLERGY_VERIFICATION: &str =
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";
pub(super) const LOCATION_TYPE: &str =
    "http://terminology.hl7.org/CodeSystem/location-physical-type";
pub(super) const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
pub(super) const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
pub(super) const DICOM_UID: &str = "urn:dicom:uid";
/// HL7's extension that says why a value is not there.
pub(super) const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
/// HL7's extension for the grade of a match.
pub(super) const MATCH_GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";

/// 医疗机构组织机构代码.
pub(super) const INSTITUTION_OID: &str = "urn:oid:2.16.156.10011.1.5";

/// Systems of identifiers whose kind is known.
pub(super) const IDENTIFIER_SYSTEMS: &[(&str, IdentifierKind)] = &[
    ("urn:oid:2.16.156.10011.1.3", IdentifierKind::ResidentId),
    ("urn:oid:2.16.156.10011.1.19", IdentifierKind::HealthCard),
    ("urn:oid:2.16.156.10011.1.12", IdentifierKind::InpatientNumber),
];

/// Types of identifiers (HL7 v2 table 0203) whose kind is known. `NNCHN` follows its rule `NNxxx`;
/// `MR` is the number of somebody's chart at the institution, which 住院号 is nearest to.
pub(super) const IDENTIFIER_TYPES: &[(&str, IdentifierKind)] = &[
    ("NNCHN", IdentifierKind::ResidentId),
    ("HC", IdentifierKind::HealthCard),
    ("MR", IdentifierKind::InpatientNumber),
];

/// Allergy codes that say there is none (SNOMED CT, and IPS's absent-unknown).
pub(super) const NO_ALLERGY: &[&str] = &[
    "716186003",
    "409137002",
    "428607008",
    "716220001",
    "429625007",
    "no-known-allergies",
    "no-known-medication-allergies",
    "no-known-environmental-allergies",
    "no-known-food-allergies",
];

/// What the International Patient Summary codes "nothing known" and "no information" in.
pub(super) const ABSENT_UNKNOWN: &str =
    "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips";

/// Units that are written as UCUM too, because they are UCUM.
pub(super) const UCUM_UNITS: &[&str] = &[
    "%", "/min", "10*9/L", "10*12/L", "Cel", "U", "[IU]", "a", "cm", "d", "g", "g/L", "h", "kg",
    "kg/m2", "mL", "mL/min", "mg", "mg/dL", "mg/L", "min", "mm[Hg]", "mmol/L", "mo", "ng/mL",
    "pg/mL", "ug", "umol/L", "wk",
];

/// One of our extensions.
pub(super) fn own(name: &str) -> String {
    format!("{BASE}/StructureDefinition/{name}")
}

/// One of our code systems.
pub(super) fn own_system(name: &str) -> String {
    format!("{BASE}/CodeSystem/{name}")
}

/// One kind of told section.
pub(super) struct Told {
    /// Our code.
    pub(super) code: &'static str,
    /// LOINC's.
    pub(super) loinc: &'static str,
    /// Title.
    pub(super) title: &'static str,
    /// Whether a section of another sender with that LOINC code is this one.
    pub(super) alone: bool,
    /// Its text.
    pub(super) get: fn(&Narrative) -> &String,
    /// Its text, to be written.
    pub(super) set: fn(&mut Narrative) -> &mut String,
}

macro_rules! told {
    ($($field:ident $code:literal $loinc:literal $title:literal $alone:literal,)*) => {
        &[$(Told {
            code: $code,
            loinc: $loinc,
            title: $title,
            alone: $alone,
            get: |narrative| &narrative.$field,
            set: |narrative| &mut narrative.$field,
        }),*]
    };
}

/// The told sections, in the order of WS/T 500.53.
pub(super) const TOLD: &[Told] = told! {
    admission "admission" "10164-2" "入院情况" true,
    course "course" "8648-8" "诊疗过程" true,
    positive_results "positive-results" "11493-4" "阳性辅助检查结果" true,
    discharge "discharge" "10184-0" "出院情况" true,
    symptoms_and_signs "symptoms-and-signs" "10184-0" "出院时症状与体征" false,
    tcm_observation "tcm-observation" "10210-3" "中医“四诊”观察结果" false,
    tcm_principle "tcm-principle" "18776-5" "治则治法" false,
    tcm_decoction "tcm-decoction" "46209-3" "中药煎煮方法" false,
    tcm_usage "tcm-usage" "46209-3" "中药用药方法" false,
    orders "orders" "8653-8" "出院医嘱" true,
};

/// A section that lists resources: our code, LOINC's, title.
pub(super) const DIAGNOSES: (&str, &str, &str) = ("diagnoses", "11535-2", "诊断");
pub(super) const PROCEDURES: (&str, &str, &str) = ("procedures", "47519-4", "手术及操作");
pub(super) const MEDICINES: (&str, &str, &str) = ("medicines", "10183-2", "出院用药");
pub(super) const MEASUREMENTS: (&str, &str, &str) = ("measurements", "30954-2", "检查检验与体征");
pub(super) const ALLERGIES: (&str, &str, &str) = ("allergies", "48765-2", "过敏史");
pub(super) const IMAGING: (&str, &str, &str) = ("imaging", "18748-4", "影像检查");
pub(super) const FOLLOW_UPS: (&str, &str, &str) = ("follow-ups", "18776-5", "随访安排");

/// Sections whose conditions were diagnosed at admission.
pub(super) const ADMISSION_SECTIONS: &[&str] = &["46241-6", "42347-5"];
/// Sections whose conditions are no diagnoses of this stay.
pub(super) const HISTORY_SECTIONS: &[&str] = &["11450-4", "11348-0"];
/// Sections whose medicines are not those at discharge: at admission, and given in hospital.
pub(super) const OTHER_MEDICINE_SECTIONS: &[&str] = &["42346-7", "29549-3"];
