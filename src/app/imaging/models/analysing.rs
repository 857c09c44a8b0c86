//! One model on one image.

use std::sync::Arc;

use bytes::Bytes;

use super::{Analyses, LabelCard, ModelCard, OBJECT_BYTES_MAX, OBJECT_UNIT_BYTES, Purpose};
use crate::app::access::Caller;
use crate::app::error::Error;
use crate::app::imaging::incoming::Refused;
use crate::app::imaging::pictures::whole;
use crate::app::imaging::ports::IndexedInstance;
use crate::app::imaging::render::PixelSource;
use crate::app::imaging::{Intake, Requester};
use crate::sharing::imaging::examination::Examinations;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::suggestion::{
    Finding, Signature, Suggestion, TRANSFER_SYNTAX, instance_uid, report,
};

/// Beijing: all of China has one time.
const BEIJING: i8 = 8;

/// What became of one model on one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysed {
    /// Id of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// SOP instance UID of the image.
    pub instance: String,
    /// What.
    pub outcome: Outcome,
}

/// What can become of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was said and is kept under this SOP instance UID.
    Said {
        /// SOP instance UID of the structured report.
        report: String,
        /// What was said.
        findings: Vec<Finding>,
    },
    /// It had been said before.
    SaidBefore {
        /// SOP instance UID of the structured report.
        report: String,
    },
    /// The model does not take the image.
    NotTaken {
        /// Why, without anything of the patient.
        reason: String,
    },
}

/// An image with what stands in its header.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) image: IndexedInstance,
    pub(super) header: Header,
}

impl Purpose {
    /// Whether an image with this header is what the model is for.
    pub(super) fn fits(&self, header: &Header, examinations: &Examinations) -> bool {
        let any = |list: &[String], value: &str| list.iter().any(|one| one == value);
        if !any(&self.modalities, &header.series.modality) {
            return false;
        }
        if !self.view_positions.is_empty()
            && !any(&self.view_positions, &header.series.view_position)
        {
            return false;
        }
        if self.regions.is_empty() && self.examinations.is_empty() {
            return true;
        }
        let derived = examinations.derive(std::slice::from_ref(header)).study;
        let region =
            |inner: &String| self.regions.iter().any(|outer| examinations.is_within(inner, outer));
        (self.regions.is_empty() || derived.regions.iter().any(region))
            && (self.examinations.is_empty()
                || derived.examinations.iter().any(|id| self.examinations.contains(id)))
    }
}

impl Analyses {
    /// Those models that are for an image.
    pub(super) fn for_image(&self, header: &Header) -> impl Iterator<Item = &Arc<ModelCard>> {
        self.cards().filter(|card| card.purpose.fits(header, &self.examinations))
    }

    /// Runs a model on an image and keeps what it says. Before anything of the image is read it is
    /// written into the audit trail, in the name of who asked or else of the model.
    pub(super) async fn analyse(
        &self,
        model: &str,
        subject: &Subject,
        asked_by: Option<&Requester>,
    ) -> Result<Analysed, Error> {
        let (card, lock) = self.serving.get(model).ok_or(Error::NotFound { kind: "model" })?;
        let one_at_a_time = lock.lock().await;
        let report = instance_uid(&subject.image.uids.instance, &card.id, &card.version);
        let outcome = match self.outcome(card, subject, report, asked_by).await {
            Ok(outcome) => outcome,
            Err(Error::Refused { reason }) => Outcome::NotTaken { reason },
            Err(Error::NotFound { kind: "pixel data" }) => {
                Outcome::NotTaken { reason: "object has no pixel data".to_owned() }
            }
            Err(other) => return Err(other),
        };
        drop(one_at_a_time);
        Ok(Analysed {
            model: card.id.clone(),
            version: card.version.clone(),
            instance: subject.image.uids.instance.clone(),
            outcome,
        })
    }

    async fn outcome(
        &self,
        card: &ModelCard,
        subject: &Subject,
        report: String,
        asked_by: Option<&Requester>,
    ) -> Result<Outcome, Error> {
        let Subject { image, header } = subject;
        if image.frames > 1 {
            let reason = "objects of several frames are not given to models".to_owned();
            return Err(Error::Refused { reason });
        }
        let known = self.imaging.index.known(vec![report.clone()]).await?;
        if known.iter().any(|objects| !objects.is_empty()) {
            return Ok(Outcome::SaidBefore { report });
        }
        let machine = machine(card);
        let reader = asked_by.unwrap_or(&machine);
        let (study, patient) = (&image.uids.study, &header.patient.id);
        self.imaging.audit_retrieval(reader, study, patient).await?;
        let length = image.location.length;
        if length > OBJECT_BYTES_MAX {
            let reason = format!("objects of more than {OBJECT_BYTES_MAX} bytes are not given");
            return Err(Error::Refused { reason });
        }
        let units = u32::try_from(length.div_ceil(OBJECT_UNIT_BYTES)).unwrap_or(u32::MAX);
        let stopped = |_| Error::Unavailable { what: "imaging models", cause: None };
        let room = self.memory.acquire_many(units).await.map_err(stopped)?;
        let data_set = whole(&self.imaging, reader, image.location).await?;
        let source = PixelSource { transfer_syntax: image.transfer_syntax.clone(), data_set };
        let tensor = self.tensors.tensor(source, 1, card.input.clone()).await?;
        drop(room);
        let answers = self.models.run(&card.id, tensor).await?;
        let findings = findings(card, &answers);
        self.keep(card, header, &findings, &machine).await?;
        Ok(Outcome::Said { report, findings })
    }

    /// Stores what was said the way every object is stored.
    async fn keep(
        &self,
        card: &ModelCard,
        image: &Header,
        findings: &[Finding],
        machine: &Requester,
    ) -> Result<(), Error> {
        let (date, time) = moment(self.clock.now_ms())?;
        let model = Signature {
            id: &card.id,
            version: &card.version,
            title: &card.title,
            manufacturer: &card.manufacturer,
            sha256: &card.sha256,
            engine: &card.engine,
            certificate: card.certificate.text(),
        };
        let said = Suggestion { image, model, findings, date: &date, time: &time };
        let bytes = Bytes::from(report(&said));
        let kept = async {
            let incoming = self.imaging.receive(
                &Intake::of(machine.clone()),
                TRANSFER_SYNTAX,
                None,
                Vec::new(),
            );
            let mut incoming = incoming?.of_study(Some(image.study.uid.clone()));
            incoming.push(bytes).await?;
            incoming.finish().await
        };
        match Box::pin(kept).await {
            Ok(_) => Ok(()),
            Err(Refused::Node(error)) => Err(error),
            Err(refused) => Err(Error::internal("structured report", refused)),
        }
    }
}

/// Who stores what a model says; the name stands beside the object as its source.
fn machine(card: &ModelCard) -> Requester {
    let name = format!("model:{}", card.id);
    Requester::of(Caller::local(name))
}

fn findings(card: &ModelCard, answers: &[Vec<f32>]) -> Vec<Finding> {
    let labels = card.outputs.iter().flat_map(|output| &output.labels);
    labels
        .zip(answers.iter().flatten())
        .map(|(LabelCard { id, name, code, threshold }, probability)| Finding {
            id: id.clone(),
            name: name.clone(),
            code: code.as_ref().map(|code| (code.scheme.clone(), code.value.clone())),
            probability: *probability,
            threshold: *threshold,
        })
        .collect()
}

/// `YYYYMMDD` and `HHMMSS` of a moment.
fn moment(at_ms: i64) -> Result<(String, String), Error> {
    let at = jiff::Timestamp::from_millisecond(at_ms);
    let at = at.map_err(|error| Error::internal("clock", error))?;
    let at = jiff::tz::Offset::constant(BEIJING).to_datetime(at);
    let date = format!("{:04}{:02}{:02}", at.year(), at.month(), at.day());
    Ok((date, format!("{:02}{:02}{:02}", at.hour(), at.minute(), at.second())))
}
