//! What reporting needs from the outside: at a node its counts and a way to the hub, at a hub a place for
//! what nodes told.

use std::fmt::Debug;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::reporting::{Month, Site};

/// What somebody tells of a place and month, as it travels and is kept: names and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Of which place, a division code.
    pub place: String,
    /// Of which month.
    pub month: Month,
    /// Goes up with every change.
    pub revision: u32,
    /// Name of a counter (of hours with the class) and its number.
    pub numbers: Vec<(String, u64)>,
}

/// A telling as a hub keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTelling {
    /// Name of the node.
    pub node: String,
    /// What it told.
    pub telling: Telling,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What became of a telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is kept.
    Kept,
    /// It was kept before, the same.
    Known,
    /// A newer revision is kept, or another one under this number. Whoever has something new tells it
    /// under a higher one.
    Behind {
        /// The newest that is kept.
        newest: u32,
    },
}

/// Hours of a day in which a node was connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Name of the node.
    pub node: String,
    /// Where it stands, a division code.
    pub place: String,
    /// When the day begins in Shanghai, in milliseconds since 1970.
    pub day_ms: i64,
    /// A bit for each hour of the day, the lowest for the first.
    pub hours: u32,
}

/// At a hub: what nodes told, and when they were connected.
pub trait ReportingStore: Debug + Send + Sync {
    /// Keeps a telling, if it is newer than what is kept. Kept when this returns.
    fn keep(&self, telling: KeptTelling) -> BoxFuture<'_, Result<Heard, Error>>;

    /// Of each node, place and this month the newest revision that had come by a moment.
    fn known(&self, month: Month, at_ms: i64) -> BoxFuture<'_, Result<Vec<KeptTelling>, Error>>;

    /// Notes when nodes were connected. A node's first one makes it a site from then on; hours that are
    /// noted already stay.
    fn present(&self, seen: Vec<(Present, i64)>) -> BoxFuture<'_, Result<(), Error>>;

    /// All sites.
    fn sites(&self) -> BoxFuture<'_, Result<Vec<Site>, Error>>;

    /// When nodes were connected on the days from the first moment to before the second.
    fn presence(&self, from_ms: i64, to_ms: i64) -> BoxFuture<'_, Result<Vec<Present>, Error>>;
}

/// What a node told last of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// The telling.
    pub telling: Telling,
    /// When the hub took it, in milliseconds since 1970.
    pub taken_ms: i64,
}

/// A node's own counts, of what it keeps.
pub trait NodeCounts: Debug + Send + Sync {
    /// The numbers of a month as they are now, names as in [`Telling::numbers`].
    fn count(&self, month: Month) -> BoxFuture<'_, Result<Vec<(String, u64)>, Error>>;

    /// The month in which the node began to keep anything; none while it keeps nothing.
    fn first(&self) -> BoxFuture<'_, Result<Option<Month>, Error>>;

    /// What was told last of a month.
    fn spoken(&self, month: Month) -> BoxFuture<'_, Result<Option<Spoken>, Error>>;

    /// Keeps what was told.
    fn note(&self, spoken: Spoken) -> BoxFuture<'_, Result<(), Error>>;
}

/// Where a node tells its numbers.
pub trait Listener: Debug + Send + Sync {
    /// Tells; it is kept there when this returns.
    fn tell(&self, telling: Telling) -> BoxFuture<'_, Result<Heard, Error>>;
}
