//! Tests of what becomes of particulars as they are sent.

use jiff::civil::date;
use proptest::prelude::*;

use super::super::identifier::check_digit;
use super::super::testing::{TestKeyer, tables};
use super::*;

fn id(digits: &str) -> String {
    format!("{digits}{}", check_digit(digits).unwrap())
}

fn person() -> Person {
    Person {
        name: "占小兰".to_owned(),
        resident_id: Some(id("36112319560409102")),
        ..Person::default()
    }
}

fn problems(person: &Person) -> Vec<(Part, ProblemKind)> {
    let found = prepare(person, &TestKeyer, tables()).err().unwrap_or_default();
    found.into_iter().map(|problem| (problem.part, problem.kind)).collect()
}

#[test]
fn birth_date_and_sex_come_from_the_resident_id_where_none_was_sent() {
    let prepared = prepare(&person(), &TestKeyer, tables()).unwrap();
    assert_eq!(prepared.birth_date(), BirthDate::parse("19560409"));
    assert_eq!(prepared.sex(), Some(Sex::Female));
    assert!(!prepared.disagrees());
    let sent = Person { birth_date: BirthDate::parse("1956"), ..person() };
    let prepared = prepare(&sent, &TestKeyer, tables()).unwrap();
    assert_eq!(prepared.birth_date(), BirthDate::parse("19560409"), "the fuller date");
    assert!(!prepared.disagrees());
}

#[test]
fn particulars_that_contradict_the_card_are_kept_and_marked() {
    for sent in [
        Person { birth_date: BirthDate::parse("19560410"), ..person() },
        Person { birth_date: BirthDate::parse("1957"), ..person() },
        Person { sex: Some(Sex::Male), ..person() },
    ] {
        assert!(prepare(&sent, &TestKeyer, tables()).unwrap().disagrees());
    }
    let other = Person { birth_date: BirthDate::parse("19560410"), ..person() };
    let prepared = prepare(&other, &TestKeyer, tables()).unwrap();
    assert_eq!(prepared.birth_date(), BirthDate::parse("19560410"));
}

#[test]
fn an_old_number_and_a_new_one_have_one_hash() {
    let old = Person { resident_id: Some("361123560409102".to_owned()), ..person() };
    let (old, new) = (
        prepare(&old, &TestKeyer, tables()).unwrap(),
        prepare(&person(), &TestKeyer, tables()).unwrap(),
    );
    let kind = IdentifierKind::ResidentId;
    assert_eq!(old.digest(kind), new.digest(kind));
    assert_eq!((old.upgraded(), new.upgraded()), (true, false));
}

#[test]
fn every_problem_is_told_at_once_and_the_rest_can_still_be_matched() {
    use {Part as P, ProblemKind as K};
    let wrong = Person {
        name: "占小兰".to_owned(),
        birth_date: BirthDate::parse("20300101"),
        sex: None,
        resident_id: Some("361123195604091021".to_owned()),
        health_card: Some("卡号".to_owned()),
        phone: Some("139".to_owned()),
        village: Some("36112".to_owned()),
        address: None,
        sent_on: Some(date(2026, 11, 29)),
    };
    let mut found = problems(&wrong);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (P::BirthDate, K::InFuture),
            (P::ResidentId, K::CheckDigit),
            (P::HealthCard, K::Characters),
            (P::Phone, K::Characters),
            (P::Village, K::Characters),
            (P::Person, K::TooLittle),
        ]
    );
    let some = Person { phone: Some("13907931234".to_owned()), ..wrong };
    let (prepared, problems) = prepare_leniently(&some, &TestKeyer, tables());
    assert_eq!(problems.len(), 4);
    let prepared = prepared.unwrap();
    assert!(prepared.digest(IdentifierKind::Phone).is_some());
    assert!(
        prepared.digest(IdentifierKind::ResidentId).is_none() && prepared.birth_date().is_none()
    );
}

#[test]
fn regions_and_ages_that_cannot_be_are_refused() {
    use {Part as P, ProblemKind as K};
    let region = Person { resident_id: Some(id("99112319560409102")), ..person() };
    assert_eq!(problems(&region), [], "a foreigner's card begins with 9");
    let region = Person { resident_id: Some(id("00112319560409102")), ..person() };
    assert!(problems(&region).contains(&(P::ResidentId, K::Region)));
    let unborn = Person { sent_on: Some(date(1956, 4, 8)), ..person() };
    assert!(problems(&unborn).contains(&(P::ResidentId, K::InFuture)));
    let old = Person { sent_on: Some(date(2087, 4, 10)), ..person() };
    assert!(problems(&old).contains(&(P::ResidentId, K::TooLongAgo)));
    let sent = Person { sent_on: Some(date(1956, 4, 9)), ..person() };
    assert_eq!(problems(&sent), []);
}

#[test]
fn fields_that_say_nothing_is_known_are_empty() {
    for nothing in ["", " ", "无", "不详", "未知", "-", "/", "NULL", "None", "０"] {
        let sent = Person {
            phone: Some(nothing.to_owned()),
            health_card: Some(nothing.to_owned()),
            village: Some(nothing.to_owned()),
            address: Some(nothing.to_owned()),
            ..person()
        };
        let prepared = prepare(&sent, &TestKeyer, tables()).unwrap();
        assert!(prepared.digest(IdentifierKind::Phone).is_none(), "{nothing}");
        let no_number = Person {
            resident_id: Some(nothing.to_owned()),
            birth_date: BirthDate::parse("1956"),
            ..person()
        };
        assert_eq!(problems(&no_number), [], "{nothing}");
    }
    let alone = Person { name: "占小兰".to_owned(), ..Person::default() };
    assert_eq!(problems(&alone), [(Part::Person, ProblemKind::TooLittle)]);
}

#[test]
fn problems_are_told_in_chinese_and_never_repeat_the_value() {
    let wrong = Person {
        name: "张3伟".to_owned(),
        resident_id: Some("361123195604091021".to_owned()),
        phone: Some("139x".to_owned()),
        ..Person::default()
    };
    let told: Vec<String> = prepare(&wrong, &TestKeyer, tables())
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[1], "身份证号校验位不符，有数字写错或颠倒，请对照证件核对");
    for text in &told {
        assert!(
            !text.contains("361123") && !text.contains("139") && !text.contains("张3"),
            "{text}"
        );
    }
    assert!(!format!("{wrong:?}").contains("3611"));
}

#[test]
fn dates_are_read_as_people_write_them() {
    let full = BirthDate::new(1956, Some(4), Some(9));
    for written in [
        "19560409",
        "1956-04-09",
        "1956-4-9",
        "1956/4/9",
        "1956.4.9",
        "1956年4月9日",
        "１９５６年４月９日",
    ] {
        assert_eq!(BirthDate::parse(written), full, "{written}");
    }
    let month = BirthDate::new(1956, Some(4), None);
    for written in ["195604", "1956-04", "1956年4月", "19560400", "1956-04-00"] {
        assert_eq!(BirthDate::parse(written), month, "{written}");
    }
    let year = BirthDate::new(1956, None, None);
    for written in ["1956", "1956年", "19560000", "195600"] {
        assert_eq!(BirthDate::parse(written), year, "{written}");
    }
    for wrong in [
        "",
        "19561301",
        "19560230",
        "1956-2-30",
        "56-4-9",
        "abcd",
        "195",
        "1700",
        "1956040",
        "1956-4-9-1",
    ] {
        assert_eq!(BirthDate::parse(wrong), None, "{wrong}");
    }
}

fn anybody() -> impl Strategy<Value = Person> {
    let text = || proptest::option::of("\\PC{0,20}|[0-9xX]{0,20}");
    (
        "\\PC{0,12}|[张王单欧阳]{1}[伟小兰]{1,2}|[张\u{e863}]·[伟]{1,3}",
        proptest::option::of((1850_u16..2100, 0_u8..14, 0_u8..33)),
        any::<u8>(),
        (text(), text(), text(), text(), text()),
        any::<bool>(),
    )
        .prop_map(|(name, born, sex, (resident, card, phone, village, address), dated)| {
            Person {
                name,
                birth_date: born.and_then(|(y, m, d)| {
                    BirthDate::new(y, Some(m).filter(|m| *m > 0), Some(d).filter(|d| *d > 0))
                }),
                sex: [None, Some(Sex::Male), Some(Sex::Female)][usize::from(sex % 3)],
                resident_id: if sex % 5 == 0 { Some(id("36112319560409102")) } else { resident },
                health_card: card,
                phone: if sex % 7 == 0 { Some("13907931234".to_owned()) } else { phone },
                village: if sex % 4 == 0 { Some("361123100201".to_owned()) } else { village },
                address,
                sent_on: dated.then(|| date(2026, 11, 29)),
            }
        })
}

proptest! {
    #[test]
    fn no_particulars_panic_and_a_blob_gives_back_what_went_in(person in anybody()) {
        let (prepared, problems) = prepare_leniently(&person, &TestKeyer, tables());
        for problem in problems {
            prop_assert!(!problem.zh().is_empty());
        }
        if let Some(prepared) = prepared {
            let bytes = prepared.to_bytes();
            prop_assert!(Prepared::from_bytes(&bytes).as_ref() == Ok(&prepared));
            let json = serde_json::to_string(&prepared).unwrap();
            prop_assert!(serde_json::from_str::<Prepared>(&json).unwrap() == prepared);
            prop_assert!(prepared.clone().renewed(tables()) == prepared);
            for cut in 0..bytes.len() {
                prop_assert!(Prepared::from_bytes(&bytes[..cut]).is_err());
            }
        }
    }

    #[test]
    fn no_bytes_make_the_blob_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), made in anybody(), at in any::<usize>(), to in any::<u8>(),
    ) {
        let _ = Prepared::from_bytes(&bytes);
        if let Some(prepared) = prepare_leniently(&made, &TestKeyer, tables()).0 {
            let mut bytes = prepared.to_bytes();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(read) = Prepared::from_bytes(&bytes) {
                let mut index = super::super::PeopleIndex::new();
                index.insert(1, &read).unwrap();
                let _ = index.find(tables(), &read, &super::super::Undecided);
                index.remove(1);
                prop_assert_eq!(index.keys(), 0);
            }
        }
    }
}
