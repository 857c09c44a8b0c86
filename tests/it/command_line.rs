//! The program as a person and as systemd run it.

use std::io::{BufRead as _, BufReader, Write as _};
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `xiangyi serve` on a free port, and its address.
fn serve(change: impl FnOnce(&mut Command)) -> (Child, String, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let mut command = xiangyi(&["serve", "--json"]);
    command
        .env("XIANGYI_SERVER_LISTEN", "127.0.0.1:0")
        .env("XIANGYI_STORE_DIR", data.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    change(&mut command);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", started["grpc"].as_str().unwrap());
    (child, url, data)
}

fn terminate(child: &mut Child) -> bool {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    child.wait().unwrap().success()
}

/// ONNX Runtime leaves an identifier of the machine in the user's home unless it is told not to before it is
/// loaded.
#[test]
fn onnx_runtime_leaves_nothing_in_the_users_home() {
    let Some(library) = crate::harness::ort_library() else { return };
    for set in [None, Some("0")] {
        let home = tempfile::tempdir().unwrap();
        let mut command =
            xiangyi(&["diagnose", "--text", "发热伴咳嗽三天", "--age", "40", "--json"]);
        command
            .env("XIANGYI_MODELS_ENGINE", "onnxruntime")
            .env("ORT_DYLIB_PATH", &library)
            .env("HOME", home.path())
            .env_remove("XDG_CACHE_HOME")
            .env_remove("ORT_DISABLE_TELEMETRY");
        if let Some(set) = set {
            command.env("ORT_DISABLE_TELEMETRY", set);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "{set:?}");
    }
}

#[test]
fn help_explains_every_subcommand_and_every_one_has_json() {
    let help = text(&run(&["--help"]).stdout);
    for name in ["demo", "serve", "diagnose", "interview", "check", "models", "token", "config"] {
        assert!(help.contains(name), "{help}");
        let own = text(&run(&[name, "--help"]).stdout);
        assert!(own.contains("--json"), "{name}: {own}");
    }
}

#[test]
fn the_demo_runs_its_cases_over_grpc_and_exits_with_success() {
    let output = run(&["demo", "--once"]);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for words in ["病例 5", "红旗【立即】", "重复用药", "禁止 STOP", "未审核 UNCHECKED", "妊娠"]
        .into_iter()
        .chain(["秒后记录到村", "已停仍用  格列本脲片", "出院后2周内随访"])
    {
        assert!(shown.contains(words), "no `{words}` in\n{shown}");
    }
    let output = run(&["demo", "--once", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answers = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter::<Value>()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    assert_eq!(
        answers.len(),
        12,
        "a differential and a check for each of five cases, then a region"
    );
}

#[test]
fn diagnose_answers_in_process_and_through_a_node_alike() {
    let ask = [
        "diagnose",
        "--text",
        "发热3天，咳嗽咳黄痰，右胸痛",
        "--age",
        "45",
        "--sex",
        "male",
        "--json",
    ];
    let here = json(&run(&ask));
    let (mut child, url, _data) = serve(|_| {});
    let mut there = ask.to_vec();
    there.extend(["--server", &url]);
    let there = json(&run(&there));
    let conditions = |v: &Value| v["consultation"]["conditions"].clone();
    assert!(conditions(&here).as_array().is_some_and(|c| !c.is_empty()));
    assert_eq!(conditions(&here), conditions(&there));
    let models = json(&run(&["models", "--json", "--server", &url]));
    assert_eq!(models["models"][0]["model_id"], "gp-differential");
    assert!(terminate(&mut child), "SIGTERM ends in success");
}

/// `xiangyi interview` with these lines typed.
fn interview(arguments: &[&str], typed: &str) -> Output {
    let mut command =
        xiangyi(&["interview", "--text", "咳嗽3天", "--age", "30", "--questions", "3"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn an_interview_asks_takes_corrections_and_ends_with_a_consultation() {
    // The second answer is taken back and given anew; what is no answer is asked again.
    let output = interview(&[], "y\n也许\nn\nb\ny\n\n");
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let before_the_end = shown.split("读到（有）").next().unwrap();
    assert_eq!(before_the_end.matches("有没有").count(), 5, "{shown}");
    assert!(shown.contains("请回答：") && shown.contains("鉴别诊断"), "{shown}");

    let (mut child, url, _data) = serve(|_| {});
    let there = json(&interview(&["--json", "--server", &url], "y\nq\n"));
    let here = json(&interview(&["--json"], "y\nq\n"));
    let findings = |v: &Value| v["consultation"]["findings"].clone();
    assert!(findings(&here).as_array().is_some_and(|f| f.len() > 2), "{here}");
    assert_eq!(findings(&here), findings(&there));
    assert!(terminate(&mut child));
}

#[test]
fn check_reads_a_file_or_standard_input_and_stop_has_its_own_exit_code() {
    let mut child = xiangyi(&["check", "--file", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let order = r#"{"allergies": [{"name": "青霉素"}], "lines": [{"name": "阿莫西林胶囊"}]}"#;
    child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["check"]["findings"][0]["action"], "ACTION_STOP");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("order.json");
    std::fs::write(&file, "{\n  \"lines\": [{\"nam\": \"x\"}]\n}").unwrap();
    let output = run(&["check", "--file", file.to_str().unwrap()]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("order.json") && message.contains("nam"), "{message}");
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    let output = run(&["diagnose", "--text", "发热", "--age", "200"]);
    assert!(text(&output.stderr).contains("patient.age_years must be from 0 to 130"));
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["models", "--server", "http://127.0.0.1:1"]);
    assert!(text(&output.stderr).contains("cannot reach http://127.0.0.1:1"));
    let output = run(&["serve", "--config", "/no/such/file.toml"]);
    assert!(text(&output.stderr).contains("/no/such/file.toml"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "[server]\nlisten = \"0.0.0.0:0\"\n").unwrap();
    let output = run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("tls_cert"), "{}", text(&output.stderr));
}

#[test]
fn a_made_token_opens_a_node_that_admits_it() {
    let made = json(&run(&["token", "--name", "clinic-app", "--json"]));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    let section = format!(
        "[[auth.tokens]]\nname = \"clinic-app\"\nrole = \"village_doctor\"\nsha256 = {}\n",
        made["sha256"]
    );
    std::fs::write(&config, section).unwrap();
    let (mut child, url, _data) = serve(|c| {
        c.arg("--config").arg(&config);
    });
    let output = run(&["models", "--server", &url]);
    assert!(text(&output.stderr).contains("Unauthenticated"), "{}", text(&output.stderr));
    let token = made["token"].as_str().unwrap();
    let output =
        xiangyi(&["models", "--server", &url]).env("XIANGYI_TOKEN", token).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(terminate(&mut child));
}

#[test]
fn systemd_is_told_when_the_node_serves_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let (mut child, _url, _data) = serve(|c| {
        c.env("NOTIFY_SOCKET", &path);
    });
    let mut buffer = [0; 256];
    let read = socket.recv(&mut buffer).unwrap();
    assert_eq!(text(&buffer[..read]).trim(), "READY=1");
    assert!(terminate(&mut child));
    let read = socket.recv(&mut buffer).unwrap();
    assert_eq!(text(&buffer[..read]).trim(), "STOPPING=1");
}

#[test]
fn logs_at_debug_level_hold_no_patient_and_no_token() {
    let made = json(&run(&["token", "--name", "clinic-app", "--json"]));
    let token = made["token"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    let section = format!(
        "[[auth.tokens]]\nname = \"clinic-app\"\nrole = \"village_doctor\"\nsha256 = {}\n",
        made["sha256"]
    );
    std::fs::write(&config, section).unwrap();
    let log = folder.path().join("log");
    let (mut child, url, _data) = serve(|c| {
        c.arg("--config").arg(&config).env("XIANGYI_LOG_LEVEL", "debug");
        c.stderr(std::fs::File::create(&log).unwrap());
    });
    let text = "王小明秘密病情，发热3天";
    for age in ["45", "450"] {
        let mut ask = xiangyi(&["diagnose", "--text", text, "--age", age, "--server", &url]);
        ask.env("XIANGYI_TOKEN", token).output().unwrap();
    }
    assert!(terminate(&mut child));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("serving"), "{log}");
    for secret in ["王小明", "秘密", token, &made["sha256"].as_str().unwrap()[..16]] {
        assert!(!log.contains(secret), "`{secret}` in\n{log}");
    }
}

/// Peak resident memory of a process, in KiB.
fn peak_kib(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_flood_of_large_messages_leaves_memory_bounded() {
    let (mut child, url, _data) = serve(|_| {});
    let idle = peak_kib(&child);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(async {
        let channel = crate::harness::channel(&url).await;
        let mut message = vec![0x1a, 0x80, 0x80, 0x40];
        message.resize(4 + (1 << 20), b'a');
        let path = "/xiangyi.diagnosis.v1.DiagnosisService/Diagnose";
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..600 {
            calls.spawn(crate::harness::raw_call(channel.clone(), path, message.clone(), None));
        }
        calls.join_all().await.into_iter().filter(Result::is_err).count()
    });
    assert_eq!(refused, 600, "a megabyte is no complaint");
    let grown = peak_kib(&child).saturating_sub(idle);
    // 64 running calls of a message of at most 4 MiB each, in two copies, is the stated bound.
    assert!(grown < 512 * 1024, "grew by {grown} KiB");
    println!("idle {idle} KiB, under flood {grown} KiB more");
    assert!(terminate(&mut child));
}

#[test]
fn images_are_stored_found_fetched_drawn_and_assessed_from_the_command_line() {
    let (mut child, url, _data) = serve(|command| {
        command.env("XIANGYI_IMAGING_FREE_BYTES_MIN", "0");
    });
    let folder = tempfile::tempdir().unwrap();
    let ct =
        crate::images::file("pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm");
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::copy(&ct, folder.path().join("in/ct.dcm")).unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let imaging = |arguments: &[&str]| {
        let mut all = vec!["imaging"];
        all.extend(arguments);
        all.extend(["--server", &url]);
        run(&all)
    };
    let stored = imaging(&["store", &path("in")]);
    assert!(stored.status.success(), "{}", text(&stored.stderr));
    assert!(text(&stored.stdout).contains("新存 1"), "{}", text(&stored.stdout));
    std::fs::write(folder.path().join("in/text.txt"), "no image").unwrap();
    let again = imaging(&["store", &path("in"), "--json"]);
    assert!(!again.status.success(), "something was refused");
    let lines: Vec<Value> =
        text(&again.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["result"]["outcome"], "STORE_OUTCOME_KNOWN");
    assert_eq!(lines[1]["result"]["refusal"], "REFUSAL_REASON_NOT_DICOM");
    assert_eq!(lines[2]["summary"]["refused_count"], "1");

    let found = json(&imaging(&["search", "--modality", "CT", "--json"]));
    let study = found["studies"][0]["study_uid"].as_str().unwrap().to_owned();
    let patient = found["studies"][0]["patient"]["patient_id"].as_str().unwrap().to_owned();
    assert!(text(&imaging(&["search"]).stdout).contains(&study));

    let out = path("out");
    let fetched = json(&imaging(&["get", "--study", &study, "--out", &out, "--json"]));
    assert_eq!(fetched["fetched"], 1);
    let file = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&ct).unwrap();
    assert!(std::fs::read(&file).unwrap() == whole);
    let instance = file.file_stem().unwrap().to_str().unwrap().to_owned();
    // A part that is there goes on; one that is damaged is found out and fetched anew.
    let part = file.with_extension("part");
    std::fs::write(&part, &whole[..whole.len() / 2]).unwrap();
    std::fs::remove_file(&file).unwrap();
    let fetched = json(&imaging(&["get", "--study", &study, "--out", &out, "--json"]));
    assert_eq!(fetched["bytes"].as_u64(), u64::try_from(whole.len() - whole.len() / 2).ok());
    assert!(std::fs::read(&file).unwrap() == whole);
    let mut damaged = whole[..whole.len() / 2].to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&part, damaged).unwrap();
    std::fs::remove_file(&file).unwrap();
    let failed = imaging(&["get", "--study", &study, "--out", &out]);
    assert!(!failed.status.success() && !file.try_exists().unwrap());
    assert!(imaging(&["get", "--study", &study, "--out", &out]).status.success());
    assert!(std::fs::read(&file).unwrap() == whole);

    let png = path("frame.png");
    let drawn = imaging(&["render", "--instance", &instance, "--out", &png, "--window", "40,400"]);
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
    assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    let assess = ["assess", "--patient-id", &patient, "--text", "颅脑CT平扫"];
    let shown = imaging(&assess);
    assert!(text(&shown.stdout).contains("颅脑CT平扫："), "{}", text(&shown.stderr));
    assert!(terminate(&mut child), "SIGTERM ends in success");

    let lost = run(&["imaging", "search"]);
    assert!(text(&lost.stderr).contains("--server"), "{}", text(&lost.stderr));
}

#[test]
fn a_study_is_delivered_and_looked_at_by_a_model_from_the_command_line() {
    let models = crate::imaging_models::model(|text| text.replace("regions = [\"head\"]\n", ""));
    let dir = format!("{{ dir = {:?} }}", models.path().to_str().unwrap());
    let (mut child, url, _data) = serve(|command| {
        command.env("XIANGYI_IMAGING_FREE_BYTES_MIN", "0").env("XIANGYI_IMAGING_MODELS", dir);
    });
    let folder = tempfile::tempdir().unwrap();
    let ct =
        crate::images::file("pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let imaging = |arguments: &[&str]| {
        let mut all = vec!["imaging"];
        all.extend(arguments);
        all.extend(["--server", &url]);
        run(&all)
    };
    assert!(imaging(&["store", ct.to_str().unwrap()]).status.success());
    let found = json(&imaging(&["search", "--json"]));
    let study = found["studies"][0]["study_uid"].as_str().unwrap().to_owned();

    let listed = json(&imaging(&["models", "--json"]));
    assert_eq!(listed["models"][0]["model_id"], "mean");
    assert!(text(&imaging(&["models"]).stdout).contains("仅供研究"));
    let said = text(&imaging(&["analyse", "--study", &study]).stdout);
    assert!(said.contains("偏亮") && said.contains("模型提示，不是诊断报告"), "{said}");
    let again = text(&imaging(&["analyse", "--study", &study, "--json"]).stdout);
    let lines: Vec<Value> = again.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["analysis"]["outcome"], "ANALYSIS_OUTCOME_SAID_BEFORE");
    assert_eq!(lines[1]["summary"]["said_before_count"], "1");

    let out = path("out");
    let deliver = ["deliver", "--study", &study, "--out", &out, "--objects", "--json"];
    let (mut runs, mut objects) = (0, 0);
    loop {
        let mut arguments = deliver.to_vec();
        arguments.extend(["--bytes", "20000"]);
        let came = json(&imaging(&arguments));
        objects += came["objects"].as_u64().unwrap();
        runs += 1;
        assert!(runs < 20, "{came}");
        if came["complete"] == true {
            break;
        }
    }
    assert!(runs > 1);
    assert_eq!(objects, 2, "the image and what the model says of it");
    let names: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let ending = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
    assert_eq!((ending(".sheet.jpg"), ending(".1.jpg"), ending(".dcm")), (1, 1, 2), "{names:?}");
    let whole = std::fs::read(&ct).unwrap();
    let same =
        |name: &&String| std::fs::read(folder.path().join("out").join(name)).unwrap() == whole;
    assert_eq!(names.iter().filter(same).count(), 1, "byte for byte as it came");
    assert!(terminate(&mut child));
}

#[test]
fn what_stands_between_a_clinic_and_a_patient_is_shown_and_changed_from_the_command_line() {
    let (mut child, url, _data) = serve(|_| {});
    let call = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--server", &url]);
        run(&all)
    };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/records/wst500-53-stroke.xml");
    let kept = json(&call(&["record", "submit", file, "--json"]));
    let name = kept["name"].as_str().unwrap();
    let who = ["--name", "饶建国", "--resident-id", "36112119570317051X"];
    let register = |more: &[&str]| {
        let mut all = vec!["exchange", "register"];
        all.extend(who);
        all.extend(more);
        call(&all)
    };
    let refused = register(&["--relation", "contract"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("--until 2027"));
    let born = register(&["--relation", "registered", "--birth-date", "1957-03-18"]);
    assert!(!born.status.success() && text(&born.stderr).contains("person.birth_date"));
    let refused = register(&["--relation", "subscription"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("reason"));
    json(&register(&["--relation", "referral", "--until", "2099-12-31", "--json"]));
    json(&register(&["--relation", "subscription", "--reason", "卒中登记", "--json"]));
    let found = json(&call(&["record", "grants", name, "--json"]));
    assert_eq!(found["grants"].as_array().unwrap().len(), 1);
    assert_eq!(found["grants"][0]["kind"], "GRANT_KIND_REFERRAL");
    // The end of that day in China.
    assert_eq!(
        found["grants"][0]["untilMs"].as_str().or(found["grants"][0]["until_ms"].as_str()),
        Some("4102415999999")
    );
    let said = call(&["record", "present", name, "--check", "identity-card", "--hours", "2"]);
    assert!(text(&said.stdout).contains("正在本机构就诊，已看身份证"), "{}", text(&said.stderr));
    let mut left = vec!["record", "left"];
    left.extend(who);
    assert!(call(&left).status.success());
    assert!(!call(&left).status.success(), "nobody is here any more");
    json(&call(&["record", "withdraw", name, "--all", "--json"]));
    json(&call(&["record", "restore", name, "--all", "--json"]));
    let shown = call(&["record", "show", name, "--purpose", "emergency", "--break-glass", "急"]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("主要诊断") && shown.contains("诊疗过程"), "{shown}");
    let list = json(&call(&["record", "list", "--limit", "1", "--json"]));
    assert_eq!(list["records"][0]["version"], 1, "{list}");
    let wrong = call(&["record", "list", "--limit", "500"]);
    assert!(text(&wrong.stderr).contains("1..=200"));
    let other = std::fs::read_to_string(file).unwrap().replace("CYXJ20261118-0437", "CYXJ-2");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.xml");
    std::fs::write(&path, other).unwrap();
    json(&call(&["record", "submit", path.to_str().unwrap(), "--json"]));
    let first = text(&call(&["record", "list", "--limit", "1"]).stdout);
    let token = first.rsplit_once("--page ").expect("there are more records").1.trim().to_owned();
    let next = text(&call(&["record", "list", "--limit", "1", "--page", &token]).stdout);
    assert!(first.contains("CYXJ-2") && next.contains("CYXJ20261118-0437"), "{first}{next}");
    assert!(!next.contains("--page"), "{next}");
    let two = call(&["record", "submit", "/nowhere", file]);
    assert!(!two.status.success() && text(&two.stderr).contains("/nowhere"));
    assert!(
        text(&two.stdout).contains("此前已有"),
        "one that cannot be read does not stop the others"
    );
    let reviews = call(&["record", "reviews"]);
    assert!(text(&reviews.stdout).contains("没有待审查的紧急调阅"));
    let notices = json(&call(&["record", "notices", "--json"]));
    assert!(notices["notices"].as_array().is_none_or(Vec::is_empty));
    let unknown = call(&["record", "told", "nobody", "--how", "phone"]);
    assert!(!unknown.status.success() && text(&unknown.stderr).contains("open notice"));
    let unknown = call(&["record", "close-review", "nobody", "--finding", "属实"]);
    assert!(!unknown.status.success());
    assert!(terminate(&mut child));
}
