//! A hub and all villages of a prefecture over real links: how long a record takes from the hub's commit
//! to the village, and how long the whole prefecture takes to catch up after a day without a line.
//!
//! ```text
//! cargo bench --bench exchange -- [--nodes 2883] [--records 2000] [--rate 200] [--backlog 100000]
//!                                 [--postgres URL --key FILE]
//! ```
//!
//! Hub and nodes share this process and its cores; each node is the real client with a desk in memory
//! that keeps nothing, so the figures are those of hub, link and database.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a benchmark talks to a person and stops at the first thing that is wrong"
)]

mod desk;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use xiangyi::app::exchange::clock::HubTime;
use xiangyi::config::{Config, MemberSection, NodeRole};
use xiangyi::link::client::{HubLink, LinkOptions};
use xiangyi::node::{Node, SystemClock};

use self::desk::{Arrivals, MemoryDesk, record};

struct Args {
    nodes: usize,
    records: usize,
    rate: u64,
    backlog: usize,
    postgres: Option<(String, PathBuf)>,
}

fn args() -> Args {
    let mut all = std::env::args().skip(1);
    let mut args = Args { nodes: 2883, records: 2000, rate: 200, backlog: 100_000, postgres: None };
    let (mut url, mut key) = (None, None);
    while let Some(arg) = all.next() {
        let mut value = || all.next().expect("a value");
        match arg.as_str() {
            "--nodes" => args.nodes = value().parse().unwrap(),
            "--records" => args.records = value().parse().unwrap(),
            "--rate" => args.rate = value().parse().unwrap(),
            "--backlog" => args.backlog = value().parse().unwrap(),
            "--postgres" => url = Some(value()),
            "--key" => key = Some(PathBuf::from(value())),
            // cargo bench adds this.
            "--bench" => {}
            other => panic!("unknown argument {other}"),
        }
    }
    args.postgres = url.map(|url| (url, key.expect("--postgres needs --key FILE")));
    args
}

fn token(name: &str) -> String {
    format!("token of {name}")
}

fn member(name: String, area: String) -> MemberSection {
    let digest = Sha256::digest(token(&name).as_bytes());
    let digest = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    MemberSection { name, area, certificate_sha256: None, token_sha256: Some(digest) }
}

/// Villages of the table, as many as are asked for.
fn villages(count: usize) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/regions/divisions.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let codes = text.lines().filter_map(|line| line.split(',').next());
    let codes = codes.filter(|c| c.len() == 12 && c.bytes().all(|b| b.is_ascii_digit()));
    codes.take(count).map(str::to_owned).collect()
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

async fn hub(args: &Args, villages: &[String]) -> (Node, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    "hub".clone_into(&mut config.node.name);
    config.node.role = NodeRole::Hub;
    config.store.dir = data.path().to_owned();
    config.imaging.enabled = false;
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.link.listen = Some("127.0.0.1:0".parse().unwrap());
    config.link.nodes = villages.iter().map(|code| member(code.clone(), code.clone())).collect();
    config.link.nodes.push(member("hospital".to_owned(), "361104".to_owned()));
    if let Some((url, key)) = &args.postgres {
        config.exchange.postgres_url = serde_json::from_value(url.clone().into()).unwrap();
        config.exchange.key_file = Some(key.clone());
        let stamp = std::process::id();
        config.exchange.postgres_schema = format!("bench_exchange_{stamp}");
    }
    (Node::start(config).await.unwrap(), data)
}

/// Connects a desk; aborting the tasks cuts the line.
fn connect(tasks: &mut JoinSet<()>, hub: &str, name: &str, desk: &Arc<MemoryDesk>) {
    let options = LinkOptions { hub: hub.to_owned(), tls: None, token: Some(token(name)) };
    let chance = {
        let seed = name.bytes().fold(7_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
        Arc::new(move || f64::from(seed % 1000) / 1000.0)
    };
    let link = HubLink::new(options, chance, HubTime::new(Arc::new(SystemClock))).unwrap();
    tasks.spawn(Arc::clone(&link).run(None));
    tasks.spawn(link.exchange(Arc::<MemoryDesk>::clone(desk)));
}

async fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

#[tokio::main]
async fn main() {
    let args = args();
    let villages = villages(args.nodes);
    assert_eq!(villages.len(), args.nodes, "the table has fewer villages");
    let (node, _data) = hub(&args, &villages).await;
    let url = format!("http://{}", node.link_address().unwrap());
    let store = if args.postgres.is_some() { "PostgreSQL" } else { "SQLite" };
    println!(
        "hub on {store}, {} villages; {} MiB before they come",
        villages.len(),
        resident_mib()
    );

    let arrivals = Arc::new(Arrivals::default());
    let desks: Vec<Arc<MemoryDesk>> = villages.iter().map(|_| MemoryDesk::new(&arrivals)).collect();
    let mut lines = JoinSet::new();
    for (name, desk) in villages.iter().zip(&desks) {
        connect(&mut lines, &url, name, desk);
    }
    let came = until("all come", Duration::from_mins(3), || {
        desks.iter().all(|desk| desk.welcomed.load(Ordering::Relaxed))
    })
    .await;
    println!("all attended after {:.1} s; {} MiB", came.as_secs_f64(), resident_mib());

    // One after another at a steady rate, whatever became of the one before.
    let hospital = MemoryDesk::new(&arrivals);
    let mut hospital_line = JoinSet::new();
    connect(&mut hospital_line, &url, "hospital", &hospital);
    let pause = Duration::from_secs_f64(1.0 / args.rate as f64);
    let mut tick = tokio::time::interval(pause);
    for number in 0..args.records {
        tick.tick().await;
        hospital.put(record(number, &villages[number.wrapping_mul(7919) % villages.len()]));
    }
    let records = args.records;
    until("all are delivered", Duration::from_mins(2), || arrivals.count() >= records).await;
    arrivals.print("from the hub's answer to the village", &hospital);
    assert_eq!(arrivals.count(), records, "some came twice");

    // A day without a line.
    lines.shutdown().await;
    let begun = Instant::now();
    for number in 0..args.backlog {
        let number = args.records + number;
        hospital.put(record(number, &villages[number % villages.len()]));
    }
    let all = args.records + args.backlog;
    until("the hub has the backlog", Duration::from_mins(10), || hospital.settled() >= all).await;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} records handed over by one hospital in {seconds:.1} s: {:.0}/s; {} MiB",
        args.backlog,
        args.backlog as f64 / seconds,
        resident_mib()
    );
    let begun = Instant::now();
    for (name, desk) in villages.iter().zip(&desks) {
        connect(&mut lines, &url, name, desk);
    }
    let mut highest = 0;
    until("all caught up", Duration::from_mins(10), || {
        highest = highest.max(resident_mib());
        arrivals.count() >= all
    })
    .await;
    println!(
        "all {} nodes back at once and caught up after {:.1} s; at most {highest} MiB",
        villages.len(),
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(arrivals.count(), all, "some came twice");
    lines.shutdown().await;
    hospital_line.shutdown().await;
    node.stop().await;
}
