//! `cargo bench --bench engines`: reading a complaint, one model run on each engine, a prescription
//! check, a review stream, and a whole call over loopback.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run stops")]

#[path = "peers/order.rs"]
mod order;

use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use order::{CURRENT, ORDER};
use tonic::transport::Endpoint;
use xiangyi::config::{Config, EngineName};
use xiangyi::embedded;
use xiangyi::inference::{EngineChoice, LibrarySearch, manifest};
use xiangyi::medicine::diagnosis::DiagnosisKnowledge;
use xiangyi::medicine::diagnosis::evidence::{Claims, Evidence, Features};
use xiangyi::medicine::patient::{Patient, Vitals};
use xiangyi::medicine::prescription::{Chart, Line, Order, PrescriptionKnowledge};
use xiangyi::node::Node;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::DiagnoseRequest;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;
use xiangyi::rpc::proto::xiangyi::prescription::v1::prescription_service_client::PrescriptionServiceClient;

const TEXT: &str = "发热3天，咳嗽咳黄痰，右胸痛，否认咯血，T38.9℃";

fn library() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is configured by its caller")]
    let given = std::env::var("ORT_DYLIB_PATH").ok().map(PathBuf::from);
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/onnxruntime/1.32.0/libonnxruntime.so.1.32.0");
    given.or_else(|| fetched.is_file().then_some(fetched))
}

fn complaint(c: &mut Criterion) {
    let knowledge = DiagnosisKnowledge::load(&embedded::files()).unwrap();
    c.bench_function("read a complaint of 28 characters", |b| {
        b.iter(|| knowledge.reader.read(std::hint::black_box(TEXT)));
    });
}

fn inference(c: &mut Criterion) {
    let files = embedded::files();
    let knowledge = DiagnosisKnowledge::load(&files).unwrap();
    let mut engines = vec![(EngineChoice::Rten, "rten")];
    if library().is_some() {
        engines.push((EngineChoice::OnnxRuntime, "onnxruntime"));
    }
    for (choice, name) in engines {
        let spec = manifest::read(&files, "manifest.toml").unwrap().remove(0);
        let features = Features::new(&knowledge.vocabulary, &spec.features).unwrap();
        let claims = Claims {
            reading: Some(&knowledge.reader.read(TEXT)),
            present: &[],
            absent: &[],
            vitals: &Vitals::default(),
            patient: &Patient::default(),
        };
        let row = features.vector(&Evidence::gather(&knowledge.vocabulary, claims));
        let search = LibrarySearch::new(library(), None);
        let source = choice.decide(&search, 1).unwrap().source;
        let mut engine = source.open(files.bytes(&spec.file).unwrap()).unwrap();
        for batch in [1_usize, 16] {
            let findings: Vec<f32> = row.iter().copied().cycle().take(row.len() * batch).collect();
            let findings = ndarray::Array2::from_shape_vec((batch, row.len()), findings).unwrap();
            let patient = ndarray::Array2::from_elem((batch, 2), 1.0);
            c.bench_function(&format!("model run, {name}, batch {batch}"), |b| {
                b.iter(|| {
                    let inputs = [("findings", findings.view()), ("patient", patient.view())];
                    engine.run(&inputs, "probabilities").unwrap()
                });
            });
        }
    }
}

fn prescription(c: &mut Criterion) {
    let knowledge = PrescriptionKnowledge::load(&embedded::files()).unwrap();
    let order = Order {
        lines: ORDER
            .iter()
            .zip(1..)
            .map(|(name, i): (_, u32)| Line {
                id: i.to_string(),
                name: (*name).to_owned(),
                days: Some(5.0),
                ..Line::default()
            })
            .collect(),
        current: CURRENT.iter().map(|n| (*n).to_owned()).collect(),
        ..Order::default()
    };
    c.bench_function("check five lines against ten current medicines", |b| {
        b.iter(|| knowledge.check(std::hint::black_box(&order)));
    });
    let ordinary = ordinary();
    c.bench_function("check an ordinary prescription of five lines, ten current", |b| {
        b.iter(|| knowledge.check(std::hint::black_box(&ordinary)));
    });
}

/// A chronic patient's month, all in order: doses, diagnoses and kidney known.
fn ordinary() -> Order {
    let line = |(i, (name, dose, unit, frequency)): (u32, (&str, f32, &str, &str))| Line {
        id: i.to_string(),
        name: name.to_owned(),
        dose: Some(dose),
        dose_unit: unit.to_owned(),
        route: "口服".to_owned(),
        frequency: frequency.to_owned(),
        days: Some(28.0),
        ..Line::default()
    };
    let lines = [
        ("氨氯地平片", 5.0, "mg", "qd"),
        ("缬沙坦胶囊", 80.0, "mg", "qd"),
        ("二甲双胍片", 500.0, "mg", "bid"),
        ("阿托伐他汀钙片", 20.0, "mg", "qn"),
        ("碳酸钙D3片", 600.0, "mg", "qd"),
    ];
    let current = [
        "氨氯地平片",
        "缬沙坦胶囊",
        "二甲双胍片",
        "阿托伐他汀钙片",
        "碳酸钙D3片",
        "甲钴胺片",
        "维生素B1片",
        "氯雷他定片",
        "奥美拉唑肠溶胶囊",
        "左甲状腺素钠片",
    ];
    Order {
        lines: (1..).zip(lines).map(line).collect(),
        current: current.iter().map(|n| (*n).to_owned()).collect(),
        diagnoses: vec!["高血压病2级".to_owned(), "2型糖尿病".to_owned(), "高脂血症".to_owned()],
        patient: Patient { age_years: Some(62.0), ..Patient::default() },
        chart: Chart { egfr: Some(78.0), alt_times_uln: Some(0.8), ..Chart::default() },
        ..Order::default()
    }
}

fn calls(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    data.path().clone_into(&mut config.store.dir);
    config.models.onnxruntime_library = library();
    config.models.engine = EngineName::Auto;
    let node = runtime.block_on(Node::start(config)).unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", node.address())).unwrap();
    let channel = runtime.block_on(endpoint.connect()).unwrap();
    let diagnosis = DiagnosisServiceClient::new(channel.clone());
    c.bench_function("Diagnose over loopback, one client, durable", |b| {
        b.to_async(&runtime).iter(|| {
            let mut client = diagnosis.clone();
            let request = DiagnoseRequest { text: TEXT.to_owned(), ..Default::default() };
            async move { client.diagnose(request).await.unwrap() }
        });
    });
    let prescription = PrescriptionServiceClient::new(channel);
    c.bench_function("CheckPrescription over loopback, one client, durable", |b| {
        b.to_async(&runtime).iter(|| {
            let mut client = prescription.clone();
            let lines = ORDER
                .iter()
                .map(|name| rx::OrderLine { name: (*name).to_owned(), ..Default::default() });
            let request =
                rx::CheckPrescriptionRequest { lines: lines.collect(), ..Default::default() };
            async move { client.check_prescription(request).await.unwrap() }
        });
    });
}

/// Prescriptions sent through one review stream in one iteration.
const REVIEWED: usize = 2_000;

fn review(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    data.path().clone_into(&mut config.store.dir);
    config.models.engine = EngineName::Rten;
    let node = runtime.block_on(Node::start(config)).unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", node.address())).unwrap();
    let channel = runtime.block_on(endpoint.connect()).unwrap();
    let client = PrescriptionServiceClient::new(channel);
    let lines = ["氨氯地平片", "二甲双胍片", "阿托伐他汀钙片"].map(|name| rx::OrderLine {
        name: name.to_owned(),
        days: Some(28.0),
        ..Default::default()
    });
    let one = rx::ReviewPrescriptionsRequest {
        prescription_id: "1".to_owned(),
        prescription: Some(rx::CheckPrescriptionRequest {
            lines: lines.to_vec(),
            diagnoses: vec!["高血压".to_owned(), "2型糖尿病".to_owned(), "高脂血症".to_owned()],
            ..Default::default()
        }),
    };
    let mut group = c.benchmark_group("review");
    group.sample_size(10);
    group.throughput(criterion::Throughput::Elements(u64::try_from(REVIEWED).unwrap()));
    group.bench_function("2,000 prescriptions of three lines through one stream", |b| {
        b.to_async(&runtime).iter(|| {
            let mut client = client.clone();
            let requests = vec![one.clone(); REVIEWED];
            async move {
                let stream = tokio_stream::iter(requests);
                let mut replies = client.review_prescriptions(stream).await.unwrap().into_inner();
                let mut count = 0;
                while replies.message().await.unwrap().is_some() {
                    count += 1;
                }
                assert_eq!(count, REVIEWED + 1);
            }
        });
    });
}

criterion_group!(benches, complaint, inference, prescription, review, calls);
criterion_main!(benches);
