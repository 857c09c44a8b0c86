//! Tests of the module above.

use super::super::testing::{MANIFEST, MANIFEST_PATH};
use super::*;

fn read_text(text: &str) -> Result<Vec<ModelSpec>, InferenceError> {
    let mut files = Files::new();
    files.insert(MANIFEST_PATH, text.as_bytes().to_vec());
    read(&files, MANIFEST_PATH)
}

/// The message when `from` is replaced by `to` in the fixture's manifest.
fn message(from: &str, to: &str) -> String {
    assert!(MANIFEST.contains(from), "the fixture has no `{from}`");
    match read_text(&MANIFEST.replacen(from, to, 1)) {
        Ok(_) => panic!("`{to}` was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_fixture_is_read_completely() {
    let [spec] = <[ModelSpec; 1]>::try_from(read_text(MANIFEST).unwrap()).unwrap();
    assert_eq!((spec.id.as_str(), spec.version.as_str()), ("fixture", "2026.11.1"));
    assert_eq!(spec.features, ["fever", "cough", "diarrhea", "vomiting"]);
    assert_eq!(spec.labels, ["common_cold", "gastroenteritis", "outside"]);
    let widths: Vec<_> = spec.inputs.iter().map(|i| (i.name.as_str(), i.width)).collect();
    assert_eq!(widths, [("findings", 4), ("patient", 2)]);
    assert_eq!(spec.output, Column { name: "probabilities".to_owned(), width: 3 });
    assert_eq!(spec.self_tests.len(), 3);
    let KnownAnswer::Differential(second) = &spec.self_tests[1] else {
        panic!("{:?}", spec.self_tests[1])
    };
    assert_eq!((second.age_years, second.sex), (None, TestSex::Female));
}

#[test]
fn unknown_keys_are_refused_with_their_line() {
    let text = message("bytes =", "size = 1\nbytes =");
    assert!(text.starts_with("manifest.toml:9:") && text.contains("size"), "{text}");
    assert!(message("dtype =", "rank = 2\ndtype =").contains("rank"));
    assert!(message("tolerance =", "slack = 1\ntolerance =").contains("slack"));
    assert!(message("schema = 1", "schema = 1\nseason = 2").contains("season"));
}

#[test]
fn a_missing_key_or_another_schema_is_refused() {
    assert!(message("version = \"2026.11.1\"\n", "").contains("version"));
    assert_eq!(message("schema = 1", "schema = 2"), "manifest.toml: expected schema 1, found 2");
}

#[test]
fn a_missing_manifest_is_named() {
    let error = read(&Files::new(), MANIFEST_PATH).unwrap_err();
    assert_eq!(error.to_string(), "manifest.toml: file is missing");
}

#[test]
fn a_model_that_stands_twice_is_refused() {
    let (_, entry) = MANIFEST.split_once("[[model]]").unwrap();
    let error = read_text(&format!("{MANIFEST}[[model]]{entry}")).unwrap_err();
    assert_eq!(error.to_string(), "manifest.toml: model `fixture` stands twice");
}

#[test]
fn paths_may_not_leave_the_directory() {
    for path in ["../fixture.onnx", "/etc/passwd", "a/../../b", "a//b", "./a", "", "C:/a", "a/.."] {
        let text = message("file = \"fixture.onnx\"", &format!("file = \"{path}\""));
        assert!(text.starts_with(&format!("model `fixture` ({path}) is refused: path")), "{text}");
    }
    assert!(message("file = \"fixture.onnx\"", "file = 'a\\b'").contains("path"));
    assert!(message("card = \"CARD.md\"", "card = \"../CARD.md\"").contains("../CARD.md"));
    assert!(message("tables = []", "tables = [\"x/../y.csv\"]").contains("x/../y.csv"));
}

#[test]
fn contradicting_counts_are_refused_with_expected_and_found() {
    let model = "model `fixture` (fixture.onnx) is refused: ";
    assert_eq!(
        message(", \"vomiting\"]\nlabels", "]\nlabels"),
        format!("{model}expected input `findings` of width 3, found 4")
    );
    assert_eq!(
        message(", \"outside\"]", "]"),
        format!("{model}expected 3 labels, one for each number of output `probabilities`, found 2")
    );
    assert_eq!(
        message("shape = [\"batch\", 2]", "shape = [\"batch\", 3]"),
        format!("{model}expected input `patient` of width 2, found 3")
    );
    assert!(message("name = \"patient\"", "name = \"person\"").contains("`patient`, found none"));
    assert!(message("[[model.output]]", "[[model.input]]").contains("expected 1 output, found 0"));
}

#[test]
fn only_tables_of_floats_with_a_free_batch_are_accepted() {
    assert!(message("dtype = \"f32\"", "dtype = \"f16\"").contains("`f32`, found `f16`"));
    assert!(message("[\"batch\", 4]", "[1, 4]").contains("expected shape"));
    assert!(message("[\"batch\", 4]", "[\"rows\", 4]").contains("expected shape"));
    assert!(message("[\"batch\", 4]", "[\"batch\"]").contains("expected shape"));
    assert!(message("[\"batch\", 4]", "[\"batch\", 0]").contains("expected shape"));
}

#[test]
fn duplicate_and_odd_ids_are_refused() {
    assert!(message("\"cough\",", "\"fever\",").contains("feature `fever` stands twice"));
    assert!(message("\"outside\"]", "\"common_cold\"]").contains("label `common_cold`"));
    assert!(message("id = \"fixture\"", "id = \"../x\"").contains("the id may hold"));
    assert!(message("sha256 = \"3", "sha256 = \"Z").contains("sha256"));
}

#[test]
fn a_self_test_must_mean_something() {
    let (head, _) = MANIFEST.split_once("[[model.self_test]]").unwrap();
    let error = read_text(head).unwrap_err().to_string();
    assert!(error.contains("at least 1 self-test"), "{error}");
    let found = message("present = [\"fever\", \"cough\"]", "present = [\"fever\", \"rash\"]");
    assert!(found.contains("self-test 1: `rash` is not a feature"), "{found}");
    let found = message("absent = [\"diarrhea\"]", "absent = [\"fever\"]");
    assert!(found.contains("`fever` stands twice"), "{found}");
    assert!(message("expect_top = \"common_cold\"", "expect_top = \"flu\"").contains("`flu`"));
    assert!(message("tolerance = 1e-5", "tolerance = 0.9").contains("tolerance"));
    assert!(message("tolerance = 1e-5", "tolerance = nan").contains("tolerance"));
    assert!(message("= 4.0", "= -1.0").contains("age_years"));
    assert!(message("sex = \"male\"", "sex = \"m\"").contains("manifest.toml:"));
}

/// An entry of the other kind, sound.
const FIT: &str = r#"schema = 1
[[model]]
id = "fit"
kind = "indication-fit"
version = "1"
file = "fit.onnx"
sha256 = "3037c636747c58fc125f42c4c32e587d0adb73510fefd547f852815b03611da0"
bytes = 490
card = "CARD.md"
tables = []
hint_below = 0.01
features = ["I10", "E11"]
labels = ["W1", "W2", "W3"]
not_asked = ["W3"]
[[model.input]]
name = "diagnosis"
dtype = "f32"
shape = ["batch", 2]
[[model.input]]
name = "medicine"
dtype = "f32"
shape = ["batch", 3]
[[model.output]]
name = "fit"
dtype = "f32"
shape = ["batch", 1]
[[model.fit_test]]
diagnoses = ["I10"]
medicine = "W1"
expect = 0.9
tolerance = 1e-4
"#;

#[test]
fn an_indication_fit_model_is_read_and_held_to_its_own_promises() {
    let [spec] = <[ModelSpec; 1]>::try_from(read_text(FIT).unwrap()).unwrap();
    assert_eq!((spec.kind, spec.hint_below), (ModelKind::IndicationFit, Some(0.01)));
    assert_eq!((spec.not_asked, spec.self_tests.len()), (vec!["W3".to_owned()], 1));
    for (from, to, says) in [
        ("hint_below = 0.01\n", "", "hint_below must be above 0"),
        ("hint_below = 0.01", "hint_below = 1.0", "hint_below must be above 0"),
        ("not_asked = [\"W3\"]", "not_asked = [\"W4\"]", "`W4` is not a label"),
        ("shape = [\"batch\", 1]", "shape = [\"batch\", 3]", "width 1, found 3"),
        ("\"medicine\"\ndtype", "\"drug\"\ndtype", "input `medicine`, found none"),
        ("shape = [\"batch\", 2]", "shape = [\"batch\", 9]", "width 2, found 9"),
        ("diagnoses = [\"I10\"]", "diagnoses = [\"I11\"]", "`I11` is not a feature"),
        ("medicine = \"W1\"", "medicine = \"W9\"", "`W9` is not a label"),
        ("expect = 0.9", "expect = 1.9", "from 0 to 1"),
        ("tolerance = 1e-4", "tolerance = 0.9", "tolerance"),
        ("kind = \"indication-fit\"", "kind = \"oracle\"", "oracle"),
        ("kind = \"indication-fit\"\n", "", "expected 1 labels"),
    ] {
        assert!(FIT.contains(from), "{from}");
        let error = read_text(&FIT.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(says), "`{to}`: {error}");
    }
    let (head, _) = FIT.split_once("[[model.fit_test]]").unwrap();
    assert!(read_text(head).unwrap_err().to_string().contains("at least 1 self-test"));
    let text = message("labels = [", "hint_below = 0.5\nlabels = [");
    assert!(text.contains("are for indication-fit"), "{text}");
}
