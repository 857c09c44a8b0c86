//! A node's own certificate: getting it, showing it, renewing it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::RootCertStore;

use super::{SystemClock, secret};
use crate::app::error::Cause;
use crate::app::nodes::certificate::{self, NewKey, Signed};
use crate::app::nodes::code::Code;
use crate::app::nodes::{Enrolled, days};
use crate::app::ports::Clock;
use crate::config::Config;
use crate::link;
use crate::telemetry::Metrics;
use crate::tls::{self, Dial, H2, Identity, Versions};

/// Folder of these files in the store's directory.
const FOLDER: &str = "link";
/// The node's key and certificate, in one file so that they change together.
const IDENTITY: &str = "identity.pem";
/// Whom the node trusts at the hub's door.
const AUTHORITIES: &str = "authorities.pem";
/// A key whose certificate has not come yet.
const PENDING: &str = "pending.pem";
/// Between two looks at whether it is time; shorter after a try that failed.
const LOOK_EVERY: Duration = Duration::from_hours(1);
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// With shorter lives than usual the looks are so many to a life.
const LOOKS_OF_LIFE: u32 = 60;

/// The files of a node's certificate.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
}

/// What a node has.
#[derive(Debug)]
pub struct Held {
    /// Name by which the hub knows the node.
    pub node: String,
    /// The certificate.
    pub certificate: Signed,
    pem: Vec<u8>,
}

impl Files {
    /// Of the node of this configuration.
    pub fn of(config: &Config) -> Self {
        Self { folder: config.store.dir.join(FOLDER) }
    }

    /// The file with the key and the certificate.
    pub fn identity(&self) -> PathBuf {
        self.folder.join(IDENTITY)
    }

    /// What the node has; none: it has not enrolled.
    ///
    /// # Errors
    /// The file cannot be read, or others can read it.
    pub fn held(&self) -> Result<Option<Held>, Cause> {
        let Some(pem) = secret::read(&self.identity())? else { return Ok(None) };
        let chain = tls::certificates(&pem)?;
        let own = chain.first().ok_or("the file holds no certificate")?;
        let certificate = certificate::read(own)?;
        let node = certificate::name_in(own).unwrap_or_default();
        Ok(Some(Held { node, certificate, pem }))
    }

    /// Whom the node trusts, by what it got when it enrolled.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn authorities(&self) -> Result<RootCertStore, Cause> {
        let path = self.folder.join(AUTHORITIES);
        let pem = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        tls::roots(&pem)
    }

    /// The key that a certificate is asked for with. The same again until the certificate has come, so
    /// that an answer that was lost can be asked for again.
    fn pending(&self) -> Result<NewKey, Cause> {
        let path = self.folder.join(PENDING);
        if let Some(pem) = secret::read(&path)? {
            return NewKey::from_pem(std::str::from_utf8(&pem)?);
        }
        let key = NewKey::make()?;
        secret::make(&path, key.pem().as_bytes())?;
        Ok(key)
    }

    /// Keeps what came, and forgets that it was waited for.
    fn keep(&self, key: &NewKey, enrolled: &Enrolled) -> Result<Signed, Cause> {
        let signed = certificate::read(&enrolled.certificate)?;
        if certificate::key_of(&enrolled.certificate)? != key.sha256() {
            return Err("the hub's certificate is for another key".into());
        }
        let authorities: String =
            enrolled.authorities.iter().map(|a| certificate::pem(a)).collect();
        tls::roots(authorities.as_bytes())?;
        secret::replace(&self.folder.join(AUTHORITIES), authorities.as_bytes(), 0o644)?;
        let identity = format!("{}{}", certificate::pem(&enrolled.certificate), key.pem());
        secret::replace(&self.identity(), identity.as_bytes(), 0o600)?;
        self.forget()?;
        Ok(signed)
    }

    fn forget(&self) -> Result<(), Cause> {
        match std::fs::remove_file(self.folder.join(PENDING)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Held {
    /// As TLS takes it.
    ///
    /// # Errors
    /// The file holds no key.
    pub fn identity(&self) -> Result<Identity, Cause> {
        Identity::from_pem(&self.pem, &self.pem)
    }

    /// Refuses one that has ended: the hub would only cut the line.
    fn good_at(&self, now_ms: i64) -> Result<(), Cause> {
        if now_ms < self.certificate.until_ms {
            return Ok(());
        }
        Err(format!(
            "the certificate of this node ended {} days ago: have a code made at the hub (`xiangyi admin \
             enrol-code {}`) and run `xiangyi admin enrol` here",
            days(now_ms - self.certificate.until_ms),
            self.node
        )
        .into())
    }
}

/// Gets a certificate for a code, and keeps it where the link looks for it.
///
/// # Errors
/// What the hub said, or what cannot be read or written.
pub async fn enrol(config: &Config, url: &str, code: &Code) -> Result<(String, Signed), Cause> {
    let files = Files::of(config);
    let key = files.pending()?;
    let enrolled = link::enrolment::enrol(url, code, key.request()?).await?;
    let name = &config.node.name;
    if enrolled.node != *name {
        return Err(format!(
            "the code is for the node `{}` and this one is called `{name}`: set node.name and try again \
             with the same code",
            enrolled.node
        )
        .into());
    }
    let signed = files.keep(&key, &enrolled)?;
    Ok((enrolled.node, signed))
}

/// What the hub is dialled with: what was enrolled for, as it is at that moment.
pub(super) fn shown(files: &Files, more: Option<&RootCertStore>) -> Result<tls::Config, Cause> {
    let held = files.held()?.ok_or(
        "this node has no certificate yet: have a code made at the hub (`xiangyi admin enrol-code`) and \
         run `xiangyi admin enrol` here",
    )?;
    held.good_at(SystemClock.now_ms())?;
    let mut roots = files.authorities()?;
    if let Some(more) = more {
        roots.extend(more.roots.iter().cloned());
    }
    tls::client(roots, Some(held.identity()?), (Versions::Modern, &[H2]))
}

/// When the next certificate is asked for: after two thirds of the life, or a little later, so that those
/// who enrolled together do not come together.
fn due_ms(certificate: &Signed) -> i64 {
    let life = certificate.until_ms.saturating_sub(certificate.from_ms);
    let digest: [u8; 32] = Sha256::digest(&certificate.der).into();
    let later = life / 20 * i64::from(digest[0]) / 256;
    certificate.from_ms.saturating_add(life / 3 * 2).saturating_add(later)
}

/// Renews the certificate before it ends, for ever.
pub(super) async fn renew(
    files: Files,
    (hub, more): (String, Option<RootCertStore>),
    metrics: Arc<Metrics>,
) {
    loop {
        let pause = match look(&files, (&hub, more.as_ref()), &metrics).await {
            Ok(pause) => pause,
            Err(error) => {
                let error = crate::app::chain(error.as_ref());
                tracing::warn!(error, "the certificate of this node is not renewed yet");
                LOOK_AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Renews it if it is time. Gives when to look again.
async fn look(
    files: &Files,
    (hub, more): (&str, Option<&RootCertStore>),
    metrics: &Metrics,
) -> Result<Duration, Cause> {
    // Who has none yet is told where the hub is dialled.
    let Some(held) = files.held()? else { return Ok(LOOK_AGAIN) };
    let now_ms = SystemClock.now_ms();
    metrics.link_certificate(days(held.certificate.until_ms - now_ms));
    let life = u64::try_from(held.certificate.until_ms - held.certificate.from_ms).unwrap_or(0);
    let often = Duration::from_millis(life) / LOOKS_OF_LIFE;
    if now_ms < due_ms(&held.certificate) {
        return Ok(LOOK_EVERY.min(often.max(Duration::from_secs(1))));
    }
    let key = NewKey::make()?;
    let dial = Dial::new(shown(files, more)?);
    let enrolled = link::enrolment::renew(hub, dial, key.request()?).await?;
    if enrolled.node != held.node {
        return Err("the hub's new certificate is for another node".into());
    }
    let signed = files.keep(&key, &enrolled)?;
    let left = days(signed.until_ms - now_ms);
    metrics.link_certificate(left);
    tracing::info!(serial = signed.serial, days = left, "the certificate of this node was renewed");
    Ok(LOOK_EVERY)
}
