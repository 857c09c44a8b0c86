//! The likely faults of OPERATIONS.md, each made on purpose: what a node and `xiangyi doctor` say of it, and
//! that the remedy helps. Doctor runs as a program of its own, as an operator runs it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;
use xiangyi::app::chain;
use xiangyi::config::{Config, EngineName, PeerSection};
use xiangyi::node::Node;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;

use crate::at_rest::master;
use crate::enrolment;
use crate::harness::{Setup, TestNode, complaint, ort_library};
use crate::images::{Slice, as_data_set, small, store, store_slices};
use crate::records::{self, handed_over, has, status, stroke, submit};
use crate::region::until;

/// What `xiangyi doctor` found.
#[derive(Debug)]
struct Found {
    code: i32,
    lines: Vec<Value>,
}

impl Found {
    /// Whether a line of this standing says these words, in its subject, what was found or what to do.
    fn says(&self, standing: &str, words: &[&str]) -> bool {
        self.lines.iter().any(|line| {
            let all =
                ["check", "subject", "found", "advice"].map(|key| line[key].as_str().unwrap());
            line["standing"] == standing && words.iter().all(|word| all.join(" ").contains(word))
        })
    }

    fn failed(&self, words: &[&str]) {
        assert!(self.says("failed", words), "no failure says {words:?}: {self:#?}");
        assert_eq!(self.code, 1);
        let advice = |line: &&Value| line["standing"] == "failed" && line["advice"] == "";
        assert!(!self.lines.iter().any(|line| advice(&line)), "nothing to do: {self:#?}");
    }

    fn fine(&self) {
        let bad: Vec<_> = self.lines.iter().filter(|line| line["standing"] == "failed").collect();
        assert!(bad.is_empty() && self.code == 0, "{bad:#?}");
    }
}

/// `xiangyi doctor`, before it is run.
struct Doctor {
    command: Command,
    _file: TempDir,
}

impl Doctor {
    fn of(config: &Config, only: &str) -> Self {
        Self::at(config, only, None)
    }

    /// As of a time that is so far off, in the words of `faketime`.
    fn at(config: &Config, only: &str, off: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.toml");
        std::fs::write(&file, config.to_toml()).unwrap();
        let program = env!("CARGO_BIN_EXE_xiangyi");
        let mut command = match off {
            Some(off) => {
                let mut command = Command::new("faketime");
                command.args(["-f", off, program]);
                command
            }
            None => Command::new(program),
        };
        command.args(["doctor", "--json", "--only", only, "--config"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, _file: folder }
    }

    /// Runs it. Nodes of this process go on meanwhile.
    async fn look(mut self) -> Found {
        let work = move || self.command.output().unwrap();
        let done = tokio::task::spawn_blocking(work).await.unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        let object: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|e| {
            panic!("{e}: {said}");
        });
        assert_eq!(object["form"], 1);
        let lines = object["lines"].as_array().unwrap().clone();
        Found { code: done.status.code().unwrap(), lines }
    }
}

async fn doctor(config: &Config, only: &str) -> Found {
    Doctor::of(config, only).look().await
}

/// A configuration whose data lies in `data`.
fn config_in(setup: Setup, data: &Path) -> Config {
    let mut config = setup.config;
    data.clone_into(&mut config.store.dir);
    // A node makes it so; what a test makes others may look into.
    if data.is_dir() {
        std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    config
}

/// The message with which a node refuses to start.
async fn refusal(config: &Config) -> String {
    chain(&Box::pin(Node::start(config.clone())).await.expect_err("the node must not start"))
}

/// A node that was started, has kept something, and was stopped.
async fn used(setup: Setup) -> (Config, TempDir) {
    let config = setup.config.clone();
    let node = setup.start().await;
    node.diagnose(complaint("发热3天，咳嗽")).await.unwrap();
    let TestNode { node, data, .. } = node;
    assert!(node.stop().await, "drains");
    (config_in(Setup { config }, data.path()), data)
}

/// Whether `faketime` is here; where it is not says so. With `XIANGYI_REQUIRE_ORT` set, as in CI, that is a
/// failure.
fn can_fake_time() -> bool {
    let is_here = Command::new("faketime").arg("--version").output().is_ok();
    #[expect(clippy::disallowed_methods, reason = "tests learn here what the machine has")]
    let required = std::env::var("XIANGYI_REQUIRE_ORT").is_ok();
    assert!(is_here || !required, "faketime is not installed");
    if !is_here {
        let _ = writeln!(std::io::stderr(), "NOT RUN: faketime is not installed");
    }
    is_here
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_with_room_images_are_taken_again() {
    let data = tempfile::tempdir().unwrap();
    let full = small().with(|c| c.imaging.free_bytes_min = u64::MAX / 4);
    let config = config_in(Setup { config: full.config.clone() }, data.path());
    let node = full.start_in(data).await;
    let slice = Slice::head("1.2.77", 1);
    let stored = store(&node, as_data_set(&slice.uid(), &slice.bytes())).await.unwrap();
    let refused = &stored.results[0];
    assert_eq!(refused.outcome(), im::StoreOutcome::Refused, "{refused:?}");
    assert!(refused.retryable && refused.reason == "archive is full", "{refused:?}");
    let found = doctor(&config, "disk").await;
    found.failed(&["disk", "no image is taken", "make room"]);
    let TestNode { node, data, .. } = node;
    assert!(node.stop().await, "drains");
    // There is room again.
    let node = small().start_in(data).await;
    store_slices(&node, &[slice]).await;
    let mut config = config;
    config.imaging.free_bytes_min = 1;
    doctor(&config, "disk").await.fine();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_behind_its_own_entries_or_the_hub_is_told() {
    if !can_fake_time() {
        return;
    }
    let hub = records::hub().await;
    let node = records::node("village", &hub).await;
    node.diagnose(complaint("发热3天，咳嗽")).await.unwrap();
    let mut config = config_in(Setup::new(), node.data.path());
    "village".clone_into(&mut config.node.name);
    config.link.hub = Some(format!("http://{}", hub.node.link_address().unwrap()));
    config.link.token_file = Some(node.data.path().join("link-token"));
    let found = Doctor::at(&config, "clock", Some("-3d")).look().await;
    found.failed(&["clock", "behind the newest entry of the audit trail"]);
    found.failed(&["clock", "s behind the hub's", "chronyc makestep"]);
    let found = Doctor::at(&config, "clock", Some("+1h")).look().await;
    found.failed(&["clock", "s ahead of the hub's"]);
    let found = Doctor::at(&config, "clock", Some("-2y")).look().await;
    found.failed(&["clock", "is not set"]);
    // Set right.
    let found = doctor(&config, "clock").await;
    found.fine();
    assert!(found.says("ok", &["hub's clock", "agrees"]), "{found:?}");
    assert!(found.says("ok", &["audit trail", "is not behind"]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ended_or_was_revoked_is_told_and_enrolling_again_mends_it() {
    let region = enrolment::region().await;
    let (_, config, _data) = region.enrolled("a").await;
    doctor(&config, "keys,hub").await.fine();
    region.revoke_node("a").await;
    let found = until("the revocation is known", async || {
        let found = doctor(&config, "hub").await;
        (found.code == 1).then_some(found)
    })
    .await;
    found.failed(&["hub", "does not let this node in", "enrol-code"]);
    region.enrol_again(&config).await;
    let found = doctor(&config, "keys,hub").await;
    found.fine();
    assert!(found.says("ok", &["certificate is good for"]), "{found:?}");
    if can_fake_time() {
        let found = Doctor::at(&config, "keys,hub", Some("+100d")).look().await;
        found.failed(&["keys", "identity.pem", "ended"]);
        found.failed(&["hub", "the certificate of this node ended", "enrol-code"]);
        let found = Doctor::at(&config, "keys", Some("+80d")).look().await;
        assert!(found.says("warning", &["keys", "identity.pem", "ends in"]), "{found:?}");
    }
    // A key that others can read.
    let identity = config.store.dir.join("link/identity.pem");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&identity, open).unwrap();
    doctor(&config, "keys").await.failed(&["identity.pem", "chmod 600"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_not_there_is_told_step_by_step_and_what_waited_goes_out() {
    let hub = records::hub().await;
    let address = hub.node.link_address().unwrap();
    let county = records::node("county", &hub).await;
    let mut config = config_in(Setup::new(), county.data.path());
    "county".clone_into(&mut config.node.name);
    config.link.hub = Some(format!("http://{address}"));
    config.link.token_file = Some(county.data.path().join("link-token"));
    let found = until("it is connected", async || {
        let found = doctor(&config, "hub").await;
        found.says("ok", &["has this node connected"]).then_some(found)
    })
    .await;
    found.fine();
    // Being looked at does not end its line.
    until("the metric says so", async || {
        county.metrics().await.contains("xiangyi_link_connected{to=\"hub\"} 1").then_some(())
    })
    .await;
    let TestNode { node, data, .. } = hub;
    assert!(node.stop().await, "drains");
    doctor(&config, "hub").await.failed(&["hub", "nobody listens at", "works on"]);
    until("the metric says so", async || {
        county.metrics().await.contains("xiangyi_link_connected{to=\"hub\"} 0").then_some(())
    })
    .await;
    let first = submit(&county, stroke("CYXJ-WAITS")).await;
    assert_eq!(status(&county).await.waiting, 1);
    for (url, words) in [
        ("https://hub.invalid:50061", ["the name hub.invalid is not found", "getent hosts"]),
        ("http://127.0.0.1:1", ["nobody listens at 127.0.0.1:1", "link.listen"]),
    ] {
        let mut wrong = config.clone();
        wrong.link.hub = Some(url.to_owned());
        wrong.link.token_file = wrong.link.token_file.filter(|_| url.starts_with("http:"));
        doctor(&wrong, "hub").await.failed(&words);
    }
    let hub = records::hub_with(data, |c| c.link.listen = Some(address)).await;
    handed_over(&county).await;
    assert_eq!(status(&county).await.waiting, 0, "{}", first.name);
    until("doctor sees it connected", async || {
        let found = doctor(&config, "hub").await;
        found.says("ok", &["has this node connected"]).then_some(())
    })
    .await;
    // Another node's token.
    std::fs::write(county.data.path().join("link-token"), "nobody's").unwrap();
    doctor(&config, "hub").await.failed(&["does not let this node in", "link.nodes"]);
    drop(hub);
}

/// Spoils pages in the middle of a file.
fn spoil(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let pages = bytes.len() / 4096;
    assert!(pages > 4);
    for page in (pages / 4).max(1)..pages {
        bytes[page * 4096 + 8..page * 4096 + 4000].fill(0xa5);
    }
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_told_and_a_backup_takes_its_place() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master.key", 7);
    let (config, data) =
        Box::pin(used(Setup::new().with(|c| c.encryption.key_file = Some(key.clone())))).await;
    doctor(&config, "database").await.fine();
    let backup = keys.path().join("backup");
    let xiangyi = |arguments: &[&Path]| {
        let file = keys.path().join("node.toml");
        std::fs::write(&file, config.to_toml()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xiangyi"));
        command.arg("admin").args(arguments).arg("--config").arg(file);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    xiangyi(&[Path::new("backup"), &backup]);
    // One whose log was copied into it, as a backup's is.
    let restored = |name: &str| {
        let new = keys.path().join(name);
        xiangyi(&[Path::new("restore"), &backup, &new]);
        config_in(Setup { config: config.clone() }, &new)
    };
    let spoilt = restored("spoilt");
    doctor(&spoilt, "database").await.fine();
    spoil(&spoilt.store.dir.join("xiangyi.db"));
    let found = doctor(&spoilt, "database").await;
    found.failed(&["database", "xiangyi.db", "is damaged", "xiangyi admin restore"]);
    let restored = restored("new");
    doctor(&restored, "database,keys").await.fine();
    let node = Box::pin(Node::start(restored)).await.unwrap();
    assert!(node.stop().await, "drains");
    // A database that is gone while others are there: a start would begin anew over it.
    std::fs::remove_file(data.path().join("xiangyi.db")).unwrap();
    doctor(&config, "database").await.failed(&["xiangyi.db", "is not there, and others are"]);
    assert!(!data.path().join("xiangyi.db").try_exists().unwrap(), "doctor makes none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_lost_or_open_to_others_is_told_and_put_back() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master.key", 7);
    let (config, _data) =
        Box::pin(used(Setup::new().with(|c| c.encryption.key_file = Some(key.clone())))).await;
    doctor(&config, "keys,database").await.fine();
    let mode = |mode| {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    assert!(refusal(&config).await.contains("chmod 600"));
    doctor(&config, "keys").await.failed(&["keyring", "can be read by others than its owner"]);
    mode(0o600);
    let away = keys.path().join("away.key");
    std::fs::rename(&key, &away).unwrap();
    assert!(refusal(&config).await.contains("cannot read the secret"));
    doctor(&config, "keys,database").await.failed(&["keyring", "cannot read the secret", "put"]);
    assert!(!key.try_exists().unwrap(), "no other is made");
    std::fs::write(&key, [8; 32]).unwrap();
    mode(0o600);
    doctor(&config, "keys").await.failed(&["keyring"]);
    std::fs::rename(&away, &key).unwrap();
    doctor(&config, "keys,database").await.fine();
    // The section taken out.
    let mut off = config.clone();
    off.encryption.key_file = None;
    doctor(&off, "keys").await.failed(&["keyring", "is encrypted (keyring.json)"]);

    // A hub's own key.
    let hub = records::hub().await;
    let mut config = config_in(Setup::new(), hub.data.path());
    config.node.role = xiangyi::config::NodeRole::Hub;
    config.link.listen = Some("127.0.0.1:0".parse().unwrap());
    doctor(&config, "keys").await.fine();
    let path = hub.data.path().join("hub.key");
    let kept = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let found = doctor(&config, "keys").await;
    found.failed(&["hub.key", "is lost", "do not start the hub"]);
    assert!(!path.try_exists().unwrap(), "doctor makes none");
    std::fs::write(&path, kept).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    doctor(&config, "keys").await.fine();
}

/// A copy of the tables and models, signed.
fn signed_release(folder: &Path) -> PathBuf {
    let dir = folder.join("models");
    let files = xiangyi::embedded::files();
    for path in files.paths() {
        let to = dir.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, files.bytes(path).unwrap()).unwrap();
    }
    let key = folder.join("release.key");
    let xiangyi = |arguments: &[&Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xiangyi"));
        let done = command.arg("models").args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    xiangyi(&[Path::new("keygen"), Path::new("--out"), &key]);
    xiangyi(&[Path::new("sign"), &dir, Path::new("--key"), &key]);
    dir
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_table_is_named_and_the_release_put_back_serves() {
    let folder = tempfile::tempdir().unwrap();
    let dir = signed_release(folder.path());
    let setup = Setup::new().with(|c| c.models.dir = Some(dir.clone()));
    let config = config_in(setup, &folder.path().join("data"));
    let table = dir.join("diagnosis/red_flags.csv");
    let kept = std::fs::read(&table).unwrap();
    let mut altered = kept.clone();
    *altered.last_mut().unwrap() ^= 1;
    std::fs::write(&table, altered).unwrap();
    let words = "is not the file that was signed";
    let message = refusal(&config).await;
    assert!(message.contains(words) && message.contains("red_flags.csv"), "{message}");
    let found = doctor(&config, "models").await;
    found.failed(&["models.dir", "red_flags.csv", words, "xiangyi models verify"]);
    std::fs::write(&table, kept).unwrap();
    let found = doctor(&config, "models").await;
    found.fine();
    assert!(found.says("ok", &["models pass their self-test"]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_know_our_title_is_told_and_answers_once_it_does() {
    let peer = |title: &str, address: Option<String>| PeerSection {
        ae_title: title.to_owned(),
        address,
        hosts: vec!["127.0.0.1".parse().unwrap()],
        tls: false,
        certificates: Vec::new(),
        services: [xiangyi::app::imaging::peers::Service::Echo].into(),
        character_set: xiangyi::sharing::imaging::charset::Encoding::Utf8,
    };
    let pacs = |known: &str| {
        small().with(|c| {
            c.dicom.listen = Some("127.0.0.1:0".parse().unwrap());
            "PACS".clone_into(&mut c.dicom.ae_title);
            c.dicom.peers = vec![peer(known, None)];
        })
    };
    let node = pacs("OTHER").start().await;
    let address = node.node.dicom_address().unwrap();
    let data = tempfile::tempdir().unwrap();
    let setup = small().with(|c| {
        c.dicom.peers = vec![peer("PACS", Some(address.to_string())), peer("CT01", None)];
    });
    let mut config = config_in(setup, data.path());
    let found = doctor(&config, "dicom").await;
    found.failed(&["AE PACS", "rejected the association", "enter XIANGYI"]);
    assert!(found.says("not_checked", &["AE CT01", "never called"]), "{found:?}");
    let TestNode { node, data: theirs, .. } = node;
    assert!(node.stop().await, "drains");
    doctor(&config, "dicom").await.failed(&["AE PACS", "cannot reach PACS", "is it on"]);
    let mut known = pacs("XIANGYI");
    known.config.dicom.listen = Some(address);
    let node = known.start_in(theirs).await;
    let found = doctor(&config, "dicom").await;
    found.fine();
    assert!(found.says("ok", &["AE PACS", "answers C-ECHO"]), "{found:?}");
    // A port that is no DICOM port.
    config.dicom.peers[0].address = Some(node.node.address().to_string());
    doctor(&config, "dicom").await.failed(&["AE PACS"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn onnx_runtime_that_is_missing_is_told_and_rten_serves_in_its_place() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config_in(Setup::new(), data.path());
    config.models.engine = EngineName::OnnxRuntime;
    config.models.onnxruntime_library = Some(data.path().join("libonnxruntime.so"));
    let message = refusal(&config).await;
    assert!(message.contains("looked at") && message.contains("libonnxruntime.so"), "{message}");
    let found = doctor(&config, "models").await;
    found.failed(&["engine", "libonnxruntime.so", "scripts/onnxruntime"]);
    config.models.engine = EngineName::Auto;
    let found = doctor(&config, "models").await;
    found.fine();
    assert!(found.says("warning", &["engine", "rten", "ONNX Runtime is not found"]), "{found:?}");
    let Some(library) = ort_library() else {
        let note = "NOT RUN on ONNX Runtime: ORT_DYLIB_PATH is not set";
        let _ = writeln!(std::io::stderr(), "{note}");
        return;
    };
    config.models.onnxruntime_library = Some(library);
    let found = doctor(&config, "models").await;
    assert!(found.says("ok", &["engine", "onnxruntime 1."]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_told_and_so_is_the_running_node() {
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut config = config_in(Setup::new(), data.path());
    config.server.listen = other.local_addr().unwrap();
    let message = refusal(&config).await;
    assert!(message.contains("cannot listen on") && message.contains("in use"), "{message}");
    let found = doctor(&config, "doors").await;
    found.failed(&["server.listen", "taken by another program", "ss -ltnp"]);
    drop(other);
    let found = doctor(&config, "doors").await;
    found.fine();
    assert!(found.says("ok", &["node", "does not run"]), "{found:?}");
    let node = Box::pin(Node::start(config.clone())).await.unwrap();
    let found = doctor(&config, "doors").await;
    found.fine();
    assert!(found.says("ok", &["runs, and says that it serves"]), "{found:?}");
    assert!(found.says("ok", &["server.listen", "the running node"]), "{found:?}");
    // One that it was not started with.
    config.metrics.listen = Some("127.0.0.1:9".parse().unwrap());
    config.fhir.listen = Some("192.0.2.1:8080".parse().unwrap());
    config.fhir.tls_cert = Some(data.path().join("a.pem"));
    config.fhir.tls_key = Some(data.path().join("a.key"));
    config.auth.tokens = Setup::new().tokens().config.auth.tokens;
    let found = doctor(&config, "doors").await;
    found.failed(&["fhir.listen", "no such address"]);
    assert!(node.stop().await, "drains");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_the_hub_refuses_is_told_and_holds_up_no_other() {
    let hub = records::hub().await;
    let county = records::node("county", &hub).await;
    let second = records::node("elsewhere", &hub).await;
    let village = records::node("village", &hub).await;
    let first = submit(&county, stroke("CYXJ-SAME")).await;
    has(&village, &first.name, 1).await;
    // Another node uses the number.
    submit(&second, [stroke("CYXJ-SAME"), b"\n".to_vec()].concat()).await;
    until("the hub has refused it", async || {
        (status(&second).await.stuck.len() == 1).then_some(())
    })
    .await;
    let config = config_in(Setup::new(), second.data.path());
    let found = doctor(&config, "database").await;
    found.fine();
    assert!(found.says("warning", &["outbox", "1 of which it refused", "exchange status"]));
    let other = submit(&second, stroke("CYXJ-OTHER")).await;
    has(&village, &other.name, 1).await;
    let config = config_in(Setup::new(), county.data.path());
    let found = doctor(&config, "database").await;
    assert!(found.says("ok", &["outbox", "0 documents wait"]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_a_newer_program_is_told_and_stays_as_it_is() {
    let (config, data) = Box::pin(used(Setup::new())).await;
    let path = data.path().join("xiangyi.db");
    let run = async |sql: &'static str| {
        let options = SqliteConnectOptions::new().filename(&path);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    };
    run("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'of tomorrow', 1, x'00', 0)")
    .await;
    let message = refusal(&config).await;
    assert!(message.contains("cannot migrate the store"), "{message}");
    let found = doctor(&config, "database").await;
    found.failed(&["xiangyi.db", "has schema 999 (of tomorrow", "knows up to", "newer one"]);
    // The program that wrote it finds everything.
    run("DELETE FROM _sqlx_migrations WHERE version = 999").await;
    doctor(&config, "database").await.fine();
    let node = Box::pin(Node::start(config)).await.unwrap();
    assert!(node.stop().await, "drains");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_running_node_is_looked_at_and_nothing_of_it_changes() {
    let data = tempfile::tempdir().unwrap();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let setup = small().with(|c| c.server.listen = listen);
    let config = config_in(Setup { config: setup.config.clone() }, data.path());
    let node = setup.start_in(data).await;
    node.diagnose(complaint("头痛")).await.unwrap();
    let names = || {
        let mut all: Vec<PathBuf> = Vec::new();
        let mut folders = vec![node.data.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                all.push(path);
            }
        }
        all.sort();
        all
    };
    let before = names();
    let every = "config,doors,keys,clock,disk,models,database,postgres,hub,dicom,limits";
    let found = doctor(&config, every).await;
    found.fine();
    assert_eq!(names(), before);
    let checks: Vec<_> = found.lines.iter().map(|line| line["check"].as_str().unwrap()).collect();
    for check in every.split(',') {
        assert!(checks.contains(&check), "{check} says nothing: {checks:?}");
    }
    node.diagnose(complaint("咳嗽")).await.unwrap();
}
