//! `StoreObjects`: objects in, one result each, in order.
//!
//! Several complete objects may wait for the disk while the next one arrives, so that they share
//! its syncs; when the caller does not read results, nothing more is read of what it sends.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::decode::announced;
use crate::app::error::Error;
use crate::app::imaging::receiving::{Announced, Arrival, NotKept, Storing, Told};
use crate::app::imaging::{Kept, Refused, Stored};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::store_objects_request::Part;
use crate::rpc::proto::xiangyi::imaging::v1::store_objects_response::Part as Reply;

/// How long a caller may be silent.
const SILENCE_MAX: Duration = Duration::from_mins(2);
/// Complete objects of one stream that wait for the disk.
const WAITING_MAX: usize = 64;
/// Results that wait for the caller to read them.
const UNREAD_MAX: usize = 8;
/// Bytes of a chunk at most.
const CHUNK_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The node's side of the stream.
pub(super) type Answers =
    Pin<Box<dyn Stream<Item = Result<pb::StoreObjectsResponse, Status>> + Send>>;

type Outgoing = mpsc::Sender<Result<pb::StoreObjectsResponse, Status>>;

/// What is told of an object: at once, or when it is on the disk.
enum Outcome {
    Told(Told),
    NotKept(NotKept),
}

/// What becomes of what comes next.
enum Now<'a> {
    /// Nothing was begun.
    Between,
    /// An object arrives.
    Arriving(String, Box<Arrival<'a>>),
    /// It was refused and told; the rest of it is passed over.
    Refused,
}

/// Results under way, and how many there were of each.
struct Results {
    waiting: VecDeque<(String, Outcome)>,
    summary: pb::StoreSummary,
    out: Outgoing,
}

pub(super) fn answers(storing: Storing, requests: Streaming<pb::StoreObjectsRequest>) -> Answers {
    let (out, answers) = mpsc::channel(UNREAD_MAX);
    // One future beside the channel it fills: dropping the stream drops what has arrived.
    let work = stream::once(async move {
        let results =
            Results { waiting: VecDeque::new(), summary: pb::StoreSummary::default(), out };
        take(&storing, requests, results).await;
    });
    let work = work.filter_map(|()| async { None });
    Box::pin(stream::select(ReceiverStream::new(answers), work))
}

async fn take(
    storing: &Storing,
    mut requests: Streaming<pb::StoreObjectsRequest>,
    mut results: Results,
) {
    let mut now = Now::Between;
    let ended = loop {
        let next = tokio::select! {
            biased;
            outcome = results.first(), if !results.waiting.is_empty() => {
                if results.send(outcome).await.is_err() {
                    return;
                }
                continue;
            }
            next = tokio::time::timeout(SILENCE_MAX, requests.message()),
                if results.waiting.len() < WAITING_MAX => next,
        };
        let part = match next {
            Err(_) => break Err(Error::DeadlineExceeded.into()),
            Ok(Err(status)) => break Err(status),
            Ok(Ok(None)) => break Ok(()),
            Ok(Ok(Some(message))) => message.part,
        };
        let before = std::mem::replace(&mut now, Now::Between);
        let after = match part {
            Some(Part::Start(start)) => Ok(results.begin(storing, before, start)),
            Some(Part::Chunk(chunk)) => results.chunk(before, chunk).await,
            Some(Part::End(pb::ObjectEnd {})) => results.end(before).await,
            None => Err(Error::field("part", "must be start, chunk or end")),
        };
        match after {
            Ok(after) => now = after,
            Err(error) => break Err(error.into()),
        }
    };
    results.finish(now, ended).await;
}

impl Results {
    fn begin<'a>(
        &mut self,
        storing: &'a Storing,
        before: Now<'a>,
        start: pb::ObjectStart,
    ) -> Now<'a> {
        if let Now::Arriving(id, _) = before {
            self.waiting.push_back((id, Outcome::NotKept(NotKept::NotEnded)));
        }
        let (id, said) = announced(start);
        let begun = said.map_err(|e| NotKept::Refused(Refused::Node(e)));
        let begun = begun.and_then(|said: Announced| storing.begin(said));
        self.going_on(id, begun)
    }

    async fn chunk<'a>(&mut self, now: Now<'a>, chunk: Bytes) -> Result<Now<'a>, Error> {
        if chunk.len() > CHUNK_BYTES_MAX {
            return Err(Error::TooLarge { bytes_max: CHUNK_BYTES_MAX });
        }
        match now {
            Now::Arriving(id, mut arrival) => {
                let pushed = arrival.push(chunk).await;
                Ok(self.going_on(id, pushed.map(|()| *arrival)))
            }
            Now::Refused => Ok(Now::Refused),
            Now::Between => Err(Error::field("chunk", "must come after start")),
        }
    }

    async fn end<'a>(&mut self, now: Now<'a>) -> Result<Now<'a>, Error> {
        match now {
            Now::Arriving(id, arrival) => {
                let outcome = match arrival.finish().await {
                    Ok(told) => Outcome::Told(told),
                    Err(why) => Outcome::NotKept(why),
                };
                self.waiting.push_back((id, outcome));
                Ok(Now::Between)
            }
            Now::Refused => Ok(Now::Between),
            Now::Between => Err(Error::field("end", "must come after start")),
        }
    }

    fn going_on<'a>(&mut self, id: String, arrival: Result<Arrival<'a>, NotKept>) -> Now<'a> {
        match arrival {
            Ok(arrival) => Now::Arriving(id, Box::new(arrival)),
            Err(why) => {
                self.waiting.push_back((id, Outcome::NotKept(why)));
                Now::Refused
            }
        }
    }

    /// What became of the object that waits first. Nothing is lost when this is dropped.
    async fn first(&mut self) -> Result<Stored, NotKept> {
        match self.waiting.front_mut() {
            Some((_, Outcome::Told(told))) => {
                let gone = |_| Error::Unavailable { what: "imaging", cause: None };
                let kept = told.await.map_err(gone).and_then(|kept| kept);
                kept.map_err(|e| NotKept::Refused(Refused::Node(e)))
            }
            Some((_, outcome @ Outcome::NotKept(_))) => {
                match std::mem::replace(outcome, Outcome::NotKept(NotKept::NotEnded)) {
                    Outcome::NotKept(why) => Err(why),
                    Outcome::Told(_) => Err(NotKept::NotEnded),
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Sends the result of the object that waits first; fails when the caller has gone.
    async fn send(&mut self, outcome: Result<Stored, NotKept>) -> Result<(), ()> {
        let id = self.waiting.pop_front().map(|(id, _)| id).unwrap_or_default();
        let result = self.result(id, outcome);
        let answer = pb::StoreObjectsResponse { part: Some(Reply::Result(result)) };
        self.out.send(Ok(answer)).await.map_err(drop)
    }

    /// Tells what still waits, and how it all came out.
    async fn finish(&mut self, now: Now<'_>, ended: Result<(), Status>) {
        if let Now::Arriving(id, _) = now {
            self.waiting.push_back((id, Outcome::NotKept(NotKept::NotEnded)));
        }
        while !self.waiting.is_empty() {
            let outcome = self.first().await;
            if self.send(outcome).await.is_err() {
                return;
            }
        }
        let summary = pb::StoreObjectsResponse { part: Some(Reply::Summary(self.summary)) };
        // A caller that has gone asks again.
        let _ = self.out.send(ended.map(|()| summary)).await;
    }

    fn result(&mut self, object_id: String, outcome: Result<Stored, NotKept>) -> pb::StoredObject {
        let stored = match outcome {
            Ok(stored) => stored,
            Err(why) => {
                self.summary.refused_count += 1;
                return refused(object_id, &why);
            }
        };
        let (outcome, count) = match stored.kept {
            Kept::New => (pb::StoreOutcome::Stored, &mut self.summary.stored_count),
            Kept::Known => (pb::StoreOutcome::Known, &mut self.summary.known_count),
            Kept::Apart => (pb::StoreOutcome::KeptApart, &mut self.summary.kept_apart_count),
        };
        *count += 1;
        pb::StoredObject {
            object_id,
            outcome: outcome.into(),
            study_uid: stored.uids.study,
            series_uid: stored.uids.series,
            sop_instance_uid: stored.uids.instance,
            sop_class_uid: stored.sop_class,
            sha256: stored.digest.to_string(),
            ..pb::StoredObject::default()
        }
    }
}

fn refused(object_id: String, why: &NotKept) -> pb::StoredObject {
    use pb::RefusalReason as Reason;
    let (refusal, reason, retryable) = match why {
        NotKept::File(_) => (Reason::NotDicom, why.to_string(), false),
        NotKept::NotAsAnnounced { .. }
        | NotKept::NotEnded
        | NotKept::Refused(Refused::NotAsAnnounced { .. }) => {
            (Reason::NotAsAnnounced, why.to_string(), false)
        }
        NotKept::Refused(Refused::TransferSyntax) => {
            (Reason::TransferSyntax, why.to_string(), false)
        }
        NotKept::Refused(Refused::Structure(_)) => (Reason::Structure, why.to_string(), false),
        NotKept::Refused(Refused::Identity(_)) => (Reason::Identity, why.to_string(), false),
        NotKept::Refused(Refused::TooLong) => (Reason::TooLong, why.to_string(), false),
        NotKept::Refused(Refused::Node(error @ Error::Invalid(_))) => {
            (Reason::NotAsAnnounced, error.public(), false)
        }
        NotKept::Refused(Refused::Node(error)) => (Reason::Node, error.public(), error.retryable()),
    };
    pb::StoredObject {
        object_id,
        outcome: pb::StoreOutcome::Refused.into(),
        refusal: refusal.into(),
        reason,
        retryable,
        ..pb::StoredObject::default()
    }
}
