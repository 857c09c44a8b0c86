//! Formulas, adding up, cut-off, and that no level gives a small number back.

mod hiding;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::hours::{CLASSES, Median, class_of_ms, median};
use super::month::{DAY_MS, HOUR_MS};
use super::*;
use crate::embedded;
use crate::tables::files::Files;

fn tables() -> &'static ReportingTables {
    static TABLES: LazyLock<ReportingTables> = LazyLock::new(|| load(&embedded::files()).unwrap());
    &TABLES
}

fn load(files: &Files) -> Result<ReportingTables, LoadError> {
    ReportingTables::load(files, &Divisions::load(files)?)
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

const TOWN: &str = "361102001";
const VILLAGES: [&str; 3] = ["361102001001", "361102001003", "361102001004"];

fn told(tables: &ReportingTables, place: &str, numbers: &[(&str, u64)]) -> Told {
    let mut values = Values::default();
    for (name, number) in numbers {
        values.add(tables.counters.slot(name).unwrap(), *number);
    }
    let month = month("2026-10");
    Told {
        teller: format!("node-{place}"),
        place: place.to_owned(),
        month,
        revision: 1,
        at_ms: month.end_ms() + HOUR_MS,
        is_site: true,
        values,
    }
}

fn sites(told: &[Told]) -> Vec<Site> {
    let one = |t: &Told| (t.teller.clone(), t.place.clone());
    let nodes: BTreeMap<_, _> = told.iter().filter(|t| t.is_site).map(one).collect();
    let since_ms = month("2026-02").start_ms();
    nodes.into_iter().map(|(node, place)| Site { node, place, since_ms }).collect()
}

fn report(tables: &ReportingTables, told: &[Told], as_of_ms: i64) -> Report {
    let question = Question {
        months: vec![month("2026-10")],
        level: Level::Village,
        region: 0,
        as_of_ms,
        cut_off_day: CUT_OFF_DAY,
    };
    tables.report(question, told, &sites(told))
}

fn later() -> i64 {
    month("2026-12").start_ms()
}

fn stated(tables: &ReportingTables, report: &Report, code: &str, id: &str) -> Stated {
    let place = tables.places.number(code).unwrap();
    let column = report.indicators.iter().position(|one| one == id).unwrap();
    report.rows.iter().find(|row| row.place == place).unwrap().figures[column]
}

fn now(tables: &ReportingTables, report: &Report, code: &str, id: &str) -> Figure {
    stated(tables, report, code, id).now
}

#[test]
fn months_go_by_the_calendar_in_shanghai() {
    let october = month("2026-10");
    // 2026-09-30T16:00:00Z is midnight in Shanghai.
    assert_eq!(october.start_ms(), 1_790_784_000_000);
    assert_eq!(Month::of_ms(october.start_ms()), Some(october));
    assert_eq!(Month::of_ms(october.start_ms() - 1), Some(month("2026-09")));
    assert_eq!(october.end_ms() - october.start_ms(), 31 * DAY_MS);
    assert_eq!(october.cut_off_ms(5), month("2026-11").start_ms() + 5 * DAY_MS);
    assert_eq!(month("2026-12").next(), Some(month("2027-01")));
    assert_eq!(month("2027-01").back(3), [month("2026-11"), month("2026-12"), month("2027-01")]);
    for wrong in ["2026-13", "2026-00", "2026-1", "26-01", "2019-12", "2200-01", "2026/10", ""] {
        assert!(wrong.parse::<Month>().is_err(), "{wrong}");
    }
}

#[test]
fn the_places_are_those_of_the_prefecture() {
    let places = &tables().places;
    let count = |level| places.all().iter().filter(|place| place.level == level).count();
    assert_eq!(
        [Level::Region, Level::County, Level::Township, Level::Village].map(count),
        [1, 12, 229, 2_883]
    );
    assert_eq!(places.number("361102000000"), places.number("361102"));
    assert_eq!(places.number("361100"), Some(0));
    assert_eq!(places.number("360102"), None);
    let town = places.get(places.number(TOWN).unwrap()).unwrap();
    assert_eq!((town.name.as_str(), town.above), ("水南街道", places.number("361102")));
}

#[test]
fn coverage_is_of_all_divisions_and_not_of_those_that_came() {
    let tables = tables();
    let all = [
        told(tables, VILLAGES[0], &[("consultations", 20)]),
        told(tables, VILLAGES[1], &[("consultations", 0)]),
    ];
    let report = report(tables, &all, later());
    let whole = now(tables, &report, "3611", "village_coverage");
    assert_eq!((whole.numerator, whole.denominator), (Some(2), Some(2_883)));
    let active = now(tables, &report, "3611", "village_activity");
    assert_eq!((active.numerator, active.denominator), (Some(1), Some(2_883)));
    let town = now(tables, &report, TOWN, "village_coverage");
    let villages = tables.places.all().iter().filter(|p| p.code.len() == 12);
    let villages = villages.filter(|p| p.code.starts_with(TOWN)).count();
    assert_eq!(town.denominator, Some(u64::try_from(villages).unwrap()));
    assert_eq!(now(tables, &report, "3611", "county_coverage").denominator, Some(12));
    assert_eq!(now(tables, &report, "3611", "township_coverage").denominator, Some(229));
    // A village has no townships.
    let standing = now(tables, &report, VILLAGES[0], "township_coverage").standing;
    assert_eq!(standing, Standing::Unknown);
}

#[test]
fn what_nobody_told_is_unknown_and_never_nought() {
    let tables = tables();
    let all = [told(tables, VILLAGES[0], &[("consultations", 0)])];
    let report = report(tables, &all, later());
    let figure = |code, id| now(tables, &report, code, id);
    assert_eq!(figure(VILLAGES[0], "diagnoses").value, Some(0.0));
    assert_eq!(figure(VILLAGES[1], "diagnoses").standing, Standing::Unknown);
    assert_eq!(figure("361103", "diagnoses").standing, Standing::Unknown);
    assert_eq!(figure(VILLAGES[0], "prescriptions").standing, Standing::Unknown);
    assert_eq!(figure("361103", "reporting").value, None);
}

#[test]
fn shares_come_from_sums_and_not_from_shares() {
    let tables = tables();
    let all = [
        told(tables, VILLAGES[0], &[("tasks_due", 10), ("tasks_on_time", 10)]),
        told(tables, VILLAGES[1], &[("tasks_due", 90), ("tasks_on_time", 45)]),
        told(tables, TOWN, &[("tasks_due", 20), ("tasks_on_time", 5)]),
    ];
    let report = report(tables, &all, later());
    let town = now(tables, &report, TOWN, "follow_up");
    assert_eq!((town.numerator, town.denominator, town.value), (Some(60), Some(120), Some(50.0)));
    assert_eq!(now(tables, &report, "3611", "follow_up"), town);
}

#[test]
fn medians_are_of_the_sum_of_classes() {
    assert_eq!(class_of_ms(-5), 0);
    assert_eq!([HOUR_MS, HOUR_MS + 1, 24 * HOUR_MS, 721 * HOUR_MS].map(class_of_ms), [0, 1, 5, 12]);
    let mut counts = [0; CLASSES];
    assert_eq!(median(&counts), None);
    (counts[0], counts[5]) = (3, 2);
    assert_eq!(median(&counts), Some(Median::UpTo(1)));
    counts[12] = 100;
    assert_eq!(median(&counts), Some(Median::Above(720)));
    let tables = tables();
    let all = [
        told(tables, VILLAGES[0], &[("read_hours/1", 9), ("read_hours/48", 1)]),
        told(tables, VILLAGES[1], &[("read_hours/48", 30)]),
        told(tables, VILLAGES[2], &[("read_hours/48", 2)]),
    ];
    let report = report(tables, &all, later());
    let figure = |code| now(tables, &report, code, "read_lag");
    assert_eq!((figure(VILLAGES[0]).value, figure(VILLAGES[0]).numerator), (Some(1.0), Some(10)));
    assert_eq!(figure(TOWN).value, Some(48.0));
    assert_eq!(figure(VILLAGES[2]).standing, Standing::Hidden);
}

#[test]
fn a_late_village_corrects_the_month_and_is_seen_to() {
    let tables = tables();
    let first = [
        told(tables, VILLAGES[0], &[("consultations", 40)]),
        told(tables, VILLAGES[1], &[("consultations", 30)]),
    ];
    let mut all = first.to_vec();
    let cut_off_ms = month("2026-10").cut_off_ms(CUT_OFF_DAY);
    let mut late = told(tables, VILLAGES[2], &[("consultations", 25)]);
    late.at_ms = cut_off_ms + DAY_MS;
    let mut again = told(tables, VILLAGES[1], &[("consultations", 50)]);
    (again.at_ms, again.revision) = (cut_off_ms + 2 * DAY_MS, 2);
    all.extend([late, again]);
    let of = |as_of_ms| report(tables, &all, as_of_ms);
    let known = |report: &Report| now(tables, report, TOWN, "diagnoses").value;
    assert_eq!(known(&of(cut_off_ms)), Some(70.0));
    assert_eq!(known(&of(cut_off_ms + DAY_MS)), Some(95.0));
    let report = of(later());
    let town = stated(tables, &report, TOWN, "diagnoses");
    assert_eq!(town.now.value, Some(115.0));
    assert_eq!(town.was.and_then(|was| was.value), Some(70.0));
    let row = report.rows.iter().find(|row| row.place == 0).unwrap();
    assert_eq!(row.late, BTreeMap::from([(Level::Village, Late { first: 1, again: 1 })]));
    let told = stated(tables, &report, TOWN, "reporting");
    assert_eq!((told.now.numerator, told.was.and_then(|was| was.numerator)), (Some(3), Some(2)));
    // What did not change says nothing, and what is known as of the cut-off has no correction.
    assert_eq!(stated(tables, &report, VILLAGES[0], "diagnoses").was, None);
    assert!(of(cut_off_ms).rows.iter().all(|row| row.figures.iter().all(|f| f.was.is_none())));
}

#[test]
fn an_older_revision_that_comes_later_changes_nothing() {
    let tables = tables();
    let mut newer = told(tables, VILLAGES[0], &[("consultations", 50)]);
    newer.revision = 7;
    let mut older = told(tables, VILLAGES[0], &[("consultations", 10)]);
    (older.revision, older.at_ms) = (3, newer.at_ms + HOUR_MS);
    for all in [[newer.clone(), older.clone()], [older, newer]] {
        let report = report(tables, &all, later());
        assert_eq!(now(tables, &report, VILLAGES[0], "diagnoses").value, Some(50.0));
    }
}

#[test]
fn numbers_that_are_told_are_checked_one_by_one() {
    let counters = &tables().counters;
    let taken = |told: &[(&str, u64)]| {
        let told: Vec<(String, u64)> = told.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        counters.taken(&told, ToldBy::Node)
    };
    let good = taken(&[("checks", 3), ("read_hours/24", 1), ("read_hours/more", 0)]).unwrap();
    assert_eq!(counters.named(&good).len(), 3);
    for unknown in ["check", "checks/24", "read_hours", "read_hours/25", "villages", "sites", ""] {
        assert_eq!(taken(&[("checks", 1), (unknown, 1)]), Err((1, NotTaken::Unknown)), "{unknown}");
    }
    assert_eq!(taken(&[("checks", 1), ("checks", 1)]), Err((1, NotTaken::Twice)));
    assert_eq!(taken(&[("checks", u64::MAX)]), Err((0, NotTaken::TooLarge)));
}

#[test]
fn what_nobody_counts_is_said_to_be_uncounted_and_never_nought() {
    let mut files = embedded::files();
    let path = "reporting/counters.csv";
    let text = files.text(path).unwrap().to_owned();
    let row = text.lines().find(|line| line.starts_with("delivery_hours,")).unwrap();
    let uncounted = row.replace(",-,yes,", ",-,no,");
    assert_ne!(row, uncounted);
    let text = text.replace(row, &uncounted);
    files.insert(path, text.into_bytes());
    let tables = load(&files).unwrap();
    let told_it = [("delivery_hours/24".to_owned(), 1)];
    assert_eq!(tables.counters.taken(&told_it, ToldBy::Node), Err((0, NotTaken::Unknown)));
    let all = [told(&tables, VILLAGES[0], &[("consultations", 9)])];
    let report = report(&tables, &all, later());
    let figure = now(&tables, &report, VILLAGES[0], "delivery_lag");
    assert_eq!((figure.standing, figure.value), (Standing::NotCounted, None));
}

#[test]
fn a_formula_holds_from_its_day_on() {
    let mut files = embedded::files();
    let path = "reporting/indicators.csv";
    let text = files.text(path).unwrap().to_owned();
    let row = "sent_rate,新的送出率,%,share,records_sent,records_complete,2,2026-11-01,出院记录,,project,draft";
    files.insert(path, format!("{text}{row}\n").into_bytes());
    let tables = load(&files).unwrap();
    let version = |at| tables.indicators.version("sent_rate", month(at)).map(|held| held.version);
    assert_eq!(version("2026-10"), Some(1));
    assert_eq!(version("2026-11"), Some(2));
    assert_eq!(version("2025-12"), None);
    assert_eq!(tables.indicators.ids().iter().filter(|id| **id == "sent_rate").count(), 1);
}

#[test]
fn a_bad_row_is_refused_with_its_line() {
    let refused = |path: &str, from: &str, to: &str| {
        let mut files = embedded::files();
        let text = files.text(path).unwrap().to_owned();
        assert!(text.contains(from), "{from}");
        files.insert(path, text.replacen(from, to, 1).into_bytes());
        load(&files).map(drop).unwrap_err().to_string()
    };
    let counters = "reporting/counters.csv";
    let row = "active_doctors,活跃医生";
    let said = refused(counters, row, "checks,活跃医生");
    assert!(said.contains("counters.csv:") && said.contains("twice"), "{said}");
    assert!(refused(counters, ",studies_repeated,yes", ",nothing,yes").contains("part_of"));
    assert!(refused(counters, ",yes,project,draft", ",yes,,draft").contains("no source"));
    let indicators = "reporting/indicators.csv";
    assert!(
        refused(indicators, "share,village_sites,villages", "share,village_sites,-")
            .contains("denominator")
    );
    assert!(refused(indicators, "median,sync_hours", "median,checks").contains("median"));
    assert!(refused(indicators, "count,checks,-", "count,chequers,-").contains("`chequers`"));
    assert!(refused(indicators, "1,2026-01-01", "1,2026-02-30").contains("from"));
}

#[test]
fn a_simulated_year_is_the_same_for_the_same_seed() {
    let tables = tables();
    let months = [month("2026-01"), month("2026-02")];
    let one = simulation::year(tables, &months, 7);
    assert_eq!(one.told, simulation::year(tables, &months, 7).told);
    assert_ne!(one.told, simulation::year(tables, &months, 8).told);
    // What is simulated is what a node and a hub may tell.
    for told in one.told.iter().take(2_000) {
        let by = if told.is_site { ToldBy::Node } else { ToldBy::Hub };
        let named = tables.counters.named(&told.values);
        assert_eq!(tables.counters.taken(&named, by), Ok(told.values.clone()));
    }
}
