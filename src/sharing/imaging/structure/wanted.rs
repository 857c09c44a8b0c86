//! Which elements the check keeps.

use dicom_core::Tag;

/// Which elements are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of a list, sorted by tag. One that is longer than the limits allow is left out and
    /// counted in [`super::Warnings::left_out`].
    List(&'static [Want]),
    /// All: for identifiers and command sets, which are small. One that is longer than the limits
    /// allow is an error.
    All,
}

/// An element that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Tag.
    pub tag: Tag,
    /// If it is a sequence, what is wanted of its items, sorted by tag.
    pub within: &'static [Want],
}

impl Want {
    /// The value of an element.
    pub const fn value(tag: Tag) -> Self {
        Self { tag, within: &[] }
    }

    /// Of each item of a sequence, the elements `within`, which must be sorted by tag.
    pub const fn sequence(tag: Tag, within: &'static [Self]) -> Self {
        Self { tag, within }
    }

    /// Whether `list` and all lists within are sorted and name each tag once, as they must.
    pub fn sorted(list: &[Self]) -> bool {
        list.is_sorted_by(|a, b| a.tag < b.tag) && list.iter().all(|want| Self::sorted(want.within))
    }
}

impl Wanted {
    /// What is wanted within the element `tag`; none if it is not wanted itself.
    pub(super) fn within(self, tag: Tag) -> Option<Self> {
        match self {
            Self::All => Some(Self::All),
            Self::List(list) => {
                let at = list.binary_search_by_key(&tag, |want| want.tag).ok()?;
                list.get(at).map(|want| Self::List(want.within))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::tags;

    use super::*;

    const CODE: &[Want] = &[Want::value(tags::CODE_VALUE), Want::value(tags::CODE_MEANING)];
    const LIST: &[Want] =
        &[Want::value(tags::MODALITY), Want::sequence(tags::PROCEDURE_CODE_SEQUENCE, CODE)];

    #[test]
    fn what_is_wanted_is_found_at_its_level_only() {
        let list = Wanted::List(LIST);
        assert!(list.within(tags::CODE_VALUE).is_none());
        assert!(list.within(tags::MODALITY).is_some());
        let inside = list.within(tags::PROCEDURE_CODE_SEQUENCE).unwrap();
        assert!(inside.within(tags::CODE_VALUE).is_some());
        assert!(Wanted::All.within(tags::CODE_VALUE).is_some());
    }

    #[test]
    fn unsorted_lists_are_told() {
        const UNSORTED: &[Want] = &[Want::value(tags::CODE_MEANING), Want::value(tags::CODE_VALUE)];
        assert!(Want::sorted(LIST) && !Want::sorted(UNSORTED));
        assert!(!Want::sorted(&[Want::sequence(tags::PROCEDURE_CODE_SEQUENCE, UNSORTED)]));
    }
}
