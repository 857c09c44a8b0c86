//! `Interview`: driven by the caller's reading, one message at a time; ended by the consultation, by
//! an error, by a caller who goes away or by one who says nothing for [`SILENCE_MAX`].

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, try_unfold};
use tonic::{Response, Status, Streaming};

use super::common::known;
use super::diagnosis::state;
use super::proto::xiangyi::diagnosis::v1 as pb;
use super::proto::xiangyi::diagnosis::v1::interview_request::Step;
use super::proto::xiangyi::diagnosis::v1::interview_response::Step as Reply;
use crate::app::App;
use crate::app::access::Caller;
use crate::app::consultation as domain;
use crate::app::error::{Error, FieldProblem};
use crate::app::interview::Interview;
use crate::app::request::{DiagnoseRequest, Problems};

/// How long a caller may think about a question.
const SILENCE_MAX: Duration = Duration::from_mins(10);

/// The node's side of an interview.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<pb::InterviewResponse, Status>> + Send>>;

/// An interview with the other side of the line.
struct Talk {
    app: Arc<App>,
    caller: Caller,
    interview: Interview,
    steps: Streaming<pb::InterviewRequest>,
    /// A question is out.
    asked: bool,
    /// The consultation was sent.
    over: bool,
}

/// Waits for `start`, so that a bad one is answered at once.
pub(super) async fn open(
    app: Arc<App>,
    caller: Caller,
    mut steps: Streaming<pb::InterviewRequest>,
) -> Result<Response<Answers>, Status> {
    // Denied before anything is read.
    app.may_interview(&caller)?;
    let Some(Step::Start(start)) = next(&mut steps).await? else {
        return Err(wrong("step", "must be `start` in the first message").into());
    };
    let mut problems = Problems::default();
    let answers = start
        .answers
        .into_iter()
        .enumerate()
        .map(|(i, answer)| read(&mut problems, &format!("start.answers[{i}].state"), answer))
        .collect();
    problems.finish()?;
    let request = DiagnoseRequest::try_from(start.consultation.unwrap_or_default())?;
    let interview = app.begin_interview(&caller, request, start.question_count_max, answers)?;
    let talk = Talk { app, caller, interview, steps, asked: false, over: false };
    let answers =
        try_unfold(
            talk,
            |mut talk| async move { Ok(talk.reply().await?.map(|reply| (reply, talk))) },
        );
    Ok(Response::new(Box::pin(answers)))
}

impl Talk {
    /// What the node says next; `None` when there is nothing more to say.
    async fn reply(&mut self) -> Result<Option<pb::InterviewResponse>, Status> {
        let mut finish = false;
        if self.over {
            return Ok(None);
        }
        if self.asked {
            match next(&mut self.steps).await? {
                // The caller closed its side without `finish`: nothing is kept.
                None => return Ok(None),
                Some(Step::Start(_)) => {
                    return Err(wrong("step", "must not be `start` again").into());
                }
                Some(Step::Answer(answer)) => {
                    let mut problems = Problems::default();
                    let (finding, state) = read(&mut problems, "answer.state", answer);
                    problems.finish()?;
                    let field = "answer.finding_id";
                    self.app.answer(&mut self.interview, field, &finding, state)?;
                }
                Some(Step::Finish(_)) => finish = true,
            }
        }
        let stand = self.app.stand(&self.interview).await?;
        let step = if let Some(question) = stand.question.filter(|_| !finish) {
            self.asked = true;
            Reply::Question(question.into())
        } else {
            let request = self.interview.so_far();
            let (consultation, _) = self.app.diagnose(&self.caller, request).await?;
            self.over = true;
            Reply::Consultation(consultation.into())
        };
        let leading = stand.leading.into_iter().map(|(condition_id, name, probability)| {
            pb::LeadingCondition { condition_id, name, probability: f64::from(probability) }
        });
        Ok(Some(pb::InterviewResponse {
            step: Some(step),
            answers: self.interview.answers().iter().map(written).collect(),
            leading: leading.collect(),
            red_flags: stand.alarms.into_iter().map(Into::into).collect(),
        }))
    }
}

/// The next step; `None` when the caller has closed its side.
async fn next(steps: &mut Streaming<pb::InterviewRequest>) -> Result<Option<Step>, Status> {
    let message = tokio::time::timeout(SILENCE_MAX, steps.message()).await;
    match message.map_err(|_| Error::DeadlineExceeded)?? {
        None => Ok(None),
        Some(pb::InterviewRequest { step: Some(step) }) => Ok(Some(step)),
        Some(pb::InterviewRequest { step: None }) => {
            Err(wrong("step", "must be one of start, answer and finish").into())
        }
    }
}

fn read(
    problems: &mut Problems,
    field: &str,
    answer: pb::InterviewAnswer,
) -> (String, domain::State) {
    let allowed = "FINDING_STATE_PRESENT, FINDING_STATE_ABSENT, FINDING_STATE_UNCERTAIN";
    let state = match known::<pb::FindingState>(problems, field, answer.state, allowed) {
        Some(pb::FindingState::Present) => domain::State::Present,
        Some(pb::FindingState::Absent) => domain::State::Absent,
        Some(pb::FindingState::Uncertain) | None => domain::State::Uncertain,
        Some(pb::FindingState::Unspecified) => {
            problems.add(field, format!("must be one of {allowed}"));
            domain::State::Uncertain
        }
    };
    (answer.finding_id, state)
}

fn written((finding, answer): &(String, domain::State)) -> pb::InterviewAnswer {
    pb::InterviewAnswer { finding_id: finding.clone(), state: state(*answer).into() }
}

fn wrong(field: &str, allowed: &str) -> Error {
    Error::Invalid(vec![FieldProblem::new(field, allowed)])
}
