//! Chinese documents written for these tests (`tests/data/records`, valid against the schema): a
//! stroke with hypertension and diabetes, and COPD, both with TCM diagnoses.

use super::{fatal, fixture, leave, read};
use crate::sharing::discharge::cda::write;
use crate::sharing::discharge::model::{
    Diagnosis, DiagnosisKind, DiagnosisRole, DischargeRecord, IdentifierKind, Quantity,
    SignatureRole,
};
use crate::sharing::discharge::problems::{Format, Reading};

const STROKE: &str = "wst500-53-stroke.xml";

fn reading(name: &str) -> Reading {
    read(&fixture(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(fixture(name)).unwrap()
}

/// Role, kind, words and code of each diagnosis.
fn diagnoses(record: &DischargeRecord) -> Vec<(DiagnosisRole, DiagnosisKind, &str, &str)> {
    let show = |of: &'_ Diagnosis| (of.role, of.kind);
    record
        .diagnoses
        .iter()
        .map(|of| (show(of).0, show(of).1, of.coded.text.as_str(), of.coded.codes[0].code.as_str()))
        .collect()
}

/// Code and path of each problem.
fn problems(text: &str) -> Vec<(String, String)> {
    let reading = read(text.as_bytes()).unwrap();
    reading.problems.into_iter().map(|problem| (problem.code, problem.path)).collect()
}

#[test]
fn a_discharge_summary_is_read_whole() {
    let reading = reading(STROKE);
    assert_eq!(reading.format, Format::CdaDischargeSummary);
    assert_eq!(reading.problems, []);
    let unplaced: Vec<_> = reading.unplaced.iter().map(|of| of.what.as_str()).collect();
    assert_eq!(unplaced, ["postalCode"]);
    let record = &reading.record;
    assert_eq!(record.document.name, "2.16.156.10011.1.1^CYXJ20261118-0437");
    let patient = &record.patient;
    assert_eq!(patient.name, "饶建国");
    assert_eq!(patient.identifier(IdentifierKind::ResidentId), Some("36112119570317051X"));
    assert_eq!(patient.identifier(IdentifierKind::InpatientNumber), Some("2026110437"));
    assert_eq!(patient.birth_date.as_ref().unwrap().as_str(), "1957-03-17");
    assert_eq!(patient.age, Some(Quantity { value: 69.0, unit: "岁".to_owned() }));
    assert_eq!(patient.occupation.as_ref().unwrap().text, "农民");
    assert_eq!(
        (patient.address.county.as_str(), patient.address.village.as_str()),
        ("广信区", "石峡村")
    );
    assert_eq!(patient.contacts[0].phone, "13900000002");
    let stay = &record.stay;
    assert_eq!(
        [&stay.institution, &stay.department, &stay.ward, &stay.room, &stay.bed],
        ["上饶市广信区人民医院", "神经内科", "神经内科二病区", "0803", "17"]
    );
    assert_eq!(stay.admitted.as_ref().unwrap().as_str(), "2026-11-06T10:30:00");
    assert_eq!(stay.days, Some(12.0));
    assert_eq!(stay.outcome.as_ref().unwrap().text, "好转");
    let (admission, main, discharge) =
        (DiagnosisRole::Admission, DiagnosisRole::DischargeMain, DiagnosisRole::Discharge);
    let (western, disease, syndrome) =
        (DiagnosisKind::Western, DiagnosisKind::TcmDisease, DiagnosisKind::TcmSyndrome);
    assert_eq!(
        diagnoses(record),
        [
            (admission, western, "脑梗死", "I63.900"),
            (admission, disease, "中风病", "BNG080"),
            (admission, syndrome, "风痰阻络证", "BZG010"),
            (main, western, "脑动脉血栓形成引起的脑梗死", "I63.300"),
            (discharge, western, "高血压病3级（极高危）", "I10.x05"),
            (discharge, western, "2型糖尿病", "E11.900"),
            (discharge, disease, "中风病", "BNG080"),
            (discharge, syndrome, "痰瘀阻络证", "BZG010"),
        ]
    );
    let procedure = &record.procedures[0];
    assert_eq!(procedure.coded.text, "脑血管造影");
    assert_eq!(procedure.anaesthesia.as_ref().unwrap().text, "局部麻醉");
    assert!(procedure.course.starts_with("右股动脉"));
    let narrative = &record.narrative;
    for (words, beginning) in [
        (&narrative.admission, "因“右侧肢体"),
        (&narrative.course, "入院后予"),
        (&narrative.positive_results, "头颅MRI"),
        (&narrative.discharge, "病情平稳"),
        (&narrative.symptoms_and_signs, "言语较前"),
        (&narrative.tcm_observation, "舌暗红"),
        (&narrative.tcm_principle, "化痰通络"),
        (&narrative.tcm_decoction, "水煎"),
        (&narrative.tcm_usage, "分早晚"),
        (&narrative.orders, "1. 阿司匹林"),
    ] {
        assert!(words.starts_with(beginning), "{words}");
    }
    let signed: Vec<_> = record
        .signatures
        .iter()
        .map(|of| (of.role, of.name.as_str(), of.number.as_str()))
        .collect();
    assert_eq!(
        signed,
        [
            (SignatureRole::Author, "郑晓燕", "1107"),
            (SignatureRole::Resident, "郑晓燕", "2031"),
            (SignatureRole::Senior, "周维平", "2002"),
        ]
    );
}

#[test]
fn a_discharge_record_in_gb18030_with_names_around_its_codes_is_read() {
    let reading = reading("wst500-49-copd.xml");
    assert_eq!(reading.format, Format::CdaWst500_49);
    let record = &reading.record;
    assert_eq!(record.patient.name, "徐桂𪟝");
    let (admission, discharge) = (DiagnosisRole::Admission, DiagnosisRole::Discharge);
    let (western, disease, syndrome) =
        (DiagnosisKind::Western, DiagnosisKind::TcmDisease, DiagnosisKind::TcmSyndrome);
    assert_eq!(
        diagnoses(record),
        [
            (admission, western, "慢性阻塞性肺疾病急性加重", "J44.100"),
            (discharge, western, "慢性阻塞性肺疾病急性加重", "J44.100"),
            (discharge, western, "Ⅱ型呼吸衰竭", "J96.101"),
            (discharge, disease, "喘病", "BNF030"),
            (discharge, syndrome, "肺肾气虚证", "BZF060"),
        ]
    );
    // A stroke stands for nothing.
    assert_eq!(record.narrative.tcm_decoction, "");
    assert!(record.narrative.orders.contains("家庭氧疗"));
    assert_eq!(record.stay.discharged.as_ref().unwrap().as_str(), "2026-10-15T10:00:00");
}

#[test]
fn guidance_at_discharge_becomes_a_follow_up_and_titled_sections() {
    let reading = reading("wst500-25-copd.xml");
    assert_eq!(reading.format, Format::CdaWst500_25);
    let record = &reading.record;
    assert!(record.follow_ups[0].text.starts_with("一月后到呼吸科门诊"));
    assert_eq!(record.narrative.orders, "吸入激素后漱口。");
    let sections: Vec<_> =
        record.sections.iter().map(|of| (of.coded.text.as_str(), of.text.as_str())).collect();
    assert_eq!(
        sections,
        [
            ("离院方式代码", "医嘱离院（1）"),
            ("饮食指导代码", "低盐饮食（02）"),
            ("生活方式指导", "戒烟，避免受凉和油烟。"),
            ("宣教内容", "吸入装置使用方法已示范，患者能复述。"),
            ("自理能力代码", "完全自理（1）"),
            ("饮食情况代码", "良好（1）"),
        ]
    );
    // The nurse who signed is no physician.
    assert_eq!(record.signatures[1].role, SignatureRole::Author);
}

#[test]
fn a_front_sheet_has_names_and_codes_in_entries_of_their_own() {
    let reading = reading("wst500-32-stroke.xml");
    assert_eq!(reading.format, Format::CdaWst500_32);
    let record = &reading.record;
    let western = DiagnosisKind::Western;
    assert_eq!(
        diagnoses(record),
        [
            (DiagnosisRole::DischargeMain, western, "脑动脉血栓形成引起的脑梗死", "I63.300"),
            (DiagnosisRole::Discharge, western, "高血压病3级（极高危）", "I10.x05"),
            (DiagnosisRole::Discharge, western, "2型糖尿病", "E11.900"),
        ]
    );
    assert_eq!(record.allergies[0].coded.text, "青霉素");
    assert_eq!(record.procedures[0].coded.text, "脑血管造影");
    assert_eq!(record.stay.days, Some(12.0));
    let weight = &record.measurements[0];
    assert_eq!(weight.coded.text, "体重");
    assert_eq!(weight.value, Some(Quantity { value: 71.5, unit: "kg".to_owned() }));
    // What it cost has no place, and is listed with its path alone.
    let last = reading.unplaced.last().unwrap();
    assert_eq!(
        last.path,
        "/ClinicalDocument/component/structuredBody/component[8]/section/entry[2]"
    );
    assert_eq!(last.what, "entry");
}

#[test]
fn every_chinese_document_survives_being_written_again() {
    for name in [STROKE, "wst500-49-copd.xml", "wst500-25-copd.xml", "wst500-32-stroke.xml"] {
        let first = reading(name).record;
        let written = write(&first);
        leave(&format!("again-{name}"), &written);
        let again = read(written.as_bytes()).unwrap();
        assert_eq!(again.record, first, "{name}");
        assert_eq!(again.unplaced, [], "{name}");
        assert_eq!(again.problems, [], "{name}");
    }
}

#[test]
fn what_is_not_as_the_standard_wants_it_is_told_with_its_path() {
    let sound = text(STROKE);
    let body = "/ClinicalDocument/component/structuredBody";
    let discharge = format!("{body}/component[3]/section/entry[2]/observation/value");
    let i10 = "code=\"I10.x05\" codeSystem=\"2.16.156.10011.2.3.3.11.5\"";
    assert!(sound.contains(i10));
    let wrong_system = i10.replace(".11.5", ".12");
    assert_eq!(
        problems(&sound.replace(i10, &wrong_system)),
        [("code_system_wrong".to_owned(), discharge.clone())]
    );
    let wrong_form = i10.replace("I10.x05", "高血压");
    assert_eq!(
        problems(&sound.replace(i10, &wrong_form)),
        [("icd10_malformed".to_owned(), discharge)]
    );
    let days = "<value xsi:type=\"PQ\" value=\"12\" unit=\"天\"/>";
    let as_text = "<value xsi:type=\"ST\" value=\"12\"/>";
    let course = format!("{body}/component[6]/section/entry[3]/observation/value");
    assert_eq!(
        problems(&sound.replace(days, as_text)),
        [("value_type_wrong".to_owned(), course.clone())]
    );
    let twelve = "<value xsi:type=\"PQ\" value=\"十二\" unit=\"天\"/>";
    assert_eq!(problems(&sound.replace(days, twelve)), [("number_malformed".to_owned(), course)]);
    let no_orders = sound.replace("46209-3", "46209-9");
    assert_eq!(problems(&no_orders)[0].0, "section_missing");
    assert_eq!(problems(&no_orders)[0].1, body);
    let no_language = sound.replace("<languageCode code=\"zh-CN\"/>", "");
    assert_eq!(
        problems(&no_language),
        [("header_missing".to_owned(), "/ClinicalDocument".to_owned())]
    );
    let patient = "/ClinicalDocument/recordTarget/patientRole/patient";
    let married = sound.replace("2.16.156.10011.2.3.3.5\"", "2.16.156.10011.2.3.3.6\"");
    assert_eq!(
        problems(&married),
        [("code_system_wrong".to_owned(), format!("{patient}/maritalStatusCode"))]
    );
    let operated = sound.replace("2.16.156.10011.2.3.3.12\"", "2.16.840.1.113883.6.104\"");
    let procedure = format!("{body}/component[4]/section/entry/procedure");
    assert_eq!(
        problems(&operated),
        [("code_system_wrong".to_owned(), format!("{procedure}/code"))]
    );
    let numbed = sound.replace("2.16.156.10011.2.3.1.159\"", "2.16.156.10011.2.3.1.15\"");
    let anaesthesia = format!("{procedure}/entryRelationship[3]/observation/value");
    assert_eq!(problems(&numbed), [("code_system_wrong".to_owned(), anaesthesia)]);
    let sex =
        sound.replace("administrativeGenderCode code=\"1\"", "administrativeGenderCode code=\"7\"");
    assert_eq!(
        problems(&sex),
        [("code_unknown".to_owned(), format!("{patient}/administrativeGenderCode"))]
    );
    let born = sound.replace("19570317\"/>", "19570318\"/>");
    assert_eq!(
        problems(&born),
        [("birth_date_disagrees".to_owned(), format!("{patient}/birthTime"))]
    );
    let id = sound.replace("36112119570317051X", "36112119570317");
    assert_eq!(problems(&id), [("identifier_malformed".to_owned(), format!("{patient}/id"))]);
}

#[test]
fn every_problem_is_told_at_once_and_says_which_is_fatal() {
    let broken = text(STROKE)
        .replace("饶建国", "")
        .replace("20261118150000", "20261131150000")
        .replace("20261109093000", "20261109253000")
        .replace("I10.x05", "10");
    let all: Vec<_> = read(broken.as_bytes()).unwrap_err();
    let mut codes: Vec<_> = all.iter().map(|problem| problem.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "date_impossible",
            "date_impossible",
            "discharge_date_missing",
            "icd10_malformed",
            "patient_name_missing",
        ]
    );
    assert_eq!(
        fatal(broken.as_bytes()).into_iter().map(|(_, path)| path).collect::<Vec<_>>(),
        [
            "/ClinicalDocument/componentOf/encompassingEncounter/effectiveTime/high",
            "/ClinicalDocument/component/structuredBody/component[4]/section/entry/procedure/effectiveTime",
            "/ClinicalDocument/recordTarget/patientRole/patient",
        ]
    );
    // No message repeats what the document says.
    for problem in all {
        for said in ["饶", "20261131", "361121", "脑梗死", "高血压病"] {
            assert!(!problem.message.contains(said), "{}", problem.message);
        }
    }
}

#[test]
fn null_flavours_say_that_nothing_is_known() {
    let unknown = text(STROKE)
        .replace("<birthTime value=\"19570317\"/>", "<birthTime nullFlavor=\"UNK\"/>")
        .replace(
            "<administrativeGenderCode code=\"1\"",
            "<administrativeGenderCode nullFlavor=\"UNK\"",
        )
        .replace(
            "<id root=\"2.16.156.10011.1.19\" extension=\"36110000000571\"/>",
            "<id root=\"2.16.156.10011.1.19\" nullFlavor=\"NA\"/>",
        );
    let record = read(unknown.as_bytes()).unwrap().record;
    assert_eq!(record.patient.birth_date, None);
    assert_eq!(record.patient.identifier(IdentifierKind::HealthCard), None);
}

#[test]
fn a_section_that_has_only_text_is_told_where_the_model_has_a_place() {
    let text = text(STROKE);
    let start = text.find("<code code=\"8648-8\"").unwrap();
    let end = start + text[start..].find("</section>").unwrap();
    let only =
        "<code code=\"8648-8\"/><text><list><item>降压</item><item>抗血小板</item></list></text>";
    let changed = format!("{}{only}{}", &text[..start], &text[end..]);
    let record = read(changed.as_bytes()).unwrap().record;
    assert_eq!(record.narrative.course, "降压\n抗血小板");
}

#[test]
fn a_name_in_parts_is_written_without_a_space_between_them() {
    let parts = "<name><family>饶</family> <given>建国</given></name>";
    let changed = text(STROKE).replace("<name>饶建国</name>", parts);
    assert_eq!(read(changed.as_bytes()).unwrap().record.patient.name, "饶建国");
    let latin = "<name><given>Adam</given><given>F.</given><family>Everyman</family></name>";
    let changed = text(STROKE).replace("<name>饶建国</name>", latin);
    assert_eq!(read(changed.as_bytes()).unwrap().record.patient.name, "Adam F. Everyman");
}

#[test]
fn bed_and_department_are_found_below_the_provider_as_well() {
    let sound = text("wst500-25-copd.xml");
    let chain = "<name>横峰县人民医院</name>\n      </providerOrganization>";
    assert!(sound.contains(chain));
    let bed = "<asOrganizationPartOf classCode=\"PART\"><wholeOrganization classCode=\"ORG\">\
               <id root=\"2.16.156.10011.1.22\"/><name>6</name>\
               <asOrganizationPartOf><wholeOrganization><id root=\"2.16.156.10011.1.26\" \
               extension=\"呼吸科\"/></wholeOrganization></asOrganizationPartOf>\
               </wholeOrganization></asOrganizationPartOf></providerOrganization>";
    let stay = read(sound.replace(chain, bed).as_bytes()).unwrap().record.stay;
    assert_eq!((stay.bed.as_str(), stay.department.as_str()), ("6", "呼吸科"));
    // The custodian is the institution.
    assert_eq!(stay.institution, "横峰县人民医院");
}

#[test]
fn a_body_that_is_a_file_says_nothing_that_can_be_read() {
    let sound = text(STROKE);
    let start = sound.find("<structuredBody>").unwrap();
    let end = sound.find("</structuredBody>").unwrap() + "</structuredBody>".len();
    let file = "<nonXMLBody><text mediaType=\"application/pdf\" representation=\"B64\">JVBE</text></nonXMLBody>";
    let changed = format!("{}{file}{}", &sound[..start], &sound[end..]);
    assert_eq!(
        fatal(changed.as_bytes()),
        [("nothing_said".to_owned(), "/ClinicalDocument".to_owned())]
    );
}

#[test]
fn days_in_the_body_that_are_not_those_of_the_header_are_told() {
    let gb = fixture("wst500-49-copd.xml");
    let sound = encoding_rs::GB18030.decode(&gb).0.replace("GB18030", "UTF-8");
    let changed =
        sound.replace("\"TS\" value=\"20261015100000\"", "\"TS\" value=\"20261016100000\"");
    let path = "/ClinicalDocument/component/structuredBody/component[5]/section/entry[2]/observation/value";
    assert_eq!(problems(&changed), [("dates_disagree".to_owned(), path.to_owned())]);
}
