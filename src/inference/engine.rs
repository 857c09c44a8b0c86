//! What the rest of the node needs of an ONNX engine, and nothing an engine could need of it.
//!
//! Deliberately absent: any dtype but `f32`, and any shape but two: rows of numbers with rows of
//! probabilities as the answer ([`Engine`]), and one image with a row of each output
//! ([`ImageEngine`]). A model that is only timed may have others ([`AnyEngine`]).

use ndarray::{Array2, ArrayView2};

use super::any::AnyEngine;
use super::error::InferenceError;

/// A loaded model that can be run. Not `Sync`: it belongs to one thread.
pub trait Engine: Send {
    /// Engine name as in the configuration: `onnxruntime` or `rten`.
    fn name(&self) -> &'static str;

    /// Engine version.
    fn version(&self) -> String;

    /// The graph's inputs, in its order.
    fn inputs(&self) -> &[Port];

    /// The graph's outputs, in its order.
    fn outputs(&self) -> &[Port];

    /// Runs a batch: each input is `rows × width`, the answer is `rows × width` of `output`.
    ///
    /// # Errors
    ///
    /// [`InferenceError::Input`] or [`InferenceError::Output`] for an unknown name or a wrong
    /// shape, [`InferenceError::Engine`] when the engine objects.
    fn run(
        &mut self,
        inputs: &[(&str, ArrayView2<'_, f32>)],
        output: &str,
    ) -> Result<Array2<f32>, InferenceError>;
}

/// A loaded model that takes an image. Not `Sync`: it belongs to one thread.
pub trait ImageEngine: Send {
    /// The graph's inputs, in its order.
    fn inputs(&self) -> &[Port];

    /// The graph's outputs, in its order.
    fn outputs(&self) -> &[Port];

    /// Runs one image: name, shape (NCHW with N = 1) and numbers of the input; for each of
    /// `outputs` its one row.
    ///
    /// # Errors
    ///
    /// [`InferenceError::Input`] or [`InferenceError::Output`] for an unknown name or a wrong
    /// shape, [`InferenceError::Engine`] when the engine objects.
    fn run_image(
        &mut self,
        input: (&str, [usize; 4], &[f32]),
        outputs: &[&str],
    ) -> Result<Vec<Vec<f32>>, InferenceError>;
}

/// Makes engines from model bytes. Shared by all models of a node.
pub trait EngineSource: Send + Sync + std::fmt::Debug {
    /// Engine name as in the configuration.
    fn name(&self) -> &'static str;

    /// Engine version.
    fn version(&self) -> String;

    /// Reads an ONNX model. Blocks, and may take seconds for a large one.
    fn open(&self, model: &[u8]) -> Result<Box<dyn Engine>, InferenceError>;

    /// Reads an ONNX model that takes an image. Blocks likewise.
    fn open_image(&self, model: &[u8]) -> Result<Box<dyn ImageEngine>, InferenceError>;

    /// Reads an ONNX model of any shape, to be timed. Blocks likewise.
    fn open_any(&self, model: &[u8]) -> Result<Box<dyn AnyEngine>, InferenceError>;
}

/// An input or output as the graph declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name in the graph.
    pub name: String,
    /// `f32`, or the engine's word for anything else.
    pub dtype: String,
    /// Sizes; `None` for a dimension that is only known at run time. Empty also when the graph
    /// does not say.
    pub shape: Vec<Option<usize>>,
}

/// Whether the answer to one image is one row.
pub(super) fn one_row(output: &str, shape: &[usize]) -> Result<(), InferenceError> {
    if matches!(shape, [1, _]) {
        return Ok(());
    }
    let message = format!("`{output}` of shape {shape:?}, which is not one row");
    Err(InferenceError::Output { message })
}

/// The [`Port::dtype`] of 32-bit floats.
pub const F32: &str = "f32";
