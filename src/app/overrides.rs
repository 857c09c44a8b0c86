//! Overrides: why a doctor went on in spite of a finding, kept, remembered for the patient, and
//! explained together with the rule.

use super::access::{Action, Caller, Permit, authorise};
use super::error::Error;
use super::ports::{ListQuery, NewRecord, RecordKind};
use super::prescription_check::{Override, PrescriptionCheck, Problem};
use super::request::{PageRequest, Problems, content_sha256};
use super::{App, encode};
use crate::medicine::prescription::{RuleRow, rule_row};

/// Lists of overrides are told apart from others by this.
const SEAL: &str = "overrides";
/// Characters of a reason, least and most.
const REASON_CHARS: (usize, usize) = (2, 500);
/// Characters of a finding's id at most.
const FINDING_CHARS_MAX: usize = 1_000;
/// Overrides of one patient that are looked at.
const REMEMBERED_MAX: u32 = 200;

/// An override to record.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OverrideRequest {
    /// Empty: the node makes one.
    #[serde(skip)]
    pub request_id: String,
    /// The check.
    pub check: String,
    /// The finding.
    pub finding: String,
    /// Why.
    pub reason: String,
}

/// A finding with the row it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The finding as it was answered.
    pub problem: Problem,
    /// The row as it stands in the tables now.
    pub rule: Option<RuleRow>,
    /// The review item in words; empty where there is none.
    pub review_item: String,
    /// Version of the tables now.
    pub rule_version: String,
    /// Version of the tables then.
    pub checked_rule_version: String,
    /// Overrides of the same finding for this patient, newest first.
    pub overrides: Vec<Override>,
}

impl App {
    /// Records why a doctor went on. `true` when the request id was known and the answer is what
    /// was kept then.
    pub async fn record_override(
        &self,
        caller: &Caller,
        mut request: OverrideRequest,
    ) -> Result<(Override, bool), Error> {
        let permit = authorise(caller, Action::RecordOverride)?;
        request.validate()?;
        let request_json = encode(&request)?;
        let content = content_sha256(&request_json);
        let asked = (RecordKind::Override, &mut request.request_id, "");
        if let Some(kept) = self.answered(&permit, asked, content).await? {
            return Ok((kept, true));
        }
        let (check, _) = self.problem(&permit, &request.check, &request.finding).await?;
        let kept = Override {
            id: self.ids.new_id(),
            created_ms: self.clock.now_ms(),
            check: check.id,
            finding: request.finding,
            reason: request.reason.trim().to_owned(),
            patient_reference: check.patient_reference,
            recorded_by: caller.name.clone(),
        };
        let json = encode(&kept)?;
        let record = NewRecord {
            id: kept.id.clone(),
            kind: RecordKind::Override,
            request_id: request.request_id,
            content_sha256: content,
            patient_reference: kept.patient_reference.clone(),
            created_ms: kept.created_ms,
            request_json,
            answer_json: json.clone(),
            summary_json: json,
            model_version: String::new(),
            rule_version: check.rule_version,
        };
        self.keep(&permit, record, kept).await
    }

    /// Kept overrides, newest first, and the token of the next page.
    pub async fn list_overrides(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<Override>, String), Error> {
        self.list_records(caller, Action::ReadChecks, (RecordKind::Override, SEAL), page).await
    }

    /// A finding of a kept check with the row and the source it comes from.
    pub async fn explain_finding(
        &self,
        caller: &Caller,
        check: &str,
        finding: &str,
    ) -> Result<Explanation, Error> {
        let permit = authorise(caller, Action::ReadChecks)?;
        let mut problems = Problems::default();
        validate_finding(&mut problems, check, finding);
        problems.finish()?;
        let (check, problem) = self.problem(&permit, check, finding).await?;
        let knowledge = self.knowledge.load_full();
        let sources = knowledge.prescription.formulary().sources();
        let item = rule_row(&knowledge.tables, sources, &problem.review_code);
        let mut overrides = self.overrides_of(&permit, &check.patient_reference).await?;
        overrides.retain(|o| o.finding == problem.id);
        Ok(Explanation {
            rule: rule_row(&knowledge.tables, sources, &problem.rule),
            review_item: item.and_then(|row| row.cell("zh")).unwrap_or_default(),
            rule_version: knowledge.prescription.version().to_owned(),
            checked_rule_version: check.rule_version,
            problem,
            overrides,
        })
    }

    /// Overrides of a patient, newest first; none without a reference.
    pub(super) async fn overrides_of(
        &self,
        permit: &Permit<'_>,
        patient_reference: &str,
    ) -> Result<Vec<Override>, Error> {
        if patient_reference.is_empty() {
            return Ok(Vec::new());
        }
        let query = ListQuery {
            kind: RecordKind::Override,
            before_seq: None,
            patient_reference: Some(patient_reference.to_owned()),
            limit: REMEMBERED_MAX,
        };
        let found = self.journal.list(permit, query, self.entry("", patient_reference)).await?;
        let read = |json: &str| serde_json::from_str(json).map_err(|e| Error::internal("store", e));
        found.iter().map(|record| read(&record.summary_json)).collect()
    }

    /// A finding of a kept check.
    async fn problem(
        &self,
        permit: &Permit<'_>,
        check: &str,
        finding: &str,
    ) -> Result<(PrescriptionCheck, Problem), Error> {
        let read =
            self.journal.read(permit, RecordKind::Check, check, self.entry(check, "")).await?;
        let kept = read.ok_or(Error::NotFound { kind: "prescription check" })?;
        let kept: PrescriptionCheck = super::decode(&kept)?;
        let problem = kept.problems.iter().find(|p| p.id == finding).cloned();
        Ok((kept, problem.ok_or(Error::NotFound { kind: "finding" })?))
    }
}

impl OverrideRequest {
    fn validate(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        problems.id("request_id", &self.request_id);
        validate_finding(&mut problems, &self.check, &self.finding);
        let (least, most) = REASON_CHARS;
        problems.unless(
            self.reason.trim().chars().count() >= least,
            "reason",
            "must have at least 2 characters",
        );
        problems.chars("reason", &self.reason, most);
        problems.written("reason", &self.reason);
        problems.finish()
    }
}

fn validate_finding(problems: &mut Problems, check: &str, finding: &str) {
    problems.unless(!check.is_empty(), "check_id", "must not be empty");
    problems.id("check_id", check);
    problems.unless(!finding.trim().is_empty(), "finding_id", "must not be empty");
    problems.chars("finding_id", finding, FINDING_CHARS_MAX);
}
