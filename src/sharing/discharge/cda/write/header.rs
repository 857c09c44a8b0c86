//! The header of WS/T 500.53.

use std::fmt::Write as _;

use super::super::super::model::{
    Address, Contact, DischargeRecord, Document, Identifier, IdentifierKind, Patient, Sex,
    Signature, SignatureRole, Stay,
};
use super::super::elements::TEMPLATES;
use super::super::systems::{
    self, DOCUMENTS, ROOT_AUTHOR, ROOT_BED, ROOT_DEPARTMENT, ROOT_DOCUMENT, ROOT_HEALTH_CARD,
    ROOT_INPATIENT, ROOT_INSTITUTION, ROOT_RESIDENT, ROOT_ROOM, ROOT_STAFF, ROOT_WARD, SEX_CN,
};
use super::xml::Xml;

/// Writes the header; `ClinicalDocument` is open.
pub(super) fn write(xml: &mut Xml, record: &DischargeRecord) {
    document(xml, &record.document);
    patient(xml, record);
    let signed = |role| record.signatures.iter().filter(move |signature| signature.role == role);
    authors(xml, signed(SignatureRole::Author));
    custodian(xml, &record.stay);
    let mut residents = signed(SignatureRole::Resident);
    if let Some(first) = residents.next() {
        xml.comment("HDSD00.16.053 住院医师签名 HDSD00.16.028 签名日期时间");
        xml.open("legalAuthenticator", &[("typeCode", "LA"), ("contextControlCode", "OP")]);
        signature(xml, first, "住院医师");
    }
    for other in residents {
        xml.open("authenticator", &[("typeCode", "AUTHEN")]);
        signature(xml, other, "住院医师");
    }
    for senior in signed(SignatureRole::Senior) {
        xml.comment("HDSD00.16.035 上级医师签名 HDSD00.16.028 签名日期时间");
        xml.open("authenticator", &[("typeCode", "AUTHEN")]);
        signature(xml, senior, "上级医师");
    }
    for contact in &record.patient.contacts {
        participant(xml, contact);
    }
    replaces(xml, &record.document.replaces);
    stay(xml, &record.stay);
}

/// Root and extension of a document's name, see [`Document::name`].
fn named(name: &str) -> (&str, &str) {
    let is_root = |root: &str| systems::is_oid(root) || systems::is_uuid(root);
    match name.split_once('^') {
        Some((root, extension)) if is_root(root) && !extension.is_empty() => (root, extension),
        _ if is_root(name) => (name, ""),
        _ => ("", name),
    }
}

fn document(xml: &mut Xml, document: &Document) {
    xml.empty("realmCode", &[("code", "CN")]);
    xml.empty("typeId", &[("root", "2.16.840.1.113883.1.3"), ("extension", "POCD_MT000040")]);
    let (root, code, title) = TEMPLATES
        .first()
        .map_or(("", "", ""), |template| (template.root, template.code, template.title));
    xml.empty("templateId", &[("root", root)]);
    xml.comment("文档流水号：名称与版本");
    let version = document.version.map(|version| version.to_string()).unwrap_or_default();
    if document.name.is_empty() {
        xml.empty("id", &[("root", ROOT_DOCUMENT), ("nullFlavor", "NI")]);
    } else {
        let of_version = if version.is_empty() {
            document.name.clone()
        } else {
            format!("{}#{version}", document.name)
        };
        xml.empty("id", &[("root", ROOT_DOCUMENT), ("extension", &of_version)]);
    }
    let attributes =
        [("code", code), ("codeSystem", DOCUMENTS), ("codeSystemName", systems::name(DOCUMENTS))];
    xml.empty("code", &attributes);
    xml.text("title", &[], if document.title.is_empty() { title } else { &document.title });
    xml.moment("effectiveTime", document.written.as_ref());
    let attributes = [
        ("code", "N"),
        ("codeSystem", "2.16.840.1.113883.5.25"),
        ("codeSystemName", "Confidentiality"),
        ("displayName", "正常访问保密级别"),
    ];
    xml.empty("confidentialityCode", &attributes);
    if !document.language.is_empty() {
        xml.empty("languageCode", &[("code", &document.language)]);
    }
    if !document.name.is_empty() {
        let (root, extension) = named(&document.name);
        xml.empty("setId", &[("root", root), ("extension", extension)]);
    }
    if !version.is_empty() {
        xml.empty("versionNumber", &[("value", &version)]);
    }
}

fn patient(xml: &mut Xml, record: &DischargeRecord) {
    let patient = &record.patient;
    xml.open("recordTarget", &[("typeCode", "RCT"), ("contextControlCode", "OP")]);
    xml.open("patientRole", &[("classCode", "PAT")]);
    let inner = identifiers(xml, &patient.identifiers);
    address(xml, &patient.address);
    for phone in &patient.phones {
        xml.comment("HDSD00.16.018 DE02.01.010.00 患者电话号码");
        telecom(xml, phone);
    }
    person(xml, patient, inner);
    xml.open("providerOrganization", &[("classCode", "ORG"), ("determinerCode", "INSTANCE")]);
    xml.comment("HDSD00.16.043 DE08.10.052.00 医疗机构组织机构代码");
    xml.number(ROOT_INSTITUTION, &record.stay.institution_code);
    xml.text_if("name", &record.stay.institution);
    xml.close_all(3);
}

/// Numbers in their order. The standard has the 身份证号 within `patient`, which is read last: only
/// if it does not stand last in the record it stands among the others as well.
fn identifiers<'p>(xml: &mut Xml, all: &'p [Identifier]) -> Option<&'p Identifier> {
    let resident = |id: &&Identifier| id.kind == IdentifierKind::ResidentId;
    let inner = all.iter().find(resident);
    let last = all.last().is_some_and(|id| resident(&id));
    let alone = last && all.iter().filter(resident).count() == 1;
    let mut written = 0;
    for id in all {
        if !(alone && id.kind == IdentifierKind::ResidentId) {
            identifier(xml, id);
            written += 1;
        }
    }
    if written == 0 {
        xml.number(ROOT_INPATIENT, "");
    }
    inner
}

fn identifier(xml: &mut Xml, id: &Identifier) {
    let (root, comment) = match id.kind {
        IdentifierKind::ResidentId => (ROOT_RESIDENT, "DE02.01.030.00 身份证号"),
        IdentifierKind::HealthCard => (ROOT_HEALTH_CARD, "DE01.00.021.00 健康卡号"),
        IdentifierKind::InpatientNumber => (ROOT_INPATIENT, "DE01.00.014.00 住院号"),
        IdentifierKind::Other => ("", ""),
    };
    if !comment.is_empty() {
        xml.comment(comment);
    }
    let own = id.system.strip_prefix("urn:oid:").filter(|oid| systems::is_oid(oid));
    let (root, authority) = match own {
        Some(oid) if root.is_empty() || root == oid => (oid, ""),
        _ if id.system.is_empty() && id.kind == IdentifierKind::Other => (root, ""),
        _ => (root, id.system.as_str()),
    };
    let attributes =
        [("root", root), ("extension", &id.value), ("assigningAuthorityName", authority)];
    xml.empty("id", &attributes);
}

fn address(xml: &mut Xml, address: &Address) {
    if *address == Address::default() {
        return;
    }
    xml.comment("DE02.01.009.01 至 .06 现住址");
    xml.open("addr", &[("use", "H")]);
    xml.text_if("houseNumber", &address.house);
    xml.text_if("streetName", &address.village);
    xml.text_if("township", &address.township);
    xml.text_if("county", &address.county);
    xml.text_if("city", &address.city);
    xml.text_if("state", &address.province);
    xml.text_if("censusTract", &address.division);
    xml.text_if("streetAddressLine", &address.text);
    xml.close();
}

/// A number as it is, or as a `tel:` URI where it has other characters.
fn telecom(xml: &mut Xml, phone: &str) {
    let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'(' | b')');
    if phone.bytes().all(plain) {
        xml.empty("telecom", &[("value", phone)]);
        return;
    }
    let mut uri = "tel:".to_owned();
    for byte in phone.bytes() {
        if plain(byte) || byte.is_ascii_alphabetic() {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    xml.empty("telecom", &[("value", &uri)]);
}

fn person(xml: &mut Xml, patient: &Patient, resident: Option<&Identifier>) {
    xml.open("patient", &[("classCode", "PSN"), ("determinerCode", "INSTANCE")]);
    if let Some(id) = resident {
        identifier(xml, id);
    }
    xml.comment("HDSD00.16.019 DE02.01.039.00 患者姓名");
    xml.text("name", &[], &patient.name);
    xml.comment("HDSD00.16.041 DE02.01.040.00 性别代码");
    let (code, display) = match patient.sex {
        Sex::Unknown => ("0", "未知的性别"),
        Sex::Male => ("1", "男性"),
        Sex::Female => ("2", "女性"),
        Sex::Unstated => ("9", "未说明的性别"),
    };
    let attributes = [
        ("code", code),
        ("codeSystem", SEX_CN),
        ("codeSystemName", systems::name(SEX_CN)),
        ("displayName", display),
    ];
    xml.empty("administrativeGenderCode", &attributes);
    if let Some(birth) = &patient.birth_date {
        xml.moment("birthTime", Some(birth));
    }
    if let Some(status) = &patient.marital_status {
        xml.comment("HDSD00.16.020 DE02.01.018.00 婚姻状况代码");
        xml.coded("maritalStatusCode", "", status);
    }
    if let Some(age) = &patient.age {
        xml.comment(if age.unit.contains('月') {
            "HDSD00.16.027 DE02.01.032.00 年龄（月）"
        } else {
            "HDSD00.16.026 DE02.01.026.00 年龄（岁）"
        });
        xml.quantity("age", "", age);
    }
    if let Some(occupation) = &patient.occupation {
        xml.comment("HDSD00.16.046 DE02.01.052.00 职业类别代码");
        xml.open("occupation", &[("classCode", "OCCU")]);
        xml.coded("occupationCode", "", occupation);
        xml.close();
    }
    xml.close();
}

/// Who wrote it. CDA wants one, known or not.
fn authors<'r>(xml: &mut Xml, authors: impl Iterator<Item = &'r Signature>) {
    let mut any = false;
    for author in authors {
        any = true;
        xml.open("author", &[("typeCode", "AUT"), ("contextControlCode", "OP")]);
        xml.moment("time", author.signed.as_ref());
        xml.open("assignedAuthor", &[("classCode", "ASSIGNED")]);
        xml.number(ROOT_AUTHOR, &author.number);
        named_person(xml, "assignedPerson", &author.name);
        xml.close_all(2);
    }
    if !any {
        xml.open("author", &[("typeCode", "AUT"), ("contextControlCode", "OP")]);
        xml.moment("time", None);
        xml.open("assignedAuthor", &[("classCode", "ASSIGNED")]);
        xml.number(ROOT_AUTHOR, "");
        xml.close_all(2);
    }
}

fn named_person(xml: &mut Xml, element: &'static str, name: &str) {
    if !name.is_empty() {
        xml.open(element, &[("classCode", "PSN"), ("determinerCode", "INSTANCE")]);
        xml.text("name", &[], name);
        xml.close();
    }
}

fn custodian(xml: &mut Xml, stay: &Stay) {
    xml.open("custodian", &[("typeCode", "CST")]);
    xml.open("assignedCustodian", &[("classCode", "ASSIGNED")]);
    let attributes = [("classCode", "ORG"), ("determinerCode", "INSTANCE")];
    xml.open("representedCustodianOrganization", &attributes);
    xml.number(ROOT_INSTITUTION, &stay.institution_code);
    xml.text_if("name", &stay.institution);
    xml.close_all(3);
}

/// The rest of an authenticator that is open.
fn signature(xml: &mut Xml, signature: &Signature, title: &str) {
    xml.moment("time", signature.signed.as_ref());
    xml.empty("signatureCode", &[("code", "S")]);
    xml.open("assignedEntity", &[("classCode", "ASSIGNED")]);
    xml.number(ROOT_STAFF, &signature.number);
    xml.empty("code", &[("displayName", title)]);
    named_person(xml, "assignedPerson", &signature.name);
    xml.close_all(2);
}

fn participant(xml: &mut Xml, contact: &Contact) {
    xml.comment(
        "HDSD00.16.024 DE02.01.039.00 联系人姓名 HDSD00.16.023 DE02.01.010.00 联系人电话号码",
    );
    xml.open("participant", &[("typeCode", "NOT"), ("contextControlCode", "OP")]);
    xml.open("associatedEntity", &[("classCode", "ECON")]);
    if !contact.relation.is_empty() {
        xml.open("code", &[("nullFlavor", "OTH")]);
        xml.text("originalText", &[], &contact.relation);
        xml.close();
    }
    if !contact.phone.is_empty() {
        telecom(xml, &contact.phone);
    }
    named_person(xml, "associatedPerson", &contact.name);
    xml.close_all(2);
}

fn replaces(xml: &mut Xml, name: &str) {
    if name.is_empty() {
        return;
    }
    let (root, extension) = named(name);
    let attributes = [("root", root), ("extension", extension)];
    xml.open("relatedDocument", &[("typeCode", "RPLC")]);
    xml.open("parentDocument", &[]);
    xml.empty("id", &attributes);
    xml.empty("setId", &attributes);
    xml.close_all(2);
}

/// The encounter: when, and bed, room, department and ward, each part of the next.
fn stay(xml: &mut Xml, stay: &Stay) {
    xml.open("componentOf", &[("typeCode", "COMP")]);
    xml.open("encompassingEncounter", &[("classCode", "ENC"), ("moodCode", "EVN")]);
    xml.comment(
        "HDSD00.16.031 DE06.00.092.00 入院日期时间 HDSD00.16.005 DE06.00.017.00 出院日期时间",
    );
    xml.open("effectiveTime", &[]);
    xml.moment("low", stay.admitted.as_ref());
    xml.moment("high", stay.discharged.as_ref());
    xml.close();
    xml.open("location", &[("typeCode", "LOC")]);
    xml.open("healthCareFacility", &[("classCode", "SDLOC")]);
    xml.open(
        "serviceProviderOrganization",
        &[("classCode", "ORG"), ("determinerCode", "INSTANCE")],
    );
    for (comment, root, name) in [
        ("HDSD00.16.001 DE01.00.026.00 病床号", ROOT_BED, &stay.bed),
        ("HDSD00.16.002 DE01.00.019.00 病房号", ROOT_ROOM, &stay.room),
        ("DE08.10.026.00 科室名称", ROOT_DEPARTMENT, &stay.department),
        ("DE08.10.054.00 病区名称", ROOT_WARD, &stay.ward),
    ] {
        part_of(xml, comment, root, name);
        xml.text_if("name", name);
    }
    part_of(xml, "DE08.10.052.00 医疗机构", ROOT_INSTITUTION, &stay.institution_code);
    xml.text_if("name", &stay.institution);
    xml.close_all(5 * 2 + 5);
}

fn part_of(xml: &mut Xml, comment: &str, root: &str, number: &str) {
    xml.open("asOrganizationPartOf", &[("classCode", "PART")]);
    xml.comment(comment);
    xml.open("wholeOrganization", &[("classCode", "ORG"), ("determinerCode", "INSTANCE")]);
    xml.number(root, number);
}
