//! Tests of the index: who is linked, who is shown, who is new, and why.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::found::{Decision, Reason, Undecided};
use super::super::identifier::check_digit;
use super::super::person::{BirthDate, Person, Sex, prepare, prepare_leniently};
use super::super::testing::{TestKeyer, tables};
use super::*;

const VILLAGE: &str = "361123100201";

fn id(digits: &str) -> String {
    format!("{digits}{}", check_digit(digits).unwrap())
}

fn made(person: &Person) -> Prepared {
    prepare(person, &TestKeyer, tables()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// 占小兰, a woman of a village, known by everything.
fn orchid() -> Person {
    Person {
        name: "占小兰".to_owned(),
        birth_date: BirthDate::parse("1956-04-09"),
        sex: Some(Sex::Female),
        resident_id: Some(id("36112319560409102")),
        health_card: Some("A36112300001".to_owned()),
        phone: Some("13907931234".to_owned()),
        village: Some(VILLAGE.to_owned()),
        address: Some("玉山县冰溪镇十都村3组12号".to_owned()),
        sent_on: None,
    }
}

fn index(people: &[Person]) -> PeopleIndex {
    let mut index = PeopleIndex::new();
    for (id, person) in (1..).zip(people) {
        index.insert(id, &made(person)).unwrap();
    }
    index
}

fn ask(index: &PeopleIndex, person: &Person) -> Found {
    index.find(tables(), &made(person), &Undecided)
}

fn outcome(found: &Found) -> (&'static str, Vec<(u64, Reason)>) {
    let all = |of: &[Candidate]| of.iter().map(|c| (c.id, c.explanation.reason)).collect();
    match found {
        Found::Linked(one) => ("linked", all(std::slice::from_ref(one))),
        Found::Review(some) => ("review", all(some)),
        Found::New(near) => ("new", all(near)),
    }
}

fn expect(index: &PeopleIndex, person: &Person, what: &str, reason: Reason) {
    let found = ask(index, person);
    let (outcome, who) = outcome(&found);
    assert_eq!((outcome, who.first().map(|w| w.1)), (what, Some(reason)), "{found:#?}");
}

#[test]
fn the_same_resident_id_links_when_the_name_agrees_whatever_else_changed() {
    let index = index(&[orchid()]);
    let moved = Person {
        village: Some("361102001001".to_owned()),
        phone: None,
        health_card: None,
        address: None,
        ..orchid()
    };
    for name in ["占小兰", "占小蘭", "詹晓岚", "ZHAN XIAOLAN"] {
        let asked = Person { name: name.to_owned(), ..moved.clone() };
        expect(&index, &asked, "linked", Reason::ResidentId);
    }
}

#[test]
fn a_borrowed_card_is_never_linked() {
    let index = index(&[orchid()]);
    for name in ["占小梅", "王强", "占兰"] {
        let asked = Person { name: name.to_owned(), ..orchid() };
        expect(&index, &asked, "review", Reason::ResidentIdOtherName);
    }
    let no_id = Person { name: "王强".to_owned(), resident_id: None, ..orchid() };
    expect(&index, &no_id, "review", Reason::HealthCardOtherName);
    let younger = Person { birth_date: BirthDate::parse("19980101"), ..orchid() };
    expect(&index, &younger, "review", Reason::ParticularsDisagree);
}

#[test]
fn different_resident_ids_are_never_linked_by_weight() {
    let index = index(&[orchid()]);
    let asked = Person { resident_id: Some(id("36112319560409104")), ..orchid() };
    expect(&index, &asked, "review", Reason::ResidentIdsDiffer);
}

#[test]
fn without_numbers_name_birth_and_village_link() {
    let index = index(&[orchid()]);
    let plain =
        Person { resident_id: None, health_card: None, phone: None, address: None, ..orchid() };
    expect(&index, &plain, "linked", Reason::Weight);
    for changed in [
        Person { name: "詹小兰".to_owned(), ..plain.clone() },
        Person { birth_date: BirthDate::parse("19560904"), ..plain.clone() },
        Person { birth_date: BirthDate::parse("19560408"), ..plain.clone() },
        Person { village: Some("361123100".to_owned()), ..plain.clone() },
    ] {
        expect(&index, &changed, "linked", Reason::Weight);
    }
    let far = Person { village: Some("110101001001".to_owned()), sex: None, ..plain.clone() };
    expect(&index, &far, "review", Reason::Between);
    let named = Person { village: None, ..plain.clone() };
    expect(&index, &named, "review", Reason::Between);
    for date in ["1956", "19711231", "19561130"] {
        let called =
            Person { birth_date: BirthDate::parse(date), phone: orchid().phone, ..plain.clone() };
        expect(&index, &called, "review", Reason::BirthDateNotSame);
        let carded = Person { health_card: orchid().health_card, ..called };
        expect(&index, &carded, "linked", Reason::Weight);
    }
    let stranger = Person {
        name: "李国强".to_owned(),
        birth_date: BirthDate::parse("19710812"),
        sex: Some(Sex::Male),
        ..plain
    };
    assert_eq!(outcome(&ask(&index, &stranger)), ("new", vec![]));
}

#[test]
fn twins_are_shown_and_not_linked() {
    let index = index(&[Person { resident_id: None, health_card: None, ..orchid() }]);
    let twin =
        Person { name: "占小梅".to_owned(), resident_id: None, health_card: None, ..orchid() };
    expect(&index, &twin, "review", Reason::NameNotSame);
    let quiet =
        Person { name: "万小静".to_owned(), resident_id: None, health_card: None, ..orchid() };
    let green = Person { name: "万小青".to_owned(), ..quiet.clone() };
    expect(&self::index(&[quiet]), &green, "review", Reason::NameNotSame);
    let brother = Person {
        name: "占小岚".to_owned(),
        sex: Some(Sex::Male),
        resident_id: None,
        health_card: None,
        ..orchid()
    };
    expect(&index, &brother, "review", Reason::SexDiffers);
}

#[test]
fn two_who_fit_are_both_shown() {
    let one = Person { resident_id: None, health_card: None, phone: None, ..orchid() };
    let index = index(&[one.clone(), one.clone()]);
    let found = ask(&index, &one);
    assert_eq!(outcome(&found).0, "review");
    assert_eq!(outcome(&found).1, [(1, Reason::NotAlone), (2, Reason::NotAlone)]);
    let (again, mut numbered) = (orchid(), PeopleIndex::new());
    numbered.insert(7, &made(&again)).unwrap();
    numbered.insert(8, &made(&again)).unwrap();
    expect(&numbered, &again, "review", Reason::ResidentIdTwice);
}

#[test]
fn a_common_name_weighs_less_than_a_rare_one() {
    let plain = |name: &str| Person {
        name: name.to_owned(),
        village: Some("361123101".to_owned()),
        resident_id: None,
        health_card: None,
        phone: None,
        address: None,
        ..orchid()
    };
    let mut index = PeopleIndex::new();
    for n in 0..3_000 {
        let year = 1930 + u16::try_from(n % 80).unwrap();
        let born = BirthDate::new(year, Some(1 + u8::try_from(n % 12).unwrap()), Some(17));
        let name = if n % 3 == 0 {
            "张伟".to_owned()
        } else {
            format!("李强{}", ["生", "林"][n % 2])
        };
        let person = Person { birth_date: born, ..plain(&name) };
        index.insert(u64::try_from(n).unwrap() + 100, &made(&person)).unwrap();
    }
    index.insert(1, &made(&plain("张伟"))).unwrap();
    index.insert(2, &made(&plain("璩嵘"))).unwrap();
    let bits = |name: &str, id| {
        let candidate = index.explain(tables(), &made(&plain(name)), id).unwrap();
        candidate.explanation.fields.iter().find(|f| f.field == "name").unwrap().bits
    };
    assert!(bits("璩嵘", 2) - bits("张伟", 1) > 5.0, "{} {}", bits("璩嵘", 2), bits("张伟", 1));
}

#[test]
fn a_telephone_that_many_share_says_less_and_in_the_end_nothing() {
    let with = |n: u64| -> f64 {
        let mut index = PeopleIndex::new();
        index.insert(1, &made(&orchid())).unwrap();
        for other in 1..n {
            let name =
                format!("王{}", ['强', '伟', '芳', '敏'][usize::try_from(other % 4).unwrap()]);
            let person = Person {
                name,
                birth_date: BirthDate::new(1930 + u16::try_from(other).unwrap(), Some(2), Some(3)),
                resident_id: None,
                health_card: None,
                ..orchid()
            };
            index.insert(100 + other, &made(&person)).unwrap();
        }
        let candidate = index.explain(tables(), &made(&orchid()), 1).unwrap();
        candidate.explanation.fields.iter().find(|f| f.field == "phone").map_or(0.0, |f| f.bits)
    };
    assert!((with(1) - with(4) - 2.0).abs() < 1e-9, "{} {}", with(1), with(4));
    assert!(with(21).abs() < 1e-9);
}

#[test]
fn what_was_decided_by_hand_wins() {
    let other =
        Person { name: "李强".to_owned(), sex: Some(Sex::Male), resident_id: None, ..orchid() };
    let index = index(&[orchid(), other]);
    let asked = made(&orchid());
    let decided =
        |list: &[(u64, Decision)]| -> BTreeMap<u64, Decision> { list.iter().copied().collect() };
    let found = |list: &[(u64, Decision)]| outcome(&index.find(tables(), &asked, &decided(list)));
    assert_eq!(found(&[]), ("linked", vec![(1, Reason::ResidentId)]));
    assert_eq!(found(&[(2, Decision::Same)]), ("linked", vec![(2, Reason::Decided)]));
    let (what, who) = found(&[(1, Decision::Different)]);
    assert!(what != "linked" && who.iter().all(|w| w.0 != 1), "{what} {who:?}");
    let (what, who) = found(&[(1, Decision::Same), (2, Decision::Same)]);
    assert_eq!((what, who.len()), ("review", 2));
    assert!(who.iter().all(|w| w.1 == Reason::DecidedTwice));
    // Even two valid numbers that differ.
    let numbered =
        self::index(&[Person { resident_id: Some(id("36112319560409104")), ..orchid() }]);
    let forced = numbered.find(tables(), &asked, &decided(&[(1, Decision::Same)]));
    assert_eq!(outcome(&forced), ("linked", vec![(1, Reason::Decided)]));
    // Somebody who is no longer in the index decides nothing.
    assert_eq!(found(&[(99, Decision::Same)]), ("linked", vec![(1, Reason::ResidentId)]));
}

#[test]
fn an_outcome_explains_itself_without_the_particulars() {
    let index = index(&[orchid()]);
    let Found::Linked(one) = ask(&index, &orchid()) else { panic!() };
    let explained = &one.explanation;
    let sum: f64 = explained.fields.iter().map(|f| f.bits).sum::<f64>() + explained.prior_bits;
    assert!((sum - explained.bits).abs() < 1e-9);
    assert_eq!(explained.tables, tables().version());
    let text = explained.zh();
    assert!(text.starts_with("身份证号相同，姓名相符（"), "{text}");
    assert!(text.contains("身份证号相同+22.5"), "{text}");
    let json = serde_json::to_string(&Found::Linked(one.clone())).unwrap();
    for secret in ["占", "1956", "361123", "1390793"] {
        assert!(!text.contains(secret) && !json.contains(secret), "{secret}: {json}");
    }
    assert_eq!(serde_json::from_str::<Found>(&json).unwrap(), Found::Linked(one));
    assert_eq!(format!("{index:?}"), "PeopleIndex { people: 1, .. }");
    let asked = made(&orchid());
    assert!(!format!("{:?}{asked:?}", asked.side()).contains('占'));
}

#[test]
fn a_person_is_found_under_every_single_mistake() {
    let index = index(&[orchid()]);
    let bare = Person {
        resident_id: None,
        health_card: None,
        phone: None,
        address: None,
        village: None,
        ..orchid()
    };
    let home = Some(VILLAGE.to_owned());
    for (what, asked) in [
        ("surname and moved", Person { name: "王小兰".to_owned(), ..bare.clone() }),
        ("last character and moved", Person { name: "占小梅".to_owned(), ..bare.clone() }),
        ("year and moved", Person { birth_date: BirthDate::parse("19650409"), ..bare.clone() }),
        ("day and moved", Person { birth_date: BirthDate::parse("19561121"), ..bare.clone() }),
        ("age off by one", Person { birth_date: BirthDate::parse("1957"), ..bare.clone() }),
        ("whole birth date", Person { birth_date: None, village: home.clone(), ..bare.clone() }),
        ("whole name", Person { name: "李强".to_owned(), village: home, ..bare.clone() }),
        ("heteronym", Person { name: "詹晓岚".to_owned(), ..bare }),
    ] {
        assert_eq!(index.candidates(&made(&asked)), [1], "{what}");
    }
}

#[test]
fn a_person_who_was_taken_out_is_gone_and_one_put_in_again_is_there_once() {
    let mut index = index(&[orchid()]);
    index.insert(1, &made(&Person { name: "占小梅".to_owned(), ..orchid() })).unwrap();
    assert_eq!(index.len(), 1);
    index.insert(1, &made(&orchid())).unwrap();
    expect(&index, &orchid(), "linked", Reason::ResidentId);
    index.remove(1);
    index.remove(1);
    assert!(index.is_empty() && !index.contains(1));
    assert_eq!(index.keys(), 0);
    assert_eq!(outcome(&ask(&index, &orchid())), ("new", vec![]));
    let empty = index.memory_bytes();
    for id in 0..10_000 {
        index.insert(id, &made(&orchid())).unwrap();
    }
    assert!(index.memory_bytes() > empty + 10_000 * 64);
}

fn anybody() -> impl Strategy<Value = Person> {
    (
        "[张章单善王]{1}[伟玮明小乐]{1,2}|Zhang Wei|阿里木·买买提",
        proptest::option::of((1950_u16..1954, proptest::option::of(1_u8..13))),
        proptest::option::of(0_usize..3),
        proptest::option::of("1390793123[0-3]"),
        proptest::option::of("36112310[01]20[0-2]"),
    )
        .prop_map(|(name, born, number, phone, village)| {
            let digits = ["36112319560409102", "36112319560409104", "36112319500101003"];
            Person {
                name,
                birth_date: born.and_then(|(y, m)| BirthDate::new(y, m, m)),
                resident_id: number.map(|n| id(digits[n])),
                phone,
                village,
                ..Person::default()
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_index_answers_like_one_that_was_filled_anew(
        steps in proptest::collection::vec((any::<bool>(), 0_u64..12, anybody()), 1..60),
        asked in anybody(),
    ) {
        let mut index = PeopleIndex::new();
        let mut plain: BTreeMap<u64, Prepared> = BTreeMap::new();
        for (adds, id, person) in steps {
            let Some(person) = prepare_leniently(&person, &TestKeyer, tables()).0 else { continue };
            if adds {
                index.insert(id, &person).unwrap();
                plain.insert(id, person);
            } else {
                index.remove(id);
                plain.remove(&id);
            }
        }
        let mut anew = PeopleIndex::new();
        for (id, person) in &plain {
            anew.insert(*id, person).unwrap();
        }
        prop_assert_eq!(index.len(), plain.len());
        prop_assert_eq!(index.keys(), anew.keys());
        let mut loader = PeopleLoader::new();
        for (id, person) in plain.iter().rev().chain(&plain) {
            loader.add(*id, person).unwrap();
        }
        let loaded = loader.finish();
        prop_assert_eq!((loaded.len(), loaded.keys()), (anew.len(), anew.keys()));
        if let Some(asked) = prepare_leniently(&asked, &TestKeyer, tables()).0 {
            let mut ids =
                [index.candidates(&asked), anew.candidates(&asked), loaded.candidates(&asked)];
            for ids in &mut ids {
                ids.sort_unstable();
            }
            prop_assert_eq!(&ids[0], &ids[1]);
            prop_assert_eq!(&ids[0], &ids[2]);
            let sorted = |found: Found| {
                let (what, mut who) = outcome(&found);
                who.sort();
                (what, if who.len() < 3 { who } else { Vec::new() })
            };
            prop_assert_eq!(
                sorted(index.find(tables(), &asked, &Undecided)),
                sorted(anew.find(tables(), &asked, &Undecided))
            );
            // Nobody is linked against two valid numbers, whatever else agrees.
            if let Found::Linked(one) = index.find(tables(), &asked, &Undecided) {
                let kept = &plain[&one.id];
                let kind = crate::sharing::patient::IdentifierKind::ResidentId;
                let differ = asked.digest(kind).zip(kept.digest(kind)).is_some_and(|(a, b)| a != b);
                prop_assert!(!differ);
            }
        }
    }
}
