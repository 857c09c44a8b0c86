//! The link between a node and its hub: what runs over the one connection that the node dials.
//!
//! [`server`] is the hub's side, [`client`] the node's. Who calls is known by certificate or token
//! ([`identity`]), and gets its certificate here ([`enrolment`]); what is said is in `proto/xiangyi/link/v1`.

mod anchors;
pub mod asking;
pub mod client;
mod convert;
pub mod enrolment;
mod exchange;
pub mod identity;
pub mod inflow;
pub mod lines;
mod records;
mod reporting;
pub mod server;
mod status;
mod studies;

/// Version of the protocol.
const PROTOCOL: u32 = 1;
/// Largest message taken, in bytes: 200 studies with many series, or a document of 16 MiB.
const MESSAGE_BYTES_MAX: usize = 17 * 1024 * 1024;

/// The contract of the link, compiled.
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
    include!(concat!(env!("OUT_DIR"), "/link.rs"));
}

use proto::xiangyi::link::v1 as pb;
