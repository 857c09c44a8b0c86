//! The walk over a data set: each element by its rule.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::pixels::{self, Flags};
use super::tree::{self, Held, Node, Set};
use super::{Way, content, dummy, identity};
use crate::sharing::deidentify::rules::{Action, Choice, Rules};
use crate::sharing::deidentify::scrub::{Known, has_number};
use crate::sharing::deidentify::{Choices, Did, Key, Report};
use crate::sharing::imaging::charset::{CharacterSets, Encoding};
use crate::sharing::imaging::structure::Coding;

/// What came of a data set.
pub(super) struct Done<'a> {
    pub(super) set: Set<'a>,
    pub(super) patient: String,
    pub(super) report: Report,
}

/// The walk.
pub(super) struct Walk<'r> {
    pub(super) rules: &'r Rules,
    pub(super) choices: &'r Choices,
    pub(super) key: &'r Key,
    pub(super) known: Known,
    /// Days that dates go back, where they are modified.
    pub(super) days: u32,
    pub(super) patient: String,
    pub(super) sets: CharacterSets,
    /// What text can be written in.
    pub(super) encoding: Encoding,
    pub(super) report: Report,
}

/// What the elements of one set have in common.
pub(super) struct Around {
    /// Private creators by group and block.
    creators: Vec<(u16, u16, String)>,
    /// Groups of overlays that stay.
    overlays: Vec<u16>,
    /// Whether the code in this item is of a known scheme.
    pub(super) scheme_known: bool,
}

/// What is left of the walk over the file's data set, whose SOP class and instance UID are these.
pub(super) fn deidentify<'a>(
    set: Set<'a>,
    sop_class: &str,
    instance: &str,
    way: Way<'_>,
    flags: &mut Flags,
) -> Done<'a> {
    let Way { rules, choices, key, .. } = way;
    let sets = identity::sets(&set);
    let patient = identity::patient(&set, &sets, key);
    let known = identity::known(&set, &sets, choices, key);
    comments(&set, &known, flags);
    // What this key made already has its dates shifted, unless it has none.
    let id = tree::value(&set, tags::PATIENT_ID).map(|id| identity::text(&sets, VR::LO, id));
    let modified = tree::ascii(&set, tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED);
    let again = id.is_some_and(|id| key.is_pseudonym(&id)) && modified == "MODIFIED";
    let limits = rules.limits;
    let days = if again {
        0
    } else {
        key.shift_days(&patient, limits.shift_days_min, limits.shift_days_max)
    };
    let encoding = encoding(&set, &sets);
    let mut walk = Walk {
        rules,
        choices,
        key,
        known,
        days,
        patient: patient.clone(),
        sets,
        encoding,
        report: Report::default(),
    };
    let mut left = walk.set(set);
    walk.name(&mut left, sop_class, instance);
    Done { set: left, patient, report: walk.report }
}

/// Flags what codecs wrote beside the pixels.
fn comments(set: &Set<'_>, known: &Known, flags: &mut Flags) {
    for comment in pixels::comments(set) {
        let text = String::from_utf8_lossy(comment);
        let names = known.is_in(&text) || has_number(&text) || comment.starts_with(b"Exif");
        let reason = "压缩码流里带有注释段，其中的文字不改动";
        pixels::raise(&mut flags.raised, "comment_in_codestream", reason, names);
    }
}

/// What text that is written anew can be encoded in.
fn encoding(set: &Set<'_>, sets: &CharacterSets) -> Encoding {
    let declared = tree::ascii(set, tags::SPECIFIC_CHARACTER_SET);
    sets.guess().or_else(|| Encoding::read_by(&declared)).unwrap_or(Encoding::Ascii)
}

/// `(gggg,eeee)`; of a private attribute only the group, since its number means something by its
/// creator alone and the creator is text.
pub(super) fn label(tag: Tag) -> String {
    if tag.0 % 2 == 1 {
        format!("({:04X},xxxx)", tag.0)
    } else {
        format!("({:04X},{:04X})", tag.0, tag.1)
    }
}

impl Walk<'_> {
    pub(super) fn note(&mut self, tag: Tag, did: Did) {
        let name = match self.rules.row(tag) {
            Some(row) => row.name.clone(),
            None => tree::known(tag).map_or_else(String::new, |(name, _)| name.to_owned()),
        };
        self.report.note(label(tag), &name, did);
    }

    /// Treats the elements of a data set or item.
    pub(super) fn set<'a>(&mut self, set: Set<'a>) -> Set<'a> {
        let own = tree::value(&set, tags::SPECIFIC_CHARACTER_SET).map(|_| identity::sets(&set));
        let outer = own.map(|own| {
            let encoding = encoding(&set, &own);
            (
                std::mem::replace(&mut self.sets, own),
                std::mem::replace(&mut self.encoding, encoding),
            )
        });
        let around = self.around(&set);
        let mut left: Set<'a> = Vec::with_capacity(set.len());
        let mut creators = Vec::new();
        for node in set {
            if node.tag.0 % 2 == 1 {
                match node.tag.1 {
                    0x0010..=0x00FF => creators.push(node),
                    _ => left.extend(self.private(node, &around)),
                }
            } else {
                left.extend(self.element(node, &around));
            }
        }
        // A creator stays where something of it does.
        for node in creators {
            let used = |n: &Node<'_>| n.tag.0 == node.tag.0 && n.tag.1 >> 8 == node.tag.1;
            if left.iter().any(used) {
                left.push(node);
            } else {
                self.note(node.tag, Did::Removed);
            }
        }
        left.sort_by_key(|node| node.tag);
        if let Some((sets, encoding)) = outer {
            (self.sets, self.encoding) = (sets, encoding);
        }
        left
    }

    fn around(&self, set: &Set<'_>) -> Around {
        let creator = |node: &Node<'_>| {
            let is = node.tag.0 % 2 == 1 && (0x0010..=0x00FF).contains(&node.tag.1);
            let text =
                is.then(|| String::from_utf8_lossy(node.value().unwrap_or_default()).into_owned())?;
            Some((node.tag.0, node.tag.1, text.trim_matches(['\0', ' ']).to_owned()))
        };
        let region = |node: &&Node<'_>| {
            node.tag.1 == 0x0040
                && (0x6000..=0x601E).contains(&node.tag.0)
                && node.value().is_some_and(|value| value.trim_ascii() == b"R")
        };
        let in_pixels = |node: &&Node<'_>| {
            node.tag.1 == 0x0102
                && (0x6000..=0x601E).contains(&node.tag.0)
                && node.value().is_some_and(|value| value.iter().any(|byte| *byte != 0))
        };
        let graphics = self.choices.has(Choice::Graphics);
        let overlays =
            set.iter().filter(|node| graphics && region(node) || in_pixels(node)).map(|n| n.tag.0);
        let scheme = tree::ascii(set, tags::CODING_SCHEME_DESIGNATOR);
        Around {
            creators: set.iter().filter_map(creator).collect(),
            overlays: overlays.collect(),
            scheme_known: self.rules.knows_scheme(&scheme),
        }
    }

    /// A private attribute.
    fn private<'a>(&mut self, node: Node<'a>, around: &Around) -> Option<Node<'a>> {
        let block = node.tag.1 >> 8;
        let creator =
            around.creators.iter().find(|(group, b, _)| (*group, *b) == (node.tag.0, block));
        let safe = creator.and_then(|(_, _, name)| self.rules.safe(name, node.tag));
        let kept = safe.filter(|safe| {
            let fits = node.vr == VR::UN || node.vr == safe.vr;
            self.choices.has(Choice::SafePrivate)
                && fits
                && node.value().is_some_and(|value| self.is_plain(safe.vr, value))
        });
        let did = if kept.is_some() { Did::Kept } else { Did::Removed };
        self.note(node.tag, did);
        (did == Did::Kept).then_some(node)
    }

    /// A standard attribute.
    pub(super) fn element<'a>(&mut self, node: Node<'a>, around: &Around) -> Option<Node<'a>> {
        let tag = node.tag;
        // Group lengths would be wrong; nothing of a command, meta group or directory belongs here.
        if tag.1 == 0 {
            return None;
        }
        let overlay = (0x6000..=0x601E).contains(&tag.0);
        let foreign = tag.0 < 0x0008 || overlay && !around.overlays.contains(&tag.0);
        let row = self.rules.row(tag);
        let action = row.map(|row| row.action(self.choices));
        if foreign || action == Some(Action::Remove) {
            self.note(tag, Did::Removed);
            return None;
        }
        let Some(node) = settled(node) else {
            self.note(tag, Did::RemovedUnlisted);
            return None;
        };
        match action {
            Some(action) => self.listed(node, action),
            None => self.unlisted(node, around),
        }
    }

    fn listed<'a>(&mut self, node: Node<'a>, action: Action) -> Option<Node<'a>> {
        let tag = node.tag;
        let empty = match &node.value {
            Held::Bytes(_, bytes) => bytes.is_empty(),
            Held::Items(items) => items.is_empty(),
            Held::Fragments(_) => false,
        };
        // The patient has a pseudonym whatever the table would allow.
        if tag == tags::PATIENT_ID || tag == tags::PATIENT_NAME {
            let number = identity::text(&self.sets, VR::LO, node.value().unwrap_or_default());
            let nested = tag == tags::PATIENT_ID && !number.is_empty();
            let pseudonym =
                if nested { identity::pseudonym(self.key, &number) } else { self.patient.clone() };
            self.note(tag, Did::Pseudonymised);
            return Some(Node::text(tag, node.vr, &pseudonym));
        }
        if empty {
            return Some(node);
        }
        match action {
            Action::Remove => {
                self.note(tag, Did::Removed);
                None
            }
            Action::Empty => {
                self.note(tag, Did::Emptied);
                Some(emptied(node))
            }
            Action::Dummy => {
                self.note(tag, Did::Replaced);
                Some(dummy::of(node, self.key))
            }
            Action::Uid => {
                self.note(tag, Did::UidReplaced);
                let uids = dummy::uids(node.value().unwrap_or_default(), self.key);
                Some(Node::text(tag, VR::UI, &uids))
            }
            Action::References => {
                self.note(tag, Did::Kept);
                Some(self.items(node))
            }
            Action::Keep => Some(self.retained(node)),
            Action::Clean => content::clean(self, node),
        }
    }

    /// The items of a sequence, each treated.
    pub(super) fn items<'a>(&mut self, node: Node<'a>) -> Node<'a> {
        let Node { tag, vr, value } = node;
        match value {
            Held::Items(items) => {
                let items = items.into_iter().map(|item| self.set(item)).collect();
                Node::items(tag, items)
            }
            Held::Bytes(..) | Held::Fragments(_) => Node { tag, vr, value },
        }
    }

    /// What an option keeps.
    fn retained<'a>(&mut self, node: Node<'a>) -> Node<'a> {
        let tag = node.tag;
        let vr = tree::known(tag).map_or(node.vr, |(_, vr)| vr);
        if vr == VR::SQ {
            self.note(tag, Did::Kept);
            return self.items(node);
        }
        let value = node.value().unwrap_or_default();
        if vr == VR::AS {
            return self.age(node);
        }
        if vr == VR::DA || vr == VR::DT || vr == VR::TM || !identity::is_text(vr) {
            if self.is_plain(vr, value) {
                self.note(tag, Did::Kept);
                return node;
            }
            self.note(tag, Did::Emptied);
            return emptied(node);
        }
        let text = identity::text(&self.sets, vr, value);
        if self.known.is_in(&text) {
            self.note(tag, Did::HeldIdentifier);
            return emptied(node);
        }
        self.note(tag, Did::Kept);
        node
    }

    /// An age, those over the limit in one group.
    fn age<'a>(&mut self, node: Node<'a>) -> Node<'a> {
        let text = String::from_utf8_lossy(node.value().unwrap_or_default()).into_owned();
        let text = text.trim_matches(['\0', ' ']);
        let (number, unit) = text.split_at(text.len().saturating_sub(1).min(text.len()));
        let years = number.parse::<u32>().ok().filter(|_| matches!(unit, "Y" | "M" | "W" | "D"));
        let cap = self.rules.limits.age_cap;
        match years {
            Some(years) if unit == "Y" && years >= cap => {
                let capped = format!("{cap:03}Y");
                self.note(node.tag, if text == capped { Did::Kept } else { Did::Grouped });
                Node::text(node.tag, node.vr, &capped)
            }
            Some(_) => {
                self.note(node.tag, Did::Kept);
                node
            }
            None => {
                self.note(node.tag, Did::Emptied);
                emptied(node)
            }
        }
    }

    /// Puts into the data set what it must have afterwards.
    fn name(&mut self, set: &mut Set<'_>, sop_class: &str, instance: &str) {
        let instance = if self.choices.has(Choice::Uids) || dummy::is_standard(instance) {
            instance.to_owned()
        } else {
            self.key.uid(instance)
        };
        let modified = if self.choices.has(Choice::FullDates) {
            "UNMODIFIED"
        } else if self.choices.has(Choice::ModifiedDates) {
            "MODIFIED"
        } else {
            "REMOVED"
        };
        let code = |coded: &crate::sharing::deidentify::rules::Coded| {
            vec![
                Node::text(tags::CODE_VALUE, VR::SH, &coded.code),
                Node::text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM"),
                Node::text(
                    tags::CODE_MEANING,
                    VR::LO,
                    &coded.meaning.chars().take(64).collect::<String>(),
                ),
            ]
        };
        let codes = self.rules.codes(self.choices).into_iter().map(code).collect();
        let method = "PS3.15 Basic Application Confidentiality Profile";
        let rules = format!("Xiangyi rules {}", self.rules.version);
        for node in [
            Node::text(tags::SOP_CLASS_UID, VR::UI, sop_class),
            Node::text(tags::SOP_INSTANCE_UID, VR::UI, &instance),
            Node::text(tags::PATIENT_NAME, VR::PN, &self.patient),
            Node::text(tags::PATIENT_ID, VR::LO, &self.patient),
            Node::text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES"),
            Node::text(tags::DEIDENTIFICATION_METHOD, VR::LO, &format!("{method}\\{rules}")),
            Node::items(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, codes),
            Node::text(tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED, VR::CS, modified),
        ] {
            set.retain(|there| there.tag != node.tag);
            set.push(node);
        }
    }
}

/// `node` without its value.
pub(super) fn emptied(node: Node<'_>) -> Node<'_> {
    let Node { tag, vr, value } = node;
    match value {
        Held::Items(_) => Node::items(tag, Vec::new()),
        Held::Bytes(..) | Held::Fragments(_) => Node::bytes(tag, vr, Vec::new()),
    }
}

/// `node` in the representation it has in the standard; none if the standard does not know it, or if
/// what is written cannot be that.
fn settled(mut node: Node<'_>) -> Option<Node<'_>> {
    let (_, standard) = tree::known(node.tag)?;
    match &mut node.value {
        Held::Items(_) if standard == VR::SQ => node.vr = VR::SQ,
        Held::Fragments(_) if node.tag.0 == 0x7FE0 => {}
        Held::Bytes(coding, _) if standard != VR::SQ => {
            if node.vr == VR::UN {
                // Unknown to its writer, so little-endian (PS3.5, 6.2.2, note 2).
                *coding = Coding::ImplicitLittle;
                node.vr = standard;
            } else if !alike(node.vr, standard) {
                return None;
            }
        }
        Held::Items(_) | Held::Fragments(_) | Held::Bytes(..) => return None,
    }
    Some(node)
}

/// Whether values of one representation can be read as the other.
fn alike(written: VR, standard: VR) -> bool {
    let is_binary = |vr: VR| {
        matches!(
            vr,
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
                | VR::UV
        )
    };
    is_binary(written) == is_binary(standard) && written != VR::SQ
}
