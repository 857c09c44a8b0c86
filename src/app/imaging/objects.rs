//! Giving out the bytes of one object, from any offset, and saying at the end that they are whole.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::images::Images;
use super::ports::KnownObject;
use super::search::validate_uid;
use super::{Imaging, Requester};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::request::Problems;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::part10::{Meta, write_meta};

/// Bytes of a chunk: least, most, and when the caller does not say.
const CHUNK_BYTES: (u32, u32, u32) = (4_096, 2 * 1024 * 1024, 256 * 1024);
/// Bytes read at once of what is only hashed.
const SKIP_BYTES: u64 = 1024 * 1024;

/// Asks for an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectRequest {
    /// SOP instance UID.
    pub instance: String,
    /// SHA-256 in hex, to choose among several; empty for the first that came.
    pub digest: String,
    /// Byte to begin at.
    pub offset: u64,
    /// Bytes of a chunk; 0 for the default.
    pub chunk_bytes: u32,
}

/// An object that is being given out.
#[derive(Debug)]
pub struct ObjectReader {
    imaging: Arc<Imaging>,
    requester: Requester,
    object: KnownObject,
    meta: Vec<u8>,
    hash: Sha256,
    at: u64,
    from: u64,
    chunk: u64,
    over: bool,
}

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of the data set.
    Chunk {
        /// Where they begin.
        offset: u64,
        /// They.
        data: Bytes,
    },
    /// All of it was read and is what was stored.
    Verified(Digest),
}

impl App {
    /// Opens an object. The audit trail has an entry before its first byte goes out.
    pub async fn retrieve_object(
        &self,
        caller: &Caller,
        request: &ObjectRequest,
    ) -> Result<ObjectReader, Error> {
        authorise(caller, Action::RetrieveImages)?;
        let images = self.images()?;
        let (digest, chunk) = request.open()?;
        let requester = Requester::of(caller.clone());
        let object = images.find_object(&requester, &request.instance, digest).await?;
        if request.offset > object.location.length {
            let allowed = format!("must be at most {}", object.location.length);
            return Err(Error::field("offset", allowed));
        }
        images.audit(&requester, &object).await?;
        images.reader(requester, object, request.offset, chunk).await
    }
}

impl Images {
    /// Opens an object at `offset`, to be given in chunks of `chunk` bytes.
    pub(super) async fn reader(
        &self,
        requester: Requester,
        object: KnownObject,
        offset: u64,
        chunk: u64,
    ) -> Result<ObjectReader, Error> {
        let head = self.imaging.object(&requester, object.location).await?;
        let head = head.ok_or(Error::NotFound { kind: "instance" })?.head;
        let meta = if head.meta.is_empty() {
            let written = write_meta(Meta {
                sop_class: &object.sop_class,
                sop_instance: &object.uids.instance,
                transfer_syntax: &object.transfer_syntax,
                source_ae: head.source.strip_prefix("dicom:"),
            });
            written.map_err(|e| Error::internal("file meta group", e))?
        } else {
            head.meta
        };
        Ok(ObjectReader {
            imaging: Arc::clone(&self.imaging),
            requester,
            object,
            meta,
            hash: Sha256::new(),
            at: 0,
            from: offset,
            chunk,
            over: false,
        })
    }
}

impl ObjectReader {
    /// What it is.
    pub fn object(&self) -> &KnownObject {
        &self.object
    }

    /// Preamble and file meta group: those it came with, or written anew.
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// From now on in chunks of `bytes`, at least 1.
    pub(super) fn chunks_of(&mut self, bytes: u64) {
        self.chunk = bytes.max(1);
    }

    /// Whether all bytes were given.
    pub(super) fn is_read(&self) -> bool {
        self.at.max(self.from) >= self.object.location.length
    }

    /// The next part; none at the end. [`Error::Internal`] if the bytes are no longer what was
    /// stored.
    pub async fn next(&mut self) -> Result<Option<Piece>, Error> {
        if self.over {
            return Ok(None);
        }
        let end = self.object.location.length;
        // What the caller has already is read too: the digest is over everything.
        while self.at < self.from {
            let bytes = self.read((self.at + SKIP_BYTES).min(self.from)).await?;
            self.hash.update(&bytes);
        }
        if self.at < end {
            let offset = self.at;
            let data = self.read((offset + self.chunk).min(end)).await?;
            self.hash.update(&data);
            return Ok(Some(Piece::Chunk { offset, data }));
        }
        self.over = true;
        let digest = Digest(self.hash.clone().finalize().into());
        if digest != self.object.digest {
            return Err(Error::internal(
                "archive",
                "the bytes do not have the digest kept of them",
            ));
        }
        Ok(Some(Piece::Verified(digest)))
    }

    async fn read(&mut self, to: u64) -> Result<Bytes, Error> {
        let location = self.object.location;
        let bytes = self.imaging.bytes(&self.requester, location, self.at..to).await?;
        if bytes.is_empty() {
            return Err(Error::internal("archive", "an object is shorter than it was"));
        }
        self.at += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(bytes)
    }
}

impl ObjectRequest {
    fn open(&self) -> Result<(Option<Digest>, u64), Error> {
        let mut problems = Problems::default();
        validate_uid(&mut problems, "sop_instance_uid", &self.instance);
        let digest = Digest::parse(&self.digest);
        let fine = self.digest.is_empty() || digest.is_some();
        problems.unless(fine, "sha256", "must be 64 hex digits or empty");
        let (least, most, usual) = CHUNK_BYTES;
        let fine = self.chunk_bytes == 0 || (least..=most).contains(&self.chunk_bytes);
        problems.unless(fine, "chunk_bytes", "must be from 4096 to 2097152, or 0");
        problems.finish()?;
        let chunk = if self.chunk_bytes == 0 { usual } else { self.chunk_bytes };
        Ok((digest, u64::from(chunk)))
    }
}

impl Images {
    /// The object with this SOP instance UID and digest, or the first that came.
    pub(super) async fn find_object(
        &self,
        requester: &Requester,
        instance: &str,
        digest: Option<Digest>,
    ) -> Result<KnownObject, Error> {
        let known = self.imaging.known(requester, vec![instance.to_owned()]).await?;
        let mut objects = known.into_iter().flatten();
        let object = match digest {
            Some(digest) => objects.find(|o| o.digest == digest),
            None => objects.find(|o| !o.apart),
        };
        object.ok_or(Error::NotFound { kind: "instance" })
    }

    /// Writes into the audit trail whose images are given out.
    pub(super) async fn audit(
        &self,
        requester: &Requester,
        object: &KnownObject,
    ) -> Result<(), Error> {
        let study = &object.uids.study;
        let patient = self.imaging.patient_of(study).await?;
        self.imaging.audit_retrieval(requester, study, &patient).await
    }
}
