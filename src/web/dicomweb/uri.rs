//! WADO-URI (PS3.18, 9): one instance or frame by parameters, as older viewers and report systems
//! ask for it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::accept::{Accept, Offer};
use super::ask::{Ask, Target};
use super::problem::Problem;
use super::rendered::{JPEG, PNG, draw, explicit, format, quality};
use super::retrieve::{DICOM, single};
use super::{Shared, conditional, deliver};
use crate::app::imaging::ports::IndexedInstance;
use crate::app::imaging::render::{Region, RenderRequest, Viewport, Window, WindowFunction};
use crate::sharing::imaging::identity::is_uid;

/// Rows or columns asked for at most.
const EDGE_MAX: u32 = 16_384;

pub(super) async fn wado(
    State(door): State<Arc<Shared>>,
    mut ask: Ask,
) -> Result<Response, Problem> {
    if ask.parameter("requestType")? != Some("WADO") {
        return Err(Problem::field("requestType", "must be WADO"));
    }
    for name in ["annotation", "presentationUID", "presentationSeriesUID", "anonymize"] {
        if ask.parameter(name)?.is_some_and(|value| !value.eq_ignore_ascii_case("no")) {
            return Err(Problem::field(name, "must not be given: it is not done here"));
        }
    }
    let uid = |name| match ask.parameter(name)? {
        Some(value) if is_uid(value) => Ok(Some(value.to_owned())),
        _ => Err(Problem::field(name, "must be a UID of 1 to 64 digits and dots")),
    };
    let target = Target {
        study: uid("studyUID")?,
        series: uid("seriesUID")?,
        instance: uid("objectUID")?,
        ..Target::default()
    };
    ask.target = target;
    let instances = door.instances(&ask.requester, &ask.target).await?;
    let instance = instances.first().ok_or_else(|| Problem::not_found("instance"))?;
    let media = media(&ask, instance)?;
    if media == DICOM {
        return whole_object(&door, &ask, instance).await;
    }
    let request = request(&ask, media)?;
    draw(&door, &ask, instance, request).await
}

/// The media type: `contentType`, else what the header takes; images are drawn unless asked
/// otherwise.
fn media(ask: &Ask, instance: &IndexedInstance) -> Result<&'static str, Problem> {
    let mut offers = vec![Offer::single(JPEG), Offer::single(PNG)];
    let dicom = Offer::single(DICOM).in_syntax(&instance.transfer_syntax);
    let first = if instance.frames == 0 { 0 } else { offers.len() };
    offers.insert(first, dicom);
    let accept = match ask.parameter("contentType")? {
        Some(types) => {
            let said = [("accept".to_owned(), types.to_owned())];
            Accept::of(&ask.headers, &said)?
        }
        None => ask.accept()?,
    };
    Ok(accept.choose(&offers)?.media)
}

async fn whole_object(
    door: &Arc<Shared>,
    ask: &Ask,
    instance: &IndexedInstance,
) -> Result<Response, Problem> {
    let one = std::slice::from_ref(instance);
    let forms: Vec<Offer> = door.forms(one, true).into_iter().filter(|o| !o.multipart).collect();
    let asked = ask.parameter("transferSyntax")?.unwrap_or("*");
    let fits = |form: &&Offer| asked == "*" || form.syntax.as_deref() == Some(asked);
    let Some(form) = forms.iter().find(fits) else {
        return Err(Problem::not_acceptable(&forms.iter().map(Offer::name).collect::<Vec<_>>()));
    };
    for field in ["frameNumber", "rows", "columns", "region", "windowCenter", "windowWidth"] {
        if ask.parameter(field)?.is_some() {
            return Err(Problem::field(field, "must not be given with application/dicom"));
        }
    }
    let etag = deliver::etag(one, &form.name());
    if conditional::not_modified(&ask.headers, &etag) {
        return door.unchanged(ask, one, &etag).await;
    }
    single(door, ask, instance, form.target(), &etag).await
}

fn request(ask: &Ask, media: &str) -> Result<RenderRequest, Problem> {
    let whole = |name, max: u32| match ask.parameter(name)? {
        None => Ok(None),
        Some(text) => text
            .trim()
            .parse::<u32>()
            .ok()
            .filter(|number| (1..=max).contains(number))
            .map(Some)
            .ok_or_else(|| Problem::field(name, format!("must be from 1 to {max}"))),
    };
    let number = |name| match ask.parameter(name)? {
        None => Ok(None),
        Some(text) => text
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| Problem::field(name, "must be a number")),
    };
    let window = match (number("windowCenter")?, number("windowWidth")?) {
        (None, None) => Window::Stored,
        (Some(center), Some(width)) => explicit(center, width, WindowFunction::Linear)
            .ok_or_else(|| Problem::field("windowWidth", "must be above 0"))?,
        (None, Some(_)) => {
            return Err(Problem::field("windowCenter", "must be given with windowWidth"));
        }
        (Some(_), None) => {
            return Err(Problem::field("windowWidth", "must be given with windowCenter"));
        }
    };
    let viewport = match (whole("columns", EDGE_MAX)?, whole("rows", EDGE_MAX)?) {
        (None, None) => None,
        (width, height) => {
            Some(Viewport { width: width.unwrap_or(EDGE_MAX), height: height.unwrap_or(EDGE_MAX) })
        }
    };
    Ok(RenderRequest {
        frame: whole("frameNumber", u32::MAX)?.unwrap_or(1),
        window,
        region: ask.parameter("region")?.map(region).transpose()?,
        viewport,
        overlays: false,
        format: format(media, quality("imageQuality", ask.parameter("imageQuality")?)?),
    })
}

/// `left,top,right,bottom` in parts of width and height from 0 to 1 (PS3.18, 9.1.2.2.6).
fn region(text: &str) -> Result<Region, Problem> {
    let numbers: Vec<f64> = text.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    match numbers.as_slice() {
        [left, top, right, bottom]
            if text.split(',').count() == 4
                && 0.0 <= *left
                && left < right
                && *right <= 1.0
                && 0.0 <= *top
                && top < bottom
                && *bottom <= 1.0 =>
        {
            Ok(Region { left: *left, top: *top, width: right - left, height: bottom - top })
        }
        _ => Err(Problem::field("region", "must be left,top,right,bottom in order, from 0 to 1")),
    }
}
