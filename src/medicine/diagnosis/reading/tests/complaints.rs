//! Complaints as village doctors type them, read with the tables that are shipped. The texts
//! were written by the hand that wrote the wordings, so the figures are no measure of quality;
//! they keep what reads today reading tomorrow.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

/// Precision and recall below which the test fails.
const LEAST: f64 = 0.97;

#[derive(serde::Deserialize)]
struct Complaint {
    text: String,
    present: String,
    absent: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn shipped() -> Fixture {
    let mut files = Files::new();
    for entry in std::fs::read_dir(root().join("models/diagnosis")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            let name = path.file_name().unwrap().to_str().unwrap();
            files.insert(format!("diagnosis/{name}"), std::fs::read(&path).unwrap());
        }
    }
    let vocabulary = Vocabulary::load(&files).unwrap_or_else(|e| panic!("{e}"));
    let reader = Reader::new(&vocabulary, &Cues::load(&files).unwrap()).unwrap();
    Fixture { vocabulary, reader }
}

/// The patient's own findings of today, `+` present and `-` absent.
fn own(fixture: &Fixture, text: &str) -> BTreeSet<String> {
    let kind = |id| fixture.vocabulary.get_finding(id).unwrap().kind;
    let reading = fixture.reader.read(text);
    let today = reading.mentions.iter().filter(|mention| {
        mention.experiencer == Experiencer::Patient
            && !mention.resolved
            && (!mention.past || kind(mention.finding).outlasts())
    });
    today
        .filter_map(|mention| {
            let sign = match mention.presence {
                Presence::Present => "+",
                Presence::Absent => "-",
                Presence::Uncertain => return None,
            };
            Some(format!("{sign}{}", fixture.vocabulary.finding_slug(mention.finding)))
        })
        .collect()
}

fn expected(fixture: &Fixture, complaint: &Complaint) -> BTreeSet<String> {
    let signed = |sign: &'static str, cell: &str| -> Vec<String> {
        let slugs = cell.split('|').filter(|slug| !slug.is_empty());
        slugs
            .map(|slug| {
                assert!(fixture.vocabulary.finding(slug).is_some(), "no finding `{slug}`");
                format!("{sign}{slug}")
            })
            .collect()
    };
    let present = signed("+", &complaint.present);
    present.into_iter().chain(signed("-", &complaint.absent)).collect()
}

#[test]
fn complaints_read_to_exactly_their_findings() {
    let fixture = shipped();
    let path = root().join("tests/fixtures/reading/complaints.csv");
    let (mut right, mut read, mut wanted, mut texts) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for complaint in csv::Reader::from_path(path).unwrap().deserialize() {
        let complaint: Complaint = complaint.unwrap();
        let got = own(&fixture, &complaint.text);
        let want = expected(&fixture, &complaint);
        let common = got.intersection(&want).count();
        (right, read, wanted, texts) =
            (right + common, read + got.len(), wanted + want.len(), texts + 1);
        if got != want {
            let missing: Vec<_> = want.difference(&got).collect();
            let extra: Vec<_> = got.difference(&want).collect();
            wrong.push(format!("{}\n  missing {missing:?} extra {extra:?}", complaint.text));
        }
    }
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
    let number = |n: usize| u32::try_from(n).unwrap();
    let precision = share(number(right), number(read));
    let recall = share(number(right), number(wanted));
    println!("{texts} complaints: precision {precision:.3}, recall {recall:.3}");
    assert!(texts >= 120, "only {texts} complaints");
    assert!(precision >= LEAST && recall >= LEAST, "{}", wrong.join("\n"));
}
