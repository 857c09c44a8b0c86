//! How the node and its services are, for whoever asks by the gRPC health protocol.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use crate::app::{App, error};

/// How often health is looked at.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// The service that needs a hub's store of documents.
const EXCHANGE: &str = "xiangyi.records.v1.ExchangeService";
/// Services whose health is told apart from the whole node's (the empty name).
const SERVICES: [&str; 12] = [
    "",
    "xiangyi.diagnosis.v1.DiagnosisService",
    "xiangyi.prescription.v1.PrescriptionService",
    "xiangyi.imaging.v1.ImagingService",
    "xiangyi.imaging.v1.CustodyService",
    "xiangyi.recognition.v1.RecognitionService",
    "xiangyi.records.v1.RecordService",
    "xiangyi.records.v1.FollowUpService",
    "xiangyi.records.v1.ConsentService",
    EXCHANGE,
    "xiangyi.model.v1.ModelService",
    "xiangyi.node.v1.NodeService",
];

/// The service that tells how the node is, kept up until the node stops.
pub(super) async fn service(
    app: &Arc<App>,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> HealthServer<impl Health> {
    let (reporter, service) = tonic_health::server::health_reporter();
    report(&reporter, app).await;
    tasks.spawn(watch_health(reporter, Arc::clone(app), stop.clone()));
    service
}

async fn watch_health(reporter: HealthReporter, app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(HEALTH_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => report(&reporter, &app).await,
        }
    }
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}

/// Tells how the services are. The whole node and the exchange serve where a hub's store of documents
/// answers, too; the others do not need it.
async fn report(reporter: &HealthReporter, app: &App) {
    let ready = app.ready().await;
    let status = |outcome: &Result<(), error::Error>| match outcome {
        Ok(()) => ServingStatus::Serving,
        Err(error) => {
            tracing::warn!(error = crate::app::chain(error), "not healthy");
            ServingStatus::NotServing
        }
    };
    let whole = status(&ready);
    let other = if ready.is_ok() { whole } else { status(&app.health().await) };
    for service in SERVICES {
        let is_whole = service.is_empty() || service == EXCHANGE;
        reporter.set_service_status(service, if is_whole { whole } else { other }).await;
    }
}
