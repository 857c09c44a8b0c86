//! QIDO-RS (PS3.18, 10.6): searches for studies, series and instances, answered as DICOM JSON or XML.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, VARY, WARNING};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Shared;
use super::accept::Offer;
use super::ask::Ask;
use super::problem::Problem;
use super::retrieve::{Parts, set};
use crate::app::imaging::Found;
use crate::sharing::imaging::attribute::About;
use crate::sharing::imaging::metadata::native_xml;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::qido::{attributes_json, parse_qido};
use crate::sharing::imaging::query::{Condition, Level, Match, Matching};

/// The media type of DICOM JSON (PS3.18, F).
pub(super) const DICOM_JSON: &str = "application/dicom+json";
/// The media type of the Native DICOM Model (PS3.19, A.1); each object is a part.
pub(super) const DICOM_XML: &str = "application/dicom+xml";
/// What some callers call DICOM JSON.
pub(super) const JSON: &str = "application/json";
/// Retrieve URL (0008,1190) in DICOM JSON.
const RETRIEVE_URL: &str = "00081190";
/// Keys that a warning names at most.
const WARNED_MAX: usize = 16;

pub(super) async fn studies(
    State(door): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Problem> {
    search(&door, &ask, Level::Study).await
}

pub(super) async fn series(State(door): State<Arc<Shared>>, ask: Ask) -> Result<Response, Problem> {
    search(&door, &ask, Level::Series).await
}

pub(super) async fn instances(
    State(door): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Problem> {
    search(&door, &ask, Level::Image).await
}

async fn search(door: &Shared, ask: &Ask, level: Level) -> Result<Response, Problem> {
    let offers = [Offer::single(DICOM_JSON), Offer::single(JSON), Offer::parts(DICOM_XML)];
    let media = ask.accept()?.choose(&offers)?.media;
    let mut search =
        parse_qido(level, &ask.parameters).map_err(|e| Problem::field("query", e.to_string()))?;
    let mut outer = Level::Study;
    for (tag, uid, below) in [
        (tags::STUDY_INSTANCE_UID, &ask.target.study, Level::Series),
        (tags::SERIES_INSTANCE_UID, &ask.target.series, Level::Image),
    ] {
        if let Some(uid) = uid {
            outer = below;
            let matching = Matching::Single(uid.clone());
            search.query.conditions.push(Condition { tag, matching });
        }
    }
    let Found { answers: found, more } = door.imaging.answer(&ask.requester, search.query).await?;
    let about = About { level, retrieve_ae: "" };
    let answers: Vec<Value> = found
        .iter()
        .map(|found| {
            let mut answer = attributes_json(found, outer, &search.include, &about);
            if let Some(object) = answer.as_object_mut() {
                let url = address(&ask.base, level, found);
                object.insert(RETRIEVE_URL.to_owned(), json!({ "vr": "UR", "Value": [url] }));
            }
            answer
        })
        .collect();
    let mut response = if answers.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else if media == DICOM_XML {
        xml_answer(&answers)
    } else {
        let body = Value::Array(answers).to_string();
        ([(CONTENT_TYPE, HeaderValue::from_static(media))], body).into_response()
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    warn(&mut response, more, &search.ignored);
    Ok(response)
}

/// A part with an XML document for each answer.
fn xml_answer(answers: &[Value]) -> Response {
    let mut hash = Sha256::new();
    let objects = answers.iter().filter_map(Value::as_object);
    let documents: Vec<(&str, String)> = objects
        .map(|object| {
            let url = object.get(RETRIEVE_URL).and_then(|url| url.pointer("/Value/0")?.as_str());
            (url.unwrap_or_default(), native_xml(object))
        })
        .inspect(|(_, document)| hash.update(document.as_bytes()))
        .collect();
    // A boundary that is made of all documents stands in none of them.
    let parts = Parts::new(DICOM_XML, &Digest(hash.finalize().into()).to_string());
    let mut body = Vec::new();
    for (location, document) in &documents {
        body.extend_from_slice(&parts.head(DICOM_XML, location));
        body.extend_from_slice(document.as_bytes());
    }
    body.extend_from_slice(&parts.tail());
    let mut response = body.into_response();
    set(&mut response, CONTENT_TYPE, &parts.content_type());
    response
}

/// Where what was found can be retrieved (0008,1190).
fn address(base: &str, level: Level, found: &Match) -> String {
    let header = &found.header;
    let (study, series, instance) = (&header.study.uid, &header.series.uid, &header.instance.uid);
    match level {
        Level::Patient | Level::Study => format!("{base}/studies/{study}"),
        Level::Series => format!("{base}/studies/{study}/series/{series}"),
        Level::Image => format!("{base}/studies/{study}/series/{series}/instances/{instance}"),
    }
}

/// PS3.18, 8.3.4.4 and 10.6.3.
fn warn(response: &mut Response, more: bool, ignored: &[Tag]) {
    let mut warnings = Vec::new();
    if more {
        warnings.push(
            "299 xiangyi \"There are more results; ask for them with offset and limit\"".to_owned(),
        );
    }
    if !ignored.is_empty() {
        let names: Vec<String> = ignored
            .iter()
            .take(WARNED_MAX)
            .map(|Tag(group, element)| format!("{group:04X}{element:04X}"))
            .collect();
        warnings.push(format!(
            "299 xiangyi \"These attributes are not searched by or returned: {}\"",
            names.join(" ")
        ));
    }
    for warning in warnings {
        if let Ok(value) = HeaderValue::from_str(&warning) {
            response.headers_mut().append(WARNING, value);
        }
    }
}
