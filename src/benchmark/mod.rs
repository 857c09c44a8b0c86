//! Measuring a box and a node on it, for people who choose or qualify one: what the machine is, load
//! that does not wait for answers, where it no longer keeps up, statistics, the report and how two are
//! compared.
//!
//! Deliberately absent: the node, its clients and its models; what is driven is handed in as futures
//! and numbers (`cli::bench` drives).

pub mod clocks;
pub mod compare;
pub mod disk;
pub mod energy;
pub mod html;
pub mod knee;
pub mod latency;
pub mod load;
pub mod machine;
pub mod metrics;
pub mod onnx;
pub mod report;
pub mod require;
pub mod sensors;
pub mod statistics;
pub mod text;

/// What went wrong, as a person reads it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
