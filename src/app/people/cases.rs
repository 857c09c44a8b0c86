//! What may be asked and decided about people at the hub, by whom.

use super::decide::{Decided, Match, ShownPerson, ShownReview, Verdict};
use super::ports::PeopleCounts;
use super::registry::People;
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::exchange::facts::RegisteredPerson;
use crate::app::ports::AuditEntry;
use crate::app::request::{NAME_CHARS_MAX, PageRequest, Problems};
use crate::sharing::patient::BirthDate;

/// Tokens of lists of reviews begin with this.
const SEAL: &str = "person-reviews";
/// Characters of a note at most.
const NOTE_CHARS_MAX: usize = 500;
/// Characters of a number of a person at most.
const NUMBER_CHARS_MAX: usize = 64;

/// What is to be decided about a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewVerdict {
    /// The particulars are of this person.
    Same(u64),
    /// They are of none that the review names.
    Different,
}

impl App {
    fn people(&self) -> Result<&People, Error> {
        let reason = "this node is no hub: persons are joined there".to_owned();
        let hub = self.hub.as_ref().ok_or(Error::Refused { reason })?;
        Ok(hub.people())
    }

    /// A read is in the audit trail before it is answered.
    async fn asked_about_people(&self, caller: &Caller, what: &str) -> Result<(), Error> {
        let permit = authorise(caller, Action::ReadPeople)?;
        let entry = AuditEntry { detail: what.to_owned(), ..self.entry("", "") };
        self.journal.audit(&permit, entry).await
    }

    /// How many persons, particulars and reviews there are.
    pub async fn people_counts(&self, caller: &Caller) -> Result<PeopleCounts, Error> {
        authorise(caller, Action::ReadExchange)?;
        self.people()?.counts().await
    }

    /// Who somebody is.
    pub async fn match_person(
        &self,
        caller: &Caller,
        person: RegisteredPerson,
    ) -> Result<Match, Error> {
        authorise(caller, Action::ReadPeople)?;
        let mut problems = Problems::default();
        problems.unless(!person.name.trim().is_empty(), "person.name", "must not be empty");
        problems.chars("person.name", &person.name, NAME_CHARS_MAX);
        for (field, value) in [
            ("person.resident_id", &person.resident_id),
            ("person.health_card", &person.health_card),
            ("person.birth_date", &person.birth_date),
            ("person.phone", &person.phone),
            ("person.division", &person.division),
        ] {
            problems.chars(field, value, NUMBER_CHARS_MAX);
        }
        problems.unless(
            matches!(person.sex.as_str(), "" | "male" | "female"),
            "person.sex",
            "must be male, female or empty",
        );
        let born = person.birth_date.trim();
        problems.unless(
            born.is_empty() || BirthDate::parse(born).is_some(),
            "person.birth_date",
            "must be a day such as 1958-03-21 or 19580321, or as much of it as is known",
        );
        problems.finish()?;
        let people = self.people()?;
        self.asked_about_people(caller, "match").await?;
        people.whois(person).await
    }

    /// A person with what documents state of it.
    pub async fn get_person(&self, caller: &Caller, number: u64) -> Result<ShownPerson, Error> {
        authorise(caller, Action::ReadPeople)?;
        let people = self.people()?;
        self.asked_about_people(caller, &format!("person {number}")).await?;
        people.shown(number).await?.ok_or(Error::NotFound { kind: "person" })
    }

    /// Reviews, the oldest first, and the token of the next page.
    pub async fn person_reviews(
        &self,
        caller: &Caller,
        closed: bool,
        page: &PageRequest,
    ) -> Result<(Vec<ShownReview>, String), Error> {
        authorise(caller, Action::ReadPeople)?;
        let (size, after) = page.open(SEAL)?;
        let people = self.people()?;
        self.asked_about_people(caller, "reviews").await?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let after = after.and_then(|after| u64::try_from(after).ok()).unwrap_or(0);
        let mut reviews = people.shown_reviews(closed, after, size + 1).await?;
        let more = reviews.len() > size;
        reviews.truncate(size);
        let last = reviews.last().filter(|_| more);
        let token = last.map(|last| format!("{SEAL}-{}", last.review.number));
        Ok((reviews, token.unwrap_or_default()))
    }

    /// Says what came of a review.
    pub async fn decide_person_review(
        &self,
        caller: &Caller,
        review: u64,
        verdict: ReviewVerdict,
        note: &str,
    ) -> Result<Decided, Error> {
        let person = match verdict {
            ReviewVerdict::Same(person) => Some(person),
            ReviewVerdict::Different => None,
        };
        self.decide_people(caller, Verdict::Review(review, person), note).await
    }

    /// Says that two persons are one.
    pub async fn join_persons(
        &self,
        caller: &Caller,
        (person, other): (u64, u64),
        note: &str,
    ) -> Result<Decided, Error> {
        self.decide_people(caller, Verdict::Same(person, other), note).await
    }

    /// Says that particulars are not of the person they are with.
    pub async fn part_person(
        &self,
        caller: &Caller,
        particulars: u64,
        note: &str,
    ) -> Result<Decided, Error> {
        self.decide_people(caller, Verdict::Apart(particulars), note).await
    }

    /// Takes a decision back.
    pub async fn undo_person_decision(
        &self,
        caller: &Caller,
        decision: u64,
        note: &str,
    ) -> Result<Decided, Error> {
        self.decide_people(caller, Verdict::Undone(decision), note).await
    }

    async fn decide_people(
        &self,
        caller: &Caller,
        verdict: Verdict,
        note: &str,
    ) -> Result<Decided, Error> {
        authorise(caller, Action::DecidePeople)?;
        let note = note.trim();
        let mut problems = Problems::default();
        problems.unless(!note.is_empty(), "note", "must say why");
        problems.chars("note", note, NOTE_CHARS_MAX);
        problems.finish()?;
        self.people()?.decide(&caller.name, verdict, note).await
    }
}
