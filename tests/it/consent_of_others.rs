//! A node that speaks of the consent of a patient with whom it has nothing to do.

use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tonic::Code;
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;
use xiangyi::rpc::proto::xiangyi::records::v1::consent_service_client::ConsentServiceClient;

use crate::harness::TestNode;
use crate::records::{
    PATIENT, exchange, handed_over, has, hub, node, node_in, records, status, stroke, submit,
};
use crate::region::until;

/// Somebody with the file puts into the outbox what the node would never say.
async fn forge(data: &Path, version: u32, body: &serde_json::Value) {
    let body = body.to_string();
    let options = SqliteConnectOptions::new().filename(data.join("xiangyi.db"));
    let mut connection = options.connect().await.unwrap();
    let row = sqlx::query(
        "INSERT INTO document (kind, name, version, media_type, sha256, sm3, body, format, \
         reading_json, summary_json, patient, person, withdrawn, current, origin, problem, \
         received_ms, sent_for, sender, author, replaces, discharged) VALUES ('consent', ?1, ?2, \
         'application/json', ?3, zeroblob(32), ?4, 'consent', '', '', '', '', 0, 1, 'own', '', 1, '', '', \
         '', '', '')",
    )
    .bind(format!("forged-{version}"))
    .bind(version)
    .bind(Sha256::digest(&body).to_vec())
    .bind(body.into_bytes())
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query("INSERT INTO outbox (document) VALUES (?1)")
        .bind(row.last_insert_rowid())
        .execute(&mut connection)
        .await
        .unwrap();
}

fn consent(node: &TestNode) -> ConsentServiceClient<tonic::transport::Channel> {
    ConsentServiceClient::new(node.channel.clone())
}

async fn read(node: &TestNode, name: &str) -> Result<(), Code> {
    let request = pb::GetRecordRequest {
        name: name.to_owned(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    records(node).get_record(request).await.map(|_| ()).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_nothing_to_do_with_a_patient_gives_and_takes_back_nothing() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &kept.name, 1).await;
    let withdraw = || pb::WithdrawConsentRequest { record: kept.name.clone(), all: true };
    let restore = || pb::RestoreConsentRequest { record: kept.name.clone(), all: true };
    consent(&village).withdraw_consent(withdraw()).await.unwrap();
    handed_over(&village).await;
    assert_eq!(read(&village, &kept.name).await, Err(Code::PermissionDenied));

    // Another node, with the patient's numbers and without a record.
    let address = hub.node.link_address().unwrap().to_string();
    let TestNode { node: running, data, .. } =
        node_in("elsewhere", &address, tempfile::tempdir().unwrap()).await;
    assert!(running.stop().await);
    let says = |given: bool, all: bool, record: &str| {
        json!({ "given": given, "all": all, "record": record, "at_ms": 1, "person": {
            "name": PATIENT.0, "resident_id": PATIENT.1, "birth_date": PATIENT.2 } })
    };
    let forged = [
        (2, says(true, true, "x")),
        (u32::MAX, says(true, true, &kept.name)),
        (3, says(false, true, &kept.name)),
        (4, says(true, false, &kept.name)),
        (
            5,
            json!({ "given": true, "all": true, "record": kept.name, "at_ms": 1,
            "person": { "name": PATIENT.0, "birth_date": PATIENT.2 } }),
        ),
    ];
    for (version, body) in &forged {
        forge(data.path(), *version, body).await;
    }
    let evil = node_in("elsewhere", &address, data).await;
    let list = || pb::ListQuarantinedRequest { node: "elsewhere".to_owned(), ..Default::default() };
    let aside = until("all of it is put aside", async || {
        let found = exchange(&hub).list_quarantined(list()).await.unwrap().into_inner().documents;
        (found.len() == forged.len()).then_some(found)
    })
    .await;
    let codes: std::collections::BTreeSet<_> = aside.iter().map(|one| one.code.as_str()).collect();
    let codes: Vec<_> = codes.into_iter().collect();
    assert_eq!(codes, ["not_the_patients_node", "version_impossible"]);
    assert_eq!(status(&evil).await.waiting, 5, "and it is told");

    // What stood stands, and the patient's own nodes go on, in both directions.
    assert_eq!(read(&village, &kept.name).await, Err(Code::PermissionDenied));
    consent(&county).restore_consent(restore()).await.unwrap();
    until("the village may read", async || read(&village, &kept.name).await.ok()).await;
    consent(&village).withdraw_consent(withdraw()).await.unwrap();
    assert_eq!(read(&village, &kept.name).await, Err(Code::PermissionDenied));
    handed_over(&village).await;
}

/// A clinic whose box is set back to an old copy says on, and is heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinic_from_an_old_backup_goes_on_speaking_of_consent() {
    let hub = hub().await;
    let county = node("county", &hub).await;
    let address = hub.node.link_address().unwrap().to_string();
    let village = node_in("village", &address, tempfile::tempdir().unwrap()).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &kept.name, 1).await;
    let withdraw = || pb::WithdrawConsentRequest { record: kept.name.clone(), all: true };
    let restore = || pb::RestoreConsentRequest { record: kept.name.clone(), all: true };
    let TestNode { node: running, data, .. } = village;
    assert!(running.stop().await);
    let old = tempfile::tempdir().unwrap();
    crate::copied::copy(data.path(), old.path()).await;
    let village = node_in("village", &address, data).await;
    for _ in 0..2 {
        consent(&village).withdraw_consent(withdraw()).await.unwrap();
        consent(&village).restore_consent(restore()).await.unwrap();
    }
    handed_over(&village).await;
    assert!(village.node.stop().await);
    let village = node_in("village", &address, old).await;
    // It is given back what it had said, and its next word comes after that.
    until("what it had said is there again", async || {
        let found = status(&village).await;
        (found.waiting == 0 && said(village.data.path()).await == 4).then_some(())
    })
    .await;
    consent(&village).withdraw_consent(withdraw()).await.unwrap();
    handed_over(&village).await;
    assert_eq!(read(&village, &kept.name).await, Err(Code::PermissionDenied));
    let aside = exchange(&hub).list_quarantined(pb::ListQuarantinedRequest::default()).await;
    assert_eq!(aside.unwrap().into_inner().documents.len(), 0);
    let data = hub.data.path().join("hub.db");
    let options = SqliteConnectOptions::new().filename(data).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let last: (i64, bool) =
        sqlx::query_as("SELECT version, given FROM consent ORDER BY version DESC LIMIT 1")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(last, (5, false), "and the hub has it as the last word");
}

async fn said(data: &Path) -> i64 {
    let options = SqliteConnectOptions::new().filename(data.join("xiangyi.db")).read_only(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM consent_word")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}
