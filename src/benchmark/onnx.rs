//! What a model file says of itself without an engine: how precise its weights are. Nothing else of ONNX
//! is read here.

use prost::Message;

/// Fewest elements of a tensor that counts: scales and limits are stored as tensors of one.
const ELEMENTS_MIN: u64 = 2;

/// A part of `ModelProto` of ONNX.
#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
}

/// A part of `GraphProto`.
#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "5")]
    initializers: Vec<Weights>,
}

/// A part of `TensorProto`.
#[derive(Clone, PartialEq, Message)]
struct Weights {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    kind: i32,
}

/// How most of a model's weights are stored: `f32`, `f16`, `int8` …; `unknown` where it has none, or is no
/// ONNX file.
pub fn precision(model: &[u8]) -> &'static str {
    let Ok(model) = Model::decode(model) else { return "unknown" };
    let mut totals: Vec<(&'static str, u64)> = Vec::new();
    for weights in model.graph.unwrap_or_default().initializers {
        let size = |n: &i64| u64::try_from(*n).unwrap_or(0);
        let elements = weights.dims.iter().map(size).fold(1, u64::saturating_mul);
        let Some(name) = name_of(weights.kind).filter(|_| elements >= ELEMENTS_MIN) else {
            continue;
        };
        match totals.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => *total = total.saturating_add(elements),
            None => totals.push((name, elements)),
        }
    }
    totals.iter().max_by_key(|(_, total)| *total).map_or("unknown", |(name, _)| name)
}

/// The names of `TensorProto.DataType` that weights have; whole numbers of 64 bits are places and shapes.
fn name_of(kind: i32) -> Option<&'static str> {
    match kind {
        1 => Some("f32"),
        2 | 3 => Some("int8"),
        4 | 5 => Some("int16"),
        10 => Some("f16"),
        11 => Some("f64"),
        16 => Some("bf16"),
        17..=20 => Some("f8"),
        21 | 22 => Some("int4"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(weights: &[(i32, &[i64])]) -> Vec<u8> {
        let weights =
            weights.iter().map(|(kind, dims)| Weights { dims: dims.to_vec(), kind: *kind });
        Model { graph: Some(Graph { initializers: weights.collect() }) }.encode_to_vec()
    }

    #[test]
    fn the_precision_is_that_of_most_weights() {
        assert_eq!(precision(&model(&[(1, &[16, 8]), (3, &[512, 8]), (7, &[100_000])])), "int8");
        assert_eq!(precision(&model(&[(10, &[64, 64]), (1, &[64])])), "f16");
        assert_eq!(precision(&model(&[(1, &[1])])), "unknown");
        assert_eq!(precision("这不是模型".as_bytes()), "unknown");
    }

    #[test]
    fn the_shipped_models_are_told() {
        let files = crate::embedded::files();
        for path in ["diagnosis/gp-differential.onnx", "prescription/indication-fit.onnx"] {
            assert_eq!(precision(files.bytes(path).unwrap()), "f32", "{path}");
        }
    }
}
