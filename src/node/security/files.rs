//! Files of secrets, the storage they lie on, and the tables that decide.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::{Config, IndexName};
use crate::node::enrolment::Files;
use crate::node::{folder, nodes};

const FILES: &str = "files";
const STORAGE: &str = "storage";
const POLICIES: &str = "policies";
/// Secrets that the node makes in the store's directory.
const OWN: [&str; 5] = ["hub.key", "people.key", "audit.key", "setup-code", "xiangyi.db"];
/// How deep devices may lie on each other.
const DEVICES_MAX: usize = 8;

/// Who may read files of secrets.
pub(in crate::node) fn secrets(config: &Config, file: Option<&Path>) -> Vec<Finding> {
    let named = |path: &Option<PathBuf>| path.clone();
    let mut configured: Vec<Option<PathBuf>> = vec![
        named(&config.server.tls_key),
        named(&config.web.tls_key),
        named(&config.fhir.tls_key),
        named(&config.dicom.tls_key),
        named(&config.link.tls_key),
        named(&config.link.token_file),
        named(&config.exchange.key_file),
        named(&config.exchange.postgres_url_file),
        config.imaging.s3.as_ref().map(|s3| s3.access_key_file.clone()),
    ];
    let has_password =
        config.imaging.postgres_url.is_some() || config.exchange.postgres_url.is_some();
    configured.push(file.filter(|_| has_password).map(Path::to_owned));
    let mut all: Vec<_> =
        configured.into_iter().flatten().map(|path| secret(&path, true)).collect();
    let mut own: Vec<PathBuf> = OWN.iter().map(|name| config.store.dir.join(name)).collect();
    own.push(Files::of(config).identity());
    if let Some(ca) = &config.link.ca {
        own.push(nodes::authority_path(config, ca));
    }
    // What the node makes itself may not be there yet.
    let there = own.into_iter().filter(|path| path.try_exists().unwrap_or(true));
    all.extend(there.map(|path| secret(&path, false)));
    all.extend(folder(&config.store.dir));
    all
}

fn secret(path: &Path, is_configured: bool) -> Finding {
    let subject = path.display().to_string();
    match std::fs::metadata(path) {
        Err(error) => Finding::bad(
            FILES,
            subject,
            (
                format!("cannot be looked at: {error}"),
                "run this as the node's user, or mend the path",
            ),
        ),
        Ok(about) if is_private(about.permissions().mode()) => {
            Finding::ok(FILES, subject, "only its owner reads it")
        }
        Ok(about) => {
            let mode = about.permissions().mode() & 0o777;
            let remedy = format!("chmod 600 {}", path.display());
            // A database that lies in a folder of the node's own is out of reach all the same.
            let is_covered = !is_configured && parent_is_closed(path);
            if is_covered {
                return Finding::ok(FILES, subject, "its folder is closed to others");
            }
            let means = format!("others may read or change it (mode {mode:o})");
            Finding::bad(FILES, subject, (means, remedy))
        }
    }
}

/// Whether group and others, the last six bits, may do nothing.
fn is_private(mode: u32) -> bool {
    mode.trailing_zeros() >= 6
}

fn parent_is_closed(path: &Path) -> bool {
    let about = path.parent().and_then(|folder| std::fs::metadata(folder).ok());
    about.is_some_and(|about| is_private(about.permissions().mode()))
}

fn folder(dir: &Path) -> Option<Finding> {
    let about = std::fs::metadata(dir).ok()?;
    let subject = format!("store.dir {}", dir.display());
    let mode = about.permissions().mode() & 0o777;
    Some(if is_private(mode) {
        Finding::ok(FILES, subject, "closed to others")
    } else {
        let means = format!("others of this machine may look into it (mode {mode:o})");
        Finding::weak(FILES, subject, (means, format!("chmod 700 {}", dir.display())))
    })
}

/// What is kept, and whether it is encrypted.
pub(super) fn storage(config: &Config) -> Vec<Finding> {
    [Some(own_storage(config)), studies_on_server(config)].into_iter().flatten().collect()
}

/// The index of studies where it lies on a server.
fn studies_on_server(config: &Config) -> Option<Finding> {
    let section = &config.imaging;
    if !section.enabled || section.index != IndexName::Postgres {
        return None;
    }
    let subject = format!("imaging.postgres_schema {}", section.postgres_schema);
    let (means, remedy) = if config.encryption.is_on() {
        let means = "patients are sealed on the server; dates, descriptions, accession numbers, doctors and \
                     UIDs of their studies lie there as they are";
        (means, "put the server's data directory and its backups on LUKS")
    } else {
        let means = "names, patient IDs and birth dates lie on the server as they are: whoever takes its disk, \
                     or may read the database, reads them";
        (means, "give the node a master key (section encryption, then `xiangyi admin encrypt`)")
    };
    Some(Finding::weak(STORAGE, subject, (means, remedy)))
}

/// Whether what is kept at the node is encrypted by it, or lies on an encrypted device as far as the
/// system tells.
fn own_storage(config: &Config) -> Finding {
    let dir = &config.store.dir;
    let subject = format!("store.dir {}", dir.display());
    if config.encryption.is_on() {
        let means = "databases in it, images and keys are encrypted under the master key of section encryption";
        return Finding::ok(STORAGE, subject, means);
    }
    let about = dir.ancestors().find_map(|folder| std::fs::metadata(folder).ok());
    let device = about.map(|about| about.dev());
    let encrypted = device.is_some_and(|device| {
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        is_encrypted(&PathBuf::from(format!("/sys/dev/block/{major}:{minor}")), DEVICES_MAX)
    });
    if encrypted {
        return Finding::ok(STORAGE, subject, "lies on an encrypted device (dm-crypt)");
    }
    let means = "is not encrypted, and not seen to lie on an encrypted device: whoever takes the disk reads \
                 what is kept";
    let remedy = "give the node a master key (section encryption, then `xiangyi admin encrypt`), or put \
                  store.dir on LUKS";
    Finding::weak(STORAGE, subject, (means, remedy))
}

fn is_encrypted(device: &Path, depth: usize) -> bool {
    let uuid = std::fs::read_to_string(device.join("dm/uuid")).unwrap_or_default();
    if uuid.starts_with("CRYPT-") {
        return true;
    }
    let below = std::fs::read_dir(device.join("slaves"));
    let mut below = below.into_iter().flatten().flatten().map(|entry| entry.path()).peekable();
    // All of what it lies on must be.
    depth > 0 && below.peek().is_some() && below.all(|device| is_encrypted(&device, depth - 1))
}

/// Tables of policy with rows that nobody has approved.
pub(super) fn policies(config: &Config) -> Vec<Finding> {
    let files = match folder::tables(&config.models) {
        Ok(files) => files,
        Err(error) => {
            let said = (crate::app::chain(&error), "mend models.dir");
            return vec![Finding::bad(POLICIES, "models.dir", said)];
        }
    };
    let mut drafts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let tables = files.below("policy/", ".csv");
    for name in tables.paths() {
        let Ok(bytes) = tables.bytes(name) else { continue };
        let mut reader = csv::Reader::from_reader(bytes);
        let at = reader.headers().ok().and_then(|h| h.iter().position(|name| name == "status"));
        let Some(at) = at else { continue };
        let counted = drafts.entry(name).or_default();
        for row in reader.records().flatten() {
            counted.1 += 1;
            counted.0 += usize::from(row.get(at) == Some("draft"));
        }
    }
    let line = |(name, (drafts, rows)): (&str, (usize, usize))| {
        if drafts == 0 {
            return Finding::ok(POLICIES, name, format!("{rows} rows, none of them a draft"));
        }
        let means = format!("{drafts} of {rows} rows are drafts that no authority has approved");
        let remedy = "have the bureau decide, and change the rows and their status";
        Finding::weak(POLICIES, name, (means, remedy))
    };
    drafts.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::security::Standing;

    #[test]
    fn of_an_index_on_a_server_is_said_what_lies_there() {
        let mut config = Config::default();
        config.encryption.key_file = Some(PathBuf::from("/media/key/master.key"));
        let standings = |config: &Config| -> Vec<_> {
            storage(config).into_iter().map(|f| (f.standing, f.subject)).collect()
        };
        let store = (Standing::Ok, format!("store.dir {}", config.store.dir.display()));
        config.imaging.enabled = true;
        assert_eq!(standings(&config), std::slice::from_ref(&store));
        config.imaging.index = IndexName::Postgres;
        config.imaging.postgres_schema = "images".to_owned();
        let means =
            |config: &Config| studies_on_server(config).map(|f| (f.standing, f.means)).unwrap();
        let (standing, sealed) = means(&config);
        assert_eq!((standing, standings(&config).len()), (Standing::Weak, 2));
        assert!(sealed.contains("patients are sealed") && sealed.contains("accession"), "{sealed}");
        config.encryption.key_file = None;
        let (standing, clear) = means(&config);
        assert!(standing == Standing::Weak && clear.contains("names"), "{clear}");
        config.encryption.key_file = Some(PathBuf::from("/media/key/master.key"));
        config.imaging.enabled = false;
        assert_eq!(standings(&config), [store]);
    }
}
