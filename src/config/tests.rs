//! Tests of the module above.

use super::*;
use crate::app::imaging::peers::Mark;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse("node.toml", text, &BTreeMap::new()).map_err(|e| e.to_string())
}

fn with_env(variable: &str, value: &str) -> Result<Config, String> {
    let environment = BTreeMap::from([(variable.to_owned(), value.to_owned())]);
    Config::parse("node.toml", "", &environment).map_err(|e| e.to_string())
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn the_printed_defaults_read_back() {
    assert_eq!(parse(&Config::default().to_toml()).unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
    let error =
        parse("[node]\nname = \"a\"\n\n[server]\nlisten_on = \"127.0.0.1:1\"\n").unwrap_err();
    assert_eq!(error, "node.toml:5: unknown key `listen_on`, did you mean `listen`?");
    let error = parse("[sever]\n").unwrap_err();
    assert_eq!(error, "node.toml:1: unknown key `sever`, did you mean `server`?");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_line() {
    let error = parse("[server]\nqueue_max = \"many\"\n").unwrap_err();
    assert!(error.starts_with("node.toml:2: "), "{error}");
    let error = parse("[models]\nengine = \"tensorflow\"\n").unwrap_err();
    assert!(error.contains("auto") && error.contains("rten"), "{error}");
}

#[test]
fn the_environment_overrides_one_key() {
    let config = with_env("XIANGYI_SERVER_LISTEN", "127.0.0.1:7000").unwrap();
    assert_eq!(config.server.listen.port(), 7000);
    assert_eq!(with_env("XIANGYI_SERVER_QUEUE_MAX", "7").unwrap().server.queue_max, 7);
    assert!(!with_env("XIANGYI_SERVER_REFLECTION", "false").unwrap().server.reflection);
    assert_eq!(with_env("XIANGYI_NODE_NAME", "12").unwrap().node.name, "12");
    let library = with_env("ORT_DYLIB_PATH", "/x/y.so").unwrap().models.onnxruntime_library;
    assert_eq!(library, Some(PathBuf::from("/x/y.so")));
}

#[test]
fn an_unknown_variable_is_refused_by_name() {
    let error = with_env("XIANGYI_SERVER_LISTN", "x").unwrap_err();
    assert!(error.contains("XIANGYI_SERVER_LISTN") && error.contains("`listen`"), "{error}");
}

#[test]
fn the_open_network_needs_tls_and_credentials() {
    let error = parse("[server]\nlisten = \"0.0.0.0:50051\"\n").unwrap_err();
    assert!(error.contains("tls_cert"), "{error}");
    let tls = "[server]\nlisten = \"0.0.0.0:50051\"\ntls_cert = \"c.pem\"\ntls_key = \"k.pem\"\n";
    let error = parse(tls).unwrap_err();
    assert!(error.contains("auth.tokens"), "{error}");
    let token = format!(
        "{tls}[[auth.tokens]]\nname = \"clinic\"\nrole = \"village_doctor\"\nsha256 = \"{}\"\n",
        "ab".repeat(32)
    );
    assert!(parse(&token).is_ok());
}

#[test]
fn the_web_door_needs_tls_credentials_and_images_on_the_open_network() {
    let open = "[web]\nlisten = \"0.0.0.0:8080\"\n";
    assert!(parse(open).unwrap_err().contains("web.tls_cert"));
    let tls = format!("{open}tls_cert = \"c.pem\"\ntls_key = \"k.pem\"\n");
    assert!(parse(&tls).unwrap_err().contains("auth.tokens"));
    let token = format!(
        "{tls}[[auth.tokens]]\nname = \"d\"\nrole = \"village_doctor\"\nsha256 = \"{}\"\n",
        "ab".repeat(32)
    );
    assert!(parse(&token).is_ok());
    let loopback = "[web]\nlisten = \"127.0.0.1:8080\"\n";
    assert!(parse(loopback).is_ok());
    let without = format!("{loopback}[imaging]\nenabled = false\n");
    assert!(parse(&without).unwrap_err().contains("imaging.enabled"));
}

#[test]
fn the_fhir_door_needs_tls_and_credentials_on_the_open_network_and_a_node_with_records() {
    let open = "[fhir]\nlisten = \"0.0.0.0:8081\"\n";
    assert!(parse(open).unwrap_err().contains("fhir.tls_cert"));
    let tls = format!("{open}tls_cert = \"c.pem\"\ntls_key = \"k.pem\"\n");
    assert!(parse(&tls).unwrap_err().contains("auth.tokens"));
    let token = format!(
        "{tls}[[auth.tokens]]\nname = \"d\"\nrole = \"village_doctor\"\nsha256 = \"{}\"\n",
        "ab".repeat(32)
    );
    assert!(parse(&token).is_ok());
    let loopback = "[fhir]\nlisten = \"127.0.0.1:8081\"\n";
    assert!(parse(loopback).is_ok());
    let hub = format!("{loopback}[node]\nrole = \"hub\"\n[link]\nlisten = \"127.0.0.1:1\"\n");
    assert!(parse(&hub).unwrap_err().contains("fhir.listen"));
}

#[test]
fn an_index_on_postgres_needs_one_address_and_never_prints_its_password() {
    let index = "[imaging]\nindex = \"postgres\"\n";
    assert!(parse(index).unwrap_err().contains("imaging.postgres_url_file"));
    let url = format!("{index}postgres_url = \"postgres://u:secret@127.0.0.1/db\"\n");
    assert!(parse(&format!("{url}postgres_url_file = \"f\"\n")).unwrap_err().contains("one of"));
    let config = parse(&url).unwrap();
    assert!(config.imaging.postgres_url.as_ref().unwrap().expose().contains("secret"));
    for text in [
        config.to_toml(),
        format!("{config:?}"),
        serde_json::to_string(&config.redacted()).unwrap(),
    ] {
        assert!(text.contains("127.0.0.1") && !text.contains("secret"), "{text}");
    }
    // A variable laid over the file leaves the password what it is.
    let environment = BTreeMap::from([("XIANGYI_NODE_NAME".to_owned(), "n".to_owned())]);
    let laid = Config::parse("node.toml", &url, &environment).unwrap();
    assert_eq!(laid.imaging.postgres_url, config.imaging.postgres_url);
    let error = parse(&format!("{index}postgres_url = 5\n")).unwrap_err();
    assert!(error.starts_with("node.toml:3: "), "{error}");
}

#[test]
fn limits_out_of_range_name_their_key() {
    for (text, key) in [
        ("[server]\nconcurrency_max = 0\n", "server.concurrency_max"),
        ("[server]\ncall_timeout_ms = 0\n", "server.call_timeout_ms"),
        ("[server]\nconnections_max = 0\n", "server.connections_max"),
        ("[server]\nidle_timeout_ms = 59999\n", "server.idle_timeout_ms"),
        ("[server]\nidle_timeout_ms = 86400001\n", "server.idle_timeout_ms"),
        ("[models]\nbatch_max = 0\n", "models.batch_max"),
        ("[web]\nconcurrency_max = 0\n", "web.concurrency_max"),
        ("[web]\nbody_bytes_max = 1\n", "web.body_bytes_max"),
        ("[web]\nbase_url = \"pacs.example\"\n", "web.base_url"),
        ("[web]\ncors_origins = [\"viewer\"]\n", "web.cors_origins"),
        ("[web]\ntls_cert = \"c.pem\"\n", "web.tls_key"),
        ("[web]\ntls_client_ca = \"c.pem\"\n", "web.tls_client_ca"),
        ("[fhir]\nconcurrency_max = 0\n", "fhir.concurrency_max"),
        ("[fhir]\nidle_timeout_ms = 0\n", "fhir.idle_timeout_ms"),
        ("[fhir]\nbase_url = \"https://x/\"\n", "fhir.base_url"),
        ("[fhir]\ntls_key = \"k.pem\"\n", "fhir.tls_cert"),
        ("[fhir]\ntls_client_ca = \"c.pem\"\n", "fhir.tls_client_ca"),
        ("[imaging]\npostgres_schema = \"a-b\"\n", "imaging.postgres_schema"),
        ("[imaging]\npostgres_schema = \"pg_x\"\n", "imaging.postgres_schema"),
        ("[imaging]\npostgres_schema = \"\"\n", "imaging.postgres_schema"),
        ("[imaging]\npostgres_connections = 0\n", "imaging.postgres_connections"),
        ("[imaging]\nindex = \"oracle\"\n", "postgres"),
        ("[node]\nname = \"\"\n", "node.name"),
        ("[node]\nrole = \"hub\"\n", "node.role"),
        ("[log]\nlevel = \"=,=\"\n", "log.level"),
        ("[[auth.tokens]]\nname=\"a\"\nrole=\"auditor\"\nsha256=\"zz\"\n", "auth.tokens[0].sha256"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_configuration_or_a_message(text in "\\PC{0,200}") {
        if let Err(message) = parse(&text) {
            proptest::prop_assert!(!message.is_empty());
        }
    }

    #[test]
    fn what_is_accepted_reads_back(
        port in 0_u16..,
        queue in 0_usize..1000,
        name in "[a-z一-龥\"\\\\]{1,20}",
        reflection: bool,
    ) {
        let mut config = Config::default();
        config.server.listen.set_port(port);
        config.server.queue_max = queue;
        config.node.name = name;
        config.server.reflection = reflection;
        proptest::prop_assert_eq!(parse(&config.to_toml()), Ok(config));
    }

    #[test]
    fn any_value_of_a_variable_is_taken_or_refused_by_its_name(value in "\\PC{0,40}") {
        if let Err(message) = with_env("XIANGYI_SERVER_QUEUE_MAX", &value) {
            proptest::prop_assert!(message.contains("queue_max") || message.contains("QUEUE_MAX"));
        }
    }
}

#[test]
fn copies_have_a_quota_of_their_own() {
    let config = parse("[imaging.copies]\nbytes_max = 5\n").unwrap();
    assert_eq!(config.imaging.copies.bytes_max, 5);
    assert_eq!(config.imaging.copies.free_bytes_min, 2 << 30);
    assert!(parse("[imaging.copies]\nbytes = 5\n").unwrap_err().contains("bytes_max"));
}

#[test]
fn a_remote_store_is_spoken_to_over_tls_or_on_the_same_machine() {
    let s3 = |endpoint: &str, more: &str| {
        parse(&format!(
            "[imaging.s3]\nendpoint = \"{endpoint}\"\nbucket = \"images\"\n\
             access_key_file = \"key\"\n{more}"
        ))
    };
    for fine in [
        "https://s3.example",
        "https://s3.example:9000",
        "http://127.0.0.1:9000",
        "http://[::1]:9000",
        "http://localhost",
    ] {
        assert!(s3(fine, "").is_ok(), "{fine}");
    }
    for bad in ["http://s3.example", "s3.example", "https://", "ftp://localhost", ""] {
        let error = s3(bad, "").unwrap_err();
        assert!(error.contains("imaging.s3.endpoint"), "{bad}: {error}");
    }
    for (more, key) in [
        ("prefix = \"a b\"\n", "prefix"),
        ("request_timeout_ms = 1\n", "request_timeout_ms"),
        ("retries_max = 21\n", "retries_max"),
        ("look_every_ms = 1\n", "look_every_ms"),
    ] {
        let error = s3("https://s3.example", more).unwrap_err();
        assert!(error.contains(&format!("imaging.s3.{key}")), "{error}");
    }
    let config = s3("https://s3.example", "local_bytes_max = 7\n").unwrap();
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
}

#[test]
fn a_pacs_behind_the_node_must_be_a_peer_that_can_be_dialled() {
    let config = |pacs: &str, link: &str| {
        format!(
            "[dicom]\nlisten = \"127.0.0.1:0\"\n\
             [[dicom.peers]]\nae_title = \"PACS\"\naddress = \"10.0.0.9:104\"\n\
             services = [\"find\"]\n\
             [[dicom.peers]]\nae_title = \"CT\"\nservices = [\"store\"]\n\
             [[imaging.pacs]]\n{pacs}\n{link}"
        )
    };
    let link = "[link]\nhub = \"http://127.0.0.1:1\"\ntoken_file = \"t\"\n";
    let read = parse(&config("ae_title = \"PACS\"", link)).unwrap();
    let section = read.imaging.pacs.first().unwrap();
    assert_eq!(section.retrieve, RetrieveName::Get);
    assert_eq!((section.days, section.every_s, section.whole_every_s), (365, 60, 21_600));
    for (pacs, link, said) in [
        ("ae_title = \"PACS\"", "", "link.hub"),
        ("ae_title = \"WHO\"", link, "imaging.pacs[0].ae_title must be one of dicom.peers"),
        ("ae_title = \"CT\"", link, "with an address"),
        ("ae_title = \"PACS\"\nretrieve = \"move\"", link, "`store` among the services"),
        ("ae_title = \"PACS\"\nretrieve = \"push\"", link, "get"),
        ("ae_title = \"PACS\"\nevery_s = 0", link, "imaging.pacs[0].every_s must be from 1"),
        ("ae_title = \"PACS\"\ndays = 9999", link, "imaging.pacs[0].days must be at most 3660"),
        (
            "ae_title = \"PACS\"\n[[imaging.pacs]]\nae_title = \"PACS\"",
            link,
            "imaging.pacs[1].ae_title is there twice",
        ),
    ] {
        let error = parse(&config(pacs, link)).unwrap_err();
        assert!(error.contains(said), "{pacs}: {error}");
    }
}

#[test]
fn room_for_messages_is_a_hubs_and_has_bounds() {
    let hub = "[node]\nrole = \"hub\"\n[link]\nlisten = \"127.0.0.1:1\"\n[exchange]\n";
    for (bytes, is_fine) in [
        (67_108_864_u64, true),
        (67_108_863, false),
        (68_719_476_736, true),
        (68_719_476_737, false),
    ] {
        let parsed = parse(&format!("{hub}receive_bytes_max = {bytes}\n"));
        assert_eq!(parsed.is_ok(), is_fine, "{bytes}");
        assert!(parsed.err().is_none_or(|e| e.contains("exchange.receive_bytes_max")));
    }
    let clinic = parse("[exchange]\nreceive_bytes_max = 134217728\n").unwrap_err();
    assert!(clinic.contains("node.role"), "{clinic}");
}

#[test]
fn keys_of_signed_folders_are_checked_and_make_signatures_required() {
    let key = "ab".repeat(32);
    let trust = |text: &str| parse(text).map(|config| config.models.trust());
    assert_eq!(trust("").unwrap(), crate::tables::signed::Trust::default());
    let one = format!("[models]\ntrusted_keys = [\"{key}\"]\n");
    let trusted = trust(&one).unwrap();
    assert_eq!((trusted.keys.len(), trusted.required), (1, true));
    assert!(!trust(&format!("{one}require_signed = false\n")).unwrap().required);
    let error = parse("[models]\nrequire_signed = true\n").unwrap_err();
    assert!(error.contains("models.require_signed needs models.trusted_keys"), "{error}");
    let error = parse("[models]\ntrusted_keys = [\"abc\"]\n").unwrap_err();
    assert!(error.contains("models.trusted_keys[0]") && error.contains("64"), "{error}");
    let twice = format!("[models]\ntrusted_keys = [\"{key}\", \"{}\"]\n", key.to_uppercase());
    let error = parse(&twice).unwrap_err();
    assert!(error.contains("models.trusted_keys[1] is there twice"), "{error}");
}

#[test]
fn a_certificate_of_a_peer_is_a_name_or_a_digest_and_needs_tls() {
    let config = |peer: &str, more: &str| {
        parse(&format!(
            "[dicom]\nlisten = \"127.0.0.1:0\"\n{more}\n[[dicom.peers]]\nae_title = \"PACS\"\n\
             services = [\"store\"]\n{peer}"
        ))
    };
    let tls = "tls_cert = \"c\"\ntls_key = \"k\"\ntls_client_ca = \"ca\"";
    let digest = "AB".repeat(32);
    let listed =
        format!("tls = true\ncertificates = [\"PACS.county.example\", \"fd00::9\", \"{digest}\"]");
    let read = config(&listed, tls).unwrap();
    assert_eq!(
        read.dicom.peers.first().unwrap().marks(),
        [
            Some(Mark::Name("pacs.county.example".to_owned())),
            Some(Mark::Name("fd00::9".to_owned())),
            Some(Mark::Sha256([0xab; 32])),
        ]
    );
    for (peer, more, said) in [
        (listed.as_str(), "", "certificates needs tls = true and dicom.tls_client_ca"),
        ("certificates = [\"a\"]", tls, "certificates needs tls = true"),
        ("tls = true\ncertificates = [\"\"]", tls, "dicom.peers.certificates must be names"),
        ("tls = true\ncertificates = [\"CN=PACS\"]", tls, "dicom.peers.certificates must be names"),
    ] {
        let error = config(peer, more).unwrap_err();
        assert!(error.contains(said), "{peer}: {error}");
    }
}
