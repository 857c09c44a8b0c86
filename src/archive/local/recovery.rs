//! Opening: what is sealed is taken from the list, what is not is walked and its tail put right.
//!
//! In the last batch of a segment that was being written the pages may have reached the disk in any
//! order, so there each body is compared with its digest as well. A record of it that fails was
//! never acknowledged: at the end it is cut off, before another it is marked as erased. What is cut
//! off and looks like a record is put aside under `torn/` first. Damage before the last batch is
//! left as it is and counted; the scrub says where it lies.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{self, Disk, sync_dir};
use super::error::{ArchiveError, Tried as _};
use super::format::{FIRST_RECORD_AT, Flaw, Key, Kind, LABEL_BYTES, Label, RECORD_MAGIC};
use super::list::{self, List};
use super::seal::{Eyes, Seals};
use super::store::{Paths, Record, Segment, Store};
use super::tier::Tiers;
use super::walk::{self, Step, Walk};
use super::writer::{Active, Limits, Writer, entry};
use crate::sharing::imaging::object::Location;
use crate::sharing::sealing::KeyId;

/// Bytes that are put aside of one torn tail at most.
const TORN_BYTES_MAX: u64 = 64 << 20;
/// Bytes compared and copied at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// What was found when the archive was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments.
    pub segments: u64,
    /// Records in them, erasures included.
    pub records: u64,
    /// Segments that were walked because the list did not tell where they end.
    pub walked: u64,
    /// Bytes of torn tails that were cut off.
    pub bytes_cut: u64,
    /// Files put aside under `torn/`.
    pub put_aside: u64,
    /// Records of a last batch whose bodies never reached the disk, now marked as erased.
    pub voided: u64,
    /// Stretches without a valid record before a valid one: damage.
    pub gaps: u64,
    /// Erasures that had been written down but not carried out.
    pub erasures_completed: u64,
    /// Left-over spool files removed.
    pub spools_removed: u64,
    /// Segments that the list names and that are not there.
    pub missing: u64,
}

/// What walking a segment found.
#[derive(Debug, Default)]
struct Walked {
    segment: Segment,
    /// Records of the last batch.
    last: Vec<Record>,
    /// With the number of the batch that each belongs to.
    erasures: Vec<(Location, u64)>,
    gaps: u64,
    /// Whether nothing but zeros follows its end.
    clean: bool,
}

/// Opens what is in `root`.
pub(super) fn recover(
    root: &Path,
    disk: Arc<dyn Disk>,
    limits: Limits,
    (free_bytes_min, seals): (u64, Option<Arc<Seals>>),
) -> Result<(Writer, Recovery), ArchiveError> {
    let paths = Paths::new(root);
    for dir in [&paths.segments, &paths.spool, &paths.torn] {
        fs::create_dir_all(dir).tried("create", dir)?;
    }
    sync_dir(root).tried("write", root)?;
    let numbers = numbers(&paths.segments)?;
    let listed = list::read(&paths.list)?;
    let label = match listed.label {
        Some(label) => {
            // An empty archive may become one that is sealed.
            let bare = listed.entries.is_empty() && numbers.is_empty();
            if !(bare && label.seal.is_none()) {
                may_open(&paths.list, label.seal, seals.as_deref())?;
            }
            label
        }
        None => find_label(&paths, &numbers, seals.as_deref())?,
    };
    let key = label.key;
    let seal = seals.as_ref().map(|seals| seals.newest());
    for number in numbers.iter().filter(|number| !listed.entries.contains_key(number)) {
        let path = paths.segment(*number);
        let file = File::open(&path).tried("open", &path)?;
        // One that cannot be read is looked at when it is put right.
        if let Ok(label) = self::label(&file) {
            may_open(&path, label.seal, seals.as_deref())?;
        }
    }
    let mut recovery = Recovery { spools_removed: clear(&paths.spool)?, ..Recovery::default() };
    let mut segments = BTreeMap::new();
    let mut unlisted = Vec::new();
    for number in &numbers {
        match listed.entries.get(number) {
            Some(entry) => {
                let (end, records) = (entry.end, entry.records);
                let (bytes_kept, batch) = (entry.bytes_kept, entry.batch);
                segments.insert(*number, Segment { end, records, bytes_kept, batch, sealed: true });
            }
            None => unlisted.push(*number),
        }
    }
    let gone = listed.entries.keys().filter(|number| !segments.contains_key(number)).count();
    recovery.missing = disk::bytes(gone);
    let list = if listed.untidy || label.seal.is_some() != seal.is_some() {
        let entries = segments.iter().map(|(number, segment)| entry(*number, segment));
        List::create(&paths.list, root, (key, seal), entries)?
    } else {
        List::open(&paths.list, key)?
    };
    let highest = numbers.iter().chain(listed.entries.keys()).max().copied().unwrap_or(0);
    let tiers = Tiers::open(paths.remote.clone(), root, key)?;
    let store = Arc::new(Store::new(paths, (key, seals), disk, free_bytes_min, (tiers, segments)));
    let mut writer = Writer {
        store,
        list,
        limits,
        active: None,
        next_segment: highest.saturating_add(1),
        next_batch: 1,
        free: None,
    };
    let mut erasures = Vec::new();
    for number in unlisted {
        erasures.extend(writer.put_right(number, number == highest, &mut recovery)?);
    }
    for (location, batch) in erasures {
        let tier = writer.store.tiers.get(location.segment);
        if tier.is_some_and(|tier| batch >= tier.as_of_batch) {
            // Its copy may have been written down between the erasure and the end.
            let tainted = writer.store.tiers.taint(writer.store.disk.as_ref(), location.segment);
            tainted.tried("write", &writer.store.paths.remote)?;
        }
        complete(&writer.store, &location, &mut recovery);
    }
    let mut from = 0;
    while let Some((number, segment)) = writer.store.segment_from(from) {
        recovery.segments = recovery.segments.saturating_add(1);
        recovery.records = recovery.records.saturating_add(segment.records);
        writer.next_batch = writer.next_batch.max(segment.batch.saturating_add(1));
        from = number.saturating_add(1);
    }
    Ok((writer, recovery))
}

/// Carries out an erasure; one that was marked may still have to give its room back.
fn complete(store: &Store, location: &Location, recovery: &mut Recovery) {
    let outcome = store.header(location).and_then(|header| {
        let Some(header) = header.filter(|header| header.kind == Kind::Object) else {
            return Ok(false);
        };
        store.complete_erasure(location)?;
        Ok(!header.erased())
    });
    match outcome {
        Ok(completed) => {
            recovery.erasures_completed =
                recovery.erasures_completed.saturating_add(u64::from(completed));
        }
        // The scrub tries again.
        Err(error) => tracing::warn!(%error, "archive cannot carry out an erasure"),
    }
}

/// Removes what is in the folder of spool files.
fn clear(dir: &Path) -> Result<u64, ArchiveError> {
    let mut removed = 0;
    for found in fs::read_dir(dir).tried("list", dir)? {
        let path = found.tried("list", dir)?.path();
        fs::remove_file(&path).tried("remove", &path)?;
        removed += 1;
    }
    Ok(removed)
}

/// The numbers of the segments in `dir`, in order. Files with other names are none of ours.
fn numbers(dir: &Path) -> Result<Vec<u64>, ArchiveError> {
    let mut numbers = Vec::new();
    for found in fs::read_dir(dir).tried("list", dir)? {
        let name = found.tried("list", dir)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        if let Some(digits) =
            number.filter(|n| n.len() == 16 && n.bytes().all(|b| b.is_ascii_digit()))
        {
            numbers.extend(digits.parse::<u64>());
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether what is sealed like this can be read, and may be written to. Asked before anything in the
/// archive is changed: with the wrong keys everything would look torn.
fn may_open(path: &Path, seal: Option<KeyId>, seals: Option<&Seals>) -> Result<(), ArchiveError> {
    let path = path.to_owned();
    match (seal, seals) {
        (Some(id), None) => Err(ArchiveError::Sealed { path, id }),
        (Some(id), Some(seals)) if !seals.has(id) => Err(ArchiveError::Key { path, id }),
        (Some(_), Some(_)) | (None, None) => Ok(()),
        (None, Some(_)) => Err(ArchiveError::Plain { path }),
    }
}

/// The label of an archive whose list is lost, with its key or a new one.
fn find_label(
    paths: &Paths,
    numbers: &[u64],
    seals: Option<&Seals>,
) -> Result<Label, ArchiveError> {
    for number in numbers {
        let path = paths.segment(*number);
        let file = File::open(&path).tried("open", &path)?;
        match label(&file) {
            Ok(label) => {
                may_open(&path, label.seal, seals)?;
                return Ok(label);
            }
            Err(Flaw::Version(found)) => return Err(ArchiveError::Version { path, found }),
            Err(_) => {}
        }
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(ArchiveError::Random)?;
    let seal = seals.map(Seals::newest);
    Ok(Label { number: 0, key: Key(random), seal })
}

/// The label of a segment.
pub(super) fn label(file: &File) -> Result<Label, Flaw> {
    let mut bytes = [0; LABEL_BYTES];
    disk::read_at(file, &mut bytes, 0).map_err(|_| Flaw::Unreadable)?;
    Label::decode(&bytes)
}

impl Writer {
    /// Walks a segment that the list does not know, cuts its tail, and seals it unless more can be
    /// written to it. Answers what was erased according to it.
    fn put_right(
        &mut self,
        number: u64,
        last: bool,
        recovery: &mut Recovery,
    ) -> Result<Vec<(Location, u64)>, ArchiveError> {
        let path = self.store.paths.segment(number);
        let file = File::options().read(true).write(true).open(&path).tried("open", &path)?;
        let length = file.metadata().tried("look at", &path)?.len();
        let labelled = match label(&file) {
            Err(Flaw::Version(found)) => return Err(ArchiveError::Version { path, found }),
            other => other.is_ok_and(|l| l.number == number && l.key == self.store.key),
        };
        let mut walked = walk_through(&file, self.store.eyes(), number, length);
        recovery.walked = recovery.walked.saturating_add(1);
        let copied = self.store.tiers.get(number);
        if copied.is_some_and(|tier| tier.away) {
            // What was copied was whole, and the bodies are not here to be compared.
            walked.last.clear();
        }
        while let Some(record) = walked.last.pop() {
            if walk::check_body(&file, &record, self.store.eyes().seals).is_ok() {
                walked.last.push(record);
                break;
            }
            walked.segment.end = record.place.offset;
            walked.segment.records = walked.segment.records.saturating_sub(1);
            walked.clean = false;
        }
        for record in walked.last.iter().rev().skip(1) {
            if walk::check_body(&file, record, self.store.eyes().seals).is_err() {
                let mark_at = record.place.offset.saturating_add(super::format::MARK_AT);
                self.store
                    .disk
                    .write(&file, mark_at, &[&super::format::MARK_ERASED])
                    .tried("write", &path)?;
                recovery.voided = recovery.voided.saturating_add(1);
            }
        }
        let end = walked.segment.end;
        let spotless =
            walked.clean || self.put_aside(&file, &path, (number, end, length), recovery)?;
        if walked.segment.records == 0 && !labelled {
            // Came to be just before the end, or holds nothing that can be used.
            fs::remove_file(&path).tried("remove", &path)?;
            sync_dir(&self.store.paths.segments).tried("write", &self.store.paths.segments)?;
            return Ok(Vec::new());
        }
        if !spotless {
            self.store.disk.truncate(&file, end).tried("cut", &path)?;
        }
        self.store.disk.sync(&file).tried("write", &path)?;
        recovery.gaps = recovery.gaps.saturating_add(walked.gaps);
        walked.segment.bytes_kept = walked.segment.bytes_kept.min(end);
        self.store.publish(number, walked.segment);
        self.active = Some(Active {
            number,
            file: Arc::new(file),
            reserved: self.limits.segment_bytes,
            written: end,
            segment: walked.segment,
        });
        let roomy = last && labelled && copied.is_none() && end < self.limits.segment_bytes;
        if !roomy || !self.reserve_again(end) {
            self.seal();
        }
        Ok(walked.erasures)
    }

    /// Reserves the rest of the active segment; false if there is no room.
    fn reserve_again(&self, end: u64) -> bool {
        let Some(active) = &self.active else { return false };
        let wanted = active.reserved.saturating_sub(end);
        let disk = &self.store.disk;
        let free = disk.free_bytes(&self.store.paths.segments).unwrap_or(0);
        free.saturating_sub(wanted) >= self.store.free_bytes_min
            && disk
                .allocate(&active.file, end, wanted)
                .and_then(|()| disk.sync(&active.file))
                .is_ok()
    }

    /// Counts the bytes from `end`, and keeps them if they look like records. True if there is
    /// nothing but zeros.
    fn put_aside(
        &self,
        file: &File,
        path: &Path,
        (number, end, length): (u64, u64, u64),
        recovery: &mut Recovery,
    ) -> Result<bool, ArchiveError> {
        let (torn_end, looks) = tail(file, end, length).tried("read", path)?;
        if torn_end == end {
            return Ok(true);
        }
        let cut = torn_end.saturating_sub(end);
        recovery.bytes_cut = recovery.bytes_cut.saturating_add(cut);
        if looks {
            let torn = self.store.paths.torn.join(format!("{number:016}-{end:012}.torn"));
            copy(file, end, cut.min(TORN_BYTES_MAX), &torn).tried("write", &torn)?;
            recovery.put_aside = recovery.put_aside.saturating_add(1);
        }
        Ok(false)
    }
}

fn walk_through(file: &File, eyes: Eyes<'_>, number: u64, length: u64) -> Walked {
    let end = FIRST_RECORD_AT;
    let mut walked = Walked {
        segment: Segment { end, bytes_kept: end, ..Segment::default() },
        clean: true,
        ..Walked::default()
    };
    let mut waiting_gap = false;
    for step in Walk::new(file, eyes, number, FIRST_RECORD_AT, length) {
        match step {
            Step::Gap { .. } => waiting_gap = true,
            Step::Record(record) => {
                if std::mem::take(&mut waiting_gap) {
                    walked.gaps = walked.gaps.saturating_add(1);
                }
                walked.add(*record);
            }
        }
    }
    walked.clean = !waiting_gap;
    walked
}

impl Walked {
    fn add(&mut self, record: Record) {
        let segment = &mut self.segment;
        let Some((_, end)) = record.header.ends(record.place.offset) else { return };
        let whole = end.saturating_sub(record.place.offset);
        let body = if record.header.erased() { record.header.stored_bytes() } else { 0 };
        segment.end = end;
        segment.records = segment.records.saturating_add(1);
        segment.bytes_kept = segment.bytes_kept.saturating_add(whole.saturating_sub(body));
        if record.header.batch != segment.batch {
            self.last.clear();
        }
        segment.batch = segment.batch.max(record.header.batch);
        if let Ok(Some(erasure)) = record.erasure() {
            self.erasures.push((erasure.location, record.header.batch));
        }
        self.last.push(record);
    }
}

/// Where the last byte that is not zero ends, from `from`, and whether something there looks like
/// a record.
fn tail(file: &File, from: u64, length: u64) -> io::Result<(u64, bool)> {
    let (mut at, mut end, mut looks) = (from, from, false);
    let mut chunk = vec![0; CHUNK_BYTES];
    while at < length {
        if let Ok(found) = walk::data_from(file, at) {
            let Some(data) = found else { break };
            at = data;
        }
        let read = disk::read_at(file, &mut chunk, at)?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            end = at.saturating_add(disk::bytes(last)).saturating_add(1);
        }
        looks |= part.windows(RECORD_MAGIC.len()).any(|bytes| bytes == RECORD_MAGIC);
        at = at.saturating_add(disk::bytes(read));
    }
    Ok((end.min(length), looks))
}

fn copy(file: &File, mut at: u64, mut left: u64, to: &Path) -> io::Result<()> {
    let mut out = File::create(to)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    while left > 0 {
        let want = chunk.len().min(disk::size(left));
        let Some(part) = chunk.get_mut(..want) else { break };
        let read = disk::read_at(file, part, at)?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
        io::Write::write_all(&mut out, part)?;
        at = at.saturating_add(disk::bytes(read));
        left = left.saturating_sub(disk::bytes(read));
    }
    out.sync_all()
}
