//! What may be shared, with whom, and what it means. Pure and synchronous like `medicine`: no
//! transport, no database, no clock.
//!
//! Patients, consent and discharge records join with their own capabilities and are absent until
//! then.

pub mod imaging;
pub mod recognition;
