//! What is where in the documents that are read: templates, sections and data elements.
//!
//! `source` says where a row is from: `wst500.53` the element table of WS/T 500.53-2016 (codes and
//! places), `ccda` the C-CDA documents and LOINC names in them, `memory` what is from memory or from how
//! systems in use write, and has not been checked against the text of a standard.

use super::super::model::DiagnosisKind;
use super::super::problems::Format;
use super::systems;

/// A kind of document.
pub(super) struct Template {
    /// Root of `templateId`.
    pub(super) root: &'static str,
    /// `code` of the document.
    pub(super) code: &'static str,
    pub(super) format: Format,
    pub(super) title: &'static str,
    /// Sections that it must have.
    pub(super) sections: &'static [&'static str],
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reviewer"))]
    pub(super) source: &'static str,
}

/// Chinese documents. Which sections must be there is from memory.
pub(super) const TEMPLATES: &[Template] = &[
    Template {
        root: "2.16.156.10011.2.1.1.73",
        code: "C0053",
        format: Format::CdaDischargeSummary,
        title: "出院小结",
        sections: &["11450-4", "46241-6", "11535-2", "8648-8", "46209-3"],
        source: "wst500.53",
    },
    Template {
        root: "2.16.156.10011.2.1.1.69",
        code: "C0049",
        format: Format::CdaWst500_49,
        title: "出院记录",
        sections: &["11535-2", "8648-8"],
        source: "memory",
    },
    Template {
        root: "2.16.156.10011.2.1.1.45",
        code: "C0025",
        format: Format::CdaWst500_25,
        title: "出院评估与指导",
        sections: &["11535-2", "69730-0"],
        source: "memory",
    },
    Template {
        root: "2.16.156.10011.2.1.1.52",
        code: "C0032",
        format: Format::CdaWst500_32,
        title: "住院病案首页",
        sections: &["11535-2"],
        source: "memory",
    },
];

/// Roots of C-CDA templates that are taken: discharge summary and continuity of care document.
pub(super) const CCDA_ROOTS: &[&str] =
    &["2.16.840.1.113883.10.20.22.1.8", "2.16.840.1.113883.10.20.22.1.2"];
/// Document codes of both.
pub(super) const CCDA_CODES: &[&str] = &["18842-5", "34133-9"];

/// What a section is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 主要健康问题; a problem list.
    Problems,
    /// Illness of the past.
    Past,
    AdmissionDiagnosis,
    DischargeDiagnosis,
    Procedures,
    /// 治疗计划; plan of care.
    Plan,
    Course,
    /// 医嘱.
    Orders,
    /// 健康指导; discharge instructions.
    Instructions,
    Results,
    Vitals,
    /// Medicines at discharge.
    Medications,
    /// Medicines of any time: those at discharge only where no section of those is.
    AnyMedications,
    Allergies,
    Imaging,
    /// Findings at discharge, in words.
    DischargeFindings,
    Other,
}

/// LOINC codes of sections.
pub(super) const SECTIONS: &[(&str, Kind, &str)] = &[
    ("11450-4", Kind::Problems, "wst500.53"),
    ("46241-6", Kind::AdmissionDiagnosis, "wst500.53"),
    ("42347-5", Kind::AdmissionDiagnosis, "ccda"),
    ("11535-2", Kind::DischargeDiagnosis, "wst500.53"),
    ("78375-3", Kind::DischargeDiagnosis, "memory"),
    ("47519-4", Kind::Procedures, "wst500.53"),
    ("18776-5", Kind::Plan, "wst500.53"),
    ("8648-8", Kind::Course, "wst500.53"),
    ("46209-3", Kind::Orders, "wst500.53"),
    ("8653-8", Kind::Instructions, "ccda"),
    ("69730-0", Kind::Instructions, "ccda"),
    ("30954-2", Kind::Results, "wst500.53"),
    ("11493-4", Kind::Results, "ccda"),
    ("8716-3", Kind::Vitals, "ccda"),
    ("10183-2", Kind::Medications, "ccda"),
    ("75311-1", Kind::Medications, "memory"),
    ("10160-0", Kind::AnyMedications, "ccda"),
    ("48765-2", Kind::Allergies, "ccda"),
    ("11348-0", Kind::Past, "ccda"),
    ("18748-4", Kind::Imaging, "memory"),
    ("10184-0", Kind::DischargeFindings, "ccda"),
];

/// What a section with this code is about.
pub(super) fn kind(code: &str) -> Kind {
    SECTIONS.iter().find(|(of, ..)| *of == code).map_or(Kind::Other, |(_, kind, _)| *kind)
}

/// A text of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Admission,
    Course,
    PositiveResults,
    Discharge,
    SymptomsAndSigns,
    TcmObservation,
    TcmPrinciple,
    TcmDecoction,
    TcmUsage,
    Orders,
}

/// What an observation with a data element's code is in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Words(Words),
    /// A diagnosis, by code or name.
    Diagnosis(DiagnosisKind),
    Admitted,
    Discharged,
    Days,
    Outcome,
    /// 离院方式: where the patient went.
    Way,
    /// Something to be done after discharge, in words.
    FollowUp,
    /// Someone is allergic to it.
    Allergy,
    ProcedureStarted,
    ProcedureCode,
    ProcedureCourse,
    Anaesthesia,
    Incision,
    Healing,
}

/// A data element.
pub(super) struct DataElement {
    /// 数据元标识符.
    pub(super) de: &'static str,
    /// What its name has in it; the first row whose code and name fit counts.
    pub(super) named: &'static str,
    pub(super) field: Field,
    /// `xsi:type` of its value, empty where several are used.
    pub(super) value: &'static str,
    /// The OID of its codes, empty where there is none.
    pub(super) system: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reviewer"))]
    pub(super) source: &'static str,
}

const fn row(
    de: &'static str,
    named: &'static str,
    field: Field,
    value: &'static str,
    system: &'static str,
) -> DataElement {
    DataElement { de, named, field, value, system, source: "wst500.53" }
}

const fn remembered(
    de: &'static str,
    named: &'static str,
    field: Field,
    value: &'static str,
    system: &'static str,
) -> DataElement {
    DataElement { de, named, field, value, system, source: "memory" }
}

/// Data elements of the bodies of WS/T 500.53, and of .49, .25 and .32 where they are others.
pub(super) const ELEMENTS: &[DataElement] = &[
    row("DE05.10.148.00", "入院情况", Field::Words(Words::Admission), "ST", ""),
    row("DE06.00.296.00", "诊疗过程", Field::Words(Words::Course), "ST", ""),
    row("DE04.50.128.00", "阳性辅助检查结果", Field::Words(Words::PositiveResults), "ST", ""),
    row("DE06.00.193.00", "出院情况", Field::Words(Words::Discharge), "ST", ""),
    row("DE04.01.117.00", "症状与体征", Field::Words(Words::SymptomsAndSigns), "ST", ""),
    row("DE02.10.028.00", "四诊", Field::Words(Words::TcmObservation), "ST", ""),
    row("DE06.00.300.00", "治则治法", Field::Words(Words::TcmPrinciple), "ST", ""),
    row("DE08.50.047.00", "煎煮方法", Field::Words(Words::TcmDecoction), "ST", ""),
    remembered("DE06.00.136.00", "用药指导", Field::Words(Words::Orders), "ST", ""),
    row("DE06.00.136.00", "用药方法", Field::Words(Words::TcmUsage), "ST", ""),
    row("DE06.00.287.00", "出院医嘱", Field::Words(Words::Orders), "ST", ""),
    row(
        "DE05.01.024.00",
        "诊断",
        Field::Diagnosis(DiagnosisKind::Western),
        "CD",
        systems::ICD10_CN,
    ),
    remembered("DE05.01.025.00", "诊断", Field::Diagnosis(DiagnosisKind::Western), "ST", ""),
    row("DE05.10.130.00", "证候", Field::Diagnosis(DiagnosisKind::TcmSyndrome), "CD", systems::TCM),
    row("DE05.10.130.00", "病名", Field::Diagnosis(DiagnosisKind::TcmDisease), "CD", systems::TCM),
    remembered("DE05.10.172.00", "证候", Field::Diagnosis(DiagnosisKind::TcmSyndrome), "ST", ""),
    remembered("DE05.10.172.00", "病名", Field::Diagnosis(DiagnosisKind::TcmDisease), "ST", ""),
    row("DE06.00.092.00", "入院日期", Field::Admitted, "TS", ""),
    row("DE06.00.017.00", "出院日期", Field::Discharged, "TS", ""),
    row("DE06.00.310.00", "住院天数", Field::Days, "PQ", ""),
    row("DE05.10.113.00", "治疗结果", Field::Outcome, "CD", systems::OUTCOME_CN),
    remembered("DE06.00.223.00", "离院方式", Field::Way, "CD", systems::WAYS_CN),
    remembered("DE06.00.299.00", "复诊指导", Field::FollowUp, "ST", ""),
    remembered("DE02.10.022.00", "过敏史", Field::Allergy, "ST", ""),
    remembered("DE02.10.023.00", "过敏药物", Field::Allergy, "ST", ""),
    row("DE06.00.221.00", "开始日期时间", Field::ProcedureStarted, "TS", ""),
    remembered("DE06.00.221.00", "手术及操作日期", Field::ProcedureStarted, "TS", ""),
    row("DE06.00.093.00", "手术及操作编码", Field::ProcedureCode, "CD", systems::PROCEDURES_CN),
    row("DE05.10.063.00", "手术过程", Field::ProcedureCourse, "ST", ""),
    row("DE06.00.073.00", "麻醉方法", Field::Anaesthesia, "CD", systems::ANAESTHESIA_CN),
    row("DE06.00.257.00", "切口类别", Field::Incision, "CD", systems::INCISION_CN),
    row("DE05.10.147.00", "愈合等级", Field::Healing, "CD", systems::HEALING_CN),
];

/// Words in an element's name that make a diagnosis something else than one of the stay.
const NOT_OF_THE_STAY: &[&str] = &["鉴别", "病理", "门诊", "门（急）", "门(急)", "损伤", "中毒"];

/// The element with this code and name. A code that is mistyped is found by its name, a name that
/// is missing by the code.
pub(super) fn element(de: &str, name: &str) -> Option<&'static DataElement> {
    let of_code = || ELEMENTS.iter().filter(|element| element.de == de);
    let found = of_code()
        .find(|element| name.contains(element.named))
        .or_else(|| of_code().next_back())
        .or_else(|| {
            // Of a diagnosis the name alone says too little.
            let named = |element: &&DataElement| {
                name.contains(element.named) && !matches!(element.field, Field::Diagnosis(_))
            };
            ELEMENTS.iter().filter(named).max_by_key(|element| element.named.len())
        })?;
    let diagnosis = matches!(found.field, Field::Diagnosis(_));
    (!diagnosis || !NOT_OF_THE_STAY.iter().any(|word| name.contains(word))).then_some(found)
}

/// OIDs that are in use for ICD-10 in Chinese documents beside the one of WS/T 500.53 (`memory`).
pub(super) const ICD10_ACCEPTED: &[&str] = &[
    systems::ICD10_CN,
    "2.16.156.10011.2.3.3.11",
    "2.16.156.10011.2.3.3.11.3",
    "2.16.840.1.113883.6.3",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_where_it_is_from() {
        let known = ["wst500.53", "ccda", "memory"];
        assert!(TEMPLATES.iter().all(|row| known.contains(&row.source)));
        assert!(SECTIONS.iter().all(|row| known.contains(&row.2)));
        assert!(ELEMENTS.iter().all(|row| known.contains(&row.source)));
    }

    #[test]
    fn an_element_is_found_by_code_and_name_or_by_either() {
        let field = |de, name| element(de, name).map(|element| element.field);
        let syndrome = Some(Field::Diagnosis(DiagnosisKind::TcmSyndrome));
        let disease = Some(Field::Diagnosis(DiagnosisKind::TcmDisease));
        assert_eq!(field("DE05.10.130.00", "出院诊断-中医证候代码"), syndrome);
        assert_eq!(field("DE05.10.130.00", "出院诊断-中医病名代码"), disease);
        assert_eq!(field("DE05.10.130.00", ""), disease);
        assert_eq!(field("DE056.00.193.00", "出院情况"), Some(Field::Words(Words::Discharge)));
        assert_eq!(field("DE06.00.136.00", "用药指导"), Some(Field::Words(Words::Orders)));
        assert_eq!(field("DE06.00.136.00", "中药用药方法"), Some(Field::Words(Words::TcmUsage)));
        assert_eq!(field("DE05.01.024.00", "病理诊断-疾病编码"), None);
        assert_eq!(field("DE09.99.999.00", "其他"), None);
        // As in a template that is in use.
        let observed = Some(Field::Words(Words::TcmObservation));
        assert_eq!(field("DE05.10.028.00", "中医'四诊'观察结果"), observed);
        assert_eq!(field("DE09.00.104.00", "出院诊断-主要诊断入院病情代码"), None);
    }
}
