//! Which engine a node runs, and why.
//!
//! Deliberately absent: a fallback for a model that one engine refuses. An engine is chosen once
//! for the node; a model it cannot read is an error, not a reason to try another.

use std::sync::Arc;

use serde::Deserialize;

use super::engine::EngineSource;
use super::error::InferenceError;
use super::library::LibrarySearch;
use super::onnxruntime::OnnxRuntime;
use super::rten_engine::Rten;

/// What the configuration asks for: `auto`, `onnxruntime` or `rten`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// ONNX Runtime where its library is found, else `rten`.
    #[default]
    Auto,
    /// ONNX Runtime; without its library the node does not start.
    OnnxRuntime,
    /// `rten`, even where ONNX Runtime is at hand.
    Rten,
}

/// The engine of this node.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Makes engines.
    pub source: Arc<dyn EngineSource>,
    /// Why this one, as a lowercase fragment for the log and the status page.
    pub reason: String,
}

impl EngineChoice {
    /// Decides, and loads ONNX Runtime's library where it is to be used. `threads` is the number
    /// of threads one run may use.
    ///
    /// # Errors
    ///
    /// [`InferenceError::NotAvailable`] if ONNX Runtime is demanded and cannot be loaded.
    pub fn decide(self, search: &LibrarySearch, threads: usize) -> Result<Chosen, InferenceError> {
        match self {
            Self::Rten => {
                Ok(Chosen { source: Arc::new(Rten { threads }), reason: "configured".to_owned() })
            }
            Self::OnnxRuntime => {
                let runtime = OnnxRuntime::load(search, threads)?;
                let reason = format!("configured, library {}", runtime.path().display());
                Ok(Chosen { source: Arc::new(runtime), reason })
            }
            Self::Auto => Ok(match OnnxRuntime::load(search, threads) {
                Ok(runtime) => {
                    let reason = format!("library {}", runtime.path().display());
                    Chosen { source: Arc::new(runtime), reason }
                }
                Err(error) => {
                    let source = Arc::new(Rten { threads });
                    Chosen { source, reason: error.to_string() }
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::ort_library;
    use super::super::{onnxruntime, rten_engine};
    use super::*;

    fn nowhere() -> LibrarySearch {
        LibrarySearch {
            configured: Some("/nowhere/libonnxruntime.so".into()),
            ..Default::default()
        }
    }

    #[test]
    fn without_a_library_auto_takes_rten_and_says_where_it_looked() {
        let chosen = EngineChoice::Auto.decide(&nowhere(), 1).unwrap();
        assert_eq!(chosen.source.name(), rten_engine::NAME);
        assert!(chosen.reason.contains("/nowhere/libonnxruntime.so"), "{}", chosen.reason);
    }

    #[test]
    fn demanding_onnx_runtime_without_a_library_is_an_error() {
        let error = EngineChoice::OnnxRuntime.decide(&nowhere(), 1).unwrap_err();
        assert!(matches!(error, InferenceError::NotAvailable { .. }), "{error}");
    }

    #[test]
    fn with_a_library_auto_takes_onnx_runtime_and_rten_only_when_asked() {
        let Some(library) = ort_library() else { return };
        let search = LibrarySearch { environment: Some(library), ..nowhere() };
        let auto = EngineChoice::Auto.decide(&search, 1).unwrap();
        assert_eq!(auto.source.name(), onnxruntime::NAME);
        assert!(auto.source.version().starts_with("1."), "{}", auto.source.version());
        let rten = EngineChoice::Rten.decide(&search, 1).unwrap();
        assert_eq!(rten.source.name(), rten_engine::NAME);
    }

    #[test]
    fn the_choice_is_written_in_lower_case() {
        #[derive(Deserialize)]
        struct Section {
            engine: EngineChoice,
        }
        let read = |text: &str| toml::from_str::<Section>(text).map(|s| s.engine);
        assert_eq!(read("engine = \"onnxruntime\"").unwrap(), EngineChoice::OnnxRuntime);
        assert_eq!(read("engine = \"rten\"").unwrap(), EngineChoice::Rten);
        assert_eq!(read("engine = \"auto\"").unwrap(), EngineChoice::Auto);
        assert!(read("engine = \"tract\"").is_err());
    }
}
