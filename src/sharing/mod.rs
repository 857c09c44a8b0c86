//! What may be shared, with whom, and what it means. Pure and synchronous like `medicine`: no
//! transport, no database, no clock.

pub mod audit;
pub mod authorisation;
pub mod consent;
pub mod deidentify;
pub mod discharge;
pub mod exchange;
pub mod imaging;
pub mod patient;
pub mod recognition;
pub mod reporting;
pub mod sealing;
mod terms;
