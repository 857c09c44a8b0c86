//! Files (PS3.10, 7.1): where in one the data set begins and how it is coded, read leniently, and
//! the beginning of the files that are written here.
//!
//! A file's own beginning is kept as it is; nothing here repairs one.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::identity::{UID_CHARACTERS_MAX, without_padding};
use super::implementation;
use super::structure::{Coding, Pixels, Syntax, has_long_length};

/// How much of a file [`open`] should be given, in bytes, if there is so much.
pub const BEGINNING_BYTES: usize = 1 << 20;

/// Bytes before the prefix.
const PREAMBLE_BYTES: usize = 128;
const PREFIX: &[u8] = b"DICM";
/// Group of the file meta information.
const META_GROUP: u16 = 0x0002;
/// Highest group that the first element of a data set without meta information can have: data sets
/// begin with a low group, and text does not look like one.
const FIRST_GROUP_MAX: u16 = 0x0028;
/// Longest value of the first element of a data set in implicit VR, in bytes; its length may also
/// be undefined.
const FIRST_VALUE_BYTES_MAX: u32 = 64 << 10;
/// Longest AE title in characters (PS3.5, 6.2).
const AE_CHARACTERS_MAX: usize = 16;

/// What a file's beginning says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Byte at which the data set begins.
    pub data_set: usize,
    /// What stands before it.
    pub form: Form,
    /// Transfer syntax UID by which the data set must be read.
    pub transfer_syntax: String,
    /// How that is known.
    pub basis: Basis,
    /// Media storage SOP class UID (0002,0002), if it can be read.
    pub sop_class: Option<String>,
    /// Media storage SOP instance UID (0002,0003), if it can be read.
    pub sop_instance: Option<String>,
    /// Source application entity title (0002,0016), if it can be read.
    pub source_ae: Option<String>,
}

/// What stands before a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Preamble, prefix and meta group.
    File,
    /// Prefix or meta group, without preamble.
    NoPreamble,
    /// Nothing.
    Bare,
}

/// How a transfer syntax is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The file says so.
    Declared,
    /// The file does not say; the first element looks like it.
    Guessed,
    /// The file says another, and the first element contradicts it.
    Corrected,
}

/// Why a file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Part10Error {
    /// It is no DICOM file.
    #[error("there is neither a DICM prefix nor anything that looks like a first element")]
    NotDicom,
    /// The file meta group is longer than what was given of the file.
    #[error("the file meta group does not end within the {given} bytes read (element at {offset})")]
    MetaCut {
        /// Where the element begins that does not end.
        offset: usize,
        /// Bytes given.
        given: usize,
    },
    /// The transfer syntax is missing, and the first element does not show it.
    #[error("the transfer syntax (0002,0010) is missing and cannot be told from the data set")]
    UnknownSyntax,
    /// A value is too long to be written.
    #[error("{tag} has {length} characters where {limit} are allowed")]
    ValueTooLong {
        /// Attribute.
        tag: Tag,
        /// Characters it has.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
}

/// What the meta group of a file that is written says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta<'a> {
    /// SOP class UID of the data set.
    pub sop_class: &'a str,
    /// SOP instance UID of the data set.
    pub sop_instance: &'a str,
    /// Its transfer syntax UID.
    pub transfer_syntax: &'a str,
    /// AE title it was received from.
    pub source_ae: Option<&'a str>,
}

/// What was read of a meta group.
#[derive(Debug, Default)]
struct MetaRead {
    end: usize,
    transfer_syntax: Option<String>,
    sop_class: Option<String>,
    sop_instance: Option<String>,
    source_ae: Option<String>,
}

/// One element of a meta group.
#[derive(Debug)]
struct MetaElement<'a> {
    tag: Tag,
    value: &'a [u8],
    end: usize,
}

/// Reads the beginning of a file: all of it, or at least [`BEGINNING_BYTES`].
///
/// Group lengths are not believed, values may be longer than their representation allows, and
/// elements may be in implicit VR. A file without a transfer syntax, without preamble or without
/// both is read by what its first element looks like; so is one whose native transfer syntax its
/// first element contradicts.
///
/// # Errors
/// [`Part10Error`], where it is not a file or cannot be understood.
pub fn open(beginning: &[u8]) -> Result<Opening, Part10Error> {
    let at = |from: usize| beginning.get(from..).unwrap_or_default();
    let (form, begin) = if at(PREAMBLE_BYTES).starts_with(PREFIX) {
        (Form::File, PREAMBLE_BYTES + PREFIX.len())
    } else if beginning.starts_with(PREFIX) {
        (Form::NoPreamble, PREFIX.len())
    } else if group(beginning, 0) == Some(META_GROUP) {
        (Form::NoPreamble, 0)
    } else if group(beginning, PREAMBLE_BYTES) == Some(META_GROUP)
        && at(0).iter().take(PREAMBLE_BYTES).all(|byte| *byte == 0)
    {
        (Form::File, PREAMBLE_BYTES)
    } else {
        (Form::Bare, 0)
    };
    let meta = read_meta(beginning, begin)?;
    let guess = guess(at(meta.end));
    let (transfer_syntax, basis) = match (meta.transfer_syntax, guess) {
        (Some(declared), Some(guess)) if contradicts(&declared, guess) => {
            (guess.to_owned(), Basis::Corrected)
        }
        (Some(declared), _) => (declared, Basis::Declared),
        (None, Some(guess)) => (guess.to_owned(), Basis::Guessed),
        (None, None) if form == Form::Bare => return Err(Part10Error::NotDicom),
        (None, None) => return Err(Part10Error::UnknownSyntax),
    };
    Ok(Opening {
        data_set: meta.end,
        form,
        transfer_syntax,
        basis,
        sop_class: meta.sop_class,
        sop_instance: meta.sop_instance,
        source_ae: meta.source_ae,
    })
}

/// Preamble, prefix and meta group for a file.
///
/// # Errors
/// [`Part10Error::ValueTooLong`] for a UID or AE title that is longer than it may be.
pub fn write_meta(meta: Meta<'_>) -> Result<Vec<u8>, Part10Error> {
    let mut elements = Vec::new();
    // Version 1 is the only one there is.
    elements.extend_from_slice(b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01");
    let uid = UID_CHARACTERS_MAX;
    put(&mut elements, tags::MEDIA_STORAGE_SOP_CLASS_UID, *b"UI\0", meta.sop_class, uid)?;
    put(&mut elements, tags::MEDIA_STORAGE_SOP_INSTANCE_UID, *b"UI\0", meta.sop_instance, uid)?;
    put(&mut elements, tags::TRANSFER_SYNTAX_UID, *b"UI\0", meta.transfer_syntax, uid)?;
    put(&mut elements, tags::IMPLEMENTATION_CLASS_UID, *b"UI\0", implementation::CLASS_UID, uid)?;
    let name = implementation::VERSION_NAME;
    put(&mut elements, tags::IMPLEMENTATION_VERSION_NAME, *b"SH ", name, AE_CHARACTERS_MAX)?;
    if let Some(ae) = meta.source_ae {
        let tag = tags::SOURCE_APPLICATION_ENTITY_TITLE;
        put(&mut elements, tag, *b"AE ", ae, AE_CHARACTERS_MAX)?;
    }
    // Every value is bounded above, so the sum is.
    let length = u32::try_from(elements.len()).unwrap_or(u32::MAX);
    let mut file = vec![0; PREAMBLE_BYTES];
    file.extend_from_slice(PREFIX);
    file.extend_from_slice(b"\x02\0\0\0UL\x04\0");
    file.extend_from_slice(&length.to_le_bytes());
    file.append(&mut elements);
    Ok(file)
}

/// Appends an element with a short length; `vr` is two letters and what pads to even length.
fn put(
    out: &mut Vec<u8>,
    tag: Tag,
    vr: [u8; 3],
    value: &str,
    limit: usize,
) -> Result<(), Part10Error> {
    let [a, b, padding] = vr;
    let even = value.len() + value.len() % 2;
    let length = u16::try_from(even).ok().filter(|_| value.len() <= limit);
    let Some(length) = length else {
        return Err(Part10Error::ValueTooLong { tag, length: value.len(), limit });
    };
    out.extend_from_slice(&tag.0.to_le_bytes());
    out.extend_from_slice(&tag.1.to_le_bytes());
    out.extend_from_slice(&[a, b]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value.as_bytes());
    out.resize(out.len() + even - value.len(), padding);
    Ok(())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn group(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// Reads elements from byte `begin` as long as they are of the meta group.
fn read_meta(bytes: &[u8], begin: usize) -> Result<MetaRead, Part10Error> {
    let mut meta = MetaRead { end: begin, ..MetaRead::default() };
    let mut said_end = None;
    let mut deflated = false;
    while group(bytes, meta.end) == Some(META_GROUP) {
        // Deflated bytes may look like anything, so there the group length is believed.
        if deflated && said_end == Some(meta.end) {
            break;
        }
        let Some(element) = read_element(bytes, meta.end) else {
            return Err(Part10Error::MetaCut { offset: meta.end, given: bytes.len() });
        };
        meta.end = element.end;
        match element.tag {
            tags::FILE_META_INFORMATION_GROUP_LENGTH => {
                said_end = array(element.value, 0)
                    .and_then(|length| usize::try_from(u32::from_le_bytes(length)).ok())
                    .and_then(|length| element.end.checked_add(length));
            }
            tags::TRANSFER_SYNTAX_UID => {
                meta.transfer_syntax = uid(element.value).or(meta.transfer_syntax);
                let syntax = meta.transfer_syntax.as_deref().and_then(Syntax::of);
                deflated = syntax.is_some_and(|syntax| syntax.deflated);
            }
            tags::MEDIA_STORAGE_SOP_CLASS_UID => meta.sop_class = uid(element.value),
            tags::MEDIA_STORAGE_SOP_INSTANCE_UID => meta.sop_instance = uid(element.value),
            tags::SOURCE_APPLICATION_ENTITY_TITLE => meta.source_ae = ae(element.value),
            _ => {}
        }
    }
    Ok(meta)
}

/// The element at byte `at`, in explicit VR, or in implicit VR if no VR is there.
fn read_element(bytes: &[u8], at: usize) -> Option<MetaElement<'_>> {
    let tag = Tag(group(bytes, at)?, group(bytes, at + 2)?);
    let (header, length) = match VR::from_binary(array(bytes, at + 4)?) {
        Some(vr) if has_long_length(vr) => (12, u32::from_le_bytes(array(bytes, at + 8)?)),
        Some(_) => (8, u32::from(u16::from_le_bytes(array(bytes, at + 6)?))),
        None => (8, u32::from_le_bytes(array(bytes, at + 4)?)),
    };
    let begin = at + header;
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    Some(MetaElement { tag, value: bytes.get(begin..end)?, end })
}

/// A UID, if it is one. Longer than it may be is let pass.
fn uid(value: &[u8]) -> Option<String> {
    let uid = std::str::from_utf8(without_padding(value)).ok()?;
    let fits = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    fits.then(|| uid.to_owned())
}

/// An AE title, if it is one.
fn ae(value: &[u8]) -> Option<String> {
    let title = std::str::from_utf8(without_padding(value)).ok()?.trim();
    let fits = !title.is_empty()
        && title.len() <= AE_CHARACTERS_MAX
        && title.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    fits.then(|| title.to_owned())
}

/// The native transfer syntax that the first element of `data_set` looks like.
fn guess(data_set: &[u8]) -> Option<&'static str> {
    let little = group(data_set, 0)?;
    let big = little.swap_bytes();
    let is_first = |group: u16| group > 0 && group <= FIRST_GROUP_MAX;
    if VR::from_binary(array(data_set, 4)?).is_some() {
        return if is_first(little) {
            Some(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        } else {
            is_first(big).then_some(EXPLICIT_BIG)
        };
    }
    let length = u32::from_le_bytes(array(data_set, 4)?);
    let fits = length <= FIRST_VALUE_BYTES_MAX || length == u32::MAX;
    (is_first(little) && fits).then_some(uids::IMPLICIT_VR_LITTLE_ENDIAN)
}

/// Explicit VR big endian, which the dictionary marks as retired.
const EXPLICIT_BIG: &str = "1.2.840.10008.1.2.2";

/// Whether a data set that looks like `guess` cannot be in the `declared` transfer syntax. Only for
/// native ones, where either can be put in the place of the other.
fn contradicts(declared: &str, guess: &str) -> bool {
    let native = Syntax::of(declared)
        .filter(|syntax| syntax.known && syntax.pixels == Pixels::Native && !syntax.deflated);
    let coding = |syntax: Option<Syntax>| syntax.map(|syntax: Syntax| -> Coding { syntax.coding });
    native.is_some() && coding(native) != coding(Syntax::of(guess))
}

#[cfg(test)]
#[path = "part10_tests.rs"]
mod tests;
