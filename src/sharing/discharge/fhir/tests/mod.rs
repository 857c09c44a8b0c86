//! What is written is read back; foreign documents give what stands in them, or are refused with
//! every reason.

mod arbitrary;
mod decided;
mod facade;
mod foreign;
mod refused;

use proptest::prelude::*;
use serde_json::Value;

use super::{read, write};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::DischargeRecord;
use crate::sharing::discharge::problems::{Format, Severity};

fn now() -> Moment {
    Moment::iso("2026-11-29T08:00:00+08:00").unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// `DischargeRecord` hides itself, so differences are looked for in its JSON.
fn json(record: &DischargeRecord) -> Value {
    serde_json::to_value(record).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back_whole_and_nothing_is_left_over(
        record in arbitrary::record(),
    ) {
        let written = write(&record, &now());
        prop_assert_eq!(&written, &write(&record, &now()), "the same record gives the same ids");
        let reading = read(&bytes(&written)).unwrap();
        prop_assert_eq!(reading.format, Format::FhirDocument);
        prop_assert_eq!(json(&reading.record), json(&record));
        prop_assert!(reading.record == record);
        prop_assert_eq!(reading.unplaced, vec![]);
        let wrong: Vec<_> = reading
            .problems
            .iter()
            // A medicine without a name is told.
            // An arbitrary number is no resident ID.
            .filter(|problem| {
                problem.code != "medicine_unnamed" && !problem.code.starts_with("identifier_")
            })
            .collect();
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn any_narrative_is_stripped_to_text(xhtml in "[<>/a-z&;#0-9 !\\-\"=]{0,60}") {
        let text = super::xhtml::strip(&xhtml);
        prop_assert!(text.len() <= xhtml.len() + 4);
    }
}

#[test]
fn a_document_has_an_identifier_a_time_and_the_title_in_chinese() {
    let mut record = DischargeRecord::default();
    record.patient.name = "某甲".to_owned();
    let written = write(&record, &now());
    assert_eq!(written["timestamp"], "2026-11-29T08:00:00+08:00");
    assert_eq!(written["type"], "document");
    let composition = &written["entry"][0]["resource"];
    assert_eq!(composition["title"], "出院小结");
    assert_eq!(composition["type"]["coding"][0]["code"], "18842-5");
    assert!(written["identifier"]["value"].as_str().is_some_and(|value| !value.is_empty()));
    record.document.name = "urn:oid:1.2.3|A-7".to_owned();
    record.document.version = Some(2);
    let named = write(&record, &now());
    assert_eq!(named["identifier"]["system"], "urn:oid:1.2.3");
    assert_eq!(named["identifier"]["value"], "A-7");
    let first = written["id"].as_str().unwrap();
    assert_ne!(named["id"].as_str().unwrap(), first);
}

#[test]
fn narrative_keeps_lines_and_entities_and_leaves_markup() {
    for (xhtml, text) in [
        ("<div xmlns=\"x\"><p>一</p><p>二 &lt; 三&#160;</p></div>", "一\n二 < 三\u{a0}"),
        ("<div>a<br/>b  c<script>alert(1)</script></div>", "a\nb c"),
        (
            "<div><table><tr><td>收缩压</td><td>150</td></tr><tr><td>x</td></tr></table></div>",
            "收缩压 150\nx",
        ),
        ("<div><ul><li>一</li><li>二</li></ul></div>", "一\n二"),
        ("<div><!-- not said -->said &unknown; &amp</div>", "said &unknown; &amp"),
        ("no markup", "no markup"),
        ("<div", ""),
    ] {
        assert_eq!(super::xhtml::strip(xhtml), text, "{xhtml}");
    }
}

fn fatal_codes(bytes: &[u8]) -> Vec<String> {
    let problems = read(bytes).unwrap_err();
    let fatal = problems.into_iter().filter(|problem| problem.severity == Severity::Fatal);
    fatal.map(|problem| problem.code).collect()
}
