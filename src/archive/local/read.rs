//! Reading: a range of one object, and the objects in the order they came.

use std::ops::Range;

use bytes::Bytes;

use super::disk;
use super::error::{not_found, refusal};
use super::format::{self, FIRST_RECORD_AT, Flaw, HEADER_BYTES, Header, Kind};
use super::seal::{self, Opening};
use super::store::Store;
use super::tier::Tier;
use super::walk::{Step, Walk};
use crate::app::error::Error;
use crate::app::imaging::ports::ArchivedObject;
use crate::sharing::imaging::object::Location;

/// Bytes read at once at most.
pub(super) const READ_BYTES_MAX: usize = 256 << 20;
/// Objects listed at once at most.
pub(super) const OBJECTS_MAX: usize = 10_000;
/// Bytes of file meta groups listed at once, about: the object that reaches it is the last.
const META_BYTES_MAX: usize = 16 << 20;

/// Bytes read at once by whoever asks, at most: longer copies would keep others waiting.
const AT_ONCE_BYTES_MAX: u64 = 1 << 20;

/// Where bytes of a body are.
#[derive(Debug)]
pub(super) enum Found {
    /// Here they are.
    Here(Bytes),
    /// In the copy of the segment, at these places, sealed where it is.
    Away { tier: Tier, range: Range<u64>, opening: Option<Opening> },
}

/// Bytes `range` of the body at `location`, cut at its end.
pub(super) fn bytes(
    store: &Store,
    location: &Location,
    range: &Range<u64>,
) -> Result<Found, Error> {
    let start = range.start.min(location.length);
    let length = range.end.min(location.length).saturating_sub(start);
    if length > disk::bytes(READ_BYTES_MAX) {
        return Err(Error::TooLarge { bytes_max: READ_BYTES_MAX });
    }
    let known = store.segment(location.segment).ok_or_else(not_found)?;
    let end = location.body.checked_add(location.length).ok_or_else(not_found)?;
    if end > known.end {
        return Err(not_found());
    }
    let opening = match store.seals {
        Some(_) => opening(store, &not_erased(store, location)?, range)?,
        None => None,
    };
    let there = opening
        .as_ref()
        .map_or(start..start.saturating_add(length), |opening| opening.span.sealed.clone());
    let there = location.body.saturating_add(there.start)..location.body.saturating_add(there.end);
    let away = || store.tiers.get(location.segment).filter(|tier| tier.away);
    if let Some(tier) = away() {
        not_erased(store, location)?;
        return Ok(Found::Away { tier, range: there, opening });
    }
    let read = || {
        let file = store.file(location.segment)?;
        let length = there.end.saturating_sub(there.start);
        disk::read_exact_at(&file, disk::size(length), there.start)
    };
    let bytes = read().map_err(|error| refusal(&error))?;
    // The header after the body: a mark that is not there now was not there before.
    not_erased(store, location)?;
    // The holes may have been made while it was read.
    if let Some(tier) = away() {
        return Ok(Found::Away { tier, range: there, opening });
    }
    let bytes = Bytes::from(bytes);
    Ok(Found::Here(match opening {
        Some(opening) => opened(&opening, bytes, location)?,
        None => bytes,
    }))
}

/// What opens `range` of the body that follows `header`; none where it is not sealed.
fn opening(store: &Store, header: &Header, range: &Range<u64>) -> Result<Option<Opening>, Error> {
    let damaged = |flaw: Flaw| Error::internal("archive", flaw);
    let Some(sealer) = seal::sealer(store.seals.as_deref(), header).map_err(damaged)? else {
        return Ok(None);
    };
    Opening::new(sealer, header, range).map(Some).map_err(damaged)
}

/// The range of a body whose sealed bytes are here. What was altered is given to nobody.
pub(super) fn opened(
    opening: &Opening,
    sealed: Bytes,
    location: &Location,
) -> Result<Bytes, Error> {
    opening.opened(sealed).map_err(|fault| {
        tracing::error!(
            segment = location.segment,
            offset = location.offset,
            %fault,
            "an object is damaged and not given out; `xiangyi archive scrub` says which are"
        );
        Error::internal("archive", seal::flaw(&fault))
    })
}

/// Bytes `range` of the body at `location`, cut at its end, if they can be had without waiting for
/// the disk: mostly they can, and handing the work to another thread would take longer than doing
/// it. None: [`bytes`] has to look, and says what is wrong if something is.
pub(super) fn at_once(store: &Store, location: &Location, range: &Range<u64>) -> Option<Bytes> {
    let start = range.start.min(location.length);
    let length = range.end.min(location.length).saturating_sub(start);
    let segment = store.segment(location.segment)?;
    let end = location.body.checked_add(location.length)?;
    let head_end = location.offset.checked_add(disk::bytes(HEADER_BYTES))?;
    let away = || store.tiers.away(location.segment);
    if length > AT_ONCE_BYTES_MAX || end > segment.end || head_end > segment.end || away() {
        return None;
    }
    let file = store.open_file(location.segment)?;
    if store.seals.is_some() {
        let mut header = [0; HEADER_BYTES];
        disk::read_now(&file, &mut header, location.offset)?;
        let header = store.header_of(&header, location, &segment)?;
        if header.kind != Kind::Object || header.erased() {
            return None;
        }
        if let Some(sealer) = seal::sealer(store.seals.as_deref(), &header).ok()? {
            let opening = Opening::new(sealer, &header, range).ok()?;
            let sealed = &opening.span.sealed;
            let mut found = 0..0;
            let read = |to: &mut [u8]| {
                disk::read_now(&file, to, location.body.saturating_add(sealed.start))?;
                // Where it was erased, or holes were made, meanwhile, nothing opens.
                found = opening.open(to).ok()?;
                Some(())
            };
            let bytes = disk::size(sealed.end.saturating_sub(sealed.start));
            let bytes = store.buffers.filled(bytes, read)?;
            return Some(bytes.slice(found));
        }
    }
    let at = location.body.saturating_add(start);
    let read = |to: &mut [u8]| disk::read_now(&file, to, at);
    let bytes = store.buffers.filled(disk::size(length), read)?;
    // As in [`bytes`]: the header after the body, and then whether holes were made meanwhile.
    let mut header = [0; HEADER_BYTES];
    disk::read_now(&file, &mut header, location.offset)?;
    let header = store.header_of(&header, location, &segment)?;
    let stands = header.kind == Kind::Object && !header.erased() && !away();
    stands.then_some(bytes)
}

/// Fails unless an object stands at `location` that is not erased.
pub(super) fn not_erased(store: &Store, location: &Location) -> Result<Header, Error> {
    let header = store.header(location).map_err(|error| refusal(&error))?;
    match header {
        Some(header) if header.kind == Kind::Object && !header.erased() => Ok(header),
        Some(_) | None => Err(not_found()),
    }
}

/// The objects after the record at `after`; none only at the end.
pub(super) fn objects_after(
    store: &Store,
    after: Option<&Location>,
    limit: usize,
) -> Result<Vec<ArchivedObject>, Error> {
    page(store, after, limit, &mut || ())
}

/// [`objects_after`]; `looked` is called whenever it is known how far a segment goes, before it is walked.
pub(super) fn page(
    store: &Store,
    after: Option<&Location>,
    limit: usize,
    looked: &mut dyn FnMut(),
) -> Result<Vec<ArchivedObject>, Error> {
    let limit = limit.min(OBJECTS_MAX);
    if limit == 0 {
        return Ok(Vec::new());
    }
    let (mut found, mut meta_bytes) = (Vec::new(), 0_usize);
    let (mut number, mut at) = (0, FIRST_RECORD_AT);
    if let Some(after) = after {
        number = after.segment;
        let known = store.header(after).map_err(|error| refusal(&error))?;
        let next = known.and_then(|header| header.ends(after.offset)).map(|(_, next)| next);
        // Where nothing fits it any more, the next valid record behind its beginning is searched.
        let behind = || format::aligned(after.offset.saturating_add(1)).unwrap_or(u64::MAX);
        at = next.unwrap_or_else(behind).max(FIRST_RECORD_AT);
    }
    let mut next = store.segment_from(number);
    while let Some((there, _)) = next {
        // What comes after a segment is looked for before its end is: where something does, nothing more is
        // added to it. Otherwise the page ends here, whatever was begun meanwhile: what was added to the end
        // of this segment while it was walked would be passed over.
        next = store.segment_from(there.saturating_add(1));
        let segment = store.segment(there).unwrap_or_default();
        looked();
        let resumes = after.is_some_and(|after| after.segment == there);
        let from = if resumes { at } else { FIRST_RECORD_AT };
        if from < segment.end {
            let file = match store.file(there) {
                Ok(file) => file,
                // Its loss must not hide what came after it; the scrub reports it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(refusal(&error)),
            };
            let steps = Walk::new(&file, store.eyes(), there, from, segment.end);
            let objects = steps.filter_map(|step| match step {
                Step::Record(record) => record.object(),
                Step::Gap { .. } => None,
            });
            for object in objects {
                meta_bytes = meta_bytes.saturating_add(object.head.meta.len());
                found.push(object);
                if found.len() >= limit || meta_bytes >= META_BYTES_MAX {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}
