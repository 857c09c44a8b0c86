//! Tests of reading folders: what a disk can do that bytes in memory cannot.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use super::*;
use crate::tables::signed::{About, SigningKey, sign};

fn key() -> SigningKey {
    SigningKey::new(&[7; 32]).unwrap()
}

fn trust(required: bool) -> Trust {
    Trust { keys: vec![key().public()], required }
}

fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let to = dir.join(path);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::write(to, bytes).unwrap();
}

fn sign_it(dir: &Path) {
    let about = About { release: "1".to_owned(), by: "x".to_owned(), at_s: 0 };
    let folder = Folder::read(dir).unwrap();
    put(dir, MANIFEST, &sign(folder.plain().unwrap(), about, &key()).unwrap());
}

/// A signed folder.
fn signed_folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "manifest.toml", b"schema = 1\n");
    put(dir.path(), "a/doses.csv", b"code,mg\n");
    sign_it(dir.path());
    dir
}

fn refusal(dir: &Path) -> String {
    chain(&admitted(dir, &trust(true)).expect_err("must be refused"))
}

#[test]
fn training_code_is_no_part_of_a_signed_folder_and_never_read() {
    let dir = signed_folder();
    put(dir.path(), "a/train/x.py", b"x");
    symlink("/etc/passwd", dir.path().join("a/train/link")).unwrap();
    let files = admitted(dir.path(), &trust(true)).unwrap();
    assert_eq!(files.paths().collect::<Vec<_>>(), [MANIFEST, "a/doses.csv", "manifest.toml"]);
    // A folder is told by its whole name.
    put(dir.path(), "a/Train/x.py", b"x");
    assert!(refusal(dir.path()).contains("a/Train/x.py: was added"));
}

#[test]
fn links_and_other_things_that_are_no_files_are_refused_by_name() {
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "doses.csv", b"code,mg\n");
    let link = |from: &Path, to: &Path| symlink(from, to).unwrap();

    // The same bytes, but outside they can be changed by somebody else.
    let dir = signed_folder();
    std::fs::remove_file(dir.path().join("a/doses.csv")).unwrap();
    link(&outside.path().join("doses.csv"), &dir.path().join("a/doses.csv"));
    let message = refusal(dir.path());
    assert!(message.contains("a/doses.csv: is a symbolic link"), "{message}");

    let dir = signed_folder();
    std::fs::remove_dir_all(dir.path().join("a")).unwrap();
    link(outside.path(), &dir.path().join("a"));
    assert!(refusal(dir.path()).contains("a: is a symbolic link"));

    let dir = signed_folder();
    link(&outside.path().join("doses.csv"), &dir.path().join("a/more.csv"));
    assert!(refusal(dir.path()).contains("a/more.csv: is a symbolic link"));

    let dir = signed_folder();
    let _socket = UnixListener::bind(dir.path().join("a/s")).unwrap();
    assert!(refusal(dir.path()).contains("a/s: is no plain file"));

    let dir = signed_folder();
    put(dir.path(), "x", b"");
    std::fs::rename(dir.path().join("x"), dir.path().join(OsStr::from_bytes(b"a\xff"))).unwrap();
    assert!(refusal(dir.path()).contains("has a name that is not UTF-8"));
}

#[test]
fn a_linked_manifest_is_refused_also_where_none_is_required() {
    let dir = signed_folder();
    let other = signed_folder();
    std::fs::remove_file(dir.path().join(MANIFEST)).unwrap();
    symlink(other.path().join(MANIFEST), dir.path().join(MANIFEST)).unwrap();
    for trust in [trust(true), trust(false), Trust::default()] {
        let message = chain(&admitted(dir.path(), &trust).expect_err("must be refused"));
        assert!(message.contains("SIGNED.jsonl: is a symbolic link"), "{message}");
    }
    let left = tempfile::tempdir().unwrap();
    symlink("nowhere", left.path().join(MANIFEST)).unwrap();
    assert!(admitted(left.path(), &Trust::default()).is_err());
}

#[test]
fn a_backslash_in_a_name_is_no_way_into_another_folder() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a/doses.csv", b"rightly\n");
    std::fs::write(dir.path().join("a\\doses.csv"), b"wrongly\n").unwrap();
    let files = admitted(dir.path(), &Trust::default()).unwrap();
    assert_eq!(files.text("a/doses.csv").unwrap(), "rightly\n");
    let about = About { release: "1".to_owned(), by: "x".to_owned(), at_s: 0 };
    assert!(sign(&files, about, &key()).unwrap_err().to_string().contains("another system"));
}

#[test]
fn an_unsigned_folder_is_read_as_before_and_refused_where_signatures_are_required() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a.csv", b"x");
    symlink("/etc/passwd", dir.path().join("b.csv")).unwrap();
    for trust in [Trust::default(), trust(false)] {
        let files = admitted(dir.path(), &trust).unwrap();
        assert_eq!(files.paths().collect::<Vec<_>>(), ["a.csv"], "links are not followed");
    }
    let message = refusal(dir.path());
    assert!(message.contains("SIGNED.jsonl: file is missing"), "{message}");
    assert!(message.contains(&dir.path().display().to_string()), "{message}");
}

#[test]
fn a_single_table_is_held_to_the_manifest_of_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site.csv");
    put(dir.path(), "site.csv", b"condition\n");
    assert_eq!(one_file(&site, &Trust::default()).unwrap(), b"condition\n");
    let message = chain(one_file(&site, &trust(true)).unwrap_err().as_ref());
    assert!(message.contains("SIGNED.jsonl: file is missing"), "{message}");
    sign_it(dir.path());
    assert_eq!(one_file(&site, &trust(true)).unwrap(), b"condition\n");
    put(dir.path(), "site.csv", b"altered\n");
    for trust in [trust(true), trust(false), Trust::default()] {
        let message = chain(one_file(&site, &trust).unwrap_err().as_ref());
        assert!(message.contains("site.csv: is not the file that was signed"), "{message}");
    }
    std::fs::remove_file(&site).unwrap();
    symlink("/etc/passwd", &site).unwrap();
    assert!(one_file(&site, &trust(true)).is_err());
}

#[test]
fn imaging_models_are_signed_together_or_each_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    for model in ["good", "bad", "bare"] {
        put(dir.path(), &format!("{model}/model.toml"), model.as_bytes());
    }
    for model in ["good", "bad"] {
        sign_it(&dir.path().join(model));
    }
    put(dir.path(), "bad/model.toml", b"altered");
    let (files, refused) = models(dir.path(), &trust(true)).unwrap();
    let taken: Vec<_> = files.paths().filter(|path| !path.ends_with(MANIFEST)).collect();
    assert_eq!(taken, ["good/model.toml"]);
    let told: Vec<_> =
        refused.iter().map(|one| (one.folder.as_str(), one.reason.as_str())).collect();
    assert!(matches!(told.as_slice(), [("bad", bad), ("bare", bare)]
        if bad.contains("model.toml: is not the file that was signed") && bare.contains("is missing")));
    let (files, refused) = models(dir.path(), &Trust::default()).unwrap();
    assert!(
        files.bytes("bare/model.toml").is_ok() && refused.len() == 1,
        "bad is refused at all times"
    );

    // Together: then none of them needs a manifest of its own, and nothing may be wrong.
    put(dir.path(), "bad/model.toml", b"bad");
    sign_it(dir.path());
    let (files, refused) = models(dir.path(), &trust(true)).unwrap();
    assert!(files.bytes("bare/model.toml").is_ok() && refused.is_empty());
    put(dir.path(), "bare/model.toml", b"altered");
    let message = chain(&models(dir.path(), &trust(true)).expect_err("must be refused"));
    assert!(message.contains("bare/model.toml: is not the file that was signed"), "{message}");
}
