//! Starting, reloading and refusing to start; TLS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use xiangyi::app::chain;
use xiangyi::config::{Config, PrecisionName};
use xiangyi::node::Node;
use xiangyi::rpc::proto::xiangyi::model::v1 as model;
use xiangyi::rpc::proto::xiangyi::model::v1::model_service_client::ModelServiceClient;
use xiangyi::rpc::proto::xiangyi::node::v1::GetNodeInfoRequest;
use xiangyi::rpc::proto::xiangyi::node::v1::node_service_client::NodeServiceClient;

use crate::harness::{Setup, both_engines, complaint, reason};

const MODEL: &str = "diagnosis/gp-differential.onnx";

/// A copy of `models/` without training code, to damage.
fn model_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files = xiangyi::embedded::files();
    for path in files.paths() {
        let to = dir.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, files.bytes(path).unwrap()).unwrap();
    }
    dir
}

/// The message with which a node refuses to start on `dir`.
async fn refusal(dir: &Path, setup: Setup) -> String {
    let mut config = setup.config;
    config.models.dir = Some(dir.to_owned());
    let data = tempfile::tempdir().unwrap();
    config.store.dir = data.path().to_owned();
    chain(&Node::start(config).await.expect_err("the node must not start"))
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "the edit changes {}", path.display());
    std::fs::write(path, changed).unwrap();
}

both_engines! {
    async fn a_damaged_missing_or_wrong_model_stops_the_node_and_is_named(setup) {
        let base = setup.config;
        let again = || Setup { config: base.clone() };

        let dir = model_dir();
        let mut bytes = std::fs::read(dir.path().join(MODEL)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        std::fs::write(dir.path().join(MODEL), bytes).unwrap();
        let message = Box::pin(refusal(dir.path(), again())).await;
        assert!(message.contains("gp-differential") && message.contains("sha256"), "{message}");

        std::fs::remove_file(dir.path().join(MODEL)).unwrap();
        let message = Box::pin(refusal(dir.path(), again())).await;
        assert!(message.contains(MODEL) && message.contains("missing"), "{message}");

        let dir = model_dir();
        let manifest = dir.path().join("manifest.toml");
        edit(&manifest, |t| t.replacen("name = \"patient\"", "name = \"patients\"", 1));
        let message = Box::pin(refusal(dir.path(), again())).await;
        assert!(message.contains("gp-differential") && message.contains("patient"), "{message}");

        let dir = model_dir();
        let manifest = dir.path().join("manifest.toml");
        edit(&manifest, |t| {
            let at = t.find("expect_probability = ").unwrap() + "expect_probability = ".len();
            let end = at + t[at..].find('\n').unwrap();
            format!("{}0.00001{}", &t[..at], &t[end..])
        });
        let message = Box::pin(refusal(dir.path(), again())).await;
        assert!(message.contains("gp-differential") && message.contains("self"), "{message}");
    }
}

#[tokio::test]
async fn an_uncited_row_does_not_load_and_the_message_names_file_and_line() {
    for (table, column) in [
        ("diagnosis/red_flags.csv", "source"),
        ("diagnosis/likelihoods.csv", "source"),
        ("prescription/interactions.csv", "source"),
        ("prescription/pregnancy.csv", "source"),
        ("prescription/allergy_cross.csv", "source"),
    ] {
        let dir = model_dir();
        let path = dir.path().join(table);
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let headers = reader.headers().unwrap().clone();
        let at = headers.iter().position(|h| h == column).unwrap();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&headers).unwrap();
        for (i, row) in reader.records().enumerate() {
            let row = row.unwrap();
            let cells = row.iter().enumerate().map(|(j, c)| if i == 0 && j == at { "" } else { c });
            writer.write_record(cells).unwrap();
        }
        std::fs::write(&path, writer.into_inner().unwrap()).unwrap();
        let message = Box::pin(refusal(dir.path(), Setup::new())).await;
        assert!(message.contains(&format!("{table}:2")) && message.contains("source"), "{message}");
    }
}

both_engines! {
    async fn reloading_drops_no_request_and_a_bad_set_changes_nothing(setup) {
        let dir = model_dir();
        let path = dir.path().to_owned();
        let node = setup.with(|c| c.models.dir = Some(path)).start().await;
        let done = Arc::new(AtomicBool::new(false));
        let mut load = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (mut client, done) = (node.diagnosis(), Arc::clone(&done));
            load.spawn(async move {
                let mut calls = 0;
                while !done.load(Ordering::Relaxed) {
                    client.diagnose(complaint("发热3天，咳嗽")).await.unwrap();
                    calls += 1;
                }
                calls
            });
        }
        let mut models = ModelServiceClient::new(node.channel.clone());
        for _ in 0..3 {
            let answer = models.reload_models(model::ReloadModelsRequest {}).await.unwrap();
            assert_eq!(answer.into_inner().models.len(), 1);
        }
        std::fs::write(dir.path().join(MODEL), b"no model").unwrap();
        let status = models.reload_models(model::ReloadModelsRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(reason(&status), "FAILED_PRECONDITION");
        assert!(status.message().contains("gp-differential"), "{}", status.message());
        node.diagnose(complaint("头痛")).await.unwrap();
        done.store(true, Ordering::Relaxed);
        assert!(load.join_all().await.into_iter().all(|calls| calls > 0));
    }
}

#[tokio::test]
async fn a_new_version_is_served_after_a_reload() {
    let dir = model_dir();
    let path = dir.path().to_owned();
    let node = Setup::new().with(|c| c.models.dir = Some(path)).start().await;
    let version = |c: xiangyi::rpc::proto::xiangyi::diagnosis::v1::Consultation| {
        c.provenance.unwrap().model_version
    };
    let before = version(node.diagnose(complaint("发热")).await.unwrap());
    edit(&dir.path().join("manifest.toml"), |t| {
        t.replacen(&format!("version = \"{before}\""), "version = \"2099.1.1\"", 1)
    });
    let mut models = ModelServiceClient::new(node.channel.clone());
    models.reload_models(model::ReloadModelsRequest {}).await.unwrap();
    assert_eq!(version(node.diagnose(complaint("发热")).await.unwrap()), "2099.1.1");
}

#[tokio::test]
async fn an_answer_and_the_list_say_with_which_weights_it_came_about() {
    for (precision, name, end) in [
        (PrecisionName::F32, "f32", ""),
        (PrecisionName::Auto, "f32", ""),
        (PrecisionName::Int8, "int8", "+int8"),
    ] {
        // On rten nothing but a wish takes the file with 8-bit weights.
        let node = Setup::new().with(|c| c.models.precision = precision).start().await;
        let mut models = ModelServiceClient::new(node.channel.clone());
        let listed = models.list_models(model::ListModelsRequest::default()).await.unwrap();
        let listed = listed.into_inner().models.remove(0);
        assert_eq!(
            (listed.model_id.as_str(), listed.precision.as_str()),
            ("gp-differential", name)
        );
        let answer = node.diagnose(complaint("发热3天，咳嗽")).await.unwrap();
        let version = answer.provenance.unwrap().model_version;
        assert_eq!(version, listed.version);
        assert_eq!(version.split_once('+').map_or("", |(_, end)| end), end.trim_start_matches('+'));
    }
}

#[tokio::test]
async fn tls_serves_whoever_trusts_its_authority_and_nobody_else() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = Setup::new().tokens().config;
    config.server.tls_cert = Some(cert);
    config.server.tls_key = Some(key);
    config.store.dir = folder.path().join("data");
    let node = Node::start(config).await.unwrap();
    let url = format!("https://localhost:{}", node.address().port());

    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(made.cert.pem()));
    let endpoint = Endpoint::from_shared(url.clone()).unwrap().tls_config(trusting).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut request = tonic::Request::new(GetNodeInfoRequest {});
    request.metadata_mut().insert("authorization", "Bearer token-of-auditor".parse().unwrap());
    let info = NodeServiceClient::new(channel).get_node_info(request).await.unwrap().into_inner();
    assert_eq!(info.name, "xiangyi");

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let distrusting =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(other.cert.pem()));
    let endpoint = Endpoint::from_shared(url).unwrap().tls_config(distrusting).unwrap();
    assert!(endpoint.connect().await.is_err());
    let plain = Endpoint::from_shared(format!("http://{}", node.address())).unwrap();
    if let Ok(channel) = plain.connect().await {
        NodeServiceClient::new(channel)
            .get_node_info(GetNodeInfoRequest {})
            .await
            .expect_err("no plain text on a TLS port");
    }
}

#[tokio::test]
async fn a_taken_port_and_a_missing_certificate_are_named() {
    let first = Setup::new().start().await;
    let mut config = Config::default();
    config.server.listen = first.node.address();
    let message = chain(&Node::start(config).await.unwrap_err());
    assert!(message.contains(&first.node.address().to_string()), "{message}");

    let folder = tempfile::tempdir().unwrap();
    let mut config = Setup::new().config;
    config.server.tls_cert = Some(folder.path().join("nothing.pem"));
    config.server.tls_key = Some(folder.path().join("nothing.key"));
    config.store.dir = folder.path().to_owned();
    let message = chain(&Node::start(config).await.unwrap_err());
    assert!(message.contains("nothing.pem"), "{message}");
}
