//! A study over a thin link: in order, within bytes, resumed after a break.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::imaging::v1::deliver_study_response::Part;

use crate::harness::{TestNode, bad_fields, hex};
use crate::images::{Slice, as_data_set, small, store, store_slices};

const STUDY: &str = "1.2.1";

async fn node() -> TestNode {
    let node = small().start().await;
    let mut slices: Vec<Slice> = (1..=9).map(|n| Slice::head(STUDY, n)).collect();
    slices.extend((1..=3).map(|n| Slice { series: format!("{STUDY}.2"), ..Slice::head(STUDY, n) }));
    store_slices(&node, &slices).await;
    node
}

fn all() -> im::DeliverStudyRequest {
    im::DeliverStudyRequest { study_uid: STUDY.to_owned(), objects: true, ..Default::default() }
}

async fn deliver(
    node: &TestNode,
    request: im::DeliverStudyRequest,
) -> Result<Vec<im::DeliverStudyResponse>, Status> {
    let mut parts = node.imaging().deliver_study(request).await?.into_inner();
    let mut came = Vec::new();
    while let Some(part) = parts.message().await? {
        came.push(part);
    }
    Ok(came)
}

/// What came, put together as a client does.
#[derive(Debug, Default)]
struct Client {
    names: Vec<&'static str>,
    objects: BTreeMap<String, Vec<u8>>,
    verified: BTreeMap<String, String>,
    now: String,
    token: String,
    bytes: usize,
    ended: Option<im::DeliveryEnded>,
    plan: Option<im::DeliveryPlan>,
    shown: Vec<String>,
}

impl Client {
    fn take(&mut self, message: im::DeliverStudyResponse) {
        self.token = message.resume_token;
        let name = match message.part.expect("a part") {
            Part::Plan(plan) => {
                self.plan = Some(plan);
                "plan"
            }
            Part::Sheet(sheet) => {
                let image = sheet.sheet.unwrap().image;
                assert_eq!(image.get(..2), Some(b"\xFF\xD8".as_slice()));
                self.bytes += image.len();
                self.shown.push(sheet.series_uid);
                "sheet"
            }
            Part::Image(image) => {
                let drawn = image.image.unwrap();
                assert_eq!(drawn.media_type, "image/jpeg");
                self.bytes += drawn.image.len();
                self.shown.push(image.sop_instance_uid);
                "image"
            }
            Part::Header(header) => {
                self.now = header.sop_instance_uid;
                self.objects.entry(self.now.clone()).or_default();
                "header"
            }
            Part::Chunk(chunk) => {
                let object = self.objects.get_mut(&self.now).unwrap();
                assert_eq!(usize::try_from(chunk.offset).unwrap(), object.len());
                object.extend_from_slice(&chunk.data);
                self.bytes += chunk.data.len();
                "chunk"
            }
            Part::Verified(end) => {
                self.verified.insert(self.now.clone(), end.sha256);
                "verified"
            }
            Part::Skipped(_) => "skipped",
            Part::Ended(ended) => {
                self.ended = Some(ended);
                "ended"
            }
        };
        self.names.push(name);
    }

    fn check(&self, slices: usize) {
        assert_eq!((self.objects.len(), self.verified.len()), (slices, slices));
        for (uid, bytes) in &self.objects {
            assert_eq!(self.verified[uid], hex(&Sha256::digest(bytes)), "{uid}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sheets_come_before_key_images_and_those_before_objects() {
    let node = node().await;
    let mut client = Client::default();
    for message in deliver(&node, all()).await.unwrap() {
        client.take(message);
    }
    let plan = client.plan.unwrap();
    assert_eq!((plan.sheet_count, plan.key_image_count, plan.object_count), (2, 2, 12));
    assert_eq!(client.names[..6], ["plan", "sheet", "sheet", "image", "image", "header"]);
    // The middle of each series.
    assert_eq!(client.shown[2..], [format!("{STUDY}.1.5"), format!("{STUDY}.2.2")]);
    client.check(12);
    let ended = client.ended.unwrap();
    assert_eq!(ended.reason(), im::DeliveryEnd::Complete);
    assert_eq!(usize::try_from(ended.sent_bytes).unwrap(), client.bytes);
    let whole: usize = client.objects.values().map(Vec::len).sum();
    assert_eq!(usize::try_from(plan.object_bytes).unwrap(), whole);
    assert!(node.node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_goes_on_from_any_message_even_within_an_object() {
    let node = node().await;
    let request = im::DeliverStudyRequest { bytes_max: 20_000, ..all() };
    let (mut client, mut calls, mut seen) = (Client::default(), 0, Vec::new());
    loop {
        let resume_token = client.token.clone();
        let before = client.bytes;
        for message in deliver(&node, im::DeliverStudyRequest { resume_token, ..request.clone() })
            .await
            .unwrap()
        {
            client.take(message);
        }
        assert!(client.bytes - before <= 20_000);
        seen.push(client.bytes - before);
        calls += 1;
        assert!(calls < 100, "never ends: {seen:?}");
        if client.ended.take().unwrap().reason() == im::DeliveryEnd::Complete {
            break;
        }
        // What comes meanwhile is not part of this delivery.
        if calls == 2 {
            let late = Slice { series: format!("{STUDY}.3"), ..Slice::head(STUDY, 1) };
            store(&node, as_data_set("late", &late.bytes())).await.unwrap();
        }
    }
    client.check(12);
    assert!(calls > 3, "{seen:?}");
    assert_eq!(client.shown.len(), 4, "nothing is shown twice: {:?}", client.shown);
    assert!(node.node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_cut_off_goes_on_from_the_last_message() {
    let node = node().await;
    let mut client = Client::default();
    for cut in [3, 4, 8] {
        let request = im::DeliverStudyRequest { resume_token: client.token.clone(), ..all() };
        let mut parts = node.imaging().deliver_study(request).await.unwrap().into_inner();
        for _ in 0..cut {
            client.take(parts.message().await.unwrap().unwrap());
        }
    }
    let request = im::DeliverStudyRequest { resume_token: client.token.clone(), ..all() };
    for message in deliver(&node, request).await.unwrap() {
        client.take(message);
    }
    client.check(12);
    assert_eq!(client.shown.len(), 4);
    assert!(node.node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_images_that_are_named_are_drawn_and_come_first() {
    let node = node().await;
    let key = format!("{STUDY}.1.9");
    let request = im::DeliverStudyRequest {
        key_sop_instance_uids: vec![key.clone()],
        image_pixels_max: 64,
        ..all()
    };
    let mut client = Client::default();
    for message in deliver(&node, request).await.unwrap() {
        client.take(message);
    }
    assert_eq!(client.shown[2..], [key]);
    client.check(12);
    assert!(node.node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_drawn_is_skipped_and_the_rest_delivered() {
    let node = node().await;
    let mut broken = Slice { series: format!("{STUDY}.4"), ..Slice::head(STUDY, 1) }.bytes();
    // Pixels that are cut short.
    let cut = broken.len() - 4_000;
    let length = u32::try_from(64 * 64 * 2 - 4_000).unwrap().to_le_bytes();
    let place = broken.len() - 64 * 64 * 2 - 4;
    broken[place..place + 4].copy_from_slice(&length);
    broken.truncate(cut);
    let stored = store(&node, as_data_set("broken", &broken)).await.unwrap();
    assert_eq!(stored.results[0].outcome(), im::StoreOutcome::Stored, "{stored:?}");
    let mut client = Client::default();
    for message in deliver(&node, all()).await.unwrap() {
        client.take(message);
    }
    assert_eq!(client.names.iter().filter(|name| **name == "skipped").count(), 2);
    client.check(13);
    assert!(node.node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_answered_with_the_field() {
    let node = node().await;
    let key = |uid: &str| vec![uid.to_owned()];
    for (request, field) in [
        (im::DeliverStudyRequest { study_uid: String::new(), ..all() }, "study_uid"),
        (im::DeliverStudyRequest { series_uid: "x".to_owned(), ..all() }, "series_uid"),
        (im::DeliverStudyRequest { bytes_max: 1, ..all() }, "bytes_max"),
        (im::DeliverStudyRequest { sheet_bytes_max: 1, ..all() }, "sheet_bytes_max"),
        (im::DeliverStudyRequest { image_pixels_max: 9_000, ..all() }, "image_pixels_max"),
        (
            im::DeliverStudyRequest { key_sop_instance_uids: key("1.9"), ..all() },
            "key_sop_instance_uids",
        ),
        (im::DeliverStudyRequest { resume_token: "x".to_owned(), ..all() }, "resume_token"),
        (
            im::DeliverStudyRequest { resume_token: "d1-0-0-0-0-1".to_owned(), ..all() },
            "resume_token",
        ),
    ] {
        let status = deliver(&node, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        assert_eq!(bad_fields(&status), [field]);
    }
    let nobody = im::DeliverStudyRequest { study_uid: "1.9".to_owned(), ..all() };
    assert_eq!(deliver(&node, nobody).await.unwrap_err().code(), Code::NotFound);
    // A token of another request.
    let first = deliver(&node, all()).await.unwrap().remove(0);
    let other =
        im::DeliverStudyRequest { objects: false, resume_token: first.resume_token, ..all() };
    assert_eq!(bad_fields(&deliver(&node, other).await.unwrap_err()), ["resume_token"]);
    assert!(node.node.stop().await);
}
