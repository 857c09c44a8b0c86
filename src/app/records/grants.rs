//! What stands between this clinic and a person, as it was written down here: registrations, contracts
//! and referrals that [`App::register_person`] keeps, and presence confirmed by hand.

use super::Purpose;
use super::person::PersonKeys;
use super::place::{About, Near};
use super::ports::{KeptGrant, RecordStanding};
use super::reading::held;
use super::registration::check_person;
use crate::app::App;
use crate::app::access::{Action, Caller, Permit, authorise};
use crate::app::error::Error;
use crate::app::exchange::facts::{RegisteredPerson, RelationName};
use crate::app::ports::AuditEntry;
use crate::app::request::Problems;
use crate::sharing::consent::{Grant, GrantKind, PRESENCE_MS_MAX};

/// A change of what stands between this clinic and a person. It ends every grant of the kind that the
/// person has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantChange {
    /// Who.
    pub keys: PersonKeys,
    /// Of which kind.
    pub kind: GrantKind,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What holds from then on; none: nothing of that kind.
    pub gives: Option<NewGrant>,
}

/// A grant that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// Id.
    pub id: String,
    /// Until when, in milliseconds since 1970, not included; none: open-ended.
    pub until_ms: Option<i64>,
    /// Who wrote it down.
    pub by: String,
    /// How a presence was confirmed; else empty.
    pub how: String,
}

/// Of whom something is said.
#[derive(Debug, Clone)]
pub enum Whose {
    /// Of whom a record of this name speaks.
    Record(String),
    /// Of this person.
    Person(RegisteredPerson),
}

/// How somebody saw that a patient is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceCheck {
    /// The identity card was seen.
    IdentityCard,
    /// The code of the electronic health card was read.
    HealthCode,
    /// The patient is known personally.
    KnownPersonally,
}

impl PresenceCheck {
    const ALL: [Self; 3] = [Self::IdentityCard, Self::HealthCode, Self::KnownPersonally];

    /// The name in the store and in the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::IdentityCard => "identity_card",
            Self::HealthCode => "health_code",
            Self::KnownPersonally => "known_personally",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.name() == name)
    }
}

/// What a registration keeps here; none: a subscription is no relation of treatment.
pub(super) fn kind_of(relation: RelationName) -> Option<GrantKind> {
    match relation {
        RelationName::Registered => Some(GrantKind::Registration),
        RelationName::Contract => Some(GrantKind::Contract),
        RelationName::Referral => Some(GrantKind::Referral),
        RelationName::Subscription => None,
    }
}

impl KeptGrant {
    /// As the policy knows it.
    pub(super) fn to(&self, institution: &str) -> Grant {
        Grant {
            kind: self.kind,
            institution: institution.to_owned(),
            from_ms: self.from_ms,
            until_ms: self.until_ms,
        }
    }
}

impl App {
    /// Grants to this node that hold now for a person: registration, contract, referral, presence.
    pub async fn grants_for(&self, person: &RegisteredPerson) -> Result<Vec<Grant>, Error> {
        let keys = PersonKeys::of_registered(person);
        let now = self.clock.now_ms();
        let kept = self.desk()?.store.grants(&keys).await?;
        let grants = kept.iter().map(|grant| grant.to(&self.name));
        Ok(grants.filter(|grant| grant.holds(now)).collect())
    }

    /// Somebody saw that a patient is here: records of the patient can be read until `until_ms`, at most
    /// and without it 24 hours.
    pub async fn confirm_presence(
        &self,
        caller: &Caller,
        whose: &Whose,
        (check, until_ms): (PresenceCheck, Option<i64>),
    ) -> Result<KeptGrant, Error> {
        let permit = authorise(caller, Action::ChangeConsent)?;
        let now = self.clock.now_ms();
        let last = now.saturating_add(PRESENCE_MS_MAX);
        let until_ms = until_ms.unwrap_or(last);
        let mut problems = Problems::default();
        problems.unless(
            now < until_ms && until_ms <= last,
            "until_ms",
            "must lie in the future, at most 24 hours from now",
        );
        problems.finish()?;
        let (keys, _) = self.keys_of(&permit, whose, "").await?;
        let grant = KeptGrant {
            id: self.ids.new_id(),
            kind: GrantKind::Presence,
            from_ms: now,
            until_ms: Some(until_ms),
            by: format!("{}@{}", caller.name, self.name),
            how: check.name().to_owned(),
            sent_for: None,
        };
        let gives = NewGrant {
            id: grant.id.clone(),
            until_ms: grant.until_ms,
            by: grant.by.clone(),
            how: grant.how.clone(),
        };
        let change =
            GrantChange { keys, kind: GrantKind::Presence, at_ms: now, gives: Some(gives) };
        let about = whose.record().unwrap_or(&grant.id);
        let detail = format!("presence confirmed: {}", check.name());
        let entry = AuditEntry { detail, ..self.entry(about, "") };
        self.desk()?.store.change_grant(&permit, change, entry).await?;
        Ok(grant)
    }

    /// The patient has left.
    pub async fn end_presence(&self, caller: &Caller, whose: &Whose) -> Result<(), Error> {
        let permit = authorise(caller, Action::ChangeConsent)?;
        let (keys, _) = self.keys_of(&permit, whose, "").await?;
        let at_ms = self.clock.now_ms();
        let change = GrantChange { keys, kind: GrantKind::Presence, at_ms, gives: None };
        let detail = "presence ended".to_owned();
        let entry = AuditEntry { detail, ..self.entry(whose.record().unwrap_or_default(), "") };
        if self.desk()?.store.change_grant(&permit, change, entry).await? {
            Ok(())
        } else {
            Err(Error::NotFound { kind: "presence that holds" })
        }
    }

    /// What stands between this node's institution and a patient now, the last to end first.
    pub async fn list_grants(
        &self,
        caller: &Caller,
        whose: &Whose,
        purpose: Purpose,
    ) -> Result<Vec<KeptGrant>, Error> {
        let permit = authorise(caller, Action::ReadRecords)?;
        let (keys, has) = self.keys_of(&permit, whose, purpose.id()).await?;
        let entry = self.read_for(whose.record().unwrap_or_default(), purpose);
        if !permit.serves(purpose) {
            self.journal.audit(&permit, AuditEntry { outcome: "denied", ..entry }).await?;
            return Err(Error::Denied { action: "list grants for this purpose" });
        }
        if let Some(has) = &has {
            let about = (About::Record(has), Near::InPerson);
            self.may_write(&permit, about, entry.clone()).await?;
        }
        let grants = match has {
            Some(has) => held(&has, self.clock.now_ms()),
            None => self.desk()?.store.grants(&keys).await?,
        };
        self.journal.audit(&permit, entry).await?;
        let now = self.clock.now_ms();
        Ok(grants.into_iter().filter(|grant| grant.to(&self.name).holds(now)).collect())
    }

    /// By what a person is found, and how the record stands where it is one.
    async fn keys_of(
        &self,
        permit: &Permit<'_>,
        whose: &Whose,
        detail: &str,
    ) -> Result<(PersonKeys, Option<RecordStanding>), Error> {
        let mut problems = Problems::default();
        match whose {
            Whose::Record(record) => {
                let Some(has) = self.desk()?.store.standing(record).await? else {
                    let detail = detail.to_owned();
                    let entry =
                        AuditEntry { outcome: "not_found", detail, ..self.entry(record, "") };
                    self.journal.audit(permit, entry).await?;
                    return Err(Error::NotFound { kind: "discharge record" });
                };
                problems.unless(
                    !has.keys.is_empty(),
                    "record",
                    "does not say whose it is by a number or a birth date: give person instead",
                );
                problems.finish()?;
                Ok((has.keys.clone(), Some(has)))
            }
            Whose::Person(person) => {
                check_person(&mut problems, person);
                let keys = PersonKeys::of_registered(person);
                problems.unless(
                    !keys.is_empty(),
                    "person",
                    "must have a name, and a resident ID, health card number or birth date",
                );
                problems.finish()?;
                Ok((keys, None))
            }
        }
    }
}

impl Whose {
    fn record(&self) -> Option<&str> {
        match self {
            Self::Record(record) => Some(record),
            Self::Person(_) => None,
        }
    }
}
