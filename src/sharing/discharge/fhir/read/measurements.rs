//! What was measured: each observation, or each component of one.

use super::super::json::{Node, Value};
use super::clinical::says_none;
use super::source::Source;
use super::types::{coded, concept_codes, moment, notes, quantity, quantity_words, read_if, words};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{Measurement, Quantity};

/// The measurements of the stay.
pub(super) fn measurements(source: &Source<'_, '_>) -> Vec<Measurement> {
    let mut found = Vec::new();
    for entry in source.of("Observation") {
        let node = entry.node;
        if !source.of_stay(node)
            || node.peek("code").is_some_and(says_none)
            || node.peek("valueCodeableConcept").is_some_and(says_none)
        {
            continue;
        }
        observation(source, node, &mut found);
    }
    found
}

fn observation<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>, found: &mut Vec<Measurement>) {
    source.begin(node);
    read_if(node, "status", &["final", "amended", "corrected"]);
    for member in node.peek_list("hasMember") {
        if source.follow(member, node).is_some() {
            node.get("hasMember");
        }
    }
    let taken = taken(node);
    let components = node.peek_list("component");
    let valued = node.fields().iter().any(|field| field.name.starts_with("value"));
    let members = !node.peek_list("hasMember").is_empty();
    if valued || (components.is_empty() && !members) {
        found.push(measurement(node, taken.clone()));
    }
    if !components.is_empty() {
        node.get("component");
    }
    for component in components {
        found.push(measurement(component.mark(), taken.clone()));
    }
}

fn taken(node: &Node<'_>) -> Option<Moment> {
    if let Some(period) = node.peek("effectivePeriod") {
        period.mark();
        return moment(period, "start");
    }
    if node.peek("effectiveInstant").is_some() {
        return moment(node, "effectiveInstant");
    }
    moment(node, "effectiveDateTime")
}

fn measurement(node: &Node<'_>, taken: Option<Moment>) -> Measurement {
    let mut measurement = Measurement {
        coded: node.get("code").map(coded).unwrap_or_default(),
        taken,
        ..Measurement::default()
    };
    (measurement.value, measurement.text) = value(node);
    let told = node.peek("note").is_some();
    if told && measurement.text.is_empty() {
        measurement.text = notes(node, "note");
    }
    let said: Vec<String> = node.each("interpretation").map(words).collect();
    measurement.interpretation = said.join("；");
    let ranges: Vec<String> = node.each("referenceRange").map(range).collect();
    measurement.reference_range = ranges.join("；");
    measurement
}

/// The value as a number, or as words.
fn value(node: &Node<'_>) -> (Option<Quantity>, String) {
    let Some(field) = node.fields().iter().find(|field| field.name.starts_with("value")) else {
        let absent = node.peek("dataAbsentReason").filter(|reason| {
            // That nothing is known is said by saying nothing.
            let mut codes = concept_codes(reason);
            codes.any(|code| code == "unknown")
        });
        if let Some(reason) = absent {
            reason.mark_all();
        }
        return (None, String::new());
    };
    let value = &field.node;
    let text = match &*field.name {
        "valueQuantity" => match quantity(value) {
            Some(number) => return (Some(number), String::new()),
            None => quantity_words(value),
        },
        "valueInteger" => match value.mark().value {
            Value::Number { value, .. } => {
                return (Some(Quantity { value, unit: String::new() }), String::new());
            }
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
                String::new()
            }
        },
        "valueCodeableConcept" => words(value),
        "valueString" | "valueDateTime" | "valueTime" => value.mark().as_text().to_owned(),
        "valueBoolean" => {
            value.mark();
            if value.is_true() { "是".to_owned() } else { "否".to_owned() }
        }
        "valueRange" => low_high(value.mark()),
        "valueRatio" => {
            let part = |name| value.mark().get(name).map(quantity_words).unwrap_or_default();
            format!("{}:{}", part("numerator"), part("denominator"))
        }
        "valuePeriod" => {
            value.mark();
            format!("{}/{}", value.text("start"), value.text("end"))
        }
        // Sampled data are no measurement that a record could hold.
        _ => String::new(),
    };
    (None, text)
}

fn range(node: &Node<'_>) -> String {
    let text = node.text("text");
    if text.is_empty() { low_high(node) } else { text.to_owned() }
}

/// `3.9–6.1 mmol/L`, or one bound.
fn low_high(node: &Node<'_>) -> String {
    let bound = |name| node.get(name).map(quantity_words).unwrap_or_default();
    match (bound("low"), bound("high")) {
        (low, high) if low.is_empty() && high.is_empty() => String::new(),
        (low, high) if low.is_empty() => format!("≤{high}"),
        (low, high) if high.is_empty() => format!("≥{low}"),
        (low, high) => format!("{low}–{high}"),
    }
}
