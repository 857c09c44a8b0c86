//! From a discharge record, and what is wrong with one, to the contract.

use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::sharing::discharge::model::{
    Address, Allergy, Code, Coded, Contact, Diagnosis, DiagnosisKind, DiagnosisRole,
    DischargeRecord, Document, FollowUp, Identifier, IdentifierKind, ImagingReference, Measurement,
    Medicine, MedicineChange, Narrative, Patient, Procedure, Quantity, Section, Sex, Signature,
    SignatureRole, Stay, Target,
};
use crate::sharing::discharge::{Format, Moment, Problem, Severity, Unplaced};

impl From<DischargeRecord> for pb::DischargeRecord {
    fn from(r: DischargeRecord) -> Self {
        Self {
            document: Some(r.document.into()),
            patient: Some(r.patient.into()),
            stay: Some(r.stay.into()),
            diagnoses: all(r.diagnoses),
            procedures: all(r.procedures),
            narrative: Some(r.narrative.into()),
            sections: all(r.sections),
            medicines: all(r.medicines),
            measurements: all(r.measurements),
            allergies: all(r.allergies),
            imaging: all(r.imaging),
            follow_ups: all(r.follow_ups),
            signatures: all(r.signatures),
        }
    }
}

impl From<Document> for pb::Document {
    fn from(d: Document) -> Self {
        Self {
            name: d.name,
            version: d.version,
            replaces: d.replaces,
            entered_in_error: d.entered_in_error,
            title: d.title,
            written: when(d.written),
            language: d.language,
        }
    }
}

impl From<Code> for pb::Code {
    fn from(c: Code) -> Self {
        Self { system: c.system, code: c.code, display: c.display }
    }
}

impl From<Coded> for pb::Coded {
    fn from(c: Coded) -> Self {
        Self { text: c.text, codes: all(c.codes) }
    }
}

impl From<Quantity> for pb::Quantity {
    fn from(q: Quantity) -> Self {
        Self { value: q.value, unit: q.unit }
    }
}

impl From<Identifier> for pb::Identifier {
    fn from(i: Identifier) -> Self {
        Self { kind: pb::IdentifierKind::from(i.kind).into(), system: i.system, value: i.value }
    }
}

impl From<Address> for pb::Address {
    fn from(a: Address) -> Self {
        Self {
            province: a.province,
            city: a.city,
            county: a.county,
            township: a.township,
            village: a.village,
            house: a.house,
            text: a.text,
            division: a.division,
        }
    }
}

impl From<Contact> for pb::Contact {
    fn from(c: Contact) -> Self {
        Self { name: c.name, phone: c.phone, relation: c.relation }
    }
}

impl From<Patient> for pb::Patient {
    fn from(p: Patient) -> Self {
        Self {
            identifiers: all(p.identifiers),
            name: p.name,
            sex: pb::Sex::from(p.sex).into(),
            birth_date: when(p.birth_date),
            age: p.age.map(Into::into),
            marital_status: p.marital_status.map(Into::into),
            occupation: p.occupation.map(Into::into),
            phones: p.phones,
            address: Some(p.address.into()),
            contacts: all(p.contacts),
        }
    }
}

impl From<Stay> for pb::Stay {
    fn from(s: Stay) -> Self {
        Self {
            institution: s.institution,
            institution_code: s.institution_code,
            department: s.department,
            ward: s.ward,
            room: s.room,
            bed: s.bed,
            admitted: when(s.admitted),
            discharged: when(s.discharged),
            days: s.days,
            outcome: s.outcome.map(Into::into),
        }
    }
}

impl From<Diagnosis> for pb::Diagnosis {
    fn from(d: Diagnosis) -> Self {
        Self {
            role: pb::DiagnosisRole::from(d.role).into(),
            kind: pb::DiagnosisKind::from(d.kind).into(),
            coded: Some(d.coded.into()),
            onset: when(d.onset),
            resolved: d.resolved,
            unconfirmed: d.unconfirmed,
        }
    }
}

impl From<Procedure> for pb::Procedure {
    fn from(p: Procedure) -> Self {
        Self {
            coded: Some(p.coded.into()),
            started: when(p.started),
            course: p.course,
            anaesthesia: p.anaesthesia.map(Into::into),
            incision: p.incision.map(Into::into),
            healing: p.healing.map(Into::into),
        }
    }
}

impl From<Narrative> for pb::Narrative {
    fn from(n: Narrative) -> Self {
        Self {
            admission: n.admission,
            course: n.course,
            positive_results: n.positive_results,
            discharge: n.discharge,
            symptoms_and_signs: n.symptoms_and_signs,
            tcm_observation: n.tcm_observation,
            tcm_principle: n.tcm_principle,
            tcm_decoction: n.tcm_decoction,
            tcm_usage: n.tcm_usage,
            orders: n.orders,
        }
    }
}

impl From<Section> for pb::Section {
    fn from(s: Section) -> Self {
        Self { coded: Some(s.coded.into()), text: s.text }
    }
}

impl From<Medicine> for pb::Medicine {
    fn from(m: Medicine) -> Self {
        let change = m.change.map_or(pb::MedicineChange::Unspecified, Into::into);
        Self {
            coded: Some(m.coded.into()),
            change: change.into(),
            change_text: m.change_text,
            dose: m.dose.map(Into::into),
            route: m.route.map(Into::into),
            times_per_day: m.times_per_day,
            frequency: m.frequency,
            as_needed: m.as_needed,
            days: m.days,
            start: when(m.start),
            end: when(m.end),
            instruction: m.instruction,
            reason: m.reason,
            supplied: m.supplied.map(Into::into),
        }
    }
}

impl From<Measurement> for pb::Measurement {
    fn from(m: Measurement) -> Self {
        Self {
            coded: Some(m.coded.into()),
            value: m.value.map(Into::into),
            text: m.text,
            taken: when(m.taken),
            interpretation: m.interpretation,
            reference_range: m.reference_range,
        }
    }
}

impl From<Allergy> for pb::Allergy {
    fn from(a: Allergy) -> Self {
        Self { coded: Some(a.coded.into()), reaction: a.reaction, absent: a.absent }
    }
}

impl From<ImagingReference> for pb::ImagingReference {
    fn from(i: ImagingReference) -> Self {
        Self {
            study_uid: i.study_uid,
            accession_number: i.accession_number,
            modality: i.modality,
            description: i.description,
            date: when(i.date),
            report: i.report,
        }
    }
}

impl From<Target> for pb::Target {
    fn from(t: Target) -> Self {
        Self {
            coded: Some(t.coded.into()),
            low: t.low.map(Into::into),
            high: t.high.map(Into::into),
            text: t.text,
        }
    }
}

impl From<FollowUp> for pb::FollowUp {
    fn from(f: FollowUp) -> Self {
        Self {
            coded: Some(f.coded.into()),
            from: when(f.from),
            due: when(f.due),
            by: f.by,
            targets: all(f.targets),
            text: f.text,
        }
    }
}

impl From<Signature> for pb::Signature {
    fn from(s: Signature) -> Self {
        Self {
            role: pb::SignatureRole::from(s.role).into(),
            name: s.name,
            number: s.number,
            signed: when(s.signed),
        }
    }
}

impl From<Problem> for pb::Problem {
    fn from(p: Problem) -> Self {
        Self {
            path: p.path,
            severity: pb::Severity::from(p.severity).into(),
            code: p.code,
            message: p.message,
        }
    }
}

impl From<Unplaced> for pb::Unplaced {
    fn from(u: Unplaced) -> Self {
        Self { path: u.path, what: u.what }
    }
}

impl From<Format> for pb::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::FhirDocument => Self::FhirDocument,
            Format::FhirBundle => Self::FhirBundle,
            Format::CdaDischargeSummary => Self::CdaDischargeSummary,
            Format::CdaWst500_49 => Self::CdaWst50049,
            Format::CdaWst500_25 => Self::CdaWst50025,
            Format::CdaWst500_32 => Self::CdaWst50032,
            Format::Ccda => Self::Ccda,
            Format::Native => Self::Native,
        }
    }
}

impl From<Severity> for pb::Severity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Information => Self::Information,
            Severity::Warning => Self::Warning,
            Severity::Fatal => Self::Fatal,
        }
    }
}

impl From<IdentifierKind> for pb::IdentifierKind {
    fn from(kind: IdentifierKind) -> Self {
        match kind {
            IdentifierKind::ResidentId => Self::ResidentId,
            IdentifierKind::HealthCard => Self::HealthCard,
            IdentifierKind::InpatientNumber => Self::InpatientNumber,
            IdentifierKind::Other => Self::Other,
        }
    }
}

impl From<Sex> for pb::Sex {
    fn from(sex: Sex) -> Self {
        match sex {
            Sex::Unknown => Self::Unspecified,
            Sex::Male => Self::Male,
            Sex::Female => Self::Female,
            Sex::Unstated => Self::Unstated,
        }
    }
}

impl From<DiagnosisRole> for pb::DiagnosisRole {
    fn from(role: DiagnosisRole) -> Self {
        match role {
            DiagnosisRole::Admission => Self::Admission,
            DiagnosisRole::DischargeMain => Self::DischargeMain,
            DiagnosisRole::Discharge => Self::Discharge,
            DiagnosisRole::History => Self::History,
        }
    }
}

impl From<DiagnosisKind> for pb::DiagnosisKind {
    fn from(kind: DiagnosisKind) -> Self {
        match kind {
            DiagnosisKind::Western => Self::Western,
            DiagnosisKind::TcmDisease => Self::TcmDisease,
            DiagnosisKind::TcmSyndrome => Self::TcmSyndrome,
        }
    }
}

impl From<MedicineChange> for pb::MedicineChange {
    fn from(change: MedicineChange) -> Self {
        match change {
            MedicineChange::New => Self::New,
            MedicineChange::Continued => Self::Continued,
            MedicineChange::Altered => Self::Altered,
            MedicineChange::Stopped => Self::Stopped,
        }
    }
}

impl From<SignatureRole> for pb::SignatureRole {
    fn from(role: SignatureRole) -> Self {
        match role {
            SignatureRole::Resident => Self::Resident,
            SignatureRole::Senior => Self::Senior,
            SignatureRole::Author => Self::Author,
        }
    }
}

fn all<M, W: From<M>>(entries: Vec<M>) -> Vec<W> {
    entries.into_iter().map(Into::into).collect()
}

/// ISO 8601; empty if it was not said.
fn when(moment: Option<Moment>) -> String {
    moment.map_or_else(String::new, Into::into)
}
