//! JSON objects of FHIR, in which nothing empty is ever written.

use serde_json::{Map, Number, Value, json};

use super::super::terms::{DATA_ABSENT, UCUM, UCUM_UNITS, own};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{Coded, Quantity};

/// What a time of day without an offset is taken for: all of China has one.
const OFFSET: &str = "+08:00";

/// An object, as it grows.
#[derive(Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// A resource.
    pub(super) fn resource(kind: &str, id: &str) -> Self {
        Self::default().text("resourceType", kind).text("id", id)
    }

    /// With a value, unless it is empty.
    pub(super) fn value(mut self, name: &str, value: Value) -> Self {
        let empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !empty {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// With a text, unless it is empty.
    pub(super) fn text(self, name: &str, text: &str) -> Self {
        self.value(name, Value::String(text.to_owned()))
    }

    /// With a list, unless it is empty.
    pub(super) fn list(self, name: &str, items: impl IntoIterator<Item = Value>) -> Self {
        let filled = |item: &Value| !item.as_object().is_some_and(Map::is_empty);
        self.value(name, items.into_iter().filter(filled).collect())
    }

    /// With a list of this one text, unless it is empty.
    pub(super) fn words(self, name: &str, text: &str) -> Self {
        self.list(name, [Self::default().text("text", text).build()])
    }

    /// With a number.
    pub(super) fn number(self, name: &str, number: f64) -> Self {
        self.value(name, decimal(number))
    }

    /// With something coded, if there is something.
    pub(super) fn coded(self, name: &str, coded: Option<&Coded>) -> Self {
        self.value(name, coded.map(concept).unwrap_or_default())
    }

    /// With something coded that must be there: R4's way to say that it is not.
    pub(super) fn coded_or_absent(self, name: &str, coded: &Coded) -> Self {
        let concept = concept(coded);
        let empty = concept.as_object().is_some_and(Map::is_empty);
        self.value(name, if empty { absent() } else { concept })
    }

    /// With a quantity, if there is one.
    pub(super) fn quantity(self, name: &str, quantity: Option<&Quantity>) -> Self {
        self.value(name, quantity.map(measure).unwrap_or_default())
    }

    /// With a `date`, and beside it what was said if that is more.
    pub(super) fn date(self, name: &str, moment: Option<&Moment>) -> Self {
        let Some(moment) = moment else { return self };
        let day = moment.as_str().split('T').next().unwrap_or_default().to_owned();
        self.said(name, &day, moment)
    }

    /// With a `dateTime`, and beside it what was said if R4 wants more than that.
    pub(super) fn date_time(self, name: &str, moment: Option<&Moment>) -> Self {
        let Some(moment) = moment else { return self };
        self.said(name, &date_time(moment), moment)
    }

    fn said(self, name: &str, written: &str, moment: &Moment) -> Self {
        let object = self.text(name, written);
        if written == moment.as_str() {
            return object;
        }
        object.beside(name, &json!({ "url": own("as-said"), "valueString": moment.as_str() }))
    }

    /// With an extension of a primitive element.
    pub(super) fn beside(self, name: &str, extension: &Value) -> Self {
        self.value(&format!("_{name}"), json!({ "extension": [extension] }))
    }

    /// Without a primitive element that must be there, and with the reason.
    pub(super) fn unknown(self, name: &str) -> Self {
        self.value(&format!("_{name}"), absent())
    }

    /// With a period, if one end of it is there.
    pub(super) fn period(self, name: &str, start: Option<&Moment>, end: Option<&Moment>) -> Self {
        let period = Self::default().date_time("start", start).date_time("end", end);
        self.value(name, period.build())
    }

    /// With one of our extensions, if it has a value.
    pub(super) fn extension(mut self, name: &str, kind: &str, value: Value) -> Self {
        let item = Self::default().text("url", &own(name)).value(kind, value);
        if item.0.len() > 1 {
            let list = self.0.entry("extension").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(item.build());
            }
        }
        self
    }

    /// With one of our extensions that is something coded.
    pub(super) fn concept(self, name: &str, coded: Option<&Coded>) -> Self {
        let value = coded.map(concept).unwrap_or_default();
        self.extension(name, "valueCodeableConcept", filled(value))
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// It.
    pub(super) fn build(self) -> Value {
        Value::Object(self.0)
    }
}

fn filled(value: Value) -> Value {
    if value.as_object().is_some_and(Map::is_empty) { Value::Null } else { value }
}

/// A number, without a fraction where it has none.
fn decimal(number: f64) -> Value {
    const EXACT_MAX: f64 = 9e15;
    let whole = number.fract() == 0.0 && number.abs() < EXACT_MAX;
    let parsed = if whole { format!("{number:.0}").parse::<Number>().ok() } else { None };
    parsed.or_else(|| Number::from_f64(number)).map_or(Value::Null, Value::Number)
}

/// As a `dateTime`: with seconds and an offset where there is a time of day.
pub(in super::super) fn date_time(moment: &Moment) -> String {
    let text = moment.as_str();
    let Some((day, time)) = text.split_once('T') else { return text.to_owned() };
    let at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, offset) = time.split_at_checked(at).unwrap_or((time, ""));
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let offset = if offset.is_empty() { OFFSET } else { offset };
    format!("{day}T{clock}{seconds}{offset}")
}

/// As an `instant`: the beginning of the day where no time was said.
pub(in super::super) fn instant(moment: &Moment) -> Option<String> {
    if moment.has_time() {
        return Some(date_time(moment));
    }
    moment.first_day().map(|day| format!("{day}T00:00:00{OFFSET}"))
}

/// R4's way to say that something that must be there is not known.
pub(super) fn absent() -> Value {
    json!({ "extension": [{ "url": DATA_ABSENT, "valueCode": "unknown" }] })
}

fn concept(coded: &Coded) -> Value {
    let codings = coded.codes.iter().map(|coding| {
        Object::default()
            .text("system", &coding.system)
            .text("code", &coding.code)
            .text("display", &coding.display)
            .build()
    });
    Object::default().list("coding", codings).text("text", &coded.text).build()
}

/// A concept of one code.
pub(super) fn code(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

fn measure(quantity: &Quantity) -> Value {
    let object = Object::default().number("value", quantity.value).text("unit", &quantity.unit);
    if !UCUM_UNITS.contains(&quantity.unit.as_str()) {
        return object.build();
    }
    object.text("system", UCUM).text("code", &quantity.unit).build()
}

/// Days as a `Duration`.
pub(super) fn days(days: Option<f64>) -> Value {
    let Some(days) = days else { return Value::Null };
    Object::default()
        .number("value", days)
        .text("unit", "d")
        .text("system", UCUM)
        .text("code", "d")
        .build()
}
