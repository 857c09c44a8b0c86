//! Tests of numbers. The resident IDs are made up: sequences of regions with a check character.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::sharing::patient::person::Sex;
use crate::sharing::patient::problem::ProblemKind;

fn made(digits: &str) -> String {
    format!("{digits}{}", check_digit(digits).unwrap())
}

#[test]
fn the_example_of_the_standard_has_its_check_character() {
    // GB 11643-1999, annex: 11010519491231002X and 440524188001010014.
    assert_eq!(check_digit("11010519491231002"), Some('X'));
    assert_eq!(check_digit("44052418800101001"), Some('4'));
}

#[test]
fn a_resident_id_tells_birth_date_and_sex() {
    let id = ResidentId::parse("11010519491231002X").unwrap();
    assert_eq!(id.birth_date(), date(1949, 12, 31));
    assert_eq!(id.sex(), Sex::Female);
    assert_eq!(id.region(), "110105");
    assert!(!id.upgraded());
    let man = ResidentId::parse("440524188001010014").unwrap();
    assert_eq!((man.sex(), man.birth_date()), (Sex::Male, date(1880, 1, 1)));
}

#[test]
fn width_spaces_marks_and_a_small_x_do_not_matter() {
    let expected = ResidentId::parse("11010519491231002X").unwrap();
    for written in [
        "１１０１０５１９４９１２３１００２Ｘ",
        " 110105 19491231 002x ",
        "110105-19491231-002x",
        "110105\u{3000}19491231\u{200b}002\u{445}",
        "\u{feff}11010519491231002ｘ",
    ] {
        assert_eq!(ResidentId::parse(written).as_ref(), Ok(&expected), "{written}");
    }
}

#[test]
fn an_old_number_is_written_out_and_says_so() {
    let id = ResidentId::parse("110105491231002").unwrap();
    assert_eq!(id.number(), "11010519491231002X");
    assert!(id.upgraded());
    assert_eq!(ResidentId::parse("110105491331002"), Err(ProblemKind::NoSuchDate));
    assert_eq!(ResidentId::parse("11010549123100X"), Err(ProblemKind::Characters));
}

#[test]
fn each_fault_of_a_resident_id_is_told_apart() {
    use ProblemKind as Kind;
    for (written, kind) in [
        ("", Kind::Empty),
        ("  ", Kind::Empty),
        ("1101051949123100", Kind::Length),
        ("11010519491231002X1", Kind::Length),
        ("110105194912310021", Kind::CheckDigit),
        ("110105194921310021", Kind::NoSuchDate),
        (&made("11010519490229002"), Kind::NoSuchDate),
        (&made("11010500000101002"), Kind::NoSuchDate),
        ("1101051949123100XX", Kind::Characters),
        ("11010519491231002Y", Kind::Characters),
        ("身份证号身份证号身份证号身份证号身份", Kind::Characters),
    ] {
        assert_eq!(ResidentId::parse(written), Err(kind), "{written}");
    }
    assert!(ResidentId::parse(&made("36112319480229101")).is_ok(), "1948 had a 29 February");
}

#[test]
fn telephone_numbers_come_to_one_form() {
    for (written, number) in [
        ("13907931234", "13907931234"),
        ("+86 139-0793-1234", "13907931234"),
        ("0086 13907931234", "13907931234"),
        ("8613907931234", "13907931234"),
        ("013907931234", "13907931234"),
        ("１３９０７９３１２３４", "13907931234"),
        ("13907931234/0793-8221234", "13907931234"),
        ("13907931234 13807931234", "13907931234"),
        ("13907931234（儿子）", "13907931234"),
        ("0793-8221234", "07938221234"),
        ("(0793)8221234", "07938221234"),
        ("（0793）8221234", "07938221234"),
        ("0793-8221234转801", "07938221234"),
        ("+86 793 8221234", "07938221234"),
        ("8221234", "8221234"),
        ("010-62345678", "01062345678"),
    ] {
        assert_eq!(Phone::parse(written).unwrap().unwrap().number(), number, "{written}");
    }
    for filler in
        ["", " ", "0", "00000000000", "11111111111", "13800000000", "12345678", "1234567890"]
    {
        assert_eq!(Phone::parse(filler), Ok(None), "{filler}");
    }
    for wrong in ["1390793123", "12907931234", "电话", "139079312345", "abc13907931234"] {
        assert_eq!(Phone::parse(wrong), Err(ProblemKind::Characters), "{wrong}");
    }
}

#[test]
fn card_numbers_come_to_one_form() {
    let card = HealthCard::parse(" ａ12345-67 8 ").unwrap().unwrap();
    assert_eq!(card.number(), "A12345678");
    assert_eq!(HealthCard::parse("000000000000000000"), Ok(None));
    assert_eq!(HealthCard::parse(""), Ok(None));
    assert_eq!(HealthCard::parse("12 卡 345678"), Err(ProblemKind::Characters));
    assert_eq!(HealthCard::parse(&"A1".repeat(33)), Err(ProblemKind::TooLong));
    assert!(HealthCard::parse(&"A1".repeat(32)).unwrap().is_some());
}

#[test]
fn numbers_are_not_printed_by_debug() {
    let id = ResidentId::parse("11010519491231002X").unwrap();
    let phone = Phone::parse("13907931234").unwrap().unwrap();
    let card = HealthCard::parse("A12345678").unwrap().unwrap();
    let printed = format!("{id:?}{phone:?}{card:?}");
    assert!(!printed.contains(|c: char| c.is_ascii_digit()), "{printed}");
}

proptest! {
    #[test]
    fn nothing_written_makes_a_reader_panic(written in "\\PC{0,40}|[0-9xX０-９ +()/转-]{0,30}") {
        let _ = ResidentId::parse(&written);
        let _ = Phone::parse(&written);
        let _ = HealthCard::parse(&written);
    }

    #[test]
    fn one_wrong_digit_or_two_changed_neighbours_are_always_found(
        region in 110_000_u32..660_000, year in 1900_u32..2030, month in 1_u32..13,
        day in 1_u32..29, sequence in 0_u32..1000, place in 0_usize..17, other in 1_u32..10,
    ) {
        let right = made(&format!("{region}{year}{month:02}{day:02}{sequence:03}"));
        prop_assert!(ResidentId::parse(&right).is_ok());
        let mut wrong: Vec<char> = right.chars().collect();
        let digit = wrong[place].to_digit(10).unwrap();
        wrong[place] = char::from_digit((digit + other) % 10, 10).unwrap();
        let wrong: String = wrong.into_iter().collect();
        prop_assert!(ResidentId::parse(&wrong).is_err());
        let mut swapped: Vec<char> = right.chars().collect();
        swapped.swap(place, place + 1);
        let swapped: String = swapped.into_iter().collect();
        prop_assert!(swapped == right || ResidentId::parse(&swapped).is_err());
    }

    #[test]
    fn what_was_read_reads_the_same_again(written in "[0-9xX ]{15,20}") {
        if let Ok(id) = ResidentId::parse(&written) {
            let again = ResidentId::parse(id.number()).unwrap();
            prop_assert_eq!(again.number(), id.number());
        }
    }
}
