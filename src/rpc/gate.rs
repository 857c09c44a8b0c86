//! What every call passes before its handler: who calls, is there room, how long may it take; and
//! what is measured of it.
//!
//! Order: known method -> caller -> a place (at most `concurrency_max` run, at most `queue_max`
//! wait) -> the handler, under the smaller of the node's time limit and the caller's
//! `grpc-timeout`. A body is read only after a place is had, so that waiting calls cost little.
//! Health checks pass without credentials and without queueing.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{auth, status};
use crate::app::credentials::Authenticator;
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::telemetry::{Counted, Metrics};

/// `google.rpc.Code.OUT_OF_RANGE`.
const OUT_OF_RANGE: i32 = 11;

/// How much before the caller's deadline a call is given up.
const EARLY: Duration = Duration::from_millis(5);

/// Limits on calls.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// Calls that run at the same time.
    pub concurrency_max: usize,
    /// Calls that wait for a place.
    pub queue_max: usize,
    /// Longest a call may take, waiting included.
    pub call_timeout: Duration,
    /// Largest message, in bytes; the services enforce it.
    pub message_bytes_max: usize,
}

/// Shared state of the gate.
#[derive(Debug)]
struct Shared {
    auth: Authenticator,
    limits: CallLimits,
    places: Semaphore,
    waiting: AtomicUsize,
    methods: HashSet<String>,
    metrics: Arc<Metrics>,
}

/// Puts a [`Gate`] before a service.
#[derive(Debug, Clone)]
pub struct GateLayer(Arc<Shared>);

/// See the module.
#[derive(Debug, Clone)]
pub struct Gate<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl GateLayer {
    /// A gate for `methods` (paths such as `/xiangyi.node.v1.NodeService/GetNodeInfo`).
    pub fn new(
        auth: Authenticator,
        limits: CallLimits,
        methods: HashSet<String>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let places = Semaphore::new(limits.concurrency_max.clamp(1, Semaphore::MAX_PERMITS));
        Self(Arc::new(Shared {
            auth,
            limits,
            places,
            waiting: AtomicUsize::new(0),
            methods,
            metrics,
        }))
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, shared: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The service that was polled ready is the one to call; its clone takes its place.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let shared = Arc::clone(&self.shared);
        if request.uri().path().starts_with("/grpc.health.v1.Health/") {
            return Box::pin(async move { inner.call(request).await });
        }
        Box::pin(async move {
            let start = Instant::now();
            let path = request.uri().path();
            let method = if shared.methods.contains(path) { path } else { "other" }.to_owned();
            let outcome = if let Err(error) = auth::admit(&shared.auth, &mut request).await {
                Err(error)
            } else {
                let limit = time_limit(request.headers(), shared.limits.call_timeout);
                tokio::time::timeout(limit, async {
                    if limit.is_zero() {
                        return Err(Error::DeadlineExceeded);
                    }
                    let _place = shared.place().await?;
                    let _running = shared.metrics.running();
                    Ok(inner.call(request).await)
                })
                .await
                .unwrap_or(Err(Error::DeadlineExceeded))
            };
            let response = match outcome {
                // tonic's own words for a message past the limit; nothing else here uses the code.
                Ok(Ok(response)) if grpc_code(response.headers()) == OUT_OF_RANGE => {
                    let bytes_max = shared.limits.message_bytes_max;
                    status::from_error(&Error::TooLarge { bytes_max }).into_http()
                }
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(error),
                Err(error) => status::from_error(&error).into_http(),
            };
            shared.metrics.called(&method, grpc_code(response.headers()), start.elapsed());
            Ok(response)
        })
    }
}

impl Shared {
    /// A place to run, or [`Error::Overloaded`] when too many wait already.
    async fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Error> {
        match self.places.try_acquire() {
            Ok(place) => return Ok(place),
            Err(TryAcquireError::NoPermits) => {}
            Err(TryAcquireError::Closed) => {
                return Err(Error::Unavailable { what: "node", cause: None });
            }
        }
        let waiting = Waiting::enter(self)?;
        let place = self.places.acquire().await;
        drop(waiting);
        place.map_err(|_| Error::Unavailable { what: "node", cause: None })
    }
}

/// Counts one waiting call for as long as it lives.
struct Waiting<'a> {
    waiting: &'a AtomicUsize,
    _counted: Counted<'a>,
}

impl<'a> Waiting<'a> {
    fn enter(shared: &'a Shared) -> Result<Self, Error> {
        let before = shared.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Self { waiting: &shared.waiting, _counted: shared.metrics.waiting() };
        if before < shared.limits.queue_max {
            Ok(waiting)
        } else {
            Err(Error::Overloaded { what: "call queue", retry_after: Duration::from_millis(500) })
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The smaller of the node's limit and the caller's `grpc-timeout` (gRPC over HTTP/2: at most eight
/// digits and a unit of H, M, S, m, u or n).
fn time_limit(headers: &HeaderMap, limit: Duration) -> Duration {
    let Some(value) = headers.get("grpc-timeout").and_then(|v| v.to_str().ok()) else {
        return limit;
    };
    parse_grpc_timeout(value).map_or(limit, |asked| {
        // A little early, so that our answer comes before tonic's own timer, which would say
        // CANCELLED, and reaches a caller who still waits for it.
        asked.saturating_sub(EARLY.min(asked / 2)).min(limit)
    })
}

fn parse_grpc_timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// The gRPC code in headers; an answer with a body carries it in its trailers and went well.
fn grpc_code(headers: &HeaderMap) -> i32 {
    headers
        .get("grpc-status")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_deadline_is_read_in_every_unit_and_never_widens_the_limit() {
        assert_eq!(parse_grpc_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_grpc_timeout("3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse_grpc_timeout("99999999H"), Some(Duration::from_hours(99_999_999)));
        for bad in ["", "S", "1", "123456789S", "-1S", "1秒", "秒"] {
            assert_eq!(parse_grpc_timeout(bad), None, "{bad}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", http::HeaderValue::from_static("1H"));
        assert_eq!(time_limit(&headers, Duration::from_secs(10)), Duration::from_secs(10));
    }

    #[test]
    fn whoever_waits_is_counted_whatever_the_order_they_come_in() {
        const CALLERS: usize = 4;
        let limits = CallLimits {
            concurrency_max: 1,
            queue_max: CALLERS,
            call_timeout: Duration::from_secs(1),
            message_bytes_max: 1,
        };
        let (auth, metrics) = (Authenticator::new(Vec::new()), Arc::new(Metrics::default()));
        let gate = GateLayer::new(auth, limits, HashSet::new(), Arc::clone(&metrics));
        for _ in 0..500 {
            let all = std::sync::Barrier::new(CALLERS);
            std::thread::scope(|scope| {
                for _ in 0..CALLERS {
                    scope.spawn(|| {
                        all.wait();
                        let waiting = Waiting::enter(&gate.0);
                        assert!(waiting.is_ok());
                        all.wait();
                        assert!(metrics.render().contains("xiangyi_rpc_waiting 4\n"));
                        all.wait();
                    });
                }
            });
            assert!(metrics.render().contains("xiangyi_rpc_waiting 0\n"));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_gives_a_limit_no_wider_than_ours(value in "[ -~]{0,12}") {
            let limit = Duration::from_secs(10);
            let mut headers = HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_str(&value) {
                headers.insert("grpc-timeout", value);
            }
            proptest::prop_assert!(time_limit(&headers, limit) <= limit);
        }
    }
}
