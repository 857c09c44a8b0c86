//! Where a report goes: the terminal, JSON, a page.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::benchmark::report::Report;
use crate::benchmark::require::{self, Held};
use crate::benchmark::{html, text};
use crate::cli::say;

/// Name of the files in a folder.
const STEM: &str = "bench";

/// Files to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    json: PathBuf,
    html: PathBuf,
}

impl Output {
    /// A file that ends in `.json` or `.html` and the other beside it, or else a folder. Its folder is
    /// made, and tried, so that a long run does not end in a place that cannot be written.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        let is_file = matches!(end, "json" | "html");
        let output = if is_file {
            Self { json: path.with_extension("json"), html: path.with_extension("html") }
        } else {
            let at = |end: &str| path.join(STEM).with_extension(end);
            Self { json: at("json"), html: at("html") }
        };
        let folder = output.json.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let named = |error: std::io::Error| format!("--out {}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(named)?;
        tempfile::tempfile_in(folder).map_err(named)?;
        Ok(output)
    }

    /// Writes both, and tells their names.
    pub(super) fn write(&self, report: &Report, held: &[Held]) -> Result<Vec<PathBuf>, Failure> {
        let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        for (path, bytes) in
            [(&self.json, report.to_json()?), (&self.html, html::page(report, held))]
        {
            std::fs::write(path, bytes).map_err(|error| named(path, error))?;
        }
        Ok(vec![self.json.clone(), self.html.clone()])
    }
}

/// Prints a report, and what a site asks for.
pub(super) fn show(
    report: &Report,
    held: &[Held],
    as_json: bool,
    files: &[PathBuf],
) -> Result<(), Failure> {
    if as_json {
        say(&report.to_json()?)?;
    } else {
        say(&text::report(report))?;
    }
    let mut out = String::new();
    if !held.is_empty() {
        out.push_str(&require::to_text(held));
    }
    for path in files {
        let _ = writeln!(out, "{}", path.display());
    }
    if as_json {
        // Standard output is the report alone; nothing is left to do when standard error is closed.
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), out.as_bytes());
        return Ok(());
    }
    say(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_other_beside_it_and_a_folder_has_both() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let json = Output::new(&at("a/box.json")).unwrap();
        assert_eq!((json.json, json.html), (at("a/box.json"), at("a/box.html")));
        let html = Output::new(&at("box.html")).unwrap();
        assert_eq!(html.json, at("box.json"));
        let both = Output::new(&at("out.d")).unwrap();
        assert_eq!((both.json, both.html), (at("out.d/bench.json"), at("out.d/bench.html")));
        assert!(at("out.d").is_dir());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_said_before_anything_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let error = Output::new(&file.join("inside")).unwrap_err().to_string();
        assert!(error.contains("--out") && error.contains("file"), "{error}");
    }
}
