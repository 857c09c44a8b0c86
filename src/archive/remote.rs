//! What the archive asks of a remote store of whole segments: little enough that a test can stand in
//! for it and fail. [`ObjectBlobs`] asks any store that `object_store` speaks to.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};

/// Why a remote store did not do what it was asked. Says nothing of credentials.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no such blob.
    #[error("the remote store has no {name}")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A blob is not what was put.
    #[error("{name} in the remote store is not what was put there")]
    Changed {
        /// Its name.
        name: String,
    },
    /// It cannot be reached, or refuses.
    #[error("the remote store does not answer as it should")]
    Store(#[source] object_store::Error),
    /// What was to be put cannot be read.
    #[error("the segment cannot be read")]
    Local(#[from] std::io::Error),
}

/// A blob that is being put, part by part.
pub trait Putting: Debug + Send {
    /// The next part.
    fn part(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), RemoteError>>;
    /// All parts are there: the blob takes the place of one with its name.
    fn complete(&mut self) -> BoxFuture<'_, Result<(), RemoteError>>;
    /// The parts go away.
    fn abort(&mut self) -> BoxFuture<'_, ()>;
}

/// A remote store of blobs.
pub trait Blobs: Debug + Send + Sync {
    /// Bytes `range` of a blob.
    fn range<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, RemoteError>>;
    /// Length of a blob.
    fn length<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, RemoteError>>;
    /// Begins to put a blob.
    fn put<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn Putting>, RemoteError>>;
    /// Deletes a blob; one that is not there is deleted.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RemoteError>>;
}

/// Blobs in an `object_store`, below a prefix.
#[derive(Debug, Clone)]
pub struct ObjectBlobs {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

#[derive(Debug)]
struct Multipart {
    name: String,
    upload: Box<dyn object_store::MultipartUpload>,
}

impl ObjectBlobs {
    /// In `store`, below `prefix`; empty for none.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self { store, prefix: prefix.trim_matches('/').to_owned() }
    }

    fn path(&self, name: &str) -> Path {
        if self.prefix.is_empty() {
            Path::from(name)
        } else {
            Path::from(format!("{}/{name}", self.prefix))
        }
    }
}

fn failed(name: &str, error: object_store::Error) -> RemoteError {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return RemoteError::Missing { name: name.to_owned() };
    }
    RemoteError::Store(error)
}

impl Blobs for ObjectBlobs {
    fn range<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, RemoteError>> {
        Box::pin(async move {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            let wanted = range.end.saturating_sub(range.start);
            let bytes = self.store.get_range(&self.path(name), range).await;
            let bytes = bytes.map_err(|error| failed(name, error))?;
            if u64::try_from(bytes.len()).is_ok_and(|found| found == wanted) {
                return Ok(bytes);
            }
            Err(RemoteError::Changed { name: name.to_owned() })
        })
    }

    fn length<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, RemoteError>> {
        Box::pin(async move {
            let found = self.store.head(&self.path(name)).await;
            Ok(found.map_err(|error| failed(name, error))?.size)
        })
    }

    fn put<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn Putting>, RemoteError>> {
        Box::pin(async move {
            let upload = self.store.put_multipart(&self.path(name)).await;
            let upload = upload.map_err(|error| failed(name, error))?;
            let putting: Box<dyn Putting> = Box::new(Multipart { name: name.to_owned(), upload });
            Ok(putting)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RemoteError>> {
        Box::pin(async move {
            match self.store.delete(&self.path(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(failed(name, error)),
            }
        })
    }
}

impl Putting for Multipart {
    fn part(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), RemoteError>> {
        let sent = self.upload.put_part(PutPayload::from_bytes(bytes));
        Box::pin(async move { sent.await.map_err(|error| failed(&self.name, error)) })
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<(), RemoteError>> {
        Box::pin(async move {
            let done = self.upload.complete().await;
            done.map(drop).map_err(|error| failed(&self.name, error))
        })
    }

    fn abort(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // What stays takes room in the store and nothing else.
            let _ = self.upload.abort().await;
        })
    }
}
