//! `WatchChanges`: the change feed as it grows.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{Stream, try_unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::app::App;
use crate::app::access::Caller;
use crate::app::credentials::{Asked, Authenticator};
use crate::app::error::Error;
use crate::app::imaging::feed::{ChangePage, Feed};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;

/// Streams at the same time.
const WATCHERS_MAX: usize = 64;
/// Of them, streams of one caller.
const WATCHERS_EACH_MAX: usize = 8;
/// The caller's credentials are looked at again at least so often, and before anything is told.
const KNOW_EVERY: Duration = Duration::from_secs(30);
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
pub(super) struct Watchers {
    places: Arc<Semaphore>,
    /// How many each caller has, by name.
    each: Arc<Mutex<HashMap<String, usize>>>,
}

impl Default for Watchers {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(WATCHERS_MAX)), each: Arc::default() }
    }
}

/// A place among all, and among those of a caller.
#[derive(Debug)]
struct Place {
    each: Arc<Mutex<HashMap<String, usize>>>,
    caller: String,
    _of_all: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = each.get_mut(&self.caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                each.remove(&self.caller);
            }
        }
    }
}

/// By what the caller is known, to be looked at again.
pub(super) struct Credentials {
    pub(super) auth: Authenticator,
    /// The header of that name.
    pub(super) authorization: Option<Vec<u8>>,
}

struct Watch {
    app: Arc<App>,
    credentials: Credentials,
    feed: Feed,
    stop: CancellationToken,
    idle_max: Option<Duration>,
    /// When the last message was sent; none before the first.
    said: Option<Instant>,
    /// When the credentials were last looked at.
    known: Instant,
    /// When something last happened.
    happened: Instant,
    _place: Place,
}

impl Watchers {
    /// Denied, bad and too many requests are told before the stream begins.
    pub(super) async fn watch(
        &self,
        (app, stop): (Arc<App>, CancellationToken),
        (caller, credentials): (Caller, Credentials),
        request: pb::WatchChangesRequest,
    ) -> Result<Changes, Error> {
        let idle_max = match request.idle_max.map(Duration::try_from) {
            None => None,
            Some(Ok(idle)) if idle <= IDLE_MAX => Some(idle),
            Some(_) => return Err(Error::field("idle_max", "must be from 0 to 86400 seconds")),
        };
        let feed = app.follow_changes(&caller, request.after_number).await?;
        let place = self.place(caller.name)?;
        let now = Instant::now();
        let (said, known, happened) = (None, now, now);
        let watch =
            Watch { app, credentials, feed, stop, idle_max, said, known, happened, _place: place };
        Ok(Box::pin(try_unfold(watch, |mut watch| async move {
            Ok(watch.next().await?.map(|answer| (answer, watch)))
        })))
    }

    fn place(&self, caller: String) -> Result<Place, Error> {
        let retry_after = Duration::from_secs(5);
        let full = || Error::Overloaded { what: "change feed", retry_after };
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if each.get(&caller).is_some_and(|count| *count >= WATCHERS_EACH_MAX) {
            return Err(full());
        }
        let of_all = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?;
        *each.entry(caller.clone()).or_insert(0) += 1;
        Ok(Place { each: Arc::clone(&self.each), caller, _of_all: of_all })
    }
}

impl Watch {
    async fn next(&mut self) -> Result<Option<pb::WatchChangesResponse>, Status> {
        loop {
            if self.known.elapsed() >= KNOW_EVERY {
                self.know().await?;
            }
            if self.app.has_changes(&self.feed).await? {
                self.happened = Instant::now();
                // Nobody is told anything whose credentials no longer hold.
                self.know().await?;
                let ChangePage { changes, last, more } =
                    self.app.next_changes(&mut self.feed).await?;
                self.said = Some(Instant::now());
                let changes = changes.into_iter().map(Into::into).collect();
                let answer =
                    pb::WatchChangesResponse { changes, last_number: last, caught_up: !more };
                return Ok(Some(answer));
            }
            if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                self.said = Some(Instant::now());
                let (changes, last_number) = (Vec::new(), self.feed.last());
                let answer = pb::WatchChangesResponse { changes, last_number, caught_up: true };
                return Ok(Some(answer));
            }
            if self.idle_max.is_some_and(|idle| self.happened.elapsed() >= idle) {
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

    /// Looks again who the caller is, and what they may.
    async fn know(&mut self) -> Result<(), Error> {
        let Credentials { auth, authorization } = &self.credentials;
        // Which host was asked for was looked at when the call came.
        let asked = Asked::new(authorization.as_deref(), None, None);
        let caller = auth.caller(asked).await?;
        self.feed.follow_as(&caller)?;
        self.known = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_so_many_places_and_gives_them_back() {
        let watchers = Watchers::default();
        let places: Vec<Place> =
            (0..WATCHERS_EACH_MAX).map(|_| watchers.place("one".to_owned()).unwrap()).collect();
        assert!(matches!(watchers.place("one".to_owned()), Err(Error::Overloaded { .. })));
        assert!(watchers.place("other".to_owned()).is_ok(), "others are not kept out");
        drop(places);
        assert!(watchers.place("one".to_owned()).is_ok());
        assert!(watchers.each.lock().unwrap().is_empty());
        let all: Vec<Place> =
            (0..WATCHERS_MAX).map(|n| watchers.place(n.to_string()).unwrap()).collect();
        assert!(matches!(watchers.place("last".to_owned()), Err(Error::Overloaded { .. })));
        drop(all);
    }
}
