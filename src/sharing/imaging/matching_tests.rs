//! What matches and what does not (PS3.4, C.2.2.2).

use super::*;

fn single(kind: Kind, question: &str, value: &str) -> bool {
    matches(&Matching::Single(question.to_owned()), kind, value)
}

fn wild(kind: Kind, question: &str, value: &str) -> bool {
    matches(&Matching::Wildcard(question.to_owned()), kind, value)
}

fn between(kind: Kind, from: &str, to: &str, value: &str) -> bool {
    matches(&Matching::Range { from: from.to_owned(), to: to.to_owned() }, kind, value)
}

#[test]
fn identifiers_keep_their_case_and_text_does_not() {
    assert!(single(Kind::Identifier, "P1", "P1"));
    assert!(!single(Kind::Identifier, "p1", "P1"));
    assert!(single(Kind::Text, "ct", "CT"));
    assert!(wild(Kind::Text, "*HEAD*", "ct head plain"));
    assert!(!wild(Kind::Identifier, "p*", "P1"));
}

#[test]
fn what_asks_for_nothing_holds_always_and_else_the_absent_matches_nothing() {
    for kind in
        [Kind::Uid, Kind::Identifier, Kind::Text, Kind::Name, Kind::Date, Kind::Time, Kind::Integer]
    {
        assert!(single(kind, "", "") && wild(kind, "*", "") && wild(kind, "**", ""));
        assert!(between(kind, "", "", ""));
        assert!(matches(&Matching::AnyOf(vec![]), kind, ""));
        assert!(!single(kind, "1", "") && !wild(kind, "?*", "") && !between(kind, "1", "", ""));
    }
}

#[test]
fn stars_and_question_marks_stand_for_characters_not_bytes() {
    assert!(wild(Kind::Text, "头?平扫", "头颅平扫"));
    assert!(wild(Kind::Text, "*a*b*c", "xxaxxbxxbxc"));
    assert!(!wild(Kind::Text, "*a*b*c", "xxaxxbxxbx"));
    assert!(
        wild(Kind::Text, "a*", "a")
            && wild(Kind::Text, "[a]*", "[a]b")
            && !wild(Kind::Text, "[a]*", "ab")
    );
    let value = "a".repeat(5000);
    assert!(!wild(
        Kind::Text,
        &"*a".repeat(200).replace("*a*a", "*aa?*"),
        &value.replace('a', "b")
    ));
}

#[test]
fn one_part_of_a_value_is_enough() {
    assert!(single(Kind::Texts, "axial", r"ORIGINAL\PRIMARY\AXIAL"));
    assert!(!single(Kind::Texts, "AX", r"ORIGINAL\PRIMARY\AXIAL"));
    assert!(wild(Kind::Texts, "PRIM*", r"ORIGINAL\PRIMARY\AXIAL"));
    assert!(!wild(Kind::Texts, "ORIG*AXIAL", r"ORIGINAL\PRIMARY\AXIAL"));
    let list = Matching::AnyOf(vec!["MR".to_owned(), "CT".to_owned()]);
    assert!(matches(&list, Kind::Texts, r"CT\SR") && !matches(&list, Kind::Texts, r"CR\SR"));
}

#[test]
fn times_match_at_the_precision_asked_for() {
    for value in ["1030", "103000", "103059.999999", "103042.5"] {
        assert!(single(Kind::Time, "1030", value), "{value}");
        assert!(between(Kind::Time, "1000", "1030", value), "{value}");
        assert!(between(Kind::Time, "103000", "", value), "{value}");
        assert!(between(Kind::Time, "", "10", value), "{value}");
    }
    for value in ["1029", "102959.999999", "1031", "103100", ""] {
        assert!(!single(Kind::Time, "1030", value), "{value}");
    }
    assert!(!between(Kind::Time, "1031", "", "1030"));
    assert!(between(Kind::Time, "000000", "", "00") && !between(Kind::Time, "000000", "", ""));
}

#[test]
fn dates_and_moments_include_both_ends() {
    assert!(between(Kind::Date, "20240101", "20240131", "20240131"));
    assert!(between(Kind::Date, "", "20240131", "19991231"));
    assert!(!between(Kind::Date, "20240101", "", "20231231"));
    assert!(between(Kind::DateTime, "20240131", "202401311030", "20240131103042.5"));
    let from = ("20240131", "2200");
    let to = ("20240201", "0600");
    assert!(moment_matches(from, to, "20240131", "2200"));
    assert!(moment_matches(from, to, "20240201", "060059"));
    assert!(!moment_matches(from, to, "20240201", "0601"));
    assert!(!moment_matches(from, to, "20240131", "215959"));
    assert!(!moment_matches(from, to, "20240131", ""));
    assert!(moment_matches(("20240131", ""), to, "20240131", ""));
    assert!(moment_matches(("", "2200"), to, "20200101", "0000"));
    assert!(!moment_matches(("", "2200"), to, "", ""));
}

#[test]
fn integers_are_compared_as_numbers() {
    assert!(single(Kind::Integer, "1", "01") && single(Kind::Integer, " 1", "+1"));
    assert!(!single(Kind::Integer, "1", "10") && !single(Kind::Integer, "x", "x"));
    assert!(between(Kind::Integer, "9", "11", "10"));
}

#[test]
fn names_match_by_group_and_by_the_whole() {
    let name = "Zhang^San=張^三";
    for question in ["zhang^san", "ZHANG SAN", "张三", "張^三", "Zhang^San=张^三"] {
        assert!(single(Kind::Name, question, name), "{question}");
    }
    for question in ["zhang", "san", "三", "张三丰"] {
        assert!(!single(Kind::Name, question, name), "{question}");
    }
    for question in ["*三*", "张*", "ZHANG*", "*hang*", "?三", "*san", "＊三＊"] {
        assert!(wild(Kind::Name, question, name), "{question}");
    }
    for question in ["三*", "*li*", "?", "san*"] {
        assert!(!wild(Kind::Name, question, name), "{question}");
    }
}

#[test]
fn a_fuzzy_question_goes_by_sound_and_initials() {
    let fuzzy =
        |question: &str, name| matches(&Matching::Fuzzy(question.to_owned()), Kind::Name, name);
    for question in ["zhang san", "zs", "zhangsan", "三", "San Z", "ｚｓ", "zhang*"] {
        assert!(fuzzy(question, "张三"), "{question}");
    }
    assert!(!fuzzy("zhang si", "张三") && !fuzzy("sz", "张三"));
    assert!(fuzzy("", "张三") && fuzzy("", ""));
}
