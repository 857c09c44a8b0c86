//! Asking a PACS behind the node (C-FIND as SCU; PS3.4, C.4.1.1) and bringing studies from it
//! ([`bring`]).

mod bring;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

pub(super) use self::bring::Moved;
pub use self::bring::{Moves, Way};
use super::command::{CommandSet, element, field};
use super::dial::{Agreed, DialError, Dialled, Dialler, Proposal, broken};
use super::{status, uids};
use crate::app::error::Error;
use crate::app::imaging::Imaging;
use crate::app::imaging::peers::Peer;
use crate::app::ports::BoxFuture;
use crate::app::regional::behind::{Brought, Pacs, Question};
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::identity::is_uid;
use crate::sharing::imaging::query::Match;
use crate::sharing::imaging::structure::{Guard, Limits, Syntax, Wanted};
use crate::sharing::imaging::value::Values;
use crate::sharing::imaging::writing::write;

/// Answers to one question at most.
const ANSWERS_MAX: usize = 20_000;

/// Keys that are asked for at each level, beside the UIDs above it.
const STUDY_KEYS: &[(Tag, VR)] = &[
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::MODALITIES_IN_STUDY, VR::CS),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_DESCRIPTION, VR::LO),
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::ISSUER_OF_PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::PATIENT_AGE, VR::AS),
    (tags::STUDY_INSTANCE_UID, VR::UI),
    (tags::STUDY_ID, VR::SH),
    (tags::NUMBER_OF_STUDY_RELATED_INSTANCES, VR::IS),
];
const SERIES_KEYS: &[(Tag, VR)] = &[
    (tags::SERIES_DATE, VR::DA),
    (tags::SERIES_TIME, VR::TM),
    (tags::MODALITY, VR::CS),
    (tags::MANUFACTURER, VR::LO),
    (tags::INSTITUTION_NAME, VR::LO),
    (tags::STATION_NAME, VR::SH),
    (tags::SERIES_DESCRIPTION, VR::LO),
    (tags::INSTITUTIONAL_DEPARTMENT_NAME, VR::LO),
    (tags::MANUFACTURER_MODEL_NAME, VR::LO),
    (tags::BODY_PART_EXAMINED, VR::CS),
    (tags::CONTRAST_BOLUS_AGENT, VR::LO),
    (tags::PROTOCOL_NAME, VR::LO),
    (tags::VIEW_POSITION, VR::CS),
    (tags::SERIES_INSTANCE_UID, VR::UI),
    (tags::SERIES_NUMBER, VR::IS),
    (tags::LATERALITY, VR::CS),
    (tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA),
    (tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM),
    (tags::NUMBER_OF_SERIES_RELATED_INSTANCES, VR::IS),
];
const INSTANCE_KEYS: &[(Tag, VR)] = &[
    (tags::SOP_CLASS_UID, VR::UI),
    (tags::SOP_INSTANCE_UID, VR::UI),
    (tags::SERIES_DESCRIPTION, VR::LO),
    (tags::INSTANCE_NUMBER, VR::IS),
    (tags::CONCEPT_NAME_CODE_SEQUENCE, VR::SQ),
    (tags::COMPLETION_FLAG, VR::CS),
    (tags::VERIFICATION_FLAG, VR::CS),
];

/// A PACS that speaks DIMSE.
#[derive(Debug)]
pub struct DimsePacs {
    peer: Peer,
    dialler: Dialler,
    imaging: Arc<Imaging>,
    way: Way,
}

impl DimsePacs {
    /// `peer`, dialled by `dialler`; what it gives goes into `imaging`.
    pub fn new(peer: Peer, dialler: Dialler, imaging: Arc<Imaging>, way: Way) -> Self {
        Self { peer, dialler, imaging, way }
    }

    async fn answers(&self, questions: &[Question]) -> Result<Vec<Vec<Match>>, PacsError> {
        let mut dialled = self.dialler.dial(&self.peer, vec![plain(uids::STUDY_FIND)]).await?;
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            match self.answer(&mut dialled, question).await {
                Ok(found) => answers.push(found),
                Err(error) => {
                    dialled.abort().await;
                    return Err(error);
                }
            }
        }
        dialled.release().await;
        Ok(answers)
    }

    async fn answer(
        &self,
        dialled: &mut Dialled,
        question: &Question,
    ) -> Result<Vec<Match>, PacsError> {
        let lost = |source| PacsError::from(broken(&self.peer, source));
        let Agreed { id: context, transfer_syntax, .. } = first(dialled)?;
        let explicit = transfer_syntax != uids::IMPLICIT_LE;
        let id = dialled.message_id();
        let set = CommandSet::request(field::C_FIND_RQ, uids::STUDY_FIND, id)
            .number(element::PRIORITY, 0)
            .data_set(true);
        let identifier = write(&identifier(question), explicit);
        dialled.send(context, set, Some(&identifier)).await.map_err(lost)?;
        let mut found = Vec::new();
        let mut unreadable = 0_u64;
        loop {
            let (answer, data_set) = dialled.answer().await.map_err(lost)?;
            let code = answer.number(element::STATUS).unwrap_or(0x0110);
            match code {
                status::PENDING | status::PENDING_UNSUPPORTED_KEYS => {}
                0 => break,
                code => {
                    let comment = answer.text(element::ERROR_COMMENT);
                    return Err(PacsError::Status { operation: "C-FIND", code, comment });
                }
            }
            if found.len() >= ANSWERS_MAX {
                return Err(PacsError::TooMany);
            }
            match read(&transfer_syntax, &data_set, question) {
                Some(answer) => found.push(answer),
                None => unreadable += 1,
            }
        }
        if unreadable > 0 {
            let pacs = self.peer.ae_title.as_str();
            tracing::warn!(pacs, unreadable, "answers to C-FIND that cannot be read");
        }
        Ok(found)
    }
}

impl Pacs for DimsePacs {
    fn name(&self) -> &str {
        &self.peer.ae_title
    }

    fn ask(&self, questions: Vec<Question>) -> BoxFuture<'_, Result<Vec<Vec<Match>>, Error>> {
        Box::pin(async move { self.answers(&questions).await.map_err(Error::from) })
    }

    fn bring<'a>(&'a self, study: &'a str) -> BoxFuture<'a, Result<Brought, Error>> {
        Box::pin(async move { self.brought(study).await.map_err(Error::from) })
    }
}

/// Why a PACS did not answer.
#[derive(Debug, thiserror::Error)]
enum PacsError {
    /// It cannot be reached, or the association broke.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It answers with a failure.
    #[error("{operation} failed with status {code:04x} {comment}")]
    Status {
        /// The operation.
        operation: &'static str,
        /// Status.
        code: u16,
        /// What it says of it.
        comment: String,
    },
    /// It has more than can be taken.
    #[error("more than {ANSWERS_MAX} answers to one C-FIND")]
    TooMany,
    /// No message id is free.
    #[error("65,535 C-MOVE operations run")]
    TooManyMoves,
    /// An object cannot be kept here now.
    #[error("an object cannot be kept")]
    Node(#[source] Error),
}

impl From<PacsError> for Error {
    fn from(error: PacsError) -> Self {
        Self::Unavailable { what: "PACS behind the node", cause: Some(error.into()) }
    }
}

/// A context for messages without pixels.
fn plain(class: &str) -> Proposal {
    Proposal {
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: vec![uids::EXPLICIT_LE.to_owned(), uids::IMPLICIT_LE.to_owned()],
        as_provider: false,
    }
}

/// The context that was accepted first.
fn first(dialled: &Dialled) -> Result<Agreed, PacsError> {
    let gone = || PacsError::Status {
        operation: "association",
        code: 0x0122,
        comment: "without a context".to_owned(),
    };
    dialled.contexts.first().cloned().ok_or_else(gone)
}

/// The identifier of a question (PS3.4, C.4.1.1.3), keys in ASCII: no character set is needed.
fn identifier(question: &Question) -> ElementSet {
    let (level, keys, given): (_, _, &[(Tag, VR, &str)]) = match question {
        Question::Studies { day } => ("STUDY", STUDY_KEYS, &[(tags::STUDY_DATE, VR::DA, day)]),
        Question::Series { study } => {
            ("SERIES", SERIES_KEYS, &[(tags::STUDY_INSTANCE_UID, VR::UI, study)])
        }
        Question::Instances { study, series } => (
            "IMAGE",
            INSTANCE_KEYS,
            &[
                (tags::STUDY_INSTANCE_UID, VR::UI, study),
                (tags::SERIES_INSTANCE_UID, VR::UI, series),
            ],
        ),
    };
    let mut set = ElementSet::default().with_text(tags::QUERY_RETRIEVE_LEVEL, VR::CS, level);
    for (tag, vr) in keys {
        set = if *vr == VR::SQ {
            set.with_items(*tag, Vec::new())
        } else {
            set.with_text(*tag, *vr, "")
        };
    }
    for (tag, vr, value) in given {
        set = set.with_text(*tag, *vr, value);
    }
    set
}

/// An answer. None if it is no data set, or does not say what it is of.
fn read(transfer_syntax: &str, data_set: &bytes::Bytes, question: &Question) -> Option<Match> {
    let mut guard = Guard::new(Syntax::of(transfer_syntax)?, Wanted::All, Limits::default());
    guard.push(data_set).ok()?;
    let set = guard.finish().ok()?.captured;
    let mut header = Header::from_elements(&set);
    let values = Values::of(&set);
    let count = |tag| values.u32(tag).map_or(0, u64::from);
    let named = match question {
        Question::Studies { .. } => &header.study.uid,
        Question::Series { study } => {
            header.study.uid.clone_from(study);
            &header.series.uid
        }
        Question::Instances { study, series } => {
            header.study.uid.clone_from(study);
            header.series.uid.clone_from(series);
            &header.instance.uid
        }
    };
    // It goes back to the PACS in questions.
    if !is_uid(named) {
        return None;
    }
    let mut modalities = values.texts(tags::MODALITIES_IN_STUDY);
    modalities.retain(|modality| !modality.is_empty());
    modalities.sort_unstable();
    modalities.dedup();
    let instances = match question {
        Question::Studies { .. } => count(tags::NUMBER_OF_STUDY_RELATED_INSTANCES),
        Question::Series { .. } => count(tags::NUMBER_OF_SERIES_RELATED_INSTANCES),
        Question::Instances { .. } => 1,
    };
    Some(Match { header, modalities, instances, ..Match::default() })
}
