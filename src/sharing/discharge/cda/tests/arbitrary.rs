//! Arbitrary records in the form that the model describes.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{
    Address, Allergy, Code, Coded, Contact, Diagnosis, DiagnosisKind, DiagnosisRole,
    DischargeRecord, Document, FollowUp, Identifier, IdentifierKind, ImagingReference, Measurement,
    Medicine, MedicineChange, Narrative, Patient, Procedure, Quantity, Section, Sex, Signature,
    SignatureRole, Stay, Target,
};

/// Text with anything in it that XML allows, and no white space around it.
fn words() -> impl Strategy<Value = String> {
    let any = "[a-z0-9高血压糖尿𠮷\u{e000}&<>\"'\\]\\[^|#%;:.,\n\t \u{a0}Ⅱ-]{0,12}";
    prop_oneof![Just(String::new()), any.prop_map(|text: String| text.trim().to_owned())]
        .prop_map(|text| if matches!(text.as_str(), "-" | "--") { String::new() } else { text })
}

fn said() -> impl Strategy<Value = String> {
    words().prop_map(|text| if text.is_empty() { "阿司匹林".to_owned() } else { text })
}

/// A name: white space in it is one space.
fn name() -> impl Strategy<Value = String> {
    said().prop_map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Something in an attribute.
fn token() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Z][0-9]{2}\\.[0-9x]{1,4}", "[a-z0-9]{1,8}", "[一-三]{1,3}", "[a-c] [d-f]"]
}

fn system() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("http://loinc.org".to_owned()),
        Just("http://snomed.info/sct".to_owned()),
        Just("urn:oid:2.16.156.10011.2.3.3.11.5".to_owned()),
        Just("urn:oid:2.16.156.10011.2.3.3.14".to_owned()),
        Just("http://example.org/local".to_owned()),
        Just("院内编码".to_owned()),
        Just(String::new()),
    ]
}

fn code() -> impl Strategy<Value = Code> {
    (system(), token(), words()).prop_map(|(system, code, display)| Code { system, code, display })
}

fn coded() -> impl Strategy<Value = Coded> {
    (words(), vec(code(), 0..3)).prop_map(|(text, codes)| {
        let shown = codes.iter().map(|code| code.display.as_str()).find(|text| !text.is_empty());
        let text = if text.is_empty() { shown.unwrap_or_default().to_owned() } else { text };
        Coded { text, codes }
    })
}

fn some_coded() -> impl Strategy<Value = Coded> {
    coded().prop_map(|coded| if coded.is_empty() { Coded::text("缬沙坦") } else { coded })
}

fn optional_coded() -> impl Strategy<Value = Option<Coded>> {
    of(some_coded())
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0_u32..400).prop_map(f64::from),
        (0_u32..4000).prop_map(|n| f64::from(n) / 10.0),
        any::<f64>().prop_filter("finite", |n| n.is_finite()),
    ]
}

fn quantity() -> impl Strategy<Value = Quantity> {
    let unit = prop_oneof![Just(String::new()), "[a-z]{1,3}/?[a-z]{0,2}", Just("一 片".to_owned())];
    (number(), unit).prop_map(|(value, unit)| Quantity { value, unit })
}

fn moment() -> impl Strategy<Value = Moment> {
    let day = (1900_u16..2100, 1_u8..13, 1_u8..29);
    let time = (0_u8..24, 0_u8..60, 0_u8..60);
    (day, time, 0_u8..6).prop_map(|((year, month, day), (hour, minute, second), precision)| {
        let stamp = match precision {
            0 => format!("{year:04}"),
            1 => format!("{year:04}{month:02}"),
            2 => format!("{year:04}{month:02}{day:02}"),
            3 => format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}"),
            4 => format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}+0800"),
            _ => format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}.25-0130"),
        };
        Moment::hl7(&stamp).unwrap()
    })
}

fn document() -> impl Strategy<Value = Document> {
    let called =
        || prop_oneof!["2\\.16\\.1\\^[a-z0-9^]{1,5}", "[a-z|:/]{2,8}", "1\\.2\\.3", "1\\.2\\^"];
    let replaces = prop_oneof![Just(String::new()), called()];
    (called(), of(1_u32..9), replaces, any::<bool>(), said(), of(moment()), "(zh-CN)?").prop_map(
        |(name, version, replaces, entered_in_error, title, written, language)| Document {
            name,
            version,
            replaces,
            entered_in_error,
            title,
            written,
            language,
        },
    )
}

fn identifier() -> impl Strategy<Value = Identifier> {
    let known = prop_oneof![
        Just((IdentifierKind::ResidentId, "urn:oid:2.16.156.10011.1.3")),
        Just((IdentifierKind::HealthCard, "urn:oid:2.16.156.10011.1.19")),
        Just((IdentifierKind::InpatientNumber, "urn:oid:2.16.156.10011.1.12")),
        Just((IdentifierKind::InpatientNumber, "http://hospital.example/zyh")),
        Just((IdentifierKind::ResidentId, "urn:oid:1.2.3")),
        Just((IdentifierKind::Other, "urn:oid:2.16.840.1.113883.4.1")),
        Just((IdentifierKind::Other, "http://example.org/id")),
        Just((IdentifierKind::Other, "")),
    ];
    (known, "[0-9A-Z]{1,18}").prop_map(|((kind, system), value)| Identifier {
        kind,
        system: system.to_owned(),
        value,
    })
}

fn patient() -> impl Strategy<Value = Patient> {
    let sex =
        prop_oneof![Just(Sex::Unknown), Just(Sex::Male), Just(Sex::Female), Just(Sex::Unstated)];
    let contact = (name(), words(), words()).prop_map(|(name, phone, relation)| Contact {
        name,
        phone,
        relation,
    });
    let address = (words(), words(), words(), words(), words(), words(), words(), "[0-9]{0,12}")
        .prop_map(|(province, city, county, township, village, house, text, division)| Address {
            province,
            city,
            county,
            township,
            village,
            house,
            text,
            division,
        });
    let age = (number(), prop_oneof![Just("岁"), Just("月")])
        .prop_map(|(value, unit)| Quantity { value, unit: unit.to_owned() });
    let who = (vec(identifier(), 0..4), name(), sex, of(age));
    let more = (optional_coded(), optional_coded(), vec(said(), 0..3), address, vec(contact, 0..3));
    (who, more).prop_map(|((mut identifiers, name, sex, age), more)| {
        let mut seen = Vec::new();
        identifiers.retain(|id| {
            !seen.contains(id) && {
                seen.push(id.clone());
                true
            }
        });
        let (marital_status, occupation, phones, address, contacts) = more;
        Patient {
            identifiers,
            name,
            sex,
            birth_date: Some(Moment::iso("1890-01-02").unwrap()),
            age,
            marital_status,
            occupation,
            phones,
            address,
            contacts,
        }
    })
}

fn stay() -> impl Strategy<Value = Stay> {
    let places = (name(), "[0-9A-Z]{0,9}", prop_oneof![Just(String::new()), name()]);
    // Nobody is older than 130.
    let admitted = of(moment().prop_filter("alive", |moment| moment.as_str() < "2020"));
    (places, name(), name(), name(), admitted, of(number()), optional_coded()).prop_map(
        |(
            (institution, institution_code, department),
            ward,
            room,
            bed,
            admitted,
            days,
            outcome,
        )| {
            let discharged = admitted.clone();
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
        },
    )
}

fn diagnosis() -> impl Strategy<Value = Diagnosis> {
    let role = prop_oneof![
        Just(DiagnosisRole::Admission),
        Just(DiagnosisRole::DischargeMain),
        Just(DiagnosisRole::Discharge),
        Just(DiagnosisRole::History),
    ];
    let kind = prop_oneof![
        Just(DiagnosisKind::Western),
        Just(DiagnosisKind::TcmDisease),
        Just(DiagnosisKind::TcmSyndrome)
    ];
    (role, kind, some_coded(), of(moment()), any::<[bool; 2]>()).prop_map(
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
    let coded = (some_coded(), optional_coded(), optional_coded(), optional_coded());
    (coded, of(moment()), words()).prop_map(
        |((coded, anaesthesia, incision, healing), started, course)| Procedure {
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
    vec(words(), 10).prop_map(|texts| {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap();
        Narrative {
            admission: next(),
            course: next(),
            positive_results: next(),
            discharge: next(),
            symptoms_and_signs: next(),
            tcm_observation: next(),
            tcm_principle: next(),
            tcm_decoction: next(),
            tcm_usage: next(),
            orders: next(),
        }
    })
}

fn section() -> impl Strategy<Value = Section> {
    let codes = prop_oneof![coded(), Just(loinc("8648-8")), Just(loinc("48765-2"))];
    (codes, vec(name(), 0..3)).prop_map(|(coded, lines)| {
        let said = |line: &String| line.chars().any(|c| c != '|' && !c.is_whitespace());
        let lines: Vec<String> = lines.into_iter().filter(said).collect();
        Section { coded, text: lines.join("\n") }
    })
}

fn loinc(code: &str) -> Coded {
    let code = Code {
        system: "http://loinc.org".to_owned(),
        code: code.to_owned(),
        display: String::new(),
    };
    Coded { text: "其他".to_owned(), codes: vec![code] }
}

fn medicine() -> impl Strategy<Value = Medicine> {
    let change = of(prop_oneof![
        Just(MedicineChange::New),
        Just(MedicineChange::Continued),
        Just(MedicineChange::Altered),
        Just(MedicineChange::Stopped),
    ]);
    let what = (some_coded(), change, words(), of(quantity()), optional_coded());
    let when = (of(number()), words(), any::<bool>(), of(number()), of(moment()), of(moment()));
    (what, when, words(), words(), of(quantity())).prop_map(
        |((coded, change, change_text, dose, route), when, instruction, reason, supplied)| {
            let (times_per_day, frequency, as_needed, days, start, end) = when;
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
        },
    )
}

fn measurement() -> impl Strategy<Value = Measurement> {
    (some_coded(), of(quantity()), words(), of(moment()), words(), words()).prop_map(
        |(coded, value, text, taken, interpretation, reference_range)| Measurement {
            coded,
            value,
            text,
            taken,
            interpretation,
            reference_range,
        },
    )
}

fn allergy() -> impl Strategy<Value = Allergy> {
    (some_coded(), words(), any::<bool>()).prop_map(|(coded, reaction, absent)| Allergy {
        coded,
        reaction,
        absent,
    })
}

fn imaging() -> impl Strategy<Value = ImagingReference> {
    let uid = prop_oneof!["1\\.2\\.840\\.[1-9][0-9]{0,5}", "[a-z]{0,4}"];
    (uid, words(), "(CT|MR)?", said(), of(moment()), words()).prop_map(
        |(study_uid, accession_number, modality, description, date, report)| ImagingReference {
            study_uid,
            accession_number,
            modality,
            description,
            date,
            report,
        },
    )
}

fn follow_up() -> impl Strategy<Value = FollowUp> {
    let target = (coded(), of(quantity()), of(quantity()), words())
        .prop_map(|(coded, low, high, text)| Target { coded, low, high, text });
    (some_coded(), of(moment()), of(moment()), words(), vec(target, 0..3), words()).prop_map(
        |(coded, from, due, by, targets, text)| FollowUp { coded, from, due, by, targets, text },
    )
}

fn signature() -> impl Strategy<Value = Signature> {
    let role = prop_oneof![
        Just(SignatureRole::Author),
        Just(SignatureRole::Resident),
        Just(SignatureRole::Senior)
    ];
    (role, name(), "[0-9]{0,5}", of(moment())).prop_map(|(role, name, number, signed)| Signature {
        role,
        name,
        number,
        signed,
    })
}

/// Any record.
pub(super) fn record() -> impl Strategy<Value = DischargeRecord> {
    let head = (document(), patient(), stay(), narrative(), vec(signature(), 0..4));
    let lists = (
        vec(diagnosis(), 1..5),
        vec(procedure(), 0..3),
        vec(section(), 0..3),
        vec(medicine(), 0..4),
        vec(measurement(), 0..4),
        vec(allergy(), 0..3),
        vec(imaging(), 0..3),
        vec(follow_up(), 0..3),
    );
    (head, lists).prop_map(|((document, patient, stay, narrative, mut signatures), lists)| {
        let (
            mut diagnoses,
            procedures,
            sections,
            medicines,
            measurements,
            allergies,
            imaging,
            rest,
        ) = lists;
        // As CDA has them: by role.
        diagnoses.sort_by_key(|diagnosis| match diagnosis.role {
            DiagnosisRole::Admission => 0,
            DiagnosisRole::DischargeMain | DiagnosisRole::Discharge => 1,
            DiagnosisRole::History => 2,
        });
        signatures.sort_by_key(|signature| match signature.role {
            SignatureRole::Author => 0,
            SignatureRole::Resident => 1,
            SignatureRole::Senior => 2,
        });
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
            follow_ups: rest,
            signatures,
        }
    })
}
