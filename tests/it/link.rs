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
use xiangyi::link::proto::xiangyi::link::v1::link_service_client::LinkServiceClient;
use xiangyi::rpc::proto::xiangyi::node::v1 as nd;

use crate::harness::{TestNode, channel, hex};
use crate::images::small;

/// What the link can be called for.
const RPCS: [&str; 6] =
    ["Attend", "PublishStudies", "FindStudies", "FetchObjects", "DeliverObjects", "ListMembers"];

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
        c.link.nodes = vec![member("a"), member("b")];
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
        other => panic!("{other}"),
    }
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
    let beat = pb::NodeBeat { index_current: true, number: 7, round_trip_us: 1 };
    a.say.send(attend(Said::Beat(beat))).await.unwrap();
    let heard = a.heard.message().await.unwrap().and_then(|m| m.message);
    assert_eq!(heard, Some(Heard::Beat(pb::HubBeat { number: 7 })));
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
