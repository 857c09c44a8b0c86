//! `FollowUpService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{pb, purpose};
use crate::app::App;
use crate::app::error::Error;
use crate::app::records::ports::TaskState;
use crate::app::records::{ChangedTask, TaskList};
use crate::app::request::PageRequest;
use crate::rpc::common::caller;
use crate::sharing::discharge::TaskKind;

/// The service.
#[derive(Debug)]
pub(in crate::rpc) struct FollowUpDoor(pub(in crate::rpc) Arc<App>);

#[tonic::async_trait]
impl pb::follow_up_service_server::FollowUpService for FollowUpDoor {
    async fn list_tasks(
        &self,
        request: Request<pb::ListTasksRequest>,
    ) -> Result<Response<pb::ListTasksResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let why = purpose(request.purpose)?;
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: String::new(),
        };
        let only = (state(request.state)?, request.due_by.as_str(), request.record.as_str());
        let (tasks, next_page_token) = self.0.list_tasks(&caller, &page, only, why).await?;
        let tasks = tasks.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListTasksResponse { tasks, next_page_token }))
    }

    async fn update_task(
        &self,
        request: Request<pb::UpdateTaskRequest>,
    ) -> Result<Response<pb::UpdateTaskResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let allowed = "must be one of TASK_STATE_OPEN, TASK_STATE_DONE, TASK_STATE_CANCELLED";
        let change = ChangedTask {
            id: request.task_id,
            state: state(request.state)?.ok_or(Error::field("state", allowed))?,
            note: request.note,
            seen_revision: request.seen_revision,
        };
        let task = self.0.change_task(&caller, change).await?;
        Ok(Response::new(pb::UpdateTaskResponse { task: Some(task.into()) }))
    }
}

fn state(number: i32) -> Result<Option<TaskState>, Error> {
    Ok(match pb::TaskState::try_from(number) {
        Ok(pb::TaskState::Unspecified) => None,
        Ok(pb::TaskState::Open) => Some(TaskState::Open),
        Ok(pb::TaskState::Done) => Some(TaskState::Done),
        Ok(pb::TaskState::Cancelled) => Some(TaskState::Cancelled),
        Ok(pb::TaskState::Superseded) => Some(TaskState::Superseded),
        Ok(pb::TaskState::Conflict) => Some(TaskState::Conflict),
        Err(_) => {
            let allowed = "must be one of TASK_STATE_UNSPECIFIED, TASK_STATE_OPEN, TASK_STATE_DONE, \
                           TASK_STATE_CANCELLED, TASK_STATE_SUPERSEDED, TASK_STATE_CONFLICT";
            return Err(Error::field("state", allowed));
        }
    })
}

impl From<TaskList> for pb::FollowUpTask {
    fn from(listed: TaskList) -> Self {
        let TaskList { kept, task } = listed;
        let kind = match task.kind {
            TaskKind::ReferNow => pb::TaskKind::ReferNow,
            TaskKind::Refer => pb::TaskKind::Refer,
            TaskKind::Visit => pb::TaskKind::Visit,
            TaskKind::Measure => pb::TaskKind::Measure,
            TaskKind::MedicineReview => pb::TaskKind::MedicineReview,
            TaskKind::HospitalRequest => pb::TaskKind::HospitalRequest,
            TaskKind::Other => pb::TaskKind::Other,
        };
        let state = match kept.state {
            TaskState::Open => pb::TaskState::Open,
            TaskState::Done => pb::TaskState::Done,
            TaskState::Cancelled => pb::TaskState::Cancelled,
            TaskState::Superseded => pb::TaskState::Superseded,
            TaskState::Conflict => pb::TaskState::Conflict,
        };
        let reasons = task.reasons.into_iter();
        Self {
            id: kept.id,
            record: kept.record,
            record_version: kept.record_version,
            kind: kind.into(),
            state: state.into(),
            revision: kept.revision,
            earliest: task.earliest.map(|day| day.to_string()).unwrap_or_default(),
            due: task.due.map(|day| day.to_string()).unwrap_or_default(),
            wording: task.wording_zh,
            reasons: reasons.map(|r| format!("{} [{}]", r.text_zh, r.source)).collect(),
            programmes: task.programmes.iter().map(|p| p.id().to_owned()).collect(),
            note: kept.note,
            changed_by: kept.changed_by,
            changed_ms: kept.changed_ms,
            covered_by: kept.covered_by,
        }
    }
}
