//! Chains that were tampered with, each by one means, and what is said of it.

use proptest::prelude::*;

use super::alarms::{AlarmKind, Limits, Subject, Watch};
use super::export::{COLUMNS, cells, fhir};
use super::{Broken, Entry, Fault, Head, Intact, Mark, Origin, Verifier};
use crate::tables::files::Files;

/// The tables as they are.
fn files() -> Files {
    let mut files = Files::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/policy");
    for name in ["alarms.csv", "sources.csv"] {
        files.insert(format!("policy/{name}"), std::fs::read(folder.join(name)).unwrap());
    }
    files
}

fn origin() -> Origin {
    Origin { chain: "c1".to_owned(), begun_ms: 5, chained_later: 0 }
}

fn entry(number: u64, what: &str) -> Entry {
    Entry {
        number,
        at_ms: 1_700_000_000_000 + i64::try_from(number).unwrap(),
        caller: "李医生".to_owned(),
        role: "village_doctor".to_owned(),
        action: "read_records".to_owned(),
        record_id: what.to_owned(),
        patient_reference: String::new(),
        outcome: "ok".to_owned(),
        detail: "treatment".to_owned(),
        sha256: Vec::new(),
        sm3: Vec::new(),
    }
}

/// Writes digests into entries, as a writer does.
fn link(origin: &Origin, entries: &mut [Entry]) -> Head {
    let mut head = origin.head();
    for entry in entries {
        head = head.at(entry.number, &entry.said());
        entry.sha256 = head.sha256.to_vec();
        entry.sm3 = head.sm3.to_vec();
    }
    head
}

fn chain(length: u64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (1..=length).map(|n| entry(n, &format!("r{n}"))).collect();
    link(&origin(), &mut entries);
    entries
}

fn mark(entries: &[Entry], number: u64) -> Mark {
    let kept = entries.iter().find(|entry| entry.number == number).unwrap();
    let head = Head {
        number,
        sha256: kept.sha256.clone().try_into().unwrap(),
        sm3: kept.sm3.clone().try_into().unwrap(),
    };
    Mark { node: "村甲".to_owned(), chain: "c1".to_owned(), head, at_ms: 9 }
}

fn verify(entries: Vec<Entry>, marks: &[Mark]) -> Result<Intact, Broken> {
    let mut verifier = Verifier::new(&origin(), marks);
    for entry in entries {
        verifier.next(entry)?;
    }
    verifier.finish()
}

fn broken(number: u64, up_to: u64, fault: Fault) -> Result<Intact, Broken> {
    Err(Broken { number, up_to, fault })
}

fn renumber(entries: &mut [Entry]) {
    for (entry, number) in entries.iter_mut().zip(1..) {
        entry.number = number;
    }
}

#[test]
fn a_chain_as_it_was_written_is_intact_and_says_how_far_it_is_anchored() {
    let entries = chain(5);
    let marks = [mark(&entries, 2), mark(&entries, 4)];
    let intact = verify(entries.clone(), &marks).unwrap();
    assert_eq!((intact.entries, intact.anchors, intact.anchored_up_to), (5, 2, 4));
    assert_eq!(intact.head.sha256.as_slice(), entries[4].sha256);
    assert!(intact.others.is_empty());
    assert_eq!(verify(Vec::new(), &[]).unwrap().head, origin().head());
}

#[test]
fn a_change_of_any_field_is_altered_at_that_entry() {
    let changes: [fn(&mut Entry); 8] = [
        |e| e.at_ms += 1,
        |e| e.caller.push('x'),
        |e| e.role.clear(),
        |e| e.action.push('x'),
        |e| e.record_id.push('x'),
        |e| e.patient_reference.push('x'),
        |e| e.outcome.push('x'),
        |e| e.detail.clear(),
    ];
    for change in changes {
        let mut entries = chain(5);
        change(&mut entries[2]);
        assert_eq!(verify(entries, &[]), broken(3, 3, Fault::Altered));
    }
    // Text that moves from one field into the next is another entry.
    let mut entries = chain(5);
    entries[2].role = "village_doctorread_records".to_owned();
    entries[2].action.clear();
    assert_eq!(verify(entries, &[]), broken(3, 3, Fault::Altered));
}

#[test]
fn the_last_entry_that_was_changed_is_altered_where_it_was_anchored() {
    let mut entries = chain(5);
    let marks = [mark(&entries, 5)];
    entries[4].detail.push('x');
    assert_eq!(verify(entries.clone(), &marks), broken(5, 5, Fault::Altered));
    assert_eq!(verify(entries, &[]), broken(5, 5, Fault::Replaced));
}

#[test]
fn entries_that_were_taken_out_are_missing_with_their_numbers() {
    let mut entries = chain(9);
    entries.drain(3..6);
    assert_eq!(verify(entries.clone(), &[]), broken(4, 6, Fault::Missing));
    // With those after them moved up.
    renumber(&mut entries);
    assert_eq!(verify(entries, &[]), broken(4, 6, Fault::Missing));
    assert_eq!(verify(chain(3).split_off(1), &[]), broken(1, 1, Fault::Missing));
}

#[test]
fn an_entry_that_was_put_in_is_named() {
    let mut entries = chain(5);
    entries.insert(2, Entry { sha256: vec![7; 32], sm3: vec![7; 32], ..entry(3, "forged") });
    renumber(&mut entries);
    assert_eq!(verify(entries, &[]), broken(3, 3, Fault::Inserted));
    // With digests that fit where it stands it fits, and those after it do not.
    let mut entries = chain(5);
    entries.insert(2, entry(3, "forged"));
    let head = entries[..2].iter().fold(origin().head(), |head, e| head.after(&e.said()));
    let head = head.after(&entries[2].said());
    (entries[2].sha256, entries[2].sm3) = (head.sha256.to_vec(), head.sm3.to_vec());
    renumber(&mut entries);
    assert!(matches!(verify(entries, &[]), Err(Broken { number: 4, .. })));
}

#[test]
fn entries_that_changed_places_are_named_with_or_without_their_digests() {
    let mut entries = chain(5);
    entries.swap(1, 2);
    renumber(&mut entries);
    assert_eq!(verify(entries, &[]), broken(2, 2, Fault::Reordered));
    let mut entries = chain(5);
    let (first, second) = (entries[1].clone(), entries[2].clone());
    entries[1] =
        Entry { number: 2, sha256: first.sha256.clone(), sm3: first.sm3.clone(), ..second.clone() };
    entries[2] = Entry { number: 3, sha256: second.sha256, sm3: second.sm3, ..first };
    assert_eq!(verify(entries, &[]), broken(2, 2, Fault::Reordered));
    let mut entries = chain(9);
    entries.swap(1, 7);
    renumber(&mut entries);
    assert_eq!(verify(entries, &[]), broken(2, 2, Fault::Replaced));
}

#[test]
fn one_digest_alone_is_not_enough() {
    let mut entries = chain(5);
    entries[2].sm3[0] ^= 1;
    assert!(matches!(verify(entries, &[]), Err(Broken { number: 3, .. })));
    let mut entries = chain(5);
    entries[2].sm3.clear();
    assert_eq!(verify(entries, &[]), broken(3, 3, Fault::NotChained));
}

#[test]
fn what_is_cut_off_or_written_anew_is_found_by_an_anchor_alone() {
    let whole = chain(9);
    let marks = [mark(&whole, 4), mark(&whole, 8)];
    let cut = whole[..6].to_vec();
    assert!(verify(cut.clone(), &[]).is_ok());
    assert_eq!(verify(cut, &marks), broken(7, 8, Fault::CutOff));
    assert_eq!(verify(Vec::new(), &marks), broken(1, 8, Fault::CutOff));
    let mut anew = whole;
    anew[5].detail = "research".to_owned();
    link(&origin(), &mut anew);
    assert!(verify(anew.clone(), &[]).is_ok());
    assert_eq!(verify(anew, &marks), broken(5, 8, Fault::Rewritten));
}

#[test]
fn the_chain_of_another_database_is_told_from_its_own() {
    let entries = chain(3);
    let other = Mark { chain: "c2".to_owned(), ..mark(&entries, 2) };
    assert_eq!(
        verify(entries.clone(), std::slice::from_ref(&other)),
        broken(1, 1, Fault::OtherChain)
    );
    // Of a node that was set up anew both are known.
    let earlier = Mark { head: Head { number: 1, ..other.head }, ..other.clone() };
    let both = verify(entries.clone(), &[other, earlier, mark(&entries, 2)]).unwrap();
    assert_eq!(both.others.into_iter().collect::<Vec<_>>(), [("c2".to_owned(), 2)]);
    // The entries of another chain do not fit this one's origin.
    let mut foreign = Verifier::new(&Origin { chain: "c2".to_owned(), ..origin() }, []);
    let mut said = Ok(());
    for entry in entries {
        said = said.and_then(|()| foreign.next(entry));
    }
    assert_eq!(said, Err(Broken { number: 1, up_to: 1, fault: Fault::Altered }));
}

#[test]
fn entries_of_before_the_chain_keep_their_gaps_and_those_after_have_none() {
    let before = Origin { chained_later: 4, ..origin() };
    let mut entries = vec![entry(2, "a"), entry(4, "b"), entry(5, "c")];
    link(&before, &mut entries);
    let mut verifier = Verifier::new(&before, []);
    for entry in entries.clone() {
        verifier.next(entry).unwrap();
    }
    assert_eq!(verifier.finish().unwrap().entries, 3);
    // That they were there before is part of the origin's digest.
    let mut verifier = Verifier::new(&origin(), []);
    assert!(verifier.next(entries.remove(0)).is_err());
}

#[test]
fn a_mark_is_other_bytes_for_other_parts() {
    let mark = mark(&chain(2), 2);
    let other = Mark { node: "村甲c".to_owned(), chain: "1".to_owned(), ..mark.clone() };
    assert_ne!(mark.encode(), other.encode());
    assert_ne!(mark.encode(), Mark { at_ms: 10, ..mark.clone() }.encode());
}

#[test]
fn an_entry_is_cells_that_no_spreadsheet_computes_and_an_audit_event() {
    let mut one = chain(1).remove(0);
    one.detail = "=1+1".to_owned();
    let row = cells(&one);
    assert_eq!(row.len(), COLUMNS.len());
    assert_eq!((row[1].as_str(), row[9].as_str()), ("2023-11-14T22:13:20.001Z", "'=1+1"));
    one.detail = "ETREAT 抢救".to_owned();
    let event = fhir(&one, "村甲", "c1");
    assert_eq!(event["action"], "R");
    assert_eq!(event["recorded"], "2023-11-14T22:13:20.001Z");
    assert_eq!(event["purposeOfEvent"][0]["coding"][0]["code"], "ETREAT");
    assert_eq!(event["entity"][0]["what"]["identifier"]["value"], "r1");
    assert_eq!(event["entity"][1]["detail"][0]["valueString"], row[10]);
}

#[test]
fn every_role_of_people_has_a_limit_of_mass_reading() {
    let mut watch = Watch::new(Limits::load(&crate::embedded::files()).unwrap());
    let mut number = 0;
    for role in crate::sharing::authorisation::Role::PEOPLE {
        let raised = (0..300).any(|patient| {
            number += 1;
            let entry = read(number, role.name(), patient, 1);
            let entry = Entry { role: role.name().to_owned(), ..entry };
            watch.see(&entry, None).iter().any(|alarm| alarm.kind == AlarmKind::MassReading)
        });
        assert!(raised, "{role:?}");
    }
}

/// Limits of a table with these rows.
fn limits(rows: &str) -> Limits {
    let mut files = Files::new();
    let head = "kind,role,more_than,hours,meaning_zh,source,status\n";
    files.insert("policy/alarms.csv", format!("{head}{rows}").into_bytes());
    let sources = "id,citation,url,licence,note\nproject,ours,,,\n";
    files.insert("policy/sources.csv", sources.as_bytes().to_vec());
    Limits::load(&files).unwrap()
}

fn read(number: u64, caller: &str, patient: u64, minute: i64) -> Entry {
    Entry {
        at_ms: 1_700_000_000_000 + minute * 60_000,
        caller: caller.to_owned(),
        patient_reference: format!("P{patient}"),
        ..entry(number, "")
    }
}

#[test]
fn many_patients_in_an_hour_raise_one_alarm_and_the_same_patient_again_none() {
    let mut watch = Watch::new(limits("mass_reading,village_doctor,3,1,,project,draft\n"));
    let mut raised = Vec::new();
    // One patient again and again, then four within the hour, and on.
    let patients = [1, 1, 1, 1, 2, 3, 4, 5, 6];
    for (number, patient) in (1..).zip(patients) {
        raised.extend(watch.see(&read(number, "李医生", patient, 1), None));
    }
    let [alarm] = &raised[..] else { panic!("{raised:?}") };
    assert_eq!((alarm.kind, alarm.entry, alarm.persons), (AlarmKind::MassReading, 7, 4));
    // Others, other roles, refused reads and the same pace over hours raise none.
    assert!(watch.see(&read(20, "王医生", 9, 1), None).is_empty());
    let refused = Entry { outcome: "withheld".to_owned(), ..read(21, "王医生", 10, 1) };
    let wrote = Entry { action: "diagnose".to_owned(), ..read(22, "王医生", 11, 1) };
    for entry in [refused, wrote] {
        assert!(watch.see(&entry, None).is_empty());
    }
    for (number, minute) in (30..60).zip((0..).step_by(25)) {
        assert!(watch.see(&read(number, "赵医生", number, minute), None).is_empty());
    }
    // The next hour is another window.
    let late = (100..104).filter(|n| !watch.see(&read(*n, "李医生", *n, 200), None).is_empty());
    assert_eq!(late.count(), 1);
}

#[test]
fn neighbours_namesakes_and_broken_glasses_raise_alarms() {
    let rows = "break_glass,*,0,1,,project,draft\nneighbours,*,2,24,,project,draft\n\
                same_name,*,1,24,,project,draft\n";
    let mut watch = Watch::new(limits(rows));
    let subject = |person: &str, name: &str, village: &str| Subject {
        person: person.to_owned(),
        name: name.to_owned(),
        village: village.to_owned(),
    };
    let mut kinds = |number, whose: &Subject| {
        // As people are named who sign in: where the name comes from is no part of it.
        let name = "account:李医生";
        let entry = Entry { patient_reference: String::new(), ..read(number, name, 0, 1) };
        watch.see(&entry, Some(whose)).into_iter().map(|alarm| alarm.kind).collect::<Vec<_>>()
    };
    let (here, there) = ("361121001001", "361121001002");
    assert!(kinds(1, &subject("a", "李大山", here)).is_empty());
    assert!(kinds(2, &subject("b", "李小山", there)).is_empty());
    assert_eq!(kinds(3, &subject("c", "李一", here)), [AlarmKind::SameName]);
    assert!(kinds(4, &subject("c", "李一", here)).is_empty());
    assert_eq!(kinds(5, &subject("d", "王二", here)), [AlarmKind::Neighbours]);
    assert!(kinds(6, &subject("e", "", "")).is_empty());
    let broken = Entry { outcome: "glass_broken".to_owned(), ..read(7, "王医生", 1, 1) };
    let kinds: Vec<_> = watch.see(&broken, None).into_iter().map(|alarm| alarm.kind).collect();
    assert_eq!(kinds, [AlarmKind::BreakGlass]);
}

#[test]
fn limits_that_cannot_be_are_refused_with_their_line() {
    let load = |rows: &str| {
        let mut files = files();
        let head = "kind,role,more_than,hours,meaning_zh,source,status\n";
        files.insert("policy/alarms.csv", format!("{head}{rows}").into_bytes());
        Limits::load(&files).unwrap_err().to_string()
    };
    for (rows, word) in [
        ("mass_reading,a,3,0,,project,draft\n", "hours"),
        ("mass_reading,,3,1,,project,draft\n", "role"),
        ("mass_reading,a,3,1,,nobody,draft\n", "nobody"),
        ("nothing,a,3,1,,project,draft\n", "`nothing`"),
        ("mass_reading,a,3,1,,project,draft\nmass_reading,a,4,1,,project,draft\n", "twice"),
    ] {
        assert!(load(rows).contains(word), "{rows}: {}", load(rows));
    }
    assert!(Limits::load(&files()).is_ok());
}

proptest! {
    #[test]
    fn no_single_change_of_kept_bytes_stays_unseen(
        length in 1_u64..20, at in any::<prop::sample::Index>(), how in 0_u8..5,
    ) {
        let whole = chain(length);
        let marks = [mark(&whole, length)];
        let place = at.index(whole.len());
        let mut entries = whole;
        match how {
            0 => { entries.remove(place); }
            1 => { let copy = entries[place].clone(); entries.insert(place, copy); renumber(&mut entries); }
            2 => entries[place].outcome = "denied".to_owned(),
            3 => entries[place].sha256.reverse(),
            _ => entries.truncate(place),
        }
        let said = verify(entries, &marks);
        let number = u64::try_from(place).unwrap() + 1;
        // A doubled entry fits at its first place.
        let first = if how == 1 { number + 1 } else { number };
        prop_assert_eq!(said.unwrap_err().number, first);
    }
}
