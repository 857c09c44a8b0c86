//! Starts real nodes and talks to them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use http::uri::PathAndQuery;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use xiangyi::app::access::{Place, Role};
use xiangyi::config::{Config, EngineName, PrecisionName, TokenSection};
use xiangyi::node::Node;
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;
use xiangyi::rpc::proto::xiangyi::imaging::v1::imaging_service_client::ImagingServiceClient;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;
use xiangyi::rpc::proto::xiangyi::prescription::v1::prescription_service_client::PrescriptionServiceClient;
use xiangyi::rpc::proto::xiangyi::recognition::v1::recognition_service_client::RecognitionServiceClient;
use xiangyi::rpc::proto::xiangyi::treatment::v1::treatment_service_client::TreatmentServiceClient;

/// A node under test with its data.
pub(crate) struct TestNode {
    pub(crate) node: Node,
    pub(crate) channel: Channel,
    pub(crate) data: TempDir,
}

/// What is to be tested, before it starts.
pub(crate) struct Setup {
    pub(crate) config: Config,
}

/// The ONNX Runtime library, where the environment names one.
pub(crate) fn ort_library() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests learn here what the machine has")]
    let (library, required) =
        (std::env::var("ORT_DYLIB_PATH"), std::env::var("XIANGYI_REQUIRE_ORT"));
    if let Ok(path) = library {
        return Some(PathBuf::from(path));
    }
    assert!(required.is_err(), "XIANGYI_REQUIRE_ORT is set and ORT_DYLIB_PATH is not");
    None
}

/// Runs a test body once with each engine. Without ONNX Runtime's library it says so and runs the
/// body with rten only; with `XIANGYI_REQUIRE_ORT` set that is a failure.
macro_rules! both_engines {
    ($(#[$meta:meta])* async fn $name:ident($setup:ident) $body:block) => {
        mod $name {
            #[allow(clippy::allow_attributes, unused_imports, reason = "not every body needs all")]
            use super::*;

            async fn body($setup: crate::harness::Setup) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_rten() {
                body(crate::harness::Setup::new().engine(xiangyi::config::EngineName::Rten)).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_onnxruntime() {
                let Some(library) = crate::harness::ort_library() else {
                    eprintln!("NOT RUN on ONNX Runtime: ORT_DYLIB_PATH is not set");
                    return;
                };
                body(crate::harness::Setup::new().onnxruntime(&library)).await;
            }
        }
    };
}
pub(crate) use both_engines;

impl Setup {
    pub(crate) fn new() -> Self {
        let mut config = Config::default();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.models.engine = EngineName::Rten;
        // A debug build that reloads all tables on busy cores may take longer than the default.
        config.server.call_timeout_ms = 60_000;
        Self { config }
    }

    pub(crate) fn engine(mut self, engine: EngineName) -> Self {
        self.config.models.engine = engine;
        self
    }

    pub(crate) fn onnxruntime(mut self, library: &Path) -> Self {
        self.config.models.engine = EngineName::OnnxRuntime;
        // The same file on every machine, whatever its processor has.
        self.config.models.precision = PrecisionName::F32;
        self.config.models.onnxruntime_library = Some(library.to_owned());
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn metrics(self) -> Self {
        self.with(|c| c.metrics.listen = Some("127.0.0.1:0".parse().unwrap()))
    }

    /// Admits `token_of(role)` for every role that a token can have.
    pub(crate) fn tokens(self) -> Self {
        self.with(|c| {
            c.auth.tokens = Role::PEOPLE
                .into_iter()
                .map(|role| TokenSection {
                    name: format!("test-{}", role.name()),
                    sha256: hex(&Sha256::digest(token_of(role).as_bytes())),
                    role,
                    // Who decides about the people of a hub works for all of its region; some roles have
                    // nothing to do in a hospital, and others nothing in a village.
                    place: match role {
                        Role::Auditor | Role::Administrator => Some(Place::Region),
                        Role::TownshipDoctor => Some(Place::Township),
                        Role::HospitalDoctor | Role::Radiologist => Some(Place::Hospital),
                        Role::VillageDoctor
                        | Role::Pharmacist
                        | Role::PublicHealthWorker
                        | Role::Local
                        | Role::DicomPeer
                        | Role::Node => None,
                    },
                    area: String::new(),
                })
                .collect();
        })
    }

    pub(crate) async fn start(self) -> TestNode {
        let data = tempfile::tempdir().unwrap();
        self.start_in(data).await
    }

    pub(crate) async fn start_in(mut self, data: TempDir) -> TestNode {
        self.config.store.dir = data.path().to_owned();
        self.config.validate().unwrap();
        let node = Box::pin(Node::start(self.config)).await.unwrap_or_else(|e| {
            panic!("node does not start: {}", xiangyi::app::chain(&e));
        });
        let channel = channel(&format!("http://{}", node.address())).await;
        TestNode { node, channel, data }
    }
}

impl TestNode {
    /// Ids of the models that the node serves.
    pub(crate) async fn models(&self) -> Vec<String> {
        use xiangyi::rpc::proto::xiangyi::model::v1 as model;
        let channel = self.channel.clone();
        let mut client = model::model_service_client::ModelServiceClient::new(channel);
        let listed = client.list_models(model::ListModelsRequest::default()).await.unwrap();
        listed.into_inner().models.into_iter().map(|m| m.model_id).collect()
    }

    pub(crate) fn diagnosis(&self) -> DiagnosisServiceClient<Channel> {
        DiagnosisServiceClient::new(self.channel.clone())
    }

    pub(crate) fn prescription(&self) -> PrescriptionServiceClient<Channel> {
        PrescriptionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn treatment(&self) -> TreatmentServiceClient<Channel> {
        TreatmentServiceClient::new(self.channel.clone())
    }

    pub(crate) fn imaging(&self) -> ImagingServiceClient<Channel> {
        ImagingServiceClient::new(self.channel.clone())
    }

    pub(crate) fn recognition(&self) -> RecognitionServiceClient<Channel> {
        RecognitionServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn diagnose(
        &self,
        request: dx::DiagnoseRequest,
    ) -> Result<dx::Consultation, Status> {
        let answer = self.diagnosis().diagnose(request).await?.into_inner();
        Ok(answer.consultation.expect("an answer has a consultation"))
    }

    pub(crate) async fn check(
        &self,
        request: rx::CheckPrescriptionRequest,
    ) -> Result<rx::PrescriptionCheck, Status> {
        let answer = self.prescription().check_prescription(request).await?.into_inner();
        Ok(answer.check.expect("an answer has a check"))
    }

    /// The metrics text.
    pub(crate) async fn metrics(&self) -> String {
        let address = self.node.metrics_address().expect("metrics are on");
        http_get(address, "/metrics").await.1
    }

    /// Calls `path` with the bytes of a message as they are.
    pub(crate) async fn raw(
        &self,
        path: &str,
        message: Vec<u8>,
        token: Option<&str>,
    ) -> Result<Vec<u8>, Status> {
        call(self.channel.clone(), path, message, token).await
    }
}

pub(crate) async fn raw_call(
    channel: Channel,
    path: &'static str,
    message: Vec<u8>,
    token: Option<&'static str>,
) -> Result<Vec<u8>, Status> {
    call(channel, path, message, token).await
}

async fn call(
    channel: Channel,
    path: &str,
    message: Vec<u8>,
    token: Option<&str>,
) -> Result<Vec<u8>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.expect("channel");
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let path = PathAndQuery::try_from(path).unwrap();
    client.unary(request, path, BytesCodec).await.map(tonic::Response::into_inner)
}

/// Messages as bytes.
#[derive(Debug, Clone, Copy, Default)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut out = vec![0; bytes::Buf::remaining(from)];
        bytes::Buf::copy_to_slice(from, &mut out);
        Ok(Some(out))
    }
}

pub(crate) async fn channel(url: &str) -> Channel {
    Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap()
}

/// Status line and body of a plain HTTP/1.1 GET.
pub(crate) async fn http_get(address: std::net::SocketAddr, path: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

pub(crate) fn token_of(role: Role) -> String {
    format!("token-of-{}", role.name())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// A patient of `age_years` and sex.
pub(crate) fn patient(age_years: f64, sex: common::Sex) -> common::Patient {
    common::Patient { age_years: Some(age_years), sex: sex.into(), ..Default::default() }
}

/// A complaint of an adult man.
pub(crate) fn complaint(text: &str) -> dx::DiagnoseRequest {
    dx::DiagnoseRequest {
        patient: Some(patient(45.0, common::Sex::Male)),
        text: text.to_owned(),
        ..Default::default()
    }
}

/// An order of these medicines for an adult man.
pub(crate) fn order(names: &[&str]) -> rx::CheckPrescriptionRequest {
    rx::CheckPrescriptionRequest {
        patient: Some(patient(45.0, common::Sex::Male)),
        lines: names
            .iter()
            .map(|name| rx::OrderLine { name: (*name).to_owned(), ..Default::default() })
            .collect(),
        ..Default::default()
    }
}

/// Fields named in the `google.rpc.BadRequest` of a status.
pub(crate) fn bad_fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let details = status.get_details_bad_request().map(|b| b.field_violations).unwrap_or_default();
    details.into_iter().map(|v| v.field).collect()
}

/// `google.rpc.ErrorInfo.reason` of a status.
pub(crate) fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    status.get_details_error_info().map(|i| i.reason).unwrap_or_default()
}
