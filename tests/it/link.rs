//! The hub's side of the link: every RPC with a caller who may not, with input that cannot be, and
//! cut off; certificates; nodes that misbehave.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use xiangyi::config::{MemberSection, NodeRole};
use xiangyi::link::proto::xiangyi::link::v1 as pb;
use xiangyi::link::proto::xiangyi::link::v1::attend_request::Message as Said;
use xiangyi::link::proto::xiangyi::link::v1::attend_response::Message as Heard;
use xiangyi::link::proto::xiangyi::link::v1::deliver_objects_request::Message as Delivered;
use xiangyi::link::proto::xiangyi::link::v1::exchange_request::Message as Exchanged;
use xiangyi::link::proto::xiangyi::link::v1::link_service_client::LinkServiceClient;
use xiangyi::rpc::proto::xiangyi::node::v1 as nd;

use crate::audit::signed_head;
use crate::coverage::{bad_counts, counts};
use crate::harness::{TestNode, channel, hex};
use crate::images::small;

/// What the link can be called for.
const RPCS: [&str; 11] = [
    "Attend",
    "PublishStudies",
    "FindStudies",
    "FetchObjects",
    "DeliverObjects",
    "ListMembers",
    "Exchange",
    "LookUpRecords",
    "FetchRecord",
    "AnchorTrail",
    "TellCoverage",
];

fn member(name: &str) -> MemberSection {
    let digest = Sha256::digest(format!("token of {name}").as_bytes());
    MemberSection {
        name: name.to_owned(),
        area: String::new(),
        certificate_sha256: None,
        token_sha256: Some(hex(&digest)),
    }
}

async fn hub() -> TestNode {
    let setup = small().with(|c| {
        c.node.role = NodeRole::Hub;
        "hub".clone_into(&mut c.node.name);
        c.link.listen = Some("127.0.0.1:0".parse().unwrap());
        let a = MemberSection { area: "361181".to_owned(), ..member("a") };
        c.link.nodes = vec![a, member("b")];
    });
    setup.start().await
}

async fn client(hub: &TestNode) -> LinkServiceClient<Channel> {
    let address = hub.node.link_address().unwrap();
    LinkServiceClient::new(channel(&format!("http://{address}")).await)
}

fn with<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

fn attend(message: Said) -> pb::AttendRequest {
    pb::AttendRequest { message: Some(message) }
}

fn hello() -> pb::AttendRequest {
    attend(Said::Hello(pb::Hello { protocol: 1, version: "test".to_owned() }))
}

fn ticket(ticket: &str) -> pb::DeliverObjectsRequest {
    pb::DeliverObjectsRequest { message: Some(Delivered::Ticket(ticket.to_owned())) }
}

/// Calls an RPC with a message that is fine by itself.
async fn call(
    client: &mut LinkServiceClient<Channel>,
    rpc: &str,
    token: Option<&str>,
) -> Result<(), Status> {
    match rpc {
        "Attend" => {
            let said = tokio_stream::iter([hello()]);
            let mut heard = client.attend(with(said, token)).await?.into_inner();
            heard.message().await?.map(|_| ()).ok_or_else(|| Status::new(Code::Unknown, "nothing"))
        }
        "PublishStudies" => {
            let message =
                pb::PublishStudiesRequest { generation: "g".to_owned(), ..Default::default() };
            client.publish_studies(with(message, token)).await.map(|_| ())
        }
        "FindStudies" => {
            let message = pb::FindStudiesRequest { patient_id: "P".into(), ..Default::default() };
            client.find_studies(with(message, token)).await.map(|_| ())
        }
        "FetchObjects" => {
            let message = pb::FetchObjectsRequest {
                study_uid: "1.2".to_owned(),
                purpose: pb::Purpose::Treatment.into(),
                ..Default::default()
            };
            client.fetch_objects(with(message, token)).await.map(|_| ())
        }
        "DeliverObjects" => {
            let said = tokio_stream::iter([ticket("none")]);
            client.deliver_objects(with(said, token)).await.map(|_| ())
        }
        "ListMembers" => {
            client.list_members(with(pb::ListMembersRequest {}, token)).await.map(|_| ())
        }
        "Exchange" => {
            let said = tokio_stream::iter([exchange_hello("s", 0)]);
            client.exchange(with(said, token)).await.map(|_| ())
        }
        "LookUpRecords" => {
            let message = pb::LookUpRecordsRequest { question: Some(question()) };
            client.look_up_records(with(message, token)).await.map(|_| ())
        }
        "FetchRecord" => client.fetch_record(with(fetch_record(), token)).await.map(|_| ()),
        "AnchorTrail" => client.anchor_trail(with(signed_head("a"), token)).await.map(|_| ()),
        "TellCoverage" => client.tell_coverage(with(counts("361181"), token)).await.map(|_| ()),
        other => panic!("{other}"),
    }
}

fn question() -> pb::RecordQuestion {
    pb::RecordQuestion {
        name: "饶建国".to_owned(),
        health_card: "36110000000571".to_owned(),
        purpose: "TREAT".to_owned(),
        role: "village_doctor".to_owned(),
        asked_by: "doctor".to_owned(),
        decision: pb::LookUpDecision::Allowed.into(),
        ..Default::default()
    }
}

fn fetch_record() -> pb::FetchRecordRequest {
    pb::FetchRecordRequest { question: Some(question()), name: "r".to_owned(), version: 1 }
}

fn exchange(message: Exchanged) -> pb::ExchangeRequest {
    pb::ExchangeRequest { message: Some(message) }
}

fn exchange_hello(store: &str, last: u64) -> pb::ExchangeRequest {
    let hello = pb::ExchangeHello { store: store.to_owned(), last, ..Default::default() };
    exchange(Exchanged::Hello(hello))
}

/// Says this at the exchange and gives everything that is heard, with how it ended.
async fn exchanged(
    client: &mut LinkServiceClient<Channel>,
    said: Vec<pb::ExchangeRequest>,
) -> (Vec<pb::exchange_response::Message>, Option<Status>) {
    let count = said.len();
    let (say, saying) = mpsc::channel(count.max(1));
    for message in said {
        say.send(message).await.unwrap();
    }
    let request = with(ReceiverStream::new(saying), Some("token of a"));
    let mut heard = client.exchange(request).await.unwrap().into_inner();
    let mut all = Vec::new();
    while all.len() < count {
        match heard.message().await {
            Ok(Some(message)) => all.extend(message.message),
            Ok(None) => return (all, None),
            Err(status) => return (all, Some(status)),
        }
    }
    (all, None)
}

fn document(number: u64) -> pb::ExchangedDocument {
    let body = include_bytes!("../data/records/wst500-53-stroke.xml");
    pb::ExchangedDocument {
        number,
        kind: pb::DocumentKind::Record.into(),
        name: "2.16.156.10011.1.1^CYXJ20261118-0437".to_owned(),
        version: 1,
        media_type: "application/xml".to_owned(),
        sha256: Sha256::digest(body).to_vec().into(),
        body: body.to_vec().into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_hands_over_wrongly_is_put_aside_and_what_follows_is_kept() {
    use pb::DocumentOutcome::{Forked, Kept, Known, Refused};
    let hub = hub().await;
    let mut client = client(&hub).await;
    let outcome = |number, change: &dyn Fn(&mut pb::ExchangedDocument)| {
        let mut document = document(number);
        change(&mut document);
        exchange(Exchanged::Document(document))
    };
    let said = vec![
        exchange_hello("s", 5),
        outcome(1, &|d| d.sha256 = vec![7; 32].into()),
        outcome(2, &|d| {
            d.body = b"<ClinicalDocument".to_vec().into();
            d.sha256 = Sha256::digest(&d.body).to_vec().into();
        }),
        outcome(3, &|d| d.version = 0),
        outcome(4, &|_| ()),
        outcome(5, &|d| d.kind = pb::DocumentKind::Registration.into()),
        // The same again, and another document under a number that was used.
        outcome(4, &|_| ()),
        outcome(4, &|d| {
            d.name = "other".to_owned();
            d.body = [d.body.as_ref(), b"\n"].concat().into();
            d.sha256 = Sha256::digest(&d.body).to_vec().into();
        }),
    ];
    let (heard, ended) = exchanged(&mut client, said).await;
    assert!(ended.is_none(), "{ended:?}");
    let mut answers: Vec<_> = heard
        .iter()
        .filter_map(|message| match message {
            pb::exchange_response::Message::Answer(a) => Some((a.number, a.outcome(), &*a.code)),
            pb::exchange_response::Message::Welcome(_)
            | pb::exchange_response::Message::Document(_) => None,
        })
        .collect();
    answers.sort_by_key(|(number, outcome, _)| (*number, i32::from(*outcome)));
    assert_eq!(answers[0], (1, Refused, "digest_differs"));
    assert_eq!(answers[1], (2, Refused, "record_invalid"));
    assert_eq!(answers[2], (3, Refused, "version_impossible"));
    assert_eq!(answers[3].1, Kept);
    assert_eq!(answers[4].1, Known);
    assert_eq!(answers[5].1, Forked);
    assert_eq!(answers[6], (5, Refused, "registration_invalid"));
    // Who says what cannot be said is cut off, and only that line.
    let beats = vec![exchange(Exchanged::Kept(7))];
    for (said, word) in [
        (vec![pb::ExchangeRequest::default()], "message"),
        (vec![exchange_hello("", 0)], "hello.store"),
        (vec![outcome(1, &|_| ())], "before the welcome"),
        (vec![exchange_hello("s", 5), outcome(9, &|d| d.kind = 0)], "document.kind"),
        (vec![exchange_hello("s", 5), outcome(9, &|d| d.sha256 = vec![1].into())], "sha256"),
        ([vec![exchange_hello("s", 5)], beats].concat(), "not sent to it"),
    ] {
        let (_, ended) = exchanged(&mut client, said).await;
        let ended = ended.unwrap_or_else(|| panic!("{word}: goes on"));
        assert!(ended.message().contains(word), "{word}: {ended:?}");
    }
    // What one node says about another's store counts for nothing: names are those of the link.
    let (heard, ended) = exchanged(&mut client, vec![exchange_hello("s", 3)]).await;
    assert!(ended.is_none());
    let [pb::exchange_response::Message::Welcome(welcome)] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(welcome.standing(), pb::Standing::Forked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_callers_get_nothing_from_any_rpc_of_the_link() {
    let hub = hub().await;
    let mut client = client(&hub).await;
    for rpc in RPCS {
        for token in [None, Some(""), Some("wrong"), Some("token of c"), Some("token of a ")] {
            let status = call(&mut client, rpc, token).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{rpc} with {token:?}");
        }
        let outcome = call(&mut client, rpc, Some("token of a")).await;
        let absent = ["FetchObjects", "DeliverObjects"].contains(&rpc);
        let code = outcome.err().map(|status| status.code());
        assert_eq!(code, absent.then_some(Code::NotFound), "{rpc}");
    }
    // What a node shows at the link opens no other door.
    let mut nodes = nd::node_service_client::NodeServiceClient::new(
        channel(&format!("http://{}", hub.node.link_address().unwrap())).await,
    );
    let status =
        nodes.get_node_info(with(nd::GetNodeInfoRequest {}, Some("token of a"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

type Spoils = fn(&mut pb::RecordQuestion);

/// What makes a question one that cannot be, and the field.
fn bad_questions() -> [(Spoils, &'static str); 7] {
    [
        (|q| q.purpose.clear(), "question.purpose"),
        (|q| q.purpose.push('X'), "question.purpose"),
        (|q| q.role.push_str("_of_all"), "question.role"),
        (|q| q.decision = 0, "question.decision"),
        (|q| q.decision = pb::LookUpDecision::GlassBroken.into(), "reason"),
        (|q| q.health_card.clear(), "person.resident_id"),
        (|q| q.asked_by.clear(), "asked_by"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_refused_by_every_rpc_of_the_link_and_the_field_is_named() {
    let hub = hub().await;
    let mut client = client(&hub).await;
    let token = Some("token of a");
    let refused = |status: Status, word: &str| {
        assert_eq!(status.code(), Code::InvalidArgument, "{word}: {status:?}");
        assert!(status.message().contains(word), "{word}: {}", status.message());
    };
    let beat = attend(Said::Beat(pb::NodeBeat::default()));
    for first in [pb::AttendRequest::default(), beat] {
        let said = tokio_stream::iter([first]);
        refused(client.attend(with(said, token)).await.unwrap_err(), "message");
    }
    let newer = attend(Said::Hello(pb::Hello { protocol: 2, ..Default::default() }));
    let said = tokio_stream::iter([newer]);
    let status = client.attend(with(said, token)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);

    let studies = |count| vec![pb::Study { uid: "1".to_owned(), ..Default::default() }; count];
    let publication = |generation: &str, studies| pb::PublishStudiesRequest {
        generation: generation.to_owned(),
        studies,
        ..Default::default()
    };
    for (message, word) in [
        (publication("", Vec::new()), "generation"),
        (publication("不好", Vec::new()), "generation"),
        (publication("g", studies(201)), "studies"),
        (publication("g", vec![pb::Study::default()]), "studies"),
    ] {
        refused(client.publish_studies(with(message, token)).await.unwrap_err(), word);
    }
    let name = "王小东".to_owned();
    for (message, word) in [
        (pb::FindStudiesRequest::default(), "patient_name"),
        (pb::FindStudiesRequest { patient_name: name, ..Default::default() }, "birth date"),
        (
            pb::FindStudiesRequest { study_uids: vec!["1".into(); 201], ..Default::default() },
            "study_uids",
        ),
    ] {
        refused(client.find_studies(with(message, token)).await.unwrap_err(), word);
    }
    let fetch = pb::FetchObjectsRequest {
        study_uid: "1".to_owned(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    let object = pb::WantedObject { sha256: vec![0; 32].into(), ..Default::default() };
    let short = pb::WantedObject { sha256: vec![0; 31].into(), ..Default::default() };
    for (message, word) in [
        (pb::FetchObjectsRequest { purpose: 0, ..fetch.clone() }, "purpose"),
        (pb::FetchObjectsRequest { purpose: 77, ..fetch.clone() }, "purpose"),
        (pb::FetchObjectsRequest { objects: vec![short], ..fetch.clone() }, "sha256"),
        (pb::FetchObjectsRequest { objects: vec![object; 501], ..fetch }, "objects"),
    ] {
        refused(client.fetch_objects(with(message, token)).await.unwrap_err(), word);
    }
    for (change, word) in bad_questions() {
        let mut bad = question();
        change(&mut bad);
        let message = pb::LookUpRecordsRequest { question: Some(bad.clone()) };
        refused(client.look_up_records(with(message, token)).await.unwrap_err(), word);
        let message = pb::FetchRecordRequest { question: Some(bad), ..fetch_record() };
        refused(client.fetch_record(with(message, token)).await.unwrap_err(), word);
    }
    for (message, word) in [
        (signed_head("b"), "node"),
        (pb::AnchorTrailRequest { number: 4, ..signed_head("a") }, "signature"),
        (pb::AnchorTrailRequest { number: 0, ..signed_head("a") }, "number"),
        (pb::AnchorTrailRequest { sm3: vec![2].into(), ..signed_head("a") }, "sm3"),
        (pb::AnchorTrailRequest { key: vec![2].into(), ..signed_head("a") }, "key"),
    ] {
        refused(client.anchor_trail(with(message, token)).await.unwrap_err(), word);
    }
    for (message, word) in bad_counts() {
        refused(client.tell_coverage(with(message, token)).await.unwrap_err(), word);
    }
    let message = pb::LookUpRecordsRequest::default();
    refused(client.look_up_records(with(message, token)).await.unwrap_err(), "question");
    let message = pb::FetchRecordRequest { name: String::new(), ..fetch_record() };
    refused(client.fetch_record(with(message, token)).await.unwrap_err(), "name");
    let said = tokio_stream::iter([pb::DeliverObjectsRequest::default()]);
    refused(client.deliver_objects(with(said, token)).await.unwrap_err(), "ticket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_leave_nothing_behind_at_the_link() {
    let hub = hub().await;
    let mut client = client(&hub).await;
    for rpc in RPCS {
        for pause in [0, 1, 5] {
            let call = call(&mut client, rpc, Some("token of a"));
            let _ = tokio::time::timeout(Duration::from_millis(pause), call).await;
        }
    }
    let online = async |client: &mut LinkServiceClient<Channel>| {
        let request = with(pb::ListMembersRequest {}, Some("token of b"));
        let members = client.list_members(request).await.unwrap().into_inner().members;
        members.into_iter().find(|m| m.node == "a").unwrap().online
    };
    for _ in 0..100 {
        if !online(&mut client).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a node that was cut off still attends");
}

/// A node that attends by hand.
struct Attending {
    say: mpsc::Sender<pb::AttendRequest>,
    heard: tonic::Streaming<pb::AttendResponse>,
}

async fn attending(client: &mut LinkServiceClient<Channel>, token: &str) -> Attending {
    let (say, said) = mpsc::channel(8);
    say.send(hello()).await.unwrap();
    let heard = client.attend(with(ReceiverStream::new(said), Some(token))).await.unwrap();
    let mut heard = heard.into_inner();
    let welcome = heard.message().await.unwrap().and_then(|m| m.message);
    assert!(matches!(welcome, Some(Heard::Welcome(_))), "{welcome:?}");
    Attending { say, heard }
}

/// `a` publishes a study.
async fn publish(client: &mut LinkServiceClient<Channel>) {
    let study = pb::Study { uid: "1.2".to_owned(), instances: 1, ..Default::default() };
    let message = pb::PublishStudiesRequest {
        generation: "g".to_owned(),
        studies: vec![study],
        complete: true,
        ..Default::default()
    };
    client.publish_studies(with(message, Some("token of a"))).await.unwrap();
}

fn listing() -> pb::FetchObjectsRequest {
    pb::FetchObjectsRequest {
        study_uid: "1.2".to_owned(),
        purpose: pb::Purpose::Emergency.into(),
        requested_by: "doctor".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_fails_or_lies_hurts_nobody_but_the_one_fetch() {
    let hub = hub().await;
    let mut client = client(&hub).await;
    publish(&mut client).await;
    let mut a = attending(&mut client, "token of a").await;
    let piece = |piece| pb::DeliverObjectsRequest {
        message: Some(Delivered::Piece(pb::Piece { piece: Some(piece) })),
    };
    let failure = pb::DeliverObjectsRequest {
        message: Some(Delivered::Failure(pb::Failure { reason: "NOT_FOUND".to_owned() })),
    };
    let short = pb::ListedObject { sha256: vec![1].into(), ..Default::default() };
    let lies = pb::Listing { objects: vec![short] };
    for (answer, code) in [
        (vec![failure], Code::NotFound),
        (vec![piece(pb::piece::Piece::Listing(lies))], Code::InvalidArgument),
        (vec![pb::DeliverObjectsRequest::default()], Code::InvalidArgument),
        (vec![], Code::Unavailable),
    ] {
        let mut asker = client.clone();
        let asking = async move {
            let fetched = asker.fetch_objects(with(listing(), Some("token of b"))).await?;
            fetched.into_inner().message().await.map(|_| ())
        };
        let delivering = async {
            let order = a.heard.message().await.unwrap().and_then(|m| m.message);
            let Some(Heard::Order(order)) = order else { panic!("{order:?}") };
            assert_eq!((order.asked_by.as_str(), order.requested_by.as_str()), ("b", "doctor"));
            let said = std::iter::once(ticket(&order.ticket)).chain(answer);
            let said: Vec<_> = said.collect();
            let said = with(tokio_stream::iter(said), Some("token of a"));
            client.clone().deliver_objects(said).await.unwrap();
        };
        let (answered, ()) = tokio::join!(asking, delivering);
        assert_eq!(answered.unwrap_err().code(), code);
    }
    // And it still attends.
    let beat =
        pb::NodeBeat { index_current: true, number: 7, round_trip_us: 1, ..Default::default() };
    a.say.send(attend(Said::Beat(beat))).await.unwrap();
    let heard = a.heard.message().await.unwrap().and_then(|m| m.message);
    assert!(matches!(heard, Some(Heard::Beat(beat)) if beat.number == 7 && beat.time_ms > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_box_with_the_same_name_takes_over_and_the_first_is_told() {
    let hub = hub().await;
    let mut client = client(&hub).await;
    let mut first = attending(&mut client, "token of a").await;
    let _second = attending(&mut client, "token of a").await;
    assert_eq!(first.heard.message().await.unwrap_err().code(), Code::Aborted);
}

/// An authority, and a certificate that it signed: PEM files under `folder`, and the digest of it.
fn issue(
    folder: &Path,
    authority: &rcgen::CertifiedIssuer<'_, rcgen::KeyPair>,
    name: &str,
) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    hex(&Sha256::digest(certificate.der()))
}

fn authority(name: &str) -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_known_by_its_certificate_and_a_strangers_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (ours, others) = (authority("ours"), authority("others"));
    std::fs::write(path("ca.pem"), ours.pem()).unwrap();
    issue(folder.path(), &ours, "hub");
    let known = issue(folder.path(), &ours, "known");
    issue(folder.path(), &ours, "unknown");
    issue(folder.path(), &others, "foreign");
    let setup = small().with(|c| {
        c.node.role = NodeRole::Hub;
        "hub".clone_into(&mut c.node.name);
        c.link.listen = Some("127.0.0.1:0".parse().unwrap());
        c.link.tls_cert = Some(path("hub.pem"));
        c.link.tls_key = Some(path("hub.key"));
        c.link.tls_ca = Some(path("ca.pem"));
        c.link.nodes = vec![MemberSection {
            certificate_sha256: Some(known),
            token_sha256: None,
            ..member("a")
        }];
    });
    let hub = setup.start().await;
    let port = hub.node.link_address().unwrap().port();
    let joining = async |shown: &str| {
        let setup = small().with(|c| {
            "a".clone_into(&mut c.node.name);
            c.link.hub = Some(format!("https://localhost:{port}"));
            c.link.tls_ca = Some(path("ca.pem"));
            c.link.tls_cert = Some(path(&format!("{shown}.pem")));
            c.link.tls_key = Some(path(&format!("{shown}.key")));
        });
        let node = setup.start().await;
        let mut nodes = nd::node_service_client::NodeServiceClient::new(node.channel.clone());
        for _ in 0..60 {
            if nodes.list_nodes(nd::ListNodesRequest {}).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    };
    assert!(joining("known").await);
    assert!(!joining("unknown").await, "signed by ours and not among the nodes");
    assert!(!joining("foreign").await, "signed by another authority");
    // Nothing but TLS is answered on that port.
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://localhost:{port}"));
    let plain = endpoint.unwrap().connect().await;
    let answered = match plain {
        Ok(channel) => call(&mut LinkServiceClient::new(channel), "ListMembers", None).await,
        Err(_) => return,
    };
    assert!(answered.is_err());
}
