//! Fetches a study that another node holds: what is here already is not asked for, a broken line is
//! gone on from the byte it broke at, from another node if need be, and every object is checked
//! against the digest that its holder listed before it is kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::behind::{Behind, BehindStudy, Brought};
use super::ports::{Pieces, Region};
use super::{FetchRequest, ListedObject, Piece, Purpose, WANTED_MAX, Wanted, WantedObject};
use crate::app::access::{Action, Caller, Role, authorise};
use crate::app::error::Error;
use crate::app::imaging::images::Images;
use crate::app::imaging::peers::{Service, Services};
use crate::app::imaging::search::validate_uid;
use crate::app::imaging::{Imaging, Incoming, Intake, Kept, Refused, Requester, Stored};
use crate::app::ports::AuditEntry;
use crate::app::request::Problems;
use crate::app::{App, chain};

/// How long the other side may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often in a row it is tried again without a byte that came.
const TRIES_MAX: u32 = 7;
/// After so many tries in a row another node is asked.
const TRIES_OF_ONE_NODE: u32 = 2;
/// The first pause; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(500);
/// Complete objects that wait for the disk.
const WAITING_MAX: usize = 64;
/// Objects of one study at most.
const OBJECTS_MAX: usize = 100_000;

/// Asks for a study of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyFetch {
    /// Study instance UID.
    pub study: String,
    /// Node to fetch from; empty for the nearest that holds it.
    pub node: String,
    /// Why.
    pub purpose: Purpose,
}

/// How far a fetch has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The node that delivers.
    pub node: String,
    /// Objects of the study.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Objects that were here before.
    pub here: u64,
    /// Objects that came and are kept.
    pub kept: u64,
    /// Bytes that came.
    pub came: u64,
    /// Objects that their holder does not have any more.
    pub missing: u64,
    /// Objects that were refused here, by reason.
    pub refused: BTreeMap<String, u64>,
    /// How often the line broke.
    pub broken: u64,
}

/// The state of one fetch.
pub(super) struct Fetch<'a> {
    region: Arc<dyn Region>,
    imaging: &'a Imaging,
    requester: Requester,
    intake: Arc<Intake>,
    request: &'a StudyFetch,
    requested_by: String,
    wanted: VecDeque<ListedObject>,
    /// The first of `wanted`, as far as it has come.
    partial: Option<(Box<Incoming<'a>>, u64)>,
    waiting: VecDeque<(u64, oneshot::Receiver<Result<Stored, Error>>)>,
    node: String,
    avoid: Vec<String>,
    progress: Progress,
    told: mpsc::Sender<Progress>,
}

impl App {
    /// Fetches a study from another node of the region and keeps it. Progress is told as it is
    /// made; some of it is left out where nobody reads. Dropping the future ends the fetch; what has
    /// come is kept, and the next fetch goes on from there.
    pub async fn fetch_study(
        &self,
        caller: &Caller,
        request: &StudyFetch,
        told: mpsc::Sender<Progress>,
    ) -> Result<Progress, Error> {
        let permit = authorise(caller, Action::RetrieveImages)?;
        let mut problems = Problems::default();
        validate_uid(&mut problems, "study_uid", &request.study);
        problems.chars("node", &request.node, crate::app::request::ID_CHARS_MAX);
        problems.finish()?;
        self.region()?;
        let images: &Images = self.images()?;
        let imaging = images.imaging();
        let own = if request.node.is_empty() || request.node == self.name {
            self.behind.as_ref()
        } else {
            None
        };
        let keeper = keeper();
        let lacking = match own {
            Some(behind) => behind.lacking(&keeper, &request.study).await?,
            None => None,
        };
        let mut patient = imaging.patient_of(&request.study).await?;
        if let Some(behind) = lacking.as_ref().filter(|_| patient.is_empty()) {
            patient.clone_from(&behind.study.patient.id);
        }
        let detail = request.purpose.audited();
        let entry = AuditEntry { detail, ..self.entry(&request.study, &patient) };
        self.journal.audit(&permit, entry.clone()).await?;
        let fetched = self.fetched(caller, request, (own, lacking), told).await?;
        if patient.is_empty() {
            // Whose it is, is known now that it is here.
            let patient_reference = imaging.patient_of(&request.study).await?;
            if !patient_reference.is_empty() {
                let at_ms = self.clock.now_ms();
                let entry = AuditEntry { at_ms, patient_reference, ..entry };
                self.journal.audit(&permit, entry).await?;
            }
        }
        Ok(fetched)
    }

    async fn fetched(
        &self,
        caller: &Caller,
        request: &StudyFetch,
        (own, lacking): (Option<&Arc<Behind>>, Option<BehindStudy>),
        told: mpsc::Sender<Progress>,
    ) -> Result<Progress, Error> {
        let region = Arc::clone(self.region()?);
        let images: &Images = self.images()?;
        let (imaging, keeper) = (images.imaging(), keeper());
        let fetch = Fetch::new(region, imaging, request, caller.name.clone(), told);
        let Some(behind) = own else { return fetch.run().await };
        let node = self.name.clone();
        let Some(lacking) = lacking else {
            let here = behind.here(&keeper, &request.study).await?;
            return match fetch.run().await {
                // Nobody else has it, and all of it is here.
                Err(Error::NotFound { .. }) if here > 0 => {
                    Ok(Progress { node, objects: here, here, ..Progress::default() })
                }
                fetched => fetched,
            };
        };
        match behind.bring(&keeper, &lacking).await {
            Ok(Brought { completed, failed }) => Ok(Progress {
                node,
                objects: completed.saturating_add(failed),
                kept: completed,
                ..Progress::default()
            }),
            // Another node may have it as well.
            Err(error) if request.node.is_empty() => fetch.run().await.map_err(|_| error),
            Err(error) => Err(error),
        }
    }
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        region: Arc<dyn Region>,
        imaging: &'a Imaging,
        request: &'a StudyFetch,
        requested_by: String,
        told: mpsc::Sender<Progress>,
    ) -> Self {
        Self {
            region,
            imaging,
            requester: keeper(),
            intake: Intake::of(keeper()),
            request,
            requested_by,
            wanted: VecDeque::new(),
            partial: None,
            waiting: VecDeque::new(),
            node: request.node.clone(),
            avoid: Vec::new(),
            progress: Progress::default(),
            told,
        }
    }

    pub(super) async fn run(mut self) -> Result<Progress, Error> {
        self.persist(Step::List).await?;
        self.progress.node.clone_from(&self.node);
        self.tell();
        self.persist(Step::Objects).await?;
        while !self.waiting.is_empty() {
            self.kept().await?;
        }
        Ok(self.progress)
    }

    /// Does a step until it is done, through breaks of the line.
    async fn persist(&mut self, step: Step) -> Result<(), Error> {
        let mut tries = 0_u32;
        loop {
            let came = (self.progress.came, self.wanted.len());
            let done = match step {
                Step::List => self.list().await,
                Step::Objects => self.objects().await,
            };
            let error = match done {
                Ok(()) => return Ok(()),
                Err(error) if !error.retryable() => return Err(error),
                Err(error) => error,
            };
            self.progress.broken += 1;
            tries = if (self.progress.came, self.wanted.len()) == came { tries + 1 } else { 1 };
            tracing::info!(error = chain(&error), tries, "fetch of a study is tried again");
            if tries > TRIES_MAX {
                return Err(error);
            }
            if tries > TRIES_OF_ONE_NODE && self.request.node.is_empty() {
                // The others are asked first; when there are none, this one again.
                self.avoid = if self.node.is_empty() || self.avoid.contains(&self.node) {
                    Vec::new()
                } else {
                    vec![std::mem::take(&mut self.node)]
                };
            }
            self.tell();
            sleep(PAUSE * 2_u32.pow(tries.min(5) - 1)).await;
        }
    }

    /// Learns what the study consists of, and what of it is not here.
    async fn list(&mut self) -> Result<(), Error> {
        let mut pieces = self.ask(Wanted::Listing).await?;
        let mut listed: Vec<ListedObject> = Vec::new();
        while let Some(piece) = next(&mut pieces).await? {
            match piece {
                Piece::From { node } => self.node = node,
                Piece::Listed(more) => listed.extend(more),
                Piece::Object { .. } | Piece::Bytes(_) | Piece::Missing { .. } => {
                    return Err(confused());
                }
            }
            if listed.len() > OBJECTS_MAX {
                let reason = "the study has more than 100,000 objects".to_owned();
                return Err(Error::Refused { reason });
            }
        }
        if listed.is_empty() {
            return Err(Error::NotFound { kind: "study" });
        }
        let names = listed.iter().map(|object| object.uids.instance.clone()).collect();
        let known = self.imaging.known(&self.requester, names).await?;
        self.progress = Progress {
            objects: u64::try_from(listed.len()).unwrap_or(u64::MAX),
            bytes: listed.iter().map(|object| object.bytes).sum(),
            ..Progress::default()
        };
        for (object, known) in listed.into_iter().zip(known) {
            if known.iter().any(|k| k.digest == object.digest) {
                self.progress.here += 1;
            } else {
                self.wanted.push_back(object);
            }
        }
        Ok(())
    }

    /// Fetches what is wanted.
    async fn objects(&mut self) -> Result<(), Error> {
        while !self.wanted.is_empty() {
            let begun = self.partial.as_ref().map_or(0, |(_, came)| *came);
            let wanted = self.wanted.iter().take(WANTED_MAX).enumerate();
            let wanted = wanted.map(|(place, object)| WantedObject {
                instance: object.uids.instance.clone(),
                digest: object.digest,
                offset: if place == 0 { begun } else { 0 },
            });
            let mut left = self.wanted.len().min(WANTED_MAX);
            let mut pieces = self.ask(Wanted::Objects(wanted.collect())).await?;
            while left > 0 {
                let Some(piece) = next(&mut pieces).await? else { return Err(broken(None)) };
                if self.take(piece).await? {
                    left -= 1;
                }
            }
        }
        Ok(())
    }

    async fn ask(&mut self, wanted: Wanted) -> Result<Pieces, Error> {
        let request = FetchRequest {
            study: self.request.study.clone(),
            node: self.node.clone(),
            avoid: self.avoid.clone(),
            wanted,
            purpose: self.request.purpose,
            requested_by: self.requested_by.clone(),
        };
        self.region.fetch(request).await
    }

    /// Takes the next piece. Whether an object has come to its end with it.
    async fn take(&mut self, piece: Piece) -> Result<bool, Error> {
        match piece {
            Piece::From { node } => {
                self.node.clone_from(&node);
                self.progress.node = node;
                Ok(false)
            }
            Piece::Object { instance, digest, transfer_syntax, meta, offset, length } => {
                let Some(first) = self.wanted.front() else { return Err(confused()) };
                let expected = first.uids.instance == instance
                    && first.digest == digest
                    && first.bytes == length
                    && offset == self.partial.as_ref().map_or(0, |(_, came)| *came);
                if !expected {
                    self.partial = None;
                    return Err(confused());
                }
                if self.partial.is_none() {
                    let meta = meta.to_vec();
                    match self.imaging.receive(&self.intake, &transfer_syntax, None, meta) {
                        Ok(incoming) => {
                            let study = Some(self.request.study.clone());
                            let incoming = incoming.of_study(study).copy_of(&self.node);
                            self.partial = Some((Box::new(incoming), 0));
                        }
                        Err(refused) => {
                            self.refuse(refused)?;
                            // The rest of it is on its way; the others are asked for anew.
                            return Err(broken(None));
                        }
                    }
                }
                if length == offset { self.end().await } else { Ok(false) }
            }
            Piece::Bytes(bytes) => self.bytes(bytes).await,
            Piece::Missing { instance } => {
                if self.wanted.front().is_none_or(|first| first.uids.instance != instance) {
                    return Err(confused());
                }
                self.partial = None;
                self.wanted.pop_front();
                self.progress.missing += 1;
                self.tell();
                Ok(true)
            }
            Piece::Listed(_) => Err(confused()),
        }
    }

    async fn bytes(&mut self, bytes: Bytes) -> Result<bool, Error> {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let Some((incoming, came)) = &mut self.partial else { return Err(confused()) };
        let Some(first) = self.wanted.front() else { return Err(confused()) };
        let whole = first.bytes;
        if came.saturating_add(count) > whole {
            self.partial = None;
            return Err(confused());
        }
        if let Err(refused) = incoming.push(bytes).await {
            self.refuse(refused)?;
            return Err(broken(None));
        }
        *came += count;
        self.progress.came += count;
        if *came < whole {
            return Ok(false);
        }
        self.end().await
    }

    /// The first of the wanted has come.
    async fn end(&mut self) -> Result<bool, Error> {
        let Some((incoming, came)) = self.partial.take() else { return Err(confused()) };
        let Some(first) = self.wanted.front() else { return Err(confused()) };
        if incoming.digest() != first.digest {
            // Damaged on the way, or its holder no longer has what it listed: once more from the
            // beginning. Bytes that were worth nothing do not count as progress.
            self.progress.came = self.progress.came.saturating_sub(came);
            return Err(broken(Some("an object does not have the digest that was listed")));
        }
        match incoming.submit().await {
            Ok(told) => {
                self.wanted.pop_front();
                self.waiting.push_back((came, told));
                if self.waiting.len() >= WAITING_MAX {
                    self.kept().await?;
                }
            }
            Err(refused) => self.refuse(refused)?,
        }
        self.tell();
        Ok(true)
    }

    /// Waits until the object that came first is kept.
    async fn kept(&mut self) -> Result<(), Error> {
        let Some((_, told)) = self.waiting.pop_front() else { return Ok(()) };
        let gone = || Error::Unavailable { what: "imaging", cause: None };
        let stored = told.await.map_err(|_| gone())??;
        match stored.kept {
            Kept::New | Kept::Known => self.progress.kept += 1,
            Kept::Apart => {
                *self.progress.refused.entry(APART.to_owned()).or_insert(0) += 1;
            }
        }
        self.tell();
        Ok(())
    }

    /// The first of the wanted cannot be kept. An error if nothing can be kept now.
    fn refuse(&mut self, refused: Refused) -> Result<(), Error> {
        self.partial = None;
        if let Refused::Node(error) = refused {
            return Err(error);
        }
        self.wanted.pop_front();
        *self.progress.refused.entry(refused.to_string()).or_insert(0) += 1;
        Ok(())
    }

    fn tell(&self) {
        // Whoever does not read misses some of it.
        let _ = self.told.try_send(self.progress.clone());
    }
}

/// Why an object that came is not counted as kept with the study.
const APART: &str = "another object with its SOP instance UID is here; this one is kept apart";

#[derive(Debug, Clone, Copy)]
enum Step {
    List,
    Objects,
}

/// What comes is kept by the node, for whom the caller asked it.
fn keeper() -> Requester {
    Requester {
        caller: Caller::system("region", Role::Node),
        services: [Service::Find, Service::Store].into_iter().collect::<Services>(),
    }
}

/// The next piece; none at the end.
async fn next(pieces: &mut Pieces) -> Result<Option<Piece>, Error> {
    match timeout(SILENCE_MAX, pieces.next()).await {
        Ok(piece) => piece.transpose(),
        Err(_) => Err(broken(Some("the node that delivers is silent"))),
    }
}

fn broken(why: Option<&'static str>) -> Error {
    Error::Unavailable { what: "node that holds the study", cause: why.map(Into::into) }
}

/// What came does not belong here.
fn confused() -> Error {
    broken(Some("what was delivered is not what was asked for"))
}
