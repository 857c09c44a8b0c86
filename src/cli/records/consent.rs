//! `xiangyi record`, of consent: what patients took back, who is here, why a record may be read, and what
//! came of a broken glass.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use tonic::transport::Channel;

use super::shown::at;
use super::{Common, Reading, open};
use crate::cli::Failure;
use crate::cli::client::{Client, readable};
use crate::cli::serve::answer;
use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::rpc::proto::xiangyi::records::v1::consent_service_client::ConsentServiceClient;

const HOUR_MS: i64 = 3_600_000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The patient of a record takes consent back
    Withdraw(ConsentArgs),
    /// The patient gives it again
    Restore(ConsentArgs),
    /// The patient is here: records of the patient can be read for up to 24 hours
    Present(PresentArgs),
    /// The patient has left
    Left(WhoseArgs),
    /// Show what stands between this institution and a patient, and so lets records be read
    Grants(GrantsArgs),
    /// List reads by a broken glass that are to be looked at
    Reviews(ListArgs),
    /// Say what came of a review
    CloseReview(CloseArgs),
    /// List what patients are yet to be told of reads
    Notices(ListArgs),
    /// A patient was told of a read, or could not be
    Told(ToldArgs),
}

#[derive(Debug, Args)]
pub(super) struct ConsentArgs {
    /// Name of any record of the patient's
    record: String,
    /// All of the patient's records on this node, not this one alone
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    common: Common,
}

/// A record, or a person.
#[derive(Debug, Args)]
struct Whose {
    /// Name of a record of the patient's, as `list` shows it; without it --name
    #[arg(default_value = "")]
    record: String,
    /// The patient's name
    #[arg(long, default_value = "")]
    name: String,
    /// Resident ID
    #[arg(long, default_value = "")]
    resident_id: String,
    /// Health card number
    #[arg(long, default_value = "")]
    health_card: String,
    /// Birth date, 1958-03-21
    #[arg(long, default_value = "")]
    birth_date: String,
}

/// How it was seen that the patient is here.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Check {
    /// The identity card was seen
    IdentityCard,
    /// The code of the health card was read
    HealthCode,
    /// The patient is known personally
    Known,
}

#[derive(Debug, Args)]
pub(super) struct PresentArgs {
    #[command(flatten)]
    whose: Whose,
    /// How it was seen
    #[arg(long, value_enum)]
    check: Check,
    /// For so many hours
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..=24))]
    hours: Option<i64>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct WhoseArgs {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct GrantsArgs {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Also those that are done
    #[arg(long)]
    all: bool,
    /// Lines at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct CloseArgs {
    /// Id of the review, as `reviews` shows it
    id: String,
    /// What came of it
    #[arg(long)]
    finding: String,
    #[command(flatten)]
    common: Common,
}

/// How a patient was told.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum How {
    /// In person
    InPerson,
    /// By telephone
    Phone,
    /// By letter
    Letter,
    /// It was not possible; --note says why
    NotTold,
}

#[derive(Debug, Args)]
pub(super) struct ToldArgs {
    /// Id of the notice, as `notices` shows it
    id: String,
    /// How
    #[arg(long, value_enum)]
    how: How,
    /// When, as 2026-11-29T10:30:00+08:00; without it now
    #[arg(long, value_name = "TIME")]
    when: Option<jiff::Timestamp>,
    /// Who told the patient; without it the caller
    #[arg(long, default_value = "")]
    by: String,
    /// What is to be noted, or why it was not possible
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    common: Common,
}

impl Whose {
    fn parts(self) -> (String, Option<pb::RegisteredPerson>) {
        let Self { record, name, resident_id, health_card, birth_date } = self;
        let said = [&name, &resident_id, &health_card, &birth_date];
        let person = said.iter().any(|part| !part.is_empty());
        let person = person.then(|| pb::RegisteredPerson {
            name,
            resident_id,
            health_card,
            birth_date,
            ..pb::RegisteredPerson::default()
        });
        (record, person)
    }
}

type Service = ConsentServiceClient<Channel>;

async fn service(common: &Common) -> Result<(Client, Service), Failure> {
    let client = open(&common.target).await?;
    let service = ConsentServiceClient::new(client.node()?);
    Ok((client, service))
}

pub(super) async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Withdraw(args) => withdraw(args).await?,
        Command::Restore(args) => restore(args).await?,
        Command::Present(args) => present(args).await?,
        Command::Left(args) => left(args).await?,
        Command::Grants(args) => list_grants(args).await?,
        Command::Reviews(args) => list_reviews(args).await?,
        Command::CloseReview(args) => close_review(args).await?,
        Command::Notices(args) => list_notices(args).await?,
        Command::Told(args) => told(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn withdraw(args: ConsentArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.common).await?;
    let request = pb::WithdrawConsentRequest { record: args.record, all: args.all };
    let done = service.withdraw_consent(client.dressed(request)).await;
    let done = done.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.WithdrawConsentResponse", &done, || {
        "已撤回同意\n".to_owned()
    })
}

async fn restore(args: ConsentArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.common).await?;
    let request = pb::RestoreConsentRequest { record: args.record, all: args.all };
    let done = service.restore_consent(client.dressed(request)).await;
    let done = done.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.RestoreConsentResponse", &done, || {
        "已恢复同意\n".to_owned()
    })
}

async fn present(args: PresentArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.common).await?;
    let check = match args.check {
        Check::IdentityCard => pb::PresenceCheck::IdentityCard,
        Check::HealthCode => pb::PresenceCheck::HealthCode,
        Check::Known => pb::PresenceCheck::KnownPersonally,
    };
    let (record, person) = args.whose.parts();
    // Without hours the node says until when; its clock decides, and may be behind this one.
    let until_ms = match args.hours {
        None | Some(24) => 0,
        Some(hours) => now_ms() + hours * HOUR_MS,
    };
    let request = pb::ConfirmPresenceRequest { record, person, check: check.into(), until_ms };
    let done = service.confirm_presence(client.dressed(request)).await;
    let done = done.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.ConfirmPresenceResponse", &done, || {
        grants(done.grant.as_slice())
    })
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

async fn left(args: WhoseArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.common).await?;
    let (record, person) = args.whose.parts();
    let request = pb::EndPresenceRequest { record, person };
    let done = service.end_presence(client.dressed(request)).await;
    let done = done.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.EndPresenceResponse", &done, || {
        "就诊已结束\n".to_owned()
    })
}

async fn list_grants(args: GrantsArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.reading.common).await?;
    let (record, person) = args.whose.parts();
    let purpose = pb::Purpose::from(args.reading.purpose).into();
    let request = pb::ListGrantsRequest { record, person, purpose };
    let found = service.list_grants(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    let name = "xiangyi.records.v1.ListGrantsResponse";
    answer(args.reading.common.json, name, &found, || grants(&found.grants))
}

async fn list_reviews(args: ListArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.common).await?;
    let request = pb::ListAccessReviewsRequest { include_closed: args.all, page_size: args.limit };
    let found = service.list_access_reviews(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    let name = "xiangyi.records.v1.ListAccessReviewsResponse";
    answer(args.common.json, name, &found, || reviews(&found))
}

async fn close_review(args: CloseArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.common).await?;
    let request = pb::CloseAccessReviewRequest { review_id: args.id, finding: args.finding };
    let done = service.close_access_review(client.dressed(request)).await;
    let done = done.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.CloseAccessReviewResponse", &done, || {
        "审查已办结\n".to_owned()
    })
}

async fn list_notices(args: ListArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.common).await?;
    let request = pb::ListPatientNoticesRequest { include_told: args.all, page_size: args.limit };
    let found = service.list_patient_notices(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    let name = "xiangyi.records.v1.ListPatientNoticesResponse";
    answer(args.common.json, name, &found, || notices(&found.notices))
}

async fn told(args: ToldArgs) -> Result<(), Failure> {
    let (client, mut service) = service(&args.common).await?;
    let told = match args.how {
        How::InPerson => pb::NoticeState::InPerson,
        How::Phone => pb::NoticeState::Phone,
        How::Letter => pb::NoticeState::Letter,
        How::NotTold => pb::NoticeState::NotTold,
    };
    let request = pb::RecordPatientNoticeRequest {
        notice_id: args.id,
        told: told.into(),
        told_ms: args.when.map_or(0, jiff::Timestamp::as_millisecond),
        told_by: args.by,
        note: args.note,
    };
    let done = service.record_patient_notice(client.dressed(request)).await;
    let done = done.map_err(|s| readable(&s))?.into_inner();
    answer(args.common.json, "xiangyi.records.v1.RecordPatientNoticeResponse", &done, || {
        "已记录\n".to_owned()
    })
}

fn grants(grants: &[pb::Grant]) -> String {
    let mut out = String::new();
    for grant in grants {
        let kind = match grant.kind() {
            pb::GrantKind::Registration => "在本机构登记或居住在本地",
            pb::GrantKind::Presence => "正在本机构就诊",
            pb::GrantKind::Contract => "家庭医生签约",
            pb::GrantKind::Referral => "转诊到本机构",
            pb::GrantKind::Unspecified => "未知",
        };
        let check = match grant.check() {
            pb::PresenceCheck::IdentityCard => "，已看身份证",
            pb::PresenceCheck::HealthCode => "，已扫健康码",
            pb::PresenceCheck::KnownPersonally => "，认识本人",
            pb::PresenceCheck::Unspecified => "",
        };
        let _ = write!(out, "{kind}{check}  自 {}", at(grant.from_ms));
        if grant.until_ms > 0 {
            let _ = write!(out, " 至 {}", at(grant.until_ms));
        }
        if !grant.given_by.is_empty() {
            let _ = write!(out, "  {}", grant.given_by);
        }
        if !grant.sent_for.is_empty() {
            let _ = write!(out, "  中心按 {} 下发", grant.sent_for);
        }
        out.push('\n');
    }
    if out.is_empty() {
        out.push_str("与患者没有诊疗关系\n");
    }
    out
}

fn reviews(found: &pb::ListAccessReviewsResponse) -> String {
    let mut out = String::new();
    for review in &found.reviews {
        let _ = writeln!(
            out,
            "{}  {}（{}）紧急调阅 {}：{}",
            at(review.at_ms),
            review.caller,
            review.role,
            review.record,
            review.reason
        );
        if review.closed_ms > 0 {
            let (when, by) = (at(review.closed_ms), &review.closed_by);
            let _ = writeln!(out, "    {when} {by} 审查：{}", review.finding);
        } else {
            let _ = writeln!(out, "    待审查 {}", review.review_id);
        }
    }
    if out.is_empty() {
        out.push_str("没有待审查的紧急调阅\n");
    }
    if found.notices_open > 0 {
        let _ = writeln!(out, "还有 {} 次调阅待告知患者：record notices", found.notices_open);
    }
    out
}

fn notices(notices: &[pb::PatientNotice]) -> String {
    let mut out = String::new();
    for notice in notices {
        let _ = writeln!(out, "{}  {}", notice.patient_name, notice.record);
        let _ = writeln!(out, "    {}", notice.words);
        let how = match notice.state() {
            pb::NoticeState::InPerson => "已当面告知",
            pb::NoticeState::Phone => "已电话告知",
            pb::NoticeState::Letter => "已书面告知",
            pb::NoticeState::NotTold => "未能告知",
            pb::NoticeState::Open | pb::NoticeState::Unspecified => {
                let _ = writeln!(out, "    待告知 {}", notice.notice_id);
                continue;
            }
        };
        let (when, by) = (at(notice.told_ms), &notice.told_by);
        let _ = writeln!(out, "    {how} {when} {by} {}", notice.note);
    }
    if out.is_empty() {
        out.push_str("没有待告知患者的调阅\n");
    }
    out
}
