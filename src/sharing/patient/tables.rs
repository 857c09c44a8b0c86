//! The tables under `models/people/`, read and checked.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::linkage::{Field, Level, Model};
use super::name::{Agreement, NameTables};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, rows};

/// Everything that matching people needs to know.
#[derive(Debug, Clone)]
pub struct PeopleTables {
    /// Names.
    pub names: NameTables,
    /// Numbers that decide; `limits.csv`.
    pub limits: Limits,
    /// Fields, levels and weights; `parameters.csv`.
    pub model: Model,
    /// Version: digest over the tables.
    version: String,
    regions: BTreeMap<String, String>,
}

/// Numbers of `limits.csv`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// People of the region: the chance that anybody is this very person is one in so many.
    pub population: f64,
    /// Bits from which a person is linked without being asked.
    pub link_bits: f64,
    /// Bits from which a person is shown for review.
    pub review_bits: f64,
    /// Bits by which the next person must be behind for a link.
    pub margin_bits: f64,
    /// Share of the bearers of a surname who have a given name that the index does not know.
    pub given_name_share: f64,
    /// People in an index from which its own frequencies of names count more than the tables'.
    pub name_weight_people: f64,
    /// Least share of the people that a name is thought to have.
    pub name_share_min: f64,
    /// Share of equal pairs of neighbouring characters from which two addresses are alike.
    pub address_alike: f64,
    /// People with one telephone number above which it says nothing.
    pub phone_people_max: f64,
}

/// Number of each field in patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PersonField {
    ResidentId,
    HealthCard,
    Name,
    BirthDate,
    BirthYear,
    Sex,
    Phone,
    Place,
}

impl PersonField {
    pub(super) const ALL: [Self; 8] = [
        Self::ResidentId,
        Self::HealthCard,
        Self::Name,
        Self::BirthDate,
        Self::BirthYear,
        Self::Sex,
        Self::Phone,
        Self::Place,
    ];

    fn id(self) -> &'static str {
        match self {
            Self::ResidentId => "resident_id",
            Self::HealthCard => "health_card",
            Self::Name => "name",
            Self::BirthDate => "birth_date",
            Self::BirthYear => "birth_year",
            Self::Sex => "sex",
            Self::Phone => "phone",
            Self::Place => "place",
        }
    }

    /// Its place in patterns.
    pub(super) fn number(self) -> usize {
        Self::ALL.iter().position(|field| *field == self).unwrap_or(0)
    }

    /// The levels that comparison gives, in their order.
    fn levels(self) -> Vec<&'static str> {
        match self {
            Self::ResidentId | Self::HealthCard | Self::Sex | Self::Phone => vec!["same", "other"],
            Self::Name => Agreement::ALL.iter().map(|agreement| agreement.id()).collect(),
            Self::BirthDate => vec!["exact", "swapped", "digit", "year", "month_day", "other"],
            Self::BirthYear => vec!["same", "close", "other"],
            Self::Place => vec!["village", "text", "township", "county", "other"],
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterRow {
    field: String,
    field_zh: String,
    level: String,
    level_zh: String,
    m: f64,
    u: f64,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitRow {
    id: String,
    value: f64,
    #[serde(rename = "unit")]
    _unit: String,
    #[serde(rename = "meaning_zh")]
    _meaning: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionRow {
    prefix: String,
    zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

impl PeopleTables {
    /// Reads the tables under `people/`.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, "people/sources.csv")?;
        Ok(Self {
            names: NameTables::load(files, &sources)?,
            limits: limits(files, &sources)?,
            model: model(files, &sources)?,
            version: files.digest("people/", ".csv"),
            regions: regions(files, &sources)?,
        })
    }

    /// Version: twelve hexadecimal digits that change with any of the tables.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether a resident ID may begin so: a province, a residence permit, a foreigner's card.
    pub fn is_region(&self, resident_id: &str) -> bool {
        (1..=2).any(|n| resident_id.get(..n).is_some_and(|start| self.regions.contains_key(start)))
    }
}

fn regions(files: &Files, sources: &Sources) -> Result<BTreeMap<String, String>, LoadError> {
    let path = "people/id_regions.csv";
    let mut regions = BTreeMap::new();
    for (line, row) in rows::<RegionRow>(files, path)? {
        sources.check(path, line, &row.source)?;
        if !(1..=2).contains(&row.prefix.len()) || regions.insert(row.prefix, row.zh).is_some() {
            return Err(LoadError::line(path, line, "prefix is one or two digits and stands once"));
        }
    }
    Ok(regions)
}

fn limits(files: &Files, sources: &Sources) -> Result<Limits, LoadError> {
    let path = "people/limits.csv";
    let mut values = BTreeMap::new();
    for (line, row) in rows::<LimitRow>(files, path)? {
        sources.check(path, line, &row.source)?;
        if !row.value.is_finite() || values.insert(row.id, row.value).is_some() {
            return Err(LoadError::line(path, line, "value is no number, or stands twice"));
        }
    }
    let mut take = |id: &str| {
        let missing = || LoadError::file(path, format!("`{id}` is missing"));
        values.remove(id).ok_or_else(missing)
    };
    let limits = Limits {
        population: take("population")?,
        link_bits: take("link_bits")?,
        review_bits: take("review_bits")?,
        margin_bits: take("margin_bits")?,
        given_name_share: take("given_name_share")?,
        name_weight_people: take("name_weight_people")?,
        name_share_min: take("name_share_min")?,
        address_alike: take("address_alike")?,
        phone_people_max: take("phone_people_max")?,
    };
    if let Some(unknown) = values.keys().next() {
        return Err(LoadError::file(path, format!("`{unknown}` is unknown")));
    }
    let share = |value: f64| value > 0.0 && value <= 1.0;
    let shares = [limits.given_name_share, limits.name_share_min, limits.address_alike];
    let fits = limits.population >= 1.0
        && limits.link_bits > limits.review_bits
        && limits.margin_bits >= 0.0
        && limits.name_weight_people > 0.0
        && limits.phone_people_max >= 1.0
        && shares.iter().all(|value| share(*value));
    if fits { Ok(limits) } else { Err(LoadError::file(path, "a value is impossible")) }
}

fn model(files: &Files, sources: &Sources) -> Result<Model, LoadError> {
    let path = "people/parameters.csv";
    let mut fields: Vec<Field> = Vec::new();
    for (line, row) in rows::<ParameterRow>(files, path)? {
        sources.check(path, line, &row.source)?;
        let level = Level { id: row.level, zh: row.level_zh, m: row.m, u: row.u };
        match fields.last_mut() {
            Some(field) if field.id == row.field => field.levels.push(level),
            _ => fields.push(Field { id: row.field, zh: row.field_zh, levels: vec![level] }),
        }
    }
    let found: Vec<&str> = fields.iter().map(|field| field.id.as_str()).collect();
    let wanted: Vec<&str> = PersonField::ALL.iter().map(|field| field.id()).collect();
    if found != wanted {
        return Err(LoadError::file(path, format!("fields must be {}", wanted.join(", "))));
    }
    for (field, wanted) in fields.iter().zip(PersonField::ALL) {
        let levels: Vec<&str> = field.levels.iter().map(|level| level.id.as_str()).collect();
        if levels != wanted.levels() {
            let message =
                format!("levels of `{}` must be {}", field.id, wanted.levels().join(", "));
            return Err(LoadError::file(path, message));
        }
    }
    Model::new(fields).map_err(|e| LoadError::file(path, e.to_string()))
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
