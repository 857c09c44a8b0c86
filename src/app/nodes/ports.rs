//! What the certificates of nodes need of a store. Both back-ends of a hub have it, so every hub on one
//! database knows the same.

use std::fmt::Debug;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;

/// SHA-256.
pub type Sha = [u8; 32];

/// A code that a node may enrol with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Digest of its secret.
    pub code: Sha,
    /// The node that it is for.
    pub node: String,
    /// When it was made, milliseconds since 1970.
    pub made_ms: i64,
    /// Until when it is good.
    pub until_ms: i64,
    /// Digest of the key that it was used with; none: not used.
    pub key: Option<Sha>,
    /// Tries with another key after it was used.
    pub failures: u32,
}

/// A certificate that the authority has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    /// SHA-256 of it (DER).
    pub sha256: Sha,
    /// Its serial number, hex.
    pub serial: String,
    /// The node that it is for.
    pub node: String,
    /// SHA-256 of its key.
    pub key: Sha,
    /// Itself, DER.
    pub der: Vec<u8>,
    /// When it was signed, milliseconds since 1970.
    pub issued_ms: i64,
    /// Until when it is good.
    pub until_ms: i64,
    /// When the node was last seen with it; 0: never.
    pub seen_ms: i64,
    /// When and why it was revoked.
    pub revoked: Option<(i64, String)>,
}

/// An entry of the hub's audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEntry {
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// The node that it is about; empty: none is known.
    pub node: String,
    /// What was done.
    pub action: &'static str,
    /// What came of it.
    pub outcome: String,
    /// Who did it, and what else is to be known.
    pub detail: String,
}

/// What became of a try to enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolment {
    /// The certificate is kept, the code used.
    Issued,
    /// The code was used before with the same key: this is what it got.
    Again(Box<NodeCertificate>),
    /// The code was used before with another key.
    Used,
    /// There is no such code, or it is not good any more.
    Gone,
}

/// Which certificates are to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All of a node, and its codes.
    Node(String),
    /// The one of this serial number, hex.
    Serial(String),
}

/// Keeps codes and certificates. What changes something writes its entry in the same transaction.
pub trait NodeStore: Debug + Send + Sync {
    /// Says which authority signs (SHA-256 of its certificate): the first counts. Gives that one.
    fn adopt<'a>(&'a self, authority: &'a Sha, at_ms: i64) -> BoxFuture<'a, Result<Sha, Error>>;
    /// Keeps a code.
    fn invite(&self, invitation: Invitation, entry: NodeEntry) -> BoxFuture<'_, Result<(), Error>>;
    /// Codes that are, or were until `since_ms`, good.
    fn invitations(&self, since_ms: i64) -> BoxFuture<'_, Result<Vec<Invitation>, Error>>;
    /// Ends every code that was not used and is good at `entry.at_ms`; gives how many.
    fn retract(&self, entry: NodeEntry) -> BoxFuture<'_, Result<u64, Error>>;
    /// Uses a code for a certificate, if it is good now and was not used with another key. A try with
    /// another key is counted; after `failures_max` the code is used up for every key.
    fn enrol(
        &self,
        code: Sha,
        certificate: NodeCertificate,
        failures_max: u32,
        entry: NodeEntry,
    ) -> BoxFuture<'_, Result<Enrolment, Error>>;
    /// Keeps a certificate for whoever shows the one of digest `shown`; `false` where that one is not of
    /// the same node, revoked or past.
    fn renew(
        &self,
        shown: Sha,
        certificate: NodeCertificate,
        entry: NodeEntry,
    ) -> BoxFuture<'_, Result<bool, Error>>;
    /// Every certificate that was good at `since_ms` or later, by node and time, without the certificate
    /// itself.
    fn certificates(&self, since_ms: i64) -> BoxFuture<'_, Result<Vec<NodeCertificate>, Error>>;
    /// Revokes; gives the serial numbers of those that were not revoked before.
    fn revoke(
        &self,
        which: Which,
        reason: String,
        entry: NodeEntry,
    ) -> BoxFuture<'_, Result<Vec<String>, Error>>;
    /// Writes down when nodes were seen with these certificates.
    fn seen<'a>(&'a self, seen: &'a [(Sha, i64)]) -> BoxFuture<'a, Result<(), Error>>;
    /// Only writes an entry.
    fn note(&self, entry: NodeEntry) -> BoxFuture<'_, Result<(), Error>>;
}
