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
    let node = study.place.as_ref().map(|p| p.node.as_str()).unwrap_or_default();
    let _ = write!(
        out,
        "    {}  {} 序列 {} 幅  {report}  在 {node}",
        study.study_uid, study.series_count, study.instance_count
    );
    if study.kept_apart_count > 0 {
        let _ = write!(out, "  另有 {} 个同号不同内容", study.kept_apart_count);
    }
    out.push('\n');
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
