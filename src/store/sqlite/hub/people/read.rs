//! What is read of persons.

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::listed;
use crate::app::people::ports::{
    DecidedPerson, KeptParticulars, KeptPerson, PeopleCounts, PeopleState, PersonDocument,
    PersonEvent, PersonReview, Stated, Unsettled,
};
use crate::sharing::exchange::{Document, Kind};
use crate::sharing::patient::Decision;
use crate::store::hub::people::BODIES_BYTES_MAX;
use crate::store::hub::{count, damaged, int, sha};

pub(super) async fn state(
    connection: impl sqlx::SqliteExecutor<'_>,
) -> Result<PeopleState, sqlx::Error> {
    let row = sqlx::query("SELECT change, number FROM people_state WHERE one = 1");
    let row = row.fetch_one(connection).await?;
    Ok(PeopleState { change: count(row.try_get(0)?), number: count(row.try_get(1)?) })
}

pub(super) async fn changes(
    pool: &SqlitePool,
    after: u64,
    limit: usize,
) -> Result<Vec<KeptPerson>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, sealed, into_person, change FROM person WHERE change > ?1 \
         ORDER BY change LIMIT ?2",
    )
    .bind(int(after))
    .bind(limited(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(person).collect()
}

pub(super) async fn unsettled(
    pool: &SqlitePool,
    limit: usize,
) -> Result<Vec<Unsettled>, sqlx::Error> {
    let rows = sqlx::query(
        "WITH w AS MATERIALIZED (SELECT t.document, sum(d.bytes) OVER (ORDER BY t.document) \
         - d.bytes AS before FROM (SELECT document FROM people_todo ORDER BY document LIMIT ?1) t \
         JOIN document d ON d.number = t.document) \
         SELECT d.number, d.kind, d.name, d.version, d.media_type, d.sha256, d.body \
         FROM w JOIN document d ON d.number = w.document WHERE w.before < ?2 ORDER BY d.number",
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
    pool: &SqlitePool,
    digests: &[Stated],
) -> Result<Vec<KeptParticulars>, sqlx::Error> {
    let mut all = Vec::new();
    for digest in digests {
        let row = sqlx::query(
            "SELECT number, digest, core, sealed, person, at_ms FROM particulars WHERE digest = ?1",
        )
        .bind(digest.as_slice())
        .fetch_optional(pool)
        .await?;
        all.extend(row.as_ref().map(particulars_row).transpose()?);
    }
    all.sort_by_key(|one| one.number);
    Ok(all)
}

pub(super) async fn decided(
    pool: &SqlitePool,
    cores: &[Stated],
) -> Result<Vec<DecidedPerson>, sqlx::Error> {
    let mut all = Vec::new();
    for core in cores {
        let rows = sqlx::query(
            "SELECT DISTINCT p.person, d.same, d.decision FROM \
             (SELECT core_b AS other, same, decision FROM person_decision \
             WHERE core_a = ?1 AND undone_ms = 0 UNION ALL \
             SELECT core_a, same, decision FROM person_decision \
             WHERE core_b = ?1 AND undone_ms = 0) d \
             JOIN particulars p ON p.core = d.other ORDER BY d.decision",
        )
        .bind(core.as_slice())
        .fetch_all(pool)
        .await?;
        for row in &rows {
            let decision = if row.try_get(1)? { Decision::Same } else { Decision::Different };
            all.push(DecidedPerson { core: *core, person: count(row.try_get(0)?), decision });
        }
    }
    Ok(all)
}

pub(super) async fn persons(
    pool: &SqlitePool,
    numbers: &[u64],
) -> Result<Vec<KeptPerson>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, sealed, into_person, change FROM person WHERE number IN (SELECT value FROM json_each(?1)) \
         ORDER BY number",
    )
    .bind(listed(numbers))
    .fetch_all(pool)
    .await?;
    rows.iter().map(person).collect()
}

pub(super) async fn particulars_of(
    pool: &SqlitePool,
    persons: &[u64],
) -> Result<Vec<KeptParticulars>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, digest, core, sealed, person, at_ms FROM particulars \
         WHERE person IN (SELECT value FROM json_each(?1)) ORDER BY number",
    )
    .bind(listed(persons))
    .fetch_all(pool)
    .await?;
    rows.iter().map(particulars_row).collect()
}

pub(super) async fn particulars(
    pool: &SqlitePool,
    numbers: &[u64],
) -> Result<Vec<KeptParticulars>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, digest, core, sealed, person, at_ms FROM particulars \
         WHERE number IN (SELECT value FROM json_each(?1)) ORDER BY number",
    )
    .bind(listed(numbers))
    .fetch_all(pool)
    .await?;
    rows.iter().map(particulars_row).collect()
}

pub(super) async fn reviews(
    pool: &SqlitePool,
    closed: bool,
    after: u64,
    limit: usize,
) -> Result<Vec<PersonReview>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, particulars, candidates, at_ms, closed_ms, outcome FROM person_review \
         WHERE number > ?1 AND (?2 OR closed_ms = 0) ORDER BY number LIMIT ?3",
    )
    .bind(int(after))
    .bind(closed)
    .bind(limited(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(review).collect()
}

pub(super) async fn reviews_of(
    pool: &SqlitePool,
    particulars: &[u64],
    number: Option<u64>,
) -> Result<Vec<PersonReview>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, particulars, candidates, at_ms, closed_ms, outcome FROM person_review \
         WHERE particulars IN (SELECT value FROM json_each(?1)) OR number = ?2 ORDER BY number",
    )
    .bind(listed(particulars))
    .bind(number.map(int))
    .fetch_all(pool)
    .await?;
    rows.iter().map(review).collect()
}

const EVENT: &str = "SELECT number, at_ms, action, particulars, from_person, to_person, decision, \
    by_whom, reason FROM person_event";

pub(super) async fn events(
    pool: &SqlitePool,
    person: u64,
) -> Result<Vec<PersonEvent>, sqlx::Error> {
    let sql = format!("{EVENT} WHERE from_person = ?1 OR to_person = ?1 ORDER BY number");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(int(person)).fetch_all(pool).await?;
    rows.iter().map(event).collect()
}

pub(super) async fn decision(
    pool: &SqlitePool,
    number: u64,
) -> Result<Vec<PersonEvent>, sqlx::Error> {
    let sql = format!(
        "{EVENT} WHERE decision = ?1 AND action <> 'undone' AND NOT EXISTS (SELECT 1 \
         FROM person_event u WHERE u.decision = ?1 AND u.action = 'undone') ORDER BY number"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(int(number)).fetch_all(pool).await?;
    rows.iter().map(event).collect()
}

pub(super) async fn documents(
    pool: &SqlitePool,
    particulars: &[u64],
) -> Result<Vec<PersonDocument>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT l.particulars, d.kind, d.name, d.version, d.node, \
         (SELECT json_group_array(i.node) FROM inbox i WHERE i.document = d.number) \
         FROM particulars_document l \
         JOIN document d ON d.number = l.document WHERE l.particulars IN (SELECT value FROM json_each(?1)) \
         ORDER BY d.number",
    )
    .bind(listed(particulars))
    .fetch_all(pool)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let nodes: String = row.try_get(5)?;
        let mut nodes: Vec<String> =
            serde_json::from_str(&nodes).map_err(|_| damaged("nodes of a document"))?;
        nodes.sort_unstable();
        all.push(PersonDocument {
            particulars: count(row.try_get(0)?),
            kind: row.try_get(1)?,
            name: row.try_get(2)?,
            version: u32::try_from(row.try_get::<i64, _>(3)?).map_err(|_| damaged("version"))?,
            sender: row.try_get(4)?,
            nodes,
        });
    }
    Ok(all)
}

pub(super) async fn waiting(pool: &SqlitePool) -> Result<(u64, u64), sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM people_todo), \
         (SELECT count(*) FROM person_review WHERE closed_ms = 0)",
    )
    .fetch_one(pool)
    .await?;
    Ok((count(row.try_get(0)?), count(row.try_get(1)?)))
}

pub(super) async fn counts(pool: &SqlitePool) -> Result<PeopleCounts, sqlx::Error> {
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

fn stated(row: &SqliteRow, at: usize) -> Result<Stated, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(at)?;
    bytes.try_into().map_err(|_| damaged("digest"))
}

fn person(row: &SqliteRow) -> Result<KeptPerson, sqlx::Error> {
    Ok(KeptPerson {
        number: count(row.try_get(0)?),
        sealed: row.try_get(1)?,
        into: count(row.try_get(2)?),
        change: count(row.try_get(3)?),
    })
}

fn particulars_row(row: &SqliteRow) -> Result<KeptParticulars, sqlx::Error> {
    Ok(KeptParticulars {
        number: count(row.try_get(0)?),
        digest: stated(row, 1)?,
        core: stated(row, 2)?,
        sealed: row.try_get(3)?,
        person: count(row.try_get(4)?),
        at_ms: row.try_get(5)?,
    })
}

fn review(row: &SqliteRow) -> Result<PersonReview, sqlx::Error> {
    Ok(PersonReview {
        number: count(row.try_get(0)?),
        particulars: count(row.try_get(1)?),
        candidates: row.try_get(2)?,
        at_ms: row.try_get(3)?,
        closed_ms: row.try_get(4)?,
        outcome: row.try_get(5)?,
    })
}

fn event(row: &SqliteRow) -> Result<PersonEvent, sqlx::Error> {
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
