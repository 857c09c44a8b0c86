//! A question as SQL. Every condition is exact in SQL, so that pages can be cut there; what an index
//! narrows the search by comes beside it.

use sqlx::{Postgres, QueryBuilder};

use super::values::{kept, uids};
use crate::sharing::imaging::matching::{self, Kind, Test};
use crate::sharing::imaging::query::Level;
use crate::store::studies::question::{KeyRange, Part, Question, Shape, What, beginning};

type Sql = QueryBuilder<Postgres>;

/// What an index narrows a search by, beside the conditions.
#[derive(Debug)]
pub(super) enum Narrow {
    /// What the planner finds.
    Nothing,
    /// Answers are common: a walk through the studies, newest first, meets enough of them soon.
    Walk,
    /// Keys of the patient's name.
    Names(Vec<KeyRange>),
    /// What the study is called.
    Descriptions(Vec<String>),
}

/// A place in the order of studies: date, time and id.
pub(super) type Place = (String, String, i64);

/// A question, and how it is searched for.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) question: &'a Question,
    pub(super) narrow: Narrow,
    /// The patients that fit, where the server cannot tell.
    pub(super) who: Option<&'a [i64]>,
}

/// Adds `FROM ... WHERE ...`: patient `p`, study `s`, and down to the level of the question series
/// `e` and instance `i`. Patients are left out if nothing is asked of them and they are not `shown`.
pub(super) fn push(Search { question, narrow, who }: &Search<'_>, sql: &mut Sql, shown: bool) {
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
    sql.push(" WHERE true");
    if let Some(who) = who {
        sql.push(" AND s.patient = ANY(").push_bind(who.to_vec()).push(")");
    }
    match narrow {
        Narrow::Nothing | Narrow::Walk => {}
        Narrow::Names(keys) => {
            // An array is found first, whatever the planner thinks of the keys.
            sql.push(" AND s.patient = ANY(ARRAY(");
            push_names(sql, keys);
            sql.push("))");
        }
        Narrow::Descriptions(texts) => {
            sql.push(" AND s.description = ANY(").push_bind(texts.clone()).push(")");
        }
    }
    let own = question.level.max(Level::Study);
    push_parts(question, sql, |level| level <= own);
    if own == Level::Image {
        return;
    }
    let below = question.parts.iter().map(|part| part.level).filter(|level| *level > own);
    sql.push(match (own, below.max()) {
        (_, None) => return,
        (Level::Series, Some(_)) => " AND EXISTS (SELECT 1 FROM instance i WHERE i.series = e.id",
        (_, Some(Level::Image)) => {
            " AND EXISTS (SELECT 1 FROM series e JOIN instance i ON i.series = e.id \
             WHERE e.study = s.id"
        }
        (_, Some(_)) => " AND EXISTS (SELECT 1 FROM series e WHERE e.study = s.id",
    });
    push_parts(question, sql, |level| level > own);
    sql.push(")");
}

/// Adds the order of the answers: newest study first.
pub(super) fn push_order(question: &Question, sql: &mut Sql) {
    sql.push(" ORDER BY s.date DESC, s.time DESC, s.id DESC");
    if question.level >= Level::Series {
        sql.push(", e.ordinal NULLS FIRST, e.uid");
    }
    if question.level >= Level::Image {
        sql.push(", i.ordinal NULLS FIRST, i.uid");
    }
}

/// Adds that a study must come after `place` in the order of the answers.
pub(super) fn push_after(sql: &mut Sql, (date, time, id): &Place) {
    sql.push(" AND (s.date, s.time, s.id) < (").push_bind(date.clone());
    sql.push(", ").push_bind(time.clone()).push(", ").push_bind(*id).push(")");
}

/// Adds the query for the patients whose names have a key in every range.
pub(super) fn push_names(sql: &mut Sql, keys: &[KeyRange]) {
    for (at, KeyRange { from, to }) in keys.iter().enumerate() {
        sql.push(if at == 0 { "" } else { " INTERSECT " });
        sql.push("SELECT patient FROM name_key WHERE key >= ").push_bind(kept(from).into_owned());
        sql.push(" AND key <= ").push_bind(kept(to).into_owned());
    }
}

/// The pattern of `LIKE` for one of `*` and `?`.
pub(super) fn like(pattern: &str) -> String {
    let mut like = String::with_capacity(pattern.len() + 8);
    for c in pattern.chars() {
        match c {
            '*' => like.push('%'),
            '?' => like.push('_'),
            '%' | '_' | '\\' => {
                like.push('\\');
                like.push(c);
            }
            '\0' => {}
            c => like.push(c),
        }
    }
    like
}

fn push_parts(question: &Question, sql: &mut Sql, of: impl Fn(Level) -> bool) {
    for part in question.parts.iter().filter(|part| of(part.level)) {
        sql.push(" AND ");
        match &part.what {
            What::Test(test) => push_test(part, sql, test),
            What::Moment { time, from, to } => push_moment(sql, (part.column, time), from, to),
        }
    }
}

fn push_moment(
    sql: &mut Sql,
    (date, time): (&str, &str),
    from: &(String, String),
    to: &(String, String),
) {
    if from.0.is_empty() && to.0.is_empty() {
        sql.push("true");
        return;
    }
    sql.push("(").push(date).push(" <> ''");
    if !from.0.is_empty() {
        sql.push(" AND ").push(date).push(" >= ");
        push_text(sql, &from.0);
        sql.push(" AND (").push(date).push(" > ");
        push_text(sql, &from.0);
        sql.push(" OR ").push(time).push(" >= ");
        push_text(sql, &matching::time_from(&from.1));
        sql.push(")");
    }
    if !to.0.is_empty() {
        let last = matching::date_to(&to.0);
        sql.push(" AND ").push(date).push(" <= ");
        push_text(sql, &last);
        sql.push(" AND (").push(date).push(" < ");
        push_text(sql, &last);
        sql.push(" OR ").push(time).push(" <= ");
        push_text(sql, &matching::time_to(&to.1));
        sql.push(")");
    }
    sql.push(")");
}

fn push_text(sql: &mut Sql, text: &str) {
    sql.push_bind(kept(text).into_owned());
}

/// Whether a test asks for NUL, which no value that is kept has.
pub(super) fn asks_for_nul(test: &Test) -> bool {
    let has = |text: &String| text.contains('\0');
    match test {
        Test::Any | Test::Never | Test::Numbers(_) | Test::Either(_) => false,
        Test::Equal(texts) | Test::NameIs(texts) => texts.iter().all(has),
        Test::NameSounds(texts) => texts.iter().any(has),
        Test::Like(pattern) | Test::NameLike(pattern) => has(pattern),
        Test::Between(from, to) => from.iter().chain(to).any(has),
    }
}

fn push_test(part: &Part, sql: &mut Sql, test: &Test) {
    match test {
        test if asks_for_nul(test) => {
            sql.push("false");
        }
        Test::Any => {
            sql.push("true");
        }
        Test::Never => {
            sql.push("false");
        }
        Test::Equal(values) => push_equal(part, sql, values),
        Test::Like(pattern) => push_like(part, sql, pattern),
        Test::Between(from, to) => {
            let value = text_of(part);
            sql.push("(").push(&value).push(" <> ''");
            if let Some(from) = from {
                sql.push(" AND ").push(&value).push(" >= ");
                push_text(sql, from);
            }
            if let Some(to) = to {
                sql.push(" AND ").push(&value).push(" <= ");
                push_text(sql, to);
            }
            sql.push(")");
        }
        Test::Numbers(ranges) => push_either(sql, ranges, |sql, (from, to)| {
            sql.push(part.number()).push(" BETWEEN ").push_bind(*from);
            sql.push(" AND ").push_bind(*to);
        }),
        Test::NameIs(looks) => push_either(sql, looks, |sql, look| {
            sql.push("strpos(").push(part.looks()).push(", ");
            push_text(sql, look);
            sql.push(") > 0");
        }),
        Test::NameLike(pattern) => {
            sql.push(part.looks()).push(" LIKE ").push_bind(like(pattern));
        }
        Test::NameSounds(words) => {
            sql.push("(true");
            for word in words {
                sql.push(" AND strpos(").push(part.sounds()).push(", ");
                push_text(sql, &format!("\u{1}{word}"));
                sql.push(") > 0");
            }
            sql.push(")");
        }
        Test::Either(tests) => push_either(sql, tests, |sql, test| push_test(part, sql, test)),
    }
}

fn push_equal(part: &Part, sql: &mut Sql, values: &[String]) {
    let list = || values.iter().map(|value| kept(value).into_owned()).collect::<Vec<_>>();
    match (part.shape, part.kind) {
        (Shape::Uid, _) => {
            sql.push(part.column).push(" = ANY(").push_bind(uids(values)).push(")");
        }
        (_, Kind::Texts | Kind::Uids) => {
            let text = text_of(part);
            push_either(sql, values, |sql, value| {
                sql.push("strpos('\\' || ").push(&text).push(" || '\\', ");
                push_text(sql, &format!("\\{value}\\"));
                sql.push(") > 0");
            });
        }
        (Shape::Word, _) => {
            sql.push(part.column).push(" IN (SELECT id FROM word WHERE text = ANY(");
            sql.push_bind(list()).push("))");
        }
        (Shape::Text | Shape::Number(_) | Shape::Name(..) | Shape::Indexed, _) => {
            sql.push(text_of(part));
            match values {
                [value] => {
                    sql.push(" = ");
                    push_text(sql, value);
                }
                _ => {
                    sql.push(" = ANY(").push_bind(list()).push(")");
                }
            }
        }
    }
}

fn push_like(part: &Part, sql: &mut Sql, pattern: &str) {
    let text = text_of(part);
    if matches!(part.kind, Kind::Texts | Kind::Uids) {
        sql.push("EXISTS (SELECT 1 FROM unnest(string_to_array(").push(&text);
        sql.push(", '\\')) v(part) WHERE v.part <> '' AND v.part LIKE ");
        sql.push_bind(like(pattern)).push(")");
        return;
    }
    sql.push("(").push(&text).push(" <> '' AND ").push(&text).push(" LIKE ");
    sql.push_bind(like(pattern));
    let prefix = pattern.split(['*', '?']).next().unwrap_or_default();
    if part.shape == Shape::Indexed && !prefix.is_empty() {
        let KeyRange { from, to } = beginning(prefix.to_owned());
        sql.push(" AND ").push(&text).push(" >= ");
        push_text(sql, &from);
        sql.push(" AND ").push(&text).push(" <= ");
        push_text(sql, &to);
    }
    sql.push(")");
}

/// The value as folded text, as the kind says.
fn text_of(part: &Part) -> String {
    let column = part.column;
    let text = match part.shape {
        Shape::Uid => format!(
            "(CASE WHEN substring({column} FROM 1 FOR 1) = '\\xff'::bytea \
             THEN convert_from(substring({column} FROM 2), 'UTF8') \
             ELSE rtrim(replace(encode({column}, 'hex'), 'a', '.'), 'f') END COLLATE \"C\")"
        ),
        Shape::Word => format!("(SELECT text FROM word WHERE id = {column})"),
        Shape::Number(_) => format!("(coalesce({column}::text, '') COLLATE \"C\")"),
        Shape::Text | Shape::Name(..) | Shape::Indexed => column.to_owned(),
    };
    if part.folds() { format!("lower({text})") } else { text }
}

/// Adds `(a OR b ...)`.
fn push_either<T>(sql: &mut Sql, of: &[T], push: impl Fn(&mut Sql, &T)) {
    sql.push("(false");
    for one in of {
        sql.push(" OR ");
        push(sql, one);
    }
    sql.push(")");
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn what_means_something_to_like_stands_for_itself() {
        assert_eq!(like("*王?\\50%_[a]"), "%王_\\\\50\\%\\_[a]");
    }
}
