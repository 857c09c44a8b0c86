//! Imaging use cases: keep what is sent, find it, give it back.
//!
//! An object arrives through [`Incoming`], which checks and hashes it while it streams in. Those
//! that are complete at the same time share one write and one sync ([`keeping`]). Success is said
//! when an object's bytes are on the disk and every question asked from then on finds it.
//! Imaging use cases: keep what is sent, find it, give it back, show it.

mod catching_up;
pub mod custody;
pub mod delivery;
mod entering;
mod eraser;
pub mod erasing;
pub mod feed;
pub mod forwarding;
pub mod holdings;
pub mod holds;
pub mod images;
mod incoming;
#[cfg(test)]
pub(crate) mod index_suite;
mod keeping;
pub mod metadata;
pub mod models;
pub mod near;
pub mod objects;
pub mod peers;
pub mod pictures;
pub mod ports;
mod reading;
pub mod receiving;
mod room;
pub mod search;
pub mod study;
#[cfg(test)]
mod testing;
#[cfg(test)]
pub(in crate::app) mod tests;
pub mod worklist;

use std::sync::{Arc, OnceLock};

use tokio::sync::{Semaphore, mpsc};

pub use self::catching_up::{CaughtUp, catch_up};
use self::custody::Custody;
pub use self::entering::Intake;
pub(in crate::app) use self::entering::{counted, only};
use self::eraser::{Eraser, Errand};
use self::holdings::{Holdings, Uses};
pub use self::incoming::{Expected, Incoming, Refused};
pub use self::keeping::{Keeper, Kept, Stored};
use self::near::Neighbours;
use self::peers::{Service, Services};
use self::ports::{Archive, StudyIndex};
pub use self::reading::{ANSWERS_MAX, Found, INSTANCES_PAGE_MAX};
pub use self::room::CopyLimits;
use self::room::Room;
use self::transcode::Transcoder;
use crate::app::access::{Action, Caller, Role};
use crate::app::error::Error;
use crate::app::ports::{Clock, Journal};

/// Bytes of one object at most: what an explicit length can say.
pub const OBJECT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of one object that are held in memory while it arrives; a longer one goes to a file.
const MEMORY_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes of all arriving objects that are held in memory at the same time.
const MEMORY_BYTES_ALL_MAX: usize = 128 * 1024 * 1024;
/// Memory is counted in pieces of so many bytes.
const MEMORY_UNIT: usize = 64 * 1024;
/// Complete objects that wait to be kept.
const WAITING_MAX: usize = 1024;

/// Who asks, and what of imaging they may.
#[derive(Debug, Clone)]
pub struct Requester {
    /// The caller.
    pub caller: Caller,
    /// What they may.
    pub services: Services,
}

/// The imaging use cases.
#[derive(Debug)]
pub struct Imaging {
    archive: Arc<dyn Archive>,
    index: Arc<dyn StudyIndex>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    jobs: mpsc::Sender<keeping::Job>,
    memory: Arc<Semaphore>,
    transcoder: Arc<dyn Transcoder>,
    converting: Arc<Semaphore>,
    holdings: Arc<dyn Holdings>,
    custody: Arc<dyn Custody>,
    errands: mpsc::Sender<Errand>,
    room: Arc<Room>,
    uses: Arc<Uses>,
    neighbours: OnceLock<Arc<dyn Neighbours>>,
}

/// What imaging works with.
#[derive(Debug)]
pub struct ImagingParts {
    /// Bytes.
    pub archive: Arc<dyn Archive>,
    /// What they are.
    pub index: Arc<dyn StudyIndex>,
    /// Where reads are audited.
    pub journal: Arc<dyn Journal>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Converts what receivers do not take as it is kept.
    pub transcoder: Arc<dyn Transcoder>,
    /// Which objects are copies of other nodes, what is held, what is being erased.
    pub custody: Arc<dyn Custody>,
    /// What may be kept of copies.
    pub copies: CopyLimits,
}

impl Requester {
    /// With the caller's own rights: who may find may find, and so on; the local caller does everything. A
    /// peer's rights come from the table of application entities, another node's from the order that
    /// it carries out, not from the role.
    pub fn of(caller: Caller) -> Self {
        let services = match caller.role {
            Role::Local => Services::all(),
            Role::DicomPeer | Role::Node => Services::NONE,
            Role::VillageDoctor
            | Role::TownshipDoctor
            | Role::HospitalDoctor
            | Role::Radiologist
            | Role::Pharmacist
            | Role::PublicHealthWorker
            | Role::Auditor
            | Role::Administrator => {
                let services = [
                    (Service::Echo, Action::FindImages),
                    (Service::Find, Action::FindImages),
                    (Service::Store, Action::StoreImages),
                    (Service::Retrieve, Action::RetrieveImages),
                ];
                let granted = services.into_iter().filter(|(_, a)| caller.rights().allow(*a));
                granted.map(|(service, _)| service).collect()
            }
        };
        Self { caller, services }
    }

    /// Asks for leave.
    pub fn permit(&self, service: Service) -> Result<(), Error> {
        if self.services.has(service) {
            return Ok(());
        }
        let action = match service {
            Service::Echo => "echo",
            Service::Store => "store_images",
            Service::Find => "find_images",
            Service::Retrieve => "retrieve_images",
            Service::Worklist => "read_worklist",
            Service::Mpps => "report_performed_steps",
        };
        Err(Error::Denied { action })
    }
}

impl Imaging {
    /// Brings the index up to what the archive holds, and returns the use cases with the task that
    /// keeps what arrives; it ends when the use cases are dropped. An index that cannot be brought
    /// up now, on a full disk mostly, does not keep the node from giving what it finds; nothing is
    /// taken until it can.
    pub async fn start(parts: ImagingParts) -> Result<(Arc<Self>, Keeper, CaughtUp), Error> {
        let ImagingParts { archive, index, journal, clock, transcoder, custody, copies } = parts;
        let holdings: Arc<dyn Holdings> = Arc::<dyn Custody>::clone(&custody);
        let (caught, behind) =
            match catch_up(&*archive, &*index, Some(&*holdings), &mut |_| ()).await {
                Ok(caught) => (caught, false),
                Err(error) => {
                    let error = super::chain(&error);
                    tracing::error!(error, "index of studies lacks what the archive holds");
                    (CaughtUp::default(), true)
                }
            };
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (errands, to_do) = mpsc::channel(WAITING_MAX);
        let (uses, room) = (Arc::new(Uses::default()), Arc::new(Room::new(copies)));
        let gate = eraser::Gate::default();
        let eraser = Eraser {
            archive: Arc::clone(&archive),
            index: Arc::clone(&index),
            custody: Arc::clone(&custody),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            uses: Arc::clone(&uses),
            room: Arc::clone(&room),
            gate: Arc::clone(&gate),
        };
        eraser.begin().await;
        let kept = keeping::Places {
            archive: Arc::clone(&archive),
            index: Arc::clone(&index),
            holdings: Arc::clone(&holdings),
            uses: Arc::clone(&uses),
            trail: entering::Trail { journal: Arc::clone(&journal), clock: Arc::clone(&clock) },
            gate,
        };
        let keeper = Keeper::new(kept, waiting, behind, (eraser, to_do));
        let memory = Arc::new(Semaphore::new(MEMORY_BYTES_ALL_MAX / MEMORY_UNIT));
        let converting = Arc::new(Semaphore::new(transcode::CONVERTING_BYTES_MAX / MEMORY_UNIT));
        let imaging = Self {
            archive,
            index,
            journal,
            clock,
            jobs,
            memory,
            transcoder,
            converting,
            holdings,
            custody,
            errands,
            room,
            uses,
            neighbours: OnceLock::new(),
        };
        Ok((Arc::new(imaging), keeper, caught))
    }
}
pub mod progressive;
pub mod render;
pub mod transcode;
