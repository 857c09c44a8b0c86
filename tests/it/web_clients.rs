//! What browsers, Prometheus and generic gRPC tools meet.

use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;

use crate::harness::{Setup, complaint, http_get};

/// Sends a raw HTTP/1.1 request and returns everything that comes back.
async fn http1(address: std::net::SocketAddr, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an HTTP answer");
    let head = String::from_utf8_lossy(&answer[..split]).to_lowercase();
    (head, answer.split_off(split + 4))
}

/// Joins the chunks of a chunked body.
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        out.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
        if size == 0 {
            break;
        }
    }
    out
}

#[tokio::test]
async fn a_browser_diagnoses_over_grpc_web_on_the_same_port() {
    let node = Setup::new()
        .with(|c| c.server.cors_origins = vec!["https://clinic.example".to_owned()])
        .start()
        .await;
    let message = complaint("发热3天，咳嗽").encode_to_vec();
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&message);
    let path = "/xiangyi.diagnosis.v1.DiagnosisService/Diagnose";
    let head = format!(
        "POST {path} HTTP/1.1\r\norigin: https://clinic.example\r\ncontent-type: application/grpc-web+proto"
    );
    let (head, body) = http1(node.node.address(), &head, &body).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("access-control-allow-origin: https://clinic.example"), "{head}");
    let body = if head.contains("transfer-encoding: chunked") { unchunk(&body) } else { body };
    assert_eq!(body[0], 0, "a data frame");
    let length = usize::try_from(u32::from_be_bytes(body[1..5].try_into().unwrap())).unwrap();
    let answer = dx::DiagnoseResponse::decode(&body[5..5 + length]).unwrap();
    assert!(answer.consultation.is_some());
    let trailers = String::from_utf8_lossy(&body[5 + length..]);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
}

/// tonic's own client gives up at its deadline before it hears from the node; this one listens.
#[tokio::test]
async fn a_deadline_is_honoured_and_said_so() {
    let node = Setup::new().with(|c| c.server.concurrency_max = 1).start().await;
    let path = "/xiangyi.diagnosis.v1.DiagnosisService/Diagnose";
    for timeout in ["0m", "60m"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\ngrpc-timeout: {timeout}\r\ncontent-type: application/grpc-web+proto"
        );
        // A frame that announces more than it brings: the node waits for the rest.
        let mut stream = tokio::net::TcpStream::connect(node.node.address()).await.unwrap();
        let head = format!(
            "{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[0, 0, 0, 0, 95, 1]).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("grpc-status: 4") || answer.contains("grpc-status:4"), "{answer}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_not_let_in() {
    let node = Setup::new()
        .with(|c| c.server.cors_origins = vec!["https://clinic.example".to_owned()])
        .start()
        .await;
    let path = "/xiangyi.diagnosis.v1.DiagnosisService/Diagnose";
    let head = format!(
        "OPTIONS {path} HTTP/1.1\r\norigin: https://evil.example\r\naccess-control-request-method: POST"
    );
    let (head, _) = http1(node.node.address(), &head, b"").await;
    assert!(!head.contains("access-control-allow-origin"), "{head}");
}

#[tokio::test]
async fn metrics_show_latency_per_method_and_model_timings_and_no_patient() {
    let node = Setup::new().metrics().start().await;
    let mut request = complaint("秘密病情发热3天");
    request.patient.as_mut().unwrap().reference = "p-4711".to_owned();
    node.diagnose(request).await.unwrap();
    let text = node.metrics().await;
    for line in [
        "xiangyi_rpc_calls_total{method=\"/xiangyi.diagnosis.v1.DiagnosisService/Diagnose\",code=\"0\"} 1",
        "xiangyi_rpc_call_seconds_count{method=\"/xiangyi.diagnosis.v1.DiagnosisService/Diagnose\"} 1",
        "xiangyi_model_run_seconds_count{model=\"gp-differential\"}",
        "xiangyi_model_queue{model=\"gp-differential\"} 0",
    ] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    assert!(!text.contains("4711") && !text.contains("秘密"), "{text}");
    let (status, body) = http_get(node.node.metrics_address().unwrap(), "/healthz").await;
    assert!(status.contains("200") && body == "ok\n", "{status} {body}");
}

#[tokio::test]
async fn unknown_methods_are_counted_under_one_name() {
    let node = Setup::new().metrics().start().await;
    for i in 0..5 {
        let path = format!("/xiangyi.diagnosis.v1.DiagnosisService/Guess{i}");
        let status = node.raw(&path, Vec::new(), None).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unimplemented);
    }
    let text = node.metrics().await;
    assert!(text.contains("method=\"other\",code=\"12\"} 5"), "{text}");
    assert!(!text.contains("Guess"), "{text}");
}
