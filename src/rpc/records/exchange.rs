//! `ExchangeService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::pb;
use crate::app::App;
use crate::app::error::Error;
use crate::app::exchange::clock::AHEAD_MAX_MS;
use crate::app::exchange::facts::{RegisteredPerson, RelationName};
use crate::app::exchange::ports::{NodeExchange, PutAside};
use crate::app::records::RegistrationRequest;
use crate::app::records::ports::ExchangeReport;
use crate::app::request::PageRequest;
use crate::rpc::common::caller;
use crate::tables::text::hex;

/// The service.
#[derive(Debug)]
pub(in crate::rpc) struct ExchangeDoor(pub(in crate::rpc) Arc<App>);

#[tonic::async_trait]
impl pb::exchange_service_server::ExchangeService for ExchangeDoor {
    async fn register_patient(
        &self,
        request: Request<pb::RegisterPatientRequest>,
    ) -> Result<Response<pb::RegisterPatientResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner().try_into()?;
        let (name, version) = self.0.register_person(&caller, request).await?;
        Ok(Response::new(pb::RegisterPatientResponse { name, version }))
    }

    async fn get_exchange_status(
        &self,
        request: Request<pb::GetExchangeStatusRequest>,
    ) -> Result<Response<pb::GetExchangeStatusResponse>, Status> {
        let caller = caller(&request)?;
        let report = self.0.exchange_report(&caller).await?;
        Ok(Response::new(report.into()))
    }

    async fn list_exchange_nodes(
        &self,
        request: Request<pb::ListExchangeNodesRequest>,
    ) -> Result<Response<pb::ListExchangeNodesResponse>, Status> {
        let caller = caller(&request)?;
        let nodes = self.0.exchange_nodes(&caller).await?;
        let nodes = nodes.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListExchangeNodesResponse { nodes }))
    }

    async fn list_quarantined(
        &self,
        request: Request<pb::ListQuarantinedRequest>,
    ) -> Result<Response<pb::ListQuarantinedResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            ..PageRequest::default()
        };
        let which = (request.node.as_str(), request.include_settled);
        let (found, next_page_token) = self.0.list_quarantined(&caller, which, &page).await?;
        let documents = found.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListQuarantinedResponse { documents, next_page_token }))
    }

    async fn get_quarantined(
        &self,
        request: Request<pb::GetQuarantinedRequest>,
    ) -> Result<Response<pb::GetQuarantinedResponse>, Status> {
        let caller = caller(&request)?;
        let (line, document) = self.0.get_quarantined(&caller, request.into_inner().id).await?;
        Ok(Response::new(pb::GetQuarantinedResponse {
            document: Some(line.into()),
            content: document.body.into(),
            sha256: hex(&document.sha256),
        }))
    }

    async fn settle_quarantined(
        &self,
        request: Request<pb::SettleQuarantinedRequest>,
    ) -> Result<Response<pb::SettleQuarantinedResponse>, Status> {
        let caller = caller(&request)?;
        let pb::SettleQuarantinedRequest { id, finding } = request.into_inner();
        let line = self.0.settle_quarantined(&caller, id, &finding).await?;
        Ok(Response::new(pb::SettleQuarantinedResponse { document: Some(line.into()) }))
    }
}

impl From<PutAside> for pb::QuarantinedDocument {
    fn from(line: PutAside) -> Self {
        Self {
            id: line.id,
            node: line.node,
            store: line.store,
            number: line.number,
            kind: line.kind.name().to_owned(),
            name: line.name,
            version: line.version,
            media_type: line.media_type,
            bytes: line.bytes,
            code: line.code,
            reason: line.reason,
            first_ms: line.first_ms,
            last_ms: line.last_ms,
            times: line.times,
            settled_ms: line.settled_ms,
            settled_by: line.settled_by,
            finding: line.finding,
        }
    }
}

impl TryFrom<pb::RegisterPatientRequest> for RegistrationRequest {
    type Error = Error;
    fn try_from(request: pb::RegisterPatientRequest) -> Result<Self, Error> {
        let relation = match pb::Relation::try_from(request.relation) {
            Ok(pb::Relation::Registered) => RelationName::Registered,
            Ok(pb::Relation::Contract) => RelationName::Contract,
            Ok(pb::Relation::Referral) => RelationName::Referral,
            Ok(pb::Relation::Subscription) => RelationName::Subscription,
            Ok(pb::Relation::Unspecified) | Err(_) => {
                return Err(Error::field(
                    "relation",
                    "must be one of RELATION_REGISTERED, RELATION_CONTRACT, RELATION_REFERRAL, \
                     RELATION_SUBSCRIPTION",
                ));
            }
        };
        let person = request.person.unwrap_or_default();
        Ok(Self {
            relation,
            active: !request.ends,
            until_ms: (request.until_ms != 0).then_some(request.until_ms),
            reason: request.reason,
            person: person.into(),
        })
    }
}

impl From<pb::RegisteredPerson> for RegisteredPerson {
    fn from(person: pb::RegisteredPerson) -> Self {
        Self {
            name: person.name,
            resident_id: person.resident_id,
            health_card: person.health_card,
            birth_date: person.birth_date,
            sex: person.sex,
            phone: person.phone,
            division: person.division,
        }
    }
}

impl From<ExchangeReport> for pb::GetExchangeStatusResponse {
    fn from(report: ExchangeReport) -> Self {
        let stuck = report.stuck.into_iter().map(|stuck| pb::StuckDocument {
            number: stuck.number,
            kind: stuck.kind.name().to_owned(),
            name: stuck.name,
            attempts: stuck.attempts,
            code: stuck.code,
            reason: stuck.reason,
            due_ms: stuck.due_ms,
        });
        let events = report.events.into_iter().map(|(at_ms, kind)| pb::ExchangeEvent {
            at_ms,
            advice: advice(&kind).to_owned(),
            kind,
        });
        let clock = report.clock.map(|compared| pb::ClockComparison {
            ahead_ms: compared.ahead_ms,
            tolerance_ms: compared.tolerance_ms,
            compared_ms: compared.at_ms,
            is_off: compared.is_off,
            advice: if compared.is_off { CLOCK_ADVICE.to_owned() } else { String::new() },
        });
        Self {
            clock,
            waiting: report.waiting,
            oldest_ms: report.oldest_ms,
            queued: report.last,
            received: report.inbox,
            unreadable: report.unreadable,
            stuck: stuck.collect(),
            events: events.collect(),
        }
    }
}

/// What depends on a clock that is off, and what to do.
const CLOCK_ADVICE: &str = "本机与中心的时钟相差超过两分钟：请核对两边时间，对出错的一边对时\
    （chrony：先看 chronyc tracking，再执行 chronyc makestep）。对时之前，随访任务的到期日、\
    同意与撤回的时间、签约和转诊的有效期以及证书的有效期都会按错误的时间判断";

/// What an event means and what to do.
fn advice(kind: &str) -> &'static str {
    match kind {
        "renewed" => {
            "this database was an old copy, or another box has the same one; it took another name and \
             was given back what it had lost. If another box has this node's name, give one of them \
             another"
        }
        "replaced" => {
            "another box has taken this node's name: what waited here was handed over, and nothing comes \
             any more. Give this box another name, or switch it off"
        }
        "hub_set_back" => {
            "the hub was set back to an older state; everything was handed over again"
        }
        "inbox_renumbered" => {
            "the hub numbered this node's documents anew; they were compared again"
        }
        "version_conflict" => {
            "two boxes gave one version to two documents; the hub has the other one. Look at the record \
             and send a correction with a higher version"
        }
        "name_taken" => {
            "another institution's record came under the identifier of one of this node's own: it is \
             kept beside it, as <identifier>@<node>. The hub does not take this node's: give it an \
             identifier under a root (OID) of your own institution and send it again"
        }
        "corrected_elsewhere" => {
            "a record that was here was corrected and is no longer this clinic's: it is about another \
             patient, or the patient lives elsewhere. Its open tasks were closed; look up the patient \
             at the hub to see what counts"
        }
        "consent_not_counted" => {
            "what another node said of a patient's consent does not count here: the record by which it was \
             said is not here or is about somebody else, or its version leaps. Ask the node that said it"
        }
        "replacement_refused" => {
            "a record says that it replaces one of another person, node or institution, or two say it of \
             each other: both stay. Ask the sender which one counts"
        }
        _ => "",
    }
}

impl From<NodeExchange> for pb::ExchangeNode {
    fn from(node: NodeExchange) -> Self {
        Self {
            node: node.node,
            handed_over: node.handed_over,
            inbox: node.inbox,
            kept: node.kept,
            quarantined: node.quarantined,
            seen_ms: node.seen_ms,
            retired: node.retired_stores,
            clock_is_off: node
                .clock_ahead_ms
                .is_some_and(|ahead| ahead.saturating_abs() > AHEAD_MAX_MS),
            clock_ahead_ms: node.clock_ahead_ms,
        }
    }
}
