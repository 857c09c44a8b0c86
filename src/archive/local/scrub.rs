//! Reads everything again and says what is not as it was written.

use std::fs::File;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::disk;
use super::format::{FIRST_RECORD_AT, Flaw, Kind};
use super::recovery::label;
use super::store::{Record, Segment, Store};
use super::tend;
use super::tier::Tier;
use super::walk::{self, Step, Walk};
use crate::archive::remote::{Blobs, RemoteError};
use crate::sharing::imaging::object::{Digest, Location};

/// Damaged segments that a report names at most.
const DAMAGED_MAX: usize = 1000;

/// How far a scrub has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Segments done.
    pub segments: u64,
    /// Segments there were when it began.
    pub segments_all: u64,
    /// Records read.
    pub records: u64,
    /// Bytes of the bodies read.
    pub bytes: u64,
}

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// How far it came.
    pub done: ScrubProgress,
    /// Records whose bodies were erased.
    pub erased: u64,
    /// Erasures that had been written down but not carried out, and now are.
    pub erasures_completed: u64,
    /// Places that are not as they were written.
    pub flaws: u64,
    /// The first bad place of each segment, for the first 1,000 segments with one.
    pub damaged: Vec<Damage>,
    /// Whether it was told to stop.
    pub cancelled: bool,
}

/// A bad place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment.
    pub segment: u64,
    /// Byte in it.
    pub offset: u64,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// The remote store, and where its requests run.
pub(super) struct Copies<'a> {
    pub(super) blobs: &'a dyn Blobs,
    pub(super) runtime: &'a Handle,
}

/// A scrub under way.
struct Scrub<'a> {
    store: &'a Arc<Store>,
    copies: Option<Copies<'a>>,
    report: ScrubReport,
    erasures: Vec<Location>,
}

/// Where the bodies of a segment are.
#[derive(Debug, Clone, Copy)]
enum Copied {
    /// On the disk.
    Here,
    /// Only in the copy.
    Away(Tier),
    /// Only in a copy that is not as it was put.
    Lost,
}

/// Reads every segment that there is when it begins.
pub(super) fn scrub(
    (store, copies): (&Arc<Store>, Option<Copies<'_>>),
    cancelled: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(&ScrubProgress),
) -> ScrubReport {
    let mut scrub = Scrub { store, copies, report: ScrubReport::default(), erasures: Vec::new() };
    let mut segments = Vec::new();
    let mut from = 0;
    while let Some((number, segment)) = store.segment_from(from) {
        segments.push((number, segment));
        from = number.saturating_add(1);
    }
    scrub.report.done.segments_all = disk::bytes(segments.len());
    for (number, segment) in segments {
        scrub.segment(number, &segment, cancelled, progress);
        if scrub.report.cancelled {
            return scrub.report;
        }
        scrub.report.done.segments = scrub.report.done.segments.saturating_add(1);
        progress(&scrub.report.done);
    }
    scrub.complete_erasures();
    scrub.report
}

impl Scrub<'_> {
    fn segment(
        &mut self,
        number: u64,
        segment: &Segment,
        cancelled: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(&ScrubProgress),
    ) {
        let mut first = true;
        let Ok(file) = self.store.file(number) else {
            self.flaw(&mut first, number, 0, Flaw::Unreadable);
            return;
        };
        if label(&file).ok().is_none_or(|l| l.number != number || l.key != self.store.key) {
            self.flaw(&mut first, number, 0, Flaw::Label);
        }
        let copy = self.copy(&mut first, number);
        let mut reached = FIRST_RECORD_AT;
        for step in Walk::new(&file, self.store.eyes(), number, FIRST_RECORD_AT, segment.end) {
            if cancelled() {
                self.report.cancelled = true;
                return;
            }
            match step {
                Step::Gap { from, to, flaw } => {
                    reached = to;
                    self.flaw(&mut first, number, from, flaw);
                }
                Step::Record(record) => {
                    reached = record.header.ends(record.place.offset).map_or(reached, |e| e.1);
                    if let Err(flaw) = self.record(&file, &record, copy) {
                        self.flaw(&mut first, number, record.place.offset, flaw);
                    }
                    progress(&self.report.done);
                }
            }
        }
        if reached < segment.end || file.metadata().is_ok_and(|m| m.len() < segment.end) {
            self.flaw(&mut first, number, reached, Flaw::Short);
        }
    }

    fn record(&mut self, file: &File, record: &Record, copy: Copied) -> Result<(), Flaw> {
        let done = &mut self.report.done;
        done.records = done.records.saturating_add(1);
        if record.header.erased() {
            self.report.erased = self.report.erased.saturating_add(1);
        } else {
            done.bytes = done.bytes.saturating_add(record.header.body_bytes);
        }
        if let Some(erasure) = record.erasure()? {
            self.erasures.push(erasure.location);
        }
        let checked = match copy {
            Copied::Here => walk::check_body(file, record, self.store.eyes().seals),
            Copied::Away(tier) => self.check_away(&tier, record),
            // Said once for the segment.
            Copied::Lost => Ok(()),
        };
        match checked {
            // It may have been erased while it was read.
            Err(Flaw::Body) if self.erased_meanwhile(record) => Ok(()),
            Ok(()) if record.header.mark_damaged() => Err(Flaw::Mark),
            other => other,
        }
    }

    /// Looks at the copy of a segment, and where its bodies are. A copy that is lost while the bodies
    /// are here is put again.
    fn copy(&mut self, first: &mut bool, number: u64) -> Copied {
        let Some(tier) = self.store.tiers.get(number) else { return Copied::Here };
        let length = self.copies.as_ref().map(|Copies { blobs, runtime }| {
            let name = tend::name(self.store.key, number, tier.generation);
            runtime.block_on(blobs.length(&name))
        });
        let whole = matches!(length, Some(Ok(length)) if length == tier.length);
        if whole || (length.is_none() && !tier.away) {
            return if tier.away { Copied::Away(tier) } else { Copied::Here };
        }
        self.flaw(first, number, 0, Flaw::Remote);
        if tier.away {
            return Copied::Lost;
        }
        let lost = matches!(length, Some(Ok(_) | Err(RemoteError::Missing { .. })));
        if lost && let Err(error) = self.store.tiers.taint(self.store.disk.as_ref(), number) {
            tracing::warn!(%error, "archive cannot note that a copy is lost");
        }
        Copied::Here
    }

    /// Whether a body that is only in the copy is what was received.
    fn check_away(&self, tier: &Tier, record: &Record) -> Result<(), Flaw> {
        let Some(Copies { blobs, runtime }) = &self.copies else { return Err(Flaw::Remote) };
        if record.header.kind == Kind::Erasure || record.header.erased() {
            return Ok(());
        }
        let name = tend::name(self.store.key, tier.number, tier.generation);
        if record.header.seal.is_some() {
            return walk::check_sealed(record, self.store.eyes().seals, |at, part| {
                let range = at..at.saturating_add(disk::bytes(part.len()));
                let bytes = runtime.block_on(blobs.range(&name, range));
                let bytes = bytes.map_err(|_| Flaw::Remote)?;
                if bytes.len() != part.len() {
                    return Err(Flaw::Remote);
                }
                part.copy_from_slice(&bytes);
                Ok(())
            });
        }
        let location = record.location();
        let end = location.body.saturating_add(location.length);
        let mut hash = Sha256::new();
        let mut at = location.body;
        while at < end {
            let to = at.saturating_add(tend::RANGE_BYTES).min(end);
            let part = runtime.block_on(blobs.range(&name, at..to));
            hash.update(part.map_err(|_| Flaw::Remote)?);
            at = to;
        }
        let found = Digest(hash.finalize().into());
        if found == record.header.digest { Ok(()) } else { Err(Flaw::Body) }
    }

    fn erased_meanwhile(&self, record: &Record) -> bool {
        let header = self.store.header(&record.location());
        header.is_ok_and(|header| header.is_some_and(|header| header.erased()))
    }

    fn flaw(&mut self, first: &mut bool, segment: u64, offset: u64, flaw: Flaw) {
        self.report.flaws = self.report.flaws.saturating_add(1);
        if std::mem::take(first) && self.report.damaged.len() < DAMAGED_MAX {
            self.report.damaged.push(Damage { segment, offset, flaw });
        }
    }

    fn complete_erasures(&mut self) {
        for location in std::mem::take(&mut self.erasures) {
            let open = self.store.header(&location).is_ok_and(|header| {
                header.is_some_and(|header| header.kind == Kind::Object && !header.erased())
            });
            if !open {
                continue;
            }
            match self.store.complete_erasure(&location) {
                Ok(()) => {
                    let completed = &mut self.report.erasures_completed;
                    *completed = completed.saturating_add(1);
                }
                Err(error) => tracing::warn!(%error, "archive cannot carry out an erasure"),
            }
        }
    }
}
