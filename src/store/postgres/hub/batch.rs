//! One transaction of the writer: lock, read, decide, lock the heads, write, commit.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::listen::Notes;
use super::load::{column, load};
use crate::app::exchange::ports::Submission;
use crate::sharing::exchange::{Cursor, Outcome};
use crate::store::hub::plan::{Class, Plan, Questions, class};
use crate::store::hub::rows::{ConsentRow, Rows};
use crate::store::hub::{Scopes, count, int, relation_name, sha};

/// A node has so much of its inbox.
#[derive(Debug, Clone)]
pub(super) struct Advance {
    pub(super) node: String,
    pub(super) number: u64,
    pub(super) at_ms: i64,
}

/// What a batch has come to.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// One for each submission.
    pub(super) outcomes: Vec<Outcome>,
    /// Nodes whose inbox has grown.
    pub(super) grown: Vec<String>,
}

/// The lock that registrations and consent hold alone and other submissions together. It is taken by a statement
/// of its own, so that those after it see what was committed before it was had.
const SHARED: &str = "BEGIN; SELECT pg_advisory_xact_lock_shared(22625, \
    current_schema()::regnamespace::oid::int8::bit(32)::int4)";
const ALONE: &str = "BEGIN; SELECT pg_advisory_xact_lock(22625, \
    current_schema()::regnamespace::oid::int8::bit(32)::int4)";

/// Heads in order of name, so that two hubs never wait for each other, and numbers for documents: those
/// rise in time at all hubs.
const LOCK_HEADS: &str = "\
    WITH locked AS MATERIALIZED (SELECT h.node, h.number, h.chain FROM head h \
    WHERE h.node = ANY($1::text[]) ORDER BY h.node FOR UPDATE) \
    SELECT l.node, l.number, l.chain FROM locked l \
    UNION ALL SELECT NULL, nextval('document_number'), NULL FROM generate_series(1, $2::int8)";

const WRITE: &str = "\
    WITH documents AS (INSERT INTO document (number, kind, name, version, variant, media_type, \
    sha256, sm3, node, withdrawn, kept_ms, bytes, body) SELECT * FROM unnest($1::int8[], \
    $2::text[], $3::text[], $4::int8[], $5::bytea[], $6::text[], $7::bytea[], $8::bytea[], \
    $9::text[], $10::bool[], $11::int8[], $12::int8[], $13::bytea[])), \
    todo AS (INSERT INTO people_todo (document) SELECT j.number \
    FROM unnest($1::int8[], $2::text[]) j(number, kind) WHERE j.kind IN ('record', 'registration')), \
    handed_over AS (INSERT INTO handed (node, store, number, document) \
    SELECT * FROM unnest($14::text[], $15::text[], $16::int8[], $17::int8[])), \
    keys AS (INSERT INTO document_key (key, document) \
    SELECT * FROM unnest($18::bytea[], $19::int8[])), \
    deliveries AS (INSERT INTO inbox (node, number, document, chain, reason, handed_ms) \
    SELECT * FROM unnest($20::text[], $21::int8[], $22::int8[], $23::bytea[], $24::text[], \
    $59::int8[])), \
    heads AS (INSERT INTO head (node, number, chain, handed) \
    SELECT * FROM unnest($25::text[], $26::int8[], $27::bytea[], $28::int8[]) \
    ON CONFLICT (node) DO UPDATE SET number = excluded.number, chain = excluded.chain, \
    handed = head.handed + excluded.handed), \
    registrations AS (INSERT INTO registration (key, node, relation, active, until_ms, name, \
    version, document) SELECT * FROM unnest($29::bytea[], $30::text[], $31::text[], $32::bool[], \
    $33::int8[], $34::text[], $35::int8[], $36::int8[]) ON CONFLICT (key, node, relation) \
    DO UPDATE SET active = excluded.active, until_ms = excluded.until_ms, name = excluded.name, \
    version = excluded.version, document = excluded.document), \
    consents AS (INSERT INTO consent (key, name, version, at_ms, sha256, given, record, document) \
    SELECT * FROM unnest($48::bytea[], $49::text[], $50::int8[], $51::int8[], $52::bytea[], \
    $53::bool[], $54::text[], $55::int8[]) ON CONFLICT (key, name) DO UPDATE SET \
    version = excluded.version, at_ms = excluded.at_ms, sha256 = excluded.sha256, \
    given = excluded.given, record = excluded.record, document = excluded.document), \
    names AS (INSERT INTO record_name (name, node, author) \
    SELECT * FROM unnest($56::text[], $57::text[], $58::text[])), \
    entries AS (INSERT INTO audit (at_ms, node, action, document, outcome, recipients) \
    SELECT * FROM unnest($37::int8[], $38::text[], $39::text[], $40::int8[], $41::text[], \
    $42::text[])), \
    members AS (INSERT INTO member (node, store, kept, seen_ms) SELECT j.node, '', j.number, j.at \
    FROM unnest($43::text[], $44::int8[], $45::int8[]) j(node, number, at) ORDER BY j.node \
    ON CONFLICT (node) DO UPDATE SET kept = greatest(member.kept, excluded.kept), \
    seen_ms = greatest(member.seen_ms, excluded.seen_ms)) \
    SELECT count(pg_notify($46, j.note)) FROM unnest($47::text[]) j(note)";

/// Keeps submissions of one class, and writes down how far nodes have
/// come; both at most once a node. After an error nothing of it is there, but a transaction may be open.
pub(super) async fn commit(
    connection: &mut PgConnection,
    scopes: &Scopes,
    notes: &Notes,
    batch: &[Submission],
    advances: &[Advance],
) -> Result<Done, sqlx::Error> {
    if batch.is_empty() {
        write(connection, notes, &Rows::default(), batch, advances).await?;
        return Ok(Done::default());
    }
    let is_shared = batch.iter().all(|submission| class(submission) == Class::Other);
    let begin = if is_shared { SHARED } else { ALONE };
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    let loaded = load(connection, &Questions::of(batch)).await?;
    let plan = Plan::make(batch, scopes, loaded);
    let is_read_only = plan.is_empty() && advances.is_empty();
    let (numbers, heads) = if plan.handed.is_empty() && plan.deliveries.is_empty() {
        (Vec::new(), HashMap::new())
    } else {
        lock_heads(connection, &plan.heads(batch), plan.new.len()).await?
    };
    let rows = Rows::settle(plan, batch, &numbers, &heads)
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    if !is_read_only {
        write(connection, notes, &rows, batch, advances).await?;
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(Done { grown: rows.grown(), outcomes: rows.outcomes })
}

/// Makes the heads of inboxes that have none.
pub(super) async fn make_heads(
    connection: &mut PgConnection,
    nodes: &[&str],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO head (node, number, chain, handed) SELECT j.node, 0, $2, 0 \
         FROM unnest($1::text[]) j(node) ORDER BY j.node ON CONFLICT DO NOTHING",
    )
    .bind(nodes)
    .bind(Cursor::default().chain.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks the heads of `nodes`, until the transaction ends, and takes so many numbers of documents.
pub(super) async fn lock_heads(
    connection: &mut PgConnection,
    nodes: &BTreeSet<String>,
    documents: usize,
) -> Result<(Vec<i64>, HashMap<String, Cursor>), sqlx::Error> {
    let (mut numbers, mut heads) = (Vec::with_capacity(documents), HashMap::new());
    let mut wanted: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut documents = i64::try_from(documents).unwrap_or(0);
    loop {
        let rows = sqlx::query(LOCK_HEADS)
            .bind(&wanted)
            .bind(documents)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            let number: i64 = row.try_get(1)?;
            match row.try_get::<Option<String>, _>(0)? {
                None => numbers.push(number),
                Some(node) => {
                    let cursor = Cursor { number: count(number), chain: sha(row.try_get(2)?)? };
                    heads.insert(node, cursor);
                }
            }
        }
        wanted.retain(|node| !heads.contains_key(*node));
        if wanted.is_empty() {
            return Ok((numbers, heads));
        }
        documents = 0;
        make_heads(connection, &wanted).await?;
    }
}

async fn write(
    connection: &mut PgConnection,
    notes: &Notes,
    rows: &Rows,
    batch: &[Submission],
    advances: &[Advance],
) -> Result<(), sqlx::Error> {
    let documents: Vec<(&Submission, i64)> = placed(batch, &rows.documents);
    let handed: Vec<(&Submission, i64)> = placed(batch, &rows.handed);
    let names: Vec<&Submission> = rows.names.iter().filter_map(|place| batch.get(*place)).collect();
    let mut keys: Vec<(&[u8], i64)> = Vec::new();
    for (submission, number) in &documents {
        let distinct: BTreeSet<_> = submission.facts.keys.iter().collect();
        keys.extend(distinct.into_iter().map(|key| (key.as_slice(), *number)));
    }
    sqlx::query(WRITE)
        .bind(column(&documents, |(_, number)| *number))
        .bind(column(&documents, |(of, _)| of.document.kind.name()))
        .bind(column(&documents, |(of, _)| of.document.name.as_str()))
        .bind(column(&documents, |(of, _)| i64::from(of.document.version)))
        .bind(column(&documents, |(of, _)| variant(of)))
        .bind(column(&documents, |(of, _)| of.document.media_type.as_str()))
        .bind(column(&documents, |(of, _)| of.document.sha256.as_slice()))
        .bind(column(&documents, |(of, _)| of.sm3.as_slice()))
        .bind(column(&documents, |(of, _)| of.node.as_str()))
        .bind(column(&documents, |(of, _)| of.facts.withdrawn))
        .bind(column(&documents, |(of, _)| of.at_ms))
        .bind(column(&documents, |(of, _)| i64::try_from(of.document.body.len()).unwrap_or(0)))
        .bind(column(&documents, |(of, _)| &of.document.body[..]))
        .bind(column(&handed, |(of, _)| of.node.as_str()))
        .bind(column(&handed, |(of, _)| of.store.as_str()))
        .bind(column(&handed, |(of, _)| int(of.number)))
        .bind(column(&handed, |(_, number)| *number))
        .bind(column(&keys, |(key, _)| *key))
        .bind(column(&keys, |(_, number)| *number))
        .bind(column(&rows.inbox, |row| row.node.as_str()))
        .bind(column(&rows.inbox, |row| int(row.cursor.number)))
        .bind(column(&rows.inbox, |row| row.document))
        .bind(column(&rows.inbox, |row| row.cursor.chain.as_slice()))
        .bind(column(&rows.inbox, |row| row.reason))
        .bind(column(&rows.heads, |row| row.node.as_str()))
        .bind(column(&rows.heads, |row| int(row.cursor.number)))
        .bind(column(&rows.heads, |row| row.cursor.chain.as_slice()))
        .bind(column(&rows.heads, |row| row.handed))
        .bind(column(&rows.registrations, |row| row.key.as_slice()))
        .bind(column(&rows.registrations, |row| row.node.as_str()))
        .bind(column(&rows.registrations, |row| relation_name(row.relation)))
        .bind(column(&rows.registrations, |row| row.said.active))
        .bind(column(&rows.registrations, |row| row.said.until_ms))
        .bind(column(&rows.registrations, |row| row.said.name.as_str()))
        .bind(column(&rows.registrations, |row| i64::from(row.said.version)))
        .bind(column(&rows.registrations, |row| row.document))
        .bind(column(&rows.audit, |row| row.at_ms))
        .bind(column(&rows.audit, |row| row.node.as_str()))
        .bind(column(&rows.audit, |row| row.action))
        .bind(column(&rows.audit, |row| row.document))
        .bind(column(&rows.audit, |row| row.outcome.as_str()))
        .bind(column(&rows.audit, |row| row.recipients.as_str()))
        .bind(column(advances, |advance| advance.node.as_str()))
        .bind(column(advances, |advance| int(advance.number)))
        .bind(column(advances, |advance| advance.at_ms))
        .bind(notes.channel())
        .bind(notes.of(&rows.grown()))
        .bind(column(&rows.consents, |row| row.key.as_slice()))
        .bind(column(&rows.consents, |row| row.name.as_str()))
        .bind(column(&rows.consents, |row| i64::from(row.said.version)))
        .bind(column(&rows.consents, |row| row.said.consent.at_ms))
        .bind(column(&rows.consents, |row| row.said.sha256.as_slice()))
        .bind(column(&rows.consents, |row| row.said.consent.given))
        .bind(column(&rows.consents, ConsentRow::record))
        .bind(column(&rows.consents, |row| row.document))
        .bind(column(&names, |of| of.document.name.as_str()))
        .bind(column(&names, |of| of.node.as_str()))
        .bind(column(&names, |of| of.facts.author.as_str()))
        .bind(column(&rows.inbox, |row| row.handed_ms))
        .execute(connection)
        .await?;
    Ok(())
}

fn placed<'a>(batch: &'a [Submission], rows: &[(usize, i64)]) -> Vec<(&'a Submission, i64)> {
    rows.iter().filter_map(|(place, number)| Some((batch.get(*place)?, *number))).collect()
}

/// Empty; of a task or consent its digest, because those of one version are kept beside each other.
fn variant(submission: &Submission) -> &[u8] {
    if submission.document.kind.has_variants() {
        submission.document.sha256.as_slice()
    } else {
        &[]
    }
}
