//! What the tests of the archive share.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::super::*;
use crate::sharing::imaging::object::{Digest, InstanceUids, ObjectHead};

pub(super) fn options(dir: &Path) -> Options {
    Options { segment_bytes: 16 << 10, free_bytes_min: 0, ..Options::new(dir.to_owned()) }
}

pub(super) fn open(dir: &Path) -> (LocalArchive, Recovery) {
    LocalArchive::open(options(dir)).unwrap()
}

pub(super) fn digest(body: &[u8]) -> Digest {
    Digest(Sha256::digest(body).into())
}

pub(super) fn object(body: &[u8]) -> NewObject {
    let uid = |n: usize| format!("1.2.{n}.{}", body.len());
    NewObject {
        digest: digest(body),
        head: ObjectHead {
            uids: InstanceUids { study: uid(1), series: uid(2), instance: uid(3) },
            sop_class: "1.2.840.10008.5.1.4.1.1.2".to_owned(),
            transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
            source: "CT-HALL-ONE".to_owned(),
            received_ms: 1_700_000_000_000,
            meta: Vec::new(),
        },
        body: Body::Memory(vec![Bytes::copy_from_slice(body)]),
    }
}

/// Bodies of many lengths, each unlike the others.
pub(super) fn bodies(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|i| {
            let seed = u8::try_from(i % 251).unwrap();
            (0..(i * 97) % 3000).map(|k| seed ^ u8::try_from(k % 241).unwrap()).collect()
        })
        .collect()
}

pub(super) async fn store_one(archive: &LocalArchive, body: &[u8]) -> Location {
    archive.append(vec![object(body)]).await.pop().unwrap().unwrap()
}

pub(super) async fn listed(archive: &LocalArchive) -> Vec<ArchivedObject> {
    archive.objects_after(None, usize::MAX).await.unwrap()
}

pub(super) fn scrub(archive: &LocalArchive) -> ScrubReport {
    archive.scrub(&|| false, &mut |_| {})
}

/// A disk that counts its syncs, may be slow, and fails when told to.
#[derive(Debug, Default)]
pub(super) struct Counting {
    syncs: AtomicU64,
    slow: bool,
    pub(super) fail_write: AtomicBool,
    pub(super) fail_sync: AtomicBool,
    pub(super) fail_punch: AtomicBool,
    pub(super) fail_truncate: AtomicBool,
    /// Bytes of a write that reach the disk before it fails.
    pub(super) torn_at: AtomicU64,
    /// Bytes that are said to be used.
    pub(super) used: AtomicU64,
}

impl Counting {
    pub(super) fn slow() -> Self {
        Self { slow: true, ..Self::default() }
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

fn unless(failing: &AtomicBool) -> std::io::Result<()> {
    // EIO
    if failing.load(Ordering::SeqCst) { Err(std::io::Error::from_raw_os_error(5)) } else { Ok(()) }
}

impl Disk for Counting {
    fn write(&self, file: &File, at: u64, parts: &[&[u8]]) -> std::io::Result<()> {
        if let Err(error) = unless(&self.fail_write) {
            let all = parts.concat();
            let torn = usize::try_from(self.torn_at.load(Ordering::SeqCst)).unwrap();
            LocalDisk.write(file, at, &[&all[..torn.min(all.len())]])?;
            return Err(error);
        }
        LocalDisk.write(file, at, parts)
    }

    fn sync(&self, file: &File) -> std::io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.slow {
            std::thread::sleep(Duration::from_millis(10));
        }
        unless(&self.fail_sync)?;
        LocalDisk.sync(file)
    }

    fn allocate(&self, file: &File, from: u64, bytes: u64) -> std::io::Result<()> {
        LocalDisk.allocate(file, from, bytes)
    }

    fn punch(&self, file: &File, from: u64, bytes: u64) -> std::io::Result<()> {
        unless(&self.fail_punch)?;
        LocalDisk.punch(file, from, bytes)
    }

    fn truncate(&self, file: &File, length: u64) -> std::io::Result<()> {
        unless(&self.fail_truncate)?;
        LocalDisk.truncate(file, length)
    }

    fn free_bytes(&self, _: &Path) -> std::io::Result<u64> {
        Ok((1_u64 << 30).saturating_sub(self.used.load(Ordering::SeqCst)))
    }
}
