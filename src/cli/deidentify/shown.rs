//! The report for people.

use std::fmt::Write as _;

use crate::app::deidentify::{Purpose, Told};
use crate::sharing::deidentify::counts::Made;

/// Attributes listed at most; the rest is in the JSON.
const ATTRIBUTES_MAX: usize = 40;
/// Inputs listed at most.
const INPUTS_MAX: usize = 20;

pub(super) fn told(told: &Told) -> String {
    let mut text = String::new();
    let purpose = match told.purpose {
        Purpose::Research => "研究",
        Purpose::Teaching => "教学",
    };
    let _ = writeln!(
        text,
        "用途：{purpose}；输入 {} 件，产出 {} 件，扣留 {} 件，不能处理 {} 件",
        told.inputs, told.made, told.withheld, told.refused
    );
    for line in &told.profile {
        let _ = writeln!(text, "规范：{line}");
    }
    let kept = if told.key_kept { "" } else { "，用后即弃，以后的批次对不上" };
    let _ = writeln!(text, "规则版本 {}；化名密钥指纹 {}{kept}", told.rules, told.key);
    for (did, count) in &told.totals {
        let _ = writeln!(text, "  {}：{count}", did.zh());
    }
    if told.passed > 0 {
        let _ = writeln!(text, "  其余数值、代码、像素原样：{}", told.passed);
    }
    for (flag, count) in &told.flags {
        let _ = writeln!(text, "标记 {flag}：{count}");
    }
    for (what, list) in [("扣留", &told.withheld_inputs), ("不能处理", &told.refused_inputs)]
    {
        for held in list.iter().take(INPUTS_MAX) {
            let _ = writeln!(text, "{what} 第 {} 件：{}", held.input, held.reasons.join("；"));
        }
        if list.len() > INPUTS_MAX {
            let _ = writeln!(text, "{what}：其余 {} 件见报告", list.len() - INPUTS_MAX);
        }
    }
    for line in told.attributes.iter().take(ATTRIBUTES_MAX) {
        let _ =
            writeln!(text, "  {} {}：{} {}", line.attribute, line.name, line.did.zh(), line.count);
    }
    if told.attributes.len() > ATTRIBUTES_MAX {
        let more = told.attributes.len() - ATTRIBUTES_MAX;
        let _ = writeln!(text, "  其余 {more} 项见报告（--report 或 --json）");
    }
    text.push_str("去标识化不等于匿名：对知情者仍可能认出本人，给出之前须有人审看。\n");
    text
}

pub(super) fn table(made: &Made) -> String {
    let margins = match (made.total_row, made.total_column) {
        (true, true) => "合计行和合计列",
        (true, false) => "合计行",
        (false, true) => "合计列",
        (false, false) => "没有合计",
    };
    format!(
        "小单元格 {} 个，为防由合计推算另压 {} 个（{margins}）\n",
        made.small, made.complementary
    )
}
