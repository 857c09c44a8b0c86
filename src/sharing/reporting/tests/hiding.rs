//! Whoever has all levels of a report, and every counter in it, tries to compute what is hidden.

use proptest::prelude::*;

use super::*;
use crate::sharing::reporting::rollup::{Sums, add_up};
use crate::sharing::reporting::small::{Hidden, Rules, Shown};

/// What somebody outside can know of each place: least and most.
type Known = Vec<(u64, u64)>;

/// As much as no sum of a test comes near to.
const MUCH: u64 = 1 << 20;

fn value(tables: &ReportingTables, sums: &Sums, number: usize, place: usize) -> u64 {
    tables.counters.value(&sums.total[place], number).unwrap_or(0)
}

fn begin(tables: &ReportingTables, sums: &Sums, hidden: &Hidden, number: usize) -> Known {
    let places = 0..tables.places.all().len();
    let shown = |place| {
        let value = value(tables, sums, number, place);
        if hidden.has(number, place) { (1, MUCH) } else { (value, value) }
    };
    places.map(shown).collect()
}

/// Tightens bounds by all sums until nothing changes: a place is what it told itself and what is below.
/// What a place told itself is taken as known where it is nothing, else as anything.
fn by_sums(tables: &ReportingTables, sums: &Sums, number: usize, known: &mut Known) -> bool {
    let mut changed = false;
    let all = tables.places.all();
    for above in 0..all.len() {
        let below: Vec<usize> = (above + 1..all.len())
            .take_while(|place| all[*place].code.starts_with(&all[above].code))
            .filter(|place| all[*place].above == Some(above))
            .collect();
        if below.is_empty() {
            continue;
        }
        let own = tables.counters.value(&sums.own[above], number).unwrap_or(0);
        let own = if own == 0 { (0, 0) } else { (1, MUCH) };
        let least: u64 = own.0 + below.iter().map(|place| known[*place].0).sum::<u64>();
        let most: u64 = own.1 + below.iter().map(|place| known[*place].1).sum::<u64>();
        let mut narrow = |place: usize, least: u64, most: u64| {
            let new = (known[place].0.max(least), known[place].1.min(most));
            assert!(new.0 <= new.1, "impossible: {} {number}", all[place].code);
            changed |= new != known[place];
            known[place] = new;
        };
        narrow(above, least, most);
        let (whole_least, whole_most) = known[above];
        for place in below {
            let (this_least, this_most) = known[place];
            let (rest_least, rest_most) = (least - this_least, most - this_most);
            let new = (
                known[place].0.max(whole_least.saturating_sub(rest_most)),
                known[place].1.min(whole_most.saturating_sub(rest_least)),
            );
            assert!(new.0 <= new.1, "impossible: {} {number}", all[place].code);
            changed |= new != known[place];
            known[place] = new;
        }
    }
    changed
}

/// Bounds of two counters of which the first is never above the second.
fn by_inclusion(less: &mut Known, more: &mut Known) -> bool {
    let mut changed = false;
    for (less, more) in less.iter_mut().zip(more) {
        let (low, high) = (more.0.max(less.0), less.1.min(more.1));
        changed |= low != more.0 || high != less.1;
        (more.0, less.1) = (low, high);
    }
    changed
}

/// A small prefecture: two townships of one county and one of another, with some villages each.
fn some_villages() -> Vec<&'static str> {
    vec![
        "361102001001",
        "361102001003",
        "361102001004",
        "361102002001",
        "361102002002",
        "361103001001",
        "361103001002",
    ]
}

fn villages_of(tables: &ReportingTables) -> Vec<String> {
    let known = some_villages().into_iter().filter(|code| tables.places.number(code).is_some());
    let mut codes: Vec<String> = known.map(str::to_owned).collect();
    // Whatever the tables have of the second township and the other county.
    for town in ["361102002", "361103001"] {
        let below = tables.places.all().iter().filter(|p| p.code.len() == 12);
        codes.extend(below.filter(|p| p.code.starts_with(town)).take(2).map(|p| p.code.clone()));
    }
    codes.sort();
    codes.dedup();
    codes
}

fn sums_of(tables: &ReportingTables, told: &[Told]) -> Sums {
    let known: Vec<&Told> = told.iter().collect();
    let with = (&tables.counters, &tables.places);
    add_up(with, (month("2026-10"), later()), &known, &sites(told))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_level_and_no_other_counter_gives_a_small_number_back(
        numbers in prop::collection::vec((0_u64..14, 0_u64..14, 0_u64..100), 12)
    ) {
        let tables = tables();
        let mut codes = villages_of(tables);
        codes.push(TOWN.to_owned());
        codes.push("361102".to_owned());
        let told: Vec<Told> = codes.iter().zip(&numbers).map(|(code, (some, more, percent))| {
            let due = some + more;
            let on_time = due * percent / 100;
            told(tables, code, &[("tasks_due", due), ("tasks_on_time", on_time)])
        }).collect();
        let sums = sums_of(tables, &told);
        let inclusions = tables.indicators.inclusions(month("2026-10"));
        let rules = Rules { counters: &tables.counters, places: &tables.places, inclusions: &inclusions };
        let hidden = rules.hide(&sums);
        let [less, more] = ["tasks_on_time", "tasks_due"].map(|id| tables.counters.number(id).unwrap());
        let mut known_less = begin(tables, &sums, &hidden, less);
        let mut known_more = begin(tables, &sums, &hidden, more);
        loop {
            let mut changed = by_sums(tables, &sums, less, &mut known_less);
            changed |= by_sums(tables, &sums, more, &mut known_more);
            changed |= by_inclusion(&mut known_less, &mut known_more);
            if !changed {
                break;
            }
        }
        for (number, known) in [(less, known_less), (more, known_more)] {
            for (place, (least, most)) in known.into_iter().enumerate() {
                let is = value(tables, &sums, number, place);
                prop_assert!((least..=most).contains(&is));
                if (1..5).contains(&is) {
                    let code = &tables.places.get(place).unwrap().code;
                    prop_assert!(hidden.has(number, place), "{} is shown", code);
                    prop_assert!(most >= 5 && most > least, "{} is {}: {}..={}", code, is, least, most);
                }
            }
        }
    }

    #[test]
    fn what_a_correction_shows_gives_no_small_change_away(
        numbers in prop::collection::vec((0_u64..14, 0_u64..9, any::<bool>()), 12)
    ) {
        let tables = tables();
        let codes = villages_of(tables);
        let all = |newer: bool| -> Vec<Told> {
            codes.iter().zip(&numbers).filter(|(_, (_, _, late))| newer || !late)
                .map(|(code, (some, more, late))| {
                    let number = if newer && !late { some + more } else { *some };
                    told(tables, code, &[("consultations", number)])
                })
                .collect()
        };
        let (before, after) = (sums_of(tables, &all(false)), sums_of(tables, &all(true)));
        let rules = Rules { counters: &tables.counters, places: &tables.places, inclusions: &[] };
        let hidden = rules.hide(&after);
        let older = rules.hide_older(&before, Shown { sums: &after, hidden: &hidden });
        let number = tables.counters.number("consultations").unwrap();
        let of = |sums: &Sums, place| value(tables, sums, number, place);
        // Somebody has what is shown now, what was shown then, and so the differences: of what is not
        // marked as corrected, none.
        let places = 0..tables.places.all().len();
        let both = |place: usize| !hidden.has(number, place) && !older.has(number, place);
        let is_same = |place: usize| !hidden.has(number, place) && of(&before, place) == of(&after, place);
        let mut then: Known = places.clone().map(|place| {
            let is = of(&before, place);
            if both(place) || is_same(place) { (is, is) } else { (0, MUCH) }
        }).collect();
        let mut change: Known = places.clone().map(|place| {
            let is = of(&after, place) - of(&before, place);
            if both(place) || is_same(place) { (is, is) } else { (0, MUCH) }
        }).collect();
        let difference = |older: &[Values], newer: &[Values]| -> Vec<Values> {
            older.iter().zip(newer).map(|(older, newer)| {
                let of = |values| tables.counters.value(values, number).unwrap_or(0);
                let mut values = Values::default();
                values.add(tables.counters.get(number).unwrap().slots().start, of(newer) - of(older));
                values
            }).collect()
        };
        let changes = Sums {
            own: difference(&before.own, &after.own),
            total: difference(&before.total, &after.total),
        };
        while by_sums(tables, &before, number, &mut then) {}
        while by_sums(tables, &changes, number, &mut change) {}
        for place in places {
            let (was, by) = (of(&before, place), of(&changes, place));
            let code = &tables.places.get(place).unwrap().code;
            if (1..5).contains(&was) {
                prop_assert!(then[place].1 >= 5, "{} was {}: {:?}", code, was, then[place]);
            }
            if (1..5).contains(&by) {
                prop_assert!(change[place].1 >= 5, "{} by {}: {:?}", code, by, change[place]);
            }
        }
    }
}

/// Whoever draws up reports of all levels, places and spans of months has no more than who draws up the one
/// of all villages, which is what the tests above look at; and no figure is of several months.
#[test]
fn every_report_that_can_be_drawn_up_says_the_same_of_a_month_and_place() {
    let tables = tables();
    let months = [month("2026-09"), month("2026-10")];
    let small = [3, 20, 4, 11, 2, 60, 1, 9, 13];
    let mut all = Vec::new();
    for (at, of_month) in months.iter().enumerate() {
        let first = all.len();
        for (code, number) in villages_of(tables).iter().zip(small.iter().cycle().skip(at)) {
            let numbers =
                [("consultations", *number), ("tasks_due", number * 2), ("tasks_on_time", *number)];
            let mut one = told(tables, code, &numbers);
            (one.month, one.at_ms) = (*of_month, of_month.end_ms() + HOUR_MS);
            all.push(one);
        }
        // One village of each month comes late.
        let late = &mut all[first + at + 1];
        late.at_ms = of_month.cut_off_ms(CUT_OFF_DAY) + HOUR_MS;
    }
    let mut known: BTreeMap<(Month, usize, String), Stated> = BTreeMap::new();
    let (mut hidden, mut shown, mut corrected) = (0, 0, 0);
    let number = |code| tables.places.number(code).unwrap();
    let asked = [
        (number("3611"), Level::Village, &months[..]),
        (number("3611"), Level::County, &months[1..]),
        (number("361102"), Level::Township, &months[..1]),
        (number(TOWN), Level::Village, &months[..]),
    ];
    for (region, level, span) in asked {
        let (months, as_of_ms) = (span.to_vec(), later());
        let question = Question { months, level, region, as_of_ms, cut_off_day: CUT_OFF_DAY };
        let drawn = tables.report(question, &all, &sites(&all));
        let places = tables.shown(region, level).len();
        assert_eq!(drawn.rows.len(), places * span.len(), "no row but of one month");
        for row in &drawn.rows {
            for (id, stated) in drawn.indicators.iter().zip(&row.figures) {
                let key = (row.month, row.place, id.clone());
                let before = *known.entry(key.clone()).or_insert(*stated);
                assert_eq!(before, *stated, "{key:?}");
                hidden += usize::from(stated.now.standing == Standing::Hidden);
                shown += usize::from(stated.now.numerator.is_some_and(|n| n >= 5));
                corrected += usize::from(stated.was.is_some_and(|was| was.value.is_some()));
            }
        }
    }
    assert!(hidden > 10 && shown > 20 && corrected > 5, "{hidden} {shown} {corrected}");
}

#[test]
fn a_single_small_village_takes_another_with_it_and_not_the_township() {
    use Standing::{Hidden, Known};
    let tables = tables();
    let of = |numbers: [u64; 3]| {
        let told: Vec<Told> = VILLAGES
            .iter()
            .zip(numbers)
            .map(|(code, number)| told(tables, code, &[("consultations", number)]))
            .collect();
        let report = report(tables, &told, later());
        [VILLAGES[0], VILLAGES[1], VILLAGES[2], TOWN]
            .map(|code| now(tables, &report, code, "diagnoses").standing)
    };
    assert_eq!(of([3, 20, 60]), [Hidden, Hidden, Known, Known]);
    assert_eq!(of([5, 20, 60]), [Known, Known, Known, Known]);
    assert_eq!(of([0, 20, 60]), [Known, Known, Known, Known]);
    // Nothing but small ones: their sum goes, too, and with it the county's and the whole.
    assert_eq!(of([3, 0, 0]), [Hidden, Known, Known, Hidden]);
}

#[test]
fn reasons_of_repeated_studies_are_not_computed_from_their_sum() {
    let tables = tables();
    let counts = [("repeated_emergency", 3), ("repeated_decisive", 9), ("repeated_other", 8)];
    let all: Vec<Told> = ["361102", "361103", "361104"]
        .iter()
        .enumerate()
        .map(|(county, code)| {
            let zero = ["condition_changed", "changes_quickly", "forensic"];
            let zero = zero.map(|id| (format!("repeated_{id}"), 0));
            let mut numbers: Vec<(String, u64)> = zero.to_vec();
            // Only the first county has a small reason.
            let more = if county == 0 { 0 } else { 7 };
            numbers.extend(counts.iter().map(|(id, n)| ((*id).to_owned(), n + more)));
            let whole: u64 = numbers.iter().map(|(_, n)| n).sum();
            numbers.extend([("studies_repeated".to_owned(), whole)]);
            numbers.extend([("recognition_decisions".to_owned(), whole * 2)]);
            let numbers: Vec<(&str, u64)> =
                numbers.iter().map(|(id, n)| (id.as_str(), *n)).collect();
            told(tables, code, &numbers)
        })
        .collect();
    let report = report(tables, &all, later());
    let standing = |code, id| now(tables, &report, code, id).standing;
    assert_eq!(standing("361102", "repeated_emergency"), Standing::Hidden);
    let with_it = ["repeated_decisive", "repeated_other"].map(|id| standing("361102", id));
    assert!(with_it.contains(&Standing::Hidden), "{with_it:?}");
    let elsewhere = ["361103", "361104"].map(|code| standing(code, "repeated_emergency"));
    assert!(elsewhere.contains(&Standing::Hidden), "{elsewhere:?}");
    assert_eq!(standing("361102", "repeated"), Standing::Known);
    assert_eq!(standing("3611", "repeated_emergency"), Standing::Known);
    // Below the counties no reason is shown.
    assert_eq!(standing(TOWN, "repeated_emergency"), Standing::Unknown);
}
