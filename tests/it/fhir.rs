//! The FHIR door of a real node: records handed in, found, read and matched.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;
use xiangyi::rpc::proto::xiangyi::records::v1::record_service_client::RecordServiceClient;
use xiangyi::sharing::discharge::model::{DischargeRecord, Identifier, IdentifierKind};
use xiangyi::sharing::discharge::{Moment, cda, fhir};

use crate::harness::{Setup, TestNode};

pub(crate) const FHIR: (&str, &str) = ("content-type", "application/fhir+json");
pub(crate) const TREAT: (&str, &str) = ("x-purpose-of-use", "TREAT");
const CDA: &[u8] = include_bytes!("../data/records/wst500-53-stroke.xml");
const RESIDENT: &str = "urn:oid:2.16.156.10011.1.3";

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Code and diagnostics of the first issue.
    pub(crate) fn issue(&self) -> (String, String) {
        assert_eq!(self.header("content-type"), Some("application/fhir+json; charset=utf-8"));
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
        let issue = &outcome["issue"][0];
        assert!(issue["severity"].is_string() && issue["diagnostics"].is_string(), "{outcome}");
        let text = |name: &str| issue[name].as_str().unwrap().to_owned();
        (text("code"), text("diagnostics"))
    }
}

pub(crate) async fn call(
    at: SocketAddr,
    request: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(head(request, headers, body.len()).as_bytes()).await.unwrap();
    // A node that refuses early may close before it has read everything.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an HTTP answer");
    let head = String::from_utf8(answer[..split].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    Answer { status, head, body: answer.split_off(split + 4) }
}

pub(crate) fn head(request: &str, headers: &[(&str, &str)], length: usize) -> String {
    let mut head = format!("{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "content-length: {length}\r\n\r\n");
    head
}

pub(crate) fn setup() -> Setup {
    Setup::new().with(|c| c.fhir.listen = Some("127.0.0.1:0".parse().unwrap()))
}

pub(crate) fn at(node: &TestNode) -> SocketAddr {
    node.node.fhir_address().unwrap()
}

pub(crate) async fn get(node: &TestNode, path: &str) -> Answer {
    call(at(node), &format!("GET /fhir/{path}"), &[TREAT], b"").await
}

pub(crate) async fn post(node: &TestNode, path: &str, body: &[u8]) -> Answer {
    call(at(node), &format!("POST /fhir/{path}"), &[TREAT, FHIR], body).await
}

/// A resident ID of somebody from 信州区, who is made up, with its check digit.
fn resident_id(born: &str, number: u16) -> String {
    let digits = format!("361102{born}{number:03}");
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits
        .chars()
        .zip(weights)
        .map(|(digit, weight)| digit.to_digit(10).unwrap() * weight)
        .sum();
    let check = "10X98765432".chars().nth(usize::try_from(sum % 11).unwrap()).unwrap();
    format!("{digits}{check}")
}

/// The fixture as a record of another number, of somebody born on that day.
fn record(number: &str, name: &str, born: &str, resident_id: &str) -> DischargeRecord {
    let mut record = cda::read(CDA).unwrap().record;
    record.document.name = format!("urn:oid:1.2.156.1|{number}");
    record.document.version = Some(1);
    name.clone_into(&mut record.patient.name);
    record.patient.birth_date = Some(Moment::iso(born).unwrap());
    record.patient.identifiers = vec![Identifier {
        kind: IdentifierKind::ResidentId,
        system: RESIDENT.to_owned(),
        value: resident_id.to_owned(),
    }];
    record.patient.phones.clear();
    record
}

fn bundle(record: &DischargeRecord) -> Vec<u8> {
    let assembled = Moment::iso("2026-11-29T10:00:00+08:00").unwrap();
    fhir::write(record, &assembled).to_string().into_bytes()
}

/// The bundle of a record of 饶建国.
pub(crate) fn jianguo(number: &str) -> Vec<u8> {
    bundle(&record(number, "饶建国", "1957-03-17", &resident_id("19570317", 51)))
}

pub(crate) async fn total(node: &TestNode, query: &str) -> u64 {
    let found = get(node, &format!("DocumentReference?{query}")).await;
    assert_eq!(found.status, 200, "{query}: {}", found.json());
    found.json()["total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_posted_as_fhir_is_found_read_as_a_document_and_given_back_byte_for_byte() {
    let node = setup().start().await;
    let sent = jianguo("1");
    let created = post(&node, "Bundle", &sent).await;
    assert_eq!(created.status, 201, "{}", created.json());
    assert_eq!(created.header("etag"), Some("W/\"1\""));
    let location = created.header("location").unwrap().to_owned();
    let rest = location.strip_prefix("http://localhost/fhir/Bundle/").unwrap();
    let id = rest.strip_suffix("/_history/1").unwrap().to_owned();
    assert!(created.json()["issue"].as_array().unwrap().iter().all(|i| i["severity"] != "error"));
    let again = post(&node, "Bundle", &sent).await;
    assert_eq!((again.status, again.header("location")), (200, Some(location.as_str())));

    let born = resident_id("19570317", 51);
    for query in [
        String::new(),
        format!("patient.identifier={RESIDENT}|{born}"),
        format!("patient.identifier={}", born.to_lowercase()),
        format!("patient:Patient.identifier=urn:x|1,{RESIDENT}|{born}"),
        "type=http://loinc.org|18842-5&status=current&date=ge2020".to_owned(),
        format!("_id={id}&_lastUpdated=gt2020-01-01"),
        "unknown=1".to_owned(),
    ] {
        assert_eq!(total(&node, &query).await, 1, "{query}");
    }
    for query in [
        "patient.identifier=1".to_owned(),
        format!("patient.identifier=urn:x|{born}"),
        format!("patient.identifier=|{born}"),
        "type=34133-9".to_owned(),
        "status=superseded,entered-in-error".to_owned(),
        "date=lt2020".to_owned(),
        "_id=nothing".to_owned(),
        "patient=Patient/p-999".to_owned(),
    ] {
        assert_eq!(total(&node, &query).await, 0, "{query}");
    }
    let form = format!("patient.identifier={RESIDENT}%7C{born}");
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let request = "POST /fhir/DocumentReference/_search";
    let found = call(at(&node), request, &[TREAT, form_type], form.as_bytes()).await;
    assert_eq!((found.status, &found.json()["total"]), (200, &json!(1)));

    let entry = &found.json()["entry"][0];
    assert_eq!(entry["fullUrl"], format!("http://localhost/fhir/DocumentReference/{id}"));
    let read = get(&node, &format!("DocumentReference/{id}")).await;
    assert_eq!(&read.json(), &entry["resource"]);
    assert_eq!(read.json()["subject"]["display"], "饶建国");
    let attachment = &read.json()["content"][0]["attachment"];
    assert_eq!(attachment["contentType"], "application/fhir+json");
    assert_eq!(attachment["size"].as_u64(), Some(sent.len().try_into().unwrap()));
    let path = attachment["url"].as_str().unwrap().strip_prefix("http://localhost/fhir/").unwrap();
    let original = get(&node, path).await;
    assert_eq!(original.header("content-type"), Some("application/fhir+json"));
    assert!(original.body == sent);
    let document = get(&node, &format!("Composition/{id}/$document")).await;
    assert!(document.status == 200 && document.body == sent);
    let posted = post(&node, &format!("Composition/{id}/$document"), b"").await;
    assert!(posted.status == 200 && posted.body == sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_in_cda_that_came_over_grpc_is_found_and_read_as_fhir() {
    let node = setup().start().await;
    let mut grpc = RecordServiceClient::new(node.channel.clone());
    let request = pb::SubmitRecordRequest { content: CDA.to_vec(), ..Default::default() };
    grpc.submit_record(request).await.unwrap();
    let query = format!("DocumentReference?patient.identifier={RESIDENT}|36112119570317051X");
    let found = get(&node, &query).await.json();
    assert_eq!(found["total"], 1, "{found}");
    let contents = &found["entry"][0]["resource"]["content"];
    let url = |n: usize| {
        let url = contents[n]["attachment"]["url"].as_str().unwrap();
        url.strip_prefix("http://localhost/fhir/").unwrap().to_owned()
    };
    let original = get(&node, &url(0)).await;
    assert_eq!(original.header("content-type"), Some("application/xml"));
    assert!(original.body == CDA);
    let named = [TREAT, ("accept", "application/fhir+json")];
    let wrapped = call(at(&node), &format!("GET /fhir/{}", url(0)), &named, b"").await.json();
    assert_eq!(
        (&wrapped["resourceType"], &wrapped["contentType"]),
        (&json!("Binary"), &json!("application/xml"))
    );
    let refused = [TREAT, ("accept", "image/png")];
    assert_eq!(call(at(&node), &format!("GET /fhir/{}", url(0)), &refused, b"").await.status, 406);
    let document = get(&node, &url(1)).await;
    let read = fhir::read(&document.body).unwrap().record;
    let sent = cda::read(CDA).unwrap().record;
    assert_eq!((read.patient, read.diagnoses), (sent.patient, sent.diagnoses));
    // The same every time, so that a tag holds.
    let tag = document.header("etag").unwrap();
    let known = [TREAT, ("if-none-match", tag)];
    assert_eq!(call(at(&node), &format!("GET /fhir/{}", url(1)), &known, b"").await.status, 304);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_caller_has_is_not_sent_again() {
    let node = setup().start().await;
    post(&node, "Bundle", &jianguo("1")).await;
    let found = get(&node, "DocumentReference").await.json();
    let id = found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    for path in ["DocumentReference/", "Binary/", "Composition/"] {
        let tail = if path == "Composition/" { "/$document" } else { "" };
        let path = format!("{path}{id}{tail}");
        let first = get(&node, &path).await;
        let tag = first.header("etag").unwrap().to_owned();
        let request = format!("GET /fhir/{path}");
        let known = call(at(&node), &request, &[TREAT, ("if-none-match", &tag)], b"").await;
        assert_eq!((known.status, known.body.len()), (304, 0), "{path}");
        assert_eq!(known.header("etag"), Some(tag.as_str()));
        let other = call(at(&node), &request, &[TREAT, ("if-none-match", "\"x\"")], b"").await;
        assert!(other.status == 200 && other.body == first.body, "{path}");
        let only = call(at(&node), &request.replace("GET", "HEAD"), &[TREAT], b"").await;
        assert_eq!((only.status, only.body.len()), (200, 0), "{path}");
        assert_eq!(only.header("content-length"), Some(first.body.len().to_string().as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_records_are_paged_through_without_gap_or_repetition() {
    let node = setup().start().await;
    let mut sent = Vec::new();
    for number in 0..30_u16 {
        let born = resident_id("19570317", 51 + 2 * number);
        let one = record(&number.to_string(), "饶建国", "1957-03-17", &born);
        let created = post(&node, "Bundle", &bundle(&one)).await;
        assert_eq!(created.status, 201);
        sent.push(created.header("location").unwrap().split('/').nth(5).unwrap().to_owned());
    }
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut next = Some("DocumentReference?_count=7&status=current&unknown=1".to_owned());
    while let Some(path) = next {
        let page = get(&node, &path).await.json();
        assert_eq!(page["total"], 30);
        let link = |relation: &str| {
            let links = page["link"].as_array().unwrap();
            let link = links.iter().find(|link| link["relation"] == relation)?;
            link["url"].as_str().unwrap().strip_prefix("http://localhost/fhir/").map(str::to_owned)
        };
        assert!(!link("self").unwrap().contains("unknown"), "{page}");
        for entry in page["entry"].as_array().unwrap() {
            seen.push(entry["resource"]["id"].as_str().unwrap().to_owned());
        }
        // What comes meanwhile is newer than all pages and shifts nothing.
        if pages == 0 {
            assert_eq!(get(&node, &link("self").unwrap()).await.json()["entry"], page["entry"]);
        }
        next = link("next");
        pages += 1;
    }
    sent.reverse();
    assert_eq!((pages, seen), (5, sent));
    let counted = get(&node, "DocumentReference?_count=0").await.json();
    assert_eq!((&counted["total"], &counted["entry"]), (&json!(30), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correction_replaces_and_a_withdrawal_is_said() {
    let node = setup().start().await;
    let mut one = record("1", "饶建国", "1957-03-17", &resident_id("19570317", 51));
    post(&node, "Bundle", &bundle(&one)).await;
    let first = get(&node, "DocumentReference").await.json()["entry"][0]["resource"].clone();
    one.stay.department = "神经内科二区".to_owned();
    let conflict = post(&node, "Bundle", &bundle(&one)).await;
    assert_eq!((conflict.status, conflict.issue().0.as_str()), (409, "conflict"));
    one.document.version = Some(2);
    assert_eq!(post(&node, "Bundle", &bundle(&one)).await.status, 201);
    let newest =
        get(&node, "DocumentReference?status=current").await.json()["entry"][0]["resource"].clone();
    let target = &newest["relatesTo"][0]["target"]["reference"];
    assert_eq!(target, &json!(format!("DocumentReference/{}", first["id"].as_str().unwrap())));
    assert_eq!(newest["subject"]["reference"], first["subject"]["reference"]);
    let path = format!("DocumentReference/{}", first["id"].as_str().unwrap());
    let old = get(&node, &path).await.json();
    assert_eq!((&first["status"], &old["status"]), (&json!("current"), &json!("superseded")));
    assert_eq!(old["meta"]["lastUpdated"], newest["meta"]["lastUpdated"]);
    one.document.version = Some(3);
    one.document.entered_in_error = true;
    assert_eq!(post(&node, "Bundle", &bundle(&one)).await.status, 201);
    assert_eq!(total(&node, "status=current").await, 0);
    assert_eq!(total(&node, "status=superseded").await, 2);
    assert_eq!(total(&node, "status=entered-in-error").await, 1);
    // Nobody is known by a record that was taken back.
    let asked = json!({ "resourceType": "Patient", "name": [{ "text": "饶建国" }],
        "identifier": [{ "system": RESIDENT, "value": resident_id("19570317", 51) }] });
    let matched = post(&node, "Patient/$match", asked.to_string().as_bytes()).await.json();
    assert_eq!(matched["total"], 0, "{matched}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn persons_are_matched_with_grades_and_found_again_after_a_restart() {
    let mut node = setup().start().await;
    let jianguo_id = resident_id("19570317", 51);
    for number in ["1", "2"] {
        post(&node, "Bundle", &jianguo(number)).await;
    }
    let other = resident_id("19800102", 12);
    post(&node, "Bundle", &bundle(&record("3", "徐小兰", "1980-01-02", &other))).await;
    let ask = |name: &str, born: &str, id: &str, only_certain: bool| {
        let patient = json!({ "resourceType": "Patient", "name": [{ "text": name }],
            "birthDate": born, "identifier": [{ "system": RESIDENT, "value": id }] });
        json!({ "resourceType": "Parameters", "parameter": [
            { "name": "resource", "resource": patient },
            { "name": "count", "valueInteger": 5 },
            { "name": "onlyCertainMatches", "valueBoolean": only_certain } ] })
        .to_string()
        .into_bytes()
    };
    let grade = |answer: &Value| {
        answer["entry"][0]["search"]["extension"][0]["valueCode"].as_str().map(str::to_owned)
    };
    for round in 0..3 {
        let certain =
            post(&node, "Patient/$match", &ask("饶建国", "1957-03-17", &jianguo_id, true)).await;
        let certain = certain.json();
        assert_eq!((&certain["total"], grade(&certain).as_deref()), (&json!(1), Some("certain")));
        let found = &certain["entry"][0];
        assert!(found["search"]["score"].as_f64().unwrap() > 0.99, "{found}");
        assert_eq!(found["resource"]["identifier"][0]["value"], json!(jianguo_id));
        let id = found["resource"]["id"].as_str().unwrap();
        assert_eq!(total(&node, &format!("patient=Patient/{id}")).await, 2);
        assert_eq!(total(&node, &format!("patient=http://localhost/fhir/Patient/{id}")).await, 2);
        // A borrowed card: somebody must look, and no number is told.
        let borrowed = ask("徐小兰", "1957-03-17", &jianguo_id, false);
        let borrowed = post(&node, "Patient/$match", &borrowed).await.json();
        assert_eq!(grade(&borrowed).as_deref(), Some("possible"), "{borrowed}");
        assert!(!borrowed.to_string().contains(&jianguo_id));
        let only = ask("徐小兰", "1957-03-17", &jianguo_id, true);
        assert_eq!(post(&node, "Patient/$match", &only).await.json()["total"], 0);
        let nobody = ask("章无人", "1990-05-05", &resident_id("19900505", 99), false);
        assert_eq!(post(&node, "Patient/$match", &nobody).await.json()["total"], 0);
        // Without its key the node makes all of it anew.
        let TestNode { node: running, data, .. } = node;
        assert!(running.stop().await);
        if round == 1 {
            std::fs::remove_file(data.path().join("people.key")).unwrap();
        }
        node = setup().start_in(data).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statement_says_what_there_is_and_every_answer_is_said_to_be_r4() {
    let node = setup().tokens().start().await;
    let said = call(at(&node), "GET /fhir/metadata", &[], b"").await;
    assert_eq!((said.status, &said.json()["fhirVersion"]), (200, &json!("4.0.1")));
    assert_eq!(said.json()["implementation"]["url"], "http://localhost/fhir");
    let resources = said.json()["rest"][0]["resource"].as_array().unwrap().len();
    assert_eq!(resources, 5);
    for (format, status) in [
        ("json", 200),
        ("application/fhir%2Bjson", 200),
        ("application/fhir+json", 200),
        ("xml", 406),
    ] {
        let request = format!("GET /fhir/metadata?_format={format}");
        assert_eq!(call(at(&node), &request, &[], b"").await.status, status, "{format}");
    }
    for (accept, status) in [
        ("application/fhir+json", 200),
        ("application/json;q=0.5", 200),
        ("text/html, */*;q=0.1", 200),
        ("application/fhir+xml", 406),
        ("application/fhir+json;q=0", 406),
    ] {
        let said = call(at(&node), "GET /fhir/metadata", &[("accept", accept)], b"").await;
        assert_eq!(said.status, status, "{accept}");
    }
}
