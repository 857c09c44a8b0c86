//! Frames as they lie (PS3.18, 10.4.1.1.6): native pixels little-endian, or the compressed stream
//! of each with its media type.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use dicom_dictionary_std::tags;

use super::Shared;
use super::accept::Offer;
use super::ask::Ask;
use super::deliver::{self, Piece};
use super::metadata::OCTETS;
use super::problem::Problem;
use super::retrieve::{Parts, ranged, whole};
use super::{MEMORY_UNIT_BYTES, conditional};
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::ports::IndexedInstance;
use crate::app::imaging::render::PixelSource;
use crate::app::imaging::transcode::EXPLICIT_LITTLE;
use crate::sharing::imaging::structure::{Coding, Pixels, Syntax};

/// Frames of one request at most.
const FRAMES_MAX: usize = 4_096;
/// Bytes of an object that is read whole at most.
pub(super) const WHOLE_BYTES_MAX: u64 = 256 << 20;

/// A frame or several.
pub(super) async fn frames(State(door): State<Arc<Shared>>, ask: Ask) -> Result<Response, Problem> {
    let list = ask.target.frames.as_deref().unwrap_or_default();
    let numbers = numbers(list)?;
    let instances = door.instances(&ask.requester, &ask.target).await?;
    let instance = instances.first().ok_or_else(|| Problem::not_found("instance"))?;
    answer(&door, &ask, instance, numbers).await
}

/// The numbers of a list such as `1,2,5`.
pub(super) fn numbers(list: &str) -> Result<Vec<u32>, Problem> {
    let allowed = || {
        Problem::field(
            "frames",
            format!("must be at most {FRAMES_MAX} numbers from 1, with commas"),
        )
    };
    let numbers: Option<Vec<u32>> = list
        .split(',')
        .take(FRAMES_MAX + 1)
        .map(|text| text.trim().parse::<u32>().ok().filter(|number| *number > 0))
        .collect();
    numbers.filter(|numbers| numbers.len() <= FRAMES_MAX).ok_or_else(allowed)
}

/// The frames `numbers` of `instance`.
pub(super) async fn answer(
    door: &Arc<Shared>,
    ask: &Ask,
    instance: &IndexedInstance,
    numbers: Vec<u32>,
) -> Result<Response, Problem> {
    let accept = ask.accept()?;
    let (media, mut pieces) = door.stored_frames(&ask.requester, instance, &numbers).await?;
    let converts = door.imaging.converts(&instance.transfer_syntax, EXPLICIT_LITTLE);
    let single = numbers.len() == 1;
    let offers = offers(media, &instance.transfer_syntax, single, converts);
    let offer = accept.choose(&offers)?;
    let decoded = media != OCTETS && offer.syntax.as_deref() == Some(EXPLICIT_LITTLE);
    let list: Vec<String> = numbers.iter().map(u32::to_string).collect();
    let one = std::slice::from_ref(instance);
    let etag = deliver::etag(one, &format!("frames {} {}", list.join(","), offer.name()));
    if conditional::not_modified(&ask.headers, &etag) {
        return door.unchanged(ask, one, &etag).await;
    }
    if decoded {
        pieces = door.decoded_frames(&ask.requester, instance, &numbers).await?;
    }
    if !offer.multipart
        && let Some(piece) = pieces.first()
    {
        let range = conditional::range(&ask.headers, &etag, piece.length().unwrap_or(0))?;
        door.audit_view(&ask.requester, one).await?;
        return Ok(ranged(door, ask, pieces, (&offer.name(), &etag), range));
    }
    door.audit_view(&ask.requester, one).await?;
    let parts = Parts::new(offer.media, &etag);
    let uids = &instance.uids;
    let mut all = Vec::with_capacity(pieces.len() * 2 + 1);
    for (number, piece) in list.iter().zip(pieces) {
        let location = format!(
            "{}/studies/{}/series/{}/instances/{}/frames/{number}",
            ask.base, uids.study, uids.series, uids.instance
        );
        all.push(parts.begin(offer.media, offer.syntax.as_deref(), &location));
        all.push(piece);
    }
    all.push(parts.end());
    Ok(whole(door, ask, all, &parts.content_type(), &etag))
}

/// The forms of frames that lie as `media`. Who wants compressed ones as mere bytes has to name the
/// syntax or take any: without it, bytes are native pixels (PS3.18, 8.7.3.3.2), for which
/// compressed ones are decoded.
fn offers(media: &'static str, syntax: &str, single: bool, converts: bool) -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut add = |offer: fn(&'static str) -> Offer| {
        if media == OCTETS {
            offers.push(offer(OCTETS).in_syntax(EXPLICIT_LITTLE));
        } else {
            offers.push(offer(media).in_syntax(syntax));
            offers.push(offer(OCTETS).in_syntax(syntax).on_demand());
            if converts {
                offers.push(offer(OCTETS).in_syntax(EXPLICIT_LITTLE));
            }
        }
    };
    add(Offer::parts);
    if single {
        add(Offer::single);
    }
    offers
}

impl Shared {
    /// The media type and bytes of frames, as they lie.
    async fn stored_frames(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        numbers: &[u32],
    ) -> Result<(&'static str, Vec<Piece>), Problem> {
        if let Some(ranges) = self.native_ranges(requester, instance, numbers).await? {
            let piece = |range| Piece::Stored(instance.location, range);
            return Ok((OCTETS, ranges.into_iter().map(piece).collect()));
        }
        let source = self.source(requester, instance).await?;
        let mut media = OCTETS;
        let mut pieces = Vec::with_capacity(numbers.len());
        for number in numbers {
            let frame = self.renderer.stored_frame(source.0.clone(), *number).await?;
            media = frame.media_type;
            pieces.push(Piece::Text(frame.bytes));
        }
        Ok((media, pieces))
    }

    /// The native pixels of compressed frames.
    async fn decoded_frames(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        numbers: &[u32],
    ) -> Result<Vec<Piece>, Problem> {
        let data_set = self.converted(requester, instance, EXPLICIT_LITTLE).await?;
        let source = PixelSource { transfer_syntax: EXPLICIT_LITTLE.to_owned(), data_set };
        let mut pieces = Vec::with_capacity(numbers.len());
        for number in numbers {
            let frame = self.renderer.stored_frame(source.clone(), *number).await?;
            pieces.push(Piece::Text(frame.bytes));
        }
        Ok(pieces)
    }

    /// Where native frames lie in an object, if that is mere arithmetic.
    async fn native_ranges(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        numbers: &[u32],
    ) -> Result<Option<Vec<Range<u64>>>, Problem> {
        let plain = Syntax::of(&instance.transfer_syntax).is_some_and(|syntax| {
            syntax.known
                && syntax.pixels == Pixels::Native
                && !syntax.deflated
                && syntax.coding != Coding::ExplicitBig
        });
        if !plain {
            return Ok(None);
        }
        let walked = self.walk(requester, instance).await?;
        let number = |tag, or| u64::from(walked.walk.number(tag).unwrap_or(or));
        let bits = number(tags::BITS_ALLOCATED, 0);
        let frames = number(tags::NUMBER_OF_FRAMES, 1).max(1);
        let frame = [tags::ROWS, tags::COLUMNS]
            .into_iter()
            .map(|tag| number(tag, 0))
            .fold(number(tags::SAMPLES_PER_PIXEL, 1) * (bits / 8), u64::saturating_mul);
        let Some(pixels) = walked.walk.pixels() else { return Ok(None) };
        let length = pixels.range.end.saturating_sub(pixels.range.start);
        // What is of another length than it says, or no whole bytes, is for the renderer.
        let all = frame.saturating_mul(frames);
        if bits == 0 || bits % 8 != 0 || all == 0 || !(all..all + 2).contains(&length) {
            return Ok(None);
        }
        numbers
            .iter()
            .map(|number| {
                if u64::from(*number) > frames {
                    return Err(Problem::not_found("frame"));
                }
                let begin = pixels.range.start + (u64::from(*number) - 1) * frame;
                Ok(begin..begin + frame)
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }

    /// A whole object, with the memory it takes counted as long as the second part lives.
    pub(super) async fn source(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
    ) -> Result<(PixelSource, Memory), Problem> {
        let length = instance.location.length;
        if length > WHOLE_BYTES_MAX {
            return Err(Problem::too_large(format!(
                "object is longer than the {WHOLE_BYTES_MAX} bytes that are read for a frame"
            )));
        }
        let units = u32::try_from(length.div_ceil(MEMORY_UNIT_BYTES)).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.memory).acquire_many_owned(units).await;
        let memory =
            memory.map_err(|_| Error::Unavailable { what: "DICOMweb door", cause: None })?;
        let data_set: Bytes = self.imaging.bytes(requester, instance.location, 0..length).await?;
        let transfer_syntax = instance.transfer_syntax.clone();
        Ok((PixelSource { transfer_syntax, data_set }, Memory { _held: memory }))
    }
}

/// Memory that is counted.
pub(super) struct Memory {
    _held: tokio::sync::OwnedSemaphorePermit,
}
