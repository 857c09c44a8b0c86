//! NOTIFY and LISTEN: a hub hears whose inbox has grown at another one. Only a hint: after a break
//! everybody is woken.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::hub::Grown;

/// Bytes of a note at most; the server takes 8,000.
const NOTE_BYTES_MAX: usize = 7_000;
/// With more notes in one transaction everybody is woken.
const NOTES_MAX: usize = 8;
/// After so long without a note the connection is tried.
const QUIET: Duration = Duration::from_secs(30);
/// How long the server may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a channel's name at most.
const CHANNEL_BYTES_MAX: usize = 63;

/// How notes are written. They begin with the hub that wrote them, which has told its own listeners
/// before; then come nodes, or `*` for all.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    channel: String,
    hub: String,
}

impl Notes {
    /// `hub`: a number that no other hub on the schema has.
    pub(super) fn new(schema: &str, hub: i64) -> Self {
        let mut channel = format!("hub_{schema}");
        channel.truncate(channel.floor_char_boundary(CHANNEL_BYTES_MAX));
        Self { channel, hub: hub.to_string() }
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Notes that name `nodes`.
    pub(super) fn of(&self, nodes: &[String]) -> Vec<String> {
        let mut written: Vec<String> = Vec::new();
        for node in nodes {
            match written.last_mut() {
                Some(note) if note.len() + node.len() < NOTE_BYTES_MAX => {
                    note.push('\n');
                    note.push_str(node);
                }
                Some(_) | None => written.push(format!("{}\n{node}", self.hub)),
            }
        }
        if written.len() > NOTES_MAX {
            return vec![format!("{}\n*", self.hub)];
        }
        written
    }

    /// Tells what another hub has written.
    fn hear(&self, note: &str, grown: &Grown) {
        let mut words = note.split('\n');
        if words.next() == Some(&self.hub) {
            return;
        }
        words.for_each(|node| grown.tell(node));
    }
}

/// Starts to listen on `tracker`, until `stop`.
pub(super) fn start(
    options: PgConnectOptions,
    notes: &Notes,
    grown: &Grown,
    stop: &CancellationToken,
    tracker: &TaskTracker,
) {
    let (notes, grown, stop) = (notes.clone(), grown.clone(), stop.clone());
    tracker.spawn(async move {
        loop {
            let heard = stop.run_until_cancelled(listen(&options, &notes, &grown)).await;
            let Some(Err(error)) = heard else { break };
            tracing::debug!(error = %error, "the listener lost its connection");
            if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                break;
            }
        }
    });
}

/// Listens until the connection is lost.
async fn listen(
    options: &PgConnectOptions,
    notes: &Notes,
    grown: &Grown,
) -> Result<Infallible, sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ANSWER_WAIT)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(&notes.channel).await?;
    // What was said while nobody listened is not known.
    grown.tell("*");
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(note))) => notes.hear(note.payload(), grown),
            Ok(Ok(None)) => return Err(sqlx::Error::PoolClosed),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let asked = sqlx::query("SELECT 1").execute(&mut listener);
                timeout(ANSWER_WAIT, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
            }
        }
    }
}
