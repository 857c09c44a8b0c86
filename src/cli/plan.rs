//! `xiangyi plan`: treatment plans for a patient.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::check::read;
use super::client::Client;
use super::serve::answer;
use super::{Failure, Target, json};
use crate::rpc::proto::xiangyi::common::v1 as common;
use crate::rpc::proto::xiangyi::treatment::v1 as pb;

/// Shown under `--help`.
const EXAMPLE: &str = "Examples:
  xiangyi plan --diagnosis 高血压病 --age 56 --sex female --sbp 156 --dbp 96
  xiangyi plan --file request.json        (xiangyi.treatment.v1.RecommendPlanRequest)
  xiangyi plan --topics";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct PlanArgs {
    /// The request as JSON, in the form of the contract; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["diagnosis", "topics"])]
    file: Option<PathBuf>,
    /// A diagnosis as written; may be given several times
    #[arg(long, value_name = "NAME")]
    diagnosis: Vec<String>,
    /// A disease or state of the patient; may be given several times
    #[arg(long, value_name = "NAME")]
    condition: Vec<String>,
    /// A medicine the patient takes already; may be given several times
    #[arg(long, value_name = "NAME")]
    current: Vec<String>,
    /// An allergy; may be given several times
    #[arg(long, value_name = "NAME")]
    allergy: Vec<String>,
    /// Age in years, fractions for infants
    #[arg(long, value_name = "YEARS")]
    age: Option<f64>,
    /// male or female
    #[arg(long, value_name = "SEX", value_parser = ["male", "female"])]
    sex: Option<String>,
    /// Weight in kilograms
    #[arg(long, value_name = "KG")]
    weight: Option<f64>,
    /// Pregnant, completed weeks
    #[arg(long, value_name = "WEEKS")]
    pregnant: Option<u32>,
    /// Systolic pressure, mmHg
    #[arg(long, value_name = "MMHG")]
    sbp: Option<f64>,
    /// Diastolic pressure, mmHg
    #[arg(long, value_name = "MMHG")]
    dbp: Option<f64>,
    /// Glomerular filtration, mL/min/1.73 m²
    #[arg(long, value_name = "VALUE")]
    egfr: Option<f64>,
    /// A further number, for example hba1c=8.2; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = number)]
    number: Vec<(String, f64)>,
    /// A sign that is there; may be given several times
    #[arg(long, value_name = "NAME")]
    present: Vec<String>,
    /// A sign that is not there; may be given several times
    #[arg(long, value_name = "NAME")]
    absent: Vec<String>,
    /// List the conditions that have a plan
    #[arg(long)]
    topics: bool,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// `name=value`.
pub(super) fn number(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("must be name=value")?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` is no number"))?;
    Ok((name.trim().to_owned(), value))
}

pub(super) async fn run(args: PlanArgs) -> Result<ExitCode, Failure> {
    let client = Client::open(&args.target).await?;
    if args.topics {
        let response = client.topics().await?;
        answer(args.json, "xiangyi.treatment.v1.ListPlanTopicsResponse", &response, || {
            let mut out = String::new();
            for topic in &response.topics {
                let _ = writeln!(
                    out,
                    "{:<28} {}（{}）",
                    topic.plan_id,
                    topic.name,
                    topic.icd10.join(" ")
                );
            }
            out
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let as_json = args.json;
    let request = match &args.file {
        Some(path) => json::parse("xiangyi.treatment.v1.RecommendPlanRequest", &read(path)?)
            .map_err(|e| format!("{}: {e}", path.display()))?,
        None => request(args),
    };
    let response = client.plan(request).await?;
    answer(as_json, "xiangyi.treatment.v1.RecommendPlanResponse", &response, || {
        response.recommendation.as_ref().map(text).unwrap_or_default()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn request(args: PlanArgs) -> pb::RecommendPlanRequest {
    let sex = match args.sex.as_deref() {
        Some("male") => common::Sex::Male,
        Some("female") => common::Sex::Female,
        _ => common::Sex::Unspecified,
    };
    let pregnancy = match args.pregnant {
        Some(_) => common::PregnancyStatus::Pregnant,
        None => common::PregnancyStatus::Unspecified,
    };
    let allergy =
        |name| crate::rpc::proto::xiangyi::prescription::v1::Allergy { name, ..Default::default() };
    pb::RecommendPlanRequest {
        patient: Some(common::Patient {
            age_years: args.age,
            sex: sex.into(),
            weight_kg: args.weight,
            pregnancy: pregnancy.into(),
            pregnancy_weeks: args.pregnant,
            ..Default::default()
        }),
        diagnoses: args.diagnosis,
        conditions: args.condition,
        current_medicines: args.current,
        allergies: args.allergy.into_iter().map(allergy).collect(),
        vitals: Some(common::Vitals {
            systolic_mmhg: args.sbp,
            diastolic_mmhg: args.dbp,
            ..Default::default()
        }),
        egfr: args.egfr,
        numbers: args.number.into_iter().collect(),
        present: args.present,
        absent: args.absent,
        ..Default::default()
    }
}

fn text(r: &pb::Recommendation) -> String {
    let mut out = String::new();
    for plan in &r.plans {
        let _ = writeln!(out, "== {}（{}）", plan.name, plan.plan_id);
        let _ = writeln!(out, "   {}", plan.scope);
        let danger: Vec<&str> =
            plan.wanted.iter().filter(|w| w.about_danger).map(|w| w.question.as_str()).collect();
        if !danger.is_empty() {
            let _ = writeln!(out, "   先问清：{}", danger.join("；"));
        }
        advice(&mut out, plan, &[pb::Section::FirstAid, pb::Section::Warning, pb::Section::Goal]);
        for m in &plan.medicines {
            medicine(&mut out, m);
        }
        for r in &plan.rejected {
            let _ = writeln!(out, "   × 不用{}：{}", r.name, r.reasons.join(""));
        }
        advice(
            &mut out,
            plan,
            &[
                pb::Section::Measure,
                pb::Section::Test,
                pb::Section::Advice,
                pb::Section::FollowUp,
                pb::Section::Stop,
                pb::Section::Escalate,
                pb::Section::Refer,
            ],
        );
        for c in &plan.conflicts {
            let sides = [c.a.as_ref(), c.b.as_ref()];
            let sides: Vec<String> = sides
                .into_iter()
                .flatten()
                .map(|s| format!("{}（{}）", s.text, s.source))
                .collect();
            let followed = if c.follows_a { "前者" } else { "后者" };
            let _ = writeln!(
                out,
                "   指南不一致【{}】{}；本方案按{followed}：{}",
                c.topic,
                sides.join("；"),
                c.reason
            );
        }
        let others: Vec<&str> =
            plan.wanted.iter().filter(|w| !w.about_danger).map(|w| w.question.as_str()).collect();
        if !others.is_empty() {
            let _ = writeln!(out, "   还可补充：{}", others.join("；"));
        }
        let _ = writeln!(out, "   依据：{}", plan.source);
    }
    if !r.without_plan.is_empty() {
        let _ = writeln!(out, "没有方案的诊断：{}", r.without_plan.join("、"));
    }
    out.push_str(&r.disclaimer);
    out.push('\n');
    out
}

fn advice(out: &mut String, plan: &pb::TreatmentPlan, sections: &[pb::Section]) {
    for a in plan.advice.iter().filter(|a| sections.contains(&a.section())) {
        let urgency = match a.urgency() {
            pb::Urgency::Unspecified => String::new(),
            pb::Urgency::Now => "【立即】".to_owned(),
            pb::Urgency::Today => "【今日】".to_owned(),
            pb::Urgency::ThreeDays => "【3天内】".to_owned(),
            pb::Urgency::TwoWeeks => "【2周内】".to_owned(),
            pb::Urgency::Routine => "【择期】".to_owned(),
        };
        let date = if a.date.is_empty() { String::new() } else { format!("（{}）", a.date) };
        let watch = if a.applies_now { "" } else { "（出现时）" };
        let _ = writeln!(out, "   {}{watch}：{urgency}{}{date}", title(a.section()), a.text);
    }
}

fn medicine(out: &mut String, m: &pb::PlannedMedicine) {
    let basis =
        if m.dose_basis.is_empty() { String::new() } else { format!("（{}）", m.dose_basis) };
    let days = if m.days > 0.0 { format!(" {}天", m.days) } else { String::new() };
    let _ = writeln!(
        out,
        "   用药：{} {} {}{}{basis} {}{days}　{}",
        m.name, m.route, m.dose, m.dose_unit, m.frequency, m.text
    );
    if !m.alternatives.is_empty() {
        let names: Vec<String> =
            m.alternatives.iter().map(|a| format!("{} {}", a.name, a.dose)).collect();
        let _ = writeln!(out, "         或：{}", names.join("、"));
    }
    for finding in &m.findings {
        let _ = writeln!(out, "         核对：{}{}", finding.reason, finding.instead);
    }
}

fn title(section: pb::Section) -> &'static str {
    match section {
        pb::Section::Unspecified => "?",
        pb::Section::FirstAid => "急救",
        pb::Section::Warning => "注意",
        pb::Section::Goal => "目标",
        pb::Section::Medicine => "用药",
        pb::Section::Measure => "措施",
        pb::Section::Test => "检查",
        pb::Section::Advice => "告知",
        pb::Section::FollowUp => "随访",
        pb::Section::Stop => "停药",
        pb::Section::Escalate => "加重",
        pb::Section::Refer => "转诊",
    }
}
