//! Giving images, records and tables out for research and teaching: each input by the rules, one
//! report for all.
//!
//! Works on what whoever runs it can read already (files, or the archive of a node that does not
//! run); the purpose is named and stands in the report, and what is read of an archive is in its
//! node's trail. The report names inputs by their number, because file names name patients.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, Journal};
use crate::sharing::deidentify::counts::{self, CountsError, Shape};
use crate::sharing::deidentify::images::{self, Flag, ImageError, Way};
use crate::sharing::deidentify::records::{self, FreeText, NoRecord};
use crate::sharing::deidentify::report::Line;
use crate::sharing::deidentify::{Choice, Choices, Did, Key, Report, Rules};
use crate::sharing::discharge::model::DischargeRecord;
use crate::sharing::discharge::moment::Moment;
use crate::sharing::discharge::{cda, fhir};

/// Inputs that are listed one by one at most, of those withheld and of those refused.
pub const LISTED_MAX: usize = 1_000;

/// What data are given out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Research.
    Research,
    /// Teaching.
    Teaching,
}

/// Writes into the trail that a study is read to be given out de-identified, before it is.
pub async fn enter(
    journal: &dyn Journal,
    caller: &Caller,
    (study, patient_id): (&str, &str),
    (purpose, at_ms): (Purpose, i64),
) -> Result<(), Error> {
    let permit = authorise(caller, Action::DeidentifyImages)?;
    let detail = match purpose {
        Purpose::Research => "purpose research",
        Purpose::Teaching => "purpose teaching",
    };
    let entry = AuditEntry {
        at_ms,
        record_id: study.to_owned(),
        patient_reference: patient_id.to_owned(),
        outcome: "ok",
        detail: detail.to_owned(),
    };
    journal.audit(&permit, entry).await
}

/// Where what was made goes.
pub trait Sink {
    /// Puts a file at `path`, its parts being folders and a name of letters, digits, `.`, `_`, `-`.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one with other content; the same is no error.
    fn put(&mut self, path: &[&str], bytes: &[u8]) -> io::Result<()>;
}

/// Why an input came to nothing. No message holds a value.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is no image, or a broken one.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It is no record.
    #[error("no record: {0}")]
    Record(String),
    /// The rules of records are wrong.
    #[error(transparent)]
    Rules(#[from] NoRecord),
    /// Something else of that name was made before.
    #[error("another input of the same UID was given out already, with other content")]
    Twice,
    /// It is no table of counts.
    #[error(transparent)]
    Counts(#[from] CountsError),
}

/// How data are de-identified.
#[derive(Debug)]
pub struct Terms {
    /// The rules.
    pub rules: Rules,
    /// Options of images.
    pub choices: Choices,
    /// The secret of the pseudonyms.
    pub key: Key,
    /// Whether the secret is kept, so that a later run gives the same pseudonyms.
    pub key_kept: bool,
    /// What for.
    pub purpose: Purpose,
    /// Whether images that may have text in their pixels are given out.
    pub include_burned_in: bool,
    /// What becomes of free text of records.
    pub text: FreeText,
}

/// An input that was not given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Number of the input, from 1, in the order they came.
    pub input: u64,
    /// Why.
    pub reasons: Vec<String>,
}

/// What a run did.
#[derive(Debug, Serialize)]
pub struct Told {
    /// What for.
    pub purpose: Purpose,
    /// Codes of the profile and its options with their meaning (images only).
    pub profile: Vec<String>,
    /// The edition of the rules.
    pub rules: String,
    /// What tells the key from others.
    pub key: String,
    /// Whether the key was kept.
    pub key_kept: bool,
    /// Inputs.
    pub inputs: u64,
    /// Of them, those that something was made of.
    pub made: u64,
    /// Those that are withheld because of their pixels.
    pub withheld: u64,
    /// Those that could not be read.
    pub refused: u64,
    /// Withheld, one by one, up to [`LISTED_MAX`].
    pub withheld_inputs: Vec<Held>,
    /// Refused, one by one, up to [`LISTED_MAX`].
    pub refused_inputs: Vec<Held>,
    /// Flags of pixels and how often.
    pub flags: BTreeMap<String, u64>,
    /// Attributes of images that no rule names and whose form holds no name.
    pub passed: u64,
    /// What was done, and how often in all.
    pub totals: BTreeMap<Did, u64>,
    /// What was done by attribute.
    pub attributes: Vec<Line>,
}

/// A run.
#[derive(Debug)]
pub struct Run {
    terms: Terms,
    /// When bundles are assembled; the hour of a run says nothing of a patient.
    assembled: Moment,
    images: bool,
    report: Report,
    inputs: u64,
    made: u64,
    withheld: u64,
    refused: u64,
    withheld_inputs: Vec<Held>,
    refused_inputs: Vec<Held>,
}

impl Run {
    /// Begins; `today` is the day of the run.
    pub fn new(terms: Terms, today: jiff::civil::Date) -> Self {
        Self {
            terms,
            assembled: Moment::of(today),
            images: false,
            report: Report::default(),
            inputs: 0,
            made: 0,
            withheld: 0,
            refused: 0,
            withheld_inputs: Vec::new(),
            refused_inputs: Vec::new(),
        }
    }

    /// De-identifies an image; what is refused or withheld is noted and no error.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn image(&mut self, file: &[u8], sink: &mut dyn Sink) -> io::Result<()> {
        self.images = true;
        self.inputs += 1;
        let Terms { rules, choices, key, include_burned_in, .. } = &self.terms;
        let way = Way { rules, choices, key, include_burned_in: *include_burned_in };
        let outcome = match images::deidentify(file, way) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.refuse(&error.into());
                return Ok(());
            }
        };
        let Some(made) = outcome.made else {
            self.withheld += 1;
            let reason = |flag: &Flag| format!("{}：{}", flag.name, flag.reason_zh);
            let withholds = outcome.flags.raised.iter().filter(|flag| flag.withholds);
            let held = Held { input: self.inputs, reasons: withholds.map(reason).collect() };
            keep(&mut self.withheld_inputs, held);
            for (flag, count) in outcome.report.flags() {
                (0..*count).for_each(|_| self.report.flag(flag));
            }
            return Ok(());
        };
        let study = if made.study.is_empty() { "no-study" } else { made.study.as_str() };
        let name = format!("{}.dcm", made.instance);
        match sink.put(&[&made.patient, study, &name], &made.bytes) {
            // Two files that say they are one object and are not.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.refuse(&Refused::Twice);
            }
            put => {
                put?;
                self.report.add(outcome.report);
                self.made += 1;
            }
        }
        Ok(())
    }

    /// De-identifies a discharge record in the node's own JSON, FHIR or CDA. It is written as our
    /// JSON and as a FHIR bundle.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn record(&mut self, document: &[u8], sink: &mut dyn Sink) -> io::Result<()> {
        self.inputs += 1;
        let terms = &self.terms;
        let done = read_record(document).and_then(|record| {
            Ok(records::deidentify(&record, &terms.rules, &terms.key, terms.text)?)
        });
        let made = match done {
            Ok(made) => made,
            Err(error) => {
                self.refuse(&error);
                return Ok(());
            }
        };
        let json = serde_json::to_vec_pretty(&made.record)?;
        let bundle = fhir::write(&made.record, &self.assembled);
        let number = format!("{:06}", self.inputs);
        let [own, other] = ["record.json", "fhir.json"].map(|end| format!("{number}.{end}"));
        sink.put(&[&made.patient, &own], &json)?;
        sink.put(&[&made.patient, &other], &serde_json::to_vec_pretty(&bundle)?)?;
        self.report.add(made.report);
        self.made += 1;
        Ok(())
    }

    /// Suppresses the small counts of a table, whose rows begin with the header, and gives the table
    /// back.
    pub fn table(
        &mut self,
        rows: &[Vec<String>],
        shape: Shape,
        threshold: Option<u64>,
    ) -> Option<counts::Made> {
        self.inputs += 1;
        let threshold = threshold.unwrap_or(self.terms.rules.limits.small_cell_threshold);
        match counts::suppress(rows, shape, threshold) {
            Ok(made) => {
                self.report.add(made.report.clone());
                self.made += 1;
                Some(made)
            }
            Err(error) => {
                self.refuse(&error.into());
                None
            }
        }
    }

    /// Notes an input that could not even be read.
    pub fn unreadable(&mut self, why: &str) {
        self.inputs += 1;
        self.refused += 1;
        let held = Held { input: self.inputs, reasons: vec![why.to_owned()] };
        keep(&mut self.refused_inputs, held);
    }

    fn refuse(&mut self, error: &Refused) {
        self.refused += 1;
        let held = Held { input: self.inputs, reasons: vec![super::chain(error)] };
        keep(&mut self.refused_inputs, held);
    }

    /// What was done.
    pub fn told(self) -> Told {
        let Terms { rules, choices, key, key_kept, purpose, .. } = &self.terms;
        let codes = if self.images { rules.codes(choices) } else { Vec::new() };
        Told {
            purpose: *purpose,
            profile: codes
                .iter()
                .map(|c| format!("{} {}（{}）", c.code, c.meaning, c.zh))
                .collect(),
            rules: rules.version.clone(),
            key: key.fingerprint(),
            key_kept: *key_kept,
            inputs: self.inputs,
            made: self.made,
            withheld: self.withheld,
            refused: self.refused,
            withheld_inputs: self.withheld_inputs,
            refused_inputs: self.refused_inputs,
            flags: self.report.flags().clone(),
            passed: self.report.passed,
            totals: self.report.totals(),
            attributes: self.report.lines(),
        }
    }
}

fn keep(list: &mut Vec<Held>, held: Held) {
    if list.len() < LISTED_MAX {
        list.push(held);
    }
}

/// The options that are named, for example `patient`.
///
/// # Errors
/// Which name is none, and which there are; or a contradiction.
pub fn choices<'n>(names: impl Iterator<Item = &'n str>) -> Result<Choices, String> {
    let mut chosen = Vec::new();
    for name in names {
        let known = Choice::ALL.iter().find(|(_, of)| *of == name);
        let (choice, _) = known.ok_or_else(|| {
            let all: Vec<_> = Choice::ALL.iter().map(|(_, name)| *name).collect();
            format!("profile option `{name}` must be one of {}", all.join(", "))
        })?;
        chosen.push(*choice);
    }
    Choices::of(chosen).map_err(|error| error.to_string())
}

/// A record in any of the forms that are taken. What is read of FHIR and CDA beyond the model does
/// not come along.
fn read_record(document: &[u8]) -> Result<DischargeRecord, Refused> {
    let first = document
        .iter()
        .copied()
        .find(|b| !b.is_ascii_whitespace() && !matches!(b, 0xEF | 0xBB | 0xBF));
    let refused = |count: usize| Refused::Record(format!("{count} problems, one of them fatal"));
    if first == Some(b'<') {
        return cda::read(document).map(|read| read.record).map_err(|p| refused(p.len()));
    }
    let kind: Option<serde_json::Value> = serde_json::from_slice(document).ok();
    if kind.as_ref().is_some_and(|v| v.get("resourceType").is_some()) {
        return fhir::read(document).map(|read| read.record).map_err(|p| refused(p.len()));
    }
    // A record that names nothing of the model is another document.
    let is_record = kind.as_ref().is_some_and(|v| v.get("patient").is_some());
    if !is_record {
        return Err(Refused::Record(
            "neither a FHIR bundle, a CDA document nor the node's own JSON".to_owned(),
        ));
    }
    records::own_json(document).map_err(Refused::Record)
}
