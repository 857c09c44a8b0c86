//! Whether what is written down is about a patient of whoever writes it down. Reads are decided by the
//! region's policy ([`super::reading`]), which knows of places, too.

use super::person::PersonKeys;
use super::ports::{KeptGrant, RecordStanding};
use super::reading::held;
use crate::app::App;
use crate::app::access::{Caller, Permit};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::sharing::consent::GrantKind;

/// How near a patient must be to somebody who writes something down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Near {
    /// Of the caller's place, or here in person: present, or referred.
    InPerson,
    /// Of the caller's place.
    OfPlace,
}

/// Of whom something is written down.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    /// Of whom a record speaks that stands so.
    Record(&'a RecordStanding),
    /// A person who lives in a division, as the caller says.
    Person(&'a PersonKeys, &'a str),
}

impl App {
    /// Refuses to write down what is about somebody who is not near enough, and says so in the trail. Who
    /// works for the whole node is near to everybody.
    pub(super) async fn may_write(
        &self,
        permit: &Permit<'_>,
        (about, near): (About<'_>, Near),
        entry: AuditEntry,
    ) -> Result<(), Error> {
        if self.is_near(permit.caller(), (about, near)).await? {
            return Ok(());
        }
        self.journal.audit(permit, AuditEntry { outcome: "out_of_place", ..entry }).await?;
        let reason = match near {
            Near::InPerson => "患者不在您负责的区划内：请先确认患者就诊，或写明患者所在区划",
            Near::OfPlace => {
                "患者不在您负责的区划内，且此撤回不是您登记的：请由患者所在区划的机构恢复同意"
            }
        };
        Err(Error::Withheld { reason: reason.to_owned() })
    }

    /// Whether a patient is near enough to somebody.
    pub(super) async fn is_near(
        &self,
        caller: &Caller,
        (about, near): (About<'_>, Near),
    ) -> Result<bool, Error> {
        if caller.has_the_whole_node() {
            return Ok(true);
        }
        let now = self.clock.now_ms();
        let (is_of_place, grants) = match about {
            About::Record(has) => {
                let lives = self.knowledge.load().divisions.resolve(&has.address).code;
                (caller.looks_after(&lives), held(has, now))
            }
            About::Person(keys, division) => {
                (caller.looks_after(division), self.desk()?.store.grants(keys).await?)
            }
        };
        let in_person = |grant: &KeptGrant| is_in_person(grant, &self.name, now);
        Ok(is_of_place || (near == Near::InPerson && grants.iter().any(in_person)))
    }

    /// How a record stands; where there is none, the trail says that it was asked for.
    pub(super) async fn standing_here(
        &self,
        permit: &Permit<'_>,
        record: &str,
        entry: AuditEntry,
    ) -> Result<RecordStanding, Error> {
        if let Some(has) = self.desk()?.store.standing(record).await? {
            return Ok(has);
        }
        self.journal.audit(permit, AuditEntry { outcome: "not_found", ..entry }).await?;
        Err(Error::NotFound { kind: "discharge record" })
    }
}

/// Whether a grant says that the patient is here in person now: present, or referred.
pub(super) fn is_in_person(grant: &KeptGrant, node: &str, now_ms: i64) -> bool {
    matches!(grant.kind, GrantKind::Presence | GrantKind::Referral) && grant.to(node).holds(now_ms)
}

/// There is no version above the last one.
pub(super) fn exhausted() -> Error {
    let reason =
        "the highest version that there can be is taken, so nothing can be said after it: tell \
                  whoever runs the node"
            .to_owned();
    Error::Refused { reason }
}
