//! DICOM objects by the Basic Application Level Confidentiality Profile of PS3.15 and its options
//! (annex E), strictly:
//!
//! - What table E.1-1 names is treated by its row ([`Action`](super::rules::Action) says how codes
//!   that leave a choice are read).
//! - What it does not name stays if its form cannot hold a name (numbers, code strings, pixels,
//!   references), or if `kept.csv` names it; other text, dates, names and whatever is private,
//!   unknown or not in its own representation goes. The standard asks less.
//! - What the file itself says to be a name or number of somebody is looked for in everything that
//!   stays.
//! - The preamble is zeroed and the file meta group written anew: no AE title, no private
//!   information.
//!
//! Pixels are not changed. What may have text burned into them, or a face, is flagged, and withheld
//! unless asked for. Objects are written in the transfer syntax they came in, deflated ones in
//! explicit VR little endian.
//!
//! Deliberately absent: directories (DICOMDIR), which list patients and are made anew where they
//! are wanted; recompression; taking text out of pixels.

mod act;
mod content;
mod dummy;
mod identity;
mod pixels;
#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;
use std::io::Read as _;

use dicom_dictionary_std::{tags, uids};
use flate2::read::DeflateDecoder;

use super::{Choices, Key, Report, Rules};
use crate::sharing::imaging::part10::{Meta, Part10Error, open, write_meta};
use crate::sharing::imaging::structure::{INFLATED_BYTES_MAX, StructureError, Syntax};

pub(super) use identity::pseudonym;
pub use pixels::{Flag, Flags};

/// Bytes of a file at most: 2 GiB.
pub const FILE_BYTES_MAX: u64 = 2 << 30;
/// SOP class of a DICOMDIR.
const DIRECTORY: &str = "1.2.840.10008.1.3.10";

/// How images are de-identified.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The options chosen.
    pub choices: &'a Choices,
    /// The secret of the pseudonyms.
    pub key: &'a Key,
    /// Whether images that may have text in their pixels are given out.
    pub include_burned_in: bool,
}

/// What became of a file.
#[derive(Debug)]
pub struct Outcome {
    /// The new file; none if it is withheld.
    pub made: Option<Made>,
    /// What is suspicious about its pixels.
    pub flags: Flags,
    /// What was done.
    pub report: Report,
}

/// A file that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Pseudonym of the patient.
    pub patient: String,
    /// New study instance UID; may be empty.
    pub study: String,
    /// New SOP instance UID.
    pub instance: String,
}

/// Why a file cannot be de-identified. No message holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It is no DICOM file, or its beginning cannot be read.
    #[error(transparent)]
    NotAFile(#[from] Part10Error),
    /// Its structure is broken.
    #[error("the data set is broken")]
    Broken(#[from] StructureError),
    /// It is deflated and cannot be inflated within the limit.
    #[error("the deflated data set is broken or inflates to more than {INFLATED_BYTES_MAX} bytes")]
    Inflate,
    /// Its transfer syntax is none of a binary data set.
    #[error("the transfer syntax (0002,0010) is none of a binary data set")]
    Syntax,
    /// It is a DICOMDIR.
    #[error("a directory (DICOMDIR) is not de-identified: make it anew from the new files")]
    Directory,
    /// It does not say which object it is.
    #[error("SOP class UID (0008,0016) or SOP instance UID (0008,0018) is missing or no UID")]
    Nameless,
}

/// De-identifies a file as read from a disk or taken from the archive.
///
/// # Errors
/// [`ImageError`], with nothing made.
pub fn deidentify(file: &[u8], way: Way<'_>) -> Result<Outcome, ImageError> {
    let opening = open(file)?;
    let stored = Syntax::of(&opening.transfer_syntax).ok_or(ImageError::Syntax)?;
    let body = file.get(opening.data_set..).unwrap_or_default();
    let (data, syntax, transfer_syntax) = if stored.deflated {
        let inflated = Cow::Owned(inflate(body)?);
        (inflated, Syntax::EXPLICIT_LITTLE, uids::EXPLICIT_VR_LITTLE_ENDIAN)
    } else {
        (Cow::Borrowed(body), stored, opening.transfer_syntax.as_str())
    };
    let set = tree::read(&data, syntax)?;
    let declared = |tag, meta: &Option<String>| {
        let here = tree::ascii(&set, tag);
        if here.is_empty() { meta.clone().unwrap_or_default() } else { here }
    };
    let sop_class = declared(tags::SOP_CLASS_UID, &opening.sop_class);
    let instance = declared(tags::SOP_INSTANCE_UID, &opening.sop_instance);
    if sop_class == DIRECTORY {
        return Err(ImageError::Directory);
    }
    if !is_uid(&sop_class) || !is_uid(&instance) {
        return Err(ImageError::Nameless);
    }
    let mut flags = pixels::flags(&set, &sop_class, way.rules);
    let done = act::deidentify(set, &sop_class, &instance, way, &mut flags);
    let mut report = done.report;
    for flag in &flags.raised {
        report.flag(&flag.name);
    }
    if flags.withhold() && !way.include_burned_in {
        return Ok(Outcome { made: None, flags, report });
    }
    let study = tree::ascii(&done.set, tags::STUDY_INSTANCE_UID);
    let instance = tree::ascii(&done.set, tags::SOP_INSTANCE_UID);
    let meta =
        Meta { sop_class: &sop_class, sop_instance: &instance, transfer_syntax, source_ae: None };
    let mut bytes = write_meta(meta)?;
    bytes.append(&mut tree::write(&done.set, syntax));
    let made = Made { bytes, patient: done.patient, study, instance };
    Ok(Outcome { made: Some(made), flags, report })
}

fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn inflate(body: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut inflated = Vec::new();
    let read = DeflateDecoder::new(body).take(INFLATED_BYTES_MAX + 1).read_to_end(&mut inflated);
    let fits = u64::try_from(inflated.len()).is_ok_and(|bytes| bytes <= INFLATED_BYTES_MAX);
    match read {
        Ok(_) if fits => Ok(inflated),
        Ok(_) | Err(_) => Err(ImageError::Inflate),
    }
}
