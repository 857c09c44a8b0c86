//! Going along a chain and naming the first entry that does not fit.

use std::collections::BTreeMap;

use super::{Entry, Head, Mark, Origin};

/// Places by which entries may have been moved up to close a gap, and the gap still be told.
const MOVED_MAX: u64 = 1_000;

/// What is wrong with a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Entries from here up to the next one are not there.
    Missing,
    /// It was put in after the chain was written; those after it are of the chain.
    Inserted,
    /// It and the one after it stand in each other's place.
    Reordered,
    /// It says something else than when it was written; those after it are of the chain.
    Altered,
    /// It and those after it are not of this chain: others were put in its place, or it was moved.
    Replaced,
    /// It has no digests, or none of the right length.
    NotChained,
    /// The chain was written anew: by itself it fits, but it is not the one that was anchored. The first
    /// entry that differs stands from this one to that anchor.
    Rewritten,
    /// The chain ends before an anchored entry; from this one on they were cut off.
    CutOff,
    /// It is not the chain that was anchored, but that of another database.
    OtherChain,
}

/// The first bad entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its number: of the first that is missing, for missing ones.
    pub number: u64,
    /// The last number it may be: the same unless the chain was rewritten, or entries are missing.
    pub up_to: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// A chain in which everything fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intact {
    /// Where it ends.
    pub head: Head,
    /// Entries.
    pub entries: u64,
    /// Anchored heads that lie on it.
    pub anchors: u64,
    /// Number of the last anchored entry; what comes after it could be cut off unseen. 0: none.
    pub anchored_up_to: u64,
    /// Other chains that were anchored under the node's name, with the number of the last anchored entry. A
    /// node that was set up anew has them; one that was not has had its trail exchanged.
    pub others: BTreeMap<String, u64>,
}

/// Goes along a chain.
#[derive(Debug)]
pub struct Verifier {
    head: Head,
    chained_later: u64,
    marks: BTreeMap<u64, Vec<Head>>,
    /// A number up to which the database itself remembers that there were entries.
    reached: u64,
    other: bool,
    others: BTreeMap<String, u64>,
    entries: u64,
    anchors: u64,
    anchored_up_to: u64,
    /// The first entry that does not fit, until the one after it says what became of it.
    bad: Option<Entry>,
}

impl Fault {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Altered => "altered",
            Self::Replaced => "replaced",
            Self::NotChained => "not_chained",
            Self::Rewritten => "rewritten",
            Self::CutOff => "cut_off",
            Self::OtherChain => "other_chain",
        }
    }
}

impl Verifier {
    /// Over the chain with this origin. `marks`: heads that were anchored, of the node that the chain is
    /// said to be of; one of another chain id says that this is another database.
    pub fn new<'a>(origin: &Origin, marks: impl IntoIterator<Item = &'a Mark>) -> Self {
        let mut held: BTreeMap<u64, Vec<Head>> = BTreeMap::new();
        let (mut own, mut others) = (false, BTreeMap::<String, u64>::new());
        for mark in marks {
            if mark.chain == origin.chain {
                own = true;
                held.entry(mark.head.number).or_default().push(mark.head);
            } else {
                let last = others.entry(mark.chain.clone()).or_default();
                *last = mark.head.number.max(*last);
            }
        }
        Self {
            head: origin.head(),
            chained_later: origin.chained_later,
            marks: held,
            reached: 0,
            // A node that was set up anew has anchors of both.
            other: !others.is_empty() && !own,
            others,
            entries: 0,
            anchors: 0,
            anchored_up_to: 0,
            bad: None,
        }
    }

    /// Likewise, where the database remembers by itself that it had entries up to this number. Whoever
    /// cut entries off may have changed that too.
    #[must_use]
    pub fn reaching(self, number: u64) -> Self {
        Self { reached: number, ..self }
    }

    /// The next entry, in order of numbers. An error names the first bad one.
    pub fn next(&mut self, entry: Entry) -> Result<(), Broken> {
        if self.other {
            return Err(Broken { number: 1, up_to: 1, fault: Fault::OtherChain });
        }
        if let Some(bad) = self.bad.take() {
            return Err(self.judge(&bad, Some(&entry)));
        }
        let next = self.head.at(entry.number, &entry.said());
        let fits = next.is_kept_by(&entry);
        let follows = entry.number == self.head.number + 1;
        let is_older = fits && entry.number <= self.chained_later;
        if !follows && !is_older {
            return Err(if entry.number > self.head.number {
                Broken {
                    number: self.head.number + 1,
                    up_to: entry.number - 1,
                    fault: Fault::Missing,
                }
            } else {
                one(entry.number, Fault::Replaced)
            });
        }
        if !fits {
            self.bad = Some(entry);
            return Ok(());
        }
        self.entries += 1;
        self.head = next;
        self.compare_anchor()
    }

    /// After the last entry.
    pub fn finish(mut self) -> Result<Intact, Broken> {
        if self.other {
            return Err(Broken { number: 1, up_to: 1, fault: Fault::OtherChain });
        }
        if let Some(bad) = self.bad.take() {
            return Err(self.judge(&bad, None));
        }
        // An anchor of the chain before its first entry has number 0.
        let end = self.head.number;
        let anchored = self.marks.keys().next_back().copied().unwrap_or(0);
        let last = anchored.max(self.reached);
        if last > end {
            return Err(Broken { number: end + 1, up_to: last, fault: Fault::CutOff });
        }
        let Self { head, entries, anchors, anchored_up_to, others, .. } = self;
        Ok(Intact { head, entries, anchors, anchored_up_to, others })
    }

    /// Whether the anchors of the entry that was taken are of this chain.
    fn compare_anchor(&mut self) -> Result<(), Broken> {
        let Some(heads) = self.marks.get(&self.head.number) else { return Ok(()) };
        if heads.iter().any(|head| *head != self.head) {
            let number = self.anchored_up_to + 1;
            return Err(Broken { number, up_to: self.head.number, fault: Fault::Rewritten });
        }
        self.anchors += u64::try_from(heads.len()).unwrap_or(u64::MAX);
        self.anchored_up_to = self.head.number;
        Ok(())
    }

    /// What became of the entry that does not fit, told by the digests that it and the next one keep.
    fn judge(&self, bad: &Entry, next: Option<&Entry>) -> Broken {
        let fault = |fault| one(bad.number, fault);
        let Some(kept) = kept(bad) else { return fault(Fault::NotChained) };
        let Some(next) = next else {
            // The last one: an anchor of what it keeps says that it was of this chain.
            let anchored = self.marks.get(&bad.number).is_some_and(|heads| heads.contains(&kept));
            return fault(if anchored { Fault::Altered } else { Fault::Replaced });
        };
        // The next one still stands on what this one keeps: only what it says was changed.
        if kept.at(next.number, &next.said()).is_kept_by(next) {
            return fault(Fault::Altered);
        }
        // The next one is what stood here.
        let here = self.head.at(bad.number, &next.said());
        if here.is_kept_by(next) {
            let swapped = here.at(next.number, &bad.said()).is_kept_by(bad);
            return fault(if swapped { Fault::Reordered } else { Fault::Inserted });
        }
        // Likewise, with the digests left where they were.
        if here.is_kept_by(bad) && here.at(next.number, &bad.said()).is_kept_by(next) {
            return fault(Fault::Reordered);
        }
        // The next one stands on this one at a later place: those after a gap were moved up.
        let moved = (1..=MOVED_MAX)
            .find(|by| kept.at(next.number.saturating_add(*by), &next.said()).is_kept_by(next));
        if let Some(by) = moved {
            let up_to = bad.number.saturating_add(by - 1);
            return Broken { number: bad.number, up_to, fault: Fault::Missing };
        }
        fault(Fault::Replaced)
    }
}

fn one(number: u64, fault: Fault) -> Broken {
    Broken { number, up_to: number, fault }
}

/// The head that an entry keeps.
fn kept(entry: &Entry) -> Option<Head> {
    let sha256 = entry.sha256.as_slice().try_into().ok()?;
    let sm3 = entry.sm3.as_slice().try_into().ok()?;
    Some(Head { number: entry.number, sha256, sm3 })
}
