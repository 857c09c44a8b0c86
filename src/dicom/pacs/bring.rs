//! Bringing a study from a PACS (PS3.4, C.4.2 and C.4.3 as SCU).
//!
//! By C-GET its objects come over the association that asked; by C-MOVE to our own AE title they
//! come in at the door like any others, and are known by the message that they name. What comes is
//! noted as a copy of what the PACS has, so that it gives room again.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use dicom_core::VR;
use dicom_dictionary_std::{tags, uids as standard};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{DimsePacs, PacsError, first, plain};
use crate::app::access::{Caller, Role};
use crate::app::error::Error;
use crate::app::imaging::peers::{Service, Services};
use crate::app::imaging::{Expected, Incoming, Intake, Refused, Requester, Stored};
use crate::app::regional::behind::{Brought, Question};
use crate::dicom::association::unexpected;
use crate::dicom::command::{COMMAND_BYTES_MAX, Command, CommandSet, element, field};
use crate::dicom::dial::{Agreed, CONTEXTS_MAX, Dialled, Proposal, broken};
use crate::dicom::wire::{Frame, Patience, Pdv, WireError};
use crate::dicom::{status, uids};
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::writing::write;

/// How long a PACS may be silent while it brings: it may have to load what it gives.
const SILENCE_MAX: Duration = Duration::from_mins(5);
/// Objects that wait for the disk. The PACS does not wait for it: it has them still.
const WAITING_MAX: usize = 64;
/// Series whose instances are asked for their classes.
const SERIES_MAX: usize = 500;
/// How long objects of a C-MOVE that was given up are known by: a PACS sends on for a while.
const LATE_MAX: Duration = Duration::from_mins(30);
/// Classes that are proposed in one C-GET at most, each with two contexts.
const CLASSES_MAX: usize = (CONTEXTS_MAX - 1) / 2;

/// Syntaxes that are proposed, each in a context of its own where there is room: then an object
/// comes as it is kept.
const SYNTAXES: &[&str] = &[
    standard::EXPLICIT_VR_LITTLE_ENDIAN,
    standard::IMPLICIT_VR_LITTLE_ENDIAN,
    standard::JPEG_BASELINE8_BIT,
    standard::JPEG_EXTENDED12_BIT,
    standard::JPEG_LOSSLESS,
    standard::JPEG_LOSSLESS_SV1,
    standard::JPEGLS_LOSSLESS,
    standard::JPEGLS_NEAR_LOSSLESS,
    standard::JPEG2000_LOSSLESS,
    standard::JPEG2000,
    standard::RLE_LOSSLESS,
    standard::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    standard::HTJ2K_LOSSLESS,
    standard::HTJ2K_LOSSLESS_RPCL,
    standard::HTJ2K,
    uids::EXPLICIT_BE,
    standard::MPEG2MPML,
    standard::MPEG4HP41,
];

/// Classes proposed where the PACS does not say which it has.
const COMMON_CLASSES: &[&str] = &[
    standard::CT_IMAGE_STORAGE,
    standard::ENHANCED_CT_IMAGE_STORAGE,
    standard::MR_IMAGE_STORAGE,
    standard::ENHANCED_MR_IMAGE_STORAGE,
    standard::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
    standard::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    standard::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    standard::ULTRASOUND_IMAGE_STORAGE,
    standard::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
    standard::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE,
    standard::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE,
    standard::NUCLEAR_MEDICINE_IMAGE_STORAGE,
    standard::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
    standard::SECONDARY_CAPTURE_IMAGE_STORAGE,
    standard::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE,
    standard::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
    standard::TWELVE_LEAD_ECG_WAVEFORM_STORAGE,
    standard::GENERAL_ECG_WAVEFORM_STORAGE,
    standard::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    standard::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE,
    standard::BASIC_TEXT_SR_STORAGE,
    standard::ENHANCED_SR_STORAGE,
    standard::COMPREHENSIVE_SR_STORAGE,
    standard::X_RAY_RADIATION_DOSE_SR_STORAGE,
    standard::ENCAPSULATED_PDF_STORAGE,
    standard::ENCAPSULATED_CDA_STORAGE,
];

/// How studies are brought.
#[derive(Debug, Clone)]
pub enum Way {
    /// By C-GET.
    Get,
    /// By C-MOVE to the AE title `title`, which is ours; the door knows what comes by `moves`.
    Move {
        /// Our AE title, as the PACS has it in its table.
        title: String,
        /// Where the door looks.
        moves: Moves,
    },
}

/// The C-MOVE operations of ours that run, or ended a while ago.
#[derive(Debug, Clone, Default)]
pub struct Moves(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    last: u16,
    /// With when it ended, if it has.
    by_id: HashMap<u16, (Moved, Option<Instant>)>,
}

/// What one of them moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dicom) struct Moved {
    /// Name under which its objects are noted as copies.
    pub(in crate::dicom) from: String,
    /// Study instance UID.
    pub(in crate::dicom) study: String,
}

/// A C-MOVE that has ended when this is dropped.
pub(super) struct RunningMove {
    moves: Moves,
    pub(super) id: u16,
}

impl Moves {
    /// What the C-MOVE with this message id moves.
    pub(in crate::dicom) fn of(&self, id: u16) -> Option<Moved> {
        self.lock().by_id.get(&id).map(|(moved, _)| moved.clone())
    }

    /// A message id that no other has now. None: too many run.
    pub(super) fn begin(&self, moved: Moved) -> Option<RunningMove> {
        let mut running = self.lock();
        running.by_id.retain(|_, (_, ended)| ended.is_none_or(|at| at.elapsed() < LATE_MAX));
        for _ in 0..u16::MAX {
            running.last = running.last.wrapping_add(1).max(1);
            let id = running.last;
            if let Entry::Vacant(free) = running.by_id.entry(id) {
                free.insert((moved, None));
                return Some(RunningMove { moves: self.clone(), id });
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningMove {
    fn drop(&mut self) {
        if let Some((_, ended)) = self.moves.lock().by_id.get_mut(&self.id) {
            *ended = Some(Instant::now());
        }
    }
}

/// An object that comes over an association of ours.
struct Arriving<'a> {
    context: u8,
    command: Command,
    into: Result<Box<Incoming<'a>>, Refused>,
}

/// What waits for the disk.
type Waiting = VecDeque<oneshot::Receiver<Result<Stored, Error>>>;

impl DimsePacs {
    pub(super) async fn brought(&self, study: &str) -> Result<Brought, PacsError> {
        match &self.way {
            Way::Get => self.by_get(study).await,
            Way::Move { title, moves } => self.by_move(study, title, moves).await,
        }
    }

    /// Under which its objects are noted as copies.
    fn source(&self) -> String {
        format!("dicom:{}", self.peer.ae_title)
    }

    async fn by_move(&self, study: &str, title: &str, moves: &Moves) -> Result<Brought, PacsError> {
        let lost = |source| PacsError::from(broken(&self.peer, source));
        let subject = Moved { from: self.source(), study: study.to_owned() };
        let running = moves.begin(subject).ok_or(PacsError::TooManyMoves)?;
        let mut dialled = self.dialler.dial(&self.peer, vec![plain(uids::STUDY_MOVE)]).await?;
        dialled.wire.set_patience(Patience { idle: SILENCE_MAX, within: SILENCE_MAX });
        let Agreed { id: context, transfer_syntax, .. } = first(&dialled)?;
        let set = CommandSet::request(field::C_MOVE_RQ, uids::STUDY_MOVE, running.id)
            .text(element::MOVE_DESTINATION, title)
            .number(element::PRIORITY, 0)
            .data_set(true);
        let asked = write(&identifier(study), transfer_syntax != uids::IMPLICIT_LE);
        dialled.send(context, set, Some(&asked)).await.map_err(lost)?;
        let answer = loop {
            let (answer, _) = dialled.answer().await.map_err(lost)?;
            if answer.number(element::STATUS) != Ok(status::PENDING) {
                break answer;
            }
        };
        dialled.release().await;
        outcome("C-MOVE", &answer, (0, 0))
    }

    async fn by_get(&self, study: &str) -> Result<Brought, PacsError> {
        let classes = self.classes(study).await?;
        let mut dialled = self.dialler.dial(&self.peer, proposals(&classes)).await?;
        dialled.wire.set_patience(Patience { idle: SILENCE_MAX, within: SILENCE_MAX });
        match self.get(&mut dialled, study).await {
            Ok(brought) => {
                dialled.release().await;
                Ok(brought)
            }
            Err(error) => {
                dialled.abort().await;
                Err(error)
            }
        }
    }

    /// The classes of a study's objects: they must be proposed before it is known what comes.
    async fn classes(&self, study: &str) -> Result<Vec<String>, PacsError> {
        let series = self.answers(&[Question::Series { study: study.to_owned() }]).await?;
        let series = series.into_iter().flatten().take(SERIES_MAX);
        let questions: Vec<Question> = series
            .map(|found| Question::Instances {
                study: study.to_owned(),
                series: found.header.series.uid,
            })
            .collect();
        let found = self.answers(&questions).await?;
        let classes: BTreeSet<String> = found
            .into_iter()
            .flatten()
            .map(|found| found.header.instance.sop_class)
            .filter(|class| uids::is_storage(class))
            .collect();
        Ok(if classes.is_empty() {
            COMMON_CLASSES.iter().map(|class| (*class).to_owned()).collect()
        } else {
            classes.into_iter().take(CLASSES_MAX).collect()
        })
    }

    async fn get(&self, dialled: &mut Dialled, study: &str) -> Result<Brought, PacsError> {
        let lost = |source| PacsError::from(broken(&self.peer, source));
        let asks = dialled.contexts.iter().find(|c| c.abstract_syntax == uids::STUDY_GET).cloned();
        let refused = || PacsError::Status {
            operation: "C-GET",
            code: 0x0122,
            comment: "the PACS does not offer it".to_owned(),
        };
        let Agreed { id: context, transfer_syntax, .. } = asks.ok_or_else(refused)?;
        let id = dialled.message_id();
        let set = CommandSet::request(field::C_GET_RQ, uids::STUDY_GET, id)
            .number(element::PRIORITY, 0)
            .data_set(true);
        let asked = write(&identifier(study), transfer_syntax != uids::IMPLICIT_LE);
        dialled.send(context, set, Some(&asked)).await.map_err(lost)?;
        let intake = Intake::of(Requester {
            caller: Caller::system(self.source(), Role::DicomPeer),
            services: [Service::Store].into_iter().collect::<Services>(),
        });
        let mut command = BytesMut::new();
        let mut arriving: Option<Arriving<'_>> = None;
        let mut end: Option<Command> = None;
        let mut waiting = Waiting::new();
        let (mut taken, mut refused) = (0, 0);
        loop {
            let pdv = match dialled.wire.next().await.map_err(lost)? {
                Frame::Data(pdv) => pdv,
                Frame::Control(_) => return Err(lost(unexpected("PDU is out of place"))),
                Frame::End => return Err(lost(WireError::Lost(crate::dicom::server::gone()))),
            };
            if let Some(object) = &mut arriving {
                object.push(&pdv).await.map_err(lost)?;
                if pdv.last
                    && let Some(object) = arriving.take()
                {
                    let kept = self.keep(dialled, object, &mut waiting).await?;
                    *(if kept { &mut taken } else { &mut refused }) += 1;
                }
                continue;
            }
            // The data set of the last answer lists what failed.
            if let Some(end) = &end {
                if pdv.command {
                    return Err(lost(unexpected("a data set was expected")));
                }
                if pdv.last {
                    settle(&mut waiting, 0).await?;
                    return outcome("C-GET", end, (taken, refused));
                }
                continue;
            }
            if !pdv.command || command.len() + pdv.data.len() > COMMAND_BYTES_MAX {
                return Err(lost(unexpected("a command set was expected")));
            }
            command.extend_from_slice(&pdv.data);
            if !pdv.last {
                continue;
            }
            let read = Command::read(command.split().freeze())
                .map_err(|_| lost(unexpected("command set cannot be read")))?;
            match read.field {
                field::C_STORE_RQ if read.has_data_set => {
                    let into = self.begin(dialled, &intake, (pdv.context, &read), study);
                    let into = into.map_err(lost)?;
                    arriving = Some(Arriving { context: pdv.context, command: read, into });
                }
                answer if answer == field::C_GET_RQ | field::RESPONSE => {
                    if read.number(element::STATUS) == Ok(status::PENDING) {
                        continue;
                    }
                    if !read.has_data_set {
                        settle(&mut waiting, 0).await?;
                        return outcome("C-GET", &read, (taken, refused));
                    }
                    end = Some(read);
                }
                _ => return Err(lost(unexpected("C-STORE or an answer was expected"))),
            }
        }
    }

    /// Begins to take an object. An error: the PACS breaks the protocol.
    fn begin<'a>(
        &'a self,
        dialled: &Dialled,
        intake: &Arc<Intake>,
        (context, command): (u8, &Command),
        study: &str,
    ) -> Result<Result<Box<Incoming<'a>>, Refused>, WireError> {
        let agreed = dialled.contexts.iter().find(|agreed| agreed.id == context);
        let agreed = agreed.ok_or_else(|| unexpected("presentation context was not accepted"))?;
        let expected = Expected {
            sop_class: command.text(element::AFFECTED_SOP_CLASS),
            sop_instance: command.text(element::AFFECTED_SOP_INSTANCE),
        };
        if expected.sop_class != agreed.abstract_syntax {
            return Ok(Err(Refused::NotAsAnnounced { attribute: "SOP class UID" }));
        }
        let syntax = &agreed.transfer_syntax;
        let incoming = self.imaging.receive(intake, syntax, Some(expected), Vec::new());
        Ok(incoming.map(|incoming| {
            Box::new(incoming.of_study(Some(study.to_owned())).copy_of(&self.source()))
        }))
    }

    /// Hands a whole object over to be kept and answers. Whether it is taken.
    async fn keep(
        &self,
        dialled: &mut Dialled,
        object: Arriving<'_>,
        waiting: &mut Waiting,
    ) -> Result<bool, PacsError> {
        let Arriving { context, command, into } = object;
        let submitted = match into {
            Ok(incoming) => incoming.submit().await,
            Err(refused) => Err(refused),
        };
        let answered = match &submitted {
            Ok(_) => status::Status::SUCCESS,
            Err(refused) => {
                let pacs = self.peer.ae_title.as_str();
                let reason = crate::app::chain(refused);
                tracing::warn!(pacs, reason, "an object that was asked for is refused");
                status::of_refused(refused)
            }
        };
        let set = CommandSet::response(&command)
            .data_set(false)
            .status(answered.code, &answered.comment)
            .text(element::AFFECTED_SOP_INSTANCE, &command.text(element::AFFECTED_SOP_INSTANCE));
        let lost = |source| PacsError::from(broken(&self.peer, source));
        dialled.send(context, set, None).await.map_err(lost)?;
        match submitted {
            Ok(told) => {
                waiting.push_back(told);
                settle(waiting, WAITING_MAX).await?;
                Ok(true)
            }
            // Nothing more can be kept now.
            Err(Refused::Node(error)) => Err(PacsError::Node(error)),
            Err(_) => Ok(false),
        }
    }
}

impl Arriving<'_> {
    async fn push(&mut self, pdv: &Pdv) -> Result<(), WireError> {
        if pdv.command || pdv.context != self.context {
            return Err(unexpected("a data set was expected"));
        }
        let pushed = match &mut self.into {
            Ok(incoming) => incoming.push(pdv.data.clone()).await,
            // What is refused is read to its end, so that the next message begins right.
            Err(_) => Ok(()),
        };
        if let Err(refused) = pushed {
            self.into = Err(refused);
        }
        Ok(())
    }
}

/// Waits until no more than `most` objects wait for the disk.
async fn settle(waiting: &mut Waiting, most: usize) -> Result<(), PacsError> {
    while waiting.len() > most {
        let Some(told) = waiting.pop_front() else { break };
        let gone = || Error::Unavailable { what: "imaging", cause: None };
        told.await.unwrap_or_else(|_| Err(gone())).map_err(PacsError::Node)?;
    }
    Ok(())
}

/// What the last answer to a C-GET or C-MOVE says; of a C-GET it is known besides how many objects
/// were taken and refused.
fn outcome(
    operation: &'static str,
    answer: &Command,
    (taken, refused): (u64, u64),
) -> Result<Brought, PacsError> {
    let count = |element| u64::from(answer.number_if_any(element).ok().flatten().unwrap_or(0));
    let code = answer.number(element::STATUS).unwrap_or(0x0110);
    let done = (count(element::COMPLETED) + count(element::WARNING)).max(taken);
    let failed = count(element::FAILED).max(refused);
    match code {
        0 | status::SOME_FAILED => Ok(Brought { completed: done, failed }),
        code => {
            let comment = answer.text(element::ERROR_COMMENT);
            Err(PacsError::Status { operation, code, comment })
        }
    }
}

/// The identifier of a retrieval of one study (PS3.4, C.4.2.1.4).
fn identifier(study: &str) -> ElementSet {
    ElementSet::default().with_text(tags::QUERY_RETRIEVE_LEVEL, VR::CS, "STUDY").with_text(
        tags::STUDY_INSTANCE_UID,
        VR::UI,
        study,
    )
}

/// C-GET, and contexts for what comes by it: for each class as many as there is room for, the most
/// usual syntaxes alone, the rest together in the last.
pub(super) fn proposals(classes: &[String]) -> Vec<Proposal> {
    let mut proposals = vec![plain(uids::STUDY_GET)];
    let classes = classes.iter().take(CLASSES_MAX);
    let each = (CONTEXTS_MAX - 1).checked_div(classes.len()).unwrap_or(0).clamp(2, SYNTAXES.len());
    for class in classes {
        let (alone, together) = SYNTAXES.split_at((each - 1).min(SYNTAXES.len()));
        let alone = alone.iter().map(|syntax| vec![(*syntax).to_owned()]);
        let together = together.iter().map(|syntax| (*syntax).to_owned()).collect();
        for transfer_syntaxes in alone.chain([together]) {
            proposals.push(Proposal {
                abstract_syntax: class.clone(),
                transfer_syntaxes,
                as_provider: true,
            });
        }
    }
    proposals
}
