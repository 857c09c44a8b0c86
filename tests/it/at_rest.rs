//! Privacy at rest: what a box says that was carried away, what happens without its key, and backups.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use xiangyi::config::Config;
use xiangyi::node::backup::{BackupError, reading, taking};
use xiangyi::node::enrolment::enrol;
use xiangyi::node::keys::rotation::To;
use xiangyi::node::keys::{checking, encrypting, rotation};
use xiangyi::node::{Node, NodeError};
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;

use crate::enrolment::{self, Region};
use crate::harness::{Setup, TestNode, complaint, reason};
use crate::images::{Slice, retrieve, search, small, store_slices};
use crate::records::{hub, node_with, status, stroke, submit};

/// What must be found nowhere: a name, a number, words of a complaint, parts of a record.
const PLANTED: [&str; 6] = [
    "欧阳^测试密",
    "ZZ-4417-QX",
    "被拖拉机碾过的左脚",
    "CYXJ-PLANTED-77",
    "湖村村",
    "PLANTED-REF-9",
];

/// A file with a master key.
pub(crate) fn master(folder: &Path, name: &str, byte: u8) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, [byte; 32]).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn sealed(setup: Setup, key: &Path) -> Setup {
    setup.with(|c| c.encryption.key_file = Some(key.to_owned()))
}

/// The configuration of a node whose data lies in `data`.
fn config(data: &Path, key: Option<&Path>) -> Config {
    let mut config = small().config;
    data.clone_into(&mut config.store.dir);
    config.encryption.key_file = key.map(Path::to_owned);
    config
}

/// Every file below, with its bytes.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

/// What was planted and is found in the folder of a running node. Another process copies it: closing a
/// file of a database gives back the locks that this one has on it.
fn found_running(dir: &Path) -> Vec<String> {
    let copied = tempfile::tempdir().unwrap();
    let mut copy = Command::new("cp");
    // What goes away meanwhile is not missed.
    let _ = copy.arg("-r").arg(dir).arg(copied.path()).output().unwrap();
    let copied = copied.path();
    assert!(files(copied).iter().any(|(path, _)| path.ends_with("xiangyi.db")));
    found(copied)
}

/// What was planted and is found below `dir`.
fn found(dir: &Path) -> Vec<String> {
    let files = files(dir);
    let there = |word: &str| {
        let at = files
            .iter()
            .find(|(_, bytes)| bytes.windows(word.len()).any(|part| part == word.as_bytes()));
        at.map(|(path, _)| format!("{word} in {}", path.display()))
    };
    PLANTED.iter().filter_map(|word| there(word)).collect()
}

fn slice(number: u32) -> Slice {
    Slice {
        name: PLANTED[0].to_owned(),
        patient_id: PLANTED[1].to_owned(),
        ..Slice::head("1.2.3.77", number)
    }
}

fn asked(id: &str) -> dx::DiagnoseRequest {
    let mut request = dx::DiagnoseRequest { request_id: id.to_owned(), ..complaint(PLANTED[2]) };
    if let Some(patient) = &mut request.patient {
        PLANTED[5].clone_into(&mut patient.reference);
    }
    request
}

/// A consultation, images and a record, all of which have something planted in them.
async fn fill(node: &TestNode) -> dx::Consultation {
    store_slices(node, &[slice(1), slice(2), slice(3)]).await;
    submit(node, stroke(PLANTED[3])).await;
    node.diagnose(asked("r-1")).await.unwrap()
}

async fn check(node: &TestNode, answer: &dx::Consultation) {
    assert_eq!(
        node.diagnose(asked("r-1")).await.unwrap().consultation_id,
        answer.consultation_id,
        "the answer was kept"
    );
    assert_eq!(search(node, im::SearchStudiesRequest::default()).await.len(), 1);
    for number in 1..=3 {
        let uid = slice(number).uid();
        let request = im::RetrieveObjectRequest { sop_instance_uid: uid, ..Default::default() };
        let object = retrieve(node, request).await.unwrap();
        assert_eq!(object.data, slice(number).bytes());
        assert!(object.verified.is_some());
    }
}

/// A copy of the folder of a node that has stopped, once it holds still.
async fn still(data: TempDir) -> TempDir {
    let copied = tempfile::tempdir().unwrap();
    crate::copied::copy(data.path(), copied.path()).await;
    copied
}

async fn refused(config: Config) -> NodeError {
    match Box::pin(Node::start(config)).await {
        Ok(_) => panic!("the node starts"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_box_says_nothing_and_does_not_start_without_its_key() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let node = sealed(small(), &key).start().await;
    let answer = fill(&node).await;
    assert_eq!(found_running(node.data.path()), Vec::<String>::new(), "while it runs");
    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await);
    let data = still(data).await;
    assert_eq!(found(data.path()), Vec::<String>::new());
    assert!(!data.path().join("audit.key").try_exists().unwrap(), "secrets are in the ring");

    let before = files(data.path());
    let id = xiangyi::sharing::sealing::KeyId::of(&[1; 32]).to_string();
    let error = refused(config(data.path(), None)).await.to_string();
    assert!(error.contains("encryption.key_file"), "{error}");
    let other = master(keys.path(), "other", 2);
    let error = refused(config(data.path(), Some(&other))).await.to_string();
    assert!(error.contains(&id) && error.contains("keyring.json"), "{error}");
    let open = master(keys.path(), "open", 1);
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = refused(config(data.path(), Some(&open))).await.to_string();
    assert!(error.contains("chmod 600") && error.contains("open"), "{error}");
    // A ring that is lost is not begun anew over data that needs it.
    let ring = data.path().join("keyring.json");
    let text = std::fs::read(&ring).unwrap();
    std::fs::remove_file(&ring).unwrap();
    let error = refused(config(data.path(), Some(&key))).await.to_string();
    assert!(error.contains("put the keyring back"), "{error}");
    std::fs::write(&ring, text).unwrap();
    let unlocked = |files: &[(PathBuf, Vec<u8>)]| {
        files
            .iter()
            .filter(|(path, _)| !path.ends_with("keyring.lock"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(unlocked(&before) == unlocked(&files(data.path())), "something was changed");

    let node = sealed(small(), &key).start_in(data).await;
    check(&node, &answer).await;
}

/// Without encryption the same search finds what was planted: it can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_in_the_clear_is_encrypted_and_stays_what_it_was() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let node = small().start().await;
    let answer = fill(&node).await;
    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await);
    let data = still(data).await;
    assert_eq!(found(data.path()).len(), PLANTED.len(), "{:?}", found(data.path()));
    let public = xiangyi::node::audit::public_key(&config(data.path(), None)).await.unwrap();

    let with_key = config(data.path(), Some(&key));
    let error = refused(with_key.clone()).await.to_string();
    assert!(error.contains("xiangyi admin encrypt"), "{error}");
    assert_eq!(found(data.path()).len(), PLANTED.len(), "refusing changes nothing");
    let done = Box::pin(encrypting::encrypt(&with_key, &mut |_| ())).await.unwrap();
    assert_eq!((done.objects, done.secrets), (3, 1));
    assert!(done.databases >= 2, "{done:?}");
    assert_eq!(found(data.path()), Vec::<String>::new());
    let again = Box::pin(encrypting::encrypt(&with_key, &mut |_| ())).await.unwrap();
    assert_eq!((again.objects, again.databases, again.secrets), (0, 0, 0), "all is done");
    let checked = checking::check(&with_key).await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
    assert_eq!(xiangyi::node::audit::public_key(&with_key).await.unwrap(), public);

    let node = sealed(small(), &key).start_in(data).await;
    check(&node, &answer).await;
    assert_eq!(found_running(node.data.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypting_goes_on_wherever_it_was_cut_short() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let node = small().start().await;
    let answer = fill(&node).await;
    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await);
    let whole = tempfile::tempdir().unwrap();
    crate::copied::copy(data.path(), whole.path()).await;
    let with_key = |dir: &TempDir| config(dir.path(), Some(&key));
    // Dropped after so many reports of progress; then left-overs of every later step.
    for steps in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        crate::copied::copy(whole.path(), dir.path()).await;
        let config = with_key(&dir);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let mut stop = Some(stop);
        let mut seen = 0;
        {
            let mut progress = |_: &encrypting::Encrypted| {
                seen += 1;
                if seen > steps {
                    drop(stop.take());
                }
            };
            let work = Box::pin(encrypting::encrypt(&config, &mut progress));
            tokio::select! {
                biased;
                _ = stopped => {}
                done = work => drop(done.unwrap()),
            }
        }
        let imaging = dir.path().join("imaging");
        if steps == 5 && imaging.join("archive").is_dir() {
            // As if it ended between the two new names.
            std::fs::create_dir_all(imaging.join("archive.plain/segments")).unwrap();
            std::fs::rename(imaging.join("archive"), imaging.join("archive.sealing")).unwrap();
        }
        Box::pin(encrypting::encrypt(&config, &mut |_| ())).await.unwrap();
        assert_eq!(found(dir.path()), Vec::<String>::new(), "after {steps} steps");
        let node = sealed(small(), &key).start_in(dir).await;
        check(&node, &answer).await;
        assert!(node.node.stop().await);
    }
}

fn xiangyi(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xiangyi"));
    command.arg("admin").args(arguments).arg("--config").arg(config);
    command.output().unwrap()
}

/// A configuration file, and the folder that it lies in.
fn written(dir: &Path, key: &Path) -> PathBuf {
    let path = dir.join("node.toml");
    let text = format!(
        "[store]\ndir = \"{}\"\n[encryption]\nkey_file = \"{}\"\n[models]\nengine = \"rten\"\n",
        dir.join("data").display(),
        key.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_is_killed_anywhere_loses_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let keys: Vec<_> = (1..=9).map(|n| master(dir.path(), &format!("master-{n}"), n)).collect();
    let node = sealed(small(), &keys[0]);
    let node = node.start_in(TempDir::with_prefix_in("x", dir.path()).unwrap()).await;
    let answer = fill(&node).await;
    let TestNode { node: running, data: held, .. } = node;
    assert!(running.stop().await);
    std::fs::rename(held.path(), &data).unwrap();
    let mut current = keys[0].clone();
    for (round, next) in keys[1..].iter().enumerate() {
        let file = written(dir.path(), &current);
        let mut command = Command::new(env!("CARGO_BIN_EXE_xiangyi"));
        command.args(["admin", "keys", "rotate", "--to"]).arg(next).arg("--config").arg(&file);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(40 * u64::try_from(round).unwrap()))
            .await;
        let _ = child.kill();
        child.wait().unwrap();
        // What a killed process leaves of a file that it was writing.
        std::fs::write(data.join("keyring.new"), &b"{\"format\": \"xiangyi keyr"[..round * 3])
            .unwrap();
        let opens = checking::check(&config(&data, Some(&current))).await.unwrap();
        assert_eq!(opens.faults, Vec::<String>::new(), "round {round}");
        let rotated =
            rotation::rotate(&config(&data, Some(&current)), &To::File(next.clone())).unwrap();
        assert_eq!(rotated.masters.len(), 2);
        let known = checking::check(&config(&data, Some(next))).await.unwrap();
        assert_eq!(known.faults, Vec::<String>::new());
        let again =
            rotation::rotate(&config(&data, Some(&current)), &To::File(next.clone())).unwrap();
        assert!(!again.changed);
        rotation::retire(&config(&data, Some(next))).unwrap();
        let out = checking::check(&config(&data, Some(&current))).await;
        assert!(out.is_err(), "the old master key is shut out");
        current.clone_from(next);
    }
    let listed = xiangyi(&written(dir.path(), &current), &["keys", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let archive = listed["keys"].as_array().unwrap().iter();
    assert!(archive.filter(|key| key["purpose"] == "archive").count() > 1, "{listed}");
    std::fs::rename(&data, held.path()).unwrap();
    let node = sealed(small(), &current).start_in(held).await;
    check(&node, &answer).await;
    store_slices(&node, &[slice(4)]).await;
    assert_eq!(found_running(node.data.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_node_under_load_has_all_that_was_acknowledged_before_it() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let node = sealed(small(), &key).start().await;
    let answer = fill(&node).await;
    let config = config(node.data.path(), Some(&key));
    let to = keys.path().join("backup");
    // Calls and images go on while it is taken.
    let more = |prefix: &'static str, first: u32| {
        let node = &node;
        async move {
            for number in 0..20 {
                store_slices(node, &[slice(first + number)]).await;
                node.diagnose(asked(&format!("{prefix}-{number}"))).await.unwrap();
            }
        }
    };
    more("before", 100).await;
    let quiet = &mut |_: &str, _: u64| ();
    let (manifest, ()) =
        tokio::join!(Box::pin(taking::take(&config, &to, quiet)), more("beside", 200));
    let manifest = manifest.unwrap();
    assert!(manifest.files.iter().any(|file| file.name == "store/xiangyi.db"));
    let verified = reading::verify(&config.encryption, &to, &mut |_, _| ()).unwrap();
    assert_eq!(verified, manifest);
    assert_eq!(found(keys.path()), Vec::<String>::new(), "the backup says nothing");
    let taken = Box::pin(taking::take(&config, &to, quiet)).await;
    assert!(matches!(taken, Err(BackupError::Taken { .. })));
    let left = std::fs::read_dir(node.data.path()).unwrap();
    let left = left.map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with("backup-")).count(), 0);
    assert!(node.node.stop().await);

    let into = tempfile::tempdir().unwrap();
    let full = reading::restore(&config.encryption, &to, node.data.path(), &mut |_, _| ());
    assert!(matches!(full, Err(BackupError::Taken { .. })), "a folder with something in it");
    reading::restore(&config.encryption, &to, into.path(), &mut |_, _| ()).unwrap();
    let restored = sealed(small(), &key).start_in(into).await;
    assert_eq!(
        restored.diagnose(asked("r-1")).await.unwrap().consultation_id,
        answer.consultation_id
    );
    for number in 0..20 {
        let kept = node_answer(&restored, &format!("before-{number}")).await;
        assert!(kept, "consultation {number} was acknowledged before the backup");
        let uid = slice(100 + number).uid();
        let request = im::RetrieveObjectRequest { sop_instance_uid: uid, ..Default::default() };
        assert_eq!(retrieve(&restored, request).await.unwrap().data, slice(100 + number).bytes());
    }
    assert_eq!(found_running(restored.data.path()), Vec::<String>::new());
}

/// Whether the answer to a request is kept: another text under its id is refused.
async fn node_answer(node: &TestNode, id: &str) -> bool {
    let other = dx::DiagnoseRequest { request_id: id.to_owned(), ..complaint("头痛") };
    match node.diagnose(other).await {
        Ok(_) => false,
        Err(status) => reason(&status) == "REQUEST_ID_REUSED",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_altered_or_cut_is_refused_by_name_and_leaves_nothing() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let node = sealed(small(), &key).start().await;
    fill(&node).await;
    let with = config(node.data.path(), Some(&key));
    let to = keys.path().join("backup");
    Box::pin(taking::take(&with, &to, &mut |_, _| ())).await.unwrap();
    assert!(node.node.stop().await);
    let whole = std::fs::read(&to).unwrap();
    let into = keys.path().join("into");
    let refused = |bytes: &[u8]| {
        std::fs::write(&to, bytes).unwrap();
        let verified = reading::verify(&with.encryption, &to, &mut |_, _| ()).unwrap_err();
        let restored = reading::restore(&with.encryption, &to, &into, &mut |_, _| ());
        assert!(restored.is_err());
        assert!(!into.try_exists().unwrap(), "nothing is put back");
        assert!(!keys.path().join("into.restoring").try_exists().unwrap());
        verified.to_string()
    };
    for part in 0..12 {
        let at = whole.len() * part / 12 + 5;
        let mut altered = whole.clone();
        altered[at] ^= 1;
        let why = refused(&altered);
        assert!(part == 0 || why.contains("altered"), "byte {at}: {why}");
        let why = refused(&whole[..at]);
        assert!(part == 0 || why.contains("altered or cut"), "cut at {at}: {why}");
    }
    // Two chunks changed round, and a backup that another key made.
    let chunk = 65_552;
    let begin = whole.len() % chunk;
    let mut swapped = whole.clone();
    let (one, two) = swapped[begin..].split_at_mut(chunk);
    one.swap_with_slice(&mut two[..chunk]);
    refused(&swapped);
    std::fs::write(&to, &whole).unwrap();
    let other = master(keys.path(), "other", 2);
    let stranger = config(node.data.path(), Some(&other)).encryption;
    let error = reading::verify(&stranger, &to, &mut |_, _| ()).unwrap_err().to_string();
    let id = xiangyi::sharing::sealing::KeyId::of(&[1; 32]).to_string();
    assert!(error.contains(&id), "{error}");
    reading::verify(&with.encryption, &to, &mut |_, _| ()).unwrap();
    assert!(matches!(
        Box::pin(taking::take(&config(keys.path(), None), &to, &mut |_, _| ())).await,
        Err(BackupError::Off)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_village_that_was_put_back_from_a_backup_is_noticed_as_an_old_copy() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let hub = hub().await;
    let seal = |c: &mut Config| c.encryption.key_file = Some(key.clone());
    let village = node_with("village", &hub, tempfile::tempdir().unwrap(), seal).await;
    submit(&village, stroke("CYXJ-1")).await;
    crate::records::handed_over(&village).await;
    let with = config(village.data.path(), Some(&key));
    let to = keys.path().join("backup");
    Box::pin(taking::take(&with, &to, &mut |_, _| ())).await.unwrap();
    submit(&village, stroke("CYXJ-2")).await;
    crate::records::handed_over(&village).await;
    assert!(village.node.stop().await);
    let into = tempfile::tempdir().unwrap();
    reading::restore(&with.encryption, &to, into.path(), &mut |_, _| ()).unwrap();
    let village = node_with("village", &hub, into, seal).await;
    crate::region::until("the old copy is noticed", async || {
        let events = status(&village).await.events;
        events.iter().any(|e| e.kind == "renewed" && e.advice.contains("old copy")).then_some(())
    })
    .await;
}

/// What was used after the backup is not used in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_put_back_from_a_backup_takes_no_code_from_before() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let to = keys.path().join("backup");
    let started = async |data: TempDir| {
        let setup = enrolment::setup().with(|c| c.encryption.key_file = Some(key.clone()));
        let mut config = setup.config.clone();
        data.path().clone_into(&mut config.store.dir);
        Region { hub: setup.start_in(data).await, config }
    };
    let region = started(tempfile::tempdir().unwrap()).await;
    let (used, unused) = (region.code("a").await, region.code("b").await);
    Box::pin(taking::take(&region.config, &to, &mut |_, _| ())).await.unwrap();
    let (clinic, _data) = region.clinic("a");
    Box::pin(enrol(&clinic, &region.url(), &used)).await.unwrap();
    assert!(region.hub.node.stop().await);
    let into = tempfile::tempdir().unwrap();
    reading::restore(&region.config.encryption, &to, into.path(), &mut |_, _| ()).unwrap();

    let region = started(into).await;
    for (name, code) in [("a", &used), ("b", &unused)] {
        let (thief, _data) = region.clinic(name);
        assert!(Box::pin(enrol(&thief, &region.url(), code)).await.is_err(), "{name}");
    }
    let fresh = region.code("a").await;
    let TestNode { node, data, .. } = region.hub;
    assert!(node.stop().await);
    // Once, not with every start.
    let region = started(data).await;
    let (clinic, _data) = region.clinic("a");
    Box::pin(enrol(&clinic, &region.url(), &fresh)).await.unwrap();
}
