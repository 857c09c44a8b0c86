//! The exchange of documents at both of its ends: a node's desk ([`desk`]) and the hub, which keeps what
//! nodes hand over, decides who is to have it, and gives it to them in order ([`hub`]).
//!
//! [`ports`] says what the hub's store must do; `sharing::exchange` is the conversation, and `link`
//! carries it.

pub mod desk;
pub mod facts;
pub mod hub;
pub mod key;
pub mod ports;
#[cfg(test)]
pub(crate) mod store_suite;
