//! What cells of a report say, in every format alike.

use crate::rpc::proto::xiangyi::reporting::v1 as pb;

/// What stands where a figure is hidden. Not `<5`: others are hidden with the small ones and are larger.
pub(super) const HIDDEN: &str = "*";
/// What stands where nobody has told a figure.
pub(super) const UNKNOWN: &str = "—";
/// What stands where nobody counts it.
pub(super) const NOT_COUNTED: &str = "未统计";
/// What stands where a share is of nothing.
pub(super) const OF_NOTHING: &str = "无";
/// Behind a figure that was something else when the month was drawn up.
pub(super) const CORRECTED: &str = "†";

/// What is said of a simulated report on every page and sheet.
pub(super) const SIMULATED: &str = "模拟数据，不是真实情况";

/// A figure as a cell.
pub(super) fn cell(figure: &pb::Figure, indicator: &pb::Indicator) -> String {
    match figure.standing() {
        pb::Standing::Hidden => HIDDEN.to_owned(),
        pb::Standing::NotCounted => NOT_COUNTED.to_owned(),
        pb::Standing::Unknown | pb::Standing::Unspecified => UNKNOWN.to_owned(),
        pb::Standing::Known => {
            let Some(value) = figure.value else { return OF_NOTHING.to_owned() };
            match indicator.formula() {
                pb::Formula::Share => format!("{value:.1}"),
                pb::Formula::Median if figure.above => format!(">{value}"),
                pb::Formula::Median => format!("≤{value}"),
                pb::Formula::Count | pb::Formula::Unspecified => format!("{value}"),
            }
        }
    }
}

/// How much can be said of a figure, in a word.
pub(super) fn standing(figure: &pb::Figure) -> &'static str {
    match figure.standing() {
        pb::Standing::Known => "已知",
        pb::Standing::Hidden => "隐去",
        pb::Standing::Unknown | pb::Standing::Unspecified => "未报",
        pb::Standing::NotCounted => NOT_COUNTED,
    }
}

/// Name of a level.
pub(super) fn level(level: pb::Level) -> &'static str {
    match level {
        pb::Level::Region => "全市",
        pb::Level::County | pb::Level::Unspecified => "县",
        pb::Level::Township => "乡镇",
        pb::Level::Village => "村",
    }
}

/// Who told late, for example `迟报：3个村；补报：1个乡镇`; empty where nobody did.
pub(super) fn late(row: &pb::CoverageRow) -> String {
    let part = |word: &str, count: fn(&pb::LateSites) -> u64| {
        let sites = row.late.iter().filter(|late| count(late) > 0);
        let sites: Vec<String> =
            sites.map(|late| format!("{}个{}", count(late), level(late.level()))).collect();
        (!sites.is_empty()).then(|| format!("{word}：{}", sites.join("、")))
    };
    let parts = [part("迟报", |late| late.first_count), part("补报", |late| late.again_count)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("；")
}

/// A figure that was something else.
#[derive(Debug)]
pub(super) struct Correction<'a> {
    pub(super) row: &'a pb::CoverageRow,
    pub(super) indicator: &'a pb::Indicator,
    pub(super) now: String,
    /// A small difference is not shown.
    pub(super) was: String,
    pub(super) why: String,
}

/// All of a report, in the order of its rows.
pub(super) fn corrections(report: &pb::CoverageReport) -> Vec<Correction<'_>> {
    let mut all = Vec::new();
    for row in &report.rows {
        for (stated, indicator) in row.figures.iter().zip(&report.indicators) {
            let (Some(now), Some(was)) = (&stated.now, &stated.was) else { continue };
            // Where only what is hidden changed, there is nothing to see.
            if now.standing() == pb::Standing::Hidden {
                continue;
            }
            let (now, was) = (cell(now, indicator), cell(was, indicator));
            all.push(Correction { row, indicator, now, was, why: late(row) });
        }
    }
    all
}

/// Whether a figure is marked as corrected.
pub(super) fn is_corrected(stated: &pb::Stated) -> bool {
    let hidden = stated.now.as_ref().is_some_and(|now| now.standing() == pb::Standing::Hidden);
    stated.was.is_some() && !hidden
}

/// What a formula is, in a line.
pub(super) fn formula(indicator: &pb::Indicator) -> String {
    let name = |counter: &Option<pb::Counter>| {
        counter.as_ref().map(|counter| counter.name.clone()).unwrap_or_default()
    };
    let numerator = name(&indicator.numerator);
    match indicator.formula() {
        pb::Formula::Share => format!("{numerator} ÷ {} × 100", name(&indicator.denominator)),
        pb::Formula::Median => format!("{numerator}的中位数"),
        pb::Formula::Count | pb::Formula::Unspecified => numerator,
    }
}

/// What is hidden of an indicator, in a line.
pub(super) fn suppression(indicator: &pb::Indicator) -> String {
    let counters = [indicator.numerator.as_ref(), indicator.denominator.as_ref()];
    let counters = || counters.iter().flatten();
    if counters().any(|counter| !counter.counted) {
        return "目前无人统计".to_owned();
    }
    let limit = counters().map(|counter| counter.small_below).max().unwrap_or(0);
    if limit == 0 {
        return "不隐去".to_owned();
    }
    let finest =
        if counters().any(|counter| counter.counties_only) { "；只到县级" } else { "" };
    format!("1至{}隐去，可由其推算者一并隐去{finest}", limit - 1)
}

/// Title of a report.
pub(super) fn title(report: &pb::CoverageReport) -> String {
    let months = match report.months.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first, .., last] => format!("{first} 至 {last}"),
    };
    format!("乡医项目进展报送　{}　{months}", report.region_name)
}

/// What a report says of itself.
pub(super) fn made(report: &pb::CoverageReport) -> String {
    let minute = crate::sharing::reporting::month::minute_of_ms;
    format!(
        "由 {} 于 {} 生成；数据截至 {}；程序 {}，口径表 {}；各月于次月{}日24时截止",
        report.made_by,
        minute(report.made_ms),
        minute(report.as_of_ms),
        report.program_version,
        report.tables_version,
        report.cut_off_day
    )
}

/// What the marks mean.
pub(super) fn legend() -> String {
    format!(
        "{HIDDEN} 1至4的数，或会由此推算出小数的数；{UNKNOWN} 尚未报送，不是零；{NOT_COUNTED} 目前无人统计；\
         {OF_NOTHING} 分母为零；{CORRECTED} 截止后有迟报或补报，数已更正"
    )
}

/// Rows of one level and month, in order.
pub(super) fn rows_of<'a>(
    report: &'a pb::CoverageReport,
    wanted: pb::Level,
    month: Option<&'a str>,
) -> Vec<&'a pb::CoverageRow> {
    let fits = |row: &&pb::CoverageRow| {
        row.level() == wanted && month.is_none_or(|month| row.month == month)
    };
    report.rows.iter().filter(fits).collect()
}

/// Rows of the place that a report is of, by month.
pub(super) fn whole(report: &pb::CoverageReport) -> Vec<&pb::CoverageRow> {
    report.rows.iter().filter(|row| row.code == report.region).collect()
}
