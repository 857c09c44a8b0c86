//! A person's particulars as they were sent, and as they are matched: normalised, without any
//! number in clear.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::address::AddressSketch;
use super::identifier::{HealthCard, Phone, ResidentId};
use super::name::Name;
use super::problem::{Part, Problem, ProblemKind};
use super::tables::PeopleTables;

/// Years that anybody lives at most.
const AGE_YEARS_MAX: i16 = 130;

/// Sex, of the two that the resident ID knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// Male.
    Male,
    /// Female.
    Female,
}

/// A birth date, as far as it is known: the year, the month, the day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BirthDate {
    year: u16,
    month: u8,
    day: u8,
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BirthDate").finish_non_exhaustive()
    }
}

impl BirthDate {
    /// A date of which all is known.
    pub fn full(date: Date) -> Option<Self> {
        Self::new(
            u16::try_from(date.year()).ok()?,
            u8::try_from(date.month()).ok(),
            u8::try_from(date.day()).ok(),
        )
    }

    /// A date of which the month, or the day, may be unknown; none if it does not exist.
    pub fn new(year: u16, month: Option<u8>, day: Option<u8>) -> Option<Self> {
        let signed = |part: u8| i8::try_from(part).ok();
        let (first_month, first_day) = (month.unwrap_or(1), day.unwrap_or(1));
        Date::new(i16::try_from(year).ok()?, signed(first_month)?, signed(first_day)?).ok()?;
        let fits = (1800..=9999).contains(&year) && (month.is_some() || day.is_none());
        fits.then(|| Self { year, month: month.unwrap_or(0), day: day.unwrap_or(0) })
    }

    /// Reads `1956-04-09`, `19560409`, `1956年4月9日`, `1956/4/9`, and dates that end with the month or
    /// the year. Zeros and 00 stand for unknown.
    pub fn parse(written: &str) -> Option<Self> {
        use unicode_normalization::UnicodeNormalization as _;
        let plain: String = written.chars().take(32).nfkc().collect();
        let plain = plain.trim();
        let parts: Vec<&str> =
            plain.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
        let fits = plain.chars().all(|c| c.is_ascii_digit() || "-/.年月日 ".contains(c));
        let known = |text: &str| text.parse::<u8>().ok().map(|n| (n > 0).then_some(n));
        let (year, month, day) = match parts.as_slice() {
            [one] => (one.get(..4)?, one.get(4..6), one.get(6..8)),
            [year, month] => (*year, Some(*month), None),
            [year, month, day] => (*year, Some(*month), Some(*day)),
            _ => return None,
        };
        let whole = parts.len() > 1 || matches!(plain.len(), 4 | 6 | 8) || plain.ends_with('年');
        if !fits || !whole || year.len() != 4 {
            return None;
        }
        let month = month.map_or(Some(None), known)?;
        let day = day.map_or(Some(None), known)?;
        Self::new(year.parse().ok()?, month, day.filter(|_| month.is_some()))
    }

    /// Year.
    pub fn year(self) -> u16 {
        self.year
    }

    /// Month, 1 to 12, if known.
    pub fn month(self) -> Option<u8> {
        (self.month > 0).then_some(self.month)
    }

    /// Day of the month, if known.
    pub fn day(self) -> Option<u8> {
        (self.day > 0).then_some(self.day)
    }

    /// Whether year, month and day are known.
    pub fn is_full(self) -> bool {
        self.month > 0 && self.day > 0
    }

    /// In one number, YYYYMMDD with zeros for what is unknown.
    pub(super) fn packed(self) -> u32 {
        u32::from(self.year) * 10_000 + u32::from(self.month) * 100 + u32::from(self.day)
    }

    /// From [`BirthDate::packed`].
    pub(super) fn from_packed(packed: u32) -> Option<Self> {
        let part = |n: u32| u8::try_from(n % 100).ok();
        let known = |n: u8| (n > 0).then_some(n);
        let (month, day) = (known(part(packed / 100)?), known(part(packed)?));
        Self::new(u16::try_from(packed / 10_000).ok()?, month, day)
    }

    fn first(self) -> Option<Date> {
        let (month, day) = (self.month.max(1), self.day.max(1));
        let signed = |n: u8| i8::try_from(n).ok();
        Date::new(i16::try_from(self.year).ok()?, signed(month)?, signed(day)?).ok()
    }
}

/// A person's particulars as they were sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Birth date.
    pub birth_date: Option<BirthDate>,
    /// Sex.
    pub sex: Option<Sex>,
    /// Resident ID number.
    pub resident_id: Option<String>,
    /// Number of the health card.
    pub health_card: Option<String>,
    /// Telephone number; the first one counts.
    pub phone: Option<String>,
    /// Code of the village (12 digits), township (9) or county (6).
    pub village: Option<String>,
    /// Address as it was written.
    pub address: Option<String>,
    /// Day on which it was sent: nobody was born later.
    pub sent_on: Option<Date>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").finish_non_exhaustive()
    }
}

/// Kind of a number that is looked up by a keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentifierKind {
    /// Resident ID number in 18 characters.
    ResidentId,
    /// Number of the health card.
    HealthCard,
    /// Telephone number.
    Phone,
}

/// First 128 bits of a keyed hash.
pub type Digest = [u8; 16];

/// Turns numbers into keyed hashes (HMAC). Without the key nobody can tell a number from its hash,
/// though there are only some billions of numbers to try.
pub trait Keyer {
    /// The hash of a number in its normal form. The kind must go into it, so that a resident ID that
    /// stands on a health card has two hashes.
    fn digest(&self, kind: IdentifierKind, number: &str) -> Digest;
}

/// A person's particulars as they are matched. Numbers are only there as keyed hashes; name, birth
/// date, sex and village are in clear, so it is to be encrypted where it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared {
    pub(super) name: Name,
    pub(super) birth_date: Option<BirthDate>,
    pub(super) sex: Option<Sex>,
    pub(super) resident_id: Option<Digest>,
    pub(super) health_card: Option<Digest>,
    pub(super) phone: Option<Digest>,
    pub(super) village: Option<u64>,
    pub(super) address: Option<AddressSketch>,
    /// The resident ID was written in 15 digits.
    pub(super) upgraded: bool,
    /// The birth date or sex that were sent are not those of the resident ID.
    pub(super) disagrees: bool,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

impl Prepared {
    /// The name in its normal form.
    pub fn name(&self) -> &str {
        self.name.text()
    }

    /// Birth date, of the resident ID where none was sent.
    pub fn birth_date(&self) -> Option<BirthDate> {
        self.birth_date
    }

    /// Sex, of the resident ID where none was sent.
    pub fn sex(&self) -> Option<Sex> {
        self.sex
    }

    /// Keyed hash of a number, if the person has one.
    pub fn digest(&self, kind: IdentifierKind) -> Option<Digest> {
        match kind {
            IdentifierKind::ResidentId => self.resident_id,
            IdentifierKind::HealthCard => self.health_card,
            IdentifierKind::Phone => self.phone,
        }
    }

    /// Code of the village in 12 digits, zeros for what is unknown.
    pub fn village(&self) -> Option<u64> {
        self.village
    }

    /// Whether the resident ID was written in 15 digits, so that its century is ours.
    pub fn upgraded(&self) -> bool {
        self.upgraded
    }

    /// Whether the birth date or sex that were sent are not those of the resident ID: a card may
    /// have been borrowed.
    pub fn disagrees(&self) -> bool {
        self.disagrees
    }

    /// What is known of a person of whom both were stated, `newer` later. What has a resident ID gives
    /// the name; of telephone, village and address the newer ones count.
    #[must_use]
    pub fn joined(&self, newer: &Self) -> Self {
        let newer_leads = newer.resident_id.is_some() || self.resident_id.is_none();
        let (first, second) = if newer_leads { (newer, self) } else { (self, newer) };
        let fuller = |date: &BirthDate| date.is_full() || second.birth_date.is_none();
        Self {
            name: first.name.clone(),
            birth_date: first.birth_date.filter(fuller).or(second.birth_date),
            sex: first.sex.or(second.sex),
            resident_id: first.resident_id.or(second.resident_id),
            health_card: first.health_card.or(second.health_card),
            phone: newer.phone.or(self.phone),
            village: newer.village.or(self.village),
            address: newer.address.or(self.address),
            upgraded: first.upgraded,
            disagrees: first.disagrees,
        }
    }

    /// Name, birth date, sex, resident ID and health card as bytes: what does not change when somebody
    /// moves or has another telephone, whatever the tables say. Digests are taken of it.
    pub fn core_bytes(&self) -> Vec<u8> {
        let mut bytes = self.name().as_bytes().to_vec();
        bytes.push(0);
        let sex = match self.sex {
            None => 0,
            Some(Sex::Male) => 1,
            Some(Sex::Female) => 2,
        };
        bytes.push(sex);
        bytes.extend(self.birth_date.map_or(0, BirthDate::packed).to_be_bytes());
        for digest in [self.resident_id, self.health_card] {
            bytes.extend(digest.unwrap_or_default());
        }
        bytes
    }

    /// [`Prepared::core_bytes`] with telephone, village and address.
    pub fn stated_bytes(&self) -> Vec<u8> {
        let mut bytes = self.core_bytes();
        bytes.extend(self.phone.unwrap_or_default());
        bytes.extend(self.village.unwrap_or(0).to_be_bytes());
        bytes.extend(self.address.map_or(0, AddressSketch::bits).to_be_bytes());
        bytes
    }

    /// With what is derived from the name made anew by `tables`.
    #[must_use]
    pub fn renewed(mut self, tables: &PeopleTables) -> Self {
        self.name = Name::of_form(self.name.text().to_owned(), &tables.names);
        self
    }
}

/// Checks and normalises a person's particulars. All problems are told at once; none is left out.
pub fn prepare(
    person: &Person,
    keyer: &dyn Keyer,
    tables: &PeopleTables,
) -> Result<Prepared, Vec<Problem>> {
    match prepare_leniently(person, keyer, tables) {
        (Some(prepared), problems) if problems.is_empty() => Ok(prepared),
        (_, problems) => Err(problems),
    }
}

/// Like [`prepare`], but a part that is wrong is left out, and the person is matched by the rest.
/// None if the name is wrong or too little remains. The problems are told all the same.
pub fn prepare_leniently(
    person: &Person,
    keyer: &dyn Keyer,
    tables: &PeopleTables,
) -> (Option<Prepared>, Vec<Problem>) {
    let mut problems = Vec::new();
    let name = kept(Name::parse(&person.name, &tables.names), Part::Name, &mut problems);
    let given = |written: &Option<String>| -> Option<String> {
        written.clone().filter(|written| !tables.names.is_absent(written))
    };
    let resident_id = given(&person.resident_id).and_then(|written| {
        let read = ResidentId::parse(&written).and_then(|id| {
            if tables.is_region(id.number()) { Ok(id) } else { Err(ProblemKind::Region) }
        });
        kept(read, Part::ResidentId, &mut problems)
    });
    let resident_id = resident_id.filter(|id| {
        let born = BirthDate::full(id.birth_date());
        plausible(born, person.sent_on, Part::ResidentId, &mut problems).is_some()
    });
    let health_card = given(&person.health_card)
        .and_then(|written| kept(HealthCard::parse(&written), Part::HealthCard, &mut problems))
        .flatten();
    let phone = given(&person.phone)
        .and_then(|written| kept(Phone::parse(&written), Part::Phone, &mut problems))
        .flatten();
    let village = given(&person.village)
        .and_then(|written| kept(village_code(&written), Part::Village, &mut problems));
    let sent = plausible(person.birth_date, person.sent_on, Part::BirthDate, &mut problems);
    let on_card = resident_id.as_ref().and_then(|id| BirthDate::full(id.birth_date()));
    let sex_on_card = resident_id.as_ref().map(ResidentId::sex);
    let digest = |kind, number: &str| keyer.digest(kind, number);
    let particulars = Particulars {
        birth_date: sent.filter(|date| date.is_full() || on_card.is_none()).or(on_card),
        sex: person.sex.or(sex_on_card),
        resident_id: resident_id.as_ref().map(|id| digest(IdentifierKind::ResidentId, id.number())),
        health_card: health_card.map(|card| digest(IdentifierKind::HealthCard, card.number())),
        phone: phone.map(|phone| digest(IdentifierKind::Phone, phone.number())),
        village,
    };
    if particulars.tells_nothing() && name.is_some() {
        problems.push(Problem::new(Part::Person, ProblemKind::TooLittle));
        return (None, problems);
    }
    let differs = |sent: BirthDate, card: BirthDate| {
        let apart = |a: Option<u8>, b: Option<u8>| a.is_some() && a != b;
        sent.year != card.year || apart(sent.month(), card.month()) || apart(sent.day(), card.day())
    };
    let disagrees = sent.zip(on_card).is_some_and(|(sent, card)| differs(sent, card))
        || person.sex.zip(sex_on_card).is_some_and(|(sent, card)| sent != card);
    let prepared = name.map(|name| Prepared {
        name,
        birth_date: particulars.birth_date,
        sex: particulars.sex,
        resident_id: particulars.resident_id,
        health_card: particulars.health_card,
        phone: particulars.phone,
        village: particulars.village,
        address: given(&person.address).as_deref().and_then(AddressSketch::of),
        upgraded: resident_id.is_some_and(|id| id.upgraded()),
        disagrees,
    });
    (prepared, problems)
}

struct Particulars {
    birth_date: Option<BirthDate>,
    sex: Option<Sex>,
    resident_id: Option<Digest>,
    health_card: Option<Digest>,
    phone: Option<Digest>,
    village: Option<u64>,
}

impl Particulars {
    fn tells_nothing(&self) -> bool {
        self.birth_date.is_none()
            && self.resident_id.is_none()
            && self.health_card.is_none()
            && self.phone.is_none()
            && self.village.is_none()
    }
}

/// What was read, or nothing and the problem.
fn kept<T>(read: Result<T, ProblemKind>, part: Part, problems: &mut Vec<Problem>) -> Option<T> {
    read.map_err(|kind| problems.push(Problem::new(part, kind))).ok()
}

/// A birth date that fits the day on which it was sent.
fn plausible(
    date: Option<BirthDate>,
    sent_on: Option<Date>,
    part: Part,
    problems: &mut Vec<Problem>,
) -> Option<BirthDate> {
    let first = date.and_then(BirthDate::first);
    let kind = match (first, sent_on) {
        (Some(first), Some(sent)) if first > sent => Some(ProblemKind::InFuture),
        (Some(first), Some(sent)) if first.year() < sent.year() - AGE_YEARS_MAX => {
            Some(ProblemKind::TooLongAgo)
        }
        _ => None,
    };
    match kind {
        Some(kind) => {
            problems.push(Problem::new(part, kind));
            None
        }
        None => date,
    }
}

/// 12 digits of a code of 12, 9 or 6.
fn village_code(written: &str) -> Result<u64, ProblemKind> {
    use unicode_normalization::UnicodeNormalization as _;
    let plain: String = written.chars().take(64).nfkc().filter(|c| !c.is_whitespace()).collect();
    let digits = plain.chars().all(|c| c.is_ascii_digit());
    if !digits || !matches!(plain.len(), 6 | 9 | 12) || plain.starts_with('0') {
        return Err(ProblemKind::Characters);
    }
    format!("{plain:0<12}").parse().map_err(|_| ProblemKind::Characters)
}

#[cfg(test)]
#[path = "person_tests.rs"]
mod tests;
