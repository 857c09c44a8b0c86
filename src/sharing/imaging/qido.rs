//! Searches over the web (QIDO-RS; PS3.18, 8.3.4 and 10.6): parameters in, DICOM JSON out.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use serde_json::{Map, Number, Value, json};

use super::attribute::{ATTRIBUTES, About, Attribute, Held};
use super::charset::Kind;
use super::identifier::{Problem, Wanted, matching};
use super::query::{Condition, Level, Match, Query};
use super::value::{NameGroups, kind};

/// Answers to a search that sets no limit.
pub const QIDO_ANSWERS_DEFAULT: u64 = 1_000;
/// Answers to a search at most.
pub const QIDO_ANSWERS_MAX: u64 = 5_000;
/// Parameters of a search at most.
const PARAMETERS_MAX: usize = 256;
/// Characters of a parameter's name that an error repeats at most.
const NAME_CHARACTERS_MAX: usize = 64;

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The question to the index.
    pub query: Query,
    /// Attributes to return.
    pub include: Include,
    /// Keys that the standard knows and the index does not answer or match: a warning is due.
    pub ignored: Vec<Tag>,
}

/// Attributes to return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Include {
    /// All that are known.
    All,
    /// These beside those that every answer of the level has.
    Fields(Vec<Tag>),
}

/// Why a search cannot be understood. Names only the parameter, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchProblem {
    /// No attribute is called that.
    #[error("parameter {name} is no attribute: use a keyword or eight hexadecimal digits")]
    Unknown {
        /// The parameter, cut.
        name: String,
    },
    /// A path into a sequence.
    #[error("parameter {name} is a path into a sequence, which is not searched")]
    SequencePath {
        /// The parameter, cut.
        name: String,
    },
    /// `limit`, `offset` or `fuzzymatching` has no such value.
    #[error("parameter {name} must be {must_be}")]
    Control {
        /// The parameter.
        name: &'static str,
        /// What it can be.
        must_be: &'static str,
    },
    /// An attribute that can have one value was given several.
    #[error("parameter for {tag} was given more than once")]
    Repeated {
        /// The attribute.
        tag: Tag,
    },
    /// Too many parameters.
    #[error("over {PARAMETERS_MAX} parameters")]
    TooMany,
    /// A value that the attribute cannot have.
    #[error(transparent)]
    Key(#[from] Problem),
}

/// Reads the parameters of a search for answers at `level`, names and values already
/// percent-decoded. UIDs of the path are the caller's to add to the conditions.
pub fn parse_qido(level: Level, parameters: &[(String, String)]) -> Result<Search, SearchProblem> {
    if parameters.len() > PARAMETERS_MAX {
        return Err(SearchProblem::TooMany);
    }
    let mut controls = Controls::default();
    let mut fields = Vec::new();
    let mut all = false;
    let mut keys: Vec<(Tag, Vec<String>)> = Vec::new();
    let mut ignored = Vec::new();
    for (name, value) in parameters {
        match name.to_ascii_lowercase().as_str() {
            // Also what concerns the form of the answer, which is the door's.
            "" | "accept" | "charset" | "access_token" => {}
            "limit" | "offset" | "fuzzymatching" => controls.set(name, value)?,
            "includefield" => {
                for field in value.split(',').map(str::trim).filter(|f| !f.is_empty()) {
                    if field.eq_ignore_ascii_case("all") {
                        all = true;
                        continue;
                    }
                    let tag = tag_of(field)?;
                    let list =
                        if Attribute::by_tag(tag).is_some() { &mut fields } else { &mut ignored };
                    list.push(tag);
                }
            }
            _ => add_key(&mut keys, tag_of(name)?, value)?,
        }
    }
    let mut conditions = Vec::new();
    for (tag, values) in keys {
        let Some(attribute) = Attribute::by_tag(tag).filter(|a| a.vr != VR::SQ) else {
            ignored.push(tag);
            continue;
        };
        // What is searched by is returned.
        fields.push(tag);
        match matching(tag, attribute.vr, &values, controls.fuzzy)? {
            Wanted::All => {}
            Wanted::Only(matching) if attribute.key => {
                conditions.push(Condition { tag, matching });
            }
            Wanted::Only(_) | Wanted::Unsupported => ignored.push(tag),
        }
    }
    fields.sort_unstable();
    fields.dedup();
    ignored.sort_unstable();
    ignored.dedup();
    Ok(Search {
        query: Query {
            level,
            conditions,
            combined_date_time: false,
            offset: controls.offset,
            limit: controls.limit.unwrap_or(QIDO_ANSWERS_DEFAULT).min(QIDO_ANSWERS_MAX),
        },
        include: if all { Include::All } else { Include::Fields(fields) },
        ignored,
    })
}

/// One answer in the DICOM JSON model (PS3.18, F.2). Attributes of the levels from `outer` (the
/// highest that the path does not name) down to the level of the question are always there, those
/// that have a value or were asked for by name; the address to retrieve it from is the caller's to
/// add.
pub fn attributes_json(found: &Match, outer: Level, include: &Include, about: &About<'_>) -> Value {
    let mut object = Map::new();
    // Strings of JSON are Unicode, which this says (PS3.18, F.2.2).
    let set = element_json(VR::CS, vec![json!("ISO_IR 192")]);
    object.insert(key(tags::SPECIFIC_CHARACTER_SET), set);
    let answered = |a: &&Attribute| a.is_at(about.level) && a.tag != tags::SPECIFIC_CHARACTER_SET;
    for attribute in ATTRIBUTES.iter().filter(answered) {
        let named = match include {
            Include::All => false,
            Include::Fields(fields) => fields.binary_search(&attribute.tag).is_ok(),
        };
        if !named && *include != Include::All && !is_default(attribute.tag, outer, about.level) {
            continue;
        }
        let values = values_json(attribute, &attribute.held(found, about));
        if values.is_empty() && !named {
            continue;
        }
        object.insert(key(attribute.tag), element_json(attribute.vr, values));
    }
    Value::Object(object)
}

#[derive(Debug, Default)]
struct Controls {
    limit: Option<u64>,
    offset: u64,
    fuzzy: bool,
}

impl Controls {
    fn set(&mut self, name: &str, value: &str) -> Result<(), SearchProblem> {
        let number = |name| {
            let problem = SearchProblem::Control { name, must_be: "a whole number" };
            value.trim().parse::<u64>().map_err(|_| problem)
        };
        if name.eq_ignore_ascii_case("limit") {
            self.limit = Some(number("limit")?);
        } else if name.eq_ignore_ascii_case("offset") {
            self.offset = number("offset")?;
        } else {
            self.fuzzy = match value.trim().to_ascii_lowercase().as_str() {
                "true" => true,
                "false" | "" => false,
                _ => {
                    let name = "fuzzymatching";
                    return Err(SearchProblem::Control { name, must_be: "true or false" });
                }
            };
        }
        Ok(())
    }
}

/// Lists of UIDs and codes may be given with commas or by repeating the parameter; in other values
/// a comma is a comma.
fn add_key(keys: &mut Vec<(Tag, Vec<String>)>, tag: Tag, value: &str) -> Result<(), SearchProblem> {
    let list = Attribute::by_tag(tag).is_some_and(|a| matches!(a.vr, VR::UI | VR::CS));
    let values: Vec<String> = if list {
        value.split([',', '\\']).map(|part| part.trim().to_owned()).collect()
    } else {
        vec![value.trim().to_owned()]
    };
    match keys.iter_mut().find(|(other, _)| *other == tag) {
        Some((_, there)) if list => there.extend(values),
        Some(_) => return Err(SearchProblem::Repeated { tag }),
        None => keys.push((tag, values)),
    }
    Ok(())
}

fn tag_of(name: &str) -> Result<Tag, SearchProblem> {
    let cut = || name.chars().take(NAME_CHARACTERS_MAX).collect();
    if name.contains('.') {
        return Err(SearchProblem::SequencePath { name: cut() });
    }
    if name.len() == 8
        && name.bytes().all(|b| b.is_ascii_hexdigit())
        && let Some((group, element)) = name.split_at_checked(4)
        && let (Ok(group), Ok(element)) =
            (u16::from_str_radix(group, 16), u16::from_str_radix(element, 16))
    {
        return Ok(Tag(group, element));
    }
    Attribute::by_keyword(name)
        .map(|attribute| attribute.tag)
        .or_else(|| StandardDataDictionary.by_name(name).map(DataDictionaryEntry::tag))
        .ok_or_else(|| SearchProblem::Unknown { name: cut() })
}

/// What every answer has (PS3.18, tables 10.6.3-3 to 10.6.3-5).
fn is_default(tag: Tag, outer: Level, level: Level) -> bool {
    let study: &[Tag] = &[
        tags::STUDY_DATE,
        tags::STUDY_TIME,
        tags::ACCESSION_NUMBER,
        tags::MODALITIES_IN_STUDY,
        tags::REFERRING_PHYSICIAN_NAME,
        tags::PATIENT_NAME,
        tags::PATIENT_ID,
        tags::PATIENT_BIRTH_DATE,
        tags::PATIENT_SEX,
        tags::STUDY_INSTANCE_UID,
        tags::STUDY_ID,
        tags::STUDY_DESCRIPTION,
        tags::NUMBER_OF_STUDY_RELATED_SERIES,
        tags::NUMBER_OF_STUDY_RELATED_INSTANCES,
    ];
    let series: &[Tag] = &[
        tags::MODALITY,
        tags::SERIES_DESCRIPTION,
        tags::SERIES_INSTANCE_UID,
        tags::SERIES_NUMBER,
        tags::NUMBER_OF_SERIES_RELATED_INSTANCES,
        tags::PERFORMED_PROCEDURE_STEP_START_DATE,
        tags::PERFORMED_PROCEDURE_STEP_START_TIME,
        tags::REQUEST_ATTRIBUTES_SEQUENCE,
    ];
    let image: &[Tag] = &[
        tags::SOP_CLASS_UID,
        tags::SOP_INSTANCE_UID,
        tags::INSTANCE_NUMBER,
        tags::ROWS,
        tags::COLUMNS,
        tags::BITS_ALLOCATED,
        tags::NUMBER_OF_FRAMES,
    ];
    let uids = [tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID];
    let levels = [(Level::Study, study), (Level::Series, series), (Level::Image, image)];
    matches!(tag, tags::INSTANCE_AVAILABILITY | tags::RETRIEVE_AE_TITLE)
        || uids.contains(&tag)
        || levels.iter().any(|(of, list)| (outer..=level).contains(of) && list.contains(&tag))
        || level == Level::Patient && tag.0 == 0x0010
}

fn key(Tag(group, element): Tag) -> String {
    format!("{group:04X}{element:04X}")
}

fn element_json(vr: VR, values: Vec<Value>) -> Value {
    let mut element = Map::new();
    element.insert("vr".to_owned(), json!(vr.to_string()));
    if !values.is_empty() {
        element.insert("Value".to_owned(), Value::Array(values));
    }
    Value::Object(element)
}

fn values_json(attribute: &Attribute, held: &Held) -> Vec<Value> {
    match held {
        Held::Text(text) => texts_json(attribute.vr, text),
        Held::Item(item) if item.is_empty() => Vec::new(),
        Held::Item(item) => {
            let members = item
                .iter()
                .map(|(tag, vr, text)| (key(*tag), element_json(*vr, texts_json(*vr, text))));
            vec![Value::Object(members.collect())]
        }
    }
}

fn texts_json(vr: VR, text: &str) -> Vec<Value> {
    if text.is_empty() {
        return Vec::new();
    }
    match kind(vr) {
        Kind::Block => vec![json!(text)],
        Kind::Names => text.split('\\').map(name_json).collect(),
        Kind::Values => text.split('\\').map(|value| value_json(vr, value)).collect(),
    }
}

fn value_json(vr: VR, text: &str) -> Value {
    let text = text.trim();
    let number = if matches!(vr, VR::IS | VR::US) {
        text.parse::<i64>().ok().map(Number::from)
    } else if vr == VR::DS {
        text.parse::<f64>().ok().and_then(Number::from_f64)
    } else {
        None
    };
    match number {
        Some(number) => Value::Number(number),
        None if text.is_empty() => Value::Null,
        None => json!(text),
    }
}

fn name_json(text: &str) -> Value {
    let groups = NameGroups::of(text);
    let members = [
        ("Alphabetic", groups.alphabetic),
        ("Ideographic", groups.ideographic),
        ("Phonetic", groups.phonetic),
    ];
    let members = members.into_iter().filter(|(_, group)| !group.is_empty());
    Value::Object(members.map(|(name, group)| (name.to_owned(), json!(group))).collect())
}

#[cfg(test)]
mod tests;
