//! Interviews over a real stream: asking, skipping, correcting, breaking off, going on.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::interview_request::Step;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1::interview_response::Step as Reply;

use crate::harness::{Setup, TestNode, bad_fields, both_engines, complaint, patient};

/// The caller's side of an interview.
struct Talk {
    steps: mpsc::Sender<dx::InterviewRequest>,
    replies: Streaming<dx::InterviewResponse>,
}

impl Talk {
    async fn start(node: &TestNode, start: dx::InterviewStart) -> Result<Self, Status> {
        let (steps, queue) = mpsc::channel(4);
        steps.send(dx::InterviewRequest { step: Some(Step::Start(start)) }).await.unwrap();
        let replies = node.diagnosis().interview(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Self { steps, replies })
    }

    async fn say(&self, step: Step) {
        self.steps.send(dx::InterviewRequest { step: Some(step) }).await.unwrap();
    }

    async fn answer(&self, finding: &str, state: dx::FindingState) {
        let answer = dx::InterviewAnswer { finding_id: finding.to_owned(), state: state.into() };
        self.say(Step::Answer(answer)).await;
    }

    async fn next(&mut self) -> Result<dx::InterviewResponse, Status> {
        Ok(self.replies.message().await?.expect("a reply"))
    }

    async fn question(&mut self) -> (dx::Question, dx::InterviewResponse) {
        let reply = self.next().await.unwrap();
        match reply.step.clone() {
            Some(Reply::Question(question)) => (question, reply),
            other => panic!("no question: {other:?}"),
        }
    }
}

fn chest_pain() -> dx::InterviewStart {
    dx::InterviewStart {
        consultation: Some(dx::DiagnoseRequest {
            patient: Some(patient(60.0, common::Sex::Male)),
            text: "胸痛".to_owned(),
            ..Default::default()
        }),
        question_count_max: 6,
        answers: Vec::new(),
    }
}

both_engines! {
    async fn an_interview_asks_what_matters_and_ends_with_a_kept_consultation(setup) {
        let node = setup.start().await;
        let mut talk = Talk::start(&node, chest_pain()).await.unwrap();
        let mut asked = Vec::new();
        let consultation = loop {
            let reply = talk.next().await.unwrap();
            assert_eq!(reply.leading.len(), 3);
            match reply.step.unwrap() {
                Reply::Question(question) => {
                    assert!(question.question.contains(&question.name), "{question:?}");
                    assert!(question.worth > 0.0 && !question.kind.is_empty());
                    assert!(!asked.contains(&question.finding_id), "asked twice: {question:?}");
                    talk.answer(&question.finding_id, dx::FindingState::Absent).await;
                    asked.push(question.finding_id);
                }
                Reply::Consultation(consultation) => break consultation,
            }
        };
        assert!((2..=6).contains(&asked.len()), "{asked:?}");
        for finding in &asked {
            let used = consultation.findings.iter().find(|f| f.finding_id == *finding).unwrap();
            assert_eq!(used.state(), dx::FindingState::Absent);
        }
        assert!(talk.replies.message().await.unwrap().is_none(), "something after the end");
        let request = dx::GetConsultationRequest {
            consultation_id: consultation.consultation_id.clone(),
        };
        let kept = node.diagnosis().get_consultation(request).await.unwrap().into_inner();
        assert!(kept.consultation == Some(consultation), "kept otherwise than answered");
    }
}

#[tokio::test]
async fn an_answer_can_be_skipped_and_an_earlier_one_corrected() {
    let node = Setup::new().start().await;
    let mut talk = Talk::start(&node, chest_pain()).await.unwrap();
    let (first, _) = talk.question().await;
    talk.answer(&first.finding_id, dx::FindingState::Absent).await;
    let (second, _) = talk.question().await;
    talk.answer(&second.finding_id, dx::FindingState::Uncertain).await;
    let (third, _) = talk.question().await;
    assert!(![&first.finding_id, &second.finding_id].contains(&&third.finding_id));
    talk.answer(&first.name, dx::FindingState::Present).await;
    let (_, reply) = talk.question().await;
    let states: Vec<_> = reply.answers.iter().map(|a| (a.finding_id.as_str(), a.state())).collect();
    let expected = [
        (first.finding_id.as_str(), dx::FindingState::Present),
        (second.finding_id.as_str(), dx::FindingState::Uncertain),
    ];
    assert_eq!(states, expected);
    talk.say(Step::Finish(dx::InterviewFinish {})).await;
    let reply = talk.next().await.unwrap();
    let Some(Reply::Consultation(consultation)) = reply.step else { panic!("{reply:?}") };
    let state = |id: &str| consultation.findings.iter().find(|f| f.finding_id == id);
    assert_eq!(state(&first.finding_id).unwrap().state(), dx::FindingState::Present);
    assert!(state(&second.finding_id).is_none(), "a skipped question became a fact");
}

#[tokio::test]
async fn an_interview_that_broke_off_goes_on_with_the_same_question() {
    let node = Setup::new().start().await;
    let mut talk = Talk::start(&node, chest_pain()).await.unwrap();
    let (first, _) = talk.question().await;
    talk.answer(&first.finding_id, dx::FindingState::Absent).await;
    let (expected, reply) = talk.question().await;
    drop(talk);
    let again = dx::InterviewStart { answers: reply.answers, ..chest_pain() };
    let mut talk = Talk::start(&node, again).await.unwrap();
    let (question, _) = talk.question().await;
    assert_eq!(question, expected);
    let page = node.diagnosis().list_consultations(dx::ListConsultationsRequest::default()).await;
    assert!(page.unwrap().into_inner().consultations.is_empty(), "kept before the end");
}

#[tokio::test]
async fn red_flags_do_not_wait_for_the_end_of_an_interview() {
    let node = Setup::new().start().await;
    let mut start = chest_pain();
    start.consultation.as_mut().unwrap().text = "胸口压榨样疼痛1小时，大汗，向左肩放射".to_owned();
    let mut talk = Talk::start(&node, start).await.unwrap();
    let reply = talk.next().await.unwrap();
    assert_eq!(reply.red_flags.first().map(dx::RedFlag::urgency), Some(dx::Urgency::Emergency));
}

#[tokio::test]
async fn what_is_wrong_in_an_interview_is_named() {
    let node = Setup::new().start().await;
    let refused = |status: Status| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        bad_fields(&status)
    };
    let many = dx::InterviewStart { question_count_max: 31, ..chest_pain() };
    let status = Talk::start(&node, many).await.err().unwrap();
    assert_eq!(refused(status), ["start.question_count_max"]);
    let unknown = dx::InterviewAnswer {
        finding_id: "不是症状".to_owned(),
        state: dx::FindingState::Absent.into(),
    };
    let resumed = dx::InterviewStart { answers: vec![unknown], ..chest_pain() };
    let status = Talk::start(&node, resumed).await.err().unwrap();
    assert_eq!(refused(status), ["start.answers[0].finding_id"]);
    let silent = dx::InterviewStart { consultation: None, ..chest_pain() };
    let status = Talk::start(&node, silent).await.err().unwrap();
    assert_eq!(refused(status), ["text"]);

    let mut talk = Talk::start(&node, chest_pain()).await.unwrap();
    let (question, _) = talk.question().await;
    talk.answer(&question.finding_id, dx::FindingState::Unspecified).await;
    assert_eq!(refused(talk.next().await.unwrap_err()), ["answer.state"]);

    let mut talk = Talk::start(&node, chest_pain()).await.unwrap();
    talk.question().await;
    talk.say(Step::Start(chest_pain())).await;
    assert_eq!(refused(talk.next().await.unwrap_err()), ["step"]);
}

#[tokio::test]
async fn the_place_of_care_and_the_duty_to_report_are_said() {
    let node = Setup::new().start().await;
    let c = node.diagnose(complaint("咽部灰白假膜，发热，嗓子疼，犬吠样咳嗽")).await.unwrap();
    let diphtheria = c.conditions.iter().find(|c| c.condition_id == "diphtheria");
    let duty = diphtheria.and_then(|c| c.reporting.clone()).expect("a duty to report");
    assert_eq!((duty.infectious_class.as_str(), duty.hours), ("B", 24));
    assert!(!duty.source.is_empty());

    let cold = node.diagnose(complaint("鼻塞流清涕打喷嚏1天，无发热，无气促")).await.unwrap();
    let triage = cold.triage.unwrap();
    assert!(
        matches!(triage.place(), dx::CarePlace::Home | dx::CarePlace::Clinic),
        "{triage:?}, {:?}",
        cold.red_flags
    );
    assert!(!triage.emergency && !triage.reason.is_empty());

    let heart = dx::DiagnoseRequest {
        patient: Some(patient(68.0, common::Sex::Male)),
        text: "胸口压榨样疼痛1小时，大汗，向左肩放射".to_owned(),
        ..Default::default()
    };
    let triage = node.diagnose(heart).await.unwrap().triage.unwrap();
    assert_eq!(triage.place(), dx::CarePlace::Ambulance);
    assert!(triage.emergency && triage.reason.starts_with("危险信号"));
}

#[tokio::test]
async fn the_tests_worth_doing_are_said_with_where_they_are_done_and_not_once_their_result_is_known()
 {
    let node = Setup::new().start().await;
    let ask = |text: &str| dx::DiagnoseRequest {
        patient: Some(patient(52.0, common::Sex::Male)),
        text: text.to_owned(),
        ..Default::default()
    };
    let c = node.diagnose(ask("口干、多饮、多尿一个月，乏力")).await.unwrap();
    let sugar = c.suggested_tests.iter().find(|test| test.test_id == "capillary_glucose");
    let sugar = sugar.unwrap_or_else(|| panic!("{:?}", c.suggested_tests));
    assert_eq!(sugar.level(), dx::Level::Village);
    assert!(sugar.worth > 0.0 && !sugar.about.is_empty() && !sugar.source.is_empty());

    let known = node.diagnose(ask("口干、多饮、多尿一个月，乏力，随机血糖5.4")).await.unwrap();
    assert!(known.suggested_tests.iter().all(|test| test.test_id != "capillary_glucose"));
}
