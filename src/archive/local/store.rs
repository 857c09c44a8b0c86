//! What the writer, the readers and the scrub share: which segments there are, how far each is
//! known to be good, and a few open files.
//!
//! Nobody reads beyond the end that the writer has published, and it publishes after the sync.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::buffers::Buffers;
use super::disk::{self, Disk};
use super::format::{self, Flaw, HEADER_BYTES, Header, Key, Kind, Label, Place};
use super::seal::{Eyes, Seals};
use super::tier::Tiers;
use super::walk;
use crate::app::imaging::ports::{ArchivedObject, RemoteUsage};
use crate::sharing::imaging::object::Location;

/// Segments whose files stay open.
const HANDLES_MAX: usize = 64;

/// The files of an archive.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) root: PathBuf,
    pub(super) segments: PathBuf,
    pub(super) spool: PathBuf,
    pub(super) torn: PathBuf,
    pub(super) list: PathBuf,
    pub(super) remote: PathBuf,
}

/// What is known of a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where its last good record ends.
    pub(super) end: u64,
    /// Records in it.
    pub(super) records: u64,
    /// Its length without erased bodies.
    pub(super) bytes_kept: u64,
    /// Number of its last batch.
    pub(super) batch: u64,
    /// Whether nothing more is written to it.
    pub(super) sealed: bool,
}

/// A record with its head.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) header: Header,
    pub(super) place: Place,
    pub(super) head: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) paths: Paths,
    pub(super) key: Key,
    pub(super) seals: Option<Arc<Seals>>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) free_bytes_min: u64,
    pub(super) tiers: Tiers,
    pub(super) buffers: Arc<Buffers>,
    segments: RwLock<BTreeMap<u64, Segment>>,
    handles: Mutex<Vec<(u64, Arc<File>)>>,
}

impl Paths {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            segments: root.join("segments"),
            spool: root.join("spool"),
            torn: root.join("torn"),
            list: root.join("sealed"),
            remote: root.join("remote"),
            root: root.to_owned(),
        }
    }

    /// Named by its number and nothing else.
    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.segments.join(format!("{number:016}.seg"))
    }
}

impl Store {
    pub(super) fn new(
        paths: Paths,
        (key, seals): (Key, Option<Arc<Seals>>),
        disk: Arc<dyn Disk>,
        free_bytes_min: u64,
        (tiers, segments): (Tiers, BTreeMap<u64, Segment>),
    ) -> Self {
        Self {
            paths,
            key,
            seals,
            disk,
            free_bytes_min,
            tiers,
            buffers: Arc::default(),
            segments: RwLock::new(segments),
            handles: Mutex::default(),
        }
    }

    /// What it is read with.
    pub(super) fn eyes(&self) -> Eyes<'_> {
        Eyes { key: self.key, seals: self.seals.as_deref() }
    }

    /// The label of a segment that begins now.
    pub(super) fn label(&self, number: u64) -> Label {
        let seal = self.seals.as_ref().map(|seals| seals.newest());
        Label { number, key: self.key, seal }
    }

    pub(super) fn place(&self, segment: u64, offset: u64) -> Place {
        Place { key: self.key, segment, offset }
    }

    pub(super) fn segment(&self, number: u64) -> Option<Segment> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }

    /// The first segment whose number is `number` or more.
    pub(super) fn segment_from(&self, number: u64) -> Option<(u64, Segment)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.range(number..).next().map(|(number, segment)| (*number, *segment))
    }

    /// Segments and bytes kept in them.
    pub(super) fn totals(&self) -> (u64, u64) {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let kept = segments.values().fold(0_u64, |sum, s| sum.saturating_add(s.bytes_kept));
        (disk::bytes(segments.len()), kept)
    }

    /// Number of the next batch, or one before: erasures that are not published yet have it or a
    /// later one.
    pub(super) fn next_batch(&self) -> u64 {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.values().map(|s| s.batch).max().unwrap_or(0).saturating_add(1)
    }

    /// Bytes kept in segments whose bodies are on the disk.
    pub(super) fn local_bytes(&self) -> u64 {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let here = segments.iter().filter(|(number, _)| !self.tiers.away(**number));
        here.fold(0_u64, |sum, (_, s)| sum.saturating_add(s.bytes_kept))
    }

    /// What there is of copies.
    pub(super) fn remote_usage(&self) -> RemoteUsage {
        let mut usage = RemoteUsage {
            failing: self.tiers.failing.load(Ordering::Acquire),
            ..RemoteUsage::default()
        };
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        for (number, segment) in segments.iter() {
            let tier = self.tiers.get(*number);
            let kept = segment.bytes_kept;
            match tier {
                None if segment.sealed => usage.waiting_bytes += kept,
                None => {}
                Some(tier) => {
                    usage.segments += 1;
                    usage.bytes = usage.bytes.saturating_add(tier.length);
                    usage.tainted_segments += u64::from(tier.tainted || tier.stale != 0);
                    if tier.away {
                        usage.away_bytes = usage.away_bytes.saturating_add(kept);
                    }
                }
            }
        }
        usage
    }

    pub(super) fn publish(&self, number: u64, segment: Segment) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).insert(number, segment);
    }

    /// Changes what is known of a segment and tells what it is then.
    pub(super) fn update(&self, number: u64, change: impl FnOnce(&mut Segment)) -> Option<Segment> {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let segment = segments.get_mut(&number)?;
        change(segment);
        Some(*segment)
    }

    /// The file of a segment, if it is open.
    pub(super) fn open_file(&self, number: u64) -> Option<Arc<File>> {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let at = handles.iter().position(|(there, _)| *there == number)?;
        let found = handles.remove(at);
        let file = Arc::clone(&found.1);
        handles.insert(0, found);
        Some(file)
    }

    /// The file of a segment, opened for reading and writing.
    pub(super) fn file(&self, number: u64) -> io::Result<Arc<File>> {
        if let Some(file) = self.open_file(number) {
            return Ok(file);
        }
        let path = self.paths.segment(number);
        let file = Arc::new(File::options().read(true).write(true).open(path)?);
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.insert(0, (number, Arc::clone(&file)));
        handles.truncate(HANDLES_MAX);
        Ok(file)
    }

    /// The header that stands at `location`, if a record stands there that fits it.
    pub(super) fn header(&self, location: &Location) -> io::Result<Option<Header>> {
        let Some(segment) = self.segment(location.segment) else { return Ok(None) };
        let within = location.offset.saturating_add(disk::bytes(HEADER_BYTES)) <= segment.end;
        if !within {
            return Ok(None);
        }
        let file = self.file(location.segment)?;
        let mut bytes = [0; HEADER_BYTES];
        if disk::read_at(&file, &mut bytes, location.offset)? < HEADER_BYTES {
            return Ok(None);
        }
        Ok(self.header_of(&bytes, location, &segment))
    }

    /// The header that these bytes are, if a record at `location` begins with it.
    pub(super) fn header_of(
        &self,
        bytes: &[u8; HEADER_BYTES],
        location: &Location,
        segment: &Segment,
    ) -> Option<Header> {
        let place = self.place(location.segment, location.offset);
        let fits = |header: &Header| {
            header.location(&place) == *location
                && header.ends(location.offset).is_some_and(|(end, _)| end <= segment.end)
        };
        Header::read(bytes, &place).ok().filter(fits)
    }

    /// The record of an object at `location`.
    pub(super) fn object(&self, location: &Location) -> io::Result<Option<ArchivedObject>> {
        Ok(self.record(location)?.and_then(|record| record.object()))
    }

    /// The record at `location`.
    pub(super) fn record(&self, location: &Location) -> io::Result<Option<Record>> {
        if self.header(location)?.is_none() {
            return Ok(None);
        }
        let Some(segment) = self.segment(location.segment) else { return Ok(None) };
        let file = self.file(location.segment)?;
        let place = self.place(location.segment, location.offset);
        Ok(walk::record_at(&file, &place, segment.end, self.seals.as_deref()).ok())
    }

    /// Marks the record at `location` as erased and gives the room of its body back. May be done
    /// again at any time.
    pub(super) fn complete_erasure(&self, location: &Location) -> io::Result<()> {
        let Some(header) = self.header(location)? else { return Ok(()) };
        let file = self.file(location.segment)?;
        // The mark first: whoever reads while the hole is punched finds it afterwards.
        let mark_at = location.offset.saturating_add(format::MARK_AT);
        self.disk.write(&file, mark_at, &[&format::MARK_ERASED])?;
        self.disk.sync(&file)?;
        self.disk.punch(&file, location.body, header.stored_bytes())?;
        self.disk.sync(&file)?;
        if !header.erased() {
            self.update(location.segment, |segment| {
                let gone = header.stored_bytes();
                segment.bytes_kept = segment.bytes_kept.saturating_sub(gone);
            });
        }
        Ok(())
    }
}

impl Record {
    pub(super) fn location(&self) -> Location {
        self.header.location(&self.place)
    }

    /// As others see it, if it is an object.
    pub(super) fn object(&self) -> Option<ArchivedObject> {
        match self.header.kind {
            Kind::Object => Some(ArchivedObject {
                digest: self.header.digest,
                head: format::decode_object(&self.head).ok()?,
                location: self.location(),
                erased: self.header.erased(),
            }),
            Kind::Erasure => None,
        }
    }

    /// What it erased, if it is an erasure.
    pub(super) fn erasure(&self) -> Result<Option<format::Erasure>, Flaw> {
        match self.header.kind {
            Kind::Object => Ok(None),
            Kind::Erasure => format::decode_erasure(&self.head).map(Some),
        }
    }
}
