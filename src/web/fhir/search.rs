//! `DocumentReference`: searched and read.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;

use super::Shared;
use super::ask::{Ask, PARAMETERS_MAX, json, parameters};
use super::dates::span;
use super::outcome::Outcome;
use crate::app::records::references::ports::Span;
use crate::app::records::references::{PAGE_MAX, Reference, ReferenceRequest};
use crate::app::records::{FHIR_JSON, Purpose};
use crate::app::request::PAGE_DEFAULT;
use crate::sharing::discharge::fhir::resources::{
    Content, Kept, Page, Standing, Subject, document_reference, searchset,
};
use crate::tables::text::hex;

/// Bytes of a search's form at most.
const FORM_BYTES_MAX: usize = 64 << 10;
/// Type of every document: discharge summary.
const LOINC: (&str, &str) = ("http://loinc.org", "18842-5");
/// Our parameter that says where a page begins.
const PAGE: &str = "_page";
/// Parameters that say how an answer is written, and that are no part of the search.
const WRITING: [&str; 2] = ["_format", "_pretty"];

/// `GET /fhir/DocumentReference?…`
pub(super) async fn search(
    State(shared): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Outcome> {
    ask.accepts_json()?;
    let purpose = ask.purpose()?;
    found(&shared, &ask, purpose).await
}

/// `POST /fhir/DocumentReference/_search` with a form.
pub(super) async fn search_form(
    State(shared): State<Arc<Shared>>,
    mut ask: Ask,
    body: Body,
) -> Result<Response, Outcome> {
    let purpose = ask.purpose()?;
    ask.content(&["application/x-www-form-urlencoded"])?;
    let form = ask.body(body, FORM_BYTES_MAX).await?;
    ask.parameters.extend(parameters(&form)?);
    if ask.parameters.len() > PARAMETERS_MAX {
        return Err(Outcome::field("query", "must have at most 256 parameters"));
    }
    ask.accepts_json()?;
    found(&shared, &ask, purpose).await
}

/// `GET /fhir/DocumentReference/{id}`
pub(super) async fn read(State(shared): State<Arc<Shared>>, ask: Ask) -> Result<Response, Outcome> {
    ask.accepts_json()?;
    let purpose = ask.purpose()?;
    let id = ask.id("DocumentReference")?;
    let found = shared.app.get_reference(ask.caller()?, id, purpose).await?;
    let etag = format!("W/\"{}-{}\"", found.kept.version, found.kept.updated_ms);
    Ok(ask.tagged(&etag, json(&resource(&found, &ask.base))))
}

async fn found(shared: &Shared, ask: &Ask, purpose: Purpose) -> Result<Response, Outcome> {
    let asked = Asked::of(ask)?;
    let (count, nobody) = (asked.request.count, asked.nobody);
    let query = asked.query;
    let mut request = asked.request;
    if nobody {
        request.ids = Some(Vec::new());
    }
    let page = shared.app.find_references(ask.caller()?, request, purpose).await?;
    let base = format!("{}/DocumentReference", ask.base);
    let link = |before: Option<i64>| {
        let mut url = format!("{base}?{query}_count={count}");
        if let Some(before) = before {
            let _ = write!(url, "&{PAGE}={before}");
        }
        url
    };
    let (this, next) = (link(asked.before), page.next.map(|next| link(Some(next))));
    let matches = page
        .references
        .iter()
        .map(|one| (format!("{base}/{}", one.kept.id), resource(one, &ask.base)))
        .collect();
    let set = Page { total: page.total, this: &this, next: next.as_deref(), matches };
    Ok(json(&searchset(set)))
}

/// A search as it was understood.
struct Asked {
    request: ReferenceRequest,
    before: Option<i64>,
    /// A condition that nothing here fulfils.
    nobody: bool,
    /// The parameters that were understood, encoded, each with `&` behind it.
    query: String,
}

impl Asked {
    /// What cannot be understood is refused; a parameter that is not known is left out, or refused
    /// where the caller prefers strict handling.
    fn of(ask: &Ask) -> Result<Self, Outcome> {
        let count = PAGE_DEFAULT;
        let request = ReferenceRequest { count, ..ReferenceRequest::default() };
        let mut asked = Self { request, before: None, nobody: false, query: String::new() };
        let strict = ask.prefers("handling=strict");
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in &ask.parameters {
            if value.is_empty() || WRITING.contains(&name.as_str()) {
                continue;
            }
            let name = match name.as_str() {
                "patient:Patient.identifier" => "patient.identifier",
                name => name,
            };
            let dated = matches!(name, "date" | "_lastUpdated");
            if seen.contains(&name) && !dated {
                let allowed = "must be given once; values may stand behind each other with commas";
                return Err(Outcome::not_supported(&format!("parameter {}", plain(name)), allowed));
            }
            seen.push(name);
            if asked.take((name, value), &ask.base)? {
                let text = form_urlencoded::byte_serialize(value.as_bytes());
                if !matches!(name, "_count" | PAGE) {
                    let _ = write!(asked.query, "{name}={}&", text.collect::<String>());
                }
            } else if strict {
                let name = format!("parameter {}", plain(name));
                return Err(Outcome::not_supported(&name, "is not supported; see metadata"));
            }
        }
        Ok(asked)
    }

    /// Whether the parameter is known.
    fn take(&mut self, (name, value): (&str, &str), base: &str) -> Result<bool, Outcome> {
        let request = &mut self.request;
        match name {
            "_id" => request.ids = Some(values(value, ',')),
            "patient" => {
                let whole = format!("{base}/Patient/");
                let id = |value: String| {
                    let short = value.strip_prefix(&whole).or(value.strip_prefix("Patient/"));
                    short.map(str::to_owned).unwrap_or(value)
                };
                request.persons = Some(values(value, ',').into_iter().map(id).collect());
            }
            "patient.identifier" => {
                request.identifiers =
                    Some(values(value, ',').iter().map(|one| token(one)).collect());
            }
            "type" => {
                let fits = |one: &String| {
                    let (system, code) = token(one);
                    let of = system.is_none_or(|system| system == LOINC.0);
                    of && (code == LOINC.1 || code.is_empty())
                };
                self.nobody |= !values(value, ',').iter().any(fits);
            }
            "status" => {
                let standing = |one: &String| match token(one).1.as_str() {
                    "current" => Some(Standing::Current),
                    "superseded" => Some(Standing::Superseded),
                    "entered-in-error" => Some(Standing::EnteredInError),
                    _ => None,
                };
                let all = values(value, ',');
                let standings: Option<Vec<Standing>> = all.iter().map(standing).collect();
                let allowed = "must be current, superseded or entered-in-error";
                let standings = standings.ok_or_else(|| Outcome::field("status", allowed))?;
                request.standings = Some(standings);
            }
            "date" => request.kept = request.kept.and(dated(name, value)?),
            "_lastUpdated" => request.updated = request.updated.and(dated(name, value)?),
            "_count" => {
                let count = value.parse::<u32>();
                let count = count.map_err(|_| Outcome::field("_count", "must be a number"))?;
                request.count = count.min(PAGE_MAX);
            }
            PAGE => {
                let before = value.parse::<i64>().ok().filter(|before| *before > 0);
                let allowed = "must be that of a link of an answer";
                request.before = Some(before.ok_or_else(|| Outcome::field(PAGE, allowed))?);
                self.before = request.before;
            }
            other => {
                let known = ["_id", "patient", "type", "status", "date", "_lastUpdated", "_count"];
                let base = other.split([':', '.']).next().unwrap_or_default();
                // R4: a modifier that is not known must not be left out.
                if known.contains(&base) {
                    let name = format!("parameter {}", plain(base));
                    return Err(Outcome::not_supported(&name, "has no such modifier or chain"));
                }
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A name of a parameter as it may be told: what is none is not repeated.
fn plain(name: &str) -> &str {
    let fits =
        name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
    if fits { name } else { "(of that name)" }
}

fn dated(name: &str, value: &str) -> Result<Span, Outcome> {
    let allowed = "must be a date that exists, alone or after eq, gt, ge, lt, le, sa or eb";
    span(value).ok_or_else(|| Outcome::field(name, allowed))
}

/// Splits at a mark that is not escaped by `\` (R4, 3.1.1.4.0.1), and leaves the escapes.
fn values(text: &str, mark: char) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == mark && !escaped {
            all.push(String::new());
        } else if let Some(last) = all.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    all
}

/// `code`, `system|code` or `|code`, without escapes.
fn token(text: &str) -> (Option<String>, String) {
    let mut parts = values(text, '|').into_iter().map(|part| unescaped(&part));
    let first = parts.next().unwrap_or_default();
    let rest: Vec<String> = parts.collect();
    if rest.is_empty() { (None, first) } else { (Some(first), rest.join("|")) }
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(c);
        }
    }
    out
}

/// A `DocumentReference`: the original, and the record as a FHIR document where that is another.
fn resource(found: &Reference, base: &str) -> Value {
    let kept = &found.kept;
    let (sha256, sm3) = (hex(&kept.sha256), hex(&kept.sm3));
    let original = format!("{base}/Binary/{}", kept.id);
    let document = format!("{base}/Composition/{}/$document", kept.id);
    let mut contents = vec![Content {
        content_type: &kept.media_type,
        url: &original,
        size: Some(kept.size),
        sha256: &sha256,
        sm3: &sm3,
    }];
    if found.readable && kept.media_type != FHIR_JSON {
        contents.push(Content {
            content_type: FHIR_JSON,
            url: &document,
            size: None,
            sha256: "",
            sm3: "",
        });
    }
    let person = found.person.as_ref().map(|id| format!("Patient/{id}"));
    document_reference(&Kept {
        id: &kept.id,
        record: &found.record,
        standing: kept.standing,
        kept: &found.received,
        updated: &found.updated,
        subject: Subject {
            reference: person.as_deref(),
            identifier: None,
            display: &found.record.patient.name,
        },
        contents: &contents,
        replaces: kept.replaces.as_deref(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_tokens_are_split_where_no_backslash_stands() {
        assert_eq!(values("a,b\\,c", ','), ["a", "b\\,c"]);
        assert_eq!(values("a\\\\,b", ','), ["a\\\\", "b"]);
        for (text, system, code) in [
            ("1", None, "1"),
            ("urn:x|1", Some("urn:x"), "1"),
            ("|1", Some(""), "1"),
            ("urn:x|a\\|b", Some("urn:x"), "a|b"),
            ("urn:x|a\\,b\\\\", Some("urn:x"), "a,b\\"),
            ("urn:x|", Some("urn:x"), ""),
        ] {
            assert_eq!(token(text), (system.map(str::to_owned), code.to_owned()), "{text}");
        }
    }
}
