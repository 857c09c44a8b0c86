//! Nodes that come, and how far they have come.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::keep::{deliver, enter, heads, set_head};
use crate::sharing::exchange::hub::Acquaintance;
use crate::sharing::exchange::{Hello, Welcome};
use crate::store::hub::rows::{AuditRow, HeadRow, InboxRow};
use crate::store::hub::{Came, Greeting, count, int, sha, standing_name};

/// Writes down who came. Whether the node's inbox has grown by that.
pub(super) async fn attend(
    connection: &mut SqliteConnection,
    node: &str,
    hello: &Hello,
    at_ms: i64,
) -> Result<(Welcome, bool), sqlx::Error> {
    let came = came(connection, node, hello).await?;
    let greeting = Greeting::of(hello, came);
    sqlx::query(
        "INSERT INTO member (node, store, kept, seen_ms) VALUES (?1, coalesce(?2, ''), CASE WHEN ?2 IS NULL THEN 0 ELSE ?3 END, ?4) \
         ON CONFLICT (node) DO UPDATE SET store = coalesce(?2, store), \
         kept = CASE WHEN ?2 IS NULL THEN kept ELSE ?3 END, seen_ms = max(seen_ms, ?4)",
    )
    .bind(node)
    .bind(greeting.current())
    .bind(int(greeting.welcome.inbox.number))
    .bind(at_ms)
    .execute(&mut *connection)
    .await?;
    if let Some(store) = &greeting.retires {
        sqlx::query("INSERT INTO retired (node, store) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .bind(node)
            .bind(store)
            .execute(&mut *connection)
            .await?;
    }
    let mut given = 0;
    if let Some(above) = greeting.gives_back_above {
        given = give_back(connection, node, above).await?;
    }
    if greeting.is_told() {
        let entry = AuditRow {
            at_ms,
            node: node.to_owned(),
            action: "attend",
            document: 0,
            outcome: format!("{}, {given} given back", standing_name(greeting.welcome.standing)),
            recipients: String::new(),
        };
        enter(connection, &entry).await?;
    }
    Ok((greeting.welcome, given > 0))
}

async fn came(
    connection: &mut SqliteConnection,
    node: &str,
    hello: &Hello,
) -> Result<Came, sqlx::Error> {
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM retired WHERE node = ?1 AND store = ?2), \
         max(coalesce((SELECT max(number) FROM handed WHERE node = ?1 AND store = ?2), 0), \
         coalesce((SELECT max(number) FROM quarantine WHERE node = ?1 AND store = ?2), 0)), \
         EXISTS (SELECT 1 FROM handed h JOIN document d ON d.number = h.document \
         WHERE h.node = ?1 AND h.document = ?3 AND d.sha256 = ?4), \
         EXISTS (SELECT 1 FROM inbox WHERE node = ?1 AND number = ?5 AND chain = ?6), \
         coalesce((SELECT store FROM member WHERE node = ?1), '')",
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
    connection: &mut SqliteConnection,
    node: &str,
    above: i64,
) -> Result<usize, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT DISTINCT d.number, d.sha256 FROM handed h JOIN document d ON d.number = h.document \
         WHERE h.node = ?1 AND h.document > ?2 AND NOT EXISTS \
         (SELECT 1 FROM inbox i WHERE i.document = h.document AND i.node = ?1) ORDER BY d.number",
    )
    .bind(node)
    .bind(above)
    .fetch_all(&mut *connection)
    .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let name = node.to_owned();
    let heads = heads(connection, &BTreeSet::from([name.clone()])).await?;
    let mut cursor = heads.get(node).copied().unwrap_or_default();
    for row in &rows {
        cursor = cursor.after(&sha(row.try_get(1)?)?);
        let document = row.try_get(0)?;
        let (node, reason) = (name.clone(), "returned");
        let row = InboxRow { node, cursor, document, reason, handed_ms: None };
        deliver(connection, &row).await?;
    }
    set_head(connection, &HeadRow { node: name, cursor, handed: 0 }).await?;
    Ok(rows.len())
}

/// The node has everything up to `number`.
pub(super) async fn advance(
    writer: &SqlitePool,
    node: &str,
    number: u64,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO member (node, store, kept, seen_ms) VALUES (?1, '', ?2, ?3) \
         ON CONFLICT (node) DO UPDATE SET kept = max(kept, ?2), seen_ms = max(seen_ms, ?3)",
    )
    .bind(node)
    .bind(int(number))
    .bind(at_ms)
    .execute(writer)
    .await?;
    Ok(())
}

/// The node says by how much its clock is ahead.
pub(super) async fn note_clock(
    writer: &SqlitePool,
    node: &str,
    ahead_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO member (node, store, kept, seen_ms, clock_ahead_ms) VALUES (?1, '', 0, 0, ?2) \
         ON CONFLICT (node) DO UPDATE SET clock_ahead_ms = ?2",
    )
    .bind(node)
    .bind(ahead_ms)
    .execute(writer)
    .await?;
    Ok(())
}
