//! A record as a FHIR R4 document: a `Bundle` whose first entry is a `Composition` of type LOINC
//! 18842-5, with every part of the record as a resource that a section lists. Reading it gives the
//! record back.

mod clinical;
mod follow_up;
mod medicines;
mod object;
mod parties;

use serde_json::{Value, json};
use uuid::Uuid;

use self::object::{Object, absent};
pub(super) use self::object::{date_time, instant};
pub(super) use self::parties::patient_resource;
use super::read::composition::{NAME_SYSTEM, NAMELESS_SYSTEM};
use super::terms::{BASE, DISCHARGE_SUMMARY, LOINC, TOLD, own, own_system};
use super::xhtml::{escape, narrative};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{DischargeRecord, SignatureRole};

/// The title of a document that has none.
const TITLE: &str = "出院小结";

/// A section that lists resources: our code, LOINC's, title.
type Listing = (&'static str, &'static str, &'static str);

/// Writes a record; `assembled` is when the bundle is made.
pub(super) fn write(record: &DischargeRecord, assembled: &Moment) -> Value {
    let mut writer = Writer::new(record);
    let parties = parties::write(&mut writer, record);
    clinical::write(&mut writer, record);
    medicines::write(&mut writer, record);
    clinical::measured(&mut writer, record);
    follow_up::write(&mut writer, record);
    let composition = composition(&mut writer, record, &parties);
    let mut entries = vec![composition];
    entries.append(&mut writer.entries);
    let mut bundle = Object::resource("Bundle", &writer.id("Bundle", 0))
        .value("meta", version(record))
        .value("identifier", identifier(record, &writer))
        .text("type", "document")
        .list("entry", entries);
    bundle = match instant(assembled) {
        Some(instant) => bundle.text("timestamp", &instant),
        None => bundle.unknown("timestamp"),
    };
    bundle.build()
}

/// Makes ids and keeps what is written.
struct Writer {
    namespace: Uuid,
    entries: Vec<Value>,
    sections: Vec<Value>,
}

/// Whom the composition refers to.
struct Parties {
    patient: Value,
    stay: Value,
    institution: Option<Value>,
    /// Who signed, in the record's order.
    signed: Vec<Value>,
}

impl Writer {
    fn new(record: &DischargeRecord) -> Self {
        let name = &record.document.name;
        // Two records without a name are two documents.
        let content = || serde_json::to_string(record).unwrap_or_default();
        let key = if name.is_empty() { content() } else { name.clone() };
        let version = record.document.version.unwrap_or_default();
        let seed = format!("{BASE}/document|{version}|{key}");
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, seed.as_bytes());
        Self { namespace, entries: Vec::new(), sections: Vec::new() }
    }

    fn id(&self, kind: &str, index: usize) -> String {
        Uuid::new_v5(&self.namespace, format!("{kind}/{index}").as_bytes()).to_string()
    }

    /// A resource of this type, with its id.
    fn start(&self, kind: &str, index: usize) -> Object {
        Object::resource(kind, &self.id(kind, index))
    }

    /// A resource about the patient's stay.
    fn about(&self, kind: &str, index: usize) -> Object {
        let encounter = self.reference("Encounter", 0);
        self.start(kind, index)
            .value("subject", self.reference("Patient", 0))
            .value("encounter", encounter)
    }

    fn reference(&self, kind: &str, index: usize) -> Value {
        json!({ "reference": format!("urn:uuid:{}", self.id(kind, index)) })
    }

    /// Adds a resource; gives back what refers to it.
    fn add(&mut self, resource: Object) -> Value {
        let resource = resource.build();
        let id = resource.get("id").and_then(Value::as_str).unwrap_or_default();
        let url = format!("urn:uuid:{id}");
        self.entries.push(json!({ "fullUrl": url, "resource": resource }));
        json!({ "reference": url })
    }

    /// Adds a section that lists these, with lines that say what they are.
    fn list(&mut self, listing: Listing, entries: Vec<(Value, String)>) {
        if entries.is_empty() {
            return;
        }
        let item = |(_, line): &(Value, String)| match line.as_str() {
            "" => "<li>-</li>".to_owned(),
            line => format!("<li>{}</li>", escape(line)),
        };
        let lines: String = entries.iter().map(item).collect();
        let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><ul>{lines}</ul></div>");
        let (code, loinc, title) = listing;
        let section = Object::default()
            .text("title", title)
            .value("code", section_code(code, loinc))
            .value("text", json!({ "status": "generated", "div": div }))
            .list("entry", entries.into_iter().map(|(reference, _)| reference));
        self.sections.push(section.build());
    }
}

fn section_code(code: &str, loinc: &str) -> Value {
    json!({ "coding": [
        { "system": LOINC, "code": loinc },
        { "system": own_system("section"), "code": code },
    ] })
}

/// The words of something coded.
fn line(coded: &crate::sharing::discharge::model::Coded) -> String {
    let code = || coded.codes.first().map(|code| code.code.clone()).unwrap_or_default();
    if coded.text.is_empty() { code() } else { coded.text.clone() }
}

fn version(record: &DischargeRecord) -> Value {
    match record.document.version {
        Some(version) => json!({ "versionId": version.to_string() }),
        None => Value::Null,
    }
}

/// A name as an identifier: `system|value` where the system can be one, or a value of our own.
pub(super) fn named(name: &str) -> Value {
    let uri = |system: &str| !system.is_empty() && !system.contains(char::is_whitespace);
    let (system, value) = match name.split_once('|') {
        Some((system, value)) if uri(system) && !value.is_empty() => (system.to_owned(), value),
        _ => (own_system(NAME_SYSTEM), name),
    };
    json!({ "system": system, "value": value })
}

fn identifier(record: &DischargeRecord, writer: &Writer) -> Value {
    if record.document.name.is_empty() {
        return json!({
            "system": own_system(NAMELESS_SYSTEM),
            "value": writer.namespace.to_string(),
        });
    }
    named(&record.document.name)
}

fn composition(writer: &mut Writer, record: &DischargeRecord, parties: &Parties) -> Value {
    let document = &record.document;
    told(writer, record);
    let status = if document.entered_in_error { "entered-in-error" } else { "final" };
    let kind = json!({ "coding": [
        { "system": LOINC, "code": DISCHARGE_SUMMARY, "display": "Discharge summary" },
        { "system": "urn:oid:2.16.156.10011.2.4", "code": "C0053", "display": TITLE },
    ] });
    let replaced = match document.replaces.as_str() {
        "" => Vec::new(),
        name => vec![json!({ "code": "replaces", "targetIdentifier": named(name) })],
    };
    let mut composition = writer
        .start("Composition", 0)
        .value("meta", version(record))
        .text("language", &document.language)
        .value("identifier", identifier(record, writer))
        .text("status", status)
        .value("type", kind)
        .value("subject", parties.patient.clone())
        .value("encounter", parties.stay.clone())
        .list("author", authors(record, parties))
        .list("attester", attesters(record, parties))
        .value("custodian", parties.institution.clone().unwrap_or_default())
        .list("relatesTo", replaced)
        .list("section", std::mem::take(&mut writer.sections));
    composition = match &document.written {
        Some(written) => composition.date_time("date", Some(written)),
        None => composition.unknown("date"),
    };
    composition = if document.title.is_empty() {
        let filled = json!({ "url": own("filled"), "valueBoolean": true });
        composition.text("title", TITLE).beside("title", &filled)
    } else {
        composition.text("title", &document.title)
    };
    let url = format!("urn:uuid:{}", writer.id("Composition", 0));
    json!({ "fullUrl": url, "resource": composition.build() })
}

/// Those who wrote it; without one the first who signed.
fn authors(record: &DischargeRecord, parties: &Parties) -> Vec<Value> {
    let signed = record.signatures.iter().zip(&parties.signed);
    let of = |(signature, reference): (_, &Value)| -> Option<Value> {
        let signature: &crate::sharing::discharge::model::Signature = signature;
        (signature.role == SignatureRole::Author).then(|| reference.clone())
    };
    let mut authors: Vec<Value> = signed.filter_map(of).collect();
    if authors.is_empty() {
        authors.push(parties.signed.first().cloned().unwrap_or_else(absent));
    }
    authors
}

fn attesters(record: &DischargeRecord, parties: &Parties) -> Vec<Value> {
    let signed = record.signatures.iter().zip(&parties.signed);
    let attesters = signed.map(|(signature, reference)| {
        let mode = match signature.role {
            SignatureRole::Resident => "legal",
            SignatureRole::Senior => "professional",
            SignatureRole::Author => "personal",
        };
        Object::default()
            .text("mode", mode)
            .date_time("time", signature.signed.as_ref())
            .value("party", reference.clone())
            .build()
    });
    attesters.collect()
}

/// The sections that are told, and those of no known kind.
fn told(writer: &mut Writer, record: &DischargeRecord) {
    let mut sections = Vec::new();
    for told in TOLD {
        let text = (told.get)(&record.narrative);
        if !text.is_empty() {
            let section = Object::default()
                .text("title", told.title)
                .value("code", section_code(told.code, told.loinc))
                .value("text", json!({ "status": "additional", "div": narrative(text) }));
            sections.push(section.build());
        }
    }
    sections.append(&mut writer.sections);
    for section in &record.sections {
        let mark = crate::sharing::discharge::model::Code {
            system: own_system("section"),
            code: "other".to_owned(),
            display: String::new(),
        };
        let mut coded = section.coded.clone();
        let title = std::mem::take(&mut coded.text);
        coded.codes.push(mark);
        let section = Object::default()
            .text("title", &title)
            .coded("code", Some(&coded))
            .value("text", json!({ "status": "additional", "div": narrative(&section.text) }));
        sections.push(section.build());
    }
    writer.sections = sections;
}
