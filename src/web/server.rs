//! Connections of every HTTP door: accepted up to a limit, TLS where configured, HTTP/1.1 or HTTP/2,
//! and closed when the peer neither sends nor takes anything for too long.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::tls::watched::{Watch, Watched};

/// Bytes of a request's line and headers at most.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Requests on one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 64;
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a silent HTTP/2 peer is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// How connections are taken.
pub(super) struct Connections {
    /// What the door is called in the log.
    pub(super) door: &'static str,
    /// How many at the same time.
    pub(super) most: usize,
    /// How long a peer may send or take nothing while something is to be sent.
    pub(super) idle_timeout: Duration,
    /// TLS, or plain on loopback.
    pub(super) tls: Option<TlsAcceptor>,
}

/// Serves `router` until `stop`, then lets running requests finish.
pub(super) async fn serve(
    router: axum::Router,
    connections: Connections,
    listener: TcpListener,
    (tasks, stop): (TaskTracker, CancellationToken),
) {
    let Connections { door, most, idle_timeout: idle, tls } = connections;
    let places = Arc::new(Semaphore::new(most.max(1)));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, door, "door cannot accept");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
        tasks.spawn(async move {
            let _place = place;
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, door, "connection");
                return;
            }
            match tls {
                None => connection(door, Unstalled::new(stream, idle), router, (idle, stop)).await,
                Some(tls) => match timeout(idle, tls.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        connection(door, Unstalled::new(stream, idle), router, (idle, stop)).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, door, "TLS handshake"),
                    Err(_) => tracing::debug!(door, "TLS handshake took too long"),
                },
            }
        });
    }
}

async fn connection<S>(
    door: &'static str,
    stream: S,
    router: axum::Router,
    (idle, stop): (Duration, CancellationToken),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(usize::try_from(HEADER_BYTES_MAX).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(idle)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX);
    let service = TowerToHyperService::new(router);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, door, "connection ended");
    }
}

/// Ends a line when the peer takes nothing of what is written for too long.
struct Unstalled {
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Unstalled {
    fn new<S>(stream: S, limit: Duration) -> Watched<S, Self> {
        Watched::new(stream, Self { limit, waiting: None })
    }
}

impl Watch for Unstalled {
    /// Starts the clock when a write has to wait, and stops it when one has not.
    fn write<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = None;
            return poll;
        }
        let limit = self.limit;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn finish<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.write(cx, poll)
    }
}
