//! What analysing needs from the outside: models that run, tensors for them, a place in the feed.

use std::fmt::Debug;
use std::sync::Arc;

use super::card::{ModelCard, RefusedModel, TensorSpec};
use crate::app::error::Error;
use crate::app::imaging::forwarding::Cursor;
use crate::app::imaging::render::PixelSource;
use crate::app::ports::BoxFuture;

/// The imaging models that are installed.
pub trait ImagingModels: Debug + Send + Sync {
    /// Those that serve.
    fn cards(&self) -> &[Arc<ModelCard>];

    /// Those that do not, and why.
    fn refused(&self) -> &[RefusedModel];

    /// Probabilities, one for each label of each output, in the order of the card. `tensor` is
    /// `[1, channels, rows, columns]` as the card says.
    fn run<'a>(
        &'a self,
        model: &'a str,
        tensor: Vec<f32>,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, Error>>;
}

/// Makes the input of models.
pub trait Tensors: Debug + Send + Sync {
    /// A frame (from 1) as `spec` says. [`Error::Refused`] for an image that it does not take or
    /// that cannot be decoded.
    fn tensor(
        &self,
        source: PixelSource,
        frame: u32,
        spec: TensorSpec,
    ) -> BoxFuture<'_, Result<Vec<f32>, Error>>;
}

/// Keeps how far the change feed has been looked at for models that run by themselves. On the disk
/// when it returns.
pub trait AnalysisStore: Debug + Send + Sync {
    /// The place; none at the beginning.
    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, Error>>;

    /// Moves it.
    fn advance(&self, cursor: Cursor) -> BoxFuture<'_, Result<(), Error>>;
}
