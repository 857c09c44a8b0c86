//! Looking at a schema on a server without changing anything: nothing is locked, made or migrated.

use sqlx::{ConnectOptions as _, Connection as _};

use super::{Server, hub, studies};
pub use crate::store::looking::Schema;
use crate::store::looking::{Step, Taken};

/// What a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Documents of hubs.
    Hub,
    /// The index of studies of a node.
    Studies,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Version of the server.
    pub version: String,
    /// Encoding of the database.
    pub encoding: String,
    /// Whether this user could make the schema, if it is not there.
    pub may_make: bool,
    /// How the schema stands; none: it is not there.
    pub schema: Option<Schema>,
}

impl Which {
    /// Its released steps.
    pub(in crate::store) fn steps(self) -> &'static [Step] {
        match self {
            Self::Hub => &hub::MIGRATIONS,
            Self::Studies => &studies::MIGRATIONS,
        }
    }
}

/// Looks at `schema` on `server`.
pub async fn look(server: &Server, schema: &str, which: Which) -> Result<Looked, sqlx::Error> {
    let options = server.options(schema).options([("default_transaction_read_only", "on")]);
    let mut connection = options.connect().await?;
    let (version, encoding, may_make): (String, String, bool) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_setting('server_encoding'), \
         has_database_privilege(current_database(), 'CREATE')",
    )
    .fetch_one(&mut connection)
    .await?;
    let made: bool = sqlx::query_scalar(
        "SELECT to_regclass(quote_ident($1) || '._sqlx_migrations') IS NOT NULL",
    )
    .bind(schema)
    .fetch_one(&mut connection)
    .await?;
    let taken: Option<Vec<Taken>> = if made {
        let taken = sqlx::query_as(
            "SELECT version, description, installed_on::text, success, checksum \
             FROM _sqlx_migrations ORDER BY version",
        );
        Some(taken.fetch_all(&mut connection).await?)
    } else {
        None
    };
    connection.close().await?;
    let schema = taken.map(|taken| Schema::of(&taken, which.steps()));
    Ok(Looked { version, encoding, may_make, schema })
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::super::testing::{Scratch, url};
    use super::*;

    #[tokio::test]
    async fn a_schema_on_a_server_is_looked_at_and_not_made() {
        let Some(url) = url() else { return };
        let scratch = Scratch::new(&url);
        let looked = look(&scratch.server, &scratch.schema, Which::Hub).await.unwrap();
        assert_eq!((looked.schema, looked.encoding.as_str()), (None, "UTF8"));
        assert!(looked.may_make);
        let tasks = TaskTracker::new();
        let opened =
            hub::HubStore::open(&scratch.server, &scratch.schema, Vec::new(), &tasks).await;
        drop(opened.unwrap());
        let looked = look(&scratch.server, &scratch.schema, Which::Hub).await.unwrap();
        let schema = looked.schema.unwrap();
        assert_eq!(schema.at, schema.known);
        assert_eq!((schema.unfinished, schema.differs), (None, None));
        scratch
            .run(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (99, 'later', true, '\\x00', 0)",
            )
            .await;
        let schema = look(&scratch.server, &scratch.schema, Which::Hub).await.unwrap().schema;
        let schema = schema.unwrap();
        assert!(schema.at > schema.known && schema.name == "later", "{schema:?}");
        tasks.close();
        tasks.wait().await;
        scratch.drop().await;
    }
}
