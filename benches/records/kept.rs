//! How many FHIR resources a second a node keeps: document bundles handed in at its FHIR door, each
//! answered after it is on disk (`synchronous=FULL`) with its place in the outbox and the audit entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use xiangyi::config::{Config, NodeRole};
use xiangyi::node::Node;
use xiangyi::sharing::discharge::{DischargeRecord, Moment, fhir};

/// Who hands in at the same time.
const CLIENTS: [usize; 3] = [1, 16, 64];
/// Bundles made for each measurement; it ends with them or after [`LASTING`].
const BUNDLES: usize = 6_000;
const LASTING: Duration = Duration::from_secs(10);

/// Bundles that differ in their name, made before the clock runs.
fn bundles(records: &[DischargeRecord], run: usize) -> Vec<Vec<u8>> {
    let now = Moment::iso("2026-11-29T08:00:00+08:00").unwrap();
    (0..BUNDLES)
        .map(|number| {
            let mut record = records[number % records.len()].clone();
            record.document.name = format!("urn:oid:2.999.7|{run}-{number}");
            record.document.version = Some(1);
            fhir::write(&record, &now).to_string().into_bytes()
        })
        .collect()
}

/// Starts a hospital's node in `folder`, hands bundles of `records` in, and prints rates.
pub(super) async fn run(records: &[DischargeRecord], folder: &std::path::Path) {
    let mut config = Config::default();
    config.node.role = NodeRole::Hospital;
    config.store.dir = folder.to_owned();
    config.imaging.enabled = false;
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.fhir.listen = Some("127.0.0.1:0".parse().unwrap());
    let node = Node::start(config).await.unwrap();
    let address = node.fhir_address().unwrap();
    for (run, clients) in CLIENTS.into_iter().enumerate() {
        let all = Arc::new(bundles(records, run));
        let resources: usize = all.iter().map(|bundle| super::resources(bundle)).sum();
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (all, next) = (Arc::clone(&all), Arc::clone(&next));
            tasks.spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                // Else every request waits for the acknowledgement of its head.
                stream.set_nodelay(true).unwrap();
                let mut stream = BufReader::new(stream);
                let mut kept = 0;
                while started.elapsed() < LASTING
                    && let Some(bundle) = all.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    hand_in(&mut stream, bundle).await;
                    kept += 1;
                }
                kept
            });
        }
        let mut kept = 0_u32;
        while let Some(done) = tasks.join_next().await {
            kept += done.unwrap();
        }
        let seconds = started.elapsed().as_secs_f64();
        let bundles = f64::from(kept) / seconds;
        let each = resources as f64 / all.len() as f64;
        println!(
            "kept, {clients} at a time: {bundles:.0} bundles/s, {:.0} resources/s",
            bundles * each
        );
    }
    assert!(node.stop().await, "the node did not end in time");
}

async fn hand_in(stream: &mut BufReader<TcpStream>, bundle: &[u8]) {
    let head = format!(
        "POST /fhir/Bundle HTTP/1.1\r\nhost: bench\r\ncontent-type: application/fhir+json\r\n\
         x-purpose-of-use: TREAT\r\nprefer: return=minimal\r\ncontent-length: {}\r\n\r\n",
        bundle.len()
    );
    let request = [head.as_bytes(), bundle].concat();
    stream.write_all(&request).await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("HTTP/1.1 201"), "{line}");
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
}
