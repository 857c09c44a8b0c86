//! Tests of weights, learning and assignment.

use proptest::prelude::*;

use super::*;

fn field(id: &str, levels: &[(f64, f64)]) -> Field {
    let levels = levels.iter().enumerate().map(|(n, (m, u))| Level {
        id: format!("{id}{n}"),
        zh: String::new(),
        m: *m,
        u: *u,
    });
    Field { id: id.to_owned(), zh: String::new(), levels: levels.collect() }
}

fn model() -> Model {
    Model::new(vec![
        field("a", &[(0.9, 0.1), (0.1, 0.9)]),
        field("b", &[(0.8, 0.05), (0.15, 0.15), (0.05, 0.8)]),
        field("c", &[(0.95, 0.5), (0.05, 0.5)]),
    ])
    .unwrap()
}

#[test]
fn a_pattern_weighs_the_sum_of_its_levels_and_a_missing_field_nothing() {
    let model = model();
    let pattern = Pattern::new().with(0, Some(0)).with(1, None).with(2, Some(1));
    let weight = model.weigh(&pattern, |_, _| 0.0);
    let expected = 9.0_f64.log2() + 0.1_f64.log2();
    assert!((weight.bits - expected).abs() < 1e-12, "{weight:?}");
    assert!(weight.parts[1].abs() < 1e-12);
    let rarer = model.weigh(&pattern, |field, _| if field == 0 { 2.5 } else { 0.0 });
    assert!((rarer.bits - expected - 2.5).abs() < 1e-12);
}

#[test]
fn fields_that_are_no_model_are_refused_with_their_name() {
    assert_eq!(Model::new(vec![]), Err(ModelError::Fields));
    let many = vec![field("x", &[(0.5, 0.5), (0.5, 0.5)]); FIELDS_MAX + 1];
    assert_eq!(Model::new(many), Err(ModelError::Fields));
    assert_eq!(
        Model::new(vec![field("x", &[(1.0, 1.0)])]),
        Err(ModelError::Levels("x".to_owned()))
    );
    let zero = vec![field("x", &[(1.0, 0.5), (0.0, 0.5)])];
    assert_eq!(Model::new(zero), Err(ModelError::Probability("x".to_owned())));
    let short = vec![field("x", &[(0.7, 0.5), (0.2, 0.5)])];
    assert_eq!(Model::new(short), Err(ModelError::Sum("x".to_owned())));
}

/// Counts that a model expects of a million pairs, by its own probabilities.
fn expected(model: &Model, share: f64) -> Vec<(Pattern, u64)> {
    let mut patterns = vec![(Pattern::new(), share, 1.0 - share)];
    for (number, field) in model.fields().iter().enumerate() {
        patterns =
            patterns
                .into_iter()
                .flat_map(|(pattern, m, u)| {
                    field.levels.iter().enumerate().map(move |(level, l)| {
                        (pattern.with(number, Some(level)), m * l.m, u * l.u)
                    })
                })
                .collect();
    }
    patterns
        .into_iter()
        .map(|(pattern, m, u)| (pattern, format!("{:.0}", (m + u) * 1e6).parse().unwrap()))
        .collect()
}

#[test]
fn learning_finds_the_probabilities_that_made_the_pairs() {
    let truth = model();
    let counts = expected(&truth, 0.2);
    let start = Model::new(vec![
        field("a", &[(0.7, 0.3), (0.3, 0.7)]),
        field("b", &[(0.6, 0.2), (0.2, 0.3), (0.2, 0.5)]),
        field("c", &[(0.8, 0.6), (0.2, 0.4)]),
    ])
    .unwrap();
    let options = FitOptions { rounds_max: 5_000, tolerance: 1e-9, ..FitOptions::default() };
    let fitted = fit(&start, 0.1, &counts, &options);
    assert!(fitted.settled);
    assert!((fitted.share - 0.2).abs() < 0.005, "{}", fitted.share);
    for (found, made) in fitted.model.fields().iter().zip(truth.fields()) {
        for (found, made) in found.levels.iter().zip(&made.levels) {
            assert!((found.m - made.m).abs() < 0.01, "{found:?} {made:?}");
            assert!((found.u - made.u).abs() < 0.01, "{found:?} {made:?}");
        }
    }
}

#[test]
fn a_held_u_stays_and_no_pairs_change_nothing() {
    let start = model();
    let counts = expected(&start, 0.4);
    let options = FitOptions { hold_u: true, ..FitOptions::default() };
    let fitted = fit(&start, 0.1, &counts, &options);
    for (found, made) in fitted.model.fields().iter().zip(start.fields()) {
        for (found, made) in found.levels.iter().zip(&made.levels) {
            assert!((found.u - made.u).abs() < 1e-15);
        }
    }
    let nothing = fit(&start, 0.1, &[], &FitOptions::default());
    assert_eq!((nothing.model, nothing.rounds), (start, 0));
}

#[test]
fn each_record_is_linked_once_and_to_the_heavier() {
    let link = |left, right, bits| Link { left, right, bits };
    let links = vec![link(1, 1, 5.0), link(1, 2, 9.0), link(2, 2, 8.0), link(2, 1, 1.0)];
    assert_eq!(one_to_one(links.clone(), 2.0), [link(1, 2, 9.0)]);
    assert_eq!(one_to_one(links, 0.0), [link(1, 2, 9.0), link(2, 1, 1.0)]);
}

#[test]
fn levels_of_texts_fall_with_their_likeness() {
    let limits = [0.9, 0.8];
    assert_eq!(similarity_level("martha", "martha", &limits), Some(0));
    assert_eq!(similarity_level("martha", "marhta", &limits), Some(1));
    assert_eq!(similarity_level("dwayne", "duane", &limits), Some(2));
    assert_eq!(similarity_level("martha", "xyz", &limits), Some(3));
    assert_eq!(similarity_level("", "xyz", &limits), None);
    assert_eq!(edits_level("19560409", "19560490", 2), Some(1));
    assert_eq!(edits_level("19560409", "19650490", 2), Some(2));
    assert_eq!(edits_level("19560409", "20001231", 2), Some(3));
    assert_eq!(edits_level("7", "", 2), None);
}

proptest! {
    #[test]
    fn no_order_of_links_changes_the_assignment(
        mut links in proptest::collection::vec((0_u32..6, 0_u32..6, 0_u8..4), 0..20),
        seed in any::<u64>(),
    ) {
        let made = |links: &[(u32, u32, u8)]| -> Vec<Link> {
            links
                .iter()
                .map(|(left, right, bits)| Link {
                    left: *left,
                    right: *right,
                    bits: f64::from(*bits),
                })
                .collect()
        };
        let first = one_to_one(made(&links), 1.0);
        let turn = usize::try_from(seed % 17).unwrap();
        if !links.is_empty() {
            let turn = turn % links.len();
            links.rotate_left(turn);
        }
        prop_assert_eq!(&first, &one_to_one(made(&links), 1.0));
        for (n, a) in first.iter().enumerate() {
            for b in first.iter().skip(n + 1) {
                prop_assert!(a.left != b.left && a.right != b.right);
            }
        }
    }

    #[test]
    fn levels_are_the_same_both_ways(a in "[a-z]{0,8}", b in "[a-z]{0,8}") {
        prop_assert_eq!(edits_level(&a, &b, 2), edits_level(&b, &a, 2));
        prop_assert_eq!(
            similarity_level(&a, &b, &[0.92, 0.8]),
            similarity_level(&b, &a, &[0.92, 0.8])
        );
    }

    #[test]
    fn short_cuts_change_no_level(a in "\\PC{0,6}|[a-f]{0,9}", b in "\\PC{0,6}|[a-f]{0,9}") {
        prop_assume!(!a.is_empty() && !b.is_empty() && a != b);
        let similar = strsim::jaro_winkler(&a, &b);
        let level = if similar >= 0.9 { 1 } else if similar >= 0.7 { 2 } else { 3 };
        prop_assert_eq!(similarity_level(&a, &b, &[0.9, 0.7]), Some(level));
        prop_assert_eq!(edits_level(&a, &b, 2), Some(strsim::osa_distance(&a, &b).min(3)));
    }

    #[test]
    fn learning_from_any_counts_gives_a_model(
        counts in proptest::collection::vec((0_usize..4, 0_usize..4, 0_usize..4, 0_u64..1_000), 0..30),
        share in -1.0_f64..2.0,
    ) {
        let counts: Vec<(Pattern, u64)> = counts
            .into_iter()
            .map(|(a, b, c, n)| {
                (Pattern::new().with(0, Some(a)).with(1, Some(b)).with(2, Some(c)), n)
            })
            .collect();
        let fitted = fit(&model(), share, &counts, &FitOptions::default());
        prop_assert!(Model::new(fitted.model.fields().to_vec()).is_ok());
        prop_assert!(fitted.share > 0.0 && fitted.share < 1.0);
    }
}
