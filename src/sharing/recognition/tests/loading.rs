//! Tables that must not load, and an operator's own file.

use super::super::study::Verdict;
use super::super::{Ground, assess};
use super::*;

fn refusal(path: &str, row: &str) -> String {
    let mut files = crate::embedded::files();
    let path = format!("imaging/recognition/{path}");
    let mut text = files.text(&path).unwrap().to_owned();
    let header = text.lines().next().unwrap().len();
    text.insert_str(header, &format!("\n{row}"));
    files.insert(path, text.into_bytes());
    let examinations = Examinations::load(&files).unwrap();
    Policies::load(&files, &examinations).unwrap_err().to_string()
}

#[test]
fn rows_that_are_uncited_unknown_overlapping_or_senseless_do_not_load() {
    for (path, row, message) in [
        ("items.csv", "ct.rib,city,3611,2025-01-01,,,draft", "items.csv:2: row has no source"),
        ("items.csv", "ct.rib,city,3611,2025-01-01,,x,draft", "items.csv:2: unknown source `x`"),
        (
            "items.csv",
            "ct.no,city,3611,2025-01-01,,memory,draft",
            "items.csv:2: unknown examination `ct.no`",
        ),
        ("items.csv", "ct.rib,city,36,2025-01-01,,memory,draft", "items.csv:2: `36` is no code"),
        (
            "items.csv",
            "ct.rib,city,3611,01.01.2025,,memory,draft",
            "items.csv:2: column `?`: a day is written YYYY-MM-DD",
        ),
        (
            "items.csv",
            "ct.rib,city,3611,2025-02-01,2025-01-01,memory,draft",
            "items.csv:2: valid_to lies before",
        ),
        (
            "windows.csv",
            "ct.chest*,any,20,2025-01-01,,memory,draft",
            "in force on days on which line 2",
        ),
        ("windows.csv", "ct.rib,any,99999,2025-01-01,,memory,draft", "windows.csv:2: more than"),
        (
            "requirements.csv",
            "ct.rib,thickness_mm,,required,2025-01-01,,memory,draft",
            "requirements.csv:2: limit is missing",
        ),
        (
            "requirements.csv",
            "ct.rib,signed_report,3,required,2025-01-01,,memory,draft",
            "requirements.csv:2: this check has no limit",
        ),
        (
            "requirements.csv",
            "ct.rib,thickness_mm,NaN,required,2025-01-01,,memory,draft",
            "requirements.csv:2: limit must not be negative",
        ),
        (
            "requirements.csv",
            "ct.rib,beauty,1,required,2025-01-01,,memory,draft",
            "requirements.csv:2: column",
        ),
        (
            "covers.csv",
            "ct.rib,ct.rib,full,,2025-01-01,,memory,draft",
            "covers.csv:2: an examination covers itself",
        ),
        (
            "covers.csv",
            "ct.rib,xr.rib,partly,,2025-01-01,,memory,draft",
            "covers.csv:2: a partly covered",
        ),
        (
            "covers.csv",
            "ct.rib,xr.no,full,,2025-01-01,,memory,draft",
            "covers.csv:2: unknown examination `xr.no`",
        ),
        ("grounds.csv", "emergency,（四）,x,y,2025-01-01,,memory,draft", "in force on days"),
        ("reasons.csv", "level_none,x,y,,project,draft", "stands twice"),
        (
            "reasons.csv",
            "level_nice,x,y,,project,draft",
            "reasons.csv:2: unknown reason `level_nice`",
        ),
        (
            "institutions.csv",
            "A,某院,3611,city,3611,ct.*,2025-01-01,,example,draft",
            "institutions.csv:2: `3611` is no code of a county",
        ),
        (
            "institutions.csv",
            "A,某院,360102,city,3611,ct.*,2025-01-01,,example,draft",
            "does not lie in the scope",
        ),
        (
            "institutions.csv",
            "A,某院,361123,city,3611,ct.no,2025-01-01,,example,draft",
            "unknown examination `ct.no`",
        ),
    ] {
        let error = refusal(path, row);
        assert!(error.contains(message), "{row}: {error}");
    }
}

#[test]
fn words_with_an_unknown_value_do_not_load() {
    let mut files = crate::embedded::files();
    let path = "imaging/recognition/reasons.csv";
    let text = files.text(path).unwrap().replace("{limit_days}", "{limit_dogs}");
    files.insert(path.to_owned(), text.into_bytes());
    let examinations = Examinations::load(&files).unwrap();
    let error = Policies::load(&files, &examinations).unwrap_err().to_string();
    assert!(error.contains("unknown value `limit_dogs`"), "{error}");
}

#[test]
fn a_ground_that_is_missing_is_missed() {
    let mut files = crate::embedded::files();
    let path = "imaging/recognition/grounds.csv";
    let rows: Vec<&str> =
        files.text(path).unwrap().lines().filter(|l| !l.starts_with("forensic")).collect();
    let text = rows.join("\n");
    files.insert(path.to_owned(), text.into_bytes());
    let examinations = Examinations::load(&files).unwrap();
    let error = Policies::load(&files, &examinations).unwrap_err().to_string();
    assert!(error.contains(&format!("ground {:?} is missing", Ground::Forensic)), "{error}");
}

#[test]
fn the_shipped_tables_name_no_institution_and_the_example_loads_as_an_operators_file() {
    let mut files = crate::embedded::files();
    let shipped = files.text("imaging/recognition/institutions.csv").unwrap();
    assert_eq!(shipped.lines().count(), 1);
    let example = files.text("imaging/recognition/institutions.example.csv").unwrap().to_owned();
    assert!(example.lines().skip(1).all(|row| row.contains("虚构") && row.contains(",example,")));
    let mut study = good("ct.chest.plain");
    study.marks = None;
    study.institution = institution("EXAMPLE-COUNTY", "");
    let plan = planned("ct.chest.plain");
    let asked = |files: &Files, date: &str| {
        let mut study = study.clone();
        study.date = Some(day(date));
        assess(&load(files).on(day(date)), &plan, &[study]).studies.remove(0)
    };
    assert_eq!(asked(&files, TODAY).verdict, Verdict::CannotSay);
    files.insert("imaging/recognition/institutions.mine.csv", example.clone().into_bytes());
    assert!(has(&asked(&files, TODAY), ReasonCode::LevelProvince));
    assert!(has(&asked(&files, "2025-06-15"), ReasonCode::LevelCity));
    assert!(has(&asked(&files, "2024-06-15"), ReasonCode::LevelNotInForce));
    files.insert("imaging/recognition/institutions.twice.csv", example.into_bytes());
    let examinations = Examinations::load(&files).unwrap();
    let error = Policies::load(&files, &examinations).unwrap_err().to_string();
    assert!(error.contains("institutions.twice.csv:2: institution `EXAMPLE-COUNTY`"), "{error}");
}
