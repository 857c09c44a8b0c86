//! Heads of records: what an object is, and what was erased.

use super::{Flaw, HEAD_BYTES_MAX, REASON_BYTES_MAX, take, take_u64};
use crate::sharing::imaging::object::{InstanceUids, Location, ObjectHead};

/// The head of an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// What was erased.
    pub location: Location,
    /// Why.
    pub reason: String,
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(u16::from_le_bytes(take(bytes)?));
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    str::from_utf8(text).ok().map(str::to_owned)
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

/// The head of an object as bytes; none if something in it is longer than the format holds.
pub fn encode_object(head: &ObjectHead) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    let InstanceUids { study, series, instance } = &head.uids;
    for text in [study, series, instance, &head.sop_class, &head.transfer_syntax, &head.source] {
        put_text(&mut out, text)?;
    }
    out.extend_from_slice(&head.received_ms.to_le_bytes());
    out.extend_from_slice(&u32::try_from(head.meta.len()).ok()?.to_le_bytes());
    out.extend_from_slice(&head.meta);
    (out.len() <= HEAD_BYTES_MAX).then_some(out)
}

/// The head of an object from bytes.
pub fn decode_object(bytes: &[u8]) -> Result<ObjectHead, Flaw> {
    fn fields(rest: &mut &[u8]) -> Option<ObjectHead> {
        let uids = InstanceUids {
            study: take_text(rest)?,
            series: take_text(rest)?,
            instance: take_text(rest)?,
        };
        let (sop_class, transfer_syntax) = (take_text(rest)?, take_text(rest)?);
        let source = take_text(rest)?;
        let received_ms = i64::from_le_bytes(take(rest)?);
        let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
        let meta = (rest.len() == length).then(|| rest.to_vec())?;
        Some(ObjectHead { uids, sop_class, transfer_syntax, source, received_ms, meta })
    }
    fields(&mut { bytes }).ok_or(Flaw::Head)
}

/// The head of an erasure as bytes; none if the reason is longer than [`REASON_BYTES_MAX`].
pub fn encode_erasure(location: &Location, reason: &str) -> Option<Vec<u8>> {
    if reason.len() > REASON_BYTES_MAX {
        return None;
    }
    let mut out = Vec::with_capacity(34 + reason.len());
    for number in [location.segment, location.offset, location.body, location.length] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    put_text(&mut out, reason)?;
    Some(out)
}

/// The head of an erasure from bytes.
pub fn decode_erasure(bytes: &[u8]) -> Result<Erasure, Flaw> {
    fn fields(rest: &mut &[u8]) -> Option<Erasure> {
        let location = Location {
            segment: take_u64(rest)?,
            offset: take_u64(rest)?,
            body: take_u64(rest)?,
            length: take_u64(rest)?,
        };
        let reason = take_text(rest)?;
        rest.is_empty().then_some(Erasure { location, reason })
    }
    fields(&mut { bytes }).ok_or(Flaw::Head)
}
