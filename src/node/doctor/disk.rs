//! The disks that the node writes to: room, inodes, rights, kind of file system, and how long they take to
//! say that something is written.
//!
//! For the last a file without a name is written; the system removes it whatever happens.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, StatVfsMountFlags};
use tokio::time::Instant;

use super::seen::Seen;
use super::{Notes, apart};
use crate::node::imaging;

/// Of the databases' disk so much should be free, and so much must.
const FREE_BYTES: Room = Room {
    should: 1 << 30,
    must: 64 << 20,
    means: "databases may stop taking anything at any moment",
};
/// So many inodes should be free.
const FREE_INODES: u64 = 1_000;
/// A sync that takes longer makes every answer late.
const SYNC_SLOW: Duration = Duration::from_millis(100);
/// Syncs of which the middle one counts.
const SYNCS: usize = 5;
/// File systems on other machines, and such as are shared.
const REMOTE: [&str; 15] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
    "virtiofs",
];
/// File systems whose content goes with the machine's power, or with the container.
const PASSING: [&str; 3] = ["overlay", "ramfs", "tmpfs"];

/// Bytes that should be free, and that must.
#[derive(Debug, Clone, Copy)]
struct Room {
    should: u64,
    must: u64,
    /// What it means that there are fewer than must be.
    means: &'static str,
}

/// Where a path lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    at: PathBuf,
    kind: String,
}

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    let config = seen.config.clone();
    let to = notes.clone();
    let looked = apart(move || {
        let store = &config.store.dir;
        folder("store.dir", store, FREE_BYTES, &to);
        let images = imaging::folder(&config);
        if config.imaging.enabled {
            let least = config.imaging.free_bytes_min;
            let means = "no image is taken (imaging.free_bytes_min)";
            let wanted = Room { should: least.saturating_mul(2), must: least, means };
            folder("imaging", &images, wanted, &to);
        }
    });
    if looked.await.is_err() {
        notes.fail("disk", ("looking at it broke off", "report what stands on standard error"));
    }
}

/// Looks at a folder.
fn folder(key: &str, dir: &Path, wanted: Room, notes: &Notes) {
    let subject = format!("{key} {}", dir.display());
    // What is not there yet will lie where the nearest folder does that is.
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let there = dir.ancestors().find(|at| !matches!(at.try_exists(), Ok(false)));
    let Some(there) = there else {
        return notes.fail(subject, ("no part of the path is there", "mend the path"));
    };
    if there == dir {
        owner(&subject, there, notes);
    }
    if let Err(error) = rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let error = io::Error::from(error);
        let advice = format!(
            "give it to the user of the node: chown -R USER {}; or run this as that user",
            there.display()
        );
        let found = format!("{} cannot be written to: {error}", there.display());
        notes.fail(subject, (found, advice));
        return;
    }
    if there != dir {
        notes.ok(subject.clone(), "not there yet: the first start makes it");
    }
    kind(&subject, there, notes);
    room(&subject, there, wanted, notes);
    if there == dir {
        syncs(&subject, there, notes);
    }
}

/// Whether it belongs to whoever asks; who is root may do everything and sees nothing wrong.
fn owner(subject: &str, dir: &Path, notes: &Notes) {
    let us = rustix::process::geteuid();
    let Ok(about) = fs::metadata(dir) else { return };
    if us.is_root() && about.uid() != 0 {
        let found = format!("belongs to user {}, and this runs as root", about.uid());
        notes.warn(subject, (found, "run this as the user of the node, who may be refused more"));
    }
}

fn kind(subject: &str, dir: &Path, notes: &Notes) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let Some(Mount { at, kind }) = mount(&table, &real) else {
        return notes.skip(subject, "the system does not say which file system it lies on");
    };
    let at = at.display();
    if REMOTE.contains(&kind.as_str()) || kind.starts_with("fuse") {
        let found =
            format!("lies on {kind} ({at}), which may be on another machine: databases may break");
        notes.warn(subject, (found, "put it on a disk of this machine"));
    } else if PASSING.contains(&kind.as_str()) {
        let found =
            format!("lies on {kind} ({at}): what is kept goes with the machine or container");
        notes.warn(subject, (found, "put it on a disk, or mount a volume there"));
    } else {
        notes.ok(subject, format!("lies on {kind} ({at})"));
    }
}

/// The line of `/proc/self/mountinfo` that `path` is under.
fn mount(table: &str, path: &Path) -> Option<Mount> {
    let mut best: Option<Mount> = None;
    for line in table.lines() {
        let (before, after) = line.split_once(" - ")?;
        let (Some(at), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else {
            continue;
        };
        let at = PathBuf::from(at.replace("\\040", " "));
        // Of those on one place the later one lies on top.
        let is_nearer = best.as_ref().is_none_or(|best| at.starts_with(&best.at));
        if path.starts_with(&at) && is_nearer {
            best = Some(Mount { at, kind: kind.to_owned() });
        }
    }
    best
}

fn room(subject: &str, dir: &Path, Room { should, must, means }: Room, notes: &Notes) {
    let found = match rustix::fs::statvfs(dir) {
        Ok(found) => found,
        Err(error) => {
            let said = (io::Error::from(error).to_string(), "look at the disk with `dmesg`");
            return notes.fail(subject, said);
        }
    };
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let advice = "`dmesg` says why; after a fault of the disk the system mounts it so: save what is \
                      there before anything else";
        return notes.fail(subject, ("is mounted read-only", advice));
    }
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let all = found.f_blocks.saturating_mul(found.f_frsize);
    let said = format!("{} of {} free", mebibytes(free), mebibytes(all));
    let advice = "make room: `journalctl --vacuum-size=200M`, old backups, or a larger disk; never \
                  delete anything in the node's own folders by hand";
    if free < must {
        let found = format!("{said}; below {} {means}", mebibytes(must));
        notes.fail(subject, (found, advice));
    } else if free < should {
        notes.warn(subject, (format!("{said}; less than {}", mebibytes(should)), advice));
    } else {
        notes.ok(subject, said);
    }
    // Some file systems have none, or as many as are wanted.
    if found.f_files > 0 && found.f_favail < FREE_INODES {
        let found = format!("{} inodes free: soon no file can be made", found.f_favail);
        let advice = "find the folder with very many small files (`du --inodes -x / | sort -n`)";
        notes.warn(subject, (found, advice));
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn syncs(subject: &str, dir: &Path, notes: &Notes) {
    match synced(dir) {
        Ok(took) if took > SYNC_SLOW => {
            let found =
                format!("a sync takes {} ms, and every answer waits for one", took.as_millis());
            let advice = "look whether something else writes (`iostat -x 5`), and at the disk's health \
                          (`smartctl -a`); SD cards and worn flash are like that";
            notes.warn(subject, (found, advice));
        }
        Ok(took) => {
            notes.ok(subject, format!("a sync takes {} µs", took.as_micros()));
        }
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            notes.fail(subject, ("is full: nothing can be written", "make room"));
        }
        Err(error) => {
            let found = format!("cannot be written to: {error}");
            notes.fail(subject, (found, "look at the disk (`dmesg`), and at quotas (`quota`)"));
        }
    }
}

/// How long it takes to have a page on the disk: the middle of some tries.
fn synced(dir: &Path) -> io::Result<Duration> {
    let mut file = tempfile::tempfile_in(dir)?;
    let mut all = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        all.push(begun.elapsed());
    }
    all.sort();
    Ok(all.get(SYNCS / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::doctor::{Check, Standing};

    const TABLE: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1g
41 22 0:40 / /srv/with\\040space rw - nfs4 10.0.0.1:/x rw
42 41 8:2 / /srv/with\\040space/disk rw - xfs /dev/sdb rw
43 22 8:3 / /tmp rw - ext4 /dev/sdc rw
";

    #[test]
    fn a_path_lies_on_the_nearest_and_the_latest_mount() {
        let kind = |path: &str| mount(TABLE, Path::new(path)).unwrap().kind;
        assert_eq!(kind("/var/lib/xiangyi"), "ext4");
        assert_eq!(kind("/srv/with space/data"), "nfs4");
        assert_eq!(kind("/srv/with space/disk/data"), "xfs");
        assert_eq!(kind("/srv/with spaces"), "ext4");
        // The one that was mounted over it.
        assert_eq!(mount(TABLE, Path::new("/tmp/x")).unwrap().kind, "ext4");
        assert_eq!(mount("", Path::new("/")), None);
    }

    #[test]
    fn little_room_is_told_by_the_configured_limit() {
        let folder = tempfile::tempdir().unwrap();
        let standing = |(should, must)| {
            let notes = Notes::of(Check::Disk);
            room("x", folder.path(), Room { should, must, means: "x" }, &notes);
            notes.taken()[0].standing
        };
        assert_eq!(standing((0, 0)), Standing::Ok);
        assert_eq!(standing((u64::MAX, 0)), Standing::Warning);
        assert_eq!(standing((u64::MAX, u64::MAX)), Standing::Failed);
    }

    #[test]
    fn trying_how_long_a_sync_takes_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        synced(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let notes = Notes::of(Check::Disk);
        let wanted = Room { should: 0, must: 0, means: "x" };
        folder("store.dir", &dir.path().join("a/b"), wanted, &notes);
        assert!(!dir.path().join("a").try_exists().unwrap());
        assert!(notes.taken().iter().any(|line| line.found.contains("not there yet")));
    }
}
