//! OPERATIONS.md, the dashboard and the alerts say what the program does: fields of logs, metrics, faults
//! and the tests that make them. That the table of metrics is what is exposed is in `src/telemetry/tests.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "a check that cannot run fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Types that a field of a log may have in the table.
const TYPES: [&str; 3] = ["text", "number", "bool"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

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

/// The section of OPERATIONS.md under a heading of the second level.
fn section(heading: &str) -> String {
    let text = read("OPERATIONS.md");
    let begin = text.find(&format!("\n## {heading}")).unwrap_or_else(|| panic!("no {heading}"));
    let rest = &text[begin + 4..];
    rest[..rest.find("\n## ").unwrap_or(rest.len())].to_owned()
}

/// The text up to the bracket that closes what was opened before it; brackets in texts do not count.
fn inside(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return &text[..at],
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    panic!("a macro without end: {text:.80}");
}

/// Parts between commas that stand in no bracket and no text.
fn parts(text: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut all = vec![String::new()];
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().unwrap().push(c);
    }
    all.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Every name of a field in every macro of `tracing`, with where it stands.
fn fields() -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    rust_files(&root().join("src"), &mut paths);
    let mut found = BTreeMap::new();
    let mut macros = 0;
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("tracing::") {
            let rest = &text[at + "tracing::".len()..];
            let Some((name, after)) = rest.split_once("!(") else { continue };
            let levels = ["trace", "debug", "info", "warn", "error", "event"];
            let is_macro = levels.iter().any(|l| name == *l || name == format!("{l}_span"))
                || ["span", "enabled"].contains(&name);
            if !is_macro {
                continue;
            }
            macros += 1;
            for part in parts(inside(after)) {
                if part.starts_with('"') || part.starts_with("target:") {
                    continue;
                }
                let name = part.split('=').next().unwrap().trim();
                let name = name.trim_start_matches(['%', '?']);
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
                assert!(
                    !name.is_empty() && name.chars().all(is_name),
                    "{}: a field that this test cannot read: {part}",
                    path.display()
                );
                found.insert(name.to_owned(), path.display().to_string());
            }
        }
    }
    // A new way of writing them down would go unseen otherwise.
    assert!(macros > 200, "only {macros} macros of tracing were found");
    found
}

#[test]
fn every_field_of_the_log_is_in_the_table_and_no_other_is() {
    let mut rows = BTreeSet::new();
    for line in section("Logs").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, meaning] = cells[..] else { panic!("{line}") };
        assert!(TYPES.contains(&kind) && !meaning.is_empty(), "{line}");
        assert!(rows.insert(name.trim_matches('`').to_owned()), "{name} is there twice");
    }
    let used = fields();
    let missing: Vec<_> = used.iter().filter(|(name, _)| !rows.contains(*name)).collect();
    assert!(missing.is_empty(), "OPERATIONS.md (Logs) lacks {missing:?}");
    // What every line has, besides.
    let left: Vec<_> =
        rows.iter().filter(|name| !used.contains_key(*name) && *name != "message").collect();
    assert!(left.is_empty(), "OPERATIONS.md (Logs) has what no line of the program has: {left:?}");
}

#[test]
fn fields_are_read_as_the_macros_have_them() {
    let macros = r#"%error, peer = f(a, "x, y)"), "said, {x}", ?recovery, n = g[1]"#;
    let read = parts(inside(&format!("{macros}); more")));
    assert_eq!(
        read,
        ["%error", r#"peer = f(a, "x, y)")"#, r#""said, {x}""#, "?recovery", "n = g[1]"]
    );
}

/// Metrics of the table.
fn metrics() -> BTreeSet<String> {
    let section = section("Metrics");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `xiangyi_"));
    let all: BTreeSet<_> =
        rows.map(|rest| format!("xiangyi_{}", rest.split('`').next().unwrap())).collect();
    assert!(all.len() > 40, "{all:?}");
    all
}

/// Names of metrics in an expression, without what a histogram adds.
fn named(expr: &str) -> BTreeSet<String> {
    let known = metrics();
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("xiangyi_"))
        .map(|word| {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            base.filter(|base| known.contains(*base)).unwrap_or(word).to_owned()
        })
        .collect()
}

/// Title and expression of every target of the dashboard.
fn targets() -> Vec<(String, String)> {
    let text = read("ops/grafana/xiangyi.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    let mut ids = BTreeSet::new();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id");
        let title = panel["title"].as_str().unwrap().to_owned();
        match panel["type"].as_str().unwrap() {
            "row" => continue,
            "stat" | "timeseries" => {}
            other => panic!("{title}: {other} is no kind of panel that is used here"),
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            all.push((title.clone(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    assert!(all.len() > 40);
    all
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_there_are_and_the_dashboard_all_of_them() {
    let known = metrics();
    let mut shown = BTreeSet::new();
    for (title, expr) in targets() {
        for name in named(&expr) {
            assert!(known.contains(&name), "dashboard, {title}: there is no {name}");
            shown.insert(name);
        }
        assert!(expr.contains("instance=~\"$instance\""), "{title}: not of the chosen nodes");
    }
    // The time at which the oldest came says the same as its age.
    let left: Vec<_> = known
        .difference(&shown)
        .filter(|name| *name != "xiangyi_exchange_oldest_milliseconds")
        .collect();
    assert!(left.is_empty(), "the dashboard does not show {left:?}");
    let alerts = read("ops/prometheus/alerts.yml");
    let expressions: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() > 10);
    for expr in expressions {
        for name in named(expr) {
            assert!(known.contains(&name), "alerts: there is no {name}");
        }
    }
}

/// Runs promtool; where there is none says so, and gives none.
fn promtool(arguments: &[&str], folder: &Path) -> Option<String> {
    let run = Command::new("promtool").args(arguments).current_dir(folder).output();
    let Ok(done) = run else {
        let _ = writeln!(std::io::stderr(), "NOT RUN: promtool is not installed (prometheus)");
        return None;
    };
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "promtool {arguments:?}: {said}");
    Some(said)
}

#[test]
fn prometheus_reads_the_alerts_their_tests_and_every_expression_of_the_dashboard() {
    let folder = root().join("ops/prometheus");
    if promtool(&["check", "rules", "alerts.yml"], &folder).is_none() {
        return;
    }
    promtool(&["test", "rules", "alerts_test.yml"], &folder);
    promtool(&["check", "config", "prometheus.yml"], &folder);
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (at, (_, expr)) in targets().iter().enumerate() {
        let expr = expr.replace("$__rate_interval", "5m").replace("$instance", ".*");
        let quoted = Value::String(expr);
        writeln!(rules, "      - record: dashboard_{at}\n        expr: {quoted}").unwrap();
    }
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("dashboard.yml"), rules).unwrap();
    promtool(&["check", "rules", "dashboard.yml"], scratch.path());
    fs::write(
        scratch.path().join("broken.yml"),
        "groups:\n  - name: x\n    rules:\n      - record: a\n        expr: rate(x[5m]\n",
    )
    .unwrap();
    let broken = Command::new("promtool")
        .args(["check", "rules", "broken.yml"])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(!broken.status.success(), "promtool takes what is no expression");
}

#[test]
fn every_fault_says_what_is_seen_what_to_do_and_which_test_makes_it() {
    let faults = section("Likely faults");
    let mut tests = String::new();
    let mut paths = Vec::new();
    rust_files(&root().join("tests/it"), &mut paths);
    for path in paths {
        tests.push_str(&fs::read_to_string(path).unwrap());
    }
    let alerts = read("ops/prometheus/alerts.yml");
    let mut count = 0;
    for fault in faults.split("\n### ").skip(1) {
        count += 1;
        let title = fault.lines().next().unwrap();
        assert!(title.starts_with(&format!("{count}. ")), "{title}: out of order");
        for part in ["**Seen:**", "**Why:**", "**Do:**", "**Do not:**", "**Test:**"] {
            assert_eq!(fault.matches(part).count(), 1, "{title}: {part}");
        }
        let made = fault.split("**Test:**").nth(1).unwrap();
        for name in made.split('`').skip(1).step_by(2) {
            let is_file = name.starts_with("tests/");
            let there = if is_file {
                root().join(name).try_exists().unwrap()
            } else {
                tests.contains(&format!("fn {name}("))
            };
            assert!(there, "{title}: there is no {name}");
        }
        for word in fault.split('`').skip(1).step_by(2).filter(|w| w.starts_with("Xiangyi")) {
            assert!(alerts.contains(&format!("alert: {word}\n")), "{title}: no alert {word}");
        }
    }
    assert!(count >= 10, "{count} faults");
    // The Chinese ones name the same messages, metrics, keys and commands, fault by fault.
    let chinese = read("OPERATIONS.zh.md");
    let quoted = |text: &str| -> BTreeSet<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let theirs: Vec<&str> = chinese.split("\n### ").skip(1).collect();
    assert_eq!(theirs.len(), count);
    for (own, other) in faults.split("\n### ").skip(1).zip(theirs) {
        let title = other.lines().next().unwrap();
        assert_eq!(own.split('.').next(), other.split('.').next(), "{title}");
        for part in ["**看到：**", "**原因：**", "**处理：**", "**切勿：**"] {
            assert_eq!(other.matches(part).count(), 1, "{title}: {part}");
        }
        let own = own.split("- **Test:**").next().unwrap();
        assert_eq!(quoted(own), quoted(other), "{title}");
    }
    // And what an alert sends somebody to is there.
    for line in alerts.lines().filter(|line| line.contains("fault: ")) {
        let number: usize = line.split('"').nth(1).unwrap().parse().unwrap();
        assert!((1..=count).contains(&number), "{line}");
    }
}
