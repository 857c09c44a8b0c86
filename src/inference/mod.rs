//! ONNX inference: which engine runs, which models are loaded, and how requests reach them.
//!
//! A model is checked completely before it serves (bytes, digest, graph, self-tests), lives on a
//! thread of its own behind a bounded queue, and is replaced without dropping a request. ONNX
//! Runtime is used where its library is found, `rten` everywhere else; both pass one test suite.
//!
//! Deliberately absent: what inputs and labels mean to a doctor (that is `medicine`), transport
//! codes, metrics formats, reading of configuration or environment, and any network access.

pub mod any;
mod check;
pub mod choice;
pub mod engine;
pub mod error;
pub mod imaging;
pub mod library;
pub mod manifest;
pub mod observer;
pub mod onnxruntime;
pub mod port;
pub mod precision;
mod queue;
pub mod registry;
pub mod rten_engine;
pub mod worker;

#[cfg(test)]
mod parity;
#[cfg(test)]
mod testing;

pub use any::{AnyEngine, Tensor};
pub use choice::EngineChoice;
pub use engine::{Engine, EngineSource, ImageEngine, Port};
pub use error::InferenceError;
pub use imaging::ImageModels;
pub use library::LibrarySearch;
pub use manifest::{Column, ModelKind, ModelSpec};
pub use observer::{Dropped, Observer, RunReport};
pub use precision::{Precision, PrecisionChoice};
pub use registry::{Model, ModelInfo, Models, Options};
