//! What encryption at rest costs: images taken in and consultations kept, by nodes with and without it,
//! in one run on one machine; the repetitions alternate, medians and ratios are printed.
//!
//! `cargo bench --bench at_rest -- [--repeat N] [--images N] [--calls N] [--sm4]`. Nodes and clients share
//! this process and its cores. `archive` is the archive alone, without reading, index and gRPC. A second
//! plain node says how far two that are alike differ here.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a benchmark: what goes wrong ends it, and it prints what it measures"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use dicom_core::VR;
use dicom_dictionary_std::tags;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use xiangyi::app::imaging::ports::{Archive as _, Body, NewObject};
use xiangyi::archive::local::{LocalArchive, Options, Seals};
use xiangyi::config::{Config, EngineName};
use xiangyi::node::Node;
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::imaging::v1::imaging_service_client::ImagingServiceClient;
use xiangyi::rpc::proto::xiangyi::imaging::v1::store_objects_request::Part;
use xiangyi::sharing::imaging::element::{Element, ElementSet, Value};
use xiangyi::sharing::imaging::object::{Digest, InstanceUids, ObjectHead};
use xiangyi::sharing::imaging::writing::write;
use xiangyi::sharing::sealing::cipher::Cipher;
use xiangyi::sharing::sealing::keyring::{Keyring, KnownMaster, Master};
use xiangyi::sharing::sealing::{Fault, Secret};

/// Bytes of pixels of a CT of 512 by 512.
const PIXELS: usize = 524_288;
/// Clients that ask for consultations.
const CLIENTS: usize = 8;

/// Ways to keep what is kept.
const WAYS: [(&str, Option<Cipher>); 4] = [
    ("plain", None),
    ("plain again", None),
    ("aes-256-gcm", Some(Cipher::Aes256Gcm)),
    ("sm4-gcm", Some(Cipher::Sm4Gcm)),
];

struct Running {
    node: Node,
    channel: Channel,
    _data: TempDir,
}

fn random(bytes: &mut [u8]) -> Result<(), Fault> {
    getrandom::fill(bytes).map_err(|_| Fault::Random)
}

async fn node(cipher: Option<Cipher>) -> Running {
    let data = tempfile::tempdir_in("target").unwrap();
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.models.engine = EngineName::Rten;
    config.store.dir = data.path().join("store");
    config.imaging.free_bytes_min = 0;
    if let Some(cipher) = cipher {
        let key = data.path().join("master");
        std::fs::write(&key, [7; 32]).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        config.encryption.key_file = Some(key);
        config.encryption.cipher = cipher;
    }
    let node = Box::pin(Node::start(config)).await.unwrap();
    let url = format!("http://{}", node.address());
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    Running { node, channel, _data: data }
}

/// A CT as a data set, explicit VR little endian.
fn image(number: usize) -> Vec<u8> {
    let mut set = ElementSet::default();
    for (tag, vr, value) in [
        (tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.2".to_owned()),
        (tags::SOP_INSTANCE_UID, VR::UI, format!("1.2.3.1.1.{number}")),
        (tags::MODALITY, VR::CS, "CT".to_owned()),
        (tags::PATIENT_NAME, VR::PN, "Wang^XiaoDong".to_owned()),
        (tags::PATIENT_ID, VR::LO, "P1".to_owned()),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3".to_owned()),
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.1".to_owned()),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2".to_owned()),
    ] {
        set = set.with_text(tag, vr, &value);
    }
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, 512),
        (tags::COLUMNS, 512),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 12),
        (tags::HIGH_BIT, 11),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        set = set.with_u16(tag, value);
    }
    let pixels = (0..PIXELS).map(|i| (i ^ number).to_le_bytes()[0]).collect();
    set.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OW, value: Value::Bytes(pixels) });
    write(&set, true)
}

/// Images a second that a node takes in over gRPC.
async fn taken_in(running: &Running, first: usize, images: usize) -> f64 {
    let sets: Vec<Vec<u8>> = (first..first + images).map(image).collect();
    let messages = sets.into_iter().enumerate().flat_map(|(id, bytes)| {
        let start = im::ObjectStart {
            object_id: id.to_string(),
            form: im::ObjectForm::DataSet.into(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".to_owned(),
            size_bytes: Some(u64::try_from(bytes.len()).unwrap()),
            ..im::ObjectStart::default()
        };
        let bytes = Bytes::from(bytes);
        let chunks: Vec<_> = (0..bytes.len())
            .step_by(262_144)
            .map(|at| Part::Chunk(bytes.slice(at..bytes.len().min(at + 262_144))))
            .collect();
        std::iter::once(Part::Start(start)).chain(chunks).chain([Part::End(im::ObjectEnd {})])
    });
    let messages: Vec<_> =
        messages.map(|part| im::StoreObjectsRequest { part: Some(part) }).collect();
    let mut client = ImagingServiceClient::new(running.channel.clone());
    let begun = Instant::now();
    let mut replies =
        client.store_objects(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut stored = 0;
    while let Some(reply) = replies.message().await.unwrap() {
        if let Some(im::store_objects_response::Part::Result(result)) = reply.part {
            assert_eq!(result.outcome(), im::StoreOutcome::Stored, "{result:?}");
            stored += 1;
        }
    }
    assert_eq!(stored, images);
    images as f64 / begun.elapsed().as_secs_f64()
}

/// Consultations a second that a node answers and keeps.
async fn kept(running: &Running, calls: usize) -> f64 {
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = DiagnosisServiceClient::new(running.channel.clone());
        clients.spawn(async move {
            for _ in 0..calls / CLIENTS {
                let patient = common::Patient {
                    age_years: Some(45.0),
                    sex: common::Sex::Male.into(),
                    ..common::Patient::default()
                };
                let request = dx::DiagnoseRequest {
                    patient: Some(patient),
                    text: "咳嗽三天，发热，黄痰".to_owned(),
                    ..dx::DiagnoseRequest::default()
                };
                client.diagnose(request).await.unwrap();
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    (calls / CLIENTS * CLIENTS) as f64 / begun.elapsed().as_secs_f64()
}

fn archive(dir: &Path, cipher: Option<Cipher>) -> LocalArchive {
    let seals = cipher.and_then(|cipher| {
        let master = KnownMaster::new(cipher, Secret::new(vec![7; 32])).unwrap();
        let masters: [&dyn Master; 1] = [&master];
        let mut ring = Keyring::new(cipher, &masters, &random).unwrap();
        ring.add("archive", Secret::new(vec![8; 32]), 0).unwrap();
        Seals::new(ring.keys().to_vec()).map(std::sync::Arc::new)
    });
    let options = Options { free_bytes_min: 0, seals, ..Options::new(dir.to_owned()) };
    LocalArchive::open(options).unwrap().0
}

/// Objects a second that an archive takes from two callers.
async fn appended(archive: &LocalArchive, objects: usize) -> f64 {
    let body = Bytes::from(image(0));
    let digest = Digest(Sha256::digest(&body).into());
    let object = || NewObject {
        digest,
        head: ObjectHead {
            uids: InstanceUids {
                study: "1.2.3".to_owned(),
                series: "1.2.3.1".to_owned(),
                instance: "1.2.3.1.1".to_owned(),
            },
            sop_class: "1.2.840.10008.5.1.4.1.1.2".to_owned(),
            transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
            source: "bench".to_owned(),
            received_ms: 0,
            meta: Vec::new(),
        },
        body: Body::Memory(vec![body.clone()]),
    };
    let one = || async {
        for _ in 0..objects / 2 {
            archive.append(vec![object()]).await.pop().unwrap().unwrap();
        }
    };
    let begun = Instant::now();
    tokio::join!(one(), one());
    (objects / 2 * 2) as f64 / begun.elapsed().as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The median of each way, and the median over the rounds of how it stands to the first way in the same
/// round.
fn print(work: &str, ways: &[(&str, Option<Cipher>)], figures: &[Vec<f64>]) {
    for ((name, _), of_way) in ways.iter().zip(figures) {
        let ratios = of_way.iter().zip(&figures[0]).map(|(figure, plain)| figure / plain);
        println!(
            "{work:<38} {name:<12} {:>9.1}/s   {:.3} of plain",
            median(of_way.clone()),
            median(ratios.collect())
        );
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str, usual: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(usual, |text| text.parse().expect(name))
    };
    let (repeat, images) = (value("--repeat", 15), value("--images", 200));
    let calls = value("--calls", 2_000);
    let all = arguments.iter().any(|argument| argument == "--sm4");
    let ways = &WAYS[..if all { WAYS.len() } else { WAYS.len() - 1 }];
    let mut nodes = Vec::new();
    let mut archives = Vec::new();
    let mut folders = Vec::new();
    for (_, cipher) in ways {
        nodes.push(node(*cipher).await);
        let folder = tempfile::tempdir_in("target").unwrap();
        archives.push(archive(folder.path(), *cipher));
        folders.push(folder);
    }
    let works = ["0.5 MB CT into the archive", "0.5 MB CT over gRPC", "consultations, 8 clients"];
    let mut figures = vec![vec![Vec::new(); ways.len()]; works.len()];
    for round in 0..repeat {
        for way in 0..ways.len() {
            // Whoever begins is another one each time.
            let way = (way + round) % ways.len();
            figures[0][way].push(appended(&archives[way], images).await);
            figures[1][way].push(taken_in(&nodes[way], 1 + round * images, images).await);
            figures[2][way].push(kept(&nodes[way], calls).await);
        }
    }
    for (work, figures) in works.iter().zip(&figures) {
        print(work, ways, figures);
    }
    for running in nodes {
        running.node.stop().await;
    }
}
