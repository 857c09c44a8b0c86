//! A model is opened only if it keeps every promise of its manifest entry.
//!
//! In order: the files are there, size and digest are right, the engine reads it, its graph has
//! the promised inputs and outputs, every answer is a set of probabilities, the self-tests come
//! out, and a row's answer does not depend on the other rows of its batch (other patients).
//! Deliberately absent: repair. A model that fails is refused, whichever check it was.

use ndarray::{Array2, ArrayView1, ArrayView2};
use sha2::{Digest as _, Sha256};

use super::engine::{Engine, EngineSource, F32, Port};
use super::error::InferenceError;
use super::manifest::{
    Column, DIAGNOSIS, FINDINGS, FitTest, KnownAnswer, MEDICINE, ModelSpec, PATIENT, SelfTest,
    TestSex,
};
use crate::tables::files::Files;

/// How far the probabilities of one row may be from summing to 1.
const SUM_TOLERANCE: f64 = 1e-3;

/// How far a row's probabilities may differ between a run alone and a run in a batch. Kernels
/// differ by the size of the batch in the last digits; patients do not.
const BATCH_TOLERANCE: f32 = 1e-4;

/// Opens the model of `spec` and checks it completely. Blocks.
///
/// # Errors
///
/// [`InferenceError::Refused`] with the model's id and file, what was expected and what was found.
pub(super) fn open(
    files: &Files,
    spec: &ModelSpec,
    source: &dyn EngineSource,
) -> Result<Box<dyn Engine>, InferenceError> {
    for path in std::iter::once(&spec.card).chain(&spec.tables) {
        files.bytes(path).map_err(|error| spec.refused(error.to_string()))?;
    }
    let bytes = intact(files, spec)?;
    let mut engine = source.open(bytes).map_err(|error| {
        spec.refused_by("expected an ONNX model that the engine can read", error)
    })?;
    ports(spec, "input", &spec.inputs, engine.inputs())?;
    ports(spec, "output", std::slice::from_ref(&spec.output), engine.outputs())?;
    self_tests(spec, engine.as_mut())?;
    Ok(engine)
}

/// Refuses a model of which any file is not what the manifest says, the files that are not taken here
/// included: a release is whole everywhere or nowhere.
///
/// # Errors
///
/// [`InferenceError::Refused`] with the model's id and file, what was expected and what was found.
pub(super) fn whole(files: &Files, spec: &ModelSpec) -> Result<(), InferenceError> {
    intact(files, spec)?;
    for variant in &spec.variants {
        let mut other = spec.clone();
        (other.file, other.bytes) = (variant.file.clone(), variant.bytes);
        other.sha256.clone_from(&variant.sha256);
        intact(files, &other)?;
    }
    Ok(())
}

/// The input rows of a self-test, in the order of the model's inputs.
pub(super) fn inputs_of(spec: &ModelSpec, test: &KnownAnswer) -> Vec<Vec<f32>> {
    match test {
        KnownAnswer::Differential(test) => inputs_of_differential(spec, test),
        KnownAnswer::IndicationFit(test) => inputs_of_fit(spec, test),
    }
}

fn inputs_of_fit(spec: &ModelSpec, test: &FitTest) -> Vec<Vec<f32>> {
    let hot = |on: bool| if on { 1.0 } else { 0.0 };
    spec.inputs
        .iter()
        .map(|input| match input.name.as_str() {
            DIAGNOSIS => spec.features.iter().map(|f| hot(test.diagnoses.contains(f))).collect(),
            MEDICINE => spec.labels.iter().map(|label| hot(*label == test.medicine)).collect(),
            _ => vec![0.0; input.width],
        })
        .collect()
}

fn inputs_of_differential(spec: &ModelSpec, test: &SelfTest) -> Vec<Vec<f32>> {
    let finding = |feature: &String| {
        if test.present.contains(feature) {
            1.0
        } else if test.absent.contains(feature) {
            -1.0
        } else {
            0.0
        }
    };
    let sex = match test.sex {
        TestSex::Male => 1.0,
        TestSex::Female => -1.0,
        TestSex::Unknown => 0.0,
    };
    spec.inputs
        .iter()
        .map(|input| match input.name.as_str() {
            FINDINGS => spec.features.iter().map(finding).collect(),
            PATIENT => vec![test.age_years.unwrap_or(-1.0), sex],
            _ => vec![0.0; input.width],
        })
        .collect()
}

/// Compares an answer with what a self-test expects.
pub(super) fn judge(spec: &ModelSpec, test: &KnownAnswer, answer: &[f32]) -> Result<(), String> {
    let test = match test {
        KnownAnswer::Differential(test) => test,
        KnownAnswer::IndicationFit(FitTest { medicine, expect, tolerance, .. }) => {
            let found = answer.first().map(|p| f64::from(*p)).ok_or("the answer is empty")?;
            if (found - expect).abs() <= *tolerance {
                return Ok(());
            }
            return Err(format!(
                "expected `{medicine}` with {expect:.6} (± {tolerance:e}), found {found:.6}"
            ));
        }
    };
    let (top, probability) = answer
        .iter()
        .zip(&spec.labels)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(p, label)| (label.as_str(), f64::from(*p)))
        .ok_or("the answer is empty")?;
    if top == test.expect_top && (probability - test.expect_probability).abs() <= test.tolerance {
        return Ok(());
    }
    Err(format!(
        "expected `{}` with {:.6} (± {:e}), found `{top}` with {probability:.6}",
        test.expect_top, test.expect_probability, test.tolerance
    ))
}

/// Refuses an answer that is not a set of probabilities: `width` finite numbers from 0 to 1 that
/// sum to 1. One number alone is a score, which need not be 1.
pub(super) fn probabilities(answer: &[f32], width: usize) -> Result<(), InferenceError> {
    let wrong = |message: String| Err(InferenceError::Output { message });
    if answer.len() != width {
        return wrong(format!("{} probabilities where {width} were expected", answer.len()));
    }
    if let Some(odd) = answer.iter().find(|p| !(-1e-6..=1.000_001).contains(*p)) {
        return wrong(format!("{odd} where a probability was expected"));
    }
    if width == 1 {
        return Ok(());
    }
    let sum: f64 = answer.iter().copied().map(f64::from).sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return wrong(format!("probabilities that sum to {sum:.6} where 1 was expected"));
    }
    Ok(())
}

/// Runs rows given in the order of the model's inputs, and checks the shape of the answer.
/// `columns` holds, for each input, the rows one after the other.
pub(super) fn run(
    engine: &mut dyn Engine,
    inputs: &[Column],
    output: &Column,
    columns: &[Vec<f32>],
    rows: usize,
) -> Result<Array2<f32>, InferenceError> {
    let mut views = Vec::with_capacity(inputs.len());
    for (input, column) in inputs.iter().zip(columns) {
        let view = ArrayView2::from_shape((rows, input.width), column)
            .map_err(|error| InferenceError::input(&input.name, error.to_string()))?;
        views.push((input.name.as_str(), view));
    }
    let answers = engine.run(&views, &output.name)?;
    if answers.dim() != (rows, output.width) {
        return Err(InferenceError::Output {
            message: format!(
                "shape {:?} where ({rows}, {}) was expected",
                answers.dim(),
                output.width
            ),
        });
    }
    Ok(answers)
}

/// The bytes of the file, if they are those that the manifest promises.
fn intact<'a>(files: &'a Files, spec: &ModelSpec) -> Result<&'a [u8], InferenceError> {
    let bytes = files.bytes(&spec.file).map_err(|error| spec.refused(error.message))?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size != spec.bytes {
        return Err(spec.refused(format!("expected {} bytes, found {size}", spec.bytes)));
    }
    let found = hex(&Sha256::digest(bytes));
    if found != spec.sha256 {
        return Err(spec.refused(format!("expected sha256 {}, found {found}", spec.sha256)));
    }
    Ok(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares promised and real inputs or outputs by name, whatever their order.
fn ports(
    spec: &ModelSpec,
    what: &str,
    promised: &[Column],
    real: &[Port],
) -> Result<(), InferenceError> {
    let names = |names: Vec<&str>| names.join("`, `");
    if promised.len() != real.len()
        || promised.iter().any(|column| real.iter().all(|port| port.name != column.name))
    {
        return Err(spec.refused(format!(
            "expected {what} `{}`, found `{}`",
            names(promised.iter().map(|column| column.name.as_str()).collect()),
            names(real.iter().map(|port| port.name.as_str()).collect())
        )));
    }
    for column in promised {
        for port in real.iter().filter(|port| port.name == column.name) {
            let fits =
                matches!(port.shape.as_slice(), [None, Some(width)] if *width == column.width);
            if port.dtype != F32 || !fits {
                return Err(spec.refused(format!(
                    "expected {what} `{}` as {F32}[batch, {}], found {}{}",
                    column.name,
                    column.width,
                    port.dtype,
                    shape(&port.shape)
                )));
            }
        }
    }
    Ok(())
}

fn shape(sizes: &[Option<usize>]) -> String {
    let sizes: Vec<String> =
        sizes.iter().map(|s| s.map_or_else(|| "batch".to_owned(), |s| s.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

fn self_tests(spec: &ModelSpec, engine: &mut dyn Engine) -> Result<(), InferenceError> {
    let mut run = |columns: &[Vec<f32>], rows: usize| {
        let answers = run(engine, &spec.inputs, &spec.output, columns, rows)
            .map_err(|error| spec.refused_by("the self-test could not be run", error))?;
        for answer in answers.rows() {
            probabilities(&answer.to_vec(), spec.output.width)
                .map_err(|error| spec.refused(format!("self-test: {error}")))?;
        }
        Ok::<_, InferenceError>(answers)
    };
    let mut columns: Vec<Vec<f32>> = vec![Vec::new(); spec.inputs.len()];
    let mut alone = Vec::with_capacity(spec.self_tests.len());
    for (number, test) in spec.self_tests.iter().enumerate() {
        let row = inputs_of(spec, test);
        let answer = run(&row, 1)?;
        judge(spec, test, &answer.iter().copied().collect::<Vec<_>>())
            .map_err(|message| spec.refused(format!("self-test {}: {message}", number + 1)))?;
        for (column, values) in columns.iter_mut().zip(row) {
            column.extend(values);
        }
        alone.push(answer);
    }
    // One more row, so that a single self-test too shares its batch with somebody else.
    for (column, input) in columns.iter_mut().zip(&spec.inputs) {
        column.extend(std::iter::repeat_n(0.0, input.width));
    }
    let together = run(&columns, alone.len() + 1)?;
    for (number, (alone, batched)) in alone.iter().zip(together.rows()).enumerate() {
        let apart = difference(&alone.row(0), &batched);
        if apart > BATCH_TOLERANCE {
            return Err(spec.refused(format!(
                "self-test {}: expected the same probabilities alone and in a batch, found them \
                 {apart:.6} apart",
                number + 1
            )));
        }
    }
    Ok(())
}

/// The largest difference between two rows of equal width.
fn difference(a: &ArrayView1<'_, f32>, b: &ArrayView1<'_, f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, engines, fixture, with_model};
    use super::*;
    use crate::inference::manifest;

    /// What both engines say about the one model in `files`; they must refuse it alike.
    fn refusals(files: &Files) -> Vec<String> {
        let specs = manifest::read(files, testing::MANIFEST_PATH).unwrap();
        engines()
            .iter()
            .map(|source| match open(files, &specs[0], source.as_ref()) {
                Ok(_) => panic!("{} accepted the model", source.name()),
                Err(error) => error.chain(),
            })
            .collect()
    }

    fn assert_refused(files: &Files, parts: &[&str]) {
        for text in refusals(files) {
            assert!(text.starts_with("model `fixture` (fixture.onnx) is refused: "), "{text}");
            for part in parts {
                assert!(text.contains(part), "`{part}` is not in: {text}");
            }
        }
    }

    #[test]
    fn the_fixture_passes_on_every_engine() {
        let files = fixture();
        let specs = manifest::read(&files, testing::MANIFEST_PATH).unwrap();
        for source in engines() {
            let engine = open(&files, &specs[0], source.as_ref()).unwrap();
            assert_eq!(engine.name(), source.name());
            assert_eq!(engine.inputs().len(), 2);
            assert_eq!(engine.outputs()[0].shape, [None, Some(3)]);
        }
    }

    #[test]
    fn a_missing_file_is_refused() {
        let mut files = Files::new();
        files.insert(testing::MANIFEST_PATH, testing::MANIFEST.as_bytes());
        assert_refused(&files, &["CARD.md: file is missing"]);
        files.insert("CARD.md", b"card".as_slice());
        assert_refused(&files, &["refused: file is missing"]);
    }

    #[test]
    fn a_file_of_another_size_or_digest_is_refused() {
        let mut short = fixture();
        short.insert("fixture.onnx", testing::MODEL[..400].to_vec());
        assert_refused(&short, &["expected 490 bytes, found 400"]);
        let mut changed = fixture();
        let mut bytes = testing::MODEL.to_vec();
        bytes[200] ^= 1;
        changed.insert("fixture.onnx", bytes);
        assert_refused(&changed, &["expected sha256 3037c636", ", found "]);
    }

    #[test]
    fn damaged_bytes_are_refused_by_the_engine() {
        assert_refused(
            &with_model(&testing::MODEL[..300]),
            &["can read", "failed to read the model"],
        );
        assert_refused(&with_model(b""), &["can read"]);
        // Bytes like these make `rten`'s own reader loop for ever.
        assert_refused(&with_model(&[0xff; 490]), &["can read"]);
        assert_refused(&with_model("这不是模型，这是一封信。".as_bytes()), &["can read"]);
    }

    #[test]
    fn weights_outside_the_checked_file_are_refused() {
        assert_refused(&with_model(testing::WEIGHTS_ELSEWHERE), &["failed to read the model"]);
    }

    #[test]
    fn a_graph_other_than_promised_is_refused() {
        assert_refused(
            &with_model(testing::FIVE_FINDINGS),
            &["expected input `findings` as f32[batch, 4], found f32[batch, 5]"],
        );
        assert_refused(
            &with_model(testing::FOUR_LABELS),
            &["expected output `probabilities` as f32[batch, 3], found f32[batch, 4]"],
        );
        assert_refused(
            &with_model(testing::OTHER_NAMES),
            &["expected input `findings`, `patient`, found `symptoms`, `patient`"],
        );
        assert_refused(
            &with_model(testing::FIXED_BATCH),
            &["expected input `findings` as f32[batch, 4], found f32[1, 4]"],
        );
        assert_refused(
            &with_model(testing::WHOLE_NUMBERS),
            &["expected input `findings` as f32[batch, 4], found "],
        );
    }

    #[test]
    fn answers_that_are_no_probabilities_are_refused() {
        assert_refused(&with_model(testing::NOT_A_NUMBER), &["self-test: ", "NaN"]);
        assert_refused(&with_model(testing::UNNORMALISED), &["self-test: ", "sum to "]);
    }

    #[test]
    fn a_model_that_mixes_the_patients_of_a_batch_is_refused() {
        assert_refused(&with_model(testing::MIXED_ROWS), &["alone and in a batch"]);
    }

    #[test]
    fn a_self_test_that_comes_out_differently_is_refused() {
        let replaced = |from: &str, to: &str| {
            let mut files = fixture();
            assert!(testing::MANIFEST.contains(from));
            let text = testing::MANIFEST.replacen(from, to, 1);
            files.insert(testing::MANIFEST_PATH, text.into_bytes());
            files
        };
        assert_refused(
            &replaced("expect_probability = 0.947661", "expect_probability = 0.95"),
            &["self-test 1: expected `common_cold` with 0.95", "found `common_cold` with 0.94766"],
        );
        assert_refused(
            &replaced("expect_top = \"outside\"", "expect_top = \"common_cold\""),
            &["self-test 3: expected `common_cold`", "found `outside`"],
        );
        // Swapped labels are exactly what a self-test must catch.
        assert_refused(
            &replaced(
                "\"common_cold\", \"gastroenteritis\"",
                "\"gastroenteritis\", \"common_cold\"",
            ),
            &["self-test 1: expected `common_cold`", "found `gastroenteritis`"],
        );
    }

    #[test]
    fn a_score_other_than_known_is_refused() {
        use crate::inference::manifest::ModelKind;
        let mut files = testing::shipped();
        let text = files.text(testing::MANIFEST_PATH).unwrap().to_owned();
        let (head, tests) = text.split_once("[[model.fit_test]]").unwrap();
        let at = tests.find("expect = 0.").unwrap();
        let text = format!(
            "{head}[[model.fit_test]]{}",
            tests.replacen(&tests[at..at + 13], "expect = 0.31", 1)
        );
        files.insert(testing::MANIFEST_PATH, text.into_bytes());
        let specs = manifest::read(&files, testing::MANIFEST_PATH).unwrap();
        let fit = specs.iter().find(|spec| spec.kind == ModelKind::IndicationFit).unwrap();
        for source in engines() {
            let error = open(&files, fit, source.as_ref()).map(|_| ()).unwrap_err().chain();
            assert!(error.contains("self-test 1: expected `W185` with 0.31"), "{error}");
        }
    }

    #[test]
    fn probabilities_are_finite_between_0_and_1_and_sum_to_1() {
        assert!(probabilities(&[0.25, 0.75], 2).is_ok());
        assert!(probabilities(&[0.25], 1).is_ok(), "a score");
        assert!(probabilities(&[1.25], 1).is_err());
        assert!(probabilities(&[f32::NAN], 1).is_err());
        for wrong in [
            &[0.25, 0.75, 0.0][..],
            &[0.25, 0.25],
            &[f32::NAN, 1.0],
            &[f32::INFINITY, 0.0],
            &[1.5, -0.5],
        ] {
            assert!(probabilities(wrong, 2).is_err(), "{wrong:?}");
        }
    }
}
