//! Imaging against Orthanc of Debian, in one run on one machine: both are started with empty
//! stores, the repetitions alternate, medians and ratios are printed.
//!
//! `cargo bench --bench imaging -- [--repeat N] [--postgres URL]`. Needs Orthanc and DCMTK (Debian
//! packages `orthanc`, `dcmtk`) and the release binary, which it asks for if it is missing. With
//! `--postgres` both keep their index in that database (package `orthanc-postgresql`), which must hold
//! no index of Orthanc yet; `scripts/postgres start target/bench` prints the URL of one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark: what goes wrong ends it, and it prints what it measures"
)]

mod lean;
mod peer;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lean::Client;
use peer::{Peer, cpu_seconds};

/// Repetitions unless asked otherwise.
const REPEAT: usize = 5;
/// Bytes of pixels: a CT of 512 by 512, and a small object.
const SIZES: [(&str, usize); 2] = [("0.5 MB CT", 524_288), ("8 KB", 8_192)];

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// What was measured of one peer: a figure a repetition.
#[derive(Default)]
struct Row {
    work: String,
    unit: &'static str,
    figures: Vec<(String, Vec<f64>)>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let repeat = value("--repeat").and_then(|text| text.parse().ok()).unwrap_or(REPEAT);
    let postgres = value("--postgres").map(String::as_str);
    let folder = tempfile::tempdir().unwrap();
    let peers = [Peer::xiangyi(folder.path(), postgres), Peer::orthanc(folder.path(), postgres)];
    for peer in &peers {
        println!("{}: {}", peer.name, peer.version);
    }
    let mut rows = Vec::new();
    for (size, pixels) in SIZES {
        for associations in [1, 4, 16] {
            let objects = if pixels > 100_000 { 160 } else { 1600 };
            let work = format!("C-STORE {size}, lean client, {associations} associations");
            let mut rate = Row { work: work.clone(), unit: "objects/s", ..Row::default() };
            let mut cpu = Row { work, unit: "ms CPU an object", ..Row::default() };
            for _ in 0..repeat {
                for peer in &peers {
                    let (objects_s, cpu_ms) = stores(peer, pixels, associations, objects);
                    rate.add(peer, objects_s);
                    cpu.add(peer, cpu_ms);
                }
            }
            rate.print();
            cpu.print();
            rows.extend([rate, cpu]);
        }
        let mut stock = Row {
            work: format!("C-STORE {size}, stock storescu, one association"),
            unit: "objects/s",
            ..Row::default()
        };
        for _ in 0..repeat {
            for peer in &peers {
                stock.add(peer, storescu(peer, folder.path(), pixels, 60));
            }
        }
        stock.print();
        rows.push(stock);
    }
    let mut echo =
        Row { work: "C-ECHO, lean client".to_owned(), unit: "a second", ..Row::default() };
    for _ in 0..repeat {
        for peer in &peers {
            let mut client = Client::connect(peer.address, peer.title);
            let began = Instant::now();
            for _ in 0..500 {
                client.echo();
            }
            echo.add(peer, 500.0 / began.elapsed().as_secs_f64());
            client.release();
        }
    }
    echo.print();
    for peer in peers {
        println!("{}: {} KiB resident at the end", peer.name, peer.resident_kib());
        peer.stop();
    }
}

impl Row {
    fn add(&mut self, peer: &Peer, figure: f64) {
        match self.figures.iter_mut().find(|(name, _)| name == peer.name) {
            Some((_, figures)) => figures.push(figure),
            None => self.figures.push((peer.name.to_owned(), vec![figure])),
        }
    }

    fn median(&self, at: usize) -> f64 {
        let mut figures = self.figures[at].1.clone();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    }

    fn print(&self) {
        let (ours, theirs) = (self.median(0), self.median(1));
        println!(
            "{:<52} {:>10.2} {:>10.2} {:>7.1}x  {}",
            self.work,
            ours,
            theirs,
            ours / theirs,
            self.unit
        );
    }
}

/// Objects a second, and CPU an object in milliseconds.
fn stores(peer: &Peer, pixels: usize, associations: usize, objects: usize) -> (f64, f64) {
    let each = objects / associations.min(objects);
    let before = cpu_seconds(peer.process());
    let clients: Vec<_> = (0..associations)
        .map(|_| {
            let client = Client::connect(peer.address, peer.title);
            let study = NUMBER.fetch_add(1, Ordering::Relaxed);
            let store = client.prepare(study, pixels);
            (client, store)
        })
        .collect();
    let began = Instant::now();
    let threads: Vec<_> = clients
        .into_iter()
        .map(|(mut client, mut store)| {
            std::thread::spawn(move || {
                for _ in 0..each {
                    client.store(&mut store, NUMBER.fetch_add(1, Ordering::Relaxed));
                }
                client
            })
        })
        .collect();
    let clients: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let seconds = began.elapsed().as_secs_f64();
    clients.into_iter().for_each(Client::release);
    let count = f64::from(u32::try_from(each * associations).unwrap());
    let cpu = cpu_seconds(peer.process()) - before;
    (count / seconds, cpu * 1000.0 / count)
}

/// Objects a second with DCMTK's `storescu`, over files with UIDs of their own.
fn storescu(peer: &Peer, folder: &Path, pixels: usize, objects: usize) -> f64 {
    let files = folder.join(format!("files-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir(&files).unwrap();
    let study = NUMBER.fetch_add(1, Ordering::Relaxed);
    let paths: Vec<PathBuf> = (0..objects)
        .map(|_| {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = files.join(format!("{number}.dcm"));
            std::fs::write(&path, lean::part10(study, number, pixels)).unwrap();
            path
        })
        .collect();
    let began = Instant::now();
    let done = Command::new("storescu")
        .args(["-aec", peer.title, "127.0.0.1", &peer.address.port().to_string()])
        .args(&paths)
        .output()
        .unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::remove_dir_all(&files).unwrap();
    f64::from(u32::try_from(objects).unwrap()) / seconds
}
