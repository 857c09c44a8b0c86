//! `xiangyi people`: who the documents at the hub are about, and what somebody decides about that.

mod shown;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use tonic::transport::Channel;

use super::client::{Client, readable};
use super::serve::answer;
use super::{Failure, Target};
use crate::rpc::proto::xiangyi::people::v1 as pb;
use crate::rpc::proto::xiangyi::people::v1::person_service_client::PersonServiceClient;

#[derive(Debug, Args)]
pub(super) struct PeopleArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Who somebody is, by what is stated of them
    Match(MatchArgs),
    /// Show a person: particulars, documents, and what happened to it
    Show(ShowArgs),
    /// List particulars about which somebody must decide
    Reviews(ReviewsArgs),
    /// Say what came of a review
    Decide(DecideArgs),
    /// Say that two persons are one
    Join(JoinArgs),
    /// Say that particulars are not of the person they are with
    Part(PartArgs),
    /// Take a decision back
    Undo(UndoArgs),
    /// How many persons, particulars and open reviews there are
    Report(Common),
}

#[derive(Debug, Args)]
struct Common {
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Sex.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sex {
    /// Male
    Male,
    /// Female
    Female,
}

#[derive(Debug, Args)]
struct MatchArgs {
    /// Name
    #[arg(long)]
    name: String,
    /// Resident ID
    #[arg(long, default_value = "")]
    resident_id: String,
    /// Health card number
    #[arg(long, default_value = "")]
    health_card: String,
    /// Birth date, 1958-03-21, 1958-03 or 1958
    #[arg(long, default_value = "")]
    birth_date: String,
    /// Sex
    #[arg(long, value_enum)]
    sex: Option<Sex>,
    /// Telephone
    #[arg(long, default_value = "")]
    phone: String,
    /// Division code of the village, township or county
    #[arg(long, default_value = "")]
    division: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Number of the person
    person: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct ReviewsArgs {
    /// Closed ones too
    #[arg(long)]
    all: bool,
    /// Reviews at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on after the last page: what that ended with
    #[arg(long, default_value = "")]
    page: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct DecideArgs {
    /// Number of the review
    review: u64,
    #[command(flatten)]
    verdict: Verdict,
    #[command(flatten)]
    why: Why,
}

/// Whose the particulars are.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Verdict {
    /// The particulars are of this person, one of the candidates
    #[arg(long, value_name = "PERSON")]
    same: Option<u64>,
    /// They are of none of the candidates
    #[arg(long)]
    different: bool,
}

#[derive(Debug, Args)]
struct JoinArgs {
    /// Number of one person
    person: u64,
    /// Number of the other; the lower number stays
    other: u64,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
struct PartArgs {
    /// Number of the particulars, as `show` names it
    particulars: u64,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
struct UndoArgs {
    /// Number of the decision, as it was answered and as `show` names it
    decision: u64,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
struct Why {
    /// Why; it is kept
    #[arg(long)]
    note: String,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: PeopleArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Match(args) => whois(args).await?,
        Command::Show(args) => show(args).await?,
        Command::Reviews(args) => reviews(args).await?,
        Command::Decide(args) => decide(args).await?,
        Command::Join(args) => join(args).await?,
        Command::Part(args) => part(args).await?,
        Command::Undo(args) => undo(args).await?,
        Command::Report(common) => report(common).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(target: &Target) -> Result<(Client, PersonServiceClient<Channel>), Failure> {
    if target.server.is_none() {
        return Err("people are joined at the hub: name it with --server, for example --server \
                    http://127.0.0.1:50051"
            .into());
    }
    let client = Client::open(target).await?;
    let service = PersonServiceClient::new(client.node()?);
    Ok((client, service))
}

async fn whois(args: MatchArgs) -> Result<(), Failure> {
    let (client, mut service) = open(&args.common.target).await?;
    let sex = match args.sex {
        Some(Sex::Male) => "male",
        Some(Sex::Female) => "female",
        None => "",
    };
    let person = pb::StatedPerson {
        name: args.name,
        resident_id: args.resident_id,
        health_card: args.health_card,
        birth_date: args.birth_date,
        sex: sex.to_owned(),
        phone: args.phone,
        division: args.division,
    };
    let request = pb::MatchPersonRequest { person: Some(person) };
    let found = service.match_person(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.people.v1.MatchPersonResponse", &found, || {
        shown::matched(&found)
    })
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let (client, mut service) = open(&args.common.target).await?;
    let request = pb::GetPersonRequest { person: args.person };
    let found = service.get_person(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.people.v1.GetPersonResponse", &found, || {
        shown::person(&found)
    })
}

async fn reviews(args: ReviewsArgs) -> Result<(), Failure> {
    let (client, mut service) = open(&args.common.target).await?;
    let request = pb::ListPersonReviewsRequest {
        page_size: args.limit,
        page_token: args.page,
        include_closed: args.all,
    };
    let found = service.list_person_reviews(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.people.v1.ListPersonReviewsResponse", &found, || {
        shown::reviews(&found)
    })
}

async fn decide(args: DecideArgs) -> Result<(), Failure> {
    let (client, mut service) = open(&args.why.common.target).await?;
    let request = pb::DecidePersonReviewRequest {
        review: args.review,
        same_person: args.verdict.same.unwrap_or(0),
        different: args.verdict.different,
        note: args.why.note,
    };
    let found = service.decide_person_review(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    let name = "xiangyi.people.v1.DecidePersonReviewResponse";
    answer(args.why.common.json, name, &found, || shown::decided(found.decision.as_ref()))
}

async fn join(args: JoinArgs) -> Result<(), Failure> {
    let (client, mut service) = open(&args.why.common.target).await?;
    let (person, other_person, note) = (args.person, args.other, args.why.note);
    let request = pb::JoinPersonsRequest { person, other_person, note };
    let found = service.join_persons(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    let name = "xiangyi.people.v1.JoinPersonsResponse";
    answer(args.why.common.json, name, &found, || shown::decided(found.decision.as_ref()))
}

async fn part(args: PartArgs) -> Result<(), Failure> {
    let (client, mut service) = open(&args.why.common.target).await?;
    let request = pb::PartPersonRequest { particulars: args.particulars, note: args.why.note };
    let found = service.part_person(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    let name = "xiangyi.people.v1.PartPersonResponse";
    answer(args.why.common.json, name, &found, || shown::decided(found.decision.as_ref()))
}

async fn undo(args: UndoArgs) -> Result<(), Failure> {
    let (client, mut service) = open(&args.why.common.target).await?;
    let request = pb::UndoPersonDecisionRequest { decision: args.decision, note: args.why.note };
    let found = service.undo_person_decision(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    let name = "xiangyi.people.v1.UndoPersonDecisionResponse";
    answer(args.why.common.json, name, &found, || shown::decided(found.decision.as_ref()))
}

async fn report(common: Common) -> Result<(), Failure> {
    let (client, mut service) = open(&common.target).await?;
    let found = service.get_people_report(client.dressed(pb::GetPeopleReportRequest {})).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(common.json, "xiangyi.people.v1.GetPeopleReportResponse", &found, || {
        shown::report(&found)
    })
}
