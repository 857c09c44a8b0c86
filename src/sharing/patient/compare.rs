//! Two people's particulars, compared field by field.

use super::address::AddressSketch;
use super::linkage::Pattern;
use super::name::{Agreement, NameView, agreement};
use super::person::{BirthDate, Digest, Prepared, Sex};
use super::tables::{Limits, PersonField};

/// What is compared of a person, wherever it is kept. Of keyed hashes the first 64 bits are enough:
/// among ten million people two agree by chance about once in half a million such indexes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'s> {
    pub(super) name: NameView<'s>,
    pub(super) birth_date: Option<BirthDate>,
    pub(super) sex: Option<Sex>,
    pub(super) resident_id: Option<u64>,
    pub(super) health_card: Option<u64>,
    pub(super) phone: Option<u64>,
    pub(super) village: Option<u64>,
    pub(super) address: Option<AddressSketch>,
}

impl Prepared {
    pub(super) fn side(&self) -> Side<'_> {
        Side {
            name: self.name.view(),
            birth_date: self.birth_date,
            sex: self.sex,
            resident_id: self.resident_id.map(short),
            health_card: self.health_card.map(short),
            phone: self.phone.map(short),
            village: self.village,
            address: self.address,
        }
    }
}

/// The first 64 bits, never zero, which stands for none.
fn short(digest: Digest) -> u64 {
    let mut bytes = [0; 8];
    for (place, byte) in bytes.iter_mut().zip(digest) {
        *place = byte;
    }
    u64::from_le_bytes(bytes).max(1)
}

/// Two people's particulars, compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    /// Levels, by [`PersonField::number`].
    pub(super) pattern: Pattern,
    /// How far the names agree.
    pub(super) name: Agreement,
    /// Whether the resident IDs are the same; none if one lacks it.
    pub(super) same_resident_id: Option<bool>,
    /// Whether the health cards are the same; none if one lacks it.
    pub(super) same_health_card: Option<bool>,
    /// Whether the sexes are the same; none if one lacks it.
    pub(super) same_sex: Option<bool>,
}

/// Compares two people; the same both ways.
pub(super) fn compare(a: &Side<'_>, b: &Side<'_>, limits: &Limits) -> Compared {
    let name = agreement(a.name, b.name);
    let same = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a == b);
    let same_resident_id = same(a.resident_id, b.resident_id);
    let same_health_card = same(a.health_card, b.health_card);
    let same_sex = a.sex.zip(b.sex).map(|(a, b)| a == b);
    let two = |same: Option<bool>| same.map(|same| usize::from(!same));
    let dates = a.birth_date.zip(b.birth_date);
    let full = dates.filter(|(a, b)| a.is_full() && b.is_full());
    let years = dates.filter(|_| full.is_none());
    let pattern = Pattern::new()
        .with(PersonField::ResidentId.number(), two(same_resident_id))
        .with(PersonField::HealthCard.number(), two(same_health_card))
        .with(PersonField::Name.number(), Agreement::ALL.iter().position(|level| *level == name))
        .with(PersonField::BirthDate.number(), full.map(|(a, b)| birth_date(a, b)))
        .with(PersonField::BirthYear.number(), years.map(|(a, b)| birth_year(a, b)))
        .with(PersonField::Sex.number(), two(same_sex))
        .with(PersonField::Phone.number(), two(same(a.phone, b.phone)))
        .with(PersonField::Place.number(), place(a, b, limits));
    Compared { pattern, name, same_resident_id, same_health_card, same_sex }
}

/// Levels of two full dates: exact, swapped, digit, year, `month_day`, other.
fn birth_date(a: BirthDate, b: BirthDate) -> usize {
    if a == b {
        return 0;
    }
    let same_year = a.year() == b.year();
    if same_year && a.month() == b.day() && a.day() == b.month() {
        return 1;
    }
    let digits = |date: BirthDate| format!("{:08}", date.packed());
    let differ = digits(a).bytes().zip(digits(b).bytes()).filter(|(a, b)| a != b).count();
    if differ == 1 {
        2
    } else if same_year {
        3
    } else if a.month() == b.month() && a.day() == b.day() {
        4
    } else {
        5
    }
}

/// Levels of two dates of which one is not full: same, close, other. A month that both know must be
/// the same for the closest.
fn birth_year(a: BirthDate, b: BirthDate) -> usize {
    let months = a.month().zip(b.month()).is_none_or(|(a, b)| a == b);
    match a.year().abs_diff(b.year()) {
        0 if months => 0,
        0 | 1 => 1,
        _ => 2,
    }
}

/// Levels of two places: village, text, township, county, other.
fn place(a: &Side<'_>, b: &Side<'_>, limits: &Limits) -> Option<usize> {
    let alike = a.address.zip(b.address).is_some_and(|(a, b)| a.alike(b) >= limits.address_alike);
    let Some((a, b)) = a.village.zip(b.village) else { return alike.then_some(1) };
    // Six digits of county, three of township, three of village; zeros are unknown.
    let known = |code: u64, unit: u64| !(code / unit).is_multiple_of(1_000);
    Some(if a == b && known(a, 1) {
        0
    } else if alike {
        1
    } else if a / 1_000 == b / 1_000 && known(a, 1_000) {
        2
    } else if a / 1_000_000 == b / 1_000_000 {
        3
    } else {
        4
    })
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
