//! `FetchStudy`: progress out while the fetch goes on; a caller who leaves ends it.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::regional::fetching::{Progress, StudyFetch};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;

/// Steps that wait for the caller to read them; of more, some are left out.
const UNREAD_MAX: usize = 4;

/// How far the fetch has come.
pub(super) type Steps = Pin<Box<dyn Stream<Item = Result<pb::FetchStudyResponse, Status>> + Send>>;

pub(super) fn steps(
    (app, stop): (Arc<App>, CancellationToken),
    caller: Caller,
    request: StudyFetch,
) -> Result<Steps, Error> {
    // Whoever may not is told at once and not by the first message.
    authorise(&caller, Action::RetrieveImages)?;
    let (told, steps) = mpsc::channel(UNREAD_MAX);
    // One future beside the channel it fills: dropping the stream ends the fetch.
    let work = stream::once(async move {
        tokio::select! {
            fetched = app.fetch_study(&caller, &request, told) => match fetched {
                Ok(progress) => Ok(pb::FetchStudyResponse { done: true, ..progress.into() }),
                Err(error) => Err(error.into()),
            },
            () = stop.cancelled() => {
                Err(Error::Unavailable { what: "node", cause: None }.into())
            }
        }
    });
    let steps = ReceiverStream::new(steps).map(|progress| Ok(progress.into()));
    // The end is the last message: steps that nobody has read yet are left out.
    let all = stream::select(steps, work).scan(false, |ended, step| {
        if *ended {
            return ready(None);
        }
        *ended = step.as_ref().map_or(true, |step: &pb::FetchStudyResponse| step.done);
        ready(Some(step))
    });
    Ok(Box::pin(all))
}

impl From<Progress> for pb::FetchStudyResponse {
    fn from(p: Progress) -> Self {
        let refusals = p.refused.into_iter();
        Self {
            node: p.node,
            object_count: p.objects,
            size_bytes: p.bytes,
            here_count: p.here,
            kept_count: p.kept,
            received_bytes: p.came,
            missing_count: p.missing,
            refusals: refusals.map(|(reason, count)| pb::FetchRefusal { reason, count }).collect(),
            broken_count: p.broken,
            done: false,
        }
    }
}
