//! Who is let in, over a store in memory that does what the suite asks of the real ones.

use std::sync::atomic::{AtomicI64, Ordering};

use super::certificate::NewKey;
use super::*;
use crate::app::error::Code as ErrorCode;
use crate::app::ports::BoxFuture;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const START_MS: i64 = 1_800_000_000_000;

#[derive(Debug, Default)]
struct Kept {
    invitations: Vec<Invitation>,
    certificates: Vec<(NodeCertificate, Option<Sha>)>,
    entries: Vec<NodeEntry>,
    authority: Option<Sha>,
}

#[derive(Debug, Default)]
struct Memory(Mutex<Kept>);

fn done<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, Error>> {
    Box::pin(async move { Ok(value) })
}

impl NodeStore for Memory {
    fn adopt<'a>(&'a self, authority: &'a Sha, _: i64) -> BoxFuture<'a, Result<Sha, Error>> {
        done(*self.0.lock().unwrap().authority.get_or_insert(*authority))
    }

    fn invite(&self, invitation: Invitation, entry: NodeEntry) -> BoxFuture<'_, Result<(), Error>> {
        let mut kept = self.0.lock().unwrap();
        kept.invitations.push(invitation);
        kept.entries.push(entry);
        done(())
    }

    fn invitations(&self, since_ms: i64) -> BoxFuture<'_, Result<Vec<Invitation>, Error>> {
        let kept = self.0.lock().unwrap();
        done(kept.invitations.iter().filter(|i| i.until_ms > since_ms).cloned().collect())
    }

    fn retract(&self, entry: NodeEntry) -> BoxFuture<'_, Result<u64, Error>> {
        let mut kept = self.0.lock().unwrap();
        let at_ms = entry.at_ms;
        let mut ended = 0;
        for code in kept.invitations.iter_mut().filter(|i| i.key.is_none() && i.until_ms > at_ms) {
            code.until_ms = at_ms;
            ended += 1;
        }
        kept.entries.push(entry);
        done(ended)
    }

    fn enrol(
        &self,
        code: Sha,
        certificate: NodeCertificate,
        failures_max: u32,
        entry: NodeEntry,
    ) -> BoxFuture<'_, Result<Enrolment, Error>> {
        let kept = &mut *self.0.lock().unwrap();
        let invitation = kept.invitations.iter_mut().find(|i| i.code == code).unwrap();
        if invitation.failures >= failures_max {
            return done(Enrolment::Used);
        }
        match invitation.key {
            None => {
                invitation.key = Some(certificate.key);
                kept.certificates.push((certificate, Some(code)));
                kept.entries.push(entry);
                done(Enrolment::Issued)
            }
            Some(key) if key == certificate.key => {
                let (given, _) =
                    kept.certificates.iter().find(|(_, from)| *from == Some(code)).unwrap();
                done(Enrolment::Again(Box::new(given.clone())))
            }
            Some(_) => {
                invitation.failures += 1;
                done(Enrolment::Used)
            }
        }
    }

    fn renew(
        &self,
        _: Sha,
        certificate: NodeCertificate,
        entry: NodeEntry,
    ) -> BoxFuture<'_, Result<bool, Error>> {
        let mut kept = self.0.lock().unwrap();
        kept.certificates.push((certificate, None));
        kept.entries.push(entry);
        done(true)
    }

    fn certificates(&self, _: i64) -> BoxFuture<'_, Result<Vec<NodeCertificate>, Error>> {
        let kept = self.0.lock().unwrap();
        done(kept.certificates.iter().map(|(certificate, _)| certificate.clone()).collect())
    }

    fn revoke(
        &self,
        which: Which,
        reason: String,
        entry: NodeEntry,
    ) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        let mut kept = self.0.lock().unwrap();
        let mut serials = Vec::new();
        for (certificate, _) in &mut kept.certificates {
            let is_meant = match &which {
                Which::Node(node) => certificate.node == *node,
                Which::Serial(serial) => certificate.serial == *serial,
            };
            if is_meant && certificate.revoked.is_none() {
                certificate.revoked = Some((entry.at_ms, reason.clone()));
                serials.push(certificate.serial.clone());
            }
        }
        kept.entries.push(entry);
        done(serials)
    }

    fn seen<'a>(&'a self, seen: &'a [(Sha, i64)]) -> BoxFuture<'a, Result<(), Error>> {
        let mut kept = self.0.lock().unwrap();
        for (certificate, _) in &mut kept.certificates {
            if let Some((_, at_ms)) = seen.iter().find(|(sha256, _)| *sha256 == certificate.sha256)
            {
                certificate.seen_ms = *at_ms;
            }
        }
        done(())
    }

    fn note(&self, entry: NodeEntry) -> BoxFuture<'_, Result<(), Error>> {
        self.0.lock().unwrap().entries.push(entry);
        done(())
    }
}

#[derive(Debug)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Scene {
    nodes: Nodes,
    store: Arc<Memory>,
    clock: Arc<Hands>,
}

fn scene() -> Scene {
    let (store, clock) = (Arc::new(Memory::default()), Arc::new(Hands(AtomicI64::new(START_MS))));
    let authority = Authority::make("hub", START_MS).unwrap();
    let authority = Authority::from_pem(authority.as_bytes()).unwrap();
    let vouching = authority.der().to_vec();
    let options = Options { life: Duration::from_hours(90 * 24), vouching };
    let members = ["a", "b"].map(str::to_owned);
    let with: Arc<dyn NodeStore> = Arc::<Memory>::clone(&store);
    let time: Arc<dyn Clock> = Arc::<Hands>::clone(&clock);
    Scene { nodes: Nodes::new(with, (authority, options), members, time), store, clock }
}

impl Scene {
    async fn code(&self, node: &str) -> Code {
        let local = Caller::local("test");
        self.nodes.invite(&local, node, Duration::from_hours(24)).await.unwrap().0
    }

    async fn enrol(&self, code: &Code, key: &NewKey) -> Result<Enrolled, Error> {
        let from = "10.0.0.1".parse().unwrap();
        self.nodes.enrol(&code.secret(), &key.request().unwrap(), from).await
    }

    fn later(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    fn entries(&self) -> Vec<(String, &'static str, String)> {
        let kept = self.store.0.lock().unwrap();
        kept.entries.iter().map(|e| (e.node.clone(), e.action, e.outcome.clone())).collect()
    }
}

fn sha(enrolled: &Enrolled) -> Sha {
    Sha256::digest(&enrolled.certificate).into()
}

fn said(error: &Error, word: &str) {
    assert_eq!(error.code(), ErrorCode::FailedPrecondition, "{error}");
    assert!(error.public().contains(word), "{}", error.public());
}

#[tokio::test(start_paused = true)]
async fn a_code_lets_one_key_in_under_its_own_name() {
    let scene = scene();
    let (code, key, other) =
        (scene.code("a").await, NewKey::make().unwrap(), NewKey::make().unwrap());
    let first = scene.enrol(&code, &key).await.unwrap();
    assert_eq!(first.node, "a");
    assert_eq!(certificate::name_in(&first.certificate).unwrap(), "a");
    // The answer was lost: the same again. A stranger with the code and a key of his own gets nothing.
    assert_eq!(scene.enrol(&code, &key).await.unwrap(), first);
    said(&scene.enrol(&code, &other).await.unwrap_err(), "used before, with another key");
    let second = scene.enrol(&scene.code("b").await, &other).await.unwrap();
    scene.nodes.refresh().await.unwrap();
    assert_eq!(scene.nodes.known(&sha(&first)).as_deref(), Some("a"));
    assert_eq!(scene.nodes.known(&sha(&second)).as_deref(), Some("b"));
    assert_eq!(scene.nodes.known(&[0; 32]), None);
    let entries = scene.entries();
    let entered = |outcome: &str| entries.iter().filter(|e| e.2 == outcome).count();
    assert_eq!((entered("ok"), entered("used")), (4, 1), "{entries:?}");
}

#[tokio::test(start_paused = true)]
async fn wrong_codes_are_refused_slowly_counted_and_entered() {
    let scene = scene();
    let key = NewKey::make().unwrap();
    let guess = |at: u8| Code::new([at; 16], b"hub");
    for at in 0..10 {
        let begun = tokio::time::Instant::now();
        said(&scene.enrol(&guess(at), &key).await.unwrap_err(), "no such code");
        assert!(begun.elapsed() >= WRONG_PAUSE);
    }
    // Even the right one has to wait from this address, and from another it has not.
    let code = scene.code("a").await;
    let error = scene.enrol(&code, &key).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Overloaded);
    let elsewhere = "10.0.0.2".parse().unwrap();
    scene.nodes.enrol(&code.secret(), &key.request().unwrap(), elsewhere).await.unwrap();
    let entries = scene.entries();
    assert_eq!(entries.iter().filter(|e| e.2 == "unknown").count(), 10, "{entries:?}");
    // What is no request costs no try.
    let error = scene.nodes.enrol(&code.secret(), b"x", elsewhere).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    let error = scene.nodes.enrol(&[1; 15], b"x", elsewhere).await.unwrap_err();
    assert!(error.public().contains("code must have 16 bytes"));
}

#[tokio::test(start_paused = true)]
async fn a_code_is_for_a_node_that_there_is_and_ends() {
    let scene = scene();
    let (local, doctor) = (Caller::local("test"), Caller::shipped("doctor", Role::VillageDoctor));
    let day = Duration::from_hours(24);
    for (caller, node, valid, code) in [
        (&local, "c", day, ErrorCode::InvalidArgument),
        (&local, "a", day * 8, ErrorCode::InvalidArgument),
        (&local, "a", Duration::from_secs(1), ErrorCode::InvalidArgument),
        (&doctor, "a", day, ErrorCode::PermissionDenied),
    ] {
        assert_eq!(scene.nodes.invite(caller, node, valid).await.unwrap_err().code(), code);
    }
    let code = scene.code("a").await;
    scene.later(DAY_MS);
    let key = NewKey::make().unwrap();
    said(&scene.enrol(&code, &key).await.unwrap_err(), "not good any more");
    scene.later(8 * DAY_MS);
    said(&scene.enrol(&code, &key).await.unwrap_err(), "no such code");
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_or_past_is_nobodys() {
    let scene = scene();
    let first = scene.enrol(&scene.code("a").await, &NewKey::make().unwrap()).await.unwrap();
    scene.nodes.refresh().await.unwrap();
    scene.later(60 * DAY_MS);
    let request = NewKey::make().unwrap().request().unwrap();
    let second = scene.nodes.renew(sha(&first), &request).await.unwrap();
    assert_eq!(second.node, "a");
    assert_eq!(scene.nodes.look_again(&second.certificate).await.unwrap().unwrap(), "a");
    scene.later(30 * DAY_MS);
    assert!(scene.nodes.known(&sha(&first)).is_none() && scene.nodes.has_ended(&sha(&first)));
    assert!(scene.nodes.known(&sha(&second)).is_some());
    said(&scene.nodes.renew(sha(&first), &request).await.unwrap_err(), "can be renewed");
    let (local, doctor) = (Caller::local("test"), Caller::shipped("doctor", Role::VillageDoctor));
    let which = || Which::Node("a".to_owned());
    let denied = scene.nodes.revoke(&doctor, which(), "why").await.unwrap_err();
    assert_eq!(denied.code(), ErrorCode::PermissionDenied);
    for reason in ["", "  ", "a\nb"] {
        scene.nodes.revoke(&local, which(), reason).await.unwrap_err();
    }
    assert_eq!(scene.nodes.revoke(&local, which(), "stolen").await.unwrap().len(), 2);
    assert!(scene.nodes.known(&sha(&second)).is_none() && scene.nodes.has_ended(&sha(&second)));
    said(&scene.nodes.renew(sha(&second), &request).await.unwrap_err(), "can be renewed");
    // Of what the hub never gave it cannot be said that it has ended.
    assert!(!scene.nodes.has_ended(&[0; 32]));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_another_authority_costs_the_store_nothing_and_is_nobodys() {
    let (scene, others) = (scene(), scene());
    let foreign = others.enrol(&others.code("a").await, &NewKey::make().unwrap()).await.unwrap();
    assert!(scene.nodes.look_again(&foreign.certificate).await.unwrap().is_none());
    // One of the authority's that the store does not have is as little: its file was stolen.
    let key = requested(&NewKey::make().unwrap().request().unwrap()).unwrap();
    let life = Duration::from_hours(1);
    let forged = scene.nodes.authority().issue("a", &key, (START_MS, life)).unwrap();
    assert!(scene.nodes.look_again(&forged.der).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn one_database_has_one_authority() {
    let (scene, others) = (scene(), scene());
    scene.nodes.adopt().await.unwrap();
    scene.nodes.adopt().await.unwrap();
    let store: Arc<dyn NodeStore> = Arc::<Memory>::clone(&scene.store);
    let options = Options { life: Duration::from_hours(1), vouching: Vec::new() };
    let clock: Arc<dyn Clock> = Arc::<Hands>::clone(&scene.clock);
    let text = Authority::make("other", START_MS).unwrap();
    let authority = Authority::from_pem(text.as_bytes()).unwrap();
    let second = Nodes::new(store, (authority, options), Vec::new(), clock);
    said(&second.adopt().await.unwrap_err(), "link.ca");
    drop(others);
}

#[tokio::test(start_paused = true)]
async fn counts_tell_what_is_about_to_end() {
    let scene = scene();
    let first = scene.enrol(&scene.code("a").await, &NewKey::make().unwrap()).await.unwrap();
    let counts = scene.nodes.refresh().await.unwrap();
    assert_eq!((counts.good, counts.ending, counts.revoked), (1, 0, 0));
    assert_eq!(counts.authority_days, 3650);
    scene.later(80 * DAY_MS);
    assert_eq!(scene.nodes.refresh().await.unwrap().ending, 1);
    let request = NewKey::make().unwrap().request().unwrap();
    let second = scene.nodes.renew(sha(&first), &request).await.unwrap();
    let counts = scene.nodes.refresh().await.unwrap();
    assert_eq!((counts.good, counts.ending), (2, 0));
    // Who is seen is told to the store, not at every call.
    scene.nodes.known(&sha(&second)).unwrap();
    scene.nodes.refresh().await.unwrap();
    let seen = |at: usize| scene.store.0.lock().unwrap().certificates[at].0.seen_ms;
    // The first was shown to renew it.
    assert_eq!((seen(0), seen(1)), (START_MS + 80 * DAY_MS, START_MS + 80 * DAY_MS));
    scene.later(HOUR_MS / 60);
    scene.nodes.known(&sha(&second)).unwrap();
    scene.nodes.refresh().await.unwrap();
    assert_eq!(seen(1), START_MS + 80 * DAY_MS);
}
