//! Narrative as text, and text as narrative.

/// Elements after which a line ends.
const BLOCKS: &[&str] = &[
    "blockquote",
    "caption",
    "dd",
    "div",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "tr",
    "ul",
];

/// What a narrative says, without its markup. Any text is read; nothing in it is carried out.
pub(super) fn strip(xhtml: &str) -> String {
    let mut text = Plain::default();
    let mut rest = xhtml;
    let mut skipping: Option<&str> = None;
    while let Some(at) = rest.find('<') {
        let (words, tag) = rest.split_at_checked(at).unwrap_or((rest, ""));
        if skipping.is_none() {
            text.push(words);
        }
        if let Some(comment) = tag.strip_prefix("<!--") {
            rest = comment.find("-->").and_then(|end| comment.get(end + 3..)).unwrap_or_default();
            continue;
        }
        let end = tag.find('>');
        let inner = tag.get(1..end.unwrap_or(tag.len())).unwrap_or_default();
        rest = end.and_then(|end| tag.get(end + 1..)).unwrap_or_default();
        let closing = inner.starts_with('/');
        let inner = inner.trim_start_matches('/');
        let name = inner.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        match skipping {
            Some(skipped) if closing && name == skipped => skipping = None,
            Some(_) => {}
            None if matches!(name, "script" | "style") && !closing && !inner.ends_with('/') => {
                skipping = Some(name);
            }
            None => text.tag(name, closing),
        }
    }
    if skipping.is_none() {
        text.push(rest);
    }
    text.finish()
}

/// Text as a narrative that [`strip`] gives back as it is.
pub(super) fn narrative(text: &str) -> String {
    const NAMESPACE: &str = "http://www.w3.org/1999/xhtml";
    let escaped = escape(text);
    let lines = escaped.replace('\n', "<br/>");
    let plain = format!("<div xmlns=\"{NAMESPACE}\">{lines}</div>");
    if strip(&plain) == text {
        return plain;
    }
    format!("<div xmlns=\"{NAMESPACE}\"><pre>{escaped}</pre></div>")
}

/// Text within markup.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\r' => escaped.push_str("&#13;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[derive(Default)]
struct Plain {
    text: String,
    /// How many `<pre>` are open.
    kept: usize,
    /// A space, or the end of a line, is due before what comes next.
    space: bool,
    line: bool,
}

impl Plain {
    fn push(&mut self, words: &str) {
        let decoded = decode(words);
        if self.kept > 0 {
            if !decoded.is_empty() {
                self.due();
                self.text.push_str(&decoded);
            }
            return;
        }
        for c in decoded.chars() {
            if matches!(c, ' ' | '\t' | '\n' | '\r') {
                self.space = true;
            } else {
                self.due();
                self.text.push(c);
            }
        }
    }

    fn due(&mut self) {
        if self.line && !self.text.is_empty() {
            if !self.text.ends_with('\n') {
                self.text.push('\n');
            }
        } else if self.space
            && !self.text.is_empty()
            && !self.text.ends_with('\n')
            && self.kept == 0
        {
            self.text.push(' ');
        }
        (self.space, self.line) = (false, false);
    }

    fn tag(&mut self, name: &str, closing: bool) {
        match name {
            "pre" if closing => self.kept = self.kept.saturating_sub(1),
            "pre" => {
                self.line = true;
                self.kept += 1;
            }
            "br" => {
                self.due();
                self.text.push('\n');
            }
            "td" | "th" if closing => self.space = true,
            name if BLOCKS.contains(&name) => self.line = true,
            _ => {}
        }
    }

    fn finish(self) -> String {
        self.text
    }
}

/// Character references as characters.
fn decode(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        text.push_str(before);
        // No reference is longer than this.
        let end = from.bytes().take(12).position(|byte| byte == b';');
        if let Some((c, end)) = end.and_then(|end| Some((entity(from.get(1..end)?)?, end))) {
            text.push(c);
            rest = from.get(end + 1..).unwrap_or_default();
        } else {
            text.push('&');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    text.push_str(rest);
    text
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}
