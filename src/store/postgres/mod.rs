//! PostgreSQL, for what outgrows a file beside the node.
//!
//! A node's index of studies has a schema of its own, and one writer: a lock in the server refuses a
//! second node. Hubs share the schema of their documents.
//! Whoever can listen between node and server would read patients' names, so a server on another
//! machine is spoken to over TLS with a verified certificate or not at all.

pub mod hub;
pub mod looking;
pub mod studies;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};

/// Parameters that an address may have; others are refused, so that a slip of the pen is told.
const PARAMETERS: [&str; 9] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "password"];
/// Statements each connection keeps prepared.
const STATEMENTS_MAX: usize = 64;
/// How long a question waits for a connection, the server's return included.
const ACQUIRE_WAIT: Duration = Duration::from_secs(5);
/// A connection that was idle for so long is tried before it is used.
const IDLE_TRIED: Duration = Duration::from_secs(1);

/// Settings of connections whose statements are always the same and look rows up by their keys. Their
/// plans are made once, and one made while a table was small must not be kept for one that has grown:
/// loops over indexes are always right. A plan for each look-up would cost several times the look-up.
const KEYED: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// Why an index on PostgreSQL could not be opened. Says which server and database, and never the
/// password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address cannot be used.
    #[error("postgres_url {0}")]
    Url(&'static str),
    /// A file that the configuration names cannot be read.
    #[error("cannot read {} (postgres_url_file)", path.display())]
    UrlFile {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server does not answer, or not for this user.
    #[error(
        "cannot open the database at {server}: is PostgreSQL running there, and may this user connect?"
    )]
    Connect {
        /// Server and database.
        server: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database holds another encoding than UTF-8, and could not keep every name.
    #[error("the database at {server} must have the encoding UTF8, it has {encoding}")]
    Encoding {
        /// Server and database.
        server: String,
        /// Its encoding.
        encoding: String,
    },
    /// Another node works on the schema.
    #[error(
        "schema {schema} of {server} is in use by {holder}: give this node a schema of its own \
         with imaging.postgres_schema, or stop the other one"
    )]
    Taken {
        /// Schema.
        schema: String,
        /// Server and database.
        server: String,
        /// Who has it.
        holder: String,
    },
    /// The schema cannot be brought up to date; often one written by a newer version.
    #[error("cannot migrate schema {schema} of {server}")]
    Migrate {
        /// Schema.
        schema: String,
        /// Server and database.
        server: String,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// Its patients are sealed, and not for this node.
    #[error(
        "schema {schema} of {server} cannot be opened: {fault}. Put the keyring back from a backup, or drop \
         the schema (DROP SCHEMA {schema} CASCADE): the index is made anew from the archive"
    )]
    Sealed {
        /// Schema.
        schema: String,
        /// Server and database.
        server: String,
        /// Why.
        fault: String,
    },
}

/// A database on a server, and how to get in. `Debug` does not show the password.
#[derive(Clone)]
pub struct Server {
    options: PgConnectOptions,
    name: String,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.name).finish()
    }
}

impl Server {
    /// From `postgres://user:password@host:port/database?sslmode=...`. The message of a refusal does
    /// not repeat any part of it.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let url = url.trim();
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(OpenError::Url("must begin with postgres://"));
        }
        let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let known = |key: &str| PARAMETERS.contains(&key);
        if !form_urlencoded::parse(query.as_bytes()).all(|(key, _)| known(&key)) {
            return Err(OpenError::Url(
                "may have the parameters sslmode, sslrootcert, sslcert, sslkey, host, port, \
                 dbname, user and password",
            ));
        }
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            OpenError::Url("must be like postgres://user:password@host:5432/database")
        })?;
        let host = options.get_host();
        let local = options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let verified =
            matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
        if !local && !verified {
            return Err(OpenError::Url(
                "names another machine: add sslmode=verify-full (and sslrootcert=FILE for an \
                 authority of your own), because names of patients go there",
            ));
        }
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let name = match options.get_socket() {
            Some(socket) => format!("{}:{}/{database}", socket.display(), options.get_port()),
            None => format!("{host}:{}/{database}", options.get_port()),
        };
        let options = options
            .application_name("xiangyi")
            .statement_cache_capacity(STATEMENTS_MAX)
            .disable_statement_logging();
        Ok(Self { options, name })
    }

    /// Host, port and database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For connections whose names without a schema are those of `schema`.
    fn options(&self, schema: &str) -> PgConnectOptions {
        let settings =
            [("search_path", schema), ("jit", "off"), ("client_min_messages", "warning")];
        self.options.clone().options(settings)
    }

    fn sealed(&self, schema: &str, fault: String) -> OpenError {
        OpenError::Sealed { schema: schema.to_owned(), server: self.name.clone(), fault }
    }

    fn unreachable(&self, source: sqlx::Error) -> OpenError {
        OpenError::Connect { server: self.name.clone(), source }
    }
}

/// Whether `error` says that the connection is gone, and not that the question is wrong.
fn lost(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(error) = error {
        // Class 08: connection; 57P: the server ends or starts.
        return error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"));
    }
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
}

/// At most `connections`, made when they are needed.
fn pool(connections: u32, options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WAIT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > IDLE_TRIED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn a_server_on_another_machine_needs_a_verified_certificate() {
        let name = |url| Server::parse(url).unwrap().name().to_owned();
        assert_eq!(name("postgres://u:secret@127.0.0.1:5433/db"), "127.0.0.1:5433/db");
        assert_eq!(name("postgresql://u@localhost/db"), "localhost:5432/db");
        assert_eq!(name("postgres:///db?host=/run/pg&user=u"), "/run/pg:5432/db");
        let remote = "postgres://u:secret@10.0.0.9/db";
        for refused in ["", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require"] {
            let error = Server::parse(&format!("{remote}{refused}")).unwrap_err().to_string();
            assert!(error.contains("sslmode=verify-full"), "{error}");
        }
        assert_eq!(name(&format!("{remote}?sslmode=verify-full")), "10.0.0.9:5432/db");
    }

    #[test]
    fn no_message_and_no_debug_shows_the_password() {
        let server = Server::parse("postgres://u:secret@127.0.0.1:1/db").unwrap();
        assert!(!format!("{server:?}").contains("secret"));
        for url in [
            "mysql://u:secret@127.0.0.1/db",
            "postgres://u:secret@127.0.0.1:notaport/db",
            "postgres://u:secret@127.0.0.1/db?sslmode=secret",
            "postgres://u:secret@127.0.0.1/db?pasword=secret",
        ] {
            let error = Server::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }
}
