//! Records of a patient who is treated elsewhere, looked up at the hub over real links: who gets them,
//! who does not, and what both sides write down.

use std::time::Duration;

use sqlx::ConnectOptions as _;
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use xiangyi::app::access::Role;
use xiangyi::config::{Config, NodeRole};
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;
use xiangyi::rpc::proto::xiangyi::records::v1::consent_service_client::ConsentServiceClient;

use crate::harness::{Setup, TestNode, bad_fields, reason, token_of};
use crate::records::{PATIENT, has, hub_with, node, node_with, records, stroke, submit};
use crate::region::until;

const REASON: &str = "患者昏迷送来，需要知道用药和过敏史";

async fn hub() -> TestNode {
    hub_with(tempfile::tempdir().unwrap(), |c| {
        c.metrics.listen = Some("127.0.0.1:0".parse().unwrap());
    })
    .await
}

/// A clinic in which nobody of the patient's village is registered.
async fn elsewhere(hub: &TestNode, more: impl FnOnce(&mut Config)) -> TestNode {
    node_with("elsewhere", hub, tempfile::tempdir().unwrap(), more).await
}

fn person(name: &str, resident_id: &str) -> pb::LookedUpPerson {
    let (name, resident_id) = (name.to_owned(), resident_id.to_owned());
    pb::LookedUpPerson { name, resident_id, health_card: String::new() }
}

/// In an emergency, with a reason.
fn looking(name: &str, resident_id: &str) -> pb::LookUpRecordsRequest {
    pb::LookUpRecordsRequest {
        person: Some(person(name, resident_id)),
        purpose: pb::Purpose::Emergency.into(),
        break_glass_reason: REASON.to_owned(),
    }
}

fn fetching(record: &str) -> pb::FetchRecordRequest {
    pb::FetchRecordRequest {
        name: record.to_owned(),
        version: 0,
        person: Some(person(PATIENT.0, PATIENT.1)),
        purpose: pb::Purpose::Emergency.into(),
        break_glass_reason: REASON.to_owned(),
        include_original: true,
    }
}

async fn look_up(
    node: &TestNode,
    request: pb::LookUpRecordsRequest,
) -> Result<pb::LookUpRecordsResponse, Status> {
    records(node).look_up_records(request).await.map(tonic::Response::into_inner)
}

async fn fetch(
    node: &TestNode,
    request: pb::FetchRecordRequest,
) -> Result<pb::FetchRecordResponse, Status> {
    let mut client = records(node).max_decoding_message_size(64 * 1024 * 1024);
    client.fetch_record(request).await.map(tonic::Response::into_inner)
}

/// Looks up as soon as the link stands.
async fn looked_up(node: &TestNode) -> pb::LookUpRecordsResponse {
    until("the hub answers", async || look_up(node, looking(PATIENT.0, PATIENT.1)).await.ok()).await
}

/// The rows of a query on a database of a node, columns separated by `|`.
async fn rows(data: &TempDir, database: &str, query: &'static str) -> Vec<String> {
    let path = data.path().join(database);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
}

/// What the node's audit trail says of look-ups: who, which, whose, what came of it, why.
async fn trail(node: &TestNode) -> Vec<String> {
    let query = "SELECT caller || '|' || role || '|' || record_id || '|' || patient_reference || '|' \
                 || outcome || '|' || detail FROM audit WHERE action = 'look_up_records' ORDER BY seq";
    rows(&node.data, "xiangyi.db", query).await
}

/// What the hub's trail says.
async fn hub_trail(hub: &TestNode) -> Vec<String> {
    let query = "SELECT node || '|' || caller || '|' || role || '|' || action || '|' || purpose || '|' \
                 || reason || '|' || lower(hex(person)) || '|' || record || '|' || documents || '|' \
                 || outcome FROM look_up ORDER BY number";
    rows(&hub.data, "hub.db", query).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patients_records_are_found_and_fetched_and_both_sides_have_it_in_their_trails() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let elsewhere = elsewhere(&hub, |_| ()).await;
    let content = stroke("CYXJ-1");
    let kept = submit(&county, content.clone()).await;
    has(&village, &kept.name, 1).await;
    let found = looked_up(&elsewhere).await;
    let [record] = &found.records[..] else { panic!("{found:?}") };
    assert_eq!((record.name.as_str(), record.version, record.here), (&*kept.name, 1, false));
    assert_eq!((record.patient_name.as_str(), record.node.as_str()), (PATIENT.0, "county"));
    assert!(!record.institution.is_empty() && !record.diagnosis.is_empty());
    assert_eq!(record.scope(), pb::AccessScope::Whole);
    assert!(found.under_review && found.access_until_ms > 0 && !found.access_reasons.is_empty());
    let fetched = fetch(&elsewhere, fetching(&kept.name)).await.unwrap();
    assert_eq!((fetched.original, fetched.node.as_str()), (content, "county"));
    let record = fetched.record.unwrap();
    assert!(record.current && record.from_hub && record.under_review);
    assert_eq!((record.sha256.as_str(), record.sm3.as_str()), (&*kept.sha256, &*kept.sm3));
    assert!(record.programmes.iter().any(|p| p.programme == "stroke"));
    let patient = record.record.unwrap().patient.unwrap();
    assert!(patient.identifiers.iter().any(|i| i.value == PATIENT.1));
    // It is the district's: nothing of it stays.
    let local = pb::GetRecordRequest {
        name: kept.name.clone(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    let gone = records(&elsewhere).get_record(local).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    // Where it is already, that is said.
    assert!(looked_up(&village).await.records[0].here);

    let hub_trail = hub_trail(&hub).await;
    let [looked, given, _of_village] = &hub_trail[..] else { panic!("{hub_trail:?}") };
    let whose = looked.split('|').nth(6).unwrap();
    assert_eq!(whose.len(), 32);
    let who = "elsewhere|local|village_doctor";
    assert_eq!(*looked, format!("{who}|look_up|ETREAT|{REASON}|{whose}||1|found"));
    assert_eq!(*given, format!("{who}|fetch|ETREAT|{REASON}|{whose}|{}|1|given", kept.name));
    // Those that were asked before the link stood are there as well.
    let trail = trail(&elsewhere).await;
    let [.., asked, opened, asked_one, opened_one] = &trail[..] else { panic!("{trail:?}") };
    assert_eq!(asked, "local|local|||asked|ETREAT");
    assert_eq!(*opened, format!("local|local||{whose}|glass_broken|ETREAT hub entry 1"));
    assert_eq!(*asked_one, format!("local|local|{}||asked|ETREAT", kept.name));
    let entry = "glass_broken|ETREAT hub entry 2";
    assert_eq!(*opened_one, format!("local|local|{}|{whose}|{entry}", kept.name));
    for line in hub_trail.iter().chain(&trail) {
        assert!(!line.contains(PATIENT.1) && !line.contains(PATIENT.0), "{line}");
    }
    // As where the glass is broken for what is here: each is looked at afterwards.
    let mut service = ConsentServiceClient::new(elsewhere.channel.clone());
    let reviews = service.list_access_reviews(pb::ListAccessReviewsRequest::default()).await;
    let reviews = reviews.unwrap().into_inner().reviews;
    let reviews: Vec<_> = reviews.iter().map(|r| (r.record.as_str(), r.reason.as_str())).collect();
    assert_eq!(reviews, [(&*kept.name, REASON), ("", REASON)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_name_and_a_number_that_nobody_has_are_answered_alike() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let elsewhere = elsewhere(&hub, |_| ()).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    until("the hub has it", async || {
        (!looked_up(&elsewhere).await.records.is_empty()).then_some(())
    })
    .await;
    let mut answers = Vec::new();
    for (name, number) in [("饶建中", PATIENT.1), (PATIENT.0, "11010519491231002X")] {
        let found = look_up(&elsewhere, looking(name, number)).await.unwrap();
        assert!(found.records.is_empty());
        answers.push((found.has_more, found.under_review, found.access_reasons));
        let request =
            pb::FetchRecordRequest { person: Some(person(name, number)), ..fetching(&kept.name) };
        let missing = fetch(&elsewhere, request).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound, "{missing}");
        answers.push((false, false, vec![missing.message().to_owned()]));
    }
    assert_eq!(answers[..2], answers[2..]);
    let nothing = fetch(&elsewhere, fetching("no such record")).await.unwrap_err();
    assert_eq!(nothing.message(), answers[1].2[0]);
    let outcomes: Vec<_> =
        hub_trail(&hub).await.iter().map(|l| l.rsplit('|').next().unwrap().to_owned()).collect();
    assert!(outcomes.ends_with(
        &["nothing", "not_found", "nothing", "not_found", "not_found"].map(str::to_owned)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_and_purpose_decide_and_what_is_denied_is_in_both_trails() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let with_tokens = Setup::new().tokens().config.auth;
    let elsewhere = elsewhere(&hub, |c| c.auth = with_tokens).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    let signed = |role: Role, message| {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", token_of(role)).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    };
    until("the link stands", async || {
        let request = signed(Role::VillageDoctor, looking(PATIENT.0, PATIENT.1));
        records(&elsewhere).look_up_records(request).await.ok()
    })
    .await;
    let before = hub_trail(&hub).await.len();
    let treatment = pb::LookUpRecordsRequest {
        purpose: pb::Purpose::Treatment.into(),
        break_glass_reason: String::new(),
        ..looking(PATIENT.0, PATIENT.1)
    };
    let no_reason = pb::LookUpRecordsRequest {
        break_glass_reason: "急".to_owned(),
        ..looking(PATIENT.0, PATIENT.1)
    };
    for (role, request, word) in [
        // Nobody has confirmed that the patient is here.
        (Role::VillageDoctor, treatment.clone(), "没有诊疗关系"),
        (Role::VillageDoctor, no_reason, "不足"),
        (Role::Pharmacist, looking(PATIENT.0, PATIENT.1), "药师"),
        (Role::Auditor, treatment, "不得以诊疗为目的"),
    ] {
        let denied = records(&elsewhere).look_up_records(signed(role, request.clone())).await;
        let denied = denied.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied, "{role:?}: {denied}");
        assert!(denied.message().contains(word), "{role:?}: {denied}");
        assert!(!denied.message().contains(PATIENT.0));
        let one = pb::FetchRecordRequest {
            purpose: request.purpose,
            break_glass_reason: request.break_glass_reason,
            ..fetching(&kept.name)
        };
        let mut request = Request::new(one);
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {}", token_of(role)).parse().unwrap());
        let denied = records(&elsewhere).fetch_record(request).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied, "{role:?}: {denied}");
    }
    // Who may not look up at all gets no further than this node's door.
    let administrator = signed(Role::Administrator, looking(PATIENT.0, PATIENT.1));
    let denied = records(&elsewhere).look_up_records(administrator).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let there: Vec<_> = hub_trail(&hub).await.split_off(before);
    assert_eq!(there.len(), 8);
    assert!(there.iter().all(|line| line.ends_with("||denied_at_node")), "{there:?}");
    let here = trail(&elsewhere).await;
    let here: Vec<_> = here.iter().filter(|line| line.contains("|withheld|")).collect();
    assert_eq!(here.len(), 8);
    for (here, there) in here.iter().zip(&there) {
        let whose = there.split('|').nth(6).unwrap();
        assert!(here.contains(whose) && here.contains("hub entry"), "{here}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_patient_took_back_here_is_not_looked_up_either() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &kept.name, 1).await;
    // The record is here, so that the village may read it, and fetch it too.
    let request = pb::FetchRecordRequest {
        purpose: pb::Purpose::Treatment.into(),
        break_glass_reason: String::new(),
        ..fetching(&kept.name)
    };
    let fetched = fetch(&village, request.clone()).await.unwrap().record.unwrap();
    assert!(!fetched.under_review && fetched.scope() == pb::AccessScope::Whole);
    let withdraw = pb::WithdrawConsentRequest { record: kept.name.clone(), all: true };
    let mut consent = ConsentServiceClient::new(village.channel.clone());
    consent.withdraw_consent(withdraw).await.unwrap();
    let denied = fetch(&village, request).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert!(denied.message().contains("撤回"), "{denied}");
    let trail = trail(&village).await;
    assert!(trail.iter().any(|line| line.contains("|ok|TREAT hub entry 1")), "{trail:?}");
    assert!(trail.last().unwrap().contains("|withheld|TREAT hub entry 2"), "{trail:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pharmacist_gets_the_summary_and_no_original() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let with_tokens = Setup::new().tokens().config.auth;
    let data = tempfile::tempdir().unwrap();
    let village = node_with("village", &hub, data, |c| c.auth = with_tokens).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    let signed = |include_original| {
        let mut request = Request::new(pb::FetchRecordRequest {
            purpose: pb::Purpose::Treatment.into(),
            break_glass_reason: String::new(),
            include_original,
            ..fetching(&kept.name)
        });
        let bearer = format!("Bearer {}", token_of(Role::Pharmacist)).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    };
    // Until the record is in the village it has no relation to the patient.
    let fetched = until("the record is here", async || {
        records(&village).fetch_record(signed(false)).await.ok()
    })
    .await
    .into_inner();
    assert!(fetched.original.is_empty());
    let record = fetched.record.unwrap();
    assert_eq!(record.scope(), pb::AccessScope::Summary);
    let record = record.record.unwrap();
    assert!(record.patient.unwrap().identifiers.is_empty() && !record.diagnoses.is_empty());
    assert!(record.narrative.unwrap().course.is_empty());
    let refused = records(&village).fetch_record(signed(true)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("不可取得原件"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_hub_it_is_said_what_is_missing_and_what_is_here_is_read() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &kept.name, 1).await;
    assert!(hub.node.stop().await);
    let gone = until("the line is down", async || {
        look_up(&village, looking(PATIENT.0, PATIENT.1)).await.err()
    })
    .await;
    let fetched = fetch(&village, fetching(&kept.name)).await.unwrap_err();
    for status in [gone, fetched] {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.message().contains("needs the link to the hub"), "{status}");
        assert!(status.message().contains("on this node can be read"), "{status}");
    }
    let local = pb::GetRecordRequest {
        name: kept.name.clone(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    records(&village).get_record(local).await.unwrap();
    let trail = trail(&village).await;
    assert!(trail.last().unwrap().ends_with("||unavailable|ETREAT"), "{trail:?}");
    // A node of no region has no hub to ask.
    let alone = Setup::new().start().await;
    let refused = look_up(&alone, looking(PATIENT.0, PATIENT.1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("link.hub"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_harvests_is_refused_told_when_and_counted() {
    let hub = hub_with(tempfile::tempdir().unwrap(), |c| {
        c.metrics.listen = Some("127.0.0.1:0".parse().unwrap());
        c.exchange.look_up_persons_per_hour_max = 2;
    })
    .await;
    let elsewhere = elsewhere(&hub, |_| ()).await;
    looked_up(&elsewhere).await;
    look_up(&elsewhere, looking("饶建中", PATIENT.1)).await.unwrap();
    let refused = look_up(&elsewhere, looking("饶建华", PATIENT.1)).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::ResourceExhausted, "OVERLOADED")
    );
    assert!(refused.message().contains("different persons"), "{refused}");
    let details = tonic_types::StatusExt::get_details_retry_info(&refused).unwrap();
    let retry = details.retry_delay.unwrap();
    assert!(retry > Duration::from_mins(50) && retry <= Duration::from_hours(1), "{retry:?}");
    // Who was looked up already still is.
    looked_up(&elsewhere).await;
    assert_eq!(
        hub_trail(&hub).await.iter().filter(|l| l.ends_with("|too_many_persons")).count(),
        1
    );
    let here = trail(&elsewhere).await;
    assert!(
        here.iter().any(|line| line.contains("|too_many_persons|ETREAT hub entry")),
        "{here:?}"
    );
    let counted = "xiangyi_look_ups_total{outcome=\"too_many_persons\"} 1\n";
    until("it is in the metrics", async || hub.metrics().await.contains(counted).then_some(()))
        .await;
    let metrics = hub.metrics().await;
    assert!(metrics.contains("xiangyi_look_ups_total{outcome=\"looked_up\"} 3\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_refused_by_field_and_not_sent() {
    let hub = hub().await;
    let elsewhere = elsewhere(&hub, |_| ()).await;
    looked_up(&elsewhere).await;
    let before = trail(&elsewhere).await.len();
    let fine = looking(PATIENT.0, PATIENT.1);
    let whole = |person| pb::LookUpRecordsRequest { person, ..fine.clone() };
    for (request, field) in [
        (whole(None), "person.name"),
        (whole(Some(person("", PATIENT.1))), "person.name"),
        (whole(Some(person(PATIENT.0, ""))), "person.resident_id"),
        (whole(Some(person(PATIENT.0, "361121195703170510"))), "person.resident_id"),
        (pb::LookUpRecordsRequest { purpose: 0, ..fine.clone() }, "purpose"),
        (pb::LookUpRecordsRequest { purpose: 77, ..fine.clone() }, "purpose"),
        (
            pb::LookUpRecordsRequest { break_glass_reason: "急".repeat(501), ..fine.clone() },
            "break_glass_reason",
        ),
    ] {
        let refused = look_up(&elsewhere, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert!(bad_fields(&refused).iter().any(|f| f == field), "{field}: {refused}");
    }
    for name in ["", "a\nb", &"r".repeat(513)] {
        let refused = fetch(&elsewhere, fetching(name)).await.unwrap_err();
        assert_eq!(bad_fields(&refused), ["name"]);
    }
    assert_eq!((trail(&elsewhere).await.len(), hub_trail(&hub).await.len()), (before, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_cut_off_is_in_the_trail_and_the_next_one_is_answered() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let elsewhere = elsewhere(&hub, |_| ()).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    looked_up(&elsewhere).await;
    let before = trail(&elsewhere).await.len();
    for micros in [0, 500, 2_000, 8_000, 20_000] {
        let pause = Duration::from_micros(micros);
        let _ =
            tokio::time::timeout(pause, look_up(&elsewhere, looking(PATIENT.0, PATIENT.1))).await;
        let _ = tokio::time::timeout(pause, fetch(&elsewhere, fetching(&kept.name))).await;
    }
    until("the record is given", async || fetch(&elsewhere, fetching(&kept.name)).await.ok()).await;
    // Whatever the hub has given, somebody is named here who asked for it.
    let here = trail(&elsewhere).await.split_off(before);
    let asked = here.iter().filter(|line| line.contains("|asked|")).count();
    let answered = here.len() - asked;
    assert!(asked >= answered && answered >= 1, "{here:?}");
    let there = hub_trail(&hub).await.len() - 1;
    assert!(there <= asked && there >= answered, "{there} of {here:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_of_16_mib_comes_whole() {
    let large = |c: &mut Config| c.server.message_bytes_max = 40 << 20;
    let hub = hub().await;
    let county = node_with("county", &hub, tempfile::tempdir().unwrap(), |c| {
        c.node.role = NodeRole::Hospital;
        large(c);
    })
    .await;
    let elsewhere = elsewhere(&hub, large).await;
    let mut content = stroke("CYXJ-1");
    // A comment after the root, up to what is taken at most.
    let padding = (16 << 20) - content.len() - "<!---->".len();
    content.extend_from_slice(b"<!--");
    content.resize(content.len() + padding, b'x');
    content.extend_from_slice(b"-->");
    assert_eq!(content.len(), 16 << 20);
    let request = pb::SubmitRecordRequest { content: content.clone(), ..Default::default() };
    let kept = records(&county).submit_record(request).await.unwrap().into_inner();
    let found = until("the hub has it", async || {
        look_up(&elsewhere, looking(PATIENT.0, PATIENT.1))
            .await
            .ok()
            .filter(|f| !f.records.is_empty())
    })
    .await;
    assert_eq!(found.records[0].name, kept.name);
    let fetched = fetch(&elsewhere, fetching(&kept.name)).await.unwrap();
    assert!(fetched.original == content, "the bytes are those that the hospital sent");
    assert_eq!(fetched.record.unwrap().sha256, kept.sha256);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_damaged_at_the_hub_is_named_and_refused() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let elsewhere = elsewhere(&hub, |_| ()).await;
    let (first, second) =
        (submit(&county, stroke("CYXJ-1")).await, submit(&county, stroke("CYXJ-2")).await);
    until("the hub has both", async || {
        (looked_up(&elsewhere).await.records.len() == 2).then_some(())
    })
    .await;
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(hub.data.path().join("hub.db"));
    let mut connection = options.connect().await.unwrap();
    let damaged = sqlx::query("UPDATE document SET body = substr(body, 1, 60) WHERE name = ?1")
        .bind(&first.name)
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(damaged.rows_affected(), 1);
    let found = looked_up(&elsewhere).await.records;
    let problems: Vec<_> = found.iter().map(|r| (r.name.as_str(), r.problem.as_str())).collect();
    assert_eq!(problems, [(&*second.name, ""), (&*first.name, "damaged")]);
    let refused = fetch(&elsewhere, fetching(&first.name)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    for word in ["damaged in the hub's database", "county"] {
        assert!(refused.message().contains(word), "{refused}");
    }
    fetch(&elsewhere, fetching(&second.name)).await.unwrap();
    let there = hub_trail(&hub).await;
    assert!(there.iter().any(|line| line.ends_with("|damaged")), "{there:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_looks_up_and_fetches_and_says_what_is_wrong() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let elsewhere = elsewhere(&hub, |_| ()).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    until("the hub has it", async || {
        (!looked_up(&elsewhere).await.records.is_empty()).then_some(())
    })
    .await;
    let url = format!("http://{}", elsewhere.node.address());
    let record = async |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xiangyi"));
        command.arg("record").args(arguments).args(["--server", &url, "--patient", PATIENT.0]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let emergency = ["--purpose", "emergency", "--break-glass", REASON];
    let with = |command: &[&'static str], more: &[&'static str]| {
        [command, &["--resident-id", PATIENT.1], more].concat()
    };
    let (fine, shown, problem) = record(&with(&["look-up"], &emergency)).await;
    assert!(fine, "{problem}");
    for word in [&*kept.name, PATIENT.0, "由 county 上报", "已列入事后审查"] {
        assert!(shown.contains(word), "{shown}");
    }
    let (fine, shown, problem) = record(&with(&["look-up", "--json"], &emergency)).await;
    assert!(fine, "{problem}");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["records"][0]["name"], *kept.name);
    assert_eq!(shown["records"][0]["scope"], "ACCESS_SCOPE_WHOLE");
    let out = elsewhere.data.path().join("original.xml").to_string_lossy().into_owned();
    let mut fetch = vec!["fetch", &kept.name, "--original", &out, "--resident-id", PATIENT.1];
    fetch.extend(emergency);
    let (fine, shown, problem) = record(&fetch).await;
    assert!(fine, "{problem}");
    assert!(shown.contains("诊断") && shown.contains("本节点不保存"), "{shown}");
    assert_eq!(std::fs::read(&out).unwrap(), stroke("CYXJ-1"));
    for (arguments, word) in [
        (vec!["look-up"], "--resident-id"),
        (with(&["look-up"], &[]), "没有诊疗关系"),
        (with(&["fetch", "nothing"], &emergency), "not found"),
    ] {
        let (fine, _, problem) = record(&arguments).await;
        assert!(!fine && problem.contains(word), "{arguments:?}: {problem}");
    }
}
