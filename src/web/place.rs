//! Places for requests of an HTTP door: so many at the same time. A place is held until the answer has
//! gone out whole, so that slow readers count.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::error::Error;

/// Waits for a place; [`Error::Overloaded`] after `wait`.
pub(super) async fn place(
    places: &Arc<Semaphore>,
    wait: Duration,
    door: &'static str,
) -> Result<OwnedSemaphorePermit, Error> {
    let asked = Arc::clone(places).acquire_owned();
    match tokio::time::timeout(wait, asked).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(Error::Overloaded { what: door, retry_after: wait }),
    }
}

/// The answer, holding its place.
pub(super) fn held(response: Response, place: OwnedSemaphorePermit) -> Response {
    response.map(|body| Body::new(Held { body, _place: place }))
}

/// A body that holds its request's place.
struct Held {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
