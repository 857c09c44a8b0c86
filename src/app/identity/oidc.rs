//! People whom an identity provider knows: what must hold of a token's claims, and the provider's keys,
//! kept for as long as the provider is away.
//!
//! A clinic is often offline. The keys that were fetched last stay good for a stated time, over restarts
//! too; a key that the provider takes out of its set is gone with the next look. A token that names an
//! unknown key makes the node look again, but not more often than stated, so that nobody can use a node
//! to flood its provider.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::jwt::{Refusal, Unchecked};
use super::keys::{Algorithm, KeySet};
use super::{Known, OIDC_PREFIX, SCOPE_ITEM_CHARS_MAX, SCOPE_ITEMS_MAX, printable};
use crate::app::access::{Caller, Role};
use crate::app::chain;
use crate::app::error::{Cause, Error};
use crate::app::ports::{BoxFuture, Clock};

/// Characters of a caller's name at most, as `OpenID` Connect Core, 2, has it for `sub`.
const NAME_CHARS_MAX: usize = 255;
/// Roles in a token that are looked at.
const ROLES_MAX: usize = 256;
/// Calls that wait for a look at the provider's keys; others are refused at once.
const WAITERS_MAX: usize = 32;
/// Between two tries while the provider is away.
const RETRY: Duration = Duration::from_secs(15);

/// What must hold of a token's claims.
#[derive(Debug, Clone)]
pub struct Rules {
    /// `iss`, letter for letter.
    pub issuer: String,
    /// One of these must be in `aud`.
    pub audiences: Vec<String>,
    /// How a token may be signed.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// Longest that a token may still be valid for.
    pub lifetime_max: Duration,
    /// Claim that names the caller: a name, or a JSON Pointer (RFC 6901) that begins with `/`.
    pub name_claim: String,
    /// Claim with the role or a list of roles, likewise.
    pub role_claim: String,
    /// Claim with a list of where the caller may work, likewise; none: no scope.
    pub scope_claim: Option<String>,
    /// What the provider's roles mean here.
    pub roles: BTreeMap<String, Role>,
}

/// How keys are kept.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two looks.
    pub refresh: Duration,
    /// Shortest time between two looks that unknown keys lead to.
    pub unknown_key_interval: Duration,
    /// How long keys are good after they were fetched.
    pub age_max: Duration,
}

/// Where the provider's keys come from.
pub trait KeySource: Debug + Send + Sync {
    /// The key set as JSON; the source bounds time and size.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, Cause>>;
}

/// When a key set was fetched (milliseconds since 1970), and the set.
pub type KeptSet = (i64, Vec<u8>);

/// Where the last good key set lies over a restart.
pub trait KeyKeeper: Debug + Send + Sync {
    /// What was kept last, if anything.
    fn load(&self) -> BoxFuture<'_, Result<Option<KeptSet>, Cause>>;
    /// Keeps it in the place of the one before.
    fn save<'a>(&'a self, fetched_ms: i64, set: &'a [u8]) -> BoxFuture<'a, Result<(), Cause>>;
}

/// Keys in use.
#[derive(Debug)]
struct Held {
    keys: KeySet,
    fetched_ms: i64,
    /// Goes up with each set.
    number: u64,
}

/// Knows the people of one identity provider.
#[derive(Debug)]
pub struct Oidc {
    rules: Rules,
    timing: Timing,
    source: Arc<dyn KeySource>,
    keeper: Arc<dyn KeyKeeper>,
    clock: Arc<dyn Clock>,
    held: ArcSwapOption<Held>,
    /// How many sets there were.
    sets: AtomicU64,
    /// When an unknown key last led to a look.
    looked: Mutex<Option<Instant>>,
    waiters: Semaphore,
}

impl Rules {
    /// The caller whom `token` names, at `now_ms` (milliseconds since 1970).
    ///
    /// # Errors
    /// [`Refusal`], whose words name no content of the token.
    pub fn admit(&self, keys: &KeySet, token: &str, now_ms: i64) -> Result<Known, Refusal> {
        let claims = Unchecked::parse(token, &self.algorithms)?.check(keys)?;
        self.claims(&claims, now_ms)
    }

    fn claims(&self, claims: &Map<String, Value>, now_ms: i64) -> Result<Known, Refusal> {
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(Refusal::Issuer);
        }
        let ours = |value: &Value| {
            value.as_str().is_some_and(|one| self.audiences.iter().any(|known| known == one))
        };
        let for_us = match claims.get("aud") {
            Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        };
        if !for_us {
            return Err(Refusal::Audience);
        }
        self.times(claims, now_ms)?;
        let name = claim(claims, &self.name_claim).and_then(Value::as_str);
        let name = name.filter(|name| printable(name, NAME_CHARS_MAX)).ok_or(Refusal::Name)?;
        // Where a token is to say where its holder works, one that does not would else have everything.
        let scope = match self.scope_claim.as_deref() {
            None => Vec::new(),
            Some(path) => claim(claims, path)
                .and_then(scope)
                .filter(|scope| !scope.is_empty())
                .ok_or(Refusal::Scope)?,
        };
        let role = self.role(claims)?;
        let caller = Caller::named(format!("{OIDC_PREFIX}{name}"), role);
        Ok(Known { caller, scope, session: None })
    }

    fn times(&self, claims: &Map<String, Value>, now_ms: i64) -> Result<(), Refusal> {
        let leeway_ms = millis(self.leeway);
        let time = |name: &str| claims.get(name).map(date_ms).transpose();
        let expires_ms = time("exp")?.ok_or(Refusal::Times)?;
        if now_ms >= expires_ms.saturating_add(leeway_ms) {
            return Err(Refusal::Expired);
        }
        for name in ["nbf", "iat"] {
            if time(name)?.is_some_and(|from| now_ms.saturating_add(leeway_ms) < from) {
                return Err(Refusal::NotYet);
            }
        }
        let last_ms = now_ms.saturating_add(millis(self.lifetime_max)).saturating_add(leeway_ms);
        if expires_ms > last_ms { Err(Refusal::Lifetime) } else { Ok(()) }
    }

    /// The one role that the token's roles mean here.
    fn role(&self, claims: &Map<String, Value>) -> Result<Role, Refusal> {
        let said = claim(claims, &self.role_claim).ok_or(Refusal::Role)?;
        let many = said.as_array().filter(|list| list.len() <= ROLES_MAX);
        let list = many.map_or(std::slice::from_ref(said), Vec::as_slice);
        let mut meant = list.iter().filter_map(|one| self.roles.get(one.as_str()?)).copied();
        let role = meant.next().ok_or(Refusal::Role)?;
        if meant.all(|other| other == role) { Ok(role) } else { Err(Refusal::Roles) }
    }
}

impl Oidc {
    /// With the key set that was kept last, if it can still be used. Asks the provider for nothing yet.
    pub async fn open(
        rules: Rules,
        timing: Timing,
        (source, keeper): (Arc<dyn KeySource>, Arc<dyn KeyKeeper>),
        clock: Arc<dyn Clock>,
    ) -> Self {
        let held = match keeper.load().await {
            Ok(kept) => kept.and_then(|(fetched_ms, set)| {
                let keys = KeySet::parse(&set).ok()?;
                Some(Arc::new(Held { keys, fetched_ms, number: 0 }))
            }),
            Err(error) => {
                tracing::warn!(error = chain(error.as_ref()), "kept keys of the identity provider");
                None
            }
        };
        Self {
            rules,
            timing,
            source,
            keeper,
            clock,
            held: ArcSwapOption::new(held),
            sets: AtomicU64::new(0),
            looked: Mutex::new(None),
            waiters: Semaphore::new(WAITERS_MAX),
        }
    }

    /// The caller whom `token` names.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a token that is not good, [`Error::Denied`] for a good one without
    /// a role here, [`Error::Unavailable`] while there are no keys that are young enough.
    pub async fn identify(&self, token: &str) -> Result<Known, Error> {
        let mut held = self.held.load_full().filter(|held| self.young(held));
        if held.is_none() && self.look_again(None).await {
            held = self.held.load_full().filter(|held| self.young(held));
        }
        let held =
            held.ok_or(Error::Unavailable { what: "the identity provider's keys", cause: None })?;
        let mut outcome = self.rules.admit(&held.keys, token, self.clock.now_ms());
        if outcome == Err(Refusal::Key)
            && self.look_again(Some(held.number)).await
            && let Some(newer) = self.held.load_full()
        {
            outcome = self.rules.admit(&newer.keys, token, self.clock.now_ms());
        }
        outcome.map_err(|refusal| {
            tracing::debug!(reason = %refusal, "a token was refused");
            if matches!(refusal, Refusal::Role | Refusal::Roles) {
                Error::Denied { action: "come in: the token has no one role that is known here" }
            } else {
                Error::Unauthenticated
            }
        })
    }

    /// Fetches the provider's keys, for ever: at the stated times, and sooner while it is away.
    pub async fn run(self: Arc<Self>) {
        loop {
            let pause = match self.fetch().await {
                Ok(()) => self.timing.refresh,
                Err(error) => {
                    tracing::warn!(error = chain(error.as_ref()), "keys of the identity provider");
                    RETRY.min(self.timing.refresh)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Fetches the keys now. What cannot be used changes nothing.
    ///
    /// # Errors
    /// Whatever the source says, and [`super::keys::KeySetError`].
    pub async fn fetch(&self) -> Result<(), Cause> {
        let set = self.source.fetch().await?;
        let keys = KeySet::parse(&set)?;
        let fetched_ms = self.clock.now_ms();
        let count = keys.count();
        let number = self.sets.fetch_add(1, Ordering::AcqRel) + 1;
        self.held.store(Some(Arc::new(Held { keys, fetched_ms, number })));
        tracing::debug!(keys = count, "keys of the identity provider");
        if let Err(error) = self.keeper.save(fetched_ms, &set).await {
            tracing::warn!(error = chain(error.as_ref()), "keys of the identity provider not kept");
        }
        Ok(())
    }

    fn young(&self, held: &Held) -> bool {
        let age_ms = self.clock.now_ms().saturating_sub(held.fetched_ms);
        age_ms <= millis(self.timing.age_max)
    }

    /// Looks at the provider again, unless that was done a moment ago. Whether there are other keys now
    /// than those of `number`.
    async fn look_again(&self, number: Option<u64>) -> bool {
        let Ok(_waiting) = self.waiters.try_acquire() else { return false };
        let mut looked = self.looked.lock().await;
        let newest = self.held.load().as_ref().map(|held| held.number);
        if newest.is_some() && newest > number && number.is_some() {
            return true;
        }
        let now = Instant::now();
        let recent = |at: Instant| now.duration_since(at) < self.timing.unknown_key_interval;
        if looked.is_some_and(recent) {
            return false;
        }
        *looked = Some(now);
        match self.fetch().await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = chain(error.as_ref()), "keys of the identity provider");
                false
            }
        }
    }
}

/// The claim at a name or, where it begins with `/`, a JSON Pointer.
fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let Some(pointer) = path.strip_prefix('/') else { return claims.get(path) };
    let part = |text: &str| text.replace("~1", "/").replace("~0", "~");
    let (first, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
    let value = claims.get(&part(first))?;
    if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) }
}

/// A list of short texts, or one text of several with spaces between (RFC 6749, 3.3).
fn scope(value: &Value) -> Option<Vec<String>> {
    let items: Vec<&str> = match (value.as_str(), value.as_array()) {
        (Some(text), _) => text.split(' ').filter(|item| !item.is_empty()).collect(),
        (None, Some(list)) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        (None, None) => return None,
    };
    let fine = items.len() <= SCOPE_ITEMS_MAX
        && items.iter().all(|item| printable(item, SCOPE_ITEM_CHARS_MAX));
    fine.then(|| items.into_iter().map(str::to_owned).collect())
}

/// A `NumericDate` (RFC 7519, 2: seconds since 1970, perhaps with a fraction) in milliseconds.
fn date_ms(value: &Value) -> Result<i64, Refusal> {
    let seconds = value.as_f64().filter(|s| s.is_finite() && *s >= 0.0).ok_or(Refusal::Times)?;
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| Refusal::Times)?;
    Ok(millis(since))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
