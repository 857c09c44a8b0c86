//! Which document it is, its sections, and who signed.

use std::collections::{HashMap, HashSet};

use super::super::json::Node;
use super::super::terms::{LOINC, TOLD, own_system};
use super::super::xhtml::strip;
use super::patient::take_own;
use super::source::{Source, head};
use super::types::{
    absent, beside_extension, coded, coding_of, concept_codes, human_name, moment, read_concept_if,
    read_if,
};
use crate::sharing::discharge::model::{
    Coded, Document, Narrative, Section, Signature, SignatureRole,
};
use crate::sharing::exchange::VERSION_MAX;

/// The system of names that have none of their own.
pub(in super::super) const NAME_SYSTEM: &str = "document-name";
/// The system of the identifier of a document that has no name.
pub(in super::super) const NAMELESS_SYSTEM: &str = "document-nameless";

/// By which sections each resource is listed: LOINC codes.
#[derive(Default)]
pub(super) struct Sections<'n> {
    of: HashMap<usize, Vec<&'n str>>,
}

impl Sections<'_> {
    /// Whether one of these sections lists the resource.
    pub(super) fn has(&self, node: &Node<'_>, codes: &[&str]) -> bool {
        let key = std::ptr::from_ref(node).addr();
        self.of.get(&key).is_some_and(|of| of.iter().any(|code| codes.contains(code)))
    }
}

/// Which document the bundle is.
pub(super) fn document(root: &Node<'_>, source: &Source<'_, '_>) -> Document {
    let mut document = Document::default();
    let composition = source.composition;
    let numbers = [Some(root), composition].into_iter().flatten();
    for number in numbers.filter_map(|holder| holder.peek("identifier")) {
        let name = name_of(number);
        if document.name.is_empty() || document.name == name {
            number.mark();
            number.text("system");
            number.text("value");
            document.name = name;
        }
    }
    let version = |holder: &Node<'_>| -> Option<u32> {
        let version = holder.get("meta")?.text("versionId").parse().ok();
        version.filter(|version| (1..=VERSION_MAX).contains(version))
    };
    document.version = version(root).or_else(|| composition.and_then(version));
    let language = |holder: &Node<'_>| holder.peek_text("language").to_owned();
    document.language = language(root);
    let Some(node) = composition else {
        root.get("language");
        return document;
    };
    source.begin(node);
    let spoken = language(node);
    if !spoken.is_empty() {
        document.language = spoken;
    }
    for holder in [root, node] {
        read_if(holder, "language", &[&document.language]);
    }
    document.entered_in_error = node.peek_text("status") == "entered-in-error";
    read_if(node, "status", &["final", "amended", "entered-in-error"]);
    if beside_extension(node, "title", "filled").is_some_and(|f| f.truth("valueBoolean").is_some())
    {
        node.get("title");
    } else {
        node.text("title").clone_into(&mut document.title);
    }
    document.written = moment(node, "date");
    if let Some(kind) = node.peek("type") {
        read_concept_if(node, "type", super::super::terms::DISCHARGE_SUMMARIES);
        if !kind.is_used() {
            kind.mark_all();
        }
    }
    for relation in node.peek_list("relatesTo") {
        if relation.peek_text("code") != "replaces" || !document.replaces.is_empty() {
            continue;
        }
        let own = relation.peek("targetIdentifier");
        let other = relation.peek("targetReference");
        if let Some(number) = own.or_else(|| other.and_then(|other| other.peek("identifier"))) {
            document.replaces = name_of(number);
        } else if let Some(other) = other {
            other.peek_text("reference").clone_into(&mut document.replaces);
        }
        node.get("relatesTo");
        relation.mark_all();
    }
    document
}

/// `system|value`.
pub(super) fn name_of(number: &Node<'_>) -> String {
    let (system, value) = (number.peek_text("system"), number.peek_text("value"));
    if system == own_system(NAMELESS_SYSTEM) {
        return String::new();
    }
    if system.is_empty() || system == own_system(NAME_SYSTEM) {
        return value.to_owned();
    }
    format!("{system}|{value}")
}

/// The composition's sections: what they tell, those of no known kind, and what they list.
pub(super) fn sections<'n>(source: &Source<'n, '_>) -> (Narrative, Vec<Section>, Sections<'n>) {
    let mut reader = Reader {
        source,
        narrative: Narrative::default(),
        others: Vec::new(),
        listed: Sections::default(),
    };
    if let Some(composition) = source.composition {
        reader.list(composition, composition);
    }
    (reader.narrative, reader.others, reader.listed)
}

struct Reader<'s, 'n, 'a> {
    source: &'s Source<'n, 'a>,
    narrative: Narrative,
    others: Vec<Section>,
    listed: Sections<'n>,
}

impl<'n, 'a> Reader<'_, 'n, 'a> {
    fn list(&mut self, holder: &'n Node<'a>, composition: &'n Node<'a>) {
        for section in holder.peek_list("section") {
            holder.get("section");
            self.section(section, composition);
            self.list(section, composition);
        }
    }

    fn section(&mut self, section: &'n Node<'a>, composition: &'n Node<'a>) {
        let loinc = || {
            let codings = section.peek("code").map_or(&[][..], |code| code.peek_list("coding"));
            let codings = codings.iter().filter(|coding| coding.peek_text("system") == LOINC);
            codings.map(|coding| coding.peek_text("code"))
        };
        let mut entries = 0;
        for entry in section.peek_list("entry") {
            let Some(target) = self.source.follow(entry, composition) else { continue };
            section.mark();
            section.get("entry");
            entries += 1;
            let key = std::ptr::from_ref(target).addr();
            self.listed.of.entry(key).or_default().extend(loinc());
        }
        let mut coded = section.peek("code").map(peek_codes).unwrap_or_default();
        let own = take_own(&mut coded, "section");
        let told = TOLD.iter().find(|told| told.code == own).or_else(|| {
            let alone = |told: &&super::super::terms::Told| {
                told.alone && loinc().any(|code| code == told.loinc)
            };
            own.is_empty().then(|| TOLD.iter().find(alone)).flatten()
        });
        let narrative = section.peek("text");
        let text = narrative.map(|n| strip(n.peek_text("div"))).unwrap_or_default();
        let generated = narrative.is_some_and(|n| n.peek_text("status") == "generated");
        if let Some(told) = told {
            section.mark_all();
            let field = (told.set)(&mut self.narrative);
            if !field.is_empty() && !text.is_empty() {
                field.push('\n');
            }
            field.push_str(&text);
            return;
        }
        if entries > 0 && (generated || text.is_empty()) {
            // Its text is made from what it lists.
            for part in ["title", "code", "text"] {
                if let Some(part) = section.get(part) {
                    part.mark_all();
                }
            }
            return;
        }
        if text.is_empty() {
            return;
        }
        section.mark();
        if let Some(narrative) = section.get("text") {
            narrative.mark_all();
        }
        let title = section.text("title");
        let mut coded = match section.get("code") {
            Some(code) if title.is_empty() => coded_of(code),
            Some(code) => {
                Coded { text: String::new(), codes: code.each("coding").map(coding_of).collect() }
            }
            None => Coded::default(),
        };
        take_own(&mut coded, "section");
        if !title.is_empty() {
            title.clone_into(&mut coded.text);
        }
        self.others.push(Section { coded, text });
    }
}

fn coded_of(code: &Node<'_>) -> Coded {
    let mut coded = coded(code);
    // Our own mark is no name of the section.
    let first = coded.codes.first();
    if first.is_some_and(|c| c.system == own_system("section") && c.display == coded.text) {
        coded.text = String::new();
    }
    coded
}

fn peek_codes(code: &Node<'_>) -> Coded {
    let codes = code.peek_list("coding").iter().map(|coding| {
        let part = |name: &str| coding.peek_text(name).to_owned();
        crate::sharing::discharge::model::Code {
            system: part("system"),
            code: part("code"),
            display: part("display"),
        }
    });
    Coded { text: String::new(), codes: codes.collect() }
}

/// Who signed: attesters, and authors who did not.
pub(super) fn signatures(source: &Source<'_, '_>) -> Vec<Signature> {
    let Some(node) = source.composition else { return Vec::new() };
    let mut found = Vec::new();
    let mut known = HashSet::new();
    for attester in node.each("attester") {
        let role = match attester.text("mode") {
            "legal" => SignatureRole::Resident,
            "professional" => SignatureRole::Senior,
            _ => SignatureRole::Author,
        };
        let mut signature =
            Signature { role, signed: moment(attester, "time"), ..Signature::default() };
        if let Some(party) = attester.peek("party") {
            if let Some(target) = source.peek_field(attester, "party") {
                known.insert(std::ptr::from_ref(target));
            }
            person(source, party, node, &mut signature);
        }
        found.push(signature);
    }
    for author in node.peek_list("author") {
        if author
            .peek_list("extension")
            .iter()
            .any(|e| e.peek_text("url") == super::super::terms::DATA_ABSENT)
        {
            node.get("author");
            author.mark_all();
            continue;
        }
        let text = author.peek_text("reference");
        let target = match source.index.resolve(text, Some(node)) {
            super::super::references::Resolved::Found(target) => Some(target),
            super::super::references::Resolved::Missing
            | super::super::references::Resolved::Elsewhere => None,
        };
        if target.is_some_and(|target| known.contains(&std::ptr::from_ref(target))) {
            node.get("author");
            source.follow(author, node);
            continue;
        }
        let kind = target.map_or("", |target| target.peek_text("resourceType"));
        if matches!(kind, "Organization" | "Device") {
            let stay = source.encounter.and_then(|stay| source.peek_field(stay, "serviceProvider"));
            let same = |other: Option<&Node<'_>>| match (other, target) {
                (Some(other), Some(target)) => std::ptr::eq(other, target),
                _ => false,
            };
            if same(stay) || same(source.peek_field(node, "custodian")) {
                node.get("author");
                source.follow(author, node);
            }
            continue;
        }
        let mut signature = Signature::default();
        node.get("author");
        person(source, author, node, &mut signature);
        if !signature.name.is_empty() || !signature.number.is_empty() {
            found.push(signature);
        }
    }
    if let Some(custodian) = node.peek("custodian")
        && let Some(organization) = source.follow(custodian, node)
    {
        head(organization);
    }
    found
}

fn person<'n, 'a>(
    source: &Source<'n, 'a>,
    reference: &'n Node<'a>,
    from: &'n Node<'a>,
    signature: &mut Signature,
) {
    signature.name = source.name_of(reference, from);
    let Some(mut target) = source.embed(reference, from) else { return };
    if target.peek_text("resourceType") == "PractitionerRole" {
        match source.follow_field(target, "practitioner") {
            Some(practitioner) => target = practitioner,
            None => return,
        }
    }
    head(target);
    absent(target, "name");
    if let Some(number) = target.first("identifier") {
        number.text("value").clone_into(&mut signature.number);
    }
    if signature.name.is_empty() {
        signature.name = target.first("name").map(human_name).unwrap_or_default();
    }
}

/// Whether the composition is a discharge summary.
pub(super) fn is_discharge_summary(composition: &Node<'_>) -> bool {
    let Some(kind) = composition.peek("type") else { return false };
    let national = kind.peek_list("coding").iter().any(|coding| {
        coding.peek_text("code") == "C0053"
            && coding.peek_text("system") == "urn:oid:2.16.156.10011.2.4"
    });
    national || concept_codes(kind).any(|c| super::super::terms::DISCHARGE_SUMMARIES.contains(&c))
}
