//! One accepted association: reads messages, has them served, answers.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dicom_ul::pdu::{AbortRQServiceProviderReason as AbortReason, Pdu};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::oneshot;

use super::command::{COMMAND_BYTES_MAX, Command, CommandSet, element, field};
use super::negotiation::{Accepted, Context};
use super::pacs::Moved;
use super::server::Shared;
use super::status::{self, Status};
use super::uids;
use super::wire::{Frame, Pdv, Wire, WireError, message, send_limit};
use crate::app::error::Error;
use crate::app::imaging::peers::Peer;
use crate::app::imaging::{Expected, Imaging, Incoming, Intake, Refused, Requester, Stored};

/// Bytes of a data set that is no object (identifiers, actions) at most.
const IDENTIFIER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What an association did, for the log.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) messages: u64,
    pub(super) stored: u64,
    pub(super) refused: u64,
}

/// An association and what it may.
#[derive(Debug)]
pub(super) struct Association {
    pub(super) wire: Wire,
    pub(super) contexts: Vec<Context>,
    pub(super) peer: Peer,
    pub(super) requester: Requester,
    intake: Arc<Intake>,
    /// Longest P-DATA sent.
    pub(super) send_bytes_max: u32,
    pub(super) window: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) done: Done,
    /// Message id of the next operation that we invoke.
    next_id: u16,
}

/// A request whose data set, if it has one, is there.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) context: Context,
    pub(super) command: Command,
    pub(super) data_set: Bytes,
}

/// A message being read.
enum Reading<'a> {
    Command(BytesMut, Option<u8>),
    Object { context: Context, command: Command, into: Result<Box<Incoming<'a>>, Refused> },
    Identifier { context: Context, command: Command, bytes: BytesMut },
}

/// What a whole message asks for.
enum Whole {
    Nothing,
    Stored(Context, Command, Result<oneshot::Receiver<Result<Stored, Error>>, Refused>),
    Request(Box<Request>),
}

type Answer = BoxFuture<'static, (Context, Command, Result<Stored, Refused>)>;

impl Association {
    pub(super) fn new(wire: Wire, accepted: Accepted, shared: Arc<Shared>) -> Self {
        let Accepted { peer, contexts, announced_bytes_max, window, .. } = accepted;
        let requester = Requester { caller: peer.caller(), services: peer.services };
        let intake = Intake::of(requester.clone());
        Self {
            wire,
            contexts,
            peer,
            requester,
            intake,
            send_bytes_max: send_limit(announced_bytes_max),
            window: usize::from(window.max(1)),
            shared,
            done: Done::default(),
            next_id: 0,
        }
    }

    /// Serves until the peer releases or something breaks. What was received whole is kept and,
    /// while the peer is there, answered.
    pub(super) async fn serve(mut self) -> (Result<(), WireError>, Done) {
        let result = self.serve_messages().await;
        let done = self.done;
        match &result {
            Ok(()) | Err(WireError::Lost(_) | WireError::Aborted) => self.wire.close().await,
            Err(WireError::Protocol { abort, .. }) => self.wire.abort(Some(abort.clone())).await,
            Err(WireError::Idle(_) | WireError::Stalled(_)) => self.wire.abort(None).await,
            Err(WireError::Stopping) => {
                self.wire.abort(Some(AbortReason::ReasonNotSpecified)).await;
            }
        }
        (result, done)
    }

    async fn serve_messages(&mut self) -> Result<(), WireError> {
        let imaging = Arc::clone(&self.shared.imaging);
        let mut reading = Reading::Command(BytesMut::new(), None);
        let mut answers: FuturesUnordered<Answer> = FuturesUnordered::new();
        loop {
            let between = matches!(&reading, Reading::Command(bytes, None) if bytes.is_empty());
            let stop = self.shared.stop.clone();
            let frame = tokio::select! {
                biased;
                () = stop.cancelled(), if between && answers.is_empty() => {
                    return Err(WireError::Stopping);
                }
                Some((context, command, stored)) = answers.next(), if !answers.is_empty() => {
                    self.answer_store(&context, &command, stored).await?;
                    continue;
                }
                frame = self.wire.next(), if answers.len() < self.window => frame?,
            };
            match frame {
                Frame::Data(pdv) => match self.take(&imaging, &mut reading, pdv).await? {
                    Whole::Nothing => {}
                    Whole::Stored(context, command, Ok(told)) => {
                        answers.push(Box::pin(async move {
                            let gone = || Error::Unavailable { what: "imaging", cause: None };
                            let told = told.await.unwrap_or_else(|_| Err(gone()));
                            (context, command, told.map_err(Refused::Node))
                        }));
                    }
                    Whole::Stored(context, command, Err(refused)) => {
                        self.answer_store(&context, &command, Err(refused)).await?;
                    }
                    Whole::Request(request) => {
                        while let Some((context, command, stored)) = answers.next().await {
                            self.answer_store(&context, &command, stored).await?;
                        }
                        self.done.messages += 1;
                        self.dispatch(*request).await?;
                    }
                },
                Frame::Control(pdu) if *pdu == Pdu::ReleaseRQ => {
                    while let Some((context, command, stored)) = answers.next().await {
                        self.answer_store(&context, &command, stored).await?;
                    }
                    return self.wire.send_pdu(&Pdu::ReleaseRP).await;
                }
                Frame::Control(_) => return Err(unexpected("PDU is out of place")),
                Frame::End => {
                    // Some clients close without a release. What came whole is kept all the same.
                    while answers.next().await.is_some() {}
                    return Ok(());
                }
            }
        }
    }

    /// Adds a fragment to the message being read.
    async fn take<'a>(
        &mut self,
        imaging: &'a Imaging,
        reading: &mut Reading<'a>,
        pdv: Pdv,
    ) -> Result<Whole, WireError> {
        match reading {
            Reading::Command(bytes, context) => {
                if !pdv.command || context.is_some_and(|c| c != pdv.context) {
                    return Err(unexpected("a command set was expected"));
                }
                if bytes.len() + pdv.data.len() > COMMAND_BYTES_MAX {
                    return Err(unexpected("command set is too long"));
                }
                *context = Some(pdv.context);
                bytes.extend_from_slice(&pdv.data);
                if !pdv.last {
                    return Ok(Whole::Nothing);
                }
                let command = Command::read(bytes.split().freeze())
                    .map_err(|_| unexpected("command set cannot be read"))?;
                let context = self.context(pdv.context)?;
                if !command.has_data_set {
                    *reading = Reading::Command(BytesMut::new(), None);
                    let request = Request { context, command, data_set: Bytes::new() };
                    return Ok(Whole::Request(Box::new(request)));
                }
                *reading = if command.field == field::C_STORE_RQ {
                    let into = self.begin(imaging, &context, &command);
                    Reading::Object { context, command, into }
                } else {
                    Reading::Identifier { context, command, bytes: BytesMut::new() }
                };
                Ok(Whole::Nothing)
            }
            Reading::Object { context, into, .. } => {
                expect_data(&pdv, context)?;
                let last = pdv.last;
                let pushed = match into {
                    Ok(incoming) => incoming.push(pdv.data).await,
                    // What is refused is read to its end, so that the next message begins right.
                    Err(_) => Ok(()),
                };
                if let Err(refused) = pushed {
                    *into = Err(refused);
                }
                if !last {
                    return Ok(Whole::Nothing);
                }
                let begin = Reading::Command(BytesMut::new(), None);
                let Reading::Object { context, command, into } = std::mem::replace(reading, begin)
                else {
                    return Ok(Whole::Nothing);
                };
                let submitted = match into {
                    Ok(incoming) => incoming.submit().await,
                    Err(refused) => Err(refused),
                };
                Ok(Whole::Stored(context, command, submitted))
            }
            Reading::Identifier { context, bytes, .. } => {
                expect_data(&pdv, context)?;
                if bytes.len() + pdv.data.len() > IDENTIFIER_BYTES_MAX {
                    return Err(unexpected("data set of a request is too long"));
                }
                bytes.extend_from_slice(&pdv.data);
                if !pdv.last {
                    return Ok(Whole::Nothing);
                }
                let begin = Reading::Command(BytesMut::new(), None);
                match std::mem::replace(reading, begin) {
                    Reading::Identifier { context, command, bytes } => {
                        let data_set = bytes.freeze();
                        Ok(Whole::Request(Box::new(Request { context, command, data_set })))
                    }
                    Reading::Command(..) | Reading::Object { .. } => Ok(Whole::Nothing),
                }
            }
        }
    }

    fn context(&self, id: u8) -> Result<Context, WireError> {
        let found = self.contexts.iter().find(|c| c.id == id).cloned();
        found.ok_or_else(|| unexpected("presentation context was not accepted"))
    }

    fn begin<'a>(
        &self,
        imaging: &'a Imaging,
        context: &Context,
        command: &Command,
    ) -> Result<Box<Incoming<'a>>, Refused> {
        let expected = Expected {
            sop_class: command.text(element::AFFECTED_SOP_CLASS),
            sop_instance: command.text(element::AFFECTED_SOP_INSTANCE),
        };
        if expected.sop_class != context.abstract_syntax {
            return Err(Refused::NotAsAnnounced { attribute: "SOP class UID" });
        }
        let syntax = &context.transfer_syntax;
        let incoming = imaging.receive(&self.intake, syntax, Some(expected), Vec::new())?;
        Ok(Box::new(match self.moved(command) {
            Some(moved) => incoming.of_study(Some(moved.study)).copy_of(&moved.from),
            None => incoming,
        }))
    }

    /// What a C-MOVE of ours moves, if the object comes by one.
    fn moved(&self, command: &Command) -> Option<Moved> {
        let id = command.number_if_any(element::MOVE_ORIGINATOR_MESSAGE_ID).ok()??;
        let own = command.text(element::MOVE_ORIGINATOR) == self.shared.peers.own_title();
        if own { self.shared.moves.of(id) } else { None }
    }

    async fn answer_store(
        &mut self,
        context: &Context,
        command: &Command,
        stored: Result<Stored, Refused>,
    ) -> Result<(), WireError> {
        self.done.messages += 1;
        let status = status::of_store(&stored);
        match &stored {
            Ok(_) => self.done.stored += 1,
            Err(refused) => {
                self.done.refused += 1;
                tracing::warn!(
                    peer = self.peer.ae_title,
                    status = format_args!("{:04x}", status.code),
                    reason = crate::app::chain(refused),
                    "object refused"
                );
            }
        }
        let set = CommandSet::response(command)
            .data_set(false)
            .status(status.code, &status.comment)
            .text(element::AFFECTED_SOP_INSTANCE, &command.text(element::AFFECTED_SOP_INSTANCE));
        self.send(context.id, set, None).await
    }

    async fn dispatch(&mut self, request: Request) -> Result<(), WireError> {
        match request.command.field {
            field::C_ECHO_RQ => self.echo(&request).await,
            field::C_FIND_RQ if request.context.abstract_syntax == uids::MODALITY_WORKLIST => {
                self.find_planned(&request).await
            }
            field::C_FIND_RQ => self.find(&request).await,
            field::N_CREATE_RQ => self.begin_step(&request).await,
            field::N_SET_RQ => self.update_step(&request).await,
            field::C_MOVE_RQ => self.move_to(&request).await,
            field::C_GET_RQ => self.get(&request).await,
            field::N_ACTION_RQ => self.commit(&request).await,
            // Cancels what has ended already.
            field::C_CANCEL_RQ => Ok(()),
            other if other & field::RESPONSE != 0 => Err(unexpected("nothing was asked")),
            field::C_STORE_RQ => {
                self.refuse(&request, &Status::new(0xC000, "C-STORE needs a data set")).await
            }
            _ => {
                let status = Status::new(0x0211, "operation is not supported");
                self.refuse(&request, &status).await
            }
        }
    }

    async fn echo(&mut self, request: &Request) -> Result<(), WireError> {
        let status = if request.context.abstract_syntax == uids::VERIFICATION {
            Status::SUCCESS
        } else {
            Status::new(0x0122, "C-ECHO needs the verification SOP class")
        };
        self.refuse(request, &status).await
    }

    /// Answers with a status and nothing else.
    pub(super) async fn refuse(
        &mut self,
        request: &Request,
        status: &Status,
    ) -> Result<(), WireError> {
        let set = CommandSet::response(&request.command)
            .data_set(false)
            .status(status.code, &status.comment);
        self.send(request.context.id, set, None).await
    }

    /// Sends a message in one write.
    pub(super) async fn send(
        &mut self,
        context: u8,
        command: CommandSet,
        data_set: Option<&[u8]>,
    ) -> Result<(), WireError> {
        let bytes = message(context, command, data_set, self.send_bytes_max);
        self.wire.send(&bytes).await
    }

    /// A new message id.
    pub(super) fn message_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.next_id
    }

    /// Whether the peer has cancelled operation `message_id` by now, without waiting.
    pub(super) fn cancelled(&mut self, message_id: u16) -> Result<bool, WireError> {
        use futures_util::FutureExt as _;
        match self.wire.next().now_or_never() {
            None => Ok(false),
            Some(Ok(Frame::Data(pdv))) => is_cancel(&pdv, message_id),
            Some(Ok(_)) => Err(unexpected("PDU is out of place")),
            Some(Err(error)) => Err(error),
        }
    }
}

/// Whether a fragment is a C-CANCEL of `message_id`, which is all that may come while an operation
/// runs.
pub(super) fn is_cancel(pdv: &Pdv, message_id: u16) -> Result<bool, WireError> {
    let command = pdv.command && pdv.last;
    let read = if command { Command::read(pdv.data.clone()).ok() } else { None };
    match read {
        Some(c) if c.field == field::C_CANCEL_RQ => {
            Ok(c.number(element::MESSAGE_ID_RESPONDED_TO) == Ok(message_id))
        }
        Some(_) | None => Err(unexpected("only C-CANCEL may come while an operation runs")),
    }
}

fn expect_data(pdv: &Pdv, context: &Context) -> Result<(), WireError> {
    if pdv.command || pdv.context != context.id {
        return Err(unexpected("a data set was expected"));
    }
    Ok(())
}

/// The peer breaks the protocol.
pub(super) fn unexpected(reason: &'static str) -> WireError {
    WireError::Protocol { reason, abort: AbortReason::UnexpectedPdu }
}
