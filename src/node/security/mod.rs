//! How well a node is protected, by its configuration and the files it has: every door, every credential,
//! every secret's file. Nothing is asked of a running node, and no secret is shown.

pub(super) mod credentials;
pub(super) mod doors;
pub(super) mod files;

use serde::Serialize;

use crate::config::Config;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// As it should be.
    Ok,
    /// Allowed, and less than could be.
    Weak,
    /// To be mended.
    Bad,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `doors`, `dials`, `credentials`, `dicom`, `certificates`, `files`, `storage`, `policies` or
    /// `accounts`.
    pub area: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// What it is about: a key of the configuration, a file, a name.
    pub subject: String,
    /// What is so, and what that means.
    pub means: String,
    /// What to do; empty where nothing is.
    pub remedy: String,
}

impl Finding {
    fn ok(area: &'static str, subject: impl Into<String>, means: impl Into<String>) -> Self {
        let (subject, means) = (subject.into(), means.into());
        Self { area, standing: Standing::Ok, subject, means, remedy: String::new() }
    }

    fn weak(
        area: &'static str,
        subject: impl Into<String>,
        (means, remedy): (impl Into<String>, impl Into<String>),
    ) -> Self {
        let (subject, means, remedy) = (subject.into(), means.into(), remedy.into());
        Self { area, standing: Standing::Weak, subject, means, remedy }
    }

    fn bad(
        area: &'static str,
        subject: impl Into<String>,
        said: (impl Into<String>, impl Into<String>),
    ) -> Self {
        Self { standing: Standing::Bad, ..Self::weak(area, subject, said) }
    }
}

/// Looks at everything. `file` is where the configuration was read.
pub async fn report(config: &Config, file: Option<&std::path::Path>) -> Vec<Finding> {
    let mut all = doors::doors(config);
    all.extend(doors::dials(config));
    all.extend(doors::devices(config));
    all.extend(credentials::credentials(config));
    all.extend(credentials::certificates(config));
    all.extend(Box::pin(credentials::at_hub(config)).await);
    all.extend(Box::pin(credentials::accounts(config)).await);
    all.extend(files::secrets(config, file));
    all.extend(files::storage(config));
    all.extend(files::policies(config));
    all
}
