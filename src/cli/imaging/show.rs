//! Answers about images in Chinese, as a doctor reads them.

use std::fmt::Write as _;

use super::super::print::percent;
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::recognition::v1 as rg;

/// Studies, two lines each.
pub(super) fn studies(found: &pb::SearchStudiesResponse) -> String {
    let mut out = String::new();
    if found.studies.is_empty() {
        out.push_str("没有找到检查\n");
    }
    for study in &found.studies {
        line(&mut out, study);
    }
    if !found.next_page_token.is_empty() {
        out.push_str("还有更多，请缩小范围或加大 --count\n");
    }
    if let Some(state) = &found.region {
        region(&mut out, state);
    }
    out
}

/// How much of the region the answer speaks for.
fn region(out: &mut String, state: &pb::RegionState) {
    if let Some(after) = &state.retry_after {
        let minutes = after.seconds.saturating_add(59) / 60;
        let _ = writeln!(
            out,
            "区域中心暂不答复（本机一小时内查询的人数已满，或中心繁忙），约 {minutes} 分钟后再试；以上只是本机所存"
        );
        return;
    }
    if !state.reachable {
        out.push_str("未能连接区域中心，以上只是本机所存\n");
        return;
    }
    for node in &state.offline {
        let _ = match &node.indexed_at {
            Some(at) => writeln!(out, "{} 离线，目录截至 {}", node.node, moment(at)),
            None => writeln!(out, "{} 离线，尚无目录", node.node),
        };
    }
}

/// A moment in Beijing time, to the minute.
pub(in crate::cli) fn moment(at: &prost_types::Timestamp) -> String {
    const BEIJING: i8 = 8;
    let Ok(at) = jiff::Timestamp::from_second(at.seconds) else { return String::new() };
    jiff::tz::Offset::constant(BEIJING).to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Where a study lies.
fn places(study: &pb::StudySummary) -> String {
    let told = study.places.iter().map(|place| {
        let state = match place.availability() {
            pb::Availability::Online | pb::Availability::Unspecified => "",
            pb::Availability::Nearline => "（须从其影像系统调取）",
            pb::Availability::Offline => "（离线）",
        };
        format!("{}{state}", place.node)
    });
    told.collect::<Vec<_>>().join("、")
}

/// Whether a study would be recognised, and why not.
fn outlook(out: &mut String, study: &pb::StudySummary) {
    let Some(recognition) = &study.recognition else { return };
    let word = match recognition.outlook() {
        pb::RecognitionOutlook::Recognised => "可互认",
        pb::RecognitionOutlook::WithRemark => "可互认，须注意",
        pb::RecognitionOutlook::CannotSay => "互认不能确定",
        pb::RecognitionOutlook::NotRecognised => "不互认",
        pb::RecognitionOutlook::Unspecified => return,
    };
    let reasons = recognition.reasons.join("；");
    let colon = if reasons.is_empty() { "" } else { "：" };
    let _ = writeln!(out, "    {word}{colon}{reasons}");
}

/// How far a fetch has come.
pub(super) fn fetching(step: &pb::FetchStudyResponse) -> String {
    format!(
        "从 {} 取 {} / {} 个，{} / {} 字节\n",
        unsaid(&step.node, "?"),
        step.here_count + step.kept_count,
        step.object_count,
        step.received_bytes,
        step.size_bytes,
    )
}

/// How a fetch ended.
pub(super) fn fetched(end: &pb::FetchStudyResponse) -> String {
    let mut out = format!(
        "从 {} 取回 {} 个，原有 {} 个，共 {} 个，摘要均相符\n",
        unsaid(&end.node, "?"),
        end.kept_count,
        end.here_count,
        end.object_count,
    );
    if end.missing_count > 0 {
        let _ = writeln!(out, "对方已没有 {} 个", end.missing_count);
    }
    for refusal in &end.refusals {
        let _ = writeln!(out, "未存 {} 个：{}", refusal.count, refusal.reason);
    }
    if end.broken_count > 0 {
        let _ = writeln!(out, "线路中断 {} 次，均已续传", end.broken_count);
    }
    out
}

fn line(out: &mut String, study: &pb::StudySummary) {
    let patient = study.patient.clone().unwrap_or_default();
    let _ = writeln!(
        out,
        "{} {}  {}（{}）  {}  {}",
        unsaid(&study.date, "日期不明"),
        study.modalities.join("+"),
        unsaid(&patient.name, "姓名不明"),
        unsaid(&patient.patient_id, "无编号"),
        examination(study),
        unsaid(&study.institution, "机构不明"),
    );
    let report = match study.report.as_ref().map(pb::StudyReport::state) {
        Some(pb::ReportState::Signed) => "报告已审核",
        Some(pb::ReportState::Unsigned) => "报告未审核",
        Some(pb::ReportState::Absent) => "无报告",
        Some(pb::ReportState::Unspecified) | None => "报告不明",
    };
    let node = places(study);
    let _ = write!(
        out,
        "    {}  {} 序列 {} 幅  {report}  在 {node}",
        study.study_uid, study.series_count, study.instance_count
    );
    if study.kept_apart_count > 0 {
        let _ = write!(out, "  另有 {} 个同号不同内容", study.kept_apart_count);
    }
    match study.found_by() {
        pb::FoundBy::PatientId => out.push_str("  按病人编号查到，请核对姓名"),
        pb::FoundBy::Sound => out.push_str("  按姓名读音和出生日期查到，请核对"),
        pb::FoundBy::Unspecified | pb::FoundBy::Study | pb::FoundBy::Name => {}
    }
    out.push('\n');
    outlook(out, study);
}

fn examination(study: &pb::StudySummary) -> String {
    let Some(examination) = &study.examination else { return "项目不明".to_owned() };
    if examination.types.is_empty() {
        let written = unsaid(&study.description, "项目不明");
        return format!("{written}（未能归类）");
    }
    let names: Vec<&str> = examination.types.iter().map(|t| t.name.as_str()).collect();
    format!("{}（把握 {}）", names.join("、"), percent(examination.confidence))
}

fn unsaid<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.trim().is_empty() { instead } else { text }
}

/// A result that a person should see at once.
pub(super) fn worth_telling(result: &pb::StoredObject) -> Option<String> {
    match result.outcome() {
        pb::StoreOutcome::Refused => {
            let again = if result.retryable { "，可稍后再传" } else { "" };
            Some(format!("未存 {}：{}{again}\n", result.object_id, result.reason))
        }
        pb::StoreOutcome::KeptApart => Some(format!(
            "另存 {}：已有同号（{}）而内容不同的对象\n",
            result.object_id, result.sop_instance_uid
        )),
        pb::StoreOutcome::Stored | pb::StoreOutcome::Known | pb::StoreOutcome::Unspecified => None,
    }
}

/// How all objects came out.
pub(super) fn stored(summary: &pb::StoreSummary) -> String {
    format!(
        "新存 {}，已有 {}，另存 {}，未存 {}\n",
        summary.stored_count, summary.known_count, summary.kept_apart_count, summary.refused_count
    )
}

/// What is to be thought of the patient's studies.
pub(super) fn assessed(found: &rg::AssessRecognitionResponse) -> String {
    let mut out = String::new();
    for one in &found.assessments {
        let name = unsaid(&one.examination_name, "申请项目未能识别");
        let conclusion = match one.conclusion() {
            rg::Conclusion::NotNeeded => "已有结果可互认，不必重复检查",
            rg::Conclusion::RepeatAllowed => "可互认，但有重新检查的理由",
            rg::Conclusion::Unclear => "尚不能确定，见下",
            rg::Conclusion::Needed => "没有可互认的结果",
            rg::Conclusion::Unspecified => "?",
        };
        let _ = writeln!(out, "{name}：{conclusion}");
        for study in &one.studies {
            verdict(&mut out, study);
        }
    }
    if found.left_out_count > 0 {
        let _ = writeln!(out, "另有 {} 份较早的检查未看", found.left_out_count);
    }
    if let Some(state) = &found.region {
        region(&mut out, state);
    }
    let _ = writeln!(out, "按 {} 的规则（{}）", found.date, found.policy_version);
    let _ = writeln!(out, "{}", found.disclaimer);
    out
}

fn verdict(out: &mut String, study: &rg::StudyAssessment) {
    let verdict = match study.verdict() {
        rg::Verdict::Recognised => "可互认",
        rg::Verdict::RecognisedWithRemark => "可互认，须注意",
        rg::Verdict::CannotSay => "不能确定",
        rg::Verdict::NotRecognised => "不互认",
        rg::Verdict::Unspecified => "?",
    };
    let (date, what) =
        study.study.as_ref().map_or_else(Default::default, |s| (s.date.clone(), examination(s)));
    let _ = writeln!(out, "  【{verdict}】{date} {what}  {}", study.study_uid);
    for reason in study.reasons.iter().filter(|r| r.outcome() != rg::ReasonOutcome::Met) {
        let _ = write!(out, "      {}", reason.doctor_text);
        if !reason.clause.is_empty() {
            let _ = write!(out, "（{}）", reason.clause);
        }
        out.push('\n');
    }
}
