//! UIDs of services (PS3.6, annex A).

use dicom_core::dictionary::{UidDictionary as _, UidType};
use dicom_dictionary_std::StandardSopClassDictionary;

/// The one application context name (PS3.7, annex A).
pub(super) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// Verification.
pub(super) const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Storage commitment push model.
pub(super) const STORAGE_COMMITMENT: &str = "1.2.840.10008.1.20.1";
/// The well-known instance of storage commitment.
pub(super) const STORAGE_COMMITMENT_INSTANCE: &str = "1.2.840.10008.1.20.1.1";
/// Modality worklist, find.
pub(super) const MODALITY_WORKLIST: &str = "1.2.840.10008.5.1.4.31";
/// Modality performed procedure step.
pub(super) const MPPS: &str = "1.2.840.10008.3.1.2.3.3";
/// Study root: find.
pub(super) const STUDY_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
/// Study root: move.
pub(super) const STUDY_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
/// Study root: get.
pub(super) const STUDY_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
/// Implicit VR little endian.
pub(super) const IMPLICIT_LE: &str = "1.2.840.10008.1.2";
/// Explicit VR little endian.
pub(super) const EXPLICIT_LE: &str = "1.2.840.10008.1.2.1";
/// Explicit VR big endian, retired.
pub(super) const EXPLICIT_BE: &str = "1.2.840.10008.1.2.2";

/// Patient root, study root, patient/study only (retired): find, move, get.
const QUERY: [[&str; 3]; 3] = [
    ["1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.1.3"],
    [STUDY_FIND, STUDY_MOVE, STUDY_GET],
    ["1.2.840.10008.5.1.4.1.2.3.1", "1.2.840.10008.5.1.4.1.2.3.2", "1.2.840.10008.5.1.4.1.2.3.3"],
];
/// Storage classes whose objects belong to no patient and no study (hanging protocols, colour
/// palettes, implant templates, procedure protocols, inventories); the archive is one of studies.
const WITHOUT_STUDY: [&str; 9] = [
    "1.2.840.10008.5.1.4.38.1",
    "1.2.840.10008.5.1.4.39.1",
    "1.2.840.10008.5.1.4.43.1",
    "1.2.840.10008.5.1.4.44.1",
    "1.2.840.10008.5.1.4.45.1",
    "1.2.840.10008.5.1.4.1.1.200.1",
    "1.2.840.10008.5.1.4.1.1.200.3",
    "1.2.840.10008.5.1.4.1.1.200.7",
    "1.2.840.10008.5.1.4.1.1.201.1",
];
/// Root of what DICOM assigns.
const DICOM_ROOT: &str = "1.2.840.10008.";
/// Root of the storage SOP classes.
const STORAGE_ROOT: &str = "1.2.840.10008.5.1.4.1.1.";

/// The operation's column in [`QUERY`].
fn query(uid: &str, operation: usize) -> bool {
    QUERY.iter().any(|root| root.get(operation) == Some(&uid))
}

/// The information model of a query or retrieve class: 0 patient root, 1 study root, 2 patient and
/// study only.
pub(super) fn query_root(uid: &str) -> Option<usize> {
    QUERY.iter().position(|root| root.contains(&uid))
}

/// Whether `uid` is a C-FIND class over studies.
pub(super) fn is_find(uid: &str) -> bool {
    query(uid, 0)
}

/// Whether `uid` is a C-MOVE class.
pub(super) fn is_move(uid: &str) -> bool {
    query(uid, 1)
}

/// Whether `uid` is a C-GET class.
pub(super) fn is_get(uid: &str) -> bool {
    query(uid, 2)
}

/// Whether objects of this class are stored: every storage class of the standard, those that came
/// after our dictionary, and private classes.
pub(super) fn is_storage(uid: &str) -> bool {
    if !uid.starts_with(DICOM_ROOT) {
        return !uid.is_empty() && uid.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    }
    if WITHOUT_STUDY.contains(&uid) {
        return false;
    }
    if uid.starts_with(STORAGE_ROOT) {
        return true;
    }
    StandardSopClassDictionary.by_uid(uid).is_some_and(|entry| {
        entry.r#type == UidType::SopClass
            && entry.name.ends_with("Storage")
            && !entry.name.starts_with("Media")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_classes_are_told_from_services() {
        for uid in [
            "1.2.840.10008.5.1.4.1.1.2",
            "1.2.840.10008.5.1.4.1.1.99999",
            "1.2.840.10008.5.1.4.34.7",
            "1.3.12.2.1107.5.9.1",
        ] {
            assert!(is_storage(uid), "{uid}");
        }
        for uid in [
            VERIFICATION,
            STORAGE_COMMITMENT,
            MODALITY_WORKLIST,
            MPPS,
            "1.2.840.10008.1.3.10",
            "1.2.840.10008.5.1.4.39.1",
            "1.2.840.10008.5.1.4.1.2.2.1",
            "1.2.840.10008.99",
            "",
            "../etc",
        ] {
            assert!(!is_storage(uid), "{uid}");
        }
    }
}
