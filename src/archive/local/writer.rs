//! The one writer: a thread that takes the objects that wait, writes them to the end of the active
//! segment, syncs once, and only then answers.
//!
//! After a write or a sync has failed nothing is tried again on the same pages: the system may have
//! dropped them and call the next sync a success. The segment is cut at its last good record and
//! closed, what was being written is refused, and the next object begins a new segment.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::disk::{self, sync_dir};
use super::error::{full, not_found, refusal};
use super::format::{
    self, Entry, FIRST_RECORD_AT, HEAD_SEAL_BYTES, HEADER_BYTES, Header, Kind, Place, SPOOL_BODY_AT,
};
use super::list::List;
use super::seal::{Cover, header};
use super::spool::SpoolFile;
use super::store::{Segment, Store};
use crate::app::error::Error;
use crate::sharing::imaging::object::{Digest, Location};

/// How long an answer to "how much is free" is believed.
const FREE_BELIEVED: Duration = Duration::from_secs(1);
/// A batch of fewer bytes takes zeros along, [`AHEAD_BYTES`] of them. The first write to a reserved
/// block changes the journal of the file system too, and a sync that must wait for the journal
/// takes twice as long; the batches that follow find their blocks written and do not wait. With
/// larger batches that would cost more than it saves.
const AHEAD_BELOW_BYTES: u64 = 256 * 1024;
/// Zeros written ahead.
const AHEAD_BYTES: u64 = 1024 * 1024;
/// What stands between the end of a body and the next multiple of 8.
const PADDING: [u8; 8] = [0; 8];

/// Something to write.
#[derive(Debug)]
pub(super) enum Job {
    /// Objects, in order.
    Append { objects: Vec<Prepared>, reply: oneshot::Sender<Vec<Result<Location, Error>>> },
    /// An erasure, its head already as bytes.
    Erase { location: Location, head: Vec<u8>, reply: oneshot::Sender<Result<(), Error>> },
}

/// An object, its head already as bytes.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) digest: Digest,
    pub(super) head: Vec<u8>,
    /// Bytes of the body as it came.
    pub(super) length: u64,
    pub(super) body: Ready,
    /// What the body is sealed with, and the head is to be.
    pub(super) cover: Option<Cover>,
}

/// A body that can be written without waiting for anybody.
#[derive(Debug)]
pub(super) enum Ready {
    Memory(Vec<Bytes>),
    Spooled(SpoolFile),
}

/// Bounds on what is written together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) segment_bytes: u64,
    pub(super) batch_bytes_max: u64,
    pub(super) batch_jobs_max: usize,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) file: Arc<File>,
    /// Bytes reserved for it.
    pub(super) reserved: u64,
    /// Where its blocks were never written to yet.
    pub(super) written: u64,
    pub(super) segment: Segment,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) store: Arc<Store>,
    pub(super) list: List,
    pub(super) limits: Limits,
    pub(super) active: Option<Active>,
    pub(super) next_segment: u64,
    pub(super) next_batch: u64,
    pub(super) free: Option<(Instant, u64)>,
}

/// A record that waits for the sync.
#[derive(Debug)]
struct Waiting {
    /// Which job, and which of its objects.
    slot: (usize, usize),
    kind: Kind,
    digest: Digest,
    head: Vec<u8>,
    body: Vec<Bytes>,
    /// Bytes of the body as it came.
    body_bytes: u64,
    cover: Option<Cover>,
}

/// Records of one batch.
#[derive(Debug, Default)]
struct Group {
    records: Vec<Waiting>,
    /// Bytes they will take, headers and padding included.
    bytes: u64,
}

/// A job that is being done.
#[derive(Debug)]
enum Answer {
    Append {
        results: Vec<Option<Result<Location, Error>>>,
        reply: oneshot::Sender<Vec<Result<Location, Error>>>,
    },
    Erase {
        result: Result<(), Error>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
}

impl Job {
    fn bytes(&self) -> u64 {
        match self {
            Self::Append { objects, .. } => {
                objects.iter().fold(0, |sum, object| sum.saturating_add(object.body.bytes()))
            }
            Self::Erase { .. } => 0,
        }
    }

    fn abandoned(&self) -> bool {
        match self {
            Self::Append { reply, .. } => reply.is_closed(),
            // Once asked for, bytes that must not be kept are erased.
            Self::Erase { .. } => false,
        }
    }
}

impl Ready {
    /// Bytes in memory.
    fn bytes(&self) -> u64 {
        match self {
            Self::Memory(parts) => {
                parts.iter().fold(0, |sum, part| sum.saturating_add(disk::bytes(part.len())))
            }
            Self::Spooled(_) => 0,
        }
    }
}

impl Waiting {
    /// Where its body begins, counted from its own beginning.
    fn body_at(&self) -> u64 {
        let seal_bytes = if self.cover.is_some() { HEAD_SEAL_BYTES } else { 0 };
        let head_bytes = self.head.len().saturating_add(seal_bytes);
        let head_end = disk::bytes(HEADER_BYTES.saturating_add(head_bytes));
        format::aligned(head_end).unwrap_or(u64::MAX)
    }

    /// Bytes that its body takes.
    fn stored_bytes(&self) -> u64 {
        format::stored_bytes(self.kind, self.body_bytes, self.cover.is_some())
    }

    fn bytes(&self) -> u64 {
        let end = self.body_at().saturating_add(self.stored_bytes());
        format::aligned(end).unwrap_or(u64::MAX)
    }

    /// Header and head as they are written to `place`.
    fn encode(&self, place: &Place, batch: u64) -> Result<(Header, Vec<u8>), Error> {
        let lengths = (self.body_at(), self.body_bytes);
        let cover = self.cover.as_ref();
        header(self.kind, (self.digest, &self.head), (lengths, batch), (cover, place))
    }
}

/// Writes until nobody can ask for anything any more.
pub(super) fn run(mut writer: Writer, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.bytes();
        jobs.push(first);
        while bytes < writer.limits.batch_bytes_max && jobs.len() < writer.limits.batch_jobs_max {
            let Ok(next) = queue.try_recv() else { break };
            bytes = bytes.saturating_add(next.bytes());
            jobs.push(next);
        }
        // Work whose caller has gone is dropped.
        jobs.retain(|job| !job.abandoned());
        writer.commit(jobs.drain(..));
    }
}

impl Writer {
    /// Does all of `jobs` and answers them.
    fn commit(&mut self, jobs: impl Iterator<Item = Job>) {
        let mut answers = Vec::new();
        let mut group = Group::default();
        for (number, job) in jobs.enumerate() {
            match job {
                Job::Append { objects, reply } => {
                    let results = objects.iter().map(|_| None).collect();
                    answers.push(Answer::Append { results, reply });
                    for (i, object) in objects.into_iter().enumerate() {
                        self.append((number, i), object, &mut group, &mut answers);
                    }
                }
                Job::Erase { location, head, reply } => {
                    self.flush(&mut group, &mut answers);
                    let result = self.erase(&location, head);
                    answers.push(Answer::Erase { result, reply });
                }
            }
        }
        self.flush(&mut group, &mut answers);
        answers.into_iter().for_each(Answer::send);
    }

    fn append(
        &mut self,
        slot: (usize, usize),
        object: Prepared,
        group: &mut Group,
        answers: &mut [Answer],
    ) {
        if self.full() {
            settle(answers, slot, Err(full()));
            return;
        }
        let body_bytes = object.length;
        match object.body {
            Ready::Memory(body) => {
                let Prepared { digest, head, cover, .. } = object;
                let kind = Kind::Object;
                let record = Waiting { slot, kind, digest, head, body, body_bytes, cover };
                if group.bytes >= self.limits.batch_bytes_max
                    || !self.room(group.bytes.saturating_add(record.bytes()))
                {
                    self.flush(group, answers);
                }
                group.bytes = group.bytes.saturating_add(record.bytes());
                group.records.push(record);
            }
            Ready::Spooled(spool) => {
                self.flush(group, answers);
                let result =
                    self.adopt(spool, (object.digest, &object.head), object.cover.as_ref());
                settle(answers, slot, result);
            }
        }
    }

    /// Whether `bytes` more fit into the active segment.
    fn room(&self, bytes: u64) -> bool {
        self.active
            .as_ref()
            .is_some_and(|active| active.segment.end.saturating_add(bytes) <= active.reserved)
    }

    /// Whether less is free than must stay free.
    fn full(&mut self) -> bool {
        self.free().is_ok_and(|free| free < self.store.free_bytes_min)
    }

    fn free(&mut self) -> io::Result<u64> {
        if let Some((at, free)) = self.free
            && at.elapsed() < FREE_BELIEVED
        {
            return Ok(free);
        }
        let free = self.store.disk.free_bytes(&self.store.paths.segments)?;
        self.free = Some((Instant::now(), free));
        Ok(free)
    }

    /// Writes and syncs what waits, and settles it.
    fn flush(&mut self, group: &mut Group, answers: &mut [Answer]) {
        let Group { records, bytes } = std::mem::take(group);
        if records.is_empty() {
            return;
        }
        match self.write(&records, bytes, self.store.free_bytes_min) {
            Ok(locations) => {
                for (record, location) in records.iter().zip(locations) {
                    settle(answers, record.slot, Ok(location));
                }
            }
            Err(error) => {
                tracing::warn!(%error, records = records.len(), "archive refuses a batch");
                for record in &records {
                    settle(answers, record.slot, Err(refusal(&error)));
                }
            }
        }
    }

    /// Makes `records` durable in one segment, as one batch.
    fn write(
        &mut self,
        records: &[Waiting],
        bytes: u64,
        must_stay_free: u64,
    ) -> io::Result<Vec<Location>> {
        if !self.room(bytes) {
            self.seal();
            self.begin(bytes, must_stay_free)?;
        }
        let Some(active) = &mut self.active else { return Err(io::ErrorKind::NotFound.into()) };
        let batch = self.next_batch;
        self.next_batch = batch.saturating_add(1);
        let mut headers = Vec::with_capacity(records.len());
        let mut locations = Vec::with_capacity(records.len());
        let mut at = active.segment.end;
        for record in records {
            let place = self.store.place(active.number, at);
            let (header, head) = record.encode(&place, batch).map_err(io::Error::other)?;
            locations.push(header.location(&place));
            headers.push((header.encode(&place), head));
            at = at.saturating_add(record.bytes());
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for (record, (header, head)) in records.iter().zip(&headers) {
            parts.extend([header.as_slice(), head]);
            parts.push(padding(disk::bytes(HEADER_BYTES.saturating_add(head.len()))));
            parts.extend(record.body.iter().map(AsRef::<[u8]>::as_ref));
            parts.push(padding(record.stored_bytes()));
        }
        let ahead = active.ahead(at);
        for from in (0..ahead).step_by(disk::ZEROS.len()) {
            let zeros = disk::ZEROS.len().min(disk::size(ahead).saturating_sub(disk::size(from)));
            parts.push(disk::ZEROS.split_at(zeros).0);
        }
        active.written = active.written.max(at.saturating_add(ahead));
        let disk = &self.store.disk;
        let written = disk
            .write(&active.file, active.segment.end, &parts)
            .and_then(|()| disk.sync(&active.file));
        if let Err(error) = written {
            self.free = None;
            self.seal();
            return Err(error);
        }
        active.segment.records = active.segment.records.saturating_add(disk::bytes(records.len()));
        // An erasure may have changed what is known of it meanwhile.
        let kept = self.store.segment(active.number).unwrap_or_default().bytes_kept;
        active.segment.bytes_kept = kept.saturating_add(at.saturating_sub(active.segment.end));
        active.segment.end = at;
        active.segment.batch = batch;
        self.store.publish(active.number, active.segment);
        Ok(locations)
    }

    /// Begins a segment in which there is room for `bytes` beside its label.
    fn begin(&mut self, bytes: u64, must_stay_free: u64) -> io::Result<()> {
        let least = FIRST_RECORD_AT.saturating_add(bytes);
        self.free = None;
        let spare = self.free()?.saturating_sub(must_stay_free);
        if spare < least {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let reserved = self.limits.segment_bytes.min(spare).max(least);
        let number = self.next_segment;
        self.next_segment = number.saturating_add(1);
        let path = self.store.paths.segment(number);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let label = self.store.label(number).encode();
        let disk = &self.store.disk;
        let made = disk
            .allocate(&file, 0, reserved)
            .and_then(|()| disk.write(&file, 0, &[&label]))
            .and_then(|()| disk.sync(&file))
            .and_then(|()| sync_dir(&self.store.paths.segments));
        self.free = None;
        if let Err(error) = made {
            // Holds nothing; if it stays it is found empty when the archive is opened.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let segment =
            Segment { end: FIRST_RECORD_AT, bytes_kept: FIRST_RECORD_AT, ..Segment::default() };
        self.store.publish(number, segment);
        self.active = Some(Active {
            number,
            file: Arc::new(file),
            reserved,
            written: FIRST_RECORD_AT,
            segment,
        });
        Ok(())
    }

    /// Closes the active segment at its last good record. What fails here is done when the archive
    /// is next opened.
    pub(super) fn seal(&mut self) {
        let Some(active) = self.active.take() else { return };
        let disk = &self.store.disk;
        let cut =
            disk.truncate(&active.file, active.segment.end).and_then(|()| disk.sync(&active.file));
        if let Err(error) = cut {
            tracing::warn!(%error, segment = active.number, "archive cannot cut a segment");
            self.store.update(active.number, |segment| segment.sealed = true);
            return;
        }
        self.list_sealed(active.number);
    }

    fn list_sealed(&mut self, number: u64) {
        let Some(segment) = self.store.update(number, |segment| segment.sealed = true) else {
            return;
        };
        if let Err(error) = self.list.add(self.store.disk.as_ref(), &entry(number, &segment)) {
            tracing::warn!(%error, segment = number, "archive cannot list a sealed segment");
        }
    }

    /// Makes a segment of a spool file.
    fn adopt(
        &mut self,
        mut spool: SpoolFile,
        (digest, head): (Digest, &[u8]),
        cover: Option<&Cover>,
    ) -> Result<Location, Error> {
        // Its number must be above that of every record before it.
        self.seal();
        let number = self.next_segment;
        self.next_segment = number.saturating_add(1);
        let batch = self.next_batch;
        self.next_batch = batch.saturating_add(1);
        let body_at = SPOOL_BODY_AT.saturating_sub(FIRST_RECORD_AT);
        let place = self.store.place(number, FIRST_RECORD_AT);
        let lengths = ((body_at, spool.length), batch);
        let (header, head) = header(Kind::Object, (digest, head), lengths, (cover, &place))?;
        let Some((_, end)) = header.ends(FIRST_RECORD_AT) else { return Err(full()) };
        self.place_spool(&spool, (&header, &place), &head, end).map_err(|error| {
            tracing::warn!(%error, "archive refuses a large object");
            refusal(&error)
        })?;
        spool.kept = true;
        let segment = Segment { end, records: 1, bytes_kept: end, batch, sealed: true };
        self.store.publish(number, segment);
        self.list_sealed(number);
        Ok(header.location(&place))
    }

    fn place_spool(
        &self,
        spool: &SpoolFile,
        (header, place): (&Header, &Place),
        head: &[u8],
        end: u64,
    ) -> io::Result<()> {
        let disk = &self.store.disk;
        let number = place.segment;
        let label = self.store.label(number).encode();
        disk.truncate(&spool.file, end)?;
        disk.write(&spool.file, 0, &[&label, &header.encode(place), head])?;
        disk.sync(&spool.file)?;
        fs::rename(&spool.path, self.store.paths.segment(number))?;
        sync_dir(&self.store.paths.segments)
    }

    fn erase(&mut self, location: &Location, head: Vec<u8>) -> Result<(), Error> {
        let refused = |error: io::Error| refusal(&error);
        let header = self.store.header(location).map_err(refused)?;
        let header = header.filter(|h| h.kind == Kind::Object).ok_or_else(not_found)?;
        if header.erased() {
            return Ok(());
        }
        let failed = |fault| Error::internal("archive", fault);
        let cover = self.store.seals.as_ref().map(|seals| seals.cover());
        let digest = match header.seal {
            // In the head, which may be damaged.
            Some(_) => self.store.record(location).map_err(refused)?.map(|r| r.header.digest),
            None => None,
        };
        let record = Waiting {
            slot: (0, 0),
            kind: Kind::Erasure,
            digest: digest.unwrap_or(header.digest),
            head,
            body: Vec::new(),
            body_bytes: 0,
            cover: cover.transpose().map_err(failed)?,
        };
        self.store.tiers.erasing(location.segment);
        let done = self.erase_in(location, record);
        self.store.tiers.erasing(0);
        done.map_err(refused)?;
        self.free = None;
        if let Some(segment) = self.store.segment(location.segment).filter(|s| s.sealed) {
            let entry = entry(location.segment, &segment);
            if let Err(error) = self.list.add(self.store.disk.as_ref(), &entry) {
                tracing::warn!(%error, segment = location.segment, "archive cannot list an erasure");
            }
        }
        Ok(())
    }

    /// Writes an erasure down and carries it out.
    fn erase_in(&mut self, location: &Location, record: Waiting) -> io::Result<()> {
        // Makes room, and so may use what must otherwise stay free.
        let bytes = record.bytes();
        self.write(&[record], bytes, 0)?;
        let (tiers, disk) = (&self.store.tiers, self.store.disk.as_ref());
        tiers.taint(disk, location.segment)?;
        self.store.complete_erasure(location)?;
        // A copy may have been written down meanwhile.
        tiers.taint(disk, location.segment)
    }
}

impl Active {
    /// How many zeros a batch that ends at `end` takes along.
    fn ahead(&self, end: u64) -> u64 {
        let small = end.saturating_sub(self.segment.end) < AHEAD_BELOW_BYTES;
        if small && end > self.written {
            AHEAD_BYTES.min(self.reserved.saturating_sub(end))
        } else {
            0
        }
    }
}

impl Answer {
    fn send(self) {
        // Whoever has gone finds the object by its digest.
        match self {
            Self::Append { results, reply } => {
                let settled =
                    |result: Option<_>| result.unwrap_or_else(|| Err(super::error::gone()));
                let _ = reply.send(results.into_iter().map(settled).collect());
            }
            Self::Erase { result, reply } => {
                let _ = reply.send(result);
            }
        }
    }
}

fn settle(answers: &mut [Answer], (job, object): (usize, usize), with: Result<Location, Error>) {
    if let Some(Answer::Append { results, .. }) = answers.get_mut(job)
        && let Some(result) = results.get_mut(object)
    {
        *result = Some(with);
    }
}

/// Zeros up to the next multiple of 8.
fn padding(length: u64) -> &'static [u8] {
    let wanted = format::aligned(length).unwrap_or(length).saturating_sub(length);
    PADDING.get(..disk::size(wanted)).unwrap_or_default()
}

/// What the list says of a sealed segment.
pub(super) fn entry(number: u64, segment: &Segment) -> Entry {
    let Segment { end, records, bytes_kept, batch, .. } = *segment;
    Entry { number, end, records, bytes_kept, batch }
}
