//! Configuration: one struct per section, unknown keys refused, everything checked before start.
//! The only reader of the environment.
//!
//! A TOML file gives the sections; `XIANGYI_<SECTION>_<KEY>` in the environment overrides one key,
//! for example `XIANGYI_SERVER_LISTEN=127.0.0.1:50051`.

mod accounts;
mod auth;
mod encryption;
mod exchange;
mod fhir;
mod forwarding;
mod imaging;
mod link;
mod models;
mod oidc;
mod reporting;
mod secret;
mod web;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::accounts::AccountsSection;
pub use self::auth::{AuthSection, TokenSection};
pub use self::encryption::{EncryptionSection, HsmSection};
pub use self::exchange::ExchangeSection;
pub use self::fhir::FhirSection;
pub use self::forwarding::{ForwardingRule, ForwardingSection, ProgrammeName};
pub use self::imaging::{
    CopiesSection, DicomSection, ImagingModelsSection, ImagingSection, IndexName, PacsSection,
    PeerSection, RetrieveName, S3Section,
};
pub use self::link::{CaSection, LinkSection, MemberSection};
pub use self::models::{EngineName, ModelsSection, PrecisionName};
pub use self::oidc::OidcSection;
pub use self::reporting::ReportingSection;
pub use self::secret::SecretUrl;
pub use self::web::WebSection;

/// Where systemd says that credentials are.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// Environment variables that start like an override and are none.
const RESERVED: [&str; 7] = [
    "XIANGYI_BINARY",
    "XIANGYI_CONFIG",
    "XIANGYI_TOKEN",
    "XIANGYI_REQUIRE_ORT",
    "XIANGYI_REQUIRE_POSTGRES",
    "XIANGYI_TEST_POSTGRES",
    "XIANGYI_SERVER_URL",
];

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What this node is.
    pub node: NodeSection,
    /// The gRPC door.
    pub server: ServerSection,
    /// Credentials.
    pub auth: AuthSection,
    /// Models and knowledge.
    pub models: ModelsSection,
    /// What is kept.
    pub store: StoreSection,
    /// What is kept is sealed.
    pub encryption: EncryptionSection,
    /// What is kept of images.
    pub imaging: ImagingSection,
    /// The DICOM door.
    pub dicom: DicomSection,
    /// The DICOMweb door.
    pub web: WebSection,
    /// The FHIR door.
    pub fhir: FhirSection,
    /// What goes on to other archives.
    pub forwarding: ForwardingSection,
    /// Between nodes and their hub.
    pub link: LinkSection,
    /// At the hub: documents that nodes exchange.
    pub exchange: ExchangeSection,
    /// At the hub: reports of how far the programme has come.
    pub reporting: ReportingSection,
    /// The metrics door.
    pub metrics: MetricsSection,
    /// Logs.
    pub log: LogSection,
}

/// What this node is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSection {
    /// Name shown to callers and in logs.
    pub name: String,
    /// Role: `clinic`, `hospital` or `hub`.
    pub role: NodeRole,
    /// Name of the institution the node stands in, as in the table of institutions: what is
    /// recognised depends on who asks. May be empty.
    pub institution: String,
    /// Administrative division code of where the node stands, 6, 9 or 12 digits: its region's policy
    /// decides who may read records. Empty: that of the city of Shangrao.
    pub area: String,
}

/// Where a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Village or township clinic.
    Clinic,
    /// Beside a hospital's systems.
    Hospital,
    /// The prefecture's data centre.
    Hub,
}

/// The gRPC door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// PEM certificate chain; turns TLS on, together with `tls_key`.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key.
    pub tls_key: Option<PathBuf>,
    /// PEM certificates of the authorities whose client certificates are required.
    pub tls_client_ca: Option<PathBuf>,
    /// Largest message taken, in bytes.
    pub message_bytes_max: usize,
    /// Calls that run at the same time.
    pub concurrency_max: usize,
    /// Calls that wait for a place; more are answered `RESOURCE_EXHAUSTED`.
    pub queue_max: usize,
    /// Connections at the same time; who comes when all are taken waits.
    pub connections_max: usize,
    /// A connection on which nothing comes and nothing goes for so long, and for longer than a call may
    /// take, is closed; in milliseconds.
    pub idle_timeout_ms: u64,
    /// Streams one connection may have open.
    pub streams_per_connection_max: u32,
    /// Longest a call may take, waiting included, in milliseconds.
    pub call_timeout_ms: u64,
    /// How long running calls may finish after SIGTERM, in milliseconds.
    pub drain_timeout_ms: u64,
    /// Origins that browsers may call from over gRPC-Web; `*` for any.
    pub cors_origins: Vec<String>,
    /// Whether gRPC reflection answers.
    pub reflection: bool,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// Directory of the database.
    pub dir: PathBuf,
    /// Commits that wait; more are answered `RESOURCE_EXHAUSTED`.
    pub writes_max: usize,
}

/// The metrics door.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSection {
    /// Address of `GET /metrics` and `GET /healthz` over plain HTTP; loopback only; none: off.
    pub listen: Option<SocketAddr>,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// A `tracing` filter, for example `info` or `info,xiangyi=debug`.
    pub level: String,
    /// `json` or `text`.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be; the message names line and key.
    #[error("{0}")]
    Syntax(String),
    /// A value is not allowed; the message names the key.
    #[error("{0}")]
    Value(String),
}

impl Default for NodeSection {
    fn default() -> Self {
        Self {
            name: "xiangyi".to_owned(),
            role: NodeRole::Clinic,
            institution: String::new(),
            area: String::new(),
        }
    }
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50_051)),
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            message_bytes_max: 4 * 1024 * 1024,
            concurrency_max: 64,
            queue_max: 256,
            connections_max: 4096,
            idle_timeout_ms: 300_000,
            streams_per_connection_max: 256,
            call_timeout_ms: 10_000,
            drain_timeout_ms: 10_000,
            cors_origins: Vec::new(),
            reflection: true,
        }
    }
}

impl Default for StoreSection {
    fn default() -> Self {
        Self { dir: PathBuf::from("xiangyi-data"), writes_max: 1024 }
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Json }
    }
}

impl Config {
    /// Reads `path`, if any, overlays the process environment, and checks everything.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
            None => String::new(),
        };
        let name = path.map_or_else(|| "defaults".to_owned(), |p| p.display().to_string());
        Self::parse(&name, &text, &environment())
    }

    /// Reads `text` (called `name` in messages), overlays `environment`, and checks everything.
    pub fn parse(
        name: &str,
        text: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        // First the file alone, so that messages carry its lines.
        let mut config: Self =
            toml::from_str(text).map_err(|e| ConfigError::Syntax(describe(name, text, &e)))?;
        for (variable, value) in environment {
            config = config.with_override(variable, value)?;
        }
        if config.models.onnxruntime_library.is_none() {
            config.models.onnxruntime_library =
                environment.get("ORT_DYLIB_PATH").map(PathBuf::from);
        }
        if config.encryption.credential.is_some() && config.encryption.credentials_dir.is_none() {
            config.encryption.credentials_dir = environment.get(CREDENTIALS).map(PathBuf::from);
        }
        config.validate()?;
        Ok(config)
    }

    /// The configuration as TOML, passwords hidden.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.redacted()).unwrap_or_default()
    }

    /// The configuration with its passwords hidden, for printing.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut shown = self.clone();
        if let Some(url) = &mut shown.imaging.postgres_url {
            *url = url.redacted();
        }
        shown
    }

    /// Checks what types cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let server = &self.server;
        check_tls(server)?;
        if !server.listen.ip().is_loopback() {
            if server.tls_cert.is_none() {
                return refuse(
                    "server.listen is not a loopback address: set server.tls_cert and \
                               server.tls_key, or listen on 127.0.0.1",
                );
            }
            if self.auth.nobody() {
                return refuse(
                    "server.listen is not a loopback address: add at least one \
                               [[auth.tokens]] (make one with `xiangyi token`), [auth.oidc] or \
                               [auth.accounts], or listen on 127.0.0.1",
                );
            }
        }
        if self.metrics.listen.is_some_and(|a| !a.ip().is_loopback()) {
            return refuse("metrics.listen must be a loopback address: metrics go over plain HTTP");
        }
        let area = &self.node.area;
        let digits = area.bytes().all(|b| b.is_ascii_digit());
        if !digits || !matches!(area.len(), 0 | 6 | 9 | 12) {
            return refuse("node.area must have 6, 9 or 12 digits");
        }
        if self.node.name.is_empty() || self.node.name.chars().count() > 64 {
            return refuse("node.name must have 1 to 64 characters");
        }
        for (key, value, min, max) in [
            ("server.message_bytes_max", server.message_bytes_max, 1024, 256 << 20),
            ("server.concurrency_max", server.concurrency_max, 1, 65_536),
            ("server.queue_max", server.queue_max, 0, 1 << 20),
            ("store.writes_max", self.store.writes_max, 1, 1 << 20),
        ] {
            if !(min..=max).contains(&value) {
                return refuse(&format!("{key} must be from {min} to {max}"));
            }
        }
        for (key, value) in [
            ("server.call_timeout_ms", server.call_timeout_ms),
            ("server.drain_timeout_ms", server.drain_timeout_ms),
        ] {
            if !(1..=3_600_000).contains(&value) {
                return refuse(&format!("{key} must be from 1 to 3600000"));
            }
        }
        if !(1..=1_000_000).contains(&server.connections_max) {
            return refuse("server.connections_max must be from 1 to 1000000");
        }
        // HTTP/2 asks every half a minute whether the other side lives.
        if !(60_000..=86_400_000).contains(&server.idle_timeout_ms) {
            return refuse("server.idle_timeout_ms must be from 60000 to 86400000");
        }
        if server.streams_per_connection_max == 0 {
            return refuse("server.streams_per_connection_max must be at least 1");
        }
        self.models.validate()?;
        self.encryption.validate()?;
        self.imaging.validate()?;
        self.dicom.validate(&self.imaging)?;
        self.web.validate(&self.imaging, &self.auth)?;
        self.fhir.validate(&self.node, &self.auth)?;
        self.forwarding.validate(&self.imaging, &self.dicom)?;
        self.link.validate(&self.node)?;
        self.exchange.validate(&self.node)?;
        self.reporting.validate()?;
        let region = self.link.hub.is_some() || self.node.role == NodeRole::Hub;
        self.imaging.validate_pacs(&self.dicom, region)?;
        self.auth.validate(&self.node)?;
        tracing_subscriber::EnvFilter::try_new(&self.log.level)
            .map_err(|e| ConfigError::Value(format!("log.level is not a filter: {e}")))?;
        Ok(())
    }

    fn with_override(self, variable: &str, value: &str) -> Result<Self, ConfigError> {
        if RESERVED.contains(&variable) {
            return Ok(self);
        }
        let Some(path) = variable.strip_prefix("XIANGYI_") else { return Ok(self) };
        let lower = path.to_ascii_lowercase();
        let (section, key) = lower.split_once('_').unwrap_or((&lower, ""));
        // Of the TOML types only a string needs quotes; try the value as it is, then as a string.
        let mut last = String::new();
        for literal in [value.to_owned(), toml::Value::String(value.to_owned()).to_string()] {
            let Ok(overlay) =
                toml::from_str::<toml::Table>(&format!("[{section}]\n{key} = {literal}\n"))
            else {
                continue;
            };
            let mut table = match toml::Table::try_from(&self) {
                Ok(table) => table,
                Err(e) => return Err(ConfigError::Syntax(e.to_string())),
            };
            for (section, keys) in overlay {
                if let (Some(toml::Value::Table(into)), toml::Value::Table(keys)) =
                    (table.get_mut(&section), &keys)
                {
                    into.extend(keys.clone());
                } else {
                    table.insert(section, keys);
                }
            }
            match toml::Value::Table(table).try_into::<Self>() {
                Ok(config) => return Ok(config),
                Err(e) => last = nearest(e.message()).unwrap_or_else(|| e.message().to_owned()),
            }
        }
        Err(ConfigError::Value(format!("environment variable {variable}: {last}")))
    }
}

/// The variables that matter: overrides and the engine's own.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .filter(|(k, _)| k.starts_with("XIANGYI_") || k == "ORT_DYLIB_PATH" || k == CREDENTIALS)
        .collect()
}

/// Names of the variables that override a key, in their order.
pub fn overrides() -> Vec<String> {
    let all = environment().into_keys();
    all.filter(|name| name.starts_with("XIANGYI_") && !RESERVED.contains(&name.as_str())).collect()
}

/// A reserved variable that the command line may fall back on: [`client_token`] and the like.
pub fn client_variable(name: &str) -> Option<String> {
    environment().remove(name)
}

/// `PostgreSQL` cuts longer names off, and keeps those with `pg_` for itself.
fn check_schema(key: &str, schema: &str) -> Result<(), ConfigError> {
    let begins = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let goes_on = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !begins || !schema.chars().all(goes_on) || schema.len() > 63 || schema.starts_with("pg_") {
        return refuse(&format!(
            "{key} must have 1 to 63 small letters, digits and _, begin with no digit and not with pg_"
        ));
    }
    Ok(())
}

fn refuse<T>(message: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Value(message.to_owned()))
}

fn check_tls(server: &ServerSection) -> Result<(), ConfigError> {
    match (&server.tls_cert, &server.tls_key) {
        (Some(_), None) => refuse("server.tls_key is missing: server.tls_cert is set"),
        (None, Some(_)) => refuse("server.tls_cert is missing: server.tls_key is set"),
        (None, None) if server.tls_client_ca.is_some() => {
            refuse("server.tls_client_ca needs server.tls_cert and server.tls_key")
        }
        (None, None) | (Some(_), Some(_)) => Ok(()),
    }
}

/// 64 hex digits as bytes.
pub fn parse_sha256(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0_u8; 32];
    for (byte, i) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(i..i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// File, line, what is wrong, and the nearest known key.
fn describe(name: &str, text: &str, error: &toml::de::Error) -> String {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(1, |before| before.matches('\n').count() + 1);
    let mut out = format!("{name}:{line}: ");
    match nearest(error.message()) {
        Some(message) => out.push_str(&message),
        None => {
            let _ = write!(out, "{}", error.message());
        }
    }
    out
}

/// From serde's "unknown field `x`, expected one of `a`, `b`": "unknown key `x`, did you mean `a`?".
fn nearest(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    let best = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(unknown, k), *k))
        .min()
        .filter(|(distance, k)| *distance <= k.len().max(unknown.len()) / 2)
        .map(|(_, k)| k);
    Some(match best {
        Some(best) => format!("unknown key `{unknown}`, did you mean `{best}`?"),
        None => format!("unknown key `{unknown}`, known here: {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests;
