//! A real identity provider over HTTP, and a real node that takes its tokens.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message as _;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;
use xiangyi::app::access::Role;
use xiangyi::config::OidcSection;
use xiangyi::rpc::proto::xiangyi::identity::v1 as id;

use crate::harness::{Setup, TestNode, complaint};

const WHO_AM_I: &str = "/xiangyi.identity.v1.IdentityService/WhoAmI";
const DIAGNOSE: &str = "/xiangyi.diagnosis.v1.DiagnosisService/Diagnose";
const RELOAD: &str = "/xiangyi.model.v1.ModelService/ReloadModels";

/// Answers every request with what it has now; while it has nothing it hangs up.
struct Provider {
    address: SocketAddr,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    asked: Arc<AtomicUsize>,
}

struct Key {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Key {
    fn new(kid: &str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { kid: kid.to_owned(), pair: Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap() }
    }

    fn public(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig", "x": x })
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.kid, "typ": "JWT" }).to_string();
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let (set, count) = (Arc::<Mutex<Option<Vec<u8>>>>::clone(&answer), Arc::clone(&asked));
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let body = set.lock().unwrap().clone();
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                if let Some(body) = body {
                    let _ = stream.write_all(&body).await;
                }
            }
        });
        Self { address, answer, asked }
    }

    fn has(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        self.says("200 OK", &json!({ "keys": keys }).to_string());
    }

    fn says(&self, status: &str, body: &str) {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close");
        *self.answer.lock().unwrap() = Some(format!("{head}\r\n\r\n{body}").into_bytes());
    }

    fn away(&self) {
        *self.answer.lock().unwrap() = None;
    }

    fn node(&self) -> Setup {
        let section = OidcSection {
            issuer: "https://id.example".to_owned(),
            audiences: vec!["xiangyi".to_owned()],
            jwks_url: Some(format!("http://{}/jwks", self.address)),
            refresh_s: 3600,
            unknown_key_interval_s: 1,
            scope_claim: Some("areas".to_owned()),
            roles: [
                ("doctor".to_owned(), Role::VillageDoctor),
                ("admin".to_owned(), Role::Administrator),
            ]
            .into(),
            ..OidcSection::default()
        };
        Setup::new().with(|config| config.auth.oidc = Some(section))
    }
}

fn now_s() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "tokens of a real node need the real time")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims(role: &str) -> Value {
    json!({
        "iss": "https://id.example", "aud": ["xiangyi"], "sub": "li.si", "exp": now_s() + 300,
        "iat": now_s(), "roles": [role], "areas": ["361127"],
    })
}

async fn who(node: &TestNode, token: &str) -> Result<id::WhoAmIResponse, Code> {
    let answer = node.raw(WHO_AM_I, Vec::new(), Some(token)).await.map_err(|s| s.code())?;
    Ok(id::WhoAmIResponse::decode(answer.as_slice()).unwrap())
}

/// Asks until the token is taken: the node looks at the keys again a second after it did last.
async fn until_known(node: &TestNode, token: &str) {
    let begun = tokio::time::Instant::now();
    while who(node, token).await.is_err() {
        assert!(begun.elapsed().as_secs() < 60, "the keys are never looked at again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_provider_come_in_by_their_role_and_nobody_else_does() {
    let (provider, key, thief) = (Provider::start().await, Key::new("a"), Key::new("a"));
    provider.has(&[&key]);
    let node = provider.node().start().await;
    let known = who(&node, &key.token(&claims("doctor"))).await.unwrap();
    let person = known.person.unwrap();
    assert_eq!((person.name.as_str(), person.role.as_str()), ("oidc:li.si", "village_doctor"));
    assert_eq!((person.scope, known.has_session), (vec!["361127".to_owned()], false));

    let (doctor, admin) = (key.token(&claims("doctor")), key.token(&claims("admin")));
    let message = complaint("发热3天，咳嗽").encode_to_vec();
    assert!(node.raw(DIAGNOSE, message.clone(), Some(&doctor)).await.is_ok());
    let denied = node.raw(DIAGNOSE, message, Some(&admin)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let denied = node.raw(RELOAD, Vec::new(), Some(&doctor)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(who(&node, &key.token(&claims("guest"))).await.unwrap_err(), Code::PermissionDenied);

    let with = |name: &str, value: Value| {
        let mut claims = claims("admin");
        claims[name] = value;
        claims
    };
    let good = key.token(&claims("admin"));
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let hmac = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"a"}"#);
    for (what, forged) in [
        ("unsigned", format!("{unsigned}.{}.", parts[1])),
        ("hmac", format!("{hmac}.{}.{}", parts[1], parts[2])),
        ("thief", thief.token(&claims("admin"))),
        ("unknown key", Key::new("zz").token(&claims("admin"))),
        ("audience", key.token(&with("aud", json!("other")))),
        ("issuer", key.token(&with("iss", json!("https://evil.example")))),
        ("expired", key.token(&with("exp", json!(now_s() - 61)))),
        ("no end", key.token(&with("exp", json!(null)))),
        ("long life", key.token(&with("exp", json!(now_s() + 200_000)))),
        ("early", key.token(&with("nbf", json!(now_s() + 600)))),
        ("line", key.token(&with("sub", json!("a\nlevel=error")))),
        ("spliced", format!("{}.{}.{}", parts[0], parts[1], doctor.rsplit_once('.').unwrap().1)),
        ("long", format!("{good}{}", "A".repeat(9000))),
        ("empty", String::new()),
        ("dots", "..".to_owned()),
    ] {
        assert_eq!(who(&node, &forged).await.unwrap_err(), Code::Unauthenticated, "{what}");
    }
    let unsaid = node.raw(WHO_AM_I, Vec::new(), None).await.unwrap_err();
    assert_eq!(unsaid.code(), Code::Unauthenticated);
    // Nothing is open without credentials: there are no accounts here.
    let sign_in = "/xiangyi.identity.v1.IdentityService/SignIn";
    let refused = node.raw(sign_in, Vec::new(), None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = node.raw(sign_in, Vec::new(), Some(&doctor)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_counts_at_once_and_the_keys_outlast_the_provider_and_a_restart() {
    let (provider, old, new) = (Provider::start().await, Key::new("old"), Key::new("new"));
    provider.has(&[&old]);
    let node = provider.node().start().await;
    assert!(who(&node, &old.token(&claims("doctor"))).await.is_ok());

    // The provider changes its keys: the old one is good until the node looks, the new one makes it look.
    provider.has(&[&new]);
    assert!(who(&node, &old.token(&claims("doctor"))).await.is_ok());
    until_known(&node, &new.token(&claims("doctor"))).await;
    let gone = who(&node, &old.token(&claims("doctor"))).await;
    assert_eq!(gone.unwrap_err(), Code::Unauthenticated);

    // A flood of unknown keys asks the provider hardly ever.
    let before = provider.asked.load(Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    for at in 0..100 {
        let unknown = Key::new(&at.to_string()).token(&claims("doctor"));
        assert_eq!(who(&node, &unknown).await.unwrap_err(), Code::Unauthenticated);
    }
    let asked = provider.asked.load(Ordering::SeqCst) - before;
    let most = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    assert!(asked <= most, "asked {asked} times, {most} at most");

    // Away, broken, or with nothing that can be used: the last keys stay, over a restart too.
    provider.away();
    assert!(who(&node, &new.token(&claims("doctor"))).await.is_ok());
    let TestNode { node, data, .. } = node;
    assert!(node.stop().await);
    for (status, body) in [("302 Found", ""), ("200 OK", "<html>")] {
        provider.says(status, body);
        let copied = tempfile::tempdir().unwrap();
        let kept = "oidc-keys.json";
        std::fs::copy(data.path().join(kept), copied.path().join(kept)).unwrap();
        let again = provider.node().start_in(copied).await;
        assert!(who(&again, &new.token(&claims("doctor"))).await.is_ok(), "{status} {body}");
        assert!(again.node.stop().await);
    }
    // Keys that were kept of another issuer are none.
    let other = provider.node().with(|config| {
        let oidc = config.auth.oidc.as_mut().unwrap();
        oidc.issuer = "https://other.example".to_owned();
    });
    let other = other.start_in(data).await;
    let nothing = who(&other, &new.token(&claims("doctor"))).await;
    assert_eq!(nothing.unwrap_err(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_set_without_end_is_not_read_to_its_end() {
    let (provider, key) = (Provider::start().await, Key::new("a"));
    provider.says("200 OK", &" ".repeat(1 << 20));
    let node = provider.node().start().await;
    let nothing = who(&node, &key.token(&claims("doctor"))).await;
    assert_eq!(nothing.unwrap_err(), Code::Unavailable);
    provider.has(&[&key]);
    until_known(&node, &key.token(&claims("doctor"))).await;
}
