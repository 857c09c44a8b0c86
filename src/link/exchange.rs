//! Documents over the link: the conversation of `sharing::exchange` as a gRPC stream, at both ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{FuturesUnordered, Stream};
use prost::Message as _;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::inflow::{Held, Lane};
use super::pb::exchange_request::Message as FromNodePb;
use super::pb::exchange_response::Message as FromHubPb;
use super::pb::link_service_client::LinkServiceClient;
use super::{pb, status};
use crate::app::error::{Cause, Error};
use crate::app::exchange::desk::Desk;
use crate::app::exchange::hub::Exchange;
use crate::sharing::exchange::hub::{HubDo, HubSession};
use crate::sharing::exchange::node::{NodeDo, NodeSession};
use crate::sharing::exchange::{
    Cursor, Delivery, Document, FromHub, FromNode, Hello, IN_FLIGHT_MAX, Kind, Outcome, Position,
    SentFor, Standing, Welcome,
};

/// How long the hub may take to answer the first word.
const WELCOME_WITHIN: Duration = Duration::from_secs(30);
/// Messages that are read ahead at most: as many as both windows have.
const READ_AHEAD_MAX: usize = 2 * IN_FLIGHT_MAX;
/// Bytes of answers and documents that a node has not read, with which it is not heard any more.
const UNREAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What an answer costs beside its bytes.
const TOLD_COST: usize = 128;
/// Between two looks for what is due again, or what nobody told of.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A line on which the other side has said nothing for so long while answers are due is given up.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// One conversation at the node's end, until the line breaks.
pub(super) async fn converse<T>(
    mut client: LinkServiceClient<T>,
    desk: &dyn Desk,
) -> Result<(), Cause>
where
    T: tonic::client::GrpcService<tonic::body::Body> + Send,
    T::Error: Into<Cause>,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<Cause> + Send,
    T::Future: Send,
{
    // Its length is bounded by the windows of both sides; a bounded one could have both wait for each
    // other.
    let (out, to_hub) = mpsc::unbounded_channel();
    let (mut session, first) = NodeSession::begin(desk.hello().await?);
    out.send(first.into())?;
    let exchange = client.exchange(UnboundedReceiverStream::new(to_hub));
    let from_hub = timeout(WELCOME_WITHIN, exchange).await??.into_inner();
    let (_reading, mut from_hub) = read_ahead(from_hub, || ());
    // Said once for all that is at hand: how far the inbox is on disk.
    let mut kept = None;
    let (mut changed, mut look) = (desk.changed(), interval(LOOK_EVERY));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut todo = VecDeque::new();
    loop {
        while let Some(next) = todo.pop_front() {
            match next {
                NodeDo::Send(message) => out.send(message.into())?,
                NodeDo::ReadOutbox { after, limit } => {
                    let (documents, whole) = desk.outbox(after, limit).await?;
                    todo.extend(session.outbox(documents, whole));
                }
                NodeDo::Settle(number, outcome) => desk.settle(number, outcome).await?,
                NodeDo::Keep(cursor, delivery) => {
                    desk.keep(cursor, delivery).await?;
                    kept = session.kept(cursor.number).pop();
                }
                NodeDo::Unsettle => desk.unsettle().await?,
                NodeDo::ResetInbox(cursor) => desk.reset_inbox(cursor).await?,
                NodeDo::Renew => todo.extend(session.renewed(desk.renew().await?)),
                NodeDo::NoteReplaced => desk.note_replaced().await?,
            }
        }
        if from_hub.is_empty()
            && let Some(kept) = kept.take()
        {
            todo.push_back(kept);
            continue;
        }
        tokio::select! {
            heard = timeout(ANSWER_WITHIN, from_hub.recv()) => match heard {
                Ok(Some((message, ()))) => todo.extend(session.heard(message?.try_into()?)?),
                Ok(None) => return Ok(()),
                Err(_) if session.unanswered() > 0 => return Err("the hub does not answer".into()),
                Err(_) => {}
            },
            changed = changed.changed() => {
                changed?;
                todo.extend(session.woken());
            }
            _ = look.tick() => todo.extend(session.woken()),
        }
    }
}

/// One conversation at the hub's end with a node, until the line breaks.
pub(super) async fn attend(
    hub: &Exchange,
    node: &str,
    (from_node, lane): (Streaming<pb::ExchangeRequest>, Lane),
    out: &Out,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut session = HubSession::default();
    let waker = hub.waker(node);
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (_reading, mut from_node) = read_ahead(from_node, move || lane.next());
    let mut pending = FuturesUnordered::new();
    // Only the newest number matters, and nobody waits for it.
    let (mut newest, mut advancing) = (None, FuturesUnordered::new());
    // With each goes the room of the message that asked for it, until it is done.
    let mut todo: VecDeque<(HubDo, Option<Held>)> = VecDeque::new();
    let plain = |next| (next, None);
    loop {
        while let Some((next, held)) = todo.pop_front() {
            match next {
                HubDo::Send(message) => {
                    if !out.send(Ok(message.into())) {
                        return Ok(());
                    }
                }
                HubDo::Attend(hello) => {
                    let welcome = hub.attend(node, &hello).await?;
                    todo.extend(session.attended(&hello, welcome).into_iter().map(plain));
                }
                HubDo::Submit(store, number, document) => pending.push(async move {
                    let outcome = hub.submit(node, store.clone(), number, document).await;
                    drop(held);
                    (store, number, outcome)
                }),
                HubDo::ReadInbox { after, limit } => {
                    let (documents, whole) = hub.inbox(node, after, limit).await?;
                    todo.extend(session.inbox(after, documents, whole).into_iter().map(plain));
                }
                HubDo::Advance(number) => newest = Some(number),
            }
        }
        if advancing.is_empty()
            && let Some(number) = newest.take()
        {
            advancing.push(hub.advance(node, number));
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(Error::Unavailable { what: "hub", cause: None });
            }
            // A node that does not read what it is told is not heard meanwhile.
            () = out.drained(), if !out.has_room() => {}
            heard = from_node.recv(), if out.has_room() => match heard {
                Some((message, held)) => {
                    let message = FromNode::try_from(message.map_err(status::error)?)?;
                    let heard = session.heard(message).map_err(|breach| {
                        Error::Refused { reason: breach.to_string() }
                    })?;
                    let mut held = held;
                    todo.extend(heard.into_iter().map(|next| (next, held.take())));
                }
                None => return Ok(()),
            },
            Some((store, number, outcome)) = pending.next() => {
                todo.extend(session.answered(&store, number, outcome?).into_iter().map(plain));
            }
            Some(()) = advancing.next() => {}
            () = waker.notified() => todo.extend(session.woken().into_iter().map(plain)),
            _ = look.tick() => todo.extend(session.woken().into_iter().map(plain)),
        }
    }
}

/// What the hub tells a node, and how much of it the node has not read yet.
#[derive(Debug, Clone)]
pub(super) struct Out {
    line: mpsc::UnboundedSender<Told>,
    unread: Arc<Unread>,
}

/// How many bytes are not read, and who waits for fewer.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: AtomicUsize,
    fewer: Notify,
}

type Told = Result<pb::ExchangeResponse, Status>;
/// A message that was read ahead, and what goes with it.
type Ahead<T, H> = (Result<T, Status>, H);

impl Out {
    /// With what it fills.
    pub(super) fn new() -> (Self, impl Stream<Item = Told>) {
        let (line, answers) = mpsc::unbounded_channel();
        let unread: Arc<Unread> = Arc::default();
        let out = Self { line, unread: Arc::clone(&unread) };
        let answers = UnboundedReceiverStream::new(answers).inspect(move |told| {
            unread.bytes.fetch_sub(weight(told), Ordering::AcqRel);
            unread.fewer.notify_one();
        });
        (out, answers)
    }

    /// False: the line is gone.
    pub(super) fn send(&self, told: Told) -> bool {
        self.unread.bytes.fetch_add(weight(&told), Ordering::AcqRel);
        self.line.send(told).is_ok()
    }

    fn has_room(&self) -> bool {
        self.unread.bytes.load(Ordering::Acquire) < UNREAD_BYTES_MAX
    }

    /// Waits until something was read.
    async fn drained(&self) {
        while !self.has_room() {
            self.unread.fewer.notified().await;
        }
    }
}

fn weight(told: &Told) -> usize {
    told.as_ref().map_or(0, pb::ExchangeResponse::encoded_len) + TOLD_COST
}

/// Takes messages off the line as they come, while what came before is being written down: HTTP/2 gives
/// up a line on which many small frames lie unread. What is read ahead is bounded; `with` gives what
/// goes with each message.
fn read_ahead<T: Send + 'static, H: Send + 'static>(
    mut stream: Streaming<T>,
    with: impl Fn() -> H + Send + 'static,
) -> (JoinSet<()>, mpsc::Receiver<Ahead<T, H>>) {
    let (ahead, messages) = mpsc::channel(READ_AHEAD_MAX);
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        while let Some(message) = stream.message().await.transpose() {
            let last = message.is_err();
            if ahead.send((message, with())).await.is_err() || last {
                return;
            }
        }
    });
    (reading, messages)
}

impl From<Document> for pb::ExchangedDocument {
    fn from(document: Document) -> Self {
        let Document { kind, name, version, media_type, sha256, body } = document;
        let kind = match kind {
            Kind::Record => pb::DocumentKind::Record,
            Kind::Registration => pb::DocumentKind::Registration,
            Kind::Task => pb::DocumentKind::Task,
            Kind::Consent => pb::DocumentKind::Consent,
        };
        let sha256 = bytes::Bytes::copy_from_slice(&sha256);
        Self { kind: kind.into(), name, version, media_type, sha256, body, ..Self::default() }
    }
}

fn numbered(number: u64, document: Document) -> pb::ExchangedDocument {
    pb::ExchangedDocument { number, ..document.into() }
}

fn delivered(number: u64, delivery: Delivery) -> pb::ExchangedDocument {
    let Delivery { document, sent_for, sender, handed_ms } = delivery;
    let sent_for = match sent_for {
        None => pb::SentFor::Unspecified,
        Some(SentFor::Village) => pb::SentFor::Village,
        Some(SentFor::Township) => pb::SentFor::Township,
        Some(SentFor::Registered) => pb::SentFor::Registered,
        Some(SentFor::Contract) => pb::SentFor::Contract,
        Some(SentFor::Referral) => pb::SentFor::Referral,
        Some(SentFor::Subscription) => pb::SentFor::Subscription,
        Some(SentFor::Backfill) => pb::SentFor::Backfill,
        Some(SentFor::Returned) => pb::SentFor::Returned,
        Some(SentFor::Task) => pb::SentFor::Task,
        Some(SentFor::Correction) => pb::SentFor::Correction,
        Some(SentFor::Other) => pb::SentFor::Other,
    };
    let sent_for = sent_for.into();
    pb::ExchangedDocument { sent_for, sender, handed_ms, ..numbered(number, document) }
}

impl TryFrom<pb::ExchangedDocument> for Delivery {
    type Error = Error;
    fn try_from(mut delivered: pb::ExchangedDocument) -> Result<Self, Error> {
        let sent_for = match pb::SentFor::try_from(delivered.sent_for) {
            Ok(pb::SentFor::Unspecified) => None,
            Ok(pb::SentFor::Village) => Some(SentFor::Village),
            Ok(pb::SentFor::Township) => Some(SentFor::Township),
            Ok(pb::SentFor::Registered) => Some(SentFor::Registered),
            Ok(pb::SentFor::Contract) => Some(SentFor::Contract),
            Ok(pb::SentFor::Referral) => Some(SentFor::Referral),
            Ok(pb::SentFor::Subscription) => Some(SentFor::Subscription),
            Ok(pb::SentFor::Backfill) => Some(SentFor::Backfill),
            Ok(pb::SentFor::Returned) => Some(SentFor::Returned),
            Ok(pb::SentFor::Task) => Some(SentFor::Task),
            Ok(pb::SentFor::Correction) => Some(SentFor::Correction),
            // A hub of tomorrow: nothing is to be opened by what is not understood.
            Ok(pb::SentFor::Other) | Err(_) => Some(SentFor::Other),
        };
        let (sender, handed_ms) = (std::mem::take(&mut delivered.sender), delivered.handed_ms);
        Ok(Self { document: delivered.try_into()?, sent_for, sender, handed_ms })
    }
}

impl TryFrom<pb::ExchangedDocument> for Document {
    type Error = Error;
    fn try_from(document: pb::ExchangedDocument) -> Result<Self, Error> {
        let kind = match pb::DocumentKind::try_from(document.kind) {
            Ok(pb::DocumentKind::Record) => Kind::Record,
            Ok(pb::DocumentKind::Registration) => Kind::Registration,
            Ok(pb::DocumentKind::Task) => Kind::Task,
            Ok(pb::DocumentKind::Consent) => Kind::Consent,
            Ok(pb::DocumentKind::Unspecified) | Err(_) => {
                return Err(Error::field("document.kind", "must be a known kind"));
            }
        };
        let sha256 = digest("document.sha256", &document.sha256)?;
        let pb::ExchangedDocument { name, version, media_type, body, .. } = document;
        Ok(Self { kind, name, version, media_type, sha256, body })
    }
}

fn digest(field: &str, bytes: &[u8]) -> Result<[u8; 32], Error> {
    bytes.try_into().map_err(|_| Error::field(field, "must have 32 bytes"))
}

fn place(number: u64, digest: [u8; 32]) -> pb::ExchangePlace {
    pb::ExchangePlace { number, digest: bytes::Bytes::copy_from_slice(&digest) }
}

/// A place that was left out is before the first.
fn placed(field: &str, place: Option<pb::ExchangePlace>) -> Result<(u64, [u8; 32]), Error> {
    match place {
        Some(place) if place.number > 0 => Ok((place.number, digest(field, &place.digest)?)),
        Some(_) | None => Ok((0, [0; 32])),
    }
}

impl From<FromNode> for pb::ExchangeRequest {
    fn from(message: FromNode) -> Self {
        let message = match message {
            FromNode::Hello(Hello { store, last, position, inbox }) => {
                FromNodePb::Hello(pb::ExchangeHello {
                    store,
                    last,
                    position: Some(place(position.number, position.sha256)),
                    inbox: Some(place(inbox.number, inbox.chain)),
                })
            }
            FromNode::Document(number, document) => {
                FromNodePb::Document(numbered(number, document))
            }
            FromNode::Kept(number) => FromNodePb::Kept(number),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<pb::ExchangeRequest> for FromNode {
    type Error = Error;
    fn try_from(message: pb::ExchangeRequest) -> Result<Self, Error> {
        Ok(match message.message {
            Some(FromNodePb::Hello(hello)) => {
                let (number, sha256) = placed("hello.position.digest", hello.position)?;
                let position = Position { number, sha256 };
                let (number, chain) = placed("hello.inbox.digest", hello.inbox)?;
                let inbox = Cursor { number, chain };
                Self::Hello(Hello { store: hello.store, last: hello.last, position, inbox })
            }
            Some(FromNodePb::Document(document)) => {
                Self::Document(document.number, document.try_into()?)
            }
            Some(FromNodePb::Kept(number)) => Self::Kept(number),
            None => return Err(Error::field("message", "must be hello, document or kept")),
        })
    }
}

impl From<FromHub> for pb::ExchangeResponse {
    fn from(message: FromHub) -> Self {
        let message = match message {
            FromHub::Welcome(Welcome { store, standing, remembers, inbox }) => {
                let standing = match standing {
                    Standing::Current => pb::Standing::Current,
                    Standing::Forked => pb::Standing::Forked,
                    Standing::Replaced => pb::Standing::Replaced,
                };
                let inbox = Some(place(inbox.number, inbox.chain));
                FromHubPb::Welcome(pb::ExchangeWelcome {
                    store,
                    standing: standing.into(),
                    remembers,
                    inbox,
                })
            }
            FromHub::Answer(number, outcome) => {
                let position = outcome.number().unwrap_or(0);
                let (kind, code, reason) = match outcome {
                    Outcome::Kept(_) => (pb::DocumentOutcome::Kept, String::new(), String::new()),
                    Outcome::Known(_) => (pb::DocumentOutcome::Known, String::new(), String::new()),
                    Outcome::Refused { code, reason } => {
                        (pb::DocumentOutcome::Refused, code, reason)
                    }
                    Outcome::Forked => (pb::DocumentOutcome::Forked, String::new(), String::new()),
                };
                let outcome = kind.into();
                FromHubPb::Answer(pb::ExchangeAnswer { number, outcome, position, code, reason })
            }
            FromHub::Deliver(number, delivery) => FromHubPb::Document(delivered(number, delivery)),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<pb::ExchangeResponse> for FromHub {
    type Error = Error;
    fn try_from(message: pb::ExchangeResponse) -> Result<Self, Error> {
        Ok(match message.message {
            Some(FromHubPb::Welcome(welcome)) => {
                let standing = match pb::Standing::try_from(welcome.standing) {
                    Ok(pb::Standing::Current) => Standing::Current,
                    Ok(pb::Standing::Forked) => Standing::Forked,
                    Ok(pb::Standing::Replaced) => Standing::Replaced,
                    Ok(pb::Standing::Unspecified) | Err(_) => {
                        return Err(Error::field("welcome.standing", "must be a known standing"));
                    }
                };
                let (number, chain) = placed("welcome.inbox.digest", welcome.inbox)?;
                Self::Welcome(Welcome {
                    store: welcome.store,
                    standing,
                    remembers: welcome.remembers,
                    inbox: Cursor { number, chain },
                })
            }
            Some(FromHubPb::Answer(answer)) => {
                let outcome = match pb::DocumentOutcome::try_from(answer.outcome) {
                    Ok(pb::DocumentOutcome::Kept) => Outcome::Kept(answer.position),
                    Ok(pb::DocumentOutcome::Known) => Outcome::Known(answer.position),
                    Ok(pb::DocumentOutcome::Refused) => {
                        Outcome::Refused { code: answer.code, reason: answer.reason }
                    }
                    Ok(pb::DocumentOutcome::Forked) => Outcome::Forked,
                    Ok(pb::DocumentOutcome::Unspecified) | Err(_) => {
                        return Err(Error::field("answer.outcome", "must be a known outcome"));
                    }
                };
                Self::Answer(answer.number, outcome)
            }
            Some(FromHubPb::Document(document)) => {
                Self::Deliver(document.number, document.try_into()?)
            }
            None => return Err(Error::field("message", "must be welcome, answer or document")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_document_comes_crosses_the_line_and_what_is_not_understood_opens_nothing() {
        let document = || Document {
            kind: Kind::Record,
            name: "r".to_owned(),
            version: 1,
            media_type: "text/plain".to_owned(),
            sha256: [7; 32],
            body: bytes::Bytes::from_static(b"text"),
        };
        let reasons = SentFor::ALL.into_iter().map(Some).chain([None]);
        for sent_for in reasons {
            let handed_ms = sent_for.map(|_| 1_790_784_000_000);
            let sender = "county".to_owned();
            let said = Delivery { document: document(), sent_for, sender, handed_ms };
            let wire = delivered(3, said.clone());
            assert_eq!(wire.number, 3);
            assert_eq!(Delivery::try_from(wire).unwrap(), said);
        }
        // A hub of before says nothing, one of tomorrow something else.
        let before = numbered(1, document());
        let heard = Delivery::try_from(before.clone()).unwrap();
        assert_eq!((heard.sent_for, heard.sender.as_str(), heard.handed_ms), (None, "", None));
        let tomorrow = pb::ExchangedDocument { sent_for: 99, ..before };
        assert_eq!(Delivery::try_from(tomorrow).unwrap().sent_for, Some(SentFor::Other));
    }
}
