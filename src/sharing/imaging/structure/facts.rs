//! What the check found out.

use dicom_core::{Tag, VR};

use crate::sharing::imaging::element::ElementSet;

/// What the check found out about a data set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Bytes received.
    pub bytes: u64,
    /// Bytes checked: more than were received if the data set is deflated.
    pub checked_bytes: u64,
    /// Elements at all levels; items and fragments not counted.
    pub elements: u64,
    /// Sequences of undefined length written as UN in a data set with value representations. They
    /// are implicit inside (PS3.5, 6.2.2, note 2), which readers that do not know it take for
    /// garbage; see [`Facts::is_read_alike`].
    pub unknown_sequences: u64,
    /// Deepest level: 0 without a sequence, 1 inside one.
    pub depth: u32,
    /// Whether everything before the pixel data was there: also true of a data set that ends
    /// within its pixel data, and of a whole one without any.
    pub header_whole: bool,
    /// Pixel data, float pixel data or double float pixel data of the data set itself.
    pub pixel_data: Option<PixelData>,
    /// What is not as the standard says, but was let pass.
    pub warnings: Warnings,
    /// The elements that were wanted.
    pub captured: ElementSet,
}

/// Where the pixels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelData {
    /// Tag: (7FE0,0008), (7FE0,0009) or (7FE0,0010).
    pub tag: Tag,
    /// Value representation: as written, or from the dictionary.
    pub vr: VR,
    /// Byte at which the value begins in the data set, after inflating if it is deflated.
    pub offset: u64,
    /// What stands there.
    pub form: PixelForm,
}

/// How the pixels stand in a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelForm {
    /// One value.
    Native {
        /// Bytes of it.
        length: u64,
    },
    /// Fragments (PS3.5, A.4).
    Encapsulated {
        /// Bytes of the basic offset table; 0 if it is empty or missing.
        offset_table_bytes: u64,
        /// Fragments after the basic offset table.
        fragments: u64,
        /// Bytes of all fragments, without what stands between.
        fragment_bytes: u64,
        /// Byte at which the item of the first fragment begins.
        first_fragment: Option<u64>,
    },
}

/// What is not as the standard says, but was let pass: how often each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Warnings {
    /// Tags lower than one before at the same level.
    pub out_of_order: u64,
    /// Tags equal to the one before at the same level.
    pub repeated: u64,
    /// Values of odd length.
    pub odd_lengths: u64,
    /// Value representations that are not in the standard.
    pub unknown_vrs: u64,
    /// Elements of the file meta group (0002) inside the data set.
    pub meta_elements: u64,
    /// Delimiters at the end of an item or sequence whose length is given.
    pub needless_delimiters: u64,
    /// Delimiters that say a length.
    pub delimiter_lengths: u64,
    /// Zeros at the end.
    pub padding_bytes: u64,
    /// Bytes after the end of a deflated stream, beyond one zero that makes the length even.
    pub after_deflated: u64,
    /// Wanted values that were too long to be kept.
    pub left_out: u64,
}

impl Facts {
    /// Whether dicom-rs 0.10.1 finds elements where this check found them. If not, it takes other
    /// bytes for lengths: 674 bytes (`UN_sequence.dcm` of the test files) then cost it 3.7 GB of
    /// memory and many seconds. So nothing of which this is false may be given to it unguarded.
    pub fn is_read_alike(&self) -> bool {
        self.unknown_sequences == 0 && self.warnings.unknown_vrs == 0
    }
}

impl PixelData {
    /// Whether there are no pixels: a value of zero bytes, or no fragments, or only empty ones.
    pub fn is_empty(&self) -> bool {
        match self.form {
            PixelForm::Native { length } => length == 0,
            PixelForm::Encapsulated { fragment_bytes, .. } => fragment_bytes == 0,
        }
    }
}

impl Warnings {
    /// How many there are; padding, and bytes after a deflated stream, count as one each.
    pub fn count(&self) -> u64 {
        [
            self.out_of_order,
            self.repeated,
            self.odd_lengths,
            self.unknown_vrs,
            self.meta_elements,
            self.needless_delimiters,
            self.delimiter_lengths,
            self.padding_bytes.min(1),
            self.after_deflated.min(1),
            self.left_out,
        ]
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
    }
}
