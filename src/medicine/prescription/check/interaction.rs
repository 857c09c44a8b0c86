//! Two ingredients that may not meet, between lines and between lines and current medicines.

use super::INTERACTING;
use super::case::{Case, Draft, Item, Outcome};
use crate::medicine::prescription::formulary::IngredientId;
use crate::medicine::prescription::order::Setting;
use crate::medicine::prescription::report::{Action, Kind, Severity};
use crate::medicine::prescription::route::Route;
use crate::medicine::prescription::rules::{Condition, Grade, InteractionRule};
use crate::tables::text::fold;

/// Words of a diagnosis that mean heart failure.
const HEART_FAILURE: &[&str] = &["心力衰竭", "心衰", "心功能不全", "心功能"];
/// Words of a diagnosis that can call for two antiplatelet medicines.
const TWO_ANTIPLATELETS: &[&str] =
    &["支架", "pci", "冠脉", "冠状动脉", "心肌梗", "心梗", "脑梗", "脑缺血", "卒中"];
/// Forms of a product that hold no alcohol though another form of it does.
const WITHOUT_ALCOHOL: &[&str] = &["口服液", "胶囊", "颗粒", "丸", "片"];
/// Written words that name a form with alcohol.
const WITH_ALCOHOL: &[&str] = &["水", "酊", "酒"];

/// Age of the old, in months; filtration of a weak kidney, mL/min/1.73 m²; days of a week.
const OLD_M: f64 = 65.0 * 12.0;
const WEAK_KIDNEY: f64 = 60.0;
const WEEK: f64 = 7.0;

/// How far a rule goes in one case, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    action: Action,
    severity: Severity,
}

const STOP: Weight = Weight { action: Action::Stop, severity: Severity::Contraindicated };
const REASON: Weight = Weight { action: Action::NeedsReason, severity: Severity::Serious };
const NOTICE: Weight = Weight { action: Action::Notice, severity: Severity::Moderate };
const ON_REQUEST: Weight = Weight { action: Action::OnRequest, severity: Severity::Minor };

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    for (at, (x, with_x)) in case.uses.iter().enumerate() {
        for (y, with_y) in case.uses.iter().skip(at + 1) {
            pair(case, out, (*x, with_x), (*y, with_y));
        }
    }
}

/// At most one finding for two ingredients: the strongest rule that holds between any two items.
fn pair(
    case: &Case<'_>,
    out: &mut Outcome,
    (x, with_x): (IngredientId, &[usize]),
    (y, with_y): (IngredientId, &[usize]),
) {
    let mut best: Option<(Weight, &InteractionRule)> = None;
    for rule in case.known.interactions.of(x, y) {
        for (i, j) in meetings(case, (x, with_x), (y, with_y)) {
            let Some(weight) = weigh(case, rule, i.1, j.1) else { continue };
            if best.is_none_or(|(strongest, _)| weight < strongest) {
                best = Some((weight, rule));
            }
        }
    }
    let Some((weight, rule)) = best else { return };
    let mut items: Vec<usize> = meetings(case, (x, with_x), (y, with_y))
        .filter(|(i, j)| weigh(case, rule, i.1, j.1).is_some())
        .flat_map(|(i, j)| [i.0, j.0])
        .collect();
    items.sort_unstable();
    items.dedup();
    let side = |id: IngredientId| {
        let holders = items.iter().copied().filter(|at| case.item(*at).is_some_and(|i| i.has(id)));
        case.labels(&holders.collect::<Vec<_>>(), Some(id))
    };
    let any_local = items.iter().filter_map(|at| case.item(*at)).any(Item::is_local);
    let little = if any_local && weight > STOP { "（局部用药，吸收较少）" } else { "" };
    out.findings.push(case.finding(Draft {
        kind: Kind::Interaction,
        action: weight.action,
        severity: weight.severity,
        items: &items,
        subjects: vec![case.slug(x), case.slug(y)],
        origin: &rule.origin,
        reason_zh: format!(
            "{}与{}：{}{little}。",
            side(x),
            side(y),
            rule.effect_zh.trim_end_matches('。')
        ),
        instead_zh: rule.management_zh.clone(),
        review_code: Some(INTERACTING),
    }));
}

/// Two different items, one with each ingredient. A product that holds both is a fixed
/// combination, made on purpose; it meets neither itself nor a single ingredient of its own.
fn meetings<'c, 'a>(
    case: &'c Case<'a>,
    (x, with_x): (IngredientId, &'c [usize]),
    (y, with_y): (IngredientId, &'c [usize]),
) -> impl Iterator<Item = ((usize, &'c Item<'a>), (usize, &'c Item<'a>))> {
    let only = move |places: &'c [usize], other: IngredientId| {
        let items = places.iter().filter_map(|at| Some((*at, case.item(*at)?)));
        items.filter(move |(_, item)| !item.has(other))
    };
    only(with_x, y).flat_map(move |i| only(with_y, x).map(move |j| (i, j)))
}

/// How far a rule goes between two items; `None` where it is known not to hold.
fn weigh(case: &Case<'_>, rule: &InteractionRule, i: &Item<'_>, j: &Item<'_>) -> Option<Weight> {
    let (by_grade, lower) = match rule.grade {
        Grade::Contraindicated => (STOP, REASON),
        Grade::Avoid => (REASON, NOTICE),
        Grade::Precaution => (NOTICE, ON_REQUEST),
        Grade::Consider => (ON_REQUEST, ON_REQUEST),
    };
    let full =
        rule.action.map_or(by_grade, |action| Weight { action, severity: by_grade.severity });
    let lower = lower.max(full);
    let weight = match rule.condition {
        None | Some(Condition::SystemicOnly | Condition::AnticoagulantBleeding) => full,
        Some(Condition::SameRouteIv) => (i.may_be_iv() && j.may_be_iv()).then_some(full)?,
        Some(Condition::IvCalcium) => calcium_is_iv(case, i, j).then_some(full)?,
        Some(Condition::DoseHigh | Condition::TreatmentDose) => lower,
        Some(Condition::AlcoholInTincture) => {
            if alcohol(case, i, j)? {
                full
            } else {
                lower
            }
        }
        Some(Condition::HeartFailure) => {
            if case.says(HEART_FAILURE) {
                full
            } else {
                NOTICE.max(full)
            }
        }
        Some(Condition::NotEmergency) => match case.order.setting {
            Setting::Outpatient => full,
            Setting::Emergency => ON_REQUEST,
        },
        Some(Condition::NoDualAntiplateletIndication) => {
            match (case.says(TWO_ANTIPLATELETS), case.order.diagnoses.is_empty()) {
                (true, _) => ON_REQUEST,
                (false, true) => lower,
                (false, false) => full,
            }
        }
        Some(Condition::AdditiveSedation) => NOTICE.max(full),
        Some(Condition::OralBoth) => {
            let swallowed = |item: &Item<'_>| item.route.is_none_or(|r| r == Route::Oral);
            (swallowed(i) && swallowed(j)).then_some(())?;
            if case.times_of_day(i).apart(case.times_of_day(j)) { ON_REQUEST } else { full }
        }
        Some(Condition::PotassiumUnknown) => {
            if case.knows_test("potassium") {
                ON_REQUEST.max(full)
            } else {
                full
            }
        }
        Some(condition @ (Condition::Age65 | Condition::Age65NoHeartFailure)) => {
            // What quiets an alert must be a disease the patient has, not a word (心功能正常).
            let failure = case.known.lists.state("heart_failure");
            let called_for =
                condition == Condition::Age65NoHeartFailure && case.coded(failure).is_some();
            let old = case.age_m.is_some_and(|age| age >= OLD_M);
            if old && !called_for { full } else { ON_REQUEST }
        }
        Some(Condition::Kidney) => {
            let weak = case.egfr.is_some_and(|egfr| egfr < WEAK_KIDNEY);
            let weak = weak || case.coded(case.known.lists.state("kidney_disease")).is_some();
            if weak { full } else { ON_REQUEST }
        }
        Some(Condition::LongTerm) => {
            let long = |item: &Item<'_>| {
                !item.is_line() || case.usage(item).days.is_none_or(|days| days > WEEK)
            };
            if long(i) && long(j) { full } else { ON_REQUEST }
        }
    };
    // What two current medicines do to each other is no matter of this prescription, unless it
    // would have been stopped or asked about.
    let both_current = !i.is_line() && !j.is_line();
    if both_current && weight.action > Action::NeedsReason {
        return None;
    }
    let local = [i, j].into_iter().find(|item| item.is_local());
    Some(match (rule.condition, local) {
        _ if both_current => ON_REQUEST,
        (Some(Condition::SystemicOnly | Condition::PotassiumUnknown), _)
            if i.acts_apart() || j.acts_apart() =>
        {
            ON_REQUEST
        }
        (Some(_), Some(_)) => ON_REQUEST,
        // Without a condition the table means every route. A rule that names the substance means
        // it (miconazole and warfarin); a class may hold an eye drop by the way.
        (None, Some(item)) if rule.names_one_of(item.ingredients) => weight.max(lower),
        (None, Some(_)) => weight.max(NOTICE),
        (_, None) => weight,
    })
}

/// Only calcium into the vein counts, whichever side it is on.
fn calcium_is_iv(case: &Case<'_>, i: &Item<'_>, j: &Item<'_>) -> bool {
    let class = case.formulary().subject("class:calcium_injectable");
    let calcium = class.map(|class| case.formulary().members(class)).unwrap_or_default();
    [i, j]
        .iter()
        .filter(|item| item.ingredients.iter().any(|id| calcium.contains(id)))
        .any(|item| item.may_be_iv())
}

/// Whether the item with alcohol is written as a form with alcohol. `Some(false)` where the form
/// is not said, `None` where it is one without.
fn alcohol(case: &Case<'_>, i: &Item<'_>, j: &Item<'_>) -> Option<bool> {
    let ethanol = case.formulary().subject("ethanol")?;
    let ethanol = case.formulary().members(ethanol);
    let item = [i, j].into_iter().find(|item| ethanol.iter().any(|id| item.has(*id)))?;
    let written = fold(item.written);
    let says = |words: &[&str]| words.iter().any(|word| written.contains(word));
    if says(WITHOUT_ALCOHOL) {
        return None;
    }
    let one_form = item.medicine.is_some_and(|m| !m.name_zh.contains(['（', '(']));
    Some(one_form || says(WITH_ALCOHOL))
}
