//! `model.toml`: one imaging model in its own folder.
//!
//! Everything that can be known without the model file is checked here; an error names the field.
//! Deliberately absent: whether region and examination ids are in the tables (the use cases know
//! them) and the graph (that is `check`).

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::app::imaging::models::{
    Certificate, Code, GreyRange, LabelCard, OutputCard, Purpose, RESEARCH_ONLY, TensorSpec,
};

/// The version of the layout that this build reads.
const SCHEMA: u32 = 1;
/// Edge of an input at most, in pixels.
const EDGE_MAX: usize = 4096;
/// Channels at most.
const CHANNELS_MAX: usize = 16;
/// Numbers of an input at most: 256 MiB.
const NUMBERS_MAX: usize = 64 * 1024 * 1024;
/// Labels of an output at most.
const LABELS_MAX: usize = 256;
/// Outputs at most.
const OUTPUTS_MAX: usize = 8;
/// Entries of a list at most.
const LIST_MAX: usize = 64;
/// Characters of a name at most (LO of PS3.5, 6.2).
const NAME_CHARS_MAX: usize = 64;
/// Characters of an id of a label or of a code at most (SH).
const CODE_CHARS_MAX: usize = 16;
/// Photometric interpretations of grey and of colour.
const GREY: [&str; 2] = ["MONOCHROME1", "MONOCHROME2"];
const COLOUR: [&str; 7] =
    ["RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"];

/// A manifest whose fields agree with each other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manifest {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) title: String,
    pub(super) manufacturer: String,
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) certificate: Certificate,
    pub(super) automatic: bool,
    pub(super) purpose: Purpose,
    /// Name of the input in the graph.
    pub(super) input: String,
    pub(super) tensor: TensorSpec,
    pub(super) outputs: Vec<(Activation, OutputCard)>,
    pub(super) known_answers: Vec<KnownAnswer>,
}

/// What is done with the numbers of an output before they are probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Activation {
    None,
    Sigmoid,
    Softmax,
}

/// An input whose answer is known.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownAnswer {
    /// File in the model's folder: the tensor, 32-bit floats, little-endian, in the order NCHW.
    pub(super) input: String,
    /// SHA-256 of that file.
    pub(super) sha256: String,
    /// Probabilities after the activation, for each output in its order.
    pub(super) expect: Vec<Vec<f32>>,
    /// How far each may be off.
    pub(super) tolerance: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    schema: u32,
    id: String,
    version: String,
    title: String,
    manufacturer: String,
    file: String,
    sha256: String,
    certificate: String,
    #[serde(default)]
    automatic: bool,
    #[serde(rename = "for")]
    purpose: RawPurpose,
    input: RawInput,
    #[serde(default, rename = "output")]
    outputs: Vec<RawOutput>,
    #[serde(default, rename = "known_answer")]
    known_answers: Vec<KnownAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPurpose {
    modalities: Vec<String>,
    #[serde(default)]
    regions: Vec<String>,
    #[serde(default)]
    examinations: Vec<String>,
    #[serde(default)]
    view_positions: Vec<String>,
    #[serde(default)]
    photometric: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInput {
    name: String,
    layout: String,
    channels: usize,
    rows: usize,
    columns: usize,
    keep_aspect: bool,
    #[serde(default)]
    colour: bool,
    #[serde(default, rename = "range")]
    ranges: Vec<RawRange>,
    invert_monochrome1: bool,
    scale: f32,
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase", tag = "kind")]
enum RawRange {
    Window { center: f64, width: f64 },
    Stored {},
    Percentiles { low: f64, high: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutput {
    name: String,
    activation: Activation,
    #[serde(default, rename = "label")]
    labels: Vec<RawLabel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLabel {
    id: String,
    name: String,
    code: Option<String>,
    threshold: f32,
}

/// Reads a manifest; the error names the field.
pub(super) fn read(text: &str) -> Result<Manifest, String> {
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", error.message())
    })?;
    raw.checked()
}

impl Raw {
    fn checked(self) -> Result<Manifest, String> {
        if self.schema != SCHEMA {
            return Err(format!("schema must be {SCHEMA}"));
        }
        slug("id", &self.id, NAME_CHARS_MAX)?;
        for (field, text) in [
            ("version", &self.version),
            ("title", &self.title),
            ("manufacturer", &self.manufacturer),
        ] {
            name(field, text)?;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
        if !self.version.chars().all(plain) {
            return Err("version may hold only letters, digits, `.`, `-`, `_` and `+`".to_owned());
        }
        inside("file", &self.file)?;
        digest("sha256", &self.sha256)?;
        let (tensor, input) = self.input.checked(&self.purpose.photometric)?;
        let outputs = outputs(self.outputs)?;
        if self.known_answers.is_empty() {
            return Err("known_answer must be there at least once".to_owned());
        }
        for (at, known) in self.known_answers.iter().enumerate() {
            known.check(&outputs).map_err(|why| format!("known_answer[{at}].{why}"))?;
        }
        Ok(Manifest {
            certificate: certificate(&self.certificate)?,
            purpose: self.purpose.checked()?,
            id: self.id,
            version: self.version,
            title: self.title,
            manufacturer: self.manufacturer,
            file: self.file,
            sha256: self.sha256,
            automatic: self.automatic,
            input,
            tensor,
            outputs,
            known_answers: self.known_answers,
        })
    }
}

/// `none: research only`, or a number such as 国械注准20263210001: who registered it, how, year,
/// class, kind, and number.
fn certificate(text: &str) -> Result<Certificate, String> {
    if text == RESEARCH_ONLY {
        return Ok(Certificate::ResearchOnly);
    }
    let digits: String = text.chars().rev().take_while(char::is_ascii_digit).collect();
    let words: Vec<char> = text.chars().take(text.chars().count() - digits.len()).collect();
    let registered = matches!(words.as_slice(), [_, '械', '注', '准' | '进' | '许']);
    if registered && digits.len() == 11 {
        return Ok(Certificate::Number(text.to_owned()));
    }
    Err(format!(
        "certificate must be a registration number such as 国械注准20263210001, or \
         \"{RESEARCH_ONLY}\""
    ))
}

impl RawPurpose {
    fn checked(self) -> Result<Purpose, String> {
        let Self { modalities, regions, examinations, view_positions, photometric } = self;
        if modalities.is_empty() {
            return Err("for.modalities must name at least one".to_owned());
        }
        for (field, list) in [
            ("modalities", &modalities),
            ("regions", &regions),
            ("examinations", &examinations),
            ("view_positions", &view_positions),
            ("photometric", &photometric),
        ] {
            let fine = list.iter().all(|one| (1..=NAME_CHARS_MAX).contains(&one.len()));
            if list.len() > LIST_MAX || !fine {
                return Err(format!(
                    "for.{field} must have at most {LIST_MAX} entries of 1 to 64 characters"
                ));
            }
        }
        Ok(Purpose { modalities, regions, examinations, view_positions })
    }
}

impl RawInput {
    /// The tensor, and the name of the input in the graph.
    fn checked(self, photometric: &[String]) -> Result<(TensorSpec, String), String> {
        if self.name.is_empty() {
            return Err("input.name is empty".to_owned());
        }
        if self.layout != "NCHW" {
            return Err("input.layout must be \"NCHW\"".to_owned());
        }
        for (field, size, most) in [
            ("channels", self.channels, CHANNELS_MAX),
            ("rows", self.rows, EDGE_MAX),
            ("columns", self.columns, EDGE_MAX),
        ] {
            if !(1..=most).contains(&size) {
                return Err(format!("input.{field} must be from 1 to {most}"));
            }
        }
        if self.channels * self.rows * self.columns > NUMBERS_MAX {
            return Err(format!("input must have at most {NUMBERS_MAX} numbers"));
        }
        if self.colour && (self.channels != 3 || !self.ranges.is_empty()) {
            return Err("input.colour needs 3 channels and no range".to_owned());
        }
        if !self.colour && self.ranges.len() != 1 && self.ranges.len() != self.channels {
            return Err("input.range must be there once, or once for each channel".to_owned());
        }
        let allowed: &[&str] = if self.colour { &COLOUR } else { &GREY };
        if photometric.iter().any(|one| !allowed.contains(&one.as_str())) {
            return Err(format!("for.photometric must be of {}", allowed.join(", ")));
        }
        let ranges =
            self.ranges.iter().enumerate().map(|(at, range)| {
                range.checked().map_err(|why| format!("input.range[{at}].{why}"))
            });
        let ranges: Vec<GreyRange> = ranges.collect::<Result<_, _>>()?;
        for (field, list) in [("mean", &self.mean), ("deviation", &self.deviation)] {
            if list.len() != self.channels || !list.iter().all(|n| n.is_finite()) {
                return Err(format!("input.{field} must be one number for each channel"));
            }
        }
        if self.deviation.iter().any(|n| n.abs() < f32::MIN_POSITIVE) {
            return Err("input.deviation must not be 0".to_owned());
        }
        if !self.scale.is_finite() || self.scale.abs() < f32::MIN_POSITIVE {
            return Err("input.scale must be a number other than 0".to_owned());
        }
        let spec = TensorSpec {
            channels: self.channels,
            rows: self.rows,
            columns: self.columns,
            colour: self.colour,
            ranges,
            photometric: photometric.to_vec(),
            keep_aspect: self.keep_aspect,
            invert_monochrome1: self.invert_monochrome1,
            scale: self.scale,
            mean: self.mean,
            deviation: self.deviation,
        };
        Ok((spec, self.name))
    }
}

impl RawRange {
    fn checked(&self) -> Result<GreyRange, String> {
        match *self {
            Self::Window { center, width } => {
                if !center.is_finite() || !width.is_finite() || width <= 0.0 {
                    return Err("width must be above 0".to_owned());
                }
                Ok(GreyRange::Window { center, width })
            }
            Self::Stored {} => Ok(GreyRange::Stored),
            Self::Percentiles { low, high } => {
                if !(0.0 <= low && low < high && high <= 100.0) {
                    return Err("low must be from 0 and below high, high at most 100".to_owned());
                }
                Ok(GreyRange::Percentiles { low, high })
            }
        }
    }
}

fn outputs(raw: Vec<RawOutput>) -> Result<Vec<(Activation, OutputCard)>, String> {
    if !(1..=OUTPUTS_MAX).contains(&raw.len()) {
        return Err(format!("output must be there 1 to {OUTPUTS_MAX} times"));
    }
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    let mut outputs = Vec::with_capacity(raw.len());
    for (at, RawOutput { name: output, activation, labels }) in raw.into_iter().enumerate() {
        if output.is_empty() || !names.insert(output.clone()) {
            return Err(format!("output[{at}].name is empty or stands twice"));
        }
        if !(1..=LABELS_MAX).contains(&labels.len()) {
            return Err(format!("output[{at}].label must be there 1 to {LABELS_MAX} times"));
        }
        let mut cards = Vec::with_capacity(labels.len());
        for (number, label) in labels.into_iter().enumerate() {
            let field = format!("output[{at}].label[{number}]");
            slug(&format!("{field}.id"), &label.id, CODE_CHARS_MAX)?;
            if !ids.insert(label.id.clone()) {
                return Err(format!("{field}.id stands twice"));
            }
            name(&format!("{field}.name"), &label.name)?;
            if !(label.threshold > 0.0 && label.threshold < 1.0) {
                return Err(format!("{field}.threshold must be above 0 and below 1"));
            }
            let code = label.code.as_deref().map(|text| code(&field, text)).transpose()?;
            let RawLabel { id, name, threshold, .. } = label;
            cards.push(LabelCard { id, name, code, threshold });
        }
        outputs.push((activation, OutputCard { name: output, labels: cards }));
    }
    Ok(outputs)
}

/// `SCT:39607008` or `RADLEX:RID5350`.
fn code(field: &str, text: &str) -> Result<Code, String> {
    let (scheme, value) = text.split_once(':').unwrap_or_default();
    let fine = (1..=CODE_CHARS_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !fine || !["SCT", "RADLEX"].contains(&scheme) {
        return Err(format!("{field}.code must be SCT:code or RADLEX:code"));
    }
    Ok(Code { scheme: scheme.to_owned(), value: value.to_owned() })
}

impl KnownAnswer {
    fn check(&self, outputs: &[(Activation, OutputCard)]) -> Result<(), String> {
        inside("input", &self.input)?;
        digest("sha256", &self.sha256)?;
        let widths = outputs.iter().map(|(_, output)| output.labels.len());
        if !self.expect.iter().map(Vec::len).eq(widths) {
            return Err("expect must have one number for each label of each output".to_owned());
        }
        if self.expect.iter().flatten().any(|n| !(0.0..=1.0).contains(n)) {
            return Err("expect must be from 0 to 1".to_owned());
        }
        if !(self.tolerance > 0.0 && self.tolerance <= 0.01) {
            return Err("tolerance must be above 0 and at most 0.01".to_owned());
        }
        Ok(())
    }
}

fn slug(field: &str, text: &str, chars_max: usize) -> Result<(), String> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    if (1..=chars_max).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    Err(format!("{field} must be 1 to {chars_max} characters of a-z, 0-9, `-` and `_`"))
}

fn name(field: &str, text: &str) -> Result<(), String> {
    let odd = |c: char| c.is_control() || c == '\\';
    let fine = !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX;
    if fine && !text.contains(odd) {
        return Ok(());
    }
    Err(format!("{field} must be 1 to {NAME_CHARS_MAX} characters without `\\`"))
}

fn inside(field: &str, path: &str) -> Result<(), String> {
    let bad = |part: &str| part.is_empty() || part == "." || part == "..";
    let odd = |c: char| c.is_control() || c == '\\' || c == ':';
    if path.split('/').any(bad) || path.contains(odd) {
        return Err(format!("{field} must be a path inside the model's folder"));
    }
    Ok(())
}

fn digest(field: &str, text: &str) -> Result<(), String> {
    if text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(format!("{field} must be 64 lower-case hex digits"))
}
