//! House rules that check themselves: the layer rule, lengths, docs, and that every RPC has tests
//! for a denied caller, bad input and cancellation.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a check that cannot run fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a Rust file at most, tests included.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function at most.
const FUNCTION_LINES_MAX: usize = 100;

/// A layer and the modules it may not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "src/tables",
        &["medicine", "sharing", "app", "node", "cli", "config", "telemetry", "embedded"],
    ),
    ("src/medicine", &["sharing", "app", "node", "cli", "config", "telemetry"]),
    ("src/sharing", &["medicine", "app", "node", "cli", "config", "telemetry"]),
    ("src/app", &["node", "cli", "config", "telemetry"]),
    ("src/rpc", &["node", "cli", "config"]),
    ("src/web", &["node", "cli", "config"]),
    ("src/store", &["node", "cli", "config"]),
    ("src/inference", &["node", "cli", "config"]),
    ("src/archive", &["node", "cli", "config"]),
    ("src/render", &["node", "cli", "config"]),
    ("src/dicom", &["node", "cli", "config"]),
    ("src/link", &["node", "cli", "config"]),
    ("src/benchmark", &["medicine", "sharing", "node", "cli", "config", "telemetry"]),
];

/// The layers around `app`: nothing below or beside them names them, nor they each other.
const ADAPTERS: &[&str] =
    &["rpc", "dicom", "web", "store", "archive", "render", "inference", "link"];

/// Crates a pure layer may not use.
const IMPURE: &[(&str, &[&str])] = &[
    ("src/tables", &["tokio", "tonic", "sqlx", "ort", "rten", "axum", "tracing", "prost"]),
    ("src/medicine", &["tokio", "tonic", "sqlx", "ort", "rten", "axum", "tracing", "prost"]),
    ("src/sharing", &["tokio", "tonic", "sqlx", "ort", "rten", "axum", "tracing", "prost"]),
    ("src/app", &["tonic", "sqlx", "ort", "rten", "axum", "prost"]),
];

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn files(dir: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    rust_files(&root.join(dir), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no Rust files under {dir}");
    paths
        .into_iter()
        .map(|p| {
            let name = p.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&p).unwrap())
        })
        .collect()
}

fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

#[test]
fn no_layer_names_one_above_or_beside_it() {
    let mut broken = Vec::new();
    for (layer, forbidden) in FORBIDDEN {
        let beside =
            ADAPTERS.iter().filter(|adapter| layer.strip_prefix("src/") != Some(**adapter));
        let forbidden: Vec<_> = forbidden.iter().chain(beside).collect();
        for (name, text) in files(layer) {
            for (i, line) in text.lines().enumerate() {
                for module in &forbidden {
                    if code(line).contains(&format!("crate::{module}")) {
                        broken.push(format!("{name}:{}: uses `{module}`", i + 1));
                    }
                }
            }
        }
    }
    // The gate measures calls through telemetry, which is beside lifecycle and names no adapter.
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn pure_layers_use_no_runtime_transport_or_database() {
    let mut broken = Vec::new();
    for (layer, crates) in IMPURE {
        for (name, text) in files(layer) {
            for (i, line) in text.lines().enumerate() {
                for module in *crates {
                    if code(line)
                        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                        .any(|word| word.starts_with(&format!("{module}::")))
                        && !(*layer == "src/app" && line.contains("tokio::sync"))
                    {
                        broken.push(format!("{name}:{}: uses `{module}`", i + 1));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn sql_lives_only_in_the_store() {
    for (name, text) in files("src") {
        if !name.starts_with("src/store") {
            assert!(!text.contains("sqlx::"), "{name} uses sqlx");
        }
    }
}

#[test]
fn status_is_built_in_one_file() {
    for (name, text) in files("src/rpc").into_iter().chain(files("src/link")) {
        if ["src/rpc/status.rs", "src/link/status.rs"].contains(&name.as_str()) {
            continue;
        }
        for word in ["Status::new", "Status::invalid", "Status::internal", "Status::unavailable"] {
            assert!(!text.contains(word), "{name} builds a status: {word}");
        }
    }
}

#[test]
fn files_and_functions_stay_readable() {
    let mut long = Vec::new();
    for (name, text) in files("src").into_iter().chain(files("tests")) {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            long.push(format!("{name}: {lines} lines"));
        }
        let mut start: Option<(usize, usize)> = None;
        for (i, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let trimmed = line.trim_start();
            let begins = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn "]
                .iter()
                .any(|p| trimmed.starts_with(p));
            let one_line = trimmed.ends_with('}') || trimmed.ends_with(';');
            if begins && !one_line && start.is_none() {
                start = Some((i, indent));
            } else if let Some((first, depth)) = start
                && indent == depth
                && trimmed.starts_with('}')
            {
                if i - first > FUNCTION_LINES_MAX {
                    long.push(format!("{name}:{}: function of {} lines", first + 1, i - first));
                }
                start = None;
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    for (name, text) in files("src") {
        assert!(text.starts_with("//!"), "{name} has no module documentation");
    }
}

/// What is wrong with a file as to processors: code for one of them, without anything for the others.
fn bound_to_a_processor(text: &str) -> Vec<&'static str> {
    let text: String = text.lines().map(code).collect::<Vec<_>>().join("\n");
    let mut wrong = Vec::new();
    for word in [
        "arch::x86",
        "arch::aarch64",
        "asm!",
        "target_feature(enable",
        "target_feature = \"avx",
        "target_feature = \"sse",
        "target_pointer_width = \"64\"",
    ] {
        if text.contains(word) {
            wrong.push(word);
        }
    }
    let names_one = ["target_arch = \"x86_64\"", "target_arch = \"aarch64\""];
    if names_one.iter().any(|name| text.contains(name))
        && !text.contains("cfg(not(any(target_arch")
        && !text.contains("cfg!(target_arch")
    {
        wrong.push("a target_arch without cfg(not(any(target_arch …))) for all others");
    }
    wrong
}

#[test]
fn no_code_is_for_one_processor_alone() {
    for dir in ["src", "benches"] {
        for (name, text) in files(dir) {
            let wrong = bound_to_a_processor(&text);
            assert!(wrong.is_empty(), "{name}: {}", wrong.join(", "));
        }
    }
    // The check can fail.
    for bad in [
        "use std::arch::x86_64::*;",
        "#[target_feature(enable = \"avx2\")]",
        "#[cfg(target_arch = \"x86_64\")]\nfn f() {}",
    ] {
        assert!(!bound_to_a_processor(bad).is_empty(), "{bad}");
    }
}

/// Every `rpc Name(` of the contract.
/// The RPCs of the doors, or those of the link between nodes.
fn rpcs(link: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/xiangyi");
    for area in fs::read_dir(root).unwrap() {
        let area = area.unwrap().path();
        if area.ends_with("link") != link {
            continue;
        }
        for file in fs::read_dir(area.join("v1")).unwrap() {
            for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
                if let Some(rest) = line.trim().strip_prefix("rpc ") {
                    names.insert(rest.split('(').next().unwrap().to_owned());
                }
            }
        }
    }
    assert!(names.len() >= if link { 6 } else { 13 }, "{names:?}");
    names
}

/// In `tests/it/doors.rs` each RPC stands in a table of calls that three tests run through: with a
/// denied caller, with bad input, and cancelled; in `tests/it/link.rs` those of the link. A new RPC
/// that is not in the table fails here.
#[test]
fn every_rpc_is_tested_with_a_denied_caller_bad_input_and_cancellation() {
    for (file, link) in
        [("tests/it/doors.rs", false), ("tests/it/link.rs", true), ("tests/it/enrolment.rs", true)]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(path).unwrap();
        // How a node gets its certificate is asked by those who are not known yet.
        let enrolment = [("Enrol", "desk.enrol("), ("RenewCertificate", "desk.renew_certificate(")];
        for rpc in rpcs(link) {
            let own = enrolment.iter().find(|(name, _)| *name == rpc);
            let call = match own {
                Some((_, call)) if file.ends_with("enrolment.rs") => (*call).to_owned(),
                None if !file.ends_with("enrolment.rs") => format!("\"{rpc}\""),
                Some(_) | None => continue,
            };
            assert!(text.contains(&call), "{file} does not call {rpc}");
        }
        for test in ["denied_callers", "bad_input", "cancelled_calls"] {
            assert!(text.contains(&format!("fn {test}")), "{file} has no test `{test}…`");
        }
    }
}

#[test]
fn the_clients_in_the_readme_are_the_ones_that_are_compiled_and_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    for (file, from) in [("examples/client.rs", "use xiangyi"), ("examples/client.py", "with grpc")]
    {
        let code = fs::read_to_string(root.join(file)).unwrap();
        let body = &code[code.find(from).unwrap()..];
        for line in body.lines().filter(|l| !l.trim().is_empty() && !l.contains("sys.argv")) {
            assert!(readme.contains(line), "README.md lacks this line of {file}: {line}");
        }
    }
}

/// Direct dependencies of `Cargo.toml` (kind and name), and those of the Python tests.
fn direct_dependencies() -> BTreeSet<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let mut found = BTreeSet::new();
    for (section, kind) in
        [("dependencies", "normal"), ("build-dependencies", "build"), ("dev-dependencies", "dev")]
    {
        for name in manifest.get(section).and_then(toml::Value::as_table).unwrap().keys() {
            found.insert((kind.to_owned(), name.clone()));
        }
    }
    assert!(!manifest.contains_key("target"), "dependencies of one target are not looked at here");
    let python = fs::read_to_string(root.join("tests/python/requirements.txt")).unwrap();
    for line in python.lines().filter(|line| line.starts_with(|c: char| c.is_alphanumeric())) {
        let name = line.split(['=', '[']).next().unwrap();
        found.insert(("python".to_owned(), name.to_owned()));
    }
    found
}

#[test]
fn every_direct_dependency_is_in_the_record_with_all_that_it_asks() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("supply-chain/dependencies.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let columns = reader.headers().unwrap().clone();
    assert_eq!(columns.iter().take(2).collect::<Vec<_>>(), ["name", "kind"]);
    let mut recorded = BTreeSet::new();
    for row in reader.records() {
        let row = row.unwrap();
        for (column, cell) in columns.iter().zip(&row) {
            assert!(!cell.trim().is_empty(), "{}: {column} is empty", &row[0]);
        }
        let new = recorded.insert((row[1].to_owned(), row[0].to_owned()));
        assert!(new, "{} ({}) is there twice", &row[0], &row[1]);
    }
    let direct = direct_dependencies();
    let missing: Vec<_> = direct.difference(&recorded).collect();
    let left: Vec<_> = recorded.difference(&direct).collect();
    assert!(missing.is_empty(), "supply-chain/dependencies.csv lacks {missing:?}");
    assert!(left.is_empty(), "supply-chain/dependencies.csv has what nothing needs: {left:?}");
}
