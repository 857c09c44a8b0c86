//! Lines that nodes have open, by the certificate that they were opened with: when it ends, so do they,
//! with every call on them.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::app::nodes::ports::Sha;
use crate::tls::incoming::Placed;

/// Open lines.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    all: Arc<Mutex<HashMap<u64, (Sha, CancellationToken)>>>,
    next: Arc<AtomicU64>,
}

/// A line that can be ended from here.
pub(super) struct Line {
    stream: Placed<TlsStream<TcpStream>>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    number: u64,
    of: Lines,
}

impl Lines {
    /// Ends the lines whose certificate (by its digest) is one of those. Gives how many.
    pub fn end(&self, has_ended: impl Fn(&Sha) -> bool) -> usize {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = all.values().filter(|(sha256, _)| has_ended(sha256));
        ended.inspect(|(_, token)| token.cancel()).count()
    }

    /// Watches over a line.
    pub(super) fn watch(&self, stream: Placed<TlsStream<TcpStream>>) -> Line {
        let token = CancellationToken::new();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let shown = stream.stream().get_ref().1.peer_certificates().and_then(|all| all.first());
        if let Some(shown) = shown {
            let sha256 = Sha256::digest(shown.as_ref()).into();
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(number, (sha256, token.clone()));
        }
        Line { stream, ended: Box::pin(token.cancelled_owned()), number, of: self.clone() }
    }
}

impl Line {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.ended.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the certificate has ended"))
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.of.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Connected for Line {
    type ConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_open(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_open(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_open(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
