//! HL7 data types to those of the model. Whatever is read is marked as read.

use super::super::model::{Code, Coded, Quantity};
use super::super::moment::Moment;
use super::narrative;
use super::systems;
use super::xml::{Element, Reading, XSI, at, attribute, child, children, is_null};
use crate::sharing::discharge::problems::Severity;

impl<'d> Reading<'d> {
    /// The text of an element, taken.
    pub(super) fn text(&self, node: Element<'d>) -> String {
        self.take(node);
        narrative::text_of(self, node)
    }

    /// The text of the child of that name.
    pub(super) fn child_text(&self, node: Element<'d>, name: &'static str) -> String {
        child(node, name).map(|child| self.text(child)).unwrap_or_default()
    }

    /// A person's or organisation's name: its text, or its parts in order.
    pub(super) fn name(&self, node: Element<'d>) -> String {
        self.take(node);
        let mut name = String::new();
        for part in node.descendants().filter(roxmltree::Node::is_text) {
            let mut words = part.text().unwrap_or_default().split_whitespace();
            let Some(first) = words.next() else { continue };
            // 姓 and 名 are written without a space.
            let joined = name.chars().next_back().is_some_and(is_han)
                && first.chars().next().is_some_and(is_han);
            if !name.is_empty() && !joined {
                name.push(' ');
            }
            name.push_str(first);
            for word in words {
                name.push(' ');
                name.push_str(word);
            }
        }
        if matches!(name.as_str(), "/" | "-" | "--") { String::new() } else { name }
    }

    /// Name of the child `name`.
    pub(super) fn child_name(&self, node: Element<'d>) -> String {
        child(node, "name").map(|name| self.name(name)).unwrap_or_default()
    }

    /// CD, CE and CV: codes, and the sender's own words.
    pub(super) fn coded(&self, node: Element<'d>) -> Coded {
        self.take(node);
        let mut codes = Vec::new();
        let mut display = "";
        for part in std::iter::once(node).chain(children(node, "translation")) {
            let mut code = attribute(part, "code").to_owned();
            let shown = attribute(part, "displayName");
            if display.is_empty() {
                display = shown;
            }
            if code.is_empty() && part != node {
                // A code that the schema does not let be one, see `write`.
                code = self.child_text(part, "originalText");
            }
            if !code.is_empty() {
                let system =
                    systems::uri(attribute(part, "codeSystem"), attribute(part, "codeSystemName"));
                codes.push(Code { system, code, display: shown.to_owned() });
            }
        }
        let mut text = self.child_text(node, "originalText");
        if text.is_empty() {
            node.text().map_or("", str::trim).clone_into(&mut text);
        }
        if text.is_empty() {
            let first = codes.first().map_or("", |code: &Code| code.display.as_str());
            let shown = if first.is_empty() { display } else { first };
            shown.clone_into(&mut text);
        }
        Coded { text, codes }
    }

    /// The words of something coded, for which the model has no codes: those are listed as unplaced,
    /// unless the words are the code.
    pub(super) fn words(&self, node: Element<'d>) -> String {
        let coded = self.coded(node);
        let mut each = coded.codes.into_iter();
        let words = match (coded.text.is_empty(), each.next()) {
            (true, Some(first)) => first.code,
            (false, Some(_)) => {
                self.take_words(node);
                coded.text
            }
            (_, None) => coded.text,
        };
        if each.next().is_some() {
            self.take_words(node);
        }
        words
    }

    /// The words of the child `name`.
    pub(super) fn child_words(&self, node: Element<'d>, name: &'static str) -> String {
        child(node, name).map(|child| self.words(child)).unwrap_or_default()
    }

    /// The child `name` if it says anything.
    pub(super) fn child_coded(&self, node: Element<'d>, name: &'static str) -> Option<Coded> {
        let coded = self.coded(child(node, name)?);
        (!coded.is_empty()).then_some(coded)
    }

    /// Warns where the code of `node` is of another system than the Chinese standards want.
    pub(super) fn expect_system(&self, node: Element<'d>, system: &str, called: &str) {
        let has_code = !attribute(node, "code").is_empty();
        if has_code
            && !self.is_ccda()
            && !system.is_empty()
            && attribute(node, "codeSystem") != system
        {
            let message = format!("{called}的代码体系应为{system}");
            self.warn(node, "code_system_wrong", message);
        }
    }

    /// PQ, INT and REAL.
    pub(super) fn quantity(&self, node: Element<'d>) -> Option<Quantity> {
        self.take(node);
        let text = attribute(node, "value");
        if text.is_empty() {
            return None;
        }
        let unit = match attribute(node, "unit") {
            "" => at(node, &["translation", "originalText"])
                .map(|unit| narrative::text_of(self, unit))
                .unwrap_or_default(),
            unit => unit.to_owned(),
        };
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Some(Quantity { value, unit }),
            Ok(_) | Err(_) => {
                self.warn(node, "number_malformed", "value不是数");
                None
            }
        }
    }

    /// A TS that the record needs: what does not exist is fatal.
    pub(super) fn moment(&self, node: Element<'d>) -> Option<Moment> {
        self.moment_or(node, Severity::Fatal)
    }

    /// A TS of an entry: in C-CDA one that does not exist is told and left out.
    pub(super) fn entry_moment(&self, node: Element<'d>) -> Option<Moment> {
        let severity = if self.is_ccda() { Severity::Warning } else { Severity::Fatal };
        self.moment_or(node, severity)
    }

    fn moment_or(&self, node: Element<'d>, severity: Severity) -> Option<Moment> {
        self.enter(node);
        let text = attribute(node, "value");
        if text.is_empty() {
            return None;
        }
        let moment = Moment::hl7(text).ok();
        if moment.is_none() {
            let message = "日期时间不存在或写法不对；应为YYYYMMDD或YYYYMMDDhhmmss";
            self.say(severity, node, "date_impossible", message);
        }
        moment
    }

    /// The beginning of a time: its value, low or center.
    pub(super) fn beginning(&self, node: Element<'d>) -> Option<Moment> {
        let point = self.entry_moment(node);
        let bound = |name| child(node, name).and_then(|part| self.entry_moment(part));
        let low = bound("low");
        point.or(low).or_else(|| bound("center"))
    }

    /// The `effectiveTime` child's beginning.
    pub(super) fn time(&self, node: Element<'d>) -> Option<Moment> {
        child(node, "effectiveTime").and_then(|time| self.beginning(time))
    }
}

/// Whether it is a Chinese character (also those outside the basic plane).
fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The local part of `xsi:type`.
pub(super) fn type_of(node: Element<'_>) -> &str {
    let name = node.attribute((XSI, "type")).unwrap_or_default().trim();
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// An II: root, extension and who assigned it; none if it says nothing.
pub(super) fn identifier(node: Element<'_>) -> Option<(&str, &str, &str)> {
    let (root, extension) = (attribute(node, "root"), attribute(node, "extension"));
    let empty = is_null(node) || (root.is_empty() && extension.is_empty());
    (!empty).then(|| (root, extension, attribute(node, "assigningAuthorityName")))
}
