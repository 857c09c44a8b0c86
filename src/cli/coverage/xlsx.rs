//! A report as a workbook: an overview, a sheet for each level, what the figures mean, and what was
//! corrected.

use rust_xlsxwriter::{
    Color, ConditionalFormat2ColorScale, DocProperties, ExcelDateTime, Format, FormatAlign,
    FormatBorder, Workbook, Worksheet, XlsxError,
};

use super::super::Failure;
use super::shown::{
    CORRECTED, SIMULATED, cell, corrections, formula, is_corrected, legend, made, rows_of,
    suppression, title, whole,
};
use crate::rpc::proto::xiangyi::reporting::v1 as pb;
use crate::sharing::reporting::month::day_of_ms;

/// Font of all cells: every Chinese Windows and office suite has it or something in its place.
const FONT: &str = "宋体";
/// A4.
const A4: u8 = 9;
/// Pages beside each other that a table of places is printed on; each has the names of the places.
const PAGES_WIDE: u16 = 4;
/// Rows above a table: title, who made it, what the marks mean, headings of groups, headings.
const HEAD_ROWS: u32 = 5;

struct Book {
    workbook: Workbook,
    title: Format,
    small: Format,
    head: Format,
    text: Format,
    wrapped: Format,
    count: Format,
    share: Format,
    count_corrected: Format,
    share_corrected: Format,
    mark: Format,
}

/// The bytes of the file.
pub(super) fn bytes(report: &pb::CoverageReport) -> Result<Vec<u8>, Failure> {
    let mut book = Book::new(report)?;
    book.overview(report)?;
    book.level(report, pb::Level::County, "县")?;
    book.level(report, pb::Level::Township, "乡镇")?;
    if report.level() == pb::Level::Village {
        book.level(report, pb::Level::Village, "村")?;
    }
    book.meanings(report)?;
    book.corrections(report)?;
    Ok(book.workbook.save_to_buffer()?)
}

impl Book {
    fn new(report: &pb::CoverageReport) -> Result<Self, XlsxError> {
        let base = || Format::new().set_font_name(FONT).set_font_size(10);
        let bordered = || base().set_border(FormatBorder::Thin).set_border_color(Color::Silver);
        let mut workbook = Workbook::new();
        let mut about = DocProperties::new()
            .set_title(title(report))
            .set_comment(made(report))
            .set_status(if report.simulated { SIMULATED } else { "" });
        if let Some(day) = day_of_ms(report.made_ms) {
            let (year, month, day) = (day.year(), day.month(), day.day());
            let number = |n: i8| u8::try_from(n).unwrap_or(1);
            let year = u16::try_from(year).unwrap_or(1900);
            let at = ExcelDateTime::from_ymd(year, number(month), number(day))?;
            about = about.set_creation_datetime(&at);
        }
        workbook.set_properties(&about);
        let head = bordered()
            .set_bold()
            .set_text_wrap()
            .set_align(FormatAlign::Center)
            .set_align(FormatAlign::VerticalCenter)
            .set_background_color(Color::RGB(0x00DE_EBF7));
        Ok(Self {
            workbook,
            title: base().set_bold().set_font_size(14),
            small: base().set_font_size(9),
            head,
            text: bordered(),
            wrapped: bordered().set_text_wrap().set_align(FormatAlign::Top),
            count: bordered().set_num_format("#,##0"),
            share: bordered().set_num_format("0.0"),
            count_corrected: bordered().set_num_format(format!("#,##0\"{CORRECTED}\"")),
            share_corrected: bordered().set_num_format(format!("0.0\"{CORRECTED}\"")),
            mark: bordered().set_align(FormatAlign::Right),
        })
    }

    /// A sheet with its title, set up for printing.
    fn sheet(&mut self, name: &str, report: &pb::CoverageReport) -> Result<(), XlsxError> {
        let simulated = if report.simulated { SIMULATED } else { "" };
        let sheet = self.workbook.add_worksheet();
        sheet.set_name(name)?;
        sheet.set_landscape().set_paper_size(A4).set_print_fit_to_pages(1, 0);
        sheet.set_margins(0.4, 0.4, 0.6, 0.6, 0.3, 0.3);
        sheet.set_footer(format!("&L{simulated}&C{name}&R第 &P 页，共 &N 页"));
        if report.simulated {
            sheet.set_header(format!("&C&\"{FONT},Bold\"{SIMULATED}"));
        }
        let mark = if report.simulated { format!("【{SIMULATED}】") } else { String::new() };
        sheet.write_string_with_format(0, 0, format!("{mark}{}", title(report)), &self.title)?;
        sheet.write_string_with_format(1, 0, made(report), &self.small)?;
        sheet.write_string_with_format(2, 0, legend(), &self.small)?;
        Ok(())
    }

    fn last(&mut self) -> Result<&mut Worksheet, XlsxError> {
        let last = self.workbook.worksheets().len().saturating_sub(1);
        self.workbook.worksheet_from_index(last)
    }

    fn headings(&mut self, row: u32, headings: &[String]) -> Result<(), XlsxError> {
        let head = self.head.clone();
        let sheet = self.last()?;
        for (column, heading) in headings.iter().enumerate() {
            sheet.write_string_with_format(row, column_of(column), heading, &head)?;
        }
        sheet.set_repeat_rows(0, row)?;
        Ok(())
    }

    /// Indicators of the whole, with a column for each month.
    fn overview(&mut self, report: &pb::CoverageReport) -> Result<(), XlsxError> {
        self.sheet("总览", report)?;
        let mut headings = vec!["类别".to_owned(), "指标".to_owned(), "单位".to_owned()];
        headings.extend(report.months.iter().cloned());
        self.headings(HEAD_ROWS - 1, &headings)?;
        let rows = whole(report);
        for (line, indicator) in report.indicators.iter().enumerate() {
            let at = HEAD_ROWS + row_of(line);
            let text = self.text.clone();
            let sheet = self.last()?;
            sheet.write_string_with_format(at, 0, &indicator.group, &text)?;
            sheet.write_string_with_format(at, 1, &indicator.name, &text)?;
            sheet.write_string_with_format(at, 2, &indicator.unit, &text)?;
            for (column, row) in rows.iter().enumerate() {
                if let Some(stated) = row.figures.get(line) {
                    self.figure((at, column_of(column + 3)), stated, indicator)?;
                }
            }
        }
        let sheet = self.last()?;
        sheet.set_freeze_panes(HEAD_ROWS, 2)?;
        sheet.set_column_width(0, 9)?.set_column_width(1, 26)?.set_column_width(2, 6)?;
        sheet.set_column_range_width(3, column_of(2 + rows.len().max(1)), 9)?;
        Ok(())
    }

    /// Places of a level, with a column for each indicator.
    fn level(
        &mut self,
        report: &pb::CoverageReport,
        level: pb::Level,
        name: &str,
    ) -> Result<(), XlsxError> {
        let rows = rows_of(report, level, None);
        if rows.is_empty() {
            return Ok(());
        }
        self.sheet(name, report)?;
        let fixed = ["月份", "区划代码", "区划名称"].map(str::to_owned);
        let names = report.indicators.iter().map(|i| format!("{}（{}）", i.name, i.unit));
        let headings: Vec<String> = fixed.into_iter().chain(names).chain(["迟报".into()]).collect();
        self.headings(HEAD_ROWS - 1, &headings)?;
        for (line, row) in rows.iter().enumerate() {
            let at = HEAD_ROWS + row_of(line);
            let text = self.text.clone();
            let sheet = self.last()?;
            sheet.write_string_with_format(at, 0, &row.month, &text)?;
            sheet.write_string_with_format(at, 1, &row.code, &text)?;
            sheet.write_string_with_format(at, 2, &row.name, &text)?;
            let late = column_of(3 + report.indicators.len());
            sheet.write_string_with_format(at, late, super::shown::late(row), &text)?;
            for (column, (stated, indicator)) in
                row.figures.iter().zip(&report.indicators).enumerate()
            {
                self.figure((at, column_of(column + 3)), stated, indicator)?;
            }
        }
        let (first, last) = (HEAD_ROWS, HEAD_ROWS + row_of(rows.len()) - 1);
        let sheet = self.last()?;
        for column in 0..report.indicators.len() {
            let column = column_of(column + 3);
            let scale = ConditionalFormat2ColorScale::new()
                .set_minimum_color(Color::White)
                .set_maximum_color(Color::RGB(0x009E_CAE1));
            sheet.add_conditional_format(first, column, last, column, &scale)?;
        }
        // All columns on one page could not be read.
        sheet.set_print_fit_to_pages(PAGES_WIDE, 0).set_repeat_columns(0, 2)?;
        sheet.set_row_height(HEAD_ROWS - 1, 54)?;
        sheet.set_freeze_panes(HEAD_ROWS, 3)?;
        let right = column_of(3 + report.indicators.len());
        sheet.autofilter(HEAD_ROWS - 1, 0, last, right)?;
        sheet.set_column_width(0, 9)?.set_column_width(1, 14)?.set_column_width(2, 24)?;
        sheet.set_column_range_width(3, right - 1, 10)?.set_column_width(right, 30)?;
        Ok(())
    }

    /// A number where there is one, so that a spreadsheet can compute with it; else a mark.
    fn figure(
        &mut self,
        (row, column): (u32, u16),
        stated: &pb::Stated,
        indicator: &pb::Indicator,
    ) -> Result<(), XlsxError> {
        let now = stated.now.unwrap_or_default();
        let corrected = is_corrected(stated);
        let known = now.value.filter(|_| now.standing() == pb::Standing::Known);
        let is_number = indicator.formula() != pb::Formula::Median;
        let last = self.workbook.worksheets().len().saturating_sub(1);
        let sheet = self.workbook.worksheet_from_index(last)?;
        let Some(value) = known.filter(|_| is_number) else {
            let behind = if corrected { CORRECTED } else { "" };
            let text = format!("{}{behind}", cell(&now, indicator));
            sheet.write_string_with_format(row, column, text, &self.mark)?;
            return Ok(());
        };
        let format = match (indicator.formula() == pb::Formula::Share, corrected) {
            (true, false) => &self.share,
            (true, true) => &self.share_corrected,
            (false, false) => &self.count,
            (false, true) => &self.count_corrected,
        };
        sheet.write_number_with_format(row, column, value, format)?;
        Ok(())
    }

    fn meanings(&mut self, report: &pb::CoverageReport) -> Result<(), XlsxError> {
        self.sheet("指标口径", report)?;
        let headings = [
            "类别",
            "指标",
            "编号",
            "单位",
            "算法",
            "分子",
            "分母",
            "版本",
            "自何日",
            "小数隐去",
            "说明",
            "来源",
            "审核",
        ];
        self.headings(HEAD_ROWS - 1, &headings.map(str::to_owned))?;
        let wrapped = self.wrapped.clone();
        for (line, indicator) in report.indicators.iter().enumerate() {
            let what = |counter: &Option<pb::Counter>| {
                counter.as_ref().map(|c| format!("{}：{}", c.name, c.what)).unwrap_or_default()
            };
            let cells = [
                indicator.group.clone(),
                indicator.name.clone(),
                indicator.id.clone(),
                indicator.unit.clone(),
                formula(indicator),
                what(&indicator.numerator),
                what(&indicator.denominator),
                indicator.version.to_string(),
                indicator.from_day.clone(),
                suppression(indicator),
                indicator.note.clone(),
                indicator.source.clone(),
                if indicator.reviewed { "已审核".to_owned() } else { "草案".to_owned() },
            ];
            let sheet = self.last()?;
            for (column, text) in cells.iter().enumerate() {
                let at = (HEAD_ROWS + row_of(line), column_of(column));
                sheet.write_string_with_format(at.0, at.1, text, &wrapped)?;
            }
        }
        let sheet = self.last()?;
        sheet.set_freeze_panes(HEAD_ROWS, 2)?;
        for (column, width) in
            [9, 22, 18, 6, 30, 44, 44, 5, 11, 22, 34, 10, 7].into_iter().enumerate()
        {
            sheet.set_column_width(column_of(column), width)?;
        }
        Ok(())
    }

    fn corrections(&mut self, report: &pb::CoverageReport) -> Result<(), XlsxError> {
        self.sheet("更正", report)?;
        let headings = ["月份", "区划代码", "区划名称", "指标", "单位", "现数", "截止时", "原因"];
        self.headings(HEAD_ROWS - 1, &headings.map(str::to_owned))?;
        let text = self.text.clone();
        let all = corrections(report);
        let sheet = self.last()?;
        for (line, one) in all.iter().enumerate() {
            let cells = [
                one.row.month.as_str(),
                &one.row.code,
                &one.row.name,
                &one.indicator.name,
                &one.indicator.unit,
                &one.now,
                &one.was,
                &one.why,
            ];
            for (column, cell) in cells.into_iter().enumerate() {
                let at = (HEAD_ROWS + row_of(line), column_of(column));
                sheet.write_string_with_format(at.0, at.1, cell, &text)?;
            }
        }
        if all.is_empty() {
            sheet.write_string_with_format(HEAD_ROWS, 0, "无", &text)?;
        }
        sheet.set_freeze_panes(HEAD_ROWS, 0)?;
        for (column, width) in [9, 14, 24, 24, 6, 10, 10, 34].into_iter().enumerate() {
            sheet.set_column_width(column_of(column), width)?;
        }
        Ok(())
    }
}

fn row_of(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

fn column_of(column: usize) -> u16 {
    u16::try_from(column).unwrap_or(u16::MAX)
}
