//! What an imaging model is, is for, and takes: plain types between the manifest that says it, the
//! renderer that makes its input, and the use cases.

/// An imaging model that serves.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// Id: lower-case letters, digits, `-` and `_`.
    pub id: String,
    /// Version.
    pub version: String,
    /// What it is called, for people.
    pub title: String,
    /// Who made it.
    pub manufacturer: String,
    /// SHA-256 of the ONNX file, hex.
    pub sha256: String,
    /// Engine and its version.
    pub engine: String,
    /// Whether it may be used on patients.
    pub certificate: Certificate,
    /// Whether it runs by itself on what is newly stored and matches.
    pub automatic: bool,
    /// What it is for.
    pub purpose: Purpose,
    /// What it takes.
    pub input: TensorSpec,
    /// What it answers.
    pub outputs: Vec<OutputCard>,
    /// Known answers that it gave when it was loaded.
    pub known_answers: usize,
}

/// What the regulator says of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing: it is for research only.
    ResearchOnly,
    /// Number of its registration certificate, for example `国械注准20263210001`.
    Number(String),
}

/// What a model is for. Every condition given must hold; of the values of one, any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// Modalities (0008,0060); at least one.
    pub modalities: Vec<String>,
    /// Body regions (ids of `regions.csv`), parts of them included.
    pub regions: Vec<String>,
    /// Types of examination (ids of `examinations.csv`).
    pub examinations: Vec<String>,
    /// View positions (0018,5101).
    pub view_positions: Vec<String>,
}

/// How a frame becomes the input of a model, `[1, channels, rows, columns]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// Channels, 1 to 16; 3 of a colour image.
    pub channels: usize,
    /// Rows, 1 to 4096.
    pub rows: usize,
    /// Columns, 1 to 4096.
    pub columns: usize,
    /// Whether the channels are red, green and blue. Else the image must be grey.
    pub colour: bool,
    /// Which grey values become 0 and 1: one for all channels, or one for each. None with colour.
    pub ranges: Vec<GreyRange>,
    /// Photometric interpretations (0028,0004) that are taken; empty: all that fit.
    pub photometric: Vec<String>,
    /// Whether the shape is kept, the image in the middle and black around it. Else it is
    /// stretched. Pixels are taken for squares.
    pub keep_aspect: bool,
    /// Whether MONOCHROME1 is turned, so that more is brighter.
    pub invert_monochrome1: bool,
    /// Multiplies 0 to 1 before the mean is subtracted.
    pub scale: f32,
    /// Subtracted, one for each channel.
    pub mean: Vec<f32>,
    /// Divides after that, one for each channel; not 0.
    pub deviation: Vec<f32>,
}

/// Which grey values, in units of the modality, become 0 and 1; what lies beyond is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GreyRange {
    /// A window (`LINEAR_EXACT`, PS3.3, C.11.2.1.3.2).
    Window {
        /// Centre.
        center: f64,
        /// Width; above 0.
        width: f64,
    },
    /// What the image says: its first window or table, else all values there are.
    Stored,
    /// From one percentile of the pixels to another: the least value that so many percent of the
    /// pixels do not exceed. Pixels that stand for none are not counted.
    Percentiles {
        /// Lower, from 0.
        low: f64,
        /// Upper, to 100.
        high: f64,
    },
}

/// One output of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputCard {
    /// Its name in the graph.
    pub name: String,
    /// What its numbers stand for, in their order.
    pub labels: Vec<LabelCard>,
}

/// What one number of an output stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelCard {
    /// Id: lower-case letters, digits, `-` and `_`.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// Code.
    pub code: Option<Code>,
    /// A probability of so much and above is told as found.
    pub threshold: f32,
}

/// A code with the scheme it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// `SCT` (SNOMED CT) or `RADLEX`.
    pub scheme: String,
    /// Value.
    pub value: String,
}

/// A model that was found and does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedModel {
    /// Its folder.
    pub folder: String,
    /// Why: names the field.
    pub reason: String,
}

/// What is written where a model has no certificate.
pub const RESEARCH_ONLY: &str = "none: research only";

impl Certificate {
    /// For people.
    pub fn text(&self) -> &str {
        match self {
            Self::ResearchOnly => "无医疗器械注册证，仅供研究（research only）",
            Self::Number(number) => number,
        }
    }
}
