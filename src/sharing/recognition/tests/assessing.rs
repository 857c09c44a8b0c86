//! Each reason, each level, the edges of the windows, the six grounds.

use super::super::study::{Conclusion, GroundClaim, Verdict};
use super::super::{Ground, assess};
use super::*;
use crate::sharing::imaging::examination::Laterality;
use Level::{City, County, National, Province};

fn judged(planned: &Planned, study: Existing) -> StudyAssessment {
    assess(&today(), planned, &[study]).studies.remove(0)
}

/// A study that differs from a good one in one thing.
fn with(change: impl FnOnce(&mut Existing)) -> StudyAssessment {
    let mut study = good("ct.chest.plain");
    change(&mut study);
    judged(&planned("ct.chest.plain"), study)
}

#[test]
fn a_study_that_nothing_speaks_against_is_recognised_with_every_rule_that_was_looked_at() {
    let study = with(|_| {});
    assert_eq!(study.verdict, Verdict::Recognised);
    for code in [
        ReasonCode::ExaminationSame,
        ReasonCode::WindowWithin,
        ReasonCode::LevelCity,
        ReasonCode::ReportSigned,
        ReasonCode::ImagesEnough,
        ReasonCode::NumbersComplete,
        ReasonCode::SlicesComplete,
        ReasonCode::ThicknessFits,
        ReasonCode::CoverageFits,
        ReasonCode::PixelsClean,
    ] {
        assert!(has(&study, code), "{code:?}");
    }
    for reason in &study.reasons {
        assert!(!reason.doctor_zh.is_empty() && !reason.patient_zh.is_empty(), "{reason:?}");
        assert!(!reason.doctor_zh.contains('{') && !reason.patient_zh.contains('{'), "{reason:?}");
        assert!(
            reason.values.is_empty()
                || !reason.clause.is_empty()
                || reason.code == ReasonCode::ExaminationSame
        );
    }
}

#[test]
fn what_speaks_against_a_study_is_said_and_it_is_not_recognised() {
    let facts = |change: fn(&mut SeriesFacts)| with(|s| change(&mut s.series[0]));
    for (study, code) in [
        (with(|s| s.examinations = Some(vec!["ct.spine".into()])), ReasonCode::ExaminationOther),
        (with(|s| s.date = Some(day("2026-06-16"))), ReasonCode::DateInFuture),
        (with(|s| s.date = Some(day("2026-01-01"))), ReasonCode::WindowExpired),
        (with(|s| s.marks = Some(vec![])), ReasonCode::LevelNone),
        (with(|s| s.report = Some(Report::Unsigned)), ReasonCode::ReportUnsigned),
        (with(|s| s.report = Some(Report::Absent)), ReasonCode::ReportAbsent),
        (facts(|f| f.images = Some(29)), ReasonCode::ImagesFew),
        (facts(|f| f.missing_numbers = Some(1)), ReasonCode::NumbersMissing),
        (facts(|f| f.missing_slices = Some(2)), ReasonCode::SlicesMissing),
        (facts(|f| f.slice_thickness_mm = Some(5.01)), ReasonCode::ThicknessThick),
        (facts(|f| f.coverage_mm = Some(199.0)), ReasonCode::CoverageShort),
    ] {
        assert_eq!(study.verdict, Verdict::NotRecognised, "{code:?}");
        assert!(has(&study, code), "{code:?}: {:?}", study.reasons[0]);
    }
}

#[test]
fn what_is_not_known_is_said_and_never_passes() {
    let facts = |change: fn(&mut SeriesFacts)| with(|s| change(&mut s.series[0]));
    for (study, code) in [
        (with(|s| s.examinations = None), ReasonCode::ExaminationUnknown),
        (with(|s| s.examinations = Some(vec![])), ReasonCode::ExaminationUnknown),
        (with(|s| s.confidence = Some(0.6)), ReasonCode::ExaminationUnsure),
        (with(|s| s.confidence = None), ReasonCode::ExaminationUnsure),
        (with(|s| s.confidence = Some(f64::NAN)), ReasonCode::ExaminationUnsure),
        (with(|s| s.date = None), ReasonCode::DateUnknown),
        (with(|s| s.marks = None), ReasonCode::LevelUnknown),
        (with(|s| s.institution.region.clear()), ReasonCode::RegionUnknown),
        (with(|s| s.report = None), ReasonCode::ReportUnknown),
        (with(|s| s.series.clear()), ReasonCode::ImagesUnknown),
        (facts(|f| f.images = None), ReasonCode::ImagesUnknown),
        (facts(|f| f.missing_numbers = None), ReasonCode::NumbersUnknown),
        (facts(|f| f.missing_slices = None), ReasonCode::SlicesUnknown),
        (facts(|f| f.slice_thickness_mm = None), ReasonCode::ThicknessUnknown),
        (facts(|f| f.slice_thickness_mm = Some(f64::NAN)), ReasonCode::ThicknessUnknown),
        (facts(|f| f.coverage_mm = None), ReasonCode::CoverageUnknown),
    ] {
        assert_eq!(study.verdict, Verdict::CannotSay, "{code:?}");
        assert!(has(&study, code), "{code:?}: {:?}", study.reasons[0]);
    }
}

#[test]
fn burned_in_text_is_a_remark_and_so_is_not_knowing() {
    for (burned, code) in
        [(Some(true), ReasonCode::PixelsBurned), (None, ReasonCode::PixelsUnknown)]
    {
        let study = with(|s| s.series[0].burned_in = burned);
        assert_eq!(study.verdict, Verdict::RecognisedWithRemark);
        assert!(has(&study, code));
    }
}

#[test]
fn the_series_that_fits_best_counts_and_a_localiser_does_no_harm() {
    let localiser = SeriesFacts { images: Some(2), ..SeriesFacts::default() };
    let study = with(|s| s.series.insert(0, localiser));
    assert_eq!(study.verdict, Verdict::Recognised);
}

#[test]
fn the_side_counts_where_it_is_planned() {
    let limb = |side| {
        let mut plan = planned("xr.limb");
        plan.laterality = Some(Laterality::Left);
        let mut study = good("xr.limb");
        study.laterality = side;
        judged(&plan, study)
    };
    for (side, verdict, code) in [
        (Some(Laterality::Left), Verdict::Recognised, ReasonCode::SideSame),
        (Some(Laterality::Both), Verdict::Recognised, ReasonCode::SideSame),
        (Some(Laterality::Right), Verdict::NotRecognised, ReasonCode::SideOther),
        (None, Verdict::CannotSay, ReasonCode::SideUnknown),
    ] {
        let study = limb(side);
        assert_eq!(study.verdict, verdict);
        assert!(has(&study, code));
    }
    let mut study = good("xr.limb");
    for (marked, code) in [
        (Some(true), ReasonCode::SideMarked),
        (Some(false), ReasonCode::SideUnmarked),
        (None, ReasonCode::SideMarkUnknown),
    ] {
        study.series[0].side_marked = marked;
        assert!(has(&judged(&planned("xr.limb"), study.clone()), code));
    }
}

#[test]
fn a_level_reaches_as_far_as_its_scope_and_no_further() {
    let at = |level, scope: &str, holder: &str, asker: &str| {
        let mut plan = planned("ct.chest.plain");
        plan.asking = institution("asking", asker);
        let mut study = good("ct.chest.plain");
        study.institution = institution("holding", holder);
        study.marks = Some(vec![mark(level, scope)]);
        let study = judged(&plan, study);
        let code = study.reasons.iter().find(|r| {
            r.code.as_str().starts_with("level") || r.code.as_str().starts_with("region")
        });
        code.unwrap().code
    };
    for (level, scope, holder, asker, code) in [
        (National, "", OTHER_PROVINCE, COUNTY, ReasonCode::LevelNational),
        (National, "", "", "", ReasonCode::LevelNational),
        (Province, "36", OTHER_CITY, COUNTY, ReasonCode::LevelProvince),
        (Province, "33", OTHER_PROVINCE, COUNTY, ReasonCode::LevelElsewhere),
        (City, "3611", OTHER_COUNTY, COUNTY, ReasonCode::LevelCity),
        (City, "3601", OTHER_CITY, COUNTY, ReasonCode::LevelElsewhere),
        (City, "3611", OTHER_CITY, COUNTY, ReasonCode::LevelElsewhere),
        (City, "3611", COUNTY, OTHER_CITY, ReasonCode::LevelElsewhere),
        (County, "361123", COUNTY, COUNTY, ReasonCode::LevelCounty),
        (County, "361102", OTHER_COUNTY, COUNTY, ReasonCode::LevelElsewhere),
        (City, "3611", "", COUNTY, ReasonCode::RegionUnknown),
        (City, "3611", COUNTY, "", ReasonCode::RegionUnknown),
        (City, "3611", "36", COUNTY, ReasonCode::LevelElsewhere),
        (City, "36", COUNTY, COUNTY, ReasonCode::LevelUnknown),
    ] {
        assert_eq!(at(level, scope, holder, asker), code, "{level:?} {scope} {holder} {asker}");
    }
}

#[test]
fn the_widest_mark_that_holds_counts_and_one_out_of_force_does_not() {
    let mut old = mark(National, "");
    old.valid_to = Some(day("2026-06-04"));
    let study = with(|s| s.marks = Some(vec![old.clone()]));
    assert!(has(&study, ReasonCode::LevelNotInForce));
    assert_eq!(study.verdict, Verdict::NotRecognised);
    old.valid_to = Some(day("2026-06-05"));
    let study = with(|s| s.marks = Some(vec![mark(City, "3611"), old]));
    assert!(has(&study, ReasonCode::LevelNational));
    let study = with(|s| s.examinations = Some(vec!["ct.rib".into()]));
    assert_eq!(study.verdict, Verdict::NotRecognised);
    let mut rib = good("ct.rib");
    rib.series[0].coverage_mm = Some(300.0);
    assert!(has(&judged(&planned("ct.rib"), rib), ReasonCode::LevelNotListed));
}

#[test]
fn what_was_made_in_the_same_house_needs_no_mark() {
    let study = with(|s| {
        s.marks = None;
        s.institution = institution("asking", "");
    });
    assert_eq!(study.verdict, Verdict::Recognised);
    assert!(has(&study, ReasonCode::LevelOwn));
    // Two houses of which neither is named are not the same.
    let mut plan = planned("ct.chest.plain");
    plan.asking.id.clear();
    let mut study = good("ct.chest.plain");
    study.institution.id.clear();
    study.marks = None;
    assert_eq!(judged(&plan, study).verdict, Verdict::CannotSay);
}

#[test]
fn the_day_of_expiry_is_the_last_on_which_a_study_counts() {
    // Thirty days for a chest CT in any situation, 90 in a stable, 3 in an acute one.
    for (situation, made, verdict) in [
        (Situation::Any, "2026-06-15", Verdict::Recognised),
        (Situation::Any, "2026-05-16", Verdict::Recognised),
        (Situation::Any, "2026-05-15", Verdict::NotRecognised),
        (Situation::Stable, "2026-03-17", Verdict::Recognised),
        (Situation::Stable, "2026-03-16", Verdict::NotRecognised),
        (Situation::Acute, "2026-06-12", Verdict::Recognised),
        (Situation::Acute, "2026-06-11", Verdict::NotRecognised),
    ] {
        let mut plan = planned("ct.chest.plain");
        plan.situation = situation;
        let mut study = good("ct.chest.plain");
        study.date = Some(day(made));
        assert_eq!(judged(&plan, study).verdict, verdict, "{situation:?} {made}");
    }
}

#[test]
fn one_examination_covers_another_only_where_a_row_says_so() {
    let held = |held: &str, wanted: &str| judged(&planned(wanted), good(held));
    for (existing, wanted, verdict, code) in [
        (
            "ct.chest.plain_contrast",
            "ct.chest.plain",
            Verdict::Recognised,
            ReasonCode::ExaminationCovers,
        ),
        (
            "ct.chest.contrast",
            "ct.chest.plain",
            Verdict::NotRecognised,
            ReasonCode::ExaminationOther,
        ),
        (
            "ct.chest.plain",
            "ct.chest.contrast",
            Verdict::NotRecognised,
            ReasonCode::ExaminationOther,
        ),
        (
            "ct.chest.plain",
            "xr.chest.pa",
            Verdict::RecognisedWithRemark,
            ReasonCode::ExaminationCoversPartly,
        ),
        ("xr.chest.pa", "ct.chest.plain", Verdict::NotRecognised, ReasonCode::ExaminationOther),
        ("ct.chest", "ct.chest.plain", Verdict::CannotSay, ReasonCode::ExaminationUnclear),
        ("ct.head_neck.cta", "ct.carotid.cta", Verdict::Recognised, ReasonCode::ExaminationCovers),
        (
            "ct.carotid.cta",
            "ct.head_neck.cta",
            Verdict::NotRecognised,
            ReasonCode::ExaminationOther,
        ),
    ] {
        let study = held(existing, wanted);
        assert_eq!(study.verdict, verdict, "{existing} for {wanted}: {:?}", study.reasons[0]);
        assert!(has(&study, code), "{existing} for {wanted}");
    }
}

#[test]
fn what_is_planned_must_be_known() {
    let mut plan = planned("ct.chest.plain");
    plan.examination = None;
    let study = judged(&plan, good("ct.chest.plain"));
    assert_eq!(study.verdict, Verdict::CannotSay);
    assert!(has(&study, ReasonCode::PlannedUnknown));
}

#[test]
fn the_six_grounds_allow_examining_again_and_say_why_to_both() {
    let policy = today();
    assert_eq!(policy.grounds().len(), 6);
    for text in policy.grounds() {
        let mut plan = planned("ct.chest.plain");
        plan.grounds =
            vec![GroundClaim { ground: text.ground, explanation: "术后复查".into() }];
        let answer = assess(&policy, &plan, &[good("ct.chest.plain")]);
        assert_eq!(answer.conclusion, Conclusion::RepeatAllowed, "{:?}", text.ground);
        assert!(answer.grounds[0].accepted);
        assert_eq!(answer.studies[0].verdict, Verdict::Recognised);
        assert!(!answer.grounds[0].patient_zh.is_empty() && !answer.grounds[0].clause.is_empty());
    }
}

#[test]
fn the_last_ground_does_not_count_without_a_word_and_none_before_the_measures_were_in_force() {
    let mut plan = planned("ct.chest.plain");
    plan.grounds = vec![GroundClaim { ground: Ground::Other, explanation: " ".into() }];
    let answer = assess(&today(), &plan, &[good("ct.chest.plain")]);
    assert_eq!(answer.conclusion, Conclusion::NotNeeded);
    assert!(!answer.grounds[0].accepted);
    plan.grounds = vec![GroundClaim { ground: Ground::Emergency, explanation: String::new() }];
    let early = assess(&policies().on(day("2022-02-28")), &plan, &[]);
    assert!(!early.grounds[0].accepted);
}

#[test]
fn the_conclusion_follows_the_best_study() {
    let policy = today();
    let plan = planned("ct.chest.plain");
    let good_one = good("ct.chest.plain");
    let mut unknown = good_one.clone();
    unknown.study = "unknown".into();
    unknown.report = None;
    let mut bad = good_one.clone();
    bad.study = "bad".into();
    bad.report = Some(Report::Absent);
    let conclude = |studies: &[Existing]| assess(&policy, &plan, studies).conclusion;
    assert_eq!(conclude(&[]), Conclusion::Needed);
    assert_eq!(conclude(&[bad.clone()]), Conclusion::Needed);
    assert_eq!(conclude(&[bad.clone(), unknown.clone()]), Conclusion::Unclear);
    assert_eq!(conclude(&[bad, unknown, good_one]), Conclusion::NotNeeded);
}
