//! `xiangyi imaging assess`: whether a study stands in the place of a planned examination.

use std::process::ExitCode;

use clap::Args;

use super::super::client::readable;
use super::super::serve::answer;
use super::super::{Failure, Target};
use super::{open, scope, show};
use crate::rpc::proto::xiangyi::recognition::v1 as pb;
use crate::rpc::proto::xiangyi::recognition::v1::recognition_service_client::RecognitionServiceClient;

#[derive(Debug, Args)]
pub(super) struct AssessArgs {
    /// Patient ID as in the images
    #[arg(long, value_name = "ID")]
    patient_id: String,
    /// Patient's name; needed where several persons have one ID
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// Birth date, `1960-01-31`
    #[arg(long, value_name = "DAY", default_value = "")]
    born: String,
    /// The planned examination as it is written, for example `颅脑CT平扫`
    #[arg(long, value_name = "TEXT", default_value = "")]
    text: String,
    /// The planned examination by id, for example `ct.brain.plain`
    #[arg(long, value_name = "ID", default_value = "")]
    examination: String,
    /// Modality of the planned examination, for example `CT`
    #[arg(long, value_name = "CODE", default_value = "")]
    modality: String,
    /// Day on which it is planned; without it today
    #[arg(long, value_name = "DAY", default_value = "")]
    date: String,
    /// Id of the institution that asks, as in the table of institutions
    #[arg(long, value_name = "ID", default_value = "")]
    asking: String,
    /// Code of the county of the institution that asks, six digits
    #[arg(long, value_name = "CODE", default_value = "")]
    region: String,
    /// How the patient is: `stable`, `acute` or `preoperative`
    #[arg(long, value_name = "SITUATION", value_parser = situation)]
    situation: Option<pb::PatientSituation>,
    /// Look for the patient's studies in the whole region
    #[arg(long)]
    everywhere: bool,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: AssessArgs) -> Result<ExitCode, Failure> {
    let client = open(&args.target).await?;
    let planned = pb::PlannedExamination {
        patient_id: args.patient_id,
        patient_name: args.name,
        birth_date: args.born,
        examination_id: args.examination,
        modality: args.modality,
        text: args.text,
        date: args.date,
        asking: Some(pb::Institution { institution_id: args.asking, region: args.region }),
        situation: args.situation.unwrap_or_default().into(),
        scope: scope(args.everywhere).into(),
        ..pb::PlannedExamination::default()
    };
    let request = pb::AssessRecognitionRequest { planned: Some(planned) };
    let mut service = RecognitionServiceClient::new(client.node()?);
    let found = service.assess_recognition(client.dressed(request)).await;
    let found = found.map_err(|s| readable(&s))?.into_inner();
    answer(args.json, "xiangyi.recognition.v1.AssessRecognitionResponse", &found, || {
        show::assessed(&found)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn situation(text: &str) -> Result<pb::PatientSituation, String> {
    match text {
        "stable" => Ok(pb::PatientSituation::Stable),
        "acute" => Ok(pb::PatientSituation::Acute),
        "preoperative" => Ok(pb::PatientSituation::Preoperative),
        _ => Err("must be stable, acute or preoperative".to_owned()),
    }
}
