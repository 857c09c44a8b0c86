//! Sealing records: the keys of an archive, and how heads and bodies go through them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::buffers::Buffers;
use super::disk;
use super::format::{
    self, BOUND_BYTES, Flaw, HEAD_BYTES_MAX, HEAD_SEAL_BYTES, HEADER_BYTES, Header, Key, Kind,
    Place, Seal,
};
use crate::app::error::Error;
use crate::sharing::imaging::object::Digest;
use crate::sharing::sealing::chunks::{self, BESIDE, Span};
use crate::sharing::sealing::cipher::{Cipher, Sealer};
use crate::sharing::sealing::keyring::DataKey;
use crate::sharing::sealing::{Fault, KeyId};

/// What every key of a record is made for.
const LABEL: &[u8] = b"xiangyi archive 2";
/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// The keys of an archive: one that seals, all that open.
#[derive(Debug, Clone)]
pub struct Seals {
    newest: Arc<DataKey>,
    keys: BTreeMap<KeyId, Arc<DataKey>>,
}

/// What an archive is read with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eyes<'a> {
    pub(super) key: Key,
    pub(super) seals: Option<&'a Seals>,
}

/// What a record that is being written is sealed with.
#[derive(Debug)]
pub(super) struct Cover {
    pub(super) seal: Seal,
    pub(super) sealer: Sealer,
}

/// Opens a range of a sealed body once its bytes are there.
#[derive(Debug)]
pub(super) struct Opening {
    sealer: Sealer,
    pub(super) span: Span,
}

impl Seals {
    /// Of keys, the newest last; none without any.
    pub fn new(keys: Vec<DataKey>) -> Option<Self> {
        let keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        let newest = Arc::clone(keys.last()?);
        Some(Self { newest, keys: keys.into_iter().map(|key| (key.id, key)).collect() })
    }

    /// Name of the key that seals.
    pub(super) fn newest(&self) -> KeyId {
        self.newest.id
    }

    /// Bytes of a body that are sealed by whoever brings it: more would keep others waiting. AES
    /// takes about a third of a millisecond for a megabyte where the processor has instructions for it
    /// (`openssl speed`), SM4 some twenty (`benches/at_rest.rs`).
    pub(super) fn sealed_here_bytes_max(&self) -> u64 {
        match self.newest.cipher {
            Cipher::Aes256Gcm => 1024 * 1024,
            Cipher::Sm4Gcm => 32 * 1024,
        }
    }

    /// Whether there is a key of this name.
    pub fn has(&self, id: KeyId) -> bool {
        self.keys.contains_key(&id)
    }

    /// What a new record is sealed with.
    pub(super) fn cover(&self) -> Result<Cover, Fault> {
        let mut salt = [0; 24];
        getrandom::fill(&mut salt).map_err(|_| Fault::Random)?;
        let seal = Seal { key: self.newest.id, salt };
        Ok(Cover { seal, sealer: self.newest.sealer(&salt, LABEL)? })
    }

    /// Opens what is sealed like this.
    pub(super) fn sealer(&self, seal: &Seal) -> Result<Sealer, Fault> {
        self.keys.get(&seal.key).ok_or(Fault::NoKey(seal.key))?.sealer(&seal.salt, LABEL)
    }
}

/// The sealer of a record with this header; none where it is not sealed.
pub(super) fn sealer(seals: Option<&Seals>, header: &Header) -> Result<Option<Sealer>, Flaw> {
    let Some(seal) = &header.seal else { return Ok(None) };
    let Some(seals) = seals else { return Err(Flaw::NoKey(seal.key)) };
    seals.sealer(seal).map(Some).map_err(|fault| flaw(&fault))
}

/// What is wrong with a record.
pub(super) fn flaw(fault: &Fault) -> Flaw {
    match fault {
        Fault::NoKey(id) => Flaw::NoKey(*id),
        Fault::Altered
        | Fault::Cipher
        | Fault::Form(_)
        | Fault::Master { .. }
        | Fault::Token(_)
        | Fault::Random => Flaw::Seal,
    }
}

/// A body sealed.
pub(super) fn body(cover: &Cover, parts: &[Bytes], buffers: &Arc<Buffers>) -> Result<Bytes, Fault> {
    let length = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(disk::bytes(part.len())));
    let sealed_bytes = chunks::sealed_bytes(length).ok_or(Fault::Cipher)?;
    let parts = parts.iter().map(AsRef::as_ref);
    let mut sealed = Ok(());
    let body = buffers.filled(disk::size(sealed_bytes), |room| {
        sealed = chunks::seal_whole(&cover.sealer, parts, room);
        sealed.is_ok().then_some(())
    });
    sealed.and(body.ok_or(Fault::Cipher))
}

/// A head sealed, with the digest of the body in front: `header` is that of the record at `place`, but
/// for the checksum of the head.
fn sealed_head(
    cover: &Cover,
    (header, place): (&Header, &Place),
    digest: &Digest,
    head: &[u8],
) -> Result<Vec<u8>, Fault> {
    let with = place.bound(&header.encode(place));
    let mut sealed = [&digest.0, head].concat();
    let tag = cover.sealer.seal(BESIDE, &with, &mut sealed)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Header and head of a record as they are written to `place`.
pub(super) fn header(
    kind: Kind,
    (digest, head): (Digest, &[u8]),
    ((body_at, body_bytes), batch): ((u64, u64), u64),
    (cover, place): (Option<&Cover>, &Place),
) -> Result<(Header, Vec<u8>), Error> {
    let too_large = |_| Error::TooLarge { bytes_max: HEAD_BYTES_MAX };
    let seal_bytes = if cover.is_some() { HEAD_SEAL_BYTES } else { 0 };
    let mut header = Header {
        kind,
        head_bytes: u32::try_from(head.len().saturating_add(seal_bytes)).map_err(too_large)?,
        body_at: u32::try_from(body_at).map_err(too_large)?,
        body_bytes,
        batch,
        digest,
        seal: cover.map(|cover| cover.seal),
        head_checksum: [0; 16],
        mark: 0,
    };
    let head = match cover {
        Some(cover) => sealed_head(cover, (&header, place), &digest, head)
            .map_err(|fault| Error::internal("archive", fault))?,
        None => head.to_vec(),
    };
    header.head_checksum = format::checksum(&[&head]);
    Ok((header, head))
}

/// Opens a sealed head; `header_bytes` begin with its header.
pub(super) fn open_head(
    sealer: &Sealer,
    place: &Place,
    header_bytes: &[u8],
    mut bytes: Vec<u8>,
) -> Result<(Digest, Vec<u8>), Flaw> {
    let with = place.bound(header_bytes.get(..BOUND_BYTES.min(HEADER_BYTES)).ok_or(Flaw::Short)?);
    let length = sealer.open(BESIDE, &with, &mut bytes, 0).map_err(|fault| flaw(&fault))?;
    bytes.truncate(length);
    if length < DIGEST_BYTES {
        return Err(Flaw::Seal);
    }
    let head = bytes.split_off(DIGEST_BYTES);
    let digest = bytes.try_into().map_err(|_| Flaw::Seal)?;
    Ok((Digest(digest), head))
}

impl Opening {
    /// Of `range` of the body that follows `header`.
    pub(super) fn new(sealer: Sealer, header: &Header, range: &Range<u64>) -> Result<Self, Flaw> {
        let span = chunks::span(header.body_bytes, range).ok_or(Flaw::Nonsense)?;
        Ok(Self { sealer, span })
    }

    /// Where the range stands in `buffer` after this, which had the sealed bytes of the span.
    pub(super) fn open(&self, buffer: &mut [u8]) -> Result<Range<usize>, Fault> {
        chunks::open(&self.sealer, &self.span, buffer)
    }

    /// The range of bytes that came from elsewhere.
    pub(super) fn opened(&self, sealed: Bytes) -> Result<Bytes, Fault> {
        let mut buffer = Vec::from(sealed);
        let range = self.open(&mut buffer)?;
        Ok(Bytes::from(buffer).slice(range))
    }
}
