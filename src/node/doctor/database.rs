//! The databases of the node: sealed or plain as configured, of a schema that this program knows, whole,
//! and without work that is stuck in them.

use std::fs;

use super::Notes;
use super::seen::{DatabaseFile, Seen};
use crate::app::ports::Clock as _;
use crate::node::SystemClock;
use crate::store::looking::Schema;
use crate::store::sqlite::Database;
use crate::store::sqlite::database::Form;
use crate::store::sqlite::looking::{self, Waiting, Which};

/// A log that is longer than this is not copied into its database: 8 MB is usual.
const LOG_BYTES_MAX: u64 = 64 << 20;
/// Documents may wait for so long: a village may be offline for a week.
const WAITING_MS_MAX: i64 = 7 * 24 * 3_600 * 1000;
/// What to do with one that is damaged.
const DAMAGED: &str = "stop the node, copy store.dir elsewhere as it is, and put the newest backup back \
                       (`xiangyi admin restore`); the hub notices an old copy and sends what is missing. \
                       Do not delete the file or its -wal";

/// See the module.
pub(super) async fn check(seen: &Seen, notes: &Notes) {
    let files = seen.databases().await;
    let is_kept = files.iter().any(|file| !matches!(file.form, Ok(Form::Absent)));
    let mut open = Vec::new();
    for file in files {
        let subject = file.path.display().to_string();
        if matches!(file.form, Ok(Form::Absent)) {
            absent(notes, file, is_kept);
            continue;
        }
        match seen.open(file).await {
            Err(said) => notes.fail(subject, said),
            Ok(database) => {
                if known(notes, (file, &database)).await {
                    open.push((file, database));
                }
            }
        }
        log(notes, file);
    }
    // What takes long comes last.
    for (file, database) in open {
        let subject = file.path.display().to_string();
        match looking::flaw(&database).await {
            Ok(None) => notes.ok(subject, "every page is whole"),
            Ok(Some(flaw)) => {
                notes.fail(subject, (format!("is damaged: {flaw}"), advice(file.which)));
            }
            Err(error) => {
                notes.fail(subject, (format!("is damaged: {error}"), advice(file.which)));
            }
        }
    }
}

fn advice(which: Which) -> &'static str {
    match which {
        Which::Studies => {
            "stop the node and run `xiangyi archive reindex`: the archive has everything that is in it"
        }
        Which::Region => {
            "stop the hub and move region.db, with its -wal and -shm, aside: every node tells its part \
             again by itself"
        }
        Which::Node | Which::Exchange | Which::Hub | Which::Anchors => DAMAGED,
    }
}

fn absent(notes: &Notes, file: &DatabaseFile, is_kept: bool) {
    let subject = file.path.display().to_string();
    // The others are made when what they are for is first configured.
    if is_kept && matches!(file.which, Which::Node | Which::Exchange) {
        let found = "is not there, and others are: a start makes an empty one";
        let advice = "do not start the node before you know where it is; put it back from a backup \
                      (`xiangyi admin restore`)";
        notes.fail(subject, (found, advice));
    } else {
        notes.ok(subject, "not there yet: a start makes it");
    }
}

/// Whether the database opens and its schema is the newest or an older one.
async fn known(notes: &Notes, (file, database): (&DatabaseFile, &Database)) -> bool {
    let subject = file.path.display().to_string();
    let schema = match looking::schema(database, file.which).await {
        Ok(schema) => schema,
        Err(error) => {
            if looking::is_damage(&error) {
                notes.fail(subject, (format!("is damaged: {error}"), advice(file.which)));
            } else {
                let advice =
                    "look at its rights and its folder's; run this as the user of the node";
                notes.fail(subject, (format!("cannot be opened: {error}"), advice));
            }
            return false;
        }
    };
    if !told(notes, &subject, &schema) {
        return false;
    }
    // Older ones have other tables.
    if schema.at == schema.known {
        match looking::waiting(database, file.which).await {
            Ok(waiting) => stuck(notes, file.which, waiting),
            Err(error) => {
                notes.fail(subject, (format!("is damaged: {error}"), advice(file.which)));
            }
        }
    }
    true
}

/// Says how a schema stands, on whichever back-end; whether this program can work on it.
pub(super) fn told(notes: &Notes, subject: &str, schema: &Schema) -> bool {
    let Schema { at, known, name, taken, .. } = schema;
    let version = env!("CARGO_PKG_VERSION");
    if at > known {
        let found = format!(
            "has schema {at} ({name}, since {taken}), and this program ({version}) knows up to {known}: \
             it does not start"
        );
        let advice = "use the program that was here before, or a newer one; there is no way back to an \
                      older schema but a backup from before";
        notes.fail(subject, (found, advice));
        return false;
    }
    if let Some(step) = schema.unfinished {
        let found = format!("step {step} of its schema was begun and not finished");
        let advice = "put the backup from before the upgrade back, and report this";
        notes.fail(subject, (found, advice));
        return false;
    }
    if let Some(step) = schema.differs {
        let found = format!("step {step} of its schema is not the one of this program ({version})");
        let advice =
            "it was written by a build that was never released: use that build, or a backup";
        notes.fail(subject, (found, advice));
        return false;
    }
    if at < known {
        let found = format!("has schema {at}; the next start brings it to {known}");
        notes.warn(subject, (found, "take a backup first: `xiangyi admin backup DIR`"));
    } else {
        notes.ok(subject, format!("opens, schema {at}"));
    }
    true
}

fn stuck(notes: &Notes, which: Which, waiting: Waiting) {
    let Waiting { documents, refused, oldest_ms, parked } = waiting;
    match which {
        Which::Node => {
            let age_ms = if documents > 0 { SystemClock.now_ms() - oldest_ms } else { 0 };
            let found = format!("{documents} documents wait for the hub");
            if refused > 0 {
                let found = format!("{found}, {refused} of which it refused");
                let advice = "`xiangyi exchange status --server NODE` says which and why; the others go \
                              on meanwhile";
                notes.warn("outbox", (found, advice));
            } else if age_ms > WAITING_MS_MAX {
                let days = age_ms / (24 * 3_600 * 1000);
                let found = format!("{found}, the oldest for {days} days");
                notes.warn("outbox", (found, "see `hub`: it was not reached for long"));
            } else {
                notes.ok("outbox", found);
            }
        }
        Which::Exchange if parked > 0 => {
            let found = format!("{parked} objects are given up for another archive");
            let advice = "`xiangyi forwarding status --config FILE` says why; `forwarding retry` sends \
                          them again";
            notes.warn("forwarding", (found, advice));
        }
        Which::Exchange | Which::Hub | Which::Region | Which::Anchors | Which::Studies => {}
    }
}

fn log(notes: &Notes, file: &DatabaseFile) {
    let path = looking::log_of(&file.path);
    let bytes = fs::metadata(&path).map_or(0, |found| found.len());
    if bytes > LOG_BYTES_MAX {
        let found = format!("has {} MiB that are not copied into the database", bytes >> 20);
        let advice = "a start copies it; never delete it by hand: it holds what was acknowledged. If it \
                      grows again, something reads the database without end (`fuser -v`)";
        notes.warn(path.display().to_string(), (found, advice));
    }
}
