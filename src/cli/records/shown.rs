//! Records, tasks and the state of the exchange as a doctor or operator reads them.

use std::fmt::Write as _;
use std::path::Path;

use super::clinical::{self, labelled, text};
use crate::cli::imaging::moment;
use crate::rpc::proto::xiangyi::records::v1 as pb;

pub(in crate::cli) fn at(ms: i64) -> String {
    let timestamp = prost_types::Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or(0),
    };
    moment(&timestamp)
}

fn problems(out: &mut String, problems: &[pb::Problem], unplaced: &[pb::Unplaced]) {
    for problem in problems {
        let severity = match problem.severity() {
            pb::Severity::Fatal => "致命",
            pb::Severity::Warning => "警告",
            pb::Severity::Information | pb::Severity::Unspecified => "提示",
        };
        let _ =
            writeln!(out, "  {severity} {} {}（{}）", problem.path, problem.message, problem.code);
    }
    for part in unplaced {
        let _ = writeln!(out, "  仅留在原件 {} {}", part.path, part.what);
    }
}

pub(super) fn validated(path: &Path, found: &pb::ValidateRecordResponse) -> String {
    let verdict = if found.acceptable { "可以接收" } else { "不能接收" };
    let mut out = format!("{}：{verdict}\n", path.display());
    problems(&mut out, &found.problems, &found.unplaced);
    out
}

pub(super) fn submitted(path: &Path, found: &pb::SubmitRecordResponse) -> String {
    let known = match found.outcome() {
        pb::SubmitOutcome::Known => "此前已有",
        pb::SubmitOutcome::Kept | pb::SubmitOutcome::Unspecified => "已保存",
    };
    let mut out = format!("{}：{known} {} 第 {} 版\n", path.display(), found.name, found.version);
    problems(&mut out, &found.problems, &found.unplaced);
    out
}

pub(super) fn listed(found: &pb::ListRecordsResponse) -> String {
    let mut out = String::new();
    for line in &found.records {
        let _ = write!(out, "{} 第 {} 版", line.name, line.version);
        for part in [&line.patient_name, &line.birth_date, &line.institution, &line.diagnosis] {
            if !part.is_empty() {
                let _ = write!(out, "  {part}");
            }
        }
        if !line.discharged.is_empty() {
            let _ = write!(out, "  出院 {}", line.discharged);
        }
        if !line.programmes.is_empty() {
            let _ = write!(out, "  [{}]", line.programmes.join(" "));
        }
        if line.withdrawn {
            out.push_str("  已撤回");
        }
        if !line.problem.is_empty() {
            let _ = write!(out, "  本节点无法读取（{}），原件在", line.problem);
        }
        out.push('\n');
    }
    if out.is_empty() {
        out.push_str("没有出院记录\n");
    }
    out.push_str(&more(&found.next_page_token));
    out
}

/// That there is another page, and how to get it.
pub(super) fn more(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!("还有更多：--page {token}\n") }
}

/// Why something may be read, and until when.
fn access(out: &mut String, until_ms: i64, under_review: bool, reasons: &[String]) {
    for reason in reasons {
        let _ = writeln!(out, "  {reason}");
    }
    if under_review {
        let _ = writeln!(out, "  已列入事后审查");
    }
    if until_ms > 0 {
        let _ = writeln!(out, "  可查阅至 {}", at(until_ms));
    }
}

pub(super) fn looked_up(found: &pb::LookUpRecordsResponse) -> String {
    let mut out = String::new();
    for record in &found.records {
        let _ = write!(out, "{} 第 {} 版", record.name, record.version);
        let parts =
            [&record.patient_name, &record.birth_date, &record.institution, &record.diagnosis];
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let _ = write!(out, "  {part}");
        }
        if !record.discharged.is_empty() {
            let _ = write!(out, "  出院 {}", record.discharged);
        }
        let _ = write!(out, "  由 {} 上报", record.node);
        if record.withdrawn {
            out.push_str("  已撤回（误录）");
        }
        if record.here {
            out.push_str("  本节点已有");
        }
        match record.scope() {
            pb::AccessScope::Whole => {}
            pb::AccessScope::Summary => out.push_str("  只可查阅摘要"),
            pb::AccessScope::Unspecified => out.push_str("  可查阅范围不明"),
        }
        match record.problem.as_str() {
            "" => {}
            "damaged" => out.push_str("  中心保存的文书已损坏，请联系上报机构"),
            problem => {
                let _ = write!(out, "  中心无法读取（{problem}），原件在");
            }
        }
        out.push('\n');
    }
    if found.records.is_empty() {
        out.push_str("中心没有此人可查阅的出院记录：请核对姓名与证件号码\n");
    }
    if found.has_more {
        out.push_str("还有更早的记录，未列出\n");
    }
    access(&mut out, found.access_until_ms, found.under_review, &found.access_reasons);
    out
}

pub(super) fn fetched(found: &pb::FetchRecordResponse) -> String {
    let Some(record) = &found.record else { return "没有出院记录\n".to_owned() };
    let mut out = if record.record.is_some() {
        self::record(record)
    } else {
        format!(
            "{} 第 {} 版：本节点无法读取，原件可用 --original 取得\n",
            record.name, record.version
        )
    };
    let _ = writeln!(out, "由 {} 上报中心，本节点不保存", found.node);
    access(&mut out, record.access_until_ms, record.under_review, &record.access_reasons);
    out
}

pub(super) fn record(found: &pb::GetRecordResponse) -> String {
    let mut out = format!("{} 第 {} 版", found.name, found.version);
    if !found.replaced_by.is_empty() {
        let _ = writeln!(out, "（已被 {} 取代）", found.replaced_by);
    } else if found.current {
        out.push_str("（最新）\n");
    } else {
        out.push_str("（有更新的版本）\n");
    }
    let Some(record) = &found.record else {
        out.push_str("本节点无法读取，原件在：xiangyi record export\n");
        return out;
    };
    if record.document.as_ref().is_some_and(|document| document.entered_in_error) {
        out.push_str("已撤回（误录）：以下内容不再有效\n");
    }
    if let Some(patient) = &record.patient {
        let _ = writeln!(out, "患者 {}  {}", patient.name, patient.birth_date);
    }
    if let Some(stay) = &record.stay {
        let _ = writeln!(
            out,
            "{} {}  入院 {}  出院 {}{}",
            stay.institution,
            stay.department,
            stay.admitted,
            stay.discharged,
            labelled("  转归 ", text(stay.outcome.as_ref()))
        );
    }
    for diagnosis in &record.diagnoses {
        let _ = writeln!(out, "{}", clinical::diagnosis(diagnosis));
    }
    for programme in &found.programmes {
        let _ = writeln!(out, "管理 {}：{}", programme.name, programme.evidence.join("；"));
    }
    for allergy in &record.allergies {
        let _ = writeln!(out, "{}", clinical::allergy(allergy));
    }
    for medicine in &record.medicines {
        let _ = writeln!(out, "{}", clinical::medicine(medicine));
    }
    for procedure in &record.procedures {
        let _ = writeln!(out, "手术操作 {}  {}", text(procedure.coded.as_ref()), procedure.started);
    }
    for measurement in &record.measurements {
        let _ = writeln!(out, "{}", clinical::measurement(measurement));
    }
    for study in &record.imaging {
        let _ = writeln!(out, "{}", clinical::study(study));
    }
    for follow_up in &record.follow_ups {
        let _ = writeln!(out, "随访 {} {}", follow_up.due, follow_up.text);
    }
    if let Some(narrative) = &record.narrative {
        for (label, told) in [
            ("入院情况", &narrative.admission),
            ("诊疗过程", &narrative.course),
            ("阳性结果", &narrative.positive_results),
            ("出院情况", &narrative.discharge),
            ("症状体征", &narrative.symptoms_and_signs),
            ("医嘱", &narrative.orders),
        ] {
            if !told.is_empty() {
                let _ = writeln!(out, "{label} {told}");
            }
        }
    }
    problems(&mut out, &found.problems, &found.unplaced);
    let _ = writeln!(out, "原件 {} SHA-256 {} SM3 {}", found.media_type, found.sha256, found.sm3);
    out
}

pub(in crate::cli) fn reconciled(found: &pb::ReconcileMedicinesResponse) -> String {
    let mut out = String::new();
    for medicine in &found.medicines {
        let standing = match medicine.standing() {
            pb::MedicineStanding::StoppedStillGiven => "✗ 已停仍用",
            pb::MedicineStanding::Both => "＝ 双方都有",
            pb::MedicineStanding::HospitalOnly => "＋ 医院带药",
            pb::MedicineStanding::ClinicOnly => "？ 仅诊所有",
            pb::MedicineStanding::NotRecognised | pb::MedicineStanding::Unspecified => "？ 未识别",
        };
        let _ = writeln!(out, "  {standing}  {}  {}", medicine.written, medicine.advice);
    }
    for finding in &found.findings {
        let _ = writeln!(out, "  ！ {}：{}", finding.medicines.join("＋"), finding.reason);
        let _ = writeln!(out, "     {}（{}）", finding.instead, finding.source);
    }
    for not_checked in &found.not_checked {
        let _ = writeln!(out, "  未检查：{not_checked}");
    }
    out
}

pub(in crate::cli) fn tasks(tasks: &[pb::FollowUpTask]) -> String {
    let mut out = String::new();
    for task in tasks {
        let state = match task.state() {
            pb::TaskState::Done => "已完成",
            pb::TaskState::Cancelled => "已取消",
            pb::TaskState::Superseded if !task.covered_by.is_empty() => "不必另做",
            pb::TaskState::Superseded => "已被新版本或另一份记录取代",
            pb::TaskState::Conflict => "两处说法不一，请核定",
            pb::TaskState::Open | pb::TaskState::Unspecified => "待办",
        };
        let due = match (task.kind(), task.due.as_str()) {
            (pb::TaskKind::ReferNow, _) => "立即".to_owned(),
            (_, "") => "日期未定".to_owned(),
            (_, due) => format!("{due} 前"),
        };
        let _ = writeln!(out, "  [{state}] {due}  {}", task.wording);
        for reason in &task.reasons {
            let _ = writeln!(out, "      因：{reason}");
        }
        if !task.note.is_empty() {
            let _ = writeln!(out, "      {}：{}", task.changed_by, task.note);
        }
        if !task.covered_by.is_empty() {
            let _ = writeln!(out, "      同一次住院的记录 {} 已包含此任务", task.covered_by);
        }
        let _ = writeln!(out, "      任务 {} 修订 {}", task.id, task.revision);
    }
    if out.is_empty() {
        out.push_str("  没有随访任务\n");
    }
    out
}

pub(super) fn status(found: &pb::GetExchangeStatusResponse) -> String {
    let mut out = format!(
        "待发 {} 件（共提交 {} 件），已收 {} 件\n",
        found.waiting, found.queued, found.received
    );
    if found.oldest_ms > 0 {
        let _ = writeln!(out, "最早一件自 {}", at(found.oldest_ms));
    }
    if found.unreadable > 0 {
        let _ = writeln!(out, "收到但本节点无法读取 {} 件（原件在）", found.unreadable);
    }
    if let Some(clock) = &found.clock {
        out.push_str(&ahead(clock.ahead_ms, "本机时钟比中心"));
        let _ = writeln!(out, "（误差 {} 毫秒）", clock.tolerance_ms);
        if clock.is_off {
            let _ = writeln!(out, "  {}", clock.advice);
        }
    }
    for stuck in &found.stuck {
        let _ = writeln!(
            out,
            "  中心未接收 第 {} 件 {} {}：{}（{}），已试 {} 次，{} 再试",
            stuck.number,
            stuck.kind,
            stuck.name,
            stuck.reason,
            stuck.code,
            stuck.attempts,
            at(stuck.due_ms)
        );
    }
    for event in &found.events {
        let _ = writeln!(out, "  {} {}：{}", at(event.at_ms), event.kind, event.advice);
    }
    out
}

/// By how much a clock is ahead.
fn ahead(ahead_ms: i64, whose: &str) -> String {
    let seconds = ahead_ms.unsigned_abs() / 1_000;
    let way = if ahead_ms < 0 { "慢" } else { "快" };
    format!("{whose}{way} {seconds} 秒")
}

pub(super) fn nodes(found: &pb::ListExchangeNodesResponse) -> String {
    let mut out = String::new();
    for node in &found.nodes {
        let _ = write!(
            out,
            "{}  交来 {} 件  应收 {} 件  已收 {} 件",
            node.node, node.handed_over, node.inbox, node.kept
        );
        if node.quarantined > 0 {
            let _ = write!(out, "  搁置 {} 件", node.quarantined);
        }
        if node.retired > 0 {
            let _ = write!(out, "  换过 {} 次设备或恢复过旧备份", node.retired);
        }
        if node.seen_ms > 0 {
            let _ = write!(out, "  最后联系 {}", at(node.seen_ms));
        }
        if let Some(ahead_ms) = node.clock_ahead_ms.filter(|_| node.clock_is_off) {
            let _ = write!(out, "  {}，请对时", ahead(ahead_ms, "时钟比中心"));
        }
        out.push('\n');
    }
    out
}
