//! The archive on local disk: append-only segments, one writer, one sync for all that waits.
//!
//! - [`format`](mod@format): the bytes on the disk.
//! - `writer`: the one thread that writes. Acknowledged means synced.
//! - `store`: what is known of the segments, shared with the readers.
//! - `recovery`: opening, and what a crash left behind.
//! - `scrub`: reads everything again.
//! - `spool`: objects too large for memory.
//! - `tier` and `tend`: copies of whole segments in a remote store, and bodies that are only there.
//!
//! An erasure is first a record of its own, synced; then the record of the object is marked and a
//! hole punched in its body. A crash between the two is put right when the archive is next opened
//! (the erasure then stands in the segment that is walked), whatever else stands between them by
//! the next scrub.
//!
//! Deliberately absent: a second try after a failed sync, compression, and any knowledge of what is
//! in an object.

mod ahead;
mod buffers;
mod disk;
mod error;
pub mod format;
mod list;
mod read;
mod recovery;
mod scrub;
mod seal;
mod spool;
mod store;
mod tend;
mod tier;
mod walk;
mod writer;

use std::fs::{self, File, TryLockError};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

pub use self::error::ArchiveError;
pub use self::recovery::Recovery;
pub use self::scrub::{Damage, ScrubProgress, ScrubReport};
pub use self::seal::Seals;
pub use self::tend::{Tended, Tender};

use self::ahead::Ahead;
use self::disk::{Disk, LocalDisk};
use self::error::{Tried as _, gone, no_remote, refusal, remote as remote_failed};
use self::format::{HEAD_BYTES_MAX, REASON_BYTES_MAX};
use self::read::Found;
use self::seal::Cover;
use self::spool::LocalSpool;
use self::store::Store;
use self::writer::{Job, Limits, Prepared, Ready};
use crate::app::error::Error;
use crate::app::imaging::ports::{Archive, ArchivedObject, Body, NewObject, Spool, Usage};
use crate::app::ports::BoxFuture;
use crate::archive::remote::{Blobs, RemoteError};
use crate::sharing::imaging::object::Location;
use crate::sharing::sealing::Fault;

/// Least bytes of a segment.
const SEGMENT_BYTES_MIN: u64 = 4096;
/// Bytes of a batch that are sealed before the writer is given them: it writes and syncs them while the
/// next are sealed.
const HANDED_BYTES: u64 = 1024 * 1024;

/// Tells where objects lie that were given to the writer.
type Written = oneshot::Receiver<Vec<Result<Location, Error>>>;

/// How an archive is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its directory; made if it is not there.
    pub dir: PathBuf,
    /// Bytes reserved for a segment. A larger object gets a segment of its own.
    pub segment_bytes: u64,
    /// Appends and erasures that may wait for the writer; more wait outside.
    pub queue_max: usize,
    /// Bytes of bodies written with one sync, about: what is taken ends with the object that
    /// reaches it.
    pub batch_bytes_max: u64,
    /// Appends and erasures taken at once.
    pub batch_jobs_max: usize,
    /// Bytes that must stay free on the disk; with less, new objects are refused.
    pub free_bytes_min: u64,
    /// The keys that records are sealed with; none: they are not.
    pub seals: Option<Arc<Seals>>,
}

/// The archive. Dropping it waits until everything accepted is answered.
#[derive(Debug)]
pub struct LocalArchive {
    store: Arc<Store>,
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    spools: AtomicU64,
    remote: Option<Remote>,
    ahead: Ahead,
    /// Held for as long as the archive is open.
    lock: File,
}

/// A remote store, and where its requests run.
#[derive(Debug, Clone)]
struct Remote {
    blobs: Arc<dyn Blobs>,
    /// For the scrub, which blocks; none where the archive was opened outside a runtime.
    runtime: Option<Handle>,
}

impl Options {
    /// The usual ones for an archive in `dir`.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            segment_bytes: 256 << 20,
            queue_max: 256,
            batch_bytes_max: 16 << 20,
            batch_jobs_max: 256,
            free_bytes_min: 512 << 20,
            seals: None,
        }
    }
}

impl LocalArchive {
    /// Opens the archive, or makes one. Blocks.
    pub fn open(options: Options) -> Result<(Self, Recovery), ArchiveError> {
        Self::open_on(options, Arc::new(LocalDisk), None)
    }

    /// Opens the archive, or makes one, with a remote store that has copies of its segments, or will
    /// ([`LocalArchive::tender`]). Asks the store for nothing. Blocks.
    pub fn open_with(
        options: Options,
        blobs: Arc<dyn Blobs>,
    ) -> Result<(Self, Recovery), ArchiveError> {
        Self::open_on(options, Arc::new(LocalDisk), Some(blobs))
    }

    /// Who looks after the copies in the remote store; none without one. `local_bytes_max`: bytes
    /// whose bodies stay on the disk, about; none for all.
    pub fn tender(&self, local_bytes_max: Option<u64>) -> Option<Tender> {
        let blobs = Arc::clone(&self.remote.as_ref()?.blobs);
        Some(Tender::new(Arc::clone(&self.store), blobs, local_bytes_max))
    }

    fn open_on<D: Disk + 'static>(
        options: Options,
        disk: Arc<D>,
        blobs: Option<Arc<dyn Blobs>>,
    ) -> Result<(Self, Recovery), ArchiveError> {
        let root = options.dir;
        fs::create_dir_all(&root).tried("create", &root)?;
        let lock_path = root.join("lock");
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .tried("open", &lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::Locked { path: root }),
            Err(TryLockError::Error(error)) => return Err(error).tried("lock", &lock_path),
        }
        let limits = Limits {
            segment_bytes: options.segment_bytes.max(SEGMENT_BYTES_MIN),
            batch_bytes_max: options.batch_bytes_max,
            batch_jobs_max: options.batch_jobs_max.max(1),
        };
        let with = (options.free_bytes_min, options.seals);
        let (writer, recovery) = recovery::recover(&root, disk, limits, with)?;
        let store = Arc::clone(&writer.store);
        let (jobs, queue) = mpsc::channel(options.queue_max.max(1));
        let thread = std::thread::Builder::new()
            .name("archive".to_owned())
            .spawn(move || writer::run(writer, queue))
            .map_err(ArchiveError::Thread)?;
        let runtime = Handle::try_current().ok();
        let archive = Self {
            store,
            jobs: Some(jobs),
            writer: Some(thread),
            spools: AtomicU64::new(0),
            remote: blobs.map(|blobs| Remote { blobs, runtime }),
            ahead: Ahead::default(),
            lock,
        };
        Ok((archive, recovery))
    }

    /// Reads every record again and compares it with its checksums and digest. Blocks for as long
    /// as the disk takes; reading, appending and erasing go on beside it. `progress` is called after
    /// every record and may sleep to leave the disk to others; `cancelled` is asked before every
    /// record. Damage is reported and changes nothing; an erasure that was not carried out is. Copies
    /// in the remote store are compared in length, and bodies that are only there are read: not to be
    /// called on a thread of the runtime then.
    pub fn scrub(
        &self,
        cancelled: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(&ScrubProgress),
    ) -> ScrubReport {
        let remote = self.remote.as_ref().and_then(|remote| {
            Some(scrub::Copies { blobs: &*remote.blobs, runtime: remote.runtime.as_ref()? })
        });
        scrub::scrub((&self.store, remote), cancelled, progress)
    }

    async fn send(&self, job: Job) -> Result<(), Error> {
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).await.map_err(|_| gone())
    }

    async fn prepare(&self, object: NewObject) -> Result<Prepared, Error> {
        let NewObject { digest, head, body } = object;
        let head =
            format::encode_object(&head).ok_or(Error::TooLarge { bytes_max: HEAD_BYTES_MAX })?;
        let (body, length, cover) = match body {
            Body::Memory(parts) => self.memory(parts).await?,
            Body::Spooled(spool) => {
                let foreign = || Error::internal("archive", "a spool of another archive");
                let spool = spool.into_any().downcast::<LocalSpool>().map_err(|_| foreign())?;
                if !spool.belongs_to(&self.store) {
                    return Err(foreign());
                }
                let mut spool = spool.finish().await?;
                let (length, cover) = (spool.length, spool.cover.take());
                (Ready::Spooled(spool), length, cover)
            }
        };
        Ok(Prepared { digest, head, length, body, cover })
    }

    /// A body in memory, sealed where that is to be.
    async fn memory(&self, parts: Vec<Bytes>) -> Result<(Ready, u64, Option<Cover>), Error> {
        let length = parts.iter().fold(0, |sum, part| disk::bytes(part.len()).saturating_add(sum));
        let Some(seals) = self.store.seals.clone() else {
            return Ok((Ready::Memory(parts), length, None));
        };
        let here = seals.sealed_here_bytes_max();
        let buffers = Arc::clone(&self.store.buffers);
        let work = move || {
            let cover = seals.cover()?;
            let body = seal::body(&cover, &parts, &buffers)?;
            Ok((Ready::Memory(vec![body]), length, Some(cover)))
        };
        let sealed = if length < here {
            work()
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|_| gone())?
        };
        sealed.map_err(|fault: Fault| Error::internal("archive", fault))
    }

    async fn append_all(&self, batch: Vec<NewObject>) -> Vec<Result<Location, Error>> {
        let mut refused = Vec::with_capacity(batch.len());
        let mut objects = Vec::with_capacity(batch.len());
        let mut answers = Vec::new();
        let mut sealed_bytes = 0_u64;
        for object in batch {
            match self.prepare(object).await {
                Ok(prepared) => {
                    if prepared.cover.is_some() {
                        sealed_bytes = sealed_bytes.saturating_add(prepared.length);
                    }
                    objects.push(prepared);
                    refused.push(None);
                }
                Err(error) => refused.push(Some(error)),
            }
            // The disk takes what is sealed while the next is sealed.
            if sealed_bytes >= HANDED_BYTES {
                sealed_bytes = 0;
                answers.push(self.hand_over(std::mem::take(&mut objects)).await);
            }
        }
        answers.push(self.hand_over(objects).await);
        let mut written = Vec::new();
        for (objects, answer) in answers {
            let locations = match answer {
                Some(answer) => answer.await.unwrap_or_default(),
                None => Vec::new(),
            };
            let lost = objects.saturating_sub(locations.len());
            written.extend(locations);
            written.extend((0..lost).map(|_| Err(gone())));
        }
        let mut written = written.into_iter();
        refused
            .into_iter()
            .map(|refused| match refused {
                Some(error) => Err(error),
                None => written.next().unwrap_or_else(|| Err(gone())),
            })
            .collect()
    }

    /// Gives objects to the writer. Answers how many, and what will tell where they lie.
    async fn hand_over(&self, objects: Vec<Prepared>) -> (usize, Option<Written>) {
        let many = objects.len();
        if many == 0 {
            return (0, None);
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Job::Append { objects, reply }).await;
        (many, sent.is_ok().then_some(answer))
    }

    async fn read_any(&self, location: Location, range: Range<u64>) -> Result<Bytes, Error> {
        if let Some(bytes) = read::at_once(&self.store, &location, &range) {
            return Ok(bytes);
        }
        let mut tries = 0;
        loop {
            let range = range.clone();
            let found = self.blocking(move |store| read::bytes(store, &location, &range)).await?;
            let (tier, range, opening) = match found {
                Found::Here(bytes) => return Ok(bytes),
                Found::Away { tier, range, opening } => (tier, range, opening),
            };
            let remote = self.remote.as_ref().ok_or_else(no_remote)?;
            let name = tend::name(self.store.key, tier.number, tier.generation);
            match self.ahead.read(&*remote.blobs, (&name, &tier), range).await {
                Ok(bytes) => {
                    self.blocking(move |store| read::not_erased(store, &location)).await?;
                    return match opening {
                        Some(opening) => read::opened(&opening, bytes, &location),
                        None => Ok(bytes),
                    };
                }
                // The copy may have been made anew under another name meanwhile.
                Err(RemoteError::Missing { .. })
                    if tries < 2
                        && self.store.tiers.get(tier.number).map(|t| t.generation)
                            != Some(tier.generation) =>
                {
                    tries += 1;
                }
                Err(error) => return Err(remote_failed(error)),
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_| gone())?
    }
}

impl Drop for LocalArchive {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the archive panicked");
        }
        // A child process between fork and exec holds the file open, and the lock with it, unless
        // it is given back here.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "cannot unlock the archive");
        }
    }
}

impl Archive for LocalArchive {
    fn append(&self, batch: Vec<NewObject>) -> BoxFuture<'_, Vec<Result<Location, Error>>> {
        Box::pin(self.append_all(batch))
    }

    fn spool(&self) -> BoxFuture<'_, Result<Box<dyn Spool>, Error>> {
        Box::pin(async {
            let number = self.spools.fetch_add(1, Ordering::Relaxed);
            let spool = LocalSpool::create(Arc::clone(&self.store), number).await?;
            let spool: Box<dyn Spool> = Box::new(spool);
            Ok(spool)
        })
    }

    fn read(&self, location: Location, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, Error>> {
        Box::pin(self.read_any(location, range))
    }

    fn object(&self, location: Location) -> BoxFuture<'_, Result<Option<ArchivedObject>, Error>> {
        Box::pin(self.blocking(move |store| store.object(&location).map_err(|e| refusal(&e))))
    }

    fn objects_after(
        &self,
        after: Option<Location>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ArchivedObject>, Error>> {
        Box::pin(self.blocking(move |store| read::objects_after(store, after.as_ref(), limit)))
    }

    fn erase<'a>(
        &'a self,
        location: Location,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let head = format::encode_erasure(&location, reason).ok_or_else(|| {
                Error::field("reason", format!("must be {REASON_BYTES_MAX} bytes at most"))
            })?;
            let (reply, answer) = oneshot::channel();
            self.send(Job::Erase { location, head, reply }).await?;
            answer.await.map_err(|_| gone())?
        })
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, Error>> {
        let with_remote = self.remote.is_some();
        Box::pin(self.blocking(move |store| {
            let (segments, bytes) = store.totals();
            let free = store.disk.free_bytes(&store.paths.root).ok();
            let bytes_free = free.map(|free| free.saturating_sub(store.free_bytes_min));
            let remote = store.remote_usage();
            let remote = (with_remote || remote.segments > 0).then_some(remote);
            Ok(Usage { segments, bytes, bytes_free, remote })
        }))
    }
}

#[cfg(test)]
mod tests;
