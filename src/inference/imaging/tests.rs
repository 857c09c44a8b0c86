//! The imaging models against their manifests, on every engine at hand.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::app::imaging::models::{Certificate, GreyRange};
use crate::inference::check::hex;
use crate::inference::testing::engines;

const MANIFEST_TEXT: &str = include_str!("../../../tests/fixtures/imaging-models/mean/model.toml");
const MODEL: &[u8] = include_bytes!("../../../tests/fixtures/imaging-models/mean/model.onnx");
const KNOWN: &[u8] = include_bytes!("../../../tests/fixtures/imaging-models/mean/known.f32");

fn files(manifest: &str) -> Files {
    let mut files = Files::new();
    files.insert("mean/model.toml", manifest.as_bytes().to_vec());
    files.insert("mean/model.onnx", MODEL);
    files.insert("mean/known.f32", KNOWN);
    files
}

/// The manifest with one text in the place of another that must be there.
fn changed(from: &str, to: &str) -> String {
    assert!(MANIFEST_TEXT.contains(from), "{from}");
    MANIFEST_TEXT.replacen(from, to, 1)
}

fn load(files: &Files, source: &Arc<dyn EngineSource>) -> ImageModels {
    ImageModels::load((files, Vec::new()), source, 4)
}

/// Why the only model is refused.
fn refusal(files: &Files, source: &Arc<dyn EngineSource>) -> String {
    let models = load(files, source);
    assert!(models.cards().is_empty());
    models.refused().first().expect("a refusal").reason.clone()
}

#[tokio::test]
async fn a_model_answers_what_can_be_computed_by_hand() {
    for source in engines() {
        let models = load(&files(MANIFEST_TEXT), &source);
        assert_eq!(models.refused(), []);
        let card = Arc::clone(models.cards().first().unwrap());
        assert_eq!((card.id.as_str(), card.known_answers), ("mean", 1));
        assert_eq!(card.certificate, Certificate::ResearchOnly);
        assert_eq!(card.input.ranges, [GreyRange::Window { center: 2048.0, width: 4096.0 }]);
        // The mean is 0.25: 4m - 1 = 0, and 2m = 0.5.
        let mut tensor = vec![0.0; 16];
        tensor[..4].fill(1.0);
        let answers = models.run("mean", tensor).await.unwrap();
        let share = 0.5_f32.exp() / (0.5_f32.exp() + 1.0);
        let expected = [[0.5, 0.5], [share, 1.0 - share]];
        for (given, expected) in answers.iter().flatten().zip(expected.iter().flatten()) {
            assert!((given - expected).abs() < 1e-6, "{}: {given} {expected}", source.name());
        }
        assert_eq!(answers.len(), 2);
        let unknown = models.run("other", vec![]).await.unwrap_err();
        assert!(matches!(unknown, Error::NotFound { kind: "model" }));
        // A tensor of another size is our own fault and takes nothing down.
        assert!(models.run("mean", vec![0.0; 3]).await.is_err());
        assert!(models.run("mean", vec![0.0; 16]).await.is_ok());
    }
}

#[test]
fn a_manifest_that_breaks_a_promise_is_refused_with_the_field() {
    let source = engines().remove(0);
    for (from, to, why) in [
        ("schema = 1", "schema = 2", "schema must be 1"),
        ("id = \"mean\"", "id = \"Mean\"", "id must be"),
        ("id = \"mean\"", "id = \"mean\"\nidd = 1", "unknown field `idd`"),
        ("keep_aspect = false", "keep_aspct = false", "unknown field `keep_aspct`"),
        ("certificate = \"none: research only\"\n", "", "missing field `certificate`"),
        ("none: research only", "pending", "certificate must be"),
        ("none: research only", "国械注准2026", "certificate must be"),
        ("version = \"2026.11.1\"", "version = \"\"", "version must be"),
        ("file = \"model.onnx\"", "file = \"../model.onnx\"", "file must be a path inside"),
        ("file = \"model.onnx\"", "file = \"other.onnx\"", "file: there is no such file"),
        ("modalities = [\"CT\"]", "modalities = []", "for.modalities must name"),
        ("\"MONOCHROME1\", ", "\"RGB\", ", "for.photometric must be"),
        ("layout = \"NCHW\"", "layout = \"NHWC\"", "input.layout must be"),
        ("name = \"image\"", "name = \"picture\"", "input.name: the file's input is `image`"),
        ("rows = 4", "rows = 5", "input.rows: `image` of the file has 4"),
        ("channels = 1", "channels = 0", "input.channels must be"),
        ("mean = [0.0]", "mean = [0.0, 0.0]", "input.mean must be"),
        ("deviation = [1.0]", "deviation = [0.0]", "input.deviation must not be 0"),
        ("width = 4096.0", "width = 0.0", "input.range[0].width must be above 0"),
        ("kind = \"window\"\n", "kind = \"level\"\n", "unknown variant `level`"),
        ("name = \"scores\"", "name = \"score\"", "output[0].name: the file has no such output"),
        ("activation = \"sigmoid\"", "activation = \"relu\"", "unknown variant `relu`"),
        ("threshold = 0.5", "threshold = 1.0", "output[0].label[0].threshold must be"),
        ("id = \"dark\"", "id = \"bright\"", "output[0].label[1].id stands twice"),
        ("SCT:371244009", "ICD:1", "output[0].label[0].code must be"),
        ("tolerance = 1e-5", "tolerance = 0.5", "known_answer[0].tolerance must be"),
        ("expect = [[0.731059", "expect = [[0.700000", "known_answer[0].expect: label `bright`"),
        ("expect = [[0.731059, ", "expect = [[", "known_answer[0].expect must have one number"),
        ("input = \"known.f32\"", "input = \"k.f32\"", "known_answer[0].input: there is no such"),
    ] {
        let reason = refusal(&files(&changed(from, to)), &source);
        assert!(reason.contains(why), "{to}: {reason}");
    }
    let without = MANIFEST_TEXT.split("[[known_answer]]").next().unwrap();
    assert!(refusal(&files(without), &source).contains("known_answer must be there"));
}

#[test]
fn a_wrong_digest_or_file_is_refused_on_every_engine() {
    let digest = hex(&Sha256::digest(MODEL));
    for source in engines() {
        let other = changed(&digest, &"0".repeat(64));
        assert!(refusal(&files(&other), &source).contains("sha256 is not that of the file"));
        let mut broken = files(&changed(&digest, &hex(&Sha256::digest(b"no model"))));
        broken.insert("mean/model.onnx", b"no model".as_slice());
        assert!(refusal(&broken, &source).contains("file: "), "{}", source.name());
        let mut known = files(MANIFEST_TEXT);
        known.insert("mean/known.f32", vec![0; 64]);
        let reason = refusal(&known, &source);
        assert!(reason.contains("known_answer[0].sha256 is not that"), "{reason}");
        let labels =
            changed("[[output.label]]\nid = \"dark\"\nname = \"偏暗\"\nthreshold = 0.5\n", "");
        let labels = labels.replacen("[0.731059, 0.268941], [", "[0.731059], [", 1);
        let reason = refusal(&files(&labels), &source);
        assert!(reason.contains("output[0].label: `scores` of the file has 2"), "{reason}");
    }
}

#[tokio::test]
async fn one_refused_model_leaves_the_others_serving() {
    let source = engines().remove(0);
    let mut both = files(MANIFEST_TEXT);
    both.insert("broken/model.toml", b"schema = 1".as_slice());
    both.insert("twin/model.toml", MANIFEST_TEXT.as_bytes());
    both.insert("note.txt", b"not a model".as_slice());
    let models = load(&both, &source);
    assert_eq!(models.cards().len(), 1);
    let refused: Vec<&str> = models.refused().iter().map(|r| r.folder.as_str()).collect();
    assert_eq!(refused, ["broken", "twin"]);
    assert!(models.refused()[1].reason.contains("id is that of another model"));
    assert!(models.run("mean", vec![0.0; 16]).await.is_ok());
}

#[test]
fn certificates_are_numbers_of_the_regulator() {
    for number in ["国械注准20263210001", "赣械注准20262070012", "国械注进20253061234"]
    {
        let manifest = changed("none: research only", number);
        let read = manifest::read(&manifest).unwrap();
        assert_eq!(read.certificate, Certificate::Number(number.to_owned()));
    }
}
