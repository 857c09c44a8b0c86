//! Objects for receivers that do not take what is kept: converted on request, never on arrival.
//!
//! What is kept stays as it came. A conversion needs the whole object in memory, before and after;
//! how much all of them may have at the same time is bounded here.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::peers::Service;
use super::ports::IndexedInstance;
use super::{Imaging, MEMORY_UNIT, Requester};
use crate::app::error::{Cause, Error};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::structure::StructureError;

/// Bytes of a data set that is converted at most, before, after, and inflated: 512 MiB.
pub const TRANSCODED_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of all conversions at the same time, what they gave and was not yet sent included.
pub(super) const CONVERTING_BYTES_MAX: usize = 2 * TRANSCODED_BYTES_MAX;
/// What of a compressed object's result is reserved before it is known.
const EXPANSION: usize = 16;
/// How long a conversion waits for memory.
const MEMORY_WITHIN: Duration = Duration::from_secs(30);
/// When to try again after that.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Implicit VR little endian.
pub const IMPLICIT_LITTLE: &str = "1.2.840.10008.1.2";
/// Explicit VR little endian.
pub const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
/// Deflated explicit VR little endian.
pub const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
/// What objects can be converted to, the best first. Nothing is compressed here.
pub const TARGETS: [&str; 3] = [EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED];

/// Why an object is not converted.
#[derive(Debug, thiserror::Error)]
pub enum TranscodeError {
    /// Not from this syntax, or not to that.
    #[error("its transfer syntax is not converted to the one asked for")]
    NotOffered,
    /// It would be too long.
    #[error("it is longer than the {bytes_max} bytes that are converted")]
    TooLarge {
        /// Most that is converted.
        bytes_max: usize,
    },
    /// It is no whole data set.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The deflated stream is broken (RFC 1951).
    #[error("the deflated stream is broken")]
    Inflate,
    /// Its pixels cannot be decoded, or not as what they are said to be.
    #[error("its pixels cannot be converted")]
    Pixels(#[source] Cause),
    /// Too much waits, or the node stops.
    #[error("nothing is converted now")]
    Busy(#[source] Cause),
}

impl From<TranscodeError> for Error {
    fn from(error: TranscodeError) -> Self {
        match error {
            TranscodeError::TooLarge { bytes_max } => Self::TooLarge { bytes_max },
            TranscodeError::Busy(cause) => {
                Self::Unavailable { what: "conversion", cause: Some(cause) }
            }
            TranscodeError::NotOffered
            | TranscodeError::Structure(_)
            | TranscodeError::Inflate
            | TranscodeError::Pixels(_) => Self::Refused { reason: crate::app::chain(&error) },
        }
    }
}

/// Writes data sets in another transfer syntax.
pub trait Transcoder: Debug + Send + Sync {
    /// Whether objects in `stored` can be had in `wanted`; a single one may still be damaged.
    fn can(&self, stored: &str, wanted: &str) -> bool;

    /// `data_set`, coded in `stored`, in `wanted`; both without preamble and file meta group.
    fn transcode<'a>(
        &'a self,
        stored: &'a str,
        data_set: Bytes,
        wanted: &'a str,
    ) -> BoxFuture<'a, Result<Bytes, TranscodeError>>;
}

/// A converted data set, and its share of the memory for conversions.
#[derive(Debug)]
pub struct Converted {
    bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl Converted {
    /// The data set.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Imaging {
    /// Whether objects kept in `stored` can be given in `wanted`.
    pub fn converts(&self, stored: &str, wanted: &str) -> bool {
        stored == wanted || self.transcoder.can(stored, wanted)
    }

    /// Waits for memory, but not for ever: whoever holds some may wait for more.
    async fn room(&self, units: u32) -> Result<OwnedSemaphorePermit, Error> {
        let free = Arc::clone(&self.converting).acquire_many_owned(units);
        let full = || Error::Overloaded { what: "conversion", retry_after: RETRY_AFTER };
        timeout(MEMORY_WITHIN, free).await.map_err(|_| full())?.map_err(|_| full())
    }

    /// An object in another transfer syntax than it is kept in.
    pub async fn converted(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        wanted: &str,
    ) -> Result<Converted, Error> {
        requester.permit(Service::Retrieve)?;
        let bytes_max = TRANSCODED_BYTES_MAX;
        let length = usize::try_from(instance.location.length).unwrap_or(usize::MAX);
        if length > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        let units = |bytes: usize| u32::try_from(bytes.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX);
        let reserved = length.saturating_mul(EXPANSION).min(CONVERTING_BYTES_MAX);
        let mut memory = self.room(units(reserved).max(1)).await?;
        let stored = self.archive.read(instance.location, 0..instance.location.length).await?;
        if stored.len() != length {
            return Err(Error::Unavailable { what: "archive", cause: None });
        }
        let bytes = self.transcoder.transcode(&instance.transfer_syntax, stored, wanted).await?;
        // From here on it holds what it has, however slowly it is sent.
        let held = usize::try_from(units(bytes.len())).unwrap_or(usize::MAX);
        match memory.num_permits().checked_sub(held) {
            Some(spare) => drop(memory.split(spare)),
            None => memory
                .merge(self.room(units(bytes.len()).saturating_sub(units(reserved).max(1))).await?),
        }
        Ok(Converted { bytes, _memory: memory })
    }
}
