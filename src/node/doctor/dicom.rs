//! Whether each configured DICOM peer answers a C-ECHO, and what it is when it does not.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::seen::Seen;
use super::{Notes, apart};
use crate::app::chain;
use crate::app::imaging::peers::Peer;
use crate::config::DicomSection;
use crate::dicom::{DialError, Dialler};
use crate::node::imaging;

/// How long a peer may take.
const PEER_WITHIN: Duration = Duration::from_secs(10);
/// Peers that are asked at the same time.
const PEERS_MAX: usize = 8;

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    let section = seen.config.dicom.clone();
    if section.peers.is_empty() {
        return;
    }
    let dialler = apart(move || {
        let dialler = imaging::dialler(&section).map_err(|error| chain(&error));
        (dialler, section)
    });
    let (dialler, section): (_, DicomSection) = match dialler.await {
        Ok((Ok(dialler), section)) => (Arc::new(dialler), section),
        Ok((Err(error), _)) => {
            return notes
                .fail("dicom", (error, "mend dicom.tls_cert, dicom.tls_key or dicom.tls_ca"));
        }
        Err(_) => return notes.fail("dicom", ("reading its files broke off", "report this")),
    };
    let title = section.ae_title.clone();
    let mut asked = Vec::new();
    for section in &section.peers {
        let with = (Arc::clone(&dialler), title.clone());
        asked.push(one(notes.clone(), with, imaging::peer(section)));
    }
    stream::iter(asked).buffered(PEERS_MAX).collect::<()>().await;
}

async fn one(notes: Notes, (dialler, title): (Arc<Dialler>, String), peer: Peer) {
    let Some(address) = peer.address.as_deref() else {
        let subject = format!("AE {}", peer.ae_title);
        return notes.skip(subject, "has no address: it calls, and is never called");
    };
    let subject = format!("AE {} {address}", peer.ae_title);
    match timeout(PEER_WITHIN, lookup_host(address)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let advice = "write its address as numbers (10.1.2.3:104), or mend the name service";
            return notes.fail(subject, (format!("the name is not found: {error}"), advice));
        }
        Err(_) => {
            let advice =
                "the servers of /etc/resolv.conf do not answer: write its address as numbers";
            return notes.fail(subject, ("nobody says where it is", advice));
        }
    }
    match timeout(PEER_WITHIN, dialler.echo(&peer)).await {
        Ok(Ok(echo)) if echo.status == 0 => notes.ok(subject, "answers C-ECHO"),
        Ok(Ok(echo)) => {
            let found = format!("answers C-ECHO with status {:04X}H", echo.status);
            notes.warn(subject, (found, "look at the log of the peer"));
        }
        Ok(Err(error)) => {
            let advice = advice(&error, (&title, &peer.ae_title), peer.tls);
            notes.fail(subject, (chain(&error), advice));
        }
        Err(_) => {
            let found = format!("does not answer within {} s", PEER_WITHIN.as_secs());
            let advice = "it is off, a firewall drops the call, or it waits for TLS that it is not shown \
                          (or the other way round): compare `tls` with its settings";
            notes.fail(subject, (found, advice));
        }
    }
}

fn advice(error: &DialError, (own, other): (&str, &str), tls: bool) -> String {
    match error {
        DialError::NoAddress { .. } => {
            "dicom.peers: address must be HOST:PORT, with a host that TLS can name".to_owned()
        }
        DialError::NoTls { .. } => "set dicom.tls_ca to the authority of its certificate".to_owned(),
        DialError::Unreachable { source, .. } if source.get_ref().is_some() => {
            "no TLS came about: is its certificate of dicom.tls_ca and for this address, and does it \
             trust ours (dicom.tls_cert)? Devices that know TLS 1.2 only need dicom.tls12 = true"
                .to_owned()
        }
        DialError::Unreachable { .. } => {
            "is it on, and is that its port? `ping` it; look at firewalls between".to_owned()
        }
        DialError::Rejected { .. } => format!(
            "it takes calls and not ours: enter {own} with this machine's address and port in its table \
             of AE titles, and see that it is itself called {other} there (case counts)"
        ),
        DialError::NothingAccepted { .. } => {
            format!("let {own} ask it for verification (C-ECHO) in its table")
        }
        DialError::Broken { .. } if !tls => {
            "it hung up: perhaps it wants TLS (`tls = true`), or is no DICOM port".to_owned()
        }
        DialError::Broken { .. } => "it hung up: look at its log".to_owned(),
    }
}
