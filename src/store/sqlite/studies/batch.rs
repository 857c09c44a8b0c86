//! One statement that writes a whole batch: trips to the connection's thread cost more than rows.
//!
//! A view that only takes inserts has a row for each instance, and one for all the rest, whose
//! columns are JSON lists of rows. `SQLite` puts a transaction around the statement.

use sqlx::QueryBuilder;
use sqlx::sqlite::SqliteConnection;

use crate::app::imaging::ports::IndexCounts;
use crate::sharing::imaging::header::Instance;
use crate::sharing::imaging::matching;
use crate::sharing::imaging::object::Location;
use crate::store::studies::INSTANCES_MAX;
use crate::store::studies::packed::{cut_digest, int, pack_uid};
use crate::store::studies::plan::{NewInstance, some};

/// Parameters of an instance; `SQLite` takes 32,766 in a statement.
const PARAMETERS: usize = 27;
const _: () = assert!((INSTANCES_MAX + 1) * PARAMETERS <= 32_766, "a batch must fit one statement");

/// What a row of the view is.
const INSTANCE: i64 = 1;
/// Counts, and how far the index has come.
const COUNTS: i64 = 2;
/// The same, and words, patients, studies and series.
const FULL: i64 = 3;

/// Everything else that a batch writes.
#[derive(Debug)]
pub(super) struct Totals {
    /// Whether one of the next five has rows.
    pub(super) full: bool,
    pub(super) words: String,
    pub(super) patients: String,
    pub(super) name_keys: String,
    pub(super) studies: String,
    pub(super) series: String,
    pub(super) apart: String,
    pub(super) study_counts: String,
    pub(super) series_counts: String,
    pub(super) reached: Location,
    pub(super) counts: IndexCounts,
    pub(super) changes: i64,
}

/// Makes the view; it belongs to the connection.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "CREATE TEMP VIEW batch AS SELECT NULL AS kind, NULL AS a0, NULL AS a1, NULL AS a2, \
             NULL AS a3, NULL AS a4, NULL AS a5, NULL AS a6, NULL AS a7, NULL AS a8, NULL AS a9, \
             NULL AS a10, NULL AS a11, NULL AS a12, NULL AS a13, NULL AS a14, NULL AS a15, NULL \
             AS a16, NULL AS a17, NULL AS a18, NULL AS a19, NULL AS a20, NULL AS a21, NULL AS \
             a22, NULL AS a23, NULL AS a24, NULL AS a25; \
         CREATE TEMP TRIGGER batch_instance INSTEAD OF INSERT ON batch WHEN NEW.kind = 1 \
             BEGIN \
             INSERT INTO instance VALUES (NEW.a0, NEW.a1, NEW.a2, NEW.a3, NEW.a4, NEW.a5, \
                 NEW.a6, NEW.a7, NEW.a8, NEW.a9, NEW.a10, NEW.a11, NEW.a12, NEW.a13, NEW.a14, \
                 NEW.a15, NEW.a16, NEW.a17, NEW.a18, NEW.a19, NEW.a20, NEW.a21, NEW.a22, NEW.a23, \
                 NEW.a24, NEW.a25); \
         END; \
         CREATE TEMP TRIGGER batch_full INSTEAD OF INSERT ON batch WHEN NEW.kind = 3 BEGIN \
             INSERT INTO word SELECT value ->> 0, value ->> 1 FROM json_each(NEW.a0); \
             INSERT OR REPLACE INTO patient SELECT value ->> 0, value ->> 1, value ->> 2, \
                 value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7 FROM \
                 json_each(NEW.a1); \
             INSERT OR IGNORE INTO name_key SELECT value ->> 0, value ->> 1 FROM \
                 json_each(NEW.a2); \
             INSERT OR REPLACE INTO study SELECT value ->> 0, value ->> 1, value ->> 2, value \
                 ->> 3, value ->> 4, value ->> 5, unhex(value ->> 6), value ->> 7, value ->> 8, \
                 value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> \
                 14, value ->> 15, value ->> 16, value ->> 17, value ->> 18 FROM \
                 json_each(NEW.a3); \
             INSERT OR REPLACE INTO series SELECT value ->> 0, value ->> 1, value ->> 2, \
                 value ->> 3, value ->> 4, unhex(value ->> 5), value ->> 6, value ->> 7, value \
                 ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, \
                 value ->> 14, value ->> 15, value ->> 16, value ->> 17, value ->> 18, value ->> \
                 19, value ->> 20, value ->> 21, value ->> 22, value ->> 23, value ->> 24, value \
                 ->> 25, value ->> 26, value ->> 27 FROM json_each(NEW.a4); \
         END; \
         CREATE TEMP TRIGGER batch_counts INSTEAD OF INSERT ON batch WHEN NEW.kind > 1 BEGIN \
             INSERT INTO apart SELECT value ->> 0, unhex(value ->> 1), unhex(value ->> 2), \
                 unhex(value ->> 3), value ->> 4, value ->> 5, value ->> 6, unhex(value ->> 7), \
                 value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12 \
                 FROM json_each(NEW.a5); \
             UPDATE study SET series = j.value ->> 1, instances = j.value ->> 2, bytes = \
                 j.value ->> 3 FROM json_each(NEW.a6) j WHERE study.id = j.value ->> 0; \
             UPDATE series SET instances = j.value ->> 1, bytes = j.value ->> 2 FROM \
                 json_each(NEW.a7) j WHERE series.id = j.value ->> 0; \
             UPDATE state SET segment = NEW.a8, start = NEW.a9, body = NEW.a10, length = \
                 NEW.a11, patients = NEW.a12, studies = NEW.a13, series = NEW.a14, instances = \
                 NEW.a15, apart = NEW.a16, changes = NEW.a17; \
         END;",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes `instances` and `totals`, or nothing.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    instances: &[NewInstance],
    totals: &Totals,
) -> Result<(), sqlx::Error> {
    // Rows that are nothing fill up to a power of two, so that few texts stay prepared.
    let padding = instances.len().next_power_of_two() - instances.len();
    let rows = instances
        .iter()
        .map(|instance| Some(Row::Instance(instance)))
        .chain((0..padding).map(|_| None))
        .chain(std::iter::once(Some(Row::Totals(totals))));
    let mut query = QueryBuilder::new("INSERT INTO batch ");
    query.push_values(rows, |mut columns, row| match row {
        Some(Row::Instance(instance)) => push_instance(&mut columns, instance),
        Some(Row::Totals(totals)) => push_totals(&mut columns, totals),
        None => push_nothing(&mut columns, PARAMETERS),
    });
    query.build().execute(connection).await?;
    Ok(())
}

enum Row<'a> {
    Instance(&'a NewInstance),
    Totals(&'a Totals),
}

type Columns<'a, 'b> = sqlx::query_builder::Separated<'a, sqlx::Sqlite, &'b str>;

fn push_nothing(columns: &mut Columns<'_, '_>, how_many: usize) {
    for _ in 0..how_many {
        columns.push_bind(None::<i64>);
    }
}

fn push_instance(columns: &mut Columns<'_, '_>, new: &NewInstance) {
    let Instance {
        sop_class: _,
        uid: _,
        number,
        content_date,
        content_time,
        image_type: _,
        rows,
        columns: pixel_columns,
        frames,
        bits_allocated,
        slice_thickness,
        image_position,
        burned_in_annotation,
        report_state,
        report_title,
    } = &new.entry.header.instance;
    let (head, rest) = cut_digest(&new.entry.digest);
    let Location { segment, offset, body, length } = new.entry.location;
    columns
        .push_bind(INSTANCE)
        .push_bind(new.id)
        .push_bind(new.series)
        .push_bind(matching::number(number))
        .push_bind(pack_uid(&new.entry.head.uids.instance))
        .push_bind(new.sop_class)
        .push_bind(new.transfer_syntax)
        .push_bind(new.image_type)
        .push_bind(some(*rows))
        .push_bind(some(*pixel_columns))
        .push_bind(some(*frames))
        .push_bind(some(*bits_allocated))
        .push_bind(head)
        .push_bind(rest.to_vec())
        .push_bind(int(segment))
        .push_bind(int(offset))
        .push_bind(int(body.saturating_sub(offset)))
        .push_bind(int(length))
        .push_bind(new.entry.head.received_ms);
    for text in [
        number,
        content_date,
        content_time,
        slice_thickness,
        image_position,
        burned_in_annotation,
        report_state,
        report_title,
    ] {
        columns.push_bind(text.clone());
    }
}

fn push_totals(columns: &mut Columns<'_, '_>, totals: &Totals) {
    columns.push_bind(if totals.full { FULL } else { COUNTS });
    for rows in [
        &totals.words,
        &totals.patients,
        &totals.name_keys,
        &totals.studies,
        &totals.series,
        &totals.apart,
        &totals.study_counts,
        &totals.series_counts,
    ] {
        columns.push_bind(rows.clone());
    }
    let Location { segment, offset, body, length } = totals.reached;
    let IndexCounts { patients, studies, series, instances, apart } = totals.counts;
    for number in [segment, offset, body, length, patients, studies, series, instances, apart] {
        columns.push_bind(int(number));
    }
    columns.push_bind(totals.changes);
    push_nothing(columns, 8);
}
