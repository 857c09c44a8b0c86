//! Every calculator, through the door by which it is called.

use std::collections::BTreeMap;

use super::*;

type Entered = BTreeMap<String, f64>;

/// Most corners of one calculator to try.
const CORNERS_MAX: u32 = 4096;

fn entered(calculator: &Calculator, mut value: impl FnMut(&Input) -> f64) -> Entered {
    calculator.inputs.iter().map(|input| (input.name.to_owned(), value(input))).collect()
}

fn computed(calculator: &Calculator, values: &Entered) -> Score {
    let (found, score) = calculate(calculator.name, values)
        .unwrap_or_else(|errors| panic!("{}: {errors:?}", calculator.name));
    assert_eq!(found.name, calculator.name);
    score
}

fn chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

/// Pseudo-random bits, the same at every run.
fn bits(seed: u32) -> impl FnMut() -> bool {
    let mut state = u64::from(seed) + 1;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 63 == 1
    }
}

#[test]
fn the_calculators_are_described_and_stand_by_name() {
    assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name), "not by name");
    for calculator in all() {
        let name = calculator.name;
        assert!(chinese(calculator.title_zh) && !calculator.unit.is_empty(), "{name}");
        let year = |word: &str| word.len() == 4 && word.starts_with(['1', '2']);
        let cited = calculator.source.split(|c: char| !c.is_ascii_digit()).any(year);
        assert!(cited && calculator.source.len() > 40, "{name} cites no paper with a year");
        assert!(!calculator.inputs.is_empty(), "{name}");
        for (i, input) in calculator.inputs.iter().enumerate() {
            assert!(chinese(input.label_zh) && input.min < input.max, "{name}.{}", input.name);
            assert!(input.takes(input.min) && input.takes(input.max), "{name}.{}", input.name);
            let again = calculator.inputs.iter().skip(i + 1).any(|other| other.name == input.name);
            assert!(!again, "{name}.{} is asked twice", input.name);
        }
    }
}

#[test]
fn every_corner_of_the_inputs_has_a_finite_score_with_a_meaning() {
    for calculator in all() {
        let count = u32::try_from(calculator.inputs.len()).unwrap();
        let exhaustive = 2_u32.checked_pow(count).filter(|n| *n <= CORNERS_MAX);
        for corner in 0..exhaustive.unwrap_or(CORNERS_MAX) {
            let mut random = bits(corner);
            let mut place = 0;
            let mut values = entered(calculator, |input| {
                let high = if exhaustive.is_some() { corner >> place & 1 == 1 } else { random() };
                place += 1;
                if high { input.max } else { input.min }
            });
            if corner % 3 == 0 {
                let left_out =
                    |name: &String| calculator.inputs.iter().any(|i| i.optional && i.name == name);
                values.retain(|name, _| !left_out(name));
            }
            let score = computed(calculator, &values);
            assert!(score.value.is_finite(), "{}: {values:?}", calculator.name);
            let meaning = &score.meaning_zh;
            assert!(chinese(meaning) && meaning.ends_with('。'), "{}: {meaning}", calculator.name);
            assert!(!meaning.contains("NaN") && !meaning.contains("inf"), "{meaning}");
        }
    }
}

/// A step of an input from its least (0) to its greatest value (`of`).
fn step(input: &Input, n: u8, of: u8) -> f64 {
    let value = input.min + (input.max - input.min) * f64::from(n) / f64::from(of);
    if input.takes(value) { value } else { value.round() }
}

#[test]
fn every_input_matters() {
    for calculator in all() {
        for input in calculator.inputs {
            let mut seen = false;
            for base in 0_u8..=8 {
                let mut random = bits(u32::from(base));
                let around = entered(calculator, |other| match base {
                    0..=4 => step(other, base, 4),
                    _ if random() => step(other, 3, 4),
                    _ => step(other, 1, 4),
                });
                let outcomes: Vec<_> = (0..=40)
                    .map(|n| {
                        let mut values = around.clone();
                        values.insert(input.name.to_owned(), step(input, n, 40));
                        let score = computed(calculator, &values);
                        (score.value.to_bits(), score.meaning_zh)
                    })
                    .collect();
                seen |= outcomes.windows(2).any(|pair| pair[0] != pair[1]);
            }
            assert!(seen, "{}.{} changes nothing", calculator.name, input.name);
        }
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let values = BTreeMap::from([
        ("confusion".to_owned(), 0.5),
        ("respiratory_rate".to_owned(), f64::NAN),
        ("systolic_mmhg".to_owned(), 1e9),
        ("age_years".to_owned(), 17.9),
        ("shoe_size".to_owned(), 42.0),
    ]);
    let errors = calculate("crb_65", &values).unwrap_err();
    let told: Vec<_> = errors
        .iter()
        .map(|error| match error {
            CalculatorError::Unknown { name } | CalculatorError::NotAnInput { name } => {
                format!("no {name}")
            }
            CalculatorError::Missing { name, .. } => format!("missing {name}"),
            CalculatorError::OutOfRange { name, .. } => format!("range {name}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "range confusion",
            "range respiratory_rate",
            "range systolic_mmhg",
            "missing diastolic_mmhg",
            "range age_years",
            "no shoe_size",
        ]
    );
    let unknown = calculate("horoscope", &BTreeMap::new()).unwrap_err();
    assert_eq!(unknown, [CalculatorError::Unknown { name: "horoscope".to_owned() }]);
}

#[test]
fn no_value_outside_a_range_or_between_two_choices_is_taken() {
    for calculator in all() {
        let good = entered(calculator, |input| input.min);
        for input in calculator.inputs {
            let mut bad = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
            bad.extend([input.min - 0.001, input.max + 0.001]);
            if input.unit == YES_NO || input.unit == CHOICE {
                bad.push(input.min + 0.5);
            }
            for value in bad {
                let mut values = good.clone();
                values.insert(input.name.to_owned(), value);
                let errors = calculate(calculator.name, &values).unwrap_err();
                let expected = CalculatorError::OutOfRange {
                    name: input.name,
                    min: input.min,
                    max: input.max,
                };
                assert_eq!(errors, [expected], "{}.{} = {value}", calculator.name, input.name);
            }
        }
    }
}

#[test]
fn what_is_optional_can_be_left_out_and_what_is_not_cannot() {
    for calculator in all() {
        for input in calculator.inputs {
            let mut values = entered(calculator, |input| input.min);
            values.remove(input.name);
            let outcome = calculate(calculator.name, &values);
            assert_eq!(outcome.is_ok(), input.optional, "{}.{}", calculator.name, input.name);
        }
    }
}

#[test]
fn by_name_the_same_comes_out_as_by_the_function() {
    let values = |pairs: &[(&str, f64)]| -> Entered {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    };
    let of = |name: &str, pairs: &[(&str, f64)]| calculate(name, &values(pairs)).unwrap().1;
    let gfr = [("creatinine_umol_l", 106.08), ("age_years", 55.0), ("female", 0.0)];
    let score = of("ckd_epi_2021", &gfr);
    assert!((score.value - ckd_epi_2021(106.08, 55.0, Sex::Male)).abs() < 1e-9);
    assert!(score.meaning_zh.contains("71") && score.meaning_zh.contains("G2"), "{score:?}");

    let infant = of("weight_for_age", &[("age_months", 8.84), ("weight_kg", 6.3), ("female", 0.0)]);
    assert!((-3.1..-2.9).contains(&infant.value) && infant.meaning_zh.contains("低体重"));

    let plan = of("rehydration_plan_c", &[("age_months", 8.0), ("weight_kg", 8.0)]);
    assert!((plan.value - 800.0).abs() < 1e-9);
    for part in ["240 mL 在60分钟", "560 mL 在5小时"] {
        assert!(plan.meaning_zh.contains(part), "{}", plan.meaning_zh);
    }
}
