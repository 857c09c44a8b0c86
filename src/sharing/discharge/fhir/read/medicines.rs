//! Medicines: orders and statements, each with what became of the medicine: by our own extension, by
//! its status, or by a `List` of changes (flags of R4's `list-item-flag`).

use std::collections::HashMap;

use super::super::json::Node;
use super::super::path::{Path, Report};
use super::super::terms::OTHER_MEDICINE_SECTIONS;
use super::clinical::says_none;
use super::composition::Sections;
use super::source::{Entry, Source, head};
use super::types::{
    coded, coded_field, concept_codes, days, moment, own_extension, quantity_field,
    read_concept_if, read_if, words,
};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{Coded, Medicine, MedicineChange};
use crate::sharing::discharge::problems::Severity;
use crate::sharing::discharge::units;

/// How often a code of HL7's timing abbreviations is a day.
const ABBREVIATIONS: &[(&str, f64)] = &[
    ("QD", 1.0),
    ("BID", 2.0),
    ("TID", 3.0),
    ("QID", 4.0),
    ("QOD", 0.5),
    ("AM", 1.0),
    ("PM", 1.0),
    ("BED", 1.0),
    ("Q1H", 24.0),
    ("Q2H", 12.0),
    ("Q3H", 8.0),
    ("Q4H", 6.0),
    ("Q6H", 4.0),
    ("Q8H", 3.0),
];

/// The system of flags that R4's value set `list-item-flag` names and defines: 01 unchanged, 02
/// changed, 04 prescribed, 05 ceased. Of 03 (the order was cancelled; what was begun may be taken to
/// its end) and 06 (suspended) it cannot be said whether the medicine goes on.
const CHANGE_FLAGS: &str = "urn:oid:1.2.36.1.2001.1001.101.104.16592";

/// The medicines at discharge: those of the stay, and what was being taken already.
pub(super) fn medicines(
    source: &Source<'_, '_>,
    sections: &Sections<'_>,
    report: &mut Report,
) -> Vec<Medicine> {
    let listed = changes(source);
    let mut found = Vec::new();
    for entry in &source.entries {
        if matches!(entry.kind, "MedicationRequest" | "MedicationStatement")
            && entry.refusal.is_none()
            && belongs(source, sections, entry)
        {
            let mut medicine = medicine(source, entry, report);
            if medicine.change.is_none() {
                medicine.change = listed.get(&std::ptr::from_ref(entry.node)).copied();
            }
            found.push(medicine);
        }
    }
    found
}

/// What a list of changes says of each medicine.
fn changes<'a>(source: &Source<'_, 'a>) -> HashMap<*const Node<'a>, MedicineChange> {
    let mut found = HashMap::new();
    for list in source.of("List").map(|entry| entry.node) {
        if list.peek_text("mode") != "changes" {
            continue;
        }
        for entry in list.peek_list("entry") {
            let flags = entry.peek("flag").map_or(&[][..], |flag| flag.peek_list("coding"));
            let flag = flags.iter().find(|coding| coding.peek_text("system") == CHANGE_FLAGS);
            let flag = flag.map(|coding| coding.peek_text("code"));
            let deleted = entry.peek("deleted").is_some_and(Node::is_true);
            let change = match flag {
                _ if deleted => MedicineChange::Stopped,
                Some("01") => MedicineChange::Continued,
                Some("02") => MedicineChange::Altered,
                Some("05") => MedicineChange::Stopped,
                Some("04") => MedicineChange::New,
                _ => continue,
            };
            let Some(item) = entry.peek("item").and_then(|item| source.follow(item, list)) else {
                continue;
            };
            source.begin(list);
            for field in ["mode", "entry"] {
                list.get(field);
            }
            read_if(list, "status", &["current"]);
            entry.mark();
            for field in ["flag", "deleted", "item"] {
                if let Some(field) = entry.get(field) {
                    field.mark_all();
                }
            }
            found.insert(std::ptr::from_ref(item), change);
        }
    }
    found
}

fn belongs<'n, 'a>(
    source: &Source<'n, 'a>,
    sections: &Sections<'_>,
    entry: &Entry<'n, 'a>,
) -> bool {
    let node = entry.node;
    if sections.has(node, OTHER_MEDICINE_SECTIONS)
        || node.peek("medicationCodeableConcept").is_some_and(says_none)
    {
        return false;
    }
    if source.of_stay(node) {
        return true;
    }
    let said = match entry.kind {
        "MedicationRequest" => node.peek_text("authoredOn"),
        _ => node.peek_text("dateAsserted"),
    };
    node.peek_text("status") == "active" && source.before_discharge(Moment::iso(said).ok().as_ref())
}

fn medicine<'n, 'a>(
    source: &Source<'n, 'a>,
    entry: &Entry<'n, 'a>,
    report: &mut Report,
) -> Medicine {
    let node = entry.node;
    source.begin(node);
    read_if(node, "intent", &["order", "plan"]);
    let order = entry.kind == "MedicationRequest";
    let mut medicine = Medicine { coded: what(source, node), ..Medicine::default() };
    status(node, entry, &mut medicine, report);
    if let Some(own) = own_extension(node, "medicine-change") {
        let kind = own_extension(own, "kind").map_or("", |found| found.text("valueCode"));
        medicine.change = match kind {
            "new" => Some(MedicineChange::New),
            "continued" => Some(MedicineChange::Continued),
            "altered" => Some(MedicineChange::Altered),
            "stopped" => Some(MedicineChange::Stopped),
            _ => None,
        };
        let text = own_extension(own, "text").map_or("", |found| found.text("valueString"));
        text.clone_into(&mut medicine.change_text);
    }
    medicine.reason = reason(source, node);
    let dosages = if order { "dosageInstruction" } else { "dosage" };
    match node.peek_list(dosages) {
        [] => {}
        [one] => {
            node.get(dosages);
            dosage(one.mark(), &mut medicine);
        }
        several => {
            // One dose of several would be wrong, so the words alone are taken.
            node.get(dosages);
            let words = several.iter().filter(|one| !one.peek_text("text").is_empty());
            let words: Vec<&str> = words.map(|one| one.mark().text("text")).collect();
            medicine.instruction = words.join("\n");
            place(entry, |path| {
                let message = "一种药有几条用法，剂量与次数只留在原文中，用法文字照录";
                report.add(Severity::Warning, &path.name(dosages), "dosage_several", message);
            });
        }
    }
    supply(node, &mut medicine);
    period(node, &mut medicine);
    if medicine.coded.is_empty() {
        place(entry, |path| {
            report.add(Severity::Warning, path, "medicine_unnamed", "没有药名");
        });
    }
    medicine
}

/// Does something at an entry's path.
fn place(entry: &Entry<'_, '_>, then: impl FnOnce(&Path<'_>)) {
    let (root, position) = (Path::root("Bundle"), entry.position);
    let list = root.name("entry");
    let item = list.index(position);
    then(&item.name("resource"));
}

fn what<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>) -> Coded {
    if let Some(concept) = node.get("medicationCodeableConcept") {
        return coded(concept);
    }
    let Some(reference) = node.peek("medicationReference") else { return Coded::default() };
    if let Some(medication) = source.embed(reference, node) {
        head(medication);
        read_if(medication, "status", &["active"]);
        medication.get("code").map(coded).unwrap_or_default()
    } else {
        reference.mark();
        Coded::text(reference.text("display"))
    }
}

fn status(node: &Node<'_>, entry: &Entry<'_, '_>, medicine: &mut Medicine, report: &mut Report) {
    match (node.peek_text("status"), entry.kind) {
        ("active" | "intended", _) => {
            node.get("status");
        }
        ("stopped", _) | ("completed", "MedicationStatement") => {
            node.get("status");
            medicine.change = Some(MedicineChange::Stopped);
            let why = match entry.kind {
                "MedicationRequest" => node.get("statusReason").map(words),
                _ => node.first("statusReason").map(words),
            };
            medicine.change_text = why.unwrap_or_default();
        }
        ("on-hold", _) => {
            // Not to be taken now; only the doctor can say when it is again.
            node.get("status");
            medicine.change = Some(MedicineChange::Stopped);
            "暂停（status on-hold）".clone_into(&mut medicine.change_text);
            place(entry, |path| {
                let message = "药物暂停（on-hold），按停用提示；何时恢复请核对原文";
                report.add(Severity::Warning, &path.name("status"), "medicine_status", message);
            });
        }
        _ => place(entry, |path| {
            // Completed may mean dispensed. Only the doctor can tell.
            let message = "状态既不是在用也不是停用，出院后是否继续用请核对原文";
            report.add(Severity::Warning, &path.name("status"), "medicine_status", message);
        }),
    }
}

fn reason<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>) -> String {
    let mut found: Vec<String> = node.each("reasonCode").map(words).collect();
    for reference in node.peek_list("reasonReference") {
        let said = match source.embed(reference, node) {
            Some(condition) => match condition.peek("code") {
                Some(code) if !code.peek_text("text").is_empty() => {
                    code.peek_text("text").to_owned()
                }
                Some(code) => {
                    let first = code.peek_list("coding").first();
                    first.map_or("", |coding| coding.peek_text("display")).to_owned()
                }
                None => String::new(),
            },
            None => reference.peek_text("display").to_owned(),
        };
        if !said.is_empty() {
            node.get("reasonReference");
            reference.mark();
            reference.text("display");
            found.push(said);
        }
    }
    found.retain(|text| !text.is_empty());
    found.join("；")
}

fn dosage(node: &Node<'_>, medicine: &mut Medicine) {
    read_sequence(node);
    node.text("text").clone_into(&mut medicine.instruction);
    if medicine.instruction.is_empty() {
        node.text("patientInstruction").clone_into(&mut medicine.instruction);
    }
    medicine.as_needed = node.truth("asNeededBoolean").unwrap_or(false);
    if let Some(concept) = node.peek("asNeededCodeableConcept") {
        // Needed for what stays in the original; that it is only then does not.
        concept.mark();
        medicine.as_needed = true;
    }
    medicine.route = coded_field(node, "route");
    if let [rate] = node.peek_list("doseAndRate") {
        medicine.dose = quantity_field(rate, "doseQuantity");
        if medicine.dose.is_some() {
            node.get("doseAndRate");
            rate.mark();
            read_concept_if(rate, "type", &["ordered"]);
        }
    }
    if let Some(timing) = node.peek("timing") {
        self::timing(timing, medicine);
    }
}

fn read_sequence(node: &Node<'_>) {
    // The only one is the first.
    node.get("sequence");
}

fn timing(node: &Node<'_>, medicine: &mut Medicine) {
    let own = own_extension(node, "times-per-day").and_then(|own| own.number("valueDecimal"));
    let code = node.peek("code");
    let abbreviation = code.and_then(|code| {
        let mut codes = concept_codes(code);
        codes.find_map(|code| ABBREVIATIONS.iter().find(|(known, _)| *known == code))
    });
    if let Some(code) = code {
        node.mark();
        medicine.frequency = words(code);
    }
    let repeat = node.peek("repeat");
    let regular = repeat.and_then(times_per_day);
    medicine.times_per_day = own.or(regular).or(abbreviation.map(|(_, times)| *times));
    if own.is_some() || regular.is_some() {
        node.mark();
    }
    let Some(repeat) = repeat else { return };
    if let Some(bounds) = repeat.peek("boundsDuration")
        && let Some(days) = days(bounds)
    {
        node.mark();
        repeat.mark();
        medicine.days = Some(days);
    }
    if let Some(bounds) = repeat.peek("boundsPeriod") {
        node.mark();
        repeat.mark();
        bounds.mark();
        medicine.start = moment(bounds, "start");
        medicine.end = moment(bounds, "end");
    }
}

/// Times a day; nothing where more is said than how often in how long.
fn times_per_day(repeat: &Node<'_>) -> Option<f64> {
    const ALONE: [&str; 5] =
        ["frequency", "period", "periodUnit", "boundsDuration", "boundsPeriod"];
    let names = || repeat.fields().iter().map(|field| field.name.as_ref());
    let clock = repeat.peek_list("timeOfDay").len();
    let alone = names().all(|name| ALONE.contains(&name) || name == "timeOfDay");
    if !alone {
        return None;
    }
    let once_a_day = repeat.peek_text("periodUnit") == "d" || repeat.peek("periodUnit").is_none();
    if clock > 0 && once_a_day && repeat.peek("frequency").is_none() {
        repeat.mark();
        repeat.each("timeOfDay").for_each(drop);
        return u32::try_from(clock).ok().map(f64::from);
    }
    if clock > 0 {
        return None;
    }
    let days = units::days(repeat.peek_text("periodUnit"))?;
    let period = repeat.number("period")?;
    let frequency = repeat.number("frequency").unwrap_or(1.0);
    if period <= 0.0 || frequency <= 0.0 {
        return None;
    }
    repeat.mark();
    repeat.get("periodUnit");
    Some(frequency / (period * days))
}

fn supply(node: &Node<'_>, medicine: &mut Medicine) {
    let Some(supply) = node.peek("dispenseRequest") else { return };
    medicine.supplied = quantity_field(supply, "quantity");
    let lasting = supply.peek("expectedSupplyDuration").and_then(days);
    if lasting.is_some() && medicine.days.is_none() {
        medicine.days = lasting;
    }
    if medicine.supplied.is_some() || lasting.is_some() {
        supply.mark();
    }
}

fn period(node: &Node<'_>, medicine: &mut Medicine) {
    if let Some(period) = node.peek("effectivePeriod") {
        period.mark();
        medicine.start = medicine.start.take().or(moment(period, "start"));
        medicine.end = medicine.end.take().or(moment(period, "end"));
    }
    if node.peek("effectiveDateTime").is_some() && medicine.start.is_none() {
        medicine.start = moment(node, "effectiveDateTime");
    }
}
