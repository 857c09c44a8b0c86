//! `xiangyi bench` as who chooses a box runs it: a real node, a short run, its report, and what is said of
//! bad input. A program of its own, and one run at a time: what is measured beside hundreds of other tests
//! says nothing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a check that cannot run fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xiangyi"));
    command.arg("bench").args(arguments).env("XIANGYI_MODELS_ENGINE", "rten").stdin(Stdio::null());
    command
}

/// The box for oneself.
fn alone() -> MutexGuard<'static, ()> {
    static BOX: Mutex<()> = Mutex::new(());
    BOX.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(arguments: &[&str]) -> Output {
    let _alone = alone();
    bench(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn states(report: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let sections = report["sections"].as_array().unwrap();
    sections.iter().map(|section| (word(&section["name"]), word(&section["state"]))).collect()
}

fn value(report: &Value, name: &str) -> f64 {
    let metrics = report["metrics"].as_array().unwrap();
    let found = metrics.iter().find(|metric| metric["name"] == name);
    let names: Vec<&Value> = metrics.iter().map(|metric| &metric["name"]).collect();
    found.unwrap_or_else(|| panic!("no {name} in {names:?}"))["value"].as_f64().unwrap()
}

#[test]
fn a_short_run_measures_a_node_and_its_report_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let site = path(&folder, "site.toml");
    let asked = "\"check.knee_per_second\" = { min = 1 }\n\"start.ready_ms\" = { max = 0.001 }\n";
    fs::write(&site, asked).unwrap();
    let (out, data) = (path(&folder, "out"), path(&folder, "data"));
    fs::create_dir(&data).unwrap();
    let output = run(&[
        "--quick",
        "--only",
        "start,check",
        "--json",
        "--out",
        &out,
        "--require",
        &site,
        "--data-dir",
        &data,
    ]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "a requirement is missed: {told}");
    assert!(told.contains("MISSED  start.ready_ms") && told.contains("met     check."), "{told}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "the folder is as it was");

    let report = report(&output);
    assert_eq!(report["schema"], "xiangyi-bench/1");
    assert_eq!(report["node"]["kind"], "child");
    assert_eq!(
        states(&report),
        [("start".into(), "measured".into()), ("check".into(), "measured".into())]
    );
    assert_eq!(report["whole"], true);
    let (knee, full) =
        (value(&report, "check.knee_per_second"), value(&report, "check.saturated_per_second"));
    assert!(knee > 1.0 && full > 1.0, "{knee} {full}");
    assert!(value(&report, "check.half_knee_p99_ms") >= value(&report, "check.half_knee_p50_ms"));
    assert!(value(&report, "start.loaded_mib") > 20.0 && value(&report, "check.cpu_ms") > 0.0);
    let steps = report["curves"][0]["steps"].as_array().unwrap();
    assert!(steps.len() > 3 && steps.iter().any(|step| step["missed"] == ""), "{steps:#?}");
    assert!(report["machine"]["cpu"]["cores"].as_u64().unwrap() > 0);

    let json = Path::new(&out).join("bench.json");
    let json = json.to_str().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(json).unwrap()).unwrap(), report);
    let page = fs::read_to_string(Path::new(&out).join("bench.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("处方审核") && page.contains("未达 missed"));

    let shown = text(&run(&["show", json]).stdout);
    assert!(shown.contains("拐点吞吐 knee") && shown.contains("启动就绪"), "{shown}");
    let same = run(&["compare", json, json, "--json"]);
    assert!(same.status.success());
    let rows = serde_json::from_slice::<Value>(&same.stdout).unwrap()["rows"].clone();
    assert!(rows.as_array().unwrap().iter().all(|row| row["ratio"] == 1.0), "{rows:#}");
    let held = run(&["compare", json, json, "--require", &site]);
    assert_eq!(held.status.code(), Some(3));
    assert!(text(&held.stdout).contains("1 missed"), "{}", text(&held.stdout));
}

#[test]
fn store_images_and_what_comes_after_an_outage_are_measured() {
    let output = run(&["--quick", "--only", "store", "imaging", "sync", "--json"]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{:#}", report["sections"]);
    for name in [
        "store.commits_1_per_second",
        "store.commits_64_per_second",
        "store.commit_p99_ms",
        "imaging.ingest_1_per_second",
        "imaging.ingest_4_mib_per_second",
        "imaging.retrieve_4_per_second",
        "imaging.retrieve_half_p99_ms",
        "sync.records_per_second",
    ] {
        assert!(value(&report, name) > 0.0, "{name}");
    }
    // Many share a wait for the disk.
    let (one, many) = (
        value(&report, "store.commits_1_per_second"),
        value(&report, "store.commits_64_per_second"),
    );
    assert!(many > one, "{one} alone, {many} of 64");
}

#[test]
fn a_model_that_cannot_be_run_is_named_and_the_others_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let broken = path(&folder, "broken.onnx");
    fs::write(&broken, "这不是模型").unwrap();
    let good = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/models/fixture.onnx");
    let missing = path(&folder, "missing.onnx");
    let output = run(&[
        "--quick",
        "--only",
        "models",
        "--threads",
        "1",
        "--batch",
        "1,2",
        "--json",
        "--model",
        &broken,
        "--model",
        good,
        "--model",
        &missing,
    ]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let notes = report["sections"][0]["notes"].to_string();
    assert!(notes.contains("broken on rten: rten failed to read the model"), "{notes}");
    assert!(notes.contains("missing.onnx"), "{notes}");
    let runs = report["models"].as_array().unwrap();
    let of = |id: &str, engine: &str| {
        let wanted = |run: &&Value| run["id"] == id && run["engine"] == engine;
        runs.iter().filter(wanted).collect::<Vec<_>>()
    };
    for (id, precisions) in [
        ("gp-differential", &["f32", "int8"][..]),
        ("indication-fit", &["f32"]),
        ("fixture", &["f32"]),
    ] {
        let runs = of(id, "rten");
        let mut found: Vec<_> = runs.iter().map(|run| run["precision"].as_str().unwrap()).collect();
        assert_eq!(found.len(), 2 * precisions.len(), "{id}");
        found.dedup();
        assert_eq!(found, precisions, "{id}");
        assert!(runs.iter().all(|run| run["p50_ms"].as_f64().unwrap() > 0.0), "{runs:#?}");
    }
    assert!(!of("broken", "rten")[0]["error"].as_str().unwrap().is_empty());
    let name = "model.fixture.rten.f32.t1.b2.rows_per_second";
    assert!(value(&report, name) > 0.0);
}

#[test]
fn a_node_elsewhere_is_driven_and_what_needs_its_own_is_left_out() {
    let data = tempfile::tempdir().unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_xiangyi"));
    serve
        .args(["serve", "--json"])
        .env("XIANGYI_MODELS_ENGINE", "rten")
        .env("XIANGYI_SERVER_LISTEN", "127.0.0.1:0")
        .env("XIANGYI_STORE_DIR", data.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut node = serve.spawn().unwrap();
    let mut line = String::new();
    let out = node.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", said["grpc"].as_str().unwrap());
    let output = run(&["--quick", "--only", "interview,start", "--json", "--server", &url]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(4), "a start is not measured of a node elsewhere");
    assert_eq!(report["node"]["kind"], "remote");
    assert_eq!(
        states(&report),
        [("start".into(), "skipped".into()), ("interview".into(), "measured".into())]
    );
    assert!(report["sections"][0]["notes"].to_string().contains("a node of its own"));
    assert!(value(&report, "interview_step.knee_per_second") > 0.0);
    assert!(terminate(&mut node));
    let output = run(&["--quick", "--only", "check", "--server", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert!(shown.contains("cannot reach http://127.0.0.1:1"), "{shown}");
}

fn terminate(child: &mut Child) -> bool {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    child.wait().unwrap().success()
}

/// Folders of nodes in the folder of a run, once there are some.
fn node_folder(data: &Path) -> Option<PathBuf> {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let found = inside(data).into_iter().flat_map(|run| inside(&run));
    found.into_iter().find(|path| path.join("node.toml").is_file())
}

#[test]
fn an_interrupted_run_tells_what_it_has_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = path(&folder, "data");
    fs::create_dir(&data).unwrap();
    let _alone = alone();
    let mut command =
        bench(&["--quick", "--only", "machine", "--soak", "5", "--json", "--data-dir", &data]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The node of the soak is there only after the machine was measured.
    while node_folder(Path::new(&data)).is_none() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let report = report(&output);
    assert_eq!(report["whole"], false);
    assert_eq!(
        states(&report),
        [("machine".into(), "measured".into()), ("soak".into(), "interrupted".into())]
    );
    assert!(value(&report, "disk.fsync_p50_ms") > 0.0);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "the folder is as it was");
}

#[test]
fn wrong_files_and_arguments_are_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = path(&folder, name);
        fs::write(&path, text).unwrap();
        path
    };
    let broken = write("broken.json", "{\"schema\": \"xiangyi-bench/1\", \"metr");
    let newer = write("newer.json", "{\"schema\": \"xiangyi-bench/7\"}");
    let lacking = write("lacking.json", "{\"schema\": \"xiangyi-bench/1\"}");
    let site = write("site.toml", "[\"diagnose.nee_per_second\"]\nmin = 3\n");
    for (arguments, words) in [
        (vec!["compare", &*broken, &*broken], "broken.json: is no JSON"),
        (vec!["show", &*newer], "newer.json: schema: `xiangyi-bench/7` was written by a newer"),
        (vec!["compare", &*lacking, &*newer], "lacking.json: program: is missing"),
        (vec!["show", "/no/such.json"], "/no/such.json"),
        (vec!["--require", &*site], "did you mean `diagnose.knee_per_second`"),
        (vec!["--out", "/proc/no/such"], "--out /proc/no/such"),
        (vec!["--data-dir", "/no/such"], "--data-dir /no/such"),
        (vec!["--only", "speed"], "invalid value 'speed'"),
        (vec!["--soak", "0"], "0 is not in 1..=240"),
    ] {
        let output = run(&arguments);
        let told = text(&output.stderr);
        assert!(told.contains(words), "{arguments:?}: {told}");
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let help = text(&run(&["--help"]).stdout);
    for words in ["open loop", "Exit code", "--require", "--soak", "compare", "--json"] {
        assert!(help.contains(words), "no `{words}` in {help}");
    }
    let schema: Value = serde_json::from_slice(&run(&["schema"]).stdout).unwrap();
    assert_eq!(schema["properties"]["schema"]["const"], "xiangyi-bench/1");
}
