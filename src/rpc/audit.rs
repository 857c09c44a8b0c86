//! `xiangyi.audit.v1.AuditService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::common::caller;
use super::proto::xiangyi::audit::v1 as pb;
use crate::app::App;
use crate::app::audit::ports::KeptAlarm;
use crate::app::audit::{ANCHORS_MAX, AccessRequest, Closing, EntryRequest, Finding, Verdict};
use crate::app::error::Error;
use crate::app::exchange::facts::RegisteredPerson;
use crate::app::request::{PageRequest, Problems};
use crate::sharing::audit::alarms::AlarmKind;
use crate::sharing::audit::{Anchor, Entry, Fault, Head, Mark};

/// The service.
#[derive(Debug)]
pub(super) struct AuditDoor(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::audit_service_server::AuditService for AuditDoor {
    async fn list_audit_entries(
        &self,
        request: Request<pb::ListAuditEntriesRequest>,
    ) -> Result<Response<pb::ListAuditEntriesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = page(request.page_size, request.page_token);
        let asked = EntryRequest {
            from_ms: Some(request.from_ms).filter(|ms| *ms != 0),
            until_ms: Some(request.until_ms).filter(|ms| *ms != 0),
            caller: request.caller,
            action: request.action,
            outcome: request.outcome,
        };
        let (entries, next_page_token) = self.0.audit_entries(&caller, asked, &page).await?;
        let (node, chain) = self.0.audit_chain().await?;
        let entries = entries.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListAuditEntriesResponse { entries, next_page_token, node, chain }))
    }

    async fn list_patient_accesses(
        &self,
        request: Request<pb::ListPatientAccessesRequest>,
    ) -> Result<Response<pb::ListPatientAccessesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = page(request.page_size, request.page_token);
        let asked = AccessRequest {
            patient_reference: request.patient_reference,
            record: request.record,
            person: request.person.map(|person| RegisteredPerson {
                name: person.name,
                resident_id: person.resident_id,
                health_card: person.health_card,
                birth_date: person.birth_date,
                ..RegisteredPerson::default()
            }),
        };
        let (entries, next_page_token) = self.0.patient_accesses(&caller, asked, &page).await?;
        let entries = entries.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListPatientAccessesResponse { entries, next_page_token }))
    }

    async fn verify_trail(
        &self,
        request: Request<pb::VerifyTrailRequest>,
    ) -> Result<Response<pb::VerifyTrailResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let asked = (request.exchange, anchors(request.anchors)?);
        Ok(Response::new(self.0.verify_trail(&caller, asked).await?.into()))
    }

    async fn list_anchors(
        &self,
        request: Request<pb::ListAnchorsRequest>,
    ) -> Result<Response<pb::ListAnchorsResponse>, Status> {
        let caller = caller(&request)?;
        let anchors = self.0.audit_anchors(&caller, &request.into_inner().node).await?;
        let anchors = anchors.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListAnchorsResponse { anchors }))
    }

    async fn list_alarms(
        &self,
        request: Request<pb::ListAlarmsRequest>,
    ) -> Result<Response<pb::ListAlarmsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = page(request.page_size, request.page_token);
        let (alarms, next_page_token) =
            self.0.audit_alarms(&caller, request.open_only, &page).await?;
        let alarms = alarms.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListAlarmsResponse { alarms, next_page_token }))
    }

    async fn close_alarm(
        &self,
        request: Request<pb::CloseAlarmRequest>,
    ) -> Result<Response<pb::CloseAlarmResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let finding = finding(request.finding);
        let closing = Closing { number: request.number, finding, note: request.note };
        let alarm = self.0.close_alarm(&caller, closing).await?;
        Ok(Response::new(pb::CloseAlarmResponse { alarm: Some(alarm.into()) }))
    }
}

fn page(page_size: u32, page_token: String) -> PageRequest {
    PageRequest { page_size, page_token, patient_reference: String::new() }
}

fn finding(number: i32) -> Option<Finding> {
    match pb::AlarmFinding::try_from(number) {
        Ok(pb::AlarmFinding::Justified) => Some(Finding::Justified),
        Ok(pb::AlarmFinding::Misuse) => Some(Finding::Misuse),
        Ok(pb::AlarmFinding::Undecided) => Some(Finding::Undecided),
        Ok(pb::AlarmFinding::Unspecified) | Err(_) => None,
    }
}

/// How an alarm was closed, from the entry that says so.
fn closure(entry: Entry) -> pb::AlarmClosure {
    let (finding, note) = match Finding::read(&entry.detail) {
        Some((finding, note)) => {
            let finding = match finding {
                Finding::Justified => pb::AlarmFinding::Justified,
                Finding::Misuse => pb::AlarmFinding::Misuse,
                Finding::Undecided => pb::AlarmFinding::Undecided,
            };
            (finding, note.to_owned())
        }
        None => (pb::AlarmFinding::Unspecified, entry.detail),
    };
    pb::AlarmClosure {
        finding: finding.into(),
        note,
        closed_by: entry.caller,
        at_ms: entry.at_ms,
        entry_number: entry.number,
    }
}

/// Signed heads; the problem names the field of the first that is none.
fn anchors(sent: Vec<pb::Anchor>) -> Result<Vec<Anchor>, Error> {
    let mut problems = Problems::default();
    let fits = sent.len() <= ANCHORS_MAX;
    problems.unless(fits, "anchors", "must have at most 10000 entries");
    problems.finish()?;
    let read = |(place, anchor): (usize, pb::Anchor)| {
        let digest = |name: &str, bytes: Vec<u8>| {
            let field = format!("anchors[{place}].{name}");
            bytes.try_into().map_err(|_| Error::field(&field, "must have 32 bytes"))
        };
        let head = Head {
            number: anchor.number,
            sha256: digest("sha256", anchor.sha256)?,
            sm3: digest("sm3", anchor.sm3)?,
        };
        let mark = Mark { node: anchor.node, chain: anchor.chain, head, at_ms: anchor.at_ms };
        Ok(Anchor { mark, key: anchor.key, signature: anchor.signature })
    };
    sent.into_iter().enumerate().map(read).collect()
}

impl From<Anchor> for pb::Anchor {
    fn from(Anchor { mark, key, signature }: Anchor) -> Self {
        Self {
            node: mark.node,
            chain: mark.chain,
            number: mark.head.number,
            sha256: mark.head.sha256.to_vec(),
            sm3: mark.head.sm3.to_vec(),
            at_ms: mark.at_ms,
            key,
            signature,
        }
    }
}

impl From<Entry> for pb::AuditEntry {
    fn from(entry: Entry) -> Self {
        Self {
            number: entry.number,
            at_ms: entry.at_ms,
            caller: entry.caller,
            role: entry.role,
            action: entry.action,
            record_id: entry.record_id,
            patient_reference: entry.patient_reference,
            outcome: entry.outcome,
            detail: entry.detail,
            sha256: entry.sha256,
            sm3: entry.sm3,
        }
    }
}

impl From<pb::AuditEntry> for Entry {
    fn from(entry: pb::AuditEntry) -> Self {
        Self {
            number: entry.number,
            at_ms: entry.at_ms,
            caller: entry.caller,
            role: entry.role,
            action: entry.action,
            record_id: entry.record_id,
            patient_reference: entry.patient_reference,
            outcome: entry.outcome,
            detail: entry.detail,
            sha256: entry.sha256,
            sm3: entry.sm3,
        }
    }
}

impl From<Verdict> for pb::VerifyTrailResponse {
    fn from(Verdict { origin, result }: Verdict) -> Self {
        let said =
            Self { chain: origin.chain, chained_later: origin.chained_later, ..Self::default() };
        match result {
            Ok(intact) => Self {
                intact: true,
                entry_count: intact.entries,
                last_number: intact.head.number,
                sha256: intact.head.sha256.to_vec(),
                sm3: intact.head.sm3.to_vec(),
                anchor_count: intact.anchors,
                anchored_up_to: intact.anchored_up_to,
                other_chains: intact
                    .others
                    .into_iter()
                    .map(|(chain, anchored_up_to)| pb::OtherChain { chain, anchored_up_to })
                    .collect(),
                ..said
            },
            Err(broken) => Self {
                fault: pb::Fault::from(broken.fault).into(),
                bad_number: broken.number,
                bad_up_to: broken.up_to,
                ..said
            },
        }
    }
}

impl From<Fault> for pb::Fault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Missing => Self::Missing,
            Fault::Inserted => Self::Inserted,
            Fault::Reordered => Self::Reordered,
            Fault::Altered => Self::Altered,
            Fault::Replaced => Self::Replaced,
            Fault::NotChained => Self::NotChained,
            Fault::Rewritten => Self::Rewritten,
            Fault::CutOff => Self::CutOff,
            Fault::OtherChain => Self::OtherChain,
        }
    }
}

impl From<KeptAlarm> for pb::Alarm {
    fn from(KeptAlarm { number, alarm, closed }: KeptAlarm) -> Self {
        let kind = match alarm.kind {
            AlarmKind::BreakGlass => pb::AlarmKind::BreakGlass,
            AlarmKind::MassReading => pb::AlarmKind::MassReading,
            AlarmKind::Neighbours => pb::AlarmKind::Neighbours,
            AlarmKind::SameName => pb::AlarmKind::SameName,
        };
        Self {
            number,
            kind: kind.into(),
            at_ms: alarm.at_ms,
            caller: alarm.caller,
            role: alarm.role,
            entry_number: alarm.entry,
            person_count: alarm.persons,
            hours: alarm.hours,
            closure: closed.map(closure),
        }
    }
}
