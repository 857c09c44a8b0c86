//! Reading `plans.csv`, `rules.csv`, `inputs.csv` and `conflicts.csv`. A row that cites nothing,
//! belongs to no plan or asks for something unknown is refused with its file and line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::when::When;
use crate::medicine::patient::Sex;
use crate::medicine::prescription::{Formulary, MedicineId, Subject};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};

const SOURCES: &str = "treatment/sources.csv";
const PLANS: &str = "treatment/plans.csv";
const RULES: &str = "treatment/rules.csv";
const INPUTS: &str = "treatment/inputs.csv";
const CONFLICTS: &str = "treatment/conflicts.csv";

/// A plan: for whom it is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Id.
    pub id: String,
    /// Name.
    pub name_zh: String,
    /// ICD-10 prefixes.
    pub icd: Vec<String>,
    /// Completed months, from (inclusive) and to (exclusive).
    pub age_m: (Option<f64>, Option<f64>),
    /// Only for this sex.
    pub sex: Option<Sex>,
    /// For whom, and for whom not.
    pub scope_zh: String,
    /// Citation as in the table.
    pub source: String,
    /// Whether a clinician has reviewed it.
    pub status: Status,
}

/// What a row of a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// 先做的急救
    FirstAid,
    /// 注意
    Warning,
    /// 目标
    Goal,
    /// 用药
    Medicine,
    /// 非药物措施
    Measure,
    /// 检查
    Test,
    /// 告诉病人
    Advice,
    /// 随访
    FollowUp,
    /// 停药
    Stop,
    /// 加重时怎样做
    Escalate,
    /// 转诊
    Refer,
}

/// How soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// 立即，呼叫 120
    Now,
    /// 当天
    Today,
    /// 3 天内
    Days3,
    /// 2 周内
    Week2,
    /// 择期
    Routine,
}

/// Two guidelines that disagree.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// Id.
    pub id: String,
    /// Plan.
    pub plan: String,
    /// About what.
    pub topic_zh: String,
    /// What the one says, and its citation.
    pub a: (String, String),
    /// What the other says, and its citation.
    pub b: (String, String),
    /// Whether the first is followed.
    pub follows_a: bool,
    /// Why.
    pub why_zh: String,
    /// Whether a clinician has reviewed it.
    pub status: Status,
}

/// A medicine of a row.
#[derive(Debug)]
pub(super) struct Dose {
    pub(super) medicine: MedicineId,
    /// Group of alternatives; empty: always proposed.
    pub(super) choice: String,
    /// One dose, for `per_kg` rows for each kilogram.
    pub(super) amount: f64,
    pub(super) unit: String,
    pub(super) per_kg: bool,
    pub(super) amount_max: Option<f64>,
    pub(super) route: String,
    pub(super) frequency: String,
}

/// One row of `rules.csv`.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) plans: Vec<usize>,
    pub(super) section: Section,
    pub(super) order: f64,
    pub(super) when: When,
    pub(super) text_zh: String,
    pub(super) urgency: Option<Urgency>,
    pub(super) dose: Option<Dose>,
    pub(super) days: Option<f64>,
    pub(super) annotation_zh: String,
    pub(super) source: String,
    pub(super) status: Status,
}

/// Everything the plans know. Load once, share, ask often.
#[derive(Debug)]
pub struct TreatmentKnowledge {
    pub(super) plans: Vec<Plan>,
    pub(super) rules: Vec<Rule>,
    /// Flags and what to ask for.
    pub(super) inputs: BTreeMap<String, String>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) sources: Sources,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanRow {
    id: String,
    name_zh: String,
    icd: String,
    age_from_m: Option<f64>,
    age_to_m: Option<f64>,
    sex: String,
    scope_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    id: String,
    plan: String,
    section: Section,
    order: f64,
    when: String,
    text_zh: String,
    urgency: Option<Urgency>,
    medicine: String,
    choice: String,
    dose: Option<f64>,
    dose_unit: String,
    per: String,
    dose_max: Option<f64>,
    route: String,
    frequency: String,
    days: Option<f64>,
    annotation_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputRow {
    name: String,
    #[expect(dead_code, reason = "all are flags; numbers are known to the program")]
    kind: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    unit: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    min: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    max: String,
    question_zh: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConflictRow {
    id: String,
    plan: String,
    topic_zh: String,
    a_zh: String,
    a_source: String,
    b_zh: String,
    b_source: String,
    followed: String,
    why_zh: String,
    status: Status,
}

impl TreatmentKnowledge {
    /// Reads all tables under `treatment/`; medicines are those of `formulary`.
    pub fn load(files: &Files, formulary: &Formulary) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut all = Self {
            plans: Vec::new(),
            rules: Vec::new(),
            inputs: BTreeMap::new(),
            conflicts: Vec::new(),
            sources,
            version: files.digest("treatment/", ".csv"),
        };
        let places = all.load_plans(files)?;
        for (line, row) in rows::<InputRow>(files, INPUTS)? {
            all.sources.check(INPUTS, line, &row.source)?;
            if row.name.is_empty() || row.question_zh.is_empty() {
                return Err(LoadError::line(INPUTS, line, "an input needs a name and a question"));
            }
            if all.inputs.insert(row.name.clone(), row.question_zh).is_some() {
                let message = format!("input `{}` stands twice", row.name);
                return Err(LoadError::line(INPUTS, line, message));
            }
        }
        all.load_rules(files, formulary, &places)?;
        for (line, row) in rows::<ConflictRow>(files, CONFLICTS)? {
            all.sources.check(CONFLICTS, line, &row.a_source)?;
            all.sources.check(CONFLICTS, line, &row.b_source)?;
            let bad = |message: String| LoadError::line(CONFLICTS, line, message);
            if !places.contains_key(&row.plan) {
                return Err(bad(format!("unknown plan `{}`", row.plan)));
            }
            let follows_a = match row.followed.as_str() {
                "a" => true,
                "b" => false,
                other => return Err(bad(format!("`{other}` must be a or b"))),
            };
            all.conflicts.push(Conflict {
                id: row.id,
                plan: row.plan,
                topic_zh: row.topic_zh,
                a: (row.a_zh, row.a_source),
                b: (row.b_zh, row.b_source),
                follows_a,
                why_zh: row.why_zh,
                status: row.status,
            });
        }
        all.complete()?;
        Ok(all)
    }

    fn load_plans(&mut self, files: &Files) -> Result<HashMap<String, usize>, LoadError> {
        let mut places = HashMap::new();
        for (line, row) in rows::<PlanRow>(files, PLANS)? {
            self.sources.check(PLANS, line, &row.source)?;
            let bad = |message: &str| LoadError::line(PLANS, line, message);
            let icd: Vec<String> = list(&row.icd).map(str::to_owned).collect();
            if row.id.is_empty() || row.name_zh.is_empty() || icd.is_empty() {
                return Err(bad("a plan needs an id, a name and a code"));
            }
            let sex = match row.sex.as_str() {
                "" => None,
                "m" => Some(Sex::Male),
                "f" => Some(Sex::Female),
                _ => return Err(bad("sex must be m, f or empty")),
            };
            if places.insert(row.id.clone(), self.plans.len()).is_some() {
                return Err(bad("id stands twice"));
            }
            self.plans.push(Plan {
                id: row.id,
                name_zh: row.name_zh,
                icd,
                age_m: (row.age_from_m, row.age_to_m),
                sex,
                scope_zh: row.scope_zh,
                source: row.source,
                status: row.status,
            });
        }
        Ok(places)
    }

    fn load_rules(
        &mut self,
        files: &Files,
        formulary: &Formulary,
        places: &HashMap<String, usize>,
    ) -> Result<(), LoadError> {
        let flags: BTreeSet<String> = self.inputs.keys().cloned().collect();
        let mut seen = BTreeSet::new();
        for (line, row) in rows::<RuleRow>(files, RULES)? {
            self.sources.check(RULES, line, &row.source)?;
            let bad = |message: String| LoadError::line(RULES, line, message);
            if row.id.is_empty() || !seen.insert(row.id.clone()) {
                return Err(bad(format!("id `{}` is empty or stands twice", row.id)));
            }
            if row.text_zh.is_empty() {
                return Err(bad("a row needs a text".to_owned()));
            }
            let plans: Option<Vec<usize>> =
                list(&row.plan).map(|id| places.get(id).copied()).collect();
            let plans = plans.filter(|plans| !plans.is_empty());
            let plans = plans.ok_or_else(|| bad(format!("unknown plan in `{}`", row.plan)))?;
            let when = When::read(&row.when, formulary, &flags).map_err(&bad)?;
            let dose = if row.medicine.is_empty() {
                if row.section == Section::Medicine {
                    return Err(bad("a medicine row needs a medicine".to_owned()));
                }
                None
            } else {
                let Some(Subject::Medicine(medicine)) = formulary.subject(&row.medicine) else {
                    return Err(bad(format!("unknown medicine `{}`", row.medicine)));
                };
                let per_kg = match row.per.as_str() {
                    "kg" => true,
                    "fixed" => false,
                    other => return Err(bad(format!("`{other}` must be kg or fixed"))),
                };
                let dose = row.dose.filter(|dose| *dose > 0.0 && dose.is_finite());
                Some(Dose {
                    medicine,
                    choice: row.choice,
                    amount: dose.ok_or_else(|| bad("dose must be above 0".to_owned()))?,
                    unit: row.dose_unit,
                    per_kg,
                    amount_max: row.dose_max,
                    route: row.route,
                    frequency: row.frequency,
                })
            };
            if matches!(row.section, Section::Refer | Section::Escalate) && row.urgency.is_none() {
                return Err(bad("a referral needs an urgency".to_owned()));
            }
            self.rules.push(Rule {
                id: row.id,
                plans,
                section: row.section,
                order: row.order,
                when,
                text_zh: row.text_zh,
                urgency: row.urgency,
                dose,
                days: row.days,
                annotation_zh: row.annotation_zh,
                source: row.source,
                status: row.status,
            });
        }
        self.rules.sort_by(|a, b| a.order.total_cmp(&b.order).then_with(|| a.id.cmp(&b.id)));
        Ok(())
    }

    /// Refuses a plan that leaves the doctor alone: without goal, advice, follow-up, a way out,
    /// and something to do.
    fn complete(&self) -> Result<(), LoadError> {
        for (at, plan) in self.plans.iter().enumerate() {
            let has = |sections: &[Section]| {
                let mut own = self.rules.iter().filter(|rule| rule.plans.contains(&at));
                own.any(|rule| sections.contains(&rule.section))
            };
            for (sections, name) in [
                (&[Section::Goal][..], "a goal"),
                (&[Section::Medicine, Section::Measure, Section::FirstAid], "anything to do"),
                (&[Section::Advice], "advice"),
                (&[Section::FollowUp], "a follow-up"),
                (&[Section::Stop, Section::Escalate], "a criterion to stop or step up"),
                (&[Section::Refer], "a referral"),
            ] {
                if !has(sections) {
                    let message = format!("plan `{}` is without {name}", plan.id);
                    return Err(LoadError::file(RULES, message));
                }
            }
        }
        Ok(())
    }

    /// All plans.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The documents the rows cite.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Version of the tables: twelve hex digits.
    pub fn version(&self) -> &str {
        &self.version
    }
}
