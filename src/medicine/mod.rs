//! Medicine: pure and synchronous. No I/O, no clock, no transport, no database, no model runtime.
//!
//! A doctor who reads code can read this module. Everything medical it knows comes from the cited
//! tables under `models/`; here is only how they are applied.

pub mod calculators;
pub mod diagnosis;
pub mod names;
pub mod patient;
pub mod prescription;
pub mod treatment;
pub mod vocabulary;
