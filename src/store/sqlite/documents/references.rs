//! References to records: what leads to them from outside.

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::{Documents, array, failed, small, whole};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::records::references::ports::{
    KeptReference, Matching, NewReference, Particulars, ReferenceQuery, ReferenceStore, Subject,
    Unreferenced,
};
use crate::sharing::discharge::fhir::resources::Standing;
use crate::sharing::patient::Digest;

/// When what is said of a version last changed: when it came, or when a newer one or a record that
/// replaces it did.
const UPDATED: &str = "max(d.received_ms, coalesce((SELECT min(n.received_ms) FROM document n \
                       WHERE n.kind = 'record' AND n.name = d.name AND n.version > d.version), \
                       (SELECT b.received_ms FROM document b WHERE d.replaced_by <> '' \
                       AND b.kind = 'record' AND b.name = d.replaced_by AND b.current = 1), 0))";

impl ReferenceStore for Documents {
    fn open(&self, proof: Digest) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let known: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT proof FROM record_reference_key")
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(failed)?;
            if known.as_deref() == Some(proof.as_slice()) {
                return Ok(());
            }
            let mut transaction = self.begin().await?;
            begin_anew(&mut transaction, proof).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn unreferenced(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Unreferenced>, Error>> {
        Box::pin(async move { unreferenced(&self.readers, limit).await.map_err(failed) })
    }

    fn refer(&self, new: NewReference) -> BoxFuture<'_, Result<Vec<i64>, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let persons = refer(&mut transaction, &new).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(persons)
        })
    }

    fn particulars(&self, person: Option<i64>) -> BoxFuture<'_, Result<Vec<Particulars>, Error>> {
        Box::pin(async move { particulars(&self.readers, person).await.map_err(failed) })
    }

    fn reading_of(&self, person: i64) -> BoxFuture<'_, Result<Option<String>, Error>> {
        Box::pin(async move {
            sqlx::query_scalar(
                "SELECT d.reading_json FROM record_reference r JOIN document d ON d.seq = r.document \
                 WHERE r.person = ?1 AND d.current = 1 AND d.replaced_by = '' AND d.withdrawn = 0 \
                 ORDER BY r.document DESC LIMIT 1",
            )
            .bind(person)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)
        })
    }

    fn named<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<(String, u32)>, Error>> {
        Box::pin(async move {
            let row: Option<(String, i64)> = sqlx::query_as(
                "SELECT d.name, d.version FROM record_reference r \
                 JOIN document d ON d.seq = r.document WHERE r.id = ?1",
            )
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
            Ok(row.map(|(name, version)| (name, small(version))))
        })
    }

    fn search(&self, query: ReferenceQuery) -> BoxFuture<'_, Result<Vec<KeptReference>, Error>> {
        Box::pin(async move { list(&self.readers, &query).await.map_err(failed) })
    }

    fn matching(
        &self,
        query: ReferenceQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Matching>, Error>> {
        Box::pin(async move { matching(&self.readers, &query, limit).await.map_err(failed) })
    }
}

async fn begin_anew(connection: &mut SqliteConnection, proof: Digest) -> Result<(), sqlx::Error> {
    for statement in ["DELETE FROM record_identifier", "DELETE FROM record_reference"] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    sqlx::query(
        "INSERT INTO record_reference_key (id, proof) VALUES (1, ?1) \
         ON CONFLICT (id) DO UPDATE SET proof = ?1",
    )
    .bind(proof.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

async fn unreferenced(readers: &SqlitePool, limit: u32) -> Result<Vec<Unreferenced>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT seq, name, version, reading_json, received_ms FROM document WHERE kind = 'record' \
         AND seq > (SELECT coalesce(max(document), 0) FROM record_reference) ORDER BY seq LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(readers)
    .await?;
    let read = rows.iter().map(|row| {
        Ok(Unreferenced {
            document: row.try_get("seq")?,
            name: row.try_get("name")?,
            version: small(row.try_get("version")?),
            reading_json: row.try_get("reading_json")?,
            received_ms: row.try_get("received_ms")?,
        })
    });
    read.collect()
}

async fn refer(
    connection: &mut SqliteConnection,
    new: &NewReference,
) -> Result<Vec<i64>, sqlx::Error> {
    let person = match new.subject {
        Subject::Known(person) => Some(person),
        Subject::New => Some(new.document),
        Subject::Unknown => None,
    };
    sqlx::query(
        "INSERT INTO record_reference (document, id, person, particulars) VALUES (?1, ?2, ?3, ?4)",
    )
    .bind(new.document)
    .bind(&new.id)
    .bind(person)
    .bind(&new.particulars)
    .execute(&mut *connection)
    .await?;
    for digest in &new.identifiers {
        sqlx::query("INSERT INTO record_identifier (digest, document) VALUES (?1, ?2)")
            .bind(digest.as_slice())
            .bind(new.document)
            .execute(&mut *connection)
            .await?;
    }
    // Of other versions of the record, and of records that one of them replaces, some may be current no
    // more, or again.
    sqlx::query_scalar(
        "SELECT DISTINCT r.person FROM document d JOIN document o ON o.kind = d.kind \
         AND o.name IN (SELECT d.name UNION SELECT v.replaces FROM document v \
         WHERE v.kind = d.kind AND v.name = d.name) JOIN record_reference r ON r.document = o.seq \
         WHERE d.seq = ?1 AND r.person IS NOT NULL",
    )
    .bind(new.document)
    .fetch_all(connection)
    .await
}

async fn particulars(
    readers: &SqlitePool,
    person: Option<i64>,
) -> Result<Vec<Particulars>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "SELECT r.person, r.particulars FROM record_reference r \
         JOIN document d ON d.seq = r.document \
         WHERE d.current = 1 AND d.replaced_by = '' AND d.withdrawn = 0 \
         AND length(r.particulars) > 0 AND ",
    );
    match person {
        Some(person) => sql.push("r.person = ").push_bind(person),
        None => sql.push("r.person IS NOT NULL"),
    };
    let rows = sql.push(" ORDER BY r.document").build().fetch_all(readers).await?;
    let read = rows.iter().map(|row| {
        let blob: Vec<u8> = row.try_get("particulars")?;
        Ok((row.try_get("person")?, Bytes::from(blob)))
    });
    read.collect()
}

async fn matching(
    readers: &SqlitePool,
    query: &ReferenceQuery,
    limit: u32,
) -> Result<Vec<Matching>, sqlx::Error> {
    let mut sql = QueryBuilder::new("SELECT d.name, max(r.person) AS person, count(*) AS referred");
    narrowed(&mut sql, query);
    sql.push(" GROUP BY d.name ORDER BY d.name LIMIT ").push_bind(limit);
    let rows = sql.build().fetch_all(readers).await?;
    let found = rows.iter().map(|row| {
        Ok(Matching {
            name: row.try_get("name")?,
            person: row.try_get("person")?,
            references: whole(row.try_get("referred")?),
        })
    });
    found.collect()
}

async fn list(
    readers: &SqlitePool,
    query: &ReferenceQuery,
) -> Result<Vec<KeptReference>, sqlx::Error> {
    let mut sql = QueryBuilder::new(
        "SELECT r.document, r.id, r.person, d.name, d.version, d.media_type, \
         length(d.body) AS size, d.sha256, d.sm3, d.reading_json, \
         d.current = 1 AND d.replaced_by = '' AS current, d.withdrawn, d.received_ms, ",
    );
    sql.push(UPDATED);
    sql.push(
        " AS updated_ms, coalesce((SELECT p.id FROM document o JOIN record_reference p \
         ON p.document = o.seq WHERE o.kind = 'record' AND o.name = d.name \
         AND o.version < d.version ORDER BY o.version DESC LIMIT 1), \
         (SELECT p.id FROM document o JOIN record_reference p ON p.document = o.seq \
         WHERE o.replaced_by = d.name AND o.replaced_by <> '' AND o.current = 1 \
         ORDER BY o.seq LIMIT 1)) AS replaces",
    );
    narrowed(&mut sql, query);
    if let Some(before) = query.before {
        sql.push(" AND r.document < ").push_bind(before);
    }
    sql.push(" ORDER BY r.document DESC LIMIT ").push_bind(query.limit);
    let rows = sql.build().fetch_all(readers).await?;
    rows.iter().map(kept).collect()
}

/// Which references a question is about, on whatever page.
fn narrowed(sql: &mut QueryBuilder<Sqlite>, query: &ReferenceQuery) {
    sql.push(" FROM record_reference r JOIN document d ON d.seq = r.document WHERE 1 = 1");
    if let Some(ids) = &query.ids {
        sql.push(" AND r.id IN (");
        let mut list = sql.separated(", ");
        for id in ids {
            list.push_bind(id.clone());
        }
        sql.push(")");
    }
    if let Some(persons) = &query.persons {
        sql.push(" AND r.person IN (");
        let mut list = sql.separated(", ");
        for person in persons {
            list.push_bind(*person);
        }
        sql.push(")");
    }
    if let Some(identifiers) = &query.identifiers {
        sql.push(" AND r.document IN (SELECT document FROM record_identifier WHERE digest IN (");
        let mut list = sql.separated(", ");
        for digest in identifiers {
            list.push_bind(digest.to_vec());
        }
        sql.push("))");
    }
    if let Some(standings) = &query.standings {
        sql.push(" AND (0 = 1");
        for standing in standings {
            sql.push(match standing {
                Standing::Current => {
                    " OR (d.withdrawn = 0 AND d.current = 1 AND d.replaced_by = '')"
                }
                Standing::Superseded => {
                    " OR (d.withdrawn = 0 AND (d.current = 0 OR d.replaced_by <> ''))"
                }
                Standing::EnteredInError => " OR d.withdrawn = 1",
            });
        }
        sql.push(")");
    }
    for (span, what) in [(query.kept, "d.received_ms"), (query.updated, UPDATED)] {
        if span.from_ms > i64::MIN {
            sql.push(" AND ").push(what).push(" >= ").push_bind(span.from_ms);
        }
        if span.before_ms < i64::MAX {
            sql.push(" AND ").push(what).push(" < ").push_bind(span.before_ms);
        }
    }
}

fn kept(row: &SqliteRow) -> Result<KeptReference, sqlx::Error> {
    let (current, withdrawn): (bool, bool) = (row.try_get("current")?, row.try_get("withdrawn")?);
    Ok(KeptReference {
        document: row.try_get("document")?,
        id: row.try_get("id")?,
        person: row.try_get("person")?,
        name: row.try_get("name")?,
        version: small(row.try_get("version")?),
        media_type: row.try_get("media_type")?,
        size: whole(row.try_get("size")?),
        sha256: array(row.try_get("sha256")?, "sha256")?,
        sm3: array(row.try_get("sm3")?, "sm3")?,
        reading_json: row.try_get("reading_json")?,
        standing: match (current, withdrawn) {
            (_, true) => Standing::EnteredInError,
            (true, false) => Standing::Current,
            (false, false) => Standing::Superseded,
        },
        received_ms: row.try_get("received_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        replaces: row.try_get("replaces")?,
    })
}
