//! The section of forwarding.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ConfigError, DicomSection, ImagingSection, refuse};
use crate::app::imaging::forwarding::{Destination, Plan};
use crate::sharing::imaging::examination::Programme;
use crate::sharing::imaging::forwarding::{Rule, Window};

/// Rules at most.
const RULES_MAX: usize = 256;
/// Associations with one destination at most.
const ASSOCIATIONS_MAX: usize = 16;
/// Longest delay, in seconds.
const DELAY_S_MAX: u32 = 86_400;
/// Smallest rate: below it a peer would give up waiting.
const BYTES_PER_SECOND_MIN: u64 = 4096;
/// Furthest that local time is from UTC, in minutes.
const UTC_OFFSET_MINUTES_MAX: i16 = 14 * 60;

/// What goes on to other archives. Objects that come in after a rule was first set are matched;
/// what is queued is kept on the disk until its destination has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardingSection {
    /// How far local time is ahead of UTC, in minutes; windows are in local time. China: 480.
    pub utc_offset_minutes: i16,
    /// Rules, in the order they are tried. For each destination the first that matches decides.
    pub rules: Vec<ForwardingRule>,
}

/// One rule. Every condition given must hold; of the values of one, any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardingRule {
    /// Name, once.
    pub name: String,
    /// Who sent the object: AE titles, `stow`, `import`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Modalities (0008,0060): `CT`, `MR`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modalities: Vec<String>,
    /// Body regions (ids of `models/imaging/regions.csv`), parts of them included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Programmes: `brain`, `chest`, `cardiovascular`, `other`, `unknown`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programmes: Vec<ProgrammeName>,
    /// SOP class UIDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sop_classes: Vec<String>,
    /// Text in the description of study or series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub description_contains: Vec<String>,
    /// AE titles of `dicom.peers` that have an address.
    pub to: Vec<String>,
    /// When objects may go, in local time: `22:00-06:00`. None: at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Bytes in a second to each destination; of several rules with one destination the smallest
    /// counts. None: as many as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second_max: Option<u64>,
    /// Associations with each destination at the same time; of several rules the smallest counts.
    #[serde(default = "one")]
    pub associations_max: usize,
    /// An object waits until nothing of its study has come for so many seconds, ten times as long
    /// at most.
    #[serde(default)]
    pub delay_s: u32,
}

/// A programme, in configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgrammeName {
    /// Brain.
    Brain,
    /// Chest.
    Chest,
    /// Heart and vessels.
    Cardiovascular,
    /// Recognised as none of these.
    Other,
    /// Not to be told.
    Unknown,
}

fn one() -> usize {
    1
}

impl Default for ForwardingSection {
    fn default() -> Self {
        Self { utc_offset_minutes: 480, rules: Vec::new() }
    }
}

impl From<ProgrammeName> for Programme {
    fn from(name: ProgrammeName) -> Self {
        match name {
            ProgrammeName::Brain => Self::Brain,
            ProgrammeName::Chest => Self::Chest,
            ProgrammeName::Cardiovascular => Self::Cardiovascular,
            ProgrammeName::Other => Self::Other,
            ProgrammeName::Unknown => Self::Unknown,
        }
    }
}

impl ForwardingSection {
    pub(super) fn validate(
        &self,
        imaging: &ImagingSection,
        dicom: &DicomSection,
    ) -> Result<(), ConfigError> {
        if self.utc_offset_minutes.unsigned_abs() > UTC_OFFSET_MINUTES_MAX.unsigned_abs() {
            return refuse("forwarding.utc_offset_minutes must be from -840 to 840");
        }
        if self.rules.is_empty() {
            return Ok(());
        }
        if !imaging.enabled {
            return refuse("forwarding.rules need imaging.enabled = true");
        }
        if self.rules.len() > RULES_MAX {
            return refuse(&format!("forwarding.rules: at most {RULES_MAX}"));
        }
        let mut names = BTreeSet::new();
        for rule in &self.rules {
            if rule.name.is_empty() || rule.name.chars().count() > 64 {
                return refuse("forwarding.rules.name must have 1 to 64 characters");
            }
            let name = &rule.name;
            if !names.insert(name) {
                return refuse(&format!("forwarding.rules: the name {name:?} stands twice"));
            }
            rule.validate(dicom)
                .or_else(|why| refuse(&format!("forwarding.rules {name:?}: {why}")))?;
        }
        Ok(())
    }

    /// What forwarding is to do.
    pub fn plan(&self) -> Plan {
        let mut destinations: BTreeMap<&str, Destination> = BTreeMap::new();
        for rule in &self.rules {
            for to in &rule.to {
                let destination = destinations.entry(to).or_insert_with(|| Destination {
                    ae_title: to.clone(),
                    bytes_per_second_max: None,
                    associations_max: rule.associations_max,
                });
                destination.associations_max =
                    destination.associations_max.min(rule.associations_max);
                destination.bytes_per_second_max =
                    match (destination.bytes_per_second_max, rule.bytes_per_second_max) {
                        (Some(so_far), Some(more)) => Some(so_far.min(more)),
                        (one, None) | (None, one) => one,
                    };
            }
        }
        Plan {
            rules: self.rules.iter().map(ForwardingRule::rule).collect(),
            destinations: destinations.into_values().collect(),
            utc_offset_minutes: self.utc_offset_minutes,
        }
    }
}

impl ForwardingRule {
    fn validate(&self, dicom: &DicomSection) -> Result<(), String> {
        if self.to.is_empty() {
            return Err("`to` names no destination".to_owned());
        }
        for to in &self.to {
            if !dicom.peers.iter().any(|p| p.ae_title == *to && p.address.is_some()) {
                return Err(format!("{to:?} is not in dicom.peers, or has no address there"));
            }
        }
        if let Some(window) = &self.window
            && let Err(error) = Window::parse(window)
        {
            return Err(format!("window {error}"));
        }
        if self.bytes_per_second_max.is_some_and(|rate| rate < BYTES_PER_SECOND_MIN) {
            return Err(format!("bytes_per_second_max must be at least {BYTES_PER_SECOND_MIN}"));
        }
        if !(1..=ASSOCIATIONS_MAX).contains(&self.associations_max) {
            return Err(format!("associations_max must be from 1 to {ASSOCIATIONS_MAX}"));
        }
        if self.delay_s > DELAY_S_MAX {
            return Err(format!("delay_s must be at most {DELAY_S_MAX}"));
        }
        Ok(())
    }

    fn rule(&self) -> Rule {
        Rule {
            name: self.name.clone(),
            from: self.from.clone(),
            modalities: self.modalities.clone(),
            regions: self.regions.clone(),
            programmes: self.programmes.iter().copied().map(Programme::from).collect(),
            sop_classes: self.sop_classes.clone(),
            description_contains: self.description_contains.clone(),
            to: self.to.clone(),
            window: self.window.as_deref().and_then(|text| Window::parse(text).ok()),
            delay_ms: i64::from(self.delay_s) * 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    const PEERS: &str = r#"
        [[dicom.peers]]
        ae_title = "HUB"
        address = "10.0.0.1:104"
        services = ["echo"]
        [[dicom.peers]]
        ae_title = "CT01"
        services = ["store"]
    "#;

    fn parse(text: &str) -> Result<Config, String> {
        let text = format!("{PEERS}\n{text}");
        Config::parse("test", &text, &std::collections::BTreeMap::new()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_plan_has_each_destination_once_with_its_narrowest_limits() {
        let config = parse(
            r#"
            [[forwarding.rules]]
            name = "night"
            modalities = ["CT"]
            programmes = ["brain"]
            regions = ["head"]
            to = ["HUB"]
            window = "22:00-06:00"
            bytes_per_second_max = 100000
            associations_max = 4
            delay_s = 30
            [[forwarding.rules]]
            name = "all"
            to = ["HUB"]
            bytes_per_second_max = 200000
            associations_max = 2
            "#,
        )
        .unwrap();
        let plan = config.forwarding.plan();
        assert_eq!(plan.destinations.len(), 1);
        let hub = plan.destinations.first().unwrap();
        assert_eq!((hub.bytes_per_second_max, hub.associations_max), (Some(100_000), 2));
        assert_eq!(plan.rules.first().unwrap().delay_ms, 30_000);
        assert!(plan.rules.first().unwrap().window.is_some());
        assert_eq!(plan.utc_offset_minutes, 480);
        let again: Config = toml::from_str(&config.to_toml()).unwrap();
        assert_eq!(again.forwarding, config.forwarding);
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_rule_and_the_reason() {
        for (rule, why) in [
            ("to = []", "no destination"),
            ("to = [\"NOWHERE\"]", "is not in dicom.peers"),
            ("to = [\"CT01\"]", "has no address"),
            ("to = [\"HUB\"]\nwindow = \"22-6\"", "two different times of day"),
            ("to = [\"HUB\"]\nassociations_max = 0", "associations_max must be"),
            ("to = [\"HUB\"]\nbytes_per_second_max = 1", "bytes_per_second_max must be"),
            ("to = [\"HUB\"]\ndelay_s = 100000", "delay_s must be"),
            ("to = [\"HUB\"]\nprogrammes = [\"foot\"]", "unknown variant"),
        ] {
            let error = parse(&format!("[[forwarding.rules]]\nname = \"r\"\n{rule}")).unwrap_err();
            assert!(error.contains(why), "{rule}: {error}");
        }
    }
}
