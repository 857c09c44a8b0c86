//! Arbitrary records, as far as a document can say them: no empty concepts or list items, and codes
//! that do not contradict the fields beside them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::*;

/// Words, or none.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![2 => some_words(), 1 => Just(String::new())]
}

fn some_words() -> impl Strategy<Value = String> {
    "[a-zA-Z一-龥㐀-㐂𠮷0-9<>&'\"|/ .#%-]{1,10}"
}

/// Words with lines and spaces, as narrative has them.
fn told() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[a-z一-龥<>&'\" \t\r\n.;#]{1,24}", 1 => Just(String::new())]
}

fn moment() -> impl Strategy<Value = Moment> {
    let day = (1900_u16..2100, 1_u8..13, 1_u8..29);
    let zones = prop_oneof![Just(""), Just("Z"), Just("+08:00"), Just("-05:30")];
    (day, 0_u8..24, 0_u8..60, 0_u8..5, zones).prop_map(|((y, m, d), h, min, how, zone)| {
        let text = match how {
            0 => format!("{y}"),
            1 => format!("{y}-{m:02}"),
            2 => format!("{y}-{m:02}-{d:02}"),
            3 => format!("{y}-{m:02}-{d:02}T{h:02}:{min:02}{zone}"),
            _ => format!("{y}-{m:02}-{d:02}T{h:02}:{min:02}:07.5{zone}"),
        };
        Moment::iso(&text).unwrap()
    })
}

fn code() -> impl Strategy<Value = Code> {
    let system = prop_oneof![
        Just(String::new()),
        Just("urn:oid:2.16.156.10011.2.3.3.11.5".to_owned()),
        Just("urn:oid:2.16.156.10011.2.3.3.14".to_owned()),
        Just("http://loinc.org".to_owned()),
        Just("urn:x:y".to_owned()),
    ];
    (system, "[A-Z][0-9]{2}(\\.[0-9])?", words()).prop_map(|(system, code, display)| Code {
        system,
        code,
        display,
    })
}

fn coded() -> impl Strategy<Value = Coded> {
    (words(), vec(code(), 0..3)).prop_map(|(text, codes)| {
        let first = codes.first().map(|code| code.display.clone()).unwrap_or_default();
        let text = if text.is_empty() { first } else { text };
        let empty = text.is_empty() && codes.is_empty();
        Coded { text: if empty { "某".to_owned() } else { text }, codes }
    })
}

/// One that may say nothing, where a field of it has to be there.
fn maybe_coded() -> impl Strategy<Value = Coded> {
    prop_oneof![4 => coded(), 1 => Just(Coded::default())]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-1_000_000_i32..1_000_000).prop_map(f64::from),
        (0_u32..100_000).prop_map(|number| f64::from(number) / 100.0),
        any::<f64>().prop_filter("JSON has no other", |number| number.is_finite()),
    ]
}

fn quantity() -> impl Strategy<Value = Quantity> {
    let unit = prop_oneof![
        Just("mm[Hg]".to_owned()),
        Just("片".to_owned()),
        Just("mg".to_owned()),
        Just(String::new())
    ];
    (number(), unit).prop_map(|(value, unit)| Quantity { value, unit })
}

fn document() -> impl Strategy<Value = Document> {
    let version = option::of(1_u32..100_000);
    (words(), version, words(), any::<bool>(), words(), option::of(moment())).prop_map(
        |(name, version, replaces, entered_in_error, title, written)| Document {
            name,
            version,
            replaces,
            entered_in_error,
            title,
            written,
            language: if entered_in_error { "zh-CN".to_owned() } else { String::new() },
        },
    )
}

fn identifier() -> impl Strategy<Value = Identifier> {
    let known = prop_oneof![
        Just((IdentifierKind::ResidentId, "urn:oid:2.16.156.10011.1.3")),
        Just((IdentifierKind::HealthCard, "urn:oid:2.16.156.10011.1.19")),
        Just((IdentifierKind::InpatientNumber, "urn:oid:2.16.156.10011.1.12")),
        Just((IdentifierKind::InpatientNumber, "")),
        Just((IdentifierKind::ResidentId, "urn:x:ids")),
        Just((IdentifierKind::Other, "urn:x:ids")),
        Just((IdentifierKind::Other, "")),
    ];
    (known, some_words()).prop_map(|((kind, system), value)| Identifier {
        kind,
        system: system.to_owned(),
        value,
    })
}

fn address() -> impl Strategy<Value = Address> {
    (words(), words(), words(), words(), words(), words(), words(), words()).prop_map(
        |(province, city, county, township, village, house, text, division)| Address {
            province,
            city,
            county,
            township,
            village,
            house,
            text,
            division,
        },
    )
}

fn patient() -> impl Strategy<Value = Patient> {
    let sex =
        prop_oneof![Just(Sex::Unknown), Just(Sex::Male), Just(Sex::Female), Just(Sex::Unstated)];
    let contact = (some_words(), words(), words()).prop_map(|(name, phone, relation)| Contact {
        name,
        phone,
        relation,
    });
    let who = (vec(identifier(), 0..3), some_words(), sex, option::of(moment()));
    let what = (option::of(quantity()), option::of(coded()), option::of(coded()));
    (who, what, vec(some_words(), 0..3), address(), vec(contact, 0..2)).prop_map(
        |(who, what, phones, address, contacts)| Patient {
            identifiers: who.0,
            name: who.1,
            sex: who.2,
            birth_date: who.3,
            age: what.0,
            marital_status: what.1,
            occupation: what.2,
            phones,
            address,
            contacts,
        },
    )
}

fn stay() -> impl Strategy<Value = Stay> {
    let names = (words(), words(), words(), words(), words(), words());
    let days = option::of((0_u32..4000).prop_map(|days| f64::from(days) / 4.0));
    (names, any::<bool>(), moment(), days, option::of(coded())).prop_map(
        |(names, both, moment, days, outcome)| Stay {
            institution: names.0,
            institution_code: names.1,
            department: names.2,
            ward: names.3,
            room: names.4,
            bed: names.5,
            admitted: Some(moment.clone()),
            discharged: both.then_some(moment),
            days,
            outcome,
        },
    )
}

fn diagnosis() -> impl Strategy<Value = Diagnosis> {
    let role = prop_oneof![
        Just(DiagnosisRole::Admission),
        Just(DiagnosisRole::DischargeMain),
        Just(DiagnosisRole::Discharge),
        Just(DiagnosisRole::History)
    ];
    let kind = prop_oneof![
        Just(DiagnosisKind::Western),
        Just(DiagnosisKind::TcmDisease),
        Just(DiagnosisKind::TcmSyndrome)
    ];
    (role, kind, maybe_coded(), option::of(moment()), any::<[bool; 2]>()).prop_map(
        |(role, kind, coded, onset, [resolved, unconfirmed])| Diagnosis {
            role,
            kind,
            coded,
            onset,
            resolved,
            unconfirmed,
        },
    )
}

fn procedure() -> impl Strategy<Value = Procedure> {
    let graded = (option::of(coded()), option::of(coded()), option::of(coded()));
    (maybe_coded(), option::of(moment()), told(), graded).prop_map(
        |(coded, started, course, (anaesthesia, incision, healing))| Procedure {
            coded,
            started,
            course,
            anaesthesia,
            incision,
            healing,
        },
    )
}

fn narrative() -> impl Strategy<Value = Narrative> {
    let first = (told(), told(), told(), told(), told());
    let second = (told(), told(), told(), told(), told());
    (first, second).prop_map(|(a, b)| Narrative {
        admission: a.0,
        course: a.1,
        positive_results: a.2,
        discharge: a.3,
        symptoms_and_signs: a.4,
        tcm_observation: b.0,
        tcm_principle: b.1,
        tcm_decoction: b.2,
        tcm_usage: b.3,
        orders: b.4,
    })
}

fn medicine() -> impl Strategy<Value = Medicine> {
    let change = prop_oneof![
        Just(None),
        Just(Some(MedicineChange::New)),
        Just(Some(MedicineChange::Continued)),
        Just(Some(MedicineChange::Altered)),
        Just(Some(MedicineChange::Stopped))
    ];
    let times = option::of(prop_oneof![
        (1_u32..12).prop_map(f64::from),
        (1_u32..1000).prop_map(|times| f64::from(times) / 7.0)
    ]);
    let what = (maybe_coded(), change, words(), option::of(quantity()), option::of(coded()));
    let when = (times, words(), any::<bool>(), option::of((1_u32..90).prop_map(f64::from)));
    let rest =
        (option::of(moment()), option::of(moment()), told(), words(), option::of(quantity()));
    (what, when, rest).prop_map(|(what, when, rest)| Medicine {
        coded: what.0,
        change: what.1,
        change_text: what.2,
        dose: what.3,
        route: what.4,
        times_per_day: when.0,
        frequency: when.1,
        as_needed: when.2,
        days: when.3,
        start: rest.0,
        end: rest.1,
        instruction: rest.2,
        reason: rest.3,
        supplied: rest.4,
    })
}

fn measurement() -> impl Strategy<Value = Measurement> {
    let what = (maybe_coded(), option::of(quantity()), words());
    (what, option::of(moment()), words(), words()).prop_map(
        |((coded, value, text), taken, interpretation, reference_range)| Measurement {
            coded,
            value,
            text,
            taken,
            interpretation,
            reference_range,
        },
    )
}

fn imaging() -> impl Strategy<Value = ImagingReference> {
    let texts = ("(1\\.2\\.[0-9]{3})?", words(), "(CT|MR|DX)?", words(), told());
    (texts, option::of(moment())).prop_map(|(texts, date)| ImagingReference {
        study_uid: texts.0,
        accession_number: texts.1,
        modality: texts.2,
        description: texts.3,
        date,
        report: texts.4,
    })
}

fn follow_up() -> impl Strategy<Value = FollowUp> {
    let target = (maybe_coded(), option::of(quantity()), option::of(quantity()), words())
        .prop_map(|(coded, low, high, text)| Target { coded, low, high, text });
    let when = (option::of(moment()), option::of(moment()));
    (maybe_coded(), when, words(), vec(target, 0..3), told()).prop_map(
        |(coded, (from, due), by, targets, text)| FollowUp { coded, from, due, by, targets, text },
    )
}

fn signature() -> impl Strategy<Value = Signature> {
    let role = prop_oneof![
        Just(SignatureRole::Resident),
        Just(SignatureRole::Senior),
        Just(SignatureRole::Author)
    ];
    (role, words(), words(), option::of(moment()))
        .prop_map(|(role, name, number, signed)| Signature { role, name, number, signed })
}

/// Any record that a document can say.
pub(super) fn record() -> impl Strategy<Value = DischargeRecord> {
    let allergy = (maybe_coded(), words(), any::<bool>())
        .prop_map(|(coded, reaction, absent)| Allergy { coded, reaction, absent });
    let section = (maybe_coded(), told().prop_filter("says something", |text| !text.is_empty()))
        .prop_map(|(coded, text)| Section { coded, text });
    let head = (document(), patient(), stay(), narrative());
    let lists = (
        vec(diagnosis(), 0..3),
        vec(procedure(), 0..2),
        vec(section, 0..2),
        vec(medicine(), 0..3),
        vec(measurement(), 0..3),
        vec(allergy, 0..2),
        vec(imaging(), 0..2),
        vec(follow_up(), 0..2),
        vec(signature(), 0..3),
    );
    (head, lists).prop_map(|((document, mut patient, stay, narrative), lists)| {
        // Nobody is born after the stay, or older than 130 in it.
        let first = |moment: &Option<Moment>| moment.as_ref().and_then(Moment::first_day);
        if let (Some(born), Some(stay)) = (first(&patient.birth_date), first(&stay.admitted))
            && (born > stay || stay.year() - born.year() > 130)
        {
            patient.birth_date = Some(Moment::of(stay));
        }
        DischargeRecord {
            document,
            patient,
            stay,
            diagnoses: lists.0,
            procedures: lists.1,
            narrative,
            sections: lists.2,
            medicines: lists.3,
            measurements: lists.4,
            allergies: lists.5,
            imaging: lists.6,
            follow_ups: lists.7,
            signatures: lists.8,
        }
    })
}
