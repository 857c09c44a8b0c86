//! Section of the exchange of documents, at the hub.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, NodeRole, NodeSection, SecretUrl, check_schema, refuse};

/// Persons whom a node may look up within an hour where the configuration does not say: an assumption,
/// more than one place treats and too few to harvest a county.
const PERSONS_PER_HOUR_MAX: u32 = 300;

/// Persons of whom it is given records whom a node may register within an hour where the configuration does
/// not say: an assumption; a clinic that begins, and registers a village at once, is done in an afternoon.
const REGISTERED_PER_HOUR_MAX: u32 = 500;

/// Where the hub keeps the documents that nodes exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExchangeSection {
    /// The database, `postgres://user:password@host:port/database`; another machine needs
    /// `sslmode=verify-full`. Two hubs or more may share one. None: a file in the store's directory,
    /// for one hub.
    pub postgres_url: Option<SecretUrl>,
    /// A file with that address and nothing else.
    pub postgres_url_file: Option<PathBuf>,
    /// Schema in the database.
    pub postgres_schema: String,
    /// The key that documents are sealed with and people are looked up by: a file of 32 bytes or
    /// more, the same for all hubs on one database. None: `hub.key` in the store's directory, made at
    /// the first start. Without it nothing that is kept can be read.
    pub key_file: Option<PathBuf>,
    /// Different persons whose records or images one node may look up within an hour; 0: nobody's.
    pub look_up_persons_per_hour_max: u32,
    /// Different persons of whom it is given records that it did not have whom one node may register
    /// within an hour; those beyond wait at the node. 0: nobody.
    pub registered_persons_per_hour_max: u32,
    /// Bytes of nodes' messages that the hub has under way at most, of all nodes together. A node has
    /// at most 33 MiB of them; who comes when there is no room waits.
    pub receive_bytes_max: usize,
}

/// What `receive_bytes_max` may be: room for one node and more.
const RECEIVE_BYTES: std::ops::RangeInclusive<usize> = 64 << 20..=64 << 30;
/// Where nothing is said.
const RECEIVE_BYTES_DEFAULT: usize = 256 << 20;

impl Default for ExchangeSection {
    fn default() -> Self {
        Self {
            postgres_url: None,
            postgres_url_file: None,
            postgres_schema: "xiangyi_hub".to_owned(),
            key_file: None,
            look_up_persons_per_hour_max: PERSONS_PER_HOUR_MAX,
            registered_persons_per_hour_max: REGISTERED_PER_HOUR_MAX,
            receive_bytes_max: RECEIVE_BYTES_DEFAULT,
        }
    }
}

impl ExchangeSection {
    pub(super) fn validate(&self, node: &NodeSection) -> Result<(), ConfigError> {
        let url = (self.postgres_url.is_some(), self.postgres_url_file.is_some());
        if url == (true, true) {
            return refuse("exchange.postgres_url and exchange.postgres_url_file: set one of them");
        }
        let shared = url != (false, false);
        let has_more = self.key_file.is_some()
            || self.receive_bytes_max != RECEIVE_BYTES_DEFAULT
            || self.look_up_persons_per_hour_max != PERSONS_PER_HOUR_MAX
            || self.registered_persons_per_hour_max != REGISTERED_PER_HOUR_MAX;
        if node.role != NodeRole::Hub && (shared || has_more) {
            return refuse("section exchange is for a hub: set node.role = \"hub\"");
        }
        if !RECEIVE_BYTES.contains(&self.receive_bytes_max) {
            return refuse(
                "exchange.receive_bytes_max must be from 67108864 (64 MiB) to 68719476736",
            );
        }
        if shared && self.key_file.is_none() {
            return refuse(
                "exchange.key_file is missing: all hubs on one database need the same key (make one with \
                 `head -c 32 /dev/urandom > hub.key`)",
            );
        }
        check_schema("exchange.postgres_schema", &self.postgres_schema)
    }
}
