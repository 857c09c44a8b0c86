//! The node's end of the exchange: what waits in the outbox, and what becomes of what arrives.

use std::sync::Arc;

use sm3::{Digest as _, Sm3};
use tokio::sync::watch;

use super::ports::{Arrived, Indexed, NewTask};
use super::tasks::{self, TaskBody};
use super::{RecordDesk, consent, indexed, read};
use crate::app::error::Error;
use crate::app::exchange::desk::Desk;
use crate::app::exchange::facts::RegistrationBody;
use crate::app::ports::BoxFuture;
use crate::app::{App, NodeKind, chain, encode};
use crate::sharing::exchange::{Cursor, Delivery, Hello, Kind, Numbered, Outcome, SentFor};

/// See [`Desk`].
#[derive(Debug)]
pub struct NodeDesk {
    app: Arc<App>,
    desk: Arc<RecordDesk>,
}

impl NodeDesk {
    /// Over the documents of `app`; none where it keeps none.
    pub fn new(app: Arc<App>) -> Option<Self> {
        let desk = Arc::clone(app.records.as_ref()?);
        Some(Self { app, desk })
    }

    /// What follows from a document that came. One that cannot be read is kept all the same, and says
    /// why.
    fn arrived(&self, delivery: Delivery) -> Result<Arrived, Error> {
        let at_ms = self.app.clock.now_ms();
        let Delivery { document, sent_for, sender, handed_ms } = delivery;
        let unread = |problem: String| Indexed {
            sm3: Sm3::digest(&document.body).into(),
            format: "unread",
            problem,
            ..Indexed::default()
        };
        let (mut found, mut change, mut grant) = (Vec::new(), None, None);
        let mut indexed = match document.kind {
            Kind::Record => match read(&document.media_type, &document.body) {
                Ok(reading) => {
                    let knowledge = self.app.knowledge.load_full();
                    // What opens nothing here asks for nothing here: its tasks are others'.
                    let is_others = matches!(sent_for, Some(SentFor::Correction | SentFor::Other));
                    if self.app.role == NodeKind::Clinic && !is_others {
                        found = tasks::of(&knowledge, &document.name, &reading.record)?;
                    }
                    let named = (document.name.as_str(), document.version);
                    indexed(&knowledge, named, &document.body, &reading)?
                }
                Err(problems) => {
                    let first = problems.first().map_or("unknown", |p| p.code.as_str());
                    unread(first.to_owned())
                }
            },
            Kind::Task => match serde_json::from_slice::<TaskBody>(&document.body) {
                Ok(body) => {
                    change = Some(body.change(document.version));
                    Indexed { format: "task", ..unread(String::new()) }
                }
                Err(_) => unread("task_invalid".to_owned()),
            },
            Kind::Registration => {
                // Somebody else's is no relation of this clinic. What this node had written down comes
                // back to a box that has lost it.
                if sent_for == Some(SentFor::Returned)
                    && let Ok(said) = serde_json::from_slice::<RegistrationBody>(&document.body)
                {
                    grant = self.app.granted(&said, "hub".to_owned(), at_ms);
                }
                Indexed { format: "registration", ..unread(String::new()) }
            }
            Kind::Consent => match consent::read(&document.body) {
                Ok((said, keys)) => Indexed {
                    format: "consent",
                    reading_json: encode(&said)?,
                    keys,
                    ..unread(String::new())
                },
                Err(_) => unread("consent_invalid".to_owned()),
            },
        };
        (indexed.sender, indexed.handed_ms) = (sender, handed_ms);
        let tasks: Vec<NewTask> = found;
        Ok(Arrived { document, indexed, tasks, task: change, grant, sent_for, at_ms })
    }
}

impl Desk for NodeDesk {
    fn hello(&self) -> BoxFuture<'_, Result<Hello, Error>> {
        self.desk.store.hello()
    }

    fn outbox(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Numbered, Error>> {
        self.desk.store.outbox(after, limit, self.app.clock.now_ms())
    }

    fn settle(&self, number: u64, outcome: Outcome) -> BoxFuture<'_, Result<(), Error>> {
        if let Outcome::Refused { code, .. } = &outcome {
            tracing::warn!(
                number,
                code,
                "the hub did not take a document; it is tried again later"
            );
        }
        self.desk.store.settle(number, outcome, self.app.clock.now_ms())
    }

    fn keep(&self, cursor: Cursor, delivery: Delivery) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let kind = delivery.document.kind.name();
            let arrived = self.arrived(delivery)?;
            self.desk.store.keep(cursor, arrived).await?;
            tracing::info!(kind, number = cursor.number, "a document came");
            Ok(())
        })
    }

    fn unsettle(&self) -> BoxFuture<'_, Result<(), Error>> {
        tracing::warn!("the hub was set back: everything is handed over again");
        self.desk.store.unsettle(self.app.clock.now_ms())
    }

    fn reset_inbox(&self, cursor: Cursor) -> BoxFuture<'_, Result<(), Error>> {
        tracing::warn!("the hub numbers this node's documents anew: they are compared again");
        self.desk.store.reset_inbox(cursor, self.app.clock.now_ms())
    }

    fn renew(&self) -> BoxFuture<'_, Result<Hello, Error>> {
        Box::pin(async move {
            tracing::warn!(
                "this database is an old copy, or another box has the same one: it takes another name, \
                 and the hub sends what it may have lost; if another box has this node's name, give one \
                 of them another"
            );
            self.desk.store.renew(self.app.ids.new_id(), self.app.clock.now_ms()).await?;
            self.desk.store.hello().await
        })
    }

    fn note_replaced(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            tracing::error!(
                "another box has taken this node's name at the hub: what waits here is handed over, and \
                 nothing comes any more; give this box another name, or switch it off"
            );
            // Telling is what matters; that it is also written down is for the report.
            if let Err(error) = self.desk.store.note_replaced(self.app.clock.now_ms()).await {
                tracing::warn!(error = chain(&error), "not written down");
            }
            Ok(())
        })
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.desk.changed.subscribe()
    }
}
