//! Markup that is well formed whatever is put into it.

use std::fmt::Write as _;

/// Markup that is being written.
#[derive(Default)]
pub(super) struct Xml {
    out: String,
    open: Vec<&'static str>,
    /// Characters that XML 1.0 does not allow and that U+FFFD stands for now.
    pub(super) replaced: usize,
    /// Numbers that are none (not finite) and were left out.
    pub(super) not_numbers: usize,
    /// The last thing written was a start tag: its end goes on the same line.
    leaf: bool,
}

/// Attributes: those without a value are left out.
pub(super) type Attributes<'a> = [(&'static str, &'a str)];

impl Xml {
    /// The whole, with every element closed.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.out.push('\n');
        self.out
    }

    /// The XML declaration.
    pub(super) fn declaration(&mut self) {
        self.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    }

    /// A comment; `text` is ours.
    pub(super) fn comment(&mut self, text: &str) {
        self.line();
        let _ = write!(self.out, "<!-- {text} -->");
        self.leaf = false;
    }

    /// A start tag.
    pub(super) fn open(&mut self, name: &'static str, attributes: &Attributes<'_>) {
        self.tag(name, attributes);
        self.out.push('>');
        self.open.push(name);
        self.leaf = true;
    }

    /// The end tag of the innermost element.
    pub(super) fn close(&mut self) {
        let Some(name) = self.open.pop() else { return };
        if !self.leaf {
            self.line();
        }
        let _ = write!(self.out, "</{name}>");
        self.leaf = false;
    }

    /// Closes `count` elements.
    pub(super) fn close_all(&mut self, count: usize) {
        for _ in 0..count {
            self.close();
        }
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &'static str, attributes: &Attributes<'_>) {
        self.tag(name, attributes);
        self.out.push_str("/>");
        self.leaf = false;
    }

    /// An element with text in it.
    pub(super) fn text(&mut self, name: &'static str, attributes: &Attributes<'_>, text: &str) {
        if text.is_empty() {
            self.empty(name, attributes);
            return;
        }
        self.tag(name, attributes);
        self.out.push('>');
        self.escaped(text, false);
        let _ = write!(self.out, "</{name}>");
        self.leaf = false;
    }

    /// An element with text in it, if there is any.
    pub(super) fn text_if(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.text(name, &[], text);
        }
    }

    fn tag(&mut self, name: &'static str, attributes: &Attributes<'_>) {
        self.line();
        let _ = write!(self.out, "<{name}");
        for (attribute, value) in attributes {
            if !value.is_empty() {
                let _ = write!(self.out, " {attribute}=\"");
                self.escaped(value, true);
                self.out.push('"');
            }
        }
    }

    fn line(&mut self) {
        self.out.push('\n');
        for _ in 0..self.open.len() {
            self.out.push_str("  ");
        }
    }

    fn escaped(&mut self, text: &str, attribute: bool) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' if attribute => self.out.push_str("&quot;"),
                '\n' if attribute => self.out.push_str("&#10;"),
                '\t' if attribute => self.out.push_str("&#9;"),
                // A parser makes line ends of it otherwise.
                '\r' => self.out.push_str("&#13;"),
                c if is_allowed(c) => self.out.push(c),
                _ => {
                    self.out.push('\u{fffd}');
                    self.replaced += 1;
                }
            }
        }
    }
}

/// Whether XML 1.0 has it (production 2, `Char`).
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
