//! Long bodies, sealed in chunks of 64 KiB with a tag behind each, so that a part can be read without
//! the rest. The nonce counts the chunks and says which is the last: none can be left out, repeated,
//! changed round or cut off unseen (the construction called STREAM). A key seals one body.

use std::ops::Range;

use super::Fault;
use super::cipher::{NONCE_BYTES, Sealer, TAG_BYTES};

/// Bytes of a body in a chunk.
pub const CHUNK_BYTES: u64 = 64 * 1024;
/// The same in memory.
const CHUNK: usize = 64 * 1024;
/// Bytes of a chunk with its tag.
pub const SEALED_CHUNK: u64 = CHUNK_BYTES + 16;
/// A nonce that no chunk has, for what stands beside a body under the same key.
pub const BESIDE: [u8; NONCE_BYTES] = [0xFF; NONCE_BYTES];

/// Which part of a sealed body has to be read to have a range of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Number of the first chunk.
    pub first: u64,
    /// Bytes of the sealed body.
    pub sealed: Range<u64>,
    /// Bytes before the range in what is opened.
    pub skip: u64,
    /// Bytes of the range.
    pub take: u64,
    /// Bytes of the whole body.
    pub length: u64,
}

/// Seals a body that comes in parts.
#[derive(Debug)]
pub struct Sealing {
    sealer: Sealer,
    /// What waits until more than a chunk is there: whether a chunk is the last is in its nonce.
    waiting: Vec<u8>,
    number: u64,
}

/// Chunks of a body; an empty one has one too.
fn chunks(length: u64) -> u64 {
    length.div_ceil(CHUNK_BYTES).max(1)
}

/// Bytes of a sealed body; none if it is longer than anything.
pub fn sealed_bytes(length: u64) -> Option<u64> {
    length.checked_add(chunks(length).checked_mul(16)?)
}

fn nonce(number: u64, last: bool) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    for (to, from) in nonce.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    if let Some(flag) = nonce.last_mut() {
        *flag = u8::from(last);
    }
    nonce
}

/// What to read for `range` of a body of `length` bytes; the range is cut at its end.
pub fn span(length: u64, range: &Range<u64>) -> Option<Span> {
    let end = range.end.min(length);
    let start = range.start.min(end);
    let first = (start / CHUNK_BYTES).min(chunks(length).saturating_sub(1));
    let behind = end.div_ceil(CHUNK_BYTES).max(first.saturating_add(1));
    let from = first.checked_mul(SEALED_CHUNK)?;
    let to = behind.checked_mul(SEALED_CHUNK)?.min(sealed_bytes(length)?);
    let skip = start.saturating_sub(first.saturating_mul(CHUNK_BYTES));
    Some(Span { first, sealed: from..to, skip, take: end.saturating_sub(start), length })
}

/// Opens `buffer`, which has the bytes that `span` names, where it is. Answers where in it the range
/// stands then.
pub fn open(sealer: &Sealer, span: &Span, buffer: &mut [u8]) -> Result<Range<usize>, Fault> {
    let last = chunks(span.length).saturating_sub(1);
    let (mut from, mut to, mut number) = (0_usize, 0_usize, span.first);
    while from < buffer.len() {
        let until = from.saturating_add(CHUNK).saturating_add(TAG_BYTES).min(buffer.len());
        let part = buffer.get_mut(to..until).ok_or(Fault::Altered)?;
        let opened =
            sealer.open(nonce(number, number == last), &[], part, from.saturating_sub(to))?;
        to = to.saturating_add(opened);
        from = until;
        number = number.saturating_add(1);
    }
    let size = |bytes: u64| usize::try_from(bytes).map_err(|_| Fault::Altered);
    let start = size(span.skip)?;
    let end = start.checked_add(size(span.take)?).ok_or(Fault::Altered)?;
    // What was read must have been there whole.
    if end > to { Err(Fault::Altered) } else { Ok(start..end) }
}

/// Seals the body that `parts` make up into `out`, which has just the room that it takes then
/// ([`sealed_bytes`]), under a key that has sealed no body before. Each byte is copied once.
pub fn seal_whole<'a>(
    sealer: &Sealer,
    parts: impl IntoIterator<Item = &'a [u8]>,
    out: &mut [u8],
) -> Result<(), Fault> {
    let mut parts = parts.into_iter();
    let mut part: &[u8] = &[];
    let mut chunks = out.chunks_mut(CHUNK.saturating_add(TAG_BYTES)).enumerate().peekable();
    while let Some((number, room)) = chunks.next() {
        let end = room.len().checked_sub(TAG_BYTES).ok_or(Fault::Cipher)?;
        let (chunk, tag) = room.split_at_mut(end);
        let mut to = &mut *chunk;
        while !to.is_empty() {
            if part.is_empty() {
                part = parts.next().ok_or(Fault::Cipher)?;
            }
            let now = part.len().min(to.len());
            let (taken, later) = part.split_at(now);
            let (here, rest) = to.split_at_mut(now);
            here.copy_from_slice(taken);
            (part, to) = (later, rest);
        }
        let number = u64::try_from(number).map_err(|_| Fault::Cipher)?;
        let nonce = nonce(number, chunks.peek().is_none());
        tag.copy_from_slice(&sealer.seal(nonce, &[], chunk)?);
    }
    // Nothing is left over.
    let rest = parts.all(<[u8]>::is_empty);
    if part.is_empty() && rest { Ok(()) } else { Err(Fault::Cipher) }
}

impl Sealing {
    /// Under a key that has sealed no body before.
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer, waiting: Vec::new(), number: 0 }
    }

    /// Takes `part` and adds to `out` what is sealed.
    pub fn push(&mut self, mut part: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        while !part.is_empty() {
            if self.waiting.len() == CHUNK {
                self.seal(false, out)?;
            }
            // What more follows is no last chunk, and need not wait.
            if self.waiting.is_empty()
                && let Some((chunk, rest)) = part.split_at_checked(CHUNK)
                && !rest.is_empty()
            {
                let at = out.len();
                out.extend_from_slice(chunk);
                self.seal_behind(at, false, out)?;
                part = rest;
                continue;
            }
            let now = part.len().min(CHUNK.saturating_sub(self.waiting.len()));
            let (taken, rest) = part.split_at(now);
            self.waiting.extend_from_slice(taken);
            part = rest;
        }
        Ok(())
    }

    /// Seals the last chunk and gives the key back.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Sealer, Fault> {
        self.seal(true, out)?;
        Ok(self.sealer)
    }

    fn seal(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        let at = out.len();
        out.append(&mut self.waiting);
        self.seal_behind(at, last, out)
    }

    /// Seals what stands in `out` from `at`.
    fn seal_behind(&mut self, at: usize, last: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        let sealed = out.get_mut(at..).unwrap_or_default();
        let tag = self.sealer.seal(nonce(self.number, last), &[], sealed)?;
        out.extend_from_slice(&tag);
        self.number = self.number.saturating_add(1);
        Ok(())
    }
}

/// Opens chunks one after the other.
#[derive(Debug)]
pub struct Unsealing {
    sealer: Sealer,
    number: u64,
}

impl Unsealing {
    /// Under the key that sealed them.
    pub fn new(sealer: Sealer) -> Self {
        Self { sealer, number: 0 }
    }

    /// Opens the next chunk, with its tag, where it is. `last`: nothing follows it.
    pub fn next(&mut self, chunk: &mut Vec<u8>, last: bool) -> Result<(), Fault> {
        let length = self.sealer.open(nonce(self.number, last), &[], chunk, 0)?;
        chunk.truncate(length);
        self.number = self.number.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cipher::Cipher;
    use super::*;

    fn sealer(cipher: Cipher) -> Sealer {
        Sealer::new(cipher, &[7; 32], b"salt", &[b"test"]).unwrap()
    }

    fn body(length: usize) -> Vec<u8> {
        (0..length).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
    }

    fn sealed(cipher: Cipher, body: &[u8], part: usize) -> Vec<u8> {
        let mut sealing = Sealing::new(sealer(cipher));
        let mut out = Vec::new();
        for part in body.chunks(part) {
            sealing.push(part, &mut out).unwrap();
        }
        sealing.finish(&mut out).unwrap();
        out
    }

    fn read(
        cipher: Cipher,
        sealed: &[u8],
        length: u64,
        range: Range<u64>,
    ) -> Result<Vec<u8>, Fault> {
        let span = span(length, &range).unwrap();
        let place = usize::try_from(span.sealed.start).unwrap();
        let mut buffer = sealed
            .get(place..sealed.len().min(usize::try_from(span.sealed.end).unwrap()))
            .unwrap_or_default()
            .to_vec();
        let found = open(&sealer(cipher), &span, &mut buffer)?;
        Ok(buffer[found].to_vec())
    }

    #[test]
    fn a_whole_body_is_sealed_as_one_that_comes_in_parts() {
        for length in [0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let body = body(length);
            for part in [7_001, CHUNK, 2 * CHUNK + 5, usize::MAX] {
                let expected = sealed(Cipher::Aes256Gcm, &body, part);
                let mut out = vec![9; expected.len()];
                // Empty parts among them change nothing.
                let parts = body.chunks(part).flat_map(|part| [&[][..], part, &[]]);
                seal_whole(&sealer(Cipher::Aes256Gcm), parts, &mut out).unwrap();
                assert_eq!(out, expected, "{length} in {part}");
                assert_eq!(sealed(Cipher::Aes256Gcm, &body, 10_000), expected);
            }
        }
        // Too little and too much room.
        let body = body(CHUNK + 1);
        for room in [0, 15, CHUNK, CHUNK + 32, CHUNK + 34] {
            let mut out = vec![0; room];
            let sealed = seal_whole(&sealer(Cipher::Aes256Gcm), [&body[..]], &mut out);
            assert!(sealed.is_err(), "{room}");
        }
    }

    #[test]
    fn bodies_of_every_length_at_a_chunk_s_edge_come_back() {
        for cipher in [Cipher::Aes256Gcm, Cipher::Sm4Gcm] {
            for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1] {
                let body = body(length);
                let sealed = sealed(cipher, &body, 10_000);
                let bytes = u64::try_from(length).unwrap();
                assert_eq!(sealed_bytes(bytes), Some(u64::try_from(sealed.len()).unwrap()));
                assert_eq!(read(cipher, &sealed, bytes, 0..u64::MAX).unwrap(), body);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_range_is_what_the_body_has_there(
            length in 0_u64..300_000, from in 0_u64..310_000, bytes in 0_u64..200_000,
            part in 1_usize..100_000,
        ) {
            let body = body(usize::try_from(length).unwrap());
            let sealed = sealed(Cipher::Aes256Gcm, &body, part);
            let range = from..from + bytes;
            let (start, end) = (from.min(length), range.end.min(length));
            let wanted = &body[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
            prop_assert_eq!(read(Cipher::Aes256Gcm, &sealed, length, range).unwrap(), wanted);
        }

        /// A bit, a cut, a chunk in another's place, another length: nothing is read then.
        #[test]
        fn what_was_altered_is_not_read(
            length in 1_u64..200_000, at in any::<prop::sample::Index>(), bit in 0_u8..8,
            cut in 1_usize..200_000,
        ) {
            let cipher = Cipher::Aes256Gcm;
            let body = body(usize::try_from(length).unwrap());
            let good = sealed(cipher, &body, 50_000);
            let mut altered = good.clone();
            altered[at.index(good.len())] ^= 1 << bit;
            prop_assert_eq!(read(cipher, &altered, length, 0..length), Err(Fault::Altered));
            let short = &good[..good.len() - cut.min(good.len())];
            prop_assert_eq!(read(cipher, short, length, 0..length), Err(Fault::Altered));
            // What is shorter by whole chunks, with a length that fits it.
            let whole = (length / CHUNK_BYTES) * CHUNK_BYTES;
            if whole > 0 && whole < length {
                let chunks = usize::try_from(sealed_bytes(whole).unwrap()).unwrap();
                prop_assert_eq!(read(cipher, &good[..chunks], whole, 0..whole), Err(Fault::Altered));
                let mut swapped = good.clone();
                if whole > CHUNK_BYTES {
                    let (a, b) = swapped.split_at_mut(CHUNK + TAG_BYTES);
                    a.swap_with_slice(&mut b[..CHUNK + TAG_BYTES]);
                    prop_assert_eq!(read(cipher, &swapped, length, 0..length), Err(Fault::Altered));
                }
            }
        }
    }
}
