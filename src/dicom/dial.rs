//! Associations that the node requests itself: to move objects to a peer, to report storage
//! commitment, to try whether a peer answers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResultReason as Reason,
    RequestorRoles, UserVariableItem,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::command::{COMMAND_BYTES_MAX, Command, CommandSet, element, field};
use super::negotiation::{announced, ourselves};
use super::uids;
use super::wire::{Frame, Patience, Socket, Wire, WireError, message, send_limit};
use crate::app::imaging::peers::Peer;

/// How long a peer may take to accept a connection and answer the request.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// How long a peer may take to answer a message.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// Bytes of a data set in an answer at most: a list of 65,535 UIDs that failed.
const ANSWER_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Presentation contexts in one request at most.
pub(super) const CONTEXTS_MAX: usize = 128;

/// Dials peers.
#[derive(Clone)]
pub struct Dialler {
    title: String,
    tls: Option<Arc<TlsConnector>>,
    pdu_bytes_max: u32,
}

/// Why a peer could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It has no address in the table, or one that is none.
    #[error("{ae_title} has no address to dial")]
    NoAddress {
        /// AE title.
        ae_title: String,
    },
    /// It wants TLS and we have no certificates to trust.
    #[error("{ae_title} is to be dialled over TLS, and dicom.tls_ca is not set")]
    NoTls {
        /// AE title.
        ae_title: String,
    },
    /// It cannot be reached.
    #[error("cannot reach {ae_title}")]
    Unreachable {
        /// AE title.
        ae_title: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It rejected the association.
    #[error("{ae_title} rejected the association: {reason}")]
    Rejected {
        /// AE title.
        ae_title: String,
        /// What it said.
        reason: String,
    },
    /// It accepted none of what was proposed.
    #[error("{ae_title} accepts no presentation context that was proposed")]
    NothingAccepted {
        /// AE title.
        ae_title: String,
    },
    /// The association broke.
    #[error("association with {ae_title} broke")]
    Broken {
        /// AE title.
        ae_title: String,
        /// How.
        #[source]
        source: Broken,
    },
}

/// How an association broke.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Broken(#[from] WireError);

/// A context to propose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) abstract_syntax: String,
    pub(super) transfer_syntaxes: Vec<String>,
    /// Whether we act as SCP on it.
    pub(super) as_provider: bool,
}

/// A context that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) id: u8,
    pub(super) abstract_syntax: String,
    pub(super) transfer_syntax: String,
}

/// An association that we requested.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) wire: Wire,
    pub(super) contexts: Vec<Agreed>,
    pub(super) send_bytes_max: u32,
    next_id: u16,
}

/// How a C-ECHO went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// Status; 0 is success.
    pub status: u16,
}

/// How a C-STORE went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Status; 0 is success, Bxxx a warning.
    pub status: u16,
    /// What the peer says of it.
    pub comment: String,
}

/// A C-STORE to be sent.
#[derive(Debug, Clone)]
pub(super) struct Outgoing<'a> {
    pub(super) context: u8,
    pub(super) sop_class: &'a str,
    pub(super) sop_instance: &'a str,
    /// AE title and message id of a C-MOVE that this belongs to.
    pub(super) originator: Option<(&'a str, u16)>,
    /// Transfer syntax of the context, if it is kept in another.
    pub(super) converted_to: Option<&'a str>,
}

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler")
            .field("title", &self.title)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Dialler {
    /// Calls itself `title`; TLS by `tls`, where a peer wants it.
    pub fn new(title: String, tls: Option<TlsConnector>, pdu_bytes_max: u32) -> Self {
        Self { title, tls: tls.map(Arc::new), pdu_bytes_max }
    }

    /// Asks a peer whether it answers (C-ECHO).
    pub async fn echo(&self, peer: &Peer) -> Result<Echo, DialError> {
        let proposal = Proposal {
            abstract_syntax: uids::VERIFICATION.to_owned(),
            transfer_syntaxes: vec![uids::EXPLICIT_LE.to_owned(), uids::IMPLICIT_LE.to_owned()],
            as_provider: false,
        };
        let mut dialled = self.dial(peer, vec![proposal]).await?;
        let context = dialled.contexts.first().map_or(1, |c| c.id);
        let id = dialled.message_id();
        let set = CommandSet::request(field::C_ECHO_RQ, uids::VERIFICATION, id).data_set(false);
        let answered = match dialled.send(context, set, None).await {
            Ok(()) => dialled.answer().await,
            Err(error) => Err(error),
        };
        let (answer, _) = answered.map_err(|source| broken(peer, source))?;
        dialled.release().await;
        Ok(Echo { status: answer.number(element::STATUS).unwrap_or(0x0110) })
    }

    /// Requests an association. At most [`CONTEXTS_MAX`] proposals are sent.
    pub(super) async fn dial(
        &self,
        peer: &Peer,
        proposals: Vec<Proposal>,
    ) -> Result<Dialled, DialError> {
        let ae_title = peer.ae_title.clone();
        let address = peer
            .address
            .as_deref()
            .ok_or_else(|| DialError::NoAddress { ae_title: ae_title.clone() })?;
        let socket = self.connect(peer, address).await?;
        let patience = Patience { idle: ANSWER_WITHIN, within: ANSWER_WITHIN };
        let mut wire = Wire::new(socket, self.pdu_bytes_max, patience);
        let request = self.request(peer, &proposals);
        let lost = |source| broken(peer, source);
        wire.send_pdu(&Pdu::AssociationRQ(request)).await.map_err(lost)?;
        let answer = match wire.next().await.map_err(lost)? {
            Frame::Control(pdu) => *pdu,
            Frame::Data(_) => {
                return Err(lost(super::association::unexpected("an answer was expected")));
            }
            Frame::End => return Err(lost(WireError::Lost(super::server::gone()))),
        };
        let answer = match answer {
            Pdu::AssociationAC(answer) => answer,
            Pdu::AssociationRJ(rejection) => {
                let reason = format!("{:?}, {:?}", rejection.result, rejection.source);
                return Err(DialError::Rejected { ae_title, reason });
            }
            Pdu::Unknown { .. }
            | Pdu::AssociationRQ(_)
            | Pdu::PData { .. }
            | Pdu::ReleaseRQ
            | Pdu::ReleaseRP
            | Pdu::AbortRQ { .. } => {
                return Err(lost(super::association::unexpected("an answer was expected")));
            }
        };
        let mut contexts = Vec::new();
        for result in &answer.presentation_contexts {
            let at = usize::from(result.id / 2);
            if result.reason == Reason::Acceptance
                && result.id % 2 == 1
                && let Some(proposal) = proposals.get(at)
            {
                contexts.push(Agreed {
                    id: result.id,
                    abstract_syntax: proposal.abstract_syntax.clone(),
                    transfer_syntax: result.transfer_syntax.trim_matches([' ', '\0']).to_owned(),
                });
            }
        }
        if contexts.is_empty() {
            wire.abort(None).await;
            return Err(DialError::NothingAccepted { ae_title });
        }
        let send_bytes_max = send_limit(announced(&answer.user_variables));
        Ok(Dialled { wire, contexts, send_bytes_max, next_id: 0 })
    }

    async fn connect(&self, peer: &Peer, address: &str) -> Result<Socket, DialError> {
        let ae_title = || peer.ae_title.clone();
        let unreachable = |source| DialError::Unreachable { ae_title: ae_title(), source };
        let late = || unreachable(io::ErrorKind::TimedOut.into());
        let stream = timeout(CONNECT_WITHIN, TcpStream::connect(address))
            .await
            .map_err(|_| late())?
            .map_err(unreachable)?;
        Socket::hurry(&stream);
        if !peer.tls {
            return Ok(Socket::Plain(stream));
        }
        let connector =
            self.tls.as_ref().ok_or_else(|| DialError::NoTls { ae_title: ae_title() })?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| DialError::NoAddress { ae_title: ae_title() })?;
        let stream = timeout(CONNECT_WITHIN, connector.connect(name, stream))
            .await
            .map_err(|_| late())?
            .map_err(unreachable)?;
        Ok(Socket::TlsDialled(Box::new(stream)))
    }

    fn request(&self, peer: &Peer, proposals: &[Proposal]) -> AssociationRQ {
        let mut user_variables = ourselves(self.pdu_bytes_max);
        let mut presentation_contexts = Vec::new();
        for (proposal, id) in proposals.iter().take(CONTEXTS_MAX).zip((1_u8..=255).step_by(2)) {
            presentation_contexts.push(PresentationContextProposed {
                id,
                abstract_syntax: proposal.abstract_syntax.clone(),
                transfer_syntaxes: proposal.transfer_syntaxes.clone(),
            });
            let again = proposals.iter().take(usize::from(id / 2)).any(|before| {
                before.as_provider && before.abstract_syntax == proposal.abstract_syntax
            });
            if proposal.as_provider && !again {
                user_variables.push(UserVariableItem::ScuScpRoleSelectionSubItem(
                    proposal.abstract_syntax.clone(),
                    RequestorRoles { scu: false, scp: true },
                ));
            }
        }
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: self.title.clone(),
            called_ae_title: peer.ae_title.clone(),
            application_context_name: uids::APPLICATION_CONTEXT.to_owned(),
            presentation_contexts,
            user_variables,
        }
    }
}

impl Dialled {
    /// A new message id.
    pub(super) fn message_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.next_id
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

    /// The next whole message: its command set and data set.
    pub(super) async fn answer(&mut self) -> Result<(Command, Bytes), WireError> {
        let mut command = BytesMut::new();
        let mut data_set = BytesMut::new();
        let mut read: Option<Command> = None;
        loop {
            let pdv = match self.wire.next().await? {
                Frame::Data(pdv) => pdv,
                Frame::Control(_) => {
                    return Err(super::association::unexpected("an answer was expected"));
                }
                Frame::End => return Err(WireError::Lost(super::server::gone())),
            };
            let (into, most) = if pdv.command {
                (&mut command, COMMAND_BYTES_MAX)
            } else {
                (&mut data_set, ANSWER_BYTES_MAX)
            };
            if into.len() + pdv.data.len() > most {
                return Err(super::association::unexpected("answer is too long"));
            }
            into.extend_from_slice(&pdv.data);
            if !pdv.last {
                continue;
            }
            if pdv.command {
                let set = Command::read(command.split().freeze())
                    .map_err(|_| super::association::unexpected("answer cannot be read"))?;
                if !set.has_data_set {
                    return Ok((set, Bytes::new()));
                }
                read = Some(set);
            } else if let Some(set) = read.take() {
                return Ok((set, data_set.freeze()));
            } else {
                return Err(super::association::unexpected("a command set was expected"));
            }
        }
    }

    /// Ends the association as the standard asks, whatever the peer does.
    pub(super) async fn release(mut self) {
        self.wire.set_patience(Patience {
            idle: Duration::from_secs(5),
            within: Duration::from_secs(5),
        });
        if self.wire.send_pdu(&Pdu::ReleaseRQ).await.is_ok() {
            let _ = self.wire.next().await;
        }
        self.wire.close().await;
    }

    /// Ends the association at once.
    pub(super) async fn abort(self) {
        self.wire.abort(None).await;
    }
}

/// The command of a C-STORE request.
pub(super) fn store_request(object: &Outgoing<'_>, id: u16) -> CommandSet {
    let set = CommandSet::request(field::C_STORE_RQ, object.sop_class, id)
        .number(element::PRIORITY, 0)
        .data_set(true)
        .text(element::AFFECTED_SOP_INSTANCE, object.sop_instance);
    match object.originator {
        Some((title, message_id)) => set
            .text(element::MOVE_ORIGINATOR, title)
            .number(element::MOVE_ORIGINATOR_MESSAGE_ID, message_id),
        None => set,
    }
}

/// What a C-STORE response says.
pub(super) fn sent(answer: &Command) -> Sent {
    Sent {
        status: answer.number(element::STATUS).unwrap_or(0x0110),
        comment: answer.text(element::ERROR_COMMENT),
    }
}

pub(super) fn broken(peer: &Peer, source: WireError) -> DialError {
    DialError::Broken { ae_title: peer.ae_title.clone(), source: Broken(source) }
}
