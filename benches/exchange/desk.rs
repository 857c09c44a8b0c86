//! A node's desk in memory, and what arrives at all of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use xiangyi::app::error::Error;
use xiangyi::app::exchange::desk::Desk;
use xiangyi::app::ports::BoxFuture;
use xiangyi::sharing::discharge::model::{
    Address, Code, Coded, Diagnosis, DiagnosisRole, DischargeRecord, Document as Named, Identifier,
    IdentifierKind, Patient, Stay,
};
use xiangyi::sharing::discharge::{Moment, fhir};
use xiangyi::sharing::exchange::{
    Cursor, Delivery, Document, Hello, Kind, Numbered, Outcome, Position,
};

/// When each document came to its village.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Mutex<HashMap<String, Instant>>);

#[derive(Debug, Default)]
struct State {
    store: String,
    outbox: Vec<(Document, bool)>,
    answered: HashMap<String, Instant>,
    settled: usize,
    position: Position,
    inbox: Cursor,
}

/// See the module.
#[derive(Debug)]
pub(super) struct MemoryDesk {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    arrivals: Arc<Arrivals>,
    pub(super) welcomed: AtomicBool,
}

impl Arrivals {
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Prints how long documents took from the hub's answer to their village.
    pub(super) fn print(&self, what: &str, from: &MemoryDesk) {
        let (arrived, state) = (self.0.lock().unwrap(), from.state.lock().unwrap());
        let mut took: Vec<f64> = arrived
            .iter()
            .filter_map(|(name, at)| {
                let answered = state.answered.get(name)?;
                Some(at.saturating_duration_since(*answered).as_secs_f64() * 1000.0)
            })
            .collect();
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        println!(
            "{what}: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms ({} records)",
            at(0.5),
            at(0.99),
            at(1.0),
            took.len()
        );
    }
}

impl MemoryDesk {
    pub(super) fn new(arrivals: &Arc<Arrivals>) -> Arc<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        let store = format!("{:016x}", u64::from_be_bytes(bytes));
        Arc::new(Self {
            state: Mutex::new(State { store, ..State::default() }),
            changed: watch::Sender::new(0),
            arrivals: Arc::clone(arrivals),
            welcomed: AtomicBool::new(false),
        })
    }

    pub(super) fn put(&self, document: Document) {
        self.state.lock().unwrap().outbox.push((document, false));
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn settled(&self) -> usize {
        self.state.lock().unwrap().settled
    }
}

impl Desk for MemoryDesk {
    fn hello(&self) -> BoxFuture<'_, Result<Hello, Error>> {
        let state = self.state.lock().unwrap();
        let hello = Hello {
            store: state.store.clone(),
            last: u64::try_from(state.outbox.len()).unwrap(),
            position: state.position,
            inbox: state.inbox,
        };
        Box::pin(async move { Ok(hello) })
    }

    fn outbox(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Numbered, Error>> {
        // Asked for after the welcome.
        self.welcomed.store(true, Ordering::Relaxed);
        let state = self.state.lock().unwrap();
        let after = usize::try_from(after).unwrap();
        let numbered = (1_u64..).zip(&state.outbox).skip(after);
        let waiting = numbered.filter(|(_, (_, settled))| !settled);
        let mut found: Vec<_> =
            waiting.take(limit + 1).map(|(n, (document, _))| (n, document.clone())).collect();
        let whole = found.len() <= limit;
        found.truncate(limit);
        Box::pin(async move { Ok((found, whole)) })
    }

    fn settle(&self, number: u64, outcome: Outcome) -> BoxFuture<'_, Result<(), Error>> {
        let position = outcome.number().unwrap_or_else(|| panic!("{outcome:?}"));
        let mut guard = self.state.lock().unwrap();
        let state = &mut *guard;
        let entry = &mut state.outbox[usize::try_from(number - 1).unwrap()];
        entry.1 = true;
        // The body is no longer needed.
        entry.0.body = Bytes::new();
        state.settled += 1;
        state.answered.insert(entry.0.name.clone(), Instant::now());
        if position > state.position.number {
            state.position = Position { number: position, sha256: entry.0.sha256 };
        }
        Box::pin(async { Ok(()) })
    }

    fn keep(&self, cursor: Cursor, delivery: Delivery) -> BoxFuture<'_, Result<(), Error>> {
        let before = self.arrivals.0.lock().unwrap().insert(delivery.document.name, Instant::now());
        assert!(before.is_none(), "a document came twice");
        self.state.lock().unwrap().inbox = cursor;
        Box::pin(async { Ok(()) })
    }

    fn unsettle(&self) -> BoxFuture<'_, Result<(), Error>> {
        panic!("the hub has forgotten something")
    }

    fn reset_inbox(&self, _cursor: Cursor) -> BoxFuture<'_, Result<(), Error>> {
        panic!("the hub has other numbers")
    }

    fn renew(&self) -> BoxFuture<'_, Result<Hello, Error>> {
        panic!("the hub takes the desk for an old copy")
    }

    fn note_replaced(&self) -> BoxFuture<'_, Result<(), Error>> {
        panic!("the hub takes the desk for another box")
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// A record of somebody in a village, as a FHIR document of about 6 KB.
pub(super) fn record(number: usize, village: &str) -> Document {
    let name = format!("urn:oid:2.999.1|{number}");
    let moment = |text: &str| Moment::iso(text).unwrap();
    let icd = |code: &str, text: &str, role| Diagnosis {
        role,
        coded: Coded {
            text: text.to_owned(),
            codes: vec![Code {
                system: "http://hl7.org/fhir/sid/icd-10".to_owned(),
                code: code.to_owned(),
                display: text.to_owned(),
            }],
        },
        ..Diagnosis::default()
    };
    let record = DischargeRecord {
        document: Named {
            name: name.clone(),
            version: Some(1),
            title: "出院小结".to_owned(),
            written: Some(moment("2026-11-28T10:30:00+08:00")),
            ..Named::default()
        },
        patient: Patient {
            identifiers: vec![Identifier {
                kind: IdentifierKind::HealthCard,
                system: "urn:oid:2.16.156.10011.1.19".to_owned(),
                value: format!("{number:014}"),
            }],
            name: format!("测试{number}"),
            birth_date: Some(moment("1958-03-21")),
            address: Address { division: village.to_owned(), ..Address::default() },
            ..Patient::default()
        },
        stay: Stay {
            institution: "示范县人民医院".to_owned(),
            admitted: Some(moment("2026-11-18T09:10:00+08:00")),
            discharged: Some(moment("2026-11-28T10:00:00+08:00")),
            ..Stay::default()
        },
        diagnoses: vec![
            icd("I63.9", "脑梗死", DiagnosisRole::DischargeMain),
            icd("I10", "高血压3级", DiagnosisRole::Discharge),
        ],
        ..DischargeRecord::default()
    };
    let body = serde_json::to_vec(&fhir::write(&record, &moment("2026-11-28T10:30:00+08:00")));
    let body = Bytes::from(body.unwrap());
    Document {
        kind: Kind::Record,
        name,
        version: 1,
        media_type: "application/fhir+json".to_owned(),
        sha256: Sha256::digest(&body).into(),
        body,
    }
}
