//! Every door with a client that is not ours: TLS 1.3 opens it, 1.2 does not.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use xiangyi::config::NodeRole;

use crate::enrolment::region;
use crate::harness::TestNode;
use crate::images::small;

/// What `openssl s_client` says of a handshake with one version: the version it has come to, if any.
fn spoken(address: SocketAddr, version: &str) -> Option<String> {
    let done = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), version, "-brief"])
        .stdin(Stdio::null())
        .output()
        .expect("openssl is needed for this test");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("Protocol version: "));
    line.map(str::to_owned)
}

/// A certificate and its key under `folder`.
fn certificate(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

async fn hospital(folder: &Path, tls12: bool) -> TestNode {
    let (cert, key) = certificate(folder);
    let setup = small().tokens().with(|c| {
        c.node.role = NodeRole::Hospital;
        c.auth.tokens.retain(|t| t.name.contains("auditor") || t.name.contains("hospital"));
        for token in &mut c.auth.tokens {
            token.place = None;
        }
        let open = Some("127.0.0.1:0".parse().unwrap());
        (c.web.listen, c.fhir.listen, c.dicom.listen) = (open, open, open);
        c.dicom.tls12 = tls12;
        for (to_cert, to_key) in [
            (&mut c.web.tls_cert, &mut c.web.tls_key),
            (&mut c.fhir.tls_cert, &mut c.fhir.tls_key),
            (&mut c.dicom.tls_cert, &mut c.dicom.tls_key),
            (&mut c.server.tls_cert, &mut c.server.tls_key),
        ] {
            (*to_cert, *to_key) = (Some(cert.clone()), Some(key.clone()));
        }
    });
    // The harness dials without TLS: what it has is not used here.
    let mut config = setup.config;
    let data = tempfile::tempdir().unwrap();
    config.store.dir = data.path().to_owned();
    config.validate().unwrap();
    let node = Box::pin(xiangyi::node::Node::start(config)).await.unwrap();
    let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    TestNode { node, channel, data }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_speaks_tls_1_3_and_nothing_older() {
    let folder = tempfile::tempdir().unwrap();
    let (hospital, region) = (hospital(folder.path(), false).await, region().await);
    let node = &hospital.node;
    let doors = [
        ("gRPC", Some(node.address())),
        ("DICOMweb", node.web_address()),
        ("FHIR", node.fhir_address()),
        ("DICOM", node.dicom_address()),
        ("link", region.hub.node.link_address()),
    ];
    for (door, address) in doors {
        let address = address.unwrap_or_else(|| panic!("{door} is closed"));
        let (new, old) = tokio::task::spawn_blocking(move || {
            (spoken(address, "-tls1_3"), spoken(address, "-tls1_2"))
        })
        .await
        .unwrap();
        assert_eq!(new.as_deref(), Some("TLSv1.3"), "{door}");
        assert_eq!(old, None, "{door} falls back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_device_needs_to_be_allowed_and_opens_no_other_door() {
    let folder = tempfile::tempdir().unwrap();
    let hospital = hospital(folder.path(), true).await;
    let (dicom, web) =
        (hospital.node.dicom_address().unwrap(), hospital.node.web_address().unwrap());
    let said = tokio::task::spawn_blocking(move || {
        (spoken(dicom, "-tls1_2"), spoken(dicom, "-tls1_3"), spoken(web, "-tls1_2"))
    });
    let (old, new, web) = said.await.unwrap();
    assert_eq!(old.as_deref(), Some("TLSv1.2"));
    assert_eq!(new.as_deref(), Some("TLSv1.3"));
    assert_eq!(web, None);
}
