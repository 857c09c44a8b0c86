//! Dated rules and past decisions.

use super::super::study::Conclusion;
use super::super::{Decision, DecisionRecord, assess, explain};
use super::*;

/// The tables with the window of a chest CT changed from 30 to 10 days on 2026-07-01.
fn changed() -> Policies {
    let mut files = crate::embedded::files();
    let path = "imaging/recognition/windows.csv";
    let text = files.text(path).unwrap().replace(
        "ct.chest*,any,30,2022-03-01,,project,draft",
        "ct.chest*,any,30,2022-03-01,2026-06-30,project,draft\n\
         ct.chest*,any,10,2026-07-01,,project,draft",
    );
    files.insert(path.to_owned(), text.into_bytes());
    load(&files)
}

fn study(made: &str) -> Existing {
    let mut study = good("ct.chest.plain");
    study.date = Some(day(made));
    study
}

#[test]
fn the_rules_of_the_day_count() {
    let policies = changed();
    let plan = planned("ct.chest.plain");
    let on =
        |date: &str, made: &str| assess(&policies.on(day(date)), &plan, &[study(made)]).conclusion;
    assert_eq!(on("2026-06-30", "2026-06-10"), Conclusion::NotNeeded);
    assert_eq!(on("2026-07-01", "2026-06-20"), Conclusion::Needed);
    assert_eq!(on("2026-07-01", "2026-06-21"), Conclusion::NotNeeded);
    // Before the first row there is no rule, and that is said.
    assert_eq!(on("2022-02-28", "2022-02-20"), Conclusion::Needed);
}

#[test]
fn a_past_decision_is_explained_by_the_rules_of_its_day() {
    let before = policies();
    let mut record = DecisionRecord {
        date: day("2026-06-30"),
        policy_version: before.version().to_owned(),
        planned: planned("ct.chest.plain"),
        existing: vec![study("2026-06-10")],
        conclusion: Conclusion::NotNeeded,
        decision: Decision::Recognised { study: "1.2.3".into() },
    };
    let same = explain(&before, &record);
    assert!(same.same_conclusion && same.same_tables && same.follows);
    let after = explain(&changed(), &record);
    assert!(after.same_conclusion && after.follows && !after.same_tables);
    // The same decision a month later would not have followed.
    record.date = day("2026-07-10");
    let late = explain(&changed(), &record);
    assert!(!late.same_conclusion && !late.follows);
}

#[test]
fn a_repeat_follows_only_from_a_ground_that_was_accepted() {
    use super::super::Ground;
    use super::super::study::GroundClaim;
    let policies = policies();
    let mut record = DecisionRecord {
        date: day(TODAY),
        policy_version: policies.version().to_owned(),
        planned: planned("ct.chest.plain"),
        existing: vec![good("ct.chest.plain")],
        conclusion: Conclusion::RepeatAllowed,
        decision: Decision::Repeated { ground: Ground::Decisive },
    };
    assert!(!explain(&policies, &record).follows);
    record.planned.grounds =
        vec![GroundClaim { ground: Ground::Decisive, explanation: String::new() }];
    let explained = explain(&policies, &record);
    assert!(explained.follows && explained.same_conclusion);
    record.decision = Decision::Examined;
    assert!(!explain(&policies, &record).follows);
    record.existing.clear();
    assert!(explain(&policies, &record).follows);
}
