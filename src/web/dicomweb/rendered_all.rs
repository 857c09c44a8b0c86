//! Rendered studies and series (PS3.18, 10.4.1.1.3): every frame of every image, drawn as JPEG or
//! PNG, as parts of `multipart/related`. Each is drawn when its turn comes, a little ahead of the
//! caller; one that cannot be drawn is left out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::accept::Offer;
use super::ask::Ask;
use super::frames::WHOLE_BYTES_MAX;
use super::metadata::answered;
use super::problem::Problem;
use super::rendered::{Asked, JPEG, PNG, format, undrawn, unfit};
use super::retrieve::Parts;
use super::{Shared, conditional, deliver};
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::ports::IndexedInstance;
use crate::app::imaging::render::{RenderRequest, RenderedImage};

/// Images of one answer at most.
const IMAGES_MAX: usize = 5_000;
/// Images drawn at the same time for one answer.
const AHEAD: usize = 2;

/// A study or series, drawn.
pub(super) async fn rendered(
    State(door): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Problem> {
    let offers = [Offer::parts(JPEG), Offer::parts(PNG)];
    let media = ask.accept()?.choose(&offers)?.media;
    let asked = Asked::read(&ask)?;
    if asked.part().is_some() {
        let allowed = "must be width,height: a part is shown of one image";
        return Err(Problem::field("viewport", allowed));
    }
    let instances = door.instances(&ask.requester, &ask.target).await?;
    let images: Vec<(IndexedInstance, u32)> = instances
        .iter()
        .flat_map(|instance| (1..=instance.frames).map(|frame| (instance.clone(), frame)))
        .take(IMAGES_MAX + 1)
        .collect();
    if images.is_empty() {
        return Err(unfit("nothing has pixels"));
    }
    if images.len() > IMAGES_MAX {
        return Err(Problem::too_large(format!("over {IMAGES_MAX} images")));
    }
    let request = asked.request(format(media, asked.quality), None);
    let etag = deliver::etag(&instances, &format!("rendered {} {request:?}", ask.base));
    if conditional::not_modified(&ask.headers, &etag) {
        return door.unchanged(&ask, &instances, &etag).await;
    }
    door.audit_view(&ask.requester, &instances).await?;
    let parts = Arc::new(Parts::new(media, &etag));
    let (content, tail) = (parts.content_type(), parts.tail());
    let (requester, base) = (ask.requester.clone(), ask.base.clone());
    let mut drawn = Box::pin(
        stream::iter(images)
            .map(move |(instance, frame)| {
                let (door, requester) = (Arc::clone(&door), requester.clone());
                let (parts, base) = (Arc::clone(&parts), base.clone());
                let request = RenderRequest { frame, ..request.clone() };
                async move {
                    let image = door.image(&requester, &instance, request).await?;
                    Ok(part(&parts, &base, (&instance, frame), &image))
                }
            })
            .buffered(AHEAD)
            .filter_map(|part| std::future::ready(shown(part))),
    );
    // The first says a reason with a status; should the queue be full later, the answer breaks off.
    let first = match drawn.next().await {
        Some(first) => first.map_err(undrawn)?,
        None => return Err(unfit("no image can be drawn")),
    };
    let (begin, end) = (stream::iter([Ok(first)]), stream::iter([Ok(tail)]));
    Ok(answered(Body::from_stream(begin.chain(drawn).chain(end)), &content, &etag))
}

impl Shared {
    /// A frame, drawn.
    async fn image(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        request: RenderRequest,
    ) -> Result<RenderedImage, Error> {
        if instance.location.length > WHOLE_BYTES_MAX {
            let reason = format!("object is longer than {WHOLE_BYTES_MAX} bytes");
            return Err(Error::Refused { reason });
        }
        let source = self.source(requester, instance).await;
        let lost = |_| Error::Unavailable { what: "archive", cause: None };
        let (source, memory) = source.map_err(lost)?;
        let image = self.renderer.render(source, request).await?;
        drop(memory);
        Ok(image)
    }
}

/// What goes out: nothing of an image that cannot be drawn.
fn shown(part: Result<Bytes, Error>) -> Option<Result<Bytes, Error>> {
    match part {
        Ok(part) => Some(Ok(part)),
        Err(error) if error.retryable() => {
            tracing::warn!(error = crate::app::chain(&error), "images broken off");
            Some(Err(error))
        }
        Err(error) => {
            tracing::debug!(error = crate::app::chain(&error), "an image is left out");
            None
        }
    }
}

fn part(
    parts: &Parts,
    base: &str,
    (instance, frame): (&IndexedInstance, u32),
    image: &RenderedImage,
) -> Bytes {
    let uids = &instance.uids;
    let location = format!(
        "{base}/studies/{}/series/{}/instances/{}/frames/{frame}/rendered",
        uids.study, uids.series, uids.instance
    );
    let head = parts.head(image.media_type, &location);
    Bytes::from([head.as_ref(), image.bytes.as_ref()].concat())
}
