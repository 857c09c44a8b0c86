//! Pixels: the bytes of one frame found, decoded and drawn for people, under limits and on threads
//! of its own.
//!
//! A data set is walked where it lies (`dataset`), never built into an object; what the attributes
//! claim is checked (`image`) before anything is allocated; one frame is found (`frames`), decoded
//! (`codec`), mapped to grey or colour (`grey`, `colour`), cut and scaled (`scale`) and written
//! (`encode`). [`Workers`] does that on a few threads behind a bounded queue.
//!
//! Deliberately absent: presentation states, ICC profiles, video, and any knowledge of where
//! objects are kept or who asks.

mod codec;
mod colour;
mod dataset;
mod draw;
mod encode;
pub mod error;
mod frames;
mod functional;
mod grey;
pub mod image;
mod num;
mod overlay;
mod palette;
mod queue;
mod scale;
mod sheet;
mod syntax;
pub mod tensor;
pub mod transcode;
mod voi;
pub mod workers;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod frame_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod render_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod worker_tests;

pub use draw::{DATA_SET_BYTES_MAX, frame_bytes, render, thumbnail};
pub use error::RenderError;
pub use workers::{Options, Workers};
