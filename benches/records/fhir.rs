//! How fast FHIR bundles are checked and read: every bundle of a folder, one core, for five seconds.
//!
//! `cargo bench --bench fhir -- [--dir FOLDER] [--write FOLDER] [--keep FOLDER]`. The folder is Synthea's bundles
//! unless named. With `--write` each record that was read is also written there as a document, for
//! `tests/python/records/judge_fhir.py`. With `--keep` a node in that folder (made, and emptied
//! afterwards) is then handed what was written. Prints resources and megabytes a second.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a benchmark: what goes wrong ends it, and it prints what it measures"
)]

mod kept;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xiangyi::sharing::discharge::{Moment, fhir};

/// How long each measurement goes on.
const LASTING: Duration = Duration::from_secs(5);

fn main() {
    let mut folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/records/fhir-synthea");
    let mut written: Option<PathBuf> = None;
    let mut kept: Option<PathBuf> = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dir" => folder = arguments.next().unwrap().into(),
            "--keep" => kept = arguments.next().map(PathBuf::from),
            "--write" => written = Some(arguments.next().unwrap().into()),
            // What cargo adds.
            _ => {}
        }
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let bundles: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let resources: usize = bundles.iter().map(|bundle| resources(bundle)).sum();
    let bytes: usize = bundles.iter().map(Vec::len).sum();
    println!("{} bundles, {resources} resources, {bytes} bytes", bundles.len());

    let started = Instant::now();
    let mut rounds = 0;
    while started.elapsed() < LASTING {
        for bundle in &bundles {
            assert!(std::hint::black_box(fhir::read(bundle)).is_ok(), "a bundle was refused");
        }
        rounds += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = |number: usize| (number * rounds) as f64 / seconds;
    println!("read: {:.0} resources/s, {:.1} MB/s", rate(resources), rate(bytes) / 1e6);

    let records: Vec<_> = bundles.iter().map(|bundle| fhir::read(bundle).unwrap().record).collect();
    let now = Moment::iso("2026-11-29T08:00:00+08:00").unwrap();
    let started = Instant::now();
    let mut rounds = 0;
    while started.elapsed() < LASTING {
        for record in &records {
            std::hint::black_box(fhir::write(record, &now).to_string());
        }
        rounds += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("written: {:.0} documents/s", (records.len() * rounds) as f64 / seconds);

    if let Some(folder) = kept {
        fs::create_dir_all(&folder).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(kept::run(&records, &folder));
        fs::remove_dir_all(&folder).unwrap();
    }

    if let Some(written) = written {
        fs::create_dir_all(&written).unwrap();
        for (path, record) in files.iter().zip(&records) {
            let name = path.file_name().map(Path::new).unwrap();
            fs::write(written.join(name), fhir::write(record, &now).to_string()).unwrap();
        }
    }
}

fn resources(bundle: &[u8]) -> usize {
    let value: serde_json::Value = serde_json::from_slice(bundle).unwrap();
    value.get("entry").and_then(|list| list.as_array()).map_or(0, Vec::len)
}
