//! Holds a model file to its manifest: digest, graph, known answers.

use sha2::{Digest as _, Sha256};

use super::manifest::{Activation, KnownAnswer, Manifest};
use crate::app::imaging::models::OutputCard;
use crate::inference::check::hex;
use crate::inference::engine::{EngineSource, F32, ImageEngine, Port};
use crate::inference::error::InferenceError;
use crate::tables::files::Files;

/// How far the numbers of an output without activation may lie outside of 0 to 1, and a softmax be
/// off in its sum: what rounding does.
const ROUNDING: f32 = 1e-4;

/// Opens the model of `folder` and holds it to every promise. The error names the field.
pub(super) fn open(
    files: &Files,
    folder: &str,
    manifest: &Manifest,
    source: &dyn EngineSource,
) -> Result<Box<dyn ImageEngine>, String> {
    let bytes = read(files, folder, "file", &manifest.file)?;
    if hex(&Sha256::digest(bytes)) != manifest.sha256 {
        return Err("sha256 is not that of the file".to_owned());
    }
    let mut engine = source.open_image(bytes).map_err(|e| format!("file: {}", e.chain()))?;
    graph(engine.as_ref(), manifest)?;
    for (at, known) in manifest.known_answers.iter().enumerate() {
        answer(files, folder, manifest, (engine.as_mut(), known))
            .map_err(|why| format!("known_answer[{at}].{why}"))?;
    }
    Ok(engine)
}

fn read<'f>(files: &'f Files, folder: &str, field: &str, path: &str) -> Result<&'f [u8], String> {
    let path = format!("{folder}/{path}");
    files.bytes(&path).map_err(|_| format!("{field}: there is no such file in the folder"))
}

fn graph(engine: &dyn ImageEngine, manifest: &Manifest) -> Result<(), String> {
    let inputs = engine.inputs();
    let [input] = inputs else {
        return Err(format!("input: the file has {} inputs, 1 is taken", inputs.len()));
    };
    if input.name != manifest.input {
        return Err(format!("input.name: the file's input is `{}`", input.name));
    }
    let spec = &manifest.tensor;
    for (at, field, size) in [
        (0, "layout", 1),
        (1, "channels", spec.channels),
        (2, "rows", spec.rows),
        (3, "columns", spec.columns),
    ] {
        fits(input, 4, at, size).map_err(|why| format!("input.{field}: {why}"))?;
    }
    for (at, (_, output)) in manifest.outputs.iter().enumerate() {
        let port = engine.outputs().iter().find(|port| port.name == output.name);
        let port = port.ok_or_else(|| format!("output[{at}].name: the file has no such output"))?;
        for (dimension, size) in [(0, 1), (1, output.labels.len())] {
            fits(port, 2, dimension, size).map_err(|why| format!("output[{at}].label: {why}"))?;
        }
    }
    Ok(())
}

/// Whether the graph's port can have `size` in a dimension; one that it leaves open can.
fn fits(port: &Port, rank: usize, dimension: usize, size: usize) -> Result<(), String> {
    if port.dtype != F32 {
        return Err(format!("`{}` of the file is {}, not {F32}", port.name, port.dtype));
    }
    if port.shape.len() != rank {
        let found = port.shape.len();
        return Err(format!("`{}` of the file has {found} dimensions, not {rank}", port.name));
    }
    match port.shape.get(dimension) {
        Some(Some(found)) if *found != size => {
            Err(format!("`{}` of the file has {found} there, the manifest {size}", port.name))
        }
        Some(_) | None => Ok(()),
    }
}

fn answer(
    files: &Files,
    folder: &str,
    manifest: &Manifest,
    (engine, known): (&mut dyn ImageEngine, &KnownAnswer),
) -> Result<(), String> {
    let bytes = read(files, folder, "input", &known.input)?;
    if hex(&Sha256::digest(bytes)) != known.sha256 {
        return Err("sha256 is not that of the input".to_owned());
    }
    let spec = &manifest.tensor;
    let numbers = spec.channels * spec.rows * spec.columns;
    let (words, rest) = bytes.as_chunks::<4>();
    if words.len() != numbers || !rest.is_empty() {
        return Err(format!("input must have {numbers} numbers of 4 bytes"));
    }
    let tensor: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    let answers = run(engine, manifest, &tensor).map_err(|e| format!("input: {}", e.chain()))?;
    let expected = known.expect.iter().flatten();
    let given = answers.iter().flatten();
    let labels = manifest.outputs.iter().flat_map(|(_, output)| &output.labels);
    for ((expected, given), label) in expected.zip(given).zip(labels) {
        if (expected - given).abs() > known.tolerance {
            return Err(format!("expect: label `{}` is {given}, not {expected}", label.id));
        }
    }
    Ok(())
}

/// Runs a model: probabilities for each label of each output.
pub(super) fn run(
    engine: &mut dyn ImageEngine,
    manifest: &Manifest,
    tensor: &[f32],
) -> Result<Vec<Vec<f32>>, InferenceError> {
    let spec = &manifest.tensor;
    let shape = [1, spec.channels, spec.rows, spec.columns];
    let names: Vec<&str> = manifest.outputs.iter().map(|(_, o)| o.name.as_str()).collect();
    let answers = engine.run_image((&manifest.input, shape, tensor), &names)?;
    if answers.len() != names.len() {
        return Err(InferenceError::Output { message: format!("{} outputs", answers.len()) });
    }
    let outputs = answers.into_iter().zip(&manifest.outputs);
    outputs
        .map(|(answer, (activation, output))| probabilities(answer, *activation, output))
        .collect()
}

fn probabilities(
    mut numbers: Vec<f32>,
    activation: Activation,
    output: &OutputCard,
) -> Result<Vec<f32>, InferenceError> {
    let refused =
        |what: &str| InferenceError::Output { message: format!("`{}` {what}", output.name) };
    if numbers.len() != output.labels.len() {
        return Err(refused("that has another number of labels"));
    }
    if numbers.iter().any(|n| !n.is_finite()) {
        return Err(refused("that holds what is no number"));
    }
    match activation {
        Activation::None => {
            if !numbers.iter().all(|n| (-ROUNDING..=1.0 + ROUNDING).contains(n)) {
                return Err(refused("that is no probability"));
            }
            for n in &mut numbers {
                *n = n.clamp(0.0, 1.0);
            }
        }
        Activation::Sigmoid => {
            for n in &mut numbers {
                *n = 1.0 / (1.0 + (-*n).exp());
            }
        }
        Activation::Softmax => {
            let most = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for n in &mut numbers {
                *n = (*n - most).exp();
            }
            let sum: f32 = numbers.iter().sum();
            for n in &mut numbers {
                *n /= sum;
            }
        }
    }
    Ok(numbers)
}
