//! Legal limits of a prescription: how many medicines, for how many days.

use super::case::{Case, Draft, Outcome, Place};
use crate::medicine::prescription::formulary::IngredientId;
use crate::medicine::prescription::report::{Action, Kind, Severity, Unchecked};
use crate::medicine::prescription::resolve::Named;
use crate::medicine::prescription::route::Route;
use crate::medicine::prescription::rules::Limit;

/// Ingredients of solutions that other medicines are dissolved in; such a line is not counted.
const SOLVENTS: &[&str] = &["sodium_chloride", "glucose", "water_for_injection", "water"];

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    medicines(case, out);
    days(case, out);
}

/// Each medicine counts once, whatever the number of its lines; a name nobody knows counts too.
fn medicines(case: &Case<'_>, out: &mut Outcome) {
    let mut counted: Vec<usize> = Vec::new();
    let mut seen: Vec<(&[Named], &str)> = Vec::new();
    for (at, item) in case.items.iter().enumerate().filter(|(_, item)| item.is_line()) {
        let dissolves = item.route == Some(Route::Iv) && is_solvent(case, item.ingredients);
        let name = if item.named.is_empty() { item.written.trim() } else { "" };
        let product = (item.named.as_slice(), name);
        if !dissolves && !seen.contains(&product) {
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

fn days(case: &Case<'_>, out: &mut Outcome) {
    let limit = case.known.limits.days(case.order.setting);
    let given = reason(case.order.long_supply_reason.as_deref());
    let longest = case.known.limits.long_supply_days();
    let mut missing: Vec<usize> = Vec::new();
    let mut over: Vec<usize> = Vec::new();
    let mut far_over: Vec<usize> = Vec::new();
    for (at, item) in case.items.iter().enumerate() {
        let Place::Line(line) = item.place else { continue };
        match case.order.lines.get(line).and_then(|line| line.days) {
            None => missing.push(at),
            Some(days) if days > longest.value => far_over.push(at),
            Some(days) if days > limit.value => over.push(at),
            Some(_) => {}
        }
    }
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

fn sentence(limit: &Limit) -> &str {
    limit.rule_zh.trim_end_matches('。')
}

fn noted(reason: Option<&str>) -> String {
    reason.map(|reason| format!("已注明理由：{reason}。")).unwrap_or_default()
}

fn is_solvent(case: &Case<'_>, ingredients: &[IngredientId]) -> bool {
    !ingredients.is_empty() && ingredients.iter().all(|id| SOLVENTS.contains(&case.slug(*id)))
}
