//! Copies of the folder of a node, as a backup would make them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::region::until;

/// Copies the folder of a node that has stopped. Connections that only read are closed a little after
/// it, and the last one that closes puts its log into the database: copied again until nothing has
/// changed meanwhile.
pub(crate) async fn copy(from: &Path, to: &Path) {
    until("the folder holds still while it is copied", async || {
        let before = files(from).ok()?;
        for (name, _) in &before {
            let to = to.join(name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from.join(name), to).ok()?;
        }
        if files(from).ok()? == before {
            return Some(());
        }
        std::fs::remove_dir_all(to).unwrap();
        None
    })
    .await;
}

/// The files below `folder`: the name of each in it, with its size and when it was last written.
fn files(folder: &Path) -> std::io::Result<Vec<(PathBuf, (u64, SystemTime))>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        let about = entry.metadata()?;
        if about.is_dir() {
            let below = files(&entry.path())?;
            found.extend(below.into_iter().map(|(below, about)| (name.join(below), about)));
        } else {
            found.push((name, (about.len(), about.modified()?)));
        }
    }
    found.sort();
    Ok(found)
}
