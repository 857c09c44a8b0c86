//! Values that mean nothing, by value representation (`D` of PS3.15, table E.1-1a).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::tree::{Held, Node, Set};
use crate::sharing::deidentify::Key;
use crate::sharing::imaging::structure::number_bytes;

/// Text that says that something was taken away.
pub(super) const TEXT: &str = "ANONYMIZED";
/// The day that stands for every day.
const DATE: &str = "19000101";

/// The element `node` with a value that means nothing.
pub(super) fn of<'a>(node: Node<'a>, key: &Key) -> Node<'a> {
    let Node { tag, vr, value } = node;
    let text = match vr {
        VR::DA => DATE,
        VR::TM => "000000",
        VR::DT => "19000101000000",
        VR::AS => "000Y",
        VR::DS | VR::IS => "0",
        VR::UR => "urn:anonymized",
        VR::PN | VR::AE | VR::CS | VR::LO | VR::LT | VR::SH | VR::ST | VR::UC | VR::UT => TEXT,
        VR::UI => {
            let Held::Bytes(_, bytes) = &value else { return Node::text(tag, vr, "") };
            return Node::text(tag, vr, &uids(bytes, key));
        }
        VR::SQ => return sequence(tag, value, key),
        VR::AT
        | VR::FD
        | VR::FL
        | VR::OB
        | VR::OD
        | VR::OF
        | VR::OL
        | VR::OV
        | VR::OW
        | VR::SL
        | VR::SS
        | VR::SV
        | VR::UL
        | VR::UN
        | VR::US
        | VR::UV => return Node::bytes(tag, vr, vec![0; number_bytes(vr).max(2)]),
    };
    Node::text(tag, vr, text)
}

/// A value of UIDs with those that stand for them.
pub(super) fn uids(bytes: &[u8], key: &Key) -> String {
    let text = String::from_utf8_lossy(bytes);
    let replaced = text.split('\\').map(|uid| {
        let uid = uid.trim_matches(['\0', ' ']);
        if uid.is_empty() || is_standard(uid) { uid.to_owned() } else { key.uid(uid) }
    });
    replaced.collect::<Vec<_>>().join("\\")
}

/// Whether the standard gave the UID, so that it names nothing of anybody.
pub(super) fn is_standard(uid: &str) -> bool {
    uid.starts_with("1.2.840.10008.") && uid.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// One item in which every value means nothing; of structured content a note that it is gone.
fn sequence<'a>(tag: Tag, value: Held<'a>, key: &Key) -> Node<'a> {
    if tag == tags::CONTENT_SEQUENCE {
        return Node::items(tag, vec![note()]);
    }
    let first = match value {
        Held::Items(items) => items.into_iter().next().unwrap_or_default(),
        Held::Bytes(..) | Held::Fragments(_) => Vec::new(),
    };
    let standard =
        |node: &Node<'_>| super::tree::known(node.tag).is_some_and(|(_, vr)| vr == node.vr);
    let item = first.into_iter().filter(standard).map(|node| of(node, key)).collect();
    Node::items(tag, vec![item])
}

/// A content item that says that the content was removed (TID 300 of PS3.16 has the comment).
fn note<'a>() -> Set<'a> {
    let concept = vec![
        Node::text(tags::CODE_VALUE, VR::SH, "121106"),
        Node::text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM"),
        Node::text(tags::CODE_MEANING, VR::LO, "Comment"),
    ];
    vec![
        Node::text(tags::RELATIONSHIP_TYPE, VR::CS, "CONTAINS"),
        Node::text(tags::VALUE_TYPE, VR::CS, "TEXT"),
        Node::items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![concept]),
        Node::text(tags::TEXT_VALUE, VR::UT, TEXT),
    ]
}
