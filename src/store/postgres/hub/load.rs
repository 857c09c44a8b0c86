//! Reads what a batch is decided by: in one trip, one more where people are named, one more for tasks,
//! consent or registrations, and three more for records whose name is somebody's already.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::app::exchange::ports::{Consent, PersonKey};
use crate::sharing::exchange::Kind;
use crate::store::hub::plan::{At, Loaded, Missing, Owner, Questions, Registration, Said};
use crate::store::hub::{damaged, int, relation_named, sha, version};

/// Rows tell what they answer, and by the place of which question: a number that is written down (0),
/// a document by its name (1), a registration by its key (2), whose a record's name is (3), the highest
/// version of a kind and name (4). `OFFSET 0` keeps the planner from
/// beginning at the other end: its plans are made once, and often while the tables are empty.
pub(super) const LOOK_UP: &str = "\
    SELECT 0::int8, j.at, h.document, NULL::int8, NULL::bool, d.sha256, NULL::text, NULL::text, \
    NULL::text \
    FROM unnest($1::text[], $2::text[], $3::int8[]) WITH ORDINALITY j(node, store, number, at) \
    CROSS JOIN LATERAL (SELECT h.document FROM handed h WHERE h.node = j.node \
    AND h.store = j.store AND h.number = j.number OFFSET 0) h \
    CROSS JOIN LATERAL (SELECT d.sha256 FROM document d WHERE d.number = h.document OFFSET 0) d \
    UNION ALL SELECT 1, j.at, d.number, NULL, NULL, d.sha256, NULL, NULL, NULL \
    FROM unnest($4::text[], $5::text[], $6::int8[]) WITH ORDINALITY j(kind, name, version, at) \
    CROSS JOIN LATERAL (SELECT d.number, d.sha256 FROM document d WHERE d.name = j.name \
    AND d.version = j.version AND d.kind = j.kind OFFSET 0) d \
    UNION ALL SELECT 2, j.at, r.version, r.until_ms, r.active, NULL, r.node, r.relation, r.name \
    FROM unnest($7::bytea[]) WITH ORDINALITY j(key, at) CROSS JOIN LATERAL (SELECT r.* \
    FROM registration r WHERE r.key = j.key OFFSET 0) r \
    UNION ALL SELECT 3, j.at, NULL, NULL, NULL, NULL, n.node, n.author, NULL \
    FROM unnest($8::text[]) WITH ORDINALITY j(name, at) CROSS JOIN LATERAL (SELECT n.* \
    FROM record_name n WHERE n.name = j.name OFFSET 0) n \
    UNION ALL SELECT 4, j.at, d.version, NULL, NULL, NULL, NULL, NULL, NULL \
    FROM unnest($9::text[], $10::text[]) WITH ORDINALITY j(kind, name, at) CROSS JOIN LATERAL \
    (SELECT d.version FROM document d WHERE d.name = j.name AND d.kind = j.kind \
    ORDER BY d.version DESC LIMIT 1) d";

/// Records that get another version now: one after the other, so that whoever is given the one gets the
/// other. In order of name, before any head is locked.
const LOCK_NAMES: &str = "\
    SELECT 1 FROM record_name WHERE name = ANY($1::text[]) ORDER BY name FOR UPDATE";

/// Records of which a document is about a person.
pub(super) const ABOUT: &str = "\
    SELECT DISTINCT j.at FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY j(name, key, at) \
    CROSS JOIN LATERAL (SELECT k.document FROM document_key k WHERE k.key = j.key OFFSET 0) k \
    CROSS JOIN LATERAL (SELECT d.name FROM document d WHERE d.number = k.document \
    AND d.kind = 'record' OFFSET 0) d WHERE d.name = j.name";

/// Nodes that have a record of the name in their inbox, and its senders, with the oldest version of each.
pub(super) const HOLDERS: &str = "\
    SELECT j.at, i.node, min(d.version) FROM unnest($1::text[]) WITH ORDINALITY j(name, at) \
    CROSS JOIN LATERAL (SELECT d.number, d.node, d.version FROM document d WHERE d.name = j.name \
    AND d.kind = 'record' OFFSET 0) d \
    CROSS JOIN LATERAL (SELECT i.node FROM inbox i WHERE i.document = d.number \
    UNION ALL SELECT d.node OFFSET 0) i GROUP BY 1, 2";

/// What was said last of a person's consent, the person's records of the current version, then the documents of the tasks of those records: what
/// of it the node neither sent nor has in its inbox. A task is named by what stands before its last `#`;
/// `$` is the character after `#`.
pub(super) const MISSING: &str = "\
    SELECT j.at, 'consent', c.document, c.sha256 \
    FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY j(node, key, at) \
    CROSS JOIN LATERAL (SELECT c.document, c.sha256 FROM consent c WHERE c.key = j.key OFFSET 0) c \
    WHERE NOT EXISTS (SELECT 1 FROM inbox i WHERE i.document = c.document AND i.node = j.node \
    OFFSET 0) \
    AND NOT EXISTS (SELECT 1 FROM handed h WHERE h.document = c.document AND h.node = j.node \
    OFFSET 0) \
    UNION ALL SELECT j.at, m.kind, m.number, m.sha256 \
    FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY j(node, key, at) \
    CROSS JOIN LATERAL (SELECT k.document FROM document_key k WHERE k.key = j.key OFFSET 0) k \
    CROSS JOIN LATERAL (SELECT d.number, d.sha256, d.name, d.version FROM document d \
    WHERE d.number = k.document AND d.kind = 'record' OFFSET 0) d \
    CROSS JOIN LATERAL (SELECT 'record' COLLATE \"C\" AS kind, d.number, d.sha256 UNION ALL \
    SELECT t.kind, t.number, t.sha256 FROM document t WHERE t.name >= d.name || '#' \
    AND t.name < d.name || '$' AND t.kind = 'task' \
    AND strpos(substr(t.name, length(d.name) + 2), '#') = 0 OFFSET 0) m \
    WHERE NOT EXISTS (SELECT 1 FROM document l WHERE l.name = d.name AND l.version > d.version \
    AND l.kind = 'record' OFFSET 0) \
    AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.document = m.number AND i.node = j.node \
    OFFSET 0) \
    AND NOT EXISTS (SELECT 1 FROM handed h WHERE h.document = m.number AND h.node = j.node \
    OFFSET 0) ORDER BY 1, 2, 3";

/// Nodes that have a record of a person in their inbox, and its senders.
pub(super) const PEOPLE: &str = "\
    SELECT DISTINCT j.at, i.node FROM unnest($1::bytea[]) WITH ORDINALITY j(key, at) \
    CROSS JOIN LATERAL (SELECT k.document FROM document_key k WHERE k.key = j.key OFFSET 0) k \
    CROSS JOIN LATERAL (SELECT d.number, d.node FROM document d WHERE d.number = k.document \
    AND d.kind = 'record' OFFSET 0) d \
    CROSS JOIN LATERAL (SELECT i.node FROM inbox i WHERE i.document = d.number \
    UNION ALL SELECT d.node OFFSET 0) i";

/// What was said last of people's consent, with each node that has the document; none: a row without.
pub(super) const CONSENTS: &str = "\
    SELECT j.at, c.name, c.version, c.at_ms, c.sha256, c.given, c.record, c.document, i.node \
    FROM unnest($1::bytea[]) WITH ORDINALITY j(key, at) \
    CROSS JOIN LATERAL (SELECT c.* FROM consent c WHERE c.key = j.key OFFSET 0) c \
    CROSS JOIN LATERAL (SELECT i.node FROM inbox i WHERE i.document = c.document \
    UNION ALL SELECT d.node FROM document d WHERE d.number = c.document OFFSET 0) i";

/// Reads what `questions` ask for.
pub(super) async fn load(
    connection: &mut PgConnection,
    questions: &Questions,
) -> Result<Loaded, sqlx::Error> {
    let mut loaded = Loaded::default();
    let rows = sqlx::query(LOOK_UP)
        .bind(column(&questions.handed, |handed| handed.0.as_str()))
        .bind(column(&questions.handed, |handed| handed.1.as_str()))
        .bind(column(&questions.handed, |handed| int(handed.2)))
        .bind(column(&questions.named, |named| named.0.name()))
        .bind(column(&questions.named, |named| named.1.as_str()))
        .bind(column(&questions.named, |named| i64::from(named.2)))
        .bind(column(&questions.keys, <[u8; 16]>::as_slice))
        .bind(column(&questions.owned, String::as_str))
        .bind(column(&questions.counted, |counted| counted.0.name()))
        .bind(column(&questions.counted, |counted| counted.1.as_str()))
        .fetch_all(&mut *connection)
        .await?;
    for row in &rows {
        understand(row, questions, &mut loaded)?;
    }
    records(connection, questions, &mut loaded).await?;
    if !questions.people.is_empty() {
        let people = column(&questions.people, <[u8; 16]>::as_slice);
        let rows = sqlx::query(PEOPLE).bind(people).fetch_all(&mut *connection).await?;
        for row in &rows {
            let person = asked(row, 0, &questions.people)?;
            loaded.people.entry(*person).or_default().insert(row.try_get(1)?);
        }
    }
    if !questions.keys.is_empty() {
        let keys = column(&questions.keys, <[u8; 16]>::as_slice);
        let rows = sqlx::query(CONSENTS).bind(keys).fetch_all(&mut *connection).await?;
        for row in &rows {
            let key = asked(row, 0, &questions.keys)?;
            said(row, loaded.consents.entry(*key).or_default())?;
        }
    }
    // Documents of one name stand in the order in which they came.
    for named in loaded.named.values_mut() {
        named.sort_by_key(|(at, _)| match at {
            At::There(number) => *number,
            At::New(_) => i64::MAX,
        });
    }
    if !questions.missing.is_empty() {
        for (asked, document) in missing(connection, &questions.missing).await? {
            let missing = loaded.missing.entry(asked).or_default();
            // The same question may stand there twice.
            if !missing.contains(&document) {
                missing.push(document);
            }
        }
    }
    Ok(loaded)
}

async fn missing(
    connection: &mut PgConnection,
    of: &[(String, PersonKey)],
) -> Result<Vec<((String, PersonKey), Missing)>, sqlx::Error> {
    let rows = sqlx::query(MISSING)
        .bind(column(of, |(node, _)| node.as_str()))
        .bind(column(of, |(_, key)| key.as_slice()))
        .fetch_all(connection)
        .await?;
    let mut missing = Vec::with_capacity(rows.len());
    for row in &rows {
        let kind = Kind::named(row.try_get(1)?).ok_or_else(|| damaged("kind"))?;
        let (number, sha256) = (row.try_get(2)?, sha(row.try_get(3)?)?);
        missing.push((asked(row, 0, of)?.clone(), Missing { kind, number, sha256 }));
    }
    Ok(missing)
}

/// Whether a node that registered the person would be given records.
pub(super) async fn opens(
    connection: &mut PgConnection,
    node: &str,
    keys: &[PersonKey],
) -> Result<bool, sqlx::Error> {
    let of: Vec<(String, PersonKey)> = keys.iter().map(|key| (node.to_owned(), *key)).collect();
    let missing = missing(connection, &of).await?;
    Ok(missing.iter().any(|(_, missing)| missing.kind == Kind::Record))
}

/// Who has records of which tasks or further versions are in the batch, and whom the latter are about.
async fn records(
    connection: &mut PgConnection,
    questions: &Questions,
    loaded: &mut Loaded,
) -> Result<(), sqlx::Error> {
    let taken: Vec<String> = loaded.owners.keys().cloned().collect();
    if !taken.is_empty() {
        sqlx::query(LOCK_NAMES).bind(&taken).execute(&mut *connection).await?;
        let rows = sqlx::query(ABOUT)
            .bind(column(&questions.about, |(name, _)| name.as_str()))
            .bind(column(&questions.about, |(_, key)| key.as_slice()))
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            let (name, key) = asked(row, 0, &questions.about)?;
            if let Some(owner) = loaded.owners.get_mut(name) {
                owner.keys.insert(*key);
            }
        }
    }
    let records: Vec<String> = questions
        .records
        .iter()
        .cloned()
        .chain(taken)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if !records.is_empty() {
        let rows = sqlx::query(HOLDERS).bind(&records).fetch_all(connection).await?;
        for row in &rows {
            let record = asked(row, 0, &records)?.clone();
            let holders = loaded.holders.entry(record).or_default();
            holders.insert(row.try_get(1)?, version(row.try_get(2)?));
        }
    }
    Ok(())
}

fn understand(row: &PgRow, questions: &Questions, loaded: &mut Loaded) -> Result<(), sqlx::Error> {
    let what: i64 = row.try_get(0)?;
    match what {
        0 => {
            let found = (At::There(row.try_get(2)?), sha(row.try_get(5)?)?);
            loaded.handed.insert(asked(row, 1, &questions.handed)?.clone(), found);
        }
        1 => {
            let found = (At::There(row.try_get(2)?), sha(row.try_get(5)?)?);
            let named = asked(row, 1, &questions.named)?.clone();
            let all = loaded.named.entry(named).or_default();
            // The same question may stand there twice.
            if !all.contains(&found) {
                all.push(found);
            }
        }
        3 => {
            let owner =
                Owner { node: row.try_get(6)?, author: row.try_get(7)?, keys: BTreeSet::new() };
            loaded.owners.insert(asked(row, 1, &questions.owned)?.clone(), owner);
        }
        4 => {
            let counted = asked(row, 1, &questions.counted)?.clone();
            loaded.last.insert(counted, version(row.try_get(2)?));
        }
        _ => {
            let relation: String = row.try_get(7)?;
            let relation = relation_named(&relation).ok_or_else(|| damaged("relation"))?;
            let said = Registration {
                active: row.try_get(4)?,
                until_ms: row.try_get(3)?,
                name: row.try_get(8)?,
                version: version(row.try_get(2)?),
            };
            let key = asked(row, 1, &questions.keys)?;
            let all = loaded.registrations.entry(*key).or_default();
            all.insert((row.try_get(6)?, relation), said);
        }
    }
    Ok(())
}

/// What a row of [`CONSENTS`] says.
fn said(row: &PgRow, all: &mut BTreeMap<String, Said>) -> Result<(), sqlx::Error> {
    let node: String = row.try_get(8)?;
    let name: String = row.try_get(1)?;
    if let Some(there) = all.get_mut(&name) {
        there.holders.insert(node);
        return Ok(());
    }
    let record: String = row.try_get(6)?;
    let (given, at_ms) = (row.try_get(5)?, row.try_get(3)?);
    let consent = Consent { given, all: record.is_empty(), record, at_ms };
    let said = Said {
        version: version(row.try_get(2)?),
        sha256: sha(row.try_get(4)?)?,
        consent,
        document: At::There(row.try_get(7)?),
        holders: BTreeSet::from([node]),
    };
    all.insert(name, said);
    Ok(())
}

/// The question that a row answers.
fn asked<'a, T>(row: &PgRow, column: usize, questions: &'a [T]) -> Result<&'a T, sqlx::Error> {
    let place: i64 = row.try_get(column)?;
    let place = usize::try_from(place - 1).ok();
    place.and_then(|place| questions.get(place)).ok_or_else(|| damaged("at"))
}

/// One value of each, as they travel: a whole batch in one trip.
pub(super) fn column<'a, T, V>(rows: &'a [T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}
