//! Persons at a hub over SQLite: one connection writes, so that whoever has begun is alone.

mod read;

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::HubStore;
use super::keep::{deliver, enter, heads, set_head};
use crate::app::error::Error;
use crate::app::people::ports::{
    Applied, DecidedPerson, HubPeople, KeptParticulars, KeptPerson, PeopleChange, PeopleCounts,
    PeopleState, PersonDocument, PersonEvent, PersonReview, Stated, Unsettled,
};
use crate::app::ports::BoxFuture;
use crate::store::hub::people::{Meeting, deliveries, receivers};
use crate::store::hub::rows::AuditRow;
use crate::store::hub::{failed, int, sha};

/// As at PostgreSQL; persons come as a JSON array.
const MEETINGS: &str = "\
    WITH docs AS MATERIALIZED (SELECT p.person, l.document FROM particulars p \
    JOIN particulars_document l ON l.particulars = p.number \
    WHERE p.person IN (SELECT value FROM json_each(?1))), \
    givers AS MATERIALIZED (SELECT docs.person, r.node, r.relation FROM docs \
    JOIN registration r ON r.document = docs.document \
    WHERE r.active AND (r.until_ms IS NULL OR r.until_ms >= ?2)), \
    records AS MATERIALIZED (SELECT docs.person, d.number, d.sha256, d.name FROM docs \
    JOIN document d ON d.number = docs.document AND d.kind = 'record' \
    WHERE EXISTS (SELECT 1 FROM givers g WHERE g.person = docs.person) \
    AND NOT EXISTS (SELECT 1 FROM document l WHERE l.name = d.name AND l.version > d.version \
    AND l.kind = 'record')), \
    given AS (SELECT 0 AS rank, g.node, g.relation, r.number, r.sha256 FROM givers g \
    JOIN records r ON r.person = g.person \
    UNION ALL SELECT 1, g.node, g.relation, t.number, t.sha256 FROM givers g \
    JOIN records r ON r.person = g.person JOIN document t ON t.kind = 'task' \
    AND t.name > r.name || '#' AND t.name < r.name || '$') \
    SELECT given.node, given.number, given.sha256, given.relation, given.rank FROM given \
    WHERE NOT EXISTS (SELECT 1 FROM inbox i WHERE i.document = given.number \
    AND i.node = given.node) \
    AND NOT EXISTS (SELECT 1 FROM handed h WHERE h.document = given.number \
    AND h.node = given.node) ORDER BY given.node, given.number, given.relation";

impl HubPeople for HubStore {
    fn state(&self) -> BoxFuture<'_, Result<PeopleState, Error>> {
        Box::pin(async move { read::state(&self.readers).await.map_err(failed) })
    }

    fn changes(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<KeptPerson>, Error>> {
        Box::pin(async move { read::changes(&self.readers, after, limit).await.map_err(failed) })
    }

    fn unsettled(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Unsettled>, Error>> {
        Box::pin(async move { read::unsettled(&self.readers, limit).await.map_err(failed) })
    }

    fn known<'a>(
        &'a self,
        digests: &'a [Stated],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(async move { read::known(&self.readers, digests).await.map_err(failed) })
    }

    fn decided<'a>(
        &'a self,
        cores: &'a [Stated],
    ) -> BoxFuture<'a, Result<Vec<DecidedPerson>, Error>> {
        Box::pin(async move { read::decided(&self.readers, cores).await.map_err(failed) })
    }

    fn persons<'a>(&'a self, numbers: &'a [u64]) -> BoxFuture<'a, Result<Vec<KeptPerson>, Error>> {
        Box::pin(async move { read::persons(&self.readers, numbers).await.map_err(failed) })
    }

    fn particulars_of<'a>(
        &'a self,
        persons: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(async move { read::particulars_of(&self.readers, persons).await.map_err(failed) })
    }

    fn particulars<'a>(
        &'a self,
        numbers: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>> {
        Box::pin(async move { read::particulars(&self.readers, numbers).await.map_err(failed) })
    }

    fn apply(&self, change: PeopleChange) -> BoxFuture<'_, Result<Applied, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let (applied, grown) = apply(&mut transaction, &change).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
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
        Box::pin(
            async move { read::reviews(&self.readers, closed, after, limit).await.map_err(failed) },
        )
    }

    fn reviews_of<'a>(
        &'a self,
        particulars: &'a [u64],
        number: Option<u64>,
    ) -> BoxFuture<'a, Result<Vec<PersonReview>, Error>> {
        Box::pin(async move {
            read::reviews_of(&self.readers, particulars, number).await.map_err(failed)
        })
    }

    fn events(&self, person: u64) -> BoxFuture<'_, Result<Vec<PersonEvent>, Error>> {
        Box::pin(async move { read::events(&self.readers, person).await.map_err(failed) })
    }

    fn decision(&self, number: u64) -> BoxFuture<'_, Result<Vec<PersonEvent>, Error>> {
        Box::pin(async move { read::decision(&self.readers, number).await.map_err(failed) })
    }

    fn documents<'a>(
        &'a self,
        particulars: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<PersonDocument>, Error>> {
        Box::pin(async move { read::documents(&self.readers, particulars).await.map_err(failed) })
    }

    fn waiting(&self) -> BoxFuture<'_, Result<(u64, u64), Error>> {
        Box::pin(async move { read::waiting(&self.readers).await.map_err(failed) })
    }

    fn counts(&self) -> BoxFuture<'_, Result<PeopleCounts, Error>> {
        Box::pin(async move { read::counts(&self.readers).await.map_err(failed) })
    }
}

/// Writes a change unless somebody else was faster. Also the nodes whose inboxes have grown.
async fn apply(
    connection: &mut SqliteConnection,
    change: &PeopleChange,
) -> Result<(Applied, Vec<String>), sqlx::Error> {
    let state = read::state(&mut *connection).await?;
    if state != change.seen {
        return Ok((Applied::Stale, Vec::new()));
    }
    let mut last = state.change;
    for KeptPerson { number, sealed, into, .. } in &change.persons {
        last += 1;
        sqlx::query(
            "INSERT INTO person (number, sealed, into_person, change) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (number) DO UPDATE SET sealed = ?2, into_person = ?3, change = ?4",
        )
        .bind(int(*number))
        .bind(sealed.as_slice())
        .bind(int(*into))
        .bind(int(last))
        .execute(&mut *connection)
        .await?;
    }
    for one in &change.particulars {
        sqlx::query(
            "INSERT INTO particulars (number, digest, core, sealed, person, at_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(int(one.number))
        .bind(one.digest.as_slice())
        .bind(one.core.as_slice())
        .bind(one.sealed.as_slice())
        .bind(int(one.person))
        .bind(one.at_ms)
        .execute(&mut *connection)
        .await?;
    }
    for (document, particulars) in &change.settled {
        sqlx::query(
            "INSERT INTO particulars_document (document, particulars) VALUES (?1, ?2) \
             ON CONFLICT (document) DO NOTHING",
        )
        .bind(int(*document))
        .bind(int(*particulars))
        .execute(&mut *connection)
        .await?;
        sqlx::query("DELETE FROM people_todo WHERE document = ?1")
            .bind(int(*document))
            .execute(&mut *connection)
            .await?;
    }
    tell(connection, change).await?;
    rewrite(connection, change).await?;
    let state = PeopleState { change: last, number: change.number };
    sqlx::query("UPDATE people_state SET change = ?1, number = ?2")
        .bind(int(state.change))
        .bind(int(state.number))
        .execute(&mut *connection)
        .await?;
    let grown = route(connection, change).await?;
    Ok((Applied::Done(state), grown))
}

/// What happened, what is to be looked at, and what was decided.
async fn tell(connection: &mut SqliteConnection, change: &PeopleChange) -> Result<(), sqlx::Error> {
    for one in &change.events {
        sqlx::query(
            "INSERT INTO person_event (number, at_ms, action, particulars, from_person, to_person, \
             decision, by_whom, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(int(one.number))
        .bind(one.at_ms)
        .bind(&one.action)
        .bind(int(one.particulars))
        .bind(int(one.from))
        .bind(int(one.to))
        .bind(int(one.decision))
        .bind(&one.by)
        .bind(&one.reason)
        .execute(&mut *connection)
        .await?;
    }
    for one in &change.reviews {
        sqlx::query(
            "INSERT INTO person_review (number, particulars, candidates, at_ms, closed_ms, outcome) \
             VALUES (?1, ?2, ?3, ?4, 0, '')",
        )
        .bind(int(one.number))
        .bind(int(one.particulars))
        .bind(&one.candidates)
        .bind(one.at_ms)
        .execute(&mut *connection)
        .await?;
    }
    for one in &change.decisions {
        sqlx::query(
            "INSERT INTO person_decision (decision, core_a, core_b, same, undone_ms) \
             VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT DO NOTHING",
        )
        .bind(int(one.decision))
        .bind(one.a.as_slice())
        .bind(one.b.as_slice())
        .bind(one.same)
        .execute(&mut *connection)
        .await?;
    }
    for one in &change.audit {
        let row = AuditRow {
            at_ms: change.at_ms,
            node: one.by.clone(),
            action: one.action,
            document: int(one.document),
            outcome: one.outcome.clone(),
            recipients: String::new(),
        };
        enter(connection, &row).await?;
    }
    Ok(())
}

async fn rewrite(
    connection: &mut SqliteConnection,
    change: &PeopleChange,
) -> Result<(), sqlx::Error> {
    for decision in &change.undone {
        sqlx::query("UPDATE person_decision SET undone_ms = ?2 WHERE decision = ?1")
            .bind(int(*decision))
            .bind(change.at_ms)
            .execute(&mut *connection)
            .await?;
    }
    for (number, person) in &change.moves {
        sqlx::query("UPDATE particulars SET person = ?2 WHERE number = ?1")
            .bind(int(*number))
            .bind(int(*person))
            .execute(&mut *connection)
            .await?;
    }
    for (number, outcome) in &change.closed {
        sqlx::query(
            "UPDATE person_review SET outcome = ?2, \
             closed_ms = CASE WHEN ?2 = '' THEN 0 ELSE ?3 END WHERE number = ?1",
        )
        .bind(int(*number))
        .bind(*outcome)
        .bind(change.at_ms)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Puts records into the inboxes of nodes that are to have them. The nodes.
async fn route(
    connection: &mut SqliteConnection,
    change: &PeopleChange,
) -> Result<Vec<String>, sqlx::Error> {
    if change.routed.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(MEETINGS)
        .bind(listed(&change.routed))
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
            is_task: row.try_get::<i64, _>(4)? == 1,
        });
    }
    let nodes: BTreeSet<String> = receivers(&meetings);
    let heads = heads(connection, &nodes).await?;
    let (inbox, changed) = deliveries(meetings, &heads);
    for row in &inbox {
        deliver(connection, row).await?;
        let entry = AuditRow {
            at_ms: change.at_ms,
            node: "hub".to_owned(),
            action: "linked",
            document: row.document,
            outcome: row.reason.to_owned(),
            recipients: row.node.clone(),
        };
        enter(connection, &entry).await?;
    }
    for row in &changed {
        set_head(connection, row).await?;
    }
    Ok(nodes.into_iter().collect())
}

/// Numbers as a JSON array.
fn listed(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(|number| int(*number).to_string()).collect();
    format!("[{}]", numbers.join(","))
}
