//! Puts the services behind the gate and serves them on one port: gRPC, gRPC-Web, health and
//! reflection.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::gate::{CallLimits, GateLayer};
use super::proto::xiangyi::audit::v1::audit_service_server::AuditServiceServer;
use super::proto::xiangyi::diagnosis::v1::diagnosis_service_server::DiagnosisServiceServer;
use super::proto::xiangyi::identity::v1::identity_service_server::IdentityServiceServer;
use super::proto::xiangyi::imaging::v1::custody_service_server::CustodyServiceServer;
use super::proto::xiangyi::imaging::v1::imaging_service_server::ImagingServiceServer;
use super::proto::xiangyi::model::v1::model_service_server::ModelServiceServer;
use super::proto::xiangyi::node::v1::node_service_server::NodeServiceServer;
use super::proto::xiangyi::people::v1::person_service_server::PersonServiceServer;
use super::proto::xiangyi::prescription::v1::prescription_service_server::PrescriptionServiceServer;
use super::proto::xiangyi::recognition::v1::recognition_service_server::RecognitionServiceServer;
use super::proto::xiangyi::records::v1::consent_service_server::ConsentServiceServer;
use super::proto::xiangyi::records::v1::exchange_service_server::ExchangeServiceServer;
use super::proto::xiangyi::records::v1::follow_up_service_server::FollowUpServiceServer;
use super::proto::xiangyi::records::v1::record_service_server::RecordServiceServer;
use super::proto::xiangyi::treatment::v1::treatment_service_server::TreatmentServiceServer;
use super::{
    DESCRIPTORS, audit, diagnosis, identity, imaging, model, node, people, prescription,
    recognition, records, reporting, treatment,
};
use crate::app::App;
use crate::app::credentials::Authenticator;
use crate::telemetry::Metrics;
use crate::tls::incoming::{self, Places};

/// How often a silent connection is asked whether it still lives.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Largest message that objects are stored with, in bytes: a chunk and what surrounds it.
const STORE_MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024 + 4 * 1024;
/// Largest message that a record is handed in with, in bytes: 16 MiB and what surrounds it.
const RECORD_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024 + 4 * 1024;
/// Largest message that somebody signs in with, in bytes.
const IDENTITY_MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Largest header list, in bytes.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// How the door is set up.
#[derive(Debug)]
pub struct DoorOptions {
    /// Who may come in.
    pub auth: Authenticator,
    /// How many, and for how long.
    pub limits: CallLimits,
    /// Largest message, in bytes.
    pub message_bytes_max: usize,
    /// Streams one connection may have open.
    pub streams_per_connection_max: u32,
    /// Lines it has, and how long one may be silent.
    pub places: Places,
    /// Browsers' origins; `*` for any.
    pub cors_origins: Vec<String>,
    /// Whether reflection answers.
    pub reflection: bool,
    /// TLS, or plain on loopback.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Why the door cannot open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// An origin is not one.
    #[error("server.cors_origins: `{0}` is not an origin such as https://clinic.example")]
    Origin(String),
    /// The transport failed.
    #[error("gRPC transport")]
    Transport(#[source] tonic::transport::Error),
    /// The compiled contract cannot be read back.
    #[error("contract descriptors")]
    Descriptors(#[source] prost::DecodeError),
    /// Reflection cannot be built from the contract.
    #[error("reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// A door that is ready to serve.
#[derive(Debug)]
pub struct Door {
    options: DoorOptions,
    gate: GateLayer,
    cors: CorsLayer,
    app: Arc<App>,
}

impl Door {
    /// Checks options.
    pub fn new(
        options: DoorOptions,
        app: Arc<App>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, DoorError> {
        let cors = cors(&options.cors_origins)?;
        let gate =
            GateLayer::new(options.auth.clone(), options.limits, methods(DESCRIPTORS)?, metrics);
        Ok(Self { options, gate, cors, app })
    }

    fn builder(&self) -> Server {
        Server::builder()
            .accept_http1(true)
            .tcp_nodelay(true)
            .max_concurrent_streams(self.options.streams_per_connection_max)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
    }

    /// Serves until `stop`, then lets running calls finish.
    pub async fn serve<H>(
        self,
        listener: TcpListener,
        health: tonic_health::pb::health_server::HealthServer<H>,
        stop: CancellationToken,
    ) -> Result<(), DoorError>
    where
        H: tonic_health::pb::health_server::Health,
    {
        let max = self.options.message_bytes_max;
        let server = self.builder();
        let (tls, places) = (self.options.tls.clone(), self.options.places);
        let (mut reflection, mut reflection_alpha) = (None, None);
        if self.options.reflection {
            reflection = Some(described().build_v1().map_err(DoorError::Reflection)?);
            // Older clients (grpcio, grpcurl before 1.9) know only this one.
            reflection_alpha = Some(described().build_v1alpha().map_err(DoorError::Reflection)?);
        }
        let app = self.app;
        let router = server
            .layer(self.cors)
            .layer(tonic_web::GrpcWebLayer::new())
            .layer(self.gate)
            .add_service(health)
            .add_optional_service(reflection)
            .add_optional_service(reflection_alpha)
            .add_service(
                DiagnosisServiceServer::new(diagnosis::Diagnosis(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                PrescriptionServiceServer::new(prescription::Prescriptions(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                TreatmentServiceServer::new(treatment::Treatments(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                ImagingServiceServer::new(imaging::ImagingDoor::new(
                    Arc::clone(&app),
                    self.options.auth.clone(),
                    stop.clone(),
                ))
                .max_decoding_message_size(max.max(STORE_MESSAGE_BYTES_MAX)),
            )
            .add_service(
                CustodyServiceServer::new(imaging::custody::CustodyDoor(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                RecognitionServiceServer::new(recognition::RecognitionDoor(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                RecordServiceServer::new(records::RecordDoor(Arc::clone(&app)))
                    .max_decoding_message_size(max.max(RECORD_MESSAGE_BYTES_MAX)),
            )
            .add_service(
                FollowUpServiceServer::new(records::FollowUpDoor(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                ConsentServiceServer::new(records::ConsentDoor(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                ExchangeServiceServer::new(records::ExchangeDoor(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                PersonServiceServer::new(people::PersonDoor(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(
                AuditServiceServer::new(audit::AuditDoor(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(reporting::service(&app, max))
            .add_service(
                IdentityServiceServer::new(identity::IdentityDoor(self.options.auth))
                    .max_decoding_message_size(IDENTITY_MESSAGE_BYTES_MAX),
            )
            .add_service(
                ModelServiceServer::new(model::Models(Arc::clone(&app)))
                    .max_decoding_message_size(max),
            )
            .add_service(NodeServiceServer::new(node::Node(app)).max_decoding_message_size(max));
        let stopped = stop.cancelled_owned();
        let outcome = match tls {
            None => {
                let incoming = incoming::plain(listener, places);
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
            Some(tls) => {
                let incoming = incoming::secured(listener, tls, places);
                router.serve_with_incoming_shutdown(incoming, stopped).await
            }
        };
        outcome.map_err(DoorError::Transport)
    }
}

/// What reflection tells of.
fn described() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

fn cors(origins: &[String]) -> Result<CorsLayer, DoorError> {
    let layer = CorsLayer::new()
        .allow_methods([http::Method::POST, http::Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers([
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
        ])
        .max_age(Duration::from_hours(1));
    if origins.iter().any(|o| o == "*") {
        return Ok(layer.allow_origin(Any));
    }
    let list = origins
        .iter()
        .map(|o| {
            let fine = o.starts_with("https://") || o.starts_with("http://");
            let value = o.parse().ok().filter(|_| fine);
            value.ok_or_else(|| DoorError::Origin(o.clone()))
        })
        .collect::<Result<Vec<http::HeaderValue>, _>>()?;
    Ok(layer.allow_origin(AllowOrigin::list(list)))
}

/// Every path of the contract, so that metrics have a bounded set of labels.
fn methods(descriptors: &[u8]) -> Result<HashSet<String>, DoorError> {
    let set = FileDescriptorSet::decode(descriptors).map_err(DoorError::Descriptors)?;
    Ok(set
        .file
        .iter()
        .flat_map(|file| {
            file.service.iter().flat_map(move |service| {
                service.method.iter().map(move |method| {
                    format!("/{}.{}/{}", file.package(), service.name(), method.name())
                })
            })
        })
        .collect())
}
