//! C-MOVE and C-GET (PS3.4, C.4.2 and C.4.3): one C-STORE for each object. It goes out as it is kept
//! where the receiver takes that, else converted where that can be done.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::association::{Association, Request, is_cancel, unexpected};
use super::command::{Command, CommandSet, element, field};
use super::dial::{Agreed, CONTEXTS_MAX, Dialled, Outgoing, Proposal, Sent, sent, store_request};
use super::find::{elements, selection};
use super::status::{self, Status};
use super::uids;
use super::wire::{Frame, Wire, WireError, put_fragments};
use crate::app::error::Error;
use crate::app::imaging::Imaging;
use crate::app::imaging::Requester;
use crate::app::imaging::forwarding::Pace;
use crate::app::imaging::ports::{IndexedInstance, Selection};
use crate::app::imaging::transcode::{EXPLICIT_LITTLE, IMPLICIT_LITTLE, TARGETS};

/// Instances asked of the index at once.
const PAGE: u64 = 1000;
/// Instances of one retrieval at most: sub-operations are counted in 16 bits.
const INSTANCES_MAX: usize = 65_535;
/// Between two pending responses, at least.
const PENDING_EVERY: Duration = Duration::from_millis(200);
/// Bytes of an object that are in memory at once while it goes out.
const CHUNK_BYTES: u64 = 1024 * 1024;
/// The same, where bytes are held back: small, so that the line is never filled for long.
const PACED_CHUNK_BYTES: u64 = 32 * 1024;

/// How the sub-operations stand.
#[derive(Debug, Clone, Default)]
struct Progress {
    remaining: u16,
    completed: u16,
    failed: u16,
    warning: u16,
    failed_uids: Vec<String>,
    last_failure: Option<String>,
    told: Option<Instant>,
}

impl Progress {
    fn new(instances: usize) -> Self {
        Self { remaining: u16::try_from(instances).unwrap_or(u16::MAX), ..Self::default() }
    }

    fn count(&mut self, instance: &IndexedInstance, sent: &Result<Sent, String>) {
        self.remaining = self.remaining.saturating_sub(1);
        match sent {
            Ok(Sent { status: 0, .. }) => self.completed += 1,
            Ok(Sent { status, .. }) if status & 0xF000 == 0xB000 => self.warning += 1,
            Ok(Sent { status, comment }) => {
                self.fail(instance, format!("status {status:04x} {comment}"));
            }
            Err(why) => self.fail(instance, why.clone()),
        }
    }

    fn fail(&mut self, instance: &IndexedInstance, why: String) {
        self.failed += 1;
        self.failed_uids.push(instance.uids.instance.clone());
        self.last_failure = Some(why);
    }

    /// Whether the peer should hear of the progress now.
    fn due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.told.is_none_or(|told| now.duration_since(told) >= PENDING_EVERY);
        if due {
            self.told = Some(now);
        }
        due
    }

    fn response(
        &self,
        request: &Command,
        status: u16,
        comment: &str,
        data_set: bool,
    ) -> CommandSet {
        let set = CommandSet::response(request).data_set(data_set).status(status, comment);
        let set = match status {
            status::PENDING | status::CANCEL => set.number(element::REMAINING, self.remaining),
            _ => set,
        };
        set.number(element::COMPLETED, self.completed)
            .number(element::FAILED, self.failed)
            .number(element::WARNING, self.warning)
    }

    /// The status at the end.
    fn outcome(&self) -> (u16, String) {
        let comment = self.last_failure.clone().unwrap_or_default();
        match (self.failed, self.completed + self.warning) {
            (0, _) if self.warning == 0 => (0, String::new()),
            (0, _) => (status::SOME_FAILED, "the receiver warned".to_owned()),
            (_, 0) => (0xA702, comment),
            _ => (status::SOME_FAILED, comment),
        }
    }
}

impl Association {
    /// C-MOVE: to a peer of the table, over an association of our own.
    pub(super) async fn move_to(&mut self, request: &Request) -> Result<(), WireError> {
        if !uids::is_move(&request.context.abstract_syntax) {
            let status = Status::new(0x0122, "C-MOVE on another SOP class");
            return self.refuse(request, &status).await;
        }
        let title = request.command.text(element::MOVE_DESTINATION);
        let Some(destination) = self.shared.peers.destination(&title).cloned() else {
            let status = Status::new(0xA801, "move destination is not in the AE table");
            return self.refuse(request, &status).await;
        };
        let instances = match self.selected(request).await {
            Ok(instances) => instances,
            Err(status) => return self.refuse(request, &status).await,
        };
        let mut progress = Progress::new(instances.len());
        if instances.is_empty() {
            return self.end_retrieval(request, &progress, None).await;
        }
        let message_id = request.command.message_id().unwrap_or_default();
        // What the receiver takes differs by class and syntax; a request has room for 128 of them.
        let mut cancelled = false;
        for group in groups(&instances) {
            if cancelled {
                break;
            }
            let imaging = &self.shared.imaging;
            let proposals = proposals(&group, |from, to| imaging.converts(from, to));
            let mut dialled = match self.shared.dialler.dial(&destination, proposals).await {
                Ok(dialled) => dialled,
                Err(error) => {
                    let why = crate::app::chain(&error);
                    tracing::warn!(destination = title, error = why, "cannot move");
                    for instance in &group {
                        progress.count(instance, &Err(why.clone()));
                    }
                    continue;
                }
            };
            let moved =
                self.move_group(request, &mut dialled, &group, message_id, &mut progress).await;
            match moved {
                Ok(stopped) => {
                    cancelled = stopped;
                    dialled.release().await;
                }
                Err(error) => {
                    dialled.abort().await;
                    return Err(error);
                }
            }
        }
        self.end_retrieval(request, &progress, cancelled.then_some(status::CANCEL)).await
    }

    /// Sends `group`, and tells whether the peer cancelled.
    async fn move_group(
        &mut self,
        request: &Request,
        dialled: &mut Dialled,
        group: &[IndexedInstance],
        message_id: u16,
        progress: &mut Progress,
    ) -> Result<bool, WireError> {
        let originator = self.peer.ae_title.clone();
        let mut broken: Option<String> = None;
        for instance in group {
            if self.cancelled(message_id)? {
                return Ok(true);
            }
            let imaging = &*self.shared.imaging;
            let way = way(&dialled.contexts, instance, |from, to| imaging.converts(from, to));
            let sent = match (&broken, way) {
                (Some(why), _) => Err(why.clone()),
                (None, None) => Err("the receiver does not take its class or syntax".to_owned()),
                (None, Some(Way { context, converted_to })) => {
                    let object = Outgoing {
                        context,
                        sop_class: &instance.sop_class,
                        sop_instance: &instance.uids.instance,
                        originator: Some((&originator, message_id)),
                        converted_to: converted_to.as_deref(),
                    };
                    let from = (imaging, &self.requester);
                    match dialled.store(&object, from, instance, None).await {
                        Ok(sent) => Ok(sent),
                        Err(SendError::Object(error)) => Err(why_not(instance, &error)),
                        Err(SendError::Wire(error)) => {
                            let why = crate::app::chain(&error);
                            broken = Some(why.clone());
                            Err(why)
                        }
                    }
                }
            };
            progress.count(instance, &sent);
            if progress.due() {
                let pending = progress.response(&request.command, status::PENDING, "", false);
                self.send(request.context.id, pending, None).await?;
            }
        }
        Ok(false)
    }

    /// C-GET: on this association.
    pub(super) async fn get(&mut self, request: &Request) -> Result<(), WireError> {
        if !uids::is_get(&request.context.abstract_syntax) {
            let status = Status::new(0x0122, "C-GET on another SOP class");
            return self.refuse(request, &status).await;
        }
        let instances = match self.selected(request).await {
            Ok(instances) => instances,
            Err(status) => return self.refuse(request, &status).await,
        };
        let message_id = request.command.message_id().unwrap_or_default();
        let contexts: Vec<Agreed> = self
            .contexts
            .iter()
            .filter(|c| c.we_invoke)
            .map(|c| Agreed {
                id: c.id,
                abstract_syntax: c.abstract_syntax.clone(),
                transfer_syntax: c.transfer_syntax.clone(),
            })
            .collect();
        let mut progress = Progress::new(instances.len());
        let mut cancelled = self.cancelled(message_id)?;
        for instance in &instances {
            if cancelled {
                break;
            }
            let imaging = &self.shared.imaging;
            let sent = match way(&contexts, instance, |from, to| imaging.converts(from, to)) {
                None => Err("no presentation context takes its class and syntax".to_owned()),
                Some(way) => {
                    if let Err(error) = self.sub_store(&way, instance).await? {
                        Err(why_not(instance, &error))
                    } else {
                        let (sent, stop) = self.sub_answer(message_id).await?;
                        cancelled = stop;
                        Ok(sent)
                    }
                }
            };
            progress.count(instance, &sent);
            if progress.due() && !cancelled {
                let pending = progress.response(&request.command, status::PENDING, "", false);
                self.send(request.context.id, pending, None).await?;
            }
        }
        self.end_retrieval(request, &progress, cancelled.then_some(status::CANCEL)).await
    }

    async fn sub_store(
        &mut self,
        way: &Way,
        instance: &IndexedInstance,
    ) -> Result<Result<(), Error>, WireError> {
        let id = self.message_id();
        let object = Outgoing {
            context: way.context,
            sop_class: &instance.sop_class,
            sop_instance: &instance.uids.instance,
            originator: None,
            converted_to: way.converted_to.as_deref(),
        };
        let set = store_request(&object, id);
        let from = (&*self.shared.imaging, &self.requester);
        let limit = self.send_bytes_max;
        match send_object((&mut self.wire, limit), &object, set, from, instance, None).await {
            Ok(()) => Ok(Ok(())),
            Err(SendError::Object(error)) => Ok(Err(error)),
            Err(SendError::Wire(error)) => Err(error),
        }
    }

    /// Waits for the answer to a sub-operation; a C-CANCEL may come before it.
    async fn sub_answer(&mut self, message_id: u16) -> Result<(Sent, bool), WireError> {
        let mut cancelled = false;
        loop {
            let pdv = match self.wire.next().await? {
                Frame::Data(pdv) => pdv,
                Frame::Control(_) => return Err(unexpected("an answer was expected")),
                Frame::End => return Err(WireError::Lost(super::server::gone())),
            };
            let read =
                if pdv.command && pdv.last { Command::read(pdv.data.clone()).ok() } else { None };
            match read {
                Some(set) if set.field == field::C_STORE_RQ | field::RESPONSE => {
                    return Ok((sent(&set), cancelled));
                }
                _ => cancelled |= is_cancel(&pdv, message_id)?,
            }
        }
    }

    /// The instances that a request names, and the audit entries for giving them.
    async fn selected(&mut self, request: &Request) -> Result<Vec<IndexedInstance>, Status> {
        let set = elements(request)?;
        let selection: Selection = selection(&set, &request.context.abstract_syntax)?;
        let imaging = &self.shared.imaging;
        let mut instances: Vec<IndexedInstance> = Vec::new();
        loop {
            let offset = u64::try_from(instances.len()).unwrap_or(u64::MAX);
            let page = imaging
                .instances(&self.requester, selection.clone(), offset, PAGE)
                .await
                .map_err(|error| status::of_error(&error, 0xA701))?;
            let more = u64::try_from(page.len()).unwrap_or(0) == PAGE;
            instances.extend(page);
            if instances.len() > INSTANCES_MAX {
                return Err(Status::new(0xA701, "more than 65535 instances match"));
            }
            if !more {
                break;
            }
        }
        let mut studies: Vec<&str> = instances.iter().map(|i| i.uids.study.as_str()).collect();
        studies.dedup();
        for study in studies {
            imaging
                .audit_study(&self.requester, study)
                .await
                .map_err(|error| status::of_error(&error, 0xC000))?;
        }
        Ok(instances)
    }

    async fn end_retrieval(
        &mut self,
        request: &Request,
        progress: &Progress,
        cancelled: Option<u16>,
    ) -> Result<(), WireError> {
        let (code, comment) = match cancelled {
            Some(code) => (code, String::new()),
            None => progress.outcome(),
        };
        let list =
            super::find::failed_list(&request.context.transfer_syntax, &progress.failed_uids);
        let pending = progress.response(&request.command, code, &comment, list.is_some());
        self.send(request.context.id, pending, list.as_deref()).await
    }
}

/// Why an object did not go out.
#[derive(Debug)]
pub(super) enum SendError {
    /// It cannot be read. Nothing of it was sent.
    Object(Error),
    /// The association broke.
    Wire(WireError),
}

impl From<WireError> for SendError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Sends an object, in pieces if it is long, the first together with its command set.
pub(super) async fn send_object(
    (wire, limit): (&mut Wire, u32),
    object: &Outgoing<'_>,
    set: CommandSet,
    (imaging, requester): (&Imaging, &Requester),
    instance: &IndexedInstance,
    pace: Option<&dyn Pace>,
) -> Result<(), SendError> {
    let converted = match object.converted_to {
        None => None,
        Some(to) => {
            let converted = imaging.converted(requester, instance, to).await;
            Some(converted.map_err(SendError::Object)?)
        }
    };
    let length = converted.as_ref().map_or(instance.location.length, |converted| {
        u64::try_from(converted.bytes().len()).unwrap_or(u64::MAX)
    });
    let context = object.context;
    let chunk_bytes = if pace.is_some() { PACED_CHUNK_BYTES } else { CHUNK_BYTES };
    let mut at = 0;
    let mut out = Vec::new();
    put_fragments(&mut out, (context, true), &set.encode(), true, limit);
    loop {
        let end = (at + chunk_bytes).min(length);
        let read = match &converted {
            Some(converted) => Ok(part(converted.bytes(), at, end)),
            None => imaging.bytes(requester, instance.location, at..end).await,
        };
        let bytes = match read {
            Ok(bytes) if u64::try_from(bytes.len()) == Ok(end - at) => bytes,
            // An object that breaks off in the middle cannot be taken back; the association ends.
            Ok(_) | Err(_) if at > 0 => {
                return Err(SendError::Wire(WireError::Lost(super::server::gone())));
            }
            Ok(_) => {
                return Err(SendError::Object(Error::Unavailable { what: "archive", cause: None }));
            }
            Err(error) => return Err(SendError::Object(error)),
        };
        put_fragments(&mut out, (context, false), &bytes, end == length, limit);
        if let Some(pace) = pace {
            sleep(pace.delay(end - at)).await;
        }
        wire.send(&out).await?;
        if end == length {
            return Ok(());
        }
        out.clear();
        at = end;
    }
}

/// Bytes `at` to `end`; empty if there are fewer.
fn part(bytes: &Bytes, at: u64, end: u64) -> Bytes {
    let (Ok(at), Ok(end)) = (usize::try_from(at), usize::try_from(end)) else {
        return Bytes::new();
    };
    if end <= bytes.len() { bytes.slice(at.min(end)..end) } else { Bytes::new() }
}

impl Dialled {
    /// Sends a kept object and waits for the answer.
    pub(super) async fn store(
        &mut self,
        object: &Outgoing<'_>,
        from: (&Imaging, &Requester),
        instance: &IndexedInstance,
        pace: Option<&dyn Pace>,
    ) -> Result<Sent, SendError> {
        let id = self.message_id();
        let set = store_request(object, id);
        let limit = self.send_bytes_max;
        send_object((&mut self.wire, limit), object, set, from, instance, pace).await?;
        let answered = timeout(super::dial::ANSWER_WITHIN, self.answer()).await;
        let (answer, _) = answered.map_err(|_| WireError::Idle(super::dial::ANSWER_WITHIN))??;
        Ok(sent(&answer))
    }
}

/// How an object goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// Presentation context.
    pub(super) context: u8,
    /// Its transfer syntax, if the object is kept in another.
    pub(super) converted_to: Option<String>,
}

/// The way for `instance`: on a context that takes it as it is kept, else on the best that it
/// `converts` to.
pub(super) fn way(
    contexts: &[Agreed],
    instance: &IndexedInstance,
    converts: impl Fn(&str, &str) -> bool,
) -> Option<Way> {
    let of_class = || contexts.iter().filter(|c| c.abstract_syntax == instance.sop_class);
    if let Some(same) = of_class().find(|c| c.transfer_syntax == instance.transfer_syntax) {
        return Some(Way { context: same.id, converted_to: None });
    }
    TARGETS
        .iter()
        .filter(|to| converts(&instance.transfer_syntax, to))
        .find_map(|to| of_class().find(|c| c.transfer_syntax == *to))
        .map(|c| Way { context: c.id, converted_to: Some(c.transfer_syntax.clone()) })
}

/// What the requester is told of an object that did not go out; the log has the instance.
fn why_not(instance: &IndexedInstance, error: &Error) -> String {
    let reason = crate::app::chain(error);
    tracing::warn!(instance = instance.uids.instance, reason, "object not sent");
    reason
}

/// Instances in groups whose classes and syntaxes fit into one association request: each may take
/// two contexts.
fn groups(instances: &[IndexedInstance]) -> Vec<Vec<IndexedInstance>> {
    const KINDS_MAX: usize = CONTEXTS_MAX / 2;
    let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for instance in instances {
        let next = kinds.len();
        kinds.entry((&instance.sop_class, &instance.transfer_syntax)).or_insert(next);
    }
    let mut groups = vec![Vec::new(); kinds.len().div_ceil(KINDS_MAX)];
    for instance in instances {
        let kind = kinds.get(&(&*instance.sop_class, &*instance.transfer_syntax)).copied();
        if let Some(group) = kind.and_then(|k| groups.get_mut(k / KINDS_MAX)) {
            group.push(instance.clone());
        }
    }
    groups
}

/// One context for each class and syntax that is kept, and one for each class with what it can be
/// converted to.
pub(super) fn proposals(
    instances: &[IndexedInstance],
    converts: impl Fn(&str, &str) -> bool,
) -> Vec<Proposal> {
    let mut proposals: Vec<Proposal> = Vec::new();
    let mut propose = |class: &str, transfer_syntaxes: Vec<String>| {
        let proposal =
            Proposal { abstract_syntax: class.to_owned(), transfer_syntaxes, as_provider: false };
        if !proposals.contains(&proposal) {
            proposals.push(proposal);
        }
    };
    for instance in instances {
        let stored = &instance.transfer_syntax;
        propose(&instance.sop_class, vec![stored.clone()]);
        let common = [EXPLICIT_LITTLE, IMPLICIT_LITTLE];
        if common.iter().all(|to| converts(stored, to)) {
            propose(&instance.sop_class, common.map(str::to_owned).to_vec());
        }
    }
    proposals
}

#[cfg(test)]
mod tests;
