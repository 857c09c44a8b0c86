//! A node's end of the exchange, as the link needs it.

use std::fmt::Debug;

use tokio::sync::watch;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::{Cursor, Delivery, Hello, Numbered, Outcome};

/// What a node has to hand over, and where what it is given goes. What returns is on disk.
pub trait Desk: Debug + Send + Sync {
    /// What the database says of itself.
    fn hello(&self) -> BoxFuture<'_, Result<Hello, Error>>;
    /// Documents that wait: those above a number, and those that were refused and are due again; at
    /// most `limit`, and whether there is no more.
    fn outbox(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Numbered, Error>>;
    /// What became of one.
    fn settle(&self, number: u64, outcome: Outcome) -> BoxFuture<'_, Result<(), Error>>;
    /// A document came: it and the cursor are kept in one transaction.
    fn keep(&self, cursor: Cursor, delivery: Delivery) -> BoxFuture<'_, Result<(), Error>>;
    /// The hub was set back: everything is to be sent again.
    fn unsettle(&self) -> BoxFuture<'_, Result<(), Error>>;
    /// The hub's numbers are others than the node has: they begin here.
    fn reset_inbox(&self, cursor: Cursor) -> BoxFuture<'_, Result<(), Error>>;
    /// Gives the database another name, because it is an old copy or has a double.
    fn renew(&self) -> BoxFuture<'_, Result<Hello, Error>>;
    /// Another box has the node's name.
    fn note_replaced(&self) -> BoxFuture<'_, Result<(), Error>>;
    /// Changes when something was put into the outbox.
    fn changed(&self) -> watch::Receiver<u64>;
}
