//! The hub's part in the exchange of documents: keeps what nodes hand over, decides who is to have it,
//! and gives it to them in order.
//!
//! [`ports`] says what a store must do; `sharing::exchange` is the conversation, and `link` carries it.

pub mod ports;
