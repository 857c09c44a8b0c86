//! `xiangyi token`: a bearer token and the configuration that admits it.

use std::process::ExitCode;

use clap::Args;
use sha2::{Digest as _, Sha256};

use super::{Failure, say};
use crate::app::access::Role;
use crate::tables::text::hex;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Name that the audit trail shows
    #[arg(long)]
    name: String,
    /// Role: `village_doctor`, `township_doctor`, `hospital_doctor`, `radiologist`, `pharmacist`,
    /// `public_health_worker`, `auditor` or `administrator`
    #[arg(long, default_value = "village_doctor", value_parser = role)]
    role: Role,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TokenArgs) -> Result<ExitCode, Failure> {
    let mut random = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut random)?;
    let token = format!("xy_{}", hex(&random));
    let sha256 = hex(&Sha256::digest(token.as_bytes()));
    let role = args.role.name();
    if args.json {
        let object = serde_json::json!({
            "token": token, "name": args.name, "sha256": sha256, "role": role,
        });
        say(&format!("{object}\n"))?;
    } else {
        let name = toml::Value::String(args.name.clone());
        say(&format!(
            "Give this token to the client; it is shown once and not kept:\n\n  {token}\n\n\
             Add this to the node's configuration:\n\n\
             [[auth.tokens]]\nname = {name}\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn role(text: &str) -> Result<Role, String> {
    Role::of_person(text).ok_or_else(|| {
        let names: Vec<&str> = Role::PEOPLE.into_iter().map(Role::name).collect();
        format!("must be one of {}", names.join(", "))
    })
}
