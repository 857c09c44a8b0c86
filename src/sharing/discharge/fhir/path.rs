//! Where in a document something is, as `FHIRPath`, and the list of what is wrong.

use super::{NAME_CHARS_MAX, PROBLEMS_MAX};
use crate::sharing::discharge::problems::{Problem, Severity};

/// A place; written out only when there is something to say about it.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Name(&'p str),
    Index(usize),
    Extension(&'p str),
}

impl<'p> Path<'p> {
    /// Where a document begins.
    pub(super) fn root(name: &'p str) -> Self {
        Self { parent: None, step: Step::Name(name) }
    }

    /// An element of what is here.
    pub(super) fn name(&'p self, name: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Name(name) }
    }

    /// An item of the list that is here, from 0.
    pub(super) fn index(&'p self, index: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// The extensions with this URL of what is here.
    pub(super) fn extension(&'p self, url: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Extension(url) }
    }

    /// As `FHIRPath`.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, true);
        text
    }

    /// As `FHIRPath` for all places that differ from this one in their indexes alone.
    pub(super) fn render_folded(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, false);
        text
    }

    fn write(&self, text: &mut String, indexes: bool) {
        if let Some(parent) = self.parent {
            parent.write(text, indexes);
        }
        match self.step {
            Step::Name(name) => {
                if self.parent.is_some() {
                    text.push('.');
                }
                plain(name, text);
            }
            Step::Index(index) if indexes => text.extend(["[", &index.to_string(), "]"]),
            Step::Index(_) => {}
            Step::Extension(url) => {
                text.push_str(".extension('");
                plain(url, text);
                text.push_str("')");
            }
        }
    }
}

/// A name as it may stand in a path: short, and without what a sender might smuggle in.
pub(super) fn plain(name: &str, text: &mut String) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-./:#()[]".contains(c);
    text.extend(name.chars().take(NAME_CHARS_MAX).map(|c| if allowed(c) { c } else { '?' }));
}

/// What is wrong, up to a number.
#[derive(Default)]
pub(super) struct Report {
    /// What was found.
    pub(super) problems: Vec<Problem>,
    more: usize,
    fatal: bool,
}

impl Report {
    /// Goes on from what was found already, none of it fatal.
    pub(super) fn of(problems: Vec<Problem>) -> Self {
        Self { problems, ..Self::default() }
    }

    /// Adds a problem.
    pub(super) fn add(
        &mut self,
        severity: Severity,
        path: &Path<'_>,
        code: &str,
        message: impl Into<String>,
    ) {
        self.fatal |= severity == Severity::Fatal;
        if self.problems.len() >= PROBLEMS_MAX {
            self.more += 1;
        } else {
            self.problems.push(Problem::new(severity, path.render(), code, message));
        }
    }

    /// Whether the document is refused.
    pub(super) fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// Everything that is wrong.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        if self.more > 0 {
            let severity = if self.fatal { Severity::Fatal } else { Severity::Warning };
            let message = format!("问题太多，另有 {} 个未列出", self.more);
            self.problems.push(Problem::new(severity, "/", "problems_more", message));
        }
        self.problems
    }
}
