//! The statements that write a whole batch, each one trip to the server and one transaction.
//!
//! A `WITH` of inserts and updates, one a table; PostgreSQL runs all of them. The short one is for
//! batches that bring instances to series that are there, which is most of them.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sqlx::postgres::PgConnection;
use sqlx::{SqlSafeStr as _, SqlStr};

use super::values::Rows;
use crate::app::imaging::ports::IndexCounts;
use crate::sharing::imaging::object::Location;
use crate::store::studies::packed::int;

/// Rows of patients: id; identity, what is sealed; ID, issuer, name, birth date, sex, look, sounds.
pub(super) type Patients = Rows<1, 2, 7>;
/// Rows of studies, in the order of their columns.
pub(super) type Studies = Rows<6, 1, 12>;
/// Rows of series, in the order of their columns.
pub(super) type Series = Rows<5, 1, 22>;
/// Rows of instances, in the order of their columns.
pub(super) type Instances = Rows<16, 2, 8>;
/// Rows of objects kept apart, in the order of their columns.
pub(super) type Apart = Rows<9, 4, 0>;

/// What a batch writes.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) words: Rows<1, 0, 1>,
    pub(super) patients: Patients,
    /// Patient, key.
    pub(super) name_keys: Rows<1, 0, 1>,
    pub(super) studies: Studies,
    pub(super) series: Series,
    pub(super) instances: Instances,
    pub(super) apart: Apart,
    /// Study, series, instances, bytes.
    pub(super) study_counts: Rows<4, 0, 0>,
    /// Series, instances, bytes.
    pub(super) series_counts: Rows<3, 0, 0>,
    pub(super) reached: Location,
    pub(super) counts: IndexCounts,
    pub(super) changes: i64,
}

static SHORT: LazyLock<SqlStr> = LazyLock::new(|| statement(false));
static FULL: LazyLock<SqlStr> = LazyLock::new(|| statement(true));

/// A statement while it is written.
struct Text {
    sql: String,
    parameters: usize,
}

impl Text {
    /// Adds `unnest` over columns of numbers, bytes and texts.
    fn unnest(&mut self, [ints, bytes, texts]: [usize; 3]) {
        let types = [("int8", ints), ("bytea", bytes), ("text", texts)];
        let types = types.iter().flat_map(|(name, n)| std::iter::repeat_n(*name, *n));
        for (at, name) in types.enumerate() {
            self.parameters += 1;
            let before = if at == 0 { "unnest(" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(self.sql, "{before}${}::{name}[]", self.parameters);
        }
        self.sql.push(')');
    }

    /// Adds an insert of rows into a table, given with its columns where they stand in another order.
    fn insert(&mut self, into: &str, columns: [usize; 3], then: &str) {
        let table = into.split(' ').next().unwrap_or_default();
        let _ = write!(self.sql, "{table}_new AS (INSERT INTO {into} SELECT * FROM ");
        self.unnest(columns);
        let _ = write!(self.sql, " {then}), ");
    }

    /// Adds an insert of rows that replace those with their id.
    fn replace(&mut self, table: &str, columns: [usize; 3], names: &str) {
        let fresh: Vec<_> = names.split(", ").map(|name| format!("EXCLUDED.{name}")).collect();
        let fresh = fresh.join(", ");
        self.insert(
            &format!("{table} (id, {names})"),
            columns,
            &format!("ON CONFLICT (id) DO UPDATE SET ({names}) = ROW({fresh})"),
        );
    }

    /// Adds an update of counts by id.
    fn count(&mut self, table: &str, names: &str) {
        let columns = names.split(", ").count() + 1;
        let fresh: Vec<_> = names.split(", ").map(|name| format!("j.{name}")).collect();
        let fresh = fresh.join(", ");
        let _ = write!(
            self.sql,
            "{table}_counts AS (UPDATE {table} SET ({names}) = ROW({fresh}) FROM "
        );
        self.unnest([columns, 0, 0]);
        let _ = write!(self.sql, " j(id, {names}) WHERE {table}.id = j.id), ");
    }
}

fn statement(full: bool) -> SqlStr {
    let mut text = Text { sql: "WITH ".to_owned(), parameters: 0 };
    if full {
        text.insert("word", [1, 0, 1], "");
        text.replace(
            "patient",
            [1, 2, 7],
            "identity, sealed, patient_id, issuer, name, birth_date, sex, look, sounds",
        );
        text.insert("name_key", [1, 0, 1], "ON CONFLICT DO NOTHING");
        text.replace(
            "study",
            [6, 1, 12],
            "patient, instances, bytes, series, guessed, uid, date, time, modalities, sop_classes, \
             accession_number, study_id, description, referring_physician, referring_look, \
             referring_sounds, patient_age, procedure",
        );
        text.replace(
            "series",
            [5, 1, 22],
            "study, instances, bytes, ordinal, uid, sop_classes, modality, number, description, \
             date, time, body_part, laterality, view_position, protocol, contrast_agent, \
             anatomic_region, anatomic_region_code, institution, department, station, \
             manufacturer, model, performed_date, performed_time, requested_procedure_id, \
             scheduled_step_id",
        );
    }
    text.insert("instance", [16, 2, 8], "");
    text.insert("apart", [9, 4, 0], "");
    text.count("study", "series, instances, bytes");
    text.count("series", "instances, bytes");
    text.sql.truncate(text.sql.trim_end_matches(", ").len());
    text.sql.push_str(" UPDATE state SET ");
    let names = [
        "segment",
        "start",
        "body",
        "length",
        "patients",
        "studies",
        "series",
        "instances",
        "apart",
        "changes",
    ];
    for (at, name) in names.iter().enumerate() {
        text.parameters += 1;
        let before = if at == 0 { "" } else { ", " };
        let _ = write!(text.sql, "{before}{name} = ${}", text.parameters);
    }
    // Names of columns and tables of this file, and nothing else.
    sqlx::AssertSqlSafe(text.sql).into_sql_str()
}

impl Batch {
    /// Writes all of it, or nothing.
    pub(super) async fn write(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let full = !(self.words.is_empty()
            && self.patients.is_empty()
            && self.name_keys.is_empty()
            && self.studies.is_empty()
            && self.series.is_empty());
        let mut query = sqlx::query(if full { FULL.clone() } else { SHORT.clone() });
        if full {
            query = self.words.bind(query);
            query = self.patients.bind(query);
            query = self.name_keys.bind(query);
            query = self.studies.bind(query);
            query = self.series.bind(query);
        }
        query = self.instances.bind(query);
        query = self.apart.bind(query);
        query = self.study_counts.bind(query);
        query = self.series_counts.bind(query);
        let Location { segment, offset, body, length } = self.reached;
        let IndexCounts { patients, studies, series, instances, apart } = self.counts;
        for number in [segment, offset, body, length, patients, studies, series, instances, apart] {
            query = query.bind(int(number));
        }
        query.bind(self.changes).execute(connection).await?;
        Ok(())
    }
}
