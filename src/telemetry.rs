//! Logs and metrics. Logs carry no patient data: no request content, no answers.

mod certificates;
mod system;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::app::exchange::look_up::LookUpCounts;
use crate::app::imaging::forwarding::DestinationStatus;
use crate::app::imaging::holdings::CopyInfo;
use crate::app::imaging::ports::Usage;
use crate::app::records::ports::ExchangeReport;
use crate::config::{LogFormat, LogSection};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabel {
    method: String,
    code: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DestinationLabel {
    destination: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    destination: String,
    state: &'static str,
}

/// Metrics of forwarding.
#[derive(Debug, Default)]
struct ForwardingMetrics {
    queue: Family<QueueLabel, Gauge<i64, AtomicI64>>,
    waiting_bytes: Family<DestinationLabel, Gauge<i64, AtomicI64>>,
    oldest_ms: Family<DestinationLabel, Gauge<i64, AtomicI64>>,
    sent: Family<DestinationLabel, Counter>,
    sent_bytes: Family<DestinationLabel, Counter>,
    warned: Family<DestinationLabel, Counter>,
    failed: Family<DestinationLabel, Counter>,
}

impl ForwardingMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "forwarding_queue",
            "Objects to be forwarded, by destination and state",
            self.queue.clone(),
        );
        registry.register(
            "forwarding_waiting_bytes",
            "Bytes of the objects that wait",
            self.waiting_bytes.clone(),
        );
        registry.register(
            "forwarding_oldest_milliseconds",
            "How long the oldest object that waits has waited",
            self.oldest_ms.clone(),
        );
        registry.register("forwarding_sent", "Objects that a destination took", self.sent.clone());
        registry.register(
            "forwarding_sent_bytes",
            "Bytes of the objects that a destination took",
            self.sent_bytes.clone(),
        );
        registry.register(
            "forwarding_warned",
            "Objects that a destination took with a warning",
            self.warned.clone(),
        );
        registry.register(
            "forwarding_failed",
            "Objects that a destination refused, each refusal counted",
            self.failed.clone(),
        );
    }
}

/// Metrics of copies of other nodes, and of the archive.
#[derive(Debug, Default)]
struct CopyMetrics {
    studies: Gauge<i64, AtomicI64>,
    bytes: Gauge<i64, AtomicI64>,
    evicted_studies: Counter,
    evicted_bytes: Counter,
    archive_bytes: Gauge<i64, AtomicI64>,
    remote_bytes: Gauge<i64, AtomicI64>,
    waiting_bytes: Gauge<i64, AtomicI64>,
    away_bytes: Gauge<i64, AtomicI64>,
    remote_failing: Gauge<i64, AtomicI64>,
}

impl CopyMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "copied_studies",
            "Studies of which there are copies of other nodes",
            self.studies.clone(),
        );
        registry.register("copied_bytes", "Bytes of copies of other nodes", self.bytes.clone());
        registry.register(
            "evicted_studies",
            "Evictions of the copies of a study",
            self.evicted_studies.clone(),
        );
        registry.register(
            "evicted_bytes",
            "Bytes of copies that were evicted",
            self.evicted_bytes.clone(),
        );
        for (name, help, gauge) in [
            ("archive_bytes", "Bytes that the archive keeps", &self.archive_bytes),
            ("archive_remote_bytes", "Bytes of segments in the remote store", &self.remote_bytes),
            (
                "archive_waiting_bytes",
                "Bytes that wait to be put into the remote store",
                &self.waiting_bytes,
            ),
            (
                "archive_away_bytes",
                "Bytes kept whose bodies are in the remote store only",
                &self.away_bytes,
            ),
            (
                "archive_remote_failing",
                "1 while the remote store does not answer as it should",
                &self.remote_failing,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }
}

/// Metrics of documents that wait for the hub.
#[derive(Debug, Default)]
struct ExchangeMetrics {
    waiting: Gauge<i64, AtomicI64>,
    stuck: Gauge<i64, AtomicI64>,
    oldest_ms: Gauge<i64, AtomicI64>,
    oldest_age_ms: Gauge<i64, AtomicI64>,
    quarantined: Gauge<i64, AtomicI64>,
    received: Gauge<i64, AtomicI64>,
    unreadable: Gauge<i64, AtomicI64>,
    receiving: Gauge<i64, AtomicI64>,
    receiving_peak: Gauge<i64, AtomicI64>,
    clock_ahead_ms: Gauge<i64, AtomicI64>,
    notices: Gauge<i64, AtomicI64>,
    persons: Gauge<i64, AtomicI64>,
    persons_unsettled: Gauge<i64, AtomicI64>,
    person_reviews: Gauge<i64, AtomicI64>,
}

impl ExchangeMetrics {
    fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            (
                "exchange_waiting",
                "Documents that wait for the hub, stuck ones included",
                &self.waiting,
            ),
            ("exchange_stuck", "Documents that the hub did not take, of the first 50", &self.stuck),
            (
                "exchange_oldest_milliseconds",
                "When the oldest document that waits came, in milliseconds since 1970; 0: none waits",
                &self.oldest_ms,
            ),
            (
                "exchange_oldest_age_milliseconds",
                "How long the oldest document that waits has waited; 0: none waits",
                &self.oldest_age_ms,
            ),
            (
                "exchange_quarantined",
                "At the hub: documents that were put aside and that nobody has dealt with",
                &self.quarantined,
            ),
            ("exchange_received", "Documents that came from the hub", &self.received),
            (
                "exchange_unreadable",
                "Documents that came and could not be read here",
                &self.unreadable,
            ),
            (
                "exchange_receiving_bytes",
                "At the hub: bytes of nodes' messages that were let in and are not done with",
                &self.receiving,
            ),
            (
                "exchange_receiving_peak_bytes",
                "At the hub: the most that exchange_receiving_bytes has been since the start",
                &self.receiving_peak,
            ),
            (
                "exchange_clock_ahead_milliseconds",
                "By how much this node's clock is ahead of the hub's; less than 0: behind; 0 too before it was \
                 compared",
                &self.clock_ahead_ms,
            ),
            (
                "patient_notices_open",
                "Patients who are yet to be told that somebody read a record of theirs",
                &self.notices,
            ),
            ("people_persons", "At the hub: persons in memory", &self.persons),
            (
                "people_unsettled",
                "At the hub: documents whose person is still to be found",
                &self.persons_unsettled,
            ),
            (
                "people_reviews_open",
                "At the hub: particulars about which somebody must decide whose they are",
                &self.person_reviews,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabel {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabel {
    model: String,
    why: &'static str,
}

/// What the node measures of itself, in the Prometheus text format under `/metrics`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabel, Counter>,
    call_seconds: Family<MethodLabel, Histogram>,
    running: Gauge<i64, AtomicI64>,
    waiting: Gauge<i64, AtomicI64>,
    model_seconds: Family<ModelLabel, Histogram>,
    model_batch: Family<ModelLabel, Histogram>,
    model_queue: Family<ModelLabel, Gauge<i64, AtomicI64>>,
    model_dropped: Family<DropLabel, Counter>,
    forwarding: ForwardingMetrics,
    copies: CopyMetrics,
    exchange: ExchangeMetrics,
    certificates: certificates::CertificateMetrics,
    system: system::SystemMetrics,
    look_ups: Family<OutcomeLabel, Counter>,
    audit_alarms: Family<AlarmLabel, Gauge<i64, AtomicI64>>,
    audit_alarms_open: Family<AlarmLabel, Gauge<i64, AtomicI64>>,
    audit_anchors: Family<AlarmLabel, Gauge<i64, AtomicI64>>,
    audit_entries: Gauge<i64, AtomicI64>,
}

/// Counts one call, running or waiting, for as long as it lives.
///
/// The gauge is stepped, never set: calls come and go on many threads, and the last to set a
/// number it had read before would leave it wrong until the next change.
#[derive(Debug)]
pub struct Counted<'a>(&'a Gauge<i64, AtomicI64>);

impl<'a> Counted<'a> {
    fn enter(gauge: &'a Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Fresh metrics.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("xiangyi");
        let seconds = || {
            Histogram::new([
                0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                1.0, 2.5, 5.0, 10.0,
            ])
        };
        let fine = || {
            Histogram::new([
                0.000_01, 0.000_025, 0.000_05, 0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005,
                0.01, 0.05, 0.1, 1.0,
            ])
        };
        let sizes = || Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
        let metrics = Self {
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(seconds),
            running: Gauge::default(),
            waiting: Gauge::default(),
            model_seconds: Family::new_with_constructor(fine),
            model_batch: Family::new_with_constructor(sizes),
            model_queue: Family::default(),
            model_dropped: Family::default(),
            forwarding: ForwardingMetrics::default(),
            copies: CopyMetrics::default(),
            exchange: ExchangeMetrics::default(),
            certificates: certificates::CertificateMetrics::default(),
            system: system::SystemMetrics::default(),
            look_ups: Family::default(),
            audit_alarms: Family::default(),
            audit_alarms_open: Family::default(),
            audit_anchors: Family::default(),
            audit_entries: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("rpc_calls", "Calls by method and gRPC code", metrics.calls.clone());
        registry.register_with_unit(
            "rpc_call",
            "Time from a call's headers to its answer, waiting included",
            Unit::Seconds,
            metrics.call_seconds.clone(),
        );
        registry.register("rpc_running", "Calls that run", metrics.running.clone());
        registry.register("rpc_waiting", "Calls that wait for a place", metrics.waiting.clone());
        registry.register_with_unit(
            "model_run",
            "Time of one model run over a batch",
            Unit::Seconds,
            metrics.model_seconds.clone(),
        );
        registry.register("model_batch_rows", "Rows in one model run", metrics.model_batch.clone());
        registry.register("model_queue", "Rows that wait for a model", metrics.model_queue.clone());
        registry.register(
            "model_dropped",
            "Rows dropped unrun: queue full, caller gone, deadline passed",
            metrics.model_dropped.clone(),
        );
        metrics.forwarding.register(&mut registry);
        metrics.copies.register(&mut registry);
        metrics.exchange.register(&mut registry);
        metrics.certificates.register(&mut registry);
        metrics.system.register(&mut registry);
        registry.register(
            "look_ups",
            "At the hub: what came of nodes' look-ups of records, since it started",
            metrics.look_ups.clone(),
        );
        registry.register(
            "audit_alarms",
            "Alarms that the audit trail has raised, by kind",
            metrics.audit_alarms.clone(),
        );
        registry.register(
            "audit_alarms_open",
            "Alarms of the audit trail that nobody has closed, by kind",
            metrics.audit_alarms_open.clone(),
        );
        registry.register(
            "audit_anchors_unfit",
            "At the hub: signed heads of nodes' audit trails that do not fit those before, by what they are",
            metrics.audit_anchors.clone(),
        );
        registry.register(
            "audit_entries",
            "Number of the last entry of the audit trail",
            metrics.audit_entries.clone(),
        );
        Self { registry, ..metrics }
    }

    /// A call begins to run.
    pub fn running(&self) -> Counted<'_> {
        Counted::enter(&self.running)
    }

    /// A call begins to wait for a place.
    pub fn waiting(&self) -> Counted<'_> {
        Counted::enter(&self.waiting)
    }

    /// A call was answered.
    pub fn called(&self, method: &str, code: i32, took: Duration) {
        self.calls.get_or_create(&CallLabel { method: method.to_owned(), code }).inc();
        self.call_seconds
            .get_or_create(&MethodLabel { method: method.to_owned() })
            .observe(took.as_secs_f64());
    }

    /// A model ran over `rows` rows.
    pub fn model_ran(&self, model: &str, rows: usize, took: Duration) {
        let label = ModelLabel { model: model.to_owned() };
        self.model_seconds.get_or_create(&label).observe(took.as_secs_f64());
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        self.model_batch.get_or_create(&label).observe(f64::from(rows));
    }

    /// So many rows wait for a model.
    pub fn model_queue(&self, model: &str, rows: usize) {
        self.model_queue
            .get_or_create(&ModelLabel { model: model.to_owned() })
            .set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// A row was dropped unrun.
    pub fn model_dropped(&self, model: &str, why: &'static str) {
        self.model_dropped.get_or_create(&DropLabel { model: model.to_owned(), why }).inc();
    }

    /// How a destination of forwarding stands. Its counters are kept in the queue, so that they go
    /// on over restarts.
    pub fn forwarding(&self, status: &DestinationStatus) {
        let counts = &status.counts;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let destination = status.ae_title.clone();
        for (state, count) in
            [("waiting", counts.waiting), ("sending", counts.sending), ("parked", counts.parked)]
        {
            let label = QueueLabel { destination: destination.clone(), state };
            self.forwarding.queue.get_or_create(&label).set(number(count));
        }
        let label = DestinationLabel { destination };
        self.forwarding.waiting_bytes.get_or_create(&label).set(number(counts.waiting_bytes));
        let oldest_ms = status.oldest_ms.unwrap_or(0);
        self.forwarding.oldest_ms.get_or_create(&label).set(oldest_ms);
        for (counter, count) in [
            (&self.forwarding.sent, counts.sent),
            (&self.forwarding.sent_bytes, counts.sent_bytes),
            (&self.forwarding.warned, counts.warned),
            (&self.forwarding.failed, counts.failed),
        ] {
            counter.get_or_create(&label).inner().store(count, Ordering::Relaxed);
        }
    }

    /// How copies of other nodes stand. Evictions are kept in the store, so that they go on over
    /// restarts.
    pub fn copies(&self, info: &CopyInfo) {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.copies.studies.set(number(info.totals.studies));
        self.copies.bytes.set(number(info.totals.bytes));
        self.copies.evicted_studies.inner().store(info.evictions.studies, Ordering::Relaxed);
        self.copies.evicted_bytes.inner().store(info.evictions.bytes, Ordering::Relaxed);
    }

    /// How the exchange with the hub stands at this time, in milliseconds since 1970.
    pub fn exchange(&self, report: &ExchangeReport, now_ms: i64) {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.exchange.waiting.set(number(report.waiting));
        self.exchange.stuck.set(i64::try_from(report.stuck.len()).unwrap_or(i64::MAX));
        self.exchange.oldest_ms.set(report.oldest_ms);
        let age = if report.oldest_ms > 0 { now_ms.saturating_sub(report.oldest_ms) } else { 0 };
        self.exchange.oldest_age_ms.set(age.max(0));
        self.exchange.received.set(number(report.inbox));
        self.exchange.unreadable.set(number(report.unreadable));
        self.exchange.clock_ahead_ms.set(report.clock.map_or(0, |compared| compared.ahead_ms));
    }

    /// What came of look-ups at the hub.
    pub fn look_ups(&self, counts: LookUpCounts) {
        for (outcome, count) in [
            ("looked_up", counts.looked_up),
            ("fetched", counts.fetched),
            ("denied", counts.denied),
            ("too_many_persons", counts.too_many),
            ("damaged", counts.damaged),
        ] {
            let counter = self.look_ups.get_or_create(&OutcomeLabel { outcome });
            counter.inner().store(count, Ordering::Relaxed);
        }
    }

    /// How many alarms of a kind the audit trail has raised, and how many of them are open.
    pub fn audit_alarms(&self, kind: &str, raised: u64, open: u64) {
        let label = AlarmLabel { kind: kind.to_owned() };
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.audit_alarms.get_or_create(&label).set(gauge(raised));
        self.audit_alarms_open.get_or_create(&label).set(gauge(open));
    }

    /// How many signed heads of nodes did not fit, by what they are.
    pub fn audit_anchors(&self, kind: &str, count: u64) {
        let label = AlarmLabel { kind: kind.to_owned() };
        self.audit_anchors.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Number of the last entry of the audit trail.
    pub fn audit_entries(&self, last: u64) {
        self.audit_entries.set(i64::try_from(last).unwrap_or(i64::MAX));
    }

    /// Persons in memory at the hub, documents whose person is still to be found, and open reviews.
    pub fn people(&self, persons: u64, unsettled: u64, reviews: u64) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.exchange.persons.set(number(persons));
        self.exchange.persons_unsettled.set(number(unsettled));
        self.exchange.person_reviews.set(number(reviews));
    }

    /// So many documents were put aside at the hub and not dealt with.
    pub fn quarantined(&self, documents: u64) {
        self.exchange.quarantined.set(i64::try_from(documents).unwrap_or(i64::MAX));
    }

    /// So many bytes more of nodes' messages are under way at the hub, or fewer.
    pub fn receiving(&self, bytes: i64) {
        let now = self.exchange.receiving.inc_by(bytes) + bytes;
        self.exchange.receiving_peak.inner().fetch_max(now, Ordering::Relaxed);
    }

    /// Patients who are yet to be told of a read.
    pub fn patient_notices(&self, open: u64) {
        self.exchange.notices.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// How much the archive keeps, and where.
    pub fn archive(&self, usage: &Usage) {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let remote = usage.remote.unwrap_or_default();
        self.copies.archive_bytes.set(number(usage.bytes));
        self.copies.remote_bytes.set(number(remote.bytes));
        self.copies.waiting_bytes.set(number(remote.waiting_bytes));
        self.copies.away_bytes.set(number(remote.away_bytes));
        self.copies.remote_failing.set(i64::from(remote.failing));
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Starts logging to standard error. Called once, by `main`; a second call changes nothing.
pub fn start_logging(section: &LogSection) {
    let filter = EnvFilter::try_new(&section.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match section.format {
        LogFormat::Json => builder.json().finish().try_init(),
        LogFormat::Text => builder.with_target(false).finish().try_init(),
    };
    // Somebody else (a test harness) logs already: theirs stays.
    drop(started);
}
