//! How long the disk takes to keep something: 4 KiB are appended to a file and `fdatasync` is waited for,
//! as a node's database does before it says that an answer is kept.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::Failure;
use super::latency::Latencies;

/// Bytes that are written each time.
const BYTES: usize = 4096;
/// Bytes after which the file is begun anew.
const FILE_BYTES_MAX: usize = 64 << 20;

/// Measures for `time` in `folder`, in so many blocks. Blocks the thread.
pub fn syncs(folder: &Path, time: Duration, blocks: usize) -> Result<Vec<Latencies>, Failure> {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut file = tempfile::tempfile_in(folder).map_err(named)?;
    let (page, blocks) = (vec![0x5A_u8; BYTES], blocks.max(1));
    let mut all = Vec::with_capacity(blocks);
    let mut written = 0;
    for _ in 0..blocks {
        let mut block = Latencies::new()?;
        let begun = Instant::now();
        let most = time / u32::try_from(blocks).unwrap_or(1);
        while begun.elapsed() < most {
            if written >= FILE_BYTES_MAX {
                file.set_len(0).map_err(named)?;
                std::io::Seek::rewind(&mut file).map_err(named)?;
                written = 0;
            }
            let from = Instant::now();
            file.write_all(&page).map_err(named)?;
            file.sync_data().map_err(named)?;
            block.record(from.elapsed());
            written += BYTES;
        }
        all.push(block);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_are_timed_in_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let blocks = syncs(folder.path(), Duration::from_millis(60), 3).unwrap();
        assert_eq!(blocks.len(), 3);
        assert!(blocks.iter().all(|block| !block.is_empty() && block.ms(0.5) > 0.0));
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "nothing is left behind");
    }

    #[test]
    fn a_folder_that_is_none_is_named() {
        let error = syncs(Path::new("/no/such"), Duration::from_millis(10), 1).unwrap_err();
        assert!(error.to_string().contains("/no/such"), "{error}");
    }
}
