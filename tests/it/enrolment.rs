//! Nodes that enrol, renew and are taken back, and those who pretend: real hubs and nodes, real TLS.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code as Status_, Request, Status};
use xiangyi::app::access::Caller;
use xiangyi::app::chain;
use xiangyi::app::nodes::certificate::{Authority, NewKey, pem, requested};
use xiangyi::app::nodes::code::Code;
use xiangyi::app::nodes::ports::{Invitation, NodeCertificate, NodeEntry, NodeStore as _, Which};
use xiangyi::app::ports::Clock as _;
use xiangyi::config::{CaSection, Config, MemberSection, NodeRole};
use xiangyi::link::proto::xiangyi::link::v1 as pb;
use xiangyi::link::proto::xiangyi::link::v1::attend_request::Message as Said;
use xiangyi::link::proto::xiangyi::link::v1::attend_response::Message as Heard;
use xiangyi::link::proto::xiangyi::link::v1::enrolment_service_client::EnrolmentServiceClient;
use xiangyi::link::proto::xiangyi::link::v1::link_service_client::LinkServiceClient;
use xiangyi::node::enrolment::{Files, Held, enrol};
use xiangyi::node::nodes;
use xiangyi::rpc::proto::xiangyi::node::v1 as nd;
use xiangyi::store::sqlite::hub::nodes::NodeCertificates;
use xiangyi::tls::{self, Dial, H2, Identity, Versions};

use crate::harness::{Setup, TestNode, hex};
use crate::images::small;

/// What is looked at again within this: a minute, as is promised.
const EFFECTIVE_WITHIN: Duration = Duration::from_mins(1);
const DAY_MS: i64 = 24 * 3_600 * 1000;

/// A hub with its own authority, and what it was configured with.
pub(crate) struct Region {
    pub(crate) hub: TestNode,
    pub(crate) config: Config,
}

pub(crate) fn setup() -> Setup {
    let member = |name: &str| MemberSection {
        name: name.to_owned(),
        area: String::new(),
        certificate_sha256: None,
        token_sha256: Some(hex(&Sha256::digest(format!("token of {name}").as_bytes()))),
    };
    small().with(|c| {
        c.node.role = NodeRole::Hub;
        "hub".clone_into(&mut c.node.name);
        c.link.listen = Some("127.0.0.1:0".parse().unwrap());
        c.link.ca = Some(CaSection { names: vec!["localhost".to_owned()], ..CaSection::default() });
        let without = |name| MemberSection { token_sha256: None, ..member(name) };
        c.link.nodes = vec![without("a"), without("b"), member("old")];
    })
}

pub(crate) async fn region() -> Region {
    let setup = setup();
    let mut config = setup.config.clone();
    let hub = setup.start().await;
    hub.data.path().clone_into(&mut config.store.dir);
    Region { hub, config }
}

impl Region {
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.hub.node.link_address().unwrap().port())
    }

    pub(crate) async fn code(&self, node: &str) -> Code {
        let nodes = Box::pin(nodes::beside(&self.config)).await.unwrap();
        let caller = Caller::local("test");
        nodes.invite(&caller, node, Duration::from_hours(1)).await.unwrap().0
    }

    async fn certificates(&self) -> Vec<NodeCertificate> {
        let nodes = Box::pin(nodes::beside(&self.config)).await.unwrap();
        nodes.list(&Caller::local("test")).await.unwrap().0
    }

    async fn revoke(&self, which: Which) {
        let nodes = Box::pin(nodes::beside(&self.config)).await.unwrap();
        let caller = Caller::local("test");
        let revoked = nodes.revoke(&caller, which, "taken from the clinic").await.unwrap();
        assert!(!revoked.is_empty());
    }

    /// The hub's authority, as whoever stole its file has it.
    fn authority(&self) -> Authority {
        let file = nodes::authority_path(&self.config, self.config.link.ca.as_ref().unwrap());
        Authority::from_pem(&std::fs::read(file).unwrap()).unwrap()
    }

    /// A node's own configuration and data.
    pub(crate) fn clinic(&self, name: &str) -> (Config, tempfile::TempDir) {
        let data = tempfile::tempdir().unwrap();
        let setup = small().with(|c| {
            name.clone_into(&mut c.node.name);
            c.link.hub = Some(self.url());
            data.path().clone_into(&mut c.store.dir);
        });
        (setup.config, data)
    }

    /// One that has enrolled.
    pub(crate) async fn enrolled(&self, name: &str) -> (Held, Config, tempfile::TempDir) {
        let (config, data) = self.clinic(name);
        let code = self.code(name).await;
        Box::pin(enrol(&config, &self.url(), &code)).await.unwrap();
        (Files::of(&config).held().unwrap().unwrap(), config, data)
    }

    /// Takes all certificates of a node back.
    pub(crate) async fn revoke_node(&self, name: &str) {
        self.revoke(Which::Node(name.to_owned())).await;
    }

    /// Enrols the node of a configuration anew.
    pub(crate) async fn enrol_again(&self, config: &Config) {
        let code = self.code(&config.node.name).await;
        Box::pin(enrol(config, &self.url(), &code)).await.unwrap();
    }

    /// Dials with a certificate, or none.
    async fn dial(&self, shown: Option<Identity>) -> Result<Channel, String> {
        let roots = tls::roots(self.authority().pem().as_bytes()).unwrap();
        let config = tls::client(roots, shown, (Versions::Modern, &[H2])).unwrap();
        let endpoint = Dial::endpoint(&self.url()).unwrap();
        let channel = endpoint.connect_with_connector(Dial::new(config)).await;
        channel.map_err(|e| chain(&e))
    }

    /// What the hub answers to who shows this; a handshake that it cut is told as unavailable.
    async fn known(&self, shown: Option<Identity>) -> Result<(), Status_> {
        let Ok(channel) = self.dial(shown).await else { return Err(Status_::Unavailable) };
        let known = members(&mut LinkServiceClient::new(channel), None).await;
        // Where the line was cut, what that is called depends on the moment.
        known.map_err(|status| {
            if status.code() == Status_::Unauthenticated {
                Status_::Unauthenticated
            } else {
                Status_::Unavailable
            }
        })
    }

    async fn desk(&self) -> EnrolmentServiceClient<Channel> {
        EnrolmentServiceClient::new(self.dial(None).await.unwrap())
    }
}

async fn members(
    client: &mut LinkServiceClient<Channel>,
    token: Option<&str>,
) -> Result<(), Status> {
    let mut request = Request::new(pb::ListMembersRequest {});
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    client.list_members(request).await.map(|_| ())
}

/// Attends, and gives the name by which the hub welcomes.
async fn attending(channel: Channel) -> (String, mpsc::Sender<pb::AttendRequest>, Heart) {
    let (say, said) = mpsc::channel(4);
    let hello = pb::Hello { protocol: 1, version: "test".to_owned() };
    say.send(pb::AttendRequest { message: Some(Said::Hello(hello)) }).await.unwrap();
    let heard = LinkServiceClient::new(channel).attend(ReceiverStream::new(said)).await.unwrap();
    let mut heard = heard.into_inner();
    let welcome = heard.message().await.unwrap().and_then(|m| m.message);
    let Some(Heard::Welcome(welcome)) = welcome else { panic!("{welcome:?}") };
    (welcome.node, say, heard)
}

type Heart = tonic::Streaming<pb::AttendResponse>;

fn request(key: &NewKey) -> bytes::Bytes {
    key.request().unwrap().into()
}

fn now_ms() -> i64 {
    xiangyi::node::SystemClock.now_ms()
}

fn identity(key: &NewKey, certificate: &[u8]) -> Identity {
    Identity::from_pem(pem(certificate).as_bytes(), key.pem().as_bytes()).unwrap()
}

/// Whether a node reaches its region.
async fn is_linked(node: &TestNode) -> bool {
    let mut nodes = nd::node_service_client::NodeServiceClient::new(node.channel.clone());
    for _ in 0..200 {
        if nodes.list_nodes(nd::ListNodesRequest {}).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_enrolled_is_known_by_its_certificate_and_tokens_still_count() {
    let region = region().await;
    let (held, config, data) = region.enrolled("a").await;
    assert_eq!(held.node, "a");
    let left = held.certificate.until_ms - now_ms();
    assert!((89 * DAY_MS..=90 * DAY_MS).contains(&left), "{left}");
    let node = Setup { config }.start_in(data).await;
    assert!(is_linked(&node).await);
    // Whoever has a token as before needs no certificate, and whoever shows nothing gets nothing.
    let mut plain = LinkServiceClient::new(region.dial(None).await.unwrap());
    members(&mut plain, Some("token of old")).await.unwrap();
    for token in [None, Some("token of a"), Some("wrong")] {
        let refused = members(&mut plain, token).await.unwrap_err();
        assert_eq!(refused.code(), Status_::Unauthenticated);
    }
    let kept = region.certificates().await;
    assert_eq!((kept.len(), kept[0].node.as_str()), (1, "a"));
    assert_eq!(kept[0].serial, held.certificate.serial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_not_enrolled_runs_and_is_linked_once_it_has() {
    let region = region().await;
    let (config, data) = region.clinic("b");
    let mut nodes_config = config.clone();
    nodes_config.store.dir = data.path().to_owned();
    let node = Setup { config }.start_in(data).await;
    let mut nodes = nd::node_service_client::NodeServiceClient::new(node.channel.clone());
    nodes.list_nodes(nd::ListNodesRequest {}).await.unwrap_err();
    let code = region.code("b").await;
    Box::pin(enrol(&nodes_config, &region.url(), &code)).await.unwrap();
    assert!(is_linked(&node).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_callers_get_no_certificate() {
    let region = region().await;
    let mut desk = region.desk().await;
    // Renewing needs a certificate that the hub gave: none, a token and a stranger's are not one.
    let ask = |key: &NewKey| pb::RenewCertificateRequest { request: request(key) };
    let key = NewKey::make().unwrap();
    let refused = desk.renew_certificate(ask(&key)).await.unwrap_err();
    assert_eq!(refused.code(), Status_::Unauthenticated);
    let mut by_token = Request::new(ask(&key));
    by_token.metadata_mut().insert("authorization", "Bearer token of old".parse().unwrap());
    let refused = desk.renew_certificate(by_token).await.unwrap_err();
    assert_eq!(refused.code(), Status_::Unauthenticated);
    // A code that was guessed, that was made for nobody, or that is half of one.
    for code in [vec![0; 16], vec![7; 16]] {
        let message = pb::EnrolRequest { code: code.into(), request: request(&key) };
        let refused = desk.enrol(message).await.unwrap_err();
        assert_eq!(refused.code(), Status_::FailedPrecondition);
        assert!(refused.message().contains("no such code"), "{refused:?}");
    }
    // Too many, and the next has to wait, whatever it is.
    let code = region.code("a").await;
    for _ in 0..8 {
        let message = pb::EnrolRequest { code: vec![9; 16].into(), request: request(&key) };
        desk.enrol(message).await.unwrap_err();
    }
    let right = pb::EnrolRequest { code: code.secret().to_vec().into(), request: request(&key) };
    let refused = desk.enrol(right).await.unwrap_err();
    assert_eq!(refused.code(), Status_::ResourceExhausted, "{refused:?}");
    assert!(region.certificates().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_refused_by_enrolment_and_the_field_is_named() {
    let region = region().await;
    let mut desk = region.desk().await;
    let key = NewKey::make().unwrap();
    let code = region.code("a").await.secret().to_vec();
    let good = request(&key).to_vec();
    let altered: Vec<u8> = {
        let mut altered = good.clone();
        *altered.last_mut().unwrap() ^= 1;
        altered
    };
    for (code, request, field) in [
        (Vec::new(), good.clone(), "code"),
        (vec![1; 17], good.clone(), "code"),
        (code.clone(), Vec::new(), "request"),
        (code.clone(), vec![0x30; 5000], "request"),
        (code.clone(), altered, "request"),
    ] {
        let message = pb::EnrolRequest { code: code.into(), request: request.into() };
        let refused = desk.enrol(message).await.unwrap_err();
        assert_eq!(refused.code(), Status_::InvalidArgument, "{field}: {refused:?}");
        assert!(refused.message().contains(field), "{refused:?}");
    }
    let (held, _, _data) = region.enrolled("b").await;
    let channel = region.dial(Some(held.identity().unwrap())).await.unwrap();
    let refused = EnrolmentServiceClient::new(channel)
        .renew_certificate(pb::RenewCertificateRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Status_::InvalidArgument);
    // None of it used the code.
    let message = pb::EnrolRequest { code: code.into(), request: good.into() };
    desk.enrol(message).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_of_enrolment_leave_a_code_that_can_be_used() {
    let region = region().await;
    let (code, key) = (region.code("a").await.secret().to_vec(), NewKey::make().unwrap());
    let asked = || pb::EnrolRequest { code: code.clone().into(), request: request(&key) };
    for pause in [0, 1, 5, 20] {
        let mut desk = region.desk().await;
        let _ = tokio::time::timeout(Duration::from_millis(pause), desk.enrol(asked())).await;
    }
    let mut desk = region.desk().await;
    let first = desk.enrol(asked()).await.unwrap().into_inner();
    assert_eq!(desk.enrol(asked()).await.unwrap().into_inner(), first);
    assert_eq!(region.certificates().await.len(), 1);
    let shown = identity(&key, &first.issued.unwrap().certificate);
    let channel = region.dial(Some(shown)).await.unwrap();
    for pause in [0, 1, 5] {
        let mut desk = EnrolmentServiceClient::new(channel.clone());
        let next = request(&NewKey::make().unwrap());
        let ask = desk.renew_certificate(pb::RenewCertificateRequest { request: next });
        let _ = tokio::time::timeout(Duration::from_millis(pause), ask).await;
    }
    members(&mut LinkServiceClient::new(channel), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_passes_as_another_node() {
    let region = region().await;
    let (held, ..) = region.enrolled("a").await;
    // The certificate of `a` is `a`, whatever the node calls itself.
    let channel = region.dial(Some(held.identity().unwrap())).await.unwrap();
    assert_eq!(attending(channel).await.0, "a");
    let life = Duration::from_hours(24);
    let key = NewKey::make().unwrap();
    let asked = requested(&key.request().unwrap()).unwrap();
    // Of an authority that calls itself as the hub's does.
    let text = Authority::make("hub", now_ms()).unwrap();
    let foreign = Authority::from_pem(text.as_bytes()).unwrap();
    let forged = foreign.issue("a", &asked, (now_ms(), life)).unwrap();
    let shown = identity(&key, &forged.der);
    assert_eq!(region.known(Some(shown)).await, Err(Status_::Unavailable));
    // Signed by nobody.
    let own = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    let shown =
        Identity::from_pem(own.cert.pem().as_bytes(), own.signing_key.serialize_pem().as_bytes());
    assert_eq!(region.known(Some(shown.unwrap())).await, Err(Status_::Unavailable));
    // Signed with the hub's own stolen key, and unknown to its database.
    let stolen = region.authority().issue("a", &asked, (now_ms(), life)).unwrap();
    let shown = identity(&key, &stolen.der);
    assert_eq!(region.known(Some(shown)).await, Err(Status_::Unauthenticated));
    // One that has ended opens no line.
    let ended = region.authority().issue("a", &asked, (now_ms() - 10 * DAY_MS, life)).unwrap();
    let shown = identity(&key, &ended.der);
    assert_eq!(region.known(Some(shown)).await, Err(Status_::Unavailable));
    // The certificate without its key.
    let mixed = Identity::from_pem(pem(&held.certificate.der).as_bytes(), key.pem().as_bytes());
    let roots = tls::roots(region.authority().pem().as_bytes()).unwrap();
    tls::client(roots, Some(mixed.unwrap()), (Versions::Modern, &[H2])).unwrap_err();
    // And that of `a` gets no certificate of `b`: the name is not the node's to say.
    let channel = region.dial(Some(held.identity().unwrap())).await.unwrap();
    let ask = pb::RenewCertificateRequest { request: named_request("b") };
    let next = EnrolmentServiceClient::new(channel).renew_certificate(ask).await.unwrap();
    assert_eq!(next.into_inner().issued.unwrap().node, "a");
    assert!(region.certificates().await.iter().all(|c| c.node == "a"));
}

/// A request that names somebody.
fn named_request(name: &str) -> bytes::Bytes {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([format!("{name}.example")]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.serialize_request(&key).unwrap().der().to_vec().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_overheard_gives_nothing_that_can_be_used() {
    let region = region().await;
    let (code, key) = (region.code("a").await, NewKey::make().unwrap());
    let asked = pb::EnrolRequest { code: code.secret().to_vec().into(), request: request(&key) };
    let first = region.desk().await.enrol(asked.clone()).await.unwrap().into_inner();
    // Replayed it gives the same certificate, for a key that the thief has not.
    let again = region.desk().await.enrol(asked.clone()).await.unwrap().into_inner();
    assert_eq!(again, first);
    assert_eq!(region.certificates().await.len(), 1);
    // With the thief's own key it is refused; after some tries the code is good for nobody.
    for _ in 0..5 {
        let own = request(&NewKey::make().unwrap());
        let stolen = pb::EnrolRequest { request: own, ..asked.clone() };
        let refused = region.desk().await.enrol(stolen).await.unwrap_err();
        assert!(refused.message().contains("with another key"), "{refused:?}");
    }
    region.desk().await.enrol(asked.clone()).await.unwrap_err();
    // The request with another code of the thief's is for the key of the node all the same.
    let other = region.code("b").await.secret().to_vec();
    let moved = pb::EnrolRequest { code: other.into(), request: asked.request };
    let moved = region.desk().await.enrol(moved).await.unwrap().into_inner().issued.unwrap();
    assert_eq!(moved.node, "b");
    let shown = identity(&key, &moved.certificate);
    region.known(Some(shown)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_the_code_does_not_name_is_sent_nothing() {
    let (region, impostor) = (region().await, region().await);
    let (config, _data) = region.clinic("a");
    let code = region.code("a").await;
    // Another hub under the same name, which would learn the code.
    let error = Box::pin(enrol(&config, &impostor.url(), &code)).await.unwrap_err();
    let error = chain(error.as_ref());
    assert!(error.contains("UnknownIssuer"), "{error}");
    // A code whose half about the hub is another's, at the right hub.
    let wrong = Code::new(code.secret(), b"another hub");
    Box::pin(enrol(&config, &region.url(), &wrong)).await.unwrap_err();
    // A hub under a name that its certificate does not have.
    let elsewhere = region.url().replace("localhost", "127.0.0.1");
    Box::pin(enrol(&config, &elsewhere, &code)).await.unwrap_err();
    // Nothing was tried at either: the code is as it was made.
    assert!(region.certificates().await.is_empty() && impostor.certificates().await.is_empty());
    Box::pin(enrol(&config, &region.url(), &code)).await.unwrap();
    // Without TLS there is no way to say a code at all.
    let plain = region.url().replace("https", "http");
    let channel = tonic::transport::Endpoint::from_shared(plain).unwrap().connect().await;
    if let Ok(channel) = channel {
        let message = pb::EnrolRequest::default();
        EnrolmentServiceClient::new(channel).enrol(message).await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_for_another_node_is_not_lost_by_that() {
    let region = region().await;
    let (mut config, _data) = region.clinic("misnamed");
    let code = region.code("a").await;
    let error = Box::pin(enrol(&config, &region.url(), &code)).await.unwrap_err().to_string();
    assert!(error.contains("`a`") && error.contains("node.name"), "{error}");
    assert!(Files::of(&config).held().unwrap().is_none());
    "a".clone_into(&mut config.node.name);
    Box::pin(enrol(&config, &region.url(), &code)).await.unwrap();
    assert_eq!(Files::of(&config).held().unwrap().unwrap().node, "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_ends_within_a_minute_also_for_lines_that_are_open() {
    let region = region().await;
    let (held, ..) = region.enrolled("a").await;
    let (other, ..) = region.enrolled("b").await;
    let channel = region.dial(Some(held.identity().unwrap())).await.unwrap();
    let (_, _say, mut heard) = attending(channel.clone()).await;
    let others = region.dial(Some(other.identity().unwrap())).await.unwrap();
    let (_, _say_other, _heard_other) = attending(others.clone()).await;
    let begun = tokio::time::Instant::now();
    region.revoke(Which::Serial(held.certificate.serial.clone())).await;
    // The stream ends without anybody saying anything.
    let ended = tokio::time::timeout(EFFECTIVE_WITHIN, heard.message()).await;
    assert!(!matches!(ended.expect("the line stays open"), Ok(Some(_))));
    assert!(begun.elapsed() < EFFECTIVE_WITHIN);
    // The same line, and a new one, are nobody's; a token beside it changes nothing.
    members(&mut LinkServiceClient::new(channel), None).await.unwrap_err();
    let again = held.identity().unwrap();
    assert_eq!(region.known(Some(again)).await, Err(Status_::Unauthenticated));
    let again = region.dial(Some(held.identity().unwrap())).await.unwrap();
    let mut again = LinkServiceClient::new(again);
    let refused = members(&mut again, Some("token of old")).await.unwrap_err();
    assert_eq!(refused.code(), Status_::Unauthenticated);
    let next = pb::RenewCertificateRequest { request: request(&NewKey::make().unwrap()) };
    let channel = region.dial(Some(held.identity().unwrap())).await.unwrap();
    EnrolmentServiceClient::new(channel).renew_certificate(next).await.unwrap_err();
    // Others are not touched, and the node comes in again by a new code.
    members(&mut LinkServiceClient::new(others), None).await.unwrap();
    let (new, ..) = region.enrolled("a").await;
    region.known(Some(new.identity().unwrap())).await.unwrap();
}

/// A certificate that is as old as this, as if it had been given then.
async fn aged(region: &Region, node: &str, age: i64) -> (NewKey, Vec<u8>) {
    let key = NewKey::make().unwrap();
    let asked = requested(&key.request().unwrap()).unwrap();
    let issued_ms = now_ms() - age;
    let life = Duration::from_hours(90 * 24);
    let signed = region.authority().issue(node, &asked, (issued_ms, life)).unwrap();
    let store = NodeCertificates::open(&region.config.store.dir.join("hub.db"));
    let entry = || NodeEntry {
        at_ms: issued_ms,
        node: node.to_owned(),
        action: "test",
        outcome: "ok".to_owned(),
        detail: String::new(),
    };
    let code = [3; 32];
    let until_ms = i64::MAX / 2;
    let (made_ms, owner) = (issued_ms, node.to_owned());
    let invitation = Invitation { code, node: owner, made_ms, until_ms, key: None, failures: 0 };
    store.invite(invitation, entry()).await.unwrap();
    let certificate = NodeCertificate {
        sha256: Sha256::digest(&signed.der).into(),
        serial: signed.serial,
        node: node.to_owned(),
        key: asked.sha256,
        der: signed.der.clone(),
        issued_ms,
        until_ms: signed.until_ms,
        seen_ms: 0,
        revoked: None,
    };
    store.enrol(code, certificate, 5, entry()).await.unwrap();
    (key, signed.der)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_renews_its_certificate_by_itself_with_a_new_key() {
    let region = region().await;
    let (held, config, data) = region.enrolled("a").await;
    // As if it had enrolled 80 days ago.
    let (key, old) = aged(&region, "a", 80 * DAY_MS).await;
    let file = Files::of(&config).identity();
    std::fs::write(&file, format!("{}{}", pem(&old), key.pem())).unwrap();
    let files = Files::of(&config);
    let setup = Setup { config }.metrics();
    let node = setup.start_in(data).await;
    assert!(is_linked(&node).await);
    let mut renewed = None;
    for _ in 0..200 {
        let now = files.held().unwrap().unwrap();
        if now.certificate.der != old {
            renewed = Some(now);
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let renewed = renewed.expect("not renewed");
    assert!(renewed.certificate.until_ms - now_ms() > 89 * DAY_MS);
    let kept = region.certificates().await;
    assert_eq!(kept.len(), 3);
    let new = kept.iter().find(|c| c.serial == renewed.certificate.serial).unwrap();
    assert!(kept.iter().all(|c| c.serial == new.serial || c.key != new.key), "the same key again");
    // The next line shows the new one, and the hub knows it; the one of before holds until its end.
    region.known(Some(renewed.identity().unwrap())).await.unwrap();
    region.known(Some(identity(&key, &old))).await.unwrap();
    region.known(Some(held.identity().unwrap())).await.unwrap();
    let metrics = node.metrics().await;
    let days = metrics.lines().find(|l| l.starts_with("xiangyi_link_certificate_days")).unwrap();
    assert!(days.ends_with(" 89") || days.ends_with(" 90"), "{days}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_certificate_has_ended_says_to_enrol_again() {
    let region = region().await;
    let (_, config, _data) = region.enrolled("a").await;
    let (key, old) = aged(&region, "a", 100 * DAY_MS).await;
    std::fs::write(Files::of(&config).identity(), format!("{}{}", pem(&old), key.pem())).unwrap();
    assert_eq!(region.known(Some(identity(&key, &old))).await, Err(Status_::Unavailable));
    // Enrolling again puts another in its place.
    let code = region.code("a").await;
    Box::pin(enrol(&config, &region.url(), &code)).await.unwrap();
    let held = Files::of(&config).held().unwrap().unwrap();
    region.known(Some(held.identity().unwrap())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_with_another_authority_than_its_database_does_not_start() {
    let region = region().await;
    let Region { hub, mut config } = region;
    let TestNode { node, data, .. } = hub;
    assert!(node.stop().await);
    config.store.dir = data.path().to_owned();
    let file = nodes::authority_path(&config, config.link.ca.as_ref().unwrap());
    // A file that others may read is refused by name.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Box::pin(nodes::beside(&config)).await.unwrap_err();
    assert!(chain(&error).contains("chmod 600"), "{}", chain(&error));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Box::pin(nodes::beside(&config)).await.unwrap();
    // Without it the hub would make another, which gave none of the certificates that there are.
    std::fs::remove_file(&file).unwrap();
    let error = Box::pin(xiangyi::node::Node::start(config)).await.expect_err("started");
    assert!(chain(&error).contains("link.ca"), "{}", chain(&error));
    drop(data);
}
