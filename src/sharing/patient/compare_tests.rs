//! Tests of the comparison of two people.

use proptest::prelude::*;

use super::super::person::{Person, prepare_leniently};
use super::super::testing::{TestKeyer, tables};
use super::*;

fn date(text: &str) -> BirthDate {
    BirthDate::parse(text).unwrap()
}

#[test]
fn levels_of_dates_are_told_apart() {
    for (a, b, level) in [
        ("19560409", "19560409", 0),
        ("19560409", "19560904", 1),
        ("19560409", "19560408", 2),
        ("19560409", "19660409", 2),
        ("19560409", "19561112", 3),
        ("19560409", "19720409", 4),
        ("19560409", "19721231", 5),
    ] {
        assert_eq!(birth_date(date(a), date(b)), level, "{a} {b}");
        assert_eq!(birth_date(date(b), date(a)), level, "{b} {a}");
    }
    for (a, b, level) in [
        ("1956", "19560409", 0),
        ("1956", "1957", 1),
        ("195604", "19560511", 1),
        ("195604", "19560411", 0),
        ("1956", "19580409", 2),
    ] {
        assert_eq!(birth_year(date(a), date(b)), level, "{a} {b}");
    }
}

fn place_of(a: (&str, &str), b: (&str, &str)) -> Option<usize> {
    let made = |(village, address): (&str, &str)| {
        let person = Person {
            name: "张伟".to_owned(),
            birth_date: BirthDate::parse("1956"),
            village: Some(village.to_owned()),
            address: Some(address.to_owned()),
            ..Person::default()
        };
        prepare_leniently(&person, &TestKeyer, tables()).0.unwrap()
    };
    let (a, b) = (made(a), made(b));
    place(&a.side(), &b.side(), &tables().limits)
}

#[test]
fn levels_of_places_are_told_apart() {
    assert_eq!(place_of(("361123100201", ""), ("361123100201", "")), Some(0));
    assert_eq!(place_of(("361123100201", ""), ("361123100202", "")), Some(2));
    assert_eq!(place_of(("361123100", ""), ("361123100", "")), Some(2), "a township is no village");
    assert_eq!(place_of(("361123100201", ""), ("361123101201", "")), Some(3));
    assert_eq!(place_of(("361123", ""), ("361123", "")), Some(3), "a county is no township");
    assert_eq!(place_of(("361123100201", ""), ("361102001001", "")), Some(4));
    let at = "冰溪镇十都村3组12号";
    assert_eq!(place_of(("361123100201", at), ("361102001001", at)), Some(1));
    assert_eq!(place_of(("", at), ("", at)), Some(1));
    assert_eq!(place_of(("", at), ("", "石口镇湖滨村")), None);
}

fn anybody() -> impl Strategy<Value = Person> {
    (
        "[张章单善王]{1}[伟玮明小乐]{1,2}",
        proptest::option::of((1950_u16..1954, 1_u8..13, 1_u8..13)),
        proptest::option::of(prop_oneof![Just(Sex::Male), Just(Sex::Female)]),
        proptest::option::of("1390793123[0-3]"),
        proptest::option::of("36112310[01]20[0-2]"),
        proptest::option::of("冰溪镇[十九]都村[1-3]组"),
    )
        .prop_map(|(name, born, sex, phone, village, address)| Person {
            name,
            birth_date: born.and_then(|(y, m, d)| BirthDate::new(y, Some(m), Some(d))),
            sex,
            phone,
            village,
            address,
            ..Person::default()
        })
}

proptest! {
    #[test]
    fn a_comparison_is_the_same_both_ways(a in anybody(), b in anybody()) {
        let made = |person: &Person| prepare_leniently(person, &TestKeyer, tables()).0;
        if let (Some(a), Some(b)) = (made(&a), made(&b)) {
            let limits = &tables().limits;
            let one = compare(&a.side(), &b.side(), limits);
            let other = compare(&b.side(), &a.side(), limits);
            prop_assert_eq!(one.pattern, other.pattern);
            let own = compare(&a.side(), &a.side(), limits);
            prop_assert_eq!(own.name, Agreement::Exact);
        }
    }
}
