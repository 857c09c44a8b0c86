//! What an association request is answered (PS3.8, 9.3.2 to 9.3.4; PS3.7, annex D): pure, so that
//! each rule has a test without a socket.

use std::net::IpAddr;

use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ,
    PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason as Reason, RequestorRoles, UserVariableItem,
};

use super::uids;
use crate::app::imaging::peers::{Peer, Peers, Refusal, Service, Shown};
use crate::sharing::imaging::implementation;
use crate::sharing::imaging::structure::Syntax;

/// Item type of the asynchronous operations window (PS3.7, D.3.3.3).
const ASYNC_WINDOW: u8 = 0x53;
/// Operations that a requestor may have running at most.
pub(super) const WINDOW_MAX: u16 = 16;
/// Presentation contexts at most: ids are odd and below 256.
const CONTEXTS_MAX: usize = 128;
/// Service class application information of the query and retrieve classes (PS3.4, C.5.1.1):
/// relational queries, combined date-time matching, fuzzy name matching; no time zone adjustment,
/// no enhanced multi-frame conversion.
const QUERY_EXTENDED: [u8; 5] = [1, 1, 1, 0, 0];

/// A presentation context that was agreed upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    /// Odd number that fragments carry.
    pub(super) id: u8,
    /// SOP class or meta SOP class.
    pub(super) abstract_syntax: String,
    /// Transfer syntax of data sets.
    pub(super) transfer_syntax: String,
    /// Whether we may invoke operations on it ourselves, as C-GET needs for its C-STORE.
    pub(super) we_invoke: bool,
    /// Extended negotiation that was agreed upon: relational, date-time, fuzzy.
    pub(super) extended: Vec<u8>,
}

/// An association that is to be accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The answer.
    pub(super) answer: AssociationAC,
    /// Who calls.
    pub(super) peer: Peer,
    /// Contexts that were accepted.
    pub(super) contexts: Vec<Context>,
    /// Bytes of a PDU sent to it, as announced; 0: no limit.
    pub(super) announced_bytes_max: u32,
    /// Operations it may have running at the same time.
    pub(super) window: u16,
}

/// Where a request came from, and what we say of ourselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here<'a> {
    /// Address of the caller.
    pub(super) from: IpAddr,
    /// What it shows of who it is from.
    pub(super) shown: &'a Shown,
    /// Longest P-DATA that we take.
    pub(super) pdu_bytes_max: u32,
}

/// Decides.
pub(super) fn negotiate(
    request: &AssociationRQ,
    peers: &Peers,
    here: Here<'_>,
) -> Result<Accepted, (AssociationRJ, &'static str)> {
    use AssociationRJServiceUserReason as User;
    if request.protocol_version & 1 == 0 {
        let why = AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported;
        let source = AssociationRJSource::ServiceProviderASCE(why);
        let answer = AssociationRJ { result: AssociationRJResult::Permanent, source };
        return Err((answer, "protocol version"));
    }
    if bare(&request.application_context_name) != uids::APPLICATION_CONTEXT {
        return Err(refuse(User::ApplicationContextNameNotSupported, "application context"));
    }
    let peer = peers
        .admit(&request.calling_ae_title, &request.called_ae_title, here.from, here.shown)
        .map_err(|refusal| match refusal {
            Refusal::CalledTitle => refuse(User::CalledAETitleNotRecognized, "called AE title"),
            Refusal::CallingTitle => refuse(User::CallingAETitleNotRecognized, "calling AE title"),
            Refusal::Address => {
                refuse(User::CallingAETitleNotRecognized, "address of the calling AE title")
            }
            Refusal::NeedsTls => refuse(User::CallingAETitleNotRecognized, "TLS is required"),
            Refusal::Certificate => {
                refuse(User::CallingAETitleNotRecognized, "certificate of the calling AE title")
            }
        })?;
    let mut contexts = Vec::new();
    let mut results = Vec::new();
    for proposed in request.presentation_contexts.iter().take(CONTEXTS_MAX) {
        let twice = contexts.iter().any(|c: &Context| c.id == proposed.id);
        match decide(proposed, &peer, request) {
            Ok(context) if !twice && proposed.id % 2 == 1 => {
                results.push(result(proposed.id, Reason::Acceptance, &context.transfer_syntax));
                contexts.push(context);
            }
            Ok(_) => results.push(result(proposed.id, Reason::NoReason, uids::IMPLICIT_LE)),
            Err(reason) => results.push(result(proposed.id, reason, uids::IMPLICIT_LE)),
        }
    }
    let window = window(request);
    let answer = AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        application_context_name: uids::APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: results,
        user_variables: variables(request, &contexts, window, here.pdu_bytes_max),
    };
    Ok(Accepted {
        answer,
        peer,
        contexts,
        announced_bytes_max: announced(&request.user_variables),
        window: window.unwrap_or(1),
    })
}

/// What the other side announced as its longest P-DATA; 0: no limit.
pub(super) fn announced(variables: &[UserVariableItem]) -> u32 {
    variables
        .iter()
        .find_map(
            |item| {
                if let UserVariableItem::MaxLength(bytes) = item { Some(*bytes) } else { None }
            },
        )
        .unwrap_or(0)
}

/// What every association PDU of ours says of us.
pub(super) fn ourselves(pdu_bytes_max: u32) -> Vec<UserVariableItem> {
    vec![
        UserVariableItem::MaxLength(pdu_bytes_max),
        UserVariableItem::ImplementationClassUID(implementation::CLASS_UID.to_owned()),
        UserVariableItem::ImplementationVersionName(implementation::VERSION_NAME.to_owned()),
    ]
}

fn refuse(
    reason: AssociationRJServiceUserReason,
    why: &'static str,
) -> (AssociationRJ, &'static str) {
    let source = AssociationRJSource::ServiceUser(reason);
    (AssociationRJ { result: AssociationRJResult::Permanent, source }, why)
}

fn result(id: u8, reason: Reason, transfer_syntax: &str) -> PresentationContextResult {
    PresentationContextResult { id, reason, transfer_syntax: transfer_syntax.to_owned() }
}

/// A UID without the padding that some peers send.
fn bare(uid: &str) -> &str {
    uid.trim_matches([' ', '\0'])
}

/// The service that an abstract syntax belongs to. None: not ours.
pub(super) fn service(abstract_syntax: &str) -> Option<Service> {
    match abstract_syntax {
        uids::VERIFICATION => Some(Service::Echo),
        uids::STORAGE_COMMITMENT => Some(Service::Store),
        uids::MODALITY_WORKLIST => Some(Service::Worklist),
        uids::MPPS => Some(Service::Mpps),
        uid if uids::is_find(uid) => Some(Service::Find),
        uid if uids::is_move(uid) || uids::is_get(uid) => Some(Service::Retrieve),
        uid if uids::is_storage(uid) => Some(Service::Store),
        _ => None,
    }
}

fn roles(request: &AssociationRQ, class: &str) -> Option<RequestorRoles> {
    request.user_variables.iter().find_map(|item| {
        let UserVariableItem::ScuScpRoleSelectionSubItem(uid, roles) = item else { return None };
        (bare(uid) == class).then_some(*roles)
    })
}

fn decide(
    proposed: &PresentationContextProposed,
    peer: &Peer,
    request: &AssociationRQ,
) -> Result<Context, Reason> {
    let class = bare(&proposed.abstract_syntax);
    let service = service(class).ok_or(Reason::AbstractSyntaxNotSupported)?;
    let storage = uids::is_storage(class);
    let roles = roles(request, class).filter(|_| storage);
    // A storage context serves C-STORE to us or, where the requestor offers to be SCP, C-GET.
    let takes = storage && roles.is_some_and(|r| r.scp) && peer.services.has(Service::Retrieve);
    if !peer.services.has(service) && !takes {
        return Err(Reason::UserRejection);
    }
    let offered = || proposed.transfer_syntaxes.iter().map(|uid| bare(uid));
    let chosen = if storage { choose_storage(offered) } else { choose_plain(offered) };
    let transfer_syntax = chosen.ok_or(Reason::TransferSyntaxesNotSupported)?.to_owned();
    let extended = if uids::is_find(class) || uids::is_move(class) || uids::is_get(class) {
        asked_extended(request, class)
    } else {
        Vec::new()
    };
    let abstract_syntax = class.to_owned();
    Ok(Context { id: proposed.id, abstract_syntax, transfer_syntax, we_invoke: takes, extended })
}

/// The first syntax that the archive can check and keep. Implicit VR, which loses what private
/// elements are, gives way to explicit VR; big endian to little endian.
fn choose_storage<'a, I: Iterator<Item = &'a str>>(offered: impl Fn() -> I) -> Option<&'a str> {
    let first = offered().find(|uid| Syntax::of(uid).is_some())?;
    if [uids::IMPLICIT_LE, uids::EXPLICIT_BE].contains(&first) {
        return offered().find(|uid| *uid == uids::EXPLICIT_LE).or(Some(first));
    }
    Some(first)
}

/// Explicit before implicit little endian; nothing else for messages without pixels.
fn choose_plain<'a, I: Iterator<Item = &'a str>>(offered: impl Fn() -> I) -> Option<&'a str> {
    offered()
        .find(|uid| *uid == uids::EXPLICIT_LE)
        .or_else(|| offered().find(|uid| *uid == uids::IMPLICIT_LE))
}

/// What was asked of extended negotiation and is ours as well.
fn asked_extended(request: &AssociationRQ, class: &str) -> Vec<u8> {
    let asked = request.user_variables.iter().find_map(|item| {
        let UserVariableItem::SopClassExtendedNegotiationSubItem(uid, asked) = item else {
            return None;
        };
        (bare(uid) == class).then_some(asked)
    });
    let both =
        |asked: &Vec<u8>| asked.iter().zip(QUERY_EXTENDED).map(|(a, o)| (*a).min(o)).collect();
    asked.map(both).unwrap_or_default()
}

/// The asynchronous operations window, if one was proposed: as many as asked for, up to ours. Zero
/// asks for no limit.
fn window(request: &AssociationRQ) -> Option<u16> {
    request.user_variables.iter().find_map(|item| {
        let UserVariableItem::Unknown(ASYNC_WINDOW, data) = item else { return None };
        match u16::from_be_bytes(*data.first_chunk::<2>()?) {
            0 => Some(WINDOW_MAX),
            asked => Some(asked.min(WINDOW_MAX)),
        }
    })
}

fn variables(
    request: &AssociationRQ,
    contexts: &[Context],
    window: Option<u16>,
    pdu_bytes_max: u32,
) -> Vec<UserVariableItem> {
    let mut items = ourselves(pdu_bytes_max);
    if let Some(window) = window {
        // We invoke one sub-operation at a time.
        let [high, low] = window.to_be_bytes();
        items.push(UserVariableItem::Unknown(ASYNC_WINDOW, vec![high, low, 0, 1]));
    }
    let mut answered: Vec<&str> = Vec::new();
    for context in contexts {
        let class = context.abstract_syntax.as_str();
        if answered.contains(&class) {
            continue;
        }
        if let Some(asked) = roles(request, class).filter(|_| uids::is_storage(class)) {
            answered.push(class);
            let roles = RequestorRoles { scu: asked.scu, scp: asked.scp && context.we_invoke };
            items.push(UserVariableItem::ScuScpRoleSelectionSubItem(class.to_owned(), roles));
        }
        if !context.extended.is_empty() {
            answered.push(class);
            items.push(UserVariableItem::SopClassExtendedNegotiationSubItem(
                class.to_owned(),
                context.extended.clone(),
            ));
        }
    }
    items
}

#[cfg(test)]
mod tests;
