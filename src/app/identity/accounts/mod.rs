//! People who sign in with a password, for a clinic that has no identity provider.
//!
//! A try counts as failed before the password is compared, so that tries at the same moment cannot pass
//! the lock together. An unknown name is treated like a known one: it is locked alike, the same hash is
//! made, and the answer is the same. A session has a short access token and a refresh token that is
//! used once; whoever brings a used one ends the session, because one of two holds a copy.

pub mod password;
pub mod ports;
mod setup;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use self::password::{Denied, Hasher, Secret};
use self::ports::{
    Account, AccountLine, AccountStore, Attempt, Change, Deed, Lock, NewSession, Rotated, Signed,
    TokenPair,
};
use self::setup::Setup;
use super::{ACCOUNT_PREFIX, Known, SCOPE_ITEM_CHARS_MAX, SCOPE_ITEMS_MAX, printable};
use crate::app::access::{Action, Caller, Permit, Role, authorise};
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, Clock, IdSource};
use crate::tables::text::hex;

/// Begins every access token, so that no door looks for anything else in the store.
pub const ACCESS_PREFIX: &str = "xya_";
/// Begins every refresh token.
const REFRESH_PREFIX: &str = "xyr_";
/// Characters of an account's name at most.
const NAME_CHARS_MAX: usize = 64;
/// For so long an access token is not looked up again: what the command line changes beside a running
/// node counts after this.
const SEEN_FOR: Duration = Duration::from_secs(2);
/// Access tokens that are remembered for that long.
const SEEN_MAX: usize = 1024;

/// How long what is good, and what a flood may cost.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Life of an access token.
    pub access: Duration,
    /// Life of a refresh token.
    pub refresh: Duration,
    /// Life of a session, however often it is refreshed.
    pub session: Duration,
    /// When an account is locked.
    pub lock: Lock,
    /// Hashes at the same time, 19 MiB each.
    pub hashes_max: usize,
}

/// What a person gets who signed in. Nothing shows the tokens.
#[derive(Clone)]
pub struct Tokens {
    /// For `authorization: Bearer`.
    pub access: String,
    /// Until when, milliseconds since 1970.
    pub access_until_ms: i64,
    /// For the next pair; once.
    pub refresh: String,
    /// Until when.
    pub refresh_until_ms: i64,
    /// Who it is.
    pub known: Known,
}

/// See the module.
#[derive(Debug)]
pub struct Accounts {
    store: Arc<dyn AccountStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    options: Options,
    denied: Denied,
    hasher: Hasher,
    seen: Mutex<HashMap<[u8; 32], (Known, Instant)>>,
    setup: Setup,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Accounts in `store`.
    pub fn new(
        store: Arc<dyn AccountStore>,
        (clock, ids): (Arc<dyn Clock>, Arc<dyn IdSource>),
        options: Options,
        denied: Denied,
    ) -> Self {
        let hasher = Hasher::new(options.hashes_max);
        let (seen, setup) = (Mutex::default(), Setup::default());
        Self { store, clock, ids, options, denied, hasher, seen, setup }
    }

    /// A session for whoever says the password.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a wrong password, an unknown name and a disabled account alike;
    /// [`Error::Overloaded`] while the name is locked (or too many sign in), with the time to wait;
    /// [`Error::Invalid`] where a field is empty or too long.
    pub async fn sign_in(&self, name: &str, password: &str) -> Result<Tokens, Error> {
        let password = Secret::new("password", password)?;
        let name = folded("name", name)?;
        let account = self.compare(&name, &password, "sign_in").await?;
        let (tokens, pair) = self.tokens(&account)?;
        let until_ms = after(self.clock.now_ms(), self.options.session);
        let id = self.ids.new_id();
        let session = NewSession { id, account: account.name.clone(), until_ms, tokens: pair };
        let deed = self.deed(&account.name, account.role.name(), "sign_in", "ok");
        let tokens = with_session(tokens, &session.id, until_ms);
        if self.store.passed(&account, Some(session), deed).await? {
            Ok(tokens)
        } else {
            Err(Error::Unauthenticated)
        }
    }

    /// A new pair of tokens for a refresh token that was not used yet.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`]; a token that comes twice ends its session.
    pub async fn refresh(&self, refresh: &str) -> Result<Tokens, Error> {
        let digest = digest_of(refresh, REFRESH_PREFIX)?;
        let (mut tokens, pair) = self.pair()?;
        let deed = self.deed("", "", "refresh_session", "ok");
        match self.store.rotate(&digest, pair, deed).await? {
            Rotated::Done { signed, session_until_ms } => {
                tokens.known = known(signed);
                Ok(bounded(tokens, session_until_ms))
            }
            Rotated::Reused => {
                self.forget();
                tracing::warn!("a refresh token came twice: its session has ended");
                Err(Error::Unauthenticated)
            }
            Rotated::Unknown => Err(Error::Unauthenticated),
        }
    }

    /// Who is behind an access token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where it is not good, [`Error::Unavailable`].
    pub async fn identify(&self, access: &str) -> Result<Known, Error> {
        let digest = digest_of(access, ACCESS_PREFIX)?;
        let now = Instant::now();
        if let Some((known, at)) = self.seen().get(&digest)
            && now.duration_since(*at) < SEEN_FOR
        {
            return Ok(known.clone());
        }
        let found = self.store.signed(&digest, self.clock.now_ms()).await?;
        let known = known(found.ok_or(Error::Unauthenticated)?);
        let mut seen = self.seen();
        if seen.len() >= SEEN_MAX {
            seen.retain(|_, (_, at)| now.duration_since(*at) < SEEN_FOR);
        }
        if seen.len() < SEEN_MAX {
            seen.insert(digest, (known.clone(), now));
        }
        Ok(known)
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// [`Error::Refused`] where the caller has none here, [`Error::Denied`].
    pub async fn sign_out(&self, known: &Known) -> Result<(), Error> {
        let permit = authorise(&known.caller, Action::OwnSession)?;
        let session = known.session.as_deref().ok_or_else(no_session)?;
        self.store.end(session, self.permitted(&permit, "sign_out", "")).await?;
        self.forget();
        Ok(())
    }

    /// Gives the caller's account another password and ends all its sessions.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where the old one is wrong, which counts as a failed try;
    /// [`Error::Invalid`] where the new one is not taken; [`Error::Refused`], [`Error::Overloaded`].
    pub async fn change_password(
        &self,
        known: &Known,
        (old, new): (&str, &str),
    ) -> Result<(), Error> {
        let permit = authorise(&known.caller, Action::ChangePassword)?;
        known.session.as_deref().ok_or_else(no_session)?;
        let name = known.caller.name.strip_prefix(ACCOUNT_PREFIX).ok_or_else(no_session)?;
        let (old, new) = (Secret::new("old_password", old)?, Secret::new("new_password", new)?);
        self.denied.check("new_password", &new, name)?;
        if old == new {
            return Err(Error::field("new_password", "must be another than the old one"));
        }
        let account = self.compare(name, &old, "change_password").await?;
        let hashed = self.hasher.hash(&new, salt()?).await?;
        let deed = self.permitted(&permit, "change_password", name);
        // Somebody else may have set another one meanwhile.
        let change = Change::Password { new: hashed, before: Some(account.password.clone()) };
        if !self.store.change(&account.name, change, deed).await? {
            return Err(Error::Unauthenticated);
        }
        self.forget();
        Ok(())
    }

    /// Ends all sessions, because the node was put back from a backup: some may have been ended since it
    /// was taken. How many.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn end_all(&self) -> Result<u64, Error> {
        let mut deed = self.deed("", Role::Local.name(), "restore_backup", "ok");
        "backup".clone_into(&mut deed.caller);
        let ended = self.store.end_all(deed).await?;
        self.forget();
        Ok(ended)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Invalid`] about `name`, `role`, `scope` or `password`, and
    /// [`Error::Refused`] where the name is taken.
    pub async fn add(
        &self,
        caller: &Caller,
        (name, password): (&str, &str),
        (role, scope): (Role, Vec<String>),
    ) -> Result<(), Error> {
        let permit = authorise(caller, Action::ManageAccounts)?;
        let account = self.make((name, password), (role, scope)).await?;
        let deed = self.permitted(&permit, "add_account", &account.name);
        if self.store.add(&account, false, deed).await? {
            Ok(())
        } else {
            Err(Error::Refused { reason: "there is an account of this name".to_owned() })
        }
    }

    /// Accounts, by name.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unavailable`].
    pub async fn list(&self, caller: &Caller) -> Result<Vec<AccountLine>, Error> {
        let permit = authorise(caller, Action::ManageAccounts)?;
        self.store.note(self.permitted(&permit, "list_accounts", "")).await?;
        self.store.list(self.clock.now_ms()).await
    }

    /// Disables, enables, unlocks an account, or gives it another role.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Invalid`], [`Error::NotFound`].
    pub async fn change(&self, caller: &Caller, name: &str, change: Change) -> Result<(), Error> {
        let permit = authorise(caller, Action::ManageAccounts)?;
        let name = folded("name", name)?;
        let action = match &change {
            Change::Disabled(true) => "disable_account",
            Change::Disabled(false) => "enable_account",
            Change::Role(role, scope) => {
                check_role(*role, scope)?;
                "change_account_role"
            }
            Change::Password { .. } => "set_password",
            Change::Unlock => "unlock_account",
        };
        let found =
            self.store.change(&name, change, self.permitted(&permit, action, &name)).await?;
        self.forget();
        if found { Ok(()) } else { Err(Error::NotFound { kind: "account" }) }
    }

    /// Gives an account another password without the old one, and ends its sessions.
    ///
    /// # Errors
    /// As [`Accounts::change`], and [`Error::Invalid`] about `password`.
    pub async fn set_password(
        &self,
        caller: &Caller,
        name: &str,
        password: &str,
    ) -> Result<(), Error> {
        authorise(caller, Action::ManageAccounts)?;
        let password = Secret::new("password", password)?;
        self.denied.check("password", &password, &folded("name", name)?)?;
        let hashed = self.hasher.hash(&password, salt()?).await?;
        self.change(caller, name, Change::Password { new: hashed, before: None }).await
    }

    async fn make(
        &self,
        (name, password): (&str, &str),
        (role, scope): (Role, Vec<String>),
    ) -> Result<Account, Error> {
        let name = folded("name", name)?;
        check_role(role, &scope)?;
        let password = Secret::new("password", password)?;
        self.denied.check("password", &password, &name)?;
        let password = self.hasher.hash(&password, salt()?).await?;
        Ok(Account { name, role, scope, disabled: false, password })
    }

    /// The account of `name`, if that is its password and it may be used.
    async fn compare(
        &self,
        name: &str,
        password: &Secret,
        action: &'static str,
    ) -> Result<Account, Error> {
        let now_ms = self.clock.now_ms();
        match self.store.attempt(name, self.options.lock, now_ms).await? {
            Attempt::Locked { until_ms, first } => {
                if first {
                    self.store.note(self.failed(None, action, "locked", String::new())).await?;
                }
                let wait_ms = u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(0);
                let retry_after = Duration::from_millis(wait_ms);
                Err(Error::Overloaded { what: "count of failed tries", retry_after })
            }
            Attempt::Open { account, turned_away } => {
                let kept = account.as_ref().map(|account| &account.password);
                let same = self.hasher.verify(password, kept).await?;
                match account {
                    Some(account) if same && !account.disabled => Ok(account),
                    account => {
                        let detail = if turned_away > 0 {
                            format!("{turned_away} tries while locked")
                        } else {
                            String::new()
                        };
                        let deed = self.failed(account.as_ref(), action, "refused", detail);
                        self.store.note(deed).await?;
                        Err(Error::Unauthenticated)
                    }
                }
            }
        }
    }

    /// A failed try. An unknown name is not written down: it may be a password in the wrong field.
    fn failed(
        &self,
        account: Option<&Account>,
        action: &'static str,
        outcome: &'static str,
        detail: String,
    ) -> Deed {
        let (name, role) = account.map_or(("", ""), |a| (a.name.as_str(), a.role.name()));
        let mut deed = self.deed(name, role, action, outcome);
        deed.entry.detail = detail;
        deed
    }

    fn deed(
        &self,
        account: &str,
        role: &'static str,
        action: &'static str,
        outcome: &'static str,
    ) -> Deed {
        let entry = AuditEntry {
            at_ms: self.clock.now_ms(),
            record_id: String::new(),
            patient_reference: String::new(),
            outcome,
            detail: String::new(),
        };
        Deed { caller: format!("{ACCOUNT_PREFIX}{account}"), role, action, entry }
    }

    fn permitted(&self, permit: &Permit<'_>, action: &'static str, about: &str) -> Deed {
        let caller = permit.caller();
        let mut deed = self.deed("", caller.role.name(), action, "ok");
        deed.caller.clone_from(&caller.name);
        about.clone_into(&mut deed.entry.record_id);
        deed
    }

    fn tokens(&self, account: &Account) -> Result<(Tokens, TokenPair), Error> {
        let (mut tokens, pair) = self.pair()?;
        tokens.known = known(Signed {
            session: String::new(),
            account: account.name.clone(),
            role: account.role,
            scope: account.scope.clone(),
        });
        Ok((tokens, pair))
    }

    /// Two new tokens of nobody yet.
    fn pair(&self) -> Result<(Tokens, TokenPair), Error> {
        let now_ms = self.clock.now_ms();
        let (access, refresh) = (token(ACCESS_PREFIX)?, token(REFRESH_PREFIX)?);
        let pair = TokenPair {
            access: Sha256::digest(access.as_bytes()).into(),
            access_until_ms: after(now_ms, self.options.access),
            refresh: Sha256::digest(refresh.as_bytes()).into(),
            refresh_until_ms: after(now_ms, self.options.refresh),
        };
        let tokens = Tokens {
            access,
            access_until_ms: pair.access_until_ms,
            refresh,
            refresh_until_ms: pair.refresh_until_ms,
            known: Known::new(Caller::named(String::new(), Role::VillageDoctor)),
        };
        Ok((tokens, pair))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], (Known, Instant)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was looked up before a change counts no longer.
    fn forget(&self) {
        self.seen().clear();
    }
}

fn known(signed: Signed) -> Known {
    Known {
        caller: Caller::named(format!("{ACCOUNT_PREFIX}{}", signed.account), signed.role),
        scope: signed.scope,
        session: Some(signed.session),
    }
}

fn with_session(mut tokens: Tokens, id: &str, until_ms: i64) -> Tokens {
    tokens.known.session = Some(id.to_owned());
    bounded(tokens, until_ms)
}

/// No token outlives its session.
fn bounded(mut tokens: Tokens, until_ms: i64) -> Tokens {
    tokens.access_until_ms = tokens.access_until_ms.min(until_ms);
    tokens.refresh_until_ms = tokens.refresh_until_ms.min(until_ms);
    tokens
}

fn no_session() -> Error {
    Error::Refused {
        reason: "the caller has not signed in with an account of this node".to_owned(),
    }
}

/// A name as it is kept: NFKC in small letters.
fn folded(field: &str, name: &str) -> Result<String, Error> {
    use unicode_normalization::UnicodeNormalization as _;
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    let folded: String = if name.len() <= NAME_CHARS_MAX * 4 {
        name.nfkc().flat_map(char::to_lowercase).collect()
    } else {
        String::new()
    };
    if printable(&folded, NAME_CHARS_MAX) && folded.chars().all(fine) {
        return Ok(folded);
    }
    Err(Error::field(field, "must have 1 to 64 letters, digits and . - _ @"))
}

fn check_role(role: Role, scope: &[String]) -> Result<(), Error> {
    if [Role::Local, Role::DicomPeer, Role::Node].contains(&role) {
        return Err(Error::field("role", "must be one that a person can have"));
    }
    let fine = |item: &String| printable(item, SCOPE_ITEM_CHARS_MAX);
    if scope.len() > SCOPE_ITEMS_MAX || !scope.iter().all(fine) {
        return Err(Error::field("scope", "must be at most 32 texts of at most 64 characters"));
    }
    Ok(())
}

fn after(now_ms: i64, time: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal("random numbers", e))?;
    Ok(bytes)
}

fn salt() -> Result<[u8; 16], Error> {
    random()
}

fn token(prefix: &str) -> Result<String, Error> {
    Ok(format!("{prefix}{}", hex(&random::<32>()?)))
}

fn digest_of(token: &str, prefix: &str) -> Result<[u8; 32], Error> {
    if token.len() == prefix.len() + 64 && token.starts_with(prefix) {
        Ok(Sha256::digest(token.as_bytes()).into())
    } else {
        Err(Error::Unauthenticated)
    }
}
