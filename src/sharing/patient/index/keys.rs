//! Under which keys a person is found. Each kind forgives something else.

use super::super::compare::Side;
use super::super::hash::hash;

/// Kinds of keys, the most telling first: when a question would lead to too many people, the last
/// kinds are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// The caller's id; finds the row to remove.
    Id,
    /// Resident ID.
    ResidentId,
    /// Health card.
    HealthCard,
    /// Telephone number.
    Phone,
    /// Birth date and village: another name altogether.
    BirthVillage,
    /// Birth date and the sound of the first character: given name wrong, moved.
    BirthFirst,
    /// Birth date and the sound of the last character: surname wrong, moved.
    BirthLast,
    /// Sound of the name and township: birth date wrong.
    SoundTownship,
    /// Sound of the name, month and day: year wrong, moved.
    SoundMonthDay,
    /// Sound of the name and birth year: month and day wrong or unknown, moved.
    SoundYear,
}

impl KeyKind {
    fn mark(self) -> [u8; 1] {
        [match self {
            Self::Id => 0,
            Self::ResidentId => 1,
            Self::HealthCard => 2,
            Self::Phone => 3,
            Self::BirthVillage => 4,
            Self::BirthFirst => 5,
            Self::BirthLast => 6,
            Self::SoundTownship => 7,
            Self::SoundMonthDay => 8,
            Self::SoundYear => 9,
        }]
    }
}

/// The key of a number alone.
pub(super) fn of_number(kind: KeyKind, number: u64) -> u32 {
    key(kind, &[&number.to_le_bytes()])
}

/// All keys of a person, the most telling first, except that of the id.
pub(super) fn keys(side: &Side<'_>) -> Vec<u32> {
    let mut keys = Vec::with_capacity(16);
    for (kind, number) in [
        (KeyKind::ResidentId, side.resident_id),
        (KeyKind::HealthCard, side.health_card),
        (KeyKind::Phone, side.phone),
    ] {
        keys.extend(number.map(|number| of_number(kind, number)));
    }
    let full = side.birth_date.filter(|date| date.is_full());
    if let Some(date) = full {
        let date = date.packed().to_le_bytes();
        if let Some(village) = side.village.filter(|village| village % 1_000 != 0) {
            keys.push(key(KeyKind::BirthVillage, &[&date, &village.to_le_bytes()]));
        }
        let [first, last] = side.name.ends();
        for (kind, sounds) in [(KeyKind::BirthFirst, first), (KeyKind::BirthLast, last)] {
            keys.extend(sounds.iter().map(|sound| key(kind, &[&date, sound.as_bytes()])));
        }
    }
    let township = side.village.map(|village| village / 1_000).filter(|code| code % 1_000 != 0);
    let spellings = side.name.spellings();
    let mut by_sound = |kind: KeyKind, number: u64| {
        let number = number.to_le_bytes();
        keys.extend(spellings.iter().map(|sound| key(kind, &[&number, sound.as_bytes()])));
    };
    if let Some(township) = township {
        by_sound(KeyKind::SoundTownship, township);
    }
    if let Some(date) = full {
        by_sound(KeyKind::SoundMonthDay, u64::from(date.packed() % 10_000));
    }
    if let Some(date) = side.birth_date {
        by_sound(KeyKind::SoundYear, u64::from(date.year()));
    }
    keys
}

/// The keys under which others may stand who are this person: [`keys`], and, where only an age or a
/// year is known, the years beside it.
pub(super) fn asked(side: &Side<'_>) -> Vec<u32> {
    let mut asked = keys(side);
    if let Some(date) = side.birth_date.filter(|date| !date.is_full()) {
        let year = u64::from(date.year());
        for spelling in side.name.spellings() {
            for year in [year - 1, year + 1] {
                let year = year.to_le_bytes();
                asked.push(key(KeyKind::SoundYear, &[&year, spelling.as_bytes()]));
            }
        }
    }
    asked
}

fn key(kind: KeyKind, parts: &[&[u8]]) -> u32 {
    let mark = kind.mark();
    let mut all: Vec<&[u8]> = vec![&mark];
    all.extend(parts);
    // The upper half: buckets go by its first bits.
    u32::try_from(hash(&all) >> 32).unwrap_or(0)
}
