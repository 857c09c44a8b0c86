//! The attributes that the index of studies answers: what they are called, where they belong, and
//! how they are read from what was found.

mod table;

use dicom_core::{Tag, VR};

use super::query::{Level, Match};

use self::Read::{Context as Of, Count, Items, Text};

pub use self::table::ATTRIBUTES;

/// The level that an attribute belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// Every answer has it.
    Any,
    /// Patient.
    Patient,
    /// Study.
    Study,
    /// Series.
    Series,
    /// Instance.
    Image,
}

/// An attribute that is answered.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Tag.
    pub tag: Tag,
    /// Keyword (PS3.6).
    pub keyword: &'static str,
    /// Value representation.
    pub vr: VR,
    /// Level.
    pub level: At,
    /// Whether it may be asked for by value.
    pub key: bool,
    read: Read,
}

/// An attribute in the items of a sequence that is answered.
#[derive(Debug, Clone, Copy)]
pub struct Nested {
    /// Tag.
    pub tag: Tag,
    /// Value representation.
    pub vr: VR,
    /// Whether it may be asked for by value.
    pub key: bool,
    read: fn(&Match) -> String,
}

/// What an answer says about itself.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Level of the question.
    pub level: Level,
    /// AE title from which what was found can be retrieved; empty if from none.
    pub retrieve_ae: &'a str,
}

/// The value of an attribute in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Text, or a number as text; several values separated by `\`, empty for no value.
    Text(String),
    /// One item, or none, of a sequence: tags in order, with VR and text.
    Item(Vec<(Tag, VR, String)>),
}

#[derive(Debug, Clone, Copy)]
enum Read {
    Text(fn(&Match) -> String),
    Count(Level, fn(&Match) -> u64),
    Items(&'static [Nested]),
    Context(Context),
}

#[derive(Debug, Clone, Copy)]
enum Context {
    CharacterSet,
    Level,
    RetrieveAe,
    Availability,
}

impl Attribute {
    /// The attribute with `tag`, if it is answered.
    pub fn by_tag(tag: Tag) -> Option<&'static Self> {
        ATTRIBUTES.get(ATTRIBUTES.binary_search_by_key(&tag, |a| a.tag).ok()?)
    }

    /// The attribute with that keyword, if it is answered.
    pub fn by_keyword(keyword: &str) -> Option<&'static Self> {
        ATTRIBUTES.iter().find(|attribute| attribute.keyword == keyword)
    }

    /// Whether an answer at `level` can have it.
    pub fn is_at(&self, level: Level) -> bool {
        self.level <= At::from(level)
    }

    /// What stands in the items, if this is a sequence.
    pub fn nested(&self) -> &'static [Nested] {
        match self.read {
            Items(nested) => nested,
            Text(_) | Count(..) | Of(_) => &[],
        }
    }

    /// Its value in what was found.
    pub fn held(&self, found: &Match, about: &About<'_>) -> Held {
        match self.read {
            Text(read) => Held::Text(read(found)),
            Count(level, read) if level == about.level => Held::Text(read(found).to_string()),
            Count(..) => Held::Text(String::new()),
            Items(nested) => {
                let item: Vec<_> = nested.iter().map(|n| (n.tag, n.vr, (n.read)(found))).collect();
                let empty = item.iter().all(|(_, _, text)| text.is_empty());
                Held::Item(if empty { Vec::new() } else { item })
            }
            Of(context) => Held::Text(
                match context {
                    // Only who writes the answer knows.
                    Context::CharacterSet => "",
                    Context::Level => level_term(about.level),
                    Context::RetrieveAe => about.retrieve_ae,
                    Context::Availability => "ONLINE",
                }
                .to_owned(),
            ),
        }
    }
}

impl From<Level> for At {
    fn from(level: Level) -> Self {
        match level {
            Level::Patient => Self::Patient,
            Level::Study => Self::Study,
            Level::Series => Self::Series,
            Level::Image => Self::Image,
        }
    }
}

/// The value of Query/Retrieve Level (0008,0052).
pub fn level_term(level: Level) -> &'static str {
    match level {
        Level::Patient => "PATIENT",
        Level::Study => "STUDY",
        Level::Series => "SERIES",
        Level::Image => "IMAGE",
    }
}

#[cfg(test)]
mod tests;
