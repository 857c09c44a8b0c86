//! Whose a record, a registration or a grant is: what leads from one to the other without numbers that
//! anybody could read.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::app::exchange::facts::RegisteredPerson;
use crate::sharing::discharge::DischargeRecord;
use crate::sharing::discharge::model::IdentifierKind;
use crate::sharing::imaging::header::Patient;
use crate::sharing::imaging::value::NameGroups;
use crate::sharing::patient::ResidentId;
use crate::tables::text::{self, hex};

/// Characters of a day, ISO 8601.
const DAY_CHARS: usize = 10;

/// What a person is found by. Digests are 32 hex digits; what is not known is empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PersonKeys {
    /// Name, folded.
    pub name: String,
    /// Digest of the resident ID in 18 characters.
    pub resident: String,
    /// Digest of the health card's number.
    pub card: String,
    /// Digest of name and birth date.
    pub born: String,
    /// Where it is not known which: one of the digests.
    pub only: String,
}

/// The name is the patient's.
impl fmt::Debug for PersonKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKeys(..)")
    }
}

impl PersonKeys {
    /// Of whom a record speaks.
    pub(super) fn of(record: &DischargeRecord) -> Self {
        let patient = &record.patient;
        let number = |kind| patient.identifier(kind).unwrap_or_default();
        let born = patient.birth_date.as_ref().map(ToString::to_string).unwrap_or_default();
        let numbers = (number(IdentifierKind::ResidentId), number(IdentifierKind::HealthCard));
        Self::new(&patient.name, numbers, &born)
    }

    /// Of somebody who is registered.
    pub(in crate::app) fn of_registered(person: &RegisteredPerson) -> Self {
        Self::new(&person.name, (&person.resident_id, &person.health_card), &person.birth_date)
    }

    /// Of whom images are. A patient ID is a resident ID or a hospital's number, which no record has; a name
    /// in letters alone leads nowhere.
    pub(super) fn of_imaged(patient: &Patient) -> Self {
        let NameGroups { alphabetic, ideographic, .. } = NameGroups::of(&patient.name);
        // Old systems put a Chinese name where letters belong.
        let name = if ideographic.is_empty() { alphabetic } else { ideographic };
        let name: String = name.split('^').map(str::trim).collect();
        let resident = ResidentId::parse(patient.id.trim()).map_or("", |_| patient.id.trim());
        let born = patient.birth_date.trim();
        let born = match (born.get(..4), born.get(4..6), born.get(6..)) {
            (Some(year), Some(month), Some(day)) if day.len() == 2 => {
                format!("{year}-{month}-{day}")
            }
            _ => String::new(),
        };
        Self::new(&name, (resident, ""), &born)
    }

    fn new(name: &str, (resident, card): (&str, &str), born: &str) -> Self {
        let name = text::fold(name).trim().to_owned();
        if name.is_empty() {
            return Self::default();
        }
        let known = ResidentId::parse(resident).ok();
        let resident = match &known {
            // An old number of 15 digits is the person's number of 18.
            Some(id) => id.number().to_owned(),
            None => number(resident),
        };
        let born = match (born.get(..DAY_CHARS), &known) {
            (Some(day), _) => day.to_owned(),
            (None, Some(id)) => id.birth_date().to_string(),
            (None, None) => String::new(),
        };
        let born = if born.is_empty() { born } else { format!("{name}\n{born}") };
        Self {
            resident: digest(&resident),
            card: digest(&number(card)),
            born: digest(&born),
            only: String::new(),
            name,
        }
    }

    /// Whether anybody can be found by them.
    pub fn is_empty(&self) -> bool {
        [&self.resident, &self.card, &self.born, &self.only].iter().all(|key| key.is_empty())
    }

    /// Whether both are the same person. The name must agree, because cards are borrowed within a
    /// family; of numbers the best that both have decides; name and birth date only where one of them
    /// has no number.
    pub fn fits(&self, other: &Self) -> bool {
        if self.name.is_empty() || self.name != other.name {
            return false;
        }
        for (one, another) in [(self, other), (other, self)] {
            if !one.only.is_empty() {
                let all = [&another.resident, &another.card, &another.born, &another.only];
                return all.contains(&&one.only);
            }
        }
        for (one, another) in [(&self.resident, &other.resident), (&self.card, &other.card)] {
            if !one.is_empty() && !another.is_empty() {
                return one == another;
            }
        }
        let has_number = |keys: &Self| !keys.resident.is_empty() || !keys.card.is_empty();
        if has_number(self) && has_number(other) {
            return false;
        }
        !self.born.is_empty() && self.born == other.born
    }
}

impl PersonKeys {
    /// Whether two documents of one number may be about the same person, of whom the later one corrects
    /// something: a resident ID, a health card with the name, or name and birth date agree; where nothing
    /// can be compared, the name does. Looser than [`Self::fits`]: a name or a number may have been
    /// mistyped.
    pub fn agrees(&self, other: &Self) -> bool {
        let both = |one: &str, another: &str| {
            (!one.is_empty() && !another.is_empty()).then(|| one == another)
        };
        let one_name = self.name == other.name;
        let only = [&self.only, &other.only].into_iter().find(|only| !only.is_empty());
        if let Some(only) = only {
            // From before, when one digest was kept.
            let all =
                |keys: &Self| [&keys.resident, &keys.card, &keys.born, &keys.only].contains(&only);
            return one_name || (all(self) && all(other));
        }
        let resident = both(&self.resident, &other.resident);
        let card = both(&self.card, &other.card);
        let born = both(&self.born, &other.born);
        if [resident, card, born].iter().all(Option::is_none) {
            return one_name;
        }
        resident == Some(true) || born == Some(true) || (card == Some(true) && one_name)
    }
}

/// A number as it is compared.
fn number(written: &str) -> String {
    text::fold(written).trim().to_uppercase()
}

/// The digest by which a node knows whose a record is.
pub(super) fn digest(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let digest = Sha256::digest(text.as_bytes());
    digest.get(..16).map(hex).unwrap_or_default()
}

/// Whose a record is, so that consent for one record can be taken back for all: a digest of the
/// resident ID, else of the health card, else of name and birth date.
pub(super) fn person(record: &DischargeRecord) -> String {
    let patient = &record.patient;
    let number = patient.identifier(IdentifierKind::ResidentId);
    let number = number.or_else(|| patient.identifier(IdentifierKind::HealthCard));
    let text = match (number, &patient.birth_date) {
        (Some(number), _) => number.to_uppercase(),
        (None, Some(born)) => format!("{}\n{born}", patient.name),
        (None, None) => return String::new(),
    };
    digest(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &str, resident: &str, card: &str, born: &str) -> PersonKeys {
        PersonKeys::new(name, (resident, card), born)
    }

    #[test]
    fn a_person_is_found_by_the_best_number_that_both_have_and_never_under_another_name() {
        const ID: &str = "36112119570317051X";
        let all = keys("饶建国", ID, "3611-1", "1957-03-17");
        for (other, fits) in [
            (keys("饶建国", ID, "", ""), true),
            (keys(" 饶建国", "36112119570317051x", "", ""), true),
            // The number of before 1999.
            (keys("饶建国", "361121570317051", "", ""), true),
            (keys("饶建国", "", "3611-1", ""), true),
            (keys("饶建国", "", "", "1957-03-17"), true),
            // The birth date stands in the number.
            (keys("饶建国", "", "", "1957-03-17T08:00:00+08:00"), true),
            (keys("饶建国", "", "", "1957-03-18"), false),
            // A borrowed card, and a number under another name.
            (keys("饶小明", "", "3611-1", "2001-01-01"), false),
            (keys("饶小明", ID, "", ""), false),
            // The resident ID goes before the card.
            (keys("饶建国", "361121195803214233", "3611-1", ""), false),
            // Another card is another person, though name and birth date are the same.
            (keys("饶建国", "", "3611-2", "1957-03-17"), false),
            (keys("", ID, "3611-1", "1957-03-17"), false),
            (keys("饶建国", "", "", ""), false),
        ] {
            assert_eq!(all.fits(&other), fits, "{} {}", other.name, other.born);
            assert_eq!(other.fits(&all), fits);
        }
        // Numbers that cannot be compared.
        let (by_id, by_card) =
            (keys("饶建国", ID, "", ""), keys("饶建国", "", "3611-1", "1957-03-17"));
        assert!(!by_id.fits(&by_card));
        assert!(by_id.fits(&keys("饶建国", "", "", "1957-03-17")));
    }

    #[test]
    fn whose_images_are_is_known_by_a_chinese_name_with_a_resident_id_or_a_birth_date() {
        const ID: &str = "36112119570317051X";
        let all = keys("饶建国", ID, "3611-1", "1957-03-17");
        let imaged = |id: &str, name: &str, born: &str| {
            let patient = Patient {
                id: id.to_owned(),
                name: name.to_owned(),
                birth_date: born.to_owned(),
                ..Patient::default()
            };
            PersonKeys::of_imaged(&patient)
        };
        for (id, name, born, fits) in [
            (ID, "饶^建国", "", true),
            ("H-17", "Rao^Jianguo=饶^建国", "19570317", true),
            ("H-17", "饶建国", "19570317", true),
            ("H-17", "饶建国", "19570318", false),
            ("H-17", "饶建国", "1957", false),
            ("H-17", "饶建国", "", false),
            // The number of somebody else, whatever the birth date says.
            ("361121195803214233", "饶建国", "19570317", false),
            (ID, "饶小明", "19570317", false),
            (ID, "Rao^Jianguo", "19570317", false),
            (ID, "", "19570317", false),
        ] {
            assert_eq!(imaged(id, name, born).fits(&all), fits, "{id} {name} {born}");
        }
    }

    #[test]
    fn a_record_from_before_is_found_by_the_one_digest_that_it_has() {
        let all = keys("饶建国", "36112119570317051X", "3611-1", "1957-03-17");
        for only in [&all.resident, &all.card, &all.born] {
            let before =
                PersonKeys { name: all.name.clone(), only: only.clone(), ..PersonKeys::default() };
            assert!(before.fits(&all) && all.fits(&before) && before.fits(&before));
            let other = PersonKeys { name: "饶小明".to_owned(), ..before };
            assert!(!other.fits(&all));
        }
        let mut record = DischargeRecord::default();
        "饶建国".clone_into(&mut record.patient.name);
        record.patient.birth_date = crate::sharing::discharge::Moment::iso("1957-03-17").ok();
        assert_eq!(person(&record), all.born);
        assert_eq!(PersonKeys::of(&record).born, all.born);
        assert!(!format!("{all:?}").contains("饶"));
    }
}
