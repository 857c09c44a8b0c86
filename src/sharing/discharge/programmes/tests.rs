//! Programmes of records, by code and by name.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{Code, Quantity};

const OID: &str = "urn:oid:2.16.156.10011.2.3.3.11.5";

fn programmes() -> Programmes {
    Programmes::load(&crate::embedded::files()).unwrap()
}

fn coded(system: &str, code: &str, text: &str) -> Coded {
    let code = Code { system: system.into(), code: code.into(), display: String::new() };
    Coded { text: text.into(), codes: vec![code] }
}

fn record(diagnoses: Vec<Diagnosis>) -> DischargeRecord {
    DischargeRecord { diagnoses, ..DischargeRecord::default() }
}

fn one(coded: Coded) -> DischargeRecord {
    record(vec![Diagnosis { coded, ..Diagnosis::default() }])
}

fn of(coded: Coded) -> Vec<(Programme, Standing)> {
    programmes().of(&one(coded)).members.iter().map(|m| (m.programme, m.standing)).collect()
}

#[test]
fn a_code_counts_in_every_form_in_which_hospitals_write_it() {
    let current = vec![(Programme::Hypertension, Standing::Current)];
    for code in [
        "I10",
        "i10",
        "I10.x00",
        "I10.X00",
        "I10.x00x002",
        "I10X00X002",
        "Ｉ１０．ｘ００ｘ００２",
        " I10 ",
        "I10.-",
        "I10.x05",
        "I11.9",
        "I119",
        "i67.400x001",
        "I10+",
        "I１０。x00",
    ] {
        assert_eq!(of(coded(OID, code, "")), current, "{code}");
    }
    for system in [
        "http://hl7.org/fhir/sid/icd-10",
        "http://hl7.org/fhir/sid/icd-10-cn",
        "http://hl7.org/fhir/sid/icd-10-cm",
        "urn:oid:2.16.840.1.113883.6.90",
        "2.16.156.10011.2.3.3.11.5",
        "https://example.org/CodeSystem/ICD10-yb",
    ] {
        assert_eq!(of(coded(system, "I10.x00x002", "")), current, "{system}");
    }
    // Not a system of diagnoses, and no name either.
    assert_eq!(of(coded("http://hl7.org/fhir/sid/icd-10-pcs", "I10", "")), []);
    assert_eq!(of(coded("urn:oid:1.2.3", "I10", "")), []);
}

#[test]
fn the_longest_code_counts() {
    let standing = |code| of(coded(OID, code, "")).first().copied();
    for (code, expected) in [
        ("E11.900", Some((Programme::Type2Diabetes, Standing::Current))),
        ("E14.900", Some((Programme::Type2Diabetes, Standing::ToConfirm))),
        ("E10.900", None),
        ("I10.x01", None),
        ("I10.x00x016", None),
        ("J44.100", Some((Programme::Copd, Standing::Current))),
        ("J44.800x001", None),
        ("J43.904", Some((Programme::Copd, Standing::Current))),
        ("J43.900", Some((Programme::Copd, Standing::ToConfirm))),
        ("I63.900", Some((Programme::Stroke, Standing::Current))),
        ("I63.908", None),
        ("I69.300", Some((Programme::Stroke, Standing::History))),
        ("G45.900", None),
        ("I25.103", Some((Programme::CoronaryHeartDisease, Standing::Current))),
        ("I25.200x006", Some((Programme::CoronaryHeartDisease, Standing::History))),
        ("Z95.500", Some((Programme::CoronaryHeartDisease, Standing::History))),
        ("A00.000", None),
    ] {
        assert_eq!(standing(code), expected, "{code}");
    }
    let passed = programmes().of(&one(coded(OID, "I10.x00x016", ""))).passed_over;
    assert_eq!(passed[0].reason, NotCounted::Other);
    assert!(passed[0].note_zh.contains("白大衣"));
}

#[test]
fn two_codes_in_one_field_count_both() {
    assert_eq!(of(coded(OID, "I60.902+H45.0*", "")), [(Programme::Stroke, Standing::Current)]);
    assert_eq!(
        of(coded(OID, "E11.2+, I12.9*", "")),
        [
            (Programme::Hypertension, Standing::Current),
            (Programme::Type2Diabetes, Standing::Current)
        ]
    );
}

#[test]
fn names_count_only_where_no_code_can_be_read() {
    let text = |text: &str| of(Coded::text(text));
    let all = text("1.高血压病3级（极高危）；2.Ⅱ型糖尿病；3.COPD；4.脑梗死后遗症；5.冠心病");
    assert_eq!(
        all,
        [
            (Programme::Hypertension, Standing::Current),
            (Programme::Type2Diabetes, Standing::Current),
            (Programme::Copd, Standing::Current),
            (Programme::Stroke, Standing::History),
            (Programme::CoronaryHeartDisease, Standing::Current),
        ]
    );
    // The code says something else than the words: the code counts.
    assert_eq!(of(coded(OID, "J18.900", "高血压")), []);
    // No code at all stands in the field of the code.
    assert_eq!(of(coded(OID, "高血压", "高血压")), [(Programme::Hypertension, Standing::Current)]);
    for other in [
        "1型糖尿病",
        "妊娠期糖尿病",
        "糖尿病前期",
        "尿崩症",
        "肺动脉高血压",
        "门静脉高血压",
        "白大衣高血压",
        "肾性高血压",
        "短暂性脑缺血发作",
        "外伤性蛛网膜下腔出血",
        "慢性支气管炎",
        "皮下气肿",
        "高脂血症",
        "",
    ] {
        assert_eq!(text(other), [], "{other}");
    }
    assert_eq!(text("糖尿病"), [(Programme::Type2Diabetes, Standing::ToConfirm)]);
    assert_eq!(
        text("高血压性脑出血"),
        [(Programme::Hypertension, Standing::Current), (Programme::Stroke, Standing::Current)]
    );
}

#[test]
fn doubt_family_and_denial_take_a_diagnosis_out_and_that_is_said() {
    for (text, reason) in [
        ("疑似冠心病", NotCounted::Uncertain),
        ("冠心病待排", NotCounted::Uncertain),
        ("冠心病？", NotCounted::Uncertain),
        ("冠心病不除外", NotCounted::Uncertain),
        ("考虑冠心病", NotCounted::Uncertain),
        ("考虑为冠心病", NotCounted::Uncertain),
        ("冠心病家族史", NotCounted::Family),
        ("高血压、冠心病家族史", NotCounted::Family),
        ("父亲有冠心病", NotCounted::Family),
        ("否认冠心病", NotCounted::Denied),
        ("排除冠心病", NotCounted::Denied),
        ("不排除冠心病", NotCounted::Uncertain),
        ("无冠心病", NotCounted::Denied),
    ] {
        for diagnosis in [Coded::text(text), coded(OID, "I25.103", text)] {
            let found = programmes().of(&one(diagnosis));
            assert_eq!(found.members, [], "{text}");
            let about = |p: &&PassedOver| p.programme == Programme::CoronaryHeartDisease;
            let passed: Vec<_> = found.passed_over.iter().filter(about).collect();
            assert_eq!(passed.len(), 1, "{text}");
            assert_eq!(passed[0].reason, reason, "{text}");
            assert!(!passed[0].note_zh.is_empty() && passed[0].row.contains("cues.csv:"));
        }
    }
    // Doubt about one thing is no doubt about the other.
    assert_eq!(
        of(Coded::text("高血压病3级，冠心病待排")),
        [(Programme::Hypertension, Standing::Current)]
    );
    assert_eq!(
        of(coded(OID, "I10.x05", "高血压3级，胸痛待查")),
        [(Programme::Hypertension, Standing::Current)]
    );
}

#[test]
fn history_counts_and_is_marked() {
    let history = [(Programme::Hypertension, Standing::History)];
    assert_eq!(of(Coded::text("高血压病史10年")), history);
    let mut past = one(coded(OID, "I10", "高血压"));
    past.diagnoses[0].role = DiagnosisRole::History;
    let found = programmes().of(&past);
    assert_eq!(found.members[0].standing, Standing::History);
    assert!(found.members[0].evidence[0].note_zh.contains("既往史"));
    // A diagnosis of this stay beside it is surer.
    past.diagnoses.push(Diagnosis { coded: coded(OID, "I10", ""), ..Diagnosis::default() });
    let found = programmes().of(&past);
    assert_eq!(found.members[0].standing, Standing::Current);
    assert_eq!(found.members[0].evidence.len(), 2);
}

#[test]
fn what_is_only_suspected_is_to_be_confirmed() {
    let mut record = one(coded(OID, "I63.900", "脑梗死"));
    record.diagnoses[0].unconfirmed = true;
    let found = programmes().of(&record);
    assert_eq!(found.members[0].standing, Standing::ToConfirm);
    assert!(found.members[0].evidence[0].note_zh.contains("尚未确诊"));
    // Of the past it stays so, and a confirmed one beside it counts.
    record.diagnoses[0].role = DiagnosisRole::History;
    assert_eq!(programmes().of(&record).members[0].standing, Standing::History);
    let again = Diagnosis { coded: coded(OID, "I63.9", ""), ..Diagnosis::default() };
    record.diagnoses.push(again);
    assert_eq!(programmes().of(&record).members[0].standing, Standing::Current);
}

#[test]
fn what_only_the_admission_diagnoses_say_is_to_be_confirmed() {
    let mut record = one(coded(OID, "I63.900", "脑梗死"));
    record.diagnoses[0].role = DiagnosisRole::Admission;
    let found = programmes().of(&record);
    assert_eq!(found.members[0].standing, Standing::ToConfirm);
    let again = Diagnosis { coded: coded(OID, "I63.9", ""), ..Diagnosis::default() };
    record.diagnoses.push(again);
    assert_eq!(programmes().of(&record).members[0].standing, Standing::Current);
}

#[test]
fn traditional_diagnoses_do_not_count() {
    let mut record = one(Coded::text("中风病"));
    record.diagnoses[0].kind = DiagnosisKind::TcmDisease;
    assert_eq!(programmes().of(&record), Memberships::default());
}

#[test]
fn age_is_said_and_takes_nobody_out() {
    let mut record = one(coded(OID, "I10", ""));
    let age = |record: &DischargeRecord| programmes().of(record).members[0].age;
    assert_eq!(age(&record), AgeFit::Unknown);
    record.patient.age = Some(Quantity { value: 34.0, unit: "岁".into() });
    assert_eq!(age(&record), AgeFit::Below);
    record.patient.birth_date = Some(Moment::iso("1991-11-29").unwrap());
    record.stay.discharged = Some(Moment::iso("2026-11-28").unwrap());
    assert_eq!(age(&record), AgeFit::Below);
    record.stay.discharged = Some(Moment::iso("2026-11-29").unwrap());
    assert_eq!(age(&record), AgeFit::Fits);
    record.diagnoses[0].coded = coded(OID, "I63.9", "");
    record.patient = Patient::default();
    assert_eq!(age(&record), AgeFit::Fits);
}

#[test]
fn every_result_names_its_row_and_source() {
    let found = programmes().of(&one(coded(OID, "I10.x00x002", "高血压")));
    let evidence = &found.members[0].evidence[0];
    assert_eq!(evidence.diagnosis, 0);
    assert!(evidence.row.starts_with("records/programme_codes.csv:"));
    assert!(evidence.source.contains("OpenDRG") && evidence.source.ends_with("[I10]"));
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Memberships>(&json).unwrap(), found);
}

#[test]
fn the_codes_of_synthea_count() {
    let sct = "http://snomed.info/sct";
    for (code, expected) in [
        ("38341003", Some(Programme::Hypertension)),
        ("44054006", Some(Programme::Type2Diabetes)),
        ("53741008", Some(Programme::CoronaryHeartDisease)),
        ("230690007", Some(Programme::Stroke)),
        ("87433001", Some(Programme::Copd)),
        ("15777000", None),
        ("4440540060", None),
    ] {
        let found = of(coded(sct, code, "")).first().map(|(p, _)| *p);
        assert_eq!(found, expected, "{code}");
    }
}

/// The conditions of 22 synthetic inpatients as they were sent.
#[test]
fn the_synthetic_inpatients_belong_where_their_conditions_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/records/fhir-synthea");
    let mut members: BTreeMap<Programme, usize> = BTreeMap::new();
    let mut bundles = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let bundle: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        bundles += 1;
        let entries = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
        let conditions = entries.filter(|resource| resource["resourceType"] == "Condition");
        let diagnoses = conditions.map(|condition| {
            let coding = &condition["code"]["coding"][0];
            let text = |key: &str| coding[key].as_str().unwrap();
            let what = coded(text("system"), text("code"), text("display"));
            Diagnosis { coded: what, ..Diagnosis::default() }
        });
        for member in programmes_once().of(&record(diagnoses.collect())).members {
            *members.entry(member.programme).or_default() += 1;
        }
    }
    assert_eq!(bundles, 22);
    let expected = [
        (Programme::Hypertension, 18),
        (Programme::Type2Diabetes, 6),
        (Programme::Copd, 1),
        (Programme::Stroke, 1),
        (Programme::CoronaryHeartDisease, 4),
    ];
    assert_eq!(members, BTreeMap::from(expected));
}

fn icd_list() -> Vec<(String, String)> {
    let path = "../shared/data/diagnosis/icd10/opendrg_ZD_INFO.dat";
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(code, name)| (code.to_owned(), name.to_owned())).collect()
}

/// The names of the whole code list against its own codes. Both tables were written with the list
/// at hand, so this is no measure of other hospitals' wordings; it keeps them in step.
#[test]
fn names_and_codes_of_the_national_list_agree() {
    let programmes = programmes();
    let list = icd_list();
    assert!(list.len() > 33_000);
    let mut agreed = 0;
    let mut disagree: BTreeMap<String, (Vec<Programme>, Vec<Programme>)> = BTreeMap::new();
    for (code, name) in &list {
        let by = |coded: Coded| -> Vec<Programme> {
            programmes.of(&one(coded)).members.iter().map(|m| m.programme).collect()
        };
        let codes = by(coded(OID, code, ""));
        let names = by(Coded::text(name));
        if codes == names {
            agreed += usize::from(!codes.is_empty());
        } else {
            disagree.insert(format!("{code} {name}"), (codes, names));
        }
    }
    println!("{agreed} agree, {} do not", disagree.len());
    assert!(agreed >= 750 && disagree.len() <= 106, "{agreed}: {disagree:?}");
}

#[test]
fn every_code_that_cites_the_national_list_stands_in_it() {
    let list: Vec<String> = icd_list().iter().map(|(code, _)| code.replace('.', "")).collect();
    let files = crate::embedded::files();
    let mut cited = 0;
    for line in files.text("records/programme_codes.csv").unwrap().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        if let Some(code) = cells[cells.len() - 2].strip_prefix("opendrg#") {
            assert_eq!(code, cells[1]);
            let start = code.replace('.', "");
            assert!(list.iter().any(|other| other.starts_with(&start)), "{code}");
            cited += 1;
        }
    }
    assert!(cited > 80);
}

/// The names of diagnoses that the prescription check knows, with their codes: written by others
/// and before the table of names.
#[test]
fn names_of_the_prescription_tables_agree_with_their_codes() {
    let files = crate::embedded::files();
    let table = files.text("prescription/diagnosis_terms.csv").unwrap();
    let by = |what: Coded| -> Vec<Programme> {
        programmes_once().of(&one(what)).members.iter().map(|m| m.programme).collect()
    };
    let (mut agreed, mut missed, mut wrong) = (0, Vec::new(), Vec::new());
    for line in table.lines().skip(1) {
        let mut cells = line.split(',');
        let (term, icd) = (cells.next().unwrap(), cells.next().unwrap());
        let codes: Vec<Code> = icd
            .split('|')
            .map(|code| Code { system: OID.into(), code: code.into(), ..Code::default() })
            .collect();
        let codes = by(Coded { text: String::new(), codes });
        let names = by(Coded::text(term));
        agreed += usize::from(!codes.is_empty() && codes == names);
        if codes.iter().any(|programme| !names.contains(programme)) {
            missed.push(format!("{term} {icd} {codes:?} {names:?}"));
        }
        if names.iter().any(|programme| !codes.contains(programme)) {
            wrong.push(format!("{term} {icd} {codes:?} {names:?}"));
        }
    }
    println!("{agreed} agree, {} miss one, {} say one too many", missed.len(), wrong.len());
    assert!(agreed >= 815 && missed.len() <= 100 && wrong.len() <= 7, "{missed:#?} {wrong:#?}");
}

fn broken(path: &str, row: &str) -> String {
    let mut files = crate::embedded::files();
    let path = format!("records/{path}");
    let text = format!("{}{row}\n", files.text(&path).unwrap());
    files.insert(path, text.into_bytes());
    Programmes::load(&files).unwrap_err().to_string()
}

#[test]
fn rows_that_are_uncited_unknown_or_double_do_not_load() {
    for (path, row, message) in [
        ("programme_codes.csv", "icd10,I99,hypertension,member,,,draft", "row has no source"),
        ("programme_codes.csv", "icd10,I99,hypertension,member,,x,draft", "unknown source `x`"),
        ("programme_codes.csv", "icd10,I10,hypertension,member,,memory,draft", "stands twice"),
        ("programme_codes.csv", "icd10,99,hypertension,member,,memory,draft", "is no code"),
        ("programme_codes.csv", "icd10,I99,gout,member,,memory,draft", "unknown variant `gout`"),
        ("programme_codes.csv", "icd10,I99,hypertension,none,,memory,draft", "needs a note"),
        ("programme_names.csv", "高血压,hypertension,member,,memory,draft", "stands twice"),
        ("programme_names.csv", "ＣＯＰＤ病,copd,member,,memory,draft", "not folded"),
        (
            "diagnosis_cues.csv",
            "也许,near,uncertain,诊断未定,memory,draft",
            "unknown variant `near`",
        ),
        ("programmes.csv", "copd,慢阻肺,35,memory,draft", "stands twice"),
    ] {
        let said = broken(path, row);
        assert!(said.contains(message) && said.contains(path), "{said}");
    }
}

proptest! {
    #[test]
    fn any_code_and_text_is_read_without_harm(
        system in prop::sample::select(vec![OID, "http://snomed.info/sct", "x"]),
        code in "[A-Za-z0-9.+*x\u{ff21}-\u{ff3a} ]{0,20}|.{0,12}",
        text in "(高血压|2型糖尿病|待排|，|、|？|史|.){0,8}",
    ) {
        let found = programmes_once().of(&one(coded(system, &code, &text)));
        for member in &found.members {
            prop_assert!(!member.evidence.is_empty());
            prop_assert!(member.evidence.iter().all(|e| e.standing <= member.standing));
        }
    }

    /// More digits never take a code out of its category unless a row says so.
    #[test]
    fn an_extension_of_a_plain_category_stays_in_it(extension in "x[0-9]{2}x[0-9]{3}") {
        let code = format!("I63.3{extension}");
        prop_assert_eq!(
            programmes_once().of(&one(coded(OID, &code, ""))).members[0].programme,
            Programme::Stroke
        );
    }
}

fn programmes_once() -> &'static Programmes {
    static SHIPPED: std::sync::LazyLock<Programmes> = std::sync::LazyLock::new(programmes);
    &SHIPPED
}
