//! What stands between this clinic and people.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row as _, SqliteExecutor};

use crate::app::records::grants::GrantChange;
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::KeptGrant;
use crate::sharing::consent::GrantKind;
use crate::sharing::discharge::model::Address;

/// Grants of a person that are looked at, the last to end first.
const GRANTS_MAX: usize = 50;

fn kind_name(kind: GrantKind) -> &'static str {
    match kind {
        GrantKind::Registration => "registration",
        GrantKind::Presence => "presence",
        GrantKind::Contract => "contract",
        GrantKind::Referral => "referral",
    }
}

fn kind(name: &str) -> Result<GrantKind, sqlx::Error> {
    let all =
        [GrantKind::Registration, GrantKind::Presence, GrantKind::Contract, GrantKind::Referral];
    all.into_iter().find(|kind| kind_name(*kind) == name).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: "kind".to_owned(),
        source: "unknown kind".into(),
    })
}

/// Whose a document is; columns "person", "patient", "resident", "card" and "born".
pub(super) fn keys_of(row: &SqliteRow) -> Result<PersonKeys, sqlx::Error> {
    let name: String = row.try_get("patient")?;
    let keys = PersonKeys {
        name: name.trim().to_owned(),
        resident: row.try_get("resident")?,
        card: row.try_get("card")?,
        born: row.try_get("born")?,
        only: String::new(),
    };
    // A document from before, or one that says too little.
    let only = if keys.is_empty() { row.try_get("person")? } else { String::new() };
    Ok(PersonKeys { only, ..keys })
}

/// Grants of a person, the last to end first.
pub(super) async fn of<'e>(
    executor: impl SqliteExecutor<'e>,
    person: &PersonKeys,
) -> Result<Vec<KeptGrant>, sqlx::Error> {
    if person.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT id, kind, from_ms, until_ms, given_by, how, name, resident, card, born, only \
         FROM relation_grant WHERE name = ?1 ORDER BY until_ms IS NOT NULL, until_ms DESC, seq DESC",
    )
    .bind(&person.name)
    .fetch_all(executor)
    .await?;
    let mut grants = Vec::new();
    for row in &rows {
        let whose = PersonKeys {
            name: row.try_get("name")?,
            resident: row.try_get("resident")?,
            card: row.try_get("card")?,
            born: row.try_get("born")?,
            only: row.try_get("only")?,
        };
        if whose.fits(person) {
            let named: String = row.try_get("kind")?;
            grants.push(KeptGrant {
                id: row.try_get("id")?,
                kind: kind(&named)?,
                from_ms: row.try_get("from_ms")?,
                until_ms: row.try_get("until_ms")?,
                by: row.try_get("given_by")?,
                how: row.try_get("how")?,
                sent_for: None,
            });
        }
    }
    grants.truncate(GRANTS_MAX);
    Ok(grants)
}

/// Where a person lives, as the newest versions of records say and registrations that hold.
pub(super) async fn homes<'e>(
    executor: impl SqliteExecutor<'e>,
    person: &PersonKeys,
    now_ms: i64,
) -> Result<Vec<Address>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT person, patient, resident, card, born, CASE kind WHEN 'record' THEN \
         json_extract(nullif(reading_json, ''), '$.record.patient.address') \
         ELSE json_object('division', json_extract(CAST(body AS TEXT), '$.person.division')) END \
         AS address FROM document WHERE kind IN ('record', 'registration') AND current = 1 \
         AND withdrawn = 0 AND patient = ?1 AND (kind = 'record' \
         OR coalesce(json_extract(CAST(body AS TEXT), '$.until_ms') > ?2, 1))",
    )
    .bind(&person.name)
    .bind(now_ms)
    .fetch_all(executor)
    .await?;
    let mut homes = Vec::new();
    for row in &rows {
        if !keys_of(row)?.fits(person) {
            continue;
        }
        let address: Option<String> = row.try_get("address")?;
        homes.extend(address.and_then(|json| serde_json::from_str::<Address>(&json).ok()));
    }
    Ok(homes)
}

/// False: there was nothing to end. What holds already in the same words is left as it is.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    change: &GrantChange,
) -> Result<bool, sqlx::Error> {
    let GrantChange { keys, kind, at_ms, gives } = change;
    let grants = of(&mut *connection, keys).await?.into_iter();
    let held = grants.filter(|grant| grant.kind == *kind);
    let held = held.filter(|grant| grant.until_ms.is_none_or(|until_ms| until_ms > *at_ms));
    let held: Vec<KeptGrant> = held.collect();
    if let Some(new) = gives
        && held.iter().any(|grant| grant.until_ms == new.until_ms && grant.how == new.how)
    {
        return Ok(true);
    }
    for grant in &held {
        sqlx::query("UPDATE relation_grant SET until_ms = ?2 WHERE id = ?1")
            .bind(&grant.id)
            .bind(at_ms)
            .execute(&mut *connection)
            .await?;
    }
    let Some(new) = gives else { return Ok(!held.is_empty()) };
    sqlx::query(
        "INSERT INTO relation_grant (id, kind, name, resident, card, born, only, from_ms, until_ms, \
         given_by, how) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(&new.id)
    .bind(kind_name(*kind))
    .bind(&keys.name)
    .bind(&keys.resident)
    .bind(&keys.card)
    .bind(&keys.born)
    .bind(&keys.only)
    .bind(at_ms)
    .bind(new.until_ms)
    .bind(&new.by)
    .bind(&new.how)
    .execute(connection)
    .await?;
    Ok(true)
}
