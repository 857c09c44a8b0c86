//! The patient.

use super::super::json::Node;
use super::super::terms::{IDENTIFIER_SYSTEMS, IDENTIFIER_TYPES, own_system};
use super::source::head;
use super::types::{
    absent, beside_extension, coded, coded_field, human_name, moment, own_extension,
    quantity_field, read_concept_if, read_if, words,
};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{
    Address, Contact, Identifier, IdentifierKind, Patient, Sex,
};

/// Reads a `Patient`.
pub(in super::super) fn patient(node: &Node<'_>) -> Patient {
    head(node);
    let names = node.peek_list("name");
    // The official name if one is marked so, else the first.
    let official = names.iter().find(|name| name.peek_text("use") == "official");
    let name = official.or(names.first()).map(|name| {
        node.get("name");
        read_if(name, "use", &["official", "usual"]);
        human_name(name)
    });
    let birth_date = moment(node, "birthDate");
    Patient {
        identifiers: identifiers(node),
        name: name.unwrap_or_default(),
        sex: sex(node),
        birth_date: birth_time(node, birth_date),
        age: own_extension(node, "age").and_then(|age| quantity_field(age, "valueQuantity")),
        marital_status: coded_field(node, "maritalStatus"),
        occupation: own_extension(node, "occupation")
            .and_then(|found| coded_field(found, "valueCodeableConcept")),
        phones: phones(node),
        address: address(node),
        contacts: contacts(node),
    }
}

/// Whether a patient has neither a name nor a number, whatever else is said. What is looked at counts as
/// read.
pub(in super::super) fn is_nobody(node: &Node<'_>) -> bool {
    let patient = patient(node);
    let numbers = patient.identifiers.iter();
    patient.name.is_empty() && numbers.map(|one| one.value.as_str()).all(str::is_empty)
}

/// HL7's own way to say the time of birth.
fn birth_time(node: &Node<'_>, day: Option<Moment>) -> Option<Moment> {
    const BIRTH_TIME: &str = "http://hl7.org/fhir/StructureDefinition/patient-birthTime";
    let beside = node.peek("_birthDate").map_or(&[][..], |beside| beside.peek_list("extension"));
    let found = beside.iter().find(|item| item.peek_text("url") == BIRTH_TIME);
    let time = found.and_then(|item| Moment::iso(item.peek_text("valueDateTime")).ok());
    match (time, &day) {
        (Some(time), Some(day)) if !day.has_time() && time.as_str().starts_with(day.as_str()) => {
            if let Some(item) = found {
                node.get("_birthDate").and_then(|beside| beside.get("extension"));
                item.mark_all();
            }
            Some(time)
        }
        _ => day,
    }
}

fn identifiers(node: &Node<'_>) -> Vec<Identifier> {
    let list = node.each("identifier").map(|item| {
        let system = item.text("system").to_owned();
        let known = IDENTIFIER_SYSTEMS.iter().find(|(known, _)| *known == system);
        let kind = match known {
            Some((_, kind)) => *kind,
            None => typed(item),
        };
        if let Some((_, kind)) = known {
            let code = IDENTIFIER_TYPES.iter().find(|(_, known)| known == kind);
            if let Some((code, _)) = code {
                read_concept_if(item, "type", &[code]);
            }
        }
        read_if(item, "use", &["usual", "official"]);
        Identifier { kind, system, value: item.text("value").to_owned() }
    });
    list.filter(|identifier| !identifier.value.is_empty()).collect()
}

/// The kind of a number whose system is not known, by its type.
fn typed(item: &Node<'_>) -> IdentifierKind {
    let codings = item.peek("type").map_or(&[][..], |kind| kind.peek_list("coding"));
    let codes = || codings.iter().map(|coding| coding.peek_text("code"));
    let known = IDENTIFIER_TYPES.iter().find(|(code, _)| codes().any(|found| found == *code));
    match known {
        Some((code, kind)) => {
            read_concept_if(item, "type", &[code]);
            *kind
        }
        None => IdentifierKind::Other,
    }
}

fn sex(node: &Node<'_>) -> Sex {
    absent(node, "gender");
    let unstated = beside_extension(node, "gender", "sex").map(|said| said.text("valueCode"));
    if unstated == Some("9") {
        read_if(node, "gender", &["unknown"]);
        return Sex::Unstated;
    }
    match node.peek_text("gender") {
        "male" => {
            node.get("gender");
            Sex::Male
        }
        "female" => {
            node.get("gender");
            Sex::Female
        }
        // `other` has no place in GB/T 2261.1, and is left over.
        _ => {
            read_if(node, "gender", &["unknown"]);
            Sex::Unknown
        }
    }
}

fn phones(node: &Node<'_>) -> Vec<String> {
    let list = node.peek_list("telecom").iter().filter_map(|item| {
        if !matches!(item.peek_text("system"), "phone" | "sms" | "")
            || item.peek_text("value").is_empty()
        {
            return None;
        }
        node.get("telecom");
        item.mark();
        item.text("system");
        read_if(item, "use", &["home", "mobile"]);
        Some(item.text("value").to_owned())
    });
    list.collect()
}

fn address(node: &Node<'_>) -> Address {
    let all = node.peek_list("address");
    let home = all.iter().find(|item| item.peek_text("use") == "home");
    let Some(item) = home.or(all.first()) else { return Address::default() };
    node.get("address");
    item.mark();
    read_if(item, "use", &["home"]);
    let part = |name: &str| {
        own_extension(item, name).map_or_else(String::new, |p| p.text("valueString").to_owned())
    };
    let mut address = Address {
        province: item.text("state").to_owned(),
        city: item.text("city").to_owned(),
        county: item.text("district").to_owned(),
        township: part("township"),
        village: part("village"),
        house: part("house"),
        text: item.text("text").to_owned(),
        division: part("division"),
    };
    let lines: Vec<&str> = item.peek_list("line").iter().map(Node::as_text).collect();
    let parts = [&address.township, &address.village, &address.house];
    let ours = parts.iter().map(|p| p.as_str()).filter(|p| !p.is_empty()).eq(lines.iter().copied());
    if ours {
        if let Some(line) = item.peek("line") {
            line.mark_all();
        }
    } else if address.text.is_empty() {
        item.each("line").for_each(drop);
        address.text = lines.join(" ");
    }
    address
}

fn contacts(node: &Node<'_>) -> Vec<Contact> {
    let list = node.each("contact").map(|item| {
        let phones = item.peek_list("telecom").iter();
        let phone = phones.into_iter().find(|t| matches!(t.peek_text("system"), "phone" | ""));
        let phone = phone.map(|found| {
            item.get("telecom");
            found.mark();
            found.text("system");
            found.text("value").to_owned()
        });
        Contact {
            name: item.get("name").map(human_name).unwrap_or_default(),
            phone: phone.unwrap_or_default(),
            relation: item.first("relationship").map(words).unwrap_or_default(),
        }
    });
    list.collect()
}

/// Reads a named code of ours.
pub(super) fn own_code<'n>(node: &'n Node<'_>, name: &str) -> &'n str {
    own_extension(node, name).map_or("", |found| found.text("valueCode"))
}

/// Our code within a concept, taken out of what was read from it.
pub(super) fn take_own(coded: &mut crate::sharing::discharge::model::Coded, name: &str) -> String {
    let system = own_system(name);
    let at = coded.codes.iter().position(|code| code.system == system);
    at.map(|at| coded.codes.remove(at).code).unwrap_or_default()
}

/// A concept whose words and codes have a place.
pub(super) fn concept_extension(
    node: &Node<'_>,
    name: &str,
) -> Option<crate::sharing::discharge::model::Coded> {
    let found = own_extension(node, name)?.get("valueCodeableConcept")?;
    Some(coded(found)).filter(|coded| !coded.is_empty())
}
