//! Why a data set is refused.

use dicom_core::Tag;

/// Why a data set is refused. Offsets are bytes from the beginning of the data set, after inflating
/// if it is deflated; that of an element is where its tag begins. No message holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are said in the message of each")]
pub enum StructureError {
    /// More came than is taken.
    #[error("the data set is longer than the {limit} bytes allowed")]
    TooManyBytes { limit: u64 },
    /// It inflates to more than is taken.
    #[error("the data set inflates to more than the {limit} bytes allowed")]
    InflatedTooLong { limit: u64 },
    /// The deflated stream is broken (RFC 1951).
    #[error("the deflated stream is broken")]
    Inflate,
    /// More elements, items and fragments than are taken.
    #[error("{tag} at byte {offset} is beyond the {limit} elements, items and fragments allowed")]
    TooManyElements { tag: Tag, offset: u64, limit: u64 },
    /// Sequences within sequences deeper than is taken.
    #[error("sequence {tag} at byte {offset} is nested deeper than the {limit} levels allowed")]
    TooDeep { tag: Tag, offset: u64, limit: u32 },
    /// An element, item or fragment says that it is longer than a data set may be.
    #[error("{tag} at byte {offset} says {length} bytes, and a data set may have {limit} in all")]
    LengthBeyondLimit { tag: Tag, offset: u64, length: u32, limit: u64 },
    /// An element is longer than its item, or an item longer than its sequence.
    #[error(
        "{tag} at byte {offset} says {length} bytes where only {remaining} are left in {within}"
    )]
    Overrun { tag: Tag, offset: u64, length: u32, remaining: u64, within: Tag },
    /// So few bytes are left in an item or sequence that nothing can begin there.
    #[error(
        "{remaining} bytes are left in {within} at byte {offset} where nothing shorter than 8 fits"
    )]
    Leftover { offset: u64, remaining: u64, within: Tag },
    /// What has undefined length reaches the end of what holds it and was not closed.
    #[error(
        "{tag} has undefined length and is not closed where what holds it ends at byte {offset}"
    )]
    NotClosed { tag: Tag, offset: u64 },
    /// The value representation is no two upper-case letters (PS3.5, 7.1.2).
    #[error("{tag} at byte {offset} has no value representation of two upper-case letters")]
    IllegalVr { tag: Tag, offset: u64 },
    /// Undefined length where none may be (PS3.5, 7.1.1).
    #[error(
        "{tag} at byte {offset} has undefined length, which only sequences, items, UN and encapsulated pixels may have"
    )]
    UndefinedLength { tag: Tag, offset: u64 },
    /// Something other than an item in a sequence or between fragments (PS3.5, 7.5 and A.4).
    #[error("{tag} at byte {offset} stands where only an item or the end of {within} may")]
    NotAnItem { tag: Tag, offset: u64, within: Tag },
    /// An item or delimiter where an element should be.
    #[error("{tag} at byte {offset} stands where an element should")]
    StrayDelimiter { tag: Tag, offset: u64 },
    /// Something other than zeros after the padding began.
    #[error("byte {offset} is not zero, and only zeros may follow where padding has begun")]
    AfterPadding { offset: u64 },
    /// What is to be kept of one value is too long.
    #[error("{tag} at byte {offset} says {length} bytes, and a value to be read may have {limit}")]
    ValueTooLong { tag: Tag, offset: u64, length: u32, limit: u32 },
    /// What is to be kept in all is too long.
    #[error(
        "with {tag} at byte {offset} more than the {limit} bytes allowed would have to be read"
    )]
    TooMuchToRead { tag: Tag, offset: u64, limit: u32 },
    /// Fragments where every value is to be kept.
    #[error("{tag} at byte {offset} is encapsulated, which nothing to be read may be")]
    Fragments { tag: Tag, offset: u64 },
    /// It ended within something. `header_whole` says whether everything before the pixel data was
    /// there.
    #[error("the data set ends at byte {offset} within {}", within(.tag.as_ref()))]
    Truncated { tag: Option<Tag>, offset: u64, header_whole: bool },
}

fn within(tag: Option<&Tag>) -> String {
    tag.map_or_else(|| "the beginning of an element".to_owned(), ToString::to_string)
}
