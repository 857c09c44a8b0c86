//! What it means for a value to match (PS3.4, C.2.2.2), without a database: the truth that an index
//! is tested against.
//!
//! Choices where the standard leaves one. Patient IDs, accession numbers and other identifiers are
//! compared as they stand. Codes (`CS`) and descriptive text (`LO`, `SH`) are compared without
//! regard to the case of ASCII letters. Integers are compared as numbers. A value with several
//! parts (`\`) matches when one of them does. Times and dates match at the precision that was
//! asked for: `1030` is 10:30:00 to 10:30:59.999999. A condition that asks for nothing (empty, or
//! `*` alone) holds always; any other never holds for an absent value.

use std::borrow::Cow;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::header::Header;
use super::name;
use super::query::{Level, Matching};

/// Characters of a pattern. No value that is kept is so long; a longer pattern fits nothing.
pub const PATTERN_CHARS_MAX: usize = 1024;

/// How the values of an attribute are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UID: as it stands.
    Uid,
    /// An identifier that somebody assigned: as it stands.
    Identifier,
    /// Code or descriptive text: ASCII case does not matter.
    Text,
    /// Several texts, parted by `\`.
    Texts,
    /// Several UIDs, parted by `\`.
    Uids,
    /// Person name.
    Name,
    /// `DA`.
    Date,
    /// `TM`.
    Time,
    /// `DT`, offset from UTC not regarded.
    DateTime,
    /// `IS` or `US`.
    Integer,
}

/// An attribute that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// Whose attribute it is.
    pub level: Level,
    /// How it is compared.
    pub kind: Kind,
}

/// A condition, folded once and ready to be held against values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Holds always.
    Any,
    /// Holds never.
    Never,
    /// One of these, folded as the kind says.
    Equal(Vec<String>),
    /// `*` and `?`, folded as the kind says.
    Like(String),
    /// Between these texts, both included, and not empty; none is open.
    Between(Option<String>, Option<String>),
    /// One of these ranges, both ends included.
    Numbers(Vec<(i64, i64)>),
    /// The look of the name contains one of these ([`name::equal`]).
    NameIs(Vec<String>),
    /// The look of the name fits ([`name::pattern`]).
    NameLike(String),
    /// Each begins a sound of the name ([`name::words`]).
    NameSounds(Vec<String>),
    /// One of these holds.
    Either(Vec<Self>),
}

/// What `tag` is to the index of studies; none if it keeps no such attribute.
pub fn attribute(tag: Tag) -> Option<Attribute> {
    use Kind::{Date, Identifier, Integer, Name, Text, Texts, Time, Uid, Uids};
    use Level::{Image, Patient, Series, Study};
    let (level, kind) = match tag {
        tags::PATIENT_ID => (Patient, Identifier),
        tags::ISSUER_OF_PATIENT_ID | tags::PATIENT_SEX => (Patient, Text),
        tags::PATIENT_NAME => (Patient, Name),
        tags::PATIENT_BIRTH_DATE => (Patient, Date),
        tags::STUDY_INSTANCE_UID => (Study, Uid),
        tags::STUDY_DATE => (Study, Date),
        tags::STUDY_TIME => (Study, Time),
        tags::ACCESSION_NUMBER | tags::STUDY_ID => (Study, Identifier),
        tags::STUDY_DESCRIPTION | tags::PATIENT_AGE => (Study, Text),
        tags::REFERRING_PHYSICIAN_NAME => (Study, Name),
        tags::MODALITIES_IN_STUDY => (Study, Texts),
        tags::SOP_CLASSES_IN_STUDY => (Study, Uids),
        tags::SERIES_INSTANCE_UID => (Series, Uid),
        tags::SERIES_NUMBER => (Series, Integer),
        tags::SERIES_DATE | tags::PERFORMED_PROCEDURE_STEP_START_DATE => (Series, Date),
        tags::SERIES_TIME | tags::PERFORMED_PROCEDURE_STEP_START_TIME => (Series, Time),
        tags::REQUESTED_PROCEDURE_ID | tags::SCHEDULED_PROCEDURE_STEP_ID => (Series, Identifier),
        tags::MODALITY
        | tags::SERIES_DESCRIPTION
        | tags::BODY_PART_EXAMINED
        | tags::LATERALITY
        | tags::VIEW_POSITION
        | tags::PROTOCOL_NAME
        | tags::CONTRAST_BOLUS_AGENT
        | tags::INSTITUTION_NAME
        | tags::INSTITUTIONAL_DEPARTMENT_NAME
        | tags::STATION_NAME
        | tags::MANUFACTURER
        | tags::MANUFACTURER_MODEL_NAME => (Series, Text),
        tags::SOP_INSTANCE_UID | tags::SOP_CLASS_UID => (Image, Uid),
        tags::INSTANCE_NUMBER
        | tags::ROWS
        | tags::COLUMNS
        | tags::NUMBER_OF_FRAMES
        | tags::BITS_ALLOCATED => (Image, Integer),
        tags::CONTENT_DATE => (Image, Date),
        tags::CONTENT_TIME => (Image, Time),
        // The flags of a report are kept together; no value of one is a value of the other.
        tags::IMAGE_TYPE | tags::COMPLETION_FLAG | tags::VERIFICATION_FLAG => (Image, Texts),
        tags::BURNED_IN_ANNOTATION => (Image, Text),
        _ => return None,
    };
    Some(Attribute { level, kind })
}

/// The time that belongs to a date in combined matching (PS3.4, C.2.2.2.5).
pub fn time_of(date: Tag) -> Option<Tag> {
    match date {
        tags::STUDY_DATE => Some(tags::STUDY_TIME),
        tags::SERIES_DATE => Some(tags::SERIES_TIME),
        tags::CONTENT_DATE => Some(tags::CONTENT_TIME),
        tags::PERFORMED_PROCEDURE_STEP_START_DATE => {
            Some(tags::PERFORMED_PROCEDURE_STEP_START_TIME)
        }
        _ => None,
    }
}

/// The value of `tag` in `header`; empty if it has none. What is counted over a study
/// (`ModalitiesInStudy`, `SOPClassesInStudy`) is not in a header.
pub fn value(header: &Header, tag: Tag) -> Cow<'_, str> {
    let Header { patient, study, series, instance, .. } = header;
    let number = |n: u32| if n == 0 { Cow::Borrowed("") } else { Cow::Owned(n.to_string()) };
    let text: &str = match tag {
        tags::PATIENT_ID => &patient.id,
        tags::ISSUER_OF_PATIENT_ID => &patient.issuer,
        tags::PATIENT_NAME => &patient.name,
        tags::PATIENT_BIRTH_DATE => &patient.birth_date,
        tags::PATIENT_SEX => &patient.sex,
        tags::STUDY_INSTANCE_UID => &study.uid,
        tags::STUDY_DATE => &study.date,
        tags::STUDY_TIME => &study.time,
        tags::ACCESSION_NUMBER => &study.accession_number,
        tags::STUDY_ID => &study.id,
        tags::STUDY_DESCRIPTION => &study.description,
        tags::REFERRING_PHYSICIAN_NAME => &study.referring_physician,
        tags::PATIENT_AGE => &study.patient_age,
        tags::SERIES_INSTANCE_UID => &series.uid,
        tags::MODALITY => &series.modality,
        tags::SERIES_NUMBER => &series.number,
        tags::SERIES_DESCRIPTION => &series.description,
        tags::SERIES_DATE => &series.date,
        tags::SERIES_TIME => &series.time,
        tags::BODY_PART_EXAMINED => &series.body_part,
        tags::LATERALITY => &series.laterality,
        tags::VIEW_POSITION => &series.view_position,
        tags::PROTOCOL_NAME => &series.protocol,
        tags::CONTRAST_BOLUS_AGENT => &series.contrast_agent,
        tags::INSTITUTION_NAME => &series.institution,
        tags::INSTITUTIONAL_DEPARTMENT_NAME => &series.department,
        tags::STATION_NAME => &series.station,
        tags::MANUFACTURER => &series.manufacturer,
        tags::MANUFACTURER_MODEL_NAME => &series.model,
        tags::PERFORMED_PROCEDURE_STEP_START_DATE => &series.performed_date,
        tags::PERFORMED_PROCEDURE_STEP_START_TIME => &series.performed_time,
        tags::REQUESTED_PROCEDURE_ID => &series.requested_procedure_id,
        tags::SCHEDULED_PROCEDURE_STEP_ID => &series.scheduled_step_id,
        tags::SOP_CLASS_UID => &instance.sop_class,
        tags::SOP_INSTANCE_UID => &instance.uid,
        tags::INSTANCE_NUMBER => &instance.number,
        tags::CONTENT_DATE => &instance.content_date,
        tags::CONTENT_TIME => &instance.content_time,
        tags::IMAGE_TYPE => &instance.image_type,
        tags::BURNED_IN_ANNOTATION => &instance.burned_in_annotation,
        tags::COMPLETION_FLAG | tags::VERIFICATION_FLAG => &instance.report_state,
        tags::ROWS => return number(instance.rows),
        tags::COLUMNS => return number(instance.columns),
        tags::NUMBER_OF_FRAMES => return number(instance.frames),
        tags::BITS_ALLOCATED => return number(instance.bits_allocated),
        _ => "",
    };
    Cow::Borrowed(text)
}

/// Whether `value` is like `matching` wants it.
pub fn matches(matching: &Matching, kind: Kind, value: &str) -> bool {
    test(matching, kind).holds(kind, value)
}

/// Whether the moment of `date` and `time` lies between those of `from` and `to` (date, time).
/// Without a date an end is open; without a time it is the whole day.
pub fn moment_matches(from: (&str, &str), to: (&str, &str), date: &str, time: &str) -> bool {
    if from.0.is_empty() && to.0.is_empty() {
        return true;
    }
    let (earliest, latest) = (time_from(from.1), time_to(to.1));
    let (first, last) = (from.0, date_to(to.0));
    let late_enough =
        first.is_empty() || date > first || (date == first && time >= earliest.as_str());
    let early_enough =
        last.is_empty() || date < last.as_str() || (date == last && time <= latest.as_str());
    !date.is_empty() && late_enough && early_enough
}

/// `matching` made ready for an attribute of `kind`.
pub fn test(matching: &Matching, kind: Kind) -> Test {
    match matching {
        Matching::Single(one) => single(one, kind),
        Matching::AnyOf(many) => any_of(many, kind),
        Matching::Wildcard(pattern) => wildcard(pattern, kind),
        Matching::Range { from, to } => range(from.trim(), to.trim(), kind),
        Matching::Fuzzy(question) => match kind {
            Kind::Name => {
                let words = name::words(question);
                if words.is_empty() { Test::Any } else { Test::NameSounds(words) }
            }
            Kind::Uid
            | Kind::Identifier
            | Kind::Text
            | Kind::Texts
            | Kind::Uids
            | Kind::Date
            | Kind::Time
            | Kind::DateTime
            | Kind::Integer => single(question, kind),
        },
    }
}

impl Test {
    /// Whether it holds for `value`.
    pub fn holds(&self, kind: Kind, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Never => false,
            Self::Equal(wanted) => {
                let value = folded(value, kind);
                wanted.iter().any(|wanted| match kind {
                    Kind::Texts | Kind::Uids => {
                        format!("\\{value}\\").contains(&format!("\\{wanted}\\"))
                    }
                    Kind::Uid
                    | Kind::Identifier
                    | Kind::Text
                    | Kind::Name
                    | Kind::Date
                    | Kind::Time
                    | Kind::DateTime
                    | Kind::Integer => value == *wanted,
                })
            }
            Self::Like(pattern) => {
                let value = folded(value, kind);
                match kind {
                    Kind::Texts | Kind::Uids => value.split('\\').any(|part| like(pattern, part)),
                    Kind::Uid
                    | Kind::Identifier
                    | Kind::Text
                    | Kind::Name
                    | Kind::Date
                    | Kind::Time
                    | Kind::DateTime
                    | Kind::Integer => like(pattern, &value),
                }
            }
            Self::Between(from, to) => {
                let value = folded(value, kind);
                !value.is_empty()
                    && from.as_deref().is_none_or(|from| &*value >= from)
                    && to.as_deref().is_none_or(|to| &*value <= to)
            }
            Self::Numbers(ranges) => {
                number(value).is_some_and(|n| ranges.iter().any(|&(from, to)| n >= from && n <= to))
            }
            Self::NameIs(looks) => {
                let look = name::look(value);
                looks.iter().any(|wanted| look.contains(wanted))
            }
            Self::NameLike(pattern) => like(pattern, &name::look(value)),
            Self::NameSounds(words) => {
                let sounds = name::sounds(value);
                words.iter().all(|word| sounds.iter().any(|sound| sound.starts_with(word)))
            }
            Self::Either(tests) => tests.iter().any(|test| test.holds(kind, value)),
        }
    }
}

/// The number that an `IS` value stands for.
pub fn number(value: &str) -> Option<i64> {
    value.trim().parse().ok()
}

/// The earliest text of a time that is not before `from`: trailing zeros say nothing.
pub fn time_from(from: &str) -> String {
    from.trim_end_matches(['0', '.']).to_owned()
}

/// The latest text of a time that begins with `to`. Seconds run to 60 for leap seconds.
pub fn time_to(to: &str) -> String {
    format!("{to}{}", "235960.999999".get(to.len()..).unwrap_or_default())
}

/// The latest text of a date that begins with `to`; empty if that is.
pub fn date_to(to: &str) -> String {
    if to.is_empty() {
        return String::new();
    }
    format!("{to}{}", "99999999".get(to.len()..).unwrap_or_default())
}

fn single(one: &str, kind: Kind) -> Test {
    let one = one.trim();
    if one.is_empty() {
        return Test::Any;
    }
    match kind {
        Kind::Uid | Kind::Identifier | Kind::Text | Kind::Texts | Kind::Uids => {
            Test::Equal(vec![folded(one, kind).into_owned()])
        }
        Kind::Name => name::equal(one).map_or(Test::Any, |look| Test::NameIs(vec![look])),
        Kind::Date | Kind::Time | Kind::DateTime => range(one, one, kind),
        Kind::Integer => number(one).map_or(Test::Never, |n| Test::Numbers(vec![(n, n)])),
    }
}

fn any_of(many: &[String], kind: Kind) -> Test {
    let mut either = Vec::new();
    let (mut equal, mut looks, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for one in many.iter().filter(|one| !one.trim().is_empty()) {
        match single(one, kind) {
            Test::Equal(values) => equal.extend(values),
            Test::NameIs(names) => looks.extend(names),
            Test::Numbers(ranges) => numbers.extend(ranges),
            Test::Any => return Test::Any,
            Test::Never => either.push(Test::Never),
            test @ (Test::Between(..)
            | Test::Like(_)
            | Test::NameLike(_)
            | Test::NameSounds(_)
            | Test::Either(_)) => either.push(test),
        }
    }
    if !equal.is_empty() {
        either.push(Test::Equal(equal));
    }
    if !looks.is_empty() {
        either.push(Test::NameIs(looks));
    }
    if !numbers.is_empty() {
        either.push(Test::Numbers(numbers));
    }
    match (either.pop(), either.is_empty()) {
        (None, _) => Test::Any,
        (Some(one), true) => one,
        (Some(last), false) => {
            either.push(last);
            Test::Either(either)
        }
    }
}

fn wildcard(pattern: &str, kind: Kind) -> Test {
    let pattern = pattern.trim();
    if pattern.chars().all(|c| c == '*') {
        return Test::Any;
    }
    if pattern.chars().nth(PATTERN_CHARS_MAX).is_some() {
        return Test::Never;
    }
    if kind == Kind::Name {
        return name::pattern(pattern).map_or(Test::Any, Test::NameLike);
    }
    if !pattern.contains(['*', '?']) {
        return single(pattern, kind);
    }
    Test::Like(folded(pattern, kind).into_owned())
}

fn range(from: &str, to: &str, kind: Kind) -> Test {
    if from.is_empty() && to.is_empty() {
        return Test::Any;
    }
    let open = |text: String| (!text.is_empty()).then_some(text);
    let whole = |text: &str, with: &str| {
        open(text.to_owned())
            .map(|text| format!("{text}{}", with.get(text.len()..).unwrap_or_default()))
    };
    match kind {
        Kind::Date => Test::Between(open(from.to_owned()), open(date_to(to))),
        Kind::Time => Test::Between(
            open(time_from(from)),
            if to.is_empty() { None } else { Some(time_to(to)) },
        ),
        Kind::DateTime => Test::Between(open(from.to_owned()), whole(to, "99999999235960.999999")),
        Kind::Integer => {
            let end = |text: &str, open| if text.is_empty() { Some(open) } else { number(text) };
            match (end(from, i64::MIN), end(to, i64::MAX)) {
                (Some(from), Some(to)) => Test::Numbers(vec![(from, to)]),
                (None, _) | (_, None) => Test::Never,
            }
        }
        Kind::Uid | Kind::Identifier | Kind::Text | Kind::Texts | Kind::Uids => {
            let folded = |text| open(folded(text, kind).into_owned());
            Test::Between(folded(from), folded(to))
        }
        // A name has no order that two hospitals would agree upon.
        Kind::Name => Test::Never,
    }
}

fn folded(text: &str, kind: Kind) -> Cow<'_, str> {
    match kind {
        Kind::Text | Kind::Texts if text.bytes().any(|b| b.is_ascii_uppercase()) => {
            Cow::Owned(text.to_ascii_lowercase())
        }
        Kind::Text
        | Kind::Texts
        | Kind::Uid
        | Kind::Uids
        | Kind::Identifier
        | Kind::Name
        | Kind::Date
        | Kind::Time
        | Kind::DateTime
        | Kind::Integer => Cow::Borrowed(text),
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters and `?` for one. An empty
/// text fits nothing.
pub fn like(pattern: &str, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on when the characters after the last `*` do not fit here.
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let at_text = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((pattern.clone(), at_text.clone()));
                text = at_text;
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(c)) if wanted == c => {}
            (Some(_), None) => return false,
            (Some(_) | None, Some(_)) => {
                let Some((after, from)) = star.as_mut() else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after.clone();
                text = from.clone();
            }
        }
    }
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
