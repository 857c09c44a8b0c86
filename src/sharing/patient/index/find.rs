//! Who somebody is: rules first, then weights.

use super::super::compare::{Compared, Side, compare};
use super::super::found::{
    Candidate, Decision, Decisions, Explanation, FieldEvidence, Found, Reason,
};
use super::super::linkage::{Level, PatternWeight};
use super::super::name::Agreement;
use super::super::person::Prepared;
use super::super::tables::{PeopleTables, PersonField};
use super::PeopleIndex;

/// People shown for review at most.
const REVIEW_MAX: usize = 10;
/// People told who came closest when nobody is found.
const CLOSEST_MAX: usize = 3;
/// Level of the birth date up to which it counts as the same with a slip.
const BIRTH_LEVEL_MAX: usize = 2;
/// Share of the people who have a surname that the tables do not know.
const RARE_SURNAME_SHARE: f64 = 2e-6;

/// Somebody of the index, weighed.
struct Weighed {
    row: u32,
    compared: Compared,
    weight: PatternWeight,
    bits: f64,
    reason: Reason,
}

/// What the rules say of one pair alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Link,
    Review,
    Pass,
}

pub(super) fn find(
    index: &PeopleIndex,
    tables: &PeopleTables,
    person: &Prepared,
    decisions: &dyn Decisions,
) -> Found {
    let side = person.side();
    let weigher = Weigher::new(index, tables, person, side);
    let mut same: Vec<u64> =
        decisions.same().into_iter().filter(|id| index.contains(*id)).collect();
    same.sort_unstable();
    same.dedup();
    if !same.is_empty() {
        let reason = if same.len() == 1 { Reason::Decided } else { Reason::DecidedTwice };
        let mut candidates: Vec<Candidate> = same
            .iter()
            .filter_map(|id| weigher.weigh(index.row_of(*id)?))
            .map(|one| weigher.tell(&Weighed { reason, ..one }))
            .collect();
        return match (candidates.pop(), candidates.is_empty()) {
            (Some(one), true) => Found::Linked(one),
            (last, _) => {
                candidates.extend(last);
                Found::Review(sorted(candidates))
            }
        };
    }
    let mut near: Vec<Weighed> = index
        .candidate_rows(&side)
        .into_iter()
        .filter(|row| {
            let id = index.rows.get(*row).map(|row| row.id);
            id.is_some_and(|id| decisions.on(id) != Some(Decision::Different))
        })
        .filter_map(|row| weigher.weigh(row))
        .collect();
    near.sort_by(|a, b| b.bits.total_cmp(&a.bits).then_with(|| a.row.cmp(&b.row)));
    decide(&weigher, near)
}

pub(super) fn explain(
    index: &PeopleIndex,
    tables: &PeopleTables,
    person: &Prepared,
    id: u64,
) -> Option<Candidate> {
    let weigher = Weigher::new(index, tables, person, person.side());
    weigher.weigh(index.row_of(id)?).map(|one| weigher.tell(&one))
}

/// The heaviest first are given; which outcome they make together.
fn decide(weigher: &Weigher<'_>, mut near: Vec<Weighed>) -> Found {
    let limits = &weigher.tables.limits;
    let by_id: Vec<usize> = positions(&near, |w| w.compared.same_resident_id == Some(true));
    let linked = match by_id.as_slice() {
        [only] => near.get(*only).filter(|w| w.reason == Reason::ResidentId),
        [] => {
            // Whoever has another resident ID is somebody else, and stands in nobody's way.
            let mut others = near.iter().filter(|w| w.compared.same_resident_id != Some(false));
            let first = others.next().filter(|first| first.reason == Reason::Weight);
            let next = others.next().map_or(f64::NEG_INFINITY, |next| next.bits);
            first.filter(|first| first.bits - next >= limits.margin_bits)
        }
        _ => None,
    };
    if let Some(linked) = linked {
        return Found::Linked(weigher.tell(linked));
    }
    for one in &mut near {
        if one.reason == Reason::Weight {
            one.reason = Reason::NotAlone;
        } else if by_id.len() > 1 && one.compared.same_resident_id == Some(true) {
            one.reason = Reason::ResidentIdTwice;
        }
    }
    let (review, rest): (Vec<Weighed>, Vec<Weighed>) =
        near.into_iter().partition(|w| w.reason != Reason::TooLittle);
    let told = |all: &[Weighed], most: usize| -> Vec<Candidate> {
        all.iter().take(most).map(|one| weigher.tell(one)).collect()
    };
    if review.is_empty() {
        Found::New(told(&rest, CLOSEST_MAX))
    } else {
        // Whoever has the same number is shown even if others weigh more.
        let (same, other): (Vec<Weighed>, Vec<Weighed>) =
            review.into_iter().partition(|w| w.compared.same_resident_id == Some(true));
        let all: Vec<Weighed> = same.into_iter().chain(other).collect();
        Found::Review(told(&all, REVIEW_MAX))
    }
}

fn positions(near: &[Weighed], fits: impl Fn(&Weighed) -> bool) -> Vec<usize> {
    near.iter().enumerate().filter(|(_, one)| fits(one)).map(|(at, _)| at).collect()
}

fn sorted(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.explanation.bits.total_cmp(&a.explanation.bits));
    candidates
}

/// A question, with what does not change from one candidate to the next.
struct Weigher<'q> {
    index: &'q PeopleIndex,
    tables: &'q PeopleTables,
    person: &'q Prepared,
    side: Side<'q>,
    /// People of the index with the same telephone number.
    phone_people: f64,
    /// Share of the people who have the name.
    name_share: f64,
}

impl<'q> Weigher<'q> {
    fn new(
        index: &'q PeopleIndex,
        tables: &'q PeopleTables,
        person: &'q Prepared,
        side: Side<'q>,
    ) -> Self {
        let phone_people = side.phone.map_or(0, |phone| index.people_with_phone(phone));
        let name_share = share(index, tables, side.name.text, side.name.folded);
        Self { index, tables, person, side, phone_people: count(phone_people), name_share }
    }

    fn weigh(&self, row: u32) -> Option<Weighed> {
        let kept = self.index.rows.get(row)?;
        let other = self.index.side(kept)?;
        let mut compared = compare(&self.side, &other, &self.tables.limits);
        if self.phone_people > self.tables.limits.phone_people_max {
            compared.pattern = compared.pattern.with(PersonField::Phone.number(), None);
        }
        // Of two forms of one name the commoner counts.
        let name_share = match compared.name {
            Agreement::Variant | Agreement::Sound | Agreement::Reading => self
                .name_share
                .max(share(self.index, self.tables, other.name.text, other.name.folded)),
            Agreement::Exact | Agreement::Near | Agreement::Surname | Agreement::Other => {
                self.name_share
            }
        };
        let usual = self
            .tables
            .model
            .level(PersonField::Name.number(), 0)
            .map_or(name_share, |exact| exact.u);
        let adjust = |field: usize, _: &Level| {
            if field == PersonField::Name.number() && compared.name <= Agreement::Reading {
                (usual / name_share).log2()
            } else if field == PersonField::Phone.number()
                && compared.pattern.level(field) == Some(0)
            {
                -self.phone_people.max(1.0).log2()
            } else {
                0.0
            }
        };
        let weight = self.tables.model.weigh(&compared.pattern, adjust);
        let bits = weight.bits + self.prior_bits();
        let same_birth = compared.pattern.level(PersonField::BirthDate.number()) == Some(0);
        let known = same_birth && compared.same_sex != Some(false);
        // What differs from the card in the same way was so when the person was registered.
        let disagrees = self.person.disagrees && !known;
        let reason = self.judge(&compared, bits, disagrees);
        Some(Weighed { row, compared, weight, bits, reason })
    }

    /// Bits before anything is compared.
    fn prior_bits(&self) -> f64 {
        -self.tables.limits.population.max(count(self.index.len())).log2()
    }

    /// What one pair alone would be.
    fn judge(&self, compared: &Compared, bits: f64, disagrees: bool) -> Reason {
        let limits = &self.tables.limits;
        let agrees = compared.name <= Agreement::Reading;
        let verdict = if bits >= limits.link_bits {
            Verdict::Link
        } else if bits >= limits.review_bits {
            Verdict::Review
        } else {
            Verdict::Pass
        };
        match (compared.same_resident_id, agrees, verdict) {
            (Some(true), true, _) if disagrees => Reason::ParticularsDisagree,
            (Some(true), true, _) => Reason::ResidentId,
            (Some(true), false, _) => Reason::ResidentIdOtherName,
            (Some(false), _, Verdict::Link | Verdict::Review) => Reason::ResidentIdsDiffer,
            (_, false, _) if compared.same_health_card == Some(true) => Reason::HealthCardOtherName,
            (_, _, Verdict::Pass) => Reason::TooLittle,
            (_, _, Verdict::Review) => Reason::Between,
            // 静 and 青 may sound alike, and are sisters.
            (_, _, Verdict::Link) if compared.name > Agreement::Sound => Reason::NameNotSame,
            (_, _, Verdict::Link) => {
                let sounds = compared.name == Agreement::Sound;
                // Exact, month and day changed places, or one digit off.
                let same_birth = compared
                    .pattern
                    .level(PersonField::BirthDate.number())
                    .is_some_and(|level| level <= BIRTH_LEVEL_MAX);
                if sounds && compared.same_sex == Some(false) {
                    Reason::SexDiffers
                } else if !same_birth && compared.same_health_card != Some(true) {
                    Reason::BirthDateNotSame
                } else {
                    Reason::Weight
                }
            }
        }
    }

    fn tell(&self, one: &Weighed) -> Candidate {
        let mut fields: Vec<FieldEvidence> = self
            .tables
            .model
            .fields()
            .iter()
            .enumerate()
            .zip(one.weight.parts)
            .filter_map(|((number, field), bits)| {
                let level = field.levels.get(one.compared.pattern.level(number)?)?;
                Some(FieldEvidence {
                    field: field.id.clone(),
                    field_zh: field.zh.clone(),
                    level: level.id.clone(),
                    level_zh: level.zh.clone(),
                    bits,
                })
            })
            .collect();
        fields.sort_by(|a, b| b.bits.abs().total_cmp(&a.bits.abs()));
        Candidate {
            id: self.index.rows.get(one.row).map_or(0, |row| row.id),
            explanation: Explanation {
                reason: one.reason,
                bits: one.bits,
                prior_bits: self.prior_bits(),
                fields,
                tables: self.tables.version().to_owned(),
            },
        }
    }
}

/// Share of the people who have a name: what the tables say of its surname, and, the more people the
/// index has, how many of them bear it. One bearer does not count: the person who is looked for.
fn share(index: &PeopleIndex, tables: &PeopleTables, text: &str, folded: &str) -> f64 {
    let limits = &tables.limits;
    let surname: String = folded.chars().take(tables.names.surname_chars(folded)).collect();
    let of_surname = tables.names.share(&surname).unwrap_or(RARE_SURNAME_SHARE);
    let before = of_surname * limits.given_name_share;
    let people = count(index.len());
    let bearers = f64::from(index.names.people(text).saturating_sub(1));
    let weight = limits.name_weight_people;
    ((bearers + weight * before) / (people + weight)).max(limits.name_share_min)
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
