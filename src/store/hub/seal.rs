//! What both back-ends do alike to seal a hub's audit trail: an entry of either table in the words of the
//! chain, and the digests of many.
//!
//! Entries are written by many transactions at once, at several hubs: none of them may wait for another.
//! So they are chained a little later, by whoever of the hubs is at it, in the order of their numbers, when
//! no transaction is left that could still bring an earlier one. Until then they are as any other row; the
//! heads that are kept elsewhere are signed less often than that.

use serde_json::json;

use crate::sharing::audit::{Entry, Head};
use crate::tables::text::hex;

/// The tables.
pub(in crate::store) const AUDIT: &str = "audit";
pub(in crate::store) const LOOK_UP: &str = "look_up";

/// A row of either table that is to be sealed.
#[derive(Debug)]
pub(in crate::store) struct Unsealed {
    pub(in crate::store) source: &'static str,
    pub(in crate::store) id: i64,
    /// Without number and digests.
    pub(in crate::store) entry: Entry,
}

/// A seal.
#[derive(Debug)]
pub(in crate::store) struct Seal {
    pub(in crate::store) source: &'static str,
    pub(in crate::store) id: i64,
    pub(in crate::store) head: Head,
}

/// A row of `audit` as an entry.
pub(in crate::store) fn of_audit(
    at_ms: i64,
    (node, action, document): (String, String, i64),
    (outcome, recipients): (String, String),
) -> Entry {
    Entry {
        number: 0,
        at_ms,
        caller: node,
        role: "node".to_owned(),
        action,
        record_id: if document == 0 { String::new() } else { document.to_string() },
        patient_reference: String::new(),
        outcome,
        detail: recipients,
        sha256: Vec::new(),
        sm3: Vec::new(),
    }
}

/// A row of `look_up`.
#[derive(Debug, Default)]
pub(in crate::store) struct LookedUp {
    pub(in crate::store) at_ms: i64,
    pub(in crate::store) node: String,
    pub(in crate::store) caller: String,
    pub(in crate::store) role: String,
    pub(in crate::store) action: String,
    pub(in crate::store) purpose: String,
    pub(in crate::store) glass_broken: bool,
    pub(in crate::store) reason: String,
    pub(in crate::store) person: Vec<u8>,
    pub(in crate::store) record: String,
    pub(in crate::store) version: i64,
    pub(in crate::store) documents: String,
    pub(in crate::store) outcome: String,
    pub(in crate::store) counted: bool,
}

impl LookedUp {
    /// As an entry; what has no field of its own is in the detail.
    pub(in crate::store) fn entry(self) -> Entry {
        let detail = json!({
            "purpose": self.purpose, "glass_broken": self.glass_broken, "reason": self.reason,
            "version": self.version, "documents": self.documents, "counted": self.counted,
        });
        Entry {
            number: 0,
            at_ms: self.at_ms,
            caller: format!("{}/{}", self.node, self.caller),
            role: self.role,
            action: self.action,
            record_id: self.record,
            patient_reference: hex(&self.person),
            outcome: self.outcome,
            detail: detail.to_string(),
            sha256: Vec::new(),
            sm3: Vec::new(),
        }
    }
}

/// Seals rows after `head`, in their order.
pub(in crate::store) fn seal(mut head: Head, rows: &[Unsealed]) -> Vec<Seal> {
    rows.iter()
        .map(|Unsealed { source, id, entry }| {
            head = head.after(&entry.said());
            Seal { source, id: *id, head }
        })
        .collect()
}

/// What both back-ends are asked in tests.
#[cfg(test)]
pub(in crate::store) mod suite {
    use std::time::Duration;

    use crate::app::audit::ports::Sealing;
    use crate::app::audit::verify;
    use crate::sharing::audit::{Broken, Fault, Intact};

    /// A look-up beside what the story of the exchange enters.
    pub(in crate::store) const LOOKED_UP: &str = "INSERT INTO look_up (at_ms, node, caller, role, action, purpose, glass_broken, reason, \
         person, record, version, documents, outcome, counted) SELECT 5, 'village', '李医生', \
         'village_doctor', 'fetch', 'TREAT', x.yes, '急诊', x.person, 'r', 1, '1 2', 'given', x.yes";
    /// Entries of the story with that one.
    pub(in crate::store) const ENTRIES: u64 = 9;

    /// What is done to the trail, the first bad entry, and what is wrong with it.
    pub(in crate::store) const ATTACKS: [(&str, u64, Fault); 6] = [
        ("DELETE FROM audit WHERE id = 3", 3, Fault::Missing),
        ("DELETE FROM look_up", 9, Fault::CutOff),
        ("UPDATE audit SET outcome = 'known' WHERE id = 4", 4, Fault::Altered),
        ("UPDATE look_up SET reason = ''", 9, Fault::Replaced),
        ("DELETE FROM audit_seal WHERE number = 3", 3, Fault::Missing),
        ("UPDATE audit_seal SET number = -number WHERE number < 3", 1, Fault::Missing),
    ];

    /// Chains until `least` entries more are chained.
    pub(in crate::store) async fn chained(trail: &dyn Sealing, least: u64) {
        let mut total = 0;
        for _ in 0..1_000 {
            total += trail.seal().await.unwrap();
            if total >= least {
                assert_eq!(total, least);
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{total} of {least} entries were chained");
    }

    pub(in crate::store) async fn verified(trail: &dyn Sealing) -> Result<Intact, Broken> {
        verify(trail, &[]).await.unwrap().result
    }
}
