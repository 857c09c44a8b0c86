//! Which way an object takes.

use super::*;
use crate::sharing::imaging::object::{Digest, InstanceUids, Location};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
const JPEG: &str = "1.2.840.10008.1.2.4.50";
const VIDEO: &str = "1.2.840.10008.1.2.4.102";

fn instance(class: &str, syntax: &str) -> IndexedInstance {
    let uid = |text: &str| text.to_owned();
    IndexedInstance {
        uids: InstanceUids { study: uid("1.1"), series: uid("1.2"), instance: uid("1.3") },
        sop_class: class.to_owned(),
        transfer_syntax: syntax.to_owned(),
        digest: Digest([0; 32]),
        location: Location { segment: 0, offset: 0, body: 0, length: 10 },
        frames: 1,
    }
}

fn agreed(id: u8, class: &str, syntax: &str) -> Agreed {
    Agreed { id, abstract_syntax: class.to_owned(), transfer_syntax: syntax.to_owned() }
}

fn converts(from: &str, to: &str) -> bool {
    from != VIDEO && TARGETS.contains(&to)
}

#[test]
fn an_object_goes_out_as_it_is_kept_where_that_is_taken() {
    let contexts = [agreed(1, CT, EXPLICIT_LITTLE), agreed(3, MR, JPEG), agreed(5, CT, JPEG)];
    let found = way(&contexts, &instance(CT, JPEG), converts).unwrap();
    assert_eq!(found, Way { context: 5, converted_to: None });
}

#[test]
fn else_it_is_converted_to_explicit_before_implicit() {
    let contexts = [agreed(1, CT, IMPLICIT_LITTLE), agreed(3, CT, EXPLICIT_LITTLE)];
    let found = way(&contexts, &instance(CT, JPEG), converts).unwrap();
    assert_eq!(found, Way { context: 3, converted_to: Some(EXPLICIT_LITTLE.to_owned()) });
    let found = way(&contexts[..1], &instance(CT, JPEG), converts).unwrap();
    assert_eq!(found, Way { context: 1, converted_to: Some(IMPLICIT_LITTLE.to_owned()) });
}

#[test]
fn what_nobody_takes_does_not_go_out() {
    let contexts = [agreed(1, MR, EXPLICIT_LITTLE), agreed(3, CT, EXPLICIT_LITTLE)];
    assert_eq!(way(&contexts, &instance(CT, VIDEO), converts), None);
    assert_eq!(way(&contexts[..1], &instance(CT, JPEG), converts), None);
}

#[test]
fn receivers_are_offered_what_is_kept_and_what_it_can_become() {
    let list = [instance(CT, JPEG), instance(CT, EXPLICIT_LITTLE), instance(MR, VIDEO)];
    let offered: Vec<_> = proposals(&list, converts)
        .into_iter()
        .map(|p| (p.abstract_syntax, p.transfer_syntaxes))
        .collect();
    let text = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        offered,
        [
            (CT.to_owned(), text(&[JPEG])),
            (CT.to_owned(), text(&[EXPLICIT_LITTLE, IMPLICIT_LITTLE])),
            (CT.to_owned(), text(&[EXPLICIT_LITTLE])),
            (MR.to_owned(), text(&[VIDEO])),
        ]
    );
}

#[test]
fn no_request_has_more_contexts_than_fit() {
    let list: Vec<_> = (0..200).map(|n| instance(&format!("1.2.{n}"), EXPLICIT_LITTLE)).collect();
    let groups = groups(&list);
    assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), list.len());
    for group in groups {
        assert!(proposals(&group, converts).len() <= CONTEXTS_MAX);
    }
}
