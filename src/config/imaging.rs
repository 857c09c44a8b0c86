//! Sections of imaging: the archive and the DICOM door.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, SecretUrl, check_schema, parse_sha256, refuse};
use crate::app::imaging::peers::{Mark, Service};
use crate::sharing::imaging::charset::Encoding;

/// Characters of an AE title at most (PS3.5, 6.2).
const AE_TITLE_CHARS_MAX: usize = 16;

/// What is kept of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImagingSection {
    /// Whether the node keeps images at all.
    pub enabled: bool,
    /// Directory of the archive and its index; none: `imaging` in `store.dir`.
    pub dir: Option<PathBuf>,
    /// Bytes of an archive segment.
    pub segment_bytes: u64,
    /// Bytes of the disk that are left free: below this no object is taken.
    pub free_bytes_min: u64,
    /// What the index of studies lies in: `sqlite` (a file in the imaging directory) or `postgres`.
    pub index: IndexName,
    /// The database of the index, `postgres://user:password@host:port/database`; another machine
    /// needs `?sslmode=verify-full`. Never printed whole.
    pub postgres_url: Option<SecretUrl>,
    /// A file that holds this address instead, so that only the node can read it.
    pub postgres_url_file: Option<PathBuf>,
    /// The node's schema in that database; each node needs one of its own.
    pub postgres_schema: String,
    /// Questions that the database answers at the same time.
    pub postgres_connections: u32,
    /// Models that look at images.
    pub models: ImagingModelsSection,
    /// Copies of objects of other nodes.
    pub copies: CopiesSection,
    /// An S3-compatible store that has copies of the archive's segments; none: they are on the disk
    /// only.
    pub s3: Option<S3Section>,
    /// PACS behind the node: what they have is told to the region, and brought when it is asked for.
    pub pacs: Vec<PacsSection>,
}

/// A PACS behind the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacsSection {
    /// AE title; one of `dicom.peers`, with its address.
    pub ae_title: String,
    /// How studies are brought from it: `get` (C-GET) or `move` (C-MOVE to the node's own AE title,
    /// which the PACS must have in its table).
    #[serde(default)]
    pub retrieve: RetrieveName,
    /// Days before today whose studies are told; those without a study date are not.
    #[serde(default = "usual_pacs_days")]
    pub days: u16,
    /// Between two questions for the newest studies, in seconds.
    #[serde(default = "usual_pacs_every_s")]
    pub every_s: u32,
    /// Between two questions for the studies of all those days, in seconds.
    #[serde(default = "usual_pacs_whole_every_s")]
    pub whole_every_s: u32,
}

/// How studies are brought from a PACS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetrieveName {
    /// C-GET.
    #[default]
    Get,
    /// C-MOVE.
    Move,
}

fn usual_pacs_days() -> u16 {
    365
}

fn usual_pacs_every_s() -> u32 {
    60
}

fn usual_pacs_whole_every_s() -> u32 {
    6 * 3600
}

/// An S3-compatible store of copies of segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Section {
    /// `https://host[:port]`; `http://` only where the host is a loopback address.
    pub endpoint: String,
    /// Bucket.
    pub bucket: String,
    /// What names in the bucket begin with.
    #[serde(default)]
    pub prefix: String,
    /// Region.
    #[serde(default = "usual_region")]
    pub region: String,
    /// File with the access key's id in its first line and the secret in its second.
    pub access_key_file: PathBuf,
    /// PEM certificates of the authorities that the store's certificate must be signed by; none: those
    /// of the system.
    pub tls_ca: Option<PathBuf>,
    /// Bytes of segments whose bodies stay on the disk, about: beyond, those of the oldest segments are
    /// only in the store. None: all stay.
    pub local_bytes_max: Option<u64>,
    /// How long a request may take, its answer included, in milliseconds.
    #[serde(default = "usual_request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// How many times a request is tried again.
    #[serde(default = "usual_retries_max")]
    pub retries_max: u32,
    /// Between two looks at what is to be copied, in milliseconds.
    #[serde(default = "usual_look_every_ms")]
    pub look_every_ms: u64,
}

fn usual_region() -> String {
    "us-east-1".to_owned()
}

fn usual_request_timeout_ms() -> u64 {
    60_000
}

fn usual_retries_max() -> u32 {
    3
}

fn usual_look_every_ms() -> u64 {
    10_000
}

/// What an index of studies lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexName {
    /// A file beside the archive.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// Models that look at images. They run on the engine of `[models]`; none is shipped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImagingModelsSection {
    /// Directory with a folder for each model, in it its `model.toml` and what that names. None: no
    /// model. Read when the node starts.
    pub dir: Option<PathBuf>,
}

/// What may be kept of copies of objects of other nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CopiesSection {
    /// Bytes of all copies at most: the least recently used studies of them are evicted.
    pub bytes_max: u64,
    /// Bytes of the disk that copies leave free, where that is more than the archive leaves free
    /// anyway.
    pub free_bytes_min: u64,
}

/// The DICOM door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DicomSection {
    /// Address and port; none: the door stays closed. 104 and 11112 are the usual ports, 2762 with
    /// TLS.
    pub listen: Option<SocketAddr>,
    /// The node's AE title.
    pub ae_title: String,
    /// Other AE titles it answers to.
    pub aliases: Vec<String>,
    /// PEM certificate chain; turns TLS on, together with `tls_key`.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key.
    pub tls_key: Option<PathBuf>,
    /// PEM certificates of the authorities whose client certificates are required.
    pub tls_client_ca: Option<PathBuf>,
    /// PEM certificates of the authorities that peers dialled over TLS must be signed by.
    pub tls_ca: Option<PathBuf>,
    /// Whether TLS 1.2 is spoken as well as 1.3, for devices that know no other. Listed as weak by
    /// `xiangyi admin security-report`.
    pub tls12: bool,
    /// Longest P-DATA PDU taken, in bytes.
    pub pdu_bytes_max: u32,
    /// Associations at the same time; more are rejected as transient.
    pub associations_max: usize,
    /// How long an association may idle, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How long a peer may take over one PDU, in milliseconds.
    pub pdu_timeout_ms: u64,
    /// What callers may do whose AE title is not among `peers`. None: everything if `listen` is a
    /// loopback address and there are no peers, else nothing.
    pub strangers: Option<BTreeSet<Service>>,
    /// The application entities that may connect or be sent to.
    pub peers: Vec<PeerSection>,
}

/// One application entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSection {
    /// AE title.
    pub ae_title: String,
    /// `host:port` where it listens, for C-MOVE, forwarding and reports of storage commitment.
    pub address: Option<String>,
    /// Addresses it may call from.
    #[serde(default)]
    pub hosts: Vec<IpAddr>,
    /// Whether it is dialled, and must call, over TLS.
    #[serde(default)]
    pub tls: bool,
    /// What its certificate must have when it calls: a name or an address that it is for, or its SHA-256
    /// in hexadecimal digits; one of several will do. Empty: any that `tls_client_ca` signed.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// What it may ask: `echo`, `store`, `find`, `retrieve`, `worklist`, `mpps`.
    pub services: BTreeSet<Service>,
    /// Character set of answers to it: `ISO_IR 192` (UTF-8), `GB18030`, `GBK`, `ISO 2022 IR 58` or
    /// `ISO_IR 100`.
    #[serde(default = "utf8")]
    pub character_set: Encoding,
}

impl PeerSection {
    /// By what its certificate is known; none where an entry is neither a name nor a digest.
    pub fn marks(&self) -> Vec<Option<Mark>> {
        let mark = |text: &String| {
            let name = text.to_ascii_lowercase();
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
            let is_name = (1..=253).contains(&name.len()) && name.bytes().all(fits);
            parse_sha256(&name).map(Mark::Sha256).or(is_name.then_some(Mark::Name(name)))
        };
        self.certificates.iter().map(mark).collect()
    }
}

fn utf8() -> Encoding {
    Encoding::Utf8
}

impl Default for ImagingSection {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: None,
            segment_bytes: 256 << 20,
            free_bytes_min: 512 << 20,
            models: ImagingModelsSection::default(),
            index: IndexName::Sqlite,
            postgres_url: None,
            postgres_url_file: None,
            postgres_schema: "xiangyi".to_owned(),
            postgres_connections: 4,
            copies: CopiesSection::default(),
            s3: None,
            pacs: Vec::new(),
        }
    }
}

impl Default for CopiesSection {
    fn default() -> Self {
        Self { bytes_max: 20 << 30, free_bytes_min: 2 << 30 }
    }
}

impl Default for DicomSection {
    fn default() -> Self {
        Self {
            listen: None,
            ae_title: "XIANGYI".to_owned(),
            aliases: Vec::new(),
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            tls_ca: None,
            tls12: false,
            pdu_bytes_max: 256 * 1024,
            associations_max: 1200,
            idle_timeout_ms: 600_000,
            pdu_timeout_ms: 60_000,
            strangers: None,
            peers: Vec::new(),
        }
    }
}

impl ImagingSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !((16 << 20)..=(16 << 30)).contains(&self.segment_bytes) {
            return refuse("imaging.segment_bytes must be from 16777216 to 17179869184");
        }
        let url = (self.postgres_url.is_some(), self.postgres_url_file.is_some());
        if url == (true, true) {
            return refuse("imaging.postgres_url and imaging.postgres_url_file: set one of them");
        }
        if self.index == IndexName::Postgres && url == (false, false) {
            return refuse(
                "imaging.index = \"postgres\" needs imaging.postgres_url or \
                 imaging.postgres_url_file",
            );
        }
        check_schema("imaging.postgres_schema", &self.postgres_schema)?;
        if !(1..=64).contains(&self.postgres_connections) {
            return refuse("imaging.postgres_connections must be from 1 to 64");
        }
        self.s3.as_ref().map_or(Ok(()), S3Section::validate)
    }

    /// The PACS behind the node, which are among `dicom.peers`; `region`: whether there is anybody
    /// to tell.
    pub(super) fn validate_pacs(
        &self,
        dicom: &DicomSection,
        region: bool,
    ) -> Result<(), ConfigError> {
        for (at, pacs) in self.pacs.iter().enumerate() {
            let key = |name: &str| format!("imaging.pacs[{at}].{name}");
            if !region {
                return refuse(
                    "imaging.pacs needs link.hub, or node.role = \"hub\": what a PACS has is told \
                     to the region",
                );
            }
            if self.pacs.iter().take(at).any(|other| other.ae_title == pacs.ae_title) {
                return refuse(&format!("{} is there twice", key("ae_title")));
            }
            let peer = dicom.peers.iter().find(|peer| peer.ae_title == pacs.ae_title);
            let Some(peer) = peer.filter(|peer| peer.address.is_some()) else {
                return refuse(&format!(
                    "{} must be one of dicom.peers, with an address",
                    key("ae_title")
                ));
            };
            let takes = dicom.listen.is_some() && peer.services.contains(&Service::Store);
            if pacs.retrieve == RetrieveName::Move && !takes {
                return refuse(&format!(
                    "{} = \"move\" needs dicom.listen, and `store` among the services of that peer",
                    key("retrieve")
                ));
            }
            if pacs.days > 3_660 {
                return refuse(&format!("{} must be at most 3660", key("days")));
            }
            for (name, value) in [("every_s", pacs.every_s), ("whole_every_s", pacs.whole_every_s)]
            {
                if !(1..=604_800).contains(&value) {
                    return refuse(&format!("{} must be from 1 to 604800", key(name)));
                }
            }
        }
        Ok(())
    }
}

impl S3Section {
    fn validate(&self) -> Result<(), ConfigError> {
        let host = |rest: &str| {
            let authority = rest.split('/').next().unwrap_or_default();
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            host.trim_matches(['[', ']']).to_owned()
        };
        let loopback = |rest: &str| {
            let host = host(rest);
            host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        };
        let plain = self.endpoint.strip_prefix("http://").map(loopback);
        let fine = plain.unwrap_or_else(|| {
            self.endpoint.strip_prefix("https://").is_some_and(|rest| !host(rest).is_empty())
        });
        if !fine {
            return refuse(
                "imaging.s3.endpoint must be https://host[:port], or http:// with a loopback \
                 address: images of patients go there",
            );
        }
        let name =
            |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
        if self.bucket.is_empty() || self.bucket.contains('/') || !name(&self.bucket) {
            return refuse("imaging.s3.bucket must have letters, digits, `.`, `_` and `-` only");
        }
        if !name(&self.prefix) || self.prefix.len() > 256 {
            return refuse(
                "imaging.s3.prefix must have at most 256 letters, digits, `.`, `_`, `-` and `/`",
            );
        }
        for (key, value, min, max) in [
            ("imaging.s3.request_timeout_ms", self.request_timeout_ms, 1_000, 600_000),
            ("imaging.s3.retries_max", u64::from(self.retries_max), 0, 20),
            ("imaging.s3.look_every_ms", self.look_every_ms, 100, 3_600_000),
        ] {
            if !(min..=max).contains(&value) {
                return refuse(&format!("{key} must be from {min} to {max}"));
            }
        }
        Ok(())
    }
}

impl DicomSection {
    /// What callers may do that are not in the table; none: they are refused.
    pub fn others(&self) -> Option<BTreeSet<Service>> {
        let loopback = self.listen.is_some_and(|a| a.ip().is_loopback());
        match &self.strangers {
            Some(services) if services.is_empty() => None,
            Some(services) => Some(services.clone()),
            None if loopback && self.peers.is_empty() => Some(
                [
                    Service::Echo,
                    Service::Store,
                    Service::Find,
                    Service::Retrieve,
                    Service::Worklist,
                    Service::Mpps,
                ]
                .into(),
            ),
            None => None,
        }
    }

    pub(super) fn validate(&self, imaging: &ImagingSection) -> Result<(), ConfigError> {
        for title in [&self.ae_title].into_iter().chain(&self.aliases) {
            check_title("dicom.ae_title and dicom.aliases", title)?;
        }
        for (key, value, min, max) in [
            ("dicom.pdu_bytes_max", u64::from(self.pdu_bytes_max), 4096, 16 << 20),
            (
                "dicom.associations_max",
                u64::try_from(self.associations_max).unwrap_or(u64::MAX),
                1,
                65_536,
            ),
            ("dicom.idle_timeout_ms", self.idle_timeout_ms, 1, 86_400_000),
            ("dicom.pdu_timeout_ms", self.pdu_timeout_ms, 1, 3_600_000),
        ] {
            if !(min..=max).contains(&value) {
                return refuse(&format!("{key} must be from {min} to {max}"));
            }
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return refuse("dicom.tls_key is missing: dicom.tls_cert is set"),
            (None, Some(_)) => return refuse("dicom.tls_cert is missing: dicom.tls_key is set"),
            (None, None) if self.tls_client_ca.is_some() => {
                return refuse("dicom.tls_client_ca needs dicom.tls_cert and dicom.tls_key");
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        let mut titles = BTreeSet::new();
        for peer in &self.peers {
            check_title("dicom.peers.ae_title", &peer.ae_title)?;
            if !titles.insert(&peer.ae_title) {
                return refuse("dicom.peers names an ae_title twice");
            }
            if peer.services.is_empty() && peer.address.is_none() {
                return refuse("dicom.peers: an entry needs services, or an address to send to");
            }
            let shows_one = peer.tls && self.tls_client_ca.is_some();
            if !shows_one && !peer.certificates.is_empty() {
                return refuse(
                    "dicom.peers: certificates needs tls = true and dicom.tls_client_ca",
                );
            }
            if peer.marks().contains(&None) {
                return refuse(
                    "dicom.peers.certificates must be names or addresses that the certificate is for \
                     (letters, digits, `-`, `.`, `_`, `:`), or 64 hexadecimal digits of its SHA-256",
                );
            }
            if peer.tls && peer.address.is_some() && self.tls_ca.is_none() {
                return refuse("dicom.peers: tls with an address needs dicom.tls_ca");
            }
        }
        let Some(listen) = self.listen else { return Ok(()) };
        if !imaging.enabled {
            return refuse("dicom.listen needs imaging.enabled = true");
        }
        if listen.ip().is_loopback() {
            return Ok(());
        }
        if self.strangers.as_ref().is_some_and(|s| !s.is_empty()) {
            return refuse(
                "dicom.strangers must be empty: dicom.listen is not a loopback address, and an AE \
                 title alone is no proof of identity",
            );
        }
        let proven = |p: &PeerSection| {
            p.services.is_empty() || !p.hosts.is_empty() || (p.tls && self.tls_client_ca.is_some())
        };
        if !self.peers.iter().all(proven) {
            return refuse(
                "dicom.peers: dicom.listen is not a loopback address, so each peer with services \
                 needs hosts, or tls together with dicom.tls_client_ca",
            );
        }
        Ok(())
    }
}

fn check_title(key: &str, title: &str) -> Result<(), ConfigError> {
    let fits = !title.is_empty()
        && title.len() <= AE_TITLE_CHARS_MAX
        && title == title.trim()
        && title.chars().all(|c| (c.is_ascii_graphic() || c == ' ') && c != '\\');
    if fits {
        return Ok(());
    }
    refuse(&format!("{key} must have 1 to 16 printable ASCII characters and no backslash"))
}
