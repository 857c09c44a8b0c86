//! STOW-RS (PS3.18, 10.5): objects come in as parts of one body, each checked and kept as it
//! streams in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::Shared;
use super::accept::{Media, Offer};
use super::ask::Ask;
use super::multipart::{Event, Reader, header};
use super::problem::Problem;
use super::retrieve::DICOM;
use super::search::{DICOM_JSON, JSON};
use crate::app::error::Error;
use crate::app::imaging::peers::Service;
use crate::app::imaging::{Incoming, Intake, Kept, Refused, Stored};
use crate::sharing::imaging::part10::{self, BEGINNING_BYTES};

/// Objects of one request at most.
const PARTS_MAX: usize = 100_000;
/// Objects that wait for the disk while the next are read.
const SUBMITTED_MAX: usize = 64;
/// What a body must be.
const ALLOWED: &str = "multipart/related; type=\"application/dicom\", or application/dicom";
/// Retry after so many seconds when the node could keep nothing.
const RETRY_AFTER_S: u16 = 5;

/// An object that was not kept.
#[derive(Debug)]
struct Failure {
    said: Said,
    reason: u16,
    comment: String,
    /// Whether the same object may be kept later.
    retryable: bool,
}

/// What a file's meta group says.
#[derive(Debug, Clone, Default)]
struct Said {
    sop_class: Option<String>,
    sop_instance: Option<String>,
}

/// A part that comes in.
enum Taking<'a> {
    /// Its beginning is not whole.
    Opening(BytesMut),
    /// It is checked as it comes.
    Object(Box<Incoming<'a>>, Said),
    /// It failed; the rest is passed over.
    Failed(Failure),
}

/// Where objects go, and what the request says of all of them.
#[derive(Clone, Copy)]
struct To<'a> {
    door: &'a Shared,
    intake: &'a Arc<Intake>,
    /// The study of the path.
    study: Option<&'a str>,
}

/// What became of the parts.
#[derive(Default)]
struct Outcome {
    submitted: VecDeque<(Said, oneshot::Receiver<Result<Stored, Error>>)>,
    stored: Vec<Stored>,
    failed: Vec<Failure>,
}

/// Reads a body under the limits on its length and on how long it may stand still.
struct Source {
    stream: BodyDataStream,
    left: u64,
    limit: u64,
    idle: Duration,
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let next = tokio::time::timeout(self.idle, self.stream.next()).await;
        let Ok(next) = next else {
            let status = StatusCode::REQUEST_TIMEOUT;
            return Err(Problem::new(status, "DEADLINE_EXCEEDED", "the body stands still"));
        };
        let Some(bytes) = next else { return Ok(None) };
        let bytes = bytes.map_err(|_| Problem::field("body", "must come whole"))?;
        self.left = self
            .left
            .checked_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            .ok_or_else(|| too_large(self.limit))?;
        Ok(Some(bytes))
    }
}

/// Stores what the body holds, in the study of the path if it names one.
pub(super) async fn store(
    State(door): State<Arc<Shared>>,
    ask: Ask,
    body: Body,
) -> Result<Response, Problem> {
    ask.requester.permit(Service::Store)?;
    let offers = [Offer::single(DICOM_JSON), Offer::single(JSON)];
    let media = ask.accept()?.choose(&offers)?.media;
    let limit = door.options.body_bytes_max;
    let said = ask.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if said.is_some_and(|said: u64| said > limit) {
        return Err(too_large(limit));
    }
    let content = ask.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content = content.and_then(Media::parse).ok_or_else(|| Problem::media_type(ALLOWED))?;
    let mut source = Source {
        stream: body.into_data_stream(),
        left: limit,
        limit,
        idle: door.options.idle_timeout,
    };
    let intake = Intake::of(ask.requester.clone());
    let to = To { door: &door, intake: &intake, study: ask.target.study.as_deref() };
    let mut outcome = Outcome::default();
    match (content.kind.as_str(), content.sub.as_str()) {
        ("application", "dicom") => {
            let mut taking = Taking::Opening(BytesMut::new());
            while let Some(bytes) = source.next().await? {
                taking = push(to, taking, bytes).await;
            }
            end(to, taking, &mut outcome).await;
        }
        ("multipart", "related") if is_dicom(content.parameter("type")) => {
            let boundary = content.parameter("boundary").unwrap_or_default();
            let reader = Reader::new(boundary)
                .map_err(|error| Problem::field("content-type", error.to_string()))?;
            parts(to, reader, &mut source, &mut outcome).await?;
        }
        _ => return Err(Problem::media_type(ALLOWED)),
    }
    outcome.settle(0).await;
    if outcome.stored.is_empty() && outcome.failed.is_empty() {
        return Err(Problem::field("body", "must hold at least one object"));
    }
    Ok(answer(&ask, media, &outcome))
}

fn is_dicom(kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| kind.eq_ignore_ascii_case(DICOM))
}

fn too_large(limit: u64) -> Problem {
    Problem::too_large(format!("body is longer than {limit} bytes"))
}

async fn parts(
    to: To<'_>,
    mut reader: Reader,
    source: &mut Source,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let mut taking = None;
    let mut count = 0_usize;
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(error) => return Err(broken(&error.to_string(), outcome).await),
        };
        match event {
            Event::More => match source.next().await? {
                Some(bytes) => reader.push(&bytes),
                None => {
                    return match reader.finish() {
                        Ok(()) => Ok(()),
                        Err(error) => Err(broken(&error.to_string(), outcome).await),
                    };
                }
            },
            Event::Part(headers) => {
                count += 1;
                if count > PARTS_MAX {
                    return Err(Problem::too_large(format!("over {PARTS_MAX} parts")));
                }
                taking = Some(begin(&headers));
            }
            Event::Data(bytes) => {
                if let Some(part) = taking.take() {
                    taking = Some(push(to, part, bytes).await);
                }
            }
            Event::PartEnd => {
                if let Some(part) = taking.take() {
                    end(to, part, outcome).await;
                }
            }
            Event::End => return Ok(()),
        }
    }
}

/// 400 for a body that cannot be read on; says how much of it is kept all the same.
async fn broken(why: &str, outcome: &mut Outcome) -> Problem {
    outcome.settle(0).await;
    let kept = outcome.stored.len();
    Problem::field(
        "body",
        format!("is no multipart/related: {why}; {kept} objects before were stored"),
    )
}

fn begin<'a>(headers: &[u8]) -> Taking<'a> {
    let content = header(headers, "content-type").map(Media::parse);
    let dicom = match content {
        None => true,
        Some(media) => media.is_some_and(|m| m.kind == "application" && m.sub == "dicom"),
    };
    if dicom {
        return Taking::Opening(BytesMut::new());
    }
    Taking::Failed(Failure::new(0xC000, "content-type of the part must be application/dicom"))
}

async fn push<'a>(to: To<'a>, taking: Taking<'a>, bytes: Bytes) -> Taking<'a> {
    match taking {
        Taking::Opening(mut beginning) => {
            beginning.extend_from_slice(&bytes);
            if beginning.len() < BEGINNING_BYTES {
                return Taking::Opening(beginning);
            }
            open(to, beginning.freeze()).await
        }
        Taking::Object(mut incoming, said) => match incoming.push(bytes).await {
            Ok(()) => Taking::Object(incoming, said),
            Err(refused) => Taking::Failed(Failure::of(said, &refused)),
        },
        failed @ Taking::Failed(_) => failed,
    }
}

/// Begins to take an object whose file begins so.
async fn open(to: To<'_>, beginning: Bytes) -> Taking<'_> {
    let opening = match part10::open(&beginning) {
        Ok(opening) => opening,
        Err(error) => return Taking::Failed(Failure::new(0xC000, error.to_string())),
    };
    let said = Said { sop_class: opening.sop_class, sop_instance: opening.sop_instance };
    let meta = beginning.get(..opening.data_set).unwrap_or_default().to_vec();
    let received = to.door.imaging.receive(to.intake, &opening.transfer_syntax, None, meta);
    let mut incoming = match received {
        Ok(incoming) => incoming.of_study(to.study.map(str::to_owned)),
        Err(refused) => return Taking::Failed(Failure::of(said, &refused)),
    };
    match incoming.push(beginning.slice(opening.data_set.min(beginning.len())..)).await {
        Ok(()) => Taking::Object(Box::new(incoming), said),
        Err(refused) => Taking::Failed(Failure::of(said, &refused)),
    }
}

/// The part is whole.
async fn end(to: To<'_>, taking: Taking<'_>, outcome: &mut Outcome) {
    let taking = match taking {
        Taking::Opening(beginning) => open(to, beginning.freeze()).await,
        other @ (Taking::Object(..) | Taking::Failed(_)) => other,
    };
    match taking {
        Taking::Object(incoming, said) => match incoming.submit().await {
            Ok(told) => outcome.submitted.push_back((said, told)),
            Err(refused) => outcome.failed.push(Failure::of(said, &refused)),
        },
        Taking::Failed(failure) => outcome.failed.push(failure),
        Taking::Opening(_) => {}
    }
    outcome.settle(SUBMITTED_MAX).await;
}

impl Outcome {
    /// Waits until at most `left` objects wait for the disk.
    async fn settle(&mut self, left: usize) {
        while self.submitted.len() > left {
            let Some((said, told)) = self.submitted.pop_front() else { return };
            match told.await {
                Ok(Ok(Stored { kept: Kept::Apart, sop_class, uids, .. })) => {
                    let said =
                        Said { sop_class: Some(sop_class), sop_instance: Some(uids.instance) };
                    let comment = "other content has this UID; this object is kept apart";
                    self.failed.push(Failure { said, ..Failure::new(0x0111, comment) });
                }
                Ok(Ok(stored)) => self.stored.push(stored),
                Ok(Err(error)) => {
                    self.failed.push(Failure::of(said, &Refused::Node(error)));
                }
                Err(_) => {
                    let error = Error::Unavailable { what: "imaging", cause: None };
                    self.failed.push(Failure::of(said, &Refused::Node(error)));
                }
            }
        }
    }
}

impl Failure {
    fn new(reason: u16, comment: impl Into<String>) -> Self {
        Self { said: Said::default(), reason, comment: comment.into(), retryable: false }
    }

    /// PS3.18, table I.2-2.
    fn of(said: Said, refused: &Refused) -> Self {
        let (reason, retryable) = match refused {
            Refused::TransferSyntax => (0xC122, false),
            Refused::Structure(_) => (0xC000, false),
            Refused::Identity(_) | Refused::NotAsAnnounced { .. } => (0xA900, false),
            Refused::TooLong => (0xA700, false),
            Refused::Node(
                Error::Denied { .. } | Error::Withheld { .. } | Error::Unauthenticated,
            ) => (0x0124, false),
            Refused::Node(error) => (0xA700, error.retryable()),
        };
        let comment = match refused {
            Refused::Node(error) => error.public(),
            Refused::TransferSyntax
            | Refused::Structure(_)
            | Refused::Identity(_)
            | Refused::NotAsAnnounced { .. }
            | Refused::TooLong => refused.to_string(),
        };
        Self { said, reason, comment, retryable }
    }

    fn item(&self) -> Value {
        let mut item = Map::new();
        let mut put = |key: &str, vr: &str, value: Value| {
            item.insert(key.to_owned(), json!({ "vr": vr, "Value": [value] }));
        };
        put("00000902", "LO", json!(self.comment));
        if let Some(uid) = &self.said.sop_class {
            put("00081150", "UI", json!(uid));
        }
        if let Some(uid) = &self.said.sop_instance {
            put("00081155", "UI", json!(uid));
        }
        put("00081197", "US", json!(self.reason));
        Value::Object(item)
    }
}

/// PS3.18, 10.5.3 and annex I.
fn answer(ask: &Ask, media: &'static str, outcome: &Outcome) -> Response {
    let Outcome { stored, failed, .. } = outcome;
    let status = match (stored.is_empty(), failed.is_empty()) {
        (false, true) => StatusCode::OK,
        (false, false) => StatusCode::ACCEPTED,
        (true, _) if failed.iter().all(|f| f.retryable) => StatusCode::SERVICE_UNAVAILABLE,
        (true, _) => StatusCode::CONFLICT,
    };
    let base = &ask.base;
    let mut body = Map::new();
    if let Some(first) = stored.first()
        && stored.iter().all(|s| s.uids.study == first.uids.study)
    {
        let url = format!("{base}/studies/{}", first.uids.study);
        body.insert("00081190".to_owned(), json!({ "vr": "UR", "Value": [url] }));
    }
    let mut sequence = |key: &str, items: Vec<Value>| {
        if !items.is_empty() {
            body.insert(key.to_owned(), json!({ "vr": "SQ", "Value": items }));
        }
    };
    let (named, nameless): (Vec<&Failure>, Vec<&Failure>) =
        failed.iter().partition(|f| f.said.sop_instance.is_some());
    sequence("00081198", named.into_iter().map(Failure::item).collect());
    let references = stored.iter().map(|stored| {
        let uids = &stored.uids;
        let url = format!(
            "{base}/studies/{}/series/{}/instances/{}",
            uids.study, uids.series, uids.instance
        );
        json!({
            "00081150": { "vr": "UI", "Value": [stored.sop_class] },
            "00081155": { "vr": "UI", "Value": [uids.instance] },
            "00081190": { "vr": "UR", "Value": [url] },
        })
    });
    sequence("00081199", references.collect());
    sequence("0008119A", nameless.into_iter().map(Failure::item).collect());
    let body = Value::Object(body).to_string();
    let kind = HeaderValue::from_static(media);
    let mut response = (status, [(CONTENT_TYPE, kind)], body).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    }
    response
}
