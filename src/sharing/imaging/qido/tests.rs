//! Parameters of searches and their answers.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use proptest::prelude::*;
use serde_json::json;

use super::{Include, QIDO_ANSWERS_DEFAULT, QIDO_ANSWERS_MAX, Search, SearchProblem};
use super::{attributes_json, parse_qido};
use crate::sharing::imaging::attribute::About;
use crate::sharing::imaging::query::{Condition, Level, Match, Matching};

fn parse(text: &str) -> Result<Search, SearchProblem> {
    let parameters: Vec<(String, String)> = text
        .split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        })
        .collect();
    parse_qido(Level::Study, &parameters)
}

fn about(level: Level) -> About<'static> {
    About { level, retrieve_ae: "" }
}

#[test]
fn keys_are_keywords_or_tags() {
    for text in ["PatientName=王*", "00100010=王*"] {
        let search = parse(text).unwrap();
        assert_eq!(
            search.query.conditions,
            [Condition {
                tag: tags::PATIENT_NAME, matching: Matching::Wildcard("王*".to_owned())
            }]
        );
        assert_eq!(search.include, Include::Fields(vec![tags::PATIENT_NAME]));
        assert_eq!((search.query.offset, search.query.limit), (0, QIDO_ANSWERS_DEFAULT));
    }
    let search = parse("StudyDate=20230101-&PatientID=&Modality=CT").unwrap();
    assert_eq!(search.query.conditions.len(), 2);
    assert_eq!(search.ignored, []);
}

#[test]
fn lists_are_repeated_or_have_commas() {
    for text in [
        "StudyInstanceUID=1.2,1.3",
        "StudyInstanceUID=1.2&0020000D=1.3",
        "StudyInstanceUID=1.2\\1.3",
    ] {
        assert_eq!(
            parse(text).unwrap().query.conditions[0].matching,
            Matching::AnyOf(vec!["1.2".to_owned(), "1.3".to_owned()]),
            "{text}"
        );
    }
    assert_eq!(
        parse("ModalitiesInStudy=CT,MR").unwrap().query.conditions[0].matching,
        Matching::AnyOf(vec!["CT".to_owned(), "MR".to_owned()])
    );
    assert_eq!(
        parse("PatientID=a,b").unwrap().query.conditions[0].matching,
        Matching::Single("a,b".to_owned())
    );
    assert_eq!(
        parse("PatientID=a&PatientID=b"),
        Err(SearchProblem::Repeated { tag: tags::PATIENT_ID })
    );
}

#[test]
fn control_parameters_page_and_widen() {
    let search = parse("limit=20&offset=40&fuzzymatching=true&PatientName=wang&accept=x").unwrap();
    assert_eq!((search.query.offset, search.query.limit), (40, 20));
    assert_eq!(search.query.conditions[0].matching, Matching::Fuzzy("wang".to_owned()));
    assert_eq!(parse("limit=99999999").unwrap().query.limit, QIDO_ANSWERS_MAX);
    for (text, name) in
        [("limit=-1", "limit"), ("offset=x", "offset"), ("fuzzymatching=maybe", "fuzzymatching")]
    {
        let problem = parse(text).unwrap_err();
        assert!(matches!(problem, SearchProblem::Control { name: n, .. } if n == name), "{text}");
    }
    assert_eq!(parse("includefield=all").unwrap().include, Include::All);
    let search = parse("includefield=00081030,SeriesDescription&includefield=00091001").unwrap();
    assert_eq!(
        search.include,
        Include::Fields(vec![tags::STUDY_DESCRIPTION, tags::SERIES_DESCRIPTION])
    );
    assert_eq!(search.ignored, [Tag(0x0009, 0x1001)]);
}

#[test]
fn what_is_not_understood_is_named_without_its_value() {
    let unknown = |name: &str| Err(SearchProblem::Unknown { name: name.to_owned() });
    assert_eq!(parse("PatientNam=secret"), unknown("PatientNam"));
    assert_eq!(parse("includefield=Nonsense"), unknown("Nonsense"));
    for path in
        ["RequestAttributesSequence.RequestedProcedureID=secret", "00400275.00401001=secret"]
    {
        let problem = parse(path).unwrap_err();
        assert!(matches!(problem, SearchProblem::SequencePath { .. }));
        assert!(!problem.to_string().contains("secret"));
    }
    let problem = parse("StudyDate=secret").unwrap_err();
    assert!(matches!(problem, SearchProblem::Key(_)) && !problem.to_string().contains("secret"));
    // Known to the standard, not to the index.
    assert_eq!(parse("OtherPatientNames=x").unwrap().ignored, [tags::OTHER_PATIENT_NAMES]);
    assert_eq!(parse("PatientAge=045Y").unwrap().ignored, [tags::PATIENT_AGE]);
    let many = vec!["limit=1"; 300].join("&");
    assert_eq!(parse(&many), Err(SearchProblem::TooMany));
}

#[test]
fn answers_are_in_the_json_model() {
    let mut found = Match { series: 2, instances: 9, ..Match::default() };
    found.modalities = vec!["CT".to_owned(), "SR".to_owned()];
    found.header.patient.name = "Wang^Wei=王^伟".to_owned();
    found.header.study.uid = "1.2.3".to_owned();
    found.header.study.date = "20230131".to_owned();
    found.header.study.procedure = "头颅平扫".to_owned();
    let include = Include::Fields(vec![
        tags::ACCESSION_NUMBER,
        tags::PROCEDURE_CODE_SEQUENCE,
        tags::MODALITY,
    ]);
    let mut include_sorted = include;
    if let Include::Fields(fields) = &mut include_sorted {
        fields.sort_unstable();
    }
    let json = attributes_json(&found, Level::Study, &include_sorted, &about(Level::Study));
    assert_eq!(
        json,
        json!({
            "00080005": { "vr": "CS", "Value": ["ISO_IR 192"] },
            "00080020": { "vr": "DA", "Value": ["20230131"] },
            "00080050": { "vr": "SH" },
            "00080056": { "vr": "CS", "Value": ["ONLINE"] },
            "00080061": { "vr": "CS", "Value": ["CT", "SR"] },
            "00081032": { "vr": "SQ", "Value": [
                { "00080104": { "vr": "LO", "Value": ["头颅平扫"] } }
            ] },
            "00100010": { "vr": "PN", "Value": [
                { "Alphabetic": "Wang^Wei", "Ideographic": "王^伟" }
            ] },
            "0020000D": { "vr": "UI", "Value": ["1.2.3"] },
            "00201206": { "vr": "IS", "Value": [2] },
            "00201208": { "vr": "IS", "Value": [9] }
        })
    );
}

#[test]
fn numbers_are_numbers_and_levels_that_the_path_names_are_left_out() {
    let mut found = Match::default();
    found.header.study.uid = "1.2".to_owned();
    found.header.study.date = "20230131".to_owned();
    found.header.series.uid = "1.2.3".to_owned();
    found.header.series.number = "4".to_owned();
    found.header.instance.uid = "1.2.3.4".to_owned();
    found.header.instance.rows = 512;
    found.header.instance.image_position = "-1.5\\x\\".to_owned();
    found.header.instance.slice_thickness = "1.25".to_owned();
    let fields = Include::Fields(vec![]);
    let json = attributes_json(&found, Level::Image, &fields, &about(Level::Image));
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["00080005", "00080018", "00080056", "0020000D", "0020000E", "00280010"]);
    assert_eq!(json["00280010"]["Value"], json!([512]));
    let whole = attributes_json(&found, Level::Study, &fields, &about(Level::Image));
    assert_eq!(whole["00080020"]["Value"], json!(["20230131"]));
    assert_eq!(whole["00200011"]["Value"], json!([4]));
    let all = attributes_json(&found, Level::Image, &Include::All, &about(Level::Image));
    assert_eq!(all["00200032"]["Value"], json!([-1.5, "x", null]));
    assert_eq!(all["00180050"]["Value"], json!([1.25]));
    let study = attributes_json(&found, Level::Study, &Include::All, &about(Level::Study));
    assert!(study.get("00280010").is_none() && study.get("0020000E").is_none());
}

proptest! {
    #[test]
    fn any_parameters_are_read_or_refused(
        pairs in prop::collection::vec(("[A-Za-z0-9.]{0,20}|PatientName|StudyDate|limit|includefield", "\\PC{0,30}"), 0..8),
    ) {
        if let Ok(search) = parse_qido(Level::Series, &pairs) {
            prop_assert!(search.query.limit <= QIDO_ANSWERS_MAX);
            prop_assert!(search.query.conditions.len() <= pairs.len());
        }
    }

    #[test]
    fn any_name_becomes_json(name in "\\PC{0,40}") {
        let mut found = Match::default();
        found.header.patient.name = name;
        let json = attributes_json(&found, Level::Study, &Include::All, &about(Level::Study));
        prop_assert!(json.is_object());
    }
}
