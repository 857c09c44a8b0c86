//! Text and faces in pixels, which nothing here takes out: images that may have them are flagged by
//! what their header says.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::tree::{self, Held, Set};
use crate::sharing::deidentify::rules::{Answer, Effect, PixelKind, Rules};

/// Bits of a group for overlays: 6000 to 601E, even.
const OVERLAY_GROUPS: std::ops::RangeInclusive<u16> = 0x6000..=0x601E;
/// Overlay Bit Position: other than 0 if the overlay lies in the pixels.
const BIT_POSITION: u16 = 0x0102;

/// Flags of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// What was found suspicious, with the reason for people.
    pub raised: Vec<Flag>,
}

/// One flag.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Flag {
    /// Its name: `burned_in_text`, `opaque_content`, `recognizable_features`,
    /// `face_may_be_rebuilt`, `overlay_in_pixels`.
    pub name: String,
    /// Why.
    pub reason_zh: String,
    /// Whether the image is not given out unless asked for.
    pub withholds: bool,
}

impl Flags {
    /// Whether the image is not given out unless asked for.
    pub fn withhold(&self) -> bool {
        self.raised.iter().any(|flag| flag.withholds)
    }
}

/// What a header says of pixels.
pub(super) fn flags(set: &Set<'_>, sop_class: &str, rules: &Rules) -> Flags {
    let of = |tag: Tag| tree::ascii(set, tag).to_ascii_uppercase();
    let annotated = of(tags::BURNED_IN_ANNOTATION);
    let image_type = of(tags::IMAGE_TYPE);
    let mut raised: Vec<Flag> = Vec::new();
    for rule in &rules.pixels {
        let fits = match rule.kind {
            PixelKind::Modality => of(tags::MODALITY) == rule.value,
            PixelKind::SopClass => sop_class == rule.value,
            PixelKind::BurnedIn => annotated == rule.value,
            PixelKind::VisualFeatures => of(tags::RECOGNIZABLE_VISUAL_FEATURES) == rule.value,
            PixelKind::ImageType => image_type.split('\\').any(|v| v.trim() == rule.value),
            PixelKind::BodyPart => of(tags::BODY_PART_EXAMINED) == rule.value,
        };
        let denied = rule.unless_no == Answer::Yes && annotated == "NO";
        if fits && !denied {
            raise(&mut raised, &rule.flag, &rule.reason_zh, rule.effect == Effect::Withhold);
        }
    }
    let in_pixels = |node: &tree::Node<'_>| {
        OVERLAY_GROUPS.contains(&node.tag.0)
            && node.tag.1 == BIT_POSITION
            && node.value().is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0))
    };
    if set.iter().any(in_pixels) {
        raise(&mut raised, "overlay_in_pixels", "叠加层存在像素的空闲位里", true);
    }
    Flags { raised }
}

pub(super) fn raise(raised: &mut Vec<Flag>, name: &str, reason_zh: &str, withholds: bool) {
    match raised.iter_mut().find(|flag| flag.name == name) {
        Some(there) => there.withholds |= withholds,
        None => {
            raised.push(Flag { name: name.to_owned(), reason_zh: reason_zh.to_owned(), withholds });
        }
    }
}

/// Comments that codecs carry beside the pixels (JPEG COM and `APPn` but for JFIF and Adobe, JPEG 2000
/// COM): their bytes.
pub(super) fn comments<'a>(set: &Set<'a>) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    for node in set {
        let Held::Fragments(fragments) = &node.value else { continue };
        for fragment in fragments {
            segments(fragment, &mut found);
        }
    }
    found
}

/// Marker segments of a code stream up to where its data begin.
fn segments<'a>(stream: &'a [u8], found: &mut Vec<&'a [u8]>) {
    const START: u8 = 0xD8;
    const START_2000: u8 = 0x4F;
    const DATA: [u8; 3] = [0xDA, 0x90, 0x93];
    let mut at = match stream {
        [0xFF, START | START_2000, ..] => 2,
        _ => return,
    };
    while let Some([0xFF, marker, high, low]) = stream.get(at..at + 4) {
        if DATA.contains(marker) {
            break;
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let body = stream.get(at + 4..at + 2 + length.max(2)).unwrap_or_default();
        let known = body.starts_with(b"JFIF\0") || body.starts_with(b"Adobe\0");
        // COM of JPEG, COM of JPEG 2000, APP0 to APP15.
        if matches!(marker, 0xFE | 0x64 | 0xE0..=0xEF) && !known {
            found.push(body);
        }
        at += 2 + length.max(2);
    }
}
