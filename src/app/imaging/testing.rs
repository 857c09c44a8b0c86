//! An archive and an index in memory, that fail when told to.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};

use super::custody::{
    Begun, Custody, ErasedObject, Erasure, Evictions, Hold, HoldQuery, Lifted, NewErasure, NewHold,
    Placed,
};
use super::holdings::{CopyTotals, HeldCopy, Holdings, StudyCopies};
use super::ports::{
    Archive, ArchivedObject, Body, Change, ChangeKind, IndexCounts, IndexEntry, IndexedInstance,
    KnownObject, NewObject, Selection, Spool, StudyIndex, Usage,
};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::{Digest, Location};
use crate::sharing::imaging::query::{Match, Matching, Query};

/// Objects in a list; the offset of a location is the place in it.
#[derive(Debug, Default)]
pub(super) struct MemoryArchive {
    pub(super) objects: Mutex<Vec<(ArchivedObject, Bytes)>>,
    pub(super) full: AtomicBool,
    pub(super) appends: AtomicUsize,
}

/// Entries in a list.
#[derive(Debug, Default)]
pub(super) struct MemoryIndex {
    pub(super) entries: Mutex<Vec<IndexEntry>>,
    pub(super) broken: AtomicBool,
    /// The next addition fails, as soon as this archive has been written to so often.
    pub(super) fails_after: Mutex<Option<(Arc<MemoryArchive>, usize)>>,
    /// Tells that additions were undone.
    pub(super) undone: tokio::sync::Notify,
    /// The next addition finds that the last one was undone, tells so, and is refused unless
    /// somebody asks meanwhile how far the index reaches.
    pub(super) undoes: AtomicBool,
    /// How often that was asked.
    pub(super) asked: AtomicUsize,
}

#[derive(Debug, Default)]
struct MemorySpool(BytesMut);

fn lost(what: &'static str) -> Error {
    Error::Unavailable { what, cause: None }
}

fn now<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

impl Spool for MemorySpool {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        self.0.extend_from_slice(&chunk);
        now(Ok(()))
    }

    fn length(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap()
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send> {
        self
    }
}

impl Archive for MemoryArchive {
    fn append(&self, batch: Vec<NewObject>) -> BoxFuture<'_, Vec<Result<Location, Error>>> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        if self.full.load(Ordering::Relaxed) {
            return now(batch.iter().map(|_| Err(lost("archive"))).collect());
        }
        let mut objects = self.objects.lock().unwrap();
        let locations = batch
            .into_iter()
            .map(|object| {
                let bytes = match object.body {
                    Body::Memory(parts) => Bytes::from(parts.concat()),
                    Body::Spooled(spool) => {
                        spool.into_any().downcast::<MemorySpool>().unwrap().0.freeze()
                    }
                };
                let offset = u64::try_from(objects.len()).unwrap();
                let length = u64::try_from(bytes.len()).unwrap();
                let location = Location { segment: 1, offset, body: 0, length };
                let (digest, head) = (object.digest, object.head);
                objects.push((ArchivedObject { digest, head, location, erased: false }, bytes));
                Ok(location)
            })
            .collect();
        now(locations)
    }

    fn spool(&self) -> BoxFuture<'_, Result<Box<dyn Spool>, Error>> {
        now(Ok(Box::<MemorySpool>::default()))
    }

    fn read(&self, location: Location, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, Error>> {
        let objects = self.objects.lock().unwrap();
        let bytes = &objects[usize::try_from(location.offset).unwrap()].1;
        let end = usize::try_from(range.end).unwrap().min(bytes.len());
        now(Ok(bytes.slice(usize::try_from(range.start).unwrap().min(end)..end)))
    }

    fn object(&self, location: Location) -> BoxFuture<'_, Result<Option<ArchivedObject>, Error>> {
        let objects = self.objects.lock().unwrap();
        now(Ok(objects.get(usize::try_from(location.offset).unwrap()).map(|o| o.0.clone())))
    }

    fn objects_after(
        &self,
        after: Option<Location>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ArchivedObject>, Error>> {
        let skip = after.map_or(0, |l| usize::try_from(l.offset).unwrap() + 1);
        let objects = self.objects.lock().unwrap();
        now(Ok(objects.iter().skip(skip).take(limit).map(|o| o.0.clone()).collect()))
    }

    fn erase<'a>(&'a self, location: Location, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        let mut objects = self.objects.lock().unwrap();
        let object = &mut objects[usize::try_from(location.offset).unwrap()];
        object.0.erased = true;
        object.1 = Bytes::new();
        now(Ok(()))
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, Error>> {
        now(Ok(Usage::default()))
    }
}

impl StudyIndex for MemoryIndex {
    fn known(&self, instances: Vec<String>) -> BoxFuture<'_, Result<Vec<Vec<KnownObject>>, Error>> {
        let mut by_uid: HashMap<String, Vec<KnownObject>> = HashMap::new();
        for entry in self.entries.lock().unwrap().iter() {
            by_uid.entry(entry.head.uids.instance.clone()).or_default().push(KnownObject {
                digest: entry.digest,
                sop_class: entry.head.sop_class.clone(),
                transfer_syntax: entry.head.transfer_syntax.clone(),
                uids: entry.head.uids.clone(),
                location: entry.location,
                apart: entry.apart,
            });
        }
        let known = |uid: &String| by_uid.get(uid).cloned().unwrap_or_default();
        now(Ok(instances.iter().map(known).collect()))
    }

    fn add(&self, entries: Vec<IndexEntry>) -> BoxFuture<'_, Result<(), Error>> {
        if self.broken.load(Ordering::Relaxed) {
            return now(Err(lost("index")));
        }
        if let Some((archive, appends)) = self.fails_after.lock().unwrap().take() {
            return Box::pin(async move {
                while archive.appends.load(Ordering::Relaxed) < appends {
                    tokio::task::yield_now().await;
                }
                Err(lost("index"))
            });
        }
        if self.undoes.swap(false, Ordering::Relaxed) {
            return Box::pin(async move {
                self.entries.lock().unwrap().pop();
                let asked = self.asked.load(Ordering::Relaxed);
                self.undone.notify_one();
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                if self.asked.load(Ordering::Relaxed) == asked {
                    return Err(lost("index"));
                }
                self.entries.lock().unwrap().extend(entries);
                Ok(())
            });
        }
        self.entries.lock().unwrap().extend(entries);
        now(Ok(()))
    }

    fn reached(&self) -> BoxFuture<'_, Result<Option<Location>, Error>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        now(Ok(self.entries.lock().unwrap().iter().map(|e| e.location).max()))
    }

    fn undone(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.undone.notified())
    }

    /// By SOP instance UIDs only.
    fn find(&self, query: Query) -> BoxFuture<'_, Result<Vec<Match>, Error>> {
        let wanted: Vec<String> = query
            .conditions
            .iter()
            .filter(|condition| condition.tag == dicom_dictionary_std::tags::SOP_INSTANCE_UID)
            .flat_map(|condition| match &condition.matching {
                Matching::AnyOf(uids) => uids.clone(),
                Matching::Single(_)
                | Matching::Wildcard(_)
                | Matching::Range { .. }
                | Matching::Fuzzy(_) => Vec::new(),
            })
            .collect();
        let entries = self.entries.lock().unwrap();
        let found = entries
            .iter()
            .filter(|e| !e.apart && wanted.contains(&e.head.uids.instance))
            .map(|e| Match { header: e.header.clone(), ..Match::default() });
        now(Ok(found.collect()))
    }

    /// By SOP instance UIDs only.
    fn instances(
        &self,
        selection: Selection,
        _: u64,
        _: u64,
    ) -> BoxFuture<'_, Result<Vec<IndexedInstance>, Error>> {
        let entries = self.entries.lock().unwrap();
        let found = entries
            .iter()
            .filter(|e| !e.apart && selection.instances.contains(&e.head.uids.instance))
            .map(|e| IndexedInstance {
                uids: e.head.uids.clone(),
                sop_class: e.head.sop_class.clone(),
                transfer_syntax: e.head.transfer_syntax.clone(),
                digest: e.digest,
                location: e.location,
                frames: e.header.instance.frames,
            });
        now(Ok(found.collect()))
    }

    fn remove(&self, _: Digest, _: i64) -> BoxFuture<'_, Result<(), Error>> {
        now(Ok(()))
    }

    fn apart(&self, _: u64, _: u64) -> BoxFuture<'_, Result<Vec<KnownObject>, Error>> {
        now(Ok(Vec::new()))
    }

    fn changes(&self, number: u64, limit: u64) -> BoxFuture<'_, Result<Vec<Change>, Error>> {
        let entries = self.entries.lock().unwrap();
        let changes =
            entries.iter().zip(1..).skip_while(|(_, n)| *n <= number).map(|(e, n)| Change {
                number: n,
                kind: if e.apart { ChangeKind::KeptApart } else { ChangeKind::Stored },
                uids: e.head.uids.clone(),
                at_ms: e.head.received_ms,
            });
        now(Ok(changes.take(usize::try_from(limit).unwrap()).collect()))
    }

    fn patient_of<'a>(&'a self, study: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let entries = self.entries.lock().unwrap();
        let found = entries.iter().find(|entry| entry.head.uids.study == study);
        now(Ok(found.map(|entry| entry.header.patient.id.clone())))
    }

    fn counts(&self) -> BoxFuture<'_, Result<IndexCounts, Error>> {
        now(Ok(IndexCounts::default()))
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.entries.lock().unwrap().clear();
        now(Ok(()))
    }
}

/// Notes of copies in a list, with when their study was last used and whether they are own.
#[derive(Debug, Default)]
pub(super) struct MemoryHoldings {
    pub(super) copies: Mutex<Vec<(HeldCopy, bool)>>,
    pub(super) uses: Mutex<HashMap<String, i64>>,
    pub(super) broken: AtomicBool,
}

impl Holdings for MemoryHoldings {
    fn note(&self, copies: Vec<HeldCopy>) -> BoxFuture<'_, Result<(), Error>> {
        if self.broken.load(Ordering::Relaxed) {
            return now(Err(lost("holdings")));
        }
        let mut noted = self.copies.lock().unwrap();
        for copy in copies {
            if !noted.iter().any(|(there, _)| there.digest == copy.digest) {
                noted.push((copy, false));
            }
        }
        now(Ok(()))
    }

    fn own(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<u64, Error>> {
        if self.broken.load(Ordering::Relaxed) {
            return now(Err(lost("holdings")));
        }
        let mut owned = 0;
        for (copy, own) in self.copies.lock().unwrap().iter_mut() {
            if digests.contains(&copy.digest) && !*own {
                *own = true;
                owned += 1;
            }
        }
        now(Ok(owned))
    }

    fn copies_of(&self, studies: Vec<String>) -> BoxFuture<'_, Result<Vec<StudyCopies>, Error>> {
        let noted = self.copies.lock().unwrap();
        let of = |study: String| {
            let copies: Vec<_> =
                noted.iter().filter(|(c, own)| c.study == study && !own).map(|(c, _)| c).collect();
            (!copies.is_empty()).then(|| StudyCopies {
                study,
                nodes: copies.iter().map(|c| c.node.clone()).collect(),
                objects: u64::try_from(copies.len()).unwrap(),
                apart: u64::try_from(copies.iter().filter(|c| c.apart).count()).unwrap(),
                bytes: copies.iter().map(|c| c.bytes).sum(),
                used_ms: 0,
            })
        };
        now(Ok(studies.into_iter().filter_map(of).collect()))
    }

    fn used(&self, uses: Vec<(String, i64)>) -> BoxFuture<'_, Result<(), Error>> {
        self.uses.lock().unwrap().extend(uses);
        now(Ok(()))
    }

    fn totals(&self) -> BoxFuture<'_, Result<CopyTotals, Error>> {
        let noted = self.copies.lock().unwrap();
        let copies = noted.iter().filter(|(_, own)| !own).map(|(c, _)| c);
        let studies: std::collections::HashSet<_> = copies.clone().map(|c| &c.study).collect();
        now(Ok(CopyTotals {
            studies: u64::try_from(studies.len()).unwrap(),
            objects: u64::try_from(copies.clone().count()).unwrap(),
            bytes: copies.map(|c| c.bytes).sum(),
        }))
    }
}

/// Keeps neither holds nor erasures: what it would have to keep fails.
impl Custody for MemoryHoldings {
    fn place(&self, _: NewHold) -> BoxFuture<'_, Result<Placed, Error>> {
        now(Err(lost("holds")))
    }

    fn lift<'a>(&'a self, _: &'a str, _: Lifted) -> BoxFuture<'a, Result<Option<Hold>, Error>> {
        now(Ok(None))
    }

    fn holds(&self, _: HoldQuery) -> BoxFuture<'_, Result<Vec<Hold>, Error>> {
        now(Ok(Vec::new()))
    }

    fn begin(&self, _: NewErasure) -> BoxFuture<'_, Result<Begun, Error>> {
        now(Err(lost("erasures")))
    }

    fn still_copies(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<Vec<Digest>, Error>> {
        let noted = self.copies.lock().unwrap();
        let copies = noted.iter().filter(|(_, own)| !own).map(|(c, _)| c.digest);
        now(Ok(copies.filter(|digest| digests.contains(digest)).collect()))
    }

    fn did(&self, _: i64, _: Vec<Digest>) -> BoxFuture<'_, Result<(), Error>> {
        now(Err(lost("erasures")))
    }

    fn finish(&self, _: i64, _: i64) -> BoxFuture<'_, Result<(), Error>> {
        now(Err(lost("erasures")))
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Erasure>, Error>> {
        now(Ok(Vec::new()))
    }

    fn lately_erased(&self) -> BoxFuture<'_, Result<Vec<ErasedObject>, Error>> {
        now(Ok(Vec::new()))
    }

    fn prune(&self, _: i64) -> BoxFuture<'_, Result<(), Error>> {
        now(Ok(()))
    }

    fn least_used(&self, _: u64, _: u64) -> BoxFuture<'_, Result<Vec<StudyCopies>, Error>> {
        now(Ok(Vec::new()))
    }

    fn copies(&self, study: String) -> BoxFuture<'_, Result<Vec<HeldCopy>, Error>> {
        let noted = self.copies.lock().unwrap();
        let copies = noted.iter().filter(|(c, own)| c.study == study && !own);
        now(Ok(copies.map(|(c, _)| c.clone()).collect()))
    }

    fn evictions(&self) -> BoxFuture<'_, Result<Evictions, Error>> {
        now(Ok(Evictions::default()))
    }
}
