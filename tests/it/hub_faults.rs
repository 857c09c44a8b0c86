//! A hub in trouble: its database away, nodes that send what they should not.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnectOptions;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use xiangyi::config::{Config, NodeRole};
use xiangyi::link::proto::xiangyi::link::v1 as lk;
use xiangyi::link::proto::xiangyi::link::v1::exchange_request::Message as Said;
use xiangyi::link::proto::xiangyi::link::v1::exchange_response::Message as Heard;
use xiangyi::link::proto::xiangyi::link::v1::link_service_client::LinkServiceClient;
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;

use crate::harness::{Setup, TestNode, bad_fields, channel, http_get, reason};
use crate::postgres::{drop_schema, schema, url};
use crate::records::{NODES, exchange, handed_over, has, node, status, stroke, submit, wire};
use crate::region::{member, token, until};

const MIB: usize = 1024 * 1024;

/// A hub with its documents in `schema` of the database at `url`, and a key of its own.
async fn hub_on(url: &str, schema: &str) -> TestNode {
    let section = format!("[exchange]\npostgres_url = \"{url}\"\npostgres_schema = \"{schema}\"\n");
    let hub = "[node]\nrole = \"hub\"\n[link]\nlisten = \"127.0.0.1:1\"\n";
    let section = format!("{section}key_file = \"hub.key\"\n{hub}");
    let read = Config::parse("test", &section, &std::collections::BTreeMap::new()).unwrap();
    let data = tempfile::tempdir().unwrap();
    let key = data.path().join("hub.key");
    std::fs::write(&key, [7; 32]).unwrap();
    let setup = Setup::new().metrics().with(|c| {
        "hub".clone_into(&mut c.node.name);
        c.node.role = NodeRole::Hub;
        c.link.listen = Some("127.0.0.1:0".parse().unwrap());
        c.link.nodes = NODES.map(|(name, area)| member(name, area)).to_vec();
        c.exchange = read.exchange;
        c.exchange.key_file = Some(key);
    });
    setup.start_in(data).await
}

/// A hub that measures itself.
async fn hub(change: impl FnOnce(&mut Config)) -> TestNode {
    let setup = Setup::new().metrics().with(|c| {
        "hub".clone_into(&mut c.node.name);
        c.node.role = NodeRole::Hub;
        c.link.listen = Some("127.0.0.1:0".parse().unwrap());
        c.link.nodes = NODES.map(|(name, area)| member(name, area)).to_vec();
        change(c);
    });
    setup.start().await
}

/// A node that measures itself.
async fn measured(name: &str, hub: SocketAddr) -> TestNode {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("link-token");
    std::fs::write(&file, token(name)).unwrap();
    let role = if name == "county" { NodeRole::Hospital } else { NodeRole::Clinic };
    let setup = Setup::new().metrics().with(|c| {
        name.clone_into(&mut c.node.name);
        c.node.role = role;
        c.link.hub = Some(format!("http://{hub}"));
        c.link.token_file = Some(file);
    });
    setup.start_in(data).await
}

/// What a metric of the exchange says now.
async fn measure(node: &TestNode, name: &str) -> i64 {
    let text = node.metrics().await;
    let line = text.lines().find_map(|l| l.strip_prefix(&format!("xiangyi_exchange_{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not measured:\n{text}")).parse().unwrap()
}

/// Waits until metrics of the exchange say this.
async fn measures(node: &TestNode, expected: &[(&str, i64)]) {
    until(&format!("{expected:?}"), async || {
        for (name, value) in expected {
            if measure(node, name).await != *value {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// A line to the hub on which a test says what it likes, under a node's name.
struct Line {
    say: mpsc::Sender<lk::ExchangeRequest>,
    heard: Streaming<lk::ExchangeResponse>,
}

impl Line {
    async fn open(channel: Channel, name: &str, store: &str) -> Result<Self, Status> {
        let (say, saying) = mpsc::channel(1);
        let hello = lk::ExchangeHello { store: store.to_owned(), last: 999, ..Default::default() };
        say.send(said(Said::Hello(hello))).await.unwrap();
        let mut request = Request::new(ReceiverStream::new(saying));
        let bearer = format!("Bearer {}", token(name)).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let heard = LinkServiceClient::new(channel).exchange(request).await?.into_inner();
        let mut line = Self { say, heard };
        assert!(matches!(line.hear().await, Heard::Welcome(_)));
        Ok(line)
    }

    async fn hear(&mut self) -> Heard {
        self.heard.message().await.unwrap().unwrap().message.unwrap()
    }

    /// The outcome of so many documents, in the order in which they are answered.
    async fn outcomes(&mut self, count: usize) -> Vec<lk::DocumentOutcome> {
        let mut outcomes = Vec::new();
        while outcomes.len() < count {
            if let Heard::Answer(answer) = self.hear().await {
                outcomes.push(answer.outcome());
            }
        }
        outcomes
    }
}

fn said(message: Said) -> lk::ExchangeRequest {
    lk::ExchangeRequest { message: Some(message) }
}

fn document(number: u64, kind: lk::DocumentKind, name: &str, body: Vec<u8>) -> lk::ExchangeRequest {
    said(Said::Document(lk::ExchangedDocument {
        number,
        kind: kind.into(),
        name: name.to_owned(),
        version: 1,
        media_type: "application/xml".to_owned(),
        sha256: Sha256::digest(&body).to_vec().into(),
        body: body.into(),
        ..lk::ExchangedDocument::default()
    }))
}

/// Whether the service says that it serves; empty: the whole node.
async fn serves(node: &TestNode, service: &str) -> bool {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(node.channel.clone()).check(request).await.unwrap().into_inner().status == 1
}

/// Passes bytes on from `near` to `far` as long as the test lives.
async fn forward(near: SocketAddr, far: SocketAddr) {
    let listener = TcpListener::bind(near).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut far) = TcpStream::connect(far).await {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_starts_without_its_database_and_goes_on_when_it_is_there() {
    let Some(url) = url() else { return };
    let schema = schema("away");
    let there: PgConnectOptions = url.parse().unwrap();
    // A port on which nobody listens yet.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = format!("{}:{}", there.get_host(), there.get_port());
    let away = url.replacen(&away, &port.to_string(), 1);
    assert_ne!(away, url);
    let hub = hub_on(&away, &schema).await;
    let refused = exchange(&hub).list_exchange_nodes(pb::ListExchangeNodesRequest {}).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "UNAVAILABLE"));
    assert!(refused.message().contains("store of documents"), "{}", refused.message());
    let (line, text) = http_get(hub.node.metrics_address().unwrap(), "/healthz").await;
    assert!(line.contains("503") && text.contains("store of documents"), "{line} {text}");
    // The exchange cannot be used; everything else can.
    for (service, is_serving) in [
        ("", false),
        ("xiangyi.records.v1.ExchangeService", false),
        ("xiangyi.diagnosis.v1.DiagnosisService", true),
    ] {
        assert_eq!(serves(&hub, service).await, is_serving, "{service}");
    }
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let kept = submit(&county, stroke("CYXJ-1")).await;
    assert_eq!(status(&county).await.waiting, 1);
    forward(port, SocketAddr::new("127.0.0.1".parse().unwrap(), there.get_port())).await;
    handed_over(&county).await;
    has(&village, &kept.name, kept.version).await;
    let (line, _) = http_get(hub.node.metrics_address().unwrap(), "/healthz").await;
    assert!(line.contains("200"), "{line}");
    until("the exchange serves", async || {
        (serves(&hub, "xiangyi.records.v1.ExchangeService").await && serves(&hub, "").await)
            .then_some(())
    })
    .await;
    for node in [county, village, hub] {
        assert!(node.node.stop().await, "drains");
    }
    drop_schema(&url, &schema).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_exchange_tells_of_the_fault_that_it_is_for() {
    let hub = hub(|_| ()).await;
    let address = hub.node.link_address().unwrap();
    let (through, joined) = wire(address).await;
    let (county, village) = (measured("county", through).await, measured("village", address).await);
    let quiet = [("waiting", 0), ("stuck", 0), ("oldest_milliseconds", 0)];
    measures(&county, &quiet).await;
    measures(&county, &[("oldest_age_milliseconds", 0), ("received", 0), ("unreadable", 0)]).await;
    measures(&hub, &[("quarantined", 0)]).await;
    // A line that is cut: what waits, and since when.
    joined.send_replace(false);
    let begun = tokio::time::Instant::now();
    let first = submit(&county, stroke("CYXJ-1")).await;
    submit(&county, stroke("CYXJ-2")).await;
    measures(&county, &[("waiting", 2), ("stuck", 0)]).await;
    let oldest = measure(&county, "oldest_milliseconds").await;
    assert_eq!(oldest, status(&county).await.oldest_ms);
    let aged = until("it grows old", async || {
        let age = measure(&county, "oldest_age_milliseconds").await;
        (age > 1_000).then_some(age)
    })
    .await;
    assert!(u128::try_from(aged).unwrap() <= begun.elapsed().as_millis() + 1_000, "{aged}");
    assert_eq!(measure(&village, "received").await, 0);
    joined.send_replace(true);
    measures(&county, &quiet).await;
    measures(&county, &[("oldest_age_milliseconds", 0), ("received", 0)]).await;
    measures(&village, &[("received", 2), ("unreadable", 0), ("waiting", 0)]).await;
    // What the hub had in hand is done with.
    measures(&hub, &[("receiving_bytes", 0), ("quarantined", 0)]).await;
    assert!(measure(&hub, "receiving_peak_bytes").await > 1_000);
    // What a village cannot read: a task that says nothing.
    let mut line = Line::open(channel(&format!("http://{address}")).await, "elsewhere", "s").await;
    let line = line.as_mut().unwrap();
    let task = document(1, lk::DocumentKind::Task, &format!("{}#1", first.name), b"?".to_vec());
    line.say.send(task).await.unwrap();
    assert_eq!(line.outcomes(1).await, [lk::DocumentOutcome::Kept]);
    measures(&village, &[("received", 3), ("unreadable", 1)]).await;
    // A document that the hub does not take: another node has its name.
    let (theirs, mine) = (stroke("CYXJ-3"), [stroke("CYXJ-3"), b"\n".to_vec()].concat());
    let name = first.name.replace("CYXJ-1", "CYXJ-3");
    line.say.send(document(2, lk::DocumentKind::Record, &name, theirs)).await.unwrap();
    assert_eq!(line.outcomes(1).await, [lk::DocumentOutcome::Kept]);
    let stuck = submit(&county, mine.clone()).await;
    assert_eq!(stuck.name, name);
    measures(&county, &[("stuck", 1), ("waiting", 1)]).await;
    measures(&hub, &[("quarantined", 1), ("receiving_bytes", 0)]).await;
    dealt_with(&hub, (&name, &mine)).await;
    measures(&hub, &[("quarantined", 0)]).await;
}

/// What `xiangyi exchange quarantine` prints.
async fn quarantine(arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xiangyi"));
    command.args(["exchange", "quarantine"]).args(arguments);
    let done = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// An operator looks at what was put aside, and says what came of it.
async fn dealt_with(hub: &TestNode, (name, bytes): (&str, &[u8])) {
    let list = async |include_settled| {
        let request = pb::ListQuarantinedRequest { include_settled, ..Default::default() };
        exchange(hub).list_quarantined(request).await.unwrap().into_inner().documents
    };
    let listed = list(false).await.remove(0);
    assert_eq!((listed.node.as_str(), listed.name.as_str()), ("county", name));
    assert_eq!((listed.kind.as_str(), listed.code.as_str()), ("record", "name_taken"));
    assert_eq!((listed.version, listed.bytes), (1, u64::try_from(bytes.len()).unwrap()));
    assert!(listed.times >= 1 && listed.first_ms > 0 && listed.last_ms >= listed.first_ms);
    let get = pb::GetQuarantinedRequest { id: listed.id };
    let found = exchange(hub).get_quarantined(get).await.unwrap().into_inner();
    assert_eq!(&found.content[..], bytes, "the bytes are those that the hospital sent");
    assert_eq!(found.sha256, crate::harness::hex(&Sha256::digest(bytes)));
    assert_eq!(found.document.unwrap().id, listed.id);
    // So does the command line.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("original");
    let url = format!("http://{}", hub.node.address());
    let id = listed.id.to_string();
    let text = quarantine(&["list", "--node", "county", "--json", "--server", &url]).await;
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["documents"][0]["id"], id);
    let get = ["get", &id, "--server", &url, "--out", out.to_str().unwrap()];
    assert!(quarantine(&get).await.contains("name_taken"));
    assert_eq!(std::fs::read(&out).unwrap(), bytes);
    let settle =
        |id, finding: &str| pb::SettleQuarantinedRequest { id, finding: finding.to_owned() };
    let refused = exchange(hub).settle_quarantined(settle(listed.id, " ")).await.unwrap_err();
    assert_eq!(bad_fields(&refused), ["finding"]);
    let refused = exchange(hub).settle_quarantined(settle(listed.id + 9, "x")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    for id in [0, listed.id + 9] {
        let refused = exchange(hub).get_quarantined(pb::GetQuarantinedRequest { id }).await;
        let code = if id == 0 { Code::InvalidArgument } else { Code::NotFound };
        assert_eq!(refused.unwrap_err().code(), code);
    }
    let settled = exchange(hub).settle_quarantined(settle(listed.id, "医院已换版本重发")).await;
    let settled = settled.unwrap().into_inner().document.unwrap();
    assert!(settled.settled_ms > 0 && settled.settled_by == "local", "{settled:?}");
    assert_eq!(list(false).await, []);
    assert_eq!(list(true).await[0].finding, "医院已换版本重发");
    let nodes = exchange(hub).list_exchange_nodes(pb::ListExchangeNodesRequest {}).await.unwrap();
    assert!(nodes.into_inner().nodes.iter().all(|node| node.quarantined == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_sends_without_reading_answers_fills_no_memory_of_the_hub() {
    const EACH: usize = 12;
    let all_max = 64 * MIB;
    let hub = hub(|c| c.exchange.receive_bytes_max = all_max).await;
    let address = format!("http://{}", hub.node.link_address().unwrap());
    let large = |number: usize, name: &str| {
        let text = format!("{name} {number} ").into_bytes();
        let body = [text, vec![b'x'; 8 * MIB]].concat();
        let number = u64::try_from(number).unwrap();
        document(number, lk::DocumentKind::Task, &format!("{name}#{number}"), body)
    };
    // One line: 96 MiB, and nothing of what it is told is read before the end.
    let mut line = Line::open(channel(&address).await, "elsewhere", "s").await.unwrap();
    for number in 1..=EACH {
        line.say.send(large(number, "one")).await.unwrap();
    }
    assert_eq!(line.outcomes(EACH).await, [lk::DocumentOutcome::Kept; EACH]);
    let peak = usize::try_from(measure(&hub, "receiving_peak_bytes").await).unwrap();
    assert!(peak > 8 * MIB && peak <= 33 * MIB, "{peak}");
    // Four lines together stay within what all may have; a fifth of the same node is told to wait.
    let mut lines = vec![line];
    for _ in 0..3 {
        lines.push(Line::open(channel(&address).await, "elsewhere", "s").await.unwrap());
    }
    let fifth = Line::open(channel(&address).await, "elsewhere", "s").await;
    assert_eq!(fifth.err().unwrap().code(), Code::ResourceExhausted);
    let sent = lines.iter().enumerate().map(|(at, line)| async move {
        for number in 1..=EACH / 2 {
            let name = format!("line-{at}");
            line.say.send(large((at + 1) * 100 + number, &name)).await.unwrap();
        }
    });
    // A small message of another node comes through meanwhile.
    let small = async {
        let mut line = Line::open(channel(&address).await, "village", "small").await.unwrap();
        line.say
            .send(document(1, lk::DocumentKind::Task, "small#1", b"{}".to_vec()))
            .await
            .unwrap();
        assert_eq!(line.outcomes(1).await, [lk::DocumentOutcome::Kept]);
    };
    futures_util::future::join(futures_util::future::join_all(sent), small).await;
    for line in &mut lines {
        assert_eq!(line.outcomes(EACH / 2).await, [lk::DocumentOutcome::Kept; EACH / 2]);
    }
    let peak = usize::try_from(measure(&hub, "receiving_peak_bytes").await).unwrap();
    assert!(peak > 33 * MIB && peak <= all_max, "{peak}");
    assert_eq!(measure(&hub, "receiving_bytes").await, 0);
    // What ends without a word gives back its room.
    drop(lines);
    until("the node may open lines again", async || {
        Line::open(channel(&address).await, "elsewhere", "s").await.ok()
    })
    .await;
}
