//! `xiangyi demo`: a node on loopback with embedded defaults, and a clinic's client that brings it
//! cases over gRPC; then a hub, a hospital and a village ([`region`]).

mod region;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::client::{Client, connect};
use super::{Failure, json, print, say};
use crate::config::{Config, LogFormat};
use crate::node::{Node, NodeError};
use crate::rpc::proto::xiangyi::common::v1 as common;
use crate::rpc::proto::xiangyi::diagnosis::v1 as dx;
use crate::rpc::proto::xiangyi::prescription::v1 as rx;
use crate::{lifecycle, telemetry};

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Exit after the cases instead of staying up; the exit code is 0 when all went well
    #[arg(long)]
    once: bool,
    /// Keep the node's data here; without it a temporary directory is used and removed
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object a case instead of text
    #[arg(long)]
    json: bool,
}

/// A case: who comes, with what, and what the doctor writes.
struct Case {
    title: &'static str,
    patient: common::Patient,
    vitals: common::Vitals,
    text: &'static str,
    order: rx::CheckPrescriptionRequest,
}

pub(super) async fn run(args: DemoArgs) -> Result<ExitCode, Failure> {
    let temporary = tempfile::Builder::new().prefix("xiangyi-demo-").tempdir()?;
    let data = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut config = Config::load(None)?;
    config.log.format = LogFormat::Text;
    "warn".clone_into(&mut config.log.level);
    config.store.dir.clone_from(&data);
    config.metrics.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    telemetry::start_logging(&config.log);
    let node = Box::pin(start(config.clone())).await?;
    let url = format!("http://{}", node.address());
    if !args.json {
        say(&format!(
            "乡医节点已启动：{url}（数据目录 {}）\n以诊所客户端的身份，经 gRPC 发送 {} 个病例。\n",
            data.display(),
            cases().len()
        ))?;
    }
    let client = Client::remote(connect(&url, None, CALL_TIMEOUT).await?, CALL_TIMEOUT);
    for (i, case) in cases().into_iter().enumerate() {
        show(&client, i + 1, case, args.json).await?;
    }
    Box::pin(region::show(&config, &data, args.json)).await?;
    if !args.once {
        stay(&node, &url, args.json).await?;
    }
    let drained = node.stop().await;
    Ok(if drained { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts on the usual ports, or on free ones when those are taken.
async fn start(config: Config) -> Result<Node, NodeError> {
    match Node::start(config.clone()).await {
        Err(NodeError::Bind { source, .. }) if source.kind() == std::io::ErrorKind::AddrInUse => {
            let mut config = config;
            config.server.listen.set_port(0);
            Node::start(config).await
        }
        started => started,
    }
}

async fn show(client: &Client, number: usize, case: Case, as_json: bool) -> Result<(), Failure> {
    let diagnosed = client
        .diagnose(dx::DiagnoseRequest {
            patient: Some(case.patient.clone()),
            text: case.text.to_owned(),
            vitals: Some(case.vitals),
            condition_count_max: 4,
            ..dx::DiagnoseRequest::default()
        })
        .await?;
    let order = rx::CheckPrescriptionRequest { patient: Some(case.patient), ..case.order };
    let names: Vec<_> = order.lines.iter().map(|l| l.name.clone()).collect();
    let current = order.current_medicines.join("、");
    let checked = client.check(order).await?;
    let (Some(consultation), Some(check)) = (&diagnosed.consultation, &checked.check) else {
        return Err("the node answered without content".into());
    };
    if as_json {
        say(&json::print("xiangyi.diagnosis.v1.DiagnoseResponse", &diagnosed)?)?;
        return say(&json::print("xiangyi.prescription.v1.CheckPrescriptionResponse", &checked)?);
    }
    let mut out = String::new();
    let _ = writeln!(out, "\n════ 病例 {number}：{} ════", case.title);
    let _ = writeln!(out, "主诉：{}", case.text);
    out.push_str(&print::consultation(consultation));
    let _ = writeln!(out, "处方：{}", names.join("＋"));
    if !current.is_empty() {
        let _ = writeln!(out, "正在服用：{current}");
    }
    out.push_str(&print::check(check, false));
    if number == 1 {
        let _ = writeln!(out, "（{}）", consultation.disclaimer);
    }
    say(&out)
}

async fn stay(node: &Node, url: &str, as_json: bool) -> Result<(), Failure> {
    let mut termination = lifecycle::Termination::listen()?;
    if !as_json {
        let metrics = node.metrics_address().map(|a| format!("http://{a}/metrics"));
        say(&format!(
            "\n节点继续运行，按 Ctrl-C 停止。可以这样调用：\n  \
             xiangyi diagnose --server {url} --text \"发热3天，咳嗽咳黄痰，右胸痛\" --age 45 --sex male\n  \
             echo '{{\"lines\": [{{\"name\": \"阿莫西林胶囊\"}}], \"allergies\": [{{\"name\": \"青霉素\"}}]}}' \
             | xiangyi check --server {url} --file -\n  \
             xiangyi models --server {url}\n指标：{}\n",
            metrics.unwrap_or_default()
        ))?;
    }
    tokio::select! {
        () = termination.received() => {}
        () = node.failed() => return Err("the node stopped by itself, see its log".into()),
    }
    Ok(())
}

fn cases() -> Vec<Case> {
    use common::Sex::{Female, Male};
    vec![
        Case {
            title: "4 岁男孩，发热咳嗽",
            patient: patient(4.0, Male, Some(16.0)),
            vitals: common::Vitals {
                temperature_c: Some(38.6),
                respiratory_rate_bpm: Some(28.0),
                ..common::Vitals::default()
            },
            text: "发热2天，咳嗽有痰，流鼻涕，咽痛，精神可，无气促，无皮疹",
            order: order(&[("小儿氨酚黄那敏颗粒", 3.0), ("对乙酰氨基酚口服混悬液", 3.0)], &[], &[]),
        },
        Case {
            title: "68 岁男性，胸痛，正在服华法林",
            patient: patient(68.0, Male, None),
            vitals: common::Vitals {
                systolic_mmhg: Some(152.0),
                diastolic_mmhg: Some(92.0),
                heart_rate_bpm: Some(96.0),
                ..common::Vitals::default()
            },
            text: "胸口压榨样疼痛1小时，大汗，向左肩放射，气短，有高血压",
            order: order(&[("阿司匹林肠溶片", 7.0), ("布洛芬片", 7.0)], &["华法林钠片"], &[]),
        },
        Case {
            title: "56 岁女性，高血压，感冒",
            patient: patient(56.0, Female, None),
            vitals: common::Vitals {
                temperature_c: Some(37.6),
                systolic_mmhg: Some(138.0),
                diastolic_mmhg: Some(86.0),
                ..common::Vitals::default()
            },
            text: "鼻塞流涕2天，打喷嚏，嗓子疼，头痛，没有咳嗽，否认胸痛",
            order: order(
                &[("维C银翘片", 5.0), ("对乙酰氨基酚片", 3.0)],
                &["苯磺酸氨氯地平片"],
                &[],
            ),
        },
        Case {
            title: "28 岁孕 20 周，泌尿道感染",
            patient: common::Patient {
                pregnancy: common::PregnancyStatus::Pregnant.into(),
                pregnancy_weeks: Some(20),
                ..patient(28.0, Female, None)
            },
            vitals: common::Vitals { temperature_c: Some(37.2), ..common::Vitals::default() },
            text: "尿频、尿急、尿痛2天，无发热，无腰痛",
            order: order(&[("左氧氟沙星片", 10.0)], &["叶酸片"], &[]),
        },
        Case {
            title: "35 岁男性，青霉素过敏，咽痛",
            patient: patient(35.0, Male, None),
            vitals: common::Vitals { temperature_c: Some(39.0), ..common::Vitals::default() },
            text: "咽痛3天，吞咽时加重，高热，扁桃体肿大，没有咳嗽",
            order: order(&[("阿莫西林胶囊", 7.0), ("神效止咳丸", 3.0)], &[], &[("青霉素", "皮疹")]),
        },
    ]
}

fn patient(age_years: f64, sex: common::Sex, weight_kg: Option<f64>) -> common::Patient {
    common::Patient {
        age_years: Some(age_years),
        sex: sex.into(),
        weight_kg,
        ..common::Patient::default()
    }
}

fn order(
    lines: &[(&str, f64)],
    current: &[&str],
    allergies: &[(&str, &str)],
) -> rx::CheckPrescriptionRequest {
    rx::CheckPrescriptionRequest {
        setting: rx::Setting::Outpatient.into(),
        lines: lines
            .iter()
            .map(|&(name, days)| rx::OrderLine {
                name: name.to_owned(),
                days: Some(days),
                ..rx::OrderLine::default()
            })
            .collect(),
        current_medicines: current.iter().map(|&c| c.to_owned()).collect(),
        allergies: allergies
            .iter()
            .map(|&(name, reaction)| rx::Allergy {
                name: name.to_owned(),
                reaction: reaction.to_owned(),
                tolerated_since: false,
            })
            .collect(),
        ..rx::CheckPrescriptionRequest::default()
    }
}
