//! `rten`, the engine built into the binary: pure Rust, for boards without ONNX Runtime.
//!
//! Its protobuf reader (0.27) never comes back from a number of more than ten bytes, so the outer
//! layer of a file is checked first; what lies deeper is vouched for by the manifest's digest.
//! Deliberately absent: weights in files beside the model. `rten` refuses them when a model is
//! read from memory, which is how every model is read here.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use rten::{
    DataType, Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView,
    ValueType, ValueView,
};

use super::any::{AnyEngine, Numbers, Tensor};
use super::engine::{Engine, EngineSource, F32, ImageEngine, Port, one_row};
use super::error::InferenceError;

/// The engine's name in configuration and reports.
pub const NAME: &str = "rten";

/// The version of the `rten` crate, which does not tell it itself.
pub const VERSION: &str = "0.27";

/// Reads models with `rten`.
#[derive(Debug, Clone, Copy)]
pub struct Rten {
    /// Threads one run may use.
    pub threads: usize,
}

struct RtenEngine {
    model: Model,
    pool: Arc<ThreadPool>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

#[derive(Debug, thiserror::Error)]
#[error("the file is not a protobuf message")]
struct NotProtobuf;

impl EngineSource for Rten {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn open(&self, model: &[u8]) -> Result<Box<dyn Engine>, InferenceError> {
        Ok(Box::new(self.engine(model)?))
    }

    fn open_image(&self, model: &[u8]) -> Result<Box<dyn ImageEngine>, InferenceError> {
        Ok(Box::new(self.engine(model)?))
    }

    fn open_any(&self, model: &[u8]) -> Result<Box<dyn AnyEngine>, InferenceError> {
        Ok(Box::new(self.engine(model)?))
    }
}

impl Rten {
    fn engine(self, model: &[u8]) -> Result<RtenEngine, InferenceError> {
        if !is_protobuf(model) {
            return Err(InferenceError::engine(NAME, "read the model", NotProtobuf));
        }
        let model = ModelOptions::with_all_ops()
            .prepack_weights(true)
            .load(model.to_vec())
            .map_err(|error| InferenceError::engine(NAME, "read the model", error))?;
        let inputs = ports(&model, model.input_ids());
        let outputs = ports(&model, model.output_ids());
        let pool = Arc::new(ThreadPool::with_num_threads(self.threads));
        Ok(RtenEngine { model, pool, inputs, outputs })
    }
}

impl Engine for RtenEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run(
        &mut self,
        inputs: &[(&str, ArrayView2<'_, f32>)],
        output: &str,
    ) -> Result<Array2<f32>, InferenceError> {
        let mut values: Vec<(NodeId, ValueOrView<'_>)> = Vec::with_capacity(inputs.len());
        for (name, rows) in inputs {
            let node = node(&self.model, &self.inputs, name)
                .ok_or_else(|| InferenceError::input(name, "the graph has no such input"))?;
            let data = rows
                .to_slice()
                .ok_or_else(|| InferenceError::input(name, "rows are not contiguous"))?;
            let value = ValueView::from_shape([rows.nrows(), rows.ncols()], data)
                .map_err(|error| InferenceError::engine(NAME, "take the input", error))?;
            values.push((node, value.into()));
        }
        let node = node(&self.model, &self.outputs, output).ok_or_else(|| {
            InferenceError::Output { message: format!("no output named `{output}`") }
        })?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let [value] = self
            .model
            .run_n(values, [node], Some(options))
            .map_err(|error| InferenceError::engine(NAME, "run the model", error))?;
        let (shape, data) = value.into_shape_vec::<f32, 2>().map_err(|_| {
            InferenceError::Output { message: format!("`{output}` that is not a table of rows") }
        })?;
        Array2::from_shape_vec(shape, data)
            .map_err(|error| InferenceError::engine(NAME, "give the output", error))
    }
}

impl ImageEngine for RtenEngine {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn run_image(
        &mut self,
        (name, shape, numbers): (&str, [usize; 4], &[f32]),
        outputs: &[&str],
    ) -> Result<Vec<Vec<f32>>, InferenceError> {
        let input = node(&self.model, &self.inputs, name)
            .ok_or_else(|| InferenceError::input(name, "the graph has no such input"))?;
        let value = ValueView::from_shape(shape, numbers)
            .map_err(|error| InferenceError::engine(NAME, "take the input", error))?;
        let wanted = outputs.iter().map(|output| {
            node(&self.model, &self.outputs, output).ok_or_else(|| InferenceError::Output {
                message: format!("no output named `{output}`"),
            })
        });
        let wanted: Vec<NodeId> = wanted.collect::<Result<_, _>>()?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let values = self
            .model
            .run(vec![(input, value.into())], &wanted, Some(options))
            .map_err(|error| InferenceError::engine(NAME, "run the model", error))?;
        let rows = values.into_iter().zip(outputs).map(|(value, output)| {
            let (shape, data) = value.into_shape_vec::<f32, 2>().map_err(|_| {
                InferenceError::Output { message: format!("`{output}` that is not one row") }
            })?;
            one_row(output, &shape)?;
            Ok(data)
        });
        rows.collect()
    }
}

impl AnyEngine for RtenEngine {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn run_any(&mut self, inputs: &[Tensor]) -> Result<(), InferenceError> {
        let mut values: Vec<(NodeId, ValueOrView<'_>)> = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            let node = node(&self.model, &self.inputs, &tensor.name).ok_or_else(|| {
                InferenceError::input(&tensor.name, "the graph has no such input")
            })?;
            values.push((node, view(tensor)?.into()));
        }
        let outputs: Vec<NodeId> = self.model.output_ids().to_vec();
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        self.model
            .run(values, &outputs, Some(options))
            .map_err(|error| InferenceError::engine(NAME, "run the model", error))?;
        Ok(())
    }
}

fn view(tensor: &Tensor) -> Result<ValueView<'_>, InferenceError> {
    let shape = tensor.shape.as_slice();
    let failed =
        |error: &dyn std::error::Error| InferenceError::input(&tensor.name, error.to_string());
    match &tensor.numbers {
        Numbers::F32(all) => ValueView::from_shape(shape, all).map_err(|e| failed(&e)),
        Numbers::I32(all) => ValueView::from_shape(shape, all).map_err(|e| failed(&e)),
        Numbers::U8(all) => ValueView::from_shape(shape, all).map_err(|e| failed(&e)),
        Numbers::I8(all) => ValueView::from_shape(shape, all).map_err(|e| failed(&e)),
        Numbers::I64(_) | Numbers::Bool(_) => {
            Err(InferenceError::input(&tensor.name, "rten takes whole numbers of 32 bits"))
        }
    }
}

/// The node of an input or output; other nodes of the graph are not to be had by name.
fn node(model: &Model, ports: &[Port], name: &str) -> Option<NodeId> {
    ports.iter().any(|port| port.name == name).then(|| model.find_node(name)).flatten()
}

/// Whether the bytes are, on the outside, one whole protobuf message that is not empty.
fn is_protobuf(mut bytes: &[u8]) -> bool {
    fn number(bytes: &mut &[u8]) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
    fn skip_field(bytes: &mut &[u8]) -> Option<()> {
        let tag = number(bytes)?;
        let length = match tag & 7 {
            0 => {
                number(bytes)?;
                0
            }
            1 => 8,
            2 => usize::try_from(number(bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        *bytes = bytes.get(length..)?;
        (tag >> 3 > 0).then_some(())
    }
    let mut fields = 0_u32;
    while !bytes.is_empty() {
        if skip_field(&mut bytes).is_none() {
            return false;
        }
        fields += 1;
    }
    fields > 0
}

fn ports(model: &Model, nodes: &[NodeId]) -> Vec<Port> {
    nodes
        .iter()
        .filter_map(|&node| model.node_info(node))
        .map(|info| Port {
            name: info.name().unwrap_or_default().to_owned(),
            dtype: match info.dtype() {
                Some(ValueType::Tensor(DataType::Float)) => F32.to_owned(),
                // Truth values and whole numbers of 64 bits are such numbers for it, too.
                Some(ValueType::Tensor(DataType::Int32)) => "i32".to_owned(),
                Some(ValueType::Tensor(DataType::Int8)) => "i8".to_owned(),
                Some(ValueType::Tensor(DataType::UInt8)) => "u8".to_owned(),
                Some(other) => format!("{other:?}"),
                None => "unknown".to_owned(),
            },
            shape: info.shape().unwrap_or_default().iter().map(size).collect(),
        })
        .collect()
}

fn size(dimension: &Dimension) -> Option<usize> {
    match dimension {
        Dimension::Fixed(size) => Some(*size),
        Dimension::Symbolic(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::MODEL;
    use super::*;

    #[test]
    fn only_a_whole_protobuf_message_is_given_to_the_reader() {
        assert!(is_protobuf(MODEL));
        assert!(!is_protobuf(&MODEL[..300]));
        assert!(!is_protobuf(b""));
        assert!(!is_protobuf(&[0xff; 64]));
        assert!(!is_protobuf("这不是模型，这是一封信。".as_bytes()));
        assert!(!is_protobuf(b"version https://git-lfs.github.com/spec/v1"));
    }
}
