//! What is read of persons.

use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};

use super::super::load::column;
use crate::app::people::ports::{
    DecidedPerson, KeptParticulars, KeptPerson, PeopleCounts, PeopleState, PersonDocument,
    PersonEvent, PersonReview, Stated, Unsettled,
};
use crate::sharing::exchange::{Document, Kind};
use crate::sharing::patient::Decision;
use crate::store::hub::people::BODIES_BYTES_MAX;
use crate::store::hub::{count, damaged, int, sha};

pub(super) async fn state(pool: &PgPool) -> Result<PeopleState, sqlx::Error> {
    let row = sqlx::query("SELECT change, number FROM people_state WHERE one = 1");
    let row = row.fetch_one(pool).await?;
    Ok(PeopleState { change: count(row.try_get(0)?), number: count(row.try_get(1)?) })
}

pub(super) async fn changes(
    pool: &PgPool,
    after: u64,
    limit: usize,
) -> Result<Vec<KeptPerson>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, sealed, into_person, change FROM person WHERE change > $1 \
         ORDER BY change LIMIT $2",
    )
    .bind(int(after))
    .bind(limited(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(person).collect()
}

pub(super) async fn unsettled(pool: &PgPool, limit: usize) -> Result<Vec<Unsettled>, sqlx::Error> {
    let rows = sqlx::query(
        "WITH w AS MATERIALIZED (SELECT t.document, sum(d.bytes) OVER (ORDER BY t.document) \
         - d.bytes AS before FROM (SELECT document FROM people_todo ORDER BY document LIMIT $1) t \
         JOIN document d ON d.number = t.document) \
         SELECT d.number, d.kind, d.name, d.version, d.media_type, d.sha256, d.body \
         FROM w JOIN document d ON d.number = w.document WHERE w.before < $2 ORDER BY d.number",
    )
    .bind(limited(limit))
    .bind(BODIES_BYTES_MAX)
    .fetch_all(pool)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let kind: String = row.try_get(1)?;
        let body: Vec<u8> = row.try_get(6)?;
        let document = Document {
            kind: Kind::named(&kind).ok_or_else(|| damaged("kind"))?,
            name: row.try_get(2)?,
            version: u32::try_from(row.try_get::<i64, _>(3)?).map_err(|_| damaged("version"))?,
            media_type: row.try_get(4)?,
            sha256: sha(row.try_get(5)?)?,
            body: body.into(),
        };
        all.push(Unsettled { number: count(row.try_get(0)?), document });
    }
    Ok(all)
}

pub(super) async fn known(
    pool: &PgPool,
    digests: &[Stated],
) -> Result<Vec<KeptParticulars>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, digest, core, sealed, person, at_ms FROM particulars \
         WHERE digest = ANY($1::bytea[]) ORDER BY number",
    )
    .bind(column(digests, <[u8; 16]>::as_slice))
    .fetch_all(pool)
    .await?;
    rows.iter().map(particulars_row).collect()
}

pub(super) async fn decided(
    pool: &PgPool,
    cores: &[Stated],
) -> Result<Vec<DecidedPerson>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT DISTINCT j.core, p.person, d.same, d.decision FROM unnest($1::bytea[]) j(core) \
         CROSS JOIN LATERAL (SELECT core_b AS other, same, decision FROM person_decision \
         WHERE core_a = j.core AND undone_ms = 0 UNION ALL \
         SELECT core_a, same, decision FROM person_decision \
         WHERE core_b = j.core AND undone_ms = 0) d \
         JOIN particulars p ON p.core = d.other ORDER BY d.decision",
    )
    .bind(column(cores, <[u8; 16]>::as_slice))
    .fetch_all(pool)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let decision = if row.try_get(2)? { Decision::Same } else { Decision::Different };
        let person = count(row.try_get(1)?);
        all.push(DecidedPerson { core: stated(row, 0)?, person, decision });
    }
    Ok(all)
}

pub(super) async fn persons(
    pool: &PgPool,
    numbers: &[u64],
) -> Result<Vec<KeptPerson>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, sealed, into_person, change FROM person WHERE number = ANY($1::int8[]) \
         ORDER BY number",
    )
    .bind(column(numbers, |number| int(*number)))
    .fetch_all(pool)
    .await?;
    rows.iter().map(person).collect()
}

pub(super) async fn particulars_of(
    pool: &PgPool,
    persons: &[u64],
) -> Result<Vec<KeptParticulars>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, digest, core, sealed, person, at_ms FROM particulars \
         WHERE person = ANY($1::int8[]) ORDER BY number",
    )
    .bind(column(persons, |number| int(*number)))
    .fetch_all(pool)
    .await?;
    rows.iter().map(particulars_row).collect()
}

pub(super) async fn particulars(
    pool: &PgPool,
    numbers: &[u64],
) -> Result<Vec<KeptParticulars>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, digest, core, sealed, person, at_ms FROM particulars \
         WHERE number = ANY($1::int8[]) ORDER BY number",
    )
    .bind(column(numbers, |number| int(*number)))
    .fetch_all(pool)
    .await?;
    rows.iter().map(particulars_row).collect()
}

pub(super) async fn reviews(
    pool: &PgPool,
    closed: bool,
    after: u64,
    limit: usize,
) -> Result<Vec<PersonReview>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, particulars, candidates, at_ms, closed_ms, outcome FROM person_review \
         WHERE number > $1 AND ($2 OR closed_ms = 0) ORDER BY number LIMIT $3",
    )
    .bind(int(after))
    .bind(closed)
    .bind(limited(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(review).collect()
}

pub(super) async fn reviews_of(
    pool: &PgPool,
    particulars: &[u64],
    number: Option<u64>,
) -> Result<Vec<PersonReview>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, particulars, candidates, at_ms, closed_ms, outcome FROM person_review \
         WHERE particulars = ANY($1::int8[]) OR number = $2 ORDER BY number",
    )
    .bind(column(particulars, |number| int(*number)))
    .bind(number.map(int))
    .fetch_all(pool)
    .await?;
    rows.iter().map(review).collect()
}

const EVENT: &str = "SELECT number, at_ms, action, particulars, from_person, to_person, decision, \
    by_whom, reason FROM person_event";

pub(super) async fn events(pool: &PgPool, person: u64) -> Result<Vec<PersonEvent>, sqlx::Error> {
    let sql = format!("{EVENT} WHERE from_person = $1 OR to_person = $1 ORDER BY number");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(int(person)).fetch_all(pool).await?;
    rows.iter().map(event).collect()
}

pub(super) async fn decision(pool: &PgPool, number: u64) -> Result<Vec<PersonEvent>, sqlx::Error> {
    let sql = format!(
        "{EVENT} WHERE decision = $1 AND action <> 'undone' AND NOT EXISTS (SELECT 1 \
         FROM person_event u WHERE u.decision = $1 AND u.action = 'undone') ORDER BY number"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(int(number)).fetch_all(pool).await?;
    rows.iter().map(event).collect()
}

pub(super) async fn documents(
    pool: &PgPool,
    particulars: &[u64],
) -> Result<Vec<PersonDocument>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT l.particulars, d.kind, d.name, d.version, d.node, ARRAY(SELECT i.node FROM inbox i \
         WHERE i.document = d.number ORDER BY i.node) FROM particulars_document l \
         JOIN document d ON d.number = l.document WHERE l.particulars = ANY($1::int8[]) \
         ORDER BY d.number",
    )
    .bind(column(particulars, |number| int(*number)))
    .fetch_all(pool)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        all.push(PersonDocument {
            particulars: count(row.try_get(0)?),
            kind: row.try_get(1)?,
            name: row.try_get(2)?,
            version: u32::try_from(row.try_get::<i64, _>(3)?).map_err(|_| damaged("version"))?,
            sender: row.try_get(4)?,
            nodes: row.try_get(5)?,
        });
    }
    Ok(all)
}

pub(super) async fn waiting(pool: &PgPool) -> Result<(u64, u64), sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM people_todo), \
         (SELECT count(*) FROM person_review WHERE closed_ms = 0)",
    )
    .fetch_one(pool)
    .await?;
    Ok((count(row.try_get(0)?), count(row.try_get(1)?)))
}

pub(super) async fn counts(pool: &PgPool) -> Result<PeopleCounts, sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM person WHERE into_person = 0), \
         (SELECT count(*) FROM particulars), (SELECT count(*) FROM people_todo), \
         (SELECT count(*) FROM particulars_document WHERE particulars = 0), \
         (SELECT count(*) FROM person_review WHERE closed_ms = 0)",
    )
    .fetch_one(pool)
    .await?;
    Ok(PeopleCounts {
        persons: count(row.try_get(0)?),
        particulars: count(row.try_get(1)?),
        unsettled: count(row.try_get(2)?),
        unidentified: count(row.try_get(3)?),
        reviews: count(row.try_get(4)?),
    })
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn stated(row: &PgRow, at: usize) -> Result<Stated, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(at)?;
    bytes.try_into().map_err(|_| damaged("digest"))
}

fn person(row: &PgRow) -> Result<KeptPerson, sqlx::Error> {
    Ok(KeptPerson {
        number: count(row.try_get(0)?),
        sealed: row.try_get(1)?,
        into: count(row.try_get(2)?),
        change: count(row.try_get(3)?),
    })
}

fn particulars_row(row: &PgRow) -> Result<KeptParticulars, sqlx::Error> {
    Ok(KeptParticulars {
        number: count(row.try_get(0)?),
        digest: stated(row, 1)?,
        core: stated(row, 2)?,
        sealed: row.try_get(3)?,
        person: count(row.try_get(4)?),
        at_ms: row.try_get(5)?,
    })
}

fn review(row: &PgRow) -> Result<PersonReview, sqlx::Error> {
    Ok(PersonReview {
        number: count(row.try_get(0)?),
        particulars: count(row.try_get(1)?),
        candidates: row.try_get(2)?,
        at_ms: row.try_get(3)?,
        closed_ms: row.try_get(4)?,
        outcome: row.try_get(5)?,
    })
}

fn event(row: &PgRow) -> Result<PersonEvent, sqlx::Error> {
    Ok(PersonEvent {
        number: count(row.try_get(0)?),
        at_ms: row.try_get(1)?,
        action: row.try_get(2)?,
        particulars: count(row.try_get(3)?),
        from: count(row.try_get(4)?),
        to: count(row.try_get(5)?),
        decision: count(row.try_get(6)?),
        by: row.try_get(7)?,
        reason: row.try_get(8)?,
    })
}
