//! Keys, secrets and certificates: there, private, opening what they are for, and good for long enough.

use std::io::ErrorKind;
use std::path::Path;

use super::seen::{DatabaseFile, Seen};
use super::{Notes, apart};
use crate::app::chain;
use crate::app::nodes::certificate::is_signed_by;
use crate::config::{Config, NodeRole};
use crate::node::pem::{self, Pem};
use crate::node::security;
use crate::sharing::sealing::keyring::Keyring;
use crate::store::sqlite::database::Form;
use crate::tls::Versions;

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    let (config, file) = (seen.config.clone(), seen.file.clone());
    let to = notes.clone();
    let looked = apart(move || {
        to.security("files of secrets", security::files::secrets(&config, file.as_deref()));
        to.security("certificates", security::credentials::certificates(&config));
        to.security("authority", security::credentials::authority(&config));
        doors(&config, &to);
    });
    if looked.await.is_err() {
        notes.fail("files", ("looking at them broke off", "report what stands on standard error"));
    }
    let ring = match seen.ring().await {
        Err(error) => {
            let advice = "put the master key or the keyring back where the configuration says, as the \
                          user of the node; nothing is lost while both are kept somewhere";
            return notes.fail("keyring", (error, advice));
        }
        Ok(None) if seen.config.encryption.is_on() => {
            notes.ok("keyring", "not there yet: the first start makes it");
            None
        }
        Ok(None) => None,
        Ok(Some(ring)) => {
            notes.ok("keyring", format!("opens, {} keys", ring.keys().len()));
            Some(ring)
        }
    };
    // Before the first start there is nothing that could be lost.
    let is_there = |file: &DatabaseFile| matches!(file.form, Ok(Form::Plain | Form::Sealed));
    if seen.databases().await.iter().any(is_there) {
        secrets(&seen.config, ring.as_deref(), notes);
    }
}

/// Doors with TLS: the key is the certificate's, and the chain holds together.
fn doors(config: &Config, notes: &Notes) {
    let (server, web, fhir, dicom) = (&config.server, &config.web, &config.fhir, &config.dicom);
    let doors = [
        ("server", &server.tls_cert, &server.tls_key, &server.tls_client_ca),
        ("web", &web.tls_cert, &web.tls_key, &web.tls_client_ca),
        ("fhir", &fhir.tls_cert, &fhir.tls_key, &fhir.tls_client_ca),
        ("dicom", &dicom.tls_cert, &dicom.tls_key, &dicom.tls_client_ca),
        ("link", &config.link.tls_cert, &config.link.tls_key, &None),
    ];
    for (name, cert, key, client_ca) in doors {
        let Some(path) = cert else { continue };
        let files = Pem { cert: Some(path), key: key.as_deref(), client_ca: client_ca.as_deref() };
        let subject = format!("{name}.tls_cert {}", path.display());
        if let Err(error) = pem::acceptor(&files, (Versions::Modern, &[])) {
            let advice = format!(
                "{name}.tls_key must be the key of the first certificate of {name}.tls_cert, both PEM"
            );
            notes.fail(subject, (chain(&error), advice));
            continue;
        }
        // Whether it reads was said before.
        let Ok(shown) = pem::chain(path) else { continue };
        let broken = shown.iter().zip(shown.iter().skip(1));
        if let Some(at) = broken.clone().position(|(own, next)| !is_signed_by(own, next)) {
            let found =
                format!("certificate {} of the file is not signed by the one after it", at + 1);
            let advice = "put the own certificate first, then who signed it, then who signed that";
            notes.fail(subject, (found, advice));
        }
    }
}

/// Small secrets that a start would make anew if they were lost, over data that needs the old ones.
fn secrets(config: &Config, ring: Option<&Keyring>, notes: &Notes) {
    let is_hub = config.node.role == NodeRole::Hub;
    let has = |name: &str| match ring {
        Some(ring) => ring.newest(&format!("secret/{name}")).is_some(),
        None => is_file(&config.store.dir.join(name)),
    };
    if is_hub && config.exchange.key_file.is_none() && !has("hub.key") {
        notes.fail(
            "hub.key",
            (
                "is lost: without it nothing that the hub keeps can be read, and a start makes another",
                "do not start the hub; put the file back from a backup (`xiangyi admin restore`)",
            ),
        );
    }
    if !has("audit.key") {
        notes.warn(
            "audit.key",
            (
                "is lost: a start makes another, and heads of the audit trail signed with it do not \
                 fit those that the hub keeps",
                "put it back from a backup; if there is none, say so to whoever audits the trail",
            ),
        );
    }
    if config.fhir.listen.is_some() && !has("people.key") {
        notes.warn(
            "people.key",
            (
                "is not there: a start makes one and looks persons up anew by it, which takes a while",
                "put it back from a backup, if there was one",
            ),
        );
    }
}

fn is_file(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(found) => found.len() > 0,
        // Not to be seen is not lost.
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}
