//! `POST /fhir/Bundle`: a discharge record is handed in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::ask::{Ask, json};
use super::outcome::Outcome;
use crate::app::records::references::reference_id;
use crate::app::records::{FHIR_JSON, SubmittedRecord, Taken};
use crate::sharing::discharge::fhir::BYTES_MAX;
use crate::sharing::discharge::fhir::resources::operation_outcome;
use crate::sharing::discharge::{Problem, Severity};

/// Creates; what is on disk already is answered as such. The body of the answer tells what was read
/// otherwise than R4 wants it, and what is in the original alone.
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    ask: Ask,
    body: Body,
) -> Result<Response, Outcome> {
    ask.accepts_json()?;
    ask.content(&["application/fhir+json", "application/json"])?;
    let content = ask.body(body, BYTES_MAX).await?;
    if content.is_empty() {
        return Err(Outcome::field("body", "must be a Bundle"));
    }
    let kept = match shared.app.take_record(ask.caller()?, FHIR_JSON, content).await? {
        Taken::Kept(kept) => kept,
        Taken::Refused(problems) => return Err(Outcome::refused(problems)),
        Taken::NameTaken(whose) => return Err(Outcome::name_taken(whose)),
        Taken::Conflict(version) => return Err(Outcome::conflict(version)),
    };
    let id = reference_id(&kept.name, kept.version);
    let mut response = if ask.prefers("return=minimal") {
        StatusCode::OK.into_response()
    } else {
        json(&operation_outcome(&told(&kept, &id)))
    };
    *response.status_mut() = if kept.known { StatusCode::OK } else { StatusCode::CREATED };
    let location = format!("{}/Bundle/{id}/_history/{}", ask.base, kept.version);
    let etag = format!("W/\"{}\"", kept.version);
    for (name, value) in [(LOCATION, location), (ETAG, etag)] {
        let value = HeaderValue::from_str(&value);
        response.headers_mut().extend(value.ok().map(|value| (name, value)));
    }
    Ok(response)
}

fn told(kept: &SubmittedRecord, id: &str) -> Vec<Problem> {
    let note = |path: &str, code: &str, message: String| {
        Problem::new(Severity::Information, path, code, message)
    };
    let said = if kept.known { "已有同一份文档" } else { "已保存" };
    let mut told = vec![note("/", "kept", format!("{said}：DocumentReference/{id}"))];
    told.extend(kept.reading.problems.iter().cloned());
    let unplaced =
        kept.reading.unplaced.iter().map(|one| {
            note(&one.path, "unplaced", format!("{}未纳入模型，保留在原件中", one.what))
        });
    told.extend(unplaced);
    told
}
