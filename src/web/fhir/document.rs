//! A record as a FHIR document (`Composition/{id}/$document`, as R4 defines it for one composition) and
//! as it came (`Binary/{id}`).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Shared;
use super::ask::{self, Ask};
use super::outcome::{self, Outcome};
use crate::app::error::Error;
use crate::app::records::reading::Reading;
use crate::app::records::references::instant;
use crate::app::records::{FHIR_JSON, FoundRecord};
use crate::sharing::consent::Scope;
use crate::sharing::discharge::{Format, fhir};
use crate::tables::text::hex;

/// Bytes of the parameters of an operation at most.
const PARAMETERS_BYTES_MAX: usize = 64 << 10;

/// `GET /fhir/Composition/{id}/$document`
pub(super) async fn document(
    State(shared): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Outcome> {
    let persist = ask.parameter("persist").is_some_and(|value| value == "true");
    let graph = ask.parameter("graph").is_some();
    given(&shared, &ask, (persist, graph)).await
}

/// `POST /fhir/Composition/{id}/$document` with `Parameters`, or with nothing.
pub(super) async fn document_posted(
    State(shared): State<Arc<Shared>>,
    ask: Ask,
    body: Body,
) -> Result<Response, Outcome> {
    let body = ask.body(body, PARAMETERS_BYTES_MAX).await?;
    let mut asked = (false, false);
    if !body.is_empty() {
        ask.content(&["application/fhir+json", "application/json"])?;
        let parameters: Value = serde_json::from_slice(&body)
            .map_err(|_| Outcome::field("body", "must be Parameters in JSON"))?;
        let parameters = parameters.get("parameter").and_then(Value::as_array);
        let named = |name: &str| {
            let mut all = parameters.into_iter().flatten();
            all.find(|one| one.get("name").and_then(Value::as_str) == Some(name))
        };
        let persist = named("persist").and_then(|one| one.get("valueBoolean"));
        asked = (persist.and_then(Value::as_bool) == Some(true), named("graph").is_some());
    }
    given(&shared, &ask, asked).await
}

async fn given(
    shared: &Shared,
    ask: &Ask,
    (persist, graph): (bool, bool),
) -> Result<Response, Outcome> {
    ask.accepts_json()?;
    if persist {
        return Err(Outcome::not_supported(
            "parameter persist",
            "must not be true: documents are kept",
        ));
    }
    if graph {
        return Err(Outcome::not_supported("parameter graph", "is not supported"));
    }
    let found = found(shared, ask, "Composition").await?;
    let reading = found.reading.as_ref().ok_or_else(Outcome::unreadable)?;
    // A document is what its author put together; anything else is put together here, always the same.
    if reading.format == Format::FhirDocument {
        let etag = etag(&found.kept.sha256);
        return Ok(ask.tagged(&etag, ask::bytes(outcome::FHIR_JSON, found.kept.body)));
    }
    let kept = instant(found.kept.received_ms)?;
    let written = fhir::write(&reading.record, &kept).to_string();
    let etag = etag(&Sha256::digest(&written));
    Ok(ask.tagged(&etag, ask::bytes(outcome::FHIR_JSON, written.into())))
}

/// `GET /fhir/Binary/{id}`: the bytes as they came, or, where the caller asks by name for FHIR's JSON and
/// the original is none, a `Binary` (R4, 2.42.3).
pub(super) async fn binary(
    State(shared): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Outcome> {
    let found = found(&shared, &ask, "Binary").await?;
    let kept = found.kept;
    if kept.media_type != FHIR_JSON && ask.names_json()? {
        let id = ask.id("Binary")?;
        let resource = json!({
            "resourceType": "Binary",
            "id": id,
            "contentType": kept.media_type,
            "data": STANDARD.encode(&kept.body),
        });
        let etag = format!("\"json-{}\"", hex(&kept.sha256));
        return Ok(ask.tagged(&etag, ask::json(&resource)));
    }
    let json = kept.media_type == FHIR_JSON && ask.accepts("application/json")?;
    if ask.parameter("_format").is_none() && !json && !ask.accepts(&kept.media_type)? {
        return Err(Outcome::not_acceptable());
    }
    Ok(ask.tagged(&etag(&kept.sha256), ask::bytes(&kept.media_type, kept.body)))
}

async fn found(shared: &Shared, ask: &Ask, kind: &'static str) -> Result<FoundRecord, Outcome> {
    let purpose = ask.purpose()?;
    let (caller, id) = (ask.caller()?, ask.id(kind)?);
    let (name, version) = shared.app.referred_record(caller, (id, kind), purpose).await?;
    let reading = Reading::for_purpose(purpose);
    let found = shared.app.get_record(caller, (&name, version), reading).await?;
    if found.granted.scope == Scope::Whole {
        return Ok(found);
    }
    // Documents go out whole or not at all.
    let reason = "此目的和角色只可查阅摘要，请经 gRPC 查阅".to_owned();
    Err(Error::Withheld { reason }.into())
}

fn etag(digest: &[u8]) -> String {
    format!("\"{}\"", hex(digest))
}
