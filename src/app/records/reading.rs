//! Who may read a record, for what, and how much of it: the region's policy, applied to what this node
//! knows of the patient.
//!
//! A record that was written here is the institution's own. Of one that came over the link counts what it
//! was sent for: the patient lives here or is registered here, with no end; a contract or a referral only
//! as long as a grant that was written down here holds; a subscription is no relation at all. Grants and
//! a presence that was confirmed by hand count beside it, whatever a record came for. A hub from before
//! does not say why: then the record counts as that of a registered patient. What the patient took back
//! counts at once.

use super::ports::{AccessReview, KeptGrant, RecordStanding};
use super::{FoundRecord, Purpose};
use crate::app::access::{Action, Caller, Permit, Role, authorise};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::app::request::{PageRequest, Problems};
use crate::app::{App, NodeKind};
use crate::sharing::consent::{
    self, Access, AccessReason, AccessRequest, GrantKind, Reach, ReasonCode, RecordRef, Scope,
    Standing, Verdict, Withdrawal, decide,
};
use crate::sharing::discharge::model::{Address, Narrative, Patient};
use crate::sharing::exchange::SentFor;

/// Characters of a reason or finding at most.
const REASON_CHARS_MAX: usize = 500;
/// Division code that stands for a node whose place is not configured: the city of Shangrao.
const REGION: &str = "361100";

/// Why, and with how strong a claim, a record is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<'a> {
    /// What for.
    pub purpose: Purpose,
    /// Why the glass is to be broken; empty: it is not.
    pub break_glass: &'a str,
}

impl Reading<'_> {
    /// For a purpose, with the glass whole.
    pub fn for_purpose(purpose: Purpose) -> Self {
        Self { purpose, break_glass: "" }
    }
}

/// What decided about a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// How much may be seen.
    pub scope: Scope,
    /// Until when, in milliseconds since 1970; none: as long as nothing changes.
    pub until_ms: Option<i64>,
    /// The glass was broken: the patient is to be told, and a review is open.
    pub review: bool,
    /// Why, in Chinese.
    pub reasons: Vec<String>,
}

impl App {
    /// As what the consent tables know a role. A village doctor's role at a hospital is that of whoever
    /// works there: configurations from before there were more roles say so.
    pub(super) fn policy_role(&self, role: Role) -> Option<consent::Role> {
        Some(match role {
            Role::VillageDoctor | Role::Local => match self.role {
                NodeKind::Clinic => consent::Role::VillageDoctor,
                NodeKind::Hospital | NodeKind::Hub => consent::Role::HospitalDoctor,
            },
            Role::TownshipDoctor => consent::Role::TownshipDoctor,
            Role::HospitalDoctor => consent::Role::HospitalDoctor,
            Role::PublicHealthWorker => consent::Role::PublicHealthWorker,
            Role::Pharmacist => consent::Role::Pharmacist,
            Role::Auditor => consent::Role::Auditor,
            Role::Administrator => consent::Role::Administrator,
            Role::Radiologist | Role::DicomPeer | Role::Node => return None,
        })
    }

    /// Division code of the place whose policy counts.
    pub(super) fn policy_region(&self) -> &str {
        region_of(&self.area)
    }

    pub(super) fn policy_on(
        &self,
        caller: &Caller,
        name: &str,
        has: &RecordStanding,
        (reading, scope): (Reading<'_>, Scope),
    ) -> Access {
        let now = self.clock.now_ms();
        let own = self.name.clone();
        let knowledge = self.knowledge.load();
        let mut standing = standing_of(&own, name, has, now);
        let is_near = caller.has_the_whole_node()
            || caller.looks_after(&knowledge.divisions.resolve(&has.address).code);
        // What this node wrote is its own, also where it came back after its database was lost.
        let wrote = !has.from_hub || has.sender == self.name;
        let author_institution = if wrote && is_near { own.clone() } else { String::new() };
        if !is_near {
            only_in_person(&mut standing);
        }
        let request = AccessRequest {
            purpose: Some(reading.purpose),
            role: self.policy_role(caller.role),
            institution: own,
            region: self.policy_region().to_owned(),
            record: RecordRef { name: name.to_owned(), author_institution },
            scope,
            is_the_patient: false,
            break_glass: (!reading.break_glass.is_empty()).then(|| reading.break_glass.to_owned()),
        };
        let access = decide(&request, &standing, &knowledge.policy, now);
        within_rights(access, (caller, Action::ReadRecords), (reading.purpose, is_near))
    }

    /// Decides about one record; a denial is in the audit trail, and so is a broken glass with its
    /// review.
    pub(super) async fn may_read(
        &self,
        caller: &Caller,
        permit: &Permit<'_>,
        name: &str,
        asked: (Reading<'_>, Scope),
    ) -> Result<Granted, Error> {
        let desk = self.desk()?;
        let reading = asked.0;
        let Some(has) = desk.store.standing(name).await? else {
            let entry = self.read_for(name, reading.purpose);
            self.journal.audit(permit, AuditEntry { outcome: "not_found", ..entry }).await?;
            return Err(Error::NotFound { kind: "discharge record" });
        };
        let access = self.policy_on(caller, name, &has, asked);
        let reasons: Vec<String> = access.reasons.iter().map(|r| r.text_zh.clone()).collect();
        let entry = self.read_for(name, reading.purpose);
        let scope = match (access.verdict, access.scope) {
            (Verdict::Denied, _) | (_, None) => {
                self.journal.audit(permit, AuditEntry { outcome: "withheld", ..entry }).await?;
                return Err(Error::Withheld { reason: reasons.join("；") });
            }
            (Verdict::Allowed | Verdict::GlassBroken, Some(scope)) => scope,
        };
        let is_broken = access.verdict == Verdict::GlassBroken;
        let review = is_broken.then(|| self.review_of(caller, name, (reading, &access)));
        let id = review.as_ref().map_or("", |review| review.id.as_str());
        let notice = self.notice_of(caller, (name, id), (reading, &access));
        if review.is_some() || notice.is_some() {
            let outcome = if review.is_some() { "glass_broken" } else { "patient_to_be_told" };
            if review.is_some() {
                tracing::warn!(caller = caller.name, "a record was opened by breaking the glass");
            }
            let entry = AuditEntry { outcome, ..entry };
            desk.store.open_review(permit, review, notice, entry).await?;
        }
        Ok(Granted { scope, until_ms: access.until_ms, review: access.review, reasons })
    }

    /// The review of a read by a broken glass.
    pub(super) fn review_of(
        &self,
        caller: &Caller,
        record: &str,
        (reading, access): (Reading<'_>, &Access),
    ) -> AccessReview {
        let now = self.clock.now_ms();
        AccessReview {
            id: self.ids.new_id(),
            at_ms: now,
            until_ms: access.until_ms.unwrap_or(now),
            caller: caller.name.clone(),
            role: caller.role.name().to_owned(),
            record: record.to_owned(),
            reason: reading.break_glass.trim().to_owned(),
            rule: access.row.clone(),
            closed_ms: 0,
            closed_by: String::new(),
            finding: String::new(),
        }
    }

    /// Reads by a broken glass, newest first: those to be looked at, or all; and how many patients are yet
    /// to be told of a read.
    pub async fn access_reviews(
        &self,
        caller: &Caller,
        open: bool,
        page: &PageRequest,
    ) -> Result<(Vec<AccessReview>, u64), Error> {
        let permit = authorise(caller, Action::ReviewAccess)?;
        let (size, _) = page.open("reviews")?;
        let desk = self.desk()?;
        let reviews = desk.store.reviews(&permit, open, size, self.entry("", "")).await?;
        Ok((reviews, desk.notices_open().await?))
    }

    /// Says what came of a review.
    pub async fn close_access_review(
        &self,
        caller: &Caller,
        id: &str,
        finding: &str,
    ) -> Result<(), Error> {
        let permit = authorise(caller, Action::ReviewAccess)?;
        let mut problems = Problems::default();
        problems.unless(!id.is_empty(), "review_id", "must not be empty");
        problems.id("review_id", id);
        problems.unless(!finding.trim().is_empty(), "finding", "must say what came of it");
        problems.chars("finding", finding, REASON_CHARS_MAX);
        problems.written("finding", finding);
        problems.finish()?;
        let entry = self.entry(id, "");
        if self.desk()?.store.close_review(&permit, id, finding.trim(), entry).await? {
            Ok(())
        } else {
            Err(Error::NotFound { kind: "open review" })
        }
    }
}

/// The region whose policy counts where a node stands.
pub(in crate::app) fn region_of(area: &str) -> &str {
    if area.len() < 6 { REGION } else { area }
}

/// What stands between this node's institution and the patient of a record: what it was sent for, and
/// what was written down here. Those that have ended are among them.
pub(super) fn held(has: &RecordStanding, now_ms: i64) -> Vec<KeptGrant> {
    let mut held = Vec::with_capacity(has.grants.len() + 1);
    let sent_for = has.sent_for;
    let registered = has.grants.iter().any(|grant| grant.kind == GrantKind::Registration);
    let is_patient = match sent_for {
        // What was written down here says since when and until when.
        Some(SentFor::Registered) => !registered,
        Some(SentFor::Village | SentFor::Township | SentFor::Backfill | SentFor::Returned)
        | None => true,
        // Only as long as a grant says so; or no relation of treatment at all.
        Some(
            SentFor::Contract
            | SentFor::Referral
            | SentFor::Subscription
            | SentFor::Task
            | SentFor::Correction
            | SentFor::Other,
        ) => false,
    };
    if has.from_hub && is_patient {
        held.push(KeptGrant {
            id: String::new(),
            kind: GrantKind::Registration,
            from_ms: has.received_ms.min(now_ms),
            until_ms: None,
            by: String::new(),
            how: String::new(),
            sent_for,
        });
    }
    held.extend(has.grants.iter().cloned());
    held
}

/// Leaves of what stands between the institution and a patient what is about the patient in person: somebody
/// who works for one village of a township has nothing to do with those who are registered in another.
pub(super) fn only_in_person(standing: &mut Standing) {
    standing.grants.retain(|grant| matches!(grant.kind, GrantKind::Presence | GrantKind::Referral));
}

/// What the region's policy allows, cut to what the caller's role may do at all for the purpose
/// (`models/policy/actions.csv`).
pub(super) fn within_rights(
    mut access: Access,
    (caller, action): (&Caller, Action),
    (purpose, is_near): (Purpose, bool),
) -> Access {
    if access.verdict == Verdict::Denied && !is_near {
        let text_zh =
            "患者不在您负责的区划内：本机构的登记、签约对您不算数，请先确认患者就诊".to_owned();
        access.reasons.push(AccessReason { code: ReasonCode::OutOfPlace, text_zh });
    }
    if access.verdict != Verdict::Denied && !caller.rights().allow_for(action, purpose) {
        let text = "您的角色不得以此目的查阅病历（models/policy/actions.csv）";
        return Access::denied(ReasonCode::PurposeNotOfRole, text);
    }
    access
}

/// How the patient of a record stands to the institution `own`.
pub(super) fn standing_of(own: &str, name: &str, has: &RecordStanding, now_ms: i64) -> Standing {
    let grants = held(has, now_ms).iter().map(|grant| grant.to(own)).collect();
    let withdrawals = has.withdrawals.iter().map(|(all, from_ms, until_ms)| {
        let reach = if *all { Reach::All } else { Reach::Record(name.to_owned()) };
        Withdrawal { reach, from_ms: *from_ms, until_ms: *until_ms }
    });
    Standing { grants, withdrawals: withdrawals.collect() }
}

/// What a summary leaves out of a patient: numbers, where the patient lives, and contacts.
pub(super) fn summary_of(patient: &mut Patient) {
    patient.identifiers.clear();
    patient.phones.clear();
    patient.address = Address::default();
    patient.contacts.clear();
}

/// What a summary leaves out: numbers, where the patient lives, contacts, and what is told in words but
/// for the orders.
pub(super) fn summary_only(found: &mut FoundRecord) {
    let Some(reading) = &mut found.reading else { return };
    let record = &mut reading.record;
    let orders = std::mem::take(&mut record.narrative.orders);
    record.narrative = Narrative { orders, ..Narrative::default() };
    summary_of(&mut record.patient);
    record.sections.clear();
    record.signatures.clear();
    for study in &mut record.imaging {
        study.report.clear();
    }
    for procedure in &mut record.procedures {
        procedure.course.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::consent::PolicyTables;

    const HOUR_MS: i64 = 3_600_000;
    /// 2026-11-29.
    const NOW: i64 = 1_795_910_400_000;

    fn grant(kind: GrantKind, until: Option<i64>) -> KeptGrant {
        KeptGrant {
            id: "1".to_owned(),
            kind,
            from_ms: NOW - 5 * HOUR_MS,
            until_ms: until.map(|hours| NOW + hours * HOUR_MS),
            by: "doctor@village".to_owned(),
            how: String::new(),
            sent_for: None,
        }
    }

    fn came(sent_for: Option<SentFor>, grants: &[KeptGrant]) -> RecordStanding {
        RecordStanding {
            from_hub: true,
            sent_for,
            sender: "county".to_owned(),
            received_ms: NOW - HOUR_MS,
            person: String::new(),
            address: Address::default(),
            keys: crate::app::records::person::PersonKeys::default(),
            withdrawals: Vec::new(),
            withdrawn_by: Vec::new(),
            grants: grants.to_vec(),
        }
    }

    fn decided(has: &RecordStanding, purpose: Purpose) -> Access {
        let policy = PolicyTables::load(&crate::embedded::files()).unwrap();
        let request = AccessRequest {
            purpose: Some(purpose),
            role: Some(consent::Role::VillageDoctor),
            institution: "village".to_owned(),
            region: REGION.to_owned(),
            record: RecordRef { name: "r".to_owned(), author_institution: String::new() },
            scope: Scope::Whole,
            is_the_patient: false,
            break_glass: None,
        };
        decide(&request, &standing_of("village", "r", has, NOW), &policy, NOW)
    }

    /// The policy of a region may open more than the role has rights to; the rights hold.
    #[test]
    fn no_policy_opens_to_a_role_what_its_rights_do_not() {
        let open = decided(&came(Some(SentFor::Village), &[]), Purpose::Treatment);
        assert_eq!(open.verdict, Verdict::Allowed);
        for (role, purpose, verdict) in [
            (Role::VillageDoctor, Purpose::Treatment, Verdict::Allowed),
            (Role::Pharmacist, Purpose::Treatment, Verdict::Allowed),
            (Role::Pharmacist, Purpose::PublicHealth, Verdict::Denied),
            (Role::PublicHealthWorker, Purpose::Treatment, Verdict::Denied),
            (Role::Radiologist, Purpose::Treatment, Verdict::Denied),
        ] {
            let caller = Caller::shipped("x", role);
            for action in [Action::ReadRecords, Action::LookUpRecords] {
                let access = within_rights(open.clone(), (&caller, action), (purpose, true));
                assert_eq!(access.verdict, verdict, "{role:?} {purpose:?} {action:?}");
            }
        }
    }

    #[test]
    fn what_a_record_came_for_and_what_was_written_down_here_decide_together() {
        use GrantKind::{Contract, Presence, Referral, Registration};
        use SentFor as S;
        let (yes, no) = (Verdict::Allowed, Verdict::Denied);
        for (sent_for, grants, verdict) in [
            // Residents and registered people, with no end; hubs of before.
            (Some(S::Village), vec![], yes),
            (Some(S::Township), vec![], yes),
            (Some(S::Registered), vec![], yes),
            (Some(S::Backfill), vec![], yes),
            (Some(S::Returned), vec![], yes),
            (None, vec![], yes),
            // A registration that was ended here has ended.
            (Some(S::Registered), vec![grant(Registration, Some(-1))], no),
            (Some(S::Registered), vec![grant(Registration, None)], yes),
            (Some(S::Village), vec![grant(Registration, Some(-1))], yes),
            // A contract and a referral only while they hold.
            (Some(S::Contract), vec![], no),
            (Some(S::Contract), vec![grant(Contract, Some(1))], yes),
            (Some(S::Contract), vec![grant(Contract, Some(-1))], no),
            (Some(S::Contract), vec![grant(Contract, None)], no),
            (Some(S::Referral), vec![], no),
            (Some(S::Referral), vec![grant(Referral, Some(1))], yes),
            (Some(S::Referral), vec![grant(Referral, Some(-1))], no),
            // Whatever it came for, what holds now counts.
            (Some(S::Referral), vec![grant(Contract, Some(1))], yes),
            (Some(S::Subscription), vec![], no),
            (Some(S::Subscription), vec![grant(Registration, None)], yes),
            (Some(S::Subscription), vec![grant(Presence, Some(1))], yes),
            (Some(S::Subscription), vec![grant(Presence, Some(-1))], no),
            (Some(S::Referral), vec![grant(Referral, Some(-1)), grant(Presence, Some(1))], yes),
            (Some(S::Task), vec![], no),
            (Some(S::Correction), vec![], no),
            (Some(S::Correction), vec![grant(Registration, None)], yes),
            (Some(S::Correction), vec![grant(Contract, Some(-1))], no),
            (Some(S::Other), vec![], no),
        ] {
            let has = came(sent_for, &grants);
            let access = decided(&has, Purpose::Treatment);
            assert_eq!(access.verdict, verdict, "{sent_for:?} {grants:?}");
            if verdict == Verdict::Denied {
                let ended = access
                    .reasons
                    .iter()
                    .any(|r| matches!(r.code, ReasonCode::GrantEnded | ReasonCode::GrantInvalid));
                assert_eq!(ended, !grants.is_empty(), "{sent_for:?}: it says what has ended");
            }
        }
        // Without a relation an emergency still breaks the glass, and the end of a grant ends a permit.
        let followed = decided(&came(Some(S::Subscription), &[]), Purpose::Emergency);
        assert!(followed.reasons.iter().any(|r| r.code == ReasonCode::GlassPossible));
        let referred = came(Some(S::Referral), &[grant(Referral, Some(2))]);
        let until = decided(&referred, Purpose::Treatment).until_ms;
        assert_eq!(until, Some(NOW + 2 * HOUR_MS));
        // A presence opens what the patient asks for, which no registration does.
        let present = came(Some(S::Village), &[grant(Presence, Some(1))]);
        assert_eq!(decided(&present, Purpose::PatientRequest).verdict, Verdict::Allowed);
        let absent = came(Some(S::Village), &[]);
        assert_eq!(decided(&absent, Purpose::PatientRequest).verdict, Verdict::Denied);
    }
}
