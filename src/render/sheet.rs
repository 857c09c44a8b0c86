//! Contact sheets: many slices on one JPEG that fits a thin link, without labels.

use futures_util::StreamExt;
use futures_util::stream;

use super::draw::drawn;
use super::encode::encoded;
use super::error::{RenderError, Result};
use super::num::{count, real, size, whole};
use super::scale::{Picture, within};
use super::workers::Workers;
use crate::app::error::Error;
use crate::app::imaging::progressive::evenly;
use crate::app::imaging::render::{
    ContactSheet, ImageFormat, PixelSource, RenderRequest, RenderedImage, SheetChoice,
    SheetRequest, Slices, Viewport, Window,
};

/// Tiles of a sheet at most.
const TILES_MAX: usize = 1024;
/// Edges of a tile, in pixels: at least, at most.
const TILE_EDGES: (u32, u32) = (24, 512);
/// Qualities that are tried, worst first. Tiles are made smaller before the first is undercut.
const QUALITIES: [u8; 4] = [40, 55, 70, 85];
/// What the next smaller edge is of an edge at most, in percent.
const SHRINK_PERCENT: u32 = 95;
/// Width of a sheet divided by its height, about.
const SHEET_ASPECT: f64 = 4.0 / 3.0;

/// Draws `slices` as `request` says. A slice that cannot be drawn leaves a black tile; only if none
/// can, that is an error.
pub(super) async fn contact_sheet(
    workers: &Workers,
    slices: &dyn Slices,
    request: SheetRequest,
) -> std::result::Result<ContactSheet, Error> {
    let chosen = chosen(slices.count(), &request)?;
    let (edge, window) = (request.tile_max.clamp(TILE_EDGES.0, TILE_EDGES.1), request.window);
    // As many are fetched ahead as are drawn at once.
    let tiles: Vec<_> = stream::iter(chosen.iter().copied())
        .map(|index| tile_of(workers, slices, index, edge, window))
        .buffered(workers.threads() + 1)
        .collect()
        .await;
    let mut missing = Vec::new();
    let mut first_error = None;
    let mut pictures = Vec::with_capacity(tiles.len());
    for (tile, index) in tiles.into_iter().zip(&chosen) {
        match tile {
            Ok(picture) => pictures.push(Some(picture)),
            Err(error) if error.retryable() => return Err(error),
            Err(error) => {
                missing.push(*index);
                first_error = first_error.or(Some(error));
                pictures.push(None);
            }
        }
    }
    if let (true, Some(error)) = (missing.len() == chosen.len(), first_error) {
        return Err(error);
    }
    let bytes_max = request.bytes_max;
    let sheet = workers.run(move || fit(&pictures, bytes_max, edge)).await?;
    let Sheet { image, layout, quality } = sheet;
    Ok(ContactSheet {
        image,
        across: count(layout.across),
        tile_width: count(layout.width),
        tile_height: count(layout.height),
        quality,
        slices: chosen,
        missing,
    })
}

fn chosen(count: usize, request: &SheetRequest) -> Result<Vec<usize>> {
    let chosen = match &request.choice {
        SheetChoice::Even(max) => evenly(count, (*max).min(TILES_MAX)),
        SheetChoice::These(these) if these.iter().all(|index| *index < count) => these.clone(),
        SheetChoice::These(_) => {
            return Err(RenderError::Request("needs slices that the series has"));
        }
    };
    if chosen.is_empty() || chosen.len() > TILES_MAX {
        return Err(RenderError::Request("needs from 1 to 1024 slices"));
    }
    Ok(chosen)
}

async fn tile_of(
    workers: &Workers,
    slices: &dyn Slices,
    index: usize,
    edge: u32,
    window: Window,
) -> std::result::Result<Picture, Error> {
    let (source, frame) = slices.slice(index).await?;
    Ok(workers.run(move || tile(&source, frame, edge, window)).await?)
}

fn tile(source: &PixelSource, frame: u32, edge: u32, window: Window) -> Result<Picture> {
    let viewport = Some(Viewport { width: edge, height: edge });
    let request = RenderRequest { frame, window, viewport, ..RenderRequest::default() };
    let (picture, aspect) = drawn(source, &request)?;
    picture.fitted(aspect, viewport)
}

/// Where tiles stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    across: usize,
    down: usize,
    width: usize,
    height: usize,
}

struct Sheet {
    image: RenderedImage,
    layout: Layout,
    quality: u8,
}

/// The largest tiles that fit, and then the best quality.
fn fit(tiles: &[Option<Picture>], bytes_max: usize, edge_max: u32) -> Result<Sheet> {
    let mut edge = edge_max;
    while edge >= TILE_EDGES.0 {
        let (picture, layout) = composed(tiles, edge)?;
        let written = |quality| encoded(&picture, ImageFormat::Jpeg { quality });
        let mut best = None;
        let mut bytes = 0;
        for quality in QUALITIES {
            let image = written(quality)?;
            bytes = image.bytes.len();
            if bytes > bytes_max {
                break;
            }
            best = Some(Sheet { image, layout, quality });
        }
        if let Some(sheet) = best {
            return Ok(sheet);
        }
        // Bytes grow with the area, a little less than that.
        let factor = (real(bytes_max) / real(bytes)).sqrt().min(f64::from(SHRINK_PERCENT) / 100.0);
        edge = u32::try_from(whole((f64::from(edge) * factor).floor())).unwrap_or(0);
    }
    Err(RenderError::DoesNotFit { bytes_max })
}

/// All tiles side by side, none larger than `edge`, each in the middle of its place.
fn composed(tiles: &[Option<Picture>], edge: u32) -> Result<(Picture, Layout)> {
    let sizes = || tiles.iter().flatten().map(|tile| within(tile.width, tile.height, edge));
    let width = sizes().map(|(width, _)| width).max().unwrap_or(size(edge));
    let height = sizes().map(|(_, height)| height).max().unwrap_or(size(edge));
    let ideal = (real(tiles.len()) * SHEET_ASPECT * real(height) / real(width)).sqrt();
    let across = usize::try_from(whole(ideal.ceil())).unwrap_or(1).clamp(1, tiles.len().max(1));
    let down = tiles.len().div_ceil(across);
    let channels = tiles.iter().flatten().map(|tile| tile.channels).max().unwrap_or(1);
    let mut sheet = Picture::black(across * width, down * height, channels);
    for (place, tile) in tiles.iter().enumerate() {
        let Some(tile) = tile else { continue };
        let (w, h) = within(tile.width, tile.height, edge);
        let small = tile.clone().scaled(w, h)?;
        let left = place % across * width + (width - w) / 2;
        let top = place / across * height + (height - h) / 2;
        put(&mut sheet, &small, left, top);
    }
    Ok((sheet, Layout { across, down, width, height }))
}

fn put(sheet: &mut Picture, tile: &Picture, left: usize, top: usize) {
    let (stride, channels) = (sheet.width * sheet.channels, sheet.channels);
    let lines = sheet.data.chunks_exact_mut(stride).skip(top);
    for (line, from) in lines.zip(tile.data.chunks_exact(tile.width * tile.channels)) {
        let to = line.get_mut(left * channels..).unwrap_or_default();
        if tile.channels == channels {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        } else {
            let pixels = to.chunks_exact_mut(channels);
            pixels.zip(from).for_each(|(pixel, grey)| pixel.fill(*grey));
        }
    }
}
