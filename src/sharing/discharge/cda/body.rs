//! The body: sections, what stands in them as entries, and their text.

use super::super::model::{
    Allergy, Code, Coded, DischargeRecord, FollowUp, Measurement, Narrative, Section,
};
use super::super::moment::Moment;
use super::super::outcome;
use super::super::problems::Severity;
use super::elements::{self, DataElement, Field, Kind, Words};
use super::systems::{self, DATA_ELEMENTS, OWN};
use super::values::type_of;
use super::xml::{Element, Reading, attribute, child, children, is};
use super::{diagnosis, entries, medicine, narrative};

/// `styleCode` of text that was made from the entries beside it.
pub(super) const STYLE_DERIVED: &str = "xDerived";
/// `styleCode` of the text of a section that the model has no element for.
pub(super) const STYLE_SECTION: &str = "xSection";

/// Longest text in which a section's text is looked for, so that it does not stand twice.
const REPEATED_BYTES_MAX: usize = 64 << 10;

/// While the body is read.
pub(super) struct Body<'r, 'd> {
    pub(super) reading: &'r Reading<'d>,
    pub(super) record: &'r mut DischargeRecord,
    /// The document has a section of medicines at discharge.
    discharge_medicines: bool,
    /// The last diagnosis, if it was a name whose code stands in the next entry.
    pub(super) named: Option<usize>,
}

/// Where an entry stands.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) kind: Kind,
    /// When, said for a group of entries.
    pub(super) time: Option<Moment>,
}

/// Reads the body into `record`.
pub(super) fn read(reading: &Reading<'_>, record: &mut DischargeRecord) {
    let Some(component) = child(reading.root(), "component") else { return };
    let Some(body) = child(component, "structuredBody") else {
        reading.warn(component, "body_unstructured", "没有结构化的正文，内容只在原文中");
        return;
    };
    let codes = body.descendants().filter(|node| is(*node, "section"));
    let discharge_medicines = codes
        .filter_map(|section| child(section, "code"))
        .any(|code| elements::kind(attribute(code, "code")) == Kind::Medications);
    let mut body_of = Body { reading, record, discharge_medicines, named: None };
    body_of.sections(body);
}

impl<'d> Body<'_, 'd> {
    fn sections(&mut self, parent: Element<'d>) {
        for component in children(parent, "component") {
            for section in children(component, "section") {
                self.section(section);
            }
        }
    }

    fn section(&mut self, node: Element<'d>) {
        let reading = self.reading;
        reading.enter(node);
        let mut coded = child(node, "code").map(|code| reading.coded(code)).unwrap_or_default();
        let kind = coded.codes.first().map_or(Kind::Other, |code| elements::kind(&code.code));
        let title = reading.child_text(node, "title");
        if !title.is_empty() {
            coded.text = title;
        }
        if let Some(id) = child(node, "id") {
            reading.take(id);
        }
        self.named = None;
        let place = Place { kind, time: None };
        for entry in children(node, "entry") {
            self.entry(entry, &place);
        }
        if let Some(text) = child(node, "text") {
            reading.take(text);
            let style = attribute(text, "styleCode");
            let first = coded.codes.first().map_or("", |code| code.code.as_str()).to_owned();
            if style == STYLE_SECTION {
                self.record.sections.push(Section { coded, text: narrative::flatten(text) });
            } else if style != STYLE_DERIVED {
                self.tell(kind, &first, coded, narrative::flatten(text));
            }
        }
        self.sections(node);
    }

    /// The text of a section: the narrative that it is, or a section of its own.
    fn tell(&mut self, kind: Kind, code: &str, coded: Coded, text: String) {
        if text.is_empty() {
            return;
        }
        let words = match kind {
            Kind::Course => Some(Words::Course),
            Kind::Orders | Kind::Instructions => Some(Words::Orders),
            Kind::DischargeFindings => Some(Words::Discharge),
            Kind::Results if code == "11493-4" => Some(Words::PositiveResults),
            Kind::Problems if !self.reading.is_ccda() => Some(Words::Admission),
            Kind::Problems
            | Kind::Past
            | Kind::AdmissionDiagnosis
            | Kind::DischargeDiagnosis
            | Kind::Procedures
            | Kind::Plan
            | Kind::Results
            | Kind::Vitals
            | Kind::Medications
            | Kind::AnyMedications
            | Kind::Allergies
            | Kind::Imaging
            | Kind::Other => None,
        };
        if let Some(words) = words {
            let slot = slot(&mut self.record.narrative, words);
            if slot.is_empty() {
                *slot = text;
                return;
            }
            if slot.len() <= REPEATED_BYTES_MAX && slot.contains(&text) {
                return;
            }
        }
        self.record.sections.push(Section { coded, text });
    }

    /// What stands in an `entry`, `entryRelationship` or `component`.
    pub(super) fn entry(&mut self, holder: Element<'d>, place: &Place) {
        if is_negated(holder) {
            return self.left_out(holder);
        }
        for act in holder.children().filter(roxmltree::Node::is_element) {
            if own_code(act).is_none() && is_left_out(act, place.kind) {
                self.left_out(act);
                continue;
            }
            match act.tag_name().name() {
                "observation" => self.observation(act, place),
                "organizer" => {
                    let time = self.reading.time(act).or_else(|| place.time.clone());
                    let inner = Place { kind: place.kind, time };
                    for component in children(act, "component") {
                        self.entry(component, &inner);
                    }
                }
                "act" => self.act(act, place),
                "substanceAdministration" => self.substance(act, place),
                "procedure" | "encounter" | "supply" if place.kind == Kind::Plan => {
                    entries::follow_up(self, act);
                }
                "procedure" => entries::procedure(self, act),
                _ => {}
            }
        }
    }

    /// Something that the sender negated or took back: it is told, and listed as not read.
    fn left_out(&mut self, node: Element<'d>) {
        // A code without its negated name is no code of the name before.
        self.named = None;
        let message = "此项被否定或撤销（negationInd或statusCode），没有计入，请看原文";
        self.reading.say(Severity::Information, node, "negated", message);
    }

    fn act(&mut self, node: Element<'d>, place: &Place) {
        if own_code(node) == Some("entered-in-error") {
            self.reading.take(node);
            self.record.document.entered_in_error = true;
            return;
        }
        match place.kind {
            Kind::Plan => entries::follow_up(self, node),
            Kind::Procedures => entries::procedure(self, node),
            Kind::Imaging => entries::imaging(self, node),
            // A concern, or what wraps medicines: what it is about stands inside. Its own time is
            // that of the concern.
            Kind::Problems
            | Kind::Past
            | Kind::AdmissionDiagnosis
            | Kind::DischargeDiagnosis
            | Kind::Medications
            | Kind::AnyMedications
            | Kind::Allergies => {
                if let Some(code) = child(node, "code") {
                    self.reading.take(code);
                }
                for inner in children(node, "entryRelationship") {
                    self.entry(inner, place);
                }
            }
            Kind::Course
            | Kind::Orders
            | Kind::Instructions
            | Kind::Results
            | Kind::Vitals
            | Kind::DischargeFindings
            | Kind::Other => {}
        }
    }

    fn substance(&mut self, node: Element<'d>, place: &Place) {
        let any = place.kind == Kind::AnyMedications && !self.discharge_medicines;
        let chinese = place.kind == Kind::Orders && !self.reading.is_ccda();
        if place.kind == Kind::Medications || any || chinese {
            medicine::read(self, node);
        }
    }

    fn observation(&mut self, node: Element<'d>, place: &Place) {
        let code = child(node, "code");
        let (de, system) =
            code.map_or(("", ""), |code| (attribute(code, "code"), attribute(code, "codeSystem")));
        let name = code.map(name_of).unwrap_or_default();
        let by_number = de.starts_with("DE") || system == DATA_ELEMENTS;
        let known = if self.reading.is_ccda() { None } else { elements::element(de, &name) };
        if !self.reading.is_ccda() && (by_number || (known.is_some() && own_code(node).is_none())) {
            self.data_element(node, place, known, &name);
            return;
        }
        match place.kind {
            Kind::Problems | Kind::Past | Kind::AdmissionDiagnosis | Kind::DischargeDiagnosis => {
                diagnosis::observed(self, node, place.kind);
            }
            Kind::Results | Kind::Vitals => entries::measurement(self, node, place),
            Kind::Allergies => entries::allergy(self, node),
            Kind::Procedures => entries::procedure(self, node),
            Kind::Plan => entries::follow_up(self, node),
            Kind::Course
            | Kind::Orders
            | Kind::Instructions
            | Kind::Medications
            | Kind::AnyMedications
            | Kind::Imaging
            | Kind::DischargeFindings
            | Kind::Other => {}
        }
    }

    /// An observation that is a data element of the Chinese standards.
    fn data_element(
        &mut self,
        node: Element<'d>,
        place: &Place,
        known: Option<&'static DataElement>,
        name: &str,
    ) {
        let reading = self.reading;
        let value = child(node, "value");
        if let (Some(element), Some(value)) = (known, value) {
            expect_value(reading, value, element);
        }
        let Some(value) = value else {
            self.inner(node, place);
            return;
        };
        if let Some(code) = child(node, "code") {
            reading.take(code);
        }
        match known.map(|element| element.field) {
            Some(Field::Words(words)) => {
                let text = said(reading, value);
                let slot = slot(&mut self.record.narrative, words);
                if slot.is_empty() {
                    *slot = text;
                } else if *slot != text {
                    slot.push('\n');
                    slot.push_str(&text);
                }
            }
            Some(Field::Diagnosis(kind)) => {
                diagnosis::data_element(self, node, kind, name, place);
                return;
            }
            Some(Field::Admitted) => {
                let moment = reading.moment(value);
                keep(reading, value, &mut self.record.stay.admitted, moment);
            }
            Some(Field::Discharged) => {
                let moment = reading.moment(value);
                keep(reading, value, &mut self.record.stay.discharged, moment);
            }
            Some(Field::Days) if self.record.stay.days.is_none() => {
                self.record.stay.days = reading.quantity(value).map(|days| days.value);
            }
            Some(Field::Outcome) if self.record.stay.outcome.is_none() => {
                let coded = reading.coded(value);
                self.record.stay.outcome = (!coded.is_empty()).then_some(coded);
            }
            Some(Field::Way) => {
                let coded = reading.coded(value);
                if outcome::is_death_way(&coded) {
                    outcome::died(&mut self.record.stay.outcome, coded);
                } else {
                    self.other_element(node, value, name, place);
                }
            }
            Some(Field::FollowUp) => {
                let text = said(reading, value);
                if !text.is_empty() {
                    let coded = element_coded(node, name);
                    self.record.follow_ups.push(FollowUp { coded, text, ..FollowUp::default() });
                }
            }
            Some(Field::Allergy) => {
                let text = said(reading, value);
                let absent = is_negated(node) || text.starts_with('无') || text.starts_with("否认");
                if !text.is_empty() {
                    let allergy =
                        Allergy { coded: Coded::text(text), absent, ..Allergy::default() };
                    self.record.allergies.push(allergy);
                }
            }
            Some(
                Field::Days
                | Field::Outcome
                | Field::ProcedureStarted
                | Field::ProcedureCode
                | Field::ProcedureCourse
                | Field::Anaesthesia
                | Field::Incision
                | Field::Healing,
            )
            | None => self.other_element(node, value, name, place),
        }
        self.inner(node, place);
    }

    /// A data element without a place of its own: a measurement if it is a quantity, else a section.
    fn other_element(&mut self, node: Element<'d>, value: Element<'d>, name: &str, place: &Place) {
        let reading = self.reading;
        let coded = element_coded(node, name);
        if matches!(type_of(value), "PQ" | "INT" | "REAL") {
            let Some(quantity) = reading.quantity(value) else { return };
            self.record.measurements.push(Measurement {
                coded,
                value: Some(quantity),
                taken: reading.time(node).or_else(|| place.time.clone()),
                ..Measurement::default()
            });
            return;
        }
        let text = match type_of(value) {
            "TS" => {
                reading.entry_moment(value).map(|moment| moment.to_string()).unwrap_or_default()
            }
            _ => said(reading, value),
        };
        if !text.is_empty() {
            self.record.sections.push(Section { coded, text });
        }
    }

    fn inner(&mut self, node: Element<'d>, place: &Place) {
        for inner in children(node, "entryRelationship") {
            self.entry(inner, place);
        }
    }
}

/// Keeps what was said first, and tells if the same is said otherwise later.
fn keep<'d>(
    reading: &Reading<'d>,
    node: Element<'d>,
    slot: &mut Option<Moment>,
    moment: Option<Moment>,
) {
    let day = |moment: &Option<Moment>| moment.as_ref().and_then(Moment::day);
    if slot.is_some() && moment.is_some() && day(slot) != day(&moment) {
        reading.warn(node, "dates_disagree", "与文档头中的日期不一致，以文档头为准");
        reading.take_words(node);
    }
    *slot = slot.take().or(moment);
}

/// The words of a value of any type: its text, or its code where there is none.
fn said<'d>(reading: &Reading<'d>, value: Element<'d>) -> String {
    if matches!(type_of(value), "CD" | "CE" | "CV" | "CS" | "CO") {
        let coded = reading.coded(value);
        if coded.codes.len() > 1 {
            reading.take_words(value);
        }
        let code = coded.codes.into_iter().next().map(|code| code.code).unwrap_or_default();
        return match (coded.text.as_str(), code.as_str()) {
            (text, "") => text.to_owned(),
            ("", code) => code.to_owned(),
            (text, code) => format!("{text}（{code}）"),
        };
    }
    let text = reading.text(value);
    if matches!(text.as_str(), "/" | "-" | "--") { String::new() } else { text }
}

/// What is coded by a data element itself.
fn element_coded(node: Element<'_>, name: &str) -> Coded {
    let de = child(node, "code").map_or("", |code| attribute(code, "code"));
    let shown = child(node, "code").map_or("", |code| attribute(code, "displayName"));
    let mut codes = Vec::new();
    if !de.is_empty() {
        codes.push(Code {
            system: systems::uri(DATA_ELEMENTS, ""),
            code: de.to_owned(),
            display: shown.to_owned(),
        });
    }
    Coded { text: name.to_owned(), codes }
}

/// The name of an element: `displayName`, and the qualifiers' where there is none.
fn name_of(code: Element<'_>) -> String {
    let shown = attribute(code, "displayName");
    if !shown.is_empty() {
        return shown.to_owned();
    }
    let qualifiers = children(code, "qualifier").filter_map(|qualifier| child(qualifier, "name"));
    qualifiers.map(|name| attribute(name, "displayName")).collect()
}

/// Whether the sender says that it is not so.
pub(super) fn is_negated(node: Element<'_>) -> bool {
    matches!(attribute(node, "negationInd"), "true" | "1")
}

/// Statuses of what never was, or was taken back.
const TAKEN_BACK: [&str; 3] = ["nullified", "cancelled", "obsolete"];

/// Whether an act is not to be read as something that is there: it is negated, or was taken back. An
/// allergy that is negated is one that is known not to be, which the record has a place for.
fn is_left_out(act: Element<'_>, kind: Kind) -> bool {
    let status = child(act, "statusCode").map_or("", |status| attribute(status, "code"));
    if TAKEN_BACK.contains(&status) {
        return true;
    }
    let code = child(act, "code");
    let allergy = is(act, "observation")
        && (kind == Kind::Allergies
            || code.is_some_and(|code| {
                let known = elements::element(attribute(code, "code"), &name_of(code));
                known.is_some_and(|known| known.field == Field::Allergy)
            }));
    is_negated(act) && !allergy
}

/// Whether what an `entryRelationship` holds is negated.
pub(super) fn is_denied(inner: Element<'_>) -> bool {
    let mut acts = inner.children().filter(roxmltree::Node::is_element);
    is_negated(inner) || acts.any(|act| is_negated(act) && own_code(act).is_none())
}

/// What is within an act and not negated.
pub(super) fn related_to(node: Element<'_>) -> impl Iterator<Item = Element<'_>> {
    children(node, "entryRelationship").filter(|inner| !is_denied(*inner))
}

/// The code, if it is one of ours.
pub(super) fn own_code(node: Element<'_>) -> Option<&str> {
    let code = child(node, "code").filter(|code| attribute(*code, "codeSystemName") == OWN)?;
    Some(attribute(code, "code"))
}

/// Value of the observation of ours within `node` that has this code.
pub(super) fn own<'d>(node: Element<'d>, code: &str) -> Option<Element<'d>> {
    children(node, "entryRelationship")
        .filter_map(|inner| child(inner, "observation"))
        .find(|inner| own_code(*inner) == Some(code))
        .and_then(|observation| child(observation, "value"))
}

/// Text of the observation of ours within `node` that has this code.
pub(super) fn own_text<'d>(reading: &Reading<'d>, node: Element<'d>, code: &str) -> String {
    let Some(value) = own(node, code) else { return String::new() };
    if let Some(observation) = value.parent() {
        reading.take(observation);
    }
    narrative::text_of(reading, value)
}

fn slot(narrative: &mut Narrative, words: Words) -> &mut String {
    match words {
        Words::Admission => &mut narrative.admission,
        Words::Course => &mut narrative.course,
        Words::PositiveResults => &mut narrative.positive_results,
        Words::Discharge => &mut narrative.discharge,
        Words::SymptomsAndSigns => &mut narrative.symptoms_and_signs,
        Words::TcmObservation => &mut narrative.tcm_observation,
        Words::TcmPrinciple => &mut narrative.tcm_principle,
        Words::TcmDecoction => &mut narrative.tcm_decoction,
        Words::TcmUsage => &mut narrative.tcm_usage,
        Words::Orders => &mut narrative.orders,
    }
}

/// Warns where type or code system of a value are not those of the standard.
pub(super) fn expect_value<'d>(reading: &Reading<'d>, value: Element<'d>, element: &DataElement) {
    let kind = type_of(value);
    let fits = match element.value {
        "" => true,
        "CD" => matches!(kind, "CD" | "CE" | "CV" | "CO"),
        "ST" => matches!(kind, "ST" | "ED" | "SC"),
        wanted => kind == wanted,
    };
    if !fits {
        let message = format!("{}的值应为{}类型", element.named, element.value);
        reading.warn(value, "value_type_wrong", message);
    }
    let icd10 = element.system == systems::ICD10_CN
        && elements::ICD10_ACCEPTED.contains(&attribute(value, "codeSystem"));
    if !icd10 {
        reading.expect_system(value, element.system, element.named);
    }
}
