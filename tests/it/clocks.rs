//! A node whose clock and its hub's differ.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{Stream, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use xiangyi::link::proto::xiangyi::link::v1 as lk;
use xiangyi::link::proto::xiangyi::link::v1::attend_request::Message as Said;
use xiangyi::link::proto::xiangyi::link::v1::attend_response::Message as Heard;
use xiangyi::link::proto::xiangyi::link::v1::link_service_client::LinkServiceClient;
use xiangyi::link::proto::xiangyi::link::v1::link_service_server::{
    LinkService, LinkServiceServer,
};
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;

use crate::harness::{TestNode, channel};
use crate::records::{exchange, hub, node, node_in, status};
use crate::region::{token, until};

const HOUR_MS: i64 = 3_600_000;
/// What a loaded machine may take for a turn, in milliseconds.
const SLACK_MS: i64 = 30_000;

#[expect(clippy::disallowed_methods, reason = "there is no clock to inject in a test")]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

type Told<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A hub that welcomes, says a time that is so far off, and hangs up when that was changed.
struct Hub(Arc<AtomicI64>);

fn nothing<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("only attends"))
}

#[tonic::async_trait]
impl LinkService for Hub {
    type AttendStream = Told<lk::AttendResponse>;
    type ExchangeStream = Told<lk::ExchangeResponse>;
    type FetchObjectsStream = Told<lk::FetchObjectsResponse>;

    async fn attend(
        &self,
        request: Request<Streaming<lk::AttendRequest>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let (mut heard, off) = (request.into_inner(), Arc::clone(&self.0));
        let (say, said) = mpsc::channel(8);
        let by = off.load(Ordering::Relaxed);
        let welcome = Heard::Welcome(lk::Welcome { time_ms: now_ms() + by, ..Default::default() });
        say.send(Ok(lk::AttendResponse { message: Some(welcome) })).await.unwrap();
        let ends = async move {
            while off.load(Ordering::Relaxed) == by {
                let wait = std::time::Duration::from_millis(50);
                let Ok(next) = tokio::time::timeout(wait, heard.message()).await else { continue };
                let Ok(Some(lk::AttendRequest { message: Some(Said::Beat(beat)) })) = next else {
                    continue;
                };
                let time_ms = now_ms() + by;
                let beat = Heard::Beat(lk::HubBeat { number: beat.number, time_ms });
                let _ = say.send(Ok(lk::AttendResponse { message: Some(beat) })).await;
            }
        };
        let ends = futures_util::stream::once(ends).filter_map(|()| async { None });
        Ok(Response::new(Box::pin(futures_util::stream::select(ReceiverStream::new(said), ends))))
    }

    async fn publish_studies(
        &self,
        _: Request<lk::PublishStudiesRequest>,
    ) -> Result<Response<lk::PublishStudiesResponse>, Status> {
        nothing()
    }

    async fn find_studies(
        &self,
        _: Request<lk::FindStudiesRequest>,
    ) -> Result<Response<lk::FindStudiesResponse>, Status> {
        nothing()
    }

    async fn fetch_objects(
        &self,
        _: Request<lk::FetchObjectsRequest>,
    ) -> Result<Response<Self::FetchObjectsStream>, Status> {
        nothing()
    }

    async fn deliver_objects(
        &self,
        _: Request<Streaming<lk::DeliverObjectsRequest>>,
    ) -> Result<Response<lk::DeliverObjectsResponse>, Status> {
        nothing()
    }

    async fn anchor_trail(
        &self,
        _: Request<lk::AnchorTrailRequest>,
    ) -> Result<Response<lk::AnchorTrailResponse>, Status> {
        nothing()
    }

    async fn tell_coverage(
        &self,
        _: Request<lk::TellCoverageRequest>,
    ) -> Result<Response<lk::TellCoverageResponse>, Status> {
        nothing()
    }

    async fn exchange(
        &self,
        _: Request<Streaming<lk::ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        nothing()
    }

    async fn look_up_records(
        &self,
        _: Request<lk::LookUpRecordsRequest>,
    ) -> Result<Response<lk::LookUpRecordsResponse>, Status> {
        nothing()
    }

    async fn fetch_record(
        &self,
        _: Request<lk::FetchRecordRequest>,
    ) -> Result<Response<lk::FetchRecordResponse>, Status> {
        nothing()
    }

    async fn list_members(
        &self,
        _: Request<lk::ListMembersRequest>,
    ) -> Result<Response<lk::ListMembersResponse>, Status> {
        nothing()
    }
}

async fn compared(node: &TestNode, is_off: bool) -> pb::ClockComparison {
    until(&format!("the clock is compared; off: {is_off}"), async || {
        status(node).await.clock.filter(|clock| clock.is_off == is_off)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_tells_that_its_clock_is_off_and_what_to_do_until_it_is_right() {
    let off = Arc::new(AtomicI64::new(-HOUR_MS));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = LinkServiceServer::new(Hub(Arc::clone(&off)));
    let server = tonic::transport::Server::builder().add_service(service);
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let data = tempfile::tempdir().unwrap();
    let county = node_in("county", &address.to_string(), data).await;
    // The hub is an hour behind: the node is ahead.
    let clock = compared(&county, true).await;
    assert!((clock.ahead_ms - HOUR_MS).abs() < SLACK_MS, "{clock:?}");
    assert!(clock.tolerance_ms < SLACK_MS && (clock.compared_ms - now_ms()).abs() < SLACK_MS);
    for part in ["chrony", "对时", "到期日", "证书", "撤回"] {
        assert!(clock.advice.contains(part), "{part}: {}", clock.advice);
    }
    until("it is measured", async || {
        let text = county.metrics().await;
        let name = "xiangyi_exchange_clock_ahead_milliseconds ";
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let ahead: i64 = line.parse().unwrap();
        ((ahead - HOUR_MS).abs() < SLACK_MS).then_some(())
    })
    .await;
    // So does the command line.
    let url = format!("http://{}", county.node.address());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xiangyi"));
    command.args(["exchange", "status", "--server", &url]);
    let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("本机时钟比中心快 3") && text.contains("chronyc"), "{text}");
    // Somebody sets the hub's clock.
    off.store(0, Ordering::Relaxed);
    let clock = compared(&county, false).await;
    assert!(clock.ahead_ms.abs() < SLACK_MS && clock.advice.is_empty(), "{clock:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_says_its_time_and_lists_nodes_whose_clocks_are_off() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let clock = compared(&county, false).await;
    assert!(clock.ahead_ms.abs() < SLACK_MS, "{clock:?}");
    // A box in the village, by hand, whose clock stands an hour behind.
    let (say, said) = mpsc::channel(8);
    let address = hub.node.link_address().unwrap();
    let mut client = LinkServiceClient::new(channel(&format!("http://{address}")).await);
    let attend = |message| lk::AttendRequest { message: Some(message) };
    let hello = Said::Hello(lk::Hello { protocol: 1, version: "test".to_owned() });
    say.send(attend(hello)).await.unwrap();
    let mut request = Request::new(ReceiverStream::new(said));
    let bearer = format!("Bearer {}", token("village")).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let mut heard = client.attend(request).await.unwrap().into_inner();
    let mut hear = async || heard.message().await.unwrap().and_then(|heard| heard.message);
    let Some(Heard::Welcome(welcome)) = hear().await else { panic!("no welcome") };
    assert!((welcome.time_ms - now_ms()).abs() < SLACK_MS, "{}", welcome.time_ms);
    let line = async |name: &str| {
        let nodes = exchange(&hub).list_exchange_nodes(pb::ListExchangeNodesRequest {}).await;
        let nodes = nodes.unwrap().into_inner().nodes;
        nodes.into_iter().find(|line| line.node == name).unwrap()
    };
    for (number, ahead, is_off) in [(1, -HOUR_MS, true), (2, 3, false), (3, 120_001, true)] {
        let clock_ahead_ms = Some(ahead);
        let beat = lk::NodeBeat { number, clock_ahead_ms, ..lk::NodeBeat::default() };
        say.send(attend(Said::Beat(beat))).await.unwrap();
        let Some(Heard::Beat(beat)) = hear().await else { panic!("no beat") };
        assert!(beat.number == number && (beat.time_ms - now_ms()).abs() < SLACK_MS);
        let line = line("village").await;
        assert_eq!((line.clock_ahead_ms, line.clock_is_off), (clock_ahead_ms, is_off));
    }
    // What the node of today says by itself; and of one that never came nothing is known.
    until("the county has said so", async || line("county").await.clock_ahead_ms).await;
    assert!(!line("county").await.clock_is_off);
    assert_eq!(line("elsewhere").await.clock_ahead_ms, None);
}
