//! Certificates for nodes: the hub's side, and what a node asks.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::pb::enrolment_service_client::EnrolmentServiceClient;
use super::pb::enrolment_service_server::EnrolmentService;
use super::{pb, status};
use crate::app::error::{Cause, Error};
use crate::app::nodes::code::Code;
use crate::app::nodes::{Enrolled, Nodes};
use crate::tls::{Dial, H2, pinned_client};

/// How long the hub may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a message at most.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Gives certificates.
#[derive(Debug)]
pub(super) struct Desk {
    nodes: Option<Arc<Nodes>>,
}

impl Desk {
    pub(super) fn new(nodes: Option<Arc<Nodes>>) -> Self {
        Self { nodes }
    }

    fn nodes(&self) -> Result<&Nodes, Error> {
        self.nodes.as_deref().ok_or_else(|| Error::Refused {
            reason: "this hub gives no certificates: it has no section [link.ca]".to_owned(),
        })
    }
}

fn refused(error: &Error) -> Status {
    status::of(error)
}

#[tonic::async_trait]
impl EnrolmentService for Desk {
    async fn enrol(
        &self,
        request: Request<pb::EnrolRequest>,
    ) -> Result<Response<pb::EnrolResponse>, Status> {
        // A code is worth a certificate: it is not taken where others could read it.
        let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let from = info.and_then(|info| info.get_ref().remote_addr());
        let from = from.ok_or_else(|| {
            let reason = "nodes enrol over TLS only".to_owned();
            refused(&Error::Refused { reason })
        })?;
        let nodes = self.nodes().map_err(|e| refused(&e))?;
        let pb::EnrolRequest { code, request } = request.into_inner();
        let enrolled = nodes.enrol(&code, &request, from.ip()).await.map_err(|e| refused(&e))?;
        Ok(Response::new(pb::EnrolResponse { issued: Some(enrolled.into()) }))
    }

    async fn renew_certificate(
        &self,
        request: Request<pb::RenewCertificateRequest>,
    ) -> Result<Response<pb::RenewCertificateResponse>, Status> {
        let shown = request.peer_certs();
        let shown = shown.as_ref().and_then(|certificates| certificates.first());
        let shown = shown.ok_or_else(|| refused(&Error::Unauthenticated))?;
        let nodes = self.nodes().map_err(|e| refused(&e))?;
        nodes.look_again(shown).await.map_err(|e| refused(&e))?;
        let shown = Sha256::digest(shown.as_ref()).into();
        let request = request.into_inner().request;
        let enrolled = nodes.renew(shown, &request).await.map_err(|e| refused(&e))?;
        Ok(Response::new(pb::RenewCertificateResponse { issued: Some(enrolled.into()) }))
    }
}

impl From<Enrolled> for pb::IssuedCertificate {
    fn from(Enrolled { node, certificate, authorities }: Enrolled) -> Self {
        let authorities = authorities.into_iter().map(Into::into).collect();
        Self { node, certificate: certificate.into(), authorities }
    }
}

impl TryFrom<Option<pb::IssuedCertificate>> for Enrolled {
    type Error = Error;
    fn try_from(issued: Option<pb::IssuedCertificate>) -> Result<Self, Error> {
        let issued = issued.unwrap_or_default();
        if issued.certificate.is_empty() || issued.authorities.is_empty() {
            return Err(Error::field("issued", "must have a certificate and authorities"));
        }
        let authorities = issued.authorities.into_iter().map(|a| a.to_vec()).collect();
        Ok(Self { node: issued.node, certificate: issued.certificate.to_vec(), authorities })
    }
}

/// Asks the hub at `url` for a certificate. Nothing is sent before the hub has shown the certificate that
/// the code names.
///
/// # Errors
/// What the hub said, or why it cannot be asked.
pub async fn enrol(url: &str, code: &Code, request: Vec<u8>) -> Result<Enrolled, Cause> {
    let pinned = code.clone();
    let config = pinned_client(Arc::new(move |shown| pinned.pins(shown)), &[H2])?;
    let endpoint = Dial::endpoint(url)?.connect_timeout(ANSWERED_WITHIN);
    let channel = endpoint.connect_with_connector(Dial::new(config)).await?;
    let mut client = EnrolmentServiceClient::new(channel);
    let request = pb::EnrolRequest { code: code.secret().to_vec().into(), request: request.into() };
    let answer = timeout(ANSWERED_WITHIN, client.enrol(request)).await?;
    let issued = answer.map_err(|status| said(&status))?.into_inner().issued;
    Ok(Enrolled::try_from(issued)?)
}

/// Asks the hub for the next certificate, over a line of its own on which the present one is shown.
///
/// # Errors
/// As [`enrol`].
pub async fn renew(url: &str, dial: Dial, request: Vec<u8>) -> Result<Enrolled, Cause> {
    let endpoint: Endpoint = Dial::endpoint(url)?.connect_timeout(ANSWERED_WITHIN);
    let channel: Channel = endpoint.connect_with_connector(dial).await?;
    let mut client = EnrolmentServiceClient::new(channel);
    let request = pb::RenewCertificateRequest { request: request.into() };
    let answer = timeout(ANSWERED_WITHIN, client.renew_certificate(request)).await?;
    let issued = answer.map_err(|status| said(&status))?.into_inner().issued;
    Ok(Enrolled::try_from(issued)?)
}

fn said(status: &Status) -> Cause {
    format!("the hub says: {}", status.message()).into()
}
