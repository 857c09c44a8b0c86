//! Answers in Chinese, as a doctor reads them.

use std::fmt::Write as _;

use crate::rpc::proto::xiangyi::diagnosis::v1 as dx;
use crate::rpc::proto::xiangyi::model::v1 as model;
use crate::rpc::proto::xiangyi::prescription::v1 as rx;

/// Reasons shown on each side of a condition.
const REASONS_SHOWN: usize = 4;

/// A differential with its red flags and limits.
pub(super) fn consultation(c: &dx::Consultation) -> String {
    let mut out = String::new();
    reading(&mut out, c);
    for flag in &c.red_flags {
        red_flag(&mut out, flag);
    }
    if c.conditions.is_empty() {
        out.push_str("鉴别诊断：没有可用于模型的发现，未给出\n");
    } else {
        out.push_str("鉴别诊断（概率）：\n");
    }
    for (i, condition) in c.conditions.iter().enumerate() {
        ranked(&mut out, i + 1, condition);
    }
    if let Some(coverage) = &c.coverage {
        if coverage.fact_count > 0 {
            let _ = writeln!(
                out,
                "  不在本模型 {} 种疾病之内的可能：{}",
                coverage.condition_count,
                percent(coverage.outside_probability)
            );
        }
        limits(&mut out, coverage);
    }
    next_steps(&mut out, c);
    if let Some(p) = &c.provenance {
        let _ = writeln!(
            out,
            "模型 {} {}（{}），知识表 {}",
            p.model_id, p.model_version, p.engine, p.knowledge_version
        );
    }
    out
}

/// Where the patient belongs, what must be reported, what to ask next.
fn next_steps(out: &mut String, c: &dx::Consultation) {
    if let Some(triage) = &c.triage {
        let place = match triage.place() {
            dx::CarePlace::Home => "回家观察，交代复诊",
            dx::CarePlace::Clinic => "在诊所处理",
            dx::CarePlace::Township if triage.can_wait => "择期到乡镇卫生院就诊",
            dx::CarePlace::Township => "今天转乡镇卫生院",
            dx::CarePlace::County if triage.can_wait => "择期到县级医院就诊",
            dx::CarePlace::County => "今天转县级医院",
            dx::CarePlace::Ambulance => "立即拨打 120",
            dx::CarePlace::Unspecified => "未定",
        };
        let _ = writeln!(out, "去向建议：{place}（{}）", triage.reason);
    }
    for condition in c.conditions.iter().filter(|c| !c.listed_for_safety) {
        if let Some(duty) = &condition.reporting {
            let class = match duty.infectious_class.as_str() {
                "A" => "甲",
                "B" => "乙",
                _ => "丙",
            };
            let (name, hours) = (&condition.name, duty.hours);
            let _ = writeln!(out, "{name}如确诊或疑似，为{class}类传染病，须在 {hours} 小时内报告");
        }
    }
    if !c.next_questions.is_empty() {
        let asked: Vec<_> = c.next_questions.iter().map(|q| q.question.as_str()).collect();
        let _ = writeln!(out, "最值得再问：{}", asked.join(" "));
    }
    if !c.suggested_tests.is_empty() {
        let tests: Vec<_> = c
            .suggested_tests
            .iter()
            .map(|t| format!("{}（{}；{}）", t.name, level(t.level()), t.about.join("、")))
            .collect();
        let _ = writeln!(out, "值得做的检查：{}", tests.join("，"));
    }
}

/// A checked prescription; what is listed on request is only counted unless `all`.
pub(super) fn check(c: &rx::PrescriptionCheck, all: bool) -> String {
    let mut out = String::new();
    for line in &c.lines {
        let _ = if line.medicine_code.is_empty() {
            writeln!(out, "  {}. {} → 不认识，未审核", line.line_id, line.name)
        } else {
            writeln!(
                out,
                "  {}. {} → {} {}（{}）",
                line.line_id,
                line.name,
                line.medicine_code,
                line.medicine_name,
                line.ingredients.join("、")
            )
        };
        let mut read: Vec<String> = Vec::new();
        read.extend((!line.dose.is_empty()).then(|| format!("一次{}", line.dose)));
        read.extend((line.times_per_day > 0.0).then(|| {
            let times = (line.times_per_day * 100.0).round() / 100.0;
            format!("每日{times}次")
        }));
        read.extend((!line.route.is_empty()).then(|| line.route.clone()));
        read.extend((line.days > 0.0).then(|| format!("{}天", line.days)));
        read.extend((!line.diluent.is_empty()).then(|| format!("溶于{}", line.diluent)));
        if !read.is_empty() {
            let _ = writeln!(out, "       读作：{}", read.join("，"));
        }
    }
    let shown = |f: &&rx::CheckFinding| all || f.action() != rx::Action::OnRequest;
    if !c.findings.iter().any(|f| shown(&f)) {
        out.push_str("  在已做的检查中未发现需要提示的问题\n");
    }
    for finding in c.findings.iter().filter(shown) {
        let _ = writeln!(out, "  【{}】{}", action(finding.action()), finding.reason);
        if !finding.instead.is_empty() {
            let _ = writeln!(out, "      建议：{}", finding.instead);
        }
        let mut notes = vec![kind(finding.kind()).to_owned()];
        if !finding.review_code.is_empty() {
            notes.push(format!("处方点评 {}", finding.review_code));
        }
        notes.push(format!("依据：{}", finding.source));
        let _ = writeln!(out, "      {}", notes.join("；"));
        if let Some(before) = &finding.overridden_before {
            let _ = writeln!(out, "      上次的理由：{}", before.reason);
        }
    }
    for unchecked in c.unchecked.iter().filter(|u| !u.on_request) {
        let kinds: Vec<_> = unchecked.checks().map(kind).collect();
        let kinds = if kinds.len() == c.checks_done.len() {
            "全部项目".to_owned()
        } else {
            kinds.join("、")
        };
        let _ = writeln!(out, "  【未审核 UNCHECKED】{}（{kinds}）", unchecked.reason);
        if !unchecked.suggestions.is_empty() {
            let _ = writeln!(out, "      相近的药名：{}", unchecked.suggestions.join("、"));
        }
    }
    for hint in &c.fit_hints {
        let _ = writeln!(out, "  【提示】{}（{}）", hint.text, c.fit_model);
    }
    let hidden = c.findings.len() - c.findings.iter().filter(shown).count();
    let more =
        if hidden > 0 { format!("另有备查 {hidden} 条（--all）；") } else { String::new() };
    let done = c.checks_done.len();
    let _ = writeln!(out, "  {more}已查 {done} 类；规则版本 {}", c.rule_version);
    out
}

/// The models being served.
pub(super) fn models(response: &model::ListModelsResponse) -> String {
    let mut out = String::new();
    for m in &response.models {
        let _ = writeln!(out, "{} {}", m.model_id, m.version);
        let _ = writeln!(out, "  engine    {}", m.engine);
        let _ = writeln!(out, "  weights   {}", m.precision);
        let _ = writeln!(out, "  features  {}   labels {}", m.feature_count, m.label_count);
        for (title, tensors) in [("input", &m.inputs), ("output", &m.outputs)] {
            for t in tensors {
                let _ =
                    writeln!(out, "  {title:<9} {} {} [{}]", t.name, t.dtype, t.shape.join(", "));
            }
        }
        let _ = writeln!(out, "  size      {} bytes", m.size_bytes);
        let _ = writeln!(out, "  sha256    {}", m.sha256);
        if let Some(load) = &m.load_time {
            let ms = f64::from(load.nanos) / 1e6 + 1000.0 * widen(load.seconds);
            let _ =
                writeln!(out, "  loaded in {ms:.1} ms, {} self-tests passed", m.self_test_count);
        }
    }
    out
}

fn widen(seconds: i64) -> f64 {
    i32::try_from(seconds).map_or(f64::MAX, f64::from)
}

fn reading(out: &mut String, c: &dx::Consultation) {
    let (mut present, mut absent, mut uncertain) = (Vec::new(), Vec::new(), Vec::new());
    for mention in c.mentions.iter().filter(|m| !m.other_person) {
        let mut text = mention.name.clone();
        let mut notes = Vec::new();
        if let Some(duration) = &mention.duration {
            notes.push(duration.words.clone());
        }
        match mention.degree() {
            dx::Degree::Unspecified => {}
            dx::Degree::Mild => notes.push("轻".to_owned()),
            dx::Degree::Moderate => notes.push("中".to_owned()),
            dx::Degree::Severe => notes.push("重".to_owned()),
        }
        if !notes.is_empty() {
            let _ = write!(text, "（{}）", notes.join("，"));
        }
        let list = match mention.state() {
            dx::FindingState::Present => &mut present,
            dx::FindingState::Absent => &mut absent,
            dx::FindingState::Uncertain | dx::FindingState::Unspecified => &mut uncertain,
        };
        if !list.contains(&text) {
            list.push(text);
        }
    }
    for (title, list) in [("有", present), ("无", absent), ("不确定", uncertain)] {
        if !list.is_empty() {
            let _ = writeln!(out, "读到（{title}）：{}", list.join("、"));
        }
    }
    let measured: Vec<_> = c.measurements.iter().filter(|m| !m.implausible).collect();
    if !measured.is_empty() {
        let words: Vec<_> = measured.iter().map(|m| m.words.clone()).collect();
        let _ = writeln!(out, "读到（测量）：{}", words.join("、"));
    }
    let implied: Vec<_> = c
        .findings
        .iter()
        .filter(|f| f.origin() == dx::FindingOrigin::Measured)
        .filter(|f| f.state() == dx::FindingState::Present)
        .map(|f| f.name.clone())
        .collect();
    if !implied.is_empty() {
        let _ = writeln!(out, "由测量值得出：{}", implied.join("、"));
    }
}

/// A red flag with what to do.
pub(super) fn red_flag(out: &mut String, flag: &dx::RedFlag) {
    let urgency = match flag.urgency() {
        dx::Urgency::Emergency => "立即",
        dx::Urgency::Urgent | dx::Urgency::Unspecified => "今日",
    };
    let _ = writeln!(out, "!! 红旗【{urgency}】{}（{}）", flag.name, flag.because.join("＋"));
    let _ = writeln!(out, "     可能：{}", flag.meaning);
    let _ = writeln!(out, "     现在做：{}", flag.act_now);
    let _ = writeln!(out, "     转往：{}；依据：{}", flag.refer_to, flag.source);
}

fn ranked(out: &mut String, number: usize, c: &dx::RankedCondition) {
    let mut notes = vec![c.icd10.clone(), severity(c.severity()).to_owned()];
    notes.push(level(c.referral_level()).to_owned());
    if c.must_not_miss {
        notes.push("不可漏诊".to_owned());
    }
    if c.listed_for_safety {
        notes.push("为安全列出".to_owned());
    }
    notes.retain(|n| !n.is_empty());
    let probability = percent(c.probability);
    let _ = writeln!(out, "  {number}. {} {probability}  {}", c.name, notes.join(" · "));
    for (title, reasons) in [("支持", &c.reasons_for), ("不支持", &c.reasons_against)] {
        if reasons.is_empty() {
            continue;
        }
        let words: Vec<_> = reasons
            .iter()
            .take(REASONS_SHOWN)
            .map(|r| {
                let no = if r.state() == dx::FindingState::Absent { "无" } else { "" };
                format!("{no}{} {:+.1}", r.name, r.log_likelihood_ratio)
            })
            .collect();
        let _ = writeln!(out, "       {title}：{}", words.join("，"));
    }
}

fn limits(out: &mut String, coverage: &dx::Coverage) {
    if !coverage.unread.is_empty() {
        let words: Vec<_> = coverage.unread.iter().map(|u| format!("“{}”", u.words)).collect();
        let _ = writeln!(out, "未读懂的文字：{}", words.join("、"));
    }
    if !coverage.unknown_findings.is_empty() {
        let _ = writeln!(out, "词表中没有：{}", coverage.unknown_findings.join("、"));
    }
    if !coverage.contradictions.is_empty() {
        let _ = writeln!(out, "前后矛盾、未采用：{}", coverage.contradictions.join("、"));
    }
    for note in &coverage.notes {
        let _ = writeln!(out, "注意：{note}");
    }
}

pub(super) fn percent(probability: f64) -> String {
    if probability > 0.0 && probability < 0.001 {
        return "<0.1%".to_owned();
    }
    format!("{:.1}%", probability * 100.0)
}

fn severity(severity: dx::Severity) -> &'static str {
    match severity {
        dx::Severity::Unspecified => "",
        dx::Severity::Mild => "轻",
        dx::Severity::Moderate => "中",
        dx::Severity::Severe => "重",
        dx::Severity::Critical => "危及生命",
    }
}

fn level(level: dx::Level) -> &'static str {
    match level {
        dx::Level::Unspecified => "",
        dx::Level::Village => "村卫生室",
        dx::Level::Township => "乡镇卫生院",
        dx::Level::County => "县级医院",
        dx::Level::City => "市级医院",
    }
}

fn action(action: rx::Action) -> &'static str {
    match action {
        rx::Action::Unspecified => "?",
        rx::Action::Stop => "禁止 STOP",
        rx::Action::NeedsReason => "须写明理由 NEEDS_REASON",
        rx::Action::Notice => "提示 NOTICE",
        rx::Action::OnRequest => "备查 ON_REQUEST",
    }
}

fn kind(kind: rx::FindingKind) -> &'static str {
    match kind {
        rx::FindingKind::Unspecified => "?",
        rx::FindingKind::Duplicate => "重复用药",
        rx::FindingKind::Allergy => "过敏",
        rx::FindingKind::Interaction => "相互作用",
        rx::FindingKind::Pregnancy => "妊娠",
        rx::FindingKind::LegalForm => "处方规则",
        rx::FindingKind::Duration => "用药天数",
        rx::FindingKind::SingleDose => "单次剂量",
        rx::FindingKind::DailyDose => "日剂量",
        rx::FindingKind::Age => "年龄",
        rx::FindingKind::Sex => "性别",
        rx::FindingKind::Lactation => "哺乳",
        rx::FindingKind::Disease => "疾病禁忌",
        rx::FindingKind::Renal => "肾功能",
        rx::FindingKind::Hepatic => "肝功能",
        rx::FindingKind::Route => "给药途径",
        rx::FindingKind::Frequency => "给药频次",
        rx::FindingKind::Indication => "适应证",
        rx::FindingKind::Antibiotic => "抗菌药物",
        rx::FindingKind::SkinTest => "皮试",
        rx::FindingKind::Infusion => "输液",
        rx::FindingKind::Tcm => "中药",
        rx::FindingKind::Monitoring => "监测与保护用药",
        rx::FindingKind::Elderly => "老年人",
        rx::FindingKind::FoodAlcohol => "饮食与酒",
    }
}
