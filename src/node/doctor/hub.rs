//! The way to the hub, step by step: the name, the port, TLS and the hub's certificate, and whether the hub
//! knows this node. Nothing is attended: a node that runs keeps its line.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, CertificateError};

use super::seen::Seen;
use super::{Notes, apart};
use crate::app::error::{Cause, Error};
use crate::app::nodes::certificate::read;
use crate::app::nodes::{ENDING_MS, days};
use crate::app::ports::Clock as _;
use crate::app::{chain, regional::NodeLine};
use crate::config::{Config, NodeRole};
use crate::link::asking::{self, Answer};
use crate::node::{SystemClock, link};
use crate::tls;

/// How long each step may take.
const STEP_WITHIN: Duration = Duration::from_secs(8);
const HOUR_MS: i64 = 3_600 * 1000;

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    let config = &seen.config;
    if config.node.role == NodeRole::Hub {
        return notes.skip(
            "hub",
            "this is the hub; `xiangyi admin nodes` and `xiangyi exchange nodes` say how each node stands",
        );
    }
    let Some(url) = &config.link.hub else { return };
    let subject = format!("link.hub {url}");
    let parsed = url.parse::<Uri>().ok();
    let host = parsed.as_ref().and_then(|uri| Some((uri.host()?.to_owned(), uri.port_u16())));
    let Some((host, port)) = host else {
        return notes.fail(subject, ("names no host", "link.hub = \"https://HOST:PORT\""));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = port.unwrap_or(if url.starts_with("https:") { 443 } else { 80 });
    let Some(stream) = reached(notes, &subject, (&host, port)).await else { return };
    if url.starts_with("https:") && !secured(notes, &subject, (config, url), (&host, stream)).await
    {
        return;
    }
    match ask(config).await {
        Ok(answer) => said(notes, &subject, (&config.node.name, answer)),
        Err(error) => {
            let advice = "the port answers and the hub does not: look at the log of the hub, and at what \
                          stands between (a proxy that knows no HTTP/2)";
            notes.fail(subject, (format!("does not answer: {}", chain(error.as_ref())), advice));
        }
    }
}

async fn reached(notes: &Notes, subject: &str, (host, port): (&str, u16)) -> Option<TcpStream> {
    let found = match timeout(STEP_WITHIN, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let advice = format!(
                "`getent hosts {host}`; look at the network, /etc/resolv.conf, or \
                                  write the hub into /etc/hosts"
            );
            notes.fail(subject, (format!("the name {host} is not found: {error}"), advice));
            return None;
        }
        Err(_) => {
            let advice = "look at the network: the servers of /etc/resolv.conf do not answer";
            notes.fail(subject, (format!("nobody says where {host} is"), advice));
            return None;
        }
    };
    let connecting = timeout(STEP_WITHIN, TcpStream::connect(found.as_slice())).await;
    match connecting {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            let found = format!("nobody listens at {host}:{port}");
            let advice = "is the hub running, and is it the port of its link.listen? Until then the node \
                          works on, and what is for the hub waits";
            notes.fail(subject, (found, advice));
            None
        }
        Ok(Err(error)) => {
            let advice = "look at the cable, the SIM or the tunnel (`ip route`, `ping`); until then the \
                          node works on, and what is for the hub waits";
            notes.fail(subject, (format!("{host}:{port} is not reached: {error}"), advice));
            None
        }
        Err(_) => {
            let advice =
                "a firewall drops it, or the hub is off: ask whoever runs the hub's network";
            notes.fail(subject, (format!("{host}:{port} does not answer"), advice));
            None
        }
    }
}

/// Whether TLS comes about, and until when the hub's certificate is good.
async fn secured(
    notes: &Notes,
    subject: &str,
    (config, url): (&Config, &str),
    (host, stream): (&str, TcpStream),
) -> bool {
    let tls = match shown(config, url).await {
        Ok(Some(tls)) => tls,
        Ok(None) => return true,
        Err(error) => {
            let advice = "have a code made at the hub (`xiangyi admin enrol-code NAME`), and run `xiangyi \
                          admin enrol` here";
            notes.fail(subject, (chain(error.as_ref()), advice));
            return false;
        }
    };
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        notes.fail(subject, (format!("{host} is no name of a host"), "mend link.hub"));
        return false;
    };
    let connecting = TlsConnector::from(Arc::new(tls)).connect(name, stream);
    match timeout(STEP_WITHIN, connecting).await {
        Ok(Ok(stream)) => {
            let own = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
            let until_ms = own.and_then(|own| read(own).ok()).map(|own| own.until_ms);
            let left_ms = until_ms.map(|until_ms| until_ms - SystemClock.now_ms());
            match left_ms {
                Some(left_ms) if left_ms < ENDING_MS => notes.warn(
                    subject,
                    (
                        format!("the hub's certificate ends in {} days", days(left_ms)),
                        "tell whoever runs the hub: when it has ended no node comes in",
                    ),
                ),
                Some(left_ms) => {
                    let found =
                        format!("TLS; the hub's certificate is good for {} days", days(left_ms));
                    notes.ok(subject, found);
                }
                None => notes.ok(subject, "TLS"),
            }
            true
        }
        Ok(Err(error)) => {
            notes.fail(subject, (format!("no TLS: {error}"), refusal(&error)));
            false
        }
        Err(_) => {
            let advice =
                "something listens there that does not speak TLS: is it the port of link.listen?";
            notes.fail(subject, ("no TLS: no answer", advice));
            false
        }
    }
}

/// What to do about a handshake that failed.
fn refusal(error: &std::io::Error) -> &'static str {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(why)) = cause else {
        return "is it the port of link.listen, and does nothing stand between that ends TLS?";
    };
    let is_time = matches!(
        why,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    );
    let is_name = matches!(
        why,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    );
    if is_time {
        "by this clock the hub's certificate is not good now: see `clock` first; if that is right, whoever \
         runs the hub must renew the certificate"
    } else if is_name {
        "dial the hub by a name that its certificate is for (at the hub: link.ca.names, or link.tls_cert)"
    } else {
        "somebody else answers, or the hub has another authority than before: do not trust it before \
         whoever runs the hub says so; then enrol again, or put its authority into link.tls_ca"
    }
}

/// What the hub is dialled with; none without TLS.
async fn shown(config: &Config, url: &str) -> Result<Option<tls::Config>, Cause> {
    let (config, url) = (config.clone(), url.to_owned());
    let read = apart(move || -> Result<Option<tls::Config>, Cause> {
        let (source, _) = link::dialled_with(&config, &url)?;
        source.map(|source| source()).transpose()
    });
    read.await.unwrap_or_else(|_| Err("reading the certificate broke off".into()))
}

/// Asks the hub, as this node.
pub(super) async fn ask(config: &Config) -> Result<Answer, Cause> {
    let url = config.link.hub.clone().ok_or("there is no link.hub")?;
    let tls = shown(config, &url).await?;
    let token = match config.link.token_file.clone() {
        None => None,
        Some(path) => {
            let read = apart(move || std::fs::read_to_string(path)).await;
            Some(read.map_err(|_| "reading the token broke off")??.trim().to_owned())
        }
    };
    asking::ask(&url, tls, token.as_deref()).await
}

fn said(notes: &Notes, subject: &str, (name, answer): (&str, Answer)) {
    let members = match answer.nodes {
        Ok(members) => members,
        Err(Error::Refused { reason }) => {
            let advice = "at the hub: is the node in link.nodes, and was its certificate revoked (`xiangyi \
                          admin nodes`)? A new code (`xiangyi admin enrol-code NAME`) and `xiangyi admin \
                          enrol` here let it in again";
            return notes.fail(subject, (format!("does not let this node in: {reason}"), advice));
        }
        Err(error) => {
            let advice = "look at the log of the hub; this node works on meanwhile";
            return notes.fail(subject, (format!("answers: {}", chain(&error)), advice));
        }
    };
    let took = answer.trip.as_millis();
    let own: Option<&NodeLine> = members.iter().find(|line| line.node == name);
    match own {
        None => {
            let found = format!("answers in {took} ms, and knows no node {name:?}");
            let advice = "node.name here and the name in link.nodes of the hub must be the same";
            notes.fail(subject, (found, advice));
        }
        Some(line) if line.online => {
            notes.ok(subject, format!("answers in {took} ms, and has this node connected"));
        }
        Some(line) if line.seen_ms <= 0 => {
            let found = format!("answers in {took} ms, and has never seen this node connected");
            notes.warn(subject, (found, "start the node"));
        }
        Some(line) => {
            let hours = (SystemClock.now_ms() - line.seen_ms).max(0) / HOUR_MS;
            let found =
                format!("answers in {took} ms; this node was last connected {hours} hours ago");
            let advice = "start the node; if it runs, look for \"hub is not reached\" in its log";
            notes.warn(subject, (found, advice));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_depends_on_why_tls_failed() {
        let said = |why| {
            let error = rustls::Error::InvalidCertificate(why);
            refusal(&std::io::Error::new(std::io::ErrorKind::InvalidData, error))
        };
        assert!(said(CertificateError::Expired).contains("`clock`"));
        assert!(said(CertificateError::NotValidForName).contains("link.ca.names"));
        assert!(said(CertificateError::UnknownIssuer).contains("do not trust it"));
        assert!(refusal(&std::io::ErrorKind::UnexpectedEof.into()).contains("link.listen"));
    }
}
