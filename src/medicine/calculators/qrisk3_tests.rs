//! QRISK3 against the published code: its vectors, outputs of its web page at other ages, and a
//! second program in full precision.

use super::qrisk3::*;
use crate::medicine::patient::Sex;

const VECTORS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/treatment/QRISK3_2017_test.csv");

const GROUPS: [Ethnicity; 9] = [
    Ethnicity::WhiteOrNotStated,
    Ethnicity::Indian,
    Ethnicity::Pakistani,
    Ethnicity::Bangladeshi,
    Ethnicity::OtherAsian,
    Ethnicity::BlackCaribbean,
    Ethnicity::BlackAfrican,
    Ethnicity::Chinese,
    Ethnicity::Other,
];
const HABITS: [Smoking; 5] =
    [Smoking::Never, Smoking::Former, Smoking::Light, Smoking::Moderate, Smoking::Heavy];
/// The columns of the vectors.
const COLUMNS: [(&str, RiskFactor); 13] = [
    ("b_AF", RiskFactor::AtrialFibrillation),
    ("b_atypicalantipsy", RiskFactor::AtypicalAntipsychotics),
    ("b_corticosteroids", RiskFactor::Corticosteroids),
    ("b_impotence2", RiskFactor::ErectileDysfunction),
    ("b_migraine", RiskFactor::Migraine),
    ("b_ra", RiskFactor::RheumatoidArthritis),
    ("b_renal", RiskFactor::KidneyDisease),
    ("b_semi", RiskFactor::SevereMentalIllness),
    ("b_sle", RiskFactor::Lupus),
    ("b_treatedhyp", RiskFactor::TreatedHypertension),
    ("b_type1", RiskFactor::Type1Diabetes),
    ("b_type2", RiskFactor::Type2Diabetes),
    ("fh_cvd", RiskFactor::FamilyHistory),
];

#[test]
fn the_published_code_gives_the_same_score() {
    let mut reader = csv::Reader::from_path(VECTORS).unwrap();
    let header = reader.headers().unwrap().clone();
    let mut compared = 0;
    for row in reader.records() {
        let row = row.unwrap();
        let text = |name: &str| &row[header.iter().position(|h| h == name).unwrap()];
        let number = |name: &str| text(name).parse::<f64>().unwrap();
        let index = |name: &str| text(name).parse::<usize>().unwrap() - 1;
        let factors: Vec<_> =
            COLUMNS.iter().filter(|(column, _)| number(column) > 0.5).map(|(_, f)| *f).collect();
        let height_m = number("height") / 100.0;
        let score = qrisk3(&Qrisk3 {
            age_years: number("age"),
            sex: if number("gender") > 0.5 { Sex::Female } else { Sex::Male },
            ethnicity: GROUPS[index("ethrisk")],
            // This file counts from 1, the published code from 0.
            smoking: HABITS[index("smoke_cat")],
            body_mass_index: number("weight") / (height_m * height_m),
            cholesterol_ratio: number("rati"),
            systolic_mmhg: number("sbp"),
            systolic_sd_mmhg: Some(number("sbps5")),
            townsend: Some(number("town")),
            factors: &factors,
        });
        let published = number("QRISK_C_algorithm_score");
        // The file has one digit after the point: the same score rounds to the same digit.
        assert!((score - published).abs() <= 0.05, "{}: {score}, not {published}", text("ID"));
        compared += 1;
    }
    assert_eq!(compared, 48);
}

/// 120 mmHg with a deviation of 10, 70 kg and 170 cm, never smoked, nothing else.
fn healthy(
    age_years: f64,
    sex: Sex,
    ethnicity: Ethnicity,
    cholesterol_ratio: f64,
) -> Qrisk3<'static> {
    Qrisk3 {
        age_years,
        sex,
        ethnicity,
        smoking: Smoking::Never,
        body_mass_index: 70.0 / (1.7 * 1.7),
        cholesterol_ratio,
        systolic_mmhg: 120.0,
        systolic_sd_mmhg: Some(10.0),
        townsend: Some(0.0),
        factors: &[],
    }
}

/// As qrisk.org shows them.
#[test]
fn the_web_page_gives_the_same_scores_at_other_ages() {
    use Ethnicity::{Bangladeshi, Chinese, Indian, Pakistani, WhiteOrNotStated as White};
    use Sex::{Female, Male};
    for (age, sex, group, ratio, shown) in [
        (75.0, Male, White, 4.0, 24.6),
        (65.0, Male, White, 4.0, 12.7),
        (55.0, Male, White, 8.0, 11.7),
        (35.0, Male, White, 3.5, 0.6),
        (75.0, Female, White, 4.0, 18.1),
        (65.0, Female, White, 4.0, 8.0),
        (55.0, Female, White, 8.0, 6.1),
        (35.0, Female, White, 3.5, 0.4),
        (75.0, Male, Indian, 4.0, 31.1),
        (65.0, Male, Pakistani, 4.0, 19.5),
        (55.0, Male, Bangladeshi, 8.0, 19.1),
        (35.0, Male, Chinese, 3.5, 0.4),
        (75.0, Female, Indian, 4.0, 23.2),
        (65.0, Female, Pakistani, 4.0, 13.7),
        (55.0, Female, Bangladeshi, 8.0, 8.1),
        (35.0, Female, Chinese, 3.5, 0.3),
    ] {
        let score = qrisk3(&healthy(age, sex, group, ratio));
        assert!((score - shown).abs() <= 0.05, "{age} {sex:?} {group:?}: {score}, not {shown}");
    }
}

/// Computed once by a program written apart from this one, from another published copy of the
/// coefficients, so that a wrong digit in an interaction with age cannot hide: age, body mass index,
/// ratio, pressure, deviation, deprivation, group, habit, factors in the order of [`COLUMNS`], risk
/// of women and of men.
type Exact = (f64, f64, f64, f64, f64, f64, usize, usize, &'static str, f64, f64);
const EXACT: &[Exact] = &[
    (28.0, 22.0, 2.0, 110.0, 0.0, -3.0, 1, 0, "1000000000000", 1.92588, 0.323_311),
    (45.0, 22.0, 2.0, 110.0, 0.0, -3.0, 1, 0, "1000000000000", 2.68267, 2.83847),
    (45.0, 23.0, 2.4, 115.0, 1.0, -2.3, 2, 1, "0100000000000", 1.44142, 2.64304),
    (81.0, 23.0, 2.4, 115.0, 1.0, -2.3, 2, 1, "0100000000000", 34.5007, 35.9498),
    (81.0, 24.0, 2.8, 120.0, 2.0, -1.6, 3, 2, "0010000000000", 49.6235, 51.745),
    (28.0, 24.0, 2.8, 120.0, 2.0, -1.6, 3, 2, "0010000000000", 0.764_191, 0.744_243),
    (28.0, 25.0, 3.2, 125.0, 3.0, -0.9, 4, 3, "0001000000000", 0.452_782, 0.654_072),
    (45.0, 25.0, 3.2, 125.0, 3.0, -0.9, 4, 3, "0001000000000", 2.83342, 7.88819),
    (45.0, 26.0, 3.6, 130.0, 4.0, -0.2, 5, 4, "0000100000000", 4.33224, 6.65385),
    (81.0, 26.0, 3.6, 130.0, 4.0, -0.2, 5, 4, "0000100000000", 35.7954, 42.4632),
    (81.0, 27.0, 4.0, 135.0, 5.0, 0.5, 6, 0, "0000010000000", 30.05, 31.9264),
    (28.0, 27.0, 4.0, 135.0, 5.0, 0.5, 6, 0, "0000010000000", 0.259_356, 0.20854),
    (28.0, 28.0, 4.4, 140.0, 6.0, 1.2, 7, 1, "0000001000000", 0.396_413, 0.524_139),
    (45.0, 28.0, 4.4, 140.0, 6.0, 1.2, 7, 1, "0000001000000", 2.92549, 5.63101),
    (45.0, 29.0, 4.8, 145.0, 7.0, 1.9, 8, 2, "0000000100000", 3.49263, 5.27305),
    (81.0, 29.0, 4.8, 145.0, 7.0, 1.9, 8, 2, "0000000100000", 34.1489, 36.5255),
    (81.0, 30.0, 5.2, 150.0, 8.0, 2.6, 9, 3, "0000000010000", 50.4049, 56.9396),
    (28.0, 30.0, 5.2, 150.0, 8.0, 2.6, 9, 3, "0000000010000", 7.0204, 1.26617),
    (28.0, 31.0, 5.6, 155.0, 9.0, 3.3, 1, 4, "0000000001000", 7.38779, 6.21504),
    (45.0, 31.0, 5.6, 155.0, 9.0, 3.3, 1, 4, "0000000001000", 12.6506, 18.3517),
    (45.0, 32.0, 6.0, 160.0, 10.0, 4.0, 2, 0, "0000000000100", 27.7888, 26.9729),
    (81.0, 32.0, 6.0, 160.0, 10.0, 4.0, 2, 0, "0000000000100", 76.3657, 91.9366),
    (81.0, 33.0, 6.4, 165.0, 11.0, 4.7, 3, 1, "0000000000010", 81.4695, 84.5634),
    (28.0, 33.0, 6.4, 165.0, 11.0, 4.7, 3, 1, "0000000000010", 8.28024, 6.63819),
    (28.0, 34.0, 6.8, 170.0, 12.0, 5.4, 4, 2, "0000000000001", 5.18437, 9.3021),
    (45.0, 34.0, 6.8, 170.0, 12.0, 5.4, 4, 2, "0000000000001", 21.8372, 39.5855),
    (26.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 0, "0000000000000", 0.289_511, 0.228_628),
    (83.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 0, "0000000000000", 28.5446, 34.2168),
    (26.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 1, "0000000000000", 0.241_735, 0.276_282),
    (83.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 1, "0000000000000", 28.9396, 33.364),
    (26.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 2, "0000000000000", 0.481_378, 0.465_822),
    (83.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 2, "0000000000000", 33.5102, 36.2248),
    (26.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 3, "0000000000000", 0.621_193, 0.52729),
    (83.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 3, "0000000000000", 36.178, 37.3704),
    (26.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 4, "0000000000000", 0.936_592, 0.724_802),
    (83.0, 33.0, 4.5, 150.0, 12.0, 5.0, 8, 4, "0000000000000", 35.3139, 38.7784),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 1, 0, "0000000000000", 2.04288, 3.76847),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 2, 0, "0000000000000", 2.69511, 4.94201),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 3, 0, "0000000000000", 3.55939, 5.98687),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 4, 0, "0000000000000", 2.73662, 6.3154),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 5, 0, "0000000000000", 2.19542, 3.90043),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 6, 0, "0000000000000", 1.72505, 2.64942),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 7, 0, "0000000000000", 1.38265, 2.54062),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 8, 0, "0000000000000", 1.47831, 2.50411),
    (50.0, 24.0, 3.5, 125.0, 8.0, 0.0, 9, 0, "0000000000000", 1.72411, 2.90919),
];

#[test]
fn a_second_program_gives_the_same_to_a_hundredth_of_a_percent() {
    for &(age, bmi, ratio, systolic, sd, townsend, group, habit, flags, women, men) in EXACT {
        let flagged = COLUMNS.iter().zip(flags.chars()).filter(|(_, flag)| *flag == '1');
        let factors: Vec<_> = flagged.map(|((_, factor), _)| *factor).collect();
        for (sex, expected) in [(Sex::Female, women), (Sex::Male, men)] {
            let score = qrisk3(&Qrisk3 {
                age_years: age,
                sex,
                ethnicity: GROUPS[group - 1],
                smoking: HABITS[habit],
                body_mass_index: bmi,
                cholesterol_ratio: ratio,
                systolic_mmhg: systolic,
                systolic_sd_mmhg: Some(sd),
                townsend: Some(townsend),
                factors: &factors,
            });
            let off = (score / expected - 1.0).abs();
            assert!(off < 1e-4, "{age} {sex:?} {flags}: {score}, not {expected}");
        }
    }
}

#[test]
fn what_is_unknown_or_outside_the_model_counts_as_its_mean_or_its_limit() {
    let person = healthy(60.0, Sex::Female, Ethnicity::Chinese, 4.0);
    let unknown = qrisk3(&Qrisk3 { systolic_sd_mmhg: None, townsend: None, ..person });
    let mean = qrisk3(&Qrisk3 {
        systolic_sd_mmhg: Some(9.002_537_727_355_957),
        townsend: Some(0.392_308_831_214_905),
        ..person
    });
    assert!((unknown - mean).abs() < 1e-9);
    let with_bmi = |body_mass_index| qrisk3(&Qrisk3 { body_mass_index, ..person });
    assert!((with_bmi(15.0) - with_bmi(20.0)).abs() < 1e-9);
    assert!((with_bmi(60.0) - with_bmi(40.0)).abs() < 1e-9);
    let with_ratio = |cholesterol_ratio| qrisk3(&Qrisk3 { cholesterol_ratio, ..person });
    assert!((with_ratio(30.0) - with_ratio(11.0)).abs() < 1e-9);
}
