//! `xiangyi calculate`: scores and estimates.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::client::Client;
use super::plan::number;
use super::serve::answer;
use super::{Failure, Target};
use crate::rpc::proto::xiangyi::treatment::v1 as pb;

#[derive(Debug, Args)]
#[command(
    after_help = "Example: xiangyi calculate ckd_epi_2021 creatinine_umol_l=110 age_years=62 female=1"
)]
pub(super) struct CalculateArgs {
    /// Name of the calculator; without it all are listed with their inputs
    name: Option<String>,
    /// Inputs
    #[arg(value_name = "INPUT=VALUE", value_parser = number)]
    inputs: Vec<(String, f64)>,
    /// Print the answer as JSON, in the form of the contract
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: CalculateArgs) -> Result<ExitCode, Failure> {
    let client = Client::open(&args.target).await?;
    let Some(name) = args.name else {
        let response = client.calculators().await?;
        answer(args.json, "xiangyi.treatment.v1.ListCalculatorsResponse", &response, || {
            let mut out = String::new();
            for c in &response.calculators {
                let _ = writeln!(out, "{}  {}（{}）", c.name, c.title, c.source);
                for i in &c.inputs {
                    let optional = if i.optional { "，可不填" } else { "" };
                    let _ = writeln!(
                        out,
                        "    {:<24} {}：{} 到 {} {}{optional}",
                        i.name, i.label, i.min, i.max, i.unit
                    );
                }
            }
            out
        })?;
        return Ok(ExitCode::SUCCESS);
    };
    let request = pb::CalculateRequest { name, inputs: args.inputs.into_iter().collect() };
    let response = client.calculate(request).await?;
    answer(args.json, "xiangyi.treatment.v1.CalculateResponse", &response, || {
        format!(
            "{} {}　{}\n依据：{}\n",
            response.value, response.unit, response.meaning, response.source
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
