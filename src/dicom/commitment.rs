//! Storage commitment, push model (PS3.4, annex J): a sender asks whether what it sent is safe
//! before it deletes its own copy.
//!
//! Success means that the object lies on the node's disk under that class, and its index says so.
//! The report goes to the sender's address over an association of ours, as modalities expect; a
//! sender without an address is told on its own association. A report that cannot be delivered is
//! tried again for a while; the sender may always ask again.

use std::sync::Arc;
use std::time::Duration;

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::association::{Association, Request, unexpected};
use super::command::{Command, CommandSet, element, field};
use super::dial::{DialError, Dialler, Proposal};
use super::find::elements;
use super::server::gone;
use super::status::{self, Status};
use super::uids;
use super::wire::{Frame, WireError};
use crate::app::imaging::peers::Peer;
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::value::Values;
use crate::sharing::imaging::writing::write;

/// Instances in one request at most.
const INSTANCES_MAX: usize = 100_000;
/// Pauses before a report is tried again.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
];
/// Action type: request storage commitment.
const REQUEST_COMMITMENT: u16 = 1;
/// Event type: all committed.
const ALL_COMMITTED: u16 = 1;
/// Event type: some failed.
const SOME_FAILED: u16 = 2;
/// Failure reason: no such object instance (PS3.3, C.14.1.1).
const NO_SUCH_INSTANCE: u16 = 0x0112;
/// Failure reason: class and instance conflict.
const CLASS_CONFLICT: u16 = 0x0119;

/// What a request names.
struct Asked {
    transaction: String,
    instances: Vec<(String, String)>,
}

impl Association {
    /// N-ACTION: checks, answers, and reports.
    pub(super) async fn commit(&mut self, request: &Request) -> Result<(), WireError> {
        let class = request.command.text(element::REQUESTED_SOP_CLASS);
        if class != uids::STORAGE_COMMITMENT {
            let status = Status::new(0x0118, "N-ACTION needs the storage commitment SOP class");
            return self.refuse(request, &status).await;
        }
        if request.command.number(element::ACTION_TYPE) != Ok(REQUEST_COMMITMENT) {
            let status = Status::new(0x0123, "action type must be 1");
            return self.refuse(request, &status).await;
        }
        let asked = match elements(request).and_then(|set| read(&set)) {
            Ok(asked) => asked,
            Err(status) => return self.refuse(request, &status).await,
        };
        let report = match self.report(&asked).await {
            Ok(report) => report,
            Err(status) => return self.refuse(request, &status).await,
        };
        let set = CommandSet::response(&request.command)
            .data_set(false)
            .status(0, "")
            .text(element::AFFECTED_SOP_INSTANCE, uids::STORAGE_COMMITMENT_INSTANCE)
            .number(element::ACTION_TYPE, REQUEST_COMMITMENT);
        self.send(request.context.id, set, None).await?;
        if self.peer.address.is_some() {
            let (dialler, peer) = (self.shared.dialler.clone(), self.peer.clone());
            let stop = self.shared.stop.clone();
            self.shared.tasks.spawn(async move {
                tokio::select! {
                    () = deliver(&dialler, &peer, &report) => {}
                    () = stop.cancelled() => {}
                }
            });
            return Ok(());
        }
        self.report_here(request, &report).await
    }

    async fn report(&self, asked: &Asked) -> Result<Arc<Report>, Status> {
        let names = asked.instances.iter().map(|(_, instance)| instance.clone()).collect();
        let imaging = &self.shared.imaging;
        let known = imaging
            .known(&self.requester, names)
            .await
            .map_err(|error| status::of_error(&error, 0x0110))?;
        let mut committed = Vec::new();
        let mut failed = Vec::new();
        for ((class, instance), known) in asked.instances.iter().zip(known) {
            let item = ElementSet::default()
                .with_text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class)
                .with_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance);
            match known.first() {
                Some(object) if object.sop_class == *class => committed.push(item),
                Some(_) => failed.push(item.with_u16(tags::FAILURE_REASON, CLASS_CONFLICT)),
                None => failed.push(item.with_u16(tags::FAILURE_REASON, NO_SUCH_INSTANCE)),
            }
        }
        let event = if failed.is_empty() { ALL_COMMITTED } else { SOME_FAILED };
        let mut set = ElementSet::default()
            .with_text(tags::TRANSACTION_UID, VR::UI, &asked.transaction)
            .with_text(tags::RETRIEVE_AE_TITLE, VR::AE, self.shared.peers.own_title());
        if !failed.is_empty() {
            set = set.with_items(tags::FAILED_SOP_SEQUENCE, failed);
        }
        if !committed.is_empty() {
            set = set.with_items(tags::REFERENCED_SOP_SEQUENCE, committed);
        }
        Ok(Arc::new(Report { event, set }))
    }

    /// Reports on the association that asked.
    async fn report_here(&mut self, request: &Request, report: &Report) -> Result<(), WireError> {
        let id = self.message_id();
        let (set, data) = report.message(id, &request.context.transfer_syntax);
        self.send(request.context.id, set, Some(&data)).await?;
        match self.wire.next().await? {
            Frame::Data(pdv) if pdv.command && pdv.last => {
                let answer = Command::read(pdv.data).ok();
                let fits = |c: Command| c.field == field::N_EVENT_REPORT_RQ | field::RESPONSE;
                if answer.is_some_and(fits) {
                    Ok(())
                } else {
                    Err(unexpected("an answer to N-EVENT-REPORT was expected"))
                }
            }
            Frame::End => Err(WireError::Lost(gone())),
            Frame::Data(_) | Frame::Control(_) => {
                Err(unexpected("an answer to N-EVENT-REPORT was expected"))
            }
        }
    }
}

/// What is safe and what is not.
#[derive(Debug)]
struct Report {
    event: u16,
    set: ElementSet,
}

impl Report {
    fn message(&self, id: u16, transfer_syntax: &str) -> (CommandSet, Vec<u8>) {
        let set = CommandSet::request(field::N_EVENT_REPORT_RQ, uids::STORAGE_COMMITMENT, id)
            .data_set(true)
            .text(element::AFFECTED_SOP_INSTANCE, uids::STORAGE_COMMITMENT_INSTANCE)
            .number(element::EVENT_TYPE, self.event);
        (set, write(&self.set, transfer_syntax != uids::IMPLICIT_LE))
    }
}

async fn deliver(dialler: &Dialler, peer: &Peer, report: &Report) {
    for pause in PAUSES.iter().map(Some).chain([None]) {
        match try_deliver(dialler, peer, report).await {
            Ok(0) => return,
            Ok(status) => {
                tracing::warn!(
                    peer = peer.ae_title,
                    status = format_args!("{status:04x}"),
                    "report of storage commitment was not taken"
                );
                return;
            }
            Err(error) => tracing::warn!(
                peer = peer.ae_title,
                error = crate::app::chain(&error),
                "report of storage commitment cannot be delivered"
            ),
        }
        if let Some(pause) = pause {
            tokio::time::sleep(*pause).await;
        }
    }
}

async fn try_deliver(dialler: &Dialler, peer: &Peer, report: &Report) -> Result<u16, DialError> {
    let proposal = Proposal {
        abstract_syntax: uids::STORAGE_COMMITMENT.to_owned(),
        transfer_syntaxes: vec![uids::EXPLICIT_LE.to_owned(), uids::IMPLICIT_LE.to_owned()],
        as_provider: true,
    };
    let mut call = dialler.dial(peer, vec![proposal]).await?;
    let Some(context) = call.contexts.first().cloned() else { return Ok(0x0122) };
    let id = call.message_id();
    let (set, data) = report.message(id, &context.transfer_syntax);
    let answered = match call.send(context.id, set, Some(&data)).await {
        Ok(()) => call.answer().await,
        Err(error) => Err(error),
    };
    match answered {
        Ok((answer, _)) => {
            call.release().await;
            Ok(answer.number(element::STATUS).unwrap_or(0x0110))
        }
        Err(error) => Err(super::dial::broken(peer, error)),
    }
}

fn read(set: &ElementSet) -> Result<Asked, Status> {
    let transaction = Values::of(set).first(tags::TRANSACTION_UID);
    if transaction.is_empty() {
        return Err(Status::new(0x0115, "transaction UID (0008,1195) is missing"));
    }
    let items = set.items(tags::REFERENCED_SOP_SEQUENCE);
    if items.is_empty() || items.len() > INSTANCES_MAX {
        let comment = "referenced SOP sequence (0008,1199) must have 1 to 100000 items";
        return Err(Status::new(0x0115, comment));
    }
    let instances = items
        .iter()
        .map(|item| {
            let item = Values::of(item);
            let class = item.first(tags::REFERENCED_SOP_CLASS_UID);
            (class, item.first(tags::REFERENCED_SOP_INSTANCE_UID))
        })
        .collect();
    Ok(Asked { transaction, instances })
}
