//! Generated data sets, and bytes of any kind.

use dicom_core::{Tag, VR};
use proptest::prelude::*;

use super::*;

/// A generated element.
#[derive(Debug, Clone)]
enum Node {
    Value(Tag, VR, Vec<u8>),
    /// Tag, whether its length is given, items with the same.
    Sequence(Tag, bool, Vec<(bool, Vec<Node>)>),
}

/// Tags of which the dictionary is certain.
const VALUES: [(Tag, VR, usize); 9] = [
    (Tag(0x0008, 0x0060), VR::CS, 1),
    (Tag(0x0010, 0x0010), VR::PN, 1),
    (Tag(0x0018, 0x9073), VR::FD, 8),
    (Tag(0x0020, 0x4000), VR::LT, 1),
    (Tag(0x0028, 0x0010), VR::US, 2),
    (Tag(0x0028, 0x0009), VR::AT, 4),
    (Tag(0x0009, 0x1001), VR::UN, 1),
    (Tag(0x0066, 0x0016), VR::OF, 4),
    (Tag(0x0008, 0x0119), VR::UC, 1),
];
const SEQUENCES: [Tag; 2] = [Tag(0x0008, 0x1032), Tag(0x0040, 0xA730)];

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let value = (0..VALUES.len(), proptest::collection::vec(any::<u8>(), 0..40));
    let leaf = value.prop_map(|(choice, mut bytes)| {
        let (tag, vr, width) = VALUES[choice];
        bytes.truncate(bytes.len() / width * width);
        Node::Value(tag, vr, bytes)
    });
    let node = leaf.prop_recursive(4, 40, 4, |inner| {
        let items = proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(inner, 0..4)),
            0..3,
        );
        (0..SEQUENCES.len(), any::<bool>(), items)
            .prop_map(|(choice, defined, items)| Node::Sequence(SEQUENCES[choice], defined, items))
    });
    proptest::collection::vec(node, 0..8)
}

#[derive(Clone, Copy, PartialEq)]
enum To {
    Implicit,
    Explicit,
    Big,
}

fn write(nodes: &[Node], to: To) -> Vec<u8> {
    let u16s = |n: u16| if to == To::Big { n.to_be_bytes() } else { n.to_le_bytes() };
    let u32s = |n: usize| {
        let n = u32::try_from(n).unwrap();
        if to == To::Big { n.to_be_bytes() } else { n.to_le_bytes() }
    };
    let undefined = usize::try_from(u32::MAX).unwrap();
    let header = |tag: Tag, vr: Option<VR>, length: usize| {
        let mut out = [u16s(tag.0), u16s(tag.1)].concat();
        match vr.filter(|_| to != To::Implicit) {
            None => out.extend(u32s(length)),
            Some(vr) if crate::sharing::imaging::structure::has_long_length(vr) => {
                out.extend(vr.to_bytes());
                out.extend([0, 0]);
                out.extend(u32s(length));
            }
            Some(vr) => {
                out.extend(vr.to_bytes());
                out.extend(u16s(u16::try_from(length).unwrap()));
            }
        }
        out
    };
    let mut out = Vec::new();
    for node in nodes {
        match node {
            Node::Value(tag, vr, value) => {
                let mut value = value.clone();
                if to == To::Big {
                    let width = crate::sharing::imaging::structure::number_bytes(*vr);
                    value.chunks_exact_mut(width).for_each(<[u8]>::reverse);
                }
                out.extend(header(*tag, Some(*vr), value.len()));
                out.extend(value);
            }
            Node::Sequence(tag, defined, items) => {
                let mut inside = Vec::new();
                for (defined, nodes) in items {
                    let bytes = write(nodes, to);
                    let length = if *defined { bytes.len() } else { undefined };
                    inside.extend(header(Tag(0xFFFE, 0xE000), None, length));
                    inside.extend(bytes);
                    if !defined {
                        inside.extend(header(Tag(0xFFFE, 0xE00D), None, 0));
                    }
                }
                let length = if *defined { inside.len() } else { undefined };
                out.extend(header(*tag, Some(VR::SQ), length));
                out.extend(inside);
                if !defined {
                    out.extend(header(Tag(0xFFFE, 0xE0DD), None, 0));
                }
            }
        }
    }
    out
}

proptest! {
    #[test]
    fn a_conversion_writes_what_would_have_been_written(nodes in nodes()) {
        let implicit = Bytes::from(write(&nodes, To::Implicit));
        let explicit = Bytes::from(write(&nodes, To::Explicit));
        let big = Bytes::from(write(&nodes, To::Big));
        let to = |stored, data, wanted| transcode(stored, data, wanted).unwrap();
        let big_endian = "1.2.840.10008.1.2.2";
        prop_assert_eq!(&to(EXPLICIT_LITTLE, &explicit, IMPLICIT_LITTLE), &implicit);
        prop_assert_eq!(&to(IMPLICIT_LITTLE, &implicit, EXPLICIT_LITTLE), &explicit);
        prop_assert_eq!(&to(big_endian, &big, EXPLICIT_LITTLE), &explicit);
        prop_assert_eq!(&to(big_endian, &big, IMPLICIT_LITTLE), &implicit);
        let deflated = to(IMPLICIT_LITTLE, &implicit, DEFLATED);
        prop_assert_eq!(deflated.len() % 2, 0);
        prop_assert_eq!(&to(DEFLATED, &deflated, EXPLICIT_LITTLE), &explicit);
    }

    #[test]
    fn whatever_the_bytes_what_is_written_can_be_read(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        choice in 0..4_usize,
    ) {
        let stored = [IMPLICIT_LITTLE, EXPLICIT_LITTLE, "1.2.840.10008.1.2.2",
            "1.2.840.10008.1.2.5"][choice];
        let data = Bytes::from(bytes);
        for wanted in TARGETS.into_iter().filter(|wanted| *wanted != stored) {
            if let Ok(written) = transcode(stored, &data, wanted) {
                let inflated = if wanted == DEFLATED { inflate(&written).unwrap() } else { written };
                rewrite::check(&inflated, Syntax::of(wanted).unwrap()).unwrap();
            }
        }
    }
}
