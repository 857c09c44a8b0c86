//! What every handler reads from a request: who asks, for what, and how they want it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::Shared;
use super::accept::Accept;
use super::problem::Problem;
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::peers::Service;
use crate::app::imaging::ports::{IndexedInstance, Selection};
use crate::sharing::imaging::identity::is_uid;
use crate::web::base::root;

/// Instances of one retrieval at most.
const INSTANCES_MAX: usize = 100_000;
/// Instances asked of the index at once.
const PAGE: u64 = 5_000;
/// Parameters of a request at most.
const PARAMETERS_MAX: usize = 256;

/// A request.
#[derive(Debug)]
pub(super) struct Ask {
    /// Who asks.
    pub(super) requester: Requester,
    /// Headers.
    pub(super) headers: HeaderMap,
    /// Parameters, decoded.
    pub(super) parameters: Vec<(String, String)>,
    /// What the path names.
    pub(super) target: Target,
    /// What links begin with, without a final slash.
    pub(super) base: String,
}

/// What a path names, from the study down.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    pub(super) study: Option<String>,
    pub(super) series: Option<String>,
    pub(super) instance: Option<String>,
    /// The frames, as they stand in the path.
    pub(super) frames: Option<String>,
    /// The rest of a path to bulk data.
    pub(super) bulk: Option<String>,
}

impl Ask {
    /// What the caller would take.
    pub(super) fn accept(&self) -> Result<Accept, Problem> {
        Accept::of(&self.headers, &self.parameters)
    }

    /// A parameter; 400 if it is there more than once.
    pub(super) fn parameter(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut found = self.parameters.iter().filter(|(known, _)| known == name);
        let first = found.next().map(|(_, value)| value.as_str());
        if found.next().is_some() {
            return Err(Problem::field(name, "must be given once"));
        }
        Ok(first)
    }
}

impl Shared {
    /// The instances of `target`; 404 if there is none.
    pub(super) async fn instances(
        &self,
        requester: &Requester,
        target: &Target,
    ) -> Result<Vec<IndexedInstance>, Problem> {
        requester.permit(Service::Retrieve)?;
        if let Some(instance) = self.known.get(target) {
            return Ok(vec![instance]);
        }
        let selection = Selection {
            patient_id: None,
            studies: target.study.iter().cloned().collect(),
            series: target.series.iter().cloned().collect(),
            instances: target.instance.iter().cloned().collect(),
        };
        let mut found: Vec<IndexedInstance> = Vec::new();
        loop {
            let offset = u64::try_from(found.len()).unwrap_or(u64::MAX);
            let page = self.imaging.instances(requester, selection.clone(), offset, PAGE).await?;
            let more = u64::try_from(page.len()).unwrap_or(0) == PAGE;
            found.extend(page);
            if found.len() > INSTANCES_MAX {
                return Err(Problem::too_large(format!("over {INSTANCES_MAX} instances match")));
            }
            if !more {
                break;
            }
        }
        if found.is_empty() {
            return Err(Problem::not_found(target.kind()));
        }
        self.known.remember(&found);
        Ok(found)
    }
}

impl Target {
    /// What it names, for errors.
    pub(super) fn kind(&self) -> &'static str {
        match (&self.series, &self.instance) {
            (_, Some(_)) => "instance",
            (Some(_), None) => "series",
            (None, None) => "study",
        }
    }
}

impl FromRequestParts<Arc<Shared>> for Ask {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        let requester =
            parts.extensions.get::<Requester>().cloned().ok_or(Error::Unauthenticated)?;
        let path = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::field("path", "must be UTF-8, percent-encoded"))?;
        let mut target = Target::default();
        for (name, value) in &path {
            let (slot, uid) = match name {
                "study" => (&mut target.study, true),
                "series" => (&mut target.series, true),
                "instance" => (&mut target.instance, true),
                "frames" => (&mut target.frames, false),
                _ => (&mut target.bulk, false),
            };
            if uid && !is_uid(value) {
                return Err(Problem::field(name, "must be a UID of 1 to 64 digits and dots"));
            }
            *slot = Some(value.to_owned());
        }
        let query = parts.uri.query().unwrap_or_default();
        let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .take(PARAMETERS_MAX + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if parameters.len() > PARAMETERS_MAX {
            return Err(Problem::field(
                "query",
                format!("must have at most {PARAMETERS_MAX} parameters"),
            ));
        }
        let base = base(parts, state);
        Ok(Self { requester, headers: parts.headers.clone(), parameters, target, base })
    }
}

/// What links in answers begin with: as configured, or as the caller asked.
fn base(parts: &Parts, state: &Shared) -> String {
    let root = root(parts, state.options.base_url.as_deref(), state.options.tls.is_some());
    format!("{root}/dicom-web")
}
