//! From record to record through a segment, over whatever is damaged in it.
//!
//! Where no valid record begins, the next one is searched for: an object that was acknowledged must
//! not be lost because the one before it is damaged.

use std::fs::File;
use std::io;

use rustix::fs::SeekFrom;
use sha2::{Digest as _, Sha256};

use super::disk::{self, read_at};
use super::format::{self, ALIGNMENT_BYTES, Flaw, HEADER_BYTES, Header, Kind, Place, RECORD_MAGIC};
use super::seal::{self, Eyes, Seals};
use super::store::Record;
use crate::sharing::imaging::object::Digest;
use crate::sharing::sealing::chunks;

/// Read at once for a header and most heads.
const READ_BYTES: usize = 4096;
/// Read at once in search of a record, and of a body that is checked.
const CHUNK_BYTES: usize = 256 * 1024;

/// A step through a segment.
#[derive(Debug)]
pub(super) enum Step {
    /// A record whose header and head are good.
    Record(Box<Record>),
    /// Bytes in which there is none.
    Gap {
        /// Where they begin.
        from: u64,
        /// Where a record begins again, or the end.
        to: u64,
        /// What is wrong with the first of them.
        flaw: Flaw,
    },
}

/// A way through a segment.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    file: &'a File,
    eyes: Eyes<'a>,
    segment: u64,
    at: u64,
    end: u64,
}

impl<'a> Walk<'a> {
    /// From byte `at` to byte `end` of `segment`.
    pub(super) fn new(file: &'a File, eyes: Eyes<'a>, segment: u64, at: u64, end: u64) -> Self {
        Self { file, eyes, segment, at, end }
    }
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.at >= self.end {
            return None;
        }
        let from = self.at;
        let place = Place { key: self.eyes.key, segment: self.segment, offset: from };
        match record_at(self.file, &place, self.end, self.eyes.seals) {
            Ok(record) => {
                let next = record.header.ends(from).map_or(self.end, |(_, next)| next);
                self.at = next.min(self.end);
                Some(Step::Record(Box::new(record)))
            }
            Err(flaw) => {
                self.at = match self.behind(&place).filter(|_| head_only(flaw)) {
                    Some(next) => next.min(self.end),
                    None => self.search(from.saturating_add(ALIGNMENT_BYTES)),
                };
                Some(Step::Gap { from, to: self.at, flaw })
            }
        }
    }
}

impl Walk<'_> {
    /// Where the record at `place` ends according to its header: a bad head makes no search.
    fn behind(&self, place: &Place) -> Option<u64> {
        let mut bytes = [0; HEADER_BYTES];
        read_at(self.file, &mut bytes, place.offset).ok()?;
        Header::read(&bytes, place).ok()?.ends(place.offset).map(|(_, next)| next)
    }

    /// Where a record with a valid header and head begins, at `from` or later; else the end.
    fn search(&self, from: u64) -> u64 {
        let Some(mut at) = format::aligned(from) else { return self.end };
        let mut chunk = vec![0; CHUNK_BYTES];
        while at < self.end {
            at = match data_from(self.file, at) {
                Ok(Some(data)) => data & !(ALIGNMENT_BYTES - 1),
                Ok(None) => return self.end,
                Err(_) => at,
            };
            // What the disk does not give is gone over.
            let read = read_at(self.file, &mut chunk, at).unwrap_or(CHUNK_BYTES);
            if read == 0 {
                return self.end;
            }
            for (i, eight) in chunk.chunks_exact(RECORD_MAGIC.len()).enumerate() {
                if eight == RECORD_MAGIC {
                    let offset = at.saturating_add(disk::bytes(i * RECORD_MAGIC.len()));
                    let place = Place { key: self.eyes.key, segment: self.segment, offset };
                    let record = || record_at(self.file, &place, self.end, self.eyes.seals);
                    if offset < self.end && record().is_ok() {
                        return offset;
                    }
                }
            }
            chunk.fill(0);
            at = at.saturating_add(disk::bytes(CHUNK_BYTES));
        }
        self.end
    }
}

/// The record at `place` in a segment that is good up to `end`; its body is not looked at.
pub(super) fn record_at(
    file: &File,
    place: &Place,
    end: u64,
    seals: Option<&Seals>,
) -> Result<Record, Flaw> {
    let mut bytes = [0; READ_BYTES];
    let read = read_at(file, &mut bytes, place.offset).map_err(|_| Flaw::Unreadable)?;
    let bytes = bytes.split_at_checked(read).ok_or(Flaw::Short)?.0;
    let mut header = Header::read(bytes, place)?;
    let (body_end, _) = header.ends(place.offset).ok_or(Flaw::Nonsense)?;
    if body_end > end {
        return Err(Flaw::Short);
    }
    // At most HEAD_BYTES_MAX: the header was looked at.
    let head_bytes = usize::try_from(header.head_bytes).map_err(|_| Flaw::Nonsense)?;
    let head_end = HEADER_BYTES.saturating_add(head_bytes);
    let mut head = if let Some(head) = bytes.get(HEADER_BYTES..head_end) {
        head.to_vec()
    } else {
        let at = place.offset.saturating_add(disk::bytes(HEADER_BYTES));
        disk::read_exact_at(file, head_bytes, at).map_err(|_| Flaw::Unreadable)?
    };
    if format::checksum(&[&head]) != header.head_checksum {
        return Err(Flaw::Head);
    }
    if let Some(sealer) = seal::sealer(seals, &header)? {
        (header.digest, head) = seal::open_head(&sealer, place, bytes, head)?;
    }
    match header.kind {
        Kind::Object => drop(format::decode_object(&head)?),
        Kind::Erasure => drop(format::decode_erasure(&head)?),
    }
    Ok(Record { header, place: *place, head })
}

/// Whether only the head of a record is bad: then its header says where the next one begins.
fn head_only(flaw: Flaw) -> bool {
    matches!(flaw, Flaw::Head | Flaw::Seal | Flaw::NoKey(_))
}

/// Whether a sealed body is what was received; `read` fills a part of the segment from a byte of it.
pub(super) fn check_sealed(
    record: &Record,
    seals: Option<&Seals>,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let (location, header) = (record.location(), &record.header);
    let mut hash = Sha256::new();
    let sealer = seal::sealer(seals, header)?.ok_or(Flaw::Nonsense)?;
    let (mut at, mut buffer) = (0_u64, Vec::new());
    // An empty body has a seal as well.
    loop {
        let range = at..at.saturating_add(disk::bytes(CHUNK_BYTES)).min(location.length);
        let span = chunks::span(location.length, &range).ok_or(Flaw::Nonsense)?;
        let there = &span.sealed;
        buffer.resize(disk::size(there.end.saturating_sub(there.start)), 0);
        read(location.body.saturating_add(there.start), &mut buffer)?;
        let opened = chunks::open(&sealer, &span, &mut buffer).map_err(|_| Flaw::Body)?;
        hash.update(buffer.get(opened).unwrap_or_default());
        at = range.end;
        if at >= location.length {
            break;
        }
    }
    if Digest(hash.finalize().into()) == header.digest { Ok(()) } else { Err(Flaw::Body) }
}

/// Whether the body of `record` is what was received; true of one that was erased.
pub(super) fn check_body(file: &File, record: &Record, seals: Option<&Seals>) -> Result<(), Flaw> {
    if record.header.kind == Kind::Erasure || record.header.erased() {
        return Ok(());
    }
    if record.header.seal.is_some() {
        return check_sealed(record, seals, |at, part| match read_at(file, part, at) {
            Ok(read) if read == part.len() => Ok(()),
            Ok(_) => Err(Flaw::Short),
            Err(_) => Err(Flaw::Unreadable),
        });
    }
    let location = record.location();
    let (mut at, mut left) = (location.body, location.length);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES.min(disk::size(left))];
    while left > 0 {
        let want = chunk.len().min(disk::size(left));
        let Some(part) = chunk.get_mut(..want) else { return Err(Flaw::Unreadable) };
        match read_at(file, part, at) {
            Ok(read) if read == want => hash.update(&*part),
            Ok(_) => return Err(Flaw::Short),
            Err(_) => return Err(Flaw::Unreadable),
        }
        at = at.saturating_add(disk::bytes(want));
        left = left.saturating_sub(disk::bytes(want));
    }
    if Digest(hash.finalize().into()) == record.header.digest { Ok(()) } else { Err(Flaw::Body) }
}

/// Where bytes that were ever written begin, at `at` or later; none if there are no more.
pub(super) fn data_from(file: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(found) => Ok(Some(found)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
