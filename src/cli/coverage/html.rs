//! A report as one page that needs nothing else: to be read in a browser and printed on A4, landscape.
//!
//! Counties are shaded by value in one hue from light to dark, which stays in order for the colour-blind
//! and in black and white; the number stands in every cell.

use std::fmt::Write as _;

use super::shown::{
    CORRECTED, Correction, SIMULATED, cell, corrections, formula, is_corrected, late, legend, made,
    rows_of, suppression, title, whole,
};
use crate::rpc::proto::xiangyi::reporting::v1 as pb;
use crate::tables::text::markup as escape;

/// Corrections that are listed at most; the workbook has all.
const CORRECTIONS_MAX: usize = 200;
/// Shades, from light to dark.
const SHADES: usize = 5;
/// Width and height of a trend.
const TREND: (f64, f64) = (220.0, 56.0);

const STYLE: &str = "
@page { size: A4 landscape; margin: 10mm 10mm 14mm; }
* { box-sizing: border-box; }
body { font: 12px/1.45 'Noto Sans CJK SC', 'Source Han Sans SC', 'Microsoft YaHei', 'PingFang SC', SimSun, \
sans-serif; color: #111; background: #fff; margin: 16px; -webkit-print-color-adjust: exact; \
print-color-adjust: exact; }
h1 { font-size: 19px; margin: 0 0 4px; }
h2 { font-size: 15px; margin: 18px 0 6px; break-after: avoid; }
p { margin: 2px 0; color: #444; }
.simulated { border: 2px solid #111; padding: 4px 10px; font-weight: bold; font-size: 14px; color: #111; \
background: repeating-linear-gradient(45deg, #fff 0 8px, #eee 8px 16px); }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #999; padding: 2px 4px; text-align: right; white-space: nowrap; }
th { background: #f2f2f2; font-weight: 600; text-align: center; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
td.name, th.name { text-align: left; }
td.words { text-align: left; white-space: normal; }
.counties th.head { white-space: normal; min-width: 48px; font-size: 11px; vertical-align: bottom; }
.s0 { background: #f7fbff; } .s1 { background: #deebf7; } .s2 { background: #b5d2ea; }
.s3 { background: #6ba7d3; } .s4 { background: #2b6ca3; color: #fff; }
.none { color: #555; background: #fff; }
.key span { display: inline-block; border: 1px solid #999; padding: 0 8px; }
.trends { display: grid; grid-template-columns: repeat(4, 1fr); gap: 8px 14px; }
.trend { break-inside: avoid; border-top: 1px solid #ccc; padding-top: 2px; }
.trend b { font-weight: 600; } .trend svg { width: 100%; height: auto; display: block; }
section { break-inside: auto; }
thead .simulated { text-align: center; padding: 1px 10px; }
@media print { body { margin: 0; font-size: 9px; line-height: 1.2; } h1 { font-size: 15px; }
  .page { break-before: page; } th, td { padding: 1px 4px; } h2 { margin: 6px 0 3px; }
  .summary td { padding: 0 4px; }
  .trends { grid-template-columns: repeat(6, 1fr); gap: 4px 8px; } .simulated { font-size: 10px; }
  .counties th, .counties td { padding: 1px 2px; } .counties th.head { font-size: 8px; min-width: 0; } }
";

/// The page.
pub(super) fn page(report: &pb::CoverageReport) -> String {
    let mut out = String::new();
    let name = escape(&title(report));
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"zh-CN\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
    );
    banner(&mut out, report);
    let _ = write!(out, "<p>{}</p>\n<p>{}</p>\n", escape(&made(report)), escape(&legend()));
    let all = corrections(report);
    summary(&mut out, report);
    counties(&mut out, report);
    trends(&mut out, report);
    listed(&mut out, report, &all);
    meanings(&mut out, report);
    out.push_str("</body>\n</html>\n");
    out
}

fn banner(out: &mut String, report: &pb::CoverageReport) {
    if report.simulated {
        let _ = writeln!(out, "<p class=\"simulated\">{SIMULATED}</p>");
    }
}

/// Begins what starts on a page of its own in print.
fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "<section class=\"page\"><h2>{}</h2>", escape(text));
}

/// Begins a table, whose head is printed again on each page that it goes on to.
fn head(out: &mut String, report: &pb::CoverageReport, class: &str, columns: &[(&str, String)]) {
    let _ = write!(out, "<table class=\"{class}\"><thead>");
    if report.simulated {
        let width = columns.len();
        let _ =
            write!(out, "<tr><th class=\"simulated\" colspan=\"{width}\">{SIMULATED}</th></tr>");
    }
    out.push_str("<tr>");
    for (class, text) in columns {
        let _ = write!(out, "<th class=\"{class}\">{text}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
}

/// Columns with their classes, for [`head`].
fn columns<const N: usize>(
    columns: [(&'static str, &'static str); N],
) -> Vec<(&'static str, String)> {
    columns.into_iter().map(|(class, text)| (class, text.to_owned())).collect()
}

fn last_month(report: &pb::CoverageReport) -> &str {
    report.months.last().map_or("", String::as_str)
}

/// The whole in the last month and the one before, with numerators and denominators.
fn summary(out: &mut String, report: &pb::CoverageReport) {
    let rows = whole(report);
    let Some(now) = rows.last() else { return };
    let before = rows.len().checked_sub(2).and_then(|at| rows.get(at));
    let _ = writeln!(
        out,
        "<section><h2>{}　{}</h2>",
        escape(&report.region_name),
        escape(last_month(report))
    );
    let why = late(now);
    if !why.is_empty() {
        let _ = writeln!(out, "<p>{CORRECTED} {}</p>", escape(&why));
    }
    let named = [("name", "类别"), ("name", "指标"), ("", "单位"), ("", "本月"), ("", "分子")];
    let others = [("", "分母"), ("", "上月"), ("", "截止时")];
    head(out, report, "summary", &[columns(named), columns(others)].concat());
    for (line, indicator) in report.indicators.iter().enumerate() {
        let Some(stated) = now.figures.get(line) else { continue };
        let figure = stated.now.unwrap_or_default();
        let number =
            |count: Option<u64>| count.map(|n| grouped(&n.to_string())).unwrap_or_default();
        let earlier = before.and_then(|row| row.figures.get(line)).and_then(|stated| stated.now);
        let earlier = earlier.map(|figure| grouped(&cell(&figure, indicator)));
        let earlier = earlier.unwrap_or_default();
        let was = if is_corrected(stated) { stated.was } else { None };
        let was = was.map(|was| grouped(&cell(&was, indicator))).unwrap_or_default();
        let _ = writeln!(
            out,
            "<tr><td class=\"name\">{}</td><td class=\"name\">{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&indicator.group),
            escape(&indicator.name),
            escape(&indicator.unit),
            escape(&marked(stated, indicator)),
            number(figure.numerator),
            number(figure.denominator),
            escape(&earlier),
            escape(&was)
        );
    }
    out.push_str("</tbody></table></section>\n");
}

/// Counties of the last month, or what else lies directly in the place that the report is of.
fn counties(out: &mut String, report: &pb::CoverageReport) {
    let month = Some(last_month(report));
    let wanted = match report.region.len() {
        ..=5 => pb::Level::County,
        6..=8 => pb::Level::Township,
        _ => pb::Level::Village,
    };
    let rows = rows_of(report, wanted, month);
    if rows.is_empty() {
        return;
    }
    heading(out, &format!("{}各地　{}", report.region_name, last_month(report)));
    out.push_str("<p class=\"key\">颜色由浅到深为由低到高（按每一列的最低与最高分五档）：");
    for shade in 0..SHADES {
        let _ = write!(out, "<span class=\"s{shade}\">{}</span>", shade + 1);
    }
    out.push_str("</p>\n");
    // As many columns as fit on a page.
    let all: Vec<usize> = (0..report.indicators.len()).collect();
    for part in all.chunks(14) {
        let mut named = columns([("name", "地区")]);
        let indicators = part.iter().filter_map(|column| report.indicators.get(*column));
        named.extend(indicators.map(|indicator| {
            let (name, unit) = (escape(&indicator.name), escape(&indicator.unit));
            ("head", format!("{name}<br>{unit}"))
        }));
        head(out, report, "counties", &named);
        for row in &rows {
            let _ = write!(out, "<tr><td class=\"name\">{}</td>", escape(&row.name));
            for column in part {
                shaded(out, report, &rows, (row, *column));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table>\n<p></p>\n");
    }
    out.push_str("</section>\n");
}

fn shaded(
    out: &mut String,
    report: &pb::CoverageReport,
    rows: &[&pb::CoverageRow],
    (row, column): (&pb::CoverageRow, usize),
) {
    let (Some(stated), Some(indicator)) = (row.figures.get(column), report.indicators.get(column))
    else {
        return;
    };
    let value = |row: &&pb::CoverageRow| value_of(row, column);
    let values = || rows.iter().filter_map(value);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let class = match value_of(row, column) {
        None => "none".to_owned(),
        Some(value) => format!("s{}", shade(value, low, high)),
    };
    let _ = write!(out, "<td class=\"{class}\">{}</td>", escape(&marked(stated, indicator)));
}

/// Which shade, from 0.
fn shade(value: f64, low: f64, high: f64) -> usize {
    if high <= low {
        return 0;
    }
    let part = (value - low) / (high - low);
    [0.2, 0.4, 0.6, 0.8].iter().filter(|limit| part >= **limit).count().min(SHADES - 1)
}

fn value_of(row: &pb::CoverageRow, column: usize) -> Option<f64> {
    let now = row.figures.get(column)?.now.as_ref()?;
    now.value.filter(|_| now.standing() == pb::Standing::Known)
}

/// A figure, with a mark where it was corrected.
fn marked(stated: &pb::Stated, indicator: &pb::Indicator) -> String {
    let text = grouped(&cell(&stated.now.unwrap_or_default(), indicator));
    if is_corrected(stated) { format!("{text}{CORRECTED}") } else { text }
}

/// A number with a comma between thousands; anything else as it is.
fn grouped(text: &str) -> String {
    let whole = text.split('.').next().unwrap_or_default();
    if whole.len() < 4 || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + whole.len() / 3);
    for (at, c) in text.chars().enumerate() {
        let left = whole.len().saturating_sub(at);
        if at > 0 && left > 0 && left.is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A small picture for each indicator of the whole.
fn trends(out: &mut String, report: &pb::CoverageReport) {
    let rows = whole(report);
    if rows.len() < 2 {
        return;
    }
    heading(out, &format!("{}逐月", report.region_name));
    banner(out, report);
    out.push_str("<div class=\"trends\">\n");
    for (column, indicator) in report.indicators.iter().enumerate() {
        let points: Vec<(Option<f64>, bool)> = rows
            .iter()
            .map(|row| (value_of(row, column), row.figures.get(column).is_some_and(is_corrected)))
            .collect();
        let last = rows.last().and_then(|row| row.figures.get(column));
        let last = last.map(|stated| marked(stated, indicator)).unwrap_or_default();
        let _ = writeln!(
            out,
            "<div class=\"trend\"><b>{}</b> {} {}{}</div>",
            escape(&indicator.name),
            escape(&last),
            escape(&indicator.unit),
            trend(&points, &report.months, &indicator.name)
        );
    }
    out.push_str("</div></section>\n");
}

/// A line over the months: a gap where nothing is known, a ring where a figure was corrected.
fn trend(points: &[(Option<f64>, bool)], months: &[String], name: &str) -> String {
    let (width, height) = TREND;
    let known = || points.iter().filter_map(|point| point.0);
    let (low, high) = (known().fold(f64::MAX, f64::min), known().fold(f64::MIN, f64::max));
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {}\" role=\"img\" aria-label=\"{}\">",
        height + 12.0,
        escape(name)
    );
    if known().next().is_none() {
        let _ = write!(
            svg,
            "<text x=\"4\" y=\"30\" font-size=\"10\" fill=\"#555\">没有可示的数</text></svg>"
        );
        return svg;
    }
    let span = if high > low { high - low } else { 1.0 };
    let steps = u32::try_from(points.len().saturating_sub(1).max(1)).unwrap_or(1);
    let at = |place: usize, value: f64| {
        let x =
            8.0 + (width - 60.0) * f64::from(u32::try_from(place).unwrap_or(0)) / f64::from(steps);
        let part = if high > low { (value - low) / span } else { 0.5 };
        let y = height - 8.0 - (height - 18.0) * part;
        (x, y)
    };
    let mut path = String::new();
    let mut pen = "M";
    for (place, (value, _)) in points.iter().enumerate() {
        let Some(value) = value else {
            pen = "M";
            continue;
        };
        let (x, y) = at(place, *value);
        let _ = write!(path, "{pen}{x:.1} {y:.1} ");
        pen = "L";
    }
    let _ = write!(
        svg,
        "<path d=\"{}\" fill=\"none\" stroke=\"#08519c\" stroke-width=\"1.6\"/>",
        path.trim_end()
    );
    for (place, (value, corrected)) in points.iter().enumerate() {
        let Some(value) = value else { continue };
        let (x, y) = at(place, *value);
        let (radius, fill) = if *corrected { (2.8, "#fff") } else { (1.8, "#08519c") };
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"#08519c\"/>"
        );
    }
    let scale = if high > low {
        vec![(10.0, high), (height - 4.0, low)]
    } else {
        vec![(height / 2.0, low)]
    };
    for (y, value) in scale {
        let value = if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.1}") };
        let value = grouped(&value);
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{y}\" font-size=\"9\" fill=\"#333\">{value}</text>",
            width - 46.0
        );
    }
    let ends = [(4.0, months.first()), (width - 92.0, months.last())];
    for (x, month) in ends {
        let month = month.map_or("", String::as_str);
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"{}\" font-size=\"9\" fill=\"#333\">{}</text>",
            height + 9.0,
            escape(month)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// What was corrected and looks otherwise now, the coarsest places first.
fn listed(out: &mut String, report: &pb::CoverageReport, all: &[Correction<'_>]) {
    heading(out, &format!("更正（{CORRECTED}）"));
    if all.is_empty() {
        banner(out, report);
        out.push_str("<p>各月截止后没有变化。</p></section>\n");
        return;
    }
    let mut sorted: Vec<&Correction<'_>> = all.iter().filter(|one| one.now != one.was).collect();
    sorted.sort_by_key(|one| (i32::from(one.row.level()), one.row.month.clone()));
    let _ = writeln!(
        out,
        "<p>截止后共有 {} 处更正，此处列出 {} 处，先大后小，所示数值没有变化的不列；全部见工作簿“更正”表。\
         原数与现数相差很小时不示原数。</p>",
        grouped(&all.len().to_string()),
        sorted.len().min(CORRECTIONS_MAX)
    );
    let named = [("", "月份"), ("name", "地区"), ("name", "指标"), ("", "现数"), ("", "截止时")];
    head(out, report, "", &[columns(named).as_slice(), &columns([("name", "原因")])].concat());
    for one in sorted.into_iter().take(CORRECTIONS_MAX) {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"name\">{}</td><td class=\"name\">{}（{}）</td><td>{}</td>\
             <td>{}</td><td class=\"name\">{}</td></tr>",
            escape(&one.row.month),
            escape(&one.row.name),
            escape(&one.indicator.name),
            escape(&one.indicator.unit),
            escape(&grouped(&one.now)),
            escape(&grouped(&one.was)),
            escape(&one.why)
        );
    }
    out.push_str("</tbody></table></section>\n");
}

fn meanings(out: &mut String, report: &pb::CoverageReport) {
    heading(out, "指标口径");
    let named = ["指标", "算法", "版本", "分子", "分母", "隐去", "说明"];
    head(out, report, "", &columns(named.map(|name| ("name", name))));
    for indicator in &report.indicators {
        let what = |counter: &Option<pb::Counter>| {
            counter.as_ref().map(|counter| escape(&counter.what)).unwrap_or_default()
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"words\">{}</td><td class=\"words\">{}</td><td>{}</td>\
             <td class=\"words\">{}</td><td class=\"words\">{}</td><td class=\"words\">{}</td>\
             <td class=\"words\">{}</td></tr>",
            escape(&indicator.name),
            escape(&formula(indicator)),
            indicator.version,
            what(&indicator.numerator),
            what(&indicator.denominator),
            escape(&suppression(indicator)),
            escape(&indicator.note)
        );
    }
    out.push_str("</tbody></table></section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_go_from_the_lowest_to_the_highest() {
        let shades: Vec<usize> =
            [10.0, 19.0, 20.0, 30.0, 49.0, 60.0].iter().map(|v| shade(*v, 10.0, 60.0)).collect();
        assert_eq!(shades, [0, 0, 1, 2, 3, 4]);
        assert_eq!(shade(5.0, 5.0, 5.0), 0);
    }

    #[test]
    fn thousands_are_apart_and_nothing_else_is_touched() {
        let all = ["0", "999", "1000", "260016", "12345.5", "≤24", "*", "—", "100.0"];
        let grouped = all.map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "260,016", "12,345.5", "≤24", "*", "—", "100.0"]);
    }

    #[test]
    fn what_is_unknown_leaves_a_gap_in_a_trend() {
        let months = ["2026-01".to_owned(), "2026-03".to_owned()];
        let drawn = trend(&[(Some(1.0), false), (None, false), (Some(2.0), true)], &months, "<x>");
        let path = drawn.split("d=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(path.unwrap_or_default().matches('M').count(), 2, "{drawn}");
        assert!(drawn.contains("fill=\"#fff\"") && drawn.contains("&lt;x&gt;"));
    }
}
