//! Every real file: nothing of its names, numbers, dates and UIDs is left, its pixels are the same,
//! and twice is once.

use std::path::{Path, PathBuf};

use super::*;
use crate::sharing::deidentify::images::identity;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dicom");
    let mut found = Vec::new();
    files(&folder, &mut found);
    found.sort();
    assert!(found.len() > 300, "{} is missing", folder.display());
    found
}

/// What a file says that identifies: raw values as they lie, and text in UTF-8.
#[derive(Default)]
struct Secrets {
    names: Vec<Vec<u8>>,
    dates: Vec<Vec<u8>>,
    uids: Vec<Vec<u8>>,
}

const NUMBERS: [Tag; 5] = [
    tags::PATIENT_ID,
    tags::ACCESSION_NUMBER,
    tags::PATIENT_TELEPHONE_NUMBERS,
    tags::PATIENT_ADDRESS,
    tags::INSTITUTION_NAME,
];

fn gather(
    set: &Set<'_>,
    sets: &crate::sharing::imaging::charset::CharacterSets,
    secrets: &mut Secrets,
) {
    for node in set {
        if let Held::Items(items) = &node.value {
            for item in items {
                gather(item, sets, secrets);
            }
        }
        let Some(value) = node.value() else { continue };
        let vr = tree::known(node.tag).map_or(node.vr, |(_, vr)| vr);
        let values = value.split(|b| *b == b'\\').map(<[u8]>::trim_ascii);
        if vr == VR::PN {
            for part in values.flat_map(|v| v.split(|b| b"^= ,".contains(b))) {
                secrets.names.push(part.to_vec());
            }
            let text = identity::text(sets, VR::PN, value);
            secrets
                .names
                .extend(text.split(['\\', '^', '=', ' ', ',']).map(|p| p.as_bytes().to_vec()));
        } else if NUMBERS.contains(&node.tag) {
            secrets.names.extend(values.map(<[u8]>::to_vec));
        } else if vr == VR::DA {
            secrets.dates.extend(values.map(<[u8]>::to_vec));
        } else if vr == VR::DT {
            secrets.dates.extend(values.filter_map(|v| v.get(..8)).map(<[u8]>::to_vec));
        } else if vr == VR::UI {
            let values = values.map(|v| v.strip_suffix(b"\0").unwrap_or(v));
            secrets.uids.extend(values.map(<[u8]>::to_vec));
        }
    }
}

/// Long enough that it is not there by chance.
fn tells(value: &[u8]) -> bool {
    let long = if value.is_ascii() { 5 } else { 4 };
    let plain = [&b"00000000"[..], b"19000101", b"Anonymized", b"anonymous", b"ANONYMIZED"];
    value.len() >= long && !plain.contains(&value)
}

/// Whether `value` stands in `bytes` as a word of its own.
fn stands(bytes: &[u8], value: &[u8]) -> bool {
    let word = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    memchr::memmem::find_iter(bytes, value).any(|at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !(value.is_ascii() && (word(before) || word(bytes.get(at + value.len()))))
    })
}

/// Everything of a data set but pixels.
fn without_pixels(set: &Set<'_>) -> Vec<u8> {
    let rest: Set<'_> = set.iter().filter(|node| node.tag.0 != 0x7FE0).cloned().collect();
    tree::write(&rest, Syntax::EXPLICIT_LITTLE)
}

fn pixels<'s, 'a>(set: &'s Set<'a>) -> Vec<&'s Node<'a>> {
    set.iter().filter(|node| node.tag.0 == 0x7FE0 && node.tag.1 != 0).collect()
}

fn inflated(file: &[u8]) -> (Vec<u8>, Syntax) {
    let opening = open(file).unwrap();
    let syntax = Syntax::of(&opening.transfer_syntax).unwrap();
    let body = &file[opening.data_set..];
    if syntax.deflated {
        (inflate(body).unwrap(), Syntax::EXPLICIT_LITTLE)
    } else {
        (body.to_vec(), syntax)
    }
}

/// Whether an attribute is called so in the rules or the dictionary.
fn known_name(name: &str) -> bool {
    static NAMES: OnceLock<std::collections::BTreeSet<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let table = crate::embedded::files();
        let table = table.text("policy/deidentification/profile.csv").unwrap().to_owned();
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        rows.records().map(|row| row.unwrap()[1].to_owned()).collect()
    });
    names.contains(name) || (name.is_ascii() && name.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Attributes that every reader must still find.
fn private_or_unknown(set: &Set<'_>, found: &mut Vec<Tag>) {
    for node in set {
        if tree::known(node.tag).is_none() {
            found.push(node.tag);
        }
        if let Held::Items(items) = &node.value {
            for item in items {
                private_or_unknown(item, found);
            }
        }
    }
}

/// Files that were made: 287, each in two ways.
const MADE: usize = 574;
/// What is refused, and why.
const REFUSED: [&str; 28] = [
    "README.md: no file",
    "CT_Implicit_Little_Headless_Retired.dcm: nameless",
    "README.md: no file",
    "MR_truncated.dcm: broken",
    "SC_rgb_jpeg.dcm: broken",
    "crayons.icc: no file",
    "DICOMDIR: directory",
    "DICOMDIR-bigEnd: directory",
    "DICOMDIR-empty.dcm: directory",
    "DICOMDIR-implicit: directory",
    "DICOMDIR-nooffset: broken",
    "DICOMDIR-nopatient: directory",
    "DICOMDIR-reordered: directory",
    "DICOMDIR: directory",
    "README: no file",
    "empty_charset_LEI.dcm: nameless",
    "meta_missing_tsyntax.dcm: nameless",
    "nested_priv_SQ.dcm: nameless",
    "no_meta.dcm: no file",
    "rtplan.dump: no file",
    "rtplan_truncated.dcm: broken",
    "rtstruct.dump: no file",
    "JLSL_RGB_ILV0.dcm: nameless",
    "JLSL_RGB_ILV1.dcm: nameless",
    "JLSL_RGB_ILV2.dcm: nameless",
    "JLSN_RGB_ILV0.dcm: nameless",
    "bad_sequence.dcm: nameless",
    "emri_small_jpeg_2k_lossless_too_short.dcm: broken",
];

fn why(error: &ImageError) -> &'static str {
    match error {
        ImageError::NotAFile(_) => "no file",
        ImageError::Broken(_) => "broken",
        ImageError::Inflate => "inflate",
        ImageError::Syntax => "syntax",
        ImageError::Directory => "directory",
        ImageError::Nameless => "nameless",
    }
}

#[test]
fn nothing_that_identifies_is_left_of_any_real_file_and_its_pixels_are_the_same() {
    let all: Vec<Choice> = Choice::ALL.map(|(choice, _)| choice).to_vec();
    let modified: Vec<Choice> = all
        .iter()
        .copied()
        .filter(|c| ![Choice::FullDates, Choice::Uids, Choice::Institution].contains(c))
        .collect();
    let ways: [&[Choice]; 2] = [&[], &modified];
    let (mut made, mut refused, mut left) = (0, Vec::new(), Vec::new());
    for path in corpus() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        for way in ways {
            let choices = choices(way);
            let key = key();
            let way = Way { rules: rules(), choices: &choices, key: &key, include_burned_in: true };
            let outcome = match deidentify(&bytes, way) {
                Ok(outcome) => outcome,
                Err(error) => {
                    refused.push(format!("{name}: {}", why(&error)));
                    break;
                }
            };
            made += 1;
            let new = outcome.made.unwrap();
            let (data, syntax) = inflated(&bytes);
            let before = tree::read(&data, syntax).unwrap();
            let after = set_of(&new.bytes);
            let mut secrets = Secrets::default();
            gather(&before, &identity::sets(&before), &mut secrets);
            let written = without_pixels(&after);
            for (kind, values) in
                [("name", &secrets.names), ("date", &secrets.dates), ("uid", &secrets.uids)]
            {
                for value in values.iter().filter(|value| tells(value)) {
                    let standard = kind == "uid" && value.starts_with(b"1.2.840.10008.");
                    if !standard && stands(&written, value) {
                        left.push(format!("{name}: {kind} {}", String::from_utf8_lossy(value)));
                    }
                }
            }
            assert_eq!(pixels(&before), pixels(&after), "{name}: pixels");
            let mut strange = Vec::new();
            private_or_unknown(&after, &mut strange);
            strange.retain(|tag| tag.0 % 2 == 0 || !way.choices.has(Choice::SafePrivate));
            left.extend(strange.iter().map(|tag| format!("{name}: {tag} is left")));
            let again = deidentify(&new.bytes, way).unwrap().made.unwrap();
            if again.bytes != new.bytes {
                let (once, twice) = (set_of(&new.bytes), set_of(&again.bytes));
                let other = once.iter().zip(&twice).find(|(a, b)| a != b).map(|(a, _)| a.tag);
                left.push(format!("{name}: twice is not once: {other:?}"));
            }
            // What attributes are called comes of the tables, the rest must be tags alone.
            let plain = |line: &crate::sharing::deidentify::report::Line| {
                line.attribute.len() == 11 && (line.name.is_empty() || known_name(&line.name))
            };
            assert!(outcome.report.lines().iter().all(plain), "{name}");
        }
    }
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(refused, REFUSED);
    assert_eq!(made, MADE);
}
