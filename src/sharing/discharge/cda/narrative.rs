//! The text of a section without its markup: a line for each paragraph, item and row.

use super::xml::{Element, Reading};

/// What separates the cells of a row.
const CELL: &str = " | ";

/// Elements of the narrative block after which a line ends.
const LINES: &[&str] = &["paragraph", "item", "tr", "caption", "table", "list", "text", "title"];

/// The text of `node`: white space is collapsed, empty lines are left out.
pub(super) fn flatten(node: Element<'_>) -> String {
    let mut raw = String::new();
    collect(node, &mut raw);
    let mut out = String::with_capacity(raw.len());
    for line in raw.split('\n') {
        let start = out.len();
        for word in line.split_whitespace() {
            if out.len() > start {
                out.push(' ');
            } else if start > 0 {
                out.push('\n');
            }
            out.push_str(word);
        }
        // A row of empty cells says nothing.
        let said = out.get(start..).unwrap_or_default();
        if said.chars().all(|c| c.is_whitespace() || c == '|') {
            out.truncate(start);
        }
    }
    out
}

/// Depth is bounded by the guard.
fn collect(node: Element<'_>, out: &mut String) {
    for child in node.children() {
        if child.is_text() {
            // Line breaks of the markup are white space; `br` is a line.
            out.extend(child.text().unwrap_or_default().chars().map(|c| match c {
                '\n' | '\r' | '\t' => ' ',
                other => other,
            }));
        } else if child.is_element() {
            let name = child.tag_name().name();
            if matches!(name, "td" | "th") && child.prev_sibling_element().is_some() {
                out.push_str(CELL);
            }
            if LINES.contains(&name) || name == "br" {
                out.push('\n');
            }
            collect(child, out);
            if LINES.contains(&name) {
                out.push('\n');
            }
        }
    }
}

/// The text of an ED or ST element: its own, or what its `reference` points at.
pub(super) fn text_of<'d>(reading: &Reading<'d>, node: Element<'d>) -> String {
    let mut own = String::new();
    for child in node.children().filter(roxmltree::Node::is_text) {
        own.push_str(child.text().unwrap_or_default());
    }
    let trimmed = own.trim();
    if !trimmed.is_empty() {
        return trimmed.to_owned();
    }
    let said = node.attribute("value").map_or("", str::trim);
    if !said.is_empty() {
        return said.to_owned();
    }
    let Some(reference) = super::xml::child(node, "reference") else { return String::new() };
    let target = reference.attribute("value").and_then(|value| reading.referred(value));
    target.map(flatten).unwrap_or_default()
}
