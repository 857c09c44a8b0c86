//! Medicines in pregnancy, by week; and whether pregnancy must first be asked about.
//!
//! Eye and ear medicines hardly reach the child, skin medicines less than swallowed ones. A rule
//! about an ingredient is therefore only noticed in the eye and ear, and on the skin unless it
//! stops. A rule about one product stands as it is.

use super::UNSUITABLE;
use super::case::{Case, Draft, Item, Outcome};
use crate::medicine::patient::{Pregnancy, Sex};
use crate::medicine::prescription::formulary::Subject;
use crate::medicine::prescription::report::{Action, Kind, Severity, Unchecked};
use crate::medicine::prescription::route::Route;
use crate::medicine::prescription::rules::PregnancyRule;

/// Ages at which a woman may be pregnant without anyone having said so, in completed years.
const ASK_AGE_YEARS: (f32, f32) = (12.0, 55.0);

/// Words of the history that say she is not pregnant.
const NOT_PREGNANT: &[&str] = &[
    "未孕",
    "未怀孕",
    "无妊娠",
    "否认妊娠",
    "否认怀孕",
    "否认早孕",
    "避孕",
    "绝经",
    "绝育",
    "子宫切除",
    "结扎",
    "妊娠试验阴性",
    "非妊娠",
];

/// Words of a diagnosis that say she has her period now; in the history they say nothing of today.
const PERIOD_NOW: &[&str] = &["痛经", "月经第"];

/// A rule that holds for an item, and the slug or code it holds for.
struct Hit<'a> {
    action: Action,
    subject: &'a str,
    rule: &'a PregnancyRule,
}

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    match case.order.patient.pregnancy {
        Pregnancy::Yes { weeks } => pregnant(case, out, weeks),
        Pregnancy::Unknown
            if may_be_pregnant(case) && !case.says(NOT_PREGNANT) && !has_period(case) =>
        {
            ask(case, out);
        }
        Pregnancy::Unknown | Pregnancy::No => {}
    }
}

fn pregnant(case: &Case<'_>, out: &mut Outcome, week: Option<u8>) {
    let mut causes: Vec<(Hit<'_>, Vec<usize>)> = Vec::new();
    let mut not_known: Vec<usize> = Vec::new();
    for (at, item) in lines(case) {
        let hit = strongest(case, item, |rule| rule.holds(week));
        if hit.as_ref().is_none_or(|h| h.action > Action::NeedsReason) && !judged(case, item, week)
        {
            not_known.push(at);
        }
        let Some(hit) = hit else { continue };
        let same = |cause: &&mut (Hit<'_>, Vec<usize>)| {
            cause.0.rule.origin.id == hit.rule.origin.id
                && cause.0.subject == hit.subject
                && cause.0.action == hit.action
        };
        match causes.iter_mut().find(same) {
            Some((_, items)) => items.push(at),
            None => causes.push((hit, vec![at])),
        }
    }
    for (hit, items) in causes {
        let unsure = week.is_none() && !hit.rule.is_always();
        let unsure = if unsure { "孕周不明，按可能适用提示。" } else { "" };
        let softened = hit.action != hit.rule.action;
        let little = if softened { "（局部用药，吸收较少）" } else { "" };
        let when = week.map(|w| format!("{w}周")).unwrap_or_default();
        let labels = case.labels(&items, None);
        let reason = hit.rule.reason_zh.trim_end_matches('。');
        out.findings.push(case.finding(Draft {
            kind: Kind::Pregnancy,
            action: hit.action,
            severity: severity(hit.action),
            items: &items,
            subjects: vec![hit.subject],
            origin: &hit.rule.origin,
            reason_zh: format!("病人妊娠{when}，{labels}：{reason}{little}。{unsure}"),
            instead_zh: hit.rule.instead_zh.clone(),
            review_code: Some(UNSUITABLE),
        }));
    }
    if !not_known.is_empty() {
        let labels = case.labels(&not_known, None);
        out.unchecked.push(Unchecked {
            lines: case.line_ids(&not_known),
            names: case.names(&not_known),
            what: vec![Kind::Pregnancy],
            reason_zh: format!("{labels}孕期能否用没有资料，不等于安全，请查说明书或问上级医院。"),
            suggestions: Vec::new(),
            on_request: false,
        });
    }
}

fn has_period(case: &Case<'_>) -> bool {
    let diagnoses = case.texts.iter().take(case.diagnosis_count);
    diagnoses
        .into_iter()
        .any(|text| PERIOD_NOW.iter().any(|word| text.contains(word)) && !text.ends_with('史'))
}

/// One notice that names all medicines for which the answer matters.
fn ask(case: &Case<'_>, out: &mut Outcome) {
    let mut items: Vec<usize> = Vec::new();
    let mut subjects: Vec<&str> = Vec::new();
    let mut first: Option<Hit<'_>> = None;
    for (at, item) in lines(case) {
        let Some(hit) = strongest(case, item, |_| true) else { continue };
        if hit.action > Action::NeedsReason {
            continue;
        }
        items.push(at);
        subjects.push(hit.subject);
        if first.as_ref().is_none_or(|f| rank(&hit) < rank(f)) {
            first = Some(hit);
        }
    }
    let Some(hit) = first else { return };
    let labels = case.labels(&items, None);
    if case.order.patient.sex.is_none() {
        out.unchecked.push(Unchecked {
            lines: case.line_ids(&items),
            names: case.names(&items),
            what: vec![Kind::Pregnancy],
            reason_zh: format!("病人性别未填，{labels}孕期禁用或慎用，没有据此核对。"),
            suggestions: Vec::new(),
            on_request: false,
        });
        return;
    }
    let reason = hit.rule.reason_zh.trim_end_matches('。');
    out.findings.push(case.finding(Draft {
        kind: Kind::Pregnancy,
        // What only needs a reason in pregnancy is no cause to interrupt an ordinary visit.
        action: if hit.action == Action::Stop { Action::Notice } else { Action::OnRequest },
        severity: Severity::Moderate,
        items: &items,
        subjects,
        origin: &hit.rule.origin,
        reason_zh: format!("育龄妇女未记是否妊娠，{labels}孕期禁用或慎用：{reason}。"),
        instead_zh: "先问末次月经，必要时查尿妊娠试验，再定是否用。".to_owned(),
        review_code: None,
    }));
}

/// Lines whose medicine is known.
fn lines<'c, 'a>(case: &'c Case<'a>) -> impl Iterator<Item = (usize, &'c Item<'a>)> {
    let items = case.items.iter().enumerate();
    items.filter(|(_, item)| item.is_line() && item.named.len() == 1)
}

/// The rules of an item with what they hold for: its own, then those of its ingredients.
fn rules<'a>(
    case: &Case<'a>,
    item: &Item<'a>,
) -> impl Iterator<Item = (&'a str, &'a PregnancyRule)> {
    let known = case.known;
    let own = item.medicine.into_iter().flat_map(move |m| {
        known.pregnancy.of_medicine(m.id).map(move |rule| (m.code.as_str(), rule))
    });
    let formulary = case.formulary();
    let inside = item.ingredients.iter().flat_map(move |id| {
        let slug = formulary.ingredient(*id).map_or("", |i| i.slug.as_str());
        known.pregnancy.of_ingredient(*id).map(move |rule| (slug, rule))
    });
    own.chain(inside)
}

fn strongest<'a>(
    case: &Case<'a>,
    item: &Item<'a>,
    holds: impl Fn(&PregnancyRule) -> bool,
) -> Option<Hit<'a>> {
    rules(case, item)
        .filter(|(_, rule)| holds(rule) && dose_counts(case, item, rule))
        .map(|(subject, rule)| Hit { action: soften(rule, item), subject, rule })
        .min_by(|a, b| rank(a).cmp(&rank(b)))
}

/// Whether the dose of a day is above what a row begins with, or unknown.
fn dose_counts(case: &Case<'_>, item: &Item<'_>, rule: &PregnancyRule) -> bool {
    let Some(limit) = rule.daily_over else { return true };
    case.usage(item).daily(limit.unit).is_none_or(|daily| daily > limit.value * 1.001)
}

/// Stronger first, then the more specific row, then by name, so that the order of lines does not
/// matter.
fn rank<'h>(hit: &'h Hit<'_>) -> (Action, u8, &'h str, &'h str) {
    let specific = match hit.rule.subject {
        Subject::Medicine(_) => 0,
        Subject::Ingredient(_) => 1,
        Subject::Class(_) => 2,
    };
    (hit.action, specific, &hit.rule.origin.id, hit.subject)
}

/// Whether the tables say something of everything in an item for this week.
fn judged(case: &Case<'_>, item: &Item<'_>, week: Option<u8>) -> bool {
    let rules_of = &case.known.pregnancy;
    if let Some(medicine) = item.medicine {
        let ruled = rules_of.of_medicine(medicine.id).any(|rule| rule.holds(week));
        if rules_of.accepts_medicine(medicine.id) || ruled {
            return true;
        }
        if medicine.herbs_unlisted {
            return false;
        }
    }
    let ingredients = &item.ingredients;
    !ingredients.is_empty()
        && ingredients.iter().all(|id| {
            rules_of.accepts_ingredient(*id)
                || rules_of.of_ingredient(*id).any(|rule| rule.holds(week))
        })
}

/// How strong a rule is for the route of an item.
fn soften(rule: &PregnancyRule, item: &Item<'_>) -> Action {
    match (rule.subject, item.route, rule.action) {
        (Subject::Medicine(_), _, action) => action,
        (_, Some(Route::Ophthalmic | Route::Otic), action) => action.max(Action::Notice),
        (_, Some(Route::Topical), Action::NeedsReason) => Action::Notice,
        (_, _, action) => action,
    }
}

fn severity(action: Action) -> Severity {
    match action {
        Action::Stop => Severity::Contraindicated,
        Action::NeedsReason => Severity::Serious,
        Action::Notice => Severity::Moderate,
        Action::OnRequest => Severity::Minor,
    }
}

fn may_be_pregnant(case: &Case<'_>) -> bool {
    let (from, to) = ASK_AGE_YEARS;
    let patient = &case.order.patient;
    patient.sex != Some(Sex::Male)
        && patient.age_years.is_none_or(|age| age >= from && age < to + 1.0)
}
