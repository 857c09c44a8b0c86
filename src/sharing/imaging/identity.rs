//! Which instance a data set is: the four UIDs that every composite object has (PS3.3, C.7.2.1,
//! C.7.3.1, C.12.1).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::element::{ElementSet, Value};
use super::object::InstanceUids;
use super::structure::Want;

/// Longest UID in characters (PS3.5, 9.1).
pub const UID_CHARACTERS_MAX: usize = 64;

/// What must be kept of a data set to identify it.
pub const WANTED: &[Want] = &[
    Want::value(tags::SOP_CLASS_UID),
    Want::value(tags::SOP_INSTANCE_UID),
    Want::value(tags::STUDY_INSTANCE_UID),
    Want::value(tags::SERIES_INSTANCE_UID),
];

/// Which instance a data set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Study, series and SOP instance UID.
    pub uids: InstanceUids,
    /// SOP class UID.
    pub sop_class: String,
    /// Attributes in whose UID a component begins with a zero, which the standard forbids and
    /// devices write.
    pub leading_zeros: Vec<Tag>,
}

/// Why a data set cannot be identified. No message holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The attribute is not there, or is no value.
    #[error("{name} {tag} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
        /// Its tag.
        tag: Tag,
    },
    /// The attribute has no value, or padding only.
    #[error("{name} {tag} is empty")]
    Empty {
        /// Its name.
        name: &'static str,
        /// Its tag.
        tag: Tag,
    },
    /// It has too many characters.
    #[error("{name} {tag} has {length} characters, and a UID may have {}", UID_CHARACTERS_MAX)]
    TooLong {
        /// Its name.
        name: &'static str,
        /// Its tag.
        tag: Tag,
        /// Characters it has.
        length: usize,
    },
    /// It has a character that no UID has.
    #[error("{name} {tag} has at position {position} a character other than digits and dots")]
    IllegalCharacter {
        /// Its name.
        name: &'static str,
        /// Its tag.
        tag: Tag,
        /// Where, from 0.
        position: usize,
    },
    /// It begins or ends with a dot, or has two in a row.
    #[error("{name} {tag} has an empty component")]
    EmptyComponent {
        /// Its name.
        name: &'static str,
        /// Its tag.
        tag: Tag,
    },
}

/// Identifies a data set by what was captured of it.
///
/// # Errors
/// The first attribute that is missing or is no UID.
pub fn identify(captured: &ElementSet) -> Result<Identity, IdentityError> {
    let mut leading_zeros = Vec::new();
    let mut uid = |name, tag| {
        let uid = read(captured, name, tag)?;
        if uid.split('.').any(|part| part.len() > 1 && part.starts_with('0')) {
            leading_zeros.push(tag);
        }
        Ok(uid)
    };
    let sop_class = uid("SOP class UID", tags::SOP_CLASS_UID)?;
    let instance = uid("SOP instance UID", tags::SOP_INSTANCE_UID)?;
    let study = uid("study instance UID", tags::STUDY_INSTANCE_UID)?;
    let series = uid("series instance UID", tags::SERIES_INSTANCE_UID)?;
    Ok(Identity { uids: InstanceUids { study, series, instance }, sop_class, leading_zeros })
}

fn read(captured: &ElementSet, name: &'static str, tag: Tag) -> Result<String, IdentityError> {
    let bytes = match captured.get(tag).map(|element| &element.value) {
        Some(Value::Bytes(bytes)) => bytes,
        Some(Value::Items(_)) | None => return Err(IdentityError::Missing { name, tag }),
    };
    let uid = without_padding(bytes);
    let length = uid.len();
    if length == 0 {
        return Err(IdentityError::Empty { name, tag });
    }
    if length > UID_CHARACTERS_MAX {
        return Err(IdentityError::TooLong { name, tag, length });
    }
    if let Some(position) = uid.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.') {
        return Err(IdentityError::IllegalCharacter { name, tag, position });
    }
    if uid.split(|byte| *byte == b'.').any(<[u8]>::is_empty) {
        return Err(IdentityError::EmptyComponent { name, tag });
    }
    Ok(uid.iter().copied().map(char::from).collect())
}

/// A UID without the NULs and spaces that pad it: behind as the standard has it (PS3.5, 9.1) and,
/// as some devices do, spaces before.
pub(super) fn without_padding(bytes: &[u8]) -> &[u8] {
    let is_value = |byte: &u8| !matches!(byte, 0 | b' ');
    let begin = bytes.iter().position(|byte| *byte != b' ').unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_value).map_or(begin, |last| last + 1);
    bytes.get(begin..end).unwrap_or_default()
}

/// Whether `text` has the form of a UID: what is stored may have leading zeros.
pub fn is_uid(text: &str) -> bool {
    (1..=UID_CHARACTERS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use dicom_core::VR;

    use super::*;
    use crate::sharing::imaging::element::Element;

    fn captured(changed: Tag, value: Option<&[u8]>) -> ElementSet {
        let mut set = ElementSet::default();
        for (tag, bytes) in [
            (tags::SOP_CLASS_UID, b"1.2.840.10008.5.1.4.1.1.2\0".as_slice()),
            (tags::SOP_INSTANCE_UID, b"1.2.3.4 "),
            (tags::STUDY_INSTANCE_UID, b"2.25.7"),
            (tags::SERIES_INSTANCE_UID, b"1.2.3\0\0"),
        ] {
            let bytes = if tag == changed { value } else { Some(bytes) };
            if let Some(bytes) = bytes {
                set.insert(Element { tag, vr: VR::UI, value: Value::Bytes(bytes.to_vec()) });
            }
        }
        set
    }

    #[test]
    fn an_instance_is_identified_without_padding() {
        let identity = identify(&captured(tags::MODALITY, None)).unwrap();
        assert_eq!(identity.sop_class, "1.2.840.10008.5.1.4.1.1.2");
        assert_eq!(identity.uids.instance, "1.2.3.4");
        assert_eq!(identity.uids.study, "2.25.7");
        assert_eq!(identity.uids.series, "1.2.3");
        assert_eq!(identity.leading_zeros, []);
    }

    #[test]
    fn each_attribute_must_be_there_and_be_a_uid() {
        for (name, tag) in [
            ("SOP class UID", tags::SOP_CLASS_UID),
            ("SOP instance UID", tags::SOP_INSTANCE_UID),
            ("study instance UID", tags::STUDY_INSTANCE_UID),
            ("series instance UID", tags::SERIES_INSTANCE_UID),
        ] {
            let with = |value| identify(&captured(tag, value));
            assert_eq!(with(None), Err(IdentityError::Missing { name, tag }));
            for empty in [b"".as_slice(), b" ", b"\0\0", b" \0 "] {
                assert_eq!(with(Some(empty)), Err(IdentityError::Empty { name, tag }));
            }
            assert_eq!(
                with(Some(&[b'1'; 65])),
                Err(IdentityError::TooLong { name, tag, length: 65 })
            );
            assert!(with(Some(&[b'1'; 64])).is_ok());
            for (value, position) in [
                (b"../../etc/passwd".as_slice(), 2),
                (b"1.2/3", 3),
                (b"1.2\\1.3", 3),
                (b"1.2\x003", 3),
                (b"1.2 3", 3),
                (b"1.2.x", 4),
                (b"\xB9.2", 0),
            ] {
                let error = IdentityError::IllegalCharacter { name, tag, position };
                assert_eq!(with(Some(value)), Err(error));
            }
            for value in [b".1".as_slice(), b"1.", b"1..2", b"."] {
                assert_eq!(with(Some(value)), Err(IdentityError::EmptyComponent { name, tag }));
            }
        }
    }

    #[test]
    fn leading_zeros_are_let_pass_and_said() {
        let identity = identify(&captured(tags::STUDY_INSTANCE_UID, Some(b"1.02.0.3"))).unwrap();
        assert_eq!(identity.uids.study, "1.02.0.3");
        assert_eq!(identity.leading_zeros, [tags::STUDY_INSTANCE_UID]);
        let plain = identify(&captured(tags::STUDY_INSTANCE_UID, Some(b"1.0.3"))).unwrap();
        assert_eq!(plain.leading_zeros, []);
    }

    #[test]
    fn a_sequence_in_the_place_of_a_uid_is_no_uid() {
        let mut set = captured(tags::MODALITY, None);
        let tag = tags::SOP_INSTANCE_UID;
        set.insert(Element { tag, vr: VR::SQ, value: Value::Items(Vec::new()) });
        let error = IdentityError::Missing { name: "SOP instance UID", tag };
        assert_eq!(identify(&set), Err(error));
        assert_eq!(error.to_string(), "SOP instance UID (0008,0018) is missing");
    }

    #[test]
    fn what_is_wanted_is_sorted() {
        assert!(Want::sorted(WANTED));
    }
}
