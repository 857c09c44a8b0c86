//! What it costs to know the caller, to decide, and to write down who did what: calls over gRPC to a node
//! as it ships (a bearer token, the trail in the transaction of what is kept), and to the same door and
//! use cases over a journal that keeps answers alike and has no trail, with callers that nobody asks who
//! they are. In one run on one machine; the repetitions alternate, medians and ratios are printed.
//!
//! `cargo bench --bench trust -- [--repeat N] [--calls N]`. Servers and clients share this process and its
//! cores. The decision over the table itself is in both; `deciding` is its time alone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark: what goes wrong ends it, and it prints what it measures"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, QueryBuilder, Row as _, SqliteConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use xiangyi::app::access::{Action, Caller, Permit, Role, authorise};
use xiangyi::app::credentials::Authenticator;
use xiangyi::app::error::Error;
use xiangyi::app::ports::{
    Appended, AuditEntry, BoxFuture, Journal, JournalInfo, KeptRecord, KnowledgeSource as _,
    ListQuery, ListedRecord, NewRecord, RecordKind,
};
use xiangyi::app::{App, NodeKind, Parts};
use xiangyi::config::{Config, EngineName, TokenSection};
use xiangyi::node::{DATABASE, ModelFiles, Node, SystemClock, UuidSource};
use xiangyi::rpc::gate::CallLimits;
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;
use xiangyi::rpc::proto::xiangyi::prescription::v1::prescription_service_client::PrescriptionServiceClient;
use xiangyi::rpc::server::{Door, DoorOptions};
use xiangyi::store::sqlite::SqliteStore;
use xiangyi::tables::text::hex;
use xiangyi::telemetry::Metrics;
use xiangyi::tls::incoming::Places;

/// The token that the node asks for.
const TOKEN: &str = "a-token-of-a-benchmark";
/// Commits that share a transaction at most, as in the node's own writer.
const BATCH_MAX: usize = 64;
/// Pages of the log before it is copied into the database, as there.
const CHECKPOINT_PAGES: &str = "2000";

/// A journal without a trail: the table, the settings and the shared commits of the node's own.
#[derive(Debug)]
struct Untrailed {
    readers: SqlitePool,
    writes: mpsc::Sender<(String, NewRecord, oneshot::Sender<()>)>,
}

fn kind_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Consultation => "consultation",
        RecordKind::Check => "check",
        RecordKind::Override => "override",
        RecordKind::Plan => "plan",
        RecordKind::Recognition => "recognition",
    }
}

impl Untrailed {
    /// Over a database that a node has made.
    async fn open(path: &std::path::Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let connection = options.connect().await.unwrap();
        let readers =
            SqlitePoolOptions::new().max_connections(4).connect_lazy_with(options.read_only(true));
        let (writes, queue) = mpsc::channel(256);
        tokio::spawn(Self::write(connection, queue));
        Self { readers, writes }
    }

    async fn write(
        mut connection: SqliteConnection,
        mut queue: mpsc::Receiver<(String, NewRecord, oneshot::Sender<()>)>,
    ) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let mut query = QueryBuilder::new(
                "INSERT INTO record (id, kind, caller, request_id, content_sha256, \
                 patient_reference, created_ms, request_json, answer_json, summary_json, \
                 model_version, rule_version) ",
            );
            query.push_values(&batch, |mut row, (caller, record, _)| {
                row.push_bind(&record.id)
                    .push_bind(kind_name(record.kind))
                    .push_bind(caller)
                    .push_bind(&record.request_id)
                    .push_bind(record.content_sha256.as_slice())
                    .push_bind(&record.patient_reference)
                    .push_bind(record.created_ms)
                    .push_bind(&record.request_json)
                    .push_bind(&record.answer_json)
                    .push_bind(&record.summary_json)
                    .push_bind(&record.model_version)
                    .push_bind(&record.rule_version);
            });
            query.build().execute(&mut connection).await.unwrap();
            for (_, _, reply) in batch.drain(..) {
                reply.send(()).unwrap();
            }
        }
    }

    async fn one(&self, sql: &'static str, by: [&str; 3]) -> Option<KeptRecord> {
        let query = by.into_iter().fold(sqlx::query(sql), sqlx::query::Query::bind);
        let row = query.fetch_optional(&self.readers).await.unwrap()?;
        let digest: Vec<u8> = row.get("content_sha256");
        let content_sha256 = digest.try_into().unwrap();
        Some(KeptRecord { content_sha256, answer_json: row.get("answer_json") })
    }
}

impl Journal for Untrailed {
    fn append<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        record: NewRecord,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Appended, Error>> {
        Box::pin(async move {
            let (reply, kept) = oneshot::channel();
            self.writes.send((permit.caller().name.clone(), record, reply)).await.unwrap();
            kept.await.unwrap();
            Ok(Appended::New)
        })
    }

    fn find_request<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: RecordKind,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>> {
        let sql = "SELECT content_sha256, answer_json FROM record \
                   WHERE kind = ?1 AND caller = ?2 AND request_id = ?3";
        let by = [kind_name(kind), &permit.caller().name, request_id];
        Box::pin(async move { Ok(self.one(sql, by).await) })
    }

    fn read<'a>(
        &'a self,
        _: &'a Permit<'a>,
        kind: RecordKind,
        id: &'a str,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>> {
        let sql = "SELECT content_sha256, answer_json, patient_reference FROM record \
                   WHERE kind = ?1 AND id = ?2 AND ?3 = ''";
        Box::pin(async move { Ok(self.one(sql, [kind_name(kind), id, ""]).await) })
    }

    fn list<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: ListQuery,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<ListedRecord>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn audit<'a>(&'a self, _: &'a Permit<'a>, _: AuditEntry) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn info(&self) -> BoxFuture<'_, Result<JournalInfo, Error>> {
        let backend = "sqlite without a trail".to_owned();
        Box::pin(async { Ok(JournalInfo { backend, schema_version: 0, record_count: 0 }) })
    }
}

/// One way to serve, and its client.
struct Way {
    channel: Channel,
    token: Option<&'static str>,
    ids: Vec<String>,
    _data: TempDir,
}

impl Way {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = self.token {
            let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        request
    }
}

fn config(data: &TempDir) -> Config {
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.models.engine = EngineName::Rten;
    config.store.dir = data.path().join("store");
    config
}

async fn channel(address: std::net::SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// A node as it ships.
async fn trusted() -> Way {
    let data = tempfile::tempdir_in("target").unwrap();
    let mut config = config(&data);
    config.auth.tokens = vec![TokenSection {
        name: "clinic".to_owned(),
        sha256: hex(&Sha256::digest(TOKEN)),
        role: Role::VillageDoctor,
        place: None,
        area: String::new(),
    }];
    let node = Box::leak(Box::new(Box::pin(Node::start(config)).await.unwrap()));
    Way { channel: channel(node.address()).await, token: Some(TOKEN), ids: Vec::new(), _data: data }
}

/// The same door and use cases over [`Untrailed`].
async fn untrailed() -> Way {
    let data = tempfile::tempdir_in("target").unwrap();
    let config = config(&data);
    let path = config.store.dir.join(DATABASE);
    // It makes the tables and goes.
    drop(SqliteStore::open(&path, 16, &TaskTracker::new()).await.unwrap());
    let metrics = Arc::new(Metrics::new());
    let source = Arc::new(ModelFiles::new(config.models.clone(), Arc::clone(&metrics)));
    let app = Arc::new(App::new(Parts {
        name: "bench".to_owned(),
        knowledge: source.load().await.unwrap(),
        source,
        journal: Arc::new(Untrailed::open(&path).await),
        clock: Arc::new(SystemClock),
        ids: Arc::new(UuidSource),
        images: None,
        region: None,
        behind: None,
        records: None,
        audit: None,
        hub: None,
        coverage: None,
        elsewhere: None,
        institution: String::new(),
        area: String::new(),
        role: NodeKind::Clinic,
    }));
    let options = DoorOptions {
        auth: Authenticator::new(Vec::new()),
        limits: CallLimits {
            concurrency_max: config.server.concurrency_max,
            queue_max: config.server.queue_max,
            call_timeout: Duration::from_secs(30),
            message_bytes_max: config.server.message_bytes_max,
        },
        message_bytes_max: config.server.message_bytes_max,
        streams_per_connection_max: config.server.streams_per_connection_max,
        places: Places { max: 64, idle: Duration::from_mins(5) },
        cors_origins: Vec::new(),
        reflection: true,
        tls: None,
    };
    let door = Door::new(options, app, metrics).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    tokio::spawn(door.serve(listener, health, CancellationToken::new()));
    Way { channel: channel(address).await, token: None, ids: Vec::new(), _data: data }
}

fn patient() -> common::Patient {
    common::Patient {
        age_years: Some(45.0),
        sex: common::Sex::Male.into(),
        ..common::Patient::default()
    }
}

/// Microseconds of each of so many calls, one after another.
async fn diagnosed(way: &mut Way, calls: usize) -> Vec<u128> {
    let mut client = DiagnosisServiceClient::new(way.channel.clone());
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let request = way.request(dx::DiagnoseRequest {
            patient: Some(patient()),
            text: "咳嗽三天，发热，黄痰".to_owned(),
            ..dx::DiagnoseRequest::default()
        });
        let begun = Instant::now();
        let answer = client.diagnose(request).await.unwrap().into_inner();
        times.push(begun.elapsed().as_micros());
        way.ids.push(answer.consultation.unwrap().consultation_id);
    }
    times
}

async fn checked(way: &mut Way, calls: usize) -> Vec<u128> {
    let mut client = PrescriptionServiceClient::new(way.channel.clone());
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let request = way.request(rx::CheckPrescriptionRequest {
            patient: Some(patient()),
            order_texts: vec![
                "布洛芬缓释胶囊 0.3g 口服 每日2次".to_owned(),
                "阿司匹林肠溶片 100mg 口服 每日1次".to_owned(),
            ],
            ..rx::CheckPrescriptionRequest::default()
        });
        let begun = Instant::now();
        client.check_prescription(request).await.unwrap();
        times.push(begun.elapsed().as_micros());
    }
    times
}

async fn read(way: &mut Way, calls: usize) -> Vec<u128> {
    let mut client = DiagnosisServiceClient::new(way.channel.clone());
    let mut times = Vec::with_capacity(calls);
    for at in 0..calls {
        let consultation_id = way.ids[at % way.ids.len()].clone();
        let request = way.request(dx::GetConsultationRequest { consultation_id });
        let begun = Instant::now();
        client.get_consultation(request).await.unwrap();
        times.push(begun.elapsed().as_micros());
    }
    times
}

/// Nanoseconds of one decision over the table.
fn deciding() -> u128 {
    let caller = Caller::local("bench");
    let rounds = 1_000_000;
    let begun = Instant::now();
    for _ in 0..rounds {
        black_box(authorise(black_box(&caller), black_box(Action::Diagnose)).unwrap());
    }
    begun.elapsed().as_nanos() / rounds
}

/// The value that so many hundredths of all do not pass.
fn quantile(times: &mut [u128], hundredths: usize) -> u128 {
    times.sort_unstable();
    times[times.len() * hundredths / 100]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str, usual: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(usual, |text| text.parse().expect(name))
    };
    let (repeat, calls) = (value("--repeat", 8), value("--calls", 500));
    let mut ways = [trusted().await, untrailed().await];
    // Whatever is made at the first calls is made.
    for way in &mut ways {
        diagnosed(way, 100).await;
        checked(way, 100).await;
        read(way, 100).await;
    }
    let mut all: [[Vec<u128>; 2]; 3] = Default::default();
    for round in 0..repeat {
        for at in 0..ways.len() {
            // Whoever begins is another one each time.
            let at = (at + round) % ways.len();
            all[0][at].extend(diagnosed(&mut ways[at], calls).await);
            all[1][at].extend(checked(&mut ways[at], calls).await);
            all[2][at].extend(read(&mut ways[at], calls).await);
        }
    }
    println!("one caller, {} calls of each kind and way; microseconds", repeat * calls);
    for (work, [with, without]) in
        ["Diagnose", "CheckPrescription", "GetConsultation"].iter().zip(&mut all)
    {
        let (with50, without50) = (quantile(with, 50), quantile(without, 50));
        let (with99, without99) = (quantile(with, 99), quantile(without, 99));
        let permille = with50 * 1000 / without50.max(1);
        println!(
            "{work:<18} median {with50:>6} with, {without50:>6} without: {}.{:03} times   p99 {with99:>6}, {without99:>6}",
            permille / 1000,
            permille % 1000
        );
    }
    println!("deciding: {} ns", deciding());
}
