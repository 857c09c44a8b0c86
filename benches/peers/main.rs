//! Races a node against the same model behind Python `grpcio` and `onnxruntime`, with one load
//! generator, in one run, on one machine; and against the bare work it wraps.
//!
//! `cargo bench --bench peers` prints a table and writes it, with the machine, to
//! `benches/results/peers.md`. Needs `scripts/test` to have been run once (its Python environment
//! and ONNX Runtime); `XIANGYI_PYTHON` and `ORT_DYLIB_PATH` override.
//!
//! `cargo bench --bench peers -- onnxruntime` measures only the servers so named and writes nothing.
//! One of the servers is a floor: tonic with an answer of the same size and no work behind it.
//!
//! The load is closed-loop: each client sends the next call when it has the answer to the last.
//! That fits "how much can so many clients get", not "what happens past the knee".

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run stops")]

mod floor;
mod order;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hdrhistogram::Histogram;
use order::{CURRENT, ORDER};
use tokio::time::Instant;
use tonic::transport::Endpoint;
use xiangyi::embedded;
use xiangyi::inference::{EngineChoice, LibrarySearch, manifest};
use xiangyi::medicine::diagnosis::DiagnosisKnowledge;
use xiangyi::medicine::diagnosis::evidence::{Claims, Evidence, Features};
use xiangyi::medicine::patient::{Patient, Vitals};
use xiangyi::medicine::prescription::{Line, Order, PrescriptionKnowledge};
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;

/// How long each measurement runs.
const MEASURE: Duration = Duration::from_secs(8);
/// How long each server warms up before.
const WARM_UP: Duration = Duration::from_secs(2);
/// Complaints sent in turn.
const TEXTS: [&str; 6] = [
    "发热3天，咳嗽咳黄痰，右胸痛，否认咯血",
    "鼻塞流涕2天，打喷嚏，嗓子疼，没有咳嗽，无发热",
    "腹泻水样便1天，呕吐，腹痛，尿少",
    "胸口压榨样疼痛1小时，大汗，向左肩放射",
    "尿频、尿急、尿痛2天，无发热，无腰痛",
    "头晕，视物旋转，恶心，耳鸣，无头痛",
];

/// A server process that ends with this value.
struct Server {
    child: Child,
    url: String,
    _data: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one measurement saw.
struct Seen {
    per_second: f64,
    latency: Histogram<u64>,
}

fn main() {
    if std::env::args().any(|a| a == "--list" || a == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let answer = std::env::args().skip_while(|a| a != floor::ARGUMENT).nth(1);
    if let Some(answer) = answer {
        runtime.block_on(floor::serve(Path::new(&answer)));
    } else {
        let only: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
        runtime.block_on(race(&only));
    }
}

async fn race(only: &[String]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = variable("ORT_DYLIB_PATH")
        .unwrap_or_else(|| root.join("target/onnxruntime/1.32.0/libonnxruntime.so.1.32.0"));
    assert!(library.is_file(), "no ONNX Runtime at {}: run scripts/test first", library.display());
    let python =
        variable("XIANGYI_PYTHON").unwrap_or_else(|| root.join("target/test-venv/bin/python"));
    assert!(python.is_file(), "no Python at {}: run scripts/test first", python.display());

    let mut table = String::new();
    let _ = writeln!(table, "{}", machine());
    let _ = writeln!(table, "| server | clients | calls/s | p50 µs | p95 µs | p99 µs |");
    let _ = writeln!(table, "| --- | --: | --: | --: | --: | --: |");
    let mut rates = Vec::new();
    let mut medians = Vec::new();
    for clients in [1, 8] {
        for name in ["floor", "python", "onnxruntime", "rten"] {
            if !only.is_empty() && !only.iter().any(|o| o == name) {
                continue;
            }
            let server = match name {
                "floor" => floor::start(&library).await,
                "python" => peer(root, &python),
                engine => node(engine, &library),
            };
            let shown = match name {
                "floor" => "tonic alone, a fixed answer, no work".to_owned(),
                "python" => "Python grpcio + onnxruntime, nothing kept".to_owned(),
                engine => format!("xiangyi, {engine}, every answer durable"),
            };
            load(&server.url, clients, WARM_UP).await;
            let seen = load(&server.url, clients, MEASURE).await;
            let at = |q: f64| seen.latency.value_at_quantile(q);
            let row = format!(
                "| {shown} | {clients} | {:.0} | {} | {} | {} |",
                seen.per_second,
                at(0.5),
                at(0.95),
                at(0.99)
            );
            say(&row);
            let _ = writeln!(table, "{row}");
            rates.push((clients, name, seen.per_second));
            medians.push((clients, name, seen.latency.value_at_quantile(0.5)));
        }
    }
    if !only.is_empty() {
        return;
    }
    let bare = bare(&library);
    let _ = writeln!(table, "\n| bare work, in process, one thread | p50 µs |");
    let _ = writeln!(table, "| --- | --: |");
    for (name, micros) in &bare {
        let _ = writeln!(table, "| {name} | {micros:.1} |");
    }
    let _ = writeln!(
        table,
        "| prescription check, five lines and ten current medicines | {:.1} |",
        check()
    );
    let (ready, resident) = start_up(&library);
    let _ = writeln!(table, "\n| node | measured | to reach |\n| --- | --: | --: |");
    let _ = writeln!(table, "| ready after start (median of 7), ms | {ready:.0} | 500 |");
    let _ = writeln!(table, "| resident when idle, MiB | {resident:.0} | 120 |");
    let rate = |c, n| rates.iter().find(|r| r.0 == c && r.1 == n).map_or(0.0, |r| r.2);
    let _ = writeln!(table, "\n| ratio | measured | to reach |\n| --- | --: | --: |");
    for engine in ["onnxruntime", "rten"] {
        let ratio = rate(8, engine) / rate(8, "python");
        let _ = writeln!(table, "| throughput at 8 clients, {engine} / Python | {ratio:.1} | 8 |");
        let ratio = rate(8, engine) / rate(8, "floor");
        let _ =
            writeln!(table, "| throughput at 8 clients, {engine} / tonic alone | {ratio:.2} | |");
    }
    for (engine, (_, work)) in ["onnxruntime", "rten"].iter().zip(&bare) {
        for clients in [1, 8] {
            let median =
                medians.iter().find(|m| m.0 == clients && m.1 == *engine).map_or(0, |m| m.2);
            let ratio = f64::from(u32::try_from(median).unwrap()) / work;
            let _ = writeln!(
                table,
                "| median of a call at {clients} clients / bare run and parsing, {engine} | {ratio:.1} | 2 |"
            );
        }
    }
    say(&table);
    let results = root.join("benches/results");
    std::fs::create_dir_all(&results).unwrap();
    let text = format!("# Peers\n\n`cargo bench --bench peers`\n\n{table}");
    std::fs::write(results.join("peers.md"), text).unwrap();
}

/// `clients` callers, each with a connection of its own, for `time`.
async fn load(url: &str, clients: usize, time: Duration) -> Seen {
    let end = Instant::now() + time;
    let start = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for first in 0..clients {
        let channel = Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap();
        let mut client = DiagnosisServiceClient::new(channel);
        callers.spawn(async move {
            let mut latency = Histogram::<u64>::new(3).unwrap();
            for text in TEXTS.iter().cycle().skip(first) {
                let sent = Instant::now();
                if sent >= end {
                    break;
                }
                let answer = client.diagnose(request(text)).await.unwrap().into_inner();
                assert!(answer.consultation.is_some_and(|c| !c.conditions.is_empty()));
                latency.record(u64::try_from(sent.elapsed().as_micros()).unwrap()).unwrap();
            }
            latency
        });
    }
    let mut latency = Histogram::<u64>::new(3).unwrap();
    for one in callers.join_all().await {
        latency.add(one).unwrap();
    }
    let calls = f64::from(u32::try_from(latency.len()).unwrap());
    Seen { per_second: calls / start.elapsed().as_secs_f64(), latency }
}

fn request(text: &str) -> dx::DiagnoseRequest {
    dx::DiagnoseRequest {
        patient: Some(common::Patient {
            age_years: Some(45.0),
            sex: common::Sex::Male.into(),
            ..Default::default()
        }),
        text: text.to_owned(),
        ..Default::default()
    }
}

/// Median microseconds of reading a complaint and one model run, per engine.
fn bare(library: &Path) -> Vec<(String, f64)> {
    let files = embedded::files();
    let knowledge = DiagnosisKnowledge::load(&files).unwrap();
    let mut out = Vec::new();
    for (choice, name) in [(EngineChoice::OnnxRuntime, "onnxruntime"), (EngineChoice::Rten, "rten")]
    {
        let search = LibrarySearch::new(Some(library.to_owned()), None);
        let spec = manifest::read(&files, "manifest.toml").unwrap().remove(0);
        let features = Features::new(&knowledge.vocabulary, &spec.features).unwrap();
        let source = choice.decide(&search, 1).unwrap().source;
        let mut engine = source.open(files.bytes(&spec.file).unwrap()).unwrap();
        let mut latency = Histogram::<u64>::new(3).unwrap();
        for text in TEXTS.iter().cycle().take(6_000) {
            let start = Instant::now();
            let reading = knowledge.reader.read(text);
            let claims = Claims {
                reading: Some(&reading),
                present: &[],
                absent: &[],
                vitals: &Vitals::default(),
                patient: &Patient::default(),
            };
            let row = features.vector(&Evidence::gather(&knowledge.vocabulary, claims));
            let findings = ndarray::ArrayView2::from_shape((1, row.len()), &row).unwrap();
            let patient = ndarray::arr2(&[[45.0, 1.0]]);
            let inputs = [("findings", findings), ("patient", patient.view())];
            let answer = engine.run(&inputs, "probabilities").unwrap();
            std::hint::black_box(answer);
            latency.record(u64::try_from(start.elapsed().as_nanos()).unwrap()).unwrap();
        }
        let nanos = u32::try_from(latency.value_at_quantile(0.5)).unwrap();
        out.push((format!("read + session.run, {name}"), f64::from(nanos) / 1000.0));
    }
    out
}

/// Median microseconds of one prescription check.
fn check() -> f64 {
    let knowledge = PrescriptionKnowledge::load(&embedded::files()).unwrap();
    let line = |(name, i): (&str, u32)| Line {
        id: i.to_string(),
        name: name.to_owned(),
        days: Some(5.0),
        ..Line::default()
    };
    let order = Order {
        lines: ORDER.into_iter().zip(1..).map(line).collect(),
        current: CURRENT.map(str::to_owned).to_vec(),
        ..Order::default()
    };
    let mut latency = Histogram::<u64>::new(3).unwrap();
    for _ in 0..20_000 {
        let start = Instant::now();
        std::hint::black_box(knowledge.check(std::hint::black_box(&order)));
        latency.record(u64::try_from(start.elapsed().as_nanos()).unwrap()).unwrap();
    }
    f64::from(u32::try_from(latency.value_at_quantile(0.5)).unwrap()) / 1000.0
}

/// Milliseconds until a node says that it serves, and its resident MiB then.
fn start_up(library: &Path) -> (f64, f64) {
    let mut starts: Vec<(f64, f64)> = (0..7)
        .map(|_| {
            let start = Instant::now();
            let server = node("onnxruntime", library);
            let ready = start.elapsed().as_secs_f64() * 1000.0;
            let path = format!("/proc/{}/status", server.child.id());
            let status = std::fs::read_to_string(path).unwrap();
            let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
            let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            (ready, kib / 1024.0)
        })
        .collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    starts.get(3).copied().unwrap()
}

fn node(engine: &str, library: &Path) -> Server {
    let data = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_xiangyi"))
        .args(["serve", "--json"])
        .env("XIANGYI_SERVER_LISTEN", "127.0.0.1:0")
        .env("XIANGYI_STORE_DIR", data.path())
        .env("XIANGYI_MODELS_ENGINE", engine)
        .env("XIANGYI_LOG_LEVEL", "warn")
        .env("ORT_DYLIB_PATH", library)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = first_line(&mut child);
    let started: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", started.get("grpc").and_then(|a| a.as_str()).unwrap());
    Server { child, url, _data: Some(data) }
}

fn peer(root: &Path, python: &Path) -> Server {
    let mut child = Command::new(python)
        .arg(root.join("benches/peers/server.py"))
        .arg("--models")
        .arg(root.join("models"))
        .arg("--proto")
        .arg(root.join("proto"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let port = first_line(&mut child);
    Server { child, url: format!("http://127.0.0.1:{}", port.trim()), _data: None }
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "a server did not start");
    line
}

/// Processor, cores, memory, kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name").and_then(|l| l.split_once(':')))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().unwrap_or_default().replace("MemTotal:", "");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "Machine: {model}, {cores} cores, {} memory, Linux {}; servers and load generator share it.\n",
        memory.trim(),
        kernel.trim()
    )
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is configured by its caller")]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var(name).ok().map(PathBuf::from)
}

#[expect(clippy::print_stdout, reason = "a benchmark talks to a person")]
fn say(text: &str) {
    println!("{text}");
}
