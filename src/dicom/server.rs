//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dicom_ul::pdu::{
    AssociationRJ, AssociationRJResult, AssociationRJServiceProviderPresentationReason,
    AssociationRJSource, Pdu,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::association::{Association, unexpected};
use super::certificate;
use super::dial::Dialler;
use super::negotiation::{Here, negotiate};
use super::pacs::Moves;
use super::wire::{Frame, Patience, Socket, Wire, WireError};
use crate::app::imaging::Imaging;
use crate::app::imaging::peers::{Peers, Shown};
use crate::app::imaging::worklist::Worklist;

/// How long a caller may take to shake hands over TLS and to send its association request (ARTIM).
const REQUEST_WITHIN: Duration = Duration::from_secs(15);
/// How long to wait after the system refused to accept, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct DicomOptions {
    /// Longest P-DATA taken.
    pub pdu_bytes_max: u32,
    /// Associations at the same time; more are rejected as transient.
    pub associations_max: usize,
    /// How long an association may idle.
    pub idle_timeout: Duration,
    /// How long a peer may take over a PDU, in either direction.
    pub pdu_timeout: Duration,
}

/// What all associations share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) imaging: Arc<Imaging>,
    pub(super) worklist: Arc<Worklist>,
    pub(super) peers: Arc<Peers>,
    pub(super) dialler: Dialler,
    pub(super) moves: Moves,
    pub(super) options: DicomOptions,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    open: AtomicUsize,
}

/// One of the places for associations.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The door and what it opens to.
#[derive(Clone)]
pub struct Door {
    /// TLS; none: plain DICOM.
    pub tls: Option<TlsAcceptor>,
    /// Use cases.
    pub imaging: Arc<Imaging>,
    /// What modalities are to do, and what they did.
    pub worklist: Arc<Worklist>,
    /// Who may connect.
    pub peers: Arc<Peers>,
    /// How peers are dialled.
    pub dialler: Dialler,
    /// What was asked to be moved here.
    pub moves: Moves,
    /// How the door behaves.
    pub options: DicomOptions,
    /// Where associations run.
    pub tasks: TaskTracker,
    /// When to stop.
    pub stop: CancellationToken,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Door {
    /// Serves until it is to stop. Objects that came whole by then are kept.
    pub async fn serve(self, listener: TcpListener) {
        let Self { tls, imaging, worklist, peers, dialler, moves, options, tasks, stop } = self;
        let shared = Arc::new(Shared {
            imaging,
            worklist,
            peers,
            dialler,
            moves,
            options,
            tasks: tasks.clone(),
            stop: stop.clone(),
            open: AtomicUsize::new(0),
        });
        accept(listener, tls, shared).await;
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let (tasks, stop) = (shared.tasks.clone(), shared.stop.clone());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                let span = tracing::info_span!("association", %from);
                tasks.spawn(connection(stream, from, tls, shared).instrument(span));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) {
    let place = Place(Arc::clone(&shared));
    let busy = shared.open.fetch_add(1, Ordering::Relaxed) >= shared.options.associations_max;
    let served = answer(stream, from, tls, busy, shared).await;
    drop(place);
    match served {
        Ok(()) | Err(WireError::Stopping) => {}
        Err(WireError::Aborted) => tracing::info!("aborted by the peer"),
        Err(error) => tracing::warn!(error = crate::app::chain(&error), "association ended"),
    }
}

async fn answer(
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    busy: bool,
    shared: Arc<Shared>,
) -> Result<(), WireError> {
    Socket::hurry(&stream);
    let (socket, shown) = match tls {
        None => (Socket::Plain(stream), Shown::Plain),
        Some(acceptor) => match timeout(REQUEST_WITHIN, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = certificate::shown(stream.get_ref().1.peer_certificates());
                (Socket::TlsAccepted(Box::new(stream)), shown)
            }
            Ok(Err(error)) => return Err(WireError::Lost(error)),
            Err(_) => return Err(WireError::Idle(REQUEST_WITHIN)),
        },
    };
    let patience = Patience { idle: REQUEST_WITHIN, within: REQUEST_WITHIN };
    let pdu_bytes_max = shared.options.pdu_bytes_max;
    let mut wire = Wire::new(socket, pdu_bytes_max, patience);
    let stop = shared.stop.clone();
    let first = tokio::select! {
        first = timeout(REQUEST_WITHIN, wire.next()) => {
            first.unwrap_or(Err(WireError::Idle(REQUEST_WITHIN)))
        }
        () = stop.cancelled() => Err(WireError::Stopping),
    };
    let request = match first {
        Ok(Frame::Control(pdu)) => {
            let Pdu::AssociationRQ(request) = *pdu else {
                return abort(wire, unexpected("an association request was expected")).await;
            };
            request
        }
        Ok(Frame::Data(_)) => {
            return abort(wire, unexpected("an association request was expected")).await;
        }
        // Port scanners and load balancers connect and close.
        Ok(Frame::End) => return Ok(()),
        Err(error) => return abort(wire, error).await,
    };
    if busy {
        let reason = AssociationRJServiceProviderPresentationReason::LocalLimitExceeded;
        let source = AssociationRJSource::ServiceProviderPresentation(reason);
        let rejection = AssociationRJ { result: AssociationRJResult::Transient, source };
        return reject(wire, rejection, "too many associations").await;
    }
    let here = Here { from: from.ip(), shown: &shown, pdu_bytes_max };
    match negotiate(&request, &shared.peers, here) {
        Err((rejection, why)) => reject(wire, rejection, why).await,
        Ok(accepted) => {
            wire.send_pdu(&Pdu::AssociationAC(accepted.answer.clone())).await?;
            wire.set_patience(Patience {
                idle: shared.options.idle_timeout,
                within: shared.options.pdu_timeout,
            });
            let calling = accepted.peer.ae_title.clone();
            let contexts = accepted.contexts.len();
            tracing::debug!(calling, contexts, "accepted");
            let (served, done) = Box::pin(Association::new(wire, accepted, shared).serve()).await;
            tracing::info!(
                calling,
                messages = done.messages,
                stored = done.stored,
                refused = done.refused,
                "association closed"
            );
            served
        }
    }
}

async fn reject(
    mut wire: Wire,
    rejection: AssociationRJ,
    why: &'static str,
) -> Result<(), WireError> {
    tracing::warn!(why, "association rejected");
    wire.send_pdu(&Pdu::AssociationRJ(rejection)).await?;
    wire.close().await;
    Ok(())
}

async fn abort(wire: Wire, error: WireError) -> Result<(), WireError> {
    if let WireError::Protocol { abort, .. } = &error {
        wire.abort(Some(abort.clone())).await;
    }
    Err(error)
}

/// An I/O error of ours, for where a connection is to be given up.
pub(super) fn gone() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}
