//! `xiangyi eval reading`: the complaint reader against marked texts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Evaluation;
use super::cases::ReadingCase;
use super::scores::share;
use super::terms;
use crate::app::App;
use crate::medicine::diagnosis::evidence::{Claims, Evidence, Fact, Origin};
use crate::medicine::patient::{Patient, Vitals};
use crate::medicine::vocabulary::{FindingId, FindingKind, Vocabulary};

/// Counts of one state. What is marked counts as found where the reading says it or something
/// that entails it; what is read counts as right where a mark says it or something that entails it.
#[derive(Debug, Default)]
struct Counts {
    /// Findings read that a mark bears out.
    right: usize,
    /// Findings read.
    read: usize,
    /// Marks that the reading bears out.
    found: usize,
    /// Marks.
    marked: usize,
}

/// Findings of one state: as said or marked, and with all that these entail.
#[derive(Debug, Default)]
struct Said {
    stated: BTreeSet<FindingId>,
    closed: BTreeSet<FindingId>,
}

impl Counts {
    fn add(&mut self, read: &Said, marked: &Said) {
        self.right += read.stated.intersection(&marked.closed).count();
        self.read += read.stated.len();
        self.found += marked.stated.intersection(&read.closed).count();
        self.marked += marked.stated.len();
    }

    fn value(&self) -> Value {
        // The harmonic mean of right / read and found / marked.
        let both = 2 * self.right * self.found;
        let f1 = share(both, self.right * self.marked + self.found * self.read);
        json!({
            "precision": share(self.right, self.read),
            "recall": share(self.found, self.marked),
            "f1": f1,
            "read": self.read,
            "marked": self.marked,
        })
    }
}

impl App {
    /// Reads every text and compares what it says of this patient, now, with what is marked.
    /// What follows from values, times and other findings, and that a test was done, bears marks
    /// out; it does not count as read where nobody marked it.
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
            let is_test = |id: FindingId| {
                vocabulary.get_finding(id).is_some_and(|f| f.kind == FindingKind::Test)
            };
            let read = |state: bool| -> Said {
                let facts = || evidence.facts().iter().filter(|fact| fact.present == state);
                let said = |f: &&Fact| matches!(f.origin, Origin::Text(_)) && !is_test(f.finding);
                Said {
                    stated: facts().filter(said).map(|f| f.finding).collect(),
                    closed: facts().map(|f| f.finding).collect(),
                }
            };
            let mut missing = Vec::new();
            let (mut want_present, mut want_absent) = (BTreeSet::new(), BTreeSet::new());
            for (names, wanted) in [(&case.present, true), (&case.absent, false)] {
                for name in names {
                    let meant = terms::meaning(&knowledge, &Patient::default(), name);
                    if meant.is_empty() {
                        missing.push(name.clone());
                    }
                    for (finding, affirmed) in meant {
                        let list =
                            if wanted && affirmed { &mut want_present } else { &mut want_absent };
                        list.insert(finding);
                    }
                }
            }
            let want_present = closed(want_present, |id| vocabulary.implied(id));
            let want_absent = closed(want_absent, |id| vocabulary.implied_by(id));
            let (got_present, got_absent) = (read(true), read(false));
            present.add(&got_present, &want_present);
            absent.add(&got_absent, &want_absent);
            unresolved.extend(missing.iter().map(|name| json!({"id": case.id, "name": name})));
            lines.push(json!({
                "id": case.id,
                "present": slugs(vocabulary, &got_present.stated),
                "absent": slugs(vocabulary, &got_absent.stated),
                "missed": slugs(vocabulary, &(&want_present.stated - &got_present.closed)),
                "missed_absent": slugs(vocabulary, &(&want_absent.stated - &got_absent.closed)),
                "extra": slugs(vocabulary, &(&got_present.stated - &want_present.closed)),
                "extra_absent": slugs(vocabulary, &(&got_absent.stated - &want_absent.closed)),
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

/// The marks and all that they entail by `entailed`.
fn closed<'a>(
    stated: BTreeSet<FindingId>,
    entailed: impl Fn(FindingId) -> &'a [FindingId],
) -> Said {
    let more = stated.iter().flat_map(|id| entailed(*id)).copied();
    let closed = stated.iter().copied().chain(more).collect();
    Said { stated, closed }
}

fn slugs(vocabulary: &Vocabulary, findings: &BTreeSet<FindingId>) -> Vec<String> {
    findings.iter().map(|id| vocabulary.finding_slug(*id).to_owned()).collect()
}
