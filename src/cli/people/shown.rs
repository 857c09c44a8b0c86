//! Persons and reviews as whoever decides about them reads them.

use std::fmt::Write as _;

use crate::cli::records::at;
use crate::rpc::proto::xiangyi::people::v1 as pb;

fn particulars(out: &mut String, one: &pb::Particulars) {
    let stated = one.stated.clone().unwrap_or_default();
    let _ = write!(out, "    信息 {}：{}", one.number, stated.name);
    let sex = match stated.sex.as_str() {
        "male" => "男",
        "female" => "女",
        _ => "",
    };
    let parts = [
        ("", sex),
        ("出生 ", stated.birth_date.as_str()),
        ("身份证 ", &stated.resident_id),
        ("健康卡 ", &stated.health_card),
        ("电话 ", &stated.phone),
        ("区划 ", &stated.division),
        ("地址 ", &one.address),
    ];
    for (label, value) in parts {
        if !value.is_empty() {
            let _ = write!(out, "  {label}{value}");
        }
    }
    out.push('\n');
}

fn candidates(out: &mut String, all: &[pb::Candidate]) {
    for one in all {
        let _ = writeln!(out, "  个人 {}（{:.1} 比特）：{}", one.person, one.bits, one.reason);
        for stated in &one.particulars {
            particulars(out, stated);
        }
        let fields: Vec<String> = one
            .fields
            .iter()
            .map(|field| format!("{}{}{:+.1}", field.field, field.level, field.bits))
            .collect();
        if !fields.is_empty() {
            let _ = writeln!(out, "    依据：{}", fields.join("，"));
        }
    }
}

pub(super) fn matched(found: &pb::MatchPersonResponse) -> String {
    let mut out = String::new();
    for problem in &found.problems {
        let _ = writeln!(out, "注意：{problem}（未用于比对）");
    }
    out.push_str(match found.outcome() {
        pb::MatchOutcome::Linked => "是此人：\n",
        pb::MatchOutcome::Review => "可能是下列之一，须人工核对：\n",
        pb::MatchOutcome::New | pb::MatchOutcome::Unspecified => "没有此人。\n",
    });
    if found.outcome() == pb::MatchOutcome::New && !found.candidates.is_empty() {
        out.push_str("最相近的（不是同一人）：\n");
    }
    candidates(&mut out, &found.candidates);
    out
}

pub(super) fn person(found: &pb::GetPersonResponse) -> String {
    let mut out = format!("个人 {}\n", found.person);
    for one in &found.particulars {
        particulars(&mut out, one);
    }
    out.push_str("文书：\n");
    for document in &found.documents {
        let kind = if document.kind == "record" { "出院记录" } else { "登记" };
        let _ = writeln!(
            out,
            "    {kind} {} 第 {} 版  来自 {}  信息 {}  送达 {}",
            document.name,
            document.version,
            document.sender,
            document.particulars,
            if document.nodes.is_empty() { "无".to_owned() } else { document.nodes.join("、") },
        );
    }
    out.push_str("经过：\n");
    for event in &found.events {
        let _ = write!(out, "    {}  {}", at(event.at_ms), action(&event.action));
        let _ = write!(out, "  信息 {}", event.particulars);
        if event.from_person != 0 && event.from_person != event.to_person {
            let _ = write!(out, "  由个人 {} 到个人 {}", event.from_person, event.to_person);
        }
        if event.decision != 0 {
            let _ = write!(out, "  认定 {}（{}）", event.decision, event.by);
        }
        if !event.reason.is_empty() {
            let _ = write!(out, "：{}", event.reason);
        }
        out.push('\n');
    }
    out
}

fn action(name: &str) -> &str {
    match name {
        "new" => "新建",
        "linked" => "自动归并",
        "review" => "待核对",
        "same" => "人工认定同一人",
        "different" => "人工认定不同人",
        "undone" => "撤销认定",
        other => other,
    }
}

pub(super) fn reviews(found: &pb::ListPersonReviewsResponse) -> String {
    let mut out = String::new();
    if found.reviews.is_empty() {
        out.push_str("没有待核对的个人。\n");
    }
    for review in &found.reviews {
        let _ = write!(out, "核对 {}  {}", review.review, at(review.at_ms));
        let _ = match review.outcome.as_str() {
            "" => writeln!(out, "  现为个人 {}", review.person),
            "same" => writeln!(out, "  已认定同一人"),
            "different" => writeln!(out, "  已认定不同人"),
            _ => writeln!(out, "  已无需核对"),
        };
        if let Some(one) = &review.particulars {
            particulars(&mut out, one);
        }
        candidates(&mut out, &review.candidates);
    }
    if !found.next_page_token.is_empty() {
        let _ = writeln!(out, "还有更多：--page {}", found.next_page_token);
    }
    out
}

pub(super) fn decided(decision: Option<&pb::Decision>) -> String {
    let Some(decision) = decision else { return String::new() };
    let persons: Vec<String> = decision.persons.iter().map(ToString::to_string).collect();
    let mut out = match decision.decision {
        0 => "已撤销".to_owned(),
        number => format!("已认定，编号 {number}（可用 undo {number} 撤销）"),
    };
    let _ = writeln!(out, "；涉及个人 {}", persons.join("、"));
    if !decision.nodes.is_empty() {
        let nodes = decision.nodes.join("、");
        let _ = writeln!(out, "这些机构已收到所移信息的文书，请通知其核对：{nodes}");
    }
    out
}

pub(super) fn report(found: &pb::GetPeopleReportResponse) -> String {
    format!(
        "个人 {}  信息 {}  待归并文书 {}  信息不足的文书 {}  待核对 {}\n",
        found.persons, found.particulars, found.unsettled, found.unidentified, found.reviews
    )
}
