//! Particulars of people and their blobs on any bytes: no panic, what was read reads the same again,
//! and who was put into an index is found and can be taken out.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use xiangyi::embedded;
use xiangyi::sharing::patient::{
    BirthDate, Digest, Found, IdentifierKind, Keyer, PeopleIndex, PeopleTables, Person, Prepared,
    Undecided, prepare_leniently,
};

fn tables() -> &'static PeopleTables {
    static TABLES: OnceLock<PeopleTables> = OnceLock::new();
    TABLES.get_or_init(|| PeopleTables::load(&embedded::files()).unwrap())
}

/// Keeps the last bytes of a number; no hash, so that the fuzzer can steer it.
struct Last;

impl Keyer for Last {
    fn digest(&self, _: IdentifierKind, number: &str) -> Digest {
        let mut digest = Digest::default();
        for (place, byte) in digest.iter_mut().zip(number.bytes().rev()) {
            *place = byte;
        }
        digest
    }
}

fn hold(prepared: &Prepared) {
    assert!(Prepared::from_bytes(&prepared.to_bytes()).as_ref() == Ok(prepared));
    let mut index = PeopleIndex::new();
    index.insert(7, prepared).unwrap();
    // Whoever has a number or a birth date is at least among those who are compared.
    if prepared.birth_date().is_some() || prepared.digest(IdentifierKind::Phone).is_some() {
        assert_eq!(index.candidates(prepared), [7]);
    }
    if let Found::Linked(one) = index.find(tables(), prepared, &Undecided) {
        assert_eq!(one.id, 7);
    }
    index.remove(7);
    assert_eq!((index.len(), index.keys()), (0, 0));
}

fuzz_target!(|bytes: &[u8]| {
    // From foreign bytes names without a sound can come, under which nobody is found.
    if let Ok(read) = Prepared::from_bytes(bytes) {
        assert!(Prepared::from_bytes(&read.to_bytes()) == Ok(read));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('|');
    let mut next = || parts.next().map(str::to_owned);
    let person = Person {
        name: next().unwrap_or_default(),
        birth_date: next().and_then(|written| BirthDate::parse(&written)),
        resident_id: next(),
        health_card: next(),
        phone: next(),
        village: next(),
        address: next(),
        ..Person::default()
    };
    let (prepared, problems) = prepare_leniently(&person, &Last, tables());
    assert!(prepared.is_some() || !problems.is_empty());
    if let Some(prepared) = prepared {
        hold(&prepared);
    }
});
