//! The configuration, and the addresses of the doors.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Notes;
use super::seen::Seen;
use crate::config::{self, ConfigError, NodeRole};
use crate::node::security;

/// How long a node of this machine may take to say how it is.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// Who has the address of the gRPC door.
enum Holder {
    /// Nobody.
    Nobody,
    /// A node that serves.
    Node,
    /// A node that says that it does not serve.
    Ill,
    /// Somebody who takes connections over TLS.
    Silent,
    /// Something else.
    Other,
}

/// Says why the configuration is not read.
pub(super) fn refused(notes: &Notes, file: Option<&Path>, error: &ConfigError) {
    let subject = file.map_or_else(|| "the environment".to_owned(), |f| f.display().to_string());
    let advice = "mend what is named; README.md (Configuration) has every key, and `xiangyi config` \
                  prints those in force";
    notes.fail(subject, (crate::app::chain(error), advice));
}

/// What the configuration says of the node, and whether it means the same wherever that is started.
pub(super) fn config(seen: &Seen, notes: &Notes) {
    let config = &seen.config;
    let subject = seen.file.as_ref().map_or_else(
        || "defaults (no --config, no XIANGYI_CONFIG)".to_owned(),
        |file| file.display().to_string(),
    );
    let role = match config.node.role {
        NodeRole::Clinic => "clinic",
        NodeRole::Hospital => "hospital",
        NodeRole::Hub => "hub",
    };
    notes.ok(subject, format!("reads; a {role} called {:?}", config.node.name));
    let overrides = config::overrides();
    if !overrides.is_empty() {
        let names = overrides.join(", ");
        notes.ok("environment", format!("overrides the file here: {names}"));
    }
    let dir = &config.store.dir;
    if dir.is_relative() {
        let here = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
        let found = format!("is relative: started here it means {}", here.display());
        let advice = format!("store.dir = {:?}, if that is where the data lies", here.display());
        notes.warn(format!("store.dir {}", dir.display()), (found, advice));
    }
}

/// Whether each address can be listened on, or is the running node's.
pub(super) async fn doors(seen: &Seen, notes: &Notes) {
    let config = &seen.config;
    let holder = holder(config.server.listen, config.server.tls_cert.is_some()).await;
    let runs = matches!(holder, Holder::Node | Holder::Ill | Holder::Silent);
    match holder {
        Holder::Node => notes.ok("node", "runs, and says that it serves"),
        Holder::Silent => notes.ok("node", "something takes TLS connections at server.listen"),
        Holder::Ill => notes.fail(
            "node",
            (
                "runs, and says that it does not serve",
                "look for \"not healthy\" in its log, and at the lines of `database` and `postgres`",
            ),
        ),
        Holder::Nobody => notes.ok("node", "does not run"),
        Holder::Other => {}
    }
    let listens: [(&str, Option<SocketAddr>); 6] = [
        ("server.listen", Some(config.server.listen)),
        ("web.listen", config.web.listen),
        ("fhir.listen", config.fhir.listen),
        ("metrics.listen", config.metrics.listen),
        ("dicom.listen", config.dicom.listen),
        ("link.listen", config.link.listen),
    ];
    for (key, address) in listens {
        let Some(address) = address else { continue };
        door(notes, (key, address), runs);
    }
    let plain = security::doors::doors(config).into_iter();
    notes.security(
        "encryption of doors",
        plain.filter(|finding| finding.standing != security::Standing::Ok).collect(),
    );
}

fn door(notes: &Notes, (key, address): (&str, SocketAddr), runs: bool) {
    let subject = format!("{key} {address}");
    if address.port() == 0 {
        return notes.ok(subject, "takes another free port at each start");
    }
    match claim(address) {
        Ok(()) if runs && key != "server.listen" => notes.warn(
            subject,
            (
                "a node runs and nobody listens here: it was started with another configuration",
                "start it again with this one, or look at the one it has",
            ),
        ),
        Ok(()) => notes.ok(subject, "free"),
        Err(error) if error.kind() == ErrorKind::AddrInUse && runs => {
            notes.ok(subject, "taken, as by the running node");
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let advice = format!(
                "`ss -ltnp 'sport = :{}'` names the program; stop it, or give {key} another port",
                address.port()
            );
            notes.fail(subject, ("taken by another program: a node cannot start", advice));
        }
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
            let advice = format!("`ip addr` lists them; set {key} to one, or to 0.0.0.0 for all");
            notes.fail(subject, ("this machine has no such address", advice));
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let advice = "take a port from 1024, or give the unit \
                          AmbientCapabilities=CAP_NET_BIND_SERVICE";
            notes.fail(subject, ("this user may not listen on so low a port", advice));
        }
        Err(error) => notes.fail(subject, (error.to_string(), "choose another address")),
    }
}

/// Whether the address could be listened on. Nobody is kept from it: without listening an address is not
/// taken from who comes next.
fn claim(address: SocketAddr) -> std::io::Result<()> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

async fn holder(address: SocketAddr, tls: bool) -> Holder {
    if address.port() == 0 || claim(address).is_ok() {
        return Holder::Nobody;
    }
    // Who listens on every address is asked on the machine's own.
    let mut asked = address;
    if asked.ip().is_unspecified() {
        asked.set_ip(if asked.is_ipv4() { [127, 0, 0, 1].into() } else { [0_u16; 8].into() });
    }
    if tls {
        let taken = timeout(ANSWERED_WITHIN, TcpStream::connect(asked)).await;
        return if matches!(taken, Ok(Ok(_))) { Holder::Silent } else { Holder::Other };
    }
    match timeout(ANSWERED_WITHIN, health(asked)).await {
        Ok(Some(ServingStatus::Serving)) => Holder::Node,
        Ok(Some(_)) => Holder::Ill,
        Ok(None) | Err(_) => Holder::Other,
    }
}

async fn health(address: SocketAddr) -> Option<ServingStatus> {
    let channel = Endpoint::from_shared(format!("http://{address}")).ok()?.connect().await.ok()?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await.ok()?;
    Some(answer.into_inner().status())
}
