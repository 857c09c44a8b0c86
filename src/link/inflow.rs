//! How many bytes of nodes' messages the hub holds in memory.
//!
//! A message of an exchange is let in as a whole, after there is room for it: among those of its stream,
//! and among those of all streams. The room is given back when what the message asked for is done, so a
//! node that sends without end, or reads no answers, waits in its own line. The length of a message is
//! read from the five bytes before it (gRPC over HTTP/2, length-prefixed message), which are held back
//! meanwhile; no message waits for room with another half way in. What HTTP/2 itself has taken off the
//! line is bounded by its windows and not counted here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::{MESSAGE_BYTES_MAX, status};
use crate::app::ports::BoxFuture;
use crate::telemetry::Metrics;

/// Bytes of one stream at most: 16 MiB and the largest message.
pub(super) const STREAM_BYTES_MAX: usize = 16 * 1024 * 1024 + MESSAGE_BYTES_MAX;
/// Bytes that stand before a message and tell its length.
const PREFIX: usize = 5;
/// What a message costs beside its bytes, so that empty ones are not free.
const MESSAGE_COST: usize = 256;
/// How long a message that has begun may stand still.
const STALLED_MAX: Duration = Duration::from_mins(2);

/// Room for what the streams of all nodes have under way.
#[derive(Debug, Clone)]
pub struct Room {
    bytes: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// The messages of one stream that were let in, in their order.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    room: Room,
    bytes: Arc<Semaphore>,
    taken: Arc<Mutex<VecDeque<Held>>>,
}

/// The room that a message has. Gives it back at its end.
#[derive(Debug)]
pub(super) struct Held {
    bytes: usize,
    metrics: Arc<Metrics>,
    _of_stream: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Room {
    /// For so many bytes of all streams together; a stream's most at least.
    pub fn new(bytes_max: usize, metrics: Arc<Metrics>) -> Self {
        let bytes = bytes_max.clamp(STREAM_BYTES_MAX, Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(bytes)), metrics }
    }

    /// For another stream.
    fn lane(&self) -> Lane {
        let bytes = Arc::new(Semaphore::new(STREAM_BYTES_MAX));
        Lane { room: self.clone(), bytes, taken: Arc::default() }
    }
}

impl Lane {
    /// Waits for room for a message of so many bytes; false: the stream is over.
    async fn enter(self, bytes: usize) -> bool {
        let bytes = bytes.saturating_add(MESSAGE_COST).min(STREAM_BYTES_MAX);
        let Ok(permits) = u32::try_from(bytes) else { return false };
        // The stream's own room first: who has had enough does not stand before others.
        let Ok(of_stream) = self.bytes.acquire_many_owned(permits).await else { return false };
        let Ok(of_all) = self.room.bytes.acquire_many_owned(permits).await else { return false };
        let metrics = self.room.metrics;
        metrics.receiving(i64::from(permits));
        let held = Held { bytes, metrics, _of_stream: of_stream, _of_all: of_all };
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push_back(held);
        true
    }

    /// The room of the next message: called once for each that was decoded.
    pub(super) fn next(&self) -> Option<Held> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.metrics.receiving(i64::try_from(self.bytes).unwrap_or(0).saturating_neg());
    }
}

/// Lets the messages of exchanges in by a [`Room`]; other calls pass.
#[derive(Debug, Clone)]
pub(super) struct Metered<S> {
    inner: S,
    room: Room,
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S, room: Room) -> Self {
        Self { inner, room }
    }
}

impl<S: NamedService> NamedService for Metered<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Metered<S>
where
    S: Service<Request<Body>, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        if !request.uri().path().ends_with("/Exchange") {
            return self.inner.call(request);
        }
        let lane = self.room.lane();
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(lane.clone());
        let body = Body::new(Inflow::new(body, lane));
        self.inner.call(Request::from_parts(parts, body))
    }
}

/// A body whose messages wait for room.
struct Inflow<B> {
    body: B,
    lane: Lane,
    /// Taken off the line and not given on.
    rest: Bytes,
    /// What was read of the bytes before the next message.
    prefix: Vec<u8>,
    /// Bytes of the message under way that are to come.
    left: usize,
    entering: Option<BoxFuture<'static, bool>>,
    /// When a message that stands still is given up.
    stalled: Pin<Box<Sleep>>,
}

impl<B> Inflow<B> {
    fn new(body: B, lane: Lane) -> Self {
        Self {
            body,
            lane,
            rest: Bytes::new(),
            prefix: Vec::with_capacity(PREFIX),
            left: 0,
            entering: None,
            stalled: Box::pin(sleep(STALLED_MAX)),
        }
    }

    /// What may be given on of the bytes at hand; begins to wait for room at the beginning of a message.
    fn pass(&mut self) -> Option<Bytes> {
        if self.left > 0 {
            let piece = self.rest.split_to(self.left.min(self.rest.len()));
            self.left -= piece.len();
            return (!piece.is_empty()).then_some(piece);
        }
        let lacks = PREFIX - self.prefix.len();
        self.prefix.extend_from_slice(&self.rest.split_to(lacks.min(self.rest.len())));
        if let [_, length @ ..] = self.prefix.as_slice()
            && let Ok(length) = length.try_into()
        {
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if length > MESSAGE_BYTES_MAX {
                // It is refused by its length, before any of it is read.
                self.left = length;
                return Some(std::mem::take(&mut self.prefix).into());
            }
            self.entering = Some(Box::pin(self.lane.clone().enter(length)));
            self.left = length;
        }
        None
    }
}

impl<B> http_body::Body for Inflow<B>
where
    B: http_body::Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            if let Some(entering) = &mut this.entering {
                let has_room = ready!(entering.as_mut().poll(cx));
                this.entering = None;
                if !has_room {
                    return Poll::Ready(None);
                }
                let prefix: Bytes = std::mem::take(&mut this.prefix).into();
                this.stalled.as_mut().reset(Instant::now() + STALLED_MAX);
                return Poll::Ready(Some(Ok(Frame::data(prefix))));
            }
            if !this.rest.is_empty() {
                if let Some(piece) = this.pass() {
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        this.rest = data;
                        this.stalled.as_mut().reset(Instant::now() + STALLED_MAX);
                    }
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Poll::Ready(Some(Err(status))) => return Poll::Ready(Some(Err(status))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    if this.left > 0 || !this.prefix.is_empty() {
                        ready!(this.stalled.as_mut().poll(cx));
                        return Poll::Ready(Some(Err(status::stalled())));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.entering.is_none() && self.body.is_end_stream()
    }
}

impl<B> fmt::Debug for Inflow<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflow").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;
    use http_body::Body as _;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// A body in pieces; at its end it waits, or is over.
    struct Pieces(VecDeque<Bytes>, bool);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            match self.0.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                None if self.1 => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        bytes.resize(PREFIX + length, 7);
        bytes
    }

    fn cut(bytes: &[u8], mut sizes: impl Iterator<Item = usize>) -> VecDeque<Bytes> {
        let (mut pieces, mut rest) = (VecDeque::new(), Bytes::copy_from_slice(bytes));
        while !rest.is_empty() {
            let size = sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len());
            pieces.push_back(rest.split_to(size));
        }
        pieces
    }

    async fn frame(inflow: &mut Inflow<Pieces>) -> Option<Result<Bytes, Status>> {
        let frame = poll_fn(|cx| Pin::new(&mut *inflow).poll_frame(cx)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    fn room(bytes: usize) -> Room {
        Room::new(bytes, Arc::new(Metrics::new()))
    }

    fn gauge(room: &Room, name: &str) -> usize {
        let text = room.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("xiangyi_{name} ")));
        line.unwrap().parse().unwrap()
    }

    proptest! {
        #[test]
        fn bytes_pass_unchanged_and_each_message_has_its_room(
            lengths in vec(0..3_000_usize, 0..12),
            sizes in vec(1..2_000_usize, 0..40),
            more in vec(any::<u8>(), 0..PREFIX),
        ) {
            let whole: Vec<u8> = lengths.iter().flat_map(|l| message(*l)).collect();
            let bytes = [whole.as_slice(), more.as_slice()].concat();
            let pieces = Pieces(cut(&bytes, sizes.into_iter()), true);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let room = room(0);
                let lane = room.lane();
                let mut inflow = Inflow::new(pieces, lane.clone());
                let mut passed = Vec::new();
                while let Some(piece) = frame(&mut inflow).await {
                    passed.extend_from_slice(&piece.unwrap());
                }
                // Bytes after which no message can begin are not given on.
                prop_assert_eq!(passed, whole);
                let costs = lengths.iter().map(|length| length + MESSAGE_COST);
                prop_assert_eq!(gauge(&room, "exchange_receiving_bytes"), costs.clone().sum::<usize>());
                for cost in costs {
                    let held = lane.next();
                    prop_assert!(held.is_some_and(|held| held.bytes == cost));
                }
                prop_assert!(lane.next().is_none());
                prop_assert_eq!(gauge(&room, "exchange_receiving_bytes"), 0);
                Ok(())
            })?;
        }
    }

    #[tokio::test]
    async fn a_stream_waits_for_its_own_messages_and_all_streams_for_each_other() {
        let room = room(0);
        let large = message(MESSAGE_BYTES_MAX - 1);
        let lanes: Vec<Lane> = (0..3).map(|_| room.lane()).collect();
        let mut inflows: Vec<_> = lanes
            .iter()
            .map(|lane| {
                let pieces = Pieces(cut(&large.repeat(3), std::iter::repeat(1 << 20)), false);
                Inflow::new(pieces, lane.clone())
            })
            .collect();
        let mut passed = [0; 3];
        for _ in 0..3 {
            for (inflow, passed) in inflows.iter_mut().zip(&mut passed) {
                while let Some(piece) = frame(inflow).now_or_never() {
                    *passed += piece.unwrap().unwrap().len();
                }
            }
        }
        // One message of the first stream, and no room for another of any.
        assert_eq!(passed, [large.len(), 0, 0]);
        assert!(gauge(&room, "exchange_receiving_bytes") <= STREAM_BYTES_MAX);
        // Each that is done lets one in; those that waited longest come first.
        for (done, next) in [(0, 1), (1, 2), (2, 0), (0, 1)] {
            drop(lanes[done].next().expect("it was let in"));
            for (inflow, passed) in inflows.iter_mut().zip(&mut passed) {
                while let Some(piece) = frame(inflow).now_or_never() {
                    *passed += piece.unwrap().unwrap().len();
                }
            }
            assert!(lanes[next].taken.lock().unwrap().len() == 1, "{done} then {next}: {passed:?}");
        }
        assert!(gauge(&room, "exchange_receiving_peak_bytes") <= STREAM_BYTES_MAX);
        // What is too long is refused by its length and needs no room.
        let lane = room.lane();
        let long = cut(&message(MESSAGE_BYTES_MAX + 1)[..PREFIX], std::iter::empty());
        let mut inflow = Inflow::new(Pieces(long, true), lane.clone());
        assert_eq!(frame(&mut inflow).await.unwrap().unwrap().len(), PREFIX);
        assert!(lane.next().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_stands_still_is_given_up_and_a_quiet_stream_is_not() {
        let room = room(0);
        for (bytes, is_given_up) in [(message(9)[..7].to_vec(), true), (message(9), false)] {
            let pieces = Pieces(cut(&bytes, std::iter::empty()), false);
            let mut inflow = Inflow::new(pieces, room.lane());
            while let Some(Some(piece)) = frame(&mut inflow).now_or_never() {
                piece.unwrap();
            }
            let next = tokio::time::timeout(STALLED_MAX * 3, frame(&mut inflow)).await;
            let status = next.ok().flatten().and_then(Result::err);
            assert_eq!(status.is_some(), is_given_up);
        }
    }
}
