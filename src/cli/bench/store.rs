//! How many answers the store keeps a second: the node's own store in this process, `SQLite` that waits for
//! the disk (`synchronous=FULL`), with one, 16 and 64 writers, whose commits share a wait. An answer here is
//! as large as one of Diagnose, and comes with its entry of the audit trail.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::Failure;
use super::run::Bench;
use crate::app::access::{Action, Caller, authorise};
use crate::app::ports::{AuditEntry, Clock, IdSource, Journal as _, NewRecord, RecordKind};
use crate::benchmark::load::{ClosedLoad, Seen, closed_loop};
use crate::node::{SystemClock, UuidSource};
use crate::store::sqlite::SqliteStore;

/// Writers at the same time.
const WRITERS: [usize; 3] = [1, 16, 64];
/// Commits that wait at most.
const WRITES_MAX: usize = 1_024;
/// Characters of an answer that is kept, about those of a consultation.
const ANSWER: usize = 24_000;

/// Measures it in the folder of the run.
pub(super) async fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let folder = tempfile::Builder::new().prefix("xiangyi-bench-").tempdir_in(&bench.data)?;
    let tracker = TaskTracker::new();
    let path = folder.path().join("store.db");
    let store = Arc::new(SqliteStore::open(&path, WRITES_MAX, &tracker).await?);
    let answer: Arc<str> = format!("\"{}\"", "x".repeat(ANSWER)).into();
    let caller = Arc::new(Caller::local("bench"));
    for clients in WRITERS {
        bench.step(&format!("store: {clients}"), bench.budget.store);
        let (store, answer, caller) =
            (Arc::clone(&store), Arc::clone(&answer), Arc::clone(&caller));
        let load = ClosedLoad { clients, time: bench.budget.store, blocks: bench.budget.blocks };
        let seen = closed_loop(load, move |_| {
            let (store, answer, caller) =
                (Arc::clone(&store), Arc::clone(&answer), Arc::clone(&caller));
            async move { keep(&store, &answer, &caller).await }
        });
        tell(bench, clients, &seen.await?)?;
    }
    drop(store);
    tracker.close();
    tracker.wait().await;
    Ok(())
}

fn tell(bench: &mut Bench, clients: usize, seen: &Seen) -> Result<(), Failure> {
    if seen.done == 0 {
        return Err(seen.error.clone().unwrap_or_else(|| "nothing was kept".to_owned()).into());
    }
    let name = format!("store.commits_{clients}_per_second");
    bench.report.add(&name, seen.per_second(), seen.rates());
    if clients == 1 {
        bench.quantiles("store", seen, &[("commit_p50_ms", 0.5), ("commit_p99_ms", 0.99)])?;
    }
    Ok(())
}

async fn keep(store: &SqliteStore, answer: &str, caller: &Caller) -> Result<(), String> {
    let permit = authorise(caller, Action::Diagnose).map_err(|e| e.public().clone())?;
    let (id, now) = (UuidSource.new_id(), SystemClock.now_ms());
    let record = NewRecord {
        id: id.clone(),
        kind: RecordKind::Consultation,
        request_id: id.clone(),
        content_sha256: [0; 32],
        patient_reference: String::new(),
        created_ms: now,
        request_json: "{}".to_owned(),
        answer_json: answer.to_owned(),
        summary_json: "{}".to_owned(),
        model_version: "bench".to_owned(),
        rule_version: "bench".to_owned(),
    };
    let audit = AuditEntry {
        at_ms: now,
        record_id: id,
        patient_reference: String::new(),
        outcome: "ok",
        detail: String::new(),
    };
    store.append(&permit, record, audit).await.map(drop).map_err(|e| e.public().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_in_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let tracker = TaskTracker::new();
        let store = SqliteStore::open(&path, WRITES_MAX, &tracker).await.unwrap();
        for _ in 0..3 {
            keep(&store, "\"x\"", &Caller::local("bench")).await.unwrap();
        }
        assert_eq!(store.info().await.unwrap().record_count, 3);
    }
}
