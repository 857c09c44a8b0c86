//! A year of a whole prefecture that never was: sites that connect over the year, weeks offline, numbers
//! that come late or come twice. For looking at reports before there is anything to report, and for
//! measuring how long they take. The same seed gives the same year.

use super::ReportingTables;
use super::counters::{Counter, Values};
use super::hours::CLASSES;
use super::ledger::{Site, Told};
use super::month::{DAY_MS, HOUR_MS, Month};
use super::places::{Level, Place};

/// Name of the teller of the hub's own numbers.
pub const HUB: &str = "hub";

/// A simulated year.
#[derive(Debug, Clone)]
pub struct Year {
    /// Everything that was told.
    pub told: Vec<Told>,
    /// The sites.
    pub sites: Vec<Site>,
    /// When all of it had come.
    pub as_of_ms: i64,
}

/// Numbers by chance: `SplitMix64` (Steele, Lea and Flood 2014), so that a seed gives the same year on every
/// machine.
struct Chance(u64);

/// How busy a site is, in a month of the whole year.
struct Habits {
    since: usize,
    size: u64,
    /// Out of a thousand: months that come late, that come twice, and hours that are lost.
    late: u64,
    twice: u64,
    lost: u64,
}

/// Simulates a year.
pub fn year(tables: &ReportingTables, months: &[Month], seed: u64) -> Year {
    let (mut told, mut sites) = (Vec::new(), Vec::new());
    for (number, place) in tables.places.all().iter().enumerate() {
        let salt = u64::try_from(number).unwrap_or(0);
        let mut chance = Chance(seed ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let Some(site) = Habits::new(place.level, &mut chance) else { continue };
        let Some(first) = months.get(site.since) else { continue };
        let since_ms = first.start_ms() + chance.hours(24 * 27);
        let node = format!("{}-{}", place.level.name(), place.code);
        sites.push(Site { node: node.clone(), place: place.code.clone(), since_ms });
        for month in months.iter().skip(site.since) {
            let with = Writer { tables, place, node: &node, month: *month };
            with.tell(&site, since_ms, &mut chance, &mut told);
        }
    }
    let last = told.iter().map(|one| one.at_ms).max().unwrap_or(0);
    Year { told, sites, as_of_ms: last + DAY_MS }
}

struct Writer<'a> {
    tables: &'a ReportingTables,
    place: &'a Place,
    node: &'a str,
    month: Month,
}

impl Habits {
    fn new(level: Level, chance: &mut Chance) -> Option<Self> {
        let (since, size) = match level {
            Level::Region => return None,
            Level::County => (0, 1_500 + chance.below(3_000)),
            Level::Township => (usize::try_from(chance.below(6)).ok()?, 120 + chance.below(500)),
            // Some villages do not come this year.
            Level::Village => (usize::try_from(chance.below(14)).ok()?, 2 + chance.below(70)),
        };
        let is_village = level == Level::Village;
        let (late, twice, lost) = match (is_village, chance.below(100)) {
            // A village behind the hills.
            (true, ..=4) => (300, 150, 250),
            (true, _) => (20, 20, 30),
            (false, _) => (5, 10, 5),
        };
        Some(Self { since, size, late, twice, lost })
    }
}

impl Writer<'_> {
    fn tell(&self, site: &Habits, since_ms: i64, chance: &mut Chance, told: &mut Vec<Told>) {
        let values = self.values(site, chance);
        let hub = self.of_hub(site, since_ms, chance);
        let soon = self.month.end_ms() + HOUR_MS + chance.hours(48);
        let after = self.month.cut_off_ms(super::CUT_OFF_DAY) + HOUR_MS + chance.hours(24 * 35);
        let one = |revision, at_ms, values| Told {
            teller: self.node.to_owned(),
            place: self.place.code.clone(),
            month: self.month,
            revision,
            at_ms,
            is_site: true,
            values,
        };
        if chance.is(site.late) {
            told.push(one(1, after, values));
        } else if chance.is(site.twice) {
            // What was written while the line was down comes with the second.
            let mut half = Values::default();
            for slot in 0..self.tables.counters.slots() {
                if let Some(value) = values.at(slot) {
                    half.add(slot, value / 2);
                }
            }
            told.push(one(1, soon, half));
            told.push(one(2, after, values));
        } else {
            told.push(one(1, soon, values));
        }
        told.push(Told { teller: HUB.to_owned(), is_site: false, ..one(1, soon, hub) });
    }

    fn add(&self, values: &mut Values, id: &str, value: u64) {
        if let Some(slot) = self.tables.counters.slot(id) {
            values.add(slot, value);
        }
    }

    /// So many, spread over classes of hours around one of them.
    fn spread(
        &self,
        values: &mut Values,
        (id, count, around): (&str, u64, u64),
        chance: &mut Chance,
    ) {
        let counters = &self.tables.counters;
        let slots = counters.number(id).and_then(|n| counters.get(n)).map(Counter::slots);
        let Some(slots) = slots else { return };
        let last = u64::try_from(CLASSES).unwrap_or(1) - 1;
        for slot in slots.clone() {
            values.add(slot, 0);
        }
        for _ in 0..count {
            let class = (around + chance.below(4)).saturating_sub(chance.below(4)).min(last);
            values.add(slots.start + usize::try_from(class).unwrap_or(0), 1);
        }
    }

    fn values(&self, site: &Habits, chance: &mut Chance) -> Values {
        let mut values = Values::default();
        let of = &mut values;
        // More people are ill in winter.
        let season = match self.month.month() {
            12 | 1 | 2 => 125,
            6..=8 => 85,
            _ => 100,
        };
        let some = |size: u64, chance: &mut Chance| {
            size * season / 100 * (700 + chance.below(600)) / 1_000
        };
        let consultations = some(site.size, chance);
        let named = chance.of(consultations, 930);
        let advised = chance.of(consultations, 70);
        self.add(of, "consultations", consultations);
        self.add(of, "consultations_named", named);
        self.add(of, "consultations_accepted", chance.of(named, 710));
        self.add(of, "referrals_advised", advised);
        self.add(of, "referrals", chance.of(advised, 450));
        let doctors = (site.size / 90).max(1);
        self.add(of, "active_doctors", if consultations == 0 { 0 } else { doctors });
        let checks = chance.of(consultations, 820);
        let flagged = chance.of(checks, 190);
        self.add(of, "checks", checks);
        self.add(of, "checks_flagged", flagged);
        let kinds = [
            ("flagged_allergy", 40),
            ("flagged_interaction", 170),
            ("flagged_duplicate", 150),
            ("flagged_dose", 260),
            ("flagged_person", 180),
            ("flagged_antibiotic", 230),
            ("flagged_other", 120),
        ];
        for (id, share) in kinds {
            self.add(of, id, chance.of(flagged, share));
        }
        let traced = chance.of(flagged, 930);
        self.add(of, "flagged_named", traced);
        self.add(of, "checks_changed", chance.of(traced, 580));
        self.add(of, "overrides", chance.of(flagged, 210));
        let (made, delivered) = match self.place.level {
            Level::Region | Level::Village => (0, some(site.size / 8, chance)),
            Level::Township => (some(site.size / 12, chance), some(site.size / 10, chance)),
            Level::County => (some(site.size / 5, chance), chance.below(10)),
        };
        let sent = chance.of(made, 985);
        self.add(of, "records_made", made);
        self.add(of, "records_complete", chance.of(made, 930));
        self.add(of, "records_sent", sent);
        self.spread(of, ("sync_hours", sent, 1), chance);
        let read = chance.of(delivered, 810);
        self.add(of, "records_delivered", delivered);
        // Some come by a relation that was written down later.
        self.spread(of, ("delivery_hours", chance.of(delivered, 900), 2), chance);
        self.add(of, "records_read", read);
        self.spread(of, ("read_hours", read, 5), chance);
        let due = some(site.size / 6, chance);
        self.add(of, "tasks_due", due);
        self.add(of, "tasks_on_time", chance.of(due, 790));
        self.recognition(of, site, chance);
        values
    }

    fn recognition(&self, values: &mut Values, site: &Habits, chance: &mut Chance) {
        let decisions = match self.place.level {
            Level::Region | Level::Village => 0,
            Level::Township => chance.below(8),
            Level::County => site.size / 40 + chance.below(20),
        };
        let recognised = chance.of(decisions, 520);
        let repeated = chance.of(decisions - recognised, 350);
        self.add(values, "recognition_decisions", decisions);
        self.add(values, "studies_recognised", recognised);
        self.add(values, "studies_repeated", repeated);
        let grounds = ["condition_changed", "changes_quickly", "decisive", "emergency", "forensic"];
        let mut left = repeated;
        for ground in grounds {
            let some = chance.of(left, 300);
            left -= some;
            self.add(values, &format!("repeated_{ground}"), some);
        }
        self.add(values, "repeated_other", left);
    }

    fn of_hub(&self, site: &Habits, since_ms: i64, chance: &mut Chance) -> Values {
        let mut values = Values::default();
        let from_ms = since_ms.max(self.month.start_ms());
        let hours = u64::try_from((self.month.end_ms() - from_ms) / HOUR_MS).unwrap_or(0);
        let mut lost = chance.of(hours, site.lost);
        if chance.is(25) {
            lost += 168;
        }
        self.add(&mut values, "site_hours", hours);
        self.add(&mut values, "offline_hours", lost.min(hours));
        let shared = match self.place.level {
            Level::Region | Level::Village => 0,
            Level::Township => chance.below(60),
            Level::County => site.size / 3,
        };
        self.add(&mut values, "studies_shared", shared);
        values
    }
}

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to one less.
    fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// Whether something happens that does so many times in a thousand.
    fn is(&mut self, in_thousand: u64) -> bool {
        self.below(1_000) < in_thousand
    }

    /// How many of so many do.
    fn of(&mut self, count: u64, in_thousand: u64) -> u64 {
        (0..count).map(|_| u64::from(self.is(in_thousand))).sum()
    }

    fn hours(&mut self, bound: u64) -> i64 {
        i64::try_from(self.below(bound)).unwrap_or(0) * HOUR_MS
    }
}
