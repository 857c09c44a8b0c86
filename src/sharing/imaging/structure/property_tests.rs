//! Whatever the bytes and however they are cut.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use proptest::prelude::*;

use super::fixtures::*;
use super::*;
use crate::sharing::imaging::element::{Element, ElementSet, Value};

/// A generated element.
#[derive(Debug, Clone)]
enum Node {
    Value(Tag, VR, Vec<u8>),
    /// Tag, whether its length is given, items with the same.
    Sequence(Tag, bool, Vec<(bool, Vec<Node>)>),
}

fn write(nodes: &[Node], coding: Coding) -> Vec<u8> {
    let mut writer = Writer::new(coding);
    for node in nodes {
        writer = match node {
            Node::Value(tag, vr, value) => {
                let mut value = value.clone();
                if coding == Coding::ExplicitBig && *vr == VR::US {
                    value.chunks_exact_mut(2).for_each(<[u8]>::reverse);
                }
                writer.value(*tag, *vr, &value)
            }
            Node::Sequence(tag, defined, items) => {
                let mut inside = Writer::new(coding);
                for (defined, nodes) in items {
                    let bytes = write(nodes, coding);
                    inside = if *defined {
                        inside.item(u32::try_from(bytes.len()).unwrap()).raw(&bytes)
                    } else {
                        inside.item(UNDEFINED).raw(&bytes).end_item()
                    };
                }
                if *defined {
                    let length = u32::try_from(inside.bytes.len()).unwrap();
                    writer.header(*tag, VR::SQ, length).raw(&inside.bytes)
                } else {
                    writer.open(*tag).raw(&inside.bytes).end()
                }
            }
        };
    }
    writer.bytes
}

fn expected(nodes: &[Node]) -> ElementSet {
    set(nodes.iter().map(|node| match node {
        Node::Value(tag, vr, value) => element(*tag, *vr, value),
        Node::Sequence(tag, _, items) => {
            let items = items.iter().map(|(_, nodes)| expected(nodes)).collect();
            Element { tag: *tag, vr: VR::SQ, value: Value::Items(items) }
        }
    }))
}

fn depth(nodes: &[Node]) -> u32 {
    let of = |node: &Node| match node {
        Node::Value(..) => 0,
        Node::Sequence(_, _, items) => 1 + items.iter().map(|i| depth(&i.1)).max().unwrap_or(0),
    };
    nodes.iter().map(of).max().unwrap_or(0)
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let value = prop_oneof![
        "[A-Z]{0,6}".prop_map(|v| Node::Value(tags::MODALITY, VR::CS, v.into_bytes())),
        "[A-Z]{0,9}".prop_map(|v| Node::Value(tags::CODE_VALUE, VR::SH, v.into_bytes())),
        "[A-Z^]{0,9}".prop_map(|v| Node::Value(tags::PATIENT_NAME, VR::PN, v.into_bytes())),
        any::<u16>().prop_map(|v| Node::Value(tags::ROWS, VR::US, v.to_le_bytes().to_vec())),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|v| Node::Value(
            tags::ICC_PROFILE,
            VR::OB,
            v
        )),
    ];
    let leaf = prop::collection::vec(value, 0..4);
    leaf.prop_recursive(6, 40, 3, |inner| {
        let sequence = (
            prop_oneof![Just(SEQUENCE), Just(tags::CONCEPT_NAME_CODE_SEQUENCE)],
            any::<bool>(),
            prop::collection::vec((any::<bool>(), inner.clone()), 0..3),
        );
        (inner, prop::collection::vec(sequence, 0..3)).prop_map(|(mut nodes, sequences)| {
            nodes
                .extend(sequences.into_iter().map(|(tag, d, items)| Node::Sequence(tag, d, items)));
            nodes
        })
    })
}

fn syntax() -> impl Strategy<Value = Syntax> {
    prop_oneof![
        Just(Syntax::IMPLICIT_LITTLE),
        Just(Syntax::EXPLICIT_LITTLE),
        Just(big_endian()),
        Just(jpeg()),
        Just(deflated()),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![Just(Wanted::All), Just(Wanted::List(LIST)), Just(NOTHING)]
}

/// Bytes that are close to a data set: pieces of headers as often as anything.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(Writer::explicit().start().bytes),
        Just(Writer::explicit().open(SEQUENCE).bytes),
        Just(Writer::explicit().header(SEQUENCE, VR::SQ, 40).bytes),
        Just(Writer::explicit().header(PRIVATE, VR::UN, UNDEFINED).bytes),
        Just(Writer::new(Coding::ImplicitLittle).open(SEQUENCE).bytes),
        Just(Writer::explicit().header(PIXELS, VR::OB, UNDEFINED).bytes),
        Just(Writer::explicit().item(UNDEFINED).bytes),
        Just(Writer::explicit().item(24).bytes),
        Just(Writer::explicit().end_item().bytes),
        Just(Writer::explicit().end().bytes),
        Just(vec![0; 9]),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The result, and what was found, of `bytes` pushed in pieces of the given lengths, repeated.
fn in_pieces(
    syntax: Syntax,
    wanted: Wanted,
    limits: Limits,
    bytes: &[u8],
    pieces: &[usize],
) -> (Result<(), StructureError>, Facts) {
    let mut guard = Guard::new(syntax, wanted, limits);
    let mut rest = bytes;
    for length in pieces.iter().cycle() {
        let (now, after) = rest.split_at((*length).min(rest.len()));
        let _ = guard.push(now);
        assert!(guard.walk.held_bytes() <= usize::try_from(limits.kept_bytes_max).unwrap());
        assert!(guard.walk.open_frames() <= 2 * usize::try_from(limits.depth_max).unwrap() + 2);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    (guard.check_end(), guard.abandon())
}

fn small() -> Limits {
    Limits {
        depth_max: 4,
        bytes_max: 2000,
        inflated_bytes_max: 1000,
        elements_max: 30,
        kept_bytes_max: 2000,
        value_bytes_max: 100,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn generated_data_sets_are_taken_and_kept_whole(
        nodes in nodes(),
        syntax in syntax(),
    ) {
        let plain = write(&nodes, syntax.coding);
        let bytes = if syntax.deflated { deflate(&plain) } else { plain };
        let facts = check(syntax, Wanted::All, Limits::default(), &bytes).unwrap();
        prop_assert_eq!(facts.captured, expected(&nodes));
        prop_assert_eq!(facts.depth, depth(&nodes));
    }

    #[test]
    fn generated_data_sets_are_refused_exactly_beyond_the_depth(
        nodes in nodes(),
        syntax in syntax(),
        depth_max in 0_u32..7,
    ) {
        let plain = write(&nodes, syntax.coding);
        let bytes = if syntax.deflated { deflate(&plain) } else { plain };
        let result = check(syntax, NOTHING, Limits { depth_max, ..Limits::default() }, &bytes);
        prop_assert_eq!(result.is_ok(), depth(&nodes) <= depth_max);
    }

    #[test]
    fn how_bytes_are_cut_changes_nothing(
        bytes in prop_oneof![
            nearly(),
            nodes().prop_map(|nodes| write(&nodes, Coding::ExplicitLittle)),
            nodes().prop_map(|nodes| write(&nodes, Coding::ImplicitLittle)),
        ],
        syntax in syntax(),
        wanted in wanted(),
        pieces in prop::collection::vec(1_usize..40, 1..6),
        tight in any::<bool>(),
        garbled in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let limits = if tight { small() } else { Limits::default() };
        let mut bytes = if syntax.deflated { deflate(&bytes) } else { bytes };
        if let Some((at, byte)) = garbled && !bytes.is_empty() {
            *at.get_mut(&mut bytes) = byte;
        }
        let whole = in_pieces(syntax, wanted, limits, &bytes, &[bytes.len().max(1)]);
        prop_assert_eq!(&in_pieces(syntax, wanted, limits, &bytes, &pieces).0, &whole.0);
        let single = in_pieces(syntax, wanted, limits, &bytes, &[1]);
        prop_assert_eq!(&single.0, &whole.0);
        if whole.0.is_ok() {
            prop_assert_eq!(&single.1, &whole.1);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        syntax in syntax(),
        wanted in wanted(),
    ) {
        let whole = in_pieces(syntax, wanted, small(), &bytes, &[400]);
        let single = in_pieces(syntax, wanted, small(), &bytes, &[1]);
        prop_assert_eq!(whole.0, single.0);
    }
}
