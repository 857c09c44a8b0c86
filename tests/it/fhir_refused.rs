//! What the FHIR door of a real node refuses: who may not, what cannot be, what is not there; and what
//! is left when a caller goes away.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use xiangyi::app::access::Role;

use crate::fhir::{FHIR, TREAT, at, call, get, head, jianguo, post, setup, total};
use crate::harness::token_of;

/// Every interaction: the request line, its body and the body's type.
fn interactions(id: &str) -> Vec<(String, Vec<u8>, &'static str)> {
    let fhir = "application/fhir+json";
    let patient = json!({ "resourceType": "Patient", "name": [{ "text": "饶建国" }],
        "birthDate": "1957-03-17" });
    vec![
        ("POST /fhir/Bundle".to_owned(), jianguo("9"), fhir),
        ("GET /fhir/DocumentReference".to_owned(), Vec::new(), fhir),
        (
            "POST /fhir/DocumentReference/_search".to_owned(),
            b"status=current".to_vec(),
            "application/x-www-form-urlencoded",
        ),
        (format!("GET /fhir/DocumentReference/{id}"), Vec::new(), fhir),
        (format!("GET /fhir/Composition/{id}/$document"), Vec::new(), fhir),
        (format!("POST /fhir/Composition/{id}/$document"), Vec::new(), fhir),
        (format!("GET /fhir/Binary/{id}"), Vec::new(), fhir),
        ("POST /fhir/Patient/$match".to_owned(), patient.to_string().into_bytes(), fhir),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_callers_get_an_outcome_and_nothing_else_from_every_interaction() {
    let node = setup().tokens().start().await;
    let doctor = format!("Bearer {}", token_of(Role::VillageDoctor));
    let said = [("authorization", doctor.as_str()), TREAT, FHIR];
    let created = call(at(&node), "POST /fhir/Bundle", &said, &jianguo("1")).await;
    let id = created.header("location").unwrap().split('/').nth(5).unwrap().to_owned();
    for (request, body, kind) in interactions(&id) {
        let base = [TREAT, ("content-type", kind)];
        for credentials in ["", "Bearer nonsense", "Basic eDp5"] {
            let mut said = base.to_vec();
            said.extend(Some(("authorization", credentials)).filter(|(_, c)| !c.is_empty()));
            let answer = call(at(&node), &request, &said, &body).await;
            assert_eq!((answer.status, answer.issue().0.as_str()), (401, "login"), "{request}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{request}");
        }
        for role in [Role::Auditor, Role::Administrator] {
            let token = format!("Bearer {}", token_of(role));
            let said = [base[0], base[1], ("authorization", token.as_str())];
            let answer = call(at(&node), &request, &said, &body).await;
            // An auditor may ask; for treatment the policy gives nothing, and not even names it.
            if !(role == Role::Auditor && [200, 404].contains(&answer.status)) {
                let told = (answer.status, answer.issue().0);
                assert_eq!((told.0, told.1.as_str()), (403, "forbidden"), "{request} {role:?}");
            }
            assert!(!String::from_utf8_lossy(&answer.body).contains("饶"), "{request} {role:?}");
        }
        // A pharmacist is given a summary, and a document cannot be cut.
        if request.contains("Binary") || request.contains("$document") {
            let token = format!("Bearer {}", token_of(Role::Pharmacist));
            let said = [base[0], base[1], ("authorization", token.as_str())];
            let answer = call(at(&node), &request, &said, &body).await;
            assert_eq!(answer.status, 403, "{request}");
        }
        let said = [base[0], base[1], ("authorization", doctor.as_str())];
        let answer = call(at(&node), &request, &said, &body).await;
        assert!([200, 201].contains(&answer.status), "{request}: {}", answer.status);
        // Why, must be said by whoever reads.
        if !request.contains("Bundle") {
            for purpose in [None, Some("CURIOSITY"), Some("treat")] {
                let mut said = vec![said[1], said[2]];
                said.extend(purpose.map(|purpose| ("x-purpose-of-use", purpose)));
                let answer = call(at(&node), &request, &said, &body).await;
                assert_eq!(answer.status, 400, "{request}");
                assert!(answer.issue().1.contains("X-Purpose-Of-Use must say"), "{request}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_told_by_its_path_at_every_interaction() {
    let node = setup().start().await;
    let without = |field: &str| {
        let mut bundle: Value = serde_json::from_slice(&jianguo("1")).unwrap();
        bundle["entry"][0]["resource"].as_object_mut().unwrap().remove(field);
        bundle.to_string().into_bytes()
    };
    let mut twice: Value = serde_json::from_slice(&jianguo("1")).unwrap();
    twice["timestamp"] = json!("2026-02-30T00:00:00Z");
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)).into_bytes();
    for (body, status, expression) in [
        (b"{".to_vec(), 400, None),
        (b"\xff\xfe{}".to_vec(), 400, None),
        (deep, 400, None),
        (b"{\"resourceType\":\"Patient\"}".to_vec(), 422, Some("resourceType")),
        (without("status"), 422, Some("resource.status")),
        (without("type"), 422, Some("type")),
        (twice.to_string().into_bytes(), 422, Some("Bundle.timestamp")),
    ] {
        let answer = post(&node, "Bundle", &body).await;
        assert_eq!(answer.status, status, "{expression:?}");
        answer.issue();
        let issues = answer.json()["issue"].as_array().unwrap().clone();
        let told = |path: &str| {
            issues.iter().any(|i| {
                i["severity"] == "error" && i["expression"][0].as_str().unwrap_or("").contains(path)
            })
        };
        assert!(expression.is_none_or(told), "{expression:?}: {issues:?}");
    }
    assert_eq!(total(&node, "").await, 0);
    let large = vec![b' '; (16 << 20) + 1];
    let answer = post(&node, "Bundle", &large).await;
    assert_eq!((answer.status, answer.issue().0.as_str()), (413, "too-long"));
    for kind in ["application/xml", "text/plain", "application/fhir+json; charset=gbk", "nonsense"]
    {
        let said = [TREAT, ("content-type", kind)];
        for path in ["Bundle", "Patient/$match", "DocumentReference/_search"] {
            let answer = call(at(&node), &format!("POST /fhir/{path}"), &said, b"{}").await;
            assert_eq!(
                (answer.status, answer.issue().0.as_str()),
                (415, "not-supported"),
                "{path}"
            );
        }
    }
    for query in [
        "date=2026-02-30",
        "date=ne2026",
        "_lastUpdated=yesterday",
        "_count=many",
        "_count=-1",
        "status=lost",
        "_page=0",
        "_page=x",
        "patient:missing=true",
        "patient.name=x",
        "patient.identifier=urn:x|",
        "_id=a&_id=b",
        "date:above=2026",
    ] {
        let answer = get(&node, &format!("DocumentReference?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        answer.issue();
    }
    let strict = [TREAT, ("prefer", "handling=strict")];
    let request = "GET /fhir/DocumentReference?unknown=1";
    let answer = call(at(&node), request, &strict, b"").await;
    assert_eq!((answer.status, answer.issue().0.as_str()), (400, "not-supported"));
    assert_eq!(answer.issue().1, "parameter unknown is not supported; see metadata");
    for (body, status) in [
        (json!({ "resourceType": "Parameters" }).to_string(), 422),
        (json!({ "resourceType": "Patient", "name": [{ "text": "饶建国" }] }).to_string(), 422),
        (
            json!({ "resourceType": "Patient", "name": [{ "text": "饶*" }], "birthDate": "1957" })
                .to_string(),
            422,
        ),
        ("{".to_owned(), 400),
    ] {
        assert_eq!(post(&node, "Patient/$match", body.as_bytes()).await.status, status, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_not_found_and_what_is_not_offered_not_allowed() {
    let node = setup().start().await;
    let long = "a".repeat(65);
    for path in [
        "DocumentReference/5e0f",
        "Binary/5e0f",
        "Composition/5e0f/$document",
        "Patient/p-1",
        "nothing",
        &format!("DocumentReference/{long}"),
        "Binary/..%2f..%2fetc",
        "Binary/%e9%a5%b6",
        "",
        "Observation",
    ] {
        let answer = get(&node, path).await;
        assert_eq!((answer.status, answer.issue().0.as_str()), (404, "not-found"), "{path}");
    }
    for request in [
        "DELETE /fhir/DocumentReference/1",
        "PUT /fhir/Bundle",
        "GET /fhir/Bundle",
        "GET /fhir/Patient/$match",
        "PATCH /fhir/metadata",
        "OPTIONS /fhir/metadata",
    ] {
        let answer = call(at(&node), request, &[TREAT], b"").await;
        assert_eq!((answer.status, answer.issue().0.as_str()), (405, "not-supported"), "{request}");
        assert!(answer.header("allow").is_some(), "{request}");
    }
    // Transactions are not offered.
    assert_eq!(post(&node, "", &jianguo("1")).await.status, 404);
    let broken = call(at(&node), "GET /fhir/Binary/%ff", &[TREAT], b"").await;
    assert_eq!((broken.status, broken.issue().0.as_str()), (400, "invalid"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_requests_leave_nothing_running_at_any_interaction() {
    let node = setup()
        .with(|c| {
            c.fhir.concurrency_max = 1;
            c.fhir.request_timeout_ms = 2_000;
        })
        .start()
        .await;
    for (request, body, kind) in interactions("5e0f") {
        for _ in 0..5 {
            let said = [TREAT, ("content-type", kind)];
            let mut stream = TcpStream::connect(at(&node)).await.unwrap();
            let head = head(&request, &said, body.len().max(10));
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body[..body.len() / 2]).await.unwrap();
            drop(stream);
        }
        // The one place is free again.
        assert_eq!(get(&node, "metadata").await.status, 200, "{request}");
    }
    assert_eq!(total(&node, "").await, 0);
    // A body that stands still does not hold the place for ever.
    let mut stream = TcpStream::connect(at(&node)).await.unwrap();
    let head = head("POST /fhir/Bundle", &[FHIR], 1_000);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"timeout\""), "{answer}");
}
