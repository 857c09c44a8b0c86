//! A day or an instant as precisely as somebody said it: a year, a month, a day, or a time of day
//! with its offset.

use std::fmt;

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

/// When, in ISO 8601: `2026`, `2026-11`, `2026-11-29`, `2026-11-29T08:30`, with seconds and offset
/// where they were said. Made by [`Moment::iso`] or [`Moment::hl7`] only, so the day exists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(String);

/// Text that says no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no date or time that exists")]
pub struct NoMoment;

impl Moment {
    /// From ISO 8601 as FHIR `date`, `dateTime` and `instant` write it.
    pub fn iso(text: &str) -> Result<Self, NoMoment> {
        let (day, time) = match text.split_once('T') {
            Some((day, time)) => (day, Some(time)),
            None => (text, None),
        };
        let mut parts = day.split('-');
        let digits = |part: Option<&str>, len| match part {
            Some(part) if part.len() == len && part.bytes().all(|b| b.is_ascii_digit()) => {
                part.parse::<u16>().map(Some).map_err(|_| NoMoment)
            }
            Some(_) => Err(NoMoment),
            None => Ok(None),
        };
        let year = digits(parts.next(), 4)?.ok_or(NoMoment)?;
        let month = digits(parts.next(), 2)?;
        let whole = digits(parts.next(), 2)?;
        if parts.next().is_some() || (time.is_some() && whole.is_none()) {
            return Err(NoMoment);
        }
        exists(year, month, whole)?;
        if let Some(time) = time {
            time_exists(time)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// From HL7 `TS` as CDA writes it: `YYYYMMDDHHMMSS.UUUU[+|-ZZzz]`, cut off anywhere after the year.
    pub fn hl7(text: &str) -> Result<Self, NoMoment> {
        let (stamp, zone) = match text.find(['+', '-']) {
            Some(at) => text.split_at_checked(at).ok_or(NoMoment)?,
            None => (text, ""),
        };
        let (stamp, fraction) = match stamp.split_once('.') {
            Some((stamp, fraction)) => (stamp, Some(fraction)),
            None => (stamp, None),
        };
        if !stamp.bytes().all(|b| b.is_ascii_digit())
            || !matches!(stamp.len(), 4 | 6 | 8 | 10 | 12 | 14)
        {
            return Err(NoMoment);
        }
        let part = |from: usize, len: usize| stamp.get(from..from + len);
        let mut iso = part(0, 4).ok_or(NoMoment)?.to_owned();
        for (from, mark) in [(4, '-'), (6, '-'), (8, 'T'), (10, ':'), (12, ':')] {
            let Some(digits) = part(from, 2) else { break };
            iso.push(mark);
            iso.push_str(digits);
        }
        if stamp.len() == 10 {
            iso.push_str(":00");
        }
        if let Some(fraction) = fraction {
            if stamp.len() != 14 || fraction.is_empty() || fraction.len() > 6 {
                return Err(NoMoment);
            }
            iso.push('.');
            iso.push_str(fraction);
        }
        if !zone.is_empty() {
            let (Some(hours), Some(minutes), 5, true) =
                (zone.get(..3), zone.get(3..), zone.len(), zone.is_ascii())
            else {
                return Err(NoMoment);
            };
            // An offset of a day alone says nothing.
            if stamp.len() > 8 {
                iso.push_str(hours);
                iso.push(':');
                iso.push_str(minutes);
            }
        }
        Self::iso(&iso)
    }

    /// A day.
    pub fn of(day: Date) -> Self {
        Self(day.to_string())
    }

    /// ISO 8601.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As HL7 `TS`, as precise as it is.
    pub fn to_hl7(&self) -> String {
        let (day, time) = self.0.split_once('T').unwrap_or((&self.0, ""));
        let mut text: String = day.chars().filter(char::is_ascii_digit).collect();
        let (clock, zone) = split_zone(time);
        text.extend(clock.chars().filter(|&c| c.is_ascii_digit() || c == '.'));
        if zone == "Z" {
            text.push_str("+0000");
        } else {
            text.extend(zone.chars().filter(|&c| c != ':'));
        }
        text
    }

    /// The day, if one was said.
    pub fn day(&self) -> Option<Date> {
        self.0.get(..10)?.parse().ok()
    }

    /// The day, or the first one of the month or year that was said.
    pub fn first_day(&self) -> Option<Date> {
        let text = match self.0.len() {
            4 => format!("{}-01-01", self.0),
            7 => format!("{}-01", self.0),
            _ => return self.day(),
        };
        text.parse().ok()
    }

    /// Whether a time of day was said.
    pub fn has_time(&self) -> bool {
        self.0.contains('T')
    }
}

fn exists(year: u16, month: Option<u16>, day: Option<u16>) -> Result<(), NoMoment> {
    let narrow = |part: Option<u16>| i8::try_from(part.unwrap_or(1)).map_err(|_| NoMoment);
    let year = i16::try_from(year).map_err(|_| NoMoment)?;
    if !(1800..=2200).contains(&year) {
        return Err(NoMoment);
    }
    Date::new(year, narrow(month)?, narrow(day)?).map(drop).map_err(|_| NoMoment)
}

fn split_zone(time: &str) -> (&str, &str) {
    match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at_checked(at).unwrap_or((time, "")),
        None => (time, ""),
    }
}

fn time_exists(time: &str) -> Result<(), NoMoment> {
    let (clock, zone) = split_zone(time);
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text
                .bytes()
                .zip(shape.bytes())
                .all(|(is, wanted)| if wanted == b'0' { is.is_ascii_digit() } else { is == wanted })
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    if !(shape(whole, "00:00:00") || (shape(whole, "00:00") && !clock.contains('.')))
        || fraction.is_empty()
        || fraction.len() > 9
        || !fraction.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(NoMoment);
    }
    format!("2000-01-01T{whole}").parse::<DateTime>().map_err(|_| NoMoment)?;
    if whole.ends_with(":60") {
        return Err(NoMoment);
    }
    match zone {
        "" | "Z" => Ok(()),
        _ => {
            let off = zone.get(1..).ok_or(NoMoment)?;
            let hours = off.get(..2).and_then(|hours| hours.parse::<u8>().ok());
            let minutes = off.get(3..).and_then(|minutes| minutes.parse::<u8>().ok());
            match (shape(off, "00:00"), hours, minutes) {
                (true, Some(0..=14), Some(0..=59)) => Ok(()),
                _ => Err(NoMoment),
            }
        }
    }
}

impl TryFrom<String> for Moment {
    type Error = NoMoment;
    fn try_from(text: String) -> Result<Self, NoMoment> {
        Self::iso(&text)
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When somebody was born or treated is the patient's.
impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moment(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_as_precise_as_it_was_said() {
        for (hl7, iso) in [
            ("2026", "2026"),
            ("202611", "2026-11"),
            ("20261129", "2026-11-29"),
            ("2026112908", "2026-11-29T08:00"),
            ("202611290830", "2026-11-29T08:30"),
            ("20261129083015", "2026-11-29T08:30:15"),
            ("20261129083015.25+0800", "2026-11-29T08:30:15.25+08:00"),
            ("20261129+0800", "2026-11-29"),
        ] {
            assert_eq!(Moment::hl7(hl7).unwrap().as_str(), iso, "{hl7}");
        }
        let whole = Moment::iso("2026-11-29T08:30:15+08:00").unwrap();
        assert_eq!(whole.to_hl7(), "20261129083015+0800");
        assert_eq!(Moment::iso("2026-11").unwrap().first_day().unwrap().to_string(), "2026-11-01");
        assert_eq!(Moment::iso("2026-11").unwrap().day(), None);
    }

    #[test]
    fn a_day_or_time_that_does_not_exist_is_none() {
        for iso in [
            "",
            "26-01-01",
            "2026-13",
            "2026-02-29",
            "2026-1-1",
            "2026-01-01T",
            "2026-01T08:00",
            "2026-01-01T24:01",
            "2026-01-01T08",
            "2026-01-01T08:00:60",
            "2026-01-01T08:00+8",
            "2026-01-01T08:00+15:00",
            "2026-01-01T08:00:00.",
            "0000-01-01",
            "９９９９-01-01",
            "2026-01-01-01",
            "2026-01-01T08:00-+1:00",
        ] {
            assert_eq!(Moment::iso(iso), Err(NoMoment), "{iso}");
        }
        for hl7 in [
            "",
            "202",
            "20260230",
            "2026011",
            "20260101250000",
            "20260101.5",
            "2026\u{e9}",
            "2026+é0",
        ] {
            assert_eq!(Moment::hl7(hl7), Err(NoMoment), "{hl7}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_moment_or_none_and_hl7_and_iso_agree(text in "[0-9TZ:.+ -]{0,32}|.{0,12}") {
            if let Ok(moment) = Moment::hl7(&text) {
                proptest::prop_assert_eq!(Moment::iso(moment.as_str()).unwrap(), moment.clone());
                proptest::prop_assert_eq!(Moment::hl7(&moment.to_hl7()).unwrap(), moment);
            }
            if let Ok(moment) = Moment::iso(&text) && moment.day().is_some() && !text.contains('.') {
                proptest::prop_assert!(Moment::hl7(&moment.to_hl7()).is_ok());
            }
        }
    }
}
