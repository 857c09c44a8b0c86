//! Secrets planted anywhere, also where nobody would look.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::sharing::deidentify::images::identity::is_text;
use crate::sharing::imaging::charset::{Encoding, Kind};

/// The patient, and what the file says of the patient elsewhere.
const NAME: &str = "欧阳翠花";
const LATIN: &str = "Ouyang^Cuihua";
const ID: &str = "11010519491231002X";
const PHONE: &str = "13987654321";
/// Somebody whom the file never calls a patient.
const NEIGHBOUR: &str = "司马光荣";
const OTHER_PHONE: &str = "15811112222";
const OTHER_ID: &str = "360102199001011239";

const SECRETS: [&str; 9] =
    [NAME, "OUYANG", "Cuihua", "ouyang cuihua", ID, PHONE, NEIGHBOUR, OTHER_PHONE, OTHER_ID];

/// Standard attributes of every representation that holds characters, and sequences.
static TAGS: LazyLock<Vec<(Tag, VR)>> = LazyLock::new(|| {
    let groups = [
        0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x0032, 0x0038, 0x0040, 0x0054, 0x0070,
        0x0088, 0x0400, 0x3006, 0x300A, 0x3010, 0x6000,
    ];
    let mut tags = Vec::new();
    for group in groups {
        for element in 1..=u16::MAX {
            let tag = Tag(group, element);
            if let Some((_, vr)) = tree::known(tag)
                && tag != tags::SPECIFIC_CHARACTER_SET
            {
                tags.push((tag, vr));
            }
        }
    }
    assert!(tags.len() > 1000);
    tags
});

#[derive(Debug, Clone)]
enum Planted {
    /// A secret in an attribute, in its representation or another.
    Value(Tag, VR, &'static str),
    Sequence(Tag, Vec<Vec<Planted>>),
}

fn tag() -> impl Strategy<Value = (Tag, VR)> {
    let private =
        (0_u16..0x40, 0_u16..=u16::MAX, select(vec![VR::LO, VR::UN, VR::OB, VR::PN, VR::SH]))
            .prop_map(|(group, element, vr)| (Tag(0x0009 + 2 * group, element.max(1)), vr));
    let unknown = (select(vec![0x0008_u16, 0x0010, 0x0040, 0x7777 & !1]), 0xF000_u16..0xFFFF)
        .prop_map(|(group, element)| (Tag(group, element), VR::LO));
    let standard = (0..TAGS.len()).prop_map(|at| TAGS[at]);
    prop_oneof![6 => standard, 2 => private, 1 => unknown]
}

fn element() -> impl Strategy<Value = Planted> {
    let leaf = (tag(), select(SECRETS.to_vec()), 0_u8..10).prop_map(|((tag, vr), secret, odd)| {
        // Now and then in a representation that is not its own.
        let vr = match (odd, vr) {
            (0, _) | (3..=9, VR::SQ) => VR::UN,
            (1, _) => VR::LO,
            (2, _) => VR::OB,
            (_, vr)
                if is_text(vr)
                    || matches!(
                        vr,
                        VR::CS
                            | VR::AE
                            | VR::DA
                            | VR::DT
                            | VR::TM
                            | VR::AS
                            | VR::DS
                            | VR::IS
                            | VR::UI
                            | VR::UR
                    ) =>
            {
                vr
            }
            _ => VR::UN,
        };
        Planted::Value(tag, vr, secret)
    });
    leaf.prop_recursive(5, 40, 5, |inner| {
        let sequences: Vec<Tag> = TAGS.iter().filter(|(_, vr)| *vr == VR::SQ).map(|(tag, _)| *tag).collect();
        let tags = prop_oneof![4 => select(sequences), 1 => (0_u16..0x20).prop_map(|n| Tag(0x0029, 0x1000 + n))];
        (tags, prop::collection::vec(prop::collection::vec(inner, 0..5), 0..3))
            .prop_map(|(tag, items)| Planted::Sequence(tag, items))
    })
}

/// In implicit VR a sequence that holds no items is a broken file, which is refused as a whole.
fn node(planted: &Planted, encoding: Encoding, implicit: bool) -> Node<'static> {
    match planted {
        Planted::Value(tag, _, secret)
            if implicit && tree::known(*tag).is_some_and(|(_, vr)| vr == VR::SQ) =>
        {
            let tag = tags::PATIENT_COMMENTS;
            Node::bytes(tag, VR::LT, encoding.encode(secret, Kind::Block).unwrap())
        }
        Planted::Value(tag, vr, secret) => {
            Node::bytes(*tag, *vr, encoding.encode(secret, Kind::Block).unwrap())
        }
        Planted::Sequence(tag, items) => {
            let items =
                items.iter().map(|item| item.iter().map(|p| node(p, encoding, implicit)).collect());
            Node::items(*tag, items.collect())
        }
    }
}

/// Whether a part of a binary picture table was hit, which no rule reads.
fn is_bulk(planted: &Planted) -> bool {
    match planted {
        Planted::Value(tag, _, _) => tree::known(*tag).is_some_and(|(_, vr)| {
            !is_text(vr)
                && matches!(
                    vr,
                    VR::US
                        | VR::SS
                        | VR::UL
                        | VR::SL
                        | VR::FL
                        | VR::FD
                        | VR::OW
                        | VR::OB
                        | VR::AT
                        | VR::OF
                        | VR::OD
                        | VR::OL
                        | VR::OV
                        | VR::SV
                        | VR::UV
                )
        }),
        Planted::Sequence(_, items) => items.iter().flatten().any(is_bulk),
    }
}

fn option_set() -> impl Strategy<Value = Vec<Choice>> {
    // Those that keep text of institutions and devices as it is keep a neighbour's name in it too.
    let cleaning = vec![
        Choice::Graphics,
        Choice::Structured,
        Choice::Descriptors,
        Choice::ModifiedDates,
        Choice::Uids,
        Choice::SafePrivate,
    ];
    proptest::sample::subsequence(cleaning, 0..=6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_planted_secret_is_left(
        planted in prop::collection::vec(element().prop_filter("bulk", |p| !is_bulk(p)), 0..12),
        encoding in select(vec![Encoding::Utf8, Encoding::Gb18030, Encoding::Gbk]),
        syntax in select(vec!["1.2.840.10008.1.2", EXPLICIT, "1.2.840.10008.1.2.2"]),
        of in option_set(),
    ) {
        let encode = |text: &str| encoding.encode(text, Kind::Names).unwrap();
        let implicit = syntax == "1.2.840.10008.1.2";
        let mut set: Set<'_> = planted.iter().map(|p| node(p, encoding, implicit)).collect();
        set.retain(|node| ![tags::PATIENT_NAME, tags::PATIENT_ID, tags::PATIENT_TELEPHONE_NUMBERS, tags::STUDY_INSTANCE_UID].contains(&node.tag));
        set.push(text(tags::SPECIFIC_CHARACTER_SET, VR::CS, encoding.term()));
        set.push(Node::bytes(tags::PATIENT_NAME, VR::PN, encode(&format!("{LATIN}={NAME}"))));
        set.push(text(tags::PATIENT_ID, VR::LO, ID));
        set.push(text(tags::PATIENT_TELEPHONE_NUMBERS, VR::SH, PHONE));
        set.push(text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.4"));
        let bytes = file(set, syntax);
        let outcome = done(&bytes, &of);
        let made = outcome.made.as_ref().unwrap();
        let lower = made.bytes.to_ascii_lowercase();
        for secret in SECRETS {
            for form in [Encoding::Utf8, Encoding::Gb18030, Encoding::Gbk] {
                let raw = form.encode(secret, Kind::Block).unwrap().to_ascii_lowercase();
                prop_assert!(memchr::memmem::find(&lower, &raw).is_none(), "{secret} in {of:?}: {planted:?}");
            }
        }
        let report = serde_json::to_string(&outcome.report.lines()).unwrap();
        prop_assert!(SECRETS.iter().all(|secret| !report.contains(secret)));
        let again = done(&made.bytes, &of).made.unwrap();
        prop_assert_eq!(&again.bytes, &made.bytes);
    }
}
