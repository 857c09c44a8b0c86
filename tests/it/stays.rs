//! The front sheet and the summary of one stay in hospital, which come as two records.

use xiangyi::rpc::proto::xiangyi::records::v1 as pb;

use crate::harness::TestNode;
use crate::records::{fixture, has, hub, node, records, stroke, submit, tasks};
use crate::region::until;

/// What the patient's village is to do, by record.
async fn open(village: &TestNode, record: &str) -> Vec<String> {
    let found = tasks(village, record).await;
    let open = found.into_iter().filter(|task| task.state() == pb::TaskState::Open);
    open.map(|task| task.wording).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_front_sheet_and_the_summary_of_a_stay_make_one_set_of_visits() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let front = String::from_utf8(fixture("wst500-32-stroke.xml")).unwrap();
    assert!(front.contains("石峡村"));
    let front = submit(&county, front.replace("石峡村", "湖村村").into_bytes()).await;
    has(&village, &front.name, 1).await;
    let alone = open(&village, &front.name).await;
    assert!(alone.iter().any(|wording| wording == "出院后2周内随访"), "{alone:?}");
    let visits = |open: &[String]| open.iter().filter(|w| w.starts_with("出院后")).count();
    assert_eq!(visits(&alone), 5, "{alone:?}");
    let summary = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &summary.name, 1).await;
    let (first, second) = (open(&village, &front.name).await, open(&village, &summary.name).await);
    assert_eq!((visits(&first), visits(&second)), (0, 5), "{first:?} {second:?}");
    // What the summary says does not lack any more.
    for lacking in ["没有能用的血压", "没有列出院带药"] {
        let lacks = |open: &[String]| open.iter().any(|wording| wording.contains(lacking));
        assert!(lacks(&alone) && !lacks(&first), "{lacking} {alone:?} {first:?}");
    }
    let covered = pb::ListTasksRequest {
        state: pb::TaskState::Superseded.into(),
        record: front.name.clone(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    let found = crate::records::follow_up(&village).list_tasks(covered).await.unwrap();
    let found = found.into_inner().tasks;
    assert!(found.len() >= 7 && found.iter().all(|t| t.covered_by == summary.name), "{found:?}");
    // The hospital takes the summary back: the front sheet's visits are to be done.
    let read = pb::ValidateRecordRequest { content: stroke("CYXJ-1"), ..Default::default() };
    let read = records(&county).validate_record(read).await.unwrap().into_inner();
    let mut record = read.record.unwrap();
    let document = record.document.as_mut().unwrap();
    document.version = Some(2);
    document.entered_in_error = true;
    document.written = "2026-11-19T09:00:00+08:00".to_owned();
    let withdrawn = pb::SubmitRecordRequest { record: Some(record), ..Default::default() };
    let withdrawn = records(&county).submit_record(withdrawn).await.unwrap().into_inner();
    assert_eq!((withdrawn.name.as_str(), withdrawn.version), (&*summary.name, 2));
    until("the front sheet's tasks are open again", async || {
        (open(&village, &front.name).await == alone).then_some(())
    })
    .await;
    assert_eq!(open(&village, &summary.name).await, [""; 0]);
}
