//! A parsed document as it is read: HL7 elements by name, paths with positions, the problems found,
//! and which elements something has been read from, so that the rest can be listed.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;

use roxmltree::{Document, Node, ParsingOptions};

use super::super::problems::{Format, Problem, Severity, Unplaced};
use super::guard;

/// The namespace of CDA.
pub(super) const HL7: &str = "urn:hl7-org:v3";
/// The namespace of `xsi:type`.
pub(super) const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// Problems listed at most; one more line says that there are others.
const PROBLEMS_MAX: usize = 500;

/// Elements without a place listed at most; one more line says how many others there are.
const UNPLACED_MAX: usize = 5_000;
/// Bytes of narrative that references are followed through in one document at most. What entries
/// refer to is a word or a row; a thousand references to the whole text are an attack.
const REFERRED_BYTES_MAX: usize = 4 << 20;

/// Elements that only say how a document is built.
const STRUCTURE: &[&str] = &[
    "realmCode",
    "typeId",
    "templateId",
    "signatureCode",
    "confidentialityCode",
    "sequenceNumber",
    "seperatableInd",
    "awarenessCode",
];

/// Attributes that by themselves say nothing about a patient.
const STRUCTURAL_ATTRIBUTES: &[&str] = &[
    "nullFlavor",
    "classCode",
    "moodCode",
    "typeCode",
    "contextControlCode",
    "determinerCode",
    "contextConductionInd",
    "inversionInd",
    "negationInd",
    "root",
    "codeSystem",
    "codeSystemName",
    "codeSystemVersion",
    "use",
    "unit",
    "operator",
    "institutionSpecified",
    "mediaType",
    "type",
    "assigningAuthorityName",
    "inclusive",
];

/// An element.
pub(super) type Element<'d> = Node<'d, 'd>;

/// Markup to a tree, within limits.
pub(super) fn parse(text: &str) -> Result<Document<'_>, Problem> {
    guard::check(text).map_err(|refused| {
        let (line, column) = position(text, refused.at);
        let message = format!("第{line}行第{column}列：{}", refused.message);
        Problem::fatal("/", refused.code, message)
    })?;
    let limit = u32::try_from(guard::ELEMENTS_MAX * 3).unwrap_or(u32::MAX);
    let options = ParsingOptions { allow_dtd: false, nodes_limit: limit, ..Default::default() };
    Document::parse_with_options(text, options).map_err(|error| {
        let at = error.pos();
        let (code, reason) = reason(&error);
        // Of a document that ends too early the parser names no place, or its beginning.
        let (mut row, mut col) = (at.row, at.col);
        if ends_too_early(&error) {
            let (line, column) = position(text, text.trim_end().len());
            row = u32::try_from(line).unwrap_or(u32::MAX);
            col = u32::try_from(column).unwrap_or(u32::MAX);
        }
        let message = format!("第{row}行第{col}列：{reason}");
        Problem::fatal("/", code, message)
    })
}

fn ends_too_early(error: &roxmltree::Error) -> bool {
    matches!(error, roxmltree::Error::UnclosedRootNode | roxmltree::Error::UnexpectedEndOfStream)
}

/// What the parser found wrong, without repeating what the document says.
fn reason(error: &roxmltree::Error) -> (&'static str, &'static str) {
    use roxmltree::Error;
    if matches!(error, Error::DtdDetected) {
        return ("xml_dtd", "不允许文档类型声明（DTD）和实体定义");
    }
    if matches!(error, Error::UnknownEntityReference(..) | Error::MalformedEntityReference(_)) {
        return ("xml_entity", "引用了没有定义的实体，或&没有写成&amp;");
    }
    if matches!(error, Error::NodesLimitReached | Error::AttributesLimitReached) {
        return ("xml_too_large", "元素或属性太多");
    }
    let reason = if ends_too_early(error) {
        "不是格式良好的XML：文档不完整，到此中断，有元素没有结束标签"
    } else if matches!(error, Error::UnexpectedCloseTag(..)) {
        "不是格式良好的XML：开始与结束标签不相配"
    } else if matches!(error, Error::NonXmlChar(..)) {
        "不是格式良好的XML：有XML不允许的字符"
    } else if matches!(error, Error::UnknownNamespace(..)) {
        "不是格式良好的XML：命名空间前缀没有声明"
    } else if matches!(error, Error::DuplicatedAttribute(..)) {
        "不是格式良好的XML：属性重复"
    } else {
        "不是格式良好的XML"
    };
    ("xml_malformed", reason)
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

/// What has been looked at of an element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Untouched,
    /// Something within it was read.
    Entered,
    /// Read with all that is in it.
    Whole,
    /// Its words were read, and its codes have no place.
    Words,
}

/// A document while it is read.
pub(super) struct Reading<'d> {
    document: &'d Document<'d>,
    /// What it was recognised as.
    pub(super) format: Cell<Option<Format>>,
    marks: RefCell<Vec<Mark>>,
    problems: RefCell<Vec<Problem>>,
    unlisted: Cell<Option<Severity>>,
    positions: OnceCell<Vec<u32>>,
    by_id: OnceCell<HashMap<&'d str, Element<'d>>>,
    referred_left: Cell<usize>,
}

impl<'d> Reading<'d> {
    pub(super) fn new(document: &'d Document<'d>) -> Self {
        let nodes = document.descendants().count();
        Self {
            document,
            format: Cell::new(None),
            marks: RefCell::new(vec![Mark::Untouched; nodes]),
            problems: RefCell::default(),
            unlisted: Cell::new(None),
            positions: OnceCell::new(),
            by_id: OnceCell::new(),
            referred_left: Cell::new(REFERRED_BYTES_MAX),
        }
    }

    /// Whether it is C-CDA, of which as much is read as can be.
    pub(super) fn is_ccda(&self) -> bool {
        self.format.get() == Some(Format::Ccda)
    }

    pub(super) fn root(&self) -> Element<'d> {
        self.document.root_element()
    }

    /// Something within `node` was read.
    pub(super) fn enter(&self, node: Element<'d>) {
        self.mark(node, Mark::Entered);
    }

    /// All of `node` was read.
    pub(super) fn take(&self, node: Element<'d>) {
        self.mark(node, Mark::Whole);
    }

    /// Of `node` the words were read, and not the codes.
    pub(super) fn take_words(&self, node: Element<'d>) {
        if let Some(of) = self.marks.borrow_mut().get_mut(node.id().get_usize()) {
            *of = Mark::Words;
        }
    }

    fn mark(&self, node: Element<'d>, mark: Mark) {
        let mut marks = self.marks.borrow_mut();
        if let Some(of) = marks.get_mut(node.id().get_usize())
            && !matches!(*of, Mark::Whole | Mark::Words)
        {
            *of = mark;
        }
        let mut above = node.parent();
        while let Some(parent) = above {
            match marks.get_mut(parent.id().get_usize()) {
                Some(of) if *of == Mark::Untouched => *of = Mark::Entered,
                _ => break,
            }
            above = parent.parent();
        }
    }

    /// Says that something is wrong at `node`.
    pub(super) fn say(
        &self,
        severity: Severity,
        node: Element<'d>,
        code: &str,
        message: impl Into<String>,
    ) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() >= PROBLEMS_MAX {
            self.unlisted.set(self.unlisted.get().max(Some(severity)));
            return;
        }
        problems.push(Problem::new(severity, self.path(node), code, message));
    }

    pub(super) fn warn(&self, node: Element<'d>, code: &str, message: impl Into<String>) {
        self.say(Severity::Warning, node, code, message);
    }

    pub(super) fn fatal(&self, node: Element<'d>, code: &str, message: impl Into<String>) {
        self.say(Severity::Fatal, node, code, message);
    }

    /// Everything found wrong.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.borrow().clone();
        if let Some(severity) = self.unlisted.get() {
            let message = format!("问题超过{PROBLEMS_MAX}个，其余未列出");
            problems.push(Problem::new(severity, "/", "too_many_problems", message));
        }
        problems
    }

    /// The narrative element that `#id` points at.
    pub(super) fn referred(&self, reference: &str) -> Option<Element<'d>> {
        let id = reference.trim().strip_prefix('#')?;
        let all = self.by_id.get_or_init(|| {
            let elements = self.document.descendants().filter(Node::is_element);
            elements.filter_map(|node| node.attribute("ID").map(|id| (id, node))).collect()
        });
        let target = all.get(id).copied()?;
        let Some(left) = self.referred_left.get().checked_sub(target.range().len()) else {
            self.warn(target, "reference_too_large", "所引用的正文太多，未全部跟随");
            return None;
        };
        self.referred_left.set(left);
        Some(target)
    }

    /// `XPath` of an element; positions where a name stands more than once.
    pub(super) fn path(&self, node: Element<'d>) -> String {
        let mut steps: Vec<String> = Vec::new();
        let mut at = Some(node);
        while let Some(element) = at.filter(Node::is_element) {
            steps.push(self.step(element));
            at = element.parent();
        }
        let mut path = String::new();
        for step in steps.iter().rev() {
            path.push('/');
            path.push_str(step);
        }
        if path.is_empty() { "/".to_owned() } else { path }
    }

    fn step(&self, node: Element<'d>) -> String {
        let positions = self.positions.get_or_init(|| positions(self.document));
        match positions.get(node.id().get_usize()) {
            Some(0) | None => node.tag_name().name().to_owned(),
            Some(at) => format!("{}[{at}]", node.tag_name().name()),
        }
    }

    /// The elements from which nothing was read although they say something.
    pub(super) fn unplaced(&self) -> Vec<Unplaced> {
        let mut out = Vec::new();
        let marks = self.marks.borrow();
        let mut more = 0_usize;
        let mut open = vec![(self.root(), false)];
        while let Some((node, in_body)) = open.pop() {
            let mark = marks.get(node.id().get_usize()).copied().unwrap_or(Mark::Untouched);
            let name = node.tag_name().name();
            // What identifies an entry says nothing about a patient; an id of the header may.
            if mark == Mark::Whole || is_structure(node) || (in_body && name == "id") {
                continue;
            }
            let in_body = in_body || name == "structuredBody";
            if mark == Mark::Entered {
                let children: Vec<_> = node.children().filter(Node::is_element).collect();
                open.extend(children.into_iter().rev().map(|child| (child, in_body)));
            } else if mark == Mark::Words || says_something(node) {
                if out.len() < UNPLACED_MAX {
                    out.push(Unplaced { path: self.path(node), what: name.to_owned() });
                } else {
                    more += 1;
                }
            }
        }
        if more > 0 {
            out.push(Unplaced { path: "/".to_owned(), what: format!("{more} more elements") });
        }
        out
    }
}

/// Whether an element only says how a document is built, or a status that is the ordinary one: that
/// something goes on or was done.
fn is_structure(node: Element<'_>) -> bool {
    let name = node.tag_name().name();
    STRUCTURE.contains(&name)
        || (name == "statusCode" && matches!(attribute(node, "code"), "" | "active" | "completed"))
}

/// Whether there is any text or telling attribute in `node`.
fn says_something(node: Element<'_>) -> bool {
    // A reference to the narrative repeats what the section's text says.
    let within =
        |part: &Node<'_, '_>| part.attribute("value").is_some_and(|to| to.starts_with('#'));
    node.descendants().any(|part| match part.node_type() {
        roxmltree::NodeType::Text => part.text().is_some_and(|text| !text.trim().is_empty()),
        roxmltree::NodeType::Element => {
            !is_structure(part)
                && !within(&part)
                && part.attributes().any(|attribute| {
                    !attribute.value().trim().is_empty()
                        && !STRUCTURAL_ATTRIBUTES.contains(&attribute.name())
                })
        }
        roxmltree::NodeType::Root | roxmltree::NodeType::PI | roxmltree::NodeType::Comment => false,
    })
}

/// For each element its place among those of its name, 0 where it is the only one.
fn positions(document: &Document<'_>) -> Vec<u32> {
    let mut out = vec![0; document.descendants().count()];
    for parent in document.descendants().filter(Node::has_children) {
        let mut counts: HashMap<&str, (u32, u32)> = HashMap::new();
        for child in parent.children().filter(Node::is_element) {
            counts.entry(child.tag_name().name()).or_default().0 += 1;
        }
        for child in parent.children().filter(Node::is_element) {
            let Some((total, seen)) = counts.get_mut(child.tag_name().name()) else { continue };
            *seen += 1;
            if *total > 1
                && let Some(place) = out.get_mut(child.id().get_usize())
            {
                *place = *seen;
            }
        }
    }
    out
}

/// The HL7 element children of that name.
pub(super) fn children<'d>(
    node: Element<'d>,
    name: &'static str,
) -> impl Iterator<Item = Element<'d>> {
    node.children().filter(move |child| is(*child, name))
}

/// The first of them.
pub(super) fn child<'d>(node: Element<'d>, name: &'static str) -> Option<Element<'d>> {
    children(node, name).next()
}

/// The first element at the end of these steps.
pub(super) fn at<'d>(node: Element<'d>, steps: &[&'static str]) -> Option<Element<'d>> {
    steps.iter().try_fold(node, |node, step| child(node, step))
}

/// Whether it is the HL7 element of that name.
pub(super) fn is(node: Element<'_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name && node.tag_name().namespace() == Some(HL7)
}

/// An attribute without white space around it; empty where there is none, or a stroke that stands
/// for nothing.
pub(super) fn attribute<'d>(node: Element<'d>, name: &str) -> &'d str {
    let value = node.attribute(name).map_or("", str::trim);
    if matches!(value, "/" | "-" | "--" | "null" | "NULL") { "" } else { value }
}

/// Whether it says that there is nothing.
pub(super) fn is_null(node: Element<'_>) -> bool {
    node.attribute("nullFlavor").is_some()
}
