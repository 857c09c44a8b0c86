//! A question as SQL. Every condition is exact in SQL, so that pages can be cut there; what an index
//! narrows the search by comes beside it.

use sqlx::{QueryBuilder, Sqlite};

use super::packed::Rows;
use super::read::push_uid_list;
use crate::app::error::{Error, FieldProblem};
use crate::sharing::imaging::matching::{self, Kind, Test};
use crate::sharing::imaging::query::{Level, Matching, Query};
use crate::sharing::imaging::{name, query};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Conditions of one question.
const CONDITIONS_MAX: usize = 64;
/// Values of one list, other than UIDs: an expression may not be deeper than `SQLite` allows.
const VALUES_MAX: usize = 256;

/// How an attribute lies in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
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
struct Part {
    tag: Tag,
    level: Level,
    kind: Kind,
    column: &'static str,
    shape: Shape,
    what: What,
}

#[derive(Debug)]
enum What {
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
pub(super) struct Question {
    level: Level,
    parts: Vec<Part>,
}

/// A range of keys of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyRange {
    pub(super) from: String,
    pub(super) to: String,
}

/// What an index narrows a search by, beside the conditions.
#[derive(Debug, Default)]
pub(super) struct Narrow {
    keys: Vec<KeyRange>,
    /// Descriptions of studies, as a JSON list.
    descriptions: Option<String>,
}

impl Narrow {
    /// By keys of the patient's name; by nothing if there are none.
    pub(super) fn by_keys(keys: Vec<KeyRange>) -> Self {
        Self { keys, descriptions: None }
    }

    /// By what the study is called, if that is given.
    pub(super) fn by_descriptions(descriptions: Option<String>) -> Self {
        Self { keys: Vec::new(), descriptions }
    }
}

impl Question {
    /// [`Error::Invalid`] if an attribute is asked for that is not kept.
    pub(super) fn new(query: &Query) -> Result<Self, Error> {
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
    pub(super) fn name_keys(&self) -> Vec<KeyRange> {
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
    pub(super) fn description_pattern(&self) -> Option<String> {
        self.parts.iter().find_map(|part| match &part.what {
            What::Test(Test::Like(pattern)) if part.tag == tags::STUDY_DESCRIPTION => {
                Some(glob(pattern))
            }
            What::Test(_) | What::Moment { .. } => None,
        })
    }

    /// Adds `FROM ... WHERE ...`: patient `p`, study `s`, and down to the level of the question
    /// series `e` and instance `i`. Patients are left out if nothing is asked of them and they are
    /// not `shown`: looking one up for every study that is skipped is half of the work.
    pub(super) fn push(&self, sql: &mut QueryBuilder<Sqlite>, narrow: &Narrow, shown: bool) {
        sql.push(" FROM study s");
        if shown || self.parts.iter().any(|part| part.level == Level::Patient) {
            sql.push(" JOIN patient p ON p.id = s.patient");
        }
        if self.level >= Level::Series {
            sql.push(" JOIN series e ON e.study = s.id");
        }
        if self.level >= Level::Image {
            sql.push(" JOIN instance i ON i.series = e.id");
        }
        sql.push(" WHERE 1");
        if !narrow.keys.is_empty() {
            sql.push(" AND s.patient IN (");
            push_names(sql, &narrow.keys);
            sql.push(")");
        }
        if let Some(descriptions) = &narrow.descriptions {
            // CROSS JOIN: the list first, else SQLite may go through all studies for it.
            sql.push(" AND s.id IN (SELECT n.id FROM json_each(").push_bind(descriptions.clone());
            sql.push(") j CROSS JOIN study n ON n.description = j.value)");
        }
        let own = self.level.max(Level::Study);
        self.push_parts(sql, |level| level <= own);
        if own == Level::Image {
            return;
        }
        let below: Vec<_> = self.parts.iter().filter(|part| part.level > own).collect();
        let Some(deepest) = below.iter().map(|part| part.level).max() else { return };
        // `1 =` keeps SQLite from making a join of EXISTS: 3.51.3 then counts OFFSET once for every
        // row below, and a page begins too early.
        // One UID leads to what is asked for faster than a look below every study or series.
        let by_uid = below.iter().any(|part| {
            part.shape == Shape::Uid && matches!(part.what, What::Test(Test::Equal(_)))
        });
        match (own, deepest, by_uid) {
            (Level::Series, _, false) => {
                sql.push(" AND 1 = EXISTS (SELECT 1 FROM instance i WHERE i.series = e.id");
            }
            (Level::Series, _, true) => {
                sql.push(" AND e.id IN (SELECT i.series FROM instance i WHERE 1");
            }
            (_, Level::Image, false) => {
                sql.push(
                    " AND 1 = EXISTS (SELECT 1 FROM series e JOIN instance i ON i.series = e.id \
                     WHERE e.study = s.id",
                );
            }
            (_, Level::Image, true) => {
                sql.push(
                    " AND s.id IN (SELECT e.study FROM series e \
                     JOIN instance i ON i.series = e.id WHERE 1",
                );
            }
            (_, _, false) => {
                sql.push(" AND 1 = EXISTS (SELECT 1 FROM series e WHERE e.study = s.id");
            }
            (_, _, true) => {
                sql.push(" AND s.id IN (SELECT e.study FROM series e WHERE 1");
            }
        }
        self.push_parts(sql, |level| level > own);
        sql.push(")");
    }

    /// Adds the order of the answers: newest study first.
    pub(super) fn push_order(&self, sql: &mut QueryBuilder<Sqlite>) {
        sql.push(" ORDER BY s.date DESC, s.time DESC, s.id DESC");
        if self.level >= Level::Series {
            sql.push(", e.ordinal, e.uid");
        }
        if self.level >= Level::Image {
            sql.push(", i.ordinal, i.uid");
        }
    }

    fn push_parts(&self, sql: &mut QueryBuilder<Sqlite>, of: impl Fn(Level) -> bool) {
        for part in self.parts.iter().filter(|part| of(part.level)) {
            sql.push(" AND ");
            match &part.what {
                What::Test(test) => part.push(sql, test),
                What::Moment { time, from, to } => push_moment(sql, (part.column, time), from, to),
            }
        }
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

/// Adds the query for the patients whose names have a key in every range.
pub(super) fn push_names(sql: &mut QueryBuilder<Sqlite>, keys: &[KeyRange]) {
    for (at, KeyRange { from, to }) in keys.iter().enumerate() {
        sql.push(if at == 0 { "" } else { " INTERSECT " });
        sql.push("SELECT patient FROM name_key WHERE key >= ").push_bind(from.clone());
        sql.push(" AND key <= ").push_bind(to.clone());
    }
}

/// The keys that begin with `key`.
fn beginning(key: String) -> KeyRange {
    let to = format!("{key}\u{10FFFF}");
    KeyRange { from: key, to }
}

fn push_moment(
    sql: &mut QueryBuilder<Sqlite>,
    (date, time): (&str, &str),
    from: &(String, String),
    to: &(String, String),
) {
    sql.push("(");
    if from.0.is_empty() && to.0.is_empty() {
        sql.push("1)");
        return;
    }
    sql.push(date).push(" <> ''");
    if !from.0.is_empty() {
        sql.push(" AND ").push(date).push(" >= ").push_bind(from.0.clone());
        sql.push(" AND (").push(date).push(" > ").push_bind(from.0.clone());
        sql.push(" OR ").push(time).push(" >= ").push_bind(matching::time_from(&from.1));
        sql.push(")");
    }
    if !to.0.is_empty() {
        let last = matching::date_to(&to.0);
        sql.push(" AND ").push(date).push(" <= ").push_bind(last.clone());
        sql.push(" AND (").push(date).push(" < ").push_bind(last);
        sql.push(" OR ").push(time).push(" <= ").push_bind(matching::time_to(&to.1));
        sql.push(")");
    }
    sql.push(")");
}

impl Part {
    fn push(&self, sql: &mut QueryBuilder<Sqlite>, test: &Test) {
        match test {
            Test::Any => {
                sql.push("1");
            }
            Test::Never => {
                sql.push("0");
            }
            Test::Equal(values) => self.push_equal(sql, values),
            Test::Like(pattern) => self.push_like(sql, pattern),
            Test::Between(from, to) => {
                let value = self.text();
                sql.push("(").push(&value).push(" <> ''");
                if let Some(from) = from {
                    sql.push(" AND ").push(&value).push(" >= ").push_bind(from.clone());
                }
                if let Some(to) = to {
                    sql.push(" AND ").push(&value).push(" <= ").push_bind(to.clone());
                }
                sql.push(")");
            }
            Test::Numbers(ranges) => {
                let number = match self.shape {
                    Shape::Number(column) => column,
                    Shape::Text | Shape::Uid | Shape::Word | Shape::Name(..) | Shape::Indexed => {
                        self.column
                    }
                };
                push_either(sql, ranges, |sql, (from, to)| {
                    sql.push(number).push(" BETWEEN ").push_bind(*from);
                    sql.push(" AND ").push_bind(*to);
                });
            }
            Test::NameIs(looks) => push_either(sql, looks, |sql, look| {
                sql.push("instr(").push(self.looks()).push(", ").push_bind(look.clone());
                sql.push(") > 0");
            }),
            Test::NameLike(pattern) => {
                sql.push(self.looks()).push(" GLOB ").push_bind(glob(pattern));
            }
            Test::NameSounds(words) => {
                sql.push("(1");
                for word in words {
                    sql.push(" AND instr(").push(self.sounds()).push(", ");
                    sql.push_bind(format!("\u{1}{word}")).push(") > 0");
                }
                sql.push(")");
            }
            Test::Either(tests) => push_either(sql, tests, |sql, test| self.push(sql, test)),
        }
    }

    fn push_equal(&self, sql: &mut QueryBuilder<Sqlite>, values: &[String]) {
        match (self.shape, self.kind) {
            (Shape::Uid, _) => {
                sql.push(self.column).push(" IN ");
                push_uid_list(sql, values);
            }
            (_, Kind::Texts | Kind::Uids) => {
                let text = self.text();
                push_either(sql, values, |sql, value| {
                    sql.push("instr('\\' || ").push(&text).push(" || '\\', ");
                    sql.push_bind(format!("\\{value}\\")).push(") > 0");
                });
            }
            (Shape::Word, _) => {
                sql.push(self.column).push(" IN (SELECT id FROM word WHERE text IN ");
                push_list(sql, values);
                sql.push(")");
            }
            (Shape::Text | Shape::Number(_) | Shape::Name(..) | Shape::Indexed, _) => {
                sql.push(self.text());
                match values {
                    [value] => {
                        sql.push(" = ").push_bind(value.clone());
                    }
                    values => {
                        sql.push(" IN ");
                        push_list(sql, values);
                    }
                }
            }
        }
    }

    fn push_like(&self, sql: &mut QueryBuilder<Sqlite>, pattern: &str) {
        let text = self.text();
        if matches!(self.kind, Kind::Texts | Kind::Uids) {
            // The parts of the value as a JSON list: a backslash is written `\\` in JSON, and
            // nothing else that is written there ends in one.
            sql.push("1 = EXISTS (SELECT 1 FROM json_each('[' || replace(json_quote(");
            sql.push(&text).push("), '\\\\', '\",\"') || ']') WHERE value <> '' AND value GLOB ");
            sql.push_bind(glob(pattern)).push(")");
            return;
        }
        sql.push("(").push(&text).push(" <> '' AND ").push(&text).push(" GLOB ");
        sql.push_bind(glob(pattern));
        let prefix = pattern.split(['*', '?']).next().unwrap_or_default();
        if self.shape == Shape::Indexed && !prefix.is_empty() {
            let KeyRange { from, to } = beginning(prefix.to_owned());
            sql.push(" AND ").push(&text).push(" >= ").push_bind(from);
            sql.push(" AND ").push(&text).push(" <= ").push_bind(to);
        }
        sql.push(")");
    }

    /// The value as folded text, as the kind says.
    fn text(&self) -> String {
        let column = self.column;
        let text = match self.shape {
            Shape::Uid => format!(
                "CASE WHEN substr({column}, 1, 1) = x'FF' THEN CAST(substr({column}, 2) AS TEXT) \
                 ELSE rtrim(replace(hex({column}), 'A', '.'), 'F') END"
            ),
            Shape::Word => format!("(SELECT text FROM word WHERE id = {column})"),
            Shape::Number(_) => format!("ifnull(CAST({column} AS TEXT), '')"),
            Shape::Text | Shape::Name(..) | Shape::Indexed => column.to_owned(),
        };
        match self.kind {
            Kind::Text | Kind::Texts => format!("lower({text})"),
            Kind::Uid
            | Kind::Uids
            | Kind::Identifier
            | Kind::Name
            | Kind::Date
            | Kind::Time
            | Kind::DateTime
            | Kind::Integer => text,
        }
    }

    fn looks(&self) -> &'static str {
        match self.shape {
            Shape::Name(looks, _) => looks,
            Shape::Text | Shape::Uid | Shape::Word | Shape::Number(_) | Shape::Indexed => {
                self.column
            }
        }
    }

    fn sounds(&self) -> &'static str {
        match self.shape {
            Shape::Name(_, sounds) => sounds,
            Shape::Text | Shape::Uid | Shape::Word | Shape::Number(_) | Shape::Indexed => {
                self.column
            }
        }
    }
}

/// Adds `(a OR b ...)`.
fn push_either<T>(
    sql: &mut QueryBuilder<Sqlite>,
    of: &[T],
    push: impl Fn(&mut QueryBuilder<Sqlite>, &T),
) {
    sql.push("(0");
    for one in of {
        sql.push(" OR ");
        push(sql, one);
    }
    sql.push(")");
}

/// Adds the list of `values` as a subquery: any number of them is one parameter.
fn push_list(sql: &mut QueryBuilder<Sqlite>, values: &[String]) {
    let mut rows = Rows::new();
    for value in values {
        rows.row().text(value);
    }
    sql.push("(SELECT value ->> 0 FROM json_each(").push_bind(rows.finish()).push("))");
}

/// `*` and `?` mean the same to GLOB; a bracket would begin a set.
fn glob(pattern: &str) -> String {
    pattern.replace('[', "[[]")
}
