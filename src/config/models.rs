//! Section of models and knowledge.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, refuse};
use crate::tables::signed::{PublicKey, Trust};

/// Models and knowledge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsSection {
    /// A directory like `models/`; none takes what is embedded in the program.
    pub dir: Option<PathBuf>,
    /// How often this clinic meets conditions: a CSV with the columns of
    /// `models/diagnosis/prevalence.csv`; the conditions it names replace those there.
    pub site_prevalence: Option<PathBuf>,
    /// Engine: `auto` (ONNX Runtime where its library is found, else rten), `onnxruntime`, `rten`.
    pub engine: EngineName,
    /// Which of a model's files: `auto` (what the manifest names for the engine and the processor), `f32`,
    /// `int8` (8-bit weights wherever there are any).
    pub precision: PrecisionName,
    /// The ONNX Runtime library; none looks at `ORT_DYLIB_PATH` and beside the program.
    pub onnxruntime_library: Option<PathBuf>,
    /// Threads of one model run.
    pub threads: usize,
    /// Rows that wait for a model; more are answered `RESOURCE_EXHAUSTED`.
    pub queue_max: usize,
    /// Rows in one run at most.
    pub batch_max: usize,
    /// Whether the indication-fit model orders alternatives of a prescription and gives hints. It
    /// never adds, raises or silences a finding. Off, because it is no better than the table.
    pub indication_fit: bool,
    /// Ed25519 public keys, 64 hexadecimal digits each, whose signatures of folders of tables and models
    /// count (`dir`, that of `site_prevalence`, `imaging.models.dir`). A folder with a `SIGNED.jsonl`
    /// is always held to it; with keys here it must be signed by one of them.
    pub trusted_keys: Vec<String>,
    /// Whether a folder that is not signed is refused. None: where `trusted_keys` names a key.
    pub require_signed: Option<bool>,
}

/// Which engine to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// ONNX Runtime where its library is found, else rten.
    Auto,
    /// ONNX Runtime or nothing.
    OnnxRuntime,
    /// rten, built in.
    Rten,
}

/// Which of a model's files to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionName {
    /// What the manifest names for the engine and the processor.
    Auto,
    /// Each model's own file.
    F32,
    /// 8-bit weights wherever there are any.
    Int8,
}

impl Default for ModelsSection {
    fn default() -> Self {
        Self {
            dir: None,
            site_prevalence: None,
            engine: EngineName::Auto,
            precision: PrecisionName::Auto,
            onnxruntime_library: None,
            threads: 1,
            queue_max: 256,
            batch_max: 16,
            indication_fit: false,
            trusted_keys: Vec::new(),
            require_signed: None,
        }
    }
}

impl ModelsSection {
    /// Whose signatures of folders count, and whether a folder needs one.
    pub fn trust(&self) -> Trust {
        Trust {
            // Those that are none were refused with the configuration.
            keys: self.trusted_keys.iter().filter_map(|key| PublicKey::parse(key)).collect(),
            required: self.require_signed.unwrap_or(!self.trusted_keys.is_empty()),
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, value, min, max) in [
            ("models.threads", self.threads, 1, 256),
            ("models.queue_max", self.queue_max, 1, 1 << 20),
            ("models.batch_max", self.batch_max, 1, 4096),
        ] {
            if !(min..=max).contains(&value) {
                return refuse(&format!("{key} must be from {min} to {max}"));
            }
        }
        for (at, key) in self.trusted_keys.iter().enumerate() {
            let name = format!("models.trusted_keys[{at}]");
            if PublicKey::parse(key).is_none() {
                return refuse(&format!(
                    "{name} must be 64 hexadecimal digits: a public key as `xiangyi models keygen` \
                     prints it"
                ));
            }
            let before = self.trusted_keys.iter().take(at);
            if before.clone().any(|other| other.eq_ignore_ascii_case(key)) {
                return refuse(&format!("{name} is there twice"));
            }
        }
        if self.require_signed == Some(true) && self.trusted_keys.is_empty() {
            return refuse(
                "models.require_signed needs models.trusted_keys: whose signature is to count",
            );
        }
        Ok(())
    }
}
