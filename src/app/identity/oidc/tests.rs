//! Good tokens are taken; every forged, stale or foreign one is refused for the reason that it has.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use proptest::prelude::*;
use ring::hmac;
use serde_json::json;

use super::super::keys::KeySetError;
use super::super::testing::{Signer, base64url, key_set};
use super::*;

const NOW_S: i64 = 1_800_000_000;

fn rules() -> Rules {
    Rules {
        issuer: "https://id.example".to_owned(),
        audiences: vec!["xiangyi".to_owned(), "clinic".to_owned()],
        algorithms: vec![Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256],
        leeway: Duration::from_mins(1),
        lifetime_max: Duration::from_hours(1),
        name_claim: "sub".to_owned(),
        role_claim: "/realm/roles".to_owned(),
        scope_claim: Some("areas".to_owned()),
        roles: [
            ("village".to_owned(), Role::VillageDoctor),
            ("doctor".to_owned(), Role::VillageDoctor),
            ("pharmacy".to_owned(), Role::Pharmacist),
        ]
        .into(),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "xiangyi", "sub": "li.si", "exp": NOW_S + 600,
        "iat": NOW_S - 5, "nbf": NOW_S - 5, "realm": { "roles": ["offline_access", "village"] },
        "areas": ["361127", "361127101"],
    })
}

/// The claims with one of them changed; `null` takes it out.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().unwrap();
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), value);
    }
    claims
}

fn admit(signers: &[&Signer], token: &str) -> Result<Known, Refusal> {
    rules().admit(&KeySet::parse(&key_set(signers)).unwrap(), token, NOW_S * 1000)
}

#[test]
fn a_good_token_of_each_kind_is_its_caller() {
    let signers = [Signer::ed25519("a"), Signer::p256("b"), Signer::rsa("c")];
    let [a, b, c] = &signers;
    for signer in &signers {
        let known = admit(&[a, b, c], &signer.token(&claims())).unwrap();
        assert_eq!(known.caller, Caller::named("oidc:li.si", Role::VillageDoctor));
        assert_eq!(known.scope, ["361127", "361127101"]);
        let several = with("aud", json!(["other", "clinic"]));
        assert!(admit(&[a, b, c], &signer.token(&several)).is_ok());
        // Without an id in the header there must be no doubt which key it is.
        let bare = json!({ "alg": signer.algorithm() }).to_string();
        assert!(admit(&[a, b, c], &signer.raw(&bare, &claims().to_string())).is_ok());
    }
    let other = Signer::p256("d");
    let bare = other.raw(r#"{"alg":"ES256"}"#, &claims().to_string());
    assert_eq!(admit(&[b, &other], &bare), Err(Refusal::Key));
}

#[test]
fn a_token_that_should_say_where_and_does_not_is_refused() {
    let signer = Signer::ed25519("a");
    for areas in [Value::Null, json!([]), json!(""), json!(5), json!({}), json!([5]), json!([""])] {
        let token = signer.token(&with("areas", areas.clone()));
        assert_eq!(admit(&[&signer], &token), Err(Refusal::Scope), "{areas}");
    }
    // Where nothing is configured nothing is asked for.
    let rules = Rules { scope_claim: None, ..rules() };
    let keys = KeySet::parse(&key_set(&[&signer])).unwrap();
    let token = signer.token(&with("areas", Value::Null));
    assert_eq!(rules.admit(&keys, &token, NOW_S * 1000).unwrap().scope, [""; 0]);
}

#[test]
fn forged_headers_and_signatures_are_refused() {
    let (ed, ec, rsa) = (Signer::ed25519("a"), Signer::p256("b"), Signer::rsa("c"));
    let all = [&ed, &ec, &rsa];
    let body = claims().to_string();
    let part = base64url(body.as_bytes());
    let unsigned = |header: &str| format!("{}.{part}.", base64url(header.as_bytes()));

    for none in ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS384", "PS256", "Ed25519"]
    {
        for kid in ["a", "b", "c"] {
            let header = json!({ "alg": none, "kid": kid }).to_string();
            assert_eq!(admit(&all, &unsigned(&header)), Err(Refusal::Algorithm), "{none}");
            assert_eq!(admit(&all, &ed.raw(&header, &body)), Err(Refusal::Algorithm), "{none}");
        }
    }
    // An HMAC with the public key as its secret, in each form that a careless reader would take.
    for secret in [rsa.public()["n"].to_string().into_bytes(), key_set(&[&rsa])] {
        let header = base64url(br#"{"alg":"HS256","kid":"c"}"#);
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            format!("{header}.{part}").as_bytes(),
        );
        let token = format!("{header}.{part}.{}", base64url(tag.as_ref()));
        assert_eq!(admit(&all, &token), Err(Refusal::Algorithm));
    }
    // A key of one kind under the name of another's algorithm.
    for (signer, algorithm, kid) in [(&ed, "RS256", "a"), (&ec, "EdDSA", "b"), (&rsa, "ES256", "c")]
    {
        let header = json!({ "alg": algorithm, "kid": kid }).to_string();
        assert_eq!(admit(&all, &signer.raw(&header, &body)), Err(Refusal::Key), "{algorithm}");
    }
    // Somebody else's key under a known id; an unknown id; the signature of other claims.
    let thief = Signer::ed25519("a");
    assert_eq!(admit(&all, &thief.token(&claims())), Err(Refusal::Signature));
    let header = json!({ "alg": "EdDSA", "kid": "zz" }).to_string();
    assert_eq!(admit(&all, &ed.raw(&header, &body)), Err(Refusal::Key));
    let (good, other) = (ed.token(&claims()), ed.token(&with("sub", json!("admin"))));
    let stolen = good.rsplit_once('.').unwrap().1;
    let spliced = format!("{}.{stolen}", other.rsplit_once('.').unwrap().0);
    assert_eq!(admit(&all, &spliced), Err(Refusal::Signature));
    assert_eq!(
        admit(&all, &format!("{}.", good.rsplit_once('.').unwrap().0)),
        Err(Refusal::Signature)
    );
    // An ES256 signature of zeros (CVE-2022-21449) and one in DER.
    let head = ec.token(&claims());
    let head = head.rsplit_once('.').unwrap().0;
    assert_eq!(admit(&all, &format!("{head}.{}", base64url(&[0; 64]))), Err(Refusal::Signature));
    assert_eq!(admit(&all, &format!("{head}.{}", base64url(&[0x30; 70]))), Err(Refusal::Signature));

    let header = |name: &str, value: Value| {
        let mut header = ed.header();
        header[name] = value;
        ed.raw(&header.to_string(), &body)
    };
    for (name, value) in [
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("jwk", thief.public()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
    ] {
        assert_eq!(admit(&all, &header(name, value)), Err(Refusal::Parameter), "{name}");
    }
    for kind in [json!("JWE"), json!("logout+jwt"), json!("dpop+jwt"), json!(1), json!(null)] {
        assert_eq!(admit(&all, &header("typ", kind.clone())), Err(Refusal::Type), "{kind}");
    }
    for kind in ["JWT", "AT+JWT", "application/at+jwt"] {
        assert!(admit(&all, &header("typ", json!(kind))).is_ok(), "{kind}");
    }
    assert_eq!(admit(&all, &header("kid", json!(7))), Err(Refusal::Header));
}

#[test]
fn what_has_not_the_form_of_a_token_is_refused() {
    let ed = Signer::ed25519("a");
    let good = ed.token(&claims());
    let body = claims().to_string();
    for bad in [
        "",
        ".",
        "..",
        "a.b",
        "....",
        &format!("{good}.x"),
        &format!("{good}="),
        &good.replace('.', ""),
    ] {
        assert!(admit(&[&ed], bad).is_err(), "{bad}");
    }
    assert_eq!(
        admit(&[&ed], &ed.token(&with("pad", json!("x".repeat(9000))))),
        Err(Refusal::TooLong)
    );
    let twice = r#"{"alg":"EdDSA","kid":"a","alg":"none"}"#;
    assert_eq!(admit(&[&ed], &ed.raw(twice, &body)), Err(Refusal::Header));
    let twice = body.replacen('{', r#"{"sub":"admin","#, 1);
    assert_eq!(admit(&[&ed], &ed.raw(&ed.header().to_string(), &twice)), Err(Refusal::Claims));
    let nested = body.replace(r#"{"roles""#, r#"{"roles":["pharmacy"],"roles""#);
    assert_ne!(nested, body);
    assert_eq!(admit(&[&ed], &ed.raw(&ed.header().to_string(), &nested)), Err(Refusal::Claims));
    for bad in ["[]", "null", "7", "{", &"[".repeat(3000)] {
        assert_eq!(
            admit(&[&ed], &ed.raw(&ed.header().to_string(), bad)),
            Err(Refusal::Claims),
            "{bad}"
        );
        assert!(admit(&[&ed], &ed.raw(bad, &body)).is_err(), "{bad}");
    }
}

#[test]
fn claims_that_are_not_for_this_node_now_are_refused() {
    let ed = Signer::ed25519("a");
    for (name, value, refusal) in [
        ("iss", json!(null), Refusal::Issuer),
        ("iss", json!("https://id.example/"), Refusal::Issuer),
        ("iss", json!(["https://id.example"]), Refusal::Issuer),
        ("aud", json!(null), Refusal::Audience),
        ("aud", json!("other"), Refusal::Audience),
        ("aud", json!([]), Refusal::Audience),
        ("aud", json!({ "xiangyi": 1 }), Refusal::Audience),
        ("aud", json!(["xiangyi", 7]), Refusal::Audience),
        ("exp", json!(null), Refusal::Times),
        ("exp", json!("1900000000"), Refusal::Times),
        ("exp", json!(-1), Refusal::Times),
        ("exp", json!(1e300), Refusal::Times),
        ("exp", json!(NOW_S - 60), Refusal::Expired),
        ("exp", json!(NOW_S - 86_400), Refusal::Expired),
        ("exp", json!(NOW_S + 3661), Refusal::Lifetime),
        ("nbf", json!(NOW_S + 61), Refusal::NotYet),
        ("nbf", json!(true), Refusal::Times),
        ("iat", json!(NOW_S + 61), Refusal::NotYet),
        ("sub", json!(null), Refusal::Name),
        ("sub", json!(""), Refusal::Name),
        ("sub", json!(7), Refusal::Name),
        ("sub", json!("a\nb"), Refusal::Name),
        ("sub", json!("a\u{202e}b"), Refusal::Name),
        ("sub", json!("x".repeat(256)), Refusal::Name),
        ("areas", json!(7), Refusal::Scope),
        ("areas", json!([["361127"]]), Refusal::Scope),
        ("areas", json!(vec!["x"; 33]), Refusal::Scope),
        ("realm", json!(null), Refusal::Role),
        ("realm", json!({ "roles": [] }), Refusal::Role),
        ("realm", json!({ "roles": ["administrator", "Village", "local"] }), Refusal::Role),
        ("realm", json!({ "roles": { "village": true } }), Refusal::Role),
        ("realm", json!({ "roles": ["village", "pharmacy"] }), Refusal::Roles),
    ] {
        let token = ed.token(&with(name, value.clone()));
        assert_eq!(admit(&[&ed], &token), Err(refusal), "{name} {value}");
    }
    for (name, value) in [
        ("exp", json!(NOW_S - 59)),
        ("exp", json!(NOW_S.to_string().parse::<f64>().unwrap() + 0.5)),
        ("nbf", json!(NOW_S + 60)),
        ("nbf", json!(null)),
        ("iat", json!(null)),
        ("areas", json!("361127 361128")),
        ("realm", json!({ "roles": "village" })),
        ("realm", json!({ "roles": ["village", "doctor"] })),
    ] {
        assert!(admit(&[&ed], &ed.token(&with(name, value.clone()))).is_ok(), "{name} {value}");
    }
}

#[test]
fn a_key_set_gives_only_keys_that_can_check_signatures() {
    let (ed, rsa) = (Signer::ed25519("a"), Signer::rsa("c"));
    let changed = |name: &str, value: Value| {
        let mut key = ed.public();
        key[name] = value;
        KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes())
    };
    for (name, value, error) in [
        ("use", json!("enc"), KeySetError::Empty),
        ("alg", json!("RS256"), KeySetError::Empty),
        ("key_ops", json!(["encrypt"]), KeySetError::Empty),
        ("kty", json!("oct"), KeySetError::Empty),
        ("crv", json!("Ed448"), KeySetError::Empty),
        ("x", json!("AAAA"), KeySetError::Empty),
        ("kid", json!(7), KeySetError::Empty),
        ("d", json!("AAAA"), KeySetError::Private),
    ] {
        assert_eq!(changed(name, value).unwrap_err(), error, "{name}");
    }
    let small = json!({ "keys": [{ "kty": "RSA", "n": base64url(&[0xff; 128]), "e": "AQAB" }] });
    assert_eq!(KeySet::parse(small.to_string().as_bytes()).unwrap_err(), KeySetError::Empty);
    let same = key_set(&[&ed, &Signer::ed25519("a")]);
    assert_eq!(KeySet::parse(&same).unwrap_err(), KeySetError::SameId);
    let keys: Vec<Value> = (0..65).map(|_| rsa.public()).collect();
    let many = json!({ "keys": keys }).to_string();
    assert_eq!(KeySet::parse(many.as_bytes()).unwrap_err(), KeySetError::TooMany);
    assert_eq!(KeySet::parse(&vec![b' '; 300_000]).unwrap_err(), KeySetError::TooLarge);
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(KeySet::parse(&key_set(&[&ed, &rsa])).unwrap().count(), 2);
}

proptest! {
    #[test]
    fn a_token_that_was_changed_anywhere_is_refused(at in 0_usize..4096, to in "[A-Za-z0-9_.=-]") {
        let ed = Signer::ed25519("a");
        let good = ed.token(&claims());
        let at = at % good.len();
        let mut bad = good.clone();
        bad.replace_range(at..=at, &to);
        prop_assert!(bad == good || admit(&[&ed], &bad).is_err());
    }

    #[test]
    fn any_text_is_refused_without_a_panic(
        parts in proptest::collection::vec("\\PC{0,40}", 0..5),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let ed = Signer::ed25519("a");
        prop_assert!(admit(&[&ed], &parts.join(".")).is_err());
        let text = String::from_utf8_lossy(&bytes);
        let token = ed.raw(&ed.header().to_string(), &text);
        prop_assert!(admit(&[&ed], &token).is_err());
        prop_assert!(KeySet::parse(&bytes).is_err());
    }
}

/// A provider that can be away, and a clock that can be moved.
#[derive(Debug)]
struct World {
    set: std::sync::Mutex<Option<Vec<u8>>>,
    asked: AtomicUsize,
    now_ms: AtomicI64,
    kept: std::sync::Mutex<Option<(i64, Vec<u8>)>>,
}

impl KeySource for World {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, Cause>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let set = self.set.lock().unwrap().clone();
        Box::pin(async move { set.ok_or_else(|| "away".into()) })
    }
}

impl KeyKeeper for World {
    fn load(&self) -> BoxFuture<'_, Result<Option<KeptSet>, Cause>> {
        let kept = self.kept.lock().unwrap().clone();
        Box::pin(async move { Ok(kept) })
    }

    fn save<'a>(&'a self, fetched_ms: i64, set: &'a [u8]) -> BoxFuture<'a, Result<(), Cause>> {
        *self.kept.lock().unwrap() = Some((fetched_ms, set.to_vec()));
        Box::pin(async { Ok(()) })
    }
}

impl Clock for World {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

impl World {
    fn new(set: Option<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self {
            set: std::sync::Mutex::new(set),
            asked: AtomicUsize::new(0),
            now_ms: AtomicI64::new(NOW_S * 1000),
            kept: std::sync::Mutex::new(None),
        })
    }

    async fn open(self: &Arc<Self>) -> Oidc {
        let timing = Timing {
            refresh: Duration::from_mins(5),
            unknown_key_interval: Duration::from_secs(30),
            age_max: Duration::from_mins(10),
        };
        let source: Arc<dyn KeySource> = Arc::<Self>::clone(self);
        let keeper: Arc<dyn KeyKeeper> = Arc::<Self>::clone(self);
        let clock: Arc<dyn Clock> = Arc::<Self>::clone(self);
        Oidc::open(rules(), timing, (source, keeper), clock).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_leads_to_a_look_at_most_once_in_the_stated_time() {
    let (old, new) = (Signer::ed25519("old"), Signer::ed25519("new"));
    let world = World::new(Some(key_set(&[&old])));
    let oidc = world.open().await;
    assert!(oidc.identify(&old.token(&claims())).await.is_ok());
    assert_eq!(world.asked(), 1);
    // The provider changes its key; the first token with it makes the node look.
    *world.set.lock().unwrap() = Some(key_set(&[&new]));
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(oidc.identify(&new.token(&claims())).await.is_ok());
    assert_eq!(world.asked(), 2);
    // What was taken out is good no longer, and a flood of unknown keys is one look in thirty seconds.
    for _ in 0..100 {
        let refused = oidc.identify(&old.token(&claims())).await;
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{refused:?}");
    }
    assert_eq!(world.asked(), 2);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(oidc.identify(&old.token(&claims())).await.is_err());
    assert_eq!(world.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn keys_stay_good_while_the_provider_is_away_over_a_restart_and_not_for_ever() {
    let ed = Signer::ed25519("a");
    let world = World::new(None);
    let oidc = world.open().await;
    let none = oidc.identify(&ed.token(&claims())).await;
    assert!(matches!(none, Err(Error::Unavailable { .. })), "{none:?}");
    *world.set.lock().unwrap() = Some(key_set(&[&ed]));
    oidc.fetch().await.unwrap();
    // Away, or with a set that cannot be used: the one before stays.
    for bad in [None, Some(b"{}".to_vec())] {
        *world.set.lock().unwrap() = bad;
        assert!(oidc.fetch().await.is_err());
        assert!(oidc.identify(&ed.token(&claims())).await.is_ok());
    }
    drop(oidc);
    let again = world.open().await;
    assert!(again.identify(&ed.token(&claims())).await.is_ok());
    let late_s = NOW_S + 601;
    world.now_ms.store(late_s * 1000, Ordering::SeqCst);
    let late = ed.token(&with("exp", json!(late_s + 60)));
    let old = again.identify(&late).await;
    assert!(matches!(old, Err(Error::Unavailable { .. })), "{old:?}");
    *world.set.lock().unwrap() = Some(key_set(&[&ed]));
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(again.identify(&late).await.is_ok());
}

#[tokio::test]
async fn a_good_token_without_a_role_here_is_denied_and_not_unknown() {
    let ed = Signer::ed25519("a");
    let world = World::new(Some(key_set(&[&ed])));
    let oidc = world.open().await;
    let nobody = oidc.identify(&ed.token(&with("realm", json!({ "roles": ["guest"] })))).await;
    assert!(matches!(nobody, Err(Error::Denied { .. })), "{nobody:?}");
}

#[test]
fn a_role_can_stand_under_a_name_or_a_pointer() {
    let claims =
        json!({ "https://x.example/roles": 1, "a/b": { "~": 2 }, "r": { "a": { "s": 3 } } });
    let claims = claims.as_object().unwrap();
    for (path, found) in [
        ("https://x.example/roles", Some(1)),
        ("/https:~1~1x.example~1roles", Some(1)),
        ("/a~1b/~0", Some(2)),
        ("/r/a/s", Some(3)),
        ("/r/b", None),
        ("r/a", None),
    ] {
        assert_eq!(claim(claims, path).and_then(Value::as_i64), found, "{path}");
    }
}
