//! Medicines: substance administrations.

use super::super::model::{Coded, Medicine, MedicineChange};
use super::super::units;
use super::body::{Body, own, own_text, related_to};
use super::values::type_of;
use super::xml::{Element, Reading, at, attribute, child, children};

/// What the condition of a medicine that is taken when needed says where nothing more is known.
pub(super) const AS_NEEDED: &str = "必要时";

/// Codes of [`MedicineChange`] in `medicine-change`.
pub(super) const CHANGES: &[(&str, &str, MedicineChange)] = &[
    ("new", "新加", MedicineChange::New),
    ("continued", "照旧", MedicineChange::Continued),
    ("altered", "调整", MedicineChange::Altered),
    ("stopped", "停用", MedicineChange::Stopped),
];

/// SNOMED CT: instruction, and a provider's for treatment (C-CDA).
const INSTRUCTIONS: [&str; 2] = ["409073007", "423564006"];

/// Reads one.
pub(super) fn read<'d>(body: &mut Body<'_, 'd>, node: Element<'d>) {
    let reading = body.reading;
    let coded = product(reading, node);
    let mut out = Medicine {
        coded,
        instruction: reading.child_text(node, "text"),
        route: reading.child_coded(node, "routeCode"),
        change_text: own_text(reading, node, "change-text"),
        frequency: own_text(reading, node, "frequency"),
        ..Medicine::default()
    };
    for time in children(node, "effectiveTime") {
        timing(reading, time, &mut out);
    }
    dose(reading, node, &mut out);
    if let Some(value) = own(node, "medicine-change") {
        let code = attribute(value, "code");
        out.change = CHANGES.iter().find(|(of, ..)| *of == code).map(|(.., change)| *change);
        take_parent(reading, value);
    }
    if let Some(value) = own(node, "times-per-day") {
        out.times_per_day = reading.quantity(value).map(|times| times.value);
        take_parent(reading, value);
    }
    for inner in related_to(node) {
        related(reading, inner, &mut out);
    }
    status(reading, node, &mut out);
    for condition in children(node, "precondition") {
        out.as_needed = true;
        let Some(criterion) = child(condition, "criterion") else { continue };
        if child(criterion, "code").is_some_and(|code| attribute(code, "code") == "ASSERTION") {
            reading.enter(criterion);
        }
        if child(criterion, "text").is_some_and(|text| text.text() == Some(AS_NEEDED)) {
            reading.take(condition);
        } else if out.reason.is_empty() {
            out.reason = reading.child_text(criterion, "text");
            if out.reason.is_empty() {
                out.reason = reading.child_words(criterion, "value");
            }
        }
    }
    if out.coded.is_empty() && out.instruction.is_empty() {
        return;
    }
    body.record.medicines.push(out);
}

/// Statuses of a medicine that was broken off, or that is not to be taken for the time being. Only the
/// doctor can say when it is taken again, so it counts as stopped with the sender's word.
const BROKEN_OFF: [(&str, &str); 3] =
    [("aborted", "中止"), ("suspended", "暂停"), ("held", "暂缓")];

/// What the status says, where nothing else says what becomes of the medicine.
fn status<'d>(reading: &Reading<'d>, node: Element<'d>, out: &mut Medicine) {
    let Some(status) = child(node, "statusCode") else { return };
    let code = attribute(status, "code");
    // One that is completed has its dates.
    let Some((code, words)) = BROKEN_OFF.iter().find(|(of, _)| *of == code) else { return };
    reading.take(status);
    out.change = Some(MedicineChange::Stopped);
    let said = format!("{words}（statusCode {code}）");
    if !out.change_text.is_empty() {
        out.change_text.push('；');
    }
    out.change_text.push_str(&said);
}

fn take_parent<'d>(reading: &Reading<'d>, value: Element<'d>) {
    if let Some(observation) = value.parent() {
        reading.take(observation);
    }
}

fn product<'d>(reading: &Reading<'d>, node: Element<'d>) -> Coded {
    let Some(product) = at(node, &["consumable", "manufacturedProduct"]) else {
        return Coded::default();
    };
    let material = ["manufacturedMaterial", "manufacturedLabeledDrug"];
    let Some(material) = material.into_iter().find_map(|name| child(product, name)) else {
        return Coded::default();
    };
    let mut coded = reading.child_coded(material, "code").unwrap_or_default();
    if coded.text.is_empty() {
        coded.text = reading.child_name(material);
    }
    coded
}

/// Start, end, days, and how often.
fn timing<'d>(reading: &Reading<'d>, time: Element<'d>, out: &mut Medicine) {
    match type_of(time) {
        "PIVL_TS" => {
            let Some(period) = child(time, "period") else { return };
            // What is no span of time, or a second one, is left to be listed.
            let every = attribute(period, "value").parse::<f64>().ok().filter(|n| n.is_finite());
            let times = every.and_then(|n| units::times_per_day(n, attribute(period, "unit")));
            if times.is_some() && out.times_per_day.is_none() {
                reading.take(period);
                out.times_per_day = times;
            }
        }
        "EIVL_TS" => {
            if let Some(event) = child(time, "event") {
                reading.take(event);
                if out.frequency.is_empty() {
                    attribute(event, "code").clone_into(&mut out.frequency);
                }
            }
        }
        _ => {
            let bound = |name| child(time, name).and_then(|part| reading.entry_moment(part));
            let (low, high) = (bound("low"), bound("high"));
            let point = reading.entry_moment(time);
            out.start = out.start.take().or(low).or(point);
            out.end = out.end.take().or(high);
            if let Some(width) = child(time, "width")
                && let Some(days) = time_span(width).filter(|_| out.days.is_none())
            {
                reading.take(width);
                out.days = Some(days);
            }
        }
    }
}

/// Days of a span of time; none where it is no number, or its unit none of time. A number alone
/// counts days.
fn time_span(node: Element<'_>) -> Option<f64> {
    let value = attribute(node, "value").parse::<f64>().ok().filter(|value| value.is_finite())?;
    let each = match attribute(node, "unit") {
        "" if node.has_children() => return None,
        "" => 1.0,
        unit => units::days(unit)?,
    };
    Some(value * each)
}

/// One dose; a dose between two bounds stays in the original, as does what cannot be a dose.
fn dose<'d>(reading: &Reading<'d>, node: Element<'d>, out: &mut Medicine) {
    let Some(dose) = child(node, "doseQuantity") else { return };
    if child(dose, "low").is_some() || child(dose, "high").is_some() {
        return;
    }
    out.dose = reading.quantity(dose);
    let unit = child(node, "administrationUnitCode");
    if let (Some(dose), Some(unit)) = (&mut out.dose, unit)
        && dose.unit.is_empty()
    {
        dose.unit = reading.words(unit);
    }
}

/// Reasons, what was given along, instructions.
fn related<'d>(reading: &Reading<'d>, inner: Element<'d>, out: &mut Medicine) {
    if let Some(observation) = child(inner, "observation")
        && attribute(inner, "typeCode") == "RSON"
        && out.reason.is_empty()
    {
        out.reason = reading.child_words(observation, "value");
    }
    if let Some(supply) = child(inner, "supply")
        && out.supplied.is_none()
        && let Some(quantity) = child(supply, "quantity")
    {
        out.supplied = reading.quantity(quantity);
    }
    if let Some(act) = child(inner, "act")
        && child(act, "code").is_some_and(|code| INSTRUCTIONS.contains(&attribute(code, "code")))
        && out.instruction.is_empty()
    {
        out.instruction = reading.child_text(act, "text");
        reading.take(act);
    }
}
