//! A bundle as a discharge record: what it is checked for as a whole, which stay it is about, and
//! what is left of it.

pub(super) mod clinical;
pub(super) mod composition;
mod follow_up;
mod measurements;
mod medicines;
pub(super) mod patient;
mod source;
mod stay;
mod types;

use std::cell::Cell;
use std::collections::HashMap;

use self::source::{DELETED, Entry, OTHER_PERSON, OTHER_STAY, Source, refusal};
use super::elements::R4;
use super::json::{self, Node};
use super::leftover::Leftover;
use super::path::{Path, Report};
use super::references::{Index, Resolved};
use super::validate::Validator;
use super::{EMBEDDED_BYTES_MAX, VALUES_MAX};
use crate::sharing::discharge::model::DischargeRecord;
use crate::sharing::discharge::problems::{Format, Problem, Reading, Severity};
use crate::sharing::discharge::{Moment, plausible};

/// Types whose resources are read by themselves when they are of the stay.
const READ: &[&str] = &[
    "Condition",
    "Procedure",
    "MedicationRequest",
    "MedicationStatement",
    "Observation",
    "ImagingStudy",
    "CarePlan",
    "ServiceRequest",
    "Task",
];

/// Reads a bundle.
pub(super) fn read(bytes: &[u8]) -> Result<Reading, Vec<Problem>> {
    let mut problems = Vec::new();
    let Some(root) = json::parse(bytes, &mut problems) else { return Err(problems) };
    let mut report = Report::of(problems);
    let path = Path::root("Bundle");
    if root.peek_text("resourceType") != "Bundle" {
        let message = "应为 FHIR R4 的 Bundle";
        report.add(Severity::Fatal, &path.name("resourceType"), "not_bundle", message);
        return Err(report.finish());
    }
    let mut index = Index::default();
    let mut entries = Vec::new();
    let list = path.name("entry");
    for (position, entry) in root.peek_list("entry").iter().enumerate() {
        let Some(node) = entry.peek("resource") else { continue };
        let url = entry.peek_text("fullUrl");
        if entry.peek("request").is_some_and(|request| request.peek_text("method") == "DELETE") {
            // What is to be taken away says nothing, whatever it is.
            entries.push(Entry { position, url, kind: "", node, refusal: Some(DELETED) });
            continue;
        }
        if !index.add(url, node) {
            let message = "fullUrl 与前面的条目重复，无法确定引用指向哪个";
            let here = list.index(position);
            report.add(Severity::Fatal, &here.name("fullUrl"), "full_url_twice", message);
        }
        let kind = node.peek_text("resourceType");
        entries.push(Entry { position, url, kind, node, refusal: refusal(node) });
    }
    Validator::new(&mut report, &index).resource(&root, &path, false);
    let source = Source {
        index: &index,
        entries,
        composition: None,
        encounter: None,
        discharged: None,
        diagnoses: HashMap::new(),
        reports: HashMap::new(),
        allowance: Cell::new(EMBEDDED_BYTES_MAX),
    };
    let bundle = Bundle { root: &root, report, source };
    bundle.read()
}

/// Checks a resource that stands by itself, for tests of what is written.
#[cfg(test)]
pub(super) fn check(bytes: &[u8]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(root) = json::parse(bytes, &mut problems) else { return problems };
    let mut report = Report::of(problems);
    let index = Index::default();
    let name = root.peek_text("resourceType").to_owned();
    Validator::new(&mut report, &index).resource(&root, &Path::root(&name), false);
    report.finish()
}

struct Bundle<'n, 'a> {
    root: &'n Node<'a>,
    report: Report,
    source: Source<'n, 'a>,
}

impl<'n, 'a> Bundle<'n, 'a> {
    fn read(mut self) -> Result<Reading, Vec<Problem>> {
        debug_assert!(self.source.entries.len() <= VALUES_MAX, "an entry is a value");
        let kind = self.root.peek_text("type");
        let format = if kind == "document" { Format::FhirDocument } else { Format::FhirBundle };
        if !matches!(kind, "document" | "collection" | "transaction" | "batch")
            && R4.has_code("bundle-type", kind)
        {
            let message = "Bundle 应为 document、collection、transaction 或 batch";
            self.fatal("type", "bundle_type", message);
        }
        let patient = self.patient();
        self.compose(kind == "document");
        self.whose(patient);
        if kind == "document" {
            self.document_rules();
        }
        let Some(patient) = patient.filter(|_| !self.report.is_fatal()) else {
            return Err(self.report.finish());
        };
        let record = self.record(patient);
        let unplaced = self.leftover();
        let mut problems = self.report.finish();
        problems.extend(plausible::problems(format, &record));
        if problems.iter().any(|problem| problem.severity == Severity::Fatal) {
            return Err(problems);
        }
        Ok(Reading { format, record, problems, unplaced })
    }

    fn fatal(&mut self, element: &str, code: &str, message: &str) {
        let path = Path::root("Bundle");
        self.report.add(Severity::Fatal, &path.name(element), code, message);
    }

    fn at(&mut self, severity: Severity, position: usize, element: &str, said: (&str, String)) {
        let path = Path::root("Bundle");
        let list = path.name("entry");
        let item = list.index(position);
        let resource = item.name("resource");
        let path = if element.is_empty() { resource } else { resource.name(element) };
        self.report.add(severity, &path, said.0, said.1);
    }

    /// The one patient.
    fn patient(&mut self) -> Option<&'n Node<'a>> {
        let all = self.source.entries.iter().filter(|entry| entry.kind == "Patient");
        let all: Vec<(usize, &'n Node<'a>, bool)> =
            all.map(|entry| (entry.position, entry.node, entry.refusal.is_some())).collect();
        match all.as_slice() {
            [] => {
                self.fatal("entry", "patient_missing", "没有患者（Patient）");
                None
            }
            [(position, patient, modified)] => {
                if *modified {
                    let message = "患者带有不认识的修饰扩展，不能采用".to_owned();
                    self.at(Severity::Fatal, *position, "", ("patient_modified", message));
                }
                if patient::is_nobody(patient) {
                    let message = "患者既没有姓名也没有任何证件号".to_owned();
                    self.at(Severity::Fatal, *position, "name", ("patient_nameless", message));
                }
                Some(patient)
            }
            [first, others @ ..] => {
                for (position, ..) in others {
                    let message = "一份小结只能有一位患者".to_owned();
                    self.at(Severity::Fatal, *position, "", ("patient_two", message));
                }
                Some(first.1)
            }
        }
    }

    /// Finds the composition and the stay.
    fn compose(&mut self, document: bool) {
        let compositions: Vec<(usize, &'n Node<'a>)> = self
            .source
            .entries
            .iter()
            .filter(|entry| entry.kind == "Composition")
            .map(|entry| (entry.position, entry.node))
            .collect();
        let summary = compositions.iter().find(|(_, node)| composition::is_discharge_summary(node));
        let chosen = summary.or(if document { compositions.first() } else { None });
        match chosen {
            None if document => {
                self.fatal("entry", "composition_missing", "文档没有 Composition");
            }
            None => self.choose_stay(),
            Some(&(position, node)) => {
                if !composition::is_discharge_summary(node) {
                    let message = "文档类型应为出院小结（LOINC 18842-5）".to_owned();
                    self.at(Severity::Fatal, position, "type", ("document_type", message));
                }
                if refusal(node).is_some() {
                    let message = "文档带有不认识的修饰扩展，不能采用".to_owned();
                    self.at(Severity::Fatal, position, "", ("document_modified", message));
                }
                if node.peek_text("status") == "preliminary" {
                    let message = "文档只是初稿".to_owned();
                    self.at(Severity::Warning, position, "status", ("preliminary", message));
                }
                if document && position != 0 {
                    let message = "文档的第一个条目应为 Composition".to_owned();
                    self.at(Severity::Warning, position, "", ("composition_not_first", message));
                }
                self.source.composition = Some(node);
                self.source.encounter = self.source.peek_field(node, "encounter");
                if self.source.encounter.is_none() {
                    let stays: Vec<_> =
                        self.source.of("Encounter").map(|entry| entry.node).collect();
                    self.source.encounter = if let [only] = *stays { Some(only) } else { None };
                }
                if self.source.encounter.is_none() {
                    let message = "没有说明是哪次住院".to_owned();
                    self.at(
                        Severity::Warning,
                        position,
                        "encounter",
                        ("encounter_missing", message),
                    );
                }
                self.discharged();
            }
        }
    }

    /// The newest finished inpatient encounter.
    fn choose_stay(&mut self) {
        let class = |node: &Node<'_>| {
            let code = node.peek("class").map_or("", |class| class.peek_text("code"));
            let admitted = node.peek("hospitalization").is_some();
            match code {
                "IMP" | "ACUTE" | "NONAC" => Some(0),
                // Kept for a short while, or come by emergency, where nobody was admitted otherwise.
                "SS" | "OBSENC" => Some(1),
                "EMER" if admitted => Some(1),
                _ => None,
            }
        };
        let best = self.source.of("Encounter").filter_map(|entry| class(entry.node)).min();
        let of_best = |entry: &&Entry<'_, '_>| best.is_some() && class(entry.node) == best;
        let all: Vec<_> = self.source.of("Encounter").filter(of_best).collect();
        let end = |node: &Node<'_>| {
            let text = node.peek("period").map_or("", |period| period.peek_text("end"));
            Moment::iso(text).ok()
        };
        let finished = all.iter().filter(|entry| entry.node.peek_text("status") == "finished");
        let newest = finished.clone().max_by_key(|entry| end(entry.node));
        let (number, unfinished) = (finished.count(), all.len());
        let Some((position, node)) = newest.map(|entry| (entry.position, entry.node)) else {
            let message = if unfinished > 0 {
                "有住院就诊，但都没有结束（status 不是 finished）"
            } else {
                "没有住院就诊（Encounter.class 为 IMP、ACUTE、NONAC 等）"
            };
            return self.fatal("entry", "stay_missing", message);
        };
        let message = match number {
            1 => "按这一次住院组成小结".to_owned(),
            _ => format!("资料中有 {number} 次住院，按出院时间最晚的这一次组成小结"),
        };
        self.at(Severity::Information, position, "", ("stay_chosen", message));
        self.source.encounter = Some(node);
        self.discharged();
    }

    fn discharged(&mut self) {
        let period = self.source.encounter.and_then(|stay| stay.peek("period"));
        let end = period.map_or("", |period| period.peek_text("end"));
        let start = period.map_or("", |period| period.peek_text("start"));
        self.source.discharged = Moment::iso(end).ok();
        let days = (Moment::iso(start).ok(), &self.source.discharged);
        if let (Some(start), Some(end)) = days
            && let (Some(start), Some(end)) = (start.day(), end.day())
            && start > end
        {
            let stay = self.source.encounter;
            let of = |entry: &&Entry<'n, 'a>| stay.is_some_and(|s| std::ptr::eq(s, entry.node));
            let position = self.source.entries.iter().find(of).map(|entry| entry.position);
            let message = "出院早于入院".to_owned();
            let said = ("dates_reversed", message);
            self.at(Severity::Fatal, position.unwrap_or_default(), "period", said);
        }
    }

    /// Nothing of another person may be taken for the patient's.
    fn whose(&mut self, patient: Option<&'n Node<'a>>) {
        let mut strangers = Vec::new();
        let index = self.source.index;
        for entry in self.source.entries.iter_mut().filter(|e| e.refusal != Some(DELETED)) {
            let Some((field, reference)) = ["subject", "patient"]
                .iter()
                .find_map(|field| Some((*field, entry.node.peek(field)?.peek("reference")?)))
            else {
                continue;
            };
            let text = reference.as_text();
            match index.resolve(text, Some(entry.node)) {
                Resolved::Found(target)
                    if patient.is_some_and(|patient| std::ptr::eq(patient, target)) => {}
                Resolved::Found(target) if target.peek_text("resourceType") == "Patient" => {
                    strangers.push((entry.position, field));
                }
                Resolved::Found(_) => entry.refusal = Some(OTHER_PERSON),
                Resolved::Elsewhere if text.contains("Patient/") => {
                    strangers.push((entry.position, field));
                }
                Resolved::Elsewhere | Resolved::Missing => {}
            }
        }
        for (position, field) in strangers {
            let message = "属于另一位患者".to_owned();
            self.at(Severity::Fatal, position, field, ("patient_other", message));
        }
    }

    /// What R4 asks of a document as a whole.
    fn document_rules(&mut self) {
        let path = Path::root("Bundle");
        let number = self.root.peek("identifier");
        let whole = number.is_some_and(|number| {
            !number.peek_text("system").is_empty() && !number.peek_text("value").is_empty()
        });
        if !whole {
            let message = "文档应有 identifier，含 system 与 value（bdl-9）";
            self.report.add(Severity::Warning, &path.name("identifier"), "missing", message);
        }
        if self.root.peek("timestamp").is_none() && self.root.peek("_timestamp").is_none() {
            let message = "文档应有 timestamp（bdl-10）";
            self.report.add(Severity::Warning, &path.name("timestamp"), "missing", message);
        }
    }

    fn record(&mut self, patient: &'n Node<'a>) -> DischargeRecord {
        self.envelope();
        self.source.relate();
        let source = &self.source;
        let mut document = composition::document(self.root, source);
        let (narrative, sections, listed) = composition::sections(source);
        let signatures = composition::signatures(source);
        let diagnoses = clinical::diagnoses(source, &listed);
        let medicines = medicines::medicines(source, &listed, &mut self.report);
        let record = DischargeRecord {
            patient: patient::patient(patient),
            stay: {
                let mut stay = stay::stay(source);
                stay::deceased(patient, &mut stay);
                stay
            },
            diagnoses,
            procedures: clinical::procedures(source),
            narrative,
            sections,
            medicines,
            measurements: measurements::measurements(source),
            allergies: clinical::allergies(source),
            imaging: clinical::imaging(source),
            follow_ups: follow_up::follow_ups(source),
            signatures,
            document: std::mem::take(&mut document),
        };
        let mut record = self.named(record);
        record.sections.extend(self.conclusions());
        record
    }

    /// A bundle without a name of its own is named after the stay.
    fn named(&mut self, mut record: DischargeRecord) -> DischargeRecord {
        let (None, Some(stay)) = (self.source.composition, self.source.encounter) else {
            return record;
        };
        if record.document.name.is_empty() {
            let number = stay.first("identifier").map(|number| {
                number.mark_all();
                composition::name_of(number)
            });
            let entry = self.source.entries.iter().find(|e| std::ptr::eq(e.node, stay));
            let url = entry.map(|entry| entry.url).filter(|url| !url.is_empty());
            let id = || format!("Encounter/{}", stay.peek_text("id"));
            record.document.name = number.or(url.map(ToOwned::to_owned)).unwrap_or_else(id);
            let message = "资料没有文档编号，以住院就诊的编号代替".to_owned();
            let position = entry.map_or(0, |entry| entry.position);
            self.at(Severity::Information, position, "", ("document_named", message));
        }
        record
    }

    /// What reports conclude that are not about images.
    fn conclusions(&self) -> Vec<crate::sharing::discharge::model::Section> {
        let mut found = Vec::new();
        for entry in self.source.of("DiagnosticReport") {
            let node = entry.node;
            if !self.source.of_stay(node) {
                continue;
            }
            for result in node.peek_list("result") {
                if self.source.follow(result, node).is_some() {
                    node.get("result");
                    self.source.begin(node);
                }
            }
            let conclusion = node.peek("conclusion").filter(|conclusion| !conclusion.is_used());
            if let Some(conclusion) = conclusion {
                self.source.begin(node);
                found.push(crate::sharing::discharge::model::Section {
                    coded: node.get("code").map(types::coded).unwrap_or_default(),
                    text: conclusion.mark().as_text().to_owned(),
                });
            }
        }
        found
    }

    /// Reads what carries the resources and says nothing itself.
    fn envelope(&self) {
        self.root.mark();
        for part in ["resourceType", "id", "type", "timestamp", "_timestamp"] {
            if let Some(part) = self.root.get(part) {
                part.mark_all();
            }
        }
        if let Some(meta) = self.root.peek("meta") {
            for part in ["lastUpdated", "profile", "source"] {
                if let Some(part) = meta.peek(part) {
                    meta.mark();
                    part.mark_all();
                }
            }
        }
        if let Some(list) = self.root.get("entry") {
            for entry in list.items() {
                entry.mark();
                for part in ["fullUrl", "request"] {
                    if let Some(part) = entry.get(part) {
                        part.mark_all();
                    }
                }
            }
        }
    }

    fn leftover(&self) -> Vec<crate::sharing::discharge::problems::Unplaced> {
        let mut leftover = Leftover::default();
        let path = Path::root("Bundle");
        let list = path.name("entry");
        let mut resources = self.source.entries.iter().peekable();
        for field in self.root.fields().iter().filter(|field| field.name != "entry") {
            leftover.field(&path, field, "");
        }
        for (position, entry) in self.root.peek_list("entry").iter().enumerate() {
            let item = list.index(position);
            for field in entry.fields().iter().filter(|field| field.name != "resource") {
                leftover.field(&item, field, "");
            }
            let Some(resource) = resources.next_if(|r| r.position == position) else { continue };
            let here = item.name("resource");
            if resource.node.is_used() {
                leftover.within(&here, resource.node, resource.kind);
            } else {
                let elsewhere = || {
                    let kind = READ.contains(&resource.kind) || resource.kind == "DiagnosticReport";
                    (kind && !self.source.of_stay(resource.node)).then_some(OTHER_STAY)
                };
                let why = resource.refusal.or_else(elsewhere).unwrap_or_default();
                leftover.resource(&here, resource.node, why);
            }
        }
        leftover.finish()
    }
}
