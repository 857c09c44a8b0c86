//! `manifest.toml`: which models there are and what each of them promises.
//!
//! Reading it checks everything that can be known without the model file: unknown keys, paths
//! that leave the directory, counts that contradict each other, self-tests about unknown findings.
//! Deliberately absent: the model bytes and the graph; those are checked in `check`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use super::engine::F32;
use super::error::{Cause, InferenceError};
use super::precision::{Precision, Variant};
use super::{onnxruntime, rten_engine};
use crate::tables::files::Files;

/// The version of the manifest's layout that this build reads.
pub const SCHEMA: u32 = 1;

/// The input that holds one number per feature: 1 present, -1 absent, 0 not known.
pub const FINDINGS: &str = "findings";

/// The input that holds who is treated: age in years (-1 not known) and sex (1 male, -1 female,
/// 0 not known).
pub const PATIENT: &str = "patient";

/// Width of [`PATIENT`].
pub const PATIENT_WIDTH: usize = 2;

/// The input of an indication-fit model that holds one number per feature: 1 for each ICD-10
/// category the patient has, else 0.
pub const DIAGNOSIS: &str = "diagnosis";

/// The input of an indication-fit model that holds one number per label: 1 for the medicine asked
/// about, else 0.
pub const MEDICINE: &str = "medicine";

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Findings and a patient in; one probability per label out, which sum to 1.
    #[default]
    Differential,
    /// Diagnoses and a medicine in; one score from 0 (do not belong together) to 1 out.
    IndicationFit,
}

impl ModelKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[Self::Differential, Self::IndicationFit];
}

/// One model, as promised. All counts agree with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Stable id, such as `gp-differential`.
    pub id: String,
    /// What it answers.
    pub kind: ModelKind,
    /// Version, such as `2026.11.1`.
    pub version: String,
    /// Model file, relative to the manifest.
    pub file: String,
    /// SHA-256 of the model file, lower-case hex.
    pub sha256: String,
    /// Size of the model file.
    pub bytes: u64,
    /// Model card, relative to the manifest.
    pub card: String,
    /// Tables the model was made from, relative to the manifest.
    pub tables: Vec<String>,
    /// Finding ids in the order of the input [`FINDINGS`], or ICD-10 categories in the order of
    /// [`DIAGNOSIS`].
    pub features: Vec<String>,
    /// Label ids in the order of the output, or medicines in the order of [`MEDICINE`].
    pub labels: Vec<String>,
    /// Labels of an indication-fit model that it must not be asked about.
    pub not_asked: Vec<String>,
    /// A score of an indication-fit model below this is told.
    pub hint_below: Option<f32>,
    /// Inputs in the order of the manifest.
    pub inputs: Vec<Column>,
    /// The output with one probability per label, or with one score.
    pub output: Column,
    /// Cases with a known answer; at least one.
    pub self_tests: Vec<KnownAnswer>,
    /// What most weights of the file are.
    pub precision: Precision,
    /// Files that are taken in its place on some engines and processors, in the order of preference.
    pub variants: Vec<Variant>,
}

/// A case whose answer is known, as the kind of the model writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum KnownAnswer {
    /// Of a differential.
    Differential(SelfTest),
    /// Of an indication-fit model.
    IndicationFit(FitTest),
}

/// A score that is known; run whenever the model is loaded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitTest {
    /// Features: ICD-10 categories of one patient.
    pub diagnoses: Vec<String>,
    /// Label: the medicine.
    pub medicine: String,
    /// Its score.
    pub expect: f64,
    /// How far the score may be off.
    pub tolerance: f64,
}

/// An input or output of shape `["batch", width]`, 32-bit floats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name in the graph.
    pub name: String,
    /// Numbers per row.
    pub width: usize,
}

/// A case whose answer is known; run whenever the model is loaded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// Features that are present.
    pub present: Vec<String>,
    /// Features that are absent.
    pub absent: Vec<String>,
    /// Age in years, where known.
    pub age_years: Option<f32>,
    /// Sex.
    pub sex: TestSex,
    /// The label that must come first.
    pub expect_top: String,
    /// Its probability.
    pub expect_probability: f64,
    /// How far the probability may be off.
    pub tolerance: f64,
}

/// Sex in a self-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestSex {
    /// 男
    Male,
    /// 女
    Female,
    /// Not known.
    Unknown,
}

/// Reads the manifest at `path`. The order of models is kept.
///
/// # Errors
///
/// [`InferenceError::Manifest`] if it cannot be read at all, [`InferenceError::Refused`] if one
/// entry contradicts itself.
pub fn read(files: &Files, path: &str) -> Result<Vec<ModelSpec>, InferenceError> {
    let text = files.text(path).map_err(|error| InferenceError::Manifest {
        file: path.to_owned(),
        message: error.message.clone(),
        source: Some(Arc::new(error)),
    })?;
    let raw: RawManifest = toml::from_str(text).map_err(|error| {
        let line = error.span().and_then(|span| text.get(..span.start)).map(line_after);
        InferenceError::Manifest {
            file: line.map_or_else(|| path.to_owned(), |line| format!("{path}:{line}")),
            message: error.message().to_owned(),
            source: Some(Arc::new(error)),
        }
    })?;
    let manifest =
        |message: String| InferenceError::Manifest { file: path.to_owned(), message, source: None };
    if raw.schema != SCHEMA {
        return Err(manifest(format!("expected schema {SCHEMA}, found {}", raw.schema)));
    }
    let mut seen = BTreeSet::new();
    let mut specs = Vec::with_capacity(raw.models.len());
    for model in raw.models {
        if !seen.insert(model.id.clone()) {
            return Err(manifest(format!("model `{}` stands twice", model.id)));
        }
        specs.push(model.check()?);
    }
    Ok(specs)
}

impl ModelSpec {
    /// The refusal of this model.
    pub(super) fn refused(&self, message: impl Into<String>) -> InferenceError {
        refused(&self.id, &self.file, message.into(), None)
    }

    /// The refusal of this model because of what the engine said.
    pub(super) fn refused_by(&self, message: &str, cause: InferenceError) -> InferenceError {
        refused(&self.id, &self.file, message.to_owned(), Some(Arc::new(cause)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    schema: u32,
    #[serde(default, rename = "model")]
    models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    id: String,
    #[serde(default)]
    kind: ModelKind,
    version: String,
    file: String,
    sha256: String,
    bytes: u64,
    card: String,
    tables: Vec<String>,
    features: Vec<String>,
    labels: Vec<String>,
    #[serde(default)]
    not_asked: Vec<String>,
    hint_below: Option<f32>,
    #[serde(default, rename = "input")]
    inputs: Vec<RawColumn>,
    #[serde(default, rename = "output")]
    outputs: Vec<RawColumn>,
    #[serde(default, rename = "self_test")]
    self_tests: Vec<SelfTest>,
    #[serde(default, rename = "fit_test")]
    fit_tests: Vec<FitTest>,
    #[serde(default, rename = "variant")]
    variants: Vec<Variant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    name: String,
    dtype: String,
    shape: Vec<Size>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Fixed(usize),
    Named(String),
}

impl RawModel {
    fn check(self) -> Result<ModelSpec, InferenceError> {
        let (id, file) = (self.id.clone(), self.file.clone());
        self.checked().map_err(|message| refused(&id, &file, message, None))
    }

    /// The checked entry, or what is wrong with it.
    fn checked(self) -> Result<ModelSpec, String> {
        let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.id.is_empty() || !self.id.chars().all(slug) {
            return Err("the id may hold only a-z, 0-9, `-` and `_`".to_owned());
        }
        if self.version.is_empty() {
            return Err("the version is empty".to_owned());
        }
        for path in [&self.file, &self.card].into_iter().chain(&self.tables) {
            inside(path)?;
        }
        digest(&self.sha256)?;
        check_variants(&self.variants, &self.file)?;
        distinct("feature", &self.features)?;
        distinct("label", &self.labels)?;
        let inputs = columns(self.inputs)?;
        let outputs = columns(self.outputs)?;
        distinct("input or output", inputs.iter().chain(&outputs).map(|column| &column.name))?;
        let [output] = <[Column; 1]>::try_from(outputs)
            .map_err(|found| format!("expected 1 output, found {}", found.len()))?;
        let (expected, self_tests) = match self.kind {
            ModelKind::Differential => {
                if output.width != self.labels.len() {
                    return Err(format!(
                        "expected {} labels, one for each number of output `{}`, found {}",
                        output.width,
                        output.name,
                        self.labels.len()
                    ));
                }
                if !self.not_asked.is_empty() || self.hint_below.is_some() {
                    return Err("`not_asked` and `hint_below` are for indication-fit".to_owned());
                }
                let tests = self.self_tests.into_iter().map(KnownAnswer::Differential);
                ([(FINDINGS, self.features.len()), (PATIENT, PATIENT_WIDTH)], tests.collect())
            }
            ModelKind::IndicationFit => {
                if output.width != 1 {
                    return Err(format!(
                        "expected output `{}` of width 1, found {}",
                        output.name, output.width
                    ));
                }
                distinct("label that is not asked", &self.not_asked)?;
                if let Some(odd) = self.not_asked.iter().find(|l| !self.labels.contains(l)) {
                    return Err(format!("not_asked: `{odd}` is not a label"));
                }
                if !self.hint_below.is_some_and(|cut| cut > 0.0 && cut < 1.0) {
                    return Err("hint_below must be above 0 and below 1".to_owned());
                }
                let tests = self.fit_tests.iter().cloned().map(KnownAnswer::IndicationFit);
                ([(DIAGNOSIS, self.features.len()), (MEDICINE, self.labels.len())], tests.collect())
            }
        };
        let self_tests: Vec<KnownAnswer> = self_tests;
        for (name, expected) in expected {
            match inputs.iter().find(|input| input.name == name) {
                Some(input) if input.width == expected => {}
                Some(input) => {
                    let width = input.width;
                    return Err(format!(
                        "expected input `{name}` of width {expected}, found {width}"
                    ));
                }
                None => return Err(format!("expected an input `{name}`, found none")),
            }
        }
        if inputs.len() != 2 {
            return Err(format!("expected 2 inputs, found {}", inputs.len()));
        }
        if self_tests.is_empty() {
            return Err("expected at least 1 self-test, found none".to_owned());
        }
        for (number, test) in self_tests.iter().enumerate() {
            let sound = match test {
                KnownAnswer::Differential(test) => test.check(&self.features, &self.labels),
                KnownAnswer::IndicationFit(test) => test.check(&self.features, &self.labels),
            };
            sound.map_err(|message| format!("self-test {}: {message}", number + 1))?;
        }
        Ok(ModelSpec {
            id: self.id,
            kind: self.kind,
            version: self.version,
            file: self.file,
            sha256: self.sha256,
            bytes: self.bytes,
            card: self.card,
            tables: self.tables,
            features: self.features,
            labels: self.labels,
            not_asked: self.not_asked,
            hint_below: self.hint_below,
            inputs,
            output,
            self_tests,
            precision: Precision::F32,
            variants: self.variants,
        })
    }
}

/// Refuses variants that say too little or contradict each other or the model, whose file is `own`.
fn check_variants(variants: &[Variant], own: &str) -> Result<(), String> {
    for (at, variant) in variants.iter().enumerate() {
        let name = variant.precision.name();
        if variant.precision == Precision::F32 {
            return Err(format!("a variant with precision `{name}`: that is the model itself"));
        }
        if variants.iter().skip(at + 1).any(|other| other.precision == variant.precision) {
            return Err(format!("two variants with precision `{name}`"));
        }
        let wrong = |message: String| format!("variant `{name}`: {message}");
        check_variant(variant, own).map_err(wrong)?;
    }
    Ok(())
}

fn check_variant(variant: &Variant, own: &str) -> Result<(), String> {
    inside(&variant.file)?;
    if variant.file == own {
        return Err("it has the file of the model itself".to_owned());
    }
    digest(&variant.sha256)?;
    let known = [onnxruntime::NAME, rten_engine::NAME];
    if let Some(odd) = variant.engines.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("engine `{odd}`, expected one of `{}`", known.join("`, `")));
    }
    if variant.engines.is_empty() {
        return Err("expected engines, found none".to_owned());
    }
    if variant.cpu.is_empty() {
        return Err("expected processor features, found none".to_owned());
    }
    tolerable(variant.tolerance)
}

/// A tolerance above this would let almost any answer pass.
const TOLERANCE_MAX: f64 = 0.05;

fn tolerable(tolerance: f64) -> Result<(), String> {
    if tolerance > 0.0 && tolerance <= TOLERANCE_MAX {
        return Ok(());
    }
    Err(format!("tolerance must be above 0 and at most {TOLERANCE_MAX}"))
}

impl FitTest {
    fn check(&self, features: &[String], labels: &[String]) -> Result<(), String> {
        distinct("diagnosis", &self.diagnoses)?;
        if let Some(odd) = self.diagnoses.iter().find(|code| !features.contains(code)) {
            return Err(format!("`{odd}` is not a feature"));
        }
        if !labels.contains(&self.medicine) {
            return Err(format!("`{}` is not a label", self.medicine));
        }
        if !(0.0..=1.0).contains(&self.expect) {
            return Err("expect must be from 0 to 1".to_owned());
        }
        tolerable(self.tolerance)
    }
}

impl SelfTest {
    fn check(&self, features: &[String], labels: &[String]) -> Result<(), String> {
        distinct("finding", self.present.iter().chain(&self.absent))?;
        for finding in self.present.iter().chain(&self.absent) {
            if !features.contains(finding) {
                return Err(format!("`{finding}` is not a feature"));
            }
        }
        if !labels.contains(&self.expect_top) {
            return Err(format!("`{}` is not a label", self.expect_top));
        }
        if self.age_years.is_some_and(|age| !(0.0..=150.0).contains(&age)) {
            return Err("age_years must be from 0 to 150".to_owned());
        }
        if !(0.0..=1.0).contains(&self.expect_probability) {
            return Err("expect_probability must be from 0 to 1".to_owned());
        }
        tolerable(self.tolerance)
    }
}

fn refused(model: &str, file: &str, message: String, source: Option<Cause>) -> InferenceError {
    InferenceError::Refused { model: model.to_owned(), file: file.to_owned(), message, source }
}

/// The number of the line on which text that follows `before` stands.
fn line_after(before: &str) -> usize {
    before.matches('\n').count() + 1
}

/// Refuses a path that could leave the manifest's directory or mean different files elsewhere.
fn inside(path: &str) -> Result<(), String> {
    let odd = |c: char| c == '\\' || c == ':' || c.is_control();
    let bad = |part: &str| part.is_empty() || part == "." || part == "..";
    if path.split('/').any(bad) || path.contains(odd) {
        return Err(format!("path `{}` leaves the manifest's directory", path.escape_debug()));
    }
    Ok(())
}

/// Refuses what is no SHA-256 as it is written here.
fn digest(text: &str) -> Result<(), String> {
    if text.len() == 64 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        return Ok(());
    }
    Err("the sha256 is not 64 lower-case hex digits".to_owned())
}

fn distinct<'a>(what: &str, ids: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if id.is_empty() {
            return Err(format!("a {what} is empty"));
        }
        if !seen.insert(id) {
            return Err(format!("{what} `{id}` stands twice"));
        }
    }
    Ok(())
}

fn columns(raw: Vec<RawColumn>) -> Result<Vec<Column>, String> {
    raw.into_iter()
        .map(|RawColumn { name, dtype, shape }| {
            if dtype != F32 {
                return Err(format!("`{name}`: expected dtype `{F32}`, found `{dtype}`"));
            }
            match shape.as_slice() {
                [Size::Named(batch), Size::Fixed(width)] if batch == "batch" && *width > 0 => {
                    Ok(Column { name, width: *width })
                }
                _ => Err(format!("`{name}`: expected shape [\"batch\", width], found {shape:?}")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
