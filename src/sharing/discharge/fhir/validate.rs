//! Every element of every resource against the tables of R4: what is there twice, unknown, missing,
//! of another type, no code of its value set, an impossible date, or a reference to nothing.
//!
//! What would make the record wrong or unreadable is fatal; what a reader can live with is not.

use std::collections::HashSet;

use super::elements::{Element, Kind, Primitive, R4, Type};
use super::json::{Field, Node, Value};
use super::path::{Path, Report};
use super::primitives::{ID_FORM, fault, is_id};
use super::references::{Index, Resolved};
use crate::sharing::discharge::problems::Severity;

/// Value sets whose codes decide what a resource means; another code there refuses the document.
const DECISIVE: &[&str] = &[
    "administrative-gender",
    "allergyintolerance-clinical",
    "allergyintolerance-verification",
    "bundle-type",
    "care-plan-activity-status",
    "composition-status",
    "condition-clinical",
    "condition-ver-status",
    "diagnostic-report-status",
    "encounter-status",
    "event-status",
    "goal-status",
    "imagingstudy-status",
    "medication-statement-status",
    "medicationrequest-status",
    "observation-status",
    "quantity-comparator",
    "request-status",
    "task-status",
    "units-of-time",
];

/// Required elements whose absence is only told, because what is there can still be understood.
const TOLERATED: &[(&str, &str)] = &[
    ("Bundle.entry.request", "*"),
    ("CarePlan", "intent"),
    ("CarePlan", "status"),
    ("Composition", "author"),
    ("Composition", "date"),
    ("Composition", "title"),
    ("Composition.attester", "mode"),
    ("DiagnosticReport", "status"),
    ("Goal", "lifecycleStatus"),
    ("ImagingStudy", "status"),
    ("ImagingStudy.series", "*"),
    ("ImagingStudy.series.instance", "*"),
    ("Medication.ingredient", "*"),
    ("MedicationRequest", "intent"),
    ("Narrative", "*"),
    ("Patient.communication", "*"),
    ("ServiceRequest", "intent"),
    ("Task", "intent"),
    ("AllergyIntolerance.reaction", "manifestation"),
    ("Extension", "url"),
];

/// Elements whose reference must lead somewhere, or the record is not whole.
const BINDING_REFERENCES: &[&str] =
    &["subject", "patient", "encounter", "medicationReference", "condition", "entry"];

/// Checks a document.
pub(super) struct Validator<'v, 'a> {
    report: &'v mut Report,
    index: &'v Index<'v, 'a>,
    /// The resource at hand, in which `#…` is looked up.
    container: Option<&'v Node<'a>>,
}

impl<'v, 'a> Validator<'v, 'a> {
    /// Checks with this index of resources.
    pub(super) fn new(report: &'v mut Report, index: &'v Index<'v, 'a>) -> Self {
        Self { report, index, container: None }
    }

    /// Checks a resource that stands by itself.
    pub(super) fn resource(&mut self, node: &'v Node<'a>, path: &Path<'_>, contained: bool) {
        let outer = self.container;
        if !contained {
            self.container = Some(node);
        }
        let Value::Object(fields) = &node.value else {
            return self.fatal(path, "type_wrong", "应为资源（对象）");
        };
        let name = node.peek_text("resourceType");
        match R4.get(name).filter(|_| name.starts_with(|c: char| c.is_ascii_uppercase())) {
            Some(kind) if R4.has_code("resource-types", name) => {
                if node.peek("id").is_some_and(|id| !is_id(id.as_text())) {
                    let path = path.name("id");
                    self.warn(&path, "id_form", ID_FORM);
                }
                self.object(fields, name, kind, path, true);
            }
            _ if R4.has_code("resource-types", name) => self.structure(node, path),
            _ if name.is_empty() => {
                self.fatal(&path.name("resourceType"), "missing", "缺少 resourceType");
            }
            _ => {
                let message = "不是 FHIR R4 的资源类型";
                self.warn(&path.name("resourceType"), "resource_unknown", message);
                self.structure(node, path);
            }
        }
        self.container = outer;
    }

    fn fatal(&mut self, path: &Path<'_>, code: &str, message: impl Into<String>) {
        self.report.add(Severity::Fatal, path, code, message);
    }

    fn warn(&mut self, path: &Path<'_>, code: &str, message: impl Into<String>) {
        self.report.add(Severity::Warning, path, code, message);
    }

    /// Keys that stand twice, in something that is not read.
    fn structure(&mut self, node: &'v Node<'a>, path: &Path<'_>) {
        match &node.value {
            Value::Object(fields) => {
                self.twice(fields, path);
                for field in fields {
                    self.structure(&field.node, &path.name(&field.name));
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.structure(item, &path.index(index));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number { .. } | Value::Text(_) => {}
        }
    }

    fn twice(&mut self, fields: &[Field<'a>], path: &Path<'_>) {
        const PAIRWISE_MAX: usize = 24;
        let mut found = Vec::new();
        if fields.len() <= PAIRWISE_MAX {
            for (at, field) in fields.iter().enumerate() {
                if fields.iter().take(at).any(|earlier| earlier.name == field.name) {
                    found.push(&field.name);
                }
            }
        } else {
            let mut seen = HashSet::new();
            found.extend(fields.iter().map(|f| &f.name).filter(|name| !seen.insert(*name)));
        }
        for name in found {
            self.fatal(&path.name(name), "key_twice", "同一个键出现了两次，无法确定以哪个为准");
        }
    }

    fn object(
        &mut self,
        fields: &'v [Field<'a>],
        name: &str,
        kind: &'static Type,
        path: &Path<'_>,
        resource: bool,
    ) {
        if fields.is_empty() {
            self.warn(path, "value_empty", "不应为空对象；没有内容时应省略");
        }
        self.twice(fields, path);
        let mut seen = 0_u64;
        let mut choices: Vec<(u8, &str)> = Vec::new();
        for field in fields {
            let key = field.name.as_ref();
            let here = path.name(key);
            let (bare, beside) = match key.strip_prefix('_') {
                Some(bare) => (bare, true),
                None => (key, false),
            };
            let Some(element) = kind.elements.get(bare) else {
                if !(resource && key == "resourceType") {
                    self.warn(&here, "element_unknown", "FHIR R4 在此处没有这个元素；只留在原文中");
                    self.structure(&field.node, &here);
                }
                continue;
            };
            seen |= 1_u64.checked_shl(u32::from(element.slot)).unwrap_or(0);
            if element.base.ends_with("[x]") {
                if choices.iter().any(|&(slot, other)| slot == element.slot && other != bare) {
                    self.fatal(&here, "choice_twice", "同一元素只能取一种类型，这里有两种");
                }
                choices.push((element.slot, bare));
            }
            if beside {
                self.beside(&field.node, element, &here);
            } else {
                self.element(&field.node, key, element, &here);
            }
        }
        for &(slot, base) in &kind.required {
            if seen & 1_u64.checked_shl(u32::from(slot)).unwrap_or(0) == 0 {
                self.missing(name, base, path);
            }
        }
    }

    fn missing(&mut self, holder: &str, base: &str, path: &Path<'_>) {
        let lenient = TOLERATED
            .iter()
            .any(|&(of, element)| of == holder && (element == "*" || element == base));
        let shown = base.strip_suffix("[x]").unwrap_or(base);
        let message = format!("缺少必需的 {base}");
        if lenient {
            self.warn(&path.name(shown), "missing", message);
        } else {
            self.fatal(&path.name(shown), "missing", message);
        }
    }

    /// Id and extensions of a primitive, which stand beside it.
    fn beside(&mut self, node: &'v Node<'a>, element: &'static Element, path: &Path<'_>) {
        let Some(kind) = R4.get("Element") else {
            return self.structure(node, path);
        };
        if !matches!(element.kind, Kind::Primitive(_)) {
            return self.fatal(path, "type_wrong", "只有简单类型才有带下划线的键");
        }
        match (&node.value, element.list) {
            (Value::Object(fields), false) => self.object(fields, "Element", kind, path, false),
            (Value::List(items), true) => {
                for (index, item) in items.iter().enumerate() {
                    match &item.value {
                        Value::Object(fields) => {
                            self.object(fields, "Element", kind, &path.index(index), false);
                        }
                        Value::Null => {}
                        Value::Bool(_) | Value::Number { .. } | Value::Text(_) | Value::List(_) => {
                            self.fatal(&path.index(index), "type_wrong", "应为对象或 null");
                        }
                    }
                }
            }
            (_, false) => self.fatal(path, "type_wrong", "应为对象"),
            (_, true) => self.fatal(path, "type_wrong", "应为列表"),
        }
    }

    fn element(
        &mut self,
        node: &'v Node<'a>,
        key: &str,
        element: &'static Element,
        path: &Path<'_>,
    ) {
        match (&node.value, element.list) {
            (Value::List(items), true) => {
                if items.is_empty() {
                    self.warn(path, "value_empty", "不应为空列表；没有内容时应省略");
                }
                for (index, item) in items.iter().enumerate() {
                    let here = path.index(index);
                    let primitive = matches!(element.kind, Kind::Primitive(_));
                    if primitive && matches!(item.value, Value::Null) {
                        continue;
                    }
                    self.value(item, key, element, &here);
                }
            }
            (_, true) => self.fatal(path, "type_wrong", "应为列表"),
            (Value::List(_), false) => self.fatal(path, "type_wrong", "只能有一个，不应为列表"),
            (_, false) => self.value(node, key, element, path),
        }
    }

    fn value(&mut self, node: &'v Node<'a>, key: &str, element: &'static Element, path: &Path<'_>) {
        if matches!(node.value, Value::Null) {
            return self.fatal(path, "null_value", "不应为 null；没有内容时应省略");
        }
        match element.kind {
            Kind::Primitive(primitive) => self.primitive(node, primitive, element, path),
            Kind::Resource => self.resource(node, path, key == "contained"),
            Kind::Reference(targets) => {
                let Value::Object(fields) = &node.value else {
                    return self.fatal(path, "type_wrong", "应为引用（对象）");
                };
                if let Some(kind) = R4.get("Reference") {
                    self.object(fields, "Reference", kind, path, false);
                }
                self.reference(node, key, targets, path);
            }
            Kind::Object(name) => {
                let Value::Object(fields) = &node.value else {
                    return self.fatal(path, "type_wrong", format!("应为对象（{name}）"));
                };
                if key == "modifierExtension" {
                    self.warn(
                        path,
                        "modifier_extension",
                        "有不认识的修饰扩展，所在资源只留在原文中",
                    );
                }
                if let Some(kind) = R4.get(name) {
                    self.object(fields, name, kind, path, false);
                }
                if let Some(set) = element.codes {
                    self.concept(node, set, path);
                }
            }
        }
    }

    fn primitive(
        &mut self,
        node: &'v Node<'a>,
        primitive: Primitive,
        element: &'static Element,
        path: &Path<'_>,
    ) {
        if let Some((severity, code, message)) = fault(primitive, &node.value) {
            return self.report.add(severity, path, code, message);
        }
        if let Some(set) = element.codes
            && !R4.has_code(set, node.as_text())
        {
            self.code_unknown(set, path);
        }
    }

    fn code_unknown(&mut self, set: &str, path: &Path<'_>) {
        const SHOWN_MAX: usize = 24;
        let codes = R4.codes(set);
        let shown = codes.iter().take(SHOWN_MAX).copied().collect::<Vec<_>>().join("、");
        let more = if codes.len() > SHOWN_MAX { "等" } else { "" };
        let message = format!("不是允许的代码，应为 {shown}{more}");
        if DECISIVE.contains(&set) {
            self.fatal(path, "code_unknown", message);
        } else {
            self.warn(path, "code_unknown", message);
        }
    }

    /// A `CodeableConcept` or `Coding` with a required binding: one of its codes must be of the set.
    fn concept(&mut self, node: &Node<'a>, set: &str, path: &Path<'_>) {
        let known = |coding: &Node<'a>| R4.has_code(set, coding.peek_text("code"));
        let codings = node.peek_list("coding");
        let fine = if node.peek("coding").is_some() {
            codings.iter().any(known)
        } else {
            node.peek("code").is_none() || known(node)
        };
        if !fine {
            self.code_unknown(set, path);
        }
    }

    fn reference(&mut self, node: &Node<'a>, key: &str, targets: &str, path: &Path<'_>) {
        let text = node.peek_text("reference");
        if text.is_empty() {
            return;
        }
        let here = path.name("reference");
        match self.index.resolve(text, self.container) {
            Resolved::Found(target) => {
                let kind = target.peek_text("resourceType");
                if !targets.is_empty() && !targets.split(',').any(|target| target == kind) {
                    let message = format!("此处应引用 {targets}");
                    self.warn(&here, "reference_type", message);
                }
            }
            Resolved::Missing if BINDING_REFERENCES.contains(&key) => {
                self.fatal(&here, "reference_nothing", "引用的资源不在本文件中");
            }
            Resolved::Missing => {
                self.warn(&here, "reference_nothing", "引用的资源不在本文件中");
            }
            Resolved::Elsewhere => {}
        }
    }
}
