//! Images for people (PS3.18, 10.4.1.1.3, 10.4.1.1.4 and 8.3.5): a frame drawn as JPEG or PNG, and
//! thumbnails.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use axum::response::{IntoResponse, Response};
use dicom_dictionary_std::tags;

use super::accept::Offer;
use super::ask::Ask;
use super::problem::Problem;
use super::retrieve::set;
use super::{Shared, conditional, deliver, frames};
use crate::app::error::Error;
use crate::app::imaging::ports::IndexedInstance;
use crate::app::imaging::render::{
    ImageFormat, Region, RenderRequest, RenderedImage, Viewport, Window, WindowFunction,
};

/// Pixels of a viewport each way at most.
const VIEWPORT_MAX: u32 = 16_384;
/// Edge of a thumbnail in pixels, unless asked otherwise.
const THUMBNAIL_EDGE: u32 = 128;
/// Edge of a thumbnail at most.
const THUMBNAIL_EDGE_MAX: u32 = 1_024;
/// Quality of a JPEG unless asked otherwise.
const QUALITY: u8 = 90;
pub(super) const JPEG: &str = "image/jpeg";
pub(super) const PNG: &str = "image/png";

/// An instance, or one of its frames, drawn.
pub(super) async fn rendered(
    State(door): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Problem> {
    let offers = [Offer::single(JPEG), Offer::single(PNG)];
    let media = ask.accept()?.choose(&offers)?.media;
    let asked = Asked::read(&ask)?;
    let frame = frame(&ask)?;
    let instances = door.instances(&ask.requester, &ask.target).await?;
    let instance = instances.first().ok_or_else(|| Problem::not_found("instance"))?;
    let region = match asked.part() {
        Some(source) => Some(region(&door, &ask, instance, source).await?),
        None => None,
    };
    let request = asked.request(format(media, asked.quality), region);
    draw(&door, &ask, instance, RenderRequest { frame, ..request }).await
}

/// How an image is to be drawn, as the parameters say it (PS3.18, 8.3.5).
pub(super) struct Asked {
    window: Window,
    box_: Option<Box_>,
    /// Quality of a JPEG.
    pub(super) quality: u8,
}

impl Asked {
    pub(super) fn read(ask: &Ask) -> Result<Self, Problem> {
        for name in ["annotation", "iccprofile", "icc-profile"] {
            if ask.parameter(name)?.is_some() {
                return Err(Problem::field(name, "must not be given: it is not drawn here"));
            }
        }
        let window = match ask.parameter("window")? {
            Some(text) => window(text)?,
            None => Window::Stored,
        };
        let quality = quality("quality", ask.parameter("quality")?)?;
        let box_ = ask.parameter("viewport")?.map(Box_::parse).transpose()?;
        Ok(Self { window, box_, quality })
    }

    /// The part that is shown, in pixels: left, top, width, height.
    pub(super) fn part(&self) -> Option<[f64; 4]> {
        self.box_.as_ref().and_then(|b| b.source)
    }

    /// For the first frame.
    pub(super) fn request(&self, format: ImageFormat, region: Option<Region>) -> RenderRequest {
        RenderRequest {
            frame: 1,
            window: self.window,
            region,
            viewport: self.box_.map(|b| b.viewport),
            overlays: false,
            format,
        }
    }
}

pub(super) fn format(media: &str, quality: u8) -> ImageFormat {
    if media == PNG { ImageFormat::Png } else { ImageFormat::Jpeg { quality } }
}

/// The frame of the path; the first if it names none.
fn frame(ask: &Ask) -> Result<u32, Problem> {
    let Some(list) = ask.target.frames.as_deref() else { return Ok(1) };
    match frames::numbers(list)?.as_slice() {
        [one] => Ok(*one),
        _ => Err(Problem::field("frames", "must be one frame: an image shows one")),
    }
}

/// Draws and answers.
pub(super) async fn draw(
    door: &Arc<Shared>,
    ask: &Ask,
    instance: &IndexedInstance,
    request: RenderRequest,
) -> Result<Response, Problem> {
    let one = std::slice::from_ref(instance);
    let etag = deliver::etag(one, &format!("rendered {request:?}"));
    if conditional::not_modified(&ask.headers, &etag) {
        return door.unchanged(ask, one, &etag).await;
    }
    if instance.frames == 0 {
        return Err(unfit("object has no pixels"));
    }
    let (source, memory) = door.source(&ask.requester, instance).await?;
    door.audit_view(&ask.requester, one).await?;
    let image = door.renderer.render(source, request).await.map_err(undrawn)?;
    drop(memory);
    Ok(image_answer(image, &etag))
}

/// A small image of the middle of a study, series or instance, or of a frame.
pub(super) async fn thumbnail(
    State(door): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Problem> {
    ask.accept()?.choose(&[Offer::single(JPEG)])?;
    let edge = match ask.parameter("viewport")? {
        Some(text) => {
            let viewport = Box_::parse(text)?.viewport;
            viewport.width.min(viewport.height).min(THUMBNAIL_EDGE_MAX)
        }
        None => THUMBNAIL_EDGE,
    };
    let frame = ask.target.frames.as_ref().map(|_| frame(&ask)).transpose()?;
    let instances = door.instances(&ask.requester, &ask.target).await?;
    let drawable: Vec<&IndexedInstance> = instances.iter().filter(|i| i.frames > 0).collect();
    let instance =
        drawable.get(drawable.len() / 2).copied().ok_or_else(|| unfit("nothing has pixels"))?;
    if let Some(frame) = frame {
        let viewport = Some(Viewport { width: edge, height: edge });
        let request = RenderRequest { frame, viewport, ..RenderRequest::default() };
        return draw(&door, &ask, instance, request).await;
    }
    let one = std::slice::from_ref(instance);
    let etag = deliver::etag(one, &format!("thumbnail {edge}"));
    if conditional::not_modified(&ask.headers, &etag) {
        return door.unchanged(&ask, one, &etag).await;
    }
    let (source, memory) = door.source(&ask.requester, instance).await?;
    door.audit_view(&ask.requester, one).await?;
    let image = door.renderer.thumbnail(source, edge).await.map_err(undrawn)?;
    drop(memory);
    Ok(image_answer(image, &etag))
}

fn image_answer(image: RenderedImage, etag: &str) -> Response {
    let mut response = Body::from(image.bytes).into_response();
    set(&mut response, CONTENT_TYPE, image.media_type);
    set(&mut response, ETAG, etag);
    set(&mut response, VARY, "accept");
    set(&mut response, CACHE_CONTROL, "private, no-cache");
    response
}

/// 406 for what has no picture.
pub(super) fn unfit(why: &str) -> Problem {
    Problem::new(StatusCode::NOT_ACCEPTABLE, "NOT_RENDERABLE", why)
}

/// What cannot be drawn has other forms.
pub(super) fn undrawn(error: Error) -> Problem {
    match error {
        Error::Refused { reason } => unfit(&reason),
        Error::NotFound { kind: "pixel data" } => unfit("object has no pixels"),
        other @ (Error::Invalid(_)
        | Error::Unauthenticated
        | Error::Denied { .. }
        | Error::Withheld { .. }
        | Error::NotFound { .. }
        | Error::RequestIdReused
        | Error::TooLarge { .. }
        | Error::Overloaded { .. }
        | Error::Unavailable { .. }
        | Error::DeadlineExceeded
        | Error::Internal { .. }) => other.into(),
    }
}

/// A viewport with the part of the frame it shows, in pixels: left, top, width, height.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Box_ {
    viewport: Viewport,
    source: Option<[f64; 4]>,
}

impl Box_ {
    /// `width,height`, or with `,left,top,width,height` of the source (PS3.18, 8.3.5.1.3).
    fn parse(text: &str) -> Result<Self, Problem> {
        let allowed = || {
            let text = format!(
                "must be width,height or width,height,sx,sy,sw,sh; width and height from 1 to \
                 {VIEWPORT_MAX}"
            );
            Problem::field("viewport", text)
        };
        let pieces: Vec<&str> = text.split(',').map(str::trim).collect();
        let edge = |text: &str| {
            text.parse::<u32>().ok().filter(|n| (1..=VIEWPORT_MAX).contains(n)).ok_or_else(allowed)
        };
        let part = |text: &str| {
            let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
            number.ok_or_else(allowed)
        };
        match pieces.as_slice() {
            [width, height] => Ok(Self {
                viewport: Viewport { width: edge(width)?, height: edge(height)? },
                source: None,
            }),
            [width, height, left, top, w, h] => Ok(Self {
                viewport: Viewport { width: edge(width)?, height: edge(height)? },
                source: Some([part(left)?, part(top)?, part(w)?, part(h)?]),
            }),
            _ => Err(allowed()),
        }
    }
}

/// Pixels as parts of the frame.
async fn region(
    door: &Shared,
    ask: &Ask,
    instance: &IndexedInstance,
    [left, top, width, height]: [f64; 4],
) -> Result<Region, Problem> {
    let walked = door.walk(&ask.requester, instance).await?;
    let of = |tag| walked.walk.number(tag).filter(|n| *n > 0).map(f64::from);
    let (Some(columns), Some(rows)) = (of(tags::COLUMNS), of(tags::ROWS)) else {
        return Err(unfit("object has no rows or columns"));
    };
    let fits = width >= 1.0 && height >= 1.0 && left + width <= columns && top + height <= rows;
    if !fits {
        return Err(Problem::field(
            "viewport",
            format!("must show a part of the {columns} by {rows} pixels"),
        ));
    }
    Ok(Region {
        left: left / columns,
        top: top / rows,
        width: width / columns,
        height: height / rows,
    })
}

/// `centre,width` with an optional function (PS3.18, 8.3.5.1.4).
fn window(text: &str) -> Result<Window, Problem> {
    let allowed = || {
        Problem::field(
            "window",
            "must be center,width[,function]; width above 0; function linear, linear-exact or \
             sigmoid",
        )
    };
    let mut pieces = text.split(',').map(str::trim);
    let mut number = || pieces.next()?.parse::<f64>().ok().filter(|n| n.is_finite());
    let (center, width) = (number().ok_or_else(allowed)?, number().ok_or_else(allowed)?);
    let function = match pieces.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("linear") => WindowFunction::Linear,
        Some("linear-exact") => WindowFunction::LinearExact,
        Some("sigmoid") => WindowFunction::Sigmoid,
        Some(_) => return Err(allowed()),
    };
    if pieces.next().is_some() {
        return Err(allowed());
    }
    explicit(center, width, function).ok_or_else(allowed)
}

pub(super) fn explicit(center: f64, width: f64, function: WindowFunction) -> Option<Window> {
    (width > 0.0).then_some(Window::Explicit { center, width, function })
}

pub(super) fn quality(name: &str, text: Option<&str>) -> Result<u8, Problem> {
    let Some(text) = text else { return Ok(QUALITY) };
    text.trim()
        .parse::<u8>()
        .ok()
        .filter(|quality| (1..=100).contains(quality))
        .ok_or_else(|| Problem::field(name, "must be from 1 to 100"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewports_and_windows_are_read_or_refused() {
        let small = Viewport { width: 10, height: 20 };
        assert_eq!(Box_::parse("10,20").unwrap(), Box_ { viewport: small, source: None });
        let part = Box_::parse("10, 20,1,2,3,4").unwrap();
        assert_eq!(part.source, Some([1.0, 2.0, 3.0, 4.0]));
        for bad in [
            "",
            "10",
            "0,5",
            "5,0",
            "-1,5",
            "10,20,1",
            "16385,1",
            "a,b",
            "1,1,-1,0,1,1",
            "1,1,NaN,0,1,1",
        ] {
            assert!(Box_::parse(bad).is_err(), "{bad}");
        }
        let function = WindowFunction::Sigmoid;
        assert_eq!(
            window("40,400,SIGMOID").unwrap(),
            Window::Explicit { center: 40.0, width: 400.0, function }
        );
        for bad in ["", "40", "40,0", "40,-1", "40,400,cubic", "40,400,linear,1", "x,1", "inf,1"] {
            assert!(window(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn qualities_are_from_1_to_100() {
        assert_eq!(quality("quality", None).unwrap(), QUALITY);
        assert_eq!(quality("quality", Some("100")).unwrap(), 100);
        for bad in ["0", "101", "", "x", "-1", "50.5"] {
            assert!(quality("quality", Some(bad)).is_err(), "{bad}");
        }
    }
}
