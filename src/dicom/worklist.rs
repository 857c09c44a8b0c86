//! C-FIND on the modality worklist (PS3.4, annex K), and the performed procedure steps that
//! modalities report with N-CREATE and N-SET (PS3.4, F.7).

use super::association::{Association, Request};
use super::command::{CommandSet, element};
use super::find::elements;
use super::status::{self, Status};
use super::uids;
use super::wire::{WireError, message};
use crate::sharing::imaging::performed::Fault;
use crate::sharing::imaging::worklist::Question;
use crate::sharing::imaging::writing::write;

/// Bytes of answers in one write; between two writes a C-CANCEL is looked for.
const WRITE_BYTES: usize = 64 * 1024;
/// Error ID: performed procedure step object may no longer be updated (PS3.4, F.7.2.2.2).
const MAY_NO_LONGER_BE_UPDATED: u16 = 0xA710;
/// Warning: attributes were passed over (PS3.7, annex C).
const ATTRIBUTE_LIST: u16 = 0x0107;

impl Association {
    /// C-FIND over what is planned.
    pub(super) async fn find_planned(&mut self, request: &Request) -> Result<(), WireError> {
        let question = match elements(request) {
            Ok(set) => Question::read(&set),
            Err(status) => return self.refuse(request, &status).await,
        };
        let question = match question {
            Ok(question) => question,
            Err(problem) => return self.refuse_key(request, &problem).await,
        };
        let found = match self.shared.worklist.find(&self.requester, &question).await {
            Ok(found) => found,
            Err(error) => {
                let status = status::of_error(&error, 0xC000);
                return self.refuse(request, &status).await;
            }
        };
        let message_id = request.command.message_id().unwrap_or_default();
        let code = if question.ignored.is_empty() {
            status::PENDING
        } else {
            status::PENDING_UNSUPPORTED_KEYS
        };
        let explicit = request.context.transfer_syntax != uids::IMPLICIT_LE;
        let mut out = Vec::new();
        for planned in &found {
            let encoding = self.peer.character_set;
            let data = write(&question.answer(&planned.item, planned.state, encoding), explicit);
            let set = CommandSet::response(&request.command).data_set(true).status(code, "");
            out.append(&mut message(request.context.id, set, Some(&data), self.send_bytes_max));
            if out.len() >= WRITE_BYTES {
                self.wire.send(&out).await?;
                out.clear();
                if self.cancelled(message_id)? {
                    return self.refuse(request, &Status::new(status::CANCEL, "")).await;
                }
            }
        }
        self.wire.send(&out).await?;
        if self.cancelled(message_id)? {
            return self.refuse(request, &Status::new(status::CANCEL, "")).await;
        }
        self.refuse(request, &Status::SUCCESS).await
    }

    /// N-CREATE of a performed procedure step.
    pub(super) async fn begin_step(&mut self, request: &Request) -> Result<(), WireError> {
        if request.command.text(element::AFFECTED_SOP_CLASS) != uids::MPPS {
            let status = Status::new(0x0118, "N-CREATE needs the performed procedure step class");
            return self.refuse(request, &status).await;
        }
        let set = match elements(request) {
            Ok(set) => set,
            Err(status) => return self.refuse(request, &status).await,
        };
        let asked = request.command.text(element::AFFECTED_SOP_INSTANCE);
        match self.shared.worklist.begin(&self.requester, &asked, &set).await {
            Ok(Ok(instance)) => self.answer_step(request, &Status::SUCCESS, &instance).await,
            Ok(Err(fault)) => self.refuse_step(request, fault, &asked).await,
            Err(error) => {
                let status = status::of_error(&error, 0x0110);
                self.answer_step(request, &status, &asked).await
            }
        }
    }

    /// N-SET of a performed procedure step.
    pub(super) async fn update_step(&mut self, request: &Request) -> Result<(), WireError> {
        if request.command.text(element::REQUESTED_SOP_CLASS) != uids::MPPS {
            let status = Status::new(0x0118, "N-SET needs the performed procedure step class");
            return self.refuse(request, &status).await;
        }
        let set = match elements(request) {
            Ok(set) => set,
            Err(status) => return self.refuse(request, &status).await,
        };
        let asked = request.command.text(element::REQUESTED_SOP_INSTANCE);
        match self.shared.worklist.update(&self.requester, &asked, &set).await {
            Ok(Ok(true)) => self.answer_step(request, &Status::SUCCESS, &asked).await,
            Ok(Ok(false)) => {
                let status = Status::new(ATTRIBUTE_LIST, "what cannot change was passed over");
                self.answer_step(request, &status, &asked).await
            }
            Ok(Err(fault)) => self.refuse_step(request, fault, &asked).await,
            Err(error) => {
                let status = status::of_error(&error, 0x0110);
                self.answer_step(request, &status, &asked).await
            }
        }
    }

    async fn answer_step(
        &mut self,
        request: &Request,
        status: &Status,
        instance: &str,
    ) -> Result<(), WireError> {
        let set = CommandSet::response(&request.command)
            .data_set(false)
            .status(status.code, &status.comment)
            .text(element::AFFECTED_SOP_INSTANCE, instance);
        self.send(request.context.id, set, None).await
    }

    async fn refuse_step(
        &mut self,
        request: &Request,
        fault: Fault,
        instance: &str,
    ) -> Result<(), WireError> {
        let code = match fault {
            Fault::Duplicate => 0x0111,
            Fault::Unknown => 0x0112,
            Fault::Final => 0x0110,
            Fault::Missing(_) => 0x0120,
            Fault::NoValue(_) => 0x0121,
            Fault::Value { .. } => 0x0106,
            Fault::InstanceUid => 0x0117,
        };
        let (peer, why) = (&self.peer.ae_title, fault.to_string());
        tracing::warn!(peer, why, "report of a performed step refused");
        let set = CommandSet::response(&request.command).data_set(false).status(code, &why);
        let set = if fault == Fault::Final {
            set.number(element::ERROR_ID, MAY_NO_LONGER_BE_UPDATED)
        } else {
            set
        };
        let set = set.text(element::AFFECTED_SOP_INSTANCE, instance);
        self.send(request.context.id, set, None).await
    }
}
