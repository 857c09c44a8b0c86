//! `xiangyi admin account`: the accounts of a node, in its database, whether it runs or not.
//!
//! A password is asked for on the terminal or read from a file or standard input; it never stands on the
//! command line, where every process of the machine could read it.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::app::access::{Caller, Role};
use crate::app::error::Error;
use crate::app::identity::accounts::Accounts;
use crate::app::identity::accounts::password::BYTES_MAX;
use crate::app::identity::accounts::ports::{AccountLine, Change};
use crate::cli::{Failure, say};
use crate::config::{Config, client_variable};
use crate::node;

#[derive(Debug, Args)]
pub(super) struct AccountArgs {
    /// Configuration of the node
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Make an account
    Add {
        /// Name: letters, digits and . - _ @
        #[arg(long)]
        name: String,
        #[command(flatten)]
        role: RoleArgs,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List accounts
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Let nobody sign in with an account, and end its sessions
    Disable {
        /// Name
        #[arg(long)]
        name: String,
    },
    /// Let somebody sign in with an account again
    Enable {
        /// Name
        #[arg(long)]
        name: String,
    },
    /// Forget the failed tries of an account
    Unlock {
        /// Name
        #[arg(long)]
        name: String,
    },
    /// Give an account another password, and end its sessions
    Password {
        /// Name
        #[arg(long)]
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give an account another role and scope, and end its sessions
    Role {
        /// Name
        #[arg(long)]
        name: String,
        #[command(flatten)]
        role: RoleArgs,
    },
}

#[derive(Debug, Args)]
struct RoleArgs {
    /// Role: `village_doctor`, `pharmacist`, `auditor` or `administrator`
    #[arg(long, value_parser = role)]
    role: Role,
    /// Where the account may work, for example an administrative division code; may stand several times
    #[arg(long, value_name = "CODE")]
    scope: Vec<String>,
}

#[derive(Debug, Args)]
struct PasswordArgs {
    /// File with the password, `-` for standard input; without it the terminal asks
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(super) async fn run(args: AccountArgs) -> Result<ExitCode, Failure> {
    let path = args.config.or_else(|| client_variable("XIANGYI_CONFIG").map(PathBuf::from));
    let config = Config::load(path.as_deref())?;
    let accounts = node::accounts::beside(&config).await?;
    let caller = Caller::local("command line");
    let done = match args.command {
        AccountCommand::Add { name, role, password } => {
            let password = password.read()?;
            let of = (name.as_str(), password.as_str());
            let (role, scope) = (role.role, role.scope);
            Box::pin(accounts.add(&caller, of, (role, scope))).await.map_err(told)?;
            if config.auth.accounts.is_none() {
                say("The node admits no accounts yet: add the section [auth.accounts] to its \
                     configuration and start it again.\n")?;
            }
            "added"
        }
        AccountCommand::List { json } => return list(&accounts, &caller, json).await,
        AccountCommand::Disable { name } => {
            accounts.change(&caller, &name, Change::Disabled(true)).await.map_err(told)?;
            "disabled"
        }
        AccountCommand::Enable { name } => {
            accounts.change(&caller, &name, Change::Disabled(false)).await.map_err(told)?;
            "enabled"
        }
        AccountCommand::Unlock { name } => {
            accounts.change(&caller, &name, Change::Unlock).await.map_err(told)?;
            "unlocked"
        }
        AccountCommand::Password { name, password } => {
            let password = password.read()?;
            Box::pin(accounts.set_password(&caller, &name, &password)).await.map_err(told)?;
            "given another password"
        }
        AccountCommand::Role { name, role } => {
            let change = Change::Role(role.role, role.scope);
            accounts.change(&caller, &name, change).await.map_err(told)?;
            "given another role"
        }
    };
    say(&format!("The account was {done}.\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(accounts: &Accounts, caller: &Caller, json: bool) -> Result<ExitCode, Failure> {
    let lines = accounts.list(caller).await.map_err(told)?;
    let state = |line: &AccountLine| {
        if line.disabled {
            "disabled"
        } else if line.locked_until_ms.is_some() {
            "locked"
        } else {
            "active"
        }
    };
    for line in &lines {
        let text = if json {
            let object = serde_json::json!({
                "name": line.name, "role": line.role.name(), "scope": line.scope,
                "state": state(line), "created_ms": line.created_ms,
                "signed_in_ms": line.signed_in_ms,
            });
            format!("{object}\n")
        } else {
            let scope = line.scope.join(" ");
            format!("{}\t{}\t{}\t{scope}\n", line.name, line.role.name(), state(line))
        };
        say(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl PasswordArgs {
    fn read(&self) -> Result<String, Failure> {
        match self.password_file.as_deref() {
            Some(path) if path == Path::new("-") => first_line(std::io::stdin().lock(), "-"),
            Some(path) => {
                let named = |e| format!("{}: {e}", path.display());
                first_line(std::fs::File::open(path).map_err(named)?, &path.display().to_string())
            }
            None if std::io::stdin().is_terminal() => {
                let first = rpassword::prompt_password("Password: ")?;
                if rpassword::prompt_password("Once more: ")? != first {
                    return Err("the two are not the same".into());
                }
                Ok(first)
            }
            None => {
                Err("no terminal to ask for the password: give --password-file FILE, or - for \
                         standard input"
                    .into())
            }
        }
    }
}

/// The first line, without its end.
fn first_line(from: impl std::io::Read, name: &str) -> Result<String, Failure> {
    let most = u64::try_from(BYTES_MAX + 2).unwrap_or(u64::MAX);
    let mut text = String::new();
    from.take(most).read_to_string(&mut text).map_err(|e| format!("{name}: {e}"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn role(text: &str) -> Result<Role, String> {
    Role::ALL
        .into_iter()
        .filter(|r| ![Role::Local, Role::DicomPeer, Role::Node].contains(r))
        .find(|r| r.name() == text)
        .ok_or_else(|| "must be village_doctor, pharmacist, auditor or administrator".to_owned())
}

/// An error as a person reads it.
fn told(error: Error) -> Failure {
    if matches!(error, Error::Unavailable { .. } | Error::Internal { .. }) {
        error.into()
    } else {
        error.public().into()
    }
}
