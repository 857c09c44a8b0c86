//! Accounts of people, their sessions, and tries that failed. In the same database as the audit trail,
//! so that what changes and its entry are one transaction.
//!
//! The command line opens it beside a running node, so every transaction that writes begins as one
//! that writes.

use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Row as _, Sqlite, Transaction};

use super::documents::audit_as;
use super::{Database, pools};
use crate::app::access::Role;
use crate::app::error::Error;
use crate::app::identity::accounts::password::Hashed;
use crate::app::identity::accounts::ports::{
    Account, AccountLine, AccountStore, Attempt, Change, Deed, Lock, NewSession, Rotated, Signed,
    TokenPair,
};
use crate::app::ports::BoxFuture;

/// Connections that only read.
const READERS_MAX: u32 = 2;
/// Failures are forgotten after a day without another.
const FORGOTTEN_MS: i64 = 24 * 3_600 * 1000;
/// Sessions that ended are kept for a week, so that a token that comes again is known.
const ENDED_KEPT_MS: i64 = 7 * FORGOTTEN_MS;

/// An open database.
#[derive(Debug)]
pub struct AccountsStore {
    readers: SqlitePool,
    /// One connection: who writes waits for it.
    writer: SqlitePool,
}

impl AccountsStore {
    /// Over the database that [`super::SqliteStore::open`] has brought up to date.
    pub fn open(database: impl Into<Database>) -> Self {
        let (readers, writer) = pools(database, READERS_MAX);
        Self { readers, writer }
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
    }
}

impl AccountStore for AccountsStore {
    fn count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM account")
                .fetch_one(&self.readers)
                .await
                .map_err(failed)?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    fn list(&self, now_ms: i64) -> BoxFuture<'_, Result<Vec<AccountLine>, Error>> {
        Box::pin(async move {
            let attempts: Vec<(Vec<u8>, i64)> = sqlx::query_as(
                "SELECT name_digest, locked_until_ms FROM account_attempt WHERE locked_until_ms > ?1",
            )
            .bind(now_ms)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            let rows = sqlx::query(
                "SELECT name, role, scope, disabled, created_ms, signed_in_ms FROM account \
                 ORDER BY name",
            )
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            let line = |row: &SqliteRow| {
                let name: String = row.try_get("name")?;
                let digest = name_digest(&name);
                let locked = attempts.iter().find(|(of, _)| of.as_slice() == digest.as_slice());
                Ok(AccountLine {
                    role: role(row)?,
                    scope: scope(row)?,
                    disabled: row.try_get("disabled")?,
                    created_ms: row.try_get("created_ms")?,
                    signed_in_ms: row.try_get("signed_in_ms")?,
                    locked_until_ms: locked.map(|(_, until_ms)| *until_ms),
                    name,
                })
            };
            rows.iter().map(line).collect::<Result<_, sqlx::Error>>().map_err(failed)
        })
    }

    fn account<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Account>, Error>> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(failed)?;
            find(&mut connection, name).await.map_err(failed)
        })
    }

    fn add<'a>(
        &'a self,
        account: &'a Account,
        only_first: bool,
        deed: Deed,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let made = insert(&mut transaction, account, only_first, deed).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(made)
        })
    }

    fn change<'a>(
        &'a self,
        name: &'a str,
        change: Change,
        deed: Deed,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let found = alter(&mut transaction, name, change, deed).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(found)
        })
    }

    fn attempt<'a>(
        &'a self,
        name: &'a str,
        lock: Lock,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Attempt, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let attempt = attempt(&mut transaction, name, lock, now_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(attempt)
        })
    }

    fn note(&self, deed: Deed) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            audit(&mut transaction, &deed).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn passed<'a>(
        &'a self,
        account: &'a Account,
        session: Option<NewSession>,
        deed: Deed,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let done = pass(&mut transaction, account, session, deed).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(done)
        })
    }

    fn signed<'a>(
        &'a self,
        access: &'a [u8; 32],
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Signed>, Error>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT s.id, a.name, a.role, a.scope FROM account_token t \
                 JOIN account_session s ON s.id = t.session JOIN account a ON a.name = s.account \
                 WHERE t.digest = ?1 AND t.kind = 'access' AND t.until_ms > ?2 AND s.until_ms > ?2 \
                 AND s.ended_ms IS NULL AND a.disabled = 0",
            )
            .bind(access.as_slice())
            .bind(now_ms)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
            row.as_ref().map(signed).transpose().map_err(failed)
        })
    }

    fn rotate<'a>(
        &'a self,
        refresh: &'a [u8; 32],
        tokens: TokenPair,
        deed: Deed,
    ) -> BoxFuture<'a, Result<Rotated, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let rotated = rotate(&mut transaction, refresh, tokens, deed).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(rotated)
        })
    }

    fn end_all(&self, mut deed: Deed) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let ended =
                sqlx::query("UPDATE account_session SET ended_ms = ?1 WHERE ended_ms IS NULL")
                    .bind(deed.entry.at_ms)
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed)?
                    .rows_affected();
            deed.entry.detail = format!("{ended} sessions ended");
            audit(&mut transaction, &deed).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(ended)
        })
    }

    fn end<'a>(&'a self, session: &'a str, deed: Deed) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            sqlx::query(
                "UPDATE account_session SET ended_ms = ?2 WHERE id = ?1 AND ended_ms IS NULL",
            )
            .bind(session)
            .bind(deed.entry.at_ms)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
            audit(&mut transaction, &deed).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }
}

async fn find(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT name, role, scope, disabled, salt, hash, memory_kib, passes, lanes FROM account \
         WHERE name = ?1",
    )
    .bind(name)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Account {
        name: row.try_get("name")?,
        role: role(&row)?,
        scope: scope(&row)?,
        disabled: row.try_get("disabled")?,
        password: Hashed {
            salt: array(&row, "salt")?,
            hash: array(&row, "hash")?,
            memory_kib: row.try_get("memory_kib")?,
            passes: row.try_get("passes")?,
            lanes: row.try_get("lanes")?,
        },
    }))
}

async fn insert(
    connection: &mut SqliteConnection,
    account: &Account,
    only_first: bool,
    mut deed: Deed,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO account (name, role, scope, salt, hash, memory_kib, passes, lanes, created_ms, \
         password_ms) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9 \
         WHERE ?10 = 0 OR NOT EXISTS (SELECT 1 FROM account) ON CONFLICT DO NOTHING",
    )
    .bind(&account.name)
    .bind(account.role.name())
    .bind(serde_json::to_string(&account.scope).unwrap_or_default())
    .bind(account.password.salt.as_slice())
    .bind(account.password.hash.as_slice())
    .bind(account.password.memory_kib)
    .bind(account.password.passes)
    .bind(account.password.lanes)
    .bind(deed.entry.at_ms)
    .bind(only_first)
    .execute(&mut *connection)
    .await?;
    let made = done.rows_affected() == 1;
    if !made {
        deed.entry.outcome = "refused";
    }
    audit(connection, &deed).await?;
    Ok(made)
}

async fn alter(
    connection: &mut SqliteConnection,
    name: &str,
    change: Change,
    mut deed: Deed,
) -> Result<bool, sqlx::Error> {
    let at_ms = deed.entry.at_ms;
    let ends = !matches!(change, Change::Disabled(false) | Change::Unlock);
    let forgives = matches!(change, Change::Password { .. } | Change::Unlock);
    let query = match change {
        Change::Disabled(disabled) => {
            sqlx::query("UPDATE account SET disabled = ?2 WHERE name = ?1")
                .bind(name)
                .bind(disabled)
        }
        Change::Role(role, scope) => {
            sqlx::query("UPDATE account SET role = ?2, scope = ?3 WHERE name = ?1")
                .bind(name)
                .bind(role.name())
                .bind(serde_json::to_string(&scope).unwrap_or_default())
        }
        Change::Password { new: hashed, before } => sqlx::query(
            "UPDATE account SET salt = ?2, hash = ?3, memory_kib = ?4, passes = ?5, lanes = ?6, \
             password_ms = ?7 WHERE name = ?1 AND (?8 IS NULL OR (hash = ?8 AND disabled = 0))",
        )
        .bind(name)
        .bind(hashed.salt.to_vec())
        .bind(hashed.hash.to_vec())
        .bind(hashed.memory_kib)
        .bind(hashed.passes)
        .bind(hashed.lanes)
        .bind(at_ms)
        .bind(before.map(|before| before.hash.to_vec())),
        Change::Unlock => sqlx::query("UPDATE account SET name = name WHERE name = ?1").bind(name),
    };
    let found = query.execute(&mut *connection).await?.rows_affected() == 1;
    if found && ends {
        sqlx::query(
            "UPDATE account_session SET ended_ms = ?2 WHERE account = ?1 AND ended_ms IS NULL",
        )
        .bind(name)
        .bind(at_ms)
        .execute(&mut *connection)
        .await?;
    }
    if found && forgives {
        forgive(connection, name).await?;
    }
    if !found {
        deed.entry.outcome = "not_found";
    }
    audit(connection, &deed).await?;
    Ok(found)
}

async fn attempt(
    connection: &mut SqliteConnection,
    name: &str,
    lock: Lock,
    now_ms: i64,
) -> Result<Attempt, sqlx::Error> {
    let digest = name_digest(name);
    sqlx::query("DELETE FROM account_attempt WHERE last_ms < ?1")
        .bind(now_ms.saturating_sub(FORGOTTEN_MS))
        .execute(&mut *connection)
        .await?;
    let before: Option<(u32, i64, u32)> = sqlx::query_as(
        "SELECT failures, locked_until_ms, turned_away FROM account_attempt WHERE name_digest = ?1",
    )
    .bind(digest.as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let (failures, locked_until_ms, turned_away) = before.unwrap_or_default();
    if now_ms < locked_until_ms {
        sqlx::query(
            "UPDATE account_attempt SET turned_away = turned_away + 1 WHERE name_digest = ?1",
        )
        .bind(digest.as_slice())
        .execute(connection)
        .await?;
        return Ok(Attempt::Locked { until_ms: locked_until_ms, first: turned_away == 0 });
    }
    let failures = failures.saturating_add(1);
    let until_ms = locked_until(failures, lock, now_ms);
    sqlx::query(
        "INSERT INTO account_attempt (name_digest, failures, locked_until_ms, turned_away, last_ms) \
         VALUES (?1, ?2, ?3, 0, ?4) ON CONFLICT DO UPDATE SET failures = ?2, locked_until_ms = ?3, \
         turned_away = 0, last_ms = ?4",
    )
    .bind(digest.as_slice())
    .bind(failures)
    .bind(until_ms)
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    let account = find(connection, name).await?;
    Ok(Attempt::Open { account, turned_away })
}

/// Until when so many failures lock; 0: not.
fn locked_until(failures: u32, lock: Lock, now_ms: i64) -> i64 {
    let Some(beyond) = failures.checked_sub(lock.failures_max) else { return 0 };
    let for_ = lock.first.saturating_mul(1 << beyond.min(20)).min(lock.longest);
    now_ms.saturating_add(i64::try_from(for_.as_millis()).unwrap_or(i64::MAX))
}

async fn pass(
    connection: &mut SqliteConnection,
    account: &Account,
    session: Option<NewSession>,
    mut deed: Deed,
) -> Result<bool, sqlx::Error> {
    let at_ms = deed.entry.at_ms;
    // Whoever disabled it or changed its password while the hash was made counts.
    let done = sqlx::query(
        "UPDATE account SET signed_in_ms = ?2 WHERE name = ?1 AND disabled = 0 AND hash = ?3",
    )
    .bind(&account.name)
    .bind(at_ms)
    .bind(account.password.hash.as_slice())
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() != 1 {
        deed.entry.outcome = "refused";
        audit(connection, &deed).await?;
        return Ok(false);
    }
    forgive(connection, &account.name).await?;
    if let Some(session) = session {
        sqlx::query("DELETE FROM account_session WHERE until_ms < ?1")
            .bind(at_ms.saturating_sub(ENDED_KEPT_MS))
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "INSERT INTO account_session (id, account, created_ms, until_ms) VALUES (?1, ?2, ?3, ?4)",
        )
        .bind(&session.id)
        .bind(&session.account)
        .bind(at_ms)
        .bind(session.until_ms)
        .execute(&mut *connection)
        .await?;
        keep(connection, &session.id, &session.tokens).await?;
    }
    audit(connection, &deed).await?;
    Ok(true)
}

async fn keep(
    connection: &mut SqliteConnection,
    session: &str,
    tokens: &TokenPair,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO account_token (digest, session, kind, until_ms) \
         VALUES (?1, ?3, 'access', ?4), (?2, ?3, 'refresh', ?5)",
    )
    .bind(tokens.access.as_slice())
    .bind(tokens.refresh.as_slice())
    .bind(session)
    .bind(tokens.access_until_ms)
    .bind(tokens.refresh_until_ms)
    .execute(connection)
    .await?;
    Ok(())
}

async fn rotate(
    connection: &mut SqliteConnection,
    refresh: &[u8; 32],
    tokens: TokenPair,
    mut deed: Deed,
) -> Result<Rotated, sqlx::Error> {
    let now_ms = deed.entry.at_ms;
    let row = sqlx::query(
        "SELECT s.id, a.name, a.role, a.scope, s.until_ms, t.used_ms, s.ended_ms IS NULL \
         AND a.disabled = 0 AND s.until_ms > ?2 AND t.until_ms > ?2 AS good FROM account_token t \
         JOIN account_session s ON s.id = t.session JOIN account a ON a.name = s.account \
         WHERE t.digest = ?1 AND t.kind = 'refresh'",
    )
    .bind(refresh.as_slice())
    .bind(now_ms)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        // Whoever guesses at tokens fills no trail: there is nobody to name.
        return Ok(Rotated::Unknown);
    };
    let signed = signed(&row)?;
    deed.caller.push_str(&signed.account);
    deed.role = signed.role.name();
    let used: Option<i64> = row.try_get("used_ms")?;
    if used.is_some() {
        sqlx::query("UPDATE account_session SET ended_ms = ?2 WHERE id = ?1 AND ended_ms IS NULL")
            .bind(&signed.session)
            .bind(now_ms)
            .execute(&mut *connection)
            .await?;
        deed.entry.outcome = "reused";
        audit(connection, &deed).await?;
        return Ok(Rotated::Reused);
    }
    if !row.try_get::<bool, _>("good")? {
        deed.entry.outcome = "refused";
        audit(connection, &deed).await?;
        return Ok(Rotated::Unknown);
    }
    sqlx::query("UPDATE account_token SET used_ms = ?2 WHERE digest = ?1")
        .bind(refresh.as_slice())
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM account_token WHERE session = ?1 AND kind = 'access' AND until_ms < ?2",
    )
    .bind(&signed.session)
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    keep(connection, &signed.session, &tokens).await?;
    audit(connection, &deed).await?;
    Ok(Rotated::Done { session_until_ms: row.try_get("until_ms")?, signed })
}

async fn forgive(connection: &mut SqliteConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM account_attempt WHERE name_digest = ?1")
        .bind(name_digest(name).as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

async fn audit(connection: &mut SqliteConnection, deed: &Deed) -> Result<(), sqlx::Error> {
    let who = (deed.caller.as_str(), deed.role, deed.action);
    audit_as(connection, who, &deed.entry).await
}

fn signed(row: &SqliteRow) -> Result<Signed, sqlx::Error> {
    Ok(Signed {
        session: row.try_get("id")?,
        account: row.try_get("name")?,
        role: role(row)?,
        scope: scope(row)?,
    })
}

fn role(row: &SqliteRow) -> Result<Role, sqlx::Error> {
    let name: &str = row.try_get("role")?;
    let known = Role::ALL.into_iter().find(|role| role.name() == name);
    known.ok_or_else(|| unreadable("role", "no role of this version"))
}

fn scope(row: &SqliteRow) -> Result<Vec<String>, sqlx::Error> {
    let text: &str = row.try_get("scope")?;
    serde_json::from_str(text).map_err(|_| unreadable("scope", "not a list of texts"))
}

fn array<const N: usize>(row: &SqliteRow, column: &str) -> Result<[u8; N], sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| unreadable(column, "of another length"))
}

fn unreadable(column: &str, why: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: why.into() }
}

/// Names that were tried are kept as digests: somebody may have typed a password there.
fn name_digest(name: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(b"xiangyi sign-in attempt\n");
    digest.update(name.as_bytes());
    digest.finalize().into()
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "accounts", cause: Some(error.into()) }
}

#[cfg(test)]
mod tests;
