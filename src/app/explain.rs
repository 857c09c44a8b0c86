//! From what medicine decided to what an answer says: names instead of ids, citations instead of
//! source ids, characters instead of bytes.

use super::consultation::{
    Alarm, Ask, CarePlace, Limits, Origin, Ranked, ReadMention, ReadValue, SaidDegree,
    SaidDuration, State, SuggestedTest, Triage, Unread, Used, Why,
};
use super::knowledge::{Knowledge, care_level, facts};
use crate::medicine::diagnosis::differential::{Candidate, Differential};
use crate::medicine::diagnosis::evidence::{self, Evidence};
use crate::medicine::diagnosis::interview::{Question, wording};
use crate::medicine::diagnosis::likelihood::Reason;
use crate::medicine::diagnosis::reading::{Degree, Experiencer, Mention, Presence, Reading};
use crate::medicine::diagnosis::red_flags::{Atom, ReferTo, UndecidedFlag, Urgency};
use crate::medicine::diagnosis::triage as medicine;
use crate::medicine::diagnosis::workup::Suggestion;
use crate::medicine::patient::{Measure, Patient, Sex};
use crate::medicine::vocabulary::{ConditionId, FindingId};

/// Red flags that hinge on one unknown value and are told in the notes at most.
const UNDECIDED_MAX: usize = 3;
/// Hours of a day.
const HOURS: f32 = 24.0;
/// Above this the case is told to be probably outside the model.
const OUTSIDE_LIKELY: f32 = 0.5;

/// What is shown with what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) knowledge: &'a Knowledge,
    pub(super) text: &'a str,
}

impl Shown<'_> {
    fn name(&self, finding: FindingId) -> String {
        let found = self.knowledge.diagnosis.vocabulary.get_finding(finding);
        found.map(|f| f.name_zh.clone()).unwrap_or_default()
    }

    fn slug(&self, finding: FindingId) -> String {
        self.knowledge.diagnosis.vocabulary.finding_slug(finding).to_owned()
    }

    fn cite(&self, source: &str) -> String {
        self.knowledge.diagnosis.vocabulary.sources().cite(source)
    }

    /// A byte offset of the text as a number of characters.
    fn chars(&self, byte: usize) -> u32 {
        let before = self.text.get(..byte).unwrap_or(self.text);
        u32::try_from(before.chars().count()).unwrap_or(u32::MAX)
    }

    pub(super) fn conditions(&self, differential: &Differential<'_>) -> Vec<Ranked> {
        let ranked = differential.ranked.iter().map(|c| (c, false));
        let safety = differential.must_not_miss.iter().map(|c| (c, true));
        ranked.chain(safety).filter_map(|(c, safety)| self.ranked(c, safety)).collect()
    }

    fn ranked(&self, candidate: &Candidate<'_>, listed_for_safety: bool) -> Option<Ranked> {
        let vocabulary = &self.knowledge.diagnosis.vocabulary;
        let condition = vocabulary.get_condition(candidate.condition)?;
        Some(Ranked {
            condition: condition.slug.clone(),
            probability: candidate.probability,
            reasons_for: candidate.reasons_for.iter().map(|r| self.why(r)).collect(),
            reasons_against: candidate.reasons_against.iter().map(|r| self.why(r)).collect(),
            listed_for_safety,
            about: facts(condition),
        })
    }

    fn why(&self, reason: &Reason<'_>) -> Why {
        Why {
            finding: self.slug(reason.finding),
            name: self.name(reason.finding),
            state: if reason.present { State::Present } else { State::Absent },
            log_likelihood_ratio: reason.log_likelihood_ratio,
            source: self.cite(reason.source),
        }
    }

    pub(super) fn alarms(
        &self,
        differential: &Differential<'_>,
        evidence: &Evidence,
    ) -> Vec<Alarm> {
        differential
            .red_flags
            .iter()
            .map(|hit| Alarm {
                rule: hit.flag.id.clone(),
                name: hit.flag.name_zh.clone(),
                emergency: hit.flag.urgency == Urgency::Emergency,
                meaning: hit.flag.meaning_zh.clone(),
                act_now: hit.flag.act_now_zh.clone(),
                refer_to: match hit.flag.refer_to {
                    ReferTo::Township => "乡镇卫生院",
                    ReferTo::County => "县级医院",
                    ReferTo::Ambulance => "拨打 120",
                }
                .to_owned(),
                because: hit.atoms.iter().filter_map(|a| self.because(*a, evidence)).collect(),
                source: self.cite(&hit.flag.source),
            })
            .collect()
    }

    /// A met condition of a red flag in words; none for what is merely not there.
    fn because(&self, atom: Atom, evidence: &Evidence) -> Option<String> {
        match atom {
            Atom::Present(finding) => Some(self.name(finding)),
            Atom::NotPresent(_) => None,
            Atom::Measured { measure, .. } => {
                let value = evidence.vitals().get(measure)?;
                Some(format!("{} {value} {}", measure_zh(measure), unit(measure)))
            }
            Atom::Age { comparison, limit } => Some(format!(
                "年龄{}{limit}岁",
                comparison.sign().replace(">=", "≥").replace("<=", "≤")
            )),
            Atom::Sex(Sex::Male) => Some("男性".to_owned()),
            Atom::Sex(Sex::Female) => Some("女性".to_owned()),
            Atom::Pregnant => Some("妊娠".to_owned()),
        }
    }

    pub(super) fn mentions(&self, reading: &Reading) -> Vec<ReadMention> {
        reading.mentions.iter().map(|m| self.mention(m)).collect()
    }

    fn mention(&self, mention: &Mention) -> ReadMention {
        ReadMention {
            finding: self.slug(mention.finding),
            name: self.name(mention.finding),
            state: match mention.presence {
                Presence::Present => State::Present,
                Presence::Absent => State::Absent,
                Presence::Uncertain => State::Uncertain,
            },
            words: mention.words.clone(),
            start: self.chars(mention.span.start),
            end: self.chars(mention.span.end),
            duration: mention.duration.as_ref().map(|d| SaidDuration {
                hours_min: d.least_days * HOURS,
                hours_max: d.most_days * HOURS,
                words: d.words.clone(),
            }),
            degree: mention.degree.map(|d| match d {
                Degree::Mild => SaidDegree::Mild,
                Degree::Moderate => SaidDegree::Moderate,
                Degree::Severe => SaidDegree::Severe,
            }),
            other_person: mention.experiencer == Experiencer::Other,
            past: mention.past,
        }
    }

    pub(super) fn values(&self, reading: &Reading) -> Vec<ReadValue> {
        let words = |span: &std::ops::Range<usize>| {
            self.text.get(span.clone()).unwrap_or_default().to_owned()
        };
        let read = reading.measurements.iter().map(|m| ReadValue {
            measure: m.measure.name().to_owned(),
            value: m.value,
            words: words(&m.span),
            implausible: false,
        });
        let implausible = reading.implausible.iter().map(|i| ReadValue {
            measure: i.measure.name().to_owned(),
            value: i.value,
            words: words(&i.span),
            implausible: true,
        });
        read.chain(implausible).collect()
    }

    pub(super) fn findings(&self, evidence: &Evidence) -> Vec<Used> {
        let inputs = &self.knowledge.features;
        evidence
            .facts()
            .iter()
            .map(|fact| Used {
                finding: self.slug(fact.finding),
                name: self.name(fact.finding),
                state: if fact.present { State::Present } else { State::Absent },
                origin: match fact.origin {
                    evidence::Origin::Text(_) | evidence::Origin::Lasting(_) => Origin::Text,
                    evidence::Origin::Given => Origin::Given,
                    evidence::Origin::Measured { .. } => Origin::Measured,
                    evidence::Origin::Implied(_) => Origin::Implied,
                },
                known_to_model: inputs.knows(fact.finding),
            })
            .collect()
    }

    pub(super) fn limits(
        &self,
        reading: &Reading,
        evidence: &Evidence,
        patient: &Patient,
        (unknown_findings, differential): (Vec<String>, &Differential<'_>),
    ) -> Limits {
        let coverage = &differential.coverage;
        let unread = reading.unread.iter().map(|u| Unread {
            words: u.words.clone(),
            start: self.chars(u.span.start),
            end: self.chars(u.span.end),
        });
        let mut limits = Limits {
            unread: unread.collect(),
            unknown_findings,
            contradictions: coverage.contradictory.iter().map(|f| self.name(*f)).collect(),
            fact_count: u32::try_from(coverage.facts_used).unwrap_or(u32::MAX),
            outside_probability: differential.outside_probability,
            condition_count: u32::try_from(self.knowledge.labels.conditions().len()).unwrap_or(0),
            notes: Vec::new(),
        };
        limits.notes = self.notes(&limits, differential, evidence, patient);
        limits
    }

    pub(super) fn ask(&self, question: &Question) -> Ask {
        let vocabulary = &self.knowledge.diagnosis.vocabulary;
        let finding = vocabulary.get_finding(question.finding);
        let named = |id: &ConditionId| Some(vocabulary.get_condition(*id)?.name_zh.clone());
        Ask {
            finding: self.slug(question.finding),
            name: self.name(question.finding),
            question: finding.map(wording).unwrap_or_default(),
            kind: finding.map(|f| f.kind.name().to_owned()).unwrap_or_default(),
            body_part: finding.map(|f| f.body_part.clone()).unwrap_or_default(),
            worth: question.worth,
            about: question.about.iter().filter_map(named).collect(),
        }
    }

    pub(super) fn test(&self, suggestion: &Suggestion<'_>) -> SuggestedTest {
        let vocabulary = &self.knowledge.diagnosis.vocabulary;
        let named = |id: &ConditionId| Some(vocabulary.get_condition(*id)?.name_zh.clone());
        SuggestedTest {
            test: suggestion.test.id.clone(),
            name: suggestion.test.name_zh.clone(),
            name_en: suggestion.test.name_en.clone(),
            level: care_level(suggestion.test.level),
            worth: suggestion.worth,
            about: suggestion.about.iter().filter_map(named).collect(),
            source: self.cite(&suggestion.test.source),
        }
    }

    /// Plain sentences about what the answer does not cover.
    fn notes(
        &self,
        limits: &Limits,
        differential: &Differential<'_>,
        evidence: &Evidence,
        patient: &Patient,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        let coverage = &differential.coverage;
        if coverage.facts_used == 0 {
            notes.push("没有读到模型认识的症状，未给出鉴别诊断，请补充症状或直接选择".to_owned());
        } else if coverage.is_thin() {
            notes
                .push(format!("模型只依据 {} 项信息，排序不可靠，请补充问诊", coverage.facts_used));
        }
        if limits.outside_probability > OUTSIDE_LIKELY {
            let count = limits.condition_count;
            notes.push(format!("本例很可能不在模型认识的 {count} 种疾病之内"));
        }
        if !limits.unread.is_empty() || !limits.unknown_findings.is_empty() {
            notes.push("有文字或发现未被理解，没有用于判断".to_owned());
        }
        if !coverage.unknown_to_model.is_empty() {
            let names: Vec<_> = coverage.unknown_to_model.iter().map(|f| self.name(*f)).collect();
            notes.push(format!("模型没有使用：{}", names.join("、")));
        }
        if coverage.implausible > 0 {
            notes.push("有测量值不可能成立，没有采用，请复测".to_owned());
        }
        let flags = &self.knowledge.diagnosis.red_flags;
        for open in flags.undecided(evidence, evidence.vitals(), patient).iter().take(UNDECIDED_MAX)
        {
            notes.push(undecided(open));
        }
        notes
    }
}

/// The place as answers carry it.
pub(super) fn triage(triage: medicine::Triage) -> Triage {
    Triage {
        place: match triage.place {
            medicine::Place::Home => CarePlace::Home,
            medicine::Place::Clinic => CarePlace::Clinic,
            medicine::Place::Township => CarePlace::Township,
            medicine::Place::County => CarePlace::County,
            medicine::Place::Ambulance => CarePlace::Ambulance,
        },
        reason: triage.reason,
        emergency: triage.emergency,
        can_wait: triage.can_wait,
    }
}

/// What to find out so that a red flag can be excluded.
fn undecided(open: &UndecidedFlag<'_>) -> String {
    let mut wanted: Vec<&str> = Vec::new();
    for atom in &open.unknown {
        let what = match atom {
            Atom::Measured { measure, .. } => measure_zh(*measure),
            Atom::Age { .. } => "年龄",
            Atom::Sex(_) => "性别",
            Atom::Pregnant => "是否妊娠",
            Atom::Present(_) | Atom::NotPresent(_) => continue,
        };
        if !wanted.contains(&what) {
            wanted.push(what);
        }
    }
    format!("请补充{}，以排除“{}”", wanted.join("、"), open.flag.name_zh)
}

fn measure_zh(measure: Measure) -> &'static str {
    match measure {
        Measure::TemperatureC => "体温",
        Measure::SystolicMmhg => "收缩压",
        Measure::DiastolicMmhg => "舒张压",
        Measure::HeartRateBpm => "心率",
        Measure::RespiratoryRateBpm => "呼吸",
        Measure::Spo2Percent => "血氧饱和度",
        Measure::GlucoseMmolL => "血糖",
        Measure::WhiteCells10e9L => "白细胞",
        Measure::NeutrophilsPercent => "中性粒细胞",
        Measure::HemoglobinGL => "血红蛋白",
        Measure::Platelets10e9L => "血小板",
        Measure::CrpMgL => "C反应蛋白",
        Measure::CreatinineUmolL => "肌酐",
    }
}

fn unit(measure: Measure) -> &'static str {
    match measure {
        Measure::TemperatureC => "℃",
        Measure::SystolicMmhg | Measure::DiastolicMmhg => "mmHg",
        Measure::HeartRateBpm | Measure::RespiratoryRateBpm => "次/分",
        Measure::Spo2Percent | Measure::NeutrophilsPercent => "%",
        Measure::GlucoseMmolL => "mmol/L",
        Measure::WhiteCells10e9L | Measure::Platelets10e9L => "×10⁹/L",
        Measure::HemoglobinGL => "g/L",
        Measure::CrpMgL => "mg/L",
        Measure::CreatinineUmolL => "µmol/L",
    }
}
