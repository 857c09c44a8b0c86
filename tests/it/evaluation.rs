//! `xiangyi eval` on small sets written for it.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/eval/diagnosis.jsonl");
const TEXTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/eval/reading.jsonl");

/// Vignettes that nobody read while the tables and the reader were made.
const UNSEEN: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/eval/vignettes-unseen.jsonl");

fn eval(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xiangyi"))
        .arg("eval")
        .args(arguments)
        .env("XIANGYI_MODELS_ENGINE", "rten")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let output = eval(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path}: {report}"))
}

#[test]
fn diagnosis_is_measured_case_by_case() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("cases.jsonl");
    let report = report(&["diagnosis", "--cases", CASES, "--json", "--out", out.to_str().unwrap()]);
    let lines = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 12);
    assert!((number(&report, "/n") - 12.0).abs() < 1e-9);
    // One right answer is a disease nobody has.
    assert!((number(&report, "/covered") - 11.0).abs() < 1e-9);
    assert!(number(&report, "/over_covered/top3") >= 0.8, "{report}");
    assert!((number(&report, "/red_flag/recall") - 1.0).abs() < 1e-9, "{report}");
    assert!(number(&report, "/red_flag/alarm_rate") <= 0.15, "{report}");
    assert!(number(&report, "/triage/under") <= 0.1, "{report}");
    for path in ["/ece", "/brier", "/ms/p50", "/ms/p99", "/among_candidates/hits/top1"] {
        number(&report, path);
    }
    assert!((number(&report, "/unknown_fields") - 1.0).abs() < 1e-9);
    let lost = report.pointer("/unresolved/list").unwrap().as_array().unwrap();
    let names: Vec<_> = lost.iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["彩虹症", "未来热"]);
    // What is told of a case adds up to what is told of all.
    let first = lines.iter().filter(|l| l["rank"] == 1).count();
    let first = f64::from(u32::try_from(first).unwrap());
    assert!((first / 12.0 - number(&report, "/top1")).abs() < 1e-3);
}

#[test]
fn an_interview_is_measured_from_the_chief_complaint_on() {
    let report = report(&["diagnosis", "--cases", CASES, "--json", "--interview", "10"]);
    let mean = number(&report, "/interview/questions_mean");
    assert!(mean > 1.0 && mean <= 10.0, "{report}");
    assert!(number(&report, "/interview/top3") >= 0.5, "{report}");
}

#[test]
fn text_alone_and_terms_alone_are_different_runs() {
    let text = report(&["diagnosis", "--cases", CASES, "--json", "--input", "text"]);
    let terms = report(&["diagnosis", "--cases", CASES, "--json", "--input", "terms"]);
    assert_ne!(text.pointer("/brier"), terms.pointer("/brier"));
}

#[test]
fn reading_is_measured_against_marks() {
    let report = report(&["reading", "--cases", TEXTS, "--json"]);
    for path in ["/present/precision", "/present/recall", "/absent/precision", "/absent/recall"] {
        assert!(number(&report, path) >= 0.9, "{path}: {report}");
    }
    assert_eq!(report.pointer("/unresolved/count"), Some(&Value::from(1)));
}

/// The figures of the card, with room for chance: a change that costs more than that is seen.
#[test]
fn vignettes_that_nobody_read_are_diagnosed_about_as_well_as_the_card_says() {
    let at_least = |report: &Value, path: &str, least: f64| {
        assert!(number(report, path) >= least, "{path} below {least}: {report}");
    };
    let terms = report(&["diagnosis", "--cases", UNSEEN, "--json", "--input", "terms"]);
    at_least(&terms, "/top1", 0.80);
    at_least(&terms, "/top3", 0.88);
    at_least(&terms, "/red_flag/recall", 0.94);
    let text = report(&["diagnosis", "--cases", UNSEEN, "--json", "--input", "text"]);
    at_least(&text, "/top1", 0.66);
    at_least(&text, "/top3", 0.80);
    at_least(&text, "/red_flag/recall", 0.90);
    for report in [&terms, &text] {
        assert!(number(report, "/red_flag/alarm_rate") <= 0.12, "{report}");
        assert!(number(report, "/triage/under") <= 0.12, "{report}");
    }
    let read = report(&["reading", "--cases", UNSEEN, "--json"]);
    at_least(&read, "/present/precision", 0.78);
    at_least(&read, "/present/recall", 0.68);
    at_least(&read, "/absent/precision", 0.82);
}

#[test]
fn a_file_that_is_no_case_file_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.jsonl");
    std::fs::write(&file, "{\"id\":\"a\",\"gold\":[]}\n{\"id\":3}\n").unwrap();
    let refused = eval(&["diagnosis", "--cases", file.to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("line 2"), "{said}");
    std::fs::write(&file, "\n").unwrap();
    let refused = eval(&["reading", "--cases", file.to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("no case"), "{said}");
}
