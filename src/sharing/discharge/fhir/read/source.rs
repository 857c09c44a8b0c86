//! A checked bundle: its resources, how they refer to each other, and which of them the record is
//! made of.

use std::cell::Cell;
use std::collections::HashMap;

use super::super::json::Node;
use super::super::references::{Index, Resolved};
use super::types::human_name;
use crate::sharing::discharge::Moment;

/// A resource of the bundle.
pub(super) struct Entry<'n, 'a> {
    /// Which entry, from 0.
    pub(super) position: usize,
    /// Its `fullUrl`.
    pub(super) url: &'n str,
    /// What it is.
    pub(super) kind: &'n str,
    /// It.
    pub(super) node: &'n Node<'a>,
    /// Why it must not be read, if it must not.
    pub(super) refusal: Option<&'static str>,
}

/// A bundle, and what of it matters most.
pub(super) struct Source<'n, 'a> {
    /// Where references lead.
    pub(super) index: &'n Index<'n, 'a>,
    /// All resources, in their order.
    pub(super) entries: Vec<Entry<'n, 'a>>,
    /// The composition, if the bundle has one.
    pub(super) composition: Option<&'n Node<'a>>,
    /// The stay.
    pub(super) encounter: Option<&'n Node<'a>>,
    /// When the patient was discharged.
    pub(super) discharged: Option<Moment>,
    /// What the stay says of a condition.
    pub(super) diagnoses: HashMap<*const Node<'a>, &'n Node<'a>>,
    /// Reports on a study of images, each with its reference.
    pub(super) reports: HashMap<*const Node<'a>, Vec<(&'n Node<'a>, &'n Node<'a>)>>,
    /// How much may still be read through references: one large resource that a thousand others
    /// refer to would be a thousand of them in the record.
    pub(super) allowance: Cell<usize>,
}

/// Why a resource is not read.
pub(super) const OTHER_STAY: &str = "不属于本次住院";
pub(super) const WITHDRAWN: &str = "已撤销、取消或否定";
pub(super) const DELETED: &str = "要求删除（request.method为DELETE）";
pub(super) const DIFFERENTIAL: &str = "只是鉴别诊断";
pub(super) const OTHER_PERSON: &str = "不是患者本人的";
pub(super) const MODIFIED: &str = "有不认识的修饰扩展";

impl<'n, 'a> Source<'n, 'a> {
    /// The resources of a type that may be read: not withdrawn, and nothing unknown modifies them.
    pub(super) fn of<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s Entry<'n, 'a>> {
        self.entries.iter().filter(move |entry| entry.kind == kind && entry.refusal.is_none())
    }

    /// Finds what refers to conditions and studies, once for all of them.
    pub(super) fn relate(&mut self) {
        let mut diagnoses = HashMap::new();
        if let Some(stay) = self.encounter {
            for item in stay.peek_list("diagnosis") {
                if let Some(target) = self.peek_field(item, "condition") {
                    diagnoses.entry(std::ptr::from_ref(target)).or_insert(item);
                }
            }
        }
        let mut reports: HashMap<_, Vec<_>> = HashMap::new();
        for entry in self.of("DiagnosticReport") {
            for reference in entry.node.peek_list("imagingStudy") {
                let text = reference.peek_text("reference");
                if let Resolved::Found(study) = self.index.resolve(text, Some(entry.node)) {
                    let of = reports.entry(std::ptr::from_ref(study)).or_default();
                    of.push((entry.node, reference));
                }
            }
        }
        (self.diagnoses, self.reports) = (diagnoses, reports);
    }

    /// What the stay says of a condition.
    pub(super) fn diagnosis_item(&self, condition: &'n Node<'a>) -> Option<&'n Node<'a>> {
        self.diagnoses.get(&std::ptr::from_ref(condition)).copied()
    }

    /// The reports on a study.
    pub(super) fn reports_on(&self, study: &'n Node<'a>) -> &[(&'n Node<'a>, &'n Node<'a>)] {
        self.reports.get(&std::ptr::from_ref(study)).map_or(&[], Vec::as_slice)
    }

    /// The resource that a reference leads to; reading the reference.
    pub(super) fn follow(&self, reference: &Node<'a>, from: &'n Node<'a>) -> Option<&'n Node<'a>> {
        match self.index.resolve(reference.peek_text("reference"), Some(from)) {
            Resolved::Found(target) => {
                reference.mark();
                if reference.text("reference").starts_with('#') {
                    from.get("contained");
                }
                reference.text("type");
                reference.text("display");
                Some(target)
            }
            Resolved::Missing | Resolved::Elsewhere => None,
        }
    }

    /// The resource that a field refers to.
    pub(super) fn follow_field(&self, node: &'n Node<'a>, name: &str) -> Option<&'n Node<'a>> {
        self.follow(node.peek(name)?, node)
    }

    /// The resource that a reference leads to, for what it says to be read at the reference's place.
    pub(super) fn embed(&self, reference: &Node<'a>, from: &'n Node<'a>) -> Option<&'n Node<'a>> {
        let target = match self.index.resolve(reference.peek_text("reference"), Some(from)) {
            Resolved::Found(target) => target,
            Resolved::Missing | Resolved::Elsewhere => return None,
        };
        // Once it is used up nothing is weighed any more, or weighing would take the time.
        let left = spend(target, self.allowance.get());
        self.allowance.set(left.unwrap_or(0));
        left.and_then(|_| self.follow(reference, from))
    }

    /// Where a field refers to, unread.
    pub(super) fn peek_field(&self, node: &'n Node<'a>, name: &str) -> Option<&'n Node<'a>> {
        match self.index.resolve(node.peek(name)?.peek_text("reference"), Some(node)) {
            Resolved::Found(target) => Some(target),
            Resolved::Missing | Resolved::Elsewhere => None,
        }
    }

    /// What a reference names: who or what it leads to, or its own words.
    pub(super) fn name_of(&self, reference: &'n Node<'a>, from: &'n Node<'a>) -> String {
        let Some(target) = self.embed(reference, from) else {
            return match reference.peek_text("display") {
                "" => String::new(),
                display => {
                    reference.mark();
                    reference.text("display");
                    display.to_owned()
                }
            };
        };
        self.named(target)
    }

    /// The name of somebody or something.
    fn named(&self, target: &'n Node<'a>) -> String {
        head(target);
        match target.peek_text("resourceType") {
            "Practitioner" | "Patient" => target.first("name").map(human_name).unwrap_or_default(),
            "PractitionerRole" => {
                match target.peek("practitioner").and_then(|p| self.embed(p, target)) {
                    Some(person) => {
                        head(person);
                        person.first("name").map(human_name).unwrap_or_default()
                    }
                    None => target.peek("practitioner").map_or_else(String::new, |reference| {
                        reference.mark();
                        reference.text("display").to_owned()
                    }),
                }
            }
            _ => target.text("name").to_owned(),
        }
    }

    /// Whether the resource is of the stay at hand: it says so, or says no other and no other time.
    pub(super) fn of_stay(&self, node: &'n Node<'a>) -> bool {
        if self.composition.is_some() {
            return true;
        }
        let field = if node.peek("encounter").is_some() { "encounter" } else { "context" };
        if node.peek(field).is_none() {
            return self.during_stay(node);
        }
        let Some(stay) = self.encounter else { return true };
        self.peek_field(node, field).is_some_and(|target| {
            let within = || self.peek_field(target, "partOf");
            std::ptr::eq(target, stay) || within().is_some_and(|whole| std::ptr::eq(whole, stay))
        })
    }

    /// Whether something that says no stay was done during this one, as far as it says when.
    fn during_stay(&self, node: &Node<'_>) -> bool {
        let said = ["effectiveDateTime", "effectiveInstant", "performedDateTime", "started"];
        let periods = ["effectivePeriod", "performedPeriod"];
        let said = said.iter().map(|name| node.peek_text(name)).find(|text| !text.is_empty());
        let began = || periods.iter().find_map(|name| Some(node.peek(name)?.peek_text("start")));
        let day = |text: &str| Moment::iso(text).ok().and_then(|moment| moment.day());
        let Some(done) = said.or_else(began).and_then(day) else { return true };
        let period = self.encounter.and_then(|stay| stay.peek("period"));
        let bound = |name: &str| period.and_then(|period| day(period.peek_text(name)));
        bound("start").is_none_or(|start| start <= done)
            && bound("end").is_none_or(|end| done <= end)
    }

    /// Whether something said at `moment` was there when the patient was discharged.
    pub(super) fn before_discharge(&self, moment: Option<&Moment>) -> bool {
        let day = |moment: &Moment| moment.first_day();
        match (moment.and_then(day), self.discharged.as_ref().and_then(day)) {
            (Some(said), Some(left)) => said <= left,
            _ => true,
        }
    }

    /// Reads what every resource of the stay has: its head, whose it is, and of which stay.
    pub(super) fn begin(&self, node: &'n Node<'a>) {
        head(node);
        for field in ["subject", "patient", "encounter", "context", "for"] {
            if node.peek(field).is_some_and(|f| f.peek("reference").is_some()) {
                self.follow_field(node, field);
            }
        }
    }
}

/// Reads what carries no meaning beyond the bundle: type, id, and narrative made from the rest.
pub(super) fn head(node: &Node<'_>) {
    node.mark();
    node.get("resourceType");
    node.get("id");
    if let Some(text) = node.peek("text")
        && text.peek_text("status") == "generated"
    {
        text.mark_all();
    }
    if let Some(meta) = node.peek("meta") {
        for envelope in ["versionId", "lastUpdated", "profile", "source"] {
            if let Some(found) = meta.peek(envelope) {
                meta.mark();
                found.mark_all();
            }
        }
    }
}

/// Why a resource must not be read, if it must not.
pub(super) fn refusal(node: &Node<'_>) -> Option<&'static str> {
    if modified(node) {
        return Some(MODIFIED);
    }
    let status = node.peek_text("status");
    let verified = |code: &str| {
        let codings = node.peek("verificationStatus").map_or(&[][..], |v| v.peek_list("coding"));
        codings.iter().any(|coding| coding.peek_text("code") == code)
    };
    let kind = node.peek_text("resourceType");
    if kind == "Condition" && verified("differential") {
        return Some(DIFFERENTIAL);
    }
    let withdrawn = match kind {
        "Composition" => false,
        "Condition" => verified("entered-in-error") || verified("refuted"),
        "AllergyIntolerance" => verified("entered-in-error"),
        "Procedure" => matches!(status, "entered-in-error" | "not-done"),
        "MedicationStatement" => matches!(status, "entered-in-error" | "not-taken"),
        "MedicationRequest" => matches!(status, "entered-in-error" | "cancelled" | "draft"),
        "Goal" => matches!(
            node.peek_text("lifecycleStatus"),
            "entered-in-error" | "cancelled" | "rejected"
        ),
        "CarePlan" | "ServiceRequest" => matches!(status, "entered-in-error" | "revoked" | "draft"),
        "Task" => matches!(status, "entered-in-error" | "cancelled" | "rejected" | "draft"),
        "Appointment" => matches!(status, "entered-in-error" | "cancelled" | "noshow"),
        _ => matches!(status, "entered-in-error" | "cancelled"),
    };
    if kind == "Observation" && node.peek("focus").is_some() {
        return Some(OTHER_PERSON);
    }
    let prohibited = kind != "Patient" && node.peek("doNotPerform").is_some_and(Node::is_true);
    (withdrawn || prohibited).then_some(WITHDRAWN)
}

/// Whether an extension that is not known modifies the resource or a part of it.
fn modified(node: &Node<'_>) -> bool {
    node.fields().iter().any(|field| {
        (field.name == "modifierExtension" && !field.node.items().is_empty())
            || (field.name != "contained" && modified(&field.node))
    }) || node.items().iter().any(modified)
}

/// What is left of `allowance` after what a resource says, in bytes or so.
fn spend(node: &Node<'_>, allowance: usize) -> Option<usize> {
    const EACH: usize = 32;
    let mut left = allowance.checked_sub(EACH + node.as_text().len())?;
    for field in node.fields() {
        left = spend(&field.node, left)?;
    }
    for item in node.items() {
        left = spend(item, left)?;
    }
    Some(left)
}
