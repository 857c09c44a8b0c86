//! Asking a PACS what it has, again and again.
//!
//! The newest days are asked every minute or so; all days of the window, hours apart, so that what
//! came late or was deleted is noticed. Below a study the PACS is asked only where the study's own
//! answer has changed, or, if that tells no count, while the study is new. Not every PACS tells
//! counts: then the instances are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::Date;
use tokio::time::{Instant, sleep};

use super::{Behind, Pacs, Question};
use crate::app::chain;
use crate::app::error::Error;
use crate::app::imaging::study::{REPORT_MODALITIES, StudyReport, better_report};
use crate::app::ports::Clock;
use crate::app::recognition::beijing_day;
use crate::sharing::imaging::header::Study;
use crate::sharing::imaging::published::{Held, PublishedReport, PublishedSeries, PublishedStudy};
use crate::sharing::imaging::query::Match;
use crate::sharing::recognition::SeriesFacts;

/// Days before today that are asked each time: a night's work is dated yesterday.
const NEW_DAYS: i32 = 1;
/// Days asked over one association.
const DAYS_AT_ONCE: usize = 10;
/// Studies looked into over one association.
const STUDIES_AT_ONCE: usize = 50;
/// Series told of one study at most.
const SERIES_MAX: usize = 2_000;
/// Series of reports looked into, of one study.
const REPORT_SERIES_MAX: usize = 20;

/// How a PACS is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// Days before today whose studies are told.
    pub days: u16,
    /// Between two looks at the newest days.
    pub every: Duration,
    /// Between two looks at all days.
    pub whole_every: Duration,
}

/// What a look found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Studies that the PACS has of the days that were asked.
    pub studies: u64,
    /// Those of them that are new or have changed.
    pub changed: u64,
    /// Studies that it does not have any more.
    pub gone: u64,
}

/// Follows one PACS.
#[derive(Debug)]
pub struct Follower {
    behind: Arc<Behind>,
    pacs: Arc<dyn Pacs>,
    clock: Arc<dyn Clock>,
    following: Following,
}

impl Follower {
    /// Follows `pacs` for `behind`.
    pub fn new(
        behind: Arc<Behind>,
        pacs: Arc<dyn Pacs>,
        clock: Arc<dyn Clock>,
        following: Following,
    ) -> Self {
        Self { behind, pacs, clock, following }
    }

    /// Follows for ever. A PACS that does not answer is asked again at the next look.
    pub async fn run(self) {
        let mut whole: Option<Instant> = None;
        let mut failing = false;
        loop {
            let begun = Instant::now();
            let all = whole.is_none_or(|at| at.elapsed() >= self.following.whole_every);
            let days = if all { i32::from(self.following.days) } else { NEW_DAYS };
            match self.look(days).await {
                Ok(looked) => {
                    if all {
                        whole = Some(begun);
                    }
                    let Looked { studies, changed, gone } = looked;
                    let pacs = self.pacs.name();
                    if changed > 0 || gone > 0 || failing {
                        tracing::info!(pacs, days, studies, changed, gone, "PACS was asked");
                    }
                    failing = false;
                }
                Err(error) => {
                    if !failing {
                        let pacs = self.pacs.name();
                        tracing::warn!(pacs, error = chain(&error), "PACS cannot be asked");
                    }
                    failing = true;
                }
            }
            sleep(self.following.every).await;
        }
    }

    /// Asks for the studies from `days` ago to tomorrow, the newest first: clocks differ.
    pub async fn look(&self, days: i32) -> Result<Looked, Error> {
        let today = self.today();
        let days: Vec<String> = (-1..=days)
            .filter_map(|ago| today.checked_sub(ago.days()).ok())
            .map(|day| day.strftime("%Y%m%d").to_string())
            .collect();
        let newest = today.checked_sub(NEW_DAYS.days()).unwrap_or(today);
        let newest = newest.strftime("%Y%m%d").to_string();
        let mut looked = Looked::default();
        for days in days.chunks(DAYS_AT_ONCE) {
            let questions = days.iter().map(|day| Question::Studies { day: day.clone() });
            let answers = self.pacs.ask(questions.collect()).await?;
            for (day, answered) in days.iter().zip(answers) {
                self.day((day, *day >= newest), answered, &mut looked).await?;
            }
        }
        self.forget(today, &mut looked).await?;
        Ok(looked)
    }

    /// Takes what the PACS answers for one day, and whether that day is among the newest.
    async fn day(
        &self,
        (day, new): (&str, bool),
        answered: Vec<Match>,
        looked: &mut Looked,
    ) -> Result<(), Error> {
        let store = self.behind.store();
        let mut kept: HashMap<String, PublishedStudy> = HashMap::new();
        for study in store.dated(self.pacs.name(), day, day).await? {
            kept.insert(study.study.uid.clone(), study);
        }
        let mut changed = Vec::new();
        let mut there = BTreeSet::new();
        for study in answered {
            let Study { uid, date, .. } = &study.header.study;
            // Not every PACS minds what day it is asked for.
            let of_the_day = date.is_empty() || date == day;
            if !of_the_day || !there.insert(uid.clone()) {
                continue;
            }
            looked.studies += 1;
            if !kept.get(uid).is_some_and(|kept| is_same(kept, &study, new)) {
                changed.push(study);
            }
        }
        for studies in changed.chunks(STUDIES_AT_ONCE) {
            let described = self.describe(studies).await?;
            let news = |study: &PublishedStudy| kept.get(&study.study.uid) != Some(study);
            let described: Vec<_> = described.into_iter().filter(news).collect();
            looked.changed += u64::try_from(described.len()).unwrap_or(u64::MAX);
            if !described.is_empty() {
                store.keep(self.pacs.name(), day, described).await?;
            }
        }
        let gone: Vec<String> = kept.into_keys().filter(|uid| !there.contains(uid)).collect();
        if !gone.is_empty() {
            looked.gone += u64::try_from(gone.len()).unwrap_or(u64::MAX);
            store.gone(self.pacs.name(), gone).await?;
        }
        Ok(())
    }

    /// What is older than the window is not told any more: nobody looks whether it is still there.
    async fn forget(&self, today: Date, looked: &mut Looked) -> Result<(), Error> {
        let oldest = today.checked_sub((i32::from(self.following.days) + 1).days());
        let Ok(oldest) = oldest else { return Ok(()) };
        let before = oldest.strftime("%Y%m%d").to_string();
        let store = self.behind.store();
        let old = store.dated(self.pacs.name(), "", &before).await?;
        if old.is_empty() {
            return Ok(());
        }
        looked.gone += u64::try_from(old.len()).unwrap_or(u64::MAX);
        let old = old.into_iter().map(|study| study.study.uid).collect();
        store.gone(self.pacs.name(), old).await
    }

    /// Studies as they are published, with what the PACS has below them.
    async fn describe(&self, studies: &[Match]) -> Result<Vec<PublishedStudy>, Error> {
        let uid = |study: &Match| study.header.study.uid.clone();
        let questions = studies.iter().map(|study| Question::Series { study: uid(study) });
        let mut series = self.pacs.ask(questions.collect()).await?;
        for (study, series) in studies.iter().zip(&mut series) {
            let told = study.instances > 0 || series.iter().any(|found| found.instances > 0);
            if !told {
                self.count(&uid(study), series).await?;
            }
        }
        let mut of_reports = Vec::new();
        for (study, series) in studies.iter().zip(&series) {
            let written = series.iter().map(|found| &found.header.series);
            let written = written.filter(|s| REPORT_MODALITIES.contains(&s.modality.as_str()));
            for series in written.take(REPORT_SERIES_MAX) {
                of_reports
                    .push(Question::Instances { study: uid(study), series: series.uid.clone() });
            }
        }
        let mut reports: BTreeMap<String, StudyReport> = BTreeMap::new();
        if !of_reports.is_empty() {
            let answers = self.pacs.ask(of_reports.clone()).await?;
            for (question, found) in of_reports.into_iter().zip(answers) {
                let Question::Instances { study, .. } = question else { continue };
                let there = reports.entry(study).or_default();
                for found in found {
                    better_report(there, found.header);
                }
            }
        }
        let described = studies.iter().zip(series).map(|(study, series)| {
            let report = reports.remove(&study.header.study.uid).unwrap_or_default();
            published(study, series, report)
        });
        Ok(described.collect())
    }

    /// Counts the instances of series of which the PACS tells no count.
    async fn count(&self, study: &str, series: &mut [Match]) -> Result<(), Error> {
        let questions = series.iter().map(|found| Question::Instances {
            study: study.to_owned(),
            series: found.header.series.uid.clone(),
        });
        let instances = self.pacs.ask(questions.collect()).await?;
        for (series, instances) in series.iter_mut().zip(instances) {
            series.instances = u64::try_from(instances.len()).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    fn today(&self) -> Date {
        beijing_day(self.clock.now_ms())
    }
}

/// Whether the PACS answers the same of a study as it did. A new one of which it tells no count could
/// have grown.
fn is_same(kept: &PublishedStudy, answered: &Match, new: bool) -> bool {
    let modalities = answered.modalities.is_empty() || kept.modalities == answered.modalities;
    let count = match answered.instances {
        0 => !new,
        instances => kept.instances == instances,
    };
    count
        && kept.patient == answered.header.patient
        && kept.study == answered.header.study
        && modalities
}

fn published(study: &Match, series: Vec<Match>, report: StudyReport) -> PublishedStudy {
    let below: u64 = series.iter().map(|series| series.instances).sum();
    let mut modalities = study.modalities.clone();
    if modalities.is_empty() {
        let each: BTreeSet<String> =
            series.iter().map(|found| found.header.series.modality.clone()).collect();
        modalities = each.into_iter().filter(|modality| !modality.is_empty()).collect();
    }
    let guessed = |found: &Match| found.header.character_set_guessed;
    let character_set_guessed = guessed(study) || series.iter().any(guessed);
    let series = series.into_iter().take(SERIES_MAX).map(|found| PublishedSeries {
        series: found.header.series,
        // What recognition asks of the images is in the images; it is not known.
        quality: SeriesFacts::default(),
    });
    PublishedStudy {
        patient: study.header.patient.clone(),
        study: study.header.study.clone(),
        modalities,
        series: series.collect(),
        report: PublishedReport {
            state: report.state,
            title: report.title,
            instance: report.instance,
        },
        instances: if study.instances > 0 { study.instances } else { below },
        bytes: 0,
        kept_apart: 0,
        content: String::new(),
        held: Held::Behind,
        character_set_guessed,
    }
}
