//! A question as a back-end writes it in SQL: which column each condition is about, and what is held
//! against it.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{CONDITIONS_MAX, VALUES_MAX};
use crate::app::error::{Error, FieldProblem};
use crate::sharing::imaging::matching::{self, Kind, Test};
use crate::sharing::imaging::query::{Level, Matching, Query};
use crate::sharing::imaging::{name, query};

/// How an attribute lies in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Shape {
    /// As text.
    Text,
    /// As a packed UID.
    Uid,
    /// As the id of a word.
    Word,
    /// As text, and as a number in the second column.
    Number(&'static str),
    /// As text; looks and sounds in these columns.
    Name(&'static str, &'static str),
    /// As text with an index.
    Indexed,
}

/// One condition, ready to be written.
#[derive(Debug)]
pub(in crate::store) struct Part {
    pub(in crate::store) tag: Tag,
    pub(in crate::store) level: Level,
    pub(in crate::store) kind: Kind,
    pub(in crate::store) column: &'static str,
    pub(in crate::store) shape: Shape,
    pub(in crate::store) what: What,
}

#[derive(Debug)]
pub(in crate::store) enum What {
    Test(Test),
    /// A date and the time in this column: from and to, as (date, time).
    Moment {
        time: &'static str,
        from: (String, String),
        to: (String, String),
    },
}

/// A question, understood.
#[derive(Debug)]
pub(in crate::store) struct Question {
    pub(in crate::store) level: Level,
    pub(in crate::store) parts: Vec<Part>,
}

/// A range of keys of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct KeyRange {
    pub(in crate::store) from: String,
    pub(in crate::store) to: String,
}

impl Question {
    /// [`Error::Invalid`] if an attribute is asked for that is not kept.
    pub(in crate::store) fn new(query: &Query) -> Result<Self, Error> {
        if query.conditions.len() > CONDITIONS_MAX {
            let allowed = format!("at most {CONDITIONS_MAX}");
            return Err(Error::Invalid(vec![FieldProblem::new("conditions", allowed)]));
        }
        let mut problems = Vec::new();
        let mut parts = Vec::with_capacity(query.conditions.len());
        for (at, condition) in query.conditions.iter().enumerate() {
            let (Some(attribute), Some((column, shape))) =
                (matching::attribute(condition.tag), column(condition.tag))
            else {
                problems.push(FieldProblem::new(
                    format!("conditions[{at}].tag"),
                    "an attribute that the index of studies keeps",
                ));
                continue;
            };
            if let Matching::AnyOf(values) = &condition.matching
                && values.len() > VALUES_MAX
                && attribute.kind != Kind::Uid
            {
                let allowed = format!("at most {VALUES_MAX} values");
                problems.push(FieldProblem::new(format!("conditions[{at}].matching"), allowed));
                continue;
            }
            let test = matching::test(&condition.matching, attribute.kind);
            parts.push(Part {
                tag: condition.tag,
                level: attribute.level,
                kind: attribute.kind,
                column,
                shape,
                what: What::Test(test),
            });
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        if query.combined_date_time {
            combine(&query.conditions, &mut parts);
        }
        Ok(Self { level: query.level, parts })
    }

    /// The keys under which the patient's name must be found: all of them, each narrowing the
    /// search. Empty if the name is not asked for, or only a look at every name can tell.
    pub(in crate::store) fn name_keys(&self) -> Vec<KeyRange> {
        let mut keys = Vec::new();
        for part in self.parts.iter().filter(|part| part.tag == tags::PATIENT_NAME) {
            let What::Test(test) = &part.what else { continue };
            match test {
                Test::NameIs(looks) => {
                    if let [look] = looks.as_slice()
                        && let Some(key) = name::equal_key(look)
                    {
                        keys.push(KeyRange { from: key.clone(), to: key });
                    }
                }
                Test::NameLike(pattern) => {
                    keys.extend(name::pattern_keys(pattern).into_iter().map(beginning));
                }
                Test::NameSounds(words) => keys.extend(words.iter().cloned().map(beginning)),
                Test::Any
                | Test::Never
                | Test::Equal(_)
                | Test::Like(_)
                | Test::Between(..)
                | Test::Numbers(_)
                | Test::Either(_) => {}
            }
        }
        keys
    }

    /// The pattern that the description of the study, in small letters, must fit.
    pub(in crate::store) fn description_pattern(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| match &part.what {
            What::Test(Test::Like(pattern)) if part.tag == tags::STUDY_DESCRIPTION => {
                Some(pattern.as_str())
            }
            What::Test(_) | What::Moment { .. } => None,
        })
    }

    /// Whether something is asked of the patient.
    pub(in crate::store) fn asks_of_patient(&self) -> bool {
        self.parts.iter().any(|part| part.level == Level::Patient)
    }
}

impl Part {
    /// The column of the looks of a name.
    pub(in crate::store) fn looks(&self) -> &'static str {
        if let Shape::Name(looks, _) = self.shape { looks } else { self.column }
    }

    /// The column of the sounds of a name.
    pub(in crate::store) fn sounds(&self) -> &'static str {
        if let Shape::Name(_, sounds) = self.shape { sounds } else { self.column }
    }

    /// The column of a number.
    pub(in crate::store) fn number(&self) -> &'static str {
        if let Shape::Number(column) = self.shape { column } else { self.column }
    }

    /// Whether letters are compared as small ones.
    pub(in crate::store) fn folds(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Texts)
    }
}

/// Where an attribute lies.
fn column(tag: Tag) -> Option<(&'static str, Shape)> {
    use Shape::{Indexed, Name, Number, Text, Uid, Word};
    Some(match tag {
        tags::PATIENT_ID => ("p.patient_id", Indexed),
        tags::ISSUER_OF_PATIENT_ID => ("p.issuer", Text),
        tags::PATIENT_NAME => ("p.name", Name("p.look", "p.sounds")),
        tags::PATIENT_BIRTH_DATE => ("p.birth_date", Text),
        tags::PATIENT_SEX => ("p.sex", Text),
        tags::STUDY_INSTANCE_UID => ("s.uid", Uid),
        tags::STUDY_DATE => ("s.date", Text),
        tags::STUDY_TIME => ("s.time", Text),
        tags::ACCESSION_NUMBER => ("s.accession_number", Indexed),
        tags::STUDY_ID => ("s.study_id", Text),
        tags::STUDY_DESCRIPTION => ("s.description", Text),
        tags::REFERRING_PHYSICIAN_NAME => {
            ("s.referring_physician", Name("s.referring_look", "s.referring_sounds"))
        }
        tags::PATIENT_AGE => ("s.patient_age", Text),
        tags::MODALITIES_IN_STUDY => ("s.modalities", Text),
        tags::SOP_CLASSES_IN_STUDY => ("s.sop_classes", Text),
        tags::SERIES_INSTANCE_UID => ("e.uid", Uid),
        tags::SERIES_NUMBER => ("e.number", Number("e.ordinal")),
        tags::MODALITY => ("e.modality", Text),
        tags::SERIES_DESCRIPTION => ("e.description", Text),
        tags::SERIES_DATE => ("e.date", Text),
        tags::SERIES_TIME => ("e.time", Text),
        tags::BODY_PART_EXAMINED => ("e.body_part", Text),
        tags::LATERALITY => ("e.laterality", Text),
        tags::VIEW_POSITION => ("e.view_position", Text),
        tags::PROTOCOL_NAME => ("e.protocol", Text),
        tags::CONTRAST_BOLUS_AGENT => ("e.contrast_agent", Text),
        tags::INSTITUTION_NAME => ("e.institution", Text),
        tags::INSTITUTIONAL_DEPARTMENT_NAME => ("e.department", Text),
        tags::STATION_NAME => ("e.station", Text),
        tags::MANUFACTURER => ("e.manufacturer", Text),
        tags::MANUFACTURER_MODEL_NAME => ("e.model", Text),
        tags::PERFORMED_PROCEDURE_STEP_START_DATE => ("e.performed_date", Text),
        tags::PERFORMED_PROCEDURE_STEP_START_TIME => ("e.performed_time", Text),
        tags::REQUESTED_PROCEDURE_ID => ("e.requested_procedure_id", Text),
        tags::SCHEDULED_PROCEDURE_STEP_ID => ("e.scheduled_step_id", Text),
        tags::SOP_CLASS_UID => ("i.sop_class", Word),
        tags::SOP_INSTANCE_UID => ("i.uid", Uid),
        tags::INSTANCE_NUMBER => ("i.number", Number("i.ordinal")),
        tags::CONTENT_DATE => ("i.content_date", Text),
        tags::CONTENT_TIME => ("i.content_time", Text),
        tags::IMAGE_TYPE => ("i.image_type", Word),
        tags::BURNED_IN_ANNOTATION => ("i.burned_in", Text),
        tags::COMPLETION_FLAG | tags::VERIFICATION_FLAG => ("i.report_state", Text),
        tags::ROWS => ("i.rows", Number("i.rows")),
        tags::COLUMNS => ("i.columns", Number("i.columns")),
        tags::NUMBER_OF_FRAMES => ("i.frames", Number("i.frames")),
        tags::BITS_ALLOCATED => ("i.bits_allocated", Number("i.bits_allocated")),
        _ => return None,
    })
}

/// Makes one moment of the range of a date and that of its time.
fn combine(conditions: &[query::Condition], parts: &mut Vec<Part>) {
    let range = |tag| {
        conditions.iter().find(|condition| condition.tag == tag).and_then(|condition| {
            match &condition.matching {
                Matching::Range { from, to } => {
                    Some((from.trim().to_owned(), to.trim().to_owned()))
                }
                Matching::Single(_)
                | Matching::AnyOf(_)
                | Matching::Wildcard(_)
                | Matching::Fuzzy(_) => None,
            }
        })
    };
    let mut merged = Vec::new();
    for part in parts.iter_mut() {
        let Some(time_tag) = matching::time_of(part.tag) else { continue };
        let (Some(dates), Some(times), Some((time, _))) =
            (range(part.tag), range(time_tag), column(time_tag))
        else {
            continue;
        };
        part.what = What::Moment { time, from: (dates.0, times.0), to: (dates.1, times.1) };
        merged.push(time_tag);
    }
    parts.retain(|part| !merged.contains(&part.tag));
}

/// The keys that begin with `key`.
pub(in crate::store) fn beginning(key: String) -> KeyRange {
    let to = format!("{key}\u{10FFFF}");
    KeyRange { from: key, to }
}
