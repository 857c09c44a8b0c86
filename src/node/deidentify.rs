//! Objects of the archive of a node that does not run, for whoever gives them out de-identified.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use super::NodeError;
use super::imaging::open_archive;
use crate::app::imaging::ports::Archive as _;
use crate::config::Config;
use crate::sharing::imaging::part10::{Meta, write_meta};

/// Objects asked for at a time.
const PAGE: usize = 64;

/// An object as a file, or why it cannot be read; no message holds a value.
pub type Read = Result<Vec<u8>, &'static str>;

/// Reads every object of the archive that is not erased, of these studies or of all if none is
/// named, and sends them as files. Ends when nobody takes them any more.
///
/// # Errors
/// The archive cannot be opened or listed; another process has it.
pub async fn objects(
    config: &Config,
    studies: &BTreeSet<String>,
    bytes_max: u64,
    to: mpsc::Sender<Read>,
) -> Result<(), NodeError> {
    let failed = |e: crate::app::error::Error| NodeError::Imaging(e.into());
    let (archive, _) = open_archive(config).await?;
    let (mut after, mut seen) = (None, BTreeSet::new());
    loop {
        let page = archive.objects_after(after, PAGE).await.map_err(failed)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.location);
        for object in page {
            let wanted = studies.is_empty() || studies.contains(&object.head.uids.study);
            // What is kept twice is one object.
            if object.erased || !wanted || !seen.insert(object.digest) {
                continue;
            }
            let length = object.location.length;
            let meta = write_meta(Meta {
                sop_class: &object.head.sop_class,
                sop_instance: &object.head.uids.instance,
                transfer_syntax: &object.head.transfer_syntax,
                source_ae: None,
            });
            let file = match meta {
                _ if length > bytes_max => Err("larger than what is taken"),
                Err(_) => Err("its UIDs are longer than UIDs may be"),
                Ok(mut file) => match archive.read(object.location, 0..length).await {
                    Ok(bytes) => {
                        file.extend_from_slice(&bytes);
                        Ok(file)
                    }
                    Err(_) => Err("the archive cannot read it"),
                },
            };
            if to.send(file).await.is_err() {
                return Ok(());
            }
        }
    }
}
