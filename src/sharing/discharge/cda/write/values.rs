//! The model's values as HL7 data types.

use super::super::super::model::{Code, Coded, Quantity};
use super::super::super::moment::Moment;
use super::super::systems::{self, DATA_ELEMENTS, LOINC, OWN};
use super::xml::Xml;

/// Digits of a fraction of a second at most in HL7 `TS` here.
const FRACTION_DIGITS_MAX: usize = 6;

impl Xml {
    /// CD, CE or CV. `kind` is the `xsi:type`, empty where the element has one type only.
    pub(super) fn coded(&mut self, name: &'static str, kind: &str, coded: &Coded) {
        self.coded_qualified(name, kind, coded, "");
    }

    /// The same with a qualifier named `qualifier`.
    pub(super) fn coded_qualified(
        &mut self,
        name: &'static str,
        kind: &str,
        coded: &Coded,
        qualifier: &str,
    ) {
        let (first, others) = match coded.codes.split_first() {
            Some((first, others)) if is_token(&first.code) => (Some(first), others),
            _ => (None, coded.codes.as_slice()),
        };
        let (system, called) =
            first.map_or(("", ""), |first| systems::attributes(first.system.as_str()));
        let attributes = [
            ("xsi:type", kind),
            ("nullFlavor", if first.is_none() { "OTH" } else { "" }),
            ("code", first.map_or("", |first| &first.code)),
            ("codeSystem", system),
            ("codeSystemName", called),
            ("displayName", first.map_or("", |first| &first.display)),
        ];
        let shown = coded.codes.first().map_or("", |code| &code.display);
        let words = if coded.text == shown { "" } else { &coded.text };
        if words.is_empty() && others.is_empty() && qualifier.is_empty() {
            self.empty(name, &attributes);
            return;
        }
        self.open(name, &attributes);
        self.text_if("originalText", words);
        if !qualifier.is_empty() {
            self.open("qualifier", &[]);
            self.empty("name", &[("displayName", qualifier)]);
            self.close();
        }
        for code in others {
            self.translation(code);
        }
        self.close();
    }

    /// A code with white space in it is none for the schema, and stands as text.
    fn translation(&mut self, code: &Code) {
        let (system, called) = systems::attributes(&code.system);
        let token = is_token(&code.code);
        let attributes = [
            ("code", if token { code.code.as_str() } else { "" }),
            ("codeSystem", system),
            ("codeSystemName", called),
            ("displayName", &code.display),
        ];
        if token {
            self.empty("translation", &attributes);
        } else {
            self.open("translation", &attributes);
            self.text("originalText", &[], &code.code);
            self.close();
        }
    }

    /// The `code` of an observation that is a data element.
    pub(super) fn data_element(&mut self, de: &str, name: &str) {
        self.empty("code", &data_element(de, name));
    }

    /// A LOINC code.
    pub(super) fn loinc(&mut self, code: &str, display: &str) {
        let attributes = [
            ("code", code),
            ("codeSystem", LOINC),
            ("codeSystemName", "LOINC"),
            ("displayName", display),
        ];
        self.empty("code", &attributes);
    }

    /// PQ. `kind` is the `xsi:type`, empty where the element has one type only.
    pub(super) fn quantity(&mut self, name: &'static str, kind: &str, quantity: &Quantity) {
        if !quantity.value.is_finite() {
            self.not_numbers += 1;
            self.empty(name, &[("xsi:type", kind), ("nullFlavor", "OTH")]);
            return;
        }
        let value = quantity.value.to_string();
        let token = is_token(&quantity.unit);
        let unit = if token { quantity.unit.as_str() } else { "" };
        let attributes = [("xsi:type", kind), ("value", &value), ("unit", unit)];
        if token || quantity.unit.is_empty() {
            self.empty(name, &attributes);
            return;
        }
        self.open(name, &attributes);
        self.open("translation", &[("value", &value)]);
        self.text("originalText", &[], &quantity.unit);
        self.close_all(2);
    }

    /// TS, with a `nullFlavor` where nothing is known.
    pub(super) fn moment(&mut self, name: &'static str, moment: Option<&Moment>) {
        match moment {
            Some(moment) => self.empty(name, &[("value", &stamp(moment))]),
            None => self.empty(name, &[("nullFlavor", "NI")]),
        }
    }

    /// II of a root of ours and a number, with a `nullFlavor` where there is none.
    pub(super) fn number(&mut self, root: &str, number: &str) {
        if number.is_empty() {
            self.empty("id", &[("root", root), ("nullFlavor", "NI")]);
        } else {
            self.empty("id", &[("root", root), ("extension", number)]);
        }
    }

    /// An observation of ours within an entry, with a text.
    pub(super) fn own_text(&mut self, code: &str, name: &str, text: &str) {
        if !text.is_empty() {
            self.own(code, name);
            self.text("value", &[("xsi:type", "ST")], text);
            self.close_all(2);
        }
    }

    /// The beginning of an observation of ours within an entry; two elements are open.
    pub(super) fn own(&mut self, code: &str, name: &str) {
        self.open("entryRelationship", &[("typeCode", "COMP")]);
        self.open("observation", &[("classCode", "OBS"), ("moodCode", "EVN")]);
        self.own_code(code, name);
    }

    /// A code of ours.
    pub(super) fn own_code(&mut self, code: &str, name: &str) {
        let attributes = [("code", code), ("codeSystemName", OWN), ("displayName", name)];
        self.empty("code", &attributes);
    }
}

/// Attributes of the code of a data element.
pub(super) fn data_element<'a>(de: &'a str, name: &'a str) -> [(&'static str, &'a str); 4] {
    [
        ("code", de),
        ("codeSystem", DATA_ELEMENTS),
        ("codeSystemName", systems::name(DATA_ELEMENTS)),
        ("displayName", name),
    ]
}

/// As HL7 `TS`.
pub(super) fn stamp(moment: &Moment) -> String {
    let text = moment.to_hl7();
    let Some((whole, rest)) = text.split_once('.') else { return text };
    let digits = rest.find(['+', '-']).unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at_checked(digits).unwrap_or((rest, ""));
    let fraction = fraction.get(..FRACTION_DIGITS_MAX).unwrap_or(fraction);
    format!("{whole}.{fraction}{zone}")
}

/// Whether the schema's `cs` takes it.
fn is_token(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
