//! One dose, the dose of a day, how often and how long, against the rows for this route, age,
//! weight and diagnosis.
//!
//! Of several rows that fit, the one that finds least wrong counts: a check must not stop what
//! one labelled use allows. A dose of children by weight is only as good as the weight: it is
//! asked for, and compared with what a child of that age can weigh.

use super::DOSED;
use super::case::{Case, Draft, Item, Outcome};
use super::caution::age_zh;
use crate::medicine::prescription::formulary::IngredientId;
use crate::medicine::prescription::order::Line;
use crate::medicine::prescription::quantity::{Quantity, Unit, short};
use crate::medicine::prescription::report::{Action, Kind, Severity, Unchecked};
use crate::medicine::prescription::route::Route;
use crate::medicine::prescription::rules::{Dosing, WeightForAge};
use crate::medicine::prescription::usage::Usage;

/// How far above the largest labelled dose a dose may lie before it is said, asked about and
/// stopped. A little over is rounding to a tablet or a bottle.
const SAID: f64 = 1.1;
const ASKED: f64 = 1.4;
const STOPPED: f64 = 3.0;
/// Below this share of the smallest dose the decimal point is in doubt.
const TOO_SMALL: f64 = 0.34;
/// A course this many times longer than is usual needs a reason.
const COURSE_ASKED: f64 = 2.0;
/// Doses a day at or below which a medicine is given by the week.
const WEEKLY: f64 = 0.2;
/// Days of an ordinary long prescription.
const LONG_DAYS: f64 = 31.0;
/// Youngest adult, in months.
const ADULT_M: f64 = 18.0 * 12.0;

/// What a row says of one quantity.
#[derive(Debug, Clone, Copy)]
struct Verdict<'a> {
    row: &'a Dosing,
    /// Value and limit in the row's unit.
    value: f64,
    limit: f64,
}

/// What the rows need and the order does not say.
#[derive(Default)]
struct Missing {
    weight: Vec<usize>,
    age_rows: Vec<usize>,
    dose: Vec<usize>,
    unit: Vec<usize>,
    rows: Vec<usize>,
}

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    let mut missing = Missing::default();
    let mut by_weight: Vec<usize> = Vec::new();
    for (at, item) in case.known_lines() {
        let all = rows(case, item);
        if all.is_empty() {
            missing.rows.push(at);
            continue;
        }
        let fitting = fitting(case, &all);
        if fitting.is_empty() {
            missing.age_rows.push(at);
            continue;
        }
        if fitting.iter().any(|row| row.per_kg) {
            by_weight.push(at);
            if case.weight_kg.is_none() && fitting.iter().all(|row| row.per_kg) {
                missing.weight.push(at);
            }
        }
        let usage = case.usage(item);
        if usage.unit_unknown && !item.is_local() {
            missing.unit.push(at);
        } else if usage.dose.is_none() && !item.is_local() {
            missing.dose.push(at);
        }
        line(case, out, (at, item), usage, &fitting);
    }
    implausible(case, out, &by_weight);
    report_missing(case, out, &missing);
}

/// All rows about an item: its own, else those of its one ingredient.
fn rows<'a>(case: &Case<'a>, item: &Item<'a>) -> Vec<&'a Dosing> {
    let known = &case.known.dosings;
    let own = known.by_subject().of_medicine(item.medicine);
    let places = match (own, item.ingredients) {
        ([], [one]) => known.by_subject().of_ingredient(*one),
        (own, _) => own,
    };
    let mut rows: Vec<&Dosing> = places.iter().filter_map(|at| known.get(*at)).collect();
    rows.retain(|row| row.routes.may_hold(item.route));
    rows
}

/// The rows for this age, weight and diagnosis. A row for a diagnosis the patient has displaces
/// the general ones; one for another diagnosis does not count beside general rows.
fn fitting<'a>(case: &Case<'a>, all: &[&'a Dosing]) -> Vec<&'a Dosing> {
    let of_age = all.iter().filter(|row| match case.age_m {
        Some(age) => row.age_m.holds(age),
        None => row.age_m.max.is_none() && !row.per_kg,
    });
    let mut rows: Vec<&Dosing> = of_age
        .filter(|row| case.weight_kg.is_none_or(|kg| row.weight_kg.holds(kg)))
        .copied()
        .collect();
    let special = rows.iter().any(|row| !row.icd.is_empty() && case.coded(&row.icd).is_some());
    let general = rows.iter().any(|row| row.icd.is_empty());
    if special {
        // What the general row allows stays allowed for other diagnoses of the same patient only
        // when nothing more special speaks.
        rows.retain(|row| !row.icd.is_empty() && case.coded(&row.icd).is_some());
    } else if general {
        rows.retain(|row| row.icd.is_empty());
    }
    rows
}

fn line(
    case: &Case<'_>,
    out: &mut Outcome,
    (at, item): (usize, &Item<'_>),
    usage: &Usage,
    rows: &[&Dosing],
) {
    let single = least(rows, |row| {
        Some((usage.single(row.unit)?, ceiling(case, row, row.single.max, row.single_cap)?))
    });
    let daily = least(rows, |row| {
        let most = row.daily.max.or_else(|| Some(row.single.max? * row.frequency.max?));
        let cap = row.daily_cap.or_else(|| Some(row.single_cap? * row.frequency.max?));
        Some((usage.daily(row.unit)?, ceiling(case, row, most, cap)?))
    });
    if every_day_instead_of_weekly(usage, rows) {
        how_often(case, out, (at, item), usage, rows);
        return;
    }
    // What runs for hours is the amount of a day and no single dose.
    let single = single.filter(|v| v.ratio() > SAID && !runs_on(case, item));
    let daily = daily.filter(|v| v.ratio() > SAID);
    // One cause is one finding: the day's dose speaks where it asks for more than the single one.
    match (single, daily) {
        (Some(single), Some(daily)) if weigh(daily.ratio()) < weigh(single.ratio()) => {
            too_much(case, out, (at, item), Kind::DailyDose, daily);
        }
        (Some(single), _) => too_much(case, out, (at, item), Kind::SingleDose, single),
        (None, Some(daily)) => too_much(case, out, (at, item), Kind::DailyDose, daily),
        (None, None) => {}
    }
    if single.is_none() && daily.is_none() {
        too_little(case, out, (at, item), usage, rows);
        how_often(case, out, (at, item), usage, rows);
    }
    how_long(case, out, (at, item), usage, rows);
}

/// Whether a line is said to go on into a vein: 维持, 泵入, 持续.
fn runs_on(case: &Case<'_>, item: &Item<'_>) -> bool {
    let says = |line: &Line| {
        let texts = [&line.route, &line.frequency];
        texts.iter().any(|text| ["维持", "泵", "持续"].iter().any(|word| text.contains(word)))
    };
    item.route == Some(Route::Iv) && case.line(item).is_some_and(says)
}

impl Verdict<'_> {
    fn ratio(&self) -> f64 {
        self.value / self.limit
    }
}

/// What so many times the largest dose asks for.
fn weigh(ratio: f64) -> (Action, Severity) {
    if ratio >= STOPPED {
        (Action::Stop, Severity::Contraindicated)
    } else if ratio > ASKED {
        (Action::NeedsReason, Severity::Serious)
    } else {
        (Action::Notice, Severity::Moderate)
    }
}

/// The verdict of the row that allows most.
fn least<'a>(
    rows: &[&'a Dosing],
    compare: impl Fn(&Dosing) -> Option<(f64, f64)>,
) -> Option<Verdict<'a>> {
    let verdicts = rows.iter().filter_map(|row| {
        let (value, limit) = compare(row)?;
        (limit > 0.0).then_some(Verdict { row, value, limit })
    });
    verdicts.min_by(|a, b| a.ratio().total_cmp(&b.ratio()))
}

/// The most a row allows this patient. Without a weight the heaviest child of the age counts, so
/// that a slip of the decimal point is still seen.
fn ceiling(case: &Case<'_>, row: &Dosing, most: Option<f64>, cap: Option<f64>) -> Option<f64> {
    if !row.per_kg {
        return most;
    }
    let kg = match case.weight_kg {
        Some(kg) => kg,
        None => match case.age_m {
            Some(age) if age < ADULT_M => weight(case, age)?.kg.1,
            Some(_) => return cap,
            None => return None,
        },
    };
    let by_weight = most.map(|most| most * kg);
    match (by_weight, cap) {
        (Some(by_weight), Some(cap)) => Some(by_weight.min(cap)),
        (by_weight, cap) => by_weight.or(cap),
    }
}

fn too_much(
    case: &Case<'_>,
    out: &mut Outcome,
    (at, item): (usize, &Item<'_>),
    kind: Kind,
    verdict: Verdict<'_>,
) {
    let ratio = verdict.ratio();
    let (action, severity) = weigh(ratio);
    let unit = verdict.row.unit;
    let show = |value: f64| Quantity { value, unit }.show();
    let what = if kind == Kind::SingleDose { "一次" } else { "一日" };
    let whom = who(case, verdict.row);
    let slip = if ratio >= 8.0 { "，像是小数点或单位写错" } else { "" };
    let note = note(verdict.row);
    out.findings.push(case.finding(Draft {
        kind,
        action,
        severity,
        items: &[at],
        subjects: vec![case.subject_name(item)],
        origin: &verdict.row.origin,
        reason_zh: format!(
            "{}{what}{}，{whom}最多{}，为其{}倍{slip}{note}。",
            case.labels(&[at], None),
            show(verdict.value),
            show(verdict.limit),
            short((ratio * 10.0).round() / 10.0),
        ),
        instead_zh: instead(case, kind, verdict.row),
        review_code: Some(DOSED),
    }));
}

/// For whom the row is: `成人`, or the child's age and weight.
fn who(case: &Case<'_>, row: &Dosing) -> String {
    match (case.age_m, case.weight_kg) {
        (Some(age), Some(kg)) if row.per_kg => format!("{}、{}kg者", age_zh(age), short(kg)),
        (Some(age), _) if age < ADULT_M => format!("{}者", age_zh(age)),
        _ => "成人".to_owned(),
    }
}

fn note(row: &Dosing) -> String {
    if row.note_zh.is_empty() {
        String::new()
    } else {
        format!("（{}）", row.note_zh.trim_end_matches('。'))
    }
}

/// The range that would be right, from the row.
fn instead(case: &Case<'_>, kind: Kind, row: &Dosing) -> String {
    let (span, cap, per) = if kind == Kind::SingleDose {
        (row.single, row.single_cap, "一次")
    } else {
        (row.daily, row.daily_cap, "一日")
    };
    let factor = match (row.per_kg, case.weight_kg) {
        (true, Some(kg)) => kg,
        (true, None) => return "先称体重，再按体重计算剂量。".to_owned(),
        (false, _) => 1.0,
    };
    let bound = |value: f64| {
        let value = value * factor;
        Quantity { value: cap.map_or(value, |cap| value.min(cap)), unit: row.unit }.show()
    };
    match (span.min, span.max) {
        (Some(min), Some(max)) if min < max => {
            format!("核对后改为{per}{}至{}。", bound(min), bound(max))
        }
        (_, Some(max)) => format!("核对后改为{per}不超过{}。", bound(max)),
        (_, None) => "按说明书核对用量。".to_owned(),
    }
}

/// A dose far below the smallest: the decimal point, not the thrift, is in doubt.
fn too_little(
    case: &Case<'_>,
    out: &mut Outcome,
    (at, item): (usize, &Item<'_>),
    usage: &Usage,
    rows: &[&Dosing],
) {
    if item.is_local() || usage.frequency.is_some_and(|f| f.as_needed) {
        return;
    }
    let smallest = rows.iter().filter_map(|row| {
        let factor = if row.per_kg { case.weight_kg? } else { 1.0 };
        let limit = row.single.min? * factor;
        let limit = row.single_cap.map_or(limit, |cap| limit.min(cap));
        Some(Verdict { row, value: usage.single(row.unit)?, limit })
    });
    let verdict = smallest.max_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    let Some(verdict) = verdict.filter(|v| v.ratio() < TOO_SMALL) else { return };
    let show = |value: f64| Quantity { value, unit: verdict.row.unit }.show();
    out.findings.push(case.finding(Draft {
        kind: Kind::SingleDose,
        action: Action::Notice,
        severity: Severity::Moderate,
        items: &[at],
        subjects: vec![case.subject_name(item)],
        origin: &verdict.row.origin,
        reason_zh: format!(
            "{}一次{}，{}至少{}，只有其{}%，像是小数点或单位写错。",
            case.labels(&[at], None),
            show(verdict.value),
            who(case, verdict.row),
            show(verdict.limit),
            short((verdict.ratio() * 100.0).round()),
        ),
        instead_zh: instead(case, Kind::SingleDose, verdict.row),
        review_code: Some(DOSED),
    }));
}

/// A weekly medicine written for every day: no other word is needed.
fn every_day_instead_of_weekly(usage: &Usage, rows: &[&Dosing]) -> bool {
    let most = rows.iter().filter_map(|row| row.frequency.max).reduce(f64::max);
    most.is_some_and(|most| most <= WEEKLY) && usage.per_day().is_some_and(|n| n >= 1.0)
}

fn how_often(
    case: &Case<'_>,
    out: &mut Outcome,
    (at, item): (usize, &Item<'_>),
    usage: &Usage,
    rows: &[&Dosing],
) {
    let Some(per_day) = usage.per_day() else { return };
    let Some(most) = rows.iter().filter_map(|row| row.frequency.max).reduce(f64::max) else {
        return;
    };
    let few = rows.iter().filter_map(|row| row.frequency.min).reduce(f64::min);
    let Some(row) = rows.first() else { return };
    let weekly = most <= WEEKLY;
    let (action, severity, limit) = if weekly && per_day >= 1.0 {
        (Action::Stop, Severity::Contraindicated, most)
    } else if weekly && per_day > most * SAID {
        (Action::NeedsReason, Severity::Serious, most)
    } else if per_day > most * SAID && per_day >= most + 0.9 {
        (Action::Notice, Severity::Moderate, most)
    } else if few.is_some_and(|few| per_day < few * 0.6 && !item.is_local()) {
        (Action::Notice, Severity::Minor, few.unwrap_or(most))
    } else {
        return;
    };
    let many = per_day > limit;
    let side = if many { "最多" } else { "至少" };
    let wrong = if many { "给药过勤" } else { "给药间隔过长，难以维持疗效" };
    out.findings.push(case.finding(Draft {
        kind: Kind::Frequency,
        action,
        severity,
        items: &[at],
        subjects: vec![case.subject_name(item)],
        origin: &row.origin,
        reason_zh: format!(
            "{}写为{}，通常{side}{}，{wrong}{}。",
            case.labels(&[at], None),
            times_zh(per_day),
            times_zh(limit),
            note(row),
        ),
        instead_zh: format!("按{}给药；确需不同的，写明理由。", times_zh(limit)),
        review_code: Some(DOSED),
    }));
}

/// `每日3次`, `每周1次`, `每月1次`.
fn times_zh(per_day: f64) -> String {
    if per_day >= 1.0 {
        format!("每日{}次", short((per_day * 10.0).round() / 10.0))
    } else if per_day >= 0.3 {
        format!("每{}日1次", short((10.0 / per_day).round() / 10.0))
    } else if per_day >= 0.1 {
        format!("每周{}次", short((per_day * 7.0).round().max(1.0)))
    } else {
        format!("每{}日1次", short((1.0 / per_day).round()))
    }
}

fn how_long(
    case: &Case<'_>,
    out: &mut Outcome,
    (at, item): (usize, &Item<'_>),
    usage: &Usage,
    rows: &[&Dosing],
) {
    let Some(days) = usage.days else { return };
    // A long prescription of what the chronic disease is treated with is the rule.
    if days <= LONG_DAYS && case.treats_long_term(item) {
        return;
    }
    // A row without a limit allows any course.
    if rows.iter().any(|row| row.days_max.is_none()) {
        return;
    }
    let longest = rows.iter().filter_map(|row| Some((row.days_max?, row)));
    let Some((most, row)) = longest.max_by(|a, b| a.0.total_cmp(&b.0)) else { return };
    if days <= most * 1.001 || (days < 2.0 && most >= 1.0) {
        return;
    }
    let far = days >= most * COURSE_ASKED && days - most >= 3.0;
    let (action, severity) = if far {
        (Action::NeedsReason, Severity::Moderate)
    } else {
        (Action::Notice, Severity::Minor)
    };
    out.findings.push(case.finding(Draft {
        kind: Kind::Duration,
        action,
        severity,
        items: &[at],
        subjects: vec![case.subject_name(item)],
        origin: &row.origin,
        reason_zh: format!(
            "{}开了{}天，一般不超过{}天{}。",
            case.labels(&[at], None),
            short(days),
            short(most),
            note(row),
        ),
        instead_zh: "缩短疗程，复诊再定；确需更长的，写明理由。".to_owned(),
        review_code: Some(DOSED),
    }));
}

/// The largest daily dose of an ingredient by mouth for this patient, in milligrams.
pub(super) fn daily_max(case: &Case<'_>, ingredient: IngredientId) -> Option<f64> {
    let known = &case.known.dosings;
    let rows = known.by_subject().of_ingredient(ingredient).iter().filter_map(|at| known.get(*at));
    let fitting = rows.filter(|row| {
        row.unit == Unit::Mg
            && row.routes.may_hold(Some(Route::Oral))
            && case.age_m.map_or(row.age_m.max.is_none(), |age| row.age_m.holds(age))
    });
    fitting
        .filter_map(|row| {
            let most = row.daily.max.or_else(|| Some(row.single.max? * row.frequency.max?));
            ceiling(case, row, most, row.daily_cap)
        })
        .reduce(f64::max)
}

/// The row of weights for an age; between two ages the younger one, whose upper bound is lower,
/// gives way to the older.
fn weight<'a>(case: &Case<'a>, age_m: f64) -> Option<&'a WeightForAge> {
    let sex = case.order.patient.sex;
    let rows = case
        .known
        .lists
        .weights
        .iter()
        .filter(|row| row.sex.is_none() || sex.is_none() || row.sex == sex);
    let older = rows.filter(|row| row.age_m >= age_m.floor());
    older.min_by(|a, b| a.age_m.total_cmp(&b.age_m).then(b.kg.1.total_cmp(&a.kg.1)))
}

/// A weight that no child of this age has makes every dose by weight wrong.
fn implausible(case: &Case<'_>, out: &mut Outcome, items: &[usize]) {
    let (Some(age), Some(kg)) = (case.age_m, case.weight_kg) else { return };
    if age >= ADULT_M {
        return;
    }
    let Some(row) = weight(case, age) else { return };
    let younger = case.known.lists.weights.iter().filter(|r| r.age_m <= age);
    let low = younger.max_by(|a, b| a.age_m.total_cmp(&b.age_m)).map_or(row.kg.0, |r| r.kg.0);
    if (low..=row.kg.1).contains(&kg) {
        return;
    }
    let all: Vec<usize> = case.known_lines().map(|(at, _)| at).collect();
    let items = if items.is_empty() { &all } else { items };
    if items.is_empty() {
        return;
    }
    out.findings.push(case.finding(Draft {
        kind: Kind::SingleDose,
        action: Action::NeedsReason,
        severity: Severity::Serious,
        items,
        subjects: vec!["weight"],
        origin: &row.origin,
        reason_zh: format!(
            "{}体重写为{}kg，同龄儿一般{}至{}kg（中位{}kg），按体重算的剂量不可信。",
            age_zh(age),
            short(kg),
            short(low),
            short(row.kg.1),
            short(row.median_kg),
        ),
        instead_zh: "重新称体重、核对单位（斤或公斤）和年龄，再算剂量。".to_owned(),
        review_code: Some(DOSED),
    }));
}

fn report_missing(case: &Case<'_>, out: &mut Outcome, missing: &Missing) {
    let child = case.age_m.is_some_and(|age| age < ADULT_M);
    let doses = [Kind::SingleDose, Kind::DailyDose];
    for (items, reason, on_request) in [
        (&missing.weight, "按体重给药，没有填体重，剂量没有核对；请称体重。", false),
        (&missing.age_rows, "没有这个年龄的剂量资料，剂量没有核对。", !child),
        (
            &missing.unit,
            "的剂量单位认不出（写g、mg、μg、单位、ml、片、粒、袋、支等），剂量没有核对。",
            false,
        ),
        (&missing.dose, "没有写剂量，剂量没有核对。", true),
        (&missing.rows, "没有这种用法的剂量资料，剂量没有核对。", !child),
    ] {
        if !items.is_empty() {
            out.unchecked.push(Unchecked {
                lines: case.line_ids(items),
                names: case.names(items),
                what: doses.to_vec(),
                reason_zh: format!("{}{reason}", case.labels(items, None)),
                suggestions: Vec::new(),
                on_request,
            });
        }
    }
}
