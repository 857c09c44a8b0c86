//! Signing in, over a database on disk and a clock that can be moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;
use crate::app::access::Caller;
use crate::app::identity::Known;
use crate::app::identity::accounts::password::{Denied, Hashed};
use crate::app::identity::accounts::{Accounts, Options};
use crate::app::ports::{AuditEntry, Clock, IdSource};
use crate::store::sqlite::SqliteStore;

const PASSWORD: &str = "five gray herons";

#[derive(Debug, Default)]
struct World {
    now_ms: AtomicI64,
    ids: AtomicU64,
}

impl Clock for World {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

impl IdSource for World {
    fn new_id(&self) -> String {
        format!("session-{}", self.ids.fetch_add(1, Ordering::SeqCst))
    }
}

struct Clinic {
    folder: TempDir,
    world: Arc<World>,
    accounts: Arc<Accounts>,
}

impl Clinic {
    async fn new() -> Self {
        let (folder, world) = (tempfile::tempdir().unwrap(), Arc::new(World::default()));
        world.now_ms.store(1_800_000_000_000, Ordering::SeqCst);
        let tasks = TaskTracker::new();
        drop(SqliteStore::open(&folder.path().join("x.db"), 8, &tasks).await.unwrap());
        let accounts = Self::open(&folder, &world);
        Self { folder, world, accounts }
    }

    /// With one village doctor, zhang.
    async fn with_zhang() -> Self {
        let clinic = Self::new().await;
        let of = (Role::VillageDoctor, vec!["361127101".to_owned()]);
        clinic.accounts.add(&local(), ("Zhang", PASSWORD), of).await.unwrap();
        clinic
    }

    fn open(folder: &TempDir, world: &Arc<World>) -> Arc<Accounts> {
        let options = Options {
            access: Duration::from_mins(15),
            refresh: Duration::from_hours(12),
            session: Duration::from_hours(24),
            lock: Lock {
                failures_max: 3,
                first: Duration::from_secs(30),
                longest: Duration::from_mins(5),
            },
            hashes_max: 2,
        };
        let store = Arc::new(AccountsStore::open(&folder.path().join("x.db")));
        let clock: Arc<dyn Clock> = Arc::<World>::clone(world);
        let ids: Arc<dyn IdSource> = Arc::<World>::clone(world);
        Arc::new(Accounts::new(store, (clock, ids), options, Denied::new(["password1234"])))
    }

    /// The same database, opened anew.
    fn restart(&mut self) {
        self.accounts = Self::open(&self.folder, &self.world);
    }

    fn later(&self, by: Duration) {
        self.world.now_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    async fn known(&self, access: &str) -> Result<Known, Error> {
        // A handle of its own remembers nothing of before.
        Self::open(&self.folder, &self.world).identify(access).await
    }

    /// Who, what, about whom and what came of it.
    async fn trail(&self) -> Vec<(String, String, String, String)> {
        let store = AccountsStore::open(&self.folder.path().join("x.db"));
        sqlx::query_as("SELECT caller, action, record_id, outcome FROM audit ORDER BY seq")
            .fetch_all(&store.readers)
            .await
            .unwrap()
    }
}

fn local() -> Caller {
    Caller::local("command line")
}

/// How long somebody is told to wait; `None` where he is only told that it was wrong.
fn wait(outcome: Result<impl Sized, Error>) -> Option<Duration> {
    let error = outcome.map(|_| ()).unwrap_err();
    if let Error::Overloaded { retry_after, .. } = error {
        return Some(retry_after);
    }
    assert!(matches!(error, Error::Unauthenticated), "{error:?}");
    None
}

#[tokio::test]
async fn who_says_the_password_has_a_session_and_everything_is_in_the_trail() {
    let clinic = Clinic::with_zhang().await;
    let tokens = clinic.accounts.sign_in("ZHANG", PASSWORD).await.unwrap();
    assert!(tokens.access.starts_with("xya_") && tokens.refresh.starts_with("xyr_"));
    assert!(!format!("{tokens:?}").contains(&tokens.access));
    let known = clinic.known(&tokens.access).await.unwrap();
    assert_eq!(known.caller, Caller::named("account:zhang", Role::VillageDoctor));
    assert_eq!((known.scope.as_slice(), &known), (&["361127101".to_owned()][..], &tokens.known));
    for bad in ["", "xya_", &tokens.refresh, &format!("{}0", tokens.access), &"xya_".repeat(17)] {
        assert!(matches!(clinic.known(bad).await, Err(Error::Unauthenticated)), "{bad}");
    }
    for (name, password) in [("zhang", "five gray herons."), ("wang", PASSWORD)] {
        let outcome = clinic.accounts.sign_in(name, password).await;
        assert_eq!(wait(outcome), None);
    }
    clinic.accounts.sign_out(&known).await.unwrap();
    assert!(matches!(clinic.accounts.identify(&tokens.access).await, Err(Error::Unauthenticated)));
    assert!(matches!(clinic.accounts.refresh(&tokens.refresh).await, Err(Error::Unauthenticated)));
    let trail: Vec<_> = clinic.trail().await;
    let trail: Vec<_> =
        trail.iter().map(|(a, b, c, d)| [a.as_str(), b.as_str(), c.as_str(), d.as_str()]).collect();
    assert_eq!(
        trail,
        [
            ["command line", "add_account", "zhang", "ok"],
            ["account:zhang", "sign_in", "", "ok"],
            ["account:zhang", "sign_in", "", "refused"],
            // What was typed as a name is not written down.
            ["account:", "sign_in", "", "refused"],
            ["account:zhang", "sign_out", "", "ok"],
            ["account:zhang", "refresh_session", "", "refused"],
        ]
    );
    let bytes = std::fs::read(clinic.folder.path().join("x.db")).unwrap();
    let wal = std::fs::read(clinic.folder.path().join("x.db-wal")).unwrap_or_default();
    for secret in [PASSWORD, tokens.access.as_str(), tokens.refresh.as_str()] {
        let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!holds(&bytes) && !holds(&wal), "the database holds a secret");
    }
}

#[tokio::test]
async fn failures_lock_a_name_for_longer_and_longer_over_restarts_whether_it_exists_or_not() {
    let mut clinic = Clinic::with_zhang().await;
    for name in ["nobody", "zhang"] {
        for _ in 0..3 {
            assert_eq!(wait(clinic.accounts.sign_in(name, "wrong").await), None, "{name}");
        }
        for seconds in [30, 60, 120, 240, 300, 300] {
            clinic.restart();
            // The right password does not help.
            let told = wait(clinic.accounts.sign_in(name, PASSWORD).await);
            assert_eq!(told, Some(Duration::from_secs(seconds)), "{name}");
            clinic.later(Duration::from_secs(seconds));
            assert_eq!(wait(clinic.accounts.sign_in(name, "wrong").await), None, "{name}");
        }
    }
    let locked = clinic.accounts.list(&local()).await.unwrap();
    assert!(locked[0].locked_until_ms.is_some());
    clinic.accounts.change(&local(), "zhang", Change::Unlock).await.unwrap();
    assert!(clinic.accounts.sign_in("zhang", PASSWORD).await.is_ok());
    // A right password forgets what was before it.
    for _ in 0..3 {
        assert_eq!(wait(clinic.accounts.sign_in("zhang", "wrong").await), None);
        clinic.accounts.sign_in("zhang", PASSWORD).await.unwrap();
    }
}

#[tokio::test]
async fn tries_at_the_same_moment_do_not_pass_the_lock_together() {
    let clinic = Clinic::with_zhang().await;
    let tries = (0..20).map(|_| clinic.accounts.sign_in("zhang", "wrong"));
    let told: Vec<_> = futures_util::future::join_all(tries).await.into_iter().map(wait).collect();
    assert_eq!(told.iter().filter(|told| told.is_none()).count(), 3, "{told:?}");
    // Only the first that was turned away is an entry of its own.
    let trail = clinic.trail().await;
    let count = |outcome: &str| trail.iter().filter(|entry| entry.3 == outcome).count();
    assert_eq!((count("refused"), count("locked")), (3, 1));
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_one_that_comes_twice_ends_the_session() {
    let clinic = Clinic::with_zhang().await;
    let first = clinic.accounts.sign_in("zhang", PASSWORD).await.unwrap();
    let other = clinic.accounts.sign_in("zhang", PASSWORD).await.unwrap();
    let second = clinic.accounts.refresh(&first.refresh).await.unwrap();
    assert_eq!(second.known, first.known);
    assert!(clinic.known(&second.access).await.is_ok());
    let third = clinic.accounts.refresh(&second.refresh).await.unwrap();
    // The thief comes with the one that was used.
    assert!(matches!(clinic.accounts.refresh(&first.refresh).await, Err(Error::Unauthenticated)));
    for access in [&first.access, &second.access, &third.access] {
        assert!(clinic.known(access).await.is_err());
        assert!(clinic.accounts.identify(access).await.is_err());
    }
    assert!(clinic.accounts.refresh(&third.refresh).await.is_err());
    assert!(clinic.accounts.refresh(&other.refresh).await.is_ok(), "another session goes on");
    assert!(clinic.trail().await.iter().any(|entry| entry.3 == "reused"));
}

#[tokio::test]
async fn tokens_end_by_themselves_and_no_refresh_goes_beyond_the_session() {
    let clinic = Clinic::with_zhang().await;
    let tokens = clinic.accounts.sign_in("zhang", PASSWORD).await.unwrap();
    clinic.later(Duration::from_mins(14));
    assert!(clinic.known(&tokens.access).await.is_ok());
    clinic.later(Duration::from_mins(1));
    assert!(clinic.known(&tokens.access).await.is_err());
    clinic.later(Duration::from_hours(11));
    let next = clinic.accounts.refresh(&tokens.refresh).await.unwrap();
    clinic.later(Duration::from_hours(11));
    let last = clinic.accounts.refresh(&next.refresh).await.unwrap();
    let end_ms = 1_800_000_000_000 + 24 * 3_600_000;
    assert_eq!(last.refresh_until_ms, end_ms);
    clinic.later(Duration::from_hours(2));
    assert!(clinic.accounts.refresh(&last.refresh).await.is_err());
    let late = clinic.accounts.sign_in("zhang", PASSWORD).await.unwrap();
    clinic.later(Duration::from_hours(12));
    assert!(clinic.accounts.refresh(&late.refresh).await.is_err());
}

#[tokio::test]
async fn another_password_or_role_and_disabling_end_every_session() {
    const NEW: &str = "six white egrets";
    let clinic = Clinic::with_zhang().await;
    let accounts = &clinic.accounts;
    let one = accounts.sign_in("zhang", PASSWORD).await.unwrap();
    let two = accounts.sign_in("zhang", PASSWORD).await.unwrap();
    let wrong = accounts.change_password(&one.known, ("wrong password", NEW)).await;
    assert!(matches!(wrong, Err(Error::Unauthenticated)), "{wrong:?}");
    for bad in ["short", "password1234", "my zhang is here", PASSWORD] {
        let refused = accounts.change_password(&one.known, (PASSWORD, bad)).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}: {refused:?}");
    }
    accounts.change_password(&one.known, (PASSWORD, NEW)).await.unwrap();
    assert_eq!(wait(accounts.sign_in("zhang", PASSWORD).await), None);
    for tokens in [&one, &two] {
        assert!(accounts.identify(&tokens.access).await.is_err());
        assert!(accounts.refresh(&tokens.refresh).await.is_err());
    }
    for change in [Change::Role(Role::Pharmacist, Vec::new()), Change::Disabled(true)] {
        let tokens = accounts.sign_in("zhang", NEW).await.unwrap();
        accounts.change(&local(), "zhang", change).await.unwrap();
        assert!(accounts.identify(&tokens.access).await.is_err());
        assert!(accounts.refresh(&tokens.refresh).await.is_err());
    }
    // Disabled: as if the password were wrong.
    assert_eq!(wait(accounts.sign_in("zhang", NEW).await), None);
    accounts.change(&local(), "zhang", Change::Disabled(false)).await.unwrap();
    let tokens = accounts.sign_in("zhang", NEW).await.unwrap();
    assert_eq!(tokens.known.caller.role, Role::Pharmacist);
    accounts.set_password(&local(), "zhang", PASSWORD).await.unwrap();
    assert!(accounts.identify(&tokens.access).await.is_err());
    assert!(accounts.sign_in("zhang", PASSWORD).await.is_ok());
}

/// Hashing takes its time, and an administrator may act while the owner's new password is made.
#[tokio::test]
async fn a_password_that_was_reset_meanwhile_or_disabled_is_not_overwritten_by_its_owner() {
    let clinic = Clinic::with_zhang().await;
    let store = AccountsStore::open(&clinic.folder.path().join("x.db"));
    let kept = async || store.account("zhang").await.unwrap().unwrap().password;
    let deed = || Deed {
        caller: "account:zhang".to_owned(),
        role: Role::VillageDoctor.name(),
        action: "change_password",
        entry: AuditEntry {
            at_ms: 1,
            record_id: "zhang".to_owned(),
            patient_reference: String::new(),
            outcome: "ok",
            detail: String::new(),
        },
    };
    // What is compared is what was kept when the owner said the old one.
    let compared = kept().await;
    let new = Hashed { hash: [9; 32], ..compared.clone() };
    let own = || Change::Password { new: new.clone(), before: Some(compared.clone()) };
    clinic.accounts.set_password(&local(), "zhang", "six white egrets").await.unwrap();
    let reset = kept().await;
    assert_ne!(reset, compared);
    assert!(!store.change("zhang", own(), deed()).await.unwrap());
    assert_eq!(kept().await, reset);
    assert_eq!(clinic.trail().await.last().unwrap().3, "not_found", "nothing was done");
    // Nor does it open what was shut.
    let own = || Change::Password { new: new.clone(), before: Some(reset.clone()) };
    clinic.accounts.change(&local(), "zhang", Change::Disabled(true)).await.unwrap();
    assert!(!store.change("zhang", own(), deed()).await.unwrap());
    clinic.accounts.change(&local(), "zhang", Change::Disabled(false)).await.unwrap();
    assert!(store.change("zhang", own(), deed()).await.unwrap());
    assert_eq!(kept().await, new);
}

#[tokio::test]
async fn only_who_manages_accounts_makes_them_and_only_roles_of_people() {
    let clinic = Clinic::with_zhang().await;
    let accounts = &clinic.accounts;
    for role in [Role::VillageDoctor, Role::Pharmacist, Role::Auditor, Role::Node] {
        let caller =
            if role == Role::Node { Caller::system("x", role) } else { Caller::shipped("x", role) };
        let of = (Role::Administrator, Vec::new());
        let outcome = accounts.add(&caller, ("li", PASSWORD), of).await;
        assert!(matches!(outcome, Err(Error::Denied { .. })), "{role:?}");
        let outcome = accounts.change(&caller, "zhang", Change::Unlock).await;
        assert!(matches!(outcome, Err(Error::Denied { .. })), "{role:?}");
        let outcome = accounts.set_password(&caller, "zhang", PASSWORD).await;
        assert!(matches!(outcome, Err(Error::Denied { .. })), "{role:?}");
        assert!(matches!(accounts.list(&caller).await, Err(Error::Denied { .. })), "{role:?}");
    }
    for role in [Role::Local, Role::DicomPeer, Role::Node] {
        let outcome = accounts.add(&local(), ("li", PASSWORD), (role, Vec::new())).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{role:?}");
    }
    for name in ["", "a b", "a/b", "../x", "a\n", "a'--", &"x".repeat(65), &"x".repeat(9999)] {
        let of = (Role::Auditor, Vec::new());
        let outcome = accounts.add(&local(), (name, PASSWORD), of).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{name}");
        assert!(matches!(accounts.sign_in(name, PASSWORD).await, Err(Error::Invalid(_))), "{name}");
    }
    let again = accounts.add(&local(), ("ZHANG", PASSWORD), (Role::Auditor, Vec::new())).await;
    assert!(matches!(again, Err(Error::Refused { .. })), "{again:?}");
    let nobody = accounts.change(&local(), "wang", Change::Unlock).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })), "{nobody:?}");
}

#[tokio::test]
async fn the_code_makes_one_administrator_and_is_good_for_nothing_else() {
    let clinic = Clinic::new().await;
    let accounts = &clinic.accounts;
    assert!(matches!(accounts.set_up("", "li", PASSWORD).await, Err(Error::Unauthenticated)));
    let code = accounts.offer_setup().await.unwrap().unwrap();
    for _ in 0..9 {
        assert!(accounts.set_up("wrong", "li", PASSWORD).await.is_err());
    }
    // A bad password does not use the code up.
    assert!(matches!(accounts.set_up(&code, "li", "short").await, Err(Error::Invalid(_))));
    accounts.set_up(&code, "li", PASSWORD).await.unwrap();
    let tokens = accounts.sign_in("li", PASSWORD).await.unwrap();
    assert_eq!(tokens.known.caller.role, Role::Administrator);
    assert!(matches!(accounts.set_up(&code, "wu", PASSWORD).await, Err(Error::Unauthenticated)));
    assert_eq!(accounts.offer_setup().await.unwrap(), None);

    // Ten wrong codes, or an account made meanwhile, and it is void.
    let other = Clinic::new().await;
    let code = other.accounts.offer_setup().await.unwrap().unwrap();
    for _ in 0..10 {
        assert!(other.accounts.set_up("wrong", "li", PASSWORD).await.is_err());
    }
    assert!(other.accounts.set_up(&code, "li", PASSWORD).await.is_err());
    let code = other.accounts.offer_setup().await.unwrap().unwrap();
    let of = (Role::Auditor, Vec::new());
    other.accounts.add(&local(), ("wu", PASSWORD), of).await.unwrap();
    assert!(matches!(
        other.accounts.set_up(&code, "li", PASSWORD).await,
        Err(Error::Unauthenticated)
    ));
}
