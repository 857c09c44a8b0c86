//! The hub's side of the link.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::enrolment::{self, Desk};
use super::identity::{Credentials, Shown};
use super::inflow::{Lane, Metered, Room};
use super::lines::Lines;
use super::pb::attend_request::Message as FromNode;
use super::pb::attend_response::Message as FromHub;
use super::pb::deliver_objects_request::Message as Delivered;
use super::{MESSAGE_BYTES_MAX, PROTOCOL, convert, exchange, pb, records, status};
use crate::app::audit::anchored::AnchorDesk;
use crate::app::error::Error;
use crate::app::exchange::hub::Exchange;
use crate::app::nodes::Nodes;
use crate::app::regional::hub::{Attendance, Hub, ToNode};
use crate::app::reporting::Coverage;
use crate::tls::incoming::{self, Places};

/// How long a node may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How long a node that attends may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(75);
/// How long one piece of a delivery may take to come, or to be taken.
const PIECE_WITHIN: Duration = Duration::from_mins(2);
/// Between two signs of life that HTTP/2 asks for.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Lines of all nodes, those included that are about to break and to come back.
const PLACES: Places = Places { max: 32_768, idle: Duration::from_mins(5) };
/// Streams of one node.
const STREAMS_MAX: u32 = 128;
/// Answers that wait for the node to read them.
const UNREAD_MAX: usize = 8;
/// Exchanges that a node has open at most: those of lines that broke end by themselves.
const EXCHANGES_MAX: usize = 4;
/// When a node that has too many may try again.
const EXCHANGES_AFTER: Duration = Duration::from_secs(20);

/// The hub's side of the link.
#[derive(Debug)]
pub struct LinkDoor {
    hub: Arc<Hub>,
    exchange: Arc<Exchange>,
    anchors: Arc<AnchorDesk>,
    coverage: Arc<Coverage>,
    credentials: Credentials,
    nodes: Option<Arc<Nodes>>,
    lines: Lines,
    tls: Option<Arc<ServerConfig>>,
    room: Room,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Service {
    hub: Arc<Hub>,
    exchange: Arc<Exchange>,
    anchors: Arc<AnchorDesk>,
    coverage: Arc<Coverage>,
    credentials: Credentials,
    /// Exchanges that are open, by node.
    open: Arc<Mutex<HashMap<String, usize>>>,
    stop: CancellationToken,
}

/// An open exchange of a node.
struct Opened {
    node: String,
    all: Arc<Mutex<HashMap<String, usize>>>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::AttendResponse, Status>> + Send>>;
type Exchanged = Pin<Box<dyn Stream<Item = Result<pb::ExchangeResponse, Status>> + Send>>;
type Objects = Pin<Box<dyn Stream<Item = Result<pb::FetchObjectsResponse, Status>> + Send>>;

impl LinkDoor {
    /// Puts the parts together. `nodes` gives certificates; `lines` are those that are open.
    pub fn new(
        (hub, exchange, anchors, coverage): (
            Arc<Hub>,
            Arc<Exchange>,
            Arc<AnchorDesk>,
            Arc<Coverage>,
        ),
        credentials: Credentials,
        (nodes, lines): (Option<Arc<Nodes>>, Lines),
        (tls, room): (Option<Arc<ServerConfig>>, Room),
        stop: CancellationToken,
    ) -> Self {
        let credentials = credentials.with_given(nodes.clone());
        Self { hub, exchange, anchors, coverage, credentials, nodes, lines, tls, room, stop }
    }

    /// Serves nodes until told to stop.
    pub async fn serve(self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        let Self { hub, exchange, anchors, coverage, credentials, nodes, lines, tls, room, stop } =
            self;
        let (open, stopping) = (Arc::default(), stop.clone());
        let service =
            Service { hub, exchange, anchors, coverage, credentials, open, stop: stopping };
        let service = pb::link_service_server::LinkServiceServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let desk = pb::enrolment_service_server::EnrolmentServiceServer::new(Desk::new(nodes))
            .max_decoding_message_size(enrolment::MESSAGE_BYTES_MAX);
        let router = Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_adaptive_window(Some(true))
            .max_concurrent_streams(STREAMS_MAX)
            .add_service(Metered::new(service, room))
            .add_service(desk);
        let stopped = stop.cancelled_owned();
        match tls {
            None => {
                let incoming = incoming::plain(listener, PLACES);
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
            Some(tls) => {
                let incoming = incoming::secured(listener, tls, PLACES);
                let incoming = incoming.map(move |line| line.map(|line| lines.watch(line)));
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
        }
    }
}

impl Service {
    /// The node that calls. What it says cannot be shared between threads, so it is looked at first.
    fn caller<T>(
        &self,
        request: &Request<T>,
    ) -> impl Future<Output = Result<String, Status>> + Send + use<'_, T> {
        let shown = Shown::of(request);
        async move { self.credentials.caller(shown).await.map_err(|error| status::of(&error)) }
    }
}

impl Service {
    /// Counts another exchange of a node, until it is dropped.
    fn opened(&self, node: &str) -> Result<Opened, Error> {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(node.to_owned()).or_default();
        if *open >= EXCHANGES_MAX {
            let what = "number of exchanges of this node (4 at most)";
            return Err(Error::Overloaded { what, retry_after: EXCHANGES_AFTER });
        }
        *open += 1;
        Ok(Opened { node: node.to_owned(), all: Arc::clone(&self.open) })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&self.node) {
            *open = open.saturating_sub(1);
        }
    }
}

fn refused(error: &Error) -> Status {
    status::of(error)
}

#[tonic::async_trait]
impl pb::link_service_server::LinkService for Service {
    type AttendStream = Answers;
    type ExchangeStream = Exchanged;
    type FetchObjectsStream = Objects;

    async fn attend(
        &self,
        request: Request<Streaming<pb::AttendRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let node = self.caller(&request).await?;
        let mut from_node = request.into_inner();
        let hello = timeout(HELLO_WITHIN, from_node.message()).await;
        let hello = hello.map_err(|_| refused(&Error::DeadlineExceeded))??;
        let said = hello.and_then(|hello| hello.message);
        let Some(FromNode::Hello(hello)) = said else {
            return Err(refused(&Error::field("message", "must be hello at first")));
        };
        if hello.protocol != PROTOCOL {
            let reason = "the hub speaks protocol 1 of the link".to_owned();
            return Err(refused(&Error::Refused { reason }));
        }
        let attendance = self.hub.attend(&node).await.map_err(|e| refused(&e))?;
        let (out, answers) = mpsc::channel(UNREAD_MAX);
        let (hub, stop) = (Arc::clone(&self.hub), self.stop.clone());
        let exchange = Arc::clone(&self.exchange);
        let coverage = Arc::clone(&self.coverage);
        // One future beside the channel it fills: when the line breaks, the attendance ends.
        let work = stream::once(async move {
            let ended =
                attended((&hub, &exchange, &coverage), attendance, from_node, &out, stop).await;
            if let Err(status) = ended {
                let _ = out.send(Err(status)).await;
            }
        });
        let work = work.filter_map(|()| async { None });
        Ok(Response::new(Box::pin(stream::select(ReceiverStream::new(answers), work))))
    }

    async fn publish_studies(
        &self,
        request: Request<pb::PublishStudiesRequest>,
    ) -> Result<Response<pb::PublishStudiesResponse>, Status> {
        let node = self.caller(&request).await?;
        let publication = request.into_inner().into();
        self.hub.publish(&node, publication).await.map_err(|e| refused(&e))?;
        Ok(Response::new(pb::PublishStudiesResponse {}))
    }

    async fn find_studies(
        &self,
        request: Request<pb::FindStudiesRequest>,
    ) -> Result<Response<pb::FindStudiesResponse>, Status> {
        let node = self.caller(&request).await?;
        let question = convert::question(request.into_inner()).map_err(|e| refused(&e))?;
        let answer = self.hub.find(&node, &question).await.map_err(|e| refused(&e))?;
        Ok(Response::new(answer.into()))
    }

    async fn fetch_objects(
        &self,
        request: Request<pb::FetchObjectsRequest>,
    ) -> Result<Response<Objects>, Status> {
        let node = self.caller(&request).await?;
        let request = request.into_inner().try_into().map_err(|e| refused(&e))?;
        let pieces = self.hub.fetch(&node, request).await.map_err(|e| refused(&e))?;
        let pieces = pieces.map(|piece| match piece {
            Ok(piece) => Ok(pb::FetchObjectsResponse { piece: Some(piece.into()) }),
            Err(error) => Err(status::of(&error)),
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn deliver_objects(
        &self,
        request: Request<Streaming<pb::DeliverObjectsRequest>>,
    ) -> Result<Response<pb::DeliverObjectsResponse>, Status> {
        let node = self.caller(&request).await?;
        let mut delivery = request.into_inner();
        let first = timeout(HELLO_WITHIN, delivery.message()).await;
        let first = first.map_err(|_| refused(&Error::DeadlineExceeded))??;
        let Some(Delivered::Ticket(ticket)) = first.and_then(|first| first.message) else {
            return Err(refused(&Error::field("message", "must be a ticket at first")));
        };
        let pieces = self.hub.deliver(&node, &ticket).map_err(|e| refused(&e))?;
        loop {
            let next = timeout(PIECE_WITHIN, delivery.message());
            let next = tokio::select! {
                next = next => next,
                // Nobody waits any more.
                () = pieces.closed() => break,
            };
            let piece = match next {
                Err(_) => Err(Error::DeadlineExceeded),
                Ok(Err(status)) => Err(status::error(status)),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(message))) => match message.message {
                    // The study's UID is put in by who asked.
                    Some(Delivered::Piece(piece)) => convert::piece("", Some(piece)),
                    Some(Delivered::Failure(failure)) => Err(status::failure(&failure.reason)),
                    Some(Delivered::Ticket(_)) | None => {
                        Err(Error::field("message", "must be a piece or a failure"))
                    }
                },
            };
            let last = piece.is_err();
            match timeout(PIECE_WITHIN, pieces.send(piece)).await {
                Ok(Ok(())) if !last => {}
                Ok(Ok(()) | Err(_)) | Err(_) => break,
            }
        }
        Ok(Response::new(pb::DeliverObjectsResponse {}))
    }

    async fn exchange(
        &self,
        request: Request<Streaming<pb::ExchangeRequest>>,
    ) -> Result<Response<Exchanged>, Status> {
        let node = self.caller(&request).await?;
        let opened = self.opened(&node).map_err(|e| refused(&e))?;
        let lane = request.extensions().get::<Lane>().cloned();
        let lane = lane.ok_or_else(|| refused(&Error::internal("link", "not metered")))?;
        let from_node = (request.into_inner(), lane);
        let (out, answers) = exchange::Out::new();
        let (hub, stop) = (Arc::clone(&self.exchange), self.stop.clone());
        let work = stream::once(async move {
            let ended = exchange::attend(&hub, &node, from_node, &out, &stop).await;
            drop(opened);
            if let Err(error) = ended {
                out.send(Err(status::of(&error)));
            }
        });
        let work = work.filter_map(|()| async { None });
        Ok(Response::new(Box::pin(stream::select(answers, work))))
    }

    async fn look_up_records(
        &self,
        request: Request<pb::LookUpRecordsRequest>,
    ) -> Result<Response<pb::LookUpRecordsResponse>, Status> {
        let node = self.caller(&request).await?;
        let question = records::question(request.into_inner().question);
        let question = question.map_err(|e| refused(&e))?;
        let found = self.exchange.look_up(&node, &question).await.map_err(|e| refused(&e))?;
        Ok(Response::new(found.into()))
    }

    async fn fetch_record(
        &self,
        request: Request<pb::FetchRecordRequest>,
    ) -> Result<Response<pb::FetchRecordResponse>, Status> {
        let node = self.caller(&request).await?;
        let pb::FetchRecordRequest { question, name, version } = request.into_inner();
        let question = records::question(question).map_err(|e| refused(&e))?;
        let record = (name.as_str(), version);
        let found = self.exchange.fetch(&node, &question, record).await.map_err(|e| refused(&e))?;
        Ok(Response::new(found.into()))
    }

    async fn anchor_trail(
        &self,
        request: Request<pb::AnchorTrailRequest>,
    ) -> Result<Response<pb::AnchorTrailResponse>, Status> {
        let node = self.caller(&request).await?;
        let anchor = request.into_inner().try_into().map_err(|e| refused(&e))?;
        let taken = self.anchors.take(&node, anchor).await.map_err(|e| refused(&e))?;
        Ok(Response::new(taken.into()))
    }

    async fn tell_coverage(
        &self,
        request: Request<pb::TellCoverageRequest>,
    ) -> Result<Response<pb::TellCoverageResponse>, Status> {
        let node = self.caller(&request).await?;
        let telling = request.into_inner().try_into().map_err(|e| refused(&e))?;
        let heard = self.coverage.hear(&node, telling).await.map_err(|e| refused(&e))?;
        Ok(Response::new(heard.into()))
    }

    async fn list_members(
        &self,
        request: Request<pb::ListMembersRequest>,
    ) -> Result<Response<pb::ListMembersResponse>, Status> {
        self.caller(&request).await?;
        let nodes = self.hub.nodes().await.map_err(|e| refused(&e))?;
        let members = nodes.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListMembersResponse { members }))
    }
}

/// Hears a node that attends and sends it orders, until either side ends.
async fn attended(
    (hub, exchange, coverage): (&Hub, &Exchange, &Coverage),
    mut attendance: Attendance,
    mut from_node: Streaming<pb::AttendRequest>,
    out: &mpsc::Sender<Result<pb::AttendResponse, Status>>,
    stop: CancellationToken,
) -> Result<(), Status> {
    let node = attendance.node().to_owned();
    coverage.seen(&node);
    let welcome = pb::Welcome {
        hub: hub.name().to_owned(),
        node: node.clone(),
        index: Some(attendance.state.clone().into()),
        time_ms: exchange.now_ms(),
    };
    let mut next = Some(FromHub::Welcome(welcome));
    loop {
        if let Some(message) = next.take() {
            let message = pb::AttendResponse { message: Some(message) };
            if out.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(refused(&Error::Unavailable { what: "hub", cause: None }));
            }
            order = attendance.orders.recv() => match order {
                Some(ToNode::Order(order)) => next = Some(FromHub::Order(order.into())),
                Some(ToNode::Replaced) => return Err(status::replaced()),
                None => return Ok(()),
            },
            heard = timeout(SILENCE_MAX, from_node.message()) => {
                let heard = heard.map_err(|_| refused(&Error::DeadlineExceeded))??;
                let Some(heard) = heard else { return Ok(()) };
                let Some(FromNode::Beat(beat)) = heard.message else {
                    return Err(refused(&Error::field("message", "must be a beat")));
                };
                coverage.seen(&node);
                let trip = Duration::from_micros(beat.round_trip_us);
                let trip = (!trip.is_zero()).then_some(trip);
                let kept = hub.beat(&node, beat.index_current, trip).await;
                kept.map_err(|e| refused(&e))?;
                if let Some(ahead_ms) = beat.clock_ahead_ms {
                    exchange.note_clock(&node, ahead_ms).await;
                }
                let time_ms = exchange.now_ms();
                next = Some(FromHub::Beat(pb::HubBeat { number: beat.number, time_ms }));
            }
        }
    }
}
