//! Limits: each has a status, each leaves the node serving.

use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::client::Grpc;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;

use crate::harness::{Setup, TestNode, complaint, reason};

const DIAGNOSE: &str = "/xiangyi.diagnosis.v1.DiagnosisService/Diagnose";

/// A call that has sent its headers and holds its message back until told.
#[derive(Debug)]
struct Held {
    go: oneshot::Sender<()>,
    answer: JoinHandle<Result<dx::DiagnoseResponse, Status>>,
}

impl Held {
    fn open(node: &TestNode) -> Self {
        let (go, wait) = oneshot::channel::<()>();
        let mut client = Grpc::new(node.channel.clone());
        #[expect(clippy::disallowed_methods, reason = "the test awaits it itself")]
        let answer = tokio::spawn(async move {
            client.ready().await.unwrap();
            let body = tokio_stream::once(());
            let mut wait = Some(wait);
            let body = tokio_stream::StreamExt::then(body, move |()| {
                let wait = wait.take();
                async move {
                    if let Some(wait) = wait {
                        let _ = wait.await;
                    }
                    complaint("发热3天")
                }
            });
            let codec =
                tonic_prost::ProstCodec::<dx::DiagnoseRequest, dx::DiagnoseResponse>::default();
            let path = PathAndQuery::from_static(DIAGNOSE);
            let answer = client.client_streaming(Request::new(body), path, codec).await;
            answer.map(tonic::Response::into_inner)
        });
        Self { go, answer }
    }

    fn release(self) -> JoinHandle<Result<dx::DiagnoseResponse, Status>> {
        let _ = self.go.send(());
        self.answer
    }
}

/// Asks for metrics until they contain `line`.
async fn until(node: &TestNode, line: &str) {
    for _ in 0..5000 {
        if node.metrics().await.contains(line) {
            return;
        }
    }
    panic!("never saw `{line}` in\n{}", node.metrics().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_run_and_wait_are_told_to_come_back_and_the_others_are_answered() {
    let node = Setup::new()
        .metrics()
        .with(|c| {
            c.server.concurrency_max = 1;
            c.server.queue_max = 2;
        })
        .start()
        .await;
    let running = Held::open(&node);
    until(&node, "xiangyi_rpc_running 1\n").await;
    let first = Held::open(&node);
    let second = Held::open(&node);
    until(&node, "xiangyi_rpc_waiting 2\n").await;

    let status = node.diagnose(complaint("发热")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "OVERLOADED");
    let retry = status.get_details_retry_info().and_then(|r| r.retry_delay).unwrap();
    assert!(retry > Duration::ZERO);
    let mut health = tonic_health::pb::health_client::HealthClient::new(node.channel.clone());
    let health = health.check(tonic_health::pb::HealthCheckRequest::default()).await;
    assert_eq!(health.unwrap().into_inner().status, 1, "health passes a full node");

    // Which of the two waits in front is not said; so all may go before any is awaited.
    let answers = [running, first, second].map(Held::release);
    for answer in answers {
        let outcome = answer.await.unwrap();
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    node.diagnose(complaint("发热")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_stalls_is_cut_off_at_the_time_limit_and_its_place_is_free_again() {
    let node = Setup::new()
        .metrics()
        .with(|c| {
            c.server.concurrency_max = 1;
            c.server.call_timeout_ms = 100;
        })
        .start()
        .await;
    let held = Held::open(&node);
    let status = held.answer.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    node.diagnose(complaint("发热")).await.unwrap();
}

#[tokio::test]
async fn a_message_past_the_limit_is_refused_with_the_limit() {
    let node = Setup::new().with(|c| c.server.message_bytes_max = 2_000).start().await;
    let message = complaint(&"痛".repeat(1_000)).encode_to_vec();
    assert!(message.len() > 2_000);
    let status = node.raw(DIAGNOSE, message, None).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    assert!(status.message().contains("2000"), "{}", status.message());
    node.diagnose(complaint("发热")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_answered_or_refused_and_nothing_acknowledged_is_lost() {
    let node = Setup::new()
        .with(|c| {
            c.server.concurrency_max = 4;
            c.server.queue_max = 8;
            c.models.queue_max = 4;
            c.store.writes_max = 4;
        })
        .start()
        .await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let mut client = node.diagnosis();
        calls.spawn(async move { client.diagnose(complaint("发热3天，咳嗽")).await });
    }
    let (mut ids, mut refused) = (Vec::new(), 0);
    for outcome in calls.join_all().await {
        match outcome {
            Ok(answer) => ids.push(answer.into_inner().consultation.unwrap().consultation_id),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                refused += 1;
            }
        }
    }
    assert!(!ids.is_empty() && refused > 0, "{} answered, {refused} refused", ids.len());
    for id in ids {
        let get = dx::GetConsultationRequest { consultation_id: id };
        node.diagnosis().get_consultation(get).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_calls_finish_while_the_node_drains_and_new_ones_find_no_door() {
    let node = Setup::new().metrics().start().await;
    let held = Held::open(&node);
    until(&node, "xiangyi_rpc_running 1\n").await;
    let address = node.node.address();
    let TestNode { node, channel, data } = node;
    #[expect(clippy::disallowed_methods, reason = "the test awaits it itself")]
    let stopping = tokio::spawn(node.stop());
    // The listener closes at once; the call in flight is still answered.
    let mut closed = false;
    for _ in 0..5000 {
        tokio::task::yield_now().await;
        closed = tokio::net::TcpStream::connect(address).await.is_err();
        if closed {
            break;
        }
    }
    assert!(closed, "the door is still open");
    let answer = held.release().await.unwrap().unwrap();
    assert!(answer.consultation.is_some());
    // A client lets go of its connection; then there is nothing left to wait for.
    drop(channel);
    assert!(stopping.await.unwrap(), "drained in time");
    drop(data);
}
