//! Where the bytes of DICOM objects are kept: implementations of [`crate::app::imaging::ports::Archive`].
//!
//! One today, on local disk. Another (an S3-compatible store) is to stand beside it, and nothing
//! outside this folder would notice.

pub mod local;
