//! What speaks against a medicine in this patient: age, sex, breastfeeding, diseases, kidney and
//! liver, missing tests and protection, food and alcohol, routes.
//!
//! One cause is one finding: of the rows about one medicine and one reason (the same disease, the
//! same missing test, the kidney) only the strongest speaks, and a row about a class speaks once
//! for all lines it holds for.

use super::case::{Case, Draft, Item, Outcome};
use super::{MONITORED, ROUTED, UNSUITABLE};
use crate::medicine::prescription::diseases::Coded;
use crate::medicine::prescription::quantity::short;
use crate::medicine::prescription::report::{Kind, Unchecked};
use crate::medicine::prescription::rules::{Caution, CautionKind, Judged};

/// Age from which the elderly rows hold when they name none, in months.
const ELDERLY_M: f64 = 65.0 * 12.0;
/// Age below which a child's dose form and kidney are another matter, in months.
const ADULT_M: f64 = 18.0 * 12.0;

/// A row that holds for an item.
struct Hit<'a> {
    at: usize,
    rule: &'a Caution,
    /// The disease it was met by.
    met: Option<Coded>,
}

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    let mut hits: Vec<Hit<'_>> = Vec::new();
    let mut no_age: Vec<usize> = Vec::new();
    let mut no_egfr: Vec<usize> = Vec::new();
    for (at, item) in case.items.iter().enumerate() {
        if item.named.len() != 1 {
            continue;
        }
        let rules = &case.known.cautions;
        let own = rules.by_subject().of_medicine(item.medicine).iter();
        let inside = item.ingredients.iter().flat_map(|id| rules.by_subject().of_ingredient(*id));
        for rule in own.chain(inside).filter_map(|place| rules.get(*place)) {
            if !item.is_line() && rule.with.is_empty() {
                continue;
            }
            if !rule.routes.may_hold(item.route) || (rule.routes_named && item.route.is_none()) {
                continue;
            }
            if item.is_line() && rule.kind == CautionKind::Age && case.age_m.is_none() {
                no_age.push(at);
            }
            if item.is_line() && rule.egfr_below.is_some() && case.egfr.is_none() {
                no_egfr.push(at);
            }
            let Some(met) = holds(case, at, item, rule) else { continue };
            hits.push(Hit { at, rule, met });
        }
    }
    report(case, out, strongest(hits));
    unknown(case, out, no_age, no_egfr);
    lactation(case, out);
    organ(case, out, Kind::Renal);
    organ(case, out, Kind::Hepatic);
}

/// Whether all conditions of a row hold; `Some` with the disease that met it, where one did.
#[expect(clippy::option_option, reason = "whether it holds, and by which disease")]
fn holds(case: &Case<'_>, at: usize, item: &Item<'_>, rule: &Caution) -> Option<Option<Coded>> {
    let (from, to) = rule.age_m;
    let from =
        from.or_else(|| (rule.kind == CautionKind::Elderly && to.is_none()).then_some(ELDERLY_M));
    if from.is_some() || to.is_some() {
        let age = case.age_m?;
        (from.is_none_or(|from| age >= from) && to.is_none_or(|to| age < to)).then_some(())?;
    }
    if rule.kind == CautionKind::Lactation {
        (case.order.chart.lactating == Some(true)).then_some(())?;
    }
    if let Some(sex) = rule.sex {
        (case.order.patient.sex == Some(sex)).then_some(())?;
    }
    if let Some(limit) = rule.egfr_below {
        (case.egfr? < limit).then_some(())?;
    }
    if let Some(limit) = rule.alt_from {
        (f64::from(case.order.chart.alt_times_uln?) >= limit).then_some(())?;
    }
    if let Some(limit) = rule.daily_over {
        (case.usage(item).daily(limit.unit)? > limit.value * 1.001).then_some(())?;
    }
    if let Some(limit) = rule.days_over {
        (case.usage(item).days? > limit).then_some(())?;
    }
    if !rule.test.is_empty() && case.knows_test(&rule.test) {
        return None;
    }
    if !rule.with.is_empty() {
        let mut partners = rule.with.iter().flat_map(|subject| case.holders(*subject));
        partners.find(|other| {
            let other_is_line = case.item(*other).is_some_and(Item::is_line);
            *other != at && (item.is_line() || other_is_line)
        })?;
    }
    if rule.without.iter().any(|subject| case.holders(*subject).any(|other| other != at)) {
        return None;
    }
    if rule.icd.is_empty() {
        return Some(None);
    }
    case.coded(&rule.icd).map(Some)
}

/// Of several rows about one item and one reason only the strongest.
fn strongest(mut hits: Vec<Hit<'_>>) -> Vec<Hit<'_>> {
    hits.sort_by(|a, b| {
        (a.at, a.rule.action, a.rule.severity, &a.rule.origin.id).cmp(&(
            b.at,
            b.rule.action,
            b.rule.severity,
            &b.rule.origin.id,
        ))
    });
    let mut kept: Vec<Hit<'_>> = Vec::new();
    for hit in hits {
        let same = |other: &Hit<'_>| {
            other.at == hit.at
                && reason(other.rule.kind) == reason(hit.rule.kind)
                && match hit.rule.kind {
                    CautionKind::Disease => other.met.map(|m| m.text) == hit.met.map(|m| m.text),
                    CautionKind::Monitoring => other.rule.test == hit.rule.test,
                    CautionKind::FoodAlcohol | CautionKind::Protective | CautionKind::Route => {
                        other.rule.origin.id == hit.rule.origin.id
                    }
                    CautionKind::Age
                    | CautionKind::Sex
                    | CautionKind::Elderly
                    | CautionKind::Lactation
                    | CautionKind::Renal
                    | CautionKind::Hepatic => true,
                }
        };
        if !kept.iter().any(same) {
            kept.push(hit);
        }
    }
    kept
}

/// Age and old age are one reason.
fn reason(kind: CautionKind) -> Kind {
    match kind {
        CautionKind::Age => Kind::Age,
        CautionKind::Elderly => Kind::Elderly,
        CautionKind::Sex => Kind::Sex,
        CautionKind::Lactation => Kind::Lactation,
        CautionKind::Disease => Kind::Disease,
        CautionKind::Renal => Kind::Renal,
        CautionKind::Hepatic => Kind::Hepatic,
        CautionKind::Monitoring | CautionKind::Protective => Kind::Monitoring,
        CautionKind::FoodAlcohol => Kind::FoodAlcohol,
        CautionKind::Route => Kind::Route,
    }
}

fn report(case: &Case<'_>, out: &mut Outcome, hits: Vec<Hit<'_>>) {
    let mut causes: Vec<(&Caution, Option<Coded>, Vec<usize>)> = Vec::new();
    for hit in hits {
        match causes.iter_mut().find(|(rule, _, _)| rule.origin.id == hit.rule.origin.id) {
            Some((_, _, items)) if items.contains(&hit.at) => {}
            Some((_, _, items)) => items.push(hit.at),
            None => causes.push((hit.rule, hit.met, vec![hit.at])),
        }
    }
    for (rule, met, mut items) in causes {
        let own = items.clone();
        // The partners belong to the finding: without them it would not be one.
        for subject in &rule.with {
            items.extend(case.holders(*subject).filter(|at| !own.contains(at)));
        }
        items.sort_unstable();
        items.dedup();
        let subjects = items
            .iter()
            .filter_map(|at| case.item(*at))
            .map(|item| case.subject_name(item))
            .collect();
        let context = context(case, rule, met);
        out.findings.push(case.finding(Draft {
            kind: reason(rule.kind),
            action: rule.action,
            severity: rule.severity,
            items: &items,
            subjects,
            origin: &rule.origin,
            reason_zh: format!(
                "{context}{}：{}。",
                case.labels(&own, None),
                rule.reason_zh.trim_end_matches('。')
            ),
            instead_zh: if rule.instead_zh.is_empty() {
                "核对后再定；拿不准的，问药师或上级医院。".to_owned()
            } else {
                rule.instead_zh.clone()
            },
            review_code: Some(match rule.kind {
                CautionKind::Route => ROUTED,
                CautionKind::Monitoring | CautionKind::Protective | CautionKind::FoodAlcohol => {
                    MONITORED
                }
                CautionKind::Age
                | CautionKind::Sex
                | CautionKind::Elderly
                | CautionKind::Lactation
                | CautionKind::Disease
                | CautionKind::Renal
                | CautionKind::Hepatic => UNSUITABLE,
            }),
        }));
    }
}

/// What of the patient met the row, as a beginning of the sentence.
fn context(case: &Case<'_>, rule: &Caution, met: Option<Coded>) -> String {
    if let Some(met) = met {
        return format!("病人有“{}”，", case.disease_text(met.text));
    }
    match rule.kind {
        CautionKind::Age | CautionKind::Elderly => {
            case.age_m.map(|age| format!("病人{}，", age_zh(age))).unwrap_or_default()
        }
        CautionKind::Lactation => "病人在哺乳，".to_owned(),
        CautionKind::Renal => case
            .egfr
            .filter(|_| rule.egfr_below.is_some())
            .map(|egfr| format!("病人肾小球滤过率{}，", short(egfr.round())))
            .unwrap_or_default(),
        CautionKind::Hepatic => case
            .order
            .chart
            .alt_times_uln
            .filter(|_| rule.alt_from.is_some())
            .map(|alt| format!("病人转氨酶为上限的{}倍，", short(f64::from(alt))))
            .unwrap_or_default(),
        CautionKind::Sex
        | CautionKind::Disease
        | CautionKind::Monitoring
        | CautionKind::Protective
        | CautionKind::FoodAlcohol
        | CautionKind::Route => String::new(),
    }
}

/// An age as people say it: days, months, years.
pub(super) fn age_zh(months: f64) -> String {
    if months < 1.0 {
        format!("{}天", short((months * 30.4).floor()))
    } else if months < 36.0 {
        format!("{}个月", short((months + 1e-6).floor()))
    } else {
        format!("{}岁", short((months / 12.0 + 1e-6).floor()))
    }
}

/// What was not said although a rule asks for it.
fn unknown(case: &Case<'_>, out: &mut Outcome, no_age: Vec<usize>, no_egfr: Vec<usize>) {
    let mut push = |mut items: Vec<usize>, what: Kind, reason: &str, on_request: bool| {
        items.dedup();
        if !items.is_empty() {
            out.unchecked.push(Unchecked {
                lines: case.line_ids(&items),
                names: case.names(&items),
                what: vec![what],
                reason_zh: format!("{}{reason}", case.labels(&items, None)),
                suggestions: Vec::new(),
                on_request,
            });
        }
    };
    push(no_age, Kind::Age, "有年龄限制，没有填年龄，没有核对。", false);
    let kidney = case.known.lists.state("kidney_disease");
    let matters = case.age_m.is_some_and(|age| age >= ELDERLY_M) || case.coded(kidney).is_some();
    let child = case.age_m.is_some_and(|age| age < ADULT_M);
    if !child || case.coded(kidney).is_some() {
        let reason = "须按肾功能调整，没有肌酐或肾小球滤过率，没有核对。";
        push(no_egfr, Kind::Renal, reason, !matters || case.coded(kidney).is_none());
    }
}

/// A patient with a sick kidney or liver: what neither a row nor the list of those that need no
/// adjustment speaks of is unknown.
fn organ(case: &Case<'_>, out: &mut Outcome, kind: Kind) {
    let (state, of, fine, name) = if kind == Kind::Renal {
        ("kidney_disease", CautionKind::Renal, &case.known.lists.renal_ok, "肾功能不全")
    } else {
        ("liver_disease", CautionKind::Hepatic, &case.known.lists.hepatic_ok, "肝功能不全")
    };
    if case.coded(case.known.lists.state(state)).is_none() {
        return;
    }
    let unknown: Vec<usize> = case
        .known_lines()
        .filter(|(_, item)| !item.is_local() && !spoken_of(case, item, of, fine))
        .map(|(at, _)| at)
        .collect();
    if !unknown.is_empty() {
        out.unchecked.push(Unchecked {
            lines: case.line_ids(&unknown),
            names: case.names(&unknown),
            what: vec![kind],
            reason_zh: format!(
                "{}在{name}时怎样用没有资料，没有核对。",
                case.labels(&unknown, None)
            ),
            suggestions: Vec::new(),
            on_request: true,
        });
    }
}

/// Breastfeeding: what neither a row nor the list of the compatible speaks of is unknown.
fn lactation(case: &Case<'_>, out: &mut Outcome) {
    if case.order.chart.lactating != Some(true) {
        return;
    }
    let fine = &case.known.lists.lactation_ok;
    let unknown: Vec<usize> = case
        .known_lines()
        .filter(|(_, item)| {
            !item.is_local() && !spoken_of(case, item, CautionKind::Lactation, fine)
        })
        .map(|(at, _)| at)
        .collect();
    if !unknown.is_empty() {
        let labels = case.labels(&unknown, None);
        out.unchecked.push(Unchecked {
            lines: case.line_ids(&unknown),
            names: case.names(&unknown),
            what: vec![Kind::Lactation],
            reason_zh: format!(
                "{labels}哺乳期能否用没有资料，不等于安全，请查说明书或问上级医院。"
            ),
            suggestions: Vec::new(),
            on_request: false,
        });
    }
}

/// Whether the tables speak of everything in an item under one kind: by a row, or by the list of
/// what is fine.
fn spoken_of(case: &Case<'_>, item: &Item<'_>, kind: CautionKind, fine: &Judged) -> bool {
    let rules = &case.known.cautions;
    let speaks =
        |places: &[u16]| places.iter().filter_map(|at| rules.get(*at)).any(|r| r.kind == kind);
    if fine.medicine(item.medicine) || speaks(rules.by_subject().of_medicine(item.medicine)) {
        return true;
    }
    !item.medicine.is_some_and(|m| m.herbs_unlisted)
        && !item.ingredients.is_empty()
        && item
            .ingredients
            .iter()
            .all(|id| fine.ingredient(*id) || speaks(rules.by_subject().of_ingredient(*id)))
}
