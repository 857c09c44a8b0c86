//! Which objects go on to which other archives, and when: rules over an object's header, free of
//! any queue or clock.

use super::examination::{Examinations, Programme};
use super::header::Header;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;
/// Prefix that the source of an object has when it came over DIMSE.
const DIMSE_SOURCE: &str = "dicom:";

/// A rule. Every condition that is not empty must hold; within one, any value will do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    /// Name, for people.
    pub name: String,
    /// Who sent the object: AE titles, or other sources (`stow`, `import`).
    pub from: Vec<String>,
    /// Modalities (0008,0060), as written.
    pub modalities: Vec<String>,
    /// Ids of body regions; an examination of a part of one belongs to it.
    pub regions: Vec<String>,
    /// Programmes of the examination.
    pub programmes: Vec<Programme>,
    /// SOP class UIDs.
    pub sop_classes: Vec<String>,
    /// Text in the study's or series' description, compared without regard to ASCII case.
    pub description_contains: Vec<String>,
    /// Where matching objects go: AE titles.
    pub to: Vec<String>,
    /// When they may go; none: at any time.
    pub window: Option<Window>,
    /// How long nothing more of the study must have come before it goes, in milliseconds.
    pub delay_ms: i64,
}

/// A time of day that comes every day, in local time; over midnight if it ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from_minute: u16,
    to_minute: u16,
}

/// A text that is no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be two different times of day, like \"22:00-06:00\"")]
pub struct NoWindow;

/// An object, as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Who sent it.
    pub source: &'a str,
    /// Its header.
    pub header: &'a Header,
}

/// What a rule decided: an object goes to `destination` as `rule` says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forward<'a> {
    /// AE title.
    pub destination: &'a str,
    /// The rule.
    pub rule: &'a Rule,
}

impl Window {
    /// Reads `HH:MM-HH:MM`.
    pub fn parse(text: &str) -> Result<Self, NoWindow> {
        let (from, to) = text.split_once('-').ok_or(NoWindow)?;
        let window = Self { from_minute: minute(from)?, to_minute: minute(to)? };
        if window.from_minute == window.to_minute { Err(NoWindow) } else { Ok(window) }
    }

    /// Whether it is open at `at_ms` (milliseconds since 1970-01-01T00:00:00Z), where local time is
    /// `utc_offset_minutes` ahead of UTC. Its last minute is the one before its end.
    pub fn is_open(self, at_ms: i64, utc_offset_minutes: i16) -> bool {
        let minute = at_ms
            .div_euclid(MINUTE_MS)
            .saturating_add(i64::from(utc_offset_minutes))
            .rem_euclid(i64::from(DAY_MINUTES));
        let (from, to) = (i64::from(self.from_minute), i64::from(self.to_minute));
        if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    }
}

fn minute(text: &str) -> Result<u16, NoWindow> {
    let number = |part: &str, below: u16| {
        let digits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u16>().ok().filter(|n| digits && *n < below).ok_or(NoWindow)
    };
    let (hour, minute) = text.trim().split_once(':').ok_or(NoWindow)?;
    Ok(number(hour, 24)? * 60 + number(minute, 60)?)
}

impl Rule {
    /// Whether the rule can only be decided by what the examination is, which takes longer.
    fn asks_examination(&self) -> bool {
        !self.regions.is_empty() || !self.programmes.is_empty()
    }

    /// Whether all that needs no derivation holds.
    fn holds_plainly(&self, of: &Candidate<'_>) -> bool {
        let bare = of.source.strip_prefix(DIMSE_SOURCE).unwrap_or(of.source);
        let Header { study, series, instance, .. } = of.header;
        let any = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
        let described = || {
            let texts = [&study.description, &series.description];
            self.description_contains.iter().any(|wanted| {
                let wanted = wanted.to_ascii_lowercase();
                texts.iter().any(|text| text.to_ascii_lowercase().contains(&wanted))
            })
        };
        (any(&self.from, bare) || any(&self.from, of.source))
            && any(&self.modalities, &series.modality)
            && any(&self.sop_classes, &instance.sop_class)
            && (self.description_contains.is_empty() || described())
    }
}

/// Where an object goes: each destination once, by the first rule that names it. Nothing goes back
/// to where it came from.
pub fn decide<'a>(
    rules: &'a [Rule],
    examinations: &Examinations,
    of: &Candidate<'_>,
) -> Vec<Forward<'a>> {
    let from = of.source.strip_prefix(DIMSE_SOURCE).unwrap_or(of.source);
    let mut derived = None;
    let mut found: Vec<Forward<'a>> = Vec::new();
    for rule in rules {
        if !rule.holds_plainly(of) {
            continue;
        }
        if rule.asks_examination() {
            let study = &derived
                .get_or_insert_with(|| examinations.derive(std::slice::from_ref(of.header)))
                .study;
            let within = |wanted: &String| {
                study.regions.iter().any(|region| examinations.is_within(region, wanted))
            };
            let programme = |wanted: &Programme| study.programmes.contains(wanted);
            if !(rule.regions.is_empty() || rule.regions.iter().any(within))
                || !(rule.programmes.is_empty() || rule.programmes.iter().any(programme))
            {
                continue;
            }
        }
        for destination in &rule.to {
            let known = found.iter().any(|f| f.destination == destination);
            if !known && destination != from {
                found.push(Forward { destination, rule });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examinations() -> Examinations {
        Examinations::load(&crate::embedded::files()).unwrap()
    }

    fn header(modality: &str, description: &str) -> Header {
        let mut header = Header::default();
        header.study.uid = "1.2".to_owned();
        header.study.description = description.to_owned();
        header.series.uid = "1.2.3".to_owned();
        header.series.modality = modality.to_owned();
        header.instance.sop_class = "1.2.840.10008.5.1.4.1.1.2".to_owned();
        header
    }

    fn rule(name: &str, to: &[&str]) -> Rule {
        let to = to.iter().map(|&t| t.to_owned()).collect();
        Rule { name: name.to_owned(), to, ..Rule::default() }
    }

    fn goes(rules: &[Rule], source: &str, header: &Header) -> Vec<String> {
        let of = Candidate { source, header };
        let found = decide(rules, &examinations(), &of);
        found.iter().map(|f| format!("{} by {}", f.destination, f.rule.name)).collect()
    }

    #[test]
    fn every_condition_must_hold_and_the_first_rule_for_a_destination_decides() {
        let mut ct = rule("ct", &["HUB"]);
        ct.modalities = vec!["CT".to_owned(), "MR".to_owned()];
        ct.from = vec!["CT01".to_owned()];
        let all = rule("all", &["HUB", "HOSPITAL2"]);
        let rules = [ct, all];
        let here = header("CT", "");
        let both = ["HUB by ct", "HOSPITAL2 by all"];
        assert_eq!(goes(&rules, "dicom:CT01", &here), both);
        assert_eq!(goes(&rules, "dicom:CT02", &here), ["HUB by all", "HOSPITAL2 by all"]);
        assert_eq!(goes(&rules, "dicom:CT01", &header("US", "")).first().unwrap(), "HUB by all");
    }

    #[test]
    fn nothing_goes_back_to_where_it_came_from() {
        let rules = [rule("all", &["HUB", "HOSPITAL2"])];
        assert_eq!(goes(&rules, "dicom:HUB", &header("CT", "")), ["HOSPITAL2 by all"]);
    }

    #[test]
    fn sources_other_than_dimse_are_named_as_they_are() {
        let mut rule = rule("web", &["HUB"]);
        rule.from = vec!["stow".to_owned()];
        assert_eq!(goes(&[rule.clone()], "stow", &header("CT", "")), ["HUB by web"]);
        assert!(goes(&[rule], "dicom:CT01", &header("CT", "")).is_empty());
    }

    #[test]
    fn regions_and_programmes_come_from_what_the_hospital_wrote() {
        let mut brain = rule("brain", &["HUB"]);
        brain.programmes = vec![Programme::Brain];
        let mut chest = rule("chest", &["HUB"]);
        chest.regions = vec!["chest".to_owned()];
        let rules = [brain, chest];
        assert_eq!(goes(&rules, "a", &header("CT", "颅脑CT平扫")), ["HUB by brain"]);
        assert_eq!(goes(&rules, "a", &header("CT", "胸部CT平扫")), ["HUB by chest"]);
        assert!(goes(&rules, "a", &header("CT", "")).is_empty());
    }

    #[test]
    fn classes_and_words_of_the_description_select() {
        let mut words = rule("words", &["HUB"]);
        words.description_contains = vec!["会诊".to_owned(), "consult".to_owned()];
        words.sop_classes = vec!["1.2.840.10008.5.1.4.1.1.2".to_owned()];
        let rules = [words];
        assert_eq!(goes(&rules, "a", &header("CT", "远程会诊")).len(), 1);
        assert_eq!(goes(&rules, "a", &header("CT", "Teleconsult")).len(), 1);
        assert!(goes(&rules, "a", &header("CT", "routine")).is_empty());
        let mut other = header("CT", "会诊");
        other.instance.sop_class = "1.2".to_owned();
        assert!(goes(&rules, "a", &other).is_empty());
    }

    #[test]
    fn a_window_opens_and_closes_in_local_time_also_over_midnight() {
        let night = Window::parse("22:00-06:00").unwrap();
        let day = Window::parse("8:30-17:00").unwrap();
        let at = |hour: i64, minute: i64| (hour * 60 + minute) * MINUTE_MS;
        for (ms, open) in [
            (at(21, 59), false),
            (at(22, 0), true),
            (at(24, 0), true),
            (at(5, 59), true),
            (at(6, 0), false),
            (-1, true),
        ] {
            assert_eq!(night.is_open(ms, 0), open, "{ms}");
        }
        assert!(day.is_open(at(0, 30), 480) && !day.is_open(at(0, 29), 480));
        assert!(!day.is_open(at(9, 0), 480));
        for text in ["", "22:00", "22:00-22:00", "24:00-06:00", "22:60-1:00", "+1:00-2:00", "x-y"] {
            assert_eq!(Window::parse(text), Err(NoWindow), "{text}");
        }
    }
}
