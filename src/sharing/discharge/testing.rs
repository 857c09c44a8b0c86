//! Any discharge record, for property tests: realistic, and every field filled now and then.
//!
//! Nobody in these records lives: names are put together from common characters, resident IDs from a
//! birth date and a serial number, with the check character of GB 11643. Texts have characters outside
//! GB 2312 and outside the basic plane, and those that XML and JSON have to escape.

mod words;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::model::{
    Address, Allergy, Code, Coded, Contact, Diagnosis, DiagnosisKind, DiagnosisRole,
    DischargeRecord, Document, FollowUp, Identifier, IdentifierKind, ImagingReference, Measurement,
    Medicine, MedicineChange, Narrative, Patient, Procedure, Quantity, Section, Sex, Signature,
    SignatureRole, Stay, Target,
};
use super::moment::Moment;
use words::{
    ALLERGENS, GIVEN, MEASURED, MEDICINES, PHRASES, PROCEDURES, SECTIONS, SENTENCES, SURNAMES,
    TASKS, TCM_TERMS, Term, WESTERN, WORDS,
};

/// Any record.
pub(crate) fn records() -> impl Strategy<Value = DischargeRecord> {
    let first = (
        document(),
        patient(),
        stay(),
        vec(diagnosis(), 0..6),
        vec(procedure(), 0..3),
        narrative(),
        vec(section(), 0..3),
    );
    let second = (
        vec(medicine(), 0..6),
        vec(measurement(), 0..6),
        vec(allergy(), 0..3),
        vec(imaging(), 0..3),
        vec(follow_up(), 0..3),
        vec(signature(), 0..4),
    );
    (first, second).prop_map(|(first, second)| {
        let (document, patient, stay, diagnoses, procedures, narrative, sections) = first;
        let (medicines, measurements, allergies, imaging, follow_ups, signatures) = second;
        DischargeRecord {
            document,
            patient,
            stay,
            diagnoses,
            procedures,
            narrative,
            sections,
            medicines,
            measurements,
            allergies,
            imaging,
            follow_ups,
            signatures,
        }
    })
}

/// A moment of any precision.
pub(crate) fn moments() -> BoxedStrategy<Moment> {
    let day = (1930_i16..=2030, 1_i8..=12, 1_i8..=28);
    let clock = (0_u8..24, 0_u8..60, 0_u8..60, 0_u32..1_000);
    let zone = select(&["", "Z", "+08:00", "-05:30"][..]);
    let moment = |((year, month, day), (hour, minute, second, milli), zone, precision)| {
        let text = match precision {
            0 => format!("{year:04}"),
            1 => format!("{year:04}-{month:02}"),
            2..=4 => format!("{year:04}-{month:02}-{day:02}"),
            5 => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}{zone}"),
            6 => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}"),
            _ => format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}{zone}"
            ),
        };
        Moment::iso(&text).unwrap()
    };
    (day, clock, zone, 0..8).prop_map(moment).boxed()
}

/// Said four times out of five.
fn said<T: Clone + std::fmt::Debug + Default + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![1 => Just(T::default()), 4 => strategy].boxed()
}

/// There four times out of five.
fn maybe<T: Clone + std::fmt::Debug + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    proptest::option::weighted(0.8, strategy).boxed()
}

fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    select(texts).prop_map(str::to_owned).boxed()
}

/// A short text, or none.
fn phrase() -> BoxedStrategy<String> {
    said(one_of(PHRASES))
}

/// Some sentences in one or more lines, or none.
fn prose() -> BoxedStrategy<String> {
    let sentences = vec(select(SENTENCES), 1..6);
    said(
        (sentences, any::<bool>()).prop_map(|(all, lines)| all.join(if lines { "\n" } else { "" })),
    )
}

fn digits(len: usize) -> BoxedStrategy<String> {
    vec(select(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"][..]), len)
        .prop_map(|digits| digits.concat())
        .boxed()
}

fn person() -> BoxedStrategy<String> {
    (select(SURNAMES), select(GIVEN)).prop_map(|(sur, given)| format!("{sur}{given}")).boxed()
}

fn phone() -> BoxedStrategy<String> {
    prop_oneof![
        digits(9).prop_map(|rest| format!("13{rest}")),
        digits(7).prop_map(|rest| format!("0793-{rest}")),
    ]
    .boxed()
}

/// A number with up to three decimals, seldom negative or nothing.
fn number() -> BoxedStrategy<f64> {
    let scaled = (-200_i32..20_000, select(&[1.0, 10.0, 1000.0][..]));
    scaled.prop_map(|(number, scale)| f64::from(number) / scale).boxed()
}

fn quantity(units: &'static [&'static str]) -> BoxedStrategy<Quantity> {
    (number(), said(one_of(units))).prop_map(|(value, unit)| Quantity { value, unit }).boxed()
}

/// A term with its code, another code beside it, or words alone.
fn coded(terms: &'static [Term]) -> BoxedStrategy<Coded> {
    let code = |(system, code, display): Term| Code {
        system: system.to_owned(),
        code: code.to_owned(),
        display: display.to_owned(),
    };
    let wordless = (select(terms), said(one_of(PHRASES))).prop_map(|((_, _, text), note)| {
        Coded::text(if note.is_empty() { text.to_owned() } else { format!("{text}，{note}") })
    });
    let one = select(terms)
        .prop_map(move |term| Coded { text: term.2.to_owned(), codes: vec![code(term)] });
    let two = (select(terms), select(terms)).prop_map(move |(term, other)| Coded {
        text: format!("{}？", term.2),
        codes: vec![code(term), Code { display: String::new(), ..code(other) }],
    });
    prop_oneof![1 => wordless, 3 => one, 1 => two].boxed()
}

fn document() -> BoxedStrategy<Document> {
    let name = (digits(6), any::<bool>()).prop_map(|(number, cda)| {
        if cda { format!("2.999.2^CY{number}") } else { format!("urn:oid:2.999.2|CY{number}") }
    });
    let name = name.boxed();
    let title = one_of(&["出院小结", "出院记录", "XX县人民医院出院小结（更正）"]);
    let language = one_of(&["zh-CN", "en-US"]);
    (
        name.clone(),
        maybe(1_u32..20),
        said(name),
        proptest::bool::weighted(0.2),
        said(title),
        maybe(moments()),
        said(language),
    )
        .prop_map(|(name, version, replaces, entered_in_error, title, written, language)| {
            Document { name, version, replaces, entered_in_error, title, written, language }
        })
        .boxed()
}

/// A number with the check character of GB 11643 (ISO 7064, MOD 11-2).
fn resident_id() -> BoxedStrategy<String> {
    let place = select(&["361102", "361121", "361126", "361181"][..]);
    let born = (1930_u16..=2024, 1_u8..=12, 1_u8..=28);
    (place, born, 0_u16..1000)
        .prop_map(|(place, (year, month, day), serial)| {
            let body = format!("{place}{year:04}{month:02}{day:02}{serial:03}");
            let sum = body.chars().fold(0, |sum, digit| (sum + digit.to_digit(10).unwrap()) * 2);
            let check = (12 - sum % 11) % 11;
            if check == 10 { format!("{body}X") } else { format!("{body}{check}") }
        })
        .boxed()
}

fn identifier() -> BoxedStrategy<Identifier> {
    let kind = |kind, system: &'static str, value: BoxedStrategy<String>| {
        value.prop_map(move |value| Identifier { kind, system: system.to_owned(), value })
    };
    prop_oneof![
        kind(IdentifierKind::ResidentId, "urn:oid:2.16.156.10011.1.3", resident_id()),
        kind(IdentifierKind::HealthCard, "urn:oid:2.16.156.10011.1.19", digits(18)),
        kind(IdentifierKind::InpatientNumber, "urn:oid:2.16.156.10011.1.12", digits(8)),
        kind(IdentifierKind::Other, "", digits(10)),
    ]
    .boxed()
}

fn address() -> BoxedStrategy<Address> {
    let parts = (
        said(one_of(&["江西省"])),
        said(one_of(&["上饶市"])),
        said(one_of(&["信州区", "玉山县", "余干县", "婺源县"])),
        said(one_of(&["沙溪镇", "紫湖镇", "瑞洪镇", "𡎚头乡"])),
        said(one_of(&["东风村委会", "畈上村", "杉㘵村"])),
        said(one_of(&["12号", "3组 7号"])),
        said(one_of(&["江西省上饶市信州区沙溪镇东风村12号"])),
        said(prop_oneof![digits(6), digits(9), digits(12)]),
    );
    parts
        .prop_map(|(province, city, county, township, village, house, text, division)| Address {
            province,
            city,
            county,
            township,
            village,
            house,
            text,
            division,
        })
        .boxed()
}

fn contact() -> BoxedStrategy<Contact> {
    (said(person()), said(phone()), said(one_of(&["配偶", "子", "女儿", "邻居"])))
        .prop_map(|(name, phone, relation)| Contact { name, phone, relation })
        .boxed()
}

fn patient() -> BoxedStrategy<Patient> {
    let sex = select(vec![Sex::Unknown, Sex::Male, Sex::Female, Sex::Unstated]);
    let parts = (
        vec(identifier(), 0..4),
        said(person()),
        sex,
        maybe(moments()),
        maybe(quantity(&["岁", "a", "月", "mo"])),
        maybe(coded(WORDS)),
        maybe(coded(WORDS)),
        vec(phone(), 0..3),
        said(address()),
        vec(contact(), 0..3),
    );
    parts
        .prop_map(|parts| {
            let (identifiers, name, sex, birth_date, age, marital_status, occupation, ..) = parts;
            let (.., phones, address, contacts) = parts;
            Patient {
                identifiers,
                name,
                sex,
                birth_date,
                age,
                marital_status,
                occupation,
                phones,
                address,
                contacts,
            }
        })
        .boxed()
}

fn stay() -> BoxedStrategy<Stay> {
    let place = (
        said(one_of(&["上饶市人民医院", "玉山县中医院"])),
        said(digits(9)),
        said(one_of(&["神经内科", "心血管内科一病区"])),
        said(one_of(&["3病区", "东楼八层"])),
        said(digits(3)),
        said(one_of(&["12床", "加3"])),
    );
    let time = (maybe(moments()), maybe(moments()), maybe(number()), maybe(coded(WORDS)));
    (place, time)
        .prop_map(|(place, time)| {
            let (institution, institution_code, department, ward, room, bed) = place;
            let (admitted, discharged, days, outcome) = time;
            Stay {
                institution,
                institution_code,
                department,
                ward,
                room,
                bed,
                admitted,
                discharged,
                days,
                outcome,
            }
        })
        .boxed()
}

fn diagnosis() -> BoxedStrategy<Diagnosis> {
    let role = select(vec![
        DiagnosisRole::Admission,
        DiagnosisRole::DischargeMain,
        DiagnosisRole::Discharge,
        DiagnosisRole::History,
    ]);
    let named = prop_oneof![
        4 => coded(WESTERN).prop_map(|coded| (DiagnosisKind::Western, coded)),
        1 => coded(TCM_TERMS).prop_map(|coded| (DiagnosisKind::TcmDisease, coded)),
        1 => coded(TCM_TERMS).prop_map(|coded| (DiagnosisKind::TcmSyndrome, coded)),
    ];
    (role, named, maybe(moments()), any::<[bool; 2]>())
        .prop_map(|(role, (kind, coded), onset, [resolved, unconfirmed])| Diagnosis {
            role,
            kind,
            coded,
            onset,
            resolved,
            unconfirmed,
        })
        .boxed()
}

fn procedure() -> BoxedStrategy<Procedure> {
    let parts = (
        coded(PROCEDURES),
        maybe(moments()),
        prose(),
        maybe(coded(WORDS)),
        maybe(coded(WORDS)),
        maybe(coded(WORDS)),
    );
    parts
        .prop_map(|(coded, started, course, anaesthesia, incision, healing)| Procedure {
            coded,
            started,
            course,
            anaesthesia,
            incision,
            healing,
        })
        .boxed()
}

fn narrative() -> BoxedStrategy<Narrative> {
    proptest::array::uniform10(prose())
        .prop_map(|told| {
            let [
                admission,
                course,
                positive_results,
                discharge,
                symptoms_and_signs,
                tcm_observation,
                tcm_principle,
                tcm_decoction,
                tcm_usage,
                orders,
            ] = told;
            Narrative {
                admission,
                course,
                positive_results,
                discharge,
                symptoms_and_signs,
                tcm_observation,
                tcm_principle,
                tcm_decoction,
                tcm_usage,
                orders,
            }
        })
        .boxed()
}

fn section() -> BoxedStrategy<Section> {
    (coded(SECTIONS), prose()).prop_map(|(coded, text)| Section { coded, text }).boxed()
}

fn medicine() -> BoxedStrategy<Medicine> {
    let change = select(vec![
        None,
        Some(MedicineChange::New),
        Some(MedicineChange::Continued),
        Some(MedicineChange::Altered),
        Some(MedicineChange::Stopped),
    ]);
    let what = (
        coded(MEDICINES),
        change,
        phrase(),
        maybe(quantity(&["mg", "g", "片", "粒"])),
        maybe(coded(WORDS)),
        phrase(),
        phrase(),
        maybe(quantity(&["盒", "片", "{tbl}"])),
    );
    let time = (
        maybe(number()),
        phrase(),
        any::<bool>(),
        maybe(number()),
        maybe(moments()),
        maybe(moments()),
    );
    (what, time)
        .prop_map(|(what, time)| {
            let (coded, change, change_text, dose, route, instruction, reason, supplied) = what;
            let (times_per_day, frequency, as_needed, days, start, end) = time;
            Medicine {
                coded,
                change,
                change_text,
                dose,
                route,
                times_per_day,
                frequency,
                as_needed,
                days,
                start,
                end,
                instruction,
                reason,
                supplied,
            }
        })
        .boxed()
}

fn measurement() -> BoxedStrategy<Measurement> {
    let parts = (
        coded(MEASURED),
        maybe(quantity(&["mm[Hg]", "mmol/L", "%", "umol/L", "10*9/L"])),
        phrase(),
        maybe(moments()),
        phrase(),
        phrase(),
    );
    parts
        .prop_map(|(coded, value, text, taken, interpretation, reference_range)| Measurement {
            coded,
            value,
            text,
            taken,
            interpretation,
            reference_range,
        })
        .boxed()
}

fn allergy() -> BoxedStrategy<Allergy> {
    (coded(ALLERGENS), phrase(), proptest::bool::weighted(0.2))
        .prop_map(|(coded, reaction, absent)| Allergy { coded, reaction, absent })
        .boxed()
}

fn imaging() -> BoxedStrategy<ImagingReference> {
    let parts = (
        said(any::<u64>().prop_map(|number| format!("2.25.{number}"))),
        said(digits(10).prop_map(|number| format!("CT{number}"))),
        said(one_of(&["CT", "MR", "DX", "US"])),
        phrase(),
        maybe(moments()),
        prose(),
    );
    parts
        .prop_map(|(study_uid, accession_number, modality, description, date, report)| {
            ImagingReference { study_uid, accession_number, modality, description, date, report }
        })
        .boxed()
}

fn target() -> BoxedStrategy<Target> {
    let bound = || maybe(quantity(&["mm[Hg]", "mmol/L", "%"]));
    (coded(MEASURED), bound(), bound(), phrase())
        .prop_map(|(coded, low, high, text)| Target { coded, low, high, text })
        .boxed()
}

fn follow_up() -> BoxedStrategy<FollowUp> {
    let parts = (
        coded(TASKS),
        maybe(moments()),
        maybe(moments()),
        said(one_of(&["村卫生室", "神经内科门诊", "家庭医生团队"])),
        vec(target(), 0..3),
        phrase(),
    );
    parts
        .prop_map(|(coded, from, due, by, targets, text)| FollowUp {
            coded,
            from,
            due,
            by,
            targets,
            text,
        })
        .boxed()
}

fn signature() -> BoxedStrategy<Signature> {
    let role = select(vec![SignatureRole::Resident, SignatureRole::Senior, SignatureRole::Author]);
    (role, said(person()), said(digits(5)), maybe(moments()))
        .prop_map(|(role, name, number, signed)| Signature { role, name, number, signed })
        .boxed()
}
