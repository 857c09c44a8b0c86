//! Images over gRPC: what is stored is found and comes back as it was.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;

use crate::harness::{Setup, TestNode, bad_fields, hex, reason};
use crate::images::{
    EXPLICIT, Slice, as_data_set, as_file, file, files, parts, retrieve, search, small, store,
    store_slices,
};

const REAL_CT: &str = "pynetdicom-tests/pynetdicom/tests/dicom_files/CTImageStorage.dcm";

fn instance(uid: &str) -> im::RetrieveObjectRequest {
    im::RetrieveObjectRequest { sop_instance_uid: uid.to_owned(), ..Default::default() }
}

async fn info(node: &TestNode) -> im::GetArchiveInfoResponse {
    node.imaging().get_archive_info(im::GetArchiveInfoRequest {}).await.unwrap().into_inner()
}

/// Every file that was kept comes back byte for byte: file meta and data set together are it.
async fn check_files(node: &TestNode, kept: &BTreeMap<String, Vec<u8>>) {
    for (uid, bytes) in kept {
        let object = retrieve(node, instance(uid)).await.unwrap();
        let whole = [&object.header.file_meta[..], &object.data].concat();
        // Of a file that is a bare data set, the meta group is written anew.
        let bare = bytes.get(128..132) != Some(b"DICM");
        let same = if bare { object.data == *bytes } else { whole == *bytes };
        assert!(same, "{uid} comes back as it was sent");
        let digest = hex(&Sha256::digest(&object.data));
        assert_eq!(object.header.sha256, digest);
        assert_eq!(object.verified.as_deref(), Some(digest.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_files_are_stored_found_and_come_back_byte_for_byte_also_after_a_restart() {
    let node = small().start().await;
    let (mut messages, mut sent) = (Vec::new(), BTreeMap::new());
    for path in files("pynetdicom-tests").into_iter().chain(files("notzaki-samples")) {
        let bytes = std::fs::read(&path).unwrap();
        let id: String = path.to_str().unwrap().chars().rev().take(190).collect();
        messages.extend(as_file(&id, &bytes));
        sent.insert(id, bytes);
    }
    let stored = store(&node, messages).await.unwrap();
    assert_eq!(stored.results.len(), sent.len(), "one result an object");
    let mut kept = BTreeMap::new();
    for result in &stored.results {
        match result.outcome() {
            im::StoreOutcome::Stored => {
                kept.insert(result.sop_instance_uid.clone(), sent[&result.object_id].clone());
            }
            im::StoreOutcome::Refused => assert!(!result.reason.is_empty(), "{result:?}"),
            im::StoreOutcome::Known | im::StoreOutcome::KeptApart => {}
            im::StoreOutcome::Unspecified => panic!("{result:?}"),
        }
    }
    assert!(kept.len() >= 8, "{:?}", stored.results);
    let summary = stored.summary.expect("a summary");
    assert_eq!(summary.stored_count, u64::try_from(kept.len()).unwrap());
    check_files(&node, &kept).await;
    let found = search(&node, im::SearchStudiesRequest::default()).await;
    assert_eq!(u64::try_from(found.len()).unwrap(), info(&node).await.study_count);

    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await, "drains");
    let node = small().start_in(data).await;
    check_files(&node, &kept).await;
    assert_eq!(search(&node, im::SearchStudiesRequest::default()).await, found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_broke_off_goes_on_from_any_offset_and_is_verified_as_a_whole() {
    let node = small().start().await;
    let bytes = std::fs::read(file(REAL_CT)).unwrap();
    let stored = store(&node, as_file("ct", &bytes)).await.unwrap();
    let uid = &stored.results[0].sop_instance_uid;
    let whole = retrieve(&node, instance(uid)).await.unwrap();
    let size = whole.header.size_bytes;
    for offset in [1, 4096, size / 2, size - 1, size] {
        for chunk_bytes in [4096, 0] {
            let request = im::RetrieveObjectRequest { offset, chunk_bytes, ..instance(uid) };
            let rest = retrieve(&node, request).await.unwrap();
            let from = usize::try_from(offset).unwrap();
            assert!(rest.data == whole.data[from..], "from {offset}");
            assert_eq!(rest.verified.as_deref(), Some(whole.header.sha256.as_str()));
        }
    }
    for (request, field) in [
        (im::RetrieveObjectRequest { offset: size + 1, ..instance(uid) }, "offset"),
        (im::RetrieveObjectRequest { chunk_bytes: 1, ..instance(uid) }, "chunk_bytes"),
        (im::RetrieveObjectRequest { sha256: "ab".to_owned(), ..instance(uid) }, "sha256"),
        (instance("../etc"), "sop_instance_uid"),
    ] {
        let status = retrieve(&node, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(bad_fields(&status), [field]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_content_under_a_known_uid_is_kept_apart_listed_and_given_by_its_digest() {
    use im::StoreOutcome::{KeptApart, Known, Stored};
    let node = small().start().await;
    let first = Slice::head("1.2.1", 1).bytes();
    let mut second = first.clone();
    *second.last_mut().unwrap() ^= 1;
    let messages = [("1", &first), ("2", &first), ("3", &second)];
    let messages = messages.iter().flat_map(|(id, bytes)| as_data_set(id, bytes)).collect();
    let stored = store(&node, messages).await.unwrap();
    let outcomes: Vec<_> = stored.results.iter().map(im::StoredObject::outcome).collect();
    assert_eq!(outcomes, [Stored, Known, KeptApart]);
    let summary = stored.summary.unwrap();
    assert_eq!((summary.stored_count, summary.known_count, summary.kept_apart_count), (1, 1, 1));
    let listed = node.imaging().list_kept_apart(im::ListKeptApartRequest::default()).await;
    let listed = listed.unwrap().into_inner().objects;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].sha256, hex(&Sha256::digest(&second)));
    let uid = &listed[0].sop_instance_uid;
    assert!(retrieve(&node, instance(uid)).await.unwrap().data == first);
    let request = im::RetrieveObjectRequest { sha256: listed[0].sha256.clone(), ..instance(uid) };
    let apart = retrieve(&node, request).await.unwrap();
    assert!(apart.header.kept_apart && apart.data == second);
    let found = search(&node, im::SearchStudiesRequest::default()).await;
    assert_eq!((found.len(), found[0].kept_apart_count, found[0].instance_count), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_is_refused_with_its_reason_and_disturbs_nothing_else() {
    use im::RefusalReason as Why;
    let node = small().start().await;
    let good = Slice::head("1.2.1", 1).bytes();
    let start = |id: &str| im::ObjectStart {
        object_id: id.to_owned(),
        form: im::ObjectForm::DataSet.into(),
        transfer_syntax_uid: EXPLICIT.to_owned(),
        ..Default::default()
    };
    let size = |n: usize| Some(u64::try_from(n).unwrap());
    let cases: Vec<(Vec<im::StoreObjectsRequest>, Why)> = vec![
        (as_file("text", "这不是影像".as_bytes()), Why::NotDicom),
        (as_file("empty", b""), Why::NotDicom),
        (parts(start("cut"), &good[..good.len() - 9]), Why::Structure),
        (
            parts(im::ObjectStart { transfer_syntax_uid: "x".to_owned(), ..start("s") }, &good),
            Why::TransferSyntax,
        ),
        (
            parts(im::ObjectStart { transfer_syntax_uid: String::new(), ..start("n") }, &good),
            Why::NotAsAnnounced,
        ),
        (
            parts(im::ObjectStart { size_bytes: size(good.len() - 1), ..start("l") }, &good),
            Why::NotAsAnnounced,
        ),
        (
            parts(im::ObjectStart { size_bytes: size(good.len() + 1), ..start("m") }, &good),
            Why::NotAsAnnounced,
        ),
        (
            parts(im::ObjectStart { sha256: "0".repeat(64), ..start("d") }, &good),
            Why::NotAsAnnounced,
        ),
        (parts(im::ObjectStart { form: 99, ..start("f") }, &good), Why::NotAsAnnounced),
    ];
    let mut messages = Vec::new();
    for (case, _) in &cases {
        messages.extend(case.iter().cloned());
    }
    messages.extend(as_data_set("good", &good));
    let stored = store(&node, messages).await.unwrap();
    assert_eq!(stored.results.len(), cases.len() + 1);
    for (result, (_, why)) in stored.results.iter().zip(&cases) {
        assert_eq!(result.outcome(), im::StoreOutcome::Refused, "{result:?}");
        assert_eq!(result.refusal(), *why, "{result:?}");
        assert!(!result.reason.is_empty() && result.sop_instance_uid.is_empty());
    }
    let last = stored.results.last().unwrap();
    assert_eq!(last.outcome(), im::StoreOutcome::Stored, "{last:?}");
    assert_eq!(info(&node).await.instance_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_object_whose_stream_breaks_off_nothing_is_kept() {
    let node = small().start().await;
    let good = Slice::head("1.2.1", 1).bytes();
    let mut messages = as_data_set("broken", &good);
    messages.pop();
    // Closed without an end: told, and nothing kept.
    let stored = store(&node, messages.clone()).await.unwrap();
    assert_eq!(stored.results.len(), 1);
    assert_eq!(stored.results[0].refusal(), im::RefusalReason::NotAsAnnounced);
    // Begun anew before it was ended: the first is refused, the second kept.
    let mut twice = messages.clone();
    twice.extend(as_data_set("again", &Slice::head("1.2.2", 1).bytes()));
    let stored = store(&node, twice).await.unwrap();
    let outcomes: Vec<_> = stored.results.iter().map(im::StoredObject::outcome).collect();
    assert_eq!(outcomes, [im::StoreOutcome::Refused, im::StoreOutcome::Stored]);
    // Cut off while it arrives, many times.
    for _ in 0..20 {
        let (steps, queue) = mpsc::channel(8);
        let replies = node.imaging().store_objects(ReceiverStream::new(queue)).await.unwrap();
        for message in &messages {
            steps.send(message.clone()).await.unwrap();
        }
        drop((steps, replies));
    }
    let stored = store(&node, as_data_set("whole", &good)).await.unwrap();
    assert_eq!(stored.results[0].outcome(), im::StoreOutcome::Stored);
    assert_eq!(info(&node).await.instance_count, 2);
    // Out of order is the caller's fault and ends the stream.
    let status = store(&node, vec![messages[1].clone()]).await.unwrap_err();
    assert_eq!((status.code(), bad_fields(&status)), (Code::InvalidArgument, vec!["chunk".into()]));
}

/// Studies of two patients in two places.
async fn collection(node: &TestNode) {
    let head = |study: &str| Slice::head(study, 1);
    store_slices(
        node,
        &[
            head("1.2.1"),
            Slice { number: 2, ..head("1.2.1") },
            Slice {
                description: "胸部CT平扫".to_owned(),
                date: "20261101".to_owned(),
                ..head("1.2.2")
            },
            Slice {
                patient_id: "P2".to_owned(),
                name: "Li^Na=李^娜".to_owned(),
                birth_date: "19800229".to_owned(),
                description: "上腹部CT增强".to_owned(),
                date: "20260301".to_owned(),
                institution: "市人民医院".to_owned(),
                ..head("1.2.3")
            },
            Slice { description: String::new(), date: "20250101".to_owned(), ..head("1.2.4") },
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn studies_are_found_by_patient_day_modality_and_what_was_examined() {
    let node = small().start().await;
    collection(&node).await;
    let all = im::SearchStudiesRequest::default;
    let text = str::to_owned;
    let cases: Vec<(im::SearchStudiesRequest, &[&str])> = vec![
        (all(), &["1.2.1", "1.2.2", "1.2.3", "1.2.4"]),
        (im::SearchStudiesRequest { patient_id: text("P2"), ..all() }, &["1.2.3"]),
        (
            im::SearchStudiesRequest {
                patient_id: text("P?"),
                date_from: text("2026-11-10"),
                ..all()
            },
            &["1.2.1"],
        ),
        (
            im::SearchStudiesRequest { patient_name: text("*小*"), ..all() },
            &["1.2.1", "1.2.2", "1.2.4"],
        ),
        (
            im::SearchStudiesRequest { patient_name: text("lina"), fuzzy_name: true, ..all() },
            &["1.2.3"],
        ),
        (
            im::SearchStudiesRequest {
                patient_name: text("wxd"),
                fuzzy_name: true,
                date_to: text("2025-12-31"),
                ..all()
            },
            &["1.2.4"],
        ),
        (im::SearchStudiesRequest { birth_date: text("1980-02-29"), ..all() }, &["1.2.3"]),
        (im::SearchStudiesRequest { sex: text("F"), ..all() }, &[]),
        (im::SearchStudiesRequest { accession_number: text("A122"), ..all() }, &["1.2.2"]),
        (im::SearchStudiesRequest { modalities: vec![text("MR")], ..all() }, &[]),
        (im::SearchStudiesRequest { institution: text("市人民*"), ..all() }, &["1.2.3"]),
        (
            im::SearchStudiesRequest {
                programmes: vec![im::Programme::Brain.into(), im::Programme::Chest.into()],
                ..all()
            },
            &["1.2.1", "1.2.2"],
        ),
        (im::SearchStudiesRequest { regions: vec![text("head_neck")], ..all() }, &["1.2.1"]),
        (im::SearchStudiesRequest { examinations: vec![text("ct.chest*")], ..all() }, &["1.2.2"]),
        (
            im::SearchStudiesRequest {
                examinations: vec![text("ct.brain.plain")],
                page_size: 1,
                ..all()
            },
            &["1.2.1"],
        ),
        (
            im::SearchStudiesRequest { study_uids: vec![text("1.2.4"), text("9.9")], ..all() },
            &["1.2.4"],
        ),
    ];
    for (request, expected) in cases {
        for page_size in [0, 1, 2] {
            let request = im::SearchStudiesRequest { page_size, ..request.clone() };
            let found = search(&node, request.clone()).await;
            let found: Vec<&str> = found.iter().map(|s| s.study_uid.as_str()).collect();
            assert_eq!(found, expected, "{request:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_says_what_was_examined_by_whom_and_what_is_not_known() {
    let node = small().start().await;
    collection(&node).await;
    let found = search(&node, im::SearchStudiesRequest::default()).await;
    let first = &found[0];
    assert_eq!((first.date.as_str(), first.time.as_str()), ("2026-11-20", "10:30:00"));
    assert_eq!((first.series_count, first.instance_count), (1, 2));
    assert_eq!(first.institution, "示例县医院（虚构）");
    assert_eq!(first.modalities, ["CT"]);
    assert_eq!(first.patient.as_ref().unwrap().birth_date, "1960-01-31");
    let examination = first.examination.as_ref().unwrap();
    assert_eq!(examination.types.len(), 1);
    assert_eq!(examination.types[0].examination_id, "ct.brain.plain");
    assert_eq!(examination.types[0].name, "颅脑CT平扫");
    assert_eq!(examination.programmes().collect::<Vec<_>>(), [im::Programme::Brain]);
    assert_eq!(examination.basis(), im::ExaminationBasis::Text);
    assert!(examination.confidence > 0.5 && !examination.reasons.is_empty());
    // No report object is no proof that there is no report.
    assert_eq!(first.report.as_ref().unwrap().state(), im::ReportState::Unspecified);
    assert_eq!(first.place.as_ref().unwrap().availability(), im::Availability::Online);
    let last = found[3].examination.as_ref().unwrap();
    assert!(last.types.is_empty() && last.programmes.is_empty(), "{last:?}");

    let mut request =
        im::GetStudyMetadataRequest { study_uid: "1.2.1".to_owned(), ..Default::default() };
    let whole = node.imaging().get_study_metadata(request.clone()).await.unwrap().into_inner();
    assert_eq!(whole.study.as_ref(), Some(first));
    assert_eq!(whole.series.len(), 1);
    let instances = &whole.series[0].instances;
    assert_eq!(instances.len(), 2);
    assert_eq!((instances[0].rows, instances[0].frames), (64, 1));
    assert_eq!(instances[0].sha256, hex(&Sha256::digest(Slice::head("1.2.1", 1).bytes())));
    request.page_size = 1;
    let page = node.imaging().get_study_metadata(request.clone()).await.unwrap().into_inner();
    request.page_token = page.next_page_token;
    let next = node.imaging().get_study_metadata(request).await.unwrap().into_inner();
    assert_eq!(next.series[0].instances[0].number, "2");
    assert!(next.next_page_token.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_questions_are_told_field_by_field() {
    let node = small().start().await;
    let all = im::SearchStudiesRequest::default;
    let text = str::to_owned;
    for (request, field) in [
        (im::SearchStudiesRequest { date_from: text("gestern"), ..all() }, "date_from"),
        (
            im::SearchStudiesRequest {
                date_from: text("2026-02-02"),
                date_to: text("2026-01-01"),
                ..all()
            },
            "date_to",
        ),
        (im::SearchStudiesRequest { sex: text("男"), ..all() }, "sex"),
        (im::SearchStudiesRequest { page_size: 201, ..all() }, "page_size"),
        (im::SearchStudiesRequest { page_token: text("changes-1"), ..all() }, "page_token"),
        (im::SearchStudiesRequest { programmes: vec![77], ..all() }, "programmes[0]"),
        (im::SearchStudiesRequest { regions: vec![text("moon")], ..all() }, "regions"),
        (
            im::SearchStudiesRequest { examinations: vec![text("ct.moon*")], ..all() },
            "examinations",
        ),
        (im::SearchStudiesRequest { study_uids: vec![text("1/2")], ..all() }, "study_uids"),
        (im::SearchStudiesRequest { patient_name: "王".repeat(65), ..all() }, "patient_name"),
    ] {
        let status = node.imaging().search_studies(request).await.unwrap_err();
        assert_eq!(
            (status.code(), bad_fields(&status)),
            (Code::InvalidArgument, vec![text(field)])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_and_contact_sheets_are_drawn_as_asked() {
    let node = small().start().await;
    let slices: Vec<Slice> = (1..=12).map(|n| Slice::head("1.2.1", n)).collect();
    store_slices(&node, &slices).await;
    let frame = im::RenderFrameRequest { sop_instance_uid: slices[0].uid(), ..Default::default() };
    let drawn = node.imaging().render_frame(frame.clone()).await.unwrap().into_inner();
    assert_eq!((drawn.media_type.as_str(), drawn.width, drawn.height), ("image/jpeg", 64, 64));
    assert_eq!(drawn.image[..2], [0xFF, 0xD8]);
    let window = |center, width| {
        let explicit = im::ExplicitWindow { center, width, ..Default::default() };
        Some(im::Window { choice: Some(im::window::Choice::Explicit(explicit)) })
    };
    let png = im::RenderFrameRequest {
        format: im::ImageFormat::Png.into(),
        width_max: 32,
        window: window(40.0, 400.0),
        ..frame.clone()
    };
    let drawn = node.imaging().render_frame(png.clone()).await.unwrap().into_inner();
    assert_eq!((drawn.media_type.as_str(), drawn.width), ("image/png", 32));
    let other = im::RenderFrameRequest { window: window(2000.0, 400.0), ..png };
    let other = node.imaging().render_frame(other).await.unwrap().into_inner();
    assert!(other.image != drawn.image, "another window is another image");
    for (request, field) in [
        (
            im::RenderFrameRequest { window: window(0.0, 0.0), ..frame.clone() },
            "window.explicit.width",
        ),
        (im::RenderFrameRequest { quality: 101, ..frame.clone() }, "quality"),
        (im::RenderFrameRequest { width_max: 9000, ..frame.clone() }, "width_max"),
        (im::RenderFrameRequest { format: 9, ..frame.clone() }, "format"),
    ] {
        let status = node.imaging().render_frame(request).await.unwrap_err();
        assert_eq!(
            (status.code(), bad_fields(&status)),
            (Code::InvalidArgument, vec![field.into()])
        );
    }
    let beyond = im::RenderFrameRequest { frame: 7, ..frame };
    let status = node.imaging().render_frame(beyond).await.unwrap_err();
    assert!(matches!(status.code(), Code::NotFound | Code::InvalidArgument), "{status:?}");

    let sheet = im::RenderContactSheetRequest {
        study_uid: "1.2.1".to_owned(),
        series_uid: "1.2.1.1".to_owned(),
        bytes_max: 20_000,
        tile_count_max: 6,
        ..Default::default()
    };
    let drawn = node.imaging().render_contact_sheet(sheet).await.unwrap().into_inner();
    assert!(drawn.image.len() <= 20_000 && drawn.image[..2] == [0xFF, 0xD8]);
    assert_eq!(drawn.tiles.len(), 6);
    assert_eq!(drawn.tiles[0].sop_instance_uid, slices[0].uid());
    assert_eq!(drawn.tiles[5].sop_instance_uid, slices[11].uid());
    assert!(drawn.tiles.iter().all(|t| !t.missing && t.frame == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_change_feed_is_listed_in_pages_and_watched_as_it_grows() {
    let node = small().start().await;
    store_slices(&node, &[Slice::head("1.2.1", 1), Slice::head("1.2.1", 2)]).await;
    let request = im::ListChangesRequest { after_number: 0, page_size: 1 };
    let first = node.imaging().list_changes(request).await.unwrap().into_inner();
    assert!(first.more && first.changes.len() == 1);
    assert_eq!(first.changes[0].kind(), im::ChangeKind::Stored);
    let request = im::WatchChangesRequest { after_number: first.last_number, idle_max: None };
    let mut watched = node.imaging().watch_changes(request).await.unwrap().into_inner();
    let told = watched.message().await.unwrap().unwrap();
    assert!(told.caught_up);
    assert_eq!(told.changes.len(), 1);
    assert_eq!(told.changes[0].sop_instance_uid, Slice::head("1.2.1", 2).uid());
    let mut other = Slice::head("1.2.1", 1).bytes();
    *other.last_mut().unwrap() ^= 1;
    store(&node, as_data_set("other", &other)).await.unwrap();
    let told = watched.message().await.unwrap().unwrap();
    assert_eq!(told.changes[0].kind(), im::ChangeKind::KeptApart);
    assert_eq!(told.changes[0].number, told.last_number);
    // A watcher hears that the node stops, and does not keep it from stopping.
    let TestNode { node: running, .. } = node;
    let (stopped, heard) = tokio::join!(running.stop(), watched.message());
    assert!(stopped, "drains with a watcher");
    assert_eq!(heard.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_images_says_which_setting_keeps_it_from_them() {
    let node = Setup::new().with(|c| c.imaging.enabled = false).start().await;
    let status =
        node.imaging().search_studies(im::SearchStudiesRequest::default()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::FailedPrecondition, "FAILED_PRECONDITION".into())
    );
    assert!(status.message().contains("imaging.enabled"), "{}", status.message());
    let status = store(&node, as_file("x", b"x")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
}
