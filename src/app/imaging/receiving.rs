//! Objects that come in pieces over a stream, as files or as data sets.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::incoming::{Incoming, Refused};
use super::keeping::Stored;
use super::{Imaging, Intake, Requester};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::part10::{BEGINNING_BYTES, Part10Error, open};

/// Who stores, and where.
#[derive(Debug)]
pub struct Storing {
    imaging: Arc<Imaging>,
    intake: Arc<Intake>,
}

/// What is said of an object before it comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced {
    /// Transfer syntax of a data set; none: it comes as a file.
    pub transfer_syntax: Option<String>,
    /// Bytes that will come.
    pub size_bytes: Option<u64>,
    /// SHA-256 of the data set.
    pub digest: Option<Digest>,
}

/// Why an object is not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// It is no file that can be read.
    #[error(transparent)]
    File(#[from] Part10Error),
    /// It is another than was said.
    #[error("{what} is not the one announced")]
    NotAsAnnounced {
        /// What differs.
        what: &'static str,
    },
    /// Another was begun before it was ended.
    #[error("the object was not ended")]
    NotEnded,
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// An object that arrives in pieces.
#[derive(Debug)]
pub struct Arrival<'a> {
    storing: &'a Storing,
    announced: Announced,
    state: State<'a>,
    received: u64,
}

#[derive(Debug)]
enum State<'a> {
    /// The beginning of a file, until its meta group can be read.
    Beginning(Vec<u8>),
    /// The data set.
    DataSet(Box<Incoming<'a>>),
}

/// Tells what became of an object once it is kept.
pub type Told = oneshot::Receiver<Result<Stored, Error>>;

impl App {
    /// Begins to store objects.
    pub fn store_objects(&self, caller: &Caller) -> Result<Storing, Error> {
        authorise(caller, Action::StoreImages)?;
        let imaging = Arc::clone(&self.images()?.imaging);
        Ok(Storing { imaging, intake: Intake::of(Requester::of(caller.clone())) })
    }
}

impl Storing {
    /// Begins to take an object.
    pub fn begin(&self, announced: Announced) -> Result<Arrival<'_>, NotKept> {
        let state = match &announced.transfer_syntax {
            None => State::Beginning(Vec::new()),
            Some(syntax) => State::DataSet(Box::new(self.incoming(syntax, Vec::new())?)),
        };
        Ok(Arrival { storing: self, announced, state, received: 0 })
    }

    fn incoming(&self, syntax: &str, meta: Vec<u8>) -> Result<Incoming<'_>, Refused> {
        self.imaging.receive(&self.intake, syntax, None, meta)
    }
}

impl Arrival<'_> {
    /// Takes the next bytes.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), NotKept> {
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        if self.announced.size_bytes.is_some_and(|said| self.received > said) {
            return Err(NotKept::NotAsAnnounced { what: "the number of bytes" });
        }
        match &mut self.state {
            State::DataSet(incoming) => incoming.push(bytes).await?,
            State::Beginning(beginning) => {
                beginning.extend_from_slice(&bytes);
                if beginning.len() >= BEGINNING_BYTES {
                    self.open().await?;
                }
            }
        }
        Ok(())
    }

    /// Checks that the object is whole and hands it over to be kept.
    pub async fn finish(mut self) -> Result<Told, NotKept> {
        if self.announced.size_bytes.is_some_and(|said| self.received != said) {
            return Err(NotKept::NotAsAnnounced { what: "the number of bytes" });
        }
        self.open().await?;
        let State::DataSet(incoming) = self.state else {
            return Err(Part10Error::NotDicom.into());
        };
        if self.announced.digest.is_some_and(|said| incoming.digest() != said) {
            return Err(NotKept::NotAsAnnounced { what: "the SHA-256" });
        }
        Ok(incoming.submit().await?)
    }

    /// Reads the beginning of a file and goes on with its data set.
    async fn open(&mut self) -> Result<(), NotKept> {
        let State::Beginning(beginning) = &mut self.state else { return Ok(()) };
        let mut meta = std::mem::take(beginning);
        let opening = open(&meta)?;
        let data_set = Bytes::from(meta.split_off(opening.data_set.min(meta.len())));
        let mut incoming = self.storing.incoming(&opening.transfer_syntax, meta)?;
        incoming.push(data_set).await?;
        self.state = State::DataSet(Box::new(incoming));
        Ok(())
    }
}
