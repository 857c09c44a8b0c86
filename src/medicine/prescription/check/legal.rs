//! Legal limits of a prescription: how many medicines, for how many days.

use super::case::{Case, Draft, Item, Outcome, Place};
use super::{INFANT_AGE, NO_DIAGNOSIS, NOT_ESSENTIAL, UNSUITABLE};
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::formulary::{IngredientId, Medicine};
use crate::medicine::prescription::order::{Level, Setting};
use crate::medicine::prescription::report::{Action, Kind, Severity, Unchecked};
use crate::medicine::prescription::resolve::Named;
use crate::medicine::prescription::route::Route;
use crate::medicine::prescription::rules::{Category, Limit};

/// Ingredients of solutions that other medicines are dissolved in; such a line is not counted.
const SOLVENTS: &[&str] = &["sodium_chloride", "glucose", "water_for_injection", "water"];

/// Longest supply of an ordinary long prescription, where the table has no row.
const LONG_DAYS: f32 = 28.0;
/// What a prescription is marked with that is for a long time (长期处方管理规范).
const LONG_SUPPLY: &[&str] = &["长处方", "长期处方"];
/// Days of two weeks.
const TWO_WEEKS: f32 = 14.0;

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    diagnosis(case, out);
    medicines(case, out);
    let controlled = controlled(case, out);
    days(case, out, &controlled);
    decoctions(case, out);
    infant(case, out);
    institution(case, out);
}

/// A prescription without a diagnosis cannot be judged by anybody.
fn diagnosis(case: &Case<'_>, out: &mut Outcome) {
    if !case.order.diagnoses.is_empty() {
        return;
    }
    let items: Vec<usize> = (0..case.order.lines.len()).collect();
    out.findings.push(case.finding(Draft {
        kind: Kind::LegalForm,
        action: Action::NeedsReason,
        severity: Severity::Minor,
        items: &items,
        subjects: vec!["diagnosis"],
        origin: case.known.items.origin(NO_DIAGNOSIS),
        reason_zh: "处方没有写临床诊断，是否对症没有核对。".to_owned(),
        instead_zh: "补写诊断。".to_owned(),
        review_code: Some(NO_DIAGNOSIS),
    }));
}

/// 饮片 are written on a prescription of their own.
fn decoctions(case: &Case<'_>, out: &mut Outcome) {
    let Some(limit) = case.known.limits.topic("tcm_decoction_separate") else { return };
    let (pieces, others): (Vec<usize>, Vec<usize>) = case
        .known_lines()
        .map(|(at, _)| at)
        .partition(|at| case.item(*at).is_some_and(|item| case.is_decoction_piece(item)));
    if pieces.is_empty() || others.is_empty() {
        return;
    }
    out.findings.push(case.finding(Draft {
        kind: Kind::LegalForm,
        action: Action::NeedsReason,
        severity: Severity::Minor,
        items: &others,
        subjects: vec!["decoction"],
        origin: &limit.origin,
        reason_zh: format!(
            "饮片与{}写在同一张处方。{}。",
            case.labels(&others, None),
            sentence(limit)
        ),
        instead_zh: "饮片另开一张处方。".to_owned(),
        review_code: limit.review_code.as_deref(),
    }));
}

/// A newborn of "0 years".
fn infant(case: &Case<'_>, out: &mut Outcome) {
    let age = case.order.patient.age_years;
    if age.is_none_or(|age| age > 0.0) {
        return;
    }
    let items: Vec<usize> = (0..case.order.lines.len()).collect();
    out.findings.push(case.finding(Draft {
        kind: Kind::LegalForm,
        action: Action::Notice,
        severity: Severity::Minor,
        items: &items,
        subjects: vec!["infant_age"],
        origin: case.known.items.origin(INFANT_AGE),
        reason_zh: "婴儿年龄写为0岁，没有写明日龄或月龄。".to_owned(),
        instead_zh: "写明日龄、月龄，并注明体重。".to_owned(),
        review_code: Some(INFANT_AGE),
    }));
}

/// What the list reserves for specialists, and what is not on it: for those who ask.
fn institution(case: &Case<'_>, out: &mut Outcome) {
    let mut say = |items: Vec<usize>, code: &'static str, reason: &str, instead: &str| {
        if items.is_empty() {
            return;
        }
        let names = items.iter().filter_map(|at| case.item(*at)).map(|i| case.subject_name(i));
        out.findings.push(case.finding(Draft {
            kind: Kind::LegalForm,
            action: Action::OnRequest,
            severity: Severity::Minor,
            items: &items,
            subjects: names.collect(),
            origin: case.known.items.origin(code),
            reason_zh: format!("{}{reason}", case.labels(&items, None)),
            instead_zh: instead.to_owned(),
            review_code: Some(code),
        }));
    };
    let which = |test: &dyn Fn(&Medicine) -> bool| -> Vec<usize> {
        let lines = case.known_lines();
        lines.filter(|(_, item)| item.medicine.is_some_and(test)).map(|(at, _)| at).collect()
    };
    if case.order.level != Level::Hospital {
        say(
            which(&|m| !m.specialist.is_empty()),
            UNSUITABLE,
            "在基本药物目录中标为须专科指导使用。",
            "在上级医院专科定方后续用，或电话请示。",
        );
    }
    say(
        which(&|m| m.code.starts_with('X')),
        NOT_ESSENTIAL,
        "不在国家基本药物目录（2026年版）内。",
        "目录内有同类药的，优先用目录内的。",
    );
}

/// Narcotic, psychotropic and toxic medicines beyond what one prescription may hold. Returns
/// their lines: the ordinary limit of days does not speak of them again.
fn controlled(case: &Case<'_>, out: &mut Outcome) -> Vec<usize> {
    let mut lines = Vec::new();
    let pain = case.coded(case.known.lists.state("cancer_pain")).is_some();
    let adhd = case.coded(case.known.lists.state("adhd")).is_some();
    let methylphenidate = case.formulary().subject("methylphenidate");
    for (at, item) in case.known_lines() {
        let rows = case.known.lists.controlled.of(item.medicine, item.ingredients);
        let Some(row) = rows.into_iter().find(|row| row.routes.may_hold(item.route)) else {
            continue;
        };
        let injected = item.route.is_some_and(Route::is_injected);
        let slow = ["缓释", "控释", "透皮", "贴"].iter().any(|w| item.written.contains(w));
        let topic = match (row.category, pain) {
            (Category::Narcotic | Category::Psych1, true) if injected => "cancer_pain_injection",
            (Category::Narcotic | Category::Psych1, true) if slow => "cancer_pain_CR",
            (Category::Narcotic | Category::Psych1, true) => "cancer_pain_other",
            (Category::Narcotic, false) if injected => "narcotic_injection_outpatient",
            (Category::Narcotic, false) if slow => "narcotic_CR_outpatient",
            (Category::Narcotic, false) => "narcotic_other_outpatient",
            (Category::Psych1, false) if injected => "psych1_injection",
            (Category::Psych1, false) if slow => "psych1_CR",
            (Category::Psych1, false) => "psych1_other",
            (Category::Psych2, _) => "psych2",
            (Category::Toxic, _) => "toxic_drug",
            (Category::Radioactive | Category::Precursor, _) => continue,
        };
        let child = methylphenidate.is_some_and(|subject| item.is(case.formulary(), subject));
        let topic = if adhd && child { "methylphenidate_ADHD" } else { topic };
        let Some(limit) = case.known.limits.topic(topic) else { continue };
        let usage = case.usage(item);
        // One dose: one day, once.
        let over = if limit.is_one_dose {
            usage.days.is_some_and(|d| d > 1.0) || usage.per_day().is_some_and(|n| n > 1.0)
        } else {
            usage.days.is_some_and(|d| d > f64::from(limit.value))
        };
        if !over {
            continue;
        }
        lines.push(at);
        let given = reason(case.order.long_supply_reason.as_deref());
        let may_be_longer = row.category == Category::Psych2;
        let (action, severity) = match (may_be_longer, given) {
            (true, Some(_)) => (Action::OnRequest, Severity::Minor),
            (true, None) => (Action::NeedsReason, Severity::Moderate),
            (false, _) => (Action::Stop, Severity::Serious),
        };
        let note = row.note_zh.trim_end_matches('。');
        let note = if note.is_empty() { String::new() } else { format!("（{note}）") };
        out.findings.push(case.finding(Draft {
            kind: Kind::LegalForm,
            action,
            severity,
            items: &[at],
            subjects: vec![case.subject_name(item)],
            origin: &limit.origin,
            reason_zh: format!(
                "{}超过特殊管理药品的处方限量{note}。{}。{}",
                case.labels(&[at], None),
                sentence(limit),
                noted(given)
            ),
            instead_zh: "减到限量以内，用专用处方。".to_owned(),
            review_code: limit.review_code.as_deref(),
        }));
    }
    lines
}

/// Each medicine counts once, whatever the number of its lines; a name nobody knows counts too.
fn medicines(case: &Case<'_>, out: &mut Outcome) {
    let mut counted: Vec<usize> = Vec::new();
    let mut seen: Vec<(&[Named], &str)> = Vec::new();
    for (at, item) in case.items.iter().enumerate().filter(|(_, item)| item.is_line()) {
        let dissolves = item.route == Some(Route::Iv) && is_solvent(case, item.ingredients);
        let name = if item.named.is_empty() { item.written.trim() } else { "" };
        let product = (item.named.as_slice(), name);
        let piece = case.is_decoction_piece(item);
        if !dissolves && !piece && !seen.contains(&product) {
            seen.push(product);
            counted.push(at);
        }
    }
    let limit = case.known.limits.medicines();
    let count = u16::try_from(counted.len()).unwrap_or(u16::MAX);
    if f32::from(count) <= limit.value {
        return;
    }
    let given = reason(case.order.more_than_five_reason.as_deref());
    let (action, severity) = weigh(given.is_some());
    out.findings.push(case.finding(Draft {
        kind: Kind::LegalForm,
        action,
        severity,
        items: &counted,
        subjects: Vec::new(),
        origin: &limit.origin,
        reason_zh: format!("本方{count}种药。{}。{}", sentence(limit), noted(given)),
        instead_zh: "减去可有可无的药，或分开处方并写明理由。".to_owned(),
        review_code: limit.review_code.as_deref(),
    }));
}

fn days(case: &Case<'_>, out: &mut Outcome, controlled: &[usize]) {
    let limit = case.known.limits.days(case.order.setting);
    let usual = case.known.limits.topic("long_term_rx_usual");
    let usual_days = usual.map_or(LONG_DAYS, |limit| limit.value);
    let given = reason(case.order.long_supply_reason.as_deref()).or_else(|| marked_long(case));
    let longest = case.known.limits.long_supply_days();
    // A long prescription for a chronic disease is the rule and no exception.
    let outpatient = case.order.setting == Setting::Outpatient;
    let chronic = outpatient && case.coded(case.known.lists.state("long_term")).is_some();
    let mut missing: Vec<usize> = Vec::new();
    let acute = case.coded(case.known.lists.state("acute")).is_some();
    let mut over: Vec<usize> = Vec::new();
    let mut little_over: Vec<usize> = Vec::new();
    let mut long: Vec<usize> = Vec::new();
    let mut far_over: Vec<usize> = Vec::new();
    for (at, item) in case.items.iter().enumerate() {
        let Place::Line(line) = item.place else { continue };
        if controlled.contains(&at) {
            continue;
        }
        // Eye drops and sprays come in packs that last; long courses of antibiotics have their own
        // diagnoses (tuberculosis, Helicobacter).
        let pack = item.acts_apart();
        let course = case.coded(case.known.lists.state("several_antibiotics")).is_some();
        let may_be_long = outpatient
            && (pack || if case.is_antibiotic(item) { course } else { chronic || course });
        match case.order.lines.get(line).and_then(|line| line.days) {
            None => missing.push(at),
            Some(days) if is_course(case, item, days) => {}
            Some(days) if days > longest.value => far_over.push(at),
            Some(days) if days > limit.value && may_be_long => {
                if days > usual_days + 3.0 {
                    long.push(at);
                }
            }
            // Two weeks of what is no acute illness: said, not asked about.
            Some(days) if days > limit.value && outpatient && !acute && days <= TWO_WEEKS => {
                little_over.push(at);
            }
            Some(days) if days > limit.value => over.push(at),
            Some(_) => {}
        }
    }
    if let Some(usual) = usual {
        let action = if given.is_some() { Action::OnRequest } else { Action::Notice };
        supply(case, out, &long, usual, (action, Severity::Minor, noted(given)));
    }
    let action = if given.is_some() { Action::OnRequest } else { Action::Notice };
    supply(case, out, &little_over, limit, (action, Severity::Minor, noted(given)));
    let (action, severity) = weigh(given.is_some());
    supply(case, out, &over, limit, (action, severity, noted(given)));
    let unexcused = (Action::NeedsReason, Severity::Moderate, String::new());
    supply(case, out, &far_over, longest, unexcused);
    if !missing.is_empty() {
        out.unchecked.push(Unchecked {
            lines: case.line_ids(&missing),
            names: case.names(&missing),
            what: vec![Kind::Duration],
            reason_zh: format!("{}没有写天数，没有核对用量。", case.labels(&missing, None)),
            suggestions: Vec::new(),
            on_request: true,
        });
    }
}

fn supply(
    case: &Case<'_>,
    out: &mut Outcome,
    items: &[usize],
    limit: &Limit,
    (action, severity, noted): (Action, Severity, String),
) {
    if items.is_empty() {
        return;
    }
    let labels = case.labels(items, None);
    out.findings.push(case.finding(Draft {
        kind: Kind::Duration,
        action,
        severity,
        items,
        subjects: Vec::new(),
        origin: &limit.origin,
        reason_zh: format!("{labels}超过{}天用量。{}。{noted}", limit.value, sentence(limit)),
        instead_zh: "减到限量以内；慢性病、老年病等需要延长的，写明理由。".to_owned(),
        review_code: limit.review_code.as_deref(),
    }));
}

/// With a reason it is on record; without one it needs one.
fn weigh(has_reason: bool) -> (Action, Severity) {
    if has_reason {
        (Action::OnRequest, Severity::Minor)
    } else {
        (Action::NeedsReason, Severity::Moderate)
    }
}

fn reason(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// Whether so many days are a course that a guideline has for one of the diseases (`courses.csv`).
fn is_course(case: &Case<'_>, item: &Item<'_>, days: f32) -> bool {
    case.known.courses.of(item.medicine, item.ingredients).any(|course| {
        let meant = course.icd.contains(&Icd::ANY) || case.coded(&course.icd).is_some();
        meant && f64::from(days) <= course.days
    })
}

/// A diagnosis or history that says itself that the prescription is a long one.
fn marked_long<'a>(case: &Case<'a>) -> Option<&'a str> {
    case.says(LONG_SUPPLY).then_some("长期处方")
}

fn sentence(limit: &Limit) -> &str {
    limit.rule_zh.trim_end_matches('。')
}

fn noted(reason: Option<&str>) -> String {
    reason.map(|reason| format!("已注明理由：{reason}。")).unwrap_or_default()
}

fn is_solvent(case: &Case<'_>, ingredients: &[IngredientId]) -> bool {
    !ingredients.is_empty() && ingredients.iter().all(|id| SOLVENTS.contains(&case.slug(*id)))
}
