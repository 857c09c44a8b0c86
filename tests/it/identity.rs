//! People who sign in with an account of a real node, over gRPC and by the command line.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use xiangyi::config::AccountsSection;
use xiangyi::node::backup::{reading, taking};
use xiangyi::rpc::proto::xiangyi::identity::v1 as id;
use xiangyi::rpc::proto::xiangyi::identity::v1::identity_service_client::IdentityServiceClient;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::model::v1 as model;
use xiangyi::rpc::proto::xiangyi::model::v1::model_service_client::ModelServiceClient;

use crate::at_rest::master;
use crate::harness::{Setup, TestNode, bad_fields, reason};
use crate::images::{Slice, as_data_set};

const PASSWORD: &str = "five gray herons 山";

fn clinic() -> Setup {
    Setup::new().with(|config| {
        // A busy machine must not take so long that a lock is over before it is met.
        let section = AccountsSection { failures_max: 3, lock_s: 900, ..Default::default() };
        config.auth.accounts = Some(section);
    })
}

fn client(node: &TestNode) -> IdentityServiceClient<Channel> {
    IdentityServiceClient::new(node.channel.clone())
}

fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn sign_in(node: &TestNode, name: &str, password: &str) -> Result<id::Tokens, Status> {
    let asked = id::SignInRequest { name: name.to_owned(), password: password.to_owned() };
    Ok(client(node).sign_in(asked).await?.into_inner().tokens.unwrap())
}

async fn set_up(node: &TestNode, code: &str, password: &str) -> Result<(), Status> {
    let (code, name, password) = (code.to_owned(), "Li.Si".to_owned(), password.to_owned());
    client(node).set_up(id::SetUpRequest { code, name, password }).await.map(|_| ())
}

async fn who(node: &TestNode, token: &str) -> Result<id::WhoAmIResponse, Status> {
    let answer = client(node).who_am_i(by(token, id::WhoAmIRequest {})).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_callers_are_in_the_trail_without_filling_it() {
    let node = Setup::new().tokens().start().await;
    let mut missing = 0;
    for _ in 0..40 {
        let asked = client(&node).who_am_i(id::WhoAmIRequest {}).await;
        missing += u64::from(asked.unwrap_err().code() == Code::Unauthenticated);
        assert_eq!(who(&node, "SecretOfNobody").await.unwrap_err().code(), Code::Unauthenticated);
    }
    assert_eq!(missing, 40);
    let database = node.data.path().join("xiangyi.db");
    // What was not entered within the minute is when the node stops.
    assert!(node.node.stop().await);
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await.unwrap();
    let entries: Vec<(String, String, String)> =
        sqlx::query_as("SELECT caller, outcome, detail FROM audit ORDER BY seq")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let (mut counted, mut entered) = ([0, 0], 0);
    for (caller, outcome, detail) in entries {
        assert_eq!((&*caller, &*outcome), ("unknown caller", "unauthenticated"), "{detail}");
        assert!(!detail.contains("Secret"), "{detail}");
        for (at, what) in ["no credentials: ", "not known or ended: "].iter().enumerate() {
            let said = detail.split(", ").find_map(|part| part.strip_prefix(what));
            counted[at] += said.map_or(0, |count| count.parse::<u64>().unwrap());
        }
        entered += 1;
    }
    assert_eq!(counted, [40, 40]);
    assert!(entered <= 3, "{entered} entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_end_when_a_node_is_put_back_from_a_backup() {
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let setup = || clinic().with(|c| c.encryption.key_file = Some(key.clone()));
    let node = setup().start().await;
    let code = std::fs::read_to_string(node.data.path().join("setup-code")).unwrap();
    set_up(&node, code.trim(), PASSWORD).await.unwrap();
    let tokens = sign_in(&node, "li.si", PASSWORD).await.unwrap();
    let mut config = setup().config;
    node.data.path().clone_into(&mut config.store.dir);
    let to = keys.path().join("backup");
    Box::pin(taking::take(&config, &to, &mut |_, _| ())).await.unwrap();
    // What is ended here would go on there.
    client(&node).sign_out(by(&tokens.access_token, id::SignOutRequest {})).await.unwrap();
    assert!(node.node.stop().await);
    let into = tempfile::tempdir().unwrap();
    reading::restore(&config.encryption, &to, into.path(), &mut |_, _| ()).unwrap();
    let node = setup().start_in(into).await;
    let known = who(&node, &tokens.access_token).await;
    assert_eq!(known.unwrap_err().code(), Code::Unauthenticated);
    let again = id::RefreshRequest { refresh_token: tokens.refresh_token };
    let again = client(&node).refresh(again).await;
    assert_eq!(again.unwrap_err().code(), Code::Unauthenticated);
    // Only once: what begins afterwards lives through the next start.
    let tokens = sign_in(&node, "li.si", PASSWORD).await.unwrap();
    let TestNode { node, data, .. } = node;
    assert!(node.stop().await);
    let node = setup().start_in(data).await;
    assert!(who(&node, &tokens.access_token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_a_page_that_leads_here_under_its_own_name_gets_nothing() {
    let node = Setup::new().with(|c| c.fhir.listen = Some("127.0.0.1:0".parse().unwrap()));
    let node = node.start().await;
    // As a browser sends it that was told that evil.example is at 127.0.0.1.
    let origin = Channel::from_shared(format!("http://{}", node.node.address()));
    let channel = origin.unwrap().origin("http://evil.example:50051".parse().unwrap());
    let mut evil = IdentityServiceClient::new(channel.connect().await.unwrap());
    let refused = evil.who_am_i(id::WhoAmIRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("localhost"), "{refused:?}");
    assert!(client(&node).who_am_i(id::WhoAmIRequest {}).await.is_ok());
    let fhir = node.node.fhir_address().unwrap();
    let ask = |host: &str| {
        let mut stream = std::net::TcpStream::connect(fhir).unwrap();
        let path = "/fhir/DocumentReference?patient.identifier=1";
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Purpose-Of-Use: TREAT\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask("evil.example"), "403");
    assert_eq!(ask(&format!("localhost:{}", fhir.port())), "200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_administrator_comes_by_a_code_that_only_the_nodes_user_reads() {
    let node = clinic().start().await;
    let file = node.data.path().join("setup-code");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let code = std::fs::read_to_string(&file).unwrap();
    assert_eq!(code.trim().len(), 40);
    // Nobody is local any more.
    let refused = client(&node).who_am_i(id::WhoAmIRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    for wrong in ["", "0", &"0".repeat(40)] {
        assert_eq!(set_up(&node, wrong, PASSWORD).await.unwrap_err().code(), Code::Unauthenticated);
    }
    let short = set_up(&node, code.trim(), "short").await.unwrap_err();
    assert_eq!(
        (short.code(), bad_fields(&short)),
        (Code::InvalidArgument, vec!["password".to_owned()])
    );
    set_up(&node, code.trim(), PASSWORD).await.unwrap();
    assert_eq!(
        set_up(&node, code.trim(), PASSWORD).await.unwrap_err().code(),
        Code::Unauthenticated
    );

    let tokens = sign_in(&node, "li.si", PASSWORD).await.unwrap();
    let known = who(&node, &tokens.access_token).await.unwrap();
    let person = known.person.unwrap();
    assert_eq!((person.name.as_str(), person.role.as_str()), ("account:li.si", "administrator"));
    assert!(known.has_session);
    let mut models = ModelServiceClient::new(node.channel.clone());
    let listed = models.list_models(by(&tokens.access_token, model::ListModelsRequest::default()));
    assert!(listed.await.is_ok());

    // After a restart the code is gone, and the session is not.
    let TestNode { node, data, .. } = node;
    assert!(node.stop().await);
    let again = clinic().start_in(data).await;
    assert!(!again.data.path().join("setup-code").try_exists().unwrap());
    assert!(who(&again, &tokens.access_token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_refreshed_ended_and_stolen_over_grpc() {
    let node = clinic().start().await;
    let code = std::fs::read_to_string(node.data.path().join("setup-code")).unwrap();
    set_up(&node, &code, PASSWORD).await.unwrap();
    let refresh = async |token: &str| {
        let asked = id::RefreshRequest { refresh_token: token.to_owned() };
        Ok::<_, Status>(client(&node).refresh(asked).await?.into_inner().tokens.unwrap())
    };
    let first = sign_in(&node, "li.si", PASSWORD).await.unwrap();
    let second = refresh(&first.refresh_token).await.unwrap();
    assert!(who(&node, &second.access_token).await.is_ok());
    assert_eq!(refresh(&first.refresh_token).await.unwrap_err().code(), Code::Unauthenticated);
    for token in [&first.access_token, &second.access_token, &second.refresh_token] {
        assert_eq!(who(&node, token).await.unwrap_err().code(), Code::Unauthenticated);
    }
    assert_eq!(refresh(&second.refresh_token).await.unwrap_err().code(), Code::Unauthenticated);

    let tokens = sign_in(&node, "li.si", PASSWORD).await.unwrap();
    client(&node).sign_out(by(&tokens.access_token, id::SignOutRequest {})).await.unwrap();
    assert_eq!(who(&node, &tokens.access_token).await.unwrap_err().code(), Code::Unauthenticated);

    let tokens = sign_in(&node, "li.si", PASSWORD).await.unwrap();
    let asked = |new: &str| id::ChangePasswordRequest {
        old_password: PASSWORD.to_owned(),
        new_password: new.to_owned(),
    };
    let mut client = client(&node);
    let changed = client.change_password(by(&tokens.access_token, asked("123456789012"))).await;
    assert_eq!(bad_fields(&changed.unwrap_err()), ["new_password"]);
    client.change_password(by(&tokens.access_token, asked("six white egrets"))).await.unwrap();
    assert_eq!(who(&node, &tokens.access_token).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(sign_in(&node, "li.si", "six white egrets").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_name_and_a_wrong_password_are_one_answer_in_one_time() {
    let node = clinic().start().await;
    let code = std::fs::read_to_string(node.data.path().join("setup-code")).unwrap();
    set_up(&node, &code, PASSWORD).await.unwrap();
    let mut told = Vec::new();
    for name in ["li.si", "nobody"] {
        let mut answers = Vec::new();
        for at in 0..5 {
            let begun = tokio::time::Instant::now();
            let status = sign_in(&node, name, "wrong password").await.unwrap_err();
            let took = begun.elapsed();
            let expected = if at < 3 { Code::Unauthenticated } else { Code::ResourceExhausted };
            assert_eq!(status.code(), expected, "{name} {at}");
            // Both make the hash; a locked name makes none.
            assert!(at >= 3 || took.as_millis() >= 5, "{name} took {took:?}");
            answers.push((status.code(), status.message().to_owned(), reason(&status)));
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    // Locked: the right password does not help either.
    let locked = sign_in(&node, "li.si", PASSWORD).await.unwrap_err();
    assert_eq!(locked.code(), Code::ResourceExhausted);
    let long = sign_in(&node, "li.si", &"x".repeat(600)).await.unwrap_err();
    assert_eq!(
        (long.code(), bad_fields(&long)),
        (Code::InvalidArgument, vec!["password".to_owned()])
    );
    let huge = sign_in(&node, "li.si", &"x".repeat(20_000)).await.unwrap_err();
    assert_eq!(huge.code(), Code::ResourceExhausted);
}

fn admin(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xiangyi"))
        .args(["admin", "account"])
        .args(arguments)
        .env("XIANGYI_STORE_DIR", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that reads no password may have gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_looks_after_accounts_beside_a_running_node() {
    let node = clinic().start().await;
    let done = |arguments: &[&str], input: &str| {
        let output = admin(node.data.path(), arguments, input);
        let all = [output.stdout, output.stderr].concat();
        let all = String::from_utf8(all).unwrap();
        assert!(!all.contains("herons") && !all.contains("egrets"), "a password is shown: {all}");
        (output.status.success(), all)
    };
    let add = ["add", "--name", "wu", "--role", "pharmacist", "--scope", "361127"];
    let with_file = [&add[..], &["--password-file", "-"]].concat();
    assert!(!done(&with_file, "short\n").0);
    // Without a terminal and a file there is no password, and none is made up.
    let (fine, said) = done(&add, "");
    assert!(!fine && said.contains("--password-file"), "{said}");
    let (fine, said) = done(&[&add[..], &["--password", PASSWORD]].concat(), "");
    assert!(!fine, "a password on the command line: {said}");
    let (fine, said) = done(&with_file, &format!("{PASSWORD}\n"));
    assert!(fine, "{said}");
    assert!(!done(&with_file, &format!("{PASSWORD}\n")).0, "the name is taken");

    let tokens = sign_in(&node, "wu", PASSWORD).await.unwrap();
    let person = who(&node, &tokens.access_token).await.unwrap().person.unwrap();
    assert_eq!((person.role.as_str(), person.scope), ("pharmacist", vec!["361127".to_owned()]));
    assert!(done(&["role", "--name", "wu", "--role", "auditor"], "").0);
    assert!(sign_in(&node, "wu", "wrong").await.is_err());
    let new = ["password", "--name", "wu", "--password-file", "-"];
    assert!(done(&new, "six white egrets\n").0);
    let tokens = sign_in(&node, "wu", "six white egrets").await.unwrap();
    assert_eq!(who(&node, &tokens.access_token).await.unwrap().person.unwrap().role, "auditor");
    assert!(done(&["disable", "--name", "wu"], "").0);
    assert!(sign_in(&node, "wu", "six white egrets").await.is_err());
    // What the node has just looked up counts for two seconds longer at most.
    let begun = tokio::time::Instant::now();
    while who(&node, &tokens.access_token).await.is_ok() {
        assert!(begun.elapsed().as_secs() < 10, "a disabled account goes on");
    }
    assert!(done(&["enable", "--name", "wu"], "").0);
    assert!(done(&["unlock", "--name", "wu"], "").0);
    assert!(sign_in(&node, "wu", "six white egrets").await.is_ok());
    let (fine, listed) = done(&["list", "--json"], "");
    let line: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert!(fine && line["name"] == "wu" && line["state"] == "active", "{listed}");
    assert!(!done(&["disable", "--name", "nobody"], "").0);
}

/// The next message of a feed that tells something, or why it has ended.
async fn next_told(
    feed: &mut tonic::Streaming<im::WatchChangesResponse>,
) -> Result<Vec<im::Change>, Status> {
    loop {
        let told = feed.message().await?.expect("it does not end by itself");
        if !told.changes.is_empty() {
            return Ok(told.changes);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_feed_tells_nothing_more_to_who_has_signed_out() {
    let setup = clinic().with(|config| {
        config.imaging.free_bytes_min = 0;
        config.imaging.segment_bytes = 16 << 20;
    });
    let node = setup.start().await;
    let mut tokens = Vec::new();
    for name in ["wu", "sun"] {
        let add = ["add", "--name", name, "--role", "village_doctor", "--password-file", "-"];
        assert!(admin(node.data.path(), &add, &format!("{PASSWORD}\n")).status.success());
        tokens.push(sign_in(&node, name, PASSWORD).await.unwrap().access_token);
    }
    let [wu, sun] = tokens.as_slice() else { panic!("two") };
    let store = async |number| {
        let messages = as_data_set("1", &Slice::head("1.2.1", number).bytes());
        let asked = by(sun, tokio_stream::iter(messages));
        let mut replies = node.imaging().store_objects(asked).await.unwrap().into_inner();
        while replies.message().await.unwrap().is_some() {}
    };
    let watch = |token: &str| by(token, im::WatchChangesRequest::default());
    let mut of_wu = node.imaging().watch_changes(watch(wu)).await.unwrap().into_inner();
    let mut of_sun = node.imaging().watch_changes(watch(sun)).await.unwrap().into_inner();
    store(1).await;
    assert_eq!(next_told(&mut of_wu).await.unwrap().len(), 1);
    client(&node).sign_out(by(wu, id::SignOutRequest {})).await.unwrap();
    store(2).await;
    assert_eq!(next_told(&mut of_wu).await.unwrap_err().code(), Code::Unauthenticated);
    let mut told = 0;
    while told < 2 {
        told += next_told(&mut of_sun).await.unwrap().len();
    }
}
