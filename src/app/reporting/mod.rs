//! Reporting how far the programme has come: at a node telling its counts ([`telling`]), at a hub hearing
//! them and drawing reports up ([`Coverage`]).
//!
//! Only numbers travel. A node speaks only for where the hub's configuration says that it stands.

pub mod ports;
#[cfg(test)]
pub(crate) mod store_suite;
pub mod telling;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use self::ports::{Heard, KeptTelling, Present, ReportingStore, Telling};
use super::App;
use super::access::{Action, Caller, Role, authorise};
use super::error::Error;
use super::ports::{AuditEntry, Clock};
use super::regional::ports::RegionalStore;
use super::request::Problems;
use crate::sharing::reporting::month::{DAY_MS, HOUR_MS};
use crate::sharing::reporting::{
    Level, Month, Question, Report, ReportingTables, Site, Told, ToldBy, Values,
};

/// Numbers of one telling at most.
const NUMBERS_MAX: usize = 500;
/// Months of one report at most.
const MONTHS_MAX: usize = 24;
/// Rows of one report at most.
const ROWS_MAX: usize = 8_000;
/// Months back of which a node may tell.
const TOLD_MONTHS: usize = 24;
/// How far a node's clock may be ahead.
const AHEAD_MS: i64 = DAY_MS;

/// What a report is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageRequest {
    /// Months such as `2026-10`, in order.
    pub months: Vec<String>,
    /// How fine.
    pub level: Level,
    /// Division code; empty: what the caller may see.
    pub region: String,
    /// What was known by then, in milliseconds since 1970; none: now.
    pub as_of_ms: Option<i64>,
}

/// A report, and what it was made with.
#[derive(Debug, Clone)]
pub struct CoverageReport {
    /// The report.
    pub report: Report,
    /// The tables.
    pub tables: Arc<ReportingTables>,
    /// Name of the hub.
    pub made_by: String,
    /// When, in milliseconds since 1970.
    pub made_ms: i64,
}

/// At a hub: what nodes tell, and the reports.
#[derive(Debug)]
pub struct Coverage {
    store: Arc<dyn ReportingStore>,
    tables: Arc<ReportingTables>,
    clock: Arc<dyn Clock>,
    /// What nodes have published of their studies, where they do.
    studies: Option<Arc<dyn RegionalStore>>,
    /// Where each node stands, as configured.
    areas: BTreeMap<String, String>,
    cut_off_day: u8,
    /// Who was seen since it was last written down: node and day, the hours, and when first.
    seen: Mutex<BTreeMap<(String, i64), (u32, i64)>>,
}

impl Coverage {
    /// Over a store; `areas`: where each node stands.
    pub fn new(
        store: Arc<dyn ReportingStore>,
        (tables, cut_off_day): (Arc<ReportingTables>, u8),
        clock: Arc<dyn Clock>,
        areas: BTreeMap<String, String>,
    ) -> Self {
        let studies = None;
        Self { store, tables, clock, studies, areas, cut_off_day, seen: Mutex::default() }
    }

    /// Counts studies that nodes have published, too.
    #[must_use]
    pub fn with_studies(self, studies: Arc<dyn RegionalStore>) -> Self {
        Self { studies: Some(studies), ..self }
    }

    /// The tables.
    pub fn tables(&self) -> &Arc<ReportingTables> {
        &self.tables
    }

    /// Keeps what a node tells.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the name of the field: a month that is to come or long past, a place that is
    /// none or not the node's, a counter that nodes do not tell.
    pub async fn hear(&self, node: &str, telling: Telling) -> Result<Heard, Error> {
        let caller = Caller::system(node, Role::Node);
        let permit = authorise(&caller, Action::TellCoverage)?;
        let now_ms = self.clock.now_ms();
        self.check(node, &telling, now_ms)?;
        let node = permit.caller().name.clone();
        self.store.keep(KeptTelling { node, telling, at_ms: now_ms }).await
    }

    fn check(&self, node: &str, telling: &Telling, now_ms: i64) -> Result<(), Error> {
        let mut problems = Problems::default();
        let running = Month::of_ms(now_ms.saturating_add(AHEAD_MS));
        let fits = running.is_some_and(|running| {
            telling.month <= running && running.back(TOLD_MONTHS).contains(&telling.month)
        });
        problems.unless(fits, "month", "must be this month or one of the 23 before it");
        problems.unless(telling.revision > 0, "revision", "must be above 0");
        let area = self.areas.get(node).map_or("", String::as_str);
        let places = &self.tables.places;
        let place = places.number(&telling.place).and_then(|number| places.get(number));
        // As it stands there, so that nothing is counted under two codes of one place.
        let is_known = place.is_some_and(|place| place.code == telling.place);
        problems.unless(is_known, "place", "must be a division code of models/regions");
        let is_own = !area.is_empty() && telling.place.starts_with(area);
        let own = "must lie in the area that link.nodes of the hub has for the node";
        problems.unless(is_own, "place", own);
        let few = telling.numbers.len() <= NUMBERS_MAX;
        problems.unless(few, "numbers", "must have at most 500 entries");
        problems.unless(!telling.numbers.is_empty(), "numbers", "must not be empty");
        problems.finish()?;
        self.tables.counters.taken(&telling.numbers, ToldBy::Node).map(drop).map_err(|(at, why)| {
            let field = format!("numbers[{at}]");
            Error::field(field, why.to_string())
        })
    }

    /// Notes that a node is connected now. Written down by [`Coverage::write_down`].
    pub fn seen(&self, node: &str) {
        let now_ms = self.clock.now_ms();
        let Some(day) = crate::sharing::reporting::month::day_of_ms(now_ms) else { return };
        let day_ms = crate::sharing::reporting::month::midnight_ms(day);
        let hour = u32::try_from((now_ms - day_ms) / HOUR_MS).unwrap_or(0).min(23);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = seen.entry((node.to_owned(), day_ms)).or_insert((0, now_ms));
        entry.0 |= 1 << hour;
    }

    /// Writes down who was seen. What cannot be written stays for the next time.
    pub async fn write_down(&self) -> Result<(), Error> {
        let taken = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *seen)
        };
        if taken.is_empty() {
            return Ok(());
        }
        let rows = taken.iter().map(|((node, day_ms), (hours, first_ms))| {
            let place = self.areas.get(node).cloned().unwrap_or_default();
            (Present { node: node.clone(), place, day_ms: *day_ms, hours: *hours }, *first_ms)
        });
        let written = self.store.present(rows.collect()).await;
        if written.is_err() {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, (hours, first_ms)) in taken {
                let entry = seen.entry(key).or_insert((0, first_ms));
                entry.0 |= hours;
                entry.1 = entry.1.min(first_ms);
            }
        }
        written
    }

    /// Draws a report up.
    async fn report(&self, question: Question) -> Result<Report, Error> {
        let mut told = Vec::new();
        let sites = self.store.sites().await?;
        for month in &question.months {
            let drawn_ms = month.cut_off_ms(question.cut_off_day);
            told.extend(self.known(*month, question.as_of_ms).await?);
            if question.as_of_ms > drawn_ms {
                told.extend(self.known(*month, drawn_ms).await?);
            }
            told.extend(self.hours(*month, question.as_of_ms, &sites).await?);
            told.extend(self.studied(*month).await?);
        }
        let tables = Arc::clone(&self.tables);
        // Seconds of computing, for a whole prefecture.
        let drawn = tokio::task::spawn_blocking(move || tables.report(question, &told, &sites));
        drawn.await.map_err(|error| Error::internal("report", error))
    }

    async fn known(&self, month: Month, at_ms: i64) -> Result<Vec<Told>, Error> {
        let kept = self.store.known(month, at_ms).await?;
        let counters = &self.tables.counters;
        let told = kept.into_iter().map(|KeptTelling { node, telling, at_ms }| {
            let mut values = Values::default();
            // What the tables do not have any more is left out.
            for (name, number) in telling.numbers {
                if let Some(slot) = counters.slot(&name) {
                    values.add(slot, number);
                }
            }
            let Telling { place, month, revision, .. } = telling;
            Told { teller: node, place, month, revision, at_ms, is_site: true, values }
        });
        Ok(told.collect())
    }

    /// Studies of a month that nodes have published, as the index stands now: it has no past.
    async fn studied(&self, month: Month) -> Result<Vec<Told>, Error> {
        let slot = self.tables.counters.slot("studies_shared");
        let (Some(studies), Some(slot)) = (&self.studies, slot) else { return Ok(Vec::new()) };
        let counted = studies.studied(&month.to_string().replace('-', "")).await?;
        let told = counted.into_iter().filter_map(|(node, count)| {
            let place = self.areas.get(&node).filter(|area| !area.is_empty())?.clone();
            let mut values = Values::default();
            values.add(slot, count);
            let teller = format!("studies of {node}");
            Some(Told { teller, place, month, revision: 1, at_ms: 0, is_site: false, values })
        });
        Ok(told.collect())
    }

    /// Hours that sites should have been connected in a month, and were not.
    async fn hours(&self, month: Month, as_of_ms: i64, sites: &[Site]) -> Result<Vec<Told>, Error> {
        let counters = &self.tables.counters;
        let slots = (counters.slot("site_hours"), counters.slot("offline_hours"));
        let (Some(whole), Some(lost)) = slots else { return Ok(Vec::new()) };
        let days = self.store.presence(month.start_ms(), month.end_ms()).await?;
        let mut present: BTreeMap<&str, BTreeMap<i64, u32>> = BTreeMap::new();
        for day in &days {
            present.entry(&day.node).or_default().insert(day.day_ms, day.hours);
        }
        let end_ms = month.end_ms().min(as_of_ms);
        let mut told = Vec::new();
        for site in sites {
            // The hour in which it came counts as one that it was there.
            let since_ms = site.since_ms - site.since_ms.rem_euclid(HOUR_MS);
            let from_ms = since_ms.max(month.start_ms());
            let hours = (end_ms - from_ms).div_euclid(HOUR_MS);
            let Some(hours) = u64::try_from(hours).ok().filter(|hours| *hours > 0) else {
                continue;
            };
            let until_ms = from_ms + i64::try_from(hours).unwrap_or(0) * HOUR_MS;
            let there = present.get(site.node.as_str());
            let there = there.map_or(0, |days| hours_between(days, from_ms, until_ms));
            let mut values = Values::default();
            values.add(whole, hours);
            values.add(lost, hours.saturating_sub(there));
            told.push(Told {
                teller: format!("hours of {}", site.node),
                place: site.place.clone(),
                month,
                revision: 1,
                at_ms: 0,
                is_site: false,
                values,
            });
        }
        Ok(told)
    }
}

/// Hours of the days that lie between two moments.
fn hours_between(days: &BTreeMap<i64, u32>, from_ms: i64, until_ms: i64) -> u64 {
    let hour = |day_ms: i64, hour: u32| day_ms + i64::from(hour) * HOUR_MS;
    let of = |(day_ms, bits): (&i64, &u32)| {
        let hours = (0..24).filter(|at| bits & (1 << at) != 0);
        hours.filter(|at| (from_ms..until_ms).contains(&hour(*day_ms, *at))).count()
    };
    u64::try_from(days.iter().map(of).sum::<usize>()).unwrap_or(0)
}

impl App {
    /// A report of how far the programme has come, at a hub.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Invalid`] with what is allowed; [`Error::Refused`] where this is no hub.
    pub async fn coverage_report(
        &self,
        caller: &Caller,
        request: CoverageRequest,
    ) -> Result<CoverageReport, Error> {
        let permit = authorise(caller, Action::ReadCoverage)?;
        let coverage = self.coverage()?;
        let question = coverage.question(caller, &request)?;
        let region = coverage.tables.places.get(question.region);
        let entry = AuditEntry {
            record_id: region.map(|place| place.code.clone()).unwrap_or_default(),
            detail: format!(
                "coverage {} {} as of {}",
                request.months.join(" "),
                question.level.name(),
                question.as_of_ms
            ),
            ..self.entry("", "")
        };
        self.journal.audit(&permit, entry).await?;
        let report = coverage.report(question).await?;
        Ok(CoverageReport {
            report,
            tables: Arc::clone(&coverage.tables),
            made_by: self.name.clone(),
            made_ms: self.clock.now_ms(),
        })
    }

    /// The tables of reports.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn coverage_tables(&self, caller: &Caller) -> Result<Arc<ReportingTables>, Error> {
        authorise(caller, Action::ReadCoverage)?;
        Ok(Arc::clone(&self.knowledge.load().reporting))
    }

    fn coverage(&self) -> Result<&Coverage, Error> {
        let reason = "reports are drawn up at the hub: ask it with its own address";
        self.coverage.as_deref().ok_or_else(|| Error::Refused { reason: reason.to_owned() })
    }
}

impl Coverage {
    fn question(&self, caller: &Caller, request: &CoverageRequest) -> Result<Question, Error> {
        let mut problems = Problems::default();
        let count = request.months.len();
        problems.unless((1..=MONTHS_MAX).contains(&count), "months", "must be 1 to 24 months");
        let now_ms = self.clock.now_ms();
        let running = Month::of_ms(now_ms);
        let mut months: Vec<Month> = Vec::new();
        for (at, text) in request.months.iter().enumerate().take(MONTHS_MAX) {
            let field = format!("months[{at}]");
            match text.parse::<Month>() {
                Ok(month) => {
                    let is_past = running.is_some_and(|running| month <= running);
                    problems.unless(is_past, &field, "must not be in the future");
                    let is_next = months.last().is_none_or(|last| *last < month);
                    problems.unless(is_next, &field, "must be after the one before it");
                    months.push(month);
                }
                Err(error) => problems.unless(false, &field, &error.to_string()),
            }
        }
        let as_of_ms = request.as_of_ms.unwrap_or(now_ms);
        problems.unless((1..=now_ms).contains(&as_of_ms), "as_of_ms", "must not be in the future");
        let region = self.region(caller, &request.region, &mut problems);
        let places = region.map_or(0, |region| self.tables.shown(region, request.level).len());
        let few = places.saturating_mul(count.max(1)) <= ROWS_MAX;
        let allowed = "gives too many rows: ask for fewer months, a coarser level or one county";
        problems.unless(few, "level", allowed);
        problems.finish()?;
        let cut_off_day = self.cut_off_day;
        let region = region.unwrap_or(0);
        Ok(Question { months, level: request.level, region, as_of_ms, cut_off_day })
    }

    /// The place that a report is of: the one that is named, where the caller may see it.
    fn region(&self, caller: &Caller, code: &str, problems: &mut Problems) -> Option<usize> {
        let places = &self.tables.places;
        let code = match code.trim() {
            "" => match caller.areas() {
                [] => return Some(0),
                [one] => one.as_str(),
                _ => {
                    problems.unless(false, "region", "must be named: you have several areas");
                    return None;
                }
            },
            code => code,
        };
        let found = places.number(code);
        problems.unless(found.is_some(), "region", "must be a division code of models/regions");
        let number = found?;
        let place = places.get(number)?;
        let is_own = caller.looks_after(&place.code);
        problems.unless(is_own, "region", "must lie in the area that you work in");
        is_own.then_some(number)
    }
}
