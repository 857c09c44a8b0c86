//! A hub that starts while its server is away: it answers that its store is not available, and goes on
//! when the server is there.
//!
//! What a server that answers says is another matter: a user that may not connect, an encoding that
//! cannot hold every name, a schema of a newer program. Said at the start it ends the start, said later
//! it is logged as an error and asked again, because somebody may mend it on the server.

mod others;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::migrate::MigrateError;
use tokio::sync::broadcast;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::HubStore;
use crate::app::chain;
use crate::app::error::Error;
use crate::app::exchange::ports::{
    HubDocuments, NodeExchange, PersonKey, PutAside, QuarantineQuery, Quarantined, Scope, Settled,
    Submission, Withdrawn,
};
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::{Delivery, Document, Hello, Numbered, Outcome, Welcome};
use crate::store::hub::{Grown, Scopes};
use crate::store::postgres::{OpenError, Server, lost};

/// Between two attempts to open: at first, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A store that is opened when its server answers.
#[derive(Debug)]
struct Waiting {
    opened: Arc<OnceLock<HubStore>>,
    grown: Grown,
    _opening: DropGuard,
}

/// Opens a store as [`HubStore::open`] does. If the server does not answer, the store that is returned
/// (of documents, and of the people they are about) is opened as soon as it does; until then everything
/// asked of it is unavailable.
///
/// # Errors
///
/// What the server answered keeps the store from being opened.
pub async fn open_or_wait(
    server: &Server,
    schema: &str,
    scopes: Vec<Scope>,
    tracker: &TaskTracker,
) -> Result<Arc<dyn HubDocuments>, OpenError> {
    let (scopes, grown) = (Arc::new(Scopes::new(scopes)), Grown::new());
    let with = (Arc::clone(&scopes), grown.clone());
    let error = match HubStore::open_telling(server, schema, with, tracker).await {
        Ok(store) => return Ok(Arc::new(store)),
        Err(error) if is_away(&error) => error,
        Err(error) => return Err(error),
    };
    tracing::error!(
        error = chain(&error),
        "the hub starts without its store of documents: nodes keep what they have until the server \
         answers"
    );
    let (opened, stop) = (Arc::new(OnceLock::new()), CancellationToken::new());
    let opening = Opening {
        server: server.clone(),
        schema: schema.to_owned(),
        scopes,
        grown: grown.clone(),
        opened: Arc::clone(&opened),
        tracker: tracker.clone(),
    };
    let until = stop.clone();
    tracker.spawn(async move { until.run_until_cancelled(opening.run()).await });
    Ok(Arc::new(Waiting { opened, grown, _opening: stop.drop_guard() }))
}

/// Whether it was the line or the server, and not what the server said.
fn is_away(error: &OpenError) -> bool {
    let source = match error {
        OpenError::Connect { source, .. }
        | OpenError::Migrate {
            source: MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _),
            ..
        } => source,
        OpenError::Url(_)
        | OpenError::UrlFile { .. }
        | OpenError::Encoding { .. }
        | OpenError::Taken { .. }
        | OpenError::Migrate { .. }
        | OpenError::Sealed { .. } => return false,
    };
    // Class 53: the server has no room for another connection.
    let is_full = matches!(source, sqlx::Error::Database(error)
        if error.code().is_some_and(|code| code.starts_with("53")));
    is_full || lost(source) || matches!(source, sqlx::Error::PoolTimedOut)
}

/// What opens a store.
struct Opening {
    server: Server,
    schema: String,
    scopes: Arc<Scopes>,
    grown: Grown,
    opened: Arc<OnceLock<HubStore>>,
    tracker: TaskTracker,
}

impl Opening {
    /// Tries until the store is open.
    async fn run(self) {
        let mut pause = PAUSE;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            let with = (Arc::clone(&self.scopes), self.grown.clone());
            let opened: BoxFuture<'_, _> =
                Box::pin(HubStore::open_telling(&self.server, &self.schema, with, &self.tracker));
            match opened.await {
                Ok(store) => {
                    // Nobody else sets it.
                    let _ = self.opened.set(store);
                    tracing::info!(server = self.server.name(), "the store of documents is open");
                    self.grown.tell("*");
                    return;
                }
                Err(error) if is_away(&error) => {
                    tracing::warn!(error = chain(&error), "the store of documents is not open yet");
                }
                Err(error) => {
                    tracing::error!(
                        error = chain(&error),
                        "the store of documents cannot be opened"
                    );
                }
            }
        }
    }
}

impl Waiting {
    fn store(&self) -> Result<&HubStore, Error> {
        let what = "store of documents (the hub waits for the server of exchange.postgres_url)";
        self.opened.get().ok_or(Error::Unavailable { what, cause: None })
    }
}

impl HubDocuments for Waiting {
    fn attend<'a>(
        &'a self,
        node: &'a str,
        hello: &'a Hello,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<Welcome, Error>> {
        Box::pin(async move { self.store()?.attend(node, hello, at_ms).await })
    }

    fn keep(&self, submission: Submission) -> BoxFuture<'_, Result<Outcome, Error>> {
        Box::pin(async move { self.store()?.keep(submission).await })
    }

    fn opens<'a>(
        &'a self,
        node: &'a str,
        keys: &'a [PersonKey],
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move { self.store()?.opens(node, keys).await })
    }

    fn withdrawals<'a>(
        &'a self,
        keys: &'a [PersonKey],
    ) -> BoxFuture<'a, Result<Vec<Withdrawn>, Error>> {
        Box::pin(async move { self.store()?.withdrawals(keys).await })
    }

    fn quarantine(&self, document: Quarantined) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.store()?.quarantine(document).await })
    }

    fn quarantined(&self, query: QuarantineQuery) -> BoxFuture<'_, Result<Vec<PutAside>, Error>> {
        Box::pin(async move { self.store()?.quarantined(query).await })
    }

    fn quarantined_count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { self.store()?.quarantined_count().await })
    }

    fn read_quarantined(
        &self,
        id: u64,
    ) -> BoxFuture<'_, Result<Option<(PutAside, Document)>, Error>> {
        Box::pin(async move { self.store()?.read_quarantined(id).await })
    }

    fn settle_quarantined(
        &self,
        id: u64,
        settled: Settled,
    ) -> BoxFuture<'_, Result<Option<PutAside>, Error>> {
        Box::pin(async move { self.store()?.settle_quarantined(id, settled).await })
    }

    fn inbox<'a>(
        &'a self,
        node: &'a str,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Numbered<Delivery>, Error>> {
        Box::pin(async move { self.store()?.inbox(node, after, limit).await })
    }

    fn advance<'a>(
        &'a self,
        node: &'a str,
        number: u64,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.store()?.advance(node, number, at_ms).await })
    }

    fn note_clock<'a>(&'a self, node: &'a str, ahead_ms: i64) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.store()?.note_clock(node, ahead_ms).await })
    }

    fn grown(&self) -> broadcast::Receiver<Arc<str>> {
        self.grown.listen()
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeExchange>, Error>> {
        Box::pin(async move { self.store()?.nodes().await })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.store()?.ready().await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::Code;
    use crate::app::exchange::store_suite;
    use crate::store::postgres::testing::{Cluster, Scratch, url};

    async fn open(
        scratch: &Scratch,
        tracker: &TaskTracker,
    ) -> Result<Arc<dyn HubDocuments>, String> {
        let scopes = store_suite::scopes();
        let opened = open_or_wait(&scratch.server, &scratch.schema, scopes, tracker).await;
        opened.map_err(|error| chain(&error))
    }

    #[tokio::test]
    async fn a_server_that_comes_later_is_gone_on_with() {
        if url().is_none() {
            return;
        }
        let (cluster, url) = Cluster::start("postgres-hub-later");
        cluster.crash();
        let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
        let store = open(&scratch, &tracker).await.unwrap();
        let mut grown = store.grown();
        let error = store.keep(store_suite::for_the_village(1)).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.public().contains("exchange.postgres_url"), "{}", error.public());
        assert_eq!(store.ready().await.unwrap_err().code(), Code::Unavailable);
        cluster.go_on();
        // Those who wait are told, and what they hand over is kept.
        assert_eq!(&*grown.recv().await.unwrap(), "*");
        store.ready().await.unwrap();
        store_suite::kept_for_the_village(&*store, 1).await;
        let mut heard = grown.recv().await.unwrap();
        while &*heard == "*" {
            heard = grown.recv().await.unwrap();
        }
        assert!(["village-1", "township"].contains(&&*heard), "{heard}");
        drop(store);
        tracker.close();
        tracker.wait().await;
        drop(cluster);
    }

    #[tokio::test]
    async fn what_a_server_answers_at_the_start_ends_the_start() {
        let Some(url) = url() else { return };
        let tracker = TaskTracker::new();
        // A user that may not connect.
        let known = url.split_once("://").unwrap().1;
        let user = known.split_once('@').map_or("", |(user, _)| user);
        let stranger = url.replacen(&format!("{user}@"), "nobody-of-this-name:wrong@", 1);
        assert_ne!(stranger, url);
        let error = open(&Scratch::new(&stranger), &tracker).await.unwrap_err();
        assert!(error.contains("may this user connect"), "{error}");
        assert!(!error.contains("wrong@"), "{error}");
        // A schema of a newer program.
        let scratch = Scratch::new(&url);
        drop(open(&scratch, &tracker).await.unwrap());
        scratch
            .run(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (9999, 'newer', true, '', 0)",
            )
            .await;
        let error = open(&scratch, &tracker).await.unwrap_err();
        assert!(error.contains(&scratch.schema) && error.contains("9999"), "{error}");
        tracker.close();
        tracker.wait().await;
        scratch.drop().await;
    }
}
