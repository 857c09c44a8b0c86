//! The exchange of documents at both of its ends: a node's desk ([`desk`]) and the hub, which keeps what
//! nodes hand over, decides who is to have it, and gives it to them in order ([`hub`]); and what a node
//! is told of a patient whose records it does not have ([`look_up`]).
//!
//! [`ports`] says what the hub's store must do; `sharing::exchange` is the conversation, and `link`
//! carries it.

pub mod clock;
pub mod desk;
pub mod facts;
pub mod hub;
mod images;
pub mod key;
pub mod look_up;
pub mod ports;
mod quarantine;
mod registering;
#[cfg(test)]
pub(crate) mod store_suite;
