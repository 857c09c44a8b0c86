//! What cannot be true of a record, whatever it was written in: days, and the resident ID against the
//! rest. A reader has no clock: what depends on the day is held against it by who received the record,
//! with [`on_day`].

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::model::{DischargeRecord, IdentifierKind, Sex};
use super::moment::Moment;
use super::problems::{Format, Problem, Reading, Severity};
use crate::sharing::patient::{ProblemKind, ResidentId};

/// Nobody alive was born before.
const BORN_FROM: i16 = 1870;
/// Nobody has been older; the oldest on record reached 122.
const AGE_YEARS_MAX: i16 = 130;
/// Days that a sender's calendar may be ahead, for time zones.
const AHEAD_DAYS: i64 = 1;

/// What a problem is about.
#[derive(Clone, Copy)]
enum Place {
    Birth,
    Sex,
    ResidentId,
    Stay,
    Admitted,
    Discharged,
}

impl Place {
    /// Where it stands: `XPath` in CDA, `FHIRPath` in FHIR.
    fn path(self, format: Format) -> &'static str {
        match (self, format.is_json()) {
            (Self::Birth, false) => "/ClinicalDocument/recordTarget/patientRole/patient/birthTime",
            (Self::Sex, false) => {
                "/ClinicalDocument/recordTarget/patientRole/patient/administrativeGenderCode"
            }
            (Self::ResidentId, false) => "/ClinicalDocument/recordTarget/patientRole/patient/id",
            (Self::Stay, false) => {
                "/ClinicalDocument/componentOf/encompassingEncounter/effectiveTime"
            }
            (Self::Admitted, false) => {
                "/ClinicalDocument/componentOf/encompassingEncounter/effectiveTime/low"
            }
            (Self::Discharged, false) => {
                "/ClinicalDocument/componentOf/encompassingEncounter/effectiveTime/high"
            }
            (Self::Birth, true) => "Bundle.entry.resource.ofType(Patient).birthDate",
            (Self::Sex, true) => "Bundle.entry.resource.ofType(Patient).gender",
            (Self::ResidentId, true) => "Bundle.entry.resource.ofType(Patient).identifier.value",
            (Self::Stay, true) => "Bundle.entry.resource.ofType(Encounter).period",
            (Self::Admitted, true) => "Bundle.entry.resource.ofType(Encounter).period.start",
            (Self::Discharged, true) => "Bundle.entry.resource.ofType(Encounter).period.end",
        }
    }
}

/// Everything that is wrong whatever day it is.
pub(super) fn problems(format: Format, record: &DischargeRecord) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut tell = |severity, place: Place, code: &str, message: &str| {
        found.push(Problem::new(severity, place.path(format), code, message));
    };
    let born = record.patient.birth_date.as_ref();
    let first = |moment: &Option<Moment>| moment.as_ref().and_then(Moment::first_day);
    let stay = first(&record.stay.admitted).or_else(|| first(&record.stay.discharged));
    if let Some(day) = born.and_then(Moment::first_day) {
        if day.year() < BORN_FROM {
            let message = format!("出生日期早于{BORN_FROM}年，不可能；请核对");
            tell(Severity::Fatal, Place::Birth, "date_implausible", &message);
        } else if let Some(stay) = stay {
            if day > stay {
                let message = "入院日期早于出生日期";
                tell(Severity::Fatal, Place::Stay, "dates_out_of_order", message);
            } else if stay.year() - day.year() > AGE_YEARS_MAX {
                let message = format!("按出生日期，入院时超过{AGE_YEARS_MAX}岁，不可能；请核对");
                tell(Severity::Fatal, Place::Birth, "date_implausible", &message);
            }
        }
    }
    if let Some(number) = record.patient.identifier(IdentifierKind::ResidentId) {
        match ResidentId::parse(number) {
            Err(kind) => {
                let (code, message) = number_problem(kind);
                tell(Severity::Warning, Place::ResidentId, code, message);
            }
            Ok(id) => {
                let day = id.birth_date().to_string();
                // A birth date of which only year or month was said is compared as far as it goes.
                if born.is_some_and(|born| {
                    let said: String = born.as_str().chars().take(day.len()).collect();
                    !day.starts_with(&said)
                }) {
                    let message = "出生日期与身份证号中的不一致；请核对哪一个有误";
                    tell(Severity::Warning, Place::Birth, "birth_date_disagrees", message);
                }
                let in_id = sex(id.sex());
                if matches!(record.patient.sex, Sex::Male | Sex::Female)
                    && in_id != record.patient.sex
                {
                    let message = "性别与身份证号第17位（奇数为男，偶数为女）不一致；请核对";
                    tell(Severity::Warning, Place::Sex, "sex_disagrees", message);
                }
            }
        }
    }
    found
}

fn sex(of: crate::sharing::patient::Sex) -> Sex {
    match of {
        crate::sharing::patient::Sex::Male => Sex::Male,
        crate::sharing::patient::Sex::Female => Sex::Female,
    }
}

/// What is wrong with a resident ID, and what is allowed; never the number itself.
fn number_problem(kind: ProblemKind) -> (&'static str, &'static str) {
    match kind {
        ProblemKind::CheckDigit => (
            "identifier_check_digit",
            "身份证号的校验码不对，可能写错一位；第18位应按GB 11643由前17位算出",
        ),
        ProblemKind::NoSuchDate => (
            "identifier_malformed",
            "身份证号第7至14位不是存在的日期；应为出生日期YYYYMMDD（GB 11643）",
        ),
        ProblemKind::Length
        | ProblemKind::Characters
        | ProblemKind::Region
        | ProblemKind::InFuture
        | ProblemKind::TooLongAgo
        | ProblemKind::Empty
        | ProblemKind::TooLong
        | ProblemKind::NameOfRelative
        | ProblemKind::NameHidden
        | ProblemKind::NameUnknown
        | ProblemKind::TooLittle => (
            "identifier_malformed",
            "身份证号应为18位：17位数字和1位校验码（数字或X），GB 11643；旧号为15位数字",
        ),
    }
}

/// Holds what was read against the day on which it was received.
///
/// # Errors
/// All problems, if birth, admission or discharge lies more than a day after `today`.
pub fn on_day(reading: Reading, today: Date) -> Result<Reading, Vec<Problem>> {
    let Ok(last) = today.checked_add(AHEAD_DAYS.days()) else { return Ok(reading) };
    let record = &reading.record;
    let dates = [
        (Place::Birth, "出生日期", &record.patient.birth_date),
        (Place::Admitted, "入院日期", &record.stay.admitted),
        (Place::Discharged, "出院日期", &record.stay.discharged),
    ];
    let late = dates.into_iter().filter(|(.., moment)| {
        moment.as_ref().and_then(Moment::first_day).is_some_and(|day| day > last)
    });
    let late: Vec<Problem> = late
        .map(|(place, name, _)| {
            let message = format!(
                "{name}晚于收到的日期{today}，还没有到；应不晚于当天。如日期无误，请核对本机时钟"
            );
            Problem::fatal(place.path(reading.format), "date_future", message)
        })
        .collect();
    if late.is_empty() {
        return Ok(reading);
    }
    let mut problems = reading.problems;
    problems.extend(late);
    Err(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::discharge::{cda, fhir};
    use serde_json::json;

    const TODAY: &str = "2026-11-29";

    fn bundle(born: &str, gender: &str, number: &str, (from, to): (&str, &str)) -> Vec<u8> {
        let patient = json!({
            "resourceType": "Patient", "name": [{ "text": "某人" }], "gender": gender, "birthDate": born,
            "identifier": [{ "system": "urn:oid:2.16.156.10011.1.3", "value": number }],
        });
        let stay = json!({
            "resourceType": "Encounter", "id": "e", "status": "finished",
            "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP" },
            "period": { "start": from, "end": to },
        });
        let bundle = json!({
            "resourceType": "Bundle", "type": "collection",
            "entry": [{ "resource": patient }, { "resource": stay }],
        });
        serde_json::to_vec(&bundle).unwrap()
    }

    fn document(changes: &[(&str, &str)]) -> Vec<u8> {
        let mut text = String::from_utf8(
            include_bytes!("../../../tests/data/records/wst500-53-stroke.xml").to_vec(),
        )
        .unwrap();
        for (old, new) in changes {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        text.into_bytes()
    }

    /// Codes of the problems at these severities, and whether the record was taken.
    fn told(read: Result<Reading, Vec<Problem>>, code: &str) -> (bool, Vec<(Severity, String)>) {
        let read = read.and_then(|reading| on_day(reading, TODAY.parse().unwrap()));
        let (taken, problems) = match read {
            Ok(reading) => (true, reading.problems),
            Err(problems) => (false, problems),
        };
        let found = problems.into_iter().filter(|p| p.code == code);
        (taken, found.map(|p| (p.severity, p.path)).collect())
    }

    const STAY: (&str, &str) = ("2026-11-10", "2026-11-20");
    const NUMBER: &str = "36112119570317051X";

    #[test]
    fn days_that_cannot_be_are_refused_in_fhir() {
        for (born, stay, code, path) in [
            ("2099-03-17", STAY, "dates_out_of_order", "ofType(Encounter).period"),
            ("2026-11-15", ("2026-11-10", "2026-11-20"), "dates_out_of_order", "period"),
            ("1869-12-31", STAY, "date_implausible", "ofType(Patient).birthDate"),
            ("1895-01-01", STAY, "date_implausible", "ofType(Patient).birthDate"),
            ("1957-03-17", ("2026-11-10", "2070-11-20"), "date_future", "period.end"),
            ("1957-03-17", ("2070-11-10", "2070-11-20"), "date_future", "period.start"),
            ("1957-03-17", ("2026-11-20", "2026-11-10"), "dates_reversed", "period"),
            ("1957-03-17", ("2026-11-20", "2026-12-01"), "date_future", "period.end"),
        ] {
            let (taken, problems) = told(fhir::read(&bundle(born, "male", NUMBER, stay)), code);
            assert!(!taken, "{born} {stay:?}");
            assert_eq!(problems.first().map(|p| p.0), Some(Severity::Fatal), "{born} {stay:?}");
            assert!(problems[0].1.ends_with(path), "{problems:?}");
        }
        // A day ahead is a time zone, and 130 years were never reached but can be said.
        for (born, stay) in
            [("1957-03-17", ("2026-11-20", "2026-11-30")), ("1896-12-01", STAY), ("1957", STAY)]
        {
            let (taken, _) = told(fhir::read(&bundle(born, "male", NUMBER, stay)), "");
            assert!(taken, "{born} {stay:?}");
        }
    }

    #[test]
    fn days_that_cannot_be_are_refused_in_cda() {
        let born = "<birthTime value=\"19570317\"/>";
        for (changes, code) in [
            ((born, "<birthTime value=\"20990317\"/>"), "dates_out_of_order"),
            ((born, "<birthTime value=\"18000317\"/>"), "date_implausible"),
            ((born, "<birthTime value=\"18950317\"/>"), "date_implausible"),
            (("20261118150000", "20361118150000"), "date_future"),
        ] {
            let (taken, problems) = told(cda::read(&document(&[changes])), code);
            assert!(!taken, "{changes:?}");
            assert_eq!(problems.first().map(|p| p.0), Some(Severity::Fatal), "{changes:?}");
        }
        assert!(told(cda::read(&document(&[])), "").0);
    }

    #[test]
    fn a_resident_id_is_held_against_the_rest_and_the_record_is_taken() {
        let fhir = |born, gender, number| fhir::read(&bundle(born, gender, number, STAY));
        let cda = |old, new| cda::read(&document(&[(old, new)]));
        let gender = "administrativeGenderCode code=\"1\"";
        for (read, code) in [
            (fhir("1957-03-17", "male", "361121195703170511"), "identifier_check_digit"),
            (fhir("1957-03-17", "male", "3611211957031705"), "identifier_malformed"),
            (fhir("1957-03-17", "male", "361121195702300514"), "identifier_malformed"),
            (fhir("1958-03-17", "male", NUMBER), "birth_date_disagrees"),
            (fhir("1957-03-17", "female", NUMBER), "sex_disagrees"),
            (cda(NUMBER, "361121195703170511"), "identifier_check_digit"),
            (cda(gender, "administrativeGenderCode code=\"2\""), "sex_disagrees"),
            (
                cda("birthTime value=\"19570317\"", "birthTime value=\"19580317\""),
                "birth_date_disagrees",
            ),
        ] {
            let (taken, problems) = told(read, code);
            assert!(taken, "{code}");
            assert_eq!(problems.len(), 1, "{code}");
            assert_eq!(problems[0].0, Severity::Warning);
        }
        // A small x, a year alone, and an unknown sex are no contradiction.
        for (born, gender, number) in [
            ("1957-03-17", "male", "36112119570317051x"),
            ("1957", "male", NUMBER),
            ("1957-03-17", "unknown", NUMBER),
        ] {
            for code in ["identifier_check_digit", "birth_date_disagrees", "sex_disagrees"] {
                assert_eq!(told(fhir(born, gender, number), code).1, [], "{born} {gender} {code}");
            }
        }
        // The number is not repeated.
        let reading = fhir("1957-03-17", "male", "361121195703170511").unwrap();
        assert!(reading.problems.iter().all(|p| !p.message.contains("361121")));
    }
}
