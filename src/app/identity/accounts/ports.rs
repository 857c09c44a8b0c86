//! What accounts need of a store.

use std::fmt;
use std::fmt::Debug;
use std::time::Duration;

use super::password::Hashed;
use crate::app::access::Role;
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, BoxFuture};

/// An account as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Name, folded.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Where it may work; nothing is decided by it yet.
    pub scope: Vec<String>,
    /// Whether nobody may sign in with it.
    pub disabled: bool,
    /// The password.
    pub password: Hashed,
}

/// A line of the list of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLine {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Where it may work.
    pub scope: Vec<String>,
    /// Whether nobody may sign in with it.
    pub disabled: bool,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
    /// When somebody last signed in with it.
    pub signed_in_ms: Option<i64>,
    /// Until when it is locked; none: it is not.
    pub locked_until_ms: Option<i64>,
}

/// When an account is locked, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Lock {
    /// Failures one after another that lock it.
    pub failures_max: u32,
    /// How long for the first time; each further failure doubles it.
    pub first: Duration,
    /// How long at most.
    pub longest: Duration,
}

/// What becomes of a try to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// Locked until then; `first`: nobody was turned away before in this lock.
    Locked {
        /// Milliseconds since 1970.
        until_ms: i64,
        /// Whether it is the first that is turned away.
        first: bool,
    },
    /// The password is to be compared. The try counts as failed until it is said that it was not.
    Open {
        /// The account, if there is one.
        account: Option<Account>,
        /// Tries that were turned away while it was locked before.
        turned_away: u32,
    },
}

/// A new pair of tokens, as digests.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenPair {
    /// SHA-256 of the access token.
    pub access: [u8; 32],
    /// Until when it is good, milliseconds since 1970.
    pub access_until_ms: i64,
    /// SHA-256 of the refresh token.
    pub refresh: [u8; 32],
    /// Until when it is good.
    pub refresh_until_ms: i64,
}

impl Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair").finish_non_exhaustive()
    }
}

/// A session that begins.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: String,
    /// Name of the account.
    pub account: String,
    /// When it ends at the latest, milliseconds since 1970.
    pub until_ms: i64,
    /// Its first tokens.
    pub tokens: TokenPair,
}

/// Who is behind an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Id of the session.
    pub session: String,
    /// Name of the account.
    pub account: String,
    /// Its role.
    pub role: Role,
    /// Where it may work.
    pub scope: Vec<String>,
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The new tokens are good; the session may end before them, at this time.
    Done {
        /// Who it is.
        signed: Signed,
        /// Milliseconds since 1970.
        session_until_ms: i64,
    },
    /// It had been used before: the session has ended.
    Reused,
    /// Not known, too old, or of a session that has ended.
    Unknown,
}

/// What changes of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nobody may sign in with it, and its sessions end; or somebody may again.
    Disabled(bool),
    /// Another role and scope; its sessions end.
    Role(Role, Vec<String>),
    /// Another password; its sessions end.
    Password {
        /// What it is kept as.
        new: Hashed,
        /// What the one before must still be kept as, of an account that is not disabled; none: whatever
        /// there is.
        before: Option<Hashed>,
    },
    /// Failures are forgotten.
    Unlock,
}

/// Who does what, for the audit trail.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Name of the caller.
    pub caller: String,
    /// Name of the role; empty where nobody is known.
    pub role: &'static str,
    /// What is done.
    pub action: &'static str,
    /// The rest of the entry.
    pub entry: AuditEntry,
}

/// Keeps accounts. What changes something writes its audit entry in the same transaction.
pub trait AccountStore: Debug + Send + Sync {
    /// How many accounts there are.
    fn count(&self) -> BoxFuture<'_, Result<u64, Error>>;
    /// By name.
    fn list(&self, now_ms: i64) -> BoxFuture<'_, Result<Vec<AccountLine>, Error>>;
    /// One account.
    fn account<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Account>, Error>>;
    /// Makes an account; `false` where the name is taken, or, with `only_first`, where there is any.
    fn add<'a>(
        &'a self,
        account: &'a Account,
        only_first: bool,
        deed: Deed,
    ) -> BoxFuture<'a, Result<bool, Error>>;
    /// Changes an account; `false` where there is none of the name.
    fn change<'a>(
        &'a self,
        name: &'a str,
        change: Change,
        deed: Deed,
    ) -> BoxFuture<'a, Result<bool, Error>>;
    /// Counts a try for `name` as failed and tells whether it may go on.
    fn attempt<'a>(
        &'a self,
        name: &'a str,
        lock: Lock,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Attempt, Error>>;
    /// Only writes the entry.
    fn note(&self, deed: Deed) -> BoxFuture<'_, Result<(), Error>>;
    /// The password was right: failures are forgotten; with a session, it begins. `false` where the
    /// account has been disabled, or its password changed, meanwhile.
    fn passed<'a>(
        &'a self,
        account: &'a Account,
        session: Option<NewSession>,
        deed: Deed,
    ) -> BoxFuture<'a, Result<bool, Error>>;
    /// Who is behind an access token, if it is good at `now_ms`.
    fn signed<'a>(
        &'a self,
        access: &'a [u8; 32],
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Option<Signed>, Error>>;
    /// Takes a refresh token for a new pair. The entry is completed with who it is; `outcome` becomes
    /// `reused` or `refused` where it is not taken.
    fn rotate<'a>(
        &'a self,
        refresh: &'a [u8; 32],
        tokens: TokenPair,
        deed: Deed,
    ) -> BoxFuture<'a, Result<Rotated, Error>>;
    /// Ends all sessions; the detail of the entry becomes how many.
    fn end_all(&self, deed: Deed) -> BoxFuture<'_, Result<u64, Error>>;
    /// Ends a session.
    fn end<'a>(&'a self, session: &'a str, deed: Deed) -> BoxFuture<'a, Result<(), Error>>;
}
