//! `RecordService`.

use std::sync::Arc;

use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::{pb, purpose};
use crate::app::App;
use crate::app::error::Error;
use crate::app::exchange::look_up::StatedPerson;
use crate::app::prescription_check::{Demand, NotChecked, Problem, ProblemKind};
use crate::app::records::elsewhere::{RecordElsewhere, RecordFetched, RecordsElsewhere};
use crate::app::records::reading::Reading as Read;
use crate::app::records::reconcile::{MedicineStanding, ReconciledMedicine, Reconciliation};
use crate::app::records::{ExportFormat, FoundRecord, RecordLine, SubmittedRecord};
use crate::app::request::PageRequest;
use crate::rpc::common::caller;
use crate::sharing::consent::Scope;
use crate::sharing::discharge::{Membership, Reading, Severity};
use crate::tables::text::hex;

/// The service.
#[derive(Debug)]
pub(in crate::rpc) struct RecordDoor(pub(in crate::rpc) Arc<App>);

#[tonic::async_trait]
impl pb::record_service_server::RecordService for RecordDoor {
    async fn validate_record(
        &self,
        request: Request<pb::ValidateRecordRequest>,
    ) -> Result<Response<pb::ValidateRecordResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let read = self.0.validate_record(&caller, &request.media_type, &request.content)?;
        Ok(Response::new(match read {
            Ok(Reading { format, record, problems, unplaced }) => pb::ValidateRecordResponse {
                acceptable: !problems.iter().any(|p| p.severity == Severity::Fatal),
                format: pb::Format::from(format).into(),
                problems: problems.into_iter().map(Into::into).collect(),
                unplaced: unplaced.into_iter().map(Into::into).collect(),
                record: Some(record.into()),
            },
            Err(problems) => pb::ValidateRecordResponse {
                problems: problems.into_iter().map(Into::into).collect(),
                ..pb::ValidateRecordResponse::default()
            },
        }))
    }

    async fn submit_record(
        &self,
        request: Request<pb::SubmitRecordRequest>,
    ) -> Result<Response<pb::SubmitRecordResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let submitted = match request.record {
            Some(_) if !request.content.is_empty() => {
                let allowed = "must be empty where record is given";
                return Err(Error::field("content", allowed).into());
            }
            Some(record) => self.0.compose_record(&caller, &record.try_into()?).await?,
            None => {
                let content = Bytes::from(request.content);
                self.0.submit_record(&caller, &request.media_type, content).await?
            }
        };
        Ok(Response::new(submitted.into()))
    }

    async fn get_record(
        &self,
        request: Request<pb::GetRecordRequest>,
    ) -> Result<Response<pb::GetRecordResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let why = Read {
            purpose: purpose(request.purpose)?,
            break_glass: request.break_glass_reason.trim(),
        };
        let found = self.0.get_record(&caller, (&request.name, request.version), why).await?;
        Ok(Response::new(found.into()))
    }

    async fn list_records(
        &self,
        request: Request<pb::ListRecordsRequest>,
    ) -> Result<Response<pb::ListRecordsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let why = purpose(request.purpose)?;
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: String::new(),
        };
        let only = (request.programme.as_str(), request.patient_name.as_str());
        let (records, next_page_token) =
            self.0.list_discharge_records(&caller, &page, only, why).await?;
        let records = records.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListRecordsResponse { records, next_page_token }))
    }

    async fn export_record(
        &self,
        request: Request<pb::ExportRecordRequest>,
    ) -> Result<Response<pb::ExportRecordResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let why = purpose(request.purpose)?;
        let format = match pb::ExportFormat::try_from(request.format) {
            Ok(pb::ExportFormat::Unspecified) => None,
            Ok(pb::ExportFormat::Fhir) => Some(ExportFormat::Fhir),
            Ok(pb::ExportFormat::Cda) => Some(ExportFormat::Cda),
            Err(_) => {
                let allowed = "must be one of EXPORT_FORMAT_UNSPECIFIED (as it came), \
                               EXPORT_FORMAT_FHIR, EXPORT_FORMAT_CDA";
                return Err(Error::field("format", allowed).into());
            }
        };
        let name = (request.name.as_str(), request.version);
        let (content, media_type) =
            self.0.export_record(&caller, name, format, Read::for_purpose(why)).await?;
        Ok(Response::new(pb::ExportRecordResponse { content: content.into(), media_type }))
    }

    async fn reconcile_medicines(
        &self,
        request: Request<pb::ReconcileMedicinesRequest>,
    ) -> Result<Response<pb::ReconcileMedicinesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let why = purpose(request.purpose)?;
        let name = (request.name.as_str(), request.version);
        let found = self.0.reconcile(&caller, name, &request.medicines, why).await?;
        Ok(Response::new(found.into()))
    }

    async fn look_up_records(
        &self,
        request: Request<pb::LookUpRecordsRequest>,
    ) -> Result<Response<pb::LookUpRecordsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let why = Read {
            purpose: purpose(request.purpose)?,
            break_glass: request.break_glass_reason.trim(),
        };
        let person = request.person.unwrap_or_default().into();
        let found = self.0.look_up_records(&caller, person, why).await?;
        Ok(Response::new(found.into()))
    }

    async fn fetch_record(
        &self,
        request: Request<pb::FetchRecordRequest>,
    ) -> Result<Response<pb::FetchRecordResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let why = Read {
            purpose: purpose(request.purpose)?,
            break_glass: request.break_glass_reason.trim(),
        };
        let record = (request.name.as_str(), request.version);
        let (person, original) = (request.person.unwrap_or_default(), request.include_original);
        let fetched = self.0.fetch_record(&caller, (person.into(), record), (why, original));
        let RecordFetched { found, node } = fetched.await?;
        let original = if original { found.kept.body.to_vec() } else { Vec::new() };
        let record = Some(found.into());
        Ok(Response::new(pb::FetchRecordResponse { record, original, node }))
    }
}

impl From<pb::LookedUpPerson> for StatedPerson {
    fn from(person: pb::LookedUpPerson) -> Self {
        let pb::LookedUpPerson { name, resident_id, health_card } = person;
        Self { name, resident_id, health_card }
    }
}

impl From<RecordsElsewhere> for pb::LookUpRecordsResponse {
    fn from(found: RecordsElsewhere) -> Self {
        let RecordsElsewhere { records, has_more, granted } = found;
        Self {
            records: records.into_iter().map(Into::into).collect(),
            has_more,
            access_until_ms: granted.until_ms.unwrap_or(0),
            under_review: granted.review,
            access_reasons: granted.reasons,
        }
    }
}

impl From<RecordElsewhere> for pb::RecordElsewhere {
    fn from(record: RecordElsewhere) -> Self {
        let RecordElsewhere { line, node, kept_ms, here, scope } = record;
        Self {
            name: line.name,
            version: line.version,
            patient_name: line.patient,
            birth_date: line.birth_date,
            institution: line.institution,
            discharged: line.discharged,
            diagnosis: line.diagnosis,
            withdrawn: line.withdrawn,
            problem: line.problem,
            node,
            kept_ms,
            here,
            scope: access_scope(scope).into(),
        }
    }
}

fn access_scope(scope: Scope) -> pb::AccessScope {
    match scope {
        Scope::Summary => pb::AccessScope::Summary,
        Scope::Whole => pb::AccessScope::Whole,
    }
}

impl From<SubmittedRecord> for pb::SubmitRecordResponse {
    fn from(submitted: SubmittedRecord) -> Self {
        let SubmittedRecord { name, version, known, reading, sha256, sm3 } = submitted;
        let outcome = if known { pb::SubmitOutcome::Known } else { pb::SubmitOutcome::Kept };
        Self {
            name,
            version,
            outcome: outcome.into(),
            format: pb::Format::from(reading.format).into(),
            problems: reading.problems.into_iter().map(Into::into).collect(),
            unplaced: reading.unplaced.into_iter().map(Into::into).collect(),
            sha256: hex(&sha256),
            sm3: hex(&sm3),
        }
    }
}

impl From<FoundRecord> for pb::GetRecordResponse {
    fn from(found: FoundRecord) -> Self {
        let FoundRecord { kept, reading, memberships, granted } = found;
        let (record, problems, unplaced) = match reading {
            Some(reading) => (Some(reading.record.into()), reading.problems, reading.unplaced),
            None => (None, Vec::new(), Vec::new()),
        };
        Self {
            name: kept.name,
            version: kept.version,
            current: kept.current,
            replaced_by: kept.replaced_by,
            record,
            format: kept.format,
            media_type: kept.media_type,
            sha256: hex(&kept.sha256),
            sm3: hex(&kept.sm3),
            from_hub: kept.from_hub,
            received_ms: kept.received_ms,
            problems: problems.into_iter().map(Into::into).collect(),
            unplaced: unplaced.into_iter().map(Into::into).collect(),
            programmes: memberships.members.into_iter().map(Into::into).collect(),
            scope: access_scope(granted.scope).into(),
            access_until_ms: granted.until_ms.unwrap_or(0),
            under_review: granted.review,
            access_reasons: granted.reasons,
        }
    }
}

impl From<Membership> for pb::ProgrammeMembership {
    fn from(member: Membership) -> Self {
        let evidence = member.evidence.into_iter();
        Self {
            programme: member.programme.id().to_owned(),
            name: member.name_zh,
            evidence: evidence.map(|e| format!("{} [{}]", e.reason_zh(), e.source)).collect(),
        }
    }
}

impl From<RecordLine> for pb::RecordLine {
    fn from(line: RecordLine) -> Self {
        Self {
            name: line.name,
            version: line.version,
            patient_name: line.patient,
            birth_date: line.birth_date,
            institution: line.institution,
            discharged: line.discharged,
            diagnosis: line.diagnosis,
            programmes: line.programmes,
            withdrawn: line.withdrawn,
            problem: line.problem,
        }
    }
}

impl From<Reconciliation> for pb::ReconcileMedicinesResponse {
    fn from(found: Reconciliation) -> Self {
        Self {
            medicines: found.medicines.into_iter().map(Into::into).collect(),
            findings: found.problems.into_iter().map(Into::into).collect(),
            not_checked: found.not_checked.into_iter().map(not_checked).collect(),
            rule_version: found.rule_version,
        }
    }
}

fn not_checked(what: NotChecked) -> String {
    what.reason
}

impl From<ReconciledMedicine> for pb::ReconciledMedicine {
    fn from(medicine: ReconciledMedicine) -> Self {
        let standing = match medicine.standing {
            MedicineStanding::StoppedStillGiven => pb::MedicineStanding::StoppedStillGiven,
            MedicineStanding::Both => pb::MedicineStanding::Both,
            MedicineStanding::HospitalOnly => pb::MedicineStanding::HospitalOnly,
            MedicineStanding::ClinicOnly => pb::MedicineStanding::ClinicOnly,
            MedicineStanding::NotRecognised => pb::MedicineStanding::NotRecognised,
        };
        Self {
            written: medicine.written,
            standing: standing.into(),
            hospital: medicine.hospital,
            advice: medicine.advice,
        }
    }
}

impl From<Problem> for pb::ReconciliationFinding {
    fn from(problem: Problem) -> Self {
        let kind = if problem.kind == ProblemKind::Duplicate {
            "duplicate"
        } else if problem.kind == ProblemKind::Interaction {
            "interaction"
        } else {
            "allergy"
        };
        let demand = match problem.demand {
            Demand::Stop => "stop",
            Demand::NeedsReason => "needs_reason",
            Demand::Notice => "notice",
            Demand::OnRequest => "on_request",
        };
        Self {
            id: problem.id,
            kind: kind.to_owned(),
            demand: demand.to_owned(),
            medicines: problem.medicines,
            reason: problem.reason,
            instead: problem.instead,
            source: problem.source,
        }
    }
}
