//! Imaging: what stands in a DICOM object, what is kept of it for finding it again, and how a
//! question is matched against that.
//!
//! Bytes come from other hospitals. Nothing here allocates more than a named limit because a
//! received length says so. Objects are never written anew: what is kept is what was received.

pub mod answer;
pub mod attribute;
pub mod charset;
pub mod element;
pub mod examination;
pub mod forwarding;
pub mod header;
pub mod identifier;
pub mod identity;
pub mod implementation;
pub mod matching;
pub mod metadata;
pub mod moment;
pub mod name;
pub mod object;
pub mod part10;
pub mod performed;
pub mod published;
pub mod qido;
pub mod query;
pub mod structure;
pub mod suggestion;
pub mod value;
pub mod worklist;
pub mod writing;

#[cfg(test)]
mod test_files;
