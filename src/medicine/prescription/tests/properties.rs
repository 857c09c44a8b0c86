//! What must hold for every order.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::{Action, AllergyEntry, Kind, Line, Order, PrescriptionKnowledge, Report};
use super::knowledge;
use crate::medicine::patient::{Patient, Pregnancy, Sex};

static KNOWN: LazyLock<PrescriptionKnowledge> = LazyLock::new(knowledge);

/// Names that resolve, and some that do not.
const NAMES: &[&str] = &[
    "对乙酰氨基酚",
    "维C银翘片",
    "感冒灵颗粒",
    "布洛芬",
    "双氯芬酸钠凝胶",
    "华法林",
    "阿司匹林",
    "阿莫西林",
    "阿莫西林克拉维酸钾",
    "头孢氨苄",
    "头孢曲松",
    "葡萄糖酸钙",
    "左氧氟沙星滴眼液",
    "左氧氟沙星",
    "硝酸甘油",
    "西地那非",
    "缬沙坦氢氯噻嗪",
    "氢氯噻嗪",
    "碳酸锂",
    "甲硝唑",
    "藿香正气水",
    "牛黄解毒片",
    "短效胰岛素",
    "氯吡格雷",
    "咪康唑",
    "没人知道的药",
    "尼美地平",
];

/// Lines that share nothing with the names above and break no rule with them.
const SAFE: &[&str] = &["氨氯地平", "六味地黄丸", "硝酸甘油片的假名"];

fn orders() -> impl Strategy<Value = Order> {
    let name = || prop::sample::select(NAMES).prop_map(str::to_owned);
    let route = prop::sample::select(&["", "口服", "静滴", "外用"][..]).prop_map(str::to_owned);
    let lines = prop::collection::vec((name(), route), 1..8);
    let weeks = prop::option::of(prop::option::of(0_u8..45));
    let allergy = prop::option::of(prop::sample::select(&["青霉素", "磺胺", "布洛芬", "某物"][..]));
    (lines, prop::collection::vec(name(), 0..5), weeks, allergy).prop_map(
        |(lines, current, weeks, allergy)| {
            let line = |(at, (name, route)): (usize, (String, String))| Line {
                id: format!("L{at}"),
                name,
                route,
                days: Some(3.0),
                ..Line::default()
            };
            let entry =
                |name: &str| AllergyEntry { name: name.to_owned(), ..AllergyEntry::default() };
            Order {
                lines: lines.into_iter().enumerate().map(line).collect(),
                current,
                allergies: allergy.map(entry).into_iter().collect(),
                patient: Patient {
                    age_years: Some(30.0),
                    sex: Some(Sex::Female),
                    pregnancy: weeks.map_or(Pregnancy::Unknown, |weeks| Pregnancy::Yes { weeks }),
                    ..Patient::default()
                },
                ..Order::default()
            }
        },
    )
}

fn ids(report: &Report) -> BTreeSet<String> {
    report.findings.iter().map(|f| f.id.clone()).collect()
}

/// Each line was either taken for something or is listed as unchecked for every check.
fn every_line_is_accounted_for(order: &Order, report: &Report) -> bool {
    order.lines.iter().zip(&report.taken).all(|(line, taken)| {
        let unchecked = report
            .unchecked
            .iter()
            .any(|u| u.lines.contains(&line.id) && u.what == Kind::ALL && !u.on_request);
        taken.written == line.name && (taken.name_zh.is_some() != unchecked)
    })
}

/// Found by the property below: of what is in use the calcium may go into a vein, the line is by mouth.
#[test]
fn what_is_in_use_is_told_beside_an_interaction_in_either_order() {
    let mut order = super::order(&["葡萄糖酸钙@口服", "头孢曲松"]);
    order.current = vec!["葡萄糖酸钙".to_owned(), "头孢曲松".to_owned()];
    let told = ids(&KNOWN.check(&order));
    for kind in ["duplicate:", "interaction:"] {
        assert!(told.iter().any(|id| id.starts_with(kind)), "{kind} {told:?}");
    }
    order.lines.reverse();
    order.current.reverse();
    assert_eq!(ids(&KNOWN.check(&order)), told);
}

proptest! {
    #[test]
    fn any_text_as_a_name_is_checked_or_unchecked(
        names in prop::collection::vec(".{0,40}", 1..6),
        current in prop::collection::vec("\\PC{0,60}", 0..4),
        allergy in ".{0,30}",
        diagnosis in ".{0,30}",
    ) {
        let lines = names.iter().enumerate().map(|(at, name)| Line {
            id: at.to_string(),
            name: name.clone(),
            route: name.clone(),
            ..Line::default()
        });
        let order = Order {
            lines: lines.collect(),
            current,
            allergies: vec![AllergyEntry { name: allergy, ..AllergyEntry::default() }],
            diagnoses: vec![diagnosis],
            ..Order::default()
        };
        let _ = order.problems();
        let report = KNOWN.check(&order);
        prop_assert!(every_line_is_accounted_for(&order, &report));
    }

    #[test]
    fn wordlike_text_is_checked_or_unchecked(
        parts in prop::collection::vec(prop::sample::select(&[
            "阿莫西林", "钠", "盐酸", "胶囊", "0.25", "g", "×", "24", "粒", " ", "(", ")", "片", "注射用", "x", "/",
            "%", "口服", "qd", "5", "克拉维酸钾", "葡萄糖", "氯化钠", "硝酸", "甘油", "、", ".", "每", "日",
        ][..]), 0..14),
    ) {
        let order = super::order(&[&parts.concat()]);
        let report = KNOWN.check(&order);
        prop_assert!(every_line_is_accounted_for(&order, &report));
    }

    #[test]
    fn the_answer_is_the_same_twice_and_for_every_order_of_lines(
        order in orders(),
        turn in 0_usize..8,
        back in any::<bool>(),
    ) {
        let report = KNOWN.check(&order);
        prop_assert_eq!(&KNOWN.check(&order), &report);
        prop_assert!(every_line_is_accounted_for(&order, &report));
        let mut turned = order.clone();
        let turn = turn % turned.lines.len();
        turned.lines.rotate_left(turn);
        if back {
            turned.lines.reverse();
            turned.current.reverse();
        }
        let again = KNOWN.check(&turned);
        prop_assert_eq!(ids(&again), ids(&report));
        prop_assert_eq!(again.summary, report.summary);
    }

    #[test]
    fn a_safe_line_more_never_takes_a_finding_away(
        order in orders(),
        safe in prop::sample::select(SAFE),
        first in any::<bool>(),
    ) {
        let before = KNOWN.check(&order);
        let mut more = order;
        let line = Line { id: "safe".into(), name: safe.into(), days: Some(3.0), ..Line::default() };
        more.lines.insert(if first { 0 } else { more.lines.len() }, line);
        let after = ids(&KNOWN.check(&more));
        for found in before.findings.iter().filter(|f| f.action == Action::Stop) {
            prop_assert!(after.contains(&found.id), "{} is gone", found.id);
        }
    }

    #[test]
    fn any_line_more_never_silences_a_stop(
        order in orders(),
        name in prop::sample::select(NAMES),
    ) {
        let before = KNOWN.check(&order);
        let mut more = order;
        more.lines.push(Line { id: "more".into(), name: name.into(), ..Line::default() });
        let after = KNOWN.check(&more);
        for found in before.findings.iter().filter(|f| f.action == Action::Stop) {
            let still = after.findings.iter().any(|f| {
                f.action == Action::Stop
                    && f.kind == found.kind
                    && found.lines.iter().all(|line| f.lines.contains(line))
            });
            prop_assert!(still, "{} is gone", found.id);
        }
    }
}

/// Pieces that orders are made of, and some that they are not.
const PIECES: &[&str] = &[
    "阿莫西林胶囊",
    "NS",
    "0.9%氯化钠注射液",
    "100ml",
    "0.5g",
    "2g",
    "×7天",
    "5d",
    "tid",
    "q8h",
    "每日3次",
    "每周一次",
    "po",
    "ivgtt",
    "静推",
    "+",
    "；",
    "\n",
    " ",
    "一次2片",
    "40万单位",
    "10ml:1g",
    "%",
    "半",
    "：",
    "(",
    "）",
    "皮试(-)",
    "必要时",
    "１２",
    "𠮷",
    "\u{0}",
    "99999999999999999999",
    "0.0000001mg",
    "每0小时1次",
    "q0h",
];

proptest! {
    #[test]
    fn any_text_is_read_into_lines_that_can_be_checked(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12),
        noise in "\\PC{0,40}",
    ) {
        for text in [pieces.concat(), format!("{}{noise}", pieces.concat()), noise.clone()] {
            let lines = super::super::read_orders(&text, "t");
            prop_assert!(lines.len() <= 20);
            let mut order = Order { lines, diagnoses: vec![text.clone()], ..Order::default() };
            order.chart.conditions = vec![text];
            order.lines.retain(|line| !line.name.trim().is_empty());
            if order.lines.is_empty() || !order.problems().is_empty() {
                continue;
            }
            let report = KNOWN.check(&order);
            for line in &order.lines {
                let taken = report.taken.iter().any(|t| t.line.as_ref() == Some(&line.id) && t.name_zh.is_some());
                let unchecked = report.unchecked.iter().any(|u| u.lines.contains(&line.id));
                prop_assert!(taken || unchecked, "{line:?}");
            }
            for found in &report.findings {
                prop_assert!(!found.reason_zh.contains("NaN") && !found.reason_zh.contains("inf"));
            }
        }
    }

    #[test]
    fn what_is_read_is_read_the_same_again(pieces in prop::collection::vec(prop::sample::select(PIECES), 1..8)) {
        let text = pieces.concat();
        let first = super::super::read_orders(&text, "t");
        prop_assert_eq!(&first, &super::super::read_orders(&text, "t"));
        for line in first {
            // The words written for the reader's own understanding are understood again.
            if let Some(dose) = line.dose {
                prop_assert!(dose.is_finite() && dose >= 0.0, "{dose}");
            }
        }
    }
}
