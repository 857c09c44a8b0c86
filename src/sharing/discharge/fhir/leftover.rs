//! Everything of a document that was not read into the record, by path and name, never by content.
//! What recurs is told once, with its number.

use std::collections::HashMap;

use super::UNPLACED_MAX;
use super::json::{Field, Node, Value};
use super::path::{Path, plain};
use crate::sharing::discharge::problems::Unplaced;

/// What was not read.
#[derive(Default)]
pub(super) struct Leftover {
    found: Vec<Kind>,
    by_key: HashMap<String, usize>,
    more: usize,
}

struct Kind {
    first: String,
    folded: String,
    what: String,
    count: usize,
}

impl Leftover {
    /// A resource of which nothing was read.
    pub(super) fn resource(&mut self, path: &Path<'_>, resource: &Node<'_>, why: &str) {
        let mut what = String::new();
        plain(resource.peek_text("resourceType"), &mut what);
        if !why.is_empty() {
            what.extend(["（", why, "）"]);
        }
        let mut kind = String::new();
        plain(resource.peek_text("resourceType"), &mut kind);
        self.add(path, &kind, what);
    }

    /// Everything unread in something that was read; `kind` is the resource's type.
    pub(super) fn within(&mut self, path: &Path<'_>, node: &Node<'_>, kind: &str) {
        match &node.value {
            Value::Object(fields) => {
                for field in fields {
                    self.field(path, field, kind);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if !matches!(item.value, Value::Null) {
                        self.node(&path.index(index), item, kind, "");
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number { .. } | Value::Text(_) => {}
        }
    }

    /// Everything unread in a field of what is at `path`.
    pub(super) fn field(&mut self, path: &Path<'_>, field: &Field<'_>, kind: &str) {
        if matches!(&*field.name, "extension" | "modifierExtension") {
            self.extensions(path, &field.node, kind);
        } else {
            self.node(&path.name(&field.name), &field.node, kind, &field.name);
        }
    }

    fn node(&mut self, path: &Path<'_>, node: &Node<'_>, kind: &str, name: &str) {
        if node.is_used() {
            self.within(path, node, kind);
        } else if matches!(node.value, Value::List(_)) {
            // A list is lost item by item, or a second one could hide behind the first.
            for (index, _) in node.items().iter().enumerate() {
                self.lost(&path.index(index), kind, name);
            }
        } else {
            self.lost(path, kind, name);
        }
    }

    fn lost(&mut self, path: &Path<'_>, kind: &str, name: &str) {
        let mut what = String::new();
        if name.is_empty() {
            // An item of a list of which others were read: its path names it.
            let folded = path.render_folded();
            plain(folded.rsplit('.').next().unwrap_or_default(), &mut what);
        } else {
            plain(name, &mut what);
        }
        self.add(path, kind, what);
    }

    fn extensions(&mut self, path: &Path<'_>, list: &Node<'_>, kind: &str) {
        for item in list.items() {
            let here = path.extension(item.peek_text("url"));
            if item.is_used() {
                self.within(&here, item, kind);
            } else {
                self.add(&here, kind, "extension".to_owned());
            }
        }
    }

    fn add(&mut self, path: &Path<'_>, kind: &str, what: String) {
        let folded = path.render_folded();
        let key = format!("{kind} {folded} {what}");
        if let Some(kind) = self.by_key.get(&key).and_then(|&at| self.found.get_mut(at)) {
            kind.count += 1;
            return;
        }
        if self.found.len() >= UNPLACED_MAX {
            self.more += 1;
            return;
        }
        self.by_key.insert(key, self.found.len());
        let folded = match folded.strip_prefix("Bundle.entry.resource") {
            Some(rest) if !kind.is_empty() => {
                format!("Bundle.entry.resource.ofType({kind}){rest}")
            }
            _ => folded,
        };
        self.found.push(Kind { first: path.render(), folded, what, count: 1 });
    }

    /// All of it, each kind once.
    pub(super) fn finish(self) -> Vec<Unplaced> {
        let mut all: Vec<Unplaced> = self
            .found
            .into_iter()
            .map(|kind| match kind.count {
                1 => Unplaced { path: kind.first, what: kind.what },
                count => Unplaced { path: kind.folded, what: format!("{} ×{count}", kind.what) },
            })
            .collect();
        if self.more > 0 {
            let what = format!("另有 {} 处", self.more);
            all.push(Unplaced { path: "/".to_owned(), what });
        }
        all
    }
}
