//! Doors, what the node dials, and devices.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{Finding, Standing};
use crate::config::{Config, PeerSection, SecretUrl};

const DOORS: &str = "doors";
const DIALS: &str = "dials";
const DICOM: &str = "dicom";

/// Every door: TLS, on this machine only, or neither.
pub(in crate::node) fn doors(config: &Config) -> Vec<Finding> {
    let has = |cert: &Option<PathBuf>| cert.is_some();
    let (server, web, fhir, dicom, link) =
        (&config.server, &config.web, &config.fhir, &config.dicom, &config.link);
    let own = has(&link.tls_cert) || link.ca.is_some();
    let list: [(&str, Option<SocketAddr>, bool); 6] = [
        ("server.listen", Some(server.listen), has(&server.tls_cert)),
        ("web.listen", web.listen, has(&web.tls_cert)),
        ("fhir.listen", fhir.listen, has(&fhir.tls_cert)),
        ("metrics.listen", config.metrics.listen, false),
        ("dicom.listen", dicom.listen, has(&dicom.tls_cert)),
        ("link.listen", link.listen, own),
    ];
    list.into_iter()
        .filter_map(|(key, listen, tls)| Some(door(key, listen?, (tls, dicom.tls12))))
        .collect()
}

fn door(key: &str, listen: SocketAddr, (tls, tls12): (bool, bool)) -> Finding {
    let subject = format!("{key} {listen}");
    let is_dicom = key == "dicom.listen";
    if tls && is_dicom && tls12 {
        let means = "TLS 1.3 and, for older devices, 1.2";
        return Finding::weak(
            DOORS,
            subject,
            (means, "set dicom.tls12 = false once every device speaks 1.3"),
        );
    }
    if tls {
        return Finding::ok(DOORS, subject, "TLS 1.3 and nothing older");
    }
    if listen.ip().is_loopback() {
        return Finding::ok(DOORS, subject, "without TLS, for this machine only");
    }
    if is_dicom {
        return Finding::weak(
            DOORS,
            subject,
            (
                "without TLS: whoever is on the network between reads and changes images",
                "set dicom.tls_cert and dicom.tls_key, or keep the devices on a network of their own",
            ),
        );
    }
    let key = key.trim_end_matches(".listen");
    Finding::bad(
        DOORS,
        subject,
        ("without TLS and open to the network", format!("set {key}.tls_cert and {key}.tls_key")),
    )
}

/// What the node dials.
pub(super) fn dials(config: &Config) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(hub) = &config.link.hub {
        let subject = format!("link.hub {hub}");
        all.push(if hub.starts_with("https:") {
            Finding::ok(DIALS, subject, "TLS 1.3 and nothing older")
        } else {
            Finding::ok(DIALS, subject, "without TLS, on this machine only")
        });
    }
    // Of others' services the version is theirs to choose.
    let theirs =
        "TLS 1.3, or 1.2 where the other side speaks no newer one; its certificate is verified";
    if let Some(s3) = &config.imaging.s3 {
        all.push(url_of_others("imaging.s3.endpoint", &s3.endpoint, theirs));
    }
    if let Some(url) = config.auth.oidc.as_ref().and_then(|oidc| oidc.jwks_url.as_ref()) {
        all.push(url_of_others("auth.oidc.jwks_url", url, theirs));
    }
    let databases = [
        ("imaging.postgres_url", &config.imaging.postgres_url, None),
        (
            "exchange.postgres_url",
            &config.exchange.postgres_url,
            config.exchange.postgres_url_file.as_ref(),
        ),
    ];
    for (key, url, file) in databases {
        let is_used = url.is_some() || file.is_some();
        if is_used {
            let means = "on this machine, or over TLS 1.3 or 1.2 with the server's certificate verified \
                         (anything else is refused at the start)";
            all.push(Finding::ok(DIALS, key, means));
        }
        if url.as_ref().is_some_and(holds_password) {
            all.push(Finding::weak(
                "credentials",
                key,
                (
                    "a password stands in the configuration",
                    "put the address into a file that only the node reads, where the section has \
                     postgres_url_file, or use a certificate or the user of a local socket",
                ),
            ));
        }
    }
    all
}

fn holds_password(url: &SecretUrl) -> bool {
    let text = url.expose();
    let user = text.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':')) || text.contains("password=")
}

fn url_of_others(key: &str, url: &str, means: &str) -> Finding {
    if url.starts_with("https:") {
        Finding::ok(DIALS, key, means)
    } else {
        Finding::ok(DIALS, key, "without TLS, on this machine only")
    }
}

/// Application entities, by how they are known.
pub(super) fn devices(config: &Config) -> Vec<Finding> {
    let section = &config.dicom;
    let mut all = Vec::new();
    if section.listen.is_some() && section.others().is_some_and(|services| !services.is_empty()) {
        all.push(Finding::weak(
            DICOM,
            "strangers",
            (
                "any process on this machine may use the DICOM door under any AE title",
                "list the devices in dicom.peers and set dicom.strangers = []",
            ),
        ));
    }
    all.extend(section.peers.iter().map(|peer| device(peer, section.tls_client_ca.is_some())));
    all
}

fn device(peer: &PeerSection, certificates: bool) -> Finding {
    let subject = format!("AE {}", peer.ae_title);
    let dialled = peer.address.as_deref().filter(|_| !peer.tls).filter(|address| !is_here(address));
    if peer.services.is_empty() {
        return match dialled {
            Some(_) => Finding::weak(
                DICOM,
                subject,
                ("is sent images without TLS", "set tls = true and dicom.tls_ca if it can TLS"),
            ),
            None => Finding::ok(DICOM, subject, "is sent images over TLS, or on this machine"),
        };
    }
    if peer.tls && certificates {
        if !peer.certificates.is_empty() {
            return Finding::ok(DICOM, subject, "comes in with a TLS certificate of its own");
        }
        let means = "comes in with any certificate that dicom.tls_client_ca signed: who has one may \
                     take another's title";
        let remedy = "set certificates to a name in its certificate, or to its SHA-256";
        return Finding::weak(DICOM, subject, (means, remedy));
    }
    let remedy = "give it a certificate: tls = true and dicom.tls_client_ca";
    let (standing, means) = match (peer.tls, peer.hosts.is_empty()) {
        (_, true) => (
            Standing::Bad,
            "comes in by its title alone: whoever knows the title is taken for it".to_owned(),
        ),
        (true, false) => (
            Standing::Weak,
            "comes in over TLS by title and address, without a certificate of its own".to_owned(),
        ),
        (false, false) => (
            Standing::Weak,
            "comes in by title and address only: whoever takes its address is taken for it"
                .to_owned(),
        ),
    };
    Finding { standing, ..Finding::weak(DICOM, subject, (means, remedy)) }
}

fn is_here(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
