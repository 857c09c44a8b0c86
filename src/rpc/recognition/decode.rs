//! From the contract to what the application is asked.

use jiff::civil::Date;

use crate::app::error::Error;
use crate::app::recognition::summary::SummaryRequest;
use crate::app::recognition::{DecisionRequest, PlannedRequest, StatedFacts};
use crate::app::request::Problems;
use crate::rpc::common::known;
use crate::rpc::imaging::{Spelt, day, laterality, whole_region};
use crate::rpc::proto::xiangyi::imaging::v1 as imaging;
use crate::rpc::proto::xiangyi::recognition::v1 as pb;
use crate::sharing::recognition::{
    Decision, Ground, GroundClaim, Institution, Level, Mark, Report, Situation,
};

/// Entries of any list that are looked at; the application refuses longer ones.
const ENTRIES_MAX: usize = 201;

impl TryFrom<pb::AssessRecognitionRequest> for PlannedRequest {
    type Error = Error;

    fn try_from(request: pb::AssessRecognitionRequest) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let planned = planned(&mut problems, request.planned);
        problems.finish()?;
        Ok(planned)
    }
}

impl TryFrom<pb::RecordRecognitionRequest> for DecisionRequest {
    type Error = Error;

    fn try_from(r: pb::RecordRecognitionRequest) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let planned = planned(&mut problems, r.planned);
        let allowed = "DECISION_KIND_RECOGNISED, DECISION_KIND_REPEATED, DECISION_KIND_EXAMINED";
        let kind = known::<pb::DecisionKind>(&mut problems, "kind", r.kind, allowed);
        let repeated = kind == Some(pb::DecisionKind::Repeated);
        let ground = if repeated { ground(&mut problems, "ground", r.ground) } else { None };
        let taken = kind == Some(pb::DecisionKind::Recognised);
        for (said, wanted, field, with) in [
            (!r.study_uid.is_empty(), taken, "study_uid", "DECISION_KIND_RECOGNISED"),
            (r.ground != 0, repeated, "ground", "DECISION_KIND_REPEATED"),
        ] {
            problems.unless(!said || wanted, field, &format!("is only allowed with {with}"));
        }
        let decision = match kind {
            Some(pb::DecisionKind::Recognised) => Decision::Recognised { study: r.study_uid },
            Some(pb::DecisionKind::Repeated) => {
                Decision::Repeated { ground: ground.unwrap_or(Ground::Other) }
            }
            Some(pb::DecisionKind::Examined) => Decision::Examined,
            Some(pb::DecisionKind::Unspecified) | None => {
                problems.unless(kind.is_none(), "kind", &format!("must be one of {allowed}"));
                Decision::Examined
            }
        };
        problems.finish()?;
        Ok(Self {
            request_id: r.request_id,
            planned,
            decision,
            explanation: r.explanation,
            patient_told: r.patient_told,
        })
    }
}

impl From<pb::SummariseRecognitionRequest> for SummaryRequest {
    fn from(r: pb::SummariseRecognitionRequest) -> Self {
        Self { date_from: r.date_from, date_to: r.date_to, asking: r.asking_institution_id }
    }
}

fn planned(problems: &mut Problems, planned: Option<pb::PlannedExamination>) -> PlannedRequest {
    let p = planned.unwrap_or_default();
    let allowed = "PATIENT_SITUATION_UNSPECIFIED, PATIENT_SITUATION_STABLE, \
                   PATIENT_SITUATION_ACUTE, PATIENT_SITUATION_PREOPERATIVE";
    let situation =
        known::<pb::PatientSituation>(problems, "planned.situation", p.situation, allowed);
    let grounds = p.grounds.into_iter().enumerate().take(ENTRIES_MAX).filter_map(|(at, claim)| {
        let field = format!("planned.grounds[{at}].ground");
        let ground = ground(problems, &field, claim.ground)?;
        Some(GroundClaim { ground, explanation: claim.explanation })
    });
    let grounds = grounds.collect();
    let stated = p.stated.into_iter().enumerate().take(ENTRIES_MAX);
    let stated = stated.map(|(at, facts)| self::stated(problems, at, facts)).collect();
    PlannedRequest {
        patient_id: p.patient_id,
        patient_name: p.patient_name,
        birth_date: day(problems, "planned.birth_date", &p.birth_date, Spelt::Plain),
        studies: p.study_uids,
        examination: p.examination_id,
        modality: p.modality,
        text: p.text,
        date: day(problems, "planned.date", &p.date, Spelt::Dashed),
        asking: institution(p.asking),
        situation: match situation {
            Some(pb::PatientSituation::Stable) => Situation::Stable,
            Some(pb::PatientSituation::Acute) => Situation::Acute,
            Some(pb::PatientSituation::Preoperative) => Situation::Preoperative,
            Some(pb::PatientSituation::Unspecified) | None => Situation::Any,
        },
        laterality: laterality(problems, "planned.laterality", p.laterality),
        grounds,
        stated,
        whole_region: whole_region(problems, "planned.scope", p.scope),
    }
}

fn institution(institution: Option<pb::Institution>) -> Institution {
    let pb::Institution { institution_id, region } = institution.unwrap_or_default();
    Institution { id: institution_id, region }
}

fn ground(problems: &mut Problems, field: &str, number: i32) -> Option<Ground> {
    let allowed = "REPEAT_GROUND_CONDITION_CHANGED, REPEAT_GROUND_CHANGES_QUICKLY, \
                   REPEAT_GROUND_DECISIVE, REPEAT_GROUND_EMERGENCY, REPEAT_GROUND_FORENSIC, \
                   REPEAT_GROUND_OTHER";
    match known::<pb::RepeatGround>(problems, field, number, allowed)? {
        pb::RepeatGround::Unspecified => {
            problems.add(field, format!("must be one of {allowed}"));
            None
        }
        pb::RepeatGround::ConditionChanged => Some(Ground::ConditionChanged),
        pb::RepeatGround::ChangesQuickly => Some(Ground::ChangesQuickly),
        pb::RepeatGround::Decisive => Some(Ground::Decisive),
        pb::RepeatGround::Emergency => Some(Ground::Emergency),
        pb::RepeatGround::Forensic => Some(Ground::Forensic),
        pb::RepeatGround::Other => Some(Ground::Other),
    }
}

fn stated(problems: &mut Problems, at: usize, facts: pb::StatedFacts) -> StatedFacts {
    let field = |name: &str| format!("planned.stated[{at}].{name}");
    let allowed = "REPORT_STATE_UNSPECIFIED, REPORT_STATE_ABSENT, REPORT_STATE_UNSIGNED, \
                   REPORT_STATE_SIGNED";
    let report = known::<imaging::ReportState>(problems, &field("report"), facts.report, allowed);
    let report = match report {
        Some(imaging::ReportState::Absent) => Some(Report::Absent),
        Some(imaging::ReportState::Unsigned) => Some(Report::Unsigned),
        Some(imaging::ReportState::Signed) => Some(Report::Signed),
        Some(imaging::ReportState::Unspecified) | None => None,
    };
    let side = laterality(problems, &field("laterality"), facts.laterality);
    let said = facts.marks_complete || !facts.marks.is_empty();
    let marks = facts.marks.into_iter().enumerate().take(ENTRIES_MAX);
    let marks: Vec<Mark> = marks
        .filter_map(|(number, one)| mark(problems, &field(&format!("marks[{number}]")), &one))
        .collect();
    StatedFacts {
        study: facts.study_uid,
        institution: institution(facts.institution),
        report,
        marks: said.then_some(marks),
        laterality: side,
    }
}

fn mark(problems: &mut Problems, field: &str, mark: &pb::Mark) -> Option<Mark> {
    let allowed = "RECOGNITION_LEVEL_COUNTY, RECOGNITION_LEVEL_CITY, \
                   RECOGNITION_LEVEL_PROVINCE, RECOGNITION_LEVEL_NATIONAL";
    let number = mark.level;
    let level = known::<pb::RecognitionLevel>(problems, &format!("{field}.level"), number, allowed);
    let (level, digits) = match level? {
        pb::RecognitionLevel::County => (Level::County, 6),
        pb::RecognitionLevel::City => (Level::City, 4),
        pb::RecognitionLevel::Province => (Level::Province, 2),
        pb::RecognitionLevel::National => (Level::National, 0),
        pb::RecognitionLevel::Unspecified => {
            problems.add(format!("{field}.level"), format!("must be one of {allowed}"));
            return None;
        }
    };
    let fine = mark.scope.len() == digits && mark.scope.bytes().all(|b| b.is_ascii_digit());
    let digits = format!("must have {digits} digits at this level");
    problems.unless(fine, &format!("{field}.scope"), &digits);
    let mut date = |name: &str, text: &str| -> Option<Date> {
        let field = format!("{field}.{name}");
        day(problems, &field, text, Spelt::Dashed).parse().ok()
    };
    let valid_from = date("valid_from", &mark.valid_from);
    let valid_to = date("valid_to", &mark.valid_to);
    problems.unless(valid_from.is_some(), &format!("{field}.valid_from"), "must be a day");
    Some(Mark { level, scope: mark.scope.clone(), valid_from: valid_from?, valid_to })
}
