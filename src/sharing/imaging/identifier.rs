//! Identifiers of C-FIND, C-MOVE and C-GET requests: what they ask for (PS3.4, C.2.2.2, C.4.1 and
//! C.4.2).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::attribute::{At, Attribute, level_term};
use super::charset::Encoding;
use super::element::{ElementSet, Value};
use super::identity::UID_CHARACTERS_MAX;
use super::moment;
use super::query::{Condition, Level, Matching, Query};
use super::value::Values;

/// Values of one key at most.
pub const KEY_VALUES_MAX: usize = 1_000;
/// Characters of one value of a key at most.
pub const KEY_CHARACTERS_MAX: usize = 1_024;

/// Information models (PS3.4, C.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// Patient, study, series, image.
    Patient,
    /// Study, series, image; the patient's attributes belong to the study.
    Study,
    /// Patient and study only (retired).
    PatientStudyOnly,
}

/// What was negotiated for a C-FIND (PS3.4, C.5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Information model.
    pub root: Root,
    /// Relational queries.
    pub relational: bool,
    /// Combined date-time matching.
    pub combined_date_time: bool,
    /// Fuzzy semantic matching of persons' names.
    pub fuzzy_names: bool,
    /// Answers at most.
    pub answers_max: u64,
}

/// A C-FIND request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The question to the index.
    pub query: Query,
    /// Level of the answers.
    pub level: Level,
    /// Attributes that are to be returned, in the order of their tags.
    pub wanted: Vec<Tag>,
    /// Optional keys that are not supported for existence or for matching: an answer is then
    /// pending with a warning (FF01).
    pub ignored: Vec<Tag>,
    /// The character set that the request is written in, if answers can be written in it.
    pub encoding: Option<Encoding>,
}

/// What a C-MOVE or C-GET is to send: all conditions that are not empty must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Level.
    pub level: Level,
    /// Patient ID.
    pub patient_id: Option<String>,
    /// Study instance UIDs.
    pub studies: Vec<String>,
    /// Series instance UIDs.
    pub series: Vec<String>,
    /// SOP instance UIDs.
    pub instances: Vec<String>,
}

/// Why an identifier cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No Query/Retrieve Level.
    #[error("query/retrieve level is missing")]
    LevelMissing,
    /// A level that the information model does not have.
    #[error("query/retrieve level is none of this information model")]
    LevelIllegal,
    /// A unique key must have a value at this level.
    #[error("unique key {tag} of level {} has no value", level_term(*level))]
    UniqueKeyMissing {
        /// The key.
        tag: Tag,
        /// Its level.
        level: Level,
    },
    /// A unique key above the level must have one value without wildcards.
    #[error("unique key {tag} above the level of the query must have one value")]
    UniqueKeyNotSingle {
        /// The key.
        tag: Tag,
    },
    /// A value that the attribute cannot have.
    #[error("key {tag} must be {must_be}")]
    Value {
        /// The key.
        tag: Tag,
        /// What it can have.
        must_be: &'static str,
    },
    /// More values, or a longer one, than are looked at.
    #[error("key {tag} has over {KEY_VALUES_MAX} values or {KEY_CHARACTERS_MAX} characters in one")]
    TooMuch {
        /// The key.
        tag: Tag,
    },
}

impl Problem {
    /// The attribute at fault.
    pub fn tag(&self) -> Tag {
        match self {
            Self::LevelMissing | Self::LevelIllegal => tags::QUERY_RETRIEVE_LEVEL,
            Self::UniqueKeyMissing { tag, .. }
            | Self::UniqueKeyNotSingle { tag }
            | Self::Value { tag, .. }
            | Self::TooMuch { tag } => *tag,
        }
    }
}

impl Root {
    /// Levels, highest first.
    pub fn levels(self) -> &'static [Level] {
        match self {
            Self::Patient => &[Level::Patient, Level::Study, Level::Series, Level::Image],
            Self::Study => &[Level::Study, Level::Series, Level::Image],
            Self::PatientStudyOnly => &[Level::Patient, Level::Study],
        }
    }

    fn level(self, values: &Values<'_>) -> Result<Level, Problem> {
        let text = values.text(tags::QUERY_RETRIEVE_LEVEL);
        if text.is_empty() {
            return Err(Problem::LevelMissing);
        }
        let named = |level: &&Level| text.eq_ignore_ascii_case(level_term(**level));
        self.levels().iter().find(named).copied().ok_or(Problem::LevelIllegal)
    }
}

/// The unique key of a level.
pub fn unique_key(level: Level) -> Tag {
    match level {
        Level::Patient => tags::PATIENT_ID,
        Level::Study => tags::STUDY_INSTANCE_UID,
        Level::Series => tags::SERIES_INSTANCE_UID,
        Level::Image => tags::SOP_INSTANCE_UID,
    }
}

impl Asked {
    /// Reads the identifier of a C-FIND request. Without relational queries the unique keys above
    /// the level must have one value each (PS3.4, C.4.1.3.1.1), and keys below it are ignored.
    pub fn read(elements: &ElementSet, rules: &Rules) -> Result<Self, Problem> {
        let values = Values::of(elements);
        let level = rules.root.level(&values)?;
        if !rules.relational {
            for above in rules.root.levels().iter().filter(|above| **above < level) {
                let tag = unique_key(*above);
                match values.texts(tag).as_slice() {
                    [] => return Err(Problem::UniqueKeyMissing { tag, level: *above }),
                    [one] if !has_wildcard(one) => {}
                    _ => return Err(Problem::UniqueKeyNotSingle { tag }),
                }
            }
        }
        let mut asked = Self {
            query: Query {
                level,
                conditions: Vec::new(),
                combined_date_time: rules.combined_date_time,
                offset: 0,
                limit: rules.answers_max,
            },
            level,
            wanted: Vec::new(),
            ignored: Vec::new(),
            encoding: values
                .character_sets()
                .guess()
                .or_else(|| Encoding::read_by(&values.text(tags::SPECIFIC_CHARACTER_SET))),
        };
        for element in elements.iter().filter(|e| !is_about_the_request(e.tag)) {
            asked.add(&values, element.tag, rules)?;
        }
        Ok(asked)
    }

    fn add(&mut self, values: &Values<'_>, tag: Tag, rules: &Rules) -> Result<(), Problem> {
        let known = Attribute::by_tag(tag).filter(|attribute| {
            let sequence =
                matches!(values.elements().get(tag).map(|e| &e.value), Some(Value::Items(_)));
            attribute.vr == VR::SQ || !sequence
        });
        let Some(attribute) = known else {
            self.ignored.push(tag);
            return Ok(());
        };
        let shown = attribute.is_at(self.level);
        if shown {
            self.wanted.push(tag);
        }
        if !shown && !rules.relational {
            self.ignored.push(tag);
        } else if attribute.vr == VR::SQ {
            let Some(item) = values.items(tag).next() else { return Ok(()) };
            for element in item.elements().iter().filter(|e| !is_about_the_request(e.tag)) {
                match attribute.nested().iter().find(|nested| nested.tag == element.tag) {
                    Some(nested) => {
                        self.condition(&item, nested.tag, nested.vr, nested.key, rules)?;
                    }
                    None => self.ignored.push(element.tag),
                }
            }
        } else if attribute.level == At::Any {
            // The answer says it; there is nothing to match.
        } else {
            self.condition(values, tag, attribute.vr, attribute.key, rules)?;
        }
        Ok(())
    }

    fn condition(
        &mut self,
        values: &Values<'_>,
        tag: Tag,
        vr: VR,
        key: bool,
        rules: &Rules,
    ) -> Result<(), Problem> {
        match matching(tag, vr, &values.texts(tag), rules.fuzzy_names)? {
            Wanted::All => {}
            Wanted::Only(matching) if key => {
                self.query.conditions.push(Condition { tag, matching });
            }
            Wanted::Only(_) | Wanted::Unsupported => self.ignored.push(tag),
        }
        Ok(())
    }
}

impl Chosen {
    /// Reads the identifier of a C-MOVE or C-GET request. The unique key of its level must have a
    /// value. Those above it narrow the choice where they are given: requesters often leave them
    /// out, and UIDs are unique without them.
    pub fn read(elements: &ElementSet, root: Root) -> Result<Self, Problem> {
        let values = Values::of(elements);
        let level = root.level(&values)?;
        let uids = |of: Level| -> Result<Vec<String>, Problem> {
            if of > level {
                return Ok(Vec::new());
            }
            let tag = unique_key(of);
            let texts: Vec<String> =
                values.texts(tag).into_iter().filter(|text| !text.is_empty()).collect();
            check_size(tag, &texts)?;
            if texts.is_empty() && of == level {
                return Err(Problem::UniqueKeyMissing { tag, level });
            }
            if of < level && texts.len() > 1 {
                return Err(Problem::UniqueKeyNotSingle { tag });
            }
            check_uids(tag, &texts)?;
            Ok(texts)
        };
        let patient = values.text(tags::PATIENT_ID);
        if patient.is_empty() && level == Level::Patient {
            return Err(Problem::UniqueKeyMissing { tag: tags::PATIENT_ID, level });
        }
        if has_wildcard(&patient) || patient.contains('\\') {
            return Err(Problem::UniqueKeyNotSingle { tag: tags::PATIENT_ID });
        }
        Ok(Self {
            level,
            patient_id: Some(patient).filter(|id| !id.is_empty()),
            studies: uids(Level::Study)?,
            series: uids(Level::Series)?,
            instances: uids(Level::Image)?,
        })
    }
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Universal matching.
    All,
    /// Only what matches.
    Only(Matching),
    /// Something that cannot be asked of the index.
    Unsupported,
}

/// What the values of a key with that VR ask for (PS3.4, C.2.2.2).
pub(super) fn matching(
    tag: Tag,
    vr: VR,
    values: &[String],
    fuzzy_names: bool,
) -> Result<Wanted, Problem> {
    check_size(tag, values)?;
    let values: Vec<&String> = values.iter().filter(|value| !value.is_empty()).collect();
    let universal = |value: &&String| value.chars().all(|c| c == '*');
    let Some(first) = values.first() else { return Ok(Wanted::All) };
    if values.iter().any(universal) {
        return Ok(Wanted::All);
    }
    let matching = if vr == VR::DA {
        date_range(tag, first)?
    } else if vr == VR::TM {
        time_range(tag, first)?
    } else if values.len() > 1 {
        if vr != VR::UI && values.iter().any(|value| has_wildcard(value)) || vr == VR::PN {
            return Ok(Wanted::Unsupported);
        }
        check_uids_of(tag, vr, &values)?;
        Matching::AnyOf(values.into_iter().cloned().collect())
    } else if vr == VR::UI {
        check_uids_of(tag, vr, &values)?;
        Matching::Single((*first).clone())
    } else if has_wildcard(first) && !matches!(vr, VR::IS | VR::DS | VR::US) {
        Matching::Wildcard((*first).clone())
    } else if vr == VR::PN && fuzzy_names {
        Matching::Fuzzy((*first).clone())
    } else {
        Matching::Single((*first).clone())
    };
    Ok(Wanted::Only(matching))
}

/// Elements that say how the request is written.
fn is_about_the_request(tag: Tag) -> bool {
    tag.1 == 0
        || matches!(
            tag,
            tags::SPECIFIC_CHARACTER_SET
                | tags::QUERY_RETRIEVE_LEVEL
                | tags::TIMEZONE_OFFSET_FROM_UTC
        )
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

fn check_size(tag: Tag, values: &[String]) -> Result<(), Problem> {
    let long = |value: &String| value.chars().nth(KEY_CHARACTERS_MAX).is_some();
    if values.len() > KEY_VALUES_MAX || values.iter().any(long) {
        return Err(Problem::TooMuch { tag });
    }
    Ok(())
}

fn check_uids_of(tag: Tag, vr: VR, values: &[&String]) -> Result<(), Problem> {
    if vr == VR::UI { check_uids(tag, values) } else { Ok(()) }
}

/// Archives hold UIDs with leading zeros, letters and worse; only what cannot be one is refused.
fn check_uids<T: AsRef<str>>(tag: Tag, values: &[T]) -> Result<(), Problem> {
    let is_uid = |uid: &str| {
        uid.len() <= UID_CHARACTERS_MAX
            && uid.bytes().all(|b| b.is_ascii_graphic())
            && !has_wildcard(uid)
    };
    if values.iter().all(|uid| is_uid(uid.as_ref())) {
        Ok(())
    } else {
        Err(Problem::Value { tag, must_be: "one UID or a list of UIDs" })
    }
}

fn date_range(tag: Tag, text: &str) -> Result<Matching, Problem> {
    if let Some(day) = moment::date(text) {
        return Ok(Matching::Single(day));
    }
    let read = || {
        let (from, to) = text.split_once('-')?;
        let end = |text: &str| match text.trim() {
            "" => Some(String::new()),
            text => moment::date(text),
        };
        let (from, to) = (end(from)?, end(to)?);
        (!from.is_empty() || !to.is_empty()).then_some(Matching::Range { from, to })
    };
    read().ok_or(Problem::Value { tag, must_be: "a date or a range of dates" })
}

/// A time that is not given to the microsecond is the range of what it means.
fn time_range(tag: Tag, text: &str) -> Result<Matching, Problem> {
    let read = || {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (from, to) = (from.trim(), to.trim());
        let from = if from.is_empty() { String::new() } else { moment::span(from)?.0 };
        let to = if to.is_empty() { String::new() } else { moment::span(to)?.1 };
        (!from.is_empty() || !to.is_empty()).then_some(Matching::Range { from, to })
    };
    read().ok_or(Problem::Value { tag, must_be: "a time or a range of times" })
}

#[cfg(test)]
mod tests;
