//! Tests of loading and deriving.

use super::{Basis, Examinations, Field, Laterality, Modality, Programme};
use crate::sharing::imaging::header::Header;
use crate::tables::files::Files;

pub(super) fn tables() -> Examinations {
    Examinations::load(&crate::embedded::files()).unwrap()
}

fn series(uid: &str, modality: &str, study: &str, description: &str) -> Header {
    let mut header = Header::default();
    header.series.uid = uid.to_owned();
    header.series.modality = modality.to_owned();
    header.study.description = study.to_owned();
    header.series.description = description.to_owned();
    header
}

#[test]
fn two_views_of_one_study_are_one_examination_in_two_projections() {
    let (mut front, mut side) = (series("1", "DX", "胸部", ""), series("2", "DX", "胸部", ""));
    front.series.view_position = "PA".into();
    side.series.view_position = "LL".into();
    let derived = tables().derive(&[front, side]);
    assert_eq!(derived.study.examinations, ["xr.chest.pa_lateral"]);
    assert_eq!(derived.series[0].1.examinations, ["xr.chest.pa"]);
    assert_eq!(derived.series[1].1.examinations, ["xr.chest.lateral"]);
}

#[test]
fn each_series_says_which_part_of_the_study_it_is() {
    let study = "颅脑CT平扫+胸部CT平扫";
    let derived = tables()
        .derive(&[series("1", "CT", study, "头颅 5mm"), series("2", "CT", study, "肺 1mm")]);
    assert_eq!(derived.study.examinations, ["ct.brain.plain", "ct.chest.plain"]);
    assert_eq!(derived.series[0].1.examinations, ["ct.brain.plain"]);
    assert_eq!(derived.series[1].1.examinations, ["ct.chest.plain"]);
    assert_eq!(derived.study.programmes, [Programme::Brain, Programme::Chest]);
}

#[test]
fn a_plain_and_an_enhanced_series_make_a_study_of_both() {
    let plain = series("1", "CT", "上腹部CT", "平扫");
    let mut enhanced = series("2", "CT", "上腹部CT", "");
    enhanced.series.contrast_agent = "碘海醇".into();
    let derived = tables().derive(&[plain, enhanced]);
    assert_eq!(derived.study.examinations, ["ct.abdomen.plain_contrast"]);
    assert_eq!(derived.series[1].1.examinations, ["ct.abdomen.contrast"]);
}

#[test]
fn a_report_beside_images_does_not_change_what_was_examined() {
    let derived = tables()
        .derive(&[series("1", "CT", "胸部CT平扫", ""), series("2", "SR", "胸部CT平扫", "报告")]);
    assert_eq!(derived.study.examinations, ["ct.chest.plain"]);
    assert_eq!(derived.series[1].1.examinations, ["sr.report"]);
}

#[test]
fn text_beats_a_body_part_left_at_its_default_and_is_less_sure() {
    let tables = tables();
    let mut header = series("1", "CT", "颅脑CT平扫", "");
    let sure = tables.derive(std::slice::from_ref(&header)).study;
    header.series.body_part = "HEAD".into();
    let surer = tables.derive(std::slice::from_ref(&header)).study;
    header.series.body_part = "ABDOMEN".into();
    let less = tables.derive(std::slice::from_ref(&header)).study;
    assert_eq!(less.examinations, ["ct.brain.plain"]);
    assert_eq!(less.basis, Basis::TextAgainstTag);
    assert!(less.confidence < sure.confidence && sure.confidence < surer.confidence);
    assert!(less.reasons.iter().any(|r| r.field == Field::BodyPart && r.term == "abdomen"));
}

#[test]
fn a_study_and_a_series_that_name_different_regions_are_said_to_disagree() {
    let derived = tables().derive(&[series("1", "CT", "腰椎CT", "胸部 1mm")]).study;
    assert_eq!(derived.basis, Basis::TextsDisagree);
    assert_eq!(derived.examinations, ["ct.chest", "ct.spine"]);
}

#[test]
fn what_is_not_said_is_unknown() {
    let tables = tables();
    for header in [
        Header::default(),
        series("1", "CT", "", ""),
        series("1", "XA", "术中", "15 fps"),
        series("1", "US", "常规检查", ""),
        series("1", "PR", "胸部", ""),
    ] {
        let derived = tables.derive(&[header]).study;
        assert!(derived.examinations.is_empty(), "{derived:?}");
        assert_eq!(derived.programmes, [Programme::Unknown]);
    }
    let nothing = tables.derive(&[]).study;
    assert_eq!((nothing.basis, nothing.modality), (Basis::Unknown, Modality::Other));
    assert!(nothing.confidence.abs() < f64::EPSILON);
}

#[test]
fn no_word_of_the_object_is_carried_into_the_answer() {
    let derived = tables().derive(&[series("1", "CT", "张三 胸部CT 13900000000", "")]);
    let said = format!("{derived:?}");
    assert!(!said.contains("张三") && !said.contains("139"), "{said}");
}

#[test]
fn the_side_is_carried_and_two_sides_are_both() {
    let (mut left, mut right) = (series("1", "DX", "膝关节", ""), series("2", "DX", "膝关节", ""));
    left.series.laterality = "L".into();
    right.series.laterality = "R".into();
    let derived = tables().derive(&[left, right]);
    assert_eq!(derived.series[0].1.laterality, Some(Laterality::Left));
    assert_eq!(derived.study.laterality, Some(Laterality::Both));
}

#[test]
fn a_request_is_read_without_a_study() {
    let tables = tables();
    let request = |text| tables.derive_request(Modality::Other, text).examinations;
    assert_eq!(request("颅脑CT平扫"), ["ct.brain.plain"]);
    assert_eq!(request("心脏彩超"), ["us.heart.tte"]);
    assert_eq!(tables.derive_request(Modality::Ct, "胸部平扫").examinations, ["ct.chest.plain"]);
    assert!(request("抽血").is_empty());
}

#[test]
fn hostile_text_is_bounded_and_does_not_stop_the_reading() {
    let tables = tables();
    for text in ["胸".repeat(100_000), "+".repeat(5000), "\u{0}\\|^_".repeat(500)] {
        tables.derive(&[series("1", "CT", &text, &text)]);
    }
}

/// Files with one line of one table put in the place of `line`.
fn spoiled(path: &str, line: usize, with: &str) -> Files {
    let mut files = crate::embedded::files();
    let mut lines: Vec<String> = files.text(path).unwrap().lines().map(str::to_owned).collect();
    with.clone_into(&mut lines[line - 1]);
    files.insert(path.to_owned(), lines.join("\n").into_bytes());
    files
}

#[test]
fn rows_that_are_uncited_repeated_or_point_nowhere_do_not_load() {
    for (path, row, message) in [
        ("imaging/terms.csv", "新词,chest,,,,,,draft", "terms.csv:2: row has no source"),
        ("imaging/terms.csv", "新词,chest,,,,,nowhere,draft", "terms.csv:2: unknown source"),
        ("imaging/terms.csv", "新词,moon,,,,,memory,draft", "terms.csv:2: unknown region `moon`"),
        ("imaging/terms.csv", "颅脑,head,,,,,memory,draft", "stands twice"),
        ("imaging/terms.csv", "新词,,,maybe,,,memory,draft", "terms.csv:2: unknown contrast"),
        ("imaging/terms.csv", "新词,,,,up,,memory,draft", "terms.csv:2: unknown view"),
        (
            "imaging/terms.csv",
            "新词,,,,,,memory,perhaps",
            "terms.csv:2: column `?`: unknown variant `perhaps`",
        ),
        ("imaging/regions.csv", "head,头,head,,memory,draft", "lies within itself"),
        ("imaging/regions.csv", "head,头,moon,,memory,draft", "unknown region `moon`"),
        (
            "imaging/examinations.csv",
            "x.y,ct,head,laser,,,,名,brain,memory,draft",
            "examinations.csv:2: unknown technique `laser`",
        ),
        (
            "imaging/examinations.csv",
            "x.y,ct,head,,,,no.such,名,brain,memory,draft",
            "examinations.csv:2: unknown examination `no.such`",
        ),
        ("imaging/confidence.csv", "text,1.5,名,project,draft", "value must be 0 to 1"),
        ("imaging/region_codes.csv", "SCT:1,head,,memory,draft", "column `meaning` is empty"),
    ] {
        let error = Examinations::load(&spoiled(path, 2, row)).unwrap_err().to_string();
        assert!(error.contains(message), "{row}: {error}");
    }
}
