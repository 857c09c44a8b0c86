//! Models of any shape, run on made-up numbers to be timed: what somebody wants to know of a model before
//! it is any of ours.
//!
//! Deliberately absent: the answers. They are worked out and dropped.

use super::engine::{F32, Port};
use super::error::InferenceError;

/// Elements of a made-up tensor at most.
const ELEMENTS_MAX: usize = 1 << 28;
/// Numbers after which those of a tensor repeat.
const PERIOD: usize = 251;

/// A loaded model of any shape. Not `Sync`: it belongs to one thread.
pub trait AnyEngine: Send {
    /// The graph's inputs, in its order.
    fn inputs(&self) -> &[Port];

    /// Runs the model to the end of all its outputs, and drops them.
    ///
    /// # Errors
    ///
    /// [`InferenceError::Input`] for an unknown name or numbers that do not fit,
    /// [`InferenceError::Engine`] when the engine objects.
    fn run_any(&mut self, inputs: &[Tensor]) -> Result<(), InferenceError>;
}

/// An input.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name in the graph.
    pub name: String,
    /// Sizes.
    pub shape: Vec<usize>,
    /// As many as the sizes say.
    pub numbers: Numbers,
}

/// Numbers of an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit whole numbers.
    I64(Vec<i64>),
    /// 32-bit whole numbers.
    I32(Vec<i32>),
    /// Bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// Whether the model takes so many rows at once: the first size of each input is free, or is that.
pub fn takes(inputs: &[Port], batch: usize) -> bool {
    inputs.iter().all(|port| match port.shape.first() {
        Some(Some(rows)) => *rows == batch,
        Some(None) => true,
        None => batch == 1,
    })
}

/// Numbers for every input: a first size that is free becomes `batch`, others that are free become 1. Floats
/// are from 0 to below 1, whole numbers 0, so that they are places in any table, truth values true.
///
/// # Errors
///
/// [`InferenceError::Input`] for an input of a type that cannot be made up here, or too large a one.
pub fn made_up(inputs: &[Port], batch: usize) -> Result<Vec<Tensor>, InferenceError> {
    inputs.iter().map(|port| tensor(port, batch)).collect()
}

fn tensor(port: &Port, batch: usize) -> Result<Tensor, InferenceError> {
    let free = |place: usize| if place == 0 { batch } else { 1 };
    let sizes = port.shape.iter().enumerate();
    let shape: Vec<usize> = sizes.map(|(place, size)| size.unwrap_or(free(place))).collect();
    let elements = shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
    let Some(elements) = elements.filter(|elements| *elements <= ELEMENTS_MAX) else {
        return Err(InferenceError::input(&port.name, format!("shape {shape:?} is too large")));
    };
    let numbers = match port.dtype.as_str() {
        F32 => Numbers::F32((0..elements).map(fraction).collect()),
        "i64" => Numbers::I64(vec![0; elements]),
        "i32" => Numbers::I32(vec![0; elements]),
        "u8" => Numbers::U8(vec![0; elements]),
        "i8" => Numbers::I8(vec![0; elements]),
        "bool" => Numbers::Bool(vec![true; elements]),
        other => {
            let message = format!(
                "numbers of type {other} cannot be made up; f32, i64, i32, u8, i8 and bool can"
            );
            return Err(InferenceError::input(&port.name, message));
        }
    };
    Ok(Tensor { name: port.name.clone(), shape, numbers })
}

fn fraction(place: usize) -> f32 {
    f32::from(u8::try_from(place * 37 % PERIOD).unwrap_or(0)) / 251.0
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, engines};
    use super::*;

    fn port(name: &str, dtype: &str, shape: &[Option<usize>]) -> Port {
        Port { name: name.to_owned(), dtype: dtype.to_owned(), shape: shape.to_vec() }
    }

    #[test]
    fn free_sizes_become_the_batch_or_one() {
        let made = made_up(&[port("x", "f32", &[None, Some(3), None])], 4).unwrap();
        assert_eq!(made[0].shape, [4, 3, 1]);
        let Numbers::F32(numbers) = &made[0].numbers else { panic!("{made:?}") };
        assert!(numbers.len() == 12 && numbers.iter().all(|n| (0.0..1.0).contains(n)));
        assert!(takes(&[port("x", "f32", &[None])], 7));
        assert!(takes(&[port("x", "f32", &[Some(2)])], 2));
        assert!(!takes(&[port("x", "f32", &[Some(1)]), port("y", "f32", &[None])], 2));
        assert!(!takes(&[port("x", "f32", &[])], 2));
    }

    #[test]
    fn what_cannot_be_made_up_is_named() {
        let error = made_up(&[port("words", "String", &[None])], 1).unwrap_err().to_string();
        assert!(error.contains("`words`") && error.contains("String"), "{error}");
        let large = made_up(&[port("x", "u8", &[Some(1 << 40), Some(1 << 40)])], 1).unwrap_err();
        assert!(large.to_string().contains("too large"), "{large}");
    }

    #[test]
    fn models_of_other_shapes_and_numbers_run_on_every_engine() {
        for source in engines() {
            for (model, batches) in [
                (testing::MODEL, &[1, 8][..]),
                (testing::FIXED_BATCH, &[1]),
                (testing::WHOLE_NUMBERS, &[1, 3]),
            ] {
                let mut engine = source.open_any(model).unwrap();
                for batch in batches {
                    assert!(takes(engine.inputs(), *batch));
                    let inputs = made_up(engine.inputs(), *batch).unwrap();
                    engine.run_any(&inputs).unwrap();
                }
            }
            let mut engine = source.open_any(testing::MODEL).unwrap();
            let mut inputs = made_up(engine.inputs(), 1).unwrap();
            inputs[0].name = "no such".to_owned();
            let error = engine.run_any(&inputs).unwrap_err();
            assert!(matches!(error, InferenceError::Input { .. }), "{error}");
            assert!(source.open_any(b"no model").is_err());
        }
    }
}
