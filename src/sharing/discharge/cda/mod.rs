//! Discharge records in CDA: WS/T 500.53 出院小结 is read and written; .49 出院记录, .25 出院评估与指导,
//! .32 住院病案首页 and HL7 C-CDA discharge summaries and care documents are read.
//!
//! A document is bytes from somebody else: `encoding` makes text of them, `guard` and `xml` a
//! tree within limits, `header` and `body` read it into the model, `check` holds it against the
//! standard. What was read is marked, so what was not can be listed: nothing is dropped silently.
//!
//! Deliberately absent: validation against the schema (only what is read is checked; what is written
//! is schema-valid by construction and tested so), and CDA of other kinds.

mod body;
mod check;
mod diagnosis;
mod elements;
mod encoding;
mod entries;
mod guard;
mod header;
mod medicine;
mod narrative;
mod recognise;
mod systems;
#[cfg(test)]
mod tests;
mod values;
mod write;
mod xml;

pub use write::{Written, write, write_noting};

use super::model::DischargeRecord;
use super::plausible;
use super::problems::{Problem, Reading, Severity};

/// Bytes of a document at most.
pub const BYTES_MAX: usize = 16 << 20;

/// Reads a document of any kind that is known here.
///
/// # Errors
/// Every problem found, at least one of them fatal, each with its `XPath`.
pub fn read(bytes: &[u8]) -> Result<Reading, Vec<Problem>> {
    if bytes.len() > BYTES_MAX {
        let message = format!("文档超过{}MiB", BYTES_MAX >> 20);
        return Err(vec![Problem::fatal("/", "document_too_large", message)]);
    }
    let text = encoding::decode(bytes).map_err(|problem| vec![problem])?;
    let document = xml::parse(&text).map_err(|problem| vec![problem])?;
    let reading = xml::Reading::new(&document);
    let Some(known) = recognise::recognise(&reading) else { return Err(reading.problems()) };
    reading.format.set(Some(known.format));
    let mut record = DischargeRecord::default();
    header::read(&reading, &mut record);
    body::read(&reading, &mut record);
    check::check(&reading, &known, &record);
    let mut problems = reading.problems();
    problems.extend(plausible::problems(known.format, &record));
    if problems.iter().any(|problem| problem.severity == Severity::Fatal) {
        return Err(problems);
    }
    let unplaced = reading.unplaced();
    Ok(Reading { format: known.format, record, problems, unplaced })
}
