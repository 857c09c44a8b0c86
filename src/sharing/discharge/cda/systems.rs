//! Code systems and identifier roots: OIDs, their URIs and names.
//!
//! Systems that have a URI of their own everywhere (LOINC, SNOMED CT …) are known by it whatever a
//! record was written in; all others stay `urn:oid:…` as they were sent.

/// A code system with a URI.
struct System {
    oid: &'static str,
    uri: &'static str,
    name: &'static str,
}

/// HL7's OID registry and the terminology chapter of FHIR R4 (source `memory`).
const SYSTEMS: &[System] = &[
    System { oid: "2.16.840.1.113883.6.1", uri: "http://loinc.org", name: "LOINC" },
    System { oid: "2.16.840.1.113883.6.96", uri: "http://snomed.info/sct", name: "SNOMED CT" },
    System {
        oid: "2.16.840.1.113883.6.88",
        uri: "http://www.nlm.nih.gov/research/umls/rxnorm",
        name: "RxNorm",
    },
    System { oid: "2.16.840.1.113883.6.3", uri: "http://hl7.org/fhir/sid/icd-10", name: "ICD-10" },
    System {
        oid: "2.16.840.1.113883.6.90",
        uri: "http://hl7.org/fhir/sid/icd-10-cm",
        name: "ICD-10-CM",
    },
    System {
        oid: "2.16.840.1.113883.6.103",
        uri: "http://hl7.org/fhir/sid/icd-9-cm",
        name: "ICD-9-CM",
    },
    System { oid: "2.16.840.1.113883.6.73", uri: "http://www.whocc.no/atc", name: "ATC" },
];

/// Names of the tables of WS/T 500.53 (from its element table) and of what its elements are coded in.
const NAMES: &[(&str, &str)] = &[
    (DATA_ELEMENTS, "卫生信息数据元目录"),
    (DOCUMENTS, "卫生信息共享文档规范编码体系"),
    (ICD10_CN, "疾病代码表(ICD-10)"),
    ("2.16.156.10011.2.3.3.11", "ICD-10"),
    ("2.16.156.10011.2.3.3.11.3", "诊断编码表(ICD-10)"),
    (TCM, "中医病证分类与代码表(GB/T 15657)"),
    (PROCEDURES_CN, "手术(操作)代码表(ICD-9-CM)"),
    (SEX_CN, "生理性别代码表(GB/T 2261.1)"),
    (MARITAL_CN, "婚姻状况代码表(GB/T 2261.2)"),
    (OCCUPATION_CN, "从业状况(个人身份)代码表"),
    (OUTCOME_CN, "治疗结果代码表"),
    (ANAESTHESIA_CN, "麻醉方法代码表"),
    (INCISION_CN, "手术切口类别代码表"),
    (HEALING_CN, "手术切口愈合等级代码表"),
];

/// 卫生信息数据元目录: the system of `DE…` codes.
pub(super) const DATA_ELEMENTS: &str = "2.16.156.10011.2.2.1";
/// 卫生信息共享文档规范编码体系: the system of document codes.
pub(super) const DOCUMENTS: &str = "2.16.156.10011.2.4";
/// LOINC, the system of section codes.
pub(super) const LOINC: &str = "2.16.840.1.113883.6.1";
/// ICD-10 in WS/T 500.53.
pub(super) const ICD10_CN: &str = "2.16.156.10011.2.3.3.11.5";
/// GB/T 15657.
pub(super) const TCM: &str = "2.16.156.10011.2.3.3.14";
/// ICD-9-CM-3.
pub(super) const PROCEDURES_CN: &str = "2.16.156.10011.2.3.3.12";
/// GB/T 2261.1.
pub(super) const SEX_CN: &str = "2.16.156.10011.2.3.3.4";
/// GB/T 2261.2.
pub(super) const MARITAL_CN: &str = "2.16.156.10011.2.3.3.5";
/// Occupation.
pub(super) const OCCUPATION_CN: &str = "2.16.156.10011.2.3.3.13";
/// 治疗结果.
pub(super) const OUTCOME_CN: &str = "2.16.156.10011.2.3.1.148";
/// 离院方式代码表 (`memory`).
pub(super) const WAYS_CN: &str = "2.16.156.10011.2.3.1.265";
/// 麻醉方法.
pub(super) const ANAESTHESIA_CN: &str = "2.16.156.10011.2.3.1.159";
/// 手术切口类别.
pub(super) const INCISION_CN: &str = "2.16.156.10011.2.3.1.251";
/// 切口愈合等级.
pub(super) const HEALING_CN: &str = "2.16.156.10011.2.3.1.252";

/// Roots of identifiers (element table of WS/T 500.53).
pub(super) const ROOT_DOCUMENT: &str = "2.16.156.10011.1.1";
/// 身份证号.
pub(super) const ROOT_RESIDENT: &str = "2.16.156.10011.1.3";
/// Who works in health care.
pub(super) const ROOT_STAFF: &str = "2.16.156.10011.1.4";
/// 组织机构代码.
pub(super) const ROOT_INSTITUTION: &str = "2.16.156.10011.1.5";
/// Who wrote the document.
pub(super) const ROOT_AUTHOR: &str = "2.16.156.10011.1.7";
/// 住院号.
pub(super) const ROOT_INPATIENT: &str = "2.16.156.10011.1.12";
/// 健康卡号.
pub(super) const ROOT_HEALTH_CARD: &str = "2.16.156.10011.1.19";
/// 病房.
pub(super) const ROOT_ROOM: &str = "2.16.156.10011.1.21";
/// 病床.
pub(super) const ROOT_BED: &str = "2.16.156.10011.1.22";
/// 科室.
pub(super) const ROOT_DEPARTMENT: &str = "2.16.156.10011.1.26";
/// 病区.
pub(super) const ROOT_WARD: &str = "2.16.156.10011.1.27";

/// What in `codeSystemName` marks elements that CDA has no place for and that are ours.
pub(super) const OWN: &str = "xiangyi";

/// The system of a code, from its attributes.
pub(super) fn uri(oid: &str, name: &str) -> String {
    match SYSTEMS.iter().find(|system| system.oid == oid) {
        Some(system) => system.uri.to_owned(),
        None if oid.is_empty() => name.to_owned(),
        None if is_uuid(oid) => format!("urn:uuid:{oid}"),
        None => format!("urn:oid:{oid}"),
    }
}

/// `codeSystem` and `codeSystemName` of a system.
pub(super) fn attributes(uri: &str) -> (&str, &str) {
    if let Some(system) = SYSTEMS.iter().find(|system| system.uri == uri) {
        return (system.oid, system.name);
    }
    if let Some(oid) = uri.strip_prefix("urn:oid:").filter(|oid| is_oid(oid)) {
        return (oid, name(oid));
    }
    if let Some(uuid) = uri.strip_prefix("urn:uuid:").filter(|uuid| is_uuid(uuid)) {
        return (uuid, "");
    }
    ("", uri)
}

/// What a system is called, empty if not known.
pub(super) fn name(oid: &str) -> &'static str {
    let own = NAMES.iter().find(|(of, _)| *of == oid).map(|(_, name)| *name);
    own.or_else(|| SYSTEMS.iter().find(|system| system.oid == oid).map(|system| system.name))
        .unwrap_or_default()
}

/// Whether it is an OID as the schema wants it.
pub(super) fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    matches!(arcs.next(), Some("0" | "1" | "2"))
        && arcs.all(|arc| {
            !arc.is_empty()
                && arc.bytes().all(|b| b.is_ascii_digit())
                && (arc == "0" || !arc.starts_with('0'))
        })
}

/// Whether it is a UUID as the schema wants it.
pub(super) fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    let fits = [8, 4, 4, 4, 12].iter().all(|&length| {
        groups.next().is_some_and(|group| {
            group.len() == length && group.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    });
    fits && groups.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_goes_into_attributes_and_comes_back() {
        for uri_of in [
            "http://loinc.org",
            "http://hl7.org/fhir/sid/icd-10",
            "urn:oid:2.16.156.10011.2.3.3.11.5",
            "urn:oid:1.02",
            "urn:uuid:0b6d8a1e-0f5e-4c7e-9d1a-3b1f9e0c7d21",
            "urn:uuid:short",
            "http://example.org/codes",
            "院内编码",
            "",
        ] {
            let (oid, name) = attributes(uri_of);
            assert!(oid.is_empty() || is_oid(oid) || is_uuid(oid));
            assert_eq!(uri(oid, name), uri_of);
        }
    }
}
