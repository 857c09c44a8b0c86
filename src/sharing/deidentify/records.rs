//! Discharge records, part by part by the rule table (`records.csv`). What no rule names goes.
//!
//! Dates of a patient go back by the same days, and the birth date to its year. Numbers become
//! pseudonyms: a resident ID the same one as in the patient's images, where those carry it. Free
//! text is withheld; scrubbed text is weaker: names and numbers that the record itself knows, and
//! what looks like a number or date, are taken out, and a neighbour's name is not.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::rules::RecordAction;
use super::scrub::{Known, known_words};
use super::{Did, Key, Report, Rules, images, shift};
use crate::sharing::discharge::model::{DischargeRecord, Identifier, IdentifierKind};
use crate::sharing::discharge::moment::Moment;

/// What becomes of free text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FreeText {
    /// It is left out.
    #[default]
    Withheld,
    /// Names and numbers are taken out of it.
    Scrubbed,
}

/// A record that was de-identified.
#[derive(Debug, Clone)]
pub struct Made {
    /// The record.
    pub record: DischargeRecord,
    /// The pseudonym of the patient.
    pub patient: String,
    /// What was done.
    pub report: Report,
}

/// A record that cannot be de-identified. No message holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rules of records leave nothing that is a record: see {RULES}")]
pub struct NoRecord;

/// Where the rules are.
const RULES: &str = "policy/deidentification/records.csv";
/// The system of the only number that a patient has afterwards.
pub const PSEUDONYM_SYSTEM: &str = "urn:xiangyi:pseudonym";
/// What stands in the place of a concept of which nothing is left.
const REMOVED: &str = "［已去除］";
/// Units of ages that are no years.
const YOUNGER_UNITS: [&str; 10] = ["mo", "月", "个月", "月龄", "wk", "周", "d", "天", "日", "h"];
/// Characters of a unit.
const UNIT_CHARS_MAX: usize = 16;

/// De-identifies a record.
///
/// # Errors
/// [`NoRecord`] if the table leaves something that is no record: a fault of the table.
pub fn deidentify(
    record: &DischargeRecord,
    rules: &Rules,
    key: &Key,
    text: FreeText,
) -> Result<Made, NoRecord> {
    let (patient, again) = patient(record, key);
    let limits = rules.limits;
    let days = if again {
        0
    } else {
        key.shift_days(&patient, limits.shift_days_min, limits.shift_days_max)
    };
    let known = known(record, key);
    // A year that was left by this key was judged by the whole dates.
    let too_old = !again && is_too_old(record, limits.age_cap);
    let born_by = stay_year(record, days);
    let report = Report::default();
    let mut walk = Walk { rules, key, text, known, days, again, too_old, born_by, patient, report };
    let Ok(Value::Object(whole)) = serde_json::to_value(record) else { return Err(NoRecord) };
    let left = Value::Object(walk.object("", whole));
    let mut record: DischargeRecord = serde_json::from_value(left).map_err(|_| NoRecord)?;
    // Without a number the pseudonym is what says next time that the dates were shifted.
    if record.patient.identifiers.is_empty() {
        record.patient.identifiers.push(Identifier {
            kind: IdentifierKind::Other,
            system: PSEUDONYM_SYSTEM.to_owned(),
            value: walk.patient.clone(),
        });
    }
    Ok(Made { record, patient: walk.patient, report: walk.report })
}

/// The patient's pseudonym, and whether the record has it already.
fn patient(record: &DischargeRecord, key: &Key) -> (String, bool) {
    let of = |kind| record.patient.identifier(kind).filter(|value| !value.trim().is_empty());
    if let Some(id) = record.patient.identifiers.iter().find(|id| key.is_pseudonym(&id.value)) {
        return (id.value.clone(), true);
    }
    if let Some(id) = of(IdentifierKind::ResidentId) {
        return (images::pseudonym(key, id), false);
    }
    if let Some(card) = of(IdentifierKind::HealthCard) {
        return (key.pseudonym("health card", card.trim()), false);
    }
    if let Some(number) = of(IdentifierKind::InpatientNumber) {
        return (images::pseudonym(key, number.trim()), false);
    }
    let birth = record.patient.birth_date.as_ref().map_or("", |birth| birth.as_str());
    let name = format!("{}\u{1F}{birth}\u{1F}{}", record.patient.name, record.document.name);
    (key.pseudonym("name", &name), false)
}

/// Everything in the record that names somebody.
fn known(record: &DischargeRecord, key: &Key) -> Known {
    let mut known = Known::default();
    let patient = &record.patient;
    known.name(&patient.name);
    for id in &patient.identifiers {
        known.number(&id.value);
    }
    for phone in &patient.phones {
        known.number(phone);
    }
    for contact in &patient.contacts {
        known.name(&contact.name);
        known.number(&contact.phone);
    }
    for signature in &record.signatures {
        known.name(&signature.name);
        known.number(&signature.number);
    }
    let address = &patient.address;
    for place in [&address.township, &address.village, &address.house, &address.text] {
        known.name(place);
    }
    known.name(&record.stay.institution);
    known.number(&record.stay.institution_code);
    for study in &record.imaging {
        known.number(&study.accession_number);
    }
    known.forget(|text| key.is_pseudonym(text));
    known
}

/// Whether the patient was over the limit when discharged, so that the birth year would tell.
fn is_too_old(record: &DischargeRecord, cap: u32) -> bool {
    let stated = record.patient.age.as_ref().is_some_and(|age| {
        let years = !YOUNGER_UNITS.contains(&age.unit.trim());
        years && age.value >= f64::from(cap)
    });
    let year = |moment: &Option<Moment>| {
        moment.as_ref().and_then(Moment::first_day).map(|day| i32::from(day.year()))
    };
    let when = year(&record.stay.discharged).or(year(&record.document.written));
    let age = when.zip(year(&record.patient.birth_date)).map(|(now, birth)| now - birth);
    // A birth date without a day of the stay cannot be judged.
    let unknown = record.patient.birth_date.is_some() && when.is_none();
    stated || unknown || age.is_some_and(|age| age >= i32::try_from(cap).unwrap_or(i32::MAX))
}

/// The year of the stay after the shift, of who was born before it.
fn stay_year(record: &DischargeRecord, days: u32) -> Option<String> {
    let stay = record.stay.admitted.as_ref().or(record.stay.discharged.as_ref())?;
    let born = record.patient.birth_date.as_ref()?.first_day()?;
    let moved = moved(stay.as_str(), days).filter(|_| stay.first_day().is_some_and(|d| born <= d));
    moved.and_then(|text| text.get(..4).map(str::to_owned))
}

struct Walk<'r> {
    rules: &'r Rules,
    key: &'r Key,
    text: FreeText,
    known: Known,
    days: u32,
    again: bool,
    too_old: bool,
    born_by: Option<String>,
    patient: String,
    report: Report,
}

impl Walk<'_> {
    /// An object at `path`, whose parts have rules of their own.
    fn object(&mut self, path: &str, object: Map<String, Value>) -> Map<String, Value> {
        let mut left = Map::new();
        for (name, value) in object {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if let Some(value) = self.part(path, value) {
                left.insert(name, value);
            }
        }
        left
    }

    fn part(&mut self, path: String, value: Value) -> Option<Value> {
        let nothing = is_nothing(&value);
        match self.rules.records.get(&path).copied() {
            Some(_) if nothing => None,
            Some(action) => self.act(&path, action, value),
            None => match value {
                Value::Object(object) => Some(Value::Object(self.object(&path, object))),
                Value::Array(items) => {
                    let path = format!("{path}[]");
                    let items = items.into_iter().filter_map(|item| match item {
                        Value::Object(object) => Some(Value::Object(self.object(&path, object))),
                        Value::Null
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::String(_)
                        | Value::Array(_) => None,
                    });
                    Some(Value::Array(items.collect()))
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    if !nothing {
                        self.report.note(path, "", Did::RemovedUnlisted);
                    }
                    None
                }
            },
        }
    }

    fn did(&mut self, path: &str, did: Did) {
        self.report.note(path, "", did);
    }

    fn act(&mut self, path: &str, action: RecordAction, value: Value) -> Option<Value> {
        match action {
            RecordAction::Keep => {
                // What is kept as it is may still be text.
                if value.as_str().is_some_and(|text| self.known.is_in(text)) {
                    self.did(path, Did::HeldIdentifier);
                    return None;
                }
                self.did(path, Did::Kept);
                Some(value)
            }
            RecordAction::Remove => {
                self.did(path, Did::Removed);
                None
            }
            RecordAction::Date => self.date(path, &value),
            RecordAction::Birth => self.birth(path, &value),
            RecordAction::Age => Some(self.age(path, value)),
            RecordAction::Patient => {
                self.did(path, Did::Pseudonymised);
                let kind = serde_json::to_value(IdentifierKind::Other).unwrap_or_default();
                Some(serde_json::json!([
                    { "kind": kind, "system": PSEUDONYM_SYSTEM, "value": self.patient }
                ]))
            }
            RecordAction::Pseudonym => Some(self.pseudonym(path, "document", &value)),
            RecordAction::Institution => Some(self.pseudonym(path, "institution", &value)),
            RecordAction::Uid => {
                self.did(path, Did::UidReplaced);
                Some(Value::String(self.key.uid(value.as_str().unwrap_or_default())))
            }
            RecordAction::Division => {
                let code: String = value
                    .as_str()
                    .unwrap_or_default()
                    .chars()
                    .take(self.rules.limits.division_digits)
                    .collect();
                let fits = code.bytes().all(|b| b.is_ascii_digit());
                self.did(path, if fits { Did::Grouped } else { Did::Removed });
                fits.then_some(Value::String(code))
            }
            RecordAction::Language => {
                let tag = value.as_str().unwrap_or_default();
                let fits =
                    tag.len() <= 12 && tag.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
                self.did(path, if fits { Did::Kept } else { Did::Removed });
                fits.then_some(value)
            }
            RecordAction::Term => {
                Some(Value::String(self.term(path, value.as_str().unwrap_or_default())))
            }
            RecordAction::Text => self.free(path, &value),
            RecordAction::Coded => Some(self.coded(path, value)),
            RecordAction::Quantity => Some(self.quantity(path, value)),
            RecordAction::Targets => Some(self.targets(path, value)),
        }
    }

    fn pseudonym(&mut self, path: &str, kind: &str, value: &Value) -> Value {
        self.did(path, Did::Pseudonymised);
        Value::String(self.key.pseudonym(kind, value.as_str().unwrap_or_default()))
    }

    fn date(&mut self, path: &str, value: &Value) -> Option<Value> {
        let moved = value.as_str().and_then(|text| moved(text, self.days));
        self.did(path, if moved.is_some() { Did::Shifted } else { Did::Removed });
        moved.map(Value::String)
    }

    /// The year of the birth date after the shift, none of who is over the limit. Of a date that is a year
    /// alone the middle is shifted, so it is held to the year of the stay: nobody is born after admission.
    fn birth(&mut self, path: &str, value: &Value) -> Option<Value> {
        let text = value.as_str().unwrap_or_default();
        // A year that was made here stays what it is.
        let days = if self.again { 0 } else { self.days };
        let moved = moved(text, days).filter(|_| !self.too_old);
        let year = moved.and_then(|text| text.get(..4).map(str::to_owned));
        let year = year.map(|year| match &self.born_by {
            Some(stay) => year.min(stay.clone()),
            None => year,
        });
        self.did(path, if year.is_some() { Did::Grouped } else { Did::Removed });
        year.map(Value::String)
    }

    fn age(&mut self, path: &str, mut value: Value) -> Value {
        let cap = f64::from(self.rules.limits.age_cap);
        let number = value.get("value").and_then(Value::as_f64).unwrap_or(0.0);
        if number > cap
            && self.too_old
            && let Some(object) = value.as_object_mut()
        {
            object.insert("value".to_owned(), cap.into());
            self.did(path, Did::Grouped);
        }
        self.quantity(path, value)
    }

    /// Text that is reduced to known words.
    fn term(&mut self, path: &str, text: &str) -> String {
        let kept = known_words(&self.known, &self.rules.words, text);
        if !text.is_empty() {
            self.did(path, if kept == text { Did::Kept } else { Did::Cleaned });
        }
        kept
    }

    fn free(&mut self, path: &str, value: &Value) -> Option<Value> {
        match self.text {
            FreeText::Withheld => {
                self.did(path, Did::Removed);
                None
            }
            FreeText::Scrubbed => {
                let (text, taken) = self.known.strip(value.as_str().unwrap_or_default());
                self.did(path, if taken > 0 { Did::Cleaned } else { Did::Kept });
                Some(Value::String(text))
            }
        }
    }

    /// Codes stay if they have the form of one; the sender's words are reduced to known ones.
    fn coded(&mut self, path: &str, value: Value) -> Value {
        let Value::Object(mut object) = value else { return Value::Null };
        let mut codes = Vec::new();
        let part = |name: &str| object.get(name).is_some_and(|part| !is_nothing(part));
        let said_something = part("text") || part("codes");
        if let Some(Value::Array(all)) = object.remove("codes") {
            for code in all {
                let of = |name: &str| code.get(name).and_then(Value::as_str).unwrap_or_default();
                if !self.is_code(of("system")) || !self.is_code(of("code")) {
                    self.did(&format!("{path}.codes"), Did::RemovedUnlisted);
                    continue;
                }
                let display = self.term(&format!("{path}.codes.display"), of("display"));
                codes.push(serde_json::json!({
                    "system": of("system"), "code": of("code"), "display": display
                }));
            }
        }
        let said = object.get("text").and_then(Value::as_str).unwrap_or_default();
        let text = self.term(path, said);
        // What says nothing at all cannot be told from what was never there.
        let empty = said_something && text.is_empty() && codes.is_empty();
        let text = if empty { REMOVED.to_owned() } else { text };
        serde_json::json!({ "text": text, "codes": codes })
    }

    fn is_code(&self, text: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:/-+*#".contains(&b);
        text.len() <= 128 && text.bytes().all(allowed) && !self.known.is_in(text)
    }

    fn quantity(&mut self, path: &str, value: Value) -> Value {
        let Value::Object(mut object) = value else { return Value::Null };
        let unit = object.get("unit").and_then(Value::as_str).unwrap_or_default();
        let short = unit.chars().count() <= UNIT_CHARS_MAX;
        let fits = short && !super::scrub::has_number(unit) && !self.known.is_in(unit);
        let wide = !unit.is_ascii() && self.rules.words.clean(unit) != unit;
        if fits && !wide {
            self.did(path, Did::Kept);
        } else {
            object.insert("unit".to_owned(), Value::String(String::new()));
            self.did(path, Did::Cleaned);
        }
        Value::Object(object)
    }

    fn targets(&mut self, path: &str, value: Value) -> Value {
        let Value::Array(targets) = value else { return Value::Null };
        let targets = targets.into_iter().map(|target| {
            let mut left = Map::new();
            if let Value::Object(object) = target {
                for (name, part) in object {
                    let path = format!("{path}[].{name}");
                    let part = match name.as_str() {
                        "coded" => self.coded(&path, part),
                        "low" | "high" if !part.is_null() => self.quantity(&path, part),
                        "text" => {
                            Value::String(self.term(&path, part.as_str().unwrap_or_default()))
                        }
                        _ => continue,
                    };
                    left.insert(name, part);
                }
            }
            Value::Object(left)
        });
        Value::Array(targets.collect())
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// An ISO 8601 moment, `days` earlier and as precise as it was.
fn moved(text: &str, days: u32) -> Option<String> {
    let moment = Moment::iso(text).ok()?;
    let (day, rest) = match text.split_once('T') {
        Some((day, time)) => (day, format!("T{time}")),
        None => (text, String::new()),
    };
    // The middle of what is not said, so that a month moves by whole months on average.
    let whole = match day.len() {
        4 => Moment::iso(&format!("{day}-07-01")).ok()?,
        7 => Moment::iso(&format!("{day}-15")).ok()?,
        _ => moment,
    };
    let back = shift::back(whole.first_day()?, days)?.to_string();
    Some(format!("{}{rest}", back.get(..day.len())?))
}

/// Reads a record in the node's own JSON.
///
/// # Errors
/// What is wrong with it, by field and place, without values.
pub fn own_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        format!(
            "no record in the node's own JSON: line {}, column {}",
            error.line(),
            error.column()
        )
    })
}

#[cfg(test)]
mod tests;
