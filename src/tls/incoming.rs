//! Lines that a gRPC door takes: so many at once and no more, each after its handshake, and none on which
//! nothing is heard for long. Whoever comes when all places are taken waits in the system's queue.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;

use super::watched::{Watch, Watched};
use super::{ACCEPT_PAUSE, HANDSHAKE_WITHIN, HANDSHAKES_MAX, UNTAKEN_MAX};

/// How often a full door says so.
const FULL_EVERY: Duration = Duration::from_mins(1);

/// How many lines a door has, and how long one may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Lines at the same time.
    pub max: usize,
    /// A line on which nothing comes and nothing goes for so long is closed. HTTP/2 asks and answers
    /// whether the other side lives more often than that.
    pub idle: Duration,
}

/// A line that has its place.
pub type Placed<S> = Watched<S, Seat>;

/// The place of a line, and when it was last heard.
#[derive(Debug)]
pub struct Seat {
    _place: OwnedSemaphorePermit,
    idle: Duration,
    heard: Instant,
    silent: Pin<Box<Sleep>>,
}

/// Lines without TLS. Ends when nobody takes them any more.
pub fn plain(
    listener: TcpListener,
    places: Places,
) -> ReceiverStream<io::Result<Placed<TcpStream>>> {
    accepting(listener, places, |stream| async { Some(stream) })
}

/// Lines over TLS. Ends when nobody takes them any more.
pub fn secured(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    places: Places,
) -> ReceiverStream<io::Result<Placed<TlsStream<TcpStream>>>> {
    let (acceptor, now) = (TlsAcceptor::from(config), Arc::new(Semaphore::new(HANDSHAKES_MAX)));
    accepting(listener, places, move |stream| {
        let (acceptor, now) = (acceptor.clone(), Arc::clone(&now));
        async move {
            let _one = now.acquire_owned().await.ok()?;
            match timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
            None
        }
    })
}

fn accepting<S, F>(
    listener: TcpListener,
    places: Places,
    handshake: impl Fn(TcpStream) -> F + Send + 'static,
) -> ReceiverStream<io::Result<Placed<S>>>
where
    S: Send + 'static,
    F: Future<Output = Option<S>> + Send + 'static,
{
    let (give, taken) = mpsc::channel(UNTAKEN_MAX);
    let tasks = TaskTracker::new();
    let free = Arc::new(Semaphore::new(places.max));
    let handshakes = tasks.clone();
    tasks.spawn(async move {
        let mut said: Option<Instant> = None;
        loop {
            if free.available_permits() == 0 && said.is_none_or(|at| at.elapsed() > FULL_EVERY) {
                tracing::warn!(connections_max = places.max, "door is full: who comes now waits");
                said = Some(Instant::now());
            }
            let place = tokio::select! {
                () = give.closed() => return,
                place = Arc::clone(&free).acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let accepted = tokio::select! {
                () = give.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "door cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "connection");
                continue;
            }
            let (shaking, give) = (handshake(stream), give.clone());
            handshakes.spawn(async move {
                if let Some(stream) = shaking.await {
                    // A door that has closed takes no more.
                    drop(give.send(Ok(Watched::new(stream, Seat::new(place, places.idle)))).await);
                }
            });
        }
    });
    ReceiverStream::new(taken)
}

impl Seat {
    fn new(place: OwnedSemaphorePermit, idle: Duration) -> Self {
        let heard = Instant::now();
        Self { _place: place, idle, heard, silent: Box::pin(sleep_until(heard + idle)) }
    }

    /// Notes when something came or went; fails when nothing has for too long.
    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.heard = Instant::now();
            return poll;
        }
        while self.silent.as_mut().poll(cx).is_ready() {
            let until = self.heard + self.idle;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.silent.as_mut().reset(until);
        }
        Poll::Pending
    }
}

/// That nothing is left to flush is no sign of life.
impl Watch for Seat {
    fn read<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.watched(cx, poll)
    }

    fn write<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.watched(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_stream::StreamExt as _;

    use super::*;

    async fn door(max: usize, idle: Duration) -> (SocketAddr, Incoming) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (at, plain(listener, Places { max, idle }))
    }

    type Incoming = ReceiverStream<io::Result<Placed<TcpStream>>>;

    async fn next(incoming: &mut Incoming) -> Placed<TcpStream> {
        let taken = timeout(Duration::from_secs(20), incoming.next()).await;
        taken.expect("nobody came").unwrap().unwrap()
    }

    #[tokio::test]
    async fn who_comes_to_a_full_door_waits_until_somebody_leaves() {
        let (at, mut incoming) = door(2, Duration::from_mins(1)).await;
        let mut clients = Vec::new();
        for number in 0..3_u8 {
            let mut client = TcpStream::connect(at).await.unwrap();
            client.write_all(&[number]).await.unwrap();
            clients.push(client);
        }
        let first = next(&mut incoming).await;
        let second = next(&mut incoming).await;
        let third = timeout(Duration::from_millis(300), incoming.next()).await;
        assert!(third.is_err(), "a third came in");
        drop(first);
        let mut third = next(&mut incoming).await;
        assert_eq!(third.read_u8().await.unwrap(), 2);
        drop(second);
    }

    #[tokio::test]
    async fn a_line_on_which_nothing_is_heard_ends_and_one_that_speaks_does_not() {
        let (at, mut incoming) = door(2, Duration::from_secs(1)).await;
        let silent = TcpStream::connect(at).await.unwrap();
        let mut line = next(&mut incoming).await;
        let ended = timeout(Duration::from_secs(20), line.read_u8()).await.expect("still open");
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(silent);
        let mut speaks = TcpStream::connect(at).await.unwrap();
        let mut line = next(&mut incoming).await;
        for number in 0..6_u8 {
            speaks.write_all(&[number]).await.unwrap();
            assert_eq!(line.read_u8().await.unwrap(), number);
            sleep(Duration::from_millis(200)).await;
        }
        // Answers count, too.
        for number in 0..6_u8 {
            line.write_all(&[number]).await.unwrap();
            assert_eq!(speaks.read_u8().await.unwrap(), number);
            sleep(Duration::from_millis(200)).await;
        }
    }

    #[tokio::test]
    async fn a_door_that_closed_lets_its_address_go() {
        let (at, incoming) = door(1, Duration::from_mins(1)).await;
        drop(incoming);
        let mut tries = 0;
        while TcpListener::bind(at).await.is_err() {
            tries += 1;
            assert!(tries < 100, "still bound");
            sleep(Duration::from_millis(20)).await;
        }
    }
}
