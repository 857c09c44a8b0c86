//! Counts of decisions, for the coverage report.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::kept::DecisionLine;
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::ports::{ListQuery, RecordKind};
use crate::app::request::{ID_CHARS_MAX, Problems};
use crate::sharing::recognition::{Decision, Ground};

/// Decisions read at once.
const PAGE: u32 = 2_000;
/// Decisions counted at most; the newest.
const DECISIONS_MAX: usize = 200_000;

/// Which decisions are counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SummaryRequest {
    /// First day; empty: from the beginning.
    pub date_from: String,
    /// Last day; empty: to the end.
    pub date_to: String,
    /// Only of this asking institution; empty for all.
    pub asking: String,
}

/// How many decisions came out how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Chinese name of what is counted, where it has one.
    pub name: String,
    /// A study was taken.
    pub recognised: u64,
    /// Examined again.
    pub repeated: u64,
    /// Examined because nothing stood in its place.
    pub examined: u64,
}

/// Counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// All.
    pub total: Tally,
    /// Decisions that do not follow from what the rules said.
    pub deviating: u64,
    /// By examination.
    pub examinations: BTreeMap<String, Tally>,
    /// By ground for repeating.
    pub grounds: BTreeMap<String, Tally>,
    /// By reason that spoke against a study.
    pub refusals: BTreeMap<String, Tally>,
    /// By institution that asked.
    pub asking: BTreeMap<String, Tally>,
    /// By institution that made the study that was taken.
    pub holders: BTreeMap<String, Tally>,
    /// By month.
    pub months: BTreeMap<String, Tally>,
    /// Whether older decisions were left out.
    pub truncated: bool,
}

impl App {
    /// Counts decisions.
    pub async fn summarise_recognition(
        &self,
        caller: &Caller,
        request: &SummaryRequest,
    ) -> Result<Summary, Error> {
        let permit = authorise(caller, Action::ReadRecognition)?;
        request.validate()?;
        let (mut summary, mut before_seq, mut read) = (Summary::default(), None, 0);
        loop {
            let query = ListQuery {
                kind: RecordKind::Recognition,
                before_seq,
                patient_reference: None,
                limit: PAGE,
            };
            let page = self.journal.list(&permit, query, self.entry("", "")).await?;
            let Some(last) = page.last() else { break };
            before_seq = Some(last.seq);
            read += page.len();
            for listed in &page {
                let line: DecisionLine = serde_json::from_str(&listed.summary_json)
                    .map_err(|e| Error::internal("store", e))?;
                if request.covers(&line) {
                    summary.add(&line);
                }
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                break;
            }
            if read >= DECISIONS_MAX {
                summary.truncated = true;
                break;
            }
        }
        let knowledge = self.knowledge.load();
        for ground in knowledge.recognition.on(self.today()).grounds() {
            if let Some(tally) = summary.grounds.get_mut(key_of(ground.ground)) {
                tally.name = ground.doctor_zh;
            }
        }
        Ok(summary)
    }
}

impl SummaryRequest {
    fn validate(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        for (field, day) in [("date_from", &self.date_from), ("date_to", &self.date_to)] {
            // The form matters too: days are compared as they are written.
            let fine = day.is_empty()
                || day.parse::<Date>().is_ok_and(|parsed| parsed.to_string() == *day);
            problems.unless(fine, field, "must be a day such as 2026-11-28, or empty");
        }
        let ordered = self.date_to.is_empty() || self.date_from <= self.date_to;
        problems.unless(ordered, "date_to", "must not lie before date_from");
        problems.chars("asking_institution_id", &self.asking, ID_CHARS_MAX);
        problems.finish()
    }

    fn covers(&self, line: &DecisionLine) -> bool {
        (self.date_from.is_empty() || self.date_from <= line.date)
            && (self.date_to.is_empty() || line.date <= self.date_to)
            && (self.asking.is_empty() || self.asking == line.asking.id)
    }
}

impl Summary {
    fn add(&mut self, line: &DecisionLine) {
        let decision = &line.decision;
        self.total.add(decision);
        self.deviating += u64::from(!line.follows);
        let examination = self.examinations.entry(line.examination.clone()).or_default();
        examination.add(decision);
        // The newest name: lines come newest first.
        if examination.name.is_empty() {
            examination.name.clone_from(&line.examination_name);
        }
        if let Decision::Repeated { ground } = decision {
            self.grounds.entry(key_of(*ground).to_owned()).or_default().add(decision);
        }
        for code in &line.refusals {
            self.refusals.entry(code.clone()).or_default().add(decision);
        }
        self.asking.entry(line.asking.id.clone()).or_default().add(decision);
        if matches!(decision, Decision::Recognised { .. }) {
            self.holders.entry(line.holder.clone()).or_default().add(decision);
        }
        let month: String = line.date.chars().take(7).collect();
        self.months.entry(month).or_default().add(decision);
    }
}

impl Tally {
    fn add(&mut self, decision: &Decision) {
        let count = match decision {
            Decision::Recognised { .. } => &mut self.recognised,
            Decision::Repeated { .. } => &mut self.repeated,
            Decision::Examined => &mut self.examined,
        };
        *count += 1;
    }
}

/// The key of a ground in the table.
pub fn key_of(ground: Ground) -> &'static str {
    match ground {
        Ground::ConditionChanged => "condition_changed",
        Ground::ChangesQuickly => "changes_quickly",
        Ground::Decisive => "decisive",
        Ground::Emergency => "emergency",
        Ground::Forensic => "forensic",
        Ground::Other => "other",
    }
}
