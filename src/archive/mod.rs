//! Where the bytes of DICOM objects are kept: implementations of [`crate::app::imaging::ports::Archive`].
//!
//! On local disk ([`local`]), and from there as whole segments in a remote store ([`remote`]), which
//! may be an S3-compatible one ([`s3`]).

pub mod local;
pub mod remote;
pub mod s3;
