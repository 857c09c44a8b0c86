//! Hostile, broken and wrong documents: each is refused for a reason that is said.

use std::path::Path;

use proptest::prelude::*;

use super::arbitrary::record;
use super::{fatal, read, shared};
use crate::sharing::discharge::cda::{BYTES_MAX, write};
use crate::sharing::discharge::model::DischargeRecord;
use crate::sharing::discharge::problems::Severity;

fn sound() -> String {
    let mut record = DischargeRecord::default();
    record.document.name = "2.16.156.10011.1.1^出院小结-1".to_owned();
    record.patient.name = "饶建国".to_owned();
    record.narrative.course = "入院后予降压、抗血小板治疗。".to_owned();
    write(&record)
}

fn first(bytes: &[u8]) -> String {
    fatal(bytes).into_iter().next().unwrap().0
}

#[test]
fn the_document_that_is_broken_below_is_sound() {
    let reading = read(sound().as_bytes()).unwrap();
    assert_eq!(reading.record.patient.name, "饶建国");
}

#[test]
fn entities_and_document_types_are_refused() {
    let body = sound();
    let body = body.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
    let laughs = "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    assert_eq!(first(format!("{laughs}{body}").as_bytes()), "xml_dtd");
    let outside = "<!DOCTYPE a SYSTEM \"file:///etc/passwd\">";
    assert_eq!(first(format!("{outside}{body}").as_bytes()), "xml_dtd");
    assert_eq!(first(body.replace("饶建国", "&who;").as_bytes()), "xml_entity");
}

#[test]
fn size_depth_and_number_of_elements_are_limited() {
    let large = vec![b' '; BYTES_MAX + 1];
    assert_eq!(first(&large), "document_too_large");
    let deep = sound().replace("<realmCode", &format!("{}<realmCode", "<a>".repeat(200)));
    assert_eq!(first(deep.as_bytes()), "xml_too_large");
    let many = sound().replace("<realmCode", &format!("{}<realmCode", "<a/>".repeat(600_000)));
    assert_eq!(first(many.as_bytes()), "xml_too_large");
}

#[test]
fn markup_that_is_not_well_formed_is_refused_with_its_place() {
    let broken = sound().replace("</patientRole>", "</patientrole>");
    let problems = read(broken.as_bytes()).unwrap_err();
    assert_eq!(problems[0].code, "xml_malformed");
    let line = broken.lines().position(|line| line.contains("</patientrole>")).unwrap() + 1;
    assert!(problems[0].message.contains(&format!("第{line}行")), "{}", problems[0].message);
    assert_eq!(first(b""), "xml_malformed");
    assert_eq!(first(sound().replace("饶建国", "饶\u{1}建国").as_bytes()), "xml_malformed");
}

#[test]
fn another_kind_of_document_is_refused() {
    let text = sound();
    assert_eq!(first(b"<html/>"), "not_cda");
    assert_eq!(
        first(text.replace("urn:hl7-org:v3\"", "urn:hl7-org:v2\"").as_bytes()),
        "xml_namespace"
    );
    // 输血记录 under the template of 病案首页, as seen in the wild.
    let other = text.replace("C0053", "C0022").replace(".1.1.73", ".1.1.52");
    assert_eq!(first(other.as_bytes()), "template_wrong");
    let none = text.replace("C0053", "").replace(".1.1.73", ".1.1.1");
    assert_eq!(first(none.as_bytes()), "template_wrong");
    // The code decides; the template is told.
    let reading = read(text.replace(".1.1.73", ".1.1.52").as_bytes()).unwrap();
    assert!(reading.problems.iter().any(|problem| problem.code == "template_code_disagree"));
}

#[test]
fn a_document_without_patient_name_identity_or_content_is_refused() {
    let text = sound();
    let start = text.find("<recordTarget").unwrap();
    let end = text.find("</recordTarget>").unwrap() + "</recordTarget>".len();
    let nobody = format!("{}{}", &text[..start], &text[end..]);
    assert_eq!(first(nobody.as_bytes()), "patient_missing");
    let nameless = text.replace("饶建国", "");
    assert_eq!(first(nameless.as_bytes()), "patient_name_missing");
    let twice = format!("{}{}{}", &text[..end], &text[start..end], &text[end..]);
    assert_eq!(first(twice.as_bytes()), "patient_ambiguous");
    let unnamed = text
        .replace("extension=\"出院小结-1\"", "")
        .replace("<setId root=\"2.16.156.10011.1.1\"", "<setId");
    let unnamed =
        unnamed.replace("extension=\"2.16.156.10011.1.1^出院小结-1\"", "nullFlavor=\"NI\"");
    assert_eq!(first(unnamed.as_bytes()), "identity_missing");
    let mut record = read(text.as_bytes()).unwrap().record;
    record.narrative.course = String::new();
    assert_eq!(first(write(&record).as_bytes()), "nothing_said");
}

#[test]
fn days_that_do_not_exist_or_are_out_of_order_are_refused_with_their_path() {
    let text = sound();
    let dated = |low: &str, high: &str| {
        text.replace("<low nullFlavor=\"NI\"/>", &format!("<low value=\"{low}\"/>"))
            .replace("<high nullFlavor=\"NI\"/>", &format!("<high value=\"{high}\"/>"))
    };
    let stay = "/ClinicalDocument/componentOf/encompassingEncounter/effectiveTime";
    assert_eq!(
        fatal(dated("20260230", "20261310").as_bytes()),
        [
            ("date_impossible".to_owned(), format!("{stay}/low")),
            ("date_impossible".to_owned(), format!("{stay}/high")),
        ]
    );
    assert_eq!(
        fatal(dated("20260302", "20260301").as_bytes()),
        [("dates_out_of_order".to_owned(), stay.to_owned())]
    );
    assert!(read(dated("20260228", "20260301").as_bytes()).is_ok());
}

#[test]
fn the_encoding_is_what_is_declared_or_the_document_is_refused() {
    let text = sound();
    let gb = encoding_rs::GB18030.encode(&text).0;
    assert_eq!(first(&gb), "encoding_mismatch");
    let declared = text.replace("UTF-8", "GB18030");
    let gb = encoding_rs::GB18030.encode(&declared).0;
    assert_eq!(read(&gb).unwrap().record, read(text.as_bytes()).unwrap().record);
    assert_eq!(first(declared.as_bytes()), "encoding_mismatch");
}

#[test]
fn a_character_that_xml_does_not_allow_is_replaced_and_said() {
    let mut record = DischargeRecord::default();
    record.document.name = "1.2.3^1".to_owned();
    record.patient.name = "张\u{0}三".to_owned();
    record.narrative.course = "\u{b}好转\u{ffff}".to_owned();
    let written = crate::sharing::discharge::cda::write_noting(&record);
    assert_eq!(written.problems[0].code, "character_replaced");
    let again = read(written.xml.as_bytes()).unwrap().record;
    assert_eq!(again.patient.name, "张\u{fffd}三");
    assert_eq!(again.narrative.course, "\u{fffd}好转\u{fffd}");
}

/// A document of ours, of a vendor, or one of those written for the tests.
fn base() -> impl Strategy<Value = Vec<u8>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records");
    let mut files: Vec<_> = [shared("ccda"), own]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 22);
    prop_oneof![
        record().prop_map(|record| write(&record).into_bytes()),
        prop::sample::select(files).prop_map(|path| std::fs::read(path).unwrap()),
    ]
}

/// What is read can be written and read again; what is refused says why.
fn settled(bytes: &[u8]) -> Result<(), TestCaseError> {
    match read(bytes) {
        Ok(reading) => {
            prop_assert!(reading.problems.iter().all(|p| p.severity != Severity::Fatal));
            // What was read can be written and read again, with nothing left over; what was
            // not in the form of the model is brought to it once.
            let again = read(write(&reading.record).as_bytes()).unwrap();
            prop_assert_eq!(again.unplaced, []);
            let third = read(write(&again.record).as_bytes()).unwrap();
            prop_assert!(third.record == again.record);
        }
        Err(problems) => {
            prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Fatal));
            prop_assert!(problems.iter().all(|problem| problem.path.starts_with('/')));
        }
    }
    Ok(())
}

#[test]
fn a_number_that_is_none_is_left_out_and_said() {
    let mut record = read(sound().as_bytes()).unwrap().record;
    record.stay.days = Some(f64::NAN);
    let written = crate::sharing::discharge::cda::write_noting(&record);
    assert_eq!(written.problems[0].code, "number_malformed");
    assert_eq!(read(written.xml.as_bytes()).unwrap().record.stay.days, None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Err(problems) = read(&bytes) {
            prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Fatal));
        }
    }

    #[test]
    fn a_document_that_is_changed_anywhere_is_read_or_refused(
        base in base(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        let mut bytes = base;
        for (at, byte, how) in cuts {
            let mut at = at.index(bytes.len());
            if byte % 2 == 0 {
                // At the beginning of a tag, where a change is more often well formed.
                at = bytes[at..].iter().position(|&b| b == b'<').map_or(at, |next| at + next);
            }
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => {
                    // A tag with what stands before the next one, once more or not at all.
                    let end = bytes[at..].iter().skip(1).position(|&b| b == b'<');
                    let end = end.map_or(bytes.len(), |next| at + 1 + next);
                    let piece: Vec<u8> = bytes[at..end].to_vec();
                    let put = if byte % 4 == 0 { Vec::new() } else { piece.repeat(2) };
                    bytes.splice(at..end, put);
                }
            }
        }
        settled(&bytes)?;
    }

    #[test]
    fn a_document_with_elements_missing_doubled_moved_or_emptied_is_read_or_refused(
        base in base(),
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..5), 1..8),
    ) {
        let Ok(mut text) = String::from_utf8(base) else { return Ok(()) };
        for (at, to, how) in changes {
            let document = roxmltree::Document::parse(&text).unwrap();
            let elements: Vec<_> =
                document.root_element().descendants().skip(1).filter(roxmltree::Node::is_element).collect();
            let node = elements[at.index(elements.len())];
            let other = elements[to.index(elements.len())].range();
            let range = node.range();
            let whole = text[range.clone()].to_owned();
            let attribute = node.attributes().next().map(|attribute| attribute.range_value());
            match (how, attribute) {
                (0, _) => text.replace_range(range, ""),
                (1, _) => text.insert_str(range.start, &whole),
                // Something of the document in the place of something else.
                (2, _) => text.insert_str(other.start, &whole),
                (3, Some(value)) => text.replace_range(value, "20260230"),
                (_, Some(value)) => text.replace_range(value, "/"),
                (_, None) => {}
            }
        }
        settled(text.as_bytes())?;
    }
}
