//! Images as the application has them: what is kept, and who draws it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::Imaging;
use super::models::Analyses;
use super::render::Renderer;
use crate::app::App;
use crate::app::error::Error;

/// Bytes of all objects that are in memory at the same time to be drawn.
pub(super) const PIXEL_BYTES_ALL_MAX: u64 = 512 * 1024 * 1024;
/// They are counted in pieces of so many bytes.
pub(super) const PIXEL_UNIT: u64 = 64 * 1024;

/// What a node without images answers.
pub const SWITCHED_OFF: &str = "this node keeps no images: imaging.enabled is false";

/// What is kept, and who draws it.
#[derive(Debug)]
pub struct Images {
    pub(super) imaging: Arc<Imaging>,
    pub(super) renderer: Arc<dyn Renderer>,
    pub(super) pixels: Semaphore,
    pub(super) analyses: Option<Arc<Analyses>>,
}

impl Images {
    /// Puts the parts together.
    pub fn new(imaging: Arc<Imaging>, renderer: Arc<dyn Renderer>) -> Self {
        let units = usize::try_from(PIXEL_BYTES_ALL_MAX / PIXEL_UNIT).unwrap_or(1);
        Self { imaging, renderer, pixels: Semaphore::new(units), analyses: None }
    }

    /// With the imaging models that are installed.
    #[must_use]
    pub fn with_analyses(self, analyses: Option<Arc<Analyses>>) -> Self {
        Self { analyses, ..self }
    }
}

impl Images {
    /// The use cases of what is kept.
    pub(in crate::app) fn imaging(&self) -> &Imaging {
        &self.imaging
    }
}

impl App {
    /// The images, or [`Error::Refused`] where the node keeps none.
    pub(in crate::app) fn images(&self) -> Result<&Images, Error> {
        self.images.as_ref().ok_or_else(|| Error::Refused { reason: SWITCHED_OFF.to_owned() })
    }
}

/// Collects parts that were read one by one.
pub(super) fn joined(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        1 => parts.pop().unwrap_or_default(),
        _ => Bytes::from(parts.concat()),
    }
}
