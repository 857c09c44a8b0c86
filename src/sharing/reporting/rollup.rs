//! Adding up: from what sites told to townships, counties and the whole.

use std::collections::{BTreeMap, BTreeSet};

use super::counters::{Counters, Values};
use super::ledger::{Site, Told};
use super::month::Month;
use super::places::{Level, Places};

/// Counters that say that a site did something.
const ACTIVITY: [&str; 6] =
    ["consultations", "checks", "overrides", "records_made", "records_delivered", "tasks_on_time"];

/// Numbers of every place, by its number in [`Places`].
#[derive(Debug, Clone)]
pub(super) struct Sums {
    /// What the place itself told: sites that stand in a township or county, not below it.
    pub(super) own: Vec<Values>,
    /// That and what is below.
    pub(super) total: Vec<Values>,
}

/// Adds up what is known of a month.
pub(super) fn add_up(
    (counters, places): (&Counters, &Places),
    (month, at_ms): (Month, i64),
    known: &[&Told],
    sites: &[Site],
) -> Sums {
    let mut own = vec![Values::default(); places.all().len()];
    let mut told_by: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for told in known {
        let Some(number) = places.number(&told.place) else { continue };
        if let Some(values) = own.get_mut(number) {
            values.merge(&told.values);
        }
        if told.is_site {
            told_by.entry(number).or_default().insert(&told.teller);
        }
    }
    let adder = Adder { counters, own: &mut own };
    adder.coverage(places, (month, at_ms), sites, &told_by);
    let mut total = own.clone();
    places.up(|number, above| {
        let Some(below) = total.get(number).cloned() else { return };
        if let Some(values) = total.get_mut(above) {
            values.merge(&below);
        }
    });
    Sums { own, total }
}

struct Adder<'a> {
    counters: &'a Counters,
    own: &'a mut Vec<Values>,
}

impl Adder<'_> {
    /// What the tables and the list of sites tell.
    fn coverage(
        mut self,
        places: &Places,
        (month, at_ms): (Month, i64),
        sites: &[Site],
        told_by: &BTreeMap<usize, BTreeSet<&str>>,
    ) {
        let mut connected: BTreeMap<usize, u64> = BTreeMap::new();
        for site in sites.iter().filter(|s| s.since_ms < month.end_ms() && s.since_ms <= at_ms) {
            if let Some(number) = places.number(&site.place) {
                *connected.entry(number).or_default() += 1;
            }
        }
        let whole = [
            "villages",
            "townships",
            "counties",
            "village_sites",
            "township_sites",
            "county_sites",
            "active_village_sites",
            "active_township_sites",
            "active_county_sites",
            "sites",
            "sites_told",
        ];
        // The whole is never unknown.
        for id in whole {
            self.add(0, id, 0);
        }
        for (number, place) in places.all().iter().enumerate() {
            let ids = match place.level {
                Level::Region => continue,
                Level::County => ["counties", "county_sites", "active_county_sites"],
                Level::Township => ["townships", "township_sites", "active_township_sites"],
                Level::Village => ["villages", "village_sites", "active_village_sites"],
            };
            let [division, site, active] = ids;
            self.add(number, division, 1);
            let here = connected.get(&number).copied().unwrap_or(0);
            let is_active = here > 0 && self.did_something(number);
            self.add(number, site, u64::from(here > 0));
            self.add(number, active, u64::from(is_active));
            self.add(number, "sites", here);
            let told = told_by.get(&number).map_or(0, BTreeSet::len);
            self.add(number, "sites_told", u64::try_from(told).unwrap_or(u64::MAX).min(here));
        }
    }

    fn did_something(&self, place: usize) -> bool {
        let Some(values) = self.own.get(place) else { return false };
        ACTIVITY.iter().any(|id| {
            let number = self.counters.number(id);
            number.and_then(|number| self.counters.value(values, number)).is_some_and(|n| n > 0)
        })
    }

    fn add(&mut self, place: usize, id: &str, value: u64) {
        if let (Some(slot), Some(values)) = (self.counters.slot(id), self.own.get_mut(place)) {
            values.add(slot, value);
        }
    }
}
