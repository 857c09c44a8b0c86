//! What a piece of text says: regions, techniques, contrast, views.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Modality;

/// With or without contrast agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Contrast {
    /// Without (平扫).
    Plain,
    /// With (增强).
    #[serde(rename = "contrast")]
    Enhanced,
    /// Both, one after the other (平扫+增强).
    Both,
}

/// A projection, or how it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// From the front or from behind (正位).
    Pa,
    /// From the side (侧位).
    Lateral,
    /// At the bedside (床旁).
    Bedside,
}

/// What one piece of text says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Features<'t> {
    pub(super) regions: BTreeSet<&'t str>,
    pub(super) techniques: BTreeSet<&'t str>,
    pub(super) plain: bool,
    pub(super) enhanced: bool,
    pub(super) views: BTreeSet<View>,
    pub(super) modalities: BTreeSet<Modality>,
    /// Terms that it was read from.
    pub(super) terms: BTreeSet<&'t str>,
}

impl Features<'_> {
    /// With or without contrast agent, where it is said.
    pub(super) fn contrast(&self) -> Option<Contrast> {
        match (self.plain, self.enhanced) {
            (true, true) => Some(Contrast::Both),
            (true, false) => Some(Contrast::Plain),
            (false, true) => Some(Contrast::Enhanced),
            (false, false) => None,
        }
    }

    /// Whether it says how the examination was made.
    pub(super) fn says_how(&self) -> bool {
        !self.techniques.is_empty() || self.plain || self.enhanced || !self.views.is_empty()
    }

    /// Takes over what `other` says, regions aside.
    pub(super) fn take_how(&mut self, other: &Self) {
        self.techniques.extend(&other.techniques);
        self.plain |= other.plain;
        self.enhanced |= other.enhanced;
        self.views.extend(&other.views);
        self.modalities.extend(&other.modalities);
    }

    /// Takes over what `other` says of what is not said here.
    pub(super) fn fill_from(&mut self, other: &Self) {
        if self.techniques.is_empty() {
            self.techniques.extend(&other.techniques);
        }
        if self.contrast().is_none() {
            self.plain = other.plain;
            self.enhanced = other.enhanced;
        }
        if self.views.is_empty() {
            self.views.extend(&other.views);
        }
        self.modalities.extend(&other.modalities);
    }
}
