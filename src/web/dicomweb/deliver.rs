//! Answers that are read from the archive while they go out: pieces of text and of objects, read a
//! little ahead of the caller and never more.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::Shared;
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::ports::IndexedInstance;
use crate::app::imaging::transcode::Converted;
use crate::sharing::imaging::object::{Digest, Location};

/// Bytes of an object that are read at once.
const CHUNK_BYTES: u64 = 512 * 1024;
/// Reads under way for one answer.
const READS_AHEAD: usize = 3;

/// A piece of an answer.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// These bytes.
    Text(Bytes),
    /// These of an object.
    Stored(Location, Range<u64>),
    /// An object that is converted to a transfer syntax when its turn comes; how long it will be
    /// is not known.
    Converted(Box<IndexedInstance>, &'static str),
}

impl Piece {
    /// Bytes of it, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Text(bytes) => u64::try_from(bytes.len()).ok(),
            Self::Stored(_, range) => Some(range.end.saturating_sub(range.start)),
            Self::Converted(..) => None,
        }
    }
}

/// Bytes of all `pieces`, if that is known.
pub(super) fn length(pieces: &[Piece]) -> Option<u64> {
    pieces.iter().map(Piece::length).try_fold(0_u64, |sum, length| sum.checked_add(length?))
}

/// The bytes `range` of what `pieces` are together.
pub(super) fn cut(pieces: Vec<Piece>, range: &Range<u64>) -> Vec<Piece> {
    let mut begin = 0_u64;
    let mut cut = Vec::new();
    for piece in pieces {
        let end = begin.saturating_add(piece.length().unwrap_or(0));
        let from = range.start.max(begin).saturating_sub(begin);
        let to = range.end.min(end).saturating_sub(begin);
        begin = end;
        if from >= to {
            continue;
        }
        cut.push(match piece {
            Piece::Text(bytes) => {
                let at = |n| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
                Piece::Text(bytes.slice(at(from)..at(to)))
            }
            Piece::Stored(location, inner) => Piece::Stored(
                location,
                inner.start.saturating_add(from)..inner.start.saturating_add(to),
            ),
            // Nobody cuts what has no length.
            converted @ Piece::Converted(..) => converted,
        });
    }
    cut
}

/// A body of `pieces`. One that cannot be read any more ends the connection: what is missing is
/// seen, because the length was said.
pub(super) fn body(door: &Arc<Shared>, requester: &Requester, pieces: Vec<Piece>) -> Body {
    // A conversion takes memory for as long as it waits to be sent.
    let converts = pieces.iter().any(|piece| matches!(piece, Piece::Converted(..)));
    let ahead = if converts { 1 } else { READS_AHEAD };
    let (door, requester) = (Arc::clone(door), requester.clone());
    let reads = stream::iter(pieces.into_iter().flat_map(chunks)).map(move |piece| {
        let (door, requester) = (Arc::clone(&door), requester.clone());
        async move {
            match piece {
                Piece::Text(bytes) => Ok(bytes),
                Piece::Converted(instance, syntax) => {
                    let bytes = door.converted(&requester, &instance, syntax).await;
                    Ok(bytes.inspect_err(|error| {
                        tracing::warn!(error = crate::app::chain(error), "answer broken off");
                    })?)
                }
                Piece::Stored(location, range) => {
                    let wanted = range.end.saturating_sub(range.start);
                    let bytes = door.imaging.bytes(&requester, location, range).await;
                    let bytes = bytes.inspect_err(|error| {
                        tracing::warn!(error = crate::app::chain(error), "answer broken off");
                    })?;
                    if u64::try_from(bytes.len()).ok() == Some(wanted) {
                        Ok(bytes)
                    } else {
                        Err(axum::BoxError::from("object is shorter than the archive says"))
                    }
                }
            }
        }
    });
    Body::from_stream(reads.buffered(ahead))
}

fn chunks(piece: Piece) -> Box<dyn Iterator<Item = Piece> + Send> {
    match piece {
        Piece::Stored(location, range) => {
            let mut at = range.start;
            Box::new(std::iter::from_fn(move || {
                let end = at.saturating_add(CHUNK_BYTES).min(range.end);
                let chunk = (at < end).then(|| Piece::Stored(location, at..end));
                at = end;
                chunk
            }))
        }
        other @ (Piece::Text(_) | Piece::Converted(..)) => Box::new(std::iter::once(other)),
    }
}

/// A converted object whose memory is counted until its bytes are gone.
struct Owned(Converted);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Shared {
    /// An object in another transfer syntax than it is kept in.
    pub(super) async fn converted(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        syntax: &str,
    ) -> Result<Bytes, Error> {
        let converted = self.imaging.converted(requester, instance, syntax).await?;
        Ok(Bytes::from_owner(Owned(converted)))
    }
}

/// A strong entity tag, with its quotes, of what is made in the way `form` names of `instances`.
pub(super) fn etag(instances: &[IndexedInstance], form: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(form.as_bytes());
    for instance in instances {
        hash.update(instance.digest.0);
        // The same bytes read by another syntax are another object.
        hash.update(instance.transfer_syntax.as_bytes());
    }
    format!("\"{}\"", Digest(hash.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_pieces_has_the_bytes_it_says() {
        let place = Location { segment: 0, offset: 0, body: 0, length: 2_000_000 };
        let all = vec![
            Piece::Text(Bytes::from_static(b"head")),
            Piece::Stored(place, 0..2_000_000),
            Piece::Text(Bytes::from_static(b"tail")),
        ];
        assert_eq!(length(&all), Some(2_000_008));
        for range in
            [0..2_000_008, 0..4, 2..5, 4..2_000_004, 1_999_999..2_000_006, 2_000_007..2_000_008]
        {
            let pieces = cut(all.clone(), &range);
            assert_eq!(length(&pieces), Some(range.end - range.start), "{range:?}");
            let whole: Vec<Piece> = pieces.into_iter().flat_map(chunks).collect();
            assert_eq!(length(&whole), Some(range.end - range.start), "{range:?}");
            assert!(whole.iter().all(|piece| piece.length() <= Some(CHUNK_BYTES)));
        }
    }
}
