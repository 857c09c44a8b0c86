//! Imaging against Orthanc of Debian, in one run on one machine: both are started with empty
//! stores, the repetitions alternate, medians and ratios are printed.
//!
//! `cargo bench --bench imaging -- [--repeat N] [--only store|retrieve|web|idle] [--postgres URL]`.
//! Needs Orthanc and DCMTK (Debian packages `orthanc`, `orthanc-dicomweb`, `dcmtk`) and the release
//! binary, which it asks for if it is missing. With `--postgres` both keep their index in that
//! database (package `orthanc-postgresql`), which must hold no index of Orthanc yet;
//! `scripts/postgres start target/bench` prints the URL of one.

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
mod retrieve;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lean::Client;
use peer::{Peer, cpu_seconds};
use retrieve::{Kept, StoreScp};

/// Repetitions unless asked otherwise.
const REPEAT: usize = 5;
/// Idle peers.
const IDLE: usize = 1_000;
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
    let scp = peer::free_port();
    let path = folder.path();
    let peers = [Peer::xiangyi(path, scp, postgres), Peer::orthanc(path, scp, postgres)];
    for peer in &peers {
        println!("{}: {}", peer.name, peer.version);
    }
    let only = value("--only").map(String::as_str);
    let wanted = |part: &str| only.is_none_or(|only| only == part);
    println!("{:<52} {:>10} {:>10}", "", peers[0].name, peers[1].name);
    if wanted("idle") {
        idle(&peers[0]);
    }
    if wanted("store") {
        storing(&peers, repeat, path);
    }
    if wanted("retrieve") {
        giving_back(&peers, repeat, path, scp);
    }
    if wanted("web") {
        over_the_web(&peers, repeat);
    }
    for peer in peers {
        println!("{}: {} KiB resident at the end", peer.name, peer.resident_kib());
        peer.stop();
    }
}

/// C-STORE and C-ECHO.
fn storing(peers: &[Peer; 2], repeat: usize, folder: &Path) {
    for (size, pixels) in SIZES {
        for associations in [1, 4, 16] {
            let objects = if pixels > 100_000 { 160 } else { 1600 };
            let work = format!("C-STORE {size}, lean client, {associations} associations");
            let mut rate = Row { work: work.clone(), unit: "objects/s", ..Row::default() };
            let mut cpu = Row { work, unit: "ms CPU an object", ..Row::default() };
            for _ in 0..repeat {
                for peer in peers {
                    let (objects_s, cpu_ms) = stores(peer, pixels, associations, objects);
                    rate.add(peer, objects_s);
                    cpu.add(peer, cpu_ms);
                }
            }
            rate.print();
            cpu.print();
        }
        let mut stock = Row {
            work: format!("C-STORE {size}, stock storescu, one association"),
            unit: "objects/s",
            ..Row::default()
        };
        for _ in 0..repeat {
            for peer in peers {
                stock.add(peer, storescu(peer, folder, pixels, 60));
            }
        }
        stock.print();
    }
    let mut echo =
        Row { work: "C-ECHO, lean client".to_owned(), unit: "a second", ..Row::default() };
    for _ in 0..repeat {
        for peer in peers {
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
}

/// C-GET and C-MOVE with stock clients.
fn giving_back(peers: &[Peer; 2], repeat: usize, folder: &Path, port: u16) {
    let scp = StoreScp::start(folder, port);
    for (size, pixels) in SIZES {
        let kept = keep_both(peers, pixels);
        let row = |work: &str| Row {
            work: format!("{work} {size}, {} objects", retrieve::OBJECTS),
            unit: "objects/s",
            ..Row::default()
        };
        let (mut get, mut moved) =
            (row("C-GET, stock getscu,"), row("C-MOVE, stock movescu and storescp,"));
        for _ in 0..repeat {
            for (peer, kept) in peers.iter().zip(&kept) {
                get.add(peer, retrieve::getscu(peer, kept, folder));
                moved.add(peer, retrieve::movescu(peer, kept, &scp));
            }
        }
        get.print();
        moved.print();
    }
    scp.stop();
}

fn over_the_web(peers: &[Peer; 2], repeat: usize) {
    let kept = keep_both(peers, SIZES[0].1);
    let row = |work: &str, unit| Row { work: work.to_owned(), unit, ..Row::default() };
    let mut rows = [
        row("DICOMweb, a frame of 0.5 MB", "ms"),
        row("DICOMweb, metadata of 200 instances", "ms"),
        row("DICOMweb, first byte of a study", "ms"),
        row("DICOMweb, whole study of 100 MB", "MB/s"),
    ];
    for _ in 0..repeat {
        for (peer, kept) in peers.iter().zip(&kept) {
            for (row, figure) in rows.iter_mut().zip(retrieve::web(peer, kept)) {
                row.add(peer, figure);
            }
        }
    }
    rows.iter().for_each(Row::print);
}

fn keep_both(peers: &[Peer; 2], pixels: usize) -> [Kept; 2] {
    let study = NUMBER.fetch_add(1, Ordering::Relaxed);
    let first = NUMBER.fetch_add(retrieve::OBJECTS, Ordering::Relaxed);
    [0, 1].map(|at| retrieve::keep(&peers[at], study, first, pixels))
}

/// What a thousand idle peers cost. Orthanc has a thread for each association, 32 at most.
fn idle(peer: &Peer) {
    let (before_ms, before_p99) = retrieve::echoes(peer, 5_000);
    let resident = peer.resident_kib();
    let idle: Vec<Client> = (0..IDLE).map(|_| Client::connect(peer.address, peer.title)).collect();
    // What was read into is given back after half a second.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let each = peer.resident_kib().saturating_sub(resident) / u64::try_from(IDLE).unwrap();
    let (ms, p99) = retrieve::echoes(peer, 5_000);
    println!(
        "{} alone: C-ECHO {before_ms:.3} ms, p99 {before_p99:.3} ms, {resident} KiB",
        peer.name
    );
    println!("with {IDLE} idle peers: C-ECHO {ms:.3} ms, p99 {p99:.3} ms, {each} KiB each");
    idle.into_iter().for_each(Client::release);
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
