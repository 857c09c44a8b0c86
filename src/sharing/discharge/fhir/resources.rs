//! What a FHIR R4 façade answers and asks, as JSON: `DocumentReference`, search sets,
//! `OperationOutcome`, `CapabilityStatement`, and the parameters and answer of `Patient/$match`.
//!
//! Who may see what is decided by who calls: a [`Subject`] shows what it is given and nothing else.

use serde_json::{Value, json};

use super::json;
use super::path::{Path, Report};
use super::read::composition::NAMELESS_SYSTEM;
use super::read::patient::{is_nobody, patient as read_patient};
use super::references::Index;
use super::terms::{DISCHARGE_SUMMARY, IDENTIFIER_SYSTEMS, LOINC, MATCH_GRADE, own, own_system};
use super::validate::Validator;
use super::write::{date_time, instant, named, patient_resource};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{DischargeRecord, Identifier, IdentifierKind, Patient};
use crate::sharing::discharge::problems::{Problem, Severity};

/// Candidates that a `$match` may ask for at most.
pub const MATCHES_MAX: u32 = 100;

/// The system that numbers of a kind are known by, if there is one.
pub fn identifier_system(kind: IdentifierKind) -> Option<&'static str> {
    let known = IDENTIFIER_SYSTEMS.iter().find(|(_, of)| *of == kind);
    known.map(|(system, _)| *system)
}

/// What has become of a kept record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The newest version.
    Current,
    /// A newer version is kept.
    Superseded,
    /// Its sender took it back.
    EnteredInError,
}

/// Whom a document is about, as far as the reader may see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'s> {
    /// `Patient/…` on this server.
    pub reference: Option<&'s str>,
    /// A number.
    pub identifier: Option<&'s Identifier>,
    /// A name; empty shows none.
    pub display: &'s str,
}

/// One form in which a record can be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Content<'c> {
    /// Media type, for example `application/fhir+json`.
    pub content_type: &'c str,
    /// Where.
    pub url: &'c str,
    /// Bytes, if it is there already.
    pub size: Option<u64>,
    /// SHA-256, in hexadecimal digits; empty if it was not computed.
    pub sha256: &'c str,
    /// SM3, in hexadecimal digits; empty if it was not computed.
    pub sm3: &'c str,
}

/// A kept record.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'k> {
    /// Id of its `DocumentReference`.
    pub id: &'k str,
    /// What it says.
    pub record: &'k DischargeRecord,
    /// What has become of it.
    pub standing: Standing,
    /// When it was kept.
    pub kept: &'k Moment,
    /// When what is said of it last changed.
    pub updated: &'k Moment,
    /// Whom it is about.
    pub subject: Subject<'k>,
    /// Its forms; there must be one.
    pub contents: &'k [Content<'k>],
    /// Id of the `DocumentReference` of the version that it replaces.
    pub replaces: Option<&'k str>,
}

/// A `DocumentReference`.
///
/// `attachment.hash` is left out: R4 defines it as SHA-1, which proves nothing. SHA-256 and SM3
/// stand in extensions.
pub fn document_reference(kept: &Kept<'_>) -> Value {
    let (status, doc_status) = match kept.standing {
        Standing::Current => ("current", "final"),
        Standing::Superseded => ("superseded", "final"),
        Standing::EnteredInError => ("entered-in-error", "entered-in-error"),
    };
    let stay = &kept.record.stay;
    let document = &kept.record.document;
    let title = if document.title.is_empty() { "出院小结" } else { &document.title };
    let mut resource = json!({
        "resourceType": "DocumentReference",
        "id": kept.id,
        "meta": { "lastUpdated": instant(kept.updated) },
        "masterIdentifier": master(&document.name, kept.id),
        "status": status,
        "docStatus": doc_status,
        "type": { "coding": [{ "system": LOINC, "code": DISCHARGE_SUMMARY }], "text": "出院小结" },
        "subject": subject(&kept.subject),
        "date": instant(kept.kept),
        "custodian": match stay.institution.as_str() {
            "" => Value::Null,
            name => json!({ "display": name }),
        },
        "relatesTo": kept.replaces.map(|id| json!([
            { "code": "replaces", "target": { "reference": format!("DocumentReference/{id}") } }
        ])),
        "description": title,
        "content": kept.contents.iter().map(|c| content(c, document)).collect::<Vec<_>>(),
        "context": { "period": {
            "start": stay.admitted.as_ref().map(date_time),
            "end": stay.discharged.as_ref().map(date_time),
        } },
    });
    if let Some(version) = document.version {
        set(
            &mut resource,
            "extension",
            json!([
                { "url": own("document-version"), "valuePositiveInt": version }
            ]),
        );
    }
    without_empty(&mut resource);
    resource
}

fn set(resource: &mut Value, name: &str, value: Value) {
    if let Some(fields) = resource.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// Takes out what R4 must not contain: nulls, and objects, lists and texts without content.
fn without_empty(value: &mut Value) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(without_empty);
            fields.retain(|_, value| !empty(value));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(without_empty);
            items.retain(|item| !empty(item));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn master(name: &str, id: &str) -> Value {
    if name.is_empty() {
        return json!({ "system": own_system(NAMELESS_SYSTEM), "value": id });
    }
    named(name)
}

fn subject(subject: &Subject<'_>) -> Value {
    let number =
        subject.identifier.map(|number| json!({ "system": number.system, "value": number.value }));
    json!({
        "reference": subject.reference,
        "identifier": number,
        "display": subject.display,
    })
}

fn content(content: &Content<'_>, document: &crate::sharing::discharge::model::Document) -> Value {
    let digest = |name: &str, digits: &str| match digits {
        "" => Value::Null,
        digits => json!({ "url": own(name), "valueString": digits }),
    };
    json!({ "attachment": {
        "extension": [digest("sha256", content.sha256), digest("sm3", content.sm3)],
        "contentType": content.content_type,
        "language": document.language,
        "url": content.url,
        "size": content.size,
        "creation": document.written.as_ref().map(date_time),
    } })
}

/// A page of a search.
#[derive(Debug, Clone)]
pub struct Page<'p> {
    /// How many there are on all pages, if it was counted.
    pub total: Option<u64>,
    /// This page's URL.
    pub this: &'p str,
    /// The next page's URL, if there is one.
    pub next: Option<&'p str>,
    /// The resources, each with its `fullUrl`.
    pub matches: Vec<(String, Value)>,
}

/// A search set.
pub fn searchset(page: Page<'_>) -> Value {
    let entries = page.matches.into_iter().map(|(url, resource)| {
        json!({ "fullUrl": url, "resource": resource, "search": { "mode": "match" } })
    });
    set_of(entries.collect(), page.total, page.this, page.next)
}

fn set_of(entries: Vec<Value>, total: Option<u64>, this: &str, next: Option<&str>) -> Value {
    let mut links = vec![json!({ "relation": "self", "url": this })];
    links.extend(next.map(|next| json!({ "relation": "next", "url": next })));
    let mut set = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "link": links,
    });
    // R4 forbids an empty list.
    if !entries.is_empty() {
        self::set(&mut set, "entry", Value::Array(entries));
    }
    if let Some(total) = total {
        self::set(&mut set, "total", Value::from(total));
    }
    set
}

/// An `OperationOutcome` that tells every problem; without one, that there is none.
pub fn operation_outcome(problems: &[Problem]) -> Value {
    let issue = |problem: &Problem| {
        let mut issue = json!({
            "severity": severity(problem),
            "code": issue_type(&problem.code),
            "details": {
                "coding": [{ "system": own_system("problem"), "code": problem.code }],
                "text": problem.message,
            },
            "diagnostics": problem.message,
        });
        if problem.path != "/" {
            set(&mut issue, "expression", json!([problem.path]));
        }
        issue
    };
    let mut issues: Vec<Value> = problems.iter().map(issue).collect();
    if issues.is_empty() {
        let message = "没有发现问题";
        issues.push(json!({
            "severity": "information", "code": "informational", "diagnostics": message,
        }));
    }
    json!({ "resourceType": "OperationOutcome", "issue": issues })
}

/// R4's `fatal` means that checking could not go on.
fn severity(problem: &Problem) -> &'static str {
    match (problem.severity, problem.code.as_str()) {
        (Severity::Fatal, "too_large" | "too_deep" | "too_many" | "not_utf8" | "not_json") => {
            "fatal"
        }
        (Severity::Fatal, _) => "error",
        (Severity::Warning, _) => "warning",
        (Severity::Information, _) => "information",
    }
}

/// The R4 issue type of one of our codes.
fn issue_type(code: &str) -> &'static str {
    match code {
        "missing"
        | "patient_missing"
        | "composition_missing"
        | "encounter_missing"
        | "stay_missing"
        | "patient_nameless" => "required",
        "code_unknown" | "document_type" | "bundle_type" => "code-invalid",
        "date_impossible" | "time_impossible" | "dates_reversed" => "value",
        "reference_nothing" | "not_found" => "not-found",
        "too_large" | "too_deep" | "too_many" => "too-long",
        "patient_two" | "patient_other" | "dosage_several" | "medicine_status" => "business-rule",
        "full_url_twice" => "duplicate",
        "unauthenticated" => "login",
        "permission_denied" => "forbidden",
        "version_conflict" | "name_taken" => "conflict",
        "overloaded" => "throttled",
        "deadline_exceeded" => "timeout",
        "unavailable" => "transient",
        "internal" => "exception",
        "modifier_extension" | "patient_modified" | "document_modified" => "extension",
        "stay_chosen" | "document_named" | "kept" | "unplaced" => "informational",
        "resource_unknown" | "not_supported" => "not-supported",
        "type_wrong" | "null_value" | "key_twice" | "choice_twice" | "not_json" | "not_utf8"
        | "bom" | "element_unknown" | "not_bundle" => "structure",
        _ => "invalid",
    }
}

/// What a `CapabilityStatement` says of the server.
#[derive(Debug, Clone, Copy)]
pub struct Server<'s> {
    /// Base URL of the façade.
    pub base: &'s str,
    /// Version of the software.
    pub version: &'s str,
    /// When the statement was last changed.
    pub date: &'s Moment,
}

/// What the façade can do, and nothing else.
pub fn capability_statement(server: &Server<'_>) -> Value {
    let definition = |name: &str| format!("http://hl7.org/fhir/OperationDefinition/{name}");
    let parameters = [
        ("_id", "token", "Resource-id", ""),
        ("_lastUpdated", "date", "Resource-lastUpdated", "eq、gt、ge、lt、le、sa、eb"),
        (
            "patient",
            "reference",
            "clinical-patient",
            "Patient/$match 给出的 Patient 编号；可用链式参数 patient.identifier=系统|号码",
        ),
        ("date", "date", "DocumentReference-date", "收到文档的时间；eq、gt、ge、lt、le、sa、eb"),
        ("type", "token", "clinical-type", "只有 http://loinc.org|18842-5"),
        ("status", "token", "DocumentReference-status", ""),
    ];
    let search = |(name, kind, definition, documentation): (&str, &str, &str, &str)| {
        json!({
            "name": name,
            "definition": format!("http://hl7.org/fhir/SearchParameter/{definition}"),
            "type": kind,
            "documentation": documentation,
        })
    };
    let mut statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date_time(server.date),
        "kind": "instance",
        "software": { "name": "Xiangyi 乡医", "version": server.version },
        "implementation": { "description": "出院小结共享", "url": server.base },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "security": {
                "cors": false,
                "description": "请求头 Authorization: Bearer <token>。读取须用请求头 \
                                X-Purpose-Of-Use 说明目的：TREAT、ETREAT、HQUALASS、PUBHLTH 或 PATRQT",
            },
            "resource": [
                {
                    "type": "Patient",
                    "operation": [{ "name": "match", "definition": definition("Patient-match") }],
                },
                {
                    "type": "DocumentReference",
                    "interaction": [{ "code": "read" }, { "code": "search-type" }],
                    "versioning": "no-version",
                    "searchParam": parameters.map(search),
                },
                { "type": "Bundle", "interaction": [{ "code": "create" }] },
                {
                    "type": "Composition",
                    "operation": [
                        { "name": "document", "definition": definition("Composition-document") },
                    ],
                },
                { "type": "Binary", "interaction": [{ "code": "read" }] },
            ],
        }],
    });
    without_empty(&mut statement);
    statement
}

/// What a `Patient/$match` asks.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchRequest {
    /// Whom it looks for.
    pub patient: Patient,
    /// Only matches that are certain.
    pub only_certain: bool,
    /// Candidates at most, if it says so; never above [`MATCHES_MAX`].
    pub count: Option<u32>,
    /// What is wrong with it; none of it fatal.
    pub problems: Vec<Problem>,
}

/// Reads the `Parameters` of a `$match`, or a `Patient` alone, which R4 allows too.
///
/// # Errors
/// All problems, if one of them is fatal.
pub fn match_request(bytes: &[u8]) -> Result<MatchRequest, Vec<Problem>> {
    let mut problems = Vec::new();
    let Some(root) = json::parse(bytes, &mut problems) else { return Err(problems) };
    let mut report = Report::of(problems);
    let kind = root.peek_text("resourceType");
    let path = Path::root(if kind == "Patient" { "Patient" } else { "Parameters" });
    if !matches!(kind, "Parameters" | "Patient") {
        let message = "应为 Parameters（或只有 Patient）";
        report.add(Severity::Fatal, &path.name("resourceType"), "not_parameters", message);
        return Err(report.finish());
    }
    let index = Index::default();
    Validator::new(&mut report, &index).resource(&root, &path, false);
    let parameters = root.peek_list("parameter");
    let named = |name: &str| parameters.iter().find(|one| one.peek_text("name") == name);
    let asked = if kind == "Patient" {
        Some(&root)
    } else {
        named("resource").and_then(|one| one.peek("resource"))
    };
    let person = asked.filter(|node| node.peek_text("resourceType") == "Patient");
    if person.is_none() {
        let message = "缺少名为 resource 的参数，其中应为 Patient";
        report.add(Severity::Fatal, &path.name("parameter"), "patient_missing", message);
    } else if person.is_some_and(is_nobody) {
        let message = "患者既没有姓名也没有任何证件号，无法匹配";
        report.add(Severity::Fatal, &path, "patient_nameless", message);
    }
    let only_certain = named("onlyCertainMatches");
    let count = named("count").and_then(|one| one.number("valueInteger"));
    if count.is_some_and(|count| count < 1.0) {
        let message = "count 应为正整数";
        report.add(Severity::Fatal, &path.name("parameter"), "number_form", message);
    }
    match person {
        Some(person) if !report.is_fatal() => Ok(MatchRequest {
            patient: read_patient(person),
            only_certain: only_certain.is_some_and(|one| one.truth("valueBoolean") == Some(true)),
            count: count.map(at_most),
            problems: report.finish(),
        }),
        Some(_) | None => Err(report.finish()),
    }
}

fn at_most(count: f64) -> u32 {
    (1..=MATCHES_MAX).take_while(|&number| f64::from(number) <= count).last().unwrap_or(1)
}

/// How sure a match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// It is the person.
    Certain,
    /// It is likely the person.
    Probable,
    /// It may be the person.
    Possible,
    /// It is not the person.
    CertainlyNot,
}

/// Somebody who may be whom a `$match` looks for.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'c> {
    /// Id of the `Patient`.
    pub id: &'c str,
    /// `fullUrl`.
    pub url: &'c str,
    /// As much of the person as the caller may see.
    pub patient: &'c Patient,
    /// How likely it is the person, 0 to 1.
    pub score: f64,
    /// How sure.
    pub grade: Grade,
}

/// The answer to a `$match`, most likely first as they are given.
pub fn match_answer(candidates: &[Candidate<'_>], this: &str) -> Value {
    let entry = |candidate: &Candidate<'_>| {
        let grade = match candidate.grade {
            Grade::Certain => "certain",
            Grade::Probable => "probable",
            Grade::Possible => "possible",
            Grade::CertainlyNot => "certainly-not",
        };
        json!({
            "fullUrl": candidate.url,
            "resource": patient_resource(candidate.id, candidate.patient),
            "search": {
                "extension": [{ "url": MATCH_GRADE, "valueCode": grade }],
                "mode": "match",
                "score": candidate.score.clamp(0.0, 1.0),
            },
        })
    };
    let total = u64::try_from(candidates.len()).ok();
    set_of(candidates.iter().map(entry).collect(), total, this, None)
}
