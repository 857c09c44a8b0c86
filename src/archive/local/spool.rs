//! Objects too large for memory: each is written to a file of its own while it arrives, and that
//! file becomes a segment.

use std::any::Any;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::disk;
use super::error::{full, gone, refusal};
use super::format::SPOOL_BODY_AT;
use super::seal::Cover;
use super::store::Store;
use crate::app::error::Error;
use crate::app::imaging::ports::Spool;
use crate::app::ports::BoxFuture;
use crate::archive::local::format::Seal;
use crate::sharing::sealing::Fault;
use crate::sharing::sealing::chunks::Sealing;

/// Bytes that are gathered before they are written.
const WRITE_BYTES: u64 = 1 << 20;
/// Bytes reserved at once. What was written of them is synced before more are reserved, so that
/// the sync at the end is short.
const RESERVE_BYTES: u64 = 64 << 20;
/// Bytes of an object at most: 1 TiB.
const SPOOL_BYTES_MAX: u64 = 1 << 40;

/// A file that goes away unless it becomes a segment.
#[derive(Debug)]
pub(super) struct SpoolFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Bytes of the body taken.
    pub(super) length: u64,
    /// Bytes written: more where they are sealed, and the last chunk only at the end.
    stored: u64,
    /// What seals the body while it comes,
    sealing: Option<(Seal, Sealing)>,
    /// and the head, once the body is there.
    pub(super) cover: Option<Cover>,
    reserved: u64,
    /// Whether it has become a segment.
    pub(super) kept: bool,
}

/// An object that arrives.
#[derive(Debug)]
pub(super) struct LocalSpool {
    store: Arc<Store>,
    /// None after a failure, or while a write is under way: then the object is lost.
    file: Option<SpoolFile>,
    waiting: Vec<Bytes>,
    waiting_bytes: u64,
    length: u64,
}

impl SpoolFile {
    fn create(store: &Store, number: u64) -> io::Result<Self> {
        let path = store.paths.spool.join(format!("{number:016}.part"));
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let sealing = match &store.seals {
            Some(seals) => {
                let Cover { seal, sealer } = seals.cover().map_err(io::Error::other)?;
                Some((seal, Sealing::new(sealer)))
            }
            None => None,
        };
        let mut spool = Self {
            file,
            path,
            length: 0,
            stored: 0,
            sealing,
            cover: None,
            reserved: 0,
            kept: false,
        };
        spool.reserve(store)?;
        Ok(spool)
    }

    fn reserve(&mut self, store: &Store) -> io::Result<()> {
        let free = store.disk.free_bytes(&store.paths.spool)?;
        if free.saturating_sub(RESERVE_BYTES) < store.free_bytes_min {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let from = SPOOL_BODY_AT.saturating_add(self.reserved);
        store.disk.allocate(&self.file, from, RESERVE_BYTES)?;
        self.reserved = self.reserved.saturating_add(RESERVE_BYTES);
        Ok(())
    }

    fn write(&mut self, store: &Store, parts: &[Bytes], bytes: u64) -> io::Result<()> {
        self.length = self.length.saturating_add(bytes);
        let Some((_, sealing)) = &mut self.sealing else {
            return self.put(store, parts, bytes);
        };
        let mut sealed = Vec::with_capacity(disk::size(bytes));
        for part in parts {
            sealing.push(part, &mut sealed).map_err(io::Error::other)?;
        }
        let bytes = disk::bytes(sealed.len());
        self.put(store, &[sealed.into()], bytes)
    }

    /// Seals what is left, where it is to be sealed.
    fn end(&mut self, store: &Store) -> io::Result<()> {
        let Some((seal, sealing)) = self.sealing.take() else { return Ok(()) };
        let mut last = Vec::new();
        let sealer = sealing.finish(&mut last).map_err(|fault: Fault| io::Error::other(fault))?;
        self.cover = Some(Cover { seal, sealer });
        let bytes = disk::bytes(last.len());
        self.put(store, &[last.into()], bytes)
    }

    fn put(&mut self, store: &Store, parts: &[Bytes], bytes: u64) -> io::Result<()> {
        let end = self.stored.saturating_add(bytes);
        while self.reserved < end {
            store.disk.sync(&self.file)?;
            self.reserve(store)?;
        }
        let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
        store.disk.write(&self.file, SPOOL_BODY_AT.saturating_add(self.stored), &parts)?;
        self.stored = end;
        Ok(())
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if !self.kept {
            // What is left over is removed when the archive is opened.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl LocalSpool {
    pub(super) async fn create(store: Arc<Store>, number: u64) -> Result<Self, Error> {
        let shared = Arc::clone(&store);
        let file = tokio::task::spawn_blocking(move || SpoolFile::create(&shared, number))
            .await
            .map_err(|_| gone())?
            .map_err(|error| refusal(&error))?;
        Ok(Self { store, file: Some(file), waiting: Vec::new(), waiting_bytes: 0, length: 0 })
    }

    pub(super) fn belongs_to(&self, store: &Arc<Store>) -> bool {
        Arc::ptr_eq(&self.store, store)
    }

    /// Everything on the disk; only the head is missing.
    pub(super) async fn finish(mut self) -> Result<SpoolFile, Error> {
        self.flush(true).await?;
        self.file.take().ok_or_else(gone)
    }

    async fn flush(&mut self, sync: bool) -> Result<(), Error> {
        let mut file = self.file.take().ok_or_else(gone)?;
        let store = Arc::clone(&self.store);
        let parts = std::mem::take(&mut self.waiting);
        let bytes = std::mem::take(&mut self.waiting_bytes);
        let work = move || {
            file.write(&store, &parts, bytes)?;
            if sync {
                file.end(&store)?;
                store.disk.sync(&file.file)?;
            }
            Ok::<_, io::Error>(file)
        };
        let done = tokio::task::spawn_blocking(work).await.map_err(|_| gone())?;
        self.file = Some(done.map_err(|error| refusal(&error))?);
        Ok(())
    }
}

impl Spool for LocalSpool {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let bytes = disk::bytes(chunk.len());
            if self.length.saturating_add(bytes) > SPOOL_BYTES_MAX {
                self.file = None;
                return Err(full());
            }
            self.length = self.length.saturating_add(bytes);
            self.waiting_bytes = self.waiting_bytes.saturating_add(bytes);
            self.waiting.push(chunk);
            if self.waiting_bytes >= WRITE_BYTES { self.flush(false).await } else { Ok(()) }
        })
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
