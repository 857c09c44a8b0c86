//! `xiangyi eval reading`: the complaint reader against marked texts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Evaluation;
use super::cases::ReadingCase;
use super::scores::share;
use crate::app::App;
use crate::medicine::diagnosis::evidence::{Claims, Evidence, Origin};
use crate::medicine::patient::{Patient, Vitals};
use crate::medicine::vocabulary::{FindingId, Vocabulary};

/// Counts of one state.
#[derive(Debug, Default)]
struct Counts {
    right: usize,
    read: usize,
    marked: usize,
}

impl Counts {
    fn add(&mut self, read: &BTreeSet<FindingId>, marked: &BTreeSet<FindingId>) {
        self.right += read.intersection(marked).count();
        self.read += read.len();
        self.marked += marked.len();
    }

    fn value(&self) -> Value {
        // 2 * right / (read + marked) is the harmonic mean of precision and recall.
        json!({
            "precision": share(self.right, self.read),
            "recall": share(self.right, self.marked),
            "f1": share(2 * self.right, self.read + self.marked),
            "read": self.read,
            "marked": self.marked,
        })
    }
}

impl App {
    /// Reads every text and compares what it says of this patient, now, with what is marked.
    /// Findings that merely follow from others are not compared.
    pub fn evaluate_reading(&self, cases: &[ReadingCase]) -> Evaluation {
        let knowledge = self.knowledge.load_full();
        let vocabulary = &knowledge.diagnosis.vocabulary;
        let (mut present, mut absent) = (Counts::default(), Counts::default());
        let (mut lines, mut unresolved) = (Vec::new(), Vec::new());
        for case in cases {
            let reading = knowledge.diagnosis.reader.read(&case.text);
            let claims = Claims {
                reading: Some(&reading),
                present: &[],
                absent: &[],
                vitals: &Vitals::default(),
                patient: &Patient::default(),
            };
            let evidence = Evidence::gather(vocabulary, claims);
            let read = |state: bool| -> BTreeSet<FindingId> {
                let facts = evidence.facts().iter();
                let stated = facts.filter(|f| !matches!(f.origin, Origin::Implied(_)));
                stated.filter(|f| f.present == state).map(|f| f.finding).collect()
            };
            let mut missing = Vec::new();
            let mut marked = |names: &[String]| -> BTreeSet<FindingId> {
                let resolve = |name: &String| {
                    let found = vocabulary.resolve_finding(name);
                    if found.is_none() {
                        missing.push(name.clone());
                    }
                    found
                };
                names.iter().filter_map(resolve).collect()
            };
            let (want_present, want_absent) = (marked(&case.present), marked(&case.absent));
            let (got_present, got_absent) = (read(true), read(false));
            present.add(&got_present, &want_present);
            absent.add(&got_absent, &want_absent);
            unresolved.extend(missing.iter().map(|name| json!({"id": case.id, "name": name})));
            lines.push(json!({
                "id": case.id,
                "present": slugs(vocabulary, &got_present),
                "absent": slugs(vocabulary, &got_absent),
                "missed": slugs(vocabulary, &(&want_present - &got_present)),
                "missed_absent": slugs(vocabulary, &(&want_absent - &got_absent)),
                "extra": slugs(vocabulary, &(&got_present - &want_present)),
                "extra_absent": slugs(vocabulary, &(&got_absent - &want_absent)),
                "unresolved": missing,
            }));
        }
        let report = json!({
            "n": cases.len(),
            "present": present.value(),
            "absent": absent.value(),
            "unresolved": {"count": unresolved.len(), "list": unresolved},
        });
        Evaluation { report, cases: lines }
    }
}

fn slugs(vocabulary: &Vocabulary, findings: &BTreeSet<FindingId>) -> Vec<String> {
    findings.iter().map(|id| vocabulary.finding_slug(*id).to_owned()).collect()
}
