//! From what the application answers to the contract.

use std::collections::{BTreeMap, HashMap};

use crate::app::consultation::DISCLAIMER_ZH;
use crate::app::imaging::study::StudyFacts;
use crate::app::recognition::summary::{Summary, Tally};
use crate::app::recognition::{Answer, Assessed, DecisionLine, Explained, ItemPage, KeptDecision};
use crate::rpc::common::timestamp;
use crate::rpc::proto::xiangyi::recognition::v1 as pb;
use crate::sharing::recognition::{
    Conclusion, Decision, Ground, GroundReason, GroundText, Institution, Item, Level, Outcome,
    Reason, Required, Situation, StudyAssessment, Verdict,
};

impl From<ItemPage> for pb::ListRecognitionItemsResponse {
    fn from(page: ItemPage) -> Self {
        Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token,
            grounds: page.grounds.into_iter().map(Into::into).collect(),
            policy_version: page.policy_version,
        }
    }
}

impl From<Item> for pb::RecognitionItem {
    fn from(item: Item) -> Self {
        let levels = item.levels.into_iter();
        let validities = item.validities.into_iter();
        Self {
            examination_id: item.examination,
            name: item.zh,
            levels: levels
                .map(|(level, scope)| pb::ItemLevel { level: self::level(level).into(), scope })
                .collect(),
            validities: validities
                .map(|(of, days, source)| pb::Validity {
                    situation: situation(of).into(),
                    days,
                    source,
                })
                .collect(),
            requirements: item.requirements.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Required> for pb::Requirement {
    fn from(r: Required) -> Self {
        Self { check: r.check.to_owned(), limit: r.limit, required: r.decides, source: r.source }
    }
}

impl From<GroundText> for pb::GroundText {
    fn from(text: GroundText) -> Self {
        Self {
            ground: ground(text.ground).into(),
            clause: text.clause,
            doctor_text: text.doctor_zh,
            patient_text: text.patient_zh,
        }
    }
}

impl From<Answer> for pb::AssessRecognitionResponse {
    fn from(answer: Answer) -> Self {
        let studies: HashMap<String, StudyFacts> =
            answer.studies.into_iter().map(|s| (s.found.header.study.uid.clone(), s)).collect();
        let assessments = answer.assessed.into_iter().map(|one| {
            let mut assessment = assessed(one);
            for study in &mut assessment.studies {
                study.study = studies.get(&study.study_uid).cloned().map(Into::into);
            }
            assessment
        });
        Self {
            assessments: assessments.collect(),
            date: answer.date.to_string(),
            policy_version: answer.policy_version,
            left_out_count: answer.left_out,
            disclaimer: DISCLAIMER_ZH.to_owned(),
            region: answer.region.map(Into::into),
        }
    }
}

fn assessed(one: Assessed) -> pb::Assessment {
    pb::Assessment {
        examination_id: one.examination,
        examination_name: one.name,
        conclusion: conclusion(one.assessment.conclusion).into(),
        studies: one.assessment.studies.into_iter().map(Into::into).collect(),
        grounds: one.assessment.grounds.into_iter().map(Into::into).collect(),
    }
}

impl From<StudyAssessment> for pb::StudyAssessment {
    fn from(study: StudyAssessment) -> Self {
        Self {
            study_uid: study.study,
            verdict: match study.verdict {
                Verdict::Recognised => pb::Verdict::Recognised,
                Verdict::RecognisedWithRemark => pb::Verdict::RecognisedWithRemark,
                Verdict::CannotSay => pb::Verdict::CannotSay,
                Verdict::NotRecognised => pb::Verdict::NotRecognised,
            }
            .into(),
            reasons: study.reasons.into_iter().map(Into::into).collect(),
            study: None,
        }
    }
}

impl From<Reason> for pb::Reason {
    fn from(reason: Reason) -> Self {
        Self {
            code: reason.code.as_str().to_owned(),
            outcome: match reason.outcome {
                Outcome::Failed => pb::ReasonOutcome::Failed,
                Outcome::Unknown => pb::ReasonOutcome::Unknown,
                Outcome::Remark => pb::ReasonOutcome::Remark,
                Outcome::Met => pb::ReasonOutcome::Met,
            }
            .into(),
            clause: reason.clause,
            doctor_text: reason.doctor_zh,
            patient_text: reason.patient_zh,
        }
    }
}

impl From<GroundReason> for pb::GroundAssessment {
    fn from(reason: GroundReason) -> Self {
        Self {
            ground: ground(reason.ground).into(),
            accepted: reason.accepted,
            clause: reason.clause,
            doctor_text: reason.doctor_zh,
            patient_text: reason.patient_zh,
        }
    }
}

/// A kept decision.
pub(super) fn decision(kept: &KeptDecision) -> pb::RecognitionDecision {
    DecisionLine::from(kept).into()
}

impl From<DecisionLine> for pb::RecognitionDecision {
    fn from(line: DecisionLine) -> Self {
        let (kind, study_uid, on) = match line.decision {
            Decision::Recognised { study } => {
                (pb::DecisionKind::Recognised, study, pb::RepeatGround::Unspecified)
            }
            Decision::Repeated { ground: on } => {
                (pb::DecisionKind::Repeated, String::new(), ground(on))
            }
            Decision::Examined => {
                (pb::DecisionKind::Examined, String::new(), pb::RepeatGround::Unspecified)
            }
        };
        Self {
            decision_id: line.id,
            request_id: line.request_id,
            create_time: Some(timestamp(line.created_ms)),
            date: line.date,
            patient_id: line.patient_id,
            examination_id: line.examination,
            examination_name: line.examination_name,
            kind: kind.into(),
            study_uid,
            ground: on.into(),
            explanation: line.explanation,
            conclusion: conclusion(line.conclusion).into(),
            follows: line.follows,
            asking: Some(line.asking.into()),
            holder: line.holder,
            refusal_codes: line.refusals,
            policy_version: line.policy_version,
            recorded_by: line.recorded_by,
        }
    }
}

impl From<Institution> for pb::Institution {
    fn from(institution: Institution) -> Self {
        Self { institution_id: institution.id, region: institution.region }
    }
}

impl From<Explained> for pb::ExplainDecisionResponse {
    fn from(explained: Explained) -> Self {
        let Explained { kept, explanation } = explained;
        Self {
            decision: Some(decision(&kept)),
            assessment: Some(assessed(Assessed {
                examination: kept.examination,
                name: kept.examination_name,
                assessment: explanation.assessment,
            })),
            same_conclusion: explanation.same_conclusion,
            same_tables: explanation.same_tables,
            follows: explanation.follows,
        }
    }
}

impl From<Summary> for pb::SummariseRecognitionResponse {
    fn from(s: Summary) -> Self {
        let all = |tallies: BTreeMap<String, Tally>| {
            tallies.into_iter().map(|(key, tally)| count(key, tally)).collect()
        };
        Self {
            total: Some(count(String::new(), s.total)),
            deviating_count: s.deviating,
            examinations: all(s.examinations),
            grounds: all(s.grounds),
            refusals: all(s.refusals),
            asking: all(s.asking),
            holders: all(s.holders),
            months: all(s.months),
            truncated: s.truncated,
        }
    }
}

fn count(key: String, tally: Tally) -> pb::Count {
    pb::Count {
        key,
        name: tally.name,
        recognised_count: tally.recognised,
        repeated_count: tally.repeated,
        examined_count: tally.examined,
    }
}

fn conclusion(conclusion: Conclusion) -> pb::Conclusion {
    match conclusion {
        Conclusion::NotNeeded => pb::Conclusion::NotNeeded,
        Conclusion::RepeatAllowed => pb::Conclusion::RepeatAllowed,
        Conclusion::Unclear => pb::Conclusion::Unclear,
        Conclusion::Needed => pb::Conclusion::Needed,
    }
}

fn ground(ground: Ground) -> pb::RepeatGround {
    match ground {
        Ground::ConditionChanged => pb::RepeatGround::ConditionChanged,
        Ground::ChangesQuickly => pb::RepeatGround::ChangesQuickly,
        Ground::Decisive => pb::RepeatGround::Decisive,
        Ground::Emergency => pb::RepeatGround::Emergency,
        Ground::Forensic => pb::RepeatGround::Forensic,
        Ground::Other => pb::RepeatGround::Other,
    }
}

fn level(level: Level) -> pb::RecognitionLevel {
    match level {
        Level::County => pb::RecognitionLevel::County,
        Level::City => pb::RecognitionLevel::City,
        Level::Province => pb::RecognitionLevel::Province,
        Level::National => pb::RecognitionLevel::National,
    }
}

fn situation(situation: Situation) -> pb::PatientSituation {
    match situation {
        Situation::Any => pb::PatientSituation::Unspecified,
        Situation::Stable => pb::PatientSituation::Stable,
        Situation::Acute => pb::PatientSituation::Acute,
        Situation::Preoperative => pb::PatientSituation::Preoperative,
    }
}
