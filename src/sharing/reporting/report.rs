//! The report: figures of places and months by the formulas of the table, as they are known now, with what
//! they were when the month was drawn up.

use std::collections::BTreeMap;

use super::counters::{Counter, Counters, Values};
use super::hours::{Median, median};
use super::indicators::{Formula, Indicator, Indicators};
use super::ledger::{Known, Site, Told, known_by};
use super::month::Month;
use super::places::{Level, Places};
use super::rollup::{Sums, add_up};
use super::small::{Hidden, Rules, Shown};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Months, in order.
    pub months: Vec<Month>,
    /// How fine.
    pub level: Level,
    /// Number of the place that the report is of.
    pub region: usize,
    /// What was known by then, in milliseconds since 1970.
    pub as_of_ms: i64,
    /// A month is drawn up at the end of this day of the next one.
    pub cut_off_day: u8,
}

/// How much can be said of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is known.
    Known,
    /// It is small, or would give a small one away.
    Hidden,
    /// Nobody has told it.
    Unknown,
    /// Nobody counts it.
    NotCounted,
}

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// How much can be said.
    pub standing: Standing,
    /// The value in the unit of the indicator. Of a known one none where a share is of nothing.
    pub value: Option<f64>,
    /// Of a median: more than [`Figure::value`] hours.
    pub is_above: bool,
    /// The counter above; of a median how many it is of.
    pub numerator: Option<u64>,
    /// The counter below.
    pub denominator: Option<u64>,
}

/// A figure now, and before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stated {
    /// As it is known now.
    pub now: Figure,
    /// What it was when the month was drawn up, where that was something else. Hidden also where the
    /// difference is small.
    pub was: Option<Figure>,
}

/// Sites of one level that told late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Late {
    /// Told for the first time after the month was drawn up.
    pub first: u64,
    /// Told again after that.
    pub again: u64,
}

/// A place in a month.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The month.
    pub month: Month,
    /// Number of the place.
    pub place: usize,
    /// In the order of [`Report::indicators`].
    pub figures: Vec<Stated>,
    /// Who told late, of the place and all below it: by level.
    pub late: BTreeMap<Level, Late>,
}

/// A report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was asked for.
    pub question: Question,
    /// Ids of the indicators, in the order of the table.
    pub indicators: Vec<String>,
    /// By month, then by the order of the places.
    pub rows: Vec<Row>,
}

/// The tables of reports.
#[derive(Debug, Clone)]
pub struct ReportingTables {
    /// What is counted.
    pub counters: Counters,
    /// What is shown.
    pub indicators: Indicators,
    /// Where.
    pub places: Places,
    /// Digest of the tables.
    pub version: String,
}

/// One state of a month.
struct State {
    sums: Sums,
    hidden: Hidden,
}

/// What a month's figures are made with.
struct OfMonth<'a> {
    tables: &'a ReportingTables,
    indicators: Vec<Option<&'a Indicator>>,
}

impl ReportingTables {
    /// Draws a report up from everything that was told (of its months) and the sites.
    pub fn report(&self, question: Question, told: &[Told], sites: &[Site]) -> Report {
        let ids = self.indicators.ids();
        let known = known_by(told, question.as_of_ms);
        let mut rows = Vec::new();
        for month in &question.months {
            let version = |id: &&str| self.indicators.version(id, *month);
            let with = OfMonth { tables: self, indicators: ids.iter().map(version).collect() };
            rows.extend(with.rows(&question, *month, (&known, told), sites));
        }
        Report { question, indicators: ids.into_iter().map(str::to_owned).collect(), rows }
    }

    /// Numbers of the places that a report shows, in order.
    pub fn shown(&self, region: usize, level: Level) -> Vec<usize> {
        let Some(whole) = self.places.get(region) else { return Vec::new() };
        let places = self.places.all().iter().enumerate();
        places
            .filter(|(_, p)| p.level <= level.max(whole.level) && p.code.starts_with(&whole.code))
            .map(|(number, _)| number)
            .collect()
    }
}

impl OfMonth<'_> {
    fn rows(
        &self,
        question: &Question,
        month: Month,
        (known, told): (&Known<'_>, &[Told]),
        sites: &[Site],
    ) -> Vec<Row> {
        let drawn_ms = month.cut_off_ms(question.cut_off_day);
        let (tables, inclusions) = (self.tables, self.tables.indicators.inclusions(month));
        let (counters, places) = (&tables.counters, &tables.places);
        let rules = Rules { counters, places, inclusions: &inclusions };
        let none = Vec::new();
        let newest = known.get(&month).unwrap_or(&none);
        let sums = add_up((counters, places), (month, question.as_of_ms), newest, sites);
        let hidden = rules.hide(&sums);
        let now = State { sums, hidden };
        let before = (question.as_of_ms > drawn_ms).then(|| {
            let of_month = told.iter().filter(|told| told.month == month);
            let known = known_by(of_month, drawn_ms);
            let then = known.get(&month).unwrap_or(&none);
            let sums = add_up((counters, places), (month, drawn_ms), then, sites);
            (sums, late(places, newest, then))
        });
        let changed = before.filter(|(_, late)| !late.is_empty());
        let before = changed.map(|(sums, late)| {
            let newer = Shown { sums: &now.sums, hidden: &now.hidden };
            let hidden = rules.hide_older(&sums, newer);
            (State { sums, hidden }, late)
        });
        let row = |place: usize| {
            let state = before.as_ref();
            let figures = self.indicators.iter().map(|indicator| match indicator {
                Some(indicator) => self.stated(indicator, place, &now, state.map(|(was, _)| was)),
                None => Stated { now: Figure::nothing(Standing::NotCounted), was: None },
            });
            let late = state.and_then(|(_, late)| late.get(&place)).cloned().unwrap_or_default();
            Row { month, place, figures: figures.collect(), late }
        };
        tables.shown(question.region, question.level).into_iter().map(row).collect()
    }

    fn stated(
        &self,
        indicator: &Indicator,
        place: usize,
        now: &State,
        before: Option<&State>,
    ) -> Stated {
        let figure = self.figure(indicator, place, now);
        let Some(before) = before else { return Stated { now: figure, was: None } };
        let bare = |state: &State| {
            let values = state.sums.total.get(place);
            let classes = self.classes(indicator, values);
            let value = |counter: usize| {
                values.and_then(|values| self.tables.counters.value(values, counter))
            };
            (classes, value(indicator.numerator), indicator.denominator.and_then(value))
        };
        if bare(now) == bare(before) {
            return Stated { now: figure, was: None };
        }
        Stated { now: figure, was: Some(self.figure(indicator, place, before)) }
    }

    fn figure(&self, indicator: &Indicator, place: usize, state: &State) -> Figure {
        let counters = &self.tables.counters;
        let both = [Some(indicator.numerator), indicator.denominator];
        let both = both.into_iter().flatten();
        if both.clone().any(|number| counters.get(number).is_none_or(|c| !c.counted)) {
            return Figure::nothing(Standing::NotCounted);
        }
        let values = state.sums.total.get(place);
        let value = |number| values.and_then(|values| counters.value(values, number));
        if both.clone().any(|number| value(number).is_none()) {
            return Figure::nothing(Standing::Unknown);
        }
        if both.clone().any(|number| state.hidden.has(number, place)) {
            return Figure::nothing(Standing::Hidden);
        }
        let numerator = value(indicator.numerator);
        let denominator = indicator.denominator.and_then(value);
        let known = |value, is_above| Figure {
            standing: Standing::Known,
            value,
            is_above,
            numerator,
            denominator,
        };
        match indicator.formula {
            Formula::Count => known(numerator.map(real), false),
            Formula::Share => {
                let share = numerator.zip(denominator.filter(|d| *d > 0));
                known(share.map(|(above, below)| real(above) * 100.0 / real(below)), false)
            }
            Formula::Median => match median(&self.classes(indicator, values)) {
                Some(Median::UpTo(hours)) => known(Some(f64::from(hours)), false),
                Some(Median::Above(hours)) => known(Some(f64::from(hours)), true),
                None => known(None, false),
            },
        }
    }

    fn classes(&self, indicator: &Indicator, values: Option<&Values>) -> Vec<u64> {
        let slots = self.tables.counters.get(indicator.numerator).map(Counter::slots);
        let at = |slot| values.and_then(|values| values.at(slot)).unwrap_or(0);
        slots.into_iter().flatten().map(at).collect()
    }
}

impl Figure {
    fn nothing(standing: Standing) -> Self {
        Self { standing, value: None, is_above: false, numerator: None, denominator: None }
    }
}

/// Who told late, by place and level: whose newest revision is not the one that was known then.
fn late(places: &Places, now: &[&Told], then: &[&Told]) -> BTreeMap<usize, BTreeMap<Level, Late>> {
    let key = |told: &&Told| (told.teller.clone(), told.place.clone());
    let before: BTreeMap<_, u32> = then.iter().map(|told| (key(told), told.revision)).collect();
    let mut all: BTreeMap<usize, BTreeMap<Level, Late>> = BTreeMap::new();
    for told in now.iter().filter(|told| told.is_site) {
        let known = before.get(&key(told));
        if known == Some(&told.revision) {
            continue;
        }
        let mut at = places.number(&told.place);
        let Some(level) = at.and_then(|at| places.get(at)).map(|place| place.level) else {
            continue;
        };
        while let Some(place) = at {
            let late = all.entry(place).or_default().entry(level).or_default();
            match known {
                None => late.first += 1,
                Some(_) => late.again += 1,
            }
            at = places.get(place).and_then(|place| place.above);
        }
    }
    all
}

/// A count as a number with a fraction; counts are far below where that loses anything.
fn real(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}
