//! A hub in trouble: its database away, nodes that send what they should not.

use std::net::SocketAddr;

use sqlx::postgres::PgConnectOptions;
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use xiangyi::config::{Config, NodeRole};
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;

use crate::harness::{Setup, TestNode, http_get, reason};
use crate::postgres::{drop_schema, schema, url};
use crate::records::{NODES, exchange, handed_over, has, node, status, stroke, submit};
use crate::region::{member, until};

/// A hub with its documents in `schema` of the database at `url`, and a key of its own.
async fn hub_on(url: &str, schema: &str) -> TestNode {
    let section = format!("[exchange]\npostgres_url = \"{url}\"\npostgres_schema = \"{schema}\"\n");
    let section = format!("{section}key_file = \"hub.key\"\n[node]\nrole = \"hub\"\n");
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
