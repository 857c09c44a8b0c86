//! A report as CSV: a line for each month, place and indicator, UTF-8 with a byte-order mark, as
//! spreadsheets want it.

use super::super::Failure;
use super::shown::{cell, late, level, standing};
use crate::rpc::proto::xiangyi::reporting::v1 as pb;

/// Columns, in order.
const COLUMNS: [&str; 18] = [
    "月份",
    "区划代码",
    "区划名称",
    "级别",
    "指标编号",
    "指标",
    "单位",
    "数值",
    "分子",
    "分母",
    "状态",
    "口径版本",
    "截止时数值",
    "截止时分子",
    "截止时分母",
    "截止时状态",
    "更正原因",
    "备注",
];

/// The bytes of the file.
pub(super) fn bytes(report: &pb::CoverageReport) -> Result<Vec<u8>, Failure> {
    let mut writer = ::csv::Writer::from_writer(Vec::from(*b"\xef\xbb\xbf"));
    writer.write_record(COLUMNS)?;
    let simulated = if report.simulated { super::shown::SIMULATED } else { "" };
    for row in &report.rows {
        let why = late(row);
        for (stated, indicator) in row.figures.iter().zip(&report.indicators) {
            let now = stated.now.unwrap_or_default();
            let was = stated.was;
            let number = |count: Option<u64>| count.map(|n| n.to_string()).unwrap_or_default();
            let then = |text: fn(&pb::Figure, &pb::Indicator) -> String| {
                was.as_ref().map(|was| text(was, indicator)).unwrap_or_default()
            };
            let record = [
                row.month.clone(),
                row.code.clone(),
                plain(&row.name),
                level(row.level()).to_owned(),
                indicator.id.clone(),
                plain(&indicator.name),
                indicator.unit.clone(),
                value(&now, indicator),
                number(now.numerator),
                number(now.denominator),
                standing(&now).to_owned(),
                stated.version.to_string(),
                then(value),
                number(was.and_then(|was| was.numerator)),
                number(was.and_then(|was| was.denominator)),
                then(|was, _| standing(was).to_owned()),
                if was.is_some() { why.clone() } else { String::new() },
                simulated.to_owned(),
            ];
            writer.write_record(&record)?;
        }
    }
    Ok(writer.into_inner().map_err(::csv::IntoInnerError::into_error)?)
}

/// The value to compute with: a share with all that is known, empty where there is none.
fn value(figure: &pb::Figure, indicator: &pb::Indicator) -> String {
    match (figure.standing(), figure.value, indicator.formula()) {
        (pb::Standing::Known, Some(value), pb::Formula::Share) => format!("{value:.4}"),
        (pb::Standing::Known, Some(_), _) => cell(figure, indicator),
        _ => String::new(),
    }
}

/// A text that a spreadsheet would take for a formula has an apostrophe in front.
pub(super) fn plain(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"] {
            assert_eq!(plain(text), format!("'{text}"));
        }
        assert_eq!(plain("东市街道"), "东市街道");
    }
}
