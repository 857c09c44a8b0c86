//! A question as SQL. Every condition is exact in SQL, so that pages can be cut there; what an index
//! narrows the search by comes beside it.

use sqlx::{QueryBuilder, Sqlite};

use super::read::push_uid_list;
use super::rows::Rows;
use crate::sharing::imaging::matching::{self, Kind, Test};
use crate::sharing::imaging::query::Level;
use crate::store::studies::question::{KeyRange, Part, Question, Shape, What, beginning};

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

/// Adds `FROM ... WHERE ...`: patient `p`, study `s`, and down to the level of the question
/// series `e` and instance `i`. Patients are left out if nothing is asked of them and they are
/// not `shown`: looking one up for every study that is skipped is half of the work.
pub(super) fn push(
    question: &Question,
    sql: &mut QueryBuilder<Sqlite>,
    narrow: &Narrow,
    shown: bool,
) {
    sql.push(" FROM study s");
    if shown || question.asks_of_patient() {
        sql.push(" JOIN patient p ON p.id = s.patient");
    }
    if question.level >= Level::Series {
        sql.push(" JOIN series e ON e.study = s.id");
    }
    if question.level >= Level::Image {
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
    let own = question.level.max(Level::Study);
    push_parts(question, sql, |level| level <= own);
    if own == Level::Image {
        return;
    }
    let below: Vec<_> = question.parts.iter().filter(|part| part.level > own).collect();
    let Some(deepest) = below.iter().map(|part| part.level).max() else { return };
    // `1 =` keeps SQLite from making a join of EXISTS: 3.51.3 then counts OFFSET once for every
    // row below, and a page begins too early.
    // One UID leads to what is asked for faster than a look below every study or series.
    let by_uid = below
        .iter()
        .any(|part| part.shape == Shape::Uid && matches!(part.what, What::Test(Test::Equal(_))));
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
    push_parts(question, sql, |level| level > own);
    sql.push(")");
}

/// Adds the order of the answers: newest study first.
pub(super) fn push_order(question: &Question, sql: &mut QueryBuilder<Sqlite>) {
    sql.push(" ORDER BY s.date DESC, s.time DESC, s.id DESC");
    if question.level >= Level::Series {
        sql.push(", e.ordinal, e.uid");
    }
    if question.level >= Level::Image {
        sql.push(", i.ordinal, i.uid");
    }
}

fn push_parts(question: &Question, sql: &mut QueryBuilder<Sqlite>, of: impl Fn(Level) -> bool) {
    for part in question.parts.iter().filter(|part| of(part.level)) {
        sql.push(" AND ");
        match &part.what {
            What::Test(test) => push_test(part, sql, test),
            What::Moment { time, from, to } => push_moment(sql, (part.column, time), from, to),
        }
    }
}

/// Adds the query for the patients whose names have a key in every range.
pub(super) fn push_names(sql: &mut QueryBuilder<Sqlite>, keys: &[KeyRange]) {
    for (at, KeyRange { from, to }) in keys.iter().enumerate() {
        sql.push(if at == 0 { "" } else { " INTERSECT " });
        sql.push("SELECT patient FROM name_key WHERE key >= ").push_bind(from.clone());
        sql.push(" AND key <= ").push_bind(to.clone());
    }
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

fn push_test(part: &Part, sql: &mut QueryBuilder<Sqlite>, test: &Test) {
    match test {
        Test::Any => {
            sql.push("1");
        }
        Test::Never => {
            sql.push("0");
        }
        Test::Equal(values) => push_equal(part, sql, values),
        Test::Like(pattern) => push_like(part, sql, pattern),
        Test::Between(from, to) => {
            let value = text_of(part);
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
            let number = part.number();
            push_either(sql, ranges, |sql, (from, to)| {
                sql.push(number).push(" BETWEEN ").push_bind(*from);
                sql.push(" AND ").push_bind(*to);
            });
        }
        Test::NameIs(looks) => push_either(sql, looks, |sql, look| {
            sql.push("instr(").push(part.looks()).push(", ").push_bind(look.clone());
            sql.push(") > 0");
        }),
        Test::NameLike(pattern) => {
            sql.push(part.looks()).push(" GLOB ").push_bind(glob(pattern));
        }
        Test::NameSounds(words) => {
            sql.push("(1");
            for word in words {
                sql.push(" AND instr(").push(part.sounds()).push(", ");
                sql.push_bind(format!("\u{1}{word}")).push(") > 0");
            }
            sql.push(")");
        }
        Test::Either(tests) => push_either(sql, tests, |sql, test| push_test(part, sql, test)),
    }
}

fn push_equal(part: &Part, sql: &mut QueryBuilder<Sqlite>, values: &[String]) {
    match (part.shape, part.kind) {
        (Shape::Uid, _) => {
            sql.push(part.column).push(" IN ");
            push_uid_list(sql, values);
        }
        (_, Kind::Texts | Kind::Uids) => {
            let text = text_of(part);
            push_either(sql, values, |sql, value| {
                sql.push("instr('\\' || ").push(&text).push(" || '\\', ");
                sql.push_bind(format!("\\{value}\\")).push(") > 0");
            });
        }
        (Shape::Word, _) => {
            sql.push(part.column).push(" IN (SELECT id FROM word WHERE text IN ");
            push_list(sql, values);
            sql.push(")");
        }
        (Shape::Text | Shape::Number(_) | Shape::Name(..) | Shape::Indexed, _) => {
            sql.push(text_of(part));
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

fn push_like(part: &Part, sql: &mut QueryBuilder<Sqlite>, pattern: &str) {
    let text = text_of(part);
    if matches!(part.kind, Kind::Texts | Kind::Uids) {
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
    if part.shape == Shape::Indexed && !prefix.is_empty() {
        let KeyRange { from, to } = beginning(prefix.to_owned());
        sql.push(" AND ").push(&text).push(" >= ").push_bind(from);
        sql.push(" AND ").push(&text).push(" <= ").push_bind(to);
    }
    sql.push(")");
}

/// The value as folded text, as the kind says.
fn text_of(part: &Part) -> String {
    let column = part.column;
    let text = match part.shape {
        Shape::Uid => format!(
            "CASE WHEN substr({column}, 1, 1) = x'FF' THEN CAST(substr({column}, 2) AS TEXT) \
             ELSE rtrim(replace(hex({column}), 'A', '.'), 'F') END"
        ),
        Shape::Word => format!("(SELECT text FROM word WHERE id = {column})"),
        Shape::Number(_) => format!("ifnull(CAST({column} AS TEXT), '')"),
        Shape::Text | Shape::Name(..) | Shape::Indexed => column.to_owned(),
    };
    if part.folds() { format!("lower({text})") } else { text }
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
pub(super) fn glob(pattern: &str) -> String {
    pattern.replace('[', "[[]")
}
