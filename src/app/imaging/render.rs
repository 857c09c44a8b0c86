//! Images for people: what is asked of the part that decodes and draws, in plain types.
//!
//! Frames are counted from 1, as DICOM counts them (PS3.18, 10.4.1.1.5).

use std::fmt::Debug;

use bytes::Bytes;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;

/// An object whose pixels are wanted.
#[derive(Debug, Clone)]
pub struct PixelSource {
    /// Transfer syntax UID of `data_set`.
    pub transfer_syntax: String,
    /// The data set as received, without the file meta group.
    pub data_set: Bytes,
}

/// One frame as it lies, not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFrame {
    /// Native pixels little-endian, or the compressed stream in one piece.
    pub bytes: Bytes,
    /// Its media type (PS3.18, 8.7.3.5.2).
    pub media_type: &'static str,
}

/// Which grey values become black and white (PS3.3, C.11.2).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Window {
    /// The first that the object has, else all values from the lowest to the highest.
    #[default]
    Stored,
    /// The one with this index: windows first, then look-up tables, in the object's order.
    Index(usize),
    /// This one, in units after the modality transform.
    Explicit {
        /// Window centre.
        center: f64,
        /// Window width; positive.
        width: f64,
        /// Shape.
        function: WindowFunction,
    },
    /// All values from the lowest to the highest, without those that stand for no pixel.
    Full,
}

/// Shape of a window (PS3.3, C.11.2.1.2 and C.11.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WindowFunction {
    /// `LINEAR`, the standard's with half steps.
    #[default]
    Linear,
    /// `LINEAR_EXACT`.
    LinearExact,
    /// `SIGMOID`.
    Sigmoid,
}

/// A part of a frame, in parts of its width and height from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// The largest box the image may fill; its aspect is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewport {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// How an image is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// `image/png`.
    Png,
    /// `image/jpeg`, quality 1 to 100.
    Jpeg {
        /// Quality.
        quality: u8,
    },
}

/// How a frame is to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderRequest {
    /// Frame, from 1.
    pub frame: u32,
    /// Window.
    pub window: Window,
    /// Part of it; all if none.
    pub region: Option<Region>,
    /// Box to fit into; never enlarged beyond it. As large as it is if none.
    pub viewport: Option<Viewport>,
    /// Whether overlays (60xx) are drawn in.
    pub overlays: bool,
    /// Format.
    pub format: ImageFormat,
}

impl Default for RenderRequest {
    fn default() -> Self {
        Self {
            frame: 1,
            window: Window::Stored,
            region: None,
            viewport: None,
            overlays: false,
            format: ImageFormat::Jpeg { quality: 90 },
        }
    }
}

/// A drawn image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedImage {
    /// The file.
    pub bytes: Bytes,
    /// `image/png` or `image/jpeg`.
    pub media_type: &'static str,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Frames in order, fetched one by one: slices of a series, or frames of one object.
pub trait Slices: Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// The object that holds slice `index` (from 0), and the frame in it (from 1).
    fn slice(&self, index: usize) -> BoxFuture<'_, Result<(PixelSource, u32), Error>>;
}

/// Which slices a sheet shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SheetChoice {
    /// At most this many, evenly spaced, with the first and the last.
    Even(usize),
    /// These, in this order: key images.
    These(Vec<usize>),
}

/// A contact sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct SheetRequest {
    /// Slices.
    pub choice: SheetChoice,
    /// Bytes of the JPEG at most.
    pub bytes_max: usize,
    /// Edge of a tile at most, in pixels.
    pub tile_max: u32,
    /// Window of every slice.
    pub window: Window,
}

impl Default for SheetRequest {
    fn default() -> Self {
        Self {
            choice: SheetChoice::Even(300),
            bytes_max: 300_000,
            tile_max: 128,
            window: Window::Stored,
        }
    }
}

/// A drawn contact sheet: tiles row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactSheet {
    /// A JPEG.
    pub image: RenderedImage,
    /// Tiles across.
    pub across: u32,
    /// Width of a tile, in pixels.
    pub tile_width: u32,
    /// Height of a tile, in pixels.
    pub tile_height: u32,
    /// Quality it was written with.
    pub quality: u8,
    /// The slice each tile shows.
    pub slices: Vec<usize>,
    /// Slices that could not be drawn; their tiles are black.
    pub missing: Vec<usize>,
}

/// Decodes and draws.
pub trait Renderer: Debug + Send + Sync {
    /// The bytes of one frame (from 1), not decoded.
    fn stored_frame(
        &self,
        source: PixelSource,
        frame: u32,
    ) -> BoxFuture<'_, Result<StoredFrame, Error>>;

    /// A frame as PNG or JPEG.
    fn render(
        &self,
        source: PixelSource,
        request: RenderRequest,
    ) -> BoxFuture<'_, Result<RenderedImage, Error>>;

    /// A small JPEG of the middle frame, `edge` pixels at most each way.
    fn thumbnail(
        &self,
        source: PixelSource,
        edge: u32,
    ) -> BoxFuture<'_, Result<RenderedImage, Error>>;

    /// Many slices on one JPEG.
    fn contact_sheet<'a>(
        &'a self,
        slices: &'a dyn Slices,
        request: SheetRequest,
    ) -> BoxFuture<'a, Result<ContactSheet, Error>>;
}
