//! Both engines must give the same probabilities.

use ndarray::{Array2, s};

use super::check;
use super::manifest::{self, DIAGNOSIS, MEDICINE, ModelSpec, PATIENT};
use super::precision::{Precision, PrecisionChoice};
use super::testing::{MANIFEST_PATH, engines, fixture, shipped};
use crate::tables::files::Files;

/// The largest difference between two engines' probabilities.
const PARITY: f32 = 1e-5;

/// Rows of findings in {-1, 0, 1} and of ages and sexes, the same on every machine.
fn cases(rows: usize, name: &str, width: usize) -> Array2<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u16::try_from((state >> 33) % below).unwrap()
    };
    Array2::from_shape_fn((rows, width), |(row, column)| match (name, column) {
        // One medicine in each row, and a few diagnoses.
        (MEDICINE, _) => f32::from(u8::from(column == row * 7 % width)),
        (DIAGNOSIS, _) => f32::from(u8::from(next(500) == 0)),
        (PATIENT, 0) => f32::from(next(100)) - 1.0,
        // Most findings of a visit are not known.
        _ if next(8) > 1 && name != PATIENT => 0.0,
        _ => f32::from(next(3)) - 1.0,
    })
}

/// Every model with each of its files.
fn all_files(files: &Files) -> Vec<ModelSpec> {
    let each = |spec: ModelSpec| {
        let own = spec.clone().fitting(PrecisionChoice::F32, "", |_| false);
        let other = spec.fitting(PrecisionChoice::Int8, "", |_| false);
        if own.file == other.file { vec![own] } else { vec![own, other] }
    };
    manifest::read(files, MANIFEST_PATH).unwrap().into_iter().flat_map(each).collect()
}

/// The answers of every engine at hand to the same rows, in batches of several sizes; they may
/// not differ from those of the first engine one row at a time.
fn assert_parity(files: &Files) {
    const ROWS: usize = 96;
    for spec in all_files(files) {
        let inputs: Vec<_> =
            spec.inputs.iter().map(|input| cases(ROWS, &input.name, input.width)).collect();
        let mut reference: Option<Array2<f32>> = None;
        for source in engines() {
            let mut engine = check::open(files, &spec, source.as_ref()).unwrap();
            for batch in [1, 2, 7, 32, ROWS] {
                let mut answers = Array2::zeros((0, spec.output.width));
                for from in (0..ROWS).step_by(batch) {
                    let to = (from + batch).min(ROWS);
                    let views: Vec<_> = spec
                        .inputs
                        .iter()
                        .zip(&inputs)
                        .map(|(input, rows)| (input.name.as_str(), rows.slice(s![from..to, ..])))
                        .collect();
                    let some = engine.run(&views, &spec.output.name).unwrap();
                    for row in some.rows() {
                        check::probabilities(&row.to_vec(), spec.output.width).unwrap();
                        answers.push_row(row).unwrap();
                    }
                }
                let reference = reference.get_or_insert_with(|| answers.clone());
                let apart = (&answers - &*reference).iter().map(|d| d.abs()).fold(0.0, f32::max);
                assert!(
                    apart <= PARITY,
                    "{} of {}: {apart} apart in batches of {batch}",
                    spec.file,
                    source.name()
                );
            }
        }
    }
}

#[test]
fn every_engine_gives_the_same_probabilities_in_every_batch_size() {
    assert_parity(&fixture());
}

#[test]
fn every_shipped_model_is_accepted_and_both_engines_agree_on_it() {
    let files = shipped();
    let all = all_files(&files);
    assert!(all.iter().any(|spec| spec.precision == Precision::Int8), "none has 8-bit weights");
    assert_parity(&files);
}

#[test]
fn the_version_of_rten_is_the_one_in_the_lock_file() {
    let lock = include_str!("../../Cargo.lock");
    let entry = format!("name = \"rten\"\nversion = \"{}.", super::rten_engine::VERSION);
    assert!(lock.contains(&entry), "rten_engine::VERSION is out of date");
}
