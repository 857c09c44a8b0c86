//! The node's side of the link: dials the hub, attends, and dials again when the line breaks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_rustls::rustls::ClientConfig;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::pb::attend_request::Message as FromNode;
use super::pb::attend_response::Message as FromHub;
use super::pb::deliver_objects_request::Message as Delivered;
use super::pb::link_service_client::LinkServiceClient;
use super::{MESSAGE_BYTES_MAX, PROTOCOL, convert, exchange, pb, status};
use crate::app::audit::anchoring::AnchorPlace;
use crate::app::chain;
use crate::app::error::{Cause, Error};
use crate::app::exchange::clock::HubTime;
use crate::app::exchange::desk::Desk;
use crate::app::exchange::look_up::{Answer, Elsewhere, FetchedRecord, FoundRecords, Question};
use crate::app::ports::BoxFuture;
use crate::app::regional::holding::{Holder, Order};
use crate::app::regional::ports::{Pieces, Region};
use crate::app::regional::{FetchRequest, IndexState, NodeLine, Publication, RegionalAnswer};
use crate::app::reporting::ports::{Heard, Listener, Telling};
use crate::sharing::audit::Anchor;
use crate::sharing::imaging::published::PatientQuestion;
use crate::tls;

/// Between two beats.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// How long the hub may be silent.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How long dialling and the hub's welcome may take.
const WELCOME_WITHIN: Duration = Duration::from_secs(15);
/// How long a question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long a publication, or a document, may take.
const PUBLISHED_WITHIN: Duration = Duration::from_mins(1);
/// Between two signs of life that HTTP/2 asks for.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Pauses before dialling again: the first, the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));
/// A line that held so long was a good one: the pauses begin anew.
const GOOD_AFTER: Duration = Duration::from_secs(30);
/// Deliveries at the same time.
const DELIVERIES_MAX: usize = 8;
/// Messages that wait to be sent.
const UNSENT_MAX: usize = 16;

/// What the hub is dialled with over TLS.
pub type TlsSource = Arc<dyn Fn() -> Result<ClientConfig, Cause> + Send + Sync>;

/// Where the hub is and how this node shows who it is.
#[derive(Clone)]
pub struct LinkOptions {
    /// `https://host:port`; `http://` on loopback only.
    pub hub: String,
    /// For `https://`: whom to trust and what to show. Asked each time that the hub is dialled, because
    /// a certificate is renewed while the node runs.
    pub tls: Option<TlsSource>,
    /// Token of this node.
    pub token: Option<String>,
}

/// Chance, for pauses that are not all alike.
pub type Chance = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The region as this node reaches it.
pub struct HubLink {
    hub: String,
    endpoint: Endpoint,
    tls: Option<TlsSource>,
    bearer: Bearer,
    chance: Chance,
    session: watch::Sender<Option<Session>>,
    current: AtomicBool,
    beat: Notify,
    time: Arc<HubTime>,
}

type Client = LinkServiceClient<InterceptedService<Channel, Bearer>>;

/// Puts the token on every call.
#[derive(Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

#[derive(Clone)]
struct Session {
    client: Client,
    state: Arc<Mutex<IndexState>>,
}

impl std::fmt::Debug for LinkOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkOptions").field("hub", &self.hub).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for HubLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubLink").field("hub", &self.hub).finish_non_exhaustive()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl HubLink {
    /// Reads the options; dials nobody yet. `time` hears what the hub says of its own.
    pub fn new(
        options: LinkOptions,
        chance: Chance,
        time: Arc<HubTime>,
    ) -> Result<Arc<Self>, Cause> {
        let endpoint = match &options.tls {
            Some(_) => tls::Dial::endpoint(&options.hub)?,
            None => Endpoint::from_shared(options.hub.clone())?,
        };
        let endpoint = endpoint
            .connect_timeout(WELCOME_WITHIN)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .keep_alive_timeout(KEEP_ALIVE)
            .http2_adaptive_window(true);
        let bearer = match options.token {
            None => None,
            Some(token) => {
                let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Arc::new(Self {
            hub: options.hub,
            endpoint,
            tls: options.tls,
            bearer: Bearer(bearer),
            chance,
            session: watch::Sender::new(None),
            current: AtomicBool::new(false),
            beat: Notify::new(),
            time,
        }))
    }

    /// Attends for ever. `holder` gives out what is ordered; none: this node holds nothing.
    pub async fn run(self: Arc<Self>, holder: Option<Holder>) {
        let mut pause = PAUSES.0;
        loop {
            let begun = Instant::now();
            let ended = self.attend(holder.as_ref()).await;
            self.session.send_replace(None);
            match ended {
                Ok(()) => tracing::info!("hub has ended the link; it is dialled again"),
                Err(error) => {
                    let error = chain(error.as_ref());
                    tracing::warn!(error, "hub is not reached; it is dialled again");
                }
            }
            if begun.elapsed() >= GOOD_AFTER {
                pause = PAUSES.0;
            }
            // Half to whole, so that not all nodes come back at once.
            sleep(pause.mul_f64((self.chance)().clamp(0.0, 1.0) / 2.0 + 0.5)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Exchanges documents for ever, whenever the node attends.
    pub async fn exchange(self: Arc<Self>, desk: Arc<dyn Desk>) {
        let mut sessions = self.session.subscribe();
        let mut pause = PAUSES.0;
        loop {
            let session = sessions.wait_for(Option::is_some).await;
            let Some(session) = session.ok().and_then(|session| session.clone()) else { return };
            let begun = Instant::now();
            if let Err(error) = exchange::converse(session.client, &*desk).await {
                // A line that is down is told where it is dialled.
                tracing::info!(error = chain(error.as_ref()), "documents are not exchanged now");
            }
            if begun.elapsed() >= GOOD_AFTER {
                pause = PAUSES.0;
            }
            sleep(pause.mul_f64((self.chance)().clamp(0.0, 1.0) / 2.0 + 0.5)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Whether the node attends.
    pub fn is_attending(&self) -> bool {
        self.session.borrow().is_some()
    }

    async fn dial(&self) -> Result<Channel, Cause> {
        let Some(source) = &self.tls else { return Ok(self.endpoint.connect().await?) };
        let dial = tls::Dial::new(source()?);
        Ok(self.endpoint.connect_with_connector(dial).await?)
    }

    /// One attendance.
    async fn attend(&self, holder: Option<&Holder>) -> Result<(), Cause> {
        let channel = timeout(WELCOME_WITHIN, self.dial()).await??;
        let mut client = LinkServiceClient::with_interceptor(channel, self.bearer.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (out, to_hub) = mpsc::channel(UNSENT_MAX);
        let hello = pb::Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
        let mut sent = Instant::now();
        out.send(said(FromNode::Hello(hello))).await?;
        let attending = client.attend(ReceiverStream::new(to_hub));
        let mut from_hub = timeout(WELCOME_WITHIN, attending).await??.into_inner();
        let first = timeout(WELCOME_WITHIN, from_hub.message()).await??;
        let Some(FromHub::Welcome(welcome)) = first.and_then(|first| first.message) else {
            return Err("the hub does not welcome".into());
        };
        self.time.heard(welcome.time_ms, sent.elapsed());
        tracing::info!(hub = welcome.hub, node = welcome.node, "attends");
        let state = Arc::new(Mutex::new(welcome.index.unwrap_or_default().into()));
        self.current.store(false, Ordering::Release);
        self.session.send_replace(Some(Session { client: client.clone(), state }));
        let mut deliveries = Deliveries::new(client, holder.cloned());
        let mut beats = interval(BEAT_EVERY);
        let (mut number, mut trip) = (0_u64, Duration::ZERO);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                message = from_hub.message() => match message? {
                    None => return Ok(()),
                    Some(message) => {
                        heard = Instant::now();
                        match message.message {
                            Some(FromHub::Beat(beat)) if beat.number == number => {
                                trip = sent.elapsed();
                                self.time.heard(beat.time_ms, trip);
                            }
                            Some(FromHub::Order(order)) => deliveries.begin(order),
                            Some(FromHub::Beat(_) | FromHub::Welcome(_)) | None => {}
                        }
                    }
                },
                _ = beats.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Err("the hub is silent".into());
                    }
                    number += 1;
                    sent = Instant::now();
                    out.send(self.beating(number, trip)).await?;
                }
                () = self.beat.notified() => {
                    number += 1;
                    sent = Instant::now();
                    out.send(self.beating(number, trip)).await?;
                }
                () = deliveries.ended() => {}
            }
        }
    }

    fn beating(&self, number: u64, trip: Duration) -> pb::AttendRequest {
        said(FromNode::Beat(pb::NodeBeat {
            index_current: self.current.load(Ordering::Acquire),
            number,
            round_trip_us: u64::try_from(trip.as_micros()).unwrap_or(u64::MAX),
            clock_ahead_ms: self.time.compared().map(|compared| compared.ahead_ms),
        }))
    }

    fn session(&self) -> Result<Session, Error> {
        let session = self.session.borrow().clone();
        session.ok_or(Error::Unavailable { what: "hub", cause: None })
    }
}

impl Region for HubLink {
    fn attended(&self) -> BoxFuture<'_, Result<IndexState, Error>> {
        Box::pin(async {
            let mut sessions = self.session.subscribe();
            let session = sessions.wait_for(Option::is_some).await;
            let session = session.ok().and_then(|session| session.clone());
            let session = session.ok_or(Error::Unavailable { what: "hub", cause: None })?;
            let state = session.state.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(state.clone())
        })
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.current.store(false, Ordering::Release);
            let Session { mut client, state } = self.session()?;
            let told =
                (publication.generation.clone(), publication.cursor.clone(), publication.complete);
            let publication = pb::PublishStudiesRequest::from(publication);
            within(PUBLISHED_WITHIN, client.publish_studies(publication)).await?;
            let (generation, cursor, complete) = told;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if complete {
                *state = IndexState { generation, complete, cursor };
            } else if state.generation == generation && !cursor.is_empty() {
                state.cursor = cursor;
            }
            Ok(())
        })
    }

    fn current(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.session()?;
            self.current.store(true, Ordering::Release);
            self.beat.notify_one();
            Ok(())
        })
    }

    fn find(&self, question: PatientQuestion) -> BoxFuture<'_, Result<RegionalAnswer, Error>> {
        Box::pin(async {
            let mut client = self.session()?.client;
            let question = pb::FindStudiesRequest::from(question);
            Ok(within(ANSWER_WITHIN, client.find_studies(question)).await?.into())
        })
    }

    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<Pieces, Error>> {
        Box::pin(async {
            let mut client = self.session()?.client;
            let study = request.study.clone();
            let request = pb::FetchObjectsRequest::from(request);
            let pieces = within(PUBLISHED_WITHIN, client.fetch_objects(request)).await?;
            let pieces = pieces
                .map(move |piece| convert::piece(&study, piece.map_err(status::error)?.piece));
            let pieces: Pieces = Box::pin(pieces);
            Ok(pieces)
        })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLine>, Error>> {
        Box::pin(async {
            let mut client = self.session()?.client;
            let listed =
                within(ANSWER_WITHIN, client.list_members(pb::ListMembersRequest {})).await?;
            Ok(listed.members.into_iter().map(Into::into).collect())
        })
    }
}

impl Elsewhere for HubLink {
    fn look_up(&self, question: Question) -> BoxFuture<'_, Result<Answer<FoundRecords>, Error>> {
        Box::pin(async {
            let mut client = self.session()?.client;
            let request = pb::LookUpRecordsRequest { question: Some(question.into()) };
            within(ANSWER_WITHIN, client.look_up_records(request)).await?.try_into()
        })
    }

    fn fetch(
        &self,
        question: Question,
        (name, version): (String, u32),
    ) -> BoxFuture<'_, Result<Answer<Option<FetchedRecord>>, Error>> {
        Box::pin(async move {
            let mut client = self.session()?.client;
            let question = Some(question.into());
            let request = pb::FetchRecordRequest { question, name, version };
            within(PUBLISHED_WITHIN, client.fetch_record(request)).await?.try_into()
        })
    }
}

impl AnchorPlace for HubLink {
    fn anchor<'a>(&'a self, anchor: &'a Anchor) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut client = self.session()?.client;
            let request = pb::AnchorTrailRequest::from(anchor.clone());
            let answer = within(ANSWER_WITHIN, client.anchor_trail(request)).await?;
            if answer.standing() != pb::AnchorStanding::Fits {
                let standing = answer.standing().as_str_name();
                tracing::warn!(standing, "the hub knows another audit trail of this node");
            }
            Ok(())
        })
    }
}

impl Listener for HubLink {
    fn tell(&self, telling: Telling) -> BoxFuture<'_, Result<Heard, Error>> {
        Box::pin(async move {
            let mut client = self.session()?.client;
            let request = pb::TellCoverageRequest::from(telling);
            within(ANSWER_WITHIN, client.tell_coverage(request)).await?.try_into()
        })
    }
}

fn said(message: FromNode) -> pb::AttendRequest {
    pb::AttendRequest { message: Some(message) }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Error> {
    match timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(status::error(status)),
        Err(_) => Err(Error::Unavailable { what: "hub", cause: Some("no answer in time".into()) }),
    }
}

/// What is being delivered; all of it ends with the attendance.
struct Deliveries {
    client: Client,
    holder: Option<Holder>,
    places: Arc<Semaphore>,
    running: JoinSet<()>,
}

impl Deliveries {
    fn new(client: Client, holder: Option<Holder>) -> Self {
        let places = Arc::new(Semaphore::new(DELIVERIES_MAX));
        Self { client, holder, places, running: JoinSet::new() }
    }

    /// Begins what is ordered; beyond [`DELIVERIES_MAX`] it waits its turn.
    fn begin(&mut self, order: pb::Order) {
        let (client, holder) = (self.client.clone(), self.holder.clone());
        let places = Arc::clone(&self.places);
        self.running.spawn(async move {
            let Ok(_place) = places.acquire_owned().await else { return };
            deliver(client, holder, order).await;
        });
    }

    /// Returns when one of them has ended; never where there is none.
    async fn ended(&mut self) {
        if self.running.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

async fn deliver(mut client: Client, holder: Option<Holder>, order: pb::Order) {
    let ticket = order.ticket.clone();
    let pieces: Pieces = match opened(holder, order).await {
        Ok(pieces) => pieces,
        Err(error) => {
            tracing::info!(error = chain(&error), "a study that was ordered is not delivered");
            Box::pin(stream::once(std::future::ready(Err(error))))
        }
    };
    let (out, messages) = mpsc::channel(UNSENT_MAX);
    // When the hub has enough, or the line breaks, the receiver goes and with it the telling.
    let told = tell(ticket, pieces, out);
    let (_, delivered) = tokio::join!(told, client.deliver_objects(ReceiverStream::new(messages)));
    if let Err(status) = delivered {
        tracing::info!(code = %status.code(), "a delivery has broken off");
    }
}

/// Says of an order: its ticket, the pieces, and why they end if not by themselves. None if nobody
/// listens any more.
async fn tell(
    ticket: String,
    mut pieces: Pieces,
    out: mpsc::Sender<pb::DeliverObjectsRequest>,
) -> Option<()> {
    let say = |message| out.send(pb::DeliverObjectsRequest { message: Some(message) });
    say(Delivered::Ticket(ticket)).await.ok()?;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => say(Delivered::Piece(piece.into())).await.ok()?,
            Err(error) => {
                let reason = error.code().name().to_owned();
                return say(Delivered::Failure(pb::Failure { reason })).await.ok();
            }
        }
    }
    Some(())
}

async fn opened(holder: Option<Holder>, order: pb::Order) -> Result<Pieces, Error> {
    let holder = holder.ok_or(Error::NotFound { kind: "study" })?;
    holder.open(Order::try_from(order)?).await
}
