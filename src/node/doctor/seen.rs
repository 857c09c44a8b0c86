//! What several checks need of a node, looked at once: its keyring, and what its databases are.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::apart;
use crate::app::chain;
use crate::config::{Config, IndexName, NodeRole};
use crate::node::{imaging, keys};
use crate::sharing::sealing::keyring::Keyring;
use crate::store::sqlite::Database;
use crate::store::sqlite::database::Form;
use crate::store::sqlite::looking::Which;

/// A node that is examined.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) config: Config,
    /// Where the configuration was read.
    pub(super) file: Option<PathBuf>,
    ring: OnceCell<Result<Option<Arc<Keyring>>, String>>,
    files: OnceCell<Vec<DatabaseFile>>,
}

/// A database of the node, or where it would be.
#[derive(Debug, Clone)]
pub(super) struct DatabaseFile {
    pub(super) which: Which,
    pub(super) path: PathBuf,
    /// What is there, or why it cannot be looked at.
    pub(super) form: Result<Form, String>,
}

impl DatabaseFile {
    /// Its name, by which the keyring knows it.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Seen {
    pub(super) fn new(config: Config, file: Option<PathBuf>) -> Self {
        Self { config, file, ring: OnceCell::new(), files: OnceCell::new() }
    }

    /// The keyring; none where nothing is encrypted, or where there is none yet. Opened once: a token whose
    /// PIN is wrong must not be asked by every check.
    pub(super) async fn ring(&self) -> Result<Option<Arc<Keyring>>, String> {
        let look = || async {
            let config = self.config.clone();
            let looked = apart(move || keys::look(&config).map_err(|error| chain(&error))).await;
            let looked = looked.unwrap_or_else(|_| Err("looking at it broke off".to_owned()));
            looked.map(|ring| ring.map(Arc::new))
        };
        self.ring.get_or_init(look).await.clone()
    }

    /// The databases that a node of this configuration has. What they are is read before any of them is
    /// opened: who closes a database's file gives back the locks that this process has on it.
    pub(super) async fn databases(&self) -> &[DatabaseFile] {
        let look = || async {
            let files = expected(&self.config);
            let looked = apart(move || {
                let form = |(which, path): (Which, PathBuf)| {
                    let form = Database::form(&path).map_err(|error| error.to_string());
                    DatabaseFile { which, path, form }
                };
                files.into_iter().map(form).collect()
            });
            looked.await.unwrap_or_default()
        };
        self.files.get_or_init(look).await
    }

    /// A database that is there, with its key. Why it cannot be opened, and what to do, otherwise.
    pub(super) async fn open(&self, file: &DatabaseFile) -> Result<Database, (String, String)> {
        let ring = self.ring().await.map_err(|error| {
            (format!("cannot be opened without the keys: {error}"), "see `keys`".to_owned())
        })?;
        let form = file.form.clone().map_err(|error| {
            (format!("cannot be read: {error}"), "run this as the user of the node".to_owned())
        })?;
        let path = file.path.clone();
        match (ring, form) {
            (None, Form::Sealed) => Err((
                "does not begin as a database: it is damaged, or encrypted and its keyring is lost"
                    .to_owned(),
                "stop the node; put the keyring back, or the database from a backup (`xiangyi admin \
                 restore`)"
                    .to_owned(),
            )),
            (None, _) => Ok(Database::new(path, None)),
            (Some(_), Form::Plain) => Err((
                "is not encrypted, and section encryption asks for it".to_owned(),
                "stop the node and run `xiangyi admin encrypt`".to_owned(),
            )),
            (Some(ring), Form::Sealed | Form::Absent) => {
                let purpose = format!("database/{}", file.name());
                match ring.newest(&purpose) {
                    Some(key) => Ok(Database::new(path, Some(key.secret.clone()))),
                    None => Err((
                        format!("is encrypted, and {} has no key for it", keys::KEYRING),
                        "put the keyring back from a backup".to_owned(),
                    )),
                }
            }
        }
    }
}

fn expected(config: &Config) -> Vec<(Which, PathBuf)> {
    let is_hub = config.node.role == NodeRole::Hub;
    let on_server =
        config.exchange.postgres_url.is_some() || config.exchange.postgres_url_file.is_some();
    let has_index = config.imaging.enabled && config.imaging.index == IndexName::Sqlite;
    let all = [
        (Which::Node, "xiangyi.db", true),
        (Which::Exchange, "exchange.db", true),
        (Which::Hub, "hub.db", is_hub && !on_server),
        (Which::Region, "region.db", is_hub),
        (Which::Anchors, "anchors.db", is_hub),
    ];
    let used = all.into_iter().filter(|(.., used)| *used);
    let mut files: Vec<_> =
        used.map(|(which, name, _)| (which, config.store.dir.join(name))).collect();
    if has_index {
        files.push((Which::Studies, imaging::folder(config).join(keys::INDEX)));
    }
    files
}
