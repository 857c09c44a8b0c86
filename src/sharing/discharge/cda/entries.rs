//! Entries that are neither diagnoses nor medicines: measurements, allergies, procedures, images and
//! what is to be done after discharge.

use super::super::model::{
    Allergy, Coded, FollowUp, ImagingReference, Measurement, Procedure, Quantity, Target,
};
use super::body::{Body, Place, expect_value, is_negated, own_text, related_to};
use super::elements::{self, Field};
use super::systems::PROCEDURES_CN;
use super::values::{identifier, type_of};
use super::xml::{Element, Reading, at, attribute, child, children};

/// Something measured or counted, or said in words.
pub(super) fn measurement<'d>(body: &mut Body<'_, 'd>, node: Element<'d>, place: &Place) {
    let reading = body.reading;
    let mut out = Measurement {
        coded: reading.child_coded(node, "code").unwrap_or_default(),
        ..Measurement::default()
    };
    let mut words: Vec<String> = Vec::new();
    for value in children(node, "value") {
        match type_of(value) {
            "PQ" | "INT" | "REAL" if out.value.is_none() => out.value = reading.quantity(value),
            "IVL_PQ" => words.push(interval(reading, value)),
            "CD" | "CE" | "CV" | "CO" => {
                words.push(reading.words(value));
            }
            "ST" | "ED" => words.push(reading.text(value)),
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    out.text = words.join("; ");
    out.taken = reading.time(node).or_else(|| place.time.clone());
    let interpretations = children(node, "interpretationCode").map(|code| reading.words(code));
    let said: Vec<String> = interpretations.filter(|text| !text.is_empty()).collect();
    out.interpretation = said.join(", ");
    let ranges = children(node, "referenceRange")
        .filter_map(|range| child(range, "observationRange"))
        .map(|range| match reading.child_text(range, "text") {
            text if !text.is_empty() => text,
            _ => child(range, "value").map(|value| interval(reading, value)).unwrap_or_default(),
        });
    let said: Vec<String> = ranges.filter(|text| !text.is_empty()).collect();
    out.reference_range = said.join("; ");
    if out.value.is_some() || !out.text.is_empty() || !out.coded.is_empty() {
        reading.enter(node);
        body.record.measurements.push(out);
    }
}

/// An interval of quantities as text.
fn interval<'d>(reading: &Reading<'d>, node: Element<'d>) -> String {
    let bound = |name| child(node, name).and_then(|part| reading.quantity(part));
    let show = |quantity: Option<Quantity>, sign: &str| {
        quantity.map(|quantity| format!("{sign}{} {}", quantity.value, quantity.unit))
    };
    let text = match (bound("low"), bound("high")) {
        (Some(low), Some(high)) => Some(format!("{} – {} {}", low.value, high.value, high.unit)),
        (low, None) => show(low, "≥ "),
        (None, high) => show(high, "≤ "),
    };
    text.unwrap_or_default().trim_end().to_owned()
}

/// An allergy observation: to what (`participant`), and what happened (`MFST`).
pub(super) fn allergy<'d>(body: &mut Body<'_, 'd>, node: Element<'d>) {
    let reading = body.reading;
    let mut coded = Coded::default();
    let agent = children(node, "participant")
        .find_map(|participant| at(participant, &["participantRole", "playingEntity"]));
    if let Some(agent) = agent {
        coded = allergen(reading, agent);
    }
    if coded.is_empty() {
        coded = reading.child_coded(node, "value").unwrap_or_default();
    }
    if coded.is_empty() {
        coded.text = reading.child_text(node, "text");
    }
    if coded.is_empty() {
        return;
    }
    // The kind of allergy has no place; that something is stated needs none.
    if let Some(code) = child(node, "code").filter(|code| attribute(*code, "code") == "ASSERTION") {
        reading.take(code);
    }
    let mut reactions = Vec::new();
    for inner in related_to(node) {
        let Some(observation) = child(inner, "observation") else { continue };
        if attribute(inner, "typeCode") != "MFST" {
            continue;
        }
        let mut said = reading.child_words(observation, "value");
        if said.is_empty() {
            said = reading.child_text(observation, "text");
        }
        reactions.push(said);
    }
    reactions.retain(|reaction| !reaction.is_empty());
    // SNOMED CT: no known allergy, and of drugs, food and environment.
    let no_known = ["716186003", "409137002", "429625007", "428607008"];
    let denied = coded.codes.iter().any(|code| no_known.contains(&code.code.as_str()));
    body.record.allergies.push(Allergy {
        absent: is_negated(node) || denied,
        coded,
        reaction: reactions.join("; "),
    });
}

/// To what: the agent's own words, its name, or what its code is called. What `originalText` only
/// points at is the last: documents of vendors point from the agent to the text of the reaction.
fn allergen<'d>(reading: &Reading<'d>, agent: Element<'d>) -> Coded {
    let mut coded = reading.child_coded(agent, "code").unwrap_or_default();
    let code = child(agent, "code");
    let own = code.and_then(|code| child(code, "originalText"));
    let own = own.and_then(|text| text.text()).map_or("", str::trim);
    let name = reading.child_name(agent);
    let shown = code.map_or("", |code| attribute(code, "displayName"));
    let shown = match shown {
        "" => coded.codes.iter().map(|code| code.display.as_str()).find(|text| !text.is_empty()),
        shown => Some(shown),
    };
    let words = [own, &name, shown.unwrap_or_default()];
    if let Some(words) = words.into_iter().find(|words| !words.is_empty()) {
        words.clone_into(&mut coded.text);
    }
    coded
}

/// A procedure, whatever class it is written in.
pub(super) fn procedure<'d>(body: &mut Body<'_, 'd>, node: Element<'d>) {
    let reading = body.reading;
    if let Some(code) = child(node, "code") {
        reading.expect_system(code, PROCEDURES_CN, "手术及操作");
    }
    let mut out = Procedure {
        coded: reading.child_coded(node, "code").unwrap_or_default(),
        started: reading.time(node),
        ..Procedure::default()
    };
    for inner in related_to(node) {
        let Some(observation) = child(inner, "observation") else { continue };
        let Some(code) = child(observation, "code") else { continue };
        let (de, name) = (attribute(code, "code"), attribute(code, "displayName"));
        let Some(value) = child(observation, "value") else { continue };
        let element = elements::element(de, name).filter(|_| !reading.is_ccda());
        if let Some(element) = element {
            expect_value(reading, value, element);
        }
        match element.map(|element| element.field) {
            Some(Field::ProcedureCourse) => out.course = reading.text(value),
            Some(Field::Anaesthesia) => out.anaesthesia = some(reading.coded(value)),
            Some(Field::Incision) => out.incision = some(reading.coded(value)),
            Some(Field::Healing) => out.healing = some(reading.coded(value)),
            Some(Field::ProcedureStarted) => {
                out.started = out.started.take().or_else(|| reading.entry_moment(value));
            }
            Some(Field::ProcedureCode) => out.coded.codes.extend(reading.coded(value).codes),
            _ if name.contains("手术及操作名称") || name.contains("手术名称") => {
                out.coded.text = reading.text(value);
            }
            _ => continue,
        }
        reading.take(observation);
    }
    if out.coded.text.is_empty() && out.coded.codes.is_empty() {
        out.coded.text = reading.child_text(node, "text");
    }
    if out != Procedure::default() {
        body.record.procedures.push(out);
    }
}

fn some(coded: Coded) -> Option<Coded> {
    (!coded.is_empty()).then_some(coded)
}

/// A reference to images.
pub(super) fn imaging<'d>(body: &mut Body<'_, 'd>, node: Element<'d>) {
    let reading = body.reading;
    let id = child(node, "id");
    let (root, extension, _) = id.and_then(identifier).unwrap_or_default();
    if let Some(id) = id {
        reading.take(id);
    }
    if let Some(code) = child(node, "code") {
        reading.take(code);
    }
    let out = ImagingReference {
        study_uid: if root.is_empty() { extension } else { root }.to_owned(),
        accession_number: own_text(reading, node, "accession-number"),
        modality: own_text(reading, node, "modality"),
        description: reading.child_text(node, "text"),
        date: reading.time(node),
        report: own_text(reading, node, "report"),
    };
    if out != ImagingReference::default() {
        body.record.imaging.push(out);
    }
}

/// Something to be done: an act, observation, procedure or visit that is planned.
pub(super) fn follow_up<'d>(body: &mut Body<'_, 'd>, node: Element<'d>) {
    let reading = body.reading;
    let mut out = FollowUp {
        coded: reading.child_coded(node, "code").unwrap_or_default(),
        text: reading.child_text(node, "text"),
        by: own_text(reading, node, "by"),
        ..FollowUp::default()
    };
    if let Some(time) = child(node, "effectiveTime") {
        let bound = |name| child(time, name).and_then(|bound| reading.entry_moment(bound));
        out.from = bound("low");
        out.due = bound("high").or_else(|| bound("center"));
        // A point in time is when it is due.
        out.due = out.due.or_else(|| reading.entry_moment(time));
    }
    for inner in related_to(node) {
        let Some(observation) = child(inner, "observation") else { continue };
        if attribute(observation, "moodCode") != "GOL" {
            continue;
        }
        reading.take(observation);
        out.targets.push(target(reading, observation));
    }
    if out != FollowUp::default() {
        body.record.follow_ups.push(out);
    }
}

fn target<'d>(reading: &Reading<'d>, node: Element<'d>) -> Target {
    let mut out = Target {
        coded: reading.child_coded(node, "code").unwrap_or_default(),
        text: reading.child_text(node, "text"),
        ..Target::default()
    };
    for value in children(node, "value") {
        let bound = |name| child(value, name).and_then(|bound| reading.quantity(bound));
        out.low = bound("low");
        out.high = bound("high");
        if let (None, None, Some(point)) = (&out.low, &out.high, reading.quantity(value)) {
            out.low = Some(point.clone());
            out.high = Some(point);
        }
    }
    out
}
