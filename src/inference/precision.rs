//! Which numbers a model's weights are, and which of a model's files a box takes.
//!
//! A model may have files beside its own in which most weights are 8-bit integers. The manifest says on
//! which engines and processors such a file was found to be faster and as accurate; there it is taken,
//! elsewhere the model's own file is. Deliberately absent: measuring at start, so that two boxes of one kind
//! answer alike.

use serde::Deserialize;

use super::manifest::{KnownAnswer, ModelSpec};

/// What most weights of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 8-bit integers with a scale for each column.
    Int8,
}

/// Which file is wanted: `auto`, `f32` or `int8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrecisionChoice {
    /// What the manifest names for the engine and the processor.
    #[default]
    Auto,
    /// Each model's own file.
    F32,
    /// 8-bit weights wherever there are any, also where nobody found them faster.
    Int8,
}

/// A feature of processors, as Linux writes it in `/proc/cpuinfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuFeature {
    /// x86-64: dot products of 8-bit integers, 512 bits wide.
    Avx512Vnni,
    /// x86-64: dot products of 8-bit integers, 256 bits wide.
    AvxVnni,
    /// `AArch64`: dot products of 8-bit integers.
    Asimddp,
    /// `AArch64`: matrix products of 8-bit integers.
    I8mm,
}

/// A file beside a model's own, as the manifest writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// What its weights are; never 32-bit floats.
    pub precision: Precision,
    /// File, relative to the manifest.
    pub file: String,
    /// SHA-256 of it, lower-case hex.
    pub sha256: String,
    /// Size of it.
    pub bytes: u64,
    /// Engines on which it is taken.
    pub engines: Vec<String>,
    /// Features of processors of which one is enough for it to be taken.
    pub cpu: Vec<CpuFeature>,
    /// How far its known answers may be off those of the model.
    pub tolerance: f64,
}

impl Precision {
    /// As it is written: `f32`, `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }
}

impl CpuFeature {
    /// Whether this processor has it. One of another architecture has not.
    pub fn is_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        let here = match self {
            Self::Avx512Vnni => std::arch::is_x86_feature_detected!("avx512vnni"),
            Self::AvxVnni => std::arch::is_x86_feature_detected!("avxvnni"),
            Self::Asimddp | Self::I8mm => false,
        };
        #[cfg(target_arch = "aarch64")]
        let here = match self {
            Self::Asimddp => std::arch::is_aarch64_feature_detected!("dotprod"),
            Self::I8mm => std::arch::is_aarch64_feature_detected!("i8mm"),
            Self::Avx512Vnni | Self::AvxVnni => false,
        };
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let here = {
            let _ = self;
            false
        };
        here
    }
}

impl ModelSpec {
    /// The model with the file that is to be taken on this engine, on a processor of which `has` tells
    /// the features. A variant's version says that it is one: `2026.11.3+int8`.
    pub(super) fn fitting(
        mut self,
        choice: PrecisionChoice,
        engine: &str,
        has: impl Fn(CpuFeature) -> bool,
    ) -> Self {
        let named = |variant: &Variant| {
            variant.engines.iter().any(|name| name == engine)
                && variant.cpu.iter().any(|feature| has(*feature))
        };
        let at = match choice {
            PrecisionChoice::F32 => None,
            PrecisionChoice::Auto => self.variants.iter().position(named),
            PrecisionChoice::Int8 => {
                self.variants.iter().position(|variant| variant.precision == Precision::Int8)
            }
        };
        let Some(at) = at else { return self };
        let variant = self.variants.swap_remove(at);
        self.precision = variant.precision;
        self.version = format!("{}+{}", self.version, variant.precision.name());
        self.file = variant.file;
        self.sha256 = variant.sha256;
        self.bytes = variant.bytes;
        for test in &mut self.self_tests {
            match test {
                KnownAnswer::Differential(test) => test.tolerance = variant.tolerance,
                KnownAnswer::IndicationFit(test) => test.tolerance = variant.tolerance,
            }
        }
        self
    }
}

#[cfg(test)]
mod tests;
