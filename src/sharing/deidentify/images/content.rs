//! What stays of values: by their form where no row of the profile names them, by the list of words
//! where an option cleans them.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::act::{Around, Walk, emptied};
use super::tree::{self, Held, Node, Set};
use super::{dummy, identity};
use crate::sharing::deidentify::rules::{Action, Choice, How};
use crate::sharing::deidentify::scrub::{has_number, known_words};
use crate::sharing::deidentify::{Did, shift};

/// Characters of a code string (PS3.5, 6.2).
const CODE_CHARS_MAX: usize = 16;
/// Characters of a number as text; toolkits write some more than PS3.5 allows.
const NUMBER_CHARS_MAX: usize = 24;
/// Digits of a whole number at most: more are somebody's.
const WHOLE_DIGITS_MAX: usize = 9;
/// Characters of a value of LO (PS3.5, 6.2).
const TEXT_CHARS_MAX: usize = 64;
/// Groups whose values of bytes are pictures, tables, curves and surfaces.
const BULK_GROUPS: [u16; 4] = [0x0028, 0x5400, 0x0066, 0x7FE0];
/// UIDs that say what something is, not which one.
const CLASSES: [Tag; 6] = [
    tags::SOP_CLASS_UID,
    tags::REFERENCED_SOP_CLASS_UID,
    tags::RELATED_GENERAL_SOP_CLASS_UID,
    tags::ORIGINAL_SPECIALIZED_SOP_CLASS_UID,
    tags::SOP_CLASSES_IN_STUDY,
    tags::AVAILABLE_TRANSFER_SYNTAX_UID,
];
/// Kinds of content items that hold no free text (PS3.3, C.17.3.2.1).
const CONTENT_KINDS: [&str; 12] = [
    "CONTAINER",
    "CODE",
    "NUM",
    "SCOORD",
    "SCOORD3D",
    "TCOORD",
    "IMAGE",
    "COMPOSITE",
    "WAVEFORM",
    "UIDREF",
    "DATE",
    "TIME",
];

impl Walk<'_> {
    /// An attribute that no row names.
    pub(super) fn unlisted<'a>(&mut self, node: Node<'a>, around: &Around) -> Option<Node<'a>> {
        let tag = node.tag;
        let vr = tree::known(tag).map_or(VR::UN, |(_, vr)| vr);
        let value = match &node.value {
            Held::Items(_) => return Some(self.items(node)),
            Held::Fragments(_) => {
                self.report.passed += 1;
                return Some(node);
            }
            Held::Bytes(_, value) => value,
        };
        if value.is_empty() {
            return Some(node);
        }
        match vr {
            VR::UI => return self.reference(node),
            _ if identity::is_text(vr) || vr == VR::UR => {
                return match self.rules.kept(tag) {
                    Some(how) => Some(self.text(node, how, around)),
                    None => self.gone(tag),
                };
            }
            VR::PN | VR::DA | VR::DT | VR::TM | VR::AS | VR::AE => return self.gone(tag),
            VR::AT
            | VR::CS
            | VR::DS
            | VR::FD
            | VR::FL
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SH
            | VR::SL
            | VR::SQ
            | VR::SS
            | VR::ST
            | VR::SV
            | VR::UC
            | VR::UL
            | VR::UN
            | VR::UR
            | VR::US
            | VR::UT
            | VR::UV => {}
        }
        if self.is_plain(vr, value) && is_bulk_in_place(tag, vr, value) {
            self.report.passed += 1;
            return Some(node);
        }
        self.note(tag, Did::HeldIdentifier);
        Some(emptied(node))
    }

    fn gone<'a>(&mut self, tag: Tag) -> Option<Node<'a>> {
        self.note(tag, Did::RemovedUnlisted);
        None
    }

    /// A UID that no row names.
    fn reference<'a>(&mut self, node: Node<'a>) -> Option<Node<'a>> {
        let value = node.value().unwrap_or_default();
        if !self.is_plain(VR::UI, value) {
            return self.gone(node.tag);
        }
        if CLASSES.contains(&node.tag) || self.choices.has(Choice::Uids) {
            self.report.passed += 1;
            return Some(node);
        }
        let uids = dummy::uids(value, self.key);
        if uids.as_bytes() == value.trim_ascii_end().strip_suffix(&[0]).unwrap_or(value) {
            self.report.passed += 1;
            return Some(node);
        }
        self.note(node.tag, Did::UidReplaced);
        Some(Node::text(node.tag, node.vr, &uids))
    }

    /// Text that the table of kept attributes names.
    fn text<'a>(&mut self, node: Node<'a>, how: How, around: &Around) -> Node<'a> {
        let tag = node.tag;
        let text = identity::text(&self.sets, node.vr, node.value().unwrap_or_default());
        let code = matches!(
            tag,
            tags::CODE_VALUE
                | tags::LONG_CODE_VALUE
                | tags::URN_CODE_VALUE
                | tags::CODING_SCHEME_DESIGNATOR
        );
        let named = self.known.is_in(&text) || has_number(&text) && !(code && around.scheme_known);
        match how {
            How::Code if !around.scheme_known || named => {
                let anonymous = if tag == tags::CODING_SCHEME_DESIGNATOR {
                    "99ANONYMIZED"
                } else {
                    dummy::TEXT
                };
                if text != anonymous {
                    self.note(tag, Did::Replaced);
                }
                Node::text(tag, node.vr, anonymous)
            }
            How::Code if code && !is_code(&text) => {
                self.note(tag, Did::Replaced);
                Node::text(tag, node.vr, dummy::TEXT)
            }
            How::Text if named => {
                self.note(tag, Did::HeldIdentifier);
                emptied(node)
            }
            How::Text if text.is_ascii() => {
                self.note(tag, Did::Kept);
                node
            }
            How::Code => {
                self.note(tag, Did::Kept);
                node
            }
            How::Text | How::Words => self.words(node),
        }
    }

    /// `node` with nothing but known words.
    fn words<'a>(&mut self, node: Node<'a>) -> Node<'a> {
        let Node { tag, vr, value } = node;
        let Held::Bytes(_, bytes) = value else { return Node::bytes(tag, vr, Vec::new()) };
        let text = identity::text(&self.sets, vr, &bytes);
        let kept = known_words(&self.known, &self.rules.words, &text);
        let kept: String = kept.chars().take(TEXT_CHARS_MAX).collect();
        let kind = identity::kind(vr);
        let encoded = self.encoding.encode(kept.trim_end(), kind).unwrap_or_else(|_| {
            kept.chars().filter(char::is_ascii).collect::<String>().trim().as_bytes().to_vec()
        });
        let did = if text.trim() == kept.trim() { Did::Kept } else { Did::Cleaned };
        self.note(tag, did);
        Node::bytes(tag, vr, encoded)
    }

    /// Whether a value has the form of its representation and names nobody who is known.
    pub(super) fn is_plain(&self, vr: VR, value: &[u8]) -> bool {
        let ascii = || std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
        let each = |fits: &dyn Fn(&str) -> bool| {
            ascii().is_some_and(|text| {
                text.split('\\')
                    .map(|v| v.trim_matches(['\0', ' ']))
                    .all(|v| v.is_empty() || fits(v))
            })
        };
        match vr {
            VR::CS => each(&|v| {
                v.len() <= CODE_CHARS_MAX
                    && v.bytes().all(|b| b.is_ascii_alphanumeric() || b" _.+-/".contains(&b))
                    && !has_number(v)
                    && !self.known.is_in(v)
            }),
            VR::DS | VR::IS => each(&|v| {
                let digits = v.trim_start_matches(['+', '-']);
                let whole = digits.bytes().all(|b| b.is_ascii_digit());
                v.len() <= NUMBER_CHARS_MAX
                    && v.parse::<f64>().is_ok()
                    && !(whole && digits.len() > WHOLE_DIGITS_MAX)
                    && !(digits.len() > 5 && self.known.is_in(v))
            }),
            VR::UI => each(&|v| {
                v.len() <= 64
                    && v.contains('.')
                    && v.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            }),
            VR::DA => each(&|v| shift::da(v, 0).is_some()),
            VR::DT => each(&|v| shift::dt(v, 0).is_some()),
            VR::TM => each(&shift::is_time),
            VR::AE => {
                each(&|v| v.len() <= CODE_CHARS_MAX && !has_number(v) && !self.known.is_in(v))
            }
            VR::SQ
            | VR::UN
            | VR::AS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::ST
            | VR::UC
            | VR::UR
            | VR::UT => false,
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
            | VR::US
            | VR::UV => true,
        }
    }
}

/// Whether bytes are where bytes belong.
fn is_bulk_in_place(tag: Tag, vr: VR, value: &[u8]) -> bool {
    if tag == tags::ICC_PROFILE {
        // ICC.1:2022, 7.2: the signature of every profile.
        return value.get(36..40) == Some(b"acsp");
    }
    !matches!(vr, VR::OB | VR::OW)
        || BULK_GROUPS.contains(&tag.0)
        || (0x6000..=0x601E).contains(&tag.0)
}

fn is_code(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:/-^{}[]%*+ ".contains(&b);
    text.len() <= TEXT_CHARS_MAX && text.bytes().all(allowed)
}

/// What is left of an attribute that an option cleans.
pub(super) fn clean<'a>(walk: &mut Walk<'_>, node: Node<'a>) -> Option<Node<'a>> {
    let tag = node.tag;
    let vr = tree::known(tag).map_or(node.vr, |(_, vr)| vr);
    let by = |choice| walk.rules.row(tag).is_some_and(|row| row.by(choice, walk.choices));
    if by(Choice::ModifiedDates) {
        return Some(moved(walk, node, vr));
    }
    let items = vr == VR::SQ && matches!(node.value, Held::Items(_));
    if by(Choice::Structured) && items {
        walk.note(tag, Did::Cleaned);
        return Some(structured(walk, node));
    }
    // Of graphics, regions and shapes stay; their text is replaced within.
    if by(Choice::Graphics) && items {
        walk.note(tag, Did::Cleaned);
        return Some(walk.items(node));
    }
    if by(Choice::Graphics) && (0x6000..=0x601E).contains(&tag.0) && matches!(vr, VR::OW | VR::OB) {
        walk.note(tag, Did::Kept);
        return Some(node);
    }
    if by(Choice::Descriptors) || by(Choice::Patient) {
        if items {
            walk.note(tag, Did::Cleaned);
            return Some(walk.items(node));
        }
        if identity::is_text(vr) && vr != VR::PN {
            return Some(walk.words(node));
        }
    }
    // What cannot be cleaned is treated as without the option.
    let basic = walk.rules.row(tag).map_or(Action::Remove, super::super::rules::Row::basic);
    match basic {
        Action::Remove | Action::Keep | Action::Clean | Action::Uid | Action::References => {
            walk.note(tag, Did::Removed);
            None
        }
        Action::Empty => {
            walk.note(tag, Did::Emptied);
            Some(emptied(node))
        }
        Action::Dummy => {
            walk.note(tag, Did::Replaced);
            Some(dummy::of(node, walk.key))
        }
    }
}

/// A date with the others of its patient; a time of day stays.
fn moved<'a>(walk: &mut Walk<'_>, node: Node<'a>, vr: VR) -> Node<'a> {
    let tag = node.tag;
    if vr == VR::SQ {
        walk.note(tag, Did::Kept);
        return walk.items(node);
    }
    let text = String::from_utf8_lossy(node.value().unwrap_or_default()).into_owned();
    let days = walk.days;
    let each = |one: &dyn Fn(&str) -> Option<String>| -> Option<String> {
        let parts = text.split('\\').map(|part| {
            let part = part.trim_matches(['\0', ' ']);
            if part.is_empty() { Some(String::new()) } else { one(part) }
        });
        Some(parts.collect::<Option<Vec<_>>>()?.join("\\"))
    };
    let is_zone = |v: &str| {
        v.len() == 5 && v.starts_with(['+', '-']) && v.bytes().skip(1).all(|b| b.is_ascii_digit())
    };
    let shifted = if vr == VR::DA {
        each(&|v| shift::da(v, days))
    } else if vr == VR::DT {
        each(&|v| shift::dt(v, days))
    } else if vr == VR::TM {
        each(&|v| shift::is_time(v).then(|| v.to_owned()))
    } else if vr == VR::SH {
        each(&|v| is_zone(v).then(|| v.to_owned()))
    } else {
        None
    };
    if let Some(shifted) = shifted {
        walk.note(tag, if vr == VR::DA || vr == VR::DT { Did::Shifted } else { Did::Kept });
        return Node::text(tag, node.vr, &shifted);
    }
    walk.note(tag, Did::Replaced);
    dummy::of(node, walk.key)
}

/// Items of structured content: those of codes, numbers, places and references.
fn structured<'a>(walk: &mut Walk<'_>, node: Node<'a>) -> Node<'a> {
    let Node { tag, vr, value } = node;
    let Held::Items(items) = value else { return Node { tag, vr, value } };
    let mut left: Vec<Set<'a>> = Vec::new();
    for item in items {
        let kind = tree::ascii(&item, tags::VALUE_TYPE);
        // Acquisition context has no kinds in old objects.
        let fits = kind.is_empty() || kind == "DATETIME" || CONTENT_KINDS.contains(&kind.as_str());
        if fits {
            left.push(walk.set(item));
        } else {
            walk.note(tags::CONTENT_SEQUENCE, Did::Removed);
        }
    }
    Node { tag, vr, value: Held::Items(left) }
}
