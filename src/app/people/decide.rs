//! What somebody decides about persons by hand, and what is shown for it.
//!
//! A decision is about the cores of particulars (name, birth date, sex, numbers), so that it holds for
//! later documents that state the same, and wins over every weight. Undone, what it moved goes back. What
//! a clinic has received by a link that is undone cannot be taken from it: the answer names the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::People;
use super::ports::{
    DecidedPair, KeptParticulars, KeptPerson, PersonDocument, PersonEvent, PersonReview, Stated,
};
use super::registry::{Draft, ReviewCandidate, entry};
use super::stated::{Particulars, masked};
use crate::app::error::Error;
use crate::app::exchange::facts::RegisteredPerson;
use crate::sharing::patient::{Explanation, Found, Prepared, Problem};

/// Persons that stand behind one another at most.
const JOINED_MAX: usize = 64;
/// How often something is decided again because another hub was faster.
const TRIES_MAX: usize = 5;

/// Particulars as they are shown: numbers with their middle hidden. `Debug` prints nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownParticulars {
    /// Number.
    pub number: u64,
    /// What was stated.
    pub person: RegisteredPerson,
    /// Address as written.
    pub address: String,
    /// When it first came, in milliseconds since 1970.
    pub at_ms: i64,
}

impl fmt::Debug for ShownParticulars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownParticulars").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A person as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPerson {
    /// Number.
    pub number: u64,
    /// The person that was asked for, where that was joined to this one.
    pub asked: u64,
    /// What documents state of it.
    pub particulars: Vec<ShownParticulars>,
    /// Its documents.
    pub documents: Vec<PersonDocument>,
    /// What happened to it, in order.
    pub events: Vec<PersonEvent>,
}

/// A person that may be meant.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownCandidate {
    /// Number.
    pub person: u64,
    /// What documents state of it.
    pub particulars: Vec<ShownParticulars>,
    /// What speaks for and against.
    pub explanation: Explanation,
}

/// Particulars about which somebody must decide.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownReview {
    /// The review.
    pub review: PersonReview,
    /// Whom the particulars are of now.
    pub person: u64,
    /// What was stated.
    pub particulars: ShownParticulars,
    /// Who may be meant, the likeliest first.
    pub candidates: Vec<ShownCandidate>,
}

/// What came of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOutcome {
    /// It is this person.
    Linked,
    /// It may be one of these.
    Review,
    /// Nobody.
    New,
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// What came of it.
    pub outcome: MatchOutcome,
    /// Who it is or may be, or who came closest.
    pub candidates: Vec<ShownCandidate>,
    /// What is wrong with the question; it was asked without that.
    pub problems: Vec<Problem>,
}

/// What a decision came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Number of the decision, by which it can be undone; 0 for an undoing.
    pub decision: u64,
    /// Persons that it concerns, as they are now.
    pub persons: Vec<u64>,
    /// Nodes that have documents of the particulars that moved.
    pub nodes: Vec<String>,
}

/// What is to be decided.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    /// A review: the particulars are of this person, or of none that it names.
    Review(u64, Option<u64>),
    /// Two persons are one.
    Same(u64, u64),
    /// Particulars are not of the person they are with.
    Apart(u64),
    /// A decision no longer counts.
    Undone(u64),
}

impl People {
    /// Who somebody is, by what is stated of them.
    pub async fn whois(&self, stated: RegisteredPerson) -> Result<Match, Error> {
        // Whoever asks knows what was acknowledged, if it was taken up.
        drop(self.turn().await?);
        let (said, problems) = Particulars::registered(stated, &self.key, &self.tables);
        let Some(said) = said else {
            return Err(Error::Invalid(
                problems
                    .iter()
                    .map(|problem| crate::app::error::FieldProblem::new("person", problem.zh()))
                    .collect(),
            ));
        };
        let core = said.core(&self.key);
        let decided = self.store.decided(&[core]).await?;
        let decisions = decided.into_iter().map(|one| (one.person, one.decision)).collect();
        let found = self.find(&said.prepared, &decisions);
        let (outcome, candidates) = match found {
            Found::Linked(one) => (MatchOutcome::Linked, vec![one]),
            Found::Review(all) => (MatchOutcome::Review, all),
            Found::New(all) => (MatchOutcome::New, all),
        };
        let candidates = candidates.into_iter().map(ReviewCandidate::from).collect();
        Ok(Match { outcome, candidates: self.shown_candidates(candidates).await?, problems })
    }

    /// A person; none if there is none of the number.
    pub async fn shown(&self, number: u64) -> Result<Option<ShownPerson>, Error> {
        let Some(person) = self.standing(number).await? else { return Ok(None) };
        let particulars = self.store.particulars_of(&[person.number]).await?;
        let numbers: Vec<u64> = particulars.iter().map(|one| one.number).collect();
        Ok(Some(ShownPerson {
            number: person.number,
            asked: number,
            particulars: self.opened(&particulars)?,
            documents: self.store.documents(&numbers).await?,
            events: self.store.events(person.number).await?,
        }))
    }

    /// The person of a number, or the one it was joined to.
    async fn standing(&self, number: u64) -> Result<Option<KeptPerson>, Error> {
        let mut number = number;
        for _ in 0..JOINED_MAX {
            let found = self.store.persons(&[number]).await?.into_iter().next();
            match found {
                Some(person) if person.into != 0 => number = person.into,
                found => return Ok(found),
            }
        }
        Err(Error::internal("people", "persons are joined in a circle"))
    }

    /// Reviews above a number.
    pub async fn shown_reviews(
        &self,
        closed: bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<ShownReview>, Error> {
        let mut shown = Vec::new();
        for review in self.store.reviews(closed, after, limit).await? {
            let particulars = self.store.particulars(&[review.particulars]).await?;
            let [of] = particulars.as_slice() else {
                return Err(Error::internal("people", "a review of no particulars"));
            };
            let candidates = self.others(&review, of.person).await?;
            let particulars = self.opened(&particulars)?.into_iter().next();
            shown.push(ShownReview {
                person: of.person,
                particulars: particulars.ok_or_else(|| Error::internal("people", "nothing"))?,
                candidates: self.shown_candidates(candidates).await?,
                review,
            });
        }
        Ok(shown)
    }

    /// Persons of a review as they are now, without the one that the particulars are of.
    async fn others(
        &self,
        review: &PersonReview,
        person: u64,
    ) -> Result<Vec<ReviewCandidate>, Error> {
        let all: Vec<ReviewCandidate> =
            serde_json::from_str(&review.candidates).map_err(|e| Error::internal("people", e))?;
        let mut others: Vec<ReviewCandidate> = Vec::with_capacity(all.len());
        for one in all {
            let Some(standing) = self.standing(one.person).await? else { continue };
            let is_new = others.iter().all(|other| other.person != standing.number);
            if standing.number != person && is_new {
                others.push(ReviewCandidate { person: standing.number, ..one });
            }
        }
        Ok(others)
    }

    async fn shown_candidates(
        &self,
        candidates: Vec<ReviewCandidate>,
    ) -> Result<Vec<ShownCandidate>, Error> {
        let mut shown = Vec::with_capacity(candidates.len());
        for ReviewCandidate { person, explanation } in candidates {
            let kept = self.store.particulars_of(&[person]).await?;
            shown.push(ShownCandidate { person, particulars: self.opened(&kept)?, explanation });
        }
        Ok(shown)
    }

    fn opened(&self, kept: &[KeptParticulars]) -> Result<Vec<ShownParticulars>, Error> {
        let open = |one: &KeptParticulars| {
            let Particulars { shown, address, .. } = Particulars::open(one, &self.key)?;
            let person = RegisteredPerson {
                resident_id: masked(&shown.resident_id),
                health_card: masked(&shown.health_card),
                phone: masked(&shown.phone),
                ..shown
            };
            Ok(ShownParticulars { number: one.number, person, address, at_ms: one.at_ms })
        };
        kept.iter().map(open).collect()
    }

    /// Decides; on disk when this returns.
    pub(super) async fn decide(
        &self,
        by: &str,
        verdict: Verdict,
        note: &str,
    ) -> Result<Decided, Error> {
        for _ in 0..TRIES_MAX {
            let mut turn = self.turn().await?;
            let mut draft = Draft::new(turn.state, self.clock.now_ms());
            let filled = match verdict {
                Verdict::Review(review, person) => {
                    self.review(&mut draft, (review, person), (by, note)).await
                }
                Verdict::Same(a, b) => self.same(&mut draft, (a, b), (by, note)).await,
                Verdict::Apart(particulars) => {
                    self.apart(&mut draft, particulars, (by, note)).await
                }
                Verdict::Undone(decision) => self.undo(&mut draft, decision, (by, note)).await,
            };
            let (answer, filled) = match filled {
                Ok(answer) => (answer, Ok(())),
                Err(error) => (Decided { decision: 0, persons: vec![], nodes: vec![] }, Err(error)),
            };
            if self.write(&mut turn, draft, filled).await? {
                return Ok(answer);
            }
        }
        Err(Error::Unavailable { what: "store of persons", cause: None })
    }

    async fn review(
        &self,
        draft: &mut Draft,
        (number, person): (u64, Option<u64>),
        who: (&str, &str),
    ) -> Result<Decided, Error> {
        let review = self.store.reviews_of(&[], Some(number)).await?.into_iter().next();
        let review = review.filter(|review| review.closed_ms == 0);
        let review = review.ok_or(Error::NotFound { kind: "open review of a person" })?;
        let of = self.particulars(review.particulars).await?;
        let others = self.others(&review, of.person).await?;
        if let Some(person) = person {
            let standing = self.existing(person, "person").await?;
            if !others.iter().any(|other| other.person == standing.number) {
                return Err(Error::field("person", "must be one of the review's candidates"));
            }
            let decided = self.same(draft, (of.person, standing.number), who).await?;
            draft.change.closed.retain(|(closed, _)| *closed != number);
            draft.change.closed.push((number, "same"));
            return Ok(decided);
        }
        let persons: Vec<u64> = others.iter().map(|other| other.person).collect();
        let decision = draft.number();
        let theirs = self.store.particulars_of(&persons).await?;
        let cores: BTreeSet<Stated> = theirs.iter().map(|one| one.core).collect();
        decided(draft, decision, false, cores.into_iter().map(|core| (of.core, core)));
        draft.change.closed.push((number, "different"));
        let about = (review.particulars, of.person, of.person);
        told(draft, "different", about, decision, who);
        entry(draft, who.0, 0, format!("review {number} different, decision {decision}"));
        Ok(Decided { decision, persons: vec![of.person], nodes: Vec::new() })
    }

    /// Joins the person with the higher number to the other.
    async fn same(
        &self,
        draft: &mut Draft,
        (a, b): (u64, u64),
        who: (&str, &str),
    ) -> Result<Decided, Error> {
        let (a, b) = (self.existing(a, "person").await?, self.existing(b, "other_person").await?);
        if a.number == b.number {
            return Err(Error::field(
                "other_person",
                "must be another person: these are one already",
            ));
        }
        let (stays, goes) = if a.number < b.number { (a, b) } else { (b, a) };
        let decision = draft.number();
        let of = self.store.particulars_of(&[stays.number]).await?;
        let moved = self.store.particulars_of(&[goes.number]).await?;
        let pairs: BTreeSet<(Stated, Stated)> = of
            .iter()
            .flat_map(|one| moved.iter().map(|other| (one.core, other.core)))
            .filter(|(one, other)| one != other)
            .collect();
        decided(draft, decision, true, pairs);
        for one in &moved {
            draft.change.moves.push((one.number, stays.number));
            let about = (one.number, goes.number, stays.number);
            told(draft, "same", about, decision, who);
        }
        let all: Vec<&KeptParticulars> = of.iter().chain(&moved).collect();
        self.set(draft, stays.number, (self.whole(&all)?, 0)).await?;
        self.set(draft, goes.number, (None, stays.number)).await?;
        draft.route(stays.number);
        self.close_settled(draft, &all, stays.number).await?;
        let (from, to) = (goes.number, stays.number);
        entry(draft, who.0, 0, format!("person {from} is person {to}, decision {decision}"));
        Ok(Decided { decision, persons: vec![to], nodes: Vec::new() })
    }

    /// Reviews that name nobody any more but the person itself are settled.
    async fn close_settled(
        &self,
        draft: &mut Draft,
        particulars: &[&KeptParticulars],
        person: u64,
    ) -> Result<(), Error> {
        let numbers: Vec<u64> = particulars.iter().map(|one| one.number).collect();
        let persons: BTreeSet<u64> = particulars.iter().map(|one| one.person).collect();
        for review in self.store.reviews_of(&numbers, None).await? {
            if review.closed_ms != 0 {
                continue;
            }
            let others = self.others(&review, person).await?;
            if others.iter().all(|other| persons.contains(&other.person)) {
                draft.change.closed.push((review.number, "settled"));
            }
        }
        Ok(())
    }

    /// Takes particulars, and those with the same core, from the person they are with.
    async fn apart(
        &self,
        draft: &mut Draft,
        number: u64,
        who: (&str, &str),
    ) -> Result<Decided, Error> {
        let one = self.particulars(number).await?;
        let all = self.store.particulars_of(&[one.person]).await?;
        let (goes, stays): (Vec<_>, Vec<_>) = all.iter().partition(|other| other.core == one.core);
        if stays.is_empty() {
            let allowed = "must be particulars of a person that has others, too";
            return Err(Error::field("particulars", allowed));
        }
        let decision = draft.number();
        let cores: BTreeSet<Stated> = stays.iter().map(|other| other.core).collect();
        decided(draft, decision, false, cores.into_iter().map(|core| (one.core, core)));
        let person = draft.number();
        for other in &goes {
            draft.change.moves.push((other.number, person));
            told(draft, "different", (other.number, one.person, person), decision, who);
        }
        self.set(draft, one.person, (self.whole(&stays)?, 0)).await?;
        self.set(draft, person, (self.whole(&goes)?, 0)).await?;
        draft.route(person);
        draft.route(one.person);
        let nodes = self.holders(&goes).await?;
        let from = one.person;
        entry(draft, who.0, 0, format!("person {person} leaves {from}, decision {decision}"));
        Ok(Decided { decision, persons: vec![from, person], nodes })
    }

    async fn undo(
        &self,
        draft: &mut Draft,
        decision: u64,
        who: (&str, &str),
    ) -> Result<Decided, Error> {
        let events = self.store.decision(decision).await?;
        if events.is_empty() {
            return Err(Error::NotFound { kind: "decision that stands" });
        }
        draft.change.undone.push(decision);
        let mut moved: BTreeMap<u64, Vec<KeptParticulars>> = BTreeMap::new();
        let mut touched: BTreeSet<u64> = BTreeSet::new();
        let mut gone: BTreeSet<u64> = BTreeSet::new();
        let mut back = Vec::new();
        for event in &events {
            let one = self.particulars(event.particulars).await?;
            if event.from == event.to {
                // A review that said: none of these. It is open again.
                for review in self.store.reviews_of(&[event.particulars], None).await? {
                    if review.outcome == "different" {
                        draft.change.closed.push((review.number, ""));
                    }
                }
                continue;
            }
            // What somebody has moved elsewhere since then stays there.
            let Some(now) = self.standing(event.to).await? else { continue };
            if one.person != now.number {
                continue;
            }
            let to = event.from;
            draft.change.moves.push((one.number, to));
            told(draft, "undone", (one.number, one.person, to), decision, who);
            touched.extend([one.person, to]);
            gone.insert(one.number);
            back.push(one.clone());
            moved.entry(to).or_default().push(one);
        }
        for person in touched.iter().copied() {
            let mut all = self.store.particulars_of(&[person]).await?;
            all.retain(|one| !gone.contains(&one.number));
            all.extend(moved.remove(&person).into_iter().flatten());
            all.sort_by_key(|one| one.number);
            let refs: Vec<&KeptParticulars> = all.iter().collect();
            let whole = self.whole(&refs)?;
            // A person that has nothing left was made by the decision, and is the other one again.
            let into = if whole.is_some() {
                0
            } else {
                touched.iter().copied().find(|other| *other != person).unwrap_or(0)
            };
            self.set(draft, person, (whole, into)).await?;
            draft.route(person);
        }
        let refs: Vec<&KeptParticulars> = back.iter().collect();
        let nodes = self.holders(&refs).await?;
        entry(draft, who.0, 0, format!("decision {decision} undone"));
        Ok(Decided { decision: 0, persons: touched.into_iter().collect(), nodes })
    }

    /// What is matched of a person with these particulars; none if there are none.
    fn whole(&self, particulars: &[&KeptParticulars]) -> Result<Option<Prepared>, Error> {
        let mut whole: Option<Prepared> = None;
        for one in particulars {
            let said = Particulars::open(one, &self.key)?.prepared.renewed(&self.tables);
            whole = Some(whole.map_or_else(|| said.clone(), |before| before.joined(&said)));
        }
        Ok(whole)
    }

    async fn particulars(&self, number: u64) -> Result<KeptParticulars, Error> {
        let found = self.store.particulars(&[number]).await?.into_iter().next();
        found.ok_or(Error::NotFound { kind: "particulars" })
    }

    async fn existing(&self, number: u64, field: &str) -> Result<KeptPerson, Error> {
        let found = self.standing(number).await?;
        found.ok_or_else(|| Error::field(field, "must be the number of a person"))
    }

    /// Nodes that have documents of particulars.
    async fn holders(&self, particulars: &[&KeptParticulars]) -> Result<Vec<String>, Error> {
        let numbers: Vec<u64> = particulars.iter().map(|one| one.number).collect();
        let documents = self.store.documents(&numbers).await?;
        let nodes: BTreeSet<String> = documents.into_iter().flat_map(|one| one.nodes).collect();
        Ok(nodes.into_iter().collect())
    }
}

/// Writes down what is decided about pairs of cores.
fn decided(
    draft: &mut Draft,
    decision: u64,
    same: bool,
    pairs: impl IntoIterator<Item = (Stated, Stated)>,
) {
    let all = pairs.into_iter().filter(|(one, other)| one != other);
    let pair = |(one, other): (Stated, Stated)| DecidedPair {
        decision,
        a: one.min(other),
        b: one.max(other),
        same,
    };
    let pairs: Vec<DecidedPair> = all.map(pair).collect();
    draft.change.decisions.extend(pairs);
}

/// Writes down what happened to particulars.
fn told(
    draft: &mut Draft,
    action: &str,
    (particulars, from, to): (u64, u64, u64),
    decision: u64,
    (by, note): (&str, &str),
) {
    draft.event(PersonEvent {
        number: 0,
        at_ms: 0,
        action: action.to_owned(),
        particulars,
        from,
        to,
        decision,
        by: by.to_owned(),
        reason: note.to_owned(),
    });
}
