//! Tests of signed folders.

use proptest::prelude::*;

use super::format::inside;
use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::new(&[seed; 32]).unwrap()
}

fn trust(seeds: &[u8]) -> Trust {
    Trust { keys: seeds.iter().map(|seed| key(*seed).public()).collect(), required: true }
}

fn about() -> About {
    About {
        release: "2026.11.3".to_owned(),
        by: "上饶市卫健委 信息科".to_owned(),
        at_s: 1_796_000_000,
    }
}

fn folder(files: &[(&str, &str)]) -> Files {
    let mut folder = Files::new();
    for (path, text) in files {
        folder.insert(*path, text.as_bytes().to_vec());
    }
    folder
}

fn three() -> Files {
    folder(&[
        ("manifest.toml", "schema = 1\n"),
        ("a/doses.csv", "code,mg\nx,5\n"),
        ("a/m.onnx", ""),
    ])
}

fn signed_by(seed: u8, mut files: Files) -> Files {
    let manifest = sign(&files, about(), &key(seed)).unwrap();
    files.insert(MANIFEST, manifest);
    files
}

fn refusal(files: &Files, trust: &Trust) -> String {
    admit(files, trust).expect_err("must be refused").to_string()
}

/// A manifest as a signer with a trusted key could write it who does not use our program.
fn by_hand(seed: u8, entries: &[(&str, &str)]) -> Vec<u8> {
    let files = entries.iter().map(|(path, text)| Entry {
        path: (*path).to_owned(),
        bytes: size(text.as_bytes()),
        sha256: digest(text.as_bytes()),
    });
    let manifest = Unverified {
        about: about(),
        key: key(seed).public(),
        files: files.collect(),
        signature: Vec::new(),
    };
    let signature = key(seed).0.sign(&manifest.signed_bytes());
    manifest.write(signature.as_ref())
}

#[test]
fn a_folder_as_it_was_signed_is_taken_and_says_who_signed() {
    let files = signed_by(1, three());
    let signed = admit(&files, &trust(&[9, 1])).unwrap().unwrap();
    assert_eq!(signed.about, about());
    assert_eq!((signed.key, signed.trusted, signed.files), (key(1).public(), true, 3));
    assert_eq!(signed.about.at(), "2026-11-30T00:53:20Z");
    // With nobody trusted it still has to fit to its own key.
    let signed = admit(&files, &Trust::default()).unwrap().unwrap();
    assert!(!signed.trusted);
}

#[test]
fn an_unsigned_folder_is_taken_unless_signatures_are_required() {
    assert_eq!(admit(&three(), &Trust::default()).unwrap(), None);
    let lax = Trust { required: false, ..trust(&[1]) };
    assert_eq!(admit(&three(), &lax).unwrap(), None);
    let message = refusal(&three(), &trust(&[1]));
    assert!(message.contains("SIGNED.jsonl: file is missing"), "{message}");
}

#[test]
fn what_was_altered_added_or_taken_away_is_named() {
    let whole = signed_by(1, three());
    for trust in [trust(&[1]), Trust::default()] {
        let mut altered = whole.clone();
        altered.insert("a/doses.csv", b"code,mg\nx,6\n".to_vec());
        let message = refusal(&altered, &trust);
        assert_eq!(message, "a/doses.csv: is not the file that was signed: it was altered");

        let mut longer = whole.clone();
        longer.insert("a/m.onnx", b"x".to_vec());
        assert!(refusal(&longer, &trust).starts_with("a/m.onnx: "));

        let mut added = whole.clone();
        added.insert("a/site.csv", b"".to_vec());
        let message = refusal(&added, &trust);
        assert_eq!(message, "a/site.csv: was added; the manifest does not list it");

        let mut missing = Files::new();
        for path in whole.paths().filter(|path| *path != "a/doses.csv") {
            missing.insert(path, whole.bytes(path).unwrap().to_vec());
        }
        let message = refusal(&missing, &trust);
        assert_eq!(message, "a/doses.csv: is missing; the manifest lists it");
        missing.insert("A/doses.csv", whole.bytes("a/doses.csv").unwrap().to_vec());
        let message = refusal(&missing, &trust);
        assert!(message.contains("1 more do not fit, for example A/doses.csv"), "{message}");
    }
}

#[test]
fn a_foreign_key_and_a_key_put_in_its_place_are_refused() {
    let files = signed_by(2, three());
    let message = refusal(&files, &trust(&[1]));
    assert!(message.contains(&key(2).public().to_string()), "{message}");
    // The manifest says the trusted key, the signature is the other one's.
    let text = files.text(MANIFEST).unwrap();
    let text = text.replace(&key(2).public().to_string(), &key(1).public().to_string());
    let mut forged = files.clone();
    forged.insert(MANIFEST, text.into_bytes());
    assert!(refusal(&forged, &trust(&[1])).contains("the signature is not that of key"));
    // A signature of the same key over the same lines, made for something else.
    let manifest = Unverified::parse(files.bytes(MANIFEST).unwrap()).unwrap();
    let lines = manifest.signed_bytes();
    let lines = lines.strip_prefix(DOMAIN).unwrap();
    let mut elsewhere = files.clone();
    elsewhere.insert(MANIFEST, manifest.write(key(2).0.sign(lines).as_ref()));
    assert!(refusal(&elsewhere, &trust(&[2])).contains("the signature is not that of key"));
}

#[test]
fn a_manifest_with_any_bit_changed_or_cut_anywhere_is_refused() {
    let files = signed_by(1, three());
    let whole = files.bytes(MANIFEST).unwrap().to_vec();
    for at in 0..whole.len() {
        let mut cut = files.clone();
        cut.insert(MANIFEST, whole[..at].to_vec());
        refusal(&cut, &trust(&[1]));
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let mut edited = files.clone();
            edited.insert(MANIFEST, bytes);
            refusal(&edited, &trust(&[1]));
        }
    }
    // A line taken out together with its file, and one put in with one.
    let lines: Vec<&str> = files.text(MANIFEST).unwrap().lines().collect();
    let without: Vec<&str> = lines.iter().filter(|l| !l.contains("m.onnx")).copied().collect();
    let mut fewer = folder(&[("manifest.toml", "schema = 1\n"), ("a/doses.csv", "code,mg\nx,5\n")]);
    fewer.insert(MANIFEST, format!("{}\n", without.join("\n")).into_bytes());
    assert!(refusal(&fewer, &trust(&[1])).contains("SIGNED.jsonl"));
    let counted = without.join("\n").replace("\"files\":3", "\"files\":2");
    fewer.insert(MANIFEST, format!("{counted}\n").into_bytes());
    assert!(refusal(&fewer, &trust(&[1])).contains("the signature is not that of key"));
}

#[test]
fn one_manifest_is_written_in_one_way() {
    let files = signed_by(1, three());
    let text = files.text(MANIFEST).unwrap();
    for (from, to) in [
        ("{\"path\":\"a/doses.csv\"", "{ \"path\":\"a/doses.csv\""),
        ("{\"path\":\"a/doses.csv\"", "{\"path\":\"\\u0061/doses.csv\""),
        ("{\"path\":\"a/doses.csv\"", "{\"path\":\"x\",\"path\":\"a/doses.csv\""),
        ("{\"path\":\"a/doses.csv\"", "{\"more\":1,\"path\":\"a/doses.csv\""),
        ("\"bytes\":12", "\"bytes\":12.0"),
        ("T00:53:20Z", "T08:53:20+08:00"),
        ("T00:53:20Z", "T00:53:20.0Z"),
        ("\"xiangyi_signed_folder\":1", "\"xiangyi_signed_folder\":2"),
        ("\n", "\r\n"),
        ("\n{\"signature\"", "\n\n{\"signature\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{from}");
        let message = Unverified::parse(changed.as_bytes()).expect_err(to).to_string();
        assert!(message.starts_with("SIGNED.jsonl:"), "{message}");
    }
    for (end, wrong) in [("", "no end"), ("\n\n", "stands after"), ("\nx\n", "stands after")] {
        let changed = format!("{}{end}", text.trim_end());
        let message = Unverified::parse(changed.as_bytes()).expect_err(end).to_string();
        assert!(message.contains(wrong), "{message}");
    }
    let capitals = text.replace(&hex(&digest(b"")), &hex(&digest(b"")).to_uppercase());
    assert!(Unverified::parse(capitals.as_bytes()).is_err());
}

#[test]
fn no_path_in_a_manifest_leads_out_of_the_folder_or_stands_for_two_files() {
    for path in [
        "../x.csv",
        "a/../x.csv",
        "a/..",
        "./x.csv",
        "/etc/passwd",
        "a//x.csv",
        "a/",
        "",
        "a\\x.csv",
        "c:x.csv",
        "a/x.csv.",
        "a/x.csv ",
        " a/x.csv",
        "a/x\0.csv",
        "a/x\n.csv",
        "train/x.csv",
        "a/train/x.csv",
        MANIFEST,
        "signed.JSONL",
        "ＳＩＧＮＥＤ.jsonl",
        "e\u{301}.csv",
    ] {
        assert!(inside(path).is_err(), "{path:?}");
        // Not even with the signature of a trusted key, and with such a file there.
        let mut files = folder(&[(path, "x")]);
        files.insert(MANIFEST, by_hand(1, &[(path, "x")]));
        refusal(&files, &trust(&[1]));
        let honest = folder(&[(path, "x"), ("a.csv", "x")]);
        if path != MANIFEST {
            assert!(sign(&honest, about(), &key(1)).is_err(), "{path:?}");
        }
    }
    for path in ["a.csv", "a/.hidden", "胸片/模型.onnx", "é.csv", "training/x.csv", "a/train"]
    {
        assert_eq!(inside(path), Ok(()), "{path:?}");
    }
    assert!(inside(&"x".repeat(513)).is_err());
    for twice in [
        [("a.csv", "x"), ("a.csv", "x")],
        [("a.csv", "x"), ("a.csv", "y")],
        [("b.csv", "x"), ("a.csv", "x")],
        [("A.csv", "x"), ("a.csv", "x")],
        [("ａ.csv", "x"), ("A.csv", "x")],
        [("é.csv", "x"), ("É.csv", "x")],
    ] {
        let mut files = folder(&twice);
        files.insert(MANIFEST, by_hand(1, &twice));
        refusal(&files, &trust(&[1]));
    }
    // Written by hand and nothing wrong with it: the tests above fail for what they say.
    let mut files = folder(&[("a.csv", "x"), ("b.csv", "y")]);
    files.insert(MANIFEST, by_hand(1, &[("a.csv", "x"), ("b.csv", "y")]));
    assert!(admit(&files, &trust(&[1])).unwrap().is_some());
}

#[test]
fn a_manifest_under_another_writing_of_its_name_is_no_way_around() {
    let lax = Trust { required: false, ..trust(&[1]) };
    let mut files = three();
    files.insert("signed.jsonl", sign(&three(), about(), &key(1)).unwrap());
    assert!(refusal(&files, &lax).contains("a manifest is called SIGNED.jsonl"));
    // One of a folder below is a file like others.
    let mut files = three();
    files.insert("mean/SIGNED.jsonl", b"x".to_vec());
    assert!(admit(&files, &lax).unwrap().is_none());
}

#[test]
fn texts_of_a_manifest_are_short_and_plain() {
    for (release, by) in [("", "x"), ("x", ""), ("x\ny", "x"), ("x", &"长".repeat(65))] {
        let about = About { release: release.to_owned(), by: by.to_owned(), at_s: 0 };
        assert!(sign(&three(), about, &key(1)).is_err(), "{release:?} {by:?}");
    }
    let never = About { at_s: i64::MAX, ..about() };
    assert!(sign(&three(), never, &key(1)).is_err());
}

#[test]
fn keys_are_64_digits_and_secrets_are_not_shown() {
    let public = key(1).public();
    assert_eq!(PublicKey::parse(&public.to_string()), Some(public));
    assert_eq!(PublicKey::parse(&public.to_string().to_uppercase()), Some(public));
    for wrong in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
        assert_eq!(PublicKey::parse(wrong), None, "{wrong}");
        assert!(SigningKey::parse(wrong).is_none());
    }
    assert_eq!(format!("{:?}", key(1)), "SigningKey(..)");
    assert_eq!(SigningKey::parse(&format!("{}\n", "01".repeat(32))).unwrap().public(), public);
}

#[test]
fn the_fuzzer_begins_with_a_manifest_that_is_right_in_form() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/signed");
    let read = |name: &str| Unverified::parse(&std::fs::read(seeds.join(name)).unwrap());
    assert_eq!(read("1").unwrap().files.len(), 3);
    assert!(read("2").unwrap_err().to_string().starts_with("../doses.csv: "));
}

fn any_folder() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let path = "[a-c]{1,2}(/[a-c]{1,2}){0,2}\\.csv";
    let files = (path, prop::collection::vec(any::<u8>(), 0..20));
    prop::collection::btree_map(files.0, files.1, 1..8).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn any_folder_is_taken_as_it_was_signed_and_in_no_other_state(
        files in any_folder(),
        other in any_folder(),
        seed in 1_u8..255,
    ) {
        let folder = |files: &[(String, Vec<u8>)]| {
            let mut folder = Files::new();
            for (path, bytes) in files {
                folder.insert(path.clone(), bytes.clone());
            }
            folder
        };
        let signed = signed_by(seed, folder(&files));
        prop_assert!(admit(&signed, &trust(&[seed])).unwrap().is_some());
        prop_assert!(admit(&signed, &trust(&[seed.wrapping_add(1).max(1)])).is_err());
        let mut swapped = folder(&other);
        swapped.insert(MANIFEST, signed.bytes(MANIFEST).unwrap().to_vec());
        prop_assert_eq!(admit(&swapped, &trust(&[seed])).is_ok(), files == other);
    }

    #[test]
    fn what_is_read_as_a_manifest_is_written_again_byte_for_byte(
        files in any_folder(),
        release in "[ -~一-龥\"\\\\]{0,6}",
        at_s in any::<i64>(),
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let entries = files.iter().map(|(path, bytes)| Entry {
            path: path.clone(), bytes: size(bytes), sha256: digest(bytes),
        });
        let about = About { release, by: "x".to_owned(), at_s };
        let Ok(made) = Unverified::new(about, key(1).public(), entries.collect()) else {
            return Ok(());
        };
        let mut bytes = made.write(&[7; 64]);
        let read = Unverified::parse(&bytes).unwrap();
        prop_assert_eq!(&read.write(&read.signature), &bytes);
        let at = cut.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Unverified::parse(&bytes) {
            prop_assert_eq!(&read.write(&read.signature), &bytes);
        }
    }
}
