//! Drawn frames and contact sheets.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::images::{Images, PIXEL_BYTES_ALL_MAX, PIXEL_UNIT, joined};
use super::ports::{IndexedInstance, Selection};
use super::render::{
    ContactSheet, ImageFormat, PixelSource, Region, RenderRequest, RenderedImage, SheetChoice,
    SheetRequest, Slices, Viewport, Window,
};
use super::search::validate_uid;
use super::{INSTANCES_PAGE_MAX, Imaging, Requester};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::request::Problems;
use crate::sharing::imaging::object::Location;

/// Edge of a drawn frame in pixels at most.
const EDGE_MAX: u32 = 8_192;
/// Edge of the box when the caller does not say.
const EDGE_DEFAULT: u32 = 1_024;
/// Bytes of a sheet: least, most.
const SHEET_BYTES: (usize, usize) = (10_000, 2_000_000);
/// Tiles of a sheet at most.
const TILES_MAX: usize = 1_024;
/// Edges of a tile in pixels: least, most.
const TILE_EDGES: (u32, u32) = (24, 512);
/// Slices of a series at most: frames are counted too.
const SLICES_MAX: usize = 100_000;
/// Bytes read at once.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// A sheet with the slice that each of its tiles shows.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSheet {
    /// The sheet.
    pub sheet: ContactSheet,
    /// SOP instance UID and frame (from 1) of each tile, and whether it is missing.
    pub tiles: Vec<(String, u32, bool)>,
}

/// The slices of a series, fetched one by one.
#[derive(Debug)]
pub(super) struct SeriesSlices {
    imaging: Arc<Imaging>,
    requester: Requester,
    slices: Vec<(usize, u32)>,
    instances: Vec<IndexedInstance>,
    /// The object read last: the frames of one object come one after the other.
    last: Mutex<Option<(Location, Bytes)>>,
}

impl App {
    /// Draws a frame.
    pub async fn render_frame(
        &self,
        caller: &Caller,
        instance: &str,
        request: RenderRequest,
    ) -> Result<RenderedImage, Error> {
        authorise(caller, Action::RetrieveImages)?;
        let images = self.images()?;
        let mut problems = Problems::default();
        validate_uid(&mut problems, "sop_instance_uid", instance);
        validate_frame(&mut problems, &request);
        problems.finish()?;
        let requester = Requester::of(caller.clone());
        let object = images.find_object(&requester, instance, None).await?;
        images.audit(&requester, &object).await?;
        let length = object.location.length;
        if length > PIXEL_BYTES_ALL_MAX {
            let reason = format!("objects of more than {PIXEL_BYTES_ALL_MAX} bytes are not drawn");
            return Err(Error::Refused { reason });
        }
        let units = u32::try_from(length.div_ceil(PIXEL_UNIT)).unwrap_or(u32::MAX);
        let room = images.pixels.acquire_many(units).await;
        let _room = room.map_err(|_| Error::Unavailable { what: "imaging", cause: None })?;
        let data_set = whole(&images.imaging, &requester, object.location).await?;
        let source = PixelSource { transfer_syntax: object.transfer_syntax, data_set };
        images.renderer.render(source, request).await
    }

    /// Draws the slices of a series on one sheet.
    pub async fn render_contact_sheet(
        &self,
        caller: &Caller,
        (study, series): (&str, &str),
        request: SheetRequest,
    ) -> Result<SeriesSheet, Error> {
        authorise(caller, Action::RetrieveImages)?;
        let images = self.images()?;
        let mut problems = Problems::default();
        validate_uid(&mut problems, "study_uid", study);
        validate_uid(&mut problems, "series_uid", series);
        validate_sheet(&mut problems, &request);
        problems.finish()?;
        let requester = Requester::of(caller.clone());
        let patient = images.study(&requester, study).await?.header.patient.id;
        let slices = images.slices(requester.clone(), study, series).await?;
        images.imaging.audit_retrieval(&requester, study, &patient).await?;
        let sheet = images.renderer.contact_sheet(&slices, request).await?;
        Ok(SeriesSheet { tiles: placed(&slices, &sheet), sheet })
    }
}

/// The slice that each tile of a sheet shows, and whether it is missing.
pub(super) fn placed(slices: &SeriesSlices, sheet: &ContactSheet) -> Vec<(String, u32, bool)> {
    let tile = |index: &usize| {
        let (instance, frame) = slices.place(*index)?;
        Some((instance.uids.instance.clone(), frame, sheet.missing.contains(index)))
    };
    sheet.slices.iter().filter_map(tile).collect()
}

impl Images {
    async fn slices(
        &self,
        requester: Requester,
        study: &str,
        series: &str,
    ) -> Result<SeriesSlices, Error> {
        let selection = Selection {
            studies: vec![study.to_owned()],
            series: vec![series.to_owned()],
            ..Selection::default()
        };
        let instances =
            self.imaging.instances(&requester, selection, 0, INSTANCES_PAGE_MAX).await?;
        if instances.is_empty() {
            return Err(Error::NotFound { kind: "series" });
        }
        self.slices_of(requester, instances)
    }

    /// The slices of these instances of one series.
    pub(super) fn slices_of(
        &self,
        requester: Requester,
        instances: Vec<IndexedInstance>,
    ) -> Result<SeriesSlices, Error> {
        let slices: Vec<(usize, u32)> = instances
            .iter()
            .enumerate()
            .flat_map(|(at, instance)| (1..=instance.frames).map(move |frame| (at, frame)))
            .take(SLICES_MAX)
            .collect();
        if slices.is_empty() {
            return Err(Error::Refused { reason: "the series has no images".to_owned() });
        }
        let imaging = Arc::clone(&self.imaging);
        Ok(SeriesSlices { imaging, requester, slices, instances, last: Mutex::new(None) })
    }
}

impl SeriesSlices {
    fn place(&self, index: usize) -> Option<(&IndexedInstance, u32)> {
        let (at, frame) = self.slices.get(index)?;
        Some((self.instances.get(*at)?, *frame))
    }
}

impl Slices for SeriesSlices {
    fn count(&self) -> usize {
        self.slices.len()
    }

    fn slice(&self, index: usize) -> BoxFuture<'_, Result<(PixelSource, u32), Error>> {
        Box::pin(async move {
            let place = self.place(index);
            let (instance, frame) = place.ok_or(Error::NotFound { kind: "slice" })?;
            let location = instance.location;
            if location.length > PIXEL_BYTES_ALL_MAX {
                let reason = "the object is too large to be drawn".to_owned();
                return Err(Error::Refused { reason });
            }
            let transfer_syntax = instance.transfer_syntax.clone();
            if instance.frames <= 1 {
                let data_set = whole(&self.imaging, &self.requester, location).await?;
                return Ok((PixelSource { transfer_syntax, data_set }, frame));
            }
            let mut last = self.last.lock().await;
            let there = last.as_ref().filter(|(place, _)| *place == location);
            let data_set = match there {
                Some((_, bytes)) => bytes.clone(),
                None => whole(&self.imaging, &self.requester, location).await?,
            };
            *last = Some((location, data_set.clone()));
            Ok((PixelSource { transfer_syntax, data_set }, frame))
        })
    }
}

/// All bytes of an object, read piece by piece.
pub(super) async fn whole(
    imaging: &Imaging,
    requester: &Requester,
    location: Location,
) -> Result<Bytes, Error> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < location.length {
        let to = (at + READ_BYTES).min(location.length);
        let bytes = imaging.bytes(requester, location, at..to).await?;
        if bytes.is_empty() {
            return Err(Error::internal("archive", "an object is shorter than it was"));
        }
        at += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        parts.push(bytes);
    }
    Ok(joined(parts))
}

/// The box of a frame; 0 for the default.
pub fn viewport(width_max: u32, height_max: u32) -> Viewport {
    let edge = |edge: u32| if edge == 0 { EDGE_DEFAULT } else { edge };
    Viewport { width: edge(width_max), height: edge(height_max) }
}

fn validate_frame(problems: &mut Problems, request: &RenderRequest) {
    if let Some(Viewport { width, height }) = request.viewport {
        problems.unless(width <= EDGE_MAX, "width_max", "must be from 0 to 8192");
        problems.unless(height <= EDGE_MAX, "height_max", "must be from 0 to 8192");
    }
    if let ImageFormat::Jpeg { quality } = request.format {
        problems.unless((1..=100).contains(&quality), "quality", "must be from 0 to 100");
    }
    if let Some(Region { left, top, width, height }) = request.region {
        let inside = |from: f64, length: f64| {
            (0.0..1.0).contains(&from) && length > 0.0 && from + length <= 1.0 + 1e-9
        };
        let fine = inside(left, width) && inside(top, height);
        problems.unless(fine, "region", "must lie within 0 to 1 and have a size");
    }
    validate_window(problems, &request.window);
}

fn validate_sheet(problems: &mut Problems, request: &SheetRequest) {
    let (least, most) = SHEET_BYTES;
    let fine = (least..=most).contains(&request.bytes_max);
    problems.unless(fine, "bytes_max", "must be from 10000 to 2000000, or 0");
    let (least, most) = TILE_EDGES;
    let fine = (least..=most).contains(&request.tile_max);
    problems.unless(fine, "tile_pixels_max", "must be from 24 to 512, or 0");
    if let SheetChoice::Even(tiles) = request.choice {
        problems.unless(tiles <= TILES_MAX, "tile_count_max", "must be from 0 to 1024");
    }
    validate_window(problems, &request.window);
}

fn validate_window(problems: &mut Problems, window: &Window) {
    if let Window::Explicit { center, width, .. } = window {
        problems.unless(center.is_finite(), "window.explicit.center", "must be a number");
        let fine = width.is_finite() && *width > 0.0;
        problems.unless(fine, "window.explicit.width", "must be above 0");
    }
}
