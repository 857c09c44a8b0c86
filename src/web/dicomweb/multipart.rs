//! Reads `multipart/related` (RFC 2046, 5.1; RFC 2387) as it comes, without I/O: bytes are pushed
//! in, parts come out piece by piece.
//!
//! Crates that read forms keep a part's headers without a bound until they end, so this is our own;
//! what it holds is bounded by named limits whatever the bytes are.

use bytes::{Bytes, BytesMut};
use memchr::memmem::{Finder, find};

/// Characters of a boundary at most (RFC 2046, 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;
/// Bytes before the first part at most.
const PREAMBLE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a part's headers at most.
const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Blanks after a boundary at most.
const PADDING_BYTES_MAX: usize = 256;

/// Why a body is not `multipart/related`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The boundary cannot be one.
    #[error("boundary must have 1 to {BOUNDARY_BYTES_MAX} characters")]
    Boundary,
    /// No part begins.
    #[error("no part begins within {PREAMBLE_BYTES_MAX} bytes")]
    Preamble,
    /// The headers do not end.
    #[error("headers of a part are longer than {HEADERS_BYTES_MAX} bytes")]
    Headers,
    /// The body ends before its last boundary.
    #[error("body ends before its closing boundary")]
    Truncated,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// More bytes are needed.
    More,
    /// A part begins; its headers as they stand, lines ended by CRLF.
    Part(Bytes),
    /// The next bytes of the part.
    Data(Bytes),
    /// The part is whole.
    PartEnd,
    /// The last part was whole. What follows is of no meaning.
    End,
}

/// The reader.
#[derive(Debug)]
pub struct Reader {
    finder: Finder<'static>,
    delimiter_bytes: usize,
    buffer: BytesMut,
    skipped: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Headers,
    Body,
    /// A part was ended by a boundary; `last` if by the closing one.
    Ended {
        last: bool,
    },
    End,
}

/// What follows the characters of a boundary.
enum After {
    Unknown,
    /// A part; so many bytes belong to the line.
    Opens(usize),
    Closes,
    /// Something else: it was no boundary.
    Other,
}

impl Reader {
    /// For parts that `boundary` separates.
    ///
    /// # Errors
    /// [`MultipartError::Boundary`].
    pub fn new(boundary: &str) -> Result<Self, MultipartError> {
        if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
            return Err(MultipartError::Boundary);
        }
        let delimiter = format!("\r\n--{boundary}");
        // The first boundary may stand at the very beginning, without a line before it.
        let buffer = BytesMut::from(b"\r\n".as_slice());
        Ok(Self {
            finder: Finder::new(delimiter.as_bytes()).into_owned(),
            delimiter_bytes: delimiter.len(),
            buffer,
            skipped: 0,
            state: State::Preamble,
        })
    }

    /// Takes the next bytes. To be called when [`Event::More`] came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event.
    ///
    /// # Errors
    /// [`MultipartError`], where the body is no `multipart/related`.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and is asked again after a push"
    )]
    pub fn next(&mut self) -> Result<Event, MultipartError> {
        match self.state {
            State::Preamble => self.preamble(),
            State::Headers => self.headers(),
            State::Body => Ok(self.body()),
            State::Ended { last } => {
                self.state = if last { State::End } else { State::Headers };
                Ok(Event::PartEnd)
            }
            State::End => Ok(Event::End),
        }
    }

    /// No more bytes come.
    ///
    /// # Errors
    /// [`MultipartError::Truncated`].
    pub fn finish(&self) -> Result<(), MultipartError> {
        if self.state == State::End { Ok(()) } else { Err(MultipartError::Truncated) }
    }

    fn preamble(&mut self) -> Result<Event, MultipartError> {
        loop {
            let found = self.finder.find(&self.buffer);
            let after = found.map(|at| (at, self.after(at)));
            let drop = match after {
                None => self.buffer.len().saturating_sub(self.delimiter_bytes - 1),
                Some((at, After::Unknown)) => at,
                Some((at, After::Other)) => at + self.delimiter_bytes,
                Some((at, After::Closes)) => {
                    self.take(at + self.delimiter_bytes);
                    self.state = State::End;
                    return Ok(Event::End);
                }
                Some((at, After::Opens(line))) => {
                    self.take(at + self.delimiter_bytes + line);
                    self.state = State::Headers;
                    return self.headers();
                }
            };
            self.take(drop);
            self.skipped += drop;
            if self.skipped > PREAMBLE_BYTES_MAX {
                return Err(MultipartError::Preamble);
            }
            if !matches!(after, Some((_, After::Other))) {
                return Ok(Event::More);
            }
        }
    }

    fn headers(&mut self) -> Result<Event, MultipartError> {
        let (headers, end) = if self.buffer.starts_with(b"\r\n") {
            (0, 2)
        } else if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
            (at + 2, at + 4)
        } else if self.buffer.len() > HEADERS_BYTES_MAX {
            return Err(MultipartError::Headers);
        } else {
            return Ok(Event::More);
        };
        if headers > HEADERS_BYTES_MAX {
            return Err(MultipartError::Headers);
        }
        let mut block = self.take(end);
        block.truncate(headers);
        self.state = State::Body;
        Ok(Event::Part(block))
    }

    fn body(&mut self) -> Event {
        let Some(at) = self.finder.find(&self.buffer) else {
            let sure = self.buffer.len().saturating_sub(self.delimiter_bytes - 1);
            return if sure == 0 { Event::More } else { Event::Data(self.take(sure)) };
        };
        let (line, last) = match self.after(at) {
            After::Unknown if at == 0 => return Event::More,
            After::Unknown => return Event::Data(self.take(at)),
            After::Other => return Event::Data(self.take(at + self.delimiter_bytes)),
            After::Opens(line) => (line, false),
            After::Closes => (0, true),
        };
        let data = self.take(at);
        self.take(self.delimiter_bytes + line);
        self.state = State::Ended { last };
        if data.is_empty() { self.next().unwrap_or(Event::PartEnd) } else { Event::Data(data) }
    }

    /// What follows the boundary at `at`.
    fn after(&self, at: usize) -> After {
        let rest = self.buffer.get(at + self.delimiter_bytes..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return After::Closes;
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        match rest.get(padding..) {
            _ if padding > PADDING_BYTES_MAX => After::Other,
            Some([b'\r', b'\n', ..]) => After::Opens(padding + 2),
            Some([] | [b'\r']) => After::Unknown,
            Some([b'-']) if padding == 0 => After::Unknown,
            Some(_) | None => After::Other,
        }
    }

    fn take(&mut self, bytes: usize) -> Bytes {
        self.buffer.split_to(bytes.min(self.buffer.len())).freeze()
    }
}

/// The value of a header in the headers of a part.
pub fn header<'a>(headers: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(headers).ok()?;
    text.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests;
