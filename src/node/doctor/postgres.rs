//! What lies on a `PostgreSQL` server: it answers, holds UTF-8, and has a schema that this program knows.

use super::database::told;
use super::seen::Seen;
use super::{Notes, apart};
use crate::app::chain;
use crate::config::{Config, IndexName, NodeRole};
use crate::node::records::server;
use crate::store::postgres::Server;
use crate::store::postgres::looking::{self, Which};

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    let config = &seen.config;
    if config.imaging.enabled && config.imaging.index == IndexName::Postgres {
        let schema = config.imaging.postgres_schema.clone();
        look(config, notes, ("imaging.postgres_url", schema, Which::Studies)).await;
    }
    let section = &config.exchange;
    let on_server = section.postgres_url.is_some() || section.postgres_url_file.is_some();
    if config.node.role == NodeRole::Hub && on_server {
        let schema = section.postgres_schema.clone();
        look(config, notes, ("exchange.postgres_url", schema, Which::Hub)).await;
    }
}

async fn look(config: &Config, notes: &Notes, (key, schema, which): (&str, String, Which)) {
    let config = config.clone();
    let parsed = apart(move || {
        let (url, file) = match which {
            Which::Studies => (&config.imaging.postgres_url, &config.imaging.postgres_url_file),
            Which::Hub => (&config.exchange.postgres_url, &config.exchange.postgres_url_file),
        };
        server((url.as_ref(), file.as_deref())).map_err(|error| chain(&error))
    });
    let server: Server = match parsed.await {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => return notes.fail(key, (error, "mend the address")),
        Err(_) => return notes.fail(key, ("reading the address broke off", "report this")),
    };
    let subject = format!("{key} {} schema {schema}", server.name());
    let looked = match looking::look(&server, &schema, which).await {
        Ok(looked) => looked,
        Err(error) => {
            let advice = "look whether it runs (`systemctl status postgresql`, `pg_isready -h HOST -p \
                          PORT`), whether pg_hba.conf lets this user in, and at its certificate";
            return notes.fail(subject, (format!("cannot be asked: {}", chain(&error)), advice));
        }
    };
    if looked.encoding != "UTF8" {
        let found = format!("has the encoding {}, which cannot hold every name", looked.encoding);
        let advice = "make the database anew: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0";
        return notes.fail(subject, (found, advice));
    }
    match looked.schema {
        Some(schema) => {
            if told(notes, &subject, &schema) {
                notes.ok(subject, format!("answers, version {}", looked.version));
            }
        }
        None if looked.may_make => notes.ok(subject, "answers; a start makes the schema"),
        None => {
            let advice = format!("CREATE SCHEMA {schema} AUTHORIZATION the node's user");
            notes.fail(subject, ("has no such schema, and this user may not make it", advice));
        }
    }
}
