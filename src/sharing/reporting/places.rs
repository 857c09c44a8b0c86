//! The places of a report as a tree: the region, its counties, their townships, their villages.

use std::collections::BTreeMap;

use crate::sharing::discharge::divisions::Divisions;

/// How fine a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The whole.
    Region,
    /// 县（市、区）.
    County,
    /// 乡镇（街道）.
    Township,
    /// 村（社区）.
    Village,
}

/// A place of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Division code of 4, 6, 9 or 12 digits.
    pub code: String,
    /// Name.
    pub name: String,
    /// How fine.
    pub level: Level,
    /// The place that it lies in, which stands before it.
    pub above: Option<usize>,
}

/// All places, each before those that lie in it, in the order of their codes.
#[derive(Debug, Clone)]
pub struct Places {
    all: Vec<Place>,
    by_code: BTreeMap<String, usize>,
}

impl Level {
    /// The name in tables, answers and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::County => "county",
            Self::Township => "township",
            Self::Village => "village",
        }
    }

    /// For people.
    pub fn name_zh(self) -> &'static str {
        match self {
            Self::Region => "全市",
            Self::County => "县（市、区）",
            Self::Township => "乡镇（街道）",
            Self::Village => "村（社区）",
        }
    }

    fn of_code(code: &str) -> Self {
        match code.len() {
            ..=5 => Self::Region,
            6..=8 => Self::County,
            9..=11 => Self::Township,
            _ => Self::Village,
        }
    }
}

impl Places {
    /// Of the tables' divisions.
    pub fn new(divisions: &Divisions) -> Self {
        let (code, name) = Divisions::city();
        let root = Place {
            code: code.to_owned(),
            name: name.to_owned(),
            level: Level::Region,
            above: None,
        };
        let mut by_code = BTreeMap::from([(root.code.clone(), 0)]);
        let mut all = vec![root];
        for (code, name) in divisions.all() {
            let level = Level::of_code(code);
            let cut = if level == Level::County { 4 } else { code.len() - 3 };
            let above = code.get(..cut).and_then(|above| by_code.get(above)).copied();
            by_code.insert(code.to_owned(), all.len());
            all.push(Place { code: code.to_owned(), name: name.to_owned(), level, above });
        }
        Self { all, by_code }
    }

    /// All of them.
    pub fn all(&self) -> &[Place] {
        &self.all
    }

    /// Number of the place with this code; zeros at the end of a code stand for the whole of what is
    /// above.
    pub fn number(&self, code: &str) -> Option<usize> {
        let mut code = code.trim();
        while code.len() > 6
            && let Some(shorter) = code.strip_suffix("000")
        {
            code = shorter;
        }
        self.by_code.get(code.strip_suffix("00").filter(|c| c.len() == 4).unwrap_or(code)).copied()
    }

    /// The place with this number.
    pub fn get(&self, number: usize) -> Option<&Place> {
        self.all.get(number)
    }

    /// Adds to each place what is below it: `add` gets a place and the one above it, the finest first.
    pub fn up(&self, mut add: impl FnMut(usize, usize)) {
        for (number, place) in self.all.iter().enumerate().rev() {
            if let Some(above) = place.above {
                add(number, above);
            }
        }
    }
}
