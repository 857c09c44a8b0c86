//! Infusions: what a medicine is dissolved in, how thick, how fast, and what may not meet in one
//! bag. Chinese-medicine injections run alone.

use super::case::{Case, Draft, Item, Outcome};
use super::{DOSED, INTERACTING};
use crate::medicine::prescription::formulary::{IngredientId, MedicineKind, Subject};
use crate::medicine::prescription::order::Line;
use crate::medicine::prescription::quantity::{Quantity, Unit, amounts, short};
use crate::medicine::prescription::report::{Action, Kind, Severity};
use crate::medicine::prescription::route::Route;
use crate::medicine::prescription::rules::Vehicle;
use crate::tables::text::fold;

/// A solution this much thicker than the thickest allowed is dangerous.
const FAR_TOO_THICK: f64 = 2.0;
/// Words of a route that mean a push.
const PUSH: &[&str] = &["静推", "推注", "静脉注射", "静注", "ivp", "iv push", "iv bolus"];

/// The bag of one line.
struct Bag {
    vehicle: Option<Vehicle>,
    ml: Option<f64>,
}

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    let infused: Vec<(usize, &Item<'_>)> =
        case.known_lines().filter(|(_, item)| item.route == Some(Route::Iv)).collect();
    if infused.is_empty() {
        return;
    }
    for (at, item) in &infused {
        single(case, out, *at, item);
    }
    for (n, (i, a)) in infused.iter().enumerate() {
        for (j, b) in infused.iter().skip(n + 1) {
            mixed(case, out, (*i, a), (*j, b));
        }
    }
}

fn single(case: &Case<'_>, out: &mut Outcome, at: usize, item: &Item<'_>) {
    let known = &case.known.infusions;
    let own = known.by_subject().of_medicine(item.medicine).iter();
    let inside = item.ingredients.iter().flat_map(|id| known.by_subject().of_ingredient(*id));
    let Some(rule) = own.chain(inside).find_map(|place| known.get(*place)) else { return };
    let Some(line) = case.line(item) else { return };
    let bag = bag(case, item);
    let mut say = |action: Action, why: String| {
        let severity = match action {
            Action::Stop => Severity::Contraindicated,
            Action::NeedsReason => Severity::Serious,
            Action::Notice | Action::OnRequest => Severity::Moderate,
        };
        let note = rule.note_zh.trim_end_matches('。');
        out.findings.push(case.finding(Draft {
            kind: Kind::Infusion,
            action,
            severity,
            items: &[at],
            subjects: vec![case.subject_name(item)],
            origin: &rule.origin,
            reason_zh: format!("{}：{why}。", case.labels(&[at], None)),
            instead_zh: if note.is_empty() {
                "按说明书配制。".to_owned()
            } else {
                format!("{note}。")
            },
            review_code: Some(DOSED),
        }));
    };
    let names = |list: &[Vehicle]| list.iter().map(|v| v.name_zh()).collect::<Vec<_>>().join("、");
    let written = fold(&line.route);
    if !rule.push && PUSH.iter().any(|word| written.contains(word)) {
        say(rule.action.min(Action::NeedsReason), "不能直接静脉推注，须稀释后滴注".to_owned());
        return;
    }
    if let Some(vehicle) = bag.vehicle {
        if rule.bad.contains(&vehicle) {
            say(rule.action, format!("不能用{}配制", vehicle.name_zh()));
            return;
        }
        if !rule.good.is_empty() && !rule.good.contains(&vehicle) && vehicle != Vehicle::Swfi {
            let why = format!("应该用{}配制，写的是{}", names(&rule.good), vehicle.name_zh());
            say(Action::Notice.max(rule.action), why);
            return;
        }
    }
    if let (Some(ml), Some(max), Some(unit)) = (bag.ml, rule.concentration_max, rule.unit)
        && let Some(amount) = case.usage(item).single(unit)
        && ml > 0.0
    {
        let thick = amount / ml;
        if thick > max * 1.1 {
            let show = |value: f64| match unit {
                Unit::Mg => format!("{}mg/ml", short(value)),
                Unit::Iu | Unit::Ml | Unit::Mmol | Unit::Piece(_) => {
                    format!("{}/ml", Quantity { value, unit }.show())
                }
            };
            let action = if thick > max * FAR_TOO_THICK {
                rule.action.min(Action::NeedsReason)
            } else {
                rule.action.max(Action::NeedsReason)
            };
            say(action, format!("浓度{}，最浓{}", show(thick), show(max)));
            return;
        }
    }
    if let Some(ml) = bag.ml {
        let (least, most) = rule.volume_ml;
        if least.is_some_and(|least| ml < least * 0.8) {
            let least = least.unwrap_or_default();
            say(Action::Notice, format!("溶媒{}ml太少，至少{}ml", short(ml), short(least)));
            return;
        }
        if most.is_some_and(|most| ml > most * 2.0) {
            let most = most.unwrap_or_default();
            say(Action::Notice, format!("溶媒{}ml太多，至多{}ml", short(ml), short(most)));
            return;
        }
    }
    if let (Some(minutes), Some(least)) = (line.infusion_minutes.map(f64::from), rule.minutes_min)
        && minutes < least
    {
        say(
            rule.action.max(Action::NeedsReason),
            format!("滴注{}分钟太快，至少{}分钟", short(minutes), short(least)),
        );
    }
}

/// What a line is dissolved in: its own diluent, else the vehicle line of its group.
fn bag(case: &Case<'_>, item: &Item<'_>) -> Bag {
    let Some(line) = case.line(item) else { return Bag { vehicle: None, ml: None } };
    if !line.diluent.trim().is_empty() {
        return read_bag(&fold(&line.diluent));
    }
    if line.group.trim().is_empty() {
        return Bag { vehicle: None, ml: None };
    }
    let mates = case.items.iter().filter_map(|other| case.line(other).map(|l| (other, l)));
    let vehicle = mates
        .filter(|(_, other)| other.id != line.id && other.group == line.group)
        .find(|(other, _)| case.is_vehicle(other));
    vehicle.map_or(Bag { vehicle: None, ml: None }, |(item, other)| {
        let ml = case.usage(item).single(Unit::Ml);
        let read = read_bag(&fold(&format!("{} {}", other.name, other.strength)));
        Bag { vehicle: read.vehicle, ml: ml.or(read.ml) }
    })
}

fn read_bag(folded: &str) -> Bag {
    let volumes = amounts(folded).into_iter().filter(|(q, _)| q.unit == Unit::Ml);
    Bag { vehicle: Vehicle::read(folded), ml: volumes.map(|(q, _)| q.value).reduce(f64::max) }
}

/// Two infusions: in one bag for sure, or both into a vein and perhaps in one line.
fn mixed(
    case: &Case<'_>,
    out: &mut Outcome,
    (first, a): (usize, &Item<'_>),
    (second, b): (usize, &Item<'_>),
) {
    let (Some(one), Some(other)) = (case.line(a), case.line(b)) else { return };
    let names = |line: &Line, other: &Item<'_>| {
        let diluent = fold(&line.diluent);
        let name = case.label(other, None);
        let known = other.medicine.map_or(name.as_str(), |m| m.name_zh.as_str());
        diluent.contains(known) || diluent.contains(&fold(&name))
    };
    // `5%葡萄糖250ml（与维生素C同瓶）` says it too.
    let same_bag = !one.group.trim().is_empty() && one.group == other.group
        || names(one, b)
        || names(other, a);
    let holds =
        |item: &Item<'_>, side: &[Subject]| side.iter().any(|s| item.is(case.formulary(), *s));
    let rule = case.known.infusions.incompatible.iter().find(|rule| {
        (holds(a, &rule.a) && holds(b, &rule.b)) || (holds(a, &rule.b) && holds(b, &rule.a))
    });
    let mut items = [first, second];
    items.sort_unstable();
    let subjects = vec![case.subject_name(a), case.subject_name(b)];
    if let Some(rule) = rule {
        // In separate bags they may still meet in the line; only what was written is certain.
        let action = match (same_bag, rule.action) {
            (true, action) => action,
            // A precipitate that kills is worth a word even for two bags.
            (false, Action::Stop) => Action::Notice,
            (false, _) => Action::OnRequest,
        };
        let how =
            if same_bag { "写在同一组" } else { "先后或同一通路输注时须冲管" };
        out.findings.push(case.finding(Draft {
            kind: Kind::Infusion,
            action,
            severity: rule.severity,
            items: &items,
            subjects,
            origin: &rule.origin,
            reason_zh: format!(
                "{}：{}（{how}）。",
                case.labels(&items, None),
                rule.reason_zh.trim_end_matches('。')
            ),
            instead_zh: rule.instead_zh.clone(),
            review_code: Some(INTERACTING),
        }));
        return;
    }
    let herbal = |item: &Item<'_>| item.medicine.is_some_and(|m| m.kind == MedicineKind::Patent);
    if same_bag && (herbal(a) || herbal(b)) && !case.is_vehicle(a) && !case.is_vehicle(b) {
        out.findings.push(case.finding(Draft {
            kind: Kind::Infusion,
            action: Action::NeedsReason,
            severity: Severity::Serious,
            items: &items,
            subjects,
            origin: case.known.items.origin(INTERACTING),
            reason_zh: format!("{}：中药注射剂与其他药配在同一组。", case.labels(&items, None)),
            instead_zh: "中药注射剂单独滴注，前后冲管，与其他药分开。".to_owned(),
            review_code: Some(INTERACTING),
        }));
    } else if herbal(a) && herbal(b) {
        out.findings.push(case.finding(Draft {
            kind: Kind::Infusion,
            action: Action::Notice,
            severity: Severity::Moderate,
            items: &items,
            subjects,
            origin: case.known.items.origin(INTERACTING),
            reason_zh: format!("{}：同日用两种中药注射剂。", case.labels(&items, None)),
            instead_zh: "只留一种；确需两种的，分开时间、分开通路。".to_owned(),
            review_code: Some(INTERACTING),
        }));
    }
}

/// Vehicles of infusions and what balances them.
const VEHICLES: &[&str] = &["sodium_chloride", "glucose", "water_for_injection", "water"];

impl Case<'_> {
    /// Whether an item is nothing but what infusions are dissolved in.
    pub(super) fn is_vehicle(&self, item: &Item<'_>) -> bool {
        let only = |id: &IngredientId| VEHICLES.contains(&self.slug(*id));
        !item.ingredients.is_empty() && item.ingredients.iter().all(only)
    }
}
