//! `WatchChanges`: the change feed as it grows.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, try_unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::app::App;
use crate::app::access::Caller;
use crate::app::error::Error;
use crate::app::imaging::feed::{CHANGES_MAX, ChangePage};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;

/// Streams at the same time.
const WATCHERS_MAX: usize = 64;
/// How often the index is asked whether something happened; one look costs microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A message comes at least so often.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// How long a caller may ask to wait.
const IDLE_MAX: Duration = Duration::from_hours(24);

/// The stream.
pub(super) type Changes =
    Pin<Box<dyn Stream<Item = Result<pb::WatchChangesResponse, Status>> + Send>>;

/// Counts those who watch.
#[derive(Debug)]
pub(super) struct Watchers(Arc<Semaphore>);

impl Default for Watchers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WATCHERS_MAX)))
    }
}

struct Watch {
    app: Arc<App>,
    caller: Caller,
    stop: CancellationToken,
    idle_max: Option<Duration>,
    last: u64,
    /// When the last message was sent; none before the first.
    said: Option<Instant>,
    /// When something last happened.
    happened: Instant,
    _place: OwnedSemaphorePermit,
}

impl Watchers {
    /// Denied, bad and too many requests are told before the stream begins.
    pub(super) async fn watch(
        &self,
        (app, caller, stop): (Arc<App>, Caller, CancellationToken),
        request: pb::WatchChangesRequest,
    ) -> Result<Changes, Error> {
        let idle_max = match request.idle_max.map(Duration::try_from) {
            None => None,
            Some(Ok(idle)) if idle <= IDLE_MAX => Some(idle),
            Some(_) => return Err(Error::field("idle_max", "must be from 0 to 86400 seconds")),
        };
        // One look at the feed asks for leave.
        app.imaging_changes(&caller, request.after_number, 1).await?;
        let place = Arc::clone(&self.0).try_acquire_owned();
        let retry_after = Duration::from_secs(5);
        let place = place.map_err(|_| Error::Overloaded { what: "change feed", retry_after })?;
        let (last, happened) = (request.after_number, Instant::now());
        let watch =
            Watch { app, caller, stop, idle_max, last, said: None, happened, _place: place };
        Ok(Box::pin(try_unfold(watch, |mut watch| async move {
            Ok(watch.next().await?.map(|answer| (answer, watch)))
        })))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<Option<pb::WatchChangesResponse>, Status> {
        loop {
            let page = self.app.imaging_changes(&self.caller, self.last, CHANGES_MAX).await?;
            let now = Instant::now();
            if !page.changes.is_empty() {
                self.happened = now;
            }
            if self.said.is_none_or(|said| now - said >= SAY_EVERY) || !page.changes.is_empty() {
                self.said = Some(now);
                let ChangePage { changes, last, more } = page;
                self.last = last;
                let changes = changes.into_iter().map(Into::into).collect();
                let answer =
                    pb::WatchChangesResponse { changes, last_number: last, caught_up: !more };
                return Ok(Some(answer));
            }
            if self.idle_max.is_some_and(|idle| now - self.happened >= idle) {
                return Ok(None);
            }
            tokio::select! {
                () = self.stop.cancelled() => {
                    return Err(Error::Unavailable { what: "node", cause: None }.into());
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}
