//! The same ingredient from two sources.
//!
//! Not counted: what an infusion is dissolved in (sodium chloride, glucose, water). Counted
//! lower: insulins, which are combined by design; a strength made up of two packs; skin, eye,
//! nose or lung beside the body; vitamins and minerals; herbs; and a medicine that goes on
//! (续方).

use super::case::{Case, Draft, Item, Outcome, Place};
use super::{REPEATED, dose};
use crate::medicine::prescription::formulary::{
    Formulary, IngredientId, IngredientKind, MedicineId, Subject,
};
use crate::medicine::prescription::order::Setting;
use crate::medicine::prescription::quantity::{Quantity, Unit};
use crate::medicine::prescription::report::{Action, Finding, Kind, Severity};
use crate::medicine::prescription::resolve::Named;
use crate::medicine::prescription::rules::DuplicateClass;

/// Vehicles of infusions and what balances them.
const VEHICLES: &[&str] = &["sodium_chloride", "glucose", "water_for_injection", "water"];
/// Category of the list whose single substances are harmless in double.
const LIGHT_CATEGORY: &str = "维生素、矿物质类药";

/// Salts of a fluid, in the amount that is in the body anyway.
const OF_FLUIDS: &str = "potassium_physiological";

/// Substances that the list has on their own among the vitamins and minerals, and what is in every
/// fluid.
pub(super) fn light(formulary: &Formulary) -> Vec<IngredientId> {
    let fluids = match formulary.subject(OF_FLUIDS) {
        Some(Subject::Ingredient(id)) => Some(id),
        _ => None,
    };
    let single = formulary.medicines().iter().filter(|m| m.category == LIGHT_CATEGORY);
    single
        .filter_map(|m| match m.ingredients.as_slice() {
            [one] => Some(*one),
            _ => None,
        })
        .chain(fluids)
        .collect()
}

/// A day's sum this many times over the largest stops the prescription.
const FAR_OVER: f64 = 1.5;

/// Items that share something.
struct Group {
    items: Vec<usize>,
    ingredients: Vec<IngredientId>,
    medicine: Option<MedicineId>,
}

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    let mut continued: Vec<usize> = Vec::new();
    for group in groups(case) {
        let lines = group.items.iter().filter(|at| is_line(case, **at)).count();
        if group.medicine.is_some() && lines == 1 {
            continued.extend(&group.items);
            continue;
        }
        let (mut action, severity) = weigh(case, &group);
        let mut sum = String::new();
        if let [ingredient] = group.ingredients.as_slice()
            && let Some(total) = daily_sum(case, *ingredient, &group.items)
        {
            let show = |value: f64| Quantity { value, unit: Unit::Mg }.show();
            sum = format!("合计一日{}", show(total));
            if let Some(most) = dose::daily_max(case, *ingredient) {
                let over = total > most * 1.05;
                let word = if over { "超过" } else { "未超过" };
                sum = format!("{sum}，{word}上限{}", show(most));
                if total > most * FAR_OVER {
                    action = Action::Stop;
                }
            }
        }
        out.findings.push(report(case, &group, (action, severity), &sum));
    }
    continued.sort_unstable();
    continued.dedup();
    if !continued.is_empty() {
        out.findings.push(continuation(case, &continued));
    }
    classes(case, out);
}

/// More members of a class than are good together, whichever products they come in. Of several
/// classes that see the same items the strongest row speaks.
fn classes(case: &Case<'_>, out: &mut Outcome) {
    // Row, how many different members, and the items that hold them. A fixed combination counts
    // once, by its first member.
    let lists = &case.known.lists;
    let mut classes: Vec<(u16, usize, Vec<usize>)> = Vec::new();
    for (ingredient, with) in &case.uses {
        let apart = |at: &&usize| case.item(**at).is_some_and(Item::acts_apart);
        if lists.duplicates_of(*ingredient).is_empty() || with.iter().all(|at| apart(&at)) {
            continue;
        }
        for row in lists.duplicates_of(*ingredient) {
            let place = classes.iter().position(|(r, _, _)| r == row).unwrap_or_else(|| {
                classes.push((*row, 0, Vec::new()));
                classes.len() - 1
            });
            let Some((_, members, items)) = classes.get_mut(place) else { continue };
            let before = items.len();
            for at in with.iter().filter(|at| !apart(at)) {
                if !items.contains(at) {
                    items.push(*at);
                }
            }
            *members += usize::from(items.len() > before);
        }
    }
    let mut met: Vec<(&DuplicateClass, Vec<usize>)> = Vec::new();
    for (row, members, mut items) in classes {
        let Some(rule) = lists.duplicates.get(usize::from(row)) else { continue };
        items.sort_unstable();
        let line = items.iter().any(|at| is_line(case, *at));
        if members > rule.allowed && line && case.coded(&rule.except).is_none() {
            met.push((rule, items));
        }
    }
    met.sort_by(|a, b| {
        (a.0.action, a.0.severity, &a.0.origin.id).cmp(&(b.0.action, b.0.severity, &b.0.origin.id))
    });
    let mut told: Vec<Vec<usize>> = Vec::new();
    for (rule, items) in met {
        if told.iter().any(|seen| items.iter().all(|at| seen.contains(at))) {
            continue;
        }
        let class = case.formulary().class(rule.class);
        let subjects = class.map(|c| c.slug.as_str()).into_iter().collect();
        let name = class.map_or("", |c| c.name_zh.as_str());
        out.findings.push(case.finding(Draft {
            kind: Kind::Duplicate,
            action: rule.action,
            severity: rule.severity,
            items: &items,
            subjects,
            origin: &rule.origin,
            reason_zh: format!(
                "{}同属{name}：{}。",
                case.labels(&items, None),
                rule.reason_zh.trim_end_matches('。')
            ),
            instead_zh: rule.instead_zh.clone(),
            review_code: Some(REPEATED),
        }));
        told.push(items);
    }
}

/// What the items together give of an ingredient in a day, in milligrams; `None` where one of
/// them does not say.
fn daily_sum(case: &Case<'_>, ingredient: IngredientId, items: &[usize]) -> Option<f64> {
    let of = |at: &usize| {
        let item = case.item(*at)?;
        let usage = case.usage(item);
        if item.ingredients.len() == 1 {
            return usage.daily(Unit::Mg);
        }
        let piece = case.known.lists.content(item.medicine?.id, ingredient)?;
        let dose = usage.dose?;
        let counted = matches!(dose.unit, Unit::Piece(_) | Unit::Ml).then_some(dose.value)?;
        let per_day = usage.frequency.filter(|f| !f.as_needed)?.per_day;
        (piece.unit == Unit::Mg).then_some(counted * piece.value * per_day)
    };
    items.iter().map(of).sum()
}

/// Same medicine at least twice, or the same ingredient in at least two products. Ingredients
/// shared by the same items are one cause.
fn groups(case: &Case<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (ingredient, items) in &case.uses {
        if items.len() < 2 || VEHICLES.contains(&case.slug(*ingredient)) {
            continue;
        }
        let products: Vec<&[Named]> =
            items.iter().filter_map(|at| case.item(*at)).map(|i| i.named.as_slice()).collect();
        if products.windows(2).all(|w| matches!(w, [a, b] if a == b)) {
            continue;
        }
        match groups.iter_mut().find(|group| group.items == *items) {
            Some(group) => group.ingredients.push(*ingredient),
            None => groups.push(Group {
                items: items.clone(),
                ingredients: vec![*ingredient],
                medicine: None,
            }),
        }
    }
    let mut same: Vec<(MedicineId, usize)> = Vec::new();
    for (at, item) in case.items.iter().enumerate() {
        same.extend(item.medicine.map(|m| (m.id, at)));
    }
    same.sort_unstable();
    for chunk in same.chunk_by(|a, b| a.0 == b.0).filter(|chunk| chunk.len() > 1) {
        let items: Vec<usize> = chunk.iter().map(|(_, at)| *at).collect();
        let Some((id, _)) = chunk.first() else { continue };
        let covered = groups.iter().any(|group| items.iter().all(|at| group.items.contains(at)));
        let medicine = case.formulary().medicine(*id);
        let vehicle = medicine.is_some_and(|m| {
            !m.ingredients.is_empty()
                && m.ingredients.iter().all(|i| VEHICLES.contains(&case.slug(*i)))
        });
        if !covered && !vehicle {
            groups.push(Group { items, ingredients: Vec::new(), medicine: Some(*id) });
        }
    }
    groups
}

/// The strongest verdict over any two items of which one is a line.
fn weigh(case: &Case<'_>, group: &Group) -> (Action, Severity) {
    let mut best = (Action::OnRequest, Severity::Minor);
    for (n, i) in group.items.iter().enumerate() {
        for j in group.items.iter().skip(n + 1) {
            if let (Some(a), Some(b)) = (case.item(*i), case.item(*j)) {
                best = best.min(between(case, group, a, b));
            }
        }
    }
    best
}

fn between(case: &Case<'_>, group: &Group, a: &Item<'_>, b: &Item<'_>) -> (Action, Severity) {
    const NOTICE: (Action, Severity) = (Action::Notice, Severity::Minor);
    const ON_REQUEST: (Action, Severity) = (Action::OnRequest, Severity::Minor);
    if !a.is_line() && !b.is_line() {
        return ON_REQUEST;
    }
    let same_product = a.named == b.named;
    if same_product && !(a.is_line() && b.is_line()) {
        return NOTICE;
    }
    if group.medicine.is_some() && is_insulin(case, a) {
        let mixed = a.written.trim() != b.written.trim();
        let apart = case.times_of_day(a).apart(case.times_of_day(b));
        return if mixed || apart { ON_REQUEST } else { NOTICE };
    }
    // A loading dose and what keeps it up are one regimen.
    let once = |item: &Item<'_>| case.usage(item).frequency.is_some_and(|f| f.once);
    if same_product && once(a) != once(b) {
        let emergency = case.order.setting == Setting::Emergency;
        return if emergency { ON_REQUEST } else { NOTICE };
    }
    // A tablet and a suppository, a drip and a tablet: the sum counts, the sources are meant.
    let apart = a.route.is_some() && b.route.is_some() && a.route != b.route;
    let made_up = same_product && strengths_differ(case, a, b) && a.route == b.route;
    let light =
        !group.ingredients.is_empty() && group.ingredients.iter().all(|id| is_light(case, *id));
    if made_up || light || (same_product && apart) || a.acts_apart() || b.acts_apart() {
        return NOTICE;
    }
    (Action::NeedsReason, Severity::Serious)
}

fn report(
    case: &Case<'_>,
    group: &Group,
    (action, severity): (Action, Severity),
    sum: &str,
) -> Finding {
    let sum = if sum.is_empty() { String::new() } else { format!("；{sum}") };
    let first = group.ingredients.first().copied();
    let labels = case.labels(&group.items, first.filter(|_| group.ingredients.len() == 1));
    let medicine = group.medicine.and_then(|id| case.formulary().medicine(id));
    let (subjects, reason_zh) = if let Some(medicine) = medicine {
        let subjects = vec![medicine.code.as_str()];
        (subjects, format!("{}开了不止一次（{labels}），属重复给药{sum}。", medicine.name_zh))
    } else {
        let names: Vec<&str> = group.ingredients.iter().map(|id| case.name(*id)).collect();
        let subjects = group.ingredients.iter().map(|id| case.slug(*id)).collect();
        let apart = group.items.iter().filter_map(|at| case.item(*at)).any(Item::acts_apart);
        let manner = if apart && action > Action::NeedsReason {
            "给药途径不同，全身吸收可叠加"
        } else {
            "属重复给药"
        };
        (subjects, format!("{labels}都含{}，{manner}{sum}。", names.join("、")))
    };
    case.finding(Draft {
        kind: Kind::Duplicate,
        action,
        severity,
        items: &group.items,
        subjects,
        origin: case.known.items.origin(REPEATED),
        reason_zh,
        instead_zh: "只留一种；确需同用的，写明理由并核对该成分的全天总量。".to_owned(),
        review_code: Some(REPEATED),
    })
}

/// One notice for all medicines that are prescribed again while in use.
fn continuation(case: &Case<'_>, items: &[usize]) -> Finding {
    let lines: Vec<usize> = items.iter().copied().filter(|at| is_line(case, *at)).collect();
    let medicines = items.iter().filter_map(|at| case.item(*at)?.medicine);
    // What a chronic disease is treated with is written again every month.
    let routine = lines.iter().filter_map(|at| case.item(*at)).all(|i| case.treats_long_term(i));
    case.finding(Draft {
        kind: Kind::Duplicate,
        action: if routine { Action::OnRequest } else { Action::Notice },
        severity: Severity::Minor,
        items,
        subjects: medicines.map(|m| m.code.as_str()).collect(),
        origin: case.known.items.origin(REPEATED),
        reason_zh: format!("{}病人正在用，本次又开。", case.labels(&lines, None)),
        instead_zh: "是续方就不必改；不是续方，问清家中余药，只用一份。".to_owned(),
        review_code: Some(REPEATED),
    })
}

fn is_line(case: &Case<'_>, at: usize) -> bool {
    case.item(at).is_some_and(Item::is_line)
}

fn is_insulin(case: &Case<'_>, item: &Item<'_>) -> bool {
    match case.formulary().subject("class:insulins") {
        Some(Subject::Class(class)) => {
            item.ingredients.iter().any(|id| case.formulary().is_member(*id, class))
        }
        Some(Subject::Ingredient(_) | Subject::Medicine(_)) | None => false,
    }
}

fn is_light(case: &Case<'_>, id: IngredientId) -> bool {
    let kind = case.formulary().ingredient(id).map(|i| i.kind);
    kind == Some(IngredientKind::Herb) || case.known.light.contains(&id)
}

/// Whether both lines state a strength and the strengths are not the same.
fn strengths_differ(case: &Case<'_>, a: &Item<'_>, b: &Item<'_>) -> bool {
    let strength = |item: &Item<'_>| match item.place {
        Place::Line(at) => case.order.lines.get(at).map(|line| line.strength.trim()),
        Place::Current(_) => None,
    };
    match (strength(a), strength(b)) {
        (Some(a), Some(b)) => !a.is_empty() && !b.is_empty() && a != b,
        _ => false,
    }
}
