//! 中药: 十八反 and 十九畏 between 饮片 and inside 中成药, herbs beside western medicines, and the
//! dose of a 饮片.

use super::case::{Case, Draft, Item, Outcome};
use super::{DOSED, INTERACTING};
use crate::medicine::prescription::formulary::{IngredientId, IngredientKind};
use crate::medicine::prescription::quantity::{Unit, short};
use crate::medicine::prescription::report::{Action, Kind, Severity};
use crate::medicine::prescription::rules::{HerbPair, Toxicity};

/// How far over its largest dose a 饮片 may be: ordinary ones, and poisonous ones.
const OVER: f64 = 2.0;
const OVER_TOXIC: f64 = 1.05;
const FAR_OVER_TOXIC: f64 = 2.0;

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    pairs(case, out);
    doses(case, out);
}

/// What an item brings into a pair: its ingredients and, in a 中成药, its herbs.
fn brings<'c>(case: &'c Case<'_>, item: &'c Item<'_>) -> impl Iterator<Item = IngredientId> + 'c {
    let herbs = case.known.herbs.of_medicine(item.medicine).iter();
    item.ingredients.iter().chain(herbs).copied()
}

fn pairs(case: &Case<'_>, out: &mut Outcome) {
    let known = &case.known.herbs;
    let ready = |item: &Item<'_>| item.named.len() == 1 && !item.is_local();
    // Without a herb there is no pair: two western medicines have their own table.
    let herbal: Vec<(usize, &Item<'_>)> = case
        .items
        .iter()
        .enumerate()
        .filter(|(_, item)| ready(item))
        .filter(|(_, item)| {
            !known.of_medicine(item.medicine).is_empty() || is_decoction(case, item)
        })
        .collect();
    let mut met: Vec<u16> = Vec::new();
    for (_, item) in &herbal {
        for id in brings(case, item) {
            met.extend(known.pairs_of(id));
        }
    }
    met.sort_unstable();
    met.dedup();
    let mut told: Vec<(Vec<usize>, &str)> = Vec::new();
    for pair in met.into_iter().filter_map(|place| known.pair(place)) {
        let holds = |item: &Item<'_>, side: &[IngredientId]| {
            ready(item) && brings(case, item).any(|id| side.contains(&id))
        };
        // A fixed formula that holds both sides was made so.
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (at, item) in case.items.iter().enumerate() {
            match (holds(item, &pair.a), holds(item, &pair.b)) {
                (true, false) => a.push(at),
                (false, true) => b.push(at),
                _ => {}
            }
        }
        if a.is_empty() || b.is_empty() {
            continue;
        }
        let mut items: Vec<usize> = a.iter().chain(&b).copied().collect();
        items.sort_unstable();
        let any = |among: &dyn Fn(&usize) -> bool| items.iter().any(among);
        let line = any(&|at| case.item(*at).is_some_and(Item::is_line));
        let herb = any(&|at| herbal.iter().any(|(place, _)| place == at));
        if !line || !herb || told.iter().any(|(i, r)| *i == items && *r == pair.reason_zh) {
            continue;
        }
        report(case, out, pair, &items, (&a, &b));
        told.push((items, &pair.reason_zh));
    }
}

fn report(
    case: &Case<'_>,
    out: &mut Outcome,
    pair: &HerbPair,
    items: &[usize],
    (a, b): (&[usize], &[usize]),
) {
    let bare = |at: &usize| case.item(*at).is_some_and(|item| is_decoction(case, item));
    // 饮片 on one prescription are the doctor's own choice; what two factories put into their
    // formulas meets in far smaller amounts.
    let both_bare = a.iter().any(bare) && b.iter().any(bare);
    let herbal_pair = pair.a.iter().chain(&pair.b).all(|id| is_herb(case, *id));
    let action =
        if herbal_pair && !both_bare { pair.action.max(Action::Notice) } else { pair.action };
    let held = |items: &[usize], side: &[IngredientId]| {
        let names = items.iter().filter_map(|at| {
            let item = case.item(*at)?;
            let id = brings(case, item).find(|id| side.contains(id))?;
            let label = case.label(item, None);
            let name = case.name(id);
            Some(if label.contains(name) || bare(at) {
                label
            } else {
                format!("{label}（含{name}）")
            })
        });
        names.collect::<Vec<_>>().join("、")
    };
    let subjects =
        items.iter().filter_map(|at| case.item(*at)).map(|i| case.subject_name(i)).collect();
    out.findings.push(case.finding(Draft {
        kind: Kind::Tcm,
        action,
        severity: pair.severity,
        items,
        subjects,
        origin: &pair.origin,
        reason_zh: format!(
            "{}与{}：{}。",
            held(a, &pair.a),
            held(b, &pair.b),
            pair.reason_zh.trim_end_matches('。')
        ),
        instead_zh: pair.instead_zh.clone(),
        review_code: Some(INTERACTING),
    }));
}

fn doses(case: &Case<'_>, out: &mut Outcome) {
    for (at, item) in case.known_lines() {
        let [id] = item.ingredients else { continue };
        if !is_decoction(case, item) {
            continue;
        }
        let Some(herb) = case.known.herbs.herb(*id) else { continue };
        let (Some(most), Some(mg)) = (herb.dose_max_g, case.usage(item).single(Unit::Mg)) else {
            continue;
        };
        let grams = mg / 1000.0;
        let ratio = grams / most;
        let poisonous = match herb.toxicity {
            Toxicity::None => false,
            Toxicity::Small | Toxicity::Toxic | Toxicity::VeryToxic | Toxicity::Controlled => true,
        };
        let (action, severity) = if poisonous && ratio > FAR_OVER_TOXIC {
            (Action::Stop, Severity::Contraindicated)
        } else if poisonous && ratio > OVER_TOXIC {
            (Action::NeedsReason, Severity::Serious)
        } else if !poisonous && ratio > OVER {
            (Action::Notice, Severity::Moderate)
        } else {
            continue;
        };
        let note = herb.note_zh.trim_end_matches('。');
        let note = if note.is_empty() { String::new() } else { format!("，{note}") };
        out.findings.push(case.finding(Draft {
            kind: Kind::Tcm,
            action,
            severity,
            items: &[at],
            subjects: vec![case.subject_name(item)],
            origin: &herb.origin,
            reason_zh: format!(
                "{}每剂{}g，药典用量至多{}g{note}。",
                case.labels(&[at], None),
                short(grams),
                short(most)
            ),
            instead_zh: format!("减到{}g以内；确需超量的，写明理由并再次签名。", short(most)),
            review_code: Some(DOSED),
        }));
    }
}

/// Whether an item is a 饮片: a herb that is no medicine of the list.
fn is_decoction(case: &Case<'_>, item: &Item<'_>) -> bool {
    item.medicine.is_none() && matches!(item.ingredients, [id] if is_herb(case, *id))
}

fn is_herb(case: &Case<'_>, id: IngredientId) -> bool {
    case.formulary().ingredient(id).is_some_and(|i| i.kind == IngredientKind::Herb)
}

impl Case<'_> {
    /// Whether an item is a 饮片.
    pub(super) fn is_decoction_piece(&self, item: &Item<'_>) -> bool {
        is_decoction(self, item)
    }
}
