//! Which numbers of a month are not shown, for every place and counter.
//!
//! Numbers of a counter add up over the levels, a counter may be a part of another, and one may never be
//! above another. All of that is published together, so all of it is looked at together, down to the
//! villages, whatever levels a report shows; [`crate::sharing::deidentify::counts`] does the hiding.

use std::collections::BTreeMap;

use super::counters::{CounterKind, Counters};
use super::places::{Level, Places};
use super::rollup::Sums;
use crate::sharing::deidentify::counts::{Part, SUPPRESSED, Shape, suppress, suppress_tree};

/// What is hidden, by counter and place. What is not in it is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Hidden(BTreeMap<usize, Vec<bool>>);

/// What a month is hidden by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// The counters.
    pub(super) counters: &'a Counters,
    /// The places.
    pub(super) places: &'a Places,
    /// Counters of which the first is never above the second.
    pub(super) inclusions: &'a [(usize, usize)],
}

/// Numbers that were shown of another state of the same month, by counter and place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// The newer state.
    pub(super) sums: &'a Sums,
    /// What of it is hidden.
    pub(super) hidden: &'a Hidden,
}

impl Hidden {
    /// Whether a number is hidden.
    pub(super) fn has(&self, counter: usize, place: usize) -> bool {
        self.0.get(&counter).and_then(|places| places.get(place)).copied().unwrap_or(false)
    }

    fn hide(&mut self, counter: usize, place: usize, places: usize) {
        let list = self.0.entry(counter).or_insert_with(|| vec![false; places]);
        if let Some(hidden) = list.get_mut(place) {
            *hidden = true;
        }
    }
}

impl Rules<'_> {
    /// What of a month is hidden.
    pub(super) fn hide(&self, sums: &Sums) -> Hidden {
        let mut hidden = Hidden::default();
        for (number, counter) in self.counters.all().iter().enumerate() {
            if counter.is_open() || !counter.counted {
                continue;
            }
            match (counter.kind, counter.part_of) {
                (CounterKind::Hours, _) => self.hide_hours(sums, number, &mut hidden),
                (CounterKind::Number, None) => self.hide_tree(sums, number, None, &mut hidden),
                // With the whole, below.
                (CounterKind::Number, Some(_)) => {}
            }
        }
        for number in 0..self.counters.all().len() {
            let parts: Vec<usize> = self.parts(number);
            if !parts.is_empty() {
                self.hide_parts(sums, (number, &parts), &mut hidden);
            }
        }
        hidden
    }

    /// What of an older state of the same month is hidden where it is shown beside the newer one: what was
    /// small then, what changed by little, and what would give either back. A counter of which some place
    /// has less than before, or which is a part of another or counts hours, is hidden altogether.
    pub(super) fn hide_older(&self, older: &Sums, newer: Shown<'_>) -> Hidden {
        let mut hidden = Hidden::default();
        for (number, counter) in self.counters.all().iter().enumerate() {
            if counter.is_open() || !counter.counted {
                continue;
            }
            let is_whole = counter.kind == CounterKind::Number
                && counter.part_of.is_none()
                && self.parts(number).is_empty();
            let differences = self.differences(number, older, newer.sums);
            let (true, Some(differences)) = (is_whole, differences) else {
                for place in 0..self.places.all().len() {
                    hidden.hide(number, place, self.places.all().len());
                }
                continue;
            };
            self.hide_tree(older, number, Some(newer), &mut hidden);
            let mut parts = self.tree(&differences, number);
            suppress_tree(&mut parts, counter.small_below);
            self.keep(number, &parts, &mut hidden);
            for place in 0..self.places.all().len() {
                if newer.hidden.has(number, place) {
                    hidden.hide(number, place, self.places.all().len());
                }
            }
        }
        hidden
    }

    /// Counters that add up to one.
    fn parts(&self, whole: usize) -> Vec<usize> {
        let all = self.counters.all().iter().enumerate();
        all.filter(|(_, counter)| counter.part_of == Some(whole)).map(|(n, _)| n).collect()
    }

    /// A median says little of one person, and nothing of anybody where there are enough.
    fn hide_hours(&self, sums: &Sums, number: usize, hidden: &mut Hidden) {
        let Some(counter) = self.counters.get(number) else { return };
        for (place, values) in sums.total.iter().enumerate() {
            let count = self.counters.value(values, number).unwrap_or(0);
            if count > 0 && count < counter.small_below {
                hidden.hide(number, place, sums.total.len());
            }
        }
    }

    /// The tree of a counter: each place, and what a place with others below it told itself.
    fn tree(&self, sums: &Sums, number: usize) -> Vec<Part> {
        let value = |values: &super::Values| self.counters.value(values, number).unwrap_or(0);
        let part = |above, count| Part { above, count, least: 0, most: None, hidden: false };
        let places = self.places.all().iter().zip(&sums.total);
        let mut parts: Vec<Part> =
            places.map(|(place, values)| part(place.above, value(values))).collect();
        let own = self.places.all().iter().zip(&sums.own).enumerate();
        for (at, (place, values)) in own {
            if place.level != Level::Village {
                parts.push(part(Some(at), value(values)));
            }
        }
        parts
    }

    fn hide_tree(
        &self,
        sums: &Sums,
        number: usize,
        beside: Option<Shown<'_>>,
        hidden: &mut Hidden,
    ) {
        let Some(counter) = self.counters.get(number) else { return };
        let mut parts = self.tree(sums, number);
        for (place, (part, values)) in parts.iter_mut().zip(&sums.total).enumerate() {
            let other = |other: usize| self.counters.value(values, other);
            for (less, more) in self.inclusions {
                if *more == number {
                    part.least = part.least.max(other(*less).unwrap_or(0));
                }
                if *less == number
                    && let Some(most) = other(*more)
                {
                    let most = most.max(counter.small_below);
                    part.most = Some(part.most.map_or(most, |known| known.min(most)));
                }
            }
            if let Some(newer) = beside {
                let now = newer.sums.total.get(place);
                let now = now.and_then(|values| self.counters.value(values, number)).unwrap_or(0);
                if now == part.count && !newer.hidden.has(number, place) {
                    (part.least, part.most) = (part.count, Some(part.count));
                }
            }
        }
        suppress_tree(&mut parts, counter.small_below);
        self.keep(number, &parts, hidden);
    }

    fn keep(&self, number: usize, parts: &[Part], hidden: &mut Hidden) {
        let places = self.places.all().len();
        for (place, _) in parts.iter().take(places).enumerate().filter(|(_, part)| part.hidden) {
            hidden.hide(number, place, places);
        }
    }

    /// By how much each place has more now; none where one has less.
    fn differences(&self, number: usize, older: &Sums, newer: &Sums) -> Option<Sums> {
        let slot = self.counters.get(number)?.slots().start;
        let less = |before: &super::Values, now: &super::Values| {
            let (before, now) = (before.at(slot).unwrap_or(0), now.at(slot).unwrap_or(0));
            let mut values = super::Values::default();
            values.add(slot, now.checked_sub(before)?);
            Some(values)
        };
        let all = |before: &[super::Values], now: &[super::Values]| {
            let both = before.iter().zip(now).map(|(before, now)| less(before, now));
            both.collect::<Option<Vec<super::Values>>>()
        };
        Some(Sums { own: all(&older.own, &newer.own)?, total: all(&older.total, &newer.total)? })
    }

    /// Parts of a counter, which are shown down to the counties: a table of places and parts with both
    /// sums. Below the counties they are hidden.
    fn hide_parts(&self, sums: &Sums, (whole, parts): (usize, &[usize]), hidden: &mut Hidden) {
        let Some(counter) = self.counters.get(whole) else { return };
        let places = self.places.all().iter().enumerate();
        let coarse = |level: Level| matches!(level, Level::Region | Level::County);
        // The region's own sites are a row of their own, so that the rows add up.
        let rows: Vec<usize> =
            places.clone().filter(|(_, p)| p.level == Level::County).map(|(n, _)| n).collect();
        let line = |label: &str, values: &super::Values| {
            let of = |number: &usize| self.counters.value(values, *number).unwrap_or(0).to_string();
            let mut line = vec![label.to_owned()];
            line.extend(parts.iter().chain([&whole]).map(of));
            line
        };
        let mut header = vec!["place".to_owned()];
        header.extend(parts.iter().map(usize::to_string));
        header.push("total".to_owned());
        let mut table = vec![header];
        let of = |place: usize| sums.total.get(place).cloned().unwrap_or_default();
        table.extend(rows.iter().map(|place| line("county", &of(*place))));
        table.push(line("own", &sums.own.first().cloned().unwrap_or_default()));
        table.push(line("total", &of(0)));
        let shape = Shape { label_columns: Some(1) };
        let made = suppress(&table, shape, counter.small_below).map(|made| made.rows);
        let count = self.places.all().len();
        for (place, _) in places.filter(|(_, place)| !coarse(place.level)) {
            for part in parts {
                hidden.hide(*part, place, count);
            }
        }
        let listed = rows.iter().copied().map(Some).chain([None, Some(0)]).enumerate();
        let shown = |row: usize, column: usize| {
            let rows = made.as_ref().ok()?;
            Some(rows.get(row + 1)?.get(column + 1)? != SUPPRESSED)
        };
        // A table that does not add up, or that would need a sum hidden which is shown, shows no part.
        let is_fit = listed.clone().all(|(row, place)| {
            let is_shown = shown(row, parts.len());
            is_shown == Some(true)
                || place.is_none_or(|place| is_shown.is_some() && hidden.has(whole, place))
        });
        for (row, place) in listed {
            let Some(place) = place else { continue };
            for (column, number) in parts.iter().enumerate() {
                if !is_fit || shown(row, column) != Some(true) {
                    hidden.hide(*number, place, count);
                }
            }
        }
    }
}
