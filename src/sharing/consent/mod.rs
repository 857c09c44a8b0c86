//! Consent and purpose: may somebody read a patient's record, for what, how much of it, and until
//! when.
//!
//! Every read states a purpose of use ([`Purpose`], HL7 v3). What stands between the reader's
//! institution and the patient ([`Relation`]) comes from registration, presence, a family-doctor
//! contract or a referral ([`Grant`]); the patient may withdraw ([`Withdrawal`]). What follows
//! from purpose, role and relation is a dated row of a region's table under
//! `models/policy/consent/`. [`decide`] applies it, denies by default, and says why. Breaking the
//! glass needs a reason, ends soon, tells the patient and opens a review.
//!
//! Pure: whoever calls gives the time and keeps grants, notices and reviews.

mod decision;
mod notice;
mod policy;
mod standing;
mod terms;

#[cfg(test)]
mod tests;

pub use decision::{Access, AccessReason, AccessRequest, ReasonCode, RecordRef, Verdict, decide};
pub use notice::{NoticeKind, Told};
pub use policy::PolicyTables;
pub use standing::{Grant, GrantKind, PRESENCE_MS_MAX, Reach, Standing, Withdrawal};
pub use terms::{Purpose, Relation, Role, Scope};
