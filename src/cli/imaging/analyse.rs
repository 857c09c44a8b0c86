//! `xiangyi imaging analyse` and `xiangyi imaging models`.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::super::client::readable;
use super::super::print::percent;
use super::super::serve::answer;
use super::super::{Failure, Target, json, say};
use super::{open, service};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::analyse_study_response::Part;

#[derive(Debug, Args)]
pub(super) struct AnalyseArgs {
    /// Study instance UID
    #[arg(long, value_name = "UID")]
    study: String,
    /// Only this series
    #[arg(long, value_name = "UID", default_value = "")]
    series: String,
    /// Only this instance
    #[arg(long, value_name = "UID", default_value = "")]
    instance: String,
    /// Model by id; may be given several times. None: all that are for an image
    #[arg(long, value_name = "ID")]
    model: Vec<String>,
    /// Print each answer as a line of JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: AnalyseArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let request = pb::AnalyseStudyRequest {
        study_uid: args.study,
        series_uid: args.series,
        sop_instance_uid: args.instance,
        model_ids: args.model,
    };
    let answers = service.analyse_study(client.signed(request)).await;
    let mut answers = answers.map_err(|s| readable(&s))?.into_inner();
    while let Some(message) = answers.message().await.map_err(|s| readable(&s))? {
        if args.json {
            let text = json::print("xiangyi.imaging.v1.AnalyseStudyResponse", &message)?;
            let value: serde_json::Value = serde_json::from_str(&text)?;
            say(&format!("{value}\n"))?;
            continue;
        }
        match message.part {
            Some(Part::Analysis(one)) => say(&analysis(&one))?,
            Some(Part::Summary(summary)) => say(&total(&summary))?,
            None => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn models(args: ModelsArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let mut service = service(&client)?;
    let listed = service.list_imaging_models(client.dressed(pb::ListImagingModelsRequest {}));
    let listed = listed.await.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.imaging.v1.ListImagingModelsResponse", &listed, || list(&listed))?;
    Ok(ExitCode::SUCCESS)
}

fn analysis(one: &pb::ImageAnalysis) -> String {
    let mut out = format!("{}  {} {}  ", one.sop_instance_uid, one.model_id, one.model_version);
    match one.outcome() {
        pb::AnalysisOutcome::Said => {
            let _ = writeln!(out, "模型提示（非诊断）：");
            for said in &one.suggestions {
                let mark = if said.passes { "达到阈值" } else { "未达阈值" };
                let (probability, threshold) = (percent(said.probability), percent(said.threshold));
                let _ =
                    writeln!(out, "    {} {probability}（阈值 {threshold}，{mark}）", said.name);
            }
        }
        pb::AnalysisOutcome::SaidBefore => {
            let _ = writeln!(out, "此前已有提示 {}", one.report_sop_instance_uid);
        }
        pb::AnalysisOutcome::NotTaken | pb::AnalysisOutcome::Unspecified => {
            let _ = writeln!(out, "模型不适用：{}", one.reason);
        }
    }
    out
}

fn total(summary: &pb::AnalysisSummary) -> String {
    format!(
        "新提示 {}，已有 {}，不适用 {}，无对应模型的图像 {}\n{}\n",
        summary.said_count,
        summary.said_before_count,
        summary.not_taken_count,
        summary.not_matching_count,
        summary.disclaimer
    )
}

fn list(listed: &pb::ListImagingModelsResponse) -> String {
    let mut out = String::new();
    if listed.models.is_empty() && listed.refused.is_empty() {
        out.push_str("没有安装影像模型\n");
    }
    for model in &listed.models {
        let certificate =
            if model.certificate.is_empty() { "仅供研究" } else { &model.certificate };
        let automatic = if model.automatic { "自动运行" } else { "按需运行" };
        let _ = writeln!(
            out,
            "{} {}  {}  {certificate}  {automatic}  {}",
            model.model_id, model.version, model.title, model.engine
        );
    }
    for refused in &listed.refused {
        let _ = writeln!(out, "拒绝 {}：{}", refused.folder, refused.reason);
    }
    out
}
