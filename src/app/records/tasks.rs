//! Follow-up tasks: made from a record when it arrives, and their states.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sm3::Sm3;
use uuid::Uuid;

use super::place::{About, Near, exhausted};
use super::ports::{
    Indexed, KeptTask, NewDocument, NewTask, Submitted, TaskChange, TaskQuery, TaskState,
};
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::exchange::facts::JSON;
use crate::app::knowledge::Knowledge;
use crate::app::ports::AuditEntry;
use crate::app::records::Purpose;
use crate::app::records::reading::Reading;
use crate::app::request::{PageRequest, Problems};
use crate::app::{App, encode};
use crate::sharing::consent::{Scope, Verdict};
use crate::sharing::discharge::{DischargeRecord, Task, TaskKind, tasks};
use crate::sharing::exchange::{Document, Kind};

/// Lists of tasks are told apart from others by this.
const SEAL: &str = "tasks";
/// Characters of a note at most.
const NOTE_CHARS_MAX: usize = 1_000;
/// Names of tasks, made from record and rule, are UUIDs of this namespace.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_a0c2_93b7_5c1e_8f0e_2b7d_4a61_9c53);

/// Body of a document of [`Kind::Task`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskBody {
    /// Id of the task.
    pub task: String,
    /// State.
    pub state: TaskState,
    /// In words.
    pub note: String,
    /// Who, and at which node.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

impl TaskBody {
    /// What a document of this version says of the task.
    pub fn change(self, version: u32) -> TaskChange {
        let Self { task, state, note, by, at_ms: _ } = self;
        TaskChange { id: task, revision: version, state, note, by }
    }
}

/// A task with what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskList {
    /// Id, record, state.
    pub kept: KeptTask,
    /// What is to be done.
    pub task: Task,
}

/// A new state of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedTask {
    /// Id.
    pub id: String,
    /// State: done, cancelled, or open again.
    pub state: TaskState,
    /// In words: what was found, or why not.
    pub note: String,
    /// The revision that was seen.
    pub seen_revision: u32,
}

/// Tasks of a record, with ids that are the same on every node.
pub(super) fn of(
    knowledge: &Knowledge,
    name: &str,
    record: &DischargeRecord,
) -> Result<Vec<NewTask>, Error> {
    let members = knowledge.programmes.of(record);
    let made = tasks(record, &members.members, &knowledge.follow_up);
    let made = made.into_iter().map(|task| {
        Ok(NewTask {
            id: Uuid::new_v5(&NAMESPACE, format!("{name}\n{}", task.id).as_bytes()).to_string(),
            due_day: task.due.map(|day| day.to_string()).unwrap_or_default(),
            urgent: task.kind == TaskKind::ReferNow,
            task_json: encode(&task)?,
        })
    });
    made.collect()
}

impl App {
    /// Tasks that are open or in conflict (or of one state), urgent ones first, then by last day.
    pub async fn list_tasks(
        &self,
        caller: &Caller,
        page: &PageRequest,
        (state, due_by, record): (Option<TaskState>, &str, &str),
        purpose: Purpose,
    ) -> Result<(Vec<TaskList>, String), Error> {
        let permit = authorise(caller, Action::ReadRecords)?;
        let (size, skip) = page.open(SEAL)?;
        let mut problems = Problems::default();
        problems.unless(
            due_by.is_empty() || due_by.parse::<jiff::civil::Date>().is_ok(),
            "due_by",
            "must be a day such as 2026-11-29",
        );
        problems.finish()?;
        let skip = u32::try_from(skip.unwrap_or(0)).unwrap_or(u32::MAX);
        let query = TaskQuery {
            state,
            due_by: due_by.to_owned(),
            record: record.to_owned(),
            skip,
            limit: size + 1,
        };
        let desk = self.desk()?;
        let mut found = desk.store.tasks(&permit, query, self.read_for(record, purpose)).await?;
        let asked = usize::try_from(size).unwrap_or(usize::MAX);
        let more = found.len() > asked;
        found.truncate(asked);
        let token =
            if more { format!("{SEAL}-{}", skip.saturating_add(size)) } else { String::new() };
        let mut listed = Vec::with_capacity(found.len());
        for task in found {
            if let Some(has) = desk.store.standing(&task.record).await? {
                let asked = (Reading::for_purpose(purpose), Scope::Summary);
                if self.policy_on(caller, &task.record, &has, asked).verdict == Verdict::Allowed {
                    listed.push(decoded(task)?);
                }
            }
        }
        Ok((listed, token))
    }

    /// Says how a task stands. Refused when somebody else has said something meanwhile.
    pub async fn change_task(
        &self,
        caller: &Caller,
        change: ChangedTask,
    ) -> Result<TaskList, Error> {
        let permit = authorise(caller, Action::ChangeTasks)?;
        let mut problems = Problems::default();
        problems.unless(!change.id.is_empty(), "task_id", "must not be empty");
        problems.id("task_id", &change.id);
        problems.chars("note", &change.note, NOTE_CHARS_MAX);
        problems.unless(
            matches!(change.state, TaskState::Open | TaskState::Done | TaskState::Cancelled),
            "state",
            "must be open, done or cancelled",
        );
        problems.unless(
            change.state != TaskState::Cancelled || !change.note.trim().is_empty(),
            "note",
            "must say why the task is cancelled",
        );
        problems.finish()?;
        let desk = self.desk()?;
        let task = desk.store.task(&permit, &change.id).await?;
        let Some(task) = task else {
            let entry = AuditEntry { outcome: "not_found", ..self.entry(&change.id, "") };
            self.journal.audit(&permit, entry).await?;
            return Err(Error::NotFound { kind: "task" });
        };
        let entry = self.entry(&change.id, "");
        let has = self.standing_here(&permit, &task.record, entry.clone()).await?;
        self.may_write(&permit, (About::Record(&has), Near::InPerson), entry.clone()).await?;
        let now = self.clock.now_ms();
        let body = TaskBody {
            task: change.id.clone(),
            state: change.state,
            note: change.note.trim().to_owned(),
            by: format!("{}@{}", caller.name, self.name),
            at_ms: now,
        };
        let bytes = Bytes::from(encode(&body)?);
        let revision = change.seen_revision.saturating_add(1);
        let document = Document {
            kind: Kind::Task,
            name: format!("{}#{}", task.record, change.id),
            version: revision,
            media_type: JSON.to_owned(),
            sha256: Sha256::digest(&bytes).into(),
            body: bytes,
        };
        let new = NewDocument {
            indexed: Indexed {
                sm3: Sm3::digest(&document.body).into(),
                format: "task",
                ..Indexed::default()
            },
            document,
            task: Some(TaskChange {
                id: change.id.clone(),
                revision,
                state: body.state,
                note: body.note,
                by: body.by,
            }),
            grant: None,
            at_ms: now,
        };
        match desk.store.submit(&permit, new, entry).await? {
            Submitted::Kept(_) | Submitted::Known(_) => {}
            Submitted::Exhausted => return Err(exhausted()),
            Submitted::NameTaken(_) => {
                return Err(Error::internal("records", "a task is no record"));
            }
            Submitted::Stale(revision) | Submitted::Conflict(revision) => {
                let reason = format!(
                    "the task was changed meanwhile: look at it again and send revision {revision}"
                );
                return Err(Error::Refused { reason });
            }
        }
        desk.wake();
        let task = desk.store.task(&permit, &change.id).await?;
        decoded(task.ok_or(Error::NotFound { kind: "task" })?)
    }
}

fn decoded(kept: KeptTask) -> Result<TaskList, Error> {
    let task = serde_json::from_str(&kept.task_json).map_err(|e| Error::internal("store", e))?;
    Ok(TaskList { kept, task })
}
