//! What the archive asks of a disk: little enough that a test can stand in for it and fail.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

/// Buffers that one call to the system takes.
const SLICES_MAX: usize = 1024;
/// Zeros written at once.
pub(super) static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A disk.
pub(super) trait Disk: Debug + Send + Sync {
    /// Writes `parts` one after the other from byte `at`.
    fn write(&self, file: &File, at: u64, parts: &[&[u8]]) -> io::Result<()>;
    /// Returns once the contents of `file` are on the disk.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Reserves `bytes` from byte `from`; they read as zeros.
    fn allocate(&self, file: &File, from: u64, bytes: u64) -> io::Result<()>;
    /// Gives `bytes` from byte `from` back; they read as zeros from then on.
    fn punch(&self, file: &File, from: u64, bytes: u64) -> io::Result<()>;
    /// Cuts `file`.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()>;
    /// Bytes that may still be written in `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// The real one.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalDisk;

impl Disk for LocalDisk {
    fn write(&self, file: &File, mut at: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<_> =
            parts.iter().filter(|p| !p.is_empty()).map(|p| IoSlice::new(p)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let now = rest.split_at(rest.len().min(SLICES_MAX)).0;
            match rustix::io::pwritev(file, now, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut rest, written);
                    at = at.saturating_add(bytes(written));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn allocate(&self, file: &File, from: u64, bytes: u64) -> io::Result<()> {
        loop {
            return match rustix::fs::fallocate(file, FallocateFlags::empty(), from, bytes) {
                Ok(()) => Ok(()),
                Err(Errno::INTR) => continue,
                // Slower, but right.
                Err(Errno::OPNOTSUPP) => {
                    let end = from.saturating_add(bytes);
                    if file.metadata()?.len() < end { file.set_len(end) } else { Ok(()) }
                }
                Err(error) => Err(error.into()),
            };
        }
    }

    fn punch(&self, file: &File, from: u64, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        loop {
            return match rustix::fs::fallocate(file, flags, from, bytes) {
                Ok(()) => Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::OPNOTSUPP) => self.overwrite(file, from, bytes),
                Err(error) => Err(error.into()),
            };
        }
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

impl LocalDisk {
    fn overwrite(self, file: &File, mut from: u64, mut left: u64) -> io::Result<()> {
        while left > 0 {
            let now = size(left).min(ZEROS.len());
            self.write(file, from, &[ZEROS.split_at(now).0])?;
            from = from.saturating_add(bytes(now));
            left = left.saturating_sub(bytes(now));
        }
        Ok(())
    }
}

/// Makes what was created, renamed or removed in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Fills `buffer` from byte `at`; less only at the end of the file.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, at.saturating_add(bytes(filled))) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// Fills `buffer` from byte `at` with what the system has in memory. None: it has not, or cannot tell.
pub(super) fn read_now(file: &File, buffer: &mut [u8], at: u64) -> Option<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let place = at.saturating_add(bytes(filled));
        let mut slices = [IoSliceMut::new(rest)];
        match rustix::io::preadv2(file, &mut slices, place, ReadWriteFlags::NOWAIT) {
            Ok(read @ 1..) => filled += read,
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return None,
        }
    }
    Some(())
}

/// Exactly `length` bytes from byte `at`, without clearing the memory first.
pub(super) fn read_exact_at(file: &File, length: usize, at: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(length);
    let mut rest = length;
    while rest > 0 {
        let before = out.len();
        let place = at.saturating_add(bytes(before));
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut out), place) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => rest = rest.saturating_sub(read),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    out.truncate(length);
    Ok(out)
}

/// A length in memory as one on the disk.
pub(super) fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A length on the disk as one in memory.
pub(super) fn size(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
