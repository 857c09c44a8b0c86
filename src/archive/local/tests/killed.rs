//! A process killed while it appends: what it acknowledged is there. As long as it lives nobody else
//! opens its archive.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::*;
use super::support::{digest, object, open, options, scrub};
use crate::sharing::imaging::object::Digest;

/// Makes the test below the process that is killed, if set: the directory of its archive.
const CHILD: &str = "XIANGYI_ARCHIVE_TEST_CHILD";
/// Rounds of killing.
const ROUNDS: u64 = 8;

/// Unlike any other, and known from its number.
fn body(number: u64) -> Vec<u8> {
    let length = 1000 + usize::try_from(number * 7919 % 60_000).unwrap();
    number.to_le_bytes().iter().copied().cycle().take(length).collect()
}

/// Appends until it is killed, and prints what was acknowledged.
async fn append_for_ever(dir: PathBuf) {
    let first = u64::from(std::process::id()) << 32;
    let (archive, _) =
        LocalArchive::open(Options { segment_bytes: 1 << 20, ..options(&dir) }).unwrap();
    for round in 0_u64.. {
        let numbers = (0..6).map(|n| first + round * 6 + n);
        let appends = numbers.map(|n| archive.append(vec![object(&body(n))]));
        let mut out = std::io::stdout().lock();
        for (n, answer) in futures_util::future::join_all(appends).await.iter().enumerate() {
            let location = answer[0].as_ref().unwrap();
            let number = first + round * 6 + u64::try_from(n).unwrap();
            let (segment, offset) = (location.segment, location.offset);
            writeln!(out, "kept {} {segment} {offset}", digest(&body(number))).unwrap();
        }
        out.flush().unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "the only word between a test and its child")]
fn child_dir() -> Option<PathBuf> {
    std::env::var(CHILD).ok().map(PathBuf::from)
}

#[tokio::test]
async fn everything_acknowledged_before_a_kill_is_there_byte_for_byte() {
    if let Some(dir) = child_dir() {
        append_for_ever(dir).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut kept = Vec::new();
    for round in 0..ROUNDS {
        let name = std::thread::current().name().unwrap().to_owned();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([&name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut read = |kept: &mut Vec<(Digest, u64, u64)>| {
            let line = lines.next()?.unwrap();
            if let Some((_, words)) = line.split_once("kept ") {
                let words: Vec<_> = words.split(' ').collect();
                // The last line may be cut short.
                if let [digest, segment, offset] = words[..]
                    && let (Some(digest), Ok(segment), Ok(offset)) =
                        (Digest::parse(digest), segment.parse(), offset.parse())
                {
                    kept.push((digest, segment, offset));
                }
            }
            Some(())
        };
        let enough = kept.len() + 10 + usize::try_from(round * 40).unwrap();
        while kept.len() < enough {
            read(&mut kept).expect("the child appends until it is killed");
        }
        let second = LocalArchive::open(options(dir.path()));
        assert!(matches!(second, Err(ArchiveError::Locked { .. })), "{second:?}");
        // Not always at the same moment of a batch.
        std::thread::sleep(Duration::from_micros(round * 613));
        child.kill().unwrap();
        while read(&mut kept).is_some() {}
        child.wait().unwrap();

        let (archive, recovery) = open(dir.path());
        assert_eq!((recovery.gaps, recovery.voided), (0, 0));
        let mut found = std::collections::HashMap::new();
        let mut after = None;
        loop {
            let page = archive.objects_after(after, 500).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.location);
            found.extend(page.into_iter().map(|o| (o.digest, o.location)));
        }
        for (wanted, ..) in &kept {
            let location = found[wanted];
            let body = archive.read(location, 0..u64::MAX).await.unwrap();
            assert_eq!(digest(&body), *wanted);
        }
        assert_eq!(scrub(&archive).flaws, 0);
    }
    assert!(kept.len() > 1000, "{}", kept.len());
}
