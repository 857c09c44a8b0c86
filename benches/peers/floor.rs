//! What gRPC alone costs here: a tonic server in a process of its own that answers every `Diagnose`
//! with one fixed answer of a node. No server under tonic can be faster on this machine.

use std::path::Path;
use std::process::{Command, Stdio};

use prost::Message as _;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server as Tonic};
use tonic::{Request, Response, Status};
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_server::{
    DiagnosisService, DiagnosisServiceServer,
};

use super::{Server, TEXTS, first_line, node, request, say};

/// Tells this program to be the floor; the file with the answer follows.
pub(super) const ARGUMENT: &str = "--floor";

/// Takes one answer from a node and starts a process that repeats it.
pub(super) async fn start(library: &Path) -> Server {
    let node = node("onnxruntime", library);
    let channel = Endpoint::from_shared(node.url.clone()).unwrap().connect().await.unwrap();
    let asked = DiagnosisServiceClient::new(channel).diagnose(request(TEXTS[0])).await;
    let answer = asked.unwrap().into_inner();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer");
    std::fs::write(&file, answer.encode_to_vec()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(ARGUMENT)
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let port = first_line(&mut child);
    Server { child, url: format!("http://127.0.0.1:{}", port.trim()), _data: Some(folder) }
}

/// Answers with the answer in `file` until killed.
pub(super) async fn serve(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let answer = dx::DiagnoseResponse::decode(bytes.as_slice()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(&listener.local_addr().unwrap().port().to_string());
    Tonic::builder()
        .tcp_nodelay(true)
        .add_service(DiagnosisServiceServer::new(Fixed(answer)))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .unwrap();
}

struct Fixed(dx::DiagnoseResponse);

#[tonic::async_trait]
impl DiagnosisService for Fixed {
    async fn diagnose(
        &self,
        _: Request<dx::DiagnoseRequest>,
    ) -> Result<Response<dx::DiagnoseResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    type InterviewStream = tokio_stream::Empty<Result<dx::InterviewResponse, Status>>;

    async fn interview(
        &self,
        _: Request<tonic::Streaming<dx::InterviewRequest>>,
    ) -> Result<Response<Self::InterviewStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_consultation(
        &self,
        _: Request<dx::GetConsultationRequest>,
    ) -> Result<Response<dx::GetConsultationResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn list_consultations(
        &self,
        _: Request<dx::ListConsultationsRequest>,
    ) -> Result<Response<dx::ListConsultationsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn search_findings(
        &self,
        _: Request<dx::SearchFindingsRequest>,
    ) -> Result<Response<dx::SearchFindingsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn search_conditions(
        &self,
        _: Request<dx::SearchConditionsRequest>,
    ) -> Result<Response<dx::SearchConditionsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
