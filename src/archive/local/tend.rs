//! Looking after the copies of segments in a remote store: sealed segments are put there whole, read
//! back and compared; copies that have erased bodies are made anew; bodies leave the disk when more
//! is on it than may be, the oldest segments first, and only after all that.
//!
//! Each step can be cut short anywhere and is done again: a copy has a generation in its name, what
//! is put but not written down is put again under the same name, and a generation that is still to be
//! deleted is written down until it is.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::disk;
use super::format::{self, FIRST_RECORD_AT, Key, Kind};
use super::store::{Segment, Store};
use super::tier::Tier;
use super::walk::{Step, Walk};
use crate::archive::remote::{Blobs, RemoteError};

/// Bytes put and read back at once; S3 wants 5 MiB at least, and 10,000 parts at most.
const PART_BYTES: u64 = 16 << 20;
/// Bytes read of a body at once.
pub(super) const RANGE_BYTES: u64 = 8 << 20;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tended {
    /// Segments that were put for the first time.
    pub put: u64,
    /// Copies that were made anew because bodies were erased.
    pub replaced: u64,
    /// Segments whose bodies left the disk.
    pub away: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Tender {
    store: Arc<Store>,
    blobs: Arc<dyn Blobs>,
    local_bytes_max: Option<u64>,
}

/// Where the parts of a record lie.
#[derive(Debug, Clone, Copy)]
struct Laid {
    /// Where it begins.
    at: u64,
    /// Its body.
    body: (u64, u64),
    erased: bool,
}

/// Name of a copy: nothing in it tells the key.
pub(super) fn name(key: Key, number: u64, generation: u64) -> String {
    let sum = format::checksum(&[b"archive", &key.0]);
    let mut archive = String::new();
    for byte in sum.iter().take(8) {
        // Writing to a text does not fail.
        let _ = write!(archive, "{byte:02x}");
    }
    format!("{archive}/{number:016}-{generation:08}.seg")
}

/// Bytes `range` of a copy, some at a time.
pub(super) async fn fetch(
    blobs: &dyn Blobs,
    name: &str,
    range: Range<u64>,
) -> Result<Bytes, RemoteError> {
    if range.end.saturating_sub(range.start) <= RANGE_BYTES {
        return blobs.range(name, range).await;
    }
    let mut all = Vec::with_capacity(disk::size(range.end.saturating_sub(range.start)));
    let mut at = range.start;
    while at < range.end {
        let end = at.saturating_add(RANGE_BYTES).min(range.end);
        all.extend_from_slice(&blobs.range(name, at..end).await?);
        at = end;
    }
    Ok(all.into())
}

impl Tender {
    pub(super) fn new(
        store: Arc<Store>,
        blobs: Arc<dyn Blobs>,
        local_bytes_max: Option<u64>,
    ) -> Self {
        Self { store, blobs, local_bytes_max }
    }

    /// One round over all segments. What the store refuses is tried in the next one.
    pub async fn tend(&self) -> Result<Tended, RemoteError> {
        let done = self.round().await;
        self.store.tiers.failing.store(done.is_err(), Ordering::Release);
        done
    }

    async fn round(&self) -> Result<Tended, RemoteError> {
        let mut tended = Tended::default();
        let (mut from, mut failed) = (0, None);
        while let Some((number, segment)) = self.store.segment_from(from) {
            from = number.saturating_add(1);
            match self.segment(number, segment, &mut tended).await {
                Ok(()) => {}
                // The next one would wait for the same.
                Err(error @ RemoteError::Store(_)) => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        tended.away = self.make_room().await?;
        failed.map_or(Ok(tended), Err)
    }

    /// Does what is to be done with the copy of a segment.
    async fn segment(
        &self,
        number: u64,
        segment: Segment,
        tended: &mut Tended,
    ) -> Result<(), RemoteError> {
        let tier = self.store.tiers.get(number);
        if let Some(tier) = tier.filter(|tier| tier.stale != 0) {
            self.delete_stale(&tier).await?;
        }
        if tier.is_some_and(|tier| tier.away && !tier.punched) {
            self.punch(number).await?;
        }
        match tier {
            None if segment.sealed => {
                self.put(number, segment, None).await?;
                tended.put += 1;
            }
            Some(tier) if tier.tainted => {
                self.put(number, segment, Some(tier)).await?;
                tended.replaced += 1;
            }
            None | Some(_) => {}
        }
        Ok(())
    }

    fn name(&self, number: u64, generation: u64) -> String {
        name(self.store.key, number, generation)
    }

    /// Puts a segment as the next generation of its copy, reads it back and writes it down.
    async fn put(
        &self,
        number: u64,
        segment: Segment,
        before: Option<Tier>,
    ) -> Result<(), RemoteError> {
        let as_of_batch = self.store.next_batch();
        let laid = self.blocking(move |store| layout(store, number, segment.end)).await?;
        let generation = before.map_or(1, |tier| tier.generation.saturating_add(1));
        let name = self.name(number, generation);
        let length = segment.end;
        let mut putting = self.blobs.put(&name).await?;
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < length {
            let end = at.saturating_add(PART_BYTES).min(length);
            let put = match self.part(number, before, &laid, at..end).await {
                Ok(part) => {
                    hash.update(&part);
                    putting.part(part).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = put {
                putting.abort().await;
                return Err(error);
            }
            at = end;
        }
        putting.complete().await?;
        let sha256: [u8; 32] = hash.finalize().into();
        self.read_back(&name, length, sha256).await?;
        self.blocking(move |store| {
            store.tiers.say(store.disk.as_ref(), number, |there, erasing| {
                let kept = store.segment(number).map(|s| s.bytes_kept);
                Some(Tier {
                    number,
                    away: there.is_some_and(|tier| tier.away),
                    tainted: erasing || kept != Some(segment.bytes_kept),
                    punched: there.is_some_and(|tier| tier.punched),
                    generation,
                    stale: there.map_or(0, |tier| tier.generation),
                    length,
                    sha256,
                    as_of_batch,
                })
            })
        })
        .await?;
        match self.store.tiers.get(number).filter(|tier| tier.stale != 0) {
            Some(tier) => self.delete_stale(&tier).await,
            None => Ok(()),
        }
    }

    /// Bytes `range` of a segment as its copy is to have them: without what was erased.
    async fn part(
        &self,
        number: u64,
        before: Option<Tier>,
        laid: &[Laid],
        range: Range<u64>,
    ) -> Result<Bytes, RemoteError> {
        let Range { start, end } = range;
        let local = self
            .blocking(move |store| {
                let file = store.file(number)?;
                disk::read_exact_at(&file, disk::size(end.saturating_sub(start)), start)
            })
            .await?;
        let Some(tier) = before.filter(|tier| tier.away) else { return Ok(local.into()) };
        let name = self.name(number, tier.generation);
        let mut bytes = fetch(self.blobs.as_ref(), &name, start..end).await?.to_vec();
        for record in laid {
            // The head with its mark is the one on the disk.
            copy(&mut bytes, start, (record.at, record.body.0), Some(&local));
            if record.erased {
                copy(&mut bytes, start, record.body, None);
            }
        }
        Ok(bytes.into())
    }

    /// Compares a copy with what was put, byte by byte in effect.
    async fn read_back(
        &self,
        name: &str,
        length: u64,
        sha256: [u8; 32],
    ) -> Result<(), RemoteError> {
        let changed = || RemoteError::Changed { name: name.to_owned() };
        if self.blobs.length(name).await? != length {
            return Err(changed());
        }
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < length {
            let end = at.saturating_add(PART_BYTES).min(length);
            hash.update(fetch(self.blobs.as_ref(), name, at..end).await?);
            at = end;
        }
        let found: [u8; 32] = hash.finalize().into();
        if found == sha256 { Ok(()) } else { Err(changed()) }
    }

    async fn delete_stale(&self, tier: &Tier) -> Result<(), RemoteError> {
        let (number, stale) = (tier.number, tier.stale);
        self.blobs.delete(&self.name(number, stale)).await?;
        self.blocking(move |store| {
            store.tiers.say(store.disk.as_ref(), number, |there, _| {
                let there = there.filter(|tier| tier.stale == stale)?;
                Some(Tier { stale: 0, ..there })
            })
        })
        .await
    }

    /// Bodies of the oldest segments leave the disk until no more is on it than may be.
    async fn make_room(&self) -> Result<u64, RemoteError> {
        let Some(bytes_max) = self.local_bytes_max else { return Ok(0) };
        let mut gone = 0;
        for tier in self.store.tiers.all() {
            if self.store.local_bytes() <= bytes_max {
                break;
            }
            if tier.away || tier.tainted {
                continue;
            }
            let number = tier.number;
            self.blocking(move |store| {
                store.tiers.say(store.disk.as_ref(), number, |there, erasing| {
                    let clean = there.filter(|tier| !tier.tainted && !erasing)?;
                    Some(Tier { away: true, punched: false, ..clean })
                })
            })
            .await?;
            if self.store.tiers.away(number) {
                self.punch(number).await?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Makes holes where the bodies of a segment are whose copy has them.
    async fn punch(&self, number: u64) -> Result<(), RemoteError> {
        self.blocking(move |store| {
            let Some(segment) = store.segment(number) else { return Ok(()) };
            let file = store.file(number)?;
            for record in layout(store, number, segment.end)? {
                let (from, to) = record.body;
                store.disk.punch(&file, from, to.saturating_sub(from))?;
            }
            store.disk.sync(&file)?;
            store.tiers.say(store.disk.as_ref(), number, |there, _| {
                there.map(|tier| Tier { punched: true, ..tier })
            })
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(io::Error::other)??)
    }
}

/// Where the records of a segment lie.
fn layout(store: &Store, number: u64, end: u64) -> io::Result<Vec<Laid>> {
    let file = store.file(number)?;
    let mut laid = Vec::new();
    for step in Walk::new(&file, store.eyes(), number, FIRST_RECORD_AT, end) {
        let Step::Record(record) = step else { continue };
        if record.header.kind == Kind::Erasure {
            continue;
        }
        let location = record.location();
        let body = (location.body, location.body.saturating_add(record.header.stored_bytes()));
        laid.push(Laid { at: record.place.offset, body, erased: record.header.erased() });
    }
    Ok(laid)
}

/// Copies `what` of the segment from `local` into `bytes`, both of which begin at `start`; zeros
/// without it.
fn copy(bytes: &mut [u8], start: u64, what: (u64, u64), local: Option<&[u8]>) {
    let end = start.saturating_add(disk::bytes(bytes.len()));
    let (from, to) = (what.0.clamp(start, end), what.1.clamp(start, end));
    let range = disk::size(from.saturating_sub(start))..disk::size(to.saturating_sub(start));
    let Some(into) = bytes.get_mut(range.clone()) else { return };
    match local.and_then(|local| local.get(range)) {
        Some(local) => into.copy_from_slice(local),
        None => into.fill(0),
    }
}
