//! Nodes that come, and what is put aside.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Row as _};

use super::batch::make_heads;
use super::listen::Notes;
use super::load::column;
use crate::app::exchange::ports::Quarantined;
use crate::sharing::exchange::hub::Acquaintance;
use crate::sharing::exchange::{Cursor, Hello, Welcome};
use crate::store::hub::{Came, Greeting, count, int, mended, sha, standing_name};

/// Documents of one statement that gives back.
const GIVEN_MAX: usize = 4_096;

/// Writes down who came. Whether the node's inbox has grown by that. The node's head is locked before
/// anything is read, so that it comes to one hub after the other.
pub(super) async fn attend(
    pool: &PgPool,
    notes: &Notes,
    node: &str,
    hello: &Hello,
    at_ms: i64,
) -> Result<(Welcome, bool), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let head = lock_head(&mut transaction, node).await?;
    let came = came(&mut transaction, node, hello).await?;
    let greeting = Greeting::of(hello, came);
    sqlx::query(
        "INSERT INTO member AS m (node, store, kept, seen_ms) \
         VALUES ($1, coalesce($2::text, ''), CASE WHEN $2 IS NULL THEN 0 ELSE $3::int8 END, $4) \
         ON CONFLICT (node) DO UPDATE SET store = coalesce($2, m.store), \
         kept = CASE WHEN $2 IS NULL THEN m.kept ELSE $3 END, seen_ms = greatest(m.seen_ms, $4)",
    )
    .bind(node)
    .bind(greeting.current())
    .bind(int(greeting.welcome.inbox.number))
    .bind(at_ms)
    .execute(&mut *transaction)
    .await?;
    if let Some(store) = &greeting.retires {
        sqlx::query("INSERT INTO retired (node, store) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(node)
            .bind(store)
            .execute(&mut *transaction)
            .await?;
    }
    let mut given = 0;
    if let Some(above) = greeting.gives_back_above {
        given = give_back(&mut transaction, node, head, above).await?;
    }
    if given > 0 {
        sqlx::query("SELECT pg_notify($1, j.note) FROM unnest($2::text[]) j(note)")
            .bind(notes.channel())
            .bind(notes.of(&[node.to_owned()]))
            .execute(&mut *transaction)
            .await?;
    }
    if greeting.is_told() {
        let standing = standing_name(greeting.welcome.standing);
        let outcome = format!("{standing}, {given} given back");
        enter(&mut transaction, at_ms, node, "attend", &outcome).await?;
    }
    transaction.commit().await?;
    Ok((greeting.welcome, given > 0))
}

async fn lock_head(connection: &mut PgConnection, node: &str) -> Result<Cursor, sqlx::Error> {
    let lock = "SELECT number, chain FROM head WHERE node = $1 FOR UPDATE";
    let mut row = sqlx::query(lock).bind(node).fetch_optional(&mut *connection).await?;
    if row.is_none() {
        make_heads(connection, &[node]).await?;
        row = sqlx::query(lock).bind(node).fetch_optional(connection).await?;
    }
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Cursor { number: count(row.try_get(0)?), chain: sha(row.try_get(1)?)? })
}

async fn came(
    connection: &mut PgConnection,
    node: &str,
    hello: &Hello,
) -> Result<Came, sqlx::Error> {
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM retired WHERE node = $1 AND store = $2), \
         greatest(coalesce((SELECT max(number) FROM handed WHERE node = $1 AND store = $2), 0), \
         coalesce((SELECT max(number) FROM quarantine WHERE node = $1 AND store = $2), 0)), \
         EXISTS (SELECT 1 FROM handed h JOIN document d ON d.number = h.document \
         WHERE h.node = $1 AND h.document = $3 AND d.sha256 = $4), \
         EXISTS (SELECT 1 FROM inbox WHERE node = $1 AND number = $5 AND chain = $6), \
         coalesce((SELECT store FROM member WHERE node = $1), '')",
    )
    .bind(node)
    .bind(&hello.store)
    .bind(int(hello.position.number))
    .bind(hello.position.sha256.as_slice())
    .bind(int(hello.inbox.number))
    .bind(hello.inbox.chain.as_slice())
    .fetch_one(connection)
    .await?;
    let has = Acquaintance {
        retired: row.try_get(0)?,
        known: count(row.try_get(1)?),
        remembers: row.try_get(2)?,
        inbox_fits: row.try_get(3)?,
    };
    Ok(Came { has, store: row.try_get(4)? })
}

/// Puts what a node has sent above a number of the hub into its inbox, unless it is there: everything
/// that is there reaches the database that has the name now.
async fn give_back(
    connection: &mut PgConnection,
    node: &str,
    mut cursor: Cursor,
    above: i64,
) -> Result<usize, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT h.document, d.sha256 FROM (SELECT DISTINCT document FROM handed \
         WHERE node = $1 AND document > $2) h CROSS JOIN LATERAL \
         (SELECT d.sha256 FROM document d WHERE d.number = h.document OFFSET 0) d \
         WHERE NOT EXISTS (SELECT 1 FROM inbox i WHERE i.document = h.document AND i.node = $1 \
         OFFSET 0) ORDER BY h.document",
    )
    .bind(node)
    .bind(above)
    .fetch_all(&mut *connection)
    .await?;
    let mut given = Vec::with_capacity(rows.len());
    for row in &rows {
        cursor = cursor.after(&sha(row.try_get(1)?)?);
        given.push((row.try_get::<i64, _>(0)?, cursor));
    }
    for part in given.chunks(GIVEN_MAX) {
        sqlx::query(
            "INSERT INTO inbox (node, number, document, chain, reason) \
             SELECT $1, j.number, j.document, j.chain, 'returned' \
             FROM unnest($2::int8[], $3::int8[], $4::bytea[]) j(number, document, chain)",
        )
        .bind(node)
        .bind(column(part, |(_, cursor)| int(cursor.number)))
        .bind(column(part, |(document, _)| *document))
        .bind(column(part, |(_, cursor)| cursor.chain.as_slice()))
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query("UPDATE head SET number = $2, chain = $3 WHERE node = $1")
        .bind(node)
        .bind(int(cursor.number))
        .bind(cursor.chain.as_slice())
        .execute(connection)
        .await?;
    Ok(given.len())
}

/// Puts a document aside, or counts up.
pub(super) async fn put_aside(pool: &PgPool, put: &Quarantined) -> Result<(), sqlx::Error> {
    let Quarantined { node, store, number, document, code, reason, at_ms } = put;
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let times: i64 = sqlx::query_scalar(
        "INSERT INTO quarantine AS q (node, store, number, sha256, kind, name, version, \
         media_type, body, code, reason, first_ms, last_ms, times) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, 1) \
         ON CONFLICT (node, store, number, sha256) DO UPDATE SET code = $10, reason = $11, \
         last_ms = greatest(q.last_ms, $12), times = q.times + 1 RETURNING q.times",
    )
    .bind(node)
    .bind(store)
    .bind(int(*number))
    .bind(document.sha256.as_slice())
    .bind(document.kind.name())
    .bind(mended(&document.name))
    .bind(i64::from(document.version))
    .bind(mended(&document.media_type))
    .bind(&document.body[..])
    .bind(mended(code))
    .bind(mended(reason))
    .bind(at_ms)
    .fetch_one(&mut *transaction)
    .await?;
    if times == 1 {
        enter(&mut transaction, *at_ms, node, "quarantine", &mended(code)).await?;
    }
    transaction.commit().await
}

pub(super) async fn enter(
    connection: &mut PgConnection,
    at_ms: i64,
    node: &str,
    action: &str,
    outcome: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (at_ms, node, action, document, outcome, recipients) \
         VALUES ($1, $2, $3, 0, $4, '')",
    )
    .bind(at_ms)
    .bind(node)
    .bind(action)
    .bind(outcome)
    .execute(connection)
    .await?;
    Ok(())
}

/// The node says by how much its clock is ahead.
pub(super) async fn note_clock(
    pool: &PgPool,
    node: &str,
    ahead_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO member (node, store, kept, seen_ms, clock_ahead_ms) VALUES ($1, '', 0, 0, $2) \
         ON CONFLICT (node) DO UPDATE SET clock_ahead_ms = $2",
    )
    .bind(node)
    .bind(ahead_ms)
    .execute(pool)
    .await?;
    Ok(())
}
