//! The header: which document, whose, where, and who signed.

use super::super::model::{
    Address, Coded, Contact, DischargeRecord, Document, Identifier, IdentifierKind, Sex, Signature,
    SignatureRole, Stay,
};
use super::super::outcome;
use super::super::problems::Format;
use super::systems::{
    self, MARITAL_CN, OCCUPATION_CN, ROOT_BED, ROOT_DEPARTMENT, ROOT_HEALTH_CARD, ROOT_INPATIENT,
    ROOT_INSTITUTION, ROOT_RESIDENT, ROOT_ROOM, ROOT_WARD, SEX_CN,
};
use super::values::identifier;
use super::xml::{Element, Reading, at, attribute, child, children};
use crate::sharing::exchange::VERSION_MAX;

/// The namespace of HL7's extensions of CDA.
const SDTC: &str = "urn:hl7-org:sdtc";
/// Steps from a location up to the institution at most.
const ORGANISATIONS_MAX: usize = 16;

/// Roots of the places within an institution.
const PLACES: [&str; 4] = [ROOT_BED, ROOT_ROOM, ROOT_DEPARTMENT, ROOT_WARD];

/// Reads the header into `record`.
pub(super) fn read(reading: &Reading<'_>, record: &mut DischargeRecord) {
    let root = reading.root();
    document(reading, root, &mut record.document);
    let targets: Vec<_> = children(root, "recordTarget").collect();
    if targets.len() > 1 {
        reading.fatal(root, "patient_ambiguous", "文档有多个患者（recordTarget）；只能有一个");
    }
    if let Some(role) = targets.first().and_then(|target| child(*target, "patientRole")) {
        patient(reading, role, record);
    }
    participants(reading, root, record);
    signatures(reading, root, &mut record.signatures);
    if let Some(custodian) =
        at(root, &["custodian", "assignedCustodian", "representedCustodianOrganization"])
    {
        organisation(reading, custodian, &mut record.stay);
    }
    if let Some(encounter) = at(root, &["componentOf", "encompassingEncounter"]) {
        stay(reading, encounter, &mut record.stay);
    }
    deceased(reading, root, &mut record.stay);
}

/// That the patient is dead, in HL7's extension of the header. When is left to be listed.
fn deceased<'d>(reading: &Reading<'d>, root: Element<'d>, out: &mut Stay) {
    let Some(person) = at(root, &["recordTarget", "patientRole", "patient"]) else { return };
    for node in person.children().filter(|node| node.tag_name().namespace() == Some(SDTC)) {
        match (node.tag_name().name(), attribute(node, "value")) {
            ("deceasedInd", said) => {
                reading.take(node);
                if matches!(said, "true" | "1") {
                    outcome::died(&mut out.outcome, Coded::default());
                }
            }
            ("deceasedTime", time) if !time.is_empty() => {
                outcome::died(&mut out.outcome, Coded::default());
            }
            _ => {}
        }
    }
}

/// `root^extension`, or the one of them that is there.
fn name_of(node: Element<'_>) -> String {
    match identifier(node) {
        None => String::new(),
        Some((root, "", _)) => root.to_owned(),
        Some(("", extension, _)) => extension.to_owned(),
        Some((root, extension, _)) => format!("{root}^{extension}"),
    }
}

fn document<'d>(reading: &Reading<'d>, root: Element<'d>, out: &mut Document) {
    let named = |parent: Element<'d>| {
        ["setId", "id"]
            .into_iter()
            .filter_map(|name| child(parent, name))
            .map(name_of)
            .find(|name| !name.is_empty())
            .unwrap_or_default()
    };
    for name in ["setId", "id", "code"] {
        if let Some(node) = child(root, name) {
            reading.take(node);
        }
    }
    out.name = named(root);
    out.version = child(root, "versionNumber").and_then(|node| {
        reading.take(node);
        let text = attribute(node, "value");
        let version = text.parse().ok().filter(|version| (1..=VERSION_MAX).contains(version));
        if version.is_none() && !text.is_empty() {
            reading.warn(node, "number_malformed", "版本号应为1至4000000000的整数");
        }
        version
    });
    out.title = reading.child_text(root, "title");
    out.written = child(root, "effectiveTime").and_then(|time| reading.moment(time));
    if let Some(language) = child(root, "languageCode") {
        reading.take(language);
        attribute(language, "code").clone_into(&mut out.language);
    }
    for related in children(root, "relatedDocument") {
        let replaces = attribute(related, "typeCode") == "RPLC";
        if let Some(parent) = child(related, "parentDocument").filter(|_| replaces) {
            let name = named(parent);
            if out.replaces.is_empty() {
                reading.take(related);
                out.replaces = name;
            }
        }
    }
}

fn patient<'d>(reading: &Reading<'d>, role: Element<'d>, record: &mut DischargeRecord) {
    for id in children(role, "id") {
        add_identifier(reading, id, &mut record.patient.identifiers);
    }
    for address in children(role, "addr").take(1) {
        record.patient.address = read_address(reading, address);
    }
    for telecom in children(role, "telecom") {
        if let Some(number) = phone(reading, telecom) {
            record.patient.phones.push(number);
        }
    }
    if let Some(organisation_of) = child(role, "providerOrganization") {
        organisation(reading, organisation_of, &mut record.stay);
        chain(reading, organisation_of, &mut record.stay);
    }
    let Some(person) = child(role, "patient") else { return };
    reading.enter(person);
    if let Some(id) = child(person, "id") {
        let mut inner = Vec::new();
        add_identifier(reading, id, &mut inner);
        inner.retain(|id| !record.patient.identifiers.contains(id));
        record.patient.identifiers.append(&mut inner);
    }
    record.patient.name = reading.child_name(person);
    if let Some(gender) = child(person, "administrativeGenderCode") {
        record.patient.sex = sex(reading, gender);
        reading.expect_system(gender, SEX_CN, "性别");
    }
    record.patient.birth_date = child(person, "birthTime").and_then(|time| reading.moment(time));
    if let Some(status) = child(person, "maritalStatusCode") {
        reading.expect_system(status, MARITAL_CN, "婚姻状况");
    }
    record.patient.marital_status = reading.child_coded(person, "maritalStatusCode");
    record.patient.age = child(person, "age").and_then(|age| reading.quantity(age));
    let occupation = child(person, "occupation");
    if let Some(code) = occupation.and_then(|node| child(node, "occupationCode")) {
        reading.expect_system(code, OCCUPATION_CN, "职业类别");
    }
    record.patient.occupation =
        occupation.and_then(|node| reading.child_coded(node, "occupationCode"));
    for guardian in children(person, "guardian") {
        let named = child(guardian, "guardianPerson");
        contact(reading, guardian, named, &mut record.patient.contacts);
    }
}

fn add_identifier<'d>(reading: &Reading<'d>, node: Element<'d>, out: &mut Vec<Identifier>) {
    reading.take(node);
    let Some((root, extension, authority)) = identifier(node) else { return };
    let kind = match root {
        ROOT_RESIDENT => IdentifierKind::ResidentId,
        ROOT_HEALTH_CARD => IdentifierKind::HealthCard,
        ROOT_INPATIENT => IdentifierKind::InpatientNumber,
        _ => IdentifierKind::Other,
    };
    let is_system = ["http://", "https://", "urn:"].iter().any(|uri| authority.starts_with(uri));
    let (system, value) = match (root, extension) {
        // A root without an extension is the whole identifier.
        (root, "") if kind == IdentifierKind::Other => (String::new(), root),
        (_, "") => return,
        (_, extension) if is_system || root.is_empty() => (authority.to_owned(), extension),
        (root, extension) => (systems::uri(root, ""), extension),
    };
    out.push(Identifier { kind, system, value: value.to_owned() });
}

fn sex<'d>(reading: &Reading<'d>, node: Element<'d>) -> Sex {
    reading.take(node);
    match attribute(node, "code") {
        "1" | "M" => Sex::Male,
        "2" | "F" => Sex::Female,
        "9" | "UN" => Sex::Unstated,
        "" | "0" => Sex::Unknown,
        _ => {
            let message = "性别代码不在GB/T 2261.1中；应为0、1、2或9";
            reading.warn(node, "code_unknown", message);
            Sex::Unknown
        }
    }
}

fn read_address<'d>(reading: &Reading<'d>, node: Element<'d>) -> Address {
    reading.enter(node);
    let mut lines: Vec<String> =
        children(node, "streetAddressLine").map(|line| reading.text(line)).collect();
    let own = node.text().map_or("", str::trim);
    if !own.is_empty() {
        lines.insert(0, own.to_owned());
    }
    lines.retain(|line| !line.is_empty());
    let part = |name| reading.child_text(node, name);
    let mut address = Address {
        province: part("state"),
        city: part("city"),
        county: part("county"),
        township: part("township"),
        village: part("streetName"),
        house: part("houseNumber"),
        text: lines.join(" "),
        division: part("censusTract"),
    };
    for text in [
        &mut address.province,
        &mut address.city,
        &mut address.county,
        &mut address.township,
        &mut address.village,
        &mut address.house,
    ] {
        if matches!(text.as_str(), "/" | "-") {
            text.clear();
        }
    }
    address
}

/// A telephone number; other ways to reach somebody have no place.
fn phone<'d>(reading: &Reading<'d>, node: Element<'d>) -> Option<String> {
    let value = attribute(node, "value");
    let number = match value.split_once(':') {
        Some((scheme, number)) if scheme.eq_ignore_ascii_case("tel") => {
            percent_decoded(number.trim())
        }
        Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) => return None,
        _ => value.to_owned(),
    };
    reading.take(node);
    (!number.is_empty()).then_some(number)
}

/// What `%XX` stand for, where they are UTF-8.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = hex.filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        match byte.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// People to call. Some vendors write `assignedEntity` where the schema has `associatedEntity`.
fn participants<'d>(reading: &Reading<'d>, root: Element<'d>, record: &mut DischargeRecord) {
    for participant in children(root, "participant") {
        for name in ["associatedEntity", "assignedEntity"] {
            let Some(entity) = child(participant, name) else { continue };
            let class = attribute(entity, "classCode");
            if !matches!(class, "ECON" | "NOK" | "CON" | "PRS") {
                continue;
            }
            let named = child(entity, "associatedPerson").or(child(entity, "assignedPerson"));
            contact(reading, entity, named, &mut record.patient.contacts);
        }
    }
}

fn contact<'d>(
    reading: &Reading<'d>,
    entity: Element<'d>,
    person: Option<Element<'d>>,
    out: &mut Vec<Contact>,
) {
    let relation = reading.child_words(entity, "code");
    let contact = Contact {
        name: person.map(|person| reading.child_name(person)).unwrap_or_default(),
        phone: children(entity, "telecom")
            .find_map(|telecom| phone(reading, telecom))
            .unwrap_or_default(),
        relation,
    };
    if contact != Contact::default() {
        out.push(contact);
    }
}

/// Authors, then who is responsible, then who else signed.
fn signatures<'d>(reading: &Reading<'d>, root: Element<'d>, out: &mut Vec<Signature>) {
    for author in children(root, "author") {
        let entity = child(author, "assignedAuthor");
        sign(reading, author, entity, SignatureRole::Author, out);
    }
    for name in ["legalAuthenticator", "authenticator"] {
        for signer in children(root, name) {
            let entity = child(signer, "assignedEntity");
            let code = entity.and_then(|entity| child(entity, "code"));
            let title = code.map(title_of).unwrap_or_default();
            let role = role_of(reading, &title, name == "legalAuthenticator");
            // Any other title has no place.
            if let Some(code) = code.filter(|_| role != SignatureRole::Author) {
                reading.take(code);
            }
            sign(reading, signer, entity, role, out);
        }
    }
}

/// The title of who signs.
fn title_of(code: Element<'_>) -> String {
    let words = child(code, "originalText").and_then(|text| text.text()).unwrap_or_default();
    format!("{}{words}", attribute(code, "displayName"))
}

/// As what somebody signed who is not the author. Without a title, WS/T 500.53 and .49 have the
/// resident first and a senior physician after; elsewhere nothing is known.
fn role_of(reading: &Reading<'_>, title: &str, legal: bool) -> SignatureRole {
    let has = |words: &[&str]| words.iter().any(|word| title.contains(word));
    let format = reading.format.get();
    let physicians = matches!(format, Some(Format::CdaDischargeSummary | Format::CdaWst500_49));
    if has(&["住院医"]) {
        SignatureRole::Resident
    } else if has(&["上级", "主治", "主任"]) {
        SignatureRole::Senior
    } else if !physicians || !title.is_empty() {
        SignatureRole::Author
    } else if legal {
        SignatureRole::Resident
    } else {
        SignatureRole::Senior
    }
}

fn sign<'d>(
    reading: &Reading<'d>,
    node: Element<'d>,
    entity: Option<Element<'d>>,
    role: SignatureRole,
    out: &mut Vec<Signature>,
) {
    let mut signature = Signature {
        role,
        signed: child(node, "time").and_then(|time| reading.entry_moment(time)),
        ..Signature::default()
    };
    if let Some(entity) = entity {
        if let Some(person) = child(entity, "assignedPerson") {
            signature.name = reading.child_name(person);
        }
        if let Some(id) = child(entity, "id")
            && let Some((_, extension, _)) = identifier(id)
        {
            reading.take(id);
            extension.clone_into(&mut signature.number);
        }
    }
    if !signature.name.is_empty() || !signature.number.is_empty() {
        out.push(signature);
    }
}

/// Name and number of the institution, where no element before said them.
fn organisation<'d>(reading: &Reading<'d>, node: Element<'d>, stay: &mut Stay) {
    reading.enter(node);
    if let Some(name) = child(node, "name") {
        let said = reading.name(name);
        if stay.institution.is_empty() {
            stay.institution = said;
        }
    }
    for id in children(node, "id") {
        let Some((root, extension, _)) = identifier(id) else { continue };
        if root == ROOT_INSTITUTION && !extension.is_empty() {
            reading.take(id);
            if stay.institution_code.is_empty() {
                extension.clone_into(&mut stay.institution_code);
            }
        }
    }
}

fn stay<'d>(reading: &Reading<'d>, encounter: Element<'d>, out: &mut Stay) {
    if let Some(time) = child(encounter, "effectiveTime") {
        let bound = |name| child(time, name).and_then(|bound| reading.moment(bound));
        out.admitted = bound("low").or_else(|| reading.moment(time));
        out.discharged = bound("high");
    }
    if let Some(went) = child(encounter, "dischargeDispositionCode") {
        let codes = attribute(went, "code");
        if outcome::is_death_disposition(codes) || attribute(went, "displayName").contains("死亡")
        {
            outcome::died(&mut out.outcome, reading.coded(went));
        }
    }
    let facility = at(encounter, &["location", "healthCareFacility"]);
    let Some(facility) = facility else { return };
    if let Some(organisation_of) = child(facility, "serviceProviderOrganization") {
        chain(reading, organisation_of, out);
    }
}

/// Bed, room, department, ward and institution, each part of the next.
fn chain<'d>(reading: &Reading<'d>, from: Element<'d>, out: &mut Stay) {
    let mut organisation_of = Some(from);
    for _ in 0..ORGANISATIONS_MAX {
        let Some(node) = organisation_of else { break };
        let id = children(node, "id").find(|id| PLACES.contains(&attribute(*id, "root")));
        if let Some(id) = id {
            reading.take(id);
            let place = match attribute(id, "root") {
                ROOT_BED => &mut out.bed,
                ROOT_ROOM => &mut out.room,
                ROOT_DEPARTMENT => &mut out.department,
                _ => &mut out.ward,
            };
            let name = reading.child_name(node);
            let said = if name.is_empty() { attribute(id, "extension").to_owned() } else { name };
            if place.is_empty() {
                *place = said;
            }
        } else {
            organisation(reading, node, out);
        }
        organisation_of = at(node, &["asOrganizationPartOf", "wholeOrganization"]);
    }
}
