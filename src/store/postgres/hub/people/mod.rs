//! Persons at a hub over PostgreSQL.
//!
//! Whoever writes locks the one row of `people_state`, and goes on only if it is as it was read. The lock
//! that registrations hold alone is taken together with other submissions first, so that no registration
//! changes meanwhile.

mod read;

use std::collections::BTreeSet;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Row as _};

use super::batch::lock_heads;
use super::listen::Notes;
use super::load::column;
use super::{HubStore, again};
use crate::app::error::Error;
use crate::app::people::ports::{
    Applied, DecidedPerson, HubPeople, KeptParticulars, KeptPerson, PeopleChange, PeopleCounts,
    PeopleState, PersonDocument, PersonEvent, PersonReview, Stated, Unsettled,
};
use crate::app::ports::BoxFuture;
use crate::store::hub::people::{Meeting, deliveries, receivers};
use crate::store::hub::{count, int, sha};

/// The lock of submissions, held together with them.
const SHARED: &str = "SELECT pg_advisory_xact_lock_shared(22625, \
    current_schema()::regnamespace::oid::int8::bit(32)::int4)";

const WRITE: &str = "\
    WITH persons AS (INSERT INTO person (number, sealed, into_person, change) \
    SELECT * FROM unnest($1::int8[], $2::bytea[], $3::int8[], $4::int8[]) ON CONFLICT (number) \
    DO UPDATE SET sealed = excluded.sealed, into_person = excluded.into_person, \
    change = excluded.change), \
    stated AS (INSERT INTO particulars (number, digest, core, sealed, person, at_ms) \
    SELECT * FROM unnest($5::int8[], $6::bytea[], $7::bytea[], $8::bytea[], $9::int8[], \
    $10::int8[])), \
    documents AS (INSERT INTO particulars_document (document, particulars) \
    SELECT * FROM unnest($11::int8[], $12::int8[]) ON CONFLICT (document) DO NOTHING), \
    done AS (DELETE FROM people_todo WHERE document = ANY($11::int8[])), \
    events AS (INSERT INTO person_event (number, at_ms, action, particulars, from_person, \
    to_person, decision, by_whom, reason) SELECT * FROM unnest($13::int8[], $14::int8[], \
    $15::text[], $16::int8[], $17::int8[], $18::int8[], $19::int8[], $20::text[], $21::text[])), \
    reviews AS (INSERT INTO person_review (number, particulars, candidates, at_ms, closed_ms, \
    outcome) SELECT *, 0, '' FROM unnest($22::int8[], $23::int8[], $24::text[], $25::int8[])), \
    decisions AS (INSERT INTO person_decision (decision, core_a, core_b, same, undone_ms) \
    SELECT *, 0 FROM unnest($26::int8[], $27::bytea[], $28::bytea[], $29::bool[]) \
    ON CONFLICT DO NOTHING), \
    undone AS (UPDATE person_decision SET undone_ms = $30 WHERE decision = ANY($31::int8[])), \
    entries AS (INSERT INTO audit (at_ms, node, action, document, outcome, recipients) \
    SELECT $30, j.by_whom, j.action, j.document, j.outcome, '' FROM unnest($32::text[], \
    $33::text[], $34::int8[], $35::text[]) j(by_whom, action, document, outcome)) \
    UPDATE people_state SET change = $36, number = $37";

/// Records, and tasks of them, that a registration of their person gives to a node which neither has
/// nor sent them. `OFFSET 0` keeps the planner from beginning at the other end.
const MEETINGS: &str = "\
    WITH docs AS MATERIALIZED (SELECT j.person, l.document FROM unnest($1::int8[]) j(person) \
    CROSS JOIN LATERAL (SELECT p.number FROM particulars p WHERE p.person = j.person OFFSET 0) p \
    CROSS JOIN LATERAL (SELECT l.document FROM particulars_document l \
    WHERE l.particulars = p.number OFFSET 0) l), \
    givers AS MATERIALIZED (SELECT docs.person, r.node, r.relation FROM docs \
    CROSS JOIN LATERAL (SELECT r.node, r.relation FROM registration r \
    WHERE r.document = docs.document AND r.active \
    AND (r.until_ms IS NULL OR r.until_ms >= $2) OFFSET 0) r), \
    records AS MATERIALIZED (SELECT docs.person, d.number, d.sha256, d.name FROM docs \
    CROSS JOIN LATERAL (SELECT d.number, d.sha256, d.name, d.version FROM document d \
    WHERE d.number = docs.document AND d.kind = 'record' OFFSET 0) d \
    WHERE EXISTS (SELECT 1 FROM givers g WHERE g.person = docs.person) \
    AND NOT EXISTS (SELECT 1 FROM document l WHERE l.name = d.name AND l.version > d.version \
    AND l.kind = 'record' OFFSET 0)), \
    given AS (SELECT 0 AS rank, g.node, g.relation, r.number, r.sha256 FROM givers g \
    JOIN records r ON r.person = g.person \
    UNION ALL SELECT 1, g.node, g.relation, t.number, t.sha256 FROM givers g \
    JOIN records r ON r.person = g.person CROSS JOIN LATERAL (SELECT t.number, t.sha256 \
    FROM document t WHERE t.name > r.name || '#' AND t.name < r.name || '$' \
    AND t.kind = 'task' OFFSET 0) t) \
    SELECT given.node, given.number, given.sha256, given.relation, given.rank FROM given \
    WHERE NOT EXISTS (SELECT 1 FROM inbox i WHERE i.document = given.number \
    AND i.node = given.node OFFSET 0) \
    AND NOT EXISTS (SELECT 1 FROM handed h WHERE h.document = given.number \
    AND h.node = given.node OFFSET 0) ORDER BY given.node, given.number, given.relation";

impl HubPeople for HubStore {
    fn state(&self) -> BoxFuture<'_, Result<PeopleState, Error>> {
        Box::pin(again(move || read::state(&self.pool)))
    }

    fn changes(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<KeptPerson>, Error>> {
        Box::pin(again(move || read::changes(&self.pool, after, limit)))
    }

    fn unsettled(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Unsettled>, Error>> {
        Box::pin(again(move || read::unsettled(&self.pool, limit)))
    }

    fn known<'a>(
        &'a self,
        digests: &'a [Stated],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(again(move || read::known(&self.pool, digests)))
    }

    fn decided<'a>(
        &'a self,
        cores: &'a [Stated],
    ) -> BoxFuture<'a, Result<Vec<DecidedPerson>, Error>> {
        Box::pin(again(move || read::decided(&self.pool, cores)))
    }

    fn persons<'a>(&'a self, numbers: &'a [u64]) -> BoxFuture<'a, Result<Vec<KeptPerson>, Error>> {
        Box::pin(again(move || read::persons(&self.pool, numbers)))
    }

    fn particulars_of<'a>(
        &'a self,
        persons: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(again(move || read::particulars_of(&self.pool, persons)))
    }

    fn particulars<'a>(
        &'a self,
        numbers: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(again(move || read::particulars(&self.pool, numbers)))
    }

    fn apply(&self, change: PeopleChange) -> BoxFuture<'_, Result<Applied, Error>> {
        Box::pin(async move {
            let (applied, grown) = again(|| apply(&self.pool, &self.notes, &change)).await?;
            for node in grown {
                self.grown.tell(&node);
            }
            Ok(applied)
        })
    }

    fn reviews(
        &self,
        closed: bool,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<PersonReview>, Error>> {
        Box::pin(again(move || read::reviews(&self.pool, closed, after, limit)))
    }

    fn reviews_of<'a>(
        &'a self,
        particulars: &'a [u64],
        number: Option<u64>,
    ) -> BoxFuture<'a, Result<Vec<PersonReview>, Error>> {
        Box::pin(again(move || read::reviews_of(&self.pool, particulars, number)))
    }

    fn events(&self, person: u64) -> BoxFuture<'_, Result<Vec<PersonEvent>, Error>> {
        Box::pin(again(move || read::events(&self.pool, person)))
    }

    fn decision(&self, number: u64) -> BoxFuture<'_, Result<Vec<PersonEvent>, Error>> {
        Box::pin(again(move || read::decision(&self.pool, number)))
    }

    fn documents<'a>(
        &'a self,
        particulars: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<PersonDocument>, Error>> {
        Box::pin(again(move || read::documents(&self.pool, particulars)))
    }

    fn waiting(&self) -> BoxFuture<'_, Result<(u64, u64), Error>> {
        Box::pin(again(move || read::waiting(&self.pool)))
    }

    fn counts(&self) -> BoxFuture<'_, Result<PeopleCounts, Error>> {
        Box::pin(again(move || read::counts(&self.pool)))
    }
}

/// Writes a change unless somebody else was faster. Also the nodes whose inboxes have grown.
async fn apply(
    pool: &PgPool,
    notes: &Notes,
    change: &PeopleChange,
) -> Result<(Applied, Vec<String>), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    sqlx::query(SHARED).execute(&mut *transaction).await?;
    let row = sqlx::query("SELECT change, number FROM people_state WHERE one = 1 FOR UPDATE")
        .fetch_one(&mut *transaction)
        .await?;
    let state = PeopleState { change: count(row.try_get(0)?), number: count(row.try_get(1)?) };
    if state != change.seen {
        return Ok((Applied::Stale, Vec::new()));
    }
    let last = state.change + u64::try_from(change.persons.len()).unwrap_or(0);
    let state = PeopleState { change: last, number: change.number };
    write(&mut transaction, change, state).await?;
    rewrite(&mut transaction, change).await?;
    let grown = route(&mut transaction, notes, change).await?;
    transaction.commit().await?;
    Ok((Applied::Done(state), grown))
}

async fn write(
    connection: &mut PgConnection,
    change: &PeopleChange,
    state: PeopleState,
) -> Result<(), sqlx::Error> {
    let PeopleChange { persons, particulars, settled, events, reviews, decisions, audit, .. } =
        change;
    let changes: Vec<i64> = (change.seen.change + 1..=state.change).map(int).collect();
    sqlx::query(WRITE)
        .bind(column(persons, |one| int(one.number)))
        .bind(column(persons, |one| one.sealed.as_slice()))
        .bind(column(persons, |one| int(one.into)))
        .bind(changes)
        .bind(column(particulars, |one| int(one.number)))
        .bind(column(particulars, |one| one.digest.as_slice()))
        .bind(column(particulars, |one| one.core.as_slice()))
        .bind(column(particulars, |one| one.sealed.as_slice()))
        .bind(column(particulars, |one| int(one.person)))
        .bind(column(particulars, |one| one.at_ms))
        .bind(column(settled, |(document, _)| int(*document)))
        .bind(column(settled, |(_, of)| int(*of)))
        .bind(column(events, |one| int(one.number)))
        .bind(column(events, |one| one.at_ms))
        .bind(column(events, |one| one.action.as_str()))
        .bind(column(events, |one| int(one.particulars)))
        .bind(column(events, |one| int(one.from)))
        .bind(column(events, |one| int(one.to)))
        .bind(column(events, |one| int(one.decision)))
        .bind(column(events, |one| one.by.as_str()))
        .bind(column(events, |one| one.reason.as_str()))
        .bind(column(reviews, |one| int(one.number)))
        .bind(column(reviews, |one| int(one.particulars)))
        .bind(column(reviews, |one| one.candidates.as_str()))
        .bind(column(reviews, |one| one.at_ms))
        .bind(column(decisions, |one| int(one.decision)))
        .bind(column(decisions, |one| one.a.as_slice()))
        .bind(column(decisions, |one| one.b.as_slice()))
        .bind(column(decisions, |one| one.same))
        .bind(change.at_ms)
        .bind(column(&change.undone, |one| int(*one)))
        .bind(column(audit, |one| one.by.as_str()))
        .bind(column(audit, |one| one.action))
        .bind(column(audit, |one| int(one.document)))
        .bind(column(audit, |one| one.outcome.as_str()))
        .bind(int(state.change))
        .bind(int(state.number))
        .execute(connection)
        .await?;
    Ok(())
}

/// What changes rows that may have been written by the same change.
async fn rewrite(connection: &mut PgConnection, change: &PeopleChange) -> Result<(), sqlx::Error> {
    if !change.moves.is_empty() {
        sqlx::query(
            "UPDATE particulars p SET person = j.person \
             FROM unnest($1::int8[], $2::int8[]) j(number, person) WHERE p.number = j.number",
        )
        .bind(column(&change.moves, |(number, _)| int(*number)))
        .bind(column(&change.moves, |(_, person)| int(*person)))
        .execute(&mut *connection)
        .await?;
    }
    if !change.closed.is_empty() {
        sqlx::query(
            "UPDATE person_review r SET outcome = j.outcome, \
             closed_ms = CASE WHEN j.outcome = '' THEN 0 ELSE $3 END \
             FROM unnest($1::int8[], $2::text[]) j(number, outcome) WHERE r.number = j.number",
        )
        .bind(column(&change.closed, |(number, _)| int(*number)))
        .bind(column(&change.closed, |(_, outcome)| *outcome))
        .bind(change.at_ms)
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Puts records into the inboxes of nodes that are to have them. The nodes.
async fn route(
    connection: &mut PgConnection,
    notes: &Notes,
    change: &PeopleChange,
) -> Result<Vec<String>, sqlx::Error> {
    if change.routed.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(MEETINGS)
        .bind(column(&change.routed, |person| int(*person)))
        .bind(change.at_ms)
        .fetch_all(&mut *connection)
        .await?;
    let mut meetings = Vec::with_capacity(rows.len());
    for row in &rows {
        meetings.push(Meeting {
            node: row.try_get(0)?,
            document: row.try_get(1)?,
            sha256: sha(row.try_get(2)?)?,
            relation: row.try_get(3)?,
            is_task: row.try_get::<i32, _>(4)? == 1,
        });
    }
    if meetings.is_empty() {
        return Ok(Vec::new());
    }
    let to: BTreeSet<String> = receivers(&meetings);
    let (_, heads) = lock_heads(connection, &to, 0).await?;
    let (inbox, changed) = deliveries(meetings, &heads);
    let grown: Vec<String> = to.into_iter().collect();
    sqlx::query(
        "WITH deliveries AS (INSERT INTO inbox (node, number, document, chain, reason) \
         SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], $4::bytea[], $5::text[])), \
         heads AS (UPDATE head h SET number = j.number, chain = j.chain \
         FROM unnest($6::text[], $7::int8[], $8::bytea[]) j(node, number, chain) \
         WHERE h.node = j.node), \
         entries AS (INSERT INTO audit (at_ms, node, action, document, outcome, recipients) \
         SELECT $9, 'hub', 'linked', j.document, j.reason, j.node \
         FROM unnest($1::text[], $3::int8[], $5::text[]) j(node, document, reason)) \
         SELECT count(pg_notify($10, j.note)) FROM unnest($11::text[]) j(note)",
    )
    .bind(column(&inbox, |row| row.node.as_str()))
    .bind(column(&inbox, |row| int(row.cursor.number)))
    .bind(column(&inbox, |row| row.document))
    .bind(column(&inbox, |row| row.cursor.chain.as_slice()))
    .bind(column(&inbox, |row| row.reason))
    .bind(column(&changed, |row| row.node.as_str()))
    .bind(column(&changed, |row| int(row.cursor.number)))
    .bind(column(&changed, |row| row.cursor.chain.as_slice()))
    .bind(change.at_ms)
    .bind(notes.channel())
    .bind(notes.of(&grown))
    .execute(connection)
    .await?;
    Ok(grown)
}
