//! Entries as others read them: CSV, and FHIR R4 `AuditEvent`.
//!
//! Codes are those of DICOM PS3.16 CID 400 (types) and HL7 v3 `ActReason` (purposes), as the R4 resource
//! binds them.

use serde_json::{Value, json};

use super::Entry;
use super::anchor::hex;

/// Columns of the CSV, in order.
pub const COLUMNS: [&str; 12] = [
    "number",
    "at",
    "at_ms",
    "caller",
    "role",
    "action",
    "record_id",
    "patient_reference",
    "outcome",
    "detail",
    "sha256",
    "sm3",
];
/// System of the types of events.
const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
/// System of our names of actions and roles.
const OURS: &str = "urn:xiangyi:audit";
/// System of purposes.
const PURPOSES: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// Cells of an entry, in the order of [`COLUMNS`]. A text that a spreadsheet would take for a formula has
/// an apostrophe in front.
pub fn cells(entry: &Entry) -> [String; 12] {
    [
        entry.number.to_string(),
        instant(entry.at_ms),
        entry.at_ms.to_string(),
        plain(&entry.caller),
        plain(&entry.role),
        plain(&entry.action),
        plain(&entry.record_id),
        plain(&entry.patient_reference),
        plain(&entry.outcome),
        plain(&entry.detail),
        hex(&entry.sha256),
        hex(&entry.sm3),
    ]
}

/// An entry as `AuditEvent`. `observer`: name of the node that wrote it; `chain`: id of its chain.
pub fn fhir(entry: &Entry, observer: &str, chain: &str) -> Value {
    let (code, display) = kind(&entry.action, &entry.record_id, &entry.patient_reference);
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": format!("{chain}-{}", entry.number),
        "type": { "system": DCM, "code": code, "display": display },
        "subtype": [{ "system": OURS, "code": entry.action }],
        "action": letter(&entry.action),
        "recorded": instant(entry.at_ms),
        "outcome": outcome(&entry.outcome),
        "outcomeDesc": entry.outcome,
        "agent": [{
            "type": { "coding": [{ "system": OURS, "code": entry.role }] },
            "who": { "identifier": { "system": "urn:xiangyi:caller", "value": entry.caller } },
            "requestor": true,
        }],
        "source": {
            "observer": { "identifier": { "system": "urn:xiangyi:node", "value": observer } },
        },
    });
    let entities = entities(entry);
    if let Some(object) = event.as_object_mut() {
        if !entities.is_empty() {
            object.insert("entity".to_owned(), Value::Array(entities));
        }
        if let Some((code, display)) = purpose(&entry.detail) {
            let coding = json!({ "system": PURPOSES, "code": code, "display": display });
            let purpose = json!([{ "coding": [coding], "text": entry.detail }]);
            object.insert("purposeOfEvent".to_owned(), purpose);
        } else if !entry.detail.is_empty() {
            object.insert("purposeOfEvent".to_owned(), json!([{ "text": entry.detail }]));
        }
    }
    event
}

/// Whose, which record, and the entry's own place in its chain.
fn entities(entry: &Entry) -> Vec<Value> {
    let object = |system: &str, value: &str, type_code: &str, role: &str| {
        json!({
            "what": { "identifier": { "system": system, "value": value } },
            "type": {
                "system": "http://terminology.hl7.org/CodeSystem/audit-entity-type",
                "code": type_code,
            },
            "role": {
                "system": "http://terminology.hl7.org/CodeSystem/object-role",
                "code": role,
            },
        })
    };
    let mut entities = Vec::new();
    if !entry.patient_reference.is_empty() {
        // 1: person; 1: patient.
        entities.push(object("urn:xiangyi:patient", &entry.patient_reference, "1", "1"));
    }
    if !entry.record_id.is_empty() {
        // 2: system object; 3: report.
        entities.push(object("urn:xiangyi:record", &entry.record_id, "2", "3"));
    }
    if !entry.sha256.is_empty() {
        // 2: system object; 13: security resource.
        let mut link = object("urn:xiangyi:audit:entry", &entry.number.to_string(), "2", "13");
        let digest = |name: &str, value: &[u8]| json!({ "type": name, "valueString": hex(value) });
        let digests = json!([digest("sha256", &entry.sha256), digest("sm3", &entry.sm3)]);
        if let Some(link) = link.as_object_mut() {
            link.insert("detail".to_owned(), digests);
        }
        entities.push(link);
    }
    entities
}

/// Whether an action only looks for something.
fn is_query(action: &str) -> bool {
    ["find_", "list_", "look_up_", "search_"].iter().any(|start| action.starts_with(start))
}

fn kind(action: &str, record: &str, patient: &str) -> (&'static str, &'static str) {
    if is_query(action) {
        ("110112", "Query")
    } else if record.is_empty() && patient.is_empty() {
        ("110100", "Application Activity")
    } else {
        ("110110", "Patient Record")
    }
}

/// Create, read, update, delete or execute.
fn letter(action: &str) -> &'static str {
    let begins = |starts: &[&str]| starts.iter().any(|start| action.starts_with(start));
    if is_query(action) || begins(&["read_", "retrieve_", "open_", "review_"]) {
        "R"
    } else if begins(&["store_", "submit_", "register_", "record_", "receive_"]) {
        "C"
    } else if begins(&["change_", "settle", "decide_", "tell_", "hold_"]) {
        "U"
    } else if begins(&["erase_"]) {
        "D"
    } else {
        "E"
    }
}

/// 0: done; 4: refused or not found; 8: failed here.
fn outcome(outcome: &str) -> &'static str {
    match outcome {
        "withheld" | "denied" | "not_found" | "held" | "version_conflict" | "stale"
        | "too_many_persons" => "4",
        "unavailable" | "unfinished" | "damaged" | "internal" => "8",
        _ => "0",
    }
}

/// The purpose that an entry's detail begins with.
fn purpose(detail: &str) -> Option<(&'static str, &'static str)> {
    let said = detail.strip_prefix("purpose ").unwrap_or(detail);
    match said.split(' ').next().unwrap_or_default() {
        "TREAT" | "treatment" => Some(("TREAT", "treatment")),
        "ETREAT" | "emergency" => Some(("ETREAT", "Emergency Treatment")),
        "PUBHLTH" | "public_health" => Some(("PUBHLTH", "public health")),
        "PATRQT" | "patient_request" => Some(("PATRQT", "patient requested")),
        "HQUALIMP" | "quality" => Some(("HQUALIMP", "health quality improvement")),
        "HCOMPL" | "compliance" => Some(("HCOMPL", "health compliance")),
        "HPAYMT" | "payment" => Some(("HPAYMT", "healthcare payment")),
        "HRESCH" | "research" => Some(("HRESCH", "healthcare research")),
        _ => None,
    }
}

/// Universal time to the millisecond; the number where no calendar has it.
fn instant(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| at_ms.to_string(), |at| format!("{at:.3}"))
}

/// A text that no spreadsheet takes for a formula.
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}
