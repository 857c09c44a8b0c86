//! PDUs over a socket (PS3.8, 9.3).
//!
//! Association PDUs are read and written by `dicom-ul`. P-DATA is cut out of the receive buffer
//! here, without a copy, and handed on while an object is still arriving. Two habits keep stock
//! clients fast: what belongs together leaves in one write, and delayed acknowledgement is switched
//! off again after every read (`TCP_QUICKACK` does not stay set), because clients that wait for an
//! ACK before they send the rest of a small PDU otherwise lose 40 ms each time.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use dicom_ul::pdu::{
    AbortRQServiceProviderReason as AbortReason, AbortRQSource, Pdu, read_pdu, write_pdu,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes of an association PDU at most: 128 presentation contexts with every transfer syntax stay
/// below 200 KiB.
const ASSOCIATION_PDU_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a P-DATA PDU sent, at most, if the peer sets no limit or a larger one.
const SEND_PDU_BYTES_MAX: u32 = 256 * 1024;
/// Bytes of a P-DATA PDU that any peer must take.
const SEND_PDU_BYTES_MIN: u32 = 1024;
/// Bytes asked of the socket at once while data flows.
const READ_BYTES: usize = 256 * 1024;
/// Bytes asked of the socket at once while an association idles.
const READ_BYTES_IDLE: usize = 4 * 1024;
/// After this without data an association idles and gives its receive buffer back.
const IDLE_AFTER: Duration = Duration::from_millis(500);
/// Bytes written in one go at most, and bytes read: a peer has its time for each so many. At 64
/// kbit/s they take half of the minute that is the default.
const PATIENCE_BYTES: usize = 256 * 1024;
/// Header of a PDU: type, reserved, length.
const PDU_HEAD: usize = 6;
/// Header of a presentation data value: length, context, control.
const PDV_HEAD: usize = 6;

/// Why an association cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The peer went away in the middle of something, or the network did.
    #[error("connection lost")]
    Lost(#[source] io::Error),
    /// Nothing came in time.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// What was to be sent was not taken in time.
    #[error("the peer takes nothing for {0:?}")]
    Stalled(Duration),
    /// The peer breaks the protocol.
    #[error("protocol broken: {reason}")]
    Protocol {
        /// How.
        reason: &'static str,
        /// What an A-ABORT says of it.
        abort: AbortReason,
    },
    /// The peer aborted.
    #[error("aborted by the peer")]
    Aborted,
    /// The node stops. What had begun was finished.
    #[error("the node stops")]
    Stopping,
}

/// One presentation data value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pdv {
    /// Presentation context id.
    pub(super) context: u8,
    /// Whether it is of a command set.
    pub(super) command: bool,
    /// Whether it is the last of its command or data set.
    pub(super) last: bool,
    /// The fragment.
    pub(super) data: Bytes,
}

/// What came.
#[derive(Debug)]
pub(super) enum Frame {
    /// Anything but P-DATA.
    Control(Box<Pdu>),
    /// One fragment of a message.
    Data(Pdv),
    /// The peer closed the connection between two PDUs.
    End,
}

/// A connection.
pub(super) enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS, as the side that accepted.
    TlsAccepted(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS, as the side that dialled.
    TlsDialled(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the next PDU.
    pub(super) idle: Duration,
    /// For the rest of a PDU that has begun, and for the peer to take what is sent.
    pub(super) within: Duration,
}

/// PDUs in both directions.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    buffer: BytesMut,
    /// Bytes of the P-DATA PDU being taken apart that have not been handed on.
    pdu_left: usize,
    pdu_bytes_max: u32,
    flowing: bool,
    patience: Patience,
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::TlsAccepted(stream) => stream.get_ref().0,
            Self::TlsDialled(stream) => stream.get_ref().0,
        }
    }

    /// Switches Nagle's algorithm and, for now, delayed acknowledgement off.
    pub(super) fn hurry(stream: &TcpStream) {
        // Neither is needed to be right, only to be fast.
        let _ = stream.set_nodelay(true);
        let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
    }

    async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        let read = match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::TlsAccepted(stream) => stream.read_buf(buffer).await,
            Self::TlsDialled(stream) => stream.read_buf(buffer).await,
        };
        let _ = rustix::net::sockopt::set_tcp_quickack(self.tcp(), true);
        read
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        async fn all<S: AsyncRead + AsyncWrite + Unpin>(s: &mut S, b: &[u8]) -> io::Result<()> {
            s.write_all(b).await?;
            s.flush().await
        }
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::TlsAccepted(stream) => all(stream, bytes).await,
            Self::TlsDialled(stream) => all(stream, bytes).await,
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::TlsAccepted(stream) => stream.shutdown().await,
            Self::TlsDialled(stream) => stream.shutdown().await,
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::TlsAccepted(_) => "TlsAccepted",
            Self::TlsDialled(_) => "TlsDialled",
        })
    }
}

impl Wire {
    /// Over `socket`. P-DATA PDUs longer than `pdu_bytes_max`, which is what is announced to the
    /// peer, break the protocol.
    pub(super) fn new(socket: Socket, pdu_bytes_max: u32, patience: Patience) -> Self {
        Socket::hurry(socket.tcp());
        Self {
            socket,
            buffer: BytesMut::new(),
            pdu_left: 0,
            pdu_bytes_max,
            flowing: false,
            patience,
        }
    }

    /// Waits longer, or less long, from now on.
    pub(super) fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// The next frame. Cancel-safe: a frame that was not returned is returned by the next call.
    pub(super) async fn next(&mut self) -> Result<Frame, WireError> {
        loop {
            if self.pdu_left > 0 {
                return self.next_pdv().await.map(Frame::Data);
            }
            if let Some(pdu) = self.next_pdu().await? {
                return Ok(pdu);
            }
        }
    }

    /// Reads the head of a PDU, and all of it if it is no P-DATA. None: a P-DATA began.
    async fn next_pdu(&mut self) -> Result<Option<Frame>, WireError> {
        if self.buffer.is_empty() && !self.fill_idle().await? {
            return Ok(Some(Frame::End));
        }
        self.need(PDU_HEAD).await?;
        let Some(&[kind, _, l0, l1, l2, l3]) = self.buffer.first_chunk::<PDU_HEAD>() else {
            return Err(broken("PDU has no head", AbortReason::ReasonNotSpecified));
        };
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if kind == 0x04 {
            if length > usize::try_from(self.pdu_bytes_max).unwrap_or(usize::MAX) {
                let reason = "P-DATA is longer than the maximum length negotiated";
                return Err(broken(reason, AbortReason::InvalidPduParameter));
            }
            self.buffer.advance(PDU_HEAD);
            self.pdu_left = length;
            self.flowing = true;
            return Ok(None);
        }
        if !(0x01..=0x07).contains(&kind) {
            return Err(broken("unknown PDU type", AbortReason::UnrecognizedPdu));
        }
        if length > ASSOCIATION_PDU_BYTES_MAX {
            let reason = "association PDU is longer than 256 KiB";
            return Err(broken(reason, AbortReason::InvalidPduParameter));
        }
        self.need(PDU_HEAD + length).await?;
        let whole = self.buffer.split_to(PDU_HEAD + length).freeze();
        match parse(whole) {
            Some(Pdu::AbortRQ { .. }) => Err(WireError::Aborted),
            Some(pdu) => Ok(Some(Frame::Control(Box::new(pdu)))),
            None => Err(broken("PDU cannot be read", AbortReason::InvalidPduParameter)),
        }
    }

    async fn next_pdv(&mut self) -> Result<Pdv, WireError> {
        if self.pdu_left < PDV_HEAD {
            return Err(broken("P-DATA ends within a PDV", AbortReason::InvalidPduParameter));
        }
        self.need(PDV_HEAD).await?;
        let Some(&[l0, l1, l2, l3, context, control]) = self.buffer.first_chunk::<PDV_HEAD>()
        else {
            return Err(broken("PDV has no head", AbortReason::ReasonNotSpecified));
        };
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        // The length counts the context and the control byte, which are in the head here.
        let Some(data) = length.checked_sub(2).filter(|n| PDV_HEAD + n <= self.pdu_left) else {
            return Err(broken("PDV is longer than its P-DATA", AbortReason::InvalidPduParameter));
        };
        self.need(PDV_HEAD + data).await?;
        self.buffer.advance(PDV_HEAD);
        self.pdu_left -= PDV_HEAD + data;
        Ok(Pdv {
            context,
            command: control & 1 != 0,
            last: control & 2 != 0,
            data: self.buffer.split_to(data).freeze(),
        })
    }

    /// Waits for the first bytes of a PDU. False: the peer closed.
    async fn fill_idle(&mut self) -> Result<bool, WireError> {
        if self.flowing {
            let read = Self::fill(&mut self.socket, &mut self.buffer, READ_BYTES);
            if let Ok(read) = timeout(IDLE_AFTER, read).await {
                return read;
            }
            self.flowing = false;
            self.buffer = BytesMut::new();
        }
        let idle = self.patience.idle;
        timeout(idle, Self::fill(&mut self.socket, &mut self.buffer, READ_BYTES_IDLE))
            .await
            .map_err(|_| WireError::Idle(idle))?
    }

    /// Waits until `bytes` are in the buffer: for all of them, not for each that comes, or a peer
    /// could stay for ever by sending one a second.
    async fn need(&mut self, bytes: usize) -> Result<(), WireError> {
        let times = u32::try_from(bytes.div_ceil(PATIENCE_BYTES)).unwrap_or(u32::MAX);
        let within = self.patience.within.saturating_mul(times);
        let deadline = Instant::now() + within;
        while self.buffer.len() < bytes {
            let ahead = if self.flowing { READ_BYTES } else { READ_BYTES_IDLE };
            let want = ahead.max(bytes - self.buffer.len());
            let more = timeout_at(deadline, Self::fill(&mut self.socket, &mut self.buffer, want))
                .await
                .map_err(|_| WireError::Idle(within))??;
            if !more {
                return Err(WireError::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(())
    }

    async fn fill(
        socket: &mut Socket,
        buffer: &mut BytesMut,
        want: usize,
    ) -> Result<bool, WireError> {
        if buffer.capacity() - buffer.len() < want / 4 {
            buffer.reserve(want);
        }
        socket.read(buffer).await.map(|n| n > 0).map_err(WireError::Lost)
    }

    /// Sends bytes made by [`pdu_bytes`] or [`Message`].
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let within = self.patience.within;
        for part in bytes.chunks(PATIENCE_BYTES) {
            timeout(within, self.socket.write(part))
                .await
                .map_err(|_| WireError::Stalled(within))?
                .map_err(WireError::Lost)?;
        }
        Ok(())
    }

    /// Sends an association PDU.
    pub(super) async fn send_pdu(&mut self, pdu: &Pdu) -> Result<(), WireError> {
        let bytes = pdu_bytes(pdu).map_err(WireError::Lost)?;
        self.send(&bytes).await
    }

    /// Says why the association ends here, and closes. Nothing is left to do if that fails.
    pub(super) async fn abort(mut self, reason: Option<AbortReason>) {
        let source = reason.map_or(AbortRQSource::ServiceUser, AbortRQSource::ServiceProvider);
        let _ = self.send_pdu(&Pdu::AbortRQ { source }).await;
        self.close().await;
    }

    /// Closes.
    pub(super) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.socket.shutdown()).await;
    }
}

fn broken(reason: &'static str, abort: AbortReason) -> WireError {
    WireError::Protocol { reason, abort }
}

/// Reads an association PDU. None if it is malformed.
pub(super) fn parse(whole: Bytes) -> Option<Pdu> {
    let limit = u32::try_from(ASSOCIATION_PDU_BYTES_MAX).unwrap_or(u32::MAX);
    // The reader takes fields without looking whether they are there and then panics.
    let read =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read_pdu(whole, limit, true)));
    read.ok()?.ok()?
}

/// An association PDU as bytes.
pub(super) fn pdu_bytes(pdu: &Pdu) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    write_pdu(&mut bytes, pdu).map_err(io::Error::other)?;
    Ok(bytes)
}

/// The limit on what is sent, from what the peer announced (0: none).
pub(super) fn send_limit(announced: u32) -> u32 {
    if announced == 0 {
        SEND_PDU_BYTES_MAX
    } else {
        announced.clamp(SEND_PDU_BYTES_MIN, SEND_PDU_BYTES_MAX)
    }
}

/// Writes fragments of a command or data set into `out` as P-DATA PDUs of at most `pdu_bytes_max`.
pub(super) fn put_fragments(
    out: &mut Vec<u8>,
    (context, command): (u8, bool),
    data: &[u8],
    ends: bool,
    pdu_bytes_max: u32,
) {
    let room = usize::try_from(pdu_bytes_max).unwrap_or(usize::MAX).saturating_sub(PDV_HEAD).max(2);
    // Fragments of even length (PS3.8, annex D.1 leaves it open; some receivers insist).
    let room = room & !1;
    let mut parts = data.chunks(room).peekable();
    let empty: &[u8] = &[];
    let mut part = parts.next().or_else(|| ends.then_some(empty));
    while let Some(bytes) = part {
        part = parts.next();
        let last = ends && part.is_none();
        let pdv = u32::try_from(bytes.len() + 2).unwrap_or(u32::MAX);
        out.extend_from_slice(&[0x04, 0]);
        out.extend_from_slice(&(pdv + 4).to_be_bytes());
        out.extend_from_slice(&pdv.to_be_bytes());
        out.push(context);
        out.push(u8::from(command) | (u8::from(last) << 1));
        out.extend_from_slice(bytes);
    }
}

/// A message in one piece: command set and, if there is one, data set.
pub(super) fn message(
    context: u8,
    command: super::command::CommandSet,
    data_set: Option<&[u8]>,
    pdu_bytes_max: u32,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + data_set.map_or(0, <[u8]>::len));
    put_fragments(&mut out, (context, true), &command.encode(), true, pdu_bytes_max);
    if let Some(data) = data_set {
        put_fragments(&mut out, (context, false), data, true, pdu_bytes_max);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_an_association_pdu_or_none(
            kind in 1_u8..8,
            body in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut whole = vec![kind, 0];
            whole.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
            whole.extend_from_slice(&body);
            let _ = parse(whole.into());
        }

        #[test]
        fn fragments_stay_within_the_limit_and_join_to_what_was_sent(
            data in prop::collection::vec(any::<u8>(), 0..5000),
            limit in 16_u32..2000,
        ) {
            let mut out = Vec::new();
            put_fragments(&mut out, (3, false), &data, true, limit);
            let (mut rest, mut joined, mut ended) = (&out[..], Vec::new(), false);
            while !rest.is_empty() {
                prop_assert!(!ended, "nothing follows the last fragment");
                let length = u32::from_be_bytes(rest[2..6].try_into().unwrap());
                prop_assert!(length <= limit);
                let end = 6 + usize::try_from(length).unwrap();
                joined.extend_from_slice(&rest[12..end]);
                ended = rest[11] & 2 != 0;
                rest = &rest[end..];
            }
            prop_assert!(ended);
            prop_assert_eq!(joined, data);
        }
    }
}
