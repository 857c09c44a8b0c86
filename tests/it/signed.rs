//! Signed folders of tables and models: what was altered does not get into a node, whichever way
//! somebody tries.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use tonic::Code;
use xiangyi::app::chain;
use xiangyi::node::Node;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::model::v1 as model;
use xiangyi::rpc::proto::xiangyi::model::v1::model_service_client::ModelServiceClient;
use xiangyi::tables::files::Files;
use xiangyi::tables::signed::{About, MANIFEST, SigningKey, sign};

use crate::harness::{Setup, complaint, reason};

const TABLE: &str = "prescription/dosing.csv";
const MODEL: &str = "diagnosis/gp-differential.onnx";

fn key(seed: u8) -> SigningKey {
    SigningKey::new(&[seed; 32]).unwrap()
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let to = dir.join(path);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::write(to, bytes).unwrap();
}

fn signed_by(seed: u8, files: &Files) -> Vec<u8> {
    let about = About { release: "2026.11".to_owned(), by: "test".to_owned(), at_s: 0 };
    sign(files, about, &key(seed)).unwrap()
}

/// A copy of what is embedded, signed.
fn signed_models() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files = xiangyi::embedded::files();
    for path in files.paths() {
        put(dir.path(), path, files.bytes(path).unwrap());
    }
    put(dir.path(), MANIFEST, &signed_by(1, &files));
    dir
}

fn trusting(dir: &Path) -> Setup {
    let dir = dir.to_owned();
    Setup::new().with(|c| {
        c.models.dir = Some(dir);
        c.models.trusted_keys = vec![key(1).public().to_string()];
    })
}

/// Changes that keep a table readable and a model the size it was: only the signature shows them.
fn change(dir: &Path, path: &str, from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(dir.join(path)).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from).expect(path);
    bytes[at..at + to.len()].copy_from_slice(to);
    std::fs::write(dir.join(path), bytes).unwrap();
}

fn edit(dir: &Path, path: &str, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(dir.join(path)).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "{path}");
    std::fs::write(dir.join(path), changed).unwrap();
}

/// A table, changed as somebody would who wants another dose, and everything that is signed with it
/// worked out anew.
fn resign(dir: &Path, seed: u8) {
    change(dir, TABLE, b",4800000,", b",9900000,");
    let mut files = Files::new();
    for path in xiangyi::embedded::files().paths() {
        files.insert(path, std::fs::read(dir.join(path)).unwrap());
    }
    put(dir, MANIFEST, &signed_by(seed, &files));
}

type Attack = (&'static str, &'static str, fn(&Path));

/// What is done to the folder, and the file that the refusal must name.
const ATTACKS: &[Attack] = &[
    ("a table altered", TABLE, |dir| change(dir, TABLE, b",4800000,", b",9900000,")),
    ("a model altered", MODEL, |dir| {
        let mut bytes = std::fs::read(dir.join(MODEL)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(dir.join(MODEL), bytes).unwrap();
    }),
    ("a model replaced, and its digest in manifest.toml", "manifest.toml", |dir| {
        edit(dir, "manifest.toml", |text| text.replacen("sha256 = \"3", "sha256 = \"4", 1));
    }),
    ("a table added", "diagnosis/site.csv", |dir| {
        put(dir, "diagnosis/site.csv", b"condition,sex,age_group,per_1000,source,status\n");
    }),
    ("a table taken away", "prescription/pregnancy.csv", |dir| {
        std::fs::remove_file(dir.join("prescription/pregnancy.csv")).unwrap();
    }),
    ("a table cut", TABLE, |dir| {
        let bytes = std::fs::read(dir.join(TABLE)).unwrap();
        std::fs::write(dir.join(TABLE), &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("two tables swapped", "prescription/pregnancy.csv", |dir| {
        let (one, other) =
            (dir.join("prescription/pregnancy.csv"), dir.join("prescription/pregnancy_ok.csv"));
        std::fs::rename(&one, dir.join("x")).unwrap();
        std::fs::rename(&other, &one).unwrap();
        std::fs::rename(dir.join("x"), &other).unwrap();
    }),
    ("a table behind a link", TABLE, |dir| {
        let outside = dir.parent().unwrap().join("outside.csv");
        std::fs::rename(dir.join(TABLE), &outside).unwrap();
        symlink(&outside, dir.join(TABLE)).unwrap();
    }),
    ("a folder behind a link", "prescription", |dir| {
        std::fs::rename(dir.join("prescription"), dir.join("train")).unwrap();
        symlink("train", dir.join("prescription")).unwrap();
    }),
    ("a table in capitals", TABLE, |dir| {
        std::fs::rename(dir.join(TABLE), dir.join("prescription/Dosing.csv")).unwrap();
    }),
    ("no manifest", MANIFEST, |dir| std::fs::remove_file(dir.join(MANIFEST)).unwrap()),
    ("the manifest under another name", "signed.jsonl", |dir| {
        std::fs::rename(dir.join(MANIFEST), dir.join("signed.jsonl")).unwrap();
    }),
    ("the manifest behind a link", MANIFEST, |dir| {
        std::fs::create_dir(dir.join("train")).unwrap();
        std::fs::rename(dir.join(MANIFEST), dir.join("train/x")).unwrap();
        symlink("train/x", dir.join(MANIFEST)).unwrap();
    }),
    ("an empty manifest", MANIFEST, |dir| put(dir, MANIFEST, b"")),
    ("the manifest cut", MANIFEST, |dir| {
        edit(dir, MANIFEST, |text| text[..text.len() - 40].to_owned());
    }),
    ("the table's line edited", MANIFEST, |dir| {
        edit(dir, MANIFEST, |text| text.replacen("\"bytes\":", "\"bytes\":1", 1));
    }),
    ("the table's line taken out", MANIFEST, |dir| {
        edit(dir, MANIFEST, |text| {
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains(TABLE)).collect();
            format!("{}\n", lines.join("\n"))
        });
    }),
    ("a line out of the folder", "../../etc/passwd.csv", |dir| {
        edit(dir, MANIFEST, |text| text.replacen(TABLE, "../../etc/passwd.csv", 1));
    }),
    ("signed by somebody else", MANIFEST, |dir| resign(dir, 2)),
    ("signed by somebody else in the name of the trusted key", MANIFEST, |dir| {
        resign(dir, 2);
        let (theirs, ours) = (key(2).public().to_string(), key(1).public().to_string());
        edit(dir, MANIFEST, |text| text.replace(&theirs, &ours));
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_on_a_signed_folder_gets_into_a_running_node_or_one_that_starts() {
    let good = signed_models();
    let at = tempfile::tempdir().unwrap();
    let serving = at.path().join("models");
    copy(good.path(), &serving);
    let node = trusting(&serving).start().await;
    let mut models = ModelServiceClient::new(node.channel.clone());
    let mut successes = 0;
    for (what, file, attack) in ATTACKS {
        std::fs::remove_dir_all(&serving).unwrap();
        copy(good.path(), &serving);
        attack(&serving);
        match models.reload_models(model::ReloadModelsRequest {}).await {
            Ok(_) => successes += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::FailedPrecondition, "{what}: {status}");
                assert_eq!(reason(&status), "FAILED_PRECONDITION");
                let named = status.message().contains(&format!("{file}:"))
                    || status.message().contains(&format!("/{file}:"));
                assert!(named, "{what} does not name {file}: {}", status.message());
            }
        }
        // What the node has goes on.
        node.diagnose(complaint("发热3天，咳嗽")).await.unwrap();

        let mut config = trusting(&serving).config;
        let data = tempfile::tempdir().unwrap();
        config.store.dir = data.path().to_owned();
        match Box::pin(Node::start(config)).await {
            Ok(_) => successes += 1,
            Err(error) => assert!(chain(&error).contains(file), "{what}: {}", chain(&error)),
        }
    }
    assert_eq!(successes, 0);
    // As it was it is taken again: the refusals were for what was done.
    std::fs::remove_dir_all(&serving).unwrap();
    copy(good.path(), &serving);
    models.reload_models(model::ReloadModelsRequest {}).await.unwrap();
}

/// A copy, with links as links.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_folder_with_a_manifest_is_held_to_it_where_no_key_is_trusted_and_none_is_required() {
    let dir = signed_models();
    change(dir.path(), TABLE, b",4800000,", b",9900000,");
    for keys in [vec![], vec![key(1).public().to_string()]] {
        let mut config = trusting(dir.path()).config;
        config.models.trusted_keys = keys;
        config.models.require_signed = Some(false);
        let data = tempfile::tempdir().unwrap();
        config.store.dir = data.path().to_owned();
        let error = Box::pin(Node::start(config)).await.expect_err("the node must not start");
        assert!(chain(&error).contains(TABLE), "{}", chain(&error));
    }
}

#[tokio::test]
async fn an_altered_imaging_model_does_not_run_and_the_list_names_its_file() {
    let dir = crate::imaging_models::model(str::to_owned);
    let folder = dir.path().join("mean");
    let mut files = Files::new();
    for name in ["model.onnx", "model.toml", "known.f32"] {
        files.insert(name, std::fs::read(folder.join(name)).unwrap());
    }
    put(&folder, MANIFEST, &signed_by(1, &files));
    let start = async |dir: PathBuf| {
        let setup = Setup::new().with(|c| {
            c.imaging.models.dir = Some(dir);
            c.imaging.free_bytes_min = 0;
            c.imaging.segment_bytes = 16 << 20;
            c.models.trusted_keys = vec![key(1).public().to_string()];
        });
        let node = setup.start().await;
        let listed = node.imaging().list_imaging_models(im::ListImagingModelsRequest {}).await;
        listed.unwrap().into_inner()
    };
    let listed = start(dir.path().to_owned()).await;
    assert_eq!((listed.models.len(), listed.refused), (1, vec![]));
    // A threshold is no digest: nothing else would notice.
    edit(&folder, "model.toml", |text| text.replacen("threshold = 0.5", "threshold = 0.9", 1));
    let listed = start(dir.path().to_owned()).await;
    assert_eq!(listed.models, []);
    assert!(listed.refused[0].reason.contains("model.toml: is not the file"), "{listed:?}");
    std::fs::remove_file(folder.join(MANIFEST)).unwrap();
    let listed = start(dir.path().to_owned()).await;
    assert_eq!(listed.models, []);
    assert!(listed.refused[0].reason.contains("SIGNED.jsonl: file is missing"), "{listed:?}");
}

fn xiangyi(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xiangyi"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[test]
fn the_command_line_makes_keys_signs_and_verifies() {
    let at = tempfile::tempdir().unwrap();
    let (secret, dir) = (at.path().join("release.key"), at.path().join("tables"));
    let (secret_name, dir_name) = (secret.to_str().unwrap(), dir.to_str().unwrap());
    put(&dir, "a/doses.csv", b"code,mg\n");
    put(&dir, "train/train.py", b"x");

    let made = xiangyi(&["models", "keygen", "--out", secret_name, "--json"]);
    assert!(made.status.success(), "{}", said(&made));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let public = made["public_key"].as_str().unwrap().to_owned();
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let private = std::fs::read_to_string(&secret).unwrap();
    assert!(
        !xiangyi(&["models", "keygen", "--out", secret_name]).status.success(),
        "never replaced"
    );
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), private);

    let verify = || xiangyi(&["models", "verify", dir_name, "--trust", &public]);
    assert!(!verify().status.success());
    assert!(said(&verify()).contains("SIGNED.jsonl: file is missing"), "{}", said(&verify()));
    let sign = ["models", "sign", dir_name, "--key", secret_name, "--by", "信息科"];
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(said(&xiangyi(&sign)).contains("chmod 600"));
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    // Twice: a manifest that is there is replaced, and is no part of what is signed.
    for _ in 0..2 {
        let signed = xiangyi(&sign);
        assert!(signed.status.success(), "{}", said(&signed));
        assert!(said(&signed).contains("1 files") && said(&signed).contains(&public));
        assert!(!said(&signed).contains(private.trim()), "the secret is not shown");
    }
    assert!(verify().status.success(), "{}", said(&verify()));
    assert!(said(&verify()).contains("信息科"));
    // Whole, but whose is it?
    let unknown = xiangyi(&["models", "verify", dir_name]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("as they were signed"), "{}", said(&unknown));
    let other = xiangyi(&["models", "verify", dir_name, "--trust", &"ab".repeat(32)]);
    assert!(said(&other).contains("none of the trusted ones"), "{}", said(&other));
    put(&dir, "a/doses.csv", b"code,g\n");
    assert_eq!(verify().status.code(), Some(1));
    assert!(said(&verify()).contains("a/doses.csv: is not the file"), "{}", said(&verify()));
    let json = xiangyi(&["models", "verify", dir_name, "--trust", &public, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json["fits"].as_bool(), json["file"].as_str()), (Some(false), Some("a/doses.csv")));
    symlink("/etc/passwd", dir.join("a/link.csv")).unwrap();
    assert!(said(&xiangyi(&sign)).contains("a/link.csv: is a symbolic link"));
}
