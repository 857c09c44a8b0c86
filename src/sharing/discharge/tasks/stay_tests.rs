//! Tasks of several records of one stay.

use jiff::civil::Date;
use proptest::prelude::*;

use super::stay::{Progress, StayRecord, StayTask, covered};
use super::{Basis, Task, TaskKind};
use crate::sharing::discharge::Format;
use crate::sharing::discharge::programmes::Programme::{self, Hypertension, Stroke};

fn task(record: &str, rule: &str, programmes: &[Programme], due: &str) -> StayTask {
    let task = Task {
        id: rule.to_owned(),
        rule: rule.to_owned(),
        programmes: programmes.to_vec(),
        kind: TaskKind::Visit,
        basis: Basis::Said,
        earliest: None,
        due: due.parse().ok(),
        wording_zh: rule.to_owned(),
        reasons: Vec::new(),
        targets: Vec::new(),
    };
    StayTask { id: format!("{record} {rule}"), task, progress: Progress::Untouched }
}

fn record(
    name: &str,
    format: Format,
    programmes: &[Programme],
    tasks: Vec<StayTask>,
) -> StayRecord {
    let (name, format) = (name.to_owned(), format.name().to_owned());
    StayRecord { name, format, programmes: programmes.to_vec(), tasks }
}

fn front(tasks: Vec<StayTask>) -> StayRecord {
    record("front", Format::CdaWst500_32, &[Stroke], tasks)
}

fn summary(tasks: Vec<StayTask>) -> StayRecord {
    record("summary", Format::CdaDischargeSummary, &[Stroke], tasks)
}

/// Which tasks are covered; the same in whatever order the records are.
fn found(mut records: Vec<StayRecord>) -> Vec<(String, String)> {
    let one = covered(&records);
    records.reverse();
    assert_eq!(one, covered(&records));
    one.into_iter().collect()
}

fn by(task: &str, record: &str) -> (String, String) {
    (task.to_owned(), record.to_owned())
}

#[test]
fn a_visit_of_the_front_sheet_is_that_of_the_summary() {
    let one = summary(vec![task("s", "visit", &[Stroke], "2026-12-02")]);
    let other = front(vec![
        task("f", "visit", &[Stroke], "2026-12-02"),
        task("f", "other", &[Stroke], "2026-12-02"),
    ]);
    assert_eq!(found(vec![one.clone(), other.clone()]), [by("f visit", "summary")]);
    // Alone each stands by itself.
    assert_eq!((found(vec![one]), found(vec![other])), (Vec::new(), Vec::new()));
}

#[test]
fn what_asks_for_more_or_sooner_stays() {
    // The front sheet knows of hypertension too: the pressure is to be measured.
    let both = front(vec![task("f", "visit", &[Stroke, Hypertension], "2026-12-02")]);
    let one = summary(vec![task("s", "visit", &[Stroke], "2026-12-02")]);
    assert_eq!(found(vec![one, both.clone()]), [by("s visit", "front")]);
    // The summary's visit is sooner and asks for less: both stay.
    let sooner = summary(vec![task("s", "visit", &[Stroke], "2026-11-25")]);
    assert_eq!(found(vec![sooner, both]), []);
    // A request in other words is another one.
    let mut worded = task("f", "request", &[], "2026-12-02");
    worded.task.wording_zh = "医院要求：复查血脂".to_owned();
    let asked = summary(vec![task("s", "request", &[], "2026-12-02")]);
    assert_eq!(found(vec![asked, front(vec![worded])]), []);
    // One without a day does not stand for one that has.
    let undated = summary(vec![task("s", "visit", &[Stroke], "")]);
    let dated = front(vec![task("f", "visit", &[Stroke], "2026-12-02")]);
    assert_eq!(found(vec![undated, dated]), [by("s visit", "front")]);
}

#[test]
fn what_is_done_is_done_once_and_what_was_cancelled_stands_for_nothing() {
    let open = summary(vec![task("s", "visit", &[Stroke], "2026-11-25")]);
    let with = |progress| {
        let done = StayTask { progress, ..task("f", "visit", &[Stroke], "2026-12-02") };
        found(vec![open.clone(), front(vec![done])])
    };
    assert_eq!(with(Progress::Taken), [by("s visit", "front")]);
    assert_eq!(with(Progress::Dropped), []);
}

#[test]
fn what_one_record_leaves_out_another_may_say() {
    let mut no_pressure = task("f", "measure", &[Stroke], "2026-12-02");
    no_pressure.task.basis = Basis::Unsaid;
    let says = summary(vec![task("s", "visit", &[Stroke], "2026-12-02")]);
    let sheet = front(vec![no_pressure.clone()]);
    assert_eq!(found(vec![says.clone(), sheet.clone()]), [by("f measure", "summary")]);
    // Neither says it: it is to be done once.
    let mut silent = says.clone();
    silent.tasks.push(StayTask { id: "s measure".to_owned(), ..no_pressure });
    assert_eq!(found(vec![silent, sheet.clone()]), [by("f measure", "summary")]);
    // One of another programme, or of which nothing was read, was never asked.
    let other = StayRecord { programmes: vec![Hypertension], ..says.clone() };
    assert_eq!(found(vec![other, sheet.clone()]), []);
    assert_eq!(found(vec![StayRecord { tasks: Vec::new(), ..says }, sheet]), []);
}

#[test]
fn whom_one_record_says_to_be_dead_nobody_visits() {
    let mut close = task("s", "close", &[], "2026-12-02");
    close.task.basis = Basis::Death;
    let visits = front(vec![task("f", "visit", &[Stroke], "2026-12-02")]);
    assert_eq!(found(vec![summary(vec![close]), visits]), [by("f visit", "summary")]);
}

fn any_record(name: &'static str) -> impl Strategy<Value = StayRecord> {
    let programmes = prop::sample::subsequence(vec![Stroke, Hypertension], 0..=2);
    let days = prop::sample::select(vec!["", "2026-11-25", "2026-12-02"]);
    let progress =
        prop::sample::select(vec![Progress::Untouched, Progress::Taken, Progress::Dropped]);
    let rules = prop::sample::select(vec!["visit", "request"]);
    let each = (rules, programmes, days, progress);
    let format = prop::sample::select(vec![Format::CdaWst500_32, Format::CdaDischargeSummary]);
    (format, prop::collection::vec(each, 0..4)).prop_map(move |(format, tasks)| {
        let tasks = tasks.into_iter().enumerate().map(|(at, (rule, programmes, due, progress))| {
            let made = task(name, rule, &programmes, due);
            StayTask { id: format!("{name} {at}"), progress, ..made }
        });
        record(name, format, &[Stroke], tasks.collect())
    })
}

proptest! {
    /// However many records a stay has: of what is asked for, one task at least is left for each
    /// programme, and none that is left is due later than the soonest.
    #[test]
    fn nothing_that_is_asked_for_is_lost(
        records in (any_record("a"), any_record("b"), any_record("c")).prop_map(|(a, b, c)| vec![a, b, c])
    ) {
        let covered: std::collections::BTreeMap<_, _> = found(records.clone()).into_iter().collect();
        let all: Vec<&StayTask> = records.iter().flat_map(|record| &record.tasks).collect();
        for asked in all.iter().filter(|task| covered.contains_key(&task.id)) {
            prop_assert_eq!(asked.progress, Progress::Untouched);
            let stands = all.iter().any(|other| {
                let no_later = |one: Option<Date>, another: Option<Date>| match (one, another) {
                    (Some(one), Some(another)) => one <= another,
                    (None, Some(_)) => false,
                    (_, None) => true,
                };
                !covered.contains_key(&other.id)
                    && other.progress != Progress::Dropped
                    && other.task.rule == asked.task.rule
                    && asked.task.programmes.iter().all(|p| other.task.programmes.contains(p))
                    && (other.progress == Progress::Taken || no_later(other.task.due, asked.task.due))
            });
            prop_assert!(stands, "nothing stands for {}", asked.id);
        }
    }
}
