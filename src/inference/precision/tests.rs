//! Which file of a model is taken where, and variants that are refused.

use super::super::manifest;
use super::super::testing::{MANIFEST_PATH, fixture};
use super::*;
use crate::tables::files::Files;

const VARIANT: &str = "
[[model.variant]]
precision = \"int8\"
file = \"fixture.int8.onnx\"
sha256 = \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"
bytes = 17
engines = [\"onnxruntime\"]
cpu = [\"avx512_vnni\", \"asimddp\"]
tolerance = 0.02
";

fn with(variant: &str) -> Files {
    let mut files = fixture();
    let text = String::from_utf8(files.bytes(MANIFEST_PATH).unwrap().to_vec()).unwrap();
    files.insert(MANIFEST_PATH, format!("{text}{variant}").into_bytes());
    files
}

fn spec() -> ModelSpec {
    let [spec] = <[ModelSpec; 1]>::try_from(manifest::read(&with(VARIANT), MANIFEST_PATH).unwrap())
        .unwrap_or_else(|_| panic!("one model"));
    spec
}

fn tolerances(spec: &ModelSpec) -> Vec<f64> {
    let tolerance = |test: &KnownAnswer| match test {
        KnownAnswer::Differential(test) => test.tolerance,
        KnownAnswer::IndicationFit(test) => test.tolerance,
    };
    spec.self_tests.iter().map(tolerance).collect()
}

#[test]
fn a_variant_is_taken_on_its_engine_and_a_processor_that_it_names_and_nowhere_else() {
    let own = spec();
    let auto = |engine: &str, there: &'static [CpuFeature]| {
        spec().fitting(PrecisionChoice::Auto, engine, |feature| there.contains(&feature))
    };
    let taken = auto("onnxruntime", &[CpuFeature::Asimddp]);
    assert_eq!((taken.precision, taken.file.as_str()), (Precision::Int8, "fixture.int8.onnx"));
    assert_eq!((taken.bytes, taken.sha256.len()), (17, 64));
    assert!(taken.sha256.starts_with("0011"));
    assert_eq!(taken.version, format!("{}+int8", own.version));
    assert!(tolerances(&taken).iter().all(|tolerance| (tolerance - 0.02).abs() < 1e-12));
    assert_eq!((&taken.labels, &taken.features), (&own.labels, &own.features));
    for (engine, there) in [
        ("onnxruntime", &[][..]),
        ("onnxruntime", &[CpuFeature::AvxVnni, CpuFeature::I8mm][..]),
        ("rten", &[CpuFeature::Avx512Vnni][..]),
    ] {
        assert_eq!(auto(engine, there), own, "{engine} {there:?}");
    }
}

#[test]
fn what_is_asked_for_is_taken_whatever_the_processor_has() {
    let all = |_: CpuFeature| true;
    assert_eq!(spec().fitting(PrecisionChoice::F32, "onnxruntime", all), spec());
    let taken = spec().fitting(PrecisionChoice::Int8, "rten", |_| false);
    assert_eq!(taken.precision, Precision::Int8);
    // A model that has no such file is taken as it is.
    let plain = manifest::read(&fixture(), MANIFEST_PATH).unwrap().remove(0);
    assert_eq!(plain.clone().fitting(PrecisionChoice::Int8, "onnxruntime", all), plain);
}

#[test]
fn features_of_another_architecture_are_not_here() {
    let foreign = if cfg!(target_arch = "aarch64") {
        [CpuFeature::Avx512Vnni, CpuFeature::AvxVnni]
    } else {
        [CpuFeature::Asimddp, CpuFeature::I8mm]
    };
    assert!(foreign.iter().all(|feature| !feature.is_here()));
    // What the kernel says of a feature is what the program finds.
    if let Ok(info) = std::fs::read_to_string("/proc/cpuinfo") {
        let words: Vec<&str> = info.split_ascii_whitespace().collect();
        for (feature, name) in [
            (CpuFeature::Avx512Vnni, "avx512_vnni"),
            (CpuFeature::AvxVnni, "avx_vnni"),
            (CpuFeature::Asimddp, "asimddp"),
            (CpuFeature::I8mm, "i8mm"),
        ] {
            assert_eq!(feature.is_here(), words.contains(&name), "{name}");
        }
    }
}

#[test]
fn a_variant_that_says_nothing_or_too_much_is_refused_by_name() {
    for (from, to, told) in [
        ("precision = \"int8\"", "precision = \"f32\"", "a variant with precision `f32`"),
        ("precision = \"int8\"", "precision = \"int4\"", "unknown variant `int4`"),
        ("fixture.int8.onnx", "../x.onnx", "leaves the manifest's directory"),
        ("fixture.int8.onnx", "fixture.onnx", "has the file of the model itself"),
        ("sha256 = \"0011", "sha256 = \"xx11", "64 lower-case hex digits"),
        ("engines = [\"onnxruntime\"]", "engines = []", "expected engines, found none"),
        ("engines = [\"onnxruntime\"]", "engines = [\"tract\"]", "engine `tract`"),
        ("cpu = [\"avx512_vnni\", \"asimddp\"]", "cpu = []", "expected processor features"),
        ("\"asimddp\"", "\"mmx\"", "unknown variant `mmx`, expected one of `avx512_vnni`"),
        ("tolerance = 0.02", "tolerance = 0.2", "at most 0.05"),
        ("bytes = 17", "bytes = 17\nspeed = 2", "unknown field `speed`"),
    ] {
        assert!(VARIANT.contains(from), "{from}");
        let error = manifest::read(&with(&VARIANT.replace(from, to)), MANIFEST_PATH).unwrap_err();
        let text = error.chain();
        assert!(text.contains(told), "{to}: {text}");
    }
    let twice = format!("{VARIANT}{VARIANT}");
    let error = manifest::read(&with(&twice), MANIFEST_PATH).unwrap_err().chain();
    assert!(error.contains("two variants with precision `int8`"), "{error}");
}
