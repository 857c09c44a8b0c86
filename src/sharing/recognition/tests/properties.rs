//! Properties over studies of every kind.

use proptest::prelude::*;

use super::super::assess;
use super::super::study::Verdict;
use super::*;

fn optional<T: Clone + std::fmt::Debug + 'static>(
    values: Vec<T>,
) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.8, prop::sample::select(values))
}

prop_compose! {
    fn facts()(
        images in optional(vec![1_u32, 30, 300]),
        missing_numbers in optional(vec![0_u32, 0, 3]),
        missing_slices in optional(vec![0_u32, 0, 1]),
        slice_thickness_mm in optional(vec![0.6, 1.0, 5.0, 10.0]),
        coverage_mm in optional(vec![50.0, 220.0, 500.0]),
        burned_in in optional(vec![true, false]),
        side_marked in optional(vec![true, false]),
    ) -> SeriesFacts {
        SeriesFacts {
            images, missing_numbers, missing_slices, slice_thickness_mm, coverage_mm, burned_in,
            side_marked,
        }
    }
}

prop_compose! {
    fn study()(
        name in "[a-d]{1,2}",
        examinations in optional(vec![
            vec!["ct.chest.plain".to_owned()],
            vec!["ct.chest.plain_contrast".to_owned(), "ct.brain.plain".to_owned()],
            vec!["ct.chest".to_owned()],
            vec!["ct.spine".to_owned()],
        ]),
        confidence in optional(vec![0.5, 0.9]),
        back in prop::option::weighted(0.9, 0_i64..60),
        region in prop::sample::select(vec!["", COUNTY, OTHER_COUNTY, OTHER_CITY, OTHER_PROVINCE]),
        marks in optional(vec![
            vec![],
            vec![mark(Level::City, "3611")],
            vec![mark(Level::Province, "36"), mark(Level::City, "3601")],
            vec![mark(Level::National, "")],
        ]),
        report in optional(vec![Report::Signed, Report::Signed, Report::Unsigned, Report::Absent]),
        series in prop::collection::vec(facts(), 0..3),
    ) -> Existing {
        Existing {
            study: name,
            examinations,
            confidence,
            date: back.map(|days| day(TODAY).saturating_sub(jiff::Span::new().days(days))),
            institution: institution("holding", region),
            marks,
            report,
            laterality: None,
            series,
        }
    }
}

fn verdict(policy: &Policy, study: &Existing) -> Verdict {
    assess(policy, &planned("ct.chest.plain"), std::slice::from_ref(study)).studies[0].verdict
}

fn recognised(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Recognised | Verdict::RecognisedWithRemark)
}

/// The study with one fact unlearned.
fn forget(study: &Existing, which: usize) -> Existing {
    let mut less = study.clone();
    let facts = |less: &mut Existing, f: fn(&mut SeriesFacts)| less.series.iter_mut().for_each(f);
    match which {
        0 => less.examinations = None,
        1 => less.confidence = None,
        2 => less.date = None,
        3 => less.marks = None,
        4 => less.report = None,
        5 => less.institution.region.clear(),
        6 => less.series.clear(),
        7 => facts(&mut less, |f| f.images = None),
        8 => facts(&mut less, |f| f.missing_numbers = None),
        9 => facts(&mut less, |f| f.missing_slices = None),
        10 => facts(&mut less, |f| f.slice_thickness_mm = None),
        11 => facts(&mut less, |f| f.coverage_mm = None),
        _ => facts(&mut less, |f| f.burned_in = None),
    }
    less
}

proptest! {
    #[test]
    fn knowing_less_never_makes_a_study_recognised(study in study(), which in 0_usize..13) {
        let policy = today();
        let (more, less) = (verdict(&policy, &study), verdict(&policy, &forget(&study, which)));
        if recognised(less) {
            prop_assert!(recognised(more), "{study:?}");
        }
        // What decides is not known: never a pass. A national mark does not ask where, and
        // burned-in text is a remark.
        if which != 5 && which != 12 {
            prop_assert!(!recognised(less), "{which} {study:?}");
        } else if less != Verdict::NotRecognised && which == 12 {
            prop_assert!(less != Verdict::Recognised, "not knowing must be said");
        }
    }

    #[test]
    fn an_expired_study_is_never_recognised(mut study in study(), over in 31_i64..20_000) {
        study.date = Some(day(TODAY).saturating_sub(jiff::Span::new().days(over)));
        prop_assert_eq!(verdict(&today(), &study), Verdict::NotRecognised);
    }

    #[test]
    fn the_order_of_the_studies_does_not_matter(
        (studies, shuffled) in prop::collection::vec(study(), 0..8)
            .prop_map(|mut all| {
                // Two studies of one reference and day could not be told apart.
                for (at, study) in all.iter_mut().enumerate() {
                    study.study = format!("{}{at}", study.study);
                }
                all
            })
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let policy = today();
        let plan = planned("ct.chest.plain");
        prop_assert_eq!(assess(&policy, &plan, &studies), assess(&policy, &plan, &shuffled));
    }

    #[test]
    fn a_recognised_study_has_no_reason_against_it_and_every_reason_has_words(study in study()) {
        let answer = assess(&today(), &planned("ct.chest.plain"), &[study]);
        for study in &answer.studies {
            prop_assert!(!study.reasons.is_empty());
            for reason in &study.reasons {
                prop_assert!(!reason.doctor_zh.is_empty() && !reason.patient_zh.is_empty());
                let filled = reason.doctor_zh.find('{').is_none();
                prop_assert!(filled);
                if recognised(study.verdict) {
                    prop_assert!(reason.outcome > super::super::Outcome::Unknown);
                }
            }
        }
    }
}
