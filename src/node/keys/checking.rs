//! Whether everything that a node keeps opens with its keys.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::PathBuf;

use super::{KeysError, Tried as _, archive, database_in, databases, is_there, open};
use crate::archive::local::format::{LABEL_BYTES, Label};
use crate::config::Config;
use crate::node::imaging;
use crate::store::sqlite::copying;

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Keys in the ring; none where nothing is encrypted.
    pub keys: Option<usize>,
    /// Databases that open.
    pub databases: usize,
    /// Segments of the archive whose keys are there.
    pub segments: usize,
    /// What does not open, and why.
    pub faults: Vec<String>,
}

/// Opens the keyring, every database, and looks at the label of every segment. Changes nothing.
pub async fn check(config: &Config) -> Result<Checked, KeysError> {
    let mut checked =
        Checked { keys: open(config)?.map(|ring| ring.keys().len()), ..Checked::default() };
    for path in databases(config) {
        if !is_there(&path)? {
            continue;
        }
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { continue };
        match database_in(config, dir, &name.to_string_lossy()) {
            Ok(database) => match copying::check(&database).await {
                Ok(()) => checked.databases += 1,
                Err(error) => checked.faults.push(format!("{}: {error}", path.display())),
            },
            Err(error) => checked.faults.push(error.to_string()),
        }
    }
    if checked.keys.is_some() && imaging::folder(config).join("archive").is_dir() {
        segments(config, &mut checked)?;
    }
    Ok(checked)
}

fn segments(config: &Config, checked: &mut Checked) -> Result<(), KeysError> {
    let seals = archive(config)?;
    let dir = imaging::folder(config).join("archive").join("segments");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).tried("list", &dir),
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        paths.push(entry.tried("list", &dir)?.path());
    }
    paths.sort();
    for path in paths {
        let mut label = [0; LABEL_BYTES];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut label));
        let fault = match (read, Label::decode(&label)) {
            (Err(error), _) => error.to_string(),
            (Ok(()), Err(flaw)) => flaw.to_string(),
            (Ok(()), Ok(Label { seal: None, .. })) => "is not encrypted".to_owned(),
            (Ok(()), Ok(Label { seal: Some(id), .. })) => {
                if seals.as_ref().is_some_and(|seals| seals.has(id)) {
                    checked.segments += 1;
                    continue;
                }
                format!("is sealed with key {id}, which the keyring does not have")
            }
        };
        checked.faults.push(format!("{} {fault}", path.display()));
    }
    Ok(())
}
