//! From the contract to a discharge record. Every problem is told at once, with its path.
//!
//! Only what the contract rules out is refused here: numbers of enums that nobody knows, days that
//! do not exist, numbers that are none, and what is too long. Whether a record says enough to be
//! kept is decided elsewhere, for every format alike.

use std::fmt;

use crate::app::error::Error;
use crate::app::request::Problems;
use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{
    Address, Allergy, Code, Coded, Contact, Diagnosis, DiagnosisKind, DiagnosisRole,
    DischargeRecord, Document, FollowUp, Identifier, IdentifierKind, ImagingReference, Measurement,
    Medicine, MedicineChange, Narrative, Patient, Procedure, Quantity, Section, Sex, Signature,
    SignatureRole, Stay, Target,
};

/// Entries of a list of the record at most.
pub(super) const ENTRIES_MAX: usize = 5_000;
/// Entries of a list inside an entry at most.
pub(super) const FEW_MAX: usize = 100;
/// Characters at most of a text that tells something.
pub(super) const TEXT_CHARS_MAX: usize = 100_000;
/// Characters at most of a name, a code, a unit or another short text.
pub(super) const LINE_CHARS_MAX: usize = 1_000;
/// Problems that are told at most; a caller who sends more of them sends something else.
pub(super) const PROBLEMS_MAX: usize = 100;

impl TryFrom<pb::DischargeRecord> for DischargeRecord {
    type Error = Error;

    fn try_from(wire: pb::DischargeRecord) -> Result<Self, Error> {
        let mut reader = Reader::default();
        let record = reader.record(At::Record, wire);
        reader.problems.finish()?;
        Ok(record)
    }
}

/// Where in the record. Written out only when something is wrong there.
#[derive(Clone, Copy)]
enum At<'a> {
    /// The whole.
    Record,
    /// A field.
    Field(&'a At<'a>, &'static str),
    /// An entry of a list.
    Entry(&'a At<'a>, usize),
}

impl At<'_> {
    fn field(&self, name: &'static str) -> At<'_> {
        At::Field(self, name)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record => f.write_str("record"),
            Self::Field(within, name) => write!(f, "{within}.{name}"),
            Self::Entry(within, index) => write!(f, "{within}[{index}]"),
        }
    }
}

/// Reads a record and notes what is wrong with it.
#[derive(Default)]
struct Reader {
    problems: Problems,
    noted: usize,
}

/// What every entry is made of.
impl Reader {
    fn wrong(&mut self, at: At<'_>, allowed: impl Into<String>) {
        if self.noted < PROBLEMS_MAX {
            self.noted += 1;
            self.problems.add(at.to_string(), allowed);
        }
    }

    fn chars(&mut self, at: At<'_>, text: String, max: usize) -> String {
        if text.len() > max && text.chars().count() > max {
            self.wrong(at, format!("must have at most {max} characters"));
        }
        text
    }

    /// A short text.
    fn line(&mut self, at: At<'_>, text: String) -> String {
        self.chars(at, text, LINE_CHARS_MAX)
    }

    /// A text that tells something.
    fn text(&mut self, at: At<'_>, text: String) -> String {
        self.chars(at, text, TEXT_CHARS_MAX)
    }

    fn when(&mut self, at: At<'_>, text: String) -> Option<Moment> {
        if text.is_empty() {
            return None;
        }
        let moment = Moment::try_from(text).ok();
        if moment.is_none() {
            self.wrong(at, "must be a day or time that exists, in ISO 8601, or empty");
        }
        moment
    }

    fn finite(&mut self, at: At<'_>, number: f64) -> f64 {
        if !number.is_finite() {
            self.wrong(at, "must be a finite number");
        }
        number
    }

    fn number(&mut self, at: At<'_>, number: Option<f64>) -> Option<f64> {
        number.map(|number| self.finite(at, number))
    }

    /// A value of an enum; one that nobody knows is the default and a problem.
    fn known<W, M>(&mut self, at: At<'_>, number: i32, allowed: &str, mean: fn(W) -> M) -> M
    where
        W: TryFrom<i32> + Default,
    {
        let value = W::try_from(number).unwrap_or_else(|_| {
            self.wrong(at, format!("must be one of {allowed}"));
            W::default()
        });
        mean(value)
    }

    fn list<W, M>(
        &mut self,
        at: At<'_>,
        max: usize,
        wire: Vec<W>,
        read: fn(&mut Self, At<'_>, W) -> M,
    ) -> Vec<M> {
        if wire.len() > max {
            self.wrong(at, format!("must have at most {max} entries"));
        }
        let numbered = wire.into_iter().enumerate().take(max);
        numbered.map(|(index, entry)| read(self, At::Entry(&at, index), entry)).collect()
    }

    fn quantity(&mut self, at: At<'_>, wire: Option<pb::Quantity>) -> Option<Quantity> {
        wire.map(|q| Quantity {
            value: self.finite(at.field("value"), q.value),
            unit: self.line(at.field("unit"), q.unit),
        })
    }

    fn code(&mut self, at: At<'_>, wire: pb::Code) -> Code {
        Code {
            system: self.line(at.field("system"), wire.system),
            code: self.line(at.field("code"), wire.code),
            display: self.line(at.field("display"), wire.display),
        }
    }

    fn maybe_coded(&mut self, at: At<'_>, wire: Option<pb::Coded>) -> Option<Coded> {
        wire.map(|c| Coded {
            text: self.text(at.field("text"), c.text),
            codes: self.list(at.field("codes"), FEW_MAX, c.codes, Self::code),
        })
    }

    fn coded(&mut self, at: At<'_>, wire: Option<pb::Coded>) -> Coded {
        self.maybe_coded(at, wire).unwrap_or_default()
    }
}

/// The record, the patient and the stay.
impl Reader {
    fn record(&mut self, at: At<'_>, wire: pb::DischargeRecord) -> DischargeRecord {
        let r = wire;
        let many = ENTRIES_MAX;
        DischargeRecord {
            document: self.document(at.field("document"), r.document.unwrap_or_default()),
            patient: self.patient(at.field("patient"), r.patient.unwrap_or_default()),
            stay: self.stay(at.field("stay"), r.stay.unwrap_or_default()),
            diagnoses: self.list(at.field("diagnoses"), many, r.diagnoses, Self::diagnosis),
            procedures: self.list(at.field("procedures"), many, r.procedures, Self::procedure),
            narrative: self.narrative(at.field("narrative"), r.narrative.unwrap_or_default()),
            sections: self.list(at.field("sections"), many, r.sections, Self::section),
            medicines: self.list(at.field("medicines"), many, r.medicines, Self::medicine),
            measurements: self.list(
                at.field("measurements"),
                many,
                r.measurements,
                Self::measurement,
            ),
            allergies: self.list(at.field("allergies"), many, r.allergies, Self::allergy),
            imaging: self.list(at.field("imaging"), many, r.imaging, Self::imaging),
            follow_ups: self.list(at.field("follow_ups"), many, r.follow_ups, Self::follow_up),
            signatures: self.list(at.field("signatures"), many, r.signatures, Self::signature),
        }
    }

    fn document(&mut self, at: At<'_>, wire: pb::Document) -> Document {
        Document {
            name: self.line(at.field("name"), wire.name),
            version: wire.version,
            replaces: self.line(at.field("replaces"), wire.replaces),
            entered_in_error: wire.entered_in_error,
            title: self.line(at.field("title"), wire.title),
            written: self.when(at.field("written"), wire.written),
            language: self.line(at.field("language"), wire.language),
        }
    }

    fn patient(&mut self, at: At<'_>, wire: pb::Patient) -> Patient {
        let p = wire;
        let few = FEW_MAX;
        let sexes = "SEX_UNSPECIFIED, SEX_MALE, SEX_FEMALE, SEX_UNSTATED";
        Patient {
            identifiers: self.list(at.field("identifiers"), few, p.identifiers, Self::identifier),
            name: self.line(at.field("name"), p.name),
            sex: self.known(at.field("sex"), p.sex, sexes, sex),
            birth_date: self.when(at.field("birth_date"), p.birth_date),
            age: self.quantity(at.field("age"), p.age),
            marital_status: self.maybe_coded(at.field("marital_status"), p.marital_status),
            occupation: self.maybe_coded(at.field("occupation"), p.occupation),
            phones: self.list(at.field("phones"), few, p.phones, Self::line),
            address: self.address(at.field("address"), p.address.unwrap_or_default()),
            contacts: self.list(at.field("contacts"), few, p.contacts, Self::contact),
        }
    }

    fn identifier(&mut self, at: At<'_>, wire: pb::Identifier) -> Identifier {
        let kinds = "IDENTIFIER_KIND_UNSPECIFIED, IDENTIFIER_KIND_RESIDENT_ID, \
                     IDENTIFIER_KIND_HEALTH_CARD, IDENTIFIER_KIND_INPATIENT_NUMBER, \
                     IDENTIFIER_KIND_OTHER";
        Identifier {
            kind: self.known(at.field("kind"), wire.kind, kinds, identifier_kind),
            system: self.line(at.field("system"), wire.system),
            value: self.line(at.field("value"), wire.value),
        }
    }

    fn address(&mut self, at: At<'_>, wire: pb::Address) -> Address {
        Address {
            province: self.line(at.field("province"), wire.province),
            city: self.line(at.field("city"), wire.city),
            county: self.line(at.field("county"), wire.county),
            township: self.line(at.field("township"), wire.township),
            village: self.line(at.field("village"), wire.village),
            house: self.line(at.field("house"), wire.house),
            text: self.line(at.field("text"), wire.text),
            division: self.line(at.field("division"), wire.division),
        }
    }

    fn contact(&mut self, at: At<'_>, wire: pb::Contact) -> Contact {
        Contact {
            name: self.line(at.field("name"), wire.name),
            phone: self.line(at.field("phone"), wire.phone),
            relation: self.line(at.field("relation"), wire.relation),
        }
    }

    fn stay(&mut self, at: At<'_>, wire: pb::Stay) -> Stay {
        let s = wire;
        Stay {
            institution: self.line(at.field("institution"), s.institution),
            institution_code: self.line(at.field("institution_code"), s.institution_code),
            department: self.line(at.field("department"), s.department),
            ward: self.line(at.field("ward"), s.ward),
            room: self.line(at.field("room"), s.room),
            bed: self.line(at.field("bed"), s.bed),
            admitted: self.when(at.field("admitted"), s.admitted),
            discharged: self.when(at.field("discharged"), s.discharged),
            days: self.number(at.field("days"), s.days),
            outcome: self.maybe_coded(at.field("outcome"), s.outcome),
        }
    }
}

/// The lists of the record.
impl Reader {
    fn diagnosis(&mut self, at: At<'_>, wire: pb::Diagnosis) -> Diagnosis {
        let roles = "DIAGNOSIS_ROLE_UNSPECIFIED, DIAGNOSIS_ROLE_ADMISSION, \
                     DIAGNOSIS_ROLE_DISCHARGE_MAIN, DIAGNOSIS_ROLE_DISCHARGE, \
                     DIAGNOSIS_ROLE_HISTORY";
        let kinds = "DIAGNOSIS_KIND_UNSPECIFIED, DIAGNOSIS_KIND_WESTERN, \
                     DIAGNOSIS_KIND_TCM_DISEASE, DIAGNOSIS_KIND_TCM_SYNDROME";
        Diagnosis {
            role: self.known(at.field("role"), wire.role, roles, diagnosis_role),
            kind: self.known(at.field("kind"), wire.kind, kinds, diagnosis_kind),
            coded: self.coded(at.field("coded"), wire.coded),
            onset: self.when(at.field("onset"), wire.onset),
            resolved: wire.resolved,
            unconfirmed: wire.unconfirmed,
        }
    }

    fn procedure(&mut self, at: At<'_>, wire: pb::Procedure) -> Procedure {
        Procedure {
            coded: self.coded(at.field("coded"), wire.coded),
            started: self.when(at.field("started"), wire.started),
            course: self.text(at.field("course"), wire.course),
            anaesthesia: self.maybe_coded(at.field("anaesthesia"), wire.anaesthesia),
            incision: self.maybe_coded(at.field("incision"), wire.incision),
            healing: self.maybe_coded(at.field("healing"), wire.healing),
        }
    }

    fn narrative(&mut self, at: At<'_>, wire: pb::Narrative) -> Narrative {
        let n = wire;
        Narrative {
            admission: self.text(at.field("admission"), n.admission),
            course: self.text(at.field("course"), n.course),
            positive_results: self.text(at.field("positive_results"), n.positive_results),
            discharge: self.text(at.field("discharge"), n.discharge),
            symptoms_and_signs: self.text(at.field("symptoms_and_signs"), n.symptoms_and_signs),
            tcm_observation: self.text(at.field("tcm_observation"), n.tcm_observation),
            tcm_principle: self.text(at.field("tcm_principle"), n.tcm_principle),
            tcm_decoction: self.text(at.field("tcm_decoction"), n.tcm_decoction),
            tcm_usage: self.text(at.field("tcm_usage"), n.tcm_usage),
            orders: self.text(at.field("orders"), n.orders),
        }
    }

    fn section(&mut self, at: At<'_>, wire: pb::Section) -> Section {
        Section {
            coded: self.coded(at.field("coded"), wire.coded),
            text: self.text(at.field("text"), wire.text),
        }
    }

    fn medicine(&mut self, at: At<'_>, wire: pb::Medicine) -> Medicine {
        let m = wire;
        let changes = "MEDICINE_CHANGE_UNSPECIFIED, MEDICINE_CHANGE_NEW, \
                       MEDICINE_CHANGE_CONTINUED, MEDICINE_CHANGE_ALTERED, \
                       MEDICINE_CHANGE_STOPPED";
        Medicine {
            coded: self.coded(at.field("coded"), m.coded),
            change: self.known(at.field("change"), m.change, changes, change),
            change_text: self.text(at.field("change_text"), m.change_text),
            dose: self.quantity(at.field("dose"), m.dose),
            route: self.maybe_coded(at.field("route"), m.route),
            times_per_day: self.number(at.field("times_per_day"), m.times_per_day),
            frequency: self.line(at.field("frequency"), m.frequency),
            as_needed: m.as_needed,
            days: self.number(at.field("days"), m.days),
            start: self.when(at.field("start"), m.start),
            end: self.when(at.field("end"), m.end),
            instruction: self.text(at.field("instruction"), m.instruction),
            reason: self.text(at.field("reason"), m.reason),
            supplied: self.quantity(at.field("supplied"), m.supplied),
        }
    }

    fn measurement(&mut self, at: At<'_>, wire: pb::Measurement) -> Measurement {
        let m = wire;
        Measurement {
            coded: self.coded(at.field("coded"), m.coded),
            value: self.quantity(at.field("value"), m.value),
            text: self.text(at.field("text"), m.text),
            taken: self.when(at.field("taken"), m.taken),
            interpretation: self.text(at.field("interpretation"), m.interpretation),
            reference_range: self.text(at.field("reference_range"), m.reference_range),
        }
    }

    fn allergy(&mut self, at: At<'_>, wire: pb::Allergy) -> Allergy {
        Allergy {
            coded: self.coded(at.field("coded"), wire.coded),
            reaction: self.text(at.field("reaction"), wire.reaction),
            absent: wire.absent,
        }
    }

    fn imaging(&mut self, at: At<'_>, wire: pb::ImagingReference) -> ImagingReference {
        let i = wire;
        ImagingReference {
            study_uid: self.line(at.field("study_uid"), i.study_uid),
            accession_number: self.line(at.field("accession_number"), i.accession_number),
            modality: self.line(at.field("modality"), i.modality),
            description: self.text(at.field("description"), i.description),
            date: self.when(at.field("date"), i.date),
            report: self.text(at.field("report"), i.report),
        }
    }

    fn target(&mut self, at: At<'_>, wire: pb::Target) -> Target {
        Target {
            coded: self.coded(at.field("coded"), wire.coded),
            low: self.quantity(at.field("low"), wire.low),
            high: self.quantity(at.field("high"), wire.high),
            text: self.text(at.field("text"), wire.text),
        }
    }

    fn follow_up(&mut self, at: At<'_>, wire: pb::FollowUp) -> FollowUp {
        FollowUp {
            coded: self.coded(at.field("coded"), wire.coded),
            from: self.when(at.field("from"), wire.from),
            due: self.when(at.field("due"), wire.due),
            by: self.line(at.field("by"), wire.by),
            targets: self.list(at.field("targets"), FEW_MAX, wire.targets, Self::target),
            text: self.text(at.field("text"), wire.text),
        }
    }

    fn signature(&mut self, at: At<'_>, wire: pb::Signature) -> Signature {
        let roles = "SIGNATURE_ROLE_UNSPECIFIED, SIGNATURE_ROLE_RESIDENT, \
                     SIGNATURE_ROLE_SENIOR, SIGNATURE_ROLE_AUTHOR";
        Signature {
            role: self.known(at.field("role"), wire.role, roles, signature_role),
            name: self.line(at.field("name"), wire.name),
            number: self.line(at.field("number"), wire.number),
            signed: self.when(at.field("signed"), wire.signed),
        }
    }
}

fn identifier_kind(kind: pb::IdentifierKind) -> IdentifierKind {
    match kind {
        pb::IdentifierKind::ResidentId => IdentifierKind::ResidentId,
        pb::IdentifierKind::HealthCard => IdentifierKind::HealthCard,
        pb::IdentifierKind::InpatientNumber => IdentifierKind::InpatientNumber,
        pb::IdentifierKind::Other | pb::IdentifierKind::Unspecified => IdentifierKind::Other,
    }
}

fn sex(sex: pb::Sex) -> Sex {
    match sex {
        pb::Sex::Unspecified => Sex::Unknown,
        pb::Sex::Male => Sex::Male,
        pb::Sex::Female => Sex::Female,
        pb::Sex::Unstated => Sex::Unstated,
    }
}

fn diagnosis_role(role: pb::DiagnosisRole) -> DiagnosisRole {
    match role {
        pb::DiagnosisRole::Admission => DiagnosisRole::Admission,
        pb::DiagnosisRole::DischargeMain => DiagnosisRole::DischargeMain,
        pb::DiagnosisRole::Discharge | pb::DiagnosisRole::Unspecified => DiagnosisRole::Discharge,
        pb::DiagnosisRole::History => DiagnosisRole::History,
    }
}

fn diagnosis_kind(kind: pb::DiagnosisKind) -> DiagnosisKind {
    match kind {
        pb::DiagnosisKind::Western | pb::DiagnosisKind::Unspecified => DiagnosisKind::Western,
        pb::DiagnosisKind::TcmDisease => DiagnosisKind::TcmDisease,
        pb::DiagnosisKind::TcmSyndrome => DiagnosisKind::TcmSyndrome,
    }
}

fn change(change: pb::MedicineChange) -> Option<MedicineChange> {
    match change {
        pb::MedicineChange::Unspecified => None,
        pb::MedicineChange::New => Some(MedicineChange::New),
        pb::MedicineChange::Continued => Some(MedicineChange::Continued),
        pb::MedicineChange::Altered => Some(MedicineChange::Altered),
        pb::MedicineChange::Stopped => Some(MedicineChange::Stopped),
    }
}

fn signature_role(role: pb::SignatureRole) -> SignatureRole {
    match role {
        pb::SignatureRole::Resident => SignatureRole::Resident,
        pb::SignatureRole::Senior => SignatureRole::Senior,
        pb::SignatureRole::Author | pb::SignatureRole::Unspecified => SignatureRole::Author,
    }
}
