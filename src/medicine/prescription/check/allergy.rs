//! The allergy list against the lines: the substance itself, its class, and classes that may
//! cross-react. Every route counts. Current medicines are listed on request.

use super::UNSUITABLE;
use super::case::{Case, Draft, Item, Outcome};
use crate::medicine::prescription::formulary::{IngredientId, Subject};
use crate::medicine::prescription::order::AllergyEntry;
use crate::medicine::prescription::report::{Action, Kind, Severity, Unchecked};
use crate::medicine::prescription::resolve::Named;
use crate::medicine::prescription::rules::{AllergyRule, Origin, Tier};
use crate::medicine::prescription::words::key;
use crate::tables::text::fold;

/// Marks between several allergens in one entry.
const BETWEEN: &[char] = &['、', ',', '，', ';', '；', '/', '+', '和', '及', '与', '。', '\n'];
/// Words around an allergen that do not change what it is; longer ones first.
const AROUND: &[&str] = &[
    "过敏性休克",
    "过敏反应",
    "过敏史",
    "过敏",
    "皮试阳性",
    "皮试(+)",
    "皮试",
    "阳性",
    "剥脱性皮炎",
    "喉头水肿",
    "荨麻疹",
    "多形红斑",
    "固定性药疹",
    "药疹",
    "皮疹",
    "红疹",
    "皮炎",
    "瘙痒",
    "水肿",
    "哮喘",
    "休克",
    "呕吐",
    "胸闷",
    "面部",
    "全身",
    "严重",
    "轻度",
    "轻微",
    "引起",
    "导致",
    "所致",
    "出现",
    "发生",
    "注射",
    "口服",
    "使用",
    "服用",
    "服",
    "用",
    "致",
    "后",
    "药物",
    "药品",
    "类药",
    "食物",
    "制剂",
    "已知",
    "明显",
    "特殊",
    "曾经",
    "曾",
    "对",
    "有",
    "史",
    "类",
    "药",
    "等",
];
/// What is left of an entry that says there is no allergy.
const NONE: &[&str] =
    &["", "无", "否认", "没有", "未发现", "暂无", "不过敏", "no", "none", "nil", "nkda", "nka"];

/// What an entry of the list means.
struct Allergy<'a> {
    entry: &'a AllergyEntry,
    allergens: Vec<Subject>,
}

/// The worst that an allergy means for one ingredient, ordered worst first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Verdict {
    action: Action,
    tier: Tier,
    /// Place of the entry in the list.
    entry: usize,
    rule: String,
    words: String,
}

pub(super) fn check(case: &Case<'_>, out: &mut Outcome) {
    let mut allergies = Vec::new();
    for entry in &case.order.allergies {
        let (allergens, unknown) = read(case, &entry.name);
        allergies.push(Allergy { entry, allergens });
        if !unknown.is_empty() {
            out.unchecked.push(not_understood(case, entry, &unknown));
        }
    }
    if allergies.iter().all(|a| a.allergens.is_empty()) {
        return;
    }
    let mut reported: Vec<(Vec<usize>, usize)> = Vec::new();
    let mut found: Vec<(Verdict, Origin, IngredientId, Vec<usize>)> = Vec::new();
    for (ingredient, items) in &case.uses {
        if let Some((verdict, origin)) = worst(case, &allergies, *ingredient, items) {
            let is_line = |at: &usize| case.item(*at).is_some_and(Item::is_line);
            let lines: Vec<usize> = items.iter().copied().filter(is_line).collect();
            let (items, action) = if lines.is_empty() {
                (items.clone(), Action::OnRequest)
            } else {
                (lines, verdict.action)
            };
            found.push((Verdict { action, ..verdict }, origin, *ingredient, items));
        }
    }
    found.sort_by(|a, b| (&a.0, a.2).cmp(&(&b.0, b.2)));
    for (verdict, origin, ingredient, items) in found {
        // A product with two ingredients of one allergy is one cause.
        let told = (items, verdict.entry);
        if !reported.contains(&told) {
            report(case, out, &allergies, (&verdict, &origin), (ingredient, &told.0));
            reported.push(told);
        }
    }
}

/// What the allergy list names, as far as it is understood.
pub(super) fn allergens(case: &Case<'_>) -> Vec<Subject> {
    case.order.allergies.iter().flat_map(|entry| read(case, &entry.name).0).collect()
}

fn worst(
    case: &Case<'_>,
    allergies: &[Allergy<'_>],
    ingredient: IngredientId,
    items: &[usize],
) -> Option<(Verdict, Origin)> {
    let mut best: Option<(Verdict, Origin)> = None;
    for (at, allergy) in allergies.iter().enumerate() {
        for allergen in &allergy.allergens {
            let mut consider = |verdict: Verdict, origin: &Origin| {
                if best.as_ref().is_none_or(|(worst, _)| verdict < *worst) {
                    best = Some((verdict, origin.clone()));
                }
            };
            let mut table_decides = false;
            for rule in case.known.allergies.of(case.formulary(), *allergen, ingredient) {
                table_decides |= rule.tier == Tier::Class && same_class(case, rule, *allergen);
                if rule.tier == Tier::CrossClass && allergy.entry.tolerated_since {
                    continue;
                }
                let verdict = Verdict {
                    action: rule.action,
                    tier: rule.tier,
                    entry: at,
                    rule: rule.origin.id.to_string(),
                    words: rule.risk_zh.clone(),
                };
                consider(verdict, &rule.origin);
            }
            if !table_decides
                && let Some((verdict, origin)) = identity(case, *allergen, ingredient, items, at)
            {
                consider(verdict, &origin);
            }
        }
    }
    best
}

/// Whether a rule speaks of the allergen's own class: then the table decides, not identity.
fn same_class(case: &Case<'_>, rule: &AllergyRule, allergen: Subject) -> bool {
    match (rule.subject, allergen) {
        (Subject::Class(outer), Subject::Class(inner)) => case.formulary().is_within(inner, outer),
        _ => false,
    }
}

/// The allergen itself is in the medicine. No rule is needed to say so; what is cited is the row
/// that says what the medicine contains, or which class it is in.
fn identity(
    case: &Case<'_>,
    allergen: Subject,
    ingredient: IngredientId,
    items: &[usize],
    entry: usize,
) -> Option<(Verdict, Origin)> {
    let formulary = case.formulary();
    let (tier, source, status, words) = match allergen {
        Subject::Ingredient(id) if id == ingredient => {
            let medicine = items.iter().find_map(|at| case.item(*at)?.medicine);
            let row = formulary.ingredient(id)?;
            let (source, status) =
                medicine.map_or((&row.source, row.status), |m| (&m.source, m.status));
            (Tier::Ingredient, source, status, "就是过敏的药".to_owned())
        }
        Subject::Class(class) if formulary.is_member(ingredient, class) => {
            let class = formulary.class(class)?;
            let words = format!("属于{}", class.name_zh);
            (Tier::Class, &class.source, class.status, words)
        }
        Subject::Ingredient(_) | Subject::Class(_) | Subject::Medicine(_) => return None,
    };
    let rule = match tier {
        Tier::Ingredient => "same-ingredient",
        Tier::Class | Tier::CrossClass => "same-class",
    };
    let origin = Origin {
        id: rule.into(),
        source: source.as_str().into(),
        citation: case.formulary().sources().cite(source).into(),
        status,
    };
    Some((Verdict { action: Action::Stop, tier, entry, rule: rule.to_owned(), words }, origin))
}

fn report(
    case: &Case<'_>,
    out: &mut Outcome,
    allergies: &[Allergy<'_>],
    (verdict, origin): (&Verdict, &Origin),
    (ingredient, items): (IngredientId, &[usize]),
) {
    let Some(entry) = allergies.get(verdict.entry).map(|a| a.entry) else { return };
    let severity = match verdict.action {
        Action::Stop => Severity::Contraindicated,
        Action::NeedsReason => Severity::Serious,
        Action::Notice => Severity::Moderate,
        Action::OnRequest => Severity::Minor,
    };
    let instead = match verdict.action {
        Action::Stop => "不用这种药，换不相干的另一类药。",
        Action::NeedsReason => "问清当时的反应；能换就换，确需用的写明理由。",
        Action::Notice => "用前问清过敏经过，用后留观。",
        Action::OnRequest => "病人正在用，问清是否确实过敏，更正记录或换药。",
    };
    let reaction = entry.reaction.as_deref().map(str::trim).filter(|r| !r.is_empty());
    let reaction = reaction.map(|r| format!("（{r}）")).unwrap_or_default();
    let label = case.labels(items, Some(ingredient));
    out.findings.push(case.finding(Draft {
        kind: Kind::Allergy,
        action: verdict.action,
        severity,
        items,
        subjects: vec![case.slug(ingredient)],
        origin,
        reason_zh: format!(
            "病人记有“{}”过敏{reaction}，{label}：{}。",
            entry.name.trim().trim_end_matches("过敏"),
            verdict.words.trim_end_matches('。')
        ),
        instead_zh: instead.to_owned(),
        review_code: Some(UNSUITABLE),
    }));
}

/// What an entry names, and the parts of it nobody understands.
fn read(case: &Case<'_>, name: &str) -> (Vec<Subject>, Vec<String>) {
    let folded = fold(name);
    let mut allergens = Vec::new();
    let mut unknown = Vec::new();
    if let Some(known) = part(case, &folded) {
        return (known, unknown);
    }
    // What stands in brackets is the reaction, seldom another name.
    let (bare, remarks) = apart(&folded);
    for text in bare.split(BETWEEN) {
        match part(case, text) {
            Some(known) => allergens.extend(known),
            None => unknown.push(text.trim().to_owned()),
        }
    }
    for known in remarks.split(BETWEEN).filter_map(|text| part(case, text)) {
        allergens.extend(known);
    }
    allergens.sort_unstable();
    allergens.dedup();
    (allergens, unknown)
}

/// A text without its brackets, and what stood in them.
fn apart(folded: &str) -> (String, String) {
    let (mut bare, mut remarks) = (String::new(), String::new());
    let mut depth = 0_u32;
    for c in folded.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => {
                depth = depth.saturating_sub(1);
                remarks.push('、');
            }
            _ if depth == 0 => bare.push(c),
            _ => remarks.push(c),
        }
    }
    (bare, remarks)
}

/// One allergen: as the table of chart words has it, as a medicine, or said not to be one.
fn part(case: &Case<'_>, folded: &str) -> Option<Vec<Subject>> {
    let named = |text: &str| case.known.allergies.named(&key(text)).map(<[Subject]>::to_vec);
    if let Some(known) = named(folded) {
        return Some(known);
    }
    let mut text = folded.trim();
    loop {
        let shorter = AROUND.iter().find_map(|word| {
            text.strip_prefix(word).or_else(|| text.strip_suffix(word)).map(str::trim)
        });
        if NONE.contains(&text) {
            return Some(Vec::new());
        }
        if let Some(known) = named(text).or_else(|| medicine(case, text)) {
            return Some(known);
        }
        text = shorter?;
    }
}

/// The ingredients of a medicine that the allergy list names.
fn medicine(case: &Case<'_>, text: &str) -> Option<Vec<Subject>> {
    match case.formulary().identify(text).named.as_slice() {
        [Named::Medicine(id)] => {
            let medicine = case.formulary().medicine(*id)?;
            let ingredients: Vec<Subject> =
                medicine.ingredients.iter().map(|id| Subject::Ingredient(*id)).collect();
            // A 中成药 whose herbs are not compiled cannot be followed into other medicines.
            (!ingredients.is_empty()).then_some(ingredients)
        }
        [Named::Ingredient(id)] => Some(vec![Subject::Ingredient(*id)]),
        _ => None,
    }
}

fn not_understood(case: &Case<'_>, entry: &AllergyEntry, unknown: &[String]) -> Unchecked {
    let mut suggestions: Vec<String> = Vec::new();
    for name in unknown.iter().take(3).flat_map(|text| case.formulary().suggest(text)) {
        if !suggestions.contains(&name) {
            suggestions.push(name);
        }
    }
    Unchecked {
        lines: Vec::new(),
        names: vec![entry.name.clone()],
        what: vec![Kind::Allergy],
        reason_zh: format!(
            "过敏史中的“{}”认不出是哪种药，没有据此核对，请写明药名。",
            unknown.join("”“")
        ),
        suggestions,
        on_request: false,
    }
}
