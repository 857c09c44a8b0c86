//! Data types of FHIR as types of the model. What is read is marked so; what is not is left over.

use super::super::json::{Node, Value};
use super::super::terms::{DATA_ABSENT, UCUM, own};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{Code, Coded, Quantity};
use crate::sharing::discharge::units;

/// The extension with this URL.
pub(super) fn extension<'n, 'a>(node: &'n Node<'a>, url: &str) -> Option<&'n Node<'a>> {
    let list = node.peek("extension")?;
    let found = list.items().iter().find(|item| item.peek_text("url") == url)?;
    list.mark();
    found.mark();
    found.text("url");
    Some(found)
}

/// One of our extensions.
pub(super) fn own_extension<'n, 'a>(node: &'n Node<'a>, name: &str) -> Option<&'n Node<'a>> {
    extension(node, &own(name))
}

/// Reads that something is not there because it is not known, which the model says by emptiness.
fn absence(node: &Node<'_>) {
    let unknown = node.peek_list("extension").iter().any(|item| {
        item.peek_text("url") == DATA_ABSENT && item.peek_text("valueCode") == "unknown"
    });
    if unknown && let Some(found) = extension(node, DATA_ABSENT) {
        found.text("valueCode");
    }
}

/// Reads that a primitive element is not known.
pub(super) fn absent(node: &Node<'_>, name: &str) {
    if let Some(beside) = beside(node, name) {
        beside.mark();
        absence(beside);
    }
}

fn beside<'n, 'a>(node: &'n Node<'a>, name: &str) -> Option<&'n Node<'a>> {
    let fields = node.fields().iter();
    fields.map(|f| (f.name.strip_prefix('_'), &f.node)).find(|(n, _)| *n == Some(name)).map(|f| f.1)
}

/// The extension of a primitive element.
pub(super) fn beside_extension<'n, 'a>(
    node: &'n Node<'a>,
    name: &str,
    own: &str,
) -> Option<&'n Node<'a>> {
    let beside = beside(node, name)?;
    let found = own_extension(beside, own)?;
    beside.mark();
    Some(found)
}

/// A date or time, as precise as it was said.
pub(super) fn moment(node: &Node<'_>, name: &str) -> Option<Moment> {
    absent(node, name);
    let value = node.peek(name)?;
    let said = beside_extension(node, name, "as-said").map(|said| said.text("valueString"));
    let found = said.and_then(|text| Moment::iso(text).ok());
    let found = found.or_else(|| Moment::iso(value.as_text()).ok());
    if found.is_some() {
        value.mark();
    }
    found
}

/// Something coded.
pub(super) fn coded(node: &Node<'_>) -> Coded {
    node.mark();
    absence(node);
    let mut codes = Vec::new();
    for coding in node.each("coding") {
        let code = coding_of(coding);
        if coding.truth("userSelected") == Some(true) {
            codes.insert(0, code);
        } else {
            codes.push(code);
        }
    }
    let mut text = node.text("text").to_owned();
    if text.is_empty() {
        text = codes.first().map(|code: &Code| code.display.clone()).unwrap_or_default();
    }
    Coded { text, codes }
}

/// A code.
pub(super) fn coding_of(node: &Node<'_>) -> Code {
    node.mark();
    Code {
        system: node.text("system").to_owned(),
        code: node.text("code").to_owned(),
        display: node.text("display").to_owned(),
    }
}

/// A field that is coded, if it says anything.
pub(super) fn coded_field(node: &Node<'_>, name: &str) -> Option<Coded> {
    node.peek(name).map(coded).filter(|coded| !coded.is_empty())
}

/// A field that is coded, and its text alone has a place.
pub(super) fn words(node: &Node<'_>) -> String {
    let has_text = !node.peek_text("text").is_empty();
    node.mark();
    absence(node);
    if has_text {
        return node.text("text").to_owned();
    }
    let codings = node.peek_list("coding");
    let Some(coding) = codings.first() else { return String::new() };
    if let Some(list) = node.peek("coding") {
        list.mark();
    }
    coding.mark();
    let display = coding.text("display");
    if display.is_empty() { coding.text("code").to_owned() } else { display.to_owned() }
}

/// A number and its unit; nothing where a comparator says that it is no number.
pub(super) fn quantity(node: &Node<'_>) -> Option<Quantity> {
    if node.peek("comparator").is_some() {
        return None;
    }
    let value = node.number("value")?;
    node.mark();
    Some(Quantity { value, unit: unit(node) })
}

/// UCUM where the sender has it, else as written.
fn unit(node: &Node<'_>) -> String {
    let (written, code) = (node.peek_text("unit"), node.peek_text("code"));
    if node.peek_text("system") == UCUM && !code.is_empty() {
        node.text("system");
        node.text("code");
        if written == code {
            node.text("unit");
        }
        return code.to_owned();
    }
    if written.is_empty() { node.text("code").to_owned() } else { node.text("unit").to_owned() }
}

/// A field that is a quantity.
pub(super) fn quantity_field(node: &Node<'_>, name: &str) -> Option<Quantity> {
    quantity(node.peek(name)?)
}

/// A quantity as words: `<5 mg/L`.
pub(super) fn quantity_words(node: &Node<'_>) -> String {
    node.mark();
    let comparator = node.text("comparator");
    let Some(value) = node.number("value") else { return String::new() };
    let unit = unit(node);
    format!("{comparator}{value} {unit}").trim_end().to_owned()
}

/// Days of a `Duration`.
pub(super) fn days(node: &Node<'_>) -> Option<f64> {
    let value = match node.peek("value")?.value {
        Value::Number { value, .. } => value,
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
            return None;
        }
    };
    let code = match node.peek_text("code") {
        "" => node.peek_text("unit"),
        code => code,
    };
    let each = units::days(code)?;
    node.mark_all();
    Some(value * each)
}

/// A human name as one text: Chinese names without a space, others given name first.
pub(super) fn human_name(node: &Node<'_>) -> String {
    node.mark();
    let text = node.text("text");
    if !text.is_empty() {
        return text.to_owned();
    }
    let family = node.text("family");
    let given: Vec<&str> = node.each("given").map(Node::as_text).collect();
    if family.is_ascii() && given.iter().all(|part| part.is_ascii()) {
        let mut parts = given;
        parts.push(family);
        parts.retain(|part| !part.is_empty());
        return parts.join(" ");
    }
    format!("{family}{}", given.concat())
}

/// Notes as one text.
pub(super) fn notes(node: &Node<'_>, name: &str) -> String {
    let texts: Vec<&str> = node.each(name).map(|note| note.text("text")).collect();
    texts.join("\n")
}

/// Reads the value of an element if it is one of these.
pub(super) fn read_if(node: &Node<'_>, name: &str, allowed: &[&str]) {
    if allowed.contains(&node.peek_text(name)) {
        node.get(name);
    }
}

/// Reads a concept if one of its codes is one of these.
pub(super) fn read_concept_if(node: &Node<'_>, name: &str, allowed: &[&str]) {
    let Some(concept) = node.peek(name) else { return };
    if concept_codes(concept).any(|code| allowed.contains(&code)) {
        concept.mark_all();
    }
}

/// The codes of a concept, unread.
pub(super) fn concept_codes<'n>(node: &'n Node<'_>) -> impl Iterator<Item = &'n str> {
    node.peek_list("coding").iter().map(|coding| coding.peek_text("code"))
}
