//! At the hub: who the nodes are. A node enrols with a one-time code and gets a certificate of the hub's
//! own authority; it renews that by itself, and an administrator can take it back.
//!
//! A certificate counts only if the store has it: the name is the one that was written down when it was
//! signed, never what a certificate or a request says. Every hub on one database looks again every few
//! seconds, so what is revoked ends everywhere.

pub mod certificate;
pub mod code;
mod guard;
pub mod ports;
#[cfg(test)]
pub(crate) mod store_suite;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use self::certificate::{Authority, RequestedKey, Signed, is_signed_by, requested};
use self::code::Code;
use self::guard::{ENTERED_MAX, Guard};
use self::ports::{Enrolment, Invitation, NodeCertificate, NodeEntry, NodeStore, Sha, Which};
use crate::app::access::{Action, Caller, Role, authorise};
use crate::app::error::Error;
use crate::app::ports::Clock;
use crate::tables::text::hex;

/// Tries with another key after which a used code is good for nothing any more.
const FAILURES_MAX: u32 = 5;
/// Whoever is wrong waits so long.
const WRONG_PAUSE: Duration = Duration::from_secs(1);
/// A node that is seen is written down again after this.
const SEEN_EVERY_MS: i64 = 5 * 60 * 1000;
/// Certificates that ended so long ago are known as such, for what an old one is answered.
const PAST_MS: i64 = 400 * 24 * 3_600 * 1000;
/// Codes that ended so long ago are told to have ended.
const PAST_CODES_MS: i64 = 7 * 24 * 3_600 * 1000;
/// How long a code may be good.
const CODE_LIFE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(7 * 24));
/// Characters of a reason at most.
const REASON_CHARS_MAX: usize = 200;
/// A certificate of which less than this is left is about to end, in milliseconds.
pub const ENDING_MS: i64 = 14 * 24 * 3_600 * 1000;

/// See the module.
#[derive(Debug)]
pub struct Nodes {
    store: Arc<dyn NodeStore>,
    clock: Arc<dyn Clock>,
    authority: Authority,
    members: BTreeSet<String>,
    options: Options,
    guard: Guard,
    standing: Mutex<HashMap<Sha, Standing>>,
    seen: Mutex<HashMap<Sha, i64>>,
}

/// What is configured.
#[derive(Debug, Clone)]
pub struct Options {
    /// Life of a node's certificate.
    pub life: Duration,
    /// The certificate (DER) that vouches for the hub's door.
    pub vouching: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Standing {
    node: String,
    until_ms: i64,
    revoked: bool,
    seen_ms: i64,
}

/// What a node gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Its name.
    pub node: String,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Whom it is to trust, DER: the hub's authority, and whoever vouches for the hub's door.
    pub authorities: Vec<Vec<u8>>,
}

/// How many certificates there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Good.
    pub good: u64,
    /// Good, and about to end with no newer one of the same node.
    pub ending: u64,
    /// Revoked and not past.
    pub revoked: u64,
    /// Days until the authority itself ends.
    pub authority_days: i64,
}

impl Nodes {
    /// Over a store; certificates go to `members` only.
    pub fn new(
        store: Arc<dyn NodeStore>,
        (authority, options): (Authority, Options),
        members: impl IntoIterator<Item = String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let members = members.into_iter().collect();
        let (guard, standing, seen) = (Guard::default(), Mutex::default(), Mutex::default());
        Self { store, clock, authority, members, options, guard, standing, seen }
    }

    /// The authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Says to the store which authority signs here.
    ///
    /// # Errors
    /// [`Error::Refused`] where another one does, at this hub before or at another one on the database.
    pub async fn adopt(&self) -> Result<(), Error> {
        let ours = self.authority.sha256();
        let kept = self.store.adopt(&ours, self.clock.now_ms()).await?;
        if kept == ours {
            return Ok(());
        }
        let (kept, ours) = (hex(&kept), hex(&ours));
        let reason = format!(
            "the certificates in the hub's database are of the authority {kept} and the file of \
             link.ca holds {ours}: put the right file there (all hubs on one database have the same)"
        );
        Err(Error::Refused { reason })
    }

    /// Makes a code for a node; nothing shows it again.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Invalid`] about `node` and `valid`.
    pub async fn invite(
        &self,
        caller: &Caller,
        node: &str,
        valid: Duration,
    ) -> Result<(Code, i64), Error> {
        authorise(caller, Action::ManageNodes)?;
        if !self.members.contains(node) {
            return Err(Error::field("node", "must be the name of one of link.nodes"));
        }
        if !(CODE_LIFE.0..=CODE_LIFE.1).contains(&valid) {
            return Err(Error::field("valid", "must be from one minute to seven days"));
        }
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|e| Error::internal("random numbers", e))?;
        let code = Code::new(secret, &self.options.vouching);
        let made_ms = self.clock.now_ms();
        let until_ms = after(made_ms, valid);
        let invitation = Invitation {
            code: code::digest(&secret),
            node: node.to_owned(),
            made_ms,
            until_ms,
            key: None,
            failures: 0,
        };
        let entry = self.entry(node, "invite_node", "ok", &by(caller));
        self.store.invite(invitation, entry).await?;
        Ok((code, until_ms))
    }

    /// A certificate for whoever has a code and has shown to hold the key of a request (PKCS #10, DER).
    /// Asked again with the same code and key it gives the same certificate.
    ///
    /// # Errors
    /// [`Error::Refused`] with what is wrong with the code, after a pause; [`Error::Overloaded`] where
    /// too many were wrong; [`Error::Invalid`] about `code` and `request`.
    pub async fn enrol(
        &self,
        secret: &[u8],
        request: &[u8],
        from: IpAddr,
    ) -> Result<Enrolled, Error> {
        if secret.len() != 16 {
            return Err(Error::field("code", "must have 16 bytes"));
        }
        let key = requested(request)?;
        self.guard.attempt(from)?;
        match self.enrolled(secret, &key, from).await {
            Ok(enrolled) => {
                self.guard.passed(from);
                Ok(enrolled)
            }
            Err(error @ Error::Refused { .. }) => {
                tokio::time::sleep(WRONG_PAUSE).await;
                Err(error)
            }
            // Not the code's fault.
            Err(error) => {
                self.guard.passed(from);
                Err(error)
            }
        }
    }

    async fn enrolled(
        &self,
        secret: &[u8],
        key: &RequestedKey,
        from: IpAddr,
    ) -> Result<Enrolled, Error> {
        let now_ms = self.clock.now_ms();
        let digest = code::digest(secret);
        let mut found = None;
        // All are compared, so that the time does not tell which.
        for invitation in self.store.invitations(now_ms - PAST_CODES_MS).await? {
            if bool::from(invitation.code.ct_eq(&digest)) {
                found = Some(invitation);
            }
        }
        let Some(invitation) = found else {
            let said =
                "no such code was made here: look for a typing error, or have a new one made";
            return Err(self.refused("", "unknown", (said, from)).await?);
        };
        let node = invitation.node;
        if invitation.until_ms <= now_ms {
            let said = "the code is not good any more: have a new one made at the hub";
            return Err(self.refused(&node, "expired", (said, from)).await?);
        }
        if !self.members.contains(&node) {
            let said = "the node of this code is not among link.nodes of the hub any more";
            return Err(self.refused(&node, "no_member", (said, from)).await?);
        }
        let certificate = self.sign(&node, key, now_ms)?;
        let (serial, der) = (certificate.serial.clone(), certificate.der.clone());
        let entry = self.entry(&node, "enrol_node", "ok", &format!("serial {serial} from {from}"));
        match self.store.enrol(digest, certificate, FAILURES_MAX, entry).await? {
            Enrolment::Issued => {
                tracing::info!(node, serial, "node enrolled");
                Ok(self.given(node, der))
            }
            Enrolment::Again(kept) if kept.revoked.is_none() => Ok(self.given(node, kept.der)),
            Enrolment::Again(_) => {
                let said = "the certificate that the code gave was revoked: have a new code made";
                Err(self.refused(&node, "revoked", (said, from)).await?)
            }
            Enrolment::Used => {
                let said = "the code was used before, with another key. If that was not this node, \
                            revoke the node at the hub at once; else have a new code made";
                tracing::warn!(node, "a code was used twice");
                Err(self.refused(&node, "used", (said, from)).await?)
            }
            Enrolment::Gone => {
                let said = "the code is not good any more: have a new one made at the hub";
                Err(self.refused(&node, "expired", (said, from)).await?)
            }
        }
    }

    /// Another certificate for a node that shows a good one (by its digest), for another key.
    ///
    /// # Errors
    /// [`Error::Refused`] where the one that it shows is not the hub's own, or not good any more;
    /// [`Error::Overloaded`], [`Error::Invalid`] about `request`.
    pub async fn renew(&self, shown: Sha, request: &[u8]) -> Result<Enrolled, Error> {
        let Some(node) = self.known(&shown) else {
            let reason = "only a certificate that the hub gave can be renewed".to_owned();
            return Err(Error::Refused { reason });
        };
        let key = requested(request)?;
        self.guard.renewal(&node)?;
        let certificate = self.sign(&node, &key, self.clock.now_ms())?;
        let (serial, der) = (certificate.serial.clone(), certificate.der.clone());
        let detail = format!("serial {serial}, shown {}", hex(&shown));
        let entry = self.entry(&node, "renew_certificate", "ok", &detail);
        if !self.store.renew(shown, certificate, entry).await? {
            let reason = "the certificate that is shown is not good any more".to_owned();
            return Err(Error::Refused { reason });
        }
        tracing::info!(node, serial, "certificate renewed");
        Ok(self.given(node, der))
    }

    /// Takes certificates back, and the codes of a node. Gives the serial numbers.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Invalid`] about `reason`, [`Error::NotFound`].
    pub async fn revoke(
        &self,
        caller: &Caller,
        which: Which,
        reason: &str,
    ) -> Result<Vec<String>, Error> {
        authorise(caller, Action::ManageNodes)?;
        let reason = reason.trim();
        let fine = (1..=REASON_CHARS_MAX).contains(&reason.chars().count())
            && !reason.chars().any(char::is_control);
        if !fine {
            return Err(Error::field("reason", "must have 1 to 200 characters"));
        }
        let node = match &which {
            Which::Node(node) => node.clone(),
            Which::Serial(serial) => {
                let all = self.certificates().await?;
                let one = all.into_iter().find(|c| c.serial == *serial);
                one.ok_or(Error::NotFound { kind: "certificate" })?.node
            }
        };
        let entry =
            self.entry(&node, "revoke_certificate", "ok", &format!("{}: {reason}", by(caller)));
        let revoked = self.store.revoke(which, reason.to_owned(), entry).await?;
        // This process need not wait for the next look.
        self.refresh().await?;
        Ok(revoked)
    }

    /// The hub was put back from a backup: codes that were used since are good again, and end with all others
    /// that were not used then; gives how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn after_restore(&self) -> Result<u64, Error> {
        let why = "the hub was put back from a backup";
        self.store.retract(self.entry("", "retract_codes", "ok", why)).await
    }

    /// Every certificate that is not long past.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unavailable`].
    pub async fn list(
        &self,
        caller: &Caller,
    ) -> Result<(Vec<NodeCertificate>, Vec<Invitation>), Error> {
        authorise(caller, Action::ManageNodes)?;
        let invitations = self.store.invitations(self.clock.now_ms()).await?;
        Ok((self.certificates().await?, invitations))
    }

    /// The node that a certificate is of (by its digest), if it is good now.
    pub fn known(&self, sha256: &Sha) -> Option<String> {
        let now_ms = self.clock.now_ms();
        let found = self.standing().get(sha256).filter(|s| s.is_good(now_ms)).cloned()?;
        if !self.members.contains(&found.node) {
            return None;
        }
        if now_ms.saturating_sub(found.seen_ms) > SEEN_EVERY_MS {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(*sha256, now_ms);
        }
        Some(found.node)
    }

    /// Likewise of a certificate (DER) that another hub may have signed a moment ago.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn look_again(&self, der: &[u8]) -> Result<Option<String>, Error> {
        let sha256 = Sha256::digest(der).into();
        let is_new = !self.standing().contains_key(&sha256);
        // What the authority did not sign is nobody's, and costs the database nothing.
        if is_new && is_signed_by(der, self.authority.der()) {
            self.refresh().await?;
        }
        Ok(self.known(&sha256))
    }

    /// Whether a certificate of the authority is not good any more: lines that were opened with it end.
    pub fn has_ended(&self, sha256: &Sha) -> bool {
        let now_ms = self.clock.now_ms();
        self.standing().get(sha256).is_some_and(|standing| !standing.is_good(now_ms))
    }

    /// Looks at the store again, and tells it who was seen.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: what was known before holds.
    pub async fn refresh(&self) -> Result<NodeCounts, Error> {
        let seen: Vec<(Sha, i64)> = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.drain().collect()
        };
        if !seen.is_empty() {
            self.store.seen(&seen).await?;
        }
        let all = self.certificates().await?;
        let counts = self.count(&all);
        let standing = all.into_iter().map(|c| {
            let (until_ms, revoked, seen_ms) = (c.until_ms, c.revoked.is_some(), c.seen_ms);
            (c.sha256, Standing { node: c.node, until_ms, revoked, seen_ms })
        });
        *self.standing() = standing.collect();
        Ok(counts)
    }

    fn count(&self, all: &[NodeCertificate]) -> NodeCounts {
        let now_ms = self.clock.now_ms();
        let mut counts = NodeCounts {
            authority_days: days(self.authority.until_ms() - now_ms),
            ..NodeCounts::default()
        };
        let mut latest: HashMap<&str, i64> = HashMap::new();
        for one in all.iter().filter(|c| c.until_ms > now_ms) {
            if one.revoked.is_some() {
                counts.revoked += 1;
                continue;
            }
            counts.good += 1;
            let until = latest.entry(&one.node).or_default();
            *until = (*until).max(one.until_ms);
        }
        let ending = latest.values().filter(|until| **until - now_ms < ENDING_MS).count();
        counts.ending = u64::try_from(ending).unwrap_or(u64::MAX);
        counts
    }

    async fn certificates(&self) -> Result<Vec<NodeCertificate>, Error> {
        self.store.certificates(self.clock.now_ms() - PAST_MS).await
    }

    fn sign(&self, node: &str, key: &RequestedKey, now_ms: i64) -> Result<NodeCertificate, Error> {
        let signed = self.authority.issue(node, key, (now_ms, self.options.life))?;
        let Signed { der, serial, until_ms, .. } = signed;
        Ok(NodeCertificate {
            sha256: Sha256::digest(&der).into(),
            serial,
            node: node.to_owned(),
            key: key.sha256,
            der,
            issued_ms: now_ms,
            until_ms,
            seen_ms: 0,
            revoked: None,
        })
    }

    fn given(&self, node: String, certificate: Vec<u8>) -> Enrolled {
        let mut authorities = vec![self.authority.der().to_vec()];
        if self.options.vouching != self.authority.der() {
            authorities.push(self.options.vouching.clone());
        }
        Enrolled { node, certificate, authorities }
    }

    /// Enters a refusal, unless there were very many, and gives it.
    async fn refused(
        &self,
        node: &str,
        why: &str,
        (said, from): (&str, IpAddr),
    ) -> Result<Error, Error> {
        tracing::warn!(node, why, %from, "enrolment refused");
        if self.guard.wrong() <= ENTERED_MAX {
            let entry = self.entry(node, "enrol_node", why, &format!("from {from}"));
            self.store.note(entry).await?;
        }
        Ok(Error::Refused { reason: said.to_owned() })
    }

    fn entry(&self, node: &str, action: &'static str, outcome: &str, detail: &str) -> NodeEntry {
        NodeEntry {
            at_ms: self.clock.now_ms(),
            node: node.to_owned(),
            action,
            outcome: outcome.to_owned(),
            detail: detail.to_owned(),
        }
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, HashMap<Sha, Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn is_good(&self, now_ms: i64) -> bool {
        !self.revoked && now_ms < self.until_ms
    }
}

/// Whole days of so many milliseconds.
pub fn days(ms: i64) -> i64 {
    ms.div_euclid(24 * 3_600 * 1000)
}

fn after(now_ms: i64, time: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

fn by(caller: &Caller) -> String {
    if caller.role == Role::Local {
        return caller.name.clone();
    }
    format!("{} ({})", caller.name, caller.role.name())
}
