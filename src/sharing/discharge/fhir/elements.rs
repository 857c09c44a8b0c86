//! What FHIR R4 allows: the elements of every type that is read or written, their cardinality,
//! types and required bindings. The facts are in `elements.txt` and `codes.txt`, which
//! `elements.py` writes from HL7's own definitions.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Everything that is known of R4.
pub(super) static R4: LazyLock<Tables> =
    LazyLock::new(|| Tables::of(include_str!("elements.txt"), include_str!("codes.txt")));

/// The tables.
pub(super) struct Tables {
    types: HashMap<&'static str, Type>,
    codes: HashMap<&'static str, Vec<&'static str>>,
}

/// A resource, a data type or a part of one.
#[derive(Default)]
pub(super) struct Type {
    /// What stands in JSON, by key. A choice `value[x]` has one for each of its types.
    pub(super) elements: HashMap<String, Element>,
    /// Elements that must be there: slot and name.
    pub(super) required: Vec<(u8, &'static str)>,
}

/// One key of an object.
pub(super) struct Element {
    /// The same for all keys of one choice.
    pub(super) slot: u8,
    /// Its name in the definition, `value[x]` for `valueQuantity`.
    pub(super) base: &'static str,
    /// Whether it is a list.
    pub(super) list: bool,
    /// What stands there.
    pub(super) kind: Kind,
    /// The value set whose codes alone may stand there.
    pub(super) codes: Option<&'static str>,
}

/// What may stand in a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An object of this type.
    Object(&'static str),
    /// A resource of any type.
    Resource,
    /// A reference to a resource of one of these types; to any if there are none.
    Reference(&'static str),
    /// A value, by its type's name.
    Primitive(Primitive),
}

/// The primitive types that are checked apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Primitive {
    Boolean,
    Integer,
    Positive,
    Unsigned,
    Decimal,
    Date,
    DateTime,
    Instant,
    Time,
    Code,
    Uri,
    Id,
    Base64,
    Xhtml,
    Text,
}

impl Primitive {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "positiveInt" => Self::Positive,
            "unsignedInt" => Self::Unsigned,
            "decimal" => Self::Decimal,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "instant" => Self::Instant,
            "time" => Self::Time,
            "code" => Self::Code,
            "uri" | "url" | "canonical" | "oid" | "uuid" => Self::Uri,
            "id" => Self::Id,
            "base64Binary" => Self::Base64,
            "xhtml" => Self::Xhtml,
            "string" | "markdown" => Self::Text,
            _ => return None,
        })
    }
}

impl Tables {
    fn of(elements: &'static str, codes: &'static str) -> Self {
        let mut types: HashMap<&'static str, Type> = HashMap::new();
        // What every primitive may have beside it, under its name with `_` before it.
        let mut holder = "";
        let mut slot = 0;
        for line in elements.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("  ") {
                None => {
                    (holder, slot) = (line, 0);
                    types.entry(line).or_default();
                }
                Some(row) => {
                    if let Some(kind) = types.get_mut(holder) {
                        kind.add(row, slot);
                        slot += 1;
                    }
                }
            }
        }
        let codes = codes.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let mut words = line.split(' ');
            (words.next().unwrap_or_default(), words.collect())
        });
        Self { types, codes: codes.collect() }
    }

    /// A type.
    pub(super) fn get(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    /// Whether the value set has the code.
    pub(super) fn has_code(&self, set: &str, code: &str) -> bool {
        self.codes.get(set).is_some_and(|codes| codes.binary_search(&code).is_ok())
    }

    /// The codes of a value set.
    pub(super) fn codes(&self, set: &str) -> &[&'static str] {
        self.codes.get(set).map_or(&[], Vec::as_slice)
    }
}

impl Type {
    fn add(&mut self, row: &'static str, slot: u8) {
        let mut words = row.split(' ');
        let base = words.next().unwrap_or_default();
        let cardinality = words.next().unwrap_or_default();
        let types = words.next().unwrap_or_default();
        let codes = words.next().and_then(|word| word.strip_prefix('='));
        if cardinality.starts_with('1') {
            self.required.push((slot, base));
        }
        let list = cardinality.ends_with('*');
        for name in types.split('|') {
            let (name, targets) = name.split_once(':').unwrap_or((name, ""));
            let kind = match (Primitive::of(name), name) {
                (Some(primitive), _) => Kind::Primitive(primitive),
                (None, "Reference") => Kind::Reference(targets),
                (None, "Resource") => Kind::Resource,
                (None, _) => Kind::Object(name.strip_prefix('@').unwrap_or(name)),
            };
            let key = match base.strip_suffix("[x]") {
                Some(stem) => {
                    let (first, rest) = name.split_at_checked(1).unwrap_or((name, ""));
                    format!("{stem}{}{rest}", first.to_ascii_uppercase())
                }
                None => base.to_owned(),
            };
            self.elements.insert(key, Element { slot, base, list, kind, codes });
        }
    }
}
