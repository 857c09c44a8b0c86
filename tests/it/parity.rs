//! Both engines give the same probabilities for the same inputs, on every shipped model.

use ndarray::Array2;
use std::sync::Arc;
use xiangyi::embedded;
use xiangyi::inference::{
    EngineChoice, LibrarySearch, Model, ModelSpec, Models, Options, PrecisionChoice,
};

use crate::harness::ort_library;

/// Largest difference of a probability.
const TOLERANCE: f32 = 1e-5;
/// Rows compared per model.
const ROWS: usize = 500;

/// A small generator of its own, so that rows are the same everywhere (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }
}

/// Rows such as a node asks about: findings, mostly not asked, and a patient of any age and sex;
/// or a few diagnoses and one medicine.
fn rows(spec: &ModelSpec) -> Vec<(String, Array2<f32>)> {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut number = |row: usize, column: usize, name: &str, width: usize| match name {
        "findings" => match numbers.next() % 20 {
            0 | 1 => 1.0,
            2 => -1.0,
            _ => 0.0,
        },
        "patient" => {
            let value = u16::try_from(numbers.next() % 1000).unwrap();
            match column {
                0 if value < 100 => -1.0,
                0 => f32::from(value) / 10.0,
                _ => f32::from(value % 3) - 1.0,
            }
        }
        "diagnosis" => f32::from(u8::from(numbers.next().is_multiple_of(700))),
        "medicine" => f32::from(u8::from(column == row * 2 % width)),
        other => panic!("no rows are known for input `{other}`"),
    };
    let inputs = spec.inputs.iter().map(|input| {
        let (name, width) = (input.name.as_str(), input.width);
        let row = Array2::from_shape_fn((ROWS, width), |(r, c)| number(r, c, name, width));
        (input.name.clone(), row)
    });
    inputs.collect()
}

/// One row of every input.
fn row(inputs: &[(String, Array2<f32>)], at: usize) -> Vec<(&str, Vec<f32>)> {
    inputs.iter().map(|(name, rows)| (name.as_str(), rows.row(at).to_vec())).collect()
}

async fn answers(model: &Arc<Model>) -> Vec<Vec<f32>> {
    let inputs = rows(model.spec());
    let mut out = Vec::with_capacity(ROWS);
    for at in 0..ROWS {
        out.push(model.predict(row(&inputs, at), None).await.unwrap());
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shipped_model_gives_the_same_probabilities_on_both_engines() {
    let Some(library) = ort_library() else {
        eprintln!("NOT RUN on ONNX Runtime: ORT_DYLIB_PATH is not set");
        return;
    };
    let files = embedded::files();
    let search = || LibrarySearch::new(Some(library.clone()), None);
    for precision in [PrecisionChoice::F32, PrecisionChoice::Int8] {
        let options = |choice| Options { precision, ..Options::new(choice, search()) };
        let rten = Models::load(&files, options(EngineChoice::Rten)).unwrap();
        let ort = Models::load(&files, options(EngineChoice::OnnxRuntime)).unwrap();
        assert_alike(&rten, &ort).await;
    }
}

async fn assert_alike(rten: &Models, ort: &Models) {
    let ids: Vec<String> = rten.list().into_iter().map(|info| info.id).collect();
    assert_eq!(ids, ["gp-differential", "indication-fit"]);
    for info in rten.list() {
        let one = answers(&rten.get(&info.id).unwrap()).await;
        let other = answers(&ort.get(&info.id).unwrap()).await;
        let mut worst = 0.0_f32;
        for (a, b) in one.iter().flatten().zip(other.iter().flatten()) {
            worst = worst.max((a - b).abs());
        }
        assert!(worst <= TOLERANCE, "{}: {worst}", info.id);
        for row in &one {
            assert!(row.iter().all(|p| (0.0..=1.0).contains(p)), "{}", info.id);
            let sum: f32 = row.iter().sum();
            assert!(row.len() == 1 || (sum - 1.0).abs() < 1e-4, "{}: {sum}", info.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_does_not_depend_on_its_neighbours_in_a_batch() {
    let files = embedded::files();
    let options = Options::new(EngineChoice::Rten, LibrarySearch::default());
    let models = Models::load(&files, options).unwrap();
    for info in models.list() {
        let model = models.get(&info.id).unwrap();
        let alone = answers(&model).await;
        let inputs = rows(model.spec());
        let mut together = tokio::task::JoinSet::new();
        for i in 0..64 {
            let model = Arc::clone(&model);
            let row: Vec<(String, Vec<f32>)> =
                row(&inputs, i).into_iter().map(|(name, one)| (name.to_owned(), one)).collect();
            together.spawn(async move {
                let row = row.iter().map(|(name, one)| (name.as_str(), one.clone())).collect();
                (i, model.predict(row, None).await.unwrap())
            });
        }
        for (i, row) in together.join_all().await {
            for (a, b) in row.iter().zip(&alone[i]) {
                assert!((a - b).abs() < 1e-6, "{} row {i}: {a} {b}", info.id);
            }
        }
    }
}
