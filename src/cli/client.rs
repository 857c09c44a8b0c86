//! One face for both ways to an answer: a running node, or this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt as _;

use super::{Failure, Target};
use crate::app::access::Caller;
use crate::app::consultation::State;
use crate::app::interview::Interview;
use crate::app::ports::KnowledgeSource as _;
use crate::app::request::{CheckRequest, DiagnoseRequest, PageRequest};
use crate::app::review::Review;
use crate::app::treatment::PlanRequest;
use crate::app::{App, NodeKind, Parts};
use crate::config::{Config, client_variable};
use crate::node::{ModelFiles, SystemClock, UuidSource};
use crate::rpc::proto::xiangyi::diagnosis::v1 as diagnosis;
use crate::rpc::proto::xiangyi::diagnosis::v1::diagnosis_service_client::DiagnosisServiceClient;
use crate::rpc::proto::xiangyi::diagnosis::v1::interview_request::Step;
use crate::rpc::proto::xiangyi::diagnosis::v1::interview_response::Step as Reply;
use crate::rpc::proto::xiangyi::model::v1 as model;
use crate::rpc::proto::xiangyi::model::v1::model_service_client::ModelServiceClient;
use crate::rpc::proto::xiangyi::prescription::v1 as prescription;
use crate::rpc::proto::xiangyi::prescription::v1::prescription_service_client::PrescriptionServiceClient;
use crate::rpc::proto::xiangyi::prescription::v1::review_prescriptions_response::Result as Reviewed;
use crate::rpc::proto::xiangyi::treatment::v1 as treatment;
use crate::rpc::proto::xiangyi::treatment::v1::treatment_service_client::TreatmentServiceClient;
use crate::store::discard::Discard;
use crate::telemetry::Metrics;
use crate::tls;

/// A client of the running node that `target` names; `what` says why it needs one.
pub(super) async fn client_of_node(target: &Target, what: &str) -> Result<Client, Failure> {
    if target.server.is_none() {
        let named = "name it with --server, for example --server http://127.0.0.1:50051";
        return Err(format!("{what}: {named}").into());
    }
    Client::open(target).await
}

/// A way to an answer.
#[derive(Debug)]
pub(super) enum Client {
    /// A running node.
    Remote { channel: Channel, bearer: Option<MetadataValue<Ascii>>, timeout: Duration },
    /// This process; nothing is kept.
    Here { app: Arc<App>, caller: Caller },
}

impl Client {
    /// Connects to the node that `target` names, or loads the knowledge here.
    pub(super) async fn open(target: &Target) -> Result<Self, Failure> {
        match &target.server {
            Some(url) => {
                let timeout = Duration::from_secs(target.timeout.max(1));
                let bearer = bearer(target.token_file.as_deref())?;
                let channel = connect(url, target.ca.as_deref(), timeout).await?;
                Ok(Self::Remote { channel, bearer, timeout })
            }
            None => Self::here(target.models_dir.as_deref()).await,
        }
    }

    /// A client of the node at `channel`, with no credentials.
    pub(super) fn remote(channel: Channel, timeout: Duration) -> Self {
        Self::Remote { channel, bearer: None, timeout }
    }

    async fn here(models_dir: Option<&Path>) -> Result<Self, Failure> {
        let mut config = Config::load(None)?;
        if let Some(dir) = models_dir {
            config.models.dir = Some(dir.to_owned());
        }
        let source = Arc::new(ModelFiles::new(config.models, Arc::new(Metrics::new())));
        let knowledge = source.load().await?;
        let app = App::new(Parts {
            name: "in-process".to_owned(),
            knowledge,
            source,
            journal: Arc::new(Discard),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidSource),
            images: None,
            region: None,
            behind: None,
            records: None,
            audit: None,
            hub: None,
            elsewhere: None,
            coverage: None,
            institution: String::new(),
            area: String::new(),
            role: NodeKind::Clinic,
        });
        let caller = Caller::local("command-line");
        Ok(Self::Here { app: Arc::new(app), caller })
    }

    pub(super) async fn diagnose(
        &self,
        request: diagnosis::DiagnoseRequest,
    ) -> Result<diagnosis::DiagnoseResponse, Failure> {
        match self {
            Self::Remote { channel, .. } => {
                let request = self.dressed(request);
                let answer = DiagnosisServiceClient::new(channel.clone()).diagnose(request).await;
                Ok(answer.map_err(|s| readable(&s))?.into_inner())
            }
            Self::Here { app, caller } => {
                let request = DiagnoseRequest::try_from(request).map_err(|e| e.public())?;
                let (consultation, replayed) =
                    app.diagnose(caller, request).await.map_err(|e| e.public())?;
                let consultation = Some(consultation.into());
                Ok(diagnosis::DiagnoseResponse { consultation, replayed })
            }
        }
    }

    /// Opens an interview; the first [`Talk::hear`] gives what is said to the start.
    pub(super) async fn talk(
        &self,
        request: diagnosis::DiagnoseRequest,
        question_count_max: u32,
    ) -> Result<Talk, Failure> {
        match self {
            Self::Remote { channel, bearer, .. } => {
                let (steps, outgoing) = tokio::sync::mpsc::channel(1);
                let start = diagnosis::InterviewStart {
                    consultation: Some(request),
                    question_count_max,
                    answers: Vec::new(),
                };
                steps.send(step(Step::Start(start))).await?;
                // A person thinks as long as he likes: the node's own limit of silence holds.
                let mut request = Request::new(ReceiverStream::new(outgoing));
                if let Some(bearer) = bearer {
                    request.metadata_mut().insert("authorization", bearer.clone());
                }
                let answer = DiagnosisServiceClient::new(channel.clone()).interview(request).await;
                let replies = answer.map_err(|s| readable(&s))?.into_inner();
                Ok(Talk::Remote { steps, replies: Box::new(replies) })
            }
            Self::Here { app, caller } => {
                let request = DiagnoseRequest::try_from(request).map_err(|e| e.public())?;
                let interview = app
                    .begin_interview(caller, request, question_count_max, Vec::new())
                    .map_err(|e| e.public())?;
                let (app, caller) = (app.clone(), caller.clone());
                Ok(Talk::Here { app, caller, interview: Box::new(interview), finish: false })
            }
        }
    }

    pub(super) async fn check(
        &self,
        request: prescription::CheckPrescriptionRequest,
    ) -> Result<prescription::CheckPrescriptionResponse, Failure> {
        match self {
            Self::Remote { channel, .. } => {
                let request = self.dressed(request);
                let mut client = PrescriptionServiceClient::new(channel.clone());
                let answer = client.check_prescription(request).await;
                Ok(answer.map_err(|s| readable(&s))?.into_inner())
            }
            Self::Here { app, caller } => {
                let request = CheckRequest::try_from(request).map_err(|e| e.public())?;
                let (check, replayed) =
                    app.check_prescription(caller, request).await.map_err(|e| e.public())?;
                let check = Some(check.into());
                Ok(prescription::CheckPrescriptionResponse { check, replayed })
            }
        }
    }

    /// Opens a review of these prescriptions.
    pub(super) async fn review(
        &self,
        requests: Vec<prescription::ReviewPrescriptionsRequest>,
    ) -> Result<Replies, Failure> {
        match self {
            Self::Remote { channel, bearer, .. } => {
                // Thousands take as long as they take: no deadline.
                let mut request = Request::new(tokio_stream::iter(requests));
                if let Some(bearer) = bearer {
                    request.metadata_mut().insert("authorization", bearer.clone());
                }
                let mut client = PrescriptionServiceClient::new(channel.clone());
                let answer = client.review_prescriptions(request).await;
                Ok(Replies::Remote(Box::new(answer.map_err(|s| readable(&s))?.into_inner())))
            }
            Self::Here { app, caller } => {
                let review = app.begin_review(caller).map_err(|e| e.public())?;
                let requests = requests.into_iter();
                let (app, caller) = (app.clone(), caller.clone());
                Ok(Replies::Here { app, caller, review: Some(Box::new(review)), requests })
            }
        }
    }

    pub(super) async fn plan(
        &self,
        request: treatment::RecommendPlanRequest,
    ) -> Result<treatment::RecommendPlanResponse, Failure> {
        match self {
            Self::Remote { channel, .. } => {
                let mut client = TreatmentServiceClient::new(channel.clone());
                let answer = client.recommend_plan(self.dressed(request)).await;
                Ok(answer.map_err(|s| readable(&s))?.into_inner())
            }
            Self::Here { app, caller } => {
                let request = PlanRequest::try_from(request).map_err(|e| e.public())?;
                let (found, replayed) =
                    app.recommend_plan(caller, request).await.map_err(|e| e.public())?;
                let recommendation = Some(found.into());
                Ok(treatment::RecommendPlanResponse { recommendation, replayed })
            }
        }
    }

    pub(super) async fn topics(&self) -> Result<treatment::ListPlanTopicsResponse, Failure> {
        match self {
            Self::Remote { channel, .. } => {
                let request =
                    treatment::ListPlanTopicsRequest { page_size: 200, ..Default::default() };
                let mut client = TreatmentServiceClient::new(channel.clone());
                let answer = client.list_plan_topics(self.dressed(request)).await;
                Ok(answer.map_err(|s| readable(&s))?.into_inner())
            }
            Self::Here { app, caller } => {
                let page = PageRequest { page_size: 200, ..PageRequest::default() };
                let (topics, next_page_token) =
                    app.list_plan_topics(caller, &page).map_err(|e| e.public())?;
                let topics = topics.into_iter().map(Into::into).collect();
                Ok(treatment::ListPlanTopicsResponse { topics, next_page_token })
            }
        }
    }

    pub(super) async fn calculators(&self) -> Result<treatment::ListCalculatorsResponse, Failure> {
        match self {
            Self::Remote { channel, .. } => {
                let request =
                    treatment::ListCalculatorsRequest { page_size: 200, ..Default::default() };
                let mut client = TreatmentServiceClient::new(channel.clone());
                let answer = client.list_calculators(self.dressed(request)).await;
                Ok(answer.map_err(|s| readable(&s))?.into_inner())
            }
            Self::Here { app, caller } => {
                let page = PageRequest { page_size: 200, ..PageRequest::default() };
                let (found, next_page_token) =
                    app.list_calculators(caller, &page).map_err(|e| e.public())?;
                let calculators = found.into_iter().map(Into::into).collect();
                Ok(treatment::ListCalculatorsResponse { calculators, next_page_token })
            }
        }
    }

    pub(super) async fn calculate(
        &self,
        request: treatment::CalculateRequest,
    ) -> Result<treatment::CalculateResponse, Failure> {
        match self {
            Self::Remote { channel, .. } => {
                let mut client = TreatmentServiceClient::new(channel.clone());
                let answer = client.calculate(self.dressed(request)).await;
                Ok(answer.map_err(|s| readable(&s))?.into_inner())
            }
            Self::Here { app, caller } => {
                let inputs = request.inputs.into_iter().collect();
                let score =
                    app.calculate(caller, &request.name, &inputs).map_err(|e| e.public())?;
                Ok(score.into())
            }
        }
    }

    pub(super) async fn models(&self) -> Result<model::ListModelsResponse, Failure> {
        match self {
            Self::Remote { channel, .. } => {
                let request = model::ListModelsRequest { page_size: 200, ..Default::default() };
                let mut client = ModelServiceClient::new(channel.clone());
                let answer = client.list_models(self.dressed(request)).await;
                Ok(answer.map_err(|s| readable(&s))?.into_inner())
            }
            Self::Here { app, caller } => {
                let page = PageRequest { page_size: 200, ..PageRequest::default() };
                let (models, next_page_token) =
                    app.list_models(caller, &page).map_err(|e| e.public())?;
                let models = models.into_iter().map(Into::into).collect();
                Ok(model::ListModelsResponse { models, next_page_token })
            }
        }
    }

    /// The channel to a running node, for what cannot be done in this process.
    pub(super) fn node(&self) -> Result<Channel, Failure> {
        match self {
            Self::Remote { channel, .. } => Ok(channel.clone()),
            Self::Here { .. } => Err("images lie in a node: name it with --server, for example \
                     --server http://127.0.0.1:50051"
                .into()),
        }
    }

    /// A request with credentials and no deadline, for what takes as long as it takes.
    pub(super) fn signed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Self::Remote { bearer: Some(bearer), .. } = self {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    /// A request with deadline and credentials.
    pub(super) fn dressed<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Self::Remote { bearer, timeout, .. } = self {
            request.set_timeout(*timeout);
            if let Some(bearer) = bearer {
                request.metadata_mut().insert("authorization", bearer.clone());
            }
        }
        request
    }
}

/// What a review says, one after the other.
pub(super) enum Replies {
    /// A running node.
    Remote(Box<Streaming<prescription::ReviewPrescriptionsResponse>>),
    /// This process; the review is gone when it has ended.
    Here {
        app: Arc<App>,
        caller: Caller,
        review: Option<Box<Review>>,
        requests: std::vec::IntoIter<prescription::ReviewPrescriptionsRequest>,
    },
}

impl Replies {
    /// The next one; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Reviewed>, Failure> {
        match self {
            Self::Remote(replies) => {
                let reply = replies.message().await.map_err(|s| readable(&s))?;
                Ok(reply.and_then(|reply| reply.result))
            }
            Self::Here { app, caller, review, requests } => {
                let Some(open) = review.as_mut() else { return Ok(None) };
                if let Some(request) = requests.next() {
                    let checked = CheckRequest::try_from(request.prescription.unwrap_or_default());
                    let found = open.add(checked);
                    let mut reviewed = prescription::ReviewedPrescription::from(found);
                    reviewed.prescription_id = request.prescription_id;
                    return Ok(Some(Reviewed::Reviewed(reviewed)));
                }
                let statistics = app.end_review(caller, open).await.map_err(|e| e.public())?;
                *review = None;
                Ok(Some(Reviewed::Statistics(statistics.into())))
            }
        }
    }
}

/// An interview under way.
pub(super) enum Talk {
    /// With a running node.
    Remote {
        steps: Sender<diagnosis::InterviewRequest>,
        replies: Box<Streaming<diagnosis::InterviewResponse>>,
    },
    /// In this process.
    Here { app: Arc<App>, caller: Caller, interview: Box<Interview>, finish: bool },
}

impl Talk {
    /// Answers a question, or corrects an answer, and gives what is said to it.
    pub(super) async fn answer(
        &mut self,
        finding: &str,
        state: diagnosis::FindingState,
    ) -> Result<diagnosis::InterviewResponse, Failure> {
        match self {
            Self::Remote { steps, .. } => {
                let finding_id = finding.to_owned();
                let answer = diagnosis::InterviewAnswer { finding_id, state: state.into() };
                steps.send(step(Step::Answer(answer))).await?;
            }
            Self::Here { app, interview, .. } => {
                let state = match state {
                    diagnosis::FindingState::Present => State::Present,
                    diagnosis::FindingState::Absent => State::Absent,
                    diagnosis::FindingState::Uncertain | diagnosis::FindingState::Unspecified => {
                        State::Uncertain
                    }
                };
                app.answer(interview, "answer", finding, state).map_err(|e| e.public())?;
            }
        }
        self.hear().await
    }

    /// Asks for the consultation now.
    pub(super) async fn finish(&mut self) -> Result<diagnosis::InterviewResponse, Failure> {
        match self {
            Self::Remote { steps, .. } => {
                steps.send(step(Step::Finish(diagnosis::InterviewFinish {}))).await?;
            }
            Self::Here { finish, .. } => *finish = true,
        }
        self.hear().await
    }

    /// What is said next.
    pub(super) async fn hear(&mut self) -> Result<diagnosis::InterviewResponse, Failure> {
        match self {
            Self::Remote { replies, .. } => {
                let reply = replies.message().await.map_err(|s| readable(&s))?;
                Ok(reply.ok_or("the node closed the interview")?)
            }
            Self::Here { app, caller, interview, finish } => {
                let stand = app.stand(interview).await.map_err(|e| e.public())?;
                let step = if let Some(question) = stand.question.filter(|_| !*finish) {
                    Reply::Question(question.into())
                } else {
                    let request = interview.so_far();
                    let kept = app.diagnose(caller, request).await.map_err(|e| e.public())?;
                    Reply::Consultation(kept.0.into())
                };
                let leading = stand.leading.into_iter().map(|(condition_id, name, probability)| {
                    let probability = f64::from(probability);
                    diagnosis::LeadingCondition { condition_id, name, probability }
                });
                Ok(diagnosis::InterviewResponse {
                    step: Some(step),
                    answers: Vec::new(),
                    leading: leading.collect(),
                    red_flags: stand.alarms.into_iter().map(Into::into).collect(),
                })
            }
        }
    }
}

fn step(step: Step) -> diagnosis::InterviewRequest {
    diagnosis::InterviewRequest { step: Some(step) }
}

/// Connects to `url`; `ca` for TLS with an authority of one's own.
pub(super) async fn connect(
    url: &str,
    ca: Option<&Path>,
    timeout: Duration,
) -> Result<Channel, Failure> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let wrong = || format!("--server: `{url}` is not a URL such as http://127.0.0.1:50051");
    let channel = if url.starts_with("https://") {
        let path = ca.ok_or("an https:// node needs --ca with the authority's PEM certificate")?;
        let named = |e: Failure| format!("{}: {e}", path.display());
        let pem = std::fs::read(path).map_err(|e| named(e.into()))?;
        let roots = tls::roots(&pem).map_err(named)?;
        let config = tls::client(roots, None, (tls::Versions::Modern, &[tls::H2]))?;
        let endpoint = tls::Dial::endpoint(&url).map_err(|_| wrong())?.connect_timeout(timeout);
        endpoint.connect_with_connector(tls::Dial::new(config)).await
    } else {
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| wrong())?;
        endpoint.connect_timeout(timeout).connect().await
    };
    Ok(channel.map_err(|e| format!("cannot reach {url}: {}", crate::app::chain(&e)))?)
}

fn bearer(file: Option<&Path>) -> Result<Option<MetadataValue<Ascii>>, Failure> {
    let token = match file {
        Some(path) => {
            Some(std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?)
        }
        None => client_variable("XIANGYI_TOKEN"),
    };
    let Some(token) = token else { return Ok(None) };
    let value = format!("Bearer {}", token.trim());
    let value = value.parse().map_err(|_| "the token has characters that a header cannot carry")?;
    Ok(Some(value))
}

/// A status as a person reads it: the message and, where it has them, the fields at fault.
pub(super) fn readable(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    if let Some(bad) = status.get_details_bad_request() {
        for violation in bad.field_violations {
            text.push_str("\n  ");
            text.push_str(&violation.field);
            text.push(' ');
            text.push_str(&violation.description);
        }
    }
    text
}
