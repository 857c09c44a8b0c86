//! A record as CDA after WS/T 500.53 出院小结, valid against the Chinese schema (SDA.xsd).
//!
//! Every element of the standard's table stands at its place under its 数据元标识符, with the inner
//! identifier (HDSD00.16…) as a comment. What the standard has no element for stands in entries of
//! its section, or of a section beside, coded `codeSystemName="xiangyi"` where CDA itself has no
//! place either, and is told in the text of the section. The same record gives the same bytes.
//!
//! What does not come back exactly as it was when the document is read again: `Z` as an offset
//! comes back as `+00:00` and fractions of a second are cut to six digits; white space around a
//! text is lost, and within names and texts of sections it is one space; diagnoses come back as
//! those of admission, of discharge and of the past, signatures as authors, residents, seniors;
//! OIDs of code systems that have a URI (LOINC …) come back as the URI; an empty title comes back
//! as 出院小结; a text that is a stroke for "nothing" (`/`, `-`) is nothing; a number of the patient
//! without a system gets the one of its kind; and what is not of the form that the model describes
//! (a code without a code, words left empty beside a code's display) or says nothing (a signature
//! without name and number, a medicine without a name) is brought to it or left out.

mod body;
mod entries;
mod header;
mod medicine;
mod tail;
mod values;
mod xml;

use super::super::model::DischargeRecord;
use super::super::problems::Problem;
use xml::Xml;

/// A document that was written.
#[derive(Clone, PartialEq, Eq)]
pub struct Written {
    /// The document, UTF-8.
    pub xml: String,
    /// What could not be written as it is in the record, in Chinese.
    pub problems: Vec<Problem>,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").field("problems", &self.problems).finish_non_exhaustive()
    }
}

/// The document of a record. Characters that XML 1.0 does not allow become U+FFFD.
pub fn write(record: &DischargeRecord) -> String {
    write_noting(record).xml
}

/// The document of a record, and what of it could not be written as it is.
pub fn write_noting(record: &DischargeRecord) -> Written {
    let mut xml = Xml::default();
    xml.declaration();
    xml.open(
        "ClinicalDocument",
        &[
            ("xmlns", super::xml::HL7),
            ("xmlns:xsi", super::xml::XSI),
            ("xsi:schemaLocation", "urn:hl7-org:v3 ../sdschemas/SDA.xsd"),
        ],
    );
    header::write(&mut xml, record);
    body::write(&mut xml, record);
    let mut problems = Vec::new();
    if xml.replaced > 0 {
        let message = format!("有{}个字符XML不允许，已写成U+FFFD", xml.replaced);
        problems.push(Problem::warning("/ClinicalDocument", "character_replaced", message));
    }
    if xml.not_numbers > 0 {
        let message = format!("有{}个数不是有限的数，未写出", xml.not_numbers);
        problems.push(Problem::warning("/ClinicalDocument", "number_malformed", message));
    }
    Written { xml: xml.finish(), problems }
}
