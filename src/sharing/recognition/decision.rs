//! A decision that was taken, kept with what it was taken on, and explained by the rules of its
//! day.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::assess::assess;
use super::policy::{Ground, Policies};
use super::study::{Assessment, Conclusion, Existing, Planned};

/// What the doctor decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A study stands in the place of the planned examination; written into the chart.
    Recognised {
        /// Its reference.
        study: String,
    },
    /// Examined again although a study would do, on one of the six grounds; the patient was told.
    Repeated {
        /// The ground.
        ground: Ground,
    },
    /// Examined because no study stood in its place.
    Examined,
}

/// A decision as it is kept. Fields may be added with a default, never renamed or given another
/// meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Day of the decision: its rules count.
    #[serde(with = "super::rows::written_day")]
    pub date: Date,
    /// Version of the tables that were in use.
    pub policy_version: String,
    /// What was planned.
    pub planned: Planned,
    /// The studies as they were known then.
    pub existing: Vec<Existing>,
    /// What the answer was.
    pub conclusion: Conclusion,
    /// What was decided.
    pub decision: Decision,
}

/// A past decision, worked out again.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The answer by the rules of that day.
    pub assessment: Assessment,
    /// Whether the answer is the one that was kept. If not, the rows of that day were changed
    /// afterwards.
    pub same_conclusion: bool,
    /// Whether the tables are the ones that were in use.
    pub same_tables: bool,
    /// Whether the decision follows the answer.
    pub follows: bool,
}

/// Works a past decision out again, by the rules that were in force on its day.
pub fn explain(policies: &Policies, record: &DecisionRecord) -> Explanation {
    let policy = policies.on(record.date);
    let assessment = assess(&policy, &record.planned, &record.existing);
    let recognised = |study: &str| {
        use super::study::Verdict;
        assessment.studies.iter().any(|s| {
            s.study == study
                && matches!(s.verdict, Verdict::Recognised | Verdict::RecognisedWithRemark)
        })
    };
    let follows = match &record.decision {
        Decision::Recognised { study } => recognised(study),
        Decision::Repeated { ground } => {
            assessment.grounds.iter().any(|g| g.ground == *ground && g.accepted)
        }
        Decision::Examined => {
            matches!(assessment.conclusion, Conclusion::Needed | Conclusion::Unclear)
        }
    };
    Explanation {
        same_conclusion: assessment.conclusion == record.conclusion,
        same_tables: policies.version() == record.policy_version,
        follows,
        assessment,
    }
}
