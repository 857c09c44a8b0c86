//! `xiangyi diagnose`: a differential for a complaint.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::client::Client;
use super::serve::answer;
use super::{Failure, Target, print};
use crate::rpc::proto::xiangyi::common::v1 as common;
use crate::rpc::proto::xiangyi::diagnosis::v1 as pb;

#[derive(Debug, Args)]
pub(super) struct DiagnoseArgs {
    #[command(flatten)]
    case: CaseArgs,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What is known of a patient, as `diagnose` and `interview` take it.
#[derive(Debug, Args)]
pub(super) struct CaseArgs {
    /// Complaint and history in Chinese, for example "发热3天，咳嗽咳黄痰，右胸痛"
    #[arg(long, default_value = "")]
    text: String,
    /// Age in years, fractions for infants
    #[arg(long, value_name = "YEARS")]
    age: Option<f64>,
    /// Sex
    #[arg(long)]
    sex: Option<SexName>,
    /// The patient is pregnant; completed weeks where known
    #[arg(long, value_name = "WEEKS", num_args = 0..=1, default_missing_value = "unknown")]
    pregnant: Option<String>,
    /// A finding that is present, by id, name or synonym; may be repeated
    #[arg(long, value_name = "FINDING")]
    present: Vec<String>,
    /// A finding that is absent; may be repeated
    #[arg(long, value_name = "FINDING")]
    absent: Vec<String>,
    /// Body temperature in °C
    #[arg(long, value_name = "CELSIUS")]
    temperature: Option<f64>,
    /// Blood pressure as systolic/diastolic in mmHg, for example 150/95
    #[arg(long, value_name = "MMHG")]
    blood_pressure: Option<String>,
    /// Heart rate in beats per minute
    #[arg(long, value_name = "BPM")]
    heart_rate: Option<f64>,
    /// Respiratory rate in breaths per minute
    #[arg(long, value_name = "BPM")]
    respiratory_rate: Option<f64>,
    /// Oxygen saturation in percent
    #[arg(long, value_name = "PERCENT")]
    spo2: Option<f64>,
    /// Blood glucose in mmol/L
    #[arg(long, value_name = "MMOL")]
    glucose: Option<f64>,
    /// White blood cells in 10^9/L
    #[arg(long, value_name = "COUNT")]
    white_cells: Option<f64>,
    /// Neutrophils in percent of the white cells
    #[arg(long, value_name = "PERCENT")]
    neutrophils: Option<f64>,
    /// Haemoglobin in g/L
    #[arg(long, value_name = "GRAMS")]
    hemoglobin: Option<f64>,
    /// Platelets in 10^9/L
    #[arg(long, value_name = "COUNT")]
    platelets: Option<f64>,
    /// C-reactive protein in mg/L
    #[arg(long, value_name = "MG")]
    crp: Option<f64>,
    /// Serum creatinine in µmol/L
    #[arg(long, value_name = "UMOL")]
    creatinine: Option<f64>,
    /// Month of the visit, 1 to 12: the season counts; without it, it does not
    #[arg(long, value_name = "MONTH", default_value_t = 0, hide_default_value = true)]
    month: u32,
    /// How many conditions to show
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    count: u32,
    /// Makes the call idempotent on a node
    #[arg(long, value_name = "ID", default_value = "")]
    request_id: String,
}

impl CaseArgs {
    /// The same in the form of the contract.
    pub(super) fn request(&self) -> Result<pb::DiagnoseRequest, Failure> {
        let sex = match self.sex {
            Some(SexName::Male) => common::Sex::Male,
            Some(SexName::Female) => common::Sex::Female,
            None => common::Sex::Unspecified,
        };
        let (pregnancy, pregnancy_weeks) = match self.pregnant.as_deref() {
            None => (common::PregnancyStatus::Unspecified, None),
            Some("unknown") => (common::PregnancyStatus::Pregnant, None),
            Some(weeks) => {
                let weeks =
                    weeks.parse().map_err(|_| "--pregnant must be weeks, for example 20")?;
                (common::PregnancyStatus::Pregnant, Some(weeks))
            }
        };
        let (systolic_mmhg, diastolic_mmhg) = match &self.blood_pressure {
            None => (None, None),
            Some(text) => {
                let parsed = text
                    .split_once('/')
                    .and_then(|(s, d)| Some((s.parse().ok()?, d.parse().ok()?)));
                let (systolic, diastolic): (f64, f64) = parsed
                    .ok_or("--blood-pressure must be systolic/diastolic, for example 150/95")?;
                (Some(systolic), Some(diastolic))
            }
        };
        let finding = |state: pb::FindingState| {
            move |name: &String| pb::FindingInput { finding: name.clone(), state: state.into() }
        };
        let present = self.present.iter().map(finding(pb::FindingState::Present));
        let absent = self.absent.iter().map(finding(pb::FindingState::Absent));
        Ok(pb::DiagnoseRequest {
            request_id: self.request_id.clone(),
            patient: Some(common::Patient {
                age_years: self.age,
                sex: sex.into(),
                pregnancy: pregnancy.into(),
                pregnancy_weeks,
                ..common::Patient::default()
            }),
            text: self.text.clone(),
            findings: present.chain(absent).collect(),
            vitals: Some(common::Vitals {
                temperature_c: self.temperature,
                systolic_mmhg,
                diastolic_mmhg,
                heart_rate_bpm: self.heart_rate,
                respiratory_rate_bpm: self.respiratory_rate,
                spo2_percent: self.spo2,
                glucose_mmol_l: self.glucose,
                white_cells_10e9_l: self.white_cells,
                neutrophils_percent: self.neutrophils,
                hemoglobin_g_l: self.hemoglobin,
                platelets_10e9_l: self.platelets,
                crp_mg_l: self.crp,
                creatinine_umol_l: self.creatinine,
            }),
            condition_count_max: self.count,
            month: self.month,
        })
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SexName {
    Male,
    Female,
}

pub(super) async fn run(args: DiagnoseArgs) -> Result<ExitCode, Failure> {
    let request = args.case.request()?;
    let client = Client::open(&args.target).await?;
    let response = client.diagnose(request).await?;
    answer(args.json, "xiangyi.diagnosis.v1.DiagnoseResponse", &response, || {
        let mut text = String::new();
        if let Some(consultation) = &response.consultation {
            text.push_str(&print::consultation(consultation));
            text.push_str(&consultation.disclaimer);
            text.push('\n');
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}
