//! Writes DICOM JSON as the Native DICOM Model in XML (PS3.19, A.1), so that both forms say the same.
//!
//! A private tag stands as in the object, block number included, beside the name of its creator.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_dictionary_std::StandardDataDictionary;
use serde_json::{Map, Value};

/// Namespace of the model.
pub const NAMESPACE: &str = "http://dicom.nema.org/PS3.19/models/NativeDICOM";

/// Component groups of a name, and components of a group, in their order.
const GROUPS: [&str; 3] = ["Alphabetic", "Ideographic", "Phonetic"];
const COMPONENTS: [&str; 5] = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"];

/// One object of DICOM JSON (PS3.18, F.2) as an XML document.
pub fn native_xml(object: &Map<String, Value>) -> String {
    let mut out = String::with_capacity(8 * 1024);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel xmlns=\"");
    out.push_str(NAMESPACE);
    out.push_str("\" xml:space=\"preserve\">");
    attributes(&mut out, object);
    out.push_str("</NativeDicomModel>\n");
    out
}

/// Elements of a data set or an item. What JSON nests was walked with a limit of depth.
fn attributes(out: &mut String, object: &Map<String, Value>) {
    for (key, element) in object {
        let vr = element.get("vr").and_then(Value::as_str).unwrap_or("UN");
        out.push_str("<DicomAttribute");
        attribute(out, "tag", key);
        attribute(out, "vr", vr);
        if let Some(keyword) = keyword(key) {
            attribute(out, "keyword", keyword);
        }
        if let Some(creator) = creator(object, key) {
            attribute(out, "privateCreator", creator);
        }
        out.push('>');
        if let Some(uri) = element.get("BulkDataURI").and_then(Value::as_str) {
            out.push_str("<BulkData");
            attribute(out, "uri", uri);
            out.push_str("/>");
        } else if let Some(binary) = element.get("InlineBinary").and_then(Value::as_str) {
            enclosed(out, "InlineBinary", binary);
        } else if let Some(values) = element.get("Value").and_then(Value::as_array) {
            for (number, one) in (1_usize..).zip(values) {
                value(out, vr, number, one);
            }
        }
        out.push_str("</DicomAttribute>");
    }
}

fn value(out: &mut String, vr: &str, number: usize, value: &Value) {
    let name = match vr {
        "SQ" => "Item",
        "PN" => "PersonName",
        _ => "Value",
    };
    out.push('<');
    out.push_str(name);
    attribute(out, "number", &number.to_string());
    out.push('>');
    match value {
        Value::Object(item) if vr == "SQ" => attributes(out, item),
        Value::Object(groups) => groups_of(out, groups),
        Value::String(text) => escaped(out, text),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::Bool(_) | Value::Null | Value::Array(_) => {}
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn groups_of(out: &mut String, groups: &Map<String, Value>) {
    for group in GROUPS {
        let Some(text) = groups.get(group).and_then(Value::as_str) else { continue };
        out.push('<');
        out.push_str(group);
        out.push('>');
        for (component, part) in COMPONENTS.into_iter().zip(text.split('^')) {
            if !part.is_empty() {
                enclosed(out, component, part);
            }
        }
        out.push_str("</");
        out.push_str(group);
        out.push('>');
    }
}

/// Group and element of a key.
fn tag(key: &str) -> Option<Tag> {
    let group = u16::from_str_radix(key.get(..4)?, 16).ok()?;
    let element = u16::from_str_radix(key.get(4..)?, 16).ok()?;
    Some(Tag(group, element))
}

/// Keyword of a standard element.
fn keyword(key: &str) -> Option<&'static str> {
    let tag = tag(key).filter(|tag| tag.0.is_multiple_of(2))?;
    let name = StandardDataDictionary.by_tag(tag)?.alias();
    name.bytes().all(|b| b.is_ascii_alphanumeric()).then_some(name)
}

/// Creator of a private element, as the same data set or item declares it (PS3.5, 7.8.1).
fn creator<'o>(object: &'o Map<String, Value>, key: &str) -> Option<&'o str> {
    let Tag(group, element) = tag(key)?;
    let block = element >> 8;
    if group.is_multiple_of(2) || block < 0x10 {
        return None;
    }
    let declared = object.get(&format!("{group:04X}{block:04X}"))?;
    declared.pointer("/Value/0")?.as_str()
}

fn enclosed(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    escaped(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn attribute(out: &mut String, name: &str, text: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escaped(out, text);
    out.push('"');
}

/// Text as XML 1.0 can hold it: control characters that it cannot become U+FFFD.
fn escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Written plainly a parser would turn them into line feeds or spaces.
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn xml(object: &Value) -> String {
        let xml = native_xml(object.as_object().unwrap());
        let begin = xml.find("preserve\">").unwrap() + "preserve\">".len();
        xml[begin..].trim_end().trim_end_matches("</NativeDicomModel>").to_owned()
    }

    #[test]
    fn values_names_items_and_bytes_have_their_elements() {
        let object = json!({
            "00080060": { "vr": "CS", "Value": ["CT"] },
            "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "Wang^Xiao^^Dr", "Ideographic": "王^小" }] },
            "00400275": { "vr": "SQ", "Value": [{ "00400007": { "vr": "LO", "Value": ["a<b"] } }, {}] },
            "00280030": { "vr": "DS", "Value": [0.5, null, 1] },
            "00281201": { "vr": "OW", "BulkDataURI": "http://h/x?a&b" },
            "00420011": { "vr": "OB", "InlineBinary": "AAE=" },
            "00081030": { "vr": "LO" },
        });
        let text = xml(&object);
        for part in [
            "<DicomAttribute tag=\"00080060\" vr=\"CS\" keyword=\"Modality\"><Value number=\"1\">CT</Value></DicomAttribute>",
            "<PersonName number=\"1\"><Alphabetic><FamilyName>Wang</FamilyName><GivenName>Xiao</GivenName><NamePrefix>Dr</NamePrefix></Alphabetic><Ideographic><FamilyName>王</FamilyName><GivenName>小</GivenName></Ideographic></PersonName>",
            "<Item number=\"1\"><DicomAttribute tag=\"00400007\" vr=\"LO\" keyword=\"ScheduledProcedureStepDescription\"><Value number=\"1\">a&lt;b</Value></DicomAttribute></Item><Item number=\"2\"></Item>",
            "<Value number=\"1\">0.5</Value><Value number=\"2\"></Value><Value number=\"3\">1</Value>",
            "<BulkData uri=\"http://h/x?a&amp;b\"/>",
            "<InlineBinary>AAE=</InlineBinary>",
            "keyword=\"StudyDescription\"></DicomAttribute>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn private_elements_name_their_creator_and_have_no_keyword() {
        let object = json!({
            "00290010": { "vr": "LO", "Value": ["ACME 1.1"] },
            "00291008": { "vr": "CS", "Value": ["X"] },
            "00291108": { "vr": "CS", "Value": ["Y"] },
        });
        let text = xml(&object);
        assert!(text.contains("tag=\"00291008\" vr=\"CS\" privateCreator=\"ACME 1.1\">"), "{text}");
        assert!(text.contains("tag=\"00291108\" vr=\"CS\">"), "{text}");
        assert!(text.contains("tag=\"00290010\" vr=\"LO\">"), "{text}");
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced_and_lines_stay() {
        let object = json!({ "00080060": { "vr": "LT", "Value": ["a\u{1}\r\n\tb\u{1b}"] } });
        let text = xml(&object);
        assert!(text.contains(">a\u{FFFD}&#13;&#10;&#9;b\u{FFFD}<"), "{text}");
    }
}
