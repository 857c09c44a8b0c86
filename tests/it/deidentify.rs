//! `xiangyi deidentify` as a person runs it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn xiangyi(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xiangyi"));
    command.args(arguments).env("XIANGYI_MODELS_ENGINE", "rten").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    xiangyi(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dicom").join(name)
}

/// A folder with a CT of a named patient, an ultrasound, and something that is no image.
fn inputs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = corpus("pydicom-bundled/test_files");
    fs::copy(from.join("CT_small.dcm"), folder.path().join("ZHANG_SAN_ct.dcm")).unwrap();
    fs::copy(from.join("examples_ybr_color.dcm"), folder.path().join("us.dcm")).unwrap();
    fs::write(folder.path().join("z_notes.txt"), "ZHANG SAN 13912345678").unwrap();
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn images_are_given_out_with_a_report_that_names_no_file_and_no_value() {
    let (from, to) = (inputs(), tempfile::tempdir().unwrap());
    let [key, made, report, list] =
        ["key", "made", "report.json", "inputs.csv"].map(|n| to.path().join(n));
    assert!(run(&["deidentify", "key", "--out", text(&key)]).status.success());
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let arguments = [
        "deidentify",
        "images",
        text(from.path()),
        "--out",
        text(&made),
        "--purpose",
        "teaching",
        "--key",
        text(&key),
        "--report",
        text(&report),
        "--inputs",
        text(&list),
        "--profile",
        "modified-dates,clean-descriptors",
    ];
    let first = run(&arguments);
    let shown = out(&first);
    // What is no image is refused, and the exit status says so.
    assert!(!first.status.success());
    assert!(shown.contains("输入 3 件，产出 1 件，扣留 1 件，不能处理 1 件"), "{shown}");
    assert!(shown.contains("扣留 第 2 件：burned_in_text"), "{shown}");
    let told: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(told["profile"].as_array().unwrap().len(), 3);
    assert_eq!(told["flags"]["burned_in_text"], 1);
    assert_eq!(told["key_kept"], true);
    let everything = format!("{shown}{told}{}", String::from_utf8_lossy(&first.stderr));
    for secret in
        ["ZHANG", "13912345678", "CompressedSamples", "1CT1", "JFK IMAGING", text(from.path())]
    {
        assert!(!everything.contains(secret), "{secret}");
    }
    assert!(fs::read_to_string(&list).unwrap().contains("1,"));
    let made_files = files(&made);
    assert_eq!(made_files.len(), 1);
    // The same once more is the same; the new file de-identified is itself.
    fs::remove_file(&list).unwrap();
    assert_eq!(out(&run(&arguments)), shown);
    let [again, other_list] = ["again", "other.csv"].map(|name| to.path().join(name));
    let mut twice = arguments;
    (twice[2], twice[4], twice[12]) = (text(&made), text(&again), text(&other_list));
    assert!(run(&twice).status.success());
    assert_eq!(fs::read(&files(&again)[0]).unwrap(), fs::read(&made_files[0]).unwrap());
}

#[test]
fn two_files_that_say_they_are_one_object_and_are_not_are_not_both_given_out() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ct = fs::read(corpus("pydicom-bundled/test_files/CT_small.dcm")).unwrap();
    let mut other = ct.clone();
    // A pixel.
    let last = other.len() - 200;
    other[last] ^= 1;
    for (name, bytes) in [("a.dcm", &ct), ("b.dcm", &ct), ("c.dcm", &other)] {
        fs::write(from.path().join(name), bytes).unwrap();
    }
    let key = to.path().join("key");
    assert!(run(&["deidentify", "key", "--out", text(&key)]).status.success());
    let made = to.path().join("made");
    let output = run(&[
        "deidentify",
        "images",
        text(from.path()),
        "--out",
        text(&made),
        "--purpose",
        "research",
        "--key",
        text(&key),
        "--json",
    ]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["made"], &told["refused"]), (&2.into(), &1.into()), "{told}");
    assert_eq!(files(&made).len(), 1);
}

#[test]
fn a_key_that_others_can_read_or_an_option_that_is_none_is_refused() {
    let (from, to) = (inputs(), tempfile::tempdir().unwrap());
    let key = to.path().join("key");
    assert!(run(&["deidentify", "key", "--out", text(&key)]).status.success());
    assert!(!run(&["deidentify", "key", "--out", text(&key)]).status.success());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let made = to.path().join("made");
    let of = |more: &[&str]| {
        let mut all = vec![
            "deidentify",
            "images",
            text(from.path()),
            "--out",
            text(&made),
            "--purpose",
            "research",
        ];
        all.extend(more);
        let output = run(&all);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(of(&["--key", text(&key)]).contains("chmod 600"));
    assert!(of(&["--profile", "everything"]).contains("clean-graphics"));
    assert!(of(&["--profile", "full-dates,modified-dates"]).contains("exclude each other"));
    assert!(!made.try_exists().unwrap());
}

#[test]
fn records_are_given_out_as_ours_and_as_fhir() {
    let to = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/records/fhir-synthea");
    let made = to.path().join("made");
    let output = run(&[
        "deidentify",
        "records",
        text(&from),
        "--out",
        text(&made),
        "--purpose",
        "research",
        "--json",
    ]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = told["made"].as_u64().unwrap();
    assert!(count >= 20, "{told}");
    let made = files(&made);
    assert_eq!(made.len(), usize::try_from(count).unwrap() * 2);
    for path in files(&from) {
        let source: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap_or_default();
        let entries = source["entry"].as_array().cloned().unwrap_or_default();
        let Some(patient) =
            entries.iter().map(|e| &e["resource"]).find(|r| r["resourceType"] == "Patient")
        else {
            continue;
        };
        let family = patient["name"][0]["family"].as_str().unwrap_or("no such name");
        let phone = patient["telecom"][0]["value"].as_str().unwrap_or("no such phone");
        for file in &made {
            let written = fs::read_to_string(file).unwrap();
            assert!(!written.contains(family) && !written.contains(phone));
        }
    }
}

#[test]
fn a_table_loses_its_small_cells_and_what_would_give_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["in.csv", "out.csv"].map(|name| folder.path().join(name));
    fs::write(
        &from,
        "\u{feff}村,高血压,糖尿病,合计\n甲,3,40,43\n乙,50,60,110\n丙,70,80,150\n合计,123,180,303\n",
    )
    .unwrap();
    let output =
        run(&["deidentify", "table", text(&from), "--out", text(&to), "--purpose", "research"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out(&output).contains("小单元格 1 个，为防由合计推算另压 3 个（合计行和合计列）"));
    assert_eq!(
        fs::read_to_string(&to).unwrap(),
        "村,高血压,糖尿病,合计\n甲,*,*,43\n乙,*,*,110\n丙,70,80,150\n合计,123,180,303\n"
    );
    fs::write(&from, "v,n\nA,3\nB,4\ntotal,8\n").unwrap();
    let output =
        run(&["deidentify", "table", text(&from), "--out", text(&to), "--purpose", "research"]);
    assert!(
        !output.status.success() && out(&output).contains("row 4, column 2"),
        "{}",
        out(&output)
    );
}

struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_archive_of_a_node_that_does_not_run_is_given_out() {
    use std::io::BufRead as _;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    let data = folder.path().join("data");
    fs::write(
        &config,
        format!("[server]\nlisten = \"127.0.0.1:0\"\n[store]\ndir = {data:?}\n[imaging]\nfree_bytes_min = 0\nsegment_bytes = 16777216\n"),
    )
    .unwrap();
    let child = xiangyi(&["serve", "--json", "--config", text(&config)])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Stopped(child);
    let mut line = String::new();
    std::io::BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", started["grpc"].as_str().unwrap());
    let ct = corpus("pydicom-bundled/test_files/CT_small.dcm");
    let mr = corpus("pydicom-bundled/test_files/MR_small.dcm");
    let stored = run(&["imaging", "store", text(&ct), text(&mr), "--server", &url]);
    assert!(stored.status.success(), "{}", String::from_utf8_lossy(&stored.stderr));
    let id = child.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(child.0.wait().unwrap().success());
    let made = folder.path().join("made");
    let all = [
        "deidentify",
        "images",
        "--archive",
        "--config",
        text(&config),
        "--out",
        text(&made),
        "--purpose",
        "research",
        "--json",
    ];
    let output = run(&all);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["inputs"], &told["made"]), (&2.into(), &2.into()), "{told}");
    assert_eq!(files(&made).len(), 2);
    let one = [&all[..], &["--study", "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"]].concat();
    let told: Value = serde_json::from_slice(&run(&one).stdout).unwrap();
    assert_eq!(told["inputs"], 1, "{told}");
    // Each run's studies are in the trail, once, with whose they are and why.
    let trail = run(&["audit", "export", "--format", "csv", "--config", text(&config)]);
    let trail = csv::Reader::from_reader(&trail.stdout[..])
        .into_deserialize::<std::collections::HashMap<String, String>>()
        .map(Result::unwrap)
        .filter(|entry| entry["action"] == "deidentify_images")
        .map(|e| (e["patient_reference"].clone(), e["detail"].clone(), e["outcome"].clone()))
        .collect::<Vec<_>>();
    let entry =
        |patient: &str| (patient.to_owned(), "purpose research".to_owned(), "ok".to_owned());
    assert_eq!(trail, [entry("1CT1"), entry("4MR1"), entry("1CT1")]);
    let verified = run(&["audit", "verify", "--config", text(&config)]);
    assert!(verified.status.success(), "{}", out(&verified));
}
