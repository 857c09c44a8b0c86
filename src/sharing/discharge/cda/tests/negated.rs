//! What a sender says is not so, was broken off or is over, and every unit of time.

use super::{fixture, read, shared};
use crate::sharing::discharge::model::MedicineChange;
use crate::sharing::discharge::problems::Reading;
use crate::sharing::discharge::{FollowUpTables, Programmes, TaskKind, tasks};

fn stroke() -> String {
    String::from_utf8(fixture("wst500-53-stroke.xml")).unwrap()
}

fn vendor() -> String {
    std::fs::read_to_string(shared("ccda").join("DS.sample.xml")).unwrap()
}

/// With the first `old` behind `from` replaced.
fn with(text: &str, from: &str, old: &str, new: &str) -> Reading {
    let at = text.find(from).unwrap();
    let (head, tail) = text.split_at(at);
    assert!(tail.contains(old), "{old}");
    read(format!("{head}{}", tail.replacen(old, new, 1)).as_bytes()).unwrap()
}

const MEDICINE: &str = "<substanceAdministration classCode=\"SBADM\"";
const DONE: &str = "<statusCode code=\"completed\"/>";

#[test]
fn a_medicine_that_was_broken_off_or_put_on_hold_is_stopped_in_the_senders_word() {
    for (status, word) in [("aborted", "aborted"), ("suspended", "suspended"), ("held", "held")] {
        let reading = with(&vendor(), MEDICINE, DONE, &format!("<statusCode code=\"{status}\"/>"));
        let medicine = &reading.record.medicines[0];
        assert_eq!(medicine.change, Some(MedicineChange::Stopped), "{status}");
        assert!(medicine.change_text.contains(word), "{}", medicine.change_text);
    }
    // Done or going on, and what never was.
    let whole = read(vendor().as_bytes()).unwrap();
    assert_eq!(whole.record.medicines[0].change, None);
    for status in ["cancelled", "nullified", "obsolete"] {
        let reading = with(&vendor(), MEDICINE, DONE, &format!("<statusCode code=\"{status}\"/>"));
        assert_eq!(reading.record.medicines.len() + 1, whole.record.medicines.len());
        assert!(
            reading
                .unplaced
                .iter()
                .any(|of| of.path.contains("substanceAdministration") || of.what == "entry"),
            "{:?}",
            reading.unplaced
        );
        assert!(reading.problems.iter().any(|problem| problem.code == "negated"));
    }
    // A status that nothing is known of is listed.
    let odd = with(&vendor(), MEDICINE, DONE, "<statusCode code=\"new\"/>");
    assert!(odd.unplaced.iter().any(|of| of.what == "statusCode"));
    assert!(
        !whole
            .unplaced
            .iter()
            .any(|of| of.path.contains("substanceAdministration") && of.what == "statusCode")
    );
}

#[test]
fn every_unit_of_time_is_read_or_listed() {
    let period = "<period value=\"6\" unit=\"h\"/>";
    let whole = read(vendor().as_bytes()).unwrap();
    let unplaced = |reading: &Reading| {
        let times = ["period", "effectiveTime"];
        reading.unplaced.iter().filter(|of| times.contains(&of.what.as_str())).count()
    };
    for (unit, per_day) in [
        ("s", Some(86_400.0)),
        ("min", Some(1440.0)),
        ("h", Some(24.0)),
        ("d", Some(1.0)),
        ("wk", Some(1.0 / 7.0)),
        ("mo", Some(1.0 / 30.0)),
        ("a", Some(1.0 / 365.0)),
        ("fortnight", None),
        ("mg", None),
    ] {
        let reading =
            with(&vendor(), MEDICINE, period, &format!("<period value=\"1\" unit=\"{unit}\"/>"));
        let medicine = &reading.record.medicines[0];
        let near = |found: f64| per_day.is_some_and(|wanted| (found - wanted).abs() < 1e-9);
        assert_eq!(medicine.times_per_day.is_some(), per_day.is_some(), "{unit}");
        assert!(medicine.times_per_day.is_none_or(near), "{unit} {:?}", medicine.times_per_day);
        let listed = unplaced(&reading) > unplaced(&whole);
        assert_eq!(listed, per_day.is_none(), "{unit}");
        let low = "<low value=\"20110301\"/>";
        let width = format!("{low}<width value=\"3\" unit=\"{unit}\"/>");
        let reading = with(&vendor(), MEDICINE, low, &width);
        let days = reading.record.medicines[0].days;
        assert_eq!(
            days.map(|days| (days * 1e6).round()),
            per_day.map(|n| (3e6 / n).round()),
            "{unit}"
        );
        let listed = reading.unplaced.iter().any(|of| of.path.ends_with("/width"));
        assert_eq!(listed, per_day.is_none(), "{unit}");
    }
}

#[test]
fn what_is_negated_is_not_there_and_is_listed() {
    let whole = read(stroke().as_bytes()).unwrap();
    // The main diagnosis, in the dialect of the standard.
    let observation = "<observation classCode=\"OBS\" moodCode=\"EVN\">";
    let code = "displayName=\"出院诊断-西医诊断编码\"";
    for (denied, is_taken) in [
        ("negationInd=\"true\"", false),
        ("negationInd=\"1\"", false),
        ("negationInd=\"false\"", true),
    ] {
        let text = stroke();
        let at = text.find(code).unwrap();
        let from = text[..at].rfind(observation).unwrap();
        let text = format!(
            "{}{}{}",
            &text[..from],
            observation.replace('>', &format!(" {denied}>")),
            &text[from + observation.len()..]
        );
        let reading = read(text.as_bytes()).unwrap();
        let lost = usize::from(!is_taken);
        assert_eq!(reading.record.diagnoses.len() + lost, whole.record.diagnoses.len(), "{denied}");
        let told = reading.problems.iter().any(|problem| problem.code == "negated");
        assert_eq!(told, !is_taken);
        assert_eq!(reading.unplaced.len() > whole.unplaced.len(), !is_taken, "{denied}");
    }
    // Everything of the body at once: nothing of it is there, and all of it is listed.
    for (text, acts) in [(stroke(), false), (vendor(), false), (vendor(), true)] {
        let at = text.find("<structuredBody").unwrap();
        let (head, body) = text.split_at(at);
        let mut body =
            body.replace(" negationInd=\"false\"", "").replace(" negationInd=\"true\"", "");
        for name in ["observation", "substanceAdministration", "procedure", "encounter", "supply"] {
            body = body.replace(&format!("<{name} "), &format!("<{name} negationInd=\"true\" "));
        }
        if acts {
            // What wraps them, and procedures that are written as acts.
            body = body.replace("<act ", "<act negationInd=\"true\" ");
        }
        let reading = match read(format!("{head}{body}").as_bytes()) {
            Ok(reading) => reading,
            // A document in which nothing is left says nothing.
            Err(problems) => {
                assert!(problems.iter().any(|problem| problem.code == "nothing_said"));
                continue;
            }
        };
        let record = &reading.record;
        assert_eq!((record.diagnoses.len(), record.medicines.len()), (0, 0));
        assert_eq!(record.measurements.len(), 0);
        assert!(record.procedures.is_empty() || !acts, "{:?}", record.procedures);
        assert!(record.allergies.iter().all(|allergy| allergy.absent));
        assert!(reading.problems.iter().any(|problem| problem.code == "negated"));
    }
}

#[test]
fn a_differential_diagnosis_of_the_chinese_dialect_is_no_diagnosis() {
    let text = stroke().replacen("出院诊断-西医诊断编码", "鉴别诊断-西医诊断编码", 1);
    let (whole, reading) = (read(stroke().as_bytes()).unwrap(), read(text.as_bytes()).unwrap());
    assert_eq!(reading.record.diagnoses.len() + 1, whole.record.diagnoses.len());
    let sections = &reading.record.sections;
    assert!(sections.iter().any(|section| section.coded.text.contains("鉴别诊断")));
}

#[test]
fn an_allergen_is_what_the_agent_is_and_a_reaction_what_happened() {
    let reading = read(vendor().as_bytes()).unwrap();
    let names: Vec<&str> =
        reading.record.allergies.iter().map(|allergy| allergy.coded.text.as_str()).collect();
    for reaction in ["Hives", "Wheezing", "Nausea"] {
        assert!(!names.iter().any(|name| name.contains(reaction)), "{names:?}");
        assert!(
            reading.record.allergies.iter().any(|allergy| allergy.reaction.contains(reaction)),
            "{reaction}"
        );
    }
    assert!(
        names.iter().any(|name| name.eq_ignore_ascii_case("penicillin")
            || name.to_ascii_uppercase().starts_with("PENICILLIN")),
        "{names:?}"
    );
    assert!(names.iter().any(|name| name.to_ascii_uppercase().contains("ASPIRIN")), "{names:?}");
}

#[test]
fn who_died_is_not_visited() {
    let files = crate::embedded::files();
    let (programmes, rules) =
        (Programmes::load(&files).unwrap(), FollowUpTables::load(&files).unwrap());
    let asked = |reading: &Reading| -> Vec<String> {
        let members = programmes.of(&reading.record).members;
        tasks(&reading.record, &members, &rules).into_iter().map(|task| task.id).collect()
    };
    let plain = asked(&read(vendor().as_bytes()).unwrap());
    assert!(!plain.contains(&"died".to_owned()));
    let disposition = "<dischargeDispositionCode code=\"01\"";
    for code in ["20", "40", "41", "42"] {
        let went = format!("<dischargeDispositionCode code=\"{code}\"");
        let reading = with(&vendor(), "<ClinicalDocument", disposition, &went);
        assert_eq!(asked(&reading), ["died"], "{code}");
    }
    let gender = "<administrativeGenderCode ";
    for dead in ["<x:deceasedInd value=\"true\"", "<x:deceasedTime value=\"20261118\""] {
        let dead = format!("{dead} xmlns:x=\"urn:hl7-org:sdtc\"/>{gender}");
        let reading = with(&stroke(), "<recordTarget", gender, &dead);
        assert_eq!(asked(&reading), ["died"]);
    }
    let alive = format!("<x:deceasedInd value=\"false\" xmlns:x=\"urn:hl7-org:sdtc\"/>{gender}");
    let alive = with(&stroke(), "<recordTarget", gender, &alive);
    let visits = tasks(&alive.record, &programmes.of(&alive.record).members, &rules);
    assert!(visits.iter().any(|task| task.kind == TaskKind::Visit));
    // 离院方式 of the front sheet, in which 5 is 死亡.
    let front = String::from_utf8(fixture("wst500-32-stroke.xml")).unwrap();
    let went = "code=\"1\" codeSystem=\"2.16.156.10011.2.3.1.265\"";
    let reading = with(&front, "离院方式", went, &went.replace("\"1\"", "\"5\""));
    assert_eq!(asked(&reading), ["died"]);
}

#[test]
fn a_document_that_was_cut_off_says_where() {
    let text = stroke();
    for cut in [9000, text.len() / 2] {
        let end = (0..=cut).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let problems = read(&text.as_bytes()[..end]).unwrap_err();
        assert_eq!(problems[0].code, "xml_malformed");
        let line = text[..end].lines().count();
        assert!(
            problems[0].message.starts_with(&format!("第{line}行")),
            "{} instead of line {line}",
            problems[0].message
        );
    }
}
