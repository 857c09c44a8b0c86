//! The hub's store of documents under load: how many discharge submissions a second are kept, beside
//! bare transactions of the same shape in the same run.
//!
//! `cargo bench --bench hub -- [--postgres URL] [--seconds N] [--sqlite]`. `scripts/postgres start`
//! prints a URL; what the run makes there is removed at its end. Each line is measured for N seconds (5
//! unless named). A submission is a record of 6 KB for one of 2,883 villages: a document, two
//! rows of inboxes (village and township), a person's key, a number handed over and an entry of the
//! audit trail. Digests are made up: hashing is the link's work.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a benchmark: what goes wrong ends it, and it prints what it measures"
)]

mod floor;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio_util::task::TaskTracker;
use xiangyi::app::exchange::ports::{Facts, HubDocuments, Scope, Submission};
use xiangyi::sharing::exchange::{Document, Kind, Outcome};
use xiangyi::store::{postgres, sqlite};

const VILLAGES: u64 = 2_883;
const TOWNSHIPS: u64 = 145;
const HOSPITALS: u64 = 20;
/// Bytes of a body.
const BODY_BYTES: usize = 6_000;
/// Who submits at the same time.
const SUBMITTERS: [u64; 4] = [1, 16, 64, 256];
/// Schema of the run.
const SCHEMA: &str = "bench_hub";

/// What was measured.
struct Line {
    name: String,
    count: u64,
    seconds: f64,
    latency: Histogram<u64>,
}

impl Line {
    fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    fn print(&self, floor: Option<f64>) {
        let ms = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        let ratio = floor.map_or(String::new(), |floor| format!("{:.2}", self.rate() / floor));
        println!(
            "| {:<44} | {:>8.0} | {:>8.2} | {:>8.2} | {:>5} |",
            self.name,
            self.rate(),
            ms(0.5),
            ms(0.99),
            ratio
        );
    }
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).unwrap()
}

fn township(village: u64) -> u64 {
    village % TOWNSHIPS
}

fn division(village: u64) -> String {
    format!("360{:06}{:03}", 100_000 + township(village), village / TOWNSHIPS)
}

fn scopes() -> Vec<Scope> {
    let villages = (0..VILLAGES)
        .map(|village| Scope { node: format!("village-{village}"), area: division(village) });
    let townships = (0..TOWNSHIPS).map(|township| {
        let area = division(township)[..9].to_owned();
        Scope { node: format!("township-{township}"), area }
    });
    villages.chain(townships).collect()
}

/// Something that compresses like a FHIR document. A few are made once: making them is not what is
/// measured.
fn body(number: u64) -> bytes::Bytes {
    static BODIES: OnceLock<Vec<bytes::Bytes>> = OnceLock::new();
    let bodies = BODIES.get_or_init(|| (1..=64).map(|seed| made_up(seed).into()).collect());
    bodies[usize::try_from(number % 64).unwrap()].clone()
}

fn made_up(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut text = String::with_capacity(BODY_BYTES + 200);
    while text.len() < BODY_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let value = state % 200;
        let observation = format!(
            "{{\"resourceType\":\"Observation\",\"id\":\"{state:016x}\",\"code\":{{\"text\":\"收缩压\"}},\
             \"valueQuantity\":{{\"value\":{value},\"unit\":\"mmHg\"}}}},"
        );
        text.push_str(&observation);
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(BODY_BYTES);
    bytes
}

fn submission(number: u64) -> Submission {
    let hospital = number % HOSPITALS;
    let mut sha256 = [0x5a; 32];
    sha256[..8].copy_from_slice(&number.to_be_bytes());
    let mut key = [0; 16];
    key[..8].copy_from_slice(&(number % 1_000_000).to_be_bytes());
    Submission {
        node: format!("hospital-{hospital}"),
        store: format!("0190a5b2-hospital-{hospital}"),
        number: number / HOSPITALS + 1,
        document: Document {
            kind: Kind::Record,
            name: format!("hospital-{hospital}/0190a5b2-7c1e-7000-8000-{number:012}"),
            version: 1,
            media_type: "application/fhir+json".to_owned(),
            sha256,
            body: body(number),
        },
        sm3: sha256,
        facts: Facts {
            keys: vec![key],
            division: division(number.wrapping_mul(2_654_435_761) % VILLAGES),
            ..Facts::default()
        },
        at_ms: 1_764_000_000_000,
    }
}

/// So many submit one after the other at the same time.
async fn keep(
    store: &Arc<dyn HubDocuments>,
    submitters: u64,
    next: &Arc<AtomicU64>,
    time: Duration,
) -> Line {
    let tasks: Vec<_> = (0..submitters)
        .map(|_| {
            let (store, next) = (Arc::clone(store), Arc::clone(next));
            tokio::spawn(async move {
                let mut latency = new_histogram();
                let begin = Instant::now();
                while begin.elapsed() < time {
                    let submission = submission(next.fetch_add(1, Ordering::Relaxed));
                    let sent = Instant::now();
                    let outcome = store.keep(submission).await.unwrap();
                    latency.saturating_record(sent.elapsed().as_micros().try_into().unwrap());
                    assert!(matches!(outcome, Outcome::Kept(_)), "{outcome:?}");
                }
                latency
            })
        })
        .collect();
    let begin = Instant::now();
    let mut latency = new_histogram();
    for task in tasks {
        latency.add(task.await.unwrap()).unwrap();
    }
    let seconds = begin.elapsed().as_secs_f64();
    Line { name: format!("keep, {submitters} at a time"), count: latency.len(), seconds, latency }
}

/// Sixteen inboxes of townships at a time are read in parts of 64, and each part is said to be kept.
async fn drain(store: &Arc<dyn HubDocuments>, time: Duration) -> Line {
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (store, next) = (Arc::clone(store), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut latency, mut count) = (new_histogram(), 0);
                while begin.elapsed() < time {
                    let node = format!("township-{}", next.fetch_add(1, Ordering::Relaxed) % 145);
                    let (mut after, mut whole) = (0, false);
                    while !whole {
                        let asked = Instant::now();
                        let (read, is_last) = store.inbox(&node, after, 64).await.unwrap();
                        after += read.len() as u64;
                        count += read.len() as u64;
                        store.advance(&node, after, 1).await.unwrap();
                        latency.saturating_record(asked.elapsed().as_micros().try_into().unwrap());
                        whole = is_last;
                    }
                }
                (latency, count)
            })
        })
        .collect();
    let (mut latency, mut count) = (new_histogram(), 0);
    for task in tasks {
        let (of_one, its_count) = task.await.unwrap();
        latency.add(of_one).unwrap();
        count += its_count;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Line { name: "inboxes read and said to be kept, by 64".to_owned(), count, seconds, latency }
}

fn heading(what: &str) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("\n{what}; load of the machine before: {}\n", load.trim());
    println!(
        "| {:<44} | {:>8} | {:>8} | {:>8} | {:>5} |",
        "", "a second", "p50 ms", "p99 ms", "ratio"
    );
    println!("|{:-<46}|---------:|---------:|---------:|------:|", "");
}

async fn measure(store: Arc<dyn HubDocuments>, floors: Option<(f64, f64)>, time: Duration) {
    let next = Arc::new(AtomicU64::new(0));
    keep(&store, 64, &next, Duration::from_secs(1)).await;
    for submitters in SUBMITTERS {
        let line = keep(&store, submitters, &next, time).await;
        // One at a time shares nothing; many share a transaction.
        let floor = floors.map(|(single, batched)| if submitters == 1 { single } else { batched });
        line.print(floor);
    }
    drain(&store, time).await.print(None);
    // Nothing was lost on the way: the heads say how many came.
    let nodes = store.nodes().await.unwrap();
    let handed: u64 = nodes.iter().map(|node| node.handed_over).sum();
    let delivered: u64 = nodes.iter().map(|node| node.inbox).sum();
    assert_eq!((handed, delivered), (next.load(Ordering::Relaxed), 2 * handed));
}

async fn over_postgres(url: &str, time: Duration) {
    heading("PostgreSQL");
    floor::drop_schema(url, SCHEMA).await;
    let floors = floor::measure(url, time).await;
    let tracker = TaskTracker::new();
    let server = postgres::Server::parse(url).unwrap();
    let store = postgres::hub::HubStore::open(&server, SCHEMA, scopes(), &tracker).await.unwrap();
    measure(Arc::new(store), Some(floors), time).await;
    tracker.close();
    tracker.wait().await;
    floor::drop_schema(url, SCHEMA).await;
}

async fn over_sqlite(time: Duration) {
    heading("SQLite");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let store = sqlite::hub::HubStore::open(&path, scopes()).await.unwrap();
    measure(Arc::new(store), None, time).await;
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut url, mut seconds, mut sqlite) = (None, 5, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--postgres" => url = arguments.next(),
            "--seconds" => seconds = arguments.next().unwrap().parse().unwrap(),
            "--sqlite" => sqlite = true,
            // What `cargo bench` adds.
            "--bench" => {}
            other => panic!("what is {other}?"),
        }
    }
    let time = Duration::from_secs(seconds);
    if let Some(url) = url {
        over_postgres(&url, time).await;
    }
    if sqlite {
        over_sqlite(time).await;
    }
}
