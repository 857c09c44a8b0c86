//! Everything a decision needs, built and checked as one and swapped as one.

use std::ops::Deref;
use std::sync::Arc;

use super::consultation::{CareLevel, ConditionFacts, Duty, SeverityLevel};
use super::ports::{IndicationFit, ModelDescription, Predictor};
use crate::medicine::diagnosis::DiagnosisKnowledge;
use crate::medicine::diagnosis::differential::Labels;
use crate::medicine::diagnosis::evidence::Features;
use crate::medicine::names::{NameIndex, NameKind};
use crate::medicine::prescription::{Formulary, PrescriptionKnowledge};
use crate::medicine::treatment::TreatmentKnowledge;
use crate::medicine::vocabulary::{Condition, Referral, Severity};
use crate::sharing::audit::alarms::Limits;
use crate::sharing::authorisation::AuthorisationTable;
use crate::sharing::consent::PolicyTables;
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::discharge::{FollowUpTables, Programmes};
use crate::sharing::imaging::examination::Examinations;
use crate::sharing::patient::PeopleTables;
use crate::sharing::recognition::Policies;
use crate::sharing::reporting::ReportingTables;
use crate::tables::files::{Files, LoadError};

/// Tables and indexes that belong together; nothing of a node's own. Nodes of one process share those
/// that are inside the program.
#[derive(Debug)]
pub struct Tables {
    /// Findings, conditions, reader, red flags, likelihoods.
    pub diagnosis: DiagnosisKnowledge,
    /// Formulary and rules.
    pub prescription: PrescriptionKnowledge,
    /// Treatment plans.
    pub treatment: TreatmentKnowledge,
    /// What a study examined.
    pub examinations: Examinations,
    /// Rules of mutual recognition.
    pub recognition: Policies,
    /// Which programmes a discharge record belongs to.
    pub programmes: Programmes,
    /// What is to be done after discharge.
    pub follow_up: FollowUpTables,
    /// Who may read what for which purpose.
    pub policy: PolicyTables,
    /// What each role may do where. What callers may do is settled when a node starts; a table that is
    /// reloaded counts from the next start on.
    pub authorisation: Arc<AuthorisationTable>,
    /// When the audit trail raises an alarm.
    pub alarms: Limits,
    /// Administrative divisions.
    pub divisions: Divisions,
    /// What is counted for reports, and what is made of it. A hub draws up reports by what it started with.
    pub reporting: Arc<ReportingTables>,
    /// Names of people, and what decides who is who.
    pub people: Arc<PeopleTables>,
    /// Findings by name.
    pub finding_names: NameIndex,
    /// Conditions by name and code.
    pub condition_names: NameIndex,
    /// Medicines by name, alias and code.
    pub medicine_names: NameIndex,
    /// Version of the diagnosis tables.
    pub diagnosis_version: String,
    /// Version of the tables of discharge records.
    pub records_version: String,
    /// Rows that await review and rows reviewed: diagnosis, prescription, treatment,
    /// imaging with recognition, records.
    pub rows: [(u64, u64); 5],
    /// The tables of prescriptions, so that a rule can be shown as it is written.
    pub tables: Files,
}

impl Tables {
    /// Reads and checks the tables in `files`.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let diagnosis = DiagnosisKnowledge::load(files)?;
        let prescription = PrescriptionKnowledge::load(files)?;
        let treatment = TreatmentKnowledge::load(files, prescription.formulary())?;
        let examinations = Examinations::load(files)?;
        let recognition = Policies::load(files, &examinations)?;
        let rows = [
            count_rows(files, "diagnosis/")?,
            count_rows(files, "prescription/")?,
            count_rows(files, "treatment/")?,
            count_rows(files, "imaging/")?,
            count_rows(files, "records/")?,
        ];
        let divisions = Divisions::load(files)?;
        Ok(Self {
            finding_names: finding_names(&diagnosis),
            condition_names: condition_names(&diagnosis),
            medicine_names: medicine_names(prescription.formulary()),
            diagnosis_version: files.digest("diagnosis/", ".csv"),
            records_version: files.digest("records/", ".csv"),
            diagnosis,
            prescription,
            treatment,
            examinations,
            recognition,
            programmes: Programmes::load(files)?,
            follow_up: FollowUpTables::load(files)?,
            policy: PolicyTables::load(files)?,
            authorisation: Arc::new(AuthorisationTable::load(files)?),
            alarms: Limits::load(files)?,
            reporting: Arc::new(ReportingTables::load(files, &divisions)?),
            divisions,
            people: Arc::new(PeopleTables::load(files)?),
            rows,
            tables: files.below("prescription/", ".csv"),
        })
    }
}

/// Tables, and the models that belong to them. What is in the tables is read through this.
#[derive(Debug)]
pub struct Knowledge {
    known: Arc<Tables>,
    /// The differential model.
    pub differential: Arc<dyn Predictor>,
    /// The indication-fit model, where it is switched on.
    pub fit: Option<Arc<dyn IndicationFit>>,
    /// All models, for listing.
    pub models: Vec<ModelDescription>,
    /// From findings to the model's inputs.
    pub features: Features,
    /// From the model's outputs to conditions.
    pub labels: Labels,
}

impl Deref for Knowledge {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        &self.known
    }
}

impl Knowledge {
    /// Joins tables with models, and checks that they fit.
    pub fn build(
        known: Arc<Tables>,
        differential: Arc<dyn Predictor>,
        fit: Option<Arc<dyn IndicationFit>>,
        models: Vec<ModelDescription>,
    ) -> Result<Self, LoadError> {
        let description = differential.description();
        let refused = |why: String| {
            LoadError::file("manifest.toml", format!("model `{}`: {why}", description.id))
        };
        let vocabulary = &known.diagnosis.vocabulary;
        let features = Features::new(vocabulary, &description.features)
            .map_err(|e| refused(format!("features: {e}")))?;
        let labels = Labels::new(vocabulary, &description.labels)
            .map_err(|e| refused(format!("labels: {e}")))?;
        Ok(Self { known, differential, fit, models, features, labels })
    }
}

/// What the tables say of a condition, as answers carry it.
pub fn facts(condition: &Condition) -> ConditionFacts {
    ConditionFacts {
        name: condition.name_zh.clone(),
        name_en: condition.name_en.clone(),
        icd10: condition.icd10.clone(),
        severity: match condition.severity {
            Severity::Mild => SeverityLevel::Mild,
            Severity::Moderate => SeverityLevel::Moderate,
            Severity::Severe => SeverityLevel::Severe,
            Severity::Critical => SeverityLevel::Critical,
        },
        must_not_miss: condition.must_not_miss,
        referral: care_level(condition.referral),
        department: condition.department.clone(),
        reporting: condition.reporting.as_ref().map(|duty| Duty {
            class: duty.class.clone(),
            hours: duty.hours,
            source: duty.source.clone(),
        }),
    }
}

/// The level of care as answers carry it.
pub(super) fn care_level(referral: Referral) -> CareLevel {
    match referral {
        Referral::Village => CareLevel::Village,
        Referral::Township => CareLevel::Township,
        Referral::County => CareLevel::County,
        Referral::City => CareLevel::City,
    }
}

fn finding_names(diagnosis: &DiagnosisKnowledge) -> NameIndex {
    let mut names = NameIndex::builder();
    for (id, finding) in diagnosis.vocabulary.findings() {
        let id = u32::try_from(id.index()).unwrap_or(u32::MAX);
        names.push(id, &finding.name_zh, NameKind::Primary);
        names.push(id, &finding.name_en, NameKind::English);
        names.push(id, &finding.slug, NameKind::Code);
        for synonym in &finding.synonyms {
            names.push(id, synonym, NameKind::Alias);
        }
        for synonym in &finding.synonyms_en {
            names.push(id, synonym, NameKind::English);
        }
    }
    names.build()
}

fn condition_names(diagnosis: &DiagnosisKnowledge) -> NameIndex {
    let mut names = NameIndex::builder();
    for (id, condition) in diagnosis.vocabulary.conditions() {
        let id = u32::try_from(id.index()).unwrap_or(u32::MAX);
        names.push(id, &condition.name_zh, NameKind::Primary);
        names.push(id, &condition.name_en, NameKind::English);
        names.push(id, &condition.slug, NameKind::Code);
        names.push(id, &condition.icd10, NameKind::Code);
        for synonym in &condition.synonyms {
            names.push(id, synonym, NameKind::Alias);
        }
        for synonym in &condition.synonyms_en {
            names.push(id, synonym, NameKind::English);
        }
    }
    names.build()
}

fn medicine_names(formulary: &Formulary) -> NameIndex {
    let mut names = NameIndex::builder();
    for (id, medicine) in (0..).zip(formulary.medicines()) {
        names.push(id, &medicine.name_zh, NameKind::Primary);
        names.push(id, &medicine.name_en, NameKind::English);
        names.push(id, &medicine.code, NameKind::Code);
        for alias in &medicine.aliases {
            names.push(id, alias, NameKind::Alias);
        }
    }
    names.build()
}

/// Rows that await review and rows a clinician has reviewed, over the tables below `prefix`.
fn count_rows(files: &Files, prefix: &str) -> Result<(u64, u64), LoadError> {
    #[derive(serde::Deserialize)]
    struct Row {
        #[serde(default)]
        status: String,
    }
    let (mut draft, mut reviewed) = (0, 0);
    let is_table =
        |p: &&str| p.starts_with(prefix) && p.rsplit_once('.').is_some_and(|s| s.1 == "csv");
    for path in files.paths().filter(is_table) {
        for (_, row) in crate::tables::table::rows::<Row>(files, path)? {
            match row.status.as_str() {
                "reviewed" => reviewed += 1,
                "draft" => draft += 1,
                // A table without the column holds no medical facts (sources, language cues).
                _ => {}
            }
        }
    }
    Ok((draft, reviewed))
}
