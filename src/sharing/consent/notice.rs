//! What a patient is told of a read that the policy tells of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::offset;
use serde::Deserialize;

use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, rows};

const NOTICES: &str = "policy/notices.csv";
/// What stands in a wording for what is only known when somebody reads.
const PLACES: [&str; 5] = ["{when}", "{institution}", "{role}", "{reader}", "{purpose}"];

/// Of what a patient is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The glass was broken.
    GlassBroken,
    /// Another read of which the policy tells the patient.
    Read,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeRow {
    region: String,
    kind: NoticeKind,
    text_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

/// What is told: when, where, as what, who and for what, in Chinese.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The reader's institution.
    pub institution: &'a str,
    /// The reader's role.
    pub role_zh: &'a str,
    /// The reader.
    pub reader: &'a str,
    /// The purpose that was stated.
    pub purpose_zh: &'a str,
}

/// Wordings, by region and kind; the empty region is the default.
#[derive(Debug, Clone, Default)]
pub(super) struct Notices(BTreeMap<(String, NoticeKind), String>);

impl Notices {
    pub(super) fn load(files: &Files, sources: &Sources) -> Result<Self, LoadError> {
        let mut all = BTreeMap::new();
        for (line, row) in rows::<NoticeRow>(files, NOTICES)? {
            sources.check(NOTICES, line, &row.source)?;
            let fault = |message: String| LoadError::line(NOTICES, line, message);
            if !row.region.is_empty() && !super::policy::is_region(&row.region) {
                return Err(fault(
                    "a region is empty or a division code of 2, 4 or 6 digits".into(),
                ));
            }
            let mut rest = row.text_zh.clone();
            for place in PLACES {
                if !rest.contains(place) {
                    return Err(fault(format!("the wording has no {place}")));
                }
                rest = rest.replace(place, "");
            }
            if rest.contains(['{', '}']) {
                return Err(fault(format!("the wording may have {} only", PLACES.join(" "))));
            }
            if all.insert((row.region, row.kind), row.text_zh).is_some() {
                return Err(fault("stands twice".to_owned()));
            }
        }
        for kind in [NoticeKind::GlassBroken, NoticeKind::Read] {
            if !all.contains_key(&(String::new(), kind)) {
                let message = format!("{kind:?} is missing for the empty region");
                return Err(LoadError::file(NOTICES, message));
            }
        }
        Ok(Self(all))
    }

    /// The words of the closest region that has some.
    pub(super) fn words(&self, region: &str, kind: NoticeKind, told: &Told<'_>) -> String {
        let found = (0..=region.len())
            .rev()
            .find_map(|len| self.0.get(&(region.get(..len)?.to_owned(), kind)));
        let when = Timestamp::from_millisecond(told.at_ms).map(|at| {
            let at = offset(8).to_datetime(at);
            format!(
                "{}年{}月{}日{}时{:02}分",
                at.year(),
                at.month(),
                at.day(),
                at.hour(),
                at.minute()
            )
        });
        let when = when.unwrap_or_default();
        let said = [&when, told.institution, told.role_zh, told.reader, told.purpose_zh];
        let mut words = found.cloned().unwrap_or_default();
        for (place, said) in PLACES.into_iter().zip(said) {
            words = words.replace(place, said);
        }
        words
    }
}
