//! The gRPC door: decode with `TryFrom` -> `app` -> encode. No decision is taken here.

mod audit;
pub mod auth;
pub mod codec;
mod common;
mod diagnosis;
pub mod gate;
mod identity;
mod imaging;
mod interview;
mod model;
mod node;
mod people;
mod prescription;
mod recognition;
mod records;
pub mod reporting;
mod review;
pub mod server;
pub mod status;
mod treatment;

/// The contract under `proto/`, compiled.
#[expect(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::as_conversions,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated code"
)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/xiangyi.rs"));
}

/// The contract as a serialized `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/xiangyi_descriptor.bin"));
